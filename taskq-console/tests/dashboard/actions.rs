//! What operators do.

use axum::http::StatusCode;
use taskq_core::{Request, State};

use crate::stage::{Stage, enqueue_many, queue};

async fn state(stage: &Stage, id: &taskq_core::TaskId) -> Option<State> {
    stage.connection.broker().find(id).await.expect("answers").map(|snapshot| snapshot.state)
}

#[tokio::test]
async fn an_operator_replays_cancels_runs_now_and_deletes() {
    let stage = Stage::operator();
    let tasks = stage.fill("plain").await;
    let [dead, retrying, _, running, ready, scheduled] = tasks.as_slice() else { panic!("six") };
    let page = stage.act(&[("do", "retry"), ("id", &dead.to_string()), ("back", "/queue?name=mail")]).await;
    assert!(page.body.contains("It is ready again"), "{}", page.body);
    assert_eq!(state(&stage, dead).await, Some(State::Ready));
    let page = stage.act(&[("do", "retry"), ("id", &dead.to_string())]).await;
    assert!(page.body.contains("no dead letter any more"));
    stage.act(&[("do", "run now"), ("id", &retrying.to_string())]).await;
    assert_eq!(state(&stage, retrying).await, Some(State::Ready));
    stage.act(&[("do", "run now"), ("id", &scheduled.to_string())]).await;
    assert_eq!(state(&stage, scheduled).await, Some(State::Ready));
    stage.act(&[("do", "cancel"), ("id", &ready.to_string())]).await;
    assert_eq!(state(&stage, ready).await, Some(State::Cancelled));
    let page = stage.act(&[("do", "cancel"), ("id", &running.to_string())]).await;
    assert!(page.body.contains("has been asked to stop"));
    let other = stage.dead_letter("other").await;
    stage.act(&[("do", "drop"), ("id", &other.to_string())]).await;
    assert_eq!(state(&stage, &other).await, None);
}

#[tokio::test]
async fn a_queue_is_paused_resumed_and_purged_with_its_name_as_confirmation() {
    let stage = Stage::operator();
    enqueue_many(&stage, 700).await;
    stage.act(&[("do", "pause"), ("queue", "mail")]).await;
    let page = stage.get("/queue?name=mail").await.body;
    assert!(page.contains("value=\"resume\"") && !page.contains("value=\"pause\""));
    stage.act(&[("do", "resume"), ("queue", "mail")]).await;
    let page = stage.act(&[("do", "purge waiting"), ("queue", "mail"), ("confirm", "male")]).await;
    assert!(page.body.contains("Nothing was purged"), "{}", page.body);
    let page = stage.act(&[("do", "purge waiting"), ("queue", "mail"), ("confirm", "mail")]).await;
    assert!(page.body.contains("700 purged; nothing is left"), "{}", page.body);
    assert_eq!(stage.connection.inspect().counts(&queue()).await.expect("counts").ready, 0);
}

#[tokio::test]
async fn dead_letters_are_replayed_one_by_one_and_in_bounded_bulk_that_says_how_many_are_left() {
    let stage = Stage::operator();
    enqueue_many(&stage, 820).await;
    for _ in 0..5 {
        stage.end(|| taskq_core::broker::Ending::Dead(taskq_core::DeadReason::Failed), Some("boom")).await;
    }
    let dead = async || stage.connection.inspect().counts(&queue()).await.expect("counts").dead;
    assert_eq!(dead().await, 820);
    let first = stage.connection.inspect().dead_letters(&queue(), None, 2).await.expect("letters");
    let ids: Vec<_> = first.iter().map(|letter| letter.id.to_string()).collect();
    let page = stage.act(&[("do", "replay selected"), ("id", &ids[0]), ("id", &ids[1]), ("id", &ids[0])]).await;
    assert!(page.body.contains("2 dead letters replayed; 1 were none any more"), "{}", page.body);
    let page = stage.act(&[("do", "replay all"), ("queue", "mail")]).await;
    assert!(page.body.contains("500 dead letters replayed; 318 are left"), "{}", page.body);
    let page = stage.act(&[("do", "drop all"), ("queue", "mail")]).await;
    assert!(page.body.contains("Nothing was deleted"), "{}", page.body);
    let page = stage.act(&[("do", "drop all"), ("queue", "mail"), ("confirm", "mail"), ("name", "send")]).await;
    assert!(page.body.contains("318 dead letters deleted; none is left"), "{}", page.body);
    assert_eq!(dead().await, 0);
}

#[tokio::test]
async fn a_filter_bounds_what_bulk_touches() {
    let stage = Stage::operator();
    stage.dead_letter("keep me").await;
    let other = stage.dead_letter("timeout of shop 7").await;
    let page = stage.act(&[("do", "replay all"), ("queue", "mail"), ("text", "shop 7")]).await;
    assert!(page.body.contains("1 dead letter replayed; 1 in mail did not match"), "{}", page.body);
    assert_eq!(state(&stage, &other).await, Some(State::Ready));
}

#[tokio::test]
async fn a_worker_is_asked_to_drain_and_schedules_are_paused_resumed_and_triggered() {
    let stage = Stage::operator();
    stage.fill("plain").await;
    let page = stage.act(&[("do", "drain"), ("member", &stage.worker.to_string())]).await;
    assert!(page.body.contains("Asked to drain"));
    let members = stage.connection.fleet().members(None, 10).await.expect("members");
    assert_eq!(members[0].asked, Some(Request::Drain));
    for what in ["pause", "resume", "trigger"] {
        let page = stage.act(&[("do", &format!("{what} schedule")), ("queue", "mail"), ("name", "nightly")]).await;
        assert_eq!(page.status, StatusCode::OK);
    }
    let told = stage.told.lock().expect("not poisoned").clone();
    assert_eq!(told, ["pause mail/nightly", "resume mail/nightly", "trigger mail/nightly"]);
}

#[tokio::test]
async fn a_note_is_shown_once_and_cannot_be_made_up() {
    let stage = Stage::operator();
    stage.fill("plain").await;
    let token = stage.get("/queue?name=mail").await.field("token");
    let answer =
        stage.post("/act", &[("token", &token), ("do", "pause"), ("queue", "mail"), ("back", "/queues")]).await;
    let location = answer.header("location").to_owned();
    assert!(location.starts_with("/queues?note="), "{location}");
    assert!(stage.get(&location).await.body.contains("role=\"status\""));
    assert!(!stage.get(&location).await.body.contains("role=\"status\""));
    assert!(!stage.get("/queues?note=You%20have%20won").await.body.contains("You have won"));
    let answer = stage.post("/act", &[("token", &token), ("do", "nonsense"), ("back", "//evil.example")]).await;
    assert!(answer.header("location").starts_with("/?note="), "{}", answer.header("location"));
}
