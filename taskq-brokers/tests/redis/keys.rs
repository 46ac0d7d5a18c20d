//! Which keys there are, which commands are sent, and what a stale write leaves as it was.

use std::time::Duration;

use taskq_core::{
    Accepted, Author, CancelAnswer, CandidateId, Connection, ControlExt, Counts, Cursor, DeadReason, DocumentId,
    DocumentName, EntryId, EntryName, Event, FireTime, Fired, LogLevel, LogLine, Progress, Purge, Renewal, Saved,
    Standing, TaskId, TaskKey, Tick, Timestamp, Unique, Version, What, Written,
    broker::{Claimed, Ending, Settled},
    id::{BatchId, ClaimNumber, Owner, Siblings},
    limits,
};
use taskq_test_support::RedisServer;

use crate::{
    advance, claim, claim_one, connect_shifted, enqueue, invocation, join, queue, settle, succeeded, try_enqueue,
};

const DAY: Duration = Duration::from_secs(86_400);

/// Every key, which only a test may ask for.
fn keys(server: &RedisServer) -> Vec<String> {
    let keys = server.command(&["KEYS", "*"]);
    let mut keys: Vec<_> = keys.array().iter().map(|key| key.text().to_owned()).collect();
    keys.sort();
    keys
}

/// Takes tasks through everything that can happen to them, and ends them all.
async fn everything_happens(server: &RedisServer, connection: &Connection) {
    let broker = connection.broker();
    let owner = join(connection).await;
    broker.work_arrived(&[(owner, queue())], Duration::from_millis(10)).await.expect("waits");
    for _ in 0..3 {
        enqueue(connection, invocation()).await;
    }
    let cancelled = enqueue_untracked(connection).await;
    enqueue_untracked(connection).await;
    for unique in [Unique::key("s").until_start(), Unique::key("e").until_end(), Unique::key("t").for_duration(DAY)] {
        enqueue(connection, invocation().unique(unique)).await;
    }
    enqueue(connection, invocation().delay(DAY)).await;
    enqueue(connection, invocation().id("own")).await;
    enqueue(connection, invocation().expires_in(Duration::from_secs(1))).await;
    let waiting = enqueue(connection, invocation()).await;
    assert_eq!(broker.cancel(&waiting).await.expect("cancels"), CancelAnswer::Cancelled);
    assert_eq!(broker.cancel(&cancelled).await.expect("answers"), CancelAnswer::NotFound);
    advance(server, Duration::from_secs(2));
    let task = claim_one(connection, owner).await;
    settle(connection, owner, &task, Ending::Retry(Duration::from_secs(60))).await;
    let task = claim_one(connection, owner).await;
    settle(connection, owner, &task, Ending::Dead(DeadReason::Fatal)).await;
    let task = claim_one(connection, owner).await;
    broker.report(owner, &queue(), &task.envelope.id.key, task.token, &Progress::default()).await.expect("reports");
    broker.wait(&task.envelope.id, Duration::from_millis(1)).await.expect("waits");
    assert_eq!(broker.cancel(&task.envelope.id).await.expect("asks"), CancelAnswer::Requested);
    settle(connection, owner, &task, Ending::Cancelled).await;
    broker.leave(owner, &queue()).await.expect("leaves");

    schedules_come_and_go(connection).await;
    documents_come_and_go(connection).await;
    lines_come(connection).await;
    events_come(connection).await;

    // A worker that dies with tasks in its hands, and one that ends what is left.
    let dying = join(connection).await;
    assert!(!claim(connection, dying, 2).await.is_empty());
    advance(server, DAY);
    sweep(connection).await;
    drain(connection).await;
}

/// An entry fires and is removed again, by a leader that resigns while somebody waits for that.
pub(crate) async fn schedules_come_and_go(connection: &Connection) {
    let (leader, schedules, candidate) = (connection.leader(), connection.schedules(), CandidateId::generate());
    let term = Duration::from_secs(60);
    let Standing::Elected(elected) = leader.stand(candidate, term).await.expect("stands") else { panic!("led") };
    leader.vacated(Duration::from_millis(1)).await.expect("waits");
    let id = EntryId { queue: queue(), name: EntryName::new("e").expect("valid") };
    let author = Author::Code(elected.token);
    assert_eq!(schedules.put(author, &id, "text").await.expect("puts"), Written::Applied);
    let entry = schedules.entries(&queue(), None, 9).await.expect("lists").remove(0);
    let fire_time = FireTime(entry.cursor + Duration::from_millis(1));
    while connection.broker().now().await.expect("tells the time") < fire_time.0 {}
    let mut envelope = invocation().into_envelope().expect("valid");
    (envelope.id.key, envelope.own_id) = (id.name.tick_key(fire_time), true);
    let tick = Tick { name: id.name.clone(), cursor: entry.cursor, fire_time, envelopes: vec![envelope] };
    let fired = schedules.fire(elected.token, &queue(), &[tick]).await.expect("fires");
    assert_eq!(fired, [Fired::Applied(vec![Accepted::Created])]);
    assert!(schedules.pause(&id).await.expect("pauses") && schedules.resume(&id).await.expect("resumes"));
    assert_eq!(schedules.remove(author, &id).await.expect("removes"), Written::Applied);
    assert!(matches!(leader.renew(candidate, elected.token, term).await.expect("renews"), Renewal::Renewed(_)));
    leader.resign(candidate, elected.token).await.expect("resigns");
}

