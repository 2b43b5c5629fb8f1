//! The codings against examples, against mailparse and against themselves.

use std::borrow::Cow;

use memchr::memrchr;
use proptest::prelude::*;

use super::base64::{by_groups, decode_base64, write_base64};
use super::encoding::LINE_MAX;
use super::qp::{decode_by_atoms, decode_qp_marked, last_character, qp_place, splice_qp_marked};
use super::whole::count;
use super::*;

const QP: Encoding = Encoding::QuotedPrintable;
const B64: Encoding = Encoding::Base64;

#[test]
fn names() {
    for (value, encoding) in [
        (&b"7bit"[..], Encoding::SevenBit),
        (b"", Encoding::SevenBit),
        (b" 8BIT ", Encoding::EightBit),
        (b"binary", Encoding::Binary),
        (b"base64 ", B64),
        (b" Base64\r\n", B64),
        (b"base64 (x)", B64),
        (b"base64(x)", B64),
        (b"(x) base64", B64),
        (b"base64;", B64),
        (b"Quoted-Printable", QP),
        (b"x-uuencode", Encoding::Unknown),
        (b"utf-8", Encoding::Unknown),
        (b"base64x", Encoding::Unknown),
    ] {
        assert_eq!(
            Encoding::parse(value),
            encoding,
            "{}",
            String::from_utf8_lossy(value)
        );
    }
    for encoding in [
        Encoding::SevenBit,
        Encoding::EightBit,
        Encoding::Binary,
        B64,
        QP,
        Encoding::Unknown,
    ] {
        assert_eq!(Encoding::parse(encoding.name().as_bytes()), encoding);
    }
}

#[test]
fn decoding() {
    for (encoding, raw, content) in [
        (B64, &b"aGVsbG8="[..], Some(&b"hello"[..])),
        (B64, b"aGVs\r\nbG8=\r\n", Some(b"hello")),
        (B64, b" aG Vs\tbG\n8 = \n\n", Some(b"hello")),
        (B64, b"", Some(b"")),
        (B64, b"\r\n", Some(b"")),
        (B64, b"YQ==", Some(b"a")),
        (B64, b"YR==", Some(b"a")), // bits that say nothing
        (B64, b"aGVsbG8", None),
        (B64, b"YQ=", None),
        (B64, b"YQ", None),
        (B64, b"Y", None),
        (B64, b"Y===", None),
        (B64, b"====", None),
        (B64, b"YWJj=", None),
        (B64, b"aGVs!bG8=", None),
        (B64, b"aGVsbG8=\r\n-- \r\nlist footer", None),
        (B64, b"YQ==YQ==", None),
        (B64, b"YQ==\r\nYQ==", None),
        (B64, b"aGVs\0", None),
        (B64, b"aGVs\x0bbG8=", None),
        (QP, b"hello", Some(b"hello")),
        (QP, b"", Some(b"")),
        (QP, b"caf=C3=A9", Some(b"caf\xc3\xa9")),
        (QP, b"caf=c3=a9", Some(b"caf\xc3\xa9")),
        (QP, b"caf\xe9 raw", Some(b"caf\xe9 raw")),
        (QP, b"a=\r\nb", Some(b"ab")),
        (QP, b"a=\nb", Some(b"ab")),
        (QP, b"a=  \t\r\nb", Some(b"ab")),
        (QP, b"a  \r\nb\t\nc  ", Some(b"a\r\nb\nc")),
        (QP, b"a \t b", Some(b"a \t b")),
        (QP, b"a =20\r\n", Some(b"a  \r\n")),
        (QP, b"  \r\n", Some(b"\r\n")),
        (QP, b"a=", Some(b"a")),
        (QP, b"a=  ", Some(b"a")),
        (QP, b"a=\r\n", Some(b"a")),
        (QP, b"a\rb", Some(b"a\rb")),
        (QP, b"a\r", Some(b"a\r")),
        (QP, b"a\r\r\n", Some(b"a\r\r\n")),
        (QP, b"a =\r\n b", Some(b"a  b")),
        (QP, b"=ZZ", None),
        (QP, b"=4", None),
        (QP, b"=4\r\n1", None),
        (QP, b"a=\rb", None),
        (QP, b"a= b", None),
        (Encoding::SevenBit, b"=ZZ\xff", Some(b"=ZZ\xff")),
        (Encoding::Unknown, b"begin 644", Some(b"begin 644")),
    ] {
        let shown = String::from_utf8_lossy(raw);
        assert_eq!(decode(encoding, raw).ok().as_deref(), content, "{shown:?}");
        let len = content.map(|c| c.len() as u64);
        assert_eq!(decoded_len(encoding, raw).ok(), len, "{shown:?}");
        let mut sink = Vec::new();
        assert_eq!(decode_into(encoding, raw, &mut sink).ok(), len, "{shown:?}");
        if let Some(content) = content {
            assert_eq!(sink, content, "{shown:?}");
        }
    }
}

