//! A text of ours put into the text of a mail: into every variant that a reader may see, in the charset and coding of each
//! part, or into a part of its own where that is impossible or not allowed.
//!
//! If one variant cannot take it, none is edited and the `fallback` ladder decides, so that no reader sees the text twice and
//! none sees it broken. A text that everybody must see ([`Manner::removable`]) goes to whatever is on the screen first
//! (`seen.rs`); where that is no body, as a text with a name or a forwarded mail, the ladder decides as well.
//!
//! Must never: put text into a named or attached part beside a body (but where a rule names it and wants all parts),
//! re-serialise HTML, write octets that are not of the part's charset, or touch what is sealed.
//!
//! Longer than 600 lines: what each variant can take and the ladder for when one cannot are read together.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use mimicry_core::message::compose::{self, NewPart};
use mimicry_core::message::edit::{Around, Content, EditSet, Refused};
use mimicry_core::message::text::{self, NewBody, NotEditable, TextBody, Unmappable};
use mimicry_core::message::{Message, Part, PartId};
use mimicry_core::plugin::{Fault, Finish, Task};
use mimicry_core::reason::Reason;

use super::html::{self, Why};
use super::marked::{self, Sealer, Setting, mark_of};
use super::plain::{self, DelSp};
use super::reply_marks::{self, Confidence, Nowhere};
use super::text_end::TextEnd;
use super::words::Rendered;

mod choose;
mod manner;
mod otherwise;
mod seen;
mod whole;

use choose::{choose, for_everybody};
pub use manner::{Fallback, Manner, ONCE, Once, Where, Which};
use whole::{Chosen, Whole};

/// Puts the text into the mail, or beside what is sealed.
pub fn insert(
    task: &Task<'_>,
    manner: &Manner,
    words: &Rendered<'_>,
    edits: &mut EditSet<'_>,
) -> Result<Finish, Fault> {
    let insertion = Insertion {
        task,
        manner,
        words,
        mark: mark_of(task.rule),
        ids: RefCell::default(),
    };
    if words.is_empty() {
        return Ok(Finish::unchanged(
            Reason::Exempt,
            vec!["no text for this mail".into()],
        ));
    }
    if !task.beside.is_empty() {
        return insertion.beside_seals(edits);
    }
    let message = &task.mail.message;
    let chosen = match chosen(task, manner, edits) {
        Ok(chosen) => chosen,
        Err(part) => return insertion.fall_back(Reason::NoBody, part, edits),
    };
    if chosen.is_empty() {
        return insertion.has_no_body(edits);
    }
    let mut bodies = Vec::with_capacity(chosen.len());
    let mut has_it = Vec::new();
    for chosen in &chosen {
        let part = chosen.part;
        match insertion.body(&edits.content(part)?, chosen, edits) {
            Ok(body) => bodies.push((part, body)),
            Err(Reason::Duplicate) => {
                let whole = chosen.whole.as_ref();
                let holder = whole.and_then(|whole| insertion.holder(whole, edits));
                let section = section_of(message, holder.unwrap_or(part));
                has_it.push(format!("{section} has it already"));
            }
            Err(reason) => return insertion.fall_back(reason, part, edits),
        }
    }
    // Of a text that everybody must see each variant has its own say.
    if bodies.is_empty() || !(has_it.is_empty() || manner.removable) {
        has_it.truncate(1);
        return Ok(Finish::unchanged(Reason::Duplicate, has_it));
    }
    let before = edits.clone();
    let mut finish = Finish {
        edited: bodies.iter().map(|(part, _)| *part).collect(),
        ..Finish::default()
    };
    for (part, body) in bodies {
        let done = edits
            .replace_body(part, body.new)
            .and_then(|()| show_images(part, body.images, edits));
        match done {
            Ok(()) => finish.notes.push(body.note),
            // A Content-Type that cannot be read cannot name another charset.
            Err(Refused::BadField) => {
                *edits = before;
                return insertion.fall_back(Reason::Malformed, part, edits);
            }
            Err(refused) => return Err(refused.into()),
        }
    }
    let parts: Vec<PartId> = chosen.iter().map(|chosen| chosen.part).collect();
    finish.notes.extend(unread_variants(message, &parts));
    Ok(finish)
}

/// The texts that get ours; the part of one that everybody must see and that cannot have it.
fn chosen(task: &Task<'_>, manner: &Manner, edits: &EditSet<'_>) -> Result<Vec<Chosen>, PartId> {
    let message = &task.mail.message;
    let alone = |chosen: Vec<PartId>| chosen.into_iter().map(Chosen::alone).collect();
    if manner.removable {
        return for_everybody(task, manner, edits).map(alone);
    }
    let judged = whole::judged(message, task.parts, manner, edits);
    Ok(judged.unwrap_or_else(|| alone(choose(message, task.parts, manner))))
}

