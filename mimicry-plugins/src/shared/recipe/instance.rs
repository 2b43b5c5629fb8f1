//! The field Message-Instance (section 7): its tags, and the hashes in it.
//!
//! Besides those of the draft it has two tags of ours, which others must ignore: `mimicry`, the length and the SHA-256 of the mail as it
//! came, and `mimicry_h`, how the lines of its header are made of those below the field. The draft counts the values of fields only:
//! without ours nobody could say how they were folded and in which order they stood.
//!
//! Must never: accept a field that two readers could understand differently.

use std::fmt::Write;

use data_encoding::BASE64;
use mimicry_core::message::Message;
use mimicry_core::message::header::unfold;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fields::hashed;
use super::lines::Step;
use super::steps;
use crate::shared::dkim::canon::Canon;
use crate::shared::dkim::sign::foldable;
use crate::shared::dkim::tags::{base64, body_hash};

/// The name of the field.
pub const FIELD: &str = "Message-Instance";
/// Fields of this name in one mail, at most.
const MOST: usize = 50;

/// SHA-256 of what DKIM2 sees of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    pub header: Vec<u8>,
    pub body: Vec<u8>,
}

impl Hashes {
    pub fn of(header: &[u8], body: &[u8]) -> Hashes {
        Hashes {
            header: Sha256::digest(hashed(header)).to_vec(),
            body: body_hash(body, Canon::Simple, None).to_vec(),
        }
    }
}

/// What our tags say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    pub length: usize,
    pub sha256: Vec<u8>,
    /// How its header, with the blank line, is made of the lines below the field.
    pub header: Vec<Step>,
}

impl Came {
    pub fn of(mail: &[u8], header: Vec<Step>) -> Came {
        Came {
            length: mail.len(),
            sha256: Sha256::digest(mail).to_vec(),
            header,
        }
    }
}

/// What the field says of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Same,
    Steps(Vec<Step>),
    /// It cannot be made again.
    Lost,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// m=, from 1.
    pub number: usize,
    /// h=, of SHA-256.
    pub hashes: Option<Hashes>,
    pub body: Body,
    pub came: Option<Came>,
}

impl Instance {
    /// `None` = the value is none of such a field, or says a thing twice.
    pub fn read(value: &[u8]) -> Option<Instance> {
        let unfolded = unfold(value);
        let text = std::str::from_utf8(&unfolded).ok()?;
        let mut tags: Vec<(String, &str)> = Vec::new();
        for tag in text.split(';').filter(|tag| !tag.trim().is_empty()) {
            let (name, value) = tag.split_once('=')?;
            let name = name.trim().to_ascii_lowercase();
            // One more than there may be is too many to compare.
            if tags.len() > MOST || tags.iter().any(|(other, _)| *other == name) {
                return None;
            }
            tags.push((name, value.trim()));
        }
        let tag = |name: &str| {
            let found = tags.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| *value)
        };
        let body = match tag("r") {
            None => Body::Same,
            Some(text) => {
                let json: Value = serde_json::from_slice(&base64(text)?).ok()?;
                match json.as_object()?.get("b") {
                    None => Body::Same,
                    Some(Value::Null) => Body::Lost,
                    Some(json) => Body::Steps(steps::of_json(json)?),
                }
            }
        };
        let came = match (tag("mimicry"), tag("mimicry_h")) {
            (Some(mail), Some(header)) => {
                let (length, sha256) = mail.split_once(':')?;
                let json: Value = serde_json::from_slice(&base64(header)?).ok()?;
                Some(Came {
                    length: length.trim().parse().ok()?,
                    sha256: base64(sha256)?,
                    header: steps::of_json(&json)?,
                })
            }
            _ => None,
        };
        Some(Instance {
            number: tag("m")?.parse().ok()?,
            hashes: hashes(tag("h")?),
            body,
            came,
        })
    }

    /// The fields of a mail, each with the place behind it in the header, if they are numbered from 1 without a gap. The highest comes
    /// first.
    pub fn all(message: &Message) -> Option<Vec<(Instance, usize)>> {
        let fields = message.root().fields();
        let fields = fields.filter(|field| field.is(FIELD)).take(MOST);
        let mut all = fields
            .map(|field| Some((Instance::read(field.value())?, field.end())))
            .collect::<Option<Vec<_>>>()?;
        all.sort_by_key(|(instance, _)| std::cmp::Reverse(instance.number));
        let are_all = all
            .iter()
            .rev()
            .map(|(one, _)| one.number)
            .eq(1..=all.len());
        (are_all && all.len() < MOST).then_some(all)
    }

    /// The value of the field, with blanks where it may be folded. `recipe` = that of the draft, empty if there is none.
    pub fn value(number: usize, hashes: &Hashes, recipe: &str, came: Option<&Came>) -> String {
        let mut value = format!(
            "m={number}; h=sha256:{}:{};",
            BASE64.encode(&hashes.header),
            BASE64.encode(&hashes.body)
        );
        let coded = |json: &str| foldable(&BASE64.encode(json.as_bytes()));
        if !recipe.is_empty() {
            let _ = write!(value, " r={};", coded(recipe));
        }
        if let Some(came) = came {
            let header = steps::to_json(&came.header).to_string();
            let _ = write!(
                value,
                " mimicry={}:{}; mimicry_h={};",
                came.length,
                BASE64.encode(&came.sha256),
                coded(&header)
            );
        }
        value
    }
}

fn hashes(text: &str) -> Option<Hashes> {
    let mut sets = text.split(',').map(|set| set.split(':').map(str::trim));
    sets.find_map(|mut set| match (set.next()?, set.next()?, set.next()?) {
        ("sha256", header, body) => Some(Hashes {
            header: base64(header)?,
            body: base64(body)?,
        }),
        _ => None,
    })
}
