//! `mimicryd keys`: the keys that rules sign with and encrypt to, until when, and the records of the DNS that verifiers look for.
//!
//! Must never: show a secret half, or ask the DNS.

use mimicry_core::plugin::KeyInUse;

use super::input::ConfigArg;
use super::output::Output;
use super::show::{Paint, escape};
use crate::clock;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub fn run(args: &Args, out: Paint, err: Paint) -> Result<Output, Output> {
    let config = args.config.load(err)?;
    let mut text = String::new();
    for rule in config.banks.in_use() {
        let keys = rule.plugin.keys(clock::now().unix);
        if keys.is_empty() {
            continue;
        }
        let name = out.bold(&escape(&rule.name));
        text.push_str(&format!("{name} ({})\n", rule.kind.name()));
        for key in &keys {
            text.push_str(&shown(key));
        }
    }
    if text.is_empty() {
        text.push_str("no rule has keys\n");
    }
    Ok(Output::text(text))
}

/// The key, and its record as a zone file has it.
fn shown(key: &KeyInUse) -> String {
    let mut text = format!("  {}  {}  {}", escape(&key.owner), key.name, key.kind);
    if key.record.is_none() {
        text.push_str(&format!("  {}", key.used.word()));
    }
    match (&key.unfit, key.expires) {
        (Some(unfit), _) => text.push_str(&format!("  of no use: {}", escape(unfit))),
        (None, Some(expires)) => text.push_str(&format!("  until {}", clock::date(expires))),
        (None, None) => {}
    }
    text.push('\n');
    if let Some((name, record)) = &key.record {
        text.push_str(&format!("{name}. IN TXT {}\n", strings(record)));
    }
    text
}

/// A text in strings of at most 255 octets (RFC 1035 section 3.3), in lines that fit.
fn strings(text: &str) -> String {
    const PIECE: usize = 64;
    let letters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = letters
        .chunks(PIECE)
        .map(|piece| format!("    \"{}\"", piece.iter().collect::<String>()))
        .collect();
    format!("(\n{}\n    )", pieces.join("\n"))
}
