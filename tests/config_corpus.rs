//! Configuration as nobody meant it: read or refused in a sentence, never a panic, and never a secret in the sentence.
//!
//! Every seed in `corpus/config` is read as it is, and again with bytes changed. A seed that once broke something stays.

use std::path::Path;

use taskq::config::Config;
use taskq_core::retry::scramble;

/// Changed copies of each seed.
const COPIES: u64 = 200;

/// What is put in: what means something in TOML, and what should not be there.
const BYTES: &[u8] = b" \n\"'[]{}=.,#\\-+09azAZ_\x00\x1b\x7f\xc3\xa9\xff";

fn seeds() -> Vec<(String, Vec<u8>)> {
    taskq_test_support::seeds(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/config"))
}

fn parse(bytes: &[u8]) -> Result<Config, String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let config = Config::from_parts(Some(("taskq.toml".into(), text)), []);
    config.map_err(|error| format!("{error} {error:?}"))
}

#[test]
fn every_seed_is_read_or_refused_without_a_secret() {
    let mut read = Vec::new();
    for (name, seed) in seeds() {
        match parse(&seed) {
            Ok(config) => {
                assert!(!format!("{config:?} {:?}", config.explain()).contains("canary"), "{name}: {config:?}");
                read.push(name);
            }
            Err(told) => assert!(!told.contains("canary") && told.len() < 4_000, "{name}: {told}"),
        }
    }
    assert_eq!(
        read,
        [
            "empty.toml",
            "escapes.toml",
            "everything.toml",
            "health.toml",
            "hexadecimal.toml",
            "schedules.toml",
            "slots_too_many.toml"
        ]
    );
}

/// The same bytes with up to eight changed, put in or taken out, as `seed` says.
fn changed(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut state = seed;
    let mut next = |bound: usize| {
        state = scramble(state);
        usize::try_from(state % bound.max(1) as u64).expect("smaller than a usize")
    };
    for _ in 0..=next(8) {
        let (at, byte) = (next(bytes.len() + 1), BYTES[next(BYTES.len())]);
        match next(4) {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.truncate(bytes.len() - next(bytes.len() / 8)),
        }
    }
    bytes
}

#[test]
fn a_seed_with_bytes_changed_is_read_or_refused() {
    for (number, (name, seed)) in (0..).zip(seeds()) {
        for copy in 0..COPIES {
            let bytes = changed(&seed, number * COPIES + copy);
            if let Err(told) = parse(&bytes) {
                assert!(!told.is_empty(), "{name}, copy {copy}");
            }
        }
    }
}
