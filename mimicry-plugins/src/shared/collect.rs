//! Many parts → one archive part: what Zip and its relatives have in common beside the container.
//!
//! A job first looks (thresholds, exclusions, broken codings), then streams each part through its decoder into the
//! bundle, so that no more than one part's chunk is held decoded. Nothing is changed unless the mail becomes smaller
//! on the wire by what `min_saving` asks.
//!
//! Must never: move a part that does not decode, or leave a mail larger than it was.

use std::io;

use mimicry_core::mail::Mail;
use mimicry_core::message::compose::NewPart;
use mimicry_core::message::edit::{Content, EditSet};
use mimicry_core::message::{Part, PartId, codec};
use mimicry_core::plugin::{
    Fault, Finish, Job, OptionError, OptionSpec, Options, Task, ValueKind, Verdict,
};
use mimicry_core::rule::Reason;
use mimicry_core::units::show_size;

use super::bundle::{Bundle, Container, Error, Timestamp};
use super::names::Names;
use super::sniff;

pub const MIN_TOTAL: OptionSpec = OptionSpec {
    name: "min_total",
    value: ValueKind::Size,
    default: Some("\"0\""),
    doc: "The decoded size that all parts taken must have together.",
};

pub const MIN_PARTS: OptionSpec = OptionSpec {
    name: "min_parts",
    value: ValueKind::Integer(1, 10_000),
    default: Some("1"),
    doc: "How many parts there must be to take.",
};

pub const MIN_PART: OptionSpec = OptionSpec {
    name: "min_part",
    value: ValueKind::Size,
    default: Some("\"0\""),
    doc: "Parts of a smaller decoded size are not taken.",
};

pub const MIN_SAVING: OptionSpec = OptionSpec {
    name: "min_saving",
    value: ValueKind::Integer(0, 100),
    default: Some("0"),
    doc: "By how many percent the parts must become smaller on the wire, transfer encodings included; with 0 they only must not become larger.",
};

pub const EXCLUDE: OptionSpec = OptionSpec {
    name: "exclude",
    value: ValueKind::Lines,
    default: None,
    doc: "Media types (\"image/*\", \"application/pdf\") and file name extensions (\".pdf\") that are not taken.",
};

pub const SKIP_COMPRESSED: OptionSpec = OptionSpec {
    name: "skip_compressed",
    value: ValueKind::Bool,
    default: Some("true"),
    doc: "Content that is compressed already, by its first octets or else by its name, is stored in the archive and not compressed again.",
};

pub const PLACEMENT: OptionSpec = OptionSpec {
    name: "placement",
    value: ValueKind::Word(&["first", "end"]),
    default: Some("\"first\""),
    doc: "Where the archive goes: where the first of the parts stood, or at the end of the mail.",
};

/// Attachments that a rule without part filters leaves alone: a calendar is an answer form, a key or a signature is
/// for programs, a forwarded mail is opened as a mail.
pub fn declines(mail: &Mail, part: PartId) -> bool {
    let Some(part) = mail.message.part(part) else {
        return true;
    };
    let media_type = part.media_type();
    media_type.starts_with("message/")
        || media_type.starts_with("application/pkcs7-")
        || media_type.starts_with("application/x-pkcs7-")
        || matches!(
            media_type,
            "text/calendar"
                | "application/ics"
                | "application/pgp-signature"
                | "application/pgp-keys"
                | "application/pgp-encrypted"
        )
}

/// What a new multipart around the mail costs, in octets: its fields and three delimiters, somewhat rounded up.
const WRAPPING: usize = 256;

/// The options that all containers share.
#[derive(Debug)]
pub struct Collect {
    name: String,
    min_total: u64,
    min_parts: usize,
    min_part: u64,
    min_saving: u64,
    exclude: Vec<Exclude>,
    skip_compressed: bool,
    at_end: bool,
}

#[derive(Debug)]
enum Exclude {
    /// With `/*` cut off at the slash, the slash included.
    AllOf(String),
    Type(String),
    /// In lower case, with its dot.
    Extension(String),
}

