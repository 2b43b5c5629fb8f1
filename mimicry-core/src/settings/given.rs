//! Checked values of settings, on their way into typed fields.
//!
//! Values stand under the names of their settings only while a file is loaded; the fields that they are put into are typed.
//!
//! Must never: complain; what is not there is `None`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::plugin::Value;
use crate::units::{write_size, write_time};
use crate::words::Word;

use super::endpoint::{ListenAddress, NextHop};
use super::fingerprint::Fingerprint;
use super::kind::Kind;
use super::log_target::LogTarget;
use super::trusted::Trusted;

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Plain(Value),
    File(PathBuf),
    Networks(Vec<IpNet>),
    Trusted(Trusted),
    NextHop(NextHop),
    Address(ListenAddress),
    LogTarget(LogTarget),
    Fingerprints(Vec<Fingerprint>),
    /// Left to the caller, who finds the node in the section.
    Table,
}

/// The values of one table of the file, under the names of their settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(BTreeMap<&'static str, Given>);

impl Values {
    pub(crate) fn insert(&mut self, name: &'static str, given: Given) {
        self.0.insert(name, given);
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Given> {
        self.0.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Given::Plain(Value::Text(text))) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn list(&self, name: &str) -> &[String] {
        match self.0.get(name) {
            Some(Given::Plain(Value::List(list))) => list,
            _ => &[],
        }
    }
}

/// A value that a field can hold.
pub(crate) trait Held: Sized {
    /// `None`: it is another value than the setting's kind gives.
    fn of(given: &Given) -> Option<Self>;
}

/// A field: a value, or room for one.
pub(crate) trait Field: Sized {
    /// `None`: a value must be there and is not.
    fn field(given: Option<&Given>) -> Option<Self>;
}

impl<H: Held> Field for H {
    fn field(given: Option<&Given>) -> Option<Self> {
        H::of(given?)
    }
}

impl<H: Held> Field for Option<H> {
    fn field(given: Option<&Given>) -> Option<Self> {
        Some(given.and_then(H::of))
    }
}

/// A field that can be shown to people.
pub(crate) trait Shown {
    /// As the file would have it; `None` = it is not set.
    fn shown(&self, kind: Kind) -> Option<String>;
}

impl<S: Shown> Shown for Option<S> {
    fn shown(&self, kind: Kind) -> Option<String> {
        self.as_ref().and_then(|value| value.shown(kind))
    }
}

/// Adds what is shown of a setting: its name in a `[[bank]]`, and its value as the file would have it.
pub(crate) type Show<'s> = &'s mut dyn FnMut(&'static str, String);

impl<W: Word> Held for W {
    fn of(given: &Given) -> Option<W> {
        match given {
            Given::Plain(Value::Text(word)) => W::from_word(word),
            _ => None,
        }
    }
}

impl<W: Word> Held for Vec<W> {
    fn of(given: &Given) -> Option<Vec<W>> {
        match given {
            Given::Plain(Value::List(words)) => {
                words.iter().map(|word| W::from_word(word)).collect()
            }
            _ => None,
        }
    }
}

impl<W: Word> Shown for W {
    fn shown(&self, _: Kind) -> Option<String> {
        Some(quoted(self.word()))
    }
}

/// Fields whose type is that of one kind of value.
macro_rules! held {
    ($($type:ty: $pattern:pat => $value:expr;)+) => {
        $(impl Held for $type {
            fn of(given: &Given) -> Option<$type> {
                match given {
                    $pattern => Some($value),
                    _ => None,
                }
            }
        })+
    };
}

held! {
    bool: Given::Plain(Value::Bool(truth)) => *truth;
    Duration: Given::Plain(Value::Time(millis)) => Duration::from_millis(*millis);
    String: Given::Plain(Value::Text(text)) => text.clone();
    PathBuf: Given::File(path) => path.clone();
    Vec<IpNet>: Given::Networks(networks) => networks.clone();
    Trusted: Given::Trusted(trusted) => trusted.clone();
    NextHop: Given::NextHop(next_hop) => next_hop.clone();
    ListenAddress: Given::Address(address) => address.clone();
    LogTarget: Given::LogTarget(target) => target.clone();
    Vec<Fingerprint>: Given::Fingerprints(list) => list.clone();
}

/// Numbers, and octets; their kinds keep them within any of these types.
macro_rules! number {
    ($($type:ty),+) => {
        $(impl Held for $type {
            fn of(given: &Given) -> Option<$type> {
                match given {
                    Given::Plain(Value::Integer(number)) => (*number).try_into().ok(),
                    Given::Plain(Value::Size(octets)) => (*octets).try_into().ok(),
                    _ => None,
                }
            }
        }

        impl Shown for $type {
            fn shown(&self, kind: Kind) -> Option<String> {
                match kind {
                    Kind::Size(..) => Some(quoted(&write_size(u64::try_from(*self).ok()?))),
                    _ => Some(self.to_string()),
                }
            }
        })+
    };
}

number!(u32, u64, usize);

impl Shown for bool {
    fn shown(&self, _: Kind) -> Option<String> {
        Some(self.to_string())
    }
}

impl Shown for Duration {
    fn shown(&self, _: Kind) -> Option<String> {
        Some(quoted(&write_time(self.as_millis().try_into().ok()?)))
    }
}

impl Shown for String {
    fn shown(&self, _: Kind) -> Option<String> {
        Some(quoted(self))
    }
}

impl<W: Word> Shown for Vec<W> {
    fn shown(&self, _: Kind) -> Option<String> {
        let list: Vec<String> = self.iter().map(|one| quoted(one.word())).collect();
        Some(format!("[{}]", list.join(", ")))
    }
}

impl Shown for NextHop {
    fn shown(&self, _: Kind) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
