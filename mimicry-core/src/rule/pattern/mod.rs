//! Patterns: regexes that run in linear time. All patterns that judge the same value are one set, which is matched once per
//! value, however many filters ask.
//!
//! - [`need`]: what a text must hold that a pattern matches, read off the pattern's tree
//! - [`form`]: a pattern, ready to be matched; [`engine`]: how a tree is matched that literals do not decide
//! - [`set`]: all patterns on one kind of value
//!
//! A [`Book`] takes the patterns in while a configuration is loaded; when it is sealed, its sets are there, for all processes that
//! are forked later.
//!
//! Must never run a pattern over more than [`HAYSTACK`] octets of one value: a header of a megabyte is cut first.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

mod engine;
mod form;
mod need;
mod set;
#[cfg(test)]
pub(crate) mod tests;

use engine::Scratch;
use form::{Compiler, Form};
pub use set::{HAYSTACK, Set};

/// Why a pattern is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// Which of the patterns.
    pub index: usize,
    /// What the regex compiler says, in one line.
    pub message: String,
}

/// What patterns judge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Sender,
    Recipient,
    HeaderSender,
    HeaderRecipient,
    /// The name in lower case.
    Header(String),
    Type,
    TypePath,
    Filename,
    Disposition,
    Charset,
    Helo,
    AuthUser,
}

impl Subject {
    /// Decoded text; all others are octets as they came.
    fn is_text(&self) -> bool {
        !matches!(self, Subject::Sender | Subject::Recipient | Subject::Helo)
    }
}

/// Patterns of one filter: any of them is enough.
#[derive(Clone)]
pub struct Patterns {
    /// Those of the set, in order.
    ids: Box<[u32]>,
    set: Arc<OnceLock<Set>>,
}

impl Patterns {
    /// Does any pattern match. Of patterns whose book is not sealed, none does.
    pub fn matches(&self, value: &(impl AsRef<[u8]> + ?Sized)) -> bool {
        let Some(set) = self.set.get() else {
            return false;
        };
        let hits = set.hits(value.as_ref());
        self.ids.iter().any(|id| hits.binary_search(id).is_ok())
    }

    /// Do few values match: every pattern asks for some letters that stand together. Of patterns whose book is not sealed, none does.
    pub(super) fn are_selective(&self) -> bool {
        let set = self.set.get();
        set.is_some_and(|set| self.ids.iter().all(|id| set.is_selective(*id)))
    }

    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub(super) fn set(&self) -> &Arc<OnceLock<Set>> {
        &self.set
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.set.get();
        let texts = (self.ids.iter()).map(|id| set.and_then(|set| set.text(*id)));
        f.debug_list().entries(texts).finish()
    }
}

/// The patterns of a configuration while it is loaded.
#[derive(Debug, Default)]
pub struct Book {
    shelves: HashMap<Subject, Shelf>,
    /// Each pattern is read once, whatever it judges.
    known: HashMap<(bool, String), Arc<Form>>,
    compiler: Compiler,
}

/// The patterns that judge one kind of value.
#[derive(Debug, Default)]
struct Shelf {
    ids: HashMap<String, u32>,
    forms: Vec<Arc<Form>>,
    set: Arc<OnceLock<Set>>,
}

impl Book {
    /// Takes in the patterns of one filter: case-insensitive and unanchored, unless a pattern says otherwise.
    pub fn patterns(&mut self, subject: Subject, texts: &[&str]) -> Result<Patterns, PatternError> {
        let is_text = subject.is_text();
        let shelf = self.shelves.entry(subject).or_default();
        let mut ids = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            if let Some(id) = shelf.ids.get(*text) {
                ids.push(*id);
                continue;
            }
            let key = (is_text, text.to_string());
            let form = match self.known.get(&key) {
                Some(form) => Arc::clone(form),
                None => {
                    let form = Form::read(text, is_text, &mut self.compiler)
                        .map_err(|message| PatternError { index, message })?;
                    let form = Arc::new(form);
                    self.known.insert(key, Arc::clone(&form));
                    form
                }
            };
            let id = u32::try_from(shelf.forms.len()).unwrap_or(u32::MAX);
            shelf.forms.push(form);
            shelf.ids.insert(text.to_string(), id);
            ids.push(id);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Patterns {
            ids: ids.into(),
            set: Arc::clone(&shelf.set),
        })
    }

    /// Makes the sets. From now on the patterns match.
    pub fn seal(self) {
        let scratch = Arc::new(Mutex::new(Scratch::default()));
        for (subject, shelf) in self.shelves {
            let set = Set::new(shelf.forms, subject.is_text(), Arc::clone(&scratch));
            // A book is sealed once: it is gone then.
            let _ = shelf.set.set(set);
        }
    }
}
