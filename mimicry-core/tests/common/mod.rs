//! What the tests of the message layer share: the corpus, generated mails, and edits as data with a model of their
//! outcome that knows nothing of how they are rendered or verified.
//!
//! Longer than 600 lines: generators and model speak of the same trees and edits.

#![allow(dead_code)] // each test binary uses its own selection

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use mimicry_core::message::codec::{self, Encoding};
use mimicry_core::message::compose::NewPart;
use mimicry_core::message::edit::{Around, EditSet, Refused};
use mimicry_core::message::header;
use mimicry_core::message::params::Params;
use mimicry_core::message::text::NewBody;
use mimicry_core::message::{Limits, Message, Part, PartId, address};
use proptest::prelude::*;

pub mod differences;
pub mod rows;

/// The mails of the project, with their names, in order of the names.
pub fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../t/mail");
    let mut mails: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    mails.sort();
    assert!(
        mails.len() >= 120,
        "{} mails in {}",
        mails.len(),
        folder.display()
    );
    mails
}

pub fn corpus_mail(name: &str) -> Vec<u8> {
    corpus()
        .into_iter()
        .find(|(found, _)| found == name)
        .unwrap_or_else(|| panic!("no mail {name}"))
        .1
}

/// With LF where CRLF was.
pub fn lf(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    for (at, octet) in raw.iter().enumerate() {
        if !(*octet == b'\r' && raw.get(at + 1) == Some(&b'\n')) {
            out.push(*octet);
        }
    }
    out
}

/// Cut off at 16 places, evenly spread, and just before and behind each of some delimiters.
pub fn truncated(raw: &[u8]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = (0..16).map(|part| raw.len() * part / 16).collect();
    let delimiters = raw
        .windows(3)
        .enumerate()
        .filter(|(_, window)| window == b"\n--")
        .map(|(at, _)| at);
    for at in delimiters.take(6) {
        cuts.extend([at, at + 1, at + 3]);
        let line = raw[at + 1..]
            .iter()
            .position(|octet| *octet == b'\n')
            .map_or(raw.len(), |end| at + 1 + end);
        cuts.extend([line, (line + 1).min(raw.len()), (line + 12).min(raw.len())]);
    }
    cuts.sort_unstable();
    cuts.dedup();
    cuts.into_iter().map(|cut| raw[..cut].to_vec()).collect()
}

pub fn scan(raw: &[u8]) -> Message {
    Message::scan(raw.to_vec(), &Limits::default())
}

/// Octets that decide what is made; past their end all decisions are 0, the simplest one, so that failures shrink.
pub struct Choices<'a> {
    octets: &'a [u8],
}

impl Choices<'_> {
    pub fn new(octets: &[u8]) -> Choices<'_> {
        Choices { octets }
    }

    pub fn pick(&mut self, of: usize) -> usize {
        match self.octets {
            [first, rest @ ..] => {
                self.octets = rest;
                usize::from(*first) % of
            }
            [] => 0,
        }
    }

    pub fn of<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.pick(from.len())]
    }

    /// In one of `of` cases.
    pub fn rarely(&mut self, of: usize) -> bool {
        self.pick(of) == of - 1
    }
}

/// A mail with some tree of parts, in all framings: line ends of every kind, boundaries that are prefixes of each other
/// or used twice, preambles, epilogues, missing closes and blank lines, codings true and false.
pub fn make_mail(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    if choices.rarely(16) {
        out.extend_from_slice(b"From a@b.example Mon Jan  1 10:00:00 2024\n");
    }
    if !choices.rarely(8) {
        out.extend_from_slice(
            b"From: a@example.org\nSubject: =?utf-8?q?=C3=A4?= b\n folded\nMIME-Version: 1.0\n",
        );
    }
    make_entity(choices, 0, &mut out);
    let line_ends = choices.pick(4);
    let mut framed = Vec::with_capacity(out.len() * 2);
    for octet in out {
        if octet == b'\n' && (line_ends < 2 || (line_ends == 3 && choices.pick(2) == 0)) {
            framed.push(b'\r');
        }
        framed.push(octet);
    }
    if choices.rarely(12) {
        let cut = choices.pick(256) * framed.len() / 256;
        framed.truncate(cut);
    }
    framed
}

