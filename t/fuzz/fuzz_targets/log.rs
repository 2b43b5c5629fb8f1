//! The lines of a mail in the log: whatever is in the fields of a mail, each JSON line parses, no line is longer than asked for, and the
//! text form taken apart as the manual says has the same values as went in.
//!
//! The first octets choose sizes; the rest is cut into the fields at LF.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use mimicry_core::settings::words::LogFormat;
use mimicryd::logging::line::{MailLine, RuleWord, Times};

#[path = "../../harness/logged.rs"]
#[allow(dead_code)]
mod logged;

fuzz_target!(|input: &[u8]| {
    let Some(([room, many], rest)) = input.split_first_chunk::<2>() else { return };
    let room = 960 + usize::from(*room) * 32;
    let mut pieces = rest.split(|octet| *octet == b'\n').map(<[u8]>::to_vec);
    let mut next = || pieces.next().unwrap_or_default();
    let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
    let line = MailLine {
        time: "2026-01-02T03:04:05.678+01:00".into(),
        id: "4XQZ".into(),
        client: "192.0.2.1".into(),
        listener: text(next()),
        helo: next(),
        from: next(),
        to: std::iter::repeat_n(next(), usize::from(*many)).chain([next(), next()]).collect(),
        size: rest.len(),
        out: None,
        bank: text(next()),
        class: "1/2".into(),
        rules: vec![RuleWord {
            rule: text(next()),
            did: "edited".into(),
        }],
        relay: "smtp://127.0.0.1:25".into(),
        generation: "0123abcd".into(),
        status: "sent",
        reply: text(next()),
        by: Default::default(),
        said: Some(text(next())),
        queue: Some(next()),
        message_id: Some(next()),
        subject: Some(next()),
        digest: "0123456789abcdef".into(),
        archive: Vec::new(),
        notes: vec![text(next())],
        times: Times::default(),
    };
    for json in line.compose(LogFormat::Json, room) {
        assert!(json.len() <= room && !json.contains(['\r', '\n']), "{} of {room}", json.len());
        let value: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert_eq!(value["id"], "4XQZ");
    }
    let lines = line.compose(LogFormat::Text, room);
    for text in &lines {
        assert!(text.len() <= room && !text.contains(['\r', '\n']), "{} of {room}", text.len());
    }
    let mails = logged::mails(lines.iter().map(String::as_str));
    assert_eq!(mails.len(), 1, "{lines:?}");
    holds(&mails[0], &line);
});

/// The status is ours, whatever a peer wrote, and his values are his.
fn holds(mail: &BTreeMap<String, Vec<Vec<u8>>>, line: &MailLine) {
    let path = |octets: &[u8]| [b"<", octets, b">"].concat();
    assert_eq!(mail["status"], [b"sent"]);
    assert_eq!(mail["from"], [path(&line.from)]);
    assert_eq!(mail["nrcpt"], [line.to.len().to_string().into_bytes()]);
    assert_eq!(mail["to"], line.to.iter().map(|to| path(to)).collect::<Vec<_>>());
    assert_eq!(mail["reply"], [line.reply.as_bytes()]);
    assert_eq!(mail["helo"], [line.helo.as_slice()]);
    assert_eq!(mail["msgid"], [line.message_id.as_deref().unwrap_or_default()]);
    assert_eq!(mail["subject"], [line.subject.as_deref().unwrap_or_default()]);
    assert_eq!(mail["digest"], [b"0123456789abcdef"]);
}
