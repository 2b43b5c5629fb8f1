//! `mimicryd status`: for people, for programs, and for who watches many services.

use std::io::{self, IsTerminal};

use super::daemon::ask_daemon;
use super::input::ConfigArg;
use super::output::Output;
use super::show::Paint;
use crate::master::control::Request;
use crate::prefork::exit::Exit;
use crate::status::{Health, Status};
use crate::sys::terminal;

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The same facts as one JSON document
    #[arg(long)]
    json: bool,
    /// One line for Nagios and Icinga; exit status 0, 1, 2 or 3
    #[arg(long, conflicts_with = "json")]
    check: bool,
}

pub fn run(args: &StatusArgs, paint: Paint) -> Result<Output, Output> {
    if args.check {
        return Ok(check(args, paint));
    }
    let json = ask_daemon(&args.config, Request::Status, paint)?;
    if args.json {
        return Ok(Output::text(json));
    }
    let status = Status::parse(&json).ok_or_else(not_understood)?;
    Ok(Output::text(status.text(width())))
}

/// The daemon said something that this program does not know.
pub fn not_understood() -> Output {
    Output::failure(
        Exit::Unavailable,
        "the daemon answers otherwise than this program expects",
    )
}

/// Of the terminal, or as `COLUMNS` says where there is none; `None` = lines may be as long as they are.
pub fn width() -> Option<usize> {
    let out = io::stdout();
    match out.is_terminal() {
        true => terminal::size(&out).map(|(columns, _)| columns),
        false => std::env::var("COLUMNS").ok()?.parse().ok(),
    }
    .filter(|columns| *columns >= 20)
}

/// Whatever goes wrong is an answer, too.
fn check(args: &StatusArgs, paint: Paint) -> Output {
    let (health, line) = match ask_daemon(&args.config, Request::Status, paint) {
        Ok(json) => match Status::parse(&json) {
            Some(status) => status.health(),
            None => {
                let why = "the daemon answers otherwise than this program expects";
                (Health::Unknown, Health::Unknown.line(why))
            }
        },
        Err(failure) => {
            let health = match failure.exit {
                Exit::Unavailable => Health::Critical,
                _ => Health::Unknown,
            };
            let first = failure.err.lines().next().unwrap_or_default();
            let why = first.trim_start_matches("mimicryd: ");
            (health, health.line(why))
        }
    };
    Output {
        exit: match health {
            Health::Ok => Exit::Ok,
            Health::Warning => Exit::Warning,
            Health::Critical => Exit::Critical,
            Health::Unknown => Exit::Unknown,
        },
        ..Output::text(line)
    }
}
