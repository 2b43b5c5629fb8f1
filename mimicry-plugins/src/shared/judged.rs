//! A mail, and the result of a configuration's rules for it, for the tests of plugins.

use std::rc::Rc;

use mimicry_core::config::Config;
use mimicry_core::engine::{self, Applied, Judged, Stopped};
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::Means;
use mimicry_core::policy::Memo;
use mimicry_core::rule::plan::Plan;

/// Sun, 22 Nov 2026 19:00:00 +0100
pub const RECEIVED: Moment = Moment {
    unix: 1_795_370_400,
    offset: 3600,
};

/// From anna@example.org to bo@example.com; whence it came is unknown.
pub fn mail(message: &[u8]) -> Mail {
    Mail {
        origin: Origin::default(),
        envelope: Envelope::new("anna@example.org", ["bo@example.com"]),
        message: Message::scan(message.to_vec(), &Limits::default()),
        received: RECEIVED,
    }
}

/// For each class.
pub fn judge(config: &Config, mail: &Mail, means: Means<'_>) -> Vec<Judged> {
    let memo = Memo::default();
    let classes = memo.classes(&config.banks, mail);
    engine::judge(&config.banks, &memo, mail, &classes, means)
}

/// For a mail whose recipients are of one class.
pub fn only(config: &Config, mail: &Mail, means: Means<'_>) -> (Plan, Result<Applied, Stopped>) {
    let mut judged = judge(config, mail, means);
    assert_eq!(judged.len(), 1);
    let Judged { plan, result, .. } = judged.remove(0);
    (plan, Rc::into_inner(result).expect("nobody shares it"))
}
