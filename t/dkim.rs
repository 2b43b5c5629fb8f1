//! Signing with DKIM end to end: the octets that the next hop gets bear a signature that holds.
//!
//! That other programs say so, too, is seen in `interop/dkim-sign.sh`; whose key signs for whom stands beside the code.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mimicry_core::message::{Limits, Message};
use mimicry_plugins::shared::dkim::key::Key;
use mimicry_plugins::shared::dkim::tags::Signature;

use crate::harness::daemon::{PLAIN, Setup, World};
use crate::harness::{Directory, root, run};

const RULES: &str = "[[rule]]\nname = \"f\"\nplugin = \"disclaim\"\noptions = { text = \"-- Grüße\", html = \"<p>x</p>\" }\n\
    [[rule]]\nname = \"d\"\nplugin = \"dkim_sign\"\nmatch.client = \"127.0.0.0/8\"\n";

fn pem(name: &str) -> Vec<u8> {
    let path = root().join("mimicry-plugins/tests/keys").join(name);
    fs::read(path).expect("a key of the tests")
}

/// A key for the daemon, in a directory where nobody can replace it.
fn put(directory: &Directory, name: &str, mode: u32) -> String {
    put_as(directory, name, name, mode)
}

fn put_as(directory: &Directory, file: &str, name: &str, mode: u32) -> String {
    directory.file(file, pem(name));
    let path = directory.path().join(file);
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("our own file");
    path.display().to_string()
}

/// The domains and selectors whose signatures hold, from above.
fn holding(octets: Vec<u8>) -> Vec<String> {
    let message = Message::scan(octets, &Limits::default());
    let keys = ["rsa.pem", "ed25519.pem"].map(|name| Key::read(&pem(name)).expect("a key"));
    Signature::of(&message)
        .filter(|signature| {
            keys.iter()
                .any(|key| signature.is_by(key, signature.covered(&message)))
        })
        .map(|signature| format!("{} {}", signature.domain, signature.selector))
        .collect()
}

// T167
// man: mimicry-plugins(7) "The master reads it when the configuration is loaded; workers never open it."
// man: mimicry-plugins(7) "To a next hop without 8BITMIME the mail is brought into 7 bits before it is signed."
#[test]
fn what_leaves_is_signed_with_keys_that_no_worker_opens() {
    let keys = Directory::new();
    let (rsa, ed25519) = (
        put(&keys, "rsa.pem", 0o640),
        put(&keys, "ed25519.pem", 0o600),
    );
    let rules =
        format!("{RULES}options.keys = {{ \"example.org\" = [\"{rsa}\", \"{ed25519}\"] }}\n");
    let setup = Setup {
        rules: &rules,
        daemon: "mails_per_worker = 1",
        errors: &["configuration refused"],
        ..Setup::default()
    };
    let mut world = World::new(setup);
    let both = ["example.org rsa", "example.org ed25519"];
    let signed = world.pass(PLAIN);
    assert!(String::from_utf8_lossy(&signed).contains("Gr=C3=BC=C3=9Fe"));
    assert_eq!(holding(signed), both);
    // Workers that are born later have the keys, too.
    fs::remove_file(&rsa).expect("our own file");
    for _ in 0..3 {
        assert_eq!(holding(world.pass(PLAIN)), both);
    }
    // A reload reads them again, and one that fails changes nothing.
    let reloaded = world.daemon().command(&["reload"]);
    assert_ne!(reloaded.code, 0, "{}", reloaded.err);
    assert!(
        reloaded.complaints().contains("rsa.pem"),
        "{}",
        reloaded.err
    );
    assert_eq!(holding(world.pass(PLAIN)), both);

    world.hop.offer(&["SIZE 100000", "PIPELINING"]);
    let eight = "From: anna@example.org\r\nSubject: plain\r\nMessage-ID: <8@example.org>\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n";
    world.hop.hang_up();
    let signed = world.pass(eight.as_bytes());
    assert!(signed.is_ascii());
    assert_eq!(holding(signed), both);
}

