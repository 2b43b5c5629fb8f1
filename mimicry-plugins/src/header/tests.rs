use std::path::Path;

use mimicry_core::config::{self, Config};
use mimicry_core::engine::{Applied, Report};
use mimicry_core::message::{Limits, Message};
use mimicry_core::plugin::Effects;
use proptest::prelude::*;

use crate::REGISTRY;
use crate::shared::judged;

use super::*;

/// The subject as readers see it with the tag.
fn with_tag(subject: &str, tag: &str, place: End) -> String {
    match (bears(subject, tag, place), place) {
        (true, _) => subject.trim().to_string(),
        (false, End::Front) => format!("{tag} {}", subject.trim()).trim().to_string(),
        (false, End::Back) => format!("{} {tag}", subject.trim()).trim().to_string(),
    }
}

fn load(options: &str) -> Result<Config, Vec<String>> {
    let source = format!(
        "[variables]\ncompany = \"Exämple\"\n[[rule]]\nname = \"h\"\nplugin = \"header\"\non_error = \"defer\"\n{options}\n"
    );
    let read = |_: &Path| Ok(b"address,phone\nanna@example.org,+49 1\n".to_vec());
    config::parse(&source, Path::new("t.toml"), REGISTRY, &read)
        .map_err(|mistakes| mistakes.list.into_iter().map(|one| one.message).collect())
}

fn apply(config: &Config, message: &[u8]) -> (Vec<u8>, Report) {
    let mail = judged::mail(message);
    let (_, applied) = judged::only(config, &mail, Effects::Real.into());
    let Applied {
        message: new,
        reports,
    } = applied.unwrap();
    let raw = new.map_or_else(|| message.to_vec(), Message::into_raw);
    (raw, reports[0].clone())
}

/// Fields joined by ` / `, before and after, and the reason if nothing was edited.
fn run(before: &str, options: &str) -> String {
    let config = load(options).unwrap_or_else(|found| panic!("{options}: {found:?}"));
    let message = before.replace(" / ", "\r\n").replace('¦', "\r\n ") + "\r\n\r\nbody\r\n";
    let (raw, report) = apply(&config, message.as_bytes());
    if let Report::Unchanged { reason, .. } = report {
        assert_eq!(raw, message.as_bytes());
        return reason.to_string();
    }
    let text = String::from_utf8(raw).unwrap();
    let header = text.strip_suffix("\r\n\r\nbody\r\n").unwrap();
    header.replace("\r\n ", "¦").replace("\r\n", " / ")
}

