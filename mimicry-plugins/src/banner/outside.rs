//! Which mail is from outside.
//!
//! Must never: take a mail for one from inside because of what a sender outside can write, unless the configuration has
//! nothing better to go by, which is warned of at load.

use ipnet::IpNet;
use mimicry_core::domain::Names;
use mimicry_core::mail::Mail;
use mimicry_core::message::address::filter_text;
use mimicry_core::plugin::{OptionError, Options};
use mimicry_core::rule::filter::parse_network;

/// What comes from outside: fixed by the rule.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// `None` = not given: then the senders' domains decide.
    internal: Option<Vec<IpNet>>,
    own: Names,
    trusted: Names,
}

/// Where a mail came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Inside,
    /// From outside, by a sender who is trusted.
    Trusted,
    Outside {
        /// The sender says that it is of an own domain.
        says_own: bool,
    },
}

impl Outside {
    pub(super) fn read(options: &Options) -> Result<Outside, Vec<OptionError>> {
        let mut errors = Vec::new();
        let mut internal = Vec::new();
        for text in options.list("internal_clients") {
            match parse_network(text) {
                Ok(network) => internal.push(network),
                Err(help) => errors.push(OptionError::new(
                    "internal_clients",
                    format!("`{text}` is no network"),
                    help,
                )),
            }
        }
        let mut trusted = Vec::new();
        for text in options.list("trusted") {
            let name = text.trim().trim_end_matches('.').to_lowercase();
            let domain = match name.rsplit_once('@') {
                Some((local, domain)) if !local.is_empty() => domain,
                _ => &name,
            };
            let is_domain = !domain.is_empty()
                && !domain.starts_with('.')
                && !domain.contains(|c: char| c == '@' || c == '*' || c.is_whitespace());
            if !is_domain {
                errors.push(OptionError::new(
                    "trusted",
                    format!("`{text}` is no address and no domain"),
                    "a domain is written as \"example.org\" and includes its subdomains",
                ));
            }
            trusted.push(name);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Outside {
            internal: options.is_set("internal_clients").then_some(internal),
            own: Names::new(options.list("own_domains")),
            trusted: Names::new(trusted),
        })
    }

    /// Whether what a sender writes decides.
    pub(super) fn is_forgeable(&self) -> bool {
        self.internal.is_none() && !self.own.is_empty()
    }

    /// The networks of clients inside, if they are what decides.
    pub(super) fn internal_clients(&self) -> Option<&[IpNet]> {
        self.internal.as_deref()
    }

    pub(super) fn side(&self, mail: &Mail) -> Side {
        let is_internal = mail.origin.client.is_some_and(|client| {
            let client = client.to_canonical();
            let mut networks = self.internal.iter().flatten();
            networks.any(|network| network.contains(&client))
        });
        if mail.origin.auth_user.is_some() || is_internal {
            return Side::Inside;
        }
        let root = mail.message.root();
        let senders: Vec<String> = root
            .fields()
            .filter(|field| field.is("from") || field.is("sender"))
            .flat_map(|field| filter_text(field.value()))
            .collect();
        let envelope = String::from_utf8_lossy(mail.envelope.sender.as_bytes());
        let is_own = |address: &str| self.own.hold(address);
        let header_is_own = !senders.is_empty() && senders.iter().all(|sender| is_own(sender));
        // The null return path is nobody's.
        let envelope_is_own = envelope.is_empty() || is_own(&envelope);
        if self.internal.is_none() && header_is_own && envelope_is_own {
            return Side::Inside;
        }
        let says_own = is_own(&envelope) || senders.iter().any(|sender| is_own(sender));
        if !senders.is_empty() && senders.iter().all(|sender| self.trusted.hold(sender)) {
            return Side::Trusted;
        }
        Side::Outside { says_own }
    }
}
