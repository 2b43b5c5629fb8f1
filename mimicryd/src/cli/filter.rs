//! `mimicryd filter`: a mail goes in, the rules are applied, the mail comes out.
//!
//! Archives and what `keep` keeps belong to the daemon: without `--effects` nothing is written there, and with it only in the name
//! of the user who writes there otherwise.
//!
//! Must never: write half a mail, or anything of a mail that is deferred or rejected.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

use mimicry_core::config::Config;
use mimicry_core::engine::{self, Judged, Stopped};
use mimicry_core::mail::Mail;
use mimicry_core::plugin::{Effects, Means};
use mimicry_core::policy::{ClassOf, Memo, Policy};
use mimicry_core::rule::facts::Facts;

use crate::clock;
use crate::prefork::identity;
use crate::sys::privileges;

use super::account::{recipients, scan};
use super::input::{ConfigArg, SealKeysAtHand, Transaction, read_mail};
use super::output::Output;
use super::show::{Paint, octets, short};
use super::trace::{self, Course};
use crate::prefork::exit::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    transaction: Transaction,
    /// Also write what archive rules and keep = "dir" write, as the user of the workers
    #[arg(long)]
    effects: bool,
}

pub fn run(args: &Args, paint: Paint) -> Result<Output, Output> {
    // Before the mail is read: somebody at a terminal would wait for it.
    let envelope = args.transaction.envelope()?;
    let config = args.config.load(paint)?;
    let origin = args.transaction.origin(&config)?;
    let raw = read_mail(Path::new("-"), config.banks.largest_mail_of_all())?;
    let keys = SealKeysAtHand::of(&config);
    let effects = match args.effects {
        true => {
            become_worker(&config)?;
            Effects::Real
        }
        false => Effects::None,
    };
    guarded(|| {
        let mail = Mail {
            message: scan(&config, &origin, &envelope.sender, raw),
            origin,
            envelope,
            received: clock::now(),
        };
        filter(&config, mail, &keys, effects)
    })
}

/// What root wrote into an archive, workers could not open.
fn become_worker(config: &Config) -> Result<(), Output> {
    let whose = identity::workers(&config.daemon)
        .map_err(|missing| Output::failure(Exit::NoUser, missing.message))?;
    let Some(whose) = whose else {
        return Ok(());
    };
    privileges::become_user(&whose.identity).map_err(|error| {
        let name = &whose.identity.name;
        Output::failure(Exit::System, format!("cannot become {name}: {error}"))
    })
}

/// A caller such as pipe(8) returns a mail to its sender on an exit code that it does not know, as that of a panic, and
/// keeps it on this one.
fn guarded(work: impl FnOnce() -> Result<Output, Output>) -> Result<Output, Output> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let reason = "a fault of mimicry itself; the mail was not written";
        Err(Output::failure(Exit::Deferred, reason))
    })
}

fn filter(
    config: &Config,
    mail: Mail,
    keys: &SealKeysAtHand,
    effects: Effects,
) -> Result<Output, Output> {
    let judge = |classes: &[ClassOf], effects: Effects| {
        let means = Means {
            effects,
            seal_keys: &keys.keys,
            observer: &(),
        };
        engine::judge(&config.banks, &Memo::default(), &mail, classes, means)
    };
    let mut classes = Memo::default().classes(&config.banks, &mail);
    if mail.envelope.recipients.len() > 1 {
        // One mail goes out, so it must be the same for all recipients; where it goes is nothing to us. Nothing is kept yet.
        let judged = judge(&classes, Effects::None);
        if !are_shared(&judged) {
            return Err(several(&mail, &judged));
        }
        classes.truncate(1);
        for class in &mut classes {
            class.recipients = (0..mail.envelope.recipients.len()).collect();
        }
    }
    let Some(judged) = judge(&classes, effects).pop() else {
        return Err(several(&mail, &[]));
    };
    let (policy, plan) = (&judged.settings.policy, &judged.plan);
    // Nobody shares it: there is one class.
    let Some(applied) = Rc::into_inner(judged.result) else {
        return Err(several(&mail, &[]));
    };
    let facts = Facts::of(&mail);
    let rules = trace::rules(Course {
        policy,
        facts: &facts,
        plan,
        result: applied.as_ref().map(|applied| &applied.reports),
    });
    drop(facts);
    let mut err = keys.note();
    for rule in rules {
        err.push_str(&format!(
            "mimicryd: {} ({}): {}\n",
            short(&rule.name, 60),
            rule.plugin,
            rule.line()
        ));
    }
    let applied = match applied {
        Ok(applied) => applied,
        Err(stopped) => return Err(stop(policy, &stopped, err)),
    };
    let before = mail.message.raw().len() as u64;
    let out = match applied.message {
        Some(message) => {
            let out = message.into_raw();
            err.push_str(&format!(
                "mimicryd: changed, {} → {} octets\n",
                octets(before),
                octets(out.len() as u64)
            ));
            out
        }
        None => {
            err.push_str("mimicryd: unchanged\n");
            mail.message.into_raw()
        }
    };
    Ok(Output {
        out,
        err,
        must_arrive: true,
        ..Output::text(String::new())
    })
}

/// Do all classes share what comes of the rules?
fn are_shared(judged: &[Judged]) -> bool {
    judged
        .windows(2)
        .all(|pair| matches!(pair, [one, other] if Rc::ptr_eq(&one.result, &other.result)))
}

fn several(mail: &Mail, judged: &[Judged]) -> Output {
    let mut reason =
        "different rules hold for these recipients; filter the mail once for each class"
            .to_string();
    for (index, judged) in judged.iter().enumerate() {
        let number = index.saturating_add(1);
        reason.push_str(&format!(
            "\nclass {number}: {}",
            recipients(mail, &judged.plan).join(", ")
        ));
    }
    Output::failure(Exit::Usage, reason)
}

fn stop(policy: &Policy, stopped: &Stopped, mut err: String) -> Output {
    let (exit, word) = if stopped.is_reject() {
        (Exit::Rejected, "rejected")
    } else {
        (Exit::Deferred, "deferred")
    };
    let rule = policy
        .rules
        .get(stopped.rule)
        .map_or("", |rule| rule.name.as_str());
    err.push_str(&format!(
        "mimicryd: {word} by {}: {}\n",
        short(rule, 60),
        short(&stopped.text, 300)
    ));
    Output {
        err,
        ..Output::failure(exit, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_defers_the_mail() {
        let output = guarded(|| panic!("a fault made for the test")).unwrap_err();
        assert_eq!(output.exit, Exit::Deferred);
        assert!(output.out.is_empty());
    }
}
