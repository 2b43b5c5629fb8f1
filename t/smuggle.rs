//! A second mail within a mail: nothing that an outsider writes makes the next hop see an envelope that no client gave.
//!
//! The fake next hop reads strictly, and an octet that no client of SMTP may send fails the test when it goes out of scope.

use crate::encoded::words;
use crate::harness::client::Outcome;
use crate::harness::contains;
use crate::harness::daemon::{Setup, World};

/// What a reader to whom a lone LF or a lone CR ends a line takes for the end of the mail and for a second one. An even number
/// of octets, so that they are the octets of a text in UTF-16.
const SECOND: [&str; 3] = [
    "\n.\nMAIL FROM:<evil@example.org>\nRCPT TO:<victim@example.net>\nDATA\nSubject: evil\n\nowned.\n.\n",
    "\r.\rMAIL FROM:<evil@example.org>\rRCPT TO:<victim@example.net>\rDATA\rSubject: evil\r\rowned.\r.\r",
    "\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\n\r\nowned\r\n.\r\n",
];

#[derive(Clone, Copy, Debug)]
enum Order {
    Little,
    Big,
}

/// The text whose octets in UTF-16 are these.
fn hidden(octets: &str, order: Order) -> String {
    let units: Vec<u16> = octets
        .as_bytes()
        .chunks(2)
        .map(|two| match (order, two) {
            (Order::Little, [a, b]) => u16::from_le_bytes([*a, *b]),
            (Order::Big, [a, b]) => u16::from_be_bytes([*a, *b]),
            _ => panic!("an odd number of octets"),
        })
        .collect();
    String::from_utf16(&units).expect("no surrogates")
}

fn utf_16(text: &str, order: Order) -> Vec<u8> {
    text.encode_utf16()
        .flat_map(|unit| match order {
            Order::Little => unit.to_le_bytes(),
            Order::Big => unit.to_be_bytes(),
        })
        .collect()
}

/// The same for a file name (RFC 2231).
fn parameter(name: &str, text: &str) -> String {
    let octets = text.bytes().map(|octet| format!("%{octet:02X}"));
    format!("{name}*=utf-8''{}", octets.collect::<String>())
}

/// A mail whose subject, body and attachment's name hold the words. What it holds itself is clean.
fn mail(label: &str, encoding: &str, order: Order, subtype: &str, second: &str) -> Vec<u8> {
    let evil = hidden(second, order);
    let text = match (label, order) {
        ("utf-16", Order::Little) => "\u{feff}Hello \u{a0d} you",
        ("utf-16", Order::Big) => "\u{feff}Hello \u{d0a} you",
        (_, Order::Little) => "Hello \u{a0d} you",
        (_, Order::Big) => "Hello \u{d0a} you",
    };
    let above = format!(
        "From: anna@example.org\r\nTo: bob@example.net\r\nSubject: {}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/{subtype}; charset={label}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n",
        words(&evil)
    );
    let below = format!(
        "\r\n--b\r\nContent-Type: application/x; {}\r\nContent-Disposition: attachment;\r\n {}\r\n\r\n{}\r\n--b--\r\n",
        parameter("name", &evil),
        parameter("filename", &evil),
        "compressible ".repeat(400)
    );
    [above.into_bytes(), utf_16(text, order), below.into_bytes()].concat()
}

/// Whatever writes the mail's own words somewhere.
const RULES: [(&str, &str); 6] = [
    (
        "disclaim",
        "plugin = \"disclaim\"\noptions = { text = \"Re: {{ subject }}\", html = \"<p>Re: {{ subject }}</p>\" }",
    ),
    (
        "disclaim at the top",
        "plugin = \"disclaim\"\noptions = { text = \"{{ subject }}\", html = \"<p>{{ subject }}</p>\", place = \"top\", separator = \"\" }",
    ),
    (
        "banner",
        "plugin = \"banner\"\noptions = { text = \"From outside: {{ subject }}\", html = \"<p>From outside: {{ subject }}</p>\", subject_tag = \"[EXTERN]\" }",
    ),
    (
        "header",
        "plugin = \"header\"\noptions = { add = { X-Words = \"{{ subject }}\" }, prefix_subject = \"[{{ subject }}]\" }",
    ),
    (
        "remove",
        "plugin = \"remove\"\nmatch = { position = \"attachment\" }\noptions = { note = \"text\", text = \"Gone: {{ filename }}\", note_name = \"{{ filename }}.txt\" }",
    ),
    (
        "zip",
        "plugin = \"zip\"\noptions = { note = \"text\", name = \"{{ slug }}.zip\", note_text = \"In {{ archive }}: {{ members }}\" }",
    ),
];

// T175
// man: mimicryd(8) "In SMTP a line ends in CRLF and nowhere else."
// man: mimicry-plugins(7) "an edited part in UTF-16 is written in base64, whatever its transfer encoding was"
#[test]
fn t175_a_text_in_utf_16_gives_the_next_hop_no_second_envelope() {
    let mut edited = 0;
    for (name, rule) in RULES {
        let world = World::new(Setup {
            rules: &format!("[[rule]]\nname = \"words\"\n{rule}\n"),
            ..Setup::default()
        });
        let mut sent = 0;
        for (label, order) in [
            ("utf-16le", Order::Little),
            ("utf-16be", Order::Big),
            ("utf-16", Order::Little),
            ("utf-16", Order::Big),
        ] {
            for encoding in ["binary", "8bit"] {
                for subtype in ["plain", "html"] {
                    for second in SECOND {
                        let at = format!("{name} {label} {encoding} {subtype} {second:.8?}");
                        let message = mail(label, encoding, order, subtype, second);
                        let outcome = world.attempt(&message);
                        assert!(matches!(outcome, Outcome::Accepted(_)), "{at}: {outcome:?}");
                        let arrived = world.hop.only_mail();
                        assert_eq!(arrived.sender(), "anna@example.org", "{at}");
                        assert_eq!(arrived.recipients(), ["bob@example.net"], "{at}");
                        let arrived = arrived.message();
                        assert!(
                            !contains(&arrived, b"MAIL FROM"),
                            "{at}: the words are on the wire"
                        );
                        edited +=
                            usize::from(contains(&arrived, b"Content-Transfer-Encoding: base64"));
                        sent += 1;
                    }
                }
            }
        }
        assert_eq!(world.hop.count("MAIL"), sent, "{name}");
        assert_eq!(
            world
                .hop
                .see(|record| std::mem::take(&mut record.violations)),
            Vec::<String>::new(),
            "{name}"
        );
    }
    assert!(edited >= 48 * 4, "only {edited} bodies were edited");
}
