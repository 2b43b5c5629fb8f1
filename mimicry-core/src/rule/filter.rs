//! Filters: one variant per criterion of a rule.
//!
//! - [`table`]: their names, levels and operands
//!
//! A filter judges the mail as it came. A filter on something absent never holds.
//!
//! Must never: change anything, or know which plugin asks.

use ipnet::IpNet;

mod table;

pub use table::{FILTERS, FilterSpec, Level, Operand};

use super::domains::{self, Domains};
use super::facts::{Facts, PartFacts};
use super::pattern::{self, PatternError, Patterns, Subject};
use super::position::Position;
use crate::domain::{any_spelling, any_spelling_of, of_address};
use crate::envelope::Path;
use crate::message::names::Unread;
use crate::units::parse_size_range;

/// A value as the configuration holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw<'a> {
    /// One truth, or those of a list.
    Bools(Vec<bool>),
    /// One text, or the texts of a list, in order.
    Texts(Vec<&'a str>),
}

/// What filters of one configuration share while it is loaded.
#[derive(Debug, Default)]
pub struct Books {
    pub patterns: pattern::Book,
    /// The domains of a filter must be in it before the filter is built.
    pub domains: domains::Book,
}

impl Books {
    /// From now on the filters judge.
    pub fn seal(self) {
        self.patterns.seal();
        self.domains.seal();
    }
}

/// Why a filter cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// Which of the texts is at fault; `None` = the value as a whole.
    pub index: Option<usize>,
    pub message: String,
    pub help: Option<String>,
}

/// One criterion with its operand.
#[derive(Clone, Debug)]
pub enum Filter {
    Sender(Patterns),
    Recipient(Patterns),
    SenderDomain(Domains),
    RecipientDomain(Domains),
    HeaderSender(Patterns),
    HeaderSenderDomain(Domains),
    HeaderRecipient(Patterns),
    /// The name in lower case.
    Header(String, Patterns),
    MailSize(Vec<(u64, u64)>),
    PartSize(Vec<(u64, u64)>),
    Type(Patterns),
    TypePath(Patterns),
    Filename(Patterns),
    Position(Vec<Position>),
    Disposition(Patterns),
    Charset(Patterns),
    Client(Vec<IpNet>),
    Listener(Vec<String>),
    Helo(Patterns),
    AuthUser(Patterns),
    Bulk(Vec<bool>),
    Signed(Vec<bool>),
    Encrypted(Vec<bool>),
    Malformed(Vec<bool>),
}

impl Filter {
    /// Finds the line of the table for a key; for `header.NAME` with the name. `None` = there is no such filter.
    pub fn lookup(key: &str) -> Option<(&'static FilterSpec, Option<&str>)> {
        if let Some(name) = key.strip_prefix("header.") {
            let spec = FILTERS.iter().find(|spec| spec.name == "header.")?;
            return (!name.is_empty()).then_some((spec, Some(name)));
        }
        FILTERS
            .iter()
            .find(|spec| spec.name == key)
            .map(|spec| (spec, None))
    }

    /// Builds the filter `key` (which [`Filter::lookup`] knows) from its value. It judges once the books are sealed.
    // Longer than 80 lines: an arm for each filter.
    pub fn new(key: &str, raw: &Raw<'_>, books: &mut Books) -> Result<Filter, FilterError> {
        let whole = |message: String| FilterError {
            index: None,
            message,
            help: None,
        };
        let Some((spec, header)) = Filter::lookup(key) else {
            return Err(whole(format!("there is no filter {key}")));
        };
        if spec.operand == Operand::Bool {
            let Raw::Bools(truths) = raw else {
                return Err(whole(format!("{key} is true or false")));
            };
            let truths = truths.clone();
            return Ok(match spec.name {
                "bulk" => Filter::Bulk(truths),
                "signed" => Filter::Signed(truths),
                "encrypted" => Filter::Encrypted(truths),
                _ => Filter::Malformed(truths),
            });
        }
        let Raw::Texts(texts) = raw else {
            return Err(whole(format!(
                "{key} is a {} in quotes, or a list of them",
                spec.operand.describe()
            )));
        };
        if texts.is_empty() {
            return Err(whole("an empty list never holds".into()));
        }
        let mut patterns = |subject: Subject| {
            let patterns = books.patterns.patterns(subject, texts);
            patterns.map_err(pattern_error)
        };
        let domains = || {
            let known = books.domains.known(texts);
            known
                .cloned()
                .ok_or_else(|| whole("these domains were not read".into()))
        };
        Ok(match spec.name {
            "sender" => Filter::Sender(patterns(Subject::Sender)?),
            "recipient" => Filter::Recipient(patterns(Subject::Recipient)?),
            "sender_domain" => Filter::SenderDomain(domains()?),
            "recipient_domain" => Filter::RecipientDomain(domains()?),
            "header_sender_domain" => Filter::HeaderSenderDomain(domains()?),
            "header_sender" => Filter::HeaderSender(patterns(Subject::HeaderSender)?),
            "header_recipient" => Filter::HeaderRecipient(patterns(Subject::HeaderRecipient)?),
            "header." => {
                let name = header.unwrap_or_default().to_ascii_lowercase();
                if !name
                    .bytes()
                    .all(|octet| (33..127).contains(&octet) && octet != b':')
                {
                    return Err(whole(format!("\"{name}\" is no name of a header field")));
                }
                Filter::Header(name.clone(), patterns(Subject::Header(name))?)
            }
            "mail_size" => Filter::MailSize(each(texts, parse_size_range)?),
            "part_size" => Filter::PartSize(each(texts, parse_size_range)?),
            "type" => Filter::Type(patterns(Subject::Type)?),
            "type_path" => Filter::TypePath(patterns(Subject::TypePath)?),
            "filename" => Filter::Filename(patterns(Subject::Filename)?),
            "position" => Filter::Position(each(texts, |text| {
                Position::parse(text).ok_or_else(|| {
                    format!(
                        "a position is one of {}, or a section number such as \"1.2\"",
                        Position::WORDS.join(", ")
                    )
                })
            })?),
            "disposition" => Filter::Disposition(patterns(Subject::Disposition)?),
            "charset" => Filter::Charset(patterns(Subject::Charset)?),
            "client" => Filter::Client(each(texts, parse_network)?),
            "listener" => Filter::Listener(texts.iter().map(ToString::to_string).collect()),
            "helo" => Filter::Helo(patterns(Subject::Helo)?),
            _ => Filter::AuthUser(patterns(Subject::AuthUser)?),
        })
    }

