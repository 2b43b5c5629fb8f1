//! Where new parts may stand: one rule for archives, notes and texts of ours that are separate parts.
//!
//! A reader shows one part of a multipart/related or a multipart/alternative and hides the others; a further part would
//! break a signed multipart, a report, a digest or a file in two forks. So a new part goes into a multipart/mixed that
//! has only multipart/mixed around it, or into a new one around the mail.
//!
//! Must never: know what the new part is.

use super::part::Part;
use super::tree::PartId;

/// Where what stands for a part can be seen by everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Beside this part, which is that part or holds it.
    Beside(PartId),
    /// At the end of the mail.
    End,
}

/// The nearest multipart/mixed around a part that all readers show from its first part to its last.
pub fn of(part: Part<'_>) -> Place {
    let mut up: Vec<Part<'_>> = std::iter::once(part).chain(part.ancestors()).collect();
    let mut place = Place::End;
    while let Some(parent) = up.pop() {
        match up.last() {
            Some(child) if is_open(parent) => place = Place::Beside(child.id()),
            _ => break,
        }
    }
    place
}

/// Does the multipart show its parts one after the other.
pub fn is_open(part: Part<'_>) -> bool {
    part.media_type() == "multipart/mixed" && part.is_multipart() && part.seal().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::scan::tests::scan;

    /// Where a new part for the leaf with the body `x` stands: the section of its neighbour, or `end`.
    fn place(tree: &str) -> String {
        let message = scan(&mail(tree, &mut 0));
        let leaf = message.leaves().find(|leaf| leaf.body() == b"x").unwrap();
        match of(leaf) {
            Place::Beside(at) => message.part(at).unwrap().section_text(),
            Place::End => "end".into(),
        }
    }

    /// `mixed(x,alternative(y,y))` as a mail.
    fn mail(tree: &str, count: &mut usize) -> String {
        let Some((kind, rest)) = tree.split_once('(') else {
            return format!("\n{tree}");
        };
        *count += 1;
        let boundary = format!("b{count}");
        let inside = rest.strip_suffix(')').unwrap();
        let mut out = format!("Content-Type: multipart/{kind}; boundary={boundary}\n\n");
        let (mut depth, mut start) = (0, 0);
        for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                ',' if depth == 0 => {
                    let part = mail(&inside[start..at], count);
                    out.push_str(&format!("--{boundary}\n{part}\n"));
                    start = at + 1;
                }
                _ => {}
            }
        }
        out + &format!("--{boundary}--\n")
    }

    #[test]
    fn places() {
        for (tree, expected) in [
            ("x", "end"),
            ("mixed(y,x)", "2"),
            ("mixed(y,mixed(y,x))", "2.2"),
            ("mixed(alternative(y,x),y)", "1"),
            ("mixed(alternative(y,related(y,x)),y)", "1"),
            ("mixed(related(y,mixed(y,x)),y)", "1"),
            ("mixed(y,appledouble(y,x))", "2"),
            ("mixed(mixed(y,digest(x)),y)", "1.2"),
            ("mixed(signed(mixed(y,x),y),y)", "1"),
            ("alternative(y,x)", "end"),
            ("alternative(y,mixed(y,x))", "end"),
            ("related(y,x)", "end"),
            ("report(y,x)", "end"),
            ("signed(mixed(y,x),y)", "end"),
            ("parallel(y,x)", "end"),
            ("x-unknown(mixed(x))", "end"),
        ] {
            assert_eq!(place(tree), expected, "{tree}");
        }
    }
}
