//! The command line as an administrator uses it: the real program, its exit codes and its words.
//!
//! Each test of documented behaviour quotes the sentence of mimicryd(8) that it checks.
//!
//! Past 600 lines because all of it is about one page of the manual and shares the configurations at its top.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{
    Directory, PATHS, Ran, files, filter, mail, mails, mimicryd, root, run, with,
};

/// No rule at all.
const EMPTY: &str = "";

const IGNORE: &str = "[[rule]]\nname = \"leave all alone\"\nplugin = \"ignore_mail\"\n";

const FOOTER: &str = r#"[[rule]]
name = "legal footer"
plugin = "disclaim"
match = { sender = '@example\.(com|org|net)$' }
unless = { recipient = '@inside\.example$' }
options = { text = "Example Ltd, registered in Exampleton.", html = "<p>Example Ltd, registered in Exampleton.</p>" }
"#;

const ZIP: &str = r#"[[rule]]
name = "one archive"
plugin = "zip"
match = { position = "attachment" }
options = { name = "all.zip" }
"#;

fn explain(config: &str, options: &[&str], stdin: &[u8]) -> Ran {
    with(config, &[&["explain"], options, &["-"]].concat(), stdin)
}

fn here(args: &[&str]) -> Ran {
    run(root(), args, b"")
}

// man: mimicryd(8) "0 Done."
// man: mimicryd(8) "64 The command line is wrong; or filter was given recipients of several classes."
#[test]
fn help_is_no_mistake_and_a_mistake_is_no_help() {
    for (args, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["explain", "--help"], 0),
        (&["help", "filter"], 0),
        (&["plugins"], 0),
        (&[], 64),
        (&["chek"], 64),
        (&["check", "--confg", "x"], 64),
        (&["explain"], 64),
        (&["explain", "--json", "--html", "x", "a"], 64),
        (&["--color", "sometimes", "plugins"], 64),
        (&["plugins", "disclam"], 64),
        (&["filter", "--client", "nowhere"], 64),
    ] {
        let ran = here(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        // What was asked for goes to standard output, complaints to standard error.
        assert_eq!(ran.out.is_empty(), code != 0, "{args:?}");
        assert_eq!(ran.err.is_empty(), code == 0, "{args:?}");
    }
    assert!(here(&["chek"]).err.contains("'check'"));
}

// man: mimicryd(8) "If it loads, one line with the number of its rules (and banks) goes to standard output, another one says whether
// the ledger is in force or why not, and warnings go to standard error."
#[test]
fn a_sound_configuration_is_summed_up() {
    for (config, out) in [
        (EMPTY, "m.toml: no rules, no warnings\n"),
        (IGNORE, "m.toml: 1 rule, no warnings\n"),
        (&format!("{FOOTER}{ZIP}"), "m.toml: 2 rules, no warnings\n"),
        (
            &format!(
                "rules = []\n{FOOTER}{ZIP}[[bank]]\nname = \"b\"\nwhen = {{ sender = 'x' }}\nrules = [\"legal footer\", \"one archive\"]\n"
            ),
            "m.toml: 2 rules, 1 bank, no warnings\n",
        ),
    ] {
        let ran = with(config, &["check"], b"");
        assert_eq!(
            (
                ran.code,
                ran.text().split_once("ledger").map(|(first, _)| first),
                ran.complaints()
            ),
            (0, Some(out), "".into())
        );
    }
    let ran = with(
        "[[rule]]\nname = \"a\"\nplugin = \"disclaim\"\noptions = { text = \"b\" }\n",
        &["check"],
        b"",
    );
    assert_eq!(ran.code, 0);
    assert!(
        ran.text().starts_with("m.toml: 1 rule, 1 warning\nledger "),
        "{}",
        ran.text()
    );
    assert!(ran.err.starts_with("warning: "), "{}", ran.err);
    assert!(ran.err.contains("m.toml:4:"), "{}", ran.err);
}

