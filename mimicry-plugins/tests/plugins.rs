//! Disclaim, Banner and the containers from the configuration to the octets: laws over the whole corpus, exact octets for
//! the edge cases, and what another reader of mail and of archives makes of the result. What the containers mean is in
//! `containers`.
//!
//! The other readers are mailparse and the reader halves of the archives' crates. Where mailparse sees other parts, or
//! reads a coding otherwise, than the mail as it came has them, it is no judge of the mail that went out.
//!
//! Longer than 600 lines by the mails of the table of octets.

mod common;

use std::collections::BTreeSet;

use common::{ARCHIVES, apply, corpus_mails, mail_of, members, plans_of, rules, show_tree};
use mailparse::ParsedMail;
use mimicry_core::config::Config;
use mimicry_core::engine::{Applied, Report};
use mimicry_core::mail::Mail;
use mimicry_core::message::codec::Encoding;
use mimicry_core::message::edit::EditSet;
use mimicry_core::message::{Limits, Message, Part, PartId};
use mimicry_core::reason::Reason;
use mimicry_core::rule::facts::Facts;
use proptest::prelude::*;

/// Umlauts, the euro, ideographs and a character beyond the first plane.
const WORDS: &str = "Grüße aus Köln: 100 € 漢字 😀 Ende.";

/// The option sets of the laws. `WORDS` stands for the words.
const DISCLAIM: &[&str] = &[
    r#"disclaim | options.text = "WORDS" | options.html = "<p>WORDS</p>" | unless.bulk = true"#,
    r#"disclaim | options.text = "WORDS" | options.html = "<p>WORDS</p>" | options.place = "top" | match.bulk = [B]"#,
    r#"disclaim | options.text = "WORDS" | options.separator = "-- " | options.parts = "first" | match.bulk = [B]"#,
    r#"disclaim | options.html = "<div><b>WORDS</b></div>" | options.parts = "all" | match.bulk = [B]"#,
    r#"disclaim | options.text = "WORDS" | options.fallback = "skip" | match.bulk = [B]"#,
    r#"disclaim | options.text = "WORDS" | options.html = "<p>WORDS</p>" | options.place = "below-reply" | match.bulk = [B]"#,
    r#"disclaim | options.text = "WORDS" | options.html = "<p>WORDS</p>" | options.once = "per-mail" | match.bulk = [B]"#,
    r#"disclaim | options.text = "WORDS" | options.html = "<p>WORDS</p>" | options.once = "per-thread" | options.place = "below-reply" | match.bulk = [B]"#,
    r#"disclaim | options.text = "WORDS" | options.html = "<p>WORDS</p>" | on_sealed = "wrap" | match.bulk = [B]"#,
    r#"disclaim | options.text = "WORDS" | options.html = "<p>WORDS</p>" | on_sealed = "wrap" | options.place = "top" | match.bulk = [B]"#,
    r#"disclaim | options.text = "WORDS" | options.html = "<p>WORDS<img src='cid:logo.png'></p>" | options.images = "logo.png" | match.bulk = [B]"#,
    r#"disclaim | options.text = "plain words" | options.html = "<p>plain words</p>" | options.place = "top" | match.bulk = [B]"#,
    r#"banner | options.text = "WORDS" | options.html = "<p>WORDS</p>" | match.bulk = [B]"#,
    r#"banner | options.text = "WORDS" | options.preheader = false | on_sealed = "wrap" | match.bulk = [B]"#,
    r#"banner | options.html = "<p>WORDS<img src='cid:logo.png'></p>" | options.images = "logo.png" | options.once = "per-mail" | match.bulk = [B]"#,
];

/// The option sets of what is marked when it comes in and unmarked when it goes out.
const BANNER: &[&str] = &[
    r#"banner | options.text = "WORDS" | options.html = "<p>WORDS</p>" | options.subject_tag = "[EXTERNAL]" | options.header = "X-External: yes" | options.internal_clients = "10.0.0.0/8" | match.bulk = [B]"#,
    r#"banner | options.html = "<table><tr><td>WORDS</table>" | options.preheader = false | options.subject_tag = "[ÄUSSERE]" | options.header = "X-External: {{ subject|d('yes') }}" | options.internal_clients = "10.0.0.0/8" | options.fallback = "skip" | match.bulk = [B]"#,
];

