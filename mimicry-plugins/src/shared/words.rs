//! The texts of a rule: a text and its HTML, as templates, and the pictures that the HTML shows.
//!
//! A form that the rule does not give is derived from the other one, anew for each mail if that has values of the mail.
//!
//! Must never: know where the text goes.

use mimicry_core::plugin::{Fault, OptionError, OptionSpec, Options, Task, ValueKind};

use super::directory::Directory;
use super::template::{self, Facts, Form, Known, Template};
use super::text_end::TextEnd;
use super::{html, plain};

pub const TEXT: OptionSpec = option(
    "text",
    ValueKind::Text,
    None,
    "The text for text/plain parts: a template.",
);
pub const TEXT_FILE: OptionSpec = option(
    "text_file",
    ValueKind::TextFile,
    None,
    "The file that holds it.",
);
pub const HTML: OptionSpec = option(
    "html",
    ValueKind::Text,
    None,
    "The HTML fragment for text/html parts: a template.",
);
pub const HTML_FILE: OptionSpec = option(
    "html_file",
    ValueKind::TextFile,
    None,
    "The file that holds it.",
);
pub const IMAGES: OptionSpec = option(
    "images",
    ValueKind::Files,
    None,
    "Pictures that the HTML shows by cid: and the name of the file.",
);
pub const DIRECTORY: OptionSpec = option(
    "directory",
    ValueKind::TextFile,
    None,
    "A table of senders, TOML or CSV, whose columns templates may use.",
);

/// One line of a table of options.
pub const fn option(
    name: &'static str,
    value: ValueKind,
    default: Option<&'static str>,
    doc: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        value,
        default,
        doc,
    }
}

/// Built at load.
#[derive(Debug)]
pub struct Words {
    text: Option<Template>,
    html: Option<Template>,
    /// The form that is derived, where it is the same for every mail.
    derived: Option<String>,
    images: Vec<Image>,
    directory: Option<Directory>,
    /// The option that is there, and the form that is not.
    missing: Option<(&'static str, &'static str)>,
    /// What the administrator should know of the HTML.
    doubts: Vec<OptionError>,
}

/// For one mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered<'w> {
    pub text: String,
    pub html: String,
    /// Shown by the HTML by `cid:NAME`.
    pub images: &'w [Image],
}

impl Rendered<'_> {
    /// All of it depended on values that the mail has not.
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty() && self.html.trim().is_empty()
    }
}

/// A picture that HTML of ours shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Without folders.
    pub name: String,
    /// `image/png` …
    pub media_type: &'static str,
    pub content: Vec<u8>,
}

impl Words {
    /// `plugin` names the kind, for the mistakes; `separator` stands above the text.
    pub fn build(
        plugin: &str,
        separator: &str,
        options: &Options,
    ) -> Result<Words, Vec<OptionError>> {
        let mut errors = Vec::new();
        let directory = template::directory("directory", options).unwrap_or_else(|mistakes| {
            errors.extend(mistakes);
            None
        });
        let known = Known::of(options, directory.as_ref());
        let mut form =
            |options_of, form| template_of(options, options_of, (form, &known), &mut errors);
        let text = form(("text", "text_file"), Form::Text);
        let html = form(("html", "html_file"), Form::Html);
        let is_given = ["text", "text_file", "html", "html_file"]
            .iter()
            .any(|option| options.is_set(option));
        if !is_given {
            errors.push(OptionError::new(
                "",
                format!("{plugin} needs a text"),
                "give text or text_file, html or html_file, or better one of each",
            ));
        }
        let missing = match (&text, &html) {
            (None, Some((_, option))) => Some((*option, "text")),
            (Some((_, option)), None) => Some((*option, "html")),
            _ => None,
        };
        let option = text
            .as_ref()
            .or(html.as_ref())
            .map_or("", |(_, option)| option);
        let template = |form: Option<(Template, &'static str)>| form.map(|(template, _)| template);
        let (text, html) = (template(text), template(html));
        let derived = match (&text, &html) {
            (Some(text), None) if text.is_constant() => Some(html::from_text(text.source())),
            (None, Some(html)) if html.is_constant() => Some(html::to_text(html.source())),
            _ => None,
        };
        let constant = match &text {
            Some(text) if text.is_constant() => Some(text.source()),
            Some(_) => None,
            None => derived.as_deref(),
        };
        if let Some(text) = constant
            && let Err(line) = plain::block((TextEnd::Bottom, b""), text, separator, "\r\n", None)
        {
            errors.push(OptionError::new(
                option,
                format!(
                    "line {} has {} octets; a line of a mail has at most {}",
                    line.line,
                    line.octets,
                    plain::MAX_LINE
                ),
                "break it",
            ));
        }
        let shown = html.as_ref().map_or("", |html| html.source());
        let images = images(options, shown, &mut errors);
        let mut doubts = doubts(plugin, options, &images, &mut errors);
        doubts.extend(foreign(options));
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Words {
            text,
            html,
            derived,
            images,
            directory,
            missing,
            doubts,
        })
    }

    /// That a form is derived, and what readers may not see as it was meant.
    pub fn warnings(&self) -> Vec<OptionError> {
        let missing = self.missing.map(|(option, form)| {
            OptionError::new(
                option,
                format!("there is no {form} variant; it is derived from this one"),
                format!("give {form} or {form}_file to choose the words yourself"),
            )
        });
        missing
            .into_iter()
            .chain(self.doubts.iter().cloned())
            .collect()
    }

    /// Whether every mail gets the same words.
    pub fn is_same_for_all(&self) -> bool {
        [&self.text, &self.html]
            .into_iter()
            .flatten()
            .all(Template::is_same_for_all)
    }

