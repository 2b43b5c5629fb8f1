//! What filters ask about a mail: each answer is worked out once, when it is first asked for.
//!
//! Must never: know which rule asks, or change anything.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::position::Position;
use crate::mail::Mail;
use crate::message::address::filter_text;
use crate::message::names::Names;
use crate::message::roles::{Role, Roles};
use crate::message::{Doubt, Part, Seal};

/// The facts of one mail.
#[derive(Debug)]
pub struct Facts<'m> {
    mail: &'m Mail,
    bulk: OnceCell<bool>,
    names_malformed: OnceCell<bool>,
    pub(super) inside: RefCell<BTreeMap<(usize, usize), Option<Inside>>>,
    header_senders: OnceCell<Vec<String>>,
    header_recipients: OnceCell<Vec<String>>,
    headers: RefCell<BTreeMap<String, Rc<[String]>>>,
    header_names: OnceCell<Vec<String>>,
    parts: Vec<OnceCell<Strings>>,
    sizes: Vec<OnceCell<Option<u64>>>,
    type_paths: Vec<OnceCell<String>>,
}

/// Why the filters take an enclosed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// In a few words, for people.
    pub words: String,
    /// They may take what they could not see.
    pub is_unsure: bool,
}

/// What a part's header says of it.
#[derive(Debug)]
struct Strings {
    names: Names,
    media_types: Vec<String>,
    disposition: Option<String>,
    charset: Option<String>,
}

impl<'m> Facts<'m> {
    pub fn of(mail: &'m Mail) -> Facts<'m> {
        let count = mail.message.parts().len();
        Facts {
            mail,
            bulk: OnceCell::new(),
            names_malformed: OnceCell::new(),
            inside: RefCell::default(),
            header_senders: OnceCell::new(),
            header_recipients: OnceCell::new(),
            headers: RefCell::default(),
            header_names: OnceCell::new(),
            parts: (0..count).map(|_| OnceCell::new()).collect(),
            sizes: (0..count).map(|_| OnceCell::new()).collect(),
            type_paths: (0..count).map(|_| OnceCell::new()).collect(),
        }
    }

    pub fn mail(&self) -> &'m Mail {
        self.mail
    }

    pub fn roles(&self) -> &Roles {
        self.mail.message.roles()
    }

    pub fn part(&self, part: Part<'m>) -> PartFacts<'_> {
        PartFacts { facts: self, part }
    }

    /// The addresses of From and Sender.
    pub fn header_senders(&self) -> &[String] {
        self.header_senders
            .get_or_init(|| self.addresses(&["from", "sender"]))
    }

    /// The addresses of To and Cc.
    pub fn header_recipients(&self) -> &[String] {
        self.header_recipients
            .get_or_init(|| self.addresses(&["to", "cc"]))
    }

    fn addresses(&self, names: &[&str]) -> Vec<String> {
        let fields = self.mail.message.root().fields();
        fields
            .filter(|field| names.iter().any(|name| field.is(name)))
            .flat_map(|field| filter_text(field.value()))
            .collect()
    }

    /// Each occurrence of a header field, decoded and unfolded. The name is in lower case.
    pub fn header(&self, name: &str) -> Rc<[String]> {
        if let Some(values) = self.headers.borrow().get(name) {
            return Rc::clone(values);
        }
        let fields = self.mail.message.root().fields();
        let values: Rc<[String]> = fields
            .filter(|field| field.is(name))
            .map(|field| field.decoded())
            .collect();
        self.headers
            .borrow_mut()
            .insert(name.to_string(), Rc::clone(&values));
        values
    }

    /// The names of all fields of the header, in lower case, each once.
    pub fn header_names(&self) -> &[String] {
        self.header_names.get_or_init(|| {
            let fields = self.mail.message.root().fields();
            // A name that is no UTF-8 is no name that a rule can have.
            let names = fields.filter_map(|field| std::str::from_utf8(field.name()).ok());
            let mut names: Vec<String> = names.map(str::to_ascii_lowercase).collect();
            names.sort_unstable();
            names.dedup();
            names
        })
    }

    /// Raw octets of the message.
    pub fn mail_size(&self) -> u64 {
        self.mail.message.raw().len() as u64
    }

    /// A delivery report, the null sender, an automatic reply (RFC 3834), or mail of a list (RFC 2369, RFC 2919).
    pub fn bulk(&self) -> bool {
        *self.bulk.get_or_init(|| {
            self.mail.envelope.sender.is_null() || self.is_report() || {
                let root = self.mail.message.root();
                root.fields().any(|field| {
                    let name = field.name();
                    if name
                        .get(..5)
                        .is_some_and(|start| start.eq_ignore_ascii_case(b"list-"))
                    {
                        return true;
                    }
                    let word = || field.decoded().trim().to_ascii_lowercase();
                    if field.is("auto-submitted") {
                        // RFC 3834 section 5: "no", perhaps with parameters.
                        return word().split([';', ' ', '(']).next() != Some("no");
                    }
                    field.is("precedence")
                        && matches!(word().as_str(), "bulk" | "list" | "junk" | "auto_reply")
                })
            }
        })
    }

    /// A multipart/report (RFC 6522): delivery reports, read receipts, complaints.
    pub fn is_report(&self) -> bool {
        self.mail.message.root().media_type() == "multipart/report"
    }

    pub fn signed(&self) -> bool {
        self.mail
            .message
            .parts()
            .any(|part| part.seal() == Some(Seal::Signed) && !part.is_sealed_document())
    }

    pub fn encrypted(&self) -> bool {
        self.mail
            .message
            .parts()
            .any(|part| part.seal() == Some(Seal::Encrypted) && !part.is_sealed_document())
    }

    /// Is nothing of its content in the clear, by its octets.
    pub fn all_encrypted(&self) -> bool {
        self.mail.message.is_all_encrypted()
    }

    pub fn malformed(&self) -> bool {
        self.mail.message.malformed() || self.names_malformed()
    }

    /// Is there a name that mail programs read differently, or one that cannot be read to its end.
    pub fn names_malformed(&self) -> bool {
        *self.names_malformed.get_or_init(|| {
            self.mail.message.parts().any(|part| {
                let names = self.part(part).names();
                names.is_some_and(|names| names.differ() || names.unread().is_some())
            })
        })
    }

    pub fn has_dkim_signature(&self) -> bool {
        self.mail.message.root().field("dkim-signature").is_some()
    }
}

/// The facts of one part.
#[derive(Clone, Copy, Debug)]
pub struct PartFacts<'f> {
    facts: &'f Facts<'f>,
    part: Part<'f>,
}