/// The option sets of the containers.
const PACK: &[&str] = &[
    "zip | match.bulk = [B]",
    "zip | match.position = 'attachment' | match.bulk = [B]",
    r#"zip | options.placement = "end" | options.level = 9 | options.skip_compressed = false | match.bulk = [B]"#,
    "zip | match.type = '.' | unless.position = 'body' | match.bulk = [B]",
    "zip | options.min_parts = 2 | options.min_saving = 20 | match.bulk = [B]",
    "disclaim | options.text = 'plain words' | match.bulk = [B] ;; zip | match.bulk = [B]",
    "tar_gzip | match.bulk = [B]",
    "tar_gzip | options.note = 'text' | options.level = 1 | match.bulk = [B]",
    "tar_bzip2 | options.skip_compressed = false | match.bulk = [B]",
    r#"tar_bzip2 | options.name = "{{ slug }} {{ count }}" | options.placement = "end" | match.bulk = [B]"#,
];

/// A set for bulk mail, which is exempt unless a rule names it, and for other mail.
fn load(set: &str) -> [Config; 2] {
    ["false", "true"].map(|bulk| rules(&set.replace("[B]", bulk).replace("WORDS", WORDS)))
}

/// The octets that go out.
fn run(before: &[u8], notation: &str) -> Vec<u8> {
    let mail = mail_of(before.to_vec(), "");
    let applied = apply(&rules(notation), &mail).unwrap();
    applied.message.unwrap_or(mail.message).into_raw()
}

//--- Laws ---

#[test]
fn disclaim_keeps_the_laws_on_every_mail_and_every_variant_shows_the_text_once() {
    let mut seen = BTreeSet::new();
    for set in DISCLAIM {
        let text = if set.contains("WORDS") {
            WORDS
        } else {
            "plain words"
        };
        let configs = load(set);
        for (name, raw) in corpus_mails() {
            let mail = mail_of(raw, "");
            let Some((message, edited)) = laws(&name, set, &configs, &mail) else {
                continue;
            };
            for part in message
                .leaves()
                .filter(|part| mail.message.leaves().all(|old| old.body() != part.body()))
            {
                holds_its_coding(&name, &mail, part);
            }
            if shown_once(&name, &mail, &message, text, &edited, set) {
                seen.insert(name);
            }
        }
    }
    assert!(
        seen.len() >= 260,
        "the other reader agreed on the tree of {} mails only",
        seen.len()
    );
}

#[test]
fn banners_mark_every_mail_and_leave_nothing_behind_when_they_are_taken_off() {
    let mut came_back = 0;
    for set in BANNER {
        let configs = load(set);
        for (name, raw) in corpus_mails() {
            let mail = mail_of(raw, "a@b.example > bo@example.com [client=192.0.2.7]");
            let config = &configs[usize::from(Facts::of(&mail).bulk())];
            let marked =
                apply(config, &mail).unwrap_or_else(|stopped| panic!("{name}: {stopped:?}"));
            let faults = |applied: &Applied| {
                let is_fault = |report: &Report| {
                    matches!(
                        report,
                        Report::Unchanged {
                            reason: Reason::Fault,
                            ..
                        }
                    )
                };
                applied.reports.iter().any(is_fault)
            };
            assert!(!faults(&marked), "{name}: {:?}", marked.reports);
            let Some(message) = marked.message else {
                continue;
            };
            let fields = |message: &Message, ours: &str| {
                message
                    .root()
                    .fields()
                    .filter(|field| field.is(ours))
                    .count()
            };
            assert_eq!(fields(&message, "x-external"), 1, "{name}: {set}");
            assert_eq!(fields(&message, "subject"), 1, "{name}: {set}");
            assert_eq!(
                unmarked_fields(&mail.message),
                unmarked_fields(&message),
                "{name}: {set}"
            );
            assert_eq!(
                sealed_leaves(&mail.message),
                sealed_leaves(&message),
                "{name}: {set}"
            );

            let inside = mail_of(
                message.raw().to_vec(),
                "anna@example.org > a@b.example [client=10.1.2.3]",
            );
            let config = &configs[usize::from(Facts::of(&inside).bulk())];
            let clean = apply(config, &inside).unwrap();
            assert!(!faults(&clean), "{name}: {:?}", clean.reports);
            let clean = clean.message.unwrap_or(inside.message);
            let subject = |message: &Message| {
                let subject = message.root().field("subject").map(|field| field.decoded());
                subject.unwrap_or_default().trim().to_string()
            };
            // A tag of ours that stood in it before goes as well: the mail is an answer to one that was marked.
            let before = match set.contains("ÄUSSERE") {
                true => subject(&mail.message),
                false => subject(&mail.message).replace("[EXTERNAL] ", ""),
            };
            assert_eq!(before, subject(&clean), "{name}: {set}");
            if mail.message.leaves().count() == clean.leaves().count() {
                assert_eq!(texts(&mail.message), texts(&clean), "{name}: {set}");
                came_back += 1;
            }
        }
    }
    assert!(came_back >= 400, "{came_back}");
}

