//! What a line made of the words of mail programs (`phrases/words.rs`) is: a divider, a header line, an introduction.
//!
//! Must never allocate more than a few copies of the line it is given (the callers bound it), nor take longer than a
//! fixed number of passes over it. Must never say that a mail is quoted: that takes the lines around, see `judge`.
//!
//! Known limits: in languages that are not among the words, only the shape of an introduction or of header lines is
//! recognised, and it is never certain.

mod dates;
mod groupwise;
mod plain;
mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use dates::{date_and_time, digit, has_whole_date};
pub(super) use groupwise::{is_between_marks, is_marked_introduction};
pub(super) use plain::{Ending, behind_dash, ending, is_plain};
pub(super) use words::Label;
use words::{BEGIN, FORWARDED, LABELS, OPENERS, ORIGINAL, SENT_FROM, VERBS};

/// A line that stands above a quoted mail and is no sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// `-----Original Message-----`, `-----Laura wrote: -----`, `--- On DATE, Laura wrote:`: known words behind dashes.
    Divider(&'static str),
    /// As many dashes as a divider has, around other words.
    Unknown,
    /// Fewer dashes around other words, or a summary as Notes writes it: something only if header lines follow.
    Dashes,
    /// `Begin forwarded message:`
    Begin,
    /// A line of underscores or dashes alone.
    Rule,
}

/// How much of an introduction (`On DATE, NAME <ADDRESS> wrote:`) a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// `On`, `Am`, `Le` … at the start.
    pub opener: bool,
    /// `wrote`, `schrieb`, `a écrit` …
    pub verb: bool,
    /// A day or a year.
    pub date: bool,
    pub time: bool,
    /// An `@` between two characters.
    pub address: bool,
    pub colon: bool,
}

impl Traits {
    pub(super) fn of(line: &str) -> Traits {
        if !ends_in_colon(line) {
            return Traits::default();
        }
        #[cfg(test)]
        looks::more(line.len());
        let line = line.trim_matches(is_decoration);
        let line = small(line.trim_start_matches(is_dash).trim_start());
        let (date, time) = date_and_time(&line);
        Traits {
            opener: OPENERS.iter().any(|opener| line.starts_with(opener)),
            verb: has_verb(&line),
            date,
            time,
            address: has_address(&line),
            colon: true,
        }
    }

    /// An introduction if a quote follows.
    pub(super) fn is_introduction(self) -> bool {
        self.colon && (self.facts() >= 2 || (self.verb && (self.facts() > 0 || self.opener)))
    }

    /// An introduction whatever follows.
    pub(super) fn is_complete(self) -> bool {
        self.colon && self.verb && self.facts() == 3
    }

    /// May a program have written it above a quoted mail whose lines bear no marks: what stands below is not certain then.
    pub(super) fn is_uncertain(self) -> bool {
        let facts = self.facts();
        self.is_introduction() && (self.verb || self.address && facts >= 2)
    }

    /// The higher, the more of the introduction is there: of a wrapped one, the lines with the highest belong to it.
    pub(super) fn weight(self) -> u8 {
        self.facts()
            .saturating_add(if self.opener { 3 } else { 0 })
            .saturating_add(u8::from(self.verb))
    }

    pub(super) fn facts(self) -> u8 {
        [self.date, self.time, self.address]
            .iter()
            .map(|&fact| u8::from(fact))
            .sum()
    }
}

/// Octets that were looked at as an introduction, and verbs that were compared with a word: time that a test can count.
#[cfg(test)]
pub(super) mod looks {
    use std::cell::Cell;

    thread_local!(static LOOKS: Cell<usize> = const { Cell::new(0) });

    pub(in super::super) fn count() -> usize {
        LOOKS.get()
    }

    pub(super) fn more(looks: usize) {
        LOOKS.set(LOOKS.get() + looks);
    }
}

