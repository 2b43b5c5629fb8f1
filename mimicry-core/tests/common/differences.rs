//! A reader beside ours over the corpus: what differs, and what is listed.

use super::corpus;

/// The mails that differ are those of the list, and each differs as the list says: name, difference, reason.
pub fn are_listed(difference: fn(&[u8]) -> Option<String>, list: &[(&str, &str, &str)]) {
    let found: Vec<(String, String)> = corpus()
        .into_iter()
        .filter_map(|(name, raw)| Some((name, difference(&raw)?)))
        .collect();
    let known: Vec<(String, String)> = list
        .iter()
        .map(|(name, what, _)| (name.to_string(), what.to_string()))
        .collect();
    let new: Vec<_> = found.iter().filter(|row| !known.contains(row)).collect();
    let gone: Vec<_> = known.iter().filter(|row| !found.contains(row)).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "new: {new:#?}\ngone: {gone:#?}"
    );
}
