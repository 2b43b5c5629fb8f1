//! File names. Whatever form a name is written in, the readings of the part have it, as each of eight kinds of reader would; and the name
//! under which a part is kept is one name of a file and no way to another place.
//!
//! Two octets choose the form; the rest is the name, and, behind LF, other parameters that stand before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimicry_core::message::{Limits, Message};
use mimicry_plugins::shared::names;

fuzz_target!(|input: &[u8]| {
    let Some(([form, place], name)) = input.split_first_chunk::<2>().map(|(first, rest)| (*first, rest)) else {
        return;
    };
    if let Ok(wanted) = std::str::from_utf8(name)
        && let Some(saved) = names::file_name(wanted)
    {
        assert!(!saved.is_empty() && saved.len() <= 255, "{saved:?}");
        assert!(!matches!(saved.as_str(), "." | ".."));
        assert!(!saved.contains(['/', '\\', '\0']) && !saved.chars().any(char::is_control), "{saved:?}");
    }
    // Any octets at all: read, and the same twice.
    let raw = [b"Content-Disposition: attachment; ", name, b"\r\n\r\nx\r\n"].concat();
    let message = Message::scan(raw, &Limits::default());
    for part in message.parts() {
        let seen: Vec<String> = part.names().iter().map(String::from).collect();
        assert!(seen.iter().all(|name| !name.contains(['\r', '\n'])));
        assert!(part.names().iter().eq(seen.iter().map(String::as_str)));
    }
    // A plain name, written as the form says.
    let (name, noise) = match name.iter().position(|octet| *octet == b'\n') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (name, &b""[..]),
    };
    let plain: String = name.iter().filter(|octet| octet.is_ascii_alphanumeric()).map(|octet| char::from(*octet)).take(40).collect();
    if plain.is_empty() {
        return;
    }
    let wanted = format!("{plain}.exe");
    let (half, rest) = wanted.split_at(wanted.len() / 2);
    let percent: String = wanted.bytes().map(|octet| format!("%{octet:02X}")).collect();
    // `@` stands for the name of the parameter; no plain name has one.
    let parameter = match form % 8 {
        0 => format!("@={wanted}"),
        1 => format!("@=\"{wanted}\""),
        2 => format!("@*=utf-8''{percent}"),
        3 => format!("@*0=\"{half}\"; @*1=\"{rest}\""),
        4 => format!("@*1=\"{rest}\"; @*0=\"{half}\""),
        5 => format!("@*0*=utf-8''{}; @*1=\"{rest}\"", half.bytes().map(|octet| format!("%{octet:02X}")).collect::<String>()),
        6 => format!("@=\"=?utf-8?Q?{wanted}?=\""),
        _ => format!("@=\"{}\"", wanted.chars().map(|letter| format!("\\{letter}")).collect::<String>()),
    };
    // What is cut into sections is not mixed with sections of others: there each reader has its own idea.
    let is_quiet = matches!(form % 8, 3..=5);
    let noise: String = noise.iter().map(|octet| char::from(*octet)).filter(|letter| letter.is_ascii_alphanumeric() || "=; *'%.".contains(*letter)).take(60).collect();
    let noise = if is_quiet || noise.is_empty() { String::new() } else { format!("{noise};") };
    let field = match place % 2 {
        0 => format!("Content-Disposition: attachment; {noise} {}", parameter.replace("@", "filename")),
        _ => format!("Content-Type: application/octet-stream; {noise} {}", parameter.replace("@", "name")),
    };
    let message = Message::scan(format!("{field}\r\n\r\nx\r\n").into_bytes(), &Limits::default());
    for part in message.parts() {
        let names = part.names();
        let seen = names.any(|found| found.contains(&wanted)) || names.unread().is_some();
        assert!(seen, "{field}: {:?}", names.iter().collect::<Vec<_>>());
    }
});
