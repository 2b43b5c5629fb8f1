//! The SMTP extensions (RFC 5321 section 2.2): one row for each. The offer to clients, what a next hop offers, the parameters of
//! MAIL and RCPT, and the setting `hide_extensions` are all read off this table.
//!
//! To add an extension, write its row. If it has a parameter, the server must say which values are right
//! (`mimicryd/src/smtp/parameters.rs`); what else it does stands where it is done.
//!
//! Must never: read a connection, or say what an extension does to a mail.

use std::collections::BTreeMap;
use std::iter::Peekable;

use crate::reply::Own;
use crate::words::Word;

/// What is known of one extension.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub keyword: &'static str,
    /// What stands after the keyword in the reply to EHLO.
    pub says: Says,
    /// Who is offered it.
    pub offered: Offered,
    /// What the next hop must be able to do for that.
    pub next_hop: NextHopMust,
    /// What becomes of its parameters on the way to a next hop that lacks it.
    pub lacking: Lacking,
}

/// What stands after a keyword in the reply to EHLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Nothing,
    /// A number of octets.
    Octets,
    /// Words, in upper case; those that we say.
    Words(&'static [&'static str]),
}

/// Who is offered an extension. Banks can hide it with `hide_extensions` from everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    Always,
    /// Whom the listener trusts, or all if it has a certificate.
    ByListener,
    /// Nobody by name: its parameters are taken of whom the listener trusts.
    Unsaid,
}

/// What the next hop must be able to do for an extension to be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHopMust {
    /// Nothing: we do all of it.
    Nothing,
    /// It is not known to lack it.
    NotLackIt,
}

/// What becomes of the parameters of an extension that the next hop lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    Dropped,
    /// Dropped where the mail does not need it; one that does is refused with this reply.
    NeededOrDropped(Own),
}

/// The command that a parameter stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    Mail,
    Rcpt,
}

/// An extension is a row: its keyword, the columns of [`Row`], and the parameters that it brings to MAIL and RCPT.
macro_rules! extensions {
    ($(
        $(#[$doc:meta])*
        $name:ident = $keyword:literal {
            says: $says:expr, offered: $offered:ident, next_hop: $next_hop:ident, lacking: $lacking:expr,
            mail: [$($mail:ident = $mail_keyword:literal),*],
            rcpt: [$($rcpt:ident = $rcpt_keyword:literal),*],
        }
    )+) => {
        /// An SMTP extension.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Extension {
            $($(#[$doc])* $name,)+
        }

        impl Extension {
            /// In the order of our reply to EHLO.
            pub const ALL: &'static [Extension] = &[$(Extension::$name,)+];

            pub const fn row(self) -> Row {
                match self {
                    $(Extension::$name => Row {
                        keyword: $keyword,
                        says: $says,
                        offered: Offered::$offered,
                        next_hop: NextHopMust::$next_hop,
                        lacking: $lacking,
                    },)+
                }
            }
        }

        /// A parameter of MAIL or RCPT that an extension brings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Parameter {
            $($($mail,)* $($rcpt,)*)+
        }

        impl Parameter {
            pub const ALL: &'static [Parameter] = &[$($(Parameter::$mail,)* $(Parameter::$rcpt,)*)+];

            pub const fn keyword(self) -> &'static str {
                match self {
                    $($(Parameter::$mail => $mail_keyword,)* $(Parameter::$rcpt => $rcpt_keyword,)*)+
                }
            }

            /// The one that brings it.
            pub const fn extension(self) -> Extension {
                match self {
                    $($(Parameter::$mail => Extension::$name,)* $(Parameter::$rcpt => Extension::$name,)*)+
                }
            }

            pub const fn bearer(self) -> Bearer {
                match self {
                    $($(Parameter::$mail => Bearer::Mail,)* $(Parameter::$rcpt => Bearer::Rcpt,)*)+
                }
            }
        }
    };
}

