//! What a reader of the log gets back: all of it, whatever it was, from lines that nobody but us could have begun.

use mimicry_core::settings::words::LogFormat::{Json, Text};
use proptest::prelude::*;

use super::line::{MailLine, RuleWord, Times};
use super::*;

#[path = "../../../t/harness/logged.rs"]
mod logged;

use logged::{Fields, unescaped};

/// The sentence less the time and the process id.
fn composed(format: words::LogFormat, level: Level, text: &str) -> Vec<String> {
    compose(format, level, "mimicryd", text, MAX_LINE)
}

#[test]
fn sentences() {
    for (level, text, line) in [
        (Level::Info, "started", "started"),
        (Level::Warn, "odd", "warn: odd"),
        (Level::Error, "bad", "error: bad"),
        (
            Level::Info,
            "a\nb\u{1b}[2J\u{202e}",
            "a\\u{a}b\\u{1b}[2J\\u{202e}",
        ),
    ] {
        assert_eq!(composed(Text, level, text), [line]);
    }
    let json = composed(Json, Level::Warn, "a \"b\"\n");
    assert!(
        json[0].ends_with(r#""level":"warn","message":"a \"b\"\\u{a}"}"#),
        "{json:?}"
    );
    for (format, line) in [(Text, "id=1 class=1/1"), (Json, "{\"id\":1}")] {
        assert_eq!(compose(format, Level::Info, MAIL, line, MAX_LINE), [line]);
    }
}

/// T187
#[test]
fn a_long_sentence_is_said_in_pieces() {
    let text = "ü\" ".repeat(MAX_LINE);
    for format in [Text, Json] {
        let lines = composed(format, Level::Warn, &text);
        assert!(lines.len() > 3);
        let mut said = String::new();
        for line in &lines {
            assert!(line.len() <= MAX_LINE, "{}", line.len());
            let sentence = match format {
                Text => line.strip_prefix("warn: ").unwrap().to_string(),
                Json => {
                    let json: serde_json::Value = serde_json::from_str(line).unwrap();
                    json["message"].as_str().unwrap().to_string()
                }
            };
            match said.is_empty() {
                true => said.push_str(&sentence),
                false => said.push_str(sentence.strip_prefix(CONTINUED).unwrap()),
            }
        }
        assert_eq!(said, text);
    }
}

fn line() -> MailLine {
    MailLine {
        time: "2026-11-22T18:00:00.000+01:00".into(),
        id: "4kZq01".into(),
        client: "127.0.0.1".into(),
        listener: "from-postfix".into(),
        helo: b"mx.example.org".to_vec(),
        from: b"a@example.org".to_vec(),
        to: vec![b"b@example.com".to_vec(), b"c@example.com".to_vec()],
        size: 1200,
        out: Some(1450),
        bank: "base".into(),
        generation: "5f0c1a9e".into(),
        class: "1/1".into(),
        rules: vec![
            RuleWord {
                rule: "legal footer".into(),
                did: "edited".into(),
            },
            RuleWord {
                rule: "zip".into(),
                did: "no-saving".into(),
            },
        ],
        relay: "127.0.0.1:10026".into(),
        status: "sent",
        reply: "250 2.0.0 Ok: queued as \"1\"".into(),
        by: mimicry_core::reply::By::NextHop,
        said: None,
        queue: Some(b"4Zq01x".to_vec()),
        message_id: Some(b"<1@example.org>".to_vec()),
        subject: None,
        digest: "0123456789abcdef".into(),
        archive: vec![],
        notes: vec![],
        times: Times {
            receive: 1.25,
            judge: 0.4,
            relay: 3.0,
            total: 5.0,
        },
    }
}

#[test]
fn a_mail_as_text() {
    assert_eq!(
        line().compose(Text, MAX_LINE),
        [
            "id=4kZq01 class=1/1 status=sent reply=\"250 2.0.0 Ok: queued as \\\"1\\\"\" by=next-hop \
             from=<a@example.org> nrcpt=2 client=127.0.0.1 listener=from-postfix helo=mx.example.org \
             relay=127.0.0.1:10026 bank=base generation=5f0c1a9e size=1200 out=1450 \
             receive=1.2ms judge=0.4ms relaying=3.0ms total=5.0ms \
             rules=\"legal footer:edited\",zip:no-saving queue=4Zq01x msgid=<1@example.org> \
             digest=0123456789abcdef to=<b@example.com>,<c@example.com>"
        ]
    );
}

#[test]
fn a_mail_as_json() {
    let lines = line().compose(Json, MAX_LINE);
    assert_eq!(lines.len(), 1);
    let json: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(json["id"], "4kZq01");
    assert_eq!(json["to"][1], "c@example.com");
    assert_eq!(json["rules"][1]["did"], "no-saving");
    assert_eq!(json["times"]["judge"], 0.4);
    assert_eq!(json["out"], 1450);
    let nowhere = MailLine {
        out: None,
        ..line()
    };
    let json: serde_json::Value = serde_json::from_str(&nowhere.compose(Json, 1000)[0]).unwrap();
    assert_eq!(json["out"], serde_json::Value::Null);
}

/// What a client says cannot make a refusal look like another one, or like a mail.
#[test]
fn a_refusal_as_text_and_json() {
    let hostile = b"x\" by=mimicry\r\nid=1 class=1/1 status=sent event=none".to_vec();
    let event = EventLine {
        time: "2026-11-22T18:00:00.000+01:00".into(),
        event: "rcpt-refused",
        id: "4kZq01".into(),
        reply: Some("550 5.1.1 no".into()),
        by: mimicry_core::reply::By::NextHop,
        client: "192.0.2.1".into(),
        listener: "in".into(),
        helo: hostile.clone(),
        from: Some(hostile.clone()),
        to: Some(hostile.repeat(40)),
    };
    for room in [MAX_LINE, sheet::LEAST] {
        let lines = event.compose(Text, room);
        assert!(lines[0].starts_with(
            "event=rcpt-refused id=4kZq01 reply=\"550 5.1.1 no\" by=next-hop client=192.0.2.1 listener=in helo="
        ));
        let lines = lines.iter().map(String::as_str);
        let read = logged::events(lines.clone());
        assert!(logged::mails(lines).is_empty());
        assert_eq!(read.len(), 1);
        assert_eq!(read[0]["by"], [b"next-hop"]);
        let path = |octets: &[u8]| [b"<", octets, b">"].concat();
        assert_eq!(read[0]["from"], [path(&hostile)]);
        assert_eq!(read[0]["to"], [path(&hostile.repeat(40))]);
    }
    let nobody = EventLine {
        reply: None,
        from: None,
        to: None,
        ..event
    };
    let json: serde_json::Value = serde_json::from_str(&nobody.compose(Json, 1000)[0]).unwrap();
    assert_eq!(
        (&json["event"], &json["by"], &json["reply"]),
        (
            &"rcpt-refused".into(),
            &"next-hop".into(),
            &serde_json::Value::Null
        )
    );
}

/// T187
#[test]
fn what_matters_is_on_the_first_line() {
    let to = |number: usize| format!("{number}-{}@example.net", "x".repeat(100)).into_bytes();
    let crowded = MailLine {
        to: (0..150).map(to).collect(),
        ..line()
    };
    for (room, least) in [(MAX_LINE, 2), (sheet::LEAST, 15)] {
        let lines = crowded.compose(Text, room);
        assert!(lines.len() >= least, "{}", lines.len());
        for piece in [
            "id=4kZq01 class=1/1 status=sent reply=\"250 2.0.0 ",
            " nrcpt=150 ",
            " total=5.0ms ",
            &format!(" more={} ", lines.len() - 1),
            " rules=\"legal footer:edited\",zip:no-saving ",
        ] {
            assert!(lines[0].contains(piece), "{piece:?} is not in {}", lines[0]);
        }
        assert!(lines[1].starts_with("id=4kZq01 class=1/1 part=2 to=<"));
    }
}

/// Each kind of what others may write.
fn octets(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => "[a-z@.<>]{1,9}".prop_map(String::into_bytes),
        2 => Just(b"\" status=sent reply=\"250 ok".to_vec()),
        1 => Just(b" to=<x@y> part=2 ".to_vec()),
        1 => Just(b"\\\"\\\\,=".to_vec()),
        1 => Just(b"\\u{41}\\x41".to_vec()),
        1 => Just(b"\r\nid=1 class=1/1\0\x1b[2J\x7f".to_vec()),
        1 => Just("\u{202e}\u{2066}\u{200f}\u{2028}\u{85}\u{a0}\u{feff}ü😀".as_bytes().to_vec()),
        1 => Just(b"\xff\xc3\xe2\x82".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..9),
    ];
    proptest::collection::vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

fn text(most: usize) -> impl Strategy<Value = String> {
    octets(most).prop_map(|octets| String::from_utf8_lossy(&octets).into_owned())
}

prop_compose! {
    fn any_line()(
        (reply, helo, from, long) in (text(40), octets(30), octets(30), octets(600)),
        to in proptest::collection::vec(octets(12), 0..80),
        (listener, bank, relay) in (text(6), text(20), text(6)),
        rules in proptest::collection::vec((text(9), "[a-z-]{1,9}"), 0..20),
        notes in proptest::collection::vec(text(9), 0..6),
        (which, out, size) in (0..6, any::<Option<u32>>(), any::<usize>()),
        said in proptest::option::of(text(20)),
        (queue, message_id, subject) in (
            proptest::option::of(octets(9)),
            proptest::option::of(octets(20)),
            proptest::option::of(octets(20)),
        ),
    ) -> MailLine {
        let mut line = MailLine {
            reply, helo, from, to, listener, bank, relay, notes, size, said, queue, message_id, subject,
            out: out.map(|out| out as usize),
            rules: rules.into_iter().map(|(rule, did)| RuleWord { rule, did }).collect(),
            ..line()
        };
        match which {
            0 => line.from = long,
            1 => line.to.push(long),
            2 => line.helo = long,
            3 => line.reply = String::from_utf8_lossy(&long).into_owned(),
            4 => line.rules.push(RuleWord {
                rule: String::from_utf8_lossy(&long).into_owned(),
                did: "edited".into(),
            }),
            _ => {}
        }
        line
    }
}

/// What the fields of a line must be.
fn expected(line: &MailLine, parts: usize) -> Fields {
    let path = |octets: &[u8]| [b"<", octets, b">"].concat();
    let one = |value: &[u8]| vec![value.to_vec()];
    let mut fields = Fields::new();
    let mut put = |key: &str, values: Vec<Vec<u8>>| {
        if !values.is_empty() {
            fields.insert(key.into(), values);
        }
    };
    put("id", one(line.id.as_bytes()));
    put("class", one(line.class.as_bytes()));
    put("status", one(line.status.as_bytes()));
    put("reply", one(line.reply.as_bytes()));
    put("by", one(b"next-hop"));
    put(
        "said",
        line.said
            .iter()
            .map(|said| said.clone().into_bytes())
            .collect(),
    );
    for (key, mark) in [
        ("queue", &line.queue),
        ("msgid", &line.message_id),
        ("subject", &line.subject),
    ] {
        put(key, mark.iter().cloned().collect());
    }
    put("digest", one(line.digest.as_bytes()));
    put("from", one(&path(&line.from)));
    put("nrcpt", one(line.to.len().to_string().as_bytes()));
    put("client", one(line.client.as_bytes()));
    put("listener", one(line.listener.as_bytes()));
    put("helo", one(&line.helo));
    put("relay", one(line.relay.as_bytes()));
    put("bank", one(line.bank.as_bytes()));
    put("generation", one(line.generation.as_bytes()));
    put("size", one(line.size.to_string().as_bytes()));
    put(
        "out",
        line.out
            .map(|out| out.to_string().into_bytes())
            .into_iter()
            .collect(),
    );
    for (key, time) in [
        ("receive", "1.2ms"),
        ("judge", "0.4ms"),
        ("relaying", "3.0ms"),
        ("total", "5.0ms"),
    ] {
        put(key, one(time.as_bytes()));
    }
    let rules = line.rules.iter();
    put(
        "rules",
        rules
            .map(|word| format!("{}:{}", word.rule, word.did).into_bytes())
            .collect(),
    );
    put(
        "notes",
        line.notes
            .iter()
            .map(|note| note.clone().into_bytes())
            .collect(),
    );
    put("to", line.to.iter().map(|octets| path(octets)).collect());
    if parts > 1 {
        put("more", one((parts - 1).to_string().as_bytes()));
        put("part", one(parts.to_string().as_bytes()));
    }
    fields
}

/// A JSON value as the octets that it stands for.
fn said(value: &serde_json::Value) -> Vec<u8> {
    unescaped(value.as_str().expect("a string"))
}

/// The lists and texts of JSON lines, put together: keys with their elements.
fn of_json(lines: &[String]) -> Fields {
    let mut fields = Fields::new();
    for (line, number) in lines.iter().zip(1..) {
        let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(json["id"], "4kZq01");
        if number > 1 {
            assert_eq!(json["part"], number);
        }
        for (key, piece) in json["continued"].as_object().into_iter().flatten() {
            let last = fields.get_mut(key).and_then(|known| known.last_mut());
            last.expect("what goes before").extend(said(piece));
        }
        for key in ["reply", "from", "listener", "helo", "relay", "bank"] {
            if let Some(value) = json.get(key) {
                assert_eq!(fields.insert(key.into(), vec![said(value)]), None);
            }
        }
        for key in ["to", "notes", "rules", "said", "msgid", "subject", "queue"] {
            let list = json[key].as_array().into_iter().flatten();
            let element = |value: &serde_json::Value| said(value.get("rule").unwrap_or(value));
            fields
                .entry(key.into())
                .or_default()
                .extend(list.map(element));
        }
    }
    fields
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// T187
    #[test]
    fn what_was_written_as_text_is_read_back(line in any_line(), room in sheet::LEAST..4000usize) {
        let lines = line.compose(Text, room);
        for one in &lines {
            prop_assert!(one.len() <= room, "{} of {room}: {one}", one.len());
            prop_assert!(!one.contains(is_unprintable), "{one:?}");
            prop_assert!(one.starts_with("id=4kZq01 class=1/1 "));
        }
        prop_assert!(lines[0].starts_with("id=4kZq01 class=1/1 status=sent reply="));
        let mails = logged::mails(lines.iter().map(String::as_str));
        prop_assert_eq!(&mails, &[expected(&line, lines.len())]);
        for one in &lines {
            let read = read::line(one).unwrap().into_iter();
            let read: Vec<_> = read.map(|field| (field.key, field.goes_on, field.values)).collect();
            prop_assert_eq!(read, logged::fields(one));
        }
    }

    /// T187
    #[test]
    fn what_was_written_as_json_is_read_back(line in any_line(), room in sheet::LEAST..4000usize) {
        let lines = line.compose(Json, room);
        for one in &lines {
            prop_assert!(one.len() <= room, "{} of {room}: {one}", one.len());
            prop_assert!(!one.contains(is_unprintable), "{one:?}");
            // No second wall changes it.
            prop_assert_eq!(&compose(Json, Level::Info, MAIL, one, room), std::slice::from_ref(one));
        }
        let json: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        prop_assert_eq!(json["status"].as_str(), Some("sent"));
        prop_assert_eq!(json["nrcpt"].as_u64(), Some(line.to.len() as u64));
        let found = of_json(&lines);
        for (json, text) in lines.iter().zip(line.compose(Text, MAX_LINE)) {
            let sorted = |line: &str| {
                let mut fields = read::line(line).unwrap();
                fields.retain(|field| !matches!(field.key.as_str(), "time" | "from" | "to" | "more" | "part"));
                fields.sort_by(|one, other| one.key.cmp(&other.key));
                fields
            };
            // Whole lines say the same in both forms; of others the pieces differ.
            if lines.len() == 1 && line.compose(Text, MAX_LINE).len() == 1 {
                prop_assert_eq!(sorted(json), sorted(&text));
            }
        }
        for (key, octets) in [("reply", line.reply.as_bytes()), ("from", &line.from), ("helo", &line.helo), ("bank", line.bank.as_bytes())] {
            prop_assert_eq!(&found[key], &[octets.to_vec()]);
        }
        prop_assert_eq!(&found["to"], &line.to);
        let said: Vec<Vec<u8>> = line.said.iter().map(|said| said.clone().into_bytes()).collect();
        prop_assert_eq!(&found["said"], &said);
        let rules: Vec<Vec<u8>> = line.rules.iter().map(|word| word.rule.clone().into_bytes()).collect();
        prop_assert_eq!(&found["rules"], &rules);
        let notes: Vec<Vec<u8>> = line.notes.iter().map(|note| note.clone().into_bytes()).collect();
        prop_assert_eq!(&found["notes"], &notes);
    }

    /// T187
    #[test]
    fn words_of_others_end_no_sentence(octets in octets(30)) {
        let quoted = mimicry_core::printable::Quoted(&octets).to_string();
        let fields = logged::fields(&format!("said={quoted}"));
        prop_assert_eq!(fields, [("said".to_string(), false, vec![octets])]);
        // Nor does the last wall touch it.
        prop_assert_eq!(shown(&quoted), quoted.as_str());
    }
}

// man: mimicryd(8) "each line is a JSON object with these keys:"
#[test]
fn every_key_of_a_json_line_is_in_the_manual() {
    let full = MailLine {
        said: Some("x".repeat(3000)),
        subject: Some(b"s".to_vec()),
        archive: vec!["a".into()],
        notes: vec!["n".into()],
        ..line()
    };
    let event = line::EventLine {
        time: line::now(),
        event: "rcpt-refused",
        id: "1".into(),
        reply: Some("450 x".into()),
        by: mimicry_core::reply::By::Limit,
        client: "192.0.2.1".into(),
        listener: "in".into(),
        helo: b"x".to_vec(),
        from: Some(b"a".to_vec()),
        to: Some(b"b".to_vec()),
    };
    let mut lines = full.compose(Json, sheet::LEAST);
    assert!(lines.len() > 2);
    lines.extend(event.compose(Json, MAX_LINE));
    lines.extend(composed(Json, Level::Warn, "said"));
    let mut found = std::collections::BTreeSet::new();
    for line in &lines {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        for (key, value) in json.as_object().unwrap() {
            found.insert(key.clone());
            let first = value.get(0).filter(|_| key == "rules").unwrap_or(value);
            let inner = first.as_object().filter(|_| key != "continued");
            found.extend(
                inner
                    .into_iter()
                    .flatten()
                    .map(|(inner, _)| format!("{key}.{inner}")),
            );
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../man/mimicryd.8");
    let page = std::fs::read_to_string(path).unwrap();
    let section = page
        .split(".Ss The keys of a line")
        .nth(1)
        .expect("a section");
    let section = section.split("\n.Ss").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix(".It "));
    let documented: std::collections::BTreeSet<String> = rows
        .flat_map(|row| row.split(" , ").map(String::from))
        .collect();
    assert_eq!(documented, found);
}
