//! The tree of a message for people: drawn, and compared with the tree that it was before.
//!
//! The comparison knows nothing of what was edited: it looks at the two messages, so it can be used to check what the
//! rules say they did.
//!
//! Must never: show content.
//!
//! Known limits: of two parts that are the same octet for octet, the first is taken to be the one that stayed; a leaf
//! whose body changed is paired with the next unpaired one of its type.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use mimicry_core::message::codec::Encoding;
use mimicry_core::message::roles::{Role, Roles};
use mimicry_core::message::{Message, Part, PartId, Seal};
use mimicry_core::units::show_size;
use serde::Serialize;

use super::show::{Paint, count, pad, short, visible};
use crate::sys::terminal;

/// One part. The names of the fields are the keys of `explain --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartAccount {
    /// `1.2`, as IMAP counts; `0` for a multipart root.
    pub section: String,
    /// 1 for the root.
    pub depth: usize,
    /// In lower case, without parameters.
    #[serde(rename = "type")]
    pub media_type: String,
    pub multipart: bool,
    /// `body`, `attachment` or `inline`; none for multiparts.
    pub role: Option<&'static str>,
    /// Of the decoded body; none for multiparts and where the coding is broken.
    pub octets: Option<u64>,
    pub charset: Option<String>,
    /// As declared when it is unknown; none for multiparts.
    pub encoding: Option<String>,
    pub disposition: Option<String>,
    pub filename: Option<String>,
    /// Every name that some mail program could read, and those under which they would be saved where these are others.
    pub names: Vec<String>,
    /// What is wrong with the names.
    pub name_defect: Option<String>,
    /// `signed` or `encrypted`.
    pub sealed: Option<&'static str>,
    /// Was not looked into.
    pub opaque: bool,
    /// What is different about it; none in the tree of the mail as it came.
    pub change: Option<Change>,
    /// Where it stood in the mail as it came; none for new parts and in the tree of the mail as it came.
    pub was: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was not there.
    New,
    /// The octets of its body are others.
    Body,
    /// Its header fields are others, the body is the same.
    Header,
}

/// The parts of a message as it came, in document order.
pub fn parts(message: &Message) -> Vec<PartAccount> {
    let roles = message.roles();
    message.parts().map(|part| account(part, roles)).collect()
}

/// The parts of an edited message with what is different about each; and the leaves that are gone, as they were.
pub fn parts_after(before: &Message, after: &Message) -> (Vec<PartAccount>, Vec<PartAccount>) {
    let pairs = pair(before, after);
    let mut accounts = parts(after);
    for ((account, part), pair) in accounts.iter_mut().zip(after.parts()).zip(&pairs) {
        let old = pair.and_then(|id| before.part(id));
        account.was = old.map(Part::section_text);
        account.change = old.map_or(Some(Change::New), |old| change(old, part));
    }
    let mut stayed = vec![false; before.parts().len()];
    for id in pairs.iter().flatten() {
        if let Some(place) = stayed.get_mut(id.index()) {
            *place = true;
        }
    }
    let roles = before.roles();
    let is_gone = |part: &Part<'_>| stayed.get(part.id().index()) == Some(&false);
    let gone = before
        .leaves()
        .filter(is_gone)
        .map(|part| account(part, roles))
        .collect();
    (accounts, gone)
}

/// Most rows of a drawn tree; JSON has them all.
const ROWS: usize = 200;
/// Widest left column; a row whose left part is wider takes two lines.
const LEFT: usize = 44;
/// Most further names of a part in a drawn tree; JSON has them all.
const NAMES: usize = 6;
/// Most levels that are indented.
const LEVELS: usize = 12;

/// Draws a tree, one line for each part, about 100 columns wide; on a narrower terminal more lines.
pub fn draw(parts: &[PartAccount], paint: Paint) -> String {
    draw_within(parts, terminal::columns(), paint)
}

