//! Splits the source of a template into its tags, to find mistakes that the engine would find only when the template is
//! used, and to say where they are.
//!
//! Must never: decide what a template means (the engine does). Where this reading and the engine's could differ, as in an
//! unclosed tag, it stops, and the engine's own error is what is shown.

/// What a tag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{{ … }}`
    Value,
    /// `{% … %}`
    Statement,
    /// `{% raw %}`: what stands after it up to `{% endraw %}` has no tags.
    Raw,
    /// `{# … #}`
    Comment,
}

#[derive(Debug)]
pub(super) struct Tag<'s> {
    pub(super) kind: Kind,
    /// Octets of the source, the delimiters included.
    start: usize,
    end: usize,
    pub(super) tokens: Vec<Token<'s>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A name or a keyword.
    Name,
    /// A quoted text, with its quotes.
    Quoted,
    /// A number, or one character of anything else.
    Other,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'s> {
    pub(super) sort: Sort,
    pub(super) text: &'s str,
    /// Offset in the source.
    pub(super) at: usize,
}

impl Tag<'_> {
    /// The offset after it.
    pub(super) fn end(&self) -> usize {
        self.end
    }
}

impl Token<'_> {
    pub(super) fn is_number(&self) -> bool {
        self.sort == Sort::Other && self.text.starts_with(|c: char| c.is_ascii_digit())
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.sort != Sort::Quoted && self.text == text
    }
}

/// Is there any tag at all.
pub(super) fn has_tags(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| source.contains(open))
}

/// How deep an expression may be, counted in words and signs that hang together, and how many statements may stand within
/// each other. The engine has limits of its own, but follows `not`, signs, operators and `elif` on its stack.
const DEEPEST_EXPRESSION: usize = 600;
const DEEPEST_BLOCK: usize = 200;

/// A template taken apart.
#[derive(Debug)]
pub(super) struct Source<'s> {
    /// In order.
    pub(super) tags: Vec<Tag<'s>>,
    /// One that is never closed, as far as it can be read; nothing behind it is a tag.
    unclosed: Option<Tag<'s>>,
}

impl<'s> Source<'s> {
    pub(super) fn read(source: &'s str) -> Source<'s> {
        let mut read = Source {
            tags: Vec::new(),
            unclosed: None,
        };
        let mut at = 0;
        while let Some(open) = find(source, at, "{") {
            let rest = source.get(open..).unwrap_or_default();
            let inner = open.saturating_add(2);
            let tag = if rest.starts_with("{#") {
                find(source, inner, "#}")
                    .map(|close| Tag {
                        kind: Kind::Comment,
                        start: open,
                        end: close.saturating_add(2),
                        tokens: Vec::new(),
                    })
                    .ok_or(None)
            } else if rest.starts_with("{{") {
                tag(source, open, Kind::Value, "}}").map_err(Some)
            } else if rest.starts_with("{%") {
                tag(source, open, Kind::Statement, "%}").map_err(Some)
            } else {
                at = open.saturating_add(1);
                continue;
            };
            let mut tag = match tag {
                Ok(tag) => tag,
                Err(unclosed) => {
                    read.unclosed = unclosed;
                    break;
                }
            };
            at = tag.end;
            if tag.kind == Kind::Statement && first_name(&tag) == Some("raw") {
                tag.kind = Kind::Raw;
                match end_of_raw(source, at) {
                    Some(end) => at = end,
                    None => break,
                }
            }
            read.tags.push(tag);
        }
        read
    }

    /// The offset of the place from which on the engine would need more of its stack than there may be.
    pub(super) fn too_deep(&self) -> Option<usize> {
        // Each open statement, with how many of its `elif` hang on each other.
        let mut open: Vec<usize> = Vec::new();
        let mut depth: usize = 0;
        for tag in self.tags.iter().chain(&self.unclosed) {
            if let Some(at) = too_deep(&tag.tokens) {
                return Some(at);
            }
            match (tag.kind, first_name(tag)) {
                (Kind::Statement, Some("if" | "for" | "with")) => {
                    open.push(1);
                    depth = depth.saturating_add(1);
                }
                (Kind::Statement, Some("elif")) => {
                    if let Some(chain) = open.last_mut() {
                        *chain = chain.saturating_add(1);
                    }
                    depth = depth.saturating_add(1);
                }
                (Kind::Statement, Some("endif" | "endfor" | "endwith")) => {
                    depth = depth.saturating_sub(open.pop().unwrap_or(0));
                }
                _ => {}
            }
            if depth > DEEPEST_BLOCK {
                return Some(tag.start);
            }
        }
        None
    }
}

/// The offset of the token that is too deep in its expression. What stands between commas hangs together, and so does a
/// bracket with what it stands in.
fn too_deep(tokens: &[Token<'_>]) -> Option<usize> {
    let mut chains: Vec<usize> = vec![0];
    let mut depth: usize = 0;
    for token in tokens {
        let is = |signs: &[&str]| signs.iter().any(|sign| token.is(sign));
        if is(&[","]) {
            if let Some(chain) = chains.last_mut() {
                depth = depth.saturating_sub(*chain);
                *chain = 0;
            }
            continue;
        }
        if is(&[")", "]", "}"]) && chains.len() > 1 {
            depth = depth.saturating_sub(chains.pop().unwrap_or(0));
            continue;
        }
        if let Some(chain) = chains.last_mut() {
            *chain = chain.saturating_add(1);
        }
        depth = depth.saturating_add(1);
        if is(&["(", "[", "{"]) {
            chains.push(0);
        }
        if depth > DEEPEST_EXPRESSION {
            return Some(token.at);
        }
    }
    None
}

/// The keyword of a statement.
pub(super) fn first_name<'s>(tag: &Tag<'s>) -> Option<&'s str> {
    let names = |token: &&Token<'s>| token.sort == Sort::Name;
    tag.tokens.iter().find(names).map(|token| token.text)
}

