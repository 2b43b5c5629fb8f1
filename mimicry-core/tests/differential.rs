//! The whole tree beside that of another reader, mailparse: over the corpus the nesting, the types, the decoded leaves and the names
//! of files are the same, and every difference is listed with the reason why ours stays. corpus.rs does so with a second reader, t/interop/differential.sh with Python's.
//!
//! Must never: pass a difference that is not listed, or a row of the list that is no difference any more.

mod common;

use common::rows::{Row, ours};
use common::*;
use mailparse::ParsedMail;

fn theirs(part: &ParsedMail<'_>, depth: usize, rows: &mut Vec<Row>) {
    let media_type = part.ctype.mimetype.clone();
    let is_leaf = !media_type.starts_with("multipart/");
    let disposition = part.get_content_disposition();
    let names = [
        disposition.params.get("filename"),
        part.ctype.params.get("name"),
    ];
    rows.push(Row {
        depth,
        media_type,
        names: names.into_iter().flatten().cloned().collect(),
        content: is_leaf.then(|| part.get_body_raw().ok()).flatten(),
        is_leaf,
    });
    if !is_leaf {
        for child in &part.subparts {
            theirs(child, depth + 1, rows);
        }
    }
}

/// The first that differs, in one line. Of the names, ours may be more: each is one that some program saves the part under.
fn difference(raw: &[u8]) -> Option<String> {
    let message = scan(raw);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    ours(message.root(), &mut here);
    match mailparse::parse_mail(raw) {
        Ok(parsed) => theirs(&parsed, 1, &mut there),
        Err(_) => return Some("it is not read there".into()),
    }
    let row = |(index, (here, there)): (usize, (&Row, &Row))| {
        let what = if here.depth != there.depth {
            format!("depth {}, {} there", here.depth, there.depth)
        } else if here.media_type != there.media_type {
            format!("{}, {} there", here.media_type, there.media_type)
        } else if here.is_leaf != there.is_leaf {
            "a leaf, and none there".into()
        } else if here.content.is_none() && here.is_leaf && there.content.is_some() {
            "cannot be decoded, and is there".into()
        } else if here.content != there.content {
            "other content".into()
        } else {
            let name = there.names.iter().find(|name| !here.names.contains(name))?;
            format!("not the name {name:?}")
        };
        Some(format!("part {index}: {what}"))
    };
    let pairs = here.iter().zip(&there).enumerate();
    let counts = || {
        (here.len() != there.len()).then(|| format!("{} parts, {} there", here.len(), there.len()))
    };
    pairs.into_iter().find_map(row).or_else(counts)
}

