//! What Zip and the Tar plugins have in common apart from their containers: one kind of plugin; each of them is a
//! description of it.
//!
//! Must never: know any one of them.

use std::fmt;

use mimicry_core::mail::Mail;
use mimicry_core::message::PartId;
use mimicry_core::plugin::{
    BulkExemption, DefaultParts, Forgets, Job, OptionError, OptionSpec, Options, Plugin,
    PluginKind, Scope, Task, ValueKind,
};

use super::bundle::Container;
use super::collect::Collect;
use super::left_alone::is_left_alone;
use super::words::option;

/// A kind of plugin that puts parts into an archive.
pub struct Pack {
    pub name: &'static str,
    pub summary: &'static str,
    /// Its own and [`SHARED`]; see [`with_shared`].
    pub options: &'static [OptionSpec],
    /// The container with the settings that these options make.
    pub container: fn(&Options) -> Box<dyn Container>,
}

/// The option `name`, of which each kind has its own default.
pub const fn name(default: &'static str) -> OptionSpec {
    option(
        "name",
        ValueKind::Line,
        Some(default),
        "The file name of the archive: a template.",
    )
}

/// The option `level`.
pub const fn level(lowest: i64, doc: &'static str) -> OptionSpec {
    option("level", ValueKind::Integer(lowest, 9), Some("6"), doc)
}

/// The options that all kinds have, in the order of the manual.
#[rustfmt::skip]
pub const SHARED: &[OptionSpec] = &[
    option("min_total", ValueKind::Size, Some("\"0\""),
        "The decoded size that all parts taken must have together."),
    option("min_parts", ValueKind::Integer(1, 10_000), Some("1"),
        "How many parts there must be to take."),
    option("min_part", ValueKind::Size, Some("\"0\""),
        "Parts of a smaller decoded size are not taken."),
    option("min_saving", ValueKind::Integer(0, 99), Some("0"),
        "By how many percent the parts must become smaller on the wire, transfer encodings included; with 0 they must only not become larger."),
    option("exclude", ValueKind::Lines, None,
        "Media types (\"image/*\", \"application/pdf\") and file name extensions (\".pdf\") that are not taken."),
    option("skip_compressed", ValueKind::Bool, Some("true"),
        "Content that is compressed already, judged by its first octets or else by its name, is not compressed again."),
    option("placement", ValueKind::Word(&["first", "end"]), Some("\"first\""),
        "Where the archive goes: where the first of the parts stood, or at the end of the mail."),
    option("note", ValueKind::Word(&["none", "text"]), Some("\"none\""),
        "Whether a text part before the archive lists its members."),
    option("note_text", ValueKind::Text, None,
        "What that part says: a template."),
];

/// A kind's own options with [`SHARED`] after them.
pub const fn with_shared<const N: usize>(own: &[OptionSpec]) -> [OptionSpec; N] {
    assert!(own.len() + SHARED.len() == N);
    let mut all = [SHARED[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < own.len() {
            own[at]
        } else {
            SHARED[at - own.len()]
        };
        at += 1;
    }
    all
}

/// The option `level` of one rule.
pub fn level_of(options: &Options) -> u8 {
    let level = options.integer("level");
    level
        .and_then(|level| u8::try_from(level).ok())
        .unwrap_or(6)
}

impl PluginKind for Pack {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        self.options
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Attachments
    }

    fn moves_whole(&self) -> bool {
        true
    }

    fn bulk_exemption(&self) -> BulkExemption {
        BulkExemption::All
    }

    /// Attachments that a rule without part filters leaves alone: those that programs use, and forwarded mails, which are
    /// opened as mails.
    fn declines(&self, mail: &Mail, part: PartId) -> bool {
        let Some(part) = mail.message.part(part) else {
            return true;
        };
        // To hide what one program uses costs more than to leave a file as it is, so one of its types suffices.
        is_left_alone(part)
            || part.media_types().iter().any(|media_type| {
                media_type.starts_with("message/")
                    || media_type.starts_with("application/pkcs7-")
                    || media_type.starts_with("application/x-pkcs7-")
                    || matches!(
                        media_type.as_str(),
                        "text/calendar"
                            | "application/ics"
                            | "application/ms-tnef"
                            | "application/vnd.ms-tnef"
                            | "application/pgp-signature"
                            | "application/pgp-keys"
                            | "application/pgp-encrypted"
                    )
            })
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let container = (self.container)(options);
        Ok(Box::new(PackPlugin(Collect::build(container, options)?)))
    }
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[derive(Debug)]
struct PackPlugin(Collect);

impl Plugin for PackPlugin {
    fn warnings(&self) -> Vec<OptionError> {
        self.0.warnings()
    }

    fn reads_recipients(&self) -> bool {
        self.0.reads_recipients()
    }

    fn forgets(&self) -> Forgets {
        Forgets {
            parts: self.0.is_secret(),
            ..Forgets::default()
        }
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(self.0.job(task))
    }
}
