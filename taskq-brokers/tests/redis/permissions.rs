//! The users of `docs/brokers.md` can do their work, with the right to ask for `INFO` and without.

use std::time::Duration;

use taskq_core::{
    CancelAnswer, Connection, Counts, DeadReason, ErrorKind, Progress, Purge, PurgeAnswer, Shelf, State, TaskId,
    TaskKey, Unique, WorkerId,
    broker::{Accepted, Ending, Settled},
    id::{BatchId, ClaimNumber, Owner},
    limits,
};
use taskq_test_support::RedisServer;

use crate::{
    claim, claim_one, connect, enqueue, invocation, join,
    keys::{document, documents_come_and_go, events_come, lines_come, save_document, schedules_come_and_go},
    queue,
    rights::rights_of,
    settle, state, succeeded, try_connect, try_enqueue, try_settle,
};

fn without_info(rules: &str) -> String {
    let rules = rules.replace("+info", "");
    assert!(!rules.contains("info"));
    rules
}

/// All that a producer does.
async fn produces(connection: &Connection) {
    let broker = connection.broker();
    broker.now().await.expect("tells the time");
    let plain = invocation().into_envelope().expect("valid");
    let batch = BatchId::generate();
    for expected in [Accepted::Created, Accepted::Duplicate] {
        let accepted = broker.enqueue(&queue(), batch, std::slice::from_ref(&plain)).await.expect("enqueues");
        assert_eq!(accepted, [expected]);
    }
    let many: Vec<_> = (0..3).map(|_| invocation().into_envelope().expect("valid")).collect();
    broker.enqueue(&queue(), BatchId::generate(), &many).await.expect("enqueues");
    for unique in
        [Unique::key("a").until_start(), Unique::key("b"), Unique::key("c").for_duration(Duration::from_secs(9))]
    {
        let unique = unique.replace();
        enqueue(connection, invocation().unique(unique.clone())).await;
        let again = invocation().unique(unique).into_envelope().expect("valid");
        let accepted = try_enqueue(connection, &again).await.expect("enqueues");
        assert!(matches!(accepted, Accepted::Replaced(_)), "{accepted:?}");
    }
    let later = enqueue(connection, invocation().delay(Duration::from_secs(60)).id("later")).await;
    assert_eq!(state(connection, &later).await, Some(State::Scheduled));
    assert_eq!(broker.cancel(&later).await.expect("cancels"), CancelAnswer::Cancelled);
    assert_eq!(broker.cancel(&plain.id).await.expect("cancels"), CancelAnswer::Cancelled);
    let waited = broker.wait(&many[0].id, Duration::from_millis(50)).await.expect("waits").expect("kept");
    assert_eq!(waited.state, State::Ready);
    assert_eq!(connection.logs().lines(&plain.id).await.expect("reads"), []);
    events_come(connection).await;
}

/// All that a worker and an operator do on top of it.
async fn works(connection: &Connection) {
    let broker = connection.broker();
    let owner = join(connection).await;
    assert!(broker.beat(&[(owner, queue())]).await.expect("beats")[0].alive);
    let task = claim_one(connection, owner).await;
    let key = &task.envelope.id.key;
    let report = broker.report(owner, &queue(), key, task.token, &Progress::default()).await;
    assert_eq!(report.expect("reports"), Settled::Applied);
    assert_eq!(state(connection, &task.envelope.id).await, Some(State::Running));
    assert_eq!(broker.cancel(&task.envelope.id).await.expect("asks"), CancelAnswer::Requested);
    assert_eq!(broker.beat(&[(owner, queue())]).await.expect("beats")[0].cancelled.len(), 1);
    assert_eq!(broker.held(owner, &queue(), ClaimNumber(0)).await.expect("lists").len(), 1);
    settle(connection, owner, &task, Ending::Cancelled).await;
    for ending in [Ending::Retry(Duration::ZERO), Ending::Dead(DeadReason::Fatal), Ending::Released] {
        let task = claim_one(connection, owner).await;
        assert_eq!(settle(connection, owner, &task, ending).await, Settled::Applied);
    }
    loop {
        let claimed = claim(connection, owner, 9).await;
        if claimed.is_empty() {
            break;
        }
        for task in claimed {
            assert_eq!(settle(connection, owner, &task, succeeded()).await, Settled::Applied);
        }
    }
    broker.work_arrived(&[(owner, queue())], Duration::from_millis(10)).await.expect("waits");
    inspects(connection).await;
    broker.leave(owner, &queue()).await.expect("leaves");
    broker.sweep(&queue(), 200).await.expect("sweeps");
}

