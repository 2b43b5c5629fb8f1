//! Every mail of the corpus, edited by every editing plugin, is made again as it came by the field of `message_instance`, octet for octet,
//! or the field says that it cannot be.

mod common;

use std::ops::RangeInclusive;

use common::{apply, corpus_mails, load, mail_of, octets, rules};
use data_encoding::BASE64;
use mimicry_core::config::Config;
use mimicry_core::engine::Report;
use mimicry_core::message::{Limits, Message};
use mimicry_plugins::shared::recipe::back::{Why, back};

/// What becomes of a mail, and what the last rule said. `None` = nothing was edited.
fn edited(config: &Config, raw: &[u8]) -> (Option<Vec<u8>>, String) {
    let mail = mail_of(raw.to_vec(), "");
    let applied = apply(config, &mail).unwrap();
    let said = match &applied.reports[config.policy.rules.len() - 1] {
        Report::Edited { notes, .. } => notes.join(" / "),
        Report::Unchanged { reason, .. } => reason.to_string(),
        other => format!("{other:?}"),
    };
    (applied.message.map(Message::into_raw), said)
}

/// A tag of the field, without blanks.
fn tag(message: &[u8], name: &str) -> String {
    let message = Message::scan(message.to_vec(), &Limits::default());
    let field = message.root().field("message-instance").unwrap();
    let text = String::from_utf8(field.unfolded().to_vec()).unwrap();
    let mut tags = text.split(';').filter_map(|tag| tag.trim().split_once('='));
    let value = tags.find(|(found, _)| *found == name);
    value.map_or_else(String::new, |(_, value)| value.replace(' ', ""))
}

/// The JSON of a recipe.
fn recipe(message: &[u8]) -> String {
    String::from_utf8(BASE64.decode(tag(message, "r").as_bytes()).unwrap()).unwrap()
}

/// Rules, how many mails of the corpus they edit at least, and how many of these cannot be made again.
#[rustfmt::skip]
const SETS: &[(&str, usize, RangeInclusive<usize>)] = &[
    ("disclaim", 330, 0..=0),
    ("disclaim | options = { text = 'Top', html = '<p>Top</p>', place = 'top' }", 330, 0..=0),
    // A mail of more than 4K that has to be coded anew.
    ("disclaim | options.text = 'Grüße' ;; disclaim | options = { text = 'Top', html = '<p>Top</p>', place = 'top' }", 330, 0..=1),
    ("banner | options = { text = 'External', html = '<p>External</p>', subject_tag = '[X]' }", 370, 0..=0),
    ("header | options = { prefix_subject = '[x]', add = { X-Y = 'z' }, replace = { Organization = 'Us' } }", 390, 0..=0),
    ("zip", 60, 1..=15),
    ("tar_gzip", 60, 1..=15),
    ("tar_bzip2", 55, 1..=15),
    // It is gone for good.
    ("remove", 100, 100..=110),
    ("disclaim ;; zip ;; header | options.prefix_subject = '[x]'", 390, 1..=15),
];

/// Lines that end otherwise than those around them cannot be said; none comes by SMTP.
const MIXED: &[&str] = &["structure-lf-inside-crlf-html", "structure-mixed-line-ends"];
/// What is no text has a CR or an LF within a line.
const LONE: &[&str] = &[
    "charset-utf-16-binary-8bit",
    "structure-lone-cr",
    "cte-binary-png",
    "cte-binary-with-nul",
];

// man: mimicryd(8) "makes a mail again as it came, octet for octet, if a rule of"
#[test]
fn every_mail_of_the_corpus_and_every_plugin() {
    for (set, least, lost) in SETS {
        let config = rules(&format!("{set} ;; message_instance"));
        let (mut all, mut gone) = (0, 0);
        for (name, raw) in corpus_mails() {
            let (Some(new), said) = edited(&config, &raw) else {
                continue;
            };
            all += 1;
            match back(new.clone()) {
                Ok(made) => {
                    assert!(made == raw, "{name}: another mail: {set}");
                    assert!(said.ends_with("as it came can be restored"), "{said}");
                    later(&name, &raw, new);
                }
                Err(why) if LONE.contains(&name.as_str()) => {
                    assert!(
                        matches!(why, Why::Gone | Why::Unknown),
                        "{name}: {set}: {said}"
                    );
                }
                Err(why) if MIXED.contains(&name.as_str()) => {
                    assert_eq!(why, Why::Unknown, "{name}")
                }
                Err(why) => {
                    assert_eq!(why, Why::Gone, "{name}: {set}: {said}");
                    assert!(recipe(&new).contains("\"b\":null"), "{name}: {set}");
                    gone += 1;
                }
            }
        }
        assert!(
            all >= *least && lost.contains(&gone),
            "{set}: {gone} of {all} are gone"
        );
    }
}

/// What later hops put on top is left out; what they change is found.
fn later(name: &str, raw: &[u8], new: Vec<u8>) {
    let newline = if new.contains(&b'\r') { "\r\n" } else { "\n" };
    let on_top = format!("Return-Path: <x@y>{newline}Received: by mx{newline}\tfor me{newline}");
    let delivered = [on_top.as_bytes(), &new, newline.as_bytes()].concat();
    if !new.starts_with(b"From ") {
        assert!(back(delivered).as_deref() == Ok(raw), "{name}");
    }
    for place in [new.len() / 2, new.len() * 9 / 10] {
        let mut other = new.clone();
        other[place] ^= 1;
        if let Ok(made) = back(other) {
            // An octet of ours was hit.
            assert!(made == raw, "{name}: {place}");
        }
    }
}

