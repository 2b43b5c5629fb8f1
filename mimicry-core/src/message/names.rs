//! File names: every name that some mail program could read for a part.
//!
//! Mail programs differ on which of several names they believe, on what ends a value, and on what they decode. A rule that
//! judges names must see them all, or a part is shown to one reader under a name that no rule has judged. So each
//! field is read as the standards have it ([`Params`]) and as simple programs do ([`loose`]); each reading counts, and so does
//! the name under which it would be saved ([`saved`]).
//!
//! - *usual* readings are those of readers that follow the standards, of fields as they are sent. When they [differ](fallback),
//!   the part is malformed.
//! - *odd* readings are those of readers that cut, split or decode otherwise. They are judged, and make nothing malformed.
//!
//! Must never: choose one of several readings (who needs one asks [`Part::filename`]), or take longer than linear time.
//!
//! Known limits: at most [`MOST`] readings of a part are kept; more of them cannot be read to the end. Content-Description and
//! Content-Location, which few programs take for a name, are names only where there is no other.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;

use super::charset::decode_unlabelled;
use super::header::{Field, unfold};
use super::labels::WordCharset;
use super::limits::Limits;
use super::params::{Form, MAX_SECTIONS, Params, Piece, percent_decode};
use super::part::Part;
use super::words;

mod fallback;
mod loose;
mod saved;
#[cfg(test)]
mod tests;

pub(super) use loose::{find_name, unescaped};

/// Readings that are kept of one part.
pub const MOST: usize = 64;
/// Octets of a name that are read; no more of a value is ever seen by a pattern.
pub const LONGEST: usize = 64 * 1024;

/// All names of one part.
#[derive(Debug, Default)]
pub struct Names {
    readings: Vec<Reading>,
    differ: bool,
    unread: Option<Unread>,
    /// No field names it; these are what some programs take instead.
    borrowed: bool,
}

#[derive(Debug)]
struct Reading {
    /// On one line.
    text: String,
    usual: bool,
    /// What a pattern is to see: the text, and what a program makes of it when it saves the file.
    forms: Vec<String>,
}

/// Why the names of a part cannot be read to their end: some program may read another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    Sections,
    Parameters,
    Length,
    Charset,
    Percent,
    Readings,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unread::Sections => "a name in more than 64 sections",
            Unread::Parameters => "more parameters than limits.params",
            Unread::Length => "a name of more than 64 KiB",
            Unread::Charset => "octets that are not valid in their charset, or an unknown charset",
            Unread::Percent => "a broken percent-encoding",
            Unread::Readings => "more than 64 readings of its name",
        })
    }
}

impl Part<'_> {
    /// Every name that some mail program could read.
    pub fn names(self) -> Names {
        Names::of(self)
    }
}

impl Names {
    /// Reads all Content-Disposition and Content-Type fields of a part.
    pub fn of(part: Part<'_>) -> Names {
        let fields: Vec<Source<'_>> = part
            .fields()
            .filter_map(|field| Source::of(&field))
            .collect();
        let mut names = Names::default();
        // In the order in which most programs look.
        for (disposition, attribute) in [
            (true, "filename"),
            (false, "name"),
            (true, "name"),
            (false, "filename"),
        ] {
            for source in fields
                .iter()
                .filter(|field| field.disposition == disposition)
            {
                source.read(attribute, &mut names);
            }
        }
        for field in part.fields() {
            names.of_field(&field);
        }
        if names.is_empty() {
            names.of_other_fields(part);
            names.borrowed = !names.is_empty();
        }
        if names.is_empty() {
            return names;
        }
        names.differ = names.usual_differ();
        let first = part.filename();
        let at = names
            .readings
            .iter()
            .position(|reading| Some(&reading.text) == first.as_ref());
        if let Some(before) = at.and_then(|at| names.readings.get_mut(..=at)) {
            before.rotate_right(1);
        }
        names
    }

    /// Fields that are nothing but a name: libmime and its descendants take them where there is no other.
    fn of_field(&mut self, field: &Field<'_>) {
        if field.is("content-name") || field.is("x-sun-data-name") {
            self.whole(field);
        }
    }

    /// What some programs name a part by that has no name at all: its description, or the end of its address.
    fn of_other_fields(&mut self, part: Part<'_>) {
        for field in part.fields() {
            if field.is("content-description") {
                self.whole(&field);
            } else if field.is("content-location") {
                let text = unfold(field.value());
                if let Some(name) = loose::file_of(text.trim_ascii()) {
                    self.plain(name, false);
                }
            }
        }
    }