async fn inspects(connection: &Connection) {
    let (inspect, control) = (connection.inspect(), connection.control());
    assert_eq!(inspect.queues().await.expect("lists"), [queue()]);
    assert_eq!(inspect.counts(&queue()).await.expect("counts").dead, 1);
    let letters = inspect.dead_letters(&queue(), None, 9).await.expect("lists");
    assert!(inspect.dead_letters(&queue(), Some(&letters[0].id.key), 9).await.expect("lists").is_empty());
    assert!(control.replay(&letters[0].id).await.expect("replays"));
    assert!(!control.drop_dead(&letters[0].id).await.expect("answers"));
    empties(connection).await;
}

/// What waits, in every form, and what is dead goes.
async fn empties(connection: &Connection) {
    let owner = join(connection).await;
    for ending in [Ending::Dead(DeadReason::Fatal), Ending::Retry(Duration::from_secs(60))] {
        enqueue(connection, invocation().priority(9)).await;
        let task = claim_one(connection, owner).await;
        assert_eq!(settle(connection, owner, &task, ending).await, Settled::Applied);
    }
    let many: Vec<_> = (0..30).map(|_| invocation().into_envelope().expect("valid")).collect();
    connection.broker().enqueue(&queue(), BatchId::generate(), &many).await.expect("enqueues");
    enqueue(connection, invocation().unique(Unique::key("purged")).delay(Duration::from_secs(60))).await;
    assert_eq!(connection.broker().cancel(&many[0].id).await.expect("cancels"), CancelAnswer::Cancelled);
    let waiting = connection.broker().wait(&many[1].id, Duration::from_millis(1));
    assert_eq!(waiting.await.expect("waits").expect("kept").state, State::Ready);
    for what in [Purge::Waiting, Purge::DeadLetters] {
        while connection.control().purge(&queue(), what, 7).await.expect("purges").more {}
    }
    assert_eq!(connection.inspect().counts(&queue()).await.expect("counts"), Counts::default());
    connection.broker().leave(owner, &queue()).await.expect("leaves");
}

/// A dead worker's tasks come back, without mercy: whether the server is new is not for this user to know.
async fn reclaims(server: &RedisServer, connection: &Connection) {
    enqueue(connection, invocation()).await;
    let dead = join(connection).await;
    let task = claim_one(connection, dead).await;
    server.command(&["ZADD", "taskq:{q}:lease", "1", &dead.to_string()]);
    assert_eq!(connection.broker().sweep(&queue(), 200).await.expect("sweeps").reclaimed, 1);
    assert_eq!(settle(connection, dead, &task, succeeded()).await, Settled::Fenced);
}

#[tokio::test]
async fn a_producer_can_do_its_work_with_few_rights() {
    for rules in [rights_of("shop-producer"), without_info(&rights_of("shop-producer"))] {
        let server = RedisServer::builder().user("shop-producer", "pw", &rules).start();
        let connection = connect(&server).await;
        produces(&connection).await;
        let error = connection.broker().sweep(&queue(), 9).await.expect_err("no worker");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let error = connection.control().purge(&queue(), Purge::Waiting, 9).await.expect_err("no operator");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    }
}

