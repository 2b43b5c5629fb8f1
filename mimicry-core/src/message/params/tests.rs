use super::write::LINE_MAX;
use super::*;
use proptest::prelude::*;

fn parse(value: &[u8]) -> Params<'_> {
    Params::parse(value, 1000)
}

#[test]
fn main_values() {
    for (raw, value, media) in [
        (&b"text/plain"[..], Some("text/plain"), true),
        (b" Text/HTML; charset=utf-8", Some("text/html"), true),
        (
            b"\r\n text/html;\r\n charset=utf-8",
            Some("text/html"),
            true,
        ),
        (
            b"multipart/mixed (c); boundary=x",
            Some("multipart/mixed"),
            true,
        ),
        (
            b"(a) multipart (b (c)) / (d) mixed (e)",
            Some("multipart/mixed"),
            true,
        ),
        (b"text/plain charset=utf-8", Some("text/plain"), true),
        (b"attachment; filename=x", Some("attachment"), false),
        (b"Attachment", Some("attachment"), false),
        (b"text", Some("text"), false),
        (b"text;charset=utf-8", Some("text"), false),
        (b"text/", None, false),
        (b"/plain", None, false),
        (b"text/plain/x", None, false),
        (b"text plain", None, false),
        (b"", None, false),
        (b";", None, false),
        (b"charset=utf-8", None, false),
        (b"text/pl\xe4in", None, false),
        (b"\"text/plain\"", None, false),
        (b"((((text/plain", None, false),
    ] {
        let parsed = parse(raw);
        assert_eq!(parsed.value(), value, "{}", String::from_utf8_lossy(raw));
        assert_eq!(
            parsed.media_type().is_some(),
            media,
            "{}",
            String::from_utf8_lossy(raw)
        );
    }
}

#[test]
fn boundaries_as_octets() {
    for (raw, boundary) in [
        (&b"multipart/mixed; boundary=abc"[..], Some(&b"abc"[..])),
        (b"multipart/mixed; boundary=\"a b\"", Some(b"a b")),
        (b"multipart/mixed; BOUNDARY = \"abc\"", Some(b"abc")),
        (b"multipart/mixed;boundary=abc;", Some(b"abc")),
        (b"multipart/mixed; boundary=abc (comment)", Some(b"abc")),
        (
            b"multipart/mixed; (x) boundary (y) = (z) abc (w); a=b",
            Some(b"abc"),
        ),
        (b"multipart/mixed ((c)); boundary=abc", Some(b"abc")),
        (b"multipart/mixed boundary=abc", Some(b"abc")),
        (b"multipart/mixed; charset=x boundary=abc", Some(b"abc")),
        (b"multipart/mixed; charset=\"x\" boundary=abc", Some(b"abc")),
        (
            b"multipart/mixed; =; ;; foo; \"junk;\"; bar baz; boundary=abc",
            Some(b"abc"),
        ),
        (b"multipart/mixed; = x; boundary=abc", Some(b"abc")),
        (b"multipart/mixed; \"junk; boundary=abc", Some(b"abc")),
        (b"multipart/mixed; boundary=\"\"", Some(b"")),
        (b"multipart/mixed; boundary=", Some(b"")),
        (b"multipart/mixed; boundary", None),
        (b"multipart/mixed", None),
        (b"multipart/mixed; boundary=\"a\\\"b\\c\"", Some(b"a\"bc")),
        (b"multipart/mixed; boundary=\"abc", Some(b"abc")),
        (b"multipart/mixed; boundary=\"ab\r\n c\"", Some(b"ab c")),
        (
            b"multipart/mixed;\r\n\tboundary=\"abc\";\r\n x=y",
            Some(b"abc"),
        ),
        (
            b"multipart/mixed; boundary*0=ab; boundary*1=c",
            Some(b"abc"),
        ),
        (
            b"multipart/mixed; boundary*1=c; boundary*0*=us-ascii''a%62",
            Some(b"abc"),
        ),
        (b"multipart/mixed; boundary*=us-ascii''abc", Some(b"abc")),
        (
            b"multipart/mixed; boundary==?utf-8?Q?abc?=",
            Some(b"=?utf-8?Q?abc?="),
        ),
        (b"multipart/mixed; boundary=a==b", Some(b"a==b")),
        (b"multipart/mixed; boundary=abc; boundary=def", Some(b"abc")),
        (b"multipart/mixed; boundary=caf\xe9", Some(b"caf\xe9")),
        (b"multipart/mixed; boundary=a b", Some(b"a b")),
    ] {
        let got = parse(raw).get_bytes("boundary");
        assert_eq!(got.as_deref(), boundary, "{}", String::from_utf8_lossy(raw));
    }
}

