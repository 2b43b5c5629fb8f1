use std::path::Path as FilePath;

use mimicry_core::config::{self, Config};
use mimicry_core::engine::{Applied, Report};
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::Mail;
use mimicry_core::plugin::Effects;

use crate::REGISTRY;
use crate::shared::judged;

use super::*;

fn load(options: &str) -> Result<Config, String> {
    let read = |path: &FilePath| {
        let name = path.file_name().unwrap().to_str().unwrap();
        std::fs::read(format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR")))
    };
    let source = format!("[[rule]]\nname = \"a\"\nplugin = \"arc_seal\"\n{options}\n");
    config::parse(&source, FilePath::new("t.toml"), REGISTRY, &read).map_err(|mistakes| {
        let messages: Vec<String> = mistakes.list.into_iter().map(|one| one.message).collect();
        messages.join(" / ")
    })
}

const OPTIONS: &str = "options = { keys = { \"example.org\" = \"rsa.pem\" }, trusted_authserv = \"mx.example.org\", own_hosts = \"in.example.org\" }";

/// The fields of the set that was put on top, unfolded; or why there is none.
fn seal(header: &str) -> Result<Vec<String>, String> {
    let config = load(OPTIONS).unwrap();
    let octets = format!("{header}From: a@example.net\n\nx\n").replace('\n', "\r\n");
    let mail = Mail {
        envelope: Envelope::new("a@example.net", ["b@example.org"]),
        ..judged::mail(octets.as_bytes())
    };
    let (_, applied) = judged::only(&config, &mail, Effects::Real.into());
    let Applied { message, reports } = applied.unwrap();
    match &reports[config.policy.rules.len() - 1] {
        Report::Unchanged { reason, notes } => {
            assert!(message.is_none());
            Err(format!("{reason}: {}", notes.join(" ")))
        }
        Report::Edited { .. } => {
            let message = message.unwrap();
            assert!(message.raw().ends_with(octets.as_bytes()));
            let fields = message.root().fields().take(3);
            let text = |value: &[u8]| String::from_utf8(unfold(value).to_vec()).unwrap();
            Ok(fields
                .map(|field| text(field.raw()).trim_end().to_string())
                .collect())
        }
        other => panic!("{other:?}"),
    }
}

const TRUSTED: &str = "Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=a@example.net;\n dkim=pass header.d=example.net; arc=pass\n";

/// A set that somebody else made.
fn set(instance: usize, cv: &str) -> String {
    format!(
        "ARC-Seal: i={instance}; a=rsa-sha256; t=1; cv={cv}; d=example.net; s=a; b=AA==\n\
         ARC-Message-Signature: i={instance}; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=a; h=from; bh=AA==; b=AA==\n\
         ARC-Authentication-Results: i={instance}; mx.example.net; spf=pass\n"
    )
}

#[test]
#[rustfmt::skip]
fn who_is_sealed_and_as_what() {
    let ours = "Received: from x by mx.example.org with ESMTP; now\n";
    let internal = "Received: from mx.example.org (mx) by IN.example.org. (Postfix) with ESMTP; now\n";
    let foreign = "Received: from y by mx.example.net with ESMTP; now\n";
    let chain = set(2, "pass") + &set(1, "none");
    let none = "arc: no Authentication-Results of a trusted machine";
    for (header, expected) in [
        (TRUSTED.to_string(), "i=1 none"),
        (format!("{internal}{ours}{TRUSTED}{foreign}"), "i=1 none"),
        (format!("{TRUSTED}{ours}{foreign}"), "i=1 none"),
        // Written by whoever sent it.
        (format!("{ours}{foreign}{TRUSTED}"), none),
        (format!("Received: from nowhere\n{TRUSTED}"), none),
        (String::new(), none),
        (TRUSTED.replace("mx.example.org", "mx.example.com"), none),
        (TRUSTED.replace("mx.example.org", "mx.example.org.example.com"), none),
        (TRUSTED.replace("mx.example.org", "MX.Example.ORG 1"), "i=1 none"),
        (format!("{TRUSTED}{}", set(1, "none")), "i=2 pass"),
        (format!("{TRUSTED}{chain}"), "i=3 pass"),
        // Sets in another order are the same sets.
        (format!("{TRUSTED}{}{}", set(1, "none"), set(2, "pass")), "i=3 pass"),
        (TRUSTED.replace("arc=pass", "dmarc=pass") + &chain, "arc: the trusted machine says nothing of the ARC chain"),
        (TRUSTED.replace("arc=pass", "arc=fail") + &chain, "arc: the trusted machine says fail of the ARC chain"),
        (TRUSTED.replace("arc=pass", "x=y (arc=pass; arc=pass)") + &chain, "arc: the trusted machine says nothing of the ARC chain"),
        (TRUSTED.replace("arc=pass", "x=\"; arc=pass\"") + &chain, "arc: the trusted machine says nothing of the ARC chain"),
        (format!("{TRUSTED}{}", TRUSTED.replace("arc=pass", "arc=fail")) + &chain, "arc: the trusted machine says different things of the ARC chain"),
        (format!("{TRUSTED}{}", set(2, "pass")), "arc: its ARC sets are not complete"),
        (format!("{TRUSTED}{}{}", set(1, "none"), set(1, "none")), "arc: its ARC sets are not complete"),
        (format!("{TRUSTED}ARC-Seal: i=1; cv=none\n"), "arc: its ARC sets are not complete"),
        (format!("{TRUSTED}{}", set(999, "pass")), "arc: its ARC sets are not complete"),
        (format!("{TRUSTED}{}", set(0, "pass")), "arc: its ARC sets are not complete"),
        (format!("{TRUSTED}{}", set(1, "fail")), "arc: an ARC seal says that the chain was broken before"),
        (TRUSTED.to_string() + &(1..=50).map(|i| set(i, "pass")).collect::<String>(), "arc: it has as many ARC sets as a mail may have"),
        (TRUSTED.replace("arc=pass", "arc=pass (ü)"), none),
        // It would be written otherwise than it was signed.
        (TRUSTED.replace("arc=pass", &format!("x={}", "y".repeat(1200))), none),
    ] {
        let found = match seal(&header) {
            Ok(fields) => {
                let tag = |name: &str| {
                    let (_, rest) = fields[0].split_once(&format!("{name}=")).unwrap();
                    rest.split(';').next().unwrap().to_string()
                };
                format!("i={} {}", tag("i"), tag("cv"))
            }
            Err(why) => why,
        };
        assert_eq!(found, expected, "{header}");
    }
}

#[test]
fn what_was_found_is_handed_on_whole() {
    let other = "Authentication-Results: other.example; spf=fail\n";
    let second = "Authentication-Results: mx.example.org; dmarc=pass (p=none; \\) x)\n";
    let fields = seal(&format!("{TRUSTED}{other}{second}")).unwrap();
    assert_eq!(
        fields[2],
        "ARC-Authentication-Results: i=1; mx.example.org; spf=pass smtp.mailfrom=a@example.net; \
         dkim=pass header.d=example.net; arc=pass; dmarc=pass (p=none; \\) x)"
    );
    let nothing = seal("Authentication-Results: mx.example.org; none\n").unwrap();
    assert_eq!(
        nothing[2],
        "ARC-Authentication-Results: i=1; mx.example.org; none"
    );
    assert!(fields[0].starts_with(
        "ARC-Seal: i=1; a=rsa-sha256; t=1795370400; cv=none; d=example.org; s=rsa; b="
    ));
    assert!(fields[1].starts_with(
        "ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=rsa; t="
    ));
    assert!(!fields[1].to_lowercase().contains("h=arc") && !fields[1].contains(":arc"));
}

#[test]
#[rustfmt::skip]
fn mistakes() {
    for (options, expected) in [
        ("", "arc_seal needs a key / arc_seal must know whose"),
        ("options.keys = { \"example.org\" = \"rsa.pem\" }", "arc_seal must know whose"),
        ("options = { keys = { \"example.org\" = \"ed25519.pem\" }, trusted_authserv = \"a\" }", "one domain seals, with one RSA key"),
        ("options = { keys = { \"a.example\" = \"rsa.pem\", \"b.example\" = \"rsa.pem\" }, trusted_authserv = \"a\" }", "one domain seals"),
        ("options = { keys = { \"example.org\" = \"short.pem\" }, trusted_authserv = \"a\" }", "less than 2048"),
    ] {
        let found = load(options).map(drop).unwrap_err();
        assert!(found.contains(expected), "{options}: {found}");
    }
}
