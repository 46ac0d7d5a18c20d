//! Ticks while its scheduler leads: reads the entries, fires what is due, and reads again what has changed.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream};
use taskq_core::{
    Accepted, EntryId, Error, ErrorKind, FencingToken, FireTime, Fired, Mark, QueueName, Result, Schedules,
    StoredEntry, Tick, Timestamp, What, Written, client::tell_enqueued, limits, propagator,
};

use tokio::sync::watch;
use tracing::Span;

use crate::{
    Misfire, Overlap,
    book::{Book, Planned},
    declaration::Texts,
    elector::Leadership,
    overlap::Way,
    shared::{Phase, Shared},
};

/// A write to an entry under way: whether it counted, or nothing if it was not sent.
type Write = BoxFuture<'static, (EntryId, Result<Option<Written>>)>;

/// The loop: wait until elected, lead, and wait again.
pub(crate) async fn run(shared: Arc<Shared>) {
    while let Some(token) = elected(&shared).await {
        Tenure::new(&shared, token).run().await;
    }
}

/// The token of the next leadership; `None` when the scheduler drains.
async fn elected(shared: &Shared) -> Option<FencingToken> {
    let mut leaderships = shared.leadership.subscribe();
    let is_new = |leadership: &Option<Leadership>| leadership.is_some_and(|leadership| shared.trusts(&leadership));
    tokio::select! {
        biased;
        () = shared.reached(Phase::Draining) => None,
        // The sender lives as long as self.
        leadership = leaderships.wait_for(is_new) => leadership.ok().and_then(|leadership| Some(leadership.as_ref()?.token)),
    }
}

/// One leadership.
struct Tenure<'a> {
    shared: &'a Arc<Shared>,
    token: FencingToken,
    file: watch::Receiver<Option<Arc<Texts>>>,
    book: Book,
    look_at: Duration,
}

/// Why a round ended early.
enum Stop {
    /// Another one leads, or the term could not be renewed, or the scheduler drains.
    Over,
    /// The broker is in trouble; the round is repeated.
    Trouble(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Trouble(error)
    }
}

/// Ticks of one queue that are fired in one step.
struct Batch {
    queue: QueueName,
    ticks: Vec<Tick>,
    /// One for each tick, which ends with its answer.
    spans: Vec<Span>,
}

impl<'a> Tenure<'a> {
    fn new(shared: &'a Arc<Shared>, token: FencingToken) -> Self {
        let mut file = shared.declaration.changes();
        // What it has is to be declared too.
        file.mark_changed();
        Self { shared, token, file, book: Book::default(), look_at: Duration::ZERO }
    }

    async fn run(mut self) {
        let mut pauses = self.shared.pauses();
        loop {
            match self.round().await {
                Ok(()) => {
                    pauses.reset();
                    if !self.rest().await {
                        return;
                    }
                }
                Err(Stop::Over) => return,
                Err(Stop::Trouble(error)) => {
                    self.shared.broker_trouble("tick", &error);
                    pauses.pause().await;
                }
            }
        }
    }

    /// Looks for changes if it is time to, then fires what is due.
    async fn round(&mut self) -> Result<(), Stop> {
        self.now()?;
        // The sender lives as long as self.
        let has_changed = self.file.has_changed().unwrap_or(false);
        if has_changed || self.shared.clock.monotonic() >= self.look_at {
            let looked_at = self.shared.clock.monotonic();
            self.read_changes().await?;
            if has_changed {
                self.declare_or_again().await?;
            }
            self.look_at = looked_at + limits::ENTRY_LOOK;
        }
        self.fire_due().await
    }

    /// Sleeps until something is due or a look is. False if the leadership is over.
    async fn rest(&mut self) -> bool {
        let Ok(now) = self.now() else { return false };
        let until_look = self.look_at.saturating_sub(self.shared.clock.monotonic());
        let until_due = self.book.next_at().map(|at| at.since(now));
        let pause = until_due.map_or(until_look, |until_due| until_due.min(until_look));
        if pause.is_zero() {
            return true;
        }
        let mut leaderships = self.shared.leadership.subscribe();
        tokio::select! {
            biased;
            () = self.shared.reached(Phase::Draining) => false,
            // Renewed, and with it the broker's time; or over. The sender lives as long as self.
            _changed = leaderships.changed() => true,
            _changed = self.file.changed() => {
                self.file.mark_changed();
                true
            }
            () = self.shared.clock.sleep(pause) => true,
        }
    }

    /// The broker's time, while this is the leader.
    fn now(&self) -> Result<Timestamp, Stop> {
        self.shared.now_as(self.token).ok_or(Stop::Over)
    }

