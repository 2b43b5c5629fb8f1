//! The chain of ARC sets in a mail (RFC 8617), and one more set for it.
//!
//! Must never: verify a chain, for which the DNS would be asked; say `cv=fail`, which nobody after it can mend.

use mimicry_core::message::Message;
use mimicry_core::message::header::{Field, unfold};

use super::canon::{self, Canon};
use super::sign::{Signer, Times, Work, completed};

const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";
/// The fields of a set, in the order in which they are signed.
const FIELDS: [&str; 3] = [RESULTS, SIGNATURE, SEAL];
/// Sets of a chain at most (RFC 8617 section 5.2).
const MOST: usize = 50;

/// Complete sets from 1 on, without a gap.
#[derive(Debug)]
pub struct Chain<'m> {
    sets: Vec<[Field<'m>; 3]>,
}

/// Why a chain cannot be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A set is incomplete, there twice, or missing.
    Sets,
    /// It is as long as a chain may be.
    Long,
    /// A seal says that it was broken before.
    Failed,
}

impl Broken {
    pub fn words(self) -> &'static str {
        match self {
            Broken::Sets => "its ARC sets are not complete",
            Broken::Long => "it has as many ARC sets as a mail may have",
            Broken::Failed => "an ARC seal says that the chain was broken before",
        }
    }
}

impl<'m> Chain<'m> {
    pub fn of(message: &'m Message) -> Result<Chain<'m>, Broken> {
        let mut sets: Vec<[Option<Field<'m>>; 3]> = Vec::new();
        for field in message.root().fields() {
            let Some(kind) = FIELDS.iter().position(|name| field.is(name)) else {
                continue;
            };
            let instance = instance(field.value()).ok_or(Broken::Sets)?;
            if instance > MOST {
                return Err(Broken::Sets);
            }
            if sets.len() < instance {
                sets.resize(instance, [None; 3]);
            }
            let place = instance
                .checked_sub(1)
                .and_then(|index| sets.get_mut(index)?.get_mut(kind))
                .ok_or(Broken::Sets)?;
            if place.replace(field).is_some() {
                return Err(Broken::Sets);
            }
        }
        let whole = |set: [Option<Field<'m>>; 3]| match set {
            [Some(results), Some(signature), Some(seal)] => Some([results, signature, seal]),
            _ => None,
        };
        let sets: Option<Vec<_>> = sets.into_iter().map(whole).collect();
        let sets = sets.ok_or(Broken::Sets)?;
        if sets.len() >= MOST {
            return Err(Broken::Long);
        }
        let failed = |[.., seal]: &[Field<'m>; 3]| says_fail(seal.value());
        match sets.iter().any(failed) {
            true => Err(Broken::Failed),
            false => Ok(Chain { sets }),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The three fields of the next set, name and value, in the order in which they stand from above. `results` = what the mail was
    /// found to be, with the name of who found it, on one line. `None` = the key did not sign.
    pub fn next_set(
        &self,
        results: &str,
        work: &Work<'_>,
        signer: &Signer<'_>,
        times: Times,
    ) -> Option<[(&'static str, String); 3]> {
        let instance = self.sets.len().saturating_add(1);
        let results = format!("i={instance}; {results}");
        let signature = work.signature(SIGNATURE, &format!("i={instance}"), signer, times)?;
        let mut octets = Vec::new();
        for field in self.sets.iter().flatten() {
            octets.extend(canon::field(field.raw(), Canon::Relaxed));
        }
        for (name, value) in [(RESULTS, &results), (SIGNATURE, &signature)] {
            let field = format!("{name}: {value}");
            octets.extend(canon::field(field.as_bytes(), Canon::Relaxed));
        }
        let unsigned = format!(
            "i={instance}; a={}; t={}; cv={}; d={}; s={}; b=",
            signer.key.algorithm(),
            times.signed,
            if self.is_empty() { "none" } else { "pass" },
            signer.domain,
            signer.selector,
        );
        let seal = completed(SEAL, unsigned, octets, signer.key)?;
        Some([(SEAL, seal), (SIGNATURE, signature), (RESULTS, results)])
    }
}

/// The tag i, which is the first of ARC-Authentication-Results.
fn instance(value: &[u8]) -> Option<usize> {
    let number = tag(value, "i")?;
    let is_number = !number.is_empty()
        && number.len() <= 3
        && number.bytes().all(|octet| octet.is_ascii_digit());
    let number = is_number.then(|| number.parse().ok())?;
    number.filter(|number| *number > 0)
}

fn says_fail(seal: &[u8]) -> bool {
    tag(seal, "cv").is_none_or(|cv| cv.eq_ignore_ascii_case("fail"))
}

fn tag(value: &[u8], name: &str) -> Option<String> {
    let value = unfold(value);
    let text = String::from_utf8_lossy(&value);
    text.split(';').find_map(|tag| {
        let (found, value) = tag.split_once('=')?;
        (found.trim() == name).then(|| value.trim().to_string())
    })
}
