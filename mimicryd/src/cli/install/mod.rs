//! `mimicryd install`: puts the program, and all that belongs to it, in place on a machine; `mimicryd completions`: those of a shell.
//!
//! - `list`: the files with owner and mode · `plan`: what becomes of each
//!
//! A package is made by the same command, below a directory.
//!
//! Must never: replace what the administrator edited; start, stop or enable the daemon.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap_complete::Shell;

use super::output::Output;
use crate::prefork::exit::Exit;
use crate::sys::entry::Entry;
use crate::sys::privileges;

mod list;
mod plan;

use list::{Content, Item, LIST, Owner, SYSUSERS, USER};
use plan::{Fate, Target, digest, line, recorded};

/// Below the prefix: the configuration files that were installed, with their digests.
const RECORD: &str = "/usr/share/mimicry/installed";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only show each file and directory, with owner, mode and what would become of it
    #[arg(long)]
    dry_run: bool,
    /// Where the program and its files go
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,
    /// Below this directory instead of /, for a package or an image: no user is made, and nothing below /var
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The arguments of the program, for completions.
type Arguments = fn() -> clap::Command;

pub fn completions(args: &CompletionsArgs, arguments: Arguments) -> Result<Output, Output> {
    let mut output = Output::text(String::new());
    output.out = completions_of(args.shell, arguments);
    Ok(output)
}

fn completions_of(shell: Shell, arguments: Arguments) -> Vec<u8> {
    let mut octets = Vec::new();
    clap_complete::generate(shell, &mut arguments(), "mimicryd", &mut octets);
    octets
}

pub fn run(args: &Args, arguments: Arguments) -> Result<Output, Output> {
    for (option, path) in [("--prefix", &args.prefix), ("--root", &args.root)] {
        if !path.is_absolute() {
            let why = format!("{option} {}: it must begin with /", path.display());
            return Err(Output::failure(Exit::Usage, why));
        }
    }
    let target = Target {
        root: args.root.clone(),
        prefix: args.prefix.clone(),
    };
    if !args.dry_run && target.is_here() {
        may_install(&target)?;
    }
    install(&target, args.dry_run, arguments)
        .map_err(|(name, error)| Output::failure(Exit::Io, format!("{}: {error}", name.display())))
}

/// Why nothing is installed on this machine.
fn may_install(target: &Target) -> Result<(), Output> {
    if !privileges::is_root() {
        let why = "install needs root; --dry-run shows what it would do";
        return Err(Output::failure(Exit::Rejected, why));
    }
    // Two of them would share the script, the user and the configuration.
    // Only a package of Debian brings this.
    let is_packaged = Path::new("/usr/share/doc/mimicry/copyright").exists();
    if is_packaged {
        let why = format!(
            "the package mimicry is installed, and has these files; to put them below {} instead, remove it first (apt-get remove mimicry)",
            target.prefix.display()
        );
        return Err(Output::failure(Exit::Rejected, why));
    }
    Ok(())
}

type Failed = (PathBuf, io::Error);

fn install(target: &Target, dry_run: bool, arguments: Arguments) -> Result<Output, Failed> {
    let record_name = target.name(RECORD);
    let record = fs::read_to_string(target.place(&record_name)).unwrap_or_default();
    let mut said = String::new();
    let mut new_record = String::new();
    let mut trouble = String::new();
    for item in LIST {
        // They are a running machine's, which makes them when it starts.
        if !target.is_here() && item.path.starts_with("/var/") {
            continue;
        }
        let name = target.name(item.path);
        let failed = |error: io::Error| (name.clone(), error);
        let place = target.place(&name);
        let wanted = content(item, target, arguments).map_err(failed)?;
        let fate = match &wanted {
            None if place.is_dir() => Fate::Same,
            None => Fate::New,
            Some(wanted) => {
                let there = read(&place).map_err(failed)?;
                Fate::of(item, there.as_deref(), wanted, recorded(&record, &name))
            }
        };
        said.push_str(&line(item, &name, fate));
        if let (Content::Configuration(_), Some(wanted)) = (item.content, &wanted) {
            new_record.push_str(&format!("{}  {}\n", digest(wanted), name.display()));
        }
        if dry_run || fate == Fate::Kept || (fate == Fate::Same && wanted.is_none()) {
            continue;
        }
        if let Content::Directory(Owner::Workers) = item.content
            && let Err(why) = make_user(target)
        {
            trouble.push_str(&format!("mimicryd: {why}\n"));
            continue;
        }
        put(item, &place, wanted.as_deref()).map_err(failed)?;
    }
    if !dry_run && target.is_here() {
        let place = target.place(&record_name);
        write(&place, 0o644, new_record.as_bytes()).map_err(|error| (record_name, error))?;
        said.push_str(&next());
    }
    Ok(Output {
        exit: if trouble.is_empty() {
            Exit::Ok
        } else {
            Exit::NoUser
        },
        err: trouble,
        ..Output::text(said)
    })
}

