//! What clients heard of their mails, against what the log says that they heard: in every test with a daemon.
//!
//! A client notes each final reply, which is what follows the octets after a 354; an LMTP client notes one for each recipient. When the
//! daemon has ended, each of them must stand in its log as `reply=`, of one mail or refusal each, or for a recipient of an LMTP
//! client among the notes of its class.
//!
//! Must never: pass over a reply because its text is another.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::client::Reply;
use super::logged;

/// A final reply that somebody heard.
#[derive(Clone, Debug)]
struct Heard {
    /// Where the client connected to: an address, or the path of a socket.
    server: String,
    is_lmtp: bool,
    reply: String,
}

static HEARD: Mutex<Vec<Heard>> = Mutex::new(Vec::new());

/// What a client expects to hear next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    #[default]
    Command,
    /// The final reply.
    Final,
    /// One reply for each recipient, until the client says something.
    Each,
}

pub fn note(server: &str, is_lmtp: bool, reply: &Reply) {
    let heard = Heard {
        server: server.into(),
        is_lmtp,
        reply: one_line(reply),
    };
    let mut all = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    all.push(heard);
}

/// As the log writes it: the enhanced code stands once.
fn one_line(reply: &Reply) -> String {
    let code = reply.enhanced().map(|code| format!("{code} "));
    let lines = reply.lines.iter().enumerate().map(|(at, line)| {
        let repeated = code.as_deref().filter(|_| at > 0);
        repeated
            .and_then(|code| line.strip_prefix(code))
            .unwrap_or(line)
    });
    format!("{} {}", reply.code, lines.collect::<Vec<_>>().join(" / "))
}

/// What was heard at the addresses of a daemon that begins now was heard of others, which had the same port before.
pub fn forget(directory: &Path) {
    let _ = take(&configuration(directory));
}

fn configuration(directory: &Path) -> String {
    fs::read_to_string(directory.join("mimicry.toml")).unwrap_or_default()
}

fn take(config: &str) -> Vec<Heard> {
    let mut all = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    let is_ours = |heard: &mut Heard| config.contains(heard.server.as_str());
    all.extract_if(.., is_ours).collect()
}

/// What is wrong between what was heard of the daemon of this directory, and its log. To be called when it has ended.
pub fn wrong(directory: &Path) -> Vec<String> {
    let config = configuration(directory);
    let heard = take(&config);
    let Some(log) = log(directory, &config) else {
        return Vec::new();
    };
    let mut said = Said::of(&log);
    let unsaid = heard.iter().filter(|heard| !said.takes(heard));
    unsaid
        .map(|heard| {
            format!(
                "a client heard {:?}, and the log does not say so",
                heard.reply
            )
        })
        .collect()
}

/// `None` = it is not in a file, or does not have what is asked for.
fn log(directory: &Path, config: &str) -> Option<String> {
    let is_quiet = ["\"warn\"", "\"error\""]
        .iter()
        .any(|level| config.contains(&format!("level = {level}")));
    let entries = fs::read_dir(directory).ok()?.flatten();
    let files = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("log"));
    let texts: Vec<String> = files
        .filter_map(|file| fs::read(file.path()).ok())
        .map(|octets| String::from_utf8_lossy(&octets).into_owned())
        .collect();
    // A worker that is killed, or a log that is full, says nothing any more.
    let log = texts.concat();
    let is_cut = ["was killed by SIG", " lines of the log were lost"]
        .iter()
        .any(|words| log.contains(words));
    (!is_quiet && !is_cut && !texts.is_empty()).then_some(log)
}

/// What the log says that clients heard.
#[derive(Debug, Default)]
struct Said {
    /// How many mails had this reply.
    mails: BTreeMap<String, usize>,
    /// Notes of recipients that have not got what others of their class have.
    notes: Vec<String>,
}

impl Said {
    fn of(log: &str) -> Said {
        let mut said = Said::default();
        let mut of_ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let lines = log.lines().filter_map(|line| line.split_once("]: "));
        let lines: Vec<&str> = lines.map(|(_, line)| line).collect();
        for event in logged::events(lines.iter().copied()) {
            let replies = event.get("reply").into_iter().flatten();
            for reply in replies {
                *said.mails.entry(logged::text(reply).into()).or_default() += 1;
            }
        }
        for mail in logged::mails(lines) {
            let all = |key: &str| -> Vec<String> {
                let values = mail.get(key).into_iter().flatten();
                values.map(|value| logged::text(value).into()).collect()
            };
            of_ids
                .entry(all("id").concat())
                .or_default()
                .extend(all("reply"));
            said.notes.extend(all("notes"));
        }
        let json = log.lines().filter(|line| line.starts_with('{'));
        for line in json {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let text = |key: &str| value[key].as_str().map(String::from);
            if let (Some(_), Some(reply)) = (text("event"), text("reply")) {
                *said.mails.entry(logged_reply(&reply)).or_default() += 1;
            } else if let (Some(id), Some(reply)) = (text("id"), text("reply")) {
                of_ids.entry(id).or_default().push(logged_reply(&reply));
            }
        }
        for (_, mut replies) in of_ids {
            replies.sort();
            replies.dedup();
            for reply in replies {
                *said.mails.entry(reply).or_default() += 1;
            }
        }
        said
    }

    fn takes(&mut self, heard: &Heard) -> bool {
        if heard.is_lmtp {
            let note = format!(": {}", heard.reply);
            return self.mails.contains_key(&heard.reply)
                || self.notes.iter().any(|said| said.ends_with(&note));
        }
        match self.mails.get_mut(&heard.reply) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

fn logged_reply(text: &str) -> String {
    String::from_utf8_lossy(&logged::unescaped(text)).into_owned()
}
