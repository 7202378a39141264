//! Any text as a configuration: understood, or refused with an error that can be shown.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = potato::config::parse(Path::new("potato.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
});
