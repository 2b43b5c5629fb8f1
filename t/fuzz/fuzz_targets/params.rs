//! Header parameters: reading never fails, setting one is read back and leaves the others.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimicry_core::message::params::{self, Params};
use mimicry_core::message::{address, header, words};

fuzz_target!(|value: &[u8]| {
    let before = Params::parse(value, 1000);
    let names = ["name", "filename", "charset", "boundary"];
    let old: Vec<_> = names.iter().map(|name| before.get(name)).collect();
    for param in before.iter() {
        assert!(value.get(param.piece.clone()).is_some());
    }
    let _ = (address::addresses(value), words::decode(value));
    let set = params::set(value, "charset", "utf-8");
    let after = Params::parse(&set, 2000);
    // A field whose main value cannot be read is never edited.
    if !before.too_many() && before.value().is_some() {
        assert_eq!(after.get("charset").as_deref(), Some("utf-8"));
        // An unclosed quote or comment takes in what follows; there the others may be read otherwise.
        let sound = before.media_type().is_some() && !value.contains(&b'"') && !value.contains(&b'(') && !value.contains(&b'*');
        if sound {
            assert_eq!(before.media_type(), after.media_type());
            for (name, old) in names.iter().zip(old) {
                if *name != "charset" {
                    assert_eq!(after.get(name), old, "{name}");
                }
            }
        }
    }
    // A field made of whatever a value decodes to is one field.
    let made = header::make("X-Made", &words::decode(value), b"\r\n");
    assert_eq!(header::fields(&made).count(), 1);
    assert!(made.is_ascii());
});
