//! What signing and encrypting cost a task, beside what it costs without keys.
//!
//! `cargo run --release -p taskq-core --features seal --example seal_cost`

use std::{hint::black_box, time::Instant};

use serde_json::json;
use taskq_core::{
    Envelope, Invocation, Keys,
    seal::{EncryptionKey, KeyBytes, KeyRing, SigningKey},
};

const ROUNDS: u32 = 20_000;

fn main() -> taskq_core::Result<()> {
    let bytes = || KeyBytes::new([7; 32]);
    let hmac = SigningKey::hmac_sha256("2026-11", bytes())?;
    let ed25519 = SigningKey::ed25519("2026-11", bytes())?;
    let encryption = EncryptionKey::xchacha20_poly1305("2026-11", bytes())?;
    let rings = [
        ("no keys", None),
        ("HMAC-SHA-256", Some(KeyRing::new().sign_with(hmac.clone()))),
        ("Ed25519", Some(KeyRing::new().sign_with(ed25519))),
        ("XChaCha20-Poly1305", Some(KeyRing::new().encrypt_with(encryption.clone()))),
        ("HMAC and XChaCha20", Some(KeyRing::new().sign_with(hmac).encrypt_with(encryption))),
    ];
    println!("{:<22} {:>9} {:>12} {:>12} {:>9}", "keys", "arguments", "client us", "worker us", "bytes");
    for letters in [20, 16 * 1024] {
        for (name, keys) in &rings {
            print_row(name, keys.as_ref(), &"x".repeat(letters))?;
        }
    }
    Ok(())
}

/// The client makes, seals and encodes; the worker decodes and opens.
fn print_row(name: &str, keys: Option<&KeyRing>, text: &str) -> taskq_core::Result<()> {
    let rounds = if text.len() > 1_000 { ROUNDS / 20 } else { ROUNDS };
    let make = || -> taskq_core::Result<(Envelope, Vec<u8>)> {
        let mut envelope = Invocation::named("measure", &json!({"n": 1_234_567, "text": text})).into_envelope()?;
        if let Some(keys) = keys {
            keys.seal(&mut envelope)?;
        }
        let encoded = envelope.encode();
        Ok((envelope, encoded))
    };
    let begun = Instant::now();
    for _ in 0..rounds {
        black_box(make()?);
    }
    let client = begun.elapsed() / rounds;
    let (envelope, encoded) = make()?;
    let begun = Instant::now();
    for _ in 0..rounds {
        let read = Envelope::decode(envelope.id.clone(), black_box(&encoded))?;
        if let Some(keys) = keys {
            black_box(keys.open(&read)?);
        }
        black_box(read);
    }
    let worker = begun.elapsed() / rounds;
    let micros = |duration: std::time::Duration| duration.as_secs_f64() * 1e6;
    println!("{name:<22} {:>9} {:>12.2} {:>12.2} {:>9}", text.len(), micros(client), micros(worker), encoded.len());
    Ok(())
}
