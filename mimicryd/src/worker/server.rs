//! What a worker keeps from one connection to the next, and how it begins one: who the client is, what the banks say for it, and
//! what it is offered.
//!
//! Must never: read a client's command; the conversation ([`super::serve`]) does.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mimicry_core::config::typed::Config;
use mimicry_core::envelope::Path;
use mimicry_core::extension::{Extension, Extensions};
use mimicry_core::origin::Origin;
use mimicry_core::policy::{Effective, Known, Memo};
use mimicry_core::reply::By;
use mimicry_core::seals::SealKeys;
use mimicry_core::settings::words::Profile;

use super::certificates::Certificates;
use super::delivery::Delivery;
use super::ledger::Ledger;
use super::link::Link;
use super::pace::Pace;
use super::peer::{behind_balancer, client, is_among, port};
use super::quiet::Quiet;
use super::refusal::Event;
use super::serve::{Conversation, Over};
use super::terms::{machine, terms};
use crate::machine;
use crate::prefork::contract::{Accepted, Serve, SessionEnd};
use crate::prefork::hops;
use crate::prefork::life::Life;
use crate::prefork::listen::Peer;
use crate::prefork::scoreboard::{Network, Slot};
use crate::relay::{Keys, Pool, Remembered, Route};
use crate::smtp::session::Session;
use crate::smtp::step::MailTerms;
use crate::smtp::wire::Wire;

/// The server of one worker.
pub struct Server {
    config: Arc<Config>,
    /// The name of the machine.
    machine: String,
    /// One for each next hop that a mail may have.
    routes: Vec<Rc<Route>>,
    memo: Memo,
    pool: Pool,
    wire: Wire,
    certificates: Arc<Certificates>,
    ledger: Ledger,
    seal_keys: Arc<SealKeys>,
    quiet: Quiet,
}

/// What the master made for all workers of a configuration.
#[derive(Clone)]
pub struct Shared {
    pub keys: Arc<Keys>,
    pub certificates: Arc<Certificates>,
    pub seal_keys: Arc<SealKeys>,
    pub hops: hops::Known,
}

impl Server {
    /// Made in the worker.
    pub fn new(config: Arc<Config>, shared: Shared, slot: &Slot) -> Result<Server, String> {
        let Shared {
            keys,
            certificates,
            seal_keys,
            hops,
        } = shared;
        // Where they are, the master says.
        hops.values().for_each(hops::Hop::give_up);
        let machine = machine();
        let hostname = config.base.hostname.as_ref().unwrap_or(&machine);
        let routes: Vec<Rc<Route>> = config
            .relays()
            .iter()
            .filter_map(|relay| Route::of(relay, hostname).map(Rc::new))
            .collect();
        if config.base.next_hop.is_none() {
            return Err("the configuration has no next hop".into());
        }
        // The master looked at them as root, who may go everywhere.
        machine::reach(&config);
        let pool = Pool::new(keys, Remembered::below(&config.daemon.spool), hops);
        let (ledger, fault) = Ledger::open(&config.daemon.spool);
        let ledger = ledger.telling(slot.board().tally().cloned());
        // That there is none the master has said.
        if let Some(error) = fault.filter(|error| error.kind() != io::ErrorKind::NotFound) {
            log::warn!(
                "the ledger below {} cannot be written: {error}; a retry of a mail that only some recipients got goes to all of them",
                config.daemon.spool.display()
            );
        }
        Ok(Server {
            ledger,
            seal_keys,
            quiet: Quiet::default(),
            wire: Wire::new(config.base.limits.line),
            machine,
            routes,
            memo: Memo::default(),
            pool,
            certificates,
            config,
        })
    }
}

impl Server {
    fn say_sums(&mut self, all: bool) {
        for sum in self.quiet.sums(Instant::now(), all) {
            log::warn!("{}", sum.text());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.say_sums(true);
    }
}

/// Does its network have as many connections as it may have already? If not, this is one of them.
fn is_crowded(slot: &Slot, peer: &Peer, settings: &Effective) -> bool {
    let most = settings.limits.connections_per_client;
    let Some(client) = client(peer).filter(|_| most > 0) else {
        return false;
    };
    let is_crowded = slot.come_from(Network::of(client)) >= most;
    if is_crowded {
        slot.leave_network();
    }
    is_crowded
}

impl Serve for Server {
    fn rest(&mut self) {
        self.pool.tidy();
        self.say_sums(false);
    }

