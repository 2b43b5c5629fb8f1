//! The syntax of a configuration: all its mistakes at once, and a text that is free of them.
//!
//! toml recovers from a mistake, but its tree ends at a key without a value, and a bracket that is not closed makes a
//! mistake of every line below it. So the file is cut into statements first (a header, or a key with its value), each
//! is parsed alone, and those that are wrong are blanked out. The rest is a complete document with all places as they
//! were, so its meaning can be checked in the same run.
//!
//! Must never: judge what a key means.
//!
//! Known limit: an inline table of several lines that is not closed swallows the statements below it, up to the next
//! header.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::diag::Complaints;

/// What is left of a file without its syntax errors.
#[derive(Debug)]
pub(super) struct Syntax {
    /// As long as the file; what was wrong is spaces.
    pub(super) clean: String,
    /// Where statements were blanked out.
    blanked: Vec<usize>,
    /// Where headers start, those that were blanked included.
    headers: Vec<usize>,
}

impl Syntax {
    /// Is something missing below the header at `place` because it was blanked out.
    pub(super) fn is_damaged(&self, place: usize) -> bool {
        // Both lists are in the order of the file.
        let next = self.headers.partition_point(|header| *header <= place);
        let end = self.headers.get(next).copied().unwrap_or(usize::MAX);
        let first = self.blanked.partition_point(|at| *at < place);
        self.blanked.get(first).is_some_and(|at| *at < end)
    }

    /// Is anything missing at all.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.blanked.is_empty()
    }
}

/// Takes down every syntax error of a file.
pub(super) fn check(source: &str, complaints: &mut Complaints) -> Syntax {
    let mut syntax = Syntax {
        clean: String::with_capacity(source.len()),
        blanked: Vec::new(),
        headers: Vec::new(),
    };
    // Below a header that is wrong nobody knows which table the keys belong to.
    let mut lost = false;
    let mut single = None;
    for statement in statements(source) {
        let text = source.get(statement.span.clone()).unwrap_or_default();
        // `[rule.options]` still belongs to the `[[rule]]` above it.
        if statement.is_header && !text.split(']').next().unwrap_or_default().contains('.') {
            syntax.headers.push(statement.span.start);
        }
        let wrong = match mistake(text, statement.open.as_ref()) {
            Some((span, message, help)) => {
                let start = statement.span.start;
                complaints.error(
                    start.saturating_add(span.start)..start.saturating_add(span.end),
                    message,
                    help,
                );
                true
            }
            None => false,
        };
        if statement.is_header {
            lost = wrong;
        }
        if wrong || lost {
            syntax.blanked.push(statement.span.start);
            syntax.clean.extend(
                text.bytes()
                    .map(|octet| if octet == b'\n' { '\n' } else { ' ' }),
            );
        } else {
            let meant = statement
                .is_header
                .then(|| in_double(text, &mut single))
                .flatten();
            if let Some((name, _)) = meant.as_ref().filter(|(_, is_list)| *is_list) {
                let at = statement
                    .span
                    .start
                    .saturating_add(text.find('[').unwrap_or(0));
                let end = at.saturating_add(name.len()).saturating_add(2);
                let help = format!("write [[{name}]], in double brackets");
                complaints.error(at..end, format!("`{name}` is a list of tables"), help);
            }
            match meant {
                Some((name, is_list)) => syntax.clean.push_str(&renamed(text, name, is_list)),
                None => syntax.clean.push_str(text),
            }
        }
    }
    syntax
}

/// Lists of tables, and what one is called within here whose header has single brackets: two octets shorter, so that there is
/// room for the others.
const LISTS: &[(&str, &str)] = &[("rule", "--"), ("bank", "-_"), ("listen", "----")];

/// Is it the header of a list in single brackets (true), which would hide all but the first; or one below such a header, as
/// `[rule.options]` is. `single` is the list of which the last header was such.
fn in_double(text: &str, single: &mut Option<&'static str>) -> Option<(&'static str, bool)> {
    let inner = text.trim_start().strip_prefix('[')?;
    for (name, _) in LISTS {
        let is_of = |end: char| {
            inner
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(end))
        };
        if is_of(']') {
            *single = Some(name);
            return Some((name, true));
        }
        if is_of('.') && *single == Some(*name) {
            return Some((name, false));
        }
        let is_double = inner
            .strip_prefix('[')
            .and_then(|inner| inner.strip_prefix(name));
        if is_double.is_some_and(|rest| rest.starts_with(']')) && *single == Some(*name) {
            *single = None;
        }
    }
    None
}

