//! The page beside a mail: the transaction that brings it, and what is expected of the rules.
//!
//! Must never: leave a key unread, which would be an expectation that cannot fail.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;

use jiff::Timestamp;
use mimicry_core::mail::Moment;
use serde::Deserialize;

use super::seen::Seen;
use crate::cli::input::Transaction;

/// One mail of a test. What it does not say is taken from the mail, as `explain` does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Case {
    pub from: Option<String>,
    pub to: Vec<String>,
    pub client: Option<IpAddr>,
    pub helo: Option<String>,
    pub listener: Option<String>,
    pub auth_user: Option<String>,
    /// When it is received (RFC 3339): texts may have a date in them.
    pub at: Option<String>,
    /// One for each class of recipients.
    pub expect: Vec<Expect>,
}

/// What is expected for the recipients of one class. What it does not name may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Which class; needless if there is one.
    pub to: Vec<String>,
    /// `changed`, `unchanged`, `deferred` or `rejected`.
    pub result: Option<String>,
    /// What the beginning of the reply is, if the rules stop the mail.
    pub reply: Option<String>,
    pub bank: Option<String>,
    /// The outcome of a rule, or its reason code.
    pub rules: BTreeMap<String, String>,
    /// The parts of the mail as it leaves, two blanks for each level.
    pub tree: Option<Vec<String>>,
    /// Texts that stand in one of its texts or in its header, and texts that do not.
    pub contains: Vec<String>,
    pub lacks: Vec<String>,
    /// Fields of its header, decoded.
    pub headers: BTreeMap<String, String>,
    /// Names of fields that it has not.
    pub no_headers: Vec<String>,
}

impl Case {
    pub fn read(text: &str) -> Result<Case, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    pub fn transaction(&self) -> Transaction {
        Transaction {
            from: self.from.as_ref().map(OsString::from),
            to: self.to.iter().map(OsString::from).collect(),
            client: self.client,
            helo: self.helo.as_ref().map(OsString::from),
            listener: self.listener.clone(),
            auth_user: self.auth_user.clone(),
        }
    }

    pub fn received(&self, now: Moment) -> Result<Moment, String> {
        let Some(at) = &self.at else {
            return Ok(now);
        };
        let time: Timestamp = at
            .parse()
            .map_err(|error| format!("at = {at:?}: {error}"))?;
        Ok(Moment {
            unix: time.as_second(),
            offset: 0,
        })
    }

    /// All that is not as expected.
    pub fn wrong(&self, seen: &[Seen]) -> Vec<String> {
        if self.expect.is_empty() {
            return vec!["nothing is expected of it; --record writes what happens today".into()];
        }
        let mut wrong = Vec::new();
        for expect in &self.expect {
            match class(expect, seen) {
                Ok(seen) => wrong.extend(expect.wrong(seen)),
                Err(why) => wrong.push(why),
            }
        }
        wrong
    }

    /// The page with what happens today. Texts and fields that somebody wrote into it stay, as far as they hold.
    pub fn recorded(&self, seen: &[Seen], now: Moment) -> String {
        let mut page = String::new();
        let mut line = |key: &str, value: &Option<String>| {
            if let Some(value) = value {
                page.push_str(&format!("{key} = {}\n", quoted(value)));
            }
        };
        line("from", &self.from);
        let at = self.received(now).unwrap_or(now).unix;
        let at = Timestamp::from_second(at).unwrap_or_default().to_string();
        let client = self.client.map(|client| client.to_string());
        let to = (!self.to.is_empty()).then(|| list(&self.to));
        if let Some(to) = to {
            page.push_str(&format!("to = {to}\n"));
        }
        let mut line = |key: &str, value: &Option<String>| {
            if let Some(value) = value {
                page.push_str(&format!("{key} = {}\n", quoted(value)));
            }
        };
        line("client", &client);
        line("helo", &self.helo);
        line("listener", &self.listener);
        line("auth_user", &self.auth_user);
        line("at", &Some(at));
        for one in seen {
            let written = self.expect.iter();
            let written = written
                .filter(|expect| class(expect, seen).is_ok_and(|class| std::ptr::eq(class, one)));
            let is_only = seen.len() == 1;
            page.push_str(&recorded(one, is_only, &written.collect::<Vec<_>>()));
        }
        page
    }
}

