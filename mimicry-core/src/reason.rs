//! Words that rules, plugins and the log share: why a rule did not edit, and what an editing rule does about mail that somebody sealed or
//! signed.
//!
//! Must never: know a rule, a plugin or a message.

use std::fmt;

use crate::words;

words! {
    /// What an editing rule does about sealed content that it took.
    OnSealed {
        Skip = "skip",
        /// Its text goes beside the sealed content, into a multipart around it.
        Wrap = "wrap",
        Reject = "reject",
    }
}

words! {
    /// What an editing rule does about mail that bears a DKIM-Signature.
    OnDkim {
        Edit = "edit",
        Skip = "skip",
        /// Edits, and removes the signatures that the edit breaks.
        Strip = "strip",
        /// Edits if a rule then signs the mail anew, and leaves it alone if none does.
        Resign = "resign",
    }
}

/// Why a rule that matched did not edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    Sealed,
    Charset,
    NoBody,
    BelowThreshold,
    NoSaving,
    Duplicate,
    Exempt,
    Limit,
    Malformed,
    Dkim,
    NoKey,
    Arc,
    Kept,
    Ignored,
    Shadow,
    Poison,
    Fault,
}

impl Reason {
    /// Every reason code with its meaning, in the order of the manual.
    pub const ALL: &'static [(Reason, &'static str)] = &[
        (
            Reason::Sealed,
            "the content is signed or encrypted and stays sealed",
        ),
        (
            Reason::Charset,
            "the part's charset is unknown or wrongly labelled, or the text cannot be written in it",
        ),
        (
            Reason::NoBody,
            "the mail has no text that a reader sees as its own text, or no place in it",
        ),
        (
            Reason::BelowThreshold,
            "there was nothing to take, or less than the rule's options ask for",
        ),
        (
            Reason::NoSaving,
            "the result would not have been smaller by as much as the options ask",
        ),
        (Reason::Duplicate, "it is there already"),
        (
            Reason::Exempt,
            "the rule is not for this mail: bulk, from inside or of a trusted sender, or no text for it",
        ),
        (Reason::Limit, "a limit was reached"),
        (
            Reason::Malformed,
            "the part's MIME structure or coding is broken",
        ),
        (
            Reason::Dkim,
            "the mail has a DKIM signature and the rule says on_dkim = \"skip\", or \"resign\" and no rule signs it, or the signature covers the field",
        ),
        (Reason::NoKey, "there is no key for the mail"),
        (
            Reason::Arc,
            "nobody who is trusted says that the ARC chain holds, or it is broken",
        ),
        (
            Reason::Kept,
            "a keep rule above protects the parts, or a rule above took or removed them",
        ),
        (
            Reason::Ignored,
            "an ignore_mail rule passes the mail as it came",
        ),
        (Reason::Shadow, "the rule is in shadow mode"),
        (
            Reason::Poison,
            "the mail killed workers before and passes unchanged",
        ),
        (Reason::Fault, "the plugin failed and on_error is \"pass\""),
    ];

    /// The code in the log.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Sealed => "sealed",
            Reason::Charset => "charset",
            Reason::NoBody => "no-body",
            Reason::BelowThreshold => "below-threshold",
            Reason::NoSaving => "no-saving",
            Reason::Duplicate => "duplicate",
            Reason::Exempt => "exempt",
            Reason::Limit => "limit",
            Reason::Malformed => "malformed",
            Reason::Dkim => "dkim",
            Reason::NoKey => "no-key",
            Reason::Arc => "arc",
            Reason::Kept => "kept",
            Reason::Ignored => "ignored",
            Reason::Shadow => "shadow",
            Reason::Poison => "poison",
            Reason::Fault => "fault",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
