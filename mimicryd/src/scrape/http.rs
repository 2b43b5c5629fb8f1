//! As much of HTTP (RFC 9112) as it takes to ask for metrics: a request is read, and an answer is written. Pure.
//!
//! Each connection has one request, and its answer says so. A body is not read.
//!
//! Must never: take a request for another one than a stricter reader would, or write what a client sent.

use crate::metrics::Format;

/// Octets of a request up to its body.
pub const LARGEST: usize = 8192;

/// What has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is not whole yet.
    Part,
    Whole(Request),
    /// It is answered with this status, whatever follows.
    Wrong(Status),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub about: About,
    /// HEAD: the answer has no body.
    pub is_head: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Metrics(Format),
    Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    Bad,
    NotFound,
    /// GET and HEAD are.
    NotAllowed,
    TooLate,
    TooLarge,
    BadVersion,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::Bad => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::NotAllowed => "405 Method Not Allowed",
            Status::TooLate => "408 Request Timeout",
            Status::TooLarge => "431 Request Header Fields Too Large",
            Status::BadVersion => "505 HTTP Version Not Supported",
            Status::Unavailable => "503 Service Unavailable",
        }
    }
}

/// An answer; without a body for HEAD, but with its length.
pub fn answer(status: Status, content_type: &str, body: &str, is_head: bool) -> Vec<u8> {
    let allow = match status {
        Status::NotAllowed => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    let mut text = format!(
        "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        status.line(),
        body.len()
    );
    if !is_head {
        text.push_str(body);
    }
    text.into_bytes()
}

/// The answer to a request that is not served.
pub fn refusal(status: Status) -> Vec<u8> {
    let body = format!("{}\n", status.line());
    answer(status, "text/plain; charset=utf-8", &body, false)
}

/// What these octets ask for.
pub fn read(octets: &[u8]) -> Heard {
    match parse(octets) {
        Ok(Some(request)) => Heard::Whole(request),
        Ok(None) if octets.len() >= LARGEST => Heard::Wrong(Status::TooLarge),
        Ok(None) => Heard::Part,
        Err(status) => Heard::Wrong(status),
    }
}

/// `None` = it is not whole yet.
fn parse(octets: &[u8]) -> Result<Option<Request>, Status> {
    let octets = octets.get(..LARGEST).unwrap_or(octets);
    let mut lines = Lines(octets);
    let Some(line) = lines.next()? else {
        return Ok(None);
    };
    let asked = Asked::parse(line)?;
    let mut hosts = 0_usize;
    let mut accept = String::new();
    loop {
        let Some(line) = lines.next()? else {
            return Ok(None);
        };
        if line.is_empty() {
            break;
        }
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case("host") {
            hosts = hosts.saturating_add(1);
        }
        if name.eq_ignore_ascii_case("accept") {
            accept.push_str(value);
            accept.push(',');
        }
    }
    // RFC 9112 section 3.2
    if hosts > 1 || (hosts == 0 && asked.is_later) {
        return Err(Status::Bad);
    }
    asked.request(&accept).map(Some)
}

/// The first line.
struct Asked<'l> {
    method: &'l str,
    path: &'l str,
    /// Later than 1.0: it must name a host.
    is_later: bool,
}

impl<'l> Asked<'l> {
    fn parse(line: &'l [u8]) -> Result<Asked<'l>, Status> {
        let line = std::str::from_utf8(line).map_err(|_| Status::Bad)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Status::Bad);
        };
        let is_graphic = |text: &str| text.bytes().all(|octet| octet.is_ascii_graphic());
        if !is_token(method) || target.is_empty() || !is_graphic(target) {
            return Err(Status::Bad);
        }
        let is_later = match version {
            "HTTP/1.0" => false,
            "HTTP/1.1" => true,
            _ if version.starts_with("HTTP/") => return Err(Status::BadVersion),
            _ => return Err(Status::Bad),
        };
        // A proxy may name the whole URL (RFC 9112 section 3.2.2).
        let path = match target.split_once("://") {
            Some(("http" | "https", rest)) => rest.find('/').and_then(|at| rest.get(at..)),
            _ => Some(target),
        };
        let path = path.unwrap_or("/");
        Ok(Asked {
            method,
            path: path.split_once('?').map_or(path, |(path, _)| path),
            is_later,
        })
    }

    fn request(&self, accept: &str) -> Result<Request, Status> {
        let about = match self.path {
            "/metrics" => About::Metrics(preferred(accept)),
            "/healthz" => About::Health,
            _ => return Err(Status::NotFound),
        };
        let is_head = match self.method {
            "GET" => false,
            "HEAD" => true,
            _ => return Err(Status::NotAllowed),
        };
        Ok(Request { about, is_head })
    }
}

