//! What commands are given: the configuration, the mail, and the facts of the transaction that brought it.
//!
//! Must never: guess silently. The output names each fact that was taken from the mail because no option gave it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use mimicry_core::config::{Config, Mistakes};
use mimicry_core::envelope::{Envelope, Path as MailPath, Recipient};
use mimicry_core::message::Message;
use mimicry_core::message::address::filter_text;
use mimicry_core::origin::Origin;
use mimicry_core::seals::SealKeys;
use mimicry_core::units::show_size;
use mimicry_plugins::REGISTRY;
use serde::Serialize;

use super::output::Output;
use super::show::{Paint, escape};
use crate::loading::{self, Judge, Order, Rejected, Source as LoadSource};
use crate::prefork::exit::Exit;
use crate::seal_keys;

#[derive(Debug, Args)]
pub struct ConfigArg {
    /// The configuration
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/mimicry/mimicry.toml"
    )]
    pub config: PathBuf,
}

impl ConfigArg {
    /// Loads the configuration, or shows every mistake in it.
    pub fn load(&self, paint: Paint) -> Result<Config, Output> {
        self.load_and(|_| Ok(()), paint)
    }

    /// The same, if it passes this judgement too.
    pub fn load_and(&self, judge: Judge, paint: Paint) -> Result<Config, Output> {
        let order = Order {
            path: &self.config,
            registry: REGISTRY,
            judge,
            source: LoadSource::FileOrOpen,
        };
        loading::load(&order).map_err(|rejected| refusal(rejected, paint))
    }
}

/// The keys of banners, as far as whoever asks may read them.
pub struct SealKeysAtHand {
    pub keys: SealKeys,
    /// Why there are none although rules want them.
    missing: Option<String>,
}

impl SealKeysAtHand {
    pub fn of(config: &Config) -> SealKeysAtHand {
        let wanted = config.banks.needs_seal_keys();
        let found = match wanted {
            true => seal_keys::look(config),
            false => Ok(None),
        };
        let missing = match &found {
            Ok(Some(_)) => None,
            Ok(None) => wanted.then(|| {
                let path = seal_keys::path(config);
                format!("{} is not there or may not be read", path.display())
            }),
            Err(error) => Some(error.clone()),
        };
        SealKeysAtHand {
            keys: found.ok().flatten().unwrap_or_default(),
            missing,
        }
    }

    /// A line for people; empty where nothing is missing.
    pub fn note(&self) -> String {
        let line = |why: &String| {
            let why = escape(why.as_bytes());
            format!("mimicryd: {why}: here banners are not sealed, and no seal can be checked\n")
        };
        self.missing.as_ref().map(line).unwrap_or_default()
    }
}

/// All that is wrong with a configuration, and how much that is.
pub fn refusal(rejected: Rejected, paint: Paint) -> Output {
    let mut err = if paint.0 {
        rejected.coloured
    } else {
        rejected.plain
    };
    err.push('\n');
    if !rejected.summary.is_empty() {
        err.push_str(&format!("\n{}\n", escape(rejected.summary)));
    }
    Output {
        err,
        ..Output::failure(Exit::Config, "")
    }
}

/// The mistakes themselves, without a line end.
pub fn show_mistakes(mistakes: &Mistakes, paint: Paint) -> String {
    if paint.0 {
        mistakes.coloured()
    } else {
        mistakes.to_string()
    }
}

#[derive(Debug, Default, Args)]
pub struct Transaction {
    /// The envelope sender; '' or '<>' is the null return path
    #[arg(long, value_name = "PATH")]
    pub from: Option<OsString>,
    /// An envelope recipient; give the option once for each
    #[arg(long, value_name = "PATH")]
    pub to: Vec<OsString>,
    /// The address of the client
    #[arg(long, value_name = "IP")]
    pub client: Option<IpAddr>,
    /// The name that the client gave in HELO or EHLO
    #[arg(long, value_name = "NAME")]
    pub helo: Option<OsString>,
    /// The listener of the configuration that received the mail
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// The user of a trusted client's AUTH= parameter
    #[arg(long, value_name = "USER")]
    pub auth_user: Option<String>,
}

/// Where sender and recipients were taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    pub sender: Source,
    pub recipients: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Option,
    ReturnPath,
    From,
    ToAndCc,
    /// There was nothing to take: the null return path.
    Nothing,
}

impl Source {
    /// For people; `None` = as the options say.
    pub fn describe(self) -> Option<&'static str> {
        match self {
            Source::Option => None,
            Source::ReturnPath => Some("taken from the field Return-Path; --from sets it"),
            Source::From => Some("taken from the field From; --from sets it"),
            Source::ToAndCc => Some("taken from the fields To and Cc; --to sets them"),
            Source::Nothing => Some("neither Return-Path nor From has an address; --from sets it"),
        }
    }
}

