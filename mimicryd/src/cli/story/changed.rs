//! Which mails a generation changed, by the lines of the log. Pure.
//!
//! A mail's line bears the hash of the configuration that it met, so it is known which generation that was; and what each
//! rule did. A mail with many recipients or rules has further lines, which may have lines of others among them.
//!
//! Must never: show what stands in a line unescaped.

use std::collections::BTreeMap;

use super::whole::{Whole, is_part, more};
use crate::cli::show::short;
use crate::logging::read::{self, ours, text};

/// So many mails may lack further lines at a time; a log that was cut off has one, a forged one as many as it likes.
const OPEN: usize = 1000;

/// Reads the log line by line.
pub struct Changed<'h> {
    /// Of the configuration that is asked for.
    hash: &'h str,
    /// Mails whose further lines are still to come, by id and class, with the number of those.
    open: BTreeMap<(String, String), (Whole, usize)>,
}

impl<'h> Changed<'h> {
    pub fn by(hash: &'h str) -> Changed<'h> {
        Changed {
            hash,
            open: BTreeMap::new(),
        }
    }

    /// What is said of a mail that the configuration changed, once this line is the last of it.
    pub fn take(&mut self, line: &str) -> Option<String> {
        let (when, said) = ours(line)?;
        let fields = read::line(said)?;
        let name = (text(&fields, "id")?, text(&fields, "class")?);
        if is_part(&fields) {
            let (whole, left) = self.open.get_mut(&name)?;
            whole.add(&fields);
            *left = left.saturating_sub(1);
            if *left > 0 {
                return None;
            }
            let (whole, _) = self.open.remove(&name)?;
            return row(&whole);
        }
        if text(&fields, "generation")? != self.hash {
            return None;
        }
        let when = text(&fields, "time").unwrap_or_else(|| when.to_string());
        let whole = Whole::new(when, String::new(), &fields);
        match more(&fields) {
            0 => row(&whole),
            more => {
                // The one before has lost its lines.
                let full = self.open.len() >= OPEN;
                let lost = full.then(|| self.open.pop_first()).flatten();
                self.open.insert(name, (whole, more));
                lost.and_then(|(_, (whole, _))| row(&whole))
            }
        }
    }

    /// The mails of which the log has not all lines.
    pub fn rest(self) -> impl Iterator<Item = String> {
        self.open.into_values().filter_map(|(whole, _)| row(&whole))
    }
}

fn row(whole: &Whole) -> Option<String> {
    let all = |key| {
        whole
            .values(key)
            .iter()
            .map(|value| String::from_utf8_lossy(value))
    };
    let edited: Vec<String> = all("rules")
        .filter_map(|rule| {
            // A banner that is taken off again is an edit with a word of its own.
            let (rule, did) = rule.rsplit_once(':')?;
            matches!(did, "edited" | "removed").then(|| short(rule, 40))
        })
        .collect();
    if edited.is_empty() {
        return None;
    }
    let paths = |key| {
        let paths: Vec<String> = all(key).map(|path| as_path(&path)).collect();
        paths.join(",")
    };
    Some(format!(
        "{}  {}  {} -> {}  {}",
        short(&whole.when, 60),
        short(whole.values("id").first()?, 20),
        short(paths("from"), 60),
        short(paths("to"), 120),
        edited.join(", ")
    ))
}

/// In brackets, which JSON leaves out, and in quotes if it has a blank.
fn as_path(value: &str) -> String {
    let path = match value.starts_with('<') {
        true => value.to_string(),
        false => format!("<{value}>"),
    };
    match path.contains(' ') {
        true => format!("\"{path}\""),
        false => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(log: &[&str], hash: &str) -> Vec<String> {
        let mut changed = Changed::by(hash);
        let mut rows: Vec<String> = log.iter().filter_map(|line| changed.take(line)).collect();
        rows.extend(changed.rest());
        rows
    }

    #[test]
    fn lines_of_changed_mails_are_found_in_both_forms() {
        let text = "2026-11-29T11:00:00.000+00:00 mimicryd[7]: id=4k class=1/1 status=sent reply=\"250 Ok generation=00000000 \\\"1\\\"\" \
            from=<a b@x> generation=5f0c1a9e size=1 rules=\"legal, footer:edited\",zip:no-saving,\"a \\\"b\\\":edited\" to=<b@y>,<c@y>";
        let shown =
            "2026-11-29T11:00:00.000+00:00  4k  <a b@x> -> <b@y>,<c@y>  legal, footer, a \"b\"";
        // A path with a blank is in quotes there.
        let text = text.replace("<a b@x>", "\"<a b@x>\"");
        let shown = shown.replace("<a b@x>", "\"<a b@x>\"");
        let row = |text: &str, hash| rows(&[text], hash).pop();
        assert_eq!(row(&text, "5f0c1a9e").as_deref(), Some(shown.as_str()));
        assert_eq!(row(&text, "00000000"), None);
        assert_eq!(row(&text.replace(":edited", ":sealed"), "5f0c1a9e"), None);
        let taken_off = row(&text.replace(":edited", ":removed"), "5f0c1a9e");
        assert_eq!(taken_off.as_deref(), Some(shown.as_str()));
        let json = r#"{"time":"t","id":"4k","class":"1/1","from":"a@x","generation":"5f0c1a9e","rules":[{"rule":"f","did":"edited"},{"rule":"z","did":"no-saving"}],"to":["b@y"]}"#;
        assert_eq!(
            row(json, "5f0c1a9e").as_deref(),
            Some("t  4k  <a@x> -> <b@y>  f")
        );
        assert_eq!(row(json, "5f0c1a9f"), None);
        assert_eq!(
            row(&format!("Nov 29 host mimicryd[7]: {json}"), "5f0c1a9e").as_deref(),
            Some("t  4k  <a@x> -> <b@y>  f")
        );
        for other in [
            "",
            "configuration x is in force, generation 2, hash 5f0c1a9e",
            "{\"generation\":",
            "a=\"b generation=5f0c1a9e",
        ] {
            assert_eq!(row(other, "5f0c1a9e"), None, "{other}");
        }
    }

    // Looked at line by line, the rules of a mail with many recipients were not found, because they stand in a line without the hash.
    #[test]
    fn a_mail_with_further_lines_is_one() {
        let log = [
            "t mimicryd[7]: id=aa class=1/2 status=sent from=<a@x> generation=5f0c1a9e more=2",
            "t mimicryd[8]: id=bb class=1/1 status=sent from=<a@x> generation=00000000 more=1",
            "t mimicryd[7]: id=aa class=1/2 part=2 to=<b@y>,<c@y>",
            "t mimicryd[8]: id=bb class=1/1 part=2 to=<b@y> rules=f:edited",
            "t mimicryd[7]: id=aa class=2/2 status=sent from=<a@x> generation=5f0c1a9e rules=f:edited to=<e@y>",
            "t mimicryd[7]: id=aa class=1/2 part=3 to=<d@y> rules=f:edited",
            "t mimicryd[9]: id=cc class=1/1 status=sent from=<a@x> generation=5f0c1a9e more=2 to=<b@y>",
            "t mimicryd[9]: id=cc class=1/1 part=2 rules=g:edi",
            "t mimicryd[9]: id=cc class=1/1 part=3 rules+=ted",
        ];
        let expected = [
            "t  aa  <a@x> -> <e@y>  f",
            "t  aa  <a@x> -> <b@y>,<c@y>,<d@y>  f",
            "t  cc  <a@x> -> <b@y>  g",
        ];
        assert_eq!(rows(&log, "5f0c1a9e"), expected);
        // What the log has lost is not waited for, and many such are not kept.
        assert_eq!(rows(&log[..4], "5f0c1a9e"), [""; 0]);
        let cut: Vec<String> = (0..OPEN + 7)
            .map(|number| {
                format!("t mimicryd[7]: id=i{number} class=1/1 status=sent from=<> generation=5f0c1a9e more=9 rules=f:edited")
            })
            .collect();
        let cut: Vec<&str> = cut.iter().map(String::as_str).collect();
        assert_eq!(rows(&cut, "5f0c1a9e").len(), OPEN + 7);
    }
}
