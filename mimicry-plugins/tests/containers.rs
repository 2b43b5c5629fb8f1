//! Zip, TarGzip and TarBzip2 from the configuration to the members: what is taken, what it is called, where it goes, and
//! when nothing is done. Another reader reads the archives back. The laws over the corpus are in `plugins`.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{
    ARCHIVES, Member, PASSWORD, apply, apply_planned, mail, mail_of, members, octets, rules,
    show_tree, unzipped,
};
use mimicry_core::config;
use mimicry_core::engine::Report;
use mimicry_core::message::{Message, Part};
use mimicry_plugins::REGISTRY;

const KINDS: [&str; 3] = ["zip", "tar_gzip", "tar_bzip2"];

/// For each kind, with the rule's `pack` standing for it: the outcome of a rule on a mail.
fn for_each_kind(table: &[(&str, &str, &str)]) {
    for kind in KINDS {
        for (tree, rule, expected) in table {
            let rule = rule.replace("pack", kind);
            assert_eq!(outcome(&octets(tree), &rule), *expected, "{tree}: {rule}");
        }
    }
}

/// The tree with `#` for the archive and the names of its members behind it, or the reason why there is none.
fn outcome(before: &[u8], rule: &str) -> String {
    let mail = mail_of(before.to_vec(), "");
    let config = rules(rule);
    let (plan, applied) = apply_planned(&config, &mail);
    let applied = applied.unwrap();
    let Some(message) = applied.message else {
        let last = config.policy.rules.len() - 1;
        let reason = applied.reports[last].reason(plan.steps.get(last).unwrap());
        return reason.map_or("nothing".into(), |reason| reason.to_string());
    };
    let mut tree = show_tree(&message);
    for word in ["x-bzip2", "gzip", "zip"] {
        tree = tree.replace(word, "#");
    }
    for member in &members(&archive(&message)) {
        tree += &format!(" {}", member.name);
    }
    tree
}

fn is_archive(part: &Part<'_>) -> bool {
    ARCHIVES.contains(&part.media_type())
}

fn archive(message: &Message) -> Vec<u8> {
    let part = message.leaves().find(is_archive).expect("an archive");
    part.decoded().unwrap().into_owned()
}

/// Applies a rule that makes an archive.
fn packed(before: Vec<u8>, rule: &str) -> Message {
    let mail = mail_of(before, "");
    let applied = apply(&rules(rule), &mail).unwrap();
    applied
        .message
        .unwrap_or_else(|| panic!("{rule}: nothing was done"))
}

fn members_of(tree: &str, rule: &str) -> Vec<Member> {
    members(&archive(&packed(octets(tree), rule)))
}

/// A leaf that is an attachment, with these fields.
fn attachment(fields: &str, body: &[u8]) -> Vec<u8> {
    let header = format!(
        "Date: Fri, 21 Nov 2025 09:30:10 +0100\r\n{}\r\n",
        fields.replace('\n', "\r\n")
    );
    [header.as_bytes(), body].concat()
}

