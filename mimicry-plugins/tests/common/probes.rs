//! Plugins for the tests of the engine: what plugins may do, and what they must not.

use std::cell::RefCell;

use mimicry_core::message::PartId;
use mimicry_core::message::edit::{Content, EditSet};
use mimicry_core::message::text::NewBody;
use mimicry_core::plugin::{
    BulkExemption, DefaultParts, Fault, Finish, Job, OnError, OptionError, OptionSpec, Options,
    Plugin, PluginKind, Scope, Task, ValueKind, Verdict,
};
use mimicry_core::reason::Reason;

/// Plugins as later or worse ones may be: `copy` is like an archive, `drop` like a remover, `tag` like a header editor,
/// `whole` and `seal` run behind the editors; the others break the contract or fail, in the way that their options say.
pub static PROBES: [Probe; 9] = [
    Probe {
        scope: Scope::Original,
        edits: false,
        default_parts: DefaultParts::Mail,
        ..Probe::named("copy", Act::Look)
    },
    Probe {
        takes_multiparts: true,
        moves: true,
        default_parts: DefaultParts::Attachments,
        bulk: BulkExemption::Reports,
        on_error: OnError::Defer,
        ..Probe::named("drop", Act::Drop)
    },
    Probe {
        default_parts: DefaultParts::Mail,
        ..Probe::named("tag", Act::Tag)
    },
    Probe {
        scope: Scope::Whole,
        default_parts: DefaultParts::Mail,
        ..Probe::named("whole", Act::Whole)
    },
    Probe {
        scope: Scope::Seal,
        default_parts: DefaultParts::Mail,
        ..Probe::named("seal", Act::Whole)
    },
    Probe::named("fail", Act::Fail),
    Probe {
        default_parts: DefaultParts::Attachments,
        moves: true,
        ..Probe::named("take", Act::Take)
    },
    Probe::named("wrong", Act::Wrong),
    Probe::named("silent", Act::Silent),
];

#[derive(Debug)]
pub struct Probe {
    name: &'static str,
    act: Act,
    scope: Scope,
    edits: bool,
    takes_multiparts: bool,
    moves: bool,
    default_parts: DefaultParts,
    bulk: BulkExemption,
    on_error: OnError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Only looks.
    Look,
    /// Removes its parts.
    Drop,
    /// Adds X-Tag.
    Tag,
    /// Adds X-Whole with the octets that it saw.
    Whole,
    /// Fails as `fault` says; with `late` in `finish`, behind an edit.
    Fail,
    /// Takes its parts and, as `account` says, hands over a new part, gives them back or forgets them.
    Take,
    /// Replaces a body by octets that its coding forbids.
    Wrong,
    /// Edits and does not say so.
    Silent,
}

impl Probe {
    const fn named(name: &'static str, act: Act) -> Probe {
        Probe {
            name,
            act,
            scope: Scope::Part,
            edits: true,
            takes_multiparts: false,
            moves: false,
            default_parts: DefaultParts::Body,
            bulk: BulkExemption::None,
            on_error: OnError::Pass,
        }
    }
}

impl PluginKind for Probe {
    fn name(&self) -> &'static str {
        self.name
    }
    fn summary(&self) -> &'static str {
        "a plugin of the tests"
    }
    fn scope(&self) -> Scope {
        self.scope
    }
    fn options(&self) -> &'static [OptionSpec] {
        const FAULTS: &[&str] = &[
            "temporary",
            "permanent",
            "inapplicable",
            "defer",
            "reject",
            "panic",
        ];
        match self.act {
            Act::Fail => {
                const {
                    &[
                        OptionSpec {
                            name: "fault",
                            value: ValueKind::Word(FAULTS),
                            default: Some("\"permanent\""),
                            doc: "How it fails.",
                        },
                        OptionSpec {
                            name: "late",
                            value: ValueKind::Bool,
                            default: Some("false"),
                            doc: "Only when it has edited.",
                        },
                    ]
                }
            }
            Act::Take => {
                const {
                    &[OptionSpec {
                        name: "account",
                        value: ValueKind::Word(&["taken", "released", "forgotten"]),
                        default: Some("\"taken\""),
                        doc: "What becomes of the parts.",
                    }]
                }
            }
            _ => &[],
        }
    }
    fn default_parts(&self) -> DefaultParts {
        self.default_parts
    }
    fn takes_multiparts(&self) -> bool {
        self.takes_multiparts
    }
    fn edits(&self) -> bool {
        self.edits
    }
    fn moves_whole(&self) -> bool {
        self.moves
    }
    fn bulk_exemption(&self) -> BulkExemption {
        self.bulk
    }
    fn default_on_error(&self) -> OnError {
        self.on_error
    }
    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let word = options
            .text("fault")
            .or(options.text("account"))
            .unwrap_or_default();
        Ok(Box::new(ProbePlugin {
            act: self.act,
            word: word.to_string(),
            late: options.bool("late"),
        }))
    }
}

