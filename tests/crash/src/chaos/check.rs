//! Whether what was acknowledged, what ran, and what the broker says agree.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    fleet::Trouble,
    history::{Execution, History},
};

/// How long after a trouble its consequences may show: a lease, and the time until somebody sweeps and has a slot.
const AFTERMATH: Duration = Duration::from_secs(30);

/// How the library says that a server came back without something.
const LOSS: &str = "the server has lost";

/// Brokers count in milliseconds.
const TICK: Duration = Duration::from_millis(1);

/// What the check found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Acknowledged tasks without a result.
    pub(crate) lost: Vec<String>,
    /// Executions beyond the first of each task.
    pub(crate) repeated: u64,
    /// Those of them before which nothing had happened to whoever ran the task.
    pub(crate) unexplained: Vec<String>,
    /// Results that are not of the last execution, or that changed.
    pub(crate) stale: Vec<String>,
    /// What ran and was never enqueued.
    pub(crate) phantoms: Vec<String>,
    /// From each kill until what was running then ran again.
    pub(crate) recoveries: Vec<Duration>,
    /// Tasks that began before their time.
    pub(crate) early: Vec<String>,
    /// From the end of each task until a producer that waited for it had the result.
    pub(crate) waits: Vec<Duration>,
    /// The longest time in which nothing was acknowledged, of those that touch a trouble.
    pub(crate) write_gap: Option<Duration>,
    pub(crate) ticks: Ticks,
    /// From each trouble's end until a process told of a loss.
    pub(crate) reports: Vec<Duration>,
}

/// What became of the entries of schedulers, between the first and the last second that all of them saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    pub(crate) expected: u64,
    pub(crate) ran: u64,
    /// That ran more than once.
    pub(crate) doubled: u64,
    pub(crate) early: u64,
}

/// The result of each task by id, as the broker told it.
pub(crate) type Results = BTreeMap<String, u64>;

/// Compares. `first` was read when all had ended, `last` when every process had gone.
pub(crate) fn check(history: &History, troubles: &[Trouble], first: &Results, last: &Results) -> Verdict {
    let mut verdict = Verdict::default();
    let told: BTreeMap<&String, u64> =
        history.tried.iter().filter_map(|(number, id)| Some((id.as_ref()?, *number))).collect();
    verdict.lost = told.keys().filter(|id| !first.contains_key(**id)).map(|id| (*id).clone()).collect();
    let unknown: Vec<&String> = history.executions.keys().filter(|id| !told.contains_key(id)).collect();
    // Who was not acknowledged may have been accepted all the same.
    if unknown.len() > history.tried.len() - told.len() {
        verdict.phantoms = unknown.into_iter().cloned().collect();
    }
    for (id, executions) in &history.executions {
        for pair in executions.windows(2) {
            verdict.repeated += 1;
            if !is_explained(&pair[0], &pair[1], troubles) {
                verdict.unexplained.push(format!("{id}: {pair:?}"));
            }
        }
        let newest = executions.iter().map(|execution| execution.token).max();
        let (early, late) = (first.get(id).copied(), last.get(id).copied());
        // What has no result is lost, which is told above.
        let has_result = early.is_some() || late.is_some();
        if told.contains_key(id) && has_result && (early != newest || late != newest) {
            verdict.stale.push(format!("{id}: results {early:?} and {late:?}, executions {executions:?}"));
        }
    }
    verdict.recoveries = recoveries(history, troubles);
    verdict.early = early(history);
    verdict.waits = waits(history);
    verdict.write_gap = write_gap(history, troubles);
    verdict.ticks = ticks(history);
    verdict.reports = reports(history, troubles);
    verdict
}

/// Whether something had happened to whoever ran it first, or to all, before the second execution began; or to whoever ran
/// it then: a process that was stopped between its claim and its body begins late what has run elsewhere.
fn is_explained(first: &Execution, second: &Execution, troubles: &[Trouble]) -> bool {
    troubles.iter().any(|trouble| {
        let concerns = trouble.process.is_none_or(|process| [first.process, second.process].contains(&process));
        concerns && trouble.from <= second.at && trouble.until.saturating_add(AFTERMATH) >= first.at
    })
}

