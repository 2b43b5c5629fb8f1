//! Trying before going live: `test` with its folder of mails, `explain` for several mails and for a browser.

use std::fs;
use std::path::Path;

use crate::harness::{Directory, FOOTER, Ran, root, run};

const PLAIN: &str =
    "From: anna@example.org\r\nTo: bob@example.net\r\nSubject: plain\r\n\r\nHello, Bob.\r\n";

/// A folder with these mails and the pages beside them.
fn folder(mails: &[(&str, &str, &str)]) -> Directory {
    let directory = Directory::new();
    fs::create_dir(directory.path().join("mails")).expect("a folder");
    directory.file("m.toml", FOOTER);
    for (name, mail, page) in mails {
        directory.file(&format!("mails/{name}.eml"), mail);
        if !page.is_empty() {
            directory.file(&format!("mails/{name}.toml"), page);
        }
    }
    directory
}

fn test(directory: &Directory, more: &[&str]) -> Ran {
    let args = [&["test", "-c", "m.toml", "mails"], more].concat();
    run(directory.path(), &args, b"")
}

// man: mimicryd(8) "A set of twenty mails is in etc/test of the source"
#[test]
fn the_samples_are_as_expected() {
    let config = "etc/test/mimicry.toml";
    let ran = run(root(), &["test", "-c", config, "etc/test"], b"");
    assert_eq!(ran.code, 0, "{}{}", ran.text(), ran.err);
    assert_eq!(ran.text(), "20 mails, 0 not as expected\n");
}

// man: mimicryd(8) "The exit status is 65 if a mail is not as expected"
#[test]
fn what_is_not_as_expected_is_said_and_a_mail_without_a_page_is_no_success() {
    let directory = folder(&[
        (
            "a",
            PLAIN,
            "[[expect]]\nresult = \"changed\"\ncontains = [\"Hello, Bob.\", \"legal\"]\n",
        ),
        (
            "b",
            PLAIN,
            "[[expect]]\nresult = \"unchanged\"\nlacks = [\"Hello\"]\n",
        ),
        ("c", PLAIN, ""),
        ("d", PLAIN, "[[expect]]\nresults = \"changed\"\n"),
        (
            "e",
            "Subject: nobody gets it\r\n\r\nx\r\n",
            "from = \"a@x\"\n",
        ),
    ]);
    fs::write(
        directory.path().join("m.toml"),
        FOOTER.replace("text = \"", "text = \"legal "),
    )
    .expect("a file");
    let ran = test(&directory, &["--junit", "out.xml"]);
    assert_eq!(ran.code, 65, "{}", ran.err);
    let said = ran.text();
    for line in [
        "wrong  mails/b.eml\n    result is changed, expected unchanged\n    \"Hello\" is there\n",
        "wrong  mails/c.eml\n    nothing is expected of it; --record writes what happens today\n",
        "fault  mails/d.eml\n",
        "unknown field `results`",
        "fault  mails/e.eml\n    the mail names no recipient in To or Cc; give --to\n",
        "5 mails, 4 not as expected\n",
    ] {
        assert!(said.contains(line), "{line:?} is not in\n{said}");
    }
    assert!(!said.contains("a.eml"), "{said}");
    let xml = fs::read_to_string(directory.path().join("out.xml")).expect("the file");
    assert!(
        xml.contains("tests=\"5\" failures=\"2\" errors=\"2\""),
        "{xml}"
    );
    // Recorded, all is as expected, and recording once more changes nothing.
    fs::remove_file(directory.path().join("mails/e.eml")).expect("the mail");
    fs::remove_file(directory.path().join("mails/d.toml")).expect("the page");
    let ran = test(&directory, &["--record"]);
    assert!(
        ran.text().ends_with("4 mails, 4 recorded\n"),
        "{}",
        ran.text()
    );
    let ran = test(&directory, &["--record"]);
    assert_eq!(
        ran.text(),
        "4 mails, no mails recorded\n".replace("no mails", "0")
    );
    assert_eq!(test(&directory, &[]).code, 0);
}

