//! The forms of one name, each with who reads it so, and the names of ordinary mail, which are not malformed.
//!
//! What each program reads was taken from its source: CPython `email`, JavaMail (Jakarta Mail) `ParameterList`, GMime
//! `gmime-param.c`, mutt `parse.c` and `rfc2231.c`, Mozilla `nsMIMEHeaderParamImpl.cpp`, libmime's users (Thunderbird), Roundcube
//! `rcube_imap`, and from mails that Outlook, Gmail and Apple Mail show. "simple" = a program that splits at semicolons and cuts at
//! the first `=`.

use super::*;
use crate::message::Message;
use crate::message::scan::tests::scan;
use crate::rule::pattern::{Subject, tests::lone};
use proptest::prelude::*;

fn names_of(header: &str) -> Names {
    let message = scan(&format!("{header}\n\nx"));
    Names::of(message.root())
}

fn is_program(names: &Names) -> bool {
    let pattern = lone(Subject::Filename, &[r"\.exe$"]).unwrap();
    names.any(|name| pattern.matches(name))
}

const CD: &str = "Content-Disposition: attachment; ";
const CT: &str = "Content-Type: application/octet-stream; ";

/// Parameters of Content-Disposition.
#[rustfmt::skip]
const DISPOSITION: &[(&str, &str)] = &[
    // one value
    ("filename=setup.exe", "all"),
    ("filename=\"setup.exe\"", "all"),
    ("FileName=\"SETUP.EXE\"", "all"),
    ("filename = \"setup.exe\"", "all"),
    ("filename=\n \"setup.exe\"", "all"),
    ("filename=\"C:\\Temp\\setup.exe\"", "Outlook"),
    ("filename=\"setup\\.exe\"", "GMime, JavaMail"),
    ("filename=\"setup.e\\xe\"", "GMime, JavaMail"),
    ("filename=\"../../setup.exe\"", "all"),
    ("filename=\"setup.exe/\"", "programs that take the last element"),
    ("filename=\"setup.exe\\\\\"", "programs that take the last element"),
    ("filename=\"setup.exe/.\"", "programs that take the last element"),
    ("name=setup.exe", "Outlook"),
    ("name*=utf-8''setup.exe", "programs that read it from either field"),
    // quotes and what stands around the value
    ("filename='setup.exe'", "PHP scripts, Gmail"),
    ("filename=\"'setup.exe'\"", "PHP scripts"),
    ("filename=`setup.exe`", "PHP scripts"),
    ("filename=<setup.exe>", "PHP scripts"),
    ("filename=\u{201c}setup.exe\u{201d}", "who takes typographic quotes off"),
    ("filename=\"The \"best\" setup.exe\"", "CPython, Thunderbird"),
    ("filename=\"\"setup.exe\"\"", "simple, CPython"),
    ("filename=\"\"; filename=setup.exe", "who passes over an empty one"),
    ("filename=\"setup\".exe", "CPython"),
    ("filename=\"setup\"\".exe\"", "CPython"),
    ("filename=setup\".exe\"", "CPython"),
    ("filename=set\"up.exe\"", "CPython"),
    ("filename=\"setup.exe", "JavaMail (lenient), mutt"),
    ("filename=setup.exe\"", "CPython, mutt"),
    ("filename=\"setup.exe; size=12", "simple"),
    ("filename=\"setup.exe size=12", "simple"),
    ("filename=\"setup.exe\n size=12", "simple"),
    ("filename=\"setup.exe\" x=\"y\"", "all"),
    ("filename=\"setup.exe\"; x=\"open", "all"),
    ("filename=\"setup.exe\"garbage", "GMime, Thunderbird"),
    ("filename=\"setup.exe\"; \"garbage", "all"),
    ("filename=\"setup.exe;.txt\"", "simple"),
    ("filename=setup.exe;.txt", "all"),
    ("filename==\"setup.exe\"", "simple"),
    ("filename==setup.exe", "simple"),
    ("filename=setup.exe readme.txt", "mutt, GMime"),
    ("filename=readme.txt setup.exe", "Thunderbird"),
    ("filename=setup.exe, x", "mutt, GMime"),
    ("filename=setup.exe,", "who trims punctuation"),
    ("filename=(a)setup.exe", "GMime, JavaMail"),
    ("filename=setup.exe(a)", "GMime, JavaMail"),
    ("filename=setup.exe (a)", "GMime, JavaMail"),
    ("(a) filename=setup.exe", "GMime, JavaMail"),
    ("(a filename=setup.exe", "simple"),
    ("(a; filename=setup.exe", "simple"),
    ("filename(a)=setup.exe", "GMime"),
    ("filename=(a \"setup.exe\"", "simple"),
    ("\"filename\"=setup.exe", "PHP scripts"),
    ("x filename=setup.exe", "Thunderbird"),
    ("x, filename=setup.exe", "Thunderbird"),
    ("x=y filename=setup.exe", "Thunderbird"),
    ("=; filename=setup.exe", "all"),
    (";;filename=setup.exe", "all"),
    ("x;filename=setup.exe", "all"),
    // duplicates
    ("filename=setup.exe; filename=readme.txt", "GMime, mutt"),
    ("filename=readme.txt; filename=setup.exe", "CPython (last), Outlook"),
    ("filename=a.txt; filename=setup.exe; filename=b.txt", "who takes any"),
    ("filename=readme.txt; name=setup.exe", "Outlook"),
    // RFC 2231
    ("filename*=utf-8''setup.exe", "all that know RFC 2231"),
    ("filename*=UTF-8'en'setup%2Eexe", "all that know RFC 2231"),
    ("filename*=us-ascii''setup%2eexe", "all that know RFC 2231"),
    ("filename*=''setup.exe", "CPython, mutt"),
    ("filename*=\"utf-8''setup.exe\"", "Outlook, CPython"),
    ("filename*=setup.exe", "CPython"),
    ("filename*=\"setup.exe\"", "CPython"),
    ("filename*='setup.exe'", "who takes quotes off"),
    ("filename*=utf-8'setup.exe", "CPython"),
    ("filename*=utf-8''setup.exe%", "CPython, mutt"),
    ("filename*=utf-8''setup.exe%0", "CPython, mutt"),
    ("filename*=utf-8''%73%65%74%75%70%2e%65%78%65", "all that know RFC 2231"),
    ("filename*=x-none''setup.exe", "CPython, Thunderbird"),
    ("filename*=utf-16be''%00s%00e%00t%00u%00p%00.%00e%00x%00e", "CPython, JavaMail"),
    ("filename*=utf-7''setup+AC4-exe", "Thunderbird, JavaMail"),
    ("filename*=iso-2022-kr''setup.exe", "CPython"),
    ("filename*=hz-gb-2312''setup.exe", "CPython"),
    ("filename*=cp850''setup.exe", "CPython, mutt"),
    ("filename*=cp932''%90%BF.exe", "CPython"),
    ("filename*=ks_c_5601-1987''%C3%BB.exe", "CPython"),
    ("filename *=utf-8''setup.exe", "simple"),
    ("filename* =utf-8''setup.exe", "all that know RFC 2231"),
    ("filename*= utf-8''setup.exe", "all that know RFC 2231"),
    ("filename*=readme.txt; filename=setup.exe", "who passes over a broken one"),
    ("filename=setup.exe; filename*=utf-8", "JavaMail"),
    ("filename=setup.exe; filename*=utf-8''readme.txt", "Outlook before 2007"),
    ("filename=readme.txt; filename*=utf-8''setup.exe", "all that know RFC 2231"),
    ("filename*=utf-8''readme.txt; filename*=utf-8''setup.exe", "CPython"),
    ("filename*=utf-8''setup.exe; filename*=utf-8''readme.txt", "GMime"),
    ("filename*=utf-8''readme.txt; filename*0=setup.exe", "Thunderbird, mutt"),
    ("filename*0=readme.txt; filename*=utf-8''setup.exe", "GMime"),
    ("filename=readme.txt; filename*0=setup; filename*1=.exe", "all that know RFC 2231"),
    ("filename=setup.exe; filename*0=readme; filename*1=.txt", "Outlook before 2007"),
    // sections
    ("filename*0=setup.exe", "all that know RFC 2231"),
    ("filename*0*=utf-8''setup.exe", "all that know RFC 2231"),
    ("filename*0=\"set\"; filename*1=\"up.exe\"", "all that know RFC 2231"),
    ("filename*0=set; filename*1=up; filename*2=.e; filename*3=xe", "all that know RFC 2231"),
    ("filename*0*=utf-8''set; filename*1*=up%2Eexe", "all that know RFC 2231"),
    ("filename*0*=utf-8''set; filename*1=up.exe", "all that know RFC 2231"),
    ("filename*0=set; filename*1*=up%2Eexe", "CPython"),
    ("filename*1=up.exe; filename*0=set", "CPython, GMime"),
    ("filename*0=.exe; filename*1=setup; filename*2=.exe", "CPython"),
    ("filename*1=\"setup\"; filename*2=\".exe\"", "CPython"),
    ("filename*1=setup.exe", "CPython"),
    ("filename*7=setup.exe", "CPython"),
    ("filename*0=setup.exe; filename*2=.txt", "Thunderbird, mutt"),
    ("filename*0=setup; filename*2=.exe", "CPython"),
    ("filename*0=setup; filename*9=.exe", "CPython"),
    ("filename*0=setup; filename*70=.exe", "CPython"),
    ("filename*00=setup; filename*01=.exe", "mutt"),
    ("filename*0=setup; filename*01=.exe", "mutt"),
    ("filename*0=readme.txt; filename*0=setup.exe", "who takes the last"),
    ("filename*0=setup.exe; filename*0=readme.txt", "who takes the first"),
    ("filename*0=setup; filename*1=.exe; filename*1=.txt", "who takes the first"),
    ("filename*0=setup; filename*1=.txt; filename*1=.exe", "who takes the last"),
    ("filename*0=set; filename*0=up; filename*1=.exe", "CPython"),
    ("filename*2=.exe; filename*1=x; filename*0=setup", "CPython, GMime"),
    ("filename*1=setup; filename*0=.exe", "who joins them as they come"),
    ("filename*0*=utf-8''setup%2; filename*1*=Eexe", "who joins before decoding"),
    ("filename*0*=utf-8''setup%; filename*1*=2Eexe", "who joins before decoding"),
    ("filename*0=\"=?utf-8?Q?setup\"; filename*1=\"=2Eexe?=\"", "Outlook, Thunderbird"),
    ("filename*0=\"=?utf-8?B?c2V0dXA=?=\"; filename*1=\"=?utf-8?B?LmV4ZQ==?=\"", "Outlook"),
    ("filename=setup.exe\\.txt", "CPython (policy default)"),
    ("filename=setup.exe<x>", "CPython (policy default)"),
    ("filename*1*=\"setup.exe\"; filename*0*='''; filename*2=x", "CPython (policy default)"),
    ("filename*x=setup.exe", "who strips the marks"),
    ("filename**=utf-8''setup.exe", "who strips the marks"),
    ("filename*0**=utf-8''setup.exe", "who strips the marks"),
    ("filename*-1=setup.exe", "who strips the marks"),
    ("filename*1000000=setup.exe", "CPython"),
    ("filename*0000000=setup; filename*0000001=.exe", "CPython: numbers of any length"),
    ("filename*00*=utf-8''setup; filename*01*=%2Eexe", "CPython"),
    ("filename*9999998=setup; filename*9999999=.exe", "CPython"),
    ("filename\u{1}=setup.exe", "who drops controls"),
    ("filename\u{200b}=setup.exe", "who drops what is not seen"),
    ("filename=\"setup.\n exe\"", "libmime: a fold goes with its blank"),
    ("filename=\"setup.ex\n\te\"", "libmime: a fold goes with its blank"),
    ("filename=\"setup.e\0xe\"", "who drops a NUL"),
    ("filename=\"setup.exe\0.txt\"", "programs in C"),
    ("filename=\"setup.e\txe\"", "who drops controls"),
    ("filename=\"=?utf-8?Q?setup.e=00xe?=\"", "who drops a NUL"),
    ("filename*=utf-8''setup.e%00xe", "who drops a NUL"),
    ("filename*=hz-gb-2312''setup~{~}.exe", "who knows HZ"),
    ("filename*=hz-gb-2312''setup.exe~", "who knows HZ, and passes over what is none"),
    ("filename=setup.\\e\\x\\e", "who takes escapes for such in a bare value"),
    // encoded words
    ("filename=\"=?utf-8?Q?setup.exe?=\"", "Outlook, Gmail, Thunderbird"),
    ("filename==?utf-8?Q?setup.exe?=", "Outlook, Gmail, Thunderbird"),
    ("filename=\"=?utf-8?B?c2V0dXAuZXhl?=\"", "Outlook, Gmail, Thunderbird"),
    ("filename=\"=?UTF-8*en?q?setup=2Eexe?=\"", "RFC 2231 section 5"),
    ("filename=\"=?utf-8?Q?set?= =?utf-8?Q?up.exe?=\"", "all that decode words"),
    ("filename=\"=?utf-8?Q?set?=\n =?utf-8?Q?up.exe?=\"", "all that decode words"),
    ("filename=\"=?utf-8?Q?set?==?utf-8?Q?up.exe?=\"", "Outlook"),
    ("filename=\"=?utf-8?Q?setup?=.exe\"", "all that decode words"),
    ("filename=\"set=?utf-8?Q?up.exe?=\"", "Outlook"),
    ("filename=\"=?utf-8?Q?setup.exe\"", "who needs no end"),
    ("filename=\"=?utf-8?B?c2V0dXAuZXhl\"", "who needs no end"),
    ("filename=\"=?utf-8?B?c2V0dXAuZXhl=?=\"", "all that decode words"),
    ("filename=\"=?utf-8?B?c2V0*dXAuZXhl?=\"", "CPython, who passes over junk"),
    ("filename=\"=?x-none?Q?setup.exe?=\"", "who guesses the charset"),
    ("filename=\"=?x-none?B?c2V0dXAuZXhl?=\"", "who guesses the charset"),
    ("filename=\"=?cp932?B?kL+LgY+RLmV4ZQ==?=\"", "Outlook, CPython"),
    ("filename=\"=?ks_c_5601-1987?B?w7suZXhl?=\"", "Outlook"),
    ("filename=\"=?cp850?Q?=94.exe?=\"", "mutt, CPython"),
    ("filename=\"=?iso-2022-jp?B?GyRCQEEbKEIuZXhl?=\"", "all that decode words"),
    ("filename=\"=?utf-7?Q?setup+AC4-exe?=\"", "Outlook"),
    ("filename=\"=?utf-8?Q?\"setup.exe\"?=\"", "simple"),
    ("filename==?utf-8?Q?a;setup.exe?=", "who decodes words first"),
    ("filename=\"=?utf-8?Q?setup.exe=00.txt?=\"", "programs in C"),
    ("filename*=utf-8''%3D%3Futf-8%3FQ%3Fsetup.exe%3F%3D", "who decodes twice"),
    ("=?utf-8?Q?filename=3Dsetup.exe?=", "who decodes words first"),
    ("=?utf-8?Q?filename?==setup.exe", "who decodes words first"),
    // what a program makes of it
    ("filename=\"setup.exe.\"", "Windows"),
    ("filename=\"setup.exe...\"", "Windows"),
    ("filename=\"setup.exe \"", "Windows"),
    ("filename=\"setup.exe. . \"", "Windows"),
    ("filename=\"setup.exe\t\"", "Windows"),
    ("filename*=utf-8''setup.exe%20", "Windows"),
    ("filename*=utf-8''setup.exe%00", "programs in C"),
    ("filename*=utf-8''setup.exe%00.txt", "programs in C"),
    ("filename*=utf-8''setup.exe%0A.txt", "who reads one line"),
    ("filename*=utf-8''setup.exe%E2%80%8B", "who drops what is not seen"),
    ("filename*=utf-8''setup.%E2%80%8Bexe", "who drops what is not seen"),
    ("filename*=utf-8''setup.e%C2%ADxe", "who drops what is not seen"),
    ("filename*=utf-8''setup%E2%80%AEtxt.exe", "all; shown as setupexe.txt"),
    ("filename*=utf-8''setup.ex%E2%80%AEe", "who drops what is not seen"),
    ("filename*=utf-8''setup.exe%EF%BB%BF", "who drops what is not seen"),
    ("filename*=utf-8''setup.exe%C2%A0", "who trims blanks"),
    ("filename*=utf-8''setup.exe%E3%80%80", "who trims blanks"),
    ("filename*=utf-8''setup.exe%E2%A0%80", "who trims blanks"),
    ("filename*=utf-8''setup.exe%E3%85%A4", "who drops what is not seen"),
    ("filename*=utf-8''setup.exe%EF%B8%8F", "who drops what is not seen"),
    ("filename*=utf-8''setup.exe%F3%A0%80%A0", "who drops what is not seen"),
    ("filename*=utf-8''setup.exe%7F", "who drops controls"),
    ("filename*=utf-8''setup.exe%FF", "who drops what is no text"),
    ("filename*=utf-8''setup%EF%BC%8Eexe", "Windows, best fit to ANSI"),
    ("filename*=utf-8''setup%E2%80%A4exe", "Windows, best fit to ANSI"),
    ("filename*=utf-8''setup.%EF%BD%85%EF%BD%98%EF%BD%85", "Windows, best fit to ANSI"),
    ("filename=\"setup.exe::$DATA\"", "Windows"),
    ("filename=\"setup.exe:x.txt\"", "Windows"),
    ("filename=\"C:setup.exe\"", "Windows"),
    ("filename=\"C:setup.exe:x\"", "Windows"),
    ("filename=\"setup%2Eexe\"", "Outlook, browsers"),
    ("filename=setup%2Eexe", "Outlook, browsers"),
    ("filename=\"setup.exe%20\"", "Outlook, browsers"),
    ("filename=\"setup.exe%00.txt\"", "Outlook, browsers"),
];

