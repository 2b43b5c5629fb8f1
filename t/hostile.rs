//! Hostile MIME: each mail is delivered or refused for good, within seconds, and the worker lives.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::harness::client::Outcome;
use crate::harness::daemon::{PLAIN, Setup, World};
use crate::harness::{FOOTER, ZIP, contains};

const HEAD: &str = "From: anna@example.org\r\nTo: bob@example.net\r\nMIME-Version: 1.0\r\n";

const WORDS: &[u8] = b"Example Ltd, registered in Exampleton.";

fn both() -> String {
    format!("{FOOTER}{ZIP}")
}

fn with(rules: &str) -> World {
    World::new(Setup {
        rules,
        ..Setup::default()
    })
}

/// Sends a mail; it is delivered or refused for good, within seconds, by a worker that lives.
#[track_caller]
fn survives(world: &mut World, name: &str, message: &[u8]) -> Option<Vec<u8>> {
    let workers = world.daemon().workers();
    let start = Instant::now();
    let outcome = world.attempt(message);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{name} took {:?}",
        start.elapsed()
    );
    let arrived = match outcome {
        Outcome::Accepted(_) => Some(world.untraced(&world.hop.only_mail())),
        Outcome::Refused(_) => {
            assert!(
                world.hop.mails().is_empty(),
                "{name} is refused and delivered"
            );
            None
        }
        Outcome::Kept(reply) => panic!("{name} is deferred: {reply:?}"),
    };
    let left = world.daemon().workers();
    assert!(
        workers.iter().all(|worker| left.contains(worker)),
        "{name} killed a worker"
    );
    world.alive();
    arrived
}

fn nested(depth: usize, kind: &str) -> Vec<u8> {
    let mut text = HEAD.to_string();
    for level in 0..depth {
        let _ = match kind {
            "multipart" => write!(
                text,
                "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
            ),
            _ => write!(text, "Content-Type: message/rfc822\r\n\r\n"),
        };
    }
    text.push_str("\r\ndeep\r\n");
    if kind == "multipart" {
        for level in (0..depth).rev() {
            let _ = write!(text, "--b{level}--\r\n");
        }
    }
    text.into_bytes()
}

// T75
#[test]
fn deep_nesting() {
    let mut world = with(&both());
    for (kind, depth) in [
        ("multipart", 100),
        ("multipart", 5000),
        ("rfc822", 3000),
        ("rfc822", 120_000),
    ] {
        let message = nested(depth, kind);
        let arrived = survives(&mut world, &format!("{kind} {depth}"), &message);
        if let Some(arrived) = arrived.filter(|_| kind == "rfc822") {
            assert!(
                arrived == message || contains(&arrived, WORDS),
                "{kind} {depth}"
            );
        }
    }
}

// T76
#[test]
fn many_of_everything() {
    let mut world = with(&both());
    let parts = format!(
        "{HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        "--b\r\n\r\nx\r\n".repeat(100_000)
    );
    let fields = format!("{HEAD}{}\r\nbody\r\n", "X-A: b\r\n".repeat(20_000));
    let folded = format!("{HEAD}X-A: b\r\n{}\r\nbody\r\n", " c\r\n".repeat(50_000));
    let params = format!(
        "{HEAD}Content-Type: text/plain{}\r\n\r\nbody\r\n",
        "; a=b".repeat(20_000)
    );
    for (name, message) in [
        ("parts", parts),
        ("fields", fields),
        ("folded", folded),
        ("parameters", params),
    ] {
        survives(&mut world, name, message.as_bytes());
    }
}