impl Transaction {
    /// The envelope as the options say; all of it is needed.
    pub fn envelope(&self) -> Result<Envelope, Output> {
        let Some(sender) = self.sender()? else {
            return Err(Output::failure(
                Exit::Usage,
                "--from is missing; the null return path is --from '<>'",
            ));
        };
        if self.to.is_empty() {
            return Err(Output::failure(
                Exit::Usage,
                "--to is missing; give it once for each recipient",
            ));
        }
        Ok(envelope(sender, self.recipients()?))
    }

    /// The same, with what is missing taken from the mail.
    pub fn envelope_or_guess(&self, message: &Message) -> Result<(Envelope, Sources), Output> {
        let (sender, from) = match &self.from {
            Some(text) => (path("--from", text.as_bytes())?, Source::Option),
            None => guess_sender(message),
        };
        let (recipients, to) = if self.to.is_empty() {
            (guess_recipients(message), Source::ToAndCc)
        } else {
            (self.recipients()?, Source::Option)
        };
        if recipients.is_empty() {
            let reason = "the mail names no recipient in To or Cc; give --to";
            return Err(Output::failure(Exit::Usage, reason));
        }
        let sources = Sources {
            sender: from,
            recipients: to,
        };
        Ok((envelope(sender, recipients), sources))
    }

    /// `None` = not given.
    pub fn sender(&self) -> Result<Option<MailPath>, Output> {
        let text = self.from.as_ref();
        text.map(|text| path("--from", text.as_bytes())).transpose()
    }

    pub fn recipients(&self) -> Result<Vec<MailPath>, Output> {
        let of = |text: &OsString| path("--to", text.as_bytes());
        let recipients: Vec<MailPath> = self.to.iter().map(of).collect::<Result<_, Output>>()?;
        if recipients.iter().any(MailPath::is_null) {
            return Err(Output::failure(
                Exit::Usage,
                "--to is empty; only a sender may be",
            ));
        }
        Ok(recipients)
    }

    /// Facts that are not given are unknown, and a filter on them does not hold.
    pub fn origin(&self, config: &Config) -> Result<Origin, Output> {
        if let Some(name) = &self.listener
            && !config.listen.iter().any(|listen| listen.name == *name)
        {
            let names: Vec<&str> = config
                .listen
                .iter()
                .map(|listen| listen.name.as_str())
                .collect();
            let known = if names.is_empty() {
                "the configuration has none".to_string()
            } else {
                format!("the configuration has {}", escape(names.join(", ")))
            };
            return Err(Output::failure(
                Exit::Usage,
                format!("there is no listener {}; {known}", escape(name)),
            ));
        }
        Ok(Origin {
            client: self.client,
            listener: self.listener.clone(),
            helo: self.helo.as_ref().map(|name| name.as_bytes().to_vec()),
            auth_user: self.auth_user.clone(),
            ..Origin::default()
        })
    }
}

fn envelope(sender: MailPath, recipients: Vec<MailPath>) -> Envelope {
    let recipient = |path: MailPath| Recipient {
        path,
        params: Vec::new(),
    };
    Envelope {
        sender,
        recipients: recipients.into_iter().map(recipient).collect(),
        ..Envelope::default()
    }
}

/// Is there a comma, a semicolon or a blank outside of a quoted local part: no address has one there.
fn is_list(text: &[u8]) -> bool {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.iter().any(|octet| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match octet {
            b'\\' if !was_escaped => is_escaped = true,
            b'"' if !was_escaped => is_quoted = !is_quoted,
            b',' | b';' | b' ' => return !is_quoted && !was_escaped,
            _ => {}
        }
        false
    })
}

/// An address with or without its angle brackets.
pub fn path(option: &str, text: &[u8]) -> Result<MailPath, Output> {
    let bare = text
        .strip_prefix(b"<")
        .and_then(|rest| rest.strip_suffix(b">"))
        .unwrap_or(text);
    if bare
        .iter()
        .any(|octet| octet.is_ascii_control() || matches!(octet, b'<' | b'>'))
    {
        let reason = format!(
            "{option} {} is no address; write user@example.org",
            escape(text)
        );
        return Err(Output::failure(Exit::Usage, reason));
    }
    if is_list(bare) {
        let remedy = match option {
            "--to" => "give the option once for each",
            _ => "an envelope has one sender",
        };
        let reason = format!("{option} {} is several addresses; {remedy}", escape(text));
        return Err(Output::failure(Exit::Usage, reason));
    }
    Ok(MailPath::new(bare))
}

