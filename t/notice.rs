//! A text that must be in every mail, or the mail does not leave: with the real program, over mails that have no room for it.
//!
//! What stays as it came when a field is edited, and what explain says of rules that did nothing, is here too.

use crate::harness::{Directory, Ran, mail, run};

/// Sender and recipient of mail to which the rules apply.
const PATHS: &[&str] = &["--from", "anna@example.org", "--to", "bob@example.net"];

fn with(config: &str, command: &[&str], stdin: &[u8]) -> Ran {
    let directory = Directory::new();
    directory.file("m.toml", config);
    let (name, rest) = command.split_first().expect("a command");
    let args = [&[*name, "-c", "m.toml"], PATHS, rest].concat();
    run(directory.path(), &args, stdin)
}

const OURS: &str = "OURS Example Ltd, Exampleland, no. 123456";

fn notice(settings: &str, fallback: &str) -> String {
    format!(
        "[[rule]]\nname = \"required notice\"\nplugin = \"disclaim\"\n{settings}\n[rule.options]\ntext = \"{OURS}\"\nhtml = \"<p>{OURS}</p>\"\n{fallback}\n"
    )
}

// man: mimicry-plugins(7) "a mail that has no body, as a scan, a picture, a calendar or what cannot be read, gets the text by attach,
// or does not leave"
#[test]
fn a_scan_has_its_notice() {
    let scan = mail("mixed-scan-without-text.eml");
    let config = notice(
        "on_sealed = \"reject\"\non_error = \"reject\"",
        "fallback = [\"attach\", \"reject\"]",
    );
    let ran = with(&config, &["filter"], &scan);
    let text = String::from_utf8(ran.out).expect("text");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let (before, part) = text.split_once("JVBERi0xLjQKJUVPRgo=").expect("the scan");
    assert!(!before.contains("OURS") && part.contains(OURS), "{text}");
    assert!(part.contains("Content-Type: text/plain"), "{text}");
    for (fallback, code, word) in [("reject", 77, "rejected"), ("defer", 75, "deferred")] {
        let config = notice("", &format!("fallback = \"{fallback}\""));
        let ran = with(&config, &["filter"], &scan);
        assert_eq!((ran.code, ran.out.len()), (code, 0), "{}", ran.err);
        let why = format!("mimicryd: {word} by required notice");
        assert!(
            ran.err.contains(&why) && ran.err.contains("no-body"),
            "{}",
            ran.err
        );
    }
    // The default, and skip in so many words.
    for fallback in ["", "fallback = \"skip\"\n"] {
        let settings = if fallback.is_empty() {
            ""
        } else {
            "on_error = \"reject\""
        };
        let ran = with(&notice(settings, fallback), &["filter"], &scan);
        assert_eq!((ran.code, ran.out), (0, scan.clone()), "{fallback}");
    }
}
