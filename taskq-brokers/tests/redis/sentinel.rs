//! A service with sentinels: the primary changes, and nobody's tasks, workers and waits are left behind.

use std::time::Duration;

use taskq_core::{Client, Connection, ErrorKind, State, broker::Settled, id::ClaimNumber};
use taskq_test_support::{RedisServer, RedisService};

use crate::{
    BOUND, claim, enqueue, invocation, join_for, persist, queue, settle, state, succeeded, try_connect, try_settle,
};

/// Longer than the slowest failover: sentinels that fail to agree try again, and on a machine that stood still they trust
/// themselves again only after half a minute. How long failovers take is measured by `cargo xtask chaos failover`.
const PATIENT: Duration = Duration::from_secs(120);

/// A client with as much time.
fn patient(connection: &Connection) -> Client {
    connection.client().with_deadline(PATIENT)
}

/// Makes the sentinels choose another primary while the present one is well.
fn fail_over(service: &RedisService, from: usize) -> usize {
    service.ask_any(&["SENTINEL", "FAILOVER", "main"]);
    service.wait_for_failover_from(from)
}

/// Ready tasks of the default priority.
fn ready(server: &RedisServer) -> i64 {
    server.command(&["LLEN", "taskq:{q}:r5"]).integer()
}

#[tokio::test]
async fn a_killed_primary_costs_no_error_and_no_task() {
    let mut service = RedisService::start_with_passwords("secret", "hidden");
    let connection = try_connect(&service.url()).await.expect("opens");
    let client = patient(&connection);
    let owner = join_for(&connection, PATIENT).await;
    let before = client.enqueue(invocation()).await.expect("enqueues");
    assert_eq!(service.servers()[0].command(&["WAIT", "2", "5000"]).integer(), 2);

    let waiting = tokio::spawn({
        let handle = client.handle_any(before.id());
        async move { handle.wait::<u64>(PATIENT).await }
    });
    service.kill(0);
    let after = client.enqueue(invocation()).await.expect("no error is seen");
    // The client goes where the newest answer points; the sentinel that is asked here may hear of it later.
    assert_ne!(service.wait_for_failover_from(0), 0);

    let claimed = claim(&connection, owner, 9).await;
    assert_eq!(claimed.iter().map(|one| &one.envelope.id).collect::<Vec<_>>(), [before.id(), after.id()]);
    for one in &claimed {
        assert_eq!(settle(&connection, owner, one, succeeded()).await, Settled::Applied);
    }
    assert_eq!(waiting.await.expect("ends").expect("is told"), 7);
}

#[tokio::test]
async fn a_primary_that_became_a_replica_is_left_by_everybody() {
    let service = RedisService::start();
    let connection = try_connect(&service.url()).await.expect("opens");
    let owner = join_for(&connection, PATIENT).await;
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.broker().work_arrived(&[(owner, queue())], BOUND).await }
    });
    let primary = fail_over(&service, 0);
    // Until then it takes writes, which it forgets.
    service.wait_for_replica(0);
    let sent = patient(&connection).enqueue(invocation()).await.expect("no error is seen");
    let brought = match waiting.await.expect("ends") {
        Ok(brought) => brought,
        Err(error) => {
            assert!(error.is_transient(), "{error}");
            Vec::new()
        }
    };
    let queue = queue();
    let claimed = match brought.is_empty() {
        true => persist(|| connection.broker().claim(owner, &queue, 1, ClaimNumber(1))).await.claimed,
        false => brought,
    };
    assert_eq!(claimed[0].envelope.id, *sent.id());
    assert_eq!(persist(|| try_settle(&connection, owner, &claimed[0], succeeded())).await, Settled::Applied);
    assert_eq!(state(&connection, sent.id()).await, Some(State::Succeeded));
    // The other one went along because it was told, not because its connections broke.
    assert_ne!(primary, 0);
    assert!(service.servers()[primary].command(&["CLIENT", "LIST"]).text().contains("evalsha"));
}

#[tokio::test]
async fn what_an_old_primary_accepts_after_its_replacement_is_not_acknowledged() {
    let service = RedisService::start();
    let connection = try_connect(&service.url()).await.expect("opens");
    enqueue(&connection, invocation()).await;
    assert_eq!(service.servers()[0].command(&["WAIT", "2", "5000"]).integer(), 2);
    service.servers()[0].pause();
    let primary = service.wait_for_failover_from(0);
    let before = ready(&service.servers()[primary]);
    assert_eq!(before, 1);
    // It wakes up and does not know yet that it has been replaced; nor did this connection, which nobody used meanwhile.
    service.servers()[0].resume();
    patient(&connection).enqueue(invocation()).await.expect("no error is seen");
    assert_eq!(ready(&service.servers()[primary]), before + 1, "it was acknowledged by the new one");
}

#[tokio::test]
async fn one_sentinel_is_enough_and_none_is_an_error_that_says_so() {
    let service = RedisService::start();
    service.kill_sentinel(0);
    let connection = try_connect(&service.url()).await.expect("two sentinels are left");
    service.kill_sentinel(1);
    try_connect(&service.url()).await.expect("one sentinel is left");
    service.kill_sentinel(2);
    let error = try_connect(&service.url()).await.expect_err("nobody knows");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("sentinels of redis-sentinel://127.0.0.1:"), "{error}");
    // The service is well, and goes on without them.
    enqueue(&connection, invocation()).await;
}

#[tokio::test]
async fn wrong_names_and_passwords_are_refused_with_the_cure_and_never_shown() {
    let service = RedisService::start_with_passwords("secret", "hidden");
    for (right, wrong, part) in [
        ("/main", "/master", "no sentinel knows the service \"master\""),
        ("=hidden", "=wrong-canary", "ask the sentinels of redis-sentinel://:***@127.0.0.1"),
        (":secret@", ":wrong-canary@", "connect to redis-sentinel://:***@127.0.0.1"),
    ] {
        let error = try_connect(&service.url().replace(right, wrong)).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(part) && !shown.contains("canary"), "{shown}");
    }
}
