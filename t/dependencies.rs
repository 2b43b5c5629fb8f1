//! The dependencies: where they come from, and that CI looks at them.
//!
//! Must never: need the network. What needs other programs is in `.ci/run`.

use std::fs;

use crate::harness::root;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a file of the project")
}

/// The packages of Cargo.lock: name, version, source, whether there is a checksum.
fn packages() -> Vec<(String, String, Option<String>, bool)> {
    let lock = read("Cargo.lock");
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_matches(['=', ' ', '"']).to_string())
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .map(|block| {
            let name = value(block, "name ").expect("a name");
            let version = value(block, "version ").expect("a version");
            let has_checksum = value(block, "checksum ").is_some();
            (name, version, value(block, "source "), has_checksum)
        })
        .collect()
}

// T173, T194
#[test]
fn every_dependency_comes_from_the_registry_and_is_the_one_that_was_looked_at() {
    let packages = packages();
    assert!(packages.len() > 100, "{}", packages.len());
    for (name, version, source, has_checksum) in packages {
        let is_ours = name.starts_with("mimicry");
        let expected = (!is_ours).then(|| CRATES_IO.to_string());
        assert_eq!(source, expected, "{name} {version}");
        assert_eq!(has_checksum, !is_ours, "{name} {version}");
    }
}

// T173, T194
#[test]
fn ci_holds_the_dependencies_against_licences_sources_and_known_faults() {
    let run = read(".ci/run");
    for command in [
        "cargo deny --locked --config .ci/deny.toml check licenses bans sources",
        "cargo audit --db ../shared/advisory-db --no-fetch",
    ] {
        assert!(
            run.lines().any(|line| line.trim().starts_with(command)),
            "{command}"
        );
    }
    // What is accepted has its reason on the same line.
    for line in read(".cargo/audit.toml").lines() {
        let is_accepted = line.trim().starts_with("\"RUSTSEC-");
        assert!(!is_accepted || line.contains(" # "), "{line}");
    }
}