// man: mimicryd(8) "shows every mail that the two treat otherwise, and how"
#[test]
fn two_configurations_are_compared() {
    let directory = folder(&[
        ("a", PLAIN, ""),
        ("b", &PLAIN.replace("example.org", "example.com"), ""),
    ]);
    let fewer = FOOTER.replace("(com|org|net)", "(org|net)");
    assert_ne!(fewer, FOOTER);
    directory.file("other.toml", fewer);
    let ran = test(&directory, &["--against", "other.toml"]);
    assert_eq!(ran.code, 65, "{}", ran.err);
    let said = ran.text();
    assert!(
        said.contains("otherwise  mails/b.eml\n    bob@example.net  result: changed → unchanged\n"),
        "{said}"
    );
    assert!(said.contains(": edited → no-match\n"), "{said}");
    assert!(said.ends_with("2 mails, 1 treated otherwise\n"), "{said}");
    let ran = test(&directory, &["--against", "m.toml"]);
    assert_eq!(
        (ran.code, ran.text()),
        (0, "2 mails, 0 treated otherwise\n")
    );
}

// man: mimicryd(8) "Thousands of mails are judged in one run, in as many processes as the machine has processors"
#[test]
fn many_mails_take_one_run() {
    let directory = folder(&[]);
    for number in 0..300 {
        directory.file(
            &format!("mails/{number}.eml"),
            PLAIN.replace("Bob.", &number.to_string()),
        );
    }
    let ran = test(&directory, &["--record"]);
    assert!(
        ran.text().ends_with("300 mails, 300 recorded\n"),
        "{}",
        ran.err
    );
    directory.file(
        "mails/77.eml",
        PLAIN.replace("example.org", "elsewhere.test"),
    );
    let ran = test(&directory, &[]);
    assert!(
        ran.text().ends_with("300 mails, 1 not as expected\n"),
        "{}",
        ran.text()
    );
}

// man: mimicryd(8) "several mails, mailboxes, and folders of them"
#[test]
fn explain_takes_several_mails_and_folders() {
    let directory = folder(&[("a", PLAIN, ""), ("b", PLAIN, "")]);
    let mbox = format!("From x\n{0}\nFrom y\n{0}", PLAIN.replace("\r\n", "\n"));
    directory.file("old.mbox", mbox);
    let explain = |more: &[&str]| {
        let args = [&["explain", "-c", "m.toml"], more].concat();
        let ran = run(directory.path(), &args, b"");
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.text().to_string()
    };
    let heads = |text: &str| {
        let heads = text.lines().filter(|line| line.starts_with("==>"));
        heads.map(String::from).collect::<Vec<_>>()
    };
    let text = explain(&["mails", "old.mbox"]);
    assert_eq!(
        heads(&text),
        [
            "==> mails/a.eml <==",
            "==> mails/b.eml <==",
            "==> old.mbox:1 <==",
            "==> old.mbox:2 <=="
        ]
    );
    let one = explain(&["mails/a.eml"]);
    assert_eq!(heads(&one), [""; 0]);
    assert!(text.contains(&one), "{text}");
    let all: serde_json::Value =
        serde_json::from_str(&explain(&["--json", "mails"])).expect("JSON");
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    let one: serde_json::Value =
        serde_json::from_str(&explain(&["--json", "mails/a.eml"])).expect("JSON");
    assert_eq!(one["classes"], all[0]["classes"]);
}

/// The page of these mails.
fn page(directory: &Directory, mails: &[&str]) -> String {
    let args = [
        &[
            "explain",
            "-c",
            "m.toml",
            "--html",
            "page.html",
            "--from",
            "a@example.org",
            "--to",
            "b@y",
        ],
        mails,
    ]
    .concat();
    let ran = run(directory.path(), &args, b"");
    assert_eq!(ran.code, 0, "{}", ran.err);
    fs::read_to_string(directory.path().join("page.html")).expect("the page")
}