fn recoveries(history: &History, troubles: &[Trouble]) -> Vec<Duration> {
    let mut recoveries = Vec::new();
    for kill in troubles.iter().filter(|trouble| trouble.is_kill) {
        for executions in history.executions.values() {
            for pair in executions.windows(2) {
                let was_running =
                    Some(pair[0].process) == kill.process && pair[0].ended.is_none() && pair[0].at <= kill.from;
                if was_running && pair[1].at > kill.from {
                    recoveries.push(pair[1].at - kill.from);
                }
            }
        }
    }
    recoveries
}

/// By the monotonic clock, on which a delay began when its enqueueing did or later.
fn early(history: &History) -> Vec<String> {
    let mut early = Vec::new();
    for (number, id) in &history.tried {
        let (Some(id), Some((tried, delay))) = (id, history.due.get(number)) else { continue };
        let first = history.executions.get(id).and_then(|executions| executions.first());
        if let Some(first) = first.filter(|first| first.at + TICK < *tried + *delay) {
            early.push(format!("{id}: due {:?} after it was enqueued, begun after {:?}", delay, first.at - *tried));
        }
    }
    early
}

fn waits(history: &History) -> Vec<Duration> {
    let waited = history.waited.iter();
    let ended = |id: &String| history.executions.get(id)?.iter().filter_map(|execution| execution.ended).max();
    waited.filter_map(|(id, at)| Some(at.saturating_sub(ended(id)?))).collect()
}

fn write_gap(history: &History, troubles: &[Trouble]) -> Option<Duration> {
    let touches = |pair: &&[Duration]| {
        troubles.iter().any(|trouble| trouble.process.is_none() && trouble.from <= pair[1] && trouble.until >= pair[0])
    };
    history.told_at.windows(2).filter(touches).map(|pair| pair[1] - pair[0]).max()
}

fn ticks(history: &History) -> Ticks {
    let mut entries: BTreeMap<&str, BTreeMap<i64, u64>> = BTreeMap::new();
    for (id, _) in &history.ticks {
        let Some((entry, millis)) = id.rsplit_once('@') else { continue };
        let second = millis.parse::<i64>().unwrap_or_default() / 1_000;
        *entries.entry(entry).or_default().entry(second).or_default() += 1;
    }
    let first = entries.values().filter_map(|seconds| seconds.keys().next()).max();
    let last = entries.values().filter_map(|seconds| seconds.keys().next_back()).min();
    let (Some(first), Some(last)) = (first, last) else { return Ticks::default() };
    let ran = entries.values().flat_map(|seconds| seconds.range(first..=last));
    Ticks {
        expected: (last - first + 1).unsigned_abs() * entries.len() as u64,
        ran: ran.clone().count() as u64,
        doubled: ran.filter(|(_, times)| **times > 1).count() as u64,
        // The wall clock of the machine is that of the broker here.
        early: history.ticks.iter().filter(|(_, late_millis)| *late_millis < 0).count() as u64,
    }
}

