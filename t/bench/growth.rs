//! How cost grows with what a mail, a configuration and a daemon have many of. `t/bench/growth`, or
//! `cargo bench -p mimicryd --bench growth`.
//!
//! One table for each measure, with a line for each size. Of a mail through scan, classes, plan, edit and proof: instructions, counted by callgrind
//! in a process of its own for the second walk, and the octets that such a process needs at most beyond the one with the smallest size. Of loading a
//! configuration: milliseconds. Of the daemon with so many workers: processor time for each mail, and the proportional set size of a worker. Of a
//! reload of so many rules: the longest that a mail waits meanwhile.
//!
//! Below each table stands the exponent of each column: the slope of its logarithm over the last four sizes. Where it may grow as its measure does,
//! 1.05 is the limit; what is found by an index, or does not depend on the measure, must stay below 0.25. A column beyond its limit is marked, and
//! then the exit status is 1.
//!
//! `--only WORDS` runs only tables with these words in their names, `--most N` stops at this size (for all tables; the default goes to the sizes
//! that callgrind does in minutes: mails of 4 MB), `--full` to all sizes.
//!
//! Known limits: times are of a machine that may do other work, and no limit holds for them, but that no mail may wait for a reload;
//! instructions are. An exponent of less than 1 says that a fixed cost is still the larger part.
//!
//! Must never: stop a process that it did not start.

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use std::{env, fs};

use mimicry_core::engine::{self, Judged};
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::Effects;
use mimicry_core::policy::{Banks, Memo};

use harness::daemon::{Daemon, Setup};
use harness::hop::Hop;

#[allow(dead_code)]
mod account;
#[allow(dead_code)]
mod client;
#[allow(dead_code)]
#[path = "../harness/mod.rs"]
mod harness;
mod reloading;
#[allow(dead_code)]
mod sink;
#[allow(dead_code)]
mod walk;

use walk::{lines, load};

/// How a column may grow.
const LINEAR: f64 = 1.05;
const CONSTANT: f64 = 0.25;

/// What is made large, and how large.
struct Table {
    name: &'static str,
    sizes: &'static [usize],
    /// The default ends here.
    most: usize,
    limit: f64,
    rules: fn(usize) -> String,
    mail: fn(usize) -> Mail,
}

/// Ten thousand of something that the mail does not meet.
const fn of_rules(name: &'static str, rules: fn(usize) -> String) -> Table {
    Table {
        name,
        sizes: &[1, 10, 100, 1000, 3000, 10_000],
        most: 10_000,
        limit: CONSTANT,
        rules,
        mail: |_| mail_of(text(2048), 1),
    }
}

/// Of mails that grow by their size.
const OCTETS: &[usize] = &[
    2 << 10,
    16 << 10,
    128 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    100_000_000,
];

const TABLES: &[Table] = &[
    Table {
        name: "size",
        sizes: OCTETS,
        most: 4 << 20,
        limit: LINEAR,
        rules: |_| FOOTER.into(),
        mail: |size| mail_of(text(size), 1),
    },
    Table {
        name: "size-attachment",
        sizes: OCTETS,
        most: 4 << 20,
        limit: LINEAR,
        rules: |_| FOOTER.into(),
        mail: |size| mail_of(attachment(size), 1),
    },
    Table {
        name: "parts",
        sizes: &[1, 10, 100, 1000, 3000, 10_000],
        most: 10_000,
        limit: LINEAR,
        rules: |_| format!("{FOOTER}{TABLES_ZIP}"),
        mail: |parts| mail_of(multipart(parts), 1),
    },
    Table {
        name: "recipients",
        sizes: &[1, 10, 100, 300, 1000, 3000],
        most: 3000,
        limit: LINEAR,
        rules: |_| FOOTER.into(),
        mail: |recipients| mail_of(text(2048), recipients),
    },
    Table {
        name: "classes",
        sizes: &[1, 2, 4, 8, 16, 32],
        most: 32,
        limit: LINEAR,
        rules: |classes| tenants(classes, "recipient_domain", "t"),
        mail: |classes| mail_of(text(2048), classes),
    },
    of_rules("rules-sender", |rules| patterns(rules, "sender")),
    of_rules("rules-subject", |rules| patterns(rules, "header.Subject")),
    Table {
        mail: |_| mail_of(multipart(4), 1),
        ..of_rules("rules-filename", |rules| patterns(rules, "filename"))
    },
    of_rules("rules-domain", |rules| tenants(rules, "sender_domain", "s")),
    of_rules("banks-sender", |banks| {
        of_banks(banks, |bank| format!("sender = '@s{bank}\\.example$'"))
    }),
    of_rules("banks-domain", |banks| {
        of_banks(banks, |bank| {
            format!("recipient_domain = 't{bank}.example'")
        })
    }),
    of_rules("banks-header", |banks| {
        of_banks(banks, |bank| {
            format!("header_sender_domain = 's{bank}.example'")
        })
    }),
    Table {
        name: "domains",
        sizes: &[1, 10, 100, 1000, 10_000, 100_000],
        most: 100_000,
        limit: CONSTANT,
        rules: |domains| {
            let list: String = (0..domains)
                .map(|domain| format!("\"s{domain}.example\", "))
                .collect();
            format!("{FOOTER}match.sender_domain = [{list}]\n")
        },
        mail: |_| mail_of(text(2048), 1),
    },
];

