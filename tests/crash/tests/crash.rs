//! Nothing is lost and no ghost writes, shown on real processes: one worker is killed with SIGKILL in the middle, one
//! is stopped for three leases and continued.
//!
//! `TASKQ_TASKS` and `TASKQ_SEEDS` make it larger: `TASKQ_TASKS=100000 TASKQ_SEEDS=20 cargo nextest run -p
//! taskq-crash-tests --no-capture`.

use std::time::{Duration, Instant};

use taskq::{AnyTask, Client, Invocation, TaskHandle, limits};
use taskq_crash_tests::{LONG, Program, Seed, count, ending, executions, number, square};
use taskq_test_support::{ChildProcess, Persistence, RedisServer, TempFolder};

const PROGRAM: Program = Program(env!("CARGO_BIN_EXE_crash-worker"));

async fn enqueue(client: &Client, tasks: u64, seed: &mut Seed) -> Vec<TaskHandle<square>> {
    // One in a hundred takes longer, so that some are always in the middle.
    let mut pause = || if seed.next(100) == 0 { 20_000 + seed.next(30_000) } else { 0 };
    let invocations: Vec<_> = (0..tasks).map(|number| square::with(number, pause())).collect();
    client.enqueue_all(invocations).await.expect("enqueues")
}

/// One run; returns how many stale writes were refused.
async fn kill_one_and_stop_one(url: &str, seed_number: u64, tasks: u64) -> u64 {
    let folder = TempFolder::new();
    let mut seed = Seed(seed_number);
    let connection = taskq::connect(url).await.expect("opens");
    let client = connection.client();
    let mut workers: Vec<_> = (0..3).map(|_| PROGRAM.worker(url, 64, folder.path())).collect();
    let handles = enqueue(&client, tasks, &mut seed).await;

    // In the middle: when a random part of the tasks has a result.
    let part = tasks / 10 + seed.next(tasks / 3);
    handles[usize::try_from(part).expect("fits")].wait(LONG).await.expect("succeeds");
    let (stopped, killed) = (workers.remove(0), workers.remove(0));
    // More work keeps both busy while it happens.
    let held: Vec<_> = (0..200).map(|number| square::with(tasks + number, 400_000)).collect();
    let held = client.enqueue_all(held).await.expect("enqueues");
    wait_until_busy(&connection).await;
    stop_outside_a_write(&stopped, &client).await;
    killed.kill();
    let begun = Instant::now();

    for (number, handle) in handles.iter().chain(&held).enumerate() {
        let number = number as u64;
        let result = handle.wait(LONG).await;
        assert_eq!(result.expect("none is lost"), number * number, "seed {seed_number}");
    }
    // The stop lasts three leases; there is nothing to wait for but time itself.
    tokio::time::sleep((limits::LEASE * 3).saturating_sub(begun.elapsed())).await;
    stopped.resume();
    let refused = count(&ending(&stopped), "fenced");
    let living = ending(&workers[0]);
    assert_eq!(count(&living, "fenced"), 0, "seed {seed_number}: the living worker is never refused: {living}");

    for (number, handle) in handles.iter().chain(&held).enumerate() {
        let number = number as u64;
        let result = handle.wait(LONG).await;
        assert_eq!(result.expect("kept"), number * number, "seed {seed_number}: results do not change");
    }
    let executions = executions(folder.path());
    assert_eq!(executions.len() as u64, tasks + 200, "seed {seed_number}: every task ran");
    let counts = connection.inspect().counts(&"crash".parse().expect("valid")).await.expect("counts");
    assert_eq!(counts, taskq::Counts::default(), "seed {seed_number}: nothing is left");
    let twice = executions.values().filter(|count| **count > 1).count();
    println!(
        "seed {seed_number}: {} tasks, 0 lost, {twice} ran again after a lost lease, {refused} stale writes refused",
        tasks + 200
    );
    refused
}

/// Stops a process at a moment when the others can go on: a process that is stopped in the middle of a SQLite
/// transaction holds the file's write lock, and everybody waits until it is continued.
async fn stop_outside_a_write(process: &ChildProcess, client: &Client) {
    let probe = client.clone().with_deadline(Duration::from_millis(300));
    let nobody = "crash/nobody".parse().expect("valid");
    for _ in 0..100 {
        process.stop();
        if probe.cancel(&nobody).await.is_ok() {
            return;
        }
        process.resume();
    }
    panic!("the process was writing whenever it was stopped");
}

/// Returns when tasks are running on every worker: with 200 long ones on 192 slots, when most are taken.
async fn wait_until_busy(connection: &taskq::Connection) {
    let queue = "crash".parse().expect("valid");
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        let counts = connection.inspect().counts(&queue).await.expect("counts");
        if counts.running > 130 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the workers never became busy");
}

