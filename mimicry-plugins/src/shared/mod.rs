//! What several plugins need. Must never know any of them.

pub mod author;
pub mod bundle;
pub mod collect;
pub mod date;
pub mod directory;
pub mod dkim;
pub mod fields;
pub mod found;
pub mod held;
pub mod html;
pub mod insert;
#[cfg(test)]
pub mod judged;
pub mod left_alone;
pub mod left_out;
pub mod marked;
pub mod names;
pub mod pack;
#[cfg(feature = "pgp")]
pub mod pgp;
pub mod plain;
pub mod recipe;
pub mod reply_marks;
#[cfg(feature = "smime")]
pub mod smime;
pub mod sniff;
pub mod store;
pub mod subject;
pub mod template;
pub mod text_end;
pub mod whole;
pub mod words;
