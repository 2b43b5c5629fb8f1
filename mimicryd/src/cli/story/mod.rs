//! `mimicryd trace`: all that the logs have of a mail, put together and told; or the mails that a generation changed.
//!
//! - `sources`: where lines are found · `gather`: which of them belong to the mail · `whole`: lines of one record · `tell`: the story
//! - `changed`: the mails of a generation
//!
//! Must never: believe that a line is ours because it says so; or write what a mail says to a terminal as it is.

mod changed;
mod gather;
mod sources;
mod tell;
mod whole;

use std::path::PathBuf;

use super::generations::PlaceArg;
use super::output::Output;
use super::show::{Paint, escape};
use crate::prefork::exit::Exit;
use crate::prefork::identity;
use crate::state::generations::Generation;
use changed::Changed;
use gather::{Found, Wanted};
use sources::Sources;

#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    #[command(flatten)]
    place: PlaceArg,
    /// A log file; rotated ones beside it are read, too; - is standard input. Default: where the configuration says that the log goes
    #[arg(long = "log", value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// Show the lines as they stand in the log, too
    #[arg(long, conflicts_with = "generation")]
    lines: bool,
    /// List the mails that the configuration of this generation changed
    #[arg(long, value_name = "N", conflicts_with = "wanted")]
    generation: Option<u64>,
    /// The id of the mail, its Message-ID, its queue id on the machine before, or its digest
    #[arg(value_name = "ID", required_unless_present = "generation")]
    wanted: Option<String>,
}

pub fn run(args: &TraceArgs, paint: Paint) -> Result<Output, Output> {
    // What cannot be answered is said before anything is read.
    let generation = match args.generation {
        Some(number) => Some(args.place.open()?.find(number)?.clone()),
        None => None,
    };
    let sources = match args.logs.is_empty() {
        false => sources::files(&args.logs),
        true => {
            let config = args.place.config.load(paint)?;
            sources::of(&config.log.target, identity::all(&config.daemon))
        }
    };
    let mut troubles: Vec<String> = Vec::new();
    let told = match &generation {
        Some(generation) => changed_mails(generation, &sources, &mut troubles),
        None => story(args, &sources, &mut troubles),
    };
    let err: String = troubles
        .iter()
        .map(|trouble| format!("mimicryd: {trouble}\n"))
        .collect();
    match told {
        Ok(text) => Ok(Output {
            err,
            ..Output::text(text)
        }),
        Err(what) => {
            let why = format!("{what} {}", sources.names().join(", "));
            let failure = Output::failure(Exit::Data, why);
            Err(Output {
                err: err + &failure.err,
                ..failure
            })
        }
    }
}

/// An error: what is said before the names of the places where nothing was found; here and below.
fn story(
    args: &TraceArgs,
    sources: &Sources,
    troubles: &mut Vec<String>,
) -> Result<String, String> {
    let text = args.wanted.as_deref().unwrap_or_default();
    let mut wanted = Wanted::new(text);
    // Which mails these are is said in the lines of their ends, which come last.
    sources.read(troubles, &mut |line| wanted.learn(line));
    troubles.clear();
    let mut found = Found::default();
    sources.read(troubles, &mut |line| found.take(line, &wanted));
    match found.is_empty() {
        true => Err(format!("nothing of {} is in", escape(text))),
        false => Ok(tell::story(&found, args.lines)),
    }
}

fn changed_mails(
    generation: &Generation,
    sources: &Sources,
    troubles: &mut Vec<String>,
) -> Result<String, String> {
    let mut changed = Changed::by(&generation.hash);
    let mut text = String::new();
    let mut tell = |row: String| {
        text.push_str(&row);
        text.push('\n');
    };
    sources.read(troubles, &mut |line| {
        changed.take(line).into_iter().for_each(&mut tell);
    });
    changed.rest().for_each(&mut tell);
    match text.is_empty() {
        true => Err(format!(
            "no mail was changed by generation {} (hash {}), by the lines of",
            generation.numbers(),
            generation.hash
        )),
        false => Ok(text),
    }
}
