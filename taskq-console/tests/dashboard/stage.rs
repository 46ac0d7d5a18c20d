//! A dashboard over a broker in memory that has some of everything, and a browser that is no more than requests.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use taskq_console::dashboard::{
    Dashboard, Health, Options, StatusBoard, StatusChange, StatusRow, Timetable, TimetableRow,
};
use taskq_core::{
    Clock, Connection, DeadReason, EntryId, EntryName, Event, Invocation, LogLevel, LogLine, MemberId, QueueName,
    Result, SettledAs, TaskError, TaskId, TaskKey, Timestamp, What, WorkerId,
    broker::{Ending, Settlement, memory},
    clock::Simulation,
    id::{BatchId, ClaimNumber, Owner},
};
use tower::ServiceExt;

use crate::way::Way;

/// The time in which everything on a stage lives.
#[derive(Clone)]
pub(crate) struct Time {
    pub(crate) clock: Clock,
    simulation: Option<Simulation>,
}

impl Time {
    /// That of the machine.
    fn real() -> Self {
        Self { clock: Clock::system(), simulation: None }
    }

    /// Time that stands still but for what [`run`](Self::run) and [`pass`](Self::pass) let pass.
    fn simulated() -> Self {
        let (clock, simulation) = Clock::simulated(Timestamp::from_millis(1_800_000_000_000));
        Self { clock, simulation: Some(simulation) }
    }

    /// The output of a future. It takes as much time as it needs.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        match &self.simulation {
            Some(simulation) => simulation.run(future).await,
            None => future.await,
        }
    }

    /// Lets simulated time pass.
    pub(crate) async fn pass(&self, duration: Duration) {
        self.simulation.as_ref().expect("the machine's time passes by itself").advance(duration).await;
    }
}

/// A dashboard and what is behind it.
pub(crate) struct Stage {
    pub(crate) time: Time,
    pub(crate) connection: Connection,
    pub(crate) dashboard: Dashboard,
    pub(crate) router: Router,
    pub(crate) way: Arc<Way>,
    pub(crate) told: Arc<Mutex<Vec<String>>>,
    /// How often schedules were read.
    pub(crate) timetable_reads: Arc<AtomicU64>,
    pub(crate) worker: MemberId,
    pub(crate) owner: Owner,
    claims: AtomicU64,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("readable"))
    }

    /// The value of an input of this name.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = self.body.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_default();
        start.split('"').next().unwrap_or_default().to_owned()
    }
}

impl Stage {
    /// An empty broker.
    pub(crate) fn new(options: Options) -> Self {
        Self::with(options, "plain")
    }

    /// Schedules and health have this text wherever they have one.
    pub(crate) fn with(options: Options, text: &str) -> Self {
        Self::living_in(Time::real(), options, text)
    }

    /// Somebody on this machine who may act, in simulated time.
    pub(crate) fn simulated() -> Self {
        Self::living_in(Time::simulated(), Options::new().allow_actions(), "plain")
    }

    fn living_in(time: Time, options: Options, text: &str) -> Self {
        let (connection, way) = Way::to(&memory::connect(time.clock.clone()));
        let (told, clock) = (Arc::new(Mutex::new(Vec::new())), time.clock.clone());
        let timetable_reads = Arc::default();
        let (reads, text_of) = (Arc::clone(&timetable_reads), text.to_owned());
        let timetable = Arc::new(OneSchedule { text: text_of, clock, told: Arc::clone(&told), reads });
        let status = Arc::new(OneCheck { text: text.to_owned(), clock: time.clock.clone() });
        let dashboard = Dashboard::new(connection.clone(), options.timetable(timetable).status(status));
        let worker = WorkerId::generate();
        Self {
            router: dashboard.router(),
            dashboard,
            connection,
            told,
            timetable_reads,
            way,
            worker: worker.into(),
            owner: Owner { worker, term: 0 },
            claims: AtomicU64::new(0),
            time,
        }
    }

    /// Each claim has a number of its own: one of the same number would be the same claim.
    fn claim_number(&self) -> ClaimNumber {
        ClaimNumber(self.claims.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Somebody on this machine who may act.
    pub(crate) fn operator() -> Self {
        Self::new(Options::new().allow_actions())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, &[])).await
    }

