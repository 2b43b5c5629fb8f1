//! Zip: the parts that a rule takes go into one zip archive.
//!
//! All of the work is the bundle's; this file says what is particular about zip. Must never: encrypt with the old
//! cipher of zip, or write a time or an owner that is not the mail's.

use mimicry_core::mail::Mail;
use mimicry_core::message::PartId;
use mimicry_core::plugin::{
    BulkExemption, DefaultParts, Job, OptionError, OptionSpec, Options, Plugin, PluginKind, Scope,
    Task, ValueKind,
};

use crate::shared::bundle;
use crate::shared::collect::{self, Collect};

/// The kind.
#[derive(Debug)]
pub struct Zip;

impl PluginKind for Zip {
    fn name(&self) -> &'static str {
        "zip"
    }

    fn summary(&self) -> &'static str {
        "puts the parts into one zip archive"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                OptionSpec {
                    name: "name",
                    value: ValueKind::Line,
                    default: Some("\"attachments.zip\""),
                    doc: "The file name of the archive.",
                },
                collect::MIN_TOTAL,
                collect::MIN_PARTS,
                collect::MIN_PART,
                collect::MIN_SAVING,
                OptionSpec {
                    name: "level",
                    value: ValueKind::Integer(0, 9),
                    default: Some("6"),
                    doc: "How hard to compress: 0 stores, 9 takes the most time.",
                },
                collect::EXCLUDE,
                collect::SKIP_COMPRESSED,
                collect::PLACEMENT,
            ]
        }
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

    fn declines(&self, mail: &Mail, part: PartId) -> bool {
        collect::declines(mail, part)
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let level = options
            .integer("level")
            .and_then(|level| u8::try_from(level).ok())
            .unwrap_or(6);
        Ok(Box::new(ZipPlugin {
            container: bundle::Zip { level },
            collect: Collect::build(options)?,
        }))
    }
}

#[derive(Debug)]
struct ZipPlugin {
    container: bundle::Zip,
    collect: Collect,
}

impl Plugin for ZipPlugin {
    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(self.collect.job(&self.container, task))
    }
}
