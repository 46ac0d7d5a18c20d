//! [`Pulse`]: what one look at the broker saw, shared by all pages and browsers.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use taskq_core::{Connection, Counts, Incumbent, MemberId, QueueName, QueueView, Result, Timestamp, fleet::MemberKind};

use crate::roll::{self, Listed};

use super::{
    chart::{Chart, History, Point},
    journal::{Journal, Newest},
    limits,
    member::MemberRow,
    rates::{Flow, Rates},
    status::{StatusBoard, StatusRow},
    subject::{Known, Reading, Readings, Source, Subject},
    timetable::Timetable,
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
    /// Queues that cannot be read, and why.
    pub(super) unreadable: Vec<(QueueName, String)>,
    /// Queues beyond [`limits::QUEUES`], which were not counted.
    pub(super) uncounted: Vec<QueueName>,
    pub(super) members: Vec<MemberRow>,
    pub(super) leader: Option<Incumbent>,
    pub(super) status: Option<Arc<Vec<StatusRow>>>,
    pub(super) total: Counts,
    pub(super) flow: Flow,
    pub(super) charts: Vec<Chart>,
    /// What somebody watches, as far as it was read.
    pub(super) readings: Vec<(Subject, Reading)>,
    /// The newest events, if somebody watches them.
    pub(super) events: Option<Arc<Newest>>,
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

    /// What people call whoever leads.
    pub(super) fn leaders_name(&self) -> Option<String> {
        let candidate = self.leader.as_ref()?.candidate;
        Some(self.leading().map_or_else(|| format!("{:.8}", candidate.to_string()), MemberRow::name))
    }

    /// Who leads, if it reports too.
    fn leading(&self) -> Option<&MemberRow> {
        self.member(MemberId::from(self.leader.as_ref()?.candidate))
    }

    /// Every queue's name. Those that can be read come first.
    pub(super) fn names(&self) -> impl Iterator<Item = &QueueName> {
        let unreadable = self.unreadable.iter().map(|(name, _)| name);
        self.queues.iter().map(|row| &row.name).chain(unreadable).chain(&self.uncounted)
    }

    /// The same for people to choose from, with the one that they have chosen, if it is none of these.
    pub(super) fn choices(&self, chosen: &str) -> Vec<String> {
        let mut names: Vec<_> = self.names().map(ToString::to_string).collect();
        if !chosen.is_empty() && !names.iter().any(|name| name == chosen) {
            names.push(chosen.to_owned());
        }
        names
    }

    /// What was read of a subject.
    pub(super) fn reading(&self, subject: &Subject) -> Option<&Reading> {
        self.readings.iter().find(|(known, _)| known == subject).map(|(_, reading)| reading)
    }

    /// What of health is not as it should be.
    pub(super) fn complaints(&self) -> usize {
        let rows = self.status.iter().flat_map(|rows| rows.iter());
        rows.filter(|row| !row.is_paused && row.health != super::status::Health::Healthy).count()
    }
}

/// What is looked at beside the broker, if this dashboard has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Boards {
    pub(super) status: Option<Arc<dyn StatusBoard>>,
    pub(super) timetable: Option<Arc<dyn Timetable>>,
}

/// Looks at a broker, and remembers what it takes to tell rates.
#[derive(Debug, Default)]
pub(super) struct Looker {
    rates: Rates,
    history: History,
    status: Option<Arc<Vec<StatusRow>>>,
    status_at: Option<Duration>,
    readings: Readings,
    journal: Journal,
    known: Known,
}

impl Looker {
    /// One look: bounded calls, each of them bounded, at most a few at once.
    pub(super) async fn look(
        &mut self,
        connection: &Connection,
        boards: &Boards,
        watched: &[Subject],
    ) -> Result<Pulse> {
        let now = connection.broker().now().await?;
        let mut names = connection.inspect().queues().await?;
        names.sort();
        let uncounted = names.split_off(names.len().min(limits::QUEUES));
        let (views, unreadable) = readable(views(connection, names).await)?;
        let roll = roll::call_first(connection, limits::MEMBERS).await?;
        let leader = connection.leader().incumbent().await?;
        let events = self.journal.look(&**connection.events(), watched.contains(&Subject::Events)).await?;
        self.readings.keep(watched);
        // Of the fleet only tasks are told more, and a large one is not copied for nothing.
        let known_roll = if self.readings.have_tasks() { roll.clone() } else { Vec::new() };
        self.known = Known { now, roll: known_roll, views: views.clone(), uncounted: uncounted.clone() };
        self.look_at_status(connection, boards.status.as_ref()).await?;
        let (members, mut flows) = self.members(roll, now);
        let queues: Vec<_> = views.into_iter().map(|(name, view)| row(name, view, &mut flows)).collect();
        let total = total(&queues);
        let mut flow = Flow::default();
        queues.iter().for_each(|row| flow.add(&row.flow));
        flows.values().for_each(|rest| flow.add(rest));
        self.history.note(now, point(&total, &flow));
        let history = &self.history;
        Ok(Pulse {
            // The hub counts looks and knows when each began.
            number: 0,
            began: Duration::ZERO,
            now,
            queues,
            unreadable,
            uncounted,
            members,
            leader,
            status: self.status.clone(),
            total,
            flow,
            charts: vec![history.throughput(), history.depth(), history.latency(), history.waiting()],
            readings: self.readings.known(),
            events,
            trouble: None,
        })
    }

