//! The tree and the decoded bodies beside those of another reader, mail-parser: over the corpus every difference is
//! listed with its reason; over generated mails of sound framing there is none.

mod common;

use common::*;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use mimicry_core::message::codec::Encoding;
use mimicry_core::message::text::TextBody;
use mimicry_core::message::{Message, Part};
use proptest::prelude::*;

/// A leaf: its type, and its content as text or octets; `None` = it cannot be compared.
#[derive(Debug, PartialEq)]
struct Leaf {
    media_type: String,
    content: Option<Vec<u8>>,
}

fn ours(message: &Message) -> Vec<Leaf> {
    let content = |part: Part<'_>| {
        if part.media_type() == "message/rfc822"
            || part.is_opaque()
            || part.encoding() == Encoding::Unknown
        {
            return None;
        }
        let decoded = part.decoded().ok()?;
        if !part.media_type().starts_with("text/") {
            return Some(decoded.into_owned());
        }
        let charset = part.charset();
        let text = TextBody::read(
            part.body(),
            charset.as_deref().map(str::as_bytes),
            part.encoding(),
            b"\r\n",
        )
        .ok()?;
        Some(text.text().as_bytes().to_vec())
    };
    message
        .leaves()
        .map(|part| Leaf {
            media_type: part.media_type().into(),
            content: content(part),
        })
        .collect()
}

fn theirs(raw: &[u8]) -> Vec<Leaf> {
    let Some(message) = MessageParser::default().parse(raw) else {
        return vec![];
    };
    let leaves = message
        .parts
        .iter()
        .filter(|part| !matches!(part.body, PartType::Multipart(_)));
    leaves
        .map(|part| {
            let declared = part
                .content_type()
                .map(|found| format!("{}/{}", found.ctype(), found.subtype().unwrap_or_default()));
            let media_type = match (&part.body, declared) {
                (_, Some(declared)) => declared.to_ascii_lowercase(),
                (PartType::Message(_), None) => "message/rfc822".into(),
                _ => "text/plain".into(),
            };
            let content =
                (!matches!(part.body, PartType::Message(_))).then(|| part.contents().to_vec());
            Leaf {
                media_type,
                content,
            }
        })
        .collect()
}

/// What differs, in one line.
fn difference(raw: &[u8]) -> Option<String> {
    let message = scan(raw);
    let (ours, theirs) = (ours(&message), theirs(raw));
    if ours.len() != theirs.len() {
        return Some(format!("{} leaves, {} there", ours.len(), theirs.len()));
    }
    ours.iter()
        .zip(&theirs)
        .enumerate()
        .find_map(|(index, (ours, theirs))| {
            if ours.media_type != theirs.media_type {
                return Some(format!(
                    "leaf {index}: {}, {} there",
                    ours.media_type, theirs.media_type
                ));
            }
            (ours.content.as_ref()? != theirs.content.as_ref()?)
                .then(|| format!("leaf {index}: other content"))
        })
}

