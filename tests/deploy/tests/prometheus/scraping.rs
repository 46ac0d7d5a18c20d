//! A Prometheus that asks a worker and a scheduler, and what it then knows.

use std::{
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use taskq_test_support::{ChildProcess, HttpAnswer, ProgramRun, TempFolder};

use crate::{
    programs::prometheus,
    repository::{document, path},
};

/// The longest that anything here is awaited, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(60);

/// What has no value while all goes well: nothing failed, or nobody has asked for it.
const EMPTY_WHEN_WELL: [&str; 1] = ["Not enqueued, a second"];

const CONFIG: &str = r#"
[broker]
url = "sqlite://tasks.db"
[schedule.often]
every = "1s"
task = "greet"
args = { name = "you" }
[health.itself]
every = "1s"
tcp = "127.0.0.1:1"
"#;

/// A program of ours and the server that asks it, every quarter of a second.
struct Watched {
    _program: ChildProcess,
    _server: ChildProcess,
    folder: TempFolder,
    address: String,
}

impl Watched {
    fn start() -> Self {
        let folder = TempFolder::new();
        std::fs::write(folder.file("taskq.toml"), CONFIG).expect("is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_my-program"));
        command.args(["worker", "--scheduler", "--listen", "127.0.0.1:0"]).current_dir(folder.path());
        let program = ChildProcess::spawn(&mut command);
        let target = program.wait_for_words("/metrics and /depth at=", LONG);

        let mut config = document("deploy/prometheus/prometheus.yml");
        config["global"] = json!({"scrape_interval": "250ms", "evaluation_interval": "250ms"});
        config["rule_files"] = json!([path("deploy/prometheus/alerts.yml")]);
        config["scrape_configs"] = json!([{"job_name": "taskq", "static_configs": [{"targets": [target]}]}]);
        std::fs::write(folder.file("prometheus.yml"), config.to_string()).expect("is written");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound").to_string();
        drop(free);
        let mut command = Command::new(prometheus());
        command.arg(format!("--web.listen-address={address}")).current_dir(folder.path());
        let server = ChildProcess::spawn(command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]));
        server.wait_for_line(|line| line.contains("ready to receive web requests"), LONG);
        Self { _program: program, _server: server, folder, address }
    }

    /// Has a task that nobody can run with these arguments.
    fn enqueue_what_dies(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_my-program"));
        let run = ProgramRun::of(command.args(["enqueue", "send", "{\"of\": 1}"]).current_dir(self.folder.path()));
        drop(run.succeeded());
    }

    fn get(&self, path: &str) -> Value {
        let answer = HttpAnswer::get(&self.address, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    fn ask(&self, expression: &str) -> Vec<Value> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"));
        answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{expression}: {answer}")).clone()
    }

    /// The alerts that fire, or will if it stays so.
    fn alerts(&self) -> Vec<String> {
        let answer = self.get("/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().expect("alerts");
        alerts.iter().map(|alert| alert["labels"]["alertname"].as_str().expect("a name").to_owned()).collect()
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < LONG, "{what}: {:?}", self.alerts());
            thread::yield_now();
        }
    }
}

/// Title and expression of all that the dashboard asks, with its variables as Grafana fills them in.
fn asked_by_the_dashboard() -> Vec<(String, String)> {
    fn of(panels: &Value, asked: &mut Vec<(String, String)>) {
        for panel in panels.as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().expect("an expression");
                let filled =
                    expression.replace("$__rate_interval", "10s").replace("$job", "taskq").replace("$queue", ".*");
                assert!(!filled.contains('$'), "an unknown variable: {filled}");
                asked.push((panel["title"].as_str().expect("a title").to_owned(), filled));
            }
            of(&panel["panels"], asked);
        }
    }
    let mut asked = Vec::new();
    of(&document("deploy/grafana/taskq.json")["panels"], &mut asked);
    asked
}

#[test]
fn a_real_prometheus_answers_what_the_dashboard_asks_and_notices_the_first_dead_letter() {
    let watched = Watched::start();
    watched
        .until("two scrapes", |watched| watched.ask("taskq_scheduler_ticks_total{result='enqueued'} > 1").len() == 1);
    assert_eq!(watched.ask("up")[0]["value"][1], "1");
    // Before its first scrape it knows of no worker.
    watched.until("nothing but what the configuration breaks", |watched| watched.alerts() == ["TaskqHealthCheckFails"]);

    watched.enqueue_what_dies();
    watched.until("the dead letter", |watched| watched.alerts().contains(&"TaskqDeadLettersGrow".to_owned()));

    let asked = asked_by_the_dashboard();
    assert!(asked.len() > 30, "{}", asked.len());
    let is_empty = |(_, expression): &&(String, String)| watched.ask(expression).is_empty();
    let empty: Vec<_> = asked.iter().filter(is_empty).collect();
    assert!(empty.iter().all(|(title, _)| EMPTY_WHEN_WELL.contains(&title.as_str())), "{empty:#?}");
    // A task never seen before is no reason to have missed it.
    let dead = "sum(increase(taskq_tasks_settled_total{task='send', outcome='dead'}[1m])) > 0.5";
    assert_eq!(watched.ask(dead).len(), 1, "the counter was there before the task was");
}
