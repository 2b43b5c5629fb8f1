//! The log: to syslog, to stderr or to a file. A mail has a line ([`line`]), or several if one cannot hold everything
//! ([`sheet`]). A refusal, and everything else that ends a mail or a session otherwise than the client asked, has a
//! line, too. All other lines are sentences. The line of a mail begins with `id=`, that of a refusal with `event=`; a
//! sentence begins with neither. No line is longer than its receiver allows: what does not fit is spread over several
//! lines.
//!
//! A log that cannot be written never holds up a mail: a line that does not go out at once is dropped and counted, and
//! the count is logged first when the log works again.
//!
//! Must never: let a control character of a mail into a line, cut one, wait, or fail.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use mimicry_core::printable::is_unprintable;
use mimicry_core::settings::{self, words};
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid};

use crate::sys::entry::{self, Entry};

use line::{EventLine, MailLine};
use sheet::json;

pub mod line;
mod sheet;
mod syslog;
#[cfg(test)]
mod tests;

/// The target of records that are the line of a mail: already in their format.
pub const MAIL: &str = "mail";

/// Octets of one line at most in a file or on stderr, less the time before it. syslog has limits of its own.
const MAX_LINE: usize = 8192;

/// What stands before the further lines of a sentence.
const CONTINUED: &str = "(continued) ";

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Sets the log up before any configuration is read: warnings and worse to stderr.
pub fn start() {
    let logger = LOGGER.get_or_init(|| Logger(Mutex::new(Writer::stderr())));
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
pub fn configure(config: &settings::Log) -> io::Result<()> {
    let sink = Sink::open(&config.target, config)?;
    with_writer(|writer| {
        writer.sink = sink;
        writer.format = config.format;
    });
    log::set_max_level(config.level.filter());
    Ok(())
}

/// Whether [`configure`] could take over what this configuration says.
pub fn can_open(config: &settings::Log) -> io::Result<()> {
    Sink::open(&config.target, config).map(drop)
}

/// Writes the lines of a mail.
pub fn mail(line: &MailLine) {
    write(|format, room| line.compose(format, room));
}

/// Writes what ended a mail or a session otherwise than asked.
pub fn event(line: &EventLine) {
    write(|format, room| line.compose(format, room));
}

fn write(compose: impl FnOnce(words::LogFormat, usize) -> Vec<String>) {
    if !log::log_enabled!(target: MAIL, Level::Info) {
        return;
    }
    let mut form = (words::LogFormat::Text, MAX_LINE);
    with_writer(|writer| form = (writer.format, writer.sink.room()));
    let (format, room) = form;
    for text in compose(format, room) {
        log::info!(target: MAIL, "{text}");
    }
}

/// Opens a log file anew, after it was moved away.
pub fn reopen() -> io::Result<()> {
    let mut result = Ok(());
    with_writer(|writer| {
        if let Sink::File { path, file } = &mut writer.sink {
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
    with_writer(|writer| {
        if let Sink::File { file, .. } = &writer.sink {
            result = entry::give(file, user, group);
        }
    });
    result
}

struct Logger(Mutex<Writer>);

struct Writer {
    sink: Sink,
    format: words::LogFormat,
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

impl Writer {
    fn stderr() -> Writer {
        Writer {
            sink: Sink::stderr(),
            format: words::LogFormat::Text,
            dropped: 0,
        }
    }
}

impl Writer {
    /// Writes it; returns how many lines could not be written.
    fn say(&mut self, level: Level, target: &str, text: &str) -> u64 {
        let mut lost = 0u64;
        for line in compose(self.format, level, target, text, self.sink.room()) {
            let line = match self.format {
                words::LogFormat::Text => self.sink.prefix() + &line,
                words::LogFormat::Json => line,
            };
            if self.sink.write(level, &line).is_err() {
                lost = lost.saturating_add(1);
            }
        }
        lost
    }
}

fn with_writer(act: impl FnOnce(&mut Writer)) {
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
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.dropped > 0 {
            let text = format!("{} lines of the log were lost", writer.dropped);
            if writer.say(Level::Warn, "mimicryd", &text) == 0 {
                writer.dropped = 0;
            }
        }
        let lost = writer.say(record.level(), record.target(), &record.args().to_string());
        writer.dropped = writer.dropped.saturating_add(lost);
    }

    fn flush(&self) {}
}

/// What is said, as lines without their ends, none of which is longer than `room` and what the sink puts before it.
fn compose(
    format: words::LogFormat,
    level: Level,
    target: &str,
    text: &str,
    room: usize,
) -> Vec<String> {
    // The last wall: whoever makes a line has escaped what others wrote.
    let text = shown(text);
    if target == MAIL {
        return vec![text.into_owned()];
    }
    let word = level.as_str().to_ascii_lowercase();
    let head = match level {
        Level::Error | Level::Warn => format!("{word}: "),
        _ => String::new(),
    };
    let time = line::now();
    // `{"time":"…","level":"…","message":"…"}`
    let around = head.len().max(time.len().saturating_add(60));
    let room = room.saturating_sub(around.saturating_add(CONTINUED.len()));
    let pieces = pieces(&text, room, format).into_iter().enumerate();
    let pieces = pieces.map(|(index, piece)| match index {
        0 => piece.to_string(),
        _ => format!("{CONTINUED}{piece}"),
    });
    let line = |piece: String| match format {
        words::LogFormat::Text => format!("{head}{piece}"),
        words::LogFormat::Json => {
            let message = json(&piece);
            format!("{{\"time\":\"{time}\",\"level\":\"{word}\",\"message\":{message}}}")
        }
    };
    pieces.map(line).collect()
}

/// Without what moves the cursor or disguises a line.
fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let escape = |char: char| match is_unprintable(char) {
        true => char.escape_unicode().to_string(),
        false => char.to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Pieces that take at most so many octets, at least a character each. There is one, if only the empty one.
fn pieces(text: &str, room: usize, format: words::LogFormat) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut begin, mut taken) = (0, 0usize);
    for (at, char) in text.char_indices() {
        let is_escaped = format == words::LogFormat::Json && matches!(char, '"' | '\\');
        let cost = char.len_utf8().saturating_add(usize::from(is_escaped));
        if at > begin && taken.saturating_add(cost) > room {
            pieces.extend(text.get(begin..at));
            (begin, taken) = (at, 0);
        }
        taken = taken.saturating_add(cost);
    }
    pieces.extend(text.get(begin..));
    pieces
}

impl Sink {
    fn open(target: &settings::LogTarget, config: &settings::Log) -> io::Result<Sink> {
        Ok(match target {
            settings::LogTarget::Stderr => Sink::stderr(),
            settings::LogTarget::File(path) => Sink::File {
                path: path.clone(),
                file: open_file(path)?,
            },
            settings::LogTarget::Syslog(path) => {
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

    /// Octets of a line at most, less what the sink puts before it.
    fn room(&self) -> usize {
        match self {
            Sink::Journal | Sink::Stderr | Sink::File { .. } => MAX_LINE,
            Sink::Syslog(syslog) => syslog.room(),
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
    Entry::of(path)?.open_or_make(OFlag::O_WRONLY | OFlag::O_APPEND, 0o640)
}
