//! The connections of the next hop: one thread listens, one serves each connection.
//!
//! Must never: forgive an octet that no SMTP client may send.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use super::client::make_reset;
use super::hop::{Act, Broken, Inner, Moment, Stage, Taken, lone};

/// Listens until the hop does no more.
pub fn accept(listener: TcpListener, inner: &Arc<Inner>) -> JoinHandle<()> {
    let inner = Arc::clone(inner);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut state = inner.lock();
            if !state.listening {
                return;
            }
            let Ok(stream) = stream else { continue };
            state.record.connections += 1;
            state.record.open += 1;
            let number = state.record.connections;
            state
                .streams
                .insert(number, stream.try_clone().expect("a descriptor"));
            drop(state);
            let inner = Arc::clone(&inner);
            thread::spawn(move || {
                let mut talk = Talk {
                    inner,
                    stream,
                    number,
                    input: Vec::new(),
                    from: None,
                    to: Vec::new(),
                    is_lmtp: false,
                };
                talk.wait_its_turn();
                let end = talk.run();
                let Talk { inner, stream, .. } = talk;
                // The copy first: only the last descriptor closes the connection.
                let mut state = inner.lock();
                state.streams.remove(&number);
                state.served -= 1;
                drop(state);
                if end == Err(End::Reset) {
                    make_reset(&stream);
                }
                drop(stream);
                inner.lock().record.open -= 1;
                inner.changed.notify_all();
            });
        }
    })
}

/// Why a connection is over.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The client went, or all was said.
    Over,
    Reset,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Over
    }
}

/// One connection.
struct Talk {
    inner: Arc<Inner>,
    stream: TcpStream,
    number: usize,
    input: Vec<u8>,
    from: Option<String>,
    to: Vec<String>,
    /// It began with LHLO: behind the dot each recipient has a reply.
    is_lmtp: bool,
}

