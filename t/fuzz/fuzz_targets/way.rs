//! The whole way of a mail through all plugins: what comes in behind DATA is judged, edited, proved and made ready to leave. No
//! lone CR or LF leaves, and a mail that no rule changed leaves as it came.
//!
//! The first octet chooses the rules, the rest is what a client writes behind DATA. Nothing is written to disk.
#![no_main]

use std::io;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mimicry_core::settings::words::BareNewline;
use mimicry_core::config::{self, Config};
use mimicry_core::engine;
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::seven_bit;
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::Effects;
use mimicry_core::policy::Memo;
use mimicry_plugins::REGISTRY;
use mimicryd::smtp::data::DataReader;

/// Rules with the words of the mail in every text that a template makes. Each row is a configuration; the last has them all.
const RULES: &[&str] = &[
    "plugin = \"disclaim\"\noptions = { text = \"{{ subject }} ü {{ header_sender.name }}\", html = \"<p>{{ subject }}</p>\", parts = \"all\" }",
    "plugin = \"disclaim\"\noptions = { text = \"{{ subject }}\", place = \"below-reply\", once = \"per-thread\" }\non_sealed = \"wrap\"",
    "plugin = \"banner\"\noptions = { text = \"{{ subject }} {{ sender.address }}\", subject_tag = \"[X]\", header = \"X-E: {{ subject }}\", own_domains = \"example.org\" }",
    "plugin = \"header\"\noptions = { delete = [\"X-*\"], replace = { Organization = \"{{ subject }}\" }, insert = { X-I = \"{{ client }}{{ header_sender.name }}\" }, prefix_subject = \"[Ü]\" }",
    "plugin = \"remove\"\nmatch = { position = \"attachment\" }\noptions = { text = \"{{ filename }} {{ type }} {{ sha256 }}\", note_name = \"{{ filename }}.txt\" }",
    "plugin = \"tar_gzip\"\noptions = { name = \"{{ slug }}.tgz\", note = \"text\", note_text = \"{{ archive }}: {{ members }}\" }",
    "plugin = \"zip\"\noptions = { name = \"{{ slug }}.zip\", level = 0, note = \"text\", placement = \"end\" }",
];

static CONFIGS: LazyLock<Vec<Config>> = LazyLock::new(|| {
    let rule = |place: usize, rule: &str| format!("[[rule]]\nname = \"r{place}\"\n{rule}\n");
    let all: String = RULES.iter().enumerate().map(|(place, text)| rule(place, text)).collect();
    let alone = RULES.iter().enumerate().map(|(place, text)| rule(place, text));
    alone.chain([all]).map(|text| load(&text)).collect()
});

fn load(text: &str) -> Config {
    let read = |_: &Path| -> io::Result<Vec<u8>> { Err(io::ErrorKind::NotFound.into()) };
    config::parse(text, Path::new("fuzz.toml"), REGISTRY, &read).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, wire)) = input.split_first() else { return };
    let config = &CONFIGS[usize::from(*choice) % CONFIGS.len()];
    let Some(raw) = received(wire) else { return };
    assert_eq!(lone(&raw), None, "taken in");
    let mail = Mail {
        origin: Origin::default(),
        envelope: Envelope::new("anna@example.net", ["bob@example.org", "eve@example.org"]),
        message: Message::scan(raw, &Limits::default()),
        received: Moment::default(),
    };
    let memo = Memo::default();
    let classes = memo.classes(&config.banks, &mail);
    for judged in engine::judge(&config.banks, &memo, &mail, &classes, Effects::None.into()) {
        let Some(message) = judged.message(&mail) else { continue };
        let out = message.raw();
        if let Some(at) = lone(out) {
            let around = &out[at.saturating_sub(40)..(at + 40).min(out.len())];
            panic!("a lone CR or LF at {at}: {}", around.escape_ascii());
        }
        // For a next hop that takes 7 bits only.
        if let Ok(seven) = seven_bit::to_7bit(message, &Limits::default()) {
            assert_eq!(lone(seven.raw()), None, "made 7-bit");
        }
    }
});

/// What a client wrote behind DATA, as the daemon has it then.
fn received(wire: &[u8]) -> Option<Vec<u8>> {
    let mut reader = DataReader::new(1 << 20, BareNewline::Normalize, None);
    let wire = [wire, b"\r\n.\r\n"].concat();
    let mut rest = &wire[..];
    loop {
        let fed = reader.feed(rest);
        if let Some(ended) = fed.ended {
            return ended.ok().map(|received| received.message);
        }
        rest = rest.get(fed.taken..).filter(|rest| !rest.is_empty())?;
    }
}

/// Where a CR or LF stands without the other.
fn lone(octets: &[u8]) -> Option<usize> {
    let mut before = 0;
    for (at, octet) in octets.iter().enumerate() {
        if (before == b'\r') != (*octet == b'\n') {
            return Some(at);
        }
        before = *octet;
    }
    (before == b'\r').then(|| octets.len() - 1)
}