fn make_entity(choices: &mut Choices<'_>, depth: usize, out: &mut Vec<u8>) {
    let is_multipart =
        depth < 5 && choices.pick(if depth == 0 { 4 } else { 8 }) > if depth == 0 { 0 } else { 5 };
    if choices.rarely(10) {
        let odd = [
            "Content-ID: <a@b>\n",
            "X-Odd name: 1\n",
            "no field\n",
            "Content-Disposition: inline\n",
            "Content-Type: text/html\n",
            " \n",
        ];
        out.extend_from_slice(choices.of(&odd).as_bytes());
    }
    if !is_multipart {
        return make_leaf(choices, out);
    }
    let subtype = choices.of(&[
        "mixed",
        "alternative",
        "related",
        "digest",
        "signed",
        "report",
        "x-odd",
    ]);
    let unique = format!("u{depth}{}", out.len());
    let boundary = match choices.pick(12) {
        0..8 => unique.as_str(),
        8 => "b",
        9 => "bb",
        10 => "b--",
        _ => choices.of(&[
            "=_x y",
            "B",
            "--",
            "b'()+_,-./:=?",
            "0123456789012345678901234567890123456789012345678901234567890123456789x",
        ]),
    };
    if choices.rarely(24) {
        out.extend_from_slice(b"Content-Transfer-Encoding: base64\n");
    }
    out.extend_from_slice(
        format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\n").as_bytes(),
    );
    if !choices.rarely(16) {
        out.push(b'\n');
    }
    if choices.rarely(4) {
        out.extend_from_slice(b"preamble\n--preamble\n");
    }
    let children = choices.pick(5);
    for child in 0..children {
        if child > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(b"--");
        out.extend_from_slice(boundary.as_bytes());
        out.extend_from_slice(
            choices
                .of(&["\n", "\n", "\n", "\n", "\n", " \t\n"])
                .as_bytes(),
        );
        make_entity(choices, depth + 1, out);
    }
    if !choices.rarely(8) {
        out.extend_from_slice(b"\n--");
        out.extend_from_slice(boundary.as_bytes());
        out.extend_from_slice(b"--");
        out.extend_from_slice(
            choices
                .of(&["\n", "", "  \n", "\nepilogue", "\n\n--epilogue\n"])
                .as_bytes(),
        );
    }
}

fn make_leaf(choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let (header, body): (&str, &[u8]) = [
        ("Content-Type: text/plain\n", &b"text"[..]),
        ("", b"text\nof lines\n"),
        (
            "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n",
            b"<p>\xc3\xa4</p>\n",
        ),
        (
            "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n",
            b"=E4 soft=\nbreak\n",
        ),
        (
            "Content-Type: application/octet-stream; name=a.bin\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment\n",
            b"AAEC\nAwQF\n",
        ),
        (
            "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n",
            b"w6QgYg==\n",
        ),
        (
            "Content-Type: message/rfc822\n",
            b"Subject: x\n\n--b\nforwarded\n",
        ),
        ("Content-Type: application/pkcs7-mime\n", b"AAEC"),
        (
            "Content-Type: text/plain\n",
            b"-----BEGIN PGP MESSAGE-----\n\nx\n-----END PGP MESSAGE-----\n",
        ),
        (
            "Content-Type: image/png\nContent-ID: <a@b>\n",
            b"\x89PNG\x00\xff",
        ),
        (
            "Content-Type: text/plain; charset=x-unknown\nContent-Transfer-Encoding: x-odd\n",
            b"\x01\x02",
        ),
        ("Content-Type: @garbage; a=\"b\n", b"x"),
    ][choices.pick(12)];
    out.extend_from_slice(header.as_bytes());
    if !choices.rarely(12) {
        out.push(b'\n');
    }
    out.extend_from_slice(body);
    match choices.pick(12) {
        9 => out.extend_from_slice(b"\n--\n--b \n--bb--x\n-b\n"),
        10 => out.push(b'\r'),
        11 => out.truncate(out.len() - body.len()),
        _ => {}
    }
}

pub fn choices(max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..max)
}

