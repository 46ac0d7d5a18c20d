//! What the commands change.

use std::time::Duration;

use taskq::{Client, State, TaskId};

use crate::shop::{Shop, charge, report};

const LONG: Duration = Duration::from_secs(60);

async fn state(client: &Client, id: &str) -> Option<State> {
    let id: TaskId = id.parse().expect("an id");
    client.find(&id).await.expect("looks").map(|snapshot| snapshot.state)
}

/// How a task ends, which is waited for.
async fn end(shop: &Shop, id: &str) -> State {
    let id: TaskId = id.parse().expect("an id");
    let ended = shop.connection.broker().wait(&id, LONG).await.expect("waits").expect("is known");
    assert!(ended.state.is_final(), "{id} is {} after {LONG:?}", ended.state);
    ended.state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_task_is_found_read_and_replayed() {
    let (shop, worker) = Shop::busy().await;
    let client = shop.connection.client();
    let found = shop.says(&["tasks", "list", "--state", "dead", "--text", "has expired", "--json"]);
    let found: serde_json::Value = serde_json::from_str(found.trim()).expect("one task");
    let id = found["id"].as_str().expect("a text");
    assert!(shop.says(&["dead", "show", id]).contains("ask the customer"));
    assert!(!shop.says(&["dead", "show", id]).contains('\u{1b}'), "an error moves no cursor");
    assert_eq!(shop.says(&["dead", "replay", id]), "1 dead letter replayed\n");
    // It fails in the same way, and is dropped for good.
    assert_eq!(end(&shop, id).await, State::Dead);
    assert_eq!(shop.says(&["dead", "drop", "--tag", "region:eu", "--yes"]), "1 dead letter dropped\n");
    assert_eq!(state(&client, id).await, None);
    shop.refuses(&["dead", "replay", id], 1);
    worker.abort();
    worker.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_hastened_retried_cancelled_and_deleted() {
    let (shop, worker) = Shop::busy().await;
    let client = shop.connection.client();
    assert_eq!(shop.says(&["tasks", "run-now", "payments/order-4"]), "1 task made ready\n");
    assert_eq!(end(&shop, "payments/order-4").await, State::Succeeded);
    // Its last attempt fails like the first.
    assert_eq!(shop.says(&["tasks", "retry", "payments/order-3"]), "1 task made ready\n");
    assert_eq!(end(&shop, "payments/order-3").await, State::Dead);
    assert_eq!(shop.says(&["tasks", "delete", "payments/order-3", "nobodys/order-5"]), "2 tasks deleted\n");
    assert_eq!(state(&client, "nobodys/order-5").await, Some(State::Cancelled));
    assert_eq!(shop.says(&["tasks", "cancel", "reports/year-2025"]), "1 task cancelled\n");
    // Its body returns when it is asked to stop, which is an end like another.
    assert!(end(&shop, "reports/year-2025").await.is_final());
    worker.abort();
    worker.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_chosen_by_what_they_are_like_and_nobody_is_surprised() {
    let shop = Shop::open().await;
    let client = shop.connection.client();
    let charges = (0..500).map(|order| charge::with(order, "valid".to_owned()).tag(format!("tenant:{}", order % 5)));
    client.enqueue_all(charges).await.expect("enqueues");
    let dry = shop.says(&["tasks", "cancel", "--tag", "tenant:3", "--dry-run"]);
    assert_eq!(dry.lines().count(), 100);
    let told = shop.refuses(&["tasks", "cancel", "--tag", "tenant:3"], 1);
    assert!(told.contains("Cancel 100 tasks") && told.contains("--yes"), "{told}");
    assert_eq!(shop.says(&["tasks", "cancel", "--tag", "tenant:3", "--yes"]), "100 tasks cancelled\n");
    assert_eq!(shop.says(&["tasks", "list", "--tag", "tenant:3"]), "");
    // A page goes on where the one before ended.
    let page = shop.run(&["tasks", "list", "--limit", "300", "--json"]);
    let next = page.told.trim().rsplit(' ').next().expect("says where").to_owned();
    assert_eq!(page.said.lines().count(), 300);
    assert_eq!(shop.says(&["tasks", "list", "--limit", "300", "--json", "--after", &next]).lines().count(), 100);
    // A search says how far it looked.
    let told = shop.run(&["tasks", "list", "--text", "nothing has this", "--look", "100"]).told;
    assert!(told.contains("looked at, more are behind: --after"), "{told}");

    assert_eq!(shop.says(&["queues", "purge", "payments", "--dry-run"]), "400 waiting tasks of payments would go\n");
    assert_eq!(shop.says(&["queues", "purge", "payments", "--yes"]), "400 waiting tasks of payments went\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_waits_and_a_worker_drains_when_it_is_asked() {
    let (shop, worker) = Shop::busy().await;
    let client = shop.connection.client();
    assert_eq!(shop.says(&["queues", "pause", "payments"]), "payments is paused\n");
    assert_eq!(shop.says(&["queues", "pause", "payments"]), "payments was paused already\n");
    client.enqueue(charge::with(9, "valid".to_owned()).id("order-9")).await.expect("enqueues");
    assert!(shop.says(&["why", "payments/order-9"]).contains("was paused"));
    assert_eq!(shop.says(&["queues", "resume", "payments"]), "payments goes on\n");
    assert_eq!(end(&shop, "payments/order-9").await, State::Succeeded);
    let id = worker.id().to_string();
    let said = shop.says(&["workers", "drain", &id[20..]]);
    assert!(said.contains("is asked to drain"), "{said}");
    shop.says(&["tasks", "cancel", "reports/year-2025"]);
    client.enqueue(report::with(1).id("later")).await.expect("enqueues");
    worker.ended().await;
    assert!(shop.says(&["workers", "--json"]).is_empty(), "it has checked out");
    assert_ne!(state(&client, "reports/later").await, Some(State::Running));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_measures_and_leaves_nothing() {
    let shop = Shop::open().await;
    let said = shop.says(&["bench", "--tasks", "2000", "--json"]);
    let measured: serde_json::Value = serde_json::from_str(said.trim()).expect("JSON");
    for name in ["enqueue_per_second", "drain_per_second", "enqueue_p50_ms", "enqueue_p99_ms"] {
        assert!(measured[name].as_f64().is_some_and(|number| number > 0.0), "{name} in {said}");
    }
    let queue = "taskq-bench".parse().expect("valid");
    assert_eq!(shop.connection.inspect().counts(&queue).await.expect("counts"), Default::default());
}