    /// A value that is a name as a whole, in quotes or not.
    fn whole(&mut self, field: &Field<'_>) {
        let line = unfold(field.value());
        let text = line.trim_ascii();
        self.plain(text, false);
        let inner = text.strip_prefix(b"\"").unwrap_or(text);
        let inner = inner
            .split(|octet| *octet == b'"')
            .next()
            .unwrap_or_default();
        self.plain(inner, false);
        if memchr::memchr(b'\\', text).is_some() {
            self.plain(&loose::unescaped(inner), false);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// Does a field name the part, so that it is a file to most programs? A description or an address alone makes none of it: list
    /// managers describe the texts of a digest.
    pub fn are_given(&self) -> bool {
        !self.is_empty() && !self.borrowed
    }

    /// Every reading, on one line each; that of most programs first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.readings.iter().map(|reading| reading.text.as_str())
    }

    /// The name under which a reading would be saved, where it is another one.
    pub fn saved(&self) -> impl Iterator<Item = &str> {
        self.readings.iter().filter_map(|reading| {
            let form = reading.forms.get(1)?;
            (*form != reading.text).then_some(form.as_str())
        })
    }

    /// Does it hold for one reading or for the name under which one would be saved.
    pub fn any(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.forms().any(holds)
    }

    /// All forms of all readings.
    pub fn forms(&self) -> impl Iterator<Item = &str> {
        let forms = self.readings.iter().flat_map(|reading| &reading.forms);
        forms.map(String::as_str)
    }

    /// Does it hold for every reading, so that no program sees a name for which it does not.
    pub fn every(&self, holds: impl Fn(&str) -> bool) -> bool {
        let of_reading = |reading: &Reading| reading.forms.iter().any(|form| holds(form));
        // A name that only a few programs look for makes nobody sure.
        let is_named = self.readings.iter().any(|reading| reading.usual);
        self.unread.is_none() && is_named && self.readings.iter().all(of_reading)
    }

    /// Do mail programs see different names. A name in ASCII for programs that know no other, beside the true one, is none
    /// such.
    pub fn differ(&self) -> bool {
        self.differ
    }

    /// Why there may be a name that is not among the readings.
    pub fn unread(&self) -> Option<Unread> {
        self.unread
    }

    fn usual_differ(&self) -> bool {
        let usual = || self.readings.iter().filter(|reading| reading.usual);
        // A fallback is held against the true name, not against another fallback.
        let best = usual()
            .find(|reading| !reading.text.is_ascii())
            .or_else(|| usual().next());
        best.is_some_and(|best| usual().any(|other| !fallback::same(&best.text, &other.text)))
    }

    fn unread_for(&mut self, reason: Unread) {
        self.unread.get_or_insert(reason);
    }

    fn add(&mut self, text: &str, usual: bool) {
        let end = text.floor_char_boundary(LONGEST);
        if end < text.len() {
            self.unread_for(Unread::Length);
        }
        let cut = text.get(..end).unwrap_or_default();
        let line = cut.replace(['\r', '\n', '\t', '\0'], " ");
        if line.trim().is_empty() {
            return;
        }
        if let Some(known) = self.readings.iter_mut().find(|known| known.text == line) {
            known.usual |= usual;
            // Written with other octets where the line has blanks, it may be cut otherwise.
            if cut != line {
                let forms = saved::forms(cut, &line);
                let new: Vec<String> = forms
                    .into_iter()
                    .filter(|form| !known.forms.contains(form))
                    .collect();
                known.forms.extend(new);
            }
            return;
        }
        if self.readings.len() >= MOST {
            self.unread_for(Unread::Readings);
            return;
        }
        self.readings.push(Reading {
            forms: saved::forms(cut, &line),
            text: line,
            usual,
        });
    }

    /// A value without charset: encoded words are decoded, raw octets guessed.
    fn plain(&mut self, value: &[u8], usual: bool) {
        let (text, all_read) = words::decode_noting(value);
        if !all_read {
            self.unread_for(Unread::Charset);
        }
        self.add(&text, usual);
        // A program in C ends the text at a NUL.
        if let Some(at) = memchr::memchr2(0, b'\r', value)
            && let Some(before) = value.get(..at)
        {
            self.add(&words::decode(before), false);
        }
        // Others drop it, as all that is no character.
        if value.iter().any(u8::is_ascii_control) {
            let without: Vec<u8> = value
                .iter()
                .copied()
                .filter(|octet| !octet.is_ascii_control())
                .collect();
            self.add(&words::decode(&without), false);
        }
        if let Some(text) = loose::words(value) {
            self.add(&text, false);
        }
    }

    /// `charset'language'text`, percent-encoded.
    fn extended(&mut self, value: &[u8], usual: bool) {
        let joined = Joined::of(&[(true, value)]);
        self.joined(&joined, usual);
        let mut octets = Vec::new();
        // Without its two quotes all of it is text, or what stands behind the last.
        if joined.label.is_none() {
            let text = value.trim_ascii_end();
            let text = text.strip_suffix(b"'").unwrap_or(text);
            let tail = text
                .rsplit(|octet| *octet == b'\'')
                .next()
                .unwrap_or_default();
            percent_decode(tail, &mut octets);
            self.plain(&octets, false);
        } else if let Some(before) = loose::before_broken_escape(value) {
            let joined = Joined::of(&[(true, before)]);
            self.joined(&joined, false);
        }
    }

    fn joined(&mut self, joined: &Joined, usual: bool) {
        if joined.broken {
            self.unread_for(Unread::Percent);
        }
        let Some(label) = &joined.label else {
            self.plain(&joined.octets, usual);
            return;
        };
        let charset = WordCharset::for_label(label);
        if let Some(text) = charset.and_then(|charset| charset.decode(&joined.octets)) {
            self.add(&text, usual);
            if let Some(text) = loose::words(text.as_bytes()) {
                self.add(&text, false);
            }
            return;
        }
        self.unread_for(Unread::Charset);
        self.add(&decode_unlabelled(&joined.octets), usual);
        if let Some(charset) = charset {
            self.add(&charset.decode_for_matching(&joined.octets), false);
        }
    }

    fn pieces(&mut self, pieces: &[Piece<'_>], usual: bool) {
        let mut sections = Vec::new();
        for piece in pieces {
            match piece.form {
                Form::Plain => {
                    self.plain(&piece.text, usual);
                    if !piece.quoted {
                        // A token ends at a blank, and for some programs at each special character.
                        for ends in [
                            u8::is_ascii_whitespace as fn(&u8) -> bool,
                            loose::ends_token,
                        ] {
                            let mut tokens = piece.text.split(ends);
                            self.plain(tokens.next().unwrap_or_default(), false);
                        }
                    }
                    if memchr::memchr(b'\\', &piece.text).is_some() {
                        self.plain(&loose::unescaped(&piece.text), false);
                    }
                }
                Form::Extended => self.extended(&piece.text, usual),
                Form::Section { number, extended } => sections.push(Section {
                    number,
                    extended,
                    text: &piece.text,
                }),
            }
        }
        if !sections.is_empty() {
            self.sections(&sections, usual);
        }
    }

    /// Sections of RFC 2231, with gaps, duplicates and disorder as readers take them.
    fn sections(&mut self, sections: &[Section<'_>], usual: bool) {
        // Of numbers beyond any count nobody can say which is which.
        let beyond = sections.iter().any(|section| section.number == usize::MAX);
        if sections.len() > MAX_SECTIONS || beyond {
            self.unread_for(Unread::Sections);
        }
        let mut sorted: Vec<Section<'_>> = sections.to_vec();
        sorted.sort_by_key(|section| section.number);
        let mut first = sorted.clone();
        first.dedup_by_key(|section| section.number);
        let mut last: Vec<Section<'_>> = sorted.iter().rev().copied().collect();
        last.dedup_by_key(|section| section.number);
        last.reverse();
        let texts: Vec<&[u8]> = first.iter().map(|section| section.text).collect();
        let whole = texts.concat();
        let is_broken = |text: &[u8]| loose::before_broken_escape(text).is_some();
        let is_cut = |section: &Section<'_>| section.extended && is_broken(section.text);
        // Who cuts an escape in two means the sections to be joined before they are decoded.
        let joined_first = first.iter().any(is_cut)
            && first.iter().all(|section| section.extended)
            && !is_broken(&whole);
        if joined_first {
            self.joined(&Joined::of(&[(true, &whole)]), usual);
        } else if first.iter().any(|section| section.extended) && !is_broken(&whole) {
            self.joined(&Joined::of(&[(true, &whole)]), false);
        }
        let mut read = |sections: &[Section<'_>], usual: bool| {
            let joined = join(sections);
            match joined_first {
                true => self.add(&joined.guess(), false),
                false => self.joined(&joined, usual),
            }
        };
        for list in [&first, &last] {
            read(run(list), usual);
        }
        for list in [&sorted, &first, &last] {
            read(list, usual);
        }
        read(sections, false);
        // Who knows one of the two forms only.
        for extended in [true, false] {
            let of_form = first.iter().filter(|section| section.extended == extended);
            read(&of_form.copied().collect::<Vec<_>>(), false);
        }
    }
}

#[derive(Clone, Copy)]
struct Section<'a> {
    number: usize,
    extended: bool,
    text: &'a [u8],
}

/// The sections from the first on to the first gap.
fn run<'s, 'a>(sections: &'s [Section<'a>]) -> &'s [Section<'a>] {
    let follows = |pair: &[Section<'_>]| match pair {
        [one, next] => next.number == one.number.saturating_add(1),
        _ => false,
    };
    let gap = sections.windows(2).position(|pair| !follows(pair));
    let end = gap.map_or(sections.len(), |gap| gap.saturating_add(1));
    sections.get(..end).unwrap_or(sections)
}

