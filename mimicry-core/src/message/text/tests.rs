//! What can be put into a text, where, and in which octets.
//!
//! Longer than 600 lines: tables.

use super::*;
use proptest::prelude::*;

fn read<'a>(raw: &'a [u8], label: &str, encoding: Encoding) -> Result<TextBody<'a>, NotEditable> {
    let label = (!label.is_empty()).then_some(label.as_bytes());
    TextBody::read(raw, label, encoding, b"\r\n")
}

#[test]
fn what_can_be_edited() {
    use Encoding::{Base64, Binary, EightBit, QuotedPrintable, SevenBit, Unknown};
    for (label, encoding, raw, outcome) in [
        ("", SevenBit, &b"abc"[..], Ok("abc")),
        ("us-ascii", SevenBit, b"abc", Ok("abc")),
        ("", EightBit, b"caf\xc3\xa9", Err(NotEditable::Charset)),
        ("us-ascii", EightBit, b"caf\xe9", Err(NotEditable::Charset)),
        ("", SevenBit, b"\x1b$B4A\x1b(B", Err(NotEditable::Charset)),
        ("utf-8", EightBit, b"caf\xe9", Err(NotEditable::Charset)),
        ("utf-8", Binary, b"caf\xc3\xa9", Ok("café")),
        ("x-unknown", SevenBit, b"abc", Err(NotEditable::Charset)),
        ("utf-16", Base64, b"YQA=", Err(NotEditable::Charset)),
        ("utf-16", Base64, b"//5hAA==", Ok("\u{feff}a")),
        (
            "iso-2022-jp",
            SevenBit,
            b"\x1b$B4A",
            Err(NotEditable::Charset),
        ),
        ("iso-2022-jp", SevenBit, b"\x1b$B4A\x1b(B", Ok("漢")),
        ("utf-8", Base64, b"Y2Fmw6k", Err(NotEditable::Malformed)),
        (
            "utf-8",
            QuotedPrintable,
            b"=ZZ",
            Err(NotEditable::Malformed),
        ),
        ("utf-8", QuotedPrintable, b"caf=C3=A9", Ok("café")),
        ("utf-8", Unknown, b"abc", Err(NotEditable::Malformed)),
    ] {
        let got = read(raw, label, encoding);
        let got = got.as_ref().map(TextBody::text).map_err(|e| *e);
        assert_eq!(got, outcome, "{label} {encoding:?} {raw:?}");
    }
}

/// Charset, coding, raw body, place, text; the new raw body, new charset, new coding.
type Rung<'a> = (
    &'a str,
    Encoding,
    &'a [u8],
    usize,
    &'a str,
    &'a [u8],
    Option<&'a str>,
    Option<Encoding>,
);

