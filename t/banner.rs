//! The banner as an outsider attacks it: marks that are forged, and mail that tries to be read without it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use mimicry_core::message::compose::fnv1a;
use nix::sys::signal::Signal;

use crate::harness::contains;
use crate::harness::daemon::{OWN_SOCKET, Setup, World};

const RULE: &str = r#"
[[rule]]
name = "external mail"
plugin = "banner"

[rule.options]
text = "This mail came from outside: open links with care."
html = "<p>This mail came from outside: open links with care.</p>"
own_domains = ["example.org"]
"#;
const WARNING: &str = "This mail came from outside: open links with care.";

fn world() -> World {
    World::new(Setup {
        rules: RULE,
        shell: OWN_SOCKET,
        ..Setup::default()
    })
}

/// What becomes of a mail with these fields, from outside.
fn comes_in(world: &World, head: &str, body: &str) -> String {
    passes(world, "bob@example.net", "anna@example.org", head, body)
}

/// What becomes of HTML on its way out.
fn goes_out(world: &World, html: &str) -> String {
    let head = "Content-Type: text/html; charset=utf-8\r\n";
    let mail = passes(world, "anna@example.org", "bob@example.net", head, html);
    let (_, body) = mail.split_once("\r\n\r\n").expect("a body");
    body.trim_end().to_string()
}

fn passes(world: &World, from: &str, to: &str, head: &str, body: &str) -> String {
    let message = format!(
        "From: {from}\r\nTo: {to}\r\nSubject: s\r\nMIME-Version: 1.0\r\n{head}\r\n{body}\r\n"
    );
    let reply = world.client().mail(from, &[to], message.as_bytes());
    assert!(reply.is_done(), "{reply}");
    String::from_utf8(world.untraced(&world.hop.only_mail())).expect("UTF-8")
}

/// The element that HTML from outside gets.
fn banner(world: &World) -> String {
    let head = "Content-Type: text/html; charset=utf-8\r\n";
    let mail = comes_in(world, head, "<p>Q</p>");
    let (_, body) = mail.split_once("\r\n\r\n").expect("a body");
    let (element, _) = body.split_once("\r\n<p>Q</p>").expect("the mail's own");
    element.trim().to_string()
}

/// A key made so many days ago.
fn key(days: u64, letter: char) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let made = now.as_secs() - days * 24 * 3600;
    format!("{made} {}\n", letter.to_string().repeat(64))
}

// T184
// man: mimicry-plugins(7) "Without a valid seal nothing is removed."
#[test]
fn words_of_an_outsider_stay_however_they_are_marked() {
    let world = world();
    let words = "I hereby agree to the price.";
    let hash = |text: &str| {
        let octets = text
            .split_whitespace()
            .flat_map(|word| word.bytes().chain([b' ']));
        format!("{:016x}", fnv1a(octets, 0))
    };
    // As it was made before there were keys.
    let mark = format!("mimicry-{:016x}", fnv1a("external mail".bytes(), 0));
    let forged = format!("<div class=\"{mark}-{}\"><p>{words}</p></div>", hash(words));
    let genuine = banner(&world);
    assert!(genuine.starts_with("<div class=\"k"), "{genuine}");
    let inserted = |what: &str| genuine.replace("</p>", &format!("</p>{what}"));
    for html in [
        forged,
        // What was not in it when it was sealed.
        inserted(words),
        inserted("&lt;I &lt;hereby &lt;agree"),
        inserted("<img src=\"cid:words\">"),
        inserted("<b style=\"background:url(cid:words)\"></b>"),
        inserted("<table background=\"cid:words\"></table>"),
        inserted("<!--[if mso]><p>I hereby agree.</p><![endif]-->"),
        inserted("<input value=\"I hereby agree\">"),
        inserted("<style>p::before{content:\"I hereby agree\"}</style>"),
        inserted("<svg><text>I hereby agree</text></svg>"),
        genuine.replace(WARNING, words),
        genuine.replace(">Q</div>", &format!(">{words}</div>")),
        genuine.replace("<div class=\"k", "<div class=\"k0"),
    ] {
        let html = format!("{html}<p>Q</p>");
        assert_eq!(goes_out(&world, &html), html);
    }
    assert_eq!(goes_out(&world, &format!("{genuine}<p>Q</p>")), "<p>Q</p>");
    // What an outsider chose to be the hidden line does not vanish where it is to be seen.
    let line = "<div>Q</div>";
    let start = genuine.find("<div class=\"h").expect("a hidden line");
    let hidden = &genuine[start..genuine.find(">Q</div>").expect("its words")];
    let class = hidden.split('"').nth(1).expect("its class");
    let shown = genuine.replace(hidden, &format!("<div class=\"{class}\""));
    let left = goes_out(&world, &format!("{shown}<p>Q</p>"));
    assert_eq!(
        left.replace(&format!(" class=\"{class}\""), ""),
        format!("{line}<p>Q</p>")
    );
}

