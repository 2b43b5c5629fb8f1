//! Templates: texts of the administrator with values of the mail in them, compiled and tried at load.
//!
//! The language is minijinja's: `{{ value }}`, `{% if %}`, `{% for %}`, `{% set %}`, `{% with %}`, `{% raw %}`, `{# comment #}`,
//! and the filters of `check`. A text without any tag is constant and stays as it is, octet for octet. A line that holds
//! nothing but statements and comments leaves no line behind.
//!
//! A missing value drops its line: the line of the template, once for each pass of a loop (a line break within a value
//! begins no line). In [`Form::Line`] that is the whole text, which is then empty. `default` gives a missing value
//! another; every other filter passes it on. In `~` it is the empty text.
//!
//! Must never: read a value as a template; let a value of [`Form::Html`] become markup, or one of [`Form::Line`] become
//! a second line; let a mail or a template use more than its fuel.
//!
//! Known limits: in HTML a value may stand in text and in quoted attributes only, where escaping holds; inside
//! `<script>`, in an unquoted attribute, or as the whole of an `href` that is the administrator's risk. Names of days
//! and months are English.

mod check;
mod facts;
mod foreign;
mod source;
mod terms;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mimicry_core::envelope::Envelope;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::{Fault, OptionError, Options, Task};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Rest;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
};

use crate::shared::directory::Directory;
use crate::shared::html;

use check::Check;
pub use facts::Facts;
use facts::{Date, Table};
pub use foreign::foreign;
use source::line_and_column;
use terms::breaks_a_line;
pub use terms::{BadTemplate, Form, Known};

/// Octets of a rendered text.
pub const LONGEST: usize = 256 * 1024;

/// Instructions of the engine, or 64 octets of data each; about 20 ms.
const FUEL: u64 = 100_000;

/// Stands for a value that is missing. Neither this nor the next can come from a template or a value.
const MISSING: char = '\u{1}';
/// Stands for a line break within a value.
const BREAK: char = '\u{2}';

/// Reads the directory that an option names, a mistake in it being one of the option.
pub fn directory(
    option: &'static str,
    options: &Options,
) -> Result<Option<Directory>, Vec<OptionError>> {
    let (Some(path), Some(text)) = (options.path(option), options.text(option)) else {
        return Ok(None);
    };
    let errors = match Directory::parse(path, text) {
        Ok(directory) => return Ok(Some(directory)),
        Err(errors) => errors,
    };
    Err(errors
        .into_iter()
        .map(|error| OptionError {
            option,
            message: format!("{path}:{}: {}", error.line, error.message),
            help: (!error.help.is_empty()).then_some(error.help),
        })
        .collect())
}

/// A compiled template.
#[derive(Debug)]
pub struct Template {
    source: String,
    form: Form,
    /// `None` = constant.
    program: Option<Program>,
}

#[derive(Debug)]
struct Program {
    engine: Environment<'static>,
    /// The names it uses, without what stands behind a dot.
    names: BTreeSet<String>,
}

impl Template {
    /// Compiles a template and tries it on two mails, one that has everything and one that has nothing.
    pub fn compile(
        source: &str,
        form: Form,
        known: &Known<'_>,
    ) -> Result<Template, Vec<BadTemplate>> {
        let mut template = Template {
            source: source.to_string(),
            form,
            program: None,
        };
        let mut check = Check::new(source, known);
        let constant = !source::has_tags(source);
        check.characters(form, constant);
        if constant {
            check.found.is_empty().then_some(()).ok_or(check.found)?;
            return Ok(template);
        }
        let read = source::Source::read(source);
        if let Some(at) = read.too_deep() {
            check.too_deep(at);
            return Err(check.found);
        }
        let tags = read.tags;
        for tag in &tags {
            check.tag(tag);
        }
        if !check.found.is_empty() {
            return Err(check.sorted());
        }
        // A text that the engine breaks on has a place, too.
        let compiled = catch_unwind(AssertUnwindSafe(|| Program::of(form, known, &tags, check)));
        let program = compiled.unwrap_or_else(|_| Err(vec![broken(source, &tags)]))?;
        template.program = Some(program);
        Ok(template)
    }

    /// Has it no tags: then it renders as its source, for every mail.
    pub fn is_constant(&self) -> bool {
        self.program.is_none()
    }

    /// Whether it says the same of every mail: it has no values, or the configuration's own only.
    pub fn is_same_for_all(&self) -> bool {
        let own = |name: &String| name == "var" || name == "rule";
        (self.program.as_ref()).is_none_or(|program| program.names.iter().all(own))
    }

