use super::*;

// T196
#[test]
fn next_hops() {
    let at = |addresses: &[&str], found, lost, away| NextHopStatus {
        next_hop: "smtp://mx:25".into(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        found_seconds: found,
        lost,
        away_seconds: away,
        failed: 0,
        connections: 3,
        idle: 1,
    };
    for (status, text) in [
        (at(&["192.0.2.1:25"], None, false, None), ""),
        (
            at(&["192.0.2.1:25", "192.0.2.2:25"], Some(7), false, None),
            " at 192.0.2.1:25, 192.0.2.2:25, found 7 s ago",
        ),
        (
            at(&["192.0.2.1:25"], Some(70), true, None),
            " at 192.0.2.1:25, found 1 min 10 s ago, not found now",
        ),
        (at(&[], None, true, None), ", not found now"),
        (at(&[], None, false, None), ", not looked up yet"),
    ] {
        let expected = format!("next hop smtp://mx:25{text}; connections 3, 1 of them idle");
        assert_eq!(status.text(), expected);
    }
    let away = at(&["192.0.2.1:25"], None, false, Some(2.54)).text();
    assert!(away.ends_with("idle; away for 2.5 s"), "{away}");
    for (failed, said) in [
        (1, "idle; the last connection could not be made"),
        (2, "idle; the last 2 connections could not be made"),
    ] {
        let hop = NextHopStatus {
            failed,
            ..at(&["192.0.2.1:25"], None, false, None)
        };
        assert!(hop.text().ends_with(said), "{}", hop.text());
    }
}

#[test]
fn ages() {
    for (seconds, text) in [
        (0, "0 s"),
        (59, "59 s"),
        (67, "1 min 7 s"),
        (3600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (180_000, "2 d 2 h"),
    ] {
        assert_eq!(age(seconds), text);
    }
}

#[test]
fn text_and_json_say_the_same() {
    let counters = named(&Totals::default());
    let status = Status {
        version: "1.2.3".into(),
        pid: 42,
        uptime_seconds: 67,
        upgrades: 2,
        predecessor: Some(41),
        generation: 2,
        generation_hash: "5f0c1a9e".into(),
        config: "/etc/mimicry/mimicry.toml".into(),
        state: "running".into(),
        last_reload_done: true,
        metrics: Some("127.0.0.1:9725".into()),
        poison: 0,
        ledger: LedgerState {
            path: "/s/ledger".into(),
            trouble: Some("/s: Read-only file system".into()),
        },
        ledger_entries: 2,
        keys: [(7 * 86_400, "new"), (40 * 86_400, "newer"), (-7200, "old")]
            .map(|(ends_seconds, rule)| KeyStatus {
                rule: rule.into(),
                ends_seconds,
            })
            .to_vec(),
        listeners: [("in", 10025, 0), ("lan", 10024, 2)]
            .map(|(name, port, rebound)| ListenerStatus {
                name: name.into(),
                address: format!("127.0.0.1:{port}"),
                rebound,
                waiting: usize::from(rebound > 0) * 7,
            })
            .to_vec(),
        next_hops: Vec::new(),
        log: LogState {
            target: "stderr".into(),
            lost: 3,
            trouble: Some("nobody reads it".into()),
        },
        sandbox: SandboxStatus {
            mode: "try".into(),
            lacks: vec!["files (none)".into(), "system calls (none)".into()],
        },
        min: 4,
        max: 32,
        spare: 2,
        totals: counters.clone(),
        mails_per_second: Rate::default(),
        deaths: 1,
        stuck: 1,
        workers: vec![WorkerStatus {
            pid: 43,
            generation: 2,
            generation_hash: "5f0c1a9e".into(),
            state: "idle".into(),
            mail: None,
            rule: None,
            age_seconds: 1.5,
            leaving: true,
            counters,
        }],
    };
    let text = status.text(None);
    for part in [
        "mimicryd 1.2.3, running, pid 42, up 1 min 7 s",
        "upgraded 2 times since; process 41, the master before, still finishes its sessions\n",
        "configuration /etc/mimicry/mimicry.toml, generation 2, hash 5f0c1a9e\n",
        "listening on 127.0.0.1:10025 (in)\n",
        "listening on 127.0.0.1:10024 (lan), bound again after somebody shut it down: 2, connections waiting for a worker: 7\n",
        "log stderr; nobody reads it; 3 lines of it were lost\n",
        "sandbox try; this kernel does not guard files (none), system calls (none)\n",
        "workers 1: 1 idle, 0 busy, 0 starting; 1 of them leaving (min 4, max 32, spare 2); 1 died, 1 of them stuck\n",
        "refused 0 clients, 0 connections, 0 MAIL, 0 RCPT, 0 DATA; sessions ended 0, 0 more under stress; clients gone 0\n",
        "      43    2 idle           1.5 s",
        "metrics on 127.0.0.1:9725\n",
        "ledger not in force: /s: Read-only file system\n",
        "entries of the ledger: 2\n",
        "metrics on 127.0.0.1:9725\na key of rule new ends in 7 d 0 h, see mimicryd keys\na key of rule old ended 2 h 0 min ago, see mimicryd keys\nlog",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&status.json()).unwrap();
    assert_eq!(json["workers"][0]["counters"]["mails"], 0);
    assert_eq!(json["listeners"][0]["address"], "127.0.0.1:10025");
    assert_eq!(json["listeners"][1]["rebound"], 2);
    assert_eq!(json["generation"], 2);
}

fn some() -> Status {
    let worker = |pid, state: &str, seconds, mail: Option<&str>| WorkerStatus {
        pid,
        generation: 1,
        state: state.into(),
        age_seconds: seconds,
        mail: mail.map(String::from),
        rule: (state == "rules")
            .then(|| "a rule\u{1b}[31m of a long name, longer than there is room for".into()),
        counters: BTreeMap::from([("mails".into(), 7), ("octets_in".into(), 12_345)]),
        ..WorkerStatus::default()
    };
    Status {
        version: "1.2.3".into(),
        pid: 42,
        state: "running".into(),
        last_reload_done: true,
        config: "/etc/mimicry/mimicry.toml".into(),
        max: 4,
        totals: BTreeMap::from([("mails".into(), 100), ("deferred".into(), 3)]),
        next_hops: vec![NextHopStatus {
            next_hop: "smtp://mx.example.org:25".into(),
            addresses: vec!["192.0.2.1:25".into()],
            connections: 2,
            idle: 1,
            ..NextHopStatus::default()
        }],
        workers: vec![
            worker(11, "idle", 70.0, None),
            worker(12, "rules", 0.1, Some("bcdfghjklm")),
            worker(13, "relaying", 5000.0, Some("0123456789")),
        ],
        ..Status::default()
    }
}

#[test]
fn verdicts_and_what_leads_to_them() {
    let of = |change: fn(&mut Status)| {
        let mut status = some();
        change(&mut status);
        let (health, line) = status.health();
        assert!(
            line.ends_with('\n') && line.trim_end().lines().count() == 1,
            "{line}"
        );
        assert_eq!(line.matches(" | ").count(), 1, "{line}");
        let (said, numbers) = line.trim_end().split_once(" | ").unwrap();
        for number in numbers.split(' ') {
            assert!(number.contains('='), "{number}");
        }
        (health.status(), said.to_string())
    };
    for (change, status, said) in [
        (
            (|_| {}) as fn(&mut Status),
            0,
            "OK - running, 3 workers, 2 busy, 100 mails, 0/s",
        ),
        (
            |status| status.workers.clear(),
            2,
            "CRITICAL - no worker takes connections",
        ),
        (
            |status| status.next_hops[0].away_seconds = Some(2.4),
            2,
            "CRITICAL - next hop smtp://mx.example.org:25 away for 2 s",
        ),
        (
            |status| status.next_hops[0].failed = 2,
            1,
            "WARNING - next hop smtp://mx.example.org:25: the last 2 connections could not be made",
        ),
        (
            |status| status.next_hops[0].lost = true,
            1,
            "WARNING - next hop smtp://mx.example.org:25 is not found",
        ),
        (
            |status| {
                status.next_hops[0].lost = true;
                status.next_hops[0].addresses.clear();
            },
            2,
            "CRITICAL - next hop smtp://mx.example.org:25 is not found",
        ),
        (
            |status| status.last_reload_done = false,
            1,
            "WARNING - the last reload was refused",
        ),
        (
            |status| {
                let key = |rule: &str, ends_seconds| KeyStatus {
                    rule: rule.into(),
                    ends_seconds,
                };
                status.keys = vec![
                    key("a", 30 * 86_400),
                    key("b", 30 * 86_400 + 1),
                    key("c", 0),
                ];
            },
            1,
            "WARNING - a key of rule a ends in 30 d 0 h; a key of rule c ended 0 s ago",
        ),
        (
            |status| status.log.trouble = Some("a | b\n\u{1b}".into()),
            1,
            "WARNING - a / b??",
        ),
        (
            |status| {
                status.poison = 2;
                status.state = "stopping".into();
                status.next_hops[0].away_seconds = Some(9.0);
            },
            2,
            "CRITICAL - next hop smtp://mx.example.org:25 away for 9 s; the daemon is stopping; 2 mails killed workers",
        ),
        (
            |status| {
                status.max = 2;
                status.listeners = vec![ListenerStatus {
                    waiting: 3,
                    ..ListenerStatus::default()
                }];
            },
            1,
            "WARNING - all 2 workers are busy, 3 connections wait",
        ),
    ] {
        assert_eq!(of(change), (status, format!("MIMICRY {said}")));
    }
    let line = Health::Unknown.line("x");
    assert_eq!(
        (Health::Unknown.status(), line.as_str()),
        (3, "MIMICRY UNKNOWN - x\n")
    );
}

#[test]
fn text_for_a_terminal_is_as_wide_as_it() {
    let mut status = some();
    status.log.trouble = Some("cannot write the log to file:/var/log/mimicry/mimicry.log: No space left on device (os error 28)".into());
    for width in [40, 80, 132] {
        let text = status.text(Some(width));
        let table = text.find("\n\n").unwrap();
        for line in text[..table].lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        let widest = text[table..].lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width.max(80)), "{text}");
        assert_eq!(text.contains("RULE"), width == 132);
        assert!(!text.contains('\u{1b}'));
    }
    let words = |text: String| {
        text.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(status.text(Some(200))), words(status.text(None)));
}