// T168
// man: mimicry-plugins(7) "It belongs to root, or to the user who starts mimicryd, and has mode 0600, or 0640."
#[test]
fn a_key_that_others_can_read_is_refused() {
    let directory = Directory::new();
    let path = put(&directory, "rsa.pem", 0o600);
    directory.file(
        "m.toml",
        format!("{RULES}options.keys = {{ \"example.org\" = \"rsa.pem\" }}\n"),
    );
    for (mode, said) in [
        (0o600, ""),
        (0o640, ""),
        (
            0o644,
            "can be read by others or changed by its group (mode 0644)",
        ),
        (
            0o660,
            "can be read by others or changed by its group (mode 0660)",
        ),
    ] {
        fs::set_permissions(Path::new(&path), Permissions::from_mode(mode)).expect("our own file");
        let ran = run(directory.path(), &["check", "-c", "m.toml"], b"");
        assert_eq!(
            ran.code == 0,
            said.is_empty(),
            "{mode:o}: {}",
            ran.complaints()
        );
        assert!(ran.complaints().contains(said), "{}", ran.complaints());
        assert!(
            !ran.complaints().contains("PRIVATE"),
            "{}",
            ran.complaints()
        );
    }
}

// man: mimicry-plugins(7) "A directory that has, for each domain, a directory of its name with its keys"
#[test]
fn a_directory_has_the_keys_of_many_domains() {
    let keys = Directory::new();
    let tree = keys.path().join("dkim");
    for (domain, file, name) in [
        ("example.org", "s1.private", "rsa.pem"),
        ("example.org", "e1.pem", "ed25519.pem"),
        ("example.net", "s1.key", "rsa.pem"),
    ] {
        fs::create_dir_all(tree.join(domain)).expect("a directory");
        put_as(&keys, &format!("dkim/{domain}/{file}"), name, 0o600);
        fs::write(tree.join(domain).join("s1.txt"), "s1._domainkey IN TXT").expect("our own file");
    }
    let rules = format!("{RULES}options.key_dir = \"{}\"\n", tree.display());
    let setup = Setup {
        rules: &rules,
        ..Setup::default()
    };
    let mut world = World::new(setup);
    assert_eq!(
        holding(world.pass(PLAIN)),
        ["example.org s1", "example.org e1"]
    );
    let other = String::from_utf8_lossy(PLAIN).replace("example.org", "example.com");
    assert!(holding(world.pass(other.as_bytes())).is_empty());
    // A new domain, after a reload.
    fs::rename(tree.join("example.net"), tree.join("example.com")).expect("our own directory");
    assert_eq!(world.daemon().command(&["reload"]).code, 0);
    assert_eq!(holding(world.pass(other.as_bytes())), ["example.com s1"]);
}

// man: mimicryd(8) "Of DKIM and ARC it shows domain, selector and kind, and for each key the record that the DNS must have, as a zone file has it."
#[test]
fn keys_are_listed_with_their_records() {
    let directory = Directory::new();
    put(&directory, "rsa.pem", 0o600);
    put(&directory, "ed25519.pem", 0o600);
    let rules =
        format!("{RULES}options.keys = {{ \"example.org\" = [\"ed25519.pem\", \"rsa.pem\"] }}\n");
    directory.file("m.toml", rules);
    let ran = run(directory.path(), &["keys", "-c", "m.toml"], b"");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = String::from_utf8(ran.out).expect("text");
    let public = String::from_utf8(pem("public.pem")).expect("text");
    let base64: String = public
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "d (dkim_sign)");
    assert_eq!(lines[1], "  example.org  rsa  rsa 2048");
    assert_eq!(lines[2], "rsa._domainkey.example.org. IN TXT (");
    let end = lines
        .iter()
        .position(|line| *line == "    )")
        .expect("an end");
    let record: String = lines[3..end]
        .iter()
        .map(|line| line.trim().trim_matches('"'))
        .collect();
    assert_eq!(record, format!("v=DKIM1; k=rsa; p={base64}"));
    assert_eq!(lines[end + 1], "  example.org  ed25519  ed25519");
    assert!(lines.iter().all(|line| line.len() <= 80), "{text}");
    assert!(!text.contains("PRIVATE"), "{text}");

    directory.file(
        "m.toml",
        "[[rule]]\nname = \"z\"\nplugin = \"zip\"\noptions.name = \"a.zip\"\n",
    );
    let ran = run(directory.path(), &["keys", "-c", "m.toml"], b"");
    assert_eq!(
        (ran.code, ran.out.as_slice()),
        (0, b"no rule has keys\n".as_slice())
    );
}

