//! Health checks as tasks: what a row of looks makes known, who is told of it, and that neither races nor deaths tell twice.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use taskq::{
    Connection, DocumentId, EventsMode, Invocation, QueueName, Registration, Scheduler, SchedulerHandle, Subscriber,
    Told, What, Worker, WorkerHandle,
    config::Config,
    scheduler::{
        alert::Courier,
        health::{Board, BoardRow, Check, Health, Monitor, NOTICES, QUEUE},
    },
    task,
};

const LONG: Duration = Duration::from_secs(60);

/// Everybody who was told, counted by which check it was about.
static TOLD: [AtomicU32; 6] = [const { AtomicU32::new(0) }; 6];

/// Told by the alert `page`: which of the counters, and what happened.
#[task(queue = "pages")]
fn page(counter: usize, notice: serde_json::Value) -> String {
    TOLD[counter].fetch_add(1, Ordering::SeqCst);
    notice["kind"].as_str().unwrap_or_default().to_owned()
}

fn told(counter: usize) -> u32 {
    TOLD[counter].load(Ordering::SeqCst)
}

fn config(file: &str) -> Config {
    Config::from_parts(Some(("taskq.toml".into(), file.to_owned())), []).expect("is in order")
}

/// A worker that looks and tells as a configuration says.
async fn worker(connection: &Connection, file: &str) -> WorkerHandle {
    let clock = connection.clock().clone();
    let monitor = Monitor::new(taskq::observer(clock.clone()), Courier::new(clock), config(file).watchlist());
    let monitor = std::sync::Arc::new(monitor);
    let builder = Worker::builder(connection.clone()).queue(QUEUE, 10).queue(NOTICES, 10).queue("pages", 10);
    let bring = |builder: taskq::WorkerBuilder, task| builder.bring(task, monitor.clone());
    Monitor::tasks().into_iter().fold(builder, bring).start().await.expect("starts")
}

async fn scheduler(connection: &Connection, file: &str) -> SchedulerHandle {
    let entries = config(file).entries(&Registration::linked()).expect("is in order");
    Scheduler::builder(connection.clone()).file(entries).start().await.expect("starts")
}

async fn row(connection: &Connection, name: &str) -> Option<BoardRow> {
    let rows = Board::of(connection).rows().await.expect("can be asked");
    rows.into_iter().find(|row| row.name.as_str() == name)
}