fn draw_within(parts: &[PartAccount], columns: Option<usize>, paint: Paint) -> String {
    let lefts = lefts(parts);
    let shown = parts.len().min(ROWS);
    let widths = lefts
        .iter()
        .take(shown)
        .map(|left| left.text.chars().count());
    let width = widths.filter(|width| *width <= LEFT).max().unwrap_or(0);
    let marked = parts.iter().any(|part| part.change.is_some());
    let mut text = String::new();
    for (part, left) in parts.iter().zip(&lefts).take(shown) {
        let (sign, left_text) = match part.change {
            Some(Change::New) => (paint.green("+ "), paint.green(&left.text)),
            Some(_) => (paint.yellow("* "), paint.yellow(&left.text)),
            None => ("  ".to_string(), left.text.clone()),
        };
        text.push_str(if marked { &sign } else { "  " });
        text.push_str(&left_text);
        let room = columns.map(|columns| columns.saturating_sub(width).saturating_sub(4));
        let details = lines_of(&details(part, paint), room);
        let used = left.text.chars().count();
        for (number, line) in details.iter().enumerate() {
            if used > width || number > 0 {
                text.push_str(&format!("\n  {}", pad(&left.below, width)));
            } else {
                text.push_str(&" ".repeat(width.saturating_sub(used)));
            }
            text.push_str(&format!("  {line}"));
        }
        text.push('\n');
    }
    if parts.len() > shown {
        let more = count(parts.len().saturating_sub(shown), "part");
        text.push_str(&format!("  … {more} more; --json lists them all\n"));
    }
    text
}

/// Leaves that are gone, one line each.
pub fn draw_gone(gone: &[PartAccount], paint: Paint) -> String {
    let mut text = String::new();
    for part in gone.iter().take(ROWS) {
        let line = format!("- {} {}", tail(&part.section), short(&part.media_type, 44));
        let name = part
            .filename
            .as_ref()
            .map(|name| format!("  \"{}\"", short(name, 40)));
        text.push_str(&format!(
            "{}{}  gone\n",
            paint.red(&line),
            name.unwrap_or_default()
        ));
    }
    if gone.len() > ROWS {
        text.push_str(&format!(
            "- … {} more\n",
            count(gone.len().saturating_sub(ROWS), "part")
        ));
    }
    text
}

fn account(part: Part<'_>, roles: &Roles) -> PartAccount {
    let leaf = !part.is_multipart();
    let names = part.names();
    PartAccount {
        section: part.section_text(),
        depth: part.depth(),
        media_type: part.media_type().to_string(),
        multipart: !leaf,
        role: roles.role(part.id()).map(|role| match role {
            Role::Body => "body",
            Role::Attachment => "attachment",
            Role::Inline => "inline",
        }),
        octets: if leaf { part.decoded_len() } else { None },
        charset: part.charset(),
        encoding: leaf.then(|| encoding(part)),
        disposition: part.disposition(),
        filename: part.filename(),
        names: names.iter().chain(names.saved()).fold(
            Vec::new(),
            |mut known: Vec<String>, name| {
                if !known.iter().any(|other| other == name) {
                    known.push(name.into());
                }
                known
            },
        ),
        name_defect: match (names.unread(), names.differ()) {
            (Some(why), _) => Some(format!("cannot be read to the end: {why}")),
            (None, true) => Some("mail programs read different names".into()),
            (None, false) => None,
        },
        sealed: part.seal().map(|seal| match seal {
            Seal::Signed => "signed",
            Seal::Encrypted => "encrypted",
        }),
        opaque: part.is_opaque(),
        change: None,
        was: None,
    }
}

fn encoding(part: Part<'_>) -> String {
    match part.encoding() {
        Encoding::Unknown => {
            let field = part.field("content-transfer-encoding");
            field.map_or_else(String::new, |field| field.decoded().trim().to_string())
        }
        known => known.name().to_string(),
    }
}

/// The left column of a row.
struct Left {
    text: String,
    /// What stands below it when the row needs a second line.
    below: String,
}

