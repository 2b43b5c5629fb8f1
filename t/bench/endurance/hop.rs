//! The next hop: a thread for each connection, and one command in 20 goes wrong.
//!
//! Must never: note a mail that was not whole when its dot came.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::books::{Books, DOMAINS, last_line};
use super::harness::hop::Luck;

/// One command in so many fails.
const FAILS: u64 = 20;

pub struct Hop {
    pub address: SocketAddr,
    behaves_well: Arc<AtomicBool>,
}

/// What goes wrong.
enum Act {
    Normal,
    Refuse,
    RefuseAndClose,
    Close,
    Late,
    /// At the dot only: the mail is taken and nothing is said.
    Mute,
}

struct Session {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
    books: Arc<Books>,
    behaves_well: Arc<AtomicBool>,
    luck: Luck,
    recipients: Vec<String>,
}

/// Why a session is over.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Over {
        Over
    }
}

impl Hop {
    pub fn start(books: Arc<Books>) -> Hop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the next hop");
        let address = listener.local_addr().expect("an address");
        let behaves_well = Arc::new(AtomicBool::new(false));
        let seed = AtomicU64::new(4711);
        let good = Arc::clone(&behaves_well);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let luck = Luck(seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) | 1);
                let (books, behaves_well) = (Arc::clone(&books), Arc::clone(&good));
                thread::spawn(move || {
                    let Ok(reader) = stream.try_clone().map(BufReader::new) else {
                        return;
                    };
                    let mut session = Session {
                        reader,
                        stream,
                        books,
                        behaves_well,
                        luck,
                        recipients: Vec::new(),
                    };
                    let _ = session.run();
                });
            }
        });
        Hop {
            address,
            behaves_well,
        }
    }

    pub fn behave_well(&self) {
        self.behaves_well.store(true, Ordering::Relaxed);
    }
}

impl Session {
    fn run(&mut self) -> Result<(), Over> {
        self.stream.set_nodelay(true)?;
        // The first numbers of a seed are much like those of the next one.
        for _ in 0..20 {
            self.luck.below(2);
        }
        self.answer("220 endure.test\r\n", false)?;
        loop {
            let line = self.line()?;
            let upper = line.to_ascii_uppercase();
            match upper.split([' ', '\r']).next().unwrap_or_default() {
                "EHLO" => {
                    self.answer("250-endure.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10000000\r\n", false)?;
                }
                "MAIL" => {
                    self.recipients.clear();
                    self.answer("250 2.1.0 ok\r\n", false)?;
                }
                "RCPT" => {
                    if self.answer("250 2.1.5 ok\r\n", false)? {
                        self.recipients.push(line);
                    }
                }
                "DATA" if self.recipients.is_empty() => self.say("503 5.5.1 RCPT first\r\n")?,
                "DATA" => {
                    if self.answer("354 go on\r\n", false)? {
                        self.data()?;
                    }
                }
                "RSET" => {
                    self.recipients.clear();
                    self.answer("250 2.0.0 ok\r\n", false)?;
                }
                "NOOP" => {
                    self.answer("250 2.0.0 ok\r\n", false)?;
                }
                "QUIT" => return self.say("221 2.0.0 bye\r\n"),
                _ => self.say("500 5.5.2 unknown\r\n")?,
            }
        }
    }

    fn data(&mut self) -> Result<(), Over> {
        let mut message = String::new();
        loop {
            let line = self.line()?;
            match line.strip_prefix('.') {
                Some("\r\n") => break,
                Some(rest) => message.push_str(rest),
                None => message.push_str(&line),
            }
        }
        let found = self.look(&message);
        let is_said = self.answer_to_dot()?;
        let Some(is_said) = is_said else {
            return Ok(());
        };
        for (mail, recipient) in found {
            self.books.taken(mail, recipient, is_said);
        }
        match is_said {
            true => Ok(()),
            false => Err(Over),
        }
    }

    /// Whether the reply was sent; `None` = the mail is not taken.
    fn answer_to_dot(&mut self) -> Result<Option<bool>, Over> {
        match self.act(true) {
            Act::Mute => Ok(Some(false)),
            Act::Normal => Ok(Some(self.say("250 2.0.0 taken\r\n").is_ok())),
            Act::Late => {
                self.wait();
                Ok(Some(self.say("250 2.0.0 taken\r\n").is_ok()))
            }
            other => self.fail(&other).map(|()| None),
        }
    }

    /// The mail, and for whom; it must be whole and have what the rules make of it.
    fn look(&self, message: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for line in &self.recipients {
            let path = line.split(['<', '>']).nth(1).unwrap_or_default();
            let (mail, domain) = path.split_once('@').unwrap_or_default();
            let recipient = DOMAINS.iter().position(|other| *other == domain);
            let (Ok(mail), Some(recipient)) = (mail.parse::<usize>(), recipient) else {
                self.books.wrong(format!("a mail for {line:?}"));
                continue;
            };
            let has_footer = message.contains("Example Ltd, registered");
            let is_whole = message.contains(&format!("\r\nMessage-ID: <{mail}@endure.test>\r\n"))
                && message.contains(&format!("\r\n{}\r\n", last_line(mail)))
                && message.matches("A line in the middle").count() == mail % 30
                && has_footer == (recipient == 0);
            if !is_whole {
                self.books
                    .wrong(format!("mail {mail} for {path} is not whole: {message}"));
            }
            found.push((mail, recipient));
        }
        found
    }

    /// Says this, unless something goes wrong; true = it was said.
    fn answer(&mut self, reply: &str, is_dot: bool) -> Result<bool, Over> {
        match self.act(is_dot) {
            Act::Normal | Act::Mute => self.say(reply).map(|()| true),
            Act::Late => {
                self.wait();
                self.say(reply).map(|()| true)
            }
            other => self.fail(&other).map(|()| false),
        }
    }

    fn fail(&mut self, act: &Act) -> Result<(), Over> {
        match act {
            Act::Refuse => self.say("451 4.3.0 not now\r\n"),
            Act::RefuseAndClose => {
                self.say("421 4.3.2 bye\r\n")?;
                Err(Over)
            }
            _ => Err(Over),
        }
    }

    fn wait(&mut self) {
        let pause = 20 + self.luck.below(400);
        thread::sleep(Duration::from_millis(pause));
    }

    fn act(&mut self, is_dot: bool) -> Act {
        if self.behaves_well.load(Ordering::Relaxed) || self.luck.below(FAILS) != 0 {
            return Act::Normal;
        }
        match self.luck.below(if is_dot { 6 } else { 5 }) {
            0 | 1 => Act::Refuse,
            2 => Act::RefuseAndClose,
            3 => Act::Close,
            4 => Act::Late,
            _ => Act::Mute,
        }
    }

    fn say(&mut self, reply: &str) -> Result<(), Over> {
        Ok(self.stream.write_all(reply.as_bytes())?)
    }

    fn line(&mut self) -> Result<String, Over> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => Err(Over),
            // A worker that is killed ends in the middle of a line, too.
            Ok(_) if !line.ends_with("\r\n") => Err(Over),
            Ok(_) => Ok(line),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                self.books.wrong("a line that is not ASCII".into());
                Err(Over)
            }
            Err(_) => Err(Over),
        }
    }
}
