//! Mistakes that the engine would find only when a mail reaches them, or not at all.
//!
//! Must never: stop at a mistake.

use mimicry_core::mail::Moment;
use mimicry_core::near::did_you_mean;

use crate::shared::directory::Directory;

use super::facts::{Date, Fields, NAMES};
use super::source::{self, Kind, Sort, Tag, Token, line_and_column, place_of};
use super::terms::{BadTemplate, Form, Known, breaks_a_line};

/// The filters, in the order of the manual.
const FILTERS: &[&str] = &[
    "default",
    "d",
    "format",
    "upper",
    "lower",
    "title",
    "capitalize",
    "trim",
    "replace",
    "split",
    "join",
    "first",
    "last",
    "length",
];
const TESTS: &[&str] = &["defined", "undefined"];
const STATEMENTS: &[&str] = &["if", "for", "set", "with", "raw"];
/// What belongs to them.
const INNER: &[&str] = &["elif", "else", "endif", "endfor", "endwith"];

/// Digits of a number; the engine's own end is near.
const LONGEST_NUMBER: usize = 38;

/// Mistakes of one template that are shown.
const MOST: usize = 100;

/// What the engine would find only at work, or not at all.
pub(super) struct Check<'c> {
    source: &'c str,
    known: &'c Known<'c>,
    pub(super) found: Vec<BadTemplate>,
}

impl<'c> Check<'c> {
    pub(super) fn new(source: &'c str, known: &'c Known<'c>) -> Check<'c> {
        Check {
            source,
            known,
            found: Vec::new(),
        }
    }

    pub(super) fn source(&self) -> &'c str {
        self.source
    }

    pub(super) fn sorted(mut self) -> Vec<BadTemplate> {
        self.found.sort_by_key(|bad| (bad.line, bad.column));
        self.found
    }

    pub(super) fn too_deep(&mut self, at: usize) {
        let help = "first set a part of it as a separate value: {% set part = … %}";
        self.bad(at, "the template is nested too deeply here", help);
    }

    fn bad(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        // Each one costs the way to its place.
        if self.found.len() >= MOST {
            return;
        }
        let (line, column) = line_and_column(self.source, at);
        let help = help.into();
        self.found.push(BadTemplate {
            line,
            column,
            message: message.into(),
            help: (!help.is_empty()).then_some(help),
        });
    }

    pub(super) fn characters(&mut self, form: Form, constant: bool) {
        let wrong = |c: char| match form {
            Form::Line => breaks_a_line(c),
            Form::Text | Form::Html => {
                !constant && c.is_control() && !matches!(c, '\n' | '\r' | '\t')
            }
        };
        if let Some(at) = self.source.find(wrong) {
            self.bad(at, "a control character is not allowed here", "");
        }
    }

    pub(super) fn tag(&mut self, tag: &Tag<'_>) {
        if tag.kind == Kind::Statement
            && let Some(first) = tag.tokens.iter().find(|token| token.sort == Sort::Name)
            && !STATEMENTS.contains(&first.text)
            && !INNER.contains(&first.text)
        {
            let help = did_you_mean(first.text, STATEMENTS, "the statements are");
            self.bad(
                first.at,
                format!("unknown statement `{}`", first.text),
                help,
            );
        }
        let mut before: Option<&Token<'_>> = None;
        let mut rest = tag.tokens.as_slice();
        while let [token, behind @ ..] = rest {
            rest = behind;
            let called = behind.first().is_some_and(|next| next.is("("));
            let after = |text: &str| before.is_some_and(|before| before.is(text));
            let is_name = token.sort == Sort::Name;
            if token.is_number() && token.text.len() > LONGEST_NUMBER {
                self.bad(
                    token.at,
                    "this number has too many digits",
                    format!("a number has at most {LONGEST_NUMBER} digits; write a text in quotes"),
                );
            } else if is_name && after("|") {
                self.filter(token, behind);
            } else if is_name && after("is") && token.text != "not" {
                self.test(token);
            } else if after("is")
                && token.is("not")
                && let Some(test) = behind.first()
            {
                self.test(test);
            } else if is_name && after(".") && called {
                self.bad(
                    token.at,
                    format!("a value has no method `{}`", token.text),
                    format!("the filters are: {}", FILTERS.join(", ")),
                );
            } else if is_name
                && called
                && !after(".")
                && !after("is")
                && !after("not")
                && !is_keyword(token)
            {
                self.bad(
                    token.at,
                    format!("there is no function `{}`", token.text),
                    format!("there are none; the filters are: {}", FILTERS.join(", ")),
                );
            } else if tag.kind == Kind::Statement
                && token.is("recursive")
                && source::first_name(tag) == Some("for")
            {
                self.bad(token.at, "a loop cannot call itself", "");
            }
            before = Some(token);
        }
    }