    /// A form of ours, as a browser sends it.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut request = request(Method::POST, path, fields);
        request.headers_mut().insert(header::ORIGIN, "http://127.0.0.1:8080".parse().expect("valid"));
        request.headers_mut().insert("sec-fetch-site", "same-origin".parse().expect("valid"));
        self.send(request).await
    }

    /// The same with the token of a page, and then the page that follows.
    pub(crate) async fn act(&self, fields: &[(&str, &str)]) -> Answer {
        let page = self.get("/queue?name=mail").await;
        let token = page.field("token");
        let all = [&[("token", token.as_str())], fields].concat();
        let answer = self.post("/act", &all).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        self.get(answer.header("location")).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.time.run(send(&self.router, request)).await
    }

    pub(crate) async fn enqueue(&self, invocation: Invocation<taskq_core::AnyTask>) -> TaskId {
        let handle = self.connection.client().enqueue(invocation).await.expect("enqueued");
        handle.id().clone()
    }

    /// A task with this text wherever a task can have one.
    pub(crate) fn task(&self, text: &str) -> Invocation<taskq_core::AnyTask> {
        Invocation::named("send", &serde_json::json!({ "text": text, text: [text] }))
            .queue("mail")
            .tag(tag(text))
            .header("note", header_text(text))
    }

    /// Claims what is ready, and ends it so.
    pub(crate) async fn end(&self, ending: impl Fn() -> Ending, error: Option<&str>) -> Vec<TaskId> {
        let (broker, queue) = (self.connection.broker(), queue());
        broker.join(self.owner, &queue, Duration::from_secs(600)).await.expect("joined");
        let claimed = broker.claim(self.owner, &queue, 200, self.claim_number()).await.expect("claimed").claimed;
        let settlement = |claimed: &taskq_core::broker::Claimed| {
            let mut envelope = (*claimed.envelope).clone();
            if let Some(error) = error {
                envelope.record_failure(self.connection.clock().now(), &TaskError::from(error.to_owned()));
            }
            Settlement { token: claimed.token, envelope: Arc::new(envelope), ending: ending() }
        };
        let settlements: Vec<_> = claimed.iter().map(settlement).collect();
        broker.settle(self.owner, &queue, &settlements).await.expect("settled");
        claimed.into_iter().map(|claimed| claimed.envelope.id.clone()).collect()
    }

    /// A dead letter that failed with this error.
    pub(crate) async fn dead_letter(&self, text: &str) -> TaskId {
        self.enqueue(self.task(text)).await;
        self.end(|| Ending::Dead(DeadReason::Failed), Some(text)).await.remove(0)
    }

    /// Some of everything, with this text wherever there can be one. Answers a task of each state.
    pub(crate) async fn fill(&self, text: &str) -> Vec<TaskId> {
        let dead = self.dead_letter(text).await;
        self.enqueue(self.task(text)).await;
        let retrying = self.end(|| Ending::Retry(Duration::from_secs(600)), Some(text)).await.remove(0);
        self.enqueue(self.task(text)).await;
        let result = serde_json::json!({ text: text });
        let result = taskq_core::Payload::encode("encode", &result, 1 << 18).expect("valid");
        let succeeded = self.end(|| Ending::Succeeded(result.clone()), None).await.remove(0);
        let running = self.enqueue(self.task(text)).await;
        let broker = self.connection.broker();
        let claimed = broker.claim(self.owner, &queue(), 1, self.claim_number()).await.expect("claimed").claimed;
        let progress = taskq_core::Progress { done: 3, total: 7, text: text.chars().take(60).collect() };
        let token = claimed[0].token;
        broker.report(self.owner, &queue(), &running.key, token, &progress).await.expect("reported");
        let ready = match own_key(text) {
            Some(key) => self.enqueue(self.task(text).id(key)).await,
            None => self.enqueue(self.task(text)).await,
        };
        let scheduled = self.enqueue(self.task(text).delay(Duration::from_secs(600))).await;
        let said = LogLine::new(self.connection.clock().now(), 1, LogLevel::Warn, text);
        for id in [&dead, &running, &ready] {
            self.connection.logs().append(id, std::slice::from_ref(&said)).await.expect("kept");
        }
        self.report(text, 0).await;
        self.tell_of(text, &dead).await;
        vec![dead, retrying, succeeded, running, ready, scheduled]
    }

    /// Events of every kind, with this text wherever one can have a text.
    async fn tell_of(&self, text: &str, id: &TaskId) {
        let (queue, task, worker) = (queue(), "send".parse().expect("valid"), self.owner.worker);
        let reason = Some(text.to_owned());
        let json = serde_json::json!({ "v": 9, "at": 5, "kind": text, "more": text }).to_string();
        let what = [
            What::Enqueued { id: id.clone(), task, due: None },
            What::Settled {
                id: id.clone(),
                task: "send".parse().expect("valid"),
                worker,
                attempt: 1,
                outcome: SettledAs::Dead,
                took: Duration::from_millis(12),
                error: reason.clone(),
            },
            What::WorkerUp {
                worker,
                program: text.to_owned(),
                host: text.to_owned(),
                pid: 7,
                queues: vec![queue.clone()],
            },
            What::Ticked {
                queue,
                entry: EntryName::new("nightly").expect("valid"),
                fire_time: self.connection.clock().now(),
                enqueued: 1,
            },
            What::HealthChanged { check: text.to_owned(), from: text.to_owned(), to: text.to_owned(), reason },
            What::LeftOut { count: 7 },
        ];
        let now = self.connection.clock().now();
        let mut events: Vec<_> = what.into_iter().map(|what| Event::new(now, what)).collect();
        events.extend([Event::decode(&json), Event::decode(text)]);
        self.connection.events().publish(&events).await.expect("published");
    }

    /// Tells of so many tasks that were enqueued, numbered from this one on.
    pub(crate) async fn tell_of_tasks(&self, numbers: std::ops::Range<usize>) {
        let event = |number| {
            let id = TaskId::new(queue(), TaskKey::own(format!("n{number}")).expect("valid"));
            Event::new(
                self.connection.clock().now(),
                What::Enqueued { id, task: "send".parse().expect("valid"), due: None },
            )
        };
        for chunk in numbers.map(event).collect::<Vec<_>>().chunks(200) {
            self.connection.events().publish(chunk).await.expect("published");
        }
    }

    /// A worker that reports, after it has ended so many attempts.
    pub(crate) async fn report(&self, text: &str, succeeded: u64) {
        let now = self.connection.clock().now();
        let report = serde_json::json!({
            "kind": "worker", "program": text, "version": text, "host": text, "pid": 7, "started_at": now, "sent_at": now,
            "not_ready": text, "lanes": [{"queues": ["mail", text], "slots": 4}], "tasks": [text],
            "running": [{"id": text, "task": text, "attempt": 1, "for_ms": 1_500}], "running_count": 1,
            "figures": {"queues": {"mail": {"tasks": {"send": {"succeeded": succeeded}}}}},
        });
        let kept = Duration::from_secs(60);
        self.connection.fleet().check_in(self.worker, &report.to_string(), kept).await.expect("reported");
    }
}