/// Whether the line, blanks around it aside, ends in a colon.
pub(super) fn ends_in_colon(line: &str) -> bool {
    match line.as_bytes().last() {
        Some(octet) if is_bare(*octet) => *octet == b':',
        _ => line.trim_end_matches(is_decoration).ends_with(COLONS),
    }
}

/// `---- On DATE, Laura <laura@example.com> wrote ----`, as Zoho writes it: a divider that says all that an introduction does.
pub(super) fn is_dated_divider(line: &str) -> bool {
    let inner = bare(line).trim_matches(is_dash).trim();
    Traits::of(&format!("{inner}:")).is_complete()
}

pub(super) fn lead(line: &str) -> Option<Lead> {
    let line = bare(line);
    if line.starts_with(is_dash) {
        let inner = line.trim_matches(is_dash);
        if inner.is_empty() {
            return (line.chars().take(RULE).count() == RULE).then_some(Lead::Rule);
        }
        let dashes = |inner: &str| inner.chars().take_while(|&c| is_dash(c)).count();
        let tail = line.chars().rev().take_while(|&c| is_dash(c)).count();
        if dashes(line) >= 2 && tail == 0 {
            // As Yahoo wrote it.
            let traits = Traits::of(inner);
            let is_wrote = traits.verb && traits.is_introduction();
            return is_wrote.then_some(Lead::Divider("wrote-divider"));
        }
        if dashes(line) < 2 || tail < 2 {
            return None;
        }
        let is_wide = dashes(line) >= WIDE && tail >= WIDE;
        let inner = small(inner.trim().trim_end_matches(COLONS).trim_end());
        return Some(if ORIGINAL.contains(&inner.as_str()) {
            Lead::Divider("original-message")
        } else if FORWARDED.contains(&inner.as_str()) {
            Lead::Divider("forwarded-message")
        } else if has_verb(&inner) {
            Lead::Divider("wrote-divider")
        } else if is_wide {
            Lead::Unknown
        } else {
            Lead::Dashes
        });
    }
    if is_summary(line) {
        return Some(Lead::Dashes);
    }
    let words = small(line.strip_suffix(COLONS)?.trim_end());
    BEGIN.contains(&words.as_str()).then_some(Lead::Begin)
}

/// The header line that this is, if it starts with a known name and a colon.
pub(super) fn label(line: &str) -> Option<Label> {
    let line = bare_start(line);
    let (name, _) = split_at_colon(line.get(..line.floor_char_boundary(24 * 4))?)?;
    let at = name.len();
    if name.chars().count() >= 24 {
        return None;
    }
    let name = small(line.get(..at)?.trim_end_matches(is_decoration));
    if name == "received" {
        // People begin lines with that word too.
        let value = line.get(at..)?.trim_start_matches(COLONS).trim_start();
        let is_trace = ["from ", "by ", "("]
            .iter()
            .any(|start| value.starts_with(start));
        return is_trace.then_some(Label::Source);
    }
    let labels = labels();
    let label = labels.get(name.as_str());
    // A wide blank makes a name of two characters as long as one of three (`日　期`).
    let is_wide = || name.contains(' ') && !name.chars().any(is_spaced);
    let label = label.or_else(|| is_wide().then(|| labels.get(name.replace(' ', "").as_str()))?);
    label.copied()
}

/// The names of header lines: lines with a colon are many in some mails.
fn labels() -> &'static BTreeMap<&'static str, Label> {
    static BY_NAME: OnceLock<BTreeMap<&'static str, Label>> = OnceLock::new();
    let named = |(label, names): &'static (Label, &[&'static str])| {
        names.iter().map(|name| (*name, *label))
    };
    BY_NAME.get_or_init(|| LABELS.iter().flat_map(named).collect())
}

