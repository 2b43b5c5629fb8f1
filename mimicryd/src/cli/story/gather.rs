//! Which lines belong to a mail. Pure.
//!
//! Ours are those that bear the tag of this program; a line of another program that looks like one is not. Of others, those count that
//! begin with the queue id which the mail had there.
//!
//! Must never: take a line for ours by what stands behind its tag.

use std::collections::BTreeSet;

use crate::logging::read::{self, Field, ours, text, values};

/// So many lines are kept; a mail that has more is not told better by them.
const MOST: usize = 5000;

/// What is looked for, and what that turned out to be.
#[derive(Debug)]
pub struct Wanted {
    text: String,
    /// Mails.
    ids: BTreeSet<String>,
    /// What these were called on the machine before.
    queues: BTreeSet<String>,
}

/// A line of ours with its parts.
#[derive(Clone, Debug)]
pub struct Record {
    pub when: String,
    pub id: String,
    /// As it stands there.
    pub line: String,
    /// None of a sentence.
    pub fields: Vec<Field>,
    /// The sentence.
    pub sentence: String,
}

/// All lines of the mails.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order in which they were found.
    pub records: Vec<Record>,
    /// Of other programs.
    pub others: Vec<String>,
    pub is_cut: bool,
}

impl Wanted {
    pub fn new(text: &str) -> Wanted {
        let bare = text.trim();
        let bare = bare
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'))
            .unwrap_or(bare);
        Wanted {
            text: bare.to_string(),
            ids: BTreeSet::new(),
            queues: BTreeSet::new(),
        }
    }

    /// Is it about a mail that is looked for?
    pub fn learn(&mut self, line: &str) {
        let Some((_, said)) = ours(line) else {
            return;
        };
        let Some(fields) = read::line(said) else {
            return;
        };
        let is_it = ["id", "msgid", "queue", "digest", "archive"]
            .iter()
            .any(|key| self.is_value(key, values(&fields, key)));
        if !is_it {
            return;
        }
        self.ids.extend(text(&fields, "id"));
        self.queues.extend(text(&fields, "queue"));
    }

    fn is_value<'v>(&self, key: &str, mut values: impl Iterator<Item = &'v [u8]>) -> bool {
        let wanted = self.text.as_bytes();
        values.any(|value| match key {
            "msgid" => {
                let bare = value
                    .strip_prefix(b"<")
                    .and_then(|rest| rest.strip_suffix(b">"));
                bare.unwrap_or(value) == wanted
            }
            // The log has its first digits, `poison list` all.
            "digest" => wanted.len() >= 16 && (wanted.starts_with(value) || value == wanted),
            "archive" => wanted.len() >= 16 && value.starts_with(wanted),
            _ => value == wanted,
        })
    }
}

impl Found {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn take(&mut self, line: &str, wanted: &Wanted) {
        if self.records.len().saturating_add(self.others.len()) >= MOST {
            self.is_cut = true;
            return;
        }
        match ours(line) {
            Some((when, said)) => self.take_ours(line, when, said, wanted),
            None if is_of_queue(line, &wanted.queues) => {
                self.others.push(line.to_string());
            }
            None => {}
        }
    }

    fn take_ours(&mut self, line: &str, when: &str, said: &str, wanted: &Wanted) {
        let fields = read::line(said).unwrap_or_default();
        let (id, sentence) = match text(&fields, "id") {
            Some(id) => (Some(id).filter(|id| wanted.ids.contains(id)), String::new()),
            None => {
                // Of a JSON line the message, else the line itself.
                let sentence = json_message(said).unwrap_or_else(|| said.to_string());
                let is_word = |char: char| char.is_ascii_alphanumeric();
                let mut words = sentence.split(|char| !is_word(char));
                let id = words.find(|word| wanted.ids.contains(*word));
                (id.map(String::from), sentence)
            }
        };
        let Some(id) = id else { return };
        let time = text(&fields, "time");
        self.records.push(Record {
            when: time.unwrap_or_else(|| when.to_string()),
            id,
            line: line.to_string(),
            fields,
            sentence,
        });
    }
}

fn json_message(said: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(said).ok()?;
    Some(value.get("message")?.as_str()?.to_string())
}

/// `Nov 29 12:00:00 mx postfix/smtp[7]: 4Zq01x: to=...`
fn is_of_queue(line: &str, queues: &BTreeSet<String>) -> bool {
    if queues.is_empty() {
        return false;
    }
    let said = line.split_once("]: ").map(|(_, said)| said);
    let id = said.and_then(|said| said.split([':', ' ']).next());
    id.is_some_and(|id| queues.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[&str] = &[
        "2026-11-29T12:00:00.000+00:00 mimicryd[7]: event=rcpt-refused id=aaaaaaaaaa reply=\"550 no\" to=<x@y>",
        "Nov 29 12:00:00 mx postfix/smtp[7]: 4Zq01x: to=<b@c>, status=sent",
        "Nov 29 12:00:00 mx postfix/smtp[7]: 4Zq01y: to=<b@c>, status=sent",
        "2026-11-29T12:00:01.000+00:00 mimicryd[7]: id=aaaaaaaaaa class=1/1 status=sent more=1",
        "2026-11-29T12:00:01.000+00:00 mimicryd[7]: id=aaaaaaaaaa class=1/1 part=2 msgid=<1@x> queue=4Zq01x digest=0123456789abcdef",
        "2026-11-29T12:00:02.000+00:00 mimicryd[7]: id=bbbbbbbbbb class=1/1 status=sent msgid=<2@x>",
        "2026-11-29T12:00:03.000+00:00 mimicryd[7]: error: a panic while judging the mail aaaaaaaaaa; it is deferred",
        "Nov 29 12:00:04 mx evil[1]: x mimicryd[7]: id=aaaaaaaaaa class=9/9 status=forged",
        "Nov 29 12:00:04 mx mimicryd[7x]: id=aaaaaaaaaa class=9/9 status=forged",
        "{\"time\":\"t\",\"id\":\"cccccccccc\",\"class\":\"1/1\",\"msgid\":[\"<1@x>\"]}",
    ];

    fn found(text: &str) -> (Vec<String>, usize) {
        let mut wanted = Wanted::new(text);
        LOG.iter().for_each(|text| wanted.learn(text));
        let mut found = Found::default();
        LOG.iter().for_each(|text| found.take(text, &wanted));
        let at = |record: &Record| {
            LOG.iter()
                .position(|line| *line == record.line)
                .unwrap()
                .to_string()
        };
        (found.records.iter().map(at).collect(), found.others.len())
    }

    #[test]
    fn lines_of_a_mail_and_no_others() {
        for (wanted, records, others) in [
            ("aaaaaaaaaa", &["0", "3", "4", "6"][..], 1),
            ("<1@x>", &["0", "3", "4", "6", "9"], 1),
            ("1@x", &["0", "3", "4", "6", "9"], 1),
            ("4Zq01x", &["0", "3", "4", "6"], 1),
            ("0123456789abcdef", &["0", "3", "4", "6"], 1),
            ("0123456789abcdef0123", &["0", "3", "4", "6"], 1),
            ("0123456789abcde", &[], 0),
            ("bbbbbbbbbb", &["5"], 0),
            ("forged", &[], 0),
            ("", &[], 0),
        ] {
            let (at, number) = found(wanted);
            assert_eq!(
                (at.as_slice(), number),
                (
                    &records.iter().map(ToString::to_string).collect::<Vec<_>>()[..],
                    others
                ),
                "{wanted}"
            );
        }
    }
}
