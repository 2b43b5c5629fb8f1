//! systemd's journal over its own socket: each fact of a line is a field, so that `journalctl MIMICRY_ID=...` finds a mail.
//!
//! A field is its name, `=`, and its value up to the line end; a value that holds a line end has its length before it instead
//! (systemd.io/JOURNAL_NATIVE_PROTOCOL). So nothing that a peer wrote ends a field or begins one.
//!
//! Must never: wait; or send a field whose name a peer chose.

use std::io;
use std::path::Path;

use log::Level;

use super::datagrams::{self, Datagrams};
use super::read::{self, Field};
use super::syslog::severity;

/// The socket of the system.
const SYSTEM: &str = "/run/systemd/journal/socket";

/// Each field of a mail's line begins so.
const PREFIX: &str = "MIMICRY_";

/// The path of the socket that the configuration means.
pub fn place(path: Option<&Path>) -> &Path {
    path.unwrap_or(Path::new(SYSTEM))
}

/// Why a journal at this path takes nothing.
pub fn missing(path: &Path) -> Option<String> {
    datagrams::missing("journal", path)
}

pub struct Journal {
    socket: Datagrams,
    facility: u8,
}

impl Journal {
    pub fn new(path: Option<&Path>, facility: u8) -> Journal {
        Journal {
            socket: Datagrams::to(place(path)),
            facility,
        }
    }

    pub fn path(&self) -> &Path {
        self.socket.path()
    }

    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram)
    }

    /// The entry of a line.
    pub fn datagram(&self, level: Level, line: &str) -> Vec<u8> {
        let mut entry = Vec::with_capacity(line.len().saturating_mul(2).saturating_add(200));
        let mut own = |name: &str, value: &[u8]| field(&mut entry, name, value);
        own("MESSAGE", line.as_bytes());
        own("PRIORITY", (severity(level) as u8).to_string().as_bytes());
        own("SYSLOG_FACILITY", self.facility.to_string().as_bytes());
        own("SYSLOG_IDENTIFIER", b"mimicryd");
        own("SYSLOG_PID", std::process::id().to_string().as_bytes());
        for Field { key, values, .. } in read::line(line).unwrap_or_default() {
            // The journal gives the time itself.
            if key == "time" {
                continue;
            }
            let name = format!("{PREFIX}{}", key.to_ascii_uppercase());
            for value in values {
                own(&name, &value);
            }
        }
        entry
    }
}

fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    if value.iter().any(|octet| *octet < b' ' && *octet != b'\t') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_fields() {
        let journal = Journal::new(Some(Path::new("/nowhere")), 2);
        let line =
            r#"id=1 class=1/1 from="<a\u{a}MIMICRY_ID=2>" to=<b>,<c> rules="x y:edited" said+=z"#;
        let entry = journal.datagram(Level::Warn, line);
        let mut expected = format!(
            "MESSAGE={line}\nPRIORITY=4\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=mimicryd\nSYSLOG_PID={}\n\
             MIMICRY_ID=1\nMIMICRY_CLASS=1/1\nMIMICRY_FROM\n",
            std::process::id()
        )
        .into_bytes();
        let from = b"<a\nMIMICRY_ID=2>";
        expected.extend((from.len() as u64).to_le_bytes());
        expected.extend(from);
        expected.extend(
            b"\nMIMICRY_TO=<b>\nMIMICRY_TO=<c>\nMIMICRY_RULES=x y:edited\nMIMICRY_SAID=z\n",
        );
        assert_eq!(
            entry.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        let sentence = journal.datagram(Level::Info, "id of nobody=7");
        assert!(!sentence.windows(8).any(|part| part == b"MIMICRY_"));
    }
}
