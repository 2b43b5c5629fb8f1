//! SMTP replies (RFC 5321 section 4.2, enhanced codes RFC 3463): ours, and those of the next hop handed on.
//!
//! Each reply of our own is one row of one table, [`Own`]: so the text of each 451 is found in one place, together with
//! whose decision it is.
//!
//! Must never: hold an octet that could end a line or start a second reply. Text from outside is made clean here.

use std::fmt;

/// Octets of one reply line, its code and line end included (RFC 5321 section 4.5.3.1.5).
pub const MAX_LINE: usize = 512;

/// How many lines of a reply from outside are handed on.
const MAX_LINES: usize = 50;

/// A complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    /// `5.7.1`
    enhanced: Option<Enhanced>,
    /// At least one; printable ASCII, each short enough for its line.
    lines: Vec<String>,
    by: By,
}

/// By whom a mail or a session has the reply that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// The next hop said so, or could not be reached.
    NextHop,
    /// A rule stopped the mail.
    Rule,
    /// A setting says how much there may be, how long it may last, or who may send.
    Limit,
    /// The client: what it said was wrong, or it went away.
    Client,
    /// mimicry itself.
    #[default]
    Mimicry,
}

impl By {
    /// As the log has it.
    pub fn word(self) -> &'static str {
        match self {
            By::NextHop => "next-hop",
            By::Rule => "rule",
            By::Limit => "limit",
            By::Client => "client",
            By::Mimicry => "mimicry",
        }
    }
}

macro_rules! own_replies {
    ($($name:ident: $code:literal $enhanced:literal $by:ident $text:literal,)+) => {
        /// A reply of our own. In its text `{}` stands for what is filled in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Own {
            $($name,)+
        }

        impl Own {
            pub const ALL: &[Own] = &[$(Own::$name,)+];

            const fn row(self) -> Row {
                match self {
                    $(Own::$name => Row {
                        code: $code,
                        enhanced: $enhanced,
                        by: By::$by,
                        text: $text,
                    },)+
                }
            }
        }
    };
}

/// One row of the table.
struct Row {
    code: u16,
    /// Empty = none, where there is none to have (RFC 2034 section 4).
    enhanced: &'static str,
    by: By,
    text: &'static str,
}

