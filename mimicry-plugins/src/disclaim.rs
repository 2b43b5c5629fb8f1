//! Disclaim: puts a text below or above the mail's own text, in every variant that a reader may see.
//!
//! How a text gets into a mail is `shared/insert.rs`; here are the options, and what is wrong with them.
//!
//! Must never: edit a mail by itself.

use mimicry_core::message::PartId;
use mimicry_core::message::edit::{Content, EditSet};
use mimicry_core::plugin::{
    BulkExemption, DefaultParts, Fault, Finish, Job, OptionError, OptionSpec, Options, Plugin,
    PluginKind, Scope, Task, ValueKind, Verdict,
};

use crate::shared::insert::{Fallback, Image, Manner, Once, Place, Which, Words, insert};
use crate::shared::{html, plain};

/// The kind.
#[derive(Debug)]
pub struct Disclaim;

impl PluginKind for Disclaim {
    fn name(&self) -> &'static str {
        "disclaim"
    }

    fn summary(&self) -> &'static str {
        "puts a text below or above the mail's own text"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                option(
                    "text",
                    ValueKind::Text,
                    None,
                    "The text for text/plain parts.",
                ),
                option(
                    "text_file",
                    ValueKind::TextFile,
                    None,
                    "The file that holds it.",
                ),
                option(
                    "html",
                    ValueKind::Text,
                    None,
                    "The HTML fragment for text/html parts.",
                ),
                option(
                    "html_file",
                    ValueKind::TextFile,
                    None,
                    "The file that holds it.",
                ),
                option(
                    "place",
                    ValueKind::Word(Place::WORDS),
                    Some("\"bottom\""),
                    "Below or above the mail's own text, or below it and above the mail that it answers.",
                ),
                option(
                    "separator",
                    ValueKind::Text,
                    Some("\"\""),
                    "Lines between the mail's own text and ours, in text/plain parts; \"-- \" would make it a signature.",
                ),
                option(
                    "once",
                    ValueKind::Word(Once::WORDS),
                    Some("\"always\""),
                    "Whether a mail that holds the text already gets it again: always, not if the writer's own text has it, not if the quoted mail has it either.",
                ),
                option(
                    "images",
                    ValueKind::Files,
                    None,
                    "Pictures that the HTML shows by cid: and the name of the file.",
                ),
                option(
                    "parts",
                    ValueKind::Word(Which::WORDS),
                    Some("\"body\""),
                    "Which of several body texts: the one nearest to the place, the first, or all of them; of alternatives each.",
                ),
                option(
                    "fallback",
                    ValueKind::Words(Fallback::WORDS),
                    Some("[\"attach\", \"skip\"]"),
                    "What to try, in this order, when a part cannot take the text: a text part of its own at the end, leave the mail alone, answer 4xx, answer 5xx.",
                ),
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Body
    }

    fn works_beside_seals(&self) -> bool {
        true
    }

    fn bulk_exemption(&self) -> BulkExemption {
        BulkExemption::All
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let mut errors = Vec::new();
        let mut variant = |inline: &'static str, file: &'static str| {
            let (text, content) = (options.text(inline), options.text(file));
            if text.is_some() && content.is_some() {
                errors.push(OptionError {
                    option: file,
                    message: format!("{inline} and {file} exclude each other"),
                    help: None,
                });
            }
            let option = if text.is_some() { inline } else { file };
            let text = text.or(content)?;
            if text.trim().is_empty() {
                errors.push(OptionError {
                    option,
                    message: "the text is empty".into(),
                    help: None,
                });
            }
            Some((
                text.strip_prefix('\u{feff}').unwrap_or(text).to_string(),
                option,
            ))
        };
        let text = variant("text", "text_file");
        let html = variant("html", "html_file");
        if text.is_none() && html.is_none() {
            errors.push(OptionError {
                option: "",
                message: "disclaim needs a text".into(),
                help: Some(
                    "give text or text_file, html or html_file, or better one of each".into(),
                ),
            });
        }
        let separator = options.text("separator").unwrap_or_default();
        let missing = match (&text, &html) {
            (None, Some((_, option))) => Some((*option, "text")),
            (Some((_, option)), None) => Some((*option, "html")),
            _ => None,
        };
        let plain_option = text
            .as_ref()
            .or(html.as_ref())
            .map_or("", |(_, option)| *option);
        let text_of = |variant: Option<(String, &'static str)>| variant.map(|(text, _)| text);
        let (text, html) = match (text_of(text), text_of(html)) {
            (Some(text), Some(html)) => (text, html),
            (Some(text), None) => {
                let html = html::from_text(&text);
                (text, html)
            }
            (None, html) => {
                let html = html.unwrap_or_default();
                (html::to_text(&html), html)
            }
        };
        if let Err(line) = plain::block(html::Place::Bottom, b"", &text, separator, "\r\n", None) {
            errors.push(OptionError {
                option: plain_option,
                message: format!(
                    "line {} has {} octets; a line of a mail has at most {}",
                    line.line,
                    line.octets,
                    plain::MAX_LINE
                ),
                help: Some("break it".into()),
            });
        }
        let images = images(options, &html, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let place = options.text("place").and_then(Place::from_word);
        let which = options.text("parts").and_then(Which::from_word);
        let once = options.text("once").and_then(Once::from_word);
        Ok(Box::new(DisclaimPlugin {
            text,
            html,
            images,
            manner: Manner {
                place: place.unwrap_or(Place::Bottom),
                which: which.unwrap_or(Which::Nearest),
                separator: separator.to_string(),
                once: once.unwrap_or(Once::Always),
                fallback: options
                    .list("fallback")
                    .iter()
                    .filter_map(|word| Fallback::from_word(word))
                    .collect(),
            },
            missing,
        }))
    }
}

/// Pictures and their octets in one mail, at most: each mail carries them.
const MAX_IMAGES: usize = 20;
const MAX_OCTETS: usize = 1024 * 1024;

fn images(options: &Options, html: &str, errors: &mut Vec<OptionError>) -> Vec<Image> {
    let mut error = |message: String, help: &str| {
        errors.push(OptionError {
            option: "images",
            message,
            help: Some(help.into()),
        });
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
                format!("{name:?} cannot stand behind cid:"),
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

const fn option(
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

#[derive(Debug)]
struct DisclaimPlugin {
    text: String,
    html: String,
    images: Vec<Image>,
    manner: Manner,
    /// The option that is there, and the variant that was derived from it.
    missing: Option<(&'static str, &'static str)>,
}

impl Plugin for DisclaimPlugin {
    fn warnings(&self) -> Vec<OptionError> {
        let warning = self.missing.map(|(option, variant)| OptionError {
            option,
            message: format!("there is no {variant} variant; it is derived from this one"),
            help: Some(format!(
                "give {variant} or {variant}_file to choose the words yourself"
            )),
        });
        warning.into_iter().collect()
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(DisclaimJob { plugin: self, task })
    }
}

struct DisclaimJob<'a> {
    plugin: &'a DisclaimPlugin,
    task: Task<'a>,
}

impl Job for DisclaimJob<'_> {
    fn part(&mut self, _part: PartId, _now: &Content<'_>) -> Result<Verdict, Fault> {
        // One variant is edited only if all can be.
        Ok(Verdict::Later)
    }

    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let words = Words {
            text: &self.plugin.text,
            html: &self.plugin.html,
            images: &self.plugin.images,
        };
        insert(&self.task, &self.plugin.manner, words, edits)
    }
}
