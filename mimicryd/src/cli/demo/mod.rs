//! `mimicryd demo`: the daemon at work, with nothing else on the machine.
//!
//! - [`running`]: the daemon that is started, and stopped · [`check`]: is what it delivered right
//!
//! The configuration is etc/mimicry.demo.toml and the mails are five of t/mail, both built into the program. Everything
//! else is a fresh directory below the one for temporary files: the configuration as it runs, the log, a Maildir
//! with the results. It stays.
//!
//! Must never: say of a mail what was not read from the delivered file, from the log or from a clock; leave the daemon
//! running when something failed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mimicry_core::config::Config;
use mimicry_core::envelope::Path as MailPath;
use mimicry_core::message::{Limits, Message};
use mimicry_core::reason::Reason;
use mimicry_core::reply::Reply;
use serde::Deserialize;

use super::input::ConfigArg;
use super::output::Output;
use super::show::{Paint, escape, octets, pad};
use super::tree;
use crate::prefork::exit::Exit;
use crate::prefork::identity;
use crate::relay::smtp::SmtpHop;
use crate::relay::{NextHop, Watch};
use crate::sys::privileges;
use crate::sys::process::Death;

mod check;
mod running;

use check::{Expect, Finding};
use running::Door;
pub use running::Running;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Let the daemon run on, and say how to send mail to it and how to stop it
    #[arg(long)]
    keep: bool,
}

const CONFIGURATION: &str = include_str!("../../../../etc/mimicry.demo.toml");

/// What stands in [`CONFIGURATION`] for the listener's address and for the directory.
const ADDRESS: &str = "127.0.0.1:10025";
const DIRECTORY: &str = "/tmp/mimicry-demo";

/// How long a daemon that did not take a mail may need to end, if that is why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A mail that is shipped.
struct Sample {
    name: &'static str,
    octets: &'static [u8],
    what: &'static str,
    sender: &'static str,
    recipient: &'static str,
    expect: Expect,
}

macro_rules! sample {
    ($name:literal, $what:literal, $sender:literal, $recipient:literal, $expect:ident) => {
        Sample {
            name: $name,
            octets: include_bytes!(concat!("../../../../t/mail/demo-", $name, ".eml")),
            what: $what,
            sender: $sender,
            recipient: $recipient,
            expect: Expect::$expect,
        }
    };
}

#[rustfmt::skip]
const SAMPLES: [Sample; 5] = [
    sample!("text", "plain text in US-ASCII, which has no € and no –", "k.hoffmann@example.com", "tom.reed@example.net", Footer),
    sample!("latin1", "German text in ISO-8859-1, which has no € either", "juergen.mueller@example.org", "tom.reed@example.net", Footer),
    sample!("newsletter", "text and HTML, with two attachments", "news-bounces@mail.example.org", "tom.reed@example.net", FooterAndZip),
    sample!("pgp-signed", "signed: one octet more and the signature is broken", "anna.berg@example.org", "tom.reed@example.net", Untouched),
    sample!("bounce", "a delivery report, from the null sender", "", "k.hoffmann@example.com", Untouched),
];

pub fn run(args: &Args, out: Paint, err: Paint) -> Result<Output, Output> {
    let door = Door::open().map_err(failed(Exit::Unavailable, "no free port"))?;
    let address = door.address;
    let place = Stage::make(address, err)?;
    let running = Running::start(
        &place.file("mimicry.toml"),
        door,
        &place.listener(),
        &place.file("stderr"),
        args.keep,
    );
    let mut running = running.map_err(failed(Exit::System, "the daemon cannot be started"))?;

    let mut text = format!(
        "A daemon with its workers (process {}) takes mail by SMTP on {address}.\n\
         Its configuration, its log and what it delivers: {}\n",
        running.pid(),
        out.bold(&escape(place.directory.display().to_string()))
    );
    let mut rows = Vec::new();
    for sample in &SAMPLES {
        let seen = place.see(sample, address);
        let within = if seen.reply.is_some() {
            Duration::ZERO
        } else {
            LAST_WORDS
        };
        if let Some(death) = running.death(within) {
            let died = format!("the daemon {}; {}", death.describe(), place.words());
            return Err(Output::failure(Exit::Unavailable, died));
        }
        if running.is_interrupted() {
            let directory = place.directory.display();
            let why = format_args!("interrupted; the daemon has been stopped, see {directory}");
            return Err(Output::failure(Exit::Unavailable, why));
        }
        rows.push(seen.row(sample));
        let title = format!("{} {}", rows.len(), sample.name);
        let _ = write!(text, "\n{}", place.tell(&title, sample, &seen, out));
    }
    let _ = write!(text, "\n{}", table(&rows, out));
    let (sent, delivered) = (rows.len(), place.files().len());
    let right = rows.iter().filter(|row| row.is_right).count();
    let mut wrong = Vec::new();
    if (right, delivered) != (sent, sent) {
        wrong.push(format!(
            "{right} of {sent} mails are as they should be, and {delivered} files were delivered"
        ));
    }
    let goes_on = args.keep && wrong.is_empty();
    if !goes_on && let Some(death) = running.stop().filter(|death| *death != Death::Exit(0)) {
        wrong.push(format!("the daemon {}", death.describe()));
    }
    let verdict = if wrong.is_empty() {
        out.green("all as they should be")
    } else {
        out.red("NOT all as they should be")
    };
    let _ = writeln!(text, "{sent} mails sent, {delivered} delivered: {verdict}.");
    text.push_str(&if goes_on {
        place.manual(&running, address)
    } else {
        "The daemon has been stopped; its directory stays.\n".to_string()
    });
    let failures: Vec<String> = wrong
        .iter()
        .map(|why| format!("mimicryd: {why}\n"))
        .collect();
    Ok(Output {
        err: failures.concat(),
        exit: if wrong.is_empty() {
            Exit::Ok
        } else {
            Exit::Software
        },
        must_arrive: args.keep,
        running: goes_on.then(|| Box::new(running)),
        ..Output::text(text)
    })
}

