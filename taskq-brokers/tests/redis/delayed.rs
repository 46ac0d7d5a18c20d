//! Tasks that wait for their time, many of them: chunks fill, split and empty, and nobody can tell.

use std::{collections::BTreeMap, time::Duration};

use taskq_core::{CancelAnswer, Connection, Envelope, State, TaskId, broker::Accepted, id::BatchId, limits};
use taskq_test_support::RedisServer;

use crate::{advance, claim, connect_shifted, invocation, join, queue, settle, state, succeeded};

/// As many as one chunk can have; the layout is told in `prelude.lua`.
const CHUNK: usize = 128;

/// A generator of our own, so that a seed tells the whole run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // Knuth's linear congruential generator; its upper bits are good enough here.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn enqueue_delayed(connection: &Connection, delays: &[Duration]) -> Vec<TaskId> {
    let mut ids = Vec::new();
    for part in delays.chunks(limits::ENQUEUE_CHUNK) {
        let envelope = |delay: &Duration| invocation().delay(*delay).into_envelope().expect("valid");
        let envelopes: Vec<Envelope> = part.iter().map(envelope).collect();
        let accepted = connection.broker().enqueue(&queue(), BatchId::generate(), &envelopes).await.expect("enqueues");
        assert_eq!(accepted, vec![Accepted::Created; part.len()]);
        ids.extend(envelopes.into_iter().map(|envelope| envelope.id));
    }
    ids
}

async fn scheduled(connection: &Connection) -> usize {
    let counts = connection.inspect().counts(&queue()).await.expect("counts");
    usize::try_from(counts.scheduled).expect("few")
}

fn keys(server: &RedisServer) -> Vec<String> {
    let keys = server.command(&["KEYS", "taskq:{q}:due*"]);
    keys.array().iter().map(|key| key.text().to_owned()).collect()
}

#[tokio::test]
async fn each_is_ready_at_its_time_and_none_before_whatever_the_order_of_their_coming() {
    for seed in 1..=3 {
        let server = RedisServer::start();
        let connection = connect_shifted(&server).await;
        let mut random = Random(seed);
        // Seconds, so that the time that the test itself takes does not matter; many are due in the same one.
        let delay =
            |random: &mut Random| Duration::from_secs(1_000 + 100 * random.below(if seed == 3 { 4 } else { 60 }));
        let delays: Vec<Duration> = (0..1_200).map(|_| delay(&mut random)).collect();
        let ids = enqueue_delayed(&connection, &delays).await;
        let mut expected: BTreeMap<TaskId, Duration> = ids.iter().cloned().zip(delays).collect();
        for _ in 0..200 {
            let id = &ids[usize::try_from(random.below(1_200)).expect("small")];
            let answer = connection.broker().cancel(id).await.expect("cancels");
            match expected.remove(id) {
                Some(_) => assert_eq!(answer, CancelAnswer::Cancelled, "seed {seed}"),
                None => assert_eq!(answer, CancelAnswer::AlreadyEnded, "seed {seed}"),
            }
        }
        assert_eq!(scheduled(&connection).await, expected.len(), "seed {seed}");
        advance(&server, Duration::from_secs(990));
        for step in 0..61 {
            let now = Duration::from_secs(1_000 + 100 * step) - Duration::from_secs(10);
            // The lease of the one before has lapsed.
            let owner = join(&connection).await;
            let mut started = Vec::new();
            loop {
                let claimed = claim(&connection, owner, 50).await;
                if claimed.is_empty() {
                    break;
                }
                started.extend(claimed.into_iter().map(|claimed| claimed.envelope.id.clone()));
            }
            let due: Vec<_> = expected.iter().filter(|(_, delay)| **delay < now).map(|(id, _)| id.clone()).collect();
            expected.retain(|_, delay| *delay >= now);
            started.sort();
            assert_eq!(started, due, "seed {seed}, step {step}");
            assert_eq!(scheduled(&connection).await, expected.len(), "seed {seed}");
            advance(&server, Duration::from_secs(100));
            if let Some(id) = expected.keys().next() {
                assert_eq!(state(&connection, id).await, Some(State::Scheduled), "seed {seed}");
            }
        }
        assert!(expected.is_empty() && keys(&server).is_empty(), "seed {seed}: {:?}", keys(&server));
    }
}

/// How much later than the others the nth task is due.
type Offset = fn(u64, &mut Random) -> u64;

#[tokio::test]
async fn they_take_few_keys_in_whatever_order_they_come() {
    let orders: [(&str, Offset, usize); 4] = [
        ("later and later", |n, _| n, 10),
        ("sooner and sooner", |n, _| 2_000 - n, 16),
        ("in the same second", |_, _| 0, 10),
        ("anyhow", |_, random| random.below(2_000), 16),
    ];
    for (order, offset, most) in orders {
        let server = RedisServer::start();
        let connection = connect_shifted(&server).await;
        let mut random = Random(7);
        let delays: Vec<_> = (0..1_200).map(|n| Duration::from_secs(10_000 + offset(n, &mut random))).collect();
        enqueue_delayed(&connection, &delays).await;
        // Beside the chunks there are `due` and `dueb`.
        let chunks = keys(&server).len() - 2;
        assert!((1_200 / CHUNK..=most + 4).contains(&chunks), "{order}: {chunks} chunks");
        for key in keys(&server).iter().filter(|key| key.contains("due:")) {
            assert_eq!(server.command(&["OBJECT", "ENCODING", key]).text(), "listpack", "{order}");
        }
    }
}

#[tokio::test]
async fn one_that_was_scheduled_can_be_waited_for_and_leaves_nothing_behind() {
    let server = RedisServer::start();
    let connection = connect_shifted(&server).await;
    let ids = enqueue_delayed(&connection, &[Duration::from_secs(5)]).await;
    let waiting = {
        let (connection, id) = (connection.clone(), ids[0].clone());
        tokio::spawn(async move { connection.broker().wait(&id, crate::BOUND).await })
    };
    crate::until("the wait", || server.command(&["HLEN", "taskq:{q}:w"]).integer() == 1).await;
    let owner = join(&connection).await;
    advance(&server, Duration::from_secs(6));
    connection.broker().join(owner, &queue(), taskq_core::limits::LEASE).await.expect_err("the lease has lapsed");
    let owner = join(&connection).await;
    let claimed = claim(&connection, owner, 1).await;
    settle(&connection, owner, &claimed[0], succeeded()).await;
    let snapshot = waiting.await.expect("waits").expect("is told").expect("is known");
    assert_eq!(snapshot.state, State::Succeeded);
    assert_eq!(
        server.command(&["EXISTS", "taskq:{q}:m", "taskq:{q}:w", "taskq:{q}:due", "taskq:{q}:dueb"]).integer(),
        0
    );
}
