//! Where the daemon shows its numbers, held against the rest of the file.
//!
//! Must never: look at the machine.

use super::read::Reader;
use super::typed::Places;
use crate::settings::{Daemon, Listen};

/// Warns where others can read them, for nothing asks for a password there; an address that is a listener's could never be had.
pub(super) fn reach(reader: &mut Reader<'_>, places: &Places, daemon: &Daemon, listen: &[Listen]) {
    let Some(address) = &daemon.metrics else {
        return;
    };
    let has_a_port = !address.is_any_port();
    let own = listen
        .iter()
        .find(|listen| has_a_port && listen.address == *address);
    if let Some(own) = own {
        reader.complaints.error(
            places.metrics.clone(),
            format!("the listener \"{}\" has this address", own.name),
            "mail and numbers need an address each, such as metrics = \"127.0.0.1:9725\"",
        );
    } else if !address.is_local() {
        reader.complaints.warning(
            places.metrics.clone(),
            "others than this machine can read the metrics: how much mail there is, the names of listeners and rules, and the next hops",
            "write metrics = \"127.0.0.1:9725\" or \"unix:/path\"; for others, put a proxy with TLS and a password before it",
        );
    }
}
