//! The table `relay`: who gets the mail, on what terms, and who may get the password.
//!
//! A password goes over a network only to a next hop that proves to be the one meant: by a certificate that is valid
//! (`tls = "verify"`, or `smtps://` without a weaker word) or that is named (`tls_fingerprint`). Anything else is a
//! mistake at load, for the next hop of the base and for that of each bank, because all of them get the same password
//! (T190).
//!
//! Must never: read a file, or let a password go to an unproved next hop.

use toml::de::DeTable;

use crate::plugin::Value;
use crate::settings::endpoint::NextHop;
use crate::settings::given::Given;
use crate::settings::words::Tls;
use crate::settings::{Listen, Relay};

use super::read::Reader;
use super::section::Section;
use super::tables::together;
use super::typed::Places;

/// The table, and whether it is known from it who would get the password: where one of its words is wrong, it is not.
pub(super) fn relay(
    reader: &mut Reader<'_>,
    tree: &DeTable<'_>,
    listen: &[Listen],
    places: &mut Places,
) -> Option<(Relay, bool)> {
    let table = reader.table(tree, "relay");
    places.connections = (table.is_given("connections")).then(|| table.span("connections"));
    let relay: Relay = table.read()?;
    tls_fits(reader, &table, &relay);
    no_circle(reader, &table, listen);
    together(reader, &table, "user", "password_file");
    reader
        .named
        .extend(table.named_files(&["ca_file", "password_file"]));
    let is_known = !["tls", "tls_fingerprint", "next_hop"]
        .into_iter()
        .any(|name| table.is_wrong(name));
    if let (Some(next_hop), true) = (&relay.next_hop, is_known)
        && !may_know_password(&relay, next_hop)
    {
        let place = table.key_span("user");
        complain_of_password(reader, place, next_hop);
    }
    Some((relay, is_known))
}

/// Complains of each bank whose next hop would get the password of `relay` without having proved who it is.
pub(super) fn keep_the_password(reader: &mut Reader<'_>, relay: &Relay, banks: &[Section<'_, '_>]) {
    for bank in banks {
        if let Some(Given::NextHop(next_hop)) = bank.get("next_hop")
            && !may_know_password(relay, next_hop)
        {
            complain_of_password(reader, bank.span("next_hop"), next_hop);
        }
    }
}

/// Complains of a next hop, of `relay` or of a bank, that is a listener of this file.
pub(super) fn no_circle(reader: &mut Reader<'_>, section: &Section<'_, '_>, listen: &[Listen]) {
    let Some(Given::NextHop(next_hop)) = section.get("next_hop") else {
        return;
    };
    let own = listen
        .iter()
        .find(|listen| listen.address.is_reached_by(next_hop));
    if let Some(own) = own {
        reader.complaints.error(
            section.span("next_hop"),
            format!("{next_hop} is the listener \"{}\" of this file: mail would go round in a loop", own.name),
            "name the address where the MTA takes mail back, such as next_hop = \"smtp://127.0.0.1:10026\"",
        );
    }
}

/// Warns where workers or classes may want more connections to a next hop than there may be.
pub(super) fn connections_suffice(
    reader: &mut Reader<'_>,
    places: &Places,
    relay: &Relay,
    (workers, classes): (usize, usize),
) {
    if matches!(relay.next_hop, None | Some(NextHop::Maildir(_))) {
        return;
    }
    let connections = relay.connections;
    let place = places.connections.clone().unwrap_or(places.workers.clone());
    if connections < workers {
        reader.complaints.warning(
            place,
            format!("up to {workers} workers share {connections} connections to a next hop, so mails wait for one another"),
            format!("write workers.max = {connections}, or raise `connections` if the next hop serves more"),
        );
    } else if connections < classes {
        let all = workers.saturating_mul(classes);
        reader.complaints.warning(
            place,
            format!("a mail may want {classes} connections to a next hop, one for each class of its recipients, and all {workers} workers {all}; there may be {connections}"),
            "recipients of further classes get 452 and come again; raise `connections` if the next hop serves more",
        );
    }
}

/// Warns where one client may have all workers: the limits of the file, or of a bank, let its connections be no fewer.
pub(super) fn no_client_takes_all<'s>(
    reader: &mut Reader<'_>,
    sections: impl Iterator<Item = &'s Section<'s, 's>>,
    workers: usize,
) {
    const NAMES: [&str; 2] = ["connections_per_client", "limits.connections_per_client"];
    let named = sections.flat_map(|section| NAMES.map(|name| (section, name)));
    for (section, name) in named {
        let Some(Given::Plain(Value::Integer(number))) = section.given(name) else {
            continue;
        };
        let number = usize::try_from(*number).unwrap_or_default();
        if number > 0 && number >= workers {
            reader.complaints.warning(
                section.span(name),
                format!("one client may have {number} connections, and there are at most {workers} workers: it can take all of them"),
                format!("write fewer than workers.max, such as {name} = {}, or 0 where that does not matter", (workers / 4).max(1)),
            );
        }
    }
}