fn reports(history: &History, troubles: &[Trouble]) -> Vec<Duration> {
    let mut losses: Vec<Duration> =
        history.complaints.iter().filter(|(_, text)| text.contains(LOSS)).map(|(at, _)| *at).collect();
    losses.sort_unstable();
    let troubles: Vec<&Trouble> = troubles.iter().filter(|trouble| trouble.process.is_none()).collect();
    let mut reports = Vec::new();
    for (index, trouble) in troubles.iter().enumerate() {
        let next = troubles.get(index + 1).map_or(Duration::MAX, |next| next.from);
        let first = losses.iter().find(|at| (trouble.from..next).contains(*at));
        reports.extend(first.map(|at| at.saturating_sub(trouble.until)));
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn execution(at: u64, token: u64, process: u32) -> Execution {
        Execution { at: second(at), token, process, ended: (process != 1).then(|| second(at + 1)) }
    }

    fn history(executions: Vec<Execution>) -> History {
        let mut history = History::default();
        history.tried.insert(1, Some("q/a".to_owned()));
        history.executions.insert("q/a".to_owned(), executions);
        history
    }

    fn kill(process: u32, from: u64) -> Trouble {
        Trouble { process: Some(process), from: second(from), until: Duration::MAX, is_kill: true }
    }

    #[test]
    fn a_repetition_after_a_kill_is_explained_and_timed_and_one_without_is_not() {
        let history = history(vec![execution(10, 3, 1), execution(16, 8, 2)]);
        let results = Results::from([("q/a".to_owned(), 8)]);
        let verdict = check(&history, &[kill(1, 11)], &results, &results);
        assert_eq!((verdict.repeated, verdict.unexplained.len(), verdict.stale.len()), (1, 0, 0));
        assert_eq!(verdict.recoveries, [second(5)]);
        // A process that had nothing to do with it, and a kill that came later, explain nothing.
        for kill in [kill(3, 11), kill(1, 17)] {
            let verdict = check(&history, &[kill], &results, &results);
            assert_eq!((verdict.unexplained.len(), verdict.recoveries.len()), (1, 0));
        }
    }

    #[test]
    fn a_result_of_an_older_execution_and_one_that_changes_are_stale() {
        let history = history(vec![execution(10, 3, 1), execution(16, 8, 2)]);
        let (old, new) = (Results::from([("q/a".to_owned(), 3)]), Results::from([("q/a".to_owned(), 8)]));
        for (first, last) in [(&old, &old), (&new, &old), (&old, &new)] {
            assert_eq!(check(&history, &[kill(1, 11)], first, last).stale.len(), 1);
        }
    }

    #[test]
    fn what_was_told_and_has_no_result_is_lost_and_what_nobody_enqueued_is_a_phantom() {
        let mut history = history(Vec::new());
        history.executions.insert("q/b".to_owned(), vec![execution(1, 1, 2)]);
        let verdict = check(&history, &[], &Results::new(), &Results::new());
        assert_eq!((verdict.lost.len(), verdict.phantoms.len()), (1, 1));
        // One that was tried and not told may be it.
        history.tried.insert(2, None);
        assert!(check(&history, &[], &Results::new(), &Results::new()).phantoms.is_empty());
    }

    #[test]
    fn what_begins_before_its_time_and_what_is_waited_for_are_seen() {
        let mut history = history(vec![execution(10, 3, 2)]);
        history.due.insert(1, (second(9), Duration::from_millis(1_500)));
        history.waited.insert("q/a".to_owned(), Duration::from_millis(11_250));
        let results = Results::from([("q/a".to_owned(), 3)]);
        let verdict = check(&history, &[], &results, &results);
        assert_eq!((verdict.early.len(), verdict.waits), (1, vec![Duration::from_millis(250)]));
        history.due.insert(1, (second(9), second(1)));
        assert!(check(&history, &[], &results, &results).early.is_empty());
    }

    #[test]
    fn a_gap_counts_if_it_touches_a_trouble_and_a_report_from_its_end_on() {
        let mut history = history(Vec::new());
        history.told_at = [1, 2, 5, 6, 20].map(second).to_vec();
        history.complaints.push((second(5), "the server has lost its last moments".to_owned()));
        let trouble = Trouble { process: None, from: second(3), until: second(4), is_kill: false };
        let verdict = check(&history, &[trouble], &Results::new(), &Results::new());
        assert_eq!((verdict.write_gap, verdict.reports), (Some(second(3)), vec![second(1)]));
    }

    #[test]
    fn missing_doubled_and_early_ticks_are_counted_between_the_seconds_that_all_entries_saw() {
        let mut history = History::default();
        let mut ran =
            |entry: &str, second: i64, late: i64| history.ticks.push((format!("q/{entry}@{second}000"), late));
        (5..=9).for_each(|second| ran("a", second, 3));
        [6, 8, 8, 10].into_iter().for_each(|second| ran("b", second, -2));
        let ticks = ticks(&history);
        assert_eq!(ticks, Ticks { expected: 8, ran: 6, doubled: 1, early: 4 });
    }
}