/// Variants of the texts chosen that did not get ours and that some reader may show: AMP, text/enriched, a second text.
fn unread_variants(message: &Message, chosen: &[PartId]) -> Option<String> {
    let alternative = |part: Part<'_>| {
        let alternatives = part
            .ancestors()
            .filter(|part| part.media_type() == "multipart/alternative");
        alternatives.last().map(|part| part.id())
    };
    let chosen_in: BTreeSet<PartId> = chosen
        .iter()
        .filter_map(|id| alternative(message.part(*id)?))
        .collect();
    if chosen_in.is_empty() {
        return None;
    }
    let is_unread = |part: &Part<'_>| {
        part.media_type().starts_with("text/")
            && part.disposition().as_deref() != Some("attachment")
            && !chosen.contains(&part.id())
            && alternative(*part).is_some_and(|id| chosen_in.contains(&id))
    };
    let list: Vec<String> = message
        .leaves()
        .filter(is_unread)
        .take(8)
        .map(|part| format!("{} ({})", part.section_text(), part.media_type()))
        .collect();
    (!list.is_empty()).then(|| format!("without the text: {}", list.join(", ")))
}

struct Insertion<'a> {
    task: &'a Task<'a>,
    manner: &'a Manner,
    words: &'a Rendered<'a>,
    /// Found again in replies: see [`mark_of`].
    mark: String,
    /// The Content-IDs of the images, by name.
    ids: RefCell<BTreeMap<String, String>>,
}

/// A body with our text in it.
struct Body {
    new: NewBody,
    /// Where it went.
    note: String,
    images: Vec<NewPart>,
}

/// Where in a decoded text, and what must stand around ours there.
struct Spot {
    at: text::At,
    /// End tags that must go in before it.
    close: String,
    note: String,
}

