//! `mimicryd top`: the daemon at work, again and again.
//!
//! The only command that prints by itself, because it does so until it is told to stop. Plain ANSI: another screen, which the terminal
//! forgets, so that what stood there before stands there again.
//!
//! Must never: leave the terminal otherwise than it was, whatever ends it; only a kill that it cannot hear may.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{Signal, raise};

use super::daemon::ask_daemon;
use super::input::ConfigArg;
use super::output::Output;
use super::show::Paint;
use super::status::not_understood;
use crate::master::control::Request;
use crate::prefork::exit::Exit;
use crate::status::Status;
use crate::status::top::{Since, Size, screen};
use crate::sys::poll;
use crate::sys::signals::Signals;
use crate::sys::terminal::{self, Keys};

#[derive(Debug, clap::Args)]
pub struct TopArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Seconds from one screen to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    interval: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.2..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("from 0.2 to 3600".into()),
    }
}

pub fn run(args: &TopArgs, paint: Paint) -> Result<Output, Output> {
    let out = io::stdout();
    if !out.is_terminal() {
        let json = ask_daemon(&args.config, Request::Status, paint)?;
        let status = Status::parse(&json).ok_or_else(not_understood)?;
        let lines = screen(&status, None, None);
        return Ok(Output::text(lines.join("\n") + "\n"));
    }
    live(args, paint).map_err(|error| Output::failure(Exit::Io, error))?;
    Ok(Output::text(String::new()))
}

/// Until a key or a signal ends it.
fn live(args: &TopArgs, paint: Paint) -> io::Result<()> {
    let signals = Signals::new(&[
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGWINCH,
        Signal::SIGTSTP,
        Signal::SIGCONT,
    ])?;
    let mut display = Some(Display::enter()?);
    let mut before: Option<(Status, Instant)> = None;
    loop {
        let now = Instant::now();
        let lines = match ask_daemon(&args.config, Request::Status, paint) {
            Ok(json) => {
                let status = Status::parse(&json).unwrap_or_default();
                let since = before.as_ref().and_then(|(before, at)| {
                    let passed = now.saturating_duration_since(*at);
                    Since::of(before, &status, passed.as_secs_f64())
                });
                let lines = screen(&status, since, size());
                before = Some((status, now));
                lines
            }
            // It may be about to start again.
            Err(failure) => vec![failure.err.lines().next().unwrap_or_default().to_string()],
        };
        if let Some(display) = &mut display {
            display.show(&lines)?;
        }
        let next = now.checked_add(Duration::from_secs_f64(args.interval));
        loop {
            match wait(&signals, next)? {
                Event::Time => break,
                // The same facts on a screen of another size are not worth the wait either.
                Event::Signal(Signal::SIGWINCH | Signal::SIGCONT) => {
                    if display.is_none() {
                        display = Some(Display::enter()?);
                    }
                    break;
                }
                Event::Signal(Signal::SIGTSTP) => {
                    display = None;
                    raise(Signal::SIGSTOP)?;
                }
                Event::Signal(_) | Event::Quit => return Ok(()),
                Event::Nothing => {}
            }
        }
    }
}

fn size() -> Option<Size> {
    let (columns, rows) = terminal::size(io::stdout()).unwrap_or((80, 24));
    Some(Size { columns, rows })
}

enum Event {
    /// For the next screen.
    Time,
    Signal(Signal),
    /// A key that ends it, or nobody is at the keys any more.
    Quit,
    Nothing,
}

fn wait(signals: &Signals, until: Option<Instant>) -> io::Result<Event> {
    let stdin = io::stdin();
    let mut fds = [
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
    ];
    let has_keys = stdin.is_terminal();
    let count = if has_keys { 2 } else { 1 };
    poll::wait(fds.get_mut(..count).unwrap_or_default(), until)?;
    let is_pressed = has_keys && fds.get(1).is_some_and(|fd| fd.any() == Some(true));
    // The most urgent one counts; the others are in the order in which they were named.
    if let Some(signal) = signals.take().into_iter().next() {
        return Ok(Event::Signal(signal));
    }
    if is_pressed {
        let mut keys = [0; 64];
        let count = stdin.lock().read(&mut keys)?;
        let keys = keys.get(..count).unwrap_or_default();
        let is_end = |key: &u8| matches!(key, b'q' | b'Q' | 0x03 | 0x04);
        return Ok(match count == 0 || keys.iter().any(is_end) {
            true => Event::Quit,
            false => Event::Nothing,
        });
    }
    let is_time = until.is_some_and(|until| until <= Instant::now());
    Ok(if is_time { Event::Time } else { Event::Nothing })
}

/// The other screen, with its cursor hidden; when it is dropped, the one before is there again.
struct Display {
    _keys: Option<Keys>,
}

impl Display {
    fn enter() -> io::Result<Display> {
        let display = Display {
            _keys: Keys::of(io::stdin())?,
        };
        print("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J")?;
        Ok(display)
    }

    fn show(&mut self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            // No line end after the last one, which would move the screen up.
            let end = if number == 0 { "" } else { "\r\n" };
            let _ = write!(text, "{end}{line}\x1b[K");
        }
        text.push_str("\x1b[J");
        print(&text)
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = print("\x1b[?7h\x1b[?25h\x1b[?1049l");
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
