//! `mimicryd test`: a folder of mails, each with a page beside it that says what is expected of the rules.
//!
//! - [`case`]: the page · [`court`]: the judgement · [`seen`]: what came of it · [`junit`]: the outcome for a build server
//!
//! The mails are judged in processes of their own, as many as there are processors, each with a part of them. One in which
//! something breaks takes down nothing but itself; its mails are then judged one by one, so that it is known which it was.
//!
//! Must never: archive, keep or send anything.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mimicry_core::config::Config;
use serde::{Deserialize, Serialize};

mod case;
mod court;
mod junit;
mod seen;

use case::Case;
use court::Court;
use seen::otherwise;

use super::input::{ConfigArg, SealKeysAtHand, read_mail};
use super::mails;
use super::output::{Output, write_file};
use super::show::{Paint, count, escape};
use crate::clock;
use crate::errand::{Errand, Returned, Terms};
use crate::prefork::exit::Exit;

/// How long a process may take for its part of the mails, and how much it may say of them.
const TERMS: Terms = Terms {
    user: None,
    time: Duration::from_secs(24 * 3600),
    answer: 1 << 30,
    is_alone: false,
};

/// A process for less than so many mails costs more than it saves.
const FEWEST: usize = 4;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Write into each page what the rules do today
    #[arg(long, conflicts_with = "against")]
    record: bool,
    /// Show every mail that this other configuration treats otherwise
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Also write the outcome as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The folder; or single mails
    #[arg(required = true, value_name = "DIR")]
    mails: Vec<PathBuf>,
}

/// What came of one mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Came {
    /// What is not as expected, or what the other configuration does otherwise.
    wrong: Vec<String>,
    /// Its page could not be read, or judging it failed.
    is_fault: bool,
    is_recorded: bool,
    milliseconds: u64,
}

/// What the mails are judged by.
struct Bench<'b> {
    one: (Config, SealKeysAtHand),
    other: Option<(Config, SealKeysAtHand)>,
    record: bool,
    files: &'b [PathBuf],
}

pub fn run(args: &Args, paint: Paint, err: Paint) -> Result<Output, Output> {
    let load = |config: &ConfigArg| {
        let config = config.load(err)?;
        let keys = SealKeysAtHand::of(&config);
        Ok((config, keys))
    };
    let one = load(&args.config)?;
    let other = match &args.against {
        Some(path) => Some(load(&ConfigArg {
            config: path.clone(),
        })?),
        None => None,
    };
    let files = mails::files(&args.mails)?;
    let begun = Instant::now();
    let bench = Bench {
        one,
        other,
        record: args.record,
        files: &files,
    };
    let came = bench.all();
    let mut output = Output::text(report(args, &files, &came, paint));
    output.err = bench.one.1.note();
    if let Some(path) = &args.junit {
        let cases: Vec<junit::Row<'_>> = files
            .iter()
            .zip(&came)
            .map(|(file, came)| row(file, came))
            .collect();
        let xml = junit::write(&cases, begun.elapsed());
        write_whole(path, xml.as_bytes()).map_err(|why| Output::failure(Exit::Io, why))?;
    }
    if came.iter().any(|came| !came.wrong.is_empty()) {
        output.exit = Exit::Data;
    }
    Ok(output)
}

