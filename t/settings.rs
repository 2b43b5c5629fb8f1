//! Every field that a setting becomes is read by the program that does the work, not only by the reader of the file.
//!
//! The compiler does not complain of a public field that nobody reads, so the source is read: a field counts as read where it
//! stands after the name of what holds it, such as `limits.hops`, outside of `settings` and `config`. Names of what holds it are given
//! below for each struct.
//!
//! Must never: take a test for the program.

use std::collections::BTreeSet;
use std::fs;

use mimicry_core::settings::SETTINGS;

use crate::harness::root;
use crate::layering::{program, sources};

/// The structs of the settings, and the names under which the program holds one.
const HOLDERS: &[(&str, &[&str])] = &[
    // Its fields become those of `Effective`; that none is left out there is the compiler's to see. Two are worked into the rules.
    ("General", &["settings", "base", "listed", "rule"]),
    ("Daemon", &["daemon"]),
    ("Workers", &["workers"]),
    ("Log", &["config", "log"]),
    ("Listen", &["listen", "listener"]),
    ("ListenTls", &["tls"]),
    ("Relay", &["relay"]),
    ("Login", &["login"]),
    ("Timeouts", &["timeouts"]),
    ("Limits", &["limits"]),
    ("MessageLimits", &["limits"]),
    // Its fields become those of the rule.
    ("Conduct", &["rule"]),
];

/// Rows without a field: what they name is understood by a function of its own.
const APART: &[(&str, &[&str])] = &[
    ("", &["rules", "variables"]),
    ("rule", &["name", "plugin", "match", "unless", "options"]),
];

/// A field: the struct, its name, and the key in the file.
#[derive(Debug)]
struct Declared {
    holder: String,
    field: String,
    key: String,
}

/// The fields as `settings/table.rs` declares them.
fn declared() -> Vec<Declared> {
    let path = root().join("mimicry-core/src/settings/table.rs");
    let source = fs::read_to_string(path).expect("the table of settings");
    let mut holder = String::new();
    let mut fields = Vec::new();
    for line in source.lines().map(str::trim_start) {
        if let Some(rest) = line.strip_prefix("[\"") {
            let rest = rest.split_once("] ").map_or("", |(_, rest)| rest);
            let name = rest
                .trim_start_matches("pub struct ")
                .trim_start_matches("for ");
            holder = name
                .split([' ', ','])
                .next()
                .unwrap_or_default()
                .to_string();
        }
        let Some((head, _)) = line.split_once(" = ").filter(|_| line.ends_with("\";")) else {
            continue;
        };
        let name = head.split(':').next().unwrap_or_default();
        let (field, key) = match name.split_once(" as ") {
            Some((field, key)) => (field, key.trim_matches('"')),
            None => (name, name),
        };
        fields.push(Declared {
            holder: holder.clone(),
            field: field.to_string(),
            key: key.to_string(),
        });
    }
    fields
}

/// The program without its blanks, so that it does not matter where a line is broken.
fn code() -> Vec<String> {
    let root = root();
    let crates = ["mimicry-core/src", "mimicry-plugins/src", "mimicryd/src"];
    let files = crates.iter().flat_map(|name| sources(&root.join(name)));
    files
        .filter(|file| {
            let name = file.display().to_string();
            !name.contains("mimicry-core/src/settings/")
                && !name.contains("mimicry-core/src/config/")
        })
        .map(|file| {
            let source = fs::read_to_string(&file).expect("a source");
            let lines = program(&file, &source).lines();
            let code: String = lines
                .map(|line| line.split("//").next().unwrap_or_default())
                .collect();
            code.split_whitespace().collect()
        })
        .collect()
}

fn is_read(code: &[String], holders: &[&str], field: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    holders.iter().any(|holder| {
        let wanted = format!("{holder}.{field}");
        let reads = |code: &String| {
            code.match_indices(&wanted).any(|(at, _)| {
                let rest = &code[at + wanted.len()..];
                // Not a method, and not what is set.
                !rest.starts_with(is_name)
                    && !rest.starts_with('(')
                    && (!rest.starts_with('=') || rest.starts_with("==") || rest.starts_with("=>"))
            })
        };
        code.iter().any(reads)
    })
}

#[test]
fn every_setting_is_read_where_it_has_an_effect() {
    let code = code();
    let mut unread = Vec::new();
    for one in declared() {
        let holders = HOLDERS.iter().find(|(name, _)| *name == one.holder);
        let (_, holders) = holders.unwrap_or_else(|| panic!("{} is not known here", one.holder));
        if !is_read(&code, holders, &one.field) {
            unread.push(format!("{}.{}", one.holder, one.field));
        }
    }
    assert!(unread.is_empty(), "{unread:#?}");
}

/// The rows of the table and the fields are the same, but for the rows that have none.
#[test]
fn every_setting_has_a_field_or_is_read_apart() {
    let keys: BTreeSet<String> = declared().into_iter().map(|one| one.key).collect();
    for row in SETTINGS.iter().filter(|row| row.table != "bank") {
        let is_apart = APART
            .iter()
            .any(|(table, names)| *table == row.table && names.contains(&row.name));
        let has_field = keys.contains(row.name);
        assert!(has_field || is_apart, "[{}] {}", row.table, row.name);
    }
    assert!(declared().len() > 60);
}

#[test]
fn a_read_is_known_from_what_looks_like_one() {
    let code = |text: &str| vec![text.to_string()];
    for (text, expected) in [
        ("if(hops>limits.hops){", true),
        ("settings.limits.hops,", true),
        ("limits.hops==1", true),
        ("Some(hops)ifhops>limits.hops=>{", true),
        ("limits.hops=1;", false),
        ("limits.hops()", false),
        ("limits.hops_seen", false),
        ("self.hops", false),
    ] {
        assert_eq!(
            is_read(&code(text), &["limits"], "hops"),
            expected,
            "{text}"
        );
    }
}