#[test]
fn file_names_as_text() {
    for (raw, name) in [
        (&b"attachment; filename=a.pdf"[..], Some("a.pdf")),
        (b"attachment; filename=\"my file.pdf\"", Some("my file.pdf")),
        (b"attachment; filename=my file.pdf", Some("my file.pdf")),
        (
            b"attachment; filename=my file.pdf; x=y",
            Some("my file.pdf"),
        ),
        (
            b"attachment; filename=report (1).exe",
            Some("report (1).exe"),
        ),
        (b"attachment; filename=report (1.exe", Some("report (1.exe")),
        (
            b"attachment; filename=report (1.exe; x=y",
            Some("report (1.exe"),
        ),
        (
            b"attachment; filename=\"C:\\temp\\x.exe\"",
            Some("C:\\temp\\x.exe"),
        ),
        (
            b"attachment; filename=C:\\temp\\x.exe",
            Some("C:\\temp\\x.exe"),
        ),
        (b"attachment; filename=\"a\\\"b\"", Some("a\"b")),
        (
            b"attachment; filename*=utf-8''na%C3%AFve.txt",
            Some("naïve.txt"),
        ),
        (
            b"attachment; filename*=UTF-8'en'na%c3%afve.txt",
            Some("naïve.txt"),
        ),
        (
            b"attachment; filename=naive.txt; filename*=utf-8''na%C3%AFve.txt",
            Some("naïve.txt"),
        ),
        (
            b"attachment; filename*=utf-8''na%C3%AFve.txt; filename=naive.txt",
            Some("naïve.txt"),
        ),
        (
            b"attachment; filename*=\"utf-8''na%C3%AFve.txt\"",
            Some("naïve.txt"),
        ),
        (
            b"attachment; filename*0*=utf-8''%E2%82; filename*1*=%AC; filename*2=.txt",
            Some("€.txt"),
        ),
        (
            b"attachment; filename*2=.txt; filename*0*=utf-8''%E2%82; filename*1*=%AC",
            Some("€.txt"),
        ),
        (
            b"attachment; filename*0=\"a b\"; filename*1=\"c.txt\"",
            Some("a bc.txt"),
        ),
        (b"attachment; filename*0=a; filename*2=c", Some("a")),
        (b"attachment; filename*1=b; filename=x", Some("x")),
        (
            b"attachment; filename*0*=iso-2022-jp''%1B$B4A; filename*1*=%1B%28B.txt",
            Some("漢.txt"),
        ),
        (b"attachment; filename*=x-unknown''caf%E9", Some("café")),
        (b"attachment; filename*=x-unknown''caf%C3%A9", Some("café")),
        (b"attachment; filename*=utf-8''caf%E9", Some("café")),
        (b"attachment; filename*=''caf%C3%A9", Some("café")),
        (b"attachment; filename*=caf%C3%A9", Some("café")),
        (
            b"attachment; filename=setup.exe; filename*=utf-8",
            Some("setup.exe"),
        ),
        // A fold before a TAB is a blank (T179).
        (
            b"attachment;\r\n\tfilename=\"for the year\r\n\t2023.pdf\"",
            Some("for the year 2023.pdf"),
        ),
        (b"attachment; filename*=cp932''%90%BF.csv", Some("請.csv")),
        (b"attachment; filename*=utf-8'caf%C3%A9", Some("utf-8'café")),
        (b"attachment; filename*=utf-8''100%", Some("100%")),
        (b"attachment; filename*=utf-8''it's", Some("it's")),
        (b"attachment; filename*00=a; filename*1=b", Some("ab")),
        (b"attachment; filename*x=a; filename=b", Some("b")),
        (
            b"attachment; filename=\"=?utf-8?Q?na=C3=AFve.txt?=\"",
            Some("naïve.txt"),
        ),
        (
            b"attachment; filename==?utf-8?Q?na=C3=AFve.txt?=",
            Some("naïve.txt"),
        ),
        (
            b"attachment; filename==?utf-8?Q?na=C3=AF?= =?utf-8?Q?ve.txt?=",
            Some("naïve.txt"),
        ),
        (
            b"attachment; filename==?utf-8?Q?na=C3=AF?==?utf-8?Q?ve.txt?=",
            Some("naïve.txt"),
        ),
        (
            b"attachment; filename==?utf-8?Q?na ve=2Etxt?=",
            Some("na ve.txt"),
        ),
        (
            b"attachment; filename=\"=?utf-8?B?bmHDr3Y=?=\r\n =?utf-8?B?ZS50eHQ=?=\"",
            Some("naïve.txt"),
        ),
        (b"attachment; filename=\"caf\xc3\xa9\"", Some("café")),
        (b"attachment; filename=caf\xe9", Some("café")),
        (
            b"attachment; filename*=utf-8''a%0D%0AEvil:%20x%00",
            Some("a  Evil: x "),
        ),
        (
            b"attachment; filename=\"../../etc/passwd\"",
            Some("../../etc/passwd"),
        ),
        (b"attachment; filename=\"\"", Some("")),
        (b"attachment", None),
    ] {
        let got = parse(raw).get("filename");
        assert_eq!(got.as_deref(), name, "{}", String::from_utf8_lossy(raw));
    }
}

