//! What programs export, seen by a collector: who is whose parent, what is only linked, and that nobody waits for it.

#[path = "traces/collector.rs"]
mod collector;

use std::{
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

use taskq_test_support::{ChildProcess, HttpAnswer, TempFolder};

use collector::{Collector, Span};

/// The longest that anything here is awaited, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(60);

/// A server with a worker in it.
struct Server {
    process: ChildProcess,
    address: String,
    is_exporting: bool,
}

impl Server {
    fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_traced-server"));
        let process = ChildProcess::spawn(command.envs(environment.iter().copied()));
        let line = process.wait_for_line(|line| line.starts_with("listening on "), LONG);
        let (address, exporting) = line["listening on ".len()..].split_once(", exporting: ").expect("both");
        Self { address: address.to_owned(), is_exporting: exporting == "true", process }
    }

    fn exporting_to(collector: &Collector) -> Self {
        Self::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()), ("OTEL_SERVICE_NAME", "shop")])
    }

    fn post(&self, path: &str) {
        let request = format!("POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let answer = HttpAnswer::to(&self.address, &request);
        assert_eq!(answer.status, 200, "{path}: {answer:?}\n{}", self.process.last_lines());
    }

    fn end(self) {
        self.post("/end");
        self.process.wait_for_line(|line| line.starts_with("ended: "), LONG);
        assert!(self.process.wait_for_exit(LONG).success());
    }
}

fn is_child(child: &Span, parent: &Span) -> bool {
    child.trace == parent.trace && child.parent == parent.id
}

/// In a trace of its own.
fn is_linked(span: &Span, to: &Span) -> bool {
    span.trace != to.trace && span.parent.is_empty() && span.links == [to.id.as_slice()]
}

#[test]
fn one_trace_goes_from_an_http_handler_to_its_task_and_to_that_ones_child() {
    let collector = Collector::start();
    let server = Server::exporting_to(&collector);
    assert!(server.is_exporting);
    server.post("/orders");
    server.end();

    let [handler] = collector.named("POST /orders");
    let [sent] = collector.named("send default");
    let [charge] = collector.named("process default");
    let [sent_child] = collector.named("send mail");
    let [mail] = collector.named("process mail");
    assert_eq!((handler.kind, sent.kind, charge.kind), ("server", "producer", "consumer"));
    assert!(is_child(&sent, &handler) && is_child(&charge, &sent));
    assert!(is_child(&sent_child, &charge) && is_child(&mail, &sent_child));
    assert!(charge.links.is_empty() && mail.links.is_empty());

    let id = &charge.attributes["messaging.message.id"];
    for (span, operation) in [(&sent, "send"), (&charge, "process")] {
        let expected = [
            ("messaging.system", "taskq"),
            ("messaging.operation.name", operation),
            ("messaging.operation.type", operation),
            ("messaging.destination.name", "default"),
            ("messaging.message.id", id),
            ("task", "charge"),
        ];
        for (name, value) in expected {
            assert_eq!(span.attributes.get(name).map(String::as_str), Some(value), "{name} of {}", span.name);
        }
        assert!(!span.has_failed && span.resource["service.name"] == "shop");
    }
    assert_eq!((charge.attributes["attempt"].as_str(), charge.attributes["delivery"].as_str()), ("1", "1"));
    // What a body logs is in its span, also on a thread of its own.
    assert_eq!(charge.events, ["charging"]);
    assert_eq!(mail.events, ["mailing"]);
}

#[test]
fn what_is_delayed_or_sent_among_others_has_a_trace_of_its_own_with_a_link() {
    let collector = Collector::start();
    let server = Server::exporting_to(&collector);
    server.post("/delayed");
    server.end();
    let [sent] = collector.named("send default");
    let [ran] = collector.named("process default");
    assert!(is_child(&sent, &collector.named::<1>("POST /delayed")[0]) && is_linked(&ran, &sent));

    let collector = Collector::start();
    let server = Server::exporting_to(&collector);
    server.post("/many");
    server.end();
    let [sent] = collector.named("send default");
    assert!(is_child(&sent, &collector.named::<1>("POST /many")[0]));
    assert_eq!(sent.attributes["messaging.batch.message_count"], "3");
    let ran: [Span; 3] = collector.named("process default");
    assert!(ran.iter().all(|ran| is_linked(ran, &sent)));
}

#[test]
fn the_second_attempt_is_linked_and_the_first_says_why_it_failed() {
    let collector = Collector::start();
    let server = Server::exporting_to(&collector);
    server.post("/retried");
    server.end();
    let [sent] = collector.named("send default");
    let [first, second] = collector.named("process default");
    assert!(is_child(&first, &sent) && first.has_failed);
    assert_eq!(first.attributes["error.type"], "failed");
    assert!(is_linked(&second, &sent) && !second.has_failed);
    assert_eq!((first.attributes["attempt"].as_str(), second.attributes["attempt"].as_str()), ("1", "2"));
    assert_eq!(first.attributes["messaging.message.id"], second.attributes["messaging.message.id"]);
}

