//! What plugins write into a mail, octet by octet: never a CR or LF that is not of a CRLF, whatever charset the text is written in,
//! whatever the transfer encoding was, and whatever words of the mail a template puts in (T175).
//!
//! The second reader is mailparse. Where it can read a charset, it must find the text that was put in.

mod common;
#[path = "../../t/encoded.rs"]
mod encoded;

use common::{apply, mail_of, rules};
use encoded::words;
use mailparse::ParsedMail;
use mimicry_core::engine::Report;
use mimicry_core::message::charset::Charset;
use mimicry_core::message::codec::{self, Encoding};

/// Every label of the Encoding Standard, those of us-ascii and UTF-7 that it has not, and some that nobody here knows.
const LABELS: &str = "\
    l1 l2 l3 l4 l5 l6 l9 866 mac koi gbk big5 utf8 koi8 sjis ucs-2 ms932 cp866 utf-8 cp819 ascii x-gbk \
    greek cp1250 cp1251 latin1 gb2312 cp1252 latin2 cp1253 latin3 cp1254 latin4 cp1255 csbig5 latin5 \
    utf-16 cp1256 ibm866 latin6 cp1257 cp1258 greek8 ibm819 arabic visual korean euc-jp koi8-r koi8_r \
    euc-kr x-sjis koi8-u hebrew tis-620 gb18030 ksc5601 gb_2312 dos-874 cn-big5 unicode chinese logical \
    cskoi8r cseuckr koi8-ru x-cp1250 ksc_5601 x-cp1251 iso88591 csgb2312 x-cp1252 iso88592 x-cp1253 \
    iso88593 ecma-114 x-cp1254 iso88594 x-cp1255 iso88595 x-x-big5 x-cp1256 csibm866 iso88596 x-cp1257 \
    iso88597 asmo-708 ecma-118 elot_928 x-cp1258 iso88598 iso88599 cyrillic utf-16be utf-16le us-ascii \
    ms_kanji x-euc-jp iso885910 iso8859-1 iso885911 iso8859-2 iso8859-3 iso885913 iso8859-4 iso885914 \
    iso8859-5 iso885915 iso8859-6 iso8859-7 iso8859-8 iso-ir-58 iso8859-9 csunicode macintosh shift-jis \
    shift_jis iso-ir-100 iso8859-10 iso-ir-110 gb_2312-80 iso-8859-1 iso_8859-1 iso-ir-101 iso8859-11 \
    iso-8859-2 iso_8859-2 hz-gb-2312 iso-8859-3 iso_8859-3 iso8859-13 iso-8859-4 iso_8859-4 iso8859-14 \
    iso-ir-144 iso-8859-5 iso_8859-5 iso8859-15 iso-8859-6 iso_8859-6 iso-ir-126 iso-8859-7 iso_8859-7 \
    iso-ir-127 iso-ir-157 iso-8859-8 iso_8859-8 iso-ir-138 iso-ir-148 iso-8859-9 iso_8859-9 iso-ir-109 \
    iso-ir-149 big5-hkscs csshiftjis iso-8859-10 iso-8859-11 csisolatin1 csisolatin2 iso-8859-13 \
    csisolatin3 iso-8859-14 windows-874 csisolatin4 iso-8859-15 iso_8859-15 csisolatin5 iso-8859-16 \
    csisolatin6 windows-949 csisolatin9 csiso88596e csiso88598e unicodefffe unicodefeff csmacintosh \
    csiso88596i csiso88598i windows-31j x-mac-roman iso-2022-cn iso-2022-jp csiso2022jp iso-2022-kr \
    csiso2022kr replacement windows-1250 windows-1251 windows-1252 windows-1253 windows-1254 \
    windows-1255 windows-1256 windows-1257 windows-1258 iso-8859-6-e iso-8859-8-e iso-8859-6-i \
    iso-8859-8-i sun_eu_greek csksc56011987 unicode20utf8 unicode11utf8 ks_c_5601-1987 ansi_x3.4-1968 \
    ks_c_5601-1989 x-mac-cyrillic x-user-defined csiso58gb231280 iso-10646-ucs-2 iso_8859-1:1987 \
    iso_8859-2:1987 iso_8859-6:1987 iso_8859-7:1987 iso_8859-3:1988 iso_8859-4:1988 iso_8859-5:1988 \
    iso_8859-8:1988 x-unicode20utf8 iso_8859-9:1989 csisolatingreek x-mac-ukrainian iso-2022-cn-ext \
    csisolatinarabic csisolatinhebrew unicode-1-1-utf-8 csisolatincyrillic cseucpkdfmtjapanese \
    ansi_x3.4-1986 us iso646-us iso_646.irv:1991 iso-ir-6 ibm367 cp367 csascii utf-7 unicode-1-1-utf-7 \
    csunicode11utf7 cp936 ms936 windows-936 utf-32 utf-32le utf-32be ucs-4 hz ebcdic-cp-us ibm037 \
    x-unknown";

const ENCODINGS: [Encoding; 5] = [
    Encoding::SevenBit,
    Encoding::EightBit,
    Encoding::Binary,
    Encoding::Base64,
    Encoding::QuotedPrintable,
];

/// Each has an octet 0x0A or 0x0D, or both, in one order of UTF-16 or in both; three end lines elsewhere.
const EVIL: &str = "\u{a2e}\u{d2e}\u{2e0a}\u{2e0d}\u{a0a}\u{d0d}\u{a0d}\u{d0a}\u{a4d}\u{20d}\u{85}\u{410a}\u{2028}\u{2029}";

