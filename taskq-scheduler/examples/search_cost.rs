//! What it costs to read a schedule and to find its next and its last fire time, frequent ones and rare ones.
//!
//! `cargo run --release -p taskq-scheduler --example search_cost`

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use taskq_core::{Result, Timestamp};
use taskq_scheduler::{Period, Schedule, calendar, cron, every};

const ROUNDS: u32 = 2_000;

/// 2026-11-27 at 10:00 UTC.
const NOW: i64 = 1_795_773_600_000;

/// Reads one schedule.
type Read = Box<dyn Fn() -> Result<Schedule>>;

fn main() -> Result<()> {
    let paris = |text: &'static str| -> (String, Read) {
        (format!("{text} in Paris"), Box::new(move || cron(text)?.timezone("Europe/Paris")))
    };
    let rows: Vec<(String, Read)> = vec![
        ("every 5m".to_owned(), Box::new(|| every(Duration::from_secs(300)))),
        ("* * * * * * in UTC".to_owned(), Box::new(|| cron("* * * * * *"))),
        paris("* * * * * *"),
        paris("*/5 * * * *"),
        paris("30 7 * * Mon"),
        paris("0 0 1,15 * Mon"),
        paris("0 0 29 2 *"),
        paris("0 0 29 2 */7"),
        paris("0 0 0 1 1 ? 2099"),
        paris("59 59 23 31 12 ? 1970,2100"),
        paris("0 0 0 29 2 ? 1972,2096"),
        (
            "every month on day 31 in Paris".to_owned(),
            Box::new(|| calendar(Period::Months(1), "2026-01-31 07:30")?.timezone("Europe/Paris")),
        ),
    ];
    println!("{:<40} {:>8} {:>8} {:>8} {:>9} {:>9}", "microseconds", "read", "next", "last", "next p99", "last p99");
    for (name, read) in &rows {
        print_row(name, read)?;
    }
    Ok(())
}

fn print_row(name: &str, read: &Read) -> Result<()> {
    let schedule = read()?;
    let reading = times(|_| drop(black_box(read())));
    let next = times(|instant| {
        black_box(schedule.next_after(instant));
    });
    let last = times(|instant| {
        black_box(schedule.last_between(Timestamp::from_millis(0), instant));
    });
    println!(
        "{name:<40} {:>8.2} {:>8.2} {:>8.2} {:>9.2} {:>9.2}",
        mean(&reading),
        mean(&next),
        mean(&last),
        most(&next),
        most(&last)
    );
    Ok(())
}

/// How long it takes at instants that are spread over ten years, in microseconds and in order.
fn times(mut search: impl FnMut(Timestamp)) -> Vec<f64> {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let instant = Timestamp::from_millis(NOW + i64::from(round) * 157_680_123);
            let start = Instant::now();
            search(instant);
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / f64::from(ROUNDS)
}

/// What all but one in a hundred stay below.
fn most(times: &[f64]) -> f64 {
    times[times.len() * 99 / 100]
}
