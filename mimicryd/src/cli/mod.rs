//! The command line: arguments in, text and an exit code out.
//!
//! - `check`, `explain`, `banks`, `filter`, `keys`, `plugins`: one file per command
//! - `generations`, `rollback`: what was in force, and the way back to it
//! - `restore`: what was archived or removed
//! - `install`: the program and its files on a machine, and the completions of shells
//! - `status`, `top`: what the daemon does · `story`: what became of a mail, and which mails a generation changed ·
//!   `daemon`: run, metrics, reload, poison, upgrade, stop · `demo`: the daemon shown at work
//! - `test`: a folder of mails, and what is expected of each
//! - `input`: the options that commands share, and the mail · `mails`: folders and mailboxes · `texts`: what a reader reads
//! - `page`: what `explain` shows, for a browser
//! - `account`: what a configuration does to a mail, as facts · `trace`: one rule of it · `tree`: the parts, and how
//!   two trees differ
//! - `output`: what a command has to say · `show`: colours, columns and escapes
//!
//! A command returns an [`output::Output`] and does not print; [`main`] writes it. All that comes from a mail is escaped before
//! it reaches a terminal.
//!
//! Must never: print or exit anywhere else in the program; `top` alone prints by itself.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

mod account;
mod banks;
mod check;
mod daemon;
mod demo;
mod explain;
mod filter;
mod generations;
mod input;
mod install;
mod keys;
mod mails;
mod output;
mod page;
mod plugins;
mod restore;
mod rollback;
mod show;
mod status;
mod story;
mod test;
mod texts;
mod top;
mod trace;
mod tree;

use crate::prefork::exit::Exit;
use crate::status::fold::{fold, fold_but};
use crate::sys::terminal;
use output::Output;
use show::Paint;