/// Whole header blocks.
#[rustfmt::skip]
const BLOCKS: &[(&str, &str)] = &[
    ("Content-Disposition: attachment; filename=readme.txt\nContent-Disposition: attachment; filename=setup.exe", "JavaMail, who takes the last"),
    ("Content-Disposition: attachment; filename=setup.exe\nContent-Disposition: attachment; filename=readme.txt", "CPython, who takes the first"),
    ("Content-Disposition: inline\nContent-Disposition: attachment; filename=setup.exe", "who takes the last"),
    ("Content-Type: a/b; name=readme.txt\nContent-Type: a/b; name=setup.exe", "who takes the last"),
    ("Content-Type: a/b; name=setup.exe\nContent-Disposition: attachment; filename=readme.txt", "Outlook, where the type has one"),
    ("Content-Type: a/b; name=readme.txt\nContent-Disposition: attachment; filename=setup.exe", "all"),
    ("Content-Type: a/b; name=setup.exe\nContent-Disposition: attachment", "all"),
    ("Content-Type: a/b; name=setup.exe\nContent-Disposition: attachment; filename=\"\"", "who passes over an empty one"),
    ("Content-Type: a/b; name*=utf-8''setup.exe", "all that know RFC 2231"),
    ("Content-Type: a/b; name*0=set; name*1=up.exe", "all that know RFC 2231"),
    ("Content-Type: a/b; name*1=setup; name*2=.exe", "CPython"),
    ("Content-Type: a/b; name=readme.txt; name*=utf-8''setup.exe", "all that know RFC 2231"),
    ("Content-Type: a/b; filename=setup.exe", "programs that read it from either field"),
    ("Content-Type: a/b\n\t;name=setup.exe", "all"),
    ("Content-Type: a/b name=setup.exe", "Thunderbird"),
    ("Content-Type: a/b, name=setup.exe", "Thunderbird"),
    ("Content-Type: ; name=setup.exe", "all"),
    ("Content-Type: name=setup.exe", "who needs no type"),
    ("Content-Disposition: filename=setup.exe", "who needs no disposition"),
    ("Content-Disposition: ;filename=setup.exe", "all"),
    ("Content-Disposition: \"attachment; filename=setup.exe\"", "simple"),
    ("Content-Disposition: attachment filename=setup.exe", "Thunderbird"),
    ("Content-Disposition: attachment, filename=setup.exe", "Thunderbird"),
    ("Content-Name: setup.exe", "Thunderbird (libmime)"),
    ("Content-Name: \"setup.exe\"", "Thunderbird (libmime)"),
    ("Content-Name: =?utf-8?Q?setup.exe?=", "Thunderbird (libmime)"),
    ("Content-Disposition: attachment\nX-Sun-Data-Name: setup.exe", "Thunderbird (libmime)"),
    ("Content-Disposition: attachment\nContent-Description: setup.exe", "who has no other name"),
    ("Content-Disposition: attachment\nContent-Location: http://a.example/b/setup.exe?c", "who has no other name"),
    ("Content-Location: setup.exe", "who has no other name"),
    ("Content-Disposition: attachment,filename=setup.exe", "PHP scripts"),
    ("Content-Disposition: attachment:filename=setup.exe", "PHP scripts"),
    ("Content-Disposition: in line; filename=setup.exe", "all"),
    ("Content-Disposition: form-data; name=x; filename=setup.exe", "all"),
    ("Content-Disposition: =?utf-8?Q?attachment;_filename=3Dsetup.exe?=", "who decodes words first"),
    ("Content-Disposition: =?utf-8?B?YXR0YWNobWVudDsgZmlsZW5hbWU9InNldHVwLmV4ZSI=?=", "who decodes words first"),
    ("Content-Disposition: =?utf-8?Q?attachment?=; filename=setup.exe", "all"),
    ("Content-Type: =?utf-8?Q?a/b;_name=3D=22setup.exe=22?=", "who decodes words first"),
    ("Content-Disposition : attachment; filename=setup.exe", "RFC 5322 section 4.5"),
    ("CONTENT-DISPOSITION:attachment;FILENAME=SETUP.EXE", "all"),
    ("Content-Type: a/b\rContent-Disposition: attachment; filename=setup.exe", "who ends lines at CR"),
    ("Content-Disposition:\n attachment;\n filename=setup.exe", "all"),
    ("Content-Disposition: attachment;\n filename=\"\n setup.exe\"", "all"),
    ("Content-Disposition: attachment;\n filename=\"setup.\n exe\"; filename=setup.exe", "all"),
];

