//! What a mail costs through the real daemon, beside no relay at all (the floor) and beside HAProxy as a relay of TCP.
//! `t/bench/run`, or `cargo bench -p mimicryd --bench load`.
//!
//! Client and sink are threads of this program, one each, as smtp-source and smtp-sink are processes, but they wait with epoll, cost
//! less and know the latency of each mail. They speak over loopback, straight or through one of the two relays; every mail
//! must be taken by the sink before it counts, and what arrives is looked at once for each load. Three kinds of mail and
//! seven loads: see [`LOADS`].
//!
//! A measurement is a fresh set of sessions for a second and at least two mails of each, with a part before it that is not counted. Sessions send
//! 20 mails each, with MAIL, RCPT and DATA in one write, as Postfix does with connections that it keeps; `--lone` is one mail for
//! each session and `--no-pipelining` one command for each write, as smtp-source does, for all three alike.
//! Floor, HAProxy and mimicry take turns in each round, so that a disturbance hits all of them, and each figure is the median of
//! the rounds; p50 and p99 are of a round's mails. Figures:
//!
//! - mails/s: final replies within the counted part
//! - latency: from the first octet of MAIL to the last of the final reply
//! - CPU: the time on a processor of the daemon's master and all workers, dead ones too, from before the first session to after the
//!   last, divided by all mails; client and sink are not in it
//! - memory: the proportional set size of workers of a daemon that runs alone, outside of the rounds: before their first
//!   mail, while ten sessions send (the greatest that was seen), and when they were idle for a second and a half
//! - deflate alone: the attachments of the fourth mail, decoded, through the back-end of the plugin Zip at its level
//!
//! `--quick` is one short round, `--rounds N` so many, `--only WORDS` only loads with these words in their names.
//!
//! Known limits: client, sink and the program under test share the processors, so mails/s depend on how many there are, and a
//! figure of a machine that does other work is too bad; the share that other programs had is printed. With few mails in a round p99 is the slowest of them. Sessions never
//! wait between mails. A target that is missed is printed and is no failure.
//!
//! Must never: count a mail that was not taken, or stop a process that it did not start.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use harness::daemon::{Daemon, Setup};
use harness::hop::Hop;
use nix::unistd::Pid;

use client::{Manner, Plan, drive};
use haproxy::HaProxy;
use report::{Figure, Memory, Results};
use sink::Sink;

mod account;
mod attachments;
mod client;
mod haproxy;
#[allow(dead_code)]
#[path = "../harness/mod.rs"]
mod harness;
mod report;
mod sink;

pub const SESSIONS: [usize; 3] = [1, 10, 50];

/// Where targets hold.
pub const JUDGED: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Text,
    Newsletter,
    Attachments,
}

#[derive(Clone, Copy, Debug)]
pub enum CpuTarget {
    Milliseconds(f64),
    /// So many times deflating the attachments alone.
    Deflate(f64),
}

#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub name: &'static str,
    pub kind: Kind,
    rules: &'static str,
    /// The mail that arrived is right?
    arrived: fn(sent: &[u8], arrived: &[u8]) -> bool,
    pub cpu: CpuTarget,
    /// Speed and latency have targets.
    pub is_compared: bool,
}

