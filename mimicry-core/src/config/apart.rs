//! The files that the daemon makes for itself, held against each other: none can be had twice.
//!
//! Must never: look at the machine.

use std::path::Path;

use super::read::Reader;
use super::typed::Places;
use crate::settings::endpoint::ListenAddress;
use crate::settings::{Daemon, Listen, Log, LogTarget};

/// Log, pid file and control socket: that metrics have the address of a listener is said [elsewhere](super::metrics).
pub(super) fn apart(
    reader: &mut Reader<'_>,
    places: &Places,
    (daemon, log): (&Daemon, &Log),
    listen: &[Listen],
) {
    let listeners = listen
        .iter()
        .map(|one| (format!("the listener \"{}\"", one.name), &one.address));
    let metrics = daemon.metrics.iter().map(|one| ("metrics".into(), one));
    let mut taken: Vec<(String, &Path)> = listeners
        .chain(metrics)
        .filter_map(|(what, address)| match address {
            ListenAddress::Unix(path) => Some((what, path.as_path())),
            ListenAddress::Tcp(_) => None,
        })
        .collect();
    let log = match &log.target {
        LogTarget::File(path) => Some(("the log", path, &places.log_target)),
        LogTarget::Syslog(_) | LogTarget::Journal(_) | LogTarget::Stderr => None,
    };
    let own = [
        ("the pid file", &daemon.pid_file, &places.pid_file),
        ("the control socket", &daemon.control, &places.control),
    ];
    for (what, path, span) in log.into_iter().chain(own) {
        if let Some((other, _)) = taken.iter().find(|(_, there)| there == path) {
            reader.complaints.error(
                span.clone(),
                format!("{other} has this path"),
                format!("{what} needs one of its own"),
            );
        }
        taken.push((what.into(), path));
    }
}