// man: mimicryd(8) "It has no script, loads nothing, and shows each text of a mail in a frame that may do nothing"
#[test]
fn a_page_of_hostile_mails_has_nothing_that_acts() {
    let hostile = "From: \"<script>evil()</script>\" <a@x>\r\nTo: b@y\r\nSubject: </title><img src=x onerror=evil()>\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
        <html><head><base href=https://evil.test/><link rel=dns-prefetch href=//evil.test><meta http-equiv=refresh content='0;url=//evil.test'>\
        <style>@import '//evil.test/a.css'; p { background: u\\72l(//evil.test/b) }</style></head><body onload=evil()>\
        <script src=//evil.test/s.js></script><img src=https://evil.test/p.gif onerror=evil()><p style=\"background:url('//evil.test/c')\">text</p>\
        </iframe></body></html>\"><script>evil()</script><svg onload=evil()><form action=//evil.test><iframe srcdoc='<script>evil()</script>'>\r\n\
        --b\r\nContent-Type: application/octet-stream; name=\"<img src=x onerror=evil()>.txt\"\r\n\r\nx\r\n--b--\r\n";
    let directory = folder(&[("a", hostile, "")]);
    let page = page(&directory, &["mails/a.eml"]);
    let policy = "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:;";
    assert!(page.contains(policy), "{page}");
    // Everything between the frames is ours; what is in a frame is one attribute.
    let mut outside = String::new();
    let mut frames = Vec::new();
    for piece in page.split(" srcdoc=\"") {
        match outside.is_empty() {
            true => outside.push_str(piece),
            false => {
                let (document, rest) = piece.split_once('"').expect("the end of a document");
                frames.push(document.to_string());
                outside.push_str(rest);
            }
        }
    }
    assert!(frames.len() >= 2, "{page}");
    let acts = [
        "<script", "<img", "<link", "<base", "<svg", "<form", "<object", " onerror", " onload",
        "href=", "src=", "http:",
    ];
    for word in acts {
        let outside = outside.replace("referrer content=no-referrer", "");
        let outside = outside
            .replace("&lt;img src=x onerror", "")
            .replace("src=x onerror", "");
        assert!(!without_texts(&outside).contains(word), "{word}: {outside}");
    }
    assert_eq!(outside.matches("<iframe").count(), frames.len());
    assert_eq!(outside.matches("sandbox=\"\"").count(), frames.len());
    for document in frames {
        let document = document
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&");
        for word in [
            "<script",
            "<img src=\"h",
            "<link",
            "<base",
            "<svg",
            "<form",
            "<iframe",
            "onerror=",
            "onload=",
            "url(",
            "@import",
            "refresh",
        ] {
            assert!(!document.contains(word), "{word}: {document}");
        }
    }
}

/// A page without the text of its elements: only tags are left.
fn without_texts(page: &str) -> String {
    let style = page.split("</style>").last().unwrap_or_default();
    let tags = style
        .split('<')
        .skip(1)
        .filter_map(|piece| Some(format!("<{}>", piece.split_once('>')?.0)));
    tags.collect()
}

// man: mimicryd(8) "before and after side by side, the parts, each rule with its reason, the lines of the texts and the octets
// that differ"
#[test]
fn a_page_shows_what_explain_says() {
    let directory = Directory::new();
    directory.file("m.toml", FOOTER);
    let mail = fs::read(root().join("t/mail/alt-plain-html-qp.eml")).expect("a mail");
    directory.file("mail.eml", &mail);
    let page = page(&directory, &["mail.eml"]);
    for piece in [
        "As it came, HTML",
        "As it leaves, HTML",
        "As it leaves, plain",
        "badge changed",
        "<tr class=acted>",
        "<span class=add>+ ",
        "The octets that differ",
    ] {
        assert!(page.contains(piece), "{piece}: {page}");
    }
    let facts = fs::metadata(Path::new(&directory.path().join("page.html"))).expect("the page");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        facts.permissions().mode() & 0o777,
        0o600,
        "there is a mail in it"
    );
}
