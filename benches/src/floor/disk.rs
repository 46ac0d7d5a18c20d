//! What the disk allows: a file that must survive power loss can commit no more often than this.

use std::{fs::File, io::Write, path::Path, time::Instant};

use bench_driver::{Job, Outcome, Report, Spent, quantile_micros};

/// A page, as SQLite appends to its log for the smallest commit.
const PAGE: [u8; 4096] = [7; 4096];

/// Pages a second that are appended and synced one at a time, beside the database.
pub(crate) fn fsync(job: &Job) -> Outcome<Report> {
    let database = job.url.strip_prefix("sqlite://").ok_or("fsync needs a URL sqlite://PATH")?;
    let database = Path::new(database.split('?').next().unwrap_or(database));
    let mut file = File::create(database.with_extension("fsyncs"))?;
    let (spent, mut times) = (Spent::new(), Vec::new());
    for _ in 0..job.tasks {
        let begun = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let report = Report::default().value("fsync", "/s", spent.rate(job.tasks));
    Ok(report.value("fsync_us", "us", quantile_micros(&times, 0.5)))
}