// man: mimicryd(8) "A mistake in the configuration is shown with its place, its line, and what would be right."
// man: mimicryd(8) "78 The configuration does not load."
#[test]
fn every_mistake_is_shown_in_one_run() {
    let config = "[[rule]]
name = \"footer\"
plugin = \"disclame\"
[[rule]]
name = \"zip\"
plugin = \"zip\"
mach = { position = \"attachment\" }
[limits]
mail = \"10 parsecs\"
";
    let expected = "\
error: unknown plugin \"disclame\"
 --> m.toml:3:10
  |
3 | plugin = \"disclame\"
  |          ^^^^^^^^^^
  |
  = help: did you mean `disclaim`?

error: unknown key `mach`
 --> m.toml:7:1
  |
7 | mach = { position = \"attachment\" }
  | ^^^^
  |
  = help: did you mean `match`?

error: not a size
 --> m.toml:9:8
  |
9 | mail = \"10 parsecs\"
  |        ^^^^^^^^^^^^
  |
  = help: a size is a number with K, M, G or T after it, such as \"10M\"

m.toml: 3 mistakes
";
    let ran = with(config, &["check"], b"");
    assert_eq!((ran.code, ran.text(), ran.err.as_str()), (78, "", expected));
    // explain and filter say the same and do nothing.
    for command in [&["explain", "-"][..], &[&["filter"], PATHS].concat()] {
        let other = with(config, command, &mail("demo-text.eml"));
        assert_eq!(
            (other.code, other.err.as_str(), other.text()),
            (78, ran.err.as_str(), "")
        );
    }
    let missing = run(Directory::new().path(), &["check", "-c", "m.toml"], b"");
    assert_eq!((missing.code, missing.text()), (78, ""));
    assert!(
        missing.err.contains("m.toml") && missing.err.contains("No such file"),
        "{}",
        missing.err
    );
}

// man: mimicry.toml(5) "If the named user does not exist, that is a mistake in the configuration."
// man: mimicry.toml(5) "Its directory must exist."
// man: mimicry.toml(5) "A listener of the same file is refused, because mail would go round in a loop."
// man: mimicry.toml(5) "A rule whose clients no listener can know is a warning: after an MTA on the same machine,
// each client is that machine, unless xforward_clients names the MTA."
// man: mimicry-plugins(7) "A name without values must be safe everywhere, or the configuration does not load; if it
// does not have the ending of such an archive, there is a warning."
#[test]
fn what_would_break_every_mail_is_found() {
    const LISTEN: &str = "[[listen]]\nname = \"in\"\naddress = \"127.0.0.1:10025\"\n";
    let rule = |rest: &str| format!("{LISTEN}[[rule]]\nname = \"r\"\n{rest}");
    for (config, code, message, help) in [
        (
            "[daemon]\nuser = \"no-such-user\"\n".to_string(),
            78,
            "error: there is no user no-such-user\n --> m.toml:2:8\n",
            "useradd --system --user-group --no-create-home no-such-user",
        ),
        (
            "[daemon]\ngroup = \"no-such-group\"\n".into(),
            78,
            "error: there is no group no-such-group\n --> m.toml:2:9\n",
            "groupadd --system no-such-group",
        ),
        (
            "[daemon]\nuser = \"root\"\n".into(),
            78,
            "error: workers do not run as root, which is root\n",
            "name a user without privileges",
        ),
        (
            "[log]\ntarget = \"file:/var/no-such-directory/mimicry.log\"\n".into(),
            78,
            "error: there is no directory /var/no-such-directory for the log\n --> m.toml:2:10\n",
            "make it: install -d -m 0755 /var/no-such-directory",
        ),
        (
            rule("plugin = \"zip\"\noptions.name = \".zip\"\n"),
            78,
            "error: \".zip\" is not a file name that is safe everywhere\n",
            "help: write \"zip.zip\"",
        ),
        (
            rule("plugin = \"zip\"\noptions.exclude = \".pdf, .png\"\n"),
            78,
            "error: \".pdf, .png\" is neither a media type nor an extension\n",
            "each is a text of its own",
        ),
        (
            rule("plugin = \"zip\"\noptions.exclude = \"*/*\"\n"),
            78,
            "error: \"*/*\" is neither a media type nor an extension\n",
            "help: write \"image/*\"",
        ),
        (
            rule(
                "plugin = \"disclaim\"\noptions = { text = \"a\", html = \"<p>%%DisplayName%%</p>\" }\n",
            ),
            0,
            "`%%DisplayName%%` is no placeholder here, and is sent as it stands\n",
            "{{ person.NAME }}",
        ),
        (
            rule("plugin = \"tar_gzip\"\noptions.name = \"a/b.zip\"\n"),
            78,
            "error: \"a/b.zip\" is not a file name that is safe everywhere\n",
            "help: write \"b.zip.tar.gz\"",
        ),
        (
            format!("{LISTEN}[relay]\nnext_hop = \"smtp://localhost:10025\"\n"),
            78,
            "error: smtp://localhost:10025 is the listener \"in\" of this file: mail would go round in a loop\n --> m.toml:5:12\n",
            "name the address where the MTA takes mail back",
        ),
        (
            rule("plugin = \"disclaim\"\nmatch.client = \"10.0.0.0/8\"\noptions.text = \"x\"\n"),
            0,
            "warning: this rule never acts: such a client never comes\n",
            "xforward_clients = [\"127.0.0.1\"]",
        ),
        (
            rule(
                "plugin = \"banner\"\noptions = { text = \"x\", internal_clients = [\"10.0.0.0/8\"] }\n",
            ),
            0,
            "warning: no mail can count as from inside: no such client is known\n",
            "xforward_clients = [\"127.0.0.1\"]",
        ),
        (
            rule("plugin = \"banner\"\noptions = { text = \"x\", internal_clients = [] }\n"),
            0,
            "warning: no mail can count as from inside: no such client is known\n",
            "AUTH= is believed only from the `auth_clients`",
        ),
        (
            rule("plugin = \"zip\"\noptions.name = \"attachments\"\n"),
            0,
            "warning: \"attachments\" does not have the ending of such an archive\n",
            "write \"attachments.zip\"\n",
        ),
        (
            rule("plugin = \"tar_gzip\"\noptions.name = \"a.gz\"\n"),
            0,
            "warning: \"a.gz\" does not have the ending of such an archive\n",
            "write \"a.gz.tar.gz\"\n",
        ),
    ] {
        let ran = with(&config, &["check"], b"");
        assert_eq!(ran.code, code, "{config}\n{}", ran.err);
        assert!(
            ran.err.contains(message) && ran.err.contains(help),
            "{config}\n{}",
            ran.err
        );
    }
    // What is as it should be is not complained of.
    for config in [
        format!(
            "{LISTEN}xforward_clients = \"127.0.0.1\"\n[[rule]]\nname = \"r\"\nplugin = \"disclaim\"\nmatch.client = \"10.0.0.0/8\"\noptions = {{ text = \"x\", html = \"<p>x\" }}\n"
        ),
        format!(
            "{LISTEN}auth_clients = \"127.0.0.1\"\n[[rule]]\nname = \"r\"\nplugin = \"banner\"\noptions = {{ header = \"X-E: y\", internal_clients = [] }}\n"
        ),
        rule(
            "plugin = \"disclaim\"\nmatch.client = \"127.0.0.1\"\noptions = { text = \"x\", html = \"<p>x\" }\n",
        ),
        rule("plugin = \"tar_gzip\"\noptions.name = \"a.TGZ\"\n"),
        "[daemon]\nuser = \"nobody\"\n[log]\ntarget = \"file:mimicry.log\"\n".into(),
    ] {
        let ran = with(&config, &["check"], b"");
        assert_eq!((ran.code, ran.complaints()), (0, "".into()), "{config}");
    }
}

#[test]
fn the_configurations_that_are_shipped_load_without_a_complaint() {
    let shipped = files("etc", ".toml");
    assert!(!shipped.is_empty());
    let directory = Directory::new();
    for (name, path) in shipped {
        let text = std::fs::read_to_string(&path).unwrap();
        // The demo makes its directory.
        let ran = if text.contains("/tmp/mimicry-demo") {
            let here = directory.path().to_str().unwrap();
            with(&text.replace("/tmp/mimicry-demo", here), &["check"], b"")
        } else {
            run(root(), &[Path::new("check"), Path::new("-c"), &path], b"")
        };
        assert_eq!((ran.code, ran.complaints()), (0, "".into()), "{name}");
        assert!(
            ran.text().contains(", no warnings\nledger "),
            "{name}: {}",
            ran.text()
        );
    }
}

// man: mimicryd(8) "A mail for which no rule acts leaves identical, and so does every untouched part of a changed
// mail."
#[test]
fn a_mail_that_nothing_changes_is_the_same_octets() {
    for config in [EMPTY, IGNORE] {
        for (name, octets) in mails() {
            let ran = filter(config, &octets);
            assert_eq!(ran.code, 0, "{name}: {}", ran.err);
            assert!(ran.out == octets, "{name} came out different");
            assert!(
                ran.err.ends_with("mimicryd: unchanged\n"),
                "{name}: {}",
                ran.err
            );
        }
    }
    // Nor does it matter that there is no mail.
    assert_eq!(
        (filter(IGNORE, b"").code, filter(IGNORE, b"").out),
        (0, Vec::new())
    );
}

// man: mimicryd(8) "If the lines of the mail end in LF, the lines of the result do too."
#[test]
fn a_mail_with_lf_stays_one() {
    let config = format!("{FOOTER}{ZIP}");
    let mut changed = 0;
    for (name, octets) in mails() {
        let lf: Vec<u8> = octets
            .iter()
            .copied()
            .filter(|octet| *octet != b'\r')
            .collect();
        if !lf.contains(&b'\n') {
            // Without a line end there is nothing to stay.
            continue;
        }
        let ran = filter(&config, &lf);
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        assert!(!ran.out.contains(&b'\r'), "{name} has a CR: {}", ran.err);
        changed += usize::from(ran.out != lf);
    }
    assert!(changed > 100, "only {changed} mails were changed");
}

// man: mimicryd(8) "What each rule did goes to standard error."
#[test]
fn filter_changes_the_mail_and_says_so() {
    let octets = mail("demo-newsletter.eml");
    let ran = filter(
        &format!("{FOOTER}{ZIP}{IGNORE}").replace(
            "plugin = \"ignore_mail\"",
            "plugin = \"keep\"\nmode = \"off\"",
        ),
        &octets,
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.err);
    assert!(
        lines[0].starts_with("mimicryd: legal footer (disclaim): edited 1.1, 1.2"),
        "{}",
        ran.err
    );
    assert!(
        lines[1].starts_with("mimicryd: one archive (zip): edited 2, 3"),
        "{}",
        ran.err
    );
    assert_eq!(lines[2], "mimicryd: leave all alone (keep): off");
    assert!(
        lines[3].starts_with("mimicryd: changed, 7 000 → "),
        "{}",
        ran.err
    );
    let out = String::from_utf8_lossy(&ran.out).into_owned();
    assert!(out.contains("Example Ltd, registered in Exampleton."));
    assert!(out.contains("all.zip") && !out.contains("prices-2024-05.csv"));
}

// man: mimicryd(8) "75 The mail is deferred: a rule failed, or a rule asked for it, or"
// man: mimicryd(8) "77 The mail is rejected by a rule;"
#[test]
fn a_mail_that_is_stopped_is_not_written() {
    let defer = FOOTER.replace("options = { ", "options = { fallback = [\"defer\"], ");
    let reject = FOOTER.replace("[[rule]]\n", "[[rule]]\non_sealed = \"reject\"\n");
    for (config, name, code, word) in [
        (&defer, "charset-unknown-label.eml", 75, "deferred"),
        (
            &defer.replace("\"defer\"", "\"reject\""),
            "charset-unknown-label.eml",
            77,
            "rejected",
        ),
        (&reject, "demo-pgp-signed.eml", 77, "rejected"),
        (&reject, "demo-text.eml", 0, "changed"),
    ] {
        let ran = filter(config, &mail(name));
        assert_eq!(ran.code, code, "{name}: {}", ran.err);
        assert_eq!(ran.out.is_empty(), code != 0, "{name}");
        let last = ran.err.lines().last().unwrap_or_default();
        assert!(
            last.starts_with(&format!("mimicryd: {word}")),
            "{name}: {}",
            ran.err
        );
        assert!(code == 0 || last.contains("legal footer"), "{last}");
        // explain does what filter does, but it has then done its work.
        let explained = explain(config, PATHS, &mail(name));
        assert_eq!(explained.code, 0);
        assert!(
            explained.text().contains(&format!("result  {word}")),
            "{}",
            explained.text()
        );
    }
}

// man: mimicryd(8) "In that case nothing is written, the classes of recipients go to standard error, and the exit
// status is 64."
#[test]
fn recipients_of_several_classes_are_told_apart() {
    let args = [
        "filter",
        "--from",
        "a@example.org",
        "--to",
        "b@x.org",
        "--to",
        "c@inside.example",
        "--to",
        "d@x.org",
    ];
    let ran = with(FOOTER, &args, &mail("demo-text.eml"));
    assert_eq!((ran.code, ran.text()), (64, ""));
    assert!(
        ran.err
            .ends_with("\nclass 1: b@x.org, d@x.org\nclass 2: c@inside.example\n"),
        "{}",
        ran.err
    );
    // They are one class when the rule cannot hold for this sender.
    let args = [&["filter", "--from", "a@elsewhere.test"], &args[3..]].concat();
    assert_eq!(with(FOOTER, &args, &mail("demo-text.eml")).code, 0);
}

// man: mimicryd(8) "takes no address from the mail, because the envelope decides who gets it."
#[test]
fn filter_does_not_guess() {
    for (args, code, word) in [
        (&["filter"][..], 64, "--from"),
        (&["filter", "--from", "a@x"], 64, "--to"),
        (&["filter", "--to", "a@x"], 64, "--from"),
        (&["filter", "--from", "<>", "--to", "a@x"], 0, "unchanged"),
        (&["filter", "--from", "", "--to", "<a@x>"], 0, "unchanged"),
        (&["filter", "--from", "a@x", "--to", "<>"], 64, "--to"),
        (
            &["filter", "--from", "A <a@x>", "--to", "b@x"],
            64,
            "--from",
        ),
        (
            &["filter", "--from", "a@x", "--to", "b@x", "--listener", "in"],
            64,
            "in",
        ),
    ] {
        let ran = with(EMPTY, args, &mail("demo-text.eml"));
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(word), "{args:?}: {}", ran.err);
    }
}

// man: mimicryd(8) "What is not given is unknown, and a filter on it does not hold."
#[test]
fn the_origin_is_what_the_options_say() {
    let config = |filter: &str| {
        format!(
            "[[listen]]\nname = \"in\"\naddress = \"127.0.0.1:10025\"\n{IGNORE}match = {{ {filter} }}\n"
        )
    };
    for (filter, option, right, wrong) in [
        (
            "client = '192.0.2.0/24'",
            "--client",
            "192.0.2.7",
            "198.51.100.7",
        ),
        ("client = '2001:db8::/32'", "--client", "2001:db8::1", "::1"),
        ("helo = '^mx\\.'", "--helo", "mx.example.org", "example.org"),
        ("auth_user = '^anna$'", "--auth-user", "anna", "bob"),
    ] {
        let trace = |options: &[&str]| {
            explain(
                &config(filter),
                &[PATHS, options].concat(),
                &mail("demo-text.eml"),
            )
        };
        let holds = trace(&[option, right]);
        assert!(
            holds.text().contains("the mail passes as it came"),
            "{filter}: {}",
            holds.text()
        );
        let fails = trace(&[option, wrong]);
        assert!(
            fails.text().contains(&format!("does not hold: {wrong}")),
            "{filter}: {}",
            fails.text()
        );
        let unknown = trace(&[]);
        assert!(
            unknown
                .text()
                .contains(&format!("does not hold: {option} was not given")),
            "{filter}: {}",
            unknown.text()
        );
    }
    let ran = explain(
        &config("listener = 'in'"),
        &["--listener", "in"],
        &mail("demo-text.eml"),
    );
    assert!(
        ran.text().contains("the mail passes as it came"),
        "{}",
        ran.text()
    );
    let ran = explain(
        &config("listener = 'in'"),
        &["--listener", "out"],
        &mail("demo-text.eml"),
    );
    assert_eq!((ran.code, ran.text()), (64, ""));
}

// man: mimicryd(8) "65 The mail is larger than the limit mail of the configuration."
// man: mimicryd(8) "74 Reading or writing failed."
#[test]
fn what_cannot_be_read_or_written() {
    let small = "[limits]\nmail = \"1K\"\n";
    let fits = vec![b'a'; 1024];
    assert_eq!(filter(small, &fits).code, 0);
    let ran = filter(small, &[&fits[..], b"b"].concat());
    assert_eq!((ran.code, ran.text()), (65, ""));
    assert!(ran.err.contains("limits.mail"), "{}", ran.err);
    assert_eq!(explain(small, PATHS, &[&fits[..], b"b"].concat()).code, 65);

    let directory = Directory::new();
    directory.file("m.toml", EMPTY);
    let ran = run(
        directory.path(),
        &["explain", "-c", "m.toml", "none.eml"],
        b"",
    );
    assert_eq!((ran.code, ran.text()), (74, ""));
    assert!(ran.err.contains("none.eml"), "{}", ran.err);
    let run_with = |stdin: Stdio, stdout: Stdio| {
        let mut command = mimicryd();
        command
            .args(["filter", "-c"])
            .arg(directory.path().join("m.toml"))
            .args(PATHS);
        let child = command
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Ran::of(child.wait_with_output().expect("the program ends"))
    };
    let input =
        || Stdio::from(File::open(directory.file("a.eml", mail("demo-text.eml"))).expect("a file"));
    // A directory opens and cannot be read.
    let unread = run_with(
        File::open(directory.path()).expect("a directory").into(),
        Stdio::piped(),
    );
    assert_eq!((unread.code, unread.text()), (74, ""));
    assert!(unread.err.contains("standard input"), "{}", unread.err);
    let full = run_with(
        input(),
        File::options()
            .write(true)
            .open("/dev/full")
            .expect("a device")
            .into(),
    );
    assert_eq!(full.code, 74);
    assert!(full.err.contains("standard output"), "{}", full.err);
    assert_eq!(run_with(input(), Stdio::piped()).code, 0);
}

// man: mimicryd(8) "If the reader of standard output stops early, that is no failure, except for filter, whose
// result must arrive."
#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let directory = Directory::new();
    let empty = directory.file("empty.toml", "").display().to_string();
    for (args, code) in [
        (&["plugins"][..], 0),
        (&["--help"], 0),
        (&["check", "-c", &empty], 0),
        (
            &["filter", "-c", &empty, "--from", "a@x", "--to", "b@x"],
            74,
        ),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let stdin = File::open(root().join("t/mail/demo-text.eml")).expect("a mail");
        let child = mimicryd()
            .args(args)
            .stdin(stdin)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let ran = Ran::of(child.wait_with_output().expect("the program ends"));
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(
            !ran.err.contains("pipe") && !ran.err.contains("panic"),
            "{}",
            ran.err
        );
    }
}

