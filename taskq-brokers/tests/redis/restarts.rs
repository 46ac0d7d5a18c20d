//! A server that is killed and comes back, with its data or without.

use std::sync::{Arc, Mutex};

use taskq_core::{
    CancelAnswer, ErrorKind, Saved, State,
    broker::{Settled, SweepAnswer},
    id::ClaimNumber,
};
use taskq_test_support::{Persistence, RedisServer};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{
    claim_one, connect, enqueue, invocation, join,
    keys::{document, save_document},
    patient, persist, queue, state, succeeded, try_settle,
};

#[tokio::test]
async fn a_task_that_runs_while_the_server_is_restarted_is_settled_afterwards() {
    let mut server = RedisServer::builder().persistence(Persistence::AppendAlways).start();
    let connection = connect(&server).await;
    let id = enqueue(&connection, invocation()).await;
    let owner = join(&connection).await;
    let claimed = claim_one(&connection, owner).await;
    // As if the server had been away for longer than a lease.
    server.command(&["ZADD", "taskq:{q}:lease", "1", &owner.to_string()]);
    server.kill();
    server.restart();
    let queue = queue();
    let swept = persist(|| connection.broker().sweep(&queue, 200)).await;
    assert_eq!(swept, SweepAnswer::default(), "nobody could renew, so nobody is dead for it");
    let settled = persist(|| try_settle(&connection, owner, &claimed, succeeded())).await;
    assert_eq!(settled, Settled::Applied);
    assert_eq!(state(&connection, &id).await, Some(State::Succeeded));
}

#[tokio::test]
async fn a_settlement_itself_renews_a_lease_that_lapsed_while_the_server_was_away() {
    let mut server = RedisServer::builder().persistence(Persistence::AppendAlways).start();
    let connection = connect(&server).await;
    enqueue(&connection, invocation()).await;
    let owner = join(&connection).await;
    let claimed = claim_one(&connection, owner).await;
    server.command(&["ZADD", "taskq:{q}:lease", "1", &owner.to_string()]);
    server.kill();
    server.restart();
    let settled = persist(|| try_settle(&connection, owner, &claimed, succeeded())).await;
    assert_eq!(settled, Settled::Applied);
    assert!(connection.broker().beat(&[(owner, queue())]).await.expect("beats")[0].alive);
}

/// A worker outlives its server's last moments, and what it was handed in them is handed out under no token twice.
#[tokio::test]
async fn a_token_of_moments_that_the_server_has_lost_ends_nobody_elses_attempt() {
    let mut server = RedisServer::start();
    let connection = connect(&server).await;
    let owner = join(&connection).await;
    let lost = enqueue(&connection, invocation()).await;
    let other = enqueue(&connection, invocation()).await;
    server.command(&["SAVE"]);
    let of_lost = claim_one(&connection, owner).await;
    assert_eq!(of_lost.envelope.id, lost);
    server.kill();
    server.restart();
    // The same worker claims for the first time again, as far as the server knows, and is handed another task.
    assert_eq!(persist(|| connection.broker().cancel(&lost)).await, CancelAnswer::Cancelled);
    let of_other = claim_one(&connection, owner).await;
    assert_eq!(of_other.envelope.id, other);
    assert!(of_other.token > of_lost.token, "{:?} after {:?}", of_other.token, of_lost.token);
    assert_eq!(try_settle(&connection, owner, &of_lost, succeeded()).await.expect("answers"), Settled::Fenced);
    assert_eq!(state(&connection, &other).await, Some(State::Running));
    assert_eq!(try_settle(&connection, owner, &of_other, succeeded()).await.expect("answers"), Settled::Applied);
    assert_eq!(state(&connection, &lost).await, Some(State::Cancelled));
}