fn unmarked_fields(message: &Message) -> Vec<Vec<u8>> {
    let mut fields = other_fields(message);
    fields.retain(|field| {
        let name = field
            .split(|octet| *octet == b':')
            .next()
            .unwrap()
            .to_ascii_lowercase();
        !matches!(name.trim_ascii(), b"subject" | b"x-external")
    });
    fields
}

fn sealed_leaves(message: &Message) -> Vec<&[u8]> {
    let sealed = message
        .leaves()
        .filter(|part| part.seal().is_some() && !part.is_root());
    sealed.map(Part::raw).collect()
}

/// The text of each leaf that is text, without its white space.
fn texts(message: &Message) -> Vec<String> {
    let edits = EditSet::new(message);
    let text = |part: Part<'_>| {
        let content = edits.content(part.id()).ok()?;
        let body = content.text().ok()?;
        Some(body.text().split_whitespace().collect::<String>())
    };
    let is_text = |part: &Part<'_>| part.media_type().starts_with("text/");
    message.leaves().filter(is_text).filter_map(text).collect()
}

#[test]
fn the_containers_keep_the_laws_on_every_mail_and_every_member_is_what_was_taken() {
    let mut zipped = BTreeSet::new();
    for set in PACK {
        let configs = load(set);
        for (name, raw) in corpus_mails() {
            let mail = mail_of(raw, "");
            let Some((message, taken)) = laws(&name, set, &configs, &mail) else {
                continue;
            };
            if set.contains("disclaim") {
                continue;
            }
            let is_archive = |part: &Part<'_>| {
                let old = mail.message.leaves().any(|old| old.raw() == part.raw());
                !old && ARCHIVES.contains(&part.media_type())
            };
            let archive = message.leaves().rfind(is_archive).unwrap();
            let members = members(&archive.decoded().unwrap());
            assert_eq!(members.len(), taken.len(), "{name}");
            for (member, part) in members.iter().zip(&taken) {
                let part = mail.message.part(*part).unwrap();
                assert_eq!(
                    member.content,
                    &*part.decoded().unwrap(),
                    "{name}: {}",
                    member.name
                );
                sound_name(&name, &member.name);
            }
            assert!(
                message.raw().len() <= mail.message.raw().len(),
                "{name}: {set}: grew from {} to {}",
                mail.message.raw().len(),
                message.raw().len()
            );
            zipped.insert(name);
        }
    }
    assert!(
        zipped.len() >= 40,
        "only {} mails had something to zip",
        zipped.len()
    );
}

fn sound_name(mail: &str, name: &str) {
    let bad =
        name.is_empty() || name.len() > 200 || name.starts_with('.') || name.ends_with(['.', ' ']);
    let signs = name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|'])
        || name.chars().any(char::is_control);
    assert!(!bad && !signs, "{mail}: {name:?}");
}