impl Insertion<'_> {
    fn body(
        &self,
        content: &Content<'_>,
        chosen: &Chosen,
        edits: &EditSet<'_>,
    ) -> Result<Body, Reason> {
        let body = content.text().map_err(reason_of)?;
        let is_html = content.media_type() == "text/html";
        let asks = self.manner.place == Where::BelowReply || self.manner.once == Once::PerMail;
        let mut found = html::Found::default();
        let reply = match &chosen.whole {
            Some(whole) => Some(whole.reply),
            None => asks.then(|| match is_html {
                true => reply_marks::in_page(body.searched(), &mut found),
                false => reply_marks::in_text(body.searched()),
            }),
        };
        let is_there = match &chosen.whole {
            Some(whole) => self.holder(whole, edits).is_some(),
            None => self.is_there(&body, is_html, reply),
        };
        if is_there {
            return Err(Reason::Duplicate);
        }
        let (spot, inserts, images) = if is_html {
            let spot = self.html_spot(&body, reply, &found)?;
            let newline = body.line_end();
            let frame = self.frame(&body, spot.at)?;
            let (html, images) = self.html(content.part().message(), &body, &frame);
            // The line end before it keeps an entity without a semicolon from taking in our first letters.
            let insert = format!("{}{newline}{}{html}{newline}", spot.close, frame.before);
            let place = |(at, text)| (place_in(&body, at), text);
            let mut inserts: Vec<_> = frame.tags.into_iter().map(place).collect();
            inserts.push((spot.at, insert));
            (spot, inserts, images)
        } else {
            let (spot, insert) = self.plain(content, &body, reply)?;
            let inserts = vec![(spot.at, insert)];
            (spot, inserts, Vec::new())
        };
        let unmappable = match is_html {
            true => Unmappable::Entities,
            false => Unmappable::Raise,
        };
        let new = body.insert_each(&inserts, unmappable).map_err(reason_of)?;
        Ok(Body {
            new,
            note: format!("{}: {}", content.part().section_text(), spot.note),
            images,
        })
    }

    /// Does the mail hold the text already, as far as that matters.
    fn is_there(
        &self,
        body: &TextBody<'_>,
        is_html: bool,
        reply: Option<Result<reply_marks::Seam, Nowhere>>,
    ) -> bool {
        if self.manner.removable && is_html && self.manner.once != Once::Always {
            return self.is_sealed_there(body);
        }
        if self.manner.removable && self.manner.once == Once::PerMail {
            let mut top =
                marked::lines(body.searched(), &self.words.text, &self.words.html).into_iter();
            let first = top
                .next()
                .and_then(|range| body.searched().get(..range.start));
            return first.is_some_and(|above| above.trim().trim_matches('\u{FEFF}').is_empty());
        }
        let text = match (self.manner.once, reply) {
            (Once::Always, _) => return false,
            (Once::PerMail, Some(Ok(place))) if place.confidence == Confidence::High => body
                .searched()
                .get(..place.offset)
                .unwrap_or(body.searched()),
            _ => body.searched(),
        };
        self.holds(text, is_html)
    }

    /// As [`Insertion::is_there`], of the parts that are one text the one that has it.
    fn holder(&self, whole: &Whole, edits: &EditSet<'_>) -> Option<PartId> {
        if self.manner.once == Once::Always {
            return None;
        }
        let has_it = |(part, end): &&(PartId, Option<usize>)| {
            let Ok(content) = edits.content(*part) else {
                return false;
            };
            let Ok(body) = content.text() else {
                return false;
            };
            let text = end.and_then(|end| body.searched().get(..end));
            let is_html = content.media_type() == "text/html";
            self.holds(text.unwrap_or(body.searched()), is_html)
        };
        whole.texts.iter().find(has_it).map(|(part, _)| *part)
    }

    /// The words of either form of ours: a program that quotes shows one form made of the other.
    fn holds(&self, text: &str, is_html: bool) -> bool {
        if is_html && text.contains(&self.mark) {
            return true;
        }
        let made = html::to_text(&self.words.html);
        let mut searches = [&self.words.text, &made].map(|ours| plain::Search::new(ours));
        let mut push = |piece: &str| {
            for search in &mut searches {
                search.push(piece);
            }
        };
        match is_html {
            true => html::text_in_pieces(text, &mut push),
            false => push(text),
        }
        searches.into_iter().any(plain::Search::finish)
    }

    /// What an outsider wrote proves nothing, so only our seal counts: on top, where it is seen; once per thread anywhere.
    fn is_sealed_there(&self, body: &TextBody<'_>) -> bool {
        let (text, sealer) = (body.searched(), self.sealer());
        if self.manner.once == Once::PerThread {
            return marked::elements(text, &sealer).elements > 0;
        }
        marked::is_on_top(text, &sealer)
    }

    fn sealer(&self) -> Sealer<'_> {
        Sealer {
            keys: self.task.seal_keys,
            rule: self.task.rule,
            now: self.task.mail.received.unix,
        }
    }

    /// What keeps the page from hiding a text that everybody must see.
    fn frame(&self, body: &TextBody<'_>, at: text::At) -> Result<html::Frame, Reason> {
        if !self.manner.removable {
            return Ok(html::Frame::default());
        }
        let (text::At::Octet(at) | text::At::Text(at)) = at;
        html::frame(searchable(body), at, &marked::DRESS, marked::declarations)
            .map_err(|_| Reason::NoBody)
    }

    fn html_spot(
        &self,
        body: &TextBody<'_>,
        reply: Option<Result<reply_marks::Seam, Nowhere>>,
        found: &html::Found<'_>,
    ) -> Result<Spot, Reason> {
        if let Some(spot) = self.below_reply(reply) {
            return Ok(spot);
        }
        let end = self.manner.place.end();
        let spot = html::place_in(searchable(body), end, found).map_err(|_| Reason::NoBody)?;
        Ok(Spot {
            at: place_in(body, spot.at),
            close: spot.close,
            note: format!("{}{}", self.place_word(reply), describe(spot.why)),
        })
    }

    fn plain(
        &self,
        content: &Content<'_>,
        body: &TextBody<'_>,
        reply: Option<Result<reply_marks::Seam, Nowhere>>,
    ) -> Result<(Spot, String), Reason> {
        let flowed = content
            .param("format")
            .filter(|format| format.eq_ignore_ascii_case("flowed"))
            .map(|_| match content.param("delsp") {
                Some(delsp) if delsp.eq_ignore_ascii_case("yes") => DelSp::Yes,
                _ => DelSp::No,
            });
        let newline = body.line_end();
        let block = |place, old: &[u8]| {
            let (text, separator) = (&self.words.text, &self.manner.separator);
            // The line was short enough at load; stuffing, or a value, made it too long.
            plain::block((place, old), text, separator, newline, flowed).map_err(|_| Reason::Limit)
        };
        if let Some(spot) = self.below_reply(reply)
            && let text::At::Text(at) = spot.at
            && let Some((own, quoted)) = body.searched().split_at_checked(at)
        {
            let mut insert = block(TextEnd::Bottom, own.as_bytes())?;
            if !plain::starts_with_blank_line(quoted.as_bytes()) {
                insert.push_str(newline);
            }
            return Ok((spot, insert));
        }
        let end = self.manner.place.end();
        let old = searchable(body);
        let spot = Spot {
            at: place_in(body, plain::place(old, end)),
            close: String::new(),
            note: self.place_word(reply).trim_end_matches(", ").to_string(),
        };
        Ok((spot, block(end, old)?))
    }

    /// The place above the quoted mail, if that is what is wanted and it is certain.
    fn below_reply(&self, reply: Option<Result<reply_marks::Seam, Nowhere>>) -> Option<Spot> {
        if self.manner.place != Where::BelowReply {
            return None;
        }
        let place = reply?.ok()?;
        (place.confidence == Confidence::High).then(|| Spot {
            at: text::At::Text(place.offset),
            close: String::new(),
            note: format!("below the reply, above {}", place.mark),
        })
    }

    /// For the log: which end, and why not below the reply if that was wanted.
    fn place_word(&self, reply: Option<Result<reply_marks::Seam, Nowhere>>) -> String {
        let end = match self.manner.place.end() {
            TextEnd::Top => "top, ",
            TextEnd::Bottom => "bottom, ",
        };
        match (self.manner.place, reply) {
            (Where::BelowReply, Some(Ok(place))) => {
                format!("{end}because {} is not certain, ", place.mark)
            }
            (Where::BelowReply, Some(Err(nowhere))) => format!("{end}because of {nowhere}, "),
            _ => end.to_string(),
        }
    }

    /// The HTML with its images named as nothing else in the mail is, and those images. `old` is the HTML that is there.
    fn html(
        &self,
        message: &Message,
        body: &TextBody<'_>,
        frame: &html::Frame,
    ) -> (String, Vec<NewPart>) {
        let mut html = self.words.html.trim_end().to_string();
        let mut parts = Vec::new();
        for image in self.words.images {
            let reference = format!("cid:{}", image.name);
            if !html.contains(&reference) {
                continue;
            }
            let id = self.content_id(message, &image.name);
            html = html.replace(&reference, &format!("cid:{id}"));
            parts.push(NewPart::image(
                image.media_type,
                &image.name,
                &id,
                &image.content,
                message.newline(),
            ));
        }
        if self.manner.removable {
            let preview = match self.manner.preheader {
                true => marked::preview(body.text()),
                false => String::new(),
            };
            let setting = Setting {
                preview: &preview,
                apart: frame.is_dressed().then_some(&*frame.slots),
                holds_focus: frame.asks_focus,
            };
            html = marked::element(&self.sealer(), message, &html, &setting);
        } else if self.manner.once != Once::Always {
            html = format!("<div class=\"{}\">{html}</div>", self.mark);
        }
        (html, parts)
    }

    /// The same for each part that shows the image: the mail is searched for it once.
    fn content_id(&self, message: &Message, image: &str) -> String {
        let mut ids = self.ids.borrow_mut();
        let id = ids
            .entry(image.to_string())
            .or_insert_with(|| compose::content_id(message, &format!("{}.{image}", self.mark)));
        id.clone()
    }

    /// A text part of its own.
    fn part(&self, message: &Message) -> NewPart {
        let mut text = self.words.text.trim_end().to_string();
        text.push('\n');
        NewPart::text("plain", &text, message.newline())
    }
}