impl Collect {
    pub fn build(options: &Options) -> Result<Collect, Vec<OptionError>> {
        let mut errors = Vec::new();
        let name = options.text("name").unwrap_or_default().to_string();
        if name.trim().is_empty()
            || name.contains(['/', '\\'])
            || name.chars().any(char::is_control)
        {
            errors.push(OptionError {
                option: "name",
                message: "the archive needs a file name without directories".into(),
                help: None,
            });
        }
        let mut exclude = Vec::new();
        for word in options.list("exclude") {
            let lower = word.trim().to_lowercase();
            exclude.push(match (lower.strip_suffix('*'), lower.starts_with('.')) {
                (Some(prefix), _) if prefix.ends_with('/') && prefix.len() > 1 => {
                    Exclude::AllOf(prefix.to_string())
                }
                (None, true) if lower.len() > 1 => Exclude::Extension(lower),
                (None, false) if lower.split('/').filter(|word| !word.is_empty()).count() == 2 => {
                    Exclude::Type(lower)
                }
                _ => {
                    errors.push(OptionError {
                        option: "exclude",
                        message: format!("\"{word}\" is neither a media type nor an extension"),
                        help: Some("write \"image/*\", \"application/pdf\" or \".pdf\"".into()),
                    });
                    continue;
                }
            });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let number = |name: &str| {
            options
                .integer(name)
                .and_then(|number| u64::try_from(number).ok())
                .unwrap_or(0)
        };
        Ok(Collect {
            name,
            min_total: options.size("min_total").unwrap_or(0),
            min_parts: usize::try_from(number("min_parts")).unwrap_or(1).max(1),
            min_part: options.size("min_part").unwrap_or(0),
            min_saving: number("min_saving"),
            exclude,
            skip_compressed: options.bool("skip_compressed"),
            at_end: options.text("placement") == Some("end"),
        })
    }

    pub fn job<'a>(&'a self, container: &'a dyn Container, task: Task<'a>) -> CollectJob<'a> {
        CollectJob {
            collect: self,
            container,
            task,
            members: Vec::new(),
            total: 0,
        }
    }

    fn excludes(&self, media_type: &str, filename: Option<&str>) -> bool {
        let filename = filename.map(str::to_lowercase);
        self.exclude.iter().any(|exclude| match exclude {
            Exclude::AllOf(prefix) => media_type.starts_with(prefix),
            Exclude::Type(wanted) => media_type == wanted,
            Exclude::Extension(wanted) => {
                filename.as_ref().is_some_and(|name| name.ends_with(wanted))
            }
        })
    }
}

/// One rule at work on one mail.
pub struct CollectJob<'a> {
    collect: &'a Collect,
    container: &'a dyn Container,
    task: Task<'a>,
    members: Vec<PartId>,
    /// Decoded octets of all members.
    total: u64,
}

impl Job for CollectJob<'_> {
    fn part(&mut self, part: PartId, now: &Content<'_>) -> Result<Verdict, Fault> {
        if self
            .collect
            .excludes(now.media_type(), now.part().filename().as_deref())
        {
            return Ok(Verdict::Keep(Reason::BelowThreshold));
        }
        if now.part().is_multipart() {
            return Ok(Verdict::Keep(Reason::Malformed));
        }
        let Ok(size) = codec::decoded_len(now.encoding(), now.body()) else {
            return Ok(Verdict::Keep(Reason::Malformed));
        };
        if size < self.collect.min_part {
            return Ok(Verdict::Keep(Reason::BelowThreshold));
        }
        self.total = self.total.saturating_add(size);
        self.members.push(part);
        Ok(Verdict::Take)
    }

    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let unchanged = |members: Vec<PartId>, reason: Option<Reason>| Finish {
            released: members,
            reason,
            ..Finish::default()
        };
        let collect = self.collect;
        let Some(first) = self.members.first().copied() else {
            // The verdicts on the parts say why; without any part there was nothing to take.
            let reason = self.task.parts.is_empty().then_some(Reason::BelowThreshold);
            return Ok(unchanged(self.members, reason));
        };
        if self.members.len() < collect.min_parts || self.total < collect.min_total {
            return Ok(unchanged(self.members, Some(Reason::BelowThreshold)));
        }
        let mut wire_before = 0usize;
        for part in &self.members {
            let content = edits.content(*part)?;
            wire_before = wire_before
                .saturating_add(header_len(content.part()))
                .saturating_add(content.body().len());
        }
        let message = edits.message();
        // Where nothing else is left, the end is where the first part stood, and no multipart may be left empty.
        let others = message
            .leaves()
            .filter(|part| !edits.is_gone(part.id()))
            .count()
            .saturating_sub(self.members.len());
        let at_end = collect.at_end && first != PartId::ROOT && others > 0;
        let around = if at_end && message.root().media_type() != "multipart/mixed" {
            WRAPPING
        } else {
            0
        };
        // What the parts may become at most; base64 makes 78 octets of 57.
        let percent = 100u64.saturating_sub(collect.min_saving);
        let wire_most = usize::try_from((wire_before as u64).saturating_mul(percent) / 100)
            .unwrap_or(usize::MAX);
        let limit = wire_most.saturating_sub(around).saturating_mul(57) / 78;
        let archive = match self.archive(edits, limit)? {
            Some(archive) => archive,
            None => return Ok(unchanged(self.members, Some(Reason::NoSaving))),
        };
        let newline = edits.message().newline();
        let new = NewPart::attachment(
            self.container.media_type(),
            &collect.name,
            &archive,
            newline,
        );
        if new.wire_len().saturating_add(around) > wire_most {
            return Ok(unchanged(self.members, Some(Reason::NoSaving)));
        }
        let notes = vec![format!(
            "{} {} of {} in {} of {}",
            self.members.len(),
            if self.members.len() == 1 {
                "part"
            } else {
                "parts"
            },
            show_size(self.total),
            collect.name,
            show_size(archive.len() as u64),
        )];
        if first == PartId::ROOT {
            edits.replace_part(first, new)?;
        } else if at_end {
            edits.attach(new)?;
        } else {
            edits.insert_before(first, new)?;
        }
        Ok(Finish {
            taken: self.members,
            notes,
            ..Finish::default()
        })
    }
}

