//! Memory and descriptors, and the table of what came of it all.
//!
//! Must never: call the promise kept because nothing was looked at.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;

use super::Wish;
use super::account::kilobytes;
use super::books::{Books, is_archived};
use super::daemon::Daemon;
use super::trouble::Done;

/// Looks whose median counts, and the time between two.
const LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Memory may grow by this share and so many kilobytes: workers are of different ages, and after an upgrade the master is another process.
const SHARE: f64 = 0.15;
const KILOBYTES: u64 = 2048;

/// Descriptors that may be more: those of a worker that is just being made.
const DESCRIPTORS: u64 = 8;

/// Medians.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    pub mails: usize,
    /// Kilobytes: what was written (anonymous memory, swapped or not), and all that is resident with what is shared divided by those
    /// who share it.
    pub master: [u64; 2],
    pub worker: [u64; 2],
    pub master_descriptors: u64,
    pub worker_descriptors: u64,
    pub workers: u64,
}

impl Look {
    pub fn at(daemon: &Daemon, books: &Books) -> Look {
        let mails = books.progress();
        let mut figures: [Vec<u64>; 7] = Default::default();
        for _ in 0..LOOKS {
            let workers = daemon.workers();
            let mut add = |at: usize, figure: Option<u64>| figures[at].extend(figure);
            if let Some(master) = daemon.pid() {
                add(0, written(master));
                add(1, kilobytes(master, "Pss:"));
                add(2, descriptors(master));
            }
            // Of all that are there at once, those in the middle.
            let each = |figure: &dyn Fn(Pid) -> Option<u64>| {
                median(
                    workers
                        .iter()
                        .filter_map(|worker| figure(*worker))
                        .collect(),
                )
            };
            add(3, each(&written));
            add(4, each(&|worker| kilobytes(worker, "Pss:")));
            add(5, each(&descriptors));
            add(6, Some(workers.len() as u64));
            thread::sleep(PAUSE);
        }
        let [
            written,
            pss,
            fds,
            worker_written,
            worker_pss,
            worker_fds,
            workers,
        ] = figures.map(|figures| median(figures).unwrap_or(0));
        Look {
            mails,
            master: [written, pss],
            worker: [worker_written, worker_pss],
            master_descriptors: fds,
            worker_descriptors: worker_fds,
            workers,
        }
    }
}

fn median(mut figures: Vec<u64>) -> Option<u64> {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied()
}

/// Pages of files come and go as the kernel likes; these are only given back by whom they belong to.
fn written(pid: Pid) -> Option<u64> {
    Some(kilobytes(pid, "Anonymous:")? + kilobytes(pid, "Swap:")?)
}

fn descriptors(pid: Pid) -> Option<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(entries.count() as u64)
}

pub struct Result<'r> {
    pub wish: Wish,
    pub took: Duration,
    pub books: &'r Books,
    pub done: &'r Done,
    pub archived: &'r BTreeMap<Option<usize>, usize>,
    pub panics: Vec<String>,
    pub looks: [Look; 2],
}

/// The table, and whether the promise was kept.
pub fn report(result: &Result<'_>) -> (String, bool) {
    let sum = result.books.sum();
    let mut table = Table::default();
    let rate = sum.accepted as f64 / result.took.as_secs_f64();
    table.row(
        "mails accepted",
        format!(
            "{} in {:.0} s, {rate:.0}/s",
            sum.accepted,
            result.took.as_secs_f64()
        ),
        sum.accepted == result.wish.mails,
    );
    table.row("attempts", sum.attempts.to_string(), true);
    table.row(
        "  that ended between dot and reply",
        sum.unknown.to_string(),
        true,
    );
    troubles(&mut table, result);
    table.row("lost", shown(&sum.lost), sum.lost.is_empty());
    table.row("doubled", shown(&sum.doubled), sum.doubled.is_empty());
    table.row(
        "  the next hop took it and its reply was lost",
        sum.reply_lost.to_string(),
        true,
    );
    table.row(
        "  the next hop said 250, its worker died",
        sum.untold.to_string(),
        true,
    );
    table.row(
        "  of two recipients, while no disk held the ledger",
        sum.without_disk.to_string(),
        true,
    );
    archived(&mut table, result);
    let wrong = sum.wrong.iter().chain(&result.panics);
    let wrong: Vec<&str> = wrong.map(String::as_str).collect();
    table.row(
        "anything else that is wrong",
        listed(&wrong),
        wrong.is_empty(),
    );
    let [first, last] = result.looks;
    let _ = writeln!(
        table.text,
        "\n{:<52}{:>12}{:>12}",
        "median of 20 looks",
        format!("{} mails", first.mails),
        format!("{} mails", last.mails)
    );
    let room = |figure: u64| figure + (figure as f64 * SHARE) as u64 + KILOBYTES;
    for (name, [first_own, first_pss], [last_own, last_pss]) in [
        ("the master", first.master, last.master),
        ("a worker", first.worker, last.worker),
    ] {
        let most = room(first_own);
        table.pair(
            &format!("memory of {name}, KB, written"),
            first_own,
            last_own,
            most,
        );
        // This one falls and rises with the number of workers, and with the pages of files that the kernel keeps.
        table.pair(
            &format!("memory of {name}, KB, proportional"),
            first_pss,
            last_pss,
            u64::MAX,
        );
    }
    table.pair(
        "descriptors of the master",
        first.master_descriptors,
        last.master_descriptors,
        first.master_descriptors + DESCRIPTORS,
    );
    table.pair(
        "descriptors of a worker",
        first.worker_descriptors,
        last.worker_descriptors,
        first.worker_descriptors + DESCRIPTORS,
    );
    table.pair("workers", first.workers, last.workers, u64::MAX);
    let _ = writeln!(
        table.text,
        "\n{}",
        if table.is_broken {
            "the promise is BROKEN"
        } else {
            "the promise is kept"
        }
    );
    (table.text, !table.is_broken)
}