#[test]
fn ambiguity() {
    for (raw, name, ambiguous) in [
        (&b"a/b; boundary=x"[..], "boundary", false),
        (b"a/b; boundary=x; boundary=x", "boundary", true),
        (b"a/b; boundary=x; boundary*=''y", "boundary", true),
        (b"a/b; boundary=x; boundary*=''x", "boundary", false),
        (b"a/b; boundary*0=x; boundary*0=y", "boundary", true),
        (b"a/b; boundary*0=x; boundary*64=y", "boundary", true),
        (b"a; filename=x; filename*=utf-8''y", "filename", false),
        (b"a; filename*0=x; filename*=utf-8''y", "filename", true),
        (b"a/b", "boundary", false),
    ] {
        assert_eq!(
            parse(raw).ambiguous(name),
            ambiguous,
            "{}",
            String::from_utf8_lossy(raw)
        );
    }
}

#[test]
fn positions() {
    let raw = b"text/plain;\r\n charset = \"utf-8\" ; name=x";
    let parsed = parse(raw);
    let shown: Vec<_> = parsed
        .iter()
        .map(|p| [p.piece.clone(), p.attr.clone(), p.value.clone()].map(|r| &raw[r]))
        .collect();
    assert_eq!(
        shown,
        [
            [&b";\r\n charset = \"utf-8\""[..], b"charset", b"\"utf-8\""],
            [b"; name=x", b"name", b"x"]
        ]
    );
}

