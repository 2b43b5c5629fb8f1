//! The daemon with a plugin that breaks: whatever it does, the mail stays with its client and the others are served.
//!
//! No plugin of mimicry does such things, so the daemon with this one is this program itself, started once more. It is a
//! test without the harness of cargo, because that runs each test in a thread, and a process with threads does not fork.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use mimicry_core::message::PartId;
use mimicry_core::message::edit::{Content, EditSet};
use mimicry_core::plugin::{
    DefaultParts, Fault, Finish, Job, KeyInUse, KeyUse, OptionError, OptionSpec, Options, Plugin,
    PluginKind, Scope, Task, ValueKind, Verdict,
};
use mimicry_core::reason::Reason;
use mimicry_core::registry::Registry;

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, raise};
use nix::sys::socket::{Shutdown, SockaddrStorage, getpeername, getsockname, shutdown};

use harness::client::{Client, Outcome};
use harness::daemon::{Daemon, OWN_SOCKET, PLAIN, Setup, World, eventually, open_directory};
use harness::{http, myself};

#[allow(dead_code)]
#[path = "harness/mod.rs"]
mod harness;
#[path = "breaks/names.rs"]
mod names;

const REGISTRY: Registry = Registry(&[&Breaks]);

fn main() {
    myself::serve_if_asked(REGISTRY, names::find);
    a_panic_is_a_451_and_the_worker_retires();
    an_abort_or_an_overflow_is_a_dead_worker();
    a_worker_that_is_stuck_in_a_rule_is_killed();
    a_mail_that_killed_too_many_workers_gets_its_answer();
    a_mail_that_passes_is_forgiven();
    a_listener_that_a_worker_shut_is_bound_anew();
    what_breaks_while_it_is_loaded_is_a_refusal();
    keys_are_looked_at_once_for_a_configuration();
    names::names_are_looked_up_where_nobody_waits(&myself::shell());
    println!("test result: ok. 9 passed");
}

const WAYS: &[&str] = &[
    "panic",
    "panic at the end",
    "abort",
    "overflow",
    "loop",
    "block",
    "stop",
    "shut",
    "memory",
    "twice",
    "when loaded",
    "when loaded in the master",
];

/// The process that has built the plugin before, if any.
static BUILT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
struct Breaks;

impl PluginKind for Breaks {
    fn name(&self) -> &'static str {
        "breaks"
    }

    fn summary(&self) -> &'static str {
        "breaks in the way that its option says"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[OptionSpec {
            name: "how",
            value: ValueKind::Word(WAYS),
            default: Some("\"panic\""),
            doc: "The way.",
        }]
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Root
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let how = options.text("how").unwrap_or_default().to_string();
        // A child builds it first; a master builds it again.
        let before = BUILT.swap(std::process::id(), Ordering::Relaxed);
        let is_master = before == std::process::id();
        match how.as_str() {
            "when loaded" => panic!("the plugin breaks when it is loaded"),
            "when loaded in the master" if is_master => panic!("the plugin breaks in the master"),
            _ => Ok(Box::new(Way { how })),
        }
    }
}

#[derive(Debug)]
struct Way {
    how: String,
}

/// In the log whenever somebody looks at the keys of the rule.
const LOOKED: &str = "a look at the keys";

impl Plugin for Way {
    fn keys(&self, _now: i64) -> Vec<KeyInUse> {
        log::warn!("{LOOKED}");
        vec![KeyInUse {
            owners: vec!["example.org".into()],
            name: "s".into(),
            kind: "ed25519".into(),
            used: KeyUse::Sign,
            record: None,
            expires: Some(2_000_000_000),
            unfit: None,
        }]
    }

    fn begin<'a>(&'a self, _task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(Break { how: &self.how })
    }
}

struct Break<'a> {
    how: &'a str,
}

impl Job for Break<'_> {
    fn part(&mut self, _part: PartId, _now: &Content<'_>) -> Result<Verdict, Fault> {
        match self.how {
            "panic" => panic!("the plugin breaks"),
            "abort" => std::process::abort(),
            "loop" => loop {
                std::hint::spin_loop();
            },
            "block" => {
                let (mut reader, _writer) = std::io::pipe().expect("a pipe");
                let read = reader.read(&mut [0]);
                Err(Fault::Permanent(format!("it came back: {read:?}")))
            }
            "stop" => {
                raise(Signal::SIGSTOP).expect("a signal");
                Ok(Verdict::Later)
            }
            "memory" => {
                // What an allocator does that is refused: the process ends.
                let limit = 64 << 20;
                setrlimit(Resource::RLIMIT_AS, limit, limit).expect("a limit");
                let octets = vec![1_u8; 1 << 30];
                Err(Fault::Permanent(octets.len().to_string()))
            }
            "twice" => {
                // Two workers in a row die of it, the third does not.
                let counter = myself::place().join("spool/ledger/before");
                let before = fs::read(&counter).map_or(0, |before| before.len());
                fs::write(counter, vec![b'x'; before + 1]).expect("a file");
                match before % 3 {
                    2 => Ok(Verdict::Later),
                    _ => std::process::abort(),
                }
            }
            "shut" => {
                shut_listeners();
                Ok(Verdict::Keep(Reason::Exempt))
            }
            "overflow" => {
                let depth = overflow(1);
                Err(Fault::Permanent(depth.to_string()))
            }
            _ => Ok(Verdict::Later),
        }
    }

    fn finish(self: Box<Self>, _edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        if matches!(self.how, "shut" | "twice") {
            return Ok(Finish::default());
        }
        panic!("the plugin breaks at the end");
    }
}