/// A document is saved, replaced, looked at and forgotten.
pub(crate) async fn documents_come_and_go(connection: &Connection) {
    let documents = connection.documents();
    let made = save_document(connection, "d", None).await;
    let replaced = save_document(connection, "d", Some(made)).await;
    let kept = documents.read(&document("d")).await.expect("reads").expect("is kept");
    assert_eq!(documents.list(&queue(), None, 9).await.expect("lists"), [kept]);
    assert!(!documents.forget(&document("d"), made).await.expect("answers"));
    assert!(documents.forget(&document("d"), replaced).await.expect("forgets"));
}

/// Lines of a task are kept, and others of it pushed out.
pub(crate) async fn lines_come(connection: &Connection) {
    let id = TaskId::new(queue(), TaskKey::own("talks").expect("valid"));
    let line = LogLine::new(Timestamp::default(), 1, LogLevel::Info, "x".repeat(limits::MAX_LOG_LINE));
    for count in [1, 31, 2, 40] {
        connection.logs().append(&id, &vec![line.clone(); count]).await.expect("appends");
    }
    assert_eq!(connection.logs().lines(&id).await.expect("reads"), vec![line; 32]);
}

/// Events are told, and others pushed out.
pub(crate) async fn events_come(connection: &Connection) {
    let event = Event::new(Timestamp::default(), What::LeftOut { count: 1 });
    let events = connection.events();
    for _ in 0..=limits::MAX_EVENTS / limits::EVENT_BATCH {
        events.publish(&vec![event.clone(); limits::EVENT_BATCH]).await.expect("publishes");
    }
    let page = events.read(Some(Cursor::default()), 1).await.expect("reads");
    assert_eq!((page.missed, page.events.len()), (limits::EVENT_BATCH as u64, 1));
    assert!(events.last().await.expect("tells").is_some());
}

pub(crate) fn document(name: &str) -> DocumentId {
    DocumentId { queue: queue(), name: DocumentName::new(name).expect("valid") }
}

pub(crate) async fn save_document(connection: &Connection, name: &str, expected: Option<Version>) -> Version {
    match connection.documents().save(&document(name), expected, "text").await.expect("saves") {
        Saved::Applied(version) => version,
        Saved::Changed(present) => panic!("it is at {present:?}"),
    }
}

async fn enqueue_untracked(connection: &Connection) -> TaskId {
    let mut envelope = invocation().into_envelope().expect("valid");
    envelope.id.key = TaskKey::generate_untracked();
    envelope.stores_result = false;
    assert_eq!(try_enqueue(connection, &envelope).await.expect("enqueues"), Accepted::Created);
    envelope.id
}

async fn sweep(connection: &Connection) {
    while connection.broker().sweep(&queue(), 200).await.expect("sweeps").more {}
}

async fn drain(connection: &Connection) {
    let owner = join(connection).await;
    loop {
        let claimed = claim(connection, owner, 200).await;
        if claimed.is_empty() {
            break;
        }
        for task in &claimed {
            let waited = connection.broker().wait(&task.envelope.id, Duration::from_millis(1)).await;
            waited.expect("waits").expect("it runs");
            assert_eq!(settle(connection, owner, task, succeeded()).await, Settled::Applied);
        }
    }
    connection.broker().leave(owner, &queue()).await.expect("leaves");
}

#[tokio::test]
async fn every_key_is_gone_or_ends_by_itself_after_everything_has_ended_and_aged_out() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    everything_happens(&server, &connection).await;
    advance(&server, 31 * DAY);
    sweep(&connection).await;
    let lasting: Vec<_> =
        keys(&server).into_iter().filter(|key| server.command(&["PTTL", key]).integer() < 0).collect();
    let of_schedules = ["taskq:scheduled", "taskq:{#leader}:leader", "taskq:{q}:fence", "taskq:{q}:mark"];
    let mut expected = ["taskq:layout", "taskq:queues", "taskq:skew", "taskq:{q}:seq"].to_vec();
    expected.extend(of_schedules);
    expected.sort_unstable();
    assert_eq!(lasting, expected);
}