pub const LOADS: [Load; 7] = [
    Load {
        name: "2 KB text, passed on",
        kind: Kind::Text,
        rules: "",
        arrived: |sent, arrived| arrived.ends_with(sent),
        cpu: CpuTarget::Milliseconds(0.3),
        is_compared: true,
    },
    Load {
        name: "2 KB text, disclaimer",
        kind: Kind::Text,
        rules: harness::FOOTER,
        arrived: has_footer,
        cpu: CpuTarget::Milliseconds(0.4),
        is_compared: true,
    },
    Load {
        name: "57 KB multipart/alternative, disclaimer",
        kind: Kind::Newsletter,
        rules: harness::FOOTER,
        arrived: has_footer,
        cpu: CpuTarget::Milliseconds(0.9),
        is_compared: true,
    },
    Load {
        name: "57 KB multipart/alternative, passed on",
        kind: Kind::Newsletter,
        rules: "",
        arrived: |sent, arrived| arrived.ends_with(sent),
        cpu: CpuTarget::Milliseconds(0.5),
        is_compared: true,
    },
    Load {
        name: "1.2 MB with three attachments, passed on",
        kind: Kind::Attachments,
        rules: "",
        arrived: |sent, arrived| arrived.ends_with(sent),
        cpu: CpuTarget::Milliseconds(3.5),
        is_compared: false,
    },
    Load {
        name: "1.2 MB with three attachments, disclaimer",
        kind: Kind::Attachments,
        rules: harness::FOOTER,
        arrived: has_footer,
        cpu: CpuTarget::Milliseconds(4.0),
        is_compared: false,
    },
    Load {
        name: "1.2 MB with three attachments, zipped",
        kind: Kind::Attachments,
        rules: harness::ZIP,
        arrived: |sent, arrived| {
            harness::contains(arrived, b"all.zip") && arrived.len() < sent.len() / 2
        },
        cpu: CpuTarget::Deflate(1.15),
        is_compared: false,
    },
];

/// What stands between client and sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum System {
    Floor,
    HaProxy,
    /// With the rules of this load.
    Mimicry(usize),
}

fn main() {
    let Some(wish) = Wish::of(std::env::args().skip(1)) else {
        println!("t/bench/run measures; see the head of t/bench/main.rs");
        return;
    };
    let loads: Vec<usize> = (0..LOADS.len())
        .filter(|load| LOADS[*load].name.contains(&wish.only))
        .collect();
    assert!(!loads.is_empty(), "no load has {:?} in its name", wish.only);
    let stage = Stage {
        sink: Sink::start(),
        nobody: Hop::new(),
        mails: [Kind::Text, Kind::Newsletter, Kind::Attachments]
            .map(|kind| client::stuffed(&mail(kind))),
        wish,
    };
    let mut results = Results::new(stage.wish.manner, stage.wish.rounds);
    for load in &loads {
        results.memory(*load, stage.memory(*load));
    }
    let systems = Systems::start(&stage, &loads);
    for (system, kind) in systems.pairs(&loads) {
        stage.probe(&systems, system, kind);
    }
    let contents = attachments::contents();
    let begins = Share::now(&systems);
    for round in 1..=stage.wish.rounds {
        eprintln!("round {round} of {}", stage.wish.rounds);
        let before = account::this_thread();
        let octets: usize = (0..DEFLATES).map(|_| attachments::deflate(&contents)).sum();
        assert!(octets > 0);
        results.deflate((account::this_thread() - before) / f64::from(DEFLATES));
        for sessions in SESSIONS {
            for (system, kind) in systems.pairs(&loads) {
                let figure = stage.measure(&systems, system, kind, sessions);
                results.figure(system, kind, sessions, figure);
            }
        }
    }
    results.others(Share::now(&systems).others_since(&begins));
    print!("{}", results.report(&loads));
}

const DEFLATES: u32 = 5;

/// Who has had the processors until a moment, in milliseconds.
struct Share {
    all: f64,
    idle: f64,
    ours: f64,
}

impl Share {
    fn now(systems: &Systems) -> Share {
        let (all, idle) = account::processors();
        let daemons = systems.daemons.iter();
        let ours = daemons.map(|(_, daemon)| account::daemon(daemon));
        Share {
            all,
            idle,
            ours: ours.sum::<f64>()
                + account::process(systems.haproxy.pid())
                + account::process(Pid::this()),
        }
    }

    /// What programs that are not ours had of all processors.
    fn others_since(&self, before: &Share) -> f64 {
        let all = self.all - before.all;
        (all - (self.idle - before.idle) - (self.ours - before.ours)).max(0.0) / all
    }
}

struct Wish {
    rounds: usize,
    warm_up: Duration,
    window: Duration,
    only: String,
    manner: Manner,
}

