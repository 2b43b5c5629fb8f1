//! Which parts are signed or encrypted: their octets are the promise of somebody else.
//!
//! multipart/signed and multipart/encrypted (RFC 1847) with all below them, application/pkcs7-mime (RFC 8551), and
//! text that holds PGP armour (RFC 9580 section 6.2). Armour counts where a reader sees it: in HTML after tags and breaks, and not in a
//! comment, a tag, a script, a style, or another element whose inside is no text. If one variant of a text is sealed, all are.
//!
//! A document in an envelope that is attached ([`Part::is_sealed_document`]) is sealed itself and does not make the mail sealed.
//!
//! Must never: verify or decrypt. What looks sealed is sealed, also when the seal is broken.

use std::borrow::Cow;
use std::io;

use memchr::{memchr, memchr_iter, memmem};

use super::codec::{self, Encoding};
use super::header::fields;
use super::limits::Limits;
use super::params::Params;
use super::part::Part;
use super::tree::{Node, Seal};
use super::{charrefs, lenient};

#[cfg(test)]
mod tests;

/// Marks the sealed parts of a scanned message, children with their parents.
pub(super) fn mark(raw: &[u8], nodes: &mut [Node]) {
    for index in 0..nodes.len() {
        let Some(node) = nodes.get(index) else { break };
        let inherited = node
            .parent
            .and_then(|parent| nodes.get(parent.index()))
            .and_then(|parent| parent.seal);
        let seal = inherited.or_else(|| own_seal(raw, node));
        if let Some(node) = nodes.get_mut(index) {
            node.seal = seal;
        }
    }
    mark_variants(raw, nodes);
}

/// Where one variant of a text is sealed, the others say the same and are sealed with it.
fn mark_variants(raw: &[u8], nodes: &mut [Node]) {
    let is_text = |node: &Node| matches!(&*node.media_type, "text/plain" | "text/html");
    let is_attached = |node: &Node| says_attached(raw.get(node.header.clone()).unwrap_or_default());
    let mut index = 0usize;
    while let Some(node) = nodes.get(index) {
        let end = node.next.index();
        if &*node.media_type != "multipart/alternative" || node.seal.is_some() {
            index = index.saturating_add(1);
            continue;
        }
        let below = index.saturating_add(1)..end.min(nodes.len());
        let inside = nodes.get(below.clone()).unwrap_or_default();
        let armoured = inside.iter().find(|node| {
            is_text(node)
                && node.seal.is_some()
                && own_seal(raw, node).is_some()
                && !is_attached(node)
        });
        if let Some(seal) = armoured.and_then(|node| node.seal) {
            let others = nodes.get_mut(below).unwrap_or_default().iter_mut();
            for node in others.filter(|node| is_text(node) && node.seal.is_none()) {
                if !is_attached(node) {
                    node.seal = Some(seal);
                    node.sealed_by_variant = true;
                }
            }
        }
        index = end.max(index.saturating_add(1));
    }
}

fn says_attached(header: &[u8]) -> bool {
    fields(header)
        .find(|field| field.is("content-disposition"))
        .is_some_and(|field| {
            let word = field.value().trim_ascii_start().get(..10);
            word.is_some_and(|word| word.eq_ignore_ascii_case(b"attachment"))
        })
}

impl Part<'_> {
    /// Is it a document in an envelope of S/MIME (an invoice `*.p7m`) that is attached to the mail, and not the mail's content: it
    /// has a name of its own and stands beside other parts.
    pub fn is_sealed_document(self) -> bool {
        let is_envelope = matches!(
            self.media_type(),
            "application/pkcs7-mime" | "application/x-pkcs7-mime"
        );
        if !is_envelope || self.is_multipart() || !self.is_seal_root() || self.is_root() {
            return false;
        }
        let names = self.names();
        let is_alone = self.message().leaves().nth(1).is_none();
        !names.is_empty() && !is_alone && !names.any(|name| name.eq_ignore_ascii_case("smime.p7m"))
    }
}

