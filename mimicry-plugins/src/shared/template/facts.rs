//! What templates can use of a mail: the names, and their values for one job.
//!
//! A value is made when the first template of the job asks for it, and once. An empty value counts as missing, except
//! for variables, because somebody wrote them like that.
//!
//! Must never: hand out anything of a recipient that is not of the job's class, or, unless the rule says `show_bcc`, of one
//! whom only the envelope names: that is what Bcc is (RFC 5322 section 3.6.3).
//!
//! Known limits: an address that is not UTF-8 is missing; a recipient whom the header names by another address, such as that of
//! a list, counts as not named.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::tz::Offset;
use jiff::{Timestamp, Zoned};
use mimicry_core::envelope::Path;
use mimicry_core::mail::{Addressees, Mail, Moment};
use mimicry_core::message::address::addresses;
use mimicry_core::message::{header, words};
use mimicry_core::plugin::Task;
use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};

use crate::shared::directory::Directory;

/// What stands after a name and a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fields {
    /// The name is a text.
    None,
    These(&'static [&'static str]),
    /// The name is a list.
    List,
    /// The names of header fields.
    Headers,
    Variables,
    Columns,
}

const ADDRESS: Fields = Fields::These(&["address", "local", "domain"]);

/// The name behind which people are who must not know of each other ([`super::Template::reads_recipients`]).
pub(super) const RECIPIENTS: &str = "recipients";

/// All names, in the order of the manual.
pub(super) const NAMES: &[(&str, Fields)] = &[
    ("sender", ADDRESS),
    (RECIPIENTS, Fields::List),
    ("header", Fields::Headers),
    (
        "header_sender",
        Fields::These(&["name", "address", "local", "domain"]),
    ),
    ("subject", Fields::None),
    ("date", Fields::None),
    ("client", Fields::None),
    ("listener", Fields::None),
    ("rule", Fields::None),
    ("var", Fields::Variables),
    ("person", Fields::Columns),
];

/// The facts of one job.
#[derive(Debug)]
pub struct Facts<'a> {
    task: Task<'a>,
    directory: Option<&'a Directory>,
    made: RefCell<BTreeMap<String, Value>>,
}

impl<'a> Facts<'a> {
    pub fn of(task: &Task<'a>, directory: Option<&'a Directory>) -> Facts<'a> {
        Facts {
            task: *task,
            directory,
            made: RefCell::default(),
        }
    }

    /// With a name that only this plugin's templates know (`Known::extra`).
    #[must_use]
    pub fn with(self, name: &str, text: &str) -> Facts<'a> {
        self.made
            .borrow_mut()
            .insert(name.to_string(), present(text).unwrap_or_default());
        self
    }

    /// The values of these names.
    pub(super) fn context<'n>(&self, names: impl Iterator<Item = &'n str>) -> Value {
        let mut made = self.made.borrow_mut();
        let table = names.map(|name| {
            let value = made
                .entry(name.to_string())
                .or_insert_with(|| self.value(name).unwrap_or_default());
            (name.to_string(), value.clone())
        });
        Value::from_object(Table(table.collect()))
    }

    fn value(&self, name: &str) -> Option<Value> {
        let Mail {
            origin,
            envelope,
            message,
            received,
        } = self.task.mail;
        match name {
            "sender" => Some(address(path(&envelope.sender)?, None)),
            RECIPIENTS => {
                let addressees = Addressees::of(message);
                let class = self.task.recipients.iter();
                let paths = class.filter_map(|index| Some(&envelope.recipients.get(*index)?.path));
                let shown = paths.filter(|path| self.task.show_bcc || addressees.hold(path));
                let list = shown
                    .filter_map(path)
                    .map(|path| address(path, None))
                    .collect();
                Some(Value::from_object(List(list)))
            }
            "header" => {
                let mut headers = Headers::default();
                for field in message.root().fields() {
                    let name = key(&String::from_utf8_lossy(field.name()));
                    if !name.is_empty() {
                        headers.0.entry(name).or_insert_with(|| Header {
                            raw: field.value().to_vec(),
                            decoded: OnceLock::new(),
                        });
                    }
                }
                Some(Value::from_object(headers))
            }
            "header_sender" => {
                let from = self.header_sender()?;
                Some(address(&from.addr, Some(&from.display)))
            }
            "subject" => present(&message.root().field("subject")?.decoded()),
            "date" => Date::of(*received).map(Value::from_object),
            "client" => present(&origin.client?.to_string()),
            "listener" => present(origin.listener.as_deref()?),
            "rule" => present(self.task.rule),
            "var" => {
                let variables = self.task.variables.iter();
                let table = variables.map(|(name, text)| (name.clone(), Value::from(text)));
                Some(Value::from_object(Table(table.collect())))
            }
            "person" => {
                let directory = self.directory?;
                let from = self.header_sender().map(|from| from.addr);
                let envelope = path(&envelope.sender).map(String::from);
                let mut senders = from.into_iter().chain(envelope);
                let first = senders.clone().next();
                let known = senders.find(|address| directory.knows(address)).or(first);
                let row = directory.row(&known.unwrap_or_default()).into_iter();
                let table = row.map(|(column, text)| (column, Value::from(text)));
                Some(Value::from_object(Table(table.collect())))
            }
            _ => None,
        }
    }

    fn header_sender(&self) -> Option<mimicry_core::message::address::Address> {
        let from = self.task.mail.message.root().field("from")?;
        addresses(from.value()).into_iter().next()
    }
}