/// A program outlives its server's last moments, and the version that it read in them is given to no text twice.
#[tokio::test]
async fn a_version_of_moments_that_the_server_has_lost_overwrites_nothing() {
    let mut server = RedisServer::start();
    let connection = connect(&server).await;
    let before = save_document(&connection, "d", None).await;
    server.command(&["SAVE"]);
    let lost = save_document(&connection, "d", Some(before)).await;
    server.kill();
    server.restart();
    let (documents, id) = (connection.documents(), document("d"));
    assert_eq!(persist(|| documents.read(&id)).await.expect("is kept").version, before);
    let present = save_document(&connection, "d", Some(before)).await;
    assert!(present > lost, "{present} after {lost}");
    let stale = documents.save(&id, Some(lost), "stale").await.expect("answers");
    assert_eq!(stale, Saved::Changed(Some(present)));
    assert!(!documents.forget(&id, lost).await.expect("answers"));
}

#[tokio::test]
async fn a_server_that_lost_its_last_moments_is_reported_by_whom_it_had_acknowledged_something() {
    let errors = Errors::default();
    let _watching = tracing::subscriber::set_default(errors.clone());
    let reported =
        || errors.0.lock().expect("not poisoned").iter().filter(|text| text.contains("last moments")).count();
    let mut server = RedisServer::start();
    let (producer, worker, idle) = (connect(&server).await, connect(&server).await, connect(&server).await);
    let (owner, line) = (join(&worker).await, queue());
    enqueue(&producer, invocation()).await;
    enqueue(&producer, invocation()).await;
    server.command(&["SAVE"]);
    // Nothing is lost: nothing is reported.
    server.kill();
    server.restart();
    let client = patient(&producer);
    let lost = client.enqueue(invocation()).await.expect("enqueues");
    let claimed = persist(|| worker.broker().claim(owner, &line, 1, ClaimNumber(1))).await.claimed.remove(0);
    assert_eq!(try_settle(&worker, owner, &claimed, succeeded()).await.expect("answers"), Settled::Applied);
    assert_eq!(reported(), 0);
    // The file is of before all that.
    server.kill();
    server.restart();
    client.enqueue(invocation()).await.expect("enqueues");
    assert_eq!(reported(), 1);
    persist(|| worker.broker().claim(owner, &line, 1, ClaimNumber(2))).await;
    assert_eq!(reported(), 2);
    patient(&idle).enqueue(invocation()).await.expect("enqueues");
    assert_eq!((reported(), client.find(lost.id()).await.expect("answers")), (2, None));
}

#[tokio::test]
async fn a_server_that_lost_its_data_is_reported_by_everybody_once_and_used_again() {
    let errors = Errors::default();
    let _watching = tracing::subscriber::set_default(errors.clone());
    let mut server = RedisServer::start();
    let (first, second) = (connect(&server).await, connect(&server).await);
    let id = enqueue(&first, invocation()).await;
    let owner = join(&first).await;
    server.restart();
    for connection in [&first, &second] {
        assert_eq!(patient(connection).find(&id).await.expect("answers"), None);
    }
    let told = errors.0.lock().expect("not poisoned").clone();
    assert_eq!(told.iter().filter(|text| text.contains("the server has lost its data")).count(), 2, "{told:?}");

    assert!(server.command(&["GET", "taskq:layout"]).text().starts_with("3 3 "));
    enqueue(&first, invocation()).await;
    assert_eq!(second.inspect().queues().await.expect("lists"), [queue()]);
    let error = first.broker().claim(owner, &queue(), 1, ClaimNumber(1)).await.expect_err("its lease is gone");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let owner = join(&first).await;
    claim_one(&first, owner).await;
}

#[tokio::test]
async fn a_restart_with_all_data_is_no_loss() {
    let errors = Errors::default();
    let _watching = tracing::subscriber::set_default(errors.clone());
    let mut server = RedisServer::builder().persistence(Persistence::AppendAlways).start();
    let connection = connect(&server).await;
    let id = enqueue(&connection, invocation()).await;
    server.restart();
    assert!(patient(&connection).find(&id).await.expect("answers").is_some());
    assert_eq!(*errors.0.lock().expect("not poisoned"), Vec::<String>::new());
}

/// Keeps the errors that are logged on this thread.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<String>>>);

impl Subscriber for Errors {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.lock().expect("not poisoned").push(text.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}