#[rustfmt::skip]
own_replies! {
    // The session.
    Greeting: 220 "" Mimicry "{} mimicry",
    Hello: 250 "" Mimicry "{}",
    Ok: 250 "2.0.0" Mimicry "ok",
    SenderOk: 250 "2.1.0" Mimicry "ok",
    RecipientOk: 250 "2.1.5" Mimicry "recipient ok",
    NamedBefore: 250 "2.1.5" Mimicry "recipient was named before",
    GoAhead: 354 "" Mimicry "end with a dot on a line by itself",
    StartTls: 220 "2.0.0" Mimicry "go ahead",
    SendAndSee: 252 "2.5.0" Mimicry "send a mail and see",
    Help: 214 "2.0.0" Mimicry "see mimicryd(8)",
    Bye: 221 "2.0.0" Mimicry "bye",
    // Sessions that end.
    NotWelcome: 554 "5.7.1" Limit "this client may not send mail here",
    Idle: 421 "4.4.2" Limit "time-out: the client said nothing for too long",
    TooLong: 421 "4.4.2" Limit "time-out: this session lasted too long",
    TooSlow: 421 "4.4.2" Limit "time-out: the client sends too slowly",
    Stress: 421 "4.3.2" Limit "all workers are busy, others wait, and this session brings no mail forward; try again",
    TooManyConnections: 421 "4.7.0" Limit "too many connections from your network; try again",
    TooManyErrors: 421 "4.7.0" Limit "too many errors",
    TooMuchJunk: 421 "4.7.0" Limit "too many commands without a mail",
    Stopping: 421 "4.3.2" Mimicry "service is going down; try again",
    Retiring: 421 "4.3.2" Mimicry "this session ends here; connect again",
    SessionBroken: 421 "4.3.0" Mimicry "something went wrong here; try again",
    ForeignProtocol: 500 "5.5.1" Client "this is SMTP",
    TlsNotOffered: 500 "5.5.1" Client "TLS was not offered",
    BdatNotOffered: 502 "5.5.1" Client "BDAT was not offered",
    LoneLf: 500 "5.5.2" Client "lines end with CR and LF",
    EndlessLine: 500 "5.5.2" Client "line has no end",
    // Commands that are not obeyed.
    LineTooLong: 500 "5.5.2" Client "line is too long",
    UncleanLine: 500 "5.5.2" Client "a command must not contain a NUL or a lone CR",
    UnknownCommand: 500 "5.5.2" Client "command is not known",
    NotSpoken: 502 "5.5.1" Client "command is not supported here",
    XclientNotSpoken: 550 "5.7.1" Client "XCLIENT is not supported here",
    MayOnlyQuit: 503 "5.5.1" Client "this client may only quit",
    SayEhlo: 500 "5.5.1" Client "this is SMTP: say EHLO",
    SayLhlo: 500 "5.5.1" Client "this is LMTP: say LHLO",
    SayHelloFirst: 503 "5.5.1" Client "say hello first",
    SayMailFirst: 503 "5.5.1" Client "say MAIL first",
    SayRcptFirst: 503 "5.5.1" Client "say RCPT first",
    OpenAlready: 503 "5.5.1" Client "a mail is open already",
    TlsAlready: 503 "5.5.1" Client "TLS is active already",
    StartTlsNotOffered: 502 "5.5.1" Client "STARTTLS was not offered",
    XforwardNotBelieved: 550 "5.7.1" Limit "XFORWARD is not believed from this client",
    XforwardIllFormed: 501 "5.5.4" Client "the arguments are ill-formed",
    BadArgument: 501 "5.5.4" Client "{}",
    BadSender: 501 "5.1.7" Client "the sender's address is ill-formed",
    BadRecipient: 501 "5.1.3" Client "the recipient's address is ill-formed",
    BadParameter: 501 "5.5.4" Client "a parameter is ill-formed or given twice",
    UnknownParameter: 555 "5.5.4" Client "a parameter is not known here",
    ParameterNotOffered: 555 "5.5.4" Client "{} was not offered",
    Utf8NotOffered: 553 "5.6.7" Client "SMTPUTF8 was not offered",
    NeedsUtf8: 553 "5.6.7" Client "the address needs SMTPUTF8",
    UnfitForCommand: 501 "5.5.4" Client "an address or a parameter has an octet that cannot be handed on",
    // Mails and recipients that are not taken.
    TooLarge: 552 "5.3.4" Limit "message is too large",
    BareNewline: 550 "5.6.11" Client "message has a CR or LF that is not part of a CRLF",
    MboxLine: 550 "5.6.0" Client "message begins with a line From of an mbox",
    TooManyRecipients: 452 "4.5.3" Limit "too many recipients; send the others again",
    TooManyClasses: 452 "4.5.3" Limit "too many recipients that need different mails; send to the others separately",
    NoneAcceptedYet: 451 "4.5.1" Client "no recipient was accepted yet",
    NoneAcceptedLmtp: 503 "5.5.1" Client "no recipient was accepted",
    NoneAccepted: 554 "5.5.1" Client "no recipient was accepted",
    NoTransaction: 451 "4.3.0" Mimicry "no transaction is open",
    NoNextHop: 451 "4.3.5" Mimicry "there is no next hop",
    TooManyHops: 554 "5.4.6" Limit "too many hops: this mail goes round in a loop",
    RuleDefers: 451 "4.3.0" Rule "{}",
    RecipientMissed: 550 "5.7.1" Rule "{}",
    RecipientMissedYet: 451 "4.7.1" Rule "{}",
    RuleHasNoRoom: 452 "4.3.1" Rule "{}",
    RuleRejects: 554 "5.7.1" Rule "{}",
    CopiesTooLarge: 552 "5.3.4" Rule "{}",
    Panic: 451 "4.3.0" Mimicry "something went wrong here; try again",
    PoisonKept: 451 "4.3.0" Mimicry "this mail killed mimicry's workers before; an administrator must look into it",
    PoisonRefused: 554 "5.6.0" Mimicry "this mail killed mimicry's workers before",
    LedgerFull: 452 "4.3.1" Mimicry "the disk is full, and who has the mail could not be remembered",
    LedgerUnwritable: 451 "4.3.0" Mimicry "who has the mail could not be remembered",
    NotHandedOn: 451 "4.3.0" Mimicry "not handed on",
    Unanswered: 451 "4.3.0" Mimicry "no answer for this recipient",
    ThereAlready: 250 "2.0.0" Mimicry "the mail has been delivered already",
    LoneOctet: 451 "4.3.0" Mimicry "a CR or LF stands alone at octet {} of the mail, which is not handed on like this",
    // The next hop.
    CannotConnect: 451 "4.4.1" NextHop "cannot connect to the next hop ({})",
    NextHopAway: 451 "4.4.1" NextHop "the next hop is away; it is tried again {}",
    NoLineFree: 452 "4.3.2" NextHop "no connection to the next hop is free; send this recipient again",
    LostNextHop: 451 "4.4.2" NextHop "lost the connection to the next hop ({})",
    NextHopTimedOut: 451 "4.4.2" NextHop "the next hop did not answer in time ({})",
    OutOfTime: 451 "4.3.2" Mimicry "time-out: all the time that mimicry has for a mail was over ({})",
    Short: 451 "4.3.2" Mimicry "this system is short of descriptors or memory; try again ({})",
    OutOfStep: 451 "4.5.0" NextHop "the next hop is out of step ({})",
    NotUnderstood: 451 "4.5.0" NextHop "the next hop's answer is not understood ({})",
    NotLetIn: 451 "4.7.0" NextHop "the next hop does not let us in ({})",
    NoTlsAtAll: 451 "4.7.5" NextHop "there is no TLS with the next hop ({})",
    ClientGone: 451 "4.4.2" Client "the client has gone ({})",
    CannotHandOn: 451 "4.3.0" Mimicry "the mail cannot be handed on ({})",
    NoStartTls: 451 "4.7.5" NextHop "the next hop does not offer STARTTLS",
    StartTlsRefused: 451 "4.7.5" NextHop "the next hop refuses STARTTLS: {}",
    BadCertificate: 451 "4.7.5" NextHop "the next hop's certificate is not valid: {}",
    NoTls: 451 "4.7.5" NextHop "no TLS with the next hop: {}",
    TlsSilent: 451 "4.7.5" NextHop "the next hop stops answering when TLS begins",
    TlsBroken: 451 "4.7.5" NextHop "the next hop closes the connection when TLS begins",
    PasswordUnread: 451 "4.3.5" Mimicry "the password for the next hop was not read",
    PasswordUnsafe: 451 "4.7.0" Mimicry "the password is not sent to whoever answers; see tls in mimicry.toml(5)",
    NoAuth: 451 "4.7.0" NextHop "the next hop offers neither AUTH PLAIN nor AUTH LOGIN",
    LoginRefused: 451 "4.7.8" NextHop "the next hop refuses our login: {}",
    NoUtf8: 553 "5.6.7" NextHop "the next hop takes no internationalized addresses",
    NoUtf8Now: 450 "4.6.7" NextHop "the next hop takes no internationalized addresses, which was not known; try again",
    NoEightBit: 554 "5.6.3" NextHop "the next hop takes no 8-bit content, and {}",
    // A directory as next hop.
    MailFirst: 503 "5.5.1" NextHop "MAIL comes first",
    RcptFirst: 503 "5.5.1" NextHop "RCPT comes first",
    DirectorySender: 250 "2.1.0" NextHop "sender ok",
    DirectoryRecipient: 250 "2.1.5" NextHop "recipient ok",
    Stored: 250 "2.0.0" NextHop "stored",
    DiskFull: 452 "4.3.1" NextHop "the mail cannot be stored: the disk is full",
    NotStored: 451 "4.3.0" NextHop "the mail cannot be stored: {}",
}