#[test]
fn encoding() {
    for (content, written) in [
        (&b"hello\r\n"[..], &b"hello\r\n"[..]),
        (b"a\nb", b"a\r\nb"),
        (b"a \r\nb\t", b"a=20\r\nb=09"),
        (b"a b", b"a b"),
        (b"caf\xc3\xa9", b"caf=C3=A9"),
        (b"a\rb", b"a=0Db"),
        (b"a=b", b"a=3Db"),
        (b"From me\nFrom you\n", b"=46rom me\r\n=46rom you\r\n"),
        (b"Fromage", b"Fromage"),
        (b".\r\n..\r\n.a", b"=2E\r\n=2E.\r\n=2Ea"),
        (b"\0", b"=00"),
        (b"", b""),
    ] {
        assert_eq!(
            encode(QP, content, b"\r\n"),
            written,
            "{}",
            String::from_utf8_lossy(content)
        );
    }
    assert_eq!(
        encode_exact(QP, b"a\nb\r\nc\rd", b"\r\n"),
        b"a=0Ab\r\nc=0Dd"
    );
    assert_eq!(encode_exact(QP, b"a\nb\r\nc", b"\n"), b"a\nb=0D\nc");
    assert_eq!(encode(B64, b"hello", b"\n"), b"aGVsbG8=\n");
    assert_eq!(encode(B64, b"", b"\n"), b"");
    assert_eq!(encode(B64, &[0; 58], b"\r\n").len(), 76 + 2 + 4 + 2);
    assert_eq!(encode(Encoding::EightBit, b"\xff\n", b"\r\n"), b"\xff\n");
}

#[test]
fn legality() {
    use Encoding::{Base64, Binary, EightBit, QuotedPrintable, SevenBit, Unknown};
    let long = "x".repeat(999);
    let just = "x".repeat(998) + "\r\n";
    for (encoding, content, legal) in [
        (SevenBit, &b"a\r\n"[..], SevenBit),
        (SevenBit, b"a\n", Base64),
        (SevenBit, "café au lait".as_bytes(), QuotedPrintable),
        (SevenBit, "漢字".as_bytes(), Base64),
        (SevenBit, long.as_bytes(), QuotedPrintable),
        (SevenBit, just.as_bytes(), SevenBit),
        (SevenBit, b"a\0", Base64),
        (SevenBit, b"a\rb", Base64),
        (SevenBit, b"a\r\nb\n", Base64),
        (EightBit, "漢字".as_bytes(), EightBit),
        (EightBit, long.as_bytes(), QuotedPrintable),
        (EightBit, b"a\0", Base64),
        (QuotedPrintable, b"a\0", QuotedPrintable),
        (Base64, b"a", Base64),
        (Binary, b"a\0", Binary),
        (Binary, long.as_bytes(), Binary),
        (Binary, b"a\r\n", Binary),
        // T175
        (Binary, b"a\n", Base64),
        (Binary, b"a\rb", Base64),
        (EightBit, b"a\nb", Base64),
        (Unknown, b"a\0", Unknown),
    ] {
        assert_eq!(
            smallest_legal(encoding, content, b"\r\n"),
            legal,
            "{}",
            String::from_utf8_lossy(content)
        );
    }
    for (encoding, content, legal) in [
        (SevenBit, "a\n", SevenBit),
        (Binary, "a\n", Binary),
        (SevenBit, "a\r\n", SevenBit),
        (Binary, "a\rb", Base64),
        (SevenBit, "a\r\nb\n", Base64),
    ] {
        let found = smallest_legal(encoding, content.as_bytes(), b"\n");
        assert_eq!(found, legal, "{content:?}");
    }
}

