//! Disclaim: puts a text below or above the mail's own text, in every variant that a reader may see.
//!
//! `shared/insert.rs` puts a text into a mail; this file has the options, and what can be wrong with them.
//!
//! Must never: edit a mail by itself.

use mimicry_core::message::edit::EditSet;
use mimicry_core::plugin::{
    BulkExemption, DefaultParts, Fault, Finish, Job, OnError, OptionError, OptionSpec, Options,
    Plugin, PluginKind, Scope, Task, ValueKind,
};

use crate::shared::insert::{self, Fallback, Manner, Once, Where, Which, insert};
use crate::shared::words::{self, Words, option};

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
                words::TEXT,
                words::TEXT_FILE,
                words::HTML,
                words::HTML_FILE,
                option(
                    "place",
                    ValueKind::Word(Where::WORDS),
                    Some("\"bottom\""),
                    "Below or above the mail's own text, or below it but above the mail that it answers.",
                ),
                option(
                    "separator",
                    ValueKind::Text,
                    Some("\"\""),
                    "Lines between the mail's own text and ours, in text/plain parts; \"-- \" would make it a signature.",
                ),
                insert::ONCE,
                words::IMAGES,
                words::DIRECTORY,
                option(
                    "parts",
                    ValueKind::Word(Which::WORDS),
                    Some("\"body\""),
                    "Which of several body texts: the one nearest to the place, the first, or all of them; each alternative gets it.",
                ),
                option(
                    "fallback",
                    ValueKind::Words(Fallback::WORDS),
                    Some("[\"attach\"]"),
                    "What to try, in this order, if a part cannot take the text: a separate text part at the end (at the top with place = top), leave the mail alone, answer 4xx, answer 5xx; then on_error decides.",
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
        let separator = options.text("separator").unwrap_or_default();
        let words = Words::build(self.name(), separator, options)?;
        let place = options.text("place").and_then(Where::from_word);
        let which = options.text("parts").and_then(Which::from_word);
        let once = options.text("once").and_then(Once::from_word);
        Ok(Box::new(DisclaimPlugin {
            words,
            manner: Manner {
                place: place.unwrap_or(Where::Bottom),
                which: which.unwrap_or(Which::Nearest),
                separator: separator.to_string(),
                once: once.unwrap_or(Once::Always),
                removable: false,
                preheader: false,
                fallback: Fallback::ladder(options.list("fallback")),
            },
        }))
    }
}

#[derive(Debug)]
struct DisclaimPlugin {
    words: Words,
    manner: Manner,
}

impl Plugin for DisclaimPlugin {
    fn warnings(&self) -> Vec<OptionError> {
        let ladder = Fallback::warning(&self.manner.fallback);
        self.words.warnings().into_iter().chain(ladder).collect()
    }

    fn requires(&self) -> Option<OnError> {
        Some(Fallback::strictness(&self.manner.fallback))
    }

    fn reads_recipients(&self) -> bool {
        self.words.reads_recipients()
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(DisclaimJob { plugin: self, task })
    }
}

/// Decides about all parts at once: one variant is edited only if all can be.
struct DisclaimJob<'a> {
    plugin: &'a DisclaimPlugin,
    task: Task<'a>,
}

impl Job for DisclaimJob<'_> {
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let words = self.plugin.words.render(&self.task)?;
        insert(&self.task, &self.plugin.manner, &words, edits)
    }
}