// T184
// man: mimicryd(8) "Start and reload use the existing key."
#[test]
fn the_key_outlives_reload_and_restart() {
    let mut world = world();
    let before = banner(&world);
    let path = world.daemon().directory.path().join("spool/seal.keys");
    let content = fs::read_to_string(&path).expect("the keys");
    let mode = fs::metadata(&path).expect("the keys").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let secret = content.split_whitespace().last().expect("a key");
    assert_eq!(secret.len(), 64);
    // The same mail has the same class.
    assert_eq!(banner(&world), before);
    world.daemon().signal(Signal::SIGTERM);
    world.daemon().ends();
    world.daemon().start_again();
    assert_eq!(banner(&world), before);
    reload(&mut world);
    assert_eq!(banner(&world), before);
    let quoted = format!("<p>Yes.</p><blockquote>{before}<p>Q</p></blockquote>");
    assert_eq!(
        goes_out(&world, &quoted),
        "<p>Yes.</p><blockquote><p>Q</p></blockquote>"
    );
    assert_eq!(fs::read_to_string(&path).expect("the keys"), content);
    // No part of it is told to anybody.
    let told = format!("{}{}", world.daemon().log(), world.daemon().said());
    assert!(!told.contains(&secret[..16]), "{told}");
    let explained = world.daemon().command(&["check"]);
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&explained.out),
        explained.err
    );
    assert!(
        !told.contains(&secret[..16]) && !told.contains("seal"),
        "{told}"
    );
    // Without access to it all else works, and says so.
    fs::remove_file(&path).expect("the keys");
    let checked = world.daemon().command(&["check"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(
        checked
            .err
            .contains("seal.keys is not there or may not be read"),
        "{}",
        checked.err
    );
    assert!(!path.exists());
}

// T184
// man: mimicryd(8) "The old key then makes no more seals, but is accepted for another 90 days"
#[test]
fn old_keys_are_honoured_for_a_while() {
    let shell = format!("umask 077; echo '{}' > shared; {OWN_SOCKET}", key(200, 'a'));
    let mut world = World::new(Setup {
        rules: RULE,
        daemon: "seal_key_file = \"shared\"\n",
        shell: &shell,
        errors: &["configuration refused"],
        ..Setup::default()
    });
    let path = world.daemon().directory.path().join("shared");
    let old = banner(&world);
    let answer = |banner: &str| format!("<blockquote>{banner}<p>Q</p></blockquote>");
    let without = answer("");
    assert_eq!(goes_out(&world, &answer(&old)), without);
    fs::write(&path, key(10, 'b') + &key(200, 'a')).expect("the keys");
    reload(&mut world);
    let new = banner(&world);
    assert_ne!(new, old);
    assert_eq!(goes_out(&world, &answer(&old)), without);
    assert_eq!(goes_out(&world, &answer(&new)), without);
    // The next one took its place 100 days ago.
    let keys = key(200, 'a') + &key(100, 'b');
    fs::write(&path, &keys).expect("the keys");
    reload(&mut world);
    assert_eq!(banner(&world), new);
    assert_eq!(goes_out(&world, &answer(&new)), without);
    assert_eq!(goes_out(&world, &answer(&old)), answer(&old));
    // Such a file is nobody else's, and the master does not write to it.
    assert_eq!(fs::read_to_string(&path).expect("the keys"), keys);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
    let refused = world.daemon().command(&["reload"]);
    assert_eq!(refused.code, 78, "{}", refused.err);
    assert!(refused.err.contains("mode 0644"), "{}", refused.err);
    assert_eq!(banner(&world), new);
}

fn reload(world: &mut World) {
    let done = world.daemon().command(&["reload"]);
    assert_eq!(done.code, 0, "{}", done.err);
}

// T185
#[test]
fn mail_that_tries_to_be_read_without_it() {
    let world = world();
    let html = "Content-Type: text/html; charset=utf-8\r\n";
    for (head, body) in [
        ("Content-Type: text/plain; name=a.txt\r\n", "x"),
        ("Content-Type: text/enriched\r\n", "x"),
        ("Content-Type: message/rfc822\r\n", "Subject: x\r\n\r\nx"),
        (
            "Content-Type: multipart/form-data; boundary=b\r\n",
            "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--",
        ),
        (
            "Content-Type: text/html; charset=utf-8\r\nList-Id: <a.example>\r\n",
            "x",
        ),
        (
            "Content-Type: text/html; charset=utf-8\r\nPrecedence: bulk\r\nAuto-Submitted: auto-replied\r\n",
            "x",
        ),
        (html, "<!--\r\n-----BEGIN PGP MESSAGE-----\r\n--><p>x</p>"),
        (html, "<style>*{display:none!important}</style><p>x</p>"),
        ("Content-Type: multipart/mixed\r\n", "<p>x</p>"),
        ("Content-Type: multipart/mixed\r\n", "--b\r\n\r\nx\r\n--b--"),
        (html, "<template shadowroot=open>y</template><p>x</p>"),
        (html, "<div style=\"display:none\"><body>x"),
    ] {
        let mail = comes_in(&world, head, body);
        assert!(contains(mail.as_bytes(), WARNING.as_bytes()), "{mail}");
    }
    // Ours is the first style sheet, and the body has the shadow root that we gave it.
    let mail = comes_in(
        &world,
        html,
        "<style>*{}</style><template shadowrootmode=open>x",
    );
    let place = |what: &str| mail.find(what).unwrap_or_else(|| panic!("{what}: {mail}"));
    assert!(place("@layer{") < place("<style>*"), "{mail}");
    assert!(place("<template shadowrootmode=\"closed\">") < place("<div class=\"k"));
    assert!(place(WARNING) < place("<template shadowrootmode=open>"));
    // It is seen whatever the mail says, before anything of the mail's own.
    let mail = comes_in(&world, html, "<div style=\"display:none\"><body>x");
    let (_, body) = mail.split_once("\r\n\r\n").expect("a body");
    let own = body.find("<div style=\"display:none\">").expect("its own");
    assert!(body.find(WARNING).is_some_and(|at| at < own), "{body}");
    assert!(body.contains("display:block!important"), "{body}");
    assert!(!body.contains("mimicry-"), "{body}");
}