fn failed(exit: Exit, what: &str) -> impl Fn(io::Error) -> Output {
    move |error| Output::failure(exit, format_args!("{what}: {error}"))
}

/// The directory of a demonstration, with the configuration in it.
struct Stage {
    directory: PathBuf,
    config: Config,
}

/// What became of one mail.
#[derive(Default)]
struct Seen {
    /// From MAIL to the reply to the message.
    millis: f64,
    /// That reply, if the mail was taken.
    reply: Option<Reply>,
    /// The file that was delivered, if it is one, and its octets.
    file: Option<(PathBuf, Vec<u8>)>,
    log: Option<LogLine>,
    findings: Vec<Finding>,
}

/// What is needed of the log's line of a mail.
#[derive(Deserialize)]
struct LogLine {
    id: String,
    #[serde(default)]
    rules: Vec<LogRule>,
    times: LogTimes,
}

#[derive(Deserialize)]
struct LogRule {
    rule: String,
    did: String,
}

#[derive(Deserialize)]
struct LogTimes {
    judge: f64,
}

impl Stage {
    /// Makes the directory, and what the workers write to belong to their user.
    fn make(address: SocketAddr, paint: Paint) -> Result<Stage, Output> {
        let above = std::env::temp_dir();
        let cannot = |error| failed(Exit::CannotCreate, &above.display().to_string())(error);
        let directory = fresh_directory(&above).map_err(cannot)?;
        let path = directory.join("mimicry.toml");
        let name = directory
            .to_str()
            .ok_or_else(|| cannot(io::Error::other("a configuration names files in UTF-8")))?;
        // Whatever the umask: a configuration that others can write is refused.
        let made = fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| {
                io::Write::write_all(&mut file, configuration(name, address).as_bytes())
            });
        made.map_err(cannot)?;
        let config = ConfigArg { config: path }.load(paint)?;
        let mail = directory.join("mail");
        let private = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        private(&mail).map_err(cannot)?;
        if privileges::is_root() {
            // Others may pass through it, and not look around in it.
            fs::set_permissions(&directory, Permissions::from_mode(0o711)).map_err(cannot)?;
            if let Some((user, group)) = identity::owner(&config.daemon) {
                nix::unistd::chown(&mail, Some(user), Some(group))
                    .map_err(|error| cannot(error.into()))?;
            }
        }
        Ok(Stage { directory, config })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn listener(&self) -> String {
        let first = self.config.listen.first();
        first.map_or_else(String::new, |listen| listen.name.clone())
    }

    /// What lies in the Maildir.
    fn files(&self) -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(self.directory.join("mail/new"));
        let entries = entries.into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Sends a mail and looks for what became of it.
    fn see(&self, sample: &Sample, address: SocketAddr) -> Seen {
        let mut seen = Seen::default();
        let before = self.files();
        match self.send(sample, address) {
            Ok((reply, millis)) => {
                seen.reply = Some(reply);
                seen.millis = millis;
            }
            Err(reply) => {
                seen.findings = vec![Err(format!("not taken: {reply}"))];
                return seen;
            }
        }
        let mut delivered = Vec::new();
        for path in self.files().difference(&before) {
            match fs::read(path) {
                Ok(octets) => delivered.push((path.clone(), octets)),
                Err(error) => seen.findings.push(Err(format!("{path:?}: {error}"))),
            }
        }
        let files: Vec<Vec<u8>> = delivered.iter().map(|(_, file)| file.clone()).collect();
        let found = check::check(sample.expect, sample.octets, &files);
        seen.findings.extend(found);
        if delivered.len() == 1 {
            seen.file = delivered.pop();
        }
        let trace = seen
            .file
            .as_ref()
            .and_then(|(_, file)| check::own_trace(file));
        seen.log = trace.and_then(|(field, _)| self.log_line(field));
        if seen.log.is_none() {
            seen.findings.push(Err("the log has no line of it".into()));
        }
        seen
    }