impl Bench<'_> {
    /// In the order of the files.
    fn all(&self) -> Vec<Came> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let most = self.files.len().div_ceil(FEWEST);
        let workers = processors.min(most).max(1);
        let mut came: Vec<Option<Came>> = vec![None; self.files.len()];
        let parts = (0..workers).map(|first| {
            (first..self.files.len())
                .step_by(workers)
                .collect::<Vec<_>>()
        });
        // All are begun before the first is waited for.
        let begun: Vec<_> = parts.map(|part| (self.begin(&part), part)).collect();
        for (errand, part) in begun {
            self.take(errand, &part, &mut came);
        }
        let alone = |(at, came): (usize, Option<Came>)| came.unwrap_or_else(|| self.alone(at));
        came.into_iter().enumerate().map(alone).collect()
    }

    fn begin(&self, part: &[usize]) -> std::io::Result<Errand> {
        Errand::begin(TERMS, || {
            let came: Vec<Came> = part
                .iter()
                .filter_map(|at| self.files.get(*at))
                .map(|file| self.one(file))
                .collect();
            serde_json::to_vec(&came).unwrap_or_default()
        })
    }

    /// What a process said of its mails; nothing if it did not come to its end.
    fn take(&self, errand: std::io::Result<Errand>, part: &[usize], came: &mut [Option<Came>]) {
        let Ok(Returned::Answer(answer)) = errand.map(Errand::wait) else {
            return;
        };
        let said: Vec<Came> = serde_json::from_slice(&answer).unwrap_or_default();
        for (at, said) in part.iter().zip(said) {
            if let Some(came) = came.get_mut(*at) {
                *came = Some(said);
            }
        }
    }

    fn alone(&self, at: usize) -> Came {
        let mut came = vec![None; self.files.len()];
        let errand = self.begin(&[at]);
        let why = match errand {
            Err(error) => format!("it cannot be judged in a process of its own: {error}"),
            Ok(errand) => match errand.wait() {
                Returned::Answer(answer) => {
                    let said: Vec<Came> = serde_json::from_slice(&answer).unwrap_or_default();
                    came = said.into_iter().map(Some).collect();
                    "what was said of it cannot be read".into()
                }
                Returned::Died(Some(death)) => {
                    format!("the process that judged it {}", death.describe())
                }
                other => format!("the process that judged it did not answer: {other:?}"),
            },
        };
        let said = came.into_iter().flatten().next();
        said.unwrap_or_else(|| Came::fault(why))
    }

    /// Judges one mail. A panic is its fault and not that of the mails after it.
    fn one(&self, file: &Path) -> Came {
        let begun = Instant::now();
        let judged = catch_unwind(AssertUnwindSafe(|| self.judge(file)));
        let mut came = match judged {
            Ok(Ok(came)) => came,
            Ok(Err(why)) => Came::fault(why),
            Err(_) => Came::fault("a fault of mimicry itself".into()),
        };
        came.milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        came
    }

    fn judge(&self, file: &Path) -> Result<Came, String> {
        let now = clock::now();
        let (config, keys) = &self.one;
        let limit = config.banks.largest_mail_of_all();
        let raw =
            read_mail(file, limit).map_err(|output| output.err.trim().replace("mimicryd: ", ""))?;
        let path = page_of(file);
        let page = match fs::read_to_string(&path) {
            Ok(page) => Some(page),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let case = match &page {
            Some(page) => {
                Case::read(page).map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => Case::default(),
        };
        let court = Court {
            config,
            keys: &keys.keys,
            now,
        };
        let seen = court.judge(raw.clone(), &case)?;
        if let Some((config, keys)) = &self.other {
            let court = Court {
                config,
                keys: &keys.keys,
                now,
            };
            let wrong = otherwise(&seen, &court.judge(raw, &case)?);
            return Ok(Came {
                wrong,
                ..Came::default()
            });
        }
        if !self.record {
            return Ok(Came {
                wrong: case.wrong(&seen),
                ..Came::default()
            });
        }
        let recorded = case.recorded(&seen, now);
        let is_recorded = page.as_ref() != Some(&recorded);
        if is_recorded {
            write_whole(&path, recorded.as_bytes())?;
        }
        Ok(Came {
            is_recorded,
            ..Came::default()
        })
    }
}

/// `a.toml` beside `a.eml`; names in a Maildir have dots of their own.
fn page_of(file: &Path) -> PathBuf {
    if file.extension().is_some_and(|ending| ending == "eml") {
        return file.with_extension("toml");
    }
    let mut name = file.as_os_str().to_os_string();
    name.push(".toml");
    PathBuf::from(name)
}

impl Came {
    fn fault(why: String) -> Came {
        Came {
            wrong: vec![why],
            is_fault: true,
            ..Came::default()
        }
    }
}

fn write_whole(path: &Path, octets: &[u8]) -> Result<(), String> {
    write_file(path, octets, 0o644).map_err(|error| format!("{}: {error}", path.display()))
}

fn row<'r>(file: &'r Path, came: &'r Came) -> junit::Row<'r> {
    junit::Row {
        file,
        wrong: &came.wrong,
        is_fault: came.is_fault,
        milliseconds: came.milliseconds,
    }
}

/// The mails that are not as they should be, and how many there are of each kind.
fn report(args: &Args, files: &[PathBuf], came: &[Came], paint: Paint) -> String {
    let mut text = String::new();
    for (file, came) in files.iter().zip(came) {
        let name = escape(file.as_os_str().as_bytes());
        if came.is_recorded {
            text.push_str(&format!("{}  {name}\n", paint.yellow("recorded")));
        }
        if came.wrong.is_empty() {
            continue;
        }
        let word = match (came.is_fault, &args.against) {
            (true, _) => "fault",
            (false, Some(_)) => "otherwise",
            (false, None) => "wrong",
        };
        text.push_str(&format!("{}  {name}\n", paint.red(word)));
        for line in &came.wrong {
            text.push_str(&format!("    {}\n", escape(line)));
        }
    }
    let number = |of: fn(&Came) -> bool| came.iter().filter(|one| of(one)).count();
    let wrong = number(|one| !one.wrong.is_empty());
    let mails = count(came.len(), "mail");
    let tail = match (args.record, &args.against) {
        (true, _) => format!("{mails}, {} recorded", number(|one| one.is_recorded)),
        (false, Some(_)) => format!("{mails}, {wrong} treated otherwise"),
        (false, None) => format!("{mails}, {wrong} not as expected"),
    };
    text.push_str(&format!("{tail}\n"));
    text
}