#[test]
fn the_ladder() {
    use Encoding::{Base64, Binary, EightBit, QuotedPrintable, SevenBit};
    let mut rows: Vec<Rung<'_>> = vec![
        (
            "",
            SevenBit,
            b"ab\r\n",
            4,
            "x\n",
            b"ab\r\nx\r\n",
            None,
            None,
        ),
        (
            "us-ascii",
            SevenBit,
            b"ab\r\n",
            0,
            "x\n",
            b"x\r\nab\r\n",
            None,
            None,
        ),
        (
            "us-ascii",
            SevenBit,
            b"ab caf\r\n",
            8,
            "\u{e9}",
            b"ab caf\r\n=C3=A9",
            Some("utf-8"),
            Some(QuotedPrintable),
        ),
        (
            "utf-8",
            SevenBit,
            b"ab caf\r\n",
            8,
            "\u{e9}",
            b"ab caf\r\n=C3=A9",
            None,
            Some(QuotedPrintable),
        ),
        (
            "utf-8",
            EightBit,
            b"ab\r\n",
            4,
            "é",
            "ab\r\né".as_bytes(),
            None,
            None,
        ),
        (
            "iso-8859-1",
            EightBit,
            b"caf\xe9\r\n",
            6,
            "é",
            b"caf\xe9\r\n\xe9",
            None,
            None,
        ),
        (
            "iso-8859-1",
            EightBit,
            b"\xe9",
            1,
            "€",
            "é€".as_bytes(),
            Some("utf-8"),
            None,
        ),
        (
            "iso-8859-1",
            SevenBit,
            b"caf\xe9\r\n",
            6,
            "x",
            b"caf=E9\r\nx",
            None,
            Some(QuotedPrintable),
        ),
        (
            "iso-8859-1",
            QuotedPrintable,
            b"caf=E9\r\n",
            6,
            "é",
            b"caf=E9\r\n=E9",
            None,
            None,
        ),
        (
            "iso-8859-1",
            QuotedPrintable,
            b"caf=e9\r\n",
            6,
            "€",
            b"caf=C3=A9\r\n=E2=82=AC",
            Some("utf-8"),
            None,
        ),
        (
            "iso-8859-1",
            QuotedPrintable,
            b"caf\xe9\r\n",
            6,
            "x",
            b"caf=E9\r\nx",
            None,
            None,
        ),
        (
            "iso-8859-1",
            Base64,
            b"6Q==\r\n",
            1,
            "é",
            b"6ek=\r\n",
            None,
            None,
        ),
        (
            "iso-8859-1",
            Base64,
            b"6Q==\r\n",
            1,
            "€",
            b"w6nigqw=\r\n",
            Some("utf-8"),
            None,
        ),
        (
            "utf-16",
            Base64,
            b"//5hAA==\r\n",
            4,
            "b",
            b"//5hAGIA\r\n",
            None,
            None,
        ),
        (
            "utf-16",
            Base64,
            b"//5hAA==\r\n",
            0,
            "b",
            b"//5iAGEA\r\n",
            None,
            None,
        ),
        (
            "utf-16be",
            Base64,
            b"AGE=",
            2,
            "漢",
            b"AGFvIg==",
            None,
            None,
        ),
        (
            "utf-8",
            EightBit,
            b"\xef\xbb\xbfa",
            0,
            "b",
            b"\xef\xbb\xbfba",
            None,
            None,
        ),
        // T175
        (
            "utf-16le",
            Binary,
            b"a\0",
            2,
            "\r\nb",
            b"YQANAAoAYgA=",
            None,
            Some(Base64),
        ),
        (
            "utf-16be",
            EightBit,
            b"\0a",
            0,
            "b",
            b"AGIAYQ==",
            None,
            Some(Base64),
        ),
        // Half of a line end on either side.
        (
            "utf-8",
            Binary,
            b"a\r\nb",
            2,
            "x",
            b"YQ14CmI=",
            None,
            Some(Base64),
        ),
        ("utf-8", Binary, b"a\0\r\n", 4, "x", b"a\0\r\nx", None, None),
        (
            "utf-7",
            SevenBit,
            b"+ZeU-",
            5,
            "x",
            b"5peleA==",
            Some("utf-8"),
            Some(Base64),
        ),
        (
            "iso-2022-jp",
            SevenBit,
            b"\x1b$B4A\x1b(B\r\n",
            10,
            "漢",
            b"\x1b$B4A\x1b(B\r\n\x1b$B4A\x1b(B",
            None,
            None,
        ),
        (
            "iso-2022-jp",
            SevenBit,
            b"\x1b$B4A\x1b(B",
            8,
            "é",
            "5ryiw6k=".as_bytes(),
            Some("utf-8"),
            Some(Base64),
        ),
        (
            "shift_jis",
            EightBit,
            b"\x8a\xbf\r\n",
            4,
            "漢",
            b"\x8a\xbf\r\n\x8a\xbf",
            None,
            None,
        ),
    ];
    let long = "x".repeat(999);
    let broken = format!("ab\r\n{}=\r\n{}", "x".repeat(75), "x".repeat(75));
    rows.push((
        "us-ascii",
        SevenBit,
        b"ab\r\n",
        4,
        &long,
        broken.as_bytes(),
        None,
        Some(QuotedPrintable),
    ));
    for (label, encoding, raw, at, text, new, charset, changed) in rows {
        let body = read(raw, label, encoding).unwrap();
        let got = body.insert(At::Octet(at), text, Unmappable::Raise).unwrap();
        let shown = String::from_utf8_lossy(&got.raw).into_owned();
        let long = text.len() > 900; // only its beginning is in the table
        assert!(
            got.raw.starts_with(new) && (long || got.raw == new),
            "{label} {encoding:?}: {shown:?}"
        );
        assert_eq!(
            (got.charset.as_deref(), got.encoding),
            (charset, changed),
            "{label} {encoding:?}: {shown:?}"
        );
    }
}

