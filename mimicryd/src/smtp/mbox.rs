//! Lines `From ` of an mbox at the head of a message, as Postfix's server (smtpd) treats them.
//!
//! Must never: touch such a line anywhere else.

/// Before an mbox line that becomes a field.
const MBOX_FIELD: &[u8] = b"X-Mailbox-Line: ";

/// The mbox lines that a message begins with: `From ` with any number of `>` before it.
pub fn mbox_head(message: &[u8]) -> &[u8] {
    let is_mbox = |line: &&[u8]| {
        let quotes = line.iter().take_while(|octet| **octet == b'>').count();
        line.get(quotes..)
            .is_some_and(|rest| rest.starts_with(b"From "))
    };
    let head = lines(message).take_while(is_mbox);
    let octets = head.fold(0, |octets: usize, line| octets.saturating_add(line.len()));
    message.get(..octets).unwrap_or_default()
}

/// As fields that hold them.
pub fn as_fields(head: &[u8]) -> Vec<u8> {
    lines(head)
        .flat_map(|line| [MBOX_FIELD, line].concat())
        .collect()
}

pub fn number_of(head: &[u8]) -> usize {
    lines(head).count()
}

/// With their line ends.
fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    octets.split_inclusive(|octet| *octet == b'\n')
}

#[cfg(test)]
mod tests {
    use mimicry_core::settings::words::{BareNewline, MboxLine};

    use super::super::data::{DataReader, Received, Refusal};

    const LIMIT: usize = 100_000;

    fn read(
        input: &[u8],
        limit: usize,
        mbox_line: MboxLine,
        cut: usize,
    ) -> Result<Received, Refusal> {
        let reader = DataReader::new(limit, BareNewline::Normalize, None);
        let mut reader = reader.with_mbox_line(mbox_line);
        let first = reader.feed(&input[..cut]).ended;
        first.or_else(|| reader.feed(&input[cut..]).ended).unwrap()
    }

    /// T201: as Postfix's smtpd does it, for the lines at the head and no others.
    #[test]
    fn t201_mbox_lines_at_the_head_become_fields() {
        for (message, expected, lines) in [
            (
                "From a b\r\nS: x\r\n\r\n",
                "X-Mailbox-Line: From a b\r\nS: x\r\n\r\n",
                1,
            ),
            (
                ">From a\r\nS: x\r\n",
                "X-Mailbox-Line: >From a\r\nS: x\r\n",
                1,
            ),
            (
                "From a\r\n>>From b\r\nS: x\r\nFrom c\r\n",
                "X-Mailbox-Line: From a\r\nX-Mailbox-Line: >>From b\r\nS: x\r\nFrom c\r\n",
                2,
            ),
            ("From a\nS: x\r\n", "X-Mailbox-Line: From a\r\nS: x\r\n", 1),
            ("From \r\n", "X-Mailbox-Line: From \r\n", 1),
            ("From: a\r\nFrom a\r\n", "From: a\r\nFrom a\r\n", 0),
            ("From\ta\r\n", "From\ta\r\n", 0),
            ("from a\r\n", "from a\r\n", 0),
            (" From a\r\n", " From a\r\n", 0),
            ("\r\nFrom a\r\n", "\r\nFrom a\r\n", 0),
            (">\r\n", ">\r\n", 0),
        ] {
            let input = format!("{message}.\r\n").into_bytes();
            for cut in 0..=input.len() {
                let read = read(&input, LIMIT, MboxLine::Normalize, cut).unwrap();
                assert_eq!(
                    read.message.escape_ascii().to_string(),
                    expected.as_bytes().escape_ascii().to_string()
                );
                assert_eq!(read.changed.mbox_lines, lines, "{message}");
            }
            let ended = read(&input, LIMIT, MboxLine::Reject, 0);
            assert_eq!(
                ended.err(),
                (lines > 0).then_some(Refusal::MboxLine),
                "{message}"
            );
        }
        // What they become may not pass the limit either.
        let input = b"From \r\n".repeat(10);
        let input = [&input[..], b".\r\n"].concat();
        for (limit, is_taken) in [(229, false), (230, true)] {
            let read = read(&input, limit, MboxLine::Normalize, 0);
            assert_eq!(read.is_ok(), is_taken, "{limit}");
        }
    }
}
