//! XFORWARD: tells the origin of a mail to a next hop that asks for it (Postfix, XFORWARD_README), so that it logs and
//! judges the client and not us.
//!
//! Each transaction has its own, before MAIL. Only attributes that the next hop listed go out, each of them, in as many
//! lines as they need; what is not known is `[UNAVAILABLE]`. Values are xtext (RFC 3461 section 4): any octet can stand
//! in them, and none can end the line.
//!
//! Must never: send an attribute that was not listed, or cut a value: a value that is too long is sent as unavailable.

use mimicry_core::origin::{Origin, Source};

/// Octets of a command line with its line end (RFC 5321 section 4.5.3.1.4).
const MAX_LINE: usize = 512;

/// Octets of a value before it is encoded, as Postfix takes them.
const MAX_VALUE: usize = 255;

const UNAVAILABLE: &str = "[UNAVAILABLE]";

const VERB: &str = "XFORWARD";

/// The command lines without their ends; none if the next hop lists no attribute that we know.
pub fn commands(origin: &Origin, listed: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in listed {
        let Some(value) = value(origin, name) else {
            continue;
        };
        let word = format!(" {name}={value}");
        match lines.last_mut() {
            Some(line) if line.len() + word.len() + 2 <= MAX_LINE => line.push_str(&word),
            _ => lines.push(format!("{VERB}{word}")),
        }
    }
    lines
}

/// As it goes out; `None` = we do not know the attribute.
fn value(origin: &Origin, name: &str) -> Option<String> {
    let value = match name {
        "NAME" => origin.name.clone(),
        "ADDR" => origin.client.map(|address| match address {
            std::net::IpAddr::V4(address) => address.to_string().into_bytes(),
            std::net::IpAddr::V6(address) => format!("IPV6:{address}").into_bytes(),
        }),
        "PORT" => origin.port.map(|port| port.to_string().into_bytes()),
        "PROTO" => origin.proto.clone(),
        "HELO" => origin.helo.clone(),
        "IDENT" => origin.ident.clone(),
        "SOURCE" => origin.source.map(|source| match source {
            Source::Local => b"LOCAL".to_vec(),
            Source::Remote => b"REMOTE".to_vec(),
        }),
        _ => return None,
    };
    let encoded = value
        .filter(|value| !value.is_empty() && value.len() <= MAX_VALUE)
        .map(|value| xtext(&value))
        .filter(|text| VERB.len() + 1 + name.len() + 1 + text.len() + 2 <= MAX_LINE);
    Some(encoded.unwrap_or_else(|| UNAVAILABLE.into()))
}

/// RFC 3461 section 4: printable ASCII but `+` and `=` as it is, all else as `+` and two digits.
pub fn xtext(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for octet in octets {
        match octet {
            b'!'..=b'~' if !matches!(octet, b'+' | b'=') => text.push(char::from(*octet)),
            _ => text.push_str(&format!("+{octet:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use mimicry_core::extension::{Extension, Extensions};
    use proptest::prelude::*;

    use super::*;

    const ALL: &str = "NAME ADDR PORT PROTO HELO IDENT SOURCE";

    fn sent(origin: &Origin, listed: &str) -> Vec<String> {
        let listed: Vec<String> = listed.split_whitespace().map(str::to_string).collect();
        commands(origin, &listed)
    }

    fn full() -> Origin {
        Origin {
            client: Some("192.0.2.7".parse().unwrap()),
            listener: Some("in".into()),
            helo: Some(b"mx.example.org".to_vec()),
            auth_user: Some("anna".into()),
            name: Some(b"mx".to_vec()),
            port: Some(4711),
            proto: Some(b"ESMTP".to_vec()),
            ident: Some(b"4XY+=1".to_vec()),
            source: Some(Source::Remote),
        }
    }

    #[test]
    fn each_attribute_that_we_offer_ourselves_is_told() {
        for name in Extensions::ours(0).words(Extension::Xforward) {
            assert!(value(&Origin::default(), name).is_some(), "{name}");
        }
    }

    #[test]
    fn attributes() {
        let v6 = Origin {
            client: Some("2001:db8::1".parse().unwrap()),
            helo: Some(b"a b\r\nQUIT\xff".to_vec()),
            source: Some(Source::Local),
            ..Origin::default()
        };
        let long = Origin {
            name: Some(vec![b'x'; MAX_VALUE]),
            helo: Some(vec![b'x'; MAX_VALUE + 1]),
            ident: Some(vec![0xff; MAX_VALUE]),
            ..Origin::default()
        };
        for (origin, listed, expected) in [
            (&full(), ALL, "XFORWARD NAME=mx ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP HELO=mx.example.org IDENT=4XY+2B+3D1 SOURCE=REMOTE".to_string()),
            (&full(), "ADDR NAME X-NEW", "XFORWARD ADDR=192.0.2.7 NAME=mx".into()),
            (&full(), "X-NEW", String::new()),
            (&full(), "", String::new()),
            (&v6, "ADDR HELO SOURCE", "XFORWARD ADDR=IPV6:2001:db8::1 HELO=a+20b+0D+0AQUIT+FF SOURCE=LOCAL".into()),
            (&Origin::default(), "NAME PORT", "XFORWARD NAME=[UNAVAILABLE] PORT=[UNAVAILABLE]".into()),
            (&long, "NAME HELO IDENT", format!("XFORWARD NAME={} HELO=[UNAVAILABLE] IDENT=[UNAVAILABLE]", "x".repeat(MAX_VALUE))),
        ] {
            assert_eq!(sent(origin, listed).join("|"), expected);
        }
    }

    #[test]
    fn long_values_take_several_lines() {
        let origin = Origin {
            name: Some(vec![b'n'; 250]),
            helo: Some(vec![b'h'; 250]),
            ..full()
        };
        let lines = sent(&origin, ALL);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.len() + 2 <= MAX_LINE));
        assert!(lines[1].starts_with("XFORWARD HELO=hhh"), "{lines:?}");
    }

    /// The other direction, to the letter of RFC 3461.
    fn decoded(text: &str) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, behind)) = rest.split_first() {
            rest = behind;
            octets.push(if *first == b'+' {
                let (digits, behind) = rest.split_at(2);
                rest = behind;
                u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            } else {
                *first
            });
        }
        octets
    }

    proptest! {
        #[test]
        fn xtext_says_what_it_was_told(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = xtext(&octets);
            prop_assert!(text.bytes().all(|octet| (b'!'..=b'~').contains(&octet) && octet != b'='));
            prop_assert_eq!(decoded(&text), octets);
        }

        /// Each attribute that was listed goes out once, in lines that a server must take.
        #[test]
        fn nothing_is_lost_and_no_line_too_long(
            helo in prop::collection::vec(any::<u8>(), 0..300),
            name in prop::collection::vec(any::<u8>(), 0..300),
            ident in prop::collection::vec(b'a'..=b'z', 0..300),
        ) {
            let origin = Origin { helo: Some(helo), name: Some(name), ident: Some(ident), ..full() };
            let lines = sent(&origin, ALL);
            prop_assert!(lines.iter().all(|line| line.len() + 2 <= MAX_LINE && line.starts_with("XFORWARD ")));
            let names: Vec<&str> = lines.iter()
                .flat_map(|line| line.split(' ').skip(1))
                .map(|word| word.split_once('=').unwrap().0)
                .collect();
            prop_assert_eq!(names.join(" "), ALL);
        }
    }
}