impl CollectJob<'_> {
    /// Streams all members into an archive; `None` = it would be larger than `limit` octets.
    fn archive(&self, edits: &EditSet<'_>, limit: usize) -> Result<Option<Vec<u8>>, Fault> {
        let mtime = timestamp(self.task.mail);
        let mut names = Names::new();
        let mut bundle = Bundle::new(self.container, limit);
        for part in &self.members {
            let content = edits.content(*part)?;
            let (encoding, body) = (content.encoding(), content.body());
            let filename = content.part().filename();
            let name = names.member(
                filename.as_deref(),
                &content.part().section_text(),
                content.media_type(),
            );
            let store = self.collect.skip_compressed
                && sniff::already_compressed(
                    &head(encoding, body),
                    filename.as_deref(),
                    content.media_type(),
                );
            let added = bundle.add(&name, store, mtime, &mut |out| {
                codec::decode_into(encoding, body, out).map(|_| ())
            });
            match added {
                Ok(()) => {}
                Err(Error::Limit(_)) => return Ok(None),
                Err(error) => return Err(Fault::Permanent(error.to_string())),
            }
        }
        match bundle.finish() {
            Ok(archive) => Ok(Some(archive)),
            Err(Error::Limit(_)) => Ok(None),
            Err(error) => Err(Fault::Permanent(error.to_string())),
        }
    }
}

/// Octets of a part's header; of the root only those that describe the content, since the others stay.
fn header_len(part: Part<'_>) -> usize {
    if !part.is_root() {
        return part.header().len();
    }
    let describes = |name: &[u8]| {
        name.get(..8)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
    };
    part.fields()
        .filter(|field| describes(field.name()))
        .map(|field| field.raw().len())
        .sum()
}

/// The first decoded octets, as far as they decode.
fn head(encoding: codec::Encoding, body: &[u8]) -> Vec<u8> {
    /// Takes what fits and then refuses, which ends the decoding.
    struct Head(Vec<u8>);

    impl io::Write for Head {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let room = sniff::HEAD_OCTETS.saturating_sub(self.0.len());
            let taken = octets.get(..room).unwrap_or(octets);
            self.0.extend_from_slice(taken);
            // 0 octets written is an error to `write_all`.
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut head = Head(Vec::with_capacity(sniff::HEAD_OCTETS));
    // The error is the refusal; broken codings were sorted out before.
    let _ = codec::decode_into(encoding, body, &mut head);
    head.0
}

/// The wall clock time of the Date header, as its sender saw it.
fn timestamp(mail: &Mail) -> Timestamp {
    let date = mail
        .message
        .root()
        .field("date")
        .map(|field| field.decoded());
    let parsed = date.and_then(|date| jiff::fmt::rfc2822::parse(date.trim()).ok());
    parsed.map_or_else(Timestamp::default, |zoned| {
        let time = zoned.datetime();
        Timestamp {
            year: u16::try_from(time.year()).unwrap_or(1980),
            month: time.month().unsigned_abs(),
            day: time.day().unsigned_abs(),
            hour: time.hour().unsigned_abs(),
            minute: time.minute().unsigned_abs(),
            second: time.second().unsigned_abs(),
        }
    })
}
