//! The numbers for Prometheus: what they say, who may ask for them, and that they never fall.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mimicryd::metrics::FAMILIES;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::client::Client;
use crate::harness::daemon::{
    Daemon, OWN_SOCKET, PLAIN, Setup, World, children_of, eventually, is_gone, open_directory,
};
use crate::harness::exposition::{self, Numbers};
use crate::harness::hop::{Act, Stage};
use crate::harness::{files, http, root};

const RULES: &str = r#"
[[rule]]
name = "tag"
plugin = "header"
match = { sender = '^anna@' }
options = { add = { X-Tag = "yes" } }

[[rule]]
name = 'say "so" \ ü'
plugin = "disclaim"
match = { sender = '^anna@' }
options = { text = "Words of ours." }

[[rule]]
name = "only said"
plugin = "header"
mode = "shadow"
options = { add = { X-Shadow = "yes" } }
"#;

/// A port that nobody has at the moment.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

fn setting(address: SocketAddr) -> String {
    format!("metrics = \"{address}\"\n")
}

#[track_caller]
fn scrape(address: SocketAddr) -> Numbers {
    let answer = http::get(address, "/metrics", "*/*");
    assert_eq!(answer.status, 200, "{}", answer.body);
    exposition::read(&answer.body, false)
}

/// The processes of a master that show metrics.
fn servers(master: Pid) -> Vec<Pid> {
    let is_one = |pid: &Pid| {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        title.starts_with(b"mimicryd: metrics")
    };
    children_of(master).into_iter().filter(is_one).collect()
}

#[track_caller]
fn server(daemon: &Daemon) -> Pid {
    let mut found = Vec::new();
    let came = eventually(|| {
        found = servers(daemon.pid());
        found.len() == 1
    });
    assert!(came, "{found:?}\n{}", daemon.said());
    found[0]
}

