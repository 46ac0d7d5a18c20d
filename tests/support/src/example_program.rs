//! The built examples, as programs that a test can spawn. The path returned exists.

use std::path::PathBuf;

/// The program that Cargo built from `examples/<name>.rs`, found beside the running test.
///
/// # Panics
///
/// When the example has not been built; the message says how to.
#[must_use]
pub fn example_program(name: &str) -> PathBuf {
    let this_test = std::env::current_exe().expect("a test can name its own program file");
    // A test lies in target/<profile>/deps, an example in target/<profile>/examples.
    let program = this_test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("Cargo puts test programs two folders deep")
        .join("examples")
        .join(name);
    assert!(
        program.is_file(),
        "the example \"{name}\" is not built: run cargo xtask test, or cargo build --workspace --examples --all-features"
    );
    program
}
