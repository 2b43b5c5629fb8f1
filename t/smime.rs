//! S/MIME end to end: what the next hop gets can be verified and decrypted, and what a client hears when a certificate will not do.
//!
//! That other programs say so, too, is seen in `interop/smime.sh`; each way in which a certificate can be bad stands beside the code.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use mimicry_core::message::{Limits, Message};
use mimicry_plugins::shared::date::day;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::x509::store::X509StoreBuilder;

use crate::harness::client::Client;
use crate::harness::daemon::{PLAIN, Setup, World};
use crate::harness::hop::{Act, Stage};
use crate::harness::{Directory, contains, run};
use crate::memory::peak;

#[path = "../mimicry-plugins/src/shared/smime/made.rs"]
#[expect(dead_code, reason = "some kinds are for the tests of the functions")]
mod made;

use made::{DAY, Kind, Made, Says, authority, root};

/// The certificates of the tests are made for a fixed day; a daemon has the day of today.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("a clock").as_secs()).expect("a clock")
}

/// Valid now.
fn says() -> Says<'static> {
    Says {
        from: now() - DAY,
        until: now() + 300 * DAY,
        ..Says::default()
    }
}

/// A root, an issuer below it, and files of both in a directory where nobody can replace them.
struct House {
    files: Directory,
    root: Made,
    issuer: Made,
}

impl House {
    fn new() -> House {
        let now = now();
        let times = |says: Says<'static>| Says {
            from: now - 10 * DAY,
            until: now + 3000 * DAY,
            ..says
        };
        let root = root("Good Root");
        let issuer = root.issue(times(authority("Good Issuer")));
        let house = House {
            files: Directory::new(),
            root,
            issuer,
        };
        house.put("root.pem", house.root.certificate_pem());
        fs::create_dir(house.path("partners")).expect("a directory");
        house.put("partners/issuer.pem", house.issuer.certificate_pem());
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.files.file(name, content);
        let path = self.path(name);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("our own file");
        path.display().to_string()
    }

    /// A certificate of a recipient, in its file.
    fn partner(&self, name: &str, says: Says<'_>) -> Made {
        let made = self.issuer.issue(says);
        self.put(&format!("partners/{name}.pem"), made.certificate_pem());
        made
    }

    /// A rule that signs for Anna with such a key.
    fn signing(&self, kind: Kind, more: &str) -> String {
        let anna = self.issuer.issue(Says {
            name: "Anna",
            emails: &["anna@example.org"],
            kind,
            ..says()
        });
        let pem = [
            anna.pem(),
            self.issuer.certificate_pem(),
            self.root.certificate_pem(),
        ]
        .concat();
        let path = self.put("anna.pem", pem);
        format!(
            "[[rule]]\nname = \"sign\"\nplugin = \"smime_sign\"\nmatch.client = \"127.0.0.0/8\"\n\
             [rule.options]\nkeys = {{ \"anna@example.org\" = \"{path}\" }}\n{more}\n"
        )
    }

    /// A rule that encrypts to the partners.
    fn encrypting(&self, more: &str) -> String {
        format!(
            "[[rule]]\nname = \"encrypt\"\nplugin = \"smime_encrypt\"\n[rule.options]\n\
             certificates = \"{}\"\nca_file = \"{}\"\n{more}\n",
            self.path("partners").display(),
            self.path("root.pem").display()
        )
    }

    /// What is signed, verified with the root alone.
    fn verified(&self, octets: Vec<u8>) -> Option<Vec<u8>> {
        let message = Message::scan(octets, &Limits::default());
        let mut store = X509StoreBuilder::new().expect("a store");
        store.add_cert(self.root.x509.clone()).expect("a root");
        let store = store.build();
        let (der, detached) = match message.root().children().next() {
            None => (message.root().decoded().expect("base64").into_owned(), None),
            Some(first) => {
                let signature = message.root().children().nth(1).expect("a signature");
                assert_eq!(signature.media_type(), "application/pkcs7-signature");
                (
                    signature.decoded().expect("base64").into_owned(),
                    Some(first.raw().to_vec()),
                )
            }
        };
        let mut cms = CmsContentInfo::from_der(&der).expect("CMS");
        let mut content = Vec::new();
        let options = CMSOptions::BINARY;
        let verdict = cms.verify(
            None,
            Some(&store),
            detached.as_deref(),
            Some(&mut content),
            options,
        );
        verdict.ok().map(|()| content)
    }
}

