//! [`Subject`]: what somebody watches beside the figures that everybody sees, and [`Readings`], which asks the broker for it.
//!
//! The promise: however many watch the same, it is read once a look; however many different things are watched, a look reads
//! a bounded part of them, and those that had no room come first in the next one.

use std::sync::Arc;

use taskq_core::{Connection, EntryId, QueueName, QueueView, Result, TaskId, Timestamp};

use super::{
    facts::{Facts, gather_among},
    limits,
    tasks::{Asked, Rows, read_rows},
    timetable::{Timetable, TimetableRow},
};
use crate::roll::Listed;

/// What somebody watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Task(TaskId),
    /// One beyond those that every look counts.
    Queue(QueueName),
    /// The first page of a list of tasks.
    List(Asked),
    /// The first page of the schedules.
    Schedules,
    Schedule(EntryId),
    /// The newest events, whatever somebody wants of them.
    Events,
}

/// What was seen of it.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    Task(Arc<Facts>),
    Queue(QueueView),
    List(Arc<Rows>),
    Schedules(Arc<Vec<TimetableRow>>),
    Schedule(Arc<TimetableRow>),
}

/// What was read of everything that somebody watches, for the next look to go on from.
#[derive(Debug, Default)]
pub(super) struct Readings(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    subject: Subject,
    /// In which look it was read; zero before the first.
    read_in: u64,
    reading: Option<Reading>,
}

/// Where things are read from, and what the look knows already.
pub(super) struct Source<'a> {
    pub(super) connection: &'a Connection,
    pub(super) timetable: Option<&'a Arc<dyn Timetable>>,
    pub(super) known: &'a Known,
}

/// What a look has seen that readings need.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) now: Timestamp,
    pub(super) roll: Vec<Listed>,
    pub(super) views: Vec<(QueueName, QueueView)>,
    pub(super) uncounted: Vec<QueueName>,
}

impl Readings {
    /// Reads what is watched, those first that have waited longest, until the look has done its part.
    ///
    /// What cannot be read by itself stays as it was: something else in its place must not end all streams. While the broker is
    /// away there is no look at all.
    pub(super) async fn renew(&mut self, source: &Source<'_>) -> Result<()> {
        // Stable: those that have waited equally long keep the order in which somebody began to watch them.
        self.0.sort_by_key(|kept| kept.read_in);
        let look = self.0.iter().map(|kept| kept.read_in).max().unwrap_or(0) + 1;
        let clock = source.connection.clock();
        let (began, mut looked) = (clock.monotonic(), 0);
        for kept in &mut self.0 {
            let took = clock.monotonic().saturating_sub(began);
            if looked >= limits::WATCHED_LOOK || took >= limits::WATCHED_TIME {
                break;
            }
            kept.read_in = look;
            match read(source, &kept.subject).await {
                Ok(None) => {}
                Ok(Some(reading)) => {
                    looked += cost(&reading);
                    kept.reading = Some(reading);
                }
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => tracing::debug!(subject = ?kept.subject, %error, "what somebody watches cannot be read"),
            }
        }
        Ok(())
    }

    /// Forgets what nobody watches any more, and takes up what somebody watches now.
    pub(super) fn keep(&mut self, watched: &[Subject]) {
        // Events are news to go on from, not to be read anew: the journal does that.
        let watched: Vec<_> = watched.iter().filter(|subject| **subject != Subject::Events).collect();
        self.0.retain(|kept| watched.contains(&&kept.subject));
        for subject in watched {
            if self.0.iter().all(|kept| kept.subject != *subject) {
                self.0.push(Kept { subject: subject.clone(), read_in: 0, reading: None });
            }
        }
    }

    /// Whether there is nothing to read.
    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn have_tasks(&self) -> bool {
        self.0.iter().any(|kept| matches!(kept.subject, Subject::Task(_)))
    }

    /// What is known of each.
    pub(super) fn known(&self) -> Vec<(Subject, Reading)> {
        let known = |kept: &Kept| Some((kept.subject.clone(), kept.reading.clone()?));
        self.0.iter().filter_map(known).collect()
    }
}