/// As [`label`], of a header line without a colon, as eM Client writes it: `From "Laura" <laura@example.com>`.
pub(super) fn bare_label(line: &str) -> Option<Label> {
    let line = small(line.trim_matches(is_decoration));
    let is_name = |name: &&str| {
        let value = line.strip_prefix(*name);
        value.is_some_and(|value| value.starts_with(' ') && !value.trim().is_empty())
    };
    let asked = [Label::From, Label::Sent, Label::To, Label::Subject];
    LABELS
        .iter()
        .filter(|(label, _)| asked.contains(label))
        .find(|(_, names)| names.iter().any(&is_name))
        .map(|(label, _)| *label)
}

/// What a line `Name: value` holds, whatever the tongue of the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub address: bool,
    /// A date with its time.
    pub dated: bool,
}

/// A header line by its shape.
pub(super) fn shape(line: &str) -> Option<Shape> {
    let (name, value) = split_at_colon(bare(line))?;
    let name = name.trim_matches(is_decoration);
    let is_word = |c: char| {
        c.is_alphabetic()
            || is_combining_mark(c)
            || is_unseen(c)
            || matches!(c, ' ' | '\u{A0}' | '-' | '.' | '\'')
    };
    let is_name = name.chars().take(NAME).count() < NAME
        && name.starts_with(char::is_alphabetic)
        && name.chars().all(is_word)
        && name.split_whitespace().count() <= 3;
    let value = value.trim_matches(is_decoration);
    if !is_name || value.is_empty() || value.starts_with("//") {
        return None;
    }
    let (_, time) = date_and_time(value);
    Some(Shape {
        address: has_address(value),
        dated: time && has_whole_date(value),
    })
}

/// `"Laura Chen" laura@example.com – March 19, 2024 3:58 PM`, as Nextcloud writes it: an introduction without words of its own.
pub(super) fn is_stamp(line: &str) -> bool {
    const LONGEST: usize = 80;
    let stamp = line.split_once('@').and_then(|(name, rest)| {
        let (_, when) = rest.split_once(char::is_whitespace)?;
        let is_short = name.len() <= LONGEST && when.len() <= LONGEST;
        (is_short && !when.contains('@')).then_some(when)
    });
    has_address(line) && stamp.is_some_and(|when| date_and_time(when) == (true, true))
}

/// The words that stand between the dashes of a divider, without dashes.
pub(super) fn is_bare_divider(line: &str) -> bool {
    let words = small(line.trim_matches(|c: char| !c.is_alphanumeric()));
    let words = words.as_str();
    [ORIGINAL, FORWARDED]
        .iter()
        .any(|known| known.contains(&words))
}

pub(super) fn has_address(line: &str) -> bool {
    let bytes = line.as_bytes();
    memchr::memchr_iter(b'@', bytes).any(|at| {
        let beside = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at))
                .is_some_and(|&b| b.is_ascii_alphanumeric() || b >= 0x80)
        };
        beside(at.checked_sub(1)) && beside(at.checked_add(1))
    })
}

/// Whether a signature, the footer of a mailing list or what a telephone adds starts with this line.
pub(super) fn starts_tail(line: &str) -> bool {
    let line = line.trim();
    if line == "--" || lead(line) == Some(Lead::Rule) {
        return true;
    }
    let line = line.to_lowercase();
    SENT_FROM.iter().any(|words| line.starts_with(words))
}

/// White space, what shows nothing, and what stands for bold type or a table in text made from HTML.
fn is_decoration(c: char) -> bool {
    c.is_whitespace() || is_unseen(c) || matches!(c, '*' | '|')
}

/// Without decoration around it: most lines have none.
fn bare(line: &str) -> &str {
    let octets = line.as_bytes();
    let is_bare = |octet: Option<&u8>| octet.is_some_and(|octet| is_bare(*octet));
    match is_bare(octets.first()) && is_bare(octets.last()) {
        true => line,
        false => line.trim_matches(is_decoration),
    }
}

/// A character of its own that is no decoration.
fn is_bare(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'*' | b'|')
}

/// Without decoration before it.
fn bare_start(line: &str) -> &str {
    match line.as_bytes().first() {
        Some(octet) if octet.is_ascii_alphanumeric() => line,
        _ => line.trim_start_matches(is_decoration),
    }
}

