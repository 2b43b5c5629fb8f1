//! Who is at the other end of a connection, and what the listener lets it do.
//!
//! Must never: believe a PROXY header, except from the clients that the listener names.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use mimicry_core::settings::Listen;

use super::link::{Heard, Link};
use crate::prefork::listen::Peer;
use crate::smtp::proxy::{self, Start};

/// How long a load balancer may take to say whose connection it is.
const PROXY: Duration = Duration::from_secs(5);

/// Whose connection it is, where a load balancer stands before the listener; and whether it is the balancer's own. `None` = it
/// did not say.
pub fn behind_balancer(link: &mut Link<'_>, listen: &Listen, peer: Peer) -> Option<(Peer, bool)> {
    if !listen.proxy_clients.contains(client(&peer)) {
        return Some((peer, false));
    }
    let deadline = Instant::now().checked_add(PROXY);
    loop {
        match proxy::start(link.wire.input()) {
            Start::Malformed => return None,
            Start::More => {}
            Start::Header { octets, client } => {
                link.wire.consume(octets);
                return Some(match client {
                    proxy::Client::Known(address) => (Peer::Inet(address), false),
                    proxy::Client::Unknown => (peer, false),
                    proxy::Client::Balancer => (peer, true),
                });
            }
        }
        match link.read(deadline) {
            Ok(Heard::Octets | Heard::Wish) => {}
            Ok(Heard::End | Heard::Nothing) | Err(_) => return None,
        }
    }
}

pub fn client(peer: &Peer) -> Option<IpAddr> {
    match peer {
        Peer::Inet(address) => Some(address.ip()),
        Peer::Unix => None,
    }
}

pub fn port(peer: &Peer) -> Option<u16> {
    match peer {
        Peer::Inet(address) => Some(address.port()),
        Peer::Unix => None,
    }
}

/// May it send at all? `None` = it came by a unix socket, which is guarded by its file's permissions.
pub fn is_among(networks: &[IpNet], peer: &Peer) -> Option<bool> {
    let address = client(peer)?;
    Some(networks.iter().any(|network| network.contains(&address)))
}
