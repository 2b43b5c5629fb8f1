//! `mimicryd keys`: the keys that rules sign with and encrypt to, until when, and the records of the DNS that verifiers look for; or those
//! in files, before a rule names them.
//!
//! Must never: show a secret half, or ask the DNS.

use std::path::{Path, PathBuf};

use mimicry_core::plugin::KeyInUse;
use mimicry_core::units::show_size;
use mimicry_plugins::shared::date::day;
use mimicry_plugins::shared::found::Held;
use mimicry_plugins::shared::held::held;

use super::input::{ConfigArg, read_input, shown_name};
use super::output::Output;
use super::show::{Paint, count, escape};
use crate::clock;
use crate::files::{self, Access};
use crate::prefork::exit::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Files of keys to list in place of those of the configuration
    #[arg(value_name = "KEYS", conflicts_with = "config")]
    files: Vec<PathBuf>,
}

pub fn run(args: &Args, out: Paint, err: Paint) -> Result<Output, Output> {
    if !args.files.is_empty() {
        return Ok(of_files(&args.files, out));
    }
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

/// Those of files that perhaps no rule names: each file is judged, whatever is wrong with the others.
fn of_files(paths: &[PathBuf], out: Paint) -> Output {
    let mut output = Output::text(String::new());
    for path in paths {
        let name = shown_name(path);
        match of_file(path) {
            Ok(held) => {
                let mut text = format!("{} ({})\n", out.bold(&name), held.kind);
                held.keys.iter().for_each(|key| text.push_str(&shown(key)));
                output.out.extend_from_slice(text.as_bytes());
                output.err.push_str(&notes(path, &held));
            }
            Err((exit, why)) => {
                output.err.push_str(&format!("mimicryd: {}\n", escape(why)));
                output.exit = exit;
            }
        }
    }
    output
}

fn of_file(path: &Path) -> Result<Held, (Exit, String)> {
    let name = path.display();
    if path.is_dir() {
        let why = format!("{name} is a directory; name files in it, such as {name}/*");
        return Err((Exit::Io, why));
    }
    let most = usize::try_from(files::LARGEST).unwrap_or(usize::MAX);
    let octets = read_input(path, most)
        .map_err(|error| (Exit::Io, format!("cannot read {name}: {error}")))?;
    if octets.len() > most {
        let why = format!("{name} is larger than {}", show_size(files::LARGEST));
        return Err((Exit::Data, why));
    }
    held(path, &octets, clock::now().unix).map_err(|wrong| {
        let help = wrong
            .help
            .map_or_else(String::new, |help| format!("; {help}"));
        (Exit::Data, format!("{name} {}{help}", wrong.message))
    })
}

/// What is to be known of a file beside its keys: what of it is not read, and that no rule would take it as it stands.
fn notes(path: &Path, held: &Held) -> String {
    let name = shown_name(path);
    let mut text = String::new();
    if held.unread > 0 {
        let unread = count(held.unread, "key");
        text.push_str(&format!("mimicryd: {unread} in {name} cannot be read\n"));
    }
    let access = match held.is_secret {
        true => Access::Group,
        false => Access::Everybody,
    };
    if path.as_os_str() != "-"
        && let Ok(absolute) = std::path::absolute(path)
        && let Err(wrong) = files::judge(&absolute, access)
    {
        let why = escape(wrong.to_string());
        text.push_str(&format!(
            "mimicryd: a rule would not take {name}, which {why}\n"
        ));
    }
    text
}

/// The key, and its record as a zone file has it.
fn shown(key: &KeyInUse) -> String {
    let mut text = format!("  {}  {}  {}", escape(key.owner()), key.name, key.kind);
    if key.record.is_none() {
        text.push_str(&format!("  {}", key.used.word()));
    }
    match (&key.unfit, key.expires) {
        (Some(unfit), _) => text.push_str(&format!("  of no use: {}", escape(unfit))),
        (None, Some(expires)) => text.push_str(&format!("  until {}", day(expires))),
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
