//! Keys as GnuPG makes them, good ones and bad ones.

use std::io::Write;
use std::time::{Duration, Instant, UNIX_EPOCH};

use mimicry_core::domain::compared_address;
use mimicry_core::envelope::Path;
use mimicry_core::plugin::{KeyFile, Secret, SecretOctets};

pub mod trial;

use super::certs::{Certs, read};
use super::judge::{Demands, Purpose, describe};
use super::seal;
use super::secret::Signers;
use sequoia_openpgp::armor::{Kind, Writer};
use sequoia_openpgp::cert::CertBuilder;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::{Cert, Packet};

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/pgp/");

/// 2026-06-15.
const NOW: i64 = 1_781_481_600;
/// 2026-05-15.
const BEFORE: i64 = 1_778_803_200;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{KEYS}{name}.asc")).unwrap()
}

fn files(names: &[&str]) -> Vec<(String, Vec<u8>)> {
    let each = names.iter();
    each.map(|name| (format!("{name}.asc"), file(name)))
        .collect()
}

fn certs(accept_sha1: bool) -> Certs {
    let mut errors = Vec::new();
    let names = [
        "anna",
        "bo",
        "gateway",
        "expired",
        "subexpired",
        "signonly",
        "sha1",
        "revoked",
    ];
    let mut certs = Certs::of(
        "keys",
        &files(&names),
        Demands::new(accept_sha1),
        &mut errors,
    );
    certs
        .stand_for("example.net", "gateway@example.net")
        .unwrap();
    assert_eq!(errors, []);
    certs
}

// T164
#[test]
fn who_has_a_key_and_why_another_has_none() {
    for (recipient, now, sha1, expected) in [
        ("anna@example.org", NOW, false, Ok(1)),
        ("ANNA@Example.ORG", NOW, false, Ok(1)),
        ("anna+news@example.org", NOW, false, Ok(1)),
        ("gateway@example.net", NOW, false, Ok(1)),
        ("anybody@example.net", NOW, false, Ok(1)),
        (
            "nobody@example.com",
            NOW,
            false,
            Err("there is no key of nobody@example.com"),
        ),
        (
            "+news@example.org",
            NOW,
            false,
            Err("there is no key of +news@example.org"),
        ),
        (
            "expired@example.com",
            NOW,
            false,
            Err("the key of expired@example.com expired on 2026-06-01"),
        ),
        ("expired@example.com", BEFORE, false, Ok(1)),
        (
            "subexpired@example.com",
            NOW,
            false,
            Err(
                "the key of subexpired@example.com has an encryption key that expired on 2026-06-01",
            ),
        ),
        ("subexpired@example.com", BEFORE, false, Ok(1)),
        (
            "signonly@example.com",
            NOW,
            false,
            Err(
                "the key of signonly@example.com is only for signatures; its owner adds one to encrypt to with gpg --quick-add-key",
            ),
        ),
        (
            "revoked@example.com",
            NOW,
            false,
            Err("the key of revoked@example.com was revoked"),
        ),
        (
            "sha1@example.com",
            NOW,
            false,
            Err(
                "the key of sha1@example.com is bound by SHA-1, which is not accepted (accept_sha1)",
            ),
        ),
        ("sha1@example.com", NOW, true, Ok(1)),
        (
            "anna@example.org",
            0,
            false,
            Err("the key of anna@example.org is valid from 2026-01-01 on only"),
        ),
    ] {
        let certs = certs(sha1);
        let found = certs.keys_of(&Path::new(recipient), now);
        let found = found.map(|keys| keys.len());
        let found = found.as_ref().map_err(String::as_str);
        assert_eq!(
            found,
            expected.as_ref().map_err(|why| *why),
            "{recipient} at {now}"
        );
    }
}

