//! What a worker needs of the machine once it serves, as its configuration says: files, memory, descriptors. The kernel refuses
//! it the rest.
//!
//! Everything read at load (texts, tables, certificates, keys, passwords) is in memory and needs no file here; sockets with a path
//! (syslog, LMTP) are no files for the sandbox, so a syslog that restarts is found again. Names are looked up by others.
//!
//! Must never: look at the machine; what is not there is left out by whoever makes rules of it.

use std::path::{Path, PathBuf};

use mimicry_core::config::Config;
use mimicry_core::settings::LogTarget;
use mimicry_core::settings::endpoint::NextHop;

use super::ledger::Ledger;
use crate::relay::Remembered;
use crate::sys::sandbox::{Allowed, Rights};

/// What the local time is made of; it may change while the daemon runs.
const TIME: &[&str] = &[
    "/etc/localtime",
    "/etc/zoneinfo",
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
];

/// How much of the machine a worker may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Octets beyond what it is born with.
    pub memory: u64,
    pub descriptors: u64,
}

/// Four times the largest mail, of which rules take three and a half at most, and room for everything else.
pub fn bounds(config: &Config) -> Bounds {
    const REST: u64 = 192 << 20;
    /// What a service has without asking.
    const USUAL: u64 = 1024;
    let mail = config.banks.largest_mail_of_all() as u64;
    // A class may need a new line to its next hop while the line of an earlier mail stands.
    let lines = (config.base.limits.max_classes as u64).saturating_mul(2);
    let listeners = config.listen.len() as u64;
    Bounds {
        memory: mail.saturating_mul(4).saturating_add(REST),
        descriptors: USUAL.saturating_add(lines).saturating_add(listeners),
    }
}

/// The next hops that are directories.
pub fn maildirs(config: &Config) -> impl Iterator<Item = PathBuf> {
    let hops = config.relays().into_iter();
    hops.filter_map(|relay| match relay.next_hop {
        Some(NextHop::Maildir(path)) => Some(path),
        _ => None,
    })
}

/// The files that it may open.
pub fn files(config: &Config) -> Vec<Allowed> {
    let allow = |rights: Rights| move |path: PathBuf| Allowed { path, rights };
    let stores = config.directories_in_use().map(|one| one.path.clone());
    let spool = &config.daemon.spool;
    let own = [Ledger::directory(spool), Remembered::directory(spool)];
    let kept = stores
        .chain(maildirs(config))
        .chain(own)
        .map(allow(Rights::Keep));
    let log = match &config.log.target {
        // It is opened anew when it was moved away, which a rule on the file would not survive.
        LogTarget::File(path) => path.parent().map(directory),
        LogTarget::Syslog(_) | LogTarget::Journal(_) | LogTarget::Stderr => None,
    };
    let log = log.into_iter().map(allow(Rights::Log));
    let read = TIME.iter().map(PathBuf::from);
    kept.chain(log)
        .chain(read.map(allow(Rights::Read)))
        .collect()
}

fn directory(path: &Path) -> PathBuf {
    match path.as_os_str().is_empty() {
        true => ".".into(),
        false => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use mimicry_core::config::files::Given;

    use super::*;

    const HEAD: &str = "[[listen]]\nname = \"in\"\naddress = \"127.0.0.1:0\"\n";

    fn config(text: &str) -> Config {
        let text = format!("{text}\n{HEAD}");
        let given = Given(&|_| Ok(text.clone().into_bytes()));
        let path = Path::new("/mimicry.toml");
        let loaded = mimicry_core::config::load(path, mimicry_plugins::REGISTRY, &given);
        loaded.unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    }

    // T153
    #[test]
    fn only_what_is_configured_is_written_to() {
        const HOP: &str = "[relay]\nnext_hop = \"smtp://127.0.0.1:26\"\n";
        const OWN: [&str; 2] = ["/s/ledger", "/s/next-hops"];
        let archive = |mode: &str| {
            format!(
                "{HOP}[[rule]]\nname = \"a\"\nplugin = \"archive\"\nmode = \"{mode}\"\noptions = {{ dir = \"/a/{{{{ year }}}}\" }}\n"
            )
        };
        for (text, kept, logs) in [
            (HOP.to_string(), vec![], vec![]),
            (archive("enforce"), vec!["/a"], vec![]),
            // Nothing is written there.
            (archive("off"), vec![], vec![]),
            (
                "[relay]\nnext_hop = \"maildir:///m\"\n".into(),
                vec!["/m"],
                vec![],
            ),
            (
                format!(
                    "{HOP}[[bank]]\nname = \"b\"\nwhen = {{ sender = 'x' }}\nnext_hop = \"maildir:///b\"\n"
                ),
                vec!["/b"],
                vec![],
            ),
            (
                format!("{HOP}[log]\ntarget = \"file:/var/log/x/log\"\n"),
                vec![],
                vec!["/var/log/x"],
            ),
            (
                format!("{HOP}[log]\ntarget = \"syslog:/run/log\"\n"),
                vec![],
                vec![],
            ),
        ] {
            let files = files(&config(&format!("[daemon]\nspool = \"/s\"\n{text}")));
            let of = |rights: Rights| {
                let those = files.iter().filter(move |one| one.rights == rights);
                those.map(|one| one.path.clone()).collect::<Vec<_>>()
            };
            let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
            assert_eq!(
                of(Rights::Keep),
                paths(&[&kept[..], &OWN].concat()),
                "{text}"
            );
            assert_eq!(of(Rights::Log), paths(&logs), "{text}");
            // Neither passwords nor keys nor the configuration are below what may be read.
            for secret in [
                "/etc/shadow",
                "/etc/mimicry/mimicry.toml",
                "/etc/ssl/private/k",
                "/proc/1/mem",
                "/s/poison",
                "/home/x",
            ] {
                let is_open = files
                    .iter()
                    .any(|one| Path::new(secret).starts_with(&one.path));
                assert!(!is_open, "{secret}");
            }
        }
    }

    // T153
    #[test]
    fn bounds_follow_the_limits() {
        const REST: u64 = 192 << 20;
        let hop = "[relay]\nnext_hop = \"smtp://127.0.0.1:26\"\n";
        for (text, memory, descriptors) in [
            ("", (400 << 20) + REST, 1024 + 64 + 1),
            (
                "[limits]\nmail = \"1M\"\nmax_classes = 100\n",
                (4 << 20) + REST,
                1024 + 200 + 1,
            ),
            (
                "[[bank]]\nname = \"b\"\nwhen = { sender = 'x' }\nlimits = { mail = \"500M\" }\n",
                (2000 << 20) + REST,
                1024 + 64 + 1,
            ),
        ] {
            let bounds = bounds(&config(&format!("{hop}{text}")));
            assert_eq!(
                bounds,
                Bounds {
                    memory,
                    descriptors
                },
                "{text}"
            );
        }
    }
}
