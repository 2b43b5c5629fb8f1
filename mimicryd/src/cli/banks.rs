//! `mimicryd banks`: which policy banks apply to a mail, and the settings that are then in force.
//!
//! Must never: judge a bank differently from the daemon.

use std::ffi::OsString;
use std::net::IpAddr;

use mimicry_core::config::Config;
use mimicry_core::envelope::Path;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::{Limits, Message};
use mimicry_core::policy::select::Selection;
use mimicry_core::policy::{Choice, Known};
use mimicry_core::rule::facts::Facts;

use super::account::settings;
use super::explain;
use super::input::{ConfigArg, Transaction, path};
use super::output::Output;
use super::show::{Paint, escape, pad};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The listener of the configuration that received the mail
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The address of the client
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// The user of a trusted client's AUTH= parameter
    #[arg(long, value_name = "USER")]
    auth_user: Option<String>,
    /// The envelope sender; '' or '<>' is the null return path
    #[arg(long, value_name = "PATH")]
    from: Option<OsString>,
    /// The address in the From field
    #[arg(long, value_name = "ADDRESS")]
    header_from: Option<OsString>,
    /// An envelope recipient; give the option once for each
    #[arg(long, value_name = "PATH")]
    to: Vec<OsString>,
}

pub fn run(args: &Args, out: Paint, err: Paint) -> Result<Output, Output> {
    let config = args.config.load(err)?;
    let transaction = Transaction {
        from: args.from.clone(),
        to: args.to.clone(),
        client: args.client,
        helo: None,
        listener: args.listener.clone(),
        auth_user: args.auth_user.clone(),
    };
    let origin = transaction.origin(&config)?;
    let sender = transaction.sender()?;
    let recipients = transaction.recipients()?;
    let mail = args.header_from.as_ref().map(mail_from).transpose()?;
    let facts = mail.as_ref().map(Facts::of);
    let known = Known {
        origin: &origin,
        sender: sender.as_ref(),
        recipient: None,
        facts: facts.as_ref(),
    };
    let mut text = String::new();
    for (choice, recipients) in choices(&config, known, &recipients) {
        if !text.is_empty() {
            text.push('\n');
        }
        if !recipients.is_empty() {
            let names: Vec<String> = recipients.iter().map(|path| path.to_string()).collect();
            text.push_str(&format!("{}\n", out.bold(&names.join(", "))));
        }
        text.push_str(&account(
            &config,
            known,
            &choice,
            recipients.first().copied(),
            out,
        ));
    }
    Ok(Output::text(text))
}

/// The choices of banks, each with its recipients; without any there is one choice.
fn choices<'r>(
    config: &Config,
    known: Known<'_>,
    recipients: &'r [Path],
) -> Vec<(Choice, Vec<&'r Path>)> {
    if recipients.is_empty() {
        return vec![(config.banks.choose(&known), Vec::new())];
    }
    let mut choices: Vec<(Choice, Vec<&Path>)> = Vec::new();
    for recipient in recipients {
        let choice = config.banks.choose(&Known {
            recipient: Some(recipient),
            ..known
        });
        match choices.iter_mut().find(|(other, _)| *other == choice) {
            Some((_, members)) => members.push(recipient),
            None => choices.push((choice, vec![recipient])),
        }
    }
    choices
}

fn account(
    config: &Config,
    known: Known<'_>,
    choice: &Choice,
    recipient: Option<&Path>,
    paint: Paint,
) -> String {
    let banks = &config.banks;
    let path = escape(banks.path(&choice.applied));
    let mut text = format!("{}  {path}\n", paint.dim("bank"));
    let known = Known { recipient, ..known };
    let width = banks
        .all()
        .iter()
        .map(|bank| escape(&bank.name).chars().count());
    let width = width.max().unwrap_or(0);
    for bank in banks.all() {
        let (sign, why) = match bank.judge(&known) {
            Selection::Holds => (paint.green("+"), "applies".to_string()),
            Selection::Pending => (
                paint.yellow("?"),
                "depends on what is not given".to_string(),
            ),
            Selection::Fails(key) => (paint.dim("-"), format!("{key} does not hold")),
            Selection::Never => (paint.dim("-"), "is for others to include".to_string()),
        };
        text.push_str(&format!(
            "{sign} {}  {why}\n",
            pad(&escape(&bank.name), width)
        ));
    }
    text.push_str(&format!("{}\n", paint.bold("settings")));
    text.push_str(&explain::settings(
        settings(banks, &choice.applied).iter(),
        paint,
    ));
    text
}

/// A mail with nothing but this From.
fn mail_from(address: &OsString) -> Result<Mail, Output> {
    use std::os::unix::ffi::OsStrExt;
    let address = path("--header-from", address.as_bytes())?;
    let raw = [b"From: <", address.as_bytes(), b">\r\n\r\n"].concat();
    Ok(Mail {
        origin: Default::default(),
        envelope: Default::default(),
        message: Message::scan(raw, &Limits::default()),
        received: Moment::default(),
    })
}
