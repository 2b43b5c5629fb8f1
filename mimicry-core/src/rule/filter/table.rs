//! The table of filters, against which configuration and manual are tested.
//!
//! Must never: judge.

/// When a filter can be judged, in the order in which a mail comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// At the connection.
    Origin,
    /// At MAIL.
    Sender,
    /// At RCPT, for each recipient.
    Recipient,
    /// When the message is in.
    Mail,
    /// For each part of the message.
    Part,
}

impl Level {
    pub const COUNT: usize = 5;
}

/// What a filter's value looks like in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A regex or a list of them.
    Patterns,
    /// A range of octets.
    SizeRange,
    /// Position words and section numbers.
    Positions,
    /// Networks in CIDR notation.
    Networks,
    /// Names, compared exactly.
    Names,
    /// Domains, and files of them.
    Domains,
    Bool,
}

impl Operand {
    /// How the manual names it.
    pub fn describe(self) -> &'static str {
        match self {
            Operand::Patterns => "regex",
            Operand::SizeRange => "size range",
            Operand::Positions => "position",
            Operand::Networks => "network",
            Operand::Names => "name",
            Operand::Domains => "domain",
            Operand::Bool => "true | false",
        }
    }
}

/// One line of the table of filters.
#[derive(Debug)]
pub struct FilterSpec {
    /// The key in `match` and `unless`; `header.` stands for `header.NAME`.
    pub name: &'static str,
    pub level: Level,
    pub operand: Operand,
    /// One sentence.
    pub doc: &'static str,
}

const fn spec(name: &'static str, level: Level, operand: Operand, doc: &'static str) -> FilterSpec {
    FilterSpec {
        name,
        level,
        operand,
        doc,
    }
}

/// All filters, in the order of the manual.
pub const FILTERS: &[FilterSpec] = &[
    spec(
        "sender",
        Level::Sender,
        Operand::Patterns,
        "The envelope sender; empty for the null return path.",
    ),
    spec(
        "recipient",
        Level::Recipient,
        Operand::Patterns,
        "An envelope recipient, judged recipient by recipient.",
    ),
    spec(
        "sender_domain",
        Level::Sender,
        Operand::Domains,
        "The domain of the envelope sender.",
    ),
    spec(
        "recipient_domain",
        Level::Recipient,
        Operand::Domains,
        "The domain of an envelope recipient, judged recipient by recipient.",
    ),
    spec(
        "header_sender",
        Level::Mail,
        Operand::Patterns,
        "Each address of From and Sender.",
    ),
    spec(
        "header_sender_domain",
        Level::Mail,
        Operand::Domains,
        "The domain of each address of From and Sender.",
    ),
    spec(
        "header_recipient",
        Level::Mail,
        Operand::Patterns,
        "Each address of To and Cc.",
    ),
    spec(
        "header.",
        Level::Mail,
        Operand::Patterns,
        "Each occurrence of the header field NAME, decoded and unfolded.",
    ),
    spec(
        "mail_size",
        Level::Mail,
        Operand::SizeRange,
        "Raw octets of the whole message.",
    ),
    spec(
        "part_size",
        Level::Part,
        Operand::SizeRange,
        "Decoded octets of the part.",
    ),
    spec(
        "type",
        Level::Part,
        Operand::Patterns,
        "Each media type of the part that some mail program could read, in lower case, without parameters.",
    ),
    spec(
        "type_path",
        Level::Part,
        Operand::Patterns,
        "The media types from the root to the part, joined by \" > \".",
    ),
    spec(
        "filename",
        Level::Part,
        Operand::Patterns,
        "Each file name of the part that some mail program could read, decoded, and the name as it would be saved.",
    ),
    spec(
        "position",
        Level::Part,
        Operand::Positions,
        "Where the part stands: root, body, attachment, inline, first, last, or a section number.",
    ),
    spec(
        "disposition",
        Level::Part,
        Operand::Patterns,
        "The disposition as declared, in lower case.",
    ),
    spec(
        "charset",
        Level::Part,
        Operand::Patterns,
        "The charset as declared, in lower case.",
    ),
    spec(
        "client",
        Level::Origin,
        Operand::Networks,
        "The network that the client's address is in.",
    ),
    spec(
        "listener",
        Level::Origin,
        Operand::Names,
        "The name of the listener that received the mail.",
    ),
    spec(
        "helo",
        Level::Origin,
        Operand::Patterns,
        "The name that the client gave in HELO, EHLO or LHLO.",
    ),
    spec(
        "auth_user",
        Level::Sender,
        Operand::Patterns,
        "The user of a trusted client's AUTH= parameter.",
    ),
    spec(
        "bulk",
        Level::Mail,
        Operand::Bool,
        "Delivery reports, the null sender, automatic replies and list mail.",
    ),
    spec(
        "signed",
        Level::Mail,
        Operand::Bool,
        "The mail holds signed content (PGP/MIME, S/MIME or inline PGP).",
    ),
    spec(
        "encrypted",
        Level::Mail,
        Operand::Bool,
        "The mail holds encrypted content (PGP/MIME, S/MIME or inline PGP).",
    ),
    spec(
        "malformed",
        Level::Mail,
        Operand::Bool,
        "The MIME structure is broken or ambiguous, or a file name is.",
    ),
];
