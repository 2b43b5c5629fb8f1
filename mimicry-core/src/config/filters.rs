//! Filters from the tables `match`, `unless` and `when`.
//!
//! Must never: stop at a mistake, or know what a plugin does with them.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::config::around::Surroundings;
use crate::config::lint;
use crate::config::node::{Node, article};
use crate::config::read::Reader;
use crate::config::section::Section;
use crate::near::{did_you_mean, nearest};
use crate::plugin::{DefaultParts, PluginKind};
use crate::rule::Filters;
use crate::rule::filter::{
    FILTERS, Filter, FilterError, FilterSpec, Level, Operand, Raw, wider_than_written,
};

/// A filter as the file says it, to find what is said twice.
pub(super) struct Said<'t> {
    pub(super) key: String,
    pub(super) raw: Raw<'t>,
    pub(super) span: Range<usize>,
}

impl Said<'_> {
    /// Does it hold wherever another one does, as far as the values show.
    pub(super) fn covers(&self, other: &Said<'_>) -> bool {
        let is_below = |name: &str, domain: &str| {
            let domain = domain.trim().to_lowercase();
            let below = domain.strip_prefix('.').unwrap_or_default();
            let name = name.trim().to_lowercase();
            !below.is_empty() && (name == below || name.ends_with(&domain))
        };
        let covers = |one: &str, other: &str| {
            one == other || (self.key.ends_with("_domain") && is_below(other, one))
        };
        self.key == other.key
            && match (&self.raw, &other.raw) {
                (Raw::Texts(ours), Raw::Texts(others)) => others
                    .iter()
                    .all(|other| ours.iter().any(|one| covers(one, other))),
                (Raw::Bools(ours), Raw::Bools(others)) => {
                    others.iter().all(|other| ours.contains(other))
                }
                _ => false,
            }
    }

    /// Its values, each with the name of the filter.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let texts = match &self.raw {
            Raw::Texts(texts) => texts.as_slice(),
            Raw::Bools(_) => &[],
        };
        texts.iter().map(|text| (self.key.as_str(), *text))
    }

    /// Does it hold for every mail.
    pub(super) fn is_always(&self) -> bool {
        match &self.raw {
            Raw::Bools(truths) => truths.contains(&true) && truths.contains(&false),
            Raw::Texts(texts) => {
                matches!(self.key.as_str(), "sender" | "recipient")
                    && texts
                        .iter()
                        .any(|text| !text.is_empty() && lint::holds_always(text))
            }
        }
    }
}

/// Whose filters they are, which decides what may stand among them.
#[derive(Clone, Copy)]
pub(super) enum Whose<'k> {
    /// A rule's, with its plugin as far as it is known.
    Rule(Option<&'static dyn PluginKind>),
    /// A bank's: these keys and no others.
    Bank(&'k [&'k str]),
}

/// Builds the filters of `match`, `unless` or `when`; `keys` = the only ones that may stand there.
pub(super) fn filters<'t>(
    reader: &mut Reader<'_>,
    section: &'t Section<'_, '_>,
    table: &'static str,
    whose: Whose<'_>,
    around: &Surroundings<'_>,
) -> (Filters, Vec<Said<'t>>) {
    let mut filters = Filters::default();
    let mut said = Vec::new();
    let Some(DeValue::Table(node)) = section.node(table).map(Spanned::get_ref) else {
        return (filters, said);
    };
    for (key, key_span, node) in filter_keys(reader, node) {
        let Some(spec) = spec_of(reader, &key, &key_span, whose) else {
            continue;
        };
        let Some((raw, spans)) = raw(reader, spec.operand, node) else {
            continue;
        };
        if let (Operand::Domains, Raw::Texts(texts)) = (spec.operand, &raw)
            && !reader.domains(texts, &spans)
        {
            continue;
        }
        match Filter::new(&key, &raw, &mut reader.books) {
            Ok(filter) => {
                if let Filter::Listener(names) = &filter {
                    known_listeners(reader, names, &spans, around);
                }
                if let (Operand::Patterns, Raw::Texts(texts)) = (spec.operand, &raw) {
                    doubtful(reader, &key, texts, &spans);
                }
                if spec.operand == Operand::Networks {
                    reader.wide_networks(node);
                }
                if let Filter::MailSize(ranges) | Filter::PartSize(ranges) = &filter {
                    boundless(reader, ranges, &key_span);
                }
                filters.push(filter);
            }
            Err(error) => refused(
                reader,
                (&key, &key_span),
                (spec.operand, &raw, &spans),
                error,
            ),
        }
        said.push(Said {
            key: key.to_lowercase(),
            raw,
            span: key_span,
        });
    }
    (filters, said)
}