/// What is encrypted, for this one.
fn decrypted(octets: Vec<u8>, to: &Made) -> Option<Vec<u8>> {
    let message = Message::scan(octets, &Limits::default());
    assert_eq!(message.root().media_type(), "application/pkcs7-mime");
    let der = message.root().decoded().expect("base64").into_owned();
    let cms = CmsContentInfo::from_der(&der).expect("CMS");
    cms.decrypt(&to.key, &to.x509).ok()
}

fn recipients(client: &mut Client, to: &[&str]) -> Vec<String> {
    client.says("MAIL FROM:<anna@example.org>", 250);
    let each = to
        .iter()
        .map(|to| client.ask(format!("RCPT TO:<{to}>")).to_string());
    each.collect()
}

// T167
// man: mimicry-plugins(7) "The certificate must be for the address."
// man: mimicryd(8) "OpenSSL reads no configuration file"
#[test]
fn what_is_signed_is_verified_with_the_root_alone() {
    for (kind, more) in [(Kind::Rsa, ""), (Kind::Ec, ""), (Kind::Ec, "opaque = true")] {
        let house = House::new();
        // Whoever reads this has no SHA-256 any more.
        let broken = house.put(
            "openssl.cnf",
            "openssl_conf = a\n[a]\nproviders = b\n[b]\nbase = c\n[c]\nactivate = 1\n",
        );
        let rules = format!(
            "[[rule]]\nname = \"f\"\nplugin = \"disclaim\"\noptions = {{ text = \"-- Grüße\", html = \"<p>x</p>\" }}\n{}",
            house.signing(kind, more)
        );
        let shell = format!("export OPENSSL_CONF='{broken}'");
        let world = World::new(Setup {
            rules: &rules,
            daemon: "mails_per_worker = 1",
            shell: &shell,
            ..Setup::default()
        });
        for _ in 0..2 {
            let signed = world.pass(PLAIN);
            assert!(contains(&signed, b"Subject: plain\r\n"));
            let content = house.verified(signed).expect("a good signature");
            assert!(contains(&content, b"Gr=C3=BC=C3=9Fe"));
            // Workers that are born later have the key, too.
            let _ = fs::remove_file(house.path("anna.pem"));
        }
        let other = b"From: bob@example.org\r\nMessage-ID: <o@example.org>\r\n\r\nHello.\r\n";
        assert!(!contains(&world.pass(other), b"pkcs7"));
    }
}

// T164
// man: mimicry-plugins(7) "Each recipient is judged for himself, when he is named"
#[test]
fn a_recipient_with_a_bad_certificate_is_refused_with_the_reason() {
    let house = House::new();
    let today = now();
    house.partner("good", says());
    #[rustfmt::skip]
    let table: &[(&str, Says<'_>, String)] = &[
        ("old@p.example", Says { until: today - 30 * DAY, from: today - 90 * DAY, ..says() }, format!("the certificate of old@p.example expired on {}", day(today - 30 * DAY))),
        ("young@p.example", Says { from: today + 30 * DAY, ..says() }, format!("the certificate of young@p.example is not valid before {}", day(today + 30 * DAY))),
        ("sign@p.example", Says { usage: &["digitalSignature"], ..says() }, "the certificate of sign@p.example may not be encrypted to: its key usage lacks keyEncipherment".into()),
        ("curve@p.example", Says { kind: Kind::Ec, usage: &["digitalSignature"], ..says() }, "the certificate of curve@p.example may not be encrypted to: its key usage lacks keyAgreement".into()),
        ("web@p.example", Says { purposes: &["serverAuth"], ..says() }, "the certificate of web@p.example is not for e-mail: its extended key usage lacks emailProtection".into()),
        ("weak@p.example", Says { kind: Kind::Rsa1024, ..says() }, "the certificate of weak@p.example has a key that is too weak (rsa 1024)".into()),
    ];
    for (address, says, _) in table {
        let emails = [*address];
        house.partner(
            address,
            Says {
                emails: &emails,
                ..*says
            },
        );
    }
    let stranger = root("Evil Root").issue(Says {
        emails: &["evil@p.example"],
        ..says()
    });
    house.put("partners/evil.der", stranger.x509.to_der().expect("DER"));
    let gone = house.partner(
        "gone",
        Says {
            emails: &["gone@p.example"],
            ..says()
        },
    );
    let list = house
        .issuer
        .list(&[&gone.x509], today - DAY, today + 9 * DAY);
    let list = house.put("list.pem", list.to_pem().expect("PEM"));
    let rules = house.encrypting(&format!("crl_files = \"{list}\""));
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });

    let mut expected: Vec<(&str, String)> = table
        .iter()
        .map(|(address, _, why)| (*address, why.clone()))
        .collect();
    expected.push((
        "evil@p.example",
        "the certificate of evil@p.example was issued by Evil Root, which is not trusted".into(),
    ));
    expected.push((
        "gone@p.example",
        format!(
            "the certificate of gone@p.example was revoked by Good Issuer on {}",
            day(today - DAY)
        ),
    ));
    expected.push((
        "nobody@p.example",
        "there is no certificate of nobody@p.example".into(),
    ));
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    client.says("RCPT TO:<Bob+news@Partner.Example>", 250);
    for (address, why) in &expected {
        let reply = client.ask(format!("RCPT TO:<{address}>"));
        assert_eq!(
            reply.to_string(),
            format!("550 5.7.1 mail to {address} must be encrypted, and {why}")
        );
    }
    assert!(client.data(PLAIN).is_done());
    let only = world.hop.only_mail();
    assert_eq!(only.recipients(), ["Bob+news@Partner.Example"]);
}