// T179
// man: mimicry.toml(5) "A rule takes a part when one of its names matches."
#[test]
fn every_form_of_a_name_is_seen() {
    let of_disposition = DISPOSITION
        .iter()
        .map(|(form, who)| (format!("{CD}{form}"), *who));
    let of_type = DISPOSITION.iter().map(|(form, who)| {
        // The other attribute in the other field.
        let form = form.replace("filename", "name").replace("FileName", "Name");
        (format!("{CT}{form}"), *who)
    });
    let blocks = BLOCKS.iter().map(|(block, who)| (block.to_string(), *who));
    let all: Vec<_> = of_disposition.chain(of_type).chain(blocks).collect();
    let missed: Vec<_> = all
        .iter()
        .filter(|(header, _)| !is_program(&names_of(header)))
        .collect();
    assert!(
        all.len() > 300 && missed.is_empty(),
        "{} of {} pass unseen: {missed:#?}",
        missed.len(),
        all.len()
    );
}

/// What a reader cannot tell from text.
// T179
#[test]
fn raw_octets_in_a_name() {
    for (value, name) in [
        (&b"filename=\"caf\xe9.exe\""[..], "café.exe"),
        (b"filename=\"caf\xc3\xa9.exe\"", "café.exe"),
        (b"filename=caf\xe9.exe", "café.exe"),
        (b"filename=\"\x90\xbf.exe\"", "\u{90}¿.exe"),
        (b"filename=\"setup.exe\x00.txt\"", "setup.exe .txt"),
        (b"filename*=\"utf-8''caf\xc3\xa9.exe\"", "café.exe"),
    ] {
        let raw = [b"Content-Disposition: attachment; ", value, b"\n\nx"].concat();
        let message = Message::scan(raw, &Limits::default());
        let names = Names::of(message.root());
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
        assert!(
            is_program(&names) && names.unread().is_none() && !names.differ(),
            "{name}"
        );
    }
}