/// Lines that end in CRLF; a lone CR or LF is nobody's.
struct Lines<'o>(&'o [u8]);

impl<'o> Lines<'o> {
    fn next(&mut self) -> Result<Option<&'o [u8]>, Status> {
        let is_end = |octet: &u8| matches!(octet, b'\r' | b'\n');
        let Some(at) = self.0.iter().position(is_end) else {
            return Ok(None);
        };
        let (line, rest) = self.0.split_at(at);
        match rest {
            [b'\r', b'\n', rest @ ..] => {
                self.0 = rest;
                Ok(Some(line))
            }
            [b'\r'] => Ok(None),
            _ => Err(Status::Bad),
        }
    }
}

fn field(line: &[u8]) -> Result<(&str, &str), Status> {
    let colon = line.iter().position(|octet| *octet == b':');
    let (name, value) = line.split_at(colon.ok_or(Status::Bad)?);
    let name = std::str::from_utf8(name).map_err(|_| Status::Bad)?;
    // A line that goes on begins with a blank, which is none of a name (RFC 9112 section 5).
    if !is_token(name) {
        return Err(Status::Bad);
    }
    let value = value.get(1..).unwrap_or_default();
    if value
        .iter()
        .any(|octet| octet.is_ascii_control() && *octet != b'\t')
    {
        return Err(Status::Bad);
    }
    // Values of others than Accept do not matter, and that one is ASCII.
    Ok((name, std::str::from_utf8(value).unwrap_or_default().trim()))
}

/// RFC 9110 section 5.6.2
fn is_token(text: &str) -> bool {
    let is_one = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    !text.is_empty() && text.bytes().all(is_one)
}

/// OpenMetrics for those who prefer it to, or name it beside, the format that everybody reads.
fn preferred(accept: &str) -> Format {
    let (mut open, mut plain) = (0, 0);
    for range in accept.split(',') {
        let mut words = range.split(';').map(str::trim);
        let media = words.next().unwrap_or_default();
        let (mut quality, mut version) = (1000, None);
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = thousandths(value.trim()),
                "version" => version = Some(value.trim().trim_matches('"')),
                _ => {}
            }
        }
        if media.eq_ignore_ascii_case("application/openmetrics-text")
            && version.is_none_or(|version| version == "1.0.0")
        {
            open = quality.max(open);
        } else if media.eq_ignore_ascii_case("text/plain") {
            plain = quality.max(plain);
        }
    }
    match open > 0 && open >= plain {
        true => Format::OpenMetrics,
        false => Format::Text,
    }
}

