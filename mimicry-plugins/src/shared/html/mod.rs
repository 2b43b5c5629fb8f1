//! Where a block of ours may go in an HTML text, and how an HTML and a plain variant of our own text are derived from
//! each other.
//!
//! `scan`: tags, texts and comments · `nest`: what is open at a place · `place`: the choice of a spot · `text`: HTML and plain text from each
//! other · `frame`: what the page around ours must have · [`whole`]: pages instead of fragments
//!
//! Must never re-serialise: [`place`] returns an offset, the old octets stay as they are. Must never name an offset
//! inside a comment, an attribute, a raw text element or a template, nor one at which some mail reader hides the text
//! (Outlook's conditionals); where no such offset exists it says so, and the caller falls back to a separate part.
//!
//! The input is octets of any charset whose octets `"`, `'`, `-`, `/`, `<`, `=`, `>` always mean the ASCII characters
//! (ASCII, UTF-8, ISO 8859, windows-125x, Shift_JIS, EUC, GB18030, Big5), valid or not. Not UTF-16, UTF-7, HZ or
//! ISO-2022: decode those to UTF-8 first.
//!
//! Known limits: no CSS is read, so text in an unclosed `<div style="display:none">` is hidden; no tree is built, so
//! misnested `<video><div></video>` counts as closed although browsers keep it open.
//!
//! Why a scanner of our own beside html5gum: see [`Scan`].

mod frame;
mod nest;
mod place;
mod scan;
#[cfg(test)]
mod tests;
mod text;
pub mod whole;

pub use frame::{Dress, Frame, frame};
pub use nest::NoPlace;
pub(super) use nest::{Nest, Tag, key};
pub(super) use place::place_in;
pub use place::{Spot, Why, place, shows};
pub(super) use scan::{Event, Found, Reading, Scan, Token, conditional, is_space, name_of};
pub(super) use text::decoded;
pub use text::{escape, from_text, text_in_pieces, text_of_start, to_text};
