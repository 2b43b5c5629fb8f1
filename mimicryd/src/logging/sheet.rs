//! The form of a mail's lines: fields in their order, quoted, and spread over as many lines as they need.
//!
//! The first line has every field that is one value, then the lists. What does not fit goes into further lines with the
//! same id and class, numbered by `part`: the rest of a value as `key+=`, and more of a list as `key=`. In the first
//! line `more` says how many there are. No line is longer than asked for, and nothing is cut away.
//!
//! As text a value is a word, or quoted if it is empty or holds a space, `=`, `,`, `"` or `\`, or what cannot be shown.
//! In JSON it is a string of the same text, less the quotes.
//!
//! Must never: let what a peer wrote end a value, a line or a JSON string.

use std::fmt::Write;

use mimicry_core::printable::{Printable, Quoted, is_unprintable};
use mimicry_core::settings::words::LogFormat;

/// No line may have to be shorter: all fields of one value must find room in the first.
pub const LEAST: usize = 960;

/// What ` more=N` may take, and the brackets that close a JSON line.
const SPARE: usize = 24;

/// The lines of one record, in the making.
pub struct Sheet<'a> {
    format: LogFormat,
    /// Octets of a line at most.
    room: usize,
    head: Head<'a>,
    /// The first line, up to the lists.
    first: String,
    /// What of single values did not fit into it.
    rest: Vec<Token>,
    lists: Vec<Token>,
}

/// What stands on each line: words and numbers of our own.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub time: &'a str,
    /// Keys and values.
    pub fields: [(&'static str, &'a str); 2],
}

/// An element of a list, or a piece that goes on with what was said before.
struct Token {
    key: &'static str,
    goes_on: bool,
    written: String,
}

