//! Trees before and after, notes, and what is kept.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mimicry_core::config;
use mimicry_core::engine::Report;
use mimicry_core::envelope::Recipient;
use mimicry_core::mail::Mail;
use mimicry_core::message::Message;
use mimicry_core::registry::Registry;

use super::*;
use crate::shared::judged;
use crate::shared::store::tests::mail;

static REGISTRY: Registry = Registry(&[&Remove, &crate::keep::Keep]);

/// A multipart of its children, `NAME` or `NAME; parameter`; a leaf is anything else, its type.
fn tree(text: &str) -> Vec<u8> {
    fn entity(text: &str, level: usize, out: &mut String) {
        let Some((head, rest)) = text.split_once('(') else {
            let (kind, fields) = text.split_once('#').unwrap_or((text, ""));
            let id = if fields.is_empty() {
                String::new()
            } else {
                format!("Content-ID: <{fields}>\r\n")
            };
            let name = kind
                .strip_prefix('@')
                .map(|_| "Content-Disposition: attachment; filename=\"a b.exe\"\r\n");
            let kind = kind.trim_start_matches('@');
            out.push_str(&format!(
                "Content-Type: {kind}\r\n{id}{}\r\nbody of {kind}",
                name.unwrap_or_default()
            ));
            return;
        };
        let rest = rest.strip_suffix(')').unwrap();
        let boundary = format!("=_{level}");
        out.push_str(&format!(
            "Content-Type: multipart/{head}; boundary=\"{boundary}\"\r\n\r\n"
        ));
        let mut depth = 0;
        let children = rest.split(|c: char| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        });
        for child in children {
            out.push_str(&format!("--{boundary}\r\n"));
            entity(child, level + 1, out);
            out.push_str("\r\n");
        }
        out.push_str(&format!("--{boundary}--\r\n"));
    }
    let mut out = "From: anna@example.org\r\nMIME-Version: 1.0\r\n".to_string();
    entity(text, 0, &mut out);
    out.push_str("\r\n");
    out.into_bytes()
}

fn shown(message: &Message) -> String {
    fn show(part: Part<'_>, out: &mut String) {
        if !part.is_multipart() {
            let note = part
                .filename()
                .is_some_and(|name| name.ends_with(".removed.txt"));
            out.push_str(if note {
                "note"
            } else {
                part.media_type().rsplit('/').next().unwrap()
            });
            return;
        }
        out.push_str(part.media_type().rsplit('/').next().unwrap());
        for (index, child) in part.children().enumerate() {
            out.push(if index == 0 { '(' } else { ',' });
            show(child, out);
        }
        out.push(')');
    }
    let mut out = String::new();
    show(message.root(), &mut out);
    out
}

fn run(message: &[u8], filters: &str, options: &str) -> (Option<Message>, Report) {
    run_mail(mail(message), filters, options)
}

fn run_mail(mail: Mail, filters: &str, options: &str) -> (Option<Message>, Report) {
    run_rules(mail, "", filters, options)
}

fn run_rules(mail: Mail, above: &str, filters: &str, options: &str) -> (Option<Message>, Report) {
    let source = format!(
        "{above}[[rule]]\nname = \"no programs\"\nplugin = \"remove\"\n{filters}options = {{ {options} }}\n"
    );
    let read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let config = config::parse(&source, Path::new("test.toml"), REGISTRY, &read)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let applied = judged::only(&config, &mail, Effects::Real.into())
        .1
        .unwrap();
    (applied.message, applied.reports[0].clone())
}