#[derive(Debug)]
struct ProbePlugin {
    act: Act,
    word: String,
    late: bool,
}

impl ProbePlugin {
    fn fault(&self) -> Fault {
        match self.word.as_str() {
            "temporary" => Fault::Temporary("later".into()),
            "permanent" => Fault::Permanent("never".into()),
            "inapplicable" => Fault::NotApplicable(Reason::Limit),
            "panic" => panic!("a plugin panics"),
            word => Fault::Asked {
                reject: word == "reject",
                text: "as asked".into(),
            },
        }
    }
}

thread_local! {
    /// Jobs begun by this thread, and how many recipients each was shown.
    pub static BEGUN: RefCell<Vec<(&'static str, usize)>> = const { RefCell::new(Vec::new()) };
}

impl Plugin for ProbePlugin {
    /// `tag` adds the same for all; the others say nothing about it.
    fn reads_recipients(&self) -> bool {
        self.act != Act::Tag
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        let name = if self.act == Act::Tag { "tag" } else { "other" };
        BEGUN.with_borrow_mut(|begun| begun.push((name, task.recipients.len())));
        Box::new(ProbeJob { plugin: self, task })
    }
}

struct ProbeJob<'a> {
    plugin: &'a ProbePlugin,
    task: Task<'a>,
}

impl Job for ProbeJob<'_> {
    fn part(&mut self, _part: PartId, _now: &Content<'_>) -> Result<Verdict, Fault> {
        match self.plugin.act {
            Act::Drop => Ok(Verdict::Remove),
            Act::Take => Ok(Verdict::Take),
            Act::Wrong => Ok(Verdict::Replace(NewBody {
                raw: b"\xff\xfe".to_vec(),
                ..NewBody::default()
            })),
            Act::Fail if !self.plugin.late => Err(self.plugin.fault()),
            Act::Fail => Ok(Verdict::Replace(NewBody {
                raw: b"edited".to_vec(),
                ..NewBody::default()
            })),
            Act::Look | Act::Tag | Act::Whole | Act::Silent => Ok(Verdict::Later),
        }
    }

    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let root = vec![PartId::ROOT];
        let parts = self.task.parts.to_vec();
        match self.plugin.act {
            Act::Look | Act::Drop | Act::Wrong => Ok(Finish::default()),
            Act::Tag => {
                edits.add_field_above(PartId::ROOT, "X-Tag", "yes")?;
                Ok(Finish {
                    edited: root,
                    ..Finish::default()
                })
            }
            Act::Whole => {
                let seen = edits.message().raw().len().to_string();
                edits.add_field_above(PartId::ROOT, "X-Whole", &seen)?;
                Ok(Finish {
                    edited: root,
                    ..Finish::default()
                })
            }
            Act::Silent => {
                edits.add_field_above(PartId::ROOT, "X-Silent", "yes")?;
                Ok(Finish::default())
            }
            Act::Fail => Err(self.plugin.fault()),
            Act::Take => Ok(match self.plugin.word.as_str() {
                "taken" => {
                    edits.add_field_above(PartId::ROOT, "X-Taken", &parts.len().to_string())?;
                    Finish {
                        taken: parts,
                        ..Finish::default()
                    }
                }
                "released" => Finish {
                    released: parts,
                    reason: Some(Reason::NoSaving),
                    ..Finish::default()
                },
                _ => Finish::default(),
            }),
        }
    }
}