#[test]
#[rustfmt::skip]
fn what_is_taken_and_where_it_goes() {
    for_each_kind(&[
        ("mixed(plain,csv@a.csv,pdf@b.pdf)", "pack", "mixed(plain,#) a.csv b.pdf"),
        ("mixed(csv@a.csv,plain,csv@b.csv)", "pack", "mixed(#,plain) a.csv b.csv"),
        ("mixed(csv@a.csv,plain,csv@b.csv)", "pack | options.placement = 'end'", "mixed(plain,#) a.csv b.csv"),
        ("mixed(plain,mixed(csv@a.csv),csv@b.csv)", "pack", "mixed(plain,mixed(#)) a.csv b.csv"),
        ("mixed(plain,mixed(csv@a.csv),csv@b.csv)", "pack | options.placement = 'end'", "mixed(plain,#) a.csv b.csv"),
        ("mixed(plain,csv@b.csv,mixed(mixed(csv@a.csv)))", "pack", "mixed(plain,#) b.csv a.csv"),
        ("mixed(csv@a.csv,csv@b.csv)", "pack", "mixed(#) a.csv b.csv"),
        ("mixed(csv@a.csv,csv@b.csv)", "pack | options.placement = 'end'", "mixed(#) a.csv b.csv"),
        ("csv@a.csv", "pack", "# a.csv"),
        ("csv@a.csv", "pack | options.placement = 'end'", "# a.csv"),
        ("related(html~l,png^l.png#l,csv@a.csv)", "pack", "mixed(related(html,png),#) a.csv"),
        ("related(html~l,png^l.png#l,csv@a.csv)", "pack | options.placement = 'end'", "mixed(related(html,png),#) a.csv"),
        ("related(csv@a.csv,csv@b.csv)", "pack | options.placement = 'end'", "# a.csv b.csv"),
        ("alt(plain,mixed(html,csv@a.csv))", "pack", "mixed(alt(plain,mixed(html)),#) a.csv"),
        // Two text files go in, the mail's own text stays.
        ("mixed(plain,plain@notes.txt*900,html@page.html*900)", "pack", "mixed(plain,#) notes.txt page.html"),
        // What an attachment is and what not.
        ("mixed(related(html~l,png^l.png#l),png^m.png*900,csv@a.csv)", "pack", "mixed(related(html,png),#) m.png a.csv"),
        ("mixed(related(html~l,png@l.png#l),csv@a.csv)", "pack", "mixed(related(html,png),#) a.csv"),
        ("mixed(plain,cal@i.ics,eml@m.eml,keys@k.asc,sig@s.asc,csv@a.csv)", "pack", "mixed(plain,calendar,rfc822,pgp-keys,pgp-signature,#) a.csv"),
        ("mixed(plain,p7m@smime.p7m,csv@a.csv)", "pack", "mixed(plain,pkcs7-mime,#) a.csv"),
        ("mixed(plain,bin@winmail.dat)", "pack", "below-threshold"),
        ("mixed(plain,eml@m.eml*9000)", "pack | match.type = 'rfc822'", "mixed(plain,#) m.eml"),
        // Sealed content stays, what stands beside it goes.
        ("mixed(signed(mixed(plain,csv@a.csv),sig),csv@b.csv)", "pack", "mixed(signed(mixed(plain,csv),pgp-signature),#) b.csv"),
        ("mixed(clearsigned,csv@b.csv)", "pack", "mixed(plain,#) b.csv"),
        ("signed(mixed(plain,csv@a.csv),sig)", "pack", "sealed"),
        // What does not decode stays where it is.
        ("mixed(plain,broken@a.pdf,csv@b.csv)", "pack", "mixed(plain,pdf,#) b.csv"),
        ("mixed(plain,broken@a.pdf)", "pack", "malformed"),
        ("mixed(plain,csv@a.csv*0,csv@b.csv)", "pack", "mixed(plain,#) a.csv b.csv"),
        // Nothing to take.
        ("plain", "pack", "below-threshold"),
        ("alt(plain,html)", "pack", "below-threshold"),
        ("mixed(plain,cal@i.ics,eml@m.eml)", "pack", "below-threshold"),
        ("related(html~l,png@l.png#l)", "pack", "below-threshold"),
        ("List-Id: <l.example.org> & mixed(plain,csv@a.csv)", "pack", "exempt"),
        ("List-Id: <l.example.org> & mixed(plain,csv@a.csv)", "pack | match.bulk = true", "mixed(plain,#) a.csv"),
        ("report(plain,status,csv@a.csv)", "pack", "exempt"),
        // One archive goes into the next only if a rule says so: parts of ours are seen by no later rule.
        ("mixed(plain,csv@a.csv,pdf@b.pdf)", "zip | match.type = 'csv' ;; pack", "mixed(plain,#,#) a.csv"),
    ]);
}

#[test]
fn nothing_to_take_leaves_every_octet() {
    for kind in KINDS {
        for tree in [
            "plain",
            "alt(plain,html)",
            "mixed(plain,cal@i.ics,eml@m.eml)",
            "related(html~l,png@l.png#l)",
            "mixed(plain,broken@a.pdf)",
            "signed(mixed(plain,csv@a.csv),sig)",
        ] {
            let applied = apply(&rules(kind), &mail(tree, "")).unwrap();
            assert!(applied.message.is_none(), "{tree}");
        }
    }
}

