//! What happens, as somebody reads it who watches: a worker's and a scheduler's life on every broker, bursts over the bounds,
//! and a broker that is away.

use std::time::{Duration, Instant};

use taskq::{
    Connection, ControlExt, Entry, EventsMode, Invocation, Overlap, Purge, Retry, Scheduler, SettledAs, Subscriber,
    Told, What, Worker, every, limits, prelude::*, tasks,
};
use taskq_test_support::{Fault, FaultProxy, RedisServer, TempFolder};

/// The longest that anything here is awaited, on a machine that is busy with other tests.
const BOUND: Duration = Duration::from_secs(60);

#[task]
async fn noop() {}

#[task(retry = Retry::fixed(Duration::from_millis(10)).attempts(2))]
async fn fails() -> TaskResult<()> {
    Err(format!("{}\u{1b}[31m", "no route\n".repeat(100)).into())
}

/// Everything until one is as wanted, or time is over.
async fn until(events: &mut Subscriber, is_last: impl Fn(&What) -> bool) -> Vec<What> {
    let mut seen = Vec::new();
    loop {
        let told = events.next_within(BOUND).await.expect("reads");
        let Some(Told::Happened(_, event)) = told else { panic!("{told:?} after {seen:#?}") };
        seen.push(event.what);
        if seen.last().is_some_and(&is_last) {
            return seen;
        }
    }
}

/// What one task went through, a word each.
fn way_of(id: &taskq::TaskId, seen: &[What]) -> Vec<String> {
    let word = |what: &What| match what {
        What::Enqueued { id: of, task, .. } if of == id => Some(format!("enqueued {task}")),
        What::Started { id: of, attempt, .. } if of == id => Some(format!("started {attempt}")),
        What::Settled { id: of, attempt, outcome, .. } if of == id => Some(format!("{outcome} {attempt}")),
        _ => None,
    };
    seen.iter().filter_map(word).collect()
}

async fn a_life_is_seen(connection: Connection) {
    let connection = connection.with_events(EventsMode::On);
    let mut events = connection.client().events().await.expect("subscribes");
    let worker = Worker::builder(connection.clone()).tasks(tasks![noop, fails]).queue("default", 4);
    let worker = worker.start().await.expect("starts");
    let client = connection.client();
    let good = client.enqueue(noop::with()).await.expect("enqueues");
    let bad = client.enqueue(fails::with()).await.expect("enqueues");
    good.wait(BOUND).await.expect("succeeds");
    bad.wait(BOUND).await.expect_err("dies");
    worker.drain();
    worker.ended().await;

    let seen = until(&mut events, |what| matches!(what, What::WorkerDown { .. })).await;
    let ups: Vec<_> = seen.iter().filter(|what| matches!(what, What::WorkerUp { .. })).collect();
    let [What::WorkerUp { worker, host, queues, pid, .. }] = ups[..] else { panic!("one start in {seen:#?}") };
    assert!(!host.is_empty() && queues == &["default".parse().expect("valid")] && *pid == std::process::id());
    assert_eq!(seen.last(), Some(&What::WorkerDown { worker: *worker }));
    // Client and worker tell of one task in two places, so its acceptance can come behind its start.
    let sorted = |mut way: Vec<String>| {
        way.sort();
        way
    };
    assert_eq!(sorted(way_of(good.id(), &seen)), ["enqueued noop", "started 1", "succeeded 1"]);
    let way = ["dead 2", "enqueued fails", "retried 1", "started 1", "started 2"];
    assert_eq!(sorted(way_of(bad.id(), &seen)), way);
    let errors: Vec<_> = seen
        .iter()
        .filter_map(|what| match what {
            What::Settled { outcome: SettledAs::Dead, error, worker: by, .. } => Some((error, by)),
            _ => None,
        })
        .collect();
    let [(Some(error), by)] = errors[..] else { panic!("one death in {seen:#?}") };
    assert!(error.contains("no route\nno route") && error.len() <= limits::MAX_EVENT_TEXT, "{error}");
    assert_eq!(by, worker);
}

/// A test on each broker.
macro_rules! on_each_broker {
    ($name:ident) => {
        mod $name {
            use super::*;

            #[tokio::test]
            async fn in_memory() {
                super::$name(taskq::connect("memory://").await.expect("opens")).await;
            }

            #[tokio::test]
            async fn on_sqlite() {
                let folder = TempFolder::new();
                let url = format!("sqlite://{}", folder.file("x.db").display());
                super::$name(taskq::connect(&url).await.expect("opens")).await;
            }

            #[tokio::test]
            async fn on_redis() {
                let server = RedisServer::start();
                super::$name(taskq::connect(&server.url()).await.expect("opens")).await;
            }
        }
    };
}

on_each_broker!(a_life_is_seen);
on_each_broker!(what_operators_change_is_told);