impl Wish {
    /// Nothing if it is not `cargo bench` that asks, but for instance `cargo test --all-targets`.
    fn of(args: impl Iterator<Item = String>) -> Option<Wish> {
        let mut wish = Wish {
            rounds: 5,
            warm_up: Duration::from_millis(250),
            window: Duration::from_millis(1000),
            only: String::new(),
            manner: Manner {
                mails_per_session: 20,
                pipelining: true,
            },
        };
        let mut is_asked = false;
        let mut args = args;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => is_asked = true,
                "--quick" => {
                    wish.rounds = 1;
                    wish.window = Duration::from_millis(600);
                }
                "--rounds" => {
                    let number = args.next().and_then(|number| number.parse().ok());
                    wish.rounds = number
                        .filter(|rounds| *rounds > 0)
                        .expect("a number of rounds");
                }
                "--only" => wish.only = args.next().expect("words of a load's name"),
                "--lone" => wish.manner.mails_per_session = 1,
                "--no-pipelining" => wish.manner.pipelining = false,
                other => panic!("{other:?} is no option; see the head of t/bench/main.rs"),
            }
        }
        is_asked.then_some(wish)
    }
}

/// Everything but the relays.
struct Stage {
    sink: Sink,
    /// The harness wants a next hop; the daemons here have the sink.
    nobody: Hop,
    /// By kind, as they are sent.
    mails: [Vec<u8>; 3],
    wish: Wish,
}

impl Stage {
    fn daemon(&self, load: usize) -> Daemon {
        let setup = Setup {
            daemon: "workers = { min = 4, max = 64, spare = 2 }",
            relay: &format!("next_hop = \"smtp://{}\"", self.sink.address),
            rules: LOADS[load].rules,
            ..Setup::default()
        };
        Daemon::start(&setup, &self.nobody)
    }

    fn plan(&self, target: std::net::SocketAddr, kind: Kind, sessions: usize) -> Plan<'_> {
        Plan {
            target,
            sessions,
            manner: self.wish.manner,
            message: &self.mails[kind as usize],
            warm_up: self.wish.warm_up,
            window: self.wish.window,
        }
    }

    /// A few mails, and a look at what arrives.
    fn probe(&self, systems: &Systems, system: System, kind: Kind) {
        let plan = Plan {
            warm_up: Duration::ZERO,
            window: Duration::ZERO,
            ..self.plan(systems.address(self, system), kind, 1)
        };
        self.sink.keep(true);
        drive(&plan).unwrap_or_else(|error| panic!("{system:?}: {error}"));
        self.sink.keep(false);
        let arrived = self.sink.kept();
        let is_right = match system {
            System::Floor | System::HaProxy => arrived == plan.message,
            System::Mimicry(load) => (LOADS[load].arrived)(plan.message, &arrived),
        };
        assert!(
            is_right,
            "{system:?} hands on what it should not: {}",
            arrived[..arrived.len().min(2000)].escape_ascii()
        );
    }

    fn measure(&self, systems: &Systems, system: System, kind: Kind, sessions: usize) -> Figure {
        let taken_before = self.sink.mails();
        let cost_before = systems.cost(system);
        let plan = self.plan(systems.address(self, system), kind, sessions);
        let driven =
            drive(&plan).unwrap_or_else(|error| panic!("{system:?}, {sessions} sessions: {error}"));
        let cost = systems.cost_at_rest(system) - cost_before;
        let taken = self.sink.mails() - taken_before;
        assert_eq!(taken, driven.mails, "{system:?}: mails taken, mails sent");
        Figure::new(driven, (system != System::Floor).then_some(cost))
    }

    fn memory(&self, load: usize) -> Memory {
        let daemon = self.daemon(load);
        let master = daemon.pid();
        let fresh = median(account::memories(master));
        let is_over = AtomicBool::new(false);
        let plan = self.plan(daemon.address, LOADS[load].kind, JUDGED);
        let busiest = thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut greatest = 0f64;
                while !is_over.load(Ordering::Relaxed) {
                    let now = account::memories(master);
                    greatest = greatest.max(now.last().copied().unwrap_or_default());
                    thread::sleep(Duration::from_millis(5));
                }
                greatest
            });
            let driven = drive(&plan);
            is_over.store(true, Ordering::Relaxed);
            let greatest = watch.join().expect("no panic");
            driven.unwrap_or_else(|error| panic!("{}: {error}", LOADS[load].name));
            greatest
        });
        rest(|| account::daemon(&daemon));
        // A worker that was idle for a second gives memory back.
        thread::sleep(Duration::from_millis(1500));
        Memory {
            fresh,
            busiest,
            after: median(account::memories(master)),
        }
    }
}

