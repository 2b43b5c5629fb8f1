//! `mimicryd check`: does a configuration load, and what is wrong with it.

use std::os::unix::ffi::OsStrExt;

use crate::logging;
use crate::machine;

use super::input::{ConfigArg, SealKeysAtHand, show_mistakes};
use super::output::Output;
use super::show::{Paint, count, escape};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub fn run(args: &Args, paint: Paint) -> Result<Output, Output> {
    let config = args.config.load_and(machine::check, paint)?;
    let keys = SealKeysAtHand::of(&config);
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
    output.err.push_str(&keys.note());
    if let Some(missing) = logging::missing(&config.log) {
        let missing = escape(missing.as_bytes());
        output.err.push_str(&format!(
            "mimicryd: {missing}: lines of the log are lost until there is one\n"
        ));
    }
    Ok(output)
}
