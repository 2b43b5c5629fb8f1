//! Values of the file against their kinds: a right value becomes typed, a wrong one becomes a mistake with its place.
//!
//! Must never: stop at a mistake. A list with three wrong elements has three mistakes.

use std::ops::Range;

use std::path::Path;

use toml::de::DeValue;

use crate::near::nearest;
use crate::plugin::{Value, ValueKind};
use crate::rule::filter::parse_network;
use crate::settings::endpoint::{EndpointError, ListenAddress, NextHop, fits_a_socket};
use crate::settings::fingerprint::Fingerprint;
use crate::settings::given::Given;
use crate::settings::kind::value_help;
use crate::settings::trusted::{self, Entry};
use crate::settings::{Kind, LogTarget, Setting};
use crate::units::{parse_size, parse_time};

use super::files::{Use, first_bad_octet};
use super::node::{Node, article};
use super::read::Reader;

impl Reader<'_> {
    pub(super) fn default(&mut self, setting: &Setting) -> Option<Given> {
        let text = setting.default?;
        // Tests hold every default against its kind.
        let node = DeValue::parse(text).ok()?;
        self.setting(setting, &node)
    }

    // Longer than 80 lines: an arm for each kind of setting.
    pub(super) fn setting(&mut self, setting: &Setting, node: &Node<'_>) -> Option<Given> {
        match setting.kind {
            Kind::Plain(kind) => self.value(kind, node).map(Given::Plain),
            Kind::Size(low, high) => {
                let given = self.value(ValueKind::Size, node)?;
                let bounds =
                    Value::Size(parse_size(low).ok()?)..=Value::Size(parse_size(high).ok()?);
                self.bounded(given, bounds, (low, high), node)
            }
            Kind::Time(low, high) => {
                let given = self.value(ValueKind::Time, node)?;
                let bounds =
                    Value::Time(parse_time(low).ok()?)..=Value::Time(parse_time(high).ok()?);
                self.bounded(given, bounds, (low, high), node)
            }
            Kind::File => {
                let text = self.text(node, || value_help(ValueKind::TextFile).into())?;
                let text = self.file_name(text, node.span())?;
                Some(Given::File(self.directory.join(text)))
            }
            Kind::Socket => {
                let text = self.text(node, || setting.kind.help().into())?;
                let text = self.file_name(text, node.span())?;
                let path = self.directory.join(text);
                self.endpoint(fits_a_socket(&path).map(|()| path.clone()), node)
                    .map(Given::File)
            }
            Kind::Host => {
                let given = self.value(ValueKind::Line, node)?;
                if matches!(&given, Value::Text(text) if is_host_name(text)) {
                    return Some(Given::Plain(given));
                }
                self.complaints.error(
                    node.span(),
                    "not the name of a machine",
                    "such as \"mx.example.org\"",
                );
                None
            }
            Kind::Networks => self
                .each(node, setting.kind.help(), |text| {
                    parse_network(text).map_err(|help| ("not a network", help))
                })
                .map(Given::Networks),
            Kind::Trusted => self
                .each(node, setting.kind.help(), |text| match text.trim() {
                    trusted::UNIX => Ok(Entry::Unix),
                    _ => parse_network(text)
                        .map(Entry::Network)
                        .map_err(|help| ("not a network", format!("{help}, or \"unix\""))),
                })
                .map(|entries| Given::Trusted(entries.into_iter().collect())),
            Kind::Fingerprints => self.fingerprints(node).map(Given::Fingerprints),
            Kind::NextHop => {
                let text = self.text(node, || format!("write {}", setting.kind.help()))?;
                self.endpoint(NextHop::parse(text), node)
                    .map(Given::NextHop)
            }
            Kind::Address => {
                let text = self.text(node, || format!("write {}", setting.kind.help()))?;
                self.endpoint(ListenAddress::parse(text), node)
                    .map(Given::Address)
            }
            Kind::LogTarget => {
                let text = self.text(node, || setting.kind.help().into())?;
                let target = LogTarget::parse(text, self.directory);
                if target.is_none() {
                    self.complaints
                        .error(node.span(), "unknown target", setting.kind.help());
                }
                target.map(Given::LogTarget)
            }
            Kind::Rules | Kind::Banks => self.value(ValueKind::Lines, node).map(Given::Plain),
            Kind::Plugin => self
                .text(node, || setting.kind.help().into())
                .map(|text| Given::Plain(Value::Text(text.into()))),
            Kind::Filters | Kind::Options | Kind::Texts => match node.get_ref() {
                DeValue::Table(_) => Some(Given::Table),
                other => {
                    self.complaints.error(
                        node.span(),
                        format!("expected a table, found {}", article(other)),
                        setting.kind.help(),
                    );
                    None
                }
            },
        }
    }

    /// One value of a kind that settings and options share.
    pub(super) fn value(&mut self, kind: ValueKind, node: &Node<'_>) -> Option<Value> {
        let help = value_help(kind);
        match kind {
            ValueKind::Bool => match node.get_ref() {
                DeValue::Boolean(truth) => Some(Value::Bool(*truth)),
                other => self.wrong_type("true or false", other, node, help),
            },
            ValueKind::Integer(low, high) => match node.get_ref() {
                DeValue::Integer(integer) => {
                    match i64::from_str_radix(integer.as_str(), integer.radix()) {
                        Ok(number) if (low..=high).contains(&number) => {
                            Some(Value::Integer(number))
                        }
                        _ => {
                            self.complaints.error(
                                node.span(),
                                "out of range",
                                format!("a number from {low} to {high}"),
                            );
                            None
                        }
                    }
                }
                other => self.wrong_type("a whole number", other, node, help),
            },
            ValueKind::Size => {
                let text = self.unit_text("a size", node, "", help)?;
                self.understood(parse_size(text).map(Value::Size), "not a size", node)
            }
            ValueKind::Time => {
                let text = self.unit_text("a time", node, "s", help)?;
                self.understood(parse_time(text).map(Value::Time), "not a time", node)
            }
            ValueKind::Line => {
                let text = self.text(node, || help.into())?;
                if let Some(message) = no_line(text) {
                    self.complaints
                        .error(node.span(), message, "one line of printable text");
                    return None;
                }
                Some(Value::Text(text.into()))
            }
            ValueKind::Text => self
                .text(node, || help.into())
                .map(|text| Value::Text(text.into())),
            ValueKind::TextFile => self.text_file(node),
            ValueKind::SecretFile => self.secret_file(node).map(Value::Secret),
            ValueKind::Word(words) => {
                let text = self.text(node, || format!("write one of {}", quoted(words)))?;
                self.word(text, words, node.span())
                    .map(|word| Value::Text(word.into()))
            }
            ValueKind::Words(words) => self.words(node, words, help).map(Value::List),
            ValueKind::Directory => {
                let text = self.text(node, || help.into())?;
                if text.trim().is_empty() || text.chars().any(char::is_control) {
                    self.complaints
                        .error(node.span(), "not the name of a directory", help);
                    return None;
                }
                Some(Value::Directory(self.directory.join(text)))
            }
            ValueKind::Files => self.named_files(node, help).map(Value::Files),
            ValueKind::PublicKeys => self.public_keys(node, help).map(Value::Files),
            ValueKind::Lines => self.lines(node, help).map(Value::List),
            ValueKind::Domains => self.domain_names(node, help).map(Value::List),
            ValueKind::Table => self.of_names(node, help).map(Value::Table),
            ValueKind::KeyFiles => self.key_files(node, help).map(Value::Keys),
            ValueKind::KeyTree => self.key_tree(node).map(Value::Keys),
        }
    }

    fn words(
        &mut self,
        node: &Node<'_>,
        words: &'static [&'static str],
        help: &str,
    ) -> Option<Vec<String>> {
        let texts = self.texts(node, help)?;
        let found: Vec<Option<String>> = texts
            .into_iter()
            .map(|(text, span)| self.word(text, words, span).map(String::from))
            .collect();
        found.into_iter().collect()
    }

    /// The contents of files, each with its name.
    fn named_files(&mut self, node: &Node<'_>, help: &str) -> Option<Vec<(String, Vec<u8>)>> {
        let texts = self.texts(node, help)?;
        let files: Vec<Option<(String, Vec<u8>)>> = texts
            .into_iter()
            .map(|(text, span)| {
                let path = Path::new(self.file_name(text, span.clone())?);
                let name = path.file_name()?.to_str()?.to_string();
                Some((name, self.octets_of(path, Use::Configuration, span)?))
            })
            .collect();
        files.into_iter().collect()
    }

    /// The lines of a table, each with its name, in the order of the file.
    pub(super) fn of_names(
        &mut self,
        node: &Node<'_>,
        help: &str,
    ) -> Option<Vec<(String, String)>> {
        let DeValue::Table(table) = node.get_ref() else {
            return self.wrong_type("a table", node.get_ref(), node, help);
        };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut lines = Vec::new();
        let mut wrong = false;
        for (key, node) in entries {
            let name = key.get_ref().to_string();
            match self.lines(node, help) {
                Some(of_name) => {
                    lines.extend(of_name.into_iter().map(|line| (name.clone(), line)));
                }
                None => wrong = true,
            }
        }
        (!wrong).then_some(lines)
    }

    /// Each text of a list, understood or complained about.
    fn each<T>(
        &mut self,
        node: &Node<'_>,
        help: &str,
        understand: impl Fn(&str) -> Result<T, (&'static str, String)>,
    ) -> Option<Vec<T>> {
        let texts = self.texts(node, help)?;
        self.wide_networks(node);
        let mut found = Vec::new();
        let mut wrong = false;
        for (text, span) in texts {
            match understand(text) {
                Ok(one) => found.push(one),
                Err((message, help)) => {
                    self.complaints.error(span, message, help);
                    wrong = true;
                }
            }
        }
        (!wrong).then_some(found)
    }

    fn fingerprints(&mut self, node: &Node<'_>) -> Option<Vec<Fingerprint>> {
        // A control character is a mistake of its own.
        self.lines(node, value_help(ValueKind::Lines))?;
        let found = self.each(node, "", |text| {
            let help = "64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256 -in FILE` shows them after the =";
            Fingerprint::parse(text).ok_or(("not the SHA-256 of a certificate", help.into()))
        })?;
        if found.is_empty() {
            self.complaints.error(
                node.span(),
                "no certificate is named",
                "leave tls_fingerprint out, or write the SHA-256 of the next hop's certificate",
            );
            return None;
        }
        Some(found)
    }

    fn lines(&mut self, node: &Node<'_>, help: &str) -> Option<Vec<String>> {
        let texts = self.texts(node, help)?;
        let mut lines = Vec::new();
        let mut wrong = false;
        for (text, span) in texts {
            if let Some(message) = no_line(text) {
                self.complaints
                    .error(span, message, "one line of printable text");
                wrong = true;
            }
            lines.push(text.to_string());
        }
        (!wrong).then_some(lines)
    }

    /// A text, or a list of texts, each with its place.
    pub(super) fn texts<'t>(
        &mut self,
        node: &'t Node<'_>,
        help: &str,
    ) -> Option<Vec<(&'t str, Range<usize>)>> {
        match node.get_ref() {
            DeValue::String(text) => Some(vec![(text.as_ref(), node.span())]),
            DeValue::Array(array) => {
                let mut texts = Vec::new();
                let mut wrong = false;
                for element in array {
                    match element.get_ref() {
                        DeValue::String(text) => texts.push((text.as_ref(), element.span())),
                        other => {
                            self.complaints.error(
                                element.span(),
                                format!("expected a text, found {}", article(other)),
                                help,
                            );
                            wrong = true;
                        }
                    }
                }
                (!wrong).then_some(texts)
            }
            other => {
                self.complaints.error(
                    node.span(),
                    format!(
                        "expected a text or a list of texts, found {}",
                        article(other)
                    ),
                    help,
                );
                None
            }
        }
    }

    pub(super) fn text<'t>(
        &mut self,
        node: &'t Node<'_>,
        help: impl Fn() -> String,
    ) -> Option<&'t str> {
        match node.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            other => {
                self.complaints.error(
                    node.span(),
                    format!("expected a text, found {}", article(other)),
                    help(),
                );
                None
            }
        }
    }

    /// The text of a size or a time. A bare number is the commonest mistake, so the help completes it.
    fn unit_text<'t>(
        &mut self,
        what: &str,
        node: &'t Node<'_>,
        unit: &str,
        help: &str,
    ) -> Option<&'t str> {
        match node.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            DeValue::Integer(number) => {
                // The number may be octets: a unit behind it would make another of it.
                let help = match unit {
                    "" => format!(
                        "octets are written in quotes: \"{number}\"; there are units as well, such as \"64K\""
                    ),
                    unit => format!("a number needs quotes and a unit, such as \"{number}{unit}\""),
                };
                self.complaints.error(
                    node.span(),
                    format!("expected {what}, found an integer"),
                    help,
                );
                None
            }
            other => {
                self.complaints.error(
                    node.span(),
                    format!("expected {what}, found {}", article(other)),
                    help,
                );
                None
            }
        }
    }

    pub(super) fn file_name<'t>(&mut self, text: &'t str, span: Range<usize>) -> Option<&'t str> {
        if text.is_empty() || text.contains('\0') || Path::new(text).file_name().is_none() {
            let help = value_help(ValueKind::TextFile);
            self.complaints.error(span, "not the name of a file", help);
            return None;
        }
        Some(text)
    }

    /// The content of a file; `path` may be relative to the configuration.
    pub(super) fn octets_of(
        &mut self,
        path: &Path,
        what: Use,
        span: Range<usize>,
    ) -> Option<Vec<u8>> {
        let path = self.directory.join(path);
        match self.files.read(&path, what) {
            Ok(octets) => Some(octets),
            Err(unreadable) => {
                self.complaints
                    .error(span, unreadable.message, unreadable.help);
                None
            }
        }
    }

    /// The content of a file, without the byte order mark that editors for Windows put before it.
    fn text_file(&mut self, node: &Node<'_>) -> Option<Value> {
        let text = self.text(node, || value_help(ValueKind::TextFile).into())?;
        let path = Path::new(self.file_name(text, node.span())?);
        let octets = self.octets_of(path, Use::Configuration, node.span())?;
        let path = self.directory.join(path);
        let bad = first_bad_octet(&octets);
        match String::from_utf8(octets) {
            Ok(text) if bad.is_none() => Some(Value::File {
                path: path.display().to_string(),
                text: text
                    .strip_prefix('\u{feff}')
                    .map(String::from)
                    .unwrap_or(text),
            }),
            _ => {
                let (line, column, octet) = bad.unwrap_or_default();
                let message = format!(
                    "{}:{line}:{column}: this is not UTF-8: octet 0x{octet:02x}",
                    path.display()
                );
                self.complaints
                    .error(node.span(), message, "save the file as UTF-8");
                None
            }
        }
    }

    fn word(
        &mut self,
        text: &str,
        words: &'static [&'static str],
        span: Range<usize>,
    ) -> Option<&'static str> {
        let found = words.iter().find(|word| **word == text);
        if found.is_none() {
            let help = match nearest(text, words.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write one of {}", quoted(words)),
            };
            self.complaints
                .error(span, format!("\"{text}\" is not known here"), help);
        }
        found.copied()
    }

    fn bounded(
        &mut self,
        given: Value,
        bounds: std::ops::RangeInclusive<Value>,
        (low, high): (&str, &str),
        node: &Node<'_>,
    ) -> Option<Given> {
        let number = |value: &Value| match value {
            Value::Size(number) | Value::Time(number) => *number,
            _ => 0,
        };
        if (number(bounds.start())..=number(bounds.end())).contains(&number(&given)) {
            return Some(Given::Plain(given));
        }
        self.complaints.error(
            node.span(),
            "out of range",
            format!("from \"{low}\" to \"{high}\""),
        );
        None
    }

    fn endpoint<T>(&mut self, parsed: Result<T, EndpointError>, node: &Node<'_>) -> Option<T> {
        parsed
            .map_err(|error| {
                self.complaints
                    .error(node.span(), error.message, error.help)
            })
            .ok()
    }

    fn understood(
        &mut self,
        parsed: Result<Value, String>,
        message: &str,
        node: &Node<'_>,
    ) -> Option<Value> {
        parsed
            .map_err(|help| self.complaints.error(node.span(), message, help))
            .ok()
    }

    fn wrong_type<T>(
        &mut self,
        expected: &str,
        found: &DeValue<'_>,
        node: &Node<'_>,
        help: &str,
    ) -> Option<T> {
        self.complaints.error(
            node.span(),
            format!("expected {expected}, found {}", article(found)),
            help,
        );
        None
    }
}