    fn give_back(&mut self) {
        self.pool.give_back();
    }

    // Longer than 80 lines: the conversation borrows what is found out here, and is made of it in one place.
    fn session(&mut self, connection: Accepted, slot: &Slot, life: &Life) -> SessionEnd {
        let config = Arc::clone(&self.config);
        let Some(listen) = config.listen.get(connection.listener) else {
            return SessionEnd::Served;
        };
        self.pool.tidy();
        self.ledger.sweep();
        self.say_sums(false);
        self.wire.reset(config.base.limits.line);
        let mut link = Link::new(connection.socket, &mut self.wire, life);
        let Some((peer, is_balancer)) = behind_balancer(&mut link, listen, connection.peer) else {
            slot.add(Event::ClientRefused.counter(), 1);
            let (event, from) = (Event::ClientRefused, client(&connection.peer));
            if self.quiet.says(event, By::Client, from, Instant::now()) {
                log::warn!(
                    "{} on {}: no header of the PROXY protocol",
                    connection.peer,
                    listen.name
                );
            }
            return SessionEnd::Served;
        };
        let welcome = is_balancer || is_among(&listen.clients, &peer).unwrap_or(true);
        let origin = Origin {
            client: client(&peer),
            port: port(&peer),
            listener: Some(listen.name.clone()),
            ..Origin::default()
        };
        let banks = &config.banks;
        let choice = banks.choose(&Known::at_connect(&origin));
        let settings = Arc::clone(&self.memo.standing(banks, &choice).settings);
        let terms = terms(&settings, listen.protocol, &self.machine);
        link.wire.allow(settings.limits.line);
        let tls = self.certificates.of(connection.listener);
        // A sender may have more than others who come by this listener.
        let mut offer = Extensions::ours(banks.largest_mail_from(&origin));
        let tells_origin = listen.xforward_clients.contains(client(&peer));
        let believes_auth = listen.auth_clients.contains(client(&peer));
        if believes_auth || tells_origin {
            offer.add(Extension::Auth);
        }
        offer.keep(Extension::Xforward, tells_origin);
        offer.keep(Extension::StartTls, tls.is_some());
        // Who speaks for many, or cannot be told apart from others, has as many connections as it wants.
        let is_counted = welcome && !is_balancer && !tells_origin && !believes_auth;
        let is_crowded = is_counted && is_crowded(slot, &peer, &settings);
        let memo = &self.memo;
        let find_terms = |origin: &Origin, sender: &Path| {
            let choice = banks.choose(&Known::at_mail(origin, sender));
            let settings = &memo.standing(banks, &choice).settings;
            MailTerms {
                mail: settings.limits.mail,
                recipients: settings.limits.recipients,
                bare_newline: settings.bare_newline,
                mbox_line: settings.mbox_line,
            }
        };
        let mut conversation = Conversation {
            config: &config,
            hostname: &terms.hostname,
            ends_at: Instant::now().checked_add(settings.limits.session_timeout),
            settings,
            memo,
            seal_keys: &self.seal_keys,
            routes: &self.routes,
            pool: &mut self.pool,
            ledger: &self.ledger,
            link,
            slot,
            quiet: &mut self.quiet,
            peer,
            tls,
            is_before_queue: listen.profile == Profile::BeforeQueue,
            session: Session::new(&terms, offer, origin)
                .with_terms(&find_terms)
                .believing_auth(believes_auth),
            delivery: Delivery::default(),
            id: None,
            sender: None,
            answered: None,
            broken: false,
            is_leaving: false,
            pace: Pace::of_commands(),
        };
        let over = match is_crowded {
            true => conversation.turn_away(),
            false => conversation.run(welcome),
        };
        if let Err(Over::Gone) = over {
            conversation.gone();
        }
        slot.leave_network();
        conversation.link.farewell();
        conversation.forget();
        match conversation.broken {
            true => SessionEnd::Broken,
            false => SessionEnd::Served,
        }
    }
}
