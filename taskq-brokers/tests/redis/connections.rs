//! Connections and scripts that vanish in the middle of a call: nobody sees an error, nothing happens twice.

use std::{collections::HashSet, slice, sync::mpsc, thread, time::Duration};

use taskq_core::{
    Accepted, Clock, Connection, State, TaskId, Timestamp,
    broker::{Claimed, Settled},
    id::{BatchId, ClaimNumber, Owner},
};
use taskq_test_support::{Fault, FaultProxy, RedisConnection, RedisServer};

use crate::{
    claim, claim_one, connect, enqueue, invocation, join, patient, persist, queue, settle, state, succeeded,
    try_connect, try_settle, until,
};

const CYCLES: usize = 200;

/// Sends a command beside the test whenever it is told to, and as often as it is told to.
struct Nemesis {
    strike: mpsc::Sender<()>,
    thread: thread::JoinHandle<usize>,
}

impl Nemesis {
    fn new(mut server: RedisConnection, command: &'static [&'static str]) -> Self {
        let (strike, strikes) = mpsc::channel();
        let thread = thread::spawn(move || {
            strikes.into_iter().map(|()| server.command(command).expect("the server answers")).count()
        });
        Self { strike, thread }
    }

    fn strike(&self) {
        self.strike.send(()).expect("the thread runs");
    }

    /// How often it struck.
    fn end(self) -> usize {
        drop(self.strike);
        self.thread.join().expect("no strike failed")
    }
}

/// What a worker does: claims, and lists what it holds where the answer was lost.
async fn claim_or_find(connection: &Connection, owner: Owner) -> Claimed {
    let queue = queue();
    loop {
        let answer = connection.broker().claim(owner, &queue, 1, ClaimNumber(1)).await;
        let mut claimed = match answer {
            Ok(answer) => answer.claimed,
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                persist(|| connection.broker().held(owner, &queue, ClaimNumber(0))).await
            }
        };
        if let Some(claimed) = claimed.pop() {
            return claimed;
        }
    }
}

#[tokio::test]
async fn flushed_scripts_are_not_noticed() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let flushes = Nemesis::new(server.connect().expect("connects"), &["SCRIPT", "FLUSH"]);
    let owner = join(&connection).await;
    for cycle in 0..CYCLES {
        if cycle % 10 == 0 {
            server.command(&["SCRIPT", "FLUSH"]);
        }
        flushes.strike();
        let id = enqueue(&connection, invocation()).await;
        flushes.strike();
        let claimed = claim_one(&connection, owner).await;
        assert_eq!(claimed.envelope.id, id);
        flushes.strike();
        assert_eq!(settle(&connection, owner, &claimed, succeeded()).await, Settled::Applied);
        assert_eq!(state(&connection, &id).await, Some(State::Succeeded));
    }
    assert_eq!(flushes.end(), 3 * CYCLES);
}

#[tokio::test]
async fn killed_connections_cost_no_error_and_no_task_and_double_none() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let client = patient(&connection);
    let kills = Nemesis::new(server.connect().expect("connects"), &["CLIENT", "KILL", "TYPE", "normal"]);
    let (owner, queue) = (join(&connection).await, queue());
    let mut ids: HashSet<TaskId> = HashSet::new();
    for cycle in 0..CYCLES {
        let strikes_at = |step| {
            if cycle % 4 == step {
                kills.strike()
            }
        };
        strikes_at(0);
        let handle = client.enqueue(invocation()).await.expect("no error is seen");
        ids.insert(handle.id().clone());
        strikes_at(1);
        let claimed = claim_or_find(&connection, owner).await;
        assert_eq!((&claimed.envelope.id, claimed.deliveries), (handle.id(), 1));
        strikes_at(2);
        let settled = persist(|| try_settle(&connection, owner, &claimed, succeeded())).await;
        assert_eq!(settled, Settled::Applied);
        let counts = persist(|| connection.inspect().counts(&queue)).await;
        assert_eq!((counts.ready, counts.running), (0, 0), "a task was doubled in cycle {cycle}");
    }
    assert_eq!((ids.len(), kills.end()), (CYCLES, CYCLES / 4 * 3));
    for id in &ids {
        let snapshot = client.find(id).await.expect("no error is seen").expect("kept");
        assert_eq!(snapshot.state, State::Succeeded);
    }
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_found_among_what_is_held() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let owner = join(&connection).await;
    let id = enqueue(&connection, invocation()).await;
    // The server runs the script once the pause is over, and by then has nobody to answer.
    server.command(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    let claiming = tokio::spawn({
        let connection = connection.clone();
        async move { connection.broker().claim(owner, &queue(), 1, ClaimNumber(1)).await }
    });
    until("the claim", || server.command(&["INFO", "clients"]).text().contains("blocked_clients:1")).await;
    claiming.abort();
    assert!(claiming.await.expect_err("dropped").is_cancelled());
    server.command(&["CLIENT", "UNPAUSE"]);
    let held = connection.broker().held(owner, &queue(), ClaimNumber(0)).await.expect("lists");
    assert_eq!(held.iter().map(|held| (&held.envelope.id, held.deliveries)).collect::<Vec<_>>(), [(&id, 1)]);
    assert!(claim(&connection, owner, 9).await.is_empty());
    assert_eq!(settle(&connection, owner, &held[0], succeeded()).await, Settled::Applied);
}

