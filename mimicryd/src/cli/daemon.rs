//! `mimicryd run`, `metrics`, `reload`, `poison`, `upgrade`, `stop`: the daemon, and the commands that control it.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

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
use crate::master::control::{AskError, Request, ask};
use crate::master::handover::Predecessor;
use crate::prefork::contract::Program;
use crate::prefork::exit::Exit;
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
    let options = Options {
        foreground: args.foreground,
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
    let patience = match request {
        // A session may be open for as long as its limits allow.
        Request::ReloadWait => Duration::MAX,
        // The master has a limit of its own, which is a setting.
        Request::Upgrade => Duration::MAX,
        _ => PATIENCE,
    };
    match ask(&path, request, patience) {
        Ok(answer) if answer.status == Exit::Ok => Ok(answer.text),
        Ok(answer) => Err(Output {
            err: answer.text,
            exit: answer.status,
            ..Output::text(String::new())
        }),
        Err(AskError::NotRunning) => Err(Output::failure(
            Exit::Unavailable,
            format_args!("no daemon listens at {}", path.display()),
        )),
        Err(AskError::Forbidden) => Err(Output::failure(
            Exit::Rejected,
            format_args!("{} may not be opened", path.display()),
        )),
        Err(AskError::Io(error)) => Err(Output::failure(
            Exit::Io,
            format_args!("{}: {error}", path.display()),
        )),
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
    })
}