/// Where mimicry and mail-parser read a mail of the corpus differently, and why ours stays.
const DIFFERENCES: [(&str, &str, &str); 27] = [
    (
        "charset-utf-16le-bom-base64",
        "leaf 0: other content",
        "the byte order mark is kept, because an edit must keep it",
    ),
    (
        "charset-utf-7",
        "leaf 0: other content",
        "there, `+-` is not read as the plus sign (RFC 2152)",
    ),
    (
        "cte-base64-comment",
        "leaf 0: other content",
        "there, a comment behind the coding hides it (RFC 2045 section 6.1 allows it)",
    ),
    (
        "cte-twice-differing",
        "leaf 0: other content",
        "there, the last of several fields counts; here the first, and the mail is malformed",
    ),
    (
        "header-no-blank-line-body-follows",
        "leaf 0: other content",
        "there, a line that is no field is skipped; here it ends the header, as in Postfix; malformed",
    ),
    (
        "structure-boundary-behind-comments",
        "leaf 0: text/plain, multipart/mixed there",
        "there, nested comments hide the boundary",
    ),
    (
        "structure-boundary-in-encoded-word",
        "leaf 0: text/plain, text/html there",
        "there, the boundary is decoded as an encoded word, which RFC 2047 section 5 forbids",
    ),
    (
        "structure-boundary-inside-base64",
        "2 leaves, 3 there",
        "there, a line that only starts as the delimiter is one",
    ),
    (
        "structure-boundary-rfc2231-beside-plain",
        "leaf 0: text/html, text/plain there",
        "two boundaries: here the starred one, and the mail is malformed",
    ),
    (
        "structure-boundary-trailing-blank",
        "2 leaves, 1 there",
        "RFC 2046 section 5.1.1: a boundary does not end with a blank",
    ),
    (
        "structure-content-type-garbage",
        "leaf 0: text/plain, text/plain, charset=utf-8 there",
        "RFC 2045 section 5.2: what cannot be read is text/plain; malformed",
    ),
    (
        "structure-content-type-twice",
        "leaf 0: text/plain, text/html there",
        "there, the last of several fields counts; malformed",
    ),
    (
        "structure-content-type-twice-in-part",
        "leaf 0: text/plain, application/x-msdownload there",
        "likewise",
    ),
    (
        "structure-content-type-without-slash",
        "leaf 0: text/plain, text/ there",
        "RFC 2045 section 5.2; malformed",
    ),
    (
        "structure-empty-message",
        "1 leaves, 0 there",
        "there, nothing is no mail",
    ),
    (
        "structure-inner-boundary-never-closed",
        "3 leaves, 2 there",
        "there, the outer delimiter does not end an inner multipart; malformed",
    ),
    (
        "structure-lone-cr",
        "leaf 1: text/plain, text/html there",
        "there, a lone CR ends a line; malformed",
    ),
    (
        "structure-multipart-empty-body",
        "0 leaves, 1 there",
        "there, a multipart without parts is a leaf; malformed",
    ),
    (
        "structure-multipart-preamble-only",
        "0 leaves, 1 there",
        "likewise",
    ),
    (
        "structure-near-boundary-lines",
        "2 leaves, 4 there",
        "there, a line that only starts as the delimiter is one",
    ),
    (
        "structure-no-header-no-blank",
        "1 leaves, 0 there",
        "there, nothing but text is no mail",
    ),
    (
        "structure-outer-close-inside-inner",
        "1 leaves, 2 there",
        "there, an inner multipart goes on behind the close of the outer one; malformed",
    ),
    (
        "structure-part-empty",
        "3 leaves, 2 there",
        "there, a delimiter right upon a delimiter is passed over",
    ),
    (
        "structure-part-header-without-colon",
        "leaf 0: text/plain, text/html there",
        "there, a line that is no field is skipped; malformed",
    ),
    (
        "structure-part-starts-with-blank",
        "leaf 0: text/plain, text/html there",
        "likewise; malformed",
    ),
    (
        "structure-part-without-blank-line",
        "2 leaves, 1 there",
        "there, a delimiter does not end a header block",
    ),
    (
        "structure-rfc822-boundary-of-parent-inside",
        "3 leaves, 2 there",
        "there, the delimiter of the outer multipart does not end a message within it",
    ),
];

#[test]
fn corpus_as_another_reader_sees_it() {
    differences::are_listed(difference, &DIFFERENCES);
}

/// Mails of the corpus whose names programs read differently, or cannot read to the end; no other has such a name.
const UNSURE_NAMES: &[&str] = &[
    "name-crlf-encoded",
    "name-filename-twice",
    "name-name-and-filename-differ",
    "name-nul-encoded",
    "name-path-traversal",
    "name-path-traversal-windows",
    "name-quote-brings-second-parameter",
    "name-quoted-pairs-and-backslash",
    "name-quotes-within-quotes",
    "name-reserved-con",
    "name-rfc2231-broken-beside-plain",
    "name-rfc2231-continuations-disordered",
    "name-rfc2231-differs-from-plain",
    "name-rfc2231-extension-in-second-section",
    "name-rfc2231-unknown-charset",
    "name-two-disposition-fields",
];

