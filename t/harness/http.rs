//! A client of HTTP that sends what it is told to send.
//!
//! Must never: mend a request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer: status, head and body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends octets, and reads to the end.
pub fn exchange(address: SocketAddr, octets: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // Who is refused early may not read on.
    let _ = stream.write_all(octets);
    answer(&mut stream)
}

pub fn answer(stream: &mut impl Read) -> Answer {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).expect("an answer");
    let text = String::from_utf8(octets).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    Answer {
        status: status.expect("a status").parse().expect("a number"),
        head: format!("{head}\r\n"),
        body: body.to_string(),
    }
}

pub fn get(address: SocketAddr, path: &str, accept: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nAccept: {accept}\r\n\r\n");
    exchange(address, request.as_bytes())
}
