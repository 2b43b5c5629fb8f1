//! Where mimicry listens and which next hops it uses, parsed once from the text of the configuration.
//!
//! Must never resolve a name: the daemon does that when a worker starts.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::words;

words! {
    /// The protocol of a listener or of the next hop.
    Protocol {
        /// RFC 5321.
        Smtp = "smtp",
        /// RFC 2033.
        Lmtp = "lmtp",
    }
}

/// Who gets the mail next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    Server {
        protocol: Protocol,
        /// TLS from the first octet (RFC 8314), as `smtps://` says.
        implicit_tls: bool,
        address: Address,
    },
    /// A directory in Maildir format.
    Maildir(PathBuf),
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A name or an address without brackets.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

/// Where mimicry accepts connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// Port 0 = any free port.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointError {
    pub message: String,
    pub help: String,
}

impl NextHop {
    pub const SCHEMES: &'static [&'static str] = &["smtp", "smtps", "lmtp", "maildir"];

    pub const FORMS: &'static str = "smtp://host:port, smtps://host:port, lmtp://host:port, lmtp:///path, smtp:///path or maildir:///path";

    /// Parses the forms of [`NextHop::FORMS`]. A port left out is 25, for smtps 465, for lmtp 24.
    pub fn parse(text: &str) -> Result<NextHop, EndpointError> {
        let forms = || format!("write {}", NextHop::FORMS);
        let Some((scheme, rest)) = text.split_once("://") else {
            return fail("a next hop is a URL", forms());
        };
        let (protocol, implicit_tls, port) = match scheme {
            "smtp" => (Protocol::Smtp, false, 25),
            "smtps" => (Protocol::Smtp, true, 465),
            "lmtp" => (Protocol::Lmtp, false, 24),
            "maildir" if rest.chars().any(char::is_control) => {
                return fail("not the name of a directory", "write maildir:///path");
            }
            "maildir" if rest.starts_with('/') => return Ok(NextHop::Maildir(rest.into())),
            "maildir" => return fail("a Maildir has no host", "write maildir:///path"),
            _ => {
                let help = match crate::near::nearest(scheme, NextHop::SCHEMES.iter().copied()) {
                    Some(near) => format!("did you mean {near}://?"),
                    None => forms(),
                };
                return fail(format!("{scheme}:// is not known"), help);
            }
        };
        if rest.starts_with('/') {
            if implicit_tls {
                return fail("a unix socket has no TLS", format!("write smtp://{rest}"));
            }
            return Ok(NextHop::Server {
                protocol,
                implicit_tls,
                address: Address::Unix(unix_path(rest)?),
            });
        }
        if rest.contains('@') {
            return fail(
                "a user does not belong in the URL",
                "write the user into `user` and put the password into the file that `password_file` names",
            );
        }
        if rest.contains('/') {
            return fail("nothing may follow host and port", forms());
        }
        let (host, port) = host_and_port(rest, Some(port))?;
        if port == 0 {
            return fail(
                "nobody listens on port 0",
                "a port is a number from 1 to 65535",
            );
        }
        Ok(NextHop::Server {
            protocol,
            implicit_tls,
            address: Address::Tcp { host, port },
        })
    }

    /// Does the mail stay on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            NextHop::Maildir(_) => true,
            NextHop::Server { address, .. } => match address {
                Address::Unix(_) => true,
                Address::Tcp { host, .. } => is_loopback(host),
            },
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHop::Maildir(path) => write!(f, "maildir://{}", path.display()),
            NextHop::Server {
                protocol,
                implicit_tls,
                address,
            } => {
                f.write_str(match (protocol, implicit_tls) {
                    (Protocol::Smtp, false) => "smtp://",
                    (Protocol::Smtp, true) => "smtps://",
                    (Protocol::Lmtp, _) => "lmtp://",
                })?;
                match address {
                    Address::Unix(path) => write!(f, "{}", path.display()),
                    Address::Tcp { host, port } if host.contains(':') => {
                        write!(f, "[{host}]:{port}")
                    }
                    Address::Tcp { host, port } => write!(f, "{host}:{port}"),
                }
            }
        }
    }
}

impl ListenAddress {
    pub const FORMS: &'static str = "\"127.0.0.1:10025\", \"[::1]:10025\" or \"unix:/path\"";

