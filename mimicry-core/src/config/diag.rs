//! What is wrong with a configuration, and how that is shown.
//!
//! A mistake is data until it is printed: a level, a place in the file, what is wrong, what would be right. It is shown as
//! rustc shows its own, by annotate-snippets, with the path, line and column that editors jump to.
//!
//! Must never: print or exit (only the command line does), or quote more of the file than the line at fault.
//!
//! Known limit: if a place spans several lines, only the first is marked.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{
    AnnotationKind, Element, Group, Level as Title, Origin, Renderer, Snippet,
};

/// Does it stop the configuration from being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    /// Loads, but hardly does what was meant.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub level: Level,
    /// Octets of the file; `None` = the mistake has no place, as of a setting that is missing altogether.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// Mistakes of one file, in the order of their places; those without a place come last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its text.
    pub source: String,
    pub list: Vec<Diagnostic>,
    /// Beyond those in the list, which holds the first so and so many.
    pub more: More,
}

/// Mistakes that are counted and not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct More {
    pub errors: usize,
    pub warnings: usize,
}

/// So many mistakes of a file are shown, and as many warnings. Nobody mends more at a time, and a file of 16 MB can have a
/// million.
const MOST: usize = 200;

/// Octets of the line at fault that are shown.
const LONGEST_LINE: usize = 400;

/// Octets of a message.
const LONGEST_MESSAGE: usize = 2000;

