//! How much memory a mail takes: the peak that the kernel counted, against the size of the mail. A large one whose attachments go
//! into an archive, and smaller ones that were made to take much.
//!
//! Must never: measure time, or what another process took.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;

use crate::harness::daemon::{PLAIN, Setup, World};
use crate::harness::{Directory, FOOTER, contains, family, mimicryd};
use crate::inputs;

/// Octets of the mail.
const MAIL: usize = 50 << 20;

/// At the most: the mail as it came, as it leaves, and what a program takes that holds no mail, without its own code: that of a program
/// that is not optimised is larger than what anybody runs, of which it is about 4 MB.
const PEAK: usize = MAIL / 10 * 22 + (4 << 20);

const PACK: &str = r#"
[[rule]]
name = "footer"
plugin = "disclaim"
options = { text = "A footer.\n", html = "<p>A footer.</p>" }

[[rule]]
name = "pack"
plugin = "PLUGIN"
"#;

/// What does not compress makes the largest archive. Fields that do not go into it pay for the rest.
fn large_mail() -> Vec<u8> {
    let mut mail = b"From: Anna <anna@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: large\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\n\r\nHello\r\n"
        .to_vec();
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 1u64;
    for number in 0..5 {
        let header = format!(
            "--=_b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{number}.bin\"\r\n"
        );
        mail.extend(header.as_bytes());
        for _ in 0..2_000 {
            mail.extend(b"X-Filler: this field goes away with its part, so that the archive saves something\r\n");
        }
        mail.extend(b"\r\n");
        while mail.len() < MAIL / 5 * (number + 1) {
            for _ in 0..76 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                mail.push(digits[(state >> 58) as usize]);
            }
            mail.extend(b"\r\n");
        }
    }
    mail.extend(b"--=_b--\r\n");
    mail
}

/// The most that a process has had in memory so far, in octets.
pub fn peak(pid: u32) -> usize {
    status_of(pid, "VmHWM:")
}

/// The same without the pages of files, such as the program itself.
fn peak_of_data(pid: u32) -> usize {
    peak(pid).saturating_sub(status_of(pid, "RssFile:"))
}

fn status_of(pid: u32, key: &str) -> usize {
    octets_of(pid, "status", key)
}

fn octets_of(pid: u32, file: &str, key: &str) -> usize {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the process is there");
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes
        .and_then(|number| number.parse::<usize>().ok())
        .expect("a number of kB")
        << 10
}

fn assert_small(what: &str, peak: usize) {
    let of_mail = peak as f64 / MAIL as f64;
    println!("{what}: {} MB, {of_mail:.2} of the mail", peak >> 20);
    assert!(peak < PEAK, "{what} took {of_mail:.2} of the mail");
}

// man: mimicryd(8) "a large mail whose attachments go into an archive takes little over twice its size"
#[test]
fn an_archive_of_a_large_mail_takes_twice_its_size() {
    let mail = large_mail();
    let directory = Directory::new();
    let config = directory.file("m.toml", PACK.replace("PLUGIN", "tar_gzip"));
    let mut command = mimicryd();
    command.args("filter --from anna@example.org --to bob@example.net -c".split(' '));
    command.arg(config).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = child.stdout.take().expect("a pipe");
    thread::scope(|scope| {
        scope.spawn(|| {
            let written = input.write_all(&mail);
            drop(input);
            written
        });
        // It writes when all is done, and then waits for us to read: the pipe is far too small for the mail.
        let mut out = vec![0];
        output.read_exact(&mut out).expect("a mail");
        assert_small("filter", peak_of_data(child.id()));
        output.read_to_end(&mut out).expect("a mail");
        let packed = contains(&out, b"attachments.tar.gz") && out.len() < mail.len();
        assert!(packed, "no archive");
    });
    assert!(child.wait().expect("an end").success());
}

#[test]
fn so_does_a_worker() {
    let mail = large_mail();
    let rules = PACK.replace("PLUGIN", "zip");
    let mut world = World::new(Setup {
        rules: &rules,
        daemon: "workers = { min = 1, max = 1, spare = 0 }",
        ..Setup::default()
    });
    let mut client = world.client();
    // A program that is not optimised takes long for it, beside others longer.
    client.set_patience(Duration::from_secs(600));
    let reply = client.mail("anna@example.org", &["bob@example.net"], &mail);
    assert!(reply.is_done(), "the mail is answered {reply}");
    let arrived = world.untraced(&world.hop.only_mail());
    assert!(contains(&arrived, b"attachments.zip"));
    let workers = world.daemon().workers();
    let most = workers
        .iter()
        .map(|worker| peak_of_data(worker.as_raw().unsigned_abs()))
        .max();
    assert_small("a worker", most.expect("a worker"));
}

/// What the allocator gave back after a mail it would have to ask for with the next one, and the kernel to clear, page by page.
#[test]
fn a_mail_finds_the_memory_of_the_one_before() {
    /// Of the 300 pages of a mail.
    const FEW: u64 = 100;
    let mut world = World::new(Setup {
        rules: FOOTER,
        daemon: "workers = { min = 1, max = 1, spare = 0 }",
        ..Setup::default()
    });
    let worker = world.daemon().workers()[0];
    let mut client = world.client();
    // The buffer that a mail is read into doubles from where it began.
    for lines in (14_000..20_000).step_by(500) {
        let body = format!("{}\r\n", "x".repeat(70)).repeat(lines);
        let mail = format!("From: anna@example.org\r\n\r\n{body}");
        let mut faults = Vec::new();
        for _ in 0..5 {
            let reply = client.mail("anna@example.org", &["bo@example.net"], mail.as_bytes());
            assert!(reply.is_done(), "{reply}");
            faults.push(minor_faults(worker));
        }
        let least = faults.windows(2).map(|pair| pair[1] - pair[0]).min();
        assert!(least < Some(FEW), "{lines} lines: {faults:?}");
    }
}