    /// The line of the table.
    pub fn spec(&self) -> &'static FilterSpec {
        let name = match self {
            Filter::Sender(_) => "sender",
            Filter::Recipient(_) => "recipient",
            Filter::SenderDomain(_) => "sender_domain",
            Filter::RecipientDomain(_) => "recipient_domain",
            Filter::HeaderSender(_) => "header_sender",
            Filter::HeaderSenderDomain(_) => "header_sender_domain",
            Filter::HeaderRecipient(_) => "header_recipient",
            Filter::Header(..) => "header.",
            Filter::MailSize(_) => "mail_size",
            Filter::PartSize(_) => "part_size",
            Filter::Type(_) => "type",
            Filter::TypePath(_) => "type_path",
            Filter::Filename(_) => "filename",
            Filter::Position(_) => "position",
            Filter::Disposition(_) => "disposition",
            Filter::Charset(_) => "charset",
            Filter::Client(_) => "client",
            Filter::Listener(_) => "listener",
            Filter::Helo(_) => "helo",
            Filter::AuthUser(_) => "auth_user",
            Filter::Bulk(_) => "bulk",
            Filter::Signed(_) => "signed",
            Filter::Encrypted(_) => "encrypted",
            Filter::Malformed(_) => "malformed",
        };
        // Every name above is in the table: a test walks it.
        FILTERS
            .iter()
            .find(|spec| spec.name == name)
            .unwrap_or(&FILTERS[0])
    }

    /// The key as written in the configuration.
    pub fn key(&self) -> String {
        match self {
            Filter::Header(name, _) => format!("header.{name}"),
            filter => filter.spec().name.to_string(),
        }
    }

    pub fn level(&self) -> Level {
        self.spec().level
    }

    /// Judges a filter of the levels Origin and Sender.
    pub fn holds_before_recipients(&self, origin: &crate::origin::Origin, sender: &Path) -> bool {
        match self {
            Filter::Client(networks) => origin.client.is_some_and(|client| {
                let client = client.to_canonical();
                networks.iter().any(|network| network.contains(&client))
            }),
            Filter::Listener(names) => origin
                .listener
                .as_ref()
                .is_some_and(|listener| names.contains(listener)),
            Filter::Helo(patterns) => origin
                .helo
                .as_ref()
                .is_some_and(|helo| any_spelling_of(helo, |helo| patterns.matches(helo))),
            Filter::AuthUser(patterns) => origin
                .auth_user
                .as_ref()
                .is_some_and(|user| any_spelling(user, |user| patterns.matches(user))),
            Filter::Sender(patterns) => {
                any_spelling_of(sender.as_bytes(), |sender| patterns.matches(sender))
            }
            Filter::SenderDomain(domains) => are_of(domains, sender.as_bytes()),
            _ => false,
        }
    }

    /// Judges a filter of the level Recipient.
    pub fn holds_for_recipient(&self, recipient: &Path) -> bool {
        match self {
            Filter::Recipient(patterns) => {
                any_spelling_of(recipient.as_bytes(), |path| patterns.matches(path))
            }
            Filter::RecipientDomain(domains) => are_of(domains, recipient.as_bytes()),
            _ => false,
        }
    }

    /// Judges a filter of the level Mail.
    pub fn holds_for_mail(&self, facts: &Facts<'_>) -> bool {
        match self {
            Filter::HeaderSender(patterns) => facts
                .header_senders()
                .iter()
                .any(|address| any_spelling(address, |one| patterns.matches(one))),
            Filter::HeaderSenderDomain(domains) => facts
                .header_senders()
                .iter()
                .any(|address| are_of(domains, address.as_bytes())),
            Filter::HeaderRecipient(patterns) => facts
                .header_recipients()
                .iter()
                .any(|address| any_spelling(address, |one| patterns.matches(one))),
            Filter::Header(name, patterns) => facts
                .header(name)
                .iter()
                .any(|value| patterns.matches(value)),
            Filter::MailSize(ranges) => in_ranges(ranges, facts.mail_size()),
            Filter::Bulk(truths) => truths.contains(&facts.bulk()),
            Filter::Signed(truths) => truths.contains(&facts.signed()),
            Filter::Encrypted(truths) => truths.contains(&facts.encrypted()),
            Filter::Malformed(truths) => truths.contains(&facts.malformed()),
            _ => false,
        }
    }

    /// Judges a filter of the level Part.
    pub fn holds_for_part(&self, part: &PartFacts<'_>) -> bool {
        match self {
            Filter::PartSize(ranges) => part.size().is_some_and(|size| in_ranges(ranges, size)),
            Filter::Type(patterns) => {
                let types = part.media_types();
                types.iter().any(|name| patterns.matches(name))
            }
            Filter::TypePath(patterns) => patterns.matches(part.type_path()),
            Filter::Filename(patterns) => part
                .names()
                .is_some_and(|names| names.any(|name| patterns.matches(name))),
            Filter::Position(positions) => {
                positions.iter().any(|position| part.stands_at(position))
            }
            Filter::Disposition(patterns) => part
                .disposition()
                .is_some_and(|word| patterns.matches(word)),
            Filter::Charset(patterns) => {
                part.charset().is_some_and(|label| patterns.matches(label))
            }
            _ => false,
        }
    }
}

