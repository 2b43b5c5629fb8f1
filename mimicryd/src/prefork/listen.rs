//! Listening sockets: bound by the master, inherited from the service manager or from the master before, or kept over a reload.
//!
//! They never block, so that a worker which was woken for a connection that another one took goes on waiting in epoll.
//! A unix socket is readable and writable for the daemon's user and group (mode 0660); who is to reach it belongs into that group.
//!
//! Must never read from a connection.
//!
//! Known limit: an address that overlaps one that is still listened on (0.0.0.0 after 127.0.0.1, same port) cannot be
//! bound by a reload, only by a restart.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use mimicry_core::settings::Listen;
use mimicry_core::settings::endpoint::ListenAddress;
use nix::libc;
use nix::sys::stat::{Mode, SFlag, fchmod};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::sys::entry::{Entry, Id};
use crate::sys::privileges::Identity;
use crate::sys::{descriptors, poll, privileges};

/// Connections that wait for a worker; the kernel has its own maximum (net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    /// The name that it had when it was opened.
    name: String,
    /// As the configuration says; the port may be 0.
    address: ListenAddress,
    socket: Socket,
    /// It is the service manager's too, which goes on listening when we do not.
    inherited: bool,
    /// Of a unix socket that we made: device and inode, so that we remove no other one's.
    file: Option<Id>,
    /// Where it listened when it was opened, with the port that 0 became.
    at: Option<SocketAddr>,
    /// How often it was bound anew because somebody had shut it down.
    rebound: u64,
}

/// What another master has to know of a listener whose socket it gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deed {
    name: String,
    address: String,
    inherited: bool,
    file: Option<Id>,
    rebound: u64,
}

/// Who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An IPv4 address never stands in its IPv6 form.
    Inet(SocketAddr),
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Inet(address) => address.ip().fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// Opens the listeners of a configuration, in its order: those that are open already are kept, then what was inherited is
/// used (it has the listener's name, or its address), the rest is bound. An address in use is tried again for as long as
/// `patience` says: the workers of a dead master may still be finishing their mails.
///
/// # Errors
///
/// A sentence for the operator. Nothing that was not open before is open then.
pub fn open(
    wanted: &[Listen],
    mut kept: Vec<Rc<Listener>>,
    inherited: &mut Vec<(OwnedFd, String)>,
    owner: Option<&Identity>,
    patience: Duration,
) -> Result<Vec<Rc<Listener>>, String> {
    let deadline = Instant::now().checked_add(patience);
    let mut open: Vec<Rc<Listener>> = Vec::new();
    let mut made: Vec<Rc<Listener>> = Vec::new();
    for listen in wanted {
        if let Some(index) = kept.iter().position(|one| one.is_for(listen)) {
            open.push(kept.swap_remove(index));
            continue;
        }
        let result = match take_inherited(listen, inherited) {
            Some(descriptor) => adopt(listen, descriptor),
            None => match on_the_same_port(listen, inherited) {
                Some(other) => Err(elsewhere(listen, other)),
                None => bind_patiently(listen, owner, deadline),
            },
        };
        match result {
            Ok(listener) => {
                let listener = Rc::new(listener);
                made.push(Rc::clone(&listener));
                open.push(listener);
            }
            Err(error) => {
                close(&made, &[]);
                return Err(format!(
                    "listener {} cannot listen on {}: {error}",
                    listen.name, listen.address
                ));
            }
        }
    }
    for listener in made {
        log::info!("listening on {} ({})", listener.place(), listener.name);
    }
    Ok(open)
}

/// Ends the listening of those listeners that are not among `kept`, in all processes that have them, and removes their files.
pub fn close(listeners: &[Rc<Listener>], kept: &[Rc<Listener>]) {
    for listener in listeners {
        if !kept.iter().any(|one| Rc::ptr_eq(one, listener)) {
            listener.remove_file();
            listener.shut();
        }
    }
}

