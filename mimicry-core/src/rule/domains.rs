//! Lists of domains that filters have: all of a configuration are one table, and equal lists are one list.
//!
//! Must never: read a file.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::domain::list::{Entry, Table};

/// The domains of one filter.
#[derive(Clone)]
pub struct Domains {
    list: u32,
    /// As the configuration has them.
    texts: Arc<[String]>,
    table: Arc<OnceLock<Table>>,
}

impl Domains {
    /// Is a domain, as it is compared, in the list. In a list whose book is not sealed, none is.
    pub fn hold(&self, domain: &str) -> bool {
        let table = self.table.get();
        table.is_some_and(|table| table.lists_of(domain).binary_search(&self.list).is_ok())
    }

    pub(super) fn list(&self) -> u32 {
        self.list
    }

    pub(super) fn table(&self) -> &Arc<OnceLock<Table>> {
        &self.table
    }
}

impl fmt::Debug for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.texts.iter()).finish()
    }
}

/// The lists of a configuration while it is loaded.
#[derive(Debug, Default)]
pub struct Book {
    known: HashMap<Vec<String>, Domains>,
    table: Table,
    sealed: Arc<OnceLock<Table>>,
}

impl Book {
    /// A list that was read before, by the texts of the configuration.
    pub fn known(&self, texts: &[&str]) -> Option<&Domains> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        self.known.get(&texts)
    }

    /// Takes a list in: what its texts amount to.
    pub fn add(&mut self, texts: &[&str], entries: &[Entry]) {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let list = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.table.add(list, entries);
        let domains = Domains {
            list,
            texts: texts.clone().into(),
            table: Arc::clone(&self.sealed),
        };
        self.known.insert(texts, domains);
    }

    /// From now on the lists hold their domains.
    pub fn seal(self) {
        // A book is sealed once: it is gone then.
        let _ = self.sealed.set(self.table);
    }
}