/// What writes, and what must be read in some text of the outcome; `EVIL` stands for the words.
const SETS: [(&str, &str); 8] = [
    (
        r#"disclaim | options.text = "Re {{ subject }} end" | options.html = "<p>Re {{ subject }} end</p>""#,
        "Re EVIL end",
    ),
    (
        r#"disclaim | options.text = "Re {{ subject }} end" | options.html = "<p>Re {{ subject }} end</p>" | options.place = "top""#,
        "Re EVIL end",
    ),
    (
        r#"disclaim | options.text = "Re {{ subject }} end" | options.place = "below-reply" | options.separator = "-- ""#,
        "Re EVIL end",
    ),
    (
        r#"disclaim | options.text = "one\ntwo" | options.html = "<p>one</p>\n<p>two</p>""#,
        "two",
    ),
    (
        r#"banner | options.text = "Out {{ subject }} end" | options.html = "<p>Out {{ subject }} end</p>" | options.subject_tag = "[X]""#,
        "Out EVIL end",
    ),
    (
        r#"header | options.add.X-Words = "{{ subject }}" | options.prefix_subject = "[{{ subject }}]""#,
        "",
    ),
    (
        r#"remove | match.position = "attachment" | options.note = "text" | options.text = "Gone {{ filename }} end\nof note" | options.note_name = "{{ filename }}.txt""#,
        "of note",
    ),
    (
        r#"zip | options.note = "text" | options.name = "{{ slug }}.zip" | options.note_text = "In {{ archive }}\n{{ members }}""#,
        "In ",
    ),
];

/// A text as its sender would write it under this label: what SMTP lets pass.
fn body(label: &str) -> Vec<u8> {
    match Charset::for_label(label.as_bytes()).map(|charset| charset.name()) {
        // "Hi", and the character whose octets are CR and LF in this order.
        Some("utf-16le") => b"H\0i\0\r\n".to_vec(),
        Some("utf-16be") => b"\0H\0i\r\n".to_vec(),
        Some("utf-16") => b"\xff\xfeH\0i\0\r\n".to_vec(),
        Some("utf-7") => b"Hi +ZeU-\r\nyou\r\n".to_vec(),
        Some("ISO-2022-JP") => b"Hi \x1b$B4A\x1b(B\r\nyou\r\n".to_vec(),
        _ => b"Hi\r\nyou\r\n".to_vec(),
    }
}

fn mail(label: &str, encoding: Encoding, subtype: &str) -> Vec<u8> {
    let name: String = EVIL.bytes().map(|octet| format!("%{octet:02X}")).collect();
    let above = format!(
        "From: anna@example.org\r\nTo: bob@example.net\r\nSubject: {}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/{subtype}; charset=\"{label}\"\r\nContent-Transfer-Encoding: {}\r\n\r\n",
        words(EVIL),
        encoding.name()
    );
    let below = format!(
        "\r\n--b\r\nContent-Type: application/x; name*=utf-8''{name}\r\n\
         Content-Disposition: attachment;\r\n filename*=utf-8''{name}\r\n\r\n{}\r\n--b--\r\n",
        "compressible ".repeat(400)
    );
    let body = codec::encode_exact(encoding, &body(label), b"\r\n");
    [above.into_bytes(), body, below.into_bytes()].concat()
}

/// The octets that end no line.
fn lone(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(octet) = octets.get(at) {
        match (octet, octets.get(at + 1)) {
            (b'\r', Some(b'\n')) => at += 2,
            (b'\r' | b'\n', _) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// All texts of a mail that the other reader can read, references of HTML resolved.
fn texts(part: &ParsedMail<'_>, found: &mut String) {
    for part in &part.subparts {
        texts(part, found);
    }
    if part.ctype.mimetype.starts_with("text/")
        && let Ok(text) = part.get_body()
    {
        let mut text = text;
        for char in EVIL.chars() {
            text = text.replace(&format!("&#{};", u32::from(char)), &char.to_string());
        }
        found.push_str(&text);
    }
}

/// One line: a line separator is none in a value, and the blanks that a value may have instead are as good.
fn as_value(text: &str) -> String {
    let blank = |char: char| {
        if char.is_whitespace() || char.is_control() {
            ' '
        } else {
            char
        }
    };
    text.chars().map(blank).collect()
}

#[test]
fn t175_no_plugin_writes_a_lone_cr_or_lf_in_any_charset() {
    let sets = SETS.map(|(notation, text)| (rules(notation), notation, text.replace("EVIL", EVIL)));
    let mut wrong = Vec::new();
    let mut labels = 0;
    for label in LABELS.split(' ') {
        labels += 1;
        for encoding in ENCODINGS {
            for subtype in ["plain", "html"] {
                let raw = mail(label, encoding, subtype);
                assert_eq!(lone(&raw), None, "the sample itself: {label} {encoding:?}");
                let mail = mail_of(raw, "");
                for (config, notation, text) in &sets {
                    let at = format!("{label} {encoding:?} {subtype} {notation:.30}");
                    let applied = apply(config, &mail).unwrap();
                    if !matches!(applied.reports[0], Report::Edited { .. }) {
                        wrong.push(format!("{at}: {:?}", applied.reports));
                        continue;
                    }
                    let out = applied.message.unwrap().into_raw();
                    if let Some(lone) = lone(&out) {
                        wrong.push(format!("{at}: a lone CR or LF at {lone}"));
                    }
                    let mut found = String::new();
                    texts(&mailparse::parse_mail(&out).unwrap(), &mut found);
                    if !as_value(&found).contains(&as_value(text)) {
                        wrong.push(format!("{at}: the text is not read: {found:?}"));
                    }
                }
            }
        }
    }
    assert!(labels > 230);
    assert!(
        wrong.is_empty(),
        "{}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}