// T179
#[test]
fn names_of_the_corpus() {
    let is_unsure = |raw: &[u8]| {
        scan(raw).parts().any(|part| {
            let names = part.names();
            names.differ() || names.unread().is_some()
        })
    };
    let found: Vec<String> = corpus()
        .into_iter()
        .filter(|(_, raw)| is_unsure(raw))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(found, UNSURE_NAMES);
}

/// Mails of the corpus in which other programs may find other parts: all were made to be read differently.
const IN_DOUBT: &[&str] = &[
    "cte-base64-declared-on-plain-multipart",
    "cte-base64-on-multipart",
    "cte-qp-declared-on-multipart",
    "cte-qp-on-multipart",
    "name-behind-unfolded-line",
    "structure-boundary-after-broken-parameter",
    "structure-boundary-empty",
    "structure-boundary-in-encoded-word",
    "structure-boundary-inside-base64",
    "structure-boundary-rfc2231-beside-plain",
    "structure-boundary-trailing-blank",
    "structure-boundary-twice",
    "structure-content-type-twice",
    "structure-cr-only",
    "structure-lone-cr",
    "structure-near-boundary-lines",
    "structure-no-boundary-parameter",
    "structure-outer-close-inside-inner",
    "structure-part-header-without-colon",
    "structure-part-starts-with-blank",
    "structure-text-after-close",
];

// T179
#[test]
fn doubts_of_the_corpus() {
    let is_in_doubt = |raw: &[u8]| scan(raw).parts().any(|part| part.doubt().is_some());
    let found: Vec<String> = corpus()
        .into_iter()
        .filter(|(_, raw)| is_in_doubt(raw))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(found, IN_DOUBT);
}

/// Where the reason says so, the mail is known to be one that readers understand differently.
#[test]
fn differences_are_known_to_be_malformed() {
    for (name, _, reason) in DIFFERENCES
        .iter()
        .filter(|(_, _, reason)| reason.ends_with("malformed"))
    {
        assert!(scan(&corpus_mail(name)).malformed(), "{name}: {reason}");
    }
}

/// Is the framing such that two readers have no choice.
fn is_sound(message: &Message) -> bool {
    let count = |what: &[u8]| {
        message
            .raw()
            .windows(what.len())
            .filter(|window| *window == what)
            .count()
    };
    let one_kind_of_lines =
        count(b"\r") == count(b"\r\n") && (count(b"\r") == 0 || count(b"\n") == count(b"\r"));
    let boundaries: Vec<Vec<u8>> = message
        .parts()
        .filter(|part| part.is_multipart())
        .map(boundary)
        .collect();
    let told_apart = boundaries.iter().enumerate().all(|(index, a)| {
        boundaries
            .iter()
            .enumerate()
            .all(|(other, b)| index == other || !b.starts_with(a))
            && a.iter().all(|octet| octet.is_ascii_alphanumeric())
    });
    let complete = message.parts().all(|part| {
        let between = range_in(message, part.body()).start - range_in(message, part.header()).end;
        between > 0
            && (part.is_multipart() || !part.body().trim_ascii().is_empty())
            && (!part.is_multipart() || part.children().next().is_some())
    });
    let near = message.leaves().any(|leaf| {
        leaf.body().starts_with(b"--") || leaf.body().windows(3).any(|window| window == b"\n--")
    });
    // mail-parser keeps blanks at the end of a quoted-printable line that the end of the body ends (RFC 2045
    // section 6.7 (3) has them deleted).
    let padded = message.leaves().any(|leaf| {
        leaf.encoding() == Encoding::QuotedPrintable && matches!(leaf.body(), [.., b' ' | b'\t'])
    });
    !message.malformed() && one_kind_of_lines && told_apart && complete && !near && !padded
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600),
        max_global_rejects: 1_000_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sound_mails_as_another_reader_sees_them(raw in mail()) {
        prop_assume!(is_sound(&scan(&raw)));
        prop_assert_eq!(difference(&raw), None, "{}", raw.escape_ascii());
    }
}
