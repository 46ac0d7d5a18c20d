//! [`Pulse`]: what one look at the broker saw, shared by all pages and browsers.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use taskq_core::{
    Connection, Counts, Incumbent, MemberId, QueueName, QueueView, Result, TaskId, Timestamp, fleet::MemberKind,
};

use crate::roll;

use super::{
    chart::{Chart, History, Point},
    facts::{Facts, gather_among},
    limits,
    member::MemberRow,
    rates::{Flow, Rates},
    status::{StatusBoard, StatusRow},
};

/// What a look saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse {
    /// Which look it was, counted from one: zero is what is known before the first.
    pub(super) number: u64,
    /// When it was begun, in this process's own time.
    pub(super) began: Duration,
    /// The broker's time.
    pub(super) now: Timestamp,
    pub(super) queues: Vec<QueueRow>,
    /// Queues beyond [`limits::QUEUES`], which were not counted.
    pub(super) uncounted: Vec<QueueName>,
    pub(super) members: Vec<MemberRow>,
    pub(super) leader: Option<Incumbent>,
    pub(super) status: Option<Arc<Vec<StatusRow>>>,
    pub(super) total: Counts,
    pub(super) flow: Flow,
    pub(super) charts: Vec<Chart>,
    /// The tasks that somebody watches.
    pub(super) tasks: HashMap<TaskId, Arc<Facts>>,
    /// Why the broker could not be asked. The rest is what was seen before.
    pub(super) trouble: Option<String>,
}

/// A queue.
#[derive(Clone, Debug)]
pub(super) struct QueueRow {
    pub(super) name: QueueName,
    pub(super) view: QueueView,
    pub(super) flow: Flow,
}

impl Pulse {
    pub(super) fn queue(&self, name: &QueueName) -> Option<&QueueRow> {
        self.queues.iter().find(|row| row.name == *name)
    }

    pub(super) fn member(&self, id: MemberId) -> Option<&MemberRow> {
        self.members.iter().find(|row| row.id == id)
    }

    pub(super) fn workers(&self) -> usize {
        self.members.iter().filter(|row| row.is(MemberKind::Worker)).count()
    }

    pub(super) fn paused(&self) -> usize {
        self.queues.iter().filter(|row| row.view.paused_at.is_some()).count()
    }

    /// Who leads, if it reports too.
    pub(super) fn leading(&self) -> Option<&MemberRow> {
        self.member(MemberId::from(self.leader.as_ref()?.candidate))
    }

    /// Every queue's name.
    pub(super) fn names(&self) -> impl Iterator<Item = &QueueName> {
        self.queues.iter().map(|row| &row.name).chain(&self.uncounted)
    }

    /// What of health is not as it should be.
    pub(super) fn complaints(&self) -> usize {
        let rows = self.status.iter().flat_map(|rows| rows.iter());
        rows.filter(|row| !row.is_paused && row.health != super::status::Health::Healthy).count()
    }
}

/// Looks at a broker, and remembers what it takes to tell rates.
#[derive(Debug, Default)]
pub(super) struct Looker {
    rates: Rates,
    history: History,
    status: Option<Arc<Vec<StatusRow>>>,
    status_at: Option<Duration>,
}

impl Looker {
    /// One look: bounded calls, each of them bounded, at most a few at once.
    pub(super) async fn look(
        &mut self,
        connection: &Connection,
        board: Option<&Arc<dyn StatusBoard>>,
        watched: Vec<TaskId>,
    ) -> Result<Pulse> {
        let clock = connection.clock();
        let now = connection.broker().now().await?;
        let mut names = connection.inspect().queues().await?;
        names.sort();
        let uncounted = names.split_off(names.len().min(limits::QUEUES));
        let views: Vec<(QueueName, QueueView)> =
            stream::iter(names)
                .map(|name| async move {
                    Ok::<_, taskq_core::Error>((name.clone(), connection.inspect().queue(&name).await?))
                })
                .buffered(limits::CALLS_AT_ONCE)
                .try_collect()
                .await?;
        let mut roll = roll::call(connection).await?;
        roll.truncate(limits::MEMBERS);
        // They are many and long; only the answers about single tasks need them whole.
        let whole = if watched.is_empty() { Vec::new() } else { roll.clone() };
        let (mut members, figures): (Vec<_>, Vec<_>) = roll.into_iter().map(MemberRow::read).unzip();
        let leader = connection.leader().incumbent().await?;
        for (member, figures) in members.iter().zip(figures) {
            if let Some(figures) = figures {
                self.rates.note(member.id, member.seen_at, figures);
            }
        }
        self.rates.keep(&members.iter().map(|member| member.id).collect::<HashSet<_>>());
        let mut flows = self.rates.at(now);
        members.iter_mut().for_each(|member| member.flow = flows.members.remove(&member.id));
        let mut flows = flows.queues;
        let queues: Vec<_> = views.into_iter().map(|(name, view)| row(name, view, &mut flows)).collect();
        let total = total(&queues);
        let mut flow = Flow::default();
        queues.iter().for_each(|row| flow.add(&row.flow));
        flows.values().for_each(|rest| flow.add(rest));
        self.history.note(now, point(&total, &flow));
        let mut tasks = HashMap::new();
        for id in watched {
            if let Some(facts) = gather_among(connection, &id, &whole).await? {
                tasks.insert(id, Arc::new(facts));
            }
        }
        let due = self.status_at.is_none_or(|at| clock.monotonic().saturating_sub(at) >= limits::SLOW_LOOK);
        if let (Some(board), true) = (board, due) {
            let mut rows = board.rows().await?;
            rows.sort_by(|one, other| one.health.cmp(&other.health).then_with(|| one.name.cmp(&other.name)));
            rows.truncate(limits::HEALTH_ROWS);
            (self.status, self.status_at) = (Some(Arc::new(rows)), Some(clock.monotonic()));
        }
        let history = &self.history;
        Ok(Pulse {
            // The hub counts looks and knows when each began.
            number: 0,
            began: Duration::ZERO,
            now,
            queues,
            uncounted,
            members,
            leader,
            status: self.status.clone(),
            total,
            flow,
            charts: vec![history.throughput(), history.depth(), history.latency(), history.waiting()],
            tasks,
            trouble: None,
        })
    }
}

fn row(name: QueueName, view: QueueView, flows: &mut BTreeMap<QueueName, Flow>) -> QueueRow {
    let flow = flows.remove(&name).unwrap_or_default();
    QueueRow { name, view, flow }
}

fn total(queues: &[QueueRow]) -> Counts {
    queues.iter().fold(Counts::default(), |mut total, row| {
        let counts = &row.view.counts;
        total.ready += counts.ready;
        total.scheduled += counts.scheduled;
        total.retrying += counts.retrying;
        total.running += counts.running;
        total.dead += counts.dead;
        total
    })
}

fn point(total: &Counts, flow: &Flow) -> Point {
    let seconds = |length: Option<Duration>| length.map(|length| length.as_secs_f64());
    Point {
        ready: total.ready as f64,
        waiting: (total.scheduled + total.retrying) as f64,
        running: total.running as f64,
        succeeded: flow.succeeded,
        failed: flow.failed,
        run_median: seconds(flow.run.quantile(0.5)),
        run_slow: seconds(flow.run.quantile(0.95)),
        wait_slow: seconds(flow.wait.quantile(0.95)),
    }
}
