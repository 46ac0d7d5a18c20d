//! Planted bugs, each of which the simulation has to find: a checker that finds nothing would look just like good news.

use taskq::testing::Promise;
use taskq_core::bug::{Bug, Planted};
use taskq_simulation_tests::{cluster, scenario, scenario_with_pauses};

/// A bug that is not found in so many seeds is not found.
const SEEDS: u64 = 300;

/// The first seed that finds the bug, and what it found.
fn find(bug: Bug) -> Option<(u64, Promise)> {
    (0..SEEDS).find_map(|seed| {
        let cluster = cluster(seed).bug(Planted::only(bug));
        let run = match bug {
            Bug::PauseForgotten => cluster.run(async |cluster| scenario_with_pauses(cluster, seed).await),
            _ => cluster.run(async |cluster| scenario(cluster, seed).await),
        };
        run.violations().first().map(|violation| (seed, violation.promise))
    })
}

#[test]
fn every_planted_bug_is_found() {
    let bugs = [
        Bug::OwnerNotChecked,
        Bug::TokenNotChecked,
        Bug::ResultBeforeCheck,
        Bug::ClaimNotCounted,
        Bug::ClaimNotAtomic,
        Bug::ReleaseSpendsAttempt,
        Bug::DueTaskLost,
        Bug::CancelForgotten,
        Bug::UniqueKeyKept,
        Bug::DoorbellLost,
        Bug::SweepTakesLiving,
        Bug::BeatByWallClock,
        Bug::SettlementNotRepeated,
        Bug::UnheardClaimForgotten,
        Bug::LateClaimAccepted,
        Bug::HeartbeatGivesUp,
        Bug::BatchIdNotKept,
        Bug::PauseForgotten,
    ];
    let mut missed = Vec::new();
    for bug in bugs {
        match find(bug) {
            Some((seed, promise)) => println!("{bug:?}: found by seed {seed} as {promise:?}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}
