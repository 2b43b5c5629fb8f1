//! This program as the daemon, with plugins that mimicry does not have.
//!
//! The daemon is the test itself, started once more. Such a test has no harness of cargo, because that runs each test in a thread, and a
//! process with threads does not fork.
//!
//! Must never: return where it was to serve.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;

use mimicry_core::registry::Registry;
use mimicryd::daemon::Daemon;
use mimicryd::lookup::Find;
use mimicryd::master::handover::Predecessor;
use mimicryd::prefork::contract::Program;
use mimicryd::{logging, master, worker};

/// Set in the process that is to be the daemon.
const MARK: &str = "MIMICRY_TEST_DAEMON";

/// Where the daemon was started; it goes elsewhere.
static PLACE: OnceLock<PathBuf> = OnceLock::new();

/// What the shell of a [`Setup`](super::daemon::Setup) executes.
pub fn shell() -> String {
    let program = std::env::current_exe().expect("this program");
    format!("exec env {MARK}=1 '{}'", program.display())
}

/// The directory of the daemon.
pub fn place() -> &'static Path {
    PLACE.get().expect("it is set before anything is loaded")
}

/// Runs the daemon in the present directory, in a process that is to be it; `find` looks names up.
pub fn serve_if_asked(registry: Registry, find: Find) {
    if std::env::var_os(MARK).is_none() {
        return;
    }
    let predecessor = Predecessor::of_this_process().unwrap_or_else(|why| panic!("{why}"));
    logging::start();
    let place = std::env::current_dir().expect("a directory");
    let path = place.join("mimicry.toml");
    PLACE.set(place).expect("it is set once");
    let daemon = Daemon {
        path,
        registry,
        background: false,
        log: Default::default(),
        log_facts: Default::default(),
        seal_keys: Default::default(),
        sandbox: Default::default(),
        find,
        kept: Default::default(),
        spool: Default::default(),
    };
    let config = daemon.load().unwrap_or_else(|refused| {
        eprint!("{}", refused.text);
        std::process::exit(78)
    });
    let ended = master::run(
        config,
        master::contract::Options {
            foreground: true,
            tell: None,
            predecessor,
        },
        Rc::new(daemon),
        worker::run,
    );
    std::process::exit(i32::from(ended.status.status()));
}