impl Own {
    pub fn reply(self) -> Reply {
        self.with("")
    }

    /// With this in the place of `{}`. It may have several lines.
    pub fn with(self, what: &str) -> Reply {
        let row = self.row();
        let text = row.text.replacen("{}", what, 1);
        Reply::new(row.code, Enhanced::parse(row.enhanced), &text, row.by)
    }
}

/// An enhanced status code: class, subject, detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enhanced(pub u16, pub u16, pub u16);

/// What a reply means for a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// 2xx
    Done,
    /// 3xx
    GoOn,
    /// 4xx: the client keeps the mail.
    Temporary,
    /// 5xx: the client returns the mail.
    Permanent,
}

impl Reply {
    /// `text` may have several lines; a code out of 200..=599 becomes 451.
    fn new(code: u16, enhanced: Option<Enhanced>, text: &str, by: By) -> Reply {
        let code = if (200..600).contains(&code) {
            code
        } else {
            451
        };
        let enhanced = enhanced.and_then(|enhanced| enhanced.fit_for(code));
        let mut lines: Vec<String> = text
            .lines()
            .take(MAX_LINES)
            .map(|line| clean(line, enhanced))
            .collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        Reply {
            code,
            enhanced,
            lines,
            by,
        }
    }

    /// From the lines that a next hop sent, without code and separator. An enhanced code at the start of the first line
    /// is taken out, and out of each further line that repeats it.
    pub fn received(code: u16, lines: &[&[u8]]) -> Reply {
        let texts: Vec<String> = lines.iter().map(|line| printable(line)).collect();
        let said = texts.first().and_then(|line| line.split(' ').next());
        let enhanced = said.and_then(Enhanced::parse);
        let said = said.filter(|_| enhanced.is_some());
        let text: Vec<&str> = texts
            .iter()
            .map(|line| match said.and_then(|said| line.strip_prefix(said)) {
                Some(rest) if rest.is_empty() || rest.starts_with(' ') => rest.trim_start(),
                _ => line,
            })
            .collect();
        Reply::new(code, enhanced, &text.join("\n"), By::NextHop)
    }