/// What ordinary mail programs write.
#[rustfmt::skip]
const ORDINARY: &[&str] = &[
    // Outlook, Exchange
    "Content-Type: application/pdf; name=\"report.pdf\"\nContent-Description: report.pdf\nContent-Disposition: attachment; filename=\"report.pdf\"; size=12345;\n creation-date=\"Tue, 14 May 2024 09:30:00 GMT\";\n modification-date=\"Tue, 14 May 2024 09:30:00 GMT\"",
    "Content-Type: application/pdf;\n name=\"=?iso-8859-1?Q?Gr=F6=DFe.pdf?=\"\nContent-Disposition: attachment;\n filename=\"=?iso-8859-1?Q?Gr=F6=DFe.pdf?=\"",
    "Content-Type: image/png; name=\"image001.png\"\nContent-ID: <image001.png@01DA>\nContent-Disposition: inline; filename=\"image001.png\"; size=10",
    "Content-Type: application/pdf; name=\"=?utf-8?B?6KuL5rGC5pu4LnBkZg==?=\"\nContent-Disposition: attachment; filename=\"=?utf-8?B?6KuL5rGC5pu4LnBkZg==?=\"",
    // Thunderbird
    "Content-Type: application/pdf; name=\"=?UTF-8?B?R3LDtsOfZS5wZGY=?=\"\nContent-Disposition: attachment; filename*=UTF-8''%47%72%C3%B6%C3%9F%65%2E%70%64%66",
    "Content-Type: application/pdf; name=\"a long name that goes over more than a line of the header.pdf\"\nContent-Disposition: attachment;\n filename*0=\"a long name that goes over more than a line of the header.p\";\n filename*1=\"df\"",
    // Apple Mail
    "Content-Disposition: attachment;\n\tfilename*=utf-8''Gro%CC%88%C3%9Fe.pdf\nContent-Type: application/pdf;\n\tx-unix-mode=0644;\n\tname=\"=?utf-8?Q?Gro=CC=88=C3=9Fe=2Epdf?=\"",
    "Content-Disposition: inline; filename=IMG_0001.jpeg\nContent-Type: image/jpeg; name=IMG_0001.jpeg",
    // Gmail
    "Content-Type: application/pdf; name=\"=?UTF-8?Q?Gr=C3=B6=C3=9Fe=2Epdf?=\"\nContent-Disposition: attachment; filename=\"=?UTF-8?Q?Gr=C3=B6=C3=9Fe=2Epdf?=\"\nX-Attachment-Id: f_1",
    "Content-Type: text/csv; charset=\"US-ASCII\"; name=\"a, b; c.csv\"\nContent-Disposition: attachment; filename=\"a, b; c.csv\"",
    // Roundcube, SOGo, web mailers: a fallback in ASCII
    "Content-Type: application/pdf;\n name=\"=?UTF-8?Q?Gr=C3=B6=C3=9Fe=2Epdf?=\"\nContent-Disposition: attachment;\n filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf",
    "Content-Disposition: attachment; filename=\"Gr__e.pdf\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf",
    "Content-Disposition: attachment; filename=\"Groesse.pdf\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf",
    "Content-Disposition: attachment; filename=\"Gr%C3%B6%C3%9Fe.pdf\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf",
    "Content-Disposition: attachment; filename=\"?????.pdf\"; filename*=UTF-8''%E8%AB%8B%E6%B1%82%E6%9B%B8.pdf",
    "Content-Type: application/pdf; name=\"attachment.pdf\"\nContent-Disposition: attachment; filename*=UTF-8''%E8%AB%8B%E6%B1%82%E6%9B%B8.pdf",
    // mutt, CPython, JavaMail, PHPMailer, cron scripts
    "Content-Type: text/x-diff; charset=us-ascii\nContent-Disposition: attachment; filename=\"0001-fix.patch\"",
    "Content-Type: application/pdf\nContent-Disposition: attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.pdf\nMIME-Version: 1.0",
    "Content-Type: application/pdf; name=report.pdf\nContent-Disposition: attachment; filename=report.pdf",
    "Content-Type: application/pdf; name=\"report.pdf\"\nContent-Disposition: attachment; filename=report.pdf",
    "Content-Type: application/octet-stream; name=my report.pdf\nContent-Disposition: attachment; filename=my report.pdf",
    "Content-Type: application/pdf; name=\"Gr\u{f6}\u{df}e.pdf\"\nContent-Disposition: attachment; filename=\"Gr\u{f6}\u{df}e.pdf\"",
    "Content-Disposition: attachment; filename=\"C:\\Users\\anna\\report.pdf\"",
    "Content-Disposition: attachment; filename=\"it's \\\"quoted\\\".pdf\"",
    "Content-Disposition: attachment; filename=\"100% sure.pdf\"",
    "Content-Disposition: attachment; filename=\"README\"",
    "Content-Disposition: attachment; filename=\"archive.tar.gz\"",
    "Content-Disposition: form-data; name=\"upload\"; filename=\"report.pdf\"",
    "Content-Type: application/pdf; name==?utf-8?Q?Gr=C3=B6=C3=9Fe=2Epdf?=\nContent-Disposition: attachment; filename==?utf-8?Q?Gr=C3=B6=C3=9Fe=2Epdf?=",
    "Content-Type: application/pdf; name=\"=?ISO-2022-JP?B?GyRCQEEbKEIucGRm?=\"\nContent-Disposition: attachment; filename*=ISO-2022-JP''%1B%24B%40A%1B%28B.pdf",
    "Content-Type: text/calendar; charset=UTF-8; method=REQUEST; name=\"invite.ics\"",
    "Content-Type: multipart/mixed; boundary=\"=_name\"",
    "Content-Type: text/plain; charset=utf-8",
];

