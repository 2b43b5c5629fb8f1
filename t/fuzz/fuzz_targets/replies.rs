//! The reader of replies: a reply is found where it ends and nowhere before; what is none stays none, whatever follows; and its words
//! are fit for our own client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimicryd::relay::reader::{MAX_REPLY, Reading, read};

fuzz_target!(|octets: &[u8]| {
    match read(octets) {
        Reading::Complete(received) => {
            let length = received.length;
            assert!(length <= octets.len() && length <= MAX_REPLY);
            assert!((200..600).contains(&received.code));
            assert!(octets[..length].ends_with(b"\r\n"));
            // Nothing behind it changes it, and nothing less is one.
            assert!(matches!(read(&octets[..length]), Reading::Complete(again) if again == received));
            for end in [0, 1, length / 2, length - 2, length - 1] {
                assert_eq!(read(&octets[..end]), Reading::Incomplete, "{end} of {length}");
            }
            for line in received.reply().to_wire().split_inclusive(|octet| *octet == b'\n') {
                assert!(line.len() <= 512 && line.ends_with(b"\r\n"));
                let text = &line[..line.len() - 2];
                assert!(text.iter().all(|octet| (b' '..0x7f).contains(octet)), "{}", text.escape_ascii());
            }
        }
        // What cannot become a reply must be known before it fills us.
        Reading::Incomplete => assert!(octets.len() < MAX_REPLY),
        Reading::Malformed => {
            let more = [octets, b"\r\n250 ok\r\n"].concat();
            assert_eq!(read(&more), Reading::Malformed);
        }
    }
});
