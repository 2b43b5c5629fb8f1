//! Disclaim: puts a text below or above the mail's own text, in every variant that a reader may see.
//!
//! The text goes into the part it belongs to, in that part's charset and coding; the old octets stay. Where that is
//! impossible for one variant, no variant is edited and the `fallback` ladder decides, so that no reader sees the text
//! twice and none sees it broken.
//!
//! Must never: put text into a named or attached part beside a body (but by `parts = "all"` and a filter that takes it),
//! re-serialise HTML, or write octets that are not of the part's charset.

use mimicry_core::message::compose::NewPart;
use mimicry_core::message::edit::{Content, EditSet, Refused};
use mimicry_core::message::roles::{Role, Roles};
use mimicry_core::message::text::{self, NewBody, NotEditable, Unmappable};
use mimicry_core::message::{Message, PartId};
use mimicry_core::plugin::{
    BulkExemption, DefaultParts, Fault, Finish, Job, OptionError, OptionSpec, Options, Plugin,
    PluginKind, Scope, Task, ValueKind, Verdict,
};
use mimicry_core::rule::Reason;

use crate::shared::html::{self, Place, Why};
use crate::shared::plain::{self, DelSp};

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
                    ValueKind::Word(&["bottom", "top"]),
                    Some("\"bottom\""),
                    "Below or above the mail's own text.",
                ),
                option(
                    "separator",
                    ValueKind::Text,
                    Some("\"\""),
                    "Lines between the mail's own text and ours, in text/plain parts; \"-- \" would make it a signature.",
                ),
                option(
                    "parts",
                    ValueKind::Word(&["body", "first", "all"]),
                    Some("\"body\""),
                    "Which of several body texts: the one nearest to the place, the first, or all of them; of alternatives each.",
                ),
                option(
                    "fallback",
                    ValueKind::Words(&["attach", "skip", "defer", "reject"]),
                    Some("[\"attach\", \"skip\"]"),
                    "What to try, in this order, when a part cannot take the text: a text part of its own at the end, leave the mail alone, answer 4xx, answer 5xx.",
                ),
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Body
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
        if let Err(line) = plain::block(Place::Bottom, b"", &text, separator, "\r\n", None) {
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
        if !errors.is_empty() {
            return Err(errors);
        }
        let fallback = options
            .list("fallback")
            .iter()
            .filter_map(|word| Fallback::from_word(word))
            .collect();
        Ok(Box::new(DisclaimPlugin {
            text,
            html,
            separator: separator.to_string(),
            place: if options.text("place") == Some("top") {
                Place::Top
            } else {
                Place::Bottom
            },
            which: match options.text("parts") {
                Some("all") => Which::All,
                Some("first") => Which::First,
                _ => Which::Nearest,
            },
            fallback,
            missing,
        }))
    }
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
    separator: String,
    place: Place,
    which: Which,
    fallback: Vec<Fallback>,
    /// The option that is there, and the variant that was derived from it.
    missing: Option<(&'static str, &'static str)>,
}

/// Which of several body texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Nearest,
    First,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fallback {
    Attach,
    Skip,
    Defer,
    Reject,
}

impl Fallback {
    fn from_word(word: &str) -> Option<Fallback> {
        match word {
            "attach" => Some(Fallback::Attach),
            "skip" => Some(Fallback::Skip),
            "defer" => Some(Fallback::Defer),
            "reject" => Some(Fallback::Reject),
            _ => None,
        }
    }
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
        let chosen = choose(
            &self.task.mail.message,
            self.task.parts,
            self.plugin.which,
            self.plugin.place,
        );
        if chosen.is_empty() {
            return Ok(Finish {
                reason: Some(Reason::NoBody),
                ..Finish::default()
            });
        }
        let mut bodies = Vec::with_capacity(chosen.len());
        for part in &chosen {
            match self.plugin.insert(&edits.content(*part)?) {
                Ok((body, note)) => bodies.push((*part, body, note)),
                Err(reason) => return self.plugin.fall_back(reason, *part, edits),
            }
        }
        let before = edits.clone();
        let mut finish = Finish {
            edited: chosen,
            ..Finish::default()
        };
        for (part, body, note) in bodies {
            match edits.replace_body(part, body) {
                Ok(()) => finish.notes.push(note),
                // A Content-Type that cannot be read cannot name another charset.
                Err(Refused::BadField) => {
                    *edits = before;
                    return self.plugin.fall_back(Reason::Malformed, part, edits);
                }
                Err(refused) => return Err(refused.into()),
            }
        }
        Ok(finish)
    }
}