/// A moment in local time.
#[derive(Debug)]
pub(super) struct Date(Zoned);

impl Date {
    pub(super) fn of(moment: Moment) -> Option<Date> {
        let timestamp = Timestamp::from_second(moment.unix).ok()?;
        let offset = Offset::from_seconds(moment.offset).ok()?;
        Some(Date(timestamp.to_zoned(offset.to_time_zone())))
    }

    /// As `strftime` would, in English.
    pub(super) fn format(&self, format: &str) -> Result<String, jiff::Error> {
        jiff::fmt::strtime::format(format, &self.0)
    }
}

impl Object for Date {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.date())
    }
}

/// Names and values.
#[derive(Debug, Default)]
pub(super) struct Table(pub(super) BTreeMap<String, Value>);

impl Object for Table {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.get(key).cloned()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address is shown as what it is; a table of anything else has nothing to show.
        match self.0.get("address") {
            Some(address) => write!(f, "{address}"),
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
struct List(Vec<Value>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{value}")?;
        }
        Ok(())
    }
}

/// The first field of each name, decoded when it is asked for.
#[derive(Debug, Default)]
struct Headers(BTreeMap<String, Header>);

#[derive(Debug)]
struct Header {
    raw: Vec<u8>,
    decoded: OnceLock<Option<Value>>,
}

impl Object for Headers {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        let header = self.0.get(&key(name))?;
        let decode = || {
            let value = header::unfold(&header.raw);
            present(&words::decode(value.trim_ascii()))
        };
        header.decoded.get_or_init(decode).clone()
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Without regard to case; a dot cannot be followed by a hyphen, so `_` stands for it.
fn key(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn present(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| Value::from(text))
}

fn path(path: &Path) -> Option<&str> {
    std::str::from_utf8(path.as_bytes())
        .ok()
        .filter(|path| !path.is_empty())
}

/// `postmaster` has no domain (RFC 5321 section 4.5.1).
fn address(address: &str, name: Option<&str>) -> Value {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let fields = [
        ("name", name.unwrap_or_default()),
        ("address", address),
        ("local", local),
        ("domain", domain),
    ];
    let table = fields
        .into_iter()
        .filter_map(|(field, text)| Some((field.to_string(), present(text)?)));
    Value::from_object(Table(table.collect()))
}
