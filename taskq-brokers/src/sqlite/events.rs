//! What happened: a row an event, by their number in the stream.
//!
//! A stream of which everything is too old is over: the next event begins another one. Only the newest is told, and what is
//! left of those before it goes with the next events that come.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use taskq_core::{Cursor, Event, EventPage, Events, Result, clock::Timestamp, events::check_batch, limits};

use super::{broker::SqliteBroker, failure::Failure, step::Step};

#[async_trait]
impl Events for SqliteBroker {
    async fn publish(&self, events: &[Event]) -> Result<()> {
        check_batch(events)?;
        if events.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = events.iter().map(Event::encode).collect();
        // News that a power loss takes with it are missed by nobody.
        self.write_relaxed("publish events of", self.namespace(), move |step| publish(step, &texts)).await
    }

    async fn read(&self, after: Option<Cursor>, count: usize) -> Result<EventPage> {
        let count = count.min(limits::MAX_PAGE);
        let events = self.look("read events of", self.namespace(), move |step| page(step, after, count)).await?;
        Ok(EventPage::new(after, events))
    }

    async fn last(&self) -> Result<Option<Cursor>> {
        self.look("read events of", self.namespace(), last).await
    }
}

fn publish(step: &Step<'_>, texts: &[String]) -> Result<(), Failure> {
    let namespace = step.namespace().as_str();
    let mut place = last(step)?.unwrap_or(Cursor { begun_at: step.now(), number: 0 });
    // in: namespace, begun, number, now, event
    let mut insert =
        step.sql("INSERT INTO taskq_events (namespace, begun, number, came, event) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for text in texts {
        place.number += 1;
        insert.execute(params![namespace, place.begun_at.as_millis(), number(place), step.millis(), text])?;
    }
    // Twice as many as came, so that old ones cannot pile up.
    let (begun, twice) = (place.begun_at.as_millis(), 2 * texts.len() as i64);
    // in: namespace, begun, latest time that is too old, count; drops the oldest if they are that old
    step.sql(
        "DELETE FROM taskq_events WHERE namespace = ?1 AND begun = ?2 AND number IN
         (SELECT number FROM taskq_events WHERE namespace = ?1 AND begun = ?2 ORDER BY number LIMIT ?4) AND came <= ?3",
    )?
    .execute(params![namespace, begun, too_old(step), twice])?;
    // in: namespace, begun, count; drops what is left of earlier streams
    step.sql(
        "DELETE FROM taskq_events WHERE (namespace, begun, number) IN
         (SELECT namespace, begun, number FROM taskq_events WHERE namespace = ?1 AND begun < ?2 LIMIT ?3)",
    )?
    .execute(params![namespace, begun, twice])?;
    // in: namespace, begun, latest number that is one too many
    step.sql("DELETE FROM taskq_events WHERE namespace = ?1 AND begun = ?2 AND number <= ?3")?.execute(params![
        namespace,
        begun,
        number(place) - limits::MAX_EVENTS as i64
    ])?;
    Ok(())
}

/// Events of the newest stream, behind a place that it has reached.
fn page(step: &Step<'_>, after: Option<Cursor>, count: usize) -> Result<Vec<(Cursor, Event)>, Failure> {
    let Some(last) = last(step)? else { return Ok(Vec::new()) };
    // An older stream is gone, and one that is newer than the newest is lost: it begins with the oldest that there is.
    let after = after.filter(|after| after.begun_at == last.begun_at && *after <= last);
    // in: namespace, begun, number, count; out: events behind it
    let mut statement = step.sql(
        "SELECT number, event FROM taskq_events WHERE namespace = ?1 AND begun = ?2 AND number > ?3
         ORDER BY number LIMIT ?4",
    )?;
    let (begun, after) = (last.begun_at.as_millis(), after.map_or(0, number));
    let rows = statement.query_map(params![step.namespace().as_str(), begun, after, count as i64], |row| {
        let place = Cursor { begun_at: last.begun_at, number: row.get::<_, i64>(0)?.unsigned_abs() };
        Ok((place, Event::decode(&row.get::<_, String>(1)?)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The place of the newest event, unless that is too old.
fn last(step: &Step<'_>) -> Result<Option<Cursor>, Failure> {
    // in: namespace; out: the newest event
    let found: Option<(i64, i64, i64)> = step
        .sql(
            "SELECT begun, number, came FROM taskq_events WHERE namespace = ?1 ORDER BY begun DESC, number DESC LIMIT 1",
        )?
        .query_row([step.namespace().as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let cursor = |(begun, number, _): (i64, i64, i64)| Cursor {
        begun_at: Timestamp::from_millis(begun),
        number: number.unsigned_abs(),
    };
    Ok(found.filter(|(_, _, came)| *came > too_old(step)).map(cursor))
}

/// What came then or before is forgotten.
fn too_old(step: &Step<'_>) -> i64 {
    step.millis().saturating_sub(limits::EVENT_TTL.as_millis() as i64)
}

fn number(place: Cursor) -> i64 {
    i64::try_from(place.number).unwrap_or(i64::MAX)
}
