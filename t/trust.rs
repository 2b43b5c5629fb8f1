//! Files that somebody else could have written, links that somebody else could have put there, and what the daemon itself leaves open.
//!
//! Whether root gives anything away is tried by `interop/links.sh`, because only root can.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::harness::daemon::{Daemon, Setup, World, eventually};
use crate::harness::{Directory, run};

const RULE: &str = "[[rule]]\nname = \"a\"\nplugin = \"disclaim\"\nmatch = { position = \"body\" }\n\
    options = { text_file = \"texts/text\", html = \"<p>Footer</p>\" }\n";

const ZIP: &str = "[[rule]]\nname = \"b\"\nplugin = \"zip\"\nmatch = { position = \"attachment\" }\n\
    options = { name = \"a.zip\", password_file = \"texts/secret\" }\n";

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
}

/// What is said of a configuration that is loaded with these modes.
fn checked(directory: &Directory, modes: &[(&str, u32)]) -> String {
    for (name, mode) in modes {
        chmod(&directory.path().join(name), *mode);
    }
    let ran = run(directory.path(), &["check", "-c", "m.toml"], b"");
    let said = ran.complaints();
    assert_eq!(ran.code == 0, said.is_empty(), "{said}");
    assert!([0, 78].contains(&ran.code), "{said}");
    said
}

