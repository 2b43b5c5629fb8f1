//! Placeholders as other programs write them: `%%DisplayName%%`, `{First name}`, `{= from_name =}`, `%sender%`.
//!
//! Must never: take CSS, a percentage or a tag of a template for one.

/// Between `%` and `%` a word may be anything but a name of these, which templates of ours have, too.
const NAMES: [&str; 8] = [
    "sender",
    "recipient",
    "recipients",
    "subject",
    "date",
    "client",
    "person",
    "name",
];

/// The first placeholder of another program in a template, with its line, counted from 1.
#[must_use]
pub fn foreign(source: &str) -> Option<(usize, String)> {
    let mut rest = source;
    while let Some(at) = rest.find(['{', '%']) {
        let (_, here) = rest.split_at_checked(at)?;
        if let Some(end) = tag(here) {
            rest = here.get(end..)?;
            continue;
        }
        if let Some(found) = placeholder(here) {
            let before = source.len().checked_sub(here.len())?;
            let lines = source.get(..before)?.matches('\n').count();
            return Some((lines.saturating_add(1), found.to_string()));
        }
        rest = here.get(1..)?;
    }
    None
}

/// Where a tag of our own ends that begins here.
fn tag(here: &str) -> Option<usize> {
    let close = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")]
        .iter()
        .find_map(|(open, close)| here.starts_with(open).then_some(close))?;
    Some(here.find(close)?.saturating_add(close.len()))
}

fn placeholder(here: &str) -> Option<&str> {
    const FORMS: [(&str, &str); 4] = [("%%", "%%"), ("{=", "=}"), ("{", "}"), ("%", "%")];
    FORMS.iter().find_map(|(open, close)| {
        let inner = here.strip_prefix(open)?;
        let (word, _) = inner.split_once(close)?;
        let length = open
            .len()
            .checked_add(word.len())?
            .checked_add(close.len())?;
        let word = word.trim();
        let is_named = *open != "%" || NAMES.contains(&word.split('.').next()?);
        (is_named && is_words(word)).then(|| here.get(..length))?
    })
}

/// Letters and digits, perhaps several words, but nothing that CSS has between braces.
fn is_words(text: &str) -> bool {
    text.len() < 40
        && text.starts_with(char::is_alphabetic)
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || " ._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_others_are_found() {
        for (source, expected) in [
            (
                "Regards\n%%DisplayName%%, %%Title%%",
                Some((2, "%%DisplayName%%")),
            ),
            ("{First name} {Last name}", Some((1, "{First name}"))),
            (
                "{{ sender.address }}\n\n{= from_name =}",
                Some((3, "{= from_name =}")),
            ),
            ("to ${sender}", Some((1, "{sender}"))),
            ("to %sender% and", Some((1, "%sender%"))),
            (
                "{{ person.name }} {% if subject %}x{% endif %} {# {date} #}",
                None,
            ),
            (
                "<style>p{color:red} @media print{p{margin:0}}</style>",
                None,
            ),
            ("50% off, 20% name", None),
            ("10%name%", Some((1, "%name%"))),
            ("href='/a%20name%20b'", None),
            ("{}", None),
            ("{ 1 }", None),
            ("{", None),
            ("%", None),
            ("{{ x", None),
            ("{\u{e9}t\u{e9}}", Some((1, "{\u{e9}t\u{e9}}"))),
        ] {
            let found = foreign(source);
            let found = found.as_ref().map(|(line, found)| (*line, found.as_str()));
            assert_eq!(found, expected, "{source}");
        }
    }
}
