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