// T164
// man: mimicry-plugins(7) "nobody gets a mail that he cannot open"
#[test]
fn recipients_with_and_without_a_certificate_get_what_they_can_read() {
    let house = House::new();
    let bob = house.partner("bob", says());
    let eve = house.partner(
        "eve",
        Says {
            emails: &["eve@p.example"],
            kind: Kind::Ec,
            usage: &["keyAgreement"],
            ..says()
        },
    );
    let gateway = house.partner(
        "gateway",
        Says {
            emails: &["gateway@big.example"],
            ..says()
        },
    );
    let to = [
        "bob@partner.example",
        "eve@p.example",
        "any@big.example",
        "none@p.example",
    ];
    let domains = "domain_certificates = { \"big.example\" = \"gateway@big.example\" }";
    for (no_key, cipher, answer) in [
        ("reject", "aes-256-cbc", "550 5.7.1"),
        ("defer", "aes-256-gcm", "451 4.7.1"),
        ("pass", "aes-128-gcm", "250 2."),
    ] {
        let more = format!("{domains}\nno_key = \"{no_key}\"\ncipher = \"{cipher}\"");
        let rules = house.encrypting(&more);
        let world = World::new(Setup {
            rules: &rules,
            ..Setup::default()
        });
        let mut client = world.client();
        let replies = recipients(&mut client, &to);
        assert!(replies[3].starts_with(answer), "{replies:?}");
        let mail = addressed(&to);
        assert!(client.data(&mail).is_done());
        let mails = world.hop.mails();
        for mail in &mails {
            let octets = world.untraced(mail);
            if mail.recipients() == ["none@p.example"] {
                assert_eq!((no_key, octets), ("pass", addressed(&to)));
                continue;
            }
            assert_eq!(mail.recipients(), to[..3]);
            assert!(!contains(&octets, b"Hello"));
            let auth = contains(&octets, b"smime-type=authEnveloped-data");
            assert_eq!(auth, cipher.ends_with("gcm"));
            for made in [&bob, &eve, &gateway] {
                let content = decrypted(octets.clone(), made).expect("it is for all three");
                assert!(
                    content.ends_with(b"\r\n\r\nHello, Bob.\r\n"),
                    "{}",
                    content.escape_ascii()
                );
            }
        }
        assert_eq!(mails.len(), if no_key == "pass" { 2 } else { 1 });
    }
}

/// A mail whose header names these.
fn addressed(to: &[&str]) -> Vec<u8> {
    let start =
        "From: Anna <anna@example.org>\r\nSubject: plain\r\nMessage-ID: <to@example.org>\r\n";
    format!("{start}To: {}\r\n\r\nHello, Bob.\r\n", to.join(",\r\n\t")).into_bytes()
}