impl<'f> PartFacts<'f> {
    fn strings(&self) -> Option<&'f Strings> {
        let cell = self.facts.parts.get(self.part.id().index())?;
        Some(cell.get_or_init(|| Strings {
            names: self.part.names(),
            media_types: self.part.media_types(),
            disposition: self.part.disposition(),
            charset: self.part.charset(),
        }))
    }

    /// Decoded octets; `None` for multiparts and where the coding is broken.
    pub fn size(&self) -> Option<u64> {
        let cell = self.facts.sizes.get(self.part.id().index())?;
        *cell.get_or_init(|| {
            if self.part.is_multipart() {
                None
            } else {
                self.part.decoded_len()
            }
        })
    }

    pub fn is_multipart(&self) -> bool {
        self.part.is_multipart()
    }

    /// Why some program may find other parts in it.
    pub fn doubt(&self) -> Option<Doubt> {
        self.part.doubt()
    }

    pub fn media_type(&self) -> &'f str {
        self.part.media_type()
    }

    pub fn type_path(&self) -> &'f str {
        let cell = self.facts.type_paths.get(self.part.id().index());
        cell.map_or("", |cell| cell.get_or_init(|| self.part.type_path()))
    }

    /// Every name that some mail program could read; `None` = the part is of another message.
    pub fn names(&self) -> Option<&'f Names> {
        self.strings().map(|strings| &strings.names)
    }

    /// The media type, then those that other programs could read.
    pub fn media_types(&self) -> &'f [String] {
        self.strings().map_or(&[], |strings| &strings.media_types)
    }

    pub fn disposition(&self) -> Option<&'f str> {
        self.strings()?.disposition.as_deref()
    }

    pub fn charset(&self) -> Option<&'f str> {
        self.strings()?.charset.as_deref()
    }

    pub fn stands_at(&self, position: &Position) -> bool {
        let role = |role| self.facts.roles().role(self.part.id()) == Some(role);
        let leaves = || self.facts.mail.message.leaves();
        match position {
            Position::Root => self.part.is_root(),
            Position::Body => role(Role::Body),
            Position::Attachment => {
                role(Role::Attachment) || self.facts.roles().is_attached(self.part.id())
            }
            Position::Inline => role(Role::Inline),
            Position::First => leaves().next().map(Part::id) == Some(self.part.id()),
            Position::Last => leaves().next_back().map(Part::id) == Some(self.part.id()),
            Position::Section(numbers) => self.part.section() == *numbers,
        }
    }
}