#[test]
#[rustfmt::skip]
fn fields_before_and_after() {
    for (before, options, after) in [
        ("A: 1", "options.add = { B = '2', C = '3' }", "A: 1 / B: 2 / C: 3"),
        ("A: 1", "options.add = { B = ['2', '3'] }", "A: 1 / B: 2 / B: 3"),
        ("A: 1", "options.add = { A = '2' }", "A: 1 / A: 2"),
        ("A: 1", "options.insert = { C = '3', B = ['2', '1'] }", "C: 3 / B: 2 / B: 1 / A: 1"),
        ("A: 1 / B: 2 / a: 3 / C: 4", "options.replace = { A = 'x' }", "A: x / B: 2 / C: 4"),
        ("A: 1", "options.replace = { B = 'x' }", "A: 1 / B: x"),
        ("A: 1", "options.replace = { A = '1' }", "duplicate"),
        ("A: 1 / A: 1", "options.replace = { A = '1' }", "A: 1"),
        ("X-A: 1¦2 / B: 2 / x-a: 3", "options.delete = 'X-a'", "B: 2"),
        ("X-Int-A: 1 / B: 2 / X-INT-B: 3", "options.delete = ['x-int-*']", "B: 2"),
        ("B: 2", "options.delete = ['X-*']", "duplicate"),
        // A wildcard leaves what is protected.
        ("Received: r / References: <r> / From: a@b", "options.delete = ['re*', 'fr*']", "Received: r / From: a@b"),
        ("Received: r / A: 1", "options.delete = 'Received'\noptions.force = true", "A: 1"),
        ("From: a@b / A: 1", "options.replace = { From = 'c@d' }\noptions.force = true", "From: c@d / A: 1"),
        // In this order: delete, replace, add, insert.
        ("A: 1 / X-A: 2", "options.insert = { X-A = '5' }\noptions.add = { X-A = '4' }\noptions.delete = 'X-A'", "X-A: 5 / A: 1 / X-A: 4"),
        // What may stand once stands once.
        ("Reply-To: a@b", "options.add = { Reply-To = 'c@d' }", "duplicate"),
        ("Reply-To: a@b", "options.add = { reply-to = 'c@d', X = '1' }", "Reply-To: a@b / X: 1"),
        ("A: 1", "options.insert = { Reply-To = 'c@d' }", "Reply-To: c@d / A: 1"),
        // Values are templates, encoded and folded.
        ("A: 1", "options.add = { X = '{{ var.company }} {{ sender.domain }} {{ date | format(\"%Y\") }}' }",
            "A: 1 / X: =?utf-8?Q?Ex=C3=A4mple?= example.org 2026"),
        ("A: =?utf-8?B?w6QNCkJjYzogeA==?=", "options.add = { X = '{{ header.a }}' }", "A: =?utf-8?B?w6QNCkJjYzogeA==?= / X: =?utf-8?B?w6Q=?=  Bcc: x"),
        ("From: anna@example.org", "options.add = { X-Phone = '{{ person.phone }}' }\noptions.directory = 'p.csv'", "From: anna@example.org / X-Phone: +49 1"),
        // A missing value leaves the field out.
        ("A: 1", "options.add = { X = 'x {{ header.none }}', Y = '{{ header.none | d(\"y\") }}' }", "A: 1 / Y: y"),
        ("A: 1", "options.replace = { A = '{{ header.none }}' }", "exempt"),
        ("A: 1", "options.replace = { A = '' }", "A: "),
        // Fields that a signature covers.
        ("DKIM-Signature: v=1; h=From : A¦:to; b=x / A: 1", "options.replace = { A = '2' }", "dkim"),
        ("DKIM-Signature: v=1; h=From:A; b=x / A: 1", "options.delete = ['A', 'B']\noptions.add = { To = 'x', C = '3' }", "DKIM-Signature: v=1; h=From:A; b=x / A: 1 / To: x / C: 3"),
        ("DKIM-Signature: v=1; h=from:a:to; b=x / A: 1", "options.insert = { To = 'x' }", "dkim"),
        ("DKIM-Signature: v=1; h=A; b=x / A: 1", "options.add = { A = '2' }\noptions.force = true", "DKIM-Signature: v=1; h=A; b=x / A: 1 / A: 2"),
        ("DKIM-Signature: v=1; h=A; b=x / A: 1", "options.delete = ['DKIM-*', 'A']\noptions.add = { B = '2' }", "B: 2"),
        ("DKIM-Signature: v=1; h=Subject; b=x / Subject: s", "options.prefix_subject = '[x]'", "dkim"),
        ("DKIM-Signature: v=1; h=Subject; b=x / Subject: s", "on_dkim = 'strip'\noptions.prefix_subject = '[x]'", "Subject: [x] s"),
        ("DKIM-Signature: junk h=A; =; h / A: 1", "options.add = { A = '2' }", "DKIM-Signature: junk h=A; =; h / A: 1 / A: 2"),
        // Tags.
        ("Subject: s", "options.prefix_subject = '[x]'\noptions.append_subject = '(y)'", "Subject: [x] s (y)"),
        ("A: 1", "options.prefix_subject = '[x]'", "A: 1 / Subject: [x]"),
        ("Subject: =?iso-8859-1?Q?Gr=FC=DFe?=", "options.prefix_subject = '[ä]'", "Subject: =?utf-8?B?W8OkXSA=?= =?iso-8859-1?Q?Gr=FC=DFe?="),
        ("Subject: =?x-none?B?sN/A?= 1", "options.prefix_subject = '[x]'\noptions.append_subject = '(y)'", "Subject: [x] =?x-none?B?sN/A?= 1 (y)"),
        ("Subject: =?utf-8?B?R3LDvMOfZ!Q==?= 1", "options.prefix_subject = '[x]'", "Subject: [x] =?utf-8?B?R3LDvMOfZ!Q==?= 1"),
        ("Subject: =?utf-8?B?W8OkXSBHcsO8w59l?=", "options.prefix_subject = '[ä]'", "duplicate"),
        ("Subject: s", "options.prefix_subject = '{{ header.none }}'", "exempt"),
        ("Subject: s / Subject: t", "options.prefix_subject = '[x]'", "Subject: [x] s"),
    ] {
        assert_eq!(run(before, options), after, "{before} with {options}");
    }
}

