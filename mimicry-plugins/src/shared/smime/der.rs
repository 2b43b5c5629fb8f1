//! What the openssl crate does not give: the elements of DER (X.690), and the extensions of certificates and of revocation lists.
//!
//! Must never: give a part of what it could not read to its end.

pub const BOOLEAN: u8 = 0x01;
pub const OCTET_STRING: u8 = 0x04;
pub const OBJECT_IDENTIFIER: u8 = 0x06;
pub const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`, the extensions of a list.
pub const OF_LIST: u8 = 0xa0;
/// `[3] EXPLICIT`, the extensions of a certificate.
pub const OF_CERTIFICATE: u8 = 0xa3;

/// One extension: its object identifier, whether it is critical, and what its value holds.
pub struct Extension<'d> {
    pub oid: &'d [u8],
    pub is_critical: bool,
    pub value: &'d [u8],
}

/// Those of a signed structure that has them under this tag. `None` = this is no DER of one.
pub fn extensions(der: &[u8], wanted: u8) -> Option<Vec<Extension<'_>>> {
    let (signed, _) = expect(der, SEQUENCE)?;
    let (fields, _) = expect(signed, SEQUENCE)?;
    let mut found = Vec::new();
    for (tag, content) in elements(fields)? {
        if tag != wanted {
            continue;
        }
        let (all, _) = expect(content, SEQUENCE)?;
        for (tag, each) in elements(all)? {
            let each = (tag == SEQUENCE).then(|| elements(each))??;
            let (oid, is_critical, value) = match *each.as_slice() {
                [(OBJECT_IDENTIFIER, oid), (OCTET_STRING, value)] => (oid, false, value),
                [
                    (OBJECT_IDENTIFIER, oid),
                    (BOOLEAN, is_critical),
                    (OCTET_STRING, value),
                ] => (oid, is_critical != [0], value),
                _ => return None,
            };
            found.push(Extension {
                oid,
                is_critical,
                value,
            });
        }
    }
    Some(found)
}

/// The content of the first element, which must bear this tag, and what follows it.
pub fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// The tags and contents of all.
pub fn elements(mut der: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (tag, content, rest) = element(der)?;
        found.push((tag, content));
        der = rest;
    }
    Some(found)
}

/// The tag and the content of the first element, and what follows it. Lengths without an end are no DER, and no tag that is looked for
/// has more than one octet.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        ..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let add =
                |sum: usize, octet: &u8| sum.checked_mul(0x100)?.checked_add(usize::from(*octet));
            (octets.iter().try_fold(0, add)?, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}
