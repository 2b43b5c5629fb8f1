//! Dialogues: what a client says and what becomes of it. Each is played as written, and then with all that the client says cut
//! into pieces of each size up to one write, which must change nothing but the time.
//!
//! - `!` how it is set up
//! - `C` the client; CRLF is added, unless the line ends in `\c`
//! - `H` what the next hop answers to RCPTs and messages, in their order; yes, when none is left; `|` between recipients
//! - `S` the start of a line that is said
//! - `F` a recipient goes to the next hop
//! - `M` a message was read
//! - `R` the relay is reset
//! - `O` by what the recipient is judged: client, HELO, name, login
//! - `T` TLS begins
//! - `X` the connection is closed
//!
//! `F` and `M` are left out of dialogues in which they do not matter. The length of this file is that of its table.

use std::collections::VecDeque;

use mimicry_core::config::endpoint::Protocol;
use mimicry_core::config::typed::BareNewline;
use mimicry_core::envelope::{Envelope, Path};
use mimicry_core::origin::Origin;
use mimicry_core::reply::Reply;

use super::data::DataReader;
use super::offer::Offer;
use super::session::{DataPlan, Leave, Replies, Session, Step, Terms, Whose};
use super::wire::{Line, Wire};

const DIALOGUES: &[(&str, &str)] = &[
    (
        "T70 XFORWARD holds for one mail",
        r"
        ! xforward
        S: 220
        C: XFORWARD NAME=x
        S: 550 5.7.1
        C: EHLO proxy
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-SIZE 1000
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-DSN
        S: 250-ENHANCEDSTATUSCODES
        S: 250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE
        C: XFORWARD NAME=spike.example.org ADDR=192.0.2.7
        S: 250 2.0.0
        C: XFORWARD HELO=spike PROTO=ESMTP SOURCE=REMOTE
        S: 250 2.0.0
        C: XFORWARD HELO=spi+0Dke
        S: 501 5.5.4
        C: XFORWARD LOGIN=anna
        S: 501 5.5.4
        C: XFORWARD
        S: 501 5.5.4
        C: MAIL FROM:<a@b>
        S: 250
        C: XFORWARD NAME=other
        S: 503 5.5.1
        C: RCPT TO:<b@c>
        O: 192.0.2.7 spike spike.example.org -
        S: 250
        C: DATA
        S: 354
        C: .
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        O: - proxy - -
        S: 250
        C: RSET
        R:
        S: 250
        C: XFORWARD ADDR=192.0.2.8
        S: 250
        C: RSET
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        O: - proxy - -
        S: 250
        C: RSET
        R:
        S: 250
        C: XFORWARD ADDR=192.0.2.8
        S: 250
        C: MAIL FROM:<a@b> AUTH=anna+2Bx@b
        S: 555 5.5.4
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        O: 192.0.2.8 - - -
        S: 250
        ",
    ),
    (
        "T176 AUTH= of a client that tells of others, and is not believed, is as AUTH=<>",
        r"
        ! auth
        S: 220
        C: EHLO proxy
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-SIZE 1000
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-DSN
        S: 250 ENHANCEDSTATUSCODES
        C: MAIL FROM:<a@b> RET=FULL auth=anna@b BODY=8BITMIME
        S: 250
        C: RCPT TO:<b@c>
        F: <a@b> RET=FULL AUTH=<> BODY=8BITMIME -> <b@c>
        O: - proxy - -
        S: 250
        ",
    ),
    (
        "T176 AUTH= of a client that is believed",
        r"
        ! auth believed
        S: 220
        C: HELO proxy
        S: 250
        C: MAIL FROM:<a@b> AUTH=anna@b
        S: 555 5.5.4
        C: EHLO proxy
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-SIZE 1000
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-DSN
        S: 250 ENHANCEDSTATUSCODES
        C: MAIL FROM:<a@b> AUTH=anna+2Bx@b
        S: 250
        C: RCPT TO:<b@c>
        F: <a@b> AUTH=anna+2Bx@b -> <b@c>
        O: - proxy - anna+x@b
        S: 250
        C: DATA
        S: 354
        C: .
        S: 250
        C: MAIL FROM:<a@b> AUTH=<>
        S: 250
        C: RCPT TO:<b@c>
        F: <a@b> AUTH=<> -> <b@c>
        O: - proxy - -
        S: 250
        C: RSET
        R:
        S: 250
        C: MAIL FROM:<a@b> AUTH=+3C+3E
        S: 250
        C: RCPT TO:<b@c>
        F: <a@b> AUTH=<> -> <b@c>
        O: - proxy - -
        S: 250
        C: RSET
        R:
        S: 250
        C: MAIL FROM:<a@b> AUTH=+C3+28
        S: 250
        C: RCPT TO:<b@c>
        F: <a@b> AUTH=<> -> <b@c>
        O: - proxy - -
        S: 250
        ",
    ),
    (
        "STARTTLS forgets what was said before",
        r"
        ! starttls
        S: 220
        C: STARTTLS
        S: 502 5.5.1
        C: HELO client
        S: 250
        C: STARTTLS
        S: 502 5.5.1
        C: EHLO client
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-SIZE 1000
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-DSN
        S: 250-ENHANCEDSTATUSCODES
        S: 250 STARTTLS
        C: STARTTLS now
        S: 501 5.5.4
        C: MAIL FROM:<a@b>
        S: 250
        C: STARTTLS
        S: 220 2.0.0
        T:
        C: MAIL FROM:<a@b>
        S: 503 5.5.1
        C: EHLO client
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-SIZE 1000
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-DSN
        S: 250 ENHANCEDSTATUSCODES
        C: STARTTLS
        S: 503 5.5.1
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: DATA
        S: 354
        C: .
        M: ESMTPS <a@b> -> <b@c>:
        S: 250
        ",
    ),
    (
        "T1 a mail",
        r"
        S: 220 mx.example.org ESMTP mimicry
        C: EHLO client.example.org
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-SIZE 1000
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-DSN
        S: 250 ENHANCEDSTATUSCODES
        C: MAIL FROM:<a@example.org> SIZE=10
        S: 250 2.1.0
        C: RCPT TO:<b@example.net>
        H: 250 2.1.5 b is welcome
        F: <a@example.org> SIZE=10 -> <b@example.net>
        S: 250 2.1.5 b is welcome
        C: DATA
        S: 354
        C: Subject: x
        C:
        C: ..dot
        C: .
        H: 250 2.0.0 queued as 17
        M: ESMTP <a@example.org> SIZE=10 -> <b@example.net>: Subject: x\r\n\r\n.dot\r\n
        S: 250 2.0.0 queued as 17
        C: QUIT
        S: 221 2.0.0
        X:
        ",
    ),
    (
        "T3 HELO, without extensions",
        r"
        S: 220
        C: HELO client
        S: 250 mx.example.org
        C: MAIL FROM:<a@b> SIZE=10
        S: 555 5.5.4
        C: MAIL FROM:<a@b> SMTPUTF8
        S: 553 5.6.7
        C: MAIL FROM:<a@b>
        S: 250 2.1.0
        C: RCPT TO:<b@c> NOTIFY=NEVER
        S: 555 5.5.4
        C: RCPT TO:<b@c>
        S: 250
        C: DATA
        S: 354
        C: .
        M: SMTP <a@b> -> <b@c>:
        S: 250
        ",
    ),
    (
        "T4 three mails in a session, recipients apart",
        r"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<one@b>
        S: 250
        C: DATA
        S: 354
        C: .
        M: SMTP <a@b> -> <one@b>:
        S: 250
        C: MAIL FROM:<c@d>
        S: 250
        C: RCPT TO:<two@b>
        S: 250
        C: DATA
        S: 354
        C: x
        C: .
        M: SMTP <c@d> -> <two@b>: x\r\n
        S: 250
        C: MAIL FROM:<e@f>
        S: 250
        C: DATA
        S: 503 5.5.1
        C: RCPT TO:<three@b>
        S: 250
        C: DATA
        S: 354
        C: .
        M: SMTP <e@f> -> <three@b>:
        S: 250
        ",
    ),
    (
        "T5 RSET and EHLO clear the transaction and say so",
        r"
        S: 220
        C: RSET
        S: 250 2.0.0
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: RSET
        R:
        S: 250 2.0.0
        C: RSET
        S: 250 2.0.0
        C: RCPT TO:<b@c>
        S: 503 5.5.1
        C: MAIL FROM:<a@b>
        S: 250
        C: HELO d
        R:
        S: 250
        C: DATA
        S: 503 5.5.1
        C: MAIL FROM:<c@d>
        S: 250
        C: RCPT TO:<d@e>
        S: 250
        C: HELO (
        S: 501 5.5.4
        C: RSET now
        S: 501 5.5.4
        C: DATA
        S: 354
        C: .
        M: SMTP <c@d> -> <d@e>:
        S: 250
        C: RSET
        S: 250 2.0.0
        ",
    ),
    (
        "T6 the null return path stays null, T9 odd addresses stay as they are",
        r#"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<>
        S: 250
        C: RCPT TO:<"a > \" b"@example.net>
        F: <> -> <"a > \" b"@example.net>
        S: 250
        C: RCPT TO:<@one,@two:x@[IPv6:::1]>
        F: <> -> <@one,@two:x@[IPv6:::1]>
        S: 250
        C: rcpt to:<Postmaster>
        F: <> -> <Postmaster>
        S: 250
        C: data
        S: 354
        C: .
        S: 250
        "#,
    ),
    (
        "T30 a whole session in one write: replies in order, one mail",
        r"
        S: 220
        C: EHLO c
        C: MAIL FROM:<a@b>
        C: RCPT TO:<b@c>
        C: DATA
        C: MAIL FROM:<evil@b>
        C: ..
        C: .
        C: QUIT
        C: MAIL FROM:<c@d>
        S: 250-
        S: 250-PIPELINING
        S: 250-SIZE
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-DSN
        S: 250 ENHANCEDSTATUSCODES
        S: 250 2.1.0
        S: 250 2.1.5
        S: 354
        M: ESMTP <a@b> -> <b@c>: MAIL FROM:<evil@b>\r\n.\r\n
        S: 250 2.0.0
        S: 221 2.0.0
        X:
        ",
    ),
    (
        "T31 a browser",
        r"
        S: 220
        C: POST / HTTP/1.1
        C: Host: mx
        C:
        C: EHLO c
        C: MAIL FROM:<a@b>
        S: 500 5.5.1
        X:
        ",
    ),
    (
        "T31 HTTP and TLS at any time",
        r"
        S: 220
        C: HELO c
        S: 250
        C: get / HTTP/1.0
        S: 500 5.5.1
        X:
        ",
    ),
    (
        "T31 TLS without having been asked",
        r"
        S: 220
        C: \x16\x03\x01\x02\x00\c
        S: 500 5.5.1
        X:
        ",
    ),
    (
        "T32 order",
        r"
        S: 220
        C: MAIL FROM:<a@b>
        S: 503 5.5.1
        C: RCPT TO:<a@b>
        S: 503 5.5.1
        C: DATA
        S: 503 5.5.1
        C: HELO c
        S: 250
        C: RCPT TO:<a@b>
        S: 503 5.5.1
        C: MAIL FROM:<a@b>
        S: 250
        C: MAIL FROM:<c@d>
        S: 503 5.5.1
        C: RCPT TO:<b@c>
        F: <a@b> -> <b@c>
        S: 250
        C: DATA
        S: 354
        C: .
        M: SMTP <a@b> -> <b@c>:
        S: 250
        ",
    ),
    (
        "T33 other commands are answered, and the session goes on",
        r"
        ! errors=20 junk=20
        S: 220
        C: HELO c
        S: 250
        C: VRFY postmaster
        S: 252 2.5.0
        C: EXPN list
        S: 502 5.5.1
        C: HELP
        S: 214 2.0.0
        C: NOOP what ever
        S: 250 2.0.0
        C: TURN
        S: 502 5.5.1
        C: AUTH PLAIN x
        S: 502 5.5.1
        C: BURL imap://x LAST
        S: 502 5.5.1
        C: STARTTLS
        S: 502 5.5.1
        C: XFORWARD NAME=x
        S: 550 5.7.1
        C: ETRN x
        S: 502 5.5.1
        C: WHAT
        S: 500 5.5.2
        C:
        S: 500 5.5.2
        C: MAIL FROM:<a@b>
        S: 250
        C: VRFY x
        S: 252
        C: RCPT TO:<b@c>
        S: 250
        C: NOOP
        S: 250
        C: DATA
        S: 354
        C: .
        M: SMTP <a@b> -> <b@c>:
        S: 250
        ",
    ),
    (
        "T34 malformed MAIL and RCPT",
        r"
        ! errors=20
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:a@b
        S: 501 5.1.7
        C: MAIL FROM:<a@b
        S: 501 5.1.7
        C: MAIL
        S: 501 5.5.4
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<>
        S: 501 5.1.3
        C: RCPT TO:
        S: 501 5.1.3
        C: RCPT TO:<a b@c>
        S: 501 5.1.3
        C: DATA
        S: 503 5.5.1
        ",
    ),
    (
        "T36 the tail of an over-long line is never run",
        r"
        ! line=64
        S: 220
        C: HELO c
        S: 250
        C: NOOP xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxMAIL FROM:<a@b>
        S: 500 5.5.2
        C: RCPT TO:<b@c>
        S: 503 5.5.1
        ",
    ),
    (
        "T37 a lone LF in a command: closed, and nothing of it run",
        r"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>\nRCPT TO:<b@c>
        C: RCPT TO:<b@c>
        S: 500 5.5.2
        X:
        ",
    ),
    (
        "T38-41 CR, NUL and controls in commands",
        r"
        ! errors=20
        S: 220
        C: HELO c\rMAIL
        S: 500 5.5.2
        C: HELO c\x00
        S: 500 5.5.2
        C: HELO c\x1b
        S: 501 5.5.4
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b\r>
        S: 500 5.5.2
        C: MAIL FROM:<a\x00@b>
        S: 500 5.5.2
        C: MAIL FROM:<a\x01@b>
        S: 501 5.1.7
        C: MAIL FROM:<a@b>\r
        S: 500 5.5.2
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c\x09>
        S: 501 5.1.3
        C: RCPT TO:<b\xff@c>
        S: 501 5.1.3
        ",
    ),
    (
        "T42-45 what xtext hides",
        r"
        ! errors=20
        S: 220
        C: EHLO c
        S: 250-mx
        S: 250-P
        S: 250-S
        S: 250-8
        S: 250-S
        S: 250-D
        S: 250 E
        C: MAIL FROM:<a@b> ENVID=x+0D+0ARCPT
        S: 501 5.5.4
        C: MAIL FROM:<a@b> ENVID=x+2By
        S: 250
        C: RCPT TO:<b@c> ORCPT=rfc822;x+0Ay
        S: 501 5.5.4
        C: RCPT TO:<b@c> ORCPT=rfc822;x+2By
        F: <a@b> ENVID=x+2By -> <b@c> ORCPT=rfc822;x+2By
        S: 250
        ",
    ),
    (
        "T47 too many errors",
        r"
        ! errors=3
        S: 220
        C: ONE
        S: 500 5.5.2
        C: TWO
        S: 500 5.5.2
        C: NOOP
        S: 250
        C: DATA
        S: 503 5.5.1
        C: FOUR
        S: 421 4.7.0
        X:
        ",
    ),
    (
        "T47 too many commands that bring nothing forward",
        r"
        ! errors=1 junk=4
        S: 220
        C: NOOP
        S: 250
        C: HELP
        S: 214
        C: RSET
        S: 250
        C: VRFY x
        S: 252
        C: NOOP
        S: 250
        C: NOOP
        S: 421 4.7.0
        X:
        ",
    ),
    (
        "T47 a mail makes good for errors, a refused one does not",
        r"
        ! errors=1
        H: 250 2.1.5 yes
        H: 250 2.0.0 yes
        H: 250 2.1.5 yes
        H: 550 5.7.1 no
        S: 220
        C: HELO c
        S: 250
        C: ONE
        S: 500
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: DATA
        S: 354
        C: .
        S: 250
        C: ONE
        S: 500
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: DATA
        S: 354
        C: .
        S: 550
        C: TWO
        S: 421 4.7.0
        X:
        ",
    ),
    (
        "T49 BDAT was not offered",
        r"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        F: <a@b> -> <b@c>
        S: 250
        C: BDAT 20 LAST
        C: RCPT TO:<evil@c>
        S: 502 5.5.1
        X:
        ",
    ),
    (
        "T57 a declared size over the limit, T58 no size at all",
        r"
        ! errors=20
        S: 220
        C: EHLO c
        S: 250-mx
        S: 250-P
        S: 250-SIZE 1000
        S: 250-8
        S: 250-S
        S: 250-D
        S: 250 E
        C: MAIL FROM:<a@b> SIZE=1001
        S: 552 5.3.4
        C: MAIL FROM:<a@b> SIZE=18446744073709551617
        S: 501 5.5.4
        C: MAIL FROM:<a@b> SIZE=abc
        S: 501 5.5.4
        C: MAIL FROM:<a@b> SIZE=-1
        S: 501 5.5.4
        C: MAIL FROM:<a@b> SIZE=1 SIZE=2
        S: 501 5.5.4
        C: MAIL FROM:<a@b> SIZE=1000
        S: 250
        ",
    ),
    (
        "T57 more than was allowed, T56 more than was said",
        r"
        ! mail=10
        S: 220
        C: EHLO c
        S: 250-mx
        S: 250-P
        S: 250-SIZE 10
        S: 250-8
        S: 250-S
        S: 250-D
        S: 250 E
        C: MAIL FROM:<a@b> SIZE=1
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: DATA
        S: 354
        C: 123456789
        C: .
        R:
        S: 552 5.3.4
        C: MAIL FROM:<a@b> SIZE=1
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: DATA
        S: 354
        C: 12345678
        C: .
        M: ESMTP <a@b> SIZE=1 -> <b@c>: 12345678\r\n
        S: 250
        ",
    ),
    (
        "T59 parameters that are unknown or were not offered",
        r"
        ! errors=20 without=DSN,SMTPUTF8,SIZE,8BITMIME,PIPELINING
        S: 220
        C: EHLO c
        S: 250-mx.example.org
        S: 250 ENHANCEDSTATUSCODES
        C: MAIL FROM:<a@b> FOO=bar
        S: 555 5.5.4
        C: MAIL FROM:<a@b> SIZE=1
        S: 555 5.5.4 SIZE was not offered
        C: MAIL FROM:<a@b> BODY=8BITMIME
        S: 555 5.5.4 BODY
        C: MAIL FROM:<a@b> RET=FULL
        S: 555 5.5.4 RET
        C: MAIL FROM:<a@b> ENVID=x
        S: 555 5.5.4 ENVID
        C: MAIL FROM:<a@b> AUTH=<>
        S: 555 5.5.4 AUTH
        C: MAIL FROM:<a@b> SMTPUTF8
        S: 553 5.6.7
        C: MAIL FROM:<ü@b>
        S: 553 5.6.7
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c> NOTIFY=NEVER
        S: 555 5.5.4 NOTIFY
        C: RCPT TO:<b@c> ORCPT=rfc822;b@c
        S: 555 5.5.4 ORCPT
        C: RCPT TO:<b@c> FOO
        S: 555 5.5.4
        ",
    ),
    (
        "T60 more recipients than allowed",
        r"
        ! recipients=2 errors=1
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<one@c>
        S: 250
        C: RCPT TO:<two@c>
        S: 250
        C: RCPT TO:<three@c>
        S: 452 4.5.3
        C: RCPT TO:<four@c>
        S: 452 4.5.3
        C: RCPT TO:<five@c>
        S: 452 4.5.3
        C: DATA
        S: 354
        C: .
        M: SMTP <a@b> -> <one@c> <two@c>:
        S: 250
        ",
    ),
    (
        "T186 refusals of ours to MAIL and RCPT are errors",
        r"
        ! errors=4 without=SMTPUTF8
        S: 220
        C: EHLO c
        S: 250-mx
        S: 250-P
        S: 250-S
        S: 250-8
        S: 250-D
        S: 250 E
        C: MAIL FROM:<ü@b>
        S: 553 5.6.7
        C: MAIL FROM:<a@b> SIZE=1001
        S: 552 5.3.4
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<ü@c>
        S: 553 5.6.7
        C: RCPT TO:<one@c>
        H: ours 553 5.6.7 the next hop has no SMTPUTF8
        S: 553 5.6.7
        C: RCPT TO:<two@c>
        H: 550 5.1.1 no such user
        S: 550 5.1.1
        C: RCPT TO:<ü@c>
        S: 421 4.7.0 too many errors
        X:
        ",
    ),
    (
        "T186 who is put off is no error, until there are more of them than a mail has recipients",
        r"
        ! errors=1 recipients=2
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<one@c>
        H: ours 451 4.4.1 no connection
        S: 451 4.4.1
        C: DATA
        S: 451 4.5.1
        C: DATA
        S: 451 4.5.1
        C: DATA
        S: 421 4.7.0
        X:
        ",
    ),
    (
        "T61 the same recipient thrice",
        r"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: DATA
        S: 354
        C: .
        M: SMTP <a@b> -> <b@c> <b@c> <b@c>:
        S: 250
        ",
    ),
    (
        "T62 some are refused, and that is no error of the client",
        r"
        ! errors=1
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<one@c>
        H: 550 5.1.1 no such user
        S: 550 5.1.1 no such user
        C: RCPT TO:<two@c>
        H: 251 2.1.5 will forward
        S: 251 2.1.5 will forward
        C: RCPT TO:<three@c>
        H: 553 5.1.3 no
        S: 553 5.1.3 no
        C: RCPT TO:<four@c>
        H: 450 4.2.0 later
        S: 450 4.2.0 later
        C: RCPT TO:<five@c>
        H: 421 4.3.2 the line closes
        S: 451 4.3.2 the line closes
        C: RCPT TO:<six@c>
        H: 354 what
        S: 451 4.3.0 what
        C: DATA
        S: 354
        C: .
        M: SMTP <a@b> -> <two@c>:
        S: 250
        ",
    ),
    (
        "T63 all are put off: so is the mail",
        r"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<one@c>
        H: 550 5.1.1 no
        S: 550
        C: RCPT TO:<two@c>
        H: 450 4.2.0 later
        S: 450
        C: RCPT TO:<three@c>
        H: 550 5.1.1 no
        S: 550
        C: DATA
        S: 451 4.5.1
        C: RSET
        R:
        S: 250
        ",
    ),
    (
        "T64 all are refused",
        r"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<one@c>
        H: 550 5.1.1 no
        S: 550
        C: DATA
        S: 554 5.5.1
        ",
    ),
    (
        "T66 DSN parameters go on octet for octet",
        r"
        S: 220
        C: EHLO c
        S: 250-mx
        S: 250-P
        S: 250-S
        S: 250-8
        S: 250-S
        S: 250-D
        S: 250 E
        C: MAIL FROM:<a@b> ret=Hdrs  envid=QQ+2b BODY=8BitMime
        S: 250
        C: RCPT TO:<b@c> Notify=success,DELAY ORCPT=rfc822;b+2B@c
        F: <a@b> ret=Hdrs  envid=QQ+2b BODY=8BitMime -> <b@c> Notify=success,DELAY ORCPT=rfc822;b+2B@c
        S: 250
        ",
    ),
    (
        "T68 SMTPUTF8",
        r"
        S: 220
        C: EHLO c
        S: 250-mx
        S: 250-P
        S: 250-S
        S: 250-8
        S: 250-S
        S: 250-D
        S: 250 E
        C: MAIL FROM:<ü@b>
        S: 553 5.6.7
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<ü@c>
        S: 553 5.6.7
        C: RCPT TO:<b@c> ORCPT=utf-8;ü@c
        S: 553 5.6.7
        C: RSET
        R:
        S: 250
        C: MAIL FROM:<ü@b> SMTPUTF8
        S: 250
        C: RCPT TO:<ö@c>
        S: 250
        C: DATA
        S: 354
        C: .
        M: UTF8SMTP <ü@b> SMTPUTF8 -> <ö@c>:
        S: 250
        ",
    ),
    (
        "T69 pipelined: taken, refused, and the next mail behind the dot",
        r"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        C: RCPT TO:<one@c>
        C: DATA
        H: 550 5.1.1 no
        S: 250 2.1.0
        S: 550 5.1.1
        S: 554 5.5.1
        C: RSET
        C: MAIL FROM:<a@b>
        C: RCPT TO:<two@c>
        C: RCPT TO:<three@c>
        C: DATA
        R:
        S: 250 2.0.0
        S: 250 2.1.0
        S: 250 2.1.5
        S: 250 2.1.5
        S: 354
        C: one
        C: .
        C: MAIL FROM:<d@e>
        C: RCPT TO:<f@g>
        C: DATA
        M: SMTP <a@b> -> <two@c> <three@c>: one\r\n
        S: 250 2.0.0
        S: 250 2.1.0
        S: 250 2.1.5
        S: 354
        C: two
        C: .
        C: QUIT
        M: SMTP <d@e> -> <f@g>: two\r\n
        S: 250 2.0.0
        S: 221 2.0.0
        X:
        ",
    ),
    (
        "T73 XCLIENT",
        r"
        S: 220
        C: HELO c
        S: 250
        C: XCLIENT NAME=x
        S: 550 5.7.1
        C: NOOP
        S: 250
        ",
    ),
    (
        "T72 a PROXY header where none is expected",
        r"
        S: 220
        C: PROXY TCP4 192.0.2.1 192.0.2.2 1 25
        C: HELO c
        S: 500 5.5.1
        X:
        ",
    ),
    (
        "T72 a binary PROXY header where none is expected",
        r"
        S: 220
        C: \r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\c
        S: 500 5.5.2
        S: 500 5.5.2
        S: 500 5.5.2
        S: 500 5.5.2
        X:
        ",
    ),
    (
        "T149 a client that is not welcome",
        r"
        ! unwelcome
        S: 554 5.7.1
        C: EHLO c
        S: 503 5.5.1
        C: MAIL FROM:<a@b>
        S: 503 5.5.1
        C: WHAT
        S: 503 5.5.1
        C: QUIT
        S: 221 2.0.0
        X:
        ",
    ),
    (
        "bare newlines, refused by setting",
        r"
        ! reject
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<b@c>
        S: 250
        C: DATA
        S: 354
        C: x\n.\nMAIL FROM:<evil@b>
        C: .
        R:
        S: 550 5.6.11
        C: MAIL FROM:<c@d>
        S: 250
        ",
    ),
    (
        "the next hop's last word: 5xx stays, 421 and 3xx are temporary",
        r"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        C: RCPT TO:<b@c>
        C: DATA
        S: 250
        S: 250
        S: 354
        C: .
        H: 250 ok
        H: 554 5.7.1 spam
        S: 554 5.7.1 spam
        C: MAIL FROM:<a@b>
        C: RCPT TO:<b@c>
        C: DATA
        S: 250
        S: 250
        S: 354
        C: .
        H: 250 ok
        H: 421 4.3.2 closing
        S: 451 4.3.2 closing
        C: MAIL FROM:<a@b>
        C: RCPT TO:<b@c>
        C: DATA
        S: 250
        S: 250
        S: 354
        C: .
        H: 250 ok
        H: 354 again
        S: 451 4.3.0 again
        ",
    ),
    (
        "several fates that nobody made one of",
        r"
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        C: RCPT TO:<b@c>
        C: RCPT TO:<d@e>
        C: DATA
        S: 250
        S: 250
        S: 250
        S: 354
        C: .
        H: 250 ok
        H: 250 ok
        H: 250 2.0.0 one | 250 2.0.0 two
        S: 451 4.3.0
        ",
    ),
    (
        "T74 LMTP: one reply per accepted recipient",
        r"
        ! lmtp
        S: 220 mx.example.org LMTP mimicry
        C: EHLO c
        S: 500 5.5.1
        C: HELO c
        S: 500 5.5.1
        C: LHLO c
        S: 250-mx
        S: 250-P
        S: 250-S
        S: 250-8
        S: 250-S
        S: 250-D
        S: 250 E
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<one@c>
        H: 250 2.1.5 yes
        S: 250
        C: RCPT TO:<two@c>
        H: 550 5.1.1 no
        S: 550 5.1.1
        C: RCPT TO:<three@c>
        H: 250 2.1.5 yes
        S: 250 2.1.5
        C: DATA
        S: 354
        C: .
        H: 250 2.0.0 one | 452 4.2.2 full
        M: LMTP <a@b> -> <one@c> <three@c>:
        S: 250 2.0.0 one
        S: 452 4.2.2 full
        ",
    ),
    (
        "LMTP: an answer for all, a missing one, one too many, none accepted",
        r"
        ! lmtp mail=10 errors=20
        S: 220
        C: LHLO c
        S: 250-mx
        S: 250-P
        S: 250-SIZE 10
        S: 250-8
        S: 250-S
        S: 250-D
        S: 250 E
        C: MAIL FROM:<a@b>
        C: RCPT TO:<one@c>
        C: RCPT TO:<two@c>
        C: DATA
        S: 250
        S: 250
        S: 250
        S: 354
        H: 250 ok
        H: 250 ok
        C: 123456789
        C: .
        R:
        S: 552 5.3.4
        S: 552 5.3.4
        C: MAIL FROM:<a@b>
        C: RCPT TO:<one@c>
        C: RCPT TO:<two@c>
        C: DATA
        S: 250
        S: 250
        S: 250
        S: 354
        C: .
        H: 250 ok
        H: 250 ok
        H: 250 2.0.0 all
        S: 250 2.0.0 all
        S: 250 2.0.0 all
        C: MAIL FROM:<a@b>
        C: RCPT TO:<one@c>
        C: RCPT TO:<two@c>
        C: DATA
        S: 250
        S: 250
        S: 250
        S: 354
        C: .
        H: 250 ok
        H: 250 ok
        H: 250 2.0.0 one |
        S: 250 2.0.0 one
        S: 451 4.3.0
        C: MAIL FROM:<a@b>
        C: RCPT TO:<one@c>
        C: DATA
        S: 250
        S: 250
        S: 354
        C: .
        H: 250 ok
        H: 250 2.0.0 one | 250 2.0.0 two
        S: 250 2.0.0 one
        C: MAIL FROM:<a@b>
        C: RCPT TO:<one@c>
        C: DATA
        H: 550 5.1.1 no
        S: 250
        S: 550
        S: 503 5.5.1
        ",
    ),
];

#[test]
fn dialogues() {
    for (title, text) in DIALOGUES {
        let script = Script::parse(text);
        script.play_as_written(title);
        let length = script.said().len();
        for chunk in (1..=length.min(80)).chain([length.max(1)]) {
            let mut play = Play::new(&script);
            for piece in script.said().chunks(chunk) {
                play.hear(piece);
            }
            script.compare(
                &play.done,
                script.expected.len(),
                &format!("{title}, by {chunk}"),
            );
        }
    }
}

/// T47 with the numbers of the default configuration.
#[test]
fn errors_and_junk_by_default() {
    for (command, answered) in [("WHAT\r\n", 20), ("NOOP\r\n", 120), ("RSET\r\n", 120)] {
        let script = Script::parse("! errors=20 junk=100");
        let mut play = Play::new(&script);
        play.hear(command.repeat(300).as_bytes());
        let said: Vec<&String> = play.done.iter().skip(1).collect();
        assert_eq!(said.len(), answered + 2, "{command}");
        assert!(said[answered].starts_with("S: 421 4.7.0"), "{command}");
        assert_eq!(said[answered + 1], "X:", "{command}");
    }
}

/// T60: what a list with 2000 recipients gets.
#[test]
fn two_thousand_recipients() {
    let script = Script::parse("! recipients=1000");
    let mut play = Play::new(&script);
    let mut said = "HELO c\r\nMAIL FROM:<a@b>\r\n".to_owned();
    for number in 0..2000 {
        said.push_str(&format!("RCPT TO:<{number}@c>\r\n"));
    }
    said.push_str("DATA\r\n.\r\n");
    play.hear(said.as_bytes());
    let count = |start: &str| {
        play.done
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    };
    assert_eq!(
        (count("S: 250 2.1.5"), count("S: 452 4.5.3"), count("F:")),
        (1000, 1000, 1000)
    );
    let mail = play
        .done
        .iter()
        .find(|line| line.starts_with("M:"))
        .unwrap();
    assert_eq!(mail.matches("@c>").count(), 1000);
    assert!(mail.contains("<999@c>:"));
}

/// T2: what stands in front of the first command of a client, and what a session that ends by itself says.
#[test]
fn last_words() {
    let terms = Script::parse("").terms;
    for (why, start) in [
        (Leave::Idle, "421 4.4.2 "),
        (Leave::TooLong, "421 4.4.2 "),
        (Leave::Stopping, "421 4.3.2 "),
        (Leave::Retiring, "421 4.3.2 "),
        (Leave::Broken, "421 4.3.0 "),
    ] {
        let mut session = Session::new(&terms, Offer::ours(1000), Origin::default());
        session.open(true);
        let Step::Close(reply) = session.leave(why) else {
            panic!("{why:?}");
        };
        assert!(reply.to_string().starts_with(start), "{why:?}");
        assert!(
            matches!(session.step(Line::Command(b"NOOP")), Step::Close(_)),
            "nothing is answered behind the last words"
        );
    }
}

#[test]
fn a_session_may_be_left_between_mails_only() {
    let terms = Script::parse("").terms;
    let mut session = Session::new(&terms, Offer::ours(1000), Origin::default());
    session.open(true);
    for (line, is_idle) in [
        ("HELO c", true),
        ("MAIL FROM:<a@b>", false),
        ("RSET", true),
        ("MAIL FROM:<a@b>", false),
        ("RCPT TO:<b@c>", false),
    ] {
        session.step(Line::Command(line.as_bytes()));
        assert_eq!(session.is_idle(), is_idle, "{line}");
    }
    session.forwarded(Reply::received(250, &[b"2.1.5 ok"]), Whose::NextHop);
    assert!(matches!(
        session.step(Line::Command(b"DATA")),
        Step::Receive(_)
    ));
    assert!(!session.is_idle());
    session.received(Reply::received(250, &[b"2.0.0 ok"]));
    assert!(session.is_idle());
    assert_eq!(session.origin().helo.as_deref(), Some(&b"c"[..]));
}

/// An owner that is out of step gets no second mail and no invented 2xx.
#[test]
fn answers_that_nobody_asked_for_end_the_session() {
    let terms = Script::parse("").terms;
    let ok = || Reply::received(250, &[b"2.0.0 ok"]);
    let begin = |lines: &[&str]| {
        let mut session = Session::new(&terms, Offer::ours(1000), Origin::default());
        session.open(true);
        for line in lines {
            session.step(Line::Command(line.as_bytes()));
        }
        session
    };
    for mut session in [begin(&[]), begin(&["HELO c", "MAIL FROM:<a@b>"])] {
        assert!(matches!(
            session.forwarded(ok(), Whose::NextHop),
            Step::Close(_)
        ));
    }
    for mut session in [
        begin(&[]),
        begin(&["HELO c", "MAIL FROM:<a@b>", "RCPT TO:<b@c>"]),
    ] {
        assert!(matches!(session.received(ok()), Step::Close(_)));
    }
    let mut asking = begin(&["HELO c", "MAIL FROM:<a@b>", "RCPT TO:<b@c>"]);
    assert!(matches!(
        asking.step(Line::Command(b"NOOP")),
        Step::Close(_)
    ));
}

/// T35: replies to a client that says much and hears nothing are bounded by who writes them.
#[test]
fn collected_replies_are_to_be_written_in_time() {
    let script = Script::parse("! junk=100000");
    let mut play = Play::new(&script);
    play.hear("NOOP\r\n".repeat(20_000).as_bytes());
    assert!(play.most_collected < 20_000, "{}", play.most_collected);
    assert_eq!(play.done.len(), 20_001);
}

/// A dialogue and how it is set up.
struct Script {
    terms: Terms,
    offer: Offer,
    welcome: bool,
    max_line: usize,
    hop: VecDeque<String>,
    said: Vec<u8>,
    /// What the client said up to each place in `expected`.
    expected: Vec<(usize, String)>,
    /// Do `F` and `M` matter?
    kinds: Vec<char>,
}

impl Script {
    fn parse(text: &str) -> Script {
        let mut script = Script {
            terms: Terms {
                hostname: "mx.example.org".into(),
                protocol: Protocol::Smtp,
                mail: 1000,
                recipients: 100,
                errors: 5,
                junk_commands: 10,
                bare_newline: BareNewline::Normalize,
            },
            offer: for_everybody(1000),
            welcome: true,
            max_line: 200,
            hop: VecDeque::new(),
            said: Vec::new(),
            expected: Vec::new(),
            kinds: vec!['S', 'R', 'X'],
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(words) = line.strip_prefix("! ") {
                words.split(' ').for_each(|word| script.set(word));
                continue;
            }
            let (kind, rest) = line.split_once(':').unwrap();
            match kind {
                "C" => script
                    .said
                    .extend(unescaped(rest.strip_prefix(' ').unwrap_or(rest))),
                "H" => script.hop.push_back(rest.trim().to_owned()),
                _ => {
                    script.kinds.push(kind.chars().next().unwrap());
                    script.expected.push((script.said.len(), line.to_owned()));
                }
            }
        }
        script
    }

    fn set(&mut self, word: &str) {
        let (name, value) = word.split_once('=').unwrap_or((word, "0"));
        let number = value.parse().unwrap_or(0);
        match name {
            "lmtp" => self.terms.protocol = Protocol::Lmtp,
            "reject" => self.terms.bare_newline = BareNewline::Reject,
            "unwelcome" => self.welcome = false,
            "line" => self.max_line = number,
            "recipients" => self.terms.recipients = number,
            "errors" => self.terms.errors = number as u32,
            "junk" => self.terms.junk_commands = number as u32,
            "mail" => {
                self.terms.mail = number;
                self.offer = for_everybody(number);
            }
            "xforward" => self.offer.xforward = true,
            "auth" => self.offer.auth = true,
            "believed" => self.offer.believes_auth = true,
            "starttls" => self.offer.starttls = true,
            "without" => self.offer = self.offer.without(value.split(',')),
            other => panic!("{other}"),
        }
    }

    fn said(&self) -> &[u8] {
        &self.said
    }

    fn play_as_written(&self, title: &str) {
        let mut play = Play::new(self);
        let mut heard = 0;
        for (index, (said, _)) in self.expected.iter().enumerate() {
            if *said > heard {
                self.compare(&play.done, index, title);
                play.hear(&self.said[heard..*said]);
                heard = *said;
            }
        }
        play.hear(&self.said[heard..]);
        self.compare(&play.done, self.expected.len(), title);
    }

    /// `done` against the first `count` of what is expected.
    fn compare(&self, done: &[String], count: usize, title: &str) {
        let done: Vec<&String> = done
            .iter()
            .filter(|line| self.kinds.iter().any(|kind| line.starts_with(*kind)))
            .collect();
        let expected: Vec<&str> = self
            .expected
            .iter()
            .take(count)
            .map(|(_, line)| line.as_str())
            .collect();
        let is_as_expected = done.len() == expected.len()
            && done
                .iter()
                .zip(&expected)
                .all(|(line, start)| match start.starts_with('S') {
                    true => line.starts_with(start),
                    false => line.trim_end() == *start,
                });
        assert!(
            is_as_expected,
            "{title}\ndone:     {done:#?}\nexpected: {expected:#?}"
        );
    }
}

/// The part of the socket's owner, of the relay and of the next hop.
struct Play<'s> {
    script: &'s Script,
    hop: VecDeque<String>,
    wire: Wire,
    session: Session<'s>,
    reading: Option<(DataReader, DataPlan)>,
    closed: bool,
    done: Vec<String>,
    most_collected: usize,
}

