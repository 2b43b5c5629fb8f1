//! The configuration file: any text loads or is refused with at least one mistake, each at a place within the text.
#![no_main]

use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mimicry_core::config;
use mimicry_plugins::REGISTRY;

fuzz_target!(|text: &str| {
    let read = |_: &Path| -> io::Result<Vec<u8>> { Ok(b"the text of a file\n".to_vec()) };
    let mistakes = match config::parse(text, Path::new("fuzz.toml"), REGISTRY, &read) {
        Ok(config) => config.warnings,
        Err(mistakes) => {
            assert!(mistakes.has_errors());
            mistakes
        }
    };
    for diagnostic in &mistakes.list {
        if let Some(span) = &diagnostic.span {
            assert!(span.start <= span.end && span.end <= text.len());
        }
    }
    let _ = mistakes.to_string();
    // The same text gives the same answer.
    let again = match config::parse(text, Path::new("fuzz.toml"), REGISTRY, &read) {
        Ok(config) => config.warnings,
        Err(mistakes) => mistakes,
    };
    assert_eq!(again.to_string(), mistakes.to_string());
});
