//! A CR without its LF and an LF without its CR: octets that no client of SMTP may send (RFC 5321 section 2.3.8).
//!
//! One server ends a line at a lone LF, another at a lone CR, a third at neither. If two servers differ, one sees text
//! where the other sees the end of the mail and a second envelope.
//!
//! Must never: be slower for some octets than for others. It looks at all of them.

/// Octets that are looked at before it is asked whether one was lone.
const CHUNK: usize = 4096;

/// The place of the first CR that no LF follows, or LF that no CR precedes. `None` = each line ends in CRLF, but for the last, which
/// may have no end.
pub fn lone(octets: &[u8]) -> Option<usize> {
    let mut before = 0;
    let mut start = 0usize;
    for chunk in octets.chunks(CHUNK) {
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else {
            break;
        };
        if differ(before, *first) {
            return Some(if before == b'\r' {
                start.saturating_sub(1)
            } else {
                start
            });
        }
        let pairs = || chunk.iter().zip(chunk.get(1..).unwrap_or_default());
        // Without a branch, so that the compiler takes 16 or 32 octets at a time.
        if pairs().fold(false, |found, (a, b)| found | differ(*a, *b)) {
            let at = pairs().position(|(a, b)| differ(*a, *b)).unwrap_or(0);
            let is_cr = chunk.get(at) == Some(&b'\r');
            return Some(start.saturating_add(at).saturating_add(usize::from(!is_cr)));
        }
        before = *last;
        start = start.saturating_add(chunk.len());
    }
    (before == b'\r').then(|| octets.len().saturating_sub(1))
}

/// Of two octets beside each other: is one of them half of a CRLF, and the other not its other half?
fn differ(octet: u8, next: u8) -> bool {
    (octet == b'\r') != (next == b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn t175_lone_octets() {
        for (octets, expected) in [
            ("", None),
            ("a", None),
            ("\r\n", None),
            ("a\r\nb", None),
            ("\r\n\r\n", None),
            ("\n", Some(0)),
            ("\r", Some(0)),
            ("a\n", Some(1)),
            ("a\r", Some(1)),
            ("a\rb", Some(1)),
            ("\r\n\n", Some(2)),
            ("\r\r\n", Some(0)),
            ("\n\r", Some(0)),
            ("a\r\nb\r\nc\nd", Some(7)),
        ] {
            assert_eq!(lone(octets.as_bytes()), expected, "{octets:?}");
        }
    }

    /// Wherever the border of a chunk falls.
    #[test]
    fn t175_borders_of_chunks() {
        for length in CHUNK - 3..CHUNK + 3 {
            let x = "x".repeat(length);
            for (end, expected) in [
                ("\r\n", None),
                ("\r\nx", None),
                ("\n", Some(length)),
                ("\r", Some(length)),
                ("\rx", Some(length)),
                ("\r\r\n", Some(length)),
                ("\r\n\n", Some(length + 2)),
            ] {
                let octets = format!("{x}{end}");
                assert_eq!(lone(octets.as_bytes()), expected, "{length} {end:?}");
            }
        }
    }

    proptest! {
        /// What is left when the CRLFs are taken away.
        #[test]
        fn t175_as_by_taking_away(octets in "[\r\na.]{0,40}", filler in 0usize..2 * CHUNK) {
            let octets = format!("{}{octets}", "y".repeat(filler));
            let rest = octets.replace("\r\n", "  ");
            prop_assert_eq!(lone(octets.as_bytes()), rest.find(['\r', '\n']));
        }
    }
}
