//! From a route to a line that can take mail: which client speaks to it, over which address, and who we are to it.
//!
//! | next hop | client |
//! |---|---|
//! | `smtp://host`, without TLS | lettre's connection (`smtp.rs`); ours where the server refuses the EHLO or the second EHLO of lettre |
//! | `smtp://host` with STARTTLS, `smtps://`, `lmtp://`, any unix socket | ours (`wire.rs`) |
//! | `maildir:///path` | none: a directory (`maildir.rs`) |
//!
//! Must never: resolve a name, or send a password where somebody may listen.

use std::net::SocketAddr;
use std::time::Instant;

use mimicry_core::config::endpoint::{self, Address, Protocol};
use mimicry_core::reply::Reply;
use rustls::pki_types::ServerName;

use super::client::{Client, Link};
use super::keys::Keys;
use super::maildir::Maildir;
use super::route::{Route, Security};
use super::smtp::SmtpHop;
use super::stream::Place;
use super::wire::{Terms, WireHop};
use super::{Answer, Cause, NextHop};

/// Each address in turn, until one takes us.
pub fn connect(
    route: &Route,
    addresses: &[SocketAddr],
    keys: &Keys,
    limit: Option<Instant>,
) -> Result<Box<dyn NextHop>, Answer> {
    match &route.next_hop {
        endpoint::NextHop::Maildir(path) => Ok(Box::new(Maildir::open(path)?)),
        endpoint::NextHop::Server {
            protocol,
            address: Address::Unix(path),
            ..
        } => connect_by_wire(route, *protocol, Place::Unix(path), keys, limit),
        endpoint::NextHop::Server {
            protocol,
            address: Address::Tcp { .. },
            ..
        } => {
            let mut refusal = Answer::failed(Cause::Unreachable, "no address is known");
            for address in addresses {
                let by_lettre = *protocol == Protocol::Smtp && route.security() == Security::Clear;
                let connected = match by_lettre {
                    true => connect_by_lettre(route, *address, keys, limit).or_else(|answer| {
                        match answer.cause {
                            // It knows only HELO, or takes one EHLO and no second one (OpenSMTPD).
                            Cause::Said => {
                                let place = Place::Tcp(*address);
                                connect_by_wire(route, *protocol, place, keys, limit)
                            }
                            _ => Err(answer),
                        }
                    }),
                    false => connect_by_wire(route, *protocol, Place::Tcp(*address), keys, limit),
                };
                match connected {
                    Ok(hop) => return Ok(hop),
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
    limit: Option<Instant>,
) -> Result<Box<dyn NextHop>, Answer> {
    let mut hop = SmtpHop::connect(address, &route.helo, route.timeouts, limit)?;
    log_in(&mut hop, route, keys, address.ip().is_loopback())?;
    Ok(Box::new(hop))
}

fn connect_by_wire(
    route: &Route,
    protocol: Protocol,
    place: Place<'_>,
    keys: &Keys,
    limit: Option<Instant>,
) -> Result<Box<dyn NextHop>, Answer> {
    let terms = Terms {
        route,
        protocol,
        place,
        name: certified_name(&route.next_hop, place),
        tls: keys.tls(route),
        limit,
    };
    let mut hop = WireHop::connect(&terms)?;
    let is_private = hop.is_encrypted()
        || match place {
            Place::Tcp(address) => address.ip().is_loopback(),
            Place::Unix(_) => true,
        };
    log_in(&mut hop, route, keys, is_private)?;
    Ok(Box::new(hop))
}

/// The name that a certificate must bear: the one that the configuration gives, not what it resolves to.
fn certified_name(next_hop: &endpoint::NextHop, place: Place<'_>) -> Option<ServerName<'static>> {
    let (
        endpoint::NextHop::Server {
            address: Address::Tcp { host, .. },
            ..
        },
        Place::Tcp(address),
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
    is_private: bool,
) -> Result<(), Answer> {
    let Some(login) = &route.login else {
        return Ok(());
    };
    let Some(password) = keys.password(login) else {
        return Err(Answer::own(Reply::own(
            451,
            "4.3.5",
            "the password for the next hop was not read",
        )));
    };
    hop.login(&login.user, password, is_private)
}
