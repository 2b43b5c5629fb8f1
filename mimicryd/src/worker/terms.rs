//! What the settings mean for one connection: the terms of the session, the extensions that are offered, and the way to
//! the next hop.
//!
//! Must never: ask anything but the next hop what it can do.

use std::rc::Rc;

use mimicry_core::extension::Extensions;
use mimicry_core::policy::Effective;
use mimicry_core::settings::endpoint::Protocol;

use crate::relay::{Pool, Route};
use crate::smtp::step::Terms;

/// The name of the machine.
pub fn machine() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".into())
}

pub fn terms(settings: &Effective, protocol: Protocol, machine: &str) -> Terms {
    let hostname = settings.hostname.as_deref().unwrap_or(machine);
    Terms {
        hostname: hostname.to_string(),
        protocol,
        mail: settings.limits.mail,
        recipients: settings.limits.recipients,
        errors: settings.limits.errors,
        junk_commands: settings.limits.junk_commands,
        bare_newline: settings.bare_newline,
        mbox_line: settings.mbox_line,
    }
}

/// The way to the next hop of these settings. All ways were made at the worker's birth.
pub fn route<'r>(routes: &'r [Rc<Route>], settings: &Effective) -> Option<&'r Rc<Route>> {
    let next_hop = settings.next_hop.as_ref()?;
    routes.iter().find(|route| route.next_hop == *next_hop)
}

/// Extensions offered: ours, less those hidden, as far as the next hop's last EHLO had them.
pub fn offer(ours: Extensions, settings: &Effective, pool: &mut Pool, route: &Route) -> Extensions {
    let known = pool.last_known(route);
    ours.without(&settings.hide_extensions)
        .through(known.as_ref())
}
