//! Which of many rules, or banks, can hold for a mail at all: those that ask for its sender, its recipient, its domain, are found by
//! these, and the others are never visited.
//!
//! Each has one entry: the filter that fewest mails pass. All entries on one kind of value are looked up in one step, whatever
//! their number. What has no entry is always a candidate.
//!
//! Must never: leave out what can hold. Whether a candidate holds, its filters say.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::domains::Domains;
use super::facts::{Facts, PartFacts};
use super::filter::{Filter, Filters, Level};
use super::pattern::{Patterns, Set};
use crate::domain::list::Table;
use crate::domain::{any_spelling_of, of_address};
use crate::envelope::Path;
use crate::message::names::Names;
use crate::origin::Origin;

/// What is known when candidates are asked for; `None` = not yet, and entries on it find nothing.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub origin: &'a Origin,
    pub sender: Option<&'a Path>,
    /// Any of them is enough.
    pub recipients: &'a [&'a Path],
    pub facts: Option<&'a Facts<'a>>,
}

/// Which filters may be entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// Those that are judged before the message is in.
    Envelope,
    /// Those on the header.
    Header,
    All,
}

/// Entries and what stands behind them, by numbers of the caller.
#[derive(Debug, Default)]
pub struct Index {
    always: Vec<u32>,
    sender: Words,
    recipient: Words,
    helo: Words,
    auth_user: Words,
    header_sender: Words,
    header_recipient: Words,
    /// By name of the field.
    headers: HashMap<String, Words>,
    listeners: HashMap<String, Vec<u32>>,
    sender_domain: Lists,
    recipient_domain: Lists,
    header_sender_domain: Lists,
    /// In the order of [`PART_VALUES`].
    parts: [Words; 5],
    /// All that have an entry in `parts`.
    by_part: Vec<u32>,
}

/// Entries by patterns on one kind of value.
#[derive(Debug, Default)]
struct Words {
    set: Arc<OnceLock<Set>>,
    by_pattern: HashMap<u32, Vec<u32>>,
}

/// Entries by lists of domains.
#[derive(Debug, Default)]
struct Lists {
    table: Arc<OnceLock<Table>>,
    by_list: HashMap<u32, Vec<u32>>,
}

impl Words {
    fn add(&mut self, patterns: &Patterns, number: u32) {
        self.set = Arc::clone(patterns.set());
        for id in patterns.ids() {
            self.by_pattern.entry(*id).or_default().push(number);
        }
    }

    fn find(&self, value: &[u8], found: &mut Vec<u32>) {
        let Some(set) = self.set.get().filter(|_| !self.by_pattern.is_empty()) else {
            return;
        };
        let behind = |id: &u32| self.by_pattern.get(id);
        found.extend(set.hits(value).iter().filter_map(behind).flatten());
    }

    fn find_spellings(&self, address: &[u8], found: &mut Vec<u32>) {
        if !self.by_pattern.is_empty() {
            any_spelling_of(address, |one| {
                self.find(one, found);
                false
            });
        }
    }
}

impl Lists {
    fn add(&mut self, domains: &Domains, number: u32) {
        self.table = Arc::clone(domains.table());
        self.by_list.entry(domains.list()).or_default().push(number);
    }

    fn find(&self, address: &[u8], found: &mut Vec<u32>) {
        let Some(table) = self.table.get().filter(|_| !self.by_list.is_empty()) else {
            return;
        };
        let Some(domain) = of_address(address) else {
            return;
        };
        let lists = table.lists_of(&domain).into_iter();
        found.extend(lists.filter_map(|list| self.by_list.get(&list)).flatten());
    }
}

impl Index {
    /// Of filters that must all hold, each with its number; `is_whole` = what its filters on parts do not take, nothing else makes it
    /// take.
    pub fn of<'f>(
        all: impl IntoIterator<Item = (u32, &'f Filters, bool)>,
        entries: Entries,
    ) -> Index {
        let mut index = Index::default();
        for (number, filters, is_whole) in all {
            match best(filters, entries, is_whole) {
                Some((_, filter)) => index.add(filter, number),
                None => index.always.push(number),
            }
        }
        index
    }