#[derive(Debug, Parser)]
#[command(
    name = "mimicryd",
    version,
    about = "Edits the parts of mail by rules, byte-exactly"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Colours: auto is on a terminal and without NO_COLOR
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        display_order = 100
    )]
    color: When,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a configuration and show every mistake in it
    Check(check::Args),
    /// Show what the rules do to a mail, and why the other rules do nothing
    Explain(explain::Args),
    /// Hold the rules against a folder of mails and what is expected of each
    Test(test::Args),
    /// Show which policy banks apply, and the settings that are then in force
    Banks(banks::Args),
    /// Apply the rules to a mail: standard input to standard output
    Filter(filter::Args),
    /// List the keys of rules, or those in files: whose, what for, until when
    Keys(keys::Args),
    /// List the plugins, or one of them with its options
    Plugins(plugins::Args),
    /// Show the daemon at work: send five mails through it and show the results
    Demo(demo::Args),
    /// List the configurations that were in force, or show how two of them differ
    Generations(generations::Args),
    /// Show, write out or deliver again what was archived or removed
    Restore(restore::Args),
    /// Put the files of an earlier configuration back, and let the daemon load them
    Rollback(rollback::Args),
    /// Put the program and all that belongs to it in place on this machine
    Install(install::Args),
    /// Print the completions of a shell
    Completions(install::CompletionsArgs),
    /// Make the spool that the configuration names, for the user of the workers
    Prepare(daemon::PrepareArgs),
    /// Run the daemon
    Run(daemon::RunArgs),
    /// Show what the daemon and its workers are doing
    Status(status::StatusArgs),
    /// Show the daemon at work, again and again
    Top(top::TopArgs),
    /// Find all lines of a mail in the logs, and tell its story
    Trace(story::TraceArgs),
    /// Print the numbers of the daemon for Prometheus
    Metrics(daemon::AskArgs),
    /// Tell the daemon to load its configuration again, and say whether it did
    Reload(daemon::ReloadArgs),
    /// Show the mails that killed workers, or let the daemon forget them
    Poison(daemon::PoisonArgs),
    /// Let a new mimicryd take over from the one that runs, and say whether it did
    Upgrade(daemon::AskArgs),
    /// Tell the daemon to finish the mails in hand and stop
    Stop(daemon::AskArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// Runs the command line of the process.
pub fn main() -> ExitCode {
    #[cfg(feature = "smime")]
    crate::sys::libcrypto::without_configuration();
    let output = match Cli::try_parse() {
        Ok(cli) => run(&cli),
        Err(error) => usage(&error),
    };
    ExitCode::from(write(output).status())
}

fn run(cli: &Cli) -> Output {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let paint = |is_terminal: bool| paint(cli.color, is_terminal, no_color || dumb);
    let out = paint(io::stdout().is_terminal());
    let err = paint(io::stderr().is_terminal());
    let result = match &cli.command {
        Command::Check(args) => check::run(args, err),
        Command::Explain(args) => explain::run(args, out, err),
        Command::Test(args) => test::run(args, out, err),
        Command::Banks(args) => banks::run(args, out, err),
        Command::Filter(args) => filter::run(args, err),
        Command::Keys(args) => keys::run(args, out, err),
        Command::Plugins(args) => plugins::run(args, out),
        Command::Demo(args) => demo::run(args, out, err),
        Command::Generations(args) => generations::run(args, out),
        Command::Restore(args) => restore::run(args, out, err),
        Command::Rollback(args) => rollback::run(args, err),
        Command::Install(args) => install::run(args, Cli::command),
        Command::Completions(args) => install::completions(args, Cli::command),
        Command::Prepare(args) => daemon::prepare(args, err),
        Command::Run(args) => daemon::run(args),
        Command::Status(args) => status::run(args, err),
        Command::Trace(args) => story::run(args, err),
        Command::Top(args) => top::run(args, err),
        Command::Metrics(args) => daemon::metrics(args, err),
        Command::Reload(args) => daemon::reload(args, err),
        Command::Poison(args) => daemon::poison(args, err),
        Command::Upgrade(args) => daemon::upgrade(args, err),
        Command::Stop(args) => daemon::stop(args, err),
    };
    let output = answered(result.unwrap_or_else(|failure| failure));
    match cli.command.is_for_people() {
        true => folded(output),
        false => output,
    }
}

/// Asks what has to be asked. Only somebody at a terminal can answer.
fn answered(mut output: Output) -> Output {
    let Some(question) = output.question.take() else {
        return output;
    };
    let nothing = |err: String| Output {
        err,
        exit: Exit::Usage,
        ..Output::text(String::new())
    };
    if !io::stdin().is_terminal() {
        let text = question.text.lines().rev().skip(1).collect::<Vec<_>>();
        let text: String = text.iter().rev().map(|line| format!("{line}\n")).collect();
        return nothing(format!(
            "{text}mimicryd: nothing was changed: there is no terminal to ask at, and no {}\n",
            question.without
        ));
    }
    let mut answer = String::new();
    let asked = io::stderr()
        .write_all(question.text.as_bytes())
        .and_then(|()| io::stdin().read_line(&mut answer));
    let answer = answer.trim().to_ascii_lowercase();
    if asked.is_err() || (answer != "y" && answer != "yes") {
        return nothing("mimicryd: nothing was changed\n".into());
    }
    let done = (question.yes)();
    done.unwrap_or_else(|failure| failure)
}

impl Command {
    /// Is its output text that may be cut into lines.
    fn is_for_people(&self) -> bool {
        match self {
            Command::Banks(_) | Command::Plugins(_) | Command::Demo(_) | Command::Trace(_) => true,
            // Of `status` only the part above its table.
            _ => false,
        }
    }
}

/// In lines no wider than the terminal.
fn folded(output: Output) -> Output {
    match String::from_utf8(output.out) {
        Ok(text) => Output {
            out: fold(&text, status::width()).into_bytes(),
            ..output
        },
        Err(error) => Output {
            out: error.into_bytes(),
            ..output
        },
    }
}

/// A line of a file that is shown, or what points at a place in it: cut, it would be of no use.
fn is_source(line: &str) -> bool {
    let line = line.trim_start_matches(|char: char| char == ' ' || char.is_ascii_digit());
    line.starts_with('|')
}

fn paint(when: When, is_terminal: bool, unwanted: bool) -> Paint {
    Paint(match when {
        When::Always => true,
        When::Never => false,
        When::Auto => is_terminal && !unwanted,
    })
}

/// Help and version are answers; all else is a mistake in the command line.
fn usage(error: &clap::Error) -> Output {
    let text = error.render().to_string();
    if error.exit_code() == 0 {
        return Output::text(text);
    }
    Output {
        err: text,
        exit: Exit::Usage,
        ..Output::text(String::new())
    }
}

/// Writes what a command has to say; the answer is how the process ends.
fn write(output: Output) -> Exit {
    // Nobody is left to be told when standard error is gone.
    let stderr = io::stderr();
    let width = terminal::size(&stderr).map(|(columns, _)| columns);
    let err = fold_but(
        &output.err,
        width.filter(|_| stderr.is_terminal()),
        is_source,
    );
    let _ = io::stderr().write_all(err.as_bytes());
    let mut stdout = io::stdout().lock();
    let Err(error) = stdout.write_all(&output.out).and_then(|()| stdout.flush()) else {
        return output
            .running
            .map_or(output.exit, |running| running.release());
    };
    let closed = error.kind() == io::ErrorKind::BrokenPipe;
    if closed && !output.must_arrive {
        return output.exit;
    }
    if !closed {
        let _ = writeln!(
            io::stderr(),
            "mimicryd: cannot write to standard output: {error}"
        );
    }
    Exit::Io
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn colours_are_for_terminals() {
        for (when, is_terminal, unwanted, coloured) in [
            (When::Auto, true, false, true),
            (When::Auto, true, true, false),
            (When::Auto, false, false, false),
            (When::Always, false, true, true),
            (When::Never, true, false, false),
        ] {
            assert_eq!(
                paint(when, is_terminal, unwanted).0,
                coloured,
                "{when:?} {is_terminal} {unwanted}"
            );
        }
    }
}