/// The source with the line end of each line that holds nothing but statements and comments moved into the last of them,
/// and its indentation into the first: such a line leaves nothing behind. No other octet moves, and no line number changes.
pub(super) fn own_lines(source: &str, tags: &[Tag<'_>]) -> String {
    let mut out = String::with_capacity(source.len());
    let mut written = 0;
    let mut rest = tags;
    while let [first, behind @ ..] = rest {
        rest = behind;
        let Some((group, end)) = group(source, tags_from(tags, first), first) else {
            continue;
        };
        let Some(lead) = lead(source, first.start).filter(|lead| *lead >= written) else {
            continue;
        };
        out.push_str(source.get(written..lead).unwrap_or_default());
        let mut carried = source.get(lead..first.start).unwrap_or_default();
        for (index, tag) in group.iter().enumerate() {
            let text = source.get(tag.start..tag.end).unwrap_or_default();
            let (open, inner, close) = delimiters(text);
            let next = group
                .get(index.saturating_add(1))
                .map_or(end, |next| next.start);
            let gap = source.get(tag.end..next).unwrap_or_default();
            out.extend([open, carried, inner, gap, close]);
            carried = "";
        }
        written = end;
        rest = rest
            .get(group.len().saturating_sub(1)..)
            .unwrap_or_default();
    }
    out.push_str(source.get(written..).unwrap_or_default());
    out
}

/// The offset of a name, or of the names of a path such as `person.phone`, where they are used.
pub(super) fn place_of(tags: &[Tag<'_>], path: &str) -> Option<usize> {
    let names: Vec<&str> = path.split('.').collect();
    tags.iter().find_map(|tag| {
        let tokens = &tag.tokens;
        (0..tokens.len()).find_map(|index| {
            let attribute = index
                .checked_sub(1)
                .and_then(|before| tokens.get(before))
                .is_some_and(|token| token.is(".") || token.is("|"));
            let mut walk = tokens.get(index..)?.iter();
            let found = !attribute
                && names.iter().enumerate().all(|(step, name)| {
                    (step == 0 || walk.next().is_some_and(|token| token.is(".")))
                        && walk
                            .next()
                            .is_some_and(|token| token.sort == Sort::Name && token.text == *name)
                });
            found.then(|| tokens.get(index).map(|token| token.at))?
        })
    })
}

/// Line and column of an offset, both counted from 1, the column in characters.
pub(super) fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.matches('\n').count().saturating_add(1);
    let start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
    let column = before.get(start..).unwrap_or_default().chars().count();
    (line, column.saturating_add(1))
}

fn find(source: &str, from: usize, what: &str) -> Option<usize> {
    let found = source.get(from..)?.find(what)?;
    from.checked_add(found)
}

/// An error is a tag that is not closed, as far as it can be read.
fn tag<'s>(source: &'s str, start: usize, kind: Kind, close: &str) -> Result<Tag<'s>, Tag<'s>> {
    let mut tag = Tag {
        kind,
        start,
        end: start.saturating_add(2),
        tokens: Vec::new(),
    };
    let mut depth = 0_usize;
    loop {
        let rest = source.get(tag.end..).unwrap_or_default();
        if depth == 0 && rest.starts_with(close) {
            tag.end = tag.end.saturating_add(2);
            return Ok(tag);
        }
        let Some(first) = rest.chars().next() else {
            return Err(tag);
        };
        let (sort, len) = match first {
            '"' | '\'' => match quoted_len(rest, first) {
                Some(len) => (Sort::Quoted, len),
                None => return Err(tag),
            },
            c if c.is_alphabetic() || c == '_' => (Sort::Name, name_len(rest)),
            c if c.is_ascii_digit() => (Sort::Other, name_len(rest)),
            c => {
                match c {
                    '(' | '[' | '{' => depth = depth.saturating_add(1),
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                (Sort::Other, c.len_utf8())
            }
        };
        if !first.is_whitespace() {
            tag.tokens.push(Token {
                sort,
                text: rest.get(..len).unwrap_or_default(),
                at: tag.end,
            });
        }
        tag.end = tag.end.saturating_add(len);
    }
}

/// Octets of a quoted text with its quotes; `None` when it is not closed.
fn quoted_len(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let close = text.char_indices().skip(1).find(|(_, c)| {
        let closes = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        closes
    });
    close.map(|(at, _)| at.saturating_add(1))
}

fn name_len(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// The offset after `{% endraw %}`.
fn end_of_raw(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at = find(source, at, "{%")?.checked_add(2)?;
        let inner = source.get(at..)?.trim_start_matches(['-', '+']);
        if inner.trim_start().starts_with("endraw") {
            return find(source, at, "%}")?.checked_add(2);
        }
    }
}

fn tags_from<'t, 's>(tags: &'t [Tag<'s>], first: &Tag<'_>) -> &'t [Tag<'s>] {
    let index = tags.partition_point(|tag| tag.start < first.start);
    tags.get(index..).unwrap_or_default()
}

/// The statements and comments that fill the line of the first, and the offset after its line end.
fn group<'t, 's>(
    source: &str,
    tags: &'t [Tag<'s>],
    first: &Tag<'_>,
) -> Option<(&'t [Tag<'s>], usize)> {
    lead(source, first.start)?;
    for (index, tag) in tags.iter().enumerate() {
        let text = source.get(tag.start..tag.end)?;
        let (open, _, close) = delimiters(text);
        let whole = open.len().saturating_add(close.len()) <= text.len();
        if matches!(tag.kind, Kind::Value | Kind::Raw) || !whole {
            return None;
        }
        let rest = source.get(tag.end..)?;
        let blanks = rest
            .find(|c| !matches!(c, ' ' | '\t'))
            .unwrap_or(rest.len());
        let after = tag.end.checked_add(blanks)?;
        let end = match source.get(after..)? {
            line if line.starts_with("\r\n") => after.checked_add(2)?,
            line if line.starts_with('\n') => after.checked_add(1)?,
            _ => match tags.get(index.saturating_add(1)) {
                Some(next) if next.start == after => continue,
                _ => return None,
            },
        };
        return Some((tags.get(..=index)?, end));
    }
    None
}

