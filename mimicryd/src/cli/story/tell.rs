//! The story of a mail, from the lines that belong to it. Pure.
//!
//! Must never: write what others said to a terminal as it is.

use std::fmt::Write;

use super::super::show::escape;
use super::gather::{Found, Record};
use super::whole::{Whole, is_part};
use crate::logging::read::text;

/// All mails that were found, each with what happened to it, in its order.
pub fn story(found: &Found, with_lines: bool) -> String {
    let mut ids: Vec<&str> = Vec::new();
    for record in &found.records {
        if !ids.contains(&record.id.as_str()) {
            ids.push(&record.id);
        }
    }
    let mut out = String::new();
    for id in &ids {
        let records = found.records.iter().filter(|record| record.id == **id);
        // Writing into a String cannot fail, here and below.
        let _ = tell(id, &records.collect::<Vec<_>>(), with_lines, &mut out);
    }
    if !found.others.is_empty() {
        out.push_str("in the logs of others\n");
        for line in &found.others {
            let _ = writeln!(out, "  {}", escape(line));
        }
    }
    if found.is_cut {
        out.push_str("there are more lines than are told here\n");
    }
    out
}

fn tell(id: &str, records: &[&Record], with_lines: bool, out: &mut String) -> std::fmt::Result {
    writeln!(out, "mail {}", escape(id))?;
    for whole in wholes(records) {
        let when = escape(&whole.when);
        let say = |key: &str| whole.say(key);
        if let Some(event) = say("event") {
            let who = say("to").map_or_else(String::new, |to| format!(" {to}"));
            let reply = say("reply").unwrap_or_else(|| "no reply".into());
            writeln!(out, "  {when} {event}{who}: {reply}")?;
            whole.line(out, "by", &["by", "client", "listener", "helo", "from"])?;
        } else if whole.fields.is_empty() {
            writeln!(out, "  {when} {}", escape(&whole.sentence))?;
        } else {
            let class = say("class").unwrap_or_default();
            let status = say("status").unwrap_or_else(|| "?".into());
            let of = match class.as_str() {
                "1/1" | "" => String::new(),
                class => format!("class {class} "),
            };
            writeln!(
                out,
                "  {when} {of}{status}: {}",
                say("reply").unwrap_or_default()
            )?;
            whole.tell_class(out)?;
        }
    }
    if with_lines {
        for record in records {
            writeln!(out, "  | {}", escape(&record.line))?;
        }
    }
    Ok(())
}

fn wholes(records: &[&Record]) -> Vec<Whole> {
    let mut wholes: Vec<(Option<String>, Whole)> = Vec::new();
    for record in records {
        let class = text(&record.fields, "class");
        let is_part = is_part(&record.fields);
        let same = |(other, _): &&mut (Option<String>, Whole)| is_part && *other == class;
        match wholes.iter_mut().rev().find(same) {
            Some((_, whole)) => whole.add(&record.fields),
            None => {
                let (when, sentence) = (record.when.clone(), record.sentence.clone());
                wholes.push((class, Whole::new(when, sentence, &record.fields)));
            }
        }
    }
    wholes.into_iter().map(|(_, whole)| whole).collect()
}

impl Whole {
    fn line(&self, out: &mut String, head: &str, keys: &[&str]) -> std::fmt::Result {
        let facts = keys.iter().filter_map(|key| {
            let value = self.say(key).filter(|value| !value.is_empty())?;
            Some(match *key == head {
                true => value,
                false => format!("{} {value}", key.replace('_', "-")),
            })
        });
        let facts: Vec<String> = facts.collect();
        match facts.is_empty() {
            true => Ok(()),
            false => writeln!(out, "    {head:<8} {}", facts.join(", ")),
        }
    }

    fn tell_class(&self, out: &mut String) -> std::fmt::Result {
        self.line(
            out,
            "from",
            &["from", "client", "helo", "listener", "queue"],
        )?;
        self.line(out, "to", &["to"])?;
        self.line(out, "mail", &["msgid", "subject", "size", "out"])?;
        self.line(out, "settings", &["bank", "generation"])?;
        for rule in self.fields.get("rules").into_iter().flatten() {
            writeln!(out, "    rule     {}", escape(rule))?;
        }
        self.line(out, "relay", &["relay", "by", "said", "relaying", "total"])?;
        for note in self.fields.get("notes").into_iter().flatten() {
            writeln!(out, "    note     {}", escape(note))?;
        }
        self.line(out, "archive", &["archive"])?;
        self.line(out, "digest", &["digest"])
    }
}

#[cfg(test)]
mod tests {
    use super::super::gather::{Found, Wanted};
    use super::*;

    #[test]
    fn a_story() {
        let log = [
            "2026-11-29T12:00:00.000+00:00 mimicryd[7]: event=rcpt-refused id=aaaaaaaaaa reply=\"550 no\" by=next-hop to=<x@y>",
            "2026-11-29T12:00:01.000+00:00 mimicryd[7]: id=aaaaaaaaaa class=1/2 status=sent reply=\"250 o\" by=next-hop from=<a@x> client=192.0.2.1 relay=smtp://h:25 more=1 rules=\"a footer:edited\"",
            "2026-11-29T12:00:01.000+00:00 mimicryd[7]: id=aaaaaaaaaa class=1/2 part=2 reply+=k msgid=\"<1\\u{1b}@x>\" to=<b@y>,<c@y>",
            "2026-11-29T12:00:02.000+00:00 mimicryd[7]: error: the mail aaaaaaaaaa has a fault",
        ];
        let mut wanted = Wanted::new("aaaaaaaaaa");
        log.into_iter().for_each(|text| wanted.learn(text));
        let mut found = Found::default();
        log.into_iter().for_each(|text| found.take(text, &wanted));
        let expected = "mail aaaaaaaaaa\n  \
            2026-11-29T12:00:00.000+00:00 rcpt-refused <x@y>: 550 no\n    \
            by       next-hop\n  \
            2026-11-29T12:00:01.000+00:00 class 1/2 sent: 250 ok\n    \
            from     <a@x>, client 192.0.2.1\n    \
            to       <b@y>, <c@y>\n    \
            mail     msgid <1\\u{1b}@x>\n    \
            rule     a footer:edited\n    \
            relay    smtp://h:25, by next-hop\n  \
            2026-11-29T12:00:02.000+00:00 error: the mail aaaaaaaaaa has a fault\n";
        assert_eq!(story(&found, false), expected);
        assert!(
            story(&found, true)
                .contains("  | 2026-11-29T12:00:02.000+00:00 mimicryd[7]: error: the mail")
        );
    }
}