#[test]
fn what_is_left_of_a_mail() {
    let none = r#"note = "none""#;
    for (before, filters, options, after) in [
        (
            "mixed(text/plain,@application/x-exe)",
            "",
            "",
            "mixed(plain,note)",
        ),
        (
            "mixed(text/plain,@application/x-exe)",
            "",
            none,
            "mixed(plain)",
        ),
        (
            "mixed(text/plain,@application/x-exe,@application/pdf)",
            "match = { type = 'exe' }\n",
            none,
            "mixed(plain,pdf)",
        ),
        (
            "mixed(@application/x-exe,@application/x-exe)",
            "",
            none,
            "mixed(note)",
        ),
        (
            "mixed(@application/x-exe,@application/x-exe)",
            "",
            "",
            "mixed(note,note)",
        ),
        (
            "mixed(text/plain,mixed(@application/x-exe))",
            "",
            none,
            "mixed(plain,mixed(note))",
        ),
        // The only body is replaced in its place.
        ("@application/x-exe", "", "", "note"),
        ("@application/x-exe", "", none, "note"),
        // Readers show one part of an alternative.
        (
            "alternative(text/plain,text/html)",
            "match = { type = 'html' }\n",
            none,
            "alternative(plain)",
        ),
        (
            "alternative(text/plain,text/html)",
            "match = { type = 'html' }\n",
            "",
            "mixed(alternative(plain),note)",
        ),
        (
            "mixed(alternative(text/plain,text/calendar),image/png)",
            "match = { type = 'calendar' }\n",
            "",
            "mixed(alternative(plain),note,png)",
        ),
        (
            "alternative(text/plain,text/html)",
            "match = { type = 'text/' }\n",
            none,
            // A mail never ends as an alternative of which one variant is a note.
            "note",
        ),
        (
            "alternative(text/plain,text/html)",
            "match = { type = 'text/' }\n",
            "",
            "mixed(note,note)",
        ),
        (
            "mixed(alternative(text/plain,text/html),image/png)",
            "match = { type = 'text/' }\n",
            none,
            "mixed(note,png)",
        ),
        (
            "mixed(appledouble(@application/applefile,@application/x-exe),text/plain)",
            "match = { type = 'exe' }\n",
            "",
            "mixed(note,plain)",
        ),
        (
            "mixed(appledouble(@application/applefile,@application/x-exe),text/plain)",
            "",
            none,
            "mixed(note,plain)",
        ),
        // With the root of a related goes what only it shows; what is attached beside it gets a note, too.
        (
            "related(text/html,image/png#i)",
            "match = { type = 'html' }\n",
            "",
            "note",
        ),
        (
            "related(@application/x-exe,image/png#i)",
            "match = { filename = 'exe$' }\n",
            none,
            "note",
        ),
        (
            "mixed(text/plain,related(@application/x-exe,image/png#i),image/gif)",
            "match = { filename = 'exe$' }\n",
            "",
            "mixed(plain,note,gif)",
        ),
        (
            "mixed(text/plain,related(@application/x-exe,image/png#i))",
            "match = { filename = 'exe$' }\n",
            none,
            "mixed(plain)",
        ),
        (
            "mixed(related(@application/x-exe,image/png#i))",
            "match = { filename = 'exe$' }\n",
            none,
            "mixed(note)",
        ),
        (
            "alternative(text/plain,related(@application/x-exe,image/png#i))",
            "match = { filename = 'exe$' }\n",
            "",
            "mixed(alternative(plain),note)",
        ),
        (
            "related(related(@application/x-exe,image/png#i),image/png#j)",
            "match = { filename = 'exe$' }\n",
            "",
            "note",
        ),
        (
            "mixed(text/plain,related(@application/x-exe,@application/pdf,image/png#i))",
            "match = { type = 'exe' }\n",
            "",
            "mixed(plain,note,note)",
        ),
        (
            "related(@application/x-exe,@application/pdf,image/png#i)",
            "match = { type = 'exe|png' }\n",
            "",
            "mixed(note,note,note)",
        ),
        (
            "related(text/html,image/png#i)",
            "match = { type = 'png' }\n",
            none,
            "related(html)",
        ),
        (
            "related(text/html,image/png#i)",
            "match = { type = '^(text|image)' }\n",
            none,
            "note",
        ),
        (
            "related; start=\"<i>\"(image/png,text/html#i)",
            "match = { type = 'html' }\n",
            "",
            "note",
        ),
        // A multipart goes whole, the one that is the mail stays.
        (
            "mixed(text/plain,related(text/html,image/png))",
            "match = { type = 'related' }\n",
            "",
            "mixed(plain,note)",
        ),
        (
            "mixed(text/plain,related(text/html,image/png))",
            "match = { type = 'related' }\n",
            none,
            "mixed(plain)",
        ),
        (
            "mixed(related(text/html,image/png))",
            "match = { type = 'related' }\n",
            none,
            "mixed(note)",
        ),
        (
            "mixed(text/plain,image/png)",
            "match = { type = 'multipart/mixed' }\n",
            "",
            "-",
        ),
        (
            "mixed(text/plain,message/rfc822)",
            "match = { type = 'rfc822' }\n",
            none,
            "mixed(plain)",
        ),
        // Nobody's attachment.
        ("mixed(text/plain,text/html)", "", "", "-"),
        (
            "report; report-type=delivery-status(text/plain,message/delivery-status,@application/x-exe)",
            "",
            "",
            "-",
        ),
        (
            "report; report-type=delivery-status(text/plain,message/delivery-status,@application/x-exe)",
            "match = { bulk = true, type = 'exe' }\n",
            none,
            "report(plain,delivery-status)",
        ),
        // Sealed content is removed whole or not at all.
        (
            "mixed(text/plain,signed; protocol=\"application/pgp-signature\"(text/plain,application/pgp-signature))",
            "match = { type = 'pgp-signature' }\n",
            "",
            "-",
        ),
    ] {
        let (message, report) = run(&tree(before), filters, options);
        assert_eq!(
            message.as_ref().map_or("-".into(), shown),
            after,
            "{before} {filters}{options}: {report:?}"
        );
    }
}

// What is kept keeps the root that would take it along, and nothing else.
#[test]
fn a_root_stays_with_what_is_kept() {
    let before =
        tree("mixed(text/plain,related(@application/x-exe,image/png#i),@application/x-exe)");
    let source = "[[rule]]\nname = \"pictures\"\nplugin = \"keep\"\nmatch = { type = 'png' }\n";
    let (message, _) = run_rules(mail(&before), source, "match = { filename = 'exe$' }\n", "");
    assert_eq!(
        message.as_ref().map(shown).as_deref(),
        Some("mixed(plain,related(x-exe,png),note)")
    );
}

