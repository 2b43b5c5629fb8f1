//! Is what was delivered what should have been? Judged from the octets that were sent and those that were read back.
//!
//! Must never: ask the rules or the code that edits; take anything from memory that stands in the delivered file.

use std::io::{Cursor, Read};

use memchr::memmem;
use mimicry_core::message::charset::Charset;
use mimicry_core::message::roles::Role;
use mimicry_core::message::{Limits, Message, Part};

/// What must stand once in each variant of a text.
pub const FOOTER: &str = "Example Ltd – Exampletown – all prices in €, VAT included";

/// Most octets that a member of an archive may have here.
const MEMBER: u64 = 1024 * 1024;

/// What should become of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Octet for octet as sent.
    Untouched,
    /// The footer in each variant of its text; all else as sent.
    Footer,
    /// The same, and its attachments in one zip.
    FooterAndZip,
}

/// What was found right, or what is wrong.
pub type Finding = Result<String, String>;

/// All that is to be found of one mail. `delivered` are the files that it became.
pub fn check(expect: Expect, sent: &[u8], delivered: &[Vec<u8>]) -> Vec<Finding> {
    let [file] = delivered else {
        return vec![Err(format!("{} files instead of one", delivered.len()))];
    };
    let one = Ok("one file".to_string());
    let Some((_, file)) = own_trace(file) else {
        let wrong = "it does not begin with a Received field of mimicry";
        return vec![one, Err(wrong.into())];
    };
    if expect == Expect::Untouched {
        return vec![one, untouched(sent, file)];
    }
    let scan = |octets: &[u8]| Message::scan(octets.to_vec(), &Limits::default());
    let (before, after) = (scan(sent), scan(file));
    let zipped = expect == Expect::FooterAndZip;
    let mut findings = vec![one, footer(&before, &after)];
    if zipped {
        findings.push(zip(&before, &after));
    }
    findings.push(rest(&before, &after, zipped));
    findings
}

/// The Received field that mimicry put on top, and the message below it.
pub fn own_trace(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut ends = memmem::find_iter(octets, b"\r\n").map(|at| at.saturating_add(2));
    let end = ends.find(|end| !matches!(octets.get(*end), Some(b' ' | b'\t')))?;
    let (field, rest) = octets.split_at_checked(end)?;
    let is_ours =
        field.starts_with(b"Received: from ") && memmem::find(field, b" (mimicry) with ").is_some();
    is_ours.then_some((field, rest))
}

fn untouched(sent: &[u8], file: &[u8]) -> Finding {
    if sent == file {
        return Ok("octet for octet as sent".into());
    }
    let same = sent.iter().zip(file).take_while(|(a, b)| a == b).count();
    Err(format!("it differs from octet {same} on"))
}

/// The texts that a reader sees.
fn footer(before: &Message, after: &Message) -> Finding {
    let (old, new) = (of_role(before, Role::Body), of_role(after, Role::Body));
    if old.is_empty() || old.len() != new.len() {
        return Err(format!(
            "{} variants of the text instead of {}",
            new.len(),
            old.len()
        ));
    }
    for (old, new) in old.iter().zip(&new) {
        let section = new.section_text();
        let (Some(old), Some(text)) = (text(*old), text(*new)) else {
            return Err(format!("part {section} is no text in its charset"));
        };
        let times = text.matches(FOOTER).count();
        if times != 1 {
            return Err(format!("the footer stands {times} times in part {section}"));
        }
        if !is_inserted(old.as_bytes(), text.as_bytes()) {
            return Err(format!("part {section} has lost words of its own"));
        }
    }
    Ok(match new.len() {
        1 => "the footer once".into(),
        number => format!("the footer once in each of {number} variants"),
    })
}

/// The attachments against the members of the archive.
fn zip(before: &Message, after: &Message) -> Finding {
    let old = of_role(before, Role::Attachment);
    let new = of_role(after, Role::Attachment);
    let [archive] = new.as_slice() else {
        return Err(format!("{} attachments instead of one zip", new.len()));
    };
    let mut wanted: Vec<Member> = Vec::new();
    for part in &old {
        let octets = part.decoded().map_err(|_| "a broken attachment")?;
        wanted.push((part.filename().unwrap_or_default(), octets.into_owned()));
    }
    let octets = archive.decoded().map_err(|_| "the zip is broken")?;
    let mut members = members(&octets).map_err(|error| format!("the zip is broken: {error}"))?;
    wanted.sort();
    members.sort();
    if members == wanted {
        Ok(format!(
            "{} attachments in one zip, each with its octets",
            members.len()
        ))
    } else {
        Err("the zip does not hold the attachments as they were".into())
    }
}