impl<'a> Sheet<'a> {
    pub fn new(format: LogFormat, room: usize, head: Head<'a>) -> Sheet<'a> {
        let mut sheet = Sheet {
            format,
            room: room.max(LEAST),
            head,
            first: String::with_capacity(512),
            rest: Vec::new(),
            lists: Vec::new(),
        };
        sheet.first = sheet.begin(None);
        sheet
    }

    /// A value that both forms write as it is.
    pub fn plain(&mut self, key: &'static str, text: &str, json: &str) {
        let _ = match self.format {
            LogFormat::Text => write!(self.first, " {key}={text}"),
            LogFormat::Json => write!(self.first, ",\"{key}\":{json}"),
        };
    }

    /// A value of anybody's; `share` = octets of the shortest line that it may take.
    pub fn value(&mut self, key: &'static str, octets: &[u8], share: usize) {
        let share = share.saturating_mul(self.room) / LEAST;
        let (first, mut left) = split(octets, share, self.format);
        let written = self.written(first);
        self.plain(key, &written, &written);
        while !left.is_empty() {
            let (piece, behind) = split(left, self.piece(), self.format);
            self.rest.push(self.goes_on(key, piece));
            left = behind;
        }
    }

    /// An element of a list.
    pub fn element(&mut self, key: &'static str, octets: &[u8]) {
        self.element_as(key, octets, |written| written);
    }

    /// An element of a list, whose first piece, as it is written, is made into what stands there.
    pub fn element_as(
        &mut self,
        key: &'static str,
        octets: &[u8],
        make: impl FnOnce(String) -> String,
    ) {
        let (first, mut left) = split(octets, self.piece(), self.format);
        self.lists.push(Token {
            key,
            goes_on: false,
            written: make(self.written(first)),
        });
        while !left.is_empty() {
            let (piece, behind) = split(left, self.piece(), self.format);
            self.lists.push(self.goes_on(key, piece));
            left = behind;
        }
    }

    /// All lines.
    pub fn finish(self) -> Vec<String> {
        let mut lists = self.lists.iter().peekable();
        let mut page = Page::new(self.format, self.room.saturating_sub(self.first.len()));
        while let Some(token) = lists.next_if(|token| !token.goes_on && page.has_room(token)) {
            page.put(token);
        }
        let beginning = page.text();
        let mut further = Vec::new();
        let mut page = Page::new(self.format, self.further());
        for token in self.rest.iter().chain(lists) {
            if !page.is_empty() && (token.goes_on || !page.has_room(token)) {
                further.push(page.text());
                page = Page::new(self.format, self.further());
            }
            page.put(token);
        }
        if !page.is_empty() {
            further.push(page.text());
        }
        let mut first = self.first.clone();
        if !further.is_empty() {
            let _ = match self.format {
                LogFormat::Text => write!(first, " more={}", further.len()),
                LogFormat::Json => write!(first, ",\"more\":{}", further.len()),
            };
        }
        let end = match self.format {
            LogFormat::Text => "",
            LogFormat::Json => "}",
        };
        let numbered = further.iter().zip(2usize..);
        std::iter::once(first + &beginning + end)
            .chain(numbered.map(|(text, part)| self.begin(Some(part)) + text + end))
            .collect()
    }

    fn begin(&self, part: Option<usize>) -> String {
        let Head { time, fields } = self.head;
        let [(first, one), (second, other)] = fields;
        let mut line = match self.format {
            LogFormat::Text => format!("{first}={one} {second}={other}"),
            LogFormat::Json => {
                format!("{{\"time\":\"{time}\",\"{first}\":\"{one}\",\"{second}\":\"{other}\"")
            }
        };
        if let Some(part) = part {
            let _ = match self.format {
                LogFormat::Text => write!(line, " part={part}"),
                LogFormat::Json => write!(line, ",\"part\":{part}"),
            };
        }
        line
    }

    /// The octets that a further line has for its fields.
    fn further(&self) -> usize {
        let begun = self.begin(Some(usize::MAX)).len();
        self.room.saturating_sub(begun)
    }

    fn goes_on(&self, key: &'static str, piece: &[u8]) -> Token {
        Token {
            key,
            goes_on: true,
            written: self.written(piece),
        }
    }

    fn written(&self, octets: &[u8]) -> String {
        match self.format {
            LogFormat::Text if is_word(octets) => Printable(octets).to_string(),
            LogFormat::Text => Quoted(octets).to_string(),
            LogFormat::Json => json(&Printable(octets).to_string()),
        }
    }

    /// The octets that a piece may take on a further line: less its key, its quotes, and what a JSON object has around it.
    fn piece(&self) -> usize {
        self.further().saturating_sub(100)
    }
}

/// What of a value fits into so much room when it is written, at least one character, and the rest. Neither begins amid a
/// character or an escape.
fn split(octets: &[u8], room: usize, format: LogFormat) -> (&[u8], &[u8]) {
    let (mut at, mut taken) = (0usize, 0usize);
    for (octets, cost) in units(octets, format) {
        taken = taken.saturating_add(cost);
        if at > 0 && taken > room {
            break;
        }
        at = at.saturating_add(octets);
    }
    octets.split_at_checked(at).unwrap_or((octets, &[]))
}

/// Lists and pieces of one line.
struct Page {
    format: LogFormat,
    text: String,
    /// The list that the last element stands in.
    open: Option<&'static str>,
    room: usize,
}

impl Page {
    fn new(format: LogFormat, room: usize) -> Page {
        Page {
            format,
            text: String::new(),
            open: None,
            room: room.saturating_sub(SPARE),
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn has_room(&self, token: &Token) -> bool {
        // `],"key":[`
        let around = token.key.len().saturating_add(6);
        let needed = token.written.len().saturating_add(around);
        self.text.len().saturating_add(needed) <= self.room
    }

    fn put(&mut self, token: &Token) {
        let Token { key, written, .. } = token;
        let is_in_list = self.open == Some(*key) && !token.goes_on;
        let _ = match (self.format, token.goes_on) {
            _ if is_in_list => write!(self.text, ",{written}"),
            (LogFormat::Text, true) => write!(self.text, " {key}+={written}"),
            (LogFormat::Text, false) => write!(self.text, " {key}={written}"),
            (LogFormat::Json, true) => write!(self.text, ",\"continued\":{{\"{key}\":{written}}}"),
            (LogFormat::Json, false) => {
                let close = self.open.map_or("", |_| "]");
                write!(self.text, "{close},\"{key}\":[{written}")
            }
        };
        self.open = (!token.goes_on).then_some(key);
    }

    fn text(self) -> String {
        match (self.format, self.open) {
            (LogFormat::Json, Some(_)) => self.text + "]",
            _ => self.text,
        }
    }
}

/// Needs no quotes.
fn is_word(octets: &[u8]) -> bool {
    let is_plain = |char: char| {
        !char.is_whitespace() && !matches!(char, '=' | ',' | '"' | '\\') && !is_unprintable(char)
    };
    std::str::from_utf8(octets).is_ok_and(|text| !text.is_empty() && text.chars().all(is_plain))
}

/// The characters, and the octets that are none: how many octets each is, and how many it takes when written.
fn units(octets: &[u8], format: LogFormat) -> impl Iterator<Item = (usize, usize)> {
    octets.utf8_chunks().flat_map(move |chunk| {
        let valid = chunk.valid().chars().map(move |char| {
            // In JSON the backslash of an escape is one more octet.
            let written = match (char, format) {
                ('\\', LogFormat::Text) | ('"', _) => 2,
                ('\\', LogFormat::Json) => 4,
                (char, format) if is_unprintable(char) => {
                    let escaped = char.escape_unicode().len();
                    escaped.saturating_add(usize::from(format == LogFormat::Json))
                }
                (char, _) => char.len_utf8(),
            };
            (char.len_utf8(), written)
        });
        let invalid = chunk.invalid().iter().map(|_| (1, 5));
        valid.chain(invalid)
    })
}

/// A string of JSON, with its quotes.
pub fn json(text: &str) -> String {
    // A string always serialises.
    serde_json::to_string(text).unwrap_or_default()
}