async fn campaign(url_of: impl Fn(u64) -> String, tasks: u64) {
    let mut refused = 0;
    for seed in 1..=number("TASKQ_SEEDS", 1) {
        refused += kill_one_and_stop_one(&url_of(seed), seed, number("TASKQ_TASKS", tasks)).await;
    }
    println!("stale writes refused in all: {refused}");
    assert!(refused > 0, "the stopped worker held something and was refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_loses_nothing_when_one_worker_is_killed_and_one_stopped() {
    let folder = TempFolder::new();
    let url = |seed| format!("sqlite://{}?synchronous=normal", folder.file(&format!("{seed}.db")).display());
    campaign(url, 3_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_loses_nothing_when_one_worker_is_killed_and_one_stopped() {
    let server = RedisServer::start();
    campaign(|seed| format!("{}?namespace=seed-{seed}", server.url()), 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_resume_when_redis_is_killed_and_restarted() {
    let folder = TempFolder::new();
    let mut server = RedisServer::builder().persistence(Persistence::AppendAlways).start();
    let connection = taskq::connect(&server.url()).await.expect("opens");
    let client = connection.client().with_deadline(LONG);
    let workers: Vec<_> = (0..2).map(|_| PROGRAM.worker(&server.url(), 32, folder.path())).collect();
    for round in 0..3u64 {
        let first = round * 4_000;
        let before: Vec<_> = (first..first + 2_000).map(|number| square::with(number, 2_000)).collect();
        let before = client.enqueue_all(before).await.expect("enqueues");
        before[100].wait(LONG).await.expect("is under way");
        server.kill();
        server.restart();
        let restarted = Instant::now();
        // Long before the others, so that it shows how soon somebody works again.
        let urgent = square::with(first + 3_999, 0).priority(9);
        let urgent = client.enqueue(urgent).await.expect("enqueues");
        urgent.wait(LONG).await.expect("succeeds");
        let resumed = restarted.elapsed();
        println!("round {round}: working again {resumed:?} after the restart");
        assert!(resumed < Duration::from_secs(2), "resumed after {resumed:?}");
        for (number, handle) in (first..).zip(&before) {
            assert_eq!(handle.wait(LONG).await.expect("none is lost"), number * number);
            let snapshot = handle.snapshot().await.expect("answers").expect("kept");
            assert_eq!(snapshot.attempts, 0, "no attempt was spent");
        }
    }
    for worker in &workers {
        let tally = ending(worker);
        assert_eq!((count(&tally, "retried"), count(&tally, "dead")), (0, 0), "{tally}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_aborts_its_process_is_dead_after_three_deliveries_and_hurts_no_other() {
    let folder = TempFolder::new();
    let url = format!("sqlite://{}?synchronous=normal", folder.file("tasks.db").display());
    let client = taskq::connect(&url).await.expect("opens").client();
    let poison: Invocation<AnyTask> = Invocation::named("abort", &serde_json::json!({ "number": 1 })).queue("crash");
    let poison = client.enqueue(poison).await.expect("enqueues");
    for delivery in 1..=u64::from(limits::DEFAULT_MAX_DELIVERIES) {
        let victim = PROGRAM.doomed_worker(&url, 4, folder.path());
        assert!(!victim.wait_for_exit(LONG).success());
        assert_eq!(executions(folder.path())[&1], delivery);
    }
    let survivor = PROGRAM.worker(&url, 4, folder.path());
    match poison.wait::<()>(LONG).await {
        Err(taskq::WaitError::Dead { reason, attempts, .. }) => {
            assert_eq!((reason, attempts), (taskq::DeadReason::Crashed, 0), "a crash spends no attempt");
        }
        other => panic!("expected a dead letter, got {other:?}"),
    }
    let healthy = client.enqueue(square::with(7, 0)).await.expect("enqueues");
    assert_eq!(healthy.wait(LONG).await.expect("succeeds"), 49);
    ending(&survivor);
}

/// How long it takes from the death of a worker until another one runs what it held.
async fn takeover(url: &str) -> Duration {
    let folder = TempFolder::new();
    let client = taskq::connect(url).await.expect("opens").client();
    let first = PROGRAM.worker(url, 4, folder.path());
    let held = client.enqueue(square::with(1, 3_600_000_000)).await.expect("enqueues");
    let dead = owner_other_than(&held, None).await;
    let second = PROGRAM.worker(url, 4, folder.path());
    first.kill();
    let begun = Instant::now();
    owner_other_than(&held, Some(dead)).await;
    let taken = begun.elapsed();
    drop(second);
    taken
}

/// Returns when a worker other than this one runs the task.
async fn owner_other_than(handle: &TaskHandle<square>, other: Option<taskq::WorkerId>) -> taskq::WorkerId {
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        let owner = handle.snapshot().await.expect("answers").and_then(|snapshot| snapshot.owner);
        match owner {
            Some(owner) if Some(owner.worker) != other => return owner.worker,
            _ => tokio::task::yield_now().await,
        }
    }
    panic!("nobody runs the task");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_held_runs_elsewhere_within_seconds() {
    let (server, folder) = (RedisServer::start(), TempFolder::new());
    let sqlite = format!("sqlite://{}?synchronous=normal", folder.file("tasks.db").display());
    for url in [server.url(), sqlite] {
        for round in 0..number("TASKQ_ROUNDS", 1) {
            let taken =
                takeover(&format!("{url}{}namespace=round-{round}", if url.contains('?') { '&' } else { '?' })).await;
            println!("{}: running again {taken:?} after the kill", url.split(':').next().expect("a scheme"));
            // A lease and a sweep right after it; the rest is room for a machine that is busy with other tests.
            assert!(taken < limits::LEASE + Duration::from_secs(3), "{taken:?}");
        }
    }
}