    /// Whether it may say something of who receives the mail.
    pub fn reads_recipients(&self) -> bool {
        (self.program.as_ref()).is_some_and(|program| program.names.contains(facts::RECIPIENTS))
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// The text for one mail.
    pub fn render(&self, facts: &Facts<'_>) -> Result<String, Fault> {
        let Some(program) = &self.program else {
            return Ok(self.source.clone());
        };
        let context = facts.context(program.names.iter().map(String::as_str));
        let text = program.run(context).map_err(|error| {
            Fault::Permanent(match error.kind() {
                ErrorKind::OutOfFuel => "the template takes more work than is allowed".into(),
                ErrorKind::WriteFailure => {
                    format!("the text of the template is longer than {LONGEST} octets")
                }
                _ => format!("the template cannot be rendered: {}", describe(&error)),
            })
        })?;
        Ok(settle(text, self.form))
    }
}

impl Program {
    fn of(
        form: Form,
        known: &Known<'_>,
        tags: &[source::Tag<'_>],
        mut check: Check<'_>,
    ) -> Result<Program, Vec<BadTemplate>> {
        let source = check.source();
        let mut engine = engine(form);
        engine.set_debug(true);
        if let Err(error) = engine.add_template_owned("", source::own_lines(source, tags)) {
            return Err(vec![bad(&error, source)]);
        }
        let names = engine
            .get_template("")
            .map(|template| template.undeclared_variables(true))
            .unwrap_or_default();
        for name in &names {
            check.name(name, tags);
        }
        if !check.found.is_empty() {
            return Err(check.sorted());
        }
        let root = |name: &String| name.split('.').next().unwrap_or_default().to_string();
        let mut program = Program {
            names: names.iter().map(root).collect(),
            engine,
        };
        try_out(&program, known).map_err(|error| vec![bad(&error, source)])?;
        program.engine.set_debug(false);
        Ok(program)
    }

    fn run(&self, context: Value) -> Result<String, Error> {
        let mut out = Bounded(Vec::new());
        let template = self.engine.get_template("")?;
        template.render_captured_to(context, &mut out)?;
        String::from_utf8(out.0)
            .map_err(|_| Error::new(ErrorKind::BadSerialization, "the text is not UTF-8"))
    }
}

/// Drops the lines with a missing value, and gives values their line breaks back.
fn settle(text: String, form: Form) -> String {
    if form == Form::Line {
        if text.contains(MISSING) {
            return String::new();
        }
        let blank = |c| if breaks_a_line(c) { ' ' } else { c };
        return text.chars().map(blank).collect();
    }
    if !text.contains([MISSING, BREAK]) {
        return text;
    }
    text.split_inclusive('\n')
        .filter(|line| !line.contains(MISSING))
        .collect::<String>()
        .replace(BREAK, "\n")
}

fn engine(form: Form) -> Environment<'static> {
    let mut engine = Environment::empty();
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        engine.set_syntax(syntax);
    }
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(100);
    // The formatter escapes; this keeps filters from building text that counts as escaped.
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_formatter(move |out, _, value| write(out, value, form));
    engine.add_test("defined", |value: &Value| !value.is_undefined());
    engine.add_test("undefined", Value::is_undefined);
    engine.add_filter("default", minijinja::filters::default);
    engine.add_filter("d", minijinja::filters::default);
    engine.add_filter("format", format_date);
    passing_on(
        &mut engine,
        "upper",
        Value::from_function(minijinja::filters::upper),
    );
    passing_on(
        &mut engine,
        "lower",
        Value::from_function(minijinja::filters::lower),
    );
    passing_on(
        &mut engine,
        "title",
        Value::from_function(minijinja::filters::title),
    );
    passing_on(
        &mut engine,
        "capitalize",
        Value::from_function(minijinja::filters::capitalize),
    );
    passing_on(
        &mut engine,
        "trim",
        Value::from_function(minijinja::filters::trim),
    );
    passing_on(
        &mut engine,
        "replace",
        Value::from_function(minijinja::filters::replace),
    );
    passing_on(
        &mut engine,
        "split",
        Value::from_function(minijinja::filters::split),
    );
    passing_on(
        &mut engine,
        "join",
        Value::from_function(minijinja::filters::join),
    );
    passing_on(
        &mut engine,
        "first",
        Value::from_function(minijinja::filters::first),
    );
    passing_on(
        &mut engine,
        "last",
        Value::from_function(minijinja::filters::last),
    );
    passing_on(
        &mut engine,
        "length",
        Value::from_function(minijinja::filters::length),
    );
    engine
}