/// A house with a certificate for each of these, and their owners.
fn owners(addresses: &[&'static str]) -> (House, Vec<Made>) {
    let house = House::new();
    let owner = |(number, address): (usize, &&str)| {
        let emails = [*address];
        let kinds = [(Kind::Rsa, "keyEncipherment"), (Kind::Ec, "keyAgreement")];
        let (kind, usage) = kinds[number % 2];
        let says = Says {
            emails: &emails,
            kind,
            usage: &[usage],
            ..says()
        };
        house.partner(&number.to_string(), says)
    };
    let owners = addresses.iter().enumerate().map(owner).collect();
    (house, owners)
}

const BOB: &str = "bob@p.example";
const EVE: &str = "eve@p.example";
const DAN: &str = "dan@p.example";
const FAY: &str = "fay@p.example";

// T166
// man: mimicry-plugins(7) "nobody else's names his certificate, and his names no other."
#[test]
fn who_is_named_nowhere_gets_a_copy_that_names_only_him() {
    let all = [BOB, EVE, DAN, FAY];
    let (house, owners) = owners(&all);
    let rules = house.encrypting("no_key = \"pass\"");
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    for (header, expected) in [
        // Whom the header names, and the transactions.
        (&all[..], &[&all[..]][..]),
        (&[DAN, BOB], &[&[BOB, DAN], &[EVE], &[FAY]]),
        (
            &[FAY, "\"Eve\"@p.example", "x@p.example"],
            &[&[BOB], &[EVE, FAY], &[DAN]],
        ),
        (&["list@p.example"], &[&[BOB], &[EVE], &[DAN], &[FAY]]),
    ] {
        let mail = addressed(header);
        let reply = world.client().mail("anna@example.org", &all, &mail);
        assert!(reply.is_done(), "{reply}");
        let mails = world.hop.mails();
        let transactions: Vec<Vec<&str>> = mails.iter().map(|mail| mail.recipients()).collect();
        assert_eq!(transactions, expected, "{header:?}");
        for mail in &mails {
            for (address, owner) in all.iter().zip(&owners) {
                let content = decrypted(world.untraced(mail), owner);
                let is_his = mail.recipients().contains(address);
                assert_eq!(content.is_some(), is_his, "{header:?}: {address}");
                assert!(content.is_none_or(|content| content.ends_with(b"Hello, Bob.\r\n")));
            }
        }
    }
    // Who has no certificate gets it in the clear, and nobody a copy more.
    let to = [BOB, EVE, "none@p.example", "nobody@p.example"];
    let mail = addressed(&[BOB]);
    assert!(
        world
            .client()
            .mail("anna@example.org", &to, &mail)
            .is_done()
    );
    let mails = world.hop.mails();
    let transactions: Vec<Vec<&str>> = mails.iter().map(|mail| mail.recipients()).collect();
    assert_eq!(transactions, [&[BOB][..], &[EVE], &to[2..]]);
    assert_eq!(world.untraced(&mails[2]), mail);
}

// T65, T166
// man: mimicry-plugins(7) "one after the other on one connection"
#[test]
fn copies_of_their_own_are_delivered_once_each_on_one_connection() {
    let (house, _) = owners(&[BOB, EVE, DAN]);
    let rules = house.encrypting("");
    let mut world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    world.hop.serve_at_a_time(1);
    let mail = addressed(&[EVE]);
    for failing in 1..=3 {
        world.hop.behave(move |moment| match moment.stage {
            Stage::Dot if moment.nth == failing => Act::Say(b"451 4.3.0 not now\r\n".to_vec()),
            _ => Act::Normal,
        });
        let to = [BOB, EVE, DAN];
        let reply = world.client().mail("anna@example.org", &to, &mail);
        assert!(reply.is_temporary(), "{reply}");
        world.hop.behave_well();
        let reply = world.client().mail("anna@example.org", &to, &mail);
        assert!(reply.is_done(), "{reply}");
        let mut got: Vec<String> = Vec::new();
        for mail in world.hop.mails() {
            got.extend(mail.recipients().iter().map(|to| (*to).to_string()));
        }
        got.sort();
        assert_eq!(got, [BOB, DAN, EVE], "{failing}");
    }
    world.daemon().logs("class=3/3");
}

// T191: with the memory that OpenSSL takes.
// man: mimicryd(8) "about three times the mail and 16 MB"
#[test]
fn a_large_mail_takes_no_more_memory_than_others() {
    let (house, _) = owners(&[BOB]);
    let lines = ("x".repeat(76) + "\r\n").repeat(100_000).into_bytes();
    let mail = [addressed(&[BOB]), lines].concat();
    for rules in [
        house.signing(Kind::Rsa, ""),
        house.signing(Kind::Rsa, "opaque = true"),
        house.encrypting(""),
        house.encrypting("cipher = \"aes-256-gcm\""),
    ] {
        let mut world = World::new(Setup {
            rules: &rules,
            daemon: "workers = { min = 1, max = 1, spare = 0 }",
            ..Setup::default()
        });
        let worker = world.daemon().workers()[0].as_raw().unsigned_abs();
        let pass = |mail: &[u8]| {
            let reply = world.client().mail("anna@example.org", &[BOB], mail);
            assert!(reply.is_done(), "{reply}");
            world.untraced(&world.hop.only_mail())
        };
        pass(&addressed(&[BOB]));
        let before = peak(worker);
        let after = pass(&mail);
        assert!(after != mail);
        let (taken, size) = (peak(worker) - before, mail.len().max(after.len()));
        let times = taken as f64 / size as f64;
        println!("{times:.2} of {} MB", size >> 20);
        assert!(
            taken <= 3 * size + (16 << 20),
            "{times:.2} of the mail: {rules}"
        );
    }
}

// man: mimicry-plugins(7) "refused with 552 5.3.4"
#[test]
fn copies_that_are_too_much_together_are_refused() {
    let (house, _) = owners(&[BOB, EVE, DAN]);
    let rules = house.encrypting("");
    let world = World::new(Setup {
        rules: &rules,
        limits: "mail = \"3K\"",
        ..Setup::default()
    });
    let to = [BOB, EVE, DAN];
    let lines = "x".repeat(70) + "\r\n";
    let large = |header: &[&str]| [addressed(header), lines.repeat(30).into_bytes()].concat();
    let reply = world.client().mail("anna@example.org", &to, &large(&[BOB]));
    assert_eq!(
        (reply.code, reply.enhanced()),
        (552, Some("5.3.4")),
        "{reply}"
    );
    assert_eq!(world.hop.mails().len(), 0);
    let reply = world.client().mail("anna@example.org", &to, &large(&to));
    assert!(reply.is_done(), "{reply}");
    assert_eq!(world.hop.only_mail().recipients(), to);
}

// man: mimicry-plugins(7) "with or without quotes that need not be there"
#[test]
fn a_mailbox_is_one_with_and_without_quotes() {
    let (house, _) = owners(&[BOB, "\"eve x\"@p.example"]);
    let rules = house.encrypting("");
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    let mut client = world.client();
    let to = [
        "\"Bob\"@p.example",
        "\"bob+x\"@p.example",
        "\"eve\\ x\"@p.example",
        "\"bob x\"@p.example",
    ];
    let replies = recipients(&mut client, &to);
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["250", "250", "250", "550"], "{replies:?}");
}

