//! Mails that were made to cost much: by kind, and as large as asked. The test of memory and the benchmark of cost walk
//! the same ones.

/// Makes a mail of about so many octets.
pub type Make = fn(usize) -> Vec<u8>;

/// Mails whose text is the cost: each is a body that a rule edits.
pub const TEXTS: &[(&str, Make)] = &[
    ("plain-lines", |size| {
        text(
            size,
            "plain; charset=utf-8",
            "8bit",
            b"The quick brown fox jumps over the lazy dog.\r\n",
        )
    }),
    ("empty-lines", |size| text(size, "plain", "7bit", b"\r\n")),
    ("short-lines", |size| text(size, "plain", "7bit", b"a\r\n")),
    ("one-line", |size| text(size, "plain", "binary", b"word ")),
    ("quoted-lines", |size| {
        text(size, "plain", "7bit", b"> > a\r\n")
    }),
    ("introductions", |size| {
        text(size, "plain", "7bit", b"On 1.1.2026 a@b.example wrote:\r\n")
    }),
    ("header-lines", |size| {
        text(size, "plain", "7bit", b"From: a@b.example\r\nx\r\n")
    }),
    ("flowed", |size| {
        text(size, "plain; format=flowed", "7bit", b"a \r\n")
    }),
    ("from-lines", |size| {
        text(size, "plain", "7bit", b"From \r\n>From \r\n")
    }),
    ("almost-armour", |size| {
        text(size, "plain", "7bit", b"-----BEGIN PGP \r\n")
    }),
    ("base64-of-lines", |size| {
        text(
            size,
            "plain; charset=utf-8",
            "base64",
            &[b"DQoNCg0KDQoNCg0K".repeat(4), b"\r\n".to_vec()].concat(),
        )
    }),
    ("base64-tiny-lines", |size| {
        text(size, "plain; charset=utf-8", "base64", b"DQoN\r\nCg0K\r\n")
    }),
    ("base64-single-octets", |size| {
        text(
            size,
            "plain; charset=utf-8",
            "base64",
            b"Y\r\nW\r\nF\r\nh\r\n",
        )
    }),
    ("qp-escapes", |size| {
        text(
            size,
            "plain; charset=utf-8",
            "quoted-printable",
            b"=C3=A4=C3=B6=C3=BC\r\n",
        )
    }),
    ("qp-soft-breaks", |size| {
        text(size, "plain; charset=utf-8", "quoted-printable", b"=\r\n")
    }),
    ("half-8bit", |size| {
        text(
            size,
            "plain; charset=iso-8859-1",
            "8bit",
            b"a\xe4b\xf6c\xfcd\xdf\r\n",
        )
    }),
    ("utf8-8bit", |size| {
        text(size, "plain; charset=utf-8", "8bit", "äöüß€\r\n".as_bytes())
    }),
    ("html-page", |size| {
        text(
            size,
            "html; charset=utf-8",
            "8bit",
            "<p class=a>Grüße <b>aus</b> Köln</p>\r\n".as_bytes(),
        )
    }),
    ("html-lines", |size| text(size, "html", "7bit", b"<br>\r\n")),
    ("html-angles", |size| text(size, "html", "7bit", b"<")),
    ("html-words", |size| text(size, "html", "7bit", b"<p>a")),
    ("html-entities", |size| {
        text(size, "html", "7bit", b"&amp;&#97;")
    }),
    ("html-one-word", |size| text(size, "html", "binary", b"a")),
    ("html-attributes", |size| {
        text(size, "html", "7bit", b"<p a b c d e f g h>\r\n")
    }),
    ("html-one-tag", |size| {
        numbered(size, "html", |number| format!("a{number} "), "<p ", ">")
    }),
    ("html-quotes", |size| {
        text(size, "html", "7bit", b"<blockquote>a")
    }),
    ("html-links", |size| {
        text(size, "html", "7bit", b"<a href=http://a.example>b</a>\r\n")
    }),
    ("html-one-link", |size| {
        bodied(
            size,
            "html",
            "7bit",
            b"<a href=http://a.example>",
            b"a b\r\n",
        )
    }),
    ("html-lists", |size| {
        text(size, "html", "7bit", b"<ul><li>a")
    }),
    ("html-comments", |size| {
        text(size, "html", "7bit", b"<!--a-->")
    }),
    ("html-almost-ours", |size| {
        text(
            size,
            "html",
            "7bit",
            b"<div class=mimicry-0123456789abcdef-0123456789abcdef>a b c</div>",
        )
    }),
    ("html-cid", |size| {
        text(size, "html\r\nContent-ID: <a>", "7bit", b"cid:a ")
    }),
];

