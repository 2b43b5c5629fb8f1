//! `mimicryd restore`: a mail of an archive, or a part that was removed and kept, is shown, written out, or handed to the next hop
//! again; or a mail that was edited is made again as it came.
//!
//! - [`find`]: what is held under an id · [`send`]: to the next hop · [`file`]: an edited mail, as it came · [`shown`]: what is said of it
//!
//! Must never: hand a mail to somebody twice without being told to; apply a rule to it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64_MIME;
use mimicry_core::config::Config;
use mimicry_core::envelope::{Envelope, Recipient};
use mimicry_core::mail::Mail;
use mimicry_core::message::Message;
use mimicry_core::origin::Origin;

mod file;
mod find;
mod send;
mod shown;

use find::{Facts, Held};
use send::{Parcel, Sent};
use shown::{fail, lines, with_mail, written};

use super::generations::time;
use super::input::{ConfigArg, path as address};
use super::output::Output;
use super::show::{Paint, count, escape, octets, short};
use crate::clock;
use crate::logging;
use crate::prefork::exit::Exit;
use crate::prefork::identity;
use crate::state::restored::Mark;

/// Digits of an id at least: fewer name too much.
const LEAST: usize = 8;
/// What is kept with a mail, and a limit that was larger when it came.
const MARGIN: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The beginning of a digest: of a mail, or the SHA-256 of a removed part; or a file with an edited mail, - is standard input
    #[arg(value_name = "ID|FILE")]
    what: std::ffi::OsString,
    /// Write it to this file; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Hand it to the next hop, without any rule
    #[arg(long, conflicts_with = "output")]
    deliver: bool,
    /// Although it was handed on already
    #[arg(long, requires = "deliver")]
    again: bool,
    /// The envelope sender, instead of the one that is kept with it
    #[arg(long, value_name = "PATH")]
    from: Option<std::ffi::OsString>,
    /// A recipient, instead of those that are kept with it
    #[arg(long, value_name = "PATH")]
    to: Vec<std::ffi::OsString>,
}

/// Where an id is found.
const WHERE: &str =
    "of a mail it stands after archive= in the log, of a removed part in the note in its place";

pub fn run(args: &Args, out: Paint, err: Paint) -> Result<Output, Output> {
    let Some(id) = id(&args.what) else {
        if args.deliver || args.from.is_some() || !args.to.is_empty() {
            let reason = "only what has an id can be handed on; write the mail out with -o";
            return Err(Output::failure(Exit::Usage, reason));
        }
        return file::run(Path::new(&args.what), args.output.as_deref(), out);
    };
    if id.len() < LEAST {
        let reason = format!(
            "{id} is no id of what is kept, which has at least {LEAST} digits (0-9, a-f): {WHERE}; a file of this name is ./{id}"
        );
        return Err(Output::failure(Exit::Usage, reason));
    }
    let config = args.config.load(err)?;
    let held = the_one(&config, &id)?;
    let content = find::content(&held, most(&config)).map_err(|error| fail(&held.file, &error))?;
    if let Some(path) = &args.output {
        return written(path, content);
    }
    if args.deliver {
        return delivered(args, &config, &held, content);
    }
    Ok(Output::text(shown(&config, &held, &content, out)))
}

/// What can be the beginning of a digest is no name of a file.
fn id(what: &std::ffi::OsStr) -> Option<String> {
    let is_digit = |octet: u8| octet.is_ascii_hexdigit() || octet == b'-';
    let text = what.to_str().filter(|text| text.bytes().all(is_digit))?;
    let has_digit = text.bytes().any(|octet| octet != b'-');
    has_digit.then(|| text.to_ascii_lowercase())
}

/// Octets of what is restored. A file that workers may write can be packed so that it fills the memory of root when it is unpacked.
fn most(config: &Config) -> u64 {
    let largest = config.banks.largest_mail_of_all() as u64;
    largest.saturating_mul(2).saturating_add(MARGIN)
}

/// What the id means, if that is one thing.
fn the_one(config: &Config, id: &str) -> Result<Held, Output> {
    let mut directories: Vec<PathBuf> = config
        .directories_in_use()
        .map(|one| one.path.clone())
        .collect();
    directories.sort();
    directories.dedup();
    if directories.is_empty() {
        let reason = "no rule of the configuration archives or keeps anything";
        return Err(Output::failure(Exit::Usage, reason));
    }
    let found = find::find(&directories, id, most(config));
    let found = found.map_err(|error| {
        Output::failure(
            Exit::Io,
            format!("the archives cannot be looked through: {error}"),
        )
    })?;
    match found.as_slice() {
        [] => {
            let names: Vec<String> = directories
                .iter()
                .map(|one| escape(one.as_os_str().as_bytes()))
                .collect();
            let reason = format!("nothing of this id is in {}: {WHERE}", names.join(", "));
            Err(Output::failure(Exit::Unavailable, reason))
        }
        [only] => Ok(only.clone()),
        several => {
            let mut reason = format!(
                "{} begin with this id; give more of it:",
                count(several.len(), "file")
            );
            for one in several.iter().take(20) {
                reason.push_str(&format!("\n  {}", escape(one.file.as_os_str().as_bytes())));
            }
            Err(Output::failure(Exit::Usage, reason))
        }
    }
}

