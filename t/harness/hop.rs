//! A next hop in threads of the test: correct unless told otherwise, and then wrong in every way that a test asks for.
//!
//! It keeps what it was told: each command, each mail that it took with the exact octets behind DATA, and each message that
//! broke off before its dot. It reads strictly: only CRLF ends a line, only CRLF.CRLF ends a message, and an octet that
//! no SMTP client may send is a violation, which fails the test. A session that begins with LHLO is one of LMTP.
//!
//! Must never: forgive.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::PATIENCE;
use super::talk::accept;

/// Where in a session the hop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Greeting,
    Ehlo,
    Helo,
    Mail,
    Rcpt,
    Data,
    /// Between 354 and the dot.
    Body,
    Dot,
    Rset,
    Noop,
    Quit,
}

/// What the hop is about to answer.
#[derive(Clone, Debug)]
pub struct Moment {
    pub stage: Stage,
    /// How often this stage was reached, in all connections together, from 1.
    pub nth: usize,
    /// The command line without its CRLF; at the dot of LMTP what stood behind `RCPT TO:`.
    pub line: String,
}

/// What the hop does instead of what is right.
#[derive(Clone, Debug)]
pub enum Act {
    Normal,
    /// These octets instead of the reply. 2xx (354 to DATA) goes on as if all were well, another code refuses.
    Say(Vec<u8>),
    /// These octets instead of the reply, then end-of-file.
    SayAndClose(Vec<u8>),
    /// End-of-file.
    Close,
    /// The connection is reset.
    Reset,
    /// No reply, ever.
    Silence,
    /// What is right, and these octets behind it in the same write.
    Surplus(Vec<u8>),
    /// What is right, octet by octet with pauses.
    Drip(Duration),
    /// What is right, after a pause.
    After(Duration),
    /// These octets, and then the others again and again as long as they are taken, up to a gigabyte.
    Endless(&'static [u8], &'static [u8]),
    /// What is right, once the test says [`Hop::release`]. In the body: nothing is read until then.
    Hold,
    /// At the dot: the mail is taken, but the connection ends instead of the reply.
    TakeAndClose,
    /// In the body: after so many octets of it.
    Behind(usize, Box<Act>),
}

/// A mail that the hop took.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Behind `MAIL FROM:`, parameters and all.
    pub from: String,
    /// Behind each accepted `RCPT TO:`.
    pub to: Vec<String>,
    /// The octets behind DATA without the final dot and its CRLF.
    pub wire: Vec<u8>,
    pub connection: usize,
    /// Whether the reply was written.
    pub replied: bool,
}

/// A message that ended before its dot.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The octets that came.
    pub wire: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Record {
    pub mails: Vec<Taken>,
    pub broken: Vec<Broken>,
    /// With the number of the connection.
    pub commands: Vec<(usize, String)>,
    /// Connections so far.
    pub connections: usize,
    /// Of these, still open.
    pub open: usize,
    /// Moments at which [`Act::Hold`] holds.
    pub held: usize,
    /// What had come behind the command at which it last began to hold.
    pub behind: Vec<u8>,
    pub violations: Vec<String>,
}

pub struct Hop {
    inner: Arc<Inner>,
    pub address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

type Behaviour = Arc<dyn Fn(&Moment) -> Act + Send + Sync>;

/// What the hop and its connections share.
pub struct Inner {
    pub state: Mutex<State>,
    pub changed: Condvar,
}

pub struct State {
    pub record: Record,
    pub behaviour: Behaviour,
    pub extensions: Vec<String>,
    pub counts: HashMap<Stage, usize>,
    /// So that the hop can end what its threads wait for.
    pub streams: HashMap<usize, TcpStream>,
    /// How often the test let go what was held.
    pub releases: usize,
    pub listening: bool,
    pub stopped: bool,
    /// So many connections are served at a time; further ones stand in the queue, without a greeting.
    pub capacity: usize,
    /// Connections that are served.
    pub served: usize,
    /// TCP_NODELAY is not set.
    pub delays: bool,
}

pub const EXTENSIONS: &[&str] = &[
    "PIPELINING",
    "SIZE 104857600",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
];

impl Hop {
    pub fn new() -> Hop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the next hop");
        let address = listener.local_addr().expect("an address");
        let state = State {
            record: Record::default(),
            behaviour: Arc::new(|_| Act::Normal),
            extensions: EXTENSIONS.iter().map(ToString::to_string).collect(),
            counts: HashMap::new(),
            streams: HashMap::new(),
            releases: 0,
            listening: true,
            stopped: false,
            capacity: usize::MAX,
            served: 0,
            delays: false,
        };
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let acceptor = Some(accept(listener, &inner));
        Hop {
            inner,
            address,
            acceptor,
        }
    }

    /// From now on.
    pub fn behave(&self, behaviour: impl Fn(&Moment) -> Act + Send + Sync + 'static) {
        let mut state = self.inner.lock();
        state.behaviour = Arc::new(behaviour);
        state.counts.clear();
    }

    /// From now on, each time at this stage.
    pub fn at(&self, stage: Stage, act: Act) {
        self.behave(move |moment| {
            if moment.stage == stage {
                act.clone()
            } else {
                Act::Normal
            }
        });
    }

    /// From now on, the first time at this stage.
    pub fn once(&self, stage: Stage, act: Act) {
        self.behave(move |moment| {
            if moment.stage == stage && moment.nth == 1 {
                act.clone()
            } else {
                Act::Normal
            }
        });
    }

