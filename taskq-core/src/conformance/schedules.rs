//! Schedules: entries keep their cursors, and a tick is enqueued exactly once, by the present leader alone.

use std::time::Duration;

use crate::{
    broker::{Accepted, CancelAnswer, Ending},
    clock::Timestamp,
    conformance::{Stage, payload},
    connection::Connection,
    envelope::Envelope,
    error::ErrorKind,
    id::{QueueName, TaskId},
    invocation::{Start, Unique},
    leader::{CandidateId, FencingToken, Standing},
    limits,
    schedules::{
        Author, EntryId, EntryName, EntryOrigin, FireTime, Fired, Mark, Schedules, StoredEntry, Tick, Written,
    },
    state::{DeadReason, State},
};

const OLD: FencingToken = FencingToken(5);
const PRESENT: FencingToken = FencingToken(6);
const MINUTE: Duration = Duration::from_secs(60);

/// Much less than a lease.
const MOMENT: Duration = Duration::from_millis(10);

fn schedules(stage: &Stage) -> &dyn Schedules {
    &**stage.connection.schedules()
}

fn id(stage: &Stage, name: &str) -> EntryId {
    EntryId { queue: stage.queue.clone(), name: EntryName::new(name).expect("valid") }
}

async fn put(stage: &Stage, name: &str, text: &str) -> StoredEntry {
    let put = schedules(stage).put(Author::Code(PRESENT), &id(stage, name), text).await;
    assert_eq!(put.expect("puts"), Written::Applied);
    entry(stage, name).await.expect("is kept")
}

async fn entry(stage: &Stage, name: &str) -> Option<StoredEntry> {
    all(stage).await.into_iter().find(|entry| entry.id.name.as_str() == name)
}

async fn all(stage: &Stage) -> Vec<StoredEntry> {
    schedules(stage).entries(&stage.queue, None, limits::MAX_PAGE).await.expect("lists")
}

async fn mark(stage: &Stage) -> Option<Mark> {
    let marks = schedules(stage).marks().await.expect("tells");
    marks.into_iter().find(|(queue, _)| *queue == stage.queue).map(|(_, mark)| mark)
}

/// The task of a tick.
fn task(stage: &Stage, name: &str, at: Timestamp) -> Envelope {
    let mut envelope = stage.envelope(stage.invocation(0));
    envelope.id.key = id(stage, name).name.tick_key(FireTime(at));
    envelope.own_id = true;
    envelope
}

/// A tick that moves the cursor on by a while and enqueues one task.
fn tick(stage: &Stage, entry: &StoredEntry, after: Duration) -> Tick {
    let fire_time = entry.cursor + after;
    let envelopes = vec![task(stage, entry.id.name.as_str(), fire_time)];
    Tick { name: entry.id.name.clone(), cursor: entry.cursor, fire_time: FireTime(fire_time), envelopes }
}

async fn fire(stage: &Stage, token: FencingToken, tick: &Tick) -> Fired {
    become_due(stage, tick).await;
    let mut fired = schedules(stage).fire(token, &stage.queue, std::slice::from_ref(tick)).await.expect("answers");
    assert_eq!(fired.len(), 1);
    fired.remove(0)
}

/// Lets so much time pass that a tick is due.
async fn become_due(stage: &Stage, tick: &Tick) {
    stage.advance(tick.fire_time.0.since(stage.now().await)).await;
}

fn created() -> Fired {
    Fired::Applied(vec![Accepted::Created])
}

async fn waiting(stage: &Stage) -> u64 {
    let counts = stage.connection.inspect().counts(&stage.queue).await.expect("counts");
    counts.ready + counts.scheduled
}

/// What was put is listed as it was put, and begins now.
pub async fn an_entry_is_kept_as_it_was_put(stage: Stage) {
    let before = stage.now().await;
    let kept = put(&stage, "nightly", "every \"night\"\n\u{1F319}").await;
    assert_eq!((kept.id.clone(), kept.text.as_str()), (id(&stage, "nightly"), "every \"night\"\n\u{1F319}"));
    assert_eq!((kept.origin, kept.paused, kept.last_fired), (EntryOrigin::Code, false, None));
    assert_eq!(kept.cursor, kept.created_at);
    assert!(kept.cursor >= before && kept.cursor <= stage.now().await);
}