/// A key of a curve that Sequoia does not know is none: it would be taken, and then no mail with that recipient could be encrypted.
// T164
#[test]
fn what_kind_a_key_must_be() {
    let mut errors = Vec::new();
    let certs = Certs::of("keys", &files(&["kinds"]), Demands::new(false), &mut errors);
    for (who, expected) in [
        ("both", Ok("ecdh 256")),
        (
            "brainpool",
            Err("has an encryption key of a kind that is not known here (ecdh, brainpoolp256r1)"),
        ),
        (
            "allbrainpool",
            Err("is of a kind that is not known here (ecdsa, brainpoolp256r1)"),
        ),
        (
            "secp",
            Err(
                "has an encryption key of a kind that is not known here (ecdh, unknown curve 1.3.132.0.10)",
            ),
        ),
        (
            "elgamal",
            Err("has an encryption key of a kind that is not known here (elgamal 2048)"),
        ),
        ("weak", Err("is too weak (rsa 1024)")),
        (
            "subweak",
            Err("has an encryption key that is too weak (rsa 1024)"),
        ),
    ] {
        let recipient = format!("{who}@example.com");
        let found = certs
            .keys_of(&Path::new(recipient.as_str()), NOW)
            .map(|keys| {
                let kinds: Vec<String> = keys.iter().map(|key| describe(key.key())).collect();
                let sealed = seal::encrypt(b"x", keys, true, None);
                assert!(sealed.is_ok(), "{who}");
                kinds.join(", ")
            });
        let why = |why| format!("the key of {recipient} {why}");
        assert_eq!(found, expected.map(String::from).map_err(why), "{who}");
    }
}

/// One file with many, blocks of armour one behind the other, binary ones, and what is none.
#[test]
fn files_of_keys() {
    let two = [file("anna"), b"\n".to_vec(), file("bo")].concat();
    assert_eq!(read(&two).unwrap().certs.len(), 2);
    use sequoia_openpgp::serialize::SerializeInto;
    let raw: Vec<Vec<u8>> = (read(&two).unwrap().certs.iter())
        .map(|cert| cert.to_vec().unwrap())
        .collect();
    assert_eq!(read(&raw.concat()).unwrap().certs.len(), 2);
    let keybox = b"\0\0\0\x20\x01\x01\0\0KBXf more".to_vec();
    for (octets, why) in [
        (&b""[..], "holds no OpenPGP key"),
        (b"-----BEGIN CERTIFICATE-----\n", "holds no OpenPGP key"),
        (&keybox, "is a keybox of GnuPG"),
    ] {
        let found = read(octets).unwrap_err();
        assert!(found.starts_with(why), "{found}");
    }
}

/// Its owner has said by a certificate of its own that a key is none any more: in the file of the key, before or behind it, or in another.
// T164
#[test]
fn a_certificate_of_revocation_counts_wherever_it_stands() {
    let made = UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs() - 1000);
    let armoured = |octets: &[u8]| {
        let mut writer = Writer::new(Vec::new(), Kind::PublicKey).unwrap();
        writer.write_all(octets).unwrap();
        writer.finalize().unwrap()
    };
    let make = |address: &str| {
        let cert = CertBuilder::general_purpose(Some(address)).set_creation_time(made);
        let (cert, revocation) = cert.generate().unwrap();
        let (key, word) = (
            cert.to_vec().unwrap(),
            Packet::from(revocation).to_vec().unwrap(),
        );
        let armours = [armoured(&key), armoured(&word)];
        (key, word, armours)
    };
    let (bo, revokes_bo, [bo_armour, revokes_bo_armour]) = make("bo@example.com");
    let (_, revokes_eve, [_, revokes_eve_armour]) = make("eve@example.com");
    for (files, expected) in [
        (vec![bo.clone()], true),
        (vec![bo.clone(), revokes_bo.clone()], false),
        (vec![revokes_bo_armour.clone(), bo.clone()], false),
        (
            vec![[bo_armour.clone(), revokes_bo_armour.clone()].concat()],
            false,
        ),
        (
            vec![[revokes_bo_armour.clone(), bo_armour.clone()].concat()],
            false,
        ),
        (vec![[bo.clone(), revokes_bo.clone()].concat()], false),
        (vec![[revokes_bo.clone(), bo.clone()].concat()], false),
        (vec![bo.clone(), revokes_eve.clone()], true),
        (
            vec![[bo_armour.clone(), revokes_eve_armour.clone()].concat()],
            true,
        ),
    ] {
        let files: Vec<(String, Vec<u8>)> =
            files.into_iter().map(|file| ("f".into(), file)).collect();
        let mut errors = Vec::new();
        let certs = Certs::of("keys", &files, Demands::new(false), &mut errors);
        assert_eq!((errors.len(), certs.unread()), (0, &[][..]));
        let found = certs.keys_of(&Path::new("bo@example.com"), NOW).map(drop);
        let revoked = "the key of bo@example.com was revoked".to_string();
        assert_eq!(found, expected.then_some(()).ok_or(revoked));
    }
}

