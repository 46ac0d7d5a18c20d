//! The writer: it answers after the commit, one step's error is its own, and a lock held elsewhere is waited for.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use taskq_core::{ErrorKind, Invocation, State, Unique, broker::Settled, id::BatchId};

use crate::{Place, claim, enqueue, join, queue, succeed, try_enqueue};

/// Far more than any of these waits takes, far less than a test may.
const BOUND: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_answered_is_committed_however_many_ask_at_once() {
    let place = Place::new();
    let connection = place.connect().await;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (connection, file) = (connection.clone(), place.file());
            tokio::spawn(async move {
                let id = enqueue(&connection).await;
                // Another connection sees only what is committed.
                let other = rusqlite::Connection::open(file).expect("opens");
                let statement = "SELECT count(*) FROM taskq_tasks WHERE key = ?1";
                other.query_row(statement, [id.key.to_bytes()], |row| row.get::<_, i64>(0)).expect("reads")
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.expect("ends"), 1);
    }
}

#[tokio::test]
async fn nothing_is_answered_while_the_commit_is_held_up_and_nobody_hears_of_the_lock() {
    let place = Place::new();
    let connection = place.connect().await;
    let lock = rusqlite::Connection::open(place.file()).expect("opens");
    lock.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { try_enqueue(&connection).await })
        })
        .collect();
    // Reads go on meanwhile; by their end, the callers have had every chance to be answered.
    for _ in 0..50 {
        assert_eq!(connection.inspect().counts(&queue()).await.expect("counts").ready, 0);
    }
    assert!(callers.iter().all(|caller| !caller.is_finished()));
    lock.execute_batch("COMMIT").expect("unlocks");
    for caller in callers {
        caller.await.expect("ends").expect("is accepted after all");
    }
    assert_eq!(connection.inspect().counts(&queue()).await.expect("counts").ready, 20);
}

#[tokio::test]
async fn a_lock_that_is_never_given_back_is_unavailable_in_the_end() {
    let place = Place::new();
    let connection = place.connect().await;
    let lock = rusqlite::Connection::open(place.file()).expect("opens");
    lock.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let start = Instant::now();
    let error = try_enqueue(&connection).await.expect_err("is locked");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true));
    assert!(error.to_string().contains("another process held the write lock"), "{error}");
    assert!(start.elapsed() < BOUND);
    lock.execute_batch("ROLLBACK").expect("unlocks");
    enqueue(&connection).await;
}

/// A batch whose second task meets a row that nobody can read fails after its first was inserted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_steps_error_undoes_that_step_and_not_its_neighbours() {
    let place = Place::new();
    let connection = place.connect().await;
    let owner = join(&connection).await;
    let lock = rusqlite::Connection::open(place.file()).expect("opens");
    let spoiled = "INSERT INTO taskq_uniques (queue, name, key) SELECT queue, 'k', x'2f' FROM taskq_queues";
    lock.execute(spoiled, []).expect("spoils a unique key");
    lock.execute_batch("BEGIN IMMEDIATE").expect("locks");
    // All of these wait for the lock and so go into few transactions.
    let calls: Vec<_> = (0..30)
        .map(|number| {
            let connection = connection.clone();
            let unique = Invocation::named("noop", &serde_json::json!({})).queue("q").unique(Unique::key("k"));
            let failing = [crate::envelope(), unique.into_envelope().expect("valid")];
            tokio::spawn(async move {
                match number % 3 {
                    0 => connection.broker().enqueue(&queue(), BatchId::generate(), &failing).await.map(|_| ()),
                    _ => try_enqueue(&connection).await.map(|_| ()),
                }
            })
        })
        .collect();
    lock.execute_batch("ROLLBACK").expect("unlocks");
    for (number, call) in calls.into_iter().enumerate() {
        match call.await.expect("ends") {
            Err(error) => assert_eq!((number % 3, error.kind()), (0, ErrorKind::Internal)),
            Ok(()) => assert_ne!(number % 3, 0),
        }
    }
    assert_eq!(claim(&connection, owner, 99).await.len(), 20);
}

