//! The processes of a daemon, as the system knows them.
//!
//! Must never: signal one.

use std::fs;

use nix::unistd::Pid;

/// The workers of a master that live. It has other children, too: who looks names up, shows metrics or keeps a configuration.
pub fn workers_of(master: Pid) -> Vec<Pid> {
    let is_worker = |pid: &Pid| {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        title.starts_with(b"mimicryd: worker")
    };
    children_of(master).into_iter().filter(is_worker).collect()
}

/// The children of a master that live.
pub fn children_of(master: Pid) -> Vec<Pid> {
    children(master)
        .into_iter()
        .filter(|(_, state)| *state != 'Z')
        .map(|(pid, _)| pid)
        .collect()
}

/// It is not there, or nobody has collected it yet.
pub fn is_gone(pid: Pid) -> bool {
    stat(pid).is_none_or(|fields| fields.first().is_none_or(|state| state == "Z"))
}

/// What proc_pid_stat(5) has behind the name: the state first.
pub fn stat(pid: Pid) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold blanks and brackets; its own bracket is the last.
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_ascii_whitespace().map(str::to_owned).collect())
}

/// The children of a process, each with the letter of its state.
pub fn children(parent: Pid) -> Vec<(Pid, char)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let stats = entries.flatten().filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
        let fields = stat(pid)?;
        let state = fields.first()?.chars().next()?;
        let is_child = fields.get(1)?.parse() == Ok(parent.as_raw());
        is_child.then_some((pid, state))
    });
    stats.collect()
}