/// A file name and what is in the file.
type Member = (String, Vec<u8>);

fn members(archive: &[u8]) -> zip::result::ZipResult<Vec<Member>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive))?;
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index(index)?;
        let name = member.name()?.into_owned();
        let mut octets = Vec::new();
        member.take(MEMBER).read_to_end(&mut octets)?;
        members.push((name, octets));
    }
    Ok(members)
}

/// What neither rule has to do with: the mail's own fields, and the other parts.
fn rest(before: &Message, after: &Message, zipped: bool) -> Finding {
    let own_fields = |message: &Message| -> Vec<Vec<u8>> {
        let is_content = |name: &[u8]| {
            let name = name.to_ascii_lowercase();
            name.starts_with(b"content-") || name == b"mime-version"
        };
        let fields = message.root().fields();
        fields
            .filter(|field| !is_content(field.name()))
            .map(|field| field.raw().to_vec())
            .collect()
    };
    if own_fields(before) != own_fields(after) {
        return Err("the header has other fields".into());
    }
    let others = |message: &Message| -> Vec<Vec<u8>> {
        let roles = message.roles();
        let is_other = |part: &Part<'_>| match roles.role(part.id()) {
            Some(Role::Body) => false,
            Some(Role::Attachment) => !zipped,
            _ => true,
        };
        let leaves = message.leaves().filter(is_other);
        leaves.map(|part| part.raw().to_vec()).collect()
    };
    if others(before) != others(after) {
        return Err("a part that no rule is for is another one".into());
    }
    Ok("all else as sent".into())
}

fn of_role(message: &Message, role: Role) -> Vec<Part<'_>> {
    let roles = message.roles();
    message
        .leaves()
        .filter(|part| roles.role(part.id()) == Some(role))
        .collect()
}

fn text(part: Part<'_>) -> Option<String> {
    let label = part.charset().unwrap_or_else(|| "us-ascii".into());
    let octets = part.decoded().ok()?;
    let text = Charset::for_label(label.as_bytes())?.decode(&octets)?;
    Some(text.into_owned())
}

