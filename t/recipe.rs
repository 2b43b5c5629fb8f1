//! The way back from an edited mail: what the next hop got, and `mimicryd restore` with that file.
//!
//! Each mail of the corpus with each plugin is seen beside the plugins.

use crate::harness::daemon::{PLAIN, Setup, World};
use crate::harness::{Directory, contains, run};

const RULES: &str = "[[rule]]\nname = \"footer\"\nplugin = \"disclaim\"\noptions = { text = \"-- us\", html = \"<p>us</p>\" }\n\
    [[rule]]\nname = \"how to undo it\"\nplugin = \"message_instance\"\n";

fn replaced(octets: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(octets).expect("a mail in ASCII");
    assert!(text.contains(from), "{text}");
    text.replace(from, to).into_bytes()
}

// man: mimicryd(8) "makes a mail again as it came, octet for octet, if a rule of"
// man: mimicryd(8) "holds the mail as it was delivered;"
// man: mimicryd(8) "If the result has not the hash that the field names, or what came is not in the mail any more, nothing is written; the reason is shown, and the exit status is 65."
#[test]
fn what_the_next_hop_got_is_made_again_as_it_came() {
    let world = World::new(Setup {
        rules: RULES,
        ..Setup::default()
    });
    let got = world.pass(PLAIN);
    assert!(contains(&got, b"Message-Instance: m=1;") && contains(&got, b"-- us"));
    let delivered = [
        b"Return-Path: <anna@example.org>\r\nReceived: by mx\r\n",
        &*got,
    ]
    .concat();
    let directory = Directory::new();
    let restore = |mail: &[u8], more: &[&str]| {
        directory.file("got.eml", mail);
        let args = [&["restore", "got.eml"], more].concat();
        run(directory.path(), &args, b"")
    };
    let in_lf = replaced(&delivered, "\r\n", "\n");
    for mail in [&got, &delivered, &in_lf] {
        let ran = restore(mail, &["-o", "-"]);
        assert_eq!((ran.code, ran.out.as_slice()), (0, PLAIN), "{}", ran.err);
    }
    let shown = restore(&got, &[]);
    assert!(shown.text().contains("as it came") && shown.text().contains("text/plain"));
    let by_pipe = run(directory.path(), &["restore", "-", "-o", "-"], &got);
    assert_eq!(by_pipe.out, PLAIN, "{}", by_pipe.err);
    for (mail, code, said) in [
        (
            replaced(&got, "Message-Instance", "X-Instance"),
            65,
            "no Message-Instance field",
        ),
        (replaced(&got, "m=1;", "m=3;"), 65, "broken"),
        (
            replaced(&got, "Subject: ", "Subject: Re: "),
            65,
            "fields below it were changed",
        ),
        (replaced(&got, "mimicry_h=", "x="), 65, "octet for octet"),
    ] {
        let ran = restore(&mail, &["-o", "out.eml"]);
        assert!(
            ran.code == code && ran.err.contains(said),
            "{said}: {}",
            ran.err
        );
        assert!(!directory.path().join("out.eml").exists());
    }
    for (args, code) in [
        (&["restore", "got.eml", "--deliver"][..], 64),
        (&["restore", "nothing.eml"], 74),
        (&["restore", "cafe"], 64),
        (&["restore", "./cafe"], 74),
    ] {
        assert_eq!(run(directory.path(), args, b"").code, code, "{args:?}");
    }
}

const KEY: &str = "mimicry-plugins/tests/keys/rsa.pem";

// man: mimicry-plugins(7) "what such a rule removes after it, nobody can make again, and there is a warning."
#[test]
fn a_rule_that_acts_after_it_is_warned_of() {
    let directory = Directory::new();
    let key = std::fs::read(crate::harness::root().join(KEY)).expect("a key of the tests");
    directory.file("s1.pem", key);
    let path = directory.path().join("s1.pem");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, mode).expect("our own file");
    let rule = |plugin: &str| {
        let more = match plugin {
            "dkim_sign" => {
                "match.client = \"127.0.0.0/8\"\noptions.keys = { \"example.org\" = \"s1.pem\" }\n"
            }
            "arc_seal" => {
                "options = { keys = { \"example.org\" = \"s1.pem\" }, trusted_authserv = \"mx.example.org\" }\n"
            }
            "disclaim" => "options = { text = \"us\", html = \"<p>us</p>\" }\n",
            "header" => "options.delete = [\"X-A\"]\n",
            _ => "",
        };
        format!("[[rule]]\nname = \"{plugin}\"\nplugin = \"{plugin}\"\n{more}")
    };
    for (plugins, warned) in [
        (&["message_instance"][..], ""),
        (&["dkim_sign", "arc_seal", "message_instance"], ""),
        // Those that edit come first in any order.
        (&["message_instance", "disclaim", "header"], ""),
        (&["message_instance", "dkim_sign"], "dkim_sign"),
        (&["disclaim", "message_instance", "arc_seal"], "arc_seal"),
        (&["dkim_sign", "message_instance", "arc_seal"], "arc_seal"),
    ] {
        let rules: String = plugins.iter().map(|plugin| rule(plugin)).collect();
        directory.file("m.toml", &rules);
        let ran = run(
            directory.path(),
            &["check", "--offline", "-c", "m.toml"],
            b"",
        );
        assert_eq!(ran.code, 0, "{}", ran.err);
        let said = "this rule acts after one that says how the mail as it came is made again";
        assert_eq!(
            ran.err.matches(said).count(),
            usize::from(!warned.is_empty()),
            "{plugins:?}: {}",
            ran.err
        );
        if !warned.is_empty() {
            let place = rules
                .find(&format!("plugin = \"{warned}\""))
                .expect("it is there");
            let line = rules[..place].lines().count() + 1;
            assert!(ran.err.contains(&format!("m.toml:{line}:")), "{}", ran.err);
            assert!(
                ran.err
                    .contains("put it above \"message_instance\" on line "),
                "{}",
                ran.err
            );
        }
    }
}

/// Why there is that warning: a broken signature of the own domain is gone from what the recipe speaks of.
#[test]
fn what_is_removed_after_the_recipe_cannot_be_made_again_and_before_it_can() {
    let directory = Directory::new();
    let key = std::fs::read(crate::harness::root().join(KEY)).expect("a key of the tests");
    let path = directory.file("s1.pem", key);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).expect("our own file");
    let sign = format!(
        "[[rule]]\nname = \"sign\"\nplugin = \"dkim_sign\"\nmatch.client = \"127.0.0.0/8\"\noptions.keys = {{ \"example.org\" = {:?} }}\n",
        path.display().to_string()
    );
    let signed = {
        let world = World::new(Setup {
            rules: &sign,
            ..Setup::default()
        });
        world.pass(PLAIN)
    };
    assert!(contains(&signed, b"DKIM-Signature:"));
    let (footer, instance) = RULES.split_at(RULES.rfind("[[rule]]").expect("two rules"));
    for (rules, can) in [
        ([footer, &sign, instance].concat(), true),
        ([footer, instance, &sign].concat(), false),
    ] {
        let world = World::new(Setup {
            rules: &rules,
            ..Setup::default()
        });
        let got = world.pass(&signed);
        directory.file("got.eml", &got);
        let ran = run(directory.path(), &["restore", "got.eml", "-o", "-"], b"");
        assert_eq!(ran.code == 0 && ran.out == signed, can, "{}", ran.err);
        assert_eq!(ran.code, if can { 0 } else { 65 }, "{}", ran.err);
    }
}