/// A mail of [`make_mail`].
pub fn mail() -> impl Strategy<Value = Vec<u8>> {
    choices(200).prop_map(|octets| make_mail(&mut Choices::new(&octets)))
}

/// Octets that need not be a mail at all, made of what has a meaning in one.
pub fn noise() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        3 => proptest::sample::select(vec![
            &b"\r\n"[..], b"\n", b"\r", b"\n\n", b"\r\n\r\n", b"--", b"--b", b"--b--", b"\n--b\n", b"\n--b--\n", b"\r\n--b\r\n", b" ", b"\t", b":",
            b"Content-Type: multipart/mixed; boundary=b\n", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n", b"Content-Type:", b"multipart/",
            b"digest", b";boundary=", b"\"", b"From x\n", b"A: b\n", b"\0", b"text/html", b"Content-Transfer-Encoding: base64\n", b"Content-Disposition: attachment; filename*0*=",
        ]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

/// Changes some octets of a mail: flips, cuts, doubled and moved slices, odd insertions.
pub fn mutate(mut raw: Vec<u8>, choices: &mut Choices<'_>) -> Vec<u8> {
    for _ in 0..=choices.pick(4) {
        let place = |choices: &mut Choices<'_>| {
            (choices.pick(256) * 256 + choices.pick(256)) * raw.len() / 65536
        };
        let (a, b) = (place(choices), place(choices));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 400));
        match choices.pick(6) {
            0 if from < raw.len() => raw[from] ^= 1 << choices.pick(8),
            1 => drop(raw.drain(from..to)),
            2 => {
                let slice = raw[from..to].to_vec();
                raw.splice(to..to, slice);
            }
            3 => {
                let slice: Vec<u8> = raw.drain(from..to).collect();
                let at = (choices.pick(256) * raw.len() / 256).min(raw.len());
                raw.splice(at..at, slice);
            }
            4 => {
                let odd = choices.of(&[
                    "\n", "\r", "\n\n", "--", "\n--", "\"", "(", "=?", "\0", ": ", "\n ", "--\n",
                ]);
                raw.splice(from..from, odd.bytes());
            }
            _ => raw.truncate(to),
        }
    }
    raw
}

/// Asks a message for everything that can be asked.
pub fn ask_all(message: &Message) {
    let roles = message.roles();
    for part in message.parts() {
        assert_eq!(roles.role(part.id()).is_some(), !part.is_multipart());
        let _ = (
            roles.is_shown(part.id()),
            part.filenames(),
            part.disposition(),
            part.charset(),
        );
        let _ = (
            part.content_id(),
            part.is_seal_root(),
            part.encoding(),
            part.decoded_len(),
        );
        if part.depth() < 200 {
            let _ = (part.type_path(), part.section_text());
        }
        for field in part.fields() {
            let _ = (field.decoded(), field.unfolded());
            if field.is("from") || field.is("to") {
                let _ = address::filter_text(field.value());
            }
        }
        if !part.is_multipart() {
            let _ = part.decoded();
        }
    }
}

/// Where a slice of the message lies in it.
pub fn range_in(message: &Message, slice: &[u8]) -> std::ops::Range<usize> {
    let start = slice.as_ptr() as usize - message.raw().as_ptr() as usize;
    assert!(start + slice.len() <= message.raw().len());
    start..start + slice.len()
}

pub fn boundary(part: Part<'_>) -> Vec<u8> {
    let field = part.field("content-type").unwrap();
    Params::parse(field.value(), 1000)
        .get_bytes("boundary")
        .unwrap()
        .trim_ascii_end()
        .to_vec()
}

/// An edit, with the parts it is about as an index into those of the message.
#[derive(Clone, Debug)]
pub struct Op {
    pub kind: usize,
    pub part: usize,
    pub variant: usize,
}

pub const KINDS: usize = 14;

pub fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = (0..KINDS, any::<u16>(), 0..64usize).prop_map(|(kind, part, variant)| Op {
        kind,
        part: usize::from(part),
        variant,
    });
    proptest::collection::vec(op, 1..7)
}