/// Is `after` what `before` was, with one piece put in?
fn is_inserted(before: &[u8], after: &[u8]) -> bool {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let same = |(a, b): &(&u8, &u8)| a == b;
    let end = before.iter().rev().zip(after.iter().rev());
    let end = end.take_while(same).count();
    before.len() <= after.len() && start.saturating_add(end) >= before.len()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use data_encoding::BASE64;

    use super::*;

    const TRACE: &str =
        "Received: from a ([127.0.0.1])\r\n\tby b (mimicry) with ESMTP id x;\r\n\tdate\r\n";

    fn wrong(expect: Expect, sent: &str, delivered: &[String]) -> String {
        let files: Vec<Vec<u8>> = delivered.iter().map(|file| file.clone().into()).collect();
        let findings = check(expect, sent.as_bytes(), &files);
        let wrong: Vec<String> = findings.into_iter().filter_map(Result::err).collect();
        wrong.join("; ")
    }

    #[test]
    fn the_configuration_has_the_footer() {
        let lines: Vec<&str> = super::super::CONFIGURATION
            .lines()
            .filter(|line| line.contains(FOOTER))
            .collect();
        assert_eq!(lines.len(), 2, "in plain text and in HTML");
    }

    #[test]
    fn files_and_octets_are_counted() {
        let sent = "From: a@x\r\n\r\nhello\r\n";
        let other = "From: a@x\r\n\r\nhallo\r\n";
        for (files, expected) in [
            (&[(TRACE, sent)][..], ""),
            (&[], "0 files instead of one"),
            (&[(TRACE, sent), (TRACE, sent)], "2 files instead of one"),
            (
                &[("", sent)],
                "it does not begin with a Received field of mimicry",
            ),
            (&[(TRACE, other)], "it differs from octet 14 on"),
            (&[(TRACE, "")], "it differs from octet 0 on"),
        ] {
            let files: Vec<String> = files
                .iter()
                .map(|(trace, mail)| format!("{trace}{mail}"))
                .collect();
            assert_eq!(wrong(Expect::Untouched, sent, &files), expected);
        }
    }

    #[test]
    fn a_footer_stands_once_and_nothing_else_changes() {
        let mail = |subject: &str, text: &str| {
            format!(
                "Subject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Transfer-Encoding: 8bit\r\n\r\n{text}"
            )
        };
        let sent = mail("s", "schöne Grüße\r\n");
        for (subject, text, expected) in [
            ("s", "schöne Grüße\r\n\r\nF\r\n", ""),
            ("s", "F\r\nschöne Grüße\r\n", ""),
            (
                "s",
                "schöne Grüße\r\n",
                "the footer stands 0 times in part 1",
            ),
            (
                "s",
                "schöne Grüße\r\nF\r\nF\r\n",
                "the footer stands 2 times in part 1",
            ),
            (
                "s",
                "schoene Grüße\r\nF\r\n",
                "part 1 has lost words of its own",
            ),
            ("t", "schöne Grüße\r\nF\r\n", "the header has other fields"),
        ] {
            let file = format!("{TRACE}{}", mail(subject, &text.replace('F', FOOTER)));
            assert_eq!(wrong(Expect::Footer, &sent, &[file]), expected, "{text}");
        }
    }

    #[test]
    fn attachments_are_in_one_zip_as_they_were() {
        let mail = |text: &str, parts: &[(&str, Vec<u8>)]| {
            let mut mail = format!(
                "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
            );
            for (name, octets) in parts {
                mail.push_str(&format!(
                    "--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\
                     Content-Disposition: attachment; filename={name}\r\n\r\n{}\r\n",
                    BASE64.encode(octets)
                ));
            }
            format!("{mail}--b--\r\n")
        };
        let archive = |members: &[(&str, &str)]| {
            let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
            for (name, octets) in members {
                let options = zip::write::SimpleFileOptions::default();
                writer.start_file(*name, options).unwrap();
                writer.write_all(octets.as_bytes()).unwrap();
            }
            writer.finish().unwrap().into_inner()
        };
        let sent = mail("hello", &[("a", b"1".to_vec()), ("b", b"2".to_vec())]);
        let text = format!("hello\r\n{FOOTER}");
        let zip = |members: &[(&str, &str)]| vec![("z.zip", archive(members))];
        let not_as_they_were = "the zip does not hold the attachments as they were";
        for (parts, expected) in [
            (zip(&[("a", "1"), ("b", "2")]), ""),
            (zip(&[("a", "1")]), not_as_they_were),
            (zip(&[("a", "1"), ("b", "3")]), not_as_they_were),
            (zip(&[("a", "1"), ("c", "2")]), not_as_they_were),
            (vec![], "0 attachments instead of one zip"),
            (
                vec![("a", b"1".to_vec()), ("b", b"2".to_vec())],
                "2 attachments instead of one zip",
            ),
        ] {
            let file = format!("{TRACE}{}", mail(&text, &parts));
            let wrong = wrong(Expect::FooterAndZip, &sent, &[file]);
            assert_eq!(wrong, expected);
        }
        let broken = format!("{TRACE}{}", mail(&text, &[("z.zip", b"PK".to_vec())]));
        let wrong = wrong(Expect::FooterAndZip, &sent, &[broken]);
        assert!(wrong.starts_with("the zip is broken: "), "{wrong}");
    }

    #[test]
    fn one_piece_is_put_in() {
        for (before, after, inserted) in [
            ("ab", "ab", true),
            ("ab", "abc", true),
            ("ab", "cab", true),
            ("ab", "acb", true),
            ("aa", "aaaa", true),
            ("ab", "a", false),
            ("ab", "cacb", false),
            ("ab", "xyz", false),
        ] {
            let said = is_inserted(before.as_bytes(), after.as_bytes());
            assert_eq!(said, inserted, "{before} {after}");
        }
    }
}