impl Filter {
    /// As [`Filter::holds_for_part`], but of several names or types each must hold: what lets a part pass must not do so for a name
    /// that only some programs see.
    pub fn holds_for_every_name(&self, part: &PartFacts<'_>) -> bool {
        // Nobody can say for what another program finds.
        let is_open = matches!(
            self,
            Filter::Type(_) | Filter::TypePath(_) | Filter::Filename(_)
        );
        if is_open && part.doubt().is_some() {
            return false;
        }
        match self {
            Filter::Type(patterns) => {
                let types = part.media_types();
                !types.is_empty() && types.iter().all(|name| patterns.matches(name))
            }
            Filter::Filename(patterns) => part
                .names()
                .is_some_and(|names| names.every(|name| patterns.matches(name))),
            filter => filter.holds_for_part(part),
        }
    }

    /// Why it may hold for a part although it does not hold for anything that could be read.
    pub fn may_hold_for_part(&self, part: &PartFacts<'_>) -> Option<Unread> {
        match self {
            Filter::Filename(_) => part.names()?.unread(),
            _ => None,
        }
    }
}

/// A network in CIDR notation, or a single address. An address inside the network but not its first is accepted, as
/// Postfix does not: `192.0.2.7/24` is the network `192.0.2.0/24`.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = match text.parse::<IpNet>() {
        Ok(network) => network.trunc(),
        Err(_) => match text.parse::<std::net::IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => return Err(
                "a network is written as \"192.0.2.0/24\", \"2001:db8::/32\" or a single address"
                    .into(),
            ),
        },
    };
    Ok(network)
}

/// The network that is read, where an address within it is written: `192.0.2.7/24`.
#[must_use]
pub fn wider_than_written(text: &str) -> Option<IpNet> {
    let written: IpNet = text.trim().parse().ok()?;
    let network = written.trunc();
    (network != written).then_some(network)
}

/// Do the domains hold that of an address.
fn are_of(domains: &Domains, address: &[u8]) -> bool {
    of_address(address).is_some_and(|domain| domains.hold(&domain))
}

fn in_ranges(ranges: &[(u64, u64)], octets: u64) -> bool {
    ranges
        .iter()
        .any(|(low, high)| (*low..=*high).contains(&octets))
}

fn pattern_error(error: PatternError) -> FilterError {
    FilterError {
        index: Some(error.index),
        message: format!("not a regex: {}", error.message),
        help: None,
    }
}

fn each<T>(
    texts: &[&str],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, FilterError> {
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            parse(text).map_err(|help| FilterError {
                index: Some(index),
                message: format!("\"{text}\" is not understood"),
                help: Some(help),
            })
        })
        .collect()
}

/// The filters of `match` or of `unless`, sorted by the level at which each can be judged.
#[derive(Debug, Default)]
pub struct Filters([Vec<Filter>; Level::COUNT]);

impl Filters {
    pub fn push(&mut self, filter: Filter) {
        if let Some(list) = self.0.get_mut(filter.level() as usize) {
            list.push(filter);
        }
    }

    pub fn at(&self, level: Level) -> &[Filter] {
        self.0.get(level as usize).map_or(&[], Vec::as_slice)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Filter> {
        self.0.iter().flatten()
    }
}