    /// Parses the forms of [`ListenAddress::FORMS`]. Addresses only, no names: whether a listener is open to others
    /// must be known when the configuration is loaded.
    pub fn parse(text: &str) -> Result<ListenAddress, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(ListenAddress::Unix);
        }
        if text.starts_with('/') {
            return fail(
                "this is no address but a path",
                format!("write \"unix:{text}\""),
            );
        }
        let port = text.strip_prefix("*:").or(text.strip_prefix(':'));
        let port = port.unwrap_or(text);
        if !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit()) {
            return fail(
                "an address of this machine belongs before the port",
                format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for all addresses"),
            );
        }
        let (host, port) = host_and_port(text, None)?;
        match host.parse::<IpAddr>() {
            Ok(address) => Ok(ListenAddress::Tcp(SocketAddr::new(address, port))),
            Err(_) if host == "localhost" => fail(
                "a listener needs an address, not a name",
                format!("write \"127.0.0.1:{port}\" or \"[::1]:{port}\""),
            ),
            Err(_) => fail(
                "a listener needs an address, not a name",
                format!("write {}", ListenAddress::FORMS),
            ),
        }
    }

    /// Does the kernel choose the port.
    pub fn is_any_port(&self) -> bool {
        matches!(self, ListenAddress::Tcp(address) if address.port() == 0)
    }

    /// Can only this machine reach it.
    pub fn is_local(&self) -> bool {
        match self {
            ListenAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
            ListenAddress::Unix(_) => true,
        }
    }
}

impl ListenAddress {
    /// Would a mail for that next hop come in here again? Of a name that only a resolver knows, this is not known.
    pub fn is_reached_by(&self, next_hop: &NextHop) -> bool {
        let NextHop::Server { address, .. } = next_hop else {
            return false;
        };
        match (self, address) {
            (ListenAddress::Unix(path), Address::Unix(other)) => path == other,
            (ListenAddress::Tcp(here), Address::Tcp { host, port }) if here.port() == *port => {
                let here = here.ip().to_canonical();
                let is_any = here.is_unspecified();
                let name = host.trim_end_matches('.');
                match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
                    // Connecting to the unspecified address is connecting to this machine.
                    Ok(ip) if ip.is_unspecified() => is_any || here.is_loopback(),
                    Ok(ip) => here == ip || (is_any && ip.is_loopback()),
                    Err(_) => {
                        name.eq_ignore_ascii_case("localhost") && (is_any || here.is_loopback())
                    }
                }
            }
            _ => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "{address}"),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Is it this machine, whichever way that is written. Of names only `localhost` is (RFC 6761 section 6.3): what others lead to is the
/// resolver's to say.
fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let address = host.parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Splits `host:port`, `[v6]:port` and, when there is a default, `host` and `[v6]`.
fn host_and_port(text: &str, default: Option<u16>) -> Result<(String, u16), EndpointError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else {
            return fail("the bracket is not closed", "write \"[::1]:25\"");
        };
        if host.parse::<Ipv6Addr>().is_err() {
            return fail(
                format!("{host} is no IPv6 address"),
                "only an IPv6 address is written in brackets: \"[::1]:25\"",
            );
        }
        match port.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if port.is_empty() => (host, None),
            None => return fail("only a port may follow the bracket", "write \"[::1]:25\""),
        }
    } else {
        if text.parse::<Ipv6Addr>().is_ok() {
            return fail(
                "an IPv6 address is written in brackets",
                format!("write \"[{text}]:25\""),
            );
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let letters =
            |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
        if host.is_empty() || host.len() > 253 || !host.bytes().all(letters) {
            return fail(
                format!("\"{host}\" is no host"),
                "a host is a name or an address, such as \"127.0.0.1:25\"",
            );
        }
        // A mistyped address would otherwise pass as a name made of numbers, which no resolver knows (RFC 1123 section 2.1).
        let numbers = host
            .bytes()
            .all(|octet| octet.is_ascii_digit() || octet == b'.');
        if numbers && host.parse::<IpAddr>().is_err() {
            return fail(
                format!("{host} is no IPv4 address"),
                "four numbers from 0 to 255, such as \"192.0.2.1\"",
            );
        }
        (host, port)
    };
    let port = match (port, default) {
        (Some(port), _) => match port.parse::<u16>() {
            Ok(number) if port.bytes().all(|octet| octet.is_ascii_digit()) => number,
            _ => {
                return fail(
                    format!("\"{port}\" is no port"),
                    "a port is a number from 1 to 65535",
                );
            }
        },
        (None, Some(port)) => port,
        (None, None) => {
            return fail(
                "the port is missing",
                format!("write {}", ListenAddress::FORMS),
            );
        }
    };
    Ok((host.to_string(), port))
}