/// The relays that run during the rounds.
struct Systems {
    haproxy: HaProxy,
    daemons: Vec<(usize, Daemon)>,
}

impl Systems {
    /// Loads with the same rules share a daemon.
    fn start(stage: &Stage, loads: &[usize]) -> Systems {
        let mut daemons: Vec<(usize, Daemon)> = Vec::new();
        for load in loads {
            if !daemons.iter().any(|(other, _)| serves(*other, *load)) {
                daemons.push((*load, stage.daemon(*load)));
            }
        }
        Systems {
            haproxy: HaProxy::start(stage.sink.address),
            daemons,
        }
    }

    /// Each system with each kind of mail that it gets; those with the same kind stand together.
    fn pairs(&self, loads: &[usize]) -> Vec<(System, Kind)> {
        let mut pairs = Vec::new();
        for load in loads {
            let kind = LOADS[*load].kind;
            for system in [System::Floor, System::HaProxy] {
                if !pairs.contains(&(system, kind)) {
                    pairs.push((system, kind));
                }
            }
            pairs.push((System::Mimicry(*load), kind));
        }
        pairs
    }

    fn address(&self, stage: &Stage, system: System) -> std::net::SocketAddr {
        match system {
            System::Floor => stage.sink.address,
            System::HaProxy => self.haproxy.address,
            System::Mimicry(load) => self.daemon(load).address,
        }
    }

    fn daemon(&self, load: usize) -> &Daemon {
        let found = self.daemons.iter().find(|(other, _)| serves(*other, load));
        &found.expect("a daemon for each load").1
    }

    /// Milliseconds on a processor until now.
    fn cost(&self, system: System) -> f64 {
        match system {
            System::Floor => 0.0,
            System::HaProxy => account::process(self.haproxy.pid()),
            System::Mimicry(load) => account::daemon(self.daemon(load)),
        }
    }

    /// That, when what is left to do after the last reply is done.
    fn cost_at_rest(&self, system: System) -> f64 {
        rest(|| self.cost(system))
    }
}

fn serves(one: usize, other: usize) -> bool {
    LOADS[one].rules == LOADS[other].rules
}

/// Reads until it stands still.
fn rest(cost: impl Fn() -> f64) -> f64 {
    let mut before = cost();
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(10));
        let now = cost();
        if now - before < 0.1 {
            return now;
        }
        before = now;
    }
    before
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn has_footer(_: &[u8], arrived: &[u8]) -> bool {
    harness::contains(arrived, b"registered in Exampleton.")
}

fn mail(kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Text => text(),
        Kind::Newsletter => harness::mail("newsletter-57k-alternative.eml"),
        Kind::Attachments => attachments::mail(),
    }
}

/// A plain mail of 2 KB.
fn text() -> Vec<u8> {
    let mut mail = b"Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n\tby mx.example.net with ESMTP id 4F2C1\r\n\tfor <bob@example.net>; Sun, 22 Nov 2026 17:35:01 +0100\r\nFrom: Anna <anna@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: the order of last week\r\nDate: Sun, 22 Nov 2026 17:35:00 +0100\r\nMessage-ID: <order@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".to_vec();
    while mail.len() < 2000 {
        mail.extend_from_slice(
            "The crates for Köln left the warehouse on Friday, the papers follow.\r\n".as_bytes(),
        );
    }
    mail
}