/// Runs an option set on a mail and proves what holds of each; returns the parts that were edited.
fn laws(
    name: &str,
    set: &str,
    configs: &[Config; 2],
    mail: &Mail,
) -> Option<(Message, Vec<PartId>)> {
    let config = &configs[usize::from(Facts::of(mail).bulk())];
    let applied =
        apply(config, mail).unwrap_or_else(|stopped| panic!("{name}: {set}: {stopped:?}"));
    let again = apply(config, mail).unwrap();
    assert_eq!(
        applied.message.as_ref().map(Message::raw),
        again.message.as_ref().map(Message::raw),
        "{name}: {set}: not the same twice"
    );
    let mut edited: Vec<PartId> = Vec::new();
    let plan = &plans_of(config, mail)[0];
    let decisions = plan.decisions(&config.policy, &Facts::of(mail));
    for (at, step) in decisions.iter().enumerate() {
        match &applied.reports[at] {
            Report::Edited { parts, .. } => edited.extend(parts),
            report => {
                let said = report.reason(step).is_some() || *report == Report::AsPlanned;
                assert!(said, "{name}: {set}: nothing done and no reason given");
                assert_ne!(
                    report.reason(step),
                    Some(Reason::Fault),
                    "{name}: {set}: {report:?}"
                );
            }
        }
    }
    assert_eq!(
        applied.message.is_some(),
        !edited.is_empty(),
        "{name}: {set}"
    );
    let message = applied.message?;
    // Every leaf that was not named is there with its octets, in the same order.
    let found: Vec<&[u8]> = message.leaves().map(Part::raw).collect();
    let mut found = found.iter();
    for part in mail
        .message
        .leaves()
        .filter(|part| !edited.contains(&part.id()))
    {
        assert!(
            found.any(|raw| *raw == part.raw()),
            "{name}: {set}: {part:?} changed"
        );
    }
    // So is every header field of the mail that does not describe its content.
    assert_eq!(
        other_fields(&mail.message),
        other_fields(&message),
        "{name}: {set}: header"
    );
    // Another scan of the octets finds what was proved, and nothing is broken that was whole.
    let scanned = Message::scan(message.raw().to_vec(), &Limits::default());
    assert_eq!(show_tree(&scanned), show_tree(&message), "{name}: {set}");
    assert!(
        mail.message.malformed() || !scanned.malformed(),
        "{name}: {set}: new defects"
    );
    let is_lf = |raw: &[u8]| raw.contains(&b'\n') && !raw.contains(&b'\r');
    assert!(
        !is_lf(mail.message.raw()) || is_lf(message.raw()),
        "{name}: {set}: CR in a mail of LF"
    );
    Some((message, edited))
}

fn other_fields(message: &Message) -> Vec<Vec<u8>> {
    let fields = message.root().fields();
    let others = fields.filter(|field| {
        let name = field.name().to_ascii_lowercase();
        !name.starts_with(b"content-") && name != b"mime-version"
    });
    others
        .map(|field| field.raw().trim_ascii_end().to_vec())
        .collect()
}

/// No octet that the coding forbids, no line that was made too long.
fn holds_its_coding(name: &str, mail: &Mail, part: Part<'_>) {
    let body = part.body();
    if matches!(
        part.encoding(),
        Encoding::SevenBit | Encoding::QuotedPrintable | Encoding::Base64
    ) {
        assert!(body.is_ascii(), "{name}: 8-bit octets in {part:?}");
    }
    let too_long = |octets: &[u8]| {
        octets
            .split(|octet| *octet == b'\n')
            .any(|line| line.len() > 999)
    };
    assert!(
        !too_long(body) || too_long(mail.message.raw()),
        "{name}: a line too long in {part:?}"
    );
}