/// The path of a unix socket: absolute, because the daemon leaves the directory it was started in, and short enough.
fn unix_path(text: &str) -> Result<PathBuf, EndpointError> {
    if text.chars().any(char::is_control) {
        return fail(
            "the path of a socket is one line of printable text",
            "write \"unix:/run/mimicry/smtp.sock\"",
        );
    }
    if !text.starts_with('/') {
        return fail(
            "the path of a socket starts with /",
            "write \"unix:/run/mimicry/smtp.sock\"",
        );
    }
    let path = PathBuf::from(text);
    fits_a_socket(&path)?;
    Ok(path)
}

/// Is it short enough for `sun_path` (108 octets with the final NUL on Linux).
pub(crate) fn fits_a_socket(path: &Path) -> Result<(), EndpointError> {
    match path.as_os_str().len() <= 107 {
        true => Ok(()),
        false => fail(
            "the path of a socket has at most 107 octets",
            "choose a shorter one",
        ),
    }
}

fn fail<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, EndpointError> {
    Err(EndpointError {
        message: message.into(),
        help: help.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops() {
        for (text, shown) in [
            ("smtp://127.0.0.1:10026", Ok("smtp://127.0.0.1:10026")),
            ("smtp://mx.example.org", Ok("smtp://mx.example.org:25")),
            ("smtps://mx.example.org", Ok("smtps://mx.example.org:465")),
            ("smtp://[2001:db8::1]", Ok("smtp://[2001:db8::1]:25")),
            ("lmtp://[::1]:2424", Ok("lmtp://[::1]:2424")),
            ("lmtp://localhost", Ok("lmtp://localhost:24")),
            ("lmtp:///run/dovecot/lmtp", Ok("lmtp:///run/dovecot/lmtp")),
            ("smtp:///run/smtp.sock", Ok("smtp:///run/smtp.sock")),
            ("maildir:///var/mail/out", Ok("maildir:///var/mail/out")),
            ("127.0.0.1:25", Err("a next hop is a URL")),
            ("smpt://x", Err("smpt:// is not known")),
            ("http://x", Err("http:// is not known")),
            ("smtp://", Err("\"\" is no host")),
            ("smtp://a b", Err("\"a b\" is no host")),
            ("smtp://a/", Err("nothing may follow host and port")),
            ("smtp://a:0", Err("nobody listens on port 0")),
            ("smtp://a:65536", Err("\"65536\" is no port")),
            ("smtp://a:+25", Err("\"+25\" is no port")),
            ("smtp://a:", Err("\"\" is no port")),
            ("smtp://127.0.0.300", Err("127.0.0.300 is no IPv4 address")),
            ("smtp://::1", Err("an IPv6 address is written in brackets")),
            ("smtp://[::1", Err("the bracket is not closed")),
            ("smtp://[1.2.3.4]:25", Err("1.2.3.4 is no IPv6 address")),
            ("smtp://[::1]x", Err("only a port may follow the bracket")),
            (
                "smtp://user:secret@host",
                Err("a user does not belong in the URL"),
            ),
            ("smtps:///run/smtp.sock", Err("a unix socket has no TLS")),
            ("maildir://host/path", Err("a Maildir has no host")),
            ("maildir:///a\0b", Err("not the name of a directory")),
            (
                "smtp:///a\nb",
                Err("the path of a socket is one line of printable text"),
            ),
        ] {
            let parsed = NextHop::parse(text);
            let got = parsed
                .as_ref()
                .map(ToString::to_string)
                .map_err(|error| error.message.clone());
            assert_eq!(got.as_deref().map_err(String::as_str), shown, "{text}");
            if let Ok(parsed) = parsed {
                assert_eq!(
                    NextHop::parse(&parsed.to_string()),
                    Ok(parsed),
                    "what is shown is read back"
                );
            }
        }
    }

    #[test]
    fn a_scheme_is_suggested() {
        assert_eq!(
            NextHop::parse("smpt://x").unwrap_err().help,
            "did you mean smtp://?"
        );
    }

    #[test]
    fn local_next_hops() {
        for (text, local) in [
            ("smtp://127.0.0.9", true),
            ("smtp://localhost:25", true),
            ("smtp://[::1]", true),
            // T190
            ("smtp://127.0.0.2", true),
            ("smtp://LOCALHOST:25", true),
            ("smtps://Localhost.", true),
            ("smtp://[::ffff:127.0.0.1]", true),
            ("smtp://[::ffff:192.0.2.1]", false),
            ("smtp://[::127.0.0.1]", false),
            ("smtp://localhost..", false),
            ("smtp://localhost.example.org", false),
            ("smtp://a.localhost", false),
            ("smtp://192.0.2.1", false),
            ("smtp://mx.example.org", false),
            ("lmtp:///run/lmtp", true),
        ] {
            assert_eq!(NextHop::parse(text).unwrap().is_local(), local, "{text}");
        }
    }

    #[test]
    fn listen_addresses() {
        let long = format!("unix:/{}", "x".repeat(107));
        for (text, shown) in [
            ("127.0.0.1:10025", Ok(("127.0.0.1:10025", true))),
            ("127.0.0.1:0", Ok(("127.0.0.1:0", true))),
            ("0.0.0.0:25", Ok(("0.0.0.0:25", false))),
            ("192.0.2.1:25", Ok(("192.0.2.1:25", false))),
            ("[::1]:25", Ok(("[::1]:25", true))),
            ("[::]:25", Ok(("[::]:25", false))),
            ("[::ffff:127.0.0.1]:25", Ok(("[::ffff:127.0.0.1]:25", true))),
            ("unix:/run/smtp.sock", Ok(("unix:/run/smtp.sock", true))),
            ("unix:smtp.sock", Err("the path of a socket starts with /")),
            (&long, Err("the path of a socket has at most 107 octets")),
            (
                "localhost:25",
                Err("a listener needs an address, not a name"),
            ),
            (
                "mx.example.org:25",
                Err("a listener needs an address, not a name"),
            ),
            ("127.0.0.1", Err("the port is missing")),
            ("::1", Err("an IPv6 address is written in brackets")),
            ("127.0.0.1:smtp", Err("\"smtp\" is no port")),
            (
                "*:10027",
                Err("an address of this machine belongs before the port"),
            ),
            (
                ":10027",
                Err("an address of this machine belongs before the port"),
            ),
            (
                "10027",
                Err("an address of this machine belongs before the port"),
            ),
            ("/run/smtp.sock", Err("this is no address but a path")),
            ("", Err("\"\" is no host")),
        ] {
            let parsed = ListenAddress::parse(text);
            let got = parsed
                .as_ref()
                .map(|address| (address.to_string(), address.is_local()));
            let got = got
                .as_ref()
                .map(|(text, local)| (text.as_str(), *local))
                .map_err(|error| error.message.as_str());
            assert_eq!(got, shown, "{text}");
        }
    }

    #[test]
    fn the_listener_that_a_next_hop_is() {
        for (listener, next_hop, circle) in [
            ("127.0.0.1:10025", "smtp://127.0.0.1:10025", true),
            ("127.0.0.1:10025", "lmtp://localhost.:10025", true),
            ("127.0.0.1:10025", "smtp://[::ffff:127.0.0.1]:10025", true),
            ("127.0.0.1:10025", "smtp://0.0.0.0:10025", true),
            ("127.0.0.1:10025", "smtp://127.0.0.1:10026", false),
            ("127.0.0.1:10025", "smtp://127.0.0.2:10025", false),
            ("0.0.0.0:25", "smtp://LOCALHOST", true),
            ("0.0.0.0:25", "smtp://127.0.0.3", true),
            ("0.0.0.0:25", "smtp://192.0.2.1", false),
            ("[::]:465", "smtps://[::1]", true),
            ("[::1]:25", "smtp://mx.example.org", false),
            ("unix:/run/in", "smtp:///run/in", true),
            ("unix:/run/in", "lmtp:///run/out", false),
            ("unix:/run/in", "maildir:///run/in", false),
        ] {
            let here = ListenAddress::parse(listener).unwrap();
            let next = NextHop::parse(next_hop).unwrap();
            assert_eq!(here.is_reached_by(&next), circle, "{listener} {next_hop}");
        }
    }
}