/// May a next hop be told the password, if there is one?
fn may_know_password(relay: &Relay, next_hop: &NextHop) -> bool {
    let NextHop::Server { implicit_tls, .. } = next_hop else {
        return true;
    };
    if relay.login.is_none() || next_hop.is_local() {
        return true;
    }
    let is_pinned = relay.tls_fingerprint.is_some();
    match relay.tls {
        Tls::Verify => true,
        Tls::Encrypt => is_pinned,
        Tls::None => *implicit_tls,
        Tls::May => *implicit_tls && is_pinned,
    }
}

fn complain_of_password(
    reader: &mut Reader<'_>,
    place: std::ops::Range<usize>,
    next_hop: &NextHop,
) {
    reader.complaints.error(
        place,
        format!("whoever answers at {next_hop} would get the password"),
        "write tls = \"verify\"; if its certificate cannot be verified, tls = \"encrypt\" and its SHA-256 in tls_fingerprint",
    );
}

/// Complains of what says something of TLS to a next hop that has none.
fn tls_fits(reader: &mut Reader<'_>, table: &Section<'_, '_>, relay: &Relay) {
    let tls = relay.tls;
    let is_pinned = table.is_given("tls_fingerprint");
    let complaints = &mut reader.complaints;
    match &relay.next_hop {
        Some(NextHop::Maildir(_)) if tls != Tls::None => {
            complaints.error(
                table.span("tls"),
                "a Maildir speaks no TLS",
                "leave `tls` out",
            );
        }
        Some(NextHop::Server {
            implicit_tls: false,
            ..
        }) if !table.is_wrong("tls") => {
            if table.is_given("ca_file") && tls == Tls::None {
                complaints.warning(
                    table.key_span("ca_file"),
                    "`ca_file` has no effect without TLS",
                    "write tls = \"verify\"",
                );
            }
            if is_pinned && matches!(tls, Tls::None | Tls::May) {
                complaints.warning(
                    table.key_span("tls_fingerprint"),
                    "`tls_fingerprint` has no effect if mail may go without TLS",
                    "write tls = \"encrypt\"",
                );
            }
        }
        _ => {}
    }
    if is_pinned && table.is_given("ca_file") {
        complaints.warning(
            table.key_span("ca_file"),
            "`ca_file` has no effect beside `tls_fingerprint`",
            "the named certificate counts, whoever signed it; leave one of them out",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fingerprint::Fingerprint;
    use crate::settings::{Login, Timeouts};

    // T190: every way to reach a next hop, with each word of `tls`, with and without a pin
    #[test]
    fn who_may_be_told_the_password() {
        let local = "smtp://127.0.0.1|smtp://[::1]|smtp://localhost|lmtp:///run/l|smtp:///run/s|maildir:///m|smtps://localhost|smtp://LOCALHOST|\
            smtp://localhost.|smtp://127.0.0.2|smtp://[::ffff:127.0.0.1]";
        let words = [Tls::None, Tls::May, Tls::Encrypt, Tls::Verify];
        for (hops, pinned, expected) in [
            (local, false, [true; 4]),
            (
                "smtp://mx|smtp://192.0.2.1|lmtp://mx:24",
                false,
                [false, false, false, true],
            ),
            ("smtp://mx|lmtp://mx:24", true, [false, false, true, true]),
            ("smtps://mx", false, [true, false, false, true]),
            ("smtps://mx", true, [true; 4]),
        ] {
            for hop in hops.split('|') {
                let next_hop = NextHop::parse(hop).unwrap();
                let found = words.map(|tls| {
                    let relay = Relay {
                        tls,
                        login: Some(Login {
                            user: "me".into(),
                            password_file: "p".into(),
                        }),
                        tls_fingerprint: pinned.then(|| vec![Fingerprint([0; 32])]),
                        ..nobody()
                    };
                    assert!(may_know_password(
                        &Relay {
                            login: None,
                            ..relay.clone()
                        },
                        &next_hop
                    ));
                    may_know_password(&relay, &next_hop)
                });
                assert_eq!(found, expected, "{hop} {pinned}");
            }
        }
    }

    fn nobody() -> Relay {
        let second = std::time::Duration::from_secs(1);
        Relay {
            next_hop: None,
            tls: Tls::None,
            ca_file: None,
            tls_fingerprint: None,
            login: None,
            lmtp_partial: None,
            helo_name: None,
            connections: 1,
            connection_wait: second,
            timeouts: Timeouts {
                connect: second,
                helo: second,
                mail: second,
                rcpt: second,
                data: second,
                data_block: second,
                dot: second,
                quit: second,
                rset: second,
            },
        }
    }
}