#[test]
fn splicing() {
    let full = "x".repeat(76);
    let cut = format!("{}=\r\nx=\r\nY", "x".repeat(75));
    for (encoding, raw, at, insert, result) in [
        (Encoding::SevenBit, "ab", 1, "X", Some("aXb")),
        (Encoding::SevenBit, "ab", 9, "X", Some("abX")),
        (Encoding::Unknown, "ab", 1, "X", None),
        (QP, "ab\r\n", 4, "X\r\n", Some("ab\r\nX\r\n")),
        (QP, "ab", 2, "\r\nX", Some("ab\r\nX")),
        (QP, "ab ", 2, "\r\nX", Some("ab\r\nX ")),
        (QP, "ab=20", 3, "\r\nX", Some("ab=20\r\nX")),
        (QP, "a b", 2, "\r\nX\r\n", Some("a =\r\n\r\nX\r\nb")),
        (QP, "ab", 1, "X", Some("a=\r\nX=\r\nb")),
        (
            QP,
            "a=C3=A9b",
            1,
            "\u{e9}\r\n",
            Some("a=\r\n=C3=A9\r\n=C3=A9b"),
        ),
        (QP, "a=\r\nb", 1, "X", Some("a=\r\nX=\r\nb")),
        (QP, "ab=\r\n", 2, "X", Some("ab=\r\nX")),
        (QP, "a  \r\nb", 1, "X", Some("a=\r\nX=\r\n  \r\nb")),
        (QP, "a\r\nb", 2, "X", Some("a=\r\nX\r\nb")),
        (QP, "", 0, "X", Some("X")),
        (QP, &full, 76, "Y", Some(&cut)),
        (QP, "=ZZ", 0, "X", None),
        (QP, "a\r\n=ZZ", 1, "X", None),
        (B64, "aGVsbG8=\r\n", 5, " you", Some("aGVsbG8geW91\r\n")),
        (B64, "aGVsbG8=", 0, "x", Some("eGhlbGxv")),
        (
            B64,
            "aGVs\r\nbG8h\r\nYWJj\r\n",
            3,
            "xyz",
            Some("aGVs\r\neHl6\r\nbG8h\r\nYWJj\r\n"),
        ),
        (B64, "", 0, "x", Some("eA==\r\n")),
        (B64, "aGVsbG8", 0, "x", None),
        (B64, "!aGVsbG8=", 5, "x", None),
    ] {
        let got = splice(encoding, raw.as_bytes(), at, insert.as_bytes(), b"\r\n").ok();
        let got = got.as_deref().map(String::from_utf8_lossy);
        assert_eq!(got.as_deref(), result, "{raw:?} {at} {insert:?}");
    }
}

fn qp_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("a"),
        Just("some words "),
        Just(" "),
        Just("\t"),
        Just("=C3=A9"),
        Just("=3d"),
        Just("=\r\n"),
        Just("= \r\n"),
        Just("\r\n"),
        Just("."),
        Just("From "),
        Just("é"),
        Just("0123456789012345678901234567890123456789012345678901234567890123456789")
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Mostly of whole groups, some as long as what is decoded at a time.
fn base64_line() -> impl Strategy<Value = String> {
    let line = |length: usize| "QUJD+/09eHl6".repeat(length / 12 + 1)[..length].to_string();
    prop_oneof![
        4 => Just(line(76)),
        2 => (0usize..25).prop_map(move |groups| line(groups * 4)),
        1 => (0usize..120).prop_map(line),
        1 => (3060usize..3090).prop_map(line),
        1 => (0usize..20).prop_map(move |groups| line(groups * 4) + "QQ=="),
        1 => (0usize..20, "[ \t#=]").prop_map(move |(length, odd)| line(length) + &odd + &line(10)),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("a"),
        Just("word "),
        Just(" "),
        Just("\t"),
        Just("é"),
        Just("漢𝄞"),
        Just("="),
        Just("\r\n"),
        Just("."),
        Just("From "),
        Just("0123456789012345678901234567890123456789012345678901234567890123456789")
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat().into_bytes())
}

fn longest_line(raw: &[u8]) -> usize {
    raw.split(|b| *b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line).len())
        .max()
        .unwrap_or(0)
}

