//! A name, key or id that is taken reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use taskq_core::{QueueName, TaskId, TaskKey};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = TaskKey::from_bytes(bytes) {
        assert_eq!(TaskKey::from_bytes(key.as_bytes()).expect("reads its own bytes"), key);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = QueueName::new(text) {
        assert!(name.as_str() == text && text.len() <= 128 && !text.contains([':', '/', '{', '*']));
    }
    if let Ok(id) = text.parse::<TaskId>() {
        assert_eq!(id.to_string().parse::<TaskId>().expect("reads what it wrote"), id);
    }
});