#[test]
fn what_is_said_of_keys() {
    let certs = certs(false);
    let shown: Vec<String> = (certs.in_use(Purpose::Transport, NOW).into_iter())
        .map(|key| {
            let until = key.expires.map_or("-".into(), |end| end.to_string());
            format!(
                "{} {} {until} {}",
                key.owner(),
                key.kind,
                key.unfit.unwrap_or_default()
            )
        })
        .collect();
    for expected in [
        "gateway@example.net, @example.net rsa 2048 - ",
        "expired@example.com ed25519 1780315200 expired on 2026-06-01",
        "revoked@example.com ed25519 - was revoked",
    ] {
        assert!(
            shown.iter().any(|line| line == expected),
            "{expected}: {shown:#?}"
        );
    }
    let ends = certs.in_use(Purpose::Transport, BEFORE);
    let ends = ends
        .iter()
        .find(|key| key.owner() == "subexpired@example.com");
    assert_eq!(ends.unwrap().expires, Some(1_780_315_200));
}

fn signers(names: &[(&str, &str)], passphrase: Option<&str>) -> Result<Signers, String> {
    let files: Vec<KeyFile> = (names.iter())
        .map(|(name, key)| KeyFile {
            name: (*name).into(),
            path: format!("{key}.asc").into(),
            content: SecretOctets::new(file(key)),
        })
        .collect();
    let mut errors = Vec::new();
    let passphrase = passphrase.map(Secret::new);
    let demands = Demands::new(false);
    let signers = Signers::of("keys", &files, passphrase.as_ref(), demands, &mut errors);
    match errors.into_iter().next() {
        None => Ok(signers),
        Some(error) => Err(error.message),
    }
}

/// What Autocrypt tells of a key: nobody but the author learns of the other addresses in it, and one that only signs is not told.
#[test]
fn a_public_key_is_told_with_the_address_of_the_author_alone() {
    let made = || {
        let cert = CertBuilder::new().add_userid("Anna <anna@example.org>");
        let cert = cert
            .add_userid("Gate <gate@example.org>")
            .add_userid("hobby@secret.example");
        cert.add_signing_subkey().set_creation_time(UNIX_EPOCH)
    };
    for (cert, address, expected) in [
        (
            made().add_transport_encryption_subkey(),
            "anna@EXAMPLE.org",
            Some("Anna <anna@example.org>"),
        ),
        (
            made().add_transport_encryption_subkey(),
            "gate@example.org",
            Some("Gate <gate@example.org>"),
        ),
        (
            made().add_transport_encryption_subkey(),
            "bo@example.org",
            None,
        ),
        (made(), "anna@example.org", None),
    ] {
        let key = cert.generate().unwrap().0.as_tsk().to_vec().unwrap();
        let file = KeyFile {
            name: "example.org".into(),
            path: "k.asc".into(),
            content: SecretOctets::new(key),
        };
        let signers = Signers::of("keys", &[file], None, Demands::new(false), &mut Vec::new());
        let signer = signers.of_author(address).unwrap();
        let told = signers
            .public(signer, address, NOW)
            .map(|octets| Cert::from_bytes(&octets).unwrap());
        let names = told
            .as_ref()
            .map(|cert| cert.userids().map(|one| one.userid().to_string()).collect());
        assert_eq!(
            names,
            expected.map(|name| vec![name.to_string()]),
            "{address}"
        );
        assert!(
            told.is_none_or(|cert| cert.keys().count() == 3 && cert.bad_signatures().count() == 0)
        );
    }
}

// T168
#[test]
fn secret_keys_are_opened_at_load() {
    for (name, key, passphrase, expected) in [
        ("example.org", "anna.secret", None, ""),
        ("anna@example.org", "gateway.secret", Some("unneeded"), ""),
        ("example.org", "locked.secret", Some("open sesame"), ""),
        (
            "example.org",
            "locked.secret",
            None,
            "locked.secret.asc is locked by a passphrase",
        ),
        (
            "example.org",
            "locked.secret",
            Some("sesame"),
            "locked.secret.asc is not opened by the passphrase of passphrase_file",
        ),
        (
            "example.org",
            "anna",
            None,
            "anna.asc holds the public half only; the secret key is needed",
        ),
        (
            "@example.org",
            "anna.secret",
            None,
            "`@example.org` is neither an address nor a domain",
        ),
        (
            "",
            "anna.secret",
            None,
            "`` is neither an address nor a domain",
        ),
    ] {
        let found = signers(&[(name, key)], passphrase)
            .err()
            .unwrap_or_default();
        assert_eq!(found, expected, "{name} {key}");
    }
    let both = [
        ("example.org", "gateway.secret"),
        ("Anna@Example.org", "anna.secret"),
    ];
    let signers = signers(&both, None).unwrap();
    let signs = |author: &str| signers.of_author(author).map(|signer| signer.fingerprint());
    let anna = signs("anna@example.org");
    assert!(anna.is_some() && anna == signs("ANNA@example.org"));
    assert!(signs("bo@example.org").is_some() && signs("bo@example.org") != anna);
    assert_eq!(signs("bo@sub.example.org"), None);
    let shown = format!("{signers:?}");
    assert!(
        !shown.contains("secret") && !shown.contains("MPI"),
        "{shown}"
    );
}

