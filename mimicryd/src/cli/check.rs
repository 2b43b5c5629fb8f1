//! `mimicryd check`: does a configuration load and run here, and what is wrong with it.
//!
//! What of this machine the workers can write to is judged by whoever checks, and, where a daemon runs with the same file, by that daemon,
//! too: under a service manager it may see less than a shell does.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use mimicry_core::config::Config;

use crate::logging;
use crate::machine;
use crate::master::control::{Request, ask};
use crate::prefork::exit::Exit;
use crate::{own_places, spool, unit};

use super::input::{ConfigArg, SealKeysAtHand, show_mistakes};
use super::output::Output;
use super::show::{Paint, count, escape};

/// A child of the daemon loads the file, and ends before this.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Only the file: nothing of this machine is looked at, and no daemon is asked
    #[arg(long)]
    offline: bool,
}

pub fn run(args: &Args, paint: Paint) -> Result<Output, Output> {
    let judge = if args.offline {
        |_: &Config| Ok(())
    } else {
        machine::check
    };
    let config = args.config.load_and(judge, paint)?;
    let path = escape(config.path.as_os_str().as_bytes());
    // Where there are banks, a rule may be in force in some of them only.
    let rules = match config.banks.all().len() {
        0 => count(config.policy.rules.len(), "rule"),
        banks => format!(
            "{}, {}",
            count(config.banks.number_of_rules(), "rule"),
            count(banks, "bank")
        ),
    };
    let warnings = config.warnings.list.len();
    let warnings = count(
        warnings.saturating_add(config.warnings.more.warnings),
        "warning",
    );
    let mut output = Output::text(format!("{path}: {rules}, {warnings}\n"));
    if !config.warnings.is_empty() {
        output.err = format!("{}\n\n", show_mistakes(&config.warnings, paint));
    }
    match args.offline {
        true => output.out.extend_from_slice(left_out(&config).as_bytes()),
        false => here(&config, &mut output)?,
    }
    Ok(output)
}

/// What is said of this machine.
fn here(config: &Config, output: &mut Output) -> Result<(), Output> {
    output.err.push_str(&SealKeysAtHand::of(config).note());
    if let Some(missing) = logging::missing(&config.log) {
        let missing = escape(missing.as_bytes());
        output.err.push_str(&format!(
            "mimicryd: {missing}: lines of the log are lost until there is one\n"
        ));
    }
    let ledger = spool::ledger(&config.daemon).text();
    output
        .out
        .extend_from_slice(format!("{}\n", escape(ledger.as_bytes())).as_bytes());
    let beyond = unit::out_of_reach(&machine::written(config));
    if !beyond.is_empty() {
        let drop_in = unit::drop_in(&beyond);
        let lines: String = drop_in
            .lines()
            .map(|line| format!("    {line}\n"))
            .collect();
        output.err.push_str(&format!(
            "mimicryd: under systemd workers cannot write to {}, which the unit does not grant: {}, and write\n{lines}",
            if beyond.len() == 1 { "a directory" } else { "directories" },
            unit::EDIT
        ));
    }
    ask_daemon(config)
}

/// What a daemon that runs with this file finds wrong.
fn ask_daemon(config: &Config) -> Result<(), Output> {
    // No daemon, or one that may not be asked, or is older and does not know the question.
    let control = own_places::control(config.daemon.control.clone());
    let Ok(answer) = ask(&control, Request::Check, PATIENCE) else {
        return Ok(());
    };
    let (path, found) = answer.text.split_once('\n').unwrap_or_default();
    let is_this = |path: &Path| {
        let (one, other) = (path.canonicalize(), config.path.canonicalize());
        matches!((one, other), (Ok(one), Ok(other)) if one == other)
    };
    if answer.status != Exit::Config || !is_this(Path::new(path)) {
        return Ok(());
    }
    Err(Output {
        err: format!(
            "{}\n\nthe daemon that runs would refuse it\n",
            found.trim_end()
        ),
        ..Output::failure(Exit::Config, "")
    })
}

/// What `--offline` does not look at.
fn left_out(config: &Config) -> String {
    let mut all = machine::named(config);
    all.push("the ledger".into());
    all.push("the daemon that runs".into());
    format!("not looked at: {}\n", escape(all.join(", ").as_bytes()))
}
