//! Reads the log as mimicryd(8) says that it is written: the lines of a mail, taken apart into their fields and put together
//! again. The tests of the log's own code use it too.
//!
//! Must never: be lenient. What does not follow the page is a failure.

use std::collections::BTreeMap;

/// The fields of one mail: each a list, most of one element, without escapes.
pub type Fields = BTreeMap<String, Vec<Vec<u8>>>;

/// One field of one line: its key, whether it goes on with what was said before, and its elements.
type Field = (String, bool, Vec<Vec<u8>>);

/// The lines of mails in a log of text, less what stands before them, put together by their id and class.
pub fn mails<'l>(lines: impl IntoIterator<Item = &'l str>) -> Vec<Fields> {
    records(lines, ["id", "class"])
}

/// The lines of refusals, put together by event and id.
pub fn events<'l>(lines: impl IntoIterator<Item = &'l str>) -> Vec<Fields> {
    records(lines, ["event", "id"])
}

fn records<'l>(lines: impl IntoIterator<Item = &'l str>, heads: [&str; 2]) -> Vec<Fields> {
    let begins = format!("{}=", heads[0]);
    let mut mails: Vec<Fields> = Vec::new();
    for line in lines.into_iter().filter(|line| line.starts_with(&begins)) {
        let fields = fields(line);
        let is_first = fields.iter().all(|(key, ..)| key != "part");
        if is_first {
            mails.push(Fields::new());
        }
        let mail = if is_first {
            mails.last_mut().expect("it was just put there")
        } else {
            let same = |mail: &&mut Fields| {
                heads.iter().all(|key| {
                    let said = fields.iter().find(|(other, ..)| other == key);
                    mail.get(*key) == said.map(|(.., values)| values)
                })
            };
            let found = mails.iter_mut().rev().find(same);
            found.unwrap_or_else(|| panic!("nothing goes before {line:?}"))
        };
        for (key, goes_on, values) in fields {
            if is_first || !heads.contains(&key.as_str()) {
                put(mail, &key, goes_on, values);
            }
        }
    }
    mails
}

fn put(mail: &mut Fields, key: &str, goes_on: bool, values: Vec<Vec<u8>>) {
    match key {
        "part" => {
            let number: usize = text(&values[0]).parse().expect("a number");
            let last = mail.insert("part".into(), values);
            let before = last.map_or(1, |last| text(&last[0]).parse().expect("a number"));
            assert_eq!(number, before + 1, "a part is missing");
        }
        _ if goes_on => {
            let last = mail.get_mut(key).and_then(|known| known.last_mut());
            let last = last.unwrap_or_else(|| panic!("nothing goes before {key}+="));
            last.extend(values.concat());
        }
        _ => mail.entry(key.into()).or_default().extend(values),
    }
}

/// The fields of one line.
pub fn fields(line: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (key, behind) = rest
            .split_once('=')
            .unwrap_or_else(|| panic!("no field: {rest:?} in {line:?}"));
        let goes_on = key.ends_with('+');
        let key = key.trim_end_matches('+');
        assert!(
            !key.is_empty() && key.bytes().all(|octet| octet.is_ascii_lowercase()),
            "no key: {key:?} in {line:?}"
        );
        let mut values = Vec::new();
        rest = behind;
        loop {
            let (value, behind) = value(rest, line);
            values.push(value);
            rest = behind;
            match rest.strip_prefix(',') {
                Some(behind) => rest = behind,
                None => break,
            }
        }
        fields.push((key.to_string(), goes_on, values));
        if rest.is_empty() {
            return fields;
        }
        rest = rest
            .strip_prefix(' ')
            .unwrap_or_else(|| panic!("after a value stands {rest:?} in {line:?}"));
    }
}

/// A word, or what stands in quotes; and what stands behind it.
fn value<'l>(rest: &'l str, line: &str) -> (Vec<u8>, &'l str) {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        assert!(
            !word.is_empty() && !word.contains(['"', '\\', '=']),
            "no word: {word:?} in {line:?}"
        );
        return (word.as_bytes().to_vec(), behind);
    };
    let mut chars = quoted.char_indices();
    let end = loop {
        match chars.next() {
            Some((_, '\\')) => drop(chars.next()),
            Some((at, '"')) => break at,
            Some(_) => {}
            None => panic!("a quote without an end: {line:?}"),
        }
    };
    (unescaped(&quoted[..end]), &quoted[end + 1..])
}

/// Takes escapes back: `\\`, `\"`, `\u{1b}` and `\xff`.
pub fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        rest = if let Some(behind) = escape.strip_prefix("u{") {
            let (digits, behind) = behind.split_once('}').expect("the end of an escape");
            let number = u32::from_str_radix(digits, 16).expect("hexadecimal digits");
            let char = char::from_u32(number).expect("a character");
            octets.extend_from_slice(char.to_string().as_bytes());
            behind
        } else if let Some(behind) = escape.strip_prefix('x') {
            octets.push(u8::from_str_radix(&behind[..2], 16).expect("two digits"));
            &behind[2..]
        } else {
            let (itself, behind) = escape.split_at(1);
            assert!(matches!(itself, "\\" | "\""), "no escape: {text:?}");
            octets.extend_from_slice(itself.as_bytes());
            behind
        };
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}

/// A value that is text.
pub fn text(value: &[u8]) -> &str {
    std::str::from_utf8(value).expect("text")
}