// T179
// man: mimicry.toml(5) "A name in ASCII for programs that know no other, beside the true name with the same extension, is no such difference."
#[test]
fn the_names_of_ordinary_mail_are_sure() {
    for header in ORDINARY {
        let names = names_of(header);
        assert!(
            !names.differ() && names.unread().is_none(),
            "{header}: {names:#?}"
        );
        assert!(!is_program(&names), "{header}: {names:#?}");
    }
}

// T179
#[test]
fn what_readers_see_differently() {
    for (header, differ) in [
        ("filename=setup.exe; filename*=utf-8''readme.txt", true),
        ("filename=a.txt; filename=a.txt", false),
        ("filename=a.txt; filename=b.txt", true),
        ("filename*0=setup.exe; filename*2=.txt", true),
        ("filename*0=a; filename*1=b.txt", false),
        ("filename*1=b.txt; filename*0=a", false),
        ("filename=\"The \"best\" offer.exe\"", true),
        ("filename=\"a.pdf\"; filename*=utf-8''a.pdf.exe", true),
    ] {
        assert_eq!(
            names_of(&format!("{CD}{header}")).differ(),
            differ,
            "{header}"
        );
    }
    let two = "Content-Disposition: attachment; filename=a.txt\nContent-Disposition: attachment; filename=b.exe";
    assert!(names_of(two).differ());
}

