//! `mimicryd explain`: what the rules do to a mail, and why the other rules do nothing.
//!
//! Must never: change, keep or send anything.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mimicry_core::config::Config;
use mimicry_core::engine::Judged;
use mimicry_core::mail::Mail;
use mimicry_core::message::Message;
use mimicry_core::units::show_size;
use serde::Serialize;

use crate::clock;

use super::account::{self, Account, ClassAccount, Lines, OriginAccount, Outcome, SettingAccount};
use super::input::{ConfigArg, SealKeysAtHand, Source, Transaction, shown_name};
use super::mails::{self, Named};
use super::output::Output;
use super::page::Page;
use super::show::{Paint, count, escape, harden_json, octets, pad, short, wrapped};
use super::trace::{self, RuleAccount};
use super::tree;
use crate::prefork::exit::Exit;
use crate::sys::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    transaction: Transaction,
    /// Write all facts as one JSON document
    #[arg(long)]
    json: bool,
    /// Write a page for a browser
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
    /// The files that hold the mails, or folders of them; - is standard input
    #[arg(required = true, value_name = "MAIL")]
    mails: Vec<PathBuf>,
}

/// One mail, and what becomes of it.
struct Explained {
    mail: Mail,
    account: Account,
    judged: Vec<Judged>,
}

pub fn run(args: &Args, out: Paint, err: Paint) -> Result<Output, Output> {
    let config = args.config.load(err)?;
    let keys = SealKeysAtHand::of(&config);
    let files = mails::files(&args.mails)?;
    let mut named = Vec::new();
    for file in &files {
        named.append(&mut mails::read(file, config.banks.largest_mail_of_all())?);
    }
    let are_many = named.len() > 1;
    let has_banks = !config.banks.all().is_empty();
    let (mut text, mut accounts, mut page) = (String::new(), Vec::new(), Page::new());
    for one in named {
        let one = explain(args, &config, &keys, one)?;
        let name = shown_name(Path::new(&one.account.mail.name));
        if args.html.is_some() {
            page.add(&name, &one.mail, &one.account, &one.judged);
        } else if args.json {
            accounts.push(one.account);
        } else {
            if are_many {
                let gap = if text.is_empty() { "" } else { "\n" };
                text.push_str(&format!("{gap}{}\n", out.bold(&format!("==> {name} <=="))));
            }
            text.push_str(&self::text(&one.account, &name, has_banks, out));
        }
    }
    if let Some(path) = &args.html {
        let written = page.write(path);
        written
            .map_err(|error| Output::failure(Exit::Io, format!("{}: {error}", path.display())))?;
    } else if args.json {
        text = match accounts.as_slice() {
            [only] => json(only),
            all => json(&all),
        };
    }
    let mut output = Output::text(text);
    if !config.warnings.is_empty() {
        let path = escape(config.path.as_os_str().as_bytes());
        let warnings = count(config.warnings.list.len(), "warning");
        output.err = format!("mimicryd: {path}: {warnings}; mimicryd check shows them\n");
    }
    output.err.push_str(&keys.note());
    Ok(output)
}

fn explain(
    args: &Args,
    config: &Config,
    keys: &SealKeysAtHand,
    named: Named,
) -> Result<Explained, Output> {
    let message = Message::scan(named.raw, &config.base.limits.message);
    let guessed = args.transaction.envelope_or_guess(&message);
    let (envelope, sources) = guessed.map_err(|output| {
        let name = shown_name(Path::new(&named.name));
        let why = output.err.trim().replacen("mimicryd: ", "", 1);
        Output::failure(output.exit, format!("{name}: {why}"))
    })?;
    let origin = args.transaction.origin(config)?;
    let mail = Mail {
        message: account::scan(config, &origin, &envelope.sender, message.into_raw()),
        origin,
        envelope,
        received: clock::now(),
    };
    let (account, judged) = Account::and_judged(config, &mail, named.name, sources, &keys.keys);
    Ok(Explained {
        mail,
        account,
        judged,
    })
}

fn json(account: &impl Serialize) -> String {
    // Numbers, texts and lists of them: there is nothing in it that serde_json refuses.
    let json = serde_json::to_string_pretty(account).unwrap_or_default();
    format!("{}\n", harden_json(&json))
}