#[test]
fn a_scheduled_task_is_linked_to_its_tick() {
    let collector = Collector::start();
    let server = Server::exporting_to(&collector);
    server.post("/pulsed");
    server.end();
    let ran = collector.spans().into_iter().find(|span| span.name == "process pulse").expect("it ran");
    let ticks = collector.spans().into_iter().filter(|span| span.name == "send pulse");
    let tick = ticks.into_iter().find(|tick| is_linked(&ran, tick)).expect("it was enqueued");
    assert_eq!((tick.kind, tick.attributes["entry"].as_str()), ("producer", "pulse/pulse"));
    assert!(tick.parent.is_empty());
}

#[test]
fn headers_of_strangers_are_followed_where_they_mean_something_and_break_nothing() {
    let collector = Collector::start();
    let server = Server::exporting_to(&collector);
    server.post("/hostile");
    server.end();
    let ran: [Span; 5] = collector.named("process default");
    assert!(ran.iter().all(|ran| !ran.has_failed));
    let stranger = [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];
    assert_eq!(ran.iter().filter(|ran| ran.links == [stranger.as_slice()]).count(), 1);
}

#[test]
fn a_collector_that_is_away_or_hangs_costs_no_task_anything() {
    let hanging = Collector::hanging().url();
    let away = "http://127.0.0.1:1".to_owned();
    // Connections are taken by the system, and nobody ever looks at them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("binds");
    let deaf = format!("http://{}", silent.local_addr().expect("bound"));
    let ways = [(hanging, "http/protobuf"), (away.clone(), "http/protobuf"), (away, "grpc"), (deaf, "grpc")];
    for (endpoint, protocol) in ways {
        let server = Server::start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
        ]);
        let begun = Instant::now();
        for _ in 0..20 {
            server.post("/many");
        }
        server.post("/orders");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?} at {endpoint}", begun.elapsed());
        let begun = Instant::now();
        server.end();
        assert!(begun.elapsed() < Duration::from_secs(10), "it ends in bounded time: {:?}", begun.elapsed());
    }
}

#[test]
fn nothing_is_exported_unless_the_environment_asks_for_it() {
    let collector = Collector::start();
    let url = collector.url();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str());
    let environments: [&[(&str, &str)]; 4] = [
        &[],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
        &[endpoint, ("OTEL_SDK_DISABLED", "true")],
        &[endpoint, ("OTEL_TRACES_EXPORTER", "none")],
    ];
    for environment in environments {
        let server = Server::start(environment);
        assert!(!server.is_exporting, "{environment:?}");
        server.post("/orders");
        server.end();
    }
    let server = Server::start(&[endpoint, ("OTEL_TRACES_SAMPLER", "always_off")]);
    server.post("/orders");
    server.end();
    assert!(collector.spans().is_empty());
}

fn app(folder: &TempFolder, environment: &[(&str, &str)], arguments: &[&str]) -> ChildProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_traced-app"));
    command.args(arguments).args(["--url", "sqlite://tasks.db"]).envs(environment.iter().copied());
    ChildProcess::spawn(command.current_dir(folder.path()))
}

#[test]
fn a_program_of_one_line_exports_by_the_environment_and_a_trace_goes_through_processes() {
    let http = Collector::start();
    let endpoint = format!("{}/v1/traces", http.url());
    goes_through_processes(&http, &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint)]);
    let grpc = Collector::of_grpc();
    let url = grpc.url();
    let asked = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    goes_through_processes(&grpc, &asked);
}

fn goes_through_processes(collector: &Collector, way: &[(&str, &str)]) {
    let folder = TempFolder::new();
    let environment = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=secret"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        // What is logged is another question than what is exported.
        ("RUST_LOG", "error"),
    ];
    let environment = [way, &environment].concat();
    let enqueue = app(&folder, &environment, &["enqueue", "add", "{\"a\": 1, \"b\": 2}"]);
    assert!(enqueue.wait_for_exit(LONG).success(), "{}", enqueue.last_lines());
    let worker = app(&folder, &environment, &["worker"]);
    collector.wait_for(1, "process default");
    worker.terminate();
    assert!(worker.wait_for_exit(LONG).success());
    let [sent] = collector.named("send default");
    let [ran] = collector.named("process default");
    assert!(is_child(&ran, &sent));
    assert_eq!(ran.resource["service.name"], "traced-app");
    assert_eq!(ran.resource["deployment.environment.name"], "test");
    assert_eq!(ran.token, "secret");
}

#[test]
fn a_program_that_cannot_export_says_so_and_works() {
    let folder = TempFolder::new();
    let environment =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    let enqueue = app(&folder, &environment, &["enqueue", "add", "{\"a\": 1, \"b\": 2}"]);
    assert!(enqueue.wait_for_exit(LONG).success(), "{}", enqueue.last_lines());
    let told = enqueue.error_lines().join("\n");
    assert!(told.contains("no traces are exported") && told.contains("http/protobuf"), "{told}");
}