// T179
// man: mimicry.toml(5) "A name that cannot be read to its end"
#[test]
fn what_cannot_be_read_to_its_end() {
    let sections: String = (0..65).map(|n| format!("; filename*{n}=a")).collect();
    let params: String = (0..1001).map(|n| format!("; a{n}=b")).collect();
    let readings: String = (0..70).map(|n| format!("; filename=a{n}.txt")).collect();
    for (value, unread) in [
        (sections.as_str(), Some(Unread::Sections)),
        (
            &format!("{params}; filename=a.txt"),
            Some(Unread::Parameters),
        ),
        (
            &format!("; filename=\"{}\"", "a".repeat(70_000)),
            Some(Unread::Length),
        ),
        (&readings, Some(Unread::Readings)),
        ("; filename*=utf-8''caf%E9.txt", Some(Unread::Charset)),
        ("; filename*=x-none''a.txt", Some(Unread::Charset)),
        ("; filename=\"=?x-none?Q?a.txt?=\"", Some(Unread::Charset)),
        ("; filename=\"=?cp037?B?gYKD?=\"", Some(Unread::Charset)),
        (
            "; filename=\"=?utf-8?Q?caf=E9.txt?=\"",
            Some(Unread::Charset),
        ),
        ("; filename=\"=?utf-8?B?####?=\"", Some(Unread::Charset)),
        ("; filename*=utf-8''a%2.txt", Some(Unread::Percent)),
        ("; filename*0*=utf-8''a%; filename*1*=2Etxt", None),
        (
            "; filename*0*=utf-8''a%; filename*1*=.txt",
            Some(Unread::Percent),
        ),
        ("; filename*=utf-8''a%2E.txt", None),
        ("; filename=\"100%.txt\"", None),
        ("; filename*=utf-8''%EF%BF%BD.txt", None),
        ("; filename=\"=?utf-8?B?w6Q=?=.txt\"", None),
        (
            "; filename=\"=?utf-8?Q?=E2=82?= =?utf-8?Q?=AC.txt?=\"",
            None,
        ),
        ("; filename=\"=?unknown-8bit?Q?caf=E9.txt?=\"", None),
        (&sections.replace("*64=", "*63*="), Some(Unread::Sections)),
        (
            "; filename*99999999999999999999=a.txt",
            Some(Unread::Sections),
        ),
        ("; filename*hz-gb-2312=x", None),
        ("; filename*=hz-gb-2312''a~b.txt", Some(Unread::Charset)),
        ("", None),
    ] {
        let names = names_of(&format!("Content-Disposition: attachment{value}"));
        assert_eq!(names.unread(), unread, "{value}");
    }
}