/// `0.5` is 500; what is no such number is 0.
fn thousandths(text: &str) -> u32 {
    match text.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 1000"
        )]
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0).round() as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Heard = whole(About::Metrics(Format::Text), false);
    const OPEN: Heard = whole(About::Metrics(Format::OpenMetrics), false);

    const fn whole(about: About, is_head: bool) -> Heard {
        Heard::Whole(Request { about, is_head })
    }

    #[test]
    fn requests() {
        let health = whole(About::Health, false);
        let bad = Heard::Wrong(Status::Bad);
        for (text, expected) in [
            ("GET /metrics HTTP/1.0\r\n\r\n", TEXT),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", TEXT),
            ("GET /metrics?x=1 HTTP/1.1\r\nhost:x\r\n\r\nbody", TEXT),
            ("GET http://h:1/metrics HTTP/1.1\r\nHost: x\r\n\r\n", TEXT),
            (
                "HEAD /metrics HTTP/1.0\r\n\r\n",
                whole(About::Metrics(Format::Text), true),
            ),
            ("GET /healthz HTTP/1.0\r\n\r\n", health),
            ("GET /healthz HTTP/1.0\r\nX: \u{fc}\r\n\r\n", health),
            ("", Heard::Part),
            ("G", Heard::Part),
            ("GET /metrics HTTP/1.0\r", Heard::Part),
            ("GET /metrics HTTP/1.0\r\n", Heard::Part),
            ("GET /metrics HTTP/1.0\r\nA: b\r\n", Heard::Part),
            ("GET / HTTP/1.0\r\n\r\n", Heard::Wrong(Status::NotFound)),
            (
                "GET http://h HTTP/1.0\r\n\r\n",
                Heard::Wrong(Status::NotFound),
            ),
            (
                "GET /metrics/ HTTP/1.0\r\n\r\n",
                Heard::Wrong(Status::NotFound),
            ),
            (
                "GET /../etc/passwd HTTP/1.0\r\n\r\n",
                Heard::Wrong(Status::NotFound),
            ),
            (
                "POST /metrics HTTP/1.0\r\n\r\n",
                Heard::Wrong(Status::NotAllowed),
            ),
            ("PRI * HTTP/2.0\r\n\r\n", Heard::Wrong(Status::BadVersion)),
            ("GET /metrics HTTP/1.1\r\n\r\n", bad),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", bad),
            ("GET /metrics\r\n", bad),
            ("GET  /metrics HTTP/1.0\r\n", bad),
            ("GET /metrics HTTP/1.0 \r\n", bad),
            ("GET /me\ttrics HTTP/1.0\r\n", bad),
            ("GET /metrics HTTP/1.0\n", bad),
            ("GET /metrics HTTP/1.0\rX", bad),
            ("GET /metrics HTTP/1.0\r\nA : b\r\n\r\n", bad),
            ("GET /metrics HTTP/1.0\r\n A: b\r\n\r\n", bad),
            ("GET /metrics HTTP/1.0\r\nA\r\n\r\n", bad),
            ("GET /metrics HTTP/1.0\r\nA: \0\r\n\r\n", bad),
            ("\r\nGET /metrics HTTP/1.0\r\n\r\n", bad),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\n", bad),
            ("EHLO x\r\n", bad),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
            // However it is cut, it is no other request.
            for at in 0..text.len() {
                let part = read(&text.as_bytes()[..at]);
                assert!(
                    part == Heard::Part || part == expected,
                    "{at} of {text:?}: {part:?}"
                );
            }
        }
    }

    #[test]
    fn no_request_is_longer_than_it_may_be() {
        for octets in [
            [b"GET /".to_vec(), vec![b'x'; LARGEST]].concat(),
            [
                b"GET /metrics HTTP/1.0\r\n".to_vec(),
                b"A: b\r\n".repeat(LARGEST),
            ]
            .concat(),
        ] {
            assert_eq!(read(&octets), Heard::Wrong(Status::TooLarge));
            assert_eq!(read(&octets[..LARGEST - 1]), Heard::Part);
        }
    }

    #[test]
    fn who_prefers_openmetrics() {
        for (accept, expected) in [
            ("", TEXT),
            ("*/*", TEXT),
            ("text/plain", TEXT),
            ("application/openmetrics-text", OPEN),
            (
                "Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8",
                OPEN,
            ),
            ("application/openmetrics-text; version=0.0.1", TEXT),
            ("application/openmetrics-text;version=2.0.0,*/*;q=0.1", TEXT),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPEN,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;q=0.2",
                OPEN,
            ),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.8", TEXT),
            ("application/openmetrics-text;q=0", TEXT),
            ("application/openmetrics-text;q=nan", TEXT),
            ("application/openmetrics-text;q=7", TEXT),
            (";;,=,q=1", TEXT),
        ] {
            let text = format!("GET /metrics HTTP/1.0\r\nAccept: {accept}\r\n\r\n");
            assert_eq!(read(text.as_bytes()), expected, "{accept}");
        }
        let two = "GET /metrics HTTP/1.0\r\nAccept: text/plain;q=0.1\r\nAccept: application/openmetrics-text\r\n\r\n";
        assert_eq!(read(two.as_bytes()), OPEN);
    }

    #[test]
    fn answers() {
        let text = String::from_utf8(answer(Status::Ok, "a/b", "body", false)).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 4\r\n"));
        assert!(text.ends_with("Connection: close\r\n\r\nbody"));
        let head = String::from_utf8(answer(Status::Ok, "a/b", "body", true)).unwrap();
        assert_eq!(text.strip_suffix("body"), Some(head.as_str()));
        let text = String::from_utf8(refusal(Status::NotAllowed)).unwrap();
        assert!(text.contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(text.ends_with("\r\n\r\n405 Method Not Allowed\n"));
    }
}