/// The account for people.
fn text(account: &Account, name: &str, has_banks: bool, paint: Paint) -> String {
    let mut text = head(account, name, paint);
    text.push_str(&format!("\n{}\n", paint.bold("parts")));
    text.push_str(&tree::draw(&account.parts, paint));
    for (index, class) in account.classes.iter().enumerate() {
        let title = match account.classes.len() {
            1 => "rules".to_string(),
            all => format!(
                "class {} of {all}: {}",
                index.saturating_add(1),
                people(&class.recipients)
            ),
        };
        text.push_str(&format!("\n{}\n", paint.bold(&title)));
        if has_banks {
            text.push_str(&format!("{}  {}\n", paint.dim("bank"), escape(&class.bank)));
            let of_banks = class.settings.iter().filter(|setting| setting.is_of_bank);
            text.push_str(&settings(of_banks, paint));
        }
        text.push_str(&rules(&class.rules, terminal::columns(), paint));
        text.push_str(&result(account, class, paint));
    }
    text
}

fn head(account: &Account, name: &str, paint: Paint) -> String {
    let mail = &account.mail;
    let envelope = &account.envelope;
    let source = |source: Source| {
        source
            .describe()
            .map(|words| format!("  ({words})"))
            .unwrap_or_default()
    };
    let sender = if envelope.sender.is_empty() {
        "<>"
    } else {
        &envelope.sender
    };
    let mut rows = vec![
        (
            "mail",
            format!("{name}, {}, {}", size(mail.octets), lines(mail.lines)),
        ),
        (
            "sender",
            format!("{sender}{}", source(envelope.sender_source)),
        ),
        (
            "recipients",
            format!(
                "{}{}",
                people(&envelope.recipients),
                source(envelope.recipients_source)
            ),
        ),
    ];
    rows.extend(origin_rows(&account.origin));
    let yes = |truth: bool| if truth { "yes" } else { "no" };
    rows.push((
        "traits",
        format!(
            "bulk {}, signed {}, encrypted {}, malformed {}, DKIM-Signature {}",
            yes(mail.bulk),
            yes(mail.signed),
            yes(mail.encrypted),
            yes(mail.malformed),
            yes(mail.dkim),
        ),
    ));
    for defect in &mail.defects {
        rows.push(("defect", describe_defect(defect).to_string()));
    }
    let row = |(key, value): (&str, String)| {
        let value = wrapped(&value, 12, terminal::columns());
        format!("{}  {value}\n", paint.dim(&pad(key, 10)))
    };
    rows.into_iter().map(row).collect()
}

/// What is known of where the mail comes from, and what is not.
fn origin_rows(origin: &OriginAccount) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut unknown: Vec<(&str, String)> = Vec::new();
    for (key, value) in [
        ("client", &origin.client),
        ("listener", &origin.listener),
        ("helo", &origin.helo),
        ("auth_user", &origin.auth_user),
    ] {
        if value.is_none() {
            unknown.push((key, format!("--{}", key.replace('_', "-"))));
        }
        if let Some(value) = value {
            // HELO is escaped already; the others have nothing to escape but what the command line put there.
            rows.push((
                key,
                if key == "helo" {
                    value.clone()
                } else {
                    escape(value)
                },
            ));
        }
    }
    if !unknown.is_empty() {
        let (names, options): (Vec<&str>, Vec<String>) = unknown.into_iter().unzip();
        let verb = if names.len() == 1 {
            "sets it"
        } else {
            "set them"
        };
        let (names, options) = (names.join(", "), options.join(", "));
        rows.push((
            "unknown",
            format!("{names}: no filter on them holds  ({options} {verb})"),
        ));
    }
    rows
}

fn describe_defect(defect: &str) -> &'static str {
    match defect {
        "structure" => "broken MIME structure, or one that mail programs read differently",
        "limit" => "a limit was reached; what is beyond it was not looked into",
        "names" => {
            "a file name that mail programs read differently, or that cannot be read to its end"
        }
        _ => "the limit of parts was reached; no part can be added or removed",
    }
}

fn size(number: u64) -> String {
    if number < 1024 {
        return format!("{number} octets");
    }
    format!("{} ({} octets)", show_size(number), octets(number))
}

fn lines(lines: Lines) -> String {
    let kinds: Vec<(&str, u64)> = [("CRLF", lines.crlf), ("LF", lines.lf), ("CR", lines.cr)]
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .collect();
    match kinds.as_slice() {
        [] => "no line ends".into(),
        [(kind, _)] => format!("lines end in {kind}"),
        _ => {
            let kinds: Vec<String> = kinds
                .iter()
                .map(|(kind, number)| format!("{} {kind}", octets(*number)))
                .collect();
            format!("mixed line ends: {}", kinds.join(", "))
        }
    }
}