    /// One session with one mail. Returns behind the answer to QUIT, so that the worker has written its line to the log.
    fn send(&self, sample: &Sample, address: SocketAddr) -> Result<(Reply, f64), Reply> {
        let timeouts = self.config.relay.timeouts;
        let mut line = SmtpHop::connect(address, "demo.example", timeouts, None)
            .map_err(|answer| answer.reply)?;
        let started = Instant::now();
        let mut answer = line.mail(&MailPath::new(sample.sender), b"BODY=8BITMIME");
        if answer.is_done() {
            answer = line.rcpt(&MailPath::new(sample.recipient), b"");
        }
        if answer.is_done() {
            let answers = line.data(sample.octets.into(), &mut || Watch::Stays);
            answer = answers.of(0).cloned().unwrap_or(answer);
        }
        let millis = started.elapsed().as_secs_f64() * 1000.0;
        line.quit();
        if answer.is_done() {
            Ok((answer.reply, millis))
        } else {
            Err(answer.reply)
        }
    }

    /// The line of the mail that has this Received field.
    fn log_line(&self, field: &[u8]) -> Option<LogLine> {
        let field = String::from_utf8_lossy(field);
        let id = field.split_once(" id ")?.1.split(';').next()?;
        let log = fs::read_to_string(self.file("log")).ok()?;
        let lines = log.lines().map(serde_json::from_str::<LogLine>);
        lines.flatten().find(|line| line.id == id)
    }

    /// The last that a daemon said which has ended.
    fn words(&self) -> String {
        let read = |name| fs::read_to_string(self.file(name)).unwrap_or_default();
        let said = format!("{}{}", read("log"), read("stderr"));
        let last = said.lines().next_back().unwrap_or("it said nothing");
        format!("see {}: {}", self.directory.display(), escape(last))
    }

    /// One mail for people.
    fn tell(&self, title: &str, sample: &Sample, seen: &Seen, paint: Paint) -> String {
        let mut text = format!("{}  {}\n", paint.bold(title), sample.what);
        let mut answer = String::new();
        if let Some(reply) = &seen.reply {
            let _ = write!(answer, ", {:.1} ms", seen.millis);
            if let Some(log) = &seen.log {
                let _ = write!(answer, ", the rules {:.1} ms of it", log.times.judge);
            }
            let _ = write!(answer, ": {}", escape(reply.to_string().trim_end()));
        }
        let (sender, recipient) = (sample.sender, sample.recipient);
        let _ = writeln!(text, "  <{sender}> to <{recipient}>{answer}");
        let before = Message::scan(sample.octets.to_vec(), &Limits::default());
        let size = octets(sample.octets.len() as u64);
        let _ = writeln!(text, "  {} {size} octets", paint.dim("before"));
        text.push_str(&indented(&tree::draw(&tree::parts(&before), paint)));
        if let Some((path, file)) = &seen.file {
            let size = octets(file.len() as u64);
            let path = escape(path.display().to_string());
            let _ = writeln!(text, "  {}  {size} octets in {path}", paint.dim("after"));
            let below = check::own_trace(file).map_or(file.as_slice(), |(_, rest)| rest);
            if below == sample.octets {
                text.push_str("    the same, below a Received field of mimicry\n");
            } else {
                let after = Message::scan(below.to_vec(), &Limits::default());
                let (parts, gone) = tree::parts_after(&before, &after);
                text.push_str(&indented(&tree::draw(&parts, paint)));
                text.push_str(&indented(&tree::draw_gone(&gone, paint)));
            }
        }
        if let Some(log) = &seen.log {
            text.push_str(&indented(&self.rules(&log.rules, paint)));
        }
        let right: Vec<&str> = seen.findings.iter().flatten().map(String::as_str).collect();
        if !right.is_empty() {
            let _ = writeln!(text, "  {} {}", paint.green("ok"), right.join("; "));
        }
        for wrong in seen
            .findings
            .iter()
            .filter_map(|finding| finding.as_ref().err())
        {
            let _ = writeln!(text, "  {} {}", paint.red("WRONG"), escape(wrong));
        }
        text
    }