pub(super) fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{AD}')
}

/// In small letters, with one blank for any white space, the digits of ASCII, and with accents on their letters.
fn small(line: &str) -> String {
    let line: Cow<'_, str> = match line.chars().any(is_combining_mark) {
        true => Cow::Owned(line.nfc().collect()),
        false => Cow::Borrowed(line),
    };
    let mut out = String::with_capacity(line.len());
    for c in line.chars().filter(|&c| !is_unseen(c)) {
        if !c.is_whitespace() {
            // The small letter of the Turkish İ is two characters.
            out.extend(c.to_lowercase().filter(|&c| c != '\u{307}').map(digit));
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}

/// `Laura Chen ---03/19/2024 03:58:12 PM---Hello Peter, could you`, which Notes puts above the header lines.
fn is_summary(line: &str) -> bool {
    let octets = line.as_bytes();
    let mut dashes = memchr::memchr_iter(b'-', octets);
    if !dashes.any(|at| {
        octets
            .get(at..)
            .is_some_and(|rest| rest.starts_with(b"---"))
    }) {
        return false;
    }
    let mut parts = line.split("---");
    parts.next().is_some_and(|name| !name.is_empty())
        && parts
            .next()
            .is_some_and(|when| date_and_time(when) == (true, true))
        && parts.next().is_some()
}

/// Dashes on each side of a divider, as programs write it.
const WIDE: usize = 4;

/// Characters of the name of a header line, fewer than that.
const NAME: usize = 25;

/// Characters of a rule, at least.
const RULE: usize = 10;

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2500}')
}

const COLONS: [char; 2] = [':', '：'];

/// What stands before and after the first of [`COLONS`]. The first octet of the wide one is that of other characters too.
pub(super) fn split_at_colon(line: &str) -> Option<(&str, &str)> {
    memchr::memchr2_iter(b':', 0xEF, line.as_bytes()).find_map(|at| {
        let (before, rest) = line.split_at_checked(at)?;
        rest.strip_prefix(COLONS).map(|after| (before, after))
    })
}

fn has_verb(line: &str) -> bool {
    let verbs = verbs();
    let mut before = ' ';
    line.char_indices().any(|(at, c)| {
        // Neither `rewrote` nor `underwrote`; Chinese and Japanese have no blanks.
        let starts = c.is_alphabetic() && !(is_spaced(c) && is_spaced(before));
        before = c;
        let Some(verbs) = verbs.get(&c).filter(|_| starts) else {
            return false;
        };
        let rest = line.get(at..).unwrap_or_default();
        verbs.iter().any(|verb| {
            #[cfg(test)]
            looks::more(1);
            rest.starts_with(verb)
        })
    })
}

/// The verbs by their first letters: a hostile mail has a word of each line looked up.
fn verbs() -> &'static BTreeMap<char, Vec<&'static str>> {
    static BY_LETTER: OnceLock<BTreeMap<char, Vec<&'static str>>> = OnceLock::new();
    BY_LETTER.get_or_init(|| {
        let mut map: BTreeMap<char, Vec<&str>> = BTreeMap::new();
        for verb in VERBS {
            if let Some(first) = verb.chars().next() {
                map.entry(first).or_default().push(verb);
            }
        }
        map
    })
}