#[test]
#[rustfmt::skip]
fn a_tag_is_not_stacked() {
    for subject in [
        "[EXT] Hi", "Re: [EXT] Hi", "RE: Re: [ext] Hi", "AW: WG: [EXT] Hi", "Re[2]: [EXT] Hi", "Re(3): [EXT] Hi", "Re^2:[EXT] Hi",
        "RE : [EXT] Hi", "Fwd: [list] Re: [EXT] Hi", "SV: [EXT]", "Antw: [EXT] Hi", "回复：[EXT] Hi", "Ответ: [EXT] Hi", "RÉF: [EXT] Hi",
        "TR: [EXT] Hi", "Odp: [EXT] Hi", "YNT: [EXT] Hi", "  [EXT] Hi",
    ] {
        assert_eq!(with_tag(subject, "[EXT]", End::Front), subject.trim(), "{subject}");
    }
    for (subject, tagged) in [
        ("Hi", "[EXT] Hi"), ("", "[EXT]"), ("Re: Hi", "[EXT] Re: Hi"), ("Invoice: [EXT] Hi", "[EXT] Invoice: [EXT] Hi"),
        ("Re: Re", "[EXT] Re: Re"), ("[list] Hi", "[EXT] [list] Hi"), ("[open", "[EXT] [open"), ("ä", "[EXT] ä"),
    ] {
        assert_eq!(with_tag(subject, "[EXT]", End::Front), tagged);
        assert_eq!(with_tag(tagged, "[EXT]", End::Front), tagged);
    }
    for (subject, tagged) in [("Hi", "Hi (y)"), ("Re: Hi (Y)", "Re: Hi (Y)"), ("", "(y)"), ("ää", "ää (y)")] {
        assert_eq!(with_tag(subject, "(y)", End::Back), tagged);
    }
    let marks = "re: ".repeat(100_000) + &"[x".repeat(100_000);
    assert!(with_tag(&marks, "[EXT]", End::Front).starts_with("[EXT] re:"));
}

#[test]
#[rustfmt::skip]
fn mistakes_are_found_at_load() {
    for (options, message) in [
        ("", "header has nothing to do"),
        ("options.force = true", "header has nothing to do"),
        ("options.replace = { Received = 'x' }", "`Received` is protected"),
        ("options.delete = 'return-path'", "`return-path` is protected"),
        ("options.insert = { From = 'x' }", "`From` is protected"),
        ("options.add = { MIME-Version = '1' }", "`MIME-Version` is protected"),
        ("options.force = true\noptions.delete = 'Content-Type'", "`Content-Type` says what the body is"),
        ("options.add = { 'X Y' = '1' }", "`X Y` is not the name of a field"),
        ("options.add = { 'X:' = '1' }", "`X:` is not the name of a field"),
        ("options.add = { 'X*' = '1' }", "`X*` is not the name of a field"),
        ("options.add = { 'Ü' = '1' }", "`Ü` is not the name of a field"),
        ("options.delete = 'X*Y'", "`X*Y` is not the name of a field"),
        ("options.delete = '^X-'", "`^X-` is a regex, not the name of a field"),
        ("options.delete = '*'", "`*` takes almost every field"),
        ("options.replace = { X = ['1', '2'] }", "`X` can have one value only"),
        ("options.add = { Subject = '1', subject = '2' }", "`subject` can have one value only"),
        ("options.add = { X = '{{ var.firm }}' }", "X: line 1, column 4 of the text: there is no `var.firm`"),
        ("options.add = { X = \"a\\r\\nBcc: x\" }", "a line break is not allowed here"),
        ("options.prefix_subject = ' '", "the tag is empty"),
        ("options.prefix_subject = '{{ person.phone }}'", "line 1, column 4 of the text: there is no directory of persons"),
        ("options.prefix_subject = '{{ person.phone }}'\noptions.directory = 'p.txt'", "p.txt:1: the name of a directory ends in .toml or .csv"),
        ("options.prefix_subject = '{{ person.fax }}'\noptions.directory = 'p.csv'", "line 1, column 4 of the text: there is no `person.fax`"),
    ] {
        assert_eq!(load(options).unwrap_err(), [message], "{options}");
    }
}