/// Every page, with every kind of subject.
pub(crate) fn pages(stage: &Stage, tasks: &[TaskId]) -> Vec<String> {
    let mut pages: Vec<String> = [
        "/",
        "/queues",
        "/queue?name=mail",
        "/tasks?queue=mail&state=ready",
        "/tasks?queue=mail&state=running",
        "/tasks?queue=mail&state=scheduled",
        "/tasks?queue=mail&state=retrying",
        "/dead?queue=mail",
        "/workers",
        "/schedules",
        "/schedule?queue=mail&name=nightly",
        "/health",
        "/events",
        "/events?queue=mail&kind=settled&kind=enqueued",
    ]
    .map(str::to_owned)
    .into();
    pages.push(format!("/worker?id={}", stage.worker));
    pages.extend(tasks.iter().map(|id| format!("/task?id={}", encoded(&id.to_string()))));
    pages
}

pub(crate) fn queue() -> QueueName {
    QueueName::new("mail").expect("valid")
}

pub(crate) async fn send(router: &Router, mut request: Request<Body>) -> Answer {
    if request.extensions().get::<ConnectInfo<SocketAddr>>().is_none() {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
    }
    let response = router.clone().oneshot(request).await.expect("answers always");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 8 << 20).await.expect("bounded");
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.into()).expect("UTF-8") }
}