/// A filter that gives a missing value back as it is, so that it still drops its line.
fn passing_on(engine: &mut Environment<'static>, name: &'static str, filter: Value) {
    engine.add_filter(
        name,
        move |state: &mut State<'_, '_>, arguments: Rest<Value>| match arguments.first() {
            Some(value) if value.is_undefined() => Ok(Value::UNDEFINED),
            _ => filter.call(state, &arguments),
        },
    );
}

fn format_date(value: &Value, format: &str) -> Result<Value, Error> {
    let wrong = |detail: String| Error::new(ErrorKind::InvalidOperation, detail);
    match value.downcast_object_ref::<Date>() {
        Some(date) => date
            .format(format)
            .map(Value::from)
            .map_err(|error| wrong(error.to_string())),
        None if value.is_undefined() => Ok(Value::UNDEFINED),
        None => Err(wrong("format is for dates".into())),
    }
}

/// Writes one value.
fn write(out: &mut Output<'_>, value: &Value, form: Form) -> Result<(), Error> {
    let shown;
    let text = match value.as_str() {
        Some(text) => text,
        None => {
            shown = value.to_string();
            &shown
        }
    };
    let nothing = value.is_undefined() || value.is_none();
    if nothing || (text.is_empty() && value.as_str().is_none()) {
        return Ok(out.write_str(MISSING.encode_utf8(&mut [0; 4]))?);
    }
    let text = if text.contains(char::is_control) {
        text.replace("\r\n", "\n")
            .chars()
            .map(|c| match c {
                '\n' | '\r' => BREAK,
                '\t' => c,
                c if c.is_control() => ' ',
                c => c,
            })
            .collect()
    } else {
        std::borrow::Cow::Borrowed(text)
    };
    match form {
        Form::Html => out.write_str(&html::escape(&text))?,
        Form::Text | Form::Line => out.write_str(&text)?,
    }
    Ok(())
}

/// Renders with a mail that has every fact, and with one that has none.
fn try_out(program: &Program, known: &Known<'_>) -> Result<(), Error> {
    const SAMPLE: &[u8] =
        b"From: Anna <anna@example.org>\r\nTo: bob@example.org\r\nSubject: sample\r\n\r\n";
    let mail = Mail {
        origin: Origin {
            client: "127.0.0.1".parse().ok(),
            listener: Some("sample".into()),
            ..Origin::default()
        },
        envelope: Envelope::new("anna@example.org", ["bob@example.org"]),
        message: Message::scan(SAMPLE.to_vec(), &Limits::default()),
        received: Moment::default(),
    };
    let none = BTreeMap::new();
    let task = Task::plain(&mail, known.variables.unwrap_or(&none));
    let mut facts = Facts::of(&task, known.directory);
    for name in known.extra {
        facts = facts.with(name, "sample");
    }
    program.run(facts.context(program.names.iter().map(String::as_str)))?;
    program.run(Value::from_object(Table::default()))?;
    Ok(())
}

/// An error of the engine at its place.
fn bad(error: &Error, source: &str) -> BadTemplate {
    let (line, column) = match error.range() {
        Some(range) => line_and_column(source, range.start),
        None => (error.line().unwrap_or(1), 1),
    };
    let help = match error.kind() {
        ErrorKind::SyntaxError => Some(
            "put a text that contains {{, {% or {# itself between {% raw %} and {% endraw %}"
                .into(),
        ),
        _ => None,
    };
    BadTemplate {
        line,
        column,
        message: describe(error),
        help,
    }
}

/// A text that the engine breaks on: it counts columns to 65535, and what is wrong there, or further on, it cannot say.
fn broken(source: &str, tags: &[source::Tag<'_>]) -> BadTemplate {
    const LAST: usize = 65_535;
    let places = tags.iter().map(|tag| line_and_column(source, tag.end()));
    let far = places.into_iter().find(|(_, column)| *column >= LAST);
    let (line, column) = far.unwrap_or((1, 1));
    BadTemplate {
        line,
        column,
        message: "this mistake is too far to the right in its line to be shown".into(),
        help: Some("break the line before it, then its place is shown".into()),
    }
}

fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// Takes no more than [`LONGEST`] octets.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(octets.len()) > LONGEST {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
