//! What taskq has to reach, beside what it reached in this run. For information: machines differ, and ratios less so.

use crate::{figure::Figure, results::Results, table::shown};

/// One thing to reach.
struct Target {
    what: &'static str,
    measure: Measure,
    bound: Bound,
}

/// How it is told from the figures.
enum Measure {
    /// A figure of taskq.
    Own(&'static str),
    /// A figure of taskq over another of its own.
    Over(&'static str, &'static str),
    /// A figure of taskq over one of the floor.
    OverFloor(&'static str, &'static str),
    /// How many times better a figure of taskq is than the best of the peers whose names contain this.
    OverPeers(&'static str, &'static str),
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// The targets, in the order of the issue.
fn targets() -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    use Measure::{Over, OverFloor, OverPeers, Own};
    let target = |what, measure, bound| Target { what, measure, bound };
    vec![
        target("drain / floor", OverFloor("drain", "drain"), AtLeast(0.6)),
        target("drain with results / floor", OverFloor("drain_results", "drain_results"), AtLeast(0.6)),
        target("enqueue_all untracked / floor", OverFloor("enqueue_all_untracked", "enqueue_all"), AtLeast(0.7)),
        target("enqueue_all tracked / floor", OverFloor("enqueue_all", "enqueue_all"), AtLeast(0.45)),
        target("awaited enqueue / PING", Own("enqueue_over_ping"), AtMost(1.2)),
        target("drain with results / best peer", OverPeers("drain_results", ""), AtLeast(4.0)),
        target("flow with results / best peer", OverPeers("flow_results", ""), AtLeast(4.0)),
        target("drain / apalis", OverPeers("drain", "apalis"), AtLeast(4.0)),
        target("flow / apalis", OverPeers("flow", "apalis"), AtLeast(4.0)),
        target("drain, tasks a second", Own("drain"), AtLeast(450_000.0)),
        target("drain with results, tasks a second", Own("drain_results"), AtLeast(280_000.0)),
        target("enqueue to start p50 / wake-up", OverFloor("start_p50_us", "wake_p50_us"), AtMost(2.2)),
        target("enqueue to start p99 / wake-up", OverFloor("start_p99_us", "wake_p99_us"), AtMost(4.0)),
        target("result in hand p50 / two hops", OverFloor("result_p50_us", "two_hop_p50_us"), AtMost(2.0)),
        target("idle, commands a second", Own("idle_commands"), AtMost(1.0)),
        target("idle, percent of a core", Own("idle_cpu_percent"), AtMost(0.2)),
        target("drain beside 64 idle / alone", Own("busy_beside_64_idle"), AtLeast(0.95)),
        target("bytes queued, tracked", Own("bytes_queued"), AtMost(200.0)),
        target("bytes queued, untracked", Own("bytes_queued_untracked"), AtMost(110.0)),
        target("bytes delayed", Own("bytes_delayed"), AtMost(260.0)),
        target("bytes finished", Own("bytes_finished"), AtMost(150.0)),
        target("Redis CPU at backlog 2 M / 1 k", Over("redis_us_backlog_2m", "redis_us_backlog_1k"), AtMost(1.1)),
        target("Redis CPU of 64 processes / 1", Over("redis_us_processes_64", "redis_us_processes_1"), AtMost(1.2)),
        target("100,000 due at once, seconds", Own("due_100k_s"), AtMost(1.0)),
        target("100,000 due at once, stall in ms", Own("due_100k_stall_ms"), AtMost(20.0)),
        target("1,000,000 purged, stall in ms", Own("purge_1m_stall_ms"), AtMost(20.0)),
        target("100,000 due at once, early", Own("due_early"), AtMost(0.0)),
        target("SQLite full: insert / River", OverPeers("sqlite_full_enqueue_all", "river"), AtLeast(2.0)),
        target("SQLite full: insert one / River", OverPeers("sqlite_full_enqueue_one", "river"), AtLeast(2.0)),
        target("SQLite full: drain / River", OverPeers("sqlite_full_drain", "river"), AtLeast(2.0)),
        target("SQLite normal: insert / apalis", OverPeers("sqlite_normal_enqueue_all", "apalis"), AtLeast(2.0)),
        target("SQLite normal: insert one / apalis", OverPeers("sqlite_normal_enqueue_one", "apalis"), AtLeast(2.0)),
        target("SQLite normal: drain / apalis", OverPeers("sqlite_normal_drain", "apalis"), AtLeast(2.0)),
        target(
            "SQLite full: start between processes p50, us",
            Own("sqlite_full_start_processes_p50_us"),
            AtMost(1_000.0),
        ),
    ]
}

/// Prints what was measured, and names what was not.
pub(crate) fn print(results: &Results) {
    println!("\ntargets{:41} {:>10} {:>10}", "", "reached", "wanted");
    let mut not_measured = Vec::new();
    for target in targets() {
        match target.measure.evaluate(results) {
            Some(reached) => println!("{}", target.line(reached)),
            None => not_measured.push(target.what),
        }
    }
    for line in ahead_of_peers(results) {
        println!("{line}");
    }
    if !not_measured.is_empty() {
        println!("not measured: {}", not_measured.join("; "));
    }
}

impl Target {
    fn line(&self, reached: f64) -> String {
        let (sign, wanted) = match self.bound {
            Bound::AtLeast(wanted) => (">=", wanted),
            Bound::AtMost(wanted) => ("<=", wanted),
        };
        let wanted = format!("{sign} {}", shown(wanted));
        let met = if self.bound.is_met(reached) { "met" } else { "missed" };
        format!("  {:46} {:>10} {wanted:>10}  {met}", self.what, shown(reached))
    }
}

impl Bound {
    fn is_met(self, reached: f64) -> bool {
        match self {
            Self::AtLeast(wanted) => reached >= wanted,
            Self::AtMost(wanted) => reached <= wanted,
        }
    }
}

impl Measure {
    fn evaluate(&self, results: &Results) -> Option<f64> {
        match *self {
            Self::Own(metric) => results.median("taskq", metric),
            Self::Over(metric, other) => Some(results.median("taskq", metric)? / results.median("taskq", other)?),
            Self::OverFloor(metric, floor) => Some(results.median("taskq", metric)? / results.median("floor", floor)?),
            Self::OverPeers(metric, name) => {
                let peers = peers(results).filter(|figure| figure.metric == metric && figure.system.contains(name));
                let ours = results.figure("taskq", metric)?;
                let times_better = |theirs: &Figure| match ours.more_is_better() {
                    true => ours.median() / theirs.median(),
                    false => theirs.median() / ours.median(),
                };
                peers.map(times_better).min_by(f64::total_cmp)
            }
        }
    }
}

fn peers(results: &Results) -> impl Iterator<Item = &Figure> {
    let is_peer = |figure: &&Figure| !matches!(figure.system.as_str(), "taskq" | "floor") && !figure.runs.is_empty();
    results.figures.iter().filter(is_peer)
}

/// One line for each peer: in how many of its rows taskq is ahead, and in which it is not.
fn ahead_of_peers(results: &Results) -> Vec<String> {
    let mut names: Vec<&str> = peers(results).map(|figure| figure.system.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let line = |name: &str| {
        let (mut rows, mut behind) = (0, Vec::new());
        for theirs in peers(results).filter(|figure| figure.system == name) {
            let Some(ours) = results.figure("taskq", &theirs.metric) else { continue };
            rows += 1;
            let ahead = match theirs.more_is_better() {
                true => ours.median() > theirs.median(),
                // Nobody can be ahead of nothing at all.
                false => ours.median() < theirs.median() || ours.median() == 0.0,
            };
            if !ahead {
                behind.push(theirs.metric.as_str());
            }
        }
        let met = if behind.is_empty() { "met" } else { "missed" };
        let reached = format!("{} of {rows}", rows - behind.len());
        let what = format!("ahead of {name}, rows");
        let line = format!("  {what:46} {reached:>10} {:>10}  {met}", "all");
        if behind.is_empty() { line } else { format!("{line}: behind in {}", behind.join(", ")) }
    };
    names.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{results::tests::results, selection::all_names};

    #[test]
    fn a_target_is_met_on_its_bound_and_missed_beyond() {
        assert!(Bound::AtLeast(0.6).is_met(0.6) && !Bound::AtLeast(0.6).is_met(0.59));
        assert!(Bound::AtMost(0.0).is_met(0.0) && !Bound::AtMost(20.0).is_met(20.1));
    }

    #[test]
    fn figures_are_compared_with_the_floor_and_with_the_best_of_the_peers() {
        let results = results(&[
            ("floor", "drain", "/s", 800.0),
            ("taskq", "drain", "/s", 400.0),
            ("apalis-redis", "drain", "/s", 100.0),
            ("chasquimq", "drain", "/s", 200.0),
            ("taskq", "enqueue_one", "us", 50.0),
            ("apalis-redis", "enqueue_one", "us", 100.0),
        ]);
        assert_eq!(Measure::OverFloor("drain", "drain").evaluate(&results), Some(0.5));
        assert_eq!(Measure::OverPeers("drain", "").evaluate(&results), Some(2.0));
        assert_eq!(Measure::OverPeers("drain", "apalis").evaluate(&results), Some(4.0));
        assert_eq!(Measure::OverPeers("enqueue_one", "").evaluate(&results), Some(2.0));
        assert_eq!(Measure::OverPeers("flow", "apalis").evaluate(&results), None);
    }

    #[test]
    fn a_row_in_which_a_peer_is_ahead_is_named() {
        let results = results(&[
            ("taskq", "drain", "/s", 400.0),
            ("taskq", "start_p50_us", "us", 400.0),
            ("peer", "drain", "/s", 100.0),
            ("peer", "start_p50_us", "us", 100.0),
            ("peer", "only_theirs", "us", 100.0),
        ]);
        let [line] = &ahead_of_peers(&results)[..] else { panic!("one peer") };
        assert!(line.contains("1 of 2") && line.ends_with("missed: behind in start_p50_us"), "{line}");
    }

    #[test]
    fn every_target_is_told_from_metrics_that_are_measured() {
        let known = all_names();
        for Target { what, measure, .. } in targets() {
            let names = match measure {
                Measure::Own(metric) | Measure::OverPeers(metric, _) => vec![metric],
                Measure::Over(metric, other) | Measure::OverFloor(metric, other) => vec![metric, other],
            };
            assert!(names.iter().all(|name| known.iter().any(|known| known == name)), "{what}: {names:?}");
        }
    }
}
