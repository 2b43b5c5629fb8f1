//! The log: to syslog, to stderr or to a file, one line per record, and one record per mail ([`line`]).
//!
//! A log that cannot be written never holds up a mail: what does not go out at once is dropped and counted, and the
//! count is the first thing said when the log is back.
//!
//! Must never: let a control character of a mail into a line, wait, or fail.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use mimicry_core::config::typed;
use mimicry_core::printable::is_unprintable;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid};

use crate::sys::place::{self, Place};

pub mod line;
mod syslog;

/// The target of records that are the line of a mail: already in their format.
pub const MAIL: &str = "mail";

/// Octets of one line at most; longer ones are cut.
const MAX_LINE: usize = 8192;

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Sets the log up before any configuration is read: warnings and worse to stderr.
pub fn start() {
    let logger = LOGGER.get_or_init(|| Logger(Mutex::new(State::stderr())));
    // What a panic says may hold pieces of a mail: its place is enough to find it by.
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => log::error!("a panic at {place}"),
        None => log::error!("a panic"),
    }));
    // A second call finds the logger installed, which is all that is wanted.
    let _ = log::set_logger(logger);
    log::set_max_level(LevelFilter::Warn);
}

/// Takes over what the configuration says. On an error the log stays as it was.
pub fn configure(config: &typed::Log) -> io::Result<()> {
    let sink = Sink::open(&config.target, config)?;
    with_state(|state| {
        state.sink = sink;
        state.format = config.format;
    });
    log::set_max_level(config.level.filter());
    Ok(())
}

/// The format that the line of a mail must have.
pub fn format() -> typed::LogFormat {
    let mut format = typed::LogFormat::Text;
    with_state(|state| format = state.format);
    format
}

/// Opens a log file anew, after it was moved away.
pub fn reopen() -> io::Result<()> {
    let mut result = Ok(());
    with_state(|state| {
        if let Sink::File { path, file } = &mut state.sink {
            match open_file(path) {
                Ok(new) => *file = new,
                Err(error) => result = Err(error),
            }
        }
    });
    result
}

/// Gives the log file, if the log is one, to the user that the workers run as. It is the file that is open which is given, whatever
/// stands in its place by now.
pub fn give(user: Uid, group: Gid) -> io::Result<()> {
    let mut result = Ok(());
    with_state(|state| {
        if let Sink::File { file, .. } = &state.sink {
            result = place::give(file, user, group);
        }
    });
    result
}

/// A record that is not the line of a mail, as JSON.
#[derive(serde::Serialize)]
struct Message<'a> {
    time: String,
    level: String,
    message: &'a str,
}

struct Logger(Mutex<State>);

struct State {
    sink: Sink,
    format: typed::LogFormat,
    /// Records that could not be written since the last one that could.
    dropped: u64,
}

enum Sink {
    /// With `<N>` before each line, the severity as journald reads it.
    Journal,
    Stderr,
    File {
        path: PathBuf,
        file: File,
    },
    Syslog(syslog::Syslog),
}

impl State {
    fn stderr() -> State {
        State {
            sink: Sink::stderr(),
            format: typed::LogFormat::Text,
            dropped: 0,
        }
    }
}

