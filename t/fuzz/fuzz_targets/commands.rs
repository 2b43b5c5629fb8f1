//! Command lines, and XFORWARD with what it is believed: any octets are understood or refused, nothing that is taken holds an octet that
//! could end a line of ours, and a refusal changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimicry_core::origin::Origin;
use mimicryd::smtp::command::Command;
use mimicryd::smtp::xforward;

fuzz_target!(|line: &[u8]| {
    match Command::parse(line) {
        Ok(command) => {
            let shown = format!("{command:?}");
            assert!(!shown.contains(['\r', '\n']));
            if let Command::Mail(mail) = &command {
                assert!(is_clean(mail.path) && is_clean(mail.params));
            }
            if let Command::Rcpt(rcpt) = &command {
                assert!(is_clean(rcpt.path) && is_clean(rcpt.params));
            }
        }
        Err(fault) => assert!(matches!(fault.reply().code(), 500..=599)),
    }
    let before = Origin {
        helo: Some(b"before".to_vec()),
        ..Origin::default()
    };
    let mut origin = before.clone();
    if xforward::apply(line, &mut origin).is_none() {
        assert_eq!(origin, before);
        return;
    }
    for value in [&origin.name, &origin.helo, &origin.ident, &origin.proto].into_iter().flatten() {
        assert!(!value.is_empty() && value.len() <= 255 && is_clean(value), "{}", value.escape_ascii());
    }
});

fn is_clean(octets: &[u8]) -> bool {
    !octets.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0))
}