/// The recipe counts lines, so it repeats a line that the text was put into.
#[test]
fn the_recipe_of_a_footer_is_short() {
    let config = rules("disclaim ;; message_instance");
    let mut sizes: Vec<usize> = Vec::new();
    for (_, raw) in corpus_mails() {
        if let (Some(new), _) = edited(&config, &raw) {
            sizes.push(tag(&new, "r").len());
        }
    }
    sizes.sort_unstable();
    let short = sizes.iter().filter(|size| **size <= 200).count();
    assert!(sizes[sizes.len() / 2] <= 64, "{sizes:?}");
    assert!(
        short * 100 >= sizes.len() * 95,
        "{short} of {}",
        sizes.len()
    );
    // A mail of ordinary lines, however long it is.
    for size in [100, 10_000, 1_000_000] {
        for tree in ["plain*N", "mixed(alt(plain*N,html),csv@a.csv*N)"] {
            let raw = octets(&tree.replace('N', &size.to_string()));
            let (new, _) = edited(&config, &raw);
            let new = new.unwrap();
            assert!(tag(&new, "r").len() <= 200, "{tree}: {}", recipe(&new));
            assert_eq!(back(new).unwrap(), raw);
        }
    }
}

#[test]
#[rustfmt::skip]
fn what_stands_in_the_recipe() {
    let footer = "disclaim | options.text = 'Footer'";
    for (set, mail, expected) in [
        (footer, "plain*45", r#"{"b":[{"c":[1,3]}]}"#),
        ("header | options.prefix_subject = '[x]'", "plain*45", r#"{"h":{"subject":[{"d":["Offer"]}]}}"#),
        ("header | options.add = { Keywords = 'a' }", "plain*45", r#"{"h":{"keywords":[]}}"#),
        // It is in no hash of DKIM2.
        ("header | options.add = { X-A = 'a' }", "plain*45", ""),
        ("header | options.add = { Keywords = 'a' }", "Keywords: b & plain*45", r#"{"h":{"keywords":[{"c":[2,2]}]}}"#),
        ("zip", "mixed(plain,csv@a.csv*3000)", ""),
        ("zip | options.password_file = 'password'", "mixed(plain,csv@a.csv*30)", r#"{"b":null}"#),
        ("remove | match.position = 'attachment'", "mixed(plain,csv@a.csv*45)", r#"{"b":null}"#),
        ("header | options.delete = 'X-*'", "X-A: b & plain*45", ""),
    ] {
        let config = rules(&format!("{set} ;; message_instance"));
        let raw = octets(mail);
        let (new, said) = edited(&config, &raw);
        let new = new.unwrap();
        let found = recipe(&new);
        match set {
            "zip" => assert!(found.contains(r#"{"d":["#), "{found}"),
            _ => assert_eq!(found, expected, "{set}: {said}"),
        }
    }
    let raw = octets("plain*45");
    for (set, mail, expected) in [
        ("message_instance", "plain", "below-threshold"),
        ("header | options.add = { X-A = 'a' } ;; message_instance | options.only_present = true", "plain", "exempt"),
        ("header | options.add = { X-A = 'a' } ;; message_instance | options.only_present = true", "Message-Instance: m=1; & plain", "malformed"),
        ("header | options.add = { X-A = 'a' } ;; message_instance | options.only_present = true", "Message-Instance: m=1; h=sha256:AA==:AA==; & plain", "m=2, a recipe of 0 octets: the mail as it came can be restored"),
        ("header | options.add = { X-A = 'a' } ;; message_instance", "Message-Instance: m=2; h=sha256:AA==:AA==; & plain", "malformed"),
        ("header | options.delete = 'Keywords' ;; message_instance", "Keywords: secret & plain", "exempt"),
        ("header | options.delete = 'X-*' ;; message_instance", "X-A: secret & plain", "m=1, a recipe of 0 octets: the mail as it came can be restored, but not octet for octet"),
        ("header | options.prefix_subject = '[x]' ;; message_instance | options.max_recipe = '256'", LONG, "limit"),
    ] {
        let config = rules(set);
        let (new, said) = edited(&config, &octets(mail));
        assert_eq!(said, expected, "{set}: {mail}");
        let new = new.unwrap_or_else(|| raw.clone());
        let secret = BASE64.encode(b"secret");
        assert!(!String::from_utf8_lossy(&new).contains(&secret[..6]));
    }
}

const LONG: &str = "Subject: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa & plain";

/// Two hops, each with a footer: what the second makes again is what the first handed on.
#[test]
fn one_edit_after_another() {
    let raw = octets("mixed(alt(plain*300,html),csv@a.csv*3000)");
    let (first, _) = edited(
        &rules("disclaim | options.text = 'One' ;; message_instance"),
        &raw,
    );
    let first = first.unwrap();
    let (second, said) = edited(
        &rules("disclaim | options.text = 'Two' ;; message_instance"),
        &first,
    );
    assert!(said.starts_with("m=2, "), "{said}");
    let made = back(second.unwrap()).unwrap();
    assert!(made == first);
    assert!(back(made).unwrap() == raw);
}

#[test]
fn limits_of_a_recipe() {
    for (size, good) in [("255", false), ("256", true), ("64K", true), ("65K", false)] {
        let source = format!(
            "[[rule]]\nname = \"m\"\nplugin = \"message_instance\"\noptions.max_recipe = \"{size}\"\n"
        );
        assert_eq!(
            std::panic::catch_unwind(|| load(&source)).is_ok(),
            good,
            "{size}"
        );
    }
}
