//! One mail through the rules, from its last octet to what is handed on, and the rules and the mail that two benchmarks have.
//! Those of mimicry-plugins use it too.

use std::path::Path;

use mimicry_core::config::{self, Config};
use mimicry_core::engine::{self, Judged};
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::{Effects, Means};
use mimicry_core::policy::{Banks, Memo};
use mimicry_core::seals::SealKeys;
use mimicry_plugins::REGISTRY;

pub const NEWSLETTER: &[u8] = include_bytes!("../mail/newsletter-57k-alternative.eml");

pub const DISCLAIM: &str = r#"
[[rule]]
name = "footer"
plugin = "disclaim"
options = { text = "Gruesse aus Koeln\nExample GmbH", html = "<p>Grüße aus Köln<br>Example GmbH</p>" }
"#;

pub const BELOW_REPLY: &str = r#"
[[rule]]
name = "footer"
plugin = "disclaim"
options = { text = "Gruesse aus Koeln\nExample GmbH", html = "<p>Grüße aus Köln<br>Example GmbH</p>", place = "below-reply" }
"#;

pub const ZIP: &str = r#"
[[rule]]
name = "zip"
plugin = "zip"
"#;

/// These rules and nothing else.
pub fn load(rules: &str) -> Config {
    config::parse(rules, Path::new("bench.toml"), REGISTRY, &|_| {
        Err(std::io::ErrorKind::NotFound.into())
    })
    .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// At least so many octets of plain text, in whole lines.
pub fn lines(octets: usize) -> String {
    const LINE: &str =
        "One line of plain text, as people write them, of some eighty characters or less.\r\n";
    LINE.repeat(octets.div_ceil(LINE.len()))
}

/// As a daemon has them.
fn seal_keys() -> SealKeys {
    SealKeys::default().with(0, [7; 32])
}

#[inline(never)]
pub fn walk(banks: &Banks, memo: &Memo, raw: Vec<u8>) -> (Mail, Vec<Judged>) {
    let mail = Mail {
        origin: Origin::default(),
        envelope: Envelope::new("a@example.org", ["b@example.com"]),
        message: Message::scan(raw, &Limits::default()),
        received: Moment::default(),
    };
    let classes = memo.classes(banks, &mail);
    let seal_keys = seal_keys();
    let means = Means {
        seal_keys: &seal_keys,
        ..Effects::Real.into()
    };
    let judged = engine::judge(banks, memo, &mail, &classes, means);
    (mail, judged)
}
