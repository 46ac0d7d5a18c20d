//! [`Rates`]: what workers do per second, from what they have counted so far.
//!
//! A worker reports totals. Two reports of one worker tell what it did in between, by the broker's clock, whenever they were
//! read and however many were missed.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use taskq_core::{
    Figures, MemberId, QueueName, Timestamp,
    figures::{Figure, Histogram, TaskFigures, Times},
};

use super::limits;

/// The newest figures of every worker.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<MemberId, VecDeque<(Timestamp, Figures)>>);

/// What happened in a queue, or in all, per second, and how long it took.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    pub(super) succeeded: f64,
    /// Attempts that failed, whatever became of their tasks.
    pub(super) failed: f64,
    pub(super) run: Histogram<Times>,
    pub(super) wait: Histogram<Times>,
}

impl Flow {
    pub(super) fn ended(&self) -> f64 {
        self.succeeded + self.failed
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.run.add_up(&other.run);
        self.wait.add_up(&other.wait);
    }

    fn of(since: &TaskFigures, over: Duration) -> Self {
        let seconds = over.as_secs_f64().max(0.001);
        Self {
            succeeded: since.succeeded as f64 / seconds,
            failed: (since.retried + since.dead) as f64 / seconds,
            run: since.run.clone(),
            wait: since.wait.clone(),
        }
    }
}

impl Rates {
    /// Takes note of what a worker had counted when its report came.
    pub(super) fn note(&mut self, member: MemberId, seen_at: Timestamp, figures: Figures) {
        let kept = self.0.entry(member).or_default();
        if kept.back().is_some_and(|(last, _)| *last >= seen_at) {
            return;
        }
        kept.push_back((seen_at, figures));
        let surplus = kept.len().saturating_sub(limits::KEPT_FIGURES);
        drop(kept.drain(..surplus));
    }

    /// Forgets whoever is there no more.
    pub(super) fn keep(&mut self, members: &HashSet<MemberId>) {
        self.0.retain(|member, _| members.contains(member));
    }

    /// What each queue and each worker does at present.
    pub(super) fn at(&self, now: Timestamp) -> Flows {
        let mut flows = Flows::default();
        for (member, kept) in &self.0 {
            let Some((figures, over)) = recent(kept, now) else { continue };
            let mut own = Flow::default();
            for (queue, figures) in &figures.queues {
                let flow = Flow::of(&figures.total(), over);
                own.add(&flow);
                flows.queues.entry(queue.clone()).or_default().add(&flow);
            }
            flows.members.insert(*member, own);
        }
        flows
    }
}

/// What happens at present.
#[derive(Clone, Debug, Default)]
pub(super) struct Flows {
    pub(super) queues: BTreeMap<QueueName, Flow>,
    pub(super) members: HashMap<MemberId, Flow>,
}

/// What was counted in the last seconds, and in how many of them. Who reports no more does nothing.
fn recent(kept: &VecDeque<(Timestamp, Figures)>, now: Timestamp) -> Option<(Figures, Duration)> {
    let (newest, figures) = kept.back()?;
    let window_began = Timestamp::from_millis(now.as_millis() - limits::RATE_WINDOW.as_millis() as i64);
    let before_window = kept.iter().rev().find(|(seen_at, _)| *seen_at <= window_began);
    let (began, earlier) = before_window.or_else(|| kept.front())?;
    // The next report is under way for up to half a second: until then the last one is as good as now.
    let is_fresh = now.since(*newest) < Duration::from_secs(1);
    let over = if is_fresh { newest.since(*began) } else { now.since(*began) };
    (!over.is_zero()).then(|| (figures.since(earlier), over))
}

#[cfg(test)]
mod tests {
    use taskq_core::WorkerId;

    use super::*;

    fn figures(succeeded: u64, retried: u64) -> Figures {
        let text = format!(
            r#"{{"queues":{{"mail":{{"tasks":{{"send":{{"succeeded":{succeeded},"retried":{retried}}}}}}}}}}}"#
        );
        Figures::decode(text.as_bytes()).expect("valid")
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(100_000 + millis)
    }

    #[test]
    fn a_rate_is_what_was_added_in_the_last_seconds_and_falls_to_nothing() {
        let (mut rates, worker) = (Rates::default(), MemberId::from(WorkerId::generate()));
        for report in 0..20 {
            rates.note(worker, at(report * 500), figures(report as u64 * 50, report as u64 * 5));
        }
        let flow = |rates: &Rates, now| {
            rates.at(now).queues.remove(&QueueName::new("mail").expect("valid")).unwrap_or_default()
        };
        let now = flow(&rates, at(9_600));
        assert!((now.succeeded - 100.0).abs() < 1.0 && (now.failed - 10.0).abs() < 1.0, "{now:?}");
        assert!(flow(&rates, at(11_500)).succeeded < 60.0, "it has stopped");
        assert_eq!(flow(&rates, at(14_000)).ended(), 0.0);
        rates.keep(&HashSet::new());
        assert!(rates.at(at(9_600)).queues.is_empty());
    }

    #[test]
    fn one_report_tells_no_rate_yet() {
        let (mut rates, worker) = (Rates::default(), MemberId::from(WorkerId::generate()));
        rates.note(worker, at(0), figures(1_000_000, 0));
        assert!(rates.at(at(100)).queues.is_empty(), "those may be of yesterday");
        rates.note(worker, at(500), figures(1_000_010, 0));
        let flow = rates.at(at(600)).members.remove(&worker).expect("two reports");
        assert!((flow.succeeded - 20.0).abs() < 0.1, "{flow:?}");
    }
}