#[test]
fn addresses_are_compared_as_mail_does() {
    for (address, expected) in [
        ("Anna@Example.ORG", "anna@example.org"),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
    ] {
        assert_eq!(compared_address(address), expected);
    }
}

/// A key with these user ids, in a file.
fn of_userids(userids: &[String]) -> Vec<(String, Vec<u8>)> {
    let made = UNIX_EPOCH + Duration::from_secs(NOW as u64 - 86_400);
    let mut key = CertBuilder::new()
        .set_creation_time(made)
        .add_transport_encryption_subkey();
    for userid in userids {
        key = key.add_userid(userid.as_str());
    }
    let (cert, _) = key.generate().unwrap();
    vec![("made".into(), cert.to_vec().unwrap())]
}

fn of_files(files: &[(String, Vec<u8>)]) -> Result<Certs, String> {
    let mut errors = Vec::new();
    let certs = Certs::of("keys", files, Demands::new(false), &mut errors);
    match errors.first() {
        Some(error) => Err(error.message.clone()),
        None => Ok(certs),
    }
}

#[test]
fn a_mailbox_is_one_with_and_without_quotes() {
    let userids = [
        r#""anna b"@example.org"#,
        r#"Bo <"bo"@example.org>"#,
        r#"carl.d@example.org"#,
        r#"Eve <"eve@home"@example.org>"#,
        r#"<"fay f"@evil.example> <gil@example.org>"#,
    ];
    let certs = of_files(&of_userids(&userids.map(String::from))).unwrap();
    for (path, is_found) in [
        (r#""Anna\ B"@example.org"#, true),
        (r#""anna b+x"@example.org"#, true),
        ("bo@example.org", true),
        (r#""bo"@example.org"#, true),
        (r#""carl.d"@example.org"#, true),
        (r#""eve@home"@example.org"#, true),
        ("anna@example.org", false),
        ("eve@home", false),
        (r#""fay f"@evil.example"#, false),
    ] {
        let found = certs.keys_of(&Path::new(path), NOW);
        assert_eq!(found.is_ok(), is_found, "{path}");
    }
}

#[test]
fn copies_of_a_key_are_one_with_all_that_is_in_any() {
    let [(_, one)] = &of_userids(&["anna@example.org".into()])[..] else {
        panic!("one file");
    };
    let certs = of_files(&[("a".into(), one.repeat(7)), ("b".into(), one.clone())]).unwrap();
    assert_eq!(certs.iter().count(), 1);
    let keys = certs.keys_of(&Path::new("anna@example.org"), NOW).unwrap();
    assert_eq!(keys.len(), 1);
}

/// Files of others: what is said names the file, and is said soon.
#[test]
fn a_file_of_junk_is_given_up() {
    let junk = [0xcd, 1, b'x'].repeat(20_000);
    let said = of_files(&[("junk.pgp".into(), junk)]).err();
    let expected = "junk.pgp holds more than 10000 things that are no keys";
    assert_eq!(said.as_deref(), Some(expected));
}

/// The shortest of some times that something takes.
fn shortest(work: impl Fn()) -> Duration {
    let times = (0..5).map(|_| {
        let began = Instant::now();
        work();
        began.elapsed()
    });
    times.min().unwrap()
}

/// Sixteen times as many take sixteen times as long, or several times that on a busy machine; with squares 256 times.
#[test]
fn a_key_of_many_user_ids_takes_time_in_proportion() {
    let times = [300, 4800].map(|number| {
        let userids: Vec<String> = (0..number)
            .map(|n| format!("Anna <anna{n}@example.org>"))
            .collect();
        let certs = of_files(&of_userids(&userids)).unwrap();
        let path = Path::new("anna7@example.org");
        shortest(|| assert_eq!(certs.keys_of(&path, NOW).map(|keys| keys.len()), Ok(1)))
    });
    assert!(times[1] < times[0] * 100, "{times:?}");
}
