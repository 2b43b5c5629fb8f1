//! What is kept of a mail whose words are known: other people, other trace fields.

use super::*;

/// What stands in a sidecar of the mail to Dee alone.
fn to_dee(
    config: &Config,
    received: i64,
    trace: &str,
    files: &dyn Fn() -> BTreeMap<String, Vec<u8>>,
) -> serde_json::Value {
    let before = files();
    let mut mail = mail(&[trace.as_bytes(), MAIL].concat());
    mail.envelope.recipients = vec![Recipient::new("dee@example.com")];
    mail.received.unix += received;
    let report = keep(config, &mail);
    assert!(matches!(report, Report::Done { .. }), "{report:?}");
    let after = files();
    let new: Vec<(&String, &Vec<u8>)> = after
        .iter()
        .filter(|(name, _)| name.ends_with(".json") && !before.contains_key(*name))
        .collect();
    assert_eq!(new.len(), 1, "{new:?}");
    let json: serde_json::Value = serde_json::from_slice(new[0].1).unwrap();
    assert_eq!(json["recipients"].as_array().unwrap().len(), 1);
    assert_eq!(json["recipients"][0]["address"], "dee@example.com");
    json
}

// T180
#[test]
fn a_sidecar_points_to_content_that_is_there() {
    for (layout, content) in [("files", ""), ("maildir", "new"), ("mboxrd", "")] {
        for trace in ["", "Received: by night\r\n"] {
            let directory = private();
            let options =
                format!(r#"dir = "DIR/{{{{ date }}}}", layout = "{layout}", sidecar = true"#);
            let config = load(directory.path(), &rule(&options)).unwrap();
            let files = || files(directory.path());
            keep(&config, &mail(MAIL));
            // The next day, when new mail goes into another folder.
            let json = to_dee(&config, 86_400, trace, &files);
            assert_eq!(json["folder"], "2026-11-22", "{layout}");
            let file = Path::new("2026-11-22")
                .join(content)
                .join(json["file"].as_str().unwrap());
            let stored = fs::read(directory.path().join(file)).unwrap();
            match layout {
                "mboxrd" => assert_eq!(stored.iter().filter(|octet| **octet == b'@').count(), 2),
                _ => assert_eq!(stored, MAIL),
            }
            let beside = if layout == "files" { "" } else { "trace" };
            match json.get("trace") {
                None => assert_eq!(trace, "", "{layout}"),
                Some(name) => {
                    let name = Path::new("2026-11-23")
                        .join(beside)
                        .join(name.as_str().unwrap());
                    assert_eq!(
                        fs::read(directory.path().join(name)).unwrap(),
                        trace.as_bytes()
                    );
                }
            }
            // Once more it is known.
            let before = files();
            let mut again = mail(&[trace.as_bytes(), MAIL].concat());
            again.envelope.recipients = vec![Recipient::new("dee@example.com")];
            assert!(matches!(keep(&config, &again), Report::Unchanged { .. }));
            assert_eq!(files(), before);
        }
        // Content that somebody took away is no content: the next envelope gets its own copy.
        let directory = private();
        let options = format!(r#"dir = "DIR/{{{{ date }}}}", layout = "{layout}", sidecar = true"#);
        let config = load(directory.path(), &rule(&options)).unwrap();
        keep(&config, &mail(MAIL));
        fs::remove_dir_all(directory.path().join("2026-11-22")).unwrap();
        let json = to_dee(&config, 86_400, "", &|| files(directory.path()));
        assert_eq!(json.get("folder"), None, "{layout}");
        let file = Path::new("2026-11-23")
            .join(content)
            .join(json["file"].as_str().unwrap());
        assert!(directory.path().join(file).exists(), "{layout}");
    }
}

// T180
#[test]
fn a_copy_that_was_not_noted_is_compared() {
    for options in [
        r#"dir = "DIR""#,
        r#"dir = "DIR", layout = "files", compress = "gzip", sidecar = true"#,
    ] {
        for (first, second, kept) in [
            ("", "", 0),
            ("", "Received: two\r\n", 1),
            ("Received: one\r\n", "Received: one\r\n", 0),
            ("Received: one\r\n", "Received: two\r\n", 1),
            ("Received: one\r\n", "Received: one\r\nReceived: two\r\n", 1),
        ] {
            let directory = private();
            let config = load(directory.path(), &rule(options)).unwrap();
            keep(&config, &mail(&[first.as_bytes(), MAIL].concat()));
            fs::remove_dir_all(directory.path().join(".mimicry/seen")).unwrap();
            for _ in 0..2 {
                let report = keep(&config, &mail(&[second.as_bytes(), MAIL].concat()));
                assert!(
                    matches!(
                        report,
                        Report::Unchanged {
                            reason: Reason::Duplicate,
                            ..
                        }
                    ),
                    "{report:?}"
                );
                let files = files(directory.path());
                let traces = files.keys().filter(|name| name.ends_with(".trace"));
                assert_eq!(traces.count(), kept, "{options}: {first} {second}");
                let copies = files
                    .keys()
                    .filter(|name| name.contains("eml") || name.contains("new"));
                assert_eq!(copies.count(), 1, "{options}: {first} {second}");
            }
        }
    }
}

// T180
#[test]
fn mails_that_come_at_once_are_kept_each() {
    for options in [
        r#"dir = "DIR""#,
        r#"dir = "DIR", layout = "files", sidecar = true"#,
        r#"dir = "DIR", layout = "mboxrd""#,
    ] {
        let directory = private();
        let config = load(directory.path(), &rule(options)).unwrap();
        let traces: Vec<String> = (0..8).map(|n| format!("Received: {n}\r\n")).collect();
        std::thread::scope(|scope| {
            for trace in traces.iter().chain(&traces) {
                let config = &config;
                scope.spawn(move || keep(config, &mail(&[trace.as_bytes(), MAIL].concat())));
            }
        });
        let files = files(directory.path());
        let all: Vec<u8> = files.into_values().flatten().collect();
        let all = String::from_utf8_lossy(&all);
        for trace in &traces {
            assert_eq!(
                all.matches(trace.trim_end()).count(),
                1,
                "{options}: {trace}"
            );
        }
        assert_eq!(all.matches("From here").count(), 1, "{options}");
    }
}