#[test]
fn notes_say_what_was_there() {
    let message = tree("mixed(text/plain,@application/x-exe)");
    let sha256 = Digest::of_octets(b"body of application/x-exe").to_string();
    let text = |options: &str| {
        let (message, _) = run(&message, "", options);
        let message = message.unwrap();
        let note = message.leaves().last().unwrap();
        (
            note.filename().unwrap(),
            String::from_utf8(note.decoded().unwrap().into_owned()).unwrap(),
        )
    };
    let double = tree("mixed(text/plain,appledouble(@application/applefile,@application/x-exe))");
    let (double, _) = run(&double, "", "");
    let name_of_file = double.unwrap().leaves().last().unwrap().filename();
    assert_eq!(name_of_file.as_deref(), Some("a b.exe.removed.txt"));
    let (name, note) = text("");
    assert_eq!(name, "a b.exe.removed.txt");
    assert_eq!(
        note,
        format!(
            "a b.exe (application/x-exe, 25 B) was removed from this mail.\r\nSHA-256: {sha256}"
        )
    );
    let (name, note) = text(
        r#"text = "{{ rule }}: {{ filename|upper }} {{ sender }}", note_name = "../{{ subject|d('note') }}/x?y""#,
    );
    assert_eq!(
        (name.as_str(), note.trim_end()),
        ("x_y", "no programs: A B.EXE anna@example.org")
    );
}

#[test]
fn a_name_that_disguises_itself_is_not_repeated() {
    let message = "From: a@b\r\nContent-Type: application/x-exe\r\nContent-Disposition: attachment; filename*=utf-8''..%2F%E2%80%AEfdp%0D%0AEvil:%20x.exe\r\n\r\nx\r\n";
    let (message, _) = run(message.as_bytes(), "", "");
    let message = message.unwrap();
    let note = String::from_utf8(message.raw().to_vec()).unwrap();
    assert!(
        !note.contains("Evil: x.exe\r\n") && !note.contains('\u{202e}') && !note.contains("../"),
        "{note}"
    );
    assert_eq!(
        message
            .root()
            .fields()
            .filter(|field| field.is("evil"))
            .count(),
        0
    );
}

#[test]
fn what_is_removed_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let options = format!(
        "note = \"none\", keep = \"{}/{{{{ sender.domain }}}}\"",
        directory.path().display()
    );
    let message = tree("mixed(text/plain,@application/x-exe,related(text/html,image/png))");
    for _ in 0..2 {
        let (after, _) = run(
            &message,
            "match = { type = ['exe', 'related'] }\n",
            &options,
        );
        assert_eq!(shown(&after.unwrap()), "mixed(plain)");
        let place = directory.path().join("example.org");
        let mut names: Vec<String> = fs::read_dir(&place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 4, "{names:?}");
        let sha256 = Digest::of_octets(b"body of application/x-exe").to_string();
        assert_eq!(
            fs::read(place.join(format!("{sha256}.bin"))).unwrap(),
            b"body of application/x-exe"
        );
        let json: serde_json::Value = serde_json::from_slice(
            &fs::read(place.join(format!("{sha256}-{}.json", Key::of(&mail(&message)).copy())))
                .unwrap(),
        )
        .unwrap();
        assert_eq!(
            (json["parts"][0]["filename"].as_str(), json["rule"].as_str()),
            (Some("a b.exe"), Some("no programs"))
        );
        let related = names.iter().find(|name| name.ends_with(".eml")).unwrap();
        assert!(
            fs::read(place.join(related))
                .unwrap()
                .starts_with(b"Content-Type: multipart/related")
        );
    }
}

// T180
#[test]
fn what_is_removed_is_kept_with_each_envelope() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let options = format!("keep = \"{}/{{{{ date }}}}\"", directory.path().display());
    let message = tree("mixed(text/plain,@application/x-exe)");
    let place = directory.path().join("2026-11-22");
    // The files of the part, and sidecars for envelopes.
    for (to, sidecars) in [("bo@x", 1), ("dee@x", 2), ("bo@x", 2), ("eve@x", 3)] {
        let mut mail = mail(&message);
        mail.envelope.recipients = vec![Recipient::new(to)];
        run_mail(mail, "", &options);
        let names = fs::read_dir(&place).unwrap();
        let names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let json = names.iter().filter(|name| name.ends_with(".json"));
        assert_eq!(
            (json.count(), names.len()),
            (sidecars, sidecars + 1),
            "{to}"
        );
    }
}

#[test]
fn thousands_of_parts_take_no_time() {
    let children = vec!["@a/b"; 9000].join(",");
    let message = tree(&format!("mixed({children})"));
    let start = std::time::Instant::now();
    let (after, _) = run(&message, "", r#"note = "none""#);
    assert_eq!(shown(&after.unwrap()), "mixed(note)");
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