/// Needs more stack than there is.
fn overflow(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 4096]);
    if depth == u64::MAX {
        return depth;
    }
    overflow(depth + 1).wrapping_add(block[0])
}

/// What a worker could do that others have taken over: ends the listening on every socket that it has.
fn shut_listeners() {
    for number in 3..64 {
        // A socket that has a name and no peer.
        let is_listening = getsockname::<SockaddrStorage>(number).is_ok()
            && getpeername::<SockaddrStorage>(number) == Err(Errno::ENOTCONN);
        if is_listening {
            // For a listener, to hear no more is the end.
            shutdown(number, Shutdown::Read).expect("shutdown");
        }
    }
}

/// A world whose daemon has a rule that breaks for one recipient.
fn world(how: &str, errors: &[&str]) -> World {
    world_with(how, "workers = { min = 1, max = 1, spare = 0 }", errors)
}

fn world_with(how: &str, daemon: &str, errors: &[&str]) -> World {
    let shell = myself::shell();
    let rules = format!(
        "[[rule]]\nname = \"r\"\nplugin = \"breaks\"\nmatch = {{ recipient = '^bob@' }}\noptions = {{ how = \"{how}\" }}\n"
    );
    World::new(Setup {
        daemon,
        rules: &rules,
        shell: &shell,
        errors,
        ..Setup::default()
    })
}

// T138, T140
// man: mimicryd(8) "A worker that is stuck is killed, and its client, which has no reply, keeps the mail."
fn a_worker_that_is_stuck_in_a_rule_is_killed() {
    for (how, said, end) in [
        ("loop", "is stuck, in state rules for", "SIGABRT"),
        ("block", "is stuck, in state rules for", "SIGABRT"),
        // It does not hear ABRT.
        (
            "stop",
            "was stopped by a signal and did not go on, in state rules for",
            "SIGKILL",
        ),
    ] {
        let settings = "workers = { min = 3, max = 3, spare = 0 }\nmail_timeout = \"1s\"";
        let mut world = world_with(how, settings, &[said]);
        let before = world.daemon().workers();
        // A session that is open while another one's worker is lost.
        let mut other = world.client();
        assert_eq!(world.attempt(PLAIN), Outcome::Kept(None), "{how}");
        let daemon = world.daemon();
        let line = daemon.logs(said);
        for part in ["mail ", "in rule \"r\""] {
            assert!(line.contains(part), "{part:?} is not in {line}");
        }
        daemon.logs(&format!("which was stuck, was killed by {end}"));
        let is_replaced = || daemon.workers().len() == 3;
        assert!(eventually(is_replaced), "{how}\n{}", daemon.said());
        let now = daemon.workers();
        let lost = before.iter().filter(|worker| !now.contains(worker));
        assert_eq!(lost.count(), 1, "{how}: {before:?} {now:?}");
        assert_eq!(daemon.log().matches(said).count(), 1, "{how}");
        let status = daemon.command(&["status"]);
        let status = status.text();
        assert!(status.contains("; 1 died, 1 of them stuck\n"), "{status}");
        assert!(world.hop.mails().is_empty());
        let reply = other.mail("anna@example.org", &["alive@hop.test"], PLAIN);
        assert!(reply.is_done(), "{how}: {reply}");
        world.alive();
    }
}

/// What the list of such mails says.
fn poison(world: &mut World, action: &str) -> String {
    let ran = world.daemon().command(&["poison", action]);
    assert_eq!(ran.code, 0, "{}", ran.text());
    ran.text().to_string()
}

