//! The PROXY header: found where it ends and nowhere before; what is none stays none; and nobody waits for more than one can have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimicryd::smtp::proxy::{Start, start};

/// Octets of the longest header, of either version.
const LONGEST: usize = 536;

fuzz_target!(|input: &[u8]| {
    match start(input) {
        Start::Header { octets, client } => {
            assert!((1..=LONGEST.min(input.len())).contains(&octets));
            assert_eq!(start(&input[..octets]), Start::Header { octets, client });
            for end in 0..octets {
                assert_eq!(start(&input[..end]), Start::More, "{end} of {octets}");
            }
        }
        Start::More => assert!(input.len() < LONGEST),
        Start::Malformed => {
            let more = [input, b"\r\nEHLO x\r\n"].concat();
            assert_eq!(start(&more), Start::Malformed);
        }
    }
});
