//! A next hop together with the terms of its connections. Two routes that differ in anything have separate connections.
//!
//! Must never: hold a secret; it names the files that do ([`super::keys`]).

use std::path::PathBuf;
use std::time::Duration;

use mimicry_core::settings::endpoint::{Address, NextHop, Protocol};
use mimicry_core::settings::fingerprint::Fingerprint;
use mimicry_core::settings::words::{LmtpPartial, Tls};
use mimicry_core::settings::{Login, Relay, Timeouts};

/// Where a mail goes, and on what terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    pub next_hop: NextHop,
    pub tls: Tls,
    pub ca_file: Option<PathBuf>,
    /// The certificates that it may show; empty = it is not pinned.
    pub pins: Vec<Fingerprint>,
    pub login: Option<Login>,
    pub lmtp_partial: Option<LmtpPartial>,
    /// The name given in EHLO.
    pub helo: String,
    /// Lines that all workers together may have.
    pub connections: usize,
    /// How long who holds a line waits for another one.
    pub connection_wait: Duration,
    pub timeouts: Timeouts,
}

/// How much TLS a next hop gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    Clear,
    /// STARTTLS where it is offered and works; with any certificate.
    May,
    /// STARTTLS; nothing is said without it.
    Must(Check),
    /// From the first octet.
    Implicit(Check),
}

/// What is asked of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// None is refused: who listens learns nothing, who stands in between learns all.
    Any,
    /// The name of the next hop, the dates, and descent from an authority that is trusted.
    Valid,
    /// It is one of those that the configuration names, whoever signed it and whatever else it says.
    Pinned,
}

impl Route {
    /// `None` = the settings name no next hop. `hostname` is the name that mimicry has otherwise.
    pub fn of(relay: &Relay, hostname: &str) -> Option<Route> {
        Some(Route {
            next_hop: relay.next_hop.clone()?,
            tls: relay.tls,
            ca_file: relay.ca_file.clone(),
            pins: relay.tls_fingerprint.clone().unwrap_or_default(),
            login: relay.login.clone(),
            lmtp_partial: relay.lmtp_partial,
            helo: relay
                .helo_name
                .clone()
                .unwrap_or_else(|| hostname.to_string()),
            connections: relay.connections,
            connection_wait: relay.connection_wait,
            timeouts: relay.timeouts,
        })
    }

    /// Must each recipient have a transaction of its own? A client that speaks `client` hears one reply for all of them while
    /// the next hop gives one for each; with a ledger the retry brings the mail to those alone who have not got it.
    pub fn is_one_by_one(&self, client: Protocol, has_ledger: bool) -> bool {
        let partial = match self.lmtp_partial {
            Some(partial) => partial,
            None if has_ledger => LmtpPartial::Class,
            None => LmtpPartial::Single,
        };
        self.replies_per_recipient() && client == Protocol::Smtp && partial == LmtpPartial::Single
    }

    /// Does the next hop say behind the final dot what becomes of each recipient?
    pub fn replies_per_recipient(&self) -> bool {
        matches!(
            self.next_hop,
            NextHop::Server {
                protocol: Protocol::Lmtp,
                ..
            }
        )
    }

    pub fn security(&self) -> Security {
        security(&self.next_hop, self.tls, !self.pins.is_empty())
    }
}

/// What `tls` means for a next hop. A unix socket never leaves the machine, and smtps:// has TLS whatever `tls` says; only
/// the certificate may be anything then if it says so. Where a certificate is pinned, that one alone will do.
pub fn security(next_hop: &NextHop, tls: Tls, is_pinned: bool) -> Security {
    let check = |otherwise| if is_pinned { Check::Pinned } else { otherwise };
    match (next_hop, tls) {
        (
            NextHop::Maildir(_)
            | NextHop::Server {
                address: Address::Unix(_),
                ..
            },
            _,
        ) => Security::Clear,
        (
            NextHop::Server {
                implicit_tls: true, ..
            },
            Tls::None | Tls::Verify,
        ) => Security::Implicit(check(Check::Valid)),
        (
            NextHop::Server {
                implicit_tls: true, ..
            },
            Tls::May | Tls::Encrypt,
        ) => Security::Implicit(check(Check::Any)),
        (_, Tls::None) => Security::Clear,
        (_, Tls::May) => Security::May,
        (_, Tls::Encrypt) => Security::Must(check(Check::Any)),
        (_, Tls::Verify) => Security::Must(check(Check::Valid)),
    }
}

impl Security {
    /// `None` = no TLS.
    pub fn check(self) -> Option<Check> {
        match self {
            Security::Clear => None,
            Security::May => Some(Check::Any),
            Security::Must(check) | Security::Implicit(check) => Some(check),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::route;
    use super::*;

    /// man: mimicry.toml(5) "Unset, it is class where the ledger is in force, and single where it is not."
    #[test]
    fn whose_recipients_go_one_by_one() {
        use LmtpPartial::{Class, Single};
        for (hop, client, partial, with_ledger, without) in [
            ("lmtp://h:24", Protocol::Smtp, None, false, true),
            ("lmtp:///run/l", Protocol::Smtp, None, false, true),
            ("lmtp://h:24", Protocol::Smtp, Some(Single), true, true),
            ("lmtp://h:24", Protocol::Smtp, Some(Class), false, false),
            ("lmtp://h:24", Protocol::Lmtp, Some(Single), false, false),
            ("smtp://h:25", Protocol::Smtp, Some(Single), false, false),
            ("maildir:///m", Protocol::Smtp, None, false, false),
        ] {
            let route = Route {
                lmtp_partial: partial,
                ..route(hop)
            };
            let found = [true, false].map(|has_ledger| route.is_one_by_one(client, has_ledger));
            assert_eq!(
                found,
                [with_ledger, without],
                "{hop} {client:?} {partial:?}"
            );
        }
    }

    /// man: mimicry.toml(5) "A unix socket has no TLS."
    /// man: mimicry.toml(5) "smtps:// has TLS from the first octet, with a valid certificate unless this says may or encrypt."
    #[test]
    fn what_tls_means() {
        use Check::{Any, Valid};
        use Security::{Clear, Implicit, May, Must};
        for (next_hop, none, may, encrypt, verify) in [
            ("smtp://mx", Clear, May, Must(Any), Must(Valid)),
            ("lmtp://mx:24", Clear, May, Must(Any), Must(Valid)),
            (
                "smtps://mx",
                Implicit(Valid),
                Implicit(Any),
                Implicit(Any),
                Implicit(Valid),
            ),
            ("lmtp:///run/l", Clear, Clear, Clear, Clear),
            ("smtp:///run/s", Clear, Clear, Clear, Clear),
        ] {
            let hop = NextHop::parse(next_hop).unwrap();
            let words = [Tls::None, Tls::May, Tls::Encrypt, Tls::Verify];
            let found = words.map(|tls| security(&hop, tls, false));
            assert_eq!(found, [none, may, encrypt, verify], "{next_hop}");
            // T190: a pin changes what is asked of the certificate, and nothing else.
            let pinned = words.map(|tls| security(&hop, tls, true));
            let expected = [none, may, encrypt, verify].map(|security| match security {
                Must(_) => Must(Check::Pinned),
                Implicit(_) => Implicit(Check::Pinned),
                other => other,
            });
            assert_eq!(pinned, expected, "{next_hop}");
        }
    }
}