/// A delivered mail bears its envelope sender in Return-Path, also the null one (RFC 5321 section 4.4).
fn guess_sender(message: &Message) -> (MailPath, Source) {
    let root = message.root();
    if let Some(field) = root.field("return-path") {
        let unfolded = field.unfolded();
        if unfolded.trim_ascii() == b"<>" {
            return (MailPath::default(), Source::ReturnPath);
        }
        if let Some(address) = filter_text(field.value()).into_iter().next() {
            return (MailPath::new(address), Source::ReturnPath);
        }
    }
    let from = root
        .field("from")
        .and_then(|field| filter_text(field.value()).into_iter().next());
    match from {
        Some(address) => (MailPath::new(address), Source::From),
        None => (MailPath::default(), Source::Nothing),
    }
}

fn guess_recipients(message: &Message) -> Vec<MailPath> {
    let mut recipients: Vec<MailPath> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for field in message
        .root()
        .fields()
        .filter(|field| field.is("to") || field.is("cc"))
    {
        for address in filter_text(field.value()) {
            if seen.insert(address.clone()) {
                recipients.push(MailPath::new(address));
            }
        }
    }
    recipients
}

/// Reads a mail; `-` is standard input. The limit is that of the configuration, in octets.
pub fn read_mail(name: &Path, limit: usize) -> Result<Vec<u8>, Output> {
    let shown = shown_name(name);
    match read_input(name, limit) {
        Ok(octets) if octets.len() > limit => {
            let reason = format!(
                "{shown} is larger than limits.mail, {}",
                show_size(limit as u64)
            );
            Err(Output::failure(Exit::Data, reason))
        }
        Ok(octets) => Ok(octets),
        Err(error) => Err(Output::failure(
            Exit::Io,
            format!("cannot read {shown}: {error}"),
        )),
    }
}

/// A file, or standard input: one octet more than the limit, if it has so many.
pub fn read_input(name: &Path, limit: usize) -> io::Result<Vec<u8>> {
    match name.as_os_str() == "-" {
        true => read_to_limit(io::stdin().lock(), limit),
        false => File::open(name).and_then(|file| read_to_limit(file, limit)),
    }
}

/// The file name for people.
pub fn shown_name(name: &Path) -> String {
    if name.as_os_str() == "-" {
        "standard input".into()
    } else {
        escape(name.as_os_str().as_bytes())
    }
}

/// One octet more than the limit tells that there is more.
fn read_to_limit(input: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    input
        .take((limit as u64).saturating_add(1))
        .read_to_end(&mut octets)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use mimicry_core::message::Limits;

    use super::*;

    #[test]
    fn an_envelope_is_guessed_from_the_header() {
        for (header, sender, sender_from, recipients) in [
            (
                "From: A <a@x>\nTo: b@y, C <c@y>\nCc: b@y, d@y\n\n",
                "a@x",
                Source::From,
                "b@y c@y d@y",
            ),
            (
                "Return-Path: <r@x>\nFrom: a@x\nTo: b@y\n\n",
                "r@x",
                Source::ReturnPath,
                "b@y",
            ),
            (
                "Return-Path: <>\nFrom: a@x\nTo: b@y\n\n",
                "",
                Source::ReturnPath,
                "b@y",
            ),
            (
                "Return-Path: \nFrom: a@x\nTo: b@y\n\n",
                "a@x",
                Source::From,
                "b@y",
            ),
            ("Cc: b@y\n\n", "", Source::Nothing, "b@y"),
        ] {
            let message = Message::scan(header.into(), &Limits::default());
            let (envelope, sources) = Transaction::default().envelope_or_guess(&message).unwrap();
            let shown: Vec<String> = envelope
                .recipients
                .iter()
                .map(|one| one.path.to_string())
                .collect();
            assert_eq!(envelope.sender.to_string(), sender, "{header}");
            assert_eq!(sources.sender, sender_from, "{header}");
            assert_eq!(shown.join(" "), recipients, "{header}");
        }
        let message = Message::scan(
            "From: a@x\nTo: undisclosed-recipients:;\n\n".into(),
            &Limits::default(),
        );
        let failure = Transaction::default()
            .envelope_or_guess(&message)
            .unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn paths() {
        for (text, octets) in [
            ("a@x", Some("a@x")),
            ("<a@x>", Some("a@x")),
            ("<>", Some("")),
            ("", Some("")),
            ("\"a b\"@x", Some("\"a b\"@x")),
            ("A <a@x>", None),
            ("A <a@x>, B <b@x>", None),
            ("a@x,b@x", None),
            ("a@x, b@x", None),
            ("a@x;b@x", None),
            ("<a@x b@x>", None),
            ("\"a,b\"@x", Some("\"a,b\"@x")),
            ("a\\,b@x", Some("a\\,b@x")),
            ("a\n@x", None),
        ] {
            let path = path("--from", text.as_bytes()).ok();
            assert_eq!(
                path.as_ref().map(|path| path.as_bytes()),
                octets.map(str::as_bytes),
                "{text}"
            );
        }
    }
}
