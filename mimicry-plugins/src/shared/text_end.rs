//! Which end of a text ours goes to, in plain text and in HTML.
//!
//! Must never: know where that end is.

/// Which end of the text ours goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEnd {
    Top,
    Bottom,
}