/// The class that is meant.
fn class<'s>(expect: &Expect, seen: &'s [Seen]) -> Result<&'s Seen, String> {
    match (expect.to.as_slice(), seen) {
        ([], [only]) => Ok(only),
        ([], _) => {
            let classes: Vec<String> = seen.iter().map(|one| one.to.join(", ")).collect();
            Err(format!(
                "there are {} classes, and an expectation does not say which: {}",
                seen.len(),
                classes.join(" | ")
            ))
        }
        (to, _) => {
            let has_all = |one: &&Seen| to.iter().all(|name| one.to.contains(name));
            seen.iter()
                .find(has_all)
                .ok_or_else(|| format!("{} are no recipients of one class", to.join(", ")))
        }
    }
}

impl Expect {
    fn wrong(&self, seen: &Seen) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut differs = |what: &str, expected: &Option<String>, is: &str| {
            if let Some(expected) = expected
                && expected != is
            {
                wrong.push(format!("{what} is {is}, expected {expected}"));
            }
        };
        differs("result", &self.result, seen.result);
        differs("bank", &self.bank, &seen.bank);
        for (rule, expected) in &self.rules {
            match seen.rule(rule) {
                Some(word) if word == expected => {}
                Some(word) => wrong.push(format!("rule \"{rule}\" is {word}, expected {expected}")),
                None => wrong.push(format!("there is no rule \"{rule}\"")),
            }
        }
        if let Some(reply) = &self.reply
            && !seen.reply.as_ref().is_some_and(|is| is.starts_with(reply))
        {
            let is = seen.reply.as_deref().unwrap_or("none of a rule");
            wrong.push(format!("the reply is {is}, expected {reply}"));
        }
        if let Some(tree) = &self.tree
            && *tree != seen.tree
        {
            let (is, expected) = (seen.tree.join(" | "), tree.join(" | "));
            wrong.push(format!("the tree is {is}, expected {expected}"));
        }
        wrong.extend(self.wrong_words(seen));
        wrong
    }

    fn wrong_words(&self, seen: &Seen) -> Vec<String> {
        let mut wrong = Vec::new();
        for text in &self.contains {
            if !seen.contains(text) {
                wrong.push(format!("{text:?} is missing"));
            }
        }
        for text in &self.lacks {
            if seen.contains(text) {
                wrong.push(format!("{text:?} is there"));
            }
        }
        for (name, expected) in &self.headers {
            let values: Vec<&str> = seen.header(name).collect();
            if !values.contains(&expected.as_str()) {
                wrong.push(match values.is_empty() {
                    true => format!("there is no field {name}"),
                    false => format!("{name} is {}, expected {expected}", values.join(" | ")),
                });
            }
        }
        for name in &self.no_headers {
            if let Some(value) = seen.header(name).next() {
                wrong.push(format!("there is a field {name}: {value}"));
            }
        }
        wrong
    }
}