// man: mimicryd(8) "No number falls as long as the daemon lives, whatever workers, configurations and programs come and go."
#[test]
fn numbers_are_those_of_the_log_and_never_fall() {
    let at = free_port();
    let mut world = World::new(Setup {
        daemon: &format!(
            "{}workers = {{ min = 2, max = 3, spare = 1 }}\nmails_per_worker = 7\n",
            setting(at)
        ),
        rules: RULES,
        shell: OWN_SOCKET,
        errors: &["was killed by SIGKILL"],
        ..Setup::default()
    });
    let mut last = scrape(at);
    let mut mails = 0;
    for round in 0..6 {
        for number in 0..10 {
            let sender = ["anna@example.org", "otto@example.org"][number % 2];
            match number % 3 {
                0 => world.hop.behave_well(),
                1 => world
                    .hop
                    .at(Stage::Dot, Act::Say(b"451 4.0.0 later\r\n".to_vec())),
                _ => world
                    .hop
                    .at(Stage::Dot, Act::Say(b"550 5.0.0 no\r\n".to_vec())),
            }
            let reply = world.client().mail(sender, &["bob@example.net"], PLAIN);
            mails += 1;
            let now = scrape(at);
            let class = reply.code / 100;
            assert_eq!(class, [2, 4, 5][number % 3]);
            assert_eq!(now.fallen(&last), Vec::<String>::new(), "round {round}");
            assert_eq!(now.sum("mimicry_mails_total", &[]), f64::from(mails));
            last = now;
        }
        let daemon = world.daemon();
        match round {
            0 | 3 => {
                let of_metrics = server(daemon);
                for worker in daemon.workers().iter().filter(|pid| **pid != of_metrics) {
                    kill(*worker, Signal::SIGKILL).expect("our own");
                }
                assert!(eventually(|| daemon
                    .log()
                    .matches("was killed by SIGKILL")
                    .count()
                    > round));
            }
            1 | 4 => assert_eq!(daemon.command(&["reload"]).code, 0),
            2 => {
                assert_eq!(daemon.command(&["upgrade"]).code, 0, "{}", daemon.said());
                daemon.follow();
            }
            _ => {}
        }
    }
    world.daemon().logs("generation");
    let daemon = world.daemon();
    assert!(eventually(|| daemon.mail_lines().len() == mails as usize));
    let lines = daemon.mail_lines();
    let all = f64::from(mails);
    let number = |wanted: &str| lines.iter().filter(|line| line.contains(wanted)).count() as f64;
    let is = |name: &str, labels: &[(&str, &str)]| last.sum(name, labels);
    assert_eq!(is("mimicry_replies_total", &[]), all);
    for (outcome, status) in [
        ("accepted", "sent"),
        ("deferred", "deferred"),
        ("refused", "rejected"),
    ] {
        let counted = is(
            "mimicry_mails_total",
            &[("listener", "t"), ("outcome", outcome)],
        );
        assert_eq!(counted, number(&format!(" status={status} ")), "{outcome}");
        assert!(counted > 0.0);
    }
    for (rule, outcome, word) in [
        ("tag", "edited", "tag:edited"),
        ("say \"so\" \\ ü", "edited", "ü:edited"),
        ("only said", "shadow", "only said:shadow"),
    ] {
        let counted = is(
            "mimicry_rule_mails_total",
            &[("rule", rule), ("outcome", outcome)],
        );
        assert_eq!(counted, number(word), "{rule}");
        assert!(counted > 0.0, "{rule}");
    }
    let shadow = [("rule", "only said"), ("reason", "shadow")];
    assert_eq!(is("mimicry_rule_reasons_total", &shadow), all);
    let hop = format!("smtp://{}", world.hop.address);
    for (code, status) in [("250", "sent"), ("451", "deferred"), ("550", "rejected")] {
        let counted = last.of(
            "mimicry_replies_total",
            &[("next_hop", &hop), ("code", code)],
        );
        assert_eq!(
            counted,
            Some(number(&format!(" status={status} "))),
            "{code}"
        );
    }
    assert_eq!(last.of("mimicry_judge_seconds_count", &[]), Some(all));
    assert_eq!(
        last.of("mimicry_relay_seconds_count", &[("next_hop", &hop)]),
        Some(all)
    );
    assert_eq!(
        last.sum("mimicry_worker_deaths_total", &[("signal", "SIGKILL")]),
        last.sum("mimicry_worker_deaths_total", &[])
    );
    assert!(last.sum("mimicry_worker_deaths_total", &[]) >= 4.0);
    assert_eq!(last.of("mimicry_upgrades_total", &[]), Some(1.0));
    assert_eq!(
        last.of("mimicry_config_reloads_total", &[("result", "done")]),
        Some(2.0)
    );
    assert_eq!(
        last.of("mimicry_next_hop_up", &[("next_hop", &hop)]),
        Some(1.0)
    );
    assert_eq!(
        last.of("mimicry_received_bytes_total", &[("listener", "t")]),
        Some(all * PLAIN.len() as f64)
    );
    assert!(last.sum("mimicry_sent_bytes_total", &[]) > 0.0);
}

// man: mimicryd(8) "It answers within a second even if every worker hangs."
#[test]
fn a_scrape_while_every_worker_hangs() {
    let at = free_port();
    let mut world = World::new(Setup {
        daemon: &format!(
            "{}workers = {{ min = 2, max = 2, spare = 0 }}\n",
            setting(at)
        ),
        ..Setup::default()
    });
    let of_metrics = server(world.daemon());
    let clients = [world.held(Stage::Dot), {
        let mut client = world.client();
        client.envelope("anna@example.org", &["bob@example.net"]);
        client
    }];
    let workers = world.daemon().workers();
    let workers = || workers.iter().filter(|pid| **pid != of_metrics);
    for worker in workers() {
        kill(*worker, Signal::SIGSTOP).expect("our own");
    }
    let began = Instant::now();
    let numbers = scrape(at);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    for (state, number) in [("relaying", 1.0), ("session", 1.0), ("idle", 0.0)] {
        assert_eq!(
            numbers.of("mimicry_workers", &[("state", state)]),
            Some(number),
            "{state}"
        );
    }
    assert_eq!(numbers.of("mimicry_workers_max", &[]), Some(2.0));
    for worker in workers() {
        kill(*worker, Signal::SIGCONT).expect("our own");
    }
    world.hop.release();
    drop(clients);
}