/// What the edits should have made of one part.
#[derive(Clone, Debug, Default)]
struct Change {
    removed: bool,
    /// In lower case; `content-` stands for all that begin so.
    fields: Vec<&'static str>,
    body: Option<Vec<u8>>,
    before: Vec<NewPart>,
    after: Vec<NewPart>,
    at_end: Vec<NewPart>,
    /// New multiparts around it, the outermost first: what stands before and behind.
    wrapped: BTreeMap<Reverse<Around>, (Vec<NewPart>, Vec<NewPart>)>,
}

/// Edits, and what they should come to.
pub struct Edited<'m> {
    pub edits: EditSet<'m>,
    changes: BTreeMap<PartId, Change>,
    pub accepted: usize,
    pub refused: Vec<Refused>,
}

/// One part of the outcome: its fields but for those that were edited, and its body or what stands around its children.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub fields: Vec<Vec<u8>>,
    pub octets: Vec<Vec<u8>>,
}

impl<'m> Edited<'m> {
    pub fn new(message: &'m Message) -> Edited<'m> {
        Edited {
            edits: EditSet::new(message),
            changes: BTreeMap::new(),
            accepted: 0,
            refused: Vec::new(),
        }
    }

    pub fn apply(&mut self, op: &Op) {
        match self.try_apply(op) {
            Ok(()) => self.accepted += 1,
            Err(refused) => self.refused.push(refused),
        }
    }

    fn try_apply(&mut self, op: &Op) -> Result<(), Refused> {
        let message = self.edits.message();
        let part = message
            .parts()
            .nth(op.part % message.parts().len())
            .unwrap();
        let id = part.id();
        let names = [
            "subject",
            "x-new",
            "from",
            "content-description",
            "content-id",
            "received",
        ];
        let name = names[op.variant % names.len()];
        let value = [
            "short",
            "",
            "Grüße, sehr lang und breit, so daß sie gefaltet werden müssen, mehr als einmal sogar",
            "a: b",
        ][op.variant / 8 % 4];
        match op.kind {
            0 | 1 => {
                let body = new_body(self.edits.content(id)?, op.variant);
                self.edits.replace_body(id, body.clone())?;
                let is_new_charset = body.charset.is_some();
                self.outdate(Some(part));
                let change = self.change(id);
                change.body = Some(body.raw);
                change
                    .fields
                    .extend(["content-transfer-encoding", "mime-version"]);
                change
                    .fields
                    .extend(is_new_charset.then_some("content-type"));
            }
            2 => {
                self.edits.set_field(id, name, value)?;
                self.change(id).fields.push(name);
            }
            3 => {
                self.edits.add_field_above(id, name, value)?;
                self.change(id).fields.push(name);
            }
            4 => {
                self.edits.add_field_below(id, name, value)?;
                self.change(id).fields.push(name);
            }
            5 => {
                let removed = self.edits.remove_fields(id, name, |_| true)?;
                if removed > 0 {
                    self.change(id).fields.push(name);
                }
            }
            6 => {
                self.edits.remove(id)?;
                self.outdate(part.parent());
                self.change(id).removed = true;
            }
            7 => {
                self.edits.remove_pruning(id)?;
                let parent_is_gone = |part: &Part<'_>| {
                    part.parent()
                        .is_some_and(|parent| self.edits.is_gone(parent.id()))
                };
                let highest = std::iter::successors(Some(part), |part| part.parent())
                    .find(|part| !parent_is_gone(part));
                let highest = highest.unwrap();
                self.outdate(highest.parent());
                self.change(highest.id()).removed = true;
            }
            8 => {
                let new = new_part(message, op.variant);
                self.edits.insert_before(id, new.clone())?;
                self.outdate(part.parent());
                self.change(id).before.push(new);
            }
            9 => {
                let new = new_part(message, op.variant);
                self.edits.insert_after(id, new.clone())?;
                self.outdate(part.parent());
                self.change(id).after.push(new);
            }
            10 => {
                let new = new_part(message, op.variant);
                self.edits.append(id, new.clone())?;
                self.outdate(Some(part));
                self.change(id).at_end.push(new);
            }
            11 => {
                let new = |count: usize| vec![new_part(message, op.variant); count];
                let (before, after) = (new(op.variant / 3 % 2), new(op.variant % 3));
                let around = [Around::Mixed, Around::Related][op.variant / 2 % 2];
                self.edits.wrap(id, around, before.clone(), after.clone())?;
                self.outdate(part.parent());
                self.wrapped(part, around, before, after);
            }
            12 => {
                let new = new_part(message, op.variant);
                self.edits.attach(new.clone())?;
                let root = message.root();
                let is_mixed = root.media_type() == "multipart/mixed";
                let has_parts = root.children().next().is_some();
                if is_mixed && has_parts && !self.edits.is_replaced(PartId::ROOT) {
                    self.outdate(Some(root));
                    self.change(PartId::ROOT).at_end.push(new);
                } else {
                    self.wrapped(root, Around::Mixed, vec![], vec![new]);
                }
            }
            _ => {
                let new = new_part(message, op.variant);
                self.edits.replace_part(id, new.clone())?;
                self.outdate(part.parent());
                let change = self.change(id);
                change.body = Some(new.body.as_slice().to_vec());
                change.fields.extend(["content-", "mime-version"]);
            }
        }
        Ok(())
    }