#[test]
#[rustfmt::skip]
fn thresholds_count_decoded_octets() {
    for_each_kind(&[
        ("mixed(plain,csv@a.csv*1000,csv@b.csv*1000)", "pack | options.min_total = '2000'", "mixed(plain,#) a.csv b.csv"),
        ("mixed(plain,csv@a.csv*1000,csv@b.csv*999)", "pack | options.min_total = '2000'", "below-threshold"),
        ("mixed(plain,csv@a.csv*1000,csv@b.csv*999)", "pack | options.min_parts = 2", "mixed(plain,#) a.csv b.csv"),
        ("mixed(plain,csv@a.csv*1000,csv@b.csv*999)", "pack | options.min_parts = 3", "below-threshold"),
        ("mixed(plain,csv@a.csv*1000)", "pack | options.min_part = '1000'", "mixed(plain,#) a.csv"),
        ("mixed(plain,csv@a.csv*999)", "pack | options.min_part = '1000'", "below-threshold"),
        ("mixed(plain,csv@a.csv*1000,csv@b.csv*999)", "pack | options.min_part = '1000'", "mixed(plain,#,csv) a.csv"),
        // What is excluded does not count.
        ("mixed(plain,csv@a.csv*1000,pdf@b.pdf*1000)", "pack | options.min_total = '2000' | options.exclude = 'application/pdf'", "below-threshold"),
        ("mixed(plain,csv@a.csv*1000,csv@b.csv*10)", "pack | options.min_parts = 2 | options.min_part = '100'", "below-threshold"),
        ("mixed(plain,csv@a.csv*1000)", "pack | options.exclude = ['image/*', '.CSV']", "below-threshold"),
        ("mixed(plain,csv@a.csv*1000)", "pack | options.exclude = ['text/*']", "below-threshold"),
        ("mixed(plain,csv@a.csv*1000)", "pack | options.exclude = ['application/*', '.pdf']", "mixed(plain,#) a.csv"),
    ]);
}

/// The parts on the wire, header and coding included, against the archive on the wire.
#[test]
fn the_saving_is_measured_on_the_wire() {
    let tree = "mixed(plain,csv@a.csv,pdf@b.pdf)";
    let wire = |part: Part<'_>| part.header().len() + part.body().len();
    let before: usize = mail(tree, "").message.leaves().skip(1).map(wire).sum();
    for kind in KINDS {
        for (options, skipped) in [("", 1), (" | options.note = 'text'", 1)] {
            let rule = format!("{kind}{options}");
            let message = packed(octets(tree), &rule);
            let after: usize = message.leaves().skip(skipped).map(wire).sum();
            // A note costs a delimiter more.
            let room = if options.is_empty() { 0 } else { 80 };
            let saved = (before - after - room) * 100 / before;
            assert!((40..100).contains(&saved), "{saved}");
            let enough = outcome(
                &octets(tree),
                &format!("{rule} | options.min_saving = {saved}"),
            );
            assert!(enough.contains('#'), "{rule}: {enough}");
            let more = format!("{rule} | options.min_saving = {}", saved + 1);
            assert_eq!(outcome(&octets(tree), &more), "no-saving");
        }
        // Base64 of what does not compress is longer than the octets themselves.
        let fields =
            "Content-Type: application/x-noise; name=a.bin\nContent-Transfer-Encoding: binary\n";
        assert_eq!(
            outcome(&attachment(fields, &noise(3000)), kind),
            "no-saving"
        );
        // A text that saves less than its archive adds.
        assert_eq!(
            outcome(&octets("mixed(plain,csv@a.csv*20)"), kind),
            "no-saving"
        );
    }
}

fn noise(octets: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(octets).collect()
}

#[test]
fn what_is_compressed_already_is_not_compressed_again() {
    // By its content: a text is no gzip, whatever it is called. By its name where the content is too short to tell.
    let tree = "mixed(plain,csv@a.csv*9000,csv@b.gz*400,csv@c.jpg*9)";
    for (rule, stored) in [
        ("zip", [false, false, true]),
        (
            "zip | options.skip_compressed = false",
            [false, false, false],
        ),
    ] {
        let found: Vec<bool> = members_of(tree, rule)
            .iter()
            .map(|one| one.stored)
            .collect();
        assert_eq!(found, stored, "{rule}");
    }
    // Gzip stores within its stream; bzip2 cannot, so what is compressed stays out.
    for (rule, expected) in [
        ("tar_gzip", "mixed(plain,#) a.csv b.gz c.jpg"),
        ("tar_bzip2", "mixed(plain,#,jpg) a.csv b.gz"),
        (
            "tar_bzip2 | options.skip_compressed = false",
            "mixed(plain,#) a.csv b.gz c.jpg",
        ),
    ] {
        let found = outcome(&octets(tree), rule).replace("csv)", "jpg)");
        assert_eq!(found, expected, "{rule}");
    }
    assert_eq!(
        outcome(&octets("mixed(plain,csv@c.jpg*9)"), "tar_bzip2"),
        "no-saving"
    );
    // Level 0 stores; it pays where the part's own coding is wasteful.
    let fields =
        "Content-Type: text/csv; name=a.csv\nContent-Transfer-Encoding: quoted-printable\n";
    let before = attachment(fields, "=3D=3D=3D=3D=3D=3D=3D=\r\n".repeat(300).as_bytes());
    let members = members(&archive(&packed(before, "zip | options.level = 0")));
    assert!(members[0].stored);
    assert_eq!(members[0].content, [b'='; 2100]);
}