    fn schedules(&self) -> &dyn Schedules {
        &**self.shared.connection.schedules()
    }

    // Reading ----------------------------------------------------------------------------------------------

    async fn read_changes(&mut self) -> Result<(), Stop> {
        let marks = bounded(self.shared, "list the entries of", self.schedules().marks()).await?;
        for (queue, mark) in marks {
            if !self.book.is_known(&queue, mark) {
                self.read(&queue, mark).await?;
            }
        }
        Ok(())
    }

    async fn read(&mut self, queue: &QueueName, mark: Mark) -> Result<(), Stop> {
        let mut entries: Vec<StoredEntry> = Vec::new();
        loop {
            self.now()?;
            let after = entries.last().map(|entry| &entry.id.name);
            let page = self.schedules().entries(queue, after, limits::MAX_PAGE);
            let page = bounded(self.shared, "list entries of", page).await?;
            if page.is_empty() {
                break;
            }
            entries.extend(page);
        }
        self.book.read(&self.shared.connection, queue, mark, entries);
        Ok(())
    }

    /// Brings the entries of program and file to the broker, and takes away those that they no longer have. Removals come
    /// first, so that an entry can move from the one to the other.
    async fn declare(&mut self) -> Result<(), Stop> {
        let file = self.file.borrow_and_update().clone();
        let changes = self.shared.declaration.against(&self.book, file.as_deref(), self.token);
        if changes.is_empty() {
            return Ok(());
        }
        let removals = changes.removals.into_iter().map(|(author, id)| {
            self.write(id, move |schedules, id| Box::pin(async move { schedules.remove(author, &id).await }))
        });
        self.write_all(removals.collect()).await?;
        let puts = changes.puts.into_iter().map(|(author, id, text)| {
            self.write(id, move |schedules, id| Box::pin(async move { schedules.put(author, &id, &text).await }))
        });
        self.write_all(puts.collect()).await?;
        self.read_changes().await
    }

    /// What could not be declared is declared in the next round.
    async fn declare_or_again(&mut self) -> Result<(), Stop> {
        let declared = self.declare().await;
        if declared.is_err() {
            self.file.mark_changed();
        }
        declared
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<(), Stop> {
        let mut writes = stream::iter(writes).buffered(limits::FIRE_IN_FLIGHT * 4);
        while let Some((id, written)) = writes.next().await {
            self.heed(&id, written?.ok_or(Stop::Over)?)?;
        }
        Ok(())
    }

    /// A write to an entry, which is not sent any more when this is no longer the leader.
    fn write(
        &self,
        id: EntryId,
        call: impl FnOnce(Arc<dyn Schedules>, EntryId) -> BoxFuture<'static, Result<Written>> + Send + 'static,
    ) -> Write {
        let (shared, token) = (Arc::clone(self.shared), self.token);
        Box::pin(async move {
            if shared.now_as(token).is_none() {
                return (id, Ok(None));
            }
            let call = call(Arc::clone(shared.connection.schedules()), id.clone());
            let written = bounded(&shared, "write entry", call).await;
            (id, written.map(Some))
        })
    }

    fn heed(&self, id: &EntryId, written: Written) -> Result<(), Stop> {
        match written {
            Written::Applied => Ok(()),
            Written::Foreign(origin) => {
                tracing::error!(entry = %id, ?origin, "an entry of this name exists from elsewhere and is left alone");
                Ok(())
            }
            Written::Fenced => Err(self.fenced()),
        }
    }

    fn fenced(&self) -> Stop {
        self.shared.refuse(self.token);
        Stop::Over
    }

    // Firing -----------------------------------------------------------------------------------------------

    async fn fire_due(&mut self) -> Result<(), Stop> {
        let due = self.book.take_due(self.now()?, limits::ROUND);
        let outcome = self.fire_all(&due).await;
        if outcome.is_err() {
            // What was not dealt with is due again.
            due.iter().for_each(|id| self.book.plan(id));
        }
        outcome
    }

    async fn fire_all(&mut self, due: &[EntryId]) -> Result<(), Stop> {
        let ticks = self.ticks(due).await?;
        let steps: Vec<_> = batches(ticks).into_iter().map(|batch| self.step(batch)).collect();
        let mut steps = stream::iter(steps).buffered(limits::FIRE_IN_FLIGHT);
        let mut outcome = Ok(());
        while let Some((batch, fired)) = steps.next().await {
            match fired {
                Ok(Some(fired)) => {
                    for (tick, fired) in batch.ticks.iter().zip(fired) {
                        if let Err(stop) = self.heed_fired(&batch.queue, tick, fired) {
                            outcome = Err(stop);
                        }
                    }
                }
                Ok(None) => outcome = Err(Stop::Over),
                Err(error) => {
                    let connection = &self.shared.connection;
                    batch.spans.iter().for_each(|span| propagator::call_failed(connection, span, &error));
                    let again = |tick: &Tick| EntryId { queue: batch.queue.clone(), name: tick.name.clone() };
                    batch.ticks.iter().for_each(|tick| self.book.plan(&again(tick)));
                    if outcome.is_ok() {
                        outcome = Err(Stop::Trouble(error));
                    }
                }
            }
        }
        outcome
    }

    /// One step. It is not sent any more when trust has run out while others were under way.
    fn step(&self, batch: Batch) -> BoxFuture<'static, (Batch, Result<Option<Vec<Fired>>>)> {
        let (shared, token) = (Arc::clone(self.shared), self.token);
        Box::pin(async move {
            if shared.now_as(token).is_none() {
                return (batch, Ok(None));
            }
            let fire = shared.connection.schedules().fire(token, &batch.queue, &batch.ticks);
            let fired = bounded(&shared, "fire in", fire).await;
            (batch, fired.map(Some))
        })
    }