fn join(sections: &[Section<'_>]) -> Joined {
    let pieces: Vec<(bool, &[u8])> = sections
        .iter()
        .map(|section| (section.extended, section.text))
        .collect();
    Joined::of(&pieces)
}

/// The octets of pieces together.
struct Joined {
    octets: Vec<u8>,
    label: Option<Vec<u8>>,
    /// A percent sign is followed by no two digits.
    broken: bool,
}

impl Joined {
    /// The text, whatever it takes.
    fn guess(&self) -> Cow<'_, str> {
        match self.label.as_deref().and_then(WordCharset::for_label) {
            Some(charset) => charset.decode_for_matching(&self.octets),
            None => decode_unlabelled(&self.octets),
        }
    }

    /// Each piece with whether it is percent-encoded; only the first may bear a charset.
    fn of(pieces: &[(bool, &[u8])]) -> Joined {
        let mut joined = Joined {
            octets: Vec::new(),
            label: None,
            broken: false,
        };
        for (at, (extended, text)) in pieces.iter().enumerate() {
            if !extended {
                joined.octets.extend_from_slice(text);
                continue;
            }
            let mut rest = *text;
            if at == 0 {
                let mut parts = text.splitn(3, |octet| *octet == b'\'');
                if let (Some(label), Some(_), Some(tail)) =
                    (parts.next(), parts.next(), parts.next())
                    && !(tail.is_empty() && pieces.len() == 1)
                {
                    joined.label = Some(label.to_vec()).filter(|label| !label.is_empty());
                    rest = tail;
                }
            }
            joined.broken |= loose::before_broken_escape(rest).is_some();
            percent_decode(rest, &mut joined.octets);
        }
        joined
    }
}

