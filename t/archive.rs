//! What rules keep on disk: before the next hop has the mail, once, whole, and only where they may.
//!
//! `MIMICRY_LONG=1` kills a worker 1 000 times, else 30 times. A full and a read-only file system are in
//! `interop/archive.sh`, which needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{User, geteuid};

use crate::harness::daemon::{PLAIN, Setup, World, open_directory, workers_of};
use crate::harness::hop::{Act, Luck, Stage};
use crate::harness::{Directory, FOOTER, PATHS, run};
use crate::soak::{message, send_all};

/// A directory that the workers may write to, and nobody else.
pub fn place() -> (Directory, PathBuf) {
    let (directory, path) = open_directory();
    let archive = path.join("archive");
    fs::create_dir(&archive).expect("a directory");
    mode(&archive, 0o700);
    if geteuid().is_root() {
        let user = ["mimicry", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .expect("a user for the workers");
        chown(&archive, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .expect("our own directory");
    }
    (directory, archive)
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a directory");
}

fn rule(archive: &Path, options: &str) -> String {
    format!(
        "[[rule]]\nname = \"legal archive\"\nplugin = \"archive\"\noptions = {{ dir = \"{}/{{{{ sender.domain }}}}\", {options} }}\n",
        archive.display()
    )
}

fn with(rules: &str, errors: &[&str]) -> World {
    World::new(Setup {
        rules,
        errors,
        ..Setup::default()
    })
}

/// Files below a directory, without the store's own, with their content.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut stack = vec![directory.to_path_buf()];
    while let Some(path) = stack.pop() {
        for entry in fs::read_dir(path).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.ends_with(".mimicry") {
                continue;
            }
            if path.is_dir() {
                stack.push(path);
            } else {
                found.insert(path.clone(), fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

fn unfinished(archive: &Path) -> usize {
    fs::read_dir(archive.join(".mimicry/work")).map_or(0, Iterator::count)
}

// T158
// man: mimicry-plugins(7) "The copy is on disk before the next hop gets the mail."
#[test]
fn a_copy_is_on_disk_before_the_next_hop_has_the_mail() {
    let (_directory, archive) = place();
    let world = with(&rule(&archive, "layout = \"files\", sidecar = true"), &[]);
    let mut client = world.held(Stage::Data);
    let kept = files(&archive);
    assert_eq!(kept.len(), 2, "{:?}", kept.keys());
    assert!(kept.values().any(|content| content == PLAIN));
    for path in kept.keys() {
        let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode(path), 0o600);
        assert_eq!(mode(path.parent().expect("a directory")), 0o700);
    }
    world.hop.release();
    client.expect(250);
    client.quit();
}

// T159, T180
// man: mimicry-plugins(7) "If the client sends a mail again, it is kept once, for 8 days"
#[test]
fn a_mail_that_comes_again_or_splits_is_kept_once() {
    for options in [
        "layout = \"maildir\"",
        "layout = \"files\"",
        "layout = \"mboxrd\"",
    ] {
        let (_directory, archive) = place();
        let world = with(&(rule(&archive, options) + FOOTER), &[]);
        world
            .hop
            .once(Stage::Dot, Act::Say(b"451 4.3.0 not now\r\n".to_vec()));
        let to = ["bob@example.net", "in@inside.example"];
        let mut client = world.client();
        let reply = client.mail("anna@example.org", &to, PLAIN);
        assert!(reply.is_temporary(), "{reply}");
        let once = files(&archive);
        let again = [b"Received: from elsewhere\r\n", PLAIN].concat();
        let reply = client.mail("anna@example.org", &to, &again);
        assert!(reply.is_done(), "{reply}");
        let mut twice = files(&archive);
        twice.retain(|path, _| path.extension().is_none_or(|end| end != "trace"));
        assert_eq!(twice, once, "{options}");
        let copies: usize = once
            .values()
            .map(|content| {
                String::from_utf8_lossy(content)
                    .matches("Subject: plain")
                    .count()
            })
            .sum();
        assert_eq!(copies, 1, "{options}");
        client.quit();
    }
}

/// Content is what a reader takes for the mail; the names are those of the files beside it.
fn copies(archive: &Path) -> (usize, Vec<String>) {
    let files = files(archive);
    let (mut copies, mut beside) = (0, Vec::new());
    for (path, content) in &files {
        let text = String::from_utf8_lossy(content);
        let name = path.file_name().expect("a file").to_string_lossy();
        if name.ends_with(".json") || name.ends_with(".trace") {
            beside.push(text.into_owned());
        } else {
            copies += text.matches("Hello, Bob.").count();
        }
    }
    (copies, beside)
}

// T180
// man: mimicry-plugins(7) "The same words to other recipients or from another sender are another mail"
#[test]
fn the_same_words_in_another_envelope_are_kept_too() {
    for options in [
        "layout = \"maildir\"",
        "layout = \"files\"",
        "layout = \"files\", compress = \"gzip\", sidecar = true",
        "layout = \"files\", what = \"parts\"",
        "layout = \"files\", what = \"parts\", sidecar = true",
        "layout = \"maildir\", sidecar = true",
        "layout = \"mboxrd\"",
        "layout = \"mboxrd\", sidecar = true",
    ] {
        let (_directory, archive) = place();
        let world = with(&rule(&archive, options), &[]);
        let mut client = world.client();
        for (from, to) in [
            ("anna@example.org", &["bob@example.net"][..]),
            ("anna@example.org", &["mallory@example.net"]),
            (
                "anna@example.org",
                &["mallory@example.net", "bob@example.net"],
            ),
            ("eve@example.org", &["bob@example.net"]),
            // These two are known.
            ("anna@example.org", &["bob@example.net"]),
            (
                "anna@example.org",
                &["bob@example.net", "mallory@example.net"],
            ),
        ] {
            let reply = client.mail(from, to, PLAIN);
            assert!(reply.is_done(), "{reply}");
        }
        client.quit();
        let (copies, beside) = copies(&archive);
        if options.contains("sidecar") {
            if !options.contains("gzip") {
                assert_eq!(copies, 1, "{options}");
            }
            assert_eq!(beside.len(), 4, "{options}");
            let named = |address: &str| {
                let found = beside.iter().filter(|json| json.contains(address));
                found.count()
            };
            assert_eq!(named("mallory@example.net"), 2, "{options}");
            assert_eq!(named("eve@example.org"), 1, "{options}");
        } else {
            assert_eq!(copies, 4, "{options}");
        }
    }
}

// T180
// man: mimicry-plugins(7) "Other fields that a retry has on top are kept as well"
#[test]
fn words_in_trace_fields_are_kept() {
    for options in [
        "layout = \"maildir\"",
        "layout = \"files\", compress = \"gzip\"",
        "layout = \"files\", sidecar = true",
        "layout = \"mboxrd\"",
        "layout = \"mboxrd\", sidecar = true",
    ] {
        let (_directory, archive) = place();
        let world = with(&rule(&archive, options), &[]);
        let mut client = world.client();
        for trace in [
            "",
            "Received: meet me at nine\r\n",
            "",
            "Received: at ten\r\n",
        ] {
            for _ in 0..2 {
                let message = [trace.as_bytes(), PLAIN].concat();
                let reply = client.mail("anna@example.org", &["bob@example.net"], &message);
                assert!(reply.is_done(), "{reply}");
            }
        }
        client.quit();
        let (_, beside) = copies(&archive);
        let traces: Vec<&String> = beside
            .iter()
            .filter(|text| text.starts_with("Received: "))
            .collect();
        assert_eq!(traces.len(), 2, "{options}: {beside:?}");
        assert!(traces.contains(&&"Received: meet me at nine\r\n".to_string()));
        let sidecars = if options.contains("sidecar") { 3 } else { 0 };
        assert_eq!(beside.len(), 2 + sidecars, "{options}: {beside:?}");
    }
}

// T144
// man: mimicry-plugins(7) "452 4.3.1"
#[test]
fn a_mail_for_which_there_is_no_room_is_a_452_and_leaves_nothing() {
    for layout in ["files", "maildir", "mboxrd"] {
        let (_directory, archive) = place();
        let rules = rule(&archive, &format!("layout = \"{layout}\", sidecar = true"));
        // No file may be longer than 100 blocks; the signal that comes with it is for programs that do not look at errors.
        let world = World::new(Setup {
            rules: &rules,
            errors: &["cannot be archived"],
            shell: "trap '' XFSZ; ulimit -f 200",
            ..Setup::default()
        });
        let large = [PLAIN, &b"0123456789abcdef0123456789abcdef\r\n".repeat(8000)].concat();
        let mut client = world.client();
        let reply = client.mail("anna@example.org", &["bob@example.net"], &large);
        assert_eq!(
            (reply.code, reply.enhanced()),
            (452, Some("4.3.1")),
            "{layout}: {reply}"
        );
        assert!(
            !reply.to_string().contains(&*archive.to_string_lossy()),
            "{reply}"
        );
        client.quit();
        assert!(world.hop.mails().is_empty());
        assert!(
            files(&archive).values().all(|content| content.len() < 200),
            "{layout}: something is left"
        );
        assert_eq!(unfinished(&archive), 0, "{layout}");
        world.alive();
        assert!(!files(&archive).is_empty());
    }
}

// man: mimicryd(8) "Nothing is written to disk: standard error says what rules would archive or keep, and where."
// man: mimicryd(8) "they do so, as the user of the workers if root runs the command"
#[test]
fn filter_and_explain_write_nothing_unless_they_are_told_to() {
    let (directory, archive) = place();
    let aside = format!(
        "[[rule]]\nname = \"aside\"\nplugin = \"remove\"\nmatch = {{ type = '^application/' }}\noptions = {{ keep = \"{}/kept\" }}\n",
        archive.display()
    );
    let kept = archive.join("kept");
    fs::create_dir(&kept).expect("a directory");
    mode(&kept, 0o700);
    let owner = fs::metadata(&archive).expect("the archive");
    chown(&kept, Some(owner.uid()), Some(owner.gid())).expect("our own directory");
    directory.file("m.toml", rule(&archive, "sidecar = true") + &aside);
    let mail = b"From: Anna <anna@example.org>\r\nTo: bob@example.net\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\n\r\nHello\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\nx\r\n--b--\r\n";
    directory.file("mail", mail);
    let filter = |more: &[&str]| {
        let args = [&["filter", "-c", "m.toml"], PATHS, more].concat();
        let ran = run(directory.path(), &args, mail);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran
    };
    let ran = filter(&[]);
    let explained = run(directory.path(), &["explain", "-c", "m.toml", "mail"], b"");
    for said in [&ran.err, explained.text()] {
        assert!(said.contains("would be written to "), "{said}");
        assert!(said.contains("would be kept in "), "{said}");
    }
    assert_eq!(files(&archive).len(), 0);
    assert!(!archive.join(".mimicry").exists());
    let acted = filter(&["--effects"]);
    assert_eq!(acted.out, ran.out, "the mail is the same");
    assert!(!acted.err.contains("would be"), "{}", acted.err);
    // The copy, its sidecar, the part and its sidecar.
    assert_eq!(files(&archive).len(), 4);
    for path in files(&archive).keys() {
        let facts = fs::metadata(path).expect("a file");
        assert_eq!(facts.uid(), owner.uid(), "{}", path.display());
    }
}

// T146
// man: mimicry-plugins(7) "lets such mail pass"
#[test]
fn a_directory_that_cannot_be_written_to_defers_mail_unless_the_rule_lets_it_pass() {
    let (_directory, archive) = place();
    let required = rule(&archive, "required = true");
    let world = with(&required, &["cannot be archived"]);
    mode(&archive, 0o500);
    let mut client = world.client();
    let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.3.0")),
        "{reply}"
    );
    client.quit();
    mode(&archive, 0o700);
    world.alive();
    drop(world);

    let (_directory, archive) = place();
    let mut world = with(&rule(&archive, "required = false"), &["cannot be archived"]);
    mode(&archive, 0o500);
    world.pass(PLAIN);
    world
        .daemon()
        .logs("error: legal archive: the mail cannot be archived");
    world.daemon().logs("legal archive:fault");
    mode(&archive, 0o700);
}

// T161
#[test]
fn a_planted_link_is_refused() {
    for layout in ["files", "maildir", "mboxrd"] {
        let (_directory, archive) = place();
        let (_outside, outside) = place();
        symlink(&outside, archive.join("example.org")).expect("a link");
        let world = with(
            &rule(&archive, &format!("layout = \"{layout}\"")),
            &["it is a link"],
        );
        let reply = world
            .client()
            .mail("anna@example.org", &["bob@example.net"], PLAIN);
        assert_eq!(reply.code, 451, "{reply}");
        assert!(
            fs::read_dir(&outside)
                .expect("a directory")
                .next()
                .is_none()
        );
    }
}

// T156
// man: mimicry-plugins(7) "It must exist, belong to the user of the workers, and be writable by nobody else"
#[test]
fn a_directory_that_others_may_write_to_is_a_mistake() {
    let (_directory, archive) = place();
    let mut world = with(&rule(&archive, ""), &["configuration refused"]);
    let checked = world.daemon().command(&["check"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    let missing = archive.with_file_name("missing");
    for (wrong, words) in [
        (0o770, "can be written to by others"),
        (0o500, "cannot be written to by"),
        (0, "there is no directory"),
    ] {
        match wrong {
            0 => fs::rename(&archive, &missing).expect("our own directory"),
            wrong => mode(&archive, wrong),
        }
        for command in ["check", "reload"] {
            let ran = world.daemon().command(&[command]);
            assert_eq!(ran.code, 78, "{command}: {}", ran.err);
            let said = format!("{}{}", ran.err, ran.text());
            assert!(
                said.contains(words) && said.contains("mimicry.toml:"),
                "{command}: {said}"
            );
        }
    }
    fs::rename(&missing, &archive).expect("our own directory");
    mode(&archive, 0o700);
    world.alive();
}

// T156
#[test]
fn a_directory_of_a_bank_is_looked_at_too() {
    let (_directory, archive) = place();
    let rules = rule(&archive, "")
        + "[[bank]]\nname = \"kept\"\nwhen = { listener = \"t\" }\nrules_add = [\"legal archive\"]\n";
    let mut world = World::new(Setup {
        top: "rules = []",
        rules: &rules,
        ..Setup::default()
    });
    world.alive();
    assert!(!files(&archive).is_empty());
    mode(&archive, 0o770);
    let checked = world.daemon().command(&["check"]);
    assert_eq!(checked.code, 78, "{}", checked.err);
    mode(&archive, 0o700);
}

// man: mimicry-plugins(7) "Neither explain nor a rule in shadow mode writes anything."
#[test]
fn explain_and_shadow_mode_write_nothing() {
    let (_directory, archive) = place();
    let rules = rule(&archive, "sidecar = true");
    let mut world = World::new(Setup {
        top: "mode = \"shadow\"",
        rules: &rules,
        ..Setup::default()
    });
    world.pass(PLAIN);
    let daemon = world.daemon();
    daemon.logs("legal archive:shadow");
    daemon.change("mode = \"shadow\"", "");
    daemon.directory.file("mail", PLAIN);
    let ran = run(
        daemon.directory.path(),
        &["explain", "-c", "mimicry.toml", "mail"],
        b"",
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.text().contains("example.org"), "{}", ran.text());
    assert!(
        fs::read_dir(&archive)
            .expect("a directory")
            .next()
            .is_none()
    );
}

// T160, T145
#[test]
fn workers_die_at_any_moment_and_every_mail_that_was_taken_is_kept_whole() {
    let wanted = if std::env::var_os("MIMICRY_LONG").is_some() {
        1000
    } else {
        30
    };
    let (_directory, archive) = place();
    let dir = archive.display();
    let mut rules = String::new();
    for (layout, more) in [
        ("files", ", sidecar = true"),
        ("maildir", ""),
        ("mboxrd", ""),
    ] {
        rules.push_str(&format!(
            "[[rule]]\nname = \"{layout}\"\nplugin = \"archive\"\noptions = {{ dir = \"{dir}/{layout}-{{{{ year }}}}\", layout = \"{layout}\"{more} }}\n"
        ));
    }
    let mut world = World::new(Setup {
        // Whoever kills does not look at the mail in hand: three times the same one is chance.
        daemon: "workers = { min = 8, max = 40, spare = 4 }\npoison_limit = 0",
        rules: &rules,
        errors: &["was killed by SIG"],
        ..Setup::default()
    });
    let (killed, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let pid = world.daemon().pid();
    let mut taken = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut luck = Luck(11);
            while killed.load(Ordering::Relaxed) < wanted && !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20 + luck.below(40)));
                let workers = workers_of(pid);
                let pick = usize::try_from(luck.below(1000)).unwrap_or(0) % workers.len().max(1);
                if let Some(victim) = workers.get(pick)
                    && kill(*victim, Signal::SIGKILL).is_ok()
                {
                    killed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let _over = Over(&over);
        let mut round = 0;
        while killed.load(Ordering::Relaxed) < wanted {
            round += 1;
            taken.extend(send_all(&world, 12, &format!("r{round}-"), 100).into_keys());
            assert!(world.hop.mails().len() >= 100);
        }
    });
    let kept = files(&archive);
    let whole: BTreeSet<String> = taken.iter().map(|name| message(name)).collect();
    let mut by_layout = [0; 2];
    for (path, content) in &kept {
        let shown = path
            .strip_prefix(&archive)
            .expect("below")
            .display()
            .to_string();
        let text = String::from_utf8(content.clone()).expect("ASCII");
        if shown.ends_with(".json") {
            assert!(text.ends_with("}\n"), "{shown}: {text}");
        } else if shown.ends_with(".eml") || shown.contains("/new/") {
            assert!(whole.contains(&text), "{shown} is not whole: {text}");
            by_layout[usize::from(shown.contains("/new/"))] += 1;
        }
    }
    assert_eq!(
        by_layout,
        [taken.len(); 2],
        "mails that were taken, and copies of them"
    );
    // The last word in the mailbox may be half of a mail whose client was not told that it is there.
    world.alive();
    let mbox = kept_mbox(&archive);
    let (mut entries, mut entry) = (BTreeMap::new(), String::new());
    for line in mbox.split_inclusive('\n') {
        // Whatever else begins so has a `>` before it.
        if line.starts_with("From ") {
            entry_done(&mut entries, &mut entry);
        } else {
            entry.push_str(line.trim_end_matches('\n'));
            entry.push_str("\r\n");
        }
    }
    entry_done(&mut entries, &mut entry);
    for message in &whole {
        assert_eq!(
            entries.get(&format!("{message}\r\n")),
            Some(&1),
            "{message}"
        );
    }
    assert_eq!(
        mbox.matches("\nMessage-ID: ").count(),
        taken.len() + 1,
        "mails in the mailbox"
    );
    eprintln!(
        "archive: {} workers killed, {} mails kept in three layouts",
        killed.load(Ordering::Relaxed),
        taken.len()
    );
}

fn entry_done(entries: &mut BTreeMap<String, usize>, entry: &mut String) {
    *entries.entry(std::mem::take(entry)).or_insert(0) += 1;
}

fn kept_mbox(archive: &Path) -> String {
    let mbox = files(archive)
        .into_iter()
        .find(|(path, _)| path.ends_with("mbox"));
    String::from_utf8(mbox.expect("a mailbox").1).expect("ASCII")
}

/// Stops the killer, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