#[tokio::test]
async fn a_scheduler_can_do_its_work_with_few_rights() {
    for rules in [rights_of("shop-scheduler"), without_info(&rights_of("shop-scheduler"))] {
        let server = RedisServer::builder().user("shop-scheduler", "pw", &rules).start();
        let connection = connect(&server).await;
        produces(&connection).await;
        schedules_come_and_go(&connection).await;
        documents_come_and_go(&connection).await;
        assert_eq!(connection.schedules().marks().await.expect("tells").len(), 1);
        let error = connection.broker().sweep(&queue(), 9).await.expect_err("no worker");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    }
}

#[tokio::test]
async fn a_worker_can_do_its_work_with_few_rights() {
    let server = RedisServer::builder().user("shop-worker", "pw", &rights_of("shop-worker")).start();
    let connection = connect(&server).await;
    produces(&connection).await;
    works(&connection).await;
    documents_come_and_go(&connection).await;
    lines_come(&connection).await;
}

/// Whatever right is missing for a while, a document is at the one version or at the other, and it is listed.
#[tokio::test]
async fn a_document_is_whole_whatever_right_was_missing_for_a_while() {
    let server = RedisServer::builder().user("shop-worker", "pw", &rights_of("shop-worker")).start();
    let connection = connect(&server).await;
    let documents = connection.documents();
    let right = |sign: &str, command: &str| {
        server.command(&["ACL", "SETUSER", "shop-worker", &format!("{sign}{command}")]);
    };
    for command in ["hget", "zcard", "incr", "set", "hset", "zadd"] {
        right("-", command);
        // The right to set is needed only where the counter is behind the clock.
        let saved = documents.save(&document("d"), None, "new").await;
        assert!(saved.is_err() || command == "set", "{command}: {saved:?}");
        right("+", command);
        let present = documents.read(&document("d")).await.expect("reads").map(|found| found.version);
        let version = save_document(&connection, "d", present).await;
        assert_eq!(documents.list(&queue(), None, 9).await.expect("lists").len(), 1, "{command}");
        assert!(documents.forget(&document("d"), version).await.expect("forgets"));
    }
    for command in ["hget", "zrem", "hdel"] {
        let version = save_document(&connection, "d", None).await;
        right("-", command);
        let error = documents.forget(&document("d"), version).await.expect_err("not allowed");
        assert_eq!(error.kind(), ErrorKind::Refused, "{command}: {error}");
        right("+", command);
        assert_eq!(documents.read(&document("d")).await.expect("reads").expect("is kept").version, version);
        assert!(documents.forget(&document("d"), version).await.expect("forgets"));
        assert_eq!(documents.list(&queue(), None, 9).await.expect("lists"), []);
    }
}

#[tokio::test]
async fn a_worker_without_info_reclaims_the_tasks_of_the_dead_all_the_same() {
    let rules = without_info(&rights_of("shop-worker"));
    let server = RedisServer::builder().user("shop-worker", "pw", &rules).start();
    let connection = connect(&server).await;
    produces(&connection).await;
    works(&connection).await;
    reclaims(&server, &connection).await;
}

/// Lets the retrying task be due.
fn make_due(server: &RedisServer) {
    let script = "
        for _, chunk in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
            local keys = KEYS[1]..':'..chunk
            for _, key in ipairs(redis.call('ZRANGE', keys, 0, -1)) do redis.call('ZADD', keys, 1, key) end
            redis.call('ZADD', KEYS[1], 1, chunk)
        end";
    server.command(&["EVAL", script, "1", "taskq:{q}:retry"]);
}