// T93
// man: mimicryd(8) "A mail that has killed poison_limit workers gets the answer of on_poison, and no rule sees it again."
fn a_mail_that_killed_too_many_workers_gets_its_answer() {
    for (how, answer, code) in [
        ("abort", "defer", 451),
        ("overflow", "reject", 554),
        ("memory", "pass", 250),
        ("panic", "reject", 554),
    ] {
        let settings = format!(
            "workers = {{ min = 1, max = 1, spare = 0 }}\nspool = \"spool\"\non_poison = \"{answer}\""
        );
        let errors = ["was killed by SIG", "panic", "its answer is"];
        let mut world = world_with(how, &settings, &errors);
        assert_eq!(poison(&mut world, "list"), "no mail killed a worker\n");
        for round in 0..3 {
            if round == 2 {
                // What one master knows, the next one does.
                let upgrade = world.daemon().command(&["upgrade"]);
                assert_eq!(upgrade.code, 0, "{}", upgrade.err);
                world.daemon().follow();
            }
            let outcome = world.attempt(PLAIN);
            assert!(matches!(outcome, Outcome::Kept(_)), "{how}: {outcome:?}");
            assert!(world.hop.mails().is_empty());
        }
        world
            .daemon()
            .logs("which has killed 3 by now: from now on");
        // It may be brought with another trace on top; the next worker answers, and does not die of it.
        let again = [b"Received: again\r\n", PLAIN].concat();
        for round in 0..2 {
            let reply = world
                .client()
                .mail("anna@example.org", &["bob@example.net"], &again);
            assert_eq!(reply.code, code, "{how}: {reply}");
            assert_eq!(world.hop.mails().len(), usize::from(code == 250), "{how}");
            let deaths = world.daemon().log().matches("died of the mail").count();
            assert_eq!(deaths, 3, "{how}: {round}");
        }
        if code == 250 {
            world.daemon().logs("r:poison");
        }
        let list = poison(&mut world, "list");
        assert!(list.contains(" killed 3, the last one "), "{list}");
        // Another mail is judged as ever.
        let other = [PLAIN, b"and more\r\n"].concat();
        assert!(matches!(world.attempt(&other), Outcome::Kept(_)), "{how}");
        let is_blamed = || {
            let log = world.daemon().log();
            log.matches("which has killed 1 by now").count() == 2
        };
        assert!(eventually(is_blamed), "{how}");
        assert_eq!(poison(&mut world, "clear"), "forgotten: 2\n");
        assert_eq!(poison(&mut world, "list"), "no mail killed a worker\n");
        assert!(matches!(world.attempt(PLAIN), Outcome::Kept(_)), "{how}");
        world.alive();
    }
}

// T93
// man: mimicryd(8) "If it passes the rules alive, it is forgotten."
// man: mimicryd(8) "What is known of such mails is kept in the spool, so a restart does not forget it."
fn a_mail_that_passes_is_forgiven() {
    let settings = "workers = { min = 1, max = 1, spare = 0 }\nspool = \"spool\"";
    let shell = format!("{OWN_SOCKET}\n{}", myself::shell());
    let mut world = World::new(Setup {
        daemon: settings,
        rules: "[[rule]]\nname = \"r\"\nplugin = \"breaks\"\nmatch = { recipient = '^bob@' }\noptions = { how = \"twice\" }\n",
        shell: &shell,
        errors: &["was killed by SIG"],
        ..Setup::default()
    });
    for round in 0..2 {
        for deaths in 1..=2 {
            assert_eq!(world.attempt(PLAIN), Outcome::Kept(None));
            let said = format!("which has killed {deaths} by now");
            let is_said = || world.daemon().log().matches(&said).count() == round + 1;
            assert!(eventually(is_said), "{said}: {round}");
            if round == 0 {
                world.daemon().signal(Signal::SIGTERM);
                world.daemon().ends();
                world.daemon().start_again();
            }
        }
        assert!(poison(&mut world, "list").contains(" killed 2, "));
        // It passes, and begins anew.
        let outcome = world.attempt(PLAIN);
        assert!(matches!(outcome, Outcome::Accepted(_)), "{outcome:?}");
        let _ = world.hop.mails();
        assert_eq!(poison(&mut world, "list"), "no mail killed a worker\n");
    }
}

