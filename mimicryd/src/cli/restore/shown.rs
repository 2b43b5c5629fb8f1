//! What restore shows and writes.
//!
//! Must never: replace a file, or make one that others can read.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mimicry_core::message::Message;

use crate::cli::output::Output;
use crate::cli::show::{Paint, escape, octets, pad, short};
use crate::cli::tree;
use crate::prefork::exit::Exit;
use crate::sys::entry::Entry;

pub fn fail(path: &Path, error: &std::io::Error) -> Output {
    Output::failure(Exit::Io, format!("{}: {error}", path.display()))
}

pub fn written(path: &Path, content: Vec<u8>) -> Result<Output, Output> {
    if path.as_os_str() == "-" {
        return Ok(Output {
            out: content,
            must_arrive: true,
            ..Output::text(String::new())
        });
    }
    let whole = std::path::absolute(path)
        .and_then(|path| Entry::of(&path)?.write_whole(&content, 0o600, false));
    whole.map_err(|error| fail(path, &error))?;
    let name = escape(path.as_os_str().as_bytes());
    Ok(Output::text(format!(
        "{name}: {} octets\n",
        octets(content.len() as u64)
    )))
}

pub fn lines(rows: &[(&str, String)], paint: Paint) -> String {
    let line = |(key, value): &(&str, String)| format!("{}  {value}\n", paint.dim(&pad(key, 10)));
    rows.iter().map(line).collect()
}

/// The rows, and what the mail is.
pub fn with_mail(mut rows: Vec<(&str, String)>, message: &Message, paint: Paint) -> String {
    let subject = message.root().field("subject").map(|field| field.decoded());
    rows.extend(subject.map(|subject| ("subject", short(subject.trim(), 200))));
    format!(
        "{}\n{}\n{}",
        lines(&rows, paint),
        paint.bold("parts"),
        tree::draw(&tree::parts(message), paint)
    )
}
