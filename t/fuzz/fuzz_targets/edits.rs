//! Any edits on any octets: what is rendered is proved, and untouched leaves keep their octets.
//!
//! The first octets choose the edits, the rest is the message. A message whose structure readers understand
//! differently may fail the proof; one that is sound may not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimicry_core::message::compose::NewPart;
use mimicry_core::message::edit::{Around, EditSet};
use mimicry_core::message::render::render;
use mimicry_core::message::text::{At, NewBody, Unmappable};
use mimicry_core::message::verify::verify;
use mimicry_core::message::{Limits, Message, PartId};

/// The body with a text of ours somewhere in it: the proof reads only the lines that differ.
fn spliced(edits: &EditSet<'_>, id: PartId, choice: u8) -> Option<NewBody> {
    let content = edits.content(id).ok()?;
    let body = content.text().ok()?;
    let at = body.text().len().saturating_mul(usize::from(choice)) / 256;
    let at = body.text().floor_char_boundary(at);
    body.insert(At::Text(at), "\r\nours, größer\r\n", Unmappable::Raise).ok()
}

fuzz_target!(|input: &[u8]| {
    let Some((choices, octets)) = input.split_at_checked(8) else { return };
    let message = Message::scan(octets.to_vec(), &Limits::default());
    let ids: Vec<PartId> = message.parts().map(|part| part.id()).collect();
    let mut edits = EditSet::new(&message);
    for choice in choices.chunks_exact(2) {
        let id = ids[usize::from(choice[1]) % ids.len()];
        let new = || NewPart::text("plain", "a text of ours\nwith ümlauts\n", message.newline());
        let done = match choice[0] % 12 {
            0 => edits.replace_body(
                id,
                NewBody {
                    raw: b"YWJj".to_vec(),
                    charset: Some("utf-8".into()),
                    encoding: Some(mimicry_core::message::codec::Encoding::Base64),
                    was_text: None,
                },
            ),
            1 => edits.set_field(id, "Subject", "ein Grüßchen\r\nBcc: x@example.org"),
            2 => edits.add_field_above(id, "X-Ours", "value"),
            3 => edits.remove_fields(id, "received", |_| true).map(|_| ()),
            4 => edits.remove_pruning(id),
            5 => edits.insert_before(id, new()),
            6 => edits.insert_after(id, new()),
            7 => edits.append(id, new()),
            8 => edits.wrap(id, Around::Mixed, vec![new()], vec![new()]),
            9 => edits.wrap(id, Around::Related, vec![], vec![new()]),
            10 => match spliced(&edits, id, choice[0]) {
                Some(new) => edits.replace_body(id, new),
                None => Ok(()),
            },
            _ => edits.replace_part(id, NewPart::attachment("application/zip", "ä.zip", b"zip", message.newline())),
        };
        let _ = done;
    }
    // What is sealed stays: whole, or not at all.
    let sealed: Vec<Vec<u8>> = message
        .parts()
        .filter(|part| part.is_seal_root() && !edits.is_gone(part.id()))
        .map(|part| bare(part.body()).to_vec())
        .collect();
    let rendered = render(&edits);
    if edits.is_empty() {
        assert_eq!(rendered, octets);
    }
    match verify(&edits, rendered, &Limits::default()) {
        Ok(after) => {
            for body in sealed {
                let replaced = message.parts().any(|part| bare(part.body()) == body && edits.is_replaced(part.id()));
                assert!(replaced || after.parts().any(|part| bare(part.body()) == body), "a seal was broken");
            }
        }
        Err(mismatch) => assert!(message.malformed(), "a sound message was not proved: {mismatch}"),
    }
});

/// A mail that ends within a header block has no line end there. The one before a delimiter of ours belongs to that header then.
fn bare(body: &[u8]) -> &[u8] {
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    body.strip_suffix(b"\r").unwrap_or(body)
}
