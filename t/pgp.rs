//! Encrypting end to end: who has no key is refused when he is named, and nobody gets what he cannot open.
//!
//! That other programs open and verify it is seen in `interop/pgp.sh`; whose key is of use stands beside the code.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::harness::client::Client;
use crate::harness::daemon::{PLAIN, Setup, World};
use crate::harness::{Directory, contains, root, run};

/// Copies of keys, where nobody can replace them.
fn put(directory: &Directory, names: &[&str]) -> String {
    let mut paths = Vec::new();
    for name in names {
        let source = root().join("mimicry-plugins/tests/keys/pgp").join(name);
        let path = directory.file(name, fs::read(source).expect("a key of the tests"));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("our own file");
        paths.push(format!("{:?}", path.display().to_string()));
    }
    paths.join(", ")
}

fn rules(keys: &str, more: &str) -> String {
    format!(
        "[[rule]]\nname = \"e\"\nplugin = \"pgp_encrypt\"\n{more}[rule.options]\nkeys = [{keys}]\n"
    )
}

fn begin(world: &World) -> Client {
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    client
}

const WHY: &str = "must be encrypted, and";

// T164
// man: mimicry-plugins(7) "a recipient without a usable key is refused when he is named, and the others get their mail:"
#[test]
fn who_has_no_key_is_refused_when_he_is_named() {
    let directory = Directory::new();
    let keys = put(&directory, &["bo.asc", "expired.asc"]);
    let rules = rules(&keys, "");
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    let mut client = begin(&world);
    client.says("RCPT TO:<bo@example.com>", 250);
    for (recipient, why) in [
        (
            "nobody@example.com",
            "there is no key of nobody@example.com",
        ),
        (
            "expired@example.com",
            "the key of expired@example.com expired on 2026-06-01",
        ),
    ] {
        let reply = client.says(format!("RCPT TO:<{recipient}>"), 550);
        assert_eq!(reply.enhanced(), Some("5.7.1"));
        let said = format!("mail to {recipient} {WHY} {why}");
        assert!(format!("{reply:?}").contains(&said), "{reply:?}");
    }
    assert!(client.data(PLAIN).is_done());
    let taken = world.hop.only_mail();
    assert_eq!(taken.recipients(), ["bo@example.com"]);
    assert!(contains(&taken.message(), b"multipart/encrypted"));
    assert!(!contains(&taken.message(), b"text/plain"));
}

// T164
// man: mimicry-plugins(7) "the answer is given at the end of the message, and then nobody gets it."
#[test]
fn where_the_message_decides_nobody_gets_it() {
    let directory = Directory::new();
    let keys = put(&directory, &["bo.asc"]);
    let rules = rules(&keys, "unless.encrypted = true\n");
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    let mut client = begin(&world);
    client.says("RCPT TO:<bo@example.com>", 250);
    client.says("RCPT TO:<nobody@example.com>", 250);
    let reply = client.data(PLAIN);
    assert_eq!((reply.code, reply.enhanced()), (550, Some("5.7.1")));
    assert!(world.hop.mails().is_empty());
}

// man: mimicryd(8) "Of the others it shows whose each key is, its fingerprint and kind, what it is for, and until when, or why it is of no use."
#[test]
fn keys_and_their_ends_are_listed() {
    let directory = Directory::new();
    put(&directory, &["bo.asc", "expired.asc", "anna.secret.asc"]);
    let rules = "[[rule]]\nname = \"e\"\nplugin = \"pgp_encrypt\"\n[rule.options]\nkeys = [\"bo.asc\", \"expired.asc\"]\n\
        sign_keys = { \"example.org\" = \"anna.secret.asc\" }\n";
    directory.file("m.toml", rules);
    let listed = run(directory.path(), &["keys", "-c", "m.toml"], b"");
    let lines: Vec<&str> = listed.text().lines().collect();
    let of = |owner: &str| {
        let mut lines = lines.iter().filter(|line| line.contains(owner));
        lines.next().unwrap_or_else(|| panic!("{owner}: {lines:?}"))
    };
    assert!(of("bo@example.com").ends_with("encrypts"), "{lines:?}");
    assert!(of("expired@example.com").ends_with("of no use: expired on 2026-06-01"));
    assert!(
        of("  example.org  ").ends_with("ed25519  signs"),
        "{lines:?}"
    );
    let checked = run(
        directory.path(),
        &["check", "--offline", "-c", "m.toml"],
        b"",
    );
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(
        checked.err.contains("expired on 2026-06-01") && !checked.err.contains("bo@example.com"),
        "{}",
        checked.err
    );
}