/// The header under the name that it has here, as long as before.
fn renamed(text: &str, name: &'static str, is_list: bool) -> String {
    let within = LISTS.iter().find(|(list, _)| *list == name);
    let within = within.map_or(name, |(_, within)| within);
    match is_list {
        true => text.replacen(&format!("[{name}]"), &format!("[[{within}]]"), 1),
        false => text.replacen(&format!("[{name}."), &format!("[  {within}."), 1),
    }
}

/// Parses the whole of what is left. Only mistakes between statements are left to be found: a key or a table that is
/// there twice.
pub(super) fn tree<'c>(syntax: &'c Syntax, complaints: &mut Complaints) -> DeTable<'c> {
    let (tree, errors) = DeTable::parse_recoverable(&syntax.clean);
    for error in errors {
        let Some(span) = error.span() else { continue };
        let text = syntax.clean.get(span.clone()).unwrap_or_default();
        match error.message() {
            "duplicate key" => complaints.error(
                span,
                format!("`{text}` is there twice"),
                "a key may appear once in its table, and a table once in the file",
            ),
            message => complaints.error(span, message, ""),
        }
    }
    let mut tree = tree.into_inner();
    for (name, within) in LISTS {
        let Some((key, node)) = tree.remove_entry(*within) else {
            continue;
        };
        match (
            tree.get_mut(*name).map(toml::Spanned::get_mut),
            node.get_ref(),
        ) {
            (Some(DeValue::Array(all)), DeValue::Array(more)) => {
                more.iter().for_each(|one| all.push(one.clone()))
            }
            (Some(_), _) => {}
            (None, _) => {
                let span = key.span();
                tree.insert(toml::Spanned::new(span, (*name).into()), node);
            }
        }
    }
    tree
}

/// The first syntax error of one statement: its place in the statement, what is wrong, what would be right.
fn mistake(text: &str, open: Option<&Open>) -> Option<(Range<usize>, String, String)> {
    if let Some(open) = open {
        let (name, close) = match open.kind {
            b'[' => ("bracket", "]"),
            b'{' => ("brace", "}"),
            b'"' => ("text", "\"\"\""),
            _ => ("text", "'''"),
        };
        let end = open.at.saturating_add(close.len());
        return Some((
            open.at..end,
            format!("this {name} is never closed"),
            format!("write {close} after its last value"),
        ));
    }
    let (_, errors) = DeTable::parse_recoverable(text);
    let error = errors
        .iter()
        .min_by_key(|error| error.span().map_or(usize::MAX, |span| span.start))?;
    let span = error.span().unwrap_or(0..0);
    if let Some(mistake) = odd_character(text) {
        return Some(mistake);
    }
    let (message, help) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message.to_string(), format!("expected {expected}")),
        None => (error.message().to_string(), String::new()),
    };
    // The commonest mistakes get the words that mend them.
    let word = text.get(span.clone()).unwrap_or_default();
    if message == "string values must be quoted" && word.is_empty() {
        return Some((
            span,
            "the value is missing".into(),
            "write it after the =".into(),
        ));
    }
    let message = match message.as_str() {
        "missing escaped value" => {
            "in double quotes a backslash starts an escape, and this is none".to_string()
        }
        _ => message,
    };
    let help = match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => "write true".to_string(),
        "no" | "off" | "false" => "write false".to_string(),
        _ if message == "string values must be quoted" => format!("write \"{word}\""),
        ":" if message == "invalid unquoted key" => {
            "between a key and its value stands a =, not a colon".to_string()
        }
        _ if message.contains("escape") => {
            "write a regex in single quotes, or the backslash twice".to_string()
        }
        _ => help,
    };
    Some((span, message, help))
}

/// Characters that word processors and web pages put in the place of those that TOML has, with what is said of them.
const ODD: &[(&str, Option<char>, &str)] = &[
    (
        "“”„‟«»″＂",
        Some('"'),
        "TOML does not know typographic quotation marks",
    ),
    (
        "‘’‚‛‹›′＇",
        Some('\''),
        "TOML does not know typographic quotation marks",
    ),
    (
        "\u{a0}\u{202f}\u{2007}\u{3000}",
        Some(' '),
        "TOML does not know this kind of space",
    ),
    (
        "\u{200b}\u{feff}\u{2060}\u{ad}",
        None,
        "TOML does not allow an invisible character",
    ),
];

