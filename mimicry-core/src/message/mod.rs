//! A message: its octets, and the tree of its parts as ranges into them.
//!
//! - [`Message`]: the octets and the tree; [`scan`]: octets → tree, iterative, line-anchored, bounded by [`limits`]
//! - [`part`]: one part as a reader sees it; [`roles`]: which leaves are body, attachment, inline
//! - [`header`], [`params`], [`words`], [`labels`], [`address`]: header values; [`names`]: all readings of a file name; [`codec`], [`charset`], [`text`]: bodies
//! - [`doubt`]: where other programs find other parts
//! - [`sealed`]: which parts are signed or encrypted, as far as they say · [`ciphertext`]: is all of it encrypted, for certain · [`digest`]: what tells a mail from others, also when it comes again
//! - [`place`]: where new parts may stand; [`edit`]: the only way to change a message; [`compose`]: new parts; [`render`]: octets out, and [`kept`]: which of them were there before; [`verify`]: the proof
//! - [`octets`]: new bodies that are not copied · [`seven_bit`]: the same message for next hops that take no 8-bit octets · [`lines`]: octets that must never leave
//!
//! Must never: know rules, or change an octet that no edit names.

pub mod address;
mod charrefs;
pub mod charset;
mod ciphertext;
pub mod codec;
pub mod compose;
pub mod digest;
pub mod doubt;
pub mod edit;
pub mod header;
pub mod kept;
pub mod labels;
mod lenient;
pub mod limits;
pub mod lines;
pub mod names;
pub mod octets;
pub mod params;
pub mod part;
pub mod place;
mod refers;
pub mod render;
pub mod roles;
pub mod scan;
pub mod sealed;
pub mod seven_bit;
pub mod text;
mod tree;
pub mod verify;
pub mod words;

pub use limits::Limits;
pub use part::Part;
pub use tree::{Defects, Doubt, Message, Newline, PartId, Seal};
