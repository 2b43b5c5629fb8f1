//! Character references of HTML (`&amp;`, `&#64;`), as far as they are used for characters of addresses and of armour.
//!
//! Must never: be used for octets that leave, or take longer than linear time.
//!
//! Known limits: of the named references of HTML those for ASCII characters and the no-break space are known.

use std::borrow::Cow;

use memchr::memchr;

/// Longest reference that is looked for, without `&` and `;`.
const LONGEST: usize = 10;

/// The text with its character references resolved; what is no known reference stays.
pub(super) fn resolve(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr(b'&', text) else {
        return Cow::Borrowed(text);
    };
    let mut out = Vec::with_capacity(text.len());
    let mut at = first;
    out.extend_from_slice(text.get(..first).unwrap_or_default());
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let used = match reference(rest) {
            Some((c, used)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                used
            }
            None => {
                out.push(b'&');
                1
            }
        };
        at = at.saturating_add(used);
        let rest = text.get(at..).unwrap_or_default();
        let next = memchr(b'&', rest).unwrap_or(rest.len());
        out.extend_from_slice(rest.get(..next).unwrap_or_default());
        at = at.saturating_add(next);
    }
    Cow::Owned(out)
}

/// The reference at the start of a text that begins with `&`, and how many octets it has.
fn reference(text: &[u8]) -> Option<(char, usize)> {
    let name = text.get(1..)?;
    let len = name
        .iter()
        .take(LONGEST.saturating_add(1))
        .position(|octet| !octet.is_ascii_alphanumeric() && *octet != b'#')
        .unwrap_or(name.len().min(LONGEST.saturating_add(1)));
    let closed = name.get(len) == Some(&b';');
    let used = len.saturating_add(if closed { 2 } else { 1 });
    let name = std::str::from_utf8(name.get(..len)?).ok()?;
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return Some((char::from_u32(code.ok()?).filter(|c| *c != '\0')?, used));
    }
    let c = match name {
        "amp" | "AMP" => '&',
        "lt" | "LT" => '<',
        "gt" | "GT" => '>',
        "quot" | "QUOT" => '"',
        "apos" => '\'',
        "nbsp" => '\u{A0}',
        "commat" => '@',
        "colon" => ':',
        "period" => '.',
        "sol" => '/',
        "num" => '#',
        "percnt" => '%',
        "lowbar" => '_',
        "dollar" => '$',
        "plus" => '+',
        "equals" => '=',
        "hyphen" | "dash" => '-',
        _ => return None,
    };
    closed.then_some((c, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (text, resolved) in [
            ("a&amp;1", "a&1"),
            ("&#64;&#x40;&#X40;", "@@@"),
            ("&commat;&colon;", "@:"),
            ("a&1@b", "a&1@b"),
            ("&amp;amp;", "&amp;"),
            ("&&lt;&", "&<&"),
            ("&unknown;&#;&#0;", "&unknown;&#;&#0;"),
            ("&#64 b", "@ b"),
            ("&copy=1", "&copy=1"),
            ("no reference", "no reference"),
            ("&aaaaaaaaaaaaaaaaaaaaaa", "&aaaaaaaaaaaaaaaaaaaaaa"),
            ("&", "&"),
        ] {
            let found = resolve(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), resolved, "{text}");
        }
    }
}