#[tokio::test]
async fn an_enqueue_that_comes_late_after_its_repetition_has_ended_is_known() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    // To whoever lives in the far future every call of today is a repetition.
    let (clock, _simulation) = Clock::simulated(Timestamp::from_millis(4_000_000_000_000));
    let repeating = taskq_brokers::redis::connect(&server.url(), clock).await.expect("opens");
    let (envelope, batch) = (invocation().into_envelope().expect("valid"), BatchId::generate());
    let send = async |connection: &Connection| {
        let accepted = connection.broker().enqueue(&queue(), batch, slice::from_ref(&envelope)).await;
        accepted.expect("enqueues").remove(0)
    };
    assert_eq!(send(&repeating).await, Accepted::Created);
    let owner = join(&connection).await;
    let claimed = claim_one(&connection, owner).await;
    assert_eq!(settle(&connection, owner, &claimed, succeeded()).await, Settled::Applied);
    assert_eq!(send(&connection).await, Accepted::Duplicate);
    assert!(claim(&connection, owner, 9).await.is_empty());
}

fn clients(server: &RedisServer, part: &str) -> usize {
    server.command(&["CLIENT", "LIST"]).text().lines().filter(|line| line.contains(part)).count()
}

#[tokio::test]
async fn a_wait_for_work_that_is_dropped_takes_its_connection_with_it() {
    let server = RedisServer::start();
    let connection = connect(&server).await;
    let owner = join(&connection).await;
    let before = clients(&server, "id=");
    for _ in 0..3 {
        let waiting = tokio::spawn({
            let connection = connection.clone();
            async move { connection.broker().work_arrived(&[(owner, queue())], Duration::from_secs(60)).await }
        });
        until("the wait", || clients(&server, "cmd=blpop") == 1).await;
        waiting.abort();
        assert!(waiting.await.expect_err("dropped").is_cancelled());
        until("the end of the wait", || clients(&server, "cmd=blpop") == 0).await;
    }
    until("the end of the connections", || clients(&server, "id=") == before).await;
}

#[tokio::test]
async fn many_waits_at_once_leave_few_connections_and_a_restart_one_that_fails() {
    let mut server = RedisServer::start();
    let connection = connect(&server).await;
    let owner = join(&connection).await;
    let waiting = [(owner, queue())];
    let wait = || connection.broker().work_arrived(&waiting, Duration::from_millis(20));
    for _ in 0..3 {
        let waits = futures_util::future::join_all((0..40).map(|_| wait())).await;
        waits.into_iter().for_each(|waited| drop(waited.expect("waits")));
        until("the end of most connections", || clients(&server, "cmd=blpop") <= 16).await;
    }
    server.restart();
    // All that rested is stale now: the first wait that meets one says so, since a ring may have been lost with it, and
    // drops them all.
    assert!(wait().await.expect_err("a connection broke").is_transient());
    for _ in 0..5 {
        wait().await.expect("waits");
    }
    until("one connection", || clients(&server, "cmd=blpop") == 1).await;
}

/// Whoever waits for a server that is away knocks softly, however many they are.
#[tokio::test]
async fn a_process_knocks_twice_a_second_at_most_while_the_server_is_away_and_all_go_on_when_it_is_back() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.port(), 1);
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let connection = try_connect(&url).await.expect("opens");
    // As a worker has them: commands, a heartbeat's own, waits for work and a subscription.
    let beside = connection.open_another().await.expect("opens");
    let owner = join(&beside).await;
    let before = proxy.accepted();
    proxy.set(Fault::Refuse);
    proxy.cut();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (client, waiting) = (patient(&connection), beside.clone());
        callers.spawn(async move { client.enqueue(invocation()).await.map(drop) });
        callers.spawn(async move {
            let beats = [(owner, queue())];
            persist(|| waiting.broker().beat(&beats)).await;
            Ok(())
        });
    }
    let away = Duration::from_secs(3);
    assert!(tokio::time::timeout(away, callers.join_next()).await.is_err(), "nobody comes through");
    let knocks = proxy.accepted() - before;
    assert!((2..=2 * away.as_secs() + 2).contains(&knocks), "{knocks} in {away:?}");
    proxy.set(Fault::None);
    while let Some(ended) = callers.join_next().await {
        ended.expect("ends").expect("no error is seen");
    }
    assert_eq!(connection.inspect().counts(&queue()).await.expect("counts").ready, 64);
}