impl<'s> Play<'s> {
    fn new(script: &'s Script) -> Play<'s> {
        let mut play = Play {
            script,
            hop: script.hop.clone(),
            wire: Wire::new(script.max_line),
            session: Session::new(&script.terms, script.offer, Origin::default()),
            reading: None,
            closed: false,
            done: Vec::new(),
            most_collected: 0,
        };
        let step = play.session.open(play.script.welcome);
        play.act(step);
        play.flush();
        play
    }

    fn hear(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && !self.closed {
            let space = self.wire.space();
            let fitting = octets.len().min(space.len());
            assert!(fitting > 0, "no room");
            space[..fitting].copy_from_slice(&octets[..fitting]);
            self.wire.filled(fitting);
            octets = &octets[fitting..];
            while let Some(step) = self.next() {
                self.act(step);
                if self.closed {
                    break;
                }
            }
            self.flush();
        }
    }

    /// `None` = more input is needed.
    fn next(&mut self) -> Option<Step> {
        let Some((mut reader, plan)) = self.reading.take() else {
            return Some(self.session.step(self.wire.line()?));
        };
        let fed = reader.feed(self.wire.input());
        self.wire.consume(fed.taken);
        let Some(ended) = fed.ended else {
            self.reading = Some((reader, plan));
            return None;
        };
        Some(match ended {
            Err(refusal) => self.session.refused(refusal),
            Ok(received) => {
                let message = received.message.escape_ascii();
                self.log(format!(
                    "M: {} {}: {message}",
                    plan.with,
                    shown(&plan.envelope)
                ));
                let answer = self.hop.pop_front().unwrap_or("250 2.0.0 taken".into());
                match answer.contains('|') {
                    true => {
                        let replies = answer.split('|').filter(|reply| !reply.trim().is_empty());
                        let replies = replies.map(|reply| reply_of(reply.trim())).collect();
                        self.session.received(Replies::PerRecipient(replies))
                    }
                    false => self.session.received(reply_of(&answer)),
                }
            }
        })
    }

    fn act(&mut self, mut step: Step) {
        loop {
            match step {
                Step::Say(replies) => return self.say(&replies),
                Step::Reset(replies) => {
                    self.log("R:".into());
                    return self.say(&replies);
                }
                Step::Forward(recipient) => {
                    let mut envelope = self.session.envelope().unwrap().clone();
                    envelope.recipients = vec![recipient];
                    self.log(format!("F: {}", shown(&envelope)));
                    self.log(format!("O: {}", judged_by(self.session.origin())));
                    let answer = self.hop.pop_front().unwrap_or("250 2.1.5 ok".into());
                    step = match answer.strip_prefix("ours ") {
                        Some(answer) => self.session.forwarded(reply_of(answer), Whose::Ours),
                        None => self.session.forwarded(reply_of(&answer), Whose::NextHop),
                    };
                }
                Step::Receive(plan) => {
                    self.say(&plan.reply.clone().into());
                    self.reading = Some((plan.reader(), plan));
                    return;
                }
                Step::StartTls(reply) => {
                    self.say(&reply.into());
                    self.log("T:".into());
                    self.session.secured();
                    return;
                }
                Step::Close(reply) => {
                    self.say(&reply.into());
                    self.log("X:".into());
                    self.closed = true;
                    return;
                }
            }
        }
    }

    fn say(&mut self, replies: &Replies) {
        for reply in replies.iter() {
            self.wire.say(reply);
        }
        self.most_collected = self.most_collected.max(self.wire.outgoing().len());
        if self.wire.is_full() {
            self.flush();
        }
    }

    /// Replies are logged when they are written, all else when it happens: behind what was said before.
    fn log(&mut self, line: String) {
        self.flush();
        self.done.push(line);
    }

    fn flush(&mut self) {
        let written = self.wire.outgoing().to_vec();
        self.wire.sent(written.len());
        let text = String::from_utf8(written).unwrap();
        assert!(text.is_empty() || text.ends_with("\r\n"));
        for line in text.split_terminator("\r\n") {
            assert!(
                !line.contains(['\r', '\n']) && line.len() <= 510,
                "{line:?}"
            );
            self.done.push(format!("S: {line}"));
        }
    }
}

fn for_everybody(size: usize) -> Offer {
    Offer::ours(size).without(["XFORWARD", "STARTTLS"])
}

fn judged_by(origin: &Origin) -> String {
    let text = |octets: &Option<Vec<u8>>| match octets {
        Some(octets) => String::from_utf8_lossy(octets).into_owned(),
        None => "-".into(),
    };
    let client = origin.client.map_or("-".into(), |it| it.to_string());
    let login = origin.auth_user.as_deref().unwrap_or("-");
    let (helo, name) = (text(&origin.helo), text(&origin.name));
    format!("{client} {helo} {name} {login}")
}

fn shown(envelope: &Envelope) -> String {
    let one = |path: &Path, params: &[u8]| {
        let path = String::from_utf8_lossy(path.as_bytes());
        match params {
            b"" => format!("<{path}>"),
            params => format!("<{path}> {}", String::from_utf8_lossy(params)),
        }
    };
    let recipients: Vec<String> = envelope
        .recipients
        .iter()
        .map(|one_of| one(&one_of.path, &one_of.params))
        .collect();
    format!(
        "{} -> {}",
        one(&envelope.sender, &envelope.sender_params),
        recipients.join(" ")
    )
}

fn reply_of(text: &str) -> Reply {
    let (code, text) = text.split_once(' ').unwrap();
    Reply::received(code.parse().unwrap(), &[text.as_bytes()])
}

/// `\r`, `\n` and `\x1b` stand for octets, `\c` at the end for "no CRLF here"; any other backslash for itself.
fn unescaped(text: &str) -> Vec<u8> {
    let (text, end) = match text.strip_suffix("\\c") {
        Some(text) => (text, &b""[..]),
        None => (text, &b"\r\n"[..]),
    };
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        if let Some(behind) = escape.strip_prefix('r') {
            octets.push(b'\r');
            rest = behind;
        } else if let Some(behind) = escape.strip_prefix('n') {
            octets.push(b'\n');
            rest = behind;
        } else if let Some(behind) = escape.strip_prefix('x') {
            octets.push(u8::from_str_radix(&behind[..2], 16).unwrap());
            rest = &behind[2..];
        } else {
            octets.push(b'\\');
            rest = escape;
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    octets.extend_from_slice(end);
    octets
}
