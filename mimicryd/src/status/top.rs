//! The screen of `mimicryd top`: totals and rates, next hops, and a line for each worker. Pure.
//!
//! Must never: have a line wider or a screen higher than the terminal.

use super::{Status, age, brief, shown};

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// How many there were of something a second, since the screen before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Since {
    pub seconds: f64,
    pub mails: u64,
    pub octets_in: u64,
    pub octets_out: u64,
}

impl Since {
    /// `None` = there was no screen before, or another daemon had it.
    pub fn of(before: &Status, now: &Status, seconds: f64) -> Option<Since> {
        let more = |name: &str| now.total(name).checked_sub(before.total(name));
        (seconds > 0.0).then_some(())?;
        Some(Since {
            seconds,
            mails: more("mails")?,
            octets_in: more("octets_in")?,
            octets_out: more("octets_out")?,
        })
    }

    fn rate(self, number: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown with a digit")]
        let number = number as f64;
        number / self.seconds
    }
}

/// The lines of the screen; `None` = it is for no terminal, and everything is shown.
pub fn screen(status: &Status, since: Option<Since>, size: Option<Size>) -> Vec<String> {
    let mut lines = head(status, since);
    lines.extend(next_hops(status));
    lines.push(bar(status, size.map_or(80, |size| size.columns)));
    lines.push(format!(
        "{:>8} S {:<9} {:>8} {:<10} {:>8} {:>6}  RULE",
        "PID", "STATE", "FOR", "MAIL", "MAILS", "IN"
    ));
    let mut workers: Vec<_> = status.workers.iter().collect();
    // Those that have been busy for longest stand on top, the idle ones at the end.
    let is_idle = |state: &str| matches!(state, "idle" | "starting");
    workers.sort_by(|one, other| {
        let idle = is_idle(&one.state).cmp(&is_idle(&other.state));
        idle.then(other.age_seconds.total_cmp(&one.age_seconds))
    });
    let all = workers.len();
    let room = size.map_or(usize::MAX, |size| size.rows.saturating_sub(lines.len()));
    let fits = all <= room;
    let most = if fits { all } else { room.saturating_sub(1) };
    for worker in workers.into_iter().take(most) {
        lines.push(format!(
            "{:>8} {} {:<9} {:>8} {:<10} {:>8} {:>6}  {}{}",
            worker.pid,
            letter(&worker.state),
            worker.state,
            brief_age(worker.age_seconds),
            shown(worker.mail.as_deref().unwrap_or("-"), 10),
            worker.own("mails"),
            brief(worker.own("octets_in")),
            shown(worker.rule.as_deref().unwrap_or("-"), 40),
            if worker.leaving { " (leaving)" } else { "" },
        ));
    }
    if !fits {
        lines.push(format!("{:>8} more", all.saturating_sub(most)));
    }
    let Some(Size { columns, rows }) = size else {
        return lines;
    };
    lines.truncate(rows);
    let cut = |line: String| shown(&line, columns);
    lines.into_iter().map(cut).collect()
}

fn head(status: &Status, since: Option<Since>) -> Vec<String> {
    let mut first = format!(
        "mimicryd {} {}, pid {}, up {}, generation {}",
        status.version,
        status.state,
        status.pid,
        age(status.uptime_seconds),
        status.generation
    );
    if !status.last_reload_done {
        first.push_str(", last reload refused");
    }
    let rate = match since {
        Some(since) => format!(
            "now {:.1}/s, in {}/s, out {}/s",
            since.rate(since.mails),
            brief(whole(since.rate(since.octets_in))),
            brief(whole(since.rate(since.octets_out)))
        ),
        None => format!("{}/s over 1 min", status.mails_per_second.one_minute),
    };
    vec![
        first,
        format!(
            "mails {}: {} edited, {} deferred, {} refused; {rate}",
            status.total("mails"),
            status.total("edited"),
            status.total("deferred"),
            status.total("refused"),
        ),
        format!(
            "workers {} of {}: {} busy; {} died; connections waiting {}; log lines lost {}",
            status.workers.len(),
            status.max,
            status.busy(),
            status.deaths,
            status.waiting(),
            status.log.lost
        ),
    ]
}

fn next_hops(status: &Status) -> Vec<String> {
    let hops = status.next_hops.iter().map(|hop| {
        let state = match hop.away_seconds {
            Some(seconds) => format!("DOWN for {}", brief_age(seconds)),
            None if hop.lost => "NOT FOUND".to_string(),
            None if hop.failed == 1 => "FAILED once".to_string(),
            None if hop.failed > 1 => format!("FAILED {} times", hop.failed),
            None => "up".to_string(),
        };
        format!(
            "next hop {} {state}, connections {}, {} idle",
            shown(&hop.next_hop, 40),
            hop.connections,
            hop.idle
        )
    });
    hops.collect()
}

/// A letter for each worker, as on Apache's scoreboard.
fn bar(status: &Status, columns: usize) -> String {
    let letters = status.workers.iter().map(|worker| letter(&worker.state));
    let letters: String = letters.collect();
    let free = status.max.saturating_sub(status.workers.len());
    let bar = format!("[{letters}{}]", ".".repeat(free));
    match bar.len() <= columns {
        true => bar,
        false => format!("[{}]", shown(&letters, columns.saturating_sub(2))),
    }
}

fn letter(state: &str) -> char {
    match state {
        "starting" => 's',
        "idle" => '_',
        "session" => 'C',
        "receiving" => 'R',
        "rules" => 'E',
        "relaying" => 'W',
        _ => '?',
    }
}

/// Such as "3.1 s", "17 min", "4 h".
fn brief_age(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.1} s"),
        ..6000.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float that is too large becomes the largest number, and none is negative"
    )]
    let whole = number.max(0.0) as u64;
    whole
}