// man: mimicryd(8) "Rules that only banks put in force are among them, each once; those that are off are not."
#[test]
fn rules_that_only_banks_put_in_force_have_keys_too() {
    let directory = Directory::new();
    put(&directory, &["bo.asc", "expired.asc"]);
    let rule = |name: &str, file: &str, mode: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\nplugin = \"pgp_encrypt\"\nmode = \"{mode}\"\noptions.keys = [\"{file}\"]\n"
        )
    };
    let bank = |name: &str, rules: &str| {
        format!("[[bank]]\nname = \"{name}\"\nwhen.sender = \"{name}@example.org\"\n{rules}\n")
    };
    let text = "rules = []\n".to_string()
        + &rule("late", "expired.asc", "enforce")
        + &rule("off", "expired.asc", "off")
        + &rule("tried", "bo.asc", "shadow")
        + &rule("nowhere", "bo.asc", "enforce")
        + &bank("one", "rules = [\"late\", \"off\"]")
        + &bank("two", "rules_add = [\"late\", \"tried\"]");
    directory.file("m.toml", text);
    let listed = run(directory.path(), &["keys", "-c", "m.toml"], b"");
    assert_eq!(listed.code, 0, "{}", listed.err);
    let names = listed.text().lines().filter(|line| !line.starts_with(' '));
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["late (pgp_encrypt)", "tried (pgp_encrypt)"]);
    let check = ["check", "--offline", "-c", "m.toml"];
    let checked = run(directory.path(), &check, b"");
    assert_eq!(checked.code, 0, "{}", checked.err);
    let said = "rule \"late\": the key of expired@example.com";
    assert_eq!(checked.err.matches(said).count(), 1, "{}", checked.err);
    assert!(!checked.err.contains("\"off\": the key"), "{}", checked.err);
}

// man: mimicryd(8) "files of keys, it needs no configuration: it lists what is in them as for a rule that names them and says nothing else."
// man: mimicryd(8) "If one of the files cannot be read it exits 74, if one holds no key 65, and lists the others all the same."
#[test]
fn files_of_keys_are_listed_without_a_configuration() {
    let directory = Directory::new();
    let names = ["bo.asc", "expired.asc", "revoked.asc", "anna.secret.asc"];
    put(&directory, &names);
    let dkim = root().join("mimicry-plugins/tests/keys/ed25519.pem");
    let path = directory.file("s1.pem", fs::read(dkim).expect("a key of the tests"));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("our own file");
    let all = [["keys"].as_slice(), &names, &["s1.pem"]].concat();
    let listed = run(directory.path(), &all, b"");
    assert_eq!((listed.code, listed.err.as_str()), (0, ""));
    let lines: Vec<&str> = listed.text().lines().collect();
    for (start, end) in [
        ("bo.asc", "(OpenPGP)"),
        ("  bo@example.com  ", "  encrypts"),
        (
            "  expired@example.com  ",
            "  encrypts  of no use: expired on 2026-06-01",
        ),
        (
            "  revoked@example.com  ",
            "  encrypts  of no use: was revoked",
        ),
        ("  anna@example.org  ", "  encrypts"),
        ("  anna@example.org  ", "  ed25519  signs"),
        ("s1.pem", "(DKIM)"),
        ("  DOMAIN  s1  ed25519", ""),
        ("s1._domainkey.DOMAIN. IN TXT (", ""),
    ] {
        let is_it = |line: &&str| line.starts_with(start) && line.ends_with(end);
        assert!(lines.iter().any(is_it), "{start}{end}: {lines:#?}");
    }
    // What is wrong with one file is no matter of the others.
    directory.file("text", "Hello");
    let ran = run(directory.path(), &["keys", "text", "bo.asc"], b"");
    assert_eq!(ran.code, 65);
    assert!(
        ran.err.starts_with("mimicryd: text holds no key"),
        "{}",
        ran.err
    );
    assert!(ran.text().contains("bo@example.com"), "{}", ran.text());
    let ran = run(directory.path(), &["keys", "missing", "bo.asc"], b"");
    assert_eq!(ran.code, 74);
    assert!(ran.text().contains("bo@example.com"), "{}", ran.text());
    // A secret that others may read is named, and so is what was asked twice.
    let secret = directory.path().join("anna.secret.asc");
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).expect("our own file");
    let ran = run(directory.path(), &["keys", "anna.secret.asc"], b"");
    let said = "a rule would not take anna.secret.asc";
    assert!(ran.code == 0 && ran.err.contains(said), "{}", ran.err);
    assert!(!ran.text().contains("PRIVATE"), "{}", ran.text());
    assert_eq!(
        run(directory.path(), &["keys", "-c", "m.toml", "bo.asc"], b"").code,
        64
    );
}
