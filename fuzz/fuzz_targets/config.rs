//! Any text is a configuration or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use taskq::config::Config;

fuzz_target!(|text: &str| {
    match Config::from_parts(Some(("taskq.toml".into(), text.to_owned())), []) {
        Ok(config) => drop(format!("{config:?}")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