#[tokio::test]
async fn a_scheduler_is_seen_to_lead_to_tick_and_to_hand_over() {
    let server = RedisServer::start();
    let connection = taskq::connect(&server.url()).await.expect("opens").with_events(EventsMode::On);
    let mut events = connection.client().events().await.expect("subscribes");
    let task = Invocation::named("noop", &serde_json::json!({}));
    let scheduler = Scheduler::builder(connection).entry("often", every(Duration::from_secs(1)).expect("valid"), task);
    let scheduler = scheduler.start().await.expect("starts");
    let seen = until(&mut events, |what| matches!(what, What::Ticked { .. })).await;
    let leads = |what: &What| matches!(what, What::LeaderChanged { leads: true, .. });
    assert!(seen.iter().any(leads), "{seen:#?}");
    let is_of_tick = |what: &What| matches!(what, What::Enqueued { task, .. } if task.as_str() == "noop");
    assert!(seen.iter().any(is_of_tick), "{seen:#?}");
    let Some(What::Ticked { entry, enqueued, .. }) = seen.last() else { panic!("{seen:#?}") };
    assert_eq!((entry.as_str(), *enqueued), ("often", 1));
    scheduler.drain();
    scheduler.ended().await;
    until(&mut events, |what| matches!(what, What::LeaderChanged { leads: false, .. })).await;
}

#[tokio::test]
async fn a_run_that_a_scheduler_cancels_for_the_next_one_is_told() {
    let connection = taskq::connect("memory://").await.expect("opens").with_events(EventsMode::On);
    let mut events = connection.client().events().await.expect("subscribes");
    let task = Invocation::named("noop", &serde_json::json!({}));
    let entry = Entry::new("often", every(Duration::from_secs(1)).expect("valid"), task).overlap(Overlap::CancelOld);
    let scheduler = Scheduler::builder(connection).with(entry).start().await.expect("starts");
    let seen = until(&mut events, |what| matches!(what, What::Cancelled { .. })).await;
    let first = seen.iter().find_map(|what| match what {
        What::Enqueued { id, .. } => Some(id),
        _ => None,
    });
    assert_eq!(seen.last(), Some(&What::Cancelled { id: first.expect("it waited").clone(), running: false }));
    scheduler.drain();
    scheduler.ended().await;
}

async fn what_operators_change_is_told(connection: Connection) {
    let connection = connection.with_events(EventsMode::On);
    let mut events = connection.client().events().await.expect("subscribes");
    let (client, control) = (connection.client(), connection.control());
    let later = || noop::with().delay(Duration::from_secs(3_600));
    let [hurried, cancelled] = [later(), later()].map(async |task| client.enqueue(task).await.expect("enqueues"));
    let (hurried, cancelled) = (hurried.await, cancelled.await);
    let queue = hurried.id().queue.clone();
    control.pause(&queue).await.expect("pauses");
    assert!(!control.pause(&queue).await.expect("is paused"), "which is told once");
    control.run_now(hurried.id()).await.expect("runs");
    cancelled.cancel().await.expect("cancels");
    cancelled.cancel().await.expect("has ended");
    client.enqueue_all((0..450).map(|_| later())).await.expect("enqueues");
    control.purge_all(&queue, Purge::Waiting, |_| {}).await.expect("purges");
    control.purge_all(&queue, Purge::Waiting, |_| {}).await.expect("finds nothing");
    control.resume(&queue).await.expect("resumes");
    let worker = Worker::builder(connection.clone()).tasks(tasks![fails]).queue("default", 4);
    let worker = worker.start().await.expect("starts");
    let letters = [fails::with(), fails::with(), fails::with()];
    let letters = client.enqueue_all(letters).await.expect("enqueues");
    for letter in &letters {
        letter.wait(BOUND).await.expect_err("dies");
    }
    worker.drain();
    worker.ended().await;
    let [dropped, replayed, _] = &letters[..] else { panic!("three") };
    assert!(control.drop_dead(dropped.id()).await.expect("drops"));
    assert!(control.replay(replayed.id()).await.expect("replays"));
    control.purge_all(&queue, Purge::DeadLetters, |_| {}).await.expect("purges");

    let seen = until(&mut events, |what| matches!(what, What::Purged { dead: true, .. })).await;
    let is_of_people = |what: &&What| {
        let others = ["enqueued", "started", "settled", "worker_up", "worker_down", "left_out"];
        !others.contains(&what.kind())
    };
    let told: Vec<_> = seen.iter().filter(is_of_people).cloned().collect();
    assert_eq!(
        told,
        [
            What::Paused { queue: queue.clone() },
            What::RunNow { id: hurried.id().clone() },
            What::Cancelled { id: cancelled.id().clone(), running: false },
            What::Purged { queue: queue.clone(), dead: false, count: 451 },
            What::Resumed { queue: queue.clone() },
            What::Dropped { id: dropped.id().clone() },
            What::Replayed { id: replayed.id().clone() },
            What::Purged { queue, dead: true, count: 1 },
        ]
    );
}

#[tokio::test]
async fn nothing_is_told_unless_it_is_asked_for() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let worker = Worker::builder(connection.clone()).tasks(tasks![noop]).start().await.expect("starts");
    let handle = connection.client().enqueue(noop::with()).await.expect("enqueues");
    handle.wait(BOUND).await.expect("succeeds");
    worker.drain();
    worker.ended().await;
    assert_eq!(connection.events().last().await.expect("tells"), None);
}