/// One expectation, as TOML.
fn recorded(seen: &Seen, is_only: bool, written: &[&Expect]) -> String {
    let mut page = String::from("\n[[expect]]\n");
    if !is_only {
        page.push_str(&format!("to = {}\n", list(&seen.to)));
    }
    page.push_str(&format!("result = {}\n", quoted(seen.result)));
    if let Some(reply) = &seen.reply {
        page.push_str(&format!("reply = {}\n", quoted(reply)));
    }
    if seen.bank != "base" {
        page.push_str(&format!("bank = {}\n", quoted(&seen.bank)));
    }
    if !seen.tree.is_empty() {
        let lines = seen
            .tree
            .iter()
            .map(|line| format!("  {},\n", quoted(line)));
        page.push_str(&format!("tree = [\n{}]\n", lines.collect::<String>()));
    }
    let all = |of: fn(&Expect) -> &Vec<String>| {
        let mut all: Vec<String> = written.iter().flat_map(|one| of(one).clone()).collect();
        all.dedup();
        all
    };
    let mut contains = all(|one| &one.contains);
    contains.retain(|text| seen.contains(text));
    let mut lacks = all(|one| &one.lacks);
    lacks.retain(|text| !seen.contains(text));
    let mut without = all(|one| &one.no_headers);
    without.retain(|name| seen.header(name).next().is_none());
    for (key, texts) in [
        ("contains", contains),
        ("lacks", lacks),
        ("no_headers", without),
    ] {
        if !texts.is_empty() {
            page.push_str(&format!("{key} = {}\n", list(&texts)));
        }
    }
    let mut table = |name: &str, rows: Vec<(&str, &str)>| {
        if !rows.is_empty() {
            let rows = rows
                .iter()
                .map(|(key, value)| format!("{} = {}\n", quoted(key), quoted(value)));
            page.push_str(&format!("\n[expect.{name}]\n{}", rows.collect::<String>()));
        }
    };
    let headers = written.iter().flat_map(|one| &one.headers);
    let holds =
        |(name, value): &(&String, &String)| seen.header(name).any(|is| is == value.as_str());
    let headers = headers
        .filter(holds)
        .map(|(name, value)| (name.as_str(), value.as_str()));
    table("headers", headers.collect());
    let rules = seen
        .rules
        .iter()
        .map(|(name, word)| (name.as_str(), word.as_str()));
    table("rules", rules.collect());
    page
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            char if char.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            to: vec!["b@x".into(), "c@x".into()],
            result: "changed",
            reply: None,
            bank: "base".into(),
            rules: vec![
                ("footer".into(), "edited".into()),
                ("a \"b\"".into(), "no-saving".into()),
            ],
            tree: vec!["multipart/mixed".into(), "  text/plain".into()],
            digest: "d".into(),
            texts: "Hello\nlegal words\n".into(),
            headers: vec![("subject".into(), "Grüße".into())],
        }
    }

    #[test]
    fn each_key_can_fail() {
        for (page, wrong) in [
            ("result = 'changed'", ""),
            (
                "result = 'unchanged'",
                "result is changed, expected unchanged",
            ),
            ("bank = 'x'", "bank is base, expected x"),
            ("to = ['c@x']\nresult = 'changed'", ""),
            ("to = ['d@x']", "d@x are no recipients of one class"),
            ("reply = '550'", "the reply is none of a rule, expected 550"),
            ("rules = { footer = 'edited' }", ""),
            (
                "rules = { footer = 'sealed' }",
                "rule \"footer\" is edited, expected sealed",
            ),
            ("rules = { x = 'edited' }", "there is no rule \"x\""),
            ("tree = ['multipart/mixed', '  text/plain']", ""),
            (
                "tree = ['text/plain']",
                "the tree is multipart/mixed |   text/plain, expected text/plain",
            ),
            ("contains = ['legal words']", ""),
            ("contains = ['gone']", "\"gone\" is missing"),
            ("lacks = ['gone']", ""),
            ("lacks = ['legal']", "\"legal\" is there"),
            ("headers = { Subject = 'Grüße' }", ""),
            (
                "headers = { Subject = 'x' }",
                "Subject is Grüße, expected x",
            ),
            ("headers = { X-Y = 'x' }", "there is no field X-Y"),
            ("no_headers = ['X-Y']", ""),
            (
                "no_headers = ['subject']",
                "there is a field subject: Grüße",
            ),
        ] {
            let case = Case::read(&format!("[[expect]]\n{page}\n")).unwrap();
            assert_eq!(case.wrong(&[seen()]).join("; "), wrong, "{page}");
        }
        assert!(Case::read("[[expect]]\nrule = {}\n").is_err());
        assert!(Case::read("sender = 'x'\n").is_err());
        assert_eq!(Case::default().wrong(&[seen()]).len(), 1);
        let two = [
            seen(),
            Seen {
                to: vec!["d@x".into()],
                ..seen()
            },
        ];
        let case = Case::read("[[expect]]\nresult = 'changed'\n").unwrap();
        assert_eq!(
            case.wrong(&two),
            ["there are 2 classes, and an expectation does not say which: b@x, c@x | d@x"]
        );
    }

    #[test]
    fn what_is_recorded_holds_and_keeps_what_somebody_wrote() {
        let now = Moment {
            unix: 1_795_339_810,
            offset: 0,
        };
        let page = "from = 'a@x'\nclient = '192.0.2.1'\n[[expect]]\nresult = 'deferred'\ncontains = ['legal words', 'gone']\n\
            lacks = ['x\\ny', 'Hello']\nheaders = { Subject = 'Grüße', X = 'y' }\n";
        let case = Case::read(&page.replace('\'', "\"")).unwrap();
        let page = case.recorded(&[seen()], now);
        let again = Case::read(&page).unwrap_or_else(|error| panic!("{error}\n{page}"));
        assert_eq!(again.wrong(&[seen()]), [""; 0], "{page}");
        assert_eq!(again.from.as_deref(), Some("a@x"));
        assert_eq!(
            again.received(Moment { unix: 0, offset: 0 }).unwrap().unix,
            now.unix
        );
        let [expect] = again.expect.as_slice() else {
            panic!("{page}")
        };
        assert_eq!(expect.contains, ["legal words"]);
        assert_eq!(expect.lacks, ["x\ny"]);
        assert_eq!(expect.headers.len(), 1);
        assert_eq!(expect.rules.len(), 2);
        assert_eq!(again.recorded(&[seen()], now), page);
    }
}
