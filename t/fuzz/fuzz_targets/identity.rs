//! Scan, then render without edits: the same octets, whatever they are; and every question a rule may ask is answered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimicry_core::message::edit::EditSet;
use mimicry_core::message::render::render;
use mimicry_core::message::{Limits, Message};

fuzz_target!(|octets: &[u8]| {
    let limits = Limits {
        depth: 8,
        parts: 40,
        header: 2000,
        field: 500,
        fields: 30,
        params: 20,
    };
    for limits in [Limits::default(), limits] {
        let message = Message::scan(octets.to_vec(), &limits);
        assert_eq!(render(&EditSet::new(&message)), octets);
        assert!(message.parts().len() <= limits.parts.max(1));
        let roles = message.roles();
        for part in message.parts() {
            assert!(part.depth() <= limits.depth + 1);
            assert_eq!(part.is_multipart(), roles.role(part.id()).is_none());
            if let Some(parent) = part.parent() {
                assert!(part.is_within(parent.id()));
                // The octets of a part lie within those of its parent.
                assert!(parent.raw().as_ptr_range().start <= part.raw().as_ptr_range().start);
                assert!(part.raw().as_ptr_range().end <= parent.raw().as_ptr_range().end);
            }
            let _ = (part.filenames(), part.charset(), part.disposition(), part.decoded_len(), part.type_path());
            for field in part.fields() {
                assert!(!field.decoded().contains(['\r', '\n']));
            }
        }
        assert_eq!(message.into_raw(), octets);
    }
});
