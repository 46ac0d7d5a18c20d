//! Schedulers with real threads and real time, on SQLite and Redis: they follow one another, and no tick is lost or doubled.

use std::time::{Duration, Instant};

use taskq::{
    Connection, Entries, Entry, Invocation, Scheduler, SchedulerHandle, State, Timestamp, Worker, connect, every,
};
use taskq_test_support::RedisServer;

const SECOND: Duration = Duration::from_secs(1);

/// What a tick enqueues.
#[taskq::task]
fn chime() {}

async fn start(url: &str) -> SchedulerHandle {
    let connection = connect(url).await.expect("opens");
    let chimes =
        (0..20).map(|number| Entry::new(format!("chime-{number}"), every(SECOND).expect("valid"), chime::with()));
    chimes.fold(Scheduler::builder(connection), |builder, entry| builder.with(entry)).start().await.expect("starts")
}

/// Returns as soon as this one leads; says how long that took.
async fn leads(scheduler: &SchedulerHandle) -> Duration {
    let begun = Instant::now();
    while !scheduler.is_leader() {
        assert!(begun.elapsed() < 10 * SECOND, "it does not lead");
        taskq::Clock::system().sleep(SECOND / 100).await;
    }
    begun.elapsed()
}

async fn now(connection: &Connection) -> Timestamp {
    connection.broker().now().await.expect("tells the time")
}

/// Ticks of all entries between two instants that were enqueued, and those that should have been.
async fn ticks(connection: &Connection, from: Timestamp, until: Timestamp) -> (usize, usize) {
    let schedule = every(SECOND).expect("valid");
    let (mut found, mut expected) = (0, 0);
    for number in 0..20 {
        for tick in schedule.between(from, until, 1_000) {
            let id = format!("default/chime-{number}@{}", tick.as_millis()).parse().expect("valid");
            expected += 1;
            found += usize::from(connection.client().find(&id).await.expect("finds").is_some());
        }
    }
    (found, expected)
}

/// Two schedulers: the leader hands over, and an entry comes and goes at run time.
async fn follow_one_another(url: &str) {
    let connection = connect(url).await.expect("opens");
    let first = start(url).await;
    leads(&first).await;
    let begun = now(&connection).await;
    let second = start(url).await;
    tokio::time::timeout(10 * SECOND, first_tick(&connection, begun)).await.expect("ticks");
    assert!(first.is_leader() && !second.is_leader());

    first.drain();
    let handed_over = Instant::now();
    let tally = first.ended().await;
    leads(&second).await;
    assert!(handed_over.elapsed() < SECOND / 2, "took {:?}", handed_over.elapsed());
    assert_eq!((tally.not_enqueued, tally.fenced), (0, 0));

    let run_time =
        Entry::new("run-time", every(SECOND).expect("valid"), Invocation::named("chime", &serde_json::json!({})));
    let id = Entries::of(&connection).put(run_time).await.expect("puts");
    let put_at = now(&connection).await;
    let until = put_at + 4 * SECOND;
    while now(&connection).await < until {
        connection.clock().sleep(SECOND / 20).await;
    }
    assert!(Entries::of(&connection).pause(&id).await.expect("pauses"));
    let (found, expected) = ticks(&connection, begun, put_at + 3 * SECOND).await;
    assert_eq!(found, expected);
    let schedule = every(SECOND).expect("valid");
    for tick in schedule.between(put_at, put_at + 3 * SECOND, 9) {
        let id = format!("default/run-time@{}", tick.as_millis()).parse().expect("valid");
        let found = connection.client().find(&id).await.expect("finds").expect("also its first one");
        assert_eq!(found.state, State::Ready);
    }
    second.drain();
    let tally = second.ended().await;
    assert_eq!((tally.elected, tally.not_enqueued, tally.fenced, tally.broker_errors), (1, 0, 0, 0));

    let worker = Worker::builder(connection.clone()).queue("default", 50).start().await.expect("starts");
    while connection.inspect().counts(&"default".parse().expect("valid")).await.expect("counts").ready > 0 {
        connection.clock().sleep(SECOND / 50).await;
    }
    worker.drain();
    assert!(worker.ended().await.succeeded >= expected as u64, "a worker runs what a scheduler enqueues");
}

async fn first_tick(connection: &Connection, begun: Timestamp) {
    while ticks(connection, begun, begun + SECOND).await.0 < 20 {
        connection.clock().sleep(SECOND / 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedulers_on_a_file_follow_one_another_and_lose_no_tick() {
    let folder = tempfile::tempdir().expect("a folder");
    follow_one_another(&format!("sqlite://{}/taskq.db", folder.path().display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedulers_on_a_server_follow_one_another_and_lose_no_tick() {
    let server = RedisServer::start();
    follow_one_another(&server.url()).await;
}