// man: mimicryd(8) "GET and HEAD are served, for /metrics and /healthz"
#[test]
fn who_asks_over_http() {
    let at = free_port();
    let mut world = World::new(Setup {
        daemon: &setting(at),
        ..Setup::default()
    });
    server(world.daemon());
    for (request, status) in [
        ("GET /metrics HTTP/1.0\r\n\r\n", 200),
        (
            "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\nGET /metrics HTTP/1.1\r\n",
            200,
        ),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("HEAD /healthz HTTP/1.0\r\n\r\n", 200),
        (
            "POST /metrics HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
            405,
        ),
        ("DELETE /healthz HTTP/1.0\r\n\r\n", 405),
        ("GET / HTTP/1.0\r\n\r\n", 404),
        ("GET /metrics/../../etc/passwd HTTP/1.0\r\n\r\n", 404),
        ("GET /metrics HTTP/1.1\r\n\r\n", 400),
        ("GET /metrics\r\n\r\n", 400),
        ("GET /metrics HTTP/1.0\n\n", 400),
        ("\0\0\r\n", 400),
        ("EHLO x\r\n", 400),
        ("GET /metrics HTTP/9.9\r\n\r\n", 505),
    ] {
        let answer = http::exchange(at, request.as_bytes());
        assert_eq!(answer.status, status, "{request:?}");
        let length = format!("Content-Length: {}\r\n", answer.body.len());
        let is_head = request.starts_with("HEAD");
        assert!(is_head || answer.head.contains(&length), "{}", answer.head);
        assert_eq!(is_head, answer.body.is_empty(), "{request:?}");
        assert!(answer.head.contains("Connection: close\r\n"));
    }
    let long = [
        b"GET /metrics HTTP/1.0\r\nA: ".to_vec(),
        vec![b'x'; 100_000],
    ]
    .concat();
    assert_eq!(http::exchange(at, &long).status, 431);
    let answer = http::get(
        at,
        "/metrics",
        "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
    );
    assert!(
        answer.head.contains(
            "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
        )
    );
    let open = exposition::read(&answer.body, true);
    let plain = http::get(at, "/metrics", "text/plain");
    assert!(
        plain
            .head
            .contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n")
    );
    let plain = exposition::read(&plain.body, false);
    assert_eq!(open.families, plain.families);
    let names: Vec<&str> = plain.families.keys().map(String::as_str).collect();
    let mut all: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
    all.sort_unstable();
    assert_eq!(names, all);
    // One who ends his half first, as some programs do.
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(http::answer(&mut stream).body, "ok\n");
    // The same numbers without HTTP.
    let printed = world.daemon().command(&["metrics"]);
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    assert_eq!(
        exposition::read(printed.text(), false).families,
        plain.families
    );
}