#[test]
fn a_screen_fits() {
    use top::{Since, Size, screen};
    let mut status = some();
    let lines = screen(&status, None, None);
    assert!(
        lines[0].starts_with("mimicryd 1.2.3 running, pid 42, up 0 s"),
        "{lines:#?}"
    );
    assert_eq!(
        lines[3],
        "next hop smtp://mx.example.org:25 up, connections 2, 1 idle"
    );
    assert_eq!(lines[4], "[_EW.]");
    // Who has been busy for longest is on top.
    let order: Vec<&str> = lines[6..].iter().map(|line| line[..10].trim()).collect();
    assert_eq!(order, ["13 W", "12 E", "11 _"]);
    assert_eq!(
        lines[6],
        "      13 W relaying    83 min 0123456789        7  12.3k  -"
    );
    assert!(
        lines[7].contains("bcdfghjklm") && lines[7].contains("a rule?[31m of"),
        "{}",
        lines[7]
    );
    status.next_hops[0].away_seconds = Some(61.0);
    let mut later = status.clone();
    later.totals.insert("mails".into(), 150);
    let since = Since::of(&status, &later, 2.0).unwrap();
    let lines = screen(&later, Some(since), None);
    assert!(
        lines[1].ends_with("; now 25.0/s, in 0/s, out 0/s"),
        "{}",
        lines[1]
    );
    assert!(lines[3].contains(" DOWN for 61.0 s"), "{}", lines[3]);
    assert!(Since::of(&later, &status, 2.0).is_none(), "another daemon");
    for (columns, rows) in [(80, 24), (40, 8), (20, 7), (80, 3), (1, 1), (200, 200)] {
        let mut many = status.clone();
        many.max = 1000;
        many.workers = vec![status.workers[1].clone(); 300];
        let lines = screen(&many, None, Some(Size { columns, rows }));
        assert!(lines.len() <= rows, "{}", lines.len());
        assert!(
            lines.iter().all(|line| line.chars().count() <= columns),
            "{lines:#?}"
        );
        let is_said = lines
            .last()
            .is_some_and(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
        assert!(
            rows != 24 || is_said && lines.last().unwrap().ends_with(" more"),
            "{lines:#?}"
        );
    }
}

#[test]
fn octets_in_brief() {
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (12_300_000_000, "12.3G"),
        (u64::MAX, "18447P"),
    ] {
        assert_eq!(brief(number), text);
    }
}

// What another version says is no reason to say nothing.
#[test]
fn json_of_other_versions_is_read() {
    let status =
        Status::parse("{\"pid\": 7, \"news\": {}, \"workers\": [{\"pid\": 8, \"more\": 1}]}")
            .unwrap();
    assert_eq!((status.pid, status.workers[0].pid), (7, 8));
    let again = Status::parse(&some().json()).unwrap();
    assert_eq!(again.json(), some().json());
    assert!(Status::parse("nonsense").is_none());
}