// T77, T79, T80
#[test]
fn odd_boundaries_and_broken_codings() {
    let mut world = with(&both());
    let near = "--bb\r\n".repeat(2 * 1024 * 1024 / 6);
    let long = "x".repeat(80);
    for (name, kind, body) in [
        (
            "a boundary that begins another",
            "multipart/mixed; boundary=b",
            "--b\r\n\r\none\r\n--bb\r\n\r\ntwo\r\n--b--\r\n",
        ),
        (
            "lines that are nearly boundaries",
            "multipart/mixed; boundary=b",
            near.as_str(),
        ),
        (
            "two boundaries",
            "multipart/mixed; boundary=a; boundary=b",
            "--a\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--a--\r\n--b--\r\n",
        ),
        (
            "a boundary in sections",
            "multipart/mixed; boundary*0=a; boundary*1=b",
            "--ab\r\n\r\none\r\n--ab--\r\n",
        ),
        (
            "an encoded boundary",
            "multipart/mixed; boundary==?utf-8?q?b?=",
            "--b\r\n\r\none\r\n--b--\r\n",
        ),
        (
            "a boundary behind comments",
            "multipart/mixed; ((c)) boundary=b",
            "--b\r\n\r\none\r\n--b--\r\n",
        ),
        (
            "a broken parameter before it",
            "multipart/mixed; a=\"b; boundary=b",
            "--b\r\n\r\none\r\n--b--\r\n",
        ),
        (
            "an empty boundary",
            "multipart/mixed; boundary=\"\"",
            "--\r\n\r\none\r\n----\r\n",
        ),
        (
            "a boundary too long",
            &format!("multipart/mixed; boundary={long}"),
            &format!("--{long}\r\n\r\none\r\n--{long}--\r\n"),
        ),
        (
            "no close",
            "multipart/mixed; boundary=b",
            "--b\r\n\r\none\r\n",
        ),
        (
            "no boundary",
            "multipart/mixed",
            "--b\r\n\r\none\r\n--b--\r\n",
        ),
        (
            "text behind the close",
            "multipart/mixed; boundary=b",
            "--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n",
        ),
        (
            "a boundary amid base64",
            "multipart/mixed; boundary=b",
            "--b\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--b\r\n\r\nREVG\r\n--b--\r\n",
        ),
        (
            "broken base64",
            "text/plain\r\nContent-Transfer-Encoding: base64",
            "QUJ*RE=VG!\r\n=\r\n",
        ),
        (
            "broken quoted-printable",
            "text/plain\r\nContent-Transfer-Encoding: quoted-printable",
            "a=\r\n=4\r\n=ZZ=\r\n",
        ),
        (
            "uuencoded",
            "text/plain\r\nContent-Transfer-Encoding: x-uuencode",
            "begin 644 a\r\n#86)C\r\nend\r\n",
        ),
        (
            "yEnc",
            "text/plain\r\nContent-Transfer-Encoding: x-yenc",
            "=ybegin line=128 size=3 name=a\r\n\x7f\r\n=yend\r\n",
        ),
    ] {
        let message = format!("{HEAD}Content-Type: {kind}\r\n\r\n{body}").into_bytes();
        let arrived = survives(&mut world, name, &message);
        // Whatever was added, nothing is missing: a part that cannot be decoded is opaque, never cut short.
        let arrived = arrived.unwrap_or_else(|| panic!("{name} is refused"));
        for line in body.split("\r\n").filter(|line| line.len() > 2).take(50) {
            assert!(
                contains(&arrived, line.as_bytes()),
                "{name}: {line:?} is gone from {}",
                arrived.escape_ascii()
            );
        }
    }
}

// T78
#[test]
fn comments_and_encoded_words_without_end() {
    let mut world = with(&format!(
        "{}[[rule]]\nname = \"looks at all\"\nplugin = \"keep\"\n\
         match = {{ header_sender = 'nobody', header_recipient = 'nobody', header.Subject = 'nobody' }}\n",
        both()
    ));
    for (name, field) in [
        ("open comments", format!("To: {}", "(".repeat(100_000))),
        (
            "nested comments",
            format!("To: {}{}", "(".repeat(50_000), ")".repeat(50_000)),
        ),
        (
            "encoded words",
            format!("Subject: {}", "=?utf-8?q?a?= ".repeat(20_000)),
        ),
        (
            "beginnings of encoded words",
            format!("Subject: {}", "=?".repeat(100_000)),
        ),
        ("addresses", format!("To: {}", "a@b,".repeat(50_000))),
        (
            "a comment in the type",
            format!("Content-Type: text/plain; {}", "(".repeat(60_000)),
        ),
    ] {
        let message = format!("From: anna@example.org\r\n{field}\r\n\r\nbody\r\n");
        survives(&mut world, name, message.as_bytes());
    }
}

// T83
#[test]
fn charsets_that_lie_or_explode() {
    let mut world = with(FOOTER);
    for (charset, body) in [
        ("utf-7", &b"+ADw-script+AD4- +"[..]),
        ("utf-16", b"\xfe\xff\0a\0b"),
        ("utf-16", b"abc"),
        ("iso-2022-jp", b"\x1b$B%F%9%H"),
        ("iso-2022-kr", b"\x1b$)C\x0e"),
        ("x-unknown-charset", b"gr\xfc\xdfe"),
        ("utf-8", b"gr\xfc\xdfe"),
        ("us-ascii", b"gr\xc3\xbc\xc3\x9fe"),
        ("hz-gb-2312", b"~{<:Ky2;S{#"),
    ] {
        let head = format!("{HEAD}Content-Type: text/plain; charset={charset}\r\n\r\n");
        let message = [head.as_bytes(), body, b"\r\n"].concat();
        let arrived = survives(&mut world, charset, &message);
        let arrived = arrived.unwrap_or_else(|| panic!("{charset} is refused"));
        // Text may grow at most fourfold, the disclaimer apart.
        assert!(
            arrived.len() <= message.len() * 4 + 2000,
            "{charset}: {} became {}",
            message.len(),
            arrived.len()
        );
    }
}

