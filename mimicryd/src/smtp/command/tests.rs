//! Command lines: what is understood of each, or the start of the reply to it. Tests of more than 80 lines are tables of cases.

use proptest::prelude::*;

use super::*;

/// In one line: `MAIL <path> [params] size`, or the code of the fault.
fn shown(line: &[u8]) -> String {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match Command::parse(line) {
        Ok(Command::Mail(mail)) => {
            let size = mail.size.map(|size| format!(" {size}")).unwrap_or_default();
            format!("MAIL <{}> [{}]{size}", text(mail.path), text(mail.params))
        }
        Ok(Command::Rcpt(rcpt)) => {
            format!("RCPT <{}> [{}]", text(rcpt.path), text(rcpt.params))
        }
        Ok(Command::Hello(greeting, name)) => format!("{greeting:?} {}", text(name)),
        Ok(other) => format!("{other:?}"),
        Err(fault) => fault
            .reply()
            .to_string()
            .split(' ')
            .take(2)
            .collect::<Vec<_>>()
            .join(" "),
    }
}

#[test]
fn verbs() {
    for (line, expected) in [
        ("EHLO client.example.org", "Ehlo client.example.org"),
        ("ehlo [127.0.0.1]", "Ehlo [127.0.0.1]"),
        ("HELO my_host ", "Helo my_host"),
        ("LHLO [IPv6:::1]", "Lhlo [IPv6:::1]"),
        ("EHLO", "501 5.5.4"),
        ("EHLO ", "501 5.5.4"),
        ("EHLO two names", "501 5.5.4"),
        ("EHLO a(b)", "501 5.5.4"),
        ("EHLO a\tb", "501 5.5.4"),
        ("EHLO <a>", "501 5.5.4"),
        ("EHLO ü", "501 5.5.4"),
        (
            &format!("EHLO {}", "x".repeat(255)),
            &format!("Ehlo {}", "x".repeat(255)),
        ),
        (&format!("EHLO {}", "x".repeat(256)), "501 5.5.4"),
        ("DATA", "Data"),
        ("data  ", "Data"),
        ("DATA x", "501 5.5.4"),
        ("RSET", "Rset"),
        ("RSET x", "501 5.5.4"),
        ("QUIT", "Quit"),
        ("QUIT now", "501 5.5.4"),
        ("NOOP", "Noop"),
        ("NOOP x y", "Noop"),
        ("HELP MAIL", "Help"),
        ("VRFY postmaster", "Vrfy"),
        ("VRFY", "501 5.5.4"),
        ("EXPN list", "Expn"),
        ("BDAT 5 LAST", "Bdat"),
        ("XCLIENT NAME=x", "Xclient"),
        ("STARTTLS", "StartTls"),
        ("STARTTLS x", "501 5.5.4"),
        ("AUTH PLAIN x", "NotSpoken"),
        ("xforward NAME=x ", "Xforward([78, 65, 77, 69, 61, 120])"),
        ("BURL imap://x LAST", "NotSpoken"),
        ("TURN", "NotSpoken"),
        ("", "Unknown"),
        (" QUIT", "Unknown"),
        ("QUITX", "Unknown"),
        ("QUIT\tx", "501 5.5.4"),
        ("QUIT\t", "Quit"),
        ("ÜBER", "Unknown"),
        ("GET / HTTP/1.1", "Foreign"),
        ("post /x HTTP/1.1", "Foreign"),
        ("CONNECT x:25 HTTP/1.1", "Foreign"),
        ("PRI * HTTP/2.0", "Foreign"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2", "Foreign"),
    ] {
        assert_eq!(shown(line.as_bytes()), expected, "{line:?}");
    }
}

/// What stands between the brackets, and is it a path?
const PATHS: &[(&str, bool)] = &[
    ("a@example.org", true),
    ("a.b+c=d@sub.example.org", true),
    ("!#$%&'*+-/=?^_`{|}~@example.org", true),
    ("a@b", true),
    ("a@example.org.", true),
    ("a@under_score.example.org", true),
    ("a@-x-.example.org", true),
    // in the world, if not in the standard
    (".a..b.@example.org", true),
    ("root", true),
    ("postmaster", true),
    ("Postmaster", true),
    // RFC 5321 section 4.1.2: quoted
    ("\"a b\"@example.org", true),
    ("\"a\\\"b\"@example.org", true),
    ("\"a>b\"@example.org", true),
    ("\"a@b\"@example.org", true),
    ("\"\\\\\"@example.org", true),
    ("\"\"@example.org", true),
    ("\"a\\\"@example.org", false),
    ("\"a@example.org", false),
    ("\"a\"b@example.org", false),
    ("a\"b\"@example.org", false),
    ("\"a\tb\"@example.org", false),
    ("\"a\\\tb\"@example.org", false),
    // section 4.1.3: literals
    ("a@[192.0.2.1]", true),
    ("a@[IPv6:2001:db8::1]", true),
    ("a@[ipv6:::ffff:192.0.2.1]", true),
    ("a@[x-tag:content]", true),
    // by the grammar, 2001 is a tag
    ("a@[2001:db8::1]", true),
    ("a@[192.0.2]", false),
    ("a@[192.0.2.256]", false),
    ("a@[IPv6:xyz]", false),
    ("a@[]", false),
    ("a@[192.0.2.1", false),
    ("a@[192.0.2.1]x", false),
    ("a@[x-:y]", false),
    ("a@[x:]", false),
    ("a@[x:y\\]", false),
    // source routes
    ("@one:a@example.org", true),
    ("@one,@two.example:a@example.org", true),
    ("@one,two:a@example.org", false),
    ("@one,:a@example.org", false),
    ("@one a@example.org", false),
    ("@one:", false),
    ("@:a@example.org", false),
    ("@example.org", false),
    // broken
    ("@", false),
    ("a@", false),
    ("a@.", false),
    ("a@.example.org", false),
    ("a@b..c", false),
    ("a@b@c", false),
    ("a b@example.org", false),
    (" a@example.org", false),
    ("a@example.org ", false),
    ("a@exam ple.org", false),
    ("a<b@example.org", false),
    ("<a@example.org>", false),
    ("a(c)@example.org", false),
    ("a,b@example.org", false),
    ("a:b@example.org", false),
    ("a;b@example.org", false),
    ("a\\b@example.org", false),
    ("a\tb@example.org", false),
    ("a\x7f@example.org", false),
    ("a@example.org\x1b", false),
    // SMTPUTF8: whether it was asked for is the session's question
    ("ü@example.org", true),
    ("a@exämple.org", true),
    ("\"ü ö\"@example.org", true),
    ("\"\\ü\"@example.org", false),
    ("a\u{85}@example.org", false),
];

#[test]
fn paths() {
    for (path, is_path) in PATHS {
        for (command, name, fault) in [
            ("MAIL FROM:", "MAIL", "501 5.1.7"),
            ("RCPT TO:", "RCPT", "501 5.1.3"),
        ] {
            let line = format!("{command}<{path}>");
            let expected = if *is_path {
                format!("{name} <{path}> []")
            } else {
                fault.to_owned()
            };
            assert_eq!(shown(line.as_bytes()), expected, "{line:?}");
        }
    }
    for line in [
        &b"MAIL FROM:<\xff@example.org>"[..],
        b"MAIL FROM:<a@\xc3>",
        b"MAIL FROM:<\"\xc3\"@x>",
    ] {
        assert_eq!(shown(line), "501 5.1.7");
    }
}

#[test]
fn mail_and_rcpt() {
    let long = format!("{}@example.org", "x".repeat(1000));
    for (line, expected) in [
        ("MAIL FROM:<>", "MAIL <> []"),
        ("mail from:<a@b>", "MAIL <a@b> []"),
        ("MAIL FROM: <a@b>", "MAIL <a@b> []"),
        ("MAIL  FROM:<a@b>  ", "MAIL <a@b> []"),
        (&format!("MAIL FROM:<{long}>"), &format!("MAIL <{long}> []")),
        ("MAIL", "501 5.5.4"),
        ("MAIL FROM", "501 5.5.4"),
        ("MAIL FROM :<a@b>", "501 5.5.4"),
        ("MAIL TO:<a@b>", "501 5.5.4"),
        ("MAIL FROM:", "501 5.1.7"),
        // T204: as Postfix takes them
        ("MAIL FROM:a@b", "MAIL <a@b> []"),
        ("MAIL FROM:a@b SIZE=1", "MAIL <a@b> [SIZE=1] 1"),
        ("MAIL\tFROM:\t<a@b>\t", "MAIL <a@b> []"),
        ("RCPT TO:a@b", "RCPT <a@b> []"),
        ("RCPT TO:root", "RCPT <root> []"),
        ("MAIL FROM:<", "501 5.1.7"),
        ("MAIL FROM:<a@b SIZE=1", "501 5.1.7"),
        ("MAIL FROM:@one:a@b", "501 5.1.7"),
        ("MAIL FROM:<a@b", "501 5.1.7"),
        ("MAIL FROM:a@b>", "501 5.1.7"),
        ("MAIL FROM:<a@b>x", "501 5.1.7"),
        ("MAIL FROM:<a@b><c@d>", "501 5.1.7"),
        ("MAIL FROM:<a@b>\tSIZE=1", "MAIL <a@b> [SIZE=1] 1"),
        ("MAIL FROM:A <a@b>", "501 5.5.4"),
        ("RCPT TO:<a@b>", "RCPT <a@b> []"),
        ("RCPT TO:<>", "501 5.1.3"),
        ("RCPT TO:", "501 5.1.3"),
        ("RCPT TO:< >", "501 5.1.3"),
        ("RCPT FROM:<a@b>", "501 5.5.4"),
        ("RCPT", "501 5.5.4"),
    ] {
        assert_eq!(shown(line.as_bytes()), expected, "{line:?}");
    }
}

#[test]
fn parameters_are_kept_verbatim_and_checked() {
    let envid = "x".repeat(100);
    let orcpt = format!("rfc822;{}", "x".repeat(493));
    for (command, params, expected) in [
        ("MAIL", "SIZE=1000", "1000"),
        ("MAIL", "size=0 body=8bitmime", "0"),
        ("MAIL", "SIZE=18446744073709551615", "18446744073709551615"),
        // T58
        ("MAIL", "SIZE=18446744073709551617", "501"),
        ("MAIL", "SIZE=99999999999999999999999", "501"),
        ("MAIL", "SIZE=000000000000000000000", "501"),
        ("MAIL", "SIZE=abc", "501"),
        ("MAIL", "SIZE=-1", "501"),
        ("MAIL", "SIZE=+1", "501"),
        ("MAIL", "SIZE=1 SIZE=1", "501"),
        ("MAIL", "SIZE=", "501"),
        ("MAIL", "SIZE", "501"),
        ("MAIL", "BODY=7BIT", ""),
        ("MAIL", "BODY=BINARYMIME", "501"),
        ("MAIL", "BODY", "501"),
        ("MAIL", "SMTPUTF8", ""),
        ("MAIL", "SMTPUTF8=yes", "501"),
        ("MAIL", "RET=FULL ENVID=QQ314159", ""),
        ("MAIL", "RET=HDRS  AUTH=<>", ""),
        ("MAIL", "AUTH=e+3Dmc2@example.org", ""),
        ("MAIL", "RET=NONE", "501"),
        ("MAIL", &format!("ENVID={envid}"), ""),
        // T204: nobody holds clients to 100 and 500 octets
        ("MAIL", &format!("ENVID={envid}x"), ""),
        ("MAIL", "ENVID=a+2Bb+2bb", ""),
        // T37-45: what xtext hides
        ("MAIL", "ENVID=a+0D+0Ab", "501"),
        ("MAIL", "ENVID=a+0ab", "501"),
        ("MAIL", "ENVID=a+00", "501"),
        ("MAIL", "ENVID=a+7F", "501"),
        ("MAIL", "ENVID=a+", "501"),
        ("MAIL", "ENVID=a+2", "501"),
        ("MAIL", "ENVID=a+2G", "501"),
        ("MAIL", "ENVID=a=b", "501"),
        ("MAIL", "ENVID=\x01", "501"),
        ("MAIL", "ENVID=a\tb", "555"),
        ("MAIL", "ENVID=ü", "501"),
        ("MAIL", "AUTH=a+0Ab", "501"),
        // T59
        ("MAIL", "FOO=bar", "555"),
        ("MAIL", "FOO", "555"),
        ("MAIL", "X-Y=1 X-Y=1", "555"),
        ("MAIL", "NOTIFY=NEVER", "555"),
        ("MAIL", "HOLDFOR=5", "555"),
        ("MAIL", "-FOO=bar", "501"),
        ("MAIL", "FO_O=bar", "501"),
        ("MAIL", "=bar", "501"),
        ("MAIL", "FOO=a=b", "501"),
        ("RCPT", "NOTIFY=NEVER", ""),
        (
            "RCPT",
            "NOTIFY=SUCCESS,failure,DELAY ORCPT=rfc822;a+2Bb@example.org",
            "",
        ),
        ("RCPT", "NOTIFY=NEVER,DELAY", "501"),
        ("RCPT", "NOTIFY=DELAY,", "501"),
        ("RCPT", "NOTIFY=", "501"),
        ("RCPT", "NOTIFY=NEVER NOTIFY=NEVER", "501"),
        ("RCPT", &format!("ORCPT={orcpt}"), ""),
        ("RCPT", &format!("ORCPT={orcpt}x"), ""),
        ("RCPT", "ORCPT=rfc822", "501"),
        ("RCPT", "ORCPT=rfc822;", "501"),
        ("RCPT", "ORCPT=;a", "501"),
        ("RCPT", "ORCPT=rfc(822;a@b", "501"),
        ("RCPT", "ORCPT=rfc822;a+0D+0ARCPT", "501"),
        ("RCPT", "ORCPT=rfc822;ü@b", "501"),
        ("RCPT", "ORCPT=utf-8;ü@b", ""),
        ("RCPT", "ORCPT=utf-8;\\x{FC}@b", ""),
        ("RCPT", "ORCPT=utf-8;ü+0A@b", "501"),
        ("RCPT", "ORCPT=utf-8;\u{85}@b", "501"),
        ("RCPT", "SIZE=1", "555"),
        ("RCPT", "FOO=bar", "555"),
    ] {
        let (line, name) = match command {
            "MAIL" => (format!("MAIL FROM:<a@b> {params} "), "MAIL"),
            _ => (format!("RCPT TO:<a@b> {params} "), "RCPT"),
        };
        let expected = match expected {
            "501" => "501 5.5.4".to_owned(),
            "555" => "555 5.5.4".to_owned(),
            "" => format!("{name} <a@b> [{params}]"),
            size => format!("{name} <a@b> [{params}] {size}"),
        };
        assert_eq!(shown(line.as_bytes()), expected, "{line:?}");
    }
    assert_eq!(shown(b"RCPT TO:<a@b> ORCPT=utf-8;\xff@b"), "501 5.5.4");
}

#[test]
fn what_needs_smtputf8() {
    for (line, is_utf8) in [
        ("MAIL FROM:<a@b> SMTPUTF8", false),
        ("MAIL FROM:<ü@b>", true),
        ("RCPT TO:<a@b>", false),
        ("RCPT TO:<a@ü>", true),
        ("RCPT TO:<a@b> ORCPT=utf-8;ü@b", true),
    ] {
        let found = match Command::parse(line.as_bytes()) {
            Ok(Command::Mail(mail)) => mail.is_utf8(),
            Ok(Command::Rcpt(rcpt)) => rcpt.is_utf8(),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, is_utf8, "{line}");
    }
}

#[test]
fn many_parameters_are_read_in_linear_time() {
    let line = format!("MAIL FROM:<a@b>{}", " RET=FULL".repeat(100_000));
    assert_eq!(shown(line.as_bytes()), "501 5.5.4");
}

proptest! {
    /// Whatever comes, what is lent has no octet that could end a line, and stood in the line just so.
    #[test]
    fn nothing_is_smuggled(
        verb in "(MAIL FROM:<|RCPT TO:<|EHLO |mail from: <)",
        tail in proptest::collection::vec(prop_oneof![
            4 => proptest::sample::select(b"a.@>\"\\[]<: =+;".to_vec()),
            1 => any::<u8>(),
        ], 0..40),
    ) {
        let mut line = verb.into_bytes();
        line.extend_from_slice(&tail);
        let lent = match Command::parse(&line) {
            Ok(Command::Mail(mail)) => [mail.path, mail.params],
            Ok(Command::Rcpt(rcpt)) => [rcpt.path, rcpt.params],
            Ok(Command::Hello(_, name)) => [name, b""],
            _ => return Ok(()),
        };
        for octets in lent {
            prop_assert!(!octets.iter().any(u8::is_ascii_control));
            prop_assert!(octets.is_empty() || memchr::memmem::find(&line, octets).is_some());
        }
    }

    /// A path, and what of it was read, do not depend on what follows.
    #[test]
    fn a_path_that_is_read_is_read_again(path in "[a@.\"\\\\:,\\[\\]>ü ]{0,12}") {
        let line = format!("RCPT TO:<{path}>");
        if let Ok(Command::Rcpt(rcpt)) = Command::parse(line.as_bytes()) {
            let again = [b"RCPT TO:<", rcpt.path, b"> NOTIFY=NEVER"].concat();
            let Ok(Command::Rcpt(second)) = Command::parse(&again) else {
                panic!("{again:?}");
            };
            prop_assert_eq!(second.path, rcpt.path);
        }
    }
}