#[test]
fn references_in_html() {
    for (label, raw, text, new) in [
        ("us-ascii", &b"<p>"[..], "é€", &b"<p>&#233;&#8364;"[..]),
        ("iso-8859-1", b"<p>", "é€", b"<p>\xe9&#8364;"),
        ("utf-8", b"<p>", "é€", "<p>é€".as_bytes()),
        ("iso-2022-jp", b"<p>", "漢é", b"<p>\x1b$B4A\x1b(B&#233;"),
    ] {
        let body = read(raw, label, Encoding::EightBit).unwrap();
        let got = body
            .insert(At::Octet(3), text, Unmappable::Entities)
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&got.raw),
            String::from_utf8_lossy(new),
            "{label}"
        );
        assert_eq!((got.charset, got.encoding), (None, None), "{label}");
    }
}

#[test]
fn places() {
    let body = read("aé漢".as_bytes(), "utf-8", Encoding::EightBit).unwrap();
    for inside in [2, 4, 5] {
        let got = body
            .clone()
            .insert(At::Octet(inside), "x", Unmappable::Raise);
        assert_eq!(got, Err(NotEditable::Charset), "{inside}");
    }
    let gbk = read(b"\xba\xba\xba\xba", "gbk", Encoding::EightBit).unwrap();
    assert_eq!(
        gbk.clone().insert(At::Octet(1), "x", Unmappable::Raise),
        Err(NotEditable::Charset)
    );
    let got = gbk
        .clone()
        .insert(At::Text(3), "x", Unmappable::Raise)
        .unwrap();
    assert_eq!(got.raw, b"\xba\xbax\xba\xba");
    let latin = read(b"\x93a\x94", "iso-8859-1", Encoding::EightBit).unwrap();
    let got = latin.insert(At::Text(4), "x", Unmappable::Raise).unwrap();
    assert_eq!(got.raw, b"\x93ax\x94");
    // Within a stretch of two-octet characters only encoding the whole anew has a place.
    let jis = read(b"\x1b$B4A4A\x1b(B", "iso-2022-jp", Encoding::SevenBit).unwrap();
    let got = jis
        .clone()
        .insert(At::Text(3), "x", Unmappable::Raise)
        .unwrap();
    assert_eq!(got.raw, b"\x1b$B4A\x1b(Bx\x1b$B4A\x1b(B");
    // A needless escape would be lost by that, so the part is raised.
    let odd = read(
        b"\x1b$B4A4A\x1b(Bz\x1b(Bz",
        "iso-2022-jp",
        Encoding::EightBit,
    )
    .unwrap();
    let got = odd
        .clone()
        .insert(At::Text(3), "x", Unmappable::Raise)
        .unwrap();
    assert_eq!(
        (got.raw, got.charset.as_deref()),
        ("漢x漢zz".as_bytes().to_vec(), Some("utf-8"))
    );
    let got = odd
        .clone()
        .insert(At::Text(7), "x", Unmappable::Raise)
        .unwrap();
    assert_eq!(
        (got.raw, got.charset),
        (b"\x1b$B4A4A\x1b(Bzx\x1b(Bz".to_vec(), None)
    );
    let beyond = body.insert(At::Text(99), "x", Unmappable::Raise).unwrap();
    assert_eq!(beyond.raw, "aé漢x".as_bytes());
}

