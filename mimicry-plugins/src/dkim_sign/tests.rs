use std::path::Path as FilePath;

use mimicry_core::config::{self, Config};
use mimicry_core::engine::{Applied, Report};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::Effects;
use mimicry_core::policy::Memo;

use crate::REGISTRY;
use crate::shared::dkim::key::Key;
use crate::shared::judged;

use super::*;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/");

fn key(name: &str) -> Key {
    Key::read(&std::fs::read(format!("{KEYS}{name}.pem")).unwrap()).unwrap()
}

/// Reads `dkim/WHATEVER.NAME.pem` and `dkim/NAME.pem` as the key NAME of the tests.
fn load(source: &str) -> Result<Config, String> {
    let read = |path: &FilePath| {
        match path.to_str().unwrap() {
            "tree" => return Ok(b"README\nexample.com/\nexample.org/\n".to_vec()),
            "tree/example.com" => return Ok(b"rsa.private\nrsa.txt\n".to_vec()),
            "tree/example.org" => return Ok(b"ed25519.pem\nrsa.key\nold/\n".to_vec()),
            "twins" => return Ok(b"example.org/\n".to_vec()),
            "twins/example.org" => return Ok(b"rsa.pem\nrsa1.pem\n".to_vec()),
            _ => {}
        }
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = stem.rsplit('.').next().unwrap();
        std::fs::read(format!("{KEYS}{name}.pem"))
    };
    config::parse(source, FilePath::new("t.toml"), REGISTRY, &read).map_err(|mistakes| {
        let messages: Vec<String> = mistakes.list.into_iter().map(|one| one.message).collect();
        messages.join(" / ")
    })
}

fn rule(options: &str) -> String {
    format!(
        "[[rule]]\nname = \"d\"\nplugin = \"dkim_sign\"\nmatch.client = \"127.0.0.0/8\"\noptions.keys = {options}\n"
    )
}

fn mail(message: &[u8]) -> Mail {
    Mail {
        origin: Origin {
            client: Some("127.0.0.1".parse().unwrap()),
            ..Origin::default()
        },
        ..judged::mail(message)
    }
}

/// What comes out, and what the last rule said.
fn run(source: &str, message: &[u8]) -> (Message, String) {
    let config = load(source).unwrap();
    let mail = mail(message);
    let (_, applied) = judged::only(&config, &mail, Effects::Real.into());
    match applied {
        Ok(Applied {
            message: new,
            reports,
        }) => {
            let said = match &reports[config.policy.rules.len() - 1] {
                Report::Edited { notes, .. } => notes.join(" / "),
                Report::Unchanged { reason, .. } => reason.to_string(),
                other => format!("{other:?}"),
            };
            (new.unwrap_or(mail.message), said)
        }
        Err(stopped) => (
            mail.message,
            format!("{:?}: {}", stopped.stop, stopped.text),
        ),
    }
}

/// The signatures from above, each with whether it holds: `example.org/rsa+`.
fn standing(message: &Message) -> String {
    let keys = [key("rsa"), key("ed25519")];
    let each = Signature::of(message).map(|signature| {
        let holds = keys
            .iter()
            .any(|key| signature.is_by(key, signature.covered(message)));
        let sign = if holds { '+' } else { '-' };
        format!("{}/{}{sign}", signature.domain, signature.selector)
    });
    each.collect::<Vec<_>>().join(" ")
}

const BOTH: &str = r#"{ "example.org" = ["rsa.pem", "ed25519.pem"] }"#;
const RSA: &str = r#"{ "example.org" = "rsa.pem" }"#;

