//! Dialogues, each with its title; `tests.rs` says what the letters mean.
//!
//! Longer than 600 lines: one table, which is read by its titles.

pub const DIALOGUES: &[(&str, &str)] = &[
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
        C: MAIL FROM:a@b>
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
        "T186 refusals of ours to MAIL, and to RCPT for what it says, are errors",
        r"
        ! errors=3 without=SMTPUTF8
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
        "T186 who is put off or refused is no error, until there are more of them than a mail has recipients",
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
        "T186 whom a rule refuses is no error, until there are more of them than a mail has recipients",
        r"
        ! errors=1 recipients=2
        S: 220
        C: HELO c
        S: 250
        C: MAIL FROM:<a@b>
        S: 250
        C: RCPT TO:<one@c>
        H: ours 550 5.7.1 there is no key of one@c
        S: 550 5.7.1
        C: RCPT TO:<two@c>
        H: ours 550 5.7.1 there is no key of two@c
        S: 550 5.7.1
        C: RCPT TO:<three@c>
        H: ours 550 5.7.1 there is no key of three@c
        S: 550 5.7.1
        C: RCPT TO:<four@c>
        H: ours 550 5.7.1 there is no key of four@c
        S: 421 4.7.0 too many errors
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