/// Recipients on one line. They are escaped already.
fn people(recipients: &[String]) -> String {
    const MOST: usize = 10;
    let shown: Vec<&str> = recipients.iter().take(MOST).map(String::as_str).collect();
    match recipients.len().checked_sub(MOST) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

/// Settings in force, one a line: name, value, where it came from.
pub fn settings<'s>(
    settings: impl Iterator<Item = &'s SettingAccount> + Clone,
    paint: Paint,
) -> String {
    let width = |text: fn(&SettingAccount) -> String| {
        let widths = settings.clone().map(|one| text(one).chars().count());
        widths.max().unwrap_or(0)
    };
    let name = width(|one| escape(&one.name));
    let value = width(|one| short(&one.value, 60)).min(40);
    let line = |one: &SettingAccount| {
        format!(
            "  {}  {}  {}\n",
            pad(&escape(&one.name), name),
            pad(&short(&one.value, 60), value),
            paint.dim(&escape(&one.from))
        )
    };
    settings.clone().map(line).collect()
}

/// Columns that a sentence needs at least.
const ROOM: usize = 36;

fn rules(rules: &[RuleAccount], columns: Option<usize>, paint: Paint) -> String {
    if rules.is_empty() {
        return "  no rules\n".into();
    }
    let width = |text: fn(&RuleAccount) -> String| {
        rules
            .iter()
            .map(|rule| text(rule).chars().count())
            .max()
            .unwrap_or(0)
    };
    let name_of = |rule: &RuleAccount| short(&rule.name, 28);
    let name = width(name_of);
    let plugin = width(|rule| rule.plugin.to_string());
    let mut text = String::new();
    for rule in rules {
        let label = pad(&name_of(rule), name);
        // Where little room is left beside the names, the words stand below them.
        let beside = name.saturating_add(plugin).saturating_add(6);
        let is_beside = columns.is_none_or(|columns| columns.saturating_sub(beside) >= ROOM);
        let line = match is_beside {
            true => wrapped(&rule.line(), beside, columns),
            false => format!("\n    {}", wrapped(&rule.line(), 4, columns)),
        };
        let (sign, label, line) = if rule.outcome == trace::Outcome::Stopped {
            (paint.red("!"), paint.red(&label), paint.red(&line))
        } else if rule.acted() {
            (paint.green("+"), paint.green(&label), line)
        } else if rule.shadow {
            (paint.yellow("?"), paint.yellow(&label), line)
        } else {
            (paint.dim("-"), label, paint.dim(&line))
        };
        text.push_str(&format!(
            "{sign} {label}  {}  {line}\n",
            pad(rule.plugin, plugin)
        ));
    }
    text
}

fn result(account: &Account, class: &ClassAccount, paint: Paint) -> String {
    let title = paint.bold("result");
    let why = class.text.as_deref().map(escape).unwrap_or_default();
    let by = class
        .rules
        .iter()
        .find(|rule| rule.outcome == trace::Outcome::Stopped);
    let by = by
        .map(|rule| format!(" by \"{}\"", short(&rule.name, 40)))
        .unwrap_or_default();
    match (class.result, class.octets) {
        (Outcome::Changed, Some(now)) => {
            let mut text = format!(
                "{title}  changed, {} → {} octets\n",
                octets(account.mail.octets),
                octets(now)
            );
            text.push_str(&tree::draw(&class.parts, paint));
            text.push_str(&tree::draw_gone(&class.gone, paint));
            text
        }
        (Outcome::Deferred, _) => {
            format!("{title}  {}: {why}\n", paint.red(&format!("deferred{by}")))
        }
        (Outcome::Rejected, _) => {
            format!("{title}  {}: {why}\n", paint.red(&format!("rejected{by}")))
        }
        _ => format!("{title}  unchanged, octet for octet as it came\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_in_words() {
        for (crlf, lf, cr, shown) in [
            (0, 0, 0, "no line ends"),
            (2, 0, 0, "lines end in CRLF"),
            (0, 2, 0, "lines end in LF"),
            (1500, 2, 1, "mixed line ends: 1 500 CRLF, 2 LF, 1 CR"),
        ] {
            assert_eq!(lines(Lines { crlf, lf, cr }), shown);
        }
    }

    #[test]
    fn sizes_in_words() {
        assert_eq!(size(1023), "1023 octets");
        assert_eq!(size(12_612), "12.3 KB (12 612 octets)");
    }

    #[test]
    fn many_recipients_are_counted() {
        let recipients: Vec<String> = (0..12).map(|number| format!("r{number}")).collect();
        assert_eq!(
            people(&recipients),
            "r0, r1, r2, r3, r4, r5, r6, r7, r8, r9 and 2 more"
        );
        assert_eq!(
            people(&recipients[..10]),
            "r0, r1, r2, r3, r4, r5, r6, r7, r8, r9"
        );
    }
}