    /// What each due entry fires now. What has to wait is put off.
    async fn ticks(&mut self, due: &[EntryId]) -> Result<Vec<(EntryId, Tick, Span)>, Stop> {
        let now = self.now()?;
        let looks: Vec<_> = due.iter().filter_map(|id| self.look(id)).collect();
        let mut looks = stream::iter(looks).buffered(limits::FIRE_IN_FLIGHT * 4);
        let mut ticks = Vec::new();
        while let Some((id, way)) = looks.next().await {
            match (way?, self.book.get(&id)) {
                (_, None) => {}
                (Way::Wait, Some(_)) => self.book.wait_until(&id, now + limits::OVERLAP_LOOK),
                (way, Some(planned)) => match self.tick(&id, planned, way, now) {
                    Ok(Some((tick, span))) => ticks.push((id, tick, span)),
                    Ok(None) => self.book.plan(&id),
                    Err(error) => {
                        tracing::error!(entry = %id, %error, "a task cannot be made; its tick waits");
                        self.book.put_off(&id, now + limits::OVERLAP_LOOK);
                    }
                },
            }
        }
        Ok(ticks)
    }

    /// Looks whether the last run of an entry is in the way of its next tick.
    fn look(&self, id: &EntryId) -> Option<BoxFuture<'static, (EntryId, Result<Way>)>> {
        let planned = self.book.get(id)?;
        let (id, overlap, last) = (id.clone(), planned.recipe.overlap, planned.last_fired);
        if overlap == Overlap::Allow {
            return Some(Box::pin(std::future::ready((id, Ok(Way::Free)))));
        }
        let shared = Arc::clone(self.shared);
        Some(Box::pin(async move {
            let way = overlap.way(&shared.connection, &id, last);
            let way = bounded(&shared, "look up the last run of", way).await;
            (id, way)
        }))
    }

    fn tick(&self, id: &EntryId, planned: &Planned, way: Way, now: Timestamp) -> Result<Option<(Tick, Span)>> {
        let recipe = &planned.recipe;
        // What waited for the last run is late for that reason, and not missed.
        let (misfire, grace) = match planned.is_waiting {
            true => (Misfire::Once, Duration::ZERO),
            false => (recipe.misfire, recipe.grace),
        };
        let most = limits::FIRE_BATCH;
        let Some(mut step) = misfire.step(&recipe.schedule, grace, planned.cursor, now, most) else { return Ok(None) };
        match (way, recipe.overlap) {
            (Way::Skip, _) => step.fire.clear(),
            (_, Overlap::Allow) => {}
            // Several at once would overlap with each other.
            (_, _) => drop(step.fire.drain(..step.fire.len().saturating_sub(1))),
        }
        let connection = &self.shared.connection;
        let span = match step.fire.is_empty() {
            // It only moves the cursor.
            true => Span::none(),
            false => propagator::tick(connection, &id.queue, id),
        };
        let task = |fire_time: &Timestamp| recipe.task(connection, id, *fire_time, &span);
        let envelopes = step.fire.iter().map(task).collect::<Result<Vec<_>>>()?;
        let (name, cursor, fire_time) = (id.name.clone(), planned.cursor, FireTime(step.to));
        Ok(Some((Tick { name, cursor, fire_time, envelopes }, span)))
    }

    fn heed_fired(&mut self, queue: &QueueName, tick: &Tick, fired: Fired) -> Result<(), Stop> {
        let id = EntryId { queue: queue.clone(), name: tick.name.clone() };
        let last = Some(tick.fire_time).filter(|_| !tick.envelopes.is_empty());
        match fired {
            Fired::Applied(accepted) => {
                self.count(&accepted);
                self.tell(queue, tick, &accepted);
                self.shared.counters.misfired.add(u64::from(self.is_misfire(&id, tick)));
                self.book.moved(&id, tick.fire_time.0, last);
            }
            // Its answer was lost.
            Fired::Moved(cursor) if cursor == tick.fire_time.0 => self.book.moved(&id, cursor, last),
            Fired::Moved(cursor) => {
                self.book.moved(&id, cursor, None);
                self.look_again(queue);
            }
            // The broker's clock was set back. The next renewal tells.
            Fired::Early => {
                tracing::warn!(entry = %id, "its tick is not due by the broker's clock; it waits");
                self.book.put_off(&id, tick.fire_time.0 + limits::RENEW);
            }
            Fired::Paused | Fired::Unknown => self.look_again(queue),
            Fired::Fenced => return Err(self.fenced()),
        }
        Ok(())
    }

    /// Tells of a tick and of its tasks, if anybody is to know.
    fn tell(&self, queue: &QueueName, tick: &Tick, accepted: &[Accepted]) {
        let Some(outlet) = self.shared.connection.outlet() else { return };
        tell_enqueued(&self.shared.connection, &tick.envelopes, accepted);
        let enqueued = accepted.iter().filter(is_new).count();
        let (queue, entry, fire_time) = (queue.clone(), tick.name.clone(), tick.fire_time.0);
        let what = What::Ticked { queue, entry, fire_time, enqueued: u32::try_from(enqueued).unwrap_or(u32::MAX) };
        outlet.tell_of_task(what);
    }

    /// Somebody else has changed the entries of a queue. They are read before anything else of it is fired.
    fn look_again(&mut self, queue: &QueueName) {
        self.book.doubt(queue);
        self.look_at = Duration::ZERO;
    }

    /// Whether the first tick of a step was late by more than its entry grants, as nobody led or the broker was away.
    fn is_misfire(&self, id: &EntryId, tick: &Tick) -> bool {
        let (Some(planned), Some(now)) = (self.book.get(id), self.shared.now_as(self.token)) else { return false };
        let first = planned.recipe.schedule.next_after(tick.cursor);
        // What waited for the last run is late for that reason.
        !planned.is_waiting && first.is_some_and(|first| now.since(first) > planned.recipe.grace)
    }

    fn count(&self, accepted: &[Accepted]) {
        let new = accepted.iter().filter(is_new).count();
        self.shared.counters.enqueued.add(new as u64);
        self.shared.counters.not_enqueued.add((accepted.len() - new) as u64);
        self.shared.counters.skipped.add(u64::from(accepted.is_empty()));
    }
}

