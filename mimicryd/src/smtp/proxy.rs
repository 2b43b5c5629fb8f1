//! The header that a load balancer puts before a connection: the PROXY protocol, version 1 and 2 (HAProxy,
//! doc/proxy-protocol.txt).
//!
//! The crate ppp reads the fields; this file sets the bounds, and says what an octet too many or too few means.
//!
//! Must never: take an octet after the header, or wait for more octets if they cannot become a header.

use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};

/// Octets of a header of version 1, its CRLF included.
const MAX_V1: usize = 107;

/// Octets of a header of version 2, its extensions (TLVs) included.
const MAX_V2: usize = 536;

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The octets of version 2 that say how long the rest is.
const V2_FIXED: usize = 16;

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Not enough to tell.
    More,
    /// This is no such header, and will not become one.
    Malformed,
    /// A header of so many octets.
    Header { octets: usize, client: Client },
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// That of the load balancer itself: it looks whether we are well.
    Balancer,
    /// The load balancer does not know, or it came in by no network.
    Unknown,
    Known(SocketAddr),
}

/// Looks at all that came so far.
pub fn start(input: &[u8]) -> Start {
    if begins(input, V2) {
        return version_2(input);
    }
    if begins(input, V1) {
        return version_1(input);
    }
    Start::Malformed
}

/// As far as there is anything, it is the beginning of `with`.
fn begins(input: &[u8], with: &[u8]) -> bool {
    input.iter().zip(with).all(|(one, other)| one == other)
}

fn version_1(input: &[u8]) -> Start {
    let bounded = input.get(..MAX_V1).unwrap_or(input);
    let Some(end) = memchr::memmem::find(bounded, b"\r\n") else {
        return match input.len() < MAX_V1 {
            true => Start::More,
            false => Start::Malformed,
        };
    };
    let octets = end.saturating_add(2);
    let Some(Ok(header)) = input.get(..octets).map(v1::Header::try_from) else {
        return Start::Malformed;
    };
    let client = match header.addresses {
        v1::Addresses::Unknown => Client::Unknown,
        v1::Addresses::Tcp4(it) => known(it.source_address.into(), it.source_port),
        v1::Addresses::Tcp6(it) => known(it.source_address.into(), it.source_port),
    };
    Start::Header { octets, client }
}

fn version_2(input: &[u8]) -> Start {
    let Some(&[high, low]) = input.get(14..V2_FIXED) else {
        return Start::More;
    };
    let octets = V2_FIXED.saturating_add(usize::from(u16::from_be_bytes([high, low])));
    if octets > MAX_V2 {
        return Start::Malformed;
    }
    let Some(header) = input.get(..octets) else {
        return Start::More;
    };
    let Ok(header) = v2::Header::try_from(header) else {
        return Start::Malformed;
    };
    let client = match (header.command, header.addresses) {
        (v2::Command::Local, _) => Client::Balancer,
        (v2::Command::Proxy, v2::Addresses::IPv4(it)) => {
            known(it.source_address.into(), it.source_port)
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(it)) => {
            known(it.source_address.into(), it.source_port)
        }
        (v2::Command::Proxy, _) => Client::Unknown,
    };
    Start::Header { octets, client }
}

fn known(address: IpAddr, port: u16) -> Client {
    Client::Known(SocketAddr::new(address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[0x20 | command, family], &length, rest].concat()
    }

    const FOUR: &[u8] = &[192, 0, 2, 7, 192, 0, 2, 1, 0x30, 0x39, 0, 25];

    fn six() -> Vec<u8> {
        let address = |last: u8| [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[last]].concat();
        [address(7), address(1), vec![0x30, 0x39, 0, 25]].concat()
    }

    fn client(text: &str) -> Option<Client> {
        Some(Client::Known(text.parse().unwrap()))
    }

    // T72
    #[test]
    fn headers() {
        let tlv = [FOUR, &[4, 0, 1, 0]].concat();
        let long = [FOUR, &[4, 1, 252], &[0; 508]].concat();
        let too_long = [FOUR, &[4, 2, 0], &[0; 512]].concat();
        for (header, expected) in [
            (
                b"PROXY TCP4 192.0.2.7 192.0.2.1 12345 25\r\n".to_vec(),
                client("192.0.2.7:12345"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 25\r\n".to_vec(),
                client("[2001:db8::7]:12345"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Some(Client::Unknown)),
            (
                b"PROXY UNKNOWN ffff:f... whatever 1 2\r\n".to_vec(),
                Some(Client::Unknown),
            ),
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 12345\r\n".to_vec(), None),
            (b"PROXY TCP4 192.0.2.700 192.0.2.1 1 2\r\n".to_vec(), None),
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 65536 2\r\n".to_vec(), None),
            (b"PROXY TCP4 2001:db8::7 192.0.2.1 1 2\r\n".to_vec(), None),
            (b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n".to_vec(), None),
            (b"PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n".to_vec(), None),
            (
                format!("PROXY UNKNOWN {}\r\n", "x".repeat(91)).into_bytes(),
                Some(Client::Unknown),
            ),
            (
                format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)).into_bytes(),
                None,
            ),
            (v2(1, 0x11, FOUR), client("192.0.2.7:12345")),
            (v2(1, 0x21, &six()), client("[2001:db8::7]:12345")),
            (v2(1, 0x11, &tlv), client("192.0.2.7:12345")),
            (v2(1, 0x11, &long), None),
            (v2(1, 0x11, &too_long), None),
            (v2(0, 0x00, b""), Some(Client::Balancer)),
            (v2(0, 0x11, FOUR), Some(Client::Balancer)),
            (v2(1, 0x00, b""), Some(Client::Unknown)),
            (v2(1, 0x31, &[0; 216]), Some(Client::Unknown)),
            (v2(1, 0x11, &FOUR[1..]), None),
            (v2(2, 0x11, FOUR), None),
            ([V2, &[0x31, 0x11, 0, 12], FOUR].concat(), None),
            (b"EHLO client\r\n".to_vec(), None),
            (b"GET / HTTP/1.1\r\n".to_vec(), None),
        ] {
            let shown = header.escape_ascii().to_string();
            let followed = [&header[..], b"EHLO x\r\n"].concat();
            let expected = match expected {
                None => Start::Malformed,
                Some(client) => Start::Header {
                    octets: header.len(),
                    client,
                },
            };
            assert_eq!(start(&followed), expected, "{shown}");
        }
    }

    #[test]
    fn an_ipv4_client_seen_over_ipv6_is_an_ipv4_client() {
        let header = b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 1 2\r\n";
        let expected = Start::Header {
            octets: header.len(),
            client: client("192.0.2.7:1").unwrap(),
        };
        assert_eq!(start(header), expected);
    }

    proptest! {
        /// A header that comes in pieces is waited for, and nothing else is waited for without end.
        #[test]
        fn pieces_make_no_difference(cut in 0usize..28, binary: bool) {
            let header = match binary {
                true => v2(1, 0x11, FOUR),
                false => b"PROXY TCP4 192.0.2.7 192.0.2.1 12345 25\r\n".to_vec(),
            };
            prop_assert!(cut >= header.len() || start(&header[..cut]) == Start::More);
        }

        #[test]
        fn noise_is_never_waited_for_beyond_the_bounds(noise: Vec<u8>, binary: bool) {
            let input = [if binary { V2 } else { V1 }, &noise, &[b'x'; MAX_V2]].concat();
            match start(&input) {
                Start::More => prop_assert!(false),
                Start::Malformed => {}
                Start::Header { octets, .. } => prop_assert!(octets <= MAX_V2),
            }
        }
    }
}