// man: mimicryd(8) "A revocation list is no file of keys"
#[test]
fn files_of_smime_are_listed_without_a_configuration() {
    let house = House::new();
    let today = now();
    let bob = house.partner("bob", says());
    house.put("bob.der", bob.x509.to_der().expect("DER"));
    let end = today - 9 * DAY;
    let old = Says {
        until: end,
        from: end - DAY,
        kind: Kind::Ec,
        usage: &["keyAgreement"],
        ..says()
    };
    house.partner("old", old);
    house.signing(Kind::Rsa, "");
    let list = house
        .issuer
        .list(&[&bob.x509], today - DAY, today + 9 * DAY);
    house.put("list.pem", list.to_pem().expect("PEM"));
    house.put("list.der", list.to_der().expect("DER"));
    let store = openssl::pkcs12::Pkcs12::builder()
        .name("Bob")
        .pkey(&bob.key)
        .cert(&bob.x509)
        .build2("secret");
    house.put(
        "bob.p12",
        store.and_then(|store| store.to_der()).expect("PKCS #12"),
    );
    house.put(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let keys = |file: &str| run(house.files.path(), &["keys", file], b"");
    let good = format!("until {}", day(today + 300 * DAY));
    for (file, lines) in [
        (
            "partners/bob.pem",
            &[("bob@partner.example", format!("rsa 2048  encrypts  {good}"))][..],
        ),
        (
            "bob.der",
            &[("bob@partner.example", format!("rsa 2048  encrypts  {good}"))],
        ),
        (
            "partners/old.pem",
            &[(
                "bob@partner.example",
                format!("ec 256  encrypts  of no use: expired on {}", day(end)),
            )],
        ),
        (
            "anna.pem",
            &[
                ("anna@example.org", format!("rsa 2048  encrypts  {good}")),
                ("anna@example.org", format!("rsa 2048  signs  {good}")),
            ],
        ),
    ] {
        let ran = keys(file);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{file}");
        let mut found = ran.text().lines();
        assert_eq!(found.next(), Some(format!("{file} (S/MIME)").as_str()));
        for ((owner, end), line) in lines.iter().zip(found.by_ref()) {
            assert!(
                line.starts_with(&format!("  {owner}  ")) && line.ends_with(end),
                "{file}: {line}"
            );
        }
        assert_eq!(found.count() + lines.len(), lines.len(), "{}", ran.text());
        assert!(!ran.text().contains("PRIVATE"));
    }
    let of_list = format!(
        "holds no key, but the revocation list of Good Issuer until {}; such a file is named by crl_files",
        day(today + 9 * DAY)
    );
    for (file, said) in [
        ("list.pem", of_list.as_str()),
        ("list.der", &of_list),
        (
            "root.pem",
            "holds only certificates that vouch for others; such a file is named by ca_file",
        ),
        (
            "bob.p12",
            "holds no certificate, neither in PEM nor in DER; openssl pkcs12 -in FILE.p12 -nodes -out NEW.pem takes it out of a .p12",
        ),
        ("broken.pem", "holds a certificate that cannot be read"),
    ] {
        let ran = keys(file);
        assert_eq!((ran.code, ran.text()), (65, ""), "{file}");
        assert_eq!(ran.err.trim_end(), format!("mimicryd: {file} {said}"));
    }
    // Others may read the secret key.
    let open = Permissions::from_mode(0o644);
    fs::set_permissions(house.path("anna.pem"), open).expect("our own file");
    let ran = keys("anna.pem");
    assert!(
        ran.code == 0 && ran.err.contains("a rule would not take anna.pem"),
        "{}",
        ran.err
    );
}

// man: mimicry-plugins(7) "with the signature inside"
// man: mimicry-plugins(7) "A mail that is encrypted as a whole already is left as it is"
#[test]
fn a_mail_is_signed_and_then_encrypted_and_never_twice() {
    let house = House::new();
    let bob = house.partner("bob", says());
    let rules = house.signing(Kind::Rsa, "") + &house.encrypting("");
    let world = World::new(Setup {
        rules: &rules,
        daemon: "mails_per_worker = 1",
        ..Setup::default()
    });
    let mut client = world.client();
    let reply = client.mail("anna@example.org", &["bob@partner.example"], PLAIN);
    assert!(reply.is_done(), "{reply}");
    let sealed = world.untraced(&world.hop.only_mail());
    let inside = decrypted(sealed.clone(), &bob).expect("it is for Bob");
    let content = house.verified(inside).expect("a good signature");
    assert!(contains(&content, b"Hello, Bob."));
    // Each worker draws its own random numbers, though all are copies of one master.
    let again = world
        .client()
        .mail("anna@example.org", &["bob@partner.example"], PLAIN);
    assert!(again.is_done(), "{again}");
    assert_ne!(world.untraced(&world.hop.only_mail()), sealed);
    let reply = world
        .client()
        .mail("anna@example.org", &["bob@partner.example"], &sealed);
    assert!(reply.is_done(), "{reply}");
    assert_eq!(world.untraced(&world.hop.only_mail()), sealed);
}

// T164
// man: mimicry-plugins(7) "it never leaves unsigned because a certificate has ended"
#[test]
fn a_mail_does_not_leave_unsigned_because_a_certificate_has_ended() {
    let house = House::new();
    let old = house.issuer.issue(Says {
        emails: &["anna@example.org"],
        until: now() - DAY,
        from: now() - 9 * DAY,
        ..says()
    });
    let pem = [
        old.pem(),
        house.issuer.certificate_pem(),
        house.root.certificate_pem(),
    ]
    .concat();
    let rules = house.signing(Kind::Rsa, "");
    house.put("anna.pem", pem);
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    let mut client = world.client();
    let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
    assert_eq!(
        reply.to_string(),
        format!(
            "451 4.3.0 the mail cannot be signed for anna@example.org: the certificate expired on {}",
            day(now() - DAY)
        )
    );
}

// man: mimicry-plugins(7) "which certificates end within 30 days"
#[test]
fn what_ends_is_listed_and_said_ahead() {
    let house = House::new();
    let today = now();
    let ends = |address: &'static [&'static str], until: i64| {
        let from = today - 90 * DAY;
        let says = Says {
            emails: address,
            from,
            until,
            ..says()
        };
        house.partner(address[0], says);
    };
    ends(&["late@p.example"], today + 40 * DAY);
    ends(&["soon@p.example"], today + 10 * DAY);
    ends(&["gone@p.example"], today - 10 * DAY);
    let rules = house.signing(Kind::Ec, "") + &house.encrypting("");
    house.files.file("m.toml", rules);
    let keys = run(house.files.path(), &["keys", "-c", "m.toml"], b"");
    let line = |address: &str| {
        let mut lines = keys.text().lines();
        let found = lines.find(|line| line.contains(address));
        found.unwrap_or_default().to_string()
    };
    for (address, end) in [
        (
            "anna@example.org",
            format!("ec 256  signs  until {}", day(today + 300 * DAY)),
        ),
        (
            "late@p.example",
            format!("rsa 2048  encrypts  until {}", day(today + 40 * DAY)),
        ),
        ("soon@p.example", format!("until {}", day(today + 10 * DAY))),
        (
            "gone@p.example",
            format!("of no use: expired on {}", day(today - 10 * DAY)),
        ),
    ] {
        assert!(line(address).ends_with(&end), "{address}: {}", keys.text());
    }
    let check = run(house.files.path(), &["check", "-c", "m.toml"], b"");
    let said = check.complaints();
    assert!(said.contains("the key of soon@p.example ("), "{said}");
    assert!(
        said.contains(&format!("ends on {}", day(today + 10 * DAY))),
        "{said}"
    );
    assert!(said.contains("the key of gone@p.example ("), "{said}");
    assert!(
        !said.contains("late@p.example") && !said.contains("anna@example.org"),
        "{said}"
    );
}