extensions! {
    /// Several commands in one write (RFC 2920).
    Pipelining = "PIPELINING" {
        says: Says::Nothing, offered: Always, next_hop: Nothing, lacking: Lacking::Dropped,
        mail: [],
        rcpt: [],
    }
    /// The size of a mail, told before it comes (RFC 1870); the offer is the smaller limit of ours and the next hop's.
    Size = "SIZE" {
        says: Says::Octets, offered: Always, next_hop: Nothing, lacking: Lacking::Dropped,
        mail: [Size = "SIZE"],
        rcpt: [],
    }
    /// 8-bit content (RFC 6152). For a next hop without it we make the mail 7-bit.
    EightBitMime = "8BITMIME" {
        says: Says::Nothing, offered: Always, next_hop: NotLackIt, lacking: Lacking::Dropped,
        mail: [Body = "BODY"],
        rcpt: [],
    }
    /// Addresses and header fields in UTF-8 (RFC 6531), which cannot be written otherwise.
    SmtpUtf8 = "SMTPUTF8" {
        says: Says::Nothing, offered: Always, next_hop: NotLackIt, lacking: Lacking::NeededOrDropped(Own::NoUtf8),
        mail: [SmtpUtf8 = "SMTPUTF8"],
        rcpt: [],
    }
    /// What reports of the delivery are wanted (RFC 3461); section 5.2.2 lets a relay drop that.
    Dsn = "DSN" {
        says: Says::Nothing, offered: Always, next_hop: NotLackIt, lacking: Lacking::Dropped,
        mail: [Ret = "RET", Envid = "ENVID"],
        rcpt: [Notify = "NOTIFY", Orcpt = "ORCPT"],
    }
    /// Replies with a code of three numbers (RFC 2034).
    EnhancedStatusCodes = "ENHANCEDSTATUSCODES" {
        says: Says::Nothing, offered: Always, next_hop: Nothing, lacking: Lacking::Dropped,
        mail: [],
        rcpt: [],
    }
    /// Where the client had the mail from (Postfix, XFORWARD_README), with the attributes that may be told.
    Xforward = "XFORWARD" {
        says: Says::Words(&["NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"]),
        offered: ByListener, next_hop: Nothing, lacking: Lacking::Dropped,
        mail: [],
        rcpt: [],
    }
    /// TLS on the connection (RFC 3207).
    StartTls = "STARTTLS" {
        says: Says::Nothing, offered: ByListener, next_hop: Nothing, lacking: Lacking::Dropped,
        mail: [],
        rcpt: [],
    }
    /// Logging in (RFC 4954), with its mechanisms. Nobody logs in here; AUTH= in MAIL says who did elsewhere (section 5).
    Auth = "AUTH" {
        says: Says::Words(&[]), offered: Unsaid, next_hop: Nothing, lacking: Lacking::Dropped,
        mail: [Auth = "AUTH"],
        rcpt: [],
    }
}

/// How many EHLO may name.
const NUMBER_OFFERED: usize = {
    let (mut at, mut number) = (0, 0);
    while at < Extension::ALL.len() {
        if Extension::ALL[at].is_said() {
            number += 1;
        }
        at += 1;
    }
    number
};

const KEYWORDS_OFFERED: [&str; NUMBER_OFFERED] = {
    let mut keywords = [""; NUMBER_OFFERED];
    let (mut at, mut number) = (0, 0);
    while at < Extension::ALL.len() {
        if Extension::ALL[at].is_said() {
            keywords[number] = Extension::ALL[at].row().keyword;
            number += 1;
        }
        at += 1;
    }
    keywords
};

impl Extension {
    /// In any case, as servers write it.
    pub fn from_keyword(keyword: &[u8]) -> Option<Extension> {
        let mut all = Extension::ALL.iter().copied();
        all.find(|one| one.row().keyword.as_bytes().eq_ignore_ascii_case(keyword))
    }

    /// May EHLO name it?
    const fn is_said(self) -> bool {
        !matches!(self.row().offered, Offered::Unsaid)
    }
}

/// The words of `hide_extensions`: what EHLO may name.
impl Word for Extension {
    const WORDS: &'static [&'static str] = &KEYWORDS_OFFERED;

    fn from_word(word: &str) -> Option<Extension> {
        let mut all = Extension::ALL.iter().copied();
        all.find(|one| one.is_said() && one.row().keyword == word)
    }

    fn word(self) -> &'static str {
        self.row().keyword
    }
}

impl Parameter {
    /// That of this command, in any case.
    pub fn from_keyword(bearer: Bearer, keyword: &[u8]) -> Option<Parameter> {
        let mut all = Parameter::ALL.iter().copied();
        all.find(|one| {
            one.bearer() == bearer && one.keyword().as_bytes().eq_ignore_ascii_case(keyword)
        })
    }
}

/// Extensions that a server offers: we to a client, or a next hop to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions(BTreeMap<Extension, Said>);

/// What was said after a keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Octets(u64),
    Words(Vec<String>),
}

impl Extensions {
    pub const NONE: Extensions = Extensions(BTreeMap::new());

    /// All that we can name, with mails of up to `size` octets; what needs trust or a certificate the listener takes out.
    pub fn ours(size: usize) -> Extensions {
        let said = Extension::ALL.iter().filter(|one| one.is_said());
        let mut ours = Extensions::of(said.copied());
        ours.limit(u64::try_from(size).unwrap_or(u64::MAX));
        ours
    }

    /// These, with what we say of them.
    pub fn of(extensions: impl IntoIterator<Item = Extension>) -> Extensions {
        let with_text = |extension: Extension| {
            let said = match extension.row().says {
                Says::Nothing => Said::Nothing,
                Says::Octets => Said::Octets(0),
                Says::Words(words) => {
                    Said::Words(words.iter().copied().map(String::from).collect())
                }
            };
            (extension, said)
        };
        Extensions(extensions.into_iter().map(with_text).collect())
    }