/// A tick moves the cursor and enqueues its task, in one step.
pub async fn a_fired_tick_moves_the_cursor_and_enqueues(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let tick = tick(&stage, &kept, MINUTE);
    assert_eq!(fire(&stage, PRESENT, &tick).await, created());
    let moved = entry(&stage, "e").await.expect("is kept");
    assert_eq!((moved.cursor, moved.last_fired), (kept.cursor + MINUTE, Some(tick.fire_time)));
    assert_eq!(moved.created_at, kept.created_at);
    assert_eq!(stage.state(&tick.envelopes[0].id).await, Some(State::Ready));
}

/// Whatever a leader believes, a tick is not fired before its time by the broker's clock.
pub async fn a_tick_that_is_not_due_is_refused(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let tick = tick(&stage, &kept, MINUTE);
    let ticks = std::slice::from_ref(&tick);
    let fired = schedules(&stage).fire(PRESENT, &stage.queue, ticks).await.expect("answers");
    assert_eq!(fired, [Fired::Early]);
    assert_eq!(entry(&stage, "e").await, Some(kept));
    assert_eq!(waiting(&stage).await, 0);
    assert_eq!(fire(&stage, PRESENT, &tick).await, created());
}

/// A lost answer is asked for again: the cursor is where the tick wanted it, and there is one task.
pub async fn repeating_a_fire_doubles_nothing(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let tick = tick(&stage, &kept, MINUTE);
    fire(&stage, PRESENT, &tick).await;
    assert_eq!(fire(&stage, PRESENT, &tick).await, Fired::Moved(kept.cursor + MINUTE));
    assert_eq!(waiting(&stage).await, 1);
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    stage.succeed(owner, &claimed, 1).await;
    assert_eq!(fire(&stage, FencingToken(9), &tick).await, Fired::Moved(kept.cursor + MINUTE));
    assert_eq!(waiting(&stage).await, 0);
}

/// Even with a cursor from an old backup, a tick whose task is known in whatever state is not enqueued again.
pub async fn a_known_task_is_a_duplicate_and_the_cursor_moves(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let tick = tick(&stage, &kept, MINUTE);
    assert_eq!(stage.enqueue_all(&tick.envelopes).await, [Accepted::Created]);
    assert_eq!(fire(&stage, PRESENT, &tick).await, Fired::Applied(vec![Accepted::Duplicate]));
    assert_eq!(entry(&stage, "e").await.expect("is kept").cursor, kept.cursor + MINUTE);
    assert_eq!(waiting(&stage).await, 1);
    let owner = stage.worker().await;
    for (number, ending) in
        [Ending::Succeeded(payload(1)), Ending::Dead(DeadReason::Fatal), Ending::Cancelled].into_iter().enumerate()
    {
        let name = format!("again{number}");
        let kept = put(&stage, &name, "").await;
        let tick = self::tick(&stage, &kept, MOMENT);
        stage.enqueue_all(&tick.envelopes).await;
        while let Some(claimed) = stage.claim(owner, 1).await.first() {
            stage.settle(owner, claimed, ending.clone()).await;
        }
        assert_eq!(fire(&stage, PRESENT, &tick).await, Fired::Applied(vec![Accepted::Duplicate]));
        assert_eq!(waiting(&stage).await, 0);
    }
}

/// Once a queue has seen a token, what carries a smaller one changes nothing there.
pub async fn an_old_token_changes_nothing(stage: Stage) {
    let kept = put(&stage, "e", "before").await;
    let tick = tick(&stage, &kept, MINUTE);
    let (schedules, old) = (schedules(&stage), Author::Code(OLD));
    let before = mark(&stage).await;
    assert_eq!(fire(&stage, OLD, &tick).await, Fired::Fenced);
    assert_eq!(schedules.put(old, &kept.id, "after").await.expect("answers"), Written::Fenced);
    assert_eq!(schedules.put(Author::File(OLD), &id(&stage, "f"), "").await.expect("answers"), Written::Fenced);
    assert_eq!(schedules.remove(old, &kept.id).await.expect("answers"), Written::Fenced);
    assert_eq!(all(&stage).await, [kept]);
    assert_eq!((waiting(&stage).await, mark(&stage).await), (0, before));
    assert_eq!(fire(&stage, PRESENT, &tick).await, created(), "the leader is not in the way of itself");
}