/// What such characters are, from the first to the last, in a statement that would be right without them.
fn odd_character(text: &str) -> Option<(Range<usize>, String, String)> {
    let odd = |c: char| ODD.iter().find(|(all, ..)| all.contains(c));
    let is_odd = |&(_, c): &(usize, char)| odd(c).is_some();
    let (start, first) = text.char_indices().find(is_odd)?;
    let (last, c) = text.char_indices().rfind(is_odd)?;
    let mend = |text: &str| -> String {
        let plain = |c: char| odd(c).map_or(Some(c), |(_, plain, _)| *plain);
        text.chars().filter_map(plain).collect()
    };
    let (_, errors) = DeTable::parse_recoverable(&mend(text));
    if !errors.is_empty() {
        return None;
    }
    let span = start..last.saturating_add(c.len_utf8());
    let mended = mend(text.get(span.clone())?);
    let help = match mended.as_str() {
        "" => "delete it".to_string(),
        " " => "write an ordinary space".to_string(),
        mended => format!("write {mended}"),
    };
    let (_, _, message) = odd(first)?;
    Some((span, (*message).to_string(), help))
}

/// A header, or a key with its value, and the line end after it.
struct Statement {
    span: Range<usize>,
    is_header: bool,
    /// The bracket or multi-line text in it that is not closed.
    open: Option<Open>,
}

/// An opening `[`, `{`, `"""` or `'''`.
#[derive(Clone, Copy)]
struct Open {
    kind: u8,
    /// Octets from the start of the statement.
    at: usize,
}

/// Cuts a file into statements that together are the file.
fn statements(source: &str) -> Vec<Statement> {
    let mut list = Vec::new();
    let mut start = 0;
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while at < source.len() {
        let rest = source.get(at..).unwrap_or_default();
        let line = rest.split_inclusive('\n').next().unwrap_or_default();
        // A line that can only be a statement ends one whose bracket was forgotten.
        if let Some(innermost) = open.last()
            && (innermost.kind == b'[' || innermost.kind == b'{')
            && (looks_like_header(line) || (innermost.kind == b'[' && looks_like_assignment(line)))
        {
            list.push(statement(source, start..at, Some(*innermost)));
            open.clear();
            start = at;
        }
        let is_header = open.is_empty() && line.trim_start().starts_with('[');
        if !is_header {
            scan_line(line, at.saturating_sub(start), &mut open);
        }
        at = at.saturating_add(line.len());
        if open.is_empty() {
            list.push(statement(source, start..at, None));
            start = at;
        }
    }
    if start < source.len() {
        list.push(statement(source, start..source.len(), open.last().copied()));
    }
    list
}

fn statement(source: &str, span: Range<usize>, open: Option<Open>) -> Statement {
    let text = source.get(span.clone()).unwrap_or_default();
    Statement {
        is_header: text.trim_start().starts_with('['),
        span,
        open,
    }
}

/// Follows brackets and texts through one line. `offset` = where the line stands in its statement.
fn scan_line(line: &str, offset: usize, open: &mut Vec<Open>) {
    let octets = line.as_bytes();
    let mut at = 0;
    while let Some(&octet) = octets.get(at) {
        let rest = octets.get(at..).unwrap_or_default();
        let here = Open {
            kind: octet,
            at: offset.saturating_add(at),
        };
        match open.last().map(|open| open.kind) {
            // Inside a multi-line text only its end counts.
            Some(quote @ (b'"' | b'\'')) => {
                if quote == b'"' && octet == b'\\' {
                    at = at.saturating_add(2);
                    continue;
                }
                if rest.starts_with(&[quote; 3]) {
                    // Up to two quotes may stand right before the end.
                    let quotes = rest.iter().take_while(|octet| **octet == quote).count();
                    at = at.saturating_add(quotes.min(5));
                    open.pop();
                    continue;
                }
            }
            _ => match octet {
                b'#' => return,
                b'"' | b'\'' if rest.starts_with(&[octet; 3]) => {
                    open.push(here);
                    at = at.saturating_add(3);
                    continue;
                }
                b'"' | b'\'' => {
                    at = at.saturating_add(short_text(rest));
                    continue;
                }
                b'[' | b'{' => open.push(here),
                b']' if open.last().is_some_and(|open| open.kind == b'[') => {
                    open.pop();
                }
                b'}' => {
                    // A brace closes the arrays in it that were forgotten; the parser says so.
                    if let Some(brace) = open.iter().rposition(|open| open.kind == b'{') {
                        open.truncate(brace);
                    }
                }
                _ => {}
            },
        }
        at = at.saturating_add(1);
    }
}

/// The length of a text on one line, its quotes included; one that is not closed ends with the line.
fn short_text(octets: &[u8]) -> usize {
    let Some(&quote) = octets.first() else {
        return 1;
    };
    let mut at: usize = 1;
    while let Some(&octet) = octets.get(at) {
        if octet == quote {
            return at.saturating_add(1);
        }
        at = at.saturating_add(if quote == b'"' && octet == b'\\' {
            2
        } else {
            1
        });
    }
    octets.len()
}