/// One of everything that can wait, and two dead letters.
async fn everything_waits(server: &RedisServer, connection: &Connection) {
    let broker = connection.broker();
    let owner = join(connection).await;
    for ending in [Ending::Dead(DeadReason::Fatal), Ending::Dead(DeadReason::Failed), Ending::Retry(DAY)] {
        enqueue(connection, invocation()).await;
        let task = claim_one(connection, owner).await;
        settle(connection, owner, &task, ending).await;
    }
    broker.leave(owner, &queue()).await.expect("leaves");
    let mut siblings = Siblings::new(true);
    let sibling = |_| {
        let mut envelope = invocation().into_envelope().expect("valid");
        envelope.id.key = siblings.next_key();
        envelope
    };
    let bulk: Vec<_> = (0..45).map(sibling).collect();
    broker.enqueue(&queue(), BatchId::generate(), &bulk).await.expect("enqueues");
    for _ in 0..3 {
        enqueue_untracked(connection).await;
        enqueue(connection, invocation().priority(9)).await;
        enqueue(connection, invocation().delay(DAY)).await;
    }
    for unique in [Unique::key("x").until_start(), Unique::key("y").until_end(), Unique::key("z").for_duration(DAY)] {
        enqueue(connection, invocation().unique(unique)).await;
    }
    enqueue(connection, invocation().id("waits")).await;
    enqueue(connection, invocation().expires_in(Duration::from_secs(1))).await;
    let untracked = enqueue_untracked(connection).await;
    broker.wait(&bulk[44].id, Duration::from_millis(1)).await.expect("waits");
    assert_eq!(broker.cancel(&bulk[3].id).await.expect("cancels"), CancelAnswer::Cancelled);
    assert_eq!(broker.cancel(&untracked).await.expect("answers"), CancelAnswer::NotFound);
    advance(server, Duration::from_secs(2));
}

#[tokio::test]
async fn a_queue_that_was_purged_has_the_keys_of_an_empty_one() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    everything_waits(&server, &connection).await;
    let control = connection.control();
    save_document(&connection, "d", None).await;
    for what in [Purge::Waiting, Purge::DeadLetters] {
        while control.purge(&queue(), what, 7).await.expect("purges").more {}
    }
    assert_eq!(connection.inspect().counts(&queue()).await.expect("counts"), Counts::default());
    // How tasks ended, which calls enqueued them, and unique keys for a time have times of their own.
    let lasting = ["res:", "buckets", "bm:", "ut:"];
    let keys = keys(&server);
    let left: Vec<_> = keys.iter().filter(|key| !lasting.iter().any(|name| key.contains(name))).collect();
    // Documents are no tasks.
    let of_documents = ["taskq:{q}:doc", "taskq:{q}:docs"];
    let mut expected = ["taskq:layout", "taskq:queues", "taskq:skew", "taskq:{q}:seq"].to_vec();
    expected.extend(of_documents);
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn no_command_walks_the_keyspace() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    server.reset_command_counts();
    everything_happens(&server, &connection).await;
    connection.inspect().counts(&queue()).await.expect("counts");
    connection.inspect().dead_letters(&queue(), None, 100).await.expect("lists");
    everything_waits(&server, &connection).await;
    for what in [Purge::Waiting, Purge::DeadLetters] {
        connection.control().purge_all(&queue(), what, |_| {}).await.expect("purges");
    }
    let counts = server.command_counts();
    for walk in ["keys", "scan", "sscan", "zscan", "smembers", "randomkey", "dbsize", "flushdb", "config|get"] {
        assert!(!counts.contains_key(walk), "{walk} was called: {counts:?}");
    }
    connection.inspect().queues().await.expect("lists");
    assert_eq!(server.command_counts().get("smembers"), Some(&1));
}

#[tokio::test]
async fn a_stale_write_changes_no_byte() {
    let server = RedisServer::builder().argument("--enable-debug-command").argument("local").start();
    let connection = connect_shifted(&server).await;
    enqueue(&connection, invocation().unique(Unique::key("u").until_end())).await;
    enqueue(&connection, invocation()).await;
    let stale: Owner = join(&connection).await;
    let claimed = claim(&connection, stale, 2).await;
    advance(&server, Duration::from_secs(60));
    changes_nothing(&server, &connection, &[stale], &claimed).await;
    sweep(&connection).await;
    let present = join(&connection).await;
    assert_eq!(claim(&connection, present, 1).await.len(), 1, "one is held by another, one is ready");
    // Under its own name, and under that of whoever holds it now.
    changes_nothing(&server, &connection, &[stale, present], &claimed).await;
    assert!(!connection.broker().beat(&[(stale, queue())]).await.expect("beats")[0].alive);
    assert!(connection.broker().claim(stale, &queue(), 9, ClaimNumber(1)).await.is_err());
}

/// Tries all that a stale owner can write.
async fn changes_nothing(server: &RedisServer, connection: &Connection, owners: &[Owner], claimed: &[Claimed]) {
    let before = (keys(server), server.command(&["DEBUG", "DIGEST"]));
    for (owner, task) in owners.iter().flat_map(|owner| claimed.iter().map(move |task| (*owner, task))) {
        let retry = Ending::Retry(Duration::ZERO);
        for ending in [succeeded(), retry, Ending::Dead(DeadReason::Fatal), Ending::Cancelled, Ending::Released] {
            assert_eq!(settle(connection, owner, task, ending).await, Settled::Fenced);
        }
        let key = &task.envelope.id.key;
        let report = connection.broker().report(owner, &queue(), key, task.token, &Progress::default()).await;
        assert_eq!(report.expect("answers"), Settled::Fenced);
    }
    assert_eq!((keys(server), server.command(&["DEBUG", "DIGEST"])), before);
}