    /// Whether they may say something of who receives the mail.
    pub fn reads_recipients(&self) -> bool {
        [&self.text, &self.html]
            .into_iter()
            .flatten()
            .any(Template::reads_recipients)
    }

    pub fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    pub fn render(&self, task: &Task<'_>) -> Result<Rendered<'_>, Fault> {
        let facts = Facts::of(task, self.directory.as_ref());
        let render = |form: &Option<Template>| {
            form.as_ref()
                .map(|template| template.render(&facts))
                .transpose()
        };
        let derived = |derive: fn(&str) -> String, from: &str| match &self.derived {
            Some(derived) => derived.clone(),
            None => derive(from),
        };
        let (text, html) = match (render(&self.text)?, render(&self.html)?) {
            (Some(text), Some(html)) => (text, html),
            (Some(text), None) => {
                let html = derived(html::from_text, &text);
                (text, html)
            }
            (None, html) => {
                let html = html.unwrap_or_default();
                (derived(html::to_text, &html), html)
            }
        };
        Ok(Rendered {
            text,
            html,
            images: &self.images,
        })
    }
}

/// The template of the options `inline` or `file`, and which of them holds it.
fn template_of(
    options: &Options,
    (inline, file): (&'static str, &'static str),
    (form, known): (Form, &Known<'_>),
    errors: &mut Vec<OptionError>,
) -> Option<(Template, &'static str)> {
    let (text, content) = (options.text(inline), options.text(file));
    if text.is_some() && content.is_some() {
        errors.push(OptionError::new(
            file,
            format!("{inline} and {file} exclude each other"),
            "",
        ));
    }
    let option = if text.is_some() { inline } else { file };
    let text = text.or(content)?;
    if text.trim().is_empty() {
        errors.push(OptionError::new(option, "the text is empty", ""));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let compiled = Template::compile(text, form, known);
    // A document is told apart from a fragment only if the template is one.
    let body = match (&compiled, form) {
        (Ok(_), Form::Html) => html::whole::body_of(text),
        _ => None,
    };
    let compiled = match &body {
        Some(body) => Template::compile(body, form, known),
        None => compiled,
    };
    match compiled {
        Ok(template) => Some((template, option)),
        Err(bad) => {
            errors.extend(bad.into_iter().map(|bad| bad.of_option(option, options)));
            None
        }
    }
}

/// What the administrator should know of the HTML; what breaks it is an error.
fn doubts(
    plugin: &str,
    options: &Options,
    images: &[Image],
    errors: &mut Vec<OptionError>,
) -> Vec<OptionError> {
    let mut doubts = Vec::new();
    for option in ["html", "html_file"] {
        let Some(source) = options.text(option) else {
            continue;
        };
        let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
        for flaw in html::whole::flaws(source, &names, plugin == "banner") {
            let error = OptionError::new(
                option,
                match options.path(option) {
                    Some(path) => format!("{path}, line {}: {}", flaw.line, flaw.message),
                    None => format!("line {} of the HTML: {}", flaw.line, flaw.message),
                },
                flaw.help,
            );
            match flaw.breaks {
                true => errors.push(error),
                false => doubts.push(error),
            }
        }
    }
    doubts
}

/// Placeholders of other programs, which would be sent as they stand.
fn foreign(options: &Options) -> Vec<OptionError> {
    let doubt = |option: &&'static str| {
        let source = options.text(option)?;
        let (line, found) = template::foreign(source)?;
        let place = match options.path(option) {
            Some(path) => format!("{path}, line {line}"),
            None => format!("line {line} of the text"),
        };
        Some(OptionError::new(
            option,
            format!("{place}: `{found}` is no placeholder here, and is sent as it stands"),
            "a value of the mail is written {{ sender.address }}, one of a table of senders {{ person.NAME }}, see mimicry-plugins(7)",
        ))
    };
    ["text", "text_file", "html", "html_file"]
        .iter()
        .filter_map(doubt)
        .collect()
}

/// Pictures and their octets in one mail, at most: each mail carries them.
const MAX_IMAGES: usize = 20;
const MAX_OCTETS: usize = 1024 * 1024;

fn images(options: &Options, html: &str, errors: &mut Vec<OptionError>) -> Vec<Image> {
    let mut error = |message: String, help: &str| {
        errors.push(OptionError::new("images", message, help));
    };
    let files = options.files("images");
    let octets: usize = files.iter().map(|(_, content)| content.len()).sum();
    if files.len() > MAX_IMAGES || octets > MAX_OCTETS {
        error(
            format!("{} pictures of {octets} octets", files.len()),
            "at most 20 and 1 MB in all: every mail carries them",
        );
    }
    let mut images: Vec<Image> = Vec::with_capacity(files.len());
    for (name, content) in files {
        let kind = infer::get(content).map(|kind| kind.mime_type());
        let Some(media_type) = kind.filter(|kind| kind.starts_with("image/")) else {
            error(format!("{name} is no picture"), "PNG, JPEG, GIF or WebP");
            continue;
        };
        if images.iter().any(|image| image.name == *name) {
            error(
                format!("two pictures are named {name}"),
                "rename one of them",
            );
        }
        let is_safe = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
        if !name.bytes().all(is_safe) {
            error(
                format!("{name:?} cannot be used after cid:"),
                "name it with letters, digits, dots, hyphens and underscores",
            );
        } else if !html.contains(&format!("cid:{name}")) {
            error(
                format!("the HTML does not show cid:{name}"),
                "show it by <img src=\"cid:...\">, or leave it out",
            );
        }
        images.push(Image {
            name: name.clone(),
            media_type,
            content: content.clone(),
        });
    }
    images
}