    fn change(&mut self, id: PartId) -> &mut Change {
        self.changes.entry(id).or_default()
    }

    /// What says how long the content is, or what sum it has, goes of a part whose content is another one, and of all around it.
    fn outdate(&mut self, part: Option<Part<'_>>) {
        for part in std::iter::successors(part, |part| part.parent()) {
            let fields = &mut self.change(part.id()).fields;
            fields.extend(["content-md5", "content-length"]);
        }
    }

    fn wrapped(
        &mut self,
        part: Part<'_>,
        around: Around,
        before: Vec<NewPart>,
        after: Vec<NewPart>,
    ) {
        let change = self.change(part.id());
        let wrap = change.wrapped.entry(Reverse(around)).or_default();
        wrap.0.splice(0..0, before);
        wrap.1.extend(after);
        change.fields.push("mime-version");
        if part.media_type() == "message/rfc822" {
            change.fields.push("content-type");
        }
    }

    /// What the message should be now, part by part in document order.
    pub fn planned(&self) -> Vec<Outcome> {
        let mut out = Vec::new();
        self.plan(self.edits.message().root(), &mut out);
        out
    }

    fn plan(&self, part: Part<'_>, out: &mut Vec<Outcome>) {
        let none = Change::default();
        let change = self.changes.get(&part.id()).unwrap_or(&none);
        if change.wrapped.is_empty() {
            return self.plan_inner(part, change, |_| true, out);
        }
        let stays = |name: &str| part.is_root() && !name.starts_with("content-");
        for (depth, (before, _)) in change.wrapped.values().enumerate() {
            out.push(Outcome {
                fields: other_fields(part, change, |name| depth == 0 && stays(name)),
                octets: vec![],
            });
            out.extend(before.iter().map(planned_new));
        }
        self.plan_inner(part, change, |name| !stays(name), out);
        for (_, after) in change.wrapped.values().rev() {
            out.extend(after.iter().map(planned_new));
        }
    }

    fn plan_inner(
        &self,
        part: Part<'_>,
        change: &Change,
        which: impl Fn(&str) -> bool,
        out: &mut Vec<Outcome>,
    ) {
        out.push(Outcome {
            fields: other_fields(part, change, which),
            octets: match &change.body {
                Some(body) => vec![body.clone()],
                None if part.is_multipart() => around_children(part),
                None => vec![part.body().to_vec()],
            },
        });
        if change.body.is_some() {
            // What stood below it has gone with it.
            return;
        }
        let none = Change::default();
        for child in part.children() {
            let change = self.changes.get(&child.id()).unwrap_or(&none);
            out.extend(change.before.iter().map(planned_new));
            if !change.removed {
                self.plan(child, out);
            }
            out.extend(change.after.iter().map(planned_new));
        }
        out.extend(change.at_end.iter().map(planned_new));
    }

    /// The same of the message that came out, with all its fields.
    pub fn found(&self, after: &Message) -> Vec<Outcome> {
        after
            .parts()
            .map(|part| Outcome {
                fields: part
                    .fields()
                    .map(|field| without_line_end(field.raw()))
                    .collect(),
                octets: if part.is_multipart() {
                    around_children(part)
                } else {
                    vec![part.body().to_vec()]
                },
            })
            .collect()
    }
}