/// `[name]` or `[[name]]` alone on its line. An array's own element looks so only when it holds bare words, which are no
/// values.
fn looks_like_header(line: &str) -> bool {
    let Some(inner) = line.trim_start().strip_prefix('[') else {
        return false;
    };
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    let Some((name, after)) = inner.split_once(']') else {
        return false;
    };
    let after = after.trim_start_matches(']').trim();
    let mut letters = name.trim().bytes();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        && letters.all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.'))
        && !matches!(name.trim(), "true" | "false" | "inf" | "nan")
        && (after.is_empty() || after.starts_with('#'))
}

/// `name =` at the start of the line.
fn looks_like_assignment(line: &str) -> bool {
    let Some((name, _)) = line.split_once('=') else {
        return false;
    };
    let name = name.trim();
    !name.is_empty()
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, column and message of each mistake.
    fn mistakes(source: &str) -> Vec<(usize, usize, String)> {
        let mut complaints = Complaints::default();
        let syntax = check(source, &mut complaints);
        assert_eq!(syntax.clean.len(), source.len(), "places stay");
        tree(&syntax, &mut complaints);
        let mut mistakes = super::super::diag::Mistakes {
            source: source.into(),
            list: complaints.list,
            ..Default::default()
        };
        mistakes.sort();
        let places = mistakes.list.iter().map(|one| {
            let (line, column) = mistakes.place(one.span.clone().unwrap().start);
            (line, column, one.message.clone())
        });
        places.collect()
    }

    #[test]
    fn each_syntax_error_is_found_and_none_is_made_up() {
        for (source, expected) in [
            (
                "a = 1\n[b]\nc = [1,\n 2]\nd = { e = 1,\n f = [[1], [2]] }\ng = \"\"\"\n[x\n\"\"\"\"\"\nh = '''\n\"\n'''\n",
                &[][..],
            ),
            ("a = \"]\" # [\nb = ']' # {\nc = \"\\\"[\"\n", &[]),
            ("a = [\n [1],\n [true],\n # [x]\n]\n", &[]),
            (
                "a 1\nb\nc = 1\nd = \n",
                &[
                    (1, 3, "key with no value"),
                    (2, 2, "key with no value"),
                    (4, 5, "the value is missing"),
                ],
            ),
            (
                "a = [1, 2\nb = 1\nc = [\n[d]\ne = 10M\n",
                &[
                    (1, 5, "this bracket is never closed"),
                    (3, 5, "this bracket is never closed"),
                    (5, 5, "string values must be quoted"),
                ],
            ),
            (
                "a = { b = 1\nc = 2\n[d]\ne = x\n",
                &[
                    (1, 5, "this brace is never closed"),
                    (4, 5, "string values must be quoted"),
                ],
            ),
            (
                "a = \"\"\"x\n[b]\nc = 1\n",
                &[(1, 5, "this text is never closed")],
            ),
            (
                "a = \"x\nb = 'y\nc = 1\n",
                &[
                    (1, 7, "invalid basic string"),
                    (2, 7, "invalid literal string"),
                ],
            ),
            (
                "[a\nb = 1\nc = x\n[[d]\n[e]\nf = 1\n",
                &[
                    (1, 3, "unclosed table"),
                    (3, 5, "string values must be quoted"),
                    (4, 5, "unclosed array table"),
                ],
            ),
            (
                "a = 1\na = 2\n[b]\n[b]\n",
                &[(2, 1, "`a` is there twice"), (4, 2, "`b` is there twice")],
            ),
            (
                "a = { b = [1 }\nc = 1 1\n",
                &[
                    (1, 14, "missing comma between array elements"),
                    (2, 5, "string values must be quoted"),
                ],
            ),
            (
                "a = ]\nb = }\nc = 1",
                &[
                    (1, 5, "missing array opening"),
                    (2, 5, "missing inline table opening"),
                ],
            ),
        ] {
            let found = mistakes(source);
            let found: Vec<(usize, usize, &str)> = found
                .iter()
                .map(|(line, column, message)| (*line, *column, message.as_str()))
                .collect();
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn damage_is_known_by_its_table() {
        let source = "a = 1\n[b]\nc\n[d]\ne = 1\n";
        let syntax = check(source, &mut Complaints::default());
        assert!(!syntax.is_damaged(0));
        assert!(syntax.is_damaged(source.find("[b]").unwrap()));
        assert!(!syntax.is_damaged(source.find("[d]").unwrap()));
        assert!(syntax.is_incomplete());
    }
}