fn own_seal(raw: &[u8], node: &Node) -> Option<Seal> {
    let header = raw.get(node.header.clone()).unwrap_or_default();
    match &*node.media_type {
        "multipart/signed" => Some(Seal::Signed),
        "multipart/encrypted" | "application/pgp-encrypted" => Some(Seal::Encrypted),
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => Some(smime_type(header)),
        "application/octet-stream" if is_smime_name(header) => Some(Seal::Encrypted),
        text @ ("text/plain" | "text/html") => {
            let body = raw.get(node.body.clone()).unwrap_or_default();
            armour(header, body, text == "text/html")
        }
        _ => None,
    }
}

/// RFC 8551 section 3.2.2; without a smime-type the file name says whether it is certificates or a signature.
fn smime_type(header: &[u8]) -> Seal {
    let kind = content_type_param(header, "smime-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    match kind.as_str() {
        "signed-data" | "certs-only" | "signed-receipt" => Seal::Signed,
        _ => Seal::Encrypted,
    }
}

/// Outlook and Exchange label S/MIME as application/octet-stream and leave the file name.
fn is_smime_name(header: &[u8]) -> bool {
    let named =
        |value: Option<String>| value.is_some_and(|name| name.eq_ignore_ascii_case("smime.p7m"));
    named(content_type_param(header, "name"))
        || fields(header)
            .find(|field| field.is("content-disposition"))
            .is_some_and(|field| {
                named(Params::parse(field.value(), Limits::default().params).get("filename"))
            })
}

fn content_type_param(header: &[u8], name: &str) -> Option<String> {
    let field = fields(header).find(|field| field.is("content-type"))?;
    Params::parse(field.value(), Limits::default().params).get(name)
}

/// PGP armour at the start of a line of a text, as a reader sees it. Keys are no seal.
fn armour(header: &[u8], body: &[u8], is_html: bool) -> Option<Seal> {
    let encoding = fields(header)
        .find(|field| field.is("content-transfer-encoding"))
        .map_or(Encoding::SevenBit, |field| Encoding::parse(field.value()));
    // A large text is decoded as a whole only if it has the words.
    let has_words = match encoding {
        Encoding::QuotedPrintable => may_say_pgp(body),
        Encoding::Base64 => base64_says(body, if is_html { b"PGP" } else { BEGIN }),
        _ => true,
    };
    if !has_words {
        return None;
    }
    let content = lenient::decode(encoding, body);
    let text = narrow(header, &content);
    if !is_html {
        return find_armour(&text, one_blank);
    }
    memmem::find(&text, b"PGP")?;
    find_armour(&charrefs::resolve(&seen(&text)), blanks)
}

/// Does base64, damaged or not, hold the words anywhere, in octets or in wide characters.
fn base64_says(body: &[u8], words: &'static [u8]) -> bool {
    let mut search = Search::of(words);
    if codec::decode_into(Encoding::Base64, body, &mut search).is_err() {
        search = Search::of(words);
        lenient::base64_in_pieces(body, &mut |piece| search.look_at(piece));
    }
    search.found
}

/// Looks for words in a text that comes in pieces. Keeps the end of the last piece only.
struct Search {
    words: &'static [u8],
    text: Vec<u8>,
    found: bool,
}

impl Search {
    fn of(words: &'static [u8]) -> Search {
        Search {
            words,
            text: Vec::new(),
            found: false,
        }
    }

    fn look_at(&mut self, piece: &[u8]) {
        // Of wide characters the half that is not zero.
        let letters = piece.iter().copied().filter(|octet| *octet != 0);
        self.text.extend(letters);
        self.found |= memmem::find(&self.text, self.words).is_some();
        let gone = self.text.len().saturating_sub(self.words.len());
        self.text.drain(..gone);
    }
}

