//! `mimicryd trace`: all that the logs have of a mail, put together and told.
//!
//! - `sources`: where lines are found · `gather`: which of them belong to the mail · `tell`: the story
//!
//! Must never: believe that a line is ours because it says so; or write what a mail says to a terminal as it is.

mod gather;
mod sources;
mod tell;

use std::path::PathBuf;

use super::input::ConfigArg;
use super::output::Output;
use super::show::Paint;
use crate::prefork::exit::Exit;
use gather::{Found, Wanted};

#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// A log file; rotated ones beside it are read, too. Default: where the configuration says that the log goes
    #[arg(long = "log", value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// Show the lines as they stand in the log, too
    #[arg(long)]
    lines: bool,
    /// The id of the mail, its Message-ID, its queue id on the machine before, or its digest
    #[arg(value_name = "ID")]
    wanted: String,
}

pub fn run(args: &TraceArgs, paint: Paint) -> Result<Output, Output> {
    let sources = match args.logs.is_empty() {
        false => sources::files(&args.logs),
        true => sources::of(&args.config.load(paint)?.log.target),
    };
    let mut wanted = Wanted::new(&args.wanted);
    let mut troubles: Vec<String> = Vec::new();
    // Which mails these are is said in the lines of their ends, which come last.
    sources.read(&mut troubles, &mut |line| wanted.learn(line));
    troubles.clear();
    let mut found = Found::default();
    sources.read(&mut troubles, &mut |line| found.take(line, &wanted));
    let err: String = troubles
        .iter()
        .map(|trouble| format!("mimicryd: {trouble}\n"))
        .collect();
    if found.is_empty() {
        let places = sources.names().join(", ");
        let why = format!(
            "nothing of {} is in {places}",
            super::show::escape(&args.wanted)
        );
        let failure = Output::failure(Exit::Data, why);
        return Err(Output {
            err: err + &failure.err,
            ..failure
        });
    }
    Ok(Output {
        err,
        ..Output::text(tell::story(&found, args.lines))
    })
}
