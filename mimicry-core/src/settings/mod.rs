//! The settings: what a configuration may contain, and what the program holds once it is loaded.
//!
//! - [`table`]: one row for each setting; a setting needs nothing else
//! - [`declare`]: the macro that makes fields of the rows
//! - [`row`]: what a row holds · [`kind`]: the kinds of values · [`words`]: closed lists of words
//! - [`endpoint`]: listeners' addresses and next hops · [`log_target`]: where the log goes · [`fingerprint`]: certificates
//! - [`trusted`]: whom a listener believes
//! - `given`: checked values on their way from the file into fields
//!
//! The reader of the file is driven by the rows, and the manual page and the sample configuration are tested against them, so
//! that a setting exists in all of them or in none.
//!
//! Must never: read a file, or know policy banks or the configuration, which stand above.

use std::sync::LazyLock;

pub(crate) mod declare;
pub mod endpoint;
pub mod fingerprint;
pub(crate) mod given;
pub mod kind;
pub mod log_target;
pub mod row;
pub mod table;
pub mod trusted;
pub mod words;

pub use kind::Kind;
pub use log_target::LogTarget;
pub use row::{Phase, Setting};
pub use table::{
    Conduct, Daemon, General, InForce, Limits, Listen, ListenTls, Log, Login, Overlay, Relay,
    Timeouts, Workers,
};

/// Tables that may stand more than once, in double brackets.
pub const LISTS: &[&str] = &["listen", "rule", "bank"];

/// All settings, in the order of the manual.
pub static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(table::rows);

/// Finds the row of a setting.
pub fn find(table: &str, name: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| setting.table == table && setting.name == name)
}

/// The tables of a configuration, in the order of the manual.
pub fn tables() -> Vec<&'static str> {
    let mut tables: Vec<&'static str> = SETTINGS
        .iter()
        .map(|setting| setting.table)
        .filter(|table| !table.is_empty())
        .collect();
    tables.dedup();
    tables
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_setting_has_its_own_place_and_one_sentence() {
        let mut seen = BTreeSet::new();
        for setting in SETTINGS.iter() {
            let context = format!("{}.{}", setting.table, setting.name);
            assert!(
                seen.insert((setting.table, setting.name)),
                "{context} twice"
            );
            assert!(setting.doc.ends_with('.'), "{context}");
            let is_one = !setting.doc.contains(". ");
            assert!(is_one, "{context} has more than one sentence");
            let has_default = setting.default.is_some();
            assert!(!(setting.required && has_default), "{context}");
            let is_of_list = LISTS.contains(&setting.table);
            assert!(!setting.required || is_of_list, "{context}");
        }
    }

    #[test]
    fn a_bank_can_change_what_the_base_has_and_at_the_same_time() {
        let own = ["name", "when", "include", "rules_add"];
        let rows = |table: &'static str| SETTINGS.iter().filter(move |row| row.table == table);
        for row in rows("bank").filter(|row| !own.contains(&row.name)) {
            let (table, name) = match row.name.split_once('.') {
                Some(within) => within,
                None if row.name == "next_hop" => ("relay", "next_hop"),
                None => ("", row.name),
            };
            let base = find(table, name).unwrap();
            assert_eq!((row.kind, row.phase), (base.kind, base.phase), "{name}");
            assert!(row.default.is_none() && row.phase != Phase::Load, "{name}");
        }
        assert!(rows("limits").all(|row| find("bank", &format!("limits.{}", row.name)).is_some()));
        assert!(rows("").all(|row| find("bank", row.name).is_some()));
        assert!(find("bank", "tls").is_none());
    }

    #[test]
    fn tables_stand_together() {
        let tables = tables();
        let unique: BTreeSet<_> = tables.iter().collect();
        assert_eq!(unique.len(), tables.len(), "{tables:?}");
        for list in LISTS {
            assert!(tables.contains(list), "{list}");
        }
    }
}