fn troubles(table: &mut Table, result: &Result<'_>) {
    let done = result.done;
    table.row("workers killed", done.killed.to_string(), done.killed > 0);
    let failed: Vec<&str> = done.failed_reloads.iter().map(String::as_str).collect();
    table.row(
        "reloads",
        format!(
            "{}, and {} refused while the disk was gone",
            done.reloads, done.reloads_without_disk
        ),
        done.reloads > 0,
    );
    table.row("  that failed", listed(&failed), failed.is_empty());
    match &done.upgrade {
        Some(Ok(what)) => table.row("upgrade", what.clone(), true),
        Some(Err(error)) => table.row("upgrade", error.trim_end().to_string(), false),
        None => table.row("upgrade", "there was none".into(), false),
    }
    let disk = match &done.disk {
        Some((time, how)) => format!("{how} for {:.0} s", time.as_secs_f64()),
        None => "always there".into(),
    };
    table.row(
        "disk of spool and archive",
        disk,
        done.disk.is_some() || result.wish.disk == 0,
    );
}

fn archived(table: &mut Table, result: &Result<'_>) {
    let wanted = (0..result.wish.mails).filter(|mail| is_archived(*mail));
    let count = |mail: usize| result.archived.get(&Some(mail)).copied().unwrap_or(0);
    let missing: Vec<usize> = wanted.clone().filter(|mail| count(*mail) == 0).collect();
    let twice: Vec<usize> = wanted.clone().filter(|mail| count(*mail) > 1).collect();
    let broken = result.archived.get(&None).copied().unwrap_or(0);
    table.row("archived", wanted.count().to_string(), true);
    table.row(
        "  missing, twice, not whole",
        format!("{}, {}, {broken}", shown(&missing), shown(&twice)),
        missing.is_empty() && twice.is_empty() && broken == 0,
    );
}

#[derive(Default)]
struct Table {
    text: String,
    is_broken: bool,
}

impl Table {
    fn row(&mut self, name: &str, figure: String, is_right: bool) {
        self.is_broken |= !is_right;
        let _ = writeln!(self.text, "{name:<52}{figure}{}", verdict(is_right));
    }

    fn pair(&mut self, name: &str, first: u64, last: u64, most: u64) {
        let is_right = (1..=most).contains(&last) && first > 0;
        self.is_broken |= !is_right;
        let _ = writeln!(
            self.text,
            "{name:<52}{first:>12}{last:>12}{}",
            verdict(is_right)
        );
    }
}

fn verdict(is_right: bool) -> &'static str {
    if is_right { "" } else { "   WRONG" }
}

/// How many, and the first ones.
fn shown(mails: &[usize]) -> String {
    let first: Vec<String> = mails.iter().take(8).map(usize::to_string).collect();
    match first.is_empty() {
        true => "0".into(),
        false => format!("{} (mail {} ...)", mails.len(), first.join(", ")),
    }
}

fn listed(lines: &[&str]) -> String {
    let first: String = lines
        .iter()
        .take(8)
        .map(|line| format!("\n    {}", line.trim_end()))
        .collect();
    format!("{}{first}", lines.len())
}