/// Every event is told or counted, however many there are.
#[tokio::test]
async fn a_burst_over_the_bound_is_counted_and_not_silently_lost() {
    const TASKS: u64 = 5_000;
    let server = RedisServer::start();
    let connection = taskq::connect(&server.url()).await.expect("opens").with_events(EventsMode::On);
    let mut events = connection.client().events().await.expect("subscribes").kind("enqueued").kind("settled");
    let client = connection.client();
    client.enqueue_all((0..TASKS).map(|_| noop::with())).await.expect("enqueues");
    let worker = Worker::builder(connection.clone()).tasks(tasks![noop]).queue("default", 200);
    let worker = worker.start().await.expect("starts");
    let begun = Instant::now();
    while worker.tally().succeeded < TASKS {
        assert!(begun.elapsed() < BOUND, "they do not run");
        tokio::task::yield_now().await;
    }
    worker.drain();
    worker.ended().await;
    // Enqueued, started and settled; and the worker's start and end, which have room of their own.
    let (mut told, mut left_out, mut missed) = (0, 0, 0);
    while let Some(next) = events.next_within(limits::EVENT_LOOK * 4).await.expect("reads") {
        match next {
            Told::Happened(_, event) => match event.what {
                What::LeftOut { count } => left_out += count,
                What::Enqueued { .. } | What::Settled { .. } => told += 1,
                other => panic!("not asked for: {other:?}"),
            },
            Told::Missed(count) => missed += count,
        }
    }
    let mut all = connection.client().events().await.expect("subscribes").from_oldest().kind("started");
    let mut started = 0;
    while let Some(next) = all.next_within(Duration::ZERO).await.expect("reads") {
        started += u64::from(matches!(next, Told::Happened(_, event) if matches!(event.what, What::Started { .. })));
    }
    assert_eq!(missed, 0);
    assert!(left_out > 0 && told > 0, "{left_out} left out, {told} told");
    assert_eq!(told + started + left_out, 3 * TASKS);
}

/// A reader that sleeps while more happens than is kept.
#[tokio::test]
async fn a_reader_that_is_overtaken_hears_how_many_it_missed() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let mut events = connection.client().events().await.expect("subscribes");
    let event = taskq::Event::new(taskq::Timestamp::default(), What::LeftOut { count: 1 });
    let batch = vec![event; limits::EVENT_BATCH];
    for _ in 0..limits::MAX_EVENTS / limits::EVENT_BATCH + 3 {
        connection.events().publish(&batch).await.expect("publishes");
    }
    let first = events.next().await.expect("reads");
    assert_eq!(first, Told::Missed(3 * limits::EVENT_BATCH as u64));
    let Told::Happened(place, _) = events.next().await.expect("reads") else { panic!("an event") };
    let again = connection.client().events().await.expect("subscribes").after(place).next().await.expect("reads");
    assert!(matches!(again, Told::Happened(next, _) if next.number == place.number + 1), "{again:?}");
}

/// What cannot be published is not waited for: neither by a task nor by the end of its worker.
#[tokio::test]
async fn a_broker_that_takes_no_events_costs_no_task_anything() {
    // Whoever may do everything else: a user without the rights for events.
    let server = RedisServer::builder().user("mute", "pw", "~* &* +@all -xadd -xrange -xrevrange").start();
    let connection = taskq::connect(&server.url()).await.expect("opens").with_events(EventsMode::On);
    let worker = Worker::builder(connection.clone()).tasks(tasks![noop]).start().await.expect("starts");
    let handles = connection.client().enqueue_all((0..2_000).map(|_| noop::with())).await.expect("enqueues");
    for handle in &handles {
        handle.wait(BOUND).await.expect("succeeds");
    }
    worker.drain();
    let tally = worker.ended().await;
    assert_eq!((tally.succeeded, tally.broker_errors), (2_000, 0));
}

/// Events are lost while nobody can take them, and told as lost when somebody can.
#[tokio::test]
async fn a_broker_that_was_away_is_told_how_much_it_did_not_hear() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.port(), 1);
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let connection = taskq::connect(&url).await.expect("opens").with_events(EventsMode::On);
    let direct = taskq::connect(&server.url()).await.expect("opens");
    let mut events = direct.client().events().await.expect("subscribes");
    proxy.set(Fault::Refuse);
    proxy.cut();
    let outlet = connection.outlet().expect("tells");
    let worker = taskq::WorkerId::generate();
    let down = || taskq::Event::new(taskq::Timestamp::default(), What::WorkerDown { worker });
    outlet.tell_of_tasks(10, std::iter::repeat_with(down));
    connection.flush_events().await;
    proxy.set(Fault::None);
    let seen = until(&mut events, |what| matches!(what, What::LeftOut { .. })).await;
    assert_eq!(seen, [What::LeftOut { count: 10 }]);
}