fn lefts(parts: &[PartAccount]) -> Vec<Left> {
    // From the end: a part is the last of its parent when nothing at its depth follows before the parent's own level.
    let mut follows: Vec<bool> = Vec::new();
    let mut is_last = vec![true; parts.len()];
    for (part, last) in parts.iter().zip(&mut is_last).rev() {
        let depth = part.depth.min(LEVELS);
        follows.truncate(depth.saturating_add(1));
        follows.resize(depth.saturating_add(1), false);
        if let Some(follows) = follows.get_mut(depth) {
            *last = !*follows;
            *follows = true;
        }
    }
    let mut lasts: Vec<bool> = Vec::new();
    let mut lefts = Vec::with_capacity(parts.len());
    for (index, (part, last)) in parts.iter().zip(is_last).enumerate() {
        let depth = part.depth.min(LEVELS);
        // Levels 2 to the parent's draw a line or a gap; the root has none.
        lasts.truncate(depth.saturating_sub(2));
        let mut prefix: String = lasts
            .iter()
            .map(|last| if *last { "  " } else { "│ " })
            .collect();
        let mut below = prefix.clone();
        if depth > 1 {
            prefix.push_str(if last { "└─" } else { "├─" });
            below.push_str(if last { "  " } else { "│ " });
            lasts.push(last);
        }
        if parts
            .get(index.saturating_add(1))
            .is_some_and(|next| next.depth.min(LEVELS) > depth)
        {
            below.push('│');
        }
        lefts.push(Left {
            text: format!(
                "{prefix}{}{} {}",
                tail(&part.section),
                too_deep(part.depth),
                short(&part.media_type, 80)
            ),
            below,
        });
    }
    lefts
}

/// Says so where the drawing does not.
fn too_deep(depth: usize) -> String {
    if depth > LEVELS {
        format!(" at depth {depth}")
    } else {
        String::new()
    }
}

/// The end of a section number too long to show.
fn tail(section: &str) -> String {
    const MOST: usize = 20;
    match section
        .len()
        .checked_sub(MOST)
        .and_then(|from| section.get(from..))
    {
        Some(end) if section.len() > MOST => format!("…{}", end.trim_start_matches('.')),
        _ => section.to_string(),
    }
}

/// Words on lines of so many columns, each with two blanks between them.
fn lines_of(words: &[String], room: Option<usize>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let fits = |line: &String| {
            let both = visible(line)
                .saturating_add(visible(word))
                .saturating_add(2);
            room.is_none_or(|room| both <= room)
        };
        match lines.last_mut().filter(|line| fits(line)) {
            Some(line) => line.push_str(&format!("  {word}")),
            None => lines.push(word.clone()),
        }
    }
    lines
}

fn details(part: &PartAccount, paint: Paint) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    if !part.multipart {
        let size = part.octets.map_or("broken".to_string(), show_size);
        words.push(format!(
            "{}  {size:>9}",
            pad(part.role.unwrap_or_default(), 10)
        ));
        let coding: Vec<String> = [&part.charset, &part.encoding]
            .into_iter()
            .flatten()
            .map(|word| short(word, 24))
            .collect();
        words.push(coding.join(" "));
    }
    if let Some(disposition) = &part.disposition
        && part.role != Some(disposition)
    {
        words.push(short(disposition, 24));
    }
    if let Some(name) = &part.filename {
        words.push(format!("\"{}\"", short(name, 40)));
    }
    let others = part
        .names
        .iter()
        .filter(|name| part.filename.as_ref() != Some(name));
    for name in others.take(NAMES) {
        words.push(format!("or \"{}\"", short(name, 40)));
    }
    if let Some(defect) = &part.name_defect {
        words.push(paint.bold(defect));
    }
    if let Some(sealed) = part.sealed {
        words.push(paint.bold(sealed));
    }
    if part.opaque {
        words.push(paint.bold("opaque"));
    }
    if let Some(change) = part.change {
        let word = match change {
            Change::New => "new",
            Change::Body => "changed",
            Change::Header => "header changed",
        };
        words.push(paint.bold(word));
    }
    if let Some(was) = part.was.as_ref().filter(|was| **was != part.section) {
        words.push(paint.dim(&format!("was {}", tail(was))));
    }
    words
}

