//! Whom a mail is from, for those who sign in his name.
//!
//! Must never: choose among several fields: readers would not agree on one.

use mimicry_core::message::Message;
use mimicry_core::message::address::addresses;
use mimicry_core::plugin::Fault;

/// The first address in From; `None` = there is none in it.
pub fn author_of(message: &Message) -> Result<Option<String>, Fault> {
    let root = message.root();
    let mut from = root.fields().filter(|field| field.is("from"));
    let (first, others) = (from.next(), from.count());
    let Some(field) = first else {
        return Err(Fault::Permanent("the mail has no From field".into()));
    };
    if others > 0 {
        let many = others.saturating_add(1);
        return Err(Fault::Permanent(format!(
            "the mail has {many} From fields, and readers would not agree on its author"
        )));
    }
    let list = addresses(field.value());
    Ok(list.into_iter().next().map(|address| address.addr))
}
