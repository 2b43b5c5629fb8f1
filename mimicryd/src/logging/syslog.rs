//! syslog over its unix socket. The syslog crate knows the formats; the socket is ours ([`super::datagrams`]), because the crate never
//! connects again after a restart of the syslog daemon, and because it would wait for a daemon that is stuck.
//!
//! Must never: wait.

use std::io;
use std::path::Path;

use log::Level;
use mimicry_core::settings::{self, words};
use syslog::{Facility, Formatter3164, Formatter5424, LogFormat, Severity};

use super::datagrams::{self, Datagrams};

/// The socket of the system.
const SYSTEM: &str = "/dev/log";

/// The path of the socket that the configuration means.
pub fn place(path: Option<&Path>) -> &Path {
    path.unwrap_or(Path::new(SYSTEM))
}

/// Why a syslog at this path takes nothing.
pub fn missing(path: &Path) -> Option<String> {
    datagrams::missing("syslog", path)
}

/// Octets of a message in the older form (RFC 3164 section 4.1).
const MAX_3164: usize = 1024;

/// Octets of a message in the newer form that everybody should take (RFC 5424 section 6.1).
const MAX_5424: usize = 2048;

/// What a longer process id or a shorter fraction of a second may make of the head of a message.
const SLACK: usize = 16;

pub struct Syslog {
    socket: Datagrams,
    formatter: Formatter,
    /// Octets of a line at most.
    room: usize,
}

enum Formatter {
    Rfc3164(Formatter3164),
    Rfc5424(Formatter5424),
}

impl Syslog {
    pub fn new(path: Option<&Path>, config: &settings::Log) -> Syslog {
        let facility = facility(config.facility.number());
        let process = "mimicryd".to_string();
        let pid = crate::sys::process::id();
        let formatter = match config.syslog_format {
            words::SyslogFormat::Rfc3164 => Formatter::Rfc3164(Formatter3164 {
                facility,
                hostname: None,
                process,
                pid,
            }),
            words::SyslogFormat::Rfc5424 => Formatter::Rfc5424(Formatter5424 {
                facility,
                hostname: nix::unistd::gethostname()
                    .ok()
                    .and_then(|name| name.into_string().ok()),
                process,
                pid,
            }),
        };
        let most = match &formatter {
            Formatter::Rfc3164(_) => MAX_3164,
            Formatter::Rfc5424(_) => MAX_5424,
        };
        let mut syslog = Syslog {
            socket: Datagrams::to(place(path)),
            formatter,
            room: most,
        };
        let head = syslog
            .datagram(Level::Debug, "")
            .map_or(0, |head| head.len());
        syslog.room = most.saturating_sub(head.saturating_add(SLACK));
        syslog
    }

    pub fn path(&self) -> &Path {
        self.socket.path()
    }

    /// Octets of a line at most.
    pub fn room(&self) -> usize {
        self.room
    }

    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram)
    }

    /// The message of a line.
    pub fn datagram(&mut self, level: Level, line: &str) -> io::Result<Vec<u8>> {
        // A worker inherits the formatter, and with it the pid of its master.
        let pid = crate::sys::process::id();
        let mut out = Vec::with_capacity(line.len().saturating_add(80));
        let done = match &mut self.formatter {
            Formatter::Rfc3164(formatter) => {
                formatter.pid = pid;
                formatter.format(&mut out, severity(level), line)
            }
            Formatter::Rfc5424(formatter) => {
                formatter.pid = pid;
                formatter.format(&mut out, severity(level), (0u32, Default::default(), line))
            }
        };
        done.map_err(|error| io::Error::other(error.to_string()))?;
        Ok(out)
    }
}

/// The severity of a level (RFC 5424 section 6.2.1).
pub fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::LOG_ERR,
        Level::Warn => Severity::LOG_WARNING,
        Level::Info => Severity::LOG_INFO,
        Level::Debug | Level::Trace => Severity::LOG_DEBUG,
    }
}

/// The crate numbers facilities shifted by three bits.
fn facility(number: u8) -> Facility {
    use Facility::*;
    const ALL: [Facility; 24] = [
        LOG_KERN,
        LOG_USER,
        LOG_MAIL,
        LOG_DAEMON,
        LOG_AUTH,
        LOG_SYSLOG,
        LOG_LPR,
        LOG_NEWS,
        LOG_UUCP,
        LOG_CRON,
        LOG_AUTHPRIV,
        LOG_FTP,
        LOG_NTP,
        LOG_AUDIT,
        LOG_ALERT,
        LOG_CLOCK_DAEMON,
        LOG_LOCAL0,
        LOG_LOCAL1,
        LOG_LOCAL2,
        LOG_LOCAL3,
        LOG_LOCAL4,
        LOG_LOCAL5,
        LOG_LOCAL6,
        LOG_LOCAL7,
    ];
    ALL.get(usize::from(number)).copied().unwrap_or(LOG_MAIL)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;

    use super::*;

    fn config(format: words::SyslogFormat) -> settings::Log {
        settings::Log {
            target: settings::LogTarget::Syslog(None),
            format: words::LogFormat::Text,
            subject: false,
            facility: words::Facility::Mail,
            level: words::LogLevel::Info,
            syslog_format: format,
        }
    }

    fn send(syslog: &mut Syslog, line: &str) -> io::Result<()> {
        let datagram = syslog.datagram(Level::Info, line)?;
        syslog.send(&datagram)
    }

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1000];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("mimicry-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_restarted_syslogd_is_found_again_and_an_absent_one_is_not_waited_for() {
        let path = path("log-socket");
        let _ = std::fs::remove_file(&path);
        let mut syslog = Syslog::new(Some(&path), &config(words::SyslogFormat::Rfc3164));
        assert!(send(&mut syslog, "nobody listens").is_err());
        syslog.socket.may_retry();
        let first = UnixDatagram::bind(&path).unwrap();
        send(&mut syslog, "one").unwrap();
        assert!(receive(&first).ends_with(&format!("mimicryd[{}]: one", std::process::id())));
        drop(first);
        std::fs::remove_file(&path).unwrap();
        assert!(send(&mut syslog, "gone").is_err());
        syslog.socket.may_retry();
        let second = UnixDatagram::bind(&path).unwrap();
        send(&mut syslog, "two").unwrap();
        assert!(receive(&second).ends_with(": two"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_stuck_syslogd_is_not_waited_for() {
        let path = path("stuck-socket");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(Some(&path), &config(words::SyslogFormat::Rfc5424));
        // Its queue holds a limited number of datagrams; then sending says so instead of waiting.
        let refused = (0..100_000).any(|_| send(&mut syslog, "line").is_err());
        assert!(refused);
        assert!(receive(&socket).starts_with("<22>1 "));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn facilities_and_severities_make_the_priority() {
        for number in 0..24u8 {
            assert_eq!(facility(number) as u8, number * 8);
        }
        for (level, number) in [
            (Level::Error, 3),
            (Level::Warn, 4),
            (Level::Info, 6),
            (Level::Debug, 7),
        ] {
            assert_eq!(severity(level) as u8, number);
        }
    }
}
