//! Seeds of what nobody meant to write: files of a folder, as they are and with bytes changed.

use std::path::Path;

/// The seeds of a folder, by name.
///
/// # Panics
///
/// When the folder has fewer than twenty, as then it is the wrong one.
#[must_use]
pub fn seeds(folder: impl AsRef<Path>) -> Vec<(String, Vec<u8>)> {
    let folder = folder.as_ref();
    let mut seeds: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("readable"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("readable")))
        .collect();
    seeds.sort();
    assert!(seeds.len() > 20, "{} has seeds", folder.display());
    seeds
}

/// Corrupts bytes at a place: puts one in, replaces one, takes one out, or repeats what stands before.
pub fn corrupt(bytes: &mut Vec<u8>, at: usize, byte: u8, how: u8) {
    match how {
        0 => bytes.insert(at, byte),
        1 if at < bytes.len() => bytes[at] = byte,
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 => bytes.extend_from_within(at.saturating_sub(usize::from(byte))..at),
        _ => {}
    }
}