#[test]
#[rustfmt::skip]
fn names_of_members() {
    for_each_kind(&[
        ("mixed(plain,csv@a.csv,csv@A.CSV,csv@a.csv)", "pack", "mixed(plain,#) a.csv A (2).CSV a (3).csv"),
        ("mixed(plain,csv@,mixed(pdf@))", "pack", "mixed(plain,#) part-2.csv part-3.1.pdf"),
        ("mixed(plain,csv@../../etc/passwd,csv@.profile,csv@con.csv)", "pack", "mixed(plain,#) passwd profile _con.csv"),
        ("name-rfc2231-utf8.eml", "pack", "mixed(plain,#) Übersicht März.pdf"),
        // T179: labels beyond the web's list, and a fold before a TAB.
        ("name-rfc2231-cp932.eml", "pack", "mixed(plain,#) 請求書.csv"),
        ("name-folded-with-tab.eml", "pack", "mixed(plain,#) Annual report of the company for the year 2023.pdf"),
    ]);
}

#[test]
fn three_hundred_members_of_one_name() {
    let tree = format!("mixed(plain{})", ",csv@a.csv*90".repeat(300));
    for kind in KINDS {
        let message = packed(octets(&tree), kind);
        assert_eq!(message.leaves().count(), 2);
        let names: BTreeSet<String> = members(&archive(&message))
            .iter()
            .map(|member| member.name.to_lowercase())
            .collect();
        assert_eq!(names.len(), 300);
        assert!(names.contains("a.csv") && names.contains("a (300).csv"));
    }
}

#[test]
fn the_same_mail_gives_the_same_archive_with_the_time_of_its_date() {
    let tree = "mixed(plain,csv@a.csv)";
    for kind in KINDS {
        let [one, other] = [(); 2].map(|()| archive(&packed(octets(tree), kind)));
        assert_eq!(one, other);
    }
    for (date, wall, unix) in [
        (
            "Fri, 21 Nov 2025 09:30:10 +0100",
            "2025-11-21 09:30:10",
            1_763_713_810,
        ),
        (
            "Fri, 21 Nov 2025 09:30:10 -0800 (PST)",
            "2025-11-21 09:30:10",
            1_763_746_210,
        ),
        ("Thu, 01 Jan 1970 00:00:10 +0100", "1980-01-01 00:00:00", 0),
        // A wrong day of the week, an hour of one digit, no zone, no comma, asctime: as mail programs read them.
        (
            "Thu, 21 Nov 2025 09:30:10 +0100",
            "2025-11-21 09:30:10",
            1_763_713_810,
        ),
        (
            "Fri, 21 Nov 2025 9:30:10 +0100",
            "2025-11-21 09:30:10",
            1_763_713_810,
        ),
        (
            "Fri, 21 Nov 2025 09:30:10",
            "2025-11-21 09:30:10",
            1_763_717_410,
        ),
        (
            "Fri 21 Nov 2025 09:30:10 +0100",
            "2025-11-21 09:30:10",
            1_763_713_810,
        ),
        (
            "21-Nov-2025 09:30:10 +0100",
            "2025-11-21 09:30:10",
            1_763_713_810,
        ),
        (
            "Fri Nov 21 09:30:10 2025",
            "2025-11-21 09:30:10",
            1_763_717_410,
        ),
        (
            "Fri, 21 Nov 25 09:30 +0100",
            "2025-11-21 09:30:00",
            1_763_713_800,
        ),
        (
            "Fri, 41 Nov 2025 09:30:10 +0100",
            "1980-01-01 00:00:00",
            315_532_800,
        ),
        (
            "Fri,21 Nov 2025 09:30:10+0100",
            "2025-11-21 09:30:10",
            1_763_713_810,
        ),
        (
            "Fri, 21 Nov 2025 09:30:10-0500",
            "2025-11-21 09:30:10",
            1_763_735_410,
        ),
        (
            "Fri, 21 Nov 2025 09:30:10.25 +01:00",
            "2025-11-21 09:30:10",
            1_763_713_810,
        ),
        (
            "Fri, 21 Nov 2025 09.30.10 +0100",
            "2025-11-21 09:30:10",
            1_763_713_810,
        ),
        (
            "2025-11-21T09:30:10+01:00",
            "2025-11-21 09:30:10",
            1_763_713_810,
        ),
        ("2025-11-21T08:30:10Z", "2025-11-21 08:30:10", 1_763_713_810),
        ("2025-11-21 09:30:10", "2025-11-21 09:30:10", 1_763_717_410),
        ("21/11/2025 09:30:10", "1980-01-01 00:00:00", 315_532_800),
        ("no date", "1980-01-01 00:00:00", 315_532_800),
        ("", "1980-01-01 00:00:00", 315_532_800),
    ] {
        let tree = format!("Date: {date} & {tree}");
        let octets = |kind| archive(&packed(octets(&tree), kind));
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(octets("zip"))).unwrap();
        let found = zip.by_index(0).unwrap().last_modified().unwrap();
        assert_eq!(found.to_string(), wall, "{date}");
        let gzip = octets("tar_gzip");
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&gzip[..]));
        let entry = tar.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.header().mtime().unwrap(), unix, "{date}");
    }
}