/// The median of a few, so that one slow moment of the machine proves nothing; the net alone needs 125 ms on average.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_wake_each_other_much_sooner_than_the_net_would() {
    let place = Place::new();
    let (here, there) = (place.connect().await, place.connect().await);
    let owner = join(&there).await;
    let (mut work, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let waiting = {
            let there = there.clone();
            tokio::spawn(async move {
                there.broker().work_arrived(&[(owner, queue())], BOUND).await.expect("waits");
                Instant::now()
            })
        };
        until_somebody_listens(&place, 1).await;
        let enqueued = Instant::now();
        let id = enqueue(&here).await;
        work.push(waiting.await.expect("ends").saturating_duration_since(enqueued));

        let waiting = {
            let (here, id) = (here.clone(), id.clone());
            tokio::spawn(async move {
                let snapshot = here.broker().wait(&id, BOUND).await.expect("waits").expect("known");
                (snapshot.state, Instant::now())
            })
        };
        until_somebody_listens(&place, 2).await;
        there.broker().beat(&[(owner, queue())]).await.expect("beats");
        let claimed = claim(&there, owner, 1).await.remove(0);
        let settled = Instant::now();
        assert_eq!(succeed(&there, owner, claimed).await, Settled::Applied);
        let (state, heard) = waiting.await.expect("ends");
        assert_eq!(state, State::Succeeded);
        ends.push(heard.saturating_duration_since(settled));
    }
    for mut delays in [work, ends] {
        delays.sort();
        println!("median {:?} of {delays:?}", delays[delays.len() / 2]);
        assert!(delays[delays.len() / 2] < Duration::from_millis(60), "{delays:?}");
    }
}

/// Sockets appear when a connection waits for the first time.
async fn until_somebody_listens(place: &Place, count: usize) {
    let listening = || fs::read_dir(place.bells()).map_or(0, Iterator::count);
    while listening() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_bell_is_made_good_by_looking() {
    let place = Place::new();
    let (here, there) = (place.connect().await, place.connect().await);
    let owner = join(&there).await;
    let waiting = {
        let there = there.clone();
        tokio::spawn(async move { there.broker().work_arrived(&[(owner, queue())], BOUND).await })
    };
    until_somebody_listens(&place, 1).await;
    for socket in fs::read_dir(place.bells()).expect("lists") {
        fs::remove_file(socket.expect("lists").path()).expect("removes");
    }
    let start = Instant::now();
    enqueue(&here).await;
    waiting.await.expect("ends").expect("is woken");
    assert!(start.elapsed() < BOUND / 2, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_bell_can_hang_the_net_is_enough() {
    let place = Place::new();
    fs::write(place.bells(), "in the way").expect("writes");
    let (here, there) = (place.connect().await, place.connect().await);
    let owner = join(&there).await;
    let start = Instant::now();
    let waiting = {
        let there = there.clone();
        tokio::spawn(async move { there.broker().work_arrived(&[(owner, queue())], BOUND).await })
    };
    enqueue(&here).await;
    waiting.await.expect("ends").expect("is woken");
    assert!(start.elapsed() < BOUND / 2, "{:?}", start.elapsed());
    drop((here, there));
    assert_eq!(fs::read_to_string(place.bells()).expect("reads"), "in the way");
}

#[tokio::test]
async fn the_bell_of_a_killed_process_is_taken_down_by_whoever_rings_it() {
    let place = Place::new();
    let connection = place.connect().await;
    fs::create_dir(place.bells()).expect("creates");
    let stale = place.bells().join("left-behind");
    drop(UnixDatagram::bind(&stale).expect("binds"));
    assert!(stale.exists());
    enqueue(&connection).await;
    // The bell is rung after the answer, so only the end of the connection is certain to come later.
    drop(connection);
    assert!(!stale.exists());
}

/// A delayed task enqueued while a worker waits wakes it when it is due, though the worker knew of nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_worker_hears_of_an_earlier_due_time() {
    let place = Place::new();
    let connection = place.connect().await;
    let owner = join(&connection).await;
    let waiting = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.broker().work_arrived(&[(owner, queue())], BOUND).await })
    };
    until_somebody_listens(&place, 1).await;
    let mut delayed = crate::envelope();
    delayed.start = taskq_core::invocation::Start::After(Duration::from_millis(300));
    let batch = BatchId::generate();
    let start = Instant::now();
    connection.broker().enqueue(&queue(), batch, &[delayed]).await.expect("enqueues");
    waiting.await.expect("ends").expect("waits");
    assert!(start.elapsed() >= Duration::from_millis(290) && start.elapsed() < BOUND / 2, "{:?}", start.elapsed());
    assert_eq!(claim(&connection, owner, 1).await.len(), 1);
}
