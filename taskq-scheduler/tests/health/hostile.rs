//! Forms that nobody meant: read or refused in a short line, never a panic. What is read reads back as itself.
//!
//! The properties run over the seeds in `corpus/health`, over seeds with bytes changed, and over what is made up.

use std::path::Path;

use proptest::prelude::*;
use taskq_scheduler::health::Check;
use taskq_test_support::{corrupt, seeds as corpus};

/// The seeds of a folder, by name.
pub(crate) fn seeds(folder: &str) -> Vec<(String, Vec<u8>)> {
    corpus(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder))
}

/// Seeds with a few bytes changed.
pub(crate) fn mutated(folder: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds: Vec<Vec<u8>> = seeds(folder).into_iter().map(|(_, seed)| seed).collect();
    let byte = prop_oneof![prop::sample::select(b"\"{}[]:,.-/@?#%0123456789aehsx\\".to_vec()), any::<u8>()];
    let change = (any::<prop::sample::Index>(), byte, 0..4_u8);
    (prop::sample::select(seeds), prop::collection::vec(change, 0..6)).prop_map(|(mut bytes, changes)| {
        for (place, byte, how) in changes {
            let at = place.index(bytes.len() + 1);
            corrupt(&mut bytes, at, byte, how);
        }
        bytes
    })
}

fn judge(bytes: &[u8]) -> bool {
    match serde_json::from_slice::<Check>(bytes) {
        Ok(check) => {
            let form = serde_json::to_string(&check).expect("encodes");
            assert_eq!(serde_json::from_str::<Check>(&form).expect("reads what it wrote"), check);
            assert!(!check.probe.target().is_empty());
            true
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.contains(char::is_control) && told.len() < 1_000, "{told}");
            false
        }
    }
}

#[test]
fn every_seed_is_read_or_refused() {
    let read: Vec<_> = seeds("health").into_iter().filter(|(_, seed)| judge(seed)).map(|(name, _)| name).collect();
    let expected = [
        "command",
        "http",
        "http_decimal",
        "http_everything",
        "http_idna",
        "http_octal",
        "http_table",
        "nulls",
        "redis",
        "sqlite",
        "task",
        "tcp",
        "tcp_odd",
        "tcp_v6",
    ];
    assert_eq!(read, expected);
}

proptest! {
    #[test]
    fn a_form_with_bytes_changed_is_read_or_refused(bytes in mutated("health")) {
        judge(&bytes);
    }

    #[test]
    fn any_text_at_a_key_is_read_or_refused(
        text in ".{0,60}",
        kind in prop::sample::select(vec!["http", "tcp", "redis", "sqlite", "every", "timeout"]),
    ) {
        let mut form = serde_json::json!({ "every": "1m" });
        form[kind] = text.into();
        judge(form.to_string().as_bytes());
    }
}