/// Images stand beside the HTML that shows them: in the multipart/related that it is in, or a new one around it.
fn show_images(html: PartId, images: Vec<NewPart>, edits: &mut EditSet<'_>) -> Result<(), Refused> {
    if images.is_empty() {
        return Ok(());
    }
    let related = edits
        .message()
        .part(html)
        .and_then(|part| part.parent())
        .filter(|parent| parent.media_type() == "multipart/related")
        .map(|parent| parent.id());
    match related {
        Some(related) => images
            .into_iter()
            .try_for_each(|image| edits.append(related, image)),
        None => edits.wrap(html, Around::Related, vec![], images),
    }
}

/// Octets where they can be searched as they stand, else decoded text.
fn searchable<'b>(body: &'b TextBody<'_>) -> &'b [u8] {
    match body.markup_safe() {
        true => body.octets(),
        false => body.text().as_bytes(),
    }
}

/// A place in what is [`searchable`].
fn place_in(body: &TextBody<'_>, at: usize) -> text::At {
    match body.markup_safe() {
        true => text::At::Octet(at),
        false => text::At::Text(at),
    }
}

fn section_of(message: &Message, part: PartId) -> String {
    message
        .part(part)
        .map_or_else(String::new, |part| part.section_text())
}

fn reason_of(error: NotEditable) -> Reason {
    match error {
        NotEditable::Charset => Reason::Charset,
        NotEditable::Malformed => Reason::Malformed,
    }
}

fn describe(why: Why) -> &'static str {
    match why {
        Why::BeforeBodyEnd => "before </body>",
        Why::BeforeHtmlEnd => "before </html>",
        Why::End => "at the end",
        Why::AfterBodyStart => "behind <body>",
        Why::AfterHead => "after the head",
        Why::AfterHtmlStart => "behind <html>",
        Why::AfterDoctype => "after the doctype",
        Why::Start => "at the start",
    }
}