/// Does each variant that was edited show the text once and no other part, as another reader sees it. `false` = that
/// reader sees another tree.
fn shown_once(
    name: &str,
    mail: &Mail,
    message: &Message,
    text: &str,
    edited: &[PartId],
    set: &str,
) -> bool {
    let Ok(parsed) = mailparse::parse_mail(message.raw()) else {
        return false;
    };
    let mut read = Vec::new();
    leaves(&parsed, &mut read);
    let types = |list: Vec<&str>| list.join(" ");
    let ours = types(message.leaves().map(Part::media_type).collect());
    if types(
        read.iter()
            .map(|part| part.ctype.mimetype.as_str())
            .collect(),
    ) != ours
    {
        return false;
    }
    // It may read a coding's name or a broken coding otherwise; then it is no judge of what was put into it.
    let Ok(original) = mailparse::parse_mail(mail.message.raw()) else {
        return false;
    };
    let mut was = Vec::new();
    leaves(&original, &mut was);
    for (part, seen) in mail
        .message
        .leaves()
        .zip(&was)
        .filter(|(part, _)| edited.contains(&part.id()))
    {
        if part.decoded().ok().as_deref() != seen.get_body_raw().ok().as_deref() {
            return false;
        }
    }
    // What was edited, and texts that are new.
    let expected: Vec<usize> = message
        .leaves()
        .enumerate()
        .filter(|(_, part)| part.media_type().starts_with("text/"))
        .filter(|(_, part)| mail.message.leaves().all(|old| old.body() != part.body()))
        .map(|(index, _)| index)
        .collect();
    let attached = message
        .leaves()
        .filter(|part| part.media_type() == "text/plain")
        .count()
        > mail
            .message
            .leaves()
            .filter(|part| part.media_type() == "text/plain")
            .count();
    assert_eq!(
        expected.len(),
        if attached { 1 } else { edited.len() },
        "{name}: {set}"
    );
    assert!(!expected.is_empty());
    for (index, part) in read
        .iter()
        .enumerate()
        .filter(|(_, part)| part.ctype.mimetype.starts_with("text/"))
    {
        let Ok(body) = part.get_body() else {
            assert!(
                !expected.contains(&index),
                "{name}: {set}: the edited part cannot be read"
            );
            continue;
        };
        let body = normal(&body);
        let times = body.matches(&normal(text)).count();
        assert_eq!(
            times,
            usize::from(expected.contains(&index)),
            "{name}: {set}: leaf {index} shows\n{body}"
        );
    }
    true
}

fn leaves<'p, 'm>(part: &'p ParsedMail<'m>, out: &mut Vec<&'p ParsedMail<'m>>) {
    if part.subparts.is_empty() {
        out.push(part);
    }
    part.subparts.iter().for_each(|part| leaves(part, out));
}