/// A name for EHLO and Received (RFC 5321 section 4.1.2: a domain or an address literal).
fn is_host_name(text: &str) -> bool {
    let letters = |octet: u8| {
        octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    !text.is_empty() && text.len() <= 255 && text.bytes().all(letters)
}

/// Why a text is no line.
pub(super) fn no_line(text: &str) -> Option<&'static str> {
    if text.contains(['\n', '\r']) {
        Some("a line break is not allowed here")
    } else if text.chars().any(char::is_control) {
        Some("a control character is not allowed here")
    } else {
        None
    }
}

fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::diag::Complaints;
    use super::super::syntax::check;
    use super::*;
    use crate::registry::Registry;
    use crate::settings::SETTINGS;

    #[test]
    fn every_default_is_of_its_kind_and_within_its_bounds() {
        let syntax = check("", &mut Complaints::default());
        let mut reader = Reader {
            complaints: Complaints::default(),
            registry: Registry(&[]),
            syntax: &syntax,
            directory: Path::new("/etc/mimicry"),
            files: &super::super::files::Given(&|_| Err(std::io::ErrorKind::NotFound.into())),
            directories: Vec::new(),
            named: Vec::new(),
            books: crate::rule::filter::Books::default(),
        };
        for setting in SETTINGS.iter() {
            let given = reader.default(setting);
            assert_eq!(
                given.is_some(),
                setting.default.is_some(),
                "{}.{}",
                setting.table,
                setting.name
            );
        }
        assert_eq!(reader.complaints.list, []);
    }
}