/// Sizes of the daemon, which has a clock.
const WORKERS: &[usize] = &[1, 2, 4, 8, 16, 32, 64];

const FOOTER: &str = "[[rule]]\nname = \"footer\"\nplugin = \"disclaim\"\noptions = { text = \"Example Ltd\", html = \"<p>Example Ltd</p>\" }\n";

const TABLES_ZIP: &str =
    "[[rule]]\nname = \"tables\"\nplugin = \"zip\"\nmatch = { filename = '\\.csv$' }\n";

/// Rules of other tenants, each with a text of its own, and one that holds.
fn patterns(number: usize, filter: &str) -> String {
    let mut text = FOOTER.to_string();
    for rule in 1..number {
        let pattern = match filter {
            "sender" => format!("@customer{rule}\\.example$"),
            "filename" => format!("report{rule}\\.(csv|xls)$"),
            _ => format!("ticket {rule}\\b"),
        };
        // A filter on parts is of a plugin that works on parts.
        let (plugin, options) = match filter {
            "filename" => ("remove", String::new()),
            _ => (
                "header",
                format!("options = {{ add = {{ X-Tenant = \"{rule}\" }} }}\n"),
            ),
        };
        let _ = write!(
            text,
            "[[rule]]\nname = \"r{rule}\"\nplugin = \"{plugin}\"\nmatch = {{ {filter} = '{pattern}' }}\n\
             unless = {{ recipient = '@customer{rule}\\.example$' }}\n{options}"
        );
    }
    text
}

/// One rule for each tenant, by domain.
fn tenants(number: usize, filter: &str, letter: &str) -> String {
    let mut text = String::new();
    for tenant in 0..number {
        let _ = write!(
            text,
            "[[rule]]\nname = \"r{tenant}\"\nplugin = \"header\"\nmatch.{filter} = \"{letter}{tenant}.example\"\n\
             options = {{ add = {{ X-Tenant = \"{tenant}\" }} }}\n"
        );
    }
    text
}

fn of_banks(number: usize, when: fn(usize) -> String) -> String {
    let mut text = FOOTER.replace("Example Ltd", "{{ var.company }}");
    for bank in 0..number {
        let _ = write!(
            text,
            "[[bank]]\nname = \"b{bank}\"\nwhen = {{ {} }}\nvariables = {{ company = \"Company {bank}\" }}\n",
            when(bank)
        );
    }
    text
}

const FIELDS: &str = "From: Anna <anna@s0.example>\r\nTo: tom@t0.example\r\nSubject: The report\r\nMessage-ID: <1@s0.example>\r\n\
    Date: Sun, 29 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n";

fn text(octets: usize) -> Vec<u8> {
    format!("{FIELDS}Content-Type: text/plain\r\n\r\n{}", lines(octets)).into_bytes()
}

fn attachment(octets: usize) -> Vec<u8> {
    let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n";
    let coded = line.repeat(octets.div_ceil(line.len()));
    format!(
        "{FIELDS}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\nContent-Type: application/octet-stream\r\n\
         Content-Disposition: attachment; filename=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n{coded}--b--\r\n"
    )
    .into_bytes()
}