// T189
// man: mimicryd(8) "So a configuration is read only if it belongs to root or to the user who starts the daemon, and
// if nobody else may write to it. The same holds for every file that it names: texts, tables, domain lists,
// certificates, keys, passwords."
// man: mimicryd(8) "check applies the same rules for the user who runs it: everybody can check files of his own."
#[test]
fn a_file_that_others_can_write_is_refused_and_a_secret_that_others_can_read() {
    let directory = Directory::new();
    directory.file("m.toml", format!("{RULE}{ZIP}"));
    fs::create_dir(directory.path().join("texts")).expect("a directory");
    directory.file("texts/text", "Footer\n");
    directory.file("texts/secret", "open sesame\n");
    let sound = [
        ("", 0o755),
        ("m.toml", 0o644),
        ("texts", 0o755),
        ("texts/text", 0o644),
        ("texts/secret", 0o600),
    ];
    assert_eq!(checked(&directory, &sound), "");
    for (name, mode, said) in [
        (
            "m.toml",
            0o646,
            "m.toml can be changed by everybody (mode 0646)",
        ),
        (
            "m.toml",
            0o666,
            "m.toml can be changed by everybody (mode 0666)",
        ),
        (
            "texts/text",
            0o666,
            "texts/text can be changed by everybody (mode 0666)",
        ),
        (
            "texts/secret",
            0o640,
            "can be read or changed by others than its owner (mode 0640)",
        ),
        (
            "texts/secret",
            0o604,
            "can be read or changed by others than its owner (mode 0604)",
        ),
        ("texts", 0o777, "where everybody can replace it"),
        ("", 0o777, "where everybody can replace it"),
    ] {
        assert_eq!(checked(&directory, &sound), "", "before {name}");
        let shown = checked(&directory, &[(name, mode)]);
        assert!(shown.contains(said), "{name} {mode:o}: {shown}");
        assert!(shown.contains("help: chmod "), "{shown}");
        assert!(!shown.contains("sesame"), "{shown}");
        // The place of the option, where there is one.
        assert_eq!(
            shown.contains("m.toml:5:"),
            name.starts_with("texts/text") || name == "texts",
            "{shown}"
        );
        let ran = run(directory.path(), &["run", "-c", "m.toml"], b"");
        assert_eq!(ran.code, 78, "{}", ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
    }
    // Whoever may make files there cannot replace ours.
    assert_eq!(checked(&directory, &sound), "");
    assert_eq!(checked(&directory, &[("texts", 0o1777), ("", 0o1777)]), "");
}

// T189
// man: mimicryd(8) "It also looks at the files that only the daemon opens, without reading them: certificates, keys
// and the password of the relay."
#[test]
fn check_looks_at_the_files_that_only_the_daemon_opens() {
    let directory = Directory::new();
    directory.file(
        "m.toml",
        "[[listen]]\nname = \"t\"\naddress = \"127.0.0.1:0\"\ntls_cert = \"cert\"\ntls_key = \"key\"\n\
         [relay]\nnext_hop = \"smtps://mx.example.org\"\nca_file = \"ca\"\nuser = \"me\"\npassword_file = \"password\"\n\
         [daemon]\nseal_key_file = \"seal\"\n\
         [[rule]]\nname = \"b\"\nplugin = \"banner\"\noptions = { internal_clients = [], text = \"x\", html = \"<p>x</p>\" }\n",
    );
    let sound = [
        ("m.toml", 0o644),
        ("cert", 0o644),
        ("key", 0o640),
        ("ca", 0o644),
        ("password", 0o600),
        ("seal", 0o600),
    ];
    for (name, _) in &sound[1..] {
        directory.file(name, "");
    }
    assert_eq!(errors_of(&directory, &sound), "");
    for (name, mode, said) in [
        ("cert", 0o666, "can be changed by everybody (mode 0666)"),
        (
            "key",
            0o644,
            "can be read by others or changed by its group (mode 0644)",
        ),
        ("ca", 0o646, "can be changed by everybody (mode 0646)"),
        (
            "password",
            0o640,
            "can be read or changed by others than its owner (mode 0640)",
        ),
        (
            "seal",
            0o604,
            "can be read or changed by others than its owner (mode 0604)",
        ),
    ] {
        assert_eq!(errors_of(&directory, &sound), "", "before {name}");
        let shown = errors_of(&directory, &[(name, mode)]);
        assert!(shown.contains(said), "{name} {mode:o}: {shown}");
        // The place of the setting.
        assert!(shown.contains("--> m.toml:"), "{shown}");
        let ran = run(directory.path(), &["run", "-c", "m.toml"], b"");
        assert_eq!(ran.code, 78, "{}", ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
    }
    assert_eq!(errors_of(&directory, &sound), "");
    fs::remove_file(directory.path().join("password")).expect("our own file");
    let shown = errors_of(&directory, &[]);
    assert!(shown.contains("No such file"), "{shown}");
}

/// What is wrong, without what is only doubtful.
fn errors_of(directory: &Directory, modes: &[(&str, u32)]) -> String {
    for (name, mode) in modes {
        chmod(&directory.path().join(name), *mode);
    }
    let ran = run(directory.path(), &["check", "-c", "m.toml"], b"");
    assert!([0, 78].contains(&ran.code), "{}", ran.err);
    assert_eq!(ran.code == 78, ran.err.contains("error: "), "{}", ran.err);
    if ran.code == 0 {
        String::new()
    } else {
        ran.err
    }
}

// T189
#[test]
fn a_reload_of_what_others_can_write_changes_nothing() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 2, spare = 0 }",
        errors: &["configuration refused"],
        ..Setup::default()
    });
    let daemon = world.daemon();
    let path = daemon.directory.path().join("mimicry.toml");
    chmod(&path, 0o666);
    let ran = daemon.command(&["reload"]);
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(
        ran.err.contains("can be changed by everybody"),
        "{}",
        ran.err
    );
    // Where the daemon is may be asked all the same.
    assert_eq!(daemon.command(&["status"]).code, 0);
    chmod(&path, 0o644);
    assert_eq!(daemon.command(&["reload"]).code, 0);
    world.alive();
}

fn field(pid: Pid, file: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the process is there");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name}"));
    line.split_ascii_whitespace().map(String::from).collect()
}