    /// Reads what is watched, after a look: those who need none of it do not wait for it. None if there is nothing to read.
    pub(super) async fn read(
        &mut self,
        connection: &Connection,
        boards: &Boards,
    ) -> Result<Option<Vec<(Subject, Reading)>>> {
        if self.readings.are_none() {
            return Ok(None);
        }
        let source = Source { connection, timetable: boards.timetable.as_ref(), known: &self.known };
        self.readings.renew(&source).await?;
        Ok(Some(self.readings.known()))
    }

    /// Who is in the fleet and does what, and what happens in each queue.
    fn members(&mut self, roll: Vec<Listed>, now: Timestamp) -> (Vec<MemberRow>, BTreeMap<QueueName, Flow>) {
        let (mut members, figures): (Vec<_>, Vec<_>) = roll.into_iter().map(MemberRow::read).unzip();
        for (member, figures) in members.iter().zip(figures) {
            if let Some(figures) = figures {
                self.rates.note(member.id, member.seen_at, figures);
            }
        }
        self.rates.keep(&members.iter().map(|member| member.id).collect::<HashSet<_>>());
        let mut flows = self.rates.at(now);
        members.iter_mut().for_each(|member| member.flow = flows.members.remove(&member.id));
        (members, flows.queues)
    }

    /// Looks at health, if that is due: it changes slowly.
    async fn look_at_status(&mut self, connection: &Connection, board: Option<&Arc<dyn StatusBoard>>) -> Result<()> {
        let now = connection.clock().monotonic();
        let is_due = self.status_at.is_none_or(|at| now.saturating_sub(at) >= limits::SLOW_LOOK);
        if let (Some(board), true) = (board, is_due) {
            let mut rows = board.rows().await?;
            rows.sort_by(|one, other| one.health.cmp(&other.health).then_with(|| one.name.cmp(&other.name)));
            rows.truncate(limits::HEALTH_ROWS);
            (self.status, self.status_at) = (Some(Arc::new(rows)), Some(now));
        }
        Ok(())
    }
}

/// What each queue is like, or why that is not told.
async fn views(connection: &Connection, names: Vec<QueueName>) -> Vec<(QueueName, Result<QueueView>)> {
    let view = |name: QueueName| async move {
        let view = connection.inspect().queue(&name).await;
        (name, view)
    };
    stream::iter(names).map(view).buffered(limits::CALLS_AT_ONCE).collect().await
}

type Readable = (Vec<(QueueName, QueueView)>, Vec<(QueueName, String)>);

/// The queues that can be read, and why others cannot. Somebody else's key in the place of one of ours must not hide all
/// other queues; while the broker itself is away, there is no look at all.
fn readable(views: Vec<(QueueName, Result<QueueView>)>) -> Result<Readable> {
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for (name, view) in views {
        match view {
            Ok(view) => readable.push((name, view)),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => unreadable.push((name, error.to_string())),
        }
    }
    Ok((readable, unreadable))
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

#[cfg(test)]
mod tests {
    use taskq_core::{Error, ErrorKind};

    use super::*;

    fn seen(kind: ErrorKind) -> Result<Readable> {
        let name = |name| QueueName::new(name).expect("valid");
        let wrong = Error::new(kind, "look at", "b").because("WRONGTYPE");
        readable(vec![
            (name("a"), Ok(QueueView::default())),
            (name("b"), Err(wrong)),
            (name("c"), Ok(QueueView::default())),
        ])
    }

    #[test]
    fn a_queue_that_cannot_be_read_hides_no_other_and_a_broker_that_is_away_hides_all() {
        for kind in [ErrorKind::Internal, ErrorKind::Refused, ErrorKind::Layout] {
            let (readable, unreadable) = seen(kind).expect("two can be read");
            assert_eq!(readable.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
            assert!(unreadable[0].0.as_str() == "b" && unreadable[0].1.contains("WRONGTYPE"), "{unreadable:?}");
        }
        assert!(seen(ErrorKind::Unavailable).is_err());
    }
}