// man: mimicryd(8) "A client has 2 seconds; of more than 64 at a time, the one that has been there for longest is cut off."
#[test]
fn clients_that_do_not_ask_keep_nobody_from_asking() {
    let at = free_port();
    let mut world = World::new(Setup {
        daemon: &setting(at),
        ..Setup::default()
    });
    let of_metrics = server(world.daemon());
    let silent: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(at).unwrap();
            let part: &[u8] = [b"", &b"GET /metrics HT"[..]][number % 2];
            stream.write_all(part).unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    scrape(at);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert!(Daemon::descriptors(of_metrics) < 100);
    // Each of them is answered or cut off in time.
    let mut late = 0;
    for mut stream in silent {
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut said = Vec::new();
        match stream.read_to_end(&mut said) {
            Ok(_) | Err(_) if said.starts_with(b"HTTP/1.1 408 ") => late += 1,
            Ok(_) => assert_eq!(said, b""),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }
    assert!((1..=64).contains(&late), "{late}");
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    world.alive();
}

#[test]
fn the_process_is_confined_replaced_and_ends_with_the_master() {
    let at = free_port();
    let mut world = World::new(Setup {
        daemon: &setting(at),
        shell: OWN_SOCKET,
        errors: &["the process for metrics was killed by SIGKILL"],
        ..Setup::default()
    });
    world.alive();
    let first = server(world.daemon());
    let status = fs::read_to_string(format!("/proc/{first}/status")).expect("it is there");
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    if nix::unistd::geteuid().is_root() {
        assert!(!status.contains("\nUid:\t0\t"), "{status}");
    }
    // What it shares with the others it cannot change.
    let maps = fs::read_to_string(format!("/proc/{first}/maps")).unwrap_or_default();
    let shared: Vec<&str> = maps
        .lines()
        .filter(|line| line.contains("memfd:mimicryd"))
        .collect();
    assert!(!maps.is_empty() || nix::unistd::geteuid().is_root() || status.contains("NoNewPrivs"));
    assert!(shared.iter().all(|line| line.contains(" r--s ")), "{maps}");
    kill(first, Signal::SIGKILL).expect("our own");
    let daemon = world.daemon();
    assert!(eventually(|| servers(daemon.pid())
        .iter()
        .any(|pid| *pid != first)));
    let second = server(daemon);
    scrape(at);
    // A reload has other names, and the log may be another file.
    daemon.change("name = \"t\"", "name = \"other\"");
    assert_eq!(daemon.command(&["reload"]).code, 0);
    assert!(eventually(|| is_gone(second)));
    assert_eq!(
        scrape(at).of("mimicry_sessions_total", &[("listener", "other")]),
        Some(0.0)
    );
    assert_eq!(
        scrape(at).of("mimicry_sessions_total", &[("listener", "t")]),
        None
    );
    daemon.change("name = \"other\"", "name = \"t\"");
    assert_eq!(daemon.command(&["reload"]).code, 0);
    let mut back = None;
    let came = eventually(|| {
        back = scrape(at).of("mimicry_sessions_total", &[("listener", "t")]);
        back.is_some()
    });
    assert!(
        came && back > Some(0.0),
        "{back:?}: a name has its numbers again"
    );
    let third = server(daemon);
    daemon.signal(Signal::SIGUSR1);
    assert!(eventually(|| is_gone(third)));
    scrape(at);
    // Without the setting there is none, and nobody listens.
    daemon.change(&setting(at), "");
    assert_eq!(daemon.command(&["reload"]).code, 0);
    assert!(eventually(|| servers(daemon.pid()).is_empty()));
    assert!(TcpStream::connect(at).is_err());
    assert_eq!(daemon.command(&["metrics"]).code, 0);
}

#[test]
fn a_master_that_is_killed_leaves_no_process_behind() {
    let at = free_port();
    let mut world = World::new(Setup {
        daemon: &setting(at),
        ..Setup::default()
    });
    let daemon = world.daemon();
    let of_metrics = server(daemon);
    kill(daemon.pid(), Signal::SIGKILL).expect("our own");
    daemon.ends();
    assert!(eventually(|| is_gone(of_metrics)));
    assert!(eventually(|| TcpStream::connect(at).is_err()));
}

#[test]
fn metrics_over_a_unix_socket() {
    let (_directory, place) = open_directory();
    let path = place.join("metrics.sock");
    let mut world = World::new(Setup {
        daemon: &format!("metrics = \"unix:{}\"\n", path.display()),
        ..Setup::default()
    });
    let daemon = world.daemon();
    server(daemon);
    let mut stream = UnixStream::connect(&path).expect("somebody listens");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    exposition::read(&http::answer(&mut stream).body, false);
    daemon.signal(Signal::SIGTERM);
    daemon.ends();
    assert!(!path.exists());
}

#[test]
fn what_goes_wrong_has_a_number() {
    let at = free_port();
    let mut world = World::new(Setup {
        daemon: &setting(at),
        errors: &["configuration refused"],
        ..Setup::default()
    });
    let before = scrape(at);
    assert_eq!(
        before.of("mimicry_config_last_reload_success", &[]),
        Some(1.0)
    );
    assert_eq!(before.of("mimicry_config_generation", &[]), Some(1.0));
    world.daemon().change("[limits]", "[limit]");
    assert_eq!(world.daemon().command(&["reload"]).code, 78);
    world.daemon().change("[limit]", "[limits]");
    let mut client: Client = world.client();
    assert!(client.ask("RCPT TO:<x@y>").is_permanent());
    world.hop.down();
    // Where there is little mail, one that could not reach it is all there is.
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    assert!(client.ask("RCPT TO:<bob@example.net>").is_temporary());
    let hop = format!("smtp://{}", world.hop.address);
    let after = scrape(at);
    assert_eq!(
        after.of("mimicry_config_last_reload_success", &[]),
        Some(0.0)
    );
    assert_eq!(
        after.of("mimicry_config_reloads_total", &[("result", "refused")]),
        Some(1.0)
    );
    assert_eq!(
        after.of("mimicry_next_hop_up", &[("next_hop", &hop)]),
        Some(0.0)
    );
    assert_eq!(
        after.of(
            "mimicry_refusals_total",
            &[("listener", "t"), ("event", "rcpt-refused")]
        ),
        Some(2.0)
    );
    let began = after.of("mimicry_start_time_seconds", &[]).unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!((now.as_secs_f64() - began).abs() < 60.0, "{began}");
    world.hop.up();
}

// What is drawn and alerted on must be there.
#[test]
fn dashboard_rules_and_manual_name_what_there_is() {
    let known = |name: &str| {
        FAMILIES.iter().any(|family| {
            let rest = name.strip_prefix(family.name);
            let suffixes: &[&str] = match family.kind.word() {
                "counter" => &["_total"],
                "gauge" => &[""],
                _ => &["_bucket", "_sum", "_count"],
            };
            rest.is_some_and(|rest| suffixes.contains(&rest))
        })
    };
    let mut seen = 0;
    let shipped = files("etc/prometheus", "")
        .into_iter()
        .chain(files("etc/grafana", ""));
    for (file, path) in shipped {
        let text = fs::read_to_string(&path).unwrap();
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let mut rest = text.as_str();
        while let Some(at) = rest.find("mimicry_") {
            let before = rest[..at].chars().next_back();
            rest = &rest[at..];
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let name = &rest[..end];
            if !before.is_some_and(is_name) {
                assert!(known(name), "{file}: there is no {name}");
                seen += 1;
            }
            rest = &rest[end..];
        }
    }
    assert!(seen > 30, "{seen}");
    let dashboard = fs::read(root().join("etc/grafana/mimicry.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_slice(&dashboard).unwrap();
    assert!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|panels| panels.len() > 8)
    );
    let page = fs::read_to_string(root().join("man/mimicryd.8")).unwrap();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix(".It mimicry_"));
    let documented: Vec<String> = rows
        .map(|row| format!("mimicry_{}", row.split([' ', '{']).next().unwrap()))
        .collect();
    let names = FAMILIES.iter().map(|family| match family.kind.word() {
        "counter" => format!("{}_total", family.name),
        _ => family.name.to_string(),
    });
    assert_eq!(documented, names.collect::<Vec<_>>());
}