// T192
// man: mimicryd(8) "The master notices at once, binds the address again, and replaces all workers;"
fn a_listener_that_a_worker_shut_is_bound_anew() {
    let (_directory, path) = open_directory();
    let socket = path.join("smtp.sock");
    // A socket that the service manager made, and those that the daemon made itself.
    for own in ["", OWN_SOCKET] {
        let shell = format!("{own}\n{}", myself::shell());
        let rules = format!(
            "[[listen]]\nname = \"u\"\naddress = \"unix:{}\"\n\
             [[rule]]\nname = \"r\"\nplugin = \"breaks\"\nmatch = {{ recipient = '^bob@' }}\noptions = {{ how = \"shut\" }}\n",
            socket.display()
        );
        let mut world = World::new(Setup {
            daemon: "workers = { min = 2, max = 4, spare = 1 }",
            rules: &rules,
            shell: &shell,
            errors: &["was shut down"],
            ..Setup::default()
        });
        for round in 1..3 {
            let before = world.daemon().workers();
            // The mail that did it passes; its session may be ended after it, as by a reload.
            let mut client = world.client();
            let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
            assert!(reply.is_done(), "{reply}");
            drop(client);
            let _ = world.hop.mails();
            let daemon = world.daemon();
            let said = format!("bound again after somebody shut it down: {round}");
            let are_back = || daemon.command(&["status"]).text().matches(&said).count() == 2;
            assert!(eventually(are_back), "{}", daemon.said());
            for name in ["t", "u"] {
                daemon.logs(&format!("error: listener {name} on "));
            }
            let are_new = || {
                daemon
                    .workers()
                    .iter()
                    .all(|worker| !before.contains(worker))
            };
            assert!(eventually(are_new), "{}", daemon.said());
            world.alive();
            let mut client = Client::connect_unix(&socket).greeted();
            assert!(
                client
                    .mail("a@example.org", &["b@example.net"], PLAIN)
                    .is_done()
            );
            client.quit();
            let _ = world.hop.mails();
        }
    }
}

// T125
fn a_panic_is_a_451_and_the_worker_retires() {
    for how in ["panic", "panic at the end"] {
        let mut world = world(how, &["panic"]);
        let old = world.daemon().workers();
        for _ in 0..2 {
            let mut client = world.client();
            let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
            assert_eq!(
                (reply.code, reply.enhanced()),
                (451, Some("4.3.0")),
                "{how}: {reply}"
            );
            assert!(world.hop.mails().is_empty());
        }
        world.alive();
        let daemon = world.daemon();
        assert!(
            eventually(|| daemon.workers().iter().all(|worker| !old.contains(worker))),
            "{}",
            daemon.said()
        );
        assert!(daemon.log().contains("panic"), "{}", daemon.said());
        // The message of the panic may hold pieces of the mail.
        assert!(
            !daemon.said().contains("the plugin breaks"),
            "{}",
            daemon.said()
        );
    }
}

// T126
fn an_abort_or_an_overflow_is_a_dead_worker() {
    for how in ["abort", "overflow"] {
        let mut world = world(how, &["was killed by SIG"]);
        for _ in 0..2 {
            assert_eq!(world.attempt(PLAIN), Outcome::Kept(None), "{how}");
            assert!(world.hop.mails().is_empty());
            world.alive();
        }
        assert!(
            world.daemon().log().contains("was killed by SIG"),
            "{}",
            world.daemon().said()
        );
    }
}

// T183
fn what_breaks_while_it_is_loaded_is_a_refusal() {
    let mut world = world("panic", &["panic", "configuration refused"]);
    world.alive();
    let (master, workers) = (world.daemon().pid(), world.daemon().workers());
    let mut before = "panic";
    for how in ["when loaded", "when loaded in the master"] {
        let daemon = world.daemon();
        daemon.change(&format!("how = \"{before}\""), &format!("how = \"{how}\""));
        before = how;
        daemon.signal(Signal::SIGHUP);
        daemon.logs("configuration refused, the old one stays in force");
        let said = "mimicryd failed while it loaded this, which is a bug in mimicryd";
        let refused = eventually(|| {
            daemon.log().matches(said).count() == 1 + usize::from(how != "when loaded")
        });
        assert!(refused, "{how}\n{}", daemon.said());
        assert_eq!((daemon.pid(), daemon.workers()), (master, workers.clone()));
        assert!(
            !daemon.said().contains("the plugin breaks"),
            "{}",
            daemon.said()
        );
        world.alive();
    }
}

// There may be thousands of them, and while the master looks at them it sees to nothing else.
fn keys_are_looked_at_once_for_a_configuration() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let mut world = world_with("panic", &format!("metrics = \"{address}\"\n"), &[]);
    let daemon = world.daemon();
    let shown = "mimicry_key_expiry_seconds{rule=\"r\"} 2000000000";
    let master_looked = |daemon: &Daemon| daemon.log().matches(LOOKED).count();
    for looks in 1..=2 {
        if looks == 2 {
            daemon.signal(Signal::SIGHUP);
        }
        // Who serves them is born anew with each configuration.
        assert!(eventually(|| {
            let answer = http::get(address, "/metrics", "*/*");
            answer
                .body
                .contains(&format!("mimicry_config_generation {looks}\n"))
        }));
        for _ in 0..3 {
            let text = daemon.command(&["metrics"]);
            assert!(text.text().contains(shown), "{}", text.text());
            assert!(http::get(address, "/metrics", "*/*").body.contains(shown));
        }
        assert_eq!(master_looked(daemon), looks, "{}", daemon.said());
    }
}