fn shown(config: &Config, held: &Held, content: &[u8], paint: Paint) -> String {
    let mut rows = vec![(
        "file",
        format!(
            "{}, {} octets",
            escape(held.file.as_os_str().as_bytes()),
            octets(content.len() as u64)
        ),
    )];
    if let Some(number) = held.number {
        rows.push(("mail", format!("number {number} of the mailbox")));
    }
    if let Some(part) = &held.part {
        rows.push((
            "part",
            format!(
                "\"{}\", {}",
                short(&part.filename, 60),
                short(&part.media_type, 60)
            ),
        ));
    }
    for facts in &held.facts {
        let to: Vec<String> = facts.recipients.iter().map(escape).collect();
        rows.push(("received", escape(&facts.received)));
        rows.push(("sender", sender(&facts.sender)));
        rows.push(("recipients", to.join(", ")));
        rows.push(("rule", escape(&facts.rule)));
        for recipient in &facts.recipients {
            let mark = Mark::of(&config.daemon.state, content, recipient);
            if let Ok(Some(when)) = mark.since() {
                rows.push((
                    "restored",
                    format!("for {}, {}", escape(recipient), time(when)),
                ));
            }
        }
    }
    if held.facts.is_empty() {
        rows.push(("envelope", "not known: there is no sidecar".into()));
    }
    match held.part {
        Some(_) => lines(&rows, paint),
        None => {
            let message = Message::scan(content.to_vec(), &config.base.limits.message);
            with_mail(rows, &message, paint)
        }
    }
}

fn sender(octets: &[u8]) -> String {
    match octets {
        b"" => "<>".into(),
        octets => escape(octets),
    }
}

fn delivered(
    args: &Args,
    config: &Config,
    held: &Held,
    content: Vec<u8>,
) -> Result<Output, Output> {
    let mut envelope = envelope(args, &held.facts)?;
    let state = &config.daemon.state;
    // Before anybody has it: what cannot be noted would be handed on each time.
    let _alone = Mark::prepare(state).map_err(|error| fail(state, &error))?;
    let mut notes = String::new();
    if !args.again {
        let mut left = Vec::new();
        for recipient in envelope.recipients {
            let mark = Mark::of(state, &content, recipient.path.as_bytes());
            match mark.since().map_err(|error| fail(state, &error))? {
                None => left.push(recipient),
                Some(when) => notes.push_str(&format!(
                    "mimicryd: {} has it since {}; --again hands it on once more\n",
                    recipient.path,
                    time(when)
                )),
            }
        }
        envelope.recipients = left;
    }
    if envelope.recipients.is_empty() {
        return Err(Output {
            err: notes,
            exit: Exit::Usage,
            ..Output::text(String::new())
        });
    }
    let machine = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    let hostname = config
        .base
        .hostname
        .clone()
        .or(machine)
        .unwrap_or_else(|| "localhost".into());
    let resent = Resent::now(&hostname).map_err(|error| Output::failure(Exit::System, error))?;
    let message = match &held.part {
        Some(part) => resent.around(&part.filename, &content, &envelope),
        None => find::with_crlf(&content),
    };
    let above = match held.part {
        Some(_) => Vec::new(),
        None => resent.fields(&envelope),
    };
    let mail = Mail {
        message: Message::scan(message, &config.base.limits.message),
        origin: Origin::default(),
        envelope,
        received: clock::now(),
    };
    let mut told = Told::begin(config, held, &mail, &content, notes);
    let parcel = Parcel {
        mail: &mail,
        above: &above,
    };
    send::send(config, &hostname, parcel, &mut |one| told.add(one))
        .map_err(|why| Output::failure(Exit::Config, why))?;
    Ok(told.end())
}

/// Notes who has it, in the state and in the log, and says so.
struct Told<'d> {
    state: &'d Path,
    file: &'d Path,
    mail: &'d Mail,
    content: &'d [u8],
    text: String,
    output: Output,
}