impl io::Write for Search {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.look_at(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// May quoted-printable hold the letters PGP, plain, coded or parted by soft line breaks. Most texts do not, and are not decoded.
fn may_say_pgp(body: &[u8]) -> bool {
    let is_in_word = |p: usize| {
        let (before, after) = body.split_at_checked(p).unwrap_or((body, b""));
        let starts: [&[u8]; 6] = [b"PGP", b"P= ", b"P=\t", b"P=\r", b"P=\n", b"P=47"];
        starts.iter().any(|word| after.starts_with(word)) || before_soft_breaks(before) == b'G'
    };
    memchr_iter(b'P', body).any(is_in_word) || memmem::find(body, b"=50").is_some()
}

/// The last octet before the soft line breaks that these octets end with; zero where they end with none.
fn before_soft_breaks(octets: &[u8]) -> u8 {
    let mut rest = octets;
    while let Some(line) = rest.strip_suffix(b"\n")
        && let Some(text) = line.trim_ascii_end().strip_suffix(b"=")
    {
        rest = text;
    }
    match rest.last() {
        Some(last) if rest.len() < octets.len() => *last,
        _ => 0,
    }
}

/// UTF-16 and UTF-32 without their zero octets: what is ASCII in them can be read.
fn narrow<'a>(header: &[u8], content: &'a [u8]) -> Cow<'a, [u8]> {
    let is_marked = matches!(content, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
    let is_wide = || {
        let charset = content_type_param(header, "charset").unwrap_or_default();
        let charset = charset.trim().to_ascii_lowercase();
        [
            "utf-16",
            "utf-32",
            "utf16",
            "utf32",
            "ucs-2",
            "ucs-4",
            "iso-10646",
        ]
        .iter()
        .any(|wide| charset.starts_with(wide))
    };
    if memchr(0, content).is_none() || !(is_marked || is_wide()) {
        return Cow::Borrowed(content);
    }
    let narrow = content.iter().copied().filter(|octet| *octet != 0);
    Cow::Owned(narrow.collect())
}

const BEGIN: &[u8] = b"-----BEGIN PGP ";

/// Parts the words of armour: what follows it, `None` where it is not there.
type Gap = fn(&[u8]) -> Option<&[u8]>;

fn one_blank(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b" ")
}

/// As HTML shows one blank: Word breaks the lines of its source, and editors write no-break spaces.
fn blanks(text: &[u8]) -> Option<&[u8]> {
    let is_blank = |octet: &u8| octet.is_ascii_whitespace() || matches!(octet, 0xC2 | 0xA0);
    let start = text.iter().position(|octet| !is_blank(octet))?;
    (start > 0).then(|| text.get(start..))?
}

fn find_armour(text: &[u8], gap: Gap) -> Option<Seal> {
    memmem::find_iter(text, b"-----BEGIN").find_map(|at| armour_at(text, at, gap))
}

fn armour_at(text: &[u8], at: usize, gap: Gap) -> Option<Seal> {
    let word = |rest, word: &[u8]| gap(rest)?.strip_prefix(word);
    let rest = text.get(at..)?.strip_prefix(b"-----BEGIN")?;
    let rest = word(rest, b"PGP")?;
    let seal = if word(rest, b"MESSAGE").is_some() {
        Seal::Encrypted
    } else {
        word(word(rest, b"SIGNED")?, b"MESSAGE-----")?;
        Seal::Signed
    };
    // Blanks, no-break spaces and byte order marks are seen as nothing.
    let is_blank = |octet: &u8| {
        matches!(
            octet,
            b' ' | b'\t' | 0xA0 | 0xC2 | 0xEF | 0xBB | 0xBF | 0xFE | 0xFF
        )
    };
    let mut before = text.get(..at)?.iter().rev();
    let line_start = before
        .find(|octet| !is_blank(octet))
        .is_none_or(|octet| matches!(octet, b'\n' | b'\r'));
    line_start.then_some(seal)
}

/// HTML as lines of text: markup is passed over, and what begins a line on the screen begins one here. Linear in time.
pub(super) fn seen(html: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(html.len());
    let mut at = 0usize;
    while let Some(rest) = html.get(at..).filter(|rest| !rest.is_empty()) {
        let open = memchr(b'<', rest).unwrap_or(rest.len());
        text.extend_from_slice(rest.get(..open).unwrap_or_default());
        let open = at.saturating_add(open);
        if open >= html.len() {
            break;
        }
        let Some(end) = markup_end(html, open) else {
            break;
        };
        match end.saturating_sub(open) {
            1 => text.push(b'<'),
            _ if breaks_line(html.get(open..).unwrap_or_default()) => text.push(b'\n'),
            _ => {}
        }
        at = end;
    }
    text
}