    /// The same codes, from the same, with another text.
    #[must_use]
    pub fn saying(&self, text: &str) -> Reply {
        Reply::new(self.code, self.enhanced, text, self.by)
    }

    pub fn by(&self) -> By {
        self.by
    }

    pub fn code(&self) -> u16 {
        self.code
    }

    pub fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    pub fn class(&self) -> Meaning {
        match self.code / 100 {
            2 => Meaning::Done,
            3 => Meaning::GoOn,
            4 => Meaning::Temporary,
            _ => Meaning::Permanent,
        }
    }

    pub fn is_done(&self) -> bool {
        self.class() == Meaning::Done
    }

    /// The lines without codes.
    pub fn text(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// The same text as a 4xx: a 421 of the next hop is about its own line, not about the client's.
    pub fn as_temporary(&self) -> Reply {
        if self.class() == Meaning::Temporary && self.code != 421 {
            return self.clone();
        }
        Reply {
            code: 451,
            enhanced: Some(
                self.enhanced
                    .filter(|enhanced| enhanced.0 == 4)
                    .unwrap_or(Enhanced(4, 3, 0)),
            ),
            lines: self.lines.clone(),
            by: self.by,
        }
    }

    /// As it goes on the wire, line ends included.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let separator = if index == last { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

impl fmt::Display for Reply {
    /// On one line, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.lines.join(" / "))
    }
}

impl Enhanced {
    pub fn parse(text: &str) -> Option<Enhanced> {
        let mut numbers = text.split('.').map(|digits| {
            let plain = (1..=3).contains(&digits.len())
                && digits.bytes().all(|octet| octet.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| plain)
        });
        let enhanced = Enhanced(numbers.next()??, numbers.next()??, numbers.next()??);
        (numbers.next().is_none() && matches!(enhanced.0, 2 | 4 | 5)).then_some(enhanced)
    }