// T179
#[test]
fn one_reading_and_every_reading() {
    let pdf = |name: &str| name.ends_with(".pdf");
    for (value, any, every) in [
        ("filename=a.pdf", true, true),
        ("filename=\"a.pdf.\"", true, true),
        ("filename=a.pdf; filename=b.exe", true, false),
        ("filename=b.exe a.pdf", true, false),
        ("filename*=utf-8''a%.pdf", true, false),
        ("filename=b.exe", false, false),
        ("x=y", false, false),
    ] {
        let names = names_of(&format!("{CD}{value}"));
        assert_eq!((names.any(pdf), names.every(pdf)), (any, every), "{value}");
    }
    // A Mac writes a name decomposed.
    let mac = names_of("Content-Disposition: attachment; filename*=utf-8''Gro%CC%88%C3%9Fe.pdf");
    assert!(mac.any(|name| name == "Größe.pdf") && !mac.differ());
    let saved = names_of("Content-Disposition: attachment; filename=\"a.exe. \"");
    assert_eq!(saved.saved().collect::<Vec<_>>(), ["a.exe"]);
}

// T179
#[test]
fn a_description_is_no_name_beside_one() {
    let pdf = |name: &str| name.ends_with(".pdf");
    for (header, any) in [
        ("Content-Description: a.pdf", true),
        ("Content-Location: http://a.example.pdf", false),
        ("Content-Location: http://a.example.pdf/", false),
        (
            "Content-Disposition: attachment; filename=b.txt\nContent-Description: a.pdf",
            false,
        ),
        (
            "Content-Disposition: attachment; filename=b.txt\nContent-Location: a.pdf",
            false,
        ),
        (
            "Content-Disposition: attachment; filename=b.txt\nContent-Name: a.pdf",
            true,
        ),
    ] {
        let names = names_of(header);
        assert_eq!((names.any(pdf), names.every(pdf)), (any, false), "{header}");
        assert!(!names.differ(), "{header}");
    }
}