impl<'d> Told<'d> {
    fn begin(
        config: &'d Config,
        held: &'d Held,
        mail: &'d Mail,
        content: &'d [u8],
        notes: String,
    ) -> Told<'d> {
        logging::start();
        let is_logged = logging::configure(&config.log, identity::owner(&config.daemon));
        let mut output = Output::text(String::new());
        output.err = notes;
        if let Err(error) = is_logged {
            output
                .err
                .push_str(&format!("mimicryd: there is no note in the log: {error}\n"));
        }
        Told {
            state: &config.daemon.state,
            file: &held.file,
            mail,
            content,
            text: String::new(),
            output,
        }
    }

    fn add(&mut self, one: &Sent) {
        let Some(recipient) = self.mail.envelope.recipients.get(one.recipient) else {
            return;
        };
        let reply = one.reply.to_string();
        let line = format!(
            "{} by {}: {}",
            recipient.path,
            one.next_hop,
            escape(reply.trim_end())
        );
        let output = &mut self.output;
        if one.is_done {
            let mark = Mark::of(self.state, self.content, recipient.path.as_bytes());
            if let Err(error) = mark.set() {
                let note = format!(
                    "mimicryd: that {} has it cannot be noted: {error}\n",
                    recipient.path
                );
                output.err.push_str(&note);
            }
            log::info!(
                "restored {} from=<{}> to=<{}> relay={} reply=\"{}\"",
                self.file.display(),
                self.mail.envelope.sender,
                recipient.path,
                one.next_hop,
                escape(reply.trim_end())
            );
            self.text.push_str(&format!("handed on for {line}\n"));
        } else {
            output
                .err
                .push_str(&format!("mimicryd: refused for {line}\n"));
            output.exit = match one.reply.code() >= 500 {
                true => Exit::Rejected,
                false => Exit::Deferred,
            };
        }
    }

    fn end(mut self) -> Output {
        log::logger().flush();
        self.output.out = self.text.into_bytes();
        self.output
    }
}

/// That of the options, else that of the sidecar.
fn envelope(args: &Args, facts: &[Facts]) -> Result<Envelope, Output> {
    let mut envelope = Envelope::default();
    let kept = match facts {
        [only] => Some(only),
        _ => None,
    };
    let why = match facts {
        [] => "no envelope is kept with it: give --from and --to",
        _ => {
            "several envelopes are kept with it, see restore without --deliver: give --from and --to"
        }
    };
    let missing = || Output::failure(Exit::Usage, why);
    envelope.sender = match (&args.from, kept) {
        (Some(text), _) => address("--from", text.as_bytes())?,
        (None, Some(kept)) => mimicry_core::envelope::Path::new(kept.sender.clone()),
        (None, None) => return Err(missing()),
    };
    let recipients: Vec<mimicry_core::envelope::Path> = match kept {
        _ if !args.to.is_empty() => {
            let given = args.to.iter().map(|text| address("--to", text.as_bytes()));
            given.collect::<Result<_, _>>()?
        }
        Some(kept) => kept
            .recipients
            .iter()
            .map(|one| mimicry_core::envelope::Path::new(one.clone()))
            .collect(),
        None => return Err(missing()),
    };
    let recipient = |path| Recipient {
        path,
        params: Vec::new(),
    };
    envelope.recipients = recipients.into_iter().map(recipient).collect();
    match envelope.recipients.is_empty() {
        true => Err(missing()),
        false => Ok(envelope),
    }
}

/// What says of a mail that it was sent again (RFC 5322 section 3.6.6).
struct Resent<'h> {
    hostname: &'h str,
    date: String,
    random: String,
}

impl<'h> Resent<'h> {
    fn now(hostname: &'h str) -> Result<Resent<'h>, String> {
        let random = getrandom::u64().map_err(|error| error.to_string())?;
        Ok(Resent {
            hostname,
            date: clock::date_time(clock::now()),
            random: format!("{random:016x}"),
        })
    }

    /// The block on top of a mail. Of several recipients none is named: those who were not named in the mail would be told to the
    /// others.
    fn fields(&self, envelope: &Envelope) -> Vec<u8> {
        let (host, date, random) = (self.hostname, &self.date, &self.random);
        let mut fields = format!("Resent-Date: {date}\r\nResent-From: postmaster@{host}\r\n");
        if let Some(to) = only(envelope) {
            fields.push_str(&format!("Resent-To: {to}\r\n"));
        }
        fields.push_str(&format!(
            "Resent-Message-ID: <restored.{random}@{host}>\r\n"
        ));
        fields.into_bytes()
    }

    /// A mail that brings a part that was removed.
    fn around(&self, filename: &str, content: &[u8], envelope: &Envelope) -> Vec<u8> {
        let (host, date, random) = (self.hostname, &self.date, &self.random);
        let name: String = filename
            .bytes()
            .map(|octet| match octet {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'-' | b'_' => {
                    char::from(octet).to_string()
                }
                octet => format!("%{octet:02X}"),
            })
            .collect();
        let to = only(envelope).unwrap_or_else(|| "undisclosed-recipients:;".into());
        let mut mail = format!(
            "Date: {date}\r\nFrom: postmaster@{host}\r\nTo: {to}\r\nMessage-ID: <restored.{random}@{host}>\r\n\
             Subject: An attachment that was removed\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename*=utf-8''{name}\r\n\r\n"
        );
        mail.push_str(&BASE64_MIME.encode(content));
        mail.into_bytes()
    }
}

/// The only recipient, if it can stand in a field.
fn only(envelope: &Envelope) -> Option<String> {
    match envelope.recipients.as_slice() {
        [only] if only.path.as_bytes().is_ascii() => Some(only.path.to_string()),
        _ => None,
    }
}