// man: mimicry-plugins(7) "A signature belongs inside: if the rule that signs stands below the one that encrypts, there is a warning."
#[test]
fn check_says_that_a_rule_which_signs_stands_below_one_that_encrypts() {
    let house = House::new();
    house.partner("bob", says());
    let (sign, encrypt) = (house.signing(Kind::Ec, ""), house.encrypting(""));
    for (rules, is_said) in [
        (format!("{sign}{encrypt}"), false),
        (format!("{encrypt}{sign}"), true),
    ] {
        house.files.file("m.toml", rules);
        let ran = run(house.files.path(), &["check", "-c", "m.toml"], b"");
        assert_eq!(ran.code, 0, "{}", ran.complaints());
        let said = ran
            .complaints()
            .contains("this rule signs, and stands below one that encrypts");
        assert_eq!(said, is_said, "{}", ran.complaints());
    }
}

// man: mimicry-plugins(7) "says which certificate is missing or stands in the wrong place"
#[test]
fn check_says_what_is_wrong_with_files() {
    let house = House::new();
    let anna = house.issuer.issue(Says {
        emails: &["anna@example.org"],
        ..says()
    });
    let root = house.root.certificate_pem();
    let issuer = house.issuer.certificate_pem();
    let ca = format!("ca_file = \"{}\"", house.path("root.pem").display());
    let bob = house.issuer.issue(says());
    let orders: &[(&[&[u8]], &str, &str)] = &[
        (&[&anna.pem(), &issuer, &root], "", ""),
        (&[&anna.pem(), &issuer], &ca, ""),
        (
            &[&anna.pem(), &issuer],
            "",
            "ends before a root: Good Root is missing",
        ),
        (
            &[&anna.pem()],
            &ca,
            "ends before a root: Good Issuer is missing",
        ),
        (
            &[&anna.pem(), &root, &issuer],
            "",
            "is out of order: Bob was not issued by Good Root",
        ),
        (
            &[&bob.pem(), &issuer, &root],
            "",
            "is for bob@partner.example, not for anna@example.org",
        ),
    ];
    for (parts, more, said) in orders {
        let rules = house.signing(Kind::Rsa, more);
        house.put("anna.pem", parts.concat());
        house.files.file("m.toml", rules);
        let ran = run(house.files.path(), &["check", "-c", "m.toml"], b"");
        let complaints = ran.complaints();
        assert!(complaints.contains(said), "{complaints}");
        assert_eq!(
            said.is_empty(),
            !complaints.contains("anna.pem"),
            "{complaints}"
        );
    }
}

