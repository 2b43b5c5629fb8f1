//! Listening sockets: bound by the master, inherited from the service manager, or kept over a reload.
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
        let any_port = matches!(listen.address, ListenAddress::Tcp(address) if address.port() == 0);
        self.address == listen.address && (!any_port || self.name == listen.name)
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
    let socket = Socket::from(descriptor);
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(io::Error::other(
            "the inherited descriptor is no listening socket",
        ));
    }
    socket.set_nonblocking(true)?;
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
    privileges::with_exact_modes(|| socket.bind(&address))?;
    let file = match owner {
        Some(owner) => place.give_socket(owner.uid, owner.gid)?,
        None => place.id().ok_or(io::ErrorKind::NotFound)?,
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
mod tests {
    use std::fs;
    use std::io::Read;
    use std::net::TcpStream;
    use std::os::unix::fs::MetadataExt;

    use mimicry_core::settings::endpoint::Protocol;
    use mimicry_core::settings::trusted::Trusted;
    use mimicry_core::settings::words::Profile;

    use super::*;

    fn listen(name: &str, address: &str) -> Listen {
        Listen {
            name: name.into(),
            address: ListenAddress::parse(address).unwrap(),
            protocol: Protocol::Smtp,
            clients: Vec::new(),
            xforward_clients: Trusted::default(),
            auth_clients: Trusted::default(),
            proxy_clients: Trusted::default(),
            profile: Profile::AfterQueue,
            tls: None,
        }
    }

    fn open_all(
        wanted: &[Listen],
        kept: Vec<Rc<Listener>>,
        inherited: &mut Vec<(OwnedFd, String)>,
    ) -> Result<Vec<Rc<Listener>>, String> {
        open(wanted, kept, inherited, None, Duration::ZERO)
    }

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mimicry-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn what_stays_is_kept_and_the_rest_is_bound() {
        let a = listen("a", "127.0.0.1:0");
        let b = listen("b", "127.0.0.1:0");
        let first = open_all(&[a, b], Vec::new(), &mut Vec::new()).unwrap();
        assert_ne!(first[0].place(), first[1].place());
        let again = [listen("b", "127.0.0.1:0"), listen("c", "127.0.0.1:0")];
        let second = open_all(&again, first.clone(), &mut Vec::new()).unwrap();
        assert!(Rc::ptr_eq(&second[0], &first[1]));
        assert!(!Rc::ptr_eq(&second[1], &first[0]));
        // With a port it is the address that counts, whatever the name.
        let fixed = [listen("x", &first[0].place())];
        drop(open_all(&fixed, Vec::new(), &mut Vec::new()).unwrap_err());
    }

    #[test]
    fn what_is_inherited_goes_by_name_or_by_address() {
        let make = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (one, two, three) = (make(), make(), make());
        let place = |listener: &std::net::TcpListener| listener.local_addr().unwrap().to_string();
        let (place1, place2) = (place(&one), place(&two));
        let wanted = [listen("by-name", "127.0.0.1:25"), listen("other", &place2)];
        let mut inherited = vec![
            (OwnedFd::from(three), "stranger".to_string()),
            (OwnedFd::from(two), "unknown".to_string()),
            (OwnedFd::from(one), "by-name".to_string()),
        ];
        let open = open_all(&wanted, Vec::new(), &mut inherited).unwrap();
        assert_eq!((open[0].place(), open[1].place()), (place1.clone(), place2));
        assert_eq!(inherited.len(), 1, "the stranger is left");
        let client = TcpStream::connect(place1).unwrap();
        let (_, peer) = open[0].accept().unwrap();
        assert_eq!(peer, Peer::Inet(client.local_addr().unwrap()));
        assert_eq!(
            open[0].accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let plain = fs::File::open("/dev/null").unwrap();
        let mut inherited = vec![(OwnedFd::from(plain), "a".to_string())];
        assert!(open_all(&[listen("a", "127.0.0.1:0")], Vec::new(), &mut inherited).is_err());
    }

    #[test]
    fn t204_a_socket_for_the_same_port_elsewhere_is_refused_in_words() {
        for (theirs, ours, is_refused) in [
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.1", "0.0.0.0", true),
            ("127.0.0.1", "127.0.0.1", false),
            // Both can be.
            ("127.0.0.2", "127.0.0.1", false),
        ] {
            let theirs = std::net::TcpListener::bind((theirs, 0)).unwrap();
            let place = theirs.local_addr().unwrap();
            let wanted = [listen("ours", &format!("{ours}:{}", place.port()))];
            let mut inherited = vec![(OwnedFd::from(theirs), "theirs".to_string())];
            let opened = open_all(&wanted, Vec::new(), &mut inherited);
            assert_eq!(opened.is_err(), is_refused, "{place} {ours}");
            if let Err(error) = opened {
                let words = format!(
                    "handed over a socket that listens on {place}: write that address here"
                );
                assert!(error.contains(&words), "{error}");
            }
        }
        for (there, only_v6, wanted, expected) in [
            ("::", false, "127.0.0.1", true),
            ("::", true, "127.0.0.1", false),
            ("::1", false, "127.0.0.1", false),
            ("0.0.0.0", false, "::1", false),
            ("::", true, "::1", true),
        ] {
            let (there, wanted) = (there.parse().unwrap(), wanted.parse().unwrap());
            assert_eq!(
                keeps_from(there, only_v6, wanted),
                expected,
                "{there} {wanted}"
            );
        }
    }

    #[test]
    fn stale_unix_sockets_are_replaced_and_live_ones_are_not() {
        let directory = directory("listen");
        let path = directory.join("smtp.sock");
        let wanted = [listen("u", &format!("unix:{}", path.display()))];
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let open = open_all(&wanted, Vec::new(), &mut Vec::new()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        let mut client = UnixStream::connect(&path).unwrap();
        let (socket, peer) = open[0].accept().unwrap();
        assert_eq!(peer, Peer::Unix);
        drop(socket);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        let error = open_all(&wanted, Vec::new(), &mut Vec::new()).unwrap_err();
        assert!(error.contains("listener u"), "{error}");
        drop(open[0].accept().unwrap()); // it tried whether somebody listens
        close(&open, &open);
        assert!(path.exists(), "it is kept");
        close(&open, &[]);
        assert!(!path.exists());
        let again = open_all(&wanted, Vec::new(), &mut Vec::new()).unwrap();
        assert!(open[0].accept().is_err(), "it is shut, though still open");
        close(&again, &[]);
        fs::write(&path, "a file").unwrap();
        assert!(open_all(&wanted, Vec::new(), &mut Vec::new()).is_err());
        close(&open, &[]);
        assert!(path.exists(), "it is another one");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_address_of_a_shut_listener_is_free() {
        let first = open_all(&[listen("a", "127.0.0.1:0")], Vec::new(), &mut Vec::new()).unwrap();
        let place = first[0].place();
        let wanted = [listen("a", &place)];
        assert!(open_all(&wanted, Vec::new(), &mut Vec::new()).is_err());
        close(&first, &[]);
        assert!(TcpStream::connect(&place).is_err());
        let second = open_all(&wanted, Vec::new(), &mut Vec::new()).unwrap();
        let _client = TcpStream::connect(&place).unwrap();
        assert!(second[0].accept().is_ok());
        // The service manager's go on.
        let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = theirs.local_addr().unwrap();
        let mut inherited = vec![(OwnedFd::from(theirs), "a".to_string())];
        let ours = open_all(&wanted, Vec::new(), &mut inherited).unwrap();
        close(&ours, &[]);
        assert!(TcpStream::connect(place).is_ok());
    }

    /// T192
    #[test]
    fn what_somebody_shut_is_bound_anew() {
        let directory = directory("anew");
        let path = directory.join("smtp.sock");
        let theirs = std::net::TcpListener::bind("[::1]:0")
            .or_else(|_| std::net::TcpListener::bind("127.0.0.1:0"));
        let mut inherited = vec![(OwnedFd::from(theirs.unwrap()), "theirs".to_string())];
        let wanted = [
            listen("tcp", "127.0.0.1:0"),
            listen("theirs", "127.0.0.1:25"),
            listen("unix", &format!("unix:{}", path.display())),
        ];
        let reach = |place: &str| match place.strip_prefix("unix:") {
            Some(path) => UnixStream::connect(path).map(drop),
            None => TcpStream::connect(place).map(drop),
        };
        let mut open = open_all(&wanted, Vec::new(), &mut inherited).unwrap();
        for round in 1..3 {
            for (listener, how) in open
                .iter()
                .zip([Shutdown::Read, Shutdown::Both, Shutdown::Read])
            {
                let place = listener.place();
                reach(&place).unwrap();
                assert!(!listener.is_shut(), "{place}");
                listener.socket.shutdown(how).unwrap();
                assert!(listener.is_shut(), "{place}");
                assert!(reach(&place).is_err(), "{place}");
                assert_eq!(listener.place(), place);
            }
            let anew = open
                .iter()
                .map(|listener| Rc::new(listener.anew(None).unwrap()));
            let anew: Vec<Rc<Listener>> = anew.collect();
            for (listener, old) in anew.iter().zip(&open) {
                assert_eq!((listener.place(), listener.rebound()), (old.place(), round));
                assert!(old.is_shut() && !listener.is_shut());
                reach(&listener.place()).unwrap();
                drop(listener.accept().unwrap());
            }
            open = anew;
        }
        close(&open, &[]);
        assert!(!path.exists());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let directory = directory("halfway");
        let path = directory.join("smtp.sock");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = [
            listen("u", &format!("unix:{}", path.display())),
            listen("t", &taken.local_addr().unwrap().to_string()),
        ];
        assert!(open_all(&wanted, Vec::new(), &mut Vec::new()).is_err());
        assert!(!path.exists());
        fs::remove_dir_all(directory).unwrap();
    }
}
