//! Blanks and separators in a command line.
//!
//! Must never: take a TAB for a blank.

pub fn trim_blanks(octets: &[u8]) -> &[u8] {
    let blanks = octets.iter().take_while(|octet| **octet == b' ').count();
    octets.get(blanks..).unwrap_or_default()
}

pub fn trim_blanks_end(octets: &[u8]) -> &[u8] {
    let blanks = octets
        .iter()
        .rev()
        .take_while(|octet| **octet == b' ')
        .count();
    octets
        .get(..octets.len().saturating_sub(blanks))
        .unwrap_or_default()
}

/// What stands before the first of these, and what stands after it.
pub fn split_once(octets: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, after) = octets.split_at_checked(memchr::memchr(separator, octets)?)?;
    Some((before, after.get(1..)?))
}