/// Compares what should be with what is; edited fields may stand among the others.
pub fn compare(planned: &[Outcome], found: &[Outcome]) -> Result<(), String> {
    if planned.len() != found.len() {
        return Err(format!(
            "{} parts planned, {} found",
            planned.len(),
            found.len()
        ));
    }
    for (index, (planned, found)) in planned.iter().zip(found).enumerate() {
        let mut fields = found.fields.iter();
        for field in &planned.fields {
            if !fields.any(|found| found == field) {
                return Err(format!("part {index}: lost {}", field.escape_ascii()));
            }
        }
        // A new multipart is made by the edit, so nothing is planned of what stands around its children.
        if !planned.octets.is_empty() && planned.octets != found.octets {
            return Err(format!("part {index}: other octets"));
        }
    }
    Ok(())
}

fn other_fields(part: Part<'_>, change: &Change, which: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    part.fields()
        .filter(|field| {
            let name = String::from_utf8_lossy(field.name()).to_ascii_lowercase();
            let edited =
                |own: &&str| name == **own || (own.ends_with('-') && name.starts_with(*own));
            which(&name) && !change.fields.iter().any(edited)
        })
        .map(|field| without_line_end(field.raw()))
        .collect()
}

fn without_line_end(field: &[u8]) -> Vec<u8> {
    let line_end: &[u8] = if field.ends_with(b"\r\n") {
        b"\r\n"
    } else {
        b"\n"
    };
    field.strip_suffix(line_end).unwrap_or(field).to_vec()
}

fn planned_new(new: &NewPart) -> Outcome {
    Outcome {
        fields: header::fields(&new.header)
            .map(|field| without_line_end(field.raw()))
            .collect(),
        octets: vec![new.body.as_slice().to_vec()],
    }
}

/// Preamble, and close delimiter with epilogue, without the line end before them.
fn around_children(part: Part<'_>) -> Vec<Vec<u8>> {
    let message = part.message();
    let body = range_in(message, part.body());
    let Some(first) = part.children().next() else {
        return vec![part.body().to_vec()];
    };
    let last = part.children().last().unwrap();
    let before = &message.raw()[body.start..range_in(message, first.raw()).start];
    let delimiter = before
        .strip_suffix(b"\n")
        .unwrap_or(before)
        .iter()
        .rposition(|octet| *octet == b'\n')
        .map_or(0, |at| at + 1);
    let behind = &message.raw()[range_in(message, last.raw()).end..body.end];
    let behind = behind.strip_prefix(b"\r").unwrap_or(behind);
    vec![
        before[..delimiter].to_vec(),
        behind.strip_prefix(b"\n").unwrap_or(behind).to_vec(),
    ]
}

pub fn new_part(message: &Message, variant: usize) -> NewPart {
    let newline = message.newline();
    match variant % 5 {
        0 => NewPart::text("plain", "new\n", newline),
        1 => NewPart::text("html", "<p>Grüße</p>\nzwei Zeilen\n", newline),
        2 => NewPart::attachment("application/zip", "Grüße aus.zip", [0, 1, 2, 255], newline),
        3 => NewPart::attachment("application/octet-stream", "a", [7; 200], newline),
        _ => NewPart::text("plain", "", newline),
    }
}

fn new_body(content: mimicry_core::message::edit::Content<'_>, variant: usize) -> NewBody {
    let newline = content.newline().as_bytes();
    let long = "a longer line of the text ".repeat(60);
    let text = ["new text", "zwei\r\nZeilen, größere\r\n", "", &long][variant % 4];
    let text = content.newline().apply(text);
    let is_text = content.media_type().starts_with("text/");
    let encoding = [Encoding::Base64, Encoding::QuotedPrintable][variant / 4 % 2];
    NewBody {
        raw: codec::encode(encoding, text.as_bytes(), newline),
        charset: is_text.then(|| "utf-8".into()),
        encoding: Some(encoding),
        ..NewBody::default()
    }
}
