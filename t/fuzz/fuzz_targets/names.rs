//! File names. Whatever form a name is written in, the readings of the part have it, as each of eight kinds of reader would; and the name
//! under which a part is kept is one name of a file and no way to another place.
//!
//! Two octets choose the form, the rest is the name.
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
        assert_eq!(part.filenames(), part.filenames());
    }
    // A plain name, written as the form says.
    let plain: String = name.iter().filter(|octet| octet.is_ascii_alphanumeric()).map(|octet| char::from(*octet)).take(40).collect();
    if plain.is_empty() {
        return;
    }
    let wanted = format!("{plain}.exe");
    let (half, rest) = wanted.split_at(wanted.len() / 2);
    let percent: String = wanted.bytes().map(|octet| format!("%{octet:02X}")).collect();
    let parameter = match form % 8 {
        0 => format!("NAME={wanted}"),
        1 => format!("NAME=\"{wanted}\""),
        2 => format!("NAME*=utf-8''{percent}"),
        3 => format!("NAME*0=\"{half}\"; NAME*1=\"{rest}\""),
        4 => format!("NAME*1=\"{rest}\"; NAME*0=\"{half}\""),
        5 => format!("NAME*0*=utf-8''{}; NAME*1=\"{rest}\"", half.bytes().map(|octet| format!("%{octet:02X}")).collect::<String>()),
        6 => format!("NAME=\"=?utf-8?Q?{wanted}?=\""),
        _ => format!("NAME=\"{}\"", wanted.chars().map(|letter| format!("\\{letter}")).collect::<String>()),
    };
    let field = match place % 2 {
        0 => format!("Content-Disposition: attachment; {}", parameter.replace("NAME", "filename")),
        _ => format!("Content-Type: application/octet-stream; {}", parameter.replace("NAME", "name")),
    };
    let message = Message::scan(format!("{field}\r\n\r\nx\r\n").into_bytes(), &Limits::default());
    let seen = message.parts().any(|part| part.filenames().iter().any(|found| found.contains(&wanted)));
    assert!(seen, "{field}");
});
