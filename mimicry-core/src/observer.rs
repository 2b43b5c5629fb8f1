//! Who is told which rule is at work.
//!
//! Must never: change what a rule does.

use std::fmt;

/// Is told what is about to be done, before it is, so that whoever watches this process knows where it got stuck or died. `()` watches
/// nothing.
pub trait Observer: fmt::Debug {
    /// From now on this rule is at work; `None` = no rule is.
    fn at(&self, rule: Option<&str>);
}

impl Observer for () {
    fn at(&self, _rule: Option<&str>) {}
}