/// Where mimicry and mailparse read a mail of the corpus differently, and why ours stays.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "broken-qp-bad-escapes",
        "part 0: cannot be decoded, and is there",
        "ours refuses to decode what is not in its coding, so that no edit rests on a guess",
    ),
    (
        "broken-qp-raw-8bit",
        "part 0: other content",
        "there, an octet above 127 is lost; ours keeps it, as mail programs show it",
    ),
    (
        "broken-uu-truncated",
        "part 0: cannot be decoded, and is there",
        "there, the coding is not known and the coded octets count as the content; ours says that it cannot decode",
    ),
    (
        "broken-yenc-bad-crc",
        "part 0: cannot be decoded, and is there",
        "there, the coding is not known and the coded octets count as the content; ours says that it cannot decode",
    ),
    (
        "cte-base64-comment",
        "part 0: other content",
        "there, a comment after the coding hides it (RFC 2045 section 6.1 allows it)",
    ),
    (
        "cte-base64-on-multipart",
        "part 0: a leaf, and none there",
        "a coded multipart is opaque to ours, because readers differ on whether they decode it; malformed",
    ),
    (
        "cte-base64-trailing-blank",
        "part 0: other content",
        "there, a blank after the word hides the coding",
    ),
    (
        "cte-folded-name",
        "part 0: other content",
        "there, a fold before the word hides the coding",
    ),
    (
        "cte-quoted-name",
        "part 0: cannot be decoded, and is there",
        "a quoted word is no coding (RFC 2045 section 6.1); there, it is passed over, and ours says that it cannot decode",
    ),
    (
        "cte-unknown",
        "part 0: cannot be decoded, and is there",
        "there, the coding is not known and the coded octets count as the content; ours says that it cannot decode",
    ),
    (
        "cte-x-uuencode",
        "part 2: cannot be decoded, and is there",
        "there, the coding is not known and the coded octets count as the content; ours says that it cannot decode",
    ),
    (
        "cte-x-yenc",
        "part 2: cannot be decoded, and is there",
        "there, the coding is not known and the coded octets count as the content; ours says that it cannot decode",
    ),
    (
        "demo-newsletter",
        "part 2: depth 3, 2 there",
        "there, a line that only begins with a delimiter is one: the boundary of the outer multipart is the beginning of the inner one's",
    ),
    (
        "header-no-blank-line-body-follows",
        "part 0: other content",
        "there, a line that is no field is skipped; here it ends the header, as in Postfix; malformed",
    ),
    (
        "name-behind-unfolded-line",
        "part 2: cannot be decoded, and is there",
        "there, a line that is no field is skipped; here it ends the header of the part, whose body then holds more than base64; malformed",
    ),
    (
        "name-control-characters-and-dates",
        "part 2: not the name \"tab\\there\\u{1b}[31m.csv\"",
        "ours replaces control characters as mail programs do: no file can have such a name",
    ),
    (
        "name-crlf-encoded",
        "part 2: not the name \"a.pdf\\r\\nBcc: evil@example.com\\r\\n\"",
        "ours replaces control characters as mail programs do: no file can have such a name",
    ),
    (
        "name-nul-encoded",
        "part 2: not the name \"report.pdf\\0.exe\"",
        "ours replaces control characters as mail programs do: no file can have such a name",
    ),
    (
        "name-nul-raw",
        "part 2: not the name \"a\\0b.pdf\"",
        "ours replaces control characters as mail programs do: no file can have such a name",
    ),
    (
        "name-rfc2047-cp932",
        "part 2: not the name \"=?cp932?B?kL+LgY+RLmV4ZQ==?=\"",
        "there, this charset of Windows is not known",
    ),
    (
        "name-rfc2047-unquoted",
        "part 2: not the name \"=?utf-8?Q?Gr=C3=B6=C3=9Fe=2Epdf?=\"",
        "there, an encoded word is read only in quotes; mail programs read it without, too",
    ),
    (
        "name-rfc2231-sections-cut-encoded-words",
        "part 2: not the name \"* 😁😁�=?UTF-8?Q?=9F=98=81=F0=9F=98=81=F0?= ���=F0���.js\"",
        "there, each section is decoded alone, and what stands in two is broken; ours has the forms that mail programs make of it",
    ),
    (
        "name-unterminated-quote",
        "part 2: not the name \"\\\"open.pdf\"",
        "there, a quote without an end is part of the name; mail programs leave it out",
    ),
    (
        "plain-comments-in-content-type",
        "part 0: text/plain, text/plain (the usual) there",
        "there, a comment is part of the type",
    ),
    (
        "related-cid-in-damaged-qp",
        "part 2: cannot be decoded, and is there",
        "ours refuses to decode what is not in its coding, so that no edit rests on a guess",
    ),
    (
        "smime-signed-below-mixed",
        "part 2: depth 3, 2 there",
        "there, a line that only begins with a delimiter is one: the boundary of the outer multipart is the beginning of the inner one's",
    ),
    (
        "structure-blank-before-colon",
        "part 0: multipart/mixed, text/plain there",
        "there, a blank before the colon makes another field of it; ours reads it as sendmail and mail programs do",
    ),
    (
        "structure-boundary-after-broken-parameter",
        "2 parts, 1 there",
        "there, a quote without an end hides all that follows; ours goes on at the next parameter, and the mail is malformed",
    ),
    (
        "structure-boundary-behind-comments",
        "part 0: multipart/mixed, multipart/mixed ((c) nested \"quoted; boundary=no\") there",
        "there, a comment is part of the type",
    ),
    (
        "structure-boundary-empty",
        "part 0: a leaf, and none there",
        "a boundary has an octet at least (RFC 2046 section 5.1.1), so ours is opaque; malformed",
    ),
    (
        "structure-boundary-in-encoded-word",
        "part 1: text/plain, text/html there",
        "there, the boundary is decoded as an encoded word, which RFC 2047 section 5 forbids; malformed",
    ),
    (
        "structure-boundary-inside-base64",
        "part 2: cannot be decoded, and is there",
        "there, a line that only starts as the delimiter is one; ours keeps it in the part, which then is no base64; malformed",
    ),
    (
        "structure-boundary-plus-dashes",
        "4 parts, 2 there",
        "there, the delimiter of the inner multipart is taken for the end of the outer one; ours asks the innermost first",
    ),
    (
        "structure-boundary-reused-nested",
        "part 2: depth 3, 2 there",
        "two multiparts with one boundary: ours gives a delimiter to the innermost; malformed",
    ),
    (
        "structure-boundary-rfc2231-beside-plain",
        "part 1: text/html, text/plain there",
        "two boundaries: here the starred one; malformed",
    ),
    (
        "structure-boundary-trailing-blank",
        "part 1: other content",
        "a boundary does not end with a blank (RFC 2046 section 5.1.1); malformed",
    ),
    (
        "structure-boundary-twice",
        "part 1: text/plain, text/html there",
        "there, the last of several parameters counts; here the first; malformed",
    ),
    (
        "structure-content-type-empty",
        "part 0: text/plain,  there",
        "what cannot be read is text/plain (RFC 2045 section 5.2); malformed",
    ),
    (
        "structure-content-type-garbage",
        "part 0: text/plain, text/plain, charset=utf-8 there",
        "what cannot be read is text/plain (RFC 2045 section 5.2); malformed",
    ),
    (
        "structure-content-type-space-in-type",
        "part 0: multipart/mixed, multipart / mixed there",
        "there, blanks around the slash are part of the type; mail programs pass over them",
    ),
    (
        "structure-content-type-without-slash",
        "part 0: text/plain, text there",
        "what cannot be read is text/plain (RFC 2045 section 5.2); malformed",
    ),
    (
        "structure-lone-cr",
        "it is not read there",
        "there, a lone CR is the end of the reading; ours reads on, because the mail must be judged; malformed",
    ),
    (
        "structure-near-boundary-lines",
        "it is not read there",
        "there, a line that only starts as the delimiter is one, and what follows is no header; malformed",
    ),
    (
        "structure-no-boundary-parameter",
        "part 0: a leaf, and none there",
        "without a boundary there are no parts, so ours is opaque; malformed",
    ),
    (
        "structure-no-header-no-blank",
        "part 0: other content",
        "there, all of it counts as the header; ours shows it as text, as mail programs do; malformed",
    ),
    (
        "structure-part-header-without-colon",
        "part 1: text/plain, text/html there",
        "there, a line that is no field is skipped; malformed",
    ),
    (
        "structure-part-starts-with-blank",
        "it is not read there",
        "there, a header that begins with a blank is the end of the reading; ours reads on; malformed",
    ),
    (
        "structure-prefix-boundary",
        "part 2: depth 3, 2 there",
        "there, a line that only begins with a delimiter is one: the boundary of the outer multipart is the beginning of the inner one's",
    ),
    (
        "structure-zero-parts",
        "1 parts, 2 there",
        "there, what follows the closing delimiter is a part; ours has none where none begins",
    ),
];

// T174
#[test]
fn every_difference_to_mailparse_is_listed() {
    differences::are_listed(difference, DIFFERENCES);
}

/// Where the reason says so, the mail is known to be one that readers understand differently.
#[test]
fn differences_are_known_to_be_malformed() {
    for (name, _, reason) in DIFFERENCES {
        let is_said = reason.ends_with("malformed");
        assert!(
            !is_said || scan(&corpus_mail(name)).malformed(),
            "{name}: {reason}"
        );
    }
}