/// The line of the table for a key that may stand there.
fn spec_of(
    reader: &mut Reader<'_>,
    key: &str,
    key_span: &Range<usize>,
    whose: Whose<'_>,
) -> Option<&'static FilterSpec> {
    if let Whose::Bank(keys) = whose
        && !keys.contains(&key)
    {
        let help = did_you_mean(key, keys, "these do");
        let message = format!("`{key}` does not select a bank");
        reader.complaints.error(key_span.clone(), message, help);
        return None;
    }
    let Some((spec, _)) = Filter::lookup(key) else {
        reader.complaints.error(
            key_span.clone(),
            format!("unknown filter `{key}`"),
            unknown_filter_help(key),
        );
        return None;
    };
    if let Whose::Rule(Some(kind)) = whose
        && spec.level == Level::Part
        && kind.default_parts() == DefaultParts::Mail
    {
        let message = format!("{} acts on the mail, `{key}` judges its parts", kind.name());
        let help = "use filters that judge the mail";
        reader.complaints.error(key_span.clone(), message, help);
        return None;
    }
    Some(spec)
}

/// Complains of a value that no filter can be built from.
fn refused(
    reader: &mut Reader<'_>,
    (key, key_span): (&str, &Range<usize>),
    (operand, raw, spans): (Operand, &Raw<'_>, &[Range<usize>]),
    error: FilterError,
) {
    // Without an index it is the name of the header field that is wrong.
    let span = error
        .index
        .and_then(|index| spans.get(index).cloned())
        .unwrap_or_else(|| key_span.clone());
    let advice = match (operand, raw, error.index) {
        (Operand::Patterns, Raw::Texts(texts), Some(index)) => {
            texts.get(index).and_then(|text| lint::remedy(key, text))
        }
        _ => None,
    };
    let (message, help) = match advice {
        Some(advice) => (advice.message, Some(advice.help)),
        None => (error.message, error.help),
    };
    let help = help.unwrap_or_else(|| match (operand, error.index) {
        (Operand::Patterns, Some(_)) => {
            "a character such as ( [ . + that means itself has a backslash before it".into()
        }
        (Operand::Patterns, None) => {
            "the name of a header field has neither spaces nor colons".into()
        }
        _ => String::new(),
    });
    reader.complaints.error(span, message, help);
}

/// Regexes that compile and do not say what was meant.
fn doubtful(reader: &mut Reader<'_>, key: &str, patterns: &[&str], spans: &[Range<usize>]) {
    for (pattern, span) in patterns.iter().zip(spans) {
        if let Some(advice) = lint::doubt(key, pattern) {
            reader
                .complaints
                .warning(span.clone(), advice.message, advice.help);
        }
    }
}

/// Ranges of a list that leave no size out: whoever writes the two ends of one range so gets every mail.
fn boundless(reader: &mut Reader<'_>, ranges: &[(u64, u64)], span: &Range<usize>) {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut next = Some(0_u64);
    for (low, high) in sorted {
        if next.is_some_and(|next| low <= next) {
            next = next.and_then(|next| Some(next.max(high.checked_add(1)?)));
        }
    }
    if ranges.len() > 1 && next.is_none() {
        reader.complaints.warning(
            span.clone(),
            "these ranges leave no size out: one of a list has to hold",
            "a size between two bounds is one range, such as \"1M..5M\"",
        );
    }
}

impl Reader<'_> {
    /// Warns of an address that is written with the mask of its network, which is read as all of that network.
    pub(super) fn wide_networks(&mut self, node: &Node<'_>) {
        let texts = match node.get_ref() {
            DeValue::Array(array) => array.iter().collect(),
            _ => vec![node],
        };
        for node in texts {
            let text = node.get_ref().as_str().unwrap_or_default();
            if let Some(network) = wider_than_written(text) {
                let address = text.split('/').next().unwrap_or_default();
                self.complaints.warning(
                    node.span(),
                    format!("this is all of the network {network}"),
                    format!("write \"{network}\", or \"{address}\" for this one address"),
                );
            }
        }
    }
}