#[test]
#[rustfmt::skip]
#[allow(clippy::single_range_in_vec_init, reason = "most rows remove one range")]
fn what_is_removed() {
    use Encoding::{Base64, EightBit, QuotedPrintable, SevenBit};
    for (label, encoding, raw, ranges, new, charset, changed) in [
        ("", SevenBit, &b"a\r\nbc\r\nd"[..], &[3..7][..], &b"a\r\nd"[..], None, None),
        ("utf-8", EightBit, "aéb漢c".as_bytes(), &[1..3, 4..7], b"abc", None, None),
        ("iso-8859-1", EightBit, b"\xe9\xe8x", &[0..2], b"\xe8x", None, None),
        ("iso-8859-1", QuotedPrintable, b"a=e9b=e8c", &[3..4], b"a=e9=\r\n=e8c", None, None),
        ("utf-8", QuotedPrintable, b"first\r\nsec=\r\nond\r\nthird =\r\nx\r\n", &[7..15], b"first\r\nthird =\r\nx\r\n", None, None),
        ("utf-8", QuotedPrintable, b"a b\r\nc", &[2..3], b"a =\r\n\r\nc", None, None),
        ("utf-8", QuotedPrintable, b"abc", &[1..3], b"a", None, None),
        ("utf-8", Base64, b"YWJj\r\nZGVm\r\nZ2hp\r\n", &[3..4, 8..9], b"YWJj\r\nZWZn\r\naA==\r\n", None, None),
        ("utf-16", Base64, b"//5hAGIA", &[0..4], b"//5iAA==", None, None),
        ("shift_jis", EightBit, b"\x8a\xbfx\x8a\xbf", &[3..4], b"\x8a\xbf\x8a\xbf", None, None),
        ("iso-2022-jp", SevenBit, b"\x1b$B4A4A\x1b(Bx", &[0..3], b"\x1b$B4A\x1b(Bx", None, None),
        ("utf-7", SevenBit, b"+ZeU-x", &[3..4], b"5pel", Some("utf-8"), Some(Base64)),
    ] {
        let body = read(raw, label, encoding).unwrap();
        let got = body.remove(ranges).unwrap();
        assert_eq!(String::from_utf8_lossy(&got.raw), String::from_utf8_lossy(new), "{label} {encoding:?}");
        assert_eq!((got.charset.as_deref(), got.encoding), (charset, changed), "{label} {encoding:?}");
    }
    let body = read("aé".as_bytes(), "utf-8", EightBit).unwrap();
    for ranges in [&[2..3][..], &[0..9], &[1..3, 0..1]] {
        assert_eq!(body.remove(ranges), Err(NotEditable::Charset), "{ranges:?}");
    }
}

#[test]
fn line_ends_follow_the_body() {
    let own = codec::encode(Encoding::Base64, b"a\nb\n", b"\r\n");
    let body = read(&own, "utf-8", Encoding::Base64).unwrap();
    let new = body
        .insert(At::Octet(4), "x\r\ny", Unmappable::Raise)
        .unwrap();
    assert_eq!(
        codec::decode(Encoding::Base64, &new.raw).unwrap(),
        &b"a\nb\nx\ny"[..]
    );
    let plain = TextBody::read(b"a\n", None, Encoding::SevenBit, b"\n").unwrap();
    let new = plain
        .insert(At::Octet(2), "x\r\ny\r", Unmappable::Raise)
        .unwrap();
    assert_eq!(new.raw, b"a\nx\ny\n");
}

const LABELS: &[&str] = &[
    "",
    "us-ascii",
    "iso-8859-1",
    "windows-1252",
    "iso-8859-2",
    "iso-8859-15",
    "koi8-r",
    "utf-8",
    "utf-16",
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
];
const CODINGS: &[Encoding] = &[
    Encoding::SevenBit,
    Encoding::EightBit,
    Encoding::Binary,
    Encoding::Base64,
    Encoding::QuotedPrintable,
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("word "), 2 => Just("\r\n"), 1 => Just("é"), 1 => Just("€"), 1 => Just("漢"), 1 => Just("ж"),
        1 => Just("<br>"), 1 => Just("From "), 1 => Just("."), 1 => Just(" "), 1 => Just("="), 1 => Just("𝄞"),
        1 => Just("0123456789012345678901234567890123456789012345678901234567890123456789")
    ];
    proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// Reads a body by other people's code.