#[tokio::test]
async fn a_right_that_is_taken_away_for_a_while_loses_no_task_and_counts_no_delivery() {
    let server = RedisServer::builder().user("shop-worker", "pw", &rights_of("shop-worker")).start();
    let connection = connect(&server).await;
    let id = enqueue(&connection, invocation()).await;
    let owner = join(&connection).await;
    let keeping = ["hset", "zadd", "incr"];
    for command in ["lmpop", "hset", "zadd", "incr"] {
        server.command(&["ACL", "SETUSER", "shop-worker", &format!("-{command}")]);
        for _ in 0..3 {
            let error = connection.broker().claim(owner, &queue(), 9, ClaimNumber(1)).await.expect_err("not allowed");
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        }
        server.command(&["ACL", "SETUSER", "shop-worker", &format!("+{command}")]);
        let mut claimed = connection.broker().held(owner, &queue(), ClaimNumber(0)).await.expect("lists");
        claimed.extend(claim(&connection, owner, 9).await);
        let claimed = claimed.pop().expect("not lost");
        assert_eq!((&claimed.envelope.id, claimed.deliveries), (&id, 1), "{command}");

        server.command(&["ACL", "SETUSER", "shop-worker", &format!("-{command}")]);
        let retry = Ending::Retry(Duration::from_secs(60));
        for _ in 0..3 {
            // Without these it cannot be kept for later; then it stays in its worker's hands.
            let settled = try_settle(&connection, owner, &claimed, retry.clone()).await;
            assert_eq!(settled.is_err(), keeping.contains(&command), "{command}: {settled:?}");
            if settled.is_ok() {
                break;
            }
        }
        server.command(&["ACL", "SETUSER", "shop-worker", &format!("+{command}")]);
        if keeping.contains(&command) {
            assert_eq!(settle(&connection, owner, &claimed, retry).await, Settled::Applied, "{command}");
        }
        assert_eq!(state(&connection, &id).await, Some(State::Retrying));
        make_due(&server);
    }

    let elsewhere = format!("{}?namespace=elsewhere", server.url());
    let error = try_connect(&elsewhere).await.expect_err("not its namespace");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

#[tokio::test]
async fn a_purge_without_one_of_its_rights_takes_nothing_away() {
    let server = RedisServer::builder().user("shop-worker", "pw", &rights_of("shop-worker")).start();
    let connection = connect(&server).await;
    let many: Vec<_> = (0..30).map(|_| invocation().into_envelope().expect("valid")).collect();
    connection.broker().enqueue(&queue(), BatchId::generate(), &many).await.expect("enqueues");
    enqueue(&connection, invocation().unique(Unique::key("u"))).await;
    for command in ["lmpop", "hset", "zadd", "hdel", "zrem"] {
        server.command(&["ACL", "SETUSER", "shop-worker", &format!("-{command}")]);
        let purged = connection.control().purge(&queue(), Purge::Waiting, 99).await;
        let error = purged.expect_err("not allowed");
        assert_eq!(error.kind(), ErrorKind::Refused, "{command}: {error}");
        server.command(&["ACL", "SETUSER", "shop-worker", &format!("+{command}")]);
        assert_eq!(connection.inspect().counts(&queue()).await.expect("counts").ready, 31, "{command}");
    }
    let claimed = claim(&connection, join(&connection).await, 3).await;
    assert_eq!(
        claimed.iter().map(|claimed| &claimed.envelope.id).collect::<Vec<_>>(),
        [&many[0].id, &many[1].id, &many[2].id]
    );
    let answer = connection.control().purge(&queue(), Purge::Waiting, 99).await.expect("purges");
    assert_eq!(answer, PurgeAnswer { purged: 28, more: false });
}

#[tokio::test]
async fn a_viewer_sees_what_there_is_and_changes_nothing() {
    let server = RedisServer::builder().user("shop-viewer", "pw", &rights_of("shop-viewer")).start();
    let owning = try_connect(&format!("redis://127.0.0.1:{}", server.port())).await.expect("opens");
    let owner = join(&owning).await;
    enqueue(&owning, invocation()).await;
    let task = claim_one(&owning, owner).await;
    settle(&owning, owner, &task, Ending::Dead(DeadReason::Fatal)).await;
    enqueue(&owning, invocation()).await;
    let running = claim_one(&owning, owner).await;
    let waiting = enqueue(&owning, invocation()).await;
    let scheduled = enqueue(&owning, invocation().delay(Duration::from_secs(60))).await;
    let version = save_document(&owning, "d", None).await;

    let connection = connect(&server).await;
    let (broker, inspect, control) = (connection.broker(), connection.inspect(), connection.control());
    assert_eq!(inspect.queues().await.expect("lists"), [queue()]);
    let counts = Counts { ready: 1, scheduled: 1, running: 1, dead: 1, ..Counts::default() };
    assert_eq!(inspect.counts(&queue()).await.expect("counts"), counts);
    let letters = inspect.dead_letters(&queue(), None, 9).await.expect("lists");
    assert_eq!((&letters[0].id, letters[0].reason), (&task.envelope.id, DeadReason::Fatal));
    assert!(inspect.dead_letters(&queue(), Some(&letters[0].id.key), 9).await.expect("lists").is_empty());

    for shelf in Shelf::ALL {
        let page = inspect.tasks(&queue(), shelf, None, 9).await.expect("lists");
        assert_eq!(page.tasks.len() as u64, counts.on(shelf), "{shelf}");
    }
    assert_eq!(inspect.queue(&queue()).await.expect("looks").counts, counts);
    assert!(inspect.task(&waiting).await.expect("looks").is_some_and(|view| view.envelope.is_some()));
    assert_eq!(inspect.unique_holder(&queue(), "none").await.expect("looks"), None);
    assert!(connection.fleet().members(None, 9).await.expect("lists").is_empty());
    assert_eq!(connection.leader().incumbent().await.expect("looks"), None);
    assert!(connection.schedules().marks().await.expect("looks").is_empty());

    let documents = connection.documents();
    let kept = documents.read(&document("d")).await.expect("reads").expect("is kept");
    assert_eq!(documents.list(&queue(), None, 9).await.expect("lists"), std::slice::from_ref(&kept));

    lines_come(&owning).await;
    let talkative = TaskId::new(queue(), TaskKey::own("talks").expect("valid"));
    let lines = connection.logs().lines(&talkative).await.expect("reads");
    assert!(!lines.is_empty());

    events_come(&owning).await;
    let happened = connection.events().read(None, 1).await.expect("reads").events;
    assert_eq!(connection.events().last().await.expect("tells"), owning.events().last().await.expect("tells"));

    let envelope = invocation().into_envelope().expect("valid");
    let viewer = Owner { worker: WorkerId::generate(), term: 0 };
    let errors = [
        try_enqueue(&connection, &envelope).await.expect_err("enqueues"),
        broker.join(viewer, &queue(), limits::LEASE).await.expect_err("joins"),
        broker.claim(owner, &queue(), 9, ClaimNumber(1)).await.expect_err("claims"),
        try_settle(&connection, owner, &running, succeeded()).await.expect_err("settles"),
        broker.beat(&[(owner, queue())]).await.expect_err("beats"),
        broker.leave(owner, &queue()).await.expect_err("leaves"),
        broker.sweep(&queue(), 9).await.expect_err("sweeps"),
        broker.cancel(&waiting).await.expect_err("cancels"),
        control.replay(&task.envelope.id).await.expect_err("replays"),
        control.drop_dead(&task.envelope.id).await.expect_err("drops"),
        control.run_now(&scheduled).await.expect_err("runs nothing now"),
        control.pause(&queue()).await.expect_err("pauses"),
        connection.fleet().check_in(viewer.worker.into(), "here", limits::REPORT_KEPT).await.expect_err("checks in"),
        control.purge(&queue(), Purge::Waiting, 9).await.expect_err("purges"),
        control.purge(&queue(), Purge::DeadLetters, 9).await.expect_err("purges"),
        connection.logs().append(&talkative, &lines).await.expect_err("appends"),
        connection.events().publish(&[happened[0].1.clone()]).await.expect_err("publishes"),
        documents.save(&document("d"), Some(version), "other").await.expect_err("saves"),
        documents.forget(&document("d"), version).await.expect_err("forgets"),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    }
    assert_eq!(owning.inspect().counts(&queue()).await.expect("counts"), counts);
    assert_eq!(owning.documents().read(&document("d")).await.expect("reads"), Some(kept));
    assert_eq!(settle(&owning, owner, &running, succeeded()).await, Settled::Applied);
}
