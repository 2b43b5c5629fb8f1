//! The lines of one class of a mail, put together again: a long record has several, of which the further ones are numbered. Pure.
//!
//! Must never: put lines of two records together.

use std::collections::BTreeMap;

use crate::cli::show::escape;
use crate::logging::read::{Field, text, values};

/// The lines of one class or of one event, put together.
#[derive(Debug, Default)]
pub struct Whole {
    pub when: String,
    pub sentence: String,
    pub fields: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Whole {
    pub fn new(when: String, sentence: String, fields: &[Field]) -> Whole {
        let mut whole = Whole {
            when,
            sentence,
            ..Whole::default()
        };
        whole.add(fields);
        whole
    }

    pub fn add(&mut self, fields: &[Field]) {
        for field in fields {
            let values = self.fields.entry(field.key.clone()).or_default();
            // Each line has the id and the class.
            let is_head = matches!(field.key.as_str(), "id" | "class" | "time");
            if is_head && !values.is_empty() {
                continue;
            }
            match values.last_mut().filter(|_| field.goes_on) {
                Some(last) => last.extend(field.values.concat()),
                None => values.extend(field.values.iter().cloned()),
            }
        }
    }

    /// All values of a key, as they are.
    pub fn values(&self, key: &str) -> &[Vec<u8>] {
        self.fields.get(key).map_or(&[], Vec::as_slice)
    }

    /// All values of a key.
    pub fn say(&self, key: &str) -> Option<String> {
        let values = self.fields.get(key)?;
        let shown: Vec<String> = values.iter().map(escape).collect();
        Some(shown.join(", "))
    }
}

/// Is it a further line of a record.
pub fn is_part(fields: &[Field]) -> bool {
    values(fields, "part").next().is_some()
}

/// How many further lines the record has.
pub fn more(fields: &[Field]) -> usize {
    let said = text(fields, "more").and_then(|more| more.parse().ok());
    said.unwrap_or(0)
}
