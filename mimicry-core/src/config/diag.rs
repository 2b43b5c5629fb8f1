//! What is wrong with a configuration, and how that is shown.
//!
//! A mistake is data until it is printed: a level, a place in the file, what is wrong, what would be right. It is shown as
//! rustc shows its own, by annotate-snippets, with the path, line and column that editors jump to.
//!
//! Must never: print or exit (only the command line does), or quote more of the file than the line at fault.
//!
//! Known limit: of a place that spans several lines the first is marked.

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
}

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
        let shown: Vec<String> = self
            .list
            .iter()
            .map(|one| self.render_one(one, &path, renderer))
            .collect();
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
                let from = span.start.saturating_sub(start).min(line.len());
                let to = span.end.saturating_sub(start).clamp(from, line.len());
                Snippet::source(line)
                    .line_start(number)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(from..to))
                    .into()
            }
            None => Origin::path(path).into(),
        };
        let mut group: Group<'_> = level.primary_title(one.message.as_str()).element(place);
        if let Some(help) = &one.help {
            group = group.element(Title::HELP.message(help.as_str()));
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
    let before = source.get(..offset).unwrap_or(source);
    let start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
    (start, before.matches('\n').count().saturating_add(1))
}

/// The number of the line of a place, counted from 1.
pub(super) fn line_number(source: &str, offset: usize) -> usize {
    line_at(source, offset).1
}

/// Takes down mistakes while a file is read.
#[derive(Debug, Default)]
pub(super) struct Complaints(pub(super) Vec<Diagnostic>);

impl Complaints {
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

    /// An empty help is none.
    fn push(&mut self, level: Level, span: Option<Range<usize>>, message: String, help: String) {
        let help = (!help.is_empty()).then_some(help);
        self.0.push(Diagnostic {
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
}