fn multipart(parts: usize) -> Vec<u8> {
    let mut text =
        format!("{FIELDS}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n");
    for part in 1..parts {
        let _ = write!(
            text,
            "--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=table{part}.csv\r\n\r\n1,2,3\r\n"
        );
    }
    (text + "--b--\r\n").into_bytes()
}

fn mail_of(raw: Vec<u8>, recipients: usize) -> Mail {
    let limits = Limits {
        parts: 100_000,
        ..Limits::default()
    };
    let recipients = (0..recipients).map(|number| format!("tom@t{number}.example"));
    Mail {
        origin: Origin::default(),
        envelope: Envelope::new("anna@s0.example", recipients),
        message: Message::scan(raw, &limits),
        received: Moment::default(),
    }
}

/// What callgrind counts.
#[inline(never)]
fn counted(banks: &Banks, memo: &Memo, raw: Vec<u8>, like: &Mail) -> Vec<Judged> {
    let mail = Mail {
        origin: like.origin.clone(),
        envelope: like.envelope.clone(),
        message: Message::scan(
            raw,
            &Limits {
                parts: 100_000,
                ..Limits::default()
            },
        ),
        received: Moment::default(),
    };
    let classes = memo.classes(banks, &mail);
    engine::judge(banks, memo, &mail, &classes, Effects::Real.into())
}