// man: mimicry-plugins(7) "mail waits for a new one: the reply is 451 4.7.1 instead of 550"
#[test]
fn a_list_that_has_ended_lets_mail_wait() {
    let house = House::new();
    house.partner("bob", says());
    let bob = "bob@partner.example";
    let today = now();
    let ended = house.issuer.list(&[], today - 9 * DAY, today - DAY);
    let list = house.put("list.pem", ended.to_pem().expect("PEM"));
    for (no_key, answer) in [("reject", "451 4.7.1"), ("defer", "451 4.7.1")] {
        let rules = house.encrypting(&format!("crl_files = \"{list}\"\nno_key = \"{no_key}\""));
        let mut world = World::new(Setup {
            rules: &rules,
            ..Setup::default()
        });
        let mut client = world.client();
        client.says("MAIL FROM:<anna@example.org>", 250);
        assert_eq!(
            client.ask(format!("RCPT TO:<{bob}>")).to_string(),
            format!(
                "{answer} mail to {bob} must be encrypted, and the certificate of {bob} cannot be checked: \
                 the revocation list of Good Issuer ended on {}",
                day(today - DAY)
            )
        );
        // Who has none is refused for good all the same.
        let nobody = client.ask("RCPT TO:<nobody@partner.example>");
        assert_eq!(nobody.is_permanent(), no_key == "reject", "{nobody}");
        client.quit();
        let new = house.issuer.list(&[], today - DAY, today + 9 * DAY);
        house.put("list.pem", new.to_pem().expect("PEM"));
        let reload = world.daemon().command(&["reload", "--wait"]);
        assert_eq!(reload.code, 0, "{}", reload.err);
        let reply = world.client().mail("anna@example.org", &[bob], PLAIN);
        assert!(reply.is_done(), "{reply}");
        house.put("list.pem", ended.to_pem().expect("PEM"));
    }
}