    /// Of what tells recipients apart, each with its number, its `match` and its `unless`: found is each whose `match` may hold for a
    /// recipient whom one of the two names. Where only `unless` names recipients, those whom it does not name are all alike.
    pub fn of_tellers<'f>(all: impl IntoIterator<Item = (u32, &'f Filters, &'f Filters)>) -> Index {
        let mut index = Index::default();
        for (number, matching, unless) in all {
            let best = best(matching, Entries::Envelope, false);
            let vetoes = unless.at(Level::Recipient);
            // Any of them vetoes, so all of them are entries, and the worst says what they are worth.
            let mut ranks = vetoes
                .iter()
                .map(|veto| rank(veto, Entries::Envelope, unless, false));
            let worst = ranks.try_fold(0, |worst, rank| Some(rank?.max(worst)));
            let worst = worst.filter(|_| matching.at(Level::Recipient).is_empty());
            match (best, worst) {
                (Some((rank, filter)), worst) if worst.is_none_or(|worst| rank <= worst) => {
                    index.add(filter, number);
                }
                (_, Some(_)) => vetoes.iter().for_each(|veto| index.add(veto, number)),
                _ => index.always.push(number),
            }
        }
        index
    }

    fn add(&mut self, filter: &Filter, number: u32) {
        match filter {
            Filter::Sender(patterns) => self.sender.add(patterns, number),
            Filter::Recipient(patterns) => self.recipient.add(patterns, number),
            Filter::HeaderSender(patterns) => self.header_sender.add(patterns, number),
            Filter::HeaderRecipient(patterns) => self.header_recipient.add(patterns, number),
            Filter::Header(name, patterns) => {
                let words = self.headers.entry(name.clone()).or_default();
                words.add(patterns, number);
            }
            Filter::Helo(patterns) => self.helo.add(patterns, number),
            Filter::AuthUser(patterns) => self.auth_user.add(patterns, number),
            Filter::SenderDomain(domains) => self.sender_domain.add(domains, number),
            Filter::RecipientDomain(domains) => self.recipient_domain.add(domains, number),
            Filter::HeaderSenderDomain(domains) => self.header_sender_domain.add(domains, number),
            Filter::Listener(names) => {
                for name in names {
                    self.listeners.entry(name.clone()).or_default().push(number);
                }
            }
            filter => match part_words(filter) {
                Some((place, patterns)) => {
                    self.by_part.push(number);
                    let words = self.parts.get_mut(place);
                    words
                        .into_iter()
                        .for_each(|words| words.add(patterns, number));
                }
                None => self.always.push(number),
            },
        }
    }

    /// What has no entry, in order.
    pub fn always(&self) -> &[u32] {
        &self.always
    }

    /// What the entries find, in order, each once.
    pub fn find(&self, asked: &Asked<'_>) -> Vec<u32> {
        let mut found = Vec::new();
        let origin = asked.origin;
        if let Some(behind) = (origin.listener.as_ref()).and_then(|name| self.listeners.get(name)) {
            found.extend(behind);
        }
        if let Some(helo) = &origin.helo {
            self.helo.find_spellings(helo, &mut found);
        }
        if let Some(sender) = asked.sender {
            self.sender.find_spellings(sender.as_bytes(), &mut found);
            self.sender_domain.find(sender.as_bytes(), &mut found);
            if let Some(user) = &origin.auth_user {
                self.auth_user.find_spellings(user.as_bytes(), &mut found);
            }
        }
        for recipient in asked.recipients {
            self.recipient
                .find_spellings(recipient.as_bytes(), &mut found);
            self.recipient_domain.find(recipient.as_bytes(), &mut found);
        }
        if let Some(facts) = asked.facts {
            self.find_by_header(facts, &mut found);
            self.find_by_parts(facts, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn find_by_header(&self, facts: &Facts<'_>, found: &mut Vec<u32>) {
        let is_used = |words: &Words| !words.by_pattern.is_empty();
        if is_used(&self.header_sender) || !self.header_sender_domain.by_list.is_empty() {
            for address in facts.header_senders() {
                self.header_sender.find_spellings(address.as_bytes(), found);
                self.header_sender_domain.find(address.as_bytes(), found);
            }
        }
        if is_used(&self.header_recipient) {
            for address in facts.header_recipients() {
                self.header_recipient
                    .find_spellings(address.as_bytes(), found);
            }
        }
        if self.headers.is_empty() {
            return;
        }
        // There may be more names in the rules than fields in the mail.
        for name in facts.header_names() {
            if let Some(words) = self.headers.get(name) {
                for value in facts.header(name).iter() {
                    words.find(value.as_bytes(), found);
                }
            }
        }
    }

    fn find_by_parts(&self, facts: &Facts<'_>, found: &mut Vec<u32>) {
        if self.by_part.is_empty() {
            return;
        }
        let [filenames, ..] = &self.parts;
        let asks_for_names = !filenames.by_pattern.is_empty();
        for part in facts.mail().message.parts() {
            let part = facts.part(part);
            let is_unread = || part.names().is_some_and(|names| names.unread().is_some());
            if part.doubt().is_some() || (asks_for_names && is_unread()) {
                // What cannot be seen may be what any of them asks for.
                found.extend(&self.by_part);
                return;
            }
            for (words, values) in self.parts.iter().zip(PART_VALUES) {
                if !words.by_pattern.is_empty() {
                    values(&part, &mut |value| words.find(value.as_bytes(), found));
                }
            }
        }
    }
}

/// Hands out each value that patterns on parts judge.
type PartValues = fn(&PartFacts<'_>, &mut dyn FnMut(&str));

const PART_VALUES: [PartValues; 5] = [
    |part, take| {
        let forms = part.names().into_iter().flat_map(Names::forms);
        forms.for_each(take);
    },
    |part, take| part.media_types().iter().for_each(|name| take(name)),
    |part, take| take(part.type_path()),
    |part, take| part.disposition().into_iter().for_each(take),
    |part, take| part.charset().into_iter().for_each(take),
];

/// The place in [`PART_VALUES`] and the patterns of a filter on parts.
fn part_words(filter: &Filter) -> Option<(usize, &Patterns)> {
    match filter {
        Filter::Filename(patterns) => Some((0, patterns)),
        Filter::Type(patterns) => Some((1, patterns)),
        Filter::TypePath(patterns) => Some((2, patterns)),
        Filter::Disposition(patterns) => Some((3, patterns)),
        Filter::Charset(patterns) => Some((4, patterns)),
        _ => None,
    }
}

/// The filter that fewest mails pass, with its rank; `None` = there is no entry among them.
fn best(filters: &Filters, entries: Entries, is_whole: bool) -> Option<(u32, &Filter)> {
    let ranked = filters
        .iter()
        .filter_map(|filter| Some((rank(filter, entries, filters, is_whole)?, filter)));
    ranked.min_by_key(|(rank, _)| *rank)
}

/// How few mails pass a filter, fewest first; `None` = it is no entry.
fn rank(filter: &Filter, entries: Entries, of: &Filters, is_whole: bool) -> Option<u32> {
    let is_header = filter.level() == Level::Mail;
    let is_part = filter.level() == Level::Part;
    let may = match entries {
        Entries::Envelope => !is_header && !is_part,
        Entries::Header => is_header,
        // What a part holds costs more to find out than whether the other filters hold.
        Entries::All => !is_part || (is_whole && of.iter().all(|one| one.level() == Level::Part)),
    };
    if !may {
        return None;
    }
    let worth = |rank: u32, patterns: &Patterns| match patterns.are_selective() {
        true => rank,
        false => rank.saturating_add(10),
    };
    Some(match filter {
        Filter::SenderDomain(_) | Filter::RecipientDomain(_) => 0,
        Filter::Sender(patterns) | Filter::Recipient(patterns) => worth(1, patterns),
        Filter::AuthUser(patterns) | Filter::Helo(patterns) => worth(2, patterns),
        Filter::HeaderSenderDomain(_) => 3,
        Filter::HeaderSender(patterns)
        | Filter::HeaderRecipient(patterns)
        | Filter::Header(_, patterns) => worth(3, patterns),
        Filter::Listener(_) => 5,
        filter => worth(4, part_words(filter)?.1),
    })
}

/// Some of the things of an index, in its order: the rules in force under a list of banks.
#[derive(Clone, Debug, Default)]
pub struct Shortlist {
    index: Arc<Index>,
    /// Their numbers.
    numbers: Vec<u32>,
    /// The places of those that have no entry.
    always: Vec<usize>,
}

impl Shortlist {
    /// Of numbers in order.
    pub fn new(index: &Arc<Index>, numbers: Vec<u32>) -> Shortlist {
        let has_no_entry = |number: &u32| index.always.binary_search(number).is_ok();
        let places = numbers.iter().enumerate();
        let always = places.filter(|(_, number)| has_no_entry(number));
        Shortlist {
            index: Arc::clone(index),
            always: always.map(|(place, _)| place).collect(),
            numbers,
        }
    }

    /// The places of those that can hold, in order.
    pub fn candidates(&self, asked: &Asked<'_>) -> Vec<usize> {
        let found = self.index.find(asked).into_iter();
        let place = |number: u32| self.numbers.binary_search(&number).ok();
        let mut places: Vec<usize> = found.filter_map(place).collect();
        if !self.always.is_empty() {
            places.extend(&self.always);
            places.sort_unstable();
            // A thing has an entry or none, but one for each of its places.
            places.dedup();
        }
        places
    }
}