fn is_new(accepted: &&Accepted) -> bool {
    matches!(accepted, Accepted::Created | Accepted::Replaced(_))
}

/// Ticks in steps that brokers take, those of one queue together.
fn batches(mut ticks: Vec<(EntryId, Tick, Span)>) -> Vec<Batch> {
    // Stable: what is due earlier stays before what is due later.
    ticks.sort_by(|(one, ..), (other, ..)| one.queue.cmp(&other.queue));
    let mut batches: Vec<Batch> = Vec::new();
    let (mut envelopes, mut bytes) = (0, 0);
    for (id, tick, span) in ticks {
        let (more, longer) = (tick.envelopes.len(), bytes_of(&tick));
        let fits = |batch: &&mut Batch| {
            batch.queue == id.queue
                && batch.ticks.len() < limits::FIRE_BATCH
                && envelopes + more <= limits::FIRE_BATCH
                && bytes + longer <= limits::FIRE_BYTES
        };
        match batches.last_mut().filter(fits) {
            Some(batch) => {
                batch.ticks.push(tick);
                batch.spans.push(span);
                (envelopes, bytes) = (envelopes + more, bytes + longer);
            }
            None => {
                batches.push(Batch { queue: id.queue, ticks: vec![tick], spans: vec![span] });
                (envelopes, bytes) = (more, longer);
            }
        }
    }
    batches
}

fn bytes_of(tick: &Tick) -> usize {
    tick.envelopes.iter().map(|envelope| envelope.payload.as_str().len()).sum()
}

/// A broker call that is given up after a term, to be asked again.
async fn bounded<V>(shared: &Shared, operation: &'static str, call: impl Future<Output = Result<V>>) -> Result<V> {
    let too_late = || Error::new(ErrorKind::DeadlineExceeded, operation, "");
    shared.clock.timeout(limits::FIRE_BOUND, call).await.map_err(|_| too_late())?
}