/// A greater token is kept with whatever it comes: also with a tick that is not applied.
pub async fn a_greater_token_is_remembered(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let elsewhere = Tick { cursor: kept.cursor + MINUTE * 9, ..tick(&stage, &kept, MINUTE * 10) };
    assert_eq!(fire(&stage, FencingToken(u64::from(u32::MAX) * 999), &elsewhere).await, Fired::Moved(kept.cursor));
    assert_eq!(fire(&stage, FencingToken(u64::from(u32::MAX)), &tick(&stage, &kept, MINUTE)).await, Fired::Fenced);
    let other = stage.with_queue("other");
    let kept = put(&other, "e", "").await;
    assert_eq!(fire(&other, PRESENT, &tick(&other, &kept, MINUTE)).await, created(), "each queue sees for itself");
}

/// A leader that believes the cursor to be elsewhere is told where it is.
pub async fn a_cursor_elsewhere_is_told_and_stays(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let right = tick(&stage, &kept, MINUTE);
    for wrong in [
        Tick { cursor: kept.cursor + Duration::from_millis(1), ..right.clone() },
        Tick { cursor: Timestamp::from_millis(0), ..right.clone() },
        Tick { fire_time: FireTime(kept.cursor), ..right.clone() },
        Tick { fire_time: FireTime(Timestamp::from_millis(1)), ..right.clone() },
    ] {
        assert_eq!(fire(&stage, PRESENT, &wrong).await, Fired::Moved(kept.cursor));
    }
    assert_eq!((waiting(&stage).await, all(&stage).await), (0, vec![kept]));
}

/// Ticks can be skipped: the cursor moves and nothing is enqueued.
pub async fn a_skipped_tick_moves_the_cursor_alone(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let skip = Tick { envelopes: Vec::new(), ..tick(&stage, &kept, MINUTE) };
    assert_eq!(fire(&stage, PRESENT, &skip).await, Fired::Applied(Vec::new()));
    let moved = entry(&stage, "e").await.expect("is kept");
    assert_eq!((moved.cursor, moved.last_fired, waiting(&stage).await), (kept.cursor + MINUTE, None, 0));
}

/// Missed ticks are caught up with in one step, in their order.
pub async fn several_ticks_of_an_entry_are_one_step(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let mut three = tick(&stage, &kept, MINUTE * 3);
    three.envelopes = (1..=3).map(|minutes| task(&stage, "e", kept.cursor + MINUTE * minutes)).collect();
    let duplicate = three.envelopes[1].clone();
    stage.enqueue_all(&[duplicate]).await;
    let expected = vec![Accepted::Created, Accepted::Duplicate, Accepted::Created];
    assert_eq!(fire(&stage, PRESENT, &three).await, Fired::Applied(expected));
    let moved = entry(&stage, "e").await.expect("is kept");
    assert_eq!((moved.cursor, moved.last_fired), (kept.cursor + MINUTE * 3, Some(three.fire_time)));
    let order: Vec<TaskId> =
        stage.claim(stage.worker().await, 9).await.iter().map(|claimed| claimed.envelope.id.clone()).collect();
    let ids = |index: usize| three.envelopes[index].id.clone();
    assert_eq!(order, [ids(1), ids(0), ids(2)]);
}

/// Of several ticks in one call each is judged by itself.
pub async fn ticks_of_one_call_are_judged_one_by_one(stage: Stage) {
    let (a, b, c) = (put(&stage, "a", "").await, put(&stage, "b", "").await, put(&stage, "c", "").await);
    assert!(schedules(&stage).pause(&c.id).await.expect("pauses"));
    let unknown = Tick { name: EntryName::new("nobody").expect("valid"), ..tick(&stage, &a, MINUTE) };
    let moved = Tick { cursor: b.cursor + MINUTE, ..tick(&stage, &b, MINUTE * 2) };
    let ticks = [moved, tick(&stage, &c, MINUTE), unknown, tick(&stage, &a, MINUTE), tick(&stage, &b, MINUTE)];
    for tick in &ticks {
        become_due(&stage, tick).await;
    }
    let fired = schedules(&stage).fire(PRESENT, &stage.queue, &ticks).await.expect("answers");
    assert_eq!(fired, [Fired::Moved(b.cursor), Fired::Paused, Fired::Unknown, created(), created()]);
    assert_eq!(waiting(&stage).await, 2);
    let fenced = schedules(&stage).fire(OLD, &stage.queue, &ticks).await.expect("answers");
    assert_eq!(fenced, vec![Fired::Fenced; 5]);
}

