//! Changes one parameter of a structured field value, and writes new ones.
//!
//! Must never: change an octet outside the parameter it was asked to change.

use std::ops::Range;

use super::super::words;
use super::value::{MAX_SECTIONS, Params, attribute_char, blank, token_char};

/// Columns of a line that we write.
pub(super) const LINE_MAX: usize = 76;

/// `value` with the parameter `name` set to `new`, every other octet as it was. Certain only for a value whose main value
/// can be read ([`Params::value`]).
///
/// A parameter that is there keeps its place and its quotes; its RFC 2231 sections and its duplicates
/// collapse into one. A new one is added at the end, or after the last sound parameter where an open
/// quote or comment would swallow it. `new` is quoted where needed and written by RFC 2231 where it is not
/// ASCII; CR, LF and NUL in it become blanks.
pub fn set(value: &[u8], name: &str, new: &str) -> Vec<u8> {
    let parsed = Params::parse(value, usize::MAX);
    let new = new.replace(['\r', '\n', '\0'], " ");
    let mut out = Vec::with_capacity(value.len() + name.len() + new.len() + 8);
    let slice = |range: Range<usize>| value.get(range).unwrap_or_default();

    let place = parsed
        .named(name)
        .next()
        .filter(|p| !parsed.unterminated || p.piece.end <= parsed.sound_end);
    let (at, attr, quote) = match place {
        Some(first) => {
            out.extend_from_slice(slice(0..first.attr.start));
            let attr = slice(first.attr.start..first.attr.start + first.base);
            (first.piece.end, attr, first.quoted)
        }
        None => {
            let at = if parsed.unterminated {
                parsed.sound_end
            } else {
                // Only what the grammar calls blank: a form feed would become a part of our value.
                value
                    .iter()
                    .rposition(|octet| !blank(*octet))
                    .map_or(0, |last| last.saturating_add(1))
            };
            out.extend_from_slice(slice(0..at));
            let semicolon = parsed.open_semicolon && !parsed.unterminated;
            out.extend_from_slice(if semicolon { b" " } else { b"; " });
            (at, name.as_bytes(), parsed.unterminated)
        }
    };
    push_param(&mut out, attr, &new, quote);
    // Junk behind the value, or behind a second one that goes, would become a part of ours unless something ends it. An
    // RFC 2231 value takes even a comment in.
    let ends = |at: usize| {
        let behind = slice(at..value.len()).iter().find(|octet| !blank(**octet));
        matches!(behind, None | Some(b';')) || (new.is_ascii() && behind == Some(&b'('))
    };
    if !ends(at) {
        out.push(b';');
    }
    let mut done = at;
    for other in parsed.named(name).filter(|p| p.piece.start >= at) {
        out.extend_from_slice(slice(done..other.piece.start));
        done = other.piece.end;
        if !ends(done) {
            out.push(b';');
        }
    }
    out.extend_from_slice(slice(done..value.len()));
    out
}

/// `attr="…"` in ASCII and, where that is not the whole truth, RFC 2231 sections below it: each with
/// its semicolon and fold (CRLF) before it, on a line of its own of at most 76 columns.
///
/// To be written directly after `attachment`. CR, LF and NUL become blanks; what does not fit in 64
/// sections (about 3 000 octets) is cut.
pub fn encode_filename_params(attr: &str, name: &str) -> String {
    let name = name.replace(['\r', '\n', '\0'], " ");
    let exact = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '"' && c != '\\';
    let room = LINE_MAX.saturating_sub(attr.len() + 5); // a blank, `=""`, a semicolon
    let mut fallback: String = name
        .chars()
        .map(|c| if exact(c) { c } else { '_' })
        .collect();
    // RFC 2047 words in a fallback would be decoded by some readers and not by others.
    fallback = fallback.replace("=?", "__");
    if fallback.len() > room {
        let extension = fallback
            .rfind('.')
            .filter(|dot| fallback.len() - dot <= 12)
            .unwrap_or(fallback.len());
        let (stem, extension) = fallback
            .split_at_checked(extension)
            .unwrap_or((&fallback, ""));
        let stem = stem
            .get(..room.saturating_sub(extension.len()))
            .unwrap_or(stem);
        fallback = format!("{stem}{extension}");
    }
    let mut out = format!(";\r\n {attr}=\"{fallback}\"");
    if fallback == name {
        return out;
    }

    let mut section = format!("{attr}*0*=utf-8''");
    let mut number = 0;
    for c in name.chars() {
        let mut coded = String::new();
        for b in c.encode_utf8(&mut [0; 4]).bytes() {
            if attribute_char(b) {
                coded.push(char::from(b));
            } else {
                words::push_hex(&mut coded, '%', b);
            }
        }
        // A blank before and a semicolon after the section.
        if section.len() + coded.len() + 2 > LINE_MAX {
            if number + 1 == MAX_SECTIONS {
                break;
            }
            number += 1;
            push_section(&mut out, &section);
            section = format!("{attr}*{number}*=");
        }
        section.push_str(&coded);
    }
    if number == 0 {
        section = section.replacen("*0*=", "*=", 1);
    }
    push_section(&mut out, &section);
    out
}

fn push_section(out: &mut String, section: &str) {
    out.push_str(";\r\n ");
    out.push_str(section);
}

fn push_param(out: &mut Vec<u8>, attr: &[u8], new: &str, quote: bool) {
    out.extend_from_slice(attr);
    if !new.is_ascii() {
        let mut coded = String::from("*=utf-8''");
        for b in new.bytes() {
            if attribute_char(b) {
                coded.push(char::from(b));
            } else {
                words::push_hex(&mut coded, '%', b);
            }
        }
        out.extend_from_slice(coded.as_bytes());
        return;
    }
    out.push(b'=');
    if !quote && !new.is_empty() && new.bytes().all(token_char) {
        out.extend_from_slice(new.as_bytes());
        return;
    }
    out.push(b'"');
    for b in new.bytes() {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}
