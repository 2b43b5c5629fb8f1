//! Copies that this machine can write and not read.

use std::time::UNIX_EPOCH;

use sequoia_openpgp::cert::CertBuilder;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::KeyFlags;

use super::*;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/pgp/");

fn with_keys(directory: &Path, options: &str) -> Result<Config, String> {
    let read = |path: &Path| fs::read(format!("{KEYS}{}", path.file_name().unwrap().display()));
    reading(directory, options, &read)
}

fn reading(
    directory: &Path,
    options: &str,
    read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Config, String> {
    let source = rule(options).replace("DIR", &directory.display().to_string());
    config::parse(
        &source,
        Path::new("/etc/mimicry.toml"),
        crate::REGISTRY,
        read,
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

/// Keys for what is kept are not keys for mail: what is listed of one is what becomes of the copies.
// T162
#[test]
fn a_key_is_listed_for_what_it_is_used_for() {
    for (flags, is_fit) in [
        (KeyFlags::empty().set_storage_encryption(), true),
        (KeyFlags::empty().set_transport_encryption(), false),
    ] {
        let directory = private();
        let cert = CertBuilder::new().add_userid("Bo <bo@example.com>");
        let cert = cert
            .set_creation_time(UNIX_EPOCH)
            .add_subkey(flags, None, None);
        let key = cert.generate().unwrap().0.to_vec().unwrap();
        let config = reading(directory.path(), OPTIONS, &|_| Ok(key.clone())).unwrap();
        let mail = mail(MAIL);
        let listed = config.banks.in_use()[0].plugin.keys(mail.received.unix);
        let listed: Vec<bool> = listed.iter().map(|key| key.unfit.is_none()).collect();
        assert_eq!(listed, [is_fit]);
        assert_eq!(all(&config, &mail, Effects::Real)[0].is_ok(), is_fit);
    }
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