/// A mail that is an attachment stays a single part: its Content fields are those of the archive, the others stay.
#[test]
fn a_mail_that_is_an_attachment_stays_one() {
    let before = octets("X-Mine: 1 & Content-Description: my table & csv@a.csv*5000");
    for (kind, media_type) in KINDS.iter().zip(ARCHIVES) {
        let rule = format!("{kind} | options.name = 'Übersicht 1.zip' | options.note = 'text'");
        let message = packed(before.clone(), &rule);
        let fields: Vec<String> = message
            .root()
            .fields()
            .map(|field| {
                String::from_utf8_lossy(field.raw())
                    .trim_end()
                    .replace("\r\n", "")
            })
            .collect();
        assert_eq!(
            fields[fields.len() - 4..],
            [
                "X-Mine: 1",
                &format!(
                    "Content-Type: {media_type}; name=\"_bersicht 1.zip\"; name*=utf-8''%C3%9Cbersicht%201.zip"
                ),
                "Content-Transfer-Encoding: base64",
                "Content-Disposition: attachment; filename=\"_bersicht 1.zip\"; filename*=utf-8''%C3%9Cbersicht%201.zip",
            ]
        );
        assert_eq!(
            message.root().filename().as_deref(),
            Some("Übersicht 1.zip")
        );
        assert_eq!(members(&archive(&message))[0].content.len(), 5000);
    }
}

/// A text that a disclaimer went into goes into the archive with it.
#[test]
fn a_part_goes_in_as_earlier_rules_left_it() {
    let rule = "disclaim | match.filename = 'notes' | options.text = 'Foot' ;; tar_gzip";
    let members = members_of("mixed(plain,plain@notes.txt*900)", rule);
    assert!(members[0].content.ends_with(b"\r\nFoot\r\n"));
    assert!(members[0].content.starts_with(b"one,two,three"));
}

