//! The arguments of XFORWARD: what a trusted client says about the client that sent it the mail (Postfix,
//! XFORWARD_README).
//!
//! Must never: accept half of a command, or a value with a control octet.

use std::net::{IpAddr, Ipv6Addr};

use mimicry_core::origin::{Origin, Source};

use super::blanks::is_blank;
use super::xtext::xtext;

/// Octets of a value.
const MAX_VALUE: usize = 255;

/// Puts the attributes into `origin`. `None` = the arguments are ill-formed, and nothing was changed.
pub fn apply(arguments: &[u8], origin: &mut Origin) -> Option<()> {
    if arguments.is_empty() {
        return None;
    }
    let mut told = origin.clone();
    for attribute in arguments
        .split(|octet| is_blank(*octet))
        .filter(|attribute| !attribute.is_empty())
    {
        let equals = memchr::memchr(b'=', attribute)?;
        let (name, value) = attribute.split_at_checked(equals)?;
        let value = value.get(1..)?;
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        let value = value_of(value)?;
        let word = |value: Option<Vec<u8>>| match value {
            Some(value) if !value.iter().all(u8::is_ascii_alphanumeric) => None,
            value => Some(value),
        };
        if is("NAME") {
            told.name = value;
        } else if is("HELO") {
            told.helo = value;
        } else if is("IDENT") {
            told.ident = value;
        } else if is("PROTO") {
            told.proto = word(value)?;
        } else if is("ADDR") {
            told.client = parsed(value, address)?;
        } else if is("PORT") {
            told.port = parsed(value, |port| port.parse().ok())?;
        } else if is("SOURCE") {
            told.source = parsed(value, |source| match source {
                _ if source.eq_ignore_ascii_case("LOCAL") => Some(Source::Local),
                _ if source.eq_ignore_ascii_case("REMOTE") => Some(Source::Remote),
                _ => None,
            })?;
        } else {
            return None;
        }
    }
    *origin = told;
    Some(())
}

/// The outer `None` = ill-formed, the inner one = the client does not know.
#[expect(
    clippy::option_option,
    reason = "a value may be wrong, unknown or known"
)]
fn value_of(value: &[u8]) -> Option<Option<Vec<u8>>> {
    let value = xtext(value).filter(|value| value.len() <= MAX_VALUE && !value.is_empty())?;
    let is_unknown = [&b"[UNAVAILABLE]"[..], b"[TEMPUNAVAIL]"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word));
    Some((!is_unknown).then_some(value))
}

#[expect(clippy::option_option, reason = "as for value_of")]
fn parsed<T>(value: Option<Vec<u8>>, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    let Some(value) = value else {
        return Some(None);
    };
    parse(std::str::from_utf8(&value).ok()?).map(Some)
}

/// What stands behind `%` names an interface of the client's machine (RFC 4007 section 11): nothing to us.
fn address(text: &str) -> Option<IpAddr> {
    let text = match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() && address.contains(':') => address,
        _ => text,
    };
    match text.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
            address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use mimicry_core::extension::{Extension, Extensions};

    use super::*;

    #[test]
    fn attributes() {
        let nobody = Origin::default();
        let text = |text: &str| Some(text.as_bytes().to_vec());
        for (arguments, expected) in [
            (
                "NAME=spike.example.org ADDR=192.0.2.7",
                Some(Origin {
                    name: text("spike.example.org"),
                    client: Some([192, 0, 2, 7].into()),
                    ..Origin::default()
                }),
            ),
            (
                "addr=IPv6:2001:db8::7 Port=2525 PROTO=ESMTP  HELO=a+20b+2B SOURCE=remote IDENT=4Xy ",
                Some(Origin {
                    client: "2001:db8::7".parse().ok(),
                    port: Some(2525),
                    proto: text("ESMTP"),
                    helo: text("a b+"),
                    source: Some(Source::Remote),
                    ident: text("4Xy"),
                    ..Origin::default()
                }),
            ),
            (
                "ADDR=2001:db8::7",
                Some(Origin {
                    client: "2001:db8::7".parse().ok(),
                    ..nobody.clone()
                }),
            ),
            (
                "NAME=[UNAVAILABLE] ADDR=[unavailable] PORT=[UNAVAILABLE] PROTO=[UNAVAILABLE]",
                Some(nobody.clone()),
            ),
            ("NAME=[TEMPUNAVAIL]", Some(nobody.clone())),
            ("", None),
            ("NAME", None),
            ("NAME=", None),
            ("NAME=a+0D+0Ab", None),
            ("NAME=a+00", None),
            ("NAME=a+2", None),
            ("NAME=a=b", None),
            ("ADDR=192.0.2.700", None),
            ("ADDR=IPv6:192.0.2.7", None),
            ("ADDR=localhost", None),
            ("PORT=65536", None),
            ("PORT=x", None),
            ("PROTO=ES+20MTP", None),
            ("SOURCE=here", None),
            ("LOGIN=anna", None),
            ("NAME=a LOGIN=anna", None),
            (
                &format!("NAME={}", "x".repeat(255)),
                Some(Origin {
                    name: text(&"x".repeat(255)),
                    ..nobody.clone()
                }),
            ),
            (&format!("NAME={}", "x".repeat(256)), None),
            // T204: longer than a line of 512 octets.
            (
                &format!("NAME={0} HELO={0} IDENT={0}", "x".repeat(250)),
                Some(Origin {
                    name: text(&"x".repeat(250)),
                    helo: text(&"x".repeat(250)),
                    ident: text(&"x".repeat(250)),
                    ..nobody.clone()
                }),
            ),
            // T204: link-local addresses have a zone.
            (
                "ADDR=IPv6:fe80::1%eth0",
                Some(Origin {
                    client: "fe80::1".parse().ok(),
                    ..nobody.clone()
                }),
            ),
            (
                "ADDR=fe80::1%eth0\tPORT=25",
                Some(Origin {
                    client: "fe80::1".parse().ok(),
                    port: Some(25),
                    ..nobody.clone()
                }),
            ),
            ("ADDR=192.0.2.7%eth0", None),
            ("ADDR=fe80::1%", None),
        ] {
            let mut origin = nobody.clone();
            let done = apply(arguments.as_bytes(), &mut origin);
            assert_eq!(done.map(|()| origin.clone()), expected, "{arguments}");
            if expected.is_none() {
                assert_eq!(origin, nobody, "{arguments}: half of it was taken");
            }
        }
    }

    #[test]
    fn each_attribute_that_is_offered_is_taken() {
        for name in Extensions::ours(0).words(Extension::Xforward) {
            let told = apply(
                format!("{name}=[UNAVAILABLE]").as_bytes(),
                &mut Origin::default(),
            );
            assert_eq!(told, Some(()), "{name}");
        }
    }

    #[test]
    fn what_came_before_stays_unless_it_is_said_anew() {
        let mut origin = Origin::default();
        apply(b"NAME=a ADDR=192.0.2.1", &mut origin).unwrap();
        apply(b"HELO=b ADDR=[UNAVAILABLE]", &mut origin).unwrap();
        assert_eq!(origin.name.as_deref(), Some(&b"a"[..]));
        assert_eq!(origin.helo.as_deref(), Some(&b"b"[..]));
        assert_eq!(origin.client, None);
    }
}
