//! The name under which a program saves a file, from the name that it read.
//!
//! Programs and file systems drop what cannot be seen, cut at a NUL or a colon, take trailing dots and blanks away, and
//! keep the last element of a path. The result is the name by which the file is opened, so a pattern must see it.
//!
//! Must never: hand out a safe name; the forms are for judging only.

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The text of a reading, then the name as it would be saved, then what other programs make of it; each once.
pub(super) fn forms(raw: &str, line: &str) -> Vec<String> {
    let mut forms = vec![line.to_string()];
    if raw == line
        && line.bytes().all(|octet| {
            octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-' | b' ')
        })
        && line.ends_with(|last: char| last.is_ascii_alphanumeric())
        && !line.starts_with(' ')
    {
        return forms;
    }
    let decoded = percent_decoded(raw);
    for text in std::iter::once(raw).chain(decoded.as_deref()) {
        // A C string ends at NUL, a line at its end.
        let cut = text.split(['\0', '\r', '\n']).next().unwrap_or_default();
        for text in [text, cut] {
            let clean = clean(text);
            push(&mut forms, bare(&clean));
            let compatible: String = clean.nfkc().collect();
            for name in [&clean, &compatible] {
                let name = last_element(name);
                push(&mut forms, bare(name));
                push(&mut forms, bare(without_stream(name)));
            }
        }
    }
    forms
}

fn push(forms: &mut Vec<String>, name: &str) {
    if !name.is_empty() && !forms.iter().any(|known| known == name) {
        forms.push(name.to_string());
    }
}

/// Composed, and without the characters that nobody sees.
fn clean(text: &str) -> String {
    let visible = |c: &char| !is_invisible(*c);
    if is_nfc(text) {
        return text.chars().filter(visible).collect();
    }
    text.chars().filter(visible).nfc().collect()
}

/// Without the blanks, dots and quotes around it.
fn bare(name: &str) -> &str {
    let is_quote = |c: char| {
        matches!(
            c,
            '"' | '\'' | '`' | '<' | '>' | '\u{2018}'
                ..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2039}' | '\u{203a}'
        )
    };
    let trail = |c: char| {
        c.is_whitespace() || matches!(c, '.' | ',' | '\u{2800}' | '\u{fffd}') || is_quote(c)
    };
    name.trim_start_matches(|c: char| c.is_whitespace() || is_quote(c))
        .trim_end_matches(trail)
}

/// What stands after the last separator that is followed by a name.
fn last_element(path: &str) -> &str {
    let path = path.trim_end_matches(|c: char| matches!(c, '/' | '\\' | '.') || c.is_whitespace());
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

/// `name.exe` of `name.exe::$DATA`, which Windows takes for a stream of that file.
fn without_stream(name: &str) -> &str {
    let rest = match name.split_once(':') {
        Some((drive, rest)) if drive.chars().count() == 1 => rest,
        _ => name,
    };
    match rest.split_once(':') {
        Some((file, _)) if !file.is_empty() => file,
        _ => rest,
    }
}

/// `None` = there is no escape in it.
fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    crate::message::params::percent_decode(text.as_bytes(), &mut octets);
    (octets.len() != text.len()).then(|| String::from_utf8_lossy(&octets).into_owned())
}

/// Controls but the blanks among them, format characters, and what Unicode calls default ignorable.
fn is_invisible(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c,
            '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
        || (u32::from(c) & 0xFFFE) == 0xFFFE
}