/// Whatever a mail has in it, the archive has a safe name of its own kind.
#[test]
#[rustfmt::skip]
fn names_of_archives() {
    for (subject, name, expected) in [
        ("Offer", "", "attachments.tar.gz"),
        ("Offer", "files.tgz", "files.tgz"),
        ("Offer", "no extension", "no extension"),
        ("Offer", "{{ slug }}.tar.gz", "offer.tar.gz"),
        ("Re: AW: Our offer, 2nd try", "{{ slug }}.tar.gz", "our-offer-2nd-try.tar.gz"),
        ("=?utf-8?q?M=C3=A4rz?=", "{{ slug }}.tar.gz", "märz.tar.gz"),
        ("Offer", "{{ date|format('%Y-%m-%d') }} {{ slug }} ({{ count }}).tar.gz", "2026-11-22 offer (2).tar.gz"),
        ("Offer", "{{ slug }}.TGZ", "offer.TGZ"),
        ("Offer", "{{ slug }}", "offer.tar.gz"),
        ("", "{{ slug }}.tar.gz", "attachments.tar.gz"),
        ("", "{{ slug|default('files') }}.tar.gz", "files.tar.gz"),
        ("../../etc/passwd", "{{ subject }}", "passwd.tar.gz"),
        ("setup.exe", "{{ subject }}", "setup.exe.tar.gz"),
        ("a\u{202E}b", "x/{{ header['subject'] }}.tar.gz", "ab.tar.gz"),
        ("...", "{{ subject }}", "attachments.tar.gz"),
        ("CON", "{{ subject }}.tar.gz", "_CON.tar.gz"),
    ] {
        let tree = format!("Subject: {subject} & mixed(plain,csv@a.csv,csv@b.csv)");
        let option = if name.is_empty() { String::new() } else { format!(" | options.name = \"{name}\"") };
        let message = packed(octets(&tree), &format!("tar_gzip{option}"));
        let found = message.leaves().nth(1).unwrap().filename();
        assert_eq!(found.as_deref(), Some(expected), "{subject}: {name}");
    }
    let long = format!("Subject: {} & mixed(plain,csv@a.csv)", "long ".repeat(100));
    for name in ["{{ subject }}", "{{ subject }}.zip"] {
        let message = packed(octets(&long), &format!("zip | options.name = '{name}'"));
        let found = message.leaves().nth(1).unwrap().filename().unwrap();
        assert!(found.len() <= 200 && found.ends_with(".zip"), "{found}");
    }
}

#[test]
#[rustfmt::skip]
fn a_note_stands_before_the_archive() {
    for (tree, rule, expected_tree, expected) in [
        ("mixed(plain,csv@a.csv,csv@b.csv*5000)", "pack | options.note = 'text'", "mixed(plain,plain,#)",
            "The attachments of this mail are in NAME:\r\n\r\na.csv (1.7 KB)\r\nb.csv (4.8 KB)\r\n"),
        ("mixed(csv@a.csv,plain)", "pack | options.note = 'text' | options.placement = 'end'", "mixed(plain,plain,#)",
            "The attachments of this mail are in NAME:\r\n\r\na.csv (1.7 KB)\r\n"),
        ("mixed(plain,csv@ü.csv)", "pack | options.note = 'text' | options.note_text = '{{ count }} in {{ archive }}, {{ total }}: {{ members }}'", "mixed(plain,plain,#)",
            "1 in NAME, 1.7 KB: ü.csv (1.7 KB)"),
        ("mixed(plain,csv@a.csv)", "pack | options.note = 'text' | options.note_text = 'Von {{ header_sender.name }}: {{ slug }}'", "mixed(plain,plain,#)",
            "Von Anna Berg: offer"),
        // Nothing to say.
        ("From: & mixed(plain,csv@a.csv)", "pack | options.note = 'text' | options.note_text = 'Von {{ header_sender.name }}'", "mixed(plain,#)", ""),
        ("mixed(plain,csv@a.csv)", "pack | options.note = 'none'", "mixed(plain,#)", ""),
        ("related(html~l,csv@a.csv)", "pack | options.note = 'text' | options.placement = 'end'", "mixed(related(html),plain,#)",
            "The attachments of this mail are in NAME:\r\n\r\na.csv (1.7 KB)\r\n"),
    ] {
        for (kind, name) in KINDS.iter().zip(["attachments.zip", "attachments.tar.gz", "attachments.tar.bz2"]) {
            let rule = rule.replace("pack", kind);
            let message = packed(octets(tree), &rule);
            let mut found = show_tree(&message);
            for word in ["x-bzip2", "gzip", "zip"] {
                found = found.replace(word, "#");
            }
            assert_eq!(found, expected_tree, "{tree}: {rule}");
            let at = message.leaves().position(|part| is_archive(&part)).unwrap();
            if !expected.is_empty() {
                let note = message.leaves().nth(at - 1).unwrap();
                let text = String::from_utf8(note.decoded().unwrap().into_owned()).unwrap();
                let expected = expected.replace("NAME", name);
                assert_eq!(text.trim_end(), expected.trim_end(), "{tree}: {rule}");
            }
        }
    }
}

