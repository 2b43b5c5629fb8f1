//! Labels and octets of charsets.

use super::*;
use proptest::prelude::*;

fn cs(label: &str) -> Charset {
    Charset::for_label(label.as_bytes()).unwrap()
}

#[test]
fn labels() {
    for (label, name) in [
        ("US-ASCII", "us-ascii"),
        (" ascii ", "us-ascii"),
        ("ISO-8859-1", "iso-8859-1"),
        ("latin1", "iso-8859-1"),
        ("iso8859-1", "iso-8859-1"),
        ("windows-1252", "windows-1252"),
        ("cp1252", "windows-1252"),
        ("utf8", "utf-8"),
        ("UTF-8", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16le", "utf-16le"),
        ("utf-16be", "utf-16be"),
        ("utf-7", "utf-7"),
        ("iso-8859-9", "iso-8859-9"),
        ("windows-1254", "windows-1254"),
        ("gb2312", "gb2312"),
        ("gb18030", "gb18030"),
        ("ks_c_5601-1987", "euc-kr"),
        ("iso-2022-jp", "ISO-2022-JP"),
        ("koi8-r", "KOI8-R"),
    ] {
        assert_eq!(cs(label).name(), name, "{label}");
        let again = cs(cs(label).name());
        assert_eq!(again, cs(label), "{label}: the name names itself");
    }
    for unknown in [
        "",
        "x-unknown",
        "utf-32",
        "hz-gb-2312",
        "iso-2022-kr",
        "cp437",
        "utf-8;",
        "x-user-defined",
    ] {
        assert_eq!(Charset::for_label(unknown.as_bytes()), None, "{unknown}");
    }
}

#[test]
fn strict_decoding() {
    for (label, octets, text) in [
        ("us-ascii", &b"abc"[..], Some("abc")),
        ("us-ascii", b"caf\xe9", None),
        ("us-ascii", b"caf\xc3\xa9", None),
        ("us-ascii", b"\x1b$B4A\x1b(B", None),
        ("us-ascii", b"\x1b[1mbold", Some("\x1b[1mbold")),
        ("iso-8859-1", b"caf\xe9", Some("café")),
        ("iso-8859-1", b"\x80\x93", Some("€\u{201c}")),
        ("utf-8", b"caf\xc3\xa9", Some("café")),
        ("utf-8", b"caf\xe9", None),
        ("utf-8", b"\xef\xbb\xbfa", Some("\u{feff}a")),
        ("windows-1253", b"\xd2", None),
        ("utf-16", b"a\0", None),
        ("utf-16", b"\xff\xfea\0", Some("\u{feff}a")),
        ("utf-16", b"\xfe\xff\0a", Some("\u{feff}a")),
        ("utf-16le", b"a\0", Some("a")),
        ("utf-16be", b"\0a", Some("a")),
        ("utf-16be", b"\xff\xfea\0", None),
        ("utf-16le", b"a", None),
        ("utf-16le", b"\x00\xd8", None),
        ("iso-2022-jp", b"\x1b$B4A\x1b(B", Some("漢")),
        ("iso-2022-jp", b"\x1b$B4A", None),
        ("iso-2022-jp", b"\x1b$B4A\x1b(J", None),
        ("iso-2022-jp", b"caf\xe9", None),
        ("utf-7", b"Hi +ZeVnLIqe-", Some("Hi 日本語")),
        ("utf-7", b"caf\xe9", None),
        ("gb18030", b"\x90\x30\x81\x30", Some("\u{10000}")),
        ("gb18030", b"\x81", None),
    ] {
        let got = cs(label).decode(octets);
        assert_eq!(got.as_deref(), text, "{label} {octets:?}");
    }
}

#[test]
fn strict_encoding_never_substitutes() {
    for (label, text, octets) in [
        ("us-ascii", "abc", Some(&b"abc"[..])),
        ("us-ascii", "é", None),
        ("iso-8859-1", "café", Some(b"caf\xe9")),
        ("iso-8859-1", "€", None), // encoding_rs would write 0x80
        ("iso-8859-1", "\u{93}", None),
        ("windows-1252", "€", Some(b"\x80")),
        ("windows-1252", "漢", None), // encoding_rs would write &#28450;
        ("iso-8859-9", "€", None),
        ("iso-8859-9", "ş", Some(b"\xfe")),
        ("iso-8859-15", "€", Some(b"\xa4")),
        ("gb2312", "汉", Some(b"\xba\xba")),
        ("gb2312", "漢", None),
        ("gbk", "漢", Some(b"\x9dh")),
        ("gbk", "€", None),
        ("euc-kr", "뷁", None),
        ("windows-949", "뷁", Some(b"\x94\xee")),
        ("shift_jis", "¥", None),
        ("shift_jis", "漢", Some(b"\x8a\xbf")),
        ("iso-2022-jp", "ｱ", None),
        ("iso-2022-jp", "漢", Some(b"\x1b$B4A\x1b(B")),
        ("utf-16le", "a", Some(b"a\0")),
        ("utf-16be", "𝄞", Some(b"\xd8\x34\xdd\x1e")),
        ("utf-16", "a", None),
        ("utf-7", "a", None),
        ("utf-8", "é", Some(b"\xc3\xa9")),
    ] {
        assert_eq!(cs(label).encode(text).as_deref(), octets, "{label} {text}");
    }
}

#[test]
fn tolerant_decoding() {
    for (label, octets, text) in [
        ("us-ascii", &b"caf\xe9"[..], "café"),
        ("us-ascii", b"caf\xc3\xa9", "café"),
        ("utf-8", b"caf\xe9", "caf\u{fffd}"),
        ("utf-8", b"\xef\xbb\xbfa", "a"),
        ("utf-16", b"a\0b\0", "ab"),
        ("utf-16", b"\0a\0b", "ab"),
        ("utf-16", b"\xff\xfea\0", "a"),
        ("iso-2022-jp", b"\x1b$B4A", "漢"),
    ] {
        assert_eq!(
            cs(label).decode_for_matching(octets),
            text,
            "{label} {octets:?}"
        );
    }
}

#[test]
fn where_markup_can_be_searched() {
    for (label, safe) in [
        ("utf-8", true),
        ("us-ascii", true),
        ("iso-8859-1", true),
        ("koi8-r", true),
        ("shift_jis", true),
        ("gbk", true),
        ("gb18030", true),
        ("big5", true),
        ("euc-jp", true),
        ("euc-kr", true),
        ("utf-16", false),
        ("utf-16le", false),
        ("utf-7", false),
        ("iso-2022-jp", false),
    ] {
        assert_eq!(cs(label).markup_safe(), safe, "{label}");
    }
}

const LABELS: &[&str] = &[
    "us-ascii",
    "iso-8859-1",
    "windows-1252",
    "iso-8859-2",
    "iso-8859-9",
    "iso-8859-15",
    "koi8-r",
    "utf-8",
    "utf-16le",
    "utf-16be",
    "shift_jis",
    "euc-jp",
    "iso-2022-jp",
    "gb2312",
    "gbk",
    "gb18030",
    "big5",
    "euc-kr",
    "windows-949",
    "tis-620",
];

proptest! {
    #[test]
    fn what_encodes_decodes_to_itself(label in proptest::sample::select(LABELS), text in "[ -~é€ş漢汉ж뷁ｱ¥𝄞\u{feff}]{0,12}") {
        if let Some(octets) = cs(label).encode(&text) {
            let back = cs(label).decode(&octets);
            prop_assert_eq!(back.as_deref(), Some(text.as_str()));
        }
    }

    #[test]
    fn markup_octets_are_markup(label in proptest::sample::select(LABELS), text in "[<>/\"'=&a-c漢汉ж뷁𝄞]{0,12}") {
        let charset = cs(label);
        if charset.markup_safe() && let Some(octets) = charset.encode(&text) {
            for mark in "<>/\"'=&".bytes() {
                let in_octets = octets.iter().filter(|&&b| b == mark).count();
                prop_assert_eq!(in_octets, text.bytes().filter(|&b| b == mark).count());
            }
        }
    }

    #[test]
    fn any_octets_are_survived(label in proptest::sample::select(LABELS), octets: Vec<u8>) {
        let _ = cs(label).decode_for_matching(&octets);
        if let Some(text) = cs(label).decode(&octets) {
            let _ = cs(label).encode(&text);
        }
    }
}
