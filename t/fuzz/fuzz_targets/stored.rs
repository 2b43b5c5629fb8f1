//! Names in the ledger and in the stores of rules: a path of the envelope, whatever is in it, makes a name of ours and no way to another
//! place; and two mails that differ have two keys.
//!
//! Three pieces, parted by LF: sender, recipient, and a pattern of folders.
#![no_main]

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mimicry_core::envelope::{Envelope, Path as Address};
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::Task;
use mimicry_plugins::shared::store::place::FolderPattern;
use mimicryd::worker::ledger::Key;

fuzz_target!(|input: &[u8]| {
    let mut pieces = input.splitn(3, |octet| *octet == b'\n');
    let (Some(sender), Some(recipient)) = (pieces.next(), pieces.next()) else { return };
    let pattern = pieces.next().and_then(|piece| std::str::from_utf8(piece).ok());
    keys(sender, recipient);
    let mail = Mail {
        origin: Origin::default(),
        envelope: Envelope::new(sender, [recipient]),
        message: Message::scan(b"Subject: x\r\n\r\nx\r\n".to_vec(), &Limits::default()),
        received: Moment {
            unix: i64::from(input.first().copied().unwrap_or_default()) << 32,
            offset: 3600,
        },
    };
    let variables = BTreeMap::new();
    let task = Task {
        rule: "r",
        rules: &["r"],
        ..Task::plain(&mail, &variables)
    };
    let ours = "/srv/a/{{ sender.domain }}/{{ sender.local }}.{{ date }}/.{{ recipient.domain }}/{{ recipient.local }}{{ year }}";
    for pattern in [Some(ours), pattern].into_iter().flatten() {
        // The configuration has no control characters in the name of a directory.
        if pattern.chars().any(char::is_control) {
            continue;
        }
        let Ok(place) = FolderPattern::parse(Path::new(pattern)) else { continue };
        for folder in place.folders(&task) {
            let name = folder.as_bytes();
            assert!(!name.is_empty() && name.len() <= 255, "{folder:?}");
            assert!(!matches!(name, b"." | b".."), "{folder:?}");
            assert!(!name.contains(&b'/') && !name.contains(&0), "{folder:?}");
        }
    }
});

fn keys(sender: &[u8], recipient: &[u8]) {
    let key = |sender: &[u8], recipient: &[u8], digest: &[u8]| {
        Key::of(&Address::new(sender), &Address::new(recipient), digest)
    };
    let one = key(sender, recipient, b"digest");
    assert!(one.name().len() == 64 && one.name().bytes().all(|octet| octet.is_ascii_hexdigit()));
    assert_eq!(one, key(sender, recipient, b"digest"));
    assert_ne!(one, key(sender, recipient, b"digesu"));
    if sender != recipient {
        assert_ne!(one, key(recipient, sender, b"digest"));
    }
    // What stands at the border of two fields belongs to one of them.
    if let Some((last, before)) = sender.split_last() {
        assert_ne!(one, key(before, &[&[*last], recipient].concat(), b"digest"));
    }
}