async fn until(connection: &Connection, name: &str, health: Health) -> BoardRow {
    let found = async {
        loop {
            match row(connection, name).await {
                Some(row) if row.health == health => return row,
                _ => connection.clock().sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(LONG, found).await.unwrap_or_else(|_| panic!("{name} is not {health}"))
}

async fn until_told(connection: &Connection, counter: usize, times: u32) {
    let heard = async {
        while told(counter) < times {
            connection.clock().sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, heard).await.unwrap_or_else(|_| panic!("told {} times", told(counter)));
}

/// One look by hand.
fn look(check: &str) -> Invocation<taskq::AnyTask> {
    Invocation::named("taskq.health.look", &serde_json::json!({ "check": check })).queue(QUEUE)
}

/// Looks by hand and waits for what it finds. Two looks that begin in one millisecond are one to the record.
async fn look_and_see(connection: &Connection) -> Health {
    let broker = connection.broker();
    let before = broker.now().await.expect("tells the time");
    while broker.now().await.expect("tells the time") == before {}
    connection.client().enqueue(look("shop")).await.expect("enqueues").wait(LONG).await.expect("ends")
}

fn file(port: u16, counter: usize) -> String {
    format!(
        "[health.shop]\nevery = \"1s\"\nfailures = 2\ntcp = \"127.0.0.1:{port}\"\nlabels = {{ team = \"web\" }}\n\
         [alert.page]\nlabels = {{ team = \"web\" }}\n\
         task = {{ name = \"page\", queue = \"pages\", args = {{ counter = {counter} }} }}\n"
    )
}

/// A port at which somebody listens, and who that is.
async fn listener() -> (u16, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    (listener.local_addr().expect("bound").port(), listener)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_goes_and_comes_back_is_told_once_each() {
    let connection = taskq::connect("memory://").await.expect("opens").with_events(EventsMode::On);
    let events = connection.client().events().await.expect("subscribes").kind("health_changed");
    let (port, listening) = listener().await;
    let workers = [worker(&connection, &file(port, 0)).await, worker(&connection, &file(port, 0)).await];
    let scheduler = scheduler(&connection, &file(port, 0)).await;
    until(&connection, "shop", Health::Healthy).await;
    assert_eq!(told(0), 0);
    drop(listening);
    let row = until(&connection, "shop", Health::Unhealthy).await;
    let record = row.record.expect("somebody has looked");
    assert!(record.reason.expect("why").contains("connection refused"));
    assert_eq!((record.kind.as_str(), record.target.as_str()), ("tcp", format!("127.0.0.1:{port}").as_str()));
    let turns: Vec<_> = record.transitions.iter().map(|turn| turn.to).collect();
    assert_eq!(turns, [Health::Healthy, Health::Degraded, Health::Unhealthy]);
    until_told(&connection, 0, 1).await;
    let _again = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    until(&connection, "shop", Health::Healthy).await;
    until_told(&connection, 0, 2).await;
    scheduler.drain();
    scheduler.ended().await;
    for worker in workers {
        worker.drain();
        worker.ended().await;
    }
    assert_eq!(told(0), 2, "once when it was gone, once when it was back");
    assert_eq!(
        turns_of("shop", events, 4).await,
        ["unknown, healthy", "healthy, degraded", "degraded, unhealthy", "unhealthy, healthy"]
    );
}

/// From what to what a check is told to have turned, in the order of time, and that these are all.
async fn turns_of(name: &str, mut events: Subscriber, count: usize) -> Vec<String> {
    let mut turns = Vec::new();
    while turns.len() < count {
        let told = events.next_within(LONG).await.expect("reads");
        let Some(Told::Happened(_, event)) = told else { panic!("{told:?} after {turns:?}") };
        let What::HealthChanged { check, from, to, reason } = event.what else { panic!("{event:?}") };
        let is_bad = to == "degraded" || to == "unhealthy";
        let is_told_why = reason.as_deref().is_some_and(|reason| reason.contains("connection refused"));
        assert_eq!((check.as_str(), is_told_why), (name, is_bad), "{reason:?}");
        turns.push((event.at, format!("{from}, {to}")));
    }
    // Everybody who could tell more has ended, and has published before that.
    assert_eq!(events.next_within(Duration::ZERO).await.expect("reads"), None);
    turns.sort();
    turns.into_iter().map(|(_, turn)| turn).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_looks_at_once_tell_one_story() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let (port, listening) = listener().await;
    drop(listening);
    let workers = [worker(&connection, &file(port, 1)).await, worker(&connection, &file(port, 1)).await];
    let client = connection.client();
    let handles = client.enqueue_all((0..60).map(|_| look("shop"))).await.expect("enqueues");
    for handle in &handles {
        handle.wait::<Health>(LONG).await.expect("ends");
    }
    assert_eq!(look_and_see(&connection).await, Health::Unhealthy);
    until_told(&connection, 1, 1).await;
    for worker in workers {
        worker.drain();
        worker.ended().await;
    }
    assert_eq!(told(1), 1);
}

/// What a worker leaves that dies between noting a notice and sending it.
async fn leave_a_notice(connection: &Connection) {
    let id: DocumentId =
        DocumentId { queue: QueueName::new(QUEUE).expect("valid"), name: "shop".parse().expect("valid") };
    let left = serde_json::json!({
        "v": 1, "health": "unhealthy", "since": 5, "looked_at": 5, "failures": 2, "successes": 0, "latencies_ms": [],
        "transitions": [], "stale_ms": 9,
        "alerts": { "page": { "told": "unhealthy", "told_at": 5, "trouble": "unhealthy" } },
        "outbox": [{ "alert": "page", "check": "shop", "kind": "began", "health": "unhealthy", "since": 5, "at": 5 }],
    });
    connection.documents().save(&id, None, &left.to_string()).await.expect("saves");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_was_noted_and_not_sent_is_sent_by_the_next_look() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let (port, listening) = listener().await;
    drop(listening);
    leave_a_notice(&connection).await;
    let worker = worker(&connection, &file(port, 2)).await;
    for _ in 0..3 {
        look_and_see(&connection).await;
    }
    until_told(&connection, 2, 1).await;
    worker.drain();
    worker.ended().await;
    assert_eq!(told(2), 1, "that it began, which was left, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_had_to_wait_is_not_told_after_a_newer_one() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let (port, _listening) = listener().await;
    leave_a_notice(&connection).await;
    // The look finds that all is well: that it began is no news any more.
    let worker = worker(&connection, &file(port, 4)).await;
    assert_eq!(look_and_see(&connection).await, Health::Healthy);
    until_told(&connection, 4, 1).await;
    worker.drain();
    worker.ended().await;
    assert_eq!(told(4), 1, "that it is over, and nothing after it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lacks_an_alert_does_not_make_others_tell_it_again() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let (port, listening) = listener().await;
    drop(listening);
    let without = file(port, 5);
    let without = &without[..without.find("[alert").expect("has one")];
    // By turns a worker of the new configuration and one of the old.
    for turn in 0..6 {
        let text = if turn % 2 == 0 { file(port, 5) } else { without.to_owned() };
        let worker = worker(&connection, &text).await;
        look_and_see(&connection).await;
        assert_eq!(look_and_see(&connection).await, Health::Unhealthy);
        if turn == 0 {
            until_told(&connection, 5, 1).await;
        }
        worker.drain();
        worker.ended().await;
    }
    assert_eq!(told(5), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_check_leaves_it_to_others() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let (port, _listening) = listener().await;
    let ignorant = worker(&connection, "").await;
    let lone = connection.client().enqueue(look("shop").retry(taskq::Retry::never())).await.expect("enqueues");
    let error = lone.wait::<Health>(LONG).await.expect_err("nobody knows it").to_string();
    assert!(error.contains("no [health.shop]") && error.contains("the same taskq.toml"), "{error}");
    let knowing = worker(&connection, &file(port, 3)).await;
    let retry = taskq::Retry::fixed(Duration::from_millis(20)).attempts(100);
    let handle = connection.client().enqueue(look("shop").retry(retry)).await.expect("enqueues");
    assert_eq!(handle.wait::<Health>(LONG).await.expect("ends"), Health::Healthy);
    for worker in [ignorant, knowing] {
        worker.drain();
        worker.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_check_looks_where_the_workers_allow_it_and_is_forgotten_with_its_entry() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let (port, _listening) = listener().await;
    let board = Board::of(&connection);
    let form = serde_json::json!({ "every": "1s", "failures": 1, "tcp": format!("127.0.0.1:{port}") });
    board.put("added", &Check::read(form).expect("valid")).await.expect("is added");
    let scheduler = scheduler(&connection, "").await;
    let strict = worker(&connection, "").await;
    let reason = until(&connection, "added", Health::Unhealthy).await.record.and_then(|record| record.reason);
    assert!(reason.as_deref().is_some_and(|reason| reason.contains("127.0.0.1")), "{reason:?}");
    strict.drain();
    strict.ended().await;
    let liberal = worker(&connection, "[security]\ncheck_targets = [\"127.0.0.1\"]\n").await;
    until(&connection, "added", Health::Healthy).await;
    liberal.drain();
    liberal.ended().await;
    board.remove("added").await.expect("is removed");
    assert!(row(&connection, "added").await.is_none());
    // A look that was under way may have written once more.
    board.tidy().await.expect("tidies");
    let id = DocumentId { queue: QueueName::new(QUEUE).expect("valid"), name: "added".parse().expect("valid") };
    assert_eq!(connection.documents().read(&id).await.expect("reads"), None);
    scheduler.drain();
    scheduler.ended().await;
}
