//! The figures of all rounds, and how they are printed: each beside the floor's and HAProxy's, with its target.
//!
//! Must never: round a figure to the right side of its target.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use crate::client::{Driven, Manner};
use crate::{CpuTarget, JUDGED, Kind, LOADS, Load, SESSIONS, System, median};

/// Mails per second at least, as a share of the floor's.
const SPEED: f64 = 0.5;

/// p99 at most, as a multiple of HAProxy's.
const PATIENCE: f64 = 2.0;

/// An idle worker's proportional set size at most, in megabytes.
const IDLE: f64 = 1.5;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    rate: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
    /// Milliseconds for a mail.
    cpu: Option<f64>,
}

/// Megabytes of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub fresh: f64,
    pub busiest: f64,
    pub after: f64,
}

pub struct Results {
    manner: Manner,
    rounds: usize,
    figures: HashMap<(System, Kind, usize), Vec<Figure>>,
    memories: HashMap<usize, Memory>,
    deflates: Vec<f64>,
    others: f64,
    met: usize,
    judged: usize,
}

impl Figure {
    /// `cost`: milliseconds on a processor for all mails.
    pub fn new(driven: Driven, cost: Option<f64>) -> Figure {
        let mut latencies = driven.latencies;
        latencies.sort_unstable();
        // The least that at least this many in a hundred do not exceed.
        let rank = |percent: usize| {
            let at = (latencies.len() * percent).div_ceil(100);
            let found = latencies.get(at.saturating_sub(1));
            found.map_or(f64::NAN, |latency: &Duration| {
                latency.as_secs_f64() * 1000.0
            })
        };
        Figure {
            rate: latencies.len() as f64 / driven.window.as_secs_f64(),
            p50: rank(50),
            p99: rank(99),
            cpu: cost.map(|cost| cost / driven.mails as f64),
        }
    }
}

impl Results {
    pub fn new(manner: Manner, rounds: usize) -> Results {
        Results {
            manner,
            rounds,
            figures: HashMap::new(),
            memories: HashMap::new(),
            deflates: Vec::new(),
            others: 0.0,
            met: 0,
            judged: 0,
        }
    }

    pub fn figure(&mut self, system: System, kind: Kind, sessions: usize, figure: Figure) {
        let figures = self.figures.entry((system, kind, sessions)).or_default();
        figures.push(figure);
    }

    pub fn memory(&mut self, load: usize, memory: Memory) {
        self.memories.insert(load, memory);
    }

    /// Milliseconds.
    pub fn deflate(&mut self, time: f64) {
        self.deflates.push(time);
    }

    /// The share of the processors that other programs had.
    pub fn others(&mut self, share: f64) {
        self.others = share;
    }

    pub fn report(mut self, loads: &[usize]) -> String {
        let mut text = format!(
            "median of {} rounds; {} mails in a session, {}; targets are for {JUDGED} sessions\n\
             other programs had {:.0} % of the processors\n",
            self.rounds,
            self.manner.mails_per_session,
            if self.manner.pipelining {
                "MAIL, RCPT and DATA in one write"
            } else {
                "one command at a time"
            },
            self.others * 100.0,
        );
        for load in loads {
            self.block(&mut text, *load, &LOADS[*load]);
        }
        let _ = writeln!(text, "\n{} of {} targets met", self.met, self.judged);
        text
    }

    fn block(&mut self, text: &mut String, number: usize, load: &Load) {
        let _ = writeln!(
            text,
            "\n{:<45}{:>8}{:>10}{:>10}{:>10}",
            load.name, "sessions", "floor", "HAProxy", "mimicry"
        );
        let rate = |figure: &Figure| figure.rate;
        self.rows(
            text,
            number,
            "mails/s",
            0,
            rate,
            |results, [floor, _, own]| {
                let share = own / floor;
                let verdict = results.judge(load.is_compared, share >= SPEED);
                format!(
                    "{share:.3} of the floor's{}",
                    verdict.text("at least", SPEED)
                )
            },
        );
        self.rows(
            text,
            number,
            "latency p50, ms",
            3,
            |figure| figure.p50,
            |_, _| String::new(),
        );
        let p99 = |figure: &Figure| figure.p99;
        self.rows(
            text,
            number,
            "latency p99, ms",
            3,
            p99,
            |results, [_, haproxy, own]| {
                let times = own / haproxy;
                let verdict = results.judge(load.is_compared, times <= PATIENCE);
                format!(
                    "{times:.2} times HAProxy's{}",
                    verdict.text("at most", PATIENCE)
                )
            },
        );
        let deflate = median(self.deflates.clone());
        let cpu = |figure: &Figure| figure.cpu.unwrap_or(f64::NAN);
        self.rows(
            text,
            number,
            "CPU, ms for a mail",
            3,
            cpu,
            |results, [_, _, own]| match load.cpu {
                CpuTarget::Milliseconds(target) => {
                    let verdict = results.judge(true, own <= target);
                    verdict.text("at most", target)
                }
                CpuTarget::Deflate(target) => {
                    let times = own / deflate;
                    let verdict = results.judge(true, times <= target);
                    format!(
                        "{times:.3} times deflate alone ({deflate:.2} ms){}",
                        verdict.text("at most", target)
                    )
                }
            },
        );
        if let Some(memory) = self.memories.get(&number).copied() {
            for (name, figure, is_judged) in [
                ("worker before its first mail, MB", memory.fresh, true),
                ("the busiest worker, MB", memory.busiest, false),
                ("worker idle after it, MB", memory.after, true),
            ] {
                let verdict = self.judge(is_judged, figure <= IDLE);
                let note = verdict.text("at most", IDLE);
                let _ = writeln!(text, "  {name:<71}{figure:>10.2}{}", padded(&note));
            }
        }
    }

    /// A row for each number of sessions; at the one that has targets, with a note.
    fn rows(
        &mut self,
        text: &mut String,
        load: usize,
        name: &str,
        places: usize,
        get: impl Fn(&Figure) -> f64,
        note: impl Fn(&mut Results, [f64; 3]) -> String,
    ) {
        for sessions in SESSIONS {
            let systems = [System::Floor, System::HaProxy, System::Mimicry(load)];
            let row = systems.map(|system| {
                let figures = self.figures.get(&(system, LOADS[load].kind, sessions));
                median(figures.into_iter().flatten().map(&get).collect())
            });
            let note = if sessions == JUDGED {
                note(self, row)
            } else {
                String::new()
            };
            let head = if sessions == SESSIONS[0] { name } else { "" };
            let _ = write!(text, "  {head:<43}{sessions:>8}");
            for figure in row {
                let _ = if figure.is_nan() {
                    write!(text, "{:>10}", "-")
                } else {
                    write!(text, "{figure:>10.places$}")
                };
            }
            let _ = writeln!(text, "{}", padded(&note));
        }
    }

    fn judge(&mut self, has_target: bool, is_met: bool) -> Verdict {
        if !has_target {
            return Verdict(None);
        }
        self.judged += 1;
        self.met += usize::from(is_met);
        Verdict(Some(is_met))
    }
}

/// A note behind its figures.
fn padded(note: &str) -> String {
    match note.trim_start_matches("; ") {
        "" => String::new(),
        words => format!("  {words}"),
    }
}

/// Met, missed, or nothing to meet.
struct Verdict(Option<bool>);

impl Verdict {
    fn text(&self, bound: &str, target: f64) -> String {
        match self.0 {
            Some(true) => format!("; {bound} {target}: met"),
            Some(false) => format!("; {bound} {target}: MISSED"),
            None => String::new(),
        }
    }
}
