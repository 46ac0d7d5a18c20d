//! Standard output, for results. Whoever reads it may have heard enough, which is no failure.

use std::{fmt, io::Write};

#[cfg(feature = "scheduler")]
use comfy_table::{Table, presets};

/// Prints a line.
pub(super) fn say(line: impl fmt::Display) {
    // What cannot be written has no reader.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// Prints a table, each column as wide as it needs.
#[cfg(feature = "scheduler")]
pub(super) fn say_table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header).add_rows(rows);
    // The style puts a blank before each cell; no first one begins with one.
    table.to_string().lines().for_each(|line| say(line.trim()));
}
