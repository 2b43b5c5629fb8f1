//! The result of a configuration's rules for a mail, for the tests of plugins.

use std::rc::Rc;

use mimicry_core::config::Config;
use mimicry_core::engine::{self, Applied, Judged, Stopped};
use mimicry_core::mail::Mail;
use mimicry_core::plugin::Means;
use mimicry_core::policy::Memo;
use mimicry_core::rule::plan::Plan;

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
