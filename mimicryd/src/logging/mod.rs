//! The log: to syslog, to the journal, to stderr or to a file. A mail has a line ([`line`]), or several if one cannot hold everything
//! ([`sheet`]). A refusal, and everything else that ends a mail or a session otherwise than the client asked, has a
//! line, too. All other lines are sentences. The line of a mail begins with `id=`, that of a refusal with `event=`; a
//! sentence begins with neither. No line is longer than its receiver allows: what does not fit is spread over several
//! lines.
//!
//! A log that cannot be written never holds up a mail: lines that do not go out at once wait in a [`backlog`] of bounded
//! size, further ones are dropped and counted, and the count is logged when the log works again.
//!
//! Must never: let a control character of a mail into a line, cut one, wait, or fail.

use std::borrow::Cow;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use mimicry_core::printable::is_unprintable;
use mimicry_core::settings::{self, words};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use crate::prefork::contract::LogState;
use crate::sys::entry;

use backlog::{Backlog, Losses};
use line::{EventLine, MailLine};
use sheet::json;
use sink::{MAX_LINE, Owner, Sink};

mod backlog;
mod datagrams;
mod journal;
pub mod line;
pub mod read;
mod sheet;
mod sink;
mod syslog;
#[cfg(test)]
mod tests;

/// The target of records that are the line of a mail: already in their format.
pub const MAIL: &str = "mail";

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
pub fn configure(config: &settings::Log, owner: Owner) -> io::Result<()> {
    let sink = Sink::open(config, owner)?;
    with_writer(|writer| {
        // What waits has the form of the log before.
        writer.close();
        writer.sink = sink;
        writer.format = config.format;
    });
    log::set_max_level(config.level.filter());
    Ok(())
}

/// Why nobody takes the log, if it is to go to a syslog that is not there.
pub fn missing(config: &settings::Log) -> Option<String> {
    match &config.target {
        settings::LogTarget::Syslog(path) => syslog::missing(syslog::place(path.as_deref())),
        settings::LogTarget::Journal(path) => journal::missing(journal::place(path.as_deref())),
        settings::LogTarget::Stderr | settings::LogTarget::File(_) => None,
    }
}

/// How the log does.
pub fn state() -> LogState {
    let mut state = LogState::default();
    with_writer(|writer| {
        writer.flush();
        state = LogState {
            target: writer.sink.name(),
            lost: writer.losses.total(),
            trouble: writer.trouble(),
        };
    });
    state
}

/// Lines that no process of the daemon could write. Costs no system call.
pub fn lost() -> u64 {
    let mut lost = 0;
    with_writer(|writer| lost = writer.losses.total());
    lost
}

/// Has this process lines that did not go out.
pub fn is_behind() -> bool {
    let mut is_behind = false;
    with_writer(|writer| is_behind = !writer.backlog.is_empty());
    is_behind
}

/// The last act of a process: what still does not go out is lost.
pub fn close() {
    with_writer(Writer::close);
}

/// Whether [`configure`] could take over what this configuration says.
pub fn can_open(config: &settings::Log, owner: Owner) -> io::Result<()> {
    Sink::open(config, owner).map(drop)
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
        writer.flush();
        result = writer.sink.reopen();
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
    backlog: Backlog,
    losses: Losses,
    /// Why the last line did not go out.
    error: Option<io::Error>,
}

impl Writer {
    fn stderr() -> Writer {
        Writer {
            sink: Sink::stderr(),
            format: words::LogFormat::Text,
            backlog: Backlog::default(),
            losses: Losses::new(),
            error: None,
        }
    }

    /// Says it after all that waits.
    fn say(&mut self, level: Level, target: &str, text: &str) {
        self.flush();
        for octets in self.formed(level, target, text) {
            let Ok(octets) = octets else {
                self.losses.add(1);
                continue;
            };
            let is_out = self.backlog.is_empty() && self.put(&octets).is_ok();
            if !is_out && !self.backlog.push(octets) {
                self.losses.add(1);
            }
        }
    }

    fn formed(&mut self, level: Level, target: &str, text: &str) -> Vec<io::Result<Vec<u8>>> {
        let lines = compose(self.format, level, target, text, self.sink.room());
        let form = |line: String| {
            let line = match self.format {
                words::LogFormat::Text => self.sink.prefix() + &line,
                words::LogFormat::Json => line,
            };
            self.sink.form(level, &line)
        };
        lines.into_iter().map(form).collect()
    }

    /// Writes what waits, and then how much was lost, as far as it goes out at once.
    fn flush(&mut self) {
        self.backlog.settle();
        while let Some(octets) = self.backlog.first().map(<[u8]>::to_vec) {
            match self.put(&octets) {
                Ok(()) => {}
                // It would never go out.
                Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => {
                    self.losses.add(1);
                }
                Err(_) => return,
            }
            self.backlog.drop_first();
        }
        let lost = self.losses.take_unsaid();
        if lost == 0 {
            return;
        }
        let text = format!("{lost} lines of the log were lost");
        let lines = self.formed(Level::Warn, "mimicryd", &text);
        let is_said = lines
            .into_iter()
            .all(|octets| octets.and_then(|octets| self.put(&octets)).is_ok());
        if !is_said {
            self.losses.put_back(lost);
        }
    }

    /// Writes one line, whole or not at all. Where a disk was full amid a line, the next one begins on a line of its own.
    fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        let is_torn = self.sink.is_stream() && self.losses.take_torn();
        let whole = match is_torn {
            true => Cow::Owned([b"\n", octets].concat()),
            false => Cow::Borrowed(octets),
        };
        let result = match self.sink.write(&whole) {
            Ok(written) if written == whole.len() => Ok(()),
            Ok(0) if !is_torn => Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {
                self.losses.tear();
                Err(io::ErrorKind::WriteZero.into())
            }
            Err(error) => {
                if is_torn {
                    self.losses.tear();
                }
                Err(error)
            }
        };
        self.error = result.as_ref().err().map(again);
        result
    }

    fn close(&mut self) {
        self.flush();
        let given_up = self.backlog.give_up();
        self.losses.add(given_up);
    }

    /// Why lines do not go out at present.
    fn trouble(&self) -> Option<String> {
        let missing = match &self.sink {
            Sink::Syslog(syslog) => syslog::missing(syslog.path()),
            Sink::Journal(journal) => journal::missing(journal.path()),
            _ => None,
        };
        if missing.is_some() {
            return missing;
        }
        let error = self.error.as_ref()?;
        let why = match error.kind() {
            io::ErrorKind::WouldBlock => "nobody reads it, or not fast enough".to_string(),
            _ => error.to_string(),
        };
        Some(format!(
            "cannot write the log to {}: {why}",
            self.sink.name()
        ))
    }
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    let system = error.raw_os_error().map(io::Error::from_raw_os_error);
    system.unwrap_or_else(|| error.kind().into())
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
        writer.say(record.level(), record.target(), &record.args().to_string());
    }

    fn flush(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .flush();
    }
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