    /// As it may stand behind this code (RFC 2034 section 4): the class of the two is the same, and 3xx has none. Who believes the
    /// enhanced code of `550 2.0.0` takes for delivered what was refused; of its subject and detail nothing is true, either.
    fn fit_for(self, code: u16) -> Option<Enhanced> {
        match code / 100 {
            3 => None,
            class if class == self.0 => Some(self),
            class => Some(Enhanced(class, 0, 0)),
        }
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Printable ASCII, `?` for what is not, cut to what a reply line holds.
fn clean(line: &str, enhanced: Option<Enhanced>) -> String {
    let used = 4 + 2 + enhanced.map_or(0, |enhanced| enhanced.to_string().len() + 1);
    let most = MAX_LINE.saturating_sub(used);
    line.chars()
        .map(|char| {
            if (' '..='~').contains(&char) {
                char
            } else {
                '?'
            }
        })
        .take(most)
        .collect()
}

fn printable(line: &[u8]) -> String {
    line.iter()
        .map(|octet| match octet {
            b' '..=b'~' => char::from(*octet),
            b'\t' => ' ',
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(code: u16, enhanced: &str, text: &str) -> Reply {
        Reply::new(code, Enhanced::parse(enhanced), text, By::Mimicry)
    }

    fn wire(reply: &Reply) -> String {
        String::from_utf8(reply.to_wire()).unwrap()
    }

    #[test]
    fn replies_on_the_wire() {
        for (reply, expected) in [
            (own(250, "2.0.0", "queued"), "250 2.0.0 queued\r\n"),
            (own(354, "", "go on"), "354 go on\r\n"),
            (own(250, "", "a\nb"), "250-a\r\n250 b\r\n"),
            (
                own(550, "5.7.1", "a\r\nb"),
                "550-5.7.1 a\r\n550 5.7.1 b\r\n",
            ),
            (
                own(550, "4.7.1", "classes differ"),
                "550 5.0.0 classes differ\r\n",
            ),
            (own(451, "4.3.0", "a\u{0}ü\u{1b}"), "451 4.3.0 a???\r\n"),
            (own(99, "", ""), "451 \r\n"),
        ] {
            assert_eq!(wire(&reply), expected);
        }
    }

    #[test]
    fn replies_received() {
        for (code, lines, expected) in [
            (
                550,
                &[&b"5.1.1 no such user"[..]][..],
                "550 5.1.1 no such user\r\n",
            ),
            (
                550,
                &[b"5.1.1 a", b"5.1.1 b"],
                "550-5.1.1 a\r\n550 5.1.1 b\r\n",
            ),
            (550, &[b"5.1.1 a", b"b"], "550-5.1.1 a\r\n550 5.1.1 b\r\n"),
            (250, &[b"ok\x00\xff"], "250 ok??\r\n"),
            (250, &[b""], "250 \r\n"),
            (250, &[b"2.0.0"], "250 2.0.0 \r\n"),
            (250, &[b"2.0.0.1 x"], "250 2.0.0.1 x\r\n"),
            (550, &[b"5.01.1 x"], "550 5.1.1 x\r\n"),
        ] {
            assert_eq!(wire(&Reply::received(code, lines)), expected);
        }
    }

    #[test]
    fn the_enhanced_code_has_the_class_of_the_reply() {
        for (code, lines, expected) in [
            (250, &[&b"5.1.1 ok"[..]][..], "250 2.0.0 ok\r\n"),
            (250, &[b"4.2.0"], "250 2.0.0 \r\n"),
            (451, &[b"2.1.5 ok"], "451 4.0.0 ok\r\n"),
            (452, &[b"5.2.2 full"], "452 4.0.0 full\r\n"),
            (550, &[b"2.0.0 no"], "550 5.0.0 no\r\n"),
            (554, &[b"4.7.1 no"], "554 5.0.0 no\r\n"),
            (
                550,
                &[b"2.0.0 a", b"2.0.0 b"],
                "550-5.0.0 a\r\n550 5.0.0 b\r\n",
            ),
            (550, &[b"a", b"2.0.0 b"], "550-a\r\n550 2.0.0 b\r\n"),
            (354, &[b"2.0.0 go on"], "354 go on\r\n"),
            // No code, but a number of three digits and dots.
            (550, &[b"3.1.4 no"], "550 3.1.4 no\r\n"),
            (999, &[b"5.0.0 odd"], "451 4.0.0 odd\r\n"),
        ] {
            assert_eq!(wire(&Reply::received(code, lines)), expected);
        }
    }

    #[test]
    fn a_line_has_at_most_512_octets() {
        let reply = own(550, "5.7.1", &"x".repeat(2000));
        assert_eq!(reply.to_wire().len(), MAX_LINE);
    }

    #[test]
    fn a_421_of_the_next_hop_is_a_451_of_ours() {
        for (reply, expected) in [
            (own(421, "4.3.2", "closing"), "451 4.3.2 closing\r\n"),
            (own(450, "4.2.1", "busy"), "450 4.2.1 busy\r\n"),
            (own(250, "2.0.0", "what"), "451 4.3.0 what\r\n"),
        ] {
            assert_eq!(wire(&reply.as_temporary()), expected);
        }
    }

    #[test]
    fn the_table_of_our_own() {
        for own in Own::ALL {
            let (row, reply) = (own.row(), own.with("x"));
            assert_eq!((reply.code(), reply.by()), (row.code, row.by), "{own:?}");
            let enhanced = reply.enhanced().map(|code| code.to_string());
            // One that does not fit its code would be left out.
            assert_eq!(enhanced.unwrap_or_default(), row.enhanced, "{own:?}");
            let text: String = reply.text().collect();
            assert_eq!(text, row.text.replace("{}", "x"), "{own:?}");
            // Only what refuses can be somebody's doing.
            let by_others = matches!(row.by, By::Limit | By::Rule | By::Client);
            assert!(!by_others || row.code >= 400, "{own:?}");
            // What a rule says is the rule's to word.
            let is_worded = row.text != "{}" || row.by == By::Rule;
            assert!(
                is_worded || matches!(own, Own::Hello | Own::BadArgument),
                "{own:?}"
            );
        }
    }
}