/// How much of what a look may read this was, in tasks: a list with a filter looks at many for a few that fit.
fn cost(reading: &Reading) -> u64 {
    match reading {
        Reading::List(rows) => rows.looked.max(1),
        _ => limits::WATCHED_CALLS,
    }
}

/// Asks for one of them; none if it is not there.
async fn read(source: &Source<'_>, subject: &Subject) -> Result<Option<Reading>> {
    let (connection, known) = (source.connection, source.known);
    match subject {
        Subject::Task(id) => {
            let facts = gather_among(connection, id, &known.roll, known.now).await?;
            Ok(facts.map(|facts| Reading::Task(Arc::new(facts))))
        }
        // Whatever the look has counted need not be asked for again.
        Subject::Queue(name) if known.uncounted.contains(name) => {
            Ok(Some(Reading::Queue(connection.inspect().queue(name).await?)))
        }
        Subject::Queue(_) | Subject::Events => Ok(None),
        Subject::List(asked) => {
            let queue = asked.queue_among(known.views.iter().map(|(name, view)| (name, &view.counts)));
            let rows = read_rows(&**connection.inspect(), asked, queue, None, known.now).await?;
            Ok(Some(Reading::List(Arc::new(rows))))
        }
        Subject::Schedules => {
            let Some(timetable) = source.timetable else { return Ok(None) };
            let rows = timetable.page(None, limits::PAGE_ROWS).await?;
            Ok(Some(Reading::Schedules(Arc::new(rows))))
        }
        Subject::Schedule(id) => {
            let Some(timetable) = source.timetable else { return Ok(None) };
            let row = timetable.find(id, limits::FIRE_TIMES).await?;
            Ok(row.map(|row| Reading::Schedule(Arc::new(row))))
        }
    }
}

#[cfg(test)]
mod tests {
    use taskq_core::{Clock, Invocation, Shelf, broker::memory};

    use super::{super::fields::Fields, *};

    fn list(queue: &str, text: &str) -> Subject {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let query = Fields::new(vec![field("queue", queue), field("text", text)]);
        Subject::List(Asked::of(&query, Shelf::Ready).expect("valid"))
    }

    async fn look(readings: &mut Readings, connection: &Connection, watched: &[Subject]) {
        let now = connection.clock().now();
        let known = Known { now, ..Known::default() };
        readings.keep(watched);
        readings.renew(&Source { connection, timetable: None, known: &known }).await.expect("read");
    }

    fn read_in(readings: &Readings) -> Vec<(&Subject, u64)> {
        readings.0.iter().map(|kept| (&kept.subject, kept.read_in)).collect()
    }

    #[tokio::test]
    async fn lists_that_look_at_much_take_turns_and_all_others_are_read_in_each_look() {
        let connection = memory::connect(Clock::system());
        let tasks = (0..limits::LOOK + 500)
            .map(|number| Invocation::named("send", &serde_json::json!({ "number": number })).queue("mail"));
        connection.client().enqueue_all(tasks).await.map_err(|_| ()).expect("enqueued");
        let mut readings = Readings::default();
        let dear: Vec<_> = (0..7).map(|number| list("mail", &format!("nothing has this {number}"))).collect();
        let mut seen = vec![0; dear.len()];
        for number in 1..=14u64 {
            look(&mut readings, &connection, &dear).await;
            let now: Vec<_> = read_in(&readings).into_iter().filter(|(_, read_in)| *read_in == number).collect();
            assert!((1..=2).contains(&now.len()), "{} are read in look {number}", now.len());
            for (subject, _) in now {
                seen[dear.iter().position(|other| other == subject).expect("watched")] += 1;
            }
        }
        assert!(seen.iter().all(|times| *times >= 2), "each has had its turns: {seen:?}");

        // Without a filter a list is a page, and all are read each time.
        let cheap: Vec<_> =
            (0..20).map(|number| list(&format!("queue{number}"), "")).chain([list("mail", "")]).collect();
        look(&mut readings, &connection, &cheap).await;
        assert_eq!(readings.known().len(), cheap.len(), "what nobody watches any more is forgotten");
    }
}