/// For each part of `after` the one of `before` that it was.
fn pair(before: &Message, after: &Message) -> Vec<Option<PartId>> {
    let mut pairing = Pairing {
        before,
        after,
        pairs: vec![None; after.parts().len()],
        used: vec![false; before.parts().len()],
    };
    pairing.by(|part| (!part.is_multipart()).then(|| part.raw()));
    pairing.by(|part| (!part.is_multipart()).then(|| (part.media_type(), part.body())));
    pairing.by(|part| {
        let field = part
            .is_multipart()
            .then(|| part.field("content-type"))
            .flatten()?;
        Some((part.media_type(), field.unfolded()))
    });
    pairing.by(|part| (!part.is_multipart()).then(|| part.media_type()));
    pairing.pairs
}

struct Pairing<'m> {
    before: &'m Message,
    after: &'m Message,
    pairs: Vec<Option<PartId>>,
    /// By part of `before`.
    used: Vec<bool>,
}

impl<'m> Pairing<'m> {
    /// Pairs what has the same key and has not been paired, in document order.
    fn by<K: Hash + Eq>(&mut self, key: impl Fn(Part<'m>) -> Option<K>) {
        let mut waiting: HashMap<K, VecDeque<PartId>> = HashMap::new();
        for (part, used) in self.before.parts().zip(&self.used) {
            if !used && let Some(key) = key(part) {
                waiting.entry(key).or_default().push_back(part.id());
            }
        }
        for (part, pair) in self.after.parts().zip(&mut self.pairs) {
            if pair.is_some() {
                continue;
            }
            let Some(id) = key(part).and_then(|key| waiting.get_mut(&key)?.pop_front()) else {
                continue;
            };
            *pair = Some(id);
            if let Some(used) = self.used.get_mut(id.index()) {
                *used = true;
            }
        }
    }
}

fn change(old: Part<'_>, new: Part<'_>) -> Option<Change> {
    if !old.is_multipart() && old.body() != new.body() {
        return Some(Change::Body);
    }
    let same = if old.is_root() && new.is_root() {
        old.header() == new.header()
    } else {
        // What was the root leaves the mail's own fields behind when it moves.
        content_fields(old).eq(content_fields(new))
    };
    (!same).then_some(Change::Header)
}

fn content_fields<'m>(part: Part<'m>) -> impl Iterator<Item = &'m [u8]> {
    let is_content = |name: &[u8]| {
        name.get(..8)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
    };
    part.fields()
        .filter(move |field| is_content(field.name()))
        .map(|field| field.raw())
}

#[cfg(test)]
mod tests {
    use mimicry_core::message::Limits;

    use super::*;

    fn scan(text: &str) -> Message {
        Message::scan(text.into(), &Limits::default())
    }

    fn multipart(children: &[&str]) -> Message {
        let mut text = "Content-Type: multipart/mixed; boundary=b\n\n".to_string();
        for child in children {
            text.push_str(&format!("--b\n{child}\n"));
        }
        scan(&format!("{text}--b--\n"))
    }

    const NESTED: &str = "Content-Type: multipart/mixed; boundary=a\n\n\
        --a\nContent-Type: multipart/alternative; boundary=b\n\n\
        --b\nContent-Type: text/plain; charset=UTF-8\n\nhello\n\
        --b\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<p>h=C3=A4</p>\n--b--\n\
        --a\nContent-Type: application/vnd.openxmlformats-officedocument.wordprocessingml.document\n\
        Content-Disposition: attachment; filename=\"x\x1b[2J.docx\"\nContent-Transfer-Encoding: base64\n\nAAAA\n\
        --a\nContent-Type: text/plain\nContent-Transfer-Encoding: x-uue\n\n-----BEGIN PGP MESSAGE-----\n--a--\n";

