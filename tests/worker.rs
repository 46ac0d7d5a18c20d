//! What the worker does with attempts, shown through the testing kit: layers, timeouts, retries, cancels and drain all
//! pass through the shipped worker.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use taskq::{
    CancelAnswer, DeadReason, ErrorKind, LogLevel, LogLine, TaskErrorKind, Worker, limits, prelude::*,
    testing::TestQueue,
};

/// What the worker lends to the bodies of these tests.
#[derive(Clone, Default)]
struct App {
    calls: Arc<AtomicU32>,
    notes: Arc<Mutex<Vec<String>>>,
}

impl App {
    fn call(&self) -> u32 {
        self.calls.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn note(&self, note: impl Into<String>) {
        self.notes.lock().expect("not poisoned").push(note.into());
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().expect("not poisoned").clone()
    }
}

/// Fails until the given call.
#[task(retry = Retry::fixed(Duration::from_secs(10)).attempts(3))]
async fn flaky(ctx: &Context<App>, good_from: u32) -> TaskResult<u32> {
    match ctx.app().call() {
        call if call >= good_from => Ok(ctx.attempt()),
        call => Err(format!("call {call} fails").into()),
    }
}

#[task(timeout = Duration::from_secs(30), retry = Retry::never())]
async fn hangs() {
    std::future::pending().await
}

#[task(timeout = Duration::from_secs(30), retry = Retry::never())]
fn hangs_plainly(ctx: &Context<App>) {
    // Ignores its timeout until the test lets it go.
    while ctx.app().notes().is_empty() {
        std::thread::yield_now();
    }
}

#[task(retry = Retry::never())]
async fn panics(plain_text: bool) -> u32 {
    if plain_text { panic!("as told") } else { panic!("as told {}", 2) }
}

#[task]
async fn refuses() -> TaskResult<()> {
    Err(TaskError::fatal("never"))
}

#[task(retry = Retry::exponential().attempts(2))]
async fn asks_for_time(ctx: &Context<App>) -> TaskResult<u32> {
    match ctx.app().call() {
        1 => Err(TaskError::snooze(Duration::from_secs(60))),
        2 => Err(TaskError::retry_in(Duration::from_secs(120), "busy")),
        _ => Ok(ctx.attempt()),
    }
}

#[task]
async fn obeys(ctx: &Context<App>) -> TaskResult<()> {
    ctx.cancelled().await;
    ctx.app().note("asked to stop");
    Err(TaskError::cancelled())
}

#[task]
async fn ignores_cancels() {
    std::future::pending().await
}

#[task]
async fn takes(ctx: &Context<App>, seconds: u64) -> u64 {
    ctx.progress(1, 2);
    ctx.sleep(Duration::from_secs(seconds)).await;
    ctx.app().note(format!("took {seconds}"));
    seconds
}

#[task]
fn adds(a: i64, b: i64) -> i64 {
    a + b
}

#[task(queue = "second")]
async fn elsewhere(ctx: &Context<App>, number: u32) {
    ctx.app().note(format!("second {number}"));
}

#[task]
async fn notes(ctx: &Context<App>, number: u32) {
    ctx.app().note(format!("first {number}"));
}

#[task]
async fn too_much() -> String {
    "x".repeat(taskq::limits::MAX_RESULT)
}

/// Fails at first, and says so.
#[task(retry = Retry::fixed(Duration::from_secs(60)).attempts(2))]
async fn talks(ctx: &Context<App>, fails: u32) -> TaskResult<()> {
    ctx.log("begins");
    ctx.sleep(Duration::from_secs(10)).await;
    if ctx.attempt() <= fails {
        ctx.log_at(LogLevel::Warn, format!("attempt {} fails", ctx.attempt()));
        return Err("as told".into());
    }
    ctx.log_at(LogLevel::Debug, "ends");
    Ok(())
}

/// On a thread of its own, more than anybody reads.
#[task]
fn chatters(ctx: &Context<App>, lines: u32) {
    for number in 0..lines {
        ctx.log(number.to_string());
    }
}

async fn test_queue() -> (TestQueue, App) {
    let app = App::default();
    let lent = app.clone();
    let queue = TestQueue::start_with(|worker| worker.app(lent)).await.expect("starts");
    (queue, app)
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_failing_task_is_attempted_again_after_its_backoff() {
    let (queue, app) = test_queue().await;
    let handle = queue.client().enqueue(flaky::with(3)).await.expect("enqueues");
    queue.run_ready().await;
    assert_eq!(handle.state().await.expect("answers"), Some(State::Retrying));
    queue.advance(Duration::from_millis(9_999)).await;
    assert_eq!(app.calls.load(Ordering::SeqCst), 1, "not before its time");
    queue.advance(Duration::from_millis(1)).await;
    assert_eq!(app.calls.load(Ordering::SeqCst), 2);
    queue.advance(Duration::from_secs(10)).await;
    assert_eq!(handle.wait(LONG).await.expect("succeeds"), 3);
    let tally = queue.drain().await;
    assert_eq!((tally.claimed, tally.retried, tally.succeeded), (3, 2, 1));
}

#[tokio::test]
async fn spent_attempts_make_a_dead_letter_with_every_error() {
    let (queue, _) = test_queue().await;
    let handle = queue.client().enqueue(flaky::with(99)).await.expect("enqueues");
    queue.advance(Duration::from_secs(60)).await;
    match handle.wait(LONG).await {
        Err(WaitError::Dead { reason, attempts, error, .. }) => {
            assert_eq!((reason, attempts, error.as_str()), (DeadReason::Failed, 3, "call 3 fails"));
        }
        other => panic!("expected a dead letter, got {other:?}"),
    }
    let letters = queue.dead_letters().await;
    let errors: Vec<_> = letters[0].history().iter().map(|failed| failed.error.as_str()).collect();
    assert_eq!(errors, ["call 1 fails", "call 2 fails", "call 3 fails"]);
    let times: Vec<_> = letters[0].history().iter().map(|failed| failed.at).collect();
    assert_eq!(times[1].since(times[0]), Duration::from_secs(10));
}

#[tokio::test]
async fn a_body_that_hangs_is_ended_by_its_timeout() {
    let (queue, _) = test_queue().await;
    let handle = queue.client().enqueue(hangs::with()).await.expect("enqueues");
    queue.advance(Duration::from_millis(29_999)).await;
    assert_eq!(handle.state().await.expect("answers"), Some(State::Running));
    queue.advance(Duration::from_millis(2)).await;
    let Err(WaitError::Dead { error, .. }) = handle.wait(LONG).await else { panic!("is dead") };
    assert_eq!(error, "timed out after 30s");
    assert_eq!(queue.worker().tally().timed_out, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_body_that_ignores_its_timeout_is_settled_and_its_thread_replaced() {
    let app = App::default();
    let lent = app.clone();
    let connection = taskq::connect("memory://").await.expect("opens");
    let worker = Worker::builder(connection.clone()).app(lent).queue("default", 1).start().await.expect("starts");
    let client = connection.client();
    let hanging = client.enqueue(hangs_plainly::with().timeout(Duration::from_millis(20))).await.expect("enqueues");
    let Err(WaitError::Dead { error, .. }) = hanging.wait(Duration::from_secs(60)).await else { panic!("is dead") };
    assert!(error.starts_with("timed out"), "{error}");
    assert_eq!(worker.tally().stuck_threads, 1);
    // The only slot and the only thread are free again.
    let next = client.enqueue(adds::with(2, 3)).await.expect("enqueues");
    assert_eq!(next.wait(Duration::from_secs(60)).await.expect("runs"), 5);
    worker.drain();
    // The end of the worker does not wait for the stuck body either.
    let tally = worker.ended().await;
    assert_eq!(tally.succeeded, 1);
    app.note("let go");
}

#[tokio::test]
async fn a_panic_is_an_error_like_others() {
    let (queue, _) = test_queue().await;
    for (plain_text, expected) in [(true, "panicked: as told"), (false, "panicked: as told 2")] {
        let handle = queue.client().enqueue(panics::with(plain_text)).await.expect("enqueues");
        queue.run_ready().await;
        let Err(WaitError::Dead { error, attempts, .. }) = handle.wait(LONG).await else { panic!("is dead") };
        assert_eq!((error.as_str(), attempts), (expected, 1));
    }
    let sum = queue.client().enqueue(adds::with(2, 3)).await.expect("enqueues");
    queue.run_ready().await;
    assert_eq!(sum.wait(LONG).await.expect("the worker goes on"), 5);
    assert_eq!(queue.worker().tally().panicked, 2);
}

#[tokio::test]
async fn a_fatal_error_ends_at_once() {
    let (queue, _) = test_queue().await;
    let handle = queue.client().enqueue(refuses::with()).await.expect("enqueues");
    queue.run_ready().await;
    let Err(WaitError::Dead { reason, attempts, .. }) = handle.wait(LONG).await else { panic!("is dead") };
    assert_eq!((reason, attempts), (DeadReason::Fatal, 1));
}

#[tokio::test]
async fn a_snooze_spends_no_attempt_and_retry_in_chooses_the_delay() {
    let (queue, app) = test_queue().await;
    let handle = queue.client().enqueue(asks_for_time::with()).await.expect("enqueues");
    queue.run_ready().await;
    queue.advance(Duration::from_secs(59)).await;
    assert_eq!(app.calls.load(Ordering::SeqCst), 1);
    queue.advance(Duration::from_secs(1)).await;
    assert_eq!(app.calls.load(Ordering::SeqCst), 2);
    queue.advance(Duration::from_secs(119)).await;
    assert_eq!(app.calls.load(Ordering::SeqCst), 2);
    queue.advance(Duration::from_secs(1)).await;
    assert_eq!(handle.wait(LONG).await.expect("succeeds"), 2, "the snooze was no attempt");
}

#[tokio::test]
async fn a_cancelled_body_is_asked_and_after_a_grace_ended() {
    let (queue, app) = test_queue().await;
    let obedient = queue.client().enqueue(obeys::with()).await.expect("enqueues");
    let deaf = queue.client().enqueue(ignores_cancels::with()).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    for handle in [obedient.id(), deaf.id()] {
        assert_eq!(queue.client().cancel(handle).await.expect("cancels"), CancelAnswer::Requested);
    }
    queue.advance(taskq::limits::beat_busy(taskq::limits::LEASE)).await;
    assert_eq!(app.notes(), ["asked to stop"]);
    assert_eq!(obedient.state().await.expect("answers"), Some(State::Cancelled));
    assert_eq!(deaf.state().await.expect("answers"), Some(State::Running));
    queue.advance(taskq::limits::CANCEL_GRACE).await;
    assert!(matches!(deaf.wait(LONG).await, Err(WaitError::Cancelled(_))));
}

#[tokio::test]
async fn a_task_that_nobody_knows_is_handed_back_and_only_then_dead() {
    let (queue, _) = test_queue().await;
    let handle = queue.client().enqueue_named("from_the_future", &serde_json::json!({})).await.expect("enqueues");
    queue.advance(Duration::from_secs(3_600)).await;
    assert_eq!(handle.state().await.expect("answers"), Some(State::Retrying));
    queue.advance(taskq::limits::UNREGISTERED_BOUND).await;
    match handle.wait::<()>(LONG).await {
        Err(WaitError::Dead { reason, error, .. }) => {
            assert_eq!(reason, DeadReason::Unregistered);
            assert!(error.contains("from_the_future"), "{error}");
        }
        other => panic!("expected a dead letter, got {other:?}"),
    }
}

#[tokio::test]
async fn arguments_of_another_version_become_a_dead_letter_that_names_what_is_missing() {
    let (queue, _) = test_queue().await;
    let handle = queue.client().enqueue_named("adds", &serde_json::json!({"a": 1})).await.expect("enqueues");
    queue.run_ready().await;
    let Err(WaitError::Dead { reason, error, .. }) = handle.wait::<i64>(LONG).await else { panic!("is dead") };
    assert_eq!(reason, DeadReason::Undecodable);
    assert!(error.contains("adds") && error.contains("`b`"), "{error}");
}

#[tokio::test]
async fn a_result_over_the_limit_is_a_dead_letter() {
    let (queue, _) = test_queue().await;
    let handle = queue.client().enqueue(too_much::with()).await.expect("enqueues");
    queue.run_ready().await;
    let Err(WaitError::Dead { reason, error, .. }) = handle.wait(LONG).await else { panic!("is dead") };
    assert_eq!(reason, DeadReason::BadResult);
    assert!(error.contains("the limit is"), "{error}");
}

#[tokio::test]
async fn a_result_of_another_type_is_told_apart() {
    let (queue, _) = test_queue().await;
    let handle = queue.client().enqueue(adds::with(2, 3)).await.expect("enqueues");
    queue.run_ready().await;
    let wrong = queue.client().handle::<too_much>(handle.id());
    assert!(matches!(wrong.wait(LONG).await, Err(WaitError::OtherType { .. })));
    let unknown = "default/never".parse().expect("valid");
    assert!(matches!(queue.client().handle::<adds>(&unknown).wait(LONG).await, Err(WaitError::NotFound(_))));
}

#[tokio::test]
async fn layers_wrap_every_attempt_outermost_first_and_see_timeouts() {
    let app = App::default();
    let (outer, inner) = (app.clone(), app.clone());
    let lent = app.clone();
    let layered = |worker: taskq::WorkerBuilder| {
        worker
            .app(lent)
            .layer(move |attempt: Attempt, next: Next| {
                let app = outer.clone();
                async move {
                    app.note(format!("> {}", attempt.context().task()));
                    let outcome = next.run(attempt).await;
                    app.note(format!("< timeout {}", outcome.is_timeout()));
                    outcome
                }
            })
            .layer(move |attempt: Attempt, next: Next| {
                let app = inner.clone();
                async move {
                    app.note("inner");
                    match attempt.context().headers().get("skip") {
                        Some(_) => Outcome::Failed(TaskError::new(TaskErrorKind::Fatal, "skipped by a layer")),
                        None => next.run(attempt).await,
                    }
                }
            })
    };
    let queue = TestQueue::start_with(layered).await.expect("starts");
    queue.client().enqueue(hangs::with()).await.expect("enqueues");
    queue.advance(Duration::from_secs(30)).await;
    assert_eq!(app.notes(), ["> hangs", "inner", "< timeout true"]);
    let skipped = queue.client().enqueue(adds::with(1, 1).header("skip", "yes")).await.expect("enqueues");
    queue.run_ready().await;
    let Err(WaitError::Dead { error, .. }) = skipped.wait(LONG).await else { panic!("is dead") };
    assert_eq!(error, "skipped by a layer");
}

#[tokio::test]
async fn progress_is_seen_while_the_body_runs() {
    let (queue, _) = test_queue().await;
    let handle = queue.client().enqueue(takes::with(60)).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    let progress = handle.progress().await.expect("answers").expect("reported");
    assert_eq!((progress.done, progress.total), (1, 2));
}

/// Attempt, level and text of each line.
fn said(lines: &[LogLine]) -> Vec<(u32, LogLevel, &str)> {
    lines.iter().map(|line| (line.attempt, line.level, line.text())).collect()
}

#[tokio::test]
async fn what_a_body_logs_is_read_while_it_runs_waits_and_after_its_end() {
    let (queue, _) = test_queue().await;
    let begun = queue.now();
    let handle = queue.client().enqueue(talks::with(1)).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    let lines = handle.log_lines().await.expect("answers");
    assert_eq!(said(&lines), [(1, LogLevel::Info, "begins")], "while it runs");
    assert_eq!(lines[0].at, begun);

    queue.advance(Duration::from_secs(10)).await;
    assert_eq!(handle.state().await.expect("answers"), Some(State::Retrying));
    let first = [(1, LogLevel::Info, "begins"), (1, LogLevel::Warn, "attempt 1 fails")];
    assert_eq!(said(&handle.log_lines().await.expect("answers")), first);

    queue.advance(Duration::from_secs(71)).await;
    assert_eq!(handle.state().await.expect("answers"), Some(State::Succeeded));
    let all = [first.as_slice(), &[(2, LogLevel::Info, "begins"), (2, LogLevel::Debug, "ends")]].concat();
    assert_eq!(said(&handle.log_lines().await.expect("answers")), all);
    queue.advance(limits::LOG_TTL).await;
    assert_eq!(handle.log_lines().await.expect("answers"), []);
}

#[tokio::test]
async fn a_dead_letter_has_the_lines_of_every_attempt() {
    let (queue, _) = test_queue().await;
    let handle = queue.client().enqueue(talks::with(9)).await.expect("enqueues");
    queue.advance(Duration::from_secs(90)).await;
    assert_eq!(queue.dead_letters().await.len(), 1);
    let lines = handle.log_lines().await.expect("answers");
    assert_eq!(lines.iter().map(|line| line.attempt).collect::<Vec<_>>(), [1, 1, 2, 2]);
}

#[tokio::test]
async fn a_body_that_chatters_is_not_delayed_and_its_newest_lines_are_kept() {
    let (queue, _) = test_queue().await;
    let lines = 50_000;
    let handle = queue.client().enqueue(chatters::with(lines)).await.expect("enqueues");
    queue.run_ready().await;
    queue.advance(Duration::from_secs(1)).await;
    let kept = handle.log_lines().await.expect("answers");
    assert_eq!(kept.len(), limits::MAX_LOG_LINES);
    assert_eq!(kept.last().map(LogLine::text), Some("49999"));
    let tally = queue.drain().await;
    assert!(tally.log_lines_lost > 0 && tally.log_lines_lost < u64::from(lines), "{tally:?}");
    assert_eq!(tally.succeeded, 1);
}

#[tokio::test]
async fn the_last_lines_are_sent_before_a_worker_has_ended() {
    let (queue, _) = test_queue().await;
    let client = queue.client();
    let ids = talkers(&client, 20).await;
    queue.run_ready().await;
    assert_eq!(queue.drain().await.log_lines_lost, 0);
    for id in ids {
        assert_eq!(client.log_lines(&id).await.expect("answers").len(), 3, "{id}");
    }
}

/// Enqueues so many that say three words each.
async fn talkers(client: &Client, count: u32) -> Vec<taskq::TaskId> {
    let handles = client.enqueue_all((0..count).map(|_| chatters::with(3))).await.expect("enqueues");
    handles.iter().map(|handle| handle.id().clone()).collect()
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_claims_no_more() {
    let (queue, app) = test_queue().await;
    let connection = queue.connection().clone();
    let running = queue.client().enqueue(takes::with(20)).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    let stopper = queue.worker().stopper();
    stopper.drain();
    queue.advance(Duration::from_millis(1)).await;
    let late = queue.client().enqueue(takes::with(1)).await.expect("enqueues");
    queue.drain().await;
    assert_eq!(app.notes(), ["took 20"]);
    let client = connection.client();
    assert_eq!(client.find(running.id()).await.expect("answers").expect("kept").state, State::Succeeded);
    assert_eq!(client.find(late.id()).await.expect("answers").expect("kept").state, State::Ready);
}

#[tokio::test]
async fn what_outlasts_the_drain_is_given_back_without_spending_anything() {
    let app = App::default();
    let lent = app.clone();
    let queue = TestQueue::start_with(|worker| worker.app(lent).drain(Duration::from_secs(5))).await.expect("starts");
    let connection = queue.connection().clone();
    let handle = queue.client().enqueue(takes::with(600)).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    let tally = queue.drain().await;
    assert_eq!((tally.retried, tally.fenced), (0, 0));
    let snapshot = connection.client().find(handle.id()).await.expect("answers").expect("kept");
    assert_eq!((snapshot.state, snapshot.attempts), (State::Ready, 0));
}

#[tokio::test]
async fn a_busy_queue_does_not_take_the_slots_of_another() {
    let app = App::default();
    let lent = app.clone();
    let lanes = |worker: taskq::WorkerBuilder| worker.app(lent).queue("default", 2).queue("second", 1);
    let queue = TestQueue::start_with(lanes).await.expect("starts");
    for _ in 0..20 {
        queue.client().enqueue(takes::with(60)).await.expect("enqueues");
    }
    queue.client().enqueue(elsewhere::with(1)).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    assert_eq!(app.notes(), ["second 1"]);
    assert_eq!(queue.all_counts().await.running, 2);
}

#[tokio::test]
async fn strict_lanes_empty_the_first_queue_first() {
    let app = App::default();
    let lent = app.clone();
    let queue =
        TestQueue::start_with(|worker| worker.app(lent).strict(1, ["second", "default"])).await.expect("starts");
    for number in 0..3 {
        queue.client().enqueue(notes::with(number)).await.expect("enqueues");
        queue.client().enqueue(elsewhere::with(number)).await.expect("enqueues");
    }
    queue.run_ready().await;
    let notes = app.notes();
    let last_of_second = notes.iter().rposition(|note| note.starts_with("second")).expect("ran");
    let firsts_before = notes[..last_of_second].iter().filter(|note| note.starts_with("first")).count();
    assert!(firsts_before <= 1, "one was claimed before the others were enqueued at most: {notes:?}");
}

#[tokio::test]
async fn wrong_workers_do_not_start() {
    let builder = || async { Worker::builder(taskq::connect("memory://").await.expect("opens")) };
    let refused = |error: taskq::Error| {
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    let nothing_lent = refused(builder().await.start().await.expect_err("needs an app"));
    assert!(nothing_lent.contains("App") && nothing_lent.contains("lends nothing; pass it"), "{nothing_lent}");
    let no_tasks = refused(builder().await.tasks([]).start().await.expect_err("has no tasks"));
    assert!(no_tasks.contains("use my_tasks as _;"), "{no_tasks}");
    let [one] = taskq::tasks![adds];
    let other = taskq::Registration { location: "elsewhere.rs:1", ..one };
    let twice = refused(builder().await.tasks([one, other]).start().await.expect_err("two of one name"));
    assert!(twice.contains("\"adds\"") && twice.contains("elsewhere.rs:1") && twice.contains("worker.rs"), "{twice}");
    let [noop] = taskq::tasks![adds];
    let slots = refused(builder().await.tasks([noop]).queue("default", 0).start().await.expect_err("no slots"));
    assert!(slots.contains("no slots"), "{slots}");
    let same = refused(
        builder().await.tasks([noop]).queue("a", 1).strict(2, ["b", "a"]).start().await.expect_err("served twice"),
    );
    assert!(same.contains("served twice"), "{same}");
}
