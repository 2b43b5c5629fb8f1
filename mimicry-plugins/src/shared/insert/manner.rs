//! How a text goes into a mail, in the words of the configuration.
//!
//! Must never: look at a mail.

use mimicry_core::plugin::{OnError, OptionError, OptionSpec, ValueKind};
use mimicry_core::words;

use crate::shared::text_end::TextEnd;
use crate::shared::words::option;

/// The option that [`Once`] is read from.
pub const ONCE: OptionSpec = option(
    "once",
    ValueKind::Word(Once::WORDS),
    Some("\"always\""),
    "Whether a mail that already has the text gets it again: always, not if the writer's own text has it, not if the quoted mail has it either.",
);

/// How a text goes into a mail: fixed by the rule.
#[derive(Clone, Debug)]
pub struct Manner {
    pub place: Where,
    pub which: Which,
    /// Lines between the mail's own text and ours, in text/plain.
    pub separator: String,
    pub once: Once,
    /// The HTML bears a mark by which it can be found and taken out again, whatever `once` says.
    pub removable: bool,
    /// A hidden line above the HTML holds the mail's own first words, which lists of mails show; only with `removable`.
    pub preheader: bool,
    /// In this order, when a part cannot take the text. Nothing more to try = as the rule's `on_error` says.
    pub fallback: Vec<Fallback>,
}

words! {
    /// Where in the text.
    Where {
        Bottom = "bottom",
        Top = "top",
        /// Below the writer's own text and above the mail that it answers; where that is not certain, at the bottom.
        BelowReply = "below-reply",
    }
}

impl Where {
    /// The end of the mail that it is nearest to.
    pub(super) fn end(self) -> TextEnd {
        match self {
            Where::Top => TextEnd::Top,
            Where::Bottom | Where::BelowReply => TextEnd::Bottom,
        }
    }
}

words! {
    /// Which of several body texts.
    Which {
        /// The one nearest to the place.
        Nearest = "body",
        First = "first",
        All = "all",
    }
}

words! {
    /// How often a reader may meet the text.
    Once {
        /// Each mail gets it, whatever it holds.
        Always = "always",
        /// Not if the writer's own text holds it.
        PerMail = "per-mail",
        /// Not if the mail holds it, quoted mail included.
        PerThread = "per-thread",
    }
}

words! {
    /// What to try when a part cannot take the text.
    Fallback {
        /// A text part of its own.
        Attach = "attach",
        Skip = "skip",
        Defer = "defer",
        Reject = "reject",
    }
}

impl Fallback {
    pub fn ladder(words: &[String]) -> Vec<Fallback> {
        words
            .iter()
            .filter_map(|word| Fallback::from_word(word))
            .collect()
    }

    /// What becomes of a mail that cannot have the text, as far as the ladder says so.
    #[must_use]
    pub fn strictness(ladder: &[Fallback]) -> OnError {
        match Fallback::end(ladder) {
            Some(Fallback::Defer) => OnError::Defer,
            Some(Fallback::Reject) => OnError::Reject,
            _ => OnError::Pass,
        }
    }

    /// The step behind which nothing is tried.
    fn end(ladder: &[Fallback]) -> Option<Fallback> {
        let mut steps = ladder.iter().copied();
        steps.find(|step| *step != Fallback::Attach)
    }

    /// What the administrator should know of a ladder.
    #[must_use]
    pub fn warning(ladder: &[Fallback]) -> Option<OptionError> {
        let end = ladder.iter().position(|step| *step != Fallback::Attach)?;
        let steps = ladder.len();
        (end.saturating_add(1) < steps).then(|| {
            OptionError::new(
                "fallback",
                "what comes after skip, defer or reject is never tried",
                "leave it out, or put it before",
            )
        })
    }
}
