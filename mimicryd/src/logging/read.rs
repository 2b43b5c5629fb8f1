//! A line of the log taken apart, in either format: what [`sheet`](super::sheet) wrote. For the journal, and for `mimicryd trace`,
//! which reads files that anybody may have written to.
//!
//! Must never: take a sentence for the line of a mail, or fail on a line that is none of ours.

use serde_json::Value;

/// A fact of a line: its values without quotes and escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub key: String,
    /// The value goes on with what a line before said.
    pub goes_on: bool,
    pub values: Vec<Vec<u8>>,
}

/// When a line of ours was written, and what it says: behind the first colon, if the word before that is our tag. A line of JSON has no
/// tag where the log is a file.
pub fn ours(line: &str) -> Option<(&str, &str)> {
    if line.starts_with("{\"time\":") {
        return Some(("", line));
    }
    let (head, said) = line.split_once(": ")?;
    let (when, tag) = head.rsplit_once(' ')?;
    let pid = tag.strip_prefix("mimicryd[")?.strip_suffix(']')?;
    let is_pid = !pid.is_empty() && pid.bytes().all(|octet| octet.is_ascii_digit());
    is_pid.then_some((when, said))
}

/// The fields of the line of a mail or of a refusal, which begins with `id=` or `event=`, or is a JSON object with one of the two. `None` =
/// it is neither.
pub fn line(text: &str) -> Option<Vec<Field>> {
    let fields = match text.strip_prefix('{') {
        Some(_) => json(text)?,
        None if text.starts_with("id=") || text.starts_with("event=") => plain(text)?,
        None => return None,
    };
    let has = |key: &str| fields.iter().any(|field| field.key == key);
    (has("id") && (has("class") || has("event"))).then_some(fields)
}

/// All values of a key.
pub fn values<'f>(fields: &'f [Field], key: &'f str) -> impl Iterator<Item = &'f [u8]> {
    let named = fields.iter().filter(move |field| field.key == key);
    named.flat_map(|field| field.values.iter().map(Vec::as_slice))
}

/// The first value of a key, as text.
pub fn text(fields: &[Field], key: &str) -> Option<String> {
    let first = values(fields, key).next()?;
    Some(String::from_utf8_lossy(first).into_owned())
}

fn plain(text: &str) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=')?;
        let (key, goes_on) = match key.strip_suffix('+') {
            Some(key) => (key, true),
            None => (key, false),
        };
        if key.is_empty() || !key.bytes().all(|octet| octet.is_ascii_lowercase()) {
            return None;
        }
        let mut values = Vec::new();
        rest = behind;
        loop {
            let (value, behind) = value(rest)?;
            values.push(value);
            let (next, behind) = behind.split_at_checked(1).unwrap_or_default();
            rest = behind;
            match next {
                "," => {}
                " " | "" => break,
                _ => return None,
            }
        }
        fields.push(Field {
            key: key.to_string(),
            goes_on,
            values,
        });
    }
    Some(fields)
}

/// The value at the beginning, and what follows it.
fn value(text: &str) -> Option<(Vec<u8>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', ',']).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return Some((unescaped(word)?, rest));
    };
    let mut chars = quoted.char_indices();
    loop {
        match chars.next()? {
            (_, '\\') => drop(chars.next()?),
            (at, '"') => {
                let (inner, rest) = quoted.split_at(at);
                return Some((unescaped(inner)?, rest.strip_prefix('"')?));
            }
            _ => {}
        }
    }
}

fn json(text: &str) -> Option<Vec<Field>> {
    let Value::Object(object) = serde_json::from_str::<Value>(text).ok()? else {
        return None;
    };
    let mut fields = Vec::new();
    for (key, value) in object {
        match (key.as_str(), value) {
            ("continued", Value::Object(rest)) => {
                for (key, value) in rest {
                    fields.push(Field {
                        key,
                        goes_on: true,
                        values: vec![scalar(&value)?],
                    });
                }
            }
            ("times", Value::Object(times)) => {
                for (key, value) in times {
                    let key = if key == "relay" {
                        "relaying".into()
                    } else {
                        key
                    };
                    fields.push(Field {
                        key,
                        goes_on: false,
                        values: vec![format!("{value}ms").into_bytes()],
                    });
                }
            }
            (_, Value::Null) => {}
            (_, Value::Array(all)) => fields.push(Field {
                key,
                goes_on: false,
                values: all.iter().map(scalar).collect::<Option<_>>()?,
            }),
            (_, value) => fields.push(Field {
                key,
                goes_on: false,
                values: vec![scalar(&value)?],
            }),
        }
    }
    Some(fields)
}

/// A rule is an object.
fn scalar(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => unescaped(text),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Object(rule) => {
            let text = |key: &str| unescaped(rule.get(key)?.as_str()?);
            Some([text("rule")?, b":".to_vec(), text("did")?].concat())
        }
        _ => None,
    }
}

/// Without `\\`, `\"`, `\u{1b}` and `\xff`.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        rest = if let Some(behind) = escape.strip_prefix("u{") {
            let (digits, behind) = behind.split_once('}')?;
            let char = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            octets.extend_from_slice(char.to_string().as_bytes());
            behind
        } else if let Some(behind) = escape.strip_prefix('x') {
            let (digits, behind) = behind.split_at_checked(2)?;
            octets.push(u8::from_str_radix(digits, 16).ok()?);
            behind
        } else {
            let (itself, behind) = escape.split_at_checked(1)?;
            if !matches!(itself, "\\" | "\"") {
                return None;
            }
            octets.extend_from_slice(itself.as_bytes());
            behind
        };
    }
    octets.extend_from_slice(rest.as_bytes());
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_line_of_a_mail_is_none() {
        for text in [
            "",
            "started",
            "id=",
            "id=1",
            "id=1 class",
            "id=1 class=1/1 x=\"",
            "id=1 class=1/1 x=\"\\q\"",
            "id=1 class=1/1 x=\"a\"b",
            "id=1 class=1/1 X=1",
            " id=1 class=1/1",
            "{",
            "{\"id\":\"1\"}",
            "{\"id\":\"1\",\"class\":\"1/1\",\"x\":\"\\\\q\"}",
            "[\"id\",\"class\"]",
        ] {
            assert_eq!(line(text), None, "{text}");
        }
        let field = |key: &str, values: &[&[u8]]| Field {
            key: key.into(),
            goes_on: false,
            values: values.iter().map(|value| value.to_vec()).collect(),
        };
        let expected = vec![
            field("id", &[b"1"]),
            field("class", &[b"1/1"]),
            field("to", &[b"a b", b"\xff\n\"\\"]),
        ];
        let text = r#"id=1 class=1/1 to="a b","\xff\u{a}\"\\""#;
        assert_eq!(line(text), Some(expected.clone()));
        let text = r#"{"id":"1","class":"1/1","to":["a b","\\xff\\u{a}\"\\\\"],"out":null}"#;
        let mut found = line(text).unwrap();
        found.sort_by_key(|field| {
            ["id", "class", "to"]
                .iter()
                .position(|key| *key == field.key)
        });
        assert_eq!(found, expected);
    }
}
