//! A pattern, read: its literals and, where they do not decide, what matches the rest.
//!
//! Nearly all values are ASCII. For these a tree is cut down to ASCII, which changes nothing that it does with them: a class of
//! letters has fifty characters then and not a hundred thousand. The whole tree of such a pattern is compiled when a value comes
//! that needs it.
//!
//! Must never: let a pattern pass that will not compile.

use memchr::memmem;
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{
    Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition,
};

use super::need::{Item, Need, fold, need};

/// How large a compiled pattern may become, in octets.
const SIZE_LIMIT: usize = 10 << 20;
/// Octets up to which a whole tree is compiled at load, and matches ASCII as well.
const SMALL: usize = 32 << 10;

/// A pattern, ready to be matched.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) text: String,
    /// One of these must be there; empty = nothing is known.
    pub(super) items: Vec<Item>,
    /// `None` = the items decide.
    pub(super) regex: Option<Regex>,
}

/// A compiled tree.
#[derive(Debug)]
pub(super) struct Regex {
    /// For values in ASCII.
    ascii: NFA,
    /// For all others.
    whole: Whole,
}

#[derive(Debug)]
enum Whole {
    /// As for ASCII.
    Same,
    /// Compiled when it is needed.
    Later { is_text: bool },
}

impl Form {
    /// Reads a pattern; the error is a sentence for people.
    pub(super) fn read(text: &str, is_text: bool, compiler: &mut Compiler) -> Result<Form, String> {
        let hir = parse(text, is_text)?;
        let (items, is_exact) = match need(&hir) {
            Need::Exact(items) => (items, true),
            Need::AnyOf(items) => (items, false),
            Need::Nothing => (Vec::new(), false),
        };
        let regex = match is_exact {
            true => None,
            false => Some(Regex::of(&hir, is_text, compiler)?),
        };
        Ok(Form {
            text: text.into(),
            items,
            regex,
        })
    }

    /// Where no set looks for them: is one of the literals there.
    pub(super) fn decide(&self, value: &[u8]) -> bool {
        let folded = fold(value);
        self.items.iter().any(|item| match (item.start, item.end) {
            (true, true) => *folded == *item.literal,
            (true, false) => folded.starts_with(&item.literal),
            (false, true) => folded.ends_with(&item.literal),
            (false, false) => memmem::find(&folded, &item.literal).is_some(),
        })
    }
}

impl Regex {
    fn of(hir: &Hir, is_text: bool, compiler: &mut Compiler) -> Result<Regex, String> {
        let weight = weight(hir);
        if weight <= SMALL {
            return Ok(Regex {
                ascii: compiler.compile(hir, is_text)?,
                whole: Whole::Same,
            });
        }
        if weight > SIZE_LIMIT {
            // The estimate is high: only compiling tells.
            compiler.compile(hir, is_text)?;
        }
        Ok(Regex {
            ascii: compiler.compile(&in_ascii(hir), is_text)?,
            whole: Whole::Later { is_text },
        })
    }

    /// What matches a value; `None` = the whole tree is to be compiled first ([`whole`]).
    pub(super) fn for_value(&self, value: &[u8]) -> Option<&NFA> {
        match self.whole {
            Whole::Later { .. } if !value.is_ascii() => None,
            _ => Some(&self.ascii),
        }
    }

    /// The whole tree of the pattern's text, which was compiled at load or is surely small enough.
    pub(super) fn whole(&self, text: &str) -> Option<NFA> {
        match self.whole {
            Whole::Later { is_text } => {
                let hir = parse(text, is_text).ok()?;
                Compiler::default().compile(&hir, is_text).ok()
            }
            Whole::Same => Some(self.ascii.clone()),
        }
    }
}

fn parse(text: &str, is_text: bool) -> Result<Hir, String> {
    let parser = ParserBuilder::new()
        .case_insensitive(true)
        .utf8(is_text)
        .build()
        .parse(text);
    parser.map_err(|error| {
        let text = error.to_string();
        // regex prints a picture of the place first; its last line is the sentence.
        let sentence = text.lines().last().unwrap_or_default();
        sentence.trim_start_matches("error: ").to_string()
    })
}

/// Compiles one tree after another. What it needs for its own work, four hundred thousand octets for letters beyond ASCII, is made once.
#[derive(Debug)]
pub(super) struct Compiler(thompson::Compiler);

impl Default for Compiler {
    fn default() -> Compiler {
        Compiler(thompson::Compiler::new())
    }
}

impl Compiler {
    fn compile(&mut self, hir: &Hir, is_text: bool) -> Result<NFA, String> {
        let config = thompson::Config::new()
            .utf8(is_text)
            .nfa_size_limit(Some(SIZE_LIMIT))
            .which_captures(WhichCaptures::None);
        let built = self.0.configure(config).build_from_hir(hir);
        built.map_err(|error| match error.size_limit() {
            Some(_) => "the pattern is too large once compiled".into(),
            None => error.to_string(),
        })
    }
}

/// Octets of the compiled tree, rather too many than too few.
fn weight(hir: &Hir) -> usize {
    const STATE: usize = 64;
    /// A range of characters is at most so many sequences of octets, of at most four octets each (UTF-8).
    const RANGE: usize = 16 * STATE;
    let sum = |subs: &[Hir]| {
        subs.iter().fold(STATE, |sum, sub| {
            sum.saturating_add(weight(sub)).saturating_add(STATE)
        })
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE,
        HirKind::Literal(literal) => literal.0.len().saturating_mul(STATE),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len().saturating_mul(STATE),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges().iter();
            ranges.fold(STATE, |sum, range| {
                let is_ascii = range.end().is_ascii();
                sum.saturating_add(if is_ascii { STATE } else { RANGE })
            })
        }
        HirKind::Capture(capture) => weight(&capture.sub).saturating_add(STATE),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min).max(1);
            let times = usize::try_from(most).unwrap_or(usize::MAX);
            let once = weight(&repetition.sub).saturating_add(STATE);
            once.saturating_mul(times).saturating_add(STATE)
        }
        HirKind::Concat(subs) | HirKind::Alternation(subs) => sum(subs),
    }
}

/// The tree as it is for texts of ASCII, in which nothing else can be matched.
fn in_ascii(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.is_ascii() => hir.clone(),
        HirKind::Literal(_) => Hir::fail(),
        HirKind::Class(Class::Bytes(_)) => hir.clone(),
        HirKind::Class(Class::Unicode(class)) => {
            let mut class = class.clone();
            class.intersect(&ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7f')]));
            // In ASCII an octet is a character.
            match class.to_byte_class() {
                Some(class) => Hir::class(Class::Bytes(class)),
                None => Hir::class(Class::Unicode(class)),
            }
        }
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            look => *look,
        }),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            min: repetition.min,
            max: repetition.max,
            greedy: repetition.greedy,
            sub: Box::new(in_ascii(&repetition.sub)),
        }),
        HirKind::Capture(capture) => Hir::capture(Capture {
            index: capture.index,
            name: capture.name.clone(),
            sub: Box::new(in_ascii(&capture.sub)),
        }),
        HirKind::Concat(subs) => Hir::concat(subs.iter().map(in_ascii).collect()),
        HirKind::Alternation(subs) => Hir::alternation(subs.iter().map(in_ascii).collect()),
    }
}
