//! DescribeImages: gives images without a description one.
//!
//! Must never: touch a description that is there.

use mimicry_core::message::PartId;
use mimicry_core::message::edit::{Content, EditSet};
use mimicry_core::plugin::{
    DefaultParts, Fault, Finish, Job, OptionError, OptionSpec,
    Options, Plugin, PluginKind, Scope, Task, ValueKind, Verdict,
};
use mimicry_core::reason::Reason;

/// The kind.
#[derive(Debug)]
pub struct DescribeImages;

impl PluginKind for DescribeImages {
    fn name(&self) -> &'static str {
        "describe_images"
    }

    fn summary(&self) -> &'static str {
        "gives images without a description one"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[OptionSpec {
            name: "text",
            value: ValueKind::Line,
            default: Some("\"an image\""),
            doc: "The description.",
        }]
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Attachments
    }

    fn build(
        &self,
        options: &Options,
    ) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let text = options.text("text").unwrap_or_default();
        if text.is_empty() {
            return Err(vec![OptionError {
                option: "text",
                message: "the description is empty".into(),
                help: None,
            }]);
        }
        Ok(Box::new(DescribeImagesPlugin {
            text: text.to_string(),
        }))
    }
}

#[derive(Debug)]
struct DescribeImagesPlugin {
    text: String,
}

impl Plugin for DescribeImagesPlugin {
    fn begin<'a>(&'a self, _task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(DescribeImagesJob {
            plugin: self,
            images: Vec::new(),
        })
    }
}

struct DescribeImagesJob<'a> {
    plugin: &'a DescribeImagesPlugin,
    images: Vec<PartId>,
}

impl Job for DescribeImagesJob<'_> {
    fn part(
        &mut self,
        part: PartId,
        now: &Content<'_>,
    ) -> Result<Verdict, Fault> {
        if !now.media_type().starts_with("image/") {
            return Ok(Verdict::Keep(Reason::BelowThreshold));
        }
        if now.field("content-description").is_some() {
            return Ok(Verdict::Keep(Reason::Duplicate));
        }
        self.images.push(part);
        Ok(Verdict::Later)
    }

    fn finish(
        self: Box<Self>,
        edits: &mut EditSet<'_>,
    ) -> Result<Finish, Fault> {
        for part in &self.images {
            edits.set_field(*part, "Content-Description", &self.plugin.text)?;
        }
        Ok(Finish {
            edited: self.images,
            ..Finish::default()
        })
    }
}