    #[test]
    fn a_tree_is_drawn() {
        let drawn = draw(&parts(&scan(NESTED)), Paint(false));
        let expected = "  0 multipart/mixed
  ├─1 multipart/alternative
  │ ├─1.1 text/plain         body              5 B  utf-8 7bit
  │ └─1.2 text/html          body             10 B  quoted-printable
  ├─2 application/vnd.openxmlformats-officedocument.wordprocessingml.document
  │                          attachment        3 B  base64  \"x\\u{1b}[2J.docx\"  or \"x[2J.docx\"
  └─3 text/plain             body             27 B  x-uue  encrypted
";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn colours_are_only_added() {
        for columns in [78, 80] {
            let narrow = draw_within(&parts(&scan(NESTED)), Some(columns), Paint(true));
            for line in narrow.lines() {
                assert!(visible(line) <= columns, "{columns}: {line}");
            }
            let words = |text: &str| {
                text.split_whitespace()
                    .map(String::from)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                words(&narrow.replace('│', "")).len(),
                words(&draw_within(&parts(&scan(NESTED)), None, Paint(true)).replace('│', ""))
                    .len()
            );
        }
        let coloured = draw(
            &parts_after(&multipart(&["\na"]), &multipart(&["\nb"])).0,
            Paint(true),
        );
        assert!(
            coloured.contains("\x1b[33m└─1 text/plain\x1b[0m"),
            "{coloured:?}"
        );
    }

    #[test]
    fn a_deep_tree_stays_narrow_and_a_large_one_short() {
        let deep: String = (0..90)
            .map(|level| {
                format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n")
            })
            .collect();
        let drawn = draw(&parts(&scan(&deep)), Paint(false));
        assert!(
            drawn.lines().all(|line| line.chars().count() <= 100),
            "{drawn}"
        );
        let large = draw(&parts(&multipart(&["\na"; 300])), Paint(false));
        assert_eq!(large.lines().count(), 201);
        assert!(
            large.ends_with("… 101 parts more; --json lists them all\n"),
            "{large}"
        );
    }

    #[test]
    fn what_differs_is_found() {
        const PDF: &str = "Content-Type: application/pdf\n\npdf";
        const CSV: &str = "Content-Type: text/csv\n\n1;2";
        const ZIP: &str = "Content-Type: application/zip\n\nzip";
        // Before, after, and of the parts after: section, change, where it was. Then what is gone.
        for (before, after, changes, gone) in [
            (&["\na", PDF][..], &["\na", PDF][..], "0:=0 1:=1 2:=2", ""),
            (&["\na", PDF], &["\nb", PDF], "0:=0 1:b1 2:=2", ""),
            (
                &["\na", PDF],
                &["\na", "Content-Type: application/pdf; name=x\n\npdf"],
                "0:=0 1:=1 2:h2",
                "",
            ),
            (&["\na", PDF, CSV], &["\na", ZIP], "0:=0 1:=1 2:n", "2 3"),
            (&["\na", PDF, CSV], &["\na", CSV], "0:=0 1:=1 2:=3", "2"),
            (&["\na"], &["\na", "\nb"], "0:=0 1:=1 2:n", ""),
            (&["\na", "\na"], &["\na"], "0:=0 1:=1", "2"),
        ] {
            let (parts, removed) = parts_after(&multipart(before), &multipart(after));
            let shown: Vec<String> = parts.iter().map(shown_change).collect();
            let removed: Vec<&str> = removed.iter().map(|part| part.section.as_str()).collect();
            assert_eq!(shown.join(" "), changes, "{before:?} {after:?}");
            assert_eq!(removed.join(" "), gone, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_wrapped_root_is_the_same_part() {
        let before = scan("Subject: s\nContent-Type: text/plain\n\nhello\n");
        let after = scan(
            "Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n\
             --b\nContent-Type: text/plain\n\nhello\n\n--b\nContent-Type: application/pdf\n\nx\n--b--\n",
        );
        let (parts, gone) = parts_after(&before, &after);
        let shown: Vec<String> = parts.iter().map(shown_change).collect();
        assert_eq!(shown.join(" "), "0:n 1:=1 2:n");
        assert_eq!(gone, []);
    }

    fn shown_change(part: &PartAccount) -> String {
        let change = match part.change {
            None => "=",
            Some(Change::New) => "n",
            Some(Change::Body) => "b",
            Some(Change::Header) => "h",
        };
        format!(
            "{}:{change}{}",
            part.section,
            part.was.as_deref().unwrap_or("")
        )
    }
}
