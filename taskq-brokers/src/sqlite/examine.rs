//! What people should know of a file: what survives, how large it is, and whether its log is written back.

use std::path::Path;

use taskq_core::Finding;

use super::{address::Synchronous, failure::Failure, step::Step};

/// A log of this many bytes is not written back as it should be: somebody reads for very long.
const LONG_LOG: u64 = 256 * 1024 * 1024;

/// Everything at once.
pub(super) fn examine(step: &Step<'_>, path: &Path, synchronous: Synchronous) -> Result<Vec<Finding>, Failure> {
    // out: version
    let version: String = step.sql("SELECT sqlite_version()")?.query_row([], |row| row.get(0))?;
    let mut findings = vec![Finding::good("engine", format!("SQLite {version}"))];
    findings.push(match synchronous {
        Synchronous::Full => {
            Finding::good("what survives", "everything acknowledged, power loss included (synchronous=full)")
        }
        Synchronous::Normal => Finding::good("what survives", "the end of programs (synchronous=normal)")
            .notable("use synchronous=full where the last moments before power loss matter"),
    });
    let size = |suffix: &str| std::fs::metadata(format!("{}{suffix}", path.display())).map_or(0, |file| file.len());
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0));
    findings.push(Finding::good("file", format!("{}, {}", path.display(), mebibytes(size("")))));
    let log = Finding::good("write-ahead log", mebibytes(size("-wal")));
    findings.push(match size("-wal") > LONG_LOG {
        true => log.notable("end whoever reads the file for very long, such as an open shell with a transaction"),
        false => log,
    });
    Ok(findings)
}