// T84
#[test]
fn html_of_angle_brackets() {
    let mut world = with(FOOTER);
    let head = format!("{HEAD}Content-Type: text/html; charset=utf-8\r\n\r\n");
    let line = "<".repeat(900) + "\r\n";
    let message = format!("{head}{}", line.repeat(10 * 1024 * 1024 / line.len()));
    survives(&mut world, "10 MB of <", message.as_bytes());
    let page = "<html><body>\r\n<!-- </body> --><script>'</body>'</script>\r\n<p>text</p>\r\n</body></html>\r\n";
    let message = format!("{head}{page}");
    let arrived =
        survives(&mut world, "body ends in comments", message.as_bytes()).expect("it is delivered");
    let text = String::from_utf8(arrived).expect("text");
    let (words, end) = (
        text.find("Exampleton").expect("the words"),
        text.rfind("</body>").expect("the end"),
    );
    assert!(
        words < end && words > text.find("<p>text</p>").expect("the text"),
        "{text}"
    );
}

// T85
#[test]
fn patterns_take_linear_time() {
    let mut world = with(
        "[[rule]]\nname = \"evil\"\nplugin = \"disclaim\"\nmatch = { header.X-Evil = '^(a+)+(b|c)*(a|aa)+$' }\n\
         options = { text = \"w\", html = \"w\" }\n",
    );
    let message = format!(
        "{HEAD}X-Evil: {}!\r\n\r\nbody\r\n",
        "a".repeat(1024 * 1024 - 1000)
    );
    survives(&mut world, "a megabyte of a", message.as_bytes());
}

// T88
#[test]
fn partial_and_external_bodies_are_only_matched() {
    let rule = "[[rule]]\nname = \"no pieces\"\nplugin = \"ignore_mail\"\nmatch = { type = '^message/(partial|external-body)$' }\n";
    let mut world = with(&format!("{rule}{}", both()));
    for kind in [
        "message/partial; id=\"a@b\"; number=1; total=1",
        "message/external-body; access-type=URL; URL=\"http://127.0.0.1:1/x\"",
    ] {
        let message =
            format!("{HEAD}Content-Type: {kind}\r\n\r\nContent-Type: text/plain\r\n\r\nbody\r\n");
        assert_eq!(
            survives(&mut world, kind, message.as_bytes()).as_deref(),
            Some(message.as_bytes())
        );
    }
    world.daemon().logs("no pieces:");
}

// T82, T157
#[test]
fn nothing_of_a_mail_starts_a_new_line_anywhere() {
    let mut world = with(&both());
    let message = format!(
        "{HEAD}Subject: =?utf-8?q?a=0D=0AX-Evil:_b?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n\
         Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''a%0D%0AX-Evil:%20b.txt\r\n\r\nx\r\n--b\r\n\
         Content-Type: text/csv; name=\"=?utf-8?q?a=0D=0AX-Evil:_b?=\"\r\nContent-Disposition: attachment\r\n\r\ny\r\n--b--\r\n"
    );
    let arrived =
        survives(&mut world, "line ends in names", message.as_bytes()).expect("it is delivered");
    assert!(
        !contains(&arrived, b"\nX-Evil"),
        "{}",
        arrived.escape_ascii()
    );
    // An address may hold what a terminal or a log reader would act on.
    let mut client = world.client();
    let reply = client.mail(
        "\"a status=sent \\\" b\"@example.org",
        &["\"x id=1\"@example.net"],
        PLAIN,
    );
    assert!(reply.is_done(), "{reply}");
    client.quit();
    let log = world.daemon().log();
    assert!(
        log.chars().all(|char| char == '\n' || !char.is_control()),
        "{log}"
    );
    assert!(log.lines().all(|line| line.contains(" mimicryd[")), "{log}");
    assert!(
        !log.contains("text\r\n") && !log.contains("Hello, Bob."),
        "content is in the log: {log}"
    );
}