#[test]
fn seals_stay() {
    let signed = b"A: 1\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"\r\n\
        Content-Description: d\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\ns\r\n--b--\r\n";
    let at = signed
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let (raw, report) = apply(
        &load("options.add = { X = '1' }\noptions.delete = 'A'").unwrap(),
        signed,
    );
    assert!(matches!(report, Report::Edited { .. }));
    assert!(raw.ends_with(&signed[at + 2..]));
    assert!(raw.starts_with(b"MIME-Version"));
    for options in [
        "options.delete = 'Content-Description'",
        "options.replace = { Content-Description = 'x' }",
        "options.add = { X = '1', Content-Language = 'de' }",
    ] {
        let (raw, report) = apply(&load(options).unwrap(), signed);
        assert_eq!(raw, signed);
        assert!(
            matches!(
                report,
                Report::Unchanged {
                    reason: Reason::Sealed,
                    ..
                }
            ),
            "{options}"
        );
    }
}

#[test]
fn rules_see_what_rules_above_did() {
    let two = "options.add = { X-A = '1' }\noptions.prefix_subject = '[x]'\n[[rule]]\nname = \"i\"\nplugin = \"header\"\noptions.delete = 'X-*'\noptions.prefix_subject = '[x]'";
    assert_eq!(run("Subject: s", two), "Subject: [x] s");
}

/// Fields whose values break out of nothing, whatever the mail holds.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"\r\n ".to_vec()),
        Just(b"=?utf-8?Q?=0D=0ABcc:_x?=".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\0".to_vec()),
        Just("\u{2028}\u{85}".as_bytes().to_vec()),
        Just(b"{{ x }}".to_vec()),
        Just(b"=?x?B?DQo=?= ".to_vec()),
        proptest::collection::vec(
            any::<u8>().prop_filter("no line end", |b| *b != b'\n'),
            0..40
        ),
    ];
    proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn one_field_more_and_all_others_as_they_were(value in hostile(), above: bool) {
        let option = if above { "insert" } else { "add" };
        let options = format!("options.{option} = {{ X-New = 'a {{{{ header.evil | d(\"-\") }}}} {{{{ subject | d(\"-\") }}}}' }}");
        let config = load(&options).unwrap();
        let message = [b"A: 1\r\nEvil: ".as_slice(), &value, b"\r\nSubject: ", &value, b"\r\nZ: 2\r\n\r\nbody"].concat();
        let before = Message::scan(message.clone(), &Limits::default());
        let (raw, report) = apply(&config, &message);
        prop_assert!(matches!(report, Report::Edited { .. }), "{report:?}");
        let after = Message::scan(raw, &Limits::default());
        let list = |message: &Message| message.root().fields().map(|field| field.raw().to_vec()).collect::<Vec<_>>();
        let (before, mut after) = (list(&before), list(&after));
        let new = if above { after.remove(0) } else { after.pop().unwrap() };
        prop_assert!(new.starts_with(b"X-New: a"));
        prop_assert!(new.is_ascii());
        prop_assert_eq!(fields(&new).count(), 1);
        prop_assert!(!new[..new.len() - 2].windows(2).any(|two| two[0] == b'\n' && two[1] != b' ' && two[1] != b'\t'));
        prop_assert_eq!(after, before);
    }

    #[test]
    fn a_tag_goes_on_once(subject in "[ -~äöü漢\\[\\]:]{0,60}") {
        let once = with_tag(&subject, "[EXT]", End::Front);
        prop_assert_eq!(with_tag(&once, "[EXT]", End::Front), once.clone());
        let reply = format!("Re: {once}");
        prop_assert_eq!(with_tag(&reply, "[EXT]", End::Front), reply);
    }
}
