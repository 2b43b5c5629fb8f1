//! What a text must hold that a pattern matches: literals, read off the pattern's tree. Where the tree is nothing but literals,
//! they decide; where it is more, they tell which of many patterns are worth a match.
//!
//! All of it is about folded texts: letters of ASCII in lower case, and the two characters outside of ASCII that are the same but
//! for case as a letter of ASCII (the long s, the sign for kelvin) as that letter ([`fold`]).
//!
//! Must never: claim a literal that some matching text lacks.

use std::borrow::Cow;

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// Literals of one pattern at most.
const WORDS: usize = 64;
/// Octets of them together.
const OCTETS: usize = 4096;

const LONG_S: &[u8] = "\u{17f}".as_bytes();
const KELVIN: &[u8] = "\u{212a}".as_bytes();

/// A literal, and whether it must stand at an end of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) literal: Vec<u8>,
    pub(super) start: bool,
    pub(super) end: bool,
}

/// What the literals of a pattern say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It matches if and only if one of them is there.
    Exact(Vec<Item>),
    /// It matches only if one of them is there.
    AnyOf(Vec<Item>),
    /// Nothing.
    Nothing,
}

/// The text with its case folded, as far as ASCII is concerned.
pub(super) fn fold(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return match text.iter().any(u8::is_ascii_uppercase) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        };
    }
    let mut folded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((octet, after)) = rest.split_first() {
        let (octet, after) = match octet {
            0xc5 if rest.starts_with(LONG_S) => (b's', rest.get(LONG_S.len()..)),
            0xe2 if rest.starts_with(KELVIN) => (b'k', rest.get(KELVIN.len()..)),
            octet => (octet.to_ascii_lowercase(), Some(after)),
        };
        folded.push(octet);
        rest = after.unwrap_or_default();
    }
    Cow::Owned(folded)
}

/// What a text must hold for the tree to match somewhere in it.
pub(super) fn need(hir: &Hir) -> Need {
    let mut items = Vec::new();
    let mut is_exact = true;
    for branch in branches(hir) {
        let (start, parts, end) = anchors(branch);
        let language = concat(parts.iter().copied());
        match (language.words, language.guard) {
            (Some(words), _) => {
                is_exact &= language.is_faithful;
                items.extend(words.into_iter().map(|literal| Item {
                    literal,
                    start,
                    end,
                }));
            }
            (None, Some(guard)) => {
                is_exact = false;
                items.extend(guard.into_iter().map(|literal| Item {
                    literal,
                    start: false,
                    end: false,
                }));
            }
            (None, None) => return Need::Nothing,
        }
    }
    if is_exact {
        return Need::Exact(items);
    }
    // An empty literal is no help.
    match items.iter().any(|item| item.literal.is_empty()) {
        true => Need::Nothing,
        false => Need::AnyOf(items),
    }
}

/// The alternatives at the top of the tree.
fn branches(hir: &Hir) -> Vec<&Hir> {
    match hir.kind() {
        HirKind::Capture(capture) => branches(&capture.sub),
        HirKind::Alternation(subs) => subs.iter().flat_map(branches).collect(),
        _ => vec![hir],
    }
}

/// The parts of an alternative without the anchors at its ends.
fn anchors(hir: &Hir) -> (bool, Vec<&Hir>, bool) {
    let mut parts: Vec<&Hir> = match hir.kind() {
        HirKind::Concat(subs) => subs.iter().collect(),
        _ => vec![hir],
    };
    let is = |part: Option<&&Hir>, look: Look| {
        part.is_some_and(|part| matches!(part.kind(), HirKind::Look(found) if *found == look))
    };
    let start = is(parts.first(), Look::Start);
    if start {
        parts.remove(0);
    }
    let end = is(parts.last(), Look::End);
    if end {
        parts.pop();
    }
    (start, parts, end)
}

/// What is known of the texts that a tree matches.
#[derive(Clone, Debug)]
struct Language {
    /// All of them, folded; `None` = too many.
    words: Option<Vec<Vec<u8>>>,
    /// It matches exactly the texts that fold to the words.
    is_faithful: bool,
    /// Each of them holds one of these.
    guard: Option<Vec<Vec<u8>>>,
}

impl Language {
    fn of_words(words: Vec<Vec<u8>>, is_faithful: bool) -> Language {
        Language {
            words: Some(words),
            is_faithful,
            guard: None,
        }
    }

    fn unknown(guard: Option<Vec<Vec<u8>>>) -> Language {
        Language {
            words: None,
            is_faithful: false,
            guard,
        }
    }

    fn empty(is_faithful: bool) -> Language {
        Language::of_words(vec![Vec::new()], is_faithful)
    }

    /// What each text holds.
    fn into_guard(self) -> Option<Vec<Vec<u8>>> {
        match self.words {
            Some(words) if words.iter().all(|word| !word.is_empty()) => Some(words),
            Some(_) => None,
            None => self.guard,
        }
    }
}

// The tree is no deeper than the parser's limit on nesting.
fn language(hir: &Hir) -> Language {
    match hir.kind() {
        HirKind::Empty => Language::empty(true),
        HirKind::Look(_) => Language::empty(false),
        HirKind::Literal(literal) => of_literal(&literal.0),
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(capture) => language(&capture.sub),
        HirKind::Repetition(repetition) => of_repetition(repetition),
        HirKind::Concat(subs) => concat(subs.iter()),
        HirKind::Alternation(subs) => alternation(subs),
    }
}

