//! The senders: processes that send one mail after the other and try each until it is accepted. Each tells its parent of every mail in a line.
//!
//! Must never: take a connection that ended for a refusal, or send a mail anew whose 250 was read.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::books::{Books, DOMAINS, from, message, recipients};
use super::{SENDER, Wish};

/// No reply takes longer, whatever happens.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a sender waits before the next attempt at most.
const LONGEST_PAUSE: u64 = 1000;

pub struct Senders {
    threads: Vec<JoinHandle<()>>,
    alive: Arc<AtomicUsize>,
}

pub fn start(wish: &Wish, address: SocketAddr, books: &Arc<Books>) -> Senders {
    let alive = Arc::new(AtomicUsize::new(wish.senders));
    let threads = (0..wish.senders).map(|first| {
        let numbers = [first, wish.senders, wish.mails].map(|number| number.to_string());
        let child = Command::new("/proc/self/exe")
            .args([SENDER, &address.to_string()])
            .args(numbers)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program, once more");
        let (books, alive) = (Arc::clone(books), Arc::clone(&alive));
        thread::spawn(move || {
            listen(child, &books);
            alive.fetch_sub(1, Ordering::Relaxed);
        })
    });
    Senders {
        threads: threads.collect(),
        alive,
    }
}

impl Senders {
    pub fn are_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed) > 0
    }

    pub fn join(self) {
        for thread in self.threads {
            thread.join().expect("no panic");
        }
    }
}

fn listen(mut child: Child, books: &Books) {
    let stdout = child.stdout.take().expect("a pipe");
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["refused", mail, reply] => books.wrong(format!("mail {mail} is refused: {reply}")),
            [mail, attempts, unknown] => books.accepted(
                mail.parse().expect("a number"),
                attempts.parse().expect("a number"),
                unknown.parse().expect("a number"),
            ),
            _ => books.wrong(format!("a sender says {line:?}")),
        }
    }
    let status = child.wait().expect("a child");
    if !status.success() {
        books.wrong(format!("a sender ended with {status}"));
    }
}

/// The process: to whom, which of the senders it is, how many of them and of mails there are.
pub fn run(args: &[String]) {
    let [address, numbers @ ..] = args else {
        panic!("no address");
    };
    let address: SocketAddr = address.parse().expect("an address");
    let numbers: Vec<usize> = numbers
        .iter()
        .map(|number| number.parse().expect("a number"))
        .collect();
    let [first, step, end] = numbers[..] else {
        panic!("not three numbers");
    };
    let mut sender = Sender {
        address,
        session: None,
    };
    let mut out = std::io::stdout();
    // In each round every sender has another place, so that all have mails of all kinds.
    let mails = (0..end).step_by(step).enumerate();
    let mails = mails.map(|(round, start)| start + (first + round) % step);
    for mail in mails.filter(|mail| *mail < end) {
        let said = match sender.send(mail) {
            Ok((attempts, unknown)) => format!("{mail} {attempts} {unknown}\n"),
            Err(reply) => format!("refused {mail} {}\n", reply.trim_end()),
        };
        if out
            .write_all(said.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            return;
        }
    }
}

struct Sender {
    address: SocketAddr,
    session: Option<BufReader<TcpStream>>,
}

/// What became of an attempt.
enum Try {
    Accepted,
    Later,
    /// The connection ended between dot and reply.
    Unknown,
    Refused(String),
}

impl Sender {
    /// How many attempts it took, and of how many nobody knows.
    fn send(&mut self, mail: usize) -> Result<(u64, u8), String> {
        let (mut attempts, mut unknown) = (0, 0u8);
        loop {
            attempts += 1;
            match self.attempt(mail) {
                Try::Accepted => return Ok((attempts, unknown)),
                Try::Refused(reply) => return Err(reply),
                Try::Later => {}
                Try::Unknown => unknown = unknown.saturating_add(1),
            }
            if attempts > 1 {
                thread::sleep(Duration::from_millis((10 * attempts).min(LONGEST_PAUSE)));
            }
        }
    }

    fn attempt(&mut self, mail: usize) -> Try {
        let Some(mut session) = self.session.take().or_else(|| self.open()) else {
            return Try::Later;
        };
        let recipients = recipients(mail)
            .iter()
            .map(|at| format!("RCPT TO:<{mail}@{}>", DOMAINS[*at]));
        let commands = std::iter::once(format!("MAIL FROM:<{}>", from(mail)))
            .chain(recipients)
            .chain(std::iter::once("DATA".to_string()));
        for command in commands {
            match ask(&mut session, &format!("{command}\r\n")) {
                Some(reply) if reply.starts_with('2') || reply.starts_with("354") => {}
                Some(reply) if reply.starts_with('5') => return Try::Refused(reply),
                // All recipients or none: the mail comes again for those who had no place.
                Some(_) => {
                    if ask(&mut session, "RSET\r\n").is_some_and(|reply| reply.starts_with('2')) {
                        self.session = Some(session);
                    }
                    return Try::Later;
                }
                None => return Try::Later,
            }
        }
        match ask(&mut session, &format!("{}.\r\n", message(mail))) {
            Some(reply) if reply.starts_with('2') => {
                self.session = Some(session);
                Try::Accepted
            }
            Some(reply) if reply.starts_with('5') => Try::Refused(reply),
            Some(_) => {
                self.session = Some(session);
                Try::Later
            }
            None => Try::Unknown,
        }
    }

    fn open(&self) -> Option<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut session = BufReader::new(stream);
        let is_open = reply(&mut session)?.starts_with("220")
            && ask(&mut session, "EHLO sender.test\r\n")?.starts_with('2');
        is_open.then_some(session)
    }
}

fn ask(session: &mut BufReader<TcpStream>, words: &str) -> Option<String> {
    session.get_mut().write_all(words.as_bytes()).ok()?;
    reply(session)
}

/// The last line of a reply; `None` = the connection ended.
fn reply(session: &mut BufReader<TcpStream>) -> Option<String> {
    loop {
        let mut line = String::new();
        match session.read_line(&mut line) {
            Ok(_) if line.ends_with("\r\n") => {}
            Ok(_) => return None,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                panic!("no reply for {} seconds", PATIENCE.as_secs());
            }
            Err(_) => return None,
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Some(line);
        }
    }
}
