//! Metrics as Prometheus gets them: over HTTP from real processes, and as a text for servers of one's own.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use taskq::{
    Connection, Invocation, TaskError, limits,
    metrics::{CONTENT_TYPE, Family, Kind, Metrics, families},
    task,
    testing::TestQueue,
};
use taskq_test_support::{ChildProcess, HttpAnswer, OpenMetrics, RedisServer, TempFolder, example_program};

const LONG: Duration = Duration::from_secs(60);

/// A process of the example `metered` that listens, and its address.
fn start(folder: &TempFolder, url: &str, arguments: &[&str]) -> (ChildProcess, String) {
    let mut command = Command::new(example_program("metered"));
    command.args(arguments).args(["--url", url, "--listen", "127.0.0.1:0"]).current_dir(folder.path());
    let process = ChildProcess::spawn(&mut command);
    let address = process.wait_for_words("/metrics and /depth at=", LONG);
    (process, address)
}

fn scrape(address: &str) -> OpenMetrics {
    let answer = HttpAnswer::get(address, "/metrics");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(CONTENT_TYPE)), "{answer:?}");
    OpenMetrics::parse(&answer.body)
}

/// Scrapes until the metrics are as they should be in the end.
fn scrape_until(address: &str, is_there: impl Fn(&OpenMetrics) -> bool) -> OpenMetrics {
    let begun = Instant::now();
    loop {
        let metrics = scrape(address);
        if is_there(&metrics) {
            return metrics;
        }
        assert!(begun.elapsed() < LONG, "{metrics:#?}");
    }
}

async fn sqlite(folder: &TempFolder) -> (Connection, String) {
    let url = format!("sqlite://{}", folder.file("tasks.db").display());
    (taskq::connect(&url).await.expect("opens"), url)
}