fn independently(raw: &[u8], label: &str, encoding: Encoding) -> String {
    let ctype = mailparse::parse_content_type("application/octet-stream");
    let coding = Some(encoding.name().to_owned());
    let octets = match mailparse::body::Body::new(raw, &ctype, &coding) {
        mailparse::body::Body::Base64(body) | mailparse::body::Body::QuotedPrintable(body) => {
            body.get_decoded().unwrap()
        }
        _ => raw.to_vec(),
    };
    let encoding = encoding_rs::Encoding::for_label(if label.is_empty() {
        b"us-ascii"
    } else {
        label.as_bytes()
    })
    .unwrap();
    let (text, _, broken) = encoding.decode(&octets);
    assert!(!broken, "{label}: {text}");
    text.into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn the_text_stands_at_its_place(
        label in proptest::sample::select(LABELS), encoding in proptest::sample::select(CODINGS), old in text(), insert in text(),
        place in any::<proptest::sample::Index>(), by_octet: bool, entities: bool
    ) {
        let charset = Charset::for_label(if label.is_empty() { b"us-ascii" } else { label.as_bytes() }).unwrap();
        let mut old = old;
        let written = if label == "utf-16" { Charset::for_label(b"utf-16le").unwrap() } else { charset };
        old.retain(|c| written.encode(c.encode_utf8(&mut [0; 4])).is_some());
        let content = if label == "utf-16" { format!("\u{feff}{old}") } else { old.clone() };
        let octets = written.encode(&content).unwrap();
        let raw = codec::encode_exact(encoding, &octets, b"\r\n");
        let body = read(&raw, label, encoding).unwrap();
        prop_assert_eq!(body.text(), &content);

        let mut at = place.index(content.len() + 1);
        while !content.is_char_boundary(at) || content.get(..at).unwrap().ends_with('\r') {
            at -= 1;
        }
        let octet = written.encode(&content[..at]).unwrap().len();
        let where_to = if by_octet && !label.starts_with("iso-2022") { At::Octet(octet) } else { At::Text(at) };
        let unmappable = if entities { Unmappable::Entities } else { Unmappable::Raise };
        let new = body.clone().insert(where_to, &insert, unmappable).unwrap();

        let now = new.encoding.unwrap_or(encoding);
        let label_now = new.charset.as_deref().unwrap_or(label);
        let mut read_back = independently(&new.raw, label_now, now);
        if entities {
            for c in ['é', '€', '漢', 'ж', '𝄞'] {
                read_back = read_back.replace(&format!("&#{};", u32::from(c)), &c.to_string());
            }
        }
        let at = at.max(content.len() - old.len());
        let line_end = body.line_end();
        let expected = [&content[..at], &with_line_ends(&insert, line_end), &content[at..]].concat();
        prop_assert_eq!(read_back.trim_start_matches(BOM), expected.trim_start_matches(BOM), "{} {:?} -> {:?}", label, encoding, String::from_utf8_lossy(&new.raw));

        if !matches!(now, Encoding::EightBit | Encoding::Binary) {
            prop_assert!(new.raw.is_ascii());
        }
        let longest = new.raw.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
        match now {
            Encoding::Base64 | Encoding::QuotedPrintable => prop_assert!(longest <= 77),
            Encoding::Binary => {}
            _ => prop_assert!(longest <= 999),
        }
        // T175
        prop_assert_eq!(lone(&new.raw), None, "{} {:?}", label, encoding);
        let wide = label_now.starts_with("utf-16") && encoding != Encoding::Base64;
        prop_assert_eq!(wide && new.encoding != Some(Encoding::Base64), false);
        if matches!(encoding, Encoding::Base64 | Encoding::QuotedPrintable | Encoding::Binary) && !wide {
            prop_assert_eq!(new.encoding, None, "the class is kept");
        }
        prop_assert!(read(&new.raw, label_now, now).is_ok());
        if entities {
            prop_assert_eq!(new.charset, None);
        }
    }

    #[test]
    fn what_was_inserted_can_be_removed_and_so_can_anything(
        label in proptest::sample::select(LABELS), encoding in proptest::sample::select(CODINGS), old in text(),
        places in proptest::collection::vec(any::<proptest::sample::Index>(), 2..24)
    ) {
        let charset = Charset::for_label(if label.is_empty() { b"us-ascii" } else { label.as_bytes() }).unwrap();
        let mut old = old;
        let written = if label == "utf-16" { Charset::for_label(b"utf-16le").unwrap() } else { charset };
        old.retain(|c| written.encode(c.encode_utf8(&mut [0; 4])).is_some());
        let content = if label == "utf-16" { format!("\u{feff}{old}") } else { old.clone() };
        let raw = codec::encode_exact(encoding, &written.encode(&content).unwrap(), b"\r\n");
        let body = read(&raw, label, encoding).unwrap();

        let mut places: Vec<usize> = places.iter().map(|place| {
            let mut at = place.index(content.len() + 1);
            while !content.is_char_boundary(at) || content.get(..at).unwrap().ends_with('\r') {
                at -= 1;
            }
            at.max(content.len() - old.len())
        }).collect();
        places.sort_unstable();
        places.dedup();
        let ranges: Vec<Range<usize>> = places.chunks_exact(2).map(|two| two[0]..two[1]).collect();
        let new = body.remove(&ranges).unwrap();
        let now = new.encoding.unwrap_or(encoding);
        let label_now = new.charset.as_deref().unwrap_or(label);
        let expected = String::from_utf8(codec::without(content.as_bytes(), &ranges)).unwrap();
        let got = independently(&new.raw, label_now, now);
        prop_assert_eq!(got.trim_start_matches(BOM), expected.trim_start_matches(BOM), "{} {:?} -> {:?}", label, encoding, String::from_utf8_lossy(&new.raw));
        prop_assert!(read(&new.raw, label_now, now).is_ok());
        prop_assert_eq!(&new.charset, &None);
        let longest = new.raw.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
        if matches!(now, Encoding::Base64 | Encoding::QuotedPrintable) {
            prop_assert!(longest <= 77);
        }
        if encoding.is_identity() && new.encoding.is_none() && !label.starts_with("iso-2022") {
            prop_assert_eq!(new.raw, codec::without(&raw, &ranges.iter().map(|range| {
                let octets = |at| written.encode(&content[..at]).unwrap().len();
                octets(range.start)..octets(range.end)
            }).collect::<Vec<_>>()));
        }
    }
}

