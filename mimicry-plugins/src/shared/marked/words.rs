//! Small steps with words and lines that the files beside this one share.
//!
//! Must never: know what is ours.

use std::borrow::Cow;

/// As it was before it went into a mail, which has line ends of its own.
pub(super) fn with_lf(text: &str) -> Cow<'_, str> {
    match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n")),
        false => Cow::Borrowed(text),
    }
}

pub(super) fn is_one_of(name: &[u8], list: &[&[u8]]) -> bool {
    list.iter().any(|one| name.eq_ignore_ascii_case(one))
}