/// Where the line starts, if nothing but blanks stands before `at` in it.
fn lead(source: &str, at: usize) -> Option<usize> {
    let before = source.get(..at)?.trim_end_matches([' ', '\t']);
    (before.is_empty() || before.ends_with('\n')).then_some(before.len())
}

/// A tag as its opening delimiter, what is within, and its closing one; the signs of white space control (`-`, `+`) belong to
/// the delimiters.
fn delimiters(tag: &str) -> (&str, &str, &str) {
    let sign = |octet: Option<&u8>| usize::from(matches!(octet, Some(b'-' | b'+')));
    let octets = tag.as_bytes();
    let open = 2_usize.saturating_add(sign(octets.get(2)));
    let before_close = tag.len().checked_sub(3).and_then(|at| octets.get(at));
    let close = tag
        .len()
        .saturating_sub(2_usize.saturating_add(sign(before_close)));
    (
        tag.get(..open).unwrap_or_default(),
        tag.get(open..close).unwrap_or_default(),
        tag.get(close..).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found() {
        for (source, expected) in [
            ("plain { text } %}", ""),
            ("a {{ b.c }} d", "Value:b . c"),
            ("{{ '}}' ~ \"\\\"}}\" }}", "Value:'}}' ~ \"\\\"}}\""),
            ("{{ {'a': {'b': 1}} }}", "Value:{ 'a' : { 'b' : 1 } }"),
            (
                "{%- if x -%}y{% endif %}",
                "Statement:- if x -;Statement:endif",
            ),
            ("{# {{ x }} #}{{ y }}", "Comment:;Value:y"),
            ("{% raw %}{{ x }}{%- endraw %}{{ y }}", "Raw:raw;Value:y"),
            ("{{ a }} {{ b", "Value:a"),
            ("{{ 'a }} {{ b }}", ""),
        ] {
            let seen: Vec<String> = Source::read(source)
                .tags
                .iter()
                .map(|tag| {
                    let tokens: Vec<&str> = tag.tokens.iter().map(|token| token.text).collect();
                    format!("{:?}:{}", tag.kind, tokens.join(" "))
                })
                .collect();
            assert_eq!(seen.join(";"), expected, "{source}");
        }
    }

    #[test]
    fn lines_of_statements_leave_nothing() {
        for (source, expected) in [
            ("a\n{% if x %}\nb\n", "a\n{% if x \n%}b\n"),
            ("a\r\n  {%- if x -%} \r\nb", "a\r\n{%-   if x  \r\n-%}b"),
            ("{% if x %} {# c #}\nb", "{% if x  %}{# c \n#}b"),
            ("{% if x %}b{% endif %}\nc", "{% if x %}b{% endif %}\nc"),
            ("a{% endif %}\nb", "a{% endif %}\nb"),
            ("{{ x }}\nb", "{{ x }}\nb"),
            ("{% endif %}", "{% endif %}"),
            (
                "{% raw %}\n{{ x }}\n{% endraw %}\n",
                "{% raw %}\n{{ x }}\n{% endraw %}\n",
            ),
            ("{#-#}\nb", "{#-#}\nb"),
            ("{% if a %}\n{% if b %}\nx", "{% if a \n%}{% if b \n%}x"),
        ] {
            assert_eq!(
                own_lines(source, &Source::read(source).tags),
                expected,
                "{source}"
            );
        }
    }

    #[test]
    fn places() {
        let source = "ä {{ a.person }}\n{% if person.phone and person . fax %}";
        let tags = Source::read(source).tags;
        for (path, expected) in [
            ("person", Some((2, 7))),
            ("person.phone", Some((2, 7))),
            ("person.fax", Some((2, 24))),
            ("a.person", Some((1, 6))),
            ("phone", None),
        ] {
            let place = place_of(&tags, path).map(|at| line_and_column(source, at));
            assert_eq!(place, expected, "{path}");
        }
    }

    // T183
    #[test]
    fn what_is_too_deep_for_the_engine_is_found_before_it() {
        let deep = 100_000;
        for (source, expected) in [
            (
                format!("{{{{ {}x }}}}", "not ".repeat(deep)),
                Some(3 + 4 * 600),
            ),
            (format!("{{{{ {}x", "not ".repeat(deep)), Some(3 + 4 * 600)),
            (format!("{{{{ {}1 }}}}", "-".repeat(deep)), Some(3 + 600)),
            (format!("{{{{ {}x \"", "-".repeat(deep)), Some(3 + 600)),
            (format!("{{{{ a{} }}}}", "~b".repeat(deep)), Some(3 + 600)),
            (format!("{{{{ a{} }}}}", "|d".repeat(deep)), Some(3 + 600)),
            (format!("{{{{ a{} }}}}", ".b".repeat(deep)), Some(3 + 600)),
            (format!("{{{{ {}a", "[".repeat(deep)), Some(3 + 600)),
            (
                format!("{{{{ {}a", "[1,".repeat(deep)),
                Some(3 + 3 * 599 + 1),
            ),
            (format!("{{{{ {}a", "(-".repeat(deep)), Some(3 + 600)),
            (
                format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}".repeat(deep)),
                Some(10 + 12 * 199),
            ),
            ("{% if a %}".repeat(deep), Some(10 * 200)),
            // Wide is not deep.
            (format!("{{{{ [{}1] }}}}", "-1, (2), ".repeat(deep)), None),
            ("{% if a %}b{% elif c %}{% endif %}".repeat(deep), None),
            ("{{ a }}".repeat(deep), None),
            (format!("{{{{ {}x }}}}", "not ".repeat(500)), None),
            (format!("{{% raw %}}{}", "{% if a %}".repeat(deep)), None),
        ] {
            let start: String = source.chars().take(40).collect();
            assert_eq!(Source::read(&source).too_deep(), expected, "{start}");
        }
    }
}