/// Letters of scripts that part words by blanks.
fn is_spaced(c: char) -> bool {
    c < '\u{2E80}' && c.is_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    #[test]
    fn introductions() {
        // Complete, or an introduction only because a quote follows.
        for (line, complete) in [
            ("On Tue, Mar 19, 2024 at 3:58 PM Laura Chen <laura@example.com> wrote:", true),
            ("On Mar 19, 2024, at 15:58, Laura Chen <laura@example.com> wrote:", true),
            ("On 19/03/2024 15:58, Laura Chen wrote:", false),
            ("On Tue, Mar 19, 2024, at 3:58 PM, Laura Chen wrote:", false),
            ("Am Di., 19. März 2024 um 15:58 Uhr schrieb Laura Chen <laura@example.com>:", true),
            ("Am 19.03.24 um 15:58 schrieb Laura Chen:", false),
            ("Laura Chen <laura@example.com> schrieb am Di., 19. März 2024, 15:58:", true),
            ("Le mar. 19 mars 2024 à 15:58, Laura Chen <laura@example.com> a écrit :", true),
            ("Le 19/03/2024 à 15h58, Laura Chen a\u{a0}écrit\u{a0}:", false),
            ("El mar, 19 mar 2024 a las 15:58, Laura Chen (<laura@example.com>) escribió:", true),
            ("Il giorno mar 19 mar 2024 alle ore 15:58 Laura Chen <laura@example.com> ha scritto:", true),
            ("Il 19/03/2024 15.58, Laura Chen ha scritto:", false),
            ("Op di 19 mrt 2024 om 15:58 schreef Laura Chen <laura@example.com>:", true),
            ("Laura Chen <laura@example.com> heeft op 19 mrt 2024 om 15:58 het volgende geschreven:", true),
            ("Em ter., 19 de mar. de 2024 às 15:58, Laura Chen <laura@example.com> escreveu:", true),
            ("wt., 19 mar 2024 o 15:58 Laura Chen <laura@example.com> napisał(a):", true),
            ("W dniu 19.03.2024 o 15:58, Laura Chen pisze:", false),
            ("Wiadomość napisana przez Laura Chen <laura@example.com> w dniu 19 mar 2024, o godz. 15:58:", true),
            ("Den tis 19 mars 2024 kl 15:58 skrev Laura Chen <laura@example.com>:", true),
            ("19 mars 2024 kl. 15:58 skrev Laura Chen <laura@example.com>:", true),
            ("út 19. 3. 2024 v 15:58 odesílatel Laura Chen <laura@example.com> napsal:", true),
            ("Dne 19. 03. 24 v 15:58 Laura Chen napsal(a):", false),
            ("вт, 19 мар. 2024 г. в 15:58, Laura Chen <laura@example.com>:", false),
            ("19.03.2024 15:58, Laura Chen пишет:", false),
            ("Вы писали 19 марта 2024 г., 15:58:33:", false),
            ("19 марта 2024 г., в 15:58, Laura Chen <laura@example.com> написал(а):", true),
            ("2024年3月19日(火) 15:58 Laura Chen <laura@example.com>:", false),
            ("2024/03/19 15:58、Laura Chen <laura@example.com>のメール:", true),
            ("Laura Chen <laura@example.com> 于2024年3月19日周二 15:58写道：", true),
            ("在 2024-03-19 15:58:12，\"Laura Chen\" <laura@example.com> 写道：", true),
            ("Laura Chen <laura@example.com> 於 2024年3月19日 週二 下午3:58寫道：", true),
            ("* Laura Chen <laura@example.com> [2024-03-19 15:58]:", false),
            ("вт, 19 бер. 2024 р. о 15:58 Laura Chen <laura@example.com> пише:", true),
            ("در تاریخ سه‌شنبه ۱۹ مارس ۲۰۲۴،‏ ۱۵:۵۸ Laura Chen <laura@example.com> نوشت:", true),
            ("في الثلاثاء، ١٩ مارس ٢٠٢٤ في ٣:٥٨ م كتب Laura Chen <laura@example.com>:", true),
            ("मंगल, 19 मार्च २०२४ को 3:58 pm बजे को Laura Chen <laura@example.com> ने लिखा:", true),
            ("ในวันที่ อ. 19 มี.ค. 2024 เวลา 15:58 Laura Chen <laura@example.com> เขียนว่า:", true),
            ("19/03/24 Sal 15:58 tarihinde Laura Chen <laura@example.com> şöyle yazıyor:", true),
        ] {
            let traits = Traits::of(line);
            assert!(traits.is_introduction(), "{line}: {traits:?}");
            assert_eq!(traits.is_complete(), complete, "{line}: {traits:?}");
        }
        for line in [
            "He wrote:", "See below:", "Laura wrote on 19.03.2024", "Meet at 15:58:", "I rewrote 2024:", "a@b.example:", "wrote:",
        ] {
            assert!(!Traits::of(line).is_introduction(), "{line}");
        }
    }

    #[test]
    fn leads() {
        for (line, is) in [
            (
                "-----Original Message-----",
                Some(Lead::Divider("original-message")),
            ),
            (
                " -------- Ursprüngliche Nachricht -------- ",
                Some(Lead::Divider("original-message")),
            ),
            (
                "*-----Message d'origine-----*",
                Some(Lead::Divider("original-message")),
            ),
            (
                "---------- Forwarded message ---------",
                Some(Lead::Divider("forwarded-message")),
            ),
            (
                "-----\"Laura Chen\" <laura@example.com> wrote: -----",
                Some(Lead::Divider("wrote-divider")),
            ),
            ("--- chapter two ---", Some(Lead::Dashes)),
            ("-----Oorspronklike skrywe-----", Some(Lead::Unknown)),
            (
                "--- On Mon, 11/23/26, Bob <bob@example.net> wrote:",
                Some(Lead::Divider("wrote-divider")),
            ),
            ("--- On Mon, 11/23/26:", None),
            ("-- Bob wrote:", None),
            (
                "-------- \u{130}letilmi\u{15f} \u{130}leti --------",
                Some(Lead::Divider("forwarded-message")),
            ),
            (
                "-----Urspru\u{308}ngliche Nachricht-----",
                Some(Lead::Divider("original-message")),
            ),
            (
                "Laura Chen ---03/19/2024 03:58:12 PM---Hello Peter",
                Some(Lead::Dashes),
            ),
            ("a---b---c", None),
            ("__________", Some(Lead::Rule)),
            ("——————————", Some(Lead::Rule)),
            ("_________", None),
            ("-- ", None),
            ("-- Laura", None),
            ("- Original Message -", None),
            ("Begin forwarded message:", Some(Lead::Begin)),
            ("Vidarebefordrat\u{a0}brev:", Some(Lead::Begin)),
            ("Begin forwarded message", None),
            ("Original Message", None),
        ] {
            assert_eq!(lead(line), is, "{line}");
        }
    }

    #[test]
    fn labels() {
        for (line, is) in [
            ("From: Laura", Some(Label::From)),
            ("*From:* Laura", Some(Label::From)),
            ("De\u{a0}: Laura", Some(Label::From)),
            ("Von:Laura", Some(Label::From)),
            ("发件人：Laura", Some(Label::From)),
            ("  Date:\tx", Some(Label::Sent)),
            ("SUBJECT: x", Some(Label::Subject)),
            ("Cc: x", Some(Label::Other)),
            ("Reply\n To: x", Some(Label::Other)),
            ("\u{200E}From: x", Some(Label::From)),
            ("From Laura: x", None),
            ("From", None),
            (": x", None),
            ("", None),
        ] {
            assert_eq!(label(line), is, "{line}");
        }
    }

    #[test]
    fn words_are_in_small_letters_and_stand_once() {
        let labels = LABELS.iter().map(|(_, names)| *names);
        for words in [OPENERS, VERBS, ORIGINAL, FORWARDED, BEGIN, SENT_FROM] {
            check(words.iter());
        }
        check(labels.flatten());

        fn check<'a>(words: impl Iterator<Item = &'a &'a str>) {
            let mut words: Vec<&str> = words.copied().collect();
            words.sort_unstable();
            for pair in words.windows(2) {
                assert_ne!(pair[0], pair[1]);
            }
            for word in words {
                assert_eq!(word, word.to_lowercase());
            }
        }
    }
}
