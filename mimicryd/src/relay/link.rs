//! A connection to a server as octets: what the commands of `client.rs` go over, whoever writes them.
//!
//! Must never: know what a command or a reply means.

use std::io::IoSlice;
use std::time::{Duration, Instant};

use mimicry_core::reply::Reply;

use super::answer::Cause;
use super::command::CommandLine;

/// What a line that should be silent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Quiet,
    /// Something was said that nobody asked for.
    Talking,
    Closed,
}

/// A reply that was taken off the line.
#[derive(Debug)]
pub struct Taken {
    pub reply: Reply,
    /// How long it was on the line.
    pub octets: usize,
}

/// How far the message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Block,
    /// The block, and the dot behind it.
    Dotted,
}

/// The message could not be written.
#[derive(Clone, Copy, Debug)]
pub struct Stuck {
    pub cause: Cause,
    /// The dot may have left.
    pub is_dotted: bool,
}

/// The line that ends a message.
pub const DOT_LINE: &[u8] = b".\r\n";

/// A connection, as octets.
pub trait Link {
    /// Looks without waiting.
    fn state(&mut self) -> LinkState;

    /// What has been read and not taken. Costs nothing: nobody is asked for more.
    fn heard(&self) -> &[u8];

    /// Looks, and writes commands in one write; an error if something has arrived, which cannot be their answer.
    fn give(&mut self, lines: &[CommandLine], deadline: Instant) -> Result<(), Cause>;

    /// Waits for one complete reply and takes it; `behind` = so many more are waited for. `look` is shown its lines without codes.
    fn take(
        &mut self,
        deadline: Instant,
        behind: usize,
        look: &mut dyn FnMut(&[&[u8]]),
    ) -> Result<Taken, Cause>;

    /// Waits until there is something to read, or nothing ever will be; false = there is not until then.
    fn has_heard(&mut self, until: Instant) -> bool;

    /// A reply that nobody asked for, if a whole one has arrived.
    fn early_reply(&mut self) -> Option<Reply>;

    /// Writes a block of the message, and the dot behind it if that is wanted and one write takes it all. What arrives meanwhile ends the
    /// writing.
    fn write(
        &mut self,
        block: Vec<IoSlice<'_>>,
        with_dot: bool,
        deadline: Instant,
    ) -> Result<Written, Stuck>;

    /// Looks, and writes the dot.
    fn dot(&mut self, deadline: Instant) -> Result<(), Cause>;

    /// Cuts the line: what was written may still arrive, nothing more can be.
    fn cut(&mut self);
}

/// Zero would mean for ever.
const TICK: Duration = Duration::from_millis(1);

pub fn deadline(patience: Duration, limit: Option<Instant>) -> Instant {
    let deadline = Instant::now() + patience;
    limit.map_or(deadline, |limit| limit.min(deadline))
}

pub fn remaining(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (left >= TICK).then_some(left)
}