impl Mistakes {
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|one| one.level == Level::Error)
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// With the colours of a terminal; [`fmt::Display`] is without.
    pub fn coloured(&self) -> String {
        self.render(&Renderer::styled())
    }

    /// Line and column of a place, both counted from 1, the column in characters.
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let (start, line) = line_at(&self.source, offset);
        let before = self
            .source
            .get(start..offset.min(self.source.len()))
            .unwrap_or_default();
        (line, before.chars().count().saturating_add(1))
    }

    pub(super) fn sort(&mut self) {
        self.list.sort_by_key(|one| match &one.span {
            Some(span) => (span.start, span.end),
            None => (usize::MAX, usize::MAX),
        });
    }

    fn render(&self, renderer: &Renderer) -> String {
        let path = self.path.display().to_string();
        let mut shown: Vec<String> = self
            .list
            .iter()
            .map(|one| self.render_one(one, &path, renderer))
            .collect();
        for (count, what) in [
            (self.more.errors, "mistakes"),
            (self.more.warnings, "warnings"),
        ] {
            if count > 0 {
                shown.push(format!("and {count} more {what}"));
            }
        }
        shown.join("\n\n")
    }

    fn render_one(&self, one: &Diagnostic, path: &str, renderer: &Renderer) -> String {
        let level = match one.level {
            Level::Error => Title::ERROR,
            Level::Warning => Title::WARNING,
        };
        let place: Element<'_> = match &one.span {
            Some(span) => {
                // Only the line goes in: handing over the whole file would cost its length for each mistake.
                let (start, number) = line_at(&self.source, span.start);
                let rest = self.source.get(start..).unwrap_or_default();
                let line = rest.lines().next().unwrap_or_default();
                let from = boundary(line, span.start.saturating_sub(start));
                if line.len() > LONGEST_LINE {
                    return self.render_long(one, (path, number), (line, from), (level, renderer));
                }
                let to = boundary(line, span.end.saturating_sub(start)).max(from);
                Snippet::source(line)
                    .line_start(number)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(from..to))
                    .into()
            }
            None => Origin::path(path).into(),
        };
        let (message, help) = (cut(&one.message), one.help.as_deref().map(cut));
        let mut group: Group<'_> = level.primary_title(message).element(place);
        if let Some(help) = help {
            group = group.element(Title::HELP.message(help));
        }
        renderer.render(&[group])
    }

    /// A mistake in a line that is too long to be shown: its place alone.
    fn render_long(
        &self,
        one: &Diagnostic,
        (path, number): (&str, usize),
        (line, from): (&str, usize),
        (level, renderer): (Title<'static>, &Renderer),
    ) -> String {
        let before = line.get(..from).unwrap_or_default();
        let column = before.chars().count().saturating_add(1);
        let origin = Origin::path(path).line(number).char_column(column);
        let (message, help) = (cut(&one.message), one.help.as_deref().map(cut));
        let mut group: Group<'_> = level.primary_title(message).element(origin);
        if let Some(help) = help {
            group = group.element(Title::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl std::error::Error for Mistakes {}

/// Where the line of a place starts, and its number counted from 1.
fn line_at(source: &str, offset: usize) -> (usize, usize) {
    let octets = source.as_bytes();
    let before = octets.get(..offset).unwrap_or(octets);
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at.saturating_add(1));
    let lines = memchr::memchr_iter(b'\n', before).count();
    (start, lines.saturating_add(1))
}

/// The place in a text, or the next one before it where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// What a message quotes of the file may be as long as the file.
fn cut(message: &str) -> &str {
    message
        .get(..boundary(message, LONGEST_MESSAGE))
        .unwrap_or(message)
}

/// The number of the line of a place, counted from 1.
pub(super) fn line_number(source: &str, offset: usize) -> usize {
    line_at(source, offset).1
}

/// Takes down mistakes while a file is read.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    pub(super) list: Vec<Diagnostic>,
    /// Of the list.
    errors: usize,
    pub(super) more: More,
}

impl Complaints {
    /// Are further mistakes counted only.
    pub(super) fn is_full(&self) -> bool {
        self.errors >= MOST
    }

    pub(super) fn error(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Level::Error, Some(span), message.into(), help.into());
    }

    pub(super) fn warning(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Level::Warning, Some(span), message.into(), help.into());
    }

    /// For what is missing from the file as a whole.
    pub(super) fn missing(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.push(Level::Error, None, message.into(), help.into());
    }

    /// An empty help counts as none.
    fn push(&mut self, level: Level, span: Option<Range<usize>>, message: String, help: String) {
        let warnings = self.list.len().saturating_sub(self.errors);
        let (shown, more) = match level {
            Level::Error => (self.errors, &mut self.more.errors),
            Level::Warning => (warnings, &mut self.more.warnings),
        };
        if shown >= MOST {
            *more = more.saturating_add(1);
            return;
        }
        if level == Level::Error {
            self.errors = self.errors.saturating_add(1);
        }
        let help = (!help.is_empty()).then_some(help);
        self.list.push(Diagnostic {
            level,
            span,
            message,
            help,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(source: &str, span: Option<Range<usize>>) -> Mistakes {
        Mistakes {
            path: "m.toml".into(),
            source: source.into(),
            more: More::default(),
            list: vec![Diagnostic {
                level: Level::Error,
                span,
                message: "wrong".into(),
                help: Some("right".into()),
            }],
        }
    }

    #[test]
    fn a_mistake_is_shown_at_its_place() {
        for (source, span, shown) in [
            (
                "a = 1\nb = 2\n",
                Some(6..7),
                "error: wrong\n --> m.toml:2:1\n  |\n2 | b = 2\n  | ^\n  |\n  = help: right",
            ),
            // Columns count characters.
            (
                "ü = 1 # x",
                Some(5..6),
                "error: wrong\n --> m.toml:1:5\n  |\n1 | ü = 1 # x\n  |     ^\n  |\n  = help: right",
            ),
            // An empty place, a place at the end, a place beyond the end.
            (
                "a = ",
                Some(4..4),
                "error: wrong\n --> m.toml:1:5\n  |\n1 | a = \n  |     ^\n  |\n  = help: right",
            ),
            (
                "a = 1\n",
                Some(6..6),
                "error: wrong\n --> m.toml:2:1\n  |\n2 |\n  | ^\n  |\n  = help: right",
            ),
            (
                "a",
                Some(7..9),
                "error: wrong\n --> m.toml:1:2\n  |\n1 | a\n  |  ^\n  |\n  = help: right",
            ),
            // Several lines: the first.
            (
                "a = [\n1,\n]\r\n",
                Some(4..10),
                "error: wrong\n --> m.toml:1:5\n  |\n1 | a = [\n  |     ^\n  |\n  = help: right",
            ),
            (
                "a = x\r\nb\r\n",
                Some(4..5),
                "error: wrong\n --> m.toml:1:5\n  |\n1 | a = x\n  |     ^\n  |\n  = help: right",
            ),
            ("", None, "error: wrong\n--> m.toml\n = help: right"),
        ] {
            assert_eq!(mistakes(source, span).to_string(), shown, "{source:?}");
        }
    }

    #[test]
    fn colours_are_only_added() {
        let mistakes = mistakes("a = 1\n", Some(0..1));
        let coloured = mistakes.coloured();
        assert!(coloured.contains("\x1b["));
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        assert_eq!(plain, mistakes.to_string());
    }

    // T183
    #[test]
    fn a_place_within_a_character_and_a_line_without_end_are_shown() {
        // The second octet of a character, as of one that stands for an octet which is no UTF-8.
        let shown = mistakes("a\u{fffd}b", Some(1..2)).to_string();
        assert!(shown.contains(" --> m.toml:1:2\n"), "{shown}");
        let long = format!("a = \"{}\"\n", "ü".repeat(1_000_000));
        let shown = mistakes(&long, Some(7..9)).to_string();
        assert_eq!(shown, "error: wrong\n--> m.toml:1:7\n = help: right");
    }

    // T183
    #[test]
    fn more_mistakes_than_anybody_mends_are_counted() {
        let mut complaints = Complaints::default();
        for at in 0..MOST + 5 {
            complaints.warning(at..at, "odd", "");
        }
        for at in 0..MOST + 7 {
            complaints.error(at..at, "wrong", "");
        }
        let mistakes = Mistakes {
            list: complaints.list,
            more: complaints.more,
            ..Mistakes::default()
        };
        assert_eq!(mistakes.list.len(), MOST * 2);
        assert!(mistakes.has_errors());
        let shown = mistakes.to_string();
        assert!(
            shown.ends_with("\n\nand 7 more mistakes\n\nand 5 more warnings"),
            "{shown}"
        );
    }
}
