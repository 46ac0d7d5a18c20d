//! Standard output, for results. Whoever reads it may have heard enough, which is no failure.

use std::{fmt, io::Write};

/// Prints a line.
pub(super) fn say(line: impl fmt::Display) {
    // What cannot be written has no reader.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
