//! What a process has cost, as /proc tells it.
//!
//! The time on a processor of what lives is read from `schedstat`, in nanoseconds: the clock ticks of `stat`, 10 ms long, would
//! lose up to one for each of 60 workers. It is the same time: the kernel makes utime and stime of it. What has died is in the
//! cutime and cstime of the master.
//!
//! Must never: panic because a process ended meanwhile.

use std::fs;

use nix::unistd::Pid;

use crate::harness::daemon::{Daemon, workers_of};

/// Ticks of `stat` in a second: USER_HZ, which is part of the kernel's interface.
const USER_HZ: f64 = 100.0;

/// Milliseconds that the daemon has been on a processor: the master, its workers and those that it had before.
pub fn daemon(daemon: &Daemon) -> f64 {
    loop {
        // A worker that dies between two readings would be counted twice, or not at all.
        let before = dead_children(daemon.pid());
        let alive: f64 = daemon.workers().into_iter().map(process).sum();
        let total = process(daemon.pid()) + alive + before;
        if daemon.zombies() == 0 && dead_children(daemon.pid()) == before {
            return total;
        }
    }
}

/// Milliseconds that the threads of a process have been on a processor.
pub fn process(pid: Pid) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0.0;
    };
    threads
        .flatten()
        .map(|thread| on_processor(&format!("{}/schedstat", thread.path().display())))
        .sum()
}

/// Milliseconds that this thread has been on a processor.
pub fn this_thread() -> f64 {
    on_processor("/proc/thread-self/schedstat")
}

/// The figure of this name in smaps_rollup, such as `Pss:`.
pub fn kilobytes(pid: Pid, name: &str) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Proportional set size in megabytes: what is shared counts in parts.
pub fn memory(pid: Pid) -> Option<f64> {
    Some(kilobytes(pid, "Pss:")? as f64 / 1024.0)
}

/// That of each worker, the smallest first.
pub fn memories(master: Pid) -> Vec<f64> {
    let mut memories: Vec<f64> = workers_of(master).into_iter().filter_map(memory).collect();
    memories.sort_by(f64::total_cmp);
    memories
}

/// What all processors have had to give since they started, and what of it nobody took; in milliseconds.
pub fn processors() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let times: Vec<f64> = line
        .split_ascii_whitespace()
        .skip(1)
        .take(8)
        .flat_map(str::parse)
        .map(|ticks: f64| ticks * 1000.0 / USER_HZ)
        .collect();
    (times.iter().sum(), times.iter().skip(3).take(2).sum())
}

fn dead_children(pid: Pid) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command's name may hold blanks and brackets; its own bracket is the last. Behind it: state, ppid, ...
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let times = fields.split_ascii_whitespace().skip(13).take(2);
    times.flat_map(str::parse::<f64>).sum::<f64>() * 1000.0 / USER_HZ
}

fn on_processor(path: &str) -> f64 {
    let schedstat = fs::read_to_string(path).unwrap_or_default();
    let nanoseconds = schedstat.split_ascii_whitespace().next();
    nanoseconds
        .and_then(|text| text.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1e6
}