/// A literal of the tree is one whose case matters, or that has none.
fn of_literal(octets: &[u8]) -> Language {
    if octets.is_ascii() {
        let is_faithful = !octets.iter().any(u8::is_ascii_alphabetic);
        return Language::of_words(vec![octets.to_ascii_lowercase()], is_faithful);
    }
    let runs = octets.split(|octet| !octet.is_ascii());
    let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
    Language::unknown((!longest.is_empty()).then(|| vec![longest.to_ascii_lowercase()]))
}

fn of_class(class: &Class) -> Language {
    // No more than the letters of a small class with their other cases.
    const MOST: u32 = 128;
    let mut chars: Vec<char> = Vec::new();
    match class {
        Class::Unicode(class) => {
            for range in class.iter() {
                let length = u32::from(range.end()).saturating_sub(u32::from(range.start()));
                if length > MOST {
                    return Language::unknown(None);
                }
                chars.extend(range.start()..=range.end());
            }
        }
        Class::Bytes(class) => {
            for range in class.iter() {
                if !range.end().is_ascii() {
                    return Language::unknown(None);
                }
                chars.extend((range.start()..=range.end()).map(char::from));
            }
        }
    }
    let mut folded = Vec::new();
    for char in &chars {
        folded.push(match char {
            '\u{17f}' => b's',
            '\u{212a}' => b'k',
            char if char.is_ascii() => char.to_ascii_lowercase() as u8,
            _ => return Language::unknown(None),
        });
    }
    folded.sort_unstable();
    folded.dedup();
    let is_faithful = folded.iter().all(|octet| {
        let letter = char::from(*octet);
        let other = match letter {
            's' => '\u{17f}',
            'k' => '\u{212a}',
            letter => letter,
        };
        let all = [letter, letter.to_ascii_uppercase(), other];
        all.iter().all(|one| chars.contains(one))
    });
    match folded.len() <= WORDS {
        true => Language::of_words(
            folded.into_iter().map(|octet| vec![octet]).collect(),
            is_faithful,
        ),
        false => Language::unknown(None),
    }
}

fn of_repetition(repetition: &Repetition) -> Language {
    /// What is repeated more often is not written out.
    const TIMES: u32 = 16;
    let sub = language(&repetition.sub);
    match (repetition.min, repetition.max) {
        (0, Some(1)) => match sub.words {
            Some(mut words) => {
                words.push(Vec::new());
                Language::of_words(words, sub.is_faithful)
            }
            None => Language::unknown(None),
        },
        (0, _) => Language::unknown(None),
        (min, Some(max)) if min == max && min <= TIMES => {
            let copies = (0..min).map(|_| &*repetition.sub);
            concat(copies)
        }
        _ => Language::unknown(sub.into_guard()),
    }
}

fn alternation(subs: &[Hir]) -> Language {
    let languages: Vec<Language> = subs.iter().map(language).collect();
    if languages.iter().all(|one| one.words.is_some()) {
        let is_faithful = languages.iter().all(|one| one.is_faithful);
        let words: Vec<Vec<u8>> = (languages.iter())
            .flat_map(|one| one.words.iter().flatten().cloned())
            .collect();
        if is_small(&words) {
            return Language::of_words(words, is_faithful);
        }
        return Language::unknown(None);
    }
    let guards: Option<Vec<Vec<Vec<u8>>>> =
        languages.into_iter().map(Language::into_guard).collect();
    let guard: Option<Vec<Vec<u8>>> = guards.map(|guards| guards.into_iter().flatten().collect());
    Language::unknown(guard.filter(|guard| is_small(guard)))
}

fn concat<'h>(subs: impl Iterator<Item = &'h Hir>) -> Language {
    let mut run: Vec<Vec<u8>> = vec![Vec::new()];
    let mut is_whole = true;
    let mut is_faithful = true;
    let mut best: Option<Vec<Vec<u8>>> = None;
    for sub in subs {
        let sub = language(sub);
        is_faithful &= sub.is_faithful;
        let joined = sub.words.as_ref().and_then(|words| cross(&run, words));
        if let Some(joined) = joined {
            run = joined;
            continue;
        }
        is_whole = false;
        let ended = std::mem::replace(&mut run, vec![Vec::new()]);
        best = better(best, Some(ended));
        match sub.words {
            // It begins the next run.
            Some(words) if is_small(&words) => run = words,
            _ => best = better(best, sub.into_guard()),
        }
    }
    if is_whole {
        return Language::of_words(run, is_faithful);
    }
    Language::unknown(better(best, Some(run)))
}

/// Each of the first with each of the second behind it; `None` = too many.
fn cross(first: &[Vec<u8>], second: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if first.len().saturating_mul(second.len()) > WORDS {
        return None;
    }
    let words: Vec<Vec<u8>> = first
        .iter()
        .flat_map(|before| {
            second
                .iter()
                .map(move |after| [before.as_slice(), after].concat())
        })
        .collect();
    is_small(&words).then_some(words)
}

fn is_small(words: &[Vec<u8>]) -> bool {
    let octets = words
        .iter()
        .fold(0usize, |sum, word| sum.saturating_add(word.len()));
    words.len() <= WORDS && octets <= OCTETS
}

/// The guard that fewer texts pass: that of longer literals, and of fewer.
fn better(one: Option<Vec<Vec<u8>>>, other: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let worth = |words: &Vec<Vec<u8>>| {
        let shortest = words.iter().map(Vec::len).min().unwrap_or(0);
        (shortest, usize::MAX.saturating_sub(words.len()))
    };
    let useful = |words: &Vec<Vec<u8>>| !words.is_empty() && worth(words).0 > 0;
    match (one.filter(useful), other.filter(useful)) {
        (Some(one), Some(other)) if worth(&other) > worth(&one) => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}
