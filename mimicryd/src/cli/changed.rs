//! Which mails a generation changed, by the lines of the log. Pure.
//!
//! A mail's line bears the hash of the configuration that it met, so it is known which generation that was; and what each
//! rule did.
//!
//! Must never: show what stands in a line unescaped.

use serde_json::Value;

use super::show::short;

/// The mail of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Met {
    time: String,
    id: String,
    from: String,
    to: String,
    /// Rules that edited it.
    edited: Vec<String>,
}

/// What is said of a mail that a configuration of this hash changed; `None` = the line is none of such a mail.
pub fn row(line: &str, hash: &str) -> Option<String> {
    let met = match line.find('{') {
        Some(at) if line.contains("\"generation\":") => json(line.get(at..)?, hash)?,
        _ => text(line, hash)?,
    };
    if met.edited.is_empty() {
        return None;
    }
    let time = short(&met.time, 30);
    let (from, to) = (short(&met.from, 60), short(&met.to, 120));
    let rules: Vec<String> = met.edited.iter().map(|rule| short(rule, 40)).collect();
    Some(format!(
        "{time}  {}  {from} -> {to}  {}",
        short(&met.id, 20),
        rules.join(", ")
    ))
}

fn json(line: &str, hash: &str) -> Option<Met> {
    let json: Value = serde_json::from_str(line).ok()?;
    let of = |key: &str| {
        json.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    if of("generation") != hash {
        return None;
    }
    let list = |key: &str| {
        json.get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let edited =
        list("rules").filter(|rule| rule.get("did").and_then(Value::as_str) == Some("edited"));
    let name = |rule: &Value| rule.get("rule").and_then(Value::as_str).map(String::from);
    let to: Vec<&str> = list("to").filter_map(Value::as_str).collect();
    Some(Met {
        time: of("time"),
        id: of("id"),
        from: format!("<{}>", of("from")),
        to: to
            .iter()
            .map(|to| format!("<{to}>"))
            .collect::<Vec<_>>()
            .join(","),
        edited: edited.filter_map(name).collect(),
    })
}

fn text(line: &str, hash: &str) -> Option<Met> {
    if value(line, "generation")? != hash {
        return None;
    }
    let rules = value(line, "rules").unwrap_or_default();
    let edited = elements(rules).into_iter();
    let edited = edited.filter_map(|rule| rule.strip_suffix(":edited").map(String::from));
    Some(Met {
        time: line.split(' ').next().unwrap_or_default().to_string(),
        id: value(line, "id")?.to_string(),
        from: value(line, "from").unwrap_or_default().to_string(),
        to: value(line, "to").unwrap_or_default().to_string(),
        edited: edited.collect(),
    })
}

/// The value of a key: up to a blank that is not in quotes.
fn value<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let mut start = 0;
    for (end, is_in_quotes) in blanks(line) {
        if is_in_quotes {
            continue;
        }
        let word = line.get(start..end)?;
        if let Some(value) = word
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return Some(value);
        }
        start = end.saturating_add(1);
    }
    None
}

/// Where blanks are, and whether in quotes; the end of the line counts as one.
fn blanks(line: &str) -> impl Iterator<Item = (usize, bool)> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let line = line.trim_end();
    let all = line.char_indices().chain([(line.len(), ' ')]);
    let marks = all.filter_map(move |(at, char)| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match char {
            '\\' if !was_escaped => is_escaped = true,
            '"' if !was_escaped => is_quoted = !is_quoted,
            ' ' => return Some((at, is_quoted)),
            _ => {}
        }
        None
    });
    marks.collect::<Vec<_>>().into_iter()
}

/// Of a list with commas between its elements, some of them in quotes.
fn elements(list: &str) -> Vec<String> {
    let mut elements = vec![String::new()];
    let (mut is_quoted, mut is_escaped) = (false, false);
    for char in list.chars() {
        let was_escaped = std::mem::take(&mut is_escaped);
        match (char, elements.last_mut()) {
            ('\\', _) if !was_escaped => is_escaped = true,
            ('"', _) if !was_escaped => is_quoted = !is_quoted,
            (',', _) if !is_quoted => elements.push(String::new()),
            (char, Some(last)) => last.push(char),
            (_, None) => {}
        }
    }
    elements
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
        let json = r#"{"time":"t","id":"4k","from":"a@x","generation":"5f0c1a9e","rules":[{"rule":"f","did":"edited"},{"rule":"z","did":"no-saving"}],"to":["b@y"]}"#;
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
