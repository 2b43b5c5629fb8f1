//! Whom a listener believes: networks, and whoever comes by its unix socket.
//!
//! Must never: take the word of a client that is not named.

use std::net::IpAddr;

use ipnet::IpNet;

/// In a list of networks, whoever comes by the unix socket.
pub const UNIX: &str = "unix";

/// Clients that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    pub networks: Vec<IpNet>,
    /// Those of a unix socket, which have no address: the permissions of its file decide who they are.
    pub unix: bool,
}

/// One of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Network(IpNet),
    Unix,
}

impl Trusted {
    /// `None` = a client of a unix socket.
    pub fn contains(&self, client: Option<IpAddr>) -> bool {
        match client {
            Some(address) => self.networks.iter().any(|one| one.contains(&address)),
            None => self.unix,
        }
    }

    /// Is nobody believed?
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }
}

impl FromIterator<Entry> for Trusted {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Trusted {
        let mut trusted = Trusted::default();
        for entry in entries {
            match entry {
                Entry::Network(network) => trusted.networks.push(network),
                Entry::Unix => trusted.unix = true,
            }
        }
        trusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_believed() {
        let network = Entry::Network("192.0.2.0/24".parse().unwrap());
        for (entries, client, expected) in [
            (vec![], None, false),
            (vec![], Some("192.0.2.1"), false),
            (vec![network], Some("192.0.2.1"), true),
            (vec![network], Some("198.51.100.1"), false),
            (vec![network], None, false),
            (vec![Entry::Unix], None, true),
            (vec![Entry::Unix], Some("192.0.2.1"), false),
            (vec![Entry::Unix, network], Some("192.0.2.1"), true),
        ] {
            let trusted: Trusted = entries.iter().copied().collect();
            let client = client.map(|client: &str| client.parse().unwrap());
            assert_eq!(trusted.contains(client), expected, "{entries:?} {client:?}");
            assert_eq!(trusted.is_empty(), entries.is_empty());
        }
    }
}