// T191
// man: mimicry-plugins(7) "Of a text in a charset other than UTF-8 only the first megabyte is searched, for the quoted mail and for our text."
#[test]
fn t191_a_large_text_that_must_be_converted_is_searched_in_its_beginning() {
    let line = b"gr\xfc\xdfe\r\n";
    for (label, count, whole_lines) in [
        ("iso-8859-1", 10, 10),
        (
            "iso-8859-1",
            SEARCHED / line.len() + 9,
            SEARCHED / line.len(),
        ),
        (
            "iso-8859-1",
            SEARCHED * 3 / line.len(),
            SEARCHED / line.len(),
        ),
    ] {
        let raw = line.repeat(count);
        let body = read(&raw, label, Encoding::EightBit).unwrap();
        let searched = body.searched().to_owned();
        assert_eq!(searched.lines().count(), whole_lines, "{count}");
        assert!(body.text().starts_with(&searched), "{count}");
        // A place in it is the same place in the text, and nothing else of the text moves.
        let at = searched.len() / 2 / "grüße\r\n".len() * "grüße\r\n".len();
        let body = read(&raw, label, Encoding::EightBit).unwrap();
        let new = body
            .insert(At::Text(at), "ours\n", Unmappable::Raise)
            .unwrap();
        let lines = at / "grüße\r\n".len();
        let wanted = [
            &line.repeat(lines)[..],
            b"ours\r\n",
            &line.repeat(count - lines),
        ]
        .concat();
        assert_eq!((new.raw == wanted, new.charset), (true, None), "{count}");
    }
    // One line that goes on for ever is not searched, and UTF-8 is searched to its end.
    let raw = b"\xfc".repeat(SEARCHED + 1);
    assert_eq!(
        read(&raw, "iso-8859-1", Encoding::Binary)
            .unwrap()
            .searched(),
        ""
    );
    let raw = b"x\r\n".repeat(SEARCHED);
    assert_eq!(
        read(&raw, "utf-8", Encoding::SevenBit)
            .unwrap()
            .searched()
            .len(),
        raw.len()
    );
}

proptest! {
    /// Several texts at once, whatever the coding: soft breaks, full lines and marks between them or not.
    #[test]
    fn each_text_goes_to_its_place(
        pieces in proptest::collection::vec("[a-zä=. ]{0,90}(\r\n)?", 0..60),
        places in proptest::collection::vec(any::<proptest::sample::Index>(), 1..4),
        ours in "[a-zß= ]{1,90}",
    ) {
        let text = pieces.concat();
        let mut places: Vec<usize> = places.iter().map(|place| {
            let at = text.floor_char_boundary(place.index(text.len() + 1));
            at - usize::from(at > 0 && text.get(at - 1..at + 1) == Some("\r\n"))
        }).collect();
        places.sort_unstable();
        let inserts: Vec<(At, String)> = places.iter().map(|at| (At::Octet(*at), ours.clone())).collect();
        let mut expected = text.clone();
        places.iter().rev().for_each(|at| expected.insert_str(*at, &ours));
        for encoding in [Encoding::QuotedPrintable, Encoding::Base64, Encoding::EightBit] {
            let raw = codec::encode_exact(encoding, text.as_bytes(), b"\r\n");
            let body = TextBody::read(&raw, Some(b"utf-8"), encoding, b"\r\n").unwrap();
            let new = body.insert_each(&inserts, Unmappable::Raise).unwrap();
            let content = codec::decode(new.encoding.unwrap_or(encoding), &new.raw).unwrap();
            prop_assert_eq!(std::str::from_utf8(&content).unwrap(), &expected);
        }
    }
}