pub(crate) fn request(method: Method, path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let form = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let form = form.collect::<Vec<_>>().join("&");
    let request = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:8080");
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(Body::from(form)).expect("valid")
}

pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn tag(text: &str) -> String {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(30).collect();
    if shown.trim().is_empty() { "tag".to_owned() } else { shown }
}

fn header_text(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The characters of a text that can be in a task's own id.
fn own_key(text: &str) -> Option<String> {
    let key: String = text.chars().filter(|c| c.is_ascii_graphic() && *c != '/').take(150).collect();
    TaskKey::own(&key).ok().map(|_| key)
}

#[derive(Debug)]
struct OneSchedule {
    text: String,
    clock: Clock,
    told: Arc<Mutex<Vec<String>>>,
    reads: Arc<AtomicU64>,
}

impl OneSchedule {
    fn row(&self, fire_times: usize) -> TimetableRow {
        let (text, now) = (self.text.clone(), self.clock.now());
        TimetableRow {
            id: EntryId { queue: queue(), name: EntryName::new("nightly").expect("valid") },
            schedule: Some(text.clone()),
            task: Some(text.clone()),
            arguments: Some(serde_json::json!({ "text": text }).to_string()),
            origin: text.clone(),
            is_paused: self.told.lock().expect("not poisoned").last().is_some_and(|told| told.starts_with("pause")),
            created_at: now,
            last_fired: Some(now),
            upcoming: (1..=fire_times as i64).map(|n| Timestamp::from_millis(now.as_millis() + n * 60_000)).collect(),
            policies: text.clone(),
            error: Some(text),
        }
    }

    fn tell(&self, what: &str, id: &EntryId) -> Result<bool> {
        self.told.lock().expect("not poisoned").push(format!("{what} {id}"));
        Ok(true)
    }
}

#[async_trait]
impl Timetable for OneSchedule {
    async fn page(&self, after: Option<&EntryId>, _count: usize) -> Result<Vec<TimetableRow>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(if after.is_none() { vec![self.row(1)] } else { Vec::new() })
    }

    async fn find(&self, id: &EntryId, fire_times: usize) -> Result<Option<TimetableRow>> {
        Ok((id.name.as_str() == "nightly").then(|| self.row(fire_times)))
    }

    async fn pause(&self, id: &EntryId) -> Result<bool> {
        self.tell("pause", id)
    }

    async fn resume(&self, id: &EntryId) -> Result<bool> {
        self.tell("resume", id)
    }

    async fn trigger(&self, id: &EntryId) -> Result<TaskId> {
        self.tell("trigger", id)?;
        Ok(TaskId::new(queue(), TaskKey::own("nightly+1")?))
    }
}

#[derive(Debug)]
struct OneCheck {
    text: String,
    clock: Clock,
}

#[async_trait]
impl StatusBoard for OneCheck {
    async fn rows(&self) -> Result<Vec<StatusRow>> {
        let (text, now) = (self.text.clone(), self.clock.now());
        Ok(vec![StatusRow {
            name: text.clone(),
            health: Health::Degraded,
            is_paused: false,
            every: Some(text.clone()),
            target: text.clone(),
            since: Some(now),
            looked_at: Some(now),
            reason: Some(text.clone()),
            latencies_ms: vec![3, 40, 7],
            changes: vec![StatusChange { at: now, to: Health::Degraded, reason: Some(text) }],
        }])
    }
}

/// One enqueue call of many tasks.
pub(crate) async fn enqueue_many(stage: &Stage, count: usize) {
    let mut left = count;
    while left > 0 {
        let now = left.min(200);
        let envelopes: Vec<_> =
            (0..now).map(|number| stage.task(&format!("n{number}")).into_envelope().expect("valid")).collect();
        stage.connection.broker().enqueue(&queue(), BatchId::generate(), &envelopes).await.expect("enqueued");
        left -= now;
    }
}