#[test]
fn hostile_names_take_linear_time() {
    for value in [
        "; filename=".repeat(8_000),
        "; name*=utf-8''%41%".repeat(4_000),
        format!("; filename=\"{}\"", "=?utf-8?Q?=41?=".repeat(6_000)),
        format!("; filename={}", "=?a?Q?".repeat(15_000)),
        format!("; filename=\"{}", "\"a;".repeat(30_000)),
        (0..1000)
            .rev()
            .map(|n| format!("; name*{n}*=%C3%A4{}", "a".repeat(60)))
            .collect(),
        (0..900)
            .map(|n| format!("; filename={}{n}", "ü".repeat(40)))
            .collect(),
        "name".repeat(20_000) + "=x",
        "m".repeat(90_000) + "=name",
    ] {
        let _ = names_of(&format!("Content-Disposition: attachment{value}"));
    }
}

proptest! {
    #[test]
    fn any_field_is_read(value: Vec<u8>) {
        let mut raw = b"Content-Disposition: a; filename=".to_vec();
        raw.extend(value.iter().filter(|octet| **octet != b'\n'));
        raw.extend_from_slice(b"\n\nx");
        let message = Message::scan(raw, &Limits::default());
        let names = Names::of(message.root());
        prop_assert!(names.iter().all(|name| !name.contains(['\n', '\r', '\0'])));
        // What most programs read is judged.
        for name in message.root().filenames() {
            prop_assert!(name.trim().is_empty() || names.any(|known| known == name), "{:?} {:?}", name, names);
        }
    }
}
