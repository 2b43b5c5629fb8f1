//! What the listeners can know of a mail's origin: filters and options that need more hold for no mail.
//!
//! Must never: complain if it is not known who may connect, because there is no listener or one of them is wrong.

use std::ops::Range;

use ipnet::IpNet;

use crate::rule::Filters;
use crate::rule::filter::Filter;
use crate::settings::Listen;
use crate::settings::endpoint::ListenAddress;

use super::around::Surroundings;
use super::filters::Said;
use super::read::Reader;

/// What is to be done where a filter asks for a user and nobody's AUTH= is believed.
const NO_AUTH: &str = "AUTH= is believed only from the `auth_clients` of a listener: name an MTA there that writes it itself";

/// The same where a filter asks for a client that may not connect.
const NO_CLIENT: &str = "`clients` of the listeners lets none of these connect, and nobody's XFORWARD or PROXY is believed";

/// The same where nobody but programs of this machine may connect.
const ALL_LOCAL: &str = "only programs of this machine may connect; write xforward_clients = [\"127.0.0.1\"] below the listener, and let the MTA say who its client is (Postfix: smtp_send_xforward_command = yes)";

/// Complains of selectors of a bank that hold for no mail.
pub(super) fn of_bank(
    reader: &mut Reader<'_>,
    when: &Filters,
    said: &[Said<'_>],
    around: &Surroundings<'_>,
) {
    let listen = listeners_of(reader, when, around);
    for (span, why, help) in unknowable(&listen, when, said) {
        let message = format!("this bank never applies: {why}");
        reader.complaints.error(span, message, help);
    }
}

/// Warns of filters of a rule that hold for no mail.
pub(super) fn of_rule(
    reader: &mut Reader<'_>,
    (matching, matching_said): (&Filters, &[Said<'_>]),
    (unless, unless_said): (&Filters, &[Said<'_>]),
    around: &Surroundings<'_>,
) {
    let listen = listeners_of(reader, matching, around);
    let never = unknowable(&listen, matching, matching_said);
    let no_exception = unknowable(&listen, unless, unless_said);
    for (list, what) in [
        (never, "this rule never acts"),
        (no_exception, "this exception never holds"),
    ] {
        for (span, why, help) in list {
            let message = format!("{what}: {why}");
            reader.complaints.warning(span, message, help);
        }
    }
    let both = matching_said.iter().chain(unless_said);
    if all_local(&listen) {
        for said in both.filter(|said| said.key == "helo") {
            let message = "`helo` judges the MTA before mimicry, not its client: the client's name is not known";
            let span = said.span.clone();
            reader.complaints.warning(span, message, ALL_LOCAL);
        }
    }
}

/// Warns of an option of a plugin that tells mail from inside by its client, where no such client is known.
pub(super) fn of_plugin(
    reader: &mut Reader<'_>,
    matching: &Filters,
    networks: &[IpNet],
    span: &Range<usize>,
    around: &Surroundings<'_>,
) {
    let listen = listeners_of(reader, matching, around);
    let has_auth = listen.iter().any(|one| !one.auth_clients.is_empty());
    if listen.is_empty() || has_auth || listen.iter().any(|one| lets_in(one, networks)) {
        return;
    }
    let help = match (networks.is_empty(), all_local(&listen)) {
        (true, _) => NO_AUTH,
        (false, true) => ALL_LOCAL,
        (false, false) => NO_CLIENT,
    };
    reader.complaints.warning(
        span.clone(),
        "no mail can count as from inside: no such client is known",
        help,
    );
}

/// The filters that hold for no mail by these listeners: where, why, what would be right.
fn unknowable(
    listen: &[&Listen],
    filters: &Filters,
    said: &[Said<'_>],
) -> Vec<(Range<usize>, &'static str, &'static str)> {
    let mut list = Vec::new();
    if listen.is_empty() {
        return list;
    }
    let mut never = |key: &str, why, help| {
        let said = said.iter().find(|said| said.key == key);
        list.extend(said.map(|said| (said.span.clone(), why, help)));
    };
    for filter in filters.iter() {
        match filter {
            Filter::Client(networks) if !listen.iter().any(|one| lets_in(one, networks)) => {
                let help = if all_local(listen) {
                    ALL_LOCAL
                } else {
                    NO_CLIENT
                };
                never("client", "such a client never comes", help);
            }
            Filter::AuthUser(_) if listen.iter().all(|one| one.auth_clients.is_empty()) => {
                never("auth_user", "nobody's AUTH= is believed", NO_AUTH);
            }
            _ => {}
        }
    }
    list
}

/// The listeners that a mail can come in by for which these filters hold; none where nothing is known of who may come,
/// because a listener is wrong or cut off.
fn listeners_of<'l>(
    reader: &Reader<'_>,
    filters: &Filters,
    around: &Surroundings<'l>,
) -> Vec<&'l Listen> {
    if around.listen.len() != around.listeners.len() || reader.syntax.is_incomplete() {
        return Vec::new();
    }
    let mut listen: Vec<&Listen> = around.listen.iter().collect();
    for filter in filters.iter() {
        if let Filter::Listener(names) = filter {
            listen.retain(|listen| names.contains(&listen.name));
        }
    }
    listen
}

/// Can a mail by this listener have a client in one of the networks.
fn lets_in(listen: &Listen, networks: &[IpNet]) -> bool {
    let meets = |client: &IpNet| {
        let meets = |network: &IpNet| network.contains(client) || client.contains(network);
        networks.iter().any(meets)
    };
    is_told(listen)
        || (!matches!(listen.address, ListenAddress::Unix(_)) && listen.clients.iter().any(meets))
}

/// Does somebody say who the client before the last one was.
fn is_told(listen: &Listen) -> bool {
    !listen.xforward_clients.is_empty() || !listen.proxy_clients.is_empty()
}

/// Is every client that is known a program of this machine.
fn all_local(listen: &[&Listen]) -> bool {
    let is_local = |listen: &&Listen| match listen.address {
        ListenAddress::Unix(_) => !is_told(listen),
        ListenAddress::Tcp(_) => {
            let mut clients = listen.clients.iter();
            !is_told(listen) && clients.all(|network| network.addr().is_loopback())
        }
    };
    !listen.is_empty() && listen.iter().all(is_local)
}
