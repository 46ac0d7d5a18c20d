//! Mistakes planted in the scripts and statements of the real brokers, each of which a promise has to notice.

use std::{future::Future, pin::Pin, time::Duration};

use async_trait::async_trait;
use taskq_brokers::patch::Patch;
use taskq_core::{
    Clock, Connection, Timestamp,
    clock::Simulation,
    conformance::{Harness, Stage, cancel, due, fencing, lease, sweep},
};
use taskq_test_support::{RedisServer, TempFolder};

/// A broker with a mistake in it.
struct Broken<Place> {
    connection: Connection,
    place: Place,
}

#[async_trait]
impl Harness for Broken<(Simulation, TempFolder)> {
    fn connection(&self) -> Connection {
        self.connection.clone()
    }

    async fn advance(&self, duration: Duration) {
        self.place.0.advance(duration).await;
    }
}

#[async_trait]
impl Harness for Broken<RedisServer> {
    fn connection(&self) -> Connection {
        self.connection.clone()
    }

    async fn advance(&self, duration: Duration) {
        self.place.command(&["INCRBY", "taskq:skew", &duration.as_millis().to_string()]);
    }
}

async fn sqlite(patch: Patch) -> Stage {
    let (clock, simulation) = Clock::simulated(Timestamp::from_millis(1_790_000_000_000));
    let folder = TempFolder::new();
    let url = format!("sqlite://{}", folder.file("broken.db").display());
    let connection = taskq_brokers::sqlite::connect_with_patch(&url, clock, patch).await.expect("opens");
    Stage::new(Broken { connection, place: (simulation, folder) })
}

async fn redis(patch: Patch) -> Stage {
    let server = RedisServer::start();
    let url = server.url();
    let connection = taskq_brokers::redis::connect_with_patch(&url, Clock::system(), patch).await.expect("opens");
    Stage::new(Broken { connection, place: server })
}

type Keeping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is planted, and the promise that has to notice it.
struct Mistake {
    name: &'static str,
    right: &'static str,
    wrong: &'static str,
    promise: fn(Stage) -> Keeping,
}

/// Plants each mistake; the promise has to hold without it and must not hold with it.
async fn every_mistake_is_noticed<Opening>(open: impl Fn(Patch) -> Opening, mistakes: &[Mistake])
where
    Opening: Future<Output = Stage>,
{
    for Mistake { name, right, wrong, promise } in mistakes {
        let kept = async |patch| tokio::spawn(promise(open(patch).await)).await.is_ok();
        assert!(kept(Patch::default()).await, "{name}: the promise does not hold without the mistake");
        assert!(!kept(Patch::of(right, wrong)).await, "{name}: nobody noticed");
    }
}

#[tokio::test]
async fn mistakes_in_the_statements_of_sqlite_are_noticed() {
    let mistakes = [
        Mistake {
            name: "claim not counted",
            right: "deliveries = ?4,",
            wrong: "deliveries = 0 * ?4,",
            promise: |stage| Box::pin(lease::a_task_that_kills_its_workers_becomes_a_dead_letter(stage)),
        },
        Mistake {
            name: "a lapsed lease taken for living",
            right: "expires > ?4 AND",
            wrong: "expires > ?4 - 60000 AND",
            promise: |stage| Box::pin(fencing::a_lapsed_lease_settles_nothing_even_before_a_sweep(stage)),
        },
        Mistake {
            name: "sweep that reclaims a live worker",
            right: "expires <= ?3 OR",
            wrong: "expires <= ?3 + 3000 OR",
            promise: |stage| Box::pin(sweep::a_sweep_spares_the_living(stage)),
        },
        Mistake {
            name: "due task lost between states",
            right: "SET state = 1, due = NULL",
            wrong: "SET due = NULL",
            promise: |stage| Box::pin(due::a_delayed_task_is_never_early(stage)),
        },
    ];
    every_mistake_is_noticed(sqlite, &mistakes).await;
}

#[tokio::test]
async fn mistakes_in_the_scripts_of_redis_are_noticed() {
    let mistakes = [
        Mistake {
            name: "claim not counted",
            right: "local deliveries = byte(e, 1) + 1",
            wrong: "local deliveries = byte(e, 1)",
            promise: |stage| Box::pin(lease::a_task_that_kills_its_workers_becomes_a_dead_letter(stage)),
        },
        Mistake {
            name: "a lapsed lease taken for living",
            right: "if tonumber(score) > t then return true end",
            wrong: "if true then return true end",
            promise: |stage| Box::pin(fencing::a_lapsed_lease_settles_nothing_even_before_a_sweep(stage)),
        },
        Mistake {
            name: "cancel forgotten on reclaim",
            right: "if call('HDEL', p..'cr', key) == 1 then\n    end_element(e, 'c', t)",
            wrong: "if call('HDEL', p..'cr', key) == 2 then\n    end_element(e, 'c', t)",
            promise: |stage| Box::pin(cancel::a_cancel_survives_the_worker(stage)),
        },
        Mistake {
            name: "due task lost between sets",
            right: "for priority, list in pairs(lists) do call('LPUSH', p..'r'..priority, unpack(list)) end",
            wrong: "",
            promise: |stage| Box::pin(due::a_delayed_task_is_never_early(stage)),
        },
    ];
    every_mistake_is_noticed(redis, &mistakes).await;
}
