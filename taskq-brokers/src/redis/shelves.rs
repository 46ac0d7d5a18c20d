//! Tasks as people look at them: page by page of a shelf, or one by its id. Each page is one script of bounded work.

use redis::Value;
use taskq_core::{
    PageToken, Progress, QueueName, Result, Shelf, Snapshot, State, TaskId, TaskKey, TaskPage, TaskView, Timestamp,
    id::Owner,
    invocation::Expiry,
    limits::{self, PAGE_BYTES},
};

use super::{
    broker::RedisBroker,
    element::{self, Element},
    lookup, reply,
    script::Script,
};

/// Rows that a search for a ready task reads at one place; a row has up to ten tasks.
const WINDOW: usize = limits::MAX_LOOK / 20;

/// Bytes that a search for a ready task reads in all.
const SEARCH_BYTES: usize = 2 * 1024 * 1024;

impl RedisBroker {
    /// Ready tasks in the order in which they start.
    pub(super) async fn ready_page(
        &self,
        queue: &QueueName,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        let [list, row, skipped] = after.and_then(numbers).filter(|[list, ..]| *list > 0).unwrap_or([1, 0, 0]);
        let answer = self.run("list ready tasks at", Script::PageReady, queue, |command| {
            command.arg(list).arg(row).arg(count).arg(PAGE_BYTES);
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let now = Timestamp::from_millis(whole(fields.next())?);
        let next = [whole(fields.next())?, whole(fields.next())?];
        let mut page = TaskPage::default();
        let mut skipped = usize::try_from(skipped).unwrap_or(0);
        while let Some(list) = fields.next() {
            let (list, row) = (reply::integer(&list)?, whole(fields.next())?);
            let elements = bytes(fields.next())?;
            let traces = bytes(fields.next())?;
            // What somebody else wrote is no element; a claim buries it.
            let Ok(elements) = element::in_a_row(&elements) else { continue };
            for (position, element) in elements.into_iter().enumerate().skip(skipped) {
                if page.tasks.len() == count {
                    page.next = Some(PageToken(format!("{list}.{row}.{position}")));
                    return Ok(page);
                }
                if traces.get(position) != Some(&b'1') {
                    page.tasks.extend(view_of(queue, element, Some(now), Place::Ready));
                }
            }
            skipped = 0;
        }
        page.next = (next[0] != 0).then(|| PageToken(format!("{}.{}.0", next[0], next[1])));
        Ok(page)
    }

    /// Tasks that wait for their time, soonest first.
    pub(super) async fn due_page(
        &self,
        queue: &QueueName,
        shelf: Shelf,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        let set = if shelf == Shelf::Retrying { "retry" } else { "due" };
        let from: Option<Vec<&str>> = after.map(|token| token.0.split('.').collect());
        let answer = self.run("list waiting tasks at", Script::PageDue, queue, |command| {
            command.arg(set);
            match from.as_deref() {
                Some([chunk, first, score, key]) if [first, score].iter().all(|text| text.parse::<f64>().is_ok()) => {
                    let key = PageToken((*key).to_owned()).key().map(|key| key.to_bytes());
                    command.arg(*chunk).arg(*first).arg(*score).arg(key.unwrap_or_default())
                }
                _ => command.arg("").arg("").arg("").arg(""),
            };
            command.arg(count + 1).arg(PAGE_BYTES);
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let now = Timestamp::from_millis(whole(fields.next())?);
        let mut page = Filling::new(count);
        while let Some(chunk) = fields.next() {
            let (chunk, first) = (reply::text(chunk)?, text(fields.next())?);
            let (score, key, element) = (text(fields.next())?, bytes(fields.next())?, bytes(fields.next())?);
            let due = Timestamp::from_millis(score.parse::<f64>().map_or(0, |score| score as i64));
            let key = TaskKey::from_bytes(&key).map(|key| PageToken::behind(&key).0).unwrap_or_default();
            let token = format!("{chunk}.{first}.{score}.{key}");
            page.add(view_of(queue, &element, Some(now), Place::Due(shelf.state(), due)), token, element.len());
        }
        Ok(page.filled())
    }

    /// Tasks that workers hold.
    pub(super) async fn running_page(
        &self,
        queue: &QueueName,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        let from: Option<Vec<&str>> = after.map(|token| token.0.split('/').collect());
        let answer = self.run("list running tasks at", Script::PageRunning, queue, |command| {
            match from.as_deref() {
                Some([owner, batch, position]) if [batch, position].iter().all(|text| text.parse::<u64>().is_ok()) => {
                    command.arg(*owner).arg(*batch).arg(*position)
                }
                _ => command.arg("").arg(0).arg(0),
            };
            command.arg(count + 1).arg(PAGE_BYTES);
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let mut page = Filling::new(count);
        while let Some(owner) = fields.next() {
            let (owner, batch, position) = (reply::text(owner)?, text(fields.next())?, whole(fields.next())?);
            let (element, progress) = (bytes(fields.next())?, bytes(fields.next())?);
            let token = format!("{owner}/{batch}/{position}");
            let view = owner.parse().ok().and_then(|owner| {
                let place = Place::Running(owner, serde_json::from_slice(&progress).ok());
                view_of(queue, &element, None, place)
            });
            page.add(view, token, element.len());
        }
        Ok(page.filled())
    }

    /// Dead letters, oldest first.
    pub(super) async fn dead_page(
        &self,
        queue: &QueueName,
        after: Option<&PageToken>,
        count: usize,
    ) -> Result<TaskPage> {
        let after = after.and_then(PageToken::key).map(|key| key.to_bytes()).unwrap_or_default();
        let answer = self.run("list dead letters at", Script::PageDead, queue, |command| {
            command.arg(&after[..]).arg(count + 1).arg(PAGE_BYTES);
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let mut page = Filling::new(count);
        while let Some(key) = fields.next() {
            let (key, died_at, stored) = (reply::bytes(key)?, whole(fields.next())?, bytes(fields.next())?);
            let letter = letter(queue, &key, died_at, &stored);
            if let Err(error) = &letter {
                // Written by somebody else. It must not hide the others.
                tracing::error!(%queue, %error, "a dead letter cannot be read; it is left out");
            }
            // Of the bytes, whatever they are: the page behind a strange key begins there too.
            let token = key.iter().map(|byte| format!("{byte:02x}")).collect();
            page.add(letter.ok(), token, stored.len());
        }
        Ok(page.filled())
    }

    /// Everything that is known of one task.
    pub(super) async fn view(&self, id: &TaskId) -> Result<Option<TaskView>> {
        let answer = self.run("look up a task at", Script::Find, &id.queue, |command| {
            command.arg(id.key.as_bytes()).arg("");
        });
        let answer = answer.await?;
        let element = match &answer {
            Value::Array(fields) => fields.get(2).cloned().map(reply::bytes).transpose()?,
            _ => None,
        };
        let Some(snapshot) = lookup::snapshot(id, answer)? else { return Ok(None) };
        let bare = |snapshot| TaskView::of_what_ended(id.clone(), snapshot);
        Ok(Some(match snapshot.state {
            State::Ready => self.sought(id, snapshot).await?,
            State::Dead => {
                let died_at = snapshot.ended_at.unwrap_or(Timestamp::from_millis(0)).as_millis();
                letter(&id.queue, id.key.as_bytes(), died_at, &element.unwrap_or_default())?
            }
            State::Scheduled | State::Retrying | State::Running => {
                let present = u8::from(snapshot.state == State::Running);
                match element::decode(&id.queue, &element.unwrap_or_default()) {
                    Ok(Element { deliveries, envelope }) => TaskView {
                        deliveries: deliveries.saturating_add(present),
                        envelope: envelope.ok(),
                        ..bare(snapshot)
                    },
                    Err(_) => bare(snapshot),
                }
            }
            State::Succeeded | State::Cancelled | State::Expired | State::Untracked => bare(snapshot),
        }))
    }

    /// A ready task, if it stands where it should.
    async fn sought(&self, id: &TaskId, snapshot: Snapshot) -> Result<TaskView> {
        let answer = self.run("look for a ready task at", Script::SeekReady, &id.queue, |command| {
            command.arg(id.key.as_bytes()).arg(WINDOW).arg(SEARCH_BYTES);
        });
        let mut fields = reply::array(answer.await?)?.into_iter();
        let bare = TaskView::of_what_ended(id.clone(), snapshot);
        let Some(element) = fields.next() else { return Ok(bare) };
        let ahead = u64::try_from(whole(fields.next())?).ok();
        Ok(match element::decode(&id.queue, &reply::bytes(element)?) {
            Ok(Element { deliveries, envelope }) => TaskView { deliveries, envelope: envelope.ok(), ahead, ..bare },
            Err(_) => bare,
        })
    }
}

/// What an element shows; nothing if not even its key can be read. `now` tells whether what waits has expired.
fn view_of(queue: &QueueName, bytes: &[u8], now: Option<Timestamp>, place: Place) -> Option<TaskView> {
    let id = TaskId::new(queue.clone(), element::key(bytes)?);
    let Element { deliveries, envelope } = element::decode(queue, bytes).ok()?;
    let envelope = envelope.ok();
    let expires = envelope.as_ref().and_then(|envelope| match envelope.expiry {
        Some(Expiry::At(time)) => Some(time),
        _ => None,
    });
    let attempts = envelope.as_ref().map_or(0, |envelope| envelope.attempts);
    let last_error = || envelope.as_ref().and_then(|envelope| envelope.last_error()).map(str::to_owned);
    let (snapshot, deliveries) = match place {
        Place::Running(owner, progress) => {
            let snapshot = Snapshot { owner: Some(owner), progress, ..Snapshot::new(State::Running) };
            (snapshot, deliveries.saturating_add(1))
        }
        _ if expires.zip(now).is_some_and(|(expires, now)| expires <= now) => {
            (Snapshot { ended_at: expires, ..Snapshot::new(State::Expired) }, deliveries)
        }
        Place::Ready => (Snapshot::new(State::Ready), deliveries),
        Place::Due(state, due) => {
            (Snapshot { due: Some(due), last_error: last_error(), ..Snapshot::new(state) }, deliveries)
        }
    };
    Some(TaskView { id, snapshot: Snapshot { attempts, ..snapshot }, envelope, deliveries, ahead: None })
}

/// A page while it is filled: one more task than it may have tells that another page follows, and so do too many bytes.
struct Filling {
    page: TaskPage,
    count: usize,
    seen: usize,
    bytes: usize,
    last: Option<PageToken>,
}

impl Filling {
    fn new(count: usize) -> Self {
        Self { page: TaskPage::default(), count, seen: 0, bytes: 0, last: None }
    }

    fn add(&mut self, view: Option<TaskView>, token: String, bytes: usize) {
        self.seen += 1;
        // The script counts four bytes more, which stand before what it keeps.
        self.bytes += bytes + 4;
        if self.seen <= self.count {
            self.page.tasks.extend(view);
            self.last = Some(PageToken(token));
        }
    }

    fn filled(self) -> TaskPage {
        let more = self.seen > self.count || self.bytes >= PAGE_BYTES;
        TaskPage { next: self.last.filter(|_| more), ..self.page }
    }
}

/// Where an element was found.
enum Place {
    Ready,
    Due(State, Timestamp),
    Running(Owner, Option<Progress>),
}

fn letter(queue: &QueueName, key: &[u8], died_at: i64, stored: &[u8]) -> Result<TaskView> {
    let (reason, bytes) = lookup::split_dead(stored)?;
    let id = TaskId::new(queue.clone(), TaskKey::from_bytes(key)?);
    let envelope = element::decode(queue, bytes).and_then(|element| element.envelope).ok();
    Ok(TaskView::of_dead(id, envelope, reason, Timestamp::from_millis(died_at)))
}

/// The three numbers of a token; one that is none begins at the beginning.
fn numbers(token: &PageToken) -> Option<[i64; 3]> {
    let mut numbers = token.0.split('.').map(|number| number.parse::<u32>().ok().map(i64::from));
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

fn whole(value: Option<Value>) -> Result<i64> {
    reply::integer(&value.ok_or_else(|| reply::wrong("a number"))?)
}

fn bytes(value: Option<Value>) -> Result<Vec<u8>> {
    reply::bytes(value.ok_or_else(|| reply::wrong("bytes"))?)
}

fn text(value: Option<Value>) -> Result<String> {
    reply::text(value.ok_or_else(|| reply::wrong("text"))?)
}