fn settled(metrics: &OpenMetrics, task: &str, outcome: &str) -> Option<f64> {
    metrics.value("taskq_tasks_settled_total", &[("queue", "images"), ("task", task), ("outcome", outcome)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_tells_over_http_what_became_of_its_tasks_and_how_its_queues_are() {
    let folder = TempFolder::new();
    let (connection, url) = sqlite(&folder).await;
    let named = |name: &str, arguments| Invocation::named(name, &arguments).queue("images");
    let nothing = || serde_json::json!({});
    let client = connection.client();
    client
        .enqueue_all((0..40).map(|width| named("resize", serde_json::json!({"width": width}))))
        .await
        .expect("enqueues");
    client.enqueue_all((0..3).map(|_| named("fetch", nothing()))).await.expect("enqueues");
    client.enqueue_all((0..2).map(|_| named("decode", nothing()))).await.expect("enqueues");
    client.enqueue(named("resize", nothing()).delay(Duration::from_secs(3_600))).await.expect("enqueues");

    let (worker, address) = start(&folder, &url, &["worker", "--scheduler"]);
    let all = scrape_until(&address, |metrics| {
        let leads = metrics.value("taskq_scheduler_leader", &[]) == Some(1.0);
        leads && settled(metrics, "fetch", "succeeded") == Some(3.0) && settled(metrics, "decode", "dead") == Some(2.0)
    });
    assert_eq!((settled(&all, "resize", "succeeded"), settled(&all, "fetch", "retried")), (Some(40.0), Some(3.0)));
    let images = ("queue", "images");
    let of = |name: &str, task: &str| all.value(name, &[images, ("task", task)]);
    assert_eq!(of("taskq_tasks_started_total", "fetch"), Some(6.0));
    assert_eq!(of("taskq_task_run_seconds_count", "resize"), Some(40.0));
    assert_eq!(of("taskq_task_queue_wait_seconds_count", "fetch"), Some(6.0));
    assert_eq!(of("taskq_tasks_panicked_total", "decode"), Some(0.0));
    assert_eq!(all.value("taskq_worker_ready", &[]), Some(1.0));
    assert_eq!(all.value("taskq_broker_up", &[]), Some(1.0));
    assert_eq!(all.value("taskq_worker_slots", &[("lane", "images")]), Some(10.0));
    assert_eq!(all.value("taskq_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert_eq!(all.value("taskq_scheduler_elections_total", &[]), Some(1.0));
    // The broker's answers may be a second old.
    let depth = |metrics: &OpenMetrics, state| metrics.value("taskq_queue_depth", &[images, ("state", state)]);
    scrape_until(&address, |metrics| {
        let states = ["ready", "running", "scheduled", "retrying", "dead"].map(|state| depth(metrics, state));
        states == [0.0, 0.0, 1.0, 0.0, 2.0].map(Some)
    });
    let known: BTreeSet<_> = families().iter().map(|family| family.name).collect();
    let told: BTreeSet<_> = all.families.keys().map(String::as_str).collect();
    assert!(told.is_subset(&known), "{:?}", told.difference(&known).collect::<Vec<_>>());
    for family in families().iter().filter(|family| family.name != "taskq_health_checks") {
        let told = &all.families[family.name];
        assert_eq!((told.kind.as_str(), told.unit.as_deref()), (family.kind.as_str(), family.unit), "{}", family.name);
    }

    worker.terminate();
    assert!(worker.wait_for_exit(LONG).success());
}

/// Prometheus takes a count that first appears as 1 for one that has always been 1.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_told_as_zero_before_it_first_runs() {
    let folder = TempFolder::new();
    let (connection, url) = sqlite(&folder).await;
    let (worker, address) = start(&folder, &url, &["worker"]);
    let metrics = scrape(&address);
    for task in ["resize", "fetch", "decode"] {
        let counts = ["succeeded", "retried", "dead"].map(|outcome| settled(&metrics, task, outcome));
        assert_eq!(counts, [Some(0.0); 3], "{task}");
    }
    let decode = Invocation::named("decode", &serde_json::json!({})).queue("images");
    connection.client().enqueue(decode).await.expect("enqueues");
    scrape_until(&address, |metrics| settled(metrics, "decode", "dead") == Some(1.0));
    worker.terminate();
    assert!(worker.wait_for_exit(LONG).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_reads_how_much_work_a_queue_has() {
    let folder = TempFolder::new();
    let (connection, url) = sqlite(&folder).await;
    let waiting = |_| Invocation::named("unknown", &serde_json::json!({})).queue("later");
    connection.client().enqueue_all((0..7).map(waiting)).await.expect("enqueues");
    let (_scheduler, address) = start(&folder, &url, &["scheduler"]);
    let later = HttpAnswer::get(&address, "/depth?queue=later");
    assert_eq!((later.status, later.header("content-type")), (200, Some("application/json")), "{later:?}");
    let answer: serde_json::Value = serde_json::from_str(&later.body).expect("JSON");
    let expected = serde_json::json!({
        "queue": "later", "depth": 7, "ready": 7, "running": 0, "scheduled": 0, "retrying": 0, "dead": 0
    });
    assert_eq!(answer, expected);
    let never = HttpAnswer::get(&address, "/depth?queue=never-used");
    assert!(never.status == 200 && never.body.contains(r#""depth":0"#), "{never:?}");
    for (path, told) in
        [("/depth", "say which queue"), ("/depth?queue=", "use 1 to 128"), ("/depth?queue=a%20b", "not allowed")]
    {
        let answer = HttpAnswer::get(&address, path);
        assert!(answer.status == 400 && answer.body.contains(told), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn ten_thousand_foreign_names_of_tasks_and_queues_make_a_short_text() {
    let queue = TestQueue::start_with(|worker| worker.queue("own", 50)).await.expect("starts");
    let nothing = serde_json::json!({});
    let foreign = |number| Invocation::named(&format!("foreign-{number}"), &nothing).queue("own");
    queue.client().enqueue_all((0..10_000).map(foreign)).await.expect("enqueues");
    let elsewhere = |number| Invocation::named("foreign", &nothing).queue(format!("tenant-{number:05}"));
    queue.client().enqueue_all((0..10_000).map(elsewhere)).await.expect("enqueues");
    queue.advance(Duration::from_secs(1)).await;
    let text = Metrics::of(queue.connection()).worker(queue.worker().pulse()).text().await;
    let all = OpenMetrics::parse(&text);
    // The worker's own tasks are told before they run; of those that it does not know none is.
    assert_eq!(all.values_of("task"), ["gives_up", "other", "works"].map(str::to_owned).into());
    let put_off = [("queue", "own"), ("task", "other"), ("outcome", "put_off")];
    assert_eq!(all.value("taskq_tasks_settled_total", &put_off), Some(10_000.0));
    let enqueued = &all.families["taskq_tasks_enqueued"].samples;
    assert_eq!(enqueued.iter().map(|sample| sample.value).sum::<f64>(), 20_000.0);
    assert!(enqueued.len() <= limits::MAX_COUNTED_QUEUES + 2, "{}", enqueued.len());
    let depths: BTreeSet<_> =
        all.families["taskq_queue_depth"].samples.iter().map(|depth| &depth.labels["queue"]).collect();
    assert_eq!(depths.len(), limits::MAX_COUNTED_QUEUES);
    assert_eq!(all.value("taskq_queues_left_out", &[]), Some((10_001 - limits::MAX_COUNTED_QUEUES) as f64));
    assert!(text.len() < 300_000, "{}", text.len());
    queue.drain().await;
}

#[test]
fn a_broker_that_is_away_is_told_and_holds_nothing_up() {
    let folder = TempFolder::new();
    let mut server = RedisServer::start();
    let (worker, address) = start(&folder, &server.url(), &["worker"]);
    scrape_until(&address, |metrics| metrics.value("taskq_broker_up", &[]) == Some(1.0));
    server.kill();
    let begun = Instant::now();
    let away = scrape_until(&address, |metrics| metrics.value("taskq_broker_up", &[]) == Some(0.0));
    assert!(
        begun.elapsed() < limits::METRICS_KEPT + limits::METRICS_BOUND + Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(!away.families.contains_key("taskq_queue_depth"), "nothing is told that is not known");
    let untold = HttpAnswer::get(&address, "/depth?queue=images");
    assert_eq!(untold.status, 503, "never a zero: {untold:?}");
    server.restart();
    let back = scrape_until(&address, |metrics| {
        metrics.value("taskq_broker_up", &[]) == Some(1.0)
            && metrics.value("taskq_broker_reconnects_total", &[]).is_some_and(|count| count >= 1.0)
    });
    assert!(back.value("taskq_broker_errors_total", &[]).is_some_and(|count| count >= 1.0));
    worker.terminate();
    assert!(worker.wait_for_exit(LONG).success());
}

#[task(queue = "own")]
async fn works() {}

#[task(queue = "own")]
async fn gives_up() -> taskq::TaskResult<()> {
    Err(TaskError::fatal("never"))
}

#[tokio::test]
async fn a_server_of_ones_own_gets_the_same_text() {
    let queue = TestQueue::start().await.expect("starts");
    let metrics = Metrics::of(queue.connection()).worker(queue.worker().pulse());
    queue.client().enqueue(works::with()).await.expect("enqueues");
    queue.client().enqueue(gives_up::with()).await.expect("enqueues");
    queue.run_ready().await;
    let read = OpenMetrics::parse(&metrics.text().await);
    assert_eq!(read.value("taskq_tasks_enqueued_total", &[("queue", "own")]), Some(2.0));
    let outcome = |task, outcome| {
        read.value("taskq_tasks_settled_total", &[("queue", "own"), ("task", task), ("outcome", outcome)])
    };
    assert_eq!((outcome("works", "succeeded"), outcome("gives_up", "dead")), (Some(1.0), Some(1.0)));
    assert!(!read.families.contains_key("taskq_scheduler_leader"), "there is no scheduler");
    assert_eq!(metrics.figures().queue("own").expect("known").total().started, 2);

    // A client alone tells of what it enqueued, and of the broker.
    let alone = OpenMetrics::parse(&Metrics::of(queue.connection()).text().await);
    assert!(alone.families.contains_key("taskq_tasks_enqueued") && !alone.families.contains_key("taskq_tasks_started"));
    queue.drain().await;
}

// Documents ------------------------------------------------------------------------------------------------

/// The name under which docs and people know a family.
fn shown(family: &Family) -> String {
    match family.kind {
        Kind::Counter => format!("{}_total", family.name),
        Kind::Info => format!("{}_info", family.name),
        _ => family.name.to_owned(),
    }
}

#[test]
fn every_family_is_documented_and_nothing_else_is() {
    let document = read("docs/metrics.md");
    let rows: BTreeSet<&str> = document.lines().filter(|line| line.starts_with("| `taskq_")).collect();
    for family in families() {
        let labels = family.labels.join(", ");
        let begin =
            format!("| `{}` | {} | {labels} | {} | ", shown(family), family.kind.as_str(), family.unit.unwrap_or(""));
        let rows = rows.iter().filter(|row| row.starts_with(&begin)).count();
        assert_eq!(rows, 1, "docs/metrics.md has no row {begin}");
    }
    assert_eq!(rows.len(), families().len(), "docs/metrics.md has rows of no family");
}

/// Every name of ours in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("taskq_")).collect()
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_what_is_told() {
    let told: BTreeSet<String> = families().iter().flat_map(Family::series).collect();
    let (dashboard, alerts) = (read("deploy/grafana/taskq.json"), read("deploy/prometheus/alerts.yml"));
    for (file, text) in [("taskq.json", &dashboard), ("alerts.yml", &alerts)] {
        let unknown: Vec<_> = names(text).into_iter().filter(|name| !told.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
    let asked = names(&dashboard);
    for family in families() {
        let is_asked = family.series().iter().any(|series| asked.contains(series.as_str()));
        assert!(is_asked, "the dashboard shows nothing of {}", family.name);
    }
}

#[test]
fn the_dashboard_loads_in_grafana_10() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana/taskq.json")).expect("JSON");
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| (38..=39).contains(&version)));
    assert_eq!(dashboard["id"], serde_json::Value::Null, "an id of another Grafana");
    let variables: Vec<_> = dashboard["templating"]["list"].as_array().expect("a list").iter().collect();
    assert!(variables.iter().any(|variable| variable["type"] == "datasource" && variable["query"] == "prometheus"));
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{panel}");
        let place = &panel["gridPos"];
        let (x, y) = (place["x"].as_u64().expect("a place"), place["y"].as_u64().expect("a place"));
        assert!(places.insert((x, y)) && x + place["w"].as_u64().expect("a width") <= 24, "{place}");
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty());
        for target in targets.iter().chain([panel]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let alerts = read("deploy/prometheus/alerts.yml");
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() >= 10, "{}", rules.len());
    for rule in rules {
        let has = |key: &str| rule.lines().any(|line| line.trim_start().starts_with(key));
        for key in ["expr:", "severity:", "summary:", "do:"] {
            assert!(has(key), "no {key} in {rule}");
        }
    }
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}
