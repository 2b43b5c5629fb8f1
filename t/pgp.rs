//! Encrypting end to end: who has no key is refused when he is named, and nobody gets what he cannot open.
//!
//! That other programs open and verify it is seen in `interop/pgp.sh`; whose key is of use stands beside the code.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::harness::client::Client;
use crate::harness::daemon::{PLAIN, Setup, World};
use crate::harness::hop::{Act, Stage};
use crate::harness::{Directory, FOOTER, contains, root, run};

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

/// A daemon whose only rule encrypts to these keys, and the directory of these.
fn encrypting(keys: &[&str], more: &str) -> (Directory, World) {
    let directory = Directory::new();
    let rules = rules(&put(&directory, keys), more);
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    (directory, world)
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
    let (_directory, world) = encrypting(&["bo.asc", "expired.asc"], "");
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
    let (_directory, world) = encrypting(&["bo.asc"], "unless.encrypted = true\n");
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
    // A key that was made to sign with is listed as one that signs, and with no reproach.
    put(&directory, &["locked.secret.asc"]);
    let ran = run(directory.path(), &["keys", "locked.secret.asc"], b"");
    assert_eq!(ran.text().matches("  signs").count(), 1, "{}", ran.text());
    assert!(!ran.text().contains("of no use"), "{}", ran.text());
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
    for (name, said) in [
        ("missing", "cannot read missing"),
        (".", "name files in it"),
    ] {
        let ran = run(directory.path(), &["keys", name, "bo.asc"], b"");
        assert_eq!(ran.code, 74);
        assert!(ran.err.contains(said), "{}", ran.err);
        assert!(ran.text().contains("bo@example.com"), "{}", ran.text());
    }
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

// man: mimicry.toml(5) "Nor is a refusal of a recipient by a rule or a limit, or a DATA after no recipient was accepted, as long as a transaction has no more of them than"
#[test]
fn however_many_have_no_key_the_others_get_their_mail() {
    let directory = Directory::new();
    let keys = put(&directory, &["bo.asc"]);
    for (no_key, code) in [("reject", 550), ("defer", 451)] {
        let rules = rules(&keys, "") + &format!("no_key = \"{no_key}\"\n");
        let world = World::new(Setup {
            rules: &rules,
            limits: "errors = 3",
            ..Setup::default()
        });
        let mut client = begin(&world);
        for n in 0..50 {
            client.says(format!("RCPT TO:<nobody{n}@example.com>"), code);
            client.says(format!("RCPT TO:<bo+{n}@example.com>"), 250);
        }
        assert!(client.data(PLAIN).is_done());
        assert_eq!(world.hop.only_mail().recipients().len(), 50);
        // Nor does it add up over mails that are for nobody else.
        for n in 0..10 {
            client.says("MAIL FROM:<anna@example.org>", 250);
            client.says(format!("RCPT TO:<nobody{n}@example.com>"), code);
            client.says("RSET", 250);
        }
        client.quit();
    }
}

// T164
// man: mimicryd(8) "The ledger remembers who has the mail by then, and the retry delivers only what is missing"
#[test]
fn when_one_class_fails_nothing_is_doubled_and_nobody_gets_it_in_the_clear() {
    let (_directory, world) = encrypting(&["bo.asc"], "match.recipient_domain = \"example.com\"\n");
    let to = ["bo@example.com", "tom@example.net", "eva@example.net"];
    let acts = [
        Act::Say(b"451 4.3.0 not now\r\n".to_vec()),
        Act::Say(b"what?\r\n".to_vec()),
        Act::SayAndClose(b"421 4.3.2 bye\r\n".to_vec()),
        Act::Close,
        Act::Reset,
    ];
    for (number, act) in acts.into_iter().enumerate() {
        for failing in 1..=2 {
            let act = act.clone();
            world.hop.behave(move |moment| match moment.stage {
                Stage::Dot if moment.nth == failing => act.clone(),
                _ => Act::Normal,
            });
            let mail = [PLAIN, format!("{number} {failing}\r\n").as_bytes()].concat();
            let mut client = world.client();
            let reply = client.mail("anna@example.org", &to, &mail);
            assert!(reply.is_temporary(), "{number} {failing}: {reply}");
            let reply = client.mail("anna@example.org", &to, &mail);
            assert!(reply.is_done(), "{number} {failing}: {reply}");
            client.quit();
            let mails = world.hop.mails();
            let mut got: Vec<&str> = mails.iter().flat_map(|mail| mail.recipients()).collect();
            got.sort_unstable();
            assert_eq!(
                got,
                ["bo@example.com", "eva@example.net", "tom@example.net"]
            );
            for mail in &mails {
                let is_sealed = contains(&mail.message(), b"multipart/encrypted");
                let is_clear = contains(&mail.message(), b"Hello, Bob.");
                let for_bo = mail.recipients().contains(&"bo@example.com");
                assert_eq!(
                    (is_sealed, is_clear),
                    (for_bo, !for_bo),
                    "{number} {failing}"
                );
            }
        }
    }
}

/// What mails are called at other gateways by mistake, or on purpose.
const ODD: &[(&str, &str)] = &[
    (
        "is forwarded, and the header names somebody else",
        "From: anna@example.org\nTo: old-address@example.net\nSubject: s\n\nSECRET\n",
    ),
    (
        "names another in the header, and the recipient in Resent-To",
        "Resent-From: list@example.net\nResent-To: bo@example.com\nFrom: anna@example.org\nTo: team@example.net\n\nSECRET\n",
    ),
    (
        "has no To",
        "From: anna@example.org\nSubject: s\n\nSECRET\n",
    ),
    (
        "is HTML alone, in quoted-printable",
        "From: anna@example.org\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>SECRET =3D</p>\n",
    ),
    (
        "is a text in base64",
        "From: anna@example.org\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nU0VDUkVU\n",
    ),
    (
        "has octets that its charset does not have",
        "From: anna@example.org\nContent-Type: text/plain; charset=us-ascii\n\nSECRET \u{e9}\n",
    ),
    (
        "has two types",
        "From: anna@example.org\nContent-Type: text/plain\nContent-Type: text/html\n\nSECRET\n",
    ),
    (
        "says that it is encrypted by PGP",
        "From: anna@example.org\nContent-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\n\n--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n\n--b\nContent-Type: application/octet-stream\n\nSECRET\n--b--\n",
    ),
    (
        "says that it is encrypted by S/MIME",
        "From: anna@example.org\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\nContent-Transfer-Encoding: base64\n\nU0VDUkVU\n",
    ),
    (
        "has armour around a plain text",
        "From: anna@example.org\n\n-----BEGIN PGP MESSAGE-----\n\nSECRET\n-----END PGP MESSAGE-----\n",
    ),
    (
        "says in its subject that it is encrypted",
        "From: anna@example.org\nSubject: [encrypted]\nX-PGP-Encrypted: yes\n\nSECRET\n",
    ),
    (
        "is a delivery report with the mail in it",
        "From: MAILER-DAEMON@example.org\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSECRET\n--b\nContent-Type: message/rfc822\n\nSubject: s\n\nSECRET\n--b--\n",
    ),
];

// man: mimicry-plugins(7) "What is there counts, not what it is called:"
#[test]
fn whatever_a_mail_says_of_itself_whoever_the_envelope_names_gets_it_encrypted() {
    let (_directory, world) = encrypting(&["bo.asc"], "match.recipient_domain = \"example.com\"\n");
    for (what, mail) in ODD {
        for sender in ["anna@example.org", ""] {
            let mail = mail.replace('\n', "\r\n");
            let to = ["BO+x@Example.COM"];
            let reply = world.client().mail(sender, &to, mail.as_bytes());
            assert!(reply.is_done(), "a mail that {what}: {reply}");
            let got = world.untraced(&world.hop.only_mail());
            for word in ["SECRET", "U0VDUkVU"] {
                assert!(!contains(&got, word.as_bytes()), "a mail that {what}");
            }
            let text = String::from_utf8(got).expect("it is in ASCII");
            let (header, _) = text.split_once("\r\n\r\n").expect("a body");
            let starting = |name: &str| {
                let lines = header.lines();
                lines
                    .filter(|line| line.to_ascii_lowercase().starts_with(name))
                    .count()
            };
            // Readers take no message in PGP/MIME apart that has more.
            assert_eq!(
                (
                    starting("content-"),
                    starting("content-type: multipart/encrypted")
                ),
                (1, 1),
                "a mail that {what}: {header}"
            );
            assert_eq!(starting("mime-version:"), 1, "a mail that {what}: {header}");
        }
    }
}

// man: mimicry-plugins(7) "A reload reads all keys again."
#[test]
fn a_key_that_is_put_in_place_counts_after_a_reload() {
    let directory = Directory::new();
    put(&directory, &["bo.asc"]);
    let all = format!("{:?}", directory.path().display().to_string());
    let rules = rules(&all, "");
    let mut world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    let to = ["anna@example.org"];
    begin(&world).says(format!("RCPT TO:<{}>", to[0]), 550);
    put(&directory, &["anna.asc"]);
    let reload = world.daemon().command(&["reload", "--wait"]);
    assert_eq!(reload.code, 0, "{}", reload.err);
    let reply = world.client().mail("bo@example.com", &to, PLAIN);
    assert!(reply.is_done(), "{reply}");
    assert!(contains(
        &world.hop.only_mail().message(),
        b"multipart/encrypted"
    ));
}

// man: mimicry-plugins(7) "A mail whose header is larger than the limits allow cannot be signed or encrypted:"
#[test]
fn a_header_beyond_the_limits_is_named() {
    let (_directory, world) = encrypting(&["bo.asc"], "");
    let many: Vec<String> = (0..4000)
        .map(|n| format!("user{n}@recipients.example"))
        .collect();
    let long = format!(
        "From: a@example.org\r\nTo: {}\r\n\r\nx\r\n",
        many.join(",\r\n ")
    );
    let fields: String = (0..9000).map(|n| format!("X-{n}: y\r\n")).collect();
    let twice = format!("From: a@example.org\r\n{fields}\r\nx\r\n");
    for mail in [long, twice] {
        let reply = world
            .client()
            .mail("anna@example.org", &["bo@example.com"], mail.as_bytes());
        assert_eq!(reply.code, 451, "{reply}");
        let said =
            "the mail cannot be encrypted: it has a header that is larger than limits.header";
        assert!(reply.to_string().contains(said), "{reply}");
    }
    assert!(world.hop.mails().is_empty());
}

// man: mimicry-plugins(7) "A mail that was signed can be made again, one that was encrypted never."
#[test]
fn a_mail_that_was_signed_can_be_made_again_and_one_that_was_encrypted_never() {
    let directory = Directory::new();
    let sign = format!(
        "[[rule]]\nname = \"sign\"\nplugin = \"pgp_sign\"\nmatch.client = \"127.0.0.0/8\"\noptions.keys = {{ \"example.org\" = {} }}\n",
        put(&directory, &["anna.secret.asc"])
    );
    let encrypt = rules(&put(&directory, &["bo.asc"]), "");
    let instance = "[[rule]]\nname = \"how to undo it\"\nplugin = \"message_instance\"\n";
    let coded = "From: Anna <anna@example.org>\r\nSubject: s\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße \r\nFrom here\r\n";
    for (rules, can) in [
        ([&sign, instance].concat(), true),
        ([FOOTER, &sign, instance].concat(), true),
        ([FOOTER, &sign, &encrypt, instance].concat(), false),
    ] {
        let world = World::new(Setup {
            rules: &rules,
            ..Setup::default()
        });
        for mail in [PLAIN, coded.as_bytes()] {
            let mut client = begin(&world);
            client.says("RCPT TO:<bo@example.com>", 250);
            assert!(client.data(mail).is_done());
            let got = world.untraced(&world.hop.only_mail());
            directory.file("got.eml", &got);
            let ran = run(directory.path(), &["restore", "got.eml", "-o", "-"], b"");
            assert_eq!(ran.code == 0 && ran.out == mail, can, "{}", ran.err);
            assert_eq!(ran.code, if can { 0 } else { 65 }, "{}", ran.err);
        }
    }
}
