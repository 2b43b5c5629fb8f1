//! Listening sockets: kept, handed over, bound and bound anew.

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
            let words =
                format!("handed over a socket that listens on {place}: write that address here");
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