/// A change of the text changes nothing else.
pub async fn a_replaced_entry_keeps_its_cursor(stage: Stage) {
    let kept = put(&stage, "e", "before").await;
    let tick = tick(&stage, &kept, MINUTE);
    fire(&stage, PRESENT, &tick).await;
    schedules(&stage).pause(&kept.id).await.expect("pauses");
    let replaced = put(&stage, "e", "after").await;
    let expected = StoredEntry {
        text: "after".to_owned(),
        paused: true,
        cursor: tick.fire_time.0,
        last_fired: Some(tick.fire_time),
        ..kept
    };
    assert_eq!(replaced, expected);
}

/// A removed entry is gone, its tasks are not, and one of its name begins anew.
pub async fn a_removed_entry_fires_nothing(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let first = tick(&stage, &kept, MINUTE);
    fire(&stage, PRESENT, &first).await;
    for _ in 0..2 {
        let removed = schedules(&stage).remove(Author::Code(PRESENT), &kept.id).await;
        assert_eq!(removed.expect("removes"), Written::Applied);
    }
    assert_eq!(all(&stage).await, []);
    let moved = StoredEntry { cursor: first.fire_time.0, ..kept.clone() };
    assert_eq!(fire(&stage, PRESENT, &tick(&stage, &moved, MINUTE)).await, Fired::Unknown);
    assert_eq!(waiting(&stage).await, 1);
    stage.advance(MINUTE).await;
    let anew = put(&stage, "e", "").await;
    assert!(anew.cursor >= kept.cursor + MINUTE && anew.created_at == anew.cursor && anew.last_fired.is_none());
}

/// While an entry is paused nothing fires it, and what it would have fired is not caught up with.
pub async fn a_paused_entry_fires_nothing(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let tick = tick(&stage, &kept, MINUTE);
    assert!(schedules(&stage).pause(&kept.id).await.expect("pauses"));
    assert_eq!(fire(&stage, PRESENT, &tick).await, Fired::Paused);
    let paused = entry(&stage, "e").await.expect("is kept");
    assert_eq!(paused, StoredEntry { paused: true, ..kept.clone() });
    stage.advance(MINUTE * 5).await;
    let before = stage.now().await;
    assert!(schedules(&stage).resume(&kept.id).await.expect("resumes"));
    let resumed = entry(&stage, "e").await.expect("is kept");
    assert!(!resumed.paused && resumed.cursor >= before && resumed.cursor <= stage.now().await);
    assert_eq!(fire(&stage, PRESENT, &tick).await, Fired::Moved(resumed.cursor));
    assert!(schedules(&stage).resume(&kept.id).await.expect("resumes"));
    assert_eq!(entry(&stage, "e").await, Some(resumed.clone()), "resuming again changes nothing");
    assert_eq!(fire(&stage, PRESENT, &self::tick(&stage, &resumed, MINUTE)).await, created());
    let nobody = id(&stage, "nobody");
    assert!(!schedules(&stage).pause(&nobody).await.expect("answers"));
    assert!(!schedules(&stage).resume(&nobody).await.expect("answers"));
}

/// Who brought an entry may replace and remove it, and nobody else; pausing is for all.
pub async fn an_entry_belongs_to_where_it_comes_from(stage: Stage) {
    let authors = [Author::Code(PRESENT), Author::File(PRESENT), Author::RunTime];
    for (name, owner) in ["code", "file", "run-time"].into_iter().zip(authors) {
        let id = id(&stage, name);
        assert_eq!(schedules(&stage).put(owner, &id, "own").await.expect("puts"), Written::Applied);
        for stranger in authors.into_iter().filter(|author| *author != owner) {
            let foreign = Written::Foreign(owner.origin());
            assert_eq!(schedules(&stage).put(stranger, &id, "foreign").await.expect("answers"), foreign);
            assert_eq!(schedules(&stage).remove(stranger, &id).await.expect("answers"), foreign);
        }
        let kept = entry(&stage, name).await.expect("is kept");
        assert_eq!((kept.text.as_str(), kept.origin), ("own", owner.origin()));
        assert!(schedules(&stage).pause(&id).await.expect("pauses"));
        assert_eq!(schedules(&stage).remove(owner, &id).await.expect("removes"), Written::Applied);
        assert_eq!(entry(&stage, name).await, None);
    }
}