proptest! {
    #[test]
    fn counting_counts(octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..300)) {
        prop_assert_eq!(count(&octets, |b, _| b >> 7), octets.iter().filter(|b| !b.is_ascii()).count());
        let pairs = octets.windows(2).filter(|w| *w == b"\r\n").count();
        prop_assert_eq!(count(&octets, |b, next| u8::from((b == b'\r') & (next == b'\n'))), pairs);
    }

    #[test]
    fn long_lines_are_found(lens in proptest::collection::vec(prop_oneof![0usize..10, 990usize..1005], 0..8), lf: bool) {
        let lines: Vec<String> = lens.iter().map(|len| "x".repeat(*len)).collect();
        let text = lines.join(if lf { "\n" } else { "\r\n" });
        prop_assert_eq!(has_long_line(text.as_bytes()), lens.iter().any(|len| *len > RAW_LINE_MAX));
    }

    /// Lines of all lengths, blanks, junk and padding anywhere.
    #[test]
    fn base64_is_decoded_as_group_by_group(
        lines in proptest::collection::vec((base64_line(), prop::sample::select(vec!["\r\n", "\n", "", " \n", "\r", "\n\n"])), 0..12),
        end in prop::sample::select(vec!["", "=", "==", "A===", "AA==", "AAA=", "AAA=\r\n", "AA==A", "#", "AAA"]),
    ) {
        let text: String = lines.iter().map(|(line, end)| format!("{line}{end}")).collect();
        let raw = (text + end).into_bytes();
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        let found = decode_base64(&raw, &mut found).map(|()| found).ok();
        let by_groups = by_groups(&raw, raw.len(), &mut expected).map(|_| expected).ok();
        prop_assert_eq!(found, by_groups);
    }

    /// From any column on, in lines of any width, of which many are coded at a time; as another coder has it.
    #[test]
    fn base64_is_written_in_lines(
        content in proptest::collection::vec(any::<u8>(), 0..6000), width in 1usize..20, column in 0usize..80, lf: bool
    ) {
        let newline: &[u8] = if lf { b"\n" } else { b"\r\n" };
        let digits = data_encoding::BASE64.encode(&content).into_bytes();
        let in_lines = |first: usize, width: usize| {
            let (head, tail) = digits.split_at(first.min(digits.len()));
            let lines: Vec<&[u8]> = std::iter::once(head).chain(tail.chunks(width)).collect();
            lines.join(newline)
        };
        let (width, column) = (width * 4, column.min(width * 4));
        let mut coded = Vec::new();
        write_base64(&mut coded, &content, column, width, newline);
        prop_assert_eq!(coded, in_lines((width - column) / 4 * 4, width));
        prop_assert_eq!(super::base64::into_base64(content, newline), in_lines(LINE_MAX, LINE_MAX));
    }

    #[test]
    fn encoded_decodes_to_itself(content: Vec<u8>, lf: bool) {
        let newline: &[u8] = if lf { b"\n" } else { b"\r\n" };
        for encoding in [QP, B64] {
            let raw = encode_exact(encoding, &content, newline);
            prop_assert!(raw.is_ascii() && longest_line(&raw) <= LINE_MAX);
            prop_assert_eq!(decode(encoding, &raw).unwrap(), &content[..]);
            prop_assert_eq!(decoded_len(encoding, &raw).unwrap(), content.len() as u64);
        }
    }

    #[test]
    fn written_text_is_fit_for_the_wire(content in text()) {
        let raw = encode(QP, &content, b"\r\n");
        prop_assert_eq!(decode(QP, &raw).unwrap(), &content[..]);
        prop_assert!(raw.is_ascii() && longest_line(&raw) <= LINE_MAX);
        for line in raw.split(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            prop_assert!(!line.starts_with(b"From ") && !line.starts_with(b"."));
            prop_assert!(!matches!(line.last(), Some(b' ' | b'\t')));
            let soft = line.strip_suffix(b"=").unwrap_or(line);
            let octets = decode(QP, soft).unwrap();
            prop_assert!(std::str::from_utf8(&octets).is_ok(), "a character split");
        }
        let theirs = quoted(&raw);
        prop_assert_eq!(theirs, content);
    }

    #[test]
    fn decoders_agree_with_mailparse(content in text()) {
        let raw = encode(B64, &content, b"\r\n");
        prop_assert_eq!(by_mailparse("base64", &raw), content);
    }

    #[test]
    fn sinks_agree(raw in proptest::collection::vec(prop_oneof![Just(b'='), Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'A'), Just(b'4'), any::<u8>()], 0..60)) {
        for encoding in [QP, B64] {
            let whole = decode(encoding, &raw).ok().map(Cow::into_owned);
            prop_assert_eq!(decoded_len(encoding, &raw).ok(), whole.as_ref().map(|w| w.len() as u64));
            let mut sink = Vec::new();
            let written = decode_into(encoding, &raw, &mut sink).ok();
            prop_assert_eq!(written.map(|_| sink), whole);
        }
    }

    #[test]
    fn quoted_printable_is_decoded_as_atom_by_atom(
        noise in proptest::collection::vec(prop_oneof![
            Just(b'='), Just(b'='), Just(b'\r'), Just(b'\n'), Just(b'\n'), Just(b' '), Just(b'\t'), Just(b'A'), Just(b'4'), any::<u8>()
        ], 0..60),
        like in qp_like()
    ) {
        for raw in [&noise, &like] {
            prop_assert_eq!(decode(QP, raw).ok().map(Cow::into_owned), decode_by_atoms(raw).ok());
        }
    }

    /// Wherever the marks fall.
    #[test]
    fn a_marked_body_is_spliced_as_any_other(pieces in proptest::collection::vec(qp_like(), 1..12), insert in text(), index in any::<proptest::sample::Index>()) {
        let raw = pieces.concat().repeat(12);
        let mut content = Vec::new();
        prop_assume!(!insert.is_empty());
        let marks = match decode_qp_marked(&raw, &mut content) {
            Ok(marks) => marks,
            Err(_) => return Ok(()),
        };
        for at in [0, content.len(), index.index(content.len() + 1), usize::MAX] {
            let place = qp_place(&raw, at).unwrap();
            let new = splice_qp_marked(&raw, &marks, at, &insert, b"\r\n").unwrap();
            prop_assert_eq!(&new, &splice_qp_marked(&raw, &Default::default(), at, &insert, b"\r\n").unwrap());
            prop_assert!(new.ends_with(&raw[place..]));
        }
    }

    #[test]
    fn a_splice_inserts_and_no_more(
        raw in qp_like(), content in text(), insert in text(), place in any::<proptest::sample::Index>(), width in 1usize..20
    ) {
        let mut base64 = Vec::new();
        write_base64(&mut base64, &content, 0, width * 4, b"\r\n");
        for (encoding, raw) in [(QP, &raw), (B64, &base64), (Encoding::EightBit, &content)] {
            let old = decode(encoding, raw).unwrap().into_owned();
            let mut at = place.index(old.len() + 1);
            if encoding == QP && at > 0 && old.get(at - 1..at + 1) == Some(b"\r\n") {
                at -= 1;
            }
            let new = splice(encoding, raw, at, &insert, b"\r\n").unwrap();
            let expected = [&old[..at], &insert, &old[at..]].concat();
            let decoded = decode(encoding, &new).unwrap();
            prop_assert_eq!(
                String::from_utf8_lossy(&decoded), String::from_utf8_lossy(&expected), "{:?} {:?}", at, String::from_utf8_lossy(&new)
            );
            if insert.is_empty() {
                prop_assert_eq!(&new, raw);
                continue;
            }
            let common = raw.iter().zip(&new).take_while(|(a, b)| a == b).count();
            match encoding {
                QP => {
                    prop_assert!(longest_line(&new) <= longest_line(raw).max(LINE_MAX), "{}", String::from_utf8_lossy(&new));
                    let before = &raw[..qp_place(raw, at).unwrap()];
                    let line = &before[memrchr(b'\n', before).map_or(0, |lf| lf + 1)..];
                    let moved = if line.len() >= LINE_MAX { last_character(line) } else { 0 };
                    prop_assert!(common >= before.len() - moved, "raw octets before the place are kept");
                }
                B64 => {
                    prop_assert!(longest_line(&new) <= longest_line(raw).max(LINE_MAX));
                    let digits = raw[..common].iter().filter(|b| !b.is_ascii_whitespace()).count();
                    prop_assert!(digits >= at / 3 * 4);
                }
                _ => prop_assert!(common >= at),
            }
        }
    }
}

fn by_mailparse(encoding: &str, raw: &[u8]) -> Vec<u8> {
    let ctype = mailparse::parse_content_type("application/octet-stream");
    match mailparse::body::Body::new(raw, &ctype, &Some(encoding.to_owned())) {
        mailparse::body::Body::Base64(body) | mailparse::body::Body::QuotedPrintable(body) => {
            body.get_decoded().unwrap()
        }
        _ => Vec::new(),
    }
}

fn quoted(raw: &[u8]) -> Vec<u8> {
    by_mailparse("quoted-printable", raw)
}