/// Mails whose structure is the cost.
pub const TREES: &[(&str, Make)] = &[
    ("attachment", |size| attachment(size, "x.bin", noise())),
    ("attachment-of-text", |size| {
        attachment(size, "x.txt", noise().map(|octet| b'a' + octet % 16))
    }),
    ("many-attachments", |size| {
        let each = (size / 9_000).max(150);
        parts(9_000, each, |number| {
            format!(
                "Content-Type: application/x\r\nContent-Disposition: attachment; filename=f{number}\r\n"
            )
        })
    }),
    ("same-names", |size| {
        let each = (size / 9_000).max(150);
        parts(9_000, each, |_| {
            "Content-Type: application/x\r\nContent-Disposition: attachment; filename=f.txt\r\n"
                .into()
        })
    }),
    ("many-texts", |size| {
        let each = (size / 9_000).max(60);
        parts(9_000, each, |_| "Content-Type: text/plain\r\n".into())
    }),
    ("many-pages", |size| {
        let each = (size / 9_000).max(60);
        parts(9_000, each, |number| {
            format!("Content-Type: text/html\r\nContent-ID: <{number}>\r\n")
        })
    }),
    ("many-fields", |size| {
        let fields: String = (0..9_900)
            .map(|number| format!("X-{number}: {}\r\n", "y".repeat(80)))
            .collect();
        below_fields(fields.into_bytes(), size)
    }),
    ("many-signatures", |size| {
        let fields = b"DKIM-Signature: v=1; h=a:b:c; d=x; s=y; b=z\r\n".repeat(9_900);
        below_fields(fields, size)
    }),
];

/// Text of each of these charsets, and what of it costs most; every one is valid.
pub const CHARSETS: &[(&str, &[u8])] = &[
    ("us-ascii", b"abc\r\n"),
    ("iso-8859-1", b"\xe4\r\n\xf6\xfc\x80"),
    ("windows-1252", b"\x80\x80\x80\r\n"),
    ("windows-1251", b"\xe0\xe1\r\n"),
    ("koi8-r", b"\xc1\xc2\x80\r\n"),
    ("iso-8859-5", b"\xd0\xd1\r\n"),
    ("iso-8859-8-i", b"\xe0\xe1\r\n"),
    ("tis-620", b"\xa1\xa2\r\n"),
    ("windows-874", b"\xa1\xa2\x80\r\n"),
    ("utf-8", b"\xe2\x82\xac\r\n"),
    ("utf-7", b"+IKwgrA-\r\n"),
    ("utf-16le", b"\xac\x20\xac\x20\r\0\n\0"),
    ("utf-16be", b"\x20\xac\x20\xac\0\r\0\n"),
    ("gb2312", b"\xba\xba\xba\xba\r\n"),
    ("gbk", b"\x9dh\x9dh\r\n"),
    ("gb18030", b"\xba\xba\x81\x30\x81\x30\x90\x30\x81\x30\r\n"),
    ("big5", b"\xa4\xa4\xa4\xa4\r\n"),
    ("euc-jp", b"\xb4\xc1\xb4\xc1\r\n"),
    ("shift_jis", b"\xb1\xb1\x8a\xbf\r\n"),
    ("iso-2022-jp", b"\x1b$B4A4A\x1b(B\r\n"),
    ("euc-kr", b"\xb0\xa1\xb0\xa1\r\n"),
    ("windows-949", b"\x94\xee\x94\xee\r\n"),
];

/// Text of a charset as a body of text/`subtype`.
pub fn in_charset(size: usize, subtype: &str, charset: &str, piece: &[u8]) -> Vec<u8> {
    let coding = match charset {
        _ if charset.starts_with("utf-16") => "binary",
        "us-ascii" | "utf-7" | "iso-2022-jp" => "7bit",
        _ => "8bit",
    };
    text(
        size,
        &format!("{subtype}; charset={charset}"),
        coding,
        piece,
    )
}

/// The piece again and again, whole, as the body of text/`kind`.
pub fn text(size: usize, kind: &str, coding: &str, piece: &[u8]) -> Vec<u8> {
    bodied(size, kind, coding, b"", piece)
}

fn bodied(size: usize, kind: &str, coding: &str, start: &[u8], piece: &[u8]) -> Vec<u8> {
    let mut mail = format!(
        "From: Anna Berg <anna@example.org>\r\nTo: bo@example.com\r\nSubject: offer\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/{kind}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n"
    )
    .into_bytes();
    mail.reserve_exact(size.saturating_add(start.len() + piece.len()));
    mail.extend_from_slice(start);
    while mail.len() < size {
        mail.extend_from_slice(piece);
    }
    mail
}

fn numbered(
    size: usize,
    kind: &str,
    piece: fn(usize) -> String,
    start: &str,
    end: &str,
) -> Vec<u8> {
    let mut mail = bodied(0, kind, "binary", start.as_bytes(), b"");
    mail.reserve_exact(size + 64);
    for number in 0.. {
        if mail.len() >= size {
            break;
        }
        mail.extend_from_slice(piece(number).as_bytes());
    }
    mail.extend_from_slice(end.as_bytes());
    mail
}