// T189
// man: mimicryd(8) "The umask of the master is 027, that of a worker 077, whatever the umask was at the start."
// man: mimicryd(8) "The log file has mode 0640, the pid file 0644, a directory that is made 0755, the ledger and next-hops 0700, the
// control socket 0600, a listener's socket 0660."
#[test]
fn what_is_made_is_for_nobody_else_whatever_the_umask_was() {
    for mask in ["000", "077"] {
        let place = Directory::new();
        let socket = place.path().join("made/smtp");
        chmod(place.path(), 0o755);
        let rules = format!(
            "[[listen]]\nname = \"u\"\naddress = \"unix:{}\"\n",
            socket.display()
        );
        let made = place.path().join("made");
        let daemon = format!(
            "pid_file = \"{0}/pid\"\ncontrol = \"{0}/control\"\nspool = \"{1}/spool\"\nstate = \"{0}/state\"\n\
             workers = {{ min = 1, max = 1, spare = 0 }}",
            made.display(),
            place.path().display()
        );
        let shell = format!("umask {mask}");
        let mut world = World::new(Setup {
            daemon: &daemon,
            rules: &rules,
            shell: &shell,
            ..Setup::default()
        });
        world.alive();
        let (log, master) = (
            world.daemon().directory.path().join("log"),
            world.daemon().pid(),
        );
        let spool = place.path().join("spool");
        for (path, mode) in [
            (log.as_path(), 0o640),
            (&made, 0o755),
            (&made.join("pid"), 0o644),
            (&made.join("control"), 0o600),
            (&socket, 0o660),
            (&spool, 0o755),
            (&spool.join("ledger"), 0o700),
        ] {
            let found = fs::metadata(path).expect("it was made").mode() & 0o7777;
            assert_eq!(found, mode, "{}: {found:o}", path.display());
        }
        let worker = world.daemon().workers()[0];
        assert_eq!(field(master, "status", "Umask:"), ["0027"]);
        assert_eq!(field(worker, "status", "Umask:"), ["0077"]);
        drop(world);
        assert!(!socket.exists());
    }
}

// T189
// man: mimicryd(8) "Neither the master nor a worker leaves a core file, and other processes of its user cannot look
// into it, because its memory holds mail, passwords and keys."
// man: mimicry.toml(5) "Lets master and workers leave core files, within the limit on core files that the daemon was
// started with, and lets other processes of their user look into them."
#[test]
fn no_process_can_be_dumped_unless_a_setting_says_so() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }\ncore_dumps = false",
        ..Setup::default()
    });
    let user = nix::unistd::geteuid().as_raw();
    for allowed in [false, true, false] {
        let daemon = world.daemon();
        let (master, worker) = (daemon.pid(), daemon.workers()[0]);
        for pid in [master, worker] {
            // What cannot be dumped belongs to root in /proc.
            let owner = fs::metadata(format!("/proc/{pid}/io"))
                .expect("the process")
                .uid();
            let uid: u32 = field(pid, "status", "Uid:")[0].parse().expect("a number");
            assert!(pid == worker || uid == user);
            assert_eq!(owner == 0, !allowed || uid == 0, "{pid} of {uid}");
            let limits = field(pid, "limits", "Max core file size");
            let wanted = if allowed { limits[1].as_str() } else { "0" };
            assert_eq!(limits[0], wanted, "{limits:?}");
        }
        daemon.change(
            &format!("core_dumps = {allowed}"),
            &format!("core_dumps = {}", !allowed),
        );
        assert_eq!(daemon.command(&["reload"]).code, 0);
        assert!(eventually(|| daemon
            .workers()
            .iter()
            .all(|one| *one != worker)));
    }
    world.alive();
}

/// Puts links in the place of the daemon's files, and takes them away, until it is told to stop.
fn swap(directory: &Path, targets: &[&Path], stop: &AtomicBool) -> usize {
    let mut swaps = 0;
    while !stop.load(Ordering::Relaxed) {
        for target in targets {
            for name in ["log", "spool/ledger", "smtp"] {
                let (link, place) = (directory.join("link"), directory.join(name));
                let _ = fs::remove_file(&link);
                if symlink(target, &link).is_ok()
                    && !place.is_dir()
                    && fs::rename(&link, &place).is_ok()
                {
                    swaps += 1;
                }
            }
        }
        for name in ["log", "smtp"] {
            let _ = fs::remove_file(directory.join(name));
        }
    }
    swaps
}