/// Pages that a process got without a disk.
fn minor_faults(pid: Pid) -> u64 {
    let fields = family::stat(pid).expect("the process is there");
    fields[7].parse().expect("a number")
}

/// Rules of customers whom no mail of the tests is from.
fn rules_of_customers(number: usize) -> String {
    let rule = |customer: usize| {
        format!(
            "[[rule]]\nname = \"r{customer}\"\nplugin = \"header\"\nmatch = {{ header.Subject = 'ticket {customer}\\b' }}\n\
             unless = {{ recipient = '@customer{customer}\\.example$' }}\noptions = {{ add = {{ X-Tenant = \"{customer}\" }} }}\n"
        )
    };
    (0..number).map(rule).collect()
}

/// What each worker has for itself after some mails, in octets.
fn own_memory_of_workers(rules: &str) -> Vec<usize> {
    const WORKERS: usize = 2;
    let mut world = World::new(Setup {
        rules,
        // What may have no core file may not be looked at either, unless by root.
        daemon: "workers = { min = 2, max = 2, spare = 0 }\ncore_dumps = true",
        ..Setup::default()
    });
    for _ in 0..20 {
        let mut client = world.client();
        let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
        assert!(reply.is_done(), "the mail is answered {reply}");
    }
    let workers = world.daemon().workers();
    assert_eq!(workers.len(), WORKERS);
    let own = |pid: &Pid| {
        octets_of(
            pid.as_raw().unsigned_abs(),
            "smaps_rollup",
            "Private_Dirty:",
        )
    };
    workers.iter().map(own).collect()
}

/// A worker that wrote into the pages of the rules would have its own in place of them: 1.4 MB with 600 rules, which all load in time where
/// others work beside.
#[test]
fn workers_share_the_memory_of_thousands_of_rules() {
    const MORE: usize = 768 << 10;
    let few = own_memory_of_workers(&rules_of_customers(1));
    let many = own_memory_of_workers(&rules_of_customers(600));
    println!("octets of each worker: with 1 rule {few:?}, with 600 {many:?}");
    let least = few.into_iter().min().expect("a worker");
    assert!(many.iter().all(|own| *own < least + MORE));
}

/// A rule that edits every text.
const EDIT: &str = r#"
[[rule]]
name = "footer"
plugin = "disclaim"
options = { text = "A footer.\n", html = "<p>A footer.</p>" }
"#;

/// Octets of a hostile mail: few, as a worker that is not optimised takes long, so the worker itself is not counted.
const HOSTILE: usize = 4 << 20;

/// What a worker takes beside the mails and itself.
const BESIDE: usize = 3 << 20;

// T191: what the figures of the plugins do not count, the program itself, the octets that come in and those that go out
// man: mimicryd(8) "about three times the mail and 16 MB"
#[test]
fn a_hostile_mail_takes_no_more() {
    let text = |name: &str| {
        let all = inputs::TEXTS.iter().chain(inputs::TREES);
        let found = all.copied().find(|(other, _)| *other == name);
        let (_, make) = found.unwrap_or_else(|| panic!("no mail {name}"));
        make(HOSTILE)
    };
    let charset = |name: &str| {
        let found = inputs::CHARSETS.iter().find(|(other, _)| *other == name);
        let (_, piece) = found.unwrap_or_else(|| panic!("no charset {name}"));
        inputs::in_charset(HOSTILE, "plain", name, piece)
    };
    let mut beyond = Vec::new();
    for (what, mail) in [
        ("short-lines", text("short-lines")),
        ("base64-tiny-lines", text("base64-tiny-lines")),
        ("base64-single-octets", text("base64-single-octets")),
        ("qp-escapes", text("qp-escapes")),
        ("half-8bit", text("half-8bit")),
        ("html-attributes", text("html-attributes")),
        ("many-texts", text("many-texts")),
        ("gb18030", charset("gb18030")),
        ("utf-7", charset("utf-7")),
    ] {
        let mut world = World::new(Setup {
            rules: EDIT,
            daemon: "workers = { min = 1, max = 1, spare = 0 }",
            ..Setup::default()
        });
        let workers = world.daemon().workers();
        let [worker] = workers[..] else {
            panic!("{} workers", workers.len());
        };
        world.pass(PLAIN);
        let itself = peak(worker.as_raw().unsigned_abs());
        let arrived = world.pass(&mail);
        assert!(arrived != mail, "{what}: no rule has edited it");
        let peak = peak(worker.as_raw().unsigned_abs()).saturating_sub(itself);
        let size = mail.len().max(arrived.len());
        let times = peak as f64 / size as f64;
        println!("{what}: {} MB, {times:.2} of the mail", peak >> 20);
        if peak > 3 * size + BESIDE {
            beyond.push(format!("{what}: {} MB, {times:.2} of the mail", peak >> 20));
        }
    }
    assert!(beyond.is_empty(), "{}", beyond.join("\n"));
}