/// As much text as asked for below fields, which do not count: with limits they stay as many as they are, so twice the mail would be
/// more than twice the text.
fn below_fields(fields: Vec<u8>, size: usize) -> Vec<u8> {
    let mut mail = fields;
    mail.extend(text(size, "plain", "7bit", b"a word or two\r\n"));
    mail
}

fn parts(count: usize, each: usize, header: impl Fn(usize) -> String) -> Vec<u8> {
    let mut mail = b"From: anna@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    mail.reserve_exact(count * (each + 120));
    for number in 0..count {
        let start = mail.len();
        mail.extend_from_slice(format!("--b\r\n{}\r\n", header(number)).as_bytes());
        while mail.len() < start + each {
            mail.extend_from_slice(b"aaaaaaaaaaaaaaa\r\n");
        }
    }
    mail.extend_from_slice(b"--b--\r\n");
    mail
}

fn attachment(size: usize, name: &str, content: impl Iterator<Item = u8>) -> Vec<u8> {
    use mimicry_core::message::codec::{Encoding, encode};
    let mut mail = format!(
        "From: anna@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n\
         Content-Type: application/octet-stream\r\nX-Filler: {}\r\nContent-Disposition: attachment; filename={name}\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n",
        "x".repeat(size / 200 % 90_000 + 2_000)
    )
    .into_bytes();
    let content: Vec<u8> = content.take(size / 78 * 57).collect();
    let coded = encode(Encoding::Base64, &content, b"\r\n");
    mail.reserve_exact(coded.len() + 16);
    mail.extend_from_slice(&coded);
    mail.extend_from_slice(b"--b--\r\n");
    mail
}

/// What does not compress.
fn noise() -> impl Iterator<Item = u8> {
    let mut state = 1u64;
    std::iter::from_fn(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Some((state >> 56) as u8)
    })
}

/// Rules of every plugin of the registry, in the notation of the tests: representative options.
pub const RULES: &[(&str, &str)] = &[
    ("ignore_mail", "ignore_mail"),
    (
        "keep",
        "keep | options.subtree = true | match.type = '.' ;; disclaim",
    ),
    ("disclaim", "disclaim"),
    ("disclaim top", "disclaim | options.place = \"top\""),
    (
        "disclaim reply",
        "disclaim | options.place = \"below-reply\"",
    ),
    ("disclaim once", "disclaim | options.once = \"per-mail\""),
    (
        "disclaim thread",
        "disclaim | options.once = \"per-thread\" | options.parts = \"all\"",
    ),
    (
        "disclaim twice",
        "disclaim ;; disclaim | options.place = \"top\"",
    ),
    ("zip", "zip | options.note = \"text\""),
    (
        "zip all",
        "zip | match.position = [\"attachment\", \"body\", \"inline\"] | options.level = 1",
    ),
    ("tar_gzip", "tar_gzip | options.placement = \"end\""),
    ("tar_bzip2", "tar_bzip2"),
    ("remove", "remove"),
    ("remove none", "remove | options.note = \"none\""),
    (
        "archive",
        "archive | options.dir = \"ARCHIVE\" | options.layout = \"mboxrd\"",
    ),
    (
        "archive parts",
        "archive | options.dir = \"ARCHIVE\" | options.what = \"parts\" | options.layout = \"files\" | match.position = [\"attachment\", \"body\"]",
    ),
    (
        "header",
        "header | options.delete = [\"X-*\"] | options.add = { \"X-A\" = \"b\" } | options.insert = { \"X-B\" = \"c\" } | options.replace = { \"X-C\" = \"d\" } | options.prefix_subject = \"[x]\"",
    ),
    (
        "header dkim",
        "header | options.delete = [\"DKIM-*\"] | options.force = true",
    ),
    (
        "strip",
        "header | on_dkim = \"strip\" | options.add = { \"X-A\" = \"b\" }",
    ),
    (
        "filters",
        "remove | match.\"header.x-1\" = 'y' | match.\"header.subject\" = 'offer' | match.filename = 'f'",
    ),
    (
        "banner outside",
        "banner | options.internal_clients = [] | options.text = \"From outside.\" | options.html = \"<p>From outside.</p>\" | options.subject_tag = \"[x]\" | options.header = \"X-External: yes\"",
    ),
    (
        "banner inside",
        "banner | options.own_domains = [\"example.org\"] | options.text = \"This mail is from outside.\" | options.html = \"<p>This mail is from outside.</p>\"",
    ),
    (
        "all",
        "header | options.add = { \"X-A\" = \"b\" } ;; disclaim ;; zip ;; banner | options.internal_clients = [] | options.text = \"From outside.\" | options.html = \"<p>From outside.</p>\"",
    ),
];