impl Listener {
    /// Takes a connection; it does not block, is closed on exec, and has no delay. Never waits.
    pub fn accept(&self) -> io::Result<(Socket, Peer)> {
        let (socket, address) = self.socket.accept()?;
        socket.set_nonblocking(true)?;
        let peer = match address.as_socket() {
            Some(address) => {
                Peer::Inet(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            None => Peer::Unix,
        };
        Ok((socket, peer))
    }

    /// Ends the listening in all processes that have the socket: new connections are refused, and the address is free for
    /// another socket even while a worker that is busy still has this one open.
    pub fn shut(&self) {
        if !self.inherited
            && let Err(error) = self.socket.shutdown(Shutdown::Both)
        {
            log::debug!("cannot shut {}: {error}", self.place());
        }
    }

    /// Where it really listens, such as "127.0.0.1:10025" or "unix:/run/smtp.sock".
    pub fn place(&self) -> String {
        match self.at {
            Some(address) => address.to_string(),
            None => self.address.to_string(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// How often it was bound anew because somebody had shut it down.
    pub fn rebound(&self) -> u64 {
        self.rebound
    }

    /// Did somebody end the listening?
    pub fn is_shut(&self) -> bool {
        poll::has_ended(self.as_fd())
    }

    /// Another one in its place, when it was shut down.
    pub fn anew(&self, owner: Option<&Identity>) -> io::Result<Listener> {
        // The dead socket still has the address: one that somebody else made may not share it yet.
        let _ = self.socket.set_reuse_address(true);
        let address = self.at.map_or(self.address.clone(), ListenAddress::Tcp);
        let only_v6 = self.socket.only_v6().unwrap_or(true);
        let (socket, file) = bind_to(&address, only_v6, owner)?;
        Ok(Listener {
            name: self.name.clone(),
            address: self.address.clone(),
            at: bound(&socket),
            socket,
            inherited: false,
            file,
            rebound: self.rebound.saturating_add(1),
        })
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Port 0 is another port for each listener, so these have to have the same name too.
    fn is_for(&self, listen: &Listen) -> bool {
        let any_port = listen.address.is_any_port();
        self.address == listen.address && (!any_port || self.name == listen.name)
    }

    /// For the master after this one, which gets the socket too.
    pub fn deed(&self) -> Deed {
        Deed {
            name: self.name.clone(),
            address: self.address.to_string(),
            inherited: self.inherited,
            file: self.file,
            rebound: self.rebound,
        }
    }

    /// The listener of the master before this one.
    pub fn of_deed(deed: Deed, descriptor: OwnedFd) -> io::Result<Listener> {
        let address =
            ListenAddress::parse(&deed.address).map_err(|error| io::Error::other(error.message))?;
        let socket = listening(descriptor)?;
        Ok(Listener {
            name: deed.name,
            address,
            at: bound(&socket),
            socket,
            inherited: deed.inherited,
            file: deed.file,
            rebound: deed.rebound,
        })
    }

    fn remove_file(&self) {
        if let (ListenAddress::Unix(path), Some(file)) = (&self.address, self.file) {
            remove_socket(path, file);
        }
    }
}

fn take_inherited(listen: &Listen, inherited: &mut Vec<(OwnedFd, String)>) -> Option<OwnedFd> {
    let by_name = inherited.iter().position(|(_, name)| *name == listen.name);
    let index = by_name.or_else(|| {
        inherited
            .iter()
            .position(|(descriptor, _)| listens_on(descriptor, &listen.address))
    })?;
    Some(inherited.swap_remove(index).0)
}

/// A socket that was handed over for the port of a listener and listens on another address: the port is taken, and what was meant
/// cannot be known.
fn on_the_same_port(listen: &Listen, inherited: &[(OwnedFd, String)]) -> Option<SocketAddr> {
    let ListenAddress::Tcp(wanted) = listen.address else {
        return None;
    };
    let mut places = inherited.iter().filter_map(|(descriptor, _)| {
        let socket = socket2::SockRef::from(descriptor);
        let address = socket.local_addr().ok()?.as_socket()?;
        Some((address, socket.only_v6().unwrap_or(false)))
    });
    let found = places.find(|(place, only_v6)| {
        wanted.port() != 0
            && place.port() == wanted.port()
            && keeps_from(place.ip(), *only_v6, wanted.ip())
    });
    found.map(|(place, _)| place)
}

/// Does a socket on the one address keep another from the other, on the same port?
fn keeps_from(there: IpAddr, only_v6: bool, wanted: IpAddr) -> bool {
    match (there, wanted) {
        (IpAddr::V6(there), IpAddr::V4(_)) => there.is_unspecified() && !only_v6,
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
        _ => there.is_unspecified() || wanted.is_unspecified(),
    }
}

fn elsewhere(listen: &Listen, other: SocketAddr) -> io::Error {
    io::Error::other(format!(
        "the service manager handed over a socket that listens on {other}: write that address here, or {} there, or give the socket the name {}",
        listen.address, listen.name
    ))
}

fn listens_on(descriptor: &OwnedFd, address: &ListenAddress) -> bool {
    let socket = socket2::SockRef::from(descriptor);
    let Ok(bound) = socket.local_addr() else {
        return false;
    };
    match address {
        ListenAddress::Tcp(address) => bound.as_socket().is_some_and(|bound| {
            // ::ffff:127.0.0.1 is 127.0.0.1 in another form.
            bound.port() == address.port()
                && bound.ip().to_canonical() == address.ip().to_canonical()
        }),
        ListenAddress::Unix(path) => bound.as_pathname() == Some(path.as_path()),
    }
}

fn adopt(listen: &Listen, descriptor: OwnedFd) -> io::Result<Listener> {
    let socket = listening(descriptor)?;
    if socket.local_addr()?.as_socket().is_some() {
        socket.set_tcp_nodelay(true)?;
    }
    Ok(Listener {
        name: listen.name.clone(),
        address: listen.address.clone(),
        at: bound(&socket),
        socket,
        inherited: true,
        file: None,
        rebound: 0,
    })
}

/// The socket that somebody else had made, if it is one that listens.
pub fn listening(descriptor: OwnedFd) -> io::Result<Socket> {
    let socket = Socket::from(descriptor);
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(io::Error::other(
            "the inherited descriptor is no listening socket",
        ));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bind_patiently(
    listen: &Listen,
    owner: Option<&Identity>,
    deadline: Option<Instant>,
) -> io::Result<Listener> {
    loop {
        match bind(listen, owner) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && deadline.is_some_and(|deadline| Instant::now() < deadline) =>
            {
                thread::sleep(Duration::from_millis(100));
            }
            result => return result,
        }
    }
}

fn bind(listen: &Listen, owner: Option<&Identity>) -> io::Result<Listener> {
    // [::] and 0.0.0.0 are two listeners.
    let (socket, file) = bind_to(&listen.address, true, owner)?;
    Ok(Listener {
        name: listen.name.clone(),
        address: listen.address.clone(),
        at: bound(&socket),
        socket,
        inherited: false,
        file,
        rebound: 0,
    })
}

/// The address that a socket really has, if it is one of the network.
fn bound(socket: &Socket) -> Option<SocketAddr> {
    socket.local_addr().ok()?.as_socket()
}

/// The socket, and the identity of its file if it has one.
fn bind_to(
    address: &ListenAddress,
    only_v6: bool,
    owner: Option<&Identity>,
) -> io::Result<(Socket, Option<(u64, u64)>)> {
    match address {
        ListenAddress::Tcp(address) => Ok((bind_tcp(*address, only_v6)?, None)),
        ListenAddress::Unix(path) => {
            let (socket, file) = bind_unix(path, 0o660, owner)?;
            Ok((socket, Some(file)))
        }
    }
}

fn bind_tcp(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_reuse_address(true)?;
    // Connections inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Makes a listening unix socket that does not block, in the place of one that nobody listens on any more. Returns the
/// identity of its file too.
pub fn bind_unix(path: &Path, mode: u32, owner: Option<&Identity>) -> io::Result<(Socket, Id)> {
    let place = Entry::of(path)?;
    remove_stale(&place)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    descriptors::set_nonblocking(&socket)?;
    // The file of a unix socket takes the mode of the socket, less the mask: it never has another one, and needs no change by
    // its path.
    fchmod(&socket, Mode::from_bits_truncate(mode))?;
    let address = SockAddr::unix(place.address())?;
    let bind = || privileges::with_exact_modes(|| socket.bind(&address));
    let file = match owner {
        Some(owner) => privileges::in_the_name_of(None, owner.gid, || {
            bind()?;
            place.give_socket(owner.uid, owner.gid)
        })?,
        None => {
            bind()?;
            place.id().ok_or(io::ErrorKind::NotFound)?
        }
    };
    socket.listen(BACKLOG)?;
    Ok((socket, file))
}

fn remove_stale(place: &Entry) -> io::Result<()> {
    let Ok(facts) = place.facts() else {
        return Ok(());
    };
    if SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT != SFlag::S_IFSOCK {
        return Err(io::Error::other("there is a file which is no socket"));
    }
    match UnixStream::connect(place.address()) {
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => place.remove(),
        // Connected, or its backlog is full: somebody listens.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Removes the file of a socket, unless another one stands there by now.
pub fn remove_socket(path: &Path, file: Id) {
    if let Ok(place) = Entry::of(path)
        && place.id() == Some(file)
    {
        let _ = place.remove();
    }
}

/// The directories of these files, made if only their last component is missing, so that /run/mimicry need not exist.
pub fn make_directories(files: &[&PathBuf]) {
    for file in files {
        if let Some(directory) = file.parent() {
            // It may exist; if it cannot be made, opening the file says so.
            let _ = Entry::of(directory).and_then(|place| place.make_directory(0o755, None));
        }
    }
}

#[cfg(test)]
mod tests;
