//! What will be asked of a next hop soon, and what it has answered to it already (`together.rs` does it).
//!
//! Must never: do anything with a connection.

use mimicry_core::envelope::Path;
use mimicry_core::extension::{Extension, Extensions};
use mimicry_core::origin::Origin;
use mimicry_core::reply::Reply;

use super::answer::Answer;
use super::command::CommandLine;
use super::xforward;

/// Octets of the commands that go out in one write: any socket takes them at once, whether the server reads or not, so that nobody waits
/// for each other (RFC 2920 section 3.1).
const MOST: usize = 16 * 1024;

/// Commands: what their replies take of the server's side, as above.
pub const MOST_LINES: usize = 100;

/// What is known already of what will be asked for.
#[derive(Clone, Copy, Default)]
pub struct Ahead<'a> {
    /// [`NextHop::introduce`](super::NextHop::introduce) and [`NextHop::mail`](super::NextHop::mail) come first, if the transaction is not
    /// begun yet.
    pub opening: Option<(&'a Origin, &'a Path, &'a [u8])>,
    /// [`NextHop::rcpt`](super::NextHop::rcpt) for each of these.
    pub recipients: &'a [(&'a Path, Vec<u8>)],
}

/// A command that was given, and what came of it.
#[derive(Debug)]
pub struct Given {
    pub line: CommandLine,
    pub reply: Result<Reply, Answer>,
}

impl Ahead<'_> {
    /// As many of them as may go at once. What cannot be a line is asked for as ever, and so is what comes behind it.
    pub fn lines(self, capabilities: &Extensions) -> Vec<(&'static str, CommandLine)> {
        let mut lines = Vec::new();
        if let Some((origin, sender, params)) = self.opening {
            let listed = capabilities.words(Extension::Xforward);
            for line in xforward::commands(origin, listed) {
                lines.push(("XFORWARD", CommandLine::plain(&line)));
            }
            lines.push(("MAIL", CommandLine::mail(sender, params)));
        }
        let rcpt = |(path, params): &(&Path, Vec<u8>)| (RCPT, CommandLine::rcpt(path, params));
        lines.extend(self.recipients.iter().take(MOST_LINES).map(rcpt));
        let mut octets = 0usize;
        lines
            .into_iter()
            .map_while(|(stage, line)| Some((stage, line.ok()?)))
            .take_while(|(_, line)| {
                octets = octets.saturating_add(line.as_bytes().len());
                octets <= MOST
            })
            .collect()
    }
}

/// The stage of those commands, of which there may be several.
pub const RCPT: &str = "RCPT";
