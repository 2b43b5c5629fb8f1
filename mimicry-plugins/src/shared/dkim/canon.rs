//! Header fields and bodies in the form in which they are hashed (RFC 6376 section 3.4), whatever line ends the octets have.
//!
//! Must never: copy a body.

use memchr::{memchr, memchr2};

/// How a header or a body is brought into one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canon {
    Simple,
    Relaxed,
}

/// The octets of a field, with its last line end, in that form.
pub fn field(raw: &[u8], canon: Canon) -> Vec<u8> {
    match canon {
        Canon::Simple => {
            let mut out = Vec::with_capacity(raw.len().saturating_add(2));
            for line in lines(raw) {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
            out
        }
        Canon::Relaxed => relaxed_field(raw),
    }
}

/// RFC 6376 section 3.4.2.
fn relaxed_field(raw: &[u8]) -> Vec<u8> {
    let colon = memchr(b':', raw).unwrap_or(raw.len());
    let (name, value) = raw.split_at_checked(colon).unwrap_or((raw, b""));
    let mut out = Vec::with_capacity(raw.len());
    out.extend(name.trim_ascii().iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let start = out.len();
    let mut is_blank = false;
    for octet in value.get(1..).unwrap_or_default() {
        match octet {
            b' ' | b'\t' => is_blank = true,
            // Unfolded: what is left of a fold is the blank after it.
            b'\r' | b'\n' => {}
            _ => {
                if is_blank && out.len() > start {
                    out.push(b' ');
                }
                is_blank = false;
                out.push(*octet);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Hands `sink` the body in that form, piece by piece: at most `limit` octets of it (RFC 6376 section 3.5, tag l).
pub fn body(raw: &[u8], canon: Canon, limit: Option<usize>, sink: &mut dyn FnMut(&[u8])) {
    let mut left = limit;
    let mut put = |octets: &[u8]| {
        let octets = match &mut left {
            None => octets,
            Some(left) => {
                let some = octets.get(..*left).unwrap_or(octets);
                *left = left.saturating_sub(some.len());
                some
            }
        };
        sink(octets);
    };
    // Empty lines at the end do not count.
    let mut empty: usize = 0;
    let mut is_something = false;
    for line in lines(raw) {
        let line = match canon {
            Canon::Simple => line,
            Canon::Relaxed => trim_end(line),
        };
        if line.is_empty() {
            empty = empty.saturating_add(1);
            continue;
        }
        for _ in 0..std::mem::take(&mut empty) {
            put(b"\r\n");
        }
        is_something = true;
        match canon {
            Canon::Simple => put(line),
            Canon::Relaxed => relaxed_line(line, &mut put),
        }
        put(b"\r\n");
    }
    // Section 3.4.3: an empty body is one line end; section 3.4.4: it is nothing.
    if !is_something && canon == Canon::Simple {
        put(b"\r\n");
    }
}

/// Each run of blanks is one blank.
fn relaxed_line(line: &[u8], put: &mut dyn FnMut(&[u8])) {
    let mut from: usize = 0;
    let mut at: usize = 0;
    while let Some(blank) = memchr2(b' ', b'\t', line.get(at..).unwrap_or_default()) {
        let start = at.saturating_add(blank);
        let run = line.get(start..).unwrap_or_default();
        let length = run
            .iter()
            .take_while(|octet| matches!(octet, b' ' | b'\t'))
            .count();
        at = start.saturating_add(length);
        if length > 1 || run.first() == Some(&b'\t') {
            put(line.get(from..start).unwrap_or_default());
            put(b" ");
            from = at;
        }
    }
    put(line.get(from..).unwrap_or_default());
}

fn trim_end(line: &[u8]) -> &[u8] {
    let kept = line
        .iter()
        .rposition(|octet| !matches!(octet, b' ' | b'\t'))
        .map_or(0, |last| last.saturating_add(1));
    line.get(..kept).unwrap_or_default()
}

/// The lines without their ends, which may be LF alone; the last one may have none.
fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest);
        let (line, behind) = match end {
            Some(at) => (rest.get(..at)?, rest.get(at.saturating_add(1)..)?),
            None => (rest, &[][..]),
        };
        rest = behind;
        Some(match end {
            Some(_) => line.strip_suffix(b"\r").unwrap_or(line),
            None => line,
        })
    })
}
