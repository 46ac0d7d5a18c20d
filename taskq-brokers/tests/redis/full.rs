//! A server without memory to spare takes no new task and lets itself be drained, by newcomers too.

use serde_json::json;
use taskq_core::{ErrorKind, Invocation, broker::Settled};
use taskq_test_support::RedisServer;

use crate::{
    claim, connect, enqueue, invocation, join,
    keys::{document, save_document},
    queue, settle, state, succeeded, try_enqueue,
};

#[tokio::test]
async fn a_full_server_is_drained_by_a_worker_that_connects_then() {
    let server = RedisServer::builder().max_memory("12mb", "noeviction").start();
    let client = connect(&server).await;
    let large = || Invocation::named("noop", &json!({ "text": "x".repeat(100_000) })).queue("q");
    let mut ids = Vec::new();
    let old = save_document(&client, "old", None).await;
    let refusal = loop {
        let envelope = large().into_envelope().expect("valid");
        match try_enqueue(&client, &envelope).await {
            Ok(_) => ids.push(envelope.id),
            Err(error) => break error,
        }
    };
    assert_eq!(refusal.kind(), ErrorKind::Full, "{refusal}");
    assert!(refusal.is_transient() && ids.len() > 20, "{} fit in", ids.len());

    let worker = connect(&server).await;
    // Small ones still fit into the last gap, for a while.
    let refusal = loop {
        let small = invocation().into_envelope().expect("valid");
        match try_enqueue(&worker, &small).await {
            Ok(_) => ids.push(small.id),
            Err(error) => break error,
        }
    };
    assert_eq!(refusal.kind(), ErrorKind::Full, "{refusal}");
    let owner = join(&worker).await;
    assert!(worker.broker().beat(&[(owner, queue())]).await.expect("beats")[0].alive);
    let documents = worker.documents();
    let error = documents.save(&document("new"), None, "text").await.expect_err("no room");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Full, true), "{error}");
    assert_eq!(documents.read(&document("new")).await.expect("reads"), None);
    let error = documents.save(&document("old"), Some(old), "other").await.expect_err("no room either");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert_eq!(documents.list(&queue(), None, 9).await.expect("lists").len(), 1);
    assert!(documents.forget(&document("old"), old).await.expect("making room needs none"));
    let mut drained = 0;
    loop {
        let claimed = claim(&worker, owner, 5).await;
        if claimed.is_empty() {
            break;
        }
        for task in &claimed {
            assert_eq!(settle(&worker, owner, task, succeeded()).await, Settled::Applied);
        }
        worker.broker().sweep(&queue(), 200).await.expect("sweeps");
        drained += claimed.len();
    }
    assert_eq!(drained, ids.len());
    worker.broker().leave(owner, &queue()).await.expect("leaves");

    let id = enqueue(&client, invocation()).await;
    assert!(state(&client, &id).await.is_some());
}