const COUNTED: &str = "growth::counted*";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["--case", name, size] = words[..] {
        case(name, size.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    if words.last() != Some(&"--bench") {
        println!("t/bench/growth measures; see the head of t/bench/growth.rs");
        return ExitCode::SUCCESS;
    }
    let behind = |key: &str| {
        let at = words.iter().position(|word| *word == key)?;
        words.get(at + 1).copied()
    };
    let only = behind("--only").unwrap_or("");
    let is_full = words.contains(&"--full");
    let most: Option<usize> = behind("--most").map(|most| most.parse().expect("a number"));
    let mut is_good = true;
    for table in TABLES.iter().filter(|table| table.name.contains(only)) {
        let most = most.unwrap_or(if is_full { usize::MAX } else { table.most });
        is_good &= print(table, most);
    }
    if "reload".contains(only) {
        let rules = |rules| patterns(rules, "header.Subject");
        is_good &= reloading::table(most.unwrap_or(usize::MAX), rules, &text(2048));
    }
    if "workers".contains(only) {
        workers(most.unwrap_or(usize::MAX));
    }
    match is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// One walk that nothing counts, and one that callgrind counts.
fn case(name: &str, size: usize) {
    let table = TABLES
        .iter()
        .find(|table| table.name == name)
        .expect("a table");
    let source = (table.rules)(size);
    let begun = Instant::now();
    let config = load(&source);
    let loaded = begun.elapsed();
    let memo = Memo::default();
    let mail = (table.mail)(size);
    let raw = || mail.message.raw().to_vec();
    let before = resident("VmRSS:");
    drop(counted(&config.banks, &memo, raw(), &mail));
    let most = resident("VmHWM:");
    let again = raw();
    let judged = counted(&config.banks, &memo, again, &mail);
    assert!(judged.iter().all(|judged| judged.result.is_ok()) && !judged.is_empty());
    let grown = most.saturating_sub(before);
    println!("{} {before} {grown}", loaded.as_micros());
}

/// Kilobytes that this process has.
fn resident(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_default();
    line.split_ascii_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Runs a table, prints it, and says whether it is within its limit.
fn print(table: &Table, most: usize) -> bool {
    println!("\n{}", table.name);
    println!(
        "{:>12} {:>14} {:>10} {:>10} {:>12}",
        "size", "instructions", "load ms", "held MB", "mail MB"
    );
    let mut rows: Vec<(f64, [f64; 4])> = Vec::new();
    for size in table.sizes.iter().filter(|size| **size <= most) {
        let (Some(instructions), Some(plain)) =
            (instructions(table.name, *size), plain(table.name, *size))
        else {
            println!("{size:>12} was not measured");
            return false;
        };
        let [load, held, mail] = plain;
        println!(
            "{size:>12} {instructions:>14.0} {:>10.1} {:>10.1} {:>12.2}",
            load / 1000.0,
            held / 1024.0,
            mail / 1024.0
        );
        rows.push((*size as f64, [instructions, load, held, mail]));
    }
    let slopes: Vec<f64> = (0..4).map(|column| slope(&rows, column)).collect();
    println!(
        "{:>12} {:>14.2} {:>10.2} {:>10.2} {:>12.2}",
        "exponent", slopes[0], slopes[1], slopes[2], slopes[3]
    );
    let is_good = slopes[0] <= table.limit;
    if !is_good {
        println!(
            "             instructions grow with an exponent above {}",
            table.limit
        );
    }
    is_good
}

/// The slope of the logarithm of a column over that of the size, by least squares over the last four sizes.
fn slope(rows: &[(f64, [f64; 4])], column: usize) -> f64 {
    let last = rows.get(rows.len().saturating_sub(4)..).unwrap_or_default();
    let points: Vec<(f64, f64)> = last
        .iter()
        .map(|(size, row)| (size.ln(), row[column].max(1.0).ln()))
        .collect();
    let number = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let under: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    match under > 0.0 {
        true => over / under,
        false => 0.0,
    }
}

fn instructions(name: &str, size: usize) -> Option<f64> {
    let out = env::temp_dir().join(format!("mimicry-growth-{}-{name}", std::process::id()));
    let done = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--dump-line=no"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(env::current_exe().ok()?)
        .args(["--case", name, &size.to_string()])
        .output()
        .ok()?;
    let text = fs::read_to_string(&out).unwrap_or_default();
    // Of this process's own making.
    let _ = fs::remove_file(&out);
    if !done.status.success() {
        println!("{}", String::from_utf8_lossy(&done.stderr));
        return None;
    }
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))?;
    // Two walks are counted; the first has what is made once.
    total.trim().parse::<f64>().ok().map(|both| both / 2.0)
}

/// Microseconds of loading, kilobytes before a mail, kilobytes for it.
fn plain(name: &str, size: usize) -> Option<[f64; 3]> {
    let done = Command::new(env::current_exe().ok()?)
        .args(["--case", name, &size.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
    numbers.try_into().ok()
}

/// The daemon with so many workers.
fn workers(most: usize) {
    println!("\nworkers");
    println!(
        "{:>12} {:>14} {:>14} {:>14}",
        "workers", "CPU ms a mail", "PSS MB each", "PSS MB all"
    );
    let sink = sink::Sink::start();
    let mut rows: Vec<(f64, [f64; 4])> = Vec::new();
    for number in WORKERS.iter().copied().filter(|number| *number <= most) {
        let hop = Hop::new();
        let count = format!("workers = {{ min = {number}, max = {number}, spare = 0 }}");
        let relay = format!("next_hop = \"smtp://{}\"\nconnections = 200", sink.address);
        let setup = Setup {
            daemon: &count,
            relay: &relay,
            rules: FOOTER,
            ..Setup::default()
        };
        let daemon = Daemon::start(&setup, &hop);
        harness::daemon::eventually(|| daemon.workers().len() == number);
        let stuffed = client::stuffed(&text(2048));
        let before = account::daemon(&daemon);
        let driven = client::drive(&client::Plan {
            target: daemon.address,
            sessions: number.min(16),
            manner: client::Manner {
                mails_per_session: 20,
                pipelining: true,
            },
            message: &stuffed,
            warm_up: Duration::from_millis(500),
            window: Duration::from_secs(2),
        });
        let Ok(driven) = driven else {
            println!("{number:>12} was not measured: {driven:?}");
            return;
        };
        let cpu = (account::daemon(&daemon) - before) / driven.mails as f64;
        let memories = account::memories(daemon.pid());
        let all: f64 = memories.iter().sum();
        let each = all / memories.len() as f64;
        println!("{number:>12} {cpu:>14.3} {each:>14.2} {all:>14.1}");
        rows.push((
            number as f64,
            [cpu * 1000.0, each * 1024.0, all * 1024.0, 1.0],
        ));
    }
    println!(
        "{:>12} {:>14.2} {:>14.2} {:>14.2}",
        "exponent",
        slope(&rows, 0),
        slope(&rows, 1),
        slope(&rows, 2)
    );
}