/// Does the markup at the start of a text put what follows on a line of its own.
fn breaks_line(markup: &[u8]) -> bool {
    let name = markup.get(1..).unwrap_or_default();
    let name = name.strip_prefix(b"/").unwrap_or(name);
    if !name.first().is_some_and(u8::is_ascii_alphabetic) {
        return false;
    }
    let len = name
        .iter()
        .position(|octet| !octet.is_ascii_alphanumeric() && *octet != b':');
    let name = name.get(..len.unwrap_or(name.len())).unwrap_or_default();
    !name.contains(&b':') && !WITHIN_LINE.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Elements that stand within a line.
const WITHIN_LINE: &[&[u8]] = &[
    b"a", b"abbr", b"acronym", b"b", b"bdi", b"bdo", b"big", b"cite", b"code", b"del", b"dfn",
    b"em", b"font", b"i", b"ins", b"kbd", b"label", b"mark", b"nobr", b"q", b"s", b"samp",
    b"small", b"span", b"strike", b"strong", b"sub", b"sup", b"time", b"tt", b"u", b"var", b"wbr",
];

/// Where the markup ends that begins at this `<`; `None` = at the end of the text. A `<` that begins none ends behind itself.
fn markup_end(html: &[u8], open: usize) -> Option<usize> {
    let rest = html.get(open..)?;
    let after = |at: Option<usize>, len: usize| at?.checked_add(len)?.checked_add(open);
    if let Some(comment) = rest.strip_prefix(b"<!--") {
        // `<!-->` and `<!--->` are whole ones (HTML standard, section 13.2.5.43).
        for whole in [&b">"[..], b"->"] {
            if comment.starts_with(whole) {
                return after(Some(4), whole.len());
            }
        }
        let mut from = 4usize;
        loop {
            let dashes = memmem::find(rest.get(from..)?, b"--")?.checked_add(from)?;
            let behind = rest.get(dashes.checked_add(2)?..)?;
            if behind.starts_with(b">") {
                return after(Some(dashes), 3);
            }
            if behind.starts_with(b"!>") {
                return after(Some(dashes), 4);
            }
            from = dashes.checked_add(1)?;
        }
    }
    let name = rest.get(1..)?;
    match name.first() {
        Some(b'!' | b'?') => return after(memchr(b'>', rest), 1),
        Some(b'/') if name.get(1).is_some_and(u8::is_ascii_alphabetic) => {}
        Some(b'/') => return after(memchr(b'>', rest), 1),
        Some(first) if first.is_ascii_alphabetic() => {}
        _ => return open.checked_add(1),
    }
    let end = tag_end(html, open)?;
    let len = name.iter().position(|octet| !octet.is_ascii_alphanumeric());
    let name = name.get(..len.unwrap_or(name.len()))?;
    let is_raw = |raw: &&&[u8]| name.eq_ignore_ascii_case(raw);
    match RAW.iter().find(is_raw) {
        Some(raw) => raw_end(html, end, raw),
        None => Some(end),
    }
}

/// Elements whose inside is no markup, or is not shown.
const RAW: &[&[u8]] = &[
    b"script",
    b"style",
    b"title",
    b"textarea",
    b"template",
    b"iframe",
    b"noembed",
    b"noframes",
    b"xmp",
];

/// Behind the `>` of a tag; one in quotes ends nothing.
fn tag_end(html: &[u8], open: usize) -> Option<usize> {
    let mut quote = None;
    let mut before = b' ';
    for (index, octet) in html.get(open..)?.iter().enumerate() {
        match (quote, *octet) {
            (Some(open), octet) if open == octet => quote = None,
            (Some(_), _) => {}
            (None, b'>') => return open.checked_add(index)?.checked_add(1),
            // A quote begins a value only behind `=`.
            (None, octet @ (b'"' | b'\'')) if before == b'=' => quote = Some(octet),
            _ => {}
        }
        if !octet.is_ascii_whitespace() {
            before = *octet;
        }
    }
    None
}

fn raw_end(html: &[u8], from: usize, name: &[u8]) -> Option<usize> {
    let mut at = from;
    loop {
        let found = memmem::find(html.get(at..)?, b"</")?.checked_add(at)?;
        at = found.checked_add(2)?;
        let end = at.checked_add(name.len())?;
        if html
            .get(at..end)
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
        {
            return tag_end(html, found);
        }
    }
}