    /// What each rule did, as the log has it.
    fn rules(&self, said: &[LogRule], paint: Paint) -> String {
        let rules = &self.config.policy.rules;
        let widths = rules.iter().map(|rule| rule.name.chars().count());
        let width = widths.max().unwrap_or(0);
        let mut text = String::new();
        for rule in rules.iter() {
            let did = said.iter().find(|word| word.rule == rule.name);
            let did = did.map(|word| word.did.as_str());
            let reason = Reason::ALL
                .iter()
                .find(|(known, _)| Some(known.code()) == did);
            let line = match (did, reason) {
                (None, _) => "nothing of this mail is for it".to_string(),
                (Some(code), Some((_, meaning))) => format!("not edited, {code}: {meaning}"),
                (Some(did), None) => did.to_string(),
            };
            let acted = did.is_some() && reason.is_none();
            let name = pad(&rule.name, width);
            let (sign, name, line) = if acted {
                (paint.green("+"), paint.green(&name), line)
            } else {
                (paint.dim("-"), name, paint.dim(&line))
            };
            let _ = writeln!(text, "{sign} {name}  {line}");
        }
        text
    }

    /// What to do with a daemon that goes on.
    fn manual(&self, running: &Running, address: SocketAddr) -> String {
        let program = std::env::current_exe().unwrap_or_else(|_| "mimicryd".into());
        let program = quoted(&program);
        let config = quoted(&self.file("mimicry.toml"));
        let mail = quoted(&self.directory.join("mail/new"));
        let (host, port) = (address.ip(), address.port());
        format!(
            "The daemon goes on (process {}).\n\
             send it mail   swaks --server {address} --from anna@example.org --to tom@example.net --body 'Hello Tom'\n\
             without swaks  printf '%s\\r\\n' 'EHLO me' 'MAIL FROM:<anna@example.org>' 'RCPT TO:<tom@example.net>' \\\n\
             \x20                 DATA 'Subject: hello' '' 'Hello Tom' . QUIT | nc {host} {port}\n\
             see results    ls {mail}\n\
             see its work   {program} status -c {config}\n\
             stop it        {program} stop -c {config}\n",
            running.pid()
        )
    }
}

/// A directory that nobody else has, for this user alone.
fn fresh_directory(above: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 5];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name = data_encoding::BASE32_NOPAD.encode(&random).to_lowercase();
    let path = std::path::absolute(above)?.join(format!("mimicry-demo-{name}"));
    DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}

/// The configuration with this place and this address in it.
fn configuration(directory: &str, address: SocketAddr) -> String {
    // A string of TOML has the escapes of JSON; the quotes are there.
    let escaped = serde_json::to_string(directory).unwrap_or_default();
    let unquoted = escaped
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let unquoted = unquoted.unwrap_or_default();
    CONFIGURATION
        .replace(ADDRESS, &address.to_string())
        .replace(DIRECTORY, unquoted)
}

/// A word for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+".contains(char);
    if text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// One mail in the table at the end.
struct Row {
    cells: [String; 5],
    is_right: bool,
}

impl Seen {
    fn row(&self, sample: &Sample) -> Row {
        let is_right = self.findings.iter().all(Result::is_ok);
        let after = self
            .file
            .as_ref()
            .map(|(_, file)| octets(file.len() as u64));
        let said = self.log.iter().flat_map(|log| &log.rules);
        let rules: Vec<String> = said
            .map(|word| format!("{} {}", word.rule, word.did))
            .collect();
        Row {
            cells: [
                sample.name.to_string(),
                octets(sample.octets.len() as u64),
                after.unwrap_or_else(|| "-".into()),
                format!("{:.1}", self.millis),
                rules.join(", "),
            ],
            is_right,
        }
    }
}

fn table(rows: &[Row], paint: Paint) -> String {
    let heads = ["mail", "octets in", "octets out", "ms", "rules"];
    let mut text = String::new();
    let mut line = |cells: [&str; 5], verdict: String| {
        let [name, before, after, millis, rules] = cells;
        let _ = writeln!(
            text,
            "{}  {before:>9}  {after:>10}  {millis:>6}  {}  {verdict}",
            pad(name, 10),
            pad(rules, 34)
        );
    };
    line(heads, "right?".into());
    for row in rows {
        let verdict = if row.is_right {
            paint.green("yes")
        } else {
            paint.red("NO")
        };
        line(row.cells.each_ref().map(String::as_str), verdict);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_gets_its_place() {
        let address: SocketAddr = "127.0.0.1:2525".parse().unwrap();
        let text = configuration("/tmp/a \"b\\c", address);
        assert!(text.contains("address = \"127.0.0.1:2525\""), "{text}");
        assert!(
            text.contains(r#"next_hop = "maildir:///tmp/a \"b\\c/mail""#),
            "{text}"
        );
        let table = text.lines().filter(|line| !line.starts_with('#'));
        assert!(!table.into_iter().any(|line| line.contains(DIRECTORY)));
    }

    #[test]
    fn words_for_a_shell() {
        for (path, word) in [
            ("/usr/bin/mimicryd", "/usr/bin/mimicryd"),
            ("/a b/c", "'/a b/c'"),
            ("/it's", "'/it'\\''s'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
