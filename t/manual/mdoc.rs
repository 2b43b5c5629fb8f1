//! The pages as the tests read them: sections, items, literal blocks. Knows the mdoc that the pages use and no more.
//!
//! Must never: pass over an escape that it does not know.

use std::fs;

use crate::harness::root;

/// One item of a page, or what it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    pub section: String,
    pub name: String,
    pub kind: String,
    /// The line below: the default, or the level of a filter.
    pub below: String,
}

#[derive(Clone, Debug, Default)]
pub struct Heading {
    pub section: String,
    pub subsection: String,
}

/// A literal block and the comment before it.
pub struct Block {
    pub what: String,
    pub text: String,
}

pub fn page(name: &str) -> Vec<String> {
    let text =
        fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    text.lines().map(String::from).collect()
}

pub fn headings(page: &[String]) -> Vec<String> {
    page.iter()
        .filter_map(|line| line.strip_prefix(".Sh "))
        .map(String::from)
        .collect()
}

/// The lines of one section.
pub fn section<'p>(page: &'p [String], name: &str) -> Vec<&'p str> {
    let heading = format!(".Sh {name}");
    let behind = page
        .iter()
        .map(String::as_str)
        .skip_while(|line| *line != heading)
        .skip(1);
    behind
        .take_while(|line| !line.starts_with(".Sh "))
        .collect()
}

/// The lines of one subsection.
pub fn subsection(page: &[String], name: &str) -> Vec<String> {
    let heading = format!(".Ss {name}");
    let after = page.iter().skip_while(|line| **line != heading).skip(1);
    after
        .take_while(|line| !line.starts_with(".Ss ") && !line.starts_with(".Sh "))
        .cloned()
        .collect()
}

/// All items that give a kind.
pub fn items(page: &[String]) -> Vec<(Heading, Item)> {
    let mut heading = Heading::default();
    let mut found = Vec::new();
    for (index, line) in page.iter().enumerate() {
        if let Some(name) = line.strip_prefix(".Sh ") {
            heading = Heading {
                section: name.to_string(),
                subsection: String::new(),
            };
        } else if let Some(name) = line.strip_prefix(".Ss ") {
            heading.subsection = name.to_string();
        } else if let Some((name, kind)) = line
            .strip_prefix(".It Cm ")
            .and_then(|rest| rest.split_once(" No = Ar "))
        {
            let below = page
                .get(index + 1)
                .and_then(|line| line.strip_prefix(".Pq "));
            found.push((
                heading.clone(),
                Item {
                    section: String::new(),
                    // A part of the name that stands for what the reader puts there is no part of the key.
                    name: name.split(" Ns Ar ").next().unwrap_or_default().to_string(),
                    kind: unescape(kind),
                    below: unescape(below.unwrap_or("nothing below")),
                },
            ));
        }
    }
    found
}

pub fn blocks(page: &[String]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut what = String::new();
    let mut open: Option<Block> = None;
    for line in page {
        if line.starts_with(".Ed") {
            blocks.extend(open.take());
        } else if let Some(block) = &mut open {
            block.text.push_str(&unescape(line));
            block.text.push('\n');
        } else if let Some(comment) = line.strip_prefix(".\\\" ") {
            what = comment.to_string();
        } else if line.starts_with(".Bd -literal") {
            open = Some(Block {
                what: std::mem::take(&mut what),
                text: String::new(),
            });
        }
    }
    blocks
}

/// What mandoc makes of the escapes that the pages use.
pub fn unescape(mdoc: &str) -> String {
    let mut text = String::new();
    let mut rest = mdoc;
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let known = [
            ("e", "\\"),
            ("&", ""),
            ("-", "-"),
            ("(dq", "\""),
            ("(aq", "'"),
            ("(ha", "^"),
            ("(ti", "~"),
            ("(ga", "`"),
            ("(->", "→"),
            ("[u251C]", "├"),
            ("[u2500]", "─"),
            ("[u2514]", "└"),
            ("[u2502]", "│"),
        ];
        let found = known
            .iter()
            .find_map(|(name, char)| Some((escape.strip_prefix(name)?, char)));
        let (tail, char) =
            found.unwrap_or_else(|| panic!("an escape that is not known here: {mdoc}"));
        text.push_str(char);
        rest = tail;
    }
    text.push_str(rest);
    text
}

#[test]
fn escapes_are_read() {
    for (mdoc, text) in [
        (r"\(dqa\(dq", "\"a\""),
        (r"\(aq\e.pdf$\(aq", r"'\.pdf$'"),
        (r"\&.x \- y\(ha\(ti\(ga", ".x - y^~`"),
        (r"7 000 \(-> 7 471 \[u251C]\[u2500]1", "7 000 → 7 471 ├─1"),
        ("header. Ns NAME", "header. Ns NAME"),
    ] {
        assert_eq!(unescape(mdoc), text);
    }
}