impl Talk {
    /// Stands in the queue of a hop that serves so many at a time.
    fn wait_its_turn(&self) {
        let mut state = self.inner.lock();
        while state.served >= state.capacity && !state.stopped {
            state = (self.inner.changed.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
        state.served += 1;
    }

    fn run(&mut self) -> Result<(), End> {
        let delays = self.inner.lock().delays;
        self.stream.set_nodelay(!delays)?;
        self.answer(Stage::Greeting, "", b"220 hop.test ESMTP\r\n")?;
        loop {
            let line = self.line()?;
            let verb = line
                .split([' ', ':'])
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "LHLO" => {
                    self.forget();
                    self.is_lmtp = verb == "LHLO";
                    let reply = self.ehlo();
                    self.answer(Stage::Ehlo, &line, &reply)?;
                }
                "HELO" => {
                    self.forget();
                    self.answer(Stage::Helo, &line, b"250 hop.test\r\n")?;
                }
                "MAIL" if self.from.is_some() => self.write(b"503 5.5.1 nested MAIL\r\n")?,
                "MAIL" => {
                    if self.answer(Stage::Mail, &line, b"250 2.1.0 sender ok\r\n")? {
                        self.from = Some(line.get(10..).unwrap_or_default().to_string());
                    }
                }
                "RCPT" if self.from.is_none() => self.write(b"503 5.5.1 MAIL first\r\n")?,
                "RCPT" => {
                    if self.answer(Stage::Rcpt, &line, b"250 2.1.5 recipient ok\r\n")? {
                        self.to.push(line.get(8..).unwrap_or_default().to_string());
                    }
                }
                "DATA" if self.to.is_empty() => self.write(b"503 5.5.1 RCPT first\r\n")?,
                "DATA" => {
                    if self.answer(Stage::Data, &line, b"354 go on\r\n")? {
                        self.body()?;
                    }
                }
                "RSET" => {
                    self.forget();
                    self.answer(Stage::Rset, &line, b"250 2.0.0 reset\r\n")?;
                }
                "NOOP" => {
                    self.answer(Stage::Noop, &line, b"250 2.0.0 ok\r\n")?;
                }
                "XFORWARD" if self.offers("XFORWARD") => self.write(b"250 2.0.0 noted\r\n")?,
                "AUTH" if self.offers("AUTH") => self.write(b"235 2.7.0 welcome\r\n")?,
                "VRFY" => self.write(b"252 2.5.0 who knows\r\n")?,
                "QUIT" => {
                    self.answer(Stage::Quit, &line, b"221 2.0.0 bye\r\n")?;
                    return self.close();
                }
                _ => self.write(b"500 5.5.2 what\r\n")?,
            }
        }
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn offers(&self, keyword: &str) -> bool {
        let state = self.inner.lock();
        state
            .extensions
            .iter()
            .any(|line| line.starts_with(keyword))
    }

    fn ehlo(&self) -> Vec<u8> {
        let mut lines = vec!["hop.test".to_string()];
        lines.extend(self.inner.lock().extensions.iter().cloned());
        let last = lines.len() - 1;
        let marked = lines.iter().enumerate().map(|(at, line)| {
            let separator = if at == last { ' ' } else { '-' };
            format!("250{separator}{line}\r\n")
        });
        marked.collect::<String>().into_bytes()
    }

    /// What the test wants at this moment.
    fn act(&self, stage: Stage, line: &str) -> Act {
        let mut state = self.inner.lock();
        let nth = *state
            .counts
            .entry(stage)
            .and_modify(|count| *count += 1)
            .or_insert(1);
        let behaviour = Arc::clone(&state.behaviour);
        drop(state);
        behaviour(&Moment {
            stage,
            nth,
            line: line.to_string(),
        })
    }

    /// Does what the test wants. Returns whether the session goes on as if all were well.
    fn answer(&mut self, stage: Stage, line: &str, normal: &[u8]) -> Result<bool, End> {
        let act = self.act(stage, line);
        self.perform(act, normal)
    }

    fn perform(&mut self, act: Act, normal: &[u8]) -> Result<bool, End> {
        match act {
            Act::Normal | Act::TakeAndClose | Act::Behind(..) => self.write(normal)?,
            Act::Say(octets) => {
                self.write(&octets)?;
                return Ok(octets.first() == normal.first());
            }
            Act::SayAndClose(octets) => {
                self.write(&octets)?;
                self.close()?;
            }
            Act::Close => self.close()?,
            Act::Reset => return Err(End::Reset),
            Act::Silence => self.drain()?,
            Act::Surplus(octets) => self.write(&[normal, &octets].concat())?,
            Act::Drip(pause) => {
                for octet in normal {
                    self.write(&[*octet])?;
                    thread::sleep(pause);
                }
            }
            Act::Endless(start, again) => {
                self.write(start)?;
                let block = again.repeat((64 << 10) / again.len());
                for _ in 0..(1 << 30) / block.len() {
                    self.write(&block)?;
                }
                self.drain()?;
            }
            Act::After(pause) => {
                thread::sleep(pause);
                self.write(normal)?;
            }
            Act::Hold => {
                self.hold()?;
                self.write(normal)?;
            }
        }
        Ok(true)
    }

    fn hold(&self) -> Result<(), End> {
        let mut state = self.inner.lock();
        state.record.held += 1;
        state.record.behind = self.input.clone();
        self.inner.changed.notify_all();
        let releases = state.releases;
        while state.releases == releases {
            if state.stopped {
                return Err(End::Over);
            }
            state = self
                .inner
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.record.held -= 1;
        Ok(())
    }

    /// The message up to its dot, and the answer to that.
    fn body(&mut self) -> Result<(), End> {
        let mut trap = match self.act(Stage::Body, "") {
            Act::Normal => None,
            Act::Behind(octets, act) => Some((octets, *act)),
            act => Some((0, act)),
        };
        // The end of a message may begin with the end of the DATA line.
        let mut wire = b"\r\n".to_vec();
        let mut searched = 0;
        let end = loop {
            if let Some(at) = find_end(&wire, searched) {
                break at;
            }
            searched = wire.len().saturating_sub(4);
            if let Some((_, act)) =
                trap.take_if(|(octets, _)| wire.len() - 2 + self.input.len() >= *octets)
            {
                let goes_on = match act {
                    Act::Say(octets) => self.write(&octets),
                    Act::Hold => self.hold(),
                    act => self.perform(act, b"").map(|_| ()),
                };
                if let Err(end) = goes_on {
                    wire.append(&mut self.input);
                    self.broke(&wire);
                    return Err(end);
                }
            }
            if self.input.is_empty() && self.read().is_err() {
                self.broke(&wire);
                return Err(End::Over);
            }
            wire.append(&mut self.input);
        };
        self.input = wire.split_off(end + 5);
        wire.truncate(end + 2);
        wire.drain(..2);
        if let Some(at) = lone(&wire) {
            self.inner.violation(format!(
                "a lone CR or LF in a message: ...{}",
                near(&wire, at)
            ));
        }
        let taken = Taken {
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            wire,
            connection: self.number,
            replied: true,
        };
        if self.is_lmtp {
            return self.reply_to_each(taken);
        }
        match self.act(Stage::Dot, "") {
            Act::TakeAndClose => {
                self.keep(Taken {
                    replied: false,
                    ..taken
                });
                self.close()
            }
            // It is taken before it is said to be: a client that has the reply finds it in the record.
            act @ (Act::Normal | Act::Surplus(_) | Act::Drip(_)) => {
                self.keep(taken);
                self.perform(act, b"250 2.0.0 taken\r\n").map(|_| ())
            }
            Act::Say(octets) => {
                if is_whole_2xx(&octets) {
                    self.keep(taken);
                }
                self.write(&octets)
            }
            Act::Hold => {
                self.hold()?;
                self.keep(taken);
                self.write(b"250 2.0.0 taken\r\n")
            }
            Act::After(pause) => {
                thread::sleep(pause);
                self.keep(taken);
                self.write(b"250 2.0.0 taken\r\n")
            }
            act => self.perform(act, b"").map(|_| ()),
        }
    }

    /// LMTP: the test is asked for each recipient; the mail is taken for those that are answered by 2xx.
    fn reply_to_each(&mut self, mut taken: Taken) -> Result<(), End> {
        let mut replies = Vec::new();
        let mut is_over = false;
        for recipient in std::mem::take(&mut taken.to) {
            let reply = match self.act(Stage::Dot, &recipient) {
                Act::Say(octets) => octets,
                Act::Close => {
                    is_over = true;
                    break;
                }
                _ => b"250 2.0.0 taken\r\n".to_vec(),
            };
            if is_whole_2xx(&reply) {
                taken.to.push(recipient);
            }
            replies.extend_from_slice(&reply);
        }
        if !taken.to.is_empty() {
            self.keep(taken);
        }
        self.write(&replies)?;
        if is_over { self.close() } else { Ok(()) }
    }

    fn keep(&self, taken: Taken) {
        self.inner.lock().record.mails.push(taken);
        self.inner.changed.notify_all();
    }

    fn broke(&self, wire: &[u8]) {
        let wire = wire.get(2..).unwrap_or_default().to_vec();
        self.inner.lock().record.broken.push(Broken { wire });
        self.inner.changed.notify_all();
    }

    fn line(&mut self) -> Result<String, End> {
        let end = loop {
            if let Some(at) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                break at;
            }
            self.read()?;
        };
        let line: Vec<u8> = self.input.drain(..end + 2).collect();
        let line = line.get(..end).unwrap_or_default();
        if line.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            self.inner.violation(format!(
                "a command with CR, LF or NUL: {}",
                line.escape_ascii()
            ));
        }
        let text = String::from_utf8_lossy(line).into_owned();
        self.inner
            .lock()
            .record
            .commands
            .push((self.number, text.clone()));
        self.inner.changed.notify_all();
        Ok(text)
    }

    fn read(&mut self) -> Result<(), End> {
        let mut buffer = [0; 65536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(End::Over),
                Ok(octets) => {
                    self.input.extend_from_slice(&buffer[..octets]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Over),
            }
        }
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), End> {
        Ok(self.stream.write_all(octets)?)
    }

    /// End-of-file, without a reset: what the client still says is read.
    fn close(&mut self) -> Result<(), End> {
        self.stream.shutdown(Shutdown::Write)?;
        self.drain()
    }

    /// Reads until the client goes.
    fn drain(&mut self) -> Result<(), End> {
        loop {
            self.read()?;
        }
    }
}

/// Where `CRLF.CRLF` begins.
fn find_end(wire: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = wire.get(at..)?;
        let dot = rest.iter().position(|octet| *octet == b'.')? + at;
        let is_end = dot >= 2 && wire.get(dot - 2..dot + 3) == Some(b"\r\n.\r\n");
        if is_end {
            return Some(dot - 2);
        }
        at = dot + 1;
    }
}

fn near(octets: &[u8], at: usize) -> String {
    let place = octets.get(at.saturating_sub(40)..octets.len().min(at + 20));
    place.unwrap_or_default().escape_ascii().to_string()
}

/// One complete line with a code of success.
/// With or without a text.
fn is_whole_2xx(octets: &[u8]) -> bool {
    matches!(
        octets,
        [b'2', b'0'..=b'9', b'0'..=b'9', b' ', .., b'\r', b'\n']
            | [b'2', b'0'..=b'9', b'0'..=b'9', b'\r', b'\n']
    )
}
