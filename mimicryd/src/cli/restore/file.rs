//! An edited mail, made again as it came by its field Message-Instance.
//!
//! Must never: load a configuration, or write anything but the mail of the field's hash.

use std::path::Path;

use mimicry_core::message::{Limits, Message};
use mimicry_plugins::shared::recipe::back::{Why, back};

use super::find::with_crlf;
use super::shown::{with_mail, written};
use crate::cli::input::{read_input, shown_name};
use crate::cli::output::Output;
use crate::cli::show::{Paint, octets};
use crate::prefork::exit::Exit;

/// Octets of a mail: what is larger came by no SMTP.
const MOST: usize = 1 << 30;

pub fn run(path: &Path, output: Option<&Path>, paint: Paint) -> Result<Output, Output> {
    let name = shown_name(path);
    let edited = read_input(path, MOST)
        .map_err(|error| Output::failure(Exit::Io, format!("cannot read {name}: {error}")))?;
    if edited.len() > MOST {
        let reason = format!("{name} has more than {} octets", octets(MOST as u64));
        return Err(Output::failure(Exit::Data, reason));
    }
    let made = came(edited).map_err(|why| {
        let reason = format!("{name} cannot be made again as it came: {why}");
        Output::failure(Exit::Data, reason)
    })?;
    if let Some(path) = output {
        return written(path, made);
    }
    let rows = vec![
        ("file", name),
        (
            "as it came",
            format!(
                "{} octets, by the hash in the field",
                octets(made.len() as u64)
            ),
        ),
    ];
    let message = Message::scan(made, &Limits::default());
    Ok(Output::text(with_mail(rows, &message, paint)))
}

/// In a Maildir or a mailbox the lines of a mail lost their CR.
fn came(edited: Vec<u8>) -> Result<Vec<u8>, Why> {
    let is_stored = memchr::memchr(b'\r', &edited).is_none();
    if !is_stored {
        return back(edited);
    }
    let with_cr = with_crlf(&edited);
    back(edited).or_else(|why| back(with_cr).map_err(|_| why))
}