fn with_state(act: impl FnOnce(&mut State)) {
    if let Some(logger) = LOGGER.get() {
        // A panic while logging leaves nothing half done that matters.
        act(&mut logger.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // The crates below us talk on their own; what they say is rarely an administrator's business.
        let ours = record.target() == MAIL || record.target().starts_with("mimicry");
        if !self.enabled(record.metadata()) || (!ours && record.level() > Level::Warn) {
            return;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.dropped > 0 {
            let text = format!("{} lines of the log were lost", state.dropped);
            let line = compose(state.format, Level::Warn, "mimicryd", &text, &state.sink);
            if state.sink.write(Level::Warn, &line).is_ok() {
                state.dropped = 0;
            }
        }
        let line = compose(
            state.format,
            record.level(),
            record.target(),
            &record.args().to_string(),
            &state.sink,
        );
        if state.sink.write(record.level(), &line).is_err() {
            state.dropped = state.dropped.saturating_add(1);
        }
    }

    fn flush(&self) {}
}

/// One line without its end.
fn compose(
    format: typed::LogFormat,
    level: Level,
    target: &str,
    text: &str,
    sink: &Sink,
) -> String {
    let mut line = match (format, target) {
        (typed::LogFormat::Json, MAIL) => text.to_string(),
        (typed::LogFormat::Json, _) => line::to_json(&Message {
            time: line::now(),
            level: level.as_str().to_ascii_lowercase(),
            message: text,
        }),
        (typed::LogFormat::Text, MAIL) => sink.prefix() + text,
        (typed::LogFormat::Text, _) => match level {
            Level::Error | Level::Warn => format!(
                "{}{}: {text}",
                sink.prefix(),
                level.as_str().to_ascii_lowercase()
            ),
            _ => sink.prefix() + text,
        },
    };
    if line.contains(is_unprintable) {
        line = line
            .chars()
            .map(|char| {
                if is_unprintable(char) {
                    char.escape_unicode().to_string()
                } else {
                    char.to_string()
                }
            })
            .collect();
    }
    if line.len() > MAX_LINE {
        let cut = (0..=MAX_LINE)
            .rev()
            .find(|at| line.is_char_boundary(*at))
            .unwrap_or(0);
        line.truncate(cut);
    }
    line
}

impl Sink {
    fn open(target: &typed::LogTarget, config: &typed::Log) -> io::Result<Sink> {
        Ok(match target {
            typed::LogTarget::Stderr => Sink::stderr(),
            typed::LogTarget::File(path) => Sink::File {
                path: path.clone(),
                file: open_file(path)?,
            },
            typed::LogTarget::Syslog(path) => {
                Sink::Syslog(syslog::Syslog::new(path.as_deref(), config))
            }
        })
    }

    fn stderr() -> Sink {
        // systemd sets it when stderr is the journal.
        if std::env::var_os("JOURNAL_STREAM").is_some() {
            Sink::Journal
        } else {
            Sink::Stderr
        }
    }

    /// The time, where nobody else writes it.
    fn prefix(&self) -> String {
        match self {
            Sink::Stderr | Sink::File { .. } => {
                format!("{} mimicryd[{}]: ", line::now(), std::process::id())
            }
            Sink::Journal | Sink::Syslog(_) => String::new(),
        }
    }

    fn write(&mut self, level: Level, line: &str) -> io::Result<()> {
        // One write per line, so that lines of several processes do not mix.
        match self {
            Sink::Stderr => io::stderr().write_all(format!("{line}\n").as_bytes()),
            Sink::Journal => io::stderr()
                .write_all(format!("<{}>{line}\n", syslog::severity(level) as u8).as_bytes()),
            Sink::File { file, .. } => file.write_all(format!("{line}\n").as_bytes()),
            Sink::Syslog(syslog) => syslog.send(level, line),
        }
    }
}

/// The directory may be the workers', who could put a link there.
fn open_file(path: &Path) -> io::Result<File> {
    Place::of(path)?.open_or_make(OFlag::O_WRONLY | OFlag::O_APPEND, 0o640)
}

#[cfg(test)]
mod tests {
    use super::*;
    use typed::LogFormat::{Json, Text};

    /// The line less the time and the process id.
    fn composed(format: typed::LogFormat, level: Level, target: &str, text: &str) -> String {
        compose(format, level, target, text, &Sink::Journal)
    }

    #[test]
    fn lines() {
        for (format, level, target, text, line) in [
            (Text, Level::Info, "mimicryd", "started", "started"),
            (Text, Level::Warn, "mimicryd", "odd", "warn: odd"),
            (Text, Level::Error, "mimicryd", "bad", "error: bad"),
            (Text, Level::Info, MAIL, "id=1", "id=1"),
            (Json, Level::Info, MAIL, "{\"id\":1}", "{\"id\":1}"),
            (
                Text,
                Level::Info,
                "mimicryd",
                "a\nb\u{1b}[2J\u{202e}",
                "a\\u{a}b\\u{1b}[2J\\u{202e}",
            ),
        ] {
            assert_eq!(composed(format, level, target, text), line);
        }
        let json = composed(Json, Level::Warn, "mimicryd", "a \"b\"\n");
        assert!(
            json.ends_with(r#""level":"warn","message":"a \"b\"\n"}"#),
            "{json}"
        );
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        let line = composed(Text, Level::Info, "mimicryd", &"ü".repeat(MAX_LINE));
        assert_eq!(line.len(), MAX_LINE);
    }
}