    pub fn behave_well(&self) {
        self.behave(|_| Act::Normal);
    }

    /// What EHLO offers from now on.
    pub fn offer(&self, extensions: &[&str]) {
        self.inner.lock().extensions = extensions.iter().map(ToString::to_string).collect();
    }

    /// From now on so many connections are served at a time, as by a server with so many processes: others are accepted, and wait
    /// for their greeting until one of these ends.
    pub fn serve_at_a_time(&self, capacity: usize) {
        self.inner.lock().capacity = capacity;
        self.inner.changed.notify_all();
    }

    /// On connections from now on, a second reply in a row stays here until the first was acknowledged, as it does where nobody sets
    /// TCP_NODELAY.
    pub fn delay(&self) {
        self.inner.lock().delays = true;
    }

    /// Lets go what [`Act::Hold`] holds now.
    pub fn release(&self) {
        self.inner.lock().releases += 1;
        self.inner.changed.notify_all();
    }

    /// Nobody listens any more, and what is open ends.
    pub fn down(&mut self) {
        self.inner.lock().listening = false;
        self.inner.hang_up();
        // Wakes the acceptor, who sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }

    /// Listens again, on the same port.
    pub fn up(&mut self) {
        let listener = TcpListener::bind(self.address).expect("the port of the next hop");
        self.inner.lock().listening = true;
        self.acceptor = Some(accept(listener, &self.inner));
    }

    /// Ends the connections that are open; new ones are taken.
    pub fn hang_up(&self) {
        self.inner.hang_up();
    }

    /// The mails taken since the last look.
    pub fn mails(&self) -> Vec<Taken> {
        std::mem::take(&mut self.inner.lock().record.mails)
    }

    /// The one mail taken since the last look.
    #[track_caller]
    pub fn only_mail(&self) -> Taken {
        let mut mails = self.mails();
        assert_eq!(mails.len(), 1, "mails at the next hop");
        mails.remove(0)
    }

    /// Looks at the record.
    pub fn see<T>(&self, look: impl FnOnce(&mut Record) -> T) -> T {
        look(&mut self.inner.lock().record)
    }

    /// Waits until the record is as wanted.
    #[track_caller]
    pub fn wait(&self, what: &str, mut look: impl FnMut(&Record) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.inner.lock();
        while !look(&state.record) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited in vain for {what}: {:?}",
                state.record.commands
            );
            (state, _) = self
                .inner
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How often a command with this verb came.
    pub fn count(&self, verb: &str) -> usize {
        self.see(|record| {
            record
                .commands
                .iter()
                .filter(|(_, line)| line.starts_with(verb))
                .count()
        })
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.inner.lock().stopped = true;
        self.inner.changed.notify_all();
        self.down();
        let violations = self.see(|record| std::mem::take(&mut record.violations));
        if !thread::panicking() {
            assert!(
                violations.is_empty(),
                "the next hop was told what nobody may say: {violations:#?}"
            );
        }
    }
}

impl Taken {
    /// The path between the brackets of MAIL.
    pub fn sender(&self) -> &str {
        path(&self.from)
    }

    pub fn recipients(&self) -> Vec<&str> {
        self.to.iter().map(|to| path(to)).collect()
    }

    /// The message, without dot-stuffing.
    pub fn message(&self) -> Vec<u8> {
        unstuffed(&self.wire)
    }
}

/// One in `n` moments, by chance, one of these acts; the same seed gives the same run of luck.
pub fn flaky(n: u64, seed: u64, menu: &[Act]) -> impl Fn(&Moment) -> Act + Send + Sync + 'static {
    let menu = menu.to_vec();
    let luck = Mutex::new(Luck(seed));
    move |moment| {
        let mut luck = luck.lock().unwrap_or_else(PoisonError::into_inner);
        // A body is no command.
        if moment.stage == Stage::Body || luck.below(n) != 0 {
            return Act::Normal;
        }
        let pick = usize::try_from(luck.below(menu.len() as u64)).expect("small");
        menu[pick].clone()
    }
}

/// A row of numbers without a pattern: xorshift.
#[derive(Debug)]
pub struct Luck(pub u64);

impl Luck {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn path(argument: &str) -> &str {
    let inner = argument
        .trim_start()
        .strip_prefix('<')
        .expect("a path in brackets");
    // The last bracket that a blank or nothing follows: quoted local parts may hold one.
    let end = inner.find("> ").unwrap_or(inner.len() - 1);
    inner.get(..end).expect("a path in brackets")
}

fn unstuffed(wire: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(wire.len());
    let mut at_start = true;
    let mut before = 0;
    for octet in wire {
        let is_stuffing = at_start && *octet == b'.';
        if !is_stuffing {
            out.push(*octet);
        }
        at_start = before == b'\r' && *octet == b'\n';
        before = *octet;
    }
    out
}

impl Inner {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang_up(&self) {
        for stream in self.lock().streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn violation(&self, what: String) {
        self.lock().record.violations.push(what);
    }
}

/// Where a CR or LF stands without the other.
pub fn lone(octets: &[u8]) -> Option<usize> {
    let mut before = 0;
    for (at, octet) in octets.iter().enumerate() {
        if (before == b'\r') != (*octet == b'\n') {
            return Some(at);
        }
        before = *octet;
    }
    (before == b'\r').then(|| octets.len() - 1)
}
