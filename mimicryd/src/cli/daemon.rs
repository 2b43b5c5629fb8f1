//! `mimicryd run`, `prepare`, `metrics`, `reload`, `poison`, `upgrade`, `stop`: the daemon, and the commands that control it.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use mimicry_core::settings::LogTarget;
use mimicry_plugins::REGISTRY;

use super::input::ConfigArg;
use super::output::Output;
use super::show::Paint;
use crate::daemon::Daemon;
use crate::files;
use crate::logging;
use crate::lookup;
use crate::master;
use crate::master::contract::Options;
use crate::master::control::{Answer, AskError, Request, ask};
use crate::master::handover::Predecessor;
use crate::own_places;
use crate::prefork::contract::Program;
use crate::prefork::exit::Exit;
use crate::spool;
use crate::worker;

/// Draining takes as long as the mails in hand; the daemon's own deadline is below this.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Stay in the foreground, as a service manager needs it
    #[arg(long)]
    foreground: bool,
}

#[derive(Debug, clap::Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Return only when the last worker with an older configuration has ended
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, clap::Args)]
pub struct PoisonArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Show them, or forget them all
    action: PoisonAction,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PoisonAction {
    List,
    Clear,
}

#[derive(Debug, clap::Args)]
pub struct AskArgs {
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, clap::Args)]
pub struct PrepareArgs {
    #[command(flatten)]
    config: ConfigArg,
}

/// What a service manager has done before the start, without what it forbids the daemon.
pub fn prepare(args: &PrepareArgs, paint: Paint) -> Result<Output, Output> {
    let daemon = args.config.load(paint)?.daemon;
    match spool::prepare(&daemon) {
        Ok(moved) => Ok(Output::text(
            moved.map_or_else(String::new, |moved| format!("{moved}\n")),
        )),
        Err(error) => {
            let why = format!("{}: {error}", daemon.spool.display());
            Err(Output::failure(Exit::CannotCreate, why))
        }
    }
}

pub fn run(args: &RunArgs) -> Result<Output, Output> {
    let predecessor =
        Predecessor::of_this_process().map_err(|why| Output::failure(Exit::System, why))?;
    logging::start();
    let daemon = daemon(&args.config.config, !args.foreground)?;
    let config = daemon.load().map_err(|refused| {
        let reporter = predecessor.as_ref().and_then(|one| one.reporter().ok());
        if let Some(reporter) = reporter {
            reporter.tell(Exit::Config, &refused.line, &refused.text);
        }
        Output {
            err: refused.text,
            exit: Exit::Config,
            ..Output::text(String::new())
        }
    })?;
    if predecessor.is_none()
        && let Ok(Some(moved)) = spool::prepare(&config.daemon)
    {
        log::info!("{moved}");
    }
    // The log says it to whoever reads the log, and a service manager reads no terminal.
    let is_quiet = io::stderr().is_terminal() && config.log.target != LogTarget::Stderr;
    let options = Options {
        foreground: args.foreground,
        tell: (args.foreground && is_quiet).then_some(listens as fn(&[String])),
        predecessor,
    };
    let ended = master::run(config, options, Rc::new(daemon), worker::run);
    Ok(Output {
        err: ended
            .message
            .map_or_else(String::new, |message| format!("mimicryd: {message}\n")),
        exit: ended.status,
        ..Output::text(String::new())
    })
}

/// For whoever started it by hand.
fn listens(listeners: &[String]) {
    let all = listeners.join(", ");
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(io::stderr(), "mimicryd listens on {all}; Ctrl-C stops it");
}

pub fn reload(args: &ReloadArgs, paint: Paint) -> Result<Output, Output> {
    let request = if args.wait {
        Request::ReloadWait
    } else {
        Request::Reload
    };
    request_of(&args.config, request, paint)
}

pub fn poison(args: &PoisonArgs, paint: Paint) -> Result<Output, Output> {
    let request = match args.action {
        PoisonAction::List => Request::PoisonList,
        PoisonAction::Clear => Request::PoisonClear,
    };
    request_of(&args.config, request, paint)
}

pub fn metrics(args: &AskArgs, paint: Paint) -> Result<Output, Output> {
    request_of(&args.config, Request::Metrics, paint)
}

pub fn upgrade(args: &AskArgs, paint: Paint) -> Result<Output, Output> {
    request_of(&args.config, Request::Upgrade, paint)
}

pub fn stop(args: &AskArgs, paint: Paint) -> Result<Output, Output> {
    request_of(&args.config, Request::Stop, paint)
}

fn request_of(config: &ConfigArg, request: Request, paint: Paint) -> Result<Output, Output> {
    ask_daemon(config, request, paint).map(Output::text)
}

/// What the daemon answers. The configuration says where the control socket is, else it is at the default place. A file with a mistake must not keep
/// the daemon from being asked.
pub fn ask_daemon(config: &ConfigArg, request: Request, paint: Paint) -> Result<String, Output> {
    let path = match files::glance(&config.config) {
        Ok(octets) => mimicry_core::config::control_socket(&config.config, &octets),
        Err(_) => config.load(paint)?.daemon.control,
    };
    let path = own_places::control(path);
    match tell(&path, request) {
        Ok(answer) if answer.status == Exit::Ok => Ok(answer.text),
        Ok(answer) => Err(Output {
            err: answer.text,
            exit: answer.status,
            ..Output::text(String::new())
        }),
        Err(error) => Err(unasked(&path, &error)),
    }
}

/// Asks the daemon that listens there.
pub fn tell(path: &Path, request: Request) -> Result<Answer, AskError> {
    let patience = match request {
        // A session may be open for as long as its limits allow.
        Request::ReloadWait => Duration::MAX,
        // The master has a limit of its own, which is a setting.
        Request::Upgrade => Duration::MAX,
        _ => PATIENCE,
    };
    ask(path, request, patience)
}

/// Why it did not answer.
pub fn unasked(path: &Path, error: &AskError) -> Output {
    let path = path.display();
    match error {
        AskError::NotRunning => {
            let reason = format_args!("no daemon listens at {path}");
            Output::failure(Exit::Unavailable, reason)
        }
        AskError::Forbidden => {
            Output::failure(Exit::Rejected, format_args!("{path} may not be opened"))
        }
        AskError::Io(error) => Output::failure(Exit::Io, format_args!("{path}: {error}")),
    }
}

fn daemon(path: &Path, background: bool) -> Result<Daemon, Output> {
    let path = std::path::absolute(path).map_err(|error| Output::failure(Exit::Io, error))?;
    Ok(Daemon {
        sandbox: Default::default(),
        path,
        registry: REGISTRY,
        background,
        log: RefCell::default(),
        log_facts: Cell::default(),
        seal_keys: RefCell::default(),
        find: lookup::by_system,
        kept: Default::default(),
        spool: Default::default(),
    })
}