// T188
// man: mimicryd(8) "So the master opens files through the directory that it holds open. It follows no link in the
// place of a log file, a pid file, a socket or a spool, accepts no file with a second name, and gives to the user of
// the workers only files that it has open."
#[test]
fn a_thousand_signals_against_links_that_come_and_go_change_nothing_outside() {
    let outside = Directory::new();
    let precious = outside.file("precious", "as it was\n");
    chmod(&precious, 0o600);
    let (nothing, folder) = (
        outside.path().join("nothing"),
        outside.path().join("folder"),
    );
    fs::create_dir(&folder).expect("a directory");
    let facts = || {
        let facts = fs::metadata(&precious).expect("the file");
        (
            facts.mode(),
            facts.uid(),
            facts.gid(),
            facts.mtime(),
            facts.mtime_nsec(),
            facts.ctime(),
            facts.ctime_nsec(),
        )
    };
    let before = facts();
    let place = Directory::new();
    let inside = place.path().join("inside");
    fs::create_dir(&inside).expect("a directory");
    chmod(&inside, 0o777);
    let log = format!("target = \"file:{}/log\"", inside.display());
    let rules = format!(
        "[[listen]]\nname = \"u\"\naddress = \"unix:{}/smtp\"\n",
        inside.display()
    );
    let daemon = format!(
        "spool = \"{}/spool\"\nworkers = {{ min = 1, max = 2, spare = 0 }}",
        inside.display()
    );
    let mut world = World::new(Setup {
        daemon: &daemon,
        log: &log,
        rules: &rules,
        ..Setup::default()
    });
    world.alive();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let swapper = scope.spawn(|| swap(&inside, &[&precious, &nothing, &folder], &stop));
        for number in 0..1000 {
            let signal = if number % 20 == 0 {
                Signal::SIGHUP
            } else {
                Signal::SIGUSR1
            };
            world.daemon().signal(signal);
            // Signals of one kind that wait are one.
            if signal == Signal::SIGHUP {
                world.daemon().notice("READY=1");
            } else {
                thread::sleep(Duration::from_millis(1));
            }
        }
        stop.store(true, Ordering::Relaxed);
        let swaps = swapper.join().expect("the other user");
        assert!(swaps > 1000, "{swaps}");
    });
    world.alive();
    let daemon: &mut Daemon = world.daemon();
    assert_eq!(daemon.command(&["reload"]).code, 0);
    drop(world);
    assert_eq!(facts(), before);
    assert_eq!(fs::read(&precious).expect("the file"), b"as it was\n");
    assert!(
        !nothing.exists(),
        "a link was followed to what was not there"
    );
    assert_eq!(fs::read_dir(&folder).expect("the directory").count(), 0);
}

// T188
// man: mimicryd(8) "The directory of pid_file and of control must belong to root or to the user who started the
// daemon, and nobody else may write to it, unless it is sticky as /tmp is; otherwise the daemon does not start."
#[test]
fn a_directory_where_others_can_replace_pid_file_or_control_is_refused() {
    for (setting, mode, starts) in [
        ("pid_file", 0o777, false),
        ("control", 0o777, false),
        ("pid_file", 0o1777, true),
        ("control", 0o755, true),
    ] {
        let place = Directory::new();
        let inside = place.path().join("inside");
        fs::create_dir(&inside).expect("a directory");
        chmod(&inside, mode);
        let other = if setting == "control" {
            "pid_file"
        } else {
            "control"
        };
        let source = format!(
            "[daemon]\n{setting} = \"{0}/inside/it\"\n{other} = \"{0}/other\"\nspool = \"{0}/spool\"\nstate = \"{0}/state\"\n\
             [log]\ntarget = \"file:{0}/log\"\n[[listen]]\nname = \"t\"\naddress = \"127.0.0.1:0\"\n\
             [relay]\nnext_hop = \"smtp://127.0.0.1:1\"\n",
            place.path().display()
        );
        place.file("m.toml", source);
        let ran = run(place.path(), &["run", "-c", "m.toml"], b"");
        if starts {
            assert_eq!(ran.code, 0, "{}", ran.err);
            assert_eq!(run(place.path(), &["stop", "-c", "m.toml"], b"").code, 0);
        } else {
            assert_eq!(ran.code, 73, "{}", ran.err);
            assert!(
                ran.err.contains("where everybody can replace it"),
                "{}",
                ran.err
            );
        }
    }
}