/// Every change changes the mark, and what is no change does not. Queues without entries have none.
pub async fn a_mark_tells_of_every_change(stage: Stage) {
    stage.enqueue_one().await;
    assert_eq!(mark(&stage).await, None);
    let kept = put(&stage, "e", "").await;
    let mut seen = vec![mark(&stage).await.expect("has entries")];
    let mut note = async |what: &str, is_change: bool| {
        let now = mark(&stage).await.expect("had entries");
        assert_eq!(!seen.contains(&now), is_change, "{what}");
        seen.push(now);
    };
    put(&stage, "e", "").await;
    note("put again", false).await;
    put(&stage, "e", "other").await;
    note("replaced", true).await;
    put(&stage, "f", "").await;
    note("added", true).await;
    fire(&stage, PRESENT, &tick(&stage, &kept, MINUTE)).await;
    note("fired", false).await;
    for (what, is_change) in [("paused", true), ("paused again", false)] {
        schedules(&stage).pause(&kept.id).await.expect("pauses");
        note(what, is_change).await;
    }
    for (what, is_change) in [("resumed", true), ("resumed again", false)] {
        schedules(&stage).resume(&kept.id).await.expect("resumes");
        note(what, is_change).await;
    }
    for (what, is_change) in [("removed", true), ("removed again", false)] {
        schedules(&stage).remove(Author::Code(PRESENT), &kept.id).await.expect("removes");
        note(what, is_change).await;
    }
}

/// Pages are bounded, in the order of names, and go on after the last name of the page before, kept or not.
pub async fn entries_come_in_pages(stage: Stage) {
    let names = ["B", "a", "a-b", "a.b", "a1", "a10", "a2", "z_"];
    for name in names.iter().rev() {
        put(&stage, name, name).await;
    }
    let mut sorted = names;
    sorted.sort_unstable();
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let page = schedules(&stage).entries(&stage.queue, after.as_ref(), 3).await.expect("lists");
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.id.name.clone());
        listed.extend(page.iter().map(|entry| entry.text.clone()));
        if listed.len() == 3 {
            schedules(&stage).remove(Author::Code(PRESENT), &last.id).await.expect("removes");
        }
    }
    assert_eq!(listed, sorted);
    assert_eq!(schedules(&stage).entries(&stage.queue, None, 0).await.expect("lists"), []);
}

/// One name in two queues is two entries.
pub async fn entries_of_queues_do_not_mix(stage: Stage) {
    let other = stage.with_queue("other");
    let (here, there) = (put(&stage, "e", "here").await, put(&other, "e", "there").await);
    assert_eq!((here.text.as_str(), there.text.as_str()), ("here", "there"));
    fire(&stage, PRESENT, &tick(&stage, &here, MINUTE)).await;
    schedules(&stage).remove(Author::Code(PRESENT), &here.id).await.expect("removes");
    assert_eq!(all(&other).await, std::slice::from_ref(&there));
    assert_eq!((waiting(&stage).await, waiting(&other).await), (1, 0));
    assert_eq!(fire(&other, PRESENT, &tick(&other, &there, MINUTE)).await, created());
    let marks = schedules(&stage).marks().await.expect("tells");
    let mut queues: Vec<&str> = marks.iter().map(|(queue, _)| queue.as_str()).collect();
    queues.sort_unstable();
    assert_eq!(queues, ["other", "stage"], "also the one that had an entry");
}

