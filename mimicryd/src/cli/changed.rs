//! Which mails a generation changed, by the lines of the log. Pure.
//!
//! A mail's line bears the hash of the configuration that it met, so it is known which generation that was; and what each
//! rule did.
//!
//! Must never: show what stands in a line unescaped.

use super::show::short;
use crate::logging::read::{self, ours, text, values};

/// What is said of a mail that a configuration of this hash changed; `None` = the line is none of such a mail.
pub fn row(line: &str, hash: &str) -> Option<String> {
    let (when, said) = ours(line)?;
    let fields = read::line(said)?;
    if text(&fields, "generation")? != hash {
        return None;
    }
    let all = |key| values(&fields, key).map(String::from_utf8_lossy);
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
        all(key)
            .map(|path| as_path(&path))
            .collect::<Vec<_>>()
            .join(",")
    };
    let time = text(&fields, "time");
    Some(format!(
        "{}  {}  {} -> {}  {}",
        short(time.as_deref().unwrap_or(when), 30),
        short(&text(&fields, "id")?, 20),
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

    #[test]
    fn lines_of_changed_mails_are_found_in_both_forms() {
        let text = "2026-11-29T11:00:00.000+00:00 mimicryd[7]: id=4k class=1/1 status=sent reply=\"250 Ok generation=00000000 \\\"1\\\"\" \
            from=<a b@x> generation=5f0c1a9e size=1 rules=\"legal, footer:edited\",zip:no-saving,\"a \\\"b\\\":edited\" to=<b@y>,<c@y>";
        let shown =
            "2026-11-29T11:00:00.000+00:00  4k  <a b@x> -> <b@y>,<c@y>  legal, footer, a \"b\"";
        // A path with a blank is in quotes there.
        let text = text.replace("<a b@x>", "\"<a b@x>\"");
        let shown = shown.replace("<a b@x>", "\"<a b@x>\"");
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
}
