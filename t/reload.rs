//! A reload is the whole configuration: what new workers do from the start, and what becomes of the old ones and their sessions.

use std::fs;

use crate::harness::daemon::{PLAIN, Setup, World, eventually};

// T134
// man: mimicry.toml(5) "New workers log as the new table says from their first line on."
#[test]
fn new_workers_log_as_the_new_configuration_says() {
    let mut world = World::new(Setup::default());
    let daemon = world.daemon();
    daemon.change("/log\"", "/log.new\"\nformat = \"json\"");
    let reload = daemon.command(&["reload"]);
    assert_eq!(reload.code, 0, "{}", reload.err);
    world.pass(PLAIN);
    let daemon = world.daemon();
    let path = daemon.directory.path().join("log.new");
    let new = || fs::read_to_string(&path).unwrap_or_default();
    let is_there = || new().contains("\"status\":\"sent\"") || !daemon.mail_lines().is_empty();
    assert!(eventually(is_there), "{}", daemon.said());
    assert_eq!(daemon.mail_lines(), [""; 0], "a worker lags behind");
    for line in new().lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("every line is JSON");
    }
}

// T134
// man: mimicry.toml(5) "A reload with a log that cannot be opened is refused."
#[test]
fn a_log_that_cannot_be_opened_is_refused() {
    let mut world = World::new(Setup {
        errors: &["configuration refused"],
        ..Setup::default()
    });
    let daemon = world.daemon();
    let file = daemon.directory.file("other", "");
    fs::hard_link(file, daemon.directory.path().join("taken")).expect("a second name");
    daemon.change("/log\"", "/taken\"");
    let reload = daemon.command(&["reload"]);
    assert_eq!(reload.code, 78, "{}", reload.text());
    assert!(
        reload.err.contains("cannot open the log: "),
        "{}",
        reload.err
    );
    world.pass(PLAIN);
    world.daemon().logs(" status=sent");
}