// man: mimicryd(8) "Of each whom it signs for or encrypts to the last key that is of use counts; whose keys have all ended, since when."
// man: mimicryd(8) "a key by which a rule signs or encrypts ends within 30 days or has ended and there is no other"
#[test]
fn the_end_of_a_key_with_a_successor_is_no_alarm_and_an_end_that_has_come_is_one() {
    let house = House::new();
    let of_anna = |until: i64| {
        let made = house.issuer.issue(Says {
            emails: &["anna@example.org"],
            from: now() - 90 * DAY,
            until,
            ..says()
        });
        [
            made.pem(),
            house.issuer.certificate_pem(),
            house.root.certificate_pem(),
        ]
        .concat()
    };
    let (ended, ends) = (now() - DAY, now() + 200 * DAY);
    house.put("old.pem", of_anna(ended));
    let rules = |files: &str| {
        format!(
            "[[rule]]\nname = \"sign\"\nplugin = \"smime_sign\"\nmatch.client = \"127.0.0.0/8\"\n\
             [rule.options]\nkeys = {{ \"anna@example.org\" = {files} }}\n"
        )
    };
    let path = |name: &str| house.path(name).display().to_string();
    let old = format!("[\"{}\"]", path("old.pem"));
    house.put("new.pem", of_anna(ends));
    let both = format!("[\"{}\", \"{}\"]", path("old.pem"), path("new.pem"));
    for (files, end) in [(old, ended), (both, ends)] {
        let rules = rules(&files);
        let mut world = World::new(Setup {
            rules: &rules,
            ..Setup::default()
        });
        let shown = world.daemon().command(&["metrics"]);
        let line = format!("mimicry_key_expiry_seconds{{rule=\"sign\"}} {end}\n");
        assert!(shown.text().contains(&line), "{line}{}", shown.text());
        let has_ended = end == ended;
        let verdict = world.daemon().command(&["status", "--check"]);
        assert_eq!(verdict.code, i32::from(has_ended), "{}", verdict.text());
        let status = world.daemon().command(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(status.text()).expect("JSON");
        assert_eq!(status["keys"][0]["rule"], "sign");
        let seconds = status["keys"][0]["ends_seconds"].as_i64();
        assert_eq!(seconds.map(|seconds| seconds < 0), Some(has_ended));
    }
}

/// Lengths at which others fold a subject, or a blank ends a line.
// man: mimicry-plugins(7) "all other fields stand inside as well, where nobody can change them unseen"
#[test]
fn signatures_hold_whatever_the_length_of_the_subject_and_the_ends_of_lines() {
    let house = House::new();
    let rules = house.signing(Kind::Rsa, "");
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    for length in (60..84).chain([250, 990]) {
        let subject = "1".repeat(length);
        for end in ["\r\n", "\n"] {
            let lines = [
                "From: anna@example.org",
                "",
                "a",
                "",
                "b ",
                "From c",
                ".d",
                "",
            ];
            let mail = [&*format!("Subject: {subject}"), &*lines.join(end)].join(end);
            let reply =
                world
                    .client()
                    .mail("anna@example.org", &["bob@example.net"], mail.as_bytes());
            assert!(reply.is_done(), "{length}: {reply}");
            let got = world.untraced(&world.hop.only_mail());
            // No line ends otherwise than SMTP wants it.
            assert_eq!(
                got.split(|octet| *octet == b'\n')
                    .filter(|line| !line.ends_with(b"\r"))
                    .count(),
                1
            );
            let inside = house.verified(got).expect("a good signature");
            assert!(contains(&inside, subject.as_bytes()));
        }
    }
}
