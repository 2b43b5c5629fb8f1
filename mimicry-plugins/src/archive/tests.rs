//! What stands on disk after a mail, by layout; what happens when it comes again, when it splits, and when it cannot be kept.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use mimicry_core::config::{self, Config};
use mimicry_core::engine::{Applied, Report, Stop, Stopped};
use mimicry_core::envelope::Recipient;
use mimicry_core::registry::Registry;

use super::*;
use crate::shared::judged;
use crate::shared::store::tests::mail;

mod again;
#[cfg(feature = "pgp")]
mod encrypted;

const MAIL: &[u8] = b"From: anna@example.org\r\nSubject: x\r\n\r\nFrom here\r\n";

/// By what it is known.
fn key() -> Key {
    Key::of(&mail(MAIL))
}

fn private() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    directory
}

fn load(directory: &Path, rules: &str) -> Result<Config, String> {
    static REGISTRY: Registry =
        Registry(&[&Archive, &crate::disclaim::Disclaim, &crate::remove::Remove]);
    let source = rules.replace("DIR", &directory.display().to_string());
    let read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    config::parse(&source, Path::new("/etc/mimicry.toml"), REGISTRY, &read)
        .map_err(|mistakes| mistakes.to_string())
}

fn rule(options: &str) -> String {
    format!("[[rule]]\nname = \"a\"\nplugin = \"archive\"\noptions = {{ {options} }}\n")
}

fn all(config: &Config, mail: &Mail, effects: Effects) -> Vec<Result<Applied, Stopped>> {
    judged::judge(config, mail, effects.into())
        .into_iter()
        .map(|judged| std::rc::Rc::try_unwrap(judged.result).unwrap())
        .collect()
}

fn keep(config: &Config, mail: &Mail) -> Report {
    let [Ok(applied)] = &all(config, mail, Effects::Real)[..] else {
        panic!("it does not pass as one mail");
    };
    applied.reports[0].clone()
}

