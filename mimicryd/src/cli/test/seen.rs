//! What a configuration does to a mail, as far as it is compared: with an expectation, or with what another one does.
//!
//! Must never: write anything, or hold what differs from run to run.

/// What one class of recipients gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub to: Vec<String>,
    pub result: &'static str,
    /// Of the rule that stops the mail.
    pub reply: Option<String>,
    pub bank: String,
    /// Each rule with its outcome, or the reason code of one that matched and did not edit.
    pub rules: Vec<(String, String)>,
    pub tree: Vec<String>,
    /// SHA-256 of the mail as it leaves.
    pub digest: String,
    /// All its texts, decoded, and its header.
    pub texts: String,
    /// Names in lower case, and decoded values.
    pub headers: Vec<(String, String)>,
}

impl Seen {
    pub fn rule(&self, name: &str) -> Option<&String> {
        self.rules
            .iter()
            .find(|(rule, _)| rule == name)
            .map(|(_, word)| word)
    }

    pub fn header<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        let name = name.to_ascii_lowercase();
        let found = self.headers.iter().filter(move |(field, _)| *field == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Lines may end in either way.
    pub fn contains(&self, text: &str) -> bool {
        self.texts.contains(text) || self.texts.replace("\r\n", "\n").contains(text)
    }
}

/// What two configurations do otherwise with one mail, for each recipient.
pub fn otherwise(one: &[Seen], other: &[Seen]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let recipients = one
        .iter()
        .flat_map(|seen| seen.to.iter().map(move |to| (to, seen)));
    for (to, before) in recipients {
        let Some(after) = other.iter().find(|seen| seen.to.contains(to)) else {
            continue;
        };
        let mut said: Vec<String> = Vec::new();
        let mut differs = |what: &str, before: &str, after: &str| {
            if before != after {
                said.push(format!("{what}: {before} → {after}"));
            }
        };
        differs("result", before.result, after.result);
        let reply = |seen: &Seen| seen.reply.clone().unwrap_or_else(|| "-".into());
        differs("reply", &reply(before), &reply(after));
        differs("bank", &before.bank, &after.bank);
        for (rule, word) in &before.rules {
            differs(
                &format!("rule \"{rule}\""),
                word,
                after.rule(rule).map_or("-", String::as_str),
            );
        }
        for (rule, word) in &after.rules {
            if before.rule(rule).is_none() {
                differs(&format!("rule \"{rule}\""), "-", word);
            }
        }
        let what_leaves = before.result == after.result && before.digest != after.digest;
        if before.tree != after.tree {
            said.push(format!(
                "tree: {} → {}",
                before.tree.join(" | "),
                after.tree.join(" | ")
            ));
        } else if what_leaves {
            said.push("the mail that leaves has other octets".into());
        }
        // Of a rule that only has another name nobody gets another mail, but it is said all the same.
        for line in said {
            let known = lines
                .iter_mut()
                .find(|known| known.ends_with(&format!("  {line}")));
            match known {
                Some(known) => *known = format!("{}, {known}", to),
                None => lines.push(format!("{to}  {line}")),
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(to: &[&str], result: &'static str, digest: &str, word: &str) -> Seen {
        Seen {
            to: to.iter().map(ToString::to_string).collect(),
            result,
            reply: None,
            bank: "base".into(),
            rules: vec![("a".into(), word.into())],
            tree: vec!["text/plain".into()],
            digest: digest.into(),
            texts: "one\r\ntwo\r\n".into(),
            headers: Vec::new(),
        }
    }

    #[test]
    fn what_differs_is_said_for_each_recipient() {
        let one = [seen(&["b@x", "c@x"], "changed", "1", "edited")];
        assert_eq!(otherwise(&one, &one), [""; 0]);
        // The classes are others, what everybody gets is the same.
        let split = [
            seen(&["c@x"], "changed", "1", "edited"),
            seen(&["b@x"], "changed", "1", "edited"),
        ];
        assert_eq!(otherwise(&one, &split), [""; 0]);
        let other = [
            seen(&["b@x"], "changed", "2", "edited"),
            seen(&["c@x"], "unchanged", "3", "sealed"),
        ];
        assert_eq!(
            otherwise(&one, &other),
            [
                "b@x  the mail that leaves has other octets",
                "c@x  result: changed → unchanged",
                "c@x  rule \"a\": edited → sealed"
            ]
        );
        let all = [seen(&["b@x", "c@x"], "changed", "2", "edited")];
        assert_eq!(
            otherwise(&one, &all),
            ["c@x, b@x  the mail that leaves has other octets"]
        );
        assert!(one[0].contains("one\ntwo"));
    }
}
