//! What becomes of a text that no text of the mail can have: beside sealed content, a part of its own, or as the rule says.
//!
//! Must never: leave the text out of a mail that must have it.

use mimicry_core::message::edit::{Around, EditSet, Refused};
use mimicry_core::message::{Part, PartId, place};
use mimicry_core::plugin::{Fault, Finish, OnError, Task};
use mimicry_core::reason::Reason;

use super::manner::{Fallback, Where};
use super::{Insertion, section_of};
use crate::shared::text_end::TextEnd;

impl Insertion<'_> {
    /// No text of the mail can have ours.
    pub(super) fn has_no_body(&self, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let reason = why_none(self.task);
        // What was not looked into, a reader may show as text.
        let may_be_read = self.task.by_default && self.task.mail.message.root().is_opaque();
        match may_be_read || is_required(self.task, reason) {
            true => self.fall_back(reason, PartId::ROOT, edits),
            false => Ok(Finish::unchanged(reason, self.taken_in_vain(reason))),
        }
    }

    /// What the filters of the rule took instead of a text: the mail may well have one.
    fn taken_in_vain(&self, reason: Reason) -> Vec<String> {
        let message = &self.task.mail.message;
        let (Reason::NoBody, false, Some(first)) =
            (reason, self.task.by_default, self.task.parts.first())
        else {
            return Vec::new();
        };
        let media_type = message.part(*first).map_or("", |part| part.media_type());
        let section = section_of(message, *first);
        vec![format!(
            "the filters of the rule take {section}, {media_type}, and no text"
        )]
    }

    /// What is sealed stays as it is; ours stands before or behind it.
    pub(super) fn beside_seals(&self, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let message = edits.message();
        if self.manner.removable && self.manner.place == Where::Top {
            // Above all of the mail, whatever else it holds beside what is sealed.
            let new = self.part(message);
            return match edits.attach_above(new) {
                Ok(()) => Ok(Finish {
                    edited: vec![PartId::ROOT],
                    notes: vec!["a text part on top, above the sealed content".into()],
                    ..Finish::default()
                }),
                Err(Refused::Opaque | Refused::Limit) => {
                    self.fall_back(Reason::Malformed, PartId::ROOT, edits)
                }
                Err(refused) => Err(refused.into()),
            };
        }
        // Where the rule does not say what becomes of it, it is a part like others that cannot take the text.
        let may_attach = self.manner.fallback.first() == Some(&Fallback::Attach);
        if self.task.on_sealed.is_none() && !may_attach {
            return self.fall_back(Reason::Sealed, PartId::ROOT, edits);
        }
        let beside = match self.manner.place.end() {
            TextEnd::Top => self.task.beside.first(),
            TextEnd::Bottom => self.task.beside.last(),
        };
        let Some(sealed) = beside.and_then(|id| message.part(*id)) else {
            return Ok(Finish::unchanged(Reason::Sealed, Vec::new()));
        };
        let (at, is_part) = beside_of(sealed);
        let new = self.part(message);
        let top = self.manner.place == Where::Top;
        let done = match (is_part, top) {
            (true, true) => edits.insert_before(at, new),
            (true, false) => edits.insert_after(at, new),
            (false, true) => edits.wrap(at, Around::Mixed, vec![new], vec![]),
            (false, false) => edits.wrap(at, Around::Mixed, vec![], vec![new]),
        };
        match done {
            Ok(()) => Ok(Finish {
                edited: vec![at],
                notes: vec![format!(
                    "a text part {} {}, which is sealed",
                    if top { "above" } else { "below" },
                    sealed.section_text()
                )],
                ..Finish::default()
            }),
            Err(Refused::Opaque | Refused::Limit) => {
                self.fall_back(Reason::Malformed, sealed.id(), edits)
            }
            Err(refused) => Err(refused.into()),
        }
    }

    /// A part cannot take the text: the ladder decides.
    pub(super) fn fall_back(
        &self,
        reason: Reason,
        part: PartId,
        edits: &mut EditSet<'_>,
    ) -> Result<Finish, Fault> {
        for step in &self.manner.fallback {
            match step {
                Fallback::Attach => {
                    let new = self.part(edits.message());
                    let top = self.manner.place == Where::Top;
                    let done = match top {
                        true => edits.attach_above(new),
                        false => edits.attach(new),
                    };
                    if done.is_ok() {
                        let place = if top { "on top" } else { "at the end" };
                        return Ok(Finish {
                            edited: vec![PartId::ROOT],
                            notes: vec![format!("a text part {place}, because of: {reason}")],
                            ..Finish::default()
                        });
                    }
                }
                Fallback::Skip => break,
                Fallback::Defer | Fallback::Reject => {
                    return Err(Fault::Asked {
                        reject: *step == Fallback::Reject,
                        text: format!("the text could not be put into the mail: {reason}"),
                    });
                }
            }
        }
        let is_skipped = self.manner.fallback.contains(&Fallback::Skip);
        match self.task.on_failure {
            OnError::Defer | OnError::Reject if !is_skipped => Err(Fault::Asked {
                reject: self.task.on_failure == OnError::Reject,
                text: format!("the text could not be put into the mail: {reason}"),
            }),
            _ => {
                let note = format!("{} cannot take the text", section_of(edits.message(), part));
                Ok(Finish::unchanged(reason, vec![note]))
            }
        }
    }
}

/// Why no part of the mail can take the text.
fn why_none(task: &Task<'_>) -> Reason {
    if let Some((_, reason)) = task.left.first() {
        return *reason;
    }
    // What was not looked into may hold a text that readers see.
    let mut parts = task.mail.message.parts();
    let hides = |part: Part<'_>| part.is_opaque() && part.media_type().starts_with("multipart/");
    match parts.any(hides) {
        true => Reason::Malformed,
        false => Reason::NoBody,
    }
}

/// Must a mail without room for the text have it all the same: what is sealed only if the rule does not say itself what becomes
/// of it.
fn is_required(task: &Task<'_>, reason: Reason) -> bool {
    let is_answered = reason == Reason::Sealed && task.on_sealed.is_some();
    task.on_failure != OnError::Pass && !is_answered
}

/// The part beside which a new one is shown before or behind the sealed one; else the root, which must be wrapped first (false).
fn beside_of(sealed: Part<'_>) -> (PartId, bool) {
    match place::of(sealed) {
        place::Place::Beside(at) => (at, true),
        place::Place::End => (PartId::ROOT, false),
    }
}
