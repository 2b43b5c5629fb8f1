//! A child process looks a name up: a library that may read files, ask servers and take any time does so where nobody waits for it.
//!
//! Each lookup has a process of its own, so that a slow name holds up no other, and what changed in resolv.conf(5), hosts(5) or
//! nsswitch.conf(5) counts at once. The child is no longer root, and ends with the master. An answer that takes it over gains little: it
//! has nothing open but the pipe for its own answer, and a sandbox in which it writes no file, starts no program and accepts no connection.
//!
//! Must never: believe more of the answer than that it is a list of addresses.
//!
//! Known limits: the child has a copy of the master's memory, secrets included, and may send to whomever it wants, for nobody can know
//! whom the system asks for names. Whether a file is there it learns everywhere.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mimicry_core::settings::words::Sandbox;
use nix::unistd::Pid;

use crate::errand::{Errand, Returned, Terms};
use crate::prefork::hops::ADDRESSES;
use crate::sys::privileges::{self, Identity};
use crate::sys::process::{self, Death, Limits};
use crate::sys::sandbox::{self, Allowed, Rights, Who};
use crate::sys::title;

/// How long a lookup may take; a resolver with two servers that are dead gives up after that.
pub const TIME: Duration = Duration::from_secs(20);

/// Octets of an answer.
const ANSWER: usize = 4096;

const LIMITS: Limits = Limits {
    seconds: 5,
    memory: 256 << 20,
    stack: 4 << 20,
};

/// What looks a name up: host and port.
pub type Find = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// What is looked up, and in whose name.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    pub host: &'q str,
    pub port: u16,
    pub identity: Option<&'q Identity>,
    pub sandbox: Sandbox,
}

/// A child at work.
#[derive(Debug)]
pub struct Lookup(Errand);

/// The addresses, at least one; or why there are none.
pub type Found = Result<Vec<SocketAddr>, String>;

/// As the system does it.
pub fn by_system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

impl Lookup {
    pub fn begin(question: Question<'_>, find: Find) -> io::Result<Lookup> {
        let terms = Terms {
            user: question.identity.map(|one| (one.uid, one.gid)),
            time: TIME,
            answer: ANSWER,
            is_alone: true,
        };
        Errand::begin(terms, || ask(question, find)).map(Lookup)
    }

    /// The process at work.
    pub fn child(&self) -> Pid {
        self.0.child()
    }

    /// Readable when [`Lookup::step`] has something to do.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// When to call it in any case.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    /// Takes what was found, without waiting; `None` = it is not done.
    pub fn step(&mut self, now: Instant) -> Option<Found> {
        Some(match self.0.step(now)? {
            Returned::Answer(answer) => read(&answer),
            Returned::TooLate => Err(format!("no answer within {} s", TIME.as_secs())),
            Returned::TooMuch => Err("the answer is too long".into()),
            Returned::Unheard(error) => Err(error),
            Returned::Died(Some(death)) => Err(format!(
                "the process that looked it up {}",
                death.describe()
            )),
            Returned::Died(None) => Err("the process that looked it up vanished".into()),
        })
    }

    /// Somebody else collected a child that ended; true = it is this one.
    pub fn buried(&mut self, child: Pid, death: Death) -> bool {
        self.0.buried(child, death)
    }

    pub fn abandon(self) {
        self.0.abandon();
    }
}

/// What the C library reads to look a name up: its settings, its parts, and what keeps names at hand.
const READ: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/hostname",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/gnu/store",
    "/run/systemd/resolve",
    "/run/nscd",
    "/var/run/nscd",
    "/var/db/nscd",
    "/var/lib/sss",
    "/dev/urandom",
    "/dev/null",
];

fn files() -> Vec<Allowed> {
    let read = |path: &&str| Allowed {
        path: PathBuf::from(path),
        rights: Rights::Read,
    };
    READ.iter().map(read).collect()
}

/// Does the work of the child. An address in each line, or a blank and the reason.
fn ask(question: Question<'_>, find: Find) -> Vec<u8> {
    let Question { host, port, .. } = question;
    let answer = || -> io::Result<String> {
        title::set("mimicryd: looks a next hop up");
        if let Some(identity) = question.identity {
            privileges::become_user(identity)?;
        }
        privileges::harden(false)?;
        // Behind the change of user, which would take back that it ends with the master.
        process::confine(&LIMITS)?;
        match question.sandbox {
            Sandbox::Off => {}
            Sandbox::Try => {
                let _ = sandbox::enter(Who::Lookup, &files());
            }
            Sandbox::Require => sandbox::enter(Who::Lookup, &files())?,
        }
        let mut addresses: Vec<String> = Vec::new();
        for address in find(host, port)? {
            let text = address.to_string();
            if !addresses.contains(&text) {
                addresses.push(text);
            }
        }
        addresses.truncate(ADDRESSES);
        Ok(addresses.join("\n"))
    };
    match answer() {
        Ok(text) => text.into_bytes(),
        Err(error) => {
            let text: String = format!(" {error}").chars().take(ANSWER / 8).collect();
            text.into_bytes()
        }
    }
}

fn read(answer: &[u8]) -> Found {
    let text = String::from_utf8_lossy(answer);
    if let Some(why) = text.strip_prefix(' ') {
        let clean = |sign: char| if sign.is_control() { ' ' } else { sign };
        return Err(why.chars().map(clean).collect());
    }
    let addresses: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| line.parse().ok())
        .take(ADDRESSES)
        .collect();
    match addresses.is_empty() {
        true => Err("it has no address".into()),
        false => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T196
    #[test]
    fn what_a_child_says_is_addresses_or_a_reason() {
        for (said, expected) in [
            ("192.0.2.1:25", Ok("192.0.2.1:25")),
            (
                "192.0.2.1:25\n[2001:db8::1]:25\n[fe80::1%2]:25",
                Ok("192.0.2.1:25 [2001:db8::1]:25 [fe80::1%2]:25"),
            ),
            ("junk\n192.0.2.1:25\n\n", Ok("192.0.2.1:25")),
            ("", Err("it has no address")),
            (" no such\u{1b}[1m\nhost", Err("no such [1m host")),
            ("\u{fffd}", Err("it has no address")),
        ] {
            let expected = match expected {
                Ok(texts) => Ok(texts.split(' ').map(|text| text.parse().unwrap()).collect()),
                Err(why) => Err(why.to_string()),
            };
            assert_eq!(read(said.as_bytes()), expected, "{said:?}");
        }
        let many = "192.0.2.1:25\n".repeat(100);
        assert_eq!(read(many.as_bytes()).unwrap().len(), ADDRESSES);
        assert!(by_system("localhost", 25).is_ok_and(|found| !found.is_empty()));
    }
}
