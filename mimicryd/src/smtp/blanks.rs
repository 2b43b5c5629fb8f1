//! Blanks and separators in a command line. A TAB is a blank too, as Postfix has it; nothing goes on to the next hop with one.
//!
//! Must never: take anything else for a blank.

pub fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

pub fn trim_blanks(octets: &[u8]) -> &[u8] {
    let blanks = octets.iter().take_while(|octet| is_blank(**octet)).count();
    octets.get(blanks..).unwrap_or_default()
}

pub fn trim_blanks_end(octets: &[u8]) -> &[u8] {
    let blanks = octets
        .iter()
        .rev()
        .take_while(|octet| is_blank(**octet))
        .count();
    octets
        .get(..octets.len().saturating_sub(blanks))
        .unwrap_or_default()
}

/// Each TAB made a blank.
pub fn without_tabs(octets: &[u8]) -> Vec<u8> {
    let blank = |octet: &u8| if *octet == b'\t' { b' ' } else { *octet };
    octets.iter().map(blank).collect()
}

/// What stands before the first of these, and what stands after it.
pub fn split_once(octets: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    split_at(octets, memchr::memchr(separator, octets)?)
}

/// What stands before the first blank, and what stands after it.
pub fn split_at_blank(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    split_at(octets, memchr::memchr2(b' ', b'\t', octets)?)
}

fn split_at(octets: &[u8], place: usize) -> Option<(&[u8], &[u8])> {
    let (before, after) = octets.split_at_checked(place)?;
    Some((before, after.get(1..)?))
}