/// One field that may bear names.
struct Source<'a> {
    disposition: bool,
    /// Without its folds; a TAB that began a line is a blank.
    line: Cow<'a, [u8]>,
    params: Params<'a>,
    /// The field with its encoded words decoded, where some stand outside of values: some programs decode first and read then.
    decoded: Option<String>,
    /// The field without its folds and the blanks that they begin with, where it has some: so libmime joins lines.
    tight: Option<Vec<u8>>,
}

impl<'a> Source<'a> {
    fn of(field: &Field<'a>) -> Option<Source<'a>> {
        let disposition = field.is("content-disposition");
        if !disposition && !field.is("content-type") {
            return None;
        }
        let line = unfold(field.value());
        // A name stands behind the word `name`, whatever else is broken.
        let bears = |text: &[u8]| loose::find_name(text).is_some();
        if !bears(&line) && memmem::find(field.value(), b"=?").is_none() {
            return None;
        }
        let params = Params::parse(field.value(), Limits::default().params);
        let decoded = params
            .has_words_outside()
            .then(|| words::decode(&line))
            .filter(|text| bears(text.as_bytes()));
        (bears(&line) || decoded.is_some()).then_some(Source {
            tight: loose::without_folds(field.value()),
            disposition,
            line,
            params,
            decoded,
        })
    }

    fn read(&self, attribute: &str, names: &mut Names) {
        // The name of a field of a form is no file name (RFC 7578).
        let of_form = self.params.value() == Some("form-data");
        if of_form && self.disposition && attribute == "name" {
            return;
        }
        if self.params.too_many() {
            names.unread_for(Unread::Parameters);
        }
        let pieces: Vec<Piece<'_>> = self.params.pieces(attribute).collect();
        names.pieces(&pieces, true);
        for word in self.params.words_beyond(attribute) {
            names.plain(word, false);
        }
        let is_sloppy = self.params.is_sloppy();
        names.pieces(&loose::pieces(&self.line, attribute, true), is_sloppy);
        names.pieces(&loose::pieces(&self.line, attribute, false), false);
        if let Some(tight) = &self.tight {
            let params = Params::parse(tight, Limits::default().params);
            let pieces: Vec<Piece<'_>> = params.pieces(attribute).collect();
            names.pieces(&pieces, false);
        }
        if let Some(decoded) = &self.decoded {
            // A field that is nothing but encoded words says nothing else.
            let usual = self.params.value().is_none();
            let params = Params::parse(decoded.as_bytes(), Limits::default().params);
            let pieces: Vec<Piece<'_>> = params.pieces(attribute).collect();
            names.pieces(&pieces, usual);
            names.pieces(&loose::pieces(decoded.as_bytes(), attribute, true), false);
        }
    }
}
