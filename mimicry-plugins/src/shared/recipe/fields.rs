//! A header as DKIM2 sees it (section 5.1): by names, of each the values from the bottom up.
//!
//! Must never: tell two fields apart that have the same hash.

use std::collections::BTreeMap;

use mimicry_core::message::header::{Field, fields};
use serde_json::{Map, Value};

use super::lines::Step;
use super::steps;
use crate::shared::dkim::canon::{self, Canon};

/// Fields that are not looked at (section 4), besides those that begin with `x-` or `received-`.
const IGNORED: &[&[u8]] = &[
    b"apparently-to",
    b"arc-authentication-results",
    b"arc-message-signature",
    b"arc-seal",
    b"authentication-results",
    b"delivered-to",
    b"dkim-signature",
    b"dkim2-signature",
    b"dl-expansion-history",
    b"message-instance",
    b"original-recipient",
    b"received",
    b"return-path",
    b"sio-label-history",
    b"x400-received",
    b"x400-trace",
];

/// By name in small letters: the fields in the form in which they are hashed, from the bottom up.
type ByName = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// Why there is no recipe for a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRecipe {
    /// A value has a line end of its own.
    Broken,
    /// It would be too long.
    Long,
}

/// The octets of which the hash of a header is (section 6.2).
pub fn hashed(block: &[u8]) -> Vec<u8> {
    by_name(block).into_values().flatten().flatten().collect()
}

fn by_name(block: &[u8]) -> ByName {
    let mut names = ByName::new();
    for field in fields(block).filter(|field| field.colon().is_some()) {
        let name = field.name().to_ascii_lowercase();
        let is_ignored = IGNORED.contains(&name.as_slice())
            || name.starts_with(b"x-")
            || name.starts_with(b"received-");
        if !is_ignored {
            let form = canon::field(field.raw(), Canon::Relaxed);
            names.entry(name).or_default().push(form);
        }
    }
    for values in names.values_mut() {
        values.reverse();
    }
    names
}

/// How the relevant fields of `old` are made of those of `new`, as JSON; empty = they are the same.
pub fn recipe(old: &[u8], new: &[u8], most: usize) -> Result<Map<String, Value>, NoRecipe> {
    let (old, mut new) = (by_name(old), by_name(new));
    let mut left = most;
    let mut all = Map::new();
    let mut put = |name: &[u8], steps: &[Step]| {
        all.insert(
            String::from_utf8_lossy(name).into_owned(),
            steps::to_json(steps),
        );
    };
    for (name, before) in &old {
        let now = new.remove(name).unwrap_or_default();
        if now != *before {
            put(name, &of_name(before, &now, &mut left)?);
        }
    }
    for name in new.keys() {
        put(name, &[]);
    }
    Ok(all)
}

/// For the fields of one name.
fn of_name(old: &[Vec<u8>], new: &[Vec<u8>], left: &mut usize) -> Result<Vec<Step>, NoRecipe> {
    let same = |(old, new): &(&Vec<u8>, &Vec<u8>)| old == new;
    let head = old.iter().zip(new).take_while(same).count();
    let rest = |all: &'_ [Vec<u8>]| all.len().saturating_sub(head);
    let tail = (old.iter().rev().zip(new.iter().rev()))
        .take(rest(old).min(rest(new)))
        .take_while(same)
        .count();
    let mut steps = Vec::new();
    if head > 0 {
        steps.push(Step::Copy(1, head));
    }
    let values: Vec<Vec<u8>> = (old.iter())
        .take(old.len().saturating_sub(tail))
        .skip(head)
        .map(|field| value(field, left))
        .collect::<Result<_, _>>()?;
    if !values.is_empty() {
        steps.push(Step::Lines(values));
    }
    if tail > 0 {
        let before = new.len().saturating_sub(tail);
        steps.push(Step::Copy(before.saturating_add(1), new.len()));
    }
    Ok(steps)
}

/// What stands behind the colon, on one line.
fn value(field: &[u8], left: &mut usize) -> Result<Vec<u8>, NoRecipe> {
    let value = fields(field)
        .next()
        .map_or(&b""[..], |field: Field<'_>| field.value());
    let value = value.trim_ascii();
    if value.iter().any(|octet| matches!(octet, b'\r' | b'\n')) {
        return Err(NoRecipe::Broken);
    }
    *left = left.checked_sub(value.len()).ok_or(NoRecipe::Long)?;
    Ok(value.to_vec())
}
