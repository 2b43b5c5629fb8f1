//! Copies that this machine can write and not read.

use super::*;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/pgp/");

fn with_keys(directory: &Path, options: &str) -> Result<Config, String> {
    let source = rule(options).replace("DIR", &directory.display().to_string());
    let read = |path: &Path| fs::read(format!("{KEYS}{}", path.file_name().unwrap().display()));
    config::parse(
        &source,
        Path::new("/etc/mimicry.toml"),
        crate::REGISTRY,
        &read,
    )
    .map_err(|mistakes| mistakes.list[0].message.clone())
}

const OPTIONS: &str = r#"dir = "DIR", layout = "files", encrypt_to = ["bo.asc"]"#;

// T162
#[test]
fn nothing_in_the_clear_is_on_disk() {
    let directory = private();
    let config = with_keys(directory.path(), OPTIONS).unwrap();
    let first = mail(MAIL);
    assert!(matches!(keep(&config, &first), Report::Done { .. }));
    // It comes again with another trace, which is kept, too.
    let again = mail(&[b"Received: secretly\r\n", MAIL].concat());
    keep(&config, &again);
    let files = files(directory.path());
    assert_eq!(files.len(), 2, "{:?}", files.keys());
    for (name, content) in &files {
        assert!(
            name.ends_with(".eml.asc") || name.ends_with(".trace.asc"),
            "{name}"
        );
        let shown = String::from_utf8_lossy(content);
        assert!(shown.starts_with("-----BEGIN PGP MESSAGE-----"), "{name}");
        assert!(
            !shown.contains("anna") && !shown.contains("secretly"),
            "{name}"
        );
    }
    let copy = files.iter().find(|(name, _)| name.ends_with(".eml.asc"));
    let opened = crate::shared::pgp::tests::trial::opened_text(copy.unwrap().1, "bo");
    assert_eq!(opened.as_bytes(), MAIL);
}

/// A key that is of no use any more.
// T162
#[test]
fn no_copy_is_kept_with_a_key_that_has_ended() {
    let directory = private();
    let config = with_keys(directory.path(), &OPTIONS.replace("bo.asc", "expired.asc")).unwrap();
    let [Err(stopped)] = &all(&config, &mail(MAIL), Effects::Real)[..] else {
        panic!("it passes");
    };
    assert_eq!(stopped.stop, Stop::Defer);
    assert!(files(directory.path()).is_empty());
}

#[test]
fn mistakes() {
    let directory = private();
    for (options, message) in [
        (
            r#"dir = "DIR", encrypt_to = "bo.asc""#,
            "what is encrypted is kept as files only",
        ),
        (
            r#"dir = "DIR", layout = "files", compress = "gzip", encrypt_to = "bo.asc""#,
            "what is encrypted is not compressed",
        ),
        (
            r#"dir = "DIR", layout = "files", sidecar = true, encrypt_to = "bo.asc""#,
            "a sidecar would show in the clear who wrote to whom",
        ),
    ] {
        assert_eq!(with_keys(directory.path(), options).unwrap_err(), message);
    }
}
