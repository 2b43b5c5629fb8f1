//! Finds the next of a few octets, sixteen at a time and without a call.
//!
//! For the inner loops of scanners, whose stretches are some twenty octets long: there a call of memchr costs three times as much as
//! its search. For long stretches, memchr is twice as fast.
//!
//! Must never: find another place than a walk from octet to octet.

use wide::u8x16;

/// The first octet that is one of these.
#[inline]
pub fn first_of<const N: usize>(wanted: [u8; N], octets: &[u8]) -> Option<usize> {
    first(
        octets,
        |block| {
            let each = wanted
                .iter()
                .map(|octet| block.simd_eq(u8x16::splat(*octet)));
            each.fold(u8x16::ZERO, |all, of_one| all | of_one)
        },
        |octet| wanted.contains(&octet),
    )
}

/// The first octet for which `holds` is true, which it is for none from `@` on: what ends a name in a mail is below it.
#[inline]
pub fn first_sign(octets: &[u8], holds: impl Fn(u8) -> bool) -> Option<usize> {
    let mut before = 0usize;
    let mut rest = octets;
    loop {
        // Neither of the two highest bits is set.
        let is_sign = |block: u8x16| (block & u8x16::splat(0xc0)).simd_eq(u8x16::ZERO);
        let place = first(rest, is_sign, |octet| octet < b'@')?;
        let (_, behind) = rest.split_at_checked(place)?;
        let (sign, behind) = behind.split_first()?;
        let at = before.wrapping_add(place);
        if holds(*sign) {
            return Some(at);
        }
        before = at.wrapping_add(1);
        rest = behind;
    }
}

/// The first octet that is meant; of a block `all` makes the highest bit of each.
#[inline(always)]
fn first(
    octets: &[u8],
    all: impl Fn(u8x16) -> u8x16,
    is_meant: impl Fn(u8) -> bool,
) -> Option<usize> {
    let mut at = 0usize;
    let mut rest = octets;
    while let Some((block, behind)) = rest.split_first_chunk::<16>() {
        let meant = all(u8x16::new(*block)).to_bitmask();
        if meant != 0 {
            return Some(at.wrapping_add(meant.trailing_zeros() as usize));
        }
        at = at.wrapping_add(block.len());
        rest = behind;
    }
    let place = rest.iter().position(|octet| is_meant(*octet))?;
    Some(at.wrapping_add(place))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_same_as_octet_by_octet(
            octets in prop::collection::vec(prop::sample::select(b"ab<\"@?\x00\x01\x80\xbc\xff\n".to_vec()), 0..150),
        ) {
            for wanted in 0..=255u8 {
                prop_assert_eq!(first_of([wanted], &octets), octets.iter().position(|b| *b == wanted));
            }
            for wanted in [[b'<', b'"', b'x'], [b'\n', 0, 1], [0x80, 0xff, 0xbc], [b'x', b'y', b'z']] {
                prop_assert_eq!(first_of(wanted, &octets), octets.iter().position(|b| wanted.contains(b)));
            }
            for signs in [&b"<"[..], b"\n\x00", b"\"", b"?", b""] {
                let slow = octets.iter().position(|b| signs.contains(b));
                prop_assert_eq!(first_sign(&octets, |b| signs.contains(&b)), slow);
            }
        }
    }
}