/// `None` = a directory.
fn content(item: &Item, target: &Target, arguments: Arguments) -> io::Result<Option<Vec<u8>>> {
    Ok(match item.content {
        Content::Directory(_) => None,
        Content::Program => Some(fs::read("/proc/self/exe")?),
        Content::File(octets) | Content::Configuration(octets) => Some(target.text(octets)),
        Content::Completions(shell) => Some(completions_of(shell, arguments)),
    })
}

fn read(place: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(place) {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // A dry run may be anybody's.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Some(Vec::new())),
        Err(error) => Err(error),
    }
}

fn put(item: &Item, place: &Path, wanted: Option<&[u8]>) -> io::Result<()> {
    let Some(octets) = wanted else {
        make_directory(place, item.mode)?;
        if let Content::Directory(Owner::Workers) = item.content
            && let Some(user) = privileges::find_user(USER)?
        {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            std::os::unix::fs::lchown(place, Some(uid), Some(gid))?;
        }
        return Ok(());
    };
    write(place, item.mode, octets)
}

/// A directory with this mode; those above it have the usual one.
fn make_directory(place: &Path, mode: u32) -> io::Result<()> {
    if place.is_dir() {
        return Ok(());
    }
    if let Some(above) = place.parent() {
        make_directory(above, 0o755)?;
    }
    DirBuilder::new().mode(mode).create(place)?;
    // Whatever the umask is.
    fs::set_permissions(place, fs::Permissions::from_mode(mode))
}

/// Replaces the file in one step: a program may run, and whoever reads has the old file or the new one.
fn write(place: &Path, mode: u32, octets: &[u8]) -> io::Result<()> {
    if let Some(directory) = place.parent() {
        make_directory(directory, 0o755)?;
    }
    Entry::of(place)?.write_whole(octets, mode, true)
}

/// Makes the user that workers run as, if there is none, by what this machine has for it.
fn make_user(target: &Target) -> Result<(), String> {
    let has = || matches!(privileges::find_user(USER), Ok(Some(_)));
    if has() {
        return Ok(());
    }
    let sysusers = target.name(SYSUSERS).display().to_string();
    let by_hand = [
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        USER,
    ];
    let tried: [(&str, &[&str]); 2] = [("systemd-sysusers", &[&sysusers]), ("useradd", &by_hand)];
    for (program, arguments) in tried {
        let done = Command::new(program).args(arguments).output();
        if done.is_ok_and(|done| done.status.success()) && has() {
            return Ok(());
        }
    }
    Err(format!(
        "there is no user {USER}, and neither systemd-sysusers nor useradd can make one; make it, and run this again"
    ))
}

/// What is left to do, which is the administrator's.
fn next() -> String {
    if Path::new("/run/systemd/system").is_dir() {
        // A unit that was there before is known as it was.
        let _ = Command::new("systemctl").arg("daemon-reload").output();
        return "\nnext: systemctl enable --now mimicryd\n".into();
    }
    "\nnext: update-rc.d mimicryd defaults && /etc/init.d/mimicryd start\n".into()
}