    /// From the lines of a reply to EHLO, without codes; the first is the name of the server. Some servers name one twice, AUTH
    /// in the form of Outlook's days.
    pub fn from_lines<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Extensions {
        let mut found = Extensions::NONE;
        for line in lines.into_iter().skip(1) {
            let mut words = line
                .split(|octet| matches!(octet, b' ' | b'\t' | b'='))
                .filter(|word| !word.is_empty());
            let Some(extension) = words.next().and_then(Extension::from_keyword) else {
                continue;
            };
            match extension.row().says {
                Says::Nothing => {
                    found.0.insert(extension, Said::Nothing);
                }
                Says::Octets => {
                    let octets = words.next().and_then(number).unwrap_or(0);
                    found.0.insert(extension, Said::Octets(octets));
                }
                Says::Words(_) => found.add_words(extension, words.peekable()),
            }
        }
        found
    }

    /// Without any, nothing can be done with the extension: it is not there.
    fn add_words<'w>(
        &mut self,
        extension: Extension,
        mut words: Peekable<impl Iterator<Item = &'w [u8]>>,
    ) {
        if words.peek().is_none() {
            return;
        }
        let said = self.0.entry(extension);
        if let Said::Words(list) = said.or_insert_with(|| Said::Words(Vec::new())) {
            let words = words.filter_map(|word| std::str::from_utf8(word).ok());
            list.extend(words.map(str::to_ascii_uppercase));
        }
    }

    /// The keywords and what stands after them, each on a line of its own, before which a line ends.
    pub fn write(&self, text: &mut String) {
        for (extension, said) in self.0.iter().filter(|(extension, _)| extension.is_said()) {
            text.push('\n');
            text.push_str(extension.row().keyword);
            match said {
                Said::Nothing => {}
                Said::Octets(octets) => text.push_str(&format!(" {octets}")),
                Said::Words(words) => {
                    for word in words {
                        text.push(' ');
                        text.push_str(word);
                    }
                }
            }
        }
    }

    pub fn contains(&self, extension: Extension) -> bool {
        self.0.contains_key(&extension)
    }

    /// Keeps one only if this holds.
    pub fn keep(&mut self, extension: Extension, holds: bool) {
        if !holds {
            self.0.remove(&extension);
        }
    }

    pub fn add(&mut self, extension: Extension) {
        self.0.extend(Extensions::of([extension]).0);
    }

    #[must_use]
    pub fn without(mut self, hidden: &[Extension]) -> Extensions {
        self.0.retain(|extension, _| !hidden.contains(extension));
        self
    }

    /// As far as the next hop has what it takes; `None` = what it can do is not known. Then nothing is left out: a client that
    /// is not offered what its mail needs returns it, and a mail that is deferred costs a moment.
    #[must_use]
    pub fn through(mut self, next_hop: Option<&Extensions>) -> Extensions {
        self.0.retain(|extension, _| {
            let has = next_hop.map(|known| known.contains(*extension));
            match extension.row().next_hop {
                NextHopMust::Nothing => true,
                NextHopMust::NotLackIt => has.unwrap_or(true),
            }
        });
        let own = self.size();
        if let Some((own, limit)) = own.zip(next_hop.and_then(Extensions::size))
            && limit > 0
        {
            self.limit(own.min(limit));
        }
        self
    }

    /// The same, with no word of how large a mail may be.
    #[must_use]
    pub fn of_any_size(mut self) -> Extensions {
        if self.size().is_some() {
            self.limit(0);
        }
        self
    }

    /// The words after the keyword, in upper case.
    pub fn words(&self, extension: Extension) -> &[String] {
        match self.0.get(&extension) {
            Some(Said::Words(words)) => words,
            _ => &[],
        }
    }

    /// The limit that SIZE names, in octets; `Some(0)` = any size.
    pub fn size(&self) -> Option<u64> {
        match self.0.get(&Extension::Size) {
            Some(Said::Octets(octets)) => Some(*octets),
            _ => None,
        }
    }

    /// May a mail of so many octets be sent?
    pub fn takes(&self, size: u64) -> bool {
        self.size().is_none_or(|limit| limit == 0 || size <= limit)
    }

    fn limit(&mut self, octets: u64) {
        self.0.insert(Extension::Size, Said::Octets(octets));
    }
}

