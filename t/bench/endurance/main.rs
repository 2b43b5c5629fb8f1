//! Many mails through a daemon to which everything happens at once: none may be lost, none doubled that could have been known, and
//! memory and descriptors must stay what they were. `t/bench/endure`, or `cargo bench -p mimicryd --bench endure`.
//!
//! - Senders are processes of their own ([`sender`]), each with one mail at a time; a mail that is answered 4xx, or whose connection ends, is sent
//!   again with the same Message-ID until it is accepted. One mail in 20 has two recipients whom a rule tells apart, and one in 100 is archived.
//! - The next hop ([`hop`], threads of this program) fails one command in 20: a 4xx, a connection that is closed or reset, a reply that comes late,
//!   a mail that is taken without a reply.
//! - Meanwhile ([`trouble`]) a worker is killed every 50 ms (KILL or SEGV), the configuration is changed and reloaded every 2 seconds, the
//!   program is replaced by another copy and upgraded once, half way, and the disk with spool and archive is gone for a while, from 30 % on: as root
//!   it is a tmpfs of its own that somebody else fills to the last block; else its directory is moved away and comes back.
//! - Memory (written, and proportional) and descriptors of the master and of its workers are the medians of 20 looks, after 10 000 mails (or a fifth, if that is less) and when
//!   2 000 are left (or a fifth).
//!
//! The promise, for each recipient of each mail ([`books`]): there is a copy at the next hop, it is whole, and there is not one more than the
//! times that nobody could know of the copy before: the next hop had taken it and its reply was lost, or the worker was killed between
//! dot and reply. While the disk is gone nothing can be written down, so a mail of two recipients may be doubled then; this is counted apart. What is archived is
//! there once and whole. The exit status is 1 when this is not so, or when memory or descriptors have grown.
//!
//! `--mails N` (1 000 000), `--senders N` (20), `--disk SECONDS` (60); `--away` moves the directory away as root too, `--keep` leaves a copy of
//! the log.
//!
//! Known limits: `poison_limit` is 0 here, because whoever kills does not look at the mail in hand. Senders are more impatient than any MTA. A
//! machine that does other work makes it slow, not wrong.
//!
//! Must never: count a mail as accepted whose 250 the sender has not read, or stop a process that it did not start.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use books::Books;
use count::Look;
use daemon::Daemon;
use hop::Hop;
use trouble::Trouble;

#[allow(dead_code)]
#[path = "../account.rs"]
mod account;
mod books;
mod count;
mod daemon;
#[allow(dead_code)]
#[path = "../../harness/mod.rs"]
mod harness;
mod hop;
mod sender;
mod trouble;

/// The first argument of a process that sends.
const SENDER: &str = "send-to";

#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub mails: usize,
    pub senders: usize,
    /// Seconds without a disk.
    pub disk: u64,
    /// It is moved away even if it could be filled.
    pub away: bool,
    pub keep: bool,
}

impl Wish {
    /// Nothing if it is not `cargo bench` that asks, but for instance `cargo test --all-targets`.
    fn of(mut args: impl Iterator<Item = String>) -> Option<Wish> {
        let mut wish = Wish {
            mails: 1_000_000,
            senders: 20,
            disk: 60,
            away: false,
            keep: false,
        };
        let mut is_asked = false;
        while let Some(arg) = args.next() {
            let mut number = || -> usize {
                let number = args.next().and_then(|number| number.parse().ok());
                number.unwrap_or_else(|| panic!("{arg} needs a number"))
            };
            match arg.as_str() {
                "--bench" => is_asked = true,
                "--mails" => wish.mails = number().max(100),
                "--senders" => wish.senders = number().max(1),
                "--disk" => wish.disk = number() as u64,
                "--away" => wish.away = true,
                "--keep" => wish.keep = true,
                other => {
                    panic!("{other:?} is no option; see the head of t/bench/endurance/main.rs")
                }
            }
        }
        is_asked.then_some(wish)
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|word| word == SENDER) {
        sender::run(&args[2..]);
        return ExitCode::SUCCESS;
    }
    let Some(wish) = Wish::of(args.into_iter().skip(1)) else {
        println!("t/bench/endure measures; see the head of t/bench/endurance/main.rs");
        return ExitCode::SUCCESS;
    };
    let books = Arc::new(Books::new(wish.mails));
    let hop = Hop::start(Arc::clone(&books));
    let daemon = Arc::new(Daemon::start(hop.address, wish.away));
    let begun = Instant::now();
    let senders = sender::start(&wish, daemon.address, &books);
    let trouble = Trouble::start(wish, &daemon, &books);
    let early = wish.mails.min(50_000) / 5;
    let at = |mails: usize| {
        books.wait_for(mails, || senders.are_alive());
        Look::at(&daemon, &books)
    };
    let first = at(early);
    // While all still send.
    let last = at(wish.mails - (wish.mails / 5).min(2000));
    senders.join();
    let took = begun.elapsed();
    hop.behave_well();
    let done = trouble.end();
    let archived = daemon.archived();
    daemon.stop();
    let (text, is_kept) = count::report(&count::Result {
        wish,
        took,
        books: &books,
        done: &done,
        archived: &archived,
        panics: daemon.panics(),
        looks: [first, last],
    });
    print!("{text}");
    if wish.keep || !is_kept {
        println!("{} is kept", daemon.keep().display());
    }
    match is_kept {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
