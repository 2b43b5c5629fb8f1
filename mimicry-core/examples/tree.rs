//! The trees of mails, a line for each part, for programs that compare them with those of other readers (t/interop/differential.py).
//!
//! Number of the mail's argument, depth, type, `leaf` or `multipart`, the SHA-256 of the decoded content or `-`, then the names in
//! hexadecimal digits of UTF-8; with tabs between them.
//!
//! usage: tree MAIL...

use mimicry_core::message::digest::Digest;
use mimicry_core::message::{Limits, Message};
use rows::{Row, ours};

#[path = "../tests/common/rows.rs"]
mod rows;

fn main() -> std::io::Result<()> {
    for (number, path) in std::env::args().skip(1).enumerate() {
        let message = Message::scan(std::fs::read(path)?, &Limits::default());
        let mut rows: Vec<Row> = Vec::new();
        ours(message.root(), &mut rows);
        for row in rows {
            let kind = if row.is_leaf { "leaf" } else { "multipart" };
            let content = row.content.map(|octets| Digest::of_octets(&octets));
            let content = content.map_or("-".into(), |digest| digest.to_string());
            let name = |name: &String| name.bytes().map(|octet| format!("{octet:02x}")).collect();
            let names: Vec<String> = row.names.iter().map(name).collect();
            println!(
                "{number}\t{}\t{}\t{kind}\t{content}\t{}",
                row.depth,
                row.media_type,
                names.join("\t")
            );
        }
    }
    Ok(())
}