/// The filters of a table in the order of the file, `header = { NAME = … }` taken apart.
fn filter_keys<'t, 'i>(
    reader: &mut Reader<'_>,
    table: &'t DeTable<'i>,
) -> Vec<(String, Range<usize>, &'t Node<'i>)> {
    let mut keys = Vec::new();
    for (key, node) in table {
        let name: &DeString<'_> = key.get_ref();
        if name != "header" {
            keys.push((name.to_string(), key.span(), node));
            continue;
        }
        match node.get_ref() {
            DeValue::Table(fields) => {
                for (field, node) in fields {
                    keys.push((format!("header.{}", field.get_ref()), field.span(), node));
                }
            }
            _ => reader.complaints.error(
                key.span(),
                "which header field?",
                "write the name after it, such as header.Subject",
            ),
        }
    }
    keys.sort_by_key(|(_, span, _)| span.start);
    keys
}

fn unknown_filter_help(key: &str) -> String {
    let mut known: Vec<&str> = FILTERS
        .iter()
        .map(|filter| filter.name)
        .filter(|name| *name != "header.")
        .collect();
    if let Some(near) = nearest(key, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    // What people know by the name of its field.
    match key.to_ascii_lowercase().as_str() {
        "from" => return "did you mean `header_sender`, or `sender` for the envelope?".into(),
        "to" | "cc" => {
            return "did you mean `header_recipient`, or `recipient` for the envelope?".into();
        }
        "subject" | "message-id" | "list-id" | "reply-to" | "date" => {
            return format!("did you mean `header.{key}`?");
        }
        field if field.starts_with("x-") => return format!("did you mean `header.{key}`?"),
        _ => {}
    }
    known.push("header.NAME");
    format!("known filters: {}", known.join(", "))
}

/// The operand of a filter as the file has it, and the places of its texts.
fn raw<'t>(
    reader: &mut Reader<'_>,
    operand: Operand,
    node: &'t Node<'_>,
) -> Option<(Raw<'t>, Vec<Range<usize>>)> {
    if operand == Operand::Bool {
        return match truths(node.get_ref()) {
            Some(truths) => Some((Raw::Bools(truths), Vec::new())),
            None => {
                let other = node.get_ref();
                let message = format!("expected true or false, found {}", article(other));
                reader.complaints.error(
                    node.span(),
                    message,
                    "write true or false, without quotes",
                );
                None
            }
        };
    }
    let help = match operand {
        Operand::SizeRange => "write a range in quotes, such as \"> 1M\"",
        Operand::Positions => "write a position in quotes, such as \"body\" or \"1.2\"",
        Operand::Networks => "write a network in quotes, such as \"192.0.2.0/24\"",
        Operand::Names => "write a name in quotes, or a list of names",
        Operand::Domains => {
            "write a domain in quotes, or a list of domains, or \"file:domains.txt\""
        }
        Operand::Patterns | Operand::Bool => "write a regex in single quotes, or a list of them",
    };
    let texts = reader.texts(node, help)?;
    if texts.is_empty() {
        reader.complaints.error(
            node.span(),
            "an empty list never holds",
            "leave the filter out, or give it a value",
        );
        return None;
    }
    let (texts, spans) = texts.into_iter().unzip();
    Some((Raw::Texts(texts), spans))
}

/// One truth, or a list of them: `[true, false]` holds for every mail, which names a filter without choosing.
fn truths(value: &DeValue<'_>) -> Option<Vec<bool>> {
    match value {
        DeValue::Boolean(truth) => Some(vec![*truth]),
        DeValue::Array(list) if !list.is_empty() => {
            list.iter().map(|one| one.get_ref().as_bool()).collect()
        }
        _ => None,
    }
}

/// A filter on a listener that is not there never holds.
fn known_listeners(
    reader: &mut Reader<'_>,
    names: &[String],
    spans: &[Range<usize>],
    around: &Surroundings<'_>,
) {
    if around.listeners.is_empty() || reader.syntax.is_incomplete() {
        return;
    }
    let known: Vec<&str> = around.listeners.iter().map(String::as_str).collect();
    for (name, span) in names.iter().zip(spans) {
        if !known.contains(&name.as_str()) {
            reader.complaints.error(
                span.clone(),
                format!("there is no listener \"{name}\""),
                did_you_mean(name, &known, "the listeners are"),
            );
        }
    }
}