/// Decimal digits; a number too large is the largest.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number: u64, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(text: &str) -> Extensions {
        Extensions::from_lines(text.split('|').map(str::as_bytes))
    }

    fn written(extensions: &Extensions) -> String {
        let mut text = String::from("mx");
        extensions.write(&mut text);
        text.replace('\n', "|")
    }

    /// Each is read from a reply to EHLO, in any case, and offered back by the same word; and what cannot be named cannot be hidden.
    #[test]
    fn each_is_read_offered_and_hidden_by_the_same_word() {
        for extension in Extension::ALL.iter().copied() {
            let row = extension.row();
            let text = match row.says {
                Says::Nothing => String::new(),
                Says::Octets => " 1000".to_string(),
                Says::Words([]) => " X".to_string(),
                Says::Words(words) => format!(" {}", words.join(" ")),
            };
            let line = format!("mx|{}{text}", row.keyword);
            let read = offered(&line.to_ascii_lowercase());
            assert!(read.contains(extension), "{line}");
            assert_eq!(read.0.len(), 1, "{line}");
            let is_said = row.offered != Offered::Unsaid;
            assert_eq!(written(&read), if is_said { &line } else { "mx" });
            assert_eq!(
                Extensions::ours(1000).contains(extension),
                is_said,
                "{line}"
            );
            assert_eq!(Extension::WORDS.contains(&row.keyword), is_said, "{line}");
            let hidden = Extension::from_word(row.keyword);
            assert_eq!(hidden, is_said.then_some(extension));
            let hidden: Vec<Extension> = hidden.into_iter().collect();
            let left = Extensions::ours(1000).without(&hidden);
            assert!(!left.contains(extension), "{line}");
            assert_eq!(left.0.len(), Extension::WORDS.len() - hidden.len());
        }
    }

    #[test]
    fn each_parameter_is_found_at_its_command_only() {
        for parameter in Parameter::ALL.iter().copied() {
            for bearer in [Bearer::Mail, Bearer::Rcpt] {
                let keyword = parameter.keyword().to_ascii_lowercase();
                let found = Parameter::from_keyword(bearer, keyword.as_bytes());
                assert_eq!(
                    found,
                    (parameter.bearer() == bearer).then_some(parameter),
                    "{keyword}"
                );
            }
        }
    }

    #[test]
    fn our_offer_and_what_the_next_hop_makes_of_it() {
        let all = "PIPELINING|SIZE 1000|8BITMIME|SMTPUTF8|DSN|ENHANCEDSTATUSCODES|XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE|STARTTLS";
        let ours = Extensions::ours(1000);
        assert_eq!(written(&ours), format!("mx|{all}"));
        for (next_hop, taken_out, size) in [
            (None, vec![], "1000"),
            (Some("mx"), vec!["8BITMIME|", "SMTPUTF8|", "DSN|"], "1000"),
            (Some("mx|DSN|SIZE 10"), vec!["8BITMIME|", "SMTPUTF8|"], "10"),
            (Some("mx|8BITMIME|SMTPUTF8|DSN|SIZE 5000"), vec![], "1000"),
            (Some("mx|8BITMIME|SMTPUTF8|SIZE"), vec!["DSN|"], "1000"),
        ] {
            let known = next_hop.map(offered);
            let mut expected = format!("mx|{}", all.replace("1000", size));
            for word in taken_out {
                expected = expected.replace(word, "");
            }
            let through = ours.clone().through(known.as_ref());
            assert_eq!(written(&through), expected, "{next_hop:?}");
        }
        let hidden = ours.without(&[Extension::Size]);
        assert_eq!(hidden.through(Some(&offered("mx|SIZE 10"))).size(), None);
    }

    #[test]
    fn replies_to_ehlo() {
        assert_eq!(offered("mx.example.org"), Extensions::NONE);
        // The first line is a name, whatever it says.
        assert_eq!(offered("DSN"), Extensions::NONE);
        let all = offered(
            "mx|SIZE 10240000|8bitmime|SmtpUtf8|DSN|PIPELINING|AUTH PLAIN LOGIN|STARTTLS|XFORWARD name ADDR PROTO|X-ODD",
        );
        assert_eq!(
            written(&all),
            "mx|PIPELINING|SIZE 10240000|8BITMIME|SMTPUTF8|DSN|XFORWARD NAME ADDR PROTO|STARTTLS"
        );
        assert_eq!(all.words(Extension::Auth), ["PLAIN", "LOGIN"]);
        for (line, size) in [
            ("SIZE", Some(0)),
            ("SIZE 0", Some(0)),
            ("SIZE=5", Some(5)),
            ("SIZE  7 ", Some(7)),
            ("SIZE x", Some(0)),
            ("SIZE 99999999999999999999999", Some(u64::MAX)),
            ("SIZEX 5", None),
        ] {
            assert_eq!(offered(&format!("mx|{line}")).size(), size, "{line}");
        }
        let twice = offered("mx|AUTH=plain|AUTH X");
        assert_eq!(twice.words(Extension::Auth), ["PLAIN", "X"]);
        assert_eq!(offered("mx|AUTH|XFORWARD"), Extensions::NONE);
    }
}