/// Files below a directory, without the store's own; with their mode and content.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut stack = vec![directory.to_path_buf()];
    while let Some(path) = stack.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let facts = fs::symlink_metadata(&path).unwrap();
            let name = path
                .strip_prefix(directory)
                .unwrap()
                .to_str()
                .unwrap()
                .to_string();
            if facts.is_dir() {
                assert_eq!(facts.permissions().mode() & 0o777, 0o700, "{name}");
                if name == ".mimicry" {
                    assert!(
                        fs::read_dir(path.join("work")).unwrap().next().is_none(),
                        "unfinished work is left"
                    );
                } else {
                    stack.push(path);
                }
            } else {
                assert_eq!(facts.permissions().mode() & 0o777, 0o600, "{name}");
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn layouts() {
    let (digest, d, c) = (key().digest, key().copy(), key().coming());
    let gz = format!("{d}.eml.gz");
    for (options, expected) in [
        (
            r#"dir = "DIR/{{ year }}-{{ month }}""#,
            vec![format!("2026-11/new/{d}")],
        ),
        (r#"dir = "DIR", layout = "files""#, vec![format!("{d}.eml")]),
        (
            r#"dir = "DIR/{{ sender.domain }}", layout = "files", sidecar = true"#,
            vec![
                format!("example.org/{c}.json"),
                format!("example.org/{d}.eml"),
            ],
        ),
        (
            r#"dir = "DIR", layout = "files", compress = "gzip""#,
            vec![gz.clone()],
        ),
        (
            r#"dir = "DIR", sidecar = true"#,
            vec![format!("new/{d}"), format!("sidecar/{c}.json")],
        ),
        (
            r#"dir = "DIR/{{ recipient.local }}", layout = "mboxrd", sidecar = true"#,
            vec![
                "bo/mbox".into(),
                "bo/mbox.journal".into(),
                format!("bo/sidecar/{c}.json"),
            ],
        ),
        (
            r#"dir = "DIR", layout = "files", what = "parts""#,
            vec![format!("{d}-1.txt")],
        ),
    ] {
        let directory = private();
        let config = load(directory.path(), &rule(options)).unwrap();
        assert_eq!(config.directories[0].path, directory.path());
        let report = keep(&config, &mail(MAIL));
        assert!(
            matches!(report, Report::Done { .. }),
            "{options}: {report:?}"
        );
        let files = files(directory.path());
        assert_eq!(
            files.keys().cloned().collect::<Vec<_>>(),
            expected,
            "{options}"
        );
        for (name, content) in files {
            if name.ends_with(".json") {
                let json: serde_json::Value = serde_json::from_slice(&content).unwrap();
                assert_eq!(json["sha256"], digest.as_str());
                assert_eq!(json["digest"], digest.as_str());
                assert_eq!((json.get("folder"), json.get("trace")), (None, None));
                assert_eq!(json["sender"], "anna@example.org");
                assert_eq!(json["recipients"][1]["address"], "cy@example.net");
                assert_eq!(json["received"], "2026-11-22T10:30:10+01:00");
                assert_eq!(json["rules"], serde_json::json!(["a"]));
                assert_eq!(json["octets"], MAIL.len());
            } else if name.ends_with("mbox") {
                assert_eq!(content, b"From anna@example.org Sun Nov 22 09:30:10 2026\nFrom: anna@example.org\nSubject: x\n\n>From here\n\n");
            } else if name.ends_with(".gz") {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&content[..])
                    .read_to_end(&mut plain)
                    .unwrap();
                assert_eq!(plain, MAIL);
            } else if name.ends_with(".txt") {
                assert_eq!(content, b"From here\r\n");
            } else if !name.ends_with(".journal") {
                assert_eq!(content, MAIL, "{name}");
            }
        }
    }
}

// T159
#[test]
fn a_mail_that_comes_again_is_kept_once() {
    for options in [
        r#"dir = "DIR/{{ date }}""#,
        r#"dir = "DIR/{{ date }}", layout = "files", sidecar = true"#,
        r#"dir = "DIR/{{ date }}", layout = "mboxrd""#,
        r#"dir = "DIR/{{ date }}", layout = "files", what = "parts""#,
    ] {
        let directory = private();
        let config = load(directory.path(), &rule(options)).unwrap();
        keep(&config, &mail(MAIL));
        let first = files(directory.path());
        // Another Received line on top, an hour and a day later. It is kept; the mail is there.
        let received = b"Received: from x by y; later\r\n";
        let retried = [received, MAIL].concat();
        let mut again = mail(&retried);
        again.received.unix += 600;
        keep(&config, &again);
        let before = files(directory.path());
        let new = before.keys().filter(|name| !first.contains_key(*name));
        let new: Vec<&[u8]> = new
            .filter(|name| name.ends_with(".trace"))
            .map(|name| &*before[name])
            .collect();
        match options.contains("parts") {
            true => assert_eq!(before, first),
            false => assert_eq!(new, [received], "{options}"),
        }
        let sidecars = if options.contains("sidecar") { 1 } else { 0 };
        assert_eq!(
            before.len(),
            first.len() + new.len() + sidecars,
            "{options}"
        );
        for (name, content) in &first {
            assert_eq!(before[name], *content, "{options}: {name}");
        }
        for later in [3600, 86_400, 7 * 86_400] {
            let mut again = mail(&retried);
            again.received.unix += later;
            let report = keep(&config, &again);
            assert!(
                matches!(
                    report,
                    Report::Unchanged {
                        reason: Reason::Duplicate,
                        ..
                    }
                ),
                "{options}: {report:?}"
            );
            assert_eq!(files(directory.path()), before, "{options}");
        }
        // As if the process had died before it was noted.
        if !options.contains("mboxrd") {
            fs::remove_dir_all(directory.path().join(".mimicry/seen")).unwrap();
            keep(&config, &mail(&retried));
            assert_eq!(files(directory.path()), before, "{options}");
        }
        // Notes do not grow without end.
        let mut other = mail(b"Subject: y\r\n\r\n");
        other.received.unix += 20 * 86_400;
        keep(&config, &other);
        let days = fs::read_dir(directory.path().join(".mimicry/seen")).unwrap();
        assert_eq!(days.count(), 1, "{options}");
    }
}

#[test]
fn a_mail_that_splits_is_kept_once() {
    let directory = private();
    let footer = "[[rule]]\nname = \"b\"\nplugin = \"disclaim\"\nmatch = { recipient = '@example.com' }\noptions = { text = \"x\", html = \"x\" }\n";
    let archive = rule(r#"dir = "DIR/{{ recipient.domain }}", layout = "files", sidecar = true"#);
    let config = load(directory.path(), &format!("{archive}{footer}")).unwrap();
    let results = all(&config, &mail(MAIL), Effects::Real);
    assert_eq!(results.len(), 2);
    for result in &results {
        assert!(matches!(
            result.as_ref().unwrap().reports[0],
            Report::Done { .. }
        ));
    }
    let files = files(directory.path());
    assert_eq!(
        files.keys().cloned().collect::<Vec<_>>(),
        [key().coming() + ".json", key().copy() + ".eml"].map(|name| format!("example.com/{name}"))
    );
    let json: serde_json::Value =
        serde_json::from_slice(&files[&format!("example.com/{}.json", key().coming())]).unwrap();
    assert_eq!(json["rules"], serde_json::json!(["a", "b"]));
}

#[test]
fn nothing_is_written_for_a_mail_that_is_only_looked_at() {
    let directory = private();
    let keep = "[[rule]]\nname = \"b\"\nplugin = \"remove\"\nmatch = { type = '.' }\noptions = { keep = \"DIR/kept\" }\n";
    let rules = rule(r#"dir = "DIR/{{ date }}""#) + keep;
    for (rules, effects) in [
        (rules.clone(), Effects::None),
        (format!("mode = \"shadow\"\n{rules}"), Effects::Real),
    ] {
        let config = load(directory.path(), &rules).unwrap();
        let results = all(&config, &mail(MAIL), effects);
        assert!(results[0].is_ok());
        assert_eq!(
            results[0].as_ref().unwrap().message.is_some(),
            effects == Effects::None
        );
        assert!(fs::read_dir(directory.path()).unwrap().next().is_none());
    }
}

#[test]
fn many_mails_in_one_mailbox() {
    let directory = private();
    let config = load(directory.path(), &rule(r#"dir = "DIR", layout = "mboxrd""#)).unwrap();
    for number in 0..20 {
        keep(
            &config,
            &mail(format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(number * 100)).as_bytes()),
        );
    }
    let mbox = String::from_utf8(fs::read(directory.path().join("mbox")).unwrap()).unwrap();
    let subjects: Vec<&str> = mbox
        .lines()
        .filter_map(|line| line.strip_prefix("Subject: "))
        .collect();
    assert_eq!(
        subjects,
        (0..20).map(|number| number.to_string()).collect::<Vec<_>>()
    );
}

// T160
#[test]
fn half_a_mail_at_the_end_of_a_mailbox_is_cut_off() {
    let directory = private();
    let config = load(directory.path(), &rule(r#"dir = "DIR", layout = "mboxrd""#)).unwrap();
    let mbox = directory.path().join("mbox");
    let journal = directory.path().join("mbox.journal");
    keep(&config, &mail(b"Subject: 1\r\n\r\n"));
    let one = fs::read(&mbox).unwrap();
    // The journal as it stood while the second was appended: made by a mailbox that took it whole.
    keep(&config, &mail(b"Subject: 2\r\n\r\nlong enough\r\n"));
    let two = fs::read(&mbox).unwrap();
    let mark = format!(
        "{} {} {} {}\n",
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(&mbox).unwrap()),
        one.len(),
        two.len() - one.len(),
        Digest::of_octets(&two[one.len()..])
    );
    for cut in [one.len(), one.len() + 1, two.len() - 1, two.len()] {
        File::options()
            .write(true)
            .open(&mbox)
            .unwrap()
            .set_len(cut as u64)
            .unwrap();
        fs::write(&journal, &mark).unwrap();
        // The mail that was not finished comes again, and is there once.
        keep(&config, &mail(b"Subject: 2\r\n\r\nlong enough\r\n"));
        keep(
            &config,
            &mail(format!("Subject: 3{cut}\r\n\r\n").as_bytes()),
        );
        let now = fs::read(&mbox).unwrap();
        assert!(now.starts_with(&two), "{cut}");
        let third = String::from_utf8(now[two.len()..].to_vec()).unwrap();
        assert_eq!(third.matches("Subject: ").count(), 1, "{cut}: {third}");
        File::options()
            .write(true)
            .open(&mbox)
            .unwrap()
            .set_len(two.len() as u64)
            .unwrap();
    }
    // What somebody else has put behind it stays.
    fs::write(&journal, &mark).unwrap();
    let foreign = [&two[..], b"From x Sun Nov 22 09:30:10 2026\n\n"].concat();
    fs::write(&mbox, &foreign).unwrap();
    keep(&config, &mail(b"Subject: 4\r\n\r\n"));
    assert!(fs::read(&mbox).unwrap().starts_with(&foreign));
    // A mailbox that was moved away begins anew, also for a mail that was in it.
    fs::rename(&mbox, directory.path().join("old")).unwrap();
    keep(&config, &mail(b"Subject: 4\r\n\r\n"));
    assert!(fs::read(&mbox).unwrap().starts_with(b"From "));
}

// T146, T161
#[test]
fn a_mail_that_cannot_be_kept_does_not_pass_unless_the_rule_lets_it() {
    for required in [true, false] {
        let directory = private();
        let outside = private();
        symlink(outside.path(), directory.path().join("2026")).unwrap();
        for layout in ["maildir", "files", "mboxrd"] {
            let options = format!(
                r#"dir = "DIR/{{{{ year }}}}", layout = "{layout}", required = {required}"#
            );
            let config = load(directory.path(), &rule(&options)).unwrap();
            let results = all(&config, &mail(MAIL), Effects::Real);
            match (&results[0], required) {
                (Err(stopped), true) => {
                    assert_eq!(stopped.stop, Stop::Defer);
                    assert_eq!(
                        stopped.reply().to_string(),
                        "451 4.3.0 a copy of the mail cannot be stored"
                    );
                }
                (Ok(applied), false) => {
                    assert!(matches!(
                        applied.reports[0],
                        Report::Unchanged {
                            reason: Reason::Fault,
                            ..
                        }
                    ));
                }
                (result, _) => panic!("{result:?}"),
            }
            assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
            let work = directory.path().join(".mimicry/work");
            assert!(
                fs::read_dir(work).unwrap().next().is_none(),
                "unfinished work is left"
            );
        }
    }
    let full = Stopped {
        stop: Stop::StorageFull,
        rule: 0,
        text: "x".into(),
    };
    assert_eq!(full.reply().to_string(), "452 4.3.1 x");
}

#[test]
fn mistakes() {
    for (options, wrong) in [
        ("", "archive needs a directory"),
        (r#"dir = "{{ year }}""#, ""),
        (
            r#"dir = "/{{ year }}""#,
            "the directory begins with a token",
        ),
        (r#"dir = "DIR/{{ subject }}""#, "unknown token `subject`"),
        (
            r#"dir = "DIR", what = "parts""#,
            "parts are kept as files only",
        ),
        (
            r#"dir = "DIR", layout = "mboxrd", compress = "gzip""#,
            "a mailbox that grows is not compressed",
        ),
        (r#"dir = "  ""#, "not the name of a directory"),
        (r#"dir = "a\u0000b""#, "not the name of a directory"),
    ] {
        match load(Path::new("/srv/archive"), &rule(options)) {
            Ok(_) => assert_eq!(wrong, "", "{options}"),
            Err(mistakes) => assert!(
                !wrong.is_empty() && mistakes.contains(wrong),
                "{options}: {mistakes}"
            ),
        }
    }
    let zstd = load(
        Path::new("/srv/archive"),
        &rule(r#"dir = "DIR", layout = "files", compress = "zstd""#),
    );
    assert_eq!(zstd.is_ok(), cfg!(feature = "zstd"));
    // A relative one is relative to the configuration file.
    let config = load(Path::new(""), &rule(r#"dir = "archive/{{ year }}""#)).unwrap();
    assert_eq!(config.directories[0].path, Path::new("/etc/archive"));
}

#[test]
fn parts_that_filters_take() {
    let message = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n\
        --b\r\nContent-Type: application/pdf; name=\"../x.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n\
        --b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n====\r\n--b--\r\n";
    for (filter, expected) in [
        ("match = { type = 'pdf' }\n", vec!["2.pdf"]),
        ("", vec!["1.txt", "2.pdf", "3.raw"]),
        ("match = { type = 'gif' }\n", vec![]),
    ] {
        let directory = private();
        let rule = rule(r#"dir = "DIR", layout = "files", what = "parts""#) + filter;
        let config = load(directory.path(), &rule).unwrap();
        let mut mail = mail(message);
        mail.envelope.recipients = vec![Recipient::new("bo@example.com")];
        keep(&config, &mail);
        let names: Vec<String> = files(directory.path()).into_keys().collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|end| format!("{}-{end}", Key::of(&mail).copy()))
            .collect();
        assert_eq!(names, expected, "{filter}");
    }
}

#[test]
fn parts_may_be_nested_deeper_than_names_are_long() {
    let depth = 90;
    let mut message = String::from("MIME-Version: 1.0\r\n");
    for level in 0..depth {
        message +=
            &format!("Content-Type: multipart/mixed; boundary=b{level}.\r\n\r\n--b{level}.\r\n");
    }
    message += "\r\ntext\r\n";
    for level in (0..depth).rev() {
        message += &format!("--b{level}.--\r\n");
    }
    let directory = private();
    let config = load(
        directory.path(),
        &rule(r#"dir = "DIR", layout = "files", what = "parts""#),
    )
    .unwrap();
    keep(&config, &mail(message.as_bytes()));
    let files = files(directory.path());
    assert_eq!(files.len(), 1);
    assert!(
        files.keys().all(|name| name.ends_with(".txt")),
        "{:?}",
        files.keys()
    );
}
