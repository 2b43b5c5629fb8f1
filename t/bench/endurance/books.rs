//! Who says what of each mail: the next hop, which took it and answered or did not, and the sender, who was told or was not.
//!
//! Must never: believe one side alone.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The domains of the two recipients that a mail may have. A rule tells them apart.
pub const DOMAINS: [&str; 2] = ["example.net", "inside.example"];

/// Two recipients has each mail whose number this divides; archived is each that is one more than a multiple of the other.
const BOTH: usize = 20;
const ARCHIVED: usize = 100;

/// For so long nothing is accepted at most: longer than a disk is gone and a next hop is tried again.
const PATIENCE: Duration = Duration::from_secs(300);

/// The recipients of a mail, as indices of [`DOMAINS`].
pub fn recipients(mail: usize) -> &'static [usize] {
    match mail % BOTH {
        0 => &[0, 1],
        _ => &[0],
    }
}

pub fn is_archived(mail: usize) -> bool {
    mail % ARCHIVED == 1
}

/// The sender, by which rules know what to archive.
pub fn from(mail: usize) -> &'static str {
    match is_archived(mail) {
        true => "kept@example.com",
        false => "anna@example.com",
    }
}

/// The message, with CRLFs; nothing of it begins with a dot.
pub fn message(mail: usize) -> String {
    format!(
        "From: {}\r\nMessage-ID: <{mail}@endure.test>\r\nSubject: mail {mail}\r\n\r\nThe first line of mail {mail}.\r\n{}{}\r\n",
        from(mail),
        "A line in the middle that is like the others.\r\n".repeat(mail % 30),
        last_line(mail)
    )
}

pub fn last_line(mail: usize) -> String {
    format!("The last line of mail {mail}.")
}

/// Of one mail for one recipient.
#[derive(Debug, Default)]
struct Copies {
    /// The next hop has taken it so often,
    taken: AtomicU8,
    /// of these it has sent its reply,
    said: AtomicU8,
    /// and so many it took while the disk was gone.
    without_disk: AtomicU8,
}

/// Of one mail.
#[derive(Debug, Default)]
struct Sent {
    accepted: AtomicBool,
    /// The connection ended so often between dot and reply.
    unknown: AtomicU8,
}

#[derive(Debug)]
pub struct Books {
    copies: Vec<[Copies; 2]>,
    sent: Vec<Sent>,
    accepted: AtomicUsize,
    attempts: AtomicUsize,
    disk_is_gone: AtomicBool,
    wrong: Mutex<Vec<String>>,
}

/// What comes of it all.
#[derive(Debug, Default)]
pub struct Sum {
    pub accepted: usize,
    pub attempts: usize,
    pub unknown: usize,
    pub lost: Vec<usize>,
    /// More copies than can be explained.
    pub doubled: Vec<usize>,
    /// Copies too many of which the next hop's reply was lost, the sender never heard, or nothing could be written down.
    pub reply_lost: usize,
    pub untold: usize,
    pub without_disk: usize,
    pub wrong: Vec<String>,
}

impl Books {
    pub fn new(mails: usize) -> Books {
        Books {
            copies: std::iter::repeat_with(Default::default)
                .take(mails)
                .collect(),
            sent: std::iter::repeat_with(Default::default)
                .take(mails)
                .collect(),
            accepted: AtomicUsize::new(0),
            attempts: AtomicUsize::new(0),
            disk_is_gone: AtomicBool::new(false),
            wrong: Mutex::new(Vec::new()),
        }
    }

    /// The next hop has it, and answered if `said`.
    pub fn taken(&self, mail: usize, recipient: usize, said: bool) {
        let Some(copies) = self
            .copies
            .get(mail)
            .and_then(|copies| copies.get(recipient))
        else {
            self.wrong(format!(
                "mail {mail} for recipient {recipient} was never sent"
            ));
            return;
        };
        copies.taken.fetch_add(1, Ordering::Relaxed);
        copies.said.fetch_add(u8::from(said), Ordering::Relaxed);
        let is_gone = self.disk_is_gone.load(Ordering::Relaxed);
        copies
            .without_disk
            .fetch_add(u8::from(is_gone), Ordering::Relaxed);
    }

    /// The sender has read its 250.
    pub fn accepted(&self, mail: usize, attempts: usize, unknown: u8) {
        let sent = &self.sent[mail];
        sent.unknown.store(unknown, Ordering::Relaxed);
        if sent.accepted.swap(true, Ordering::Relaxed) {
            self.wrong(format!("mail {mail} was accepted twice"));
        }
        self.attempts.fetch_add(attempts, Ordering::Relaxed);
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub fn wrong(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.push(what);
    }

    pub fn disk_is_gone(&self, is_gone: bool) {
        self.disk_is_gone.store(is_gone, Ordering::Relaxed);
    }

    pub fn progress(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits until so many are accepted, or nobody sends any more.
    pub fn wait_for(&self, mails: usize, go_on: impl Fn() -> bool) {
        let mut last = (0, Instant::now());
        while self.progress() < mails && go_on() {
            let now = self.progress();
            if now != last.0 {
                last = (now, Instant::now());
            }
            assert!(
                last.1.elapsed() < PATIENCE,
                "nothing is accepted any more after {now} mails"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn sum(&self) -> Sum {
        let mut sum = Sum {
            accepted: self.progress(),
            attempts: self.attempts.load(Ordering::Relaxed),
            wrong: self
                .wrong
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            ..Sum::default()
        };
        for (mail, (copies, sent)) in self.copies.iter().zip(&self.sent).enumerate() {
            let unknown = usize::from(sent.unknown.load(Ordering::Relaxed));
            sum.unknown += unknown;
            if !sent.accepted.load(Ordering::Relaxed) {
                sum.wrong.push(format!("mail {mail} was not accepted"));
                continue;
            }
            for recipient in recipients(mail) {
                let count = |number: &AtomicU8| usize::from(number.load(Ordering::Relaxed));
                let copies = &copies[*recipient];
                let (taken, said) = (count(&copies.taken), count(&copies.said));
                if taken == 0 {
                    sum.lost.push(mail);
                    continue;
                }
                let unsaid = taken - said;
                let mut more = taken - 1;
                let mut explained = |by: usize| {
                    let some = more.min(by);
                    more -= some;
                    some
                };
                sum.reply_lost += explained(unsaid);
                sum.untold += explained(unknown);
                if recipients(mail).len() > 1 {
                    sum.without_disk += explained(count(&copies.without_disk));
                }
                if more > 0 {
                    sum.doubled.push(mail);
                }
            }
        }
        sum
    }
}