#[test]
fn setting() {
    for (raw, name, new, after) in [
        (
            "text/plain",
            "charset",
            "utf-8",
            "text/plain; charset=utf-8",
        ),
        // A form feed is no blank of the grammar: found by fuzzing, it was read back as a part of the new value.
        (
            "a b\u{c}\n",
            "charset",
            "utf-8",
            "a b\u{c}; charset=utf-8\n",
        ),
        (
            "text/plain;",
            "charset",
            "utf-8",
            "text/plain; charset=utf-8",
        ),
        (
            "text/plain; charset=x",
            "charset",
            "utf-8",
            "text/plain; charset=utf-8",
        ),
        (
            "text/plain;\r\n Charset = \"x\"; a=b",
            "charset",
            "utf-8",
            "text/plain;\r\n Charset=\"utf-8\"; a=b",
        ),
        (
            "text/plain; charset=x (old); a=b",
            "charset",
            "utf-8",
            "text/plain; charset=utf-8 (old); a=b",
        ),
        (
            "text/plain; a=b; charset=x; c=d; charset=y; e",
            "charset",
            "z",
            "text/plain; a=b; charset=z; c=d; e",
        ),
        ("a/b; n*1=y; x=1; n*0=x", "n", "z", "a/b; n=z; x=1"),
        ("a/b", "n", "x y", "a/b; n=\"x y\""),
        ("a/b", "n", "a\"b", "a/b; n=\"a\\\"b\""),
        ("a/b", "n", "", "a/b; n=\"\""),
        ("a/b", "n", "é", "a/b; n*=utf-8''%C3%A9"),
        ("a/b", "n", "x\r\nEvil: y", "a/b; n=\"x  Evil: y\""),
        ("a/b\r\n ", "n", "x", "a/b; n=x\r\n "),
        ("a/b (open", "n", "x", "a/b; n=\"x\" (open"),
        (
            "a/b; c=d; e=\"open",
            "n",
            "x",
            "a/b; c=d; n=\"x\"; e=\"open",
        ),
        ("a/b charset=x", "charset", "y", "a/b charset=y"),
    ] {
        let set = set(raw.as_bytes(), name, new);
        assert_eq!(
            Params::parse(&set, usize::MAX).get(name),
            Some(new.replace(['\r', '\n'], " ")),
            "{raw}"
        );
        assert_eq!(String::from_utf8_lossy(&set), after, "{raw} {name}={new}");
    }
}

#[test]
fn names_for_writing() {
    for (name, written) in [
        ("a.pdf", ";\r\n filename=\"a.pdf\""),
        ("my file.pdf", ";\r\n filename=\"my file.pdf\""),
        (
            "naïve.txt",
            ";\r\n filename=\"na_ve.txt\";\r\n filename*=utf-8''na%C3%AFve.txt",
        ),
        ("a\"b", ";\r\n filename=\"a_b\";\r\n filename*=utf-8''a%22b"),
        (
            "=?x",
            ";\r\n filename=\"__x\";\r\n filename*=utf-8''%3D%3Fx",
        ),
    ] {
        assert_eq!(encode_filename_params("filename", name), written, "{name}");
    }
    let long = format!("{}.pdf", "a".repeat(200));
    let written = encode_filename_params("filename", &long);
    assert!(
        written.starts_with(";\r\n filename=\"aaa")
            && written.contains("aa.pdf\";\r\n filename*0*=utf-8''")
    );
}