    fn filter(&mut self, token: &Token<'_>, behind: &[Token<'_>]) {
        if !FILTERS.contains(&token.text) {
            let help = did_you_mean(token.text, FILTERS, "the filters are");
            self.bad(token.at, format!("unknown filter `{}`", token.text), help);
        }
        if let (true, [open, format, ..]) = (token.is("format"), behind)
            && open.is("(")
            && format.sort == Sort::Quoted
            && let Some(date) = Date::of(Moment::default())
            && let Err(error) = date.format(format.text.trim_matches(['"', '\'']))
        {
            let help = "as in strftime, such as \"%d.%m.%Y\" or \"%H:%M\"";
            self.bad(format.at, error.to_string(), help);
        }
    }

    fn test(&mut self, token: &Token<'_>) {
        if !TESTS.contains(&token.text) {
            let help = did_you_mean(token.text, TESTS, "the tests are");
            self.bad(token.at, format!("unknown test `{}`", token.text), help);
        }
    }

    /// A name that is used and not set by the template, with what stands behind its dots.
    pub(super) fn name(&mut self, path: &str, tags: &[Tag<'_>]) {
        let at = place_of(tags, path).unwrap_or_default();
        let mut steps = path.split('.');
        let name = steps.next().unwrap_or_default();
        let (field, more) = (steps.next(), steps.next());
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let fields = match known {
            Some((_, fields)) => *fields,
            None if self.known.extra.contains(&name) => Fields::None,
            None => {
                let names = NAMES.iter().map(|(name, _)| *name);
                let names: Vec<&str> = names.chain(self.known.extra.iter().copied()).collect();
                let variable = self
                    .known
                    .variables
                    .is_some_and(|variables| variables.contains_key(name));
                let help = if variable {
                    format!("did you mean `var.{name}`?")
                } else {
                    did_you_mean(name, &names, "the names are")
                };
                self.bad(at, format!("unknown name `{name}`"), help);
                return;
            }
        };
        if fields == Fields::Columns && self.known.directory.is_none() {
            let message = "there is no directory of persons";
            self.bad(at, message, "name its file by the option `directory`");
            return;
        }
        let Some(field) = field else { return };
        let (names, what): (Vec<&str>, &str) = match fields {
            Fields::None => {
                let message = format!("`{name}` is a text and has no `{field}`");
                self.bad(at, message, format!("write {name} alone"));
                return;
            }
            Fields::List => {
                let help = format!("write {name}[0].{field}, or a loop");
                self.bad(at, format!("`{name}` is a list"), help);
                return;
            }
            Fields::These(fields) => (fields.to_vec(), "known here"),
            Fields::Headers => (vec![field], ""),
            Fields::Variables => match self.known.variables {
                Some(variables) => (
                    variables.keys().map(String::as_str).collect(),
                    "the variables are",
                ),
                None => (vec![field], ""),
            },
            Fields::Columns => {
                let columns = self.known.directory.map(Directory::columns);
                let columns = columns.into_iter().flatten();
                (columns.map(String::as_str).collect(), "the columns are")
            }
        };
        if !names.contains(&field) {
            let help = if names.is_empty() {
                "the table [variables] of the configuration gives them".into()
            } else {
                did_you_mean(field, &names, what)
            };
            self.bad(at, format!("there is no `{name}.{field}`"), help);
        } else if let Some(more) = more {
            let message = format!("`{name}.{field}` is a text and has no `{more}`");
            self.bad(at, message, "");
        }
    }
}

fn is_keyword(token: &Token<'_>) -> bool {
    matches!(
        token.text,
        "and" | "or" | "not" | "in" | "is" | "if" | "elif" | "else" | "for" | "set" | "with"
    )
}
