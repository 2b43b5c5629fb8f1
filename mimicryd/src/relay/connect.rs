//! From a route to a connection that can take mail: which client is used, at which address, and how we log in.
//!
//! | next hop | client |
//! |---|---|
//! | `smtp://host`, without TLS | lettre's connection beside ours (`smtp.rs`); ours alone where this machine gives lettre none |
//! | `smtp://host` with STARTTLS, `smtps://`, `lmtp://`, any unix socket | ours (`wire.rs`) |
//! | `maildir:///path` | none: a directory (`maildir.rs`) |
//!
//! Must never: look a name up, or send a password to anybody but the next hop that is meant: to one whose certificate proves it, to a
//! loopback address, to a unix socket.

use std::net::SocketAddr;

use mimicry_core::reply::Own;
use mimicry_core::settings::endpoint;
use mimicry_core::settings::endpoint::{Address, Protocol};
use rustls::pki_types::ServerName;

use super::answer::{Answer, Cause};
use super::client::Client;
use super::keys::Keys;
use super::link::Link;
use super::maildir::Maildir;
use super::next_hop::NextHop;
use super::route::{Check, Route, Security};
use super::smtp::SmtpHop;
use super::stream::ServerAddress;
use super::wire::{Patience, Terms, WireHop};

/// A connection, and which of the addresses took us.
pub type Connected = (Box<dyn NextHop>, Option<SocketAddr>);

/// Each address in turn, until one takes us.
pub fn connect(
    route: &Route,
    addresses: &[SocketAddr],
    keys: &Keys,
    patience: Patience<'_>,
) -> Result<Connected, Answer> {
    match &route.next_hop {
        endpoint::NextHop::Maildir(path) => Ok((Box::new(Maildir::open(path)?), None)),
        endpoint::NextHop::Server {
            protocol,
            address: Address::Unix(path),
            ..
        } => {
            let hop = connect_by_wire(route, *protocol, ServerAddress::Unix(path), keys, patience)?;
            Ok((hop, None))
        }
        endpoint::NextHop::Server {
            protocol,
            address: Address::Tcp { .. },
            ..
        } => {
            let mut refusal = Answer::failed(Cause::Unreachable, "its name was not found");
            for address in addresses {
                let by_lettre = *protocol == Protocol::Smtp && route.security() == Security::Clear;
                let connected = match by_lettre {
                    true => connect_by_lettre(route, *address, keys, patience),
                    false => connect_by_wire(
                        route,
                        *protocol,
                        ServerAddress::Tcp(*address),
                        keys,
                        patience,
                    ),
                };
                match connected {
                    Ok(hop) => return Ok((hop, Some(*address))),
                    Err(answer) => refusal = answer,
                }
            }
            Err(refusal)
        }
    }
}

fn connect_by_lettre(
    route: &Route,
    address: SocketAddr,
    keys: &Keys,
    patience: Patience<'_>,
) -> Result<Box<dyn NextHop>, Answer> {
    let place = ServerAddress::Tcp(address);
    let helo = &route.helo;
    let mut hop = WireHop::in_the_clear(place, Protocol::Smtp, helo, route.timeouts, patience)?;
    log_in(&mut hop, route, keys, is_on_this_machine(place))?;
    match SmtpHop::over(hop) {
        Ok(hop) => Ok(Box::new(hop)),
        // The mail goes out all the same.
        Err(left) => {
            let (hop, error) = *left;
            log::warn!("lettre gets no connection on this machine, ours serves alone: {error}");
            Ok(Box::new(hop))
        }
    }
}

fn connect_by_wire(
    route: &Route,
    protocol: Protocol,
    place: ServerAddress<'_>,
    keys: &Keys,
    patience: Patience<'_>,
) -> Result<Box<dyn NextHop>, Answer> {
    let terms = Terms {
        route,
        protocol,
        place,
        name: certified_name(&route.next_hop, place),
        tls: keys.tls(route),
        patience,
    };
    let mut hop = WireHop::connect(&terms)?;
    let has_proved = matches!(route.security().check(), Some(Check::Valid | Check::Pinned));
    let is_sure = is_on_this_machine(place) || (hop.is_encrypted() && has_proved);
    log_in(&mut hop, route, keys, is_sure)?;
    Ok(Box::new(hop))
}

fn is_on_this_machine(place: ServerAddress<'_>) -> bool {
    match place {
        ServerAddress::Tcp(address) => address.ip().is_loopback(),
        ServerAddress::Unix(_) => true,
    }
}

/// The name that a certificate must bear: the one that the configuration gives, not what it resolves to.
fn certified_name(
    next_hop: &endpoint::NextHop,
    place: ServerAddress<'_>,
) -> Option<ServerName<'static>> {
    let (
        endpoint::NextHop::Server {
            address: Address::Tcp { host, .. },
            ..
        },
        ServerAddress::Tcp(address),
    ) = (next_hop, place)
    else {
        return None;
    };
    // What is no name of DNS can be on no certificate: then only the address can be.
    Some(ServerName::try_from(host.clone()).unwrap_or_else(|_| ServerName::from(address.ip())))
}

fn log_in<L: Link>(
    hop: &mut Client<L>,
    route: &Route,
    keys: &Keys,
    is_sure: bool,
) -> Result<(), Answer> {
    let Some(login) = &route.login else {
        return Ok(());
    };
    let Some(password) = keys.password(login) else {
        return Err(Answer::own(Own::PasswordUnread.reply()));
    };
    hop.login(&login.user, password, is_sure)
}
