//! `mimicryd check`: does a configuration load and run here, and what is wrong with it.
//!
//! What of this machine the workers can write to is judged by whoever checks, and, where a daemon runs with the same file, by that daemon,
//! too: under a service manager it may see less than a shell does.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mimicry_core::config::Config;

use crate::clock;
use crate::expiry;
use crate::loading;
use crate::logging;
use crate::machine;
use crate::master::control::{Request, ask};
use crate::prefork::exit::Exit;
use crate::{own_places, spool, unit};

use super::input::{ConfigArg, SealKeysAtHand, show_mistakes};
use super::output::Output;
use super::show::{Paint, count, escape};

/// A child of the daemon loads the file, and ends before this.
const PATIENCE: Duration = loading::TIME.saturating_add(Duration::from_secs(15));

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
    let of_keys = expiry::warnings(&config, clock::now().unix);
    let warnings = config.warnings.list.len();
    let warnings = count(
        warnings
            .saturating_add(config.warnings.more.warnings)
            .saturating_add(of_keys.len()),
        "warning",
    );
    let mut output = Output::text(format!("{path}: {rules}, {warnings}\n"));
    if !config.warnings.is_empty() {
        output.err = format!("{}\n\n", show_mistakes(&config.warnings, paint));
    }
    for line in of_keys {
        output
            .err
            .push_str(&format!("mimicryd: {}\n", escape(line)));
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
    if let Some(beyond) = beyond.as_deref().filter(|beyond| !beyond.is_empty()) {
        output.err.push_str(&grant(beyond));
    }
    let Some(found) = ask_daemon(config) else {
        return Ok(());
    };
    output.err.push_str(&format!("{}\n\n", found.trim_end()));
    // The unit grants all by now: the daemon was started before it did.
    if beyond.is_some_and(|beyond| beyond.is_empty()) {
        let note = "mimicryd: the daemon that runs would refuse it; after a restart it has what its unit grants\n";
        output.err.push_str(note);
        return Ok(());
    }
    output
        .err
        .push_str("the daemon that runs would refuse it\n");
    Err(Output {
        err: std::mem::take(&mut output.err),
        ..Output::failure(Exit::Config, "")
    })
}

/// What the unit lacks.
fn grant(beyond: &[PathBuf]) -> String {
    let drop_in = unit::drop_in(beyond);
    let lines: String = drop_in
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    let names: Vec<_> = beyond
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let names = names.join(", ");
    format!(
        "mimicryd: under systemd workers cannot write to {}: {}, write these lines, and restart mimicryd\n{}",
        escape(names.as_bytes()),
        unit::EDIT,
        escape_lines(&lines)
    )
}

fn escape_lines(lines: &str) -> String {
    let lines = lines
        .lines()
        .map(|line| format!("{}\n", escape(line.as_bytes())));
    lines.collect()
}

/// What a daemon that runs with this file finds wrong.
fn ask_daemon(config: &Config) -> Option<String> {
    // No daemon, or one that may not be asked, or is older and does not know the question.
    let control = own_places::control(config.daemon.control.clone());
    let answer = ask(&control, Request::Check, PATIENCE).ok()?;
    let (path, found) = answer.text.split_once('\n').unwrap_or_default();
    let (one, other) = (Path::new(path).canonicalize(), config.path.canonicalize());
    let is_this = matches!((one, other), (Ok(one), Ok(other)) if one == other);
    (answer.status == Exit::Config && is_this).then(|| found.to_string())
}

/// What `--offline` does not look at.
fn left_out(config: &Config) -> String {
    let mut all = machine::named(config);
    all.push("the ledger".into());
    all.push("the daemon that runs".into());
    format!("not looked at: {}\n", escape(all.join(", ").as_bytes()))
}