// man: mimicryd(8) "Shows on standard output what the rules do to a mail, and why every other rule does nothing."
#[test]
fn explain_tells_all() {
    let config = format!("{FOOTER}{ZIP}");
    let options = [
        "--from",
        "a@example.org",
        "--to",
        "b@x.org",
        "--to",
        "c@inside.example",
    ];
    let ran = explain(&config, &options, &mail("demo-newsletter.eml"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for line in [
        "sender      a@example.org",
        "recipients  b@x.org, c@inside.example",
        "  ├─1 multipart/alternative",
        "  │ ├─1.1 text/plain         body            226 B  utf-8 quoted-printable",
        "  └─3 application/pdf        attachment     1.6 KB  base64  \"prices-2024-05.pdf\"",
        "class 1 of 2: b@x.org",
        "+ legal footer  disclaim  edited 1.1, 1.2 (1.1: bottom; 1.2: bottom, before </body>)",
        "- 3 application/pdf  \"prices-2024-05.pdf\"  gone",
        "class 2 of 2: c@inside.example",
        "- legal footer  disclaim  no match, unless recipient holds",
    ] {
        assert!(
            ran.text().lines().any(|shown| shown == line),
            "{line:?} is not in\n{}",
            ran.text()
        );
    }
    assert!(
        ran.text().contains("\n* │ ├─1.1 text/plain"),
        "{}",
        ran.text()
    );
    assert!(
        ran.text().contains("\n+ └─2 application/zip"),
        "{}",
        ran.text()
    );
}

// man: mimicryd(8) "If no option gives the sender, it is taken from Return-Path, or else from From. If no option
// gives recipients, they are taken from To and Cc. The output says so."
#[test]
fn explain_takes_the_envelope_from_the_mail() {
    let header = "Return-Path: <bounce@x.org>\r\nFrom: Anna <anna@x.org>\r\nTo: bob@x.org\r\nCc: Carl <carl@x.org>\r\n\r\n";
    let ran = explain(EMPTY, &[], header.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.text().contains(
            "sender      bounce@x.org  (taken from the field Return-Path; --from sets it)"
        ),
        "{}",
        ran.text()
    );
    assert!(
        ran.text().contains(
            "recipients  bob@x.org, carl@x.org  (taken from the fields To and Cc; --to sets them)"
        ),
        "{}",
        ran.text()
    );
    let ran = explain(
        EMPTY,
        &["--to", "d@x.org"],
        header
            .replace("Return-Path: <bounce@x.org>\r\n", "")
            .as_bytes(),
    );
    assert!(
        ran.text()
            .contains("sender      anna@x.org  (taken from the field From"),
        "{}",
        ran.text()
    );
    assert!(
        ran.text().contains("recipients  d@x.org\n"),
        "{}",
        ran.text()
    );
    let ran = explain(EMPTY, &[], b"Subject: x\r\n\r\n");
    assert_eq!((ran.code, ran.text()), (64, ""));
    assert!(ran.err.contains("--to"), "{}", ran.err);
}

// man: mimicryd(8) "Octets of a mail that could change what a terminal shows are escaped."
#[test]
fn no_mail_reaches_the_terminal() {
    let config = format!("{FOOTER}{ZIP}");
    let harmless = |text: &str| text.chars().all(|char| char == '\n' || !char.is_control());
    for (name, octets) in mails() {
        let ran = explain(&config, PATHS, &octets);
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        assert!(
            harmless(ran.text()) && harmless(&ran.err),
            "{name}: {}",
            ran.text()
        );
        let json = explain(&config, &[PATHS, &["--json"]].concat(), &octets);
        assert!(harmless(json.text()), "{name}: {}", json.text());
        let document: Value = serde_json::from_str(json.text()).expect(&name);
        assert_eq!(document["mail"]["octets"], octets.len(), "{name}");
    }
    let evil = b"From: a@example.org\nContent-Type: text/x\x1b[2J; name=\"\x1b]0;x\x07.exe\"\nContent-Disposition: \x1b[1m\n\nx";
    let ran = explain(&config, &["--to", "\u{9b}@x", "--helo", "\u{1b}c"], evil);
    assert!(ran.code == 64 || harmless(ran.text()), "{}", ran.text());
    let ran = explain(&config, &["--to", "b@x", "--helo", "\u{1b}c"], evil);
    assert!(ran.code == 0 && harmless(ran.text()), "{}", ran.text());
    assert!(ran.text().contains("\\u{1b}c"), "{}", ran.text());
}

// man: mimicryd(8) "All facts of explain or status as one JSON document."
#[test]
fn json_has_the_documented_keys() {
    let config = format!("{FOOTER}{ZIP}");
    let options = [
        "--json",
        "--from",
        "a@example.org",
        "--to",
        "b@x.org",
        "--to",
        "c@inside.example",
    ];
    let ran = explain(&config, &options, &mail("demo-newsletter.eml"));
    let document: Value = serde_json::from_str(ran.text()).expect("JSON");
    for (value, keys) in [
        (
            &document,
            "classes configuration envelope mail origin parts",
        ),
        (
            &document["mail"],
            "bulk defects dkim encrypted lines malformed name octets signed",
        ),
        (&document["mail"]["lines"], "cr crlf lf"),
        (
            &document["envelope"],
            "recipients recipients_source sender sender_source",
        ),
        (&document["origin"], "auth_user client helo listener"),
        (
            &document["parts"][0],
            "change charset depth disposition encoding filename multipart name_defect names octets opaque role sealed section type was",
        ),
        (
            &document["classes"][0],
            "bank gone octets parts recipients result rules settings text",
        ),
        (
            &document["classes"][0]["rules"][0],
            "by detail filter left name notes outcome parts plugin reason shadow",
        ),
    ] {
        let mut shown: Vec<&str> = value
            .as_object()
            .expect(keys)
            .keys()
            .map(String::as_str)
            .collect();
        shown.sort_unstable();
        assert_eq!(shown.join(" "), keys);
    }
    assert_eq!(document["envelope"]["sender_source"], "option");
    assert_eq!(document["parts"][4]["filename"], "prices-2024-05.csv");
    let [first, second] = document["classes"].as_array().expect("classes").as_slice() else {
        panic!("two classes")
    };
    assert_eq!(first["recipients"], serde_json::json!(["b@x.org"]));
    assert_eq!(first["result"], "changed");
    assert_eq!(first["rules"][0]["outcome"], "edited");
    assert_eq!(
        first["rules"][0]["parts"],
        serde_json::json!(["1.1", "1.2"])
    );
    assert_eq!(first["parts"][2]["change"], "body");
    assert_eq!(first["gone"][0]["section"], "2");
    assert_eq!(second["rules"][0]["outcome"], "vetoed");
    assert_eq!(second["rules"][0]["filter"], "recipient");
}

// man: mimicryd(8) "colours on a terminal, unless NO_COLOR is set."
#[test]
fn colours_are_asked_for() {
    let octets = mail("demo-newsletter.eml");
    let plain = explain(FOOTER, PATHS, &octets);
    assert!(!plain.out.contains(&0x1b), "a pipe is no terminal");
    let coloured = explain(FOOTER, &[PATHS, &["--color", "always"]].concat(), &octets);
    assert!(
        coloured.text().contains("\x1b[1mrules\x1b[0m"),
        "{}",
        coloured.text()
    );
    let mistakes = with("x = 1\n", &["check", "--color", "always"], b"");
    assert!(mistakes.err.contains("\x1b["), "{}", mistakes.err);
}

// Why a rule did nothing: one row for each way that the trace can end.
#[test]
fn every_rule_has_its_reason() {
    let text = "From: anna@example.org\nSubject: hello\nTo: b@x.org\n\nhello\n";
    let report =
        "From: a@example.org\nContent-Type: multipart/report; boundary=b\n\n--b\n\nhello\n--b--\n";
    for (keys, octets, line) in [
        (
            "plugin = 'disclaim'\nmatch = { sender = 'nobody' }",
            text,
            "no match, sender does not hold: anna@example.org",
        ),
        (
            "plugin = 'disclaim'\nunless = { sender = 'anna' }",
            text,
            "no match, unless sender holds: anna@example.org",
        ),
        (
            "plugin = 'disclaim'\nmatch = { header_sender = 'nobody' }",
            text,
            "no match, header_sender does not hold: anna@example.org",
        ),
        (
            "plugin = 'disclaim'\nmatch = { header_recipient = 'nobody' }",
            text,
            "no match, header_recipient does not hold: b@x.org",
        ),
        (
            "plugin = 'disclaim'\nmatch = { header.subject = 'nobody' }",
            text,
            "no match, header.subject does not hold: hello",
        ),
        (
            "plugin = 'disclaim'\nmatch = { header.x-y = 'x' }",
            text,
            "no match, header.x-y does not hold: there is no such field",
        ),
        (
            "plugin = 'disclaim'\nmatch = { mail_size = '> 1M' }",
            text,
            "no match, mail_size does not hold: 57 octets",
        ),
        (
            "plugin = 'disclaim'\nmatch = { bulk = true }",
            text,
            "no match, bulk does not hold: the mail is not bulk",
        ),
        (
            "plugin = 'disclaim'\nmatch = { type = 'image/' }",
            text,
            "no part: type holds for none",
        ),
        (
            "plugin = 'disclaim'\nmatch = { type = 'text/', position = '2' }",
            text,
            "no part: position holds for none",
        ),
        (
            "plugin = 'disclaim'\nmatch = { type = 'text/' }\nunless = { position = 'body' }",
            text,
            "no part: unless position holds for 1",
        ),
        (
            "plugin = 'disclaim'\nmode = 'off'",
            text,
            "off: its own mode is off",
        ),
        (
            "plugin = 'disclaim'\nmode = 'shadow'",
            text,
            "would have edited 1 (1: bottom)",
        ),
        ("plugin = 'disclaim'", text, "edited 1 (1: bottom)"),
        (
            "plugin = 'disclaim'",
            report,
            "not edited, exempt: bulk mail, which this plugin leaves alone unless the rule names the filter bulk",
        ),
        ("plugin = 'keep'", text, "keeps 1"),
        (
            "plugin = 'keep'\nmode = 'shadow'",
            text,
            "not edited, shadow: the rule is in shadow mode",
        ),
        ("plugin = 'ignore_mail'", text, "the mail passes as it came"),
    ] {
        let options = if keys.contains("disclaim") {
            "\noptions = { text = 'words', html = 'words' }"
        } else {
            ""
        };
        let config = format!("[[rule]]\nname = \"it\"\n{keys}{options}\n");
        let ran = explain(
            &config,
            &["--from", "anna@example.org", "--to", "b@x.org"],
            octets.as_bytes(),
        );
        let shown = ran
            .text()
            .lines()
            .find(|shown| shown.get(2..4) == Some("it"))
            .unwrap_or(ran.err.as_str());
        let words = shown.splitn(4, "  ").last().unwrap_or_default();
        assert!(
            shown.ends_with(&format!("  {line}")),
            "{keys}\n expected {line}\n shown    {words}"
        );
    }
    // A rule above decides.
    for (above, line) in [
        ("ignore_mail", "after \"above\", which ended the walk"),
        (
            "keep",
            "not edited, kept: a keep rule above protects the parts, or a rule above took or removed them",
        ),
    ] {
        let config = format!(
            "[[rule]]\nname = \"above\"\nplugin = \"{above}\"\nmatch = {{ sender = 'anna' }}\n{FOOTER}"
        );
        let ran = explain(
            &config,
            &["--from", "anna@example.org", "--to", "b@x.org"],
            text.as_bytes(),
        );
        let shown = ran
            .text()
            .lines()
            .find(|shown| shown.starts_with("- legal footer"))
            .unwrap_or(ran.err.as_str());
        assert!(shown.ends_with(&format!("  {line}")), "{shown}");
    }
}

// man: mimicryd(8) "Lists the plugins, or shows one of them with its options and their defaults."
#[test]
fn plugins_are_listed() {
    let list = here(&["plugins"]);
    assert_eq!(list.code, 0);
    let names: Vec<&str> = list
        .text()
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(
        names.contains(&"disclaim") && names.contains(&"zip"),
        "{names:?}"
    );
    for name in names {
        let one = here(&["plugins", name]);
        assert_eq!((one.code, one.err.as_str()), (0, ""));
        assert!(
            one.text().starts_with(&format!("{name}: ")),
            "{}",
            one.text()
        );
        assert!(one.text().contains("\nscope "), "{}", one.text());
    }
    assert!(
        here(&["plugins", "zip"])
            .text()
            .contains("\n  level  0..9, default 6\n")
    );
    let unknown = here(&["plugins", "zipp"]);
    assert!(unknown.err.contains("disclaim, zip"), "{}", unknown.err);
}

/// A program without a feature names it, and does not take a key for something else.
// man: mimicry-plugins(7) "It is there when mimicryd is built with the feature"
#[test]
fn what_was_not_built_in_is_named() {
    let directory = Directory::new();
    let keys = root().join("mimicry-plugins/tests/keys");
    for (feature, is_there, plugins, file, holds) in [
        (
            "pgp",
            cfg!(feature = "pgp"),
            ["pgp_encrypt", "pgp_sign"],
            "pgp/bo.asc",
            "OpenPGP",
        ),
        (
            "smime",
            cfg!(feature = "smime"),
            ["smime_encrypt", "smime_sign"],
            "smime-bob.pem",
            "certificates",
        ),
    ] {
        let without = format!("this mimicry was built without {feature}");
        for plugin in plugins {
            let rule = format!("[[rule]]\nname = \"r\"\nplugin = \"{plugin}\"\n");
            directory.file("m.toml", rule);
            let ran = run(directory.path(), &["check", "-c", "m.toml"], b"");
            let said = ran.complaints();
            assert_eq!(said.contains(&without), !is_there, "{said}");
            assert_eq!(ran.code, 78, "{said}");
        }
        let path = directory.file("key", std::fs::read(keys.join(file)).expect("a key"));
        let ran = run(directory.path(), &["keys", "key"], b"");
        let expected = format!(
            "mimicryd: key holds {holds}, and {without}; install the package, or build it with cargo build --features {feature}\n"
        );
        assert_eq!(ran.err == expected, !is_there, "{}", ran.err);
        assert_eq!(ran.code, if is_there { 0 } else { 65 }, "{}", ran.err);
        std::fs::remove_file(path).expect("our own file");
    }
}