/// The parts that get the text: of those that the rule takes, text/plain and text/html only, and the mail's own text
/// rather than a text that is attached.
///
/// Body texts that stand under one multipart/alternative are variants of one text; every other is a text of its own,
/// shown one below the other. Of the text chosen each variant gets ours, once per type: of several parts of one type
/// in it, the one nearest to the place.
fn choose(message: &Message, parts: &[PartId], which: Which, place: Place) -> Vec<PartId> {
    let is_text = |id: &PartId| {
        message
            .part(*id)
            .is_some_and(|part| matches!(part.media_type(), "text/plain" | "text/html"))
    };
    let mut parts: Vec<PartId> = parts.iter().copied().filter(is_text).collect();
    if which == Which::All {
        return parts;
    }
    let roles = Roles::of(message);
    let is_body = |id: &PartId| roles.role(*id) == Some(Role::Body);
    if parts.iter().any(is_body) {
        parts.retain(is_body);
    }
    let mut texts: Vec<(Option<PartId>, Vec<PartId>)> = Vec::new();
    for id in &parts {
        let Some(part) = message.part(*id) else {
            continue;
        };
        let alternative = part
            .ancestors()
            .filter(|part| part.media_type() == "multipart/alternative")
            .last()
            .map(|part| part.id());
        match texts.last_mut() {
            Some((group, members)) if alternative.is_some() && *group == alternative => {
                members.push(*id)
            }
            _ => texts.push((alternative, vec![*id])),
        }
    }
    let from_end = place == Place::Bottom && which != Which::First;
    let text = if from_end {
        texts.pop()
    } else {
        texts.into_iter().next()
    };
    let mut members = text.map(|(_, members)| members).unwrap_or_default();
    if from_end {
        members.reverse();
    }
    let mut seen: Vec<&str> = Vec::new();
    members.retain(|id| {
        let media_type = message.part(*id).map_or("", |part| part.media_type());
        let is_new = !seen.contains(&media_type);
        seen.push(media_type);
        is_new
    });
    members.sort_unstable();
    members
}

impl DisclaimPlugin {
    /// The body with our text in it, and where it went.
    fn insert(&self, content: &Content<'_>) -> Result<(NewBody, String), Reason> {
        let body = content.text().map_err(reason_of)?;
        let section = content.part().section_text();
        let place = if self.place == Place::Top {
            "top"
        } else {
            "bottom"
        };
        // Octets where they can be searched as they stand, else decoded text.
        let old = if body.markup_safe() {
            body.octets()
        } else {
            body.text().as_bytes()
        };
        let is_html = content.media_type() == "text/html";
        let newline = body.line_end();
        let (at, insert, note) = if is_html {
            let spot = html::place(old, self.place).map_err(|_| Reason::NoBody)?;
            let html = self.html.trim_end();
            // The line end before it keeps an entity without a semicolon from taking in our first letters.
            let insert = format!("{}{newline}{html}{newline}", spot.close);
            (
                spot.at,
                insert,
                format!("{section}: {place}, {}", describe(spot.why)),
            )
        } else {
            let flowed = content
                .param("format")
                .filter(|format| format.eq_ignore_ascii_case("flowed"))
                .map(|_| match content.param("delsp") {
                    Some(delsp) if delsp.eq_ignore_ascii_case("yes") => DelSp::Yes,
                    _ => DelSp::No,
                });
            let block = plain::block(
                self.place,
                old,
                &self.text,
                &self.separator,
                newline,
                flowed,
            )
            // The line was short enough at load; stuffing made it too long.
            .map_err(|_| Reason::Limit)?;
            (
                plain::place(old, self.place),
                block,
                format!("{section}: {place}"),
            )
        };
        let at = if body.markup_safe() {
            text::Place::Octet(at)
        } else {
            text::Place::Text(at)
        };
        let unmappable = if is_html {
            Unmappable::Entities
        } else {
            Unmappable::Raise
        };
        let new = body.insert(at, &insert, unmappable);
        Ok((new.map_err(reason_of)?, note))
    }

    /// A part cannot take the text: the ladder decides.
    fn fall_back(
        &self,
        reason: Reason,
        part: PartId,
        edits: &mut EditSet<'_>,
    ) -> Result<Finish, Fault> {
        for step in &self.fallback {
            match step {
                Fallback::Attach => {
                    let mut text = self.text.trim_end().to_string();
                    text.push('\n');
                    let new = NewPart::text("plain", &text, edits.message().newline());
                    if edits.attach(new).is_ok() {
                        return Ok(Finish {
                            edited: vec![PartId::ROOT],
                            notes: vec![format!("a text part at the end, because of: {reason}")],
                            ..Finish::default()
                        });
                    }
                }
                Fallback::Skip => break,
                Fallback::Defer | Fallback::Reject => {
                    return Err(Fault::Asked {
                        reject: *step == Fallback::Reject,
                        text: format!("the text could not be put into the mail: {reason}"),
                    });
                }
            }
        }
        Ok(Finish {
            reason: Some(reason),
            notes: vec![format!("{} cannot take the text", section_of(edits, part))],
            ..Finish::default()
        })
    }
}

fn section_of(edits: &EditSet<'_>, part: PartId) -> String {
    edits
        .message()
        .part(part)
        .map_or_else(String::new, |part| part.section_text())
}

fn reason_of(error: NotEditable) -> Reason {
    match error {
        NotEditable::Charset => Reason::Charset,
        NotEditable::Malformed => Reason::Malformed,
    }
}

fn describe(why: Why) -> &'static str {
    match why {
        Why::BeforeBodyEnd => "before </body>",
        Why::BeforeHtmlEnd => "before </html>",
        Why::End => "at the end",
        Why::AfterBodyStart => "behind <body>",
        Why::AfterHead => "behind the head",
        Why::AfterHtmlStart => "behind <html>",
        Why::AfterDoctype => "behind the doctype",
        Why::Start => "at the start",
    }
}