/// It is found, cancelled, claimed and delayed like every other task, and holds its unique key.
pub async fn what_a_tick_enqueues_is_an_ordinary_task(stage: Stage) {
    let mut kept = put(&stage, "e", "").await;
    let mut next = async |change: &dyn Fn(&mut Envelope)| {
        let mut tick = tick(&stage, &kept, MINUTE);
        change(&mut tick.envelopes[0]);
        let fired = fire(&stage, PRESENT, &tick).await;
        kept.cursor = tick.fire_time.0;
        (tick.envelopes[0].id.clone(), fired)
    };
    let (cancelled, _) = next(&|_| {}).await;
    assert_eq!(stage.connection.broker().cancel(&cancelled).await.expect("cancels"), CancelAnswer::Cancelled);
    let unique = |envelope: &mut Envelope| {
        let invocation = stage.invocation(1).unique(Unique::key("one"));
        envelope.unique = stage.envelope(invocation).unique;
    };
    let (holder, fired) = next(&unique).await;
    assert_eq!(fired, created());
    assert_eq!(next(&unique).await.1, Fired::Applied(vec![Accepted::Held(holder.key.clone())]));
    let (delayed, _) = next(&|envelope| envelope.start = Start::After(MINUTE)).await;
    assert_eq!(stage.state(&delayed).await, Some(State::Scheduled));
    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    assert_eq!(claimed.envelope.id, holder);
    stage.succeed(owner, &claimed, 3).await;
    assert_eq!(stage.find(&holder).await.expect("is kept").result, Some(payload(3)));
    stage.advance(MINUTE + Duration::from_millis(1)).await;
    stage.beat(owner).await;
    let owner = stage.worker().await;
    assert_eq!(stage.claim_one(owner).await.envelope.id, delayed);
}

/// A task that a tick enqueues is heard by who waits for work.
pub async fn a_tick_wakes_an_idle_worker(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let owner = stage.worker().await;
    assert!(stage.claim(owner, 9).await.is_empty());
    let (broker, queue) = (stage.connection.broker().clone(), stage.queue.clone());
    let waiting = tokio::spawn(async move { broker.work_arrived(&[(owner, queue)], MINUTE).await });
    stage.advance(MOMENT).await;
    let before = stage.now().await;
    fire(&stage, PRESENT, &tick(&stage, &kept, MOMENT)).await;
    stage.finish(waiting).await.expect("waits");
    assert!(stage.now().await.since(before) < MINUTE / 2);
    assert_eq!(stage.claim(owner, 9).await.len(), 1);
}

/// What would hold a broker up is refused whole.
pub async fn too_much_at_once_is_refused(stage: Stage) {
    let kept = put(&stage, "e", "").await;
    let ticks = vec![tick(&stage, &kept, MINUTE); limits::FIRE_BATCH + 1];
    let error = schedules(&stage).fire(PRESENT, &stage.queue, &ticks).await.expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let mut stranger = tick(&stage, &kept, MINUTE);
    stranger.envelopes = vec![stage.with_queue("other").envelope(stage.with_queue("other").invocation(0))];
    let error = schedules(&stage).fire(PRESENT, &stage.queue, &[stranger]).await.expect_err("of another queue");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = "x".repeat(limits::MAX_ENTRY_TEXT + 1);
    let error = schedules(&stage).put(Author::RunTime, &id(&stage, "long"), &text).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!((waiting(&stage).await, all(&stage).await), (0, vec![kept]));
    put(&stage, "longest", &text[1..]).await;
}

/// For brokers with namespaces, of which these are two: each has its own leader and its own entries.
pub async fn schedules_of_namespaces_do_not_mix(one: &Connection, other: &Connection) {
    let elected = async |connection: &Connection| {
        let standing = connection.leader().stand(CandidateId::generate(), MINUTE).await.expect("stands");
        match standing {
            Standing::Elected(elected) => elected.token,
            Standing::Beaten(left) => panic!("somebody leads for {left:?}"),
        }
    };
    let tokens = (elected(one).await, elected(other).await);
    let queue = QueueName::new("q").expect("valid");
    let id = EntryId { queue: queue.clone(), name: EntryName::new("e").expect("valid") };
    let put = one.schedules().put(Author::Code(FencingToken(tokens.0.0 + 1)), &id, "one").await;
    assert_eq!(put.expect("puts"), Written::Applied);
    let schedules = other.schedules();
    assert_eq!(schedules.marks().await.expect("tells"), []);
    assert_eq!(schedules.entries(&queue, None, 9).await.expect("lists"), []);
    assert_eq!(schedules.put(Author::Code(tokens.1), &id, "other").await.expect("puts"), Written::Applied);
    assert_eq!(one.schedules().entries(&queue, None, 9).await.expect("lists")[0].text, "one");
}