/// Numeric references decoded, white space folded.
fn normal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("&#") {
        out.push_str(before);
        let end = after.find(';').unwrap_or(0);
        match after[..end].parse().ok().and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                rest = &after[end + 1..];
            }
            None => {
                out.push_str("&#");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any words (a brace would begin a template), in any of these charsets and codings, are there once and whole for another reader; the old text too.
    #[test]
    fn any_text_into_any_charset(
        text in r"[!#-%'-:=?-\[\]-z}~äöüß€漢字😀ñłж][ !#-%'-:=?-\[\]-z}~äöüß€漢字😀ñłж]{0,60}",
        label in prop::sample::select(vec!["us-ascii", "utf-8", "iso-8859-1", "iso-8859-2", "windows-1252", "koi8-r", "shift_jis", "gb18030"]),
        coding in prop::sample::select(vec!["7bit", "8bit", "quoted-printable", "base64"]),
        subtype in prop::sample::select(vec!["plain", "html"]),
        top in any::<bool>(),
    ) {
        let body = if coding == "base64" { "SGVsbG8NCg==" } else { "Hello" };
        let before = format!("Content-Type: text/{subtype}; charset={label}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n{body}\r\n");
        let place = if top { "top" } else { "bottom" };
        let after = run(before.as_bytes(), &format!(r#"disclaim | options.text = "{text}" | options.html = "<p>{text}</p>" | options.place = "{place}""#));
        let parsed = mailparse::parse_mail(&after).unwrap();
        let ours = if subtype == "html" { format!("<p>{text}</p>") } else { text };
        let whole = if top { format!("{ours} Hello") } else { format!("Hello {ours}") };
        prop_assert_eq!(normal(&parsed.get_body().unwrap()), normal(&whole), "{}", after.escape_ascii());
    }
}

//--- Disclaim, octet for octet ---

#[test]
fn disclaim_octet_for_octet() {
    let mut failures = String::new();
    for (what, rules, before, after) in GOLDEN {
        let found = run(before, rules);
        if found != *after {
            failures += &format!(
                "{what}\n    expected  {}\n    found     {}\n",
                after.escape_ascii(),
                found.escape_ascii()
            );
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

const BOTH: &str = r#"disclaim | options.text = "Fuß" | options.html = "<p>Fuß</p>""#;
const ASCII: &str = r#"disclaim | options.text = "Foot" | options.html = "<p>Foot</p>""#;
const TOP: &str =
    r#"disclaim | options.text = "Head" | options.html = "<p>Head</p>" | options.place = "top""#;
const EURO: &str = r#"disclaim | options.text = "5 €" | options.html = "<p>5 €</p>""#;

#[rustfmt::skip]
const GOLDEN: &[(&str, &str, &[u8], &[u8])] = &[
    ("latin1 that can hold the text stays latin1", BOTH,
        b"Subject: s\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n",
        b"Subject: s\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n\r\nFu\xdf\r\n"),
    ("the euro raises a latin1 text to utf-8, all other parameters stay", EURO,
        b"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=\"iso-8859-1\"; x=y\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n",
        b"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=\"utf-8\"; x=y\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n\r\n5 \xe2\x82\xac\r\n"),
    ("in HTML it is a reference", EURO,
        b"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<body>Gr\xfc\xdfe</body>\r\n",
        b"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<body>Gr\xfc\xdfe\r\n<p>5 &#8364;</p>\r\n</body>\r\n"),
    ("windows-1252 and iso-8859-15 have a euro", EURO,
        b"Content-Type: text/plain; charset=iso-8859-15\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n",
        b"Content-Type: text/plain; charset=iso-8859-15\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n\r\n5 \xa4\r\n"),
    ("us-ascii in 7bit becomes utf-8 in quoted-printable", BOTH,
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\na = b\r\n",
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na =3D b\r\n\r\nFu=C3=9F\r\n"),
    ("ASCII leaves us-ascii as it is", ASCII,
        b"Content-Type: text/plain; charset=us-ascii\r\n\r\na = b\r\n",
        b"Content-Type: text/plain; charset=us-ascii\r\n\r\na = b\r\n\r\nFoot\r\n"),
    ("a mail without MIME fields needs none for ASCII", ASCII,
        b"Subject: s\r\n\r\nHello\r\n",
        b"Subject: s\r\n\r\nHello\r\n\r\nFoot\r\n"),
    ("and gets all of them for more", BOTH,
        b"Subject: s\r\n\r\nHello\r\n",
        b"Subject: s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n\r\nHello\r\n\r\nFu=C3=9F\r\n"),
    ("quoted-printable: the old lines stay, soft breaks and odd escapes included", BOTH,
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nlong=20=\r\nline =c3=bc\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nlong=20=\r\nline =c3=bc\r\n\r\nFu=C3=9F\r\n"),
    ("quoted-printable: a long line of ours gets soft breaks, none within a character",
        r#"disclaim | options.text = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeäöü""#,
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHello\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHello\r\n\r\neeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee=C3=A4=\r\n=C3=B6=C3=BC\r\n"),
    ("base64 stays base64", BOTH,
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8NCg==\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8NCg0KRnXDnw0K\r\n"),
    ("base64 with LF lines within keeps them", BOTH,
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8K\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8KCkZ1w58K\r\n"),
    ("a last line without an end is ended first", ASCII,
        b"Subject: s\r\n\r\nHello",
        b"Subject: s\r\n\r\nHello\r\n\r\nFoot\r\n"),
    ("a blank line that is there is enough", ASCII,
        b"Subject: s\r\n\r\nHello\r\n\r\n",
        b"Subject: s\r\n\r\nHello\r\n\r\nFoot\r\n"),
    ("an empty text gets no blank line", ASCII,
        b"Subject: s\r\n\r\n",
        b"Subject: s\r\n\r\nFoot\r\n"),
    ("on top nothing goes before ours", TOP,
        b"Subject: s\r\n\r\nHello\r\n",
        b"Subject: s\r\n\r\nHead\r\n\r\nHello\r\n"),
    ("on top, behind a byte order mark", TOP,
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xef\xbb\xbfHello\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xef\xbb\xbfHead\r\n\r\nHello\r\n"),
    ("the separator keeps its blank", r#"disclaim | options.text = "Foot" | options.separator = "-- ""#,
        b"Subject: s\r\n\r\nHello\r\n",
        b"Subject: s\r\n\r\nHello\r\n\r\n-- \r\nFoot\r\n"),
    ("format=flowed: ours is stuffed and flowed, the parameters stay",
        r#"disclaim | options.text = "From us: aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fffffffff ggggggggg hhhhhhhhh\n> no quote""#,
        b"Content-Type: text/plain; charset=us-ascii; format=flowed\r\n\r\nHello \r\nyou\r\n",
        b"Content-Type: text/plain; charset=us-ascii; format=flowed\r\n\r\nHello \r\nyou\r\n\r\n From us: aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fffffffff \r\nggggggggg hhhhhhhhh\r\n > no quote\r\n"),
    ("DelSp=yes: the blank that flows is one more, and no =2=20",
        r#"disclaim | options.text = "aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fffffffff ggggggggg hhhhhhhhh""#,
        b"Content-Type: text/plain; charset=us-ascii; format=flowed; delsp=yes\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHello =20\r\nyou\r\n",
        b"Content-Type: text/plain; charset=us-ascii; format=flowed; delsp=yes\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHello =20\r\nyou\r\n\r\naaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fffffffff ggggggggg =20\r\nhhhhhhhhh\r\n"),
    ("iso-2022-jp stays 7bit and in its charset", r#"disclaim | options.text = "漢字""#,
        b"Content-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\x1b$B4A;z\x1b(B\r\n",
        b"Content-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\x1b$B4A;z\x1b(B\r\n\r\n\x1b$B4A;z\x1b(B\r\n"),
    ("utf-16 in base64, byte order mark and order kept", r#"disclaim | options.text = "x""#,
        b"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n//5hAA==\r\n",
        b"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n//5hAA0ACgANAAoAeAANAAoA\r\n"),
    ("HTML: before the last true </body>", ASCII,
        b"Content-Type: text/html\r\n\r\n<html><body><p>a</p><!-- </body> -->\r\n</BODY >\r\n</html>\r\n",
        b"Content-Type: text/html\r\n\r\n<html><body><p>a</p><!-- </body> -->\r\n\r\n<p>Foot</p>\r\n</BODY >\r\n</html>\r\n"),
    ("HTML: on top behind <body …>", TOP,
        b"Content-Type: text/html\r\n\r\n<html><body class=\"</body>\"><p>a</p></body></html>\r\n",
        b"Content-Type: text/html\r\n\r\n<html><body class=\"</body>\">\r\n<p>Head</p>\r\n<p>a</p></body></html>\r\n"),
    ("the HTML variant derived from the text", r#"disclaim | options.text = "A & B\n<c>""#,
        b"Content-Type: text/html\r\n\r\n<body>a</body>\r\n",
        b"Content-Type: text/html\r\n\r\n<body>a\r\n<p>A &amp; B<br>\r\n&lt;c&gt;</p>\r\n</body>\r\n"),
    ("the text variant derived from the HTML", r#"disclaim | options.html = "<p>A &amp; B<br>c</p>""#,
        b"Subject: s\r\n\r\nHello\r\n",
        b"Subject: s\r\n\r\nHello\r\n\r\nA & B\r\nc\r\n"),
    ("alternative: both variants, nothing else", ASCII,
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\npre\r\n--b\r\nContent-Type: text/plain\r\n\r\na\r\n--b \r\nContent-Type: text/html\r\n\r\n<body>a</body>\r\n--b\r\nContent-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n--b--\r\nepi",
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\npre\r\n--b\r\nContent-Type: text/plain\r\n\r\na\r\n\r\nFoot\r\n\r\n--b \r\nContent-Type: text/html\r\n\r\n<body>a\r\n<p>Foot</p>\r\n</body>\r\n--b\r\nContent-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n--b--\r\nepi"),
    ("Apple: text, attachment, text: once, in the last", ASCII,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\npdf\r\n--b\r\n\r\nc\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\npdf\r\n--b\r\n\r\nc\r\n\r\nFoot\r\n\r\n--b--\r\n"),
    ("Apple, on top: in the first", TOP,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\npdf\r\n--b\r\n\r\nc\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHead\r\n\r\na\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\npdf\r\n--b\r\n\r\nc\r\n--b--\r\n"),
    ("parts = all: in each", r#"disclaim | options.text = "Foot" | options.parts = "all""#,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\n\r\nc\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n\r\nFoot\r\n\r\n--b\r\n\r\nc\r\n\r\nFoot\r\n\r\n--b--\r\n"),
    ("parts = first: in the first, at its bottom", r#"disclaim | options.text = "Foot" | options.parts = "first""#,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\n\r\nc\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n\r\nFoot\r\n\r\n--b\r\n\r\nc\r\n--b--\r\n"),
    ("related: the HTML, not the image", ASCII,
        b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src=cid:i>\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <i>\r\n\r\npng\r\n--b--\r\n",
        b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src=cid:i>\r\n<p>Foot</p>\r\n\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <i>\r\n\r\npng\r\n--b--\r\n"),
    ("a mail of LF stays one", ASCII,
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\na\n--b--\n",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\na\n\nFoot\n\n--b--\n"),
    ("the only text is the body though it bears a name; attached and forwarded ones are none", ASCII,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; name=a.txt\r\n\r\na\r\n--b\r\nContent-Disposition: attachment\r\n\r\nc\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nd\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; name=a.txt\r\n\r\na\r\n\r\nFoot\r\n\r\n--b\r\nContent-Disposition: attachment\r\n\r\nc\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nd\r\n--b--\r\n"),
    ("a missing last boundary stays missing", ASCII,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n\r\nFoot\r\n"),
    ("sealed text is not touched", ASCII,
        b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--b--\r\n",
        b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--b--\r\n"),
    ("but a list's footer beside it is", ASCII,
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--b--\r\n\r\n--o\r\n\r\nfooter\r\n--o--\r\n",
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--b--\r\n\r\n--o\r\n\r\nfooter\r\n\r\nFoot\r\n\r\n--o--\r\n"),
    ("a variant that cannot take the text keeps it out of the other: a part at the end of mixed", ASCII,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=x-klingon\r\n\r\na\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=x-klingon\r\n\r\na\r\n--b\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\nContent-Disposition: inline\r\n\r\nFoot\r\n--b--\r\n"),
];

/// Fallback where the root is no multipart/mixed: a new one around it, in which the old content is octet for octet.
#[test]
fn a_text_that_goes_nowhere_becomes_a_part_beside_the_mail() {
    let before = b"Subject: s\r\nContent-Type: multipart/alternative; boundary=b\r\nX-Mine: 1\r\n\r\n--b\r\nContent-Type: text/plain; charset=x-klingon\r\n\r\na\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>a\r\n--b--\r\n";
    let after = run(before, r#"disclaim | options.text = "Fuß""#);
    let message = Message::scan(after.clone(), &Limits::default());
    assert_eq!(show_tree(&message), "mixed(alt(plain,html),plain) X-Mine");
    let boundary = message.root().param("boundary").unwrap();
    let expected = format!(
        "Subject: s\r\nX-Mine: 1\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"{boundary}\"\r\n\r\n--{boundary}\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=x-klingon\r\n\r\na\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>a\r\n--b--\r\n\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Disposition: inline\r\n\r\nFu=C3=9F\r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(after).unwrap(), expected);
}

/// RFC 5322 section 2.1.1, also where our HTML, or a reference for a character of it, makes the line long.
#[test]
fn no_line_of_ours_is_over_998_octets() {
    let long = "x".repeat(1200);
    let euros = "€".repeat(300);
    for (html, label) in [
        (&long, "us-ascii"),
        (&euros, "us-ascii"),
        (&euros, "iso-8859-1"),
        (&long, "utf-8"),
    ] {
        for coding in ["7bit", "8bit", "quoted-printable"] {
            let before = format!(
                "Content-Type: text/html; charset={label}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n<body>a</body>\r\n"
            );
            let after = run(
                before.as_bytes(),
                &format!(r#"disclaim | options.text = "x" | options.html = "<p>{html}</p>""#),
            );
            assert!(
                after
                    .split(|octet| *octet == b'\n')
                    .all(|line| line.len() <= 999),
                "{label} {coding}"
            );
            let body = mailparse::parse_mail(&after).unwrap().get_body().unwrap();
            assert!(
                normal(&body).contains(html.as_str()),
                "{label} {coding}: {body}"
            );
        }
    }
}