#[test]
#[rustfmt::skip]
fn who_signs_for_whom() {
    for (keys, more, from, expected) in [
        (RSA, "", "a@example.org", "example.org/rsa+"),
        (BOTH, "", "a@example.org", "example.org/rsa+ example.org/ed25519+"),
        (RSA, "", "A <a@EXAMPLE.ORG.>", "example.org/rsa+"),
        (RSA, "", "a@mail.example.org", "no-key"),
        (RSA, "options.subdomains = true", "a@deep.mail.example.org", "example.org/rsa+"),
        (RSA, "options.subdomains = true", "a@notexample.org", "no-key"),
        (RSA, "", "a@example.com", "no-key"),
        // The author is who stands first.
        (RSA, "", "a@example.org, b@example.com", "example.org/rsa+"),
        (RSA, "", "b@example.com, a@example.org", "no-key"),
        (RSA, "", "\"x@example.com\" <a@example.org>", "example.org/rsa+"),
        (RSA, "", "\"a@example.org\" <x@example.com>", "no-key"),
        (RSA, "", "nobody", "no-key"),
        (r#"{ "bücher.example" = "rsa.pem" }"#, "", "a@xn--bcher-kva.example", "xn--bcher-kva.example/rsa+"),
        (r#"{ "xn--bcher-kva.example" = "rsa.pem" }"#, "", "a@bücher.example", "xn--bcher-kva.example/rsa+"),
        (r#"{ "example.org" = "rsa.pem", "mail.example.org" = "ed25519.pem" }"#, "options.subdomains = true", "a@mail.example.org", "mail.example.org/ed25519+"),
        ("{}", "options.key_dir = 'tree'", "a@example.org", "example.org/rsa+ example.org/ed25519+"),
        ("{}", "options.key_dir = 'tree'", "a@example.com", "example.com/rsa+"),
        ("{}", "options.key_dir = 'tree'", "a@README", "no-key"),
        (r#"{ "example.net" = "rsa.pem" }"#, "options.key_dir = 'tree'", "a@example.net", "example.net/rsa+"),
        (r#"{ "example.org" = "example.org.rsa.pem" }"#, "", "a@example.org", "example.org/rsa+"),
    ] {
        let (message, said) = run(&(rule(keys) + more), format!("From: {from}\r\n\r\nx\r\n").as_bytes());
        let found = match Signature::of(&message).next() {
            Some(_) => standing(&message),
            None => said,
        };
        assert_eq!(found, expected, "{keys} {more} {from}");
    }
}

#[test]
fn a_mail_without_one_author_is_not_signed() {
    for (message, said) in [
        (
            "Subject: x\r\n\r\nx\r\n",
            "Defer: the mail has no From field",
        ),
        (
            "From: a@example.org\r\nFrom: b@example.org\r\n\r\nx\r\n",
            "Defer: the mail has 2 From fields, and readers would not agree on its author",
        ),
    ] {
        let (same, found) = run(&rule(RSA), message.as_bytes());
        assert_eq!((same.raw(), found.as_str()), (message.as_bytes(), said));
        let (_, found) = run(&(rule(RSA) + "on_error = \"pass\"\n"), message.as_bytes());
        assert_eq!(found, "fault");
    }
}

const TAG: &str = "[[rule]]\nname = \"t\"\nplugin = \"header\"\noptions.prefix_subject = \"[x]\"\n";
const FOOTER: &str = "[[rule]]\nname = \"f\"\nplugin = \"disclaim\"\noptions = { text = \"-- us\", html = \"<p>us</p>\" }\n";

/// A mail that bears signatures of example.org and of a list.
fn signed() -> Vec<u8> {
    let plain = b"From: a@example.org\r\nSubject: hi\r\n\r\nhello\r\n";
    let (signed, _) = run(&rule(RSA), plain);
    let list =
        "DKIM-Signature: v=1; a=rsa-sha256; d=list.example; s=l; h=from; bh=AA==; b=AA==\r\n";
    [list.as_bytes(), signed.raw()].concat()
}

// man: mimicry-plugins(7) "A signature of the signing domain that the rules before it have broken is removed"
#[test]
fn our_own_broken_signature_goes_and_nobody_elses() {
    let signed = signed();
    for (before, expected) in [
        ("", "list.example/l- example.org/rsa+"),
        // `header` would leave a signed Subject alone.
        (FOOTER, "example.org/rsa+ list.example/l-"),
    ] {
        let source = format!("{before}{}", rule(RSA));
        let (message, said) = run(&source, &signed);
        assert_eq!(standing(&message), expected, "{before}");
        let is_same = before.is_empty();
        assert_eq!(message.raw() == signed, is_same, "{said}");
        assert_eq!(said == "duplicate", is_same, "{said}");
    }
    // Signed by the key of a selector that is not ours any more: it stays while it holds, and ours joins it.
    let (message, _) = run(&rule(r#"{ "example.org" = "ed25519.pem" }"#), &signed);
    let expected = "example.org/ed25519+ list.example/l- example.org/rsa+";
    assert_eq!(standing(&message), expected);
    // One that says it is ours and is not does not keep us from signing.
    let forged = b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=rsa; h=from; bh=AA==; b=AA==\r\nFrom: a@example.org\r\n\r\nx\r\n";
    let (message, _) = run(&rule(RSA), forged);
    assert_eq!(standing(&message), "example.org/rsa+ example.org/rsa-");
}

// man: mimicry-plugins(7) "One that has expired, or that has l= , is no reason not to sign."
#[test]
fn a_signature_of_ours_that_does_not_speak_for_the_whole_mail_is_joined_by_one_that_does() {
    let plain = b"From: a@example.org\r\n\r\nhello\r\n";
    let message = Message::scan(plain.to_vec(), &Default::default());
    let now = mail(plain).received.unix;
    let work = Work::of(&message, &[]).unwrap();
    for (head, expires, more, joined) in [
        ("v=1", None, "", false),
        ("v=1", Some(now), "", false),
        ("v=1", Some(now - 1), "", true),
        ("v=1; l=7", None, "", true),
        ("v=1; l=7", None, FOOTER, true),
    ] {
        let key = key("rsa");
        let signer = Signer {
            domain: "example.org",
            selector: "rsa",
            key: &key,
        };
        let times = Times {
            signed: now - 9000,
            expires,
        };
        let field = work.signature(FIELD, head, &signer, times).unwrap();
        let signed = [format!("{FIELD}: {field}\r\n").as_bytes(), plain].concat();
        let (message, _) = run(&format!("{more}{}", rule(RSA)), &signed);
        let expected = if joined {
            "example.org/rsa+ example.org/rsa+"
        } else {
            "example.org/rsa+"
        };
        assert_eq!(standing(&message), expected, "{head} {expires:?} {more}");
    }
}

// man: mimicry.toml(5) "the mail is edited if a rule of dkim_sign will sign it, and left alone if none does"
#[test]
fn an_edit_may_wait_for_a_new_signature() {
    let anew = |rule: &str| rule.to_string() + "on_dkim = \"resign\"\n";
    let signed = signed();
    let foreign = b"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=l; h=from; bh=AA==; b=AA==\r\nFrom: a@example.com\r\nSubject: hi\r\n\r\nhello\r\n";
    for (source, message, is_edited) in [
        (anew(FOOTER) + &rule(RSA), signed.as_slice(), true),
        (anew(TAG) + &rule(RSA), &signed, true),
        // The order of the file does not matter: signatures come last.
        (rule(RSA) + &anew(FOOTER), &signed, true),
        (anew(FOOTER) + &rule(RSA), foreign, false),
        (anew(TAG) + &rule(RSA), foreign, false),
        (
            anew(FOOTER) + &rule(RSA) + "unless.sender = 'anna'\n",
            &signed,
            false,
        ),
    ] {
        let (new, said) = run(&source, message);
        let first = new.raw() != message;
        assert_eq!(first, is_edited, "{source}: {said}");
        if is_edited {
            assert_eq!(standing(&new), "example.org/rsa+ list.example/l-");
        }
    }
}

// RFC 6376 section 5.3
#[test]
fn what_goes_to_a_next_hop_of_7_bits_is_signed_in_7_bits() {
    let message = "From: a@example.org\r\nSubject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n";
    let config = load(&rule(RSA)).unwrap();
    let mail = mail(message.as_bytes());
    let memo = Memo::default();
    for needs_7bit in [false, true] {
        let mut classes = memo.classes(&config.banks, &mail);
        for class in &mut classes {
            class.needs_7bit = needs_7bit;
        }
        let means = Effects::Real.into();
        let judged = mimicry_core::engine::judge(&config.banks, &memo, &mail, &classes, means);
        let new = judged.first().unwrap().message(&mail).unwrap();
        assert_eq!(new.raw().is_ascii(), needs_7bit);
        assert_eq!(standing(new), "example.org/rsa+");
    }
}

#[test]
#[rustfmt::skip]
fn mistakes() {
    let with = |options: &str| format!("[[rule]]\nname = \"d\"\nplugin = \"dkim_sign\"\nmatch.client = \"::1\"\n{options}\n");
    for (source, expected) in [
        (with(""), "dkim_sign needs a key"),
        (rule(r#"{ "example.org" = "short.pem" }"#), "short.pem is an RSA key of less than 2048"),
        (rule(r#"{ "example.org" = "locked.pem" }"#), "locked.pem is locked by a passphrase"),
        (rule(r#"{ "example.org" = "public.pem" }"#), "public.pem is the public half"),
        (rule(r#"{ "example.org" = "nothing.pem" }"#), "cannot read"),
        (rule(r#"{ "a@example.org" = "rsa.pem" }"#), "`a@example.org` is not a domain"),
        (rule(r#"{ ".example.org" = "rsa.pem" }"#), "`.example.org` is not a domain"),
        (rule(r#"{ "example.org" = ["rsa.pem", "rsa1.pem"] }"#), "rsa1.pem is a second rsa-sha256 key of example.org"),
        (rule(r#"{ "example.org" = ["rsa.pem", "example.org.rsa.pem"] }"#), "example.org.rsa.pem has the selector of another key"),
        (rule(r#"{ "example.org" = "a b.rsa.pem" }"#), "`a b.rsa` is not a selector"),
        (rule("{}") + "options.key_dir = 'twins'", "twins/example.org/rsa1.pem is a second rsa-sha256 key of example.org"),
        (rule("{}") + "options.key_dir = 'nothing'", "cannot read nothing"),
        (rule(RSA) + "options.fields = 'Received'", "`Received` changes on the way"),
        (rule(RSA) + "options.fields = 'X Y'", "`X Y` is not the name of a field"),
        (rule(RSA) + "options.expire = '10m'", "the signature would end before"),
        (rule(RSA) + "on_dkim = 'skip'", "`on_dkim` has no effect here"),
        (rule(RSA) + "on_sealed = 'skip'", "`on_sealed` has no effect here"),
        (TAG.to_string() + "on_dkim = 'resign'", "no rule signs"),
    ] {
        let found = load(&source).map(drop).unwrap_err();
        assert!(found.contains(expected), "{source}\n{found}");
        assert!(!found.contains("BEGIN"), "{found}");
    }
    let config = load("[[rule]]\nname = \"d\"\nplugin = \"dkim_sign\"\noptions.keys = { \"example.org\" = \"rsa.pem\" }\n").unwrap();
    let warnings: Vec<&str> = config.warnings.list.iter().map(|one| one.message.as_str()).collect();
    assert!(warnings.iter().any(|one| one.contains("this rule signs mail of anybody")), "{warnings:?}");
}