#[test]
fn hostile_values() {
    let comments = format!("text/plain {}", "(".repeat(1_000_000));
    assert_eq!(parse(comments.as_bytes()).value(), Some("text/plain"));
    let nested = format!(
        "multipart/mixed {}{}; boundary=x",
        "(".repeat(60_000),
        ")".repeat(60_000)
    );
    assert_eq!(
        parse(nested.as_bytes()).get("boundary").as_deref(),
        Some("x")
    );
    let closed = format!("a/b; x=1 {}end", "(c)".repeat(100_000));
    assert!(
        parse(closed.as_bytes())
            .get("x")
            .is_some_and(|x| x.ends_with("end"))
    );

    let many: String = (0..20_000).map(|n| format!("; p{n}=v{n}")).collect();
    let value = format!("a/b{many}");
    let parsed = Params::parse(value.as_bytes(), 1000);
    assert!(parsed.too_many());
    assert_eq!(
        (parsed.get("p999").as_deref(), parsed.get("p1000")),
        (Some("v999"), None)
    );
    let all = Params::parse(value.as_bytes(), 20_000);
    assert!(!all.too_many());
    assert_eq!(all.get("p19999").as_deref(), Some("v19999"));

    let sections: String = (0..50_000).rev().map(|n| format!("; n*{n}=x")).collect();
    let value = format!("a/b{sections}");
    let parsed = Params::parse(value.as_bytes(), usize::MAX);
    assert_eq!(parsed.get("n"), Some("x".repeat(64)));
    assert!(parsed.ambiguous("n"));
    assert_eq!(set(value.as_bytes(), "n", "y"), b"a/b; n=y");

    let quotes = format!("a/b; {}", "\"x\\".repeat(100_000));
    assert_eq!(parse(quotes.as_bytes()).value(), Some("a/b"));
    let equals = format!("a/b; {}", "=".repeat(100_000));
    assert_eq!(parse(equals.as_bytes()).iter().count(), 0);
    let words = format!("a/b; n={}", "=?a?Q?".repeat(100_000));
    assert!(parse(words.as_bytes()).get("n").is_some());
}

fn value_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("text/plain"),
        Just("; "),
        Just(";"),
        Just("="),
        Just("\""),
        Just("("),
        Just(")"),
        Just("\\"),
        Just(" "),
        Just("\r\n "),
        Just("name"),
        Just("other=x"),
        Just("name*0*=utf-8''%41"),
        Just("name*1=b"),
        Just("n=\"q\""),
        Just("=?utf-8?Q?a"),
        Just("?="),
        Just("'"),
        Just("%41"),
        Just("*"),
        Just("é"),
        Just("/")
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn what_was_set_is_got(value in value_like(), new in "[a-z \"\\\\();=?é]{0,8}") {
        let before = Params::parse(&value, usize::MAX);
        // Where not even the main value can be read, there is no place that is sure to be outside of the rubbish; such a
        // field is never edited.
        if before.value().is_none() {
            return Ok(());
        }
        let changed = set(&value, "name", &new);
        let after = Params::parse(&changed, usize::MAX);
        prop_assert_eq!(after.get("name"), Some(new.clone()), "{:?} -> {:?}", String::from_utf8_lossy(&value), String::from_utf8_lossy(&changed));
        prop_assert_eq!(after.value(), before.value());
        prop_assert!(!after.ambiguous("name"), "{:?}", String::from_utf8_lossy(&changed));
        prop_assert_eq!(after.get_bytes("other"), before.get_bytes("other"));
        prop_assert_eq!(after.get_bytes("n"), before.get_bytes("n"));
    }

    #[test]
    fn written_names_read_back(name in "[a-z. é漢\"\\\\%'=?]{0,150}") {
        let value = format!("attachment{}", encode_filename_params("filename", &name));
        prop_assert!(value.is_ascii());
        prop_assert!(value.split("\r\n").all(|line| line.len() <= LINE_MAX), "{}", value);
        let parsed = parse(value.as_bytes());
        prop_assert_eq!(parsed.get("filename"), Some(name.clone()));
        prop_assert!(!parsed.ambiguous("filename"));
        let theirs = mailparse::parse_content_disposition(&value.replace("\r\n", ""));
        let read = theirs.params.get("filename").cloned().unwrap_or_default();
        if !value.contains("filename*") {
            prop_assert_eq!(read, name);
        }
    }

    #[test]
    fn spans_lie_in_order(value: Vec<u8>) {
        let parsed = Params::parse(&value, usize::MAX);
        let mut last = 0;
        for param in parsed.iter() {
            prop_assert!(last <= param.piece.start && param.piece.start <= param.attr.start);
            prop_assert!(param.attr.end <= param.value.start && param.value.end == param.piece.end);
            last = param.piece.end;
        }
        prop_assert!(last <= value.len());
    }
}