/// The names in the tag `h` of each signature, from above.
fn covered(octets: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(octets)
        .replace("\r\n\t", "")
        .replace("\r\n ", "");
    let lines = text
        .lines()
        .filter(|line| line.starts_with("DKIM-Signature:"));
    lines
        .filter_map(|line| {
            line.split(';')
                .find_map(|tag| tag.trim().strip_prefix("h="))
        })
        .map(|names| names.replace(' ', "").to_ascii_lowercase())
        .collect()
}

// man: mimicry-plugins(7) "as often as they stand in the mail and once more, so that nobody can add one"
// man: mimicry-plugins(7) "A mail with no From field, or with several, fails"
#[test]
fn a_signature_holds_wherever_fields_stand_and_names_each_once_more() {
    let keys = Directory::new();
    let (one, other) = (
        put_as(&keys, "s1.pem", "rsa.pem", 0o600),
        put_as(&keys, "s2.pem", "ed25519.pem", 0o600),
    );
    let rules = format!(
        "[[rule]]\nname = \"d\"\nplugin = \"dkim_sign\"\nmatch.client = \"127.0.0.0/8\"\n\
         options.keys = {{ \"example.org\" = \"{one}\", \"example.net\" = \"{other}\" }}\n"
    );
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    let org = "From: a@example.org";
    let long = format!(
        "{org}\nSubject: {}",
        "=?utf-8?q?=C3=A4=C3=B6?=\n ".repeat(200).trim_end()
    );
    for (header, expected) in [
        (
            "Subject: first\nFrom: a@example.org",
            vec!["example.org s1"],
        ),
        (
            "Sender: s@example.net\nFrom: a@example.org",
            vec!["example.org s1"],
        ),
        (
            "From:a@example.org\nsUBJECT:x\nTO: b@c.example",
            vec!["example.org s1"],
        ),
        (
            "FROM: (example.org) \"a@example.org\" <b@EXAMPLE.net>",
            vec!["example.net s2"],
        ),
        (
            "From: a@example.org,\n b@example.net",
            vec!["example.org s1"],
        ),
        (
            "From: Team: a@example.org, b@c.example;",
            vec!["example.org s1"],
        ),
        (
            "Resent-From: b@example.net\nFrom: a@example.org",
            vec!["example.org s1"],
        ),
        (
            "From: a@example.org\nTo: b@c.example\nTo: d@e.example",
            vec!["example.org s1"],
        ),
        (&long, vec!["example.org s1"]),
        ("From: a@sub.example.org", vec![]),
        ("From: undisclosed:;", vec![]),
    ] {
        for body in ["", "x \n\n\n", ".\n..\n", "\n\n", "\u{e4}\n"] {
            let mail = format!("{header}\n\n{body}").replace('\n', "\r\n");
            let got = world.pass(mail.as_bytes());
            assert_eq!(holding(got.clone()), expected, "{mail}");
            for names in covered(&got) {
                let times = |name: &str| names.split(':').filter(|one| *one == name).count();
                let stands = |name: &str| {
                    let lines = header.lines();
                    lines
                        .filter(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))
                        .count()
                };
                for name in ["from", "subject", "to", "cc", "reply-to", "sender"] {
                    assert_eq!(times(name), stands(name) + 1, "{name} in {names}: {mail}");
                }
            }
        }
    }
    for header in [
        "From: a@example.org\r\nfrom: b@evil.example",
        "Subject: x",
        "Subject: x\r\nFrom : a@example.org\r\nFrom: b@evil.example",
    ] {
        let mail = format!("{header}\r\n\r\nx\r\n");
        let reply = world
            .client()
            .mail("a@example.org", &["b@c.example"], mail.as_bytes());
        assert!(reply.is_temporary(), "{header}: {reply}");
        assert!(reply.to_string().contains("From field"), "{reply}");
    }
    assert!(world.hop.mails().is_empty());
}