#[test]
fn with_a_password_the_members_are_encrypted_whatever_it_costs() {
    for tree in [
        "mixed(plain,csv@a.csv)",
        "mixed(plain,csv@a.csv*3)",
        "mixed(plain,csv@a.csv*0)",
        "mixed(plain,csv@a.jpg*9)",
    ] {
        let rule = "zip | options.password_file = 'password'";
        let message = packed(octets(tree), rule);
        assert_eq!(show_tree(&message), "mixed(plain,zip)");
        let octets = archive(&message);
        let mut reader = zip::ZipArchive::new(std::io::Cursor::new(&octets)).unwrap();
        assert!(
            reader.by_index(0).is_err(),
            "{tree}: readable without the password"
        );
        let found = &unzipped(&octets, PASSWORD.as_bytes())[0];
        let mail = mail(tree, "");
        let before = mail.message.leaves().nth(1).unwrap();
        assert_eq!(found.content, &*before.decoded().unwrap(), "{tree}");
    }
}

#[test]
fn the_password_is_shown_nowhere() {
    let config = rules("zip | options.password_file = 'password'");
    assert!(!format!("{config:?}").contains(PASSWORD));
    let mail = mail("mixed(plain,csv@a.csv)", "");
    let applied = apply(&config, &mail).unwrap();
    let Report::Edited { notes, .. } = &applied.reports[0] else {
        panic!("{:?}", applied.reports);
    };
    assert!(
        notes[0].starts_with("1 part of 1.7 KB in attachments.zip of "),
        "{notes:?}"
    );
    assert!(!format!("{applied:?}").contains(PASSWORD));
}

#[test]
#[rustfmt::skip]
fn mistakes_are_found_at_load() {
    for (kind, options, expected) in [
        ("zip", "name = ''", "\"\" is not a file name that is safe everywhere"),
        ("zip", "name = 'a/b.zip'", "\"a/b.zip\" is not a file name that is safe everywhere"),
        ("zip", "name = '..'", "\"..\" is not a file name that is safe everywhere"),
        ("tar_gzip", "name = 'CON.tar.gz'", "\"CON.tar.gz\" is not a file name that is safe everywhere"),
        ("zip", "name = '{{ slog }}.zip'", "line 1, column 4 of the text: unknown name `slog`"),
        ("zip", "name = '{{ slug'", "line 1, column 4 of the text: syntax error"),
        ("zip", "name = '{{ archive }}'", "line 1, column 4 of the text: unknown name `archive`"),
        ("zip", "note_text = \"x\\n{{ member }}\"", "line 2, column 4 of the text: unknown name `member`"),
        ("zip", "note_text = 'x'", "the note is not made"),
        ("zip", "note = 'html'", "\"html\" is not known here"),
        ("zip", "exclude = 'pdf'", "\"pdf\" is neither a media type nor an extension"),
        ("zip", "level = 10", "out of range"),
        ("tar_gzip", "level = 0", ""),
        ("tar_bzip2", "level = 0", "out of range"),
        ("zip", "password_file = 'password'\nmin_saving = 1", "with a password the archive is made even if it saves nothing"),
        ("zip", "password_file = 'nothing'", "cannot read nothing: "),
        ("zip", "password_file = 'two lines'", "two lines is not one line of UTF-8"),
        ("zip", "password_file = 'empty'", "empty is not one line of UTF-8"),
        ("zip", "password_file = 'latin1'", "latin1 is not one line of UTF-8"),
        ("tar_gzip", "password_file = 'password'", "unknown option `password_file`"),
    ] {
        let source = format!("[[rule]]\nname = 'r'\nplugin = '{kind}'\n[rule.options]\n{options}\n");
        let read = |path: &Path| match path.to_str() {
            Some("password") => Ok(b"secret words".to_vec()),
            Some("two lines") => Ok(b"secret\nwords\n".to_vec()),
            Some("empty") => Ok(b"\n".to_vec()),
            Some("latin1") => Ok(b"s\xe9cret words".to_vec()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let found = match config::parse(&source, Path::new("m.toml"), REGISTRY, &read) {
            Ok(config) => config.warnings,
            Err(mistakes) => mistakes,
        };
        let messages: Vec<&str> = found.list.iter().map(|one| one.message.as_str()).collect();
        assert!(!found.to_string().contains("words\""), "{found}");
        match messages.as_slice() {
            [] => assert_eq!(expected, "", "{options}"),
            [message] => assert!(!expected.is_empty() && message.starts_with(expected), "{options}: {message}"),
            more => panic!("{options}: {more:?}"),
        }
    }
}
