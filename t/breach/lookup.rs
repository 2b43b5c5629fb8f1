//! A process that looks a name up and was taken over by the answer: it finds nothing open and no memory that it could write to, and
//! the kernel refuses it files, programs and connections. What it tries it says where the reason stands why nothing was found.
//!
//! Must never: ask a name server.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use mimicryd::lookup::by_system;
use mimicryd::sys::sandbox::Kernel;
use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, getsockname};

use super::harness::Directory;
use super::harness::daemon::{Setup, World};
use super::{BESIDE, memory, myself, named, open_outside};

const NAME: &str = "tries.test";

/// In the place of the system's.
pub fn find(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host != NAME {
        return by_system(host, port);
    }
    let said = TRIES.map(|(name, act)| format!("{name} {}", named(&act(port))));
    Err(io::Error::other(said.join(", ")))
}

type Try = (&'static str, fn(u16) -> io::Result<()>);

const TRIES: [Try; 10] = [
    ("memory", |_| memory::none_to_write_to()),
    ("open", |_| nothing_open()),
    ("config", |_| {
        fs::read(myself::place().join("mimicry.toml")).map(drop)
    }),
    ("passwd", |_| fs::read("/etc/passwd").map(drop)),
    ("list", |_| fs::read_dir("/").map(drop)),
    ("write", |_| fs::write(beside().join("outside/there"), "x")),
    ("run", |_| Command::new("/bin/true").status().map(drop)),
    ("listen", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    // What it is there for; the port is that of the next hop.
    ("connect", |port| {
        TcpStream::connect(("127.0.0.1", port)).map(drop)
    }),
    ("names", |port| by_system("localhost", port).map(drop)),
];

fn beside() -> PathBuf {
    std::env::var_os(BESIDE).unwrap_or_default().into()
}

/// But the pipe for the answer.
fn nothing_open() -> io::Result<()> {
    let is_open = |number: &i32| getsockname::<SockaddrStorage>(*number) != Err(Errno::EBADF);
    match (3..1024).filter(is_open).count() {
        1 => Ok(()),
        more => Err(io::Error::other(format!("{more} of them"))),
    }
}

// T208
// man: mimicryd(8) "a process that looks a name up has nothing open but the pipe for its answer"
pub fn a_name_that_takes_over_who_asks_for_it_gains_nothing() {
    let kernel = Kernel::probe();
    let is_whole = kernel.landlock >= 2 && kernel.seccomp;
    for sandbox in ["try", "off"] {
        let directory = Directory::new();
        open_outside(&directory);
        let shell = format!(
            "export {BESIDE}='{}'\n{}",
            directory.path().display(),
            myself::shell()
        );
        let somebody = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = somebody.local_addr().expect("an address").port();
        let rules = format!(
            "[[bank]]\nname = \"tries\"\nwhen.recipient = '@tries\\.test$'\nnext_hop = \"smtp://{NAME}:{port}\"\n"
        );
        let mut world = World::new(Setup {
            daemon: &format!("sandbox = \"{sandbox}\""),
            rules: &rules,
            shell: &shell,
            ..Setup::default()
        });
        let wanted = match sandbox == "try" && is_whole {
            true => {
                "memory EACCES, open done, config EACCES, passwd EACCES, list EACCES, write EACCES, run EPERM, listen EPERM, connect done, names done"
            }
            false => {
                "memory done, open done, config done, passwd done, list done, write done, run done, listen done, connect done, names done"
            }
        };
        let line = world
            .daemon()
            .logs(&format!("next hop smtp://{NAME}:{port} is not found"));
        assert!(line.contains(wanted), "{sandbox}: {line}\n{wanted}");
        world.alive();
    }
}
