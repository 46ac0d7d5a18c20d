//! Histories of many seeds, each of which has to keep every promise.
//!
//! `TASKQ_SEEDS=10000 cargo test --release -p taskq-simulation-tests --test seeds -- --nocapture` runs more of them, and
//! `TASKQ_FIRST_SEED` begins elsewhere.

use std::time::{Duration, Instant};

use taskq_simulation_tests::{cluster, scenario, scenario_with_pauses, scenario_with_purges};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn many_seeds_keep_every_promise() {
    let (first, count) = (number("TASKQ_FIRST_SEED", 0), number("TASKQ_SEEDS", 300));
    let begun = Instant::now();
    let (mut tasks, mut executions, mut refused, mut lapsed, mut faults) = (0, 0, 0, 0, 0);
    let mut simulated = Duration::ZERO;
    for seed in first..first + count {
        let report = cluster(seed).run(async |cluster| scenario(cluster, seed).await);
        report.assert_sound();
        let checked = report.checked();
        tasks += checked.tasks;
        executions += checked.executions;
        refused += checked.stale_refused;
        lapsed += checked.leases_lapsed;
        faults += report.faults();
        simulated += report.simulated();
    }
    let hours = simulated.as_secs_f64() / 3_600.0;
    let per_minute = hours / (begun.elapsed().as_secs_f64() / 60.0);
    println!(
        "{count} seeds, {tasks} tasks, {executions} executions, {faults} faults, {lapsed} leases lapsed, \
         {refused} stale writes refused, 0 broken promises; {hours:.1} simulated hours, {per_minute:.0} a minute"
    );
    assert!(refused > 0 && lapsed > 0 && executions > tasks, "the faults leave traces");
}

#[test]
fn purges_in_the_middle_of_everything_break_no_promise() {
    for seed in 0..100 {
        let report = cluster(seed).run(async |cluster| scenario_with_purges(cluster, seed).await);
        report.assert_sound();
    }
}

#[test]
fn pauses_in_the_middle_of_everything_break_no_promise() {
    for seed in 0..50 {
        let report = cluster(seed).run(async |cluster| scenario_with_pauses(cluster, seed).await);
        report.assert_sound();
    }
}

#[test]
fn one_seed_makes_one_history() {
    for seed in [3, 4, 5] {
        let history = || cluster(seed).run(async |cluster| scenario(cluster, seed).await).history();
        let (first, second) = (history(), history());
        for (number, (one, other)) in first.iter().zip(&second).enumerate() {
            let before = first[number.saturating_sub(20)..number].join("\n");
            assert_eq!(one, other, "seed {seed}, after\n{before}");
        }
        assert_eq!(first.len(), second.len());
    }
}
