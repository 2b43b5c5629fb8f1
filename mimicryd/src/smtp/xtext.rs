//! xtext (RFC 3461 section 4), as it comes in parameters and in XFORWARD.
//!
//! Must never: give out a control octet.

/// What it stands for; `None` if it is none, or stands for a control octet. Digits are taken in either case.
pub fn xtext(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'+' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let number = data_encoding::HEXUPPER_PERMISSIVE.decode(digits).ok()?;
                let [number @ (b' '..=b'~' | 0x80..)] = number.as_slice() else {
                    return None;
                };
                out.push(*number);
                rest = after;
            }
            b'=' => return None,
            octet if octet.is_ascii_graphic() => out.push(*octet),
            _ => return None,
        }
    }
    Some(out)
}
