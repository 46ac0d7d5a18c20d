//! What browsers are told while they watch, and that nobody asks the broker while nobody does.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    extract::ConnectInfo,
    http::{Method, StatusCode},
};
use futures_util::StreamExt;
use taskq_core::Invocation;
use tower::ServiceExt;

use crate::stage::{Stage, Time, encoded, enqueue_many, queue, request};

/// A browser that watches.
pub(crate) struct Browser {
    body: BodyDataStream,
    read: String,
    time: Time,
}

impl Browser {
    pub(crate) async fn watching(stage: &Stage, path: &str) -> Self {
        let (status, body) = open(stage, path).await;
        assert_eq!(status, StatusCode::OK);
        Self { body: body.into_data_stream(), read: String::new(), time: stage.time.clone() }
    }

    /// What is told next.
    pub(crate) async fn event(&mut self) -> Option<String> {
        self.time.clone().run(self.read_event()).await
    }

    async fn read_event(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.read = rest;
                if !event.starts_with(':') {
                    return Some(event);
                }
                continue;
            }
            let bytes = self.body.next().await?.expect("no error");
            self.read.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }

    /// Whether nothing is told for so long.
    pub(crate) async fn hears_nothing_for(&mut self, duration: Duration) -> bool {
        let time = self.time.clone();
        time.run(time.clock.timeout(duration, self.read_event())).await.is_err()
    }

    /// Waits for words, and says how long that took.
    pub(crate) async fn hears(&mut self, words: &str) -> Duration {
        let time = self.time.clone();
        let began = time.clock.monotonic();
        let heard = async { while !self.read_event().await.expect("goes on").contains(words) {} };
        let heard = time.run(time.clock.timeout(Duration::from_secs(10), heard)).await;
        heard.unwrap_or_else(|_| panic!("never heard {words:?}"));
        time.clock.monotonic() - began
    }
}

async fn open(stage: &Stage, path: &str) -> (StatusCode, Body) {
    let mut request = request(Method::GET, path, &[]);
    request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::from(([127, 0, 0, 1], 50_000))));
    let response = stage.router.clone().oneshot(request).await.expect("answers");
    (response.status(), response.into_body())
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_follow_a_load_within_one_second() {
    let stage = Stage::operator();
    stage.fill("plain").await;
    let mut browser = Browser::watching(&stage, "/live?page=overview").await;
    browser.event().await.expect("the first look");
    for round in 1..=5u64 {
        enqueue_many(&stage, 100).await;
        let ready = stage.connection.inspect().counts(&queue()).await.expect("counts").ready;
        let took = browser.hears(&format!("Ready</span><span class=\"value\">{ready}</span>")).await;
        assert!(took < Duration::from_secs(1), "round {round}: {took:?}");
    }
}

#[tokio::test]
async fn throughput_follows_what_workers_report() {
    let stage = Stage::simulated();
    stage.fill("plain").await;
    let mut browser = Browser::watching(&stage, "/live?page=overview").await;
    browser.event().await.expect("a look");
    stage.time.pass(Duration::from_secs(1)).await;
    stage.report("plain", 100).await;
    assert!(browser.hears("Throughput</span><span class=\"value\">100/s<").await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_task_that_somebody_watches_is_told_when_it_changes() {
    let stage = Stage::simulated();
    let tasks = stage.fill("plain").await;
    let path = format!("/live?page=task&of={}", encoded(&tasks[0].to_string()));
    let mut browser = Browser::watching(&stage, &path).await;
    browser.hears("is-dead").await;
    assert!(stage.connection.control().replay(&tasks[0]).await.expect("replayed"));
    assert!(browser.hears("badge is-ready").await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_list_follows_within_a_second_and_keeps_to_its_filters() {
    let stage = Stage::simulated();
    stage.fill("plain").await;
    let path = "/live?page=tasks&queue=mail&state=ready&name=charge&text=visa";
    let mut browser = Browser::watching(&stage, path).await;
    let empty = browser.event().await.expect("the first look");
    assert!(empty.contains("Nothing here fits the filters") && empty.contains("looked at, to the end"), "{empty}");
    let charge = |card: &str| Invocation::named("charge", &serde_json::json!({ "card": card })).queue("mail");
    stage.enqueue(charge("amex-1")).await;
    let visa = stage.enqueue(charge("visa-2")).await;
    assert!(
        browser.hears(&format!("id=\"t-{}\"", visa.to_string().replace('/', "%2F"))).await < Duration::from_secs(1)
    );
    assert!(!browser.read.contains("amex"), "it does not fit");
    stage.connection.broker().cancel(&visa).await.expect("cancelled");
    assert!(browser.hears("Nothing here fits the filters").await < Duration::from_secs(1));
}

#[tokio::test]
async fn dead_letters_follow_and_the_counts_beside_the_states_too() {
    let stage = Stage::simulated();
    let mut dead = Browser::watching(&stage, "/live?page=dead&queue=mail").await;
    dead.hears("No task has failed for good in mail").await;
    let mut tasks = Browser::watching(&stage, "/live?page=tasks&queue=mail&state=ready").await;
    tasks.hears("<b id=\"tab-dead\"").await;
    stage.dead_letter("card declined").await;
    assert!(dead.hears("card declined").await < Duration::from_secs(1));
    assert!(tasks.hears("<b id=\"tab-dead\" hx-swap-oob=\"true\">1</b>").await < Duration::from_secs(1));
}

#[tokio::test]
async fn schedules_follow_and_so_does_one_of_them() {
    let stage = Stage::simulated();
    stage.fill("plain").await;
    let mut list = Browser::watching(&stage, "/live?page=schedules").await;
    list.hears("nightly").await;
    let mut one = Browser::watching(&stage, "/live?page=schedule&queue=mail&name=nightly").await;
    one.hears("badge is-scheduled").await;
    stage.act(&[("do", "pause schedule"), ("queue", "mail"), ("name", "nightly")]).await;
    assert!(list.hears("badge is-paused").await < Duration::from_secs(1));
    assert!(one.hears("fires nothing until it is resumed").await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_queue_beyond_those_that_are_counted_follows_while_somebody_watches_it() {
    let stage = Stage::simulated();
    for number in 0..=200 {
        stage.enqueue(stage.task("x").queue(format!("q{number:03}"))).await;
    }
    let mut browser = Browser::watching(&stage, "/live?page=queue&of=q200").await;
    browser.hears("<b>1</b>").await;
    stage.enqueue(stage.task("x").queue("q200")).await;
    assert!(browser.hears("<b>2</b>").await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_list_that_does_not_change_is_not_sent_again() {
    let stage = Stage::simulated();
    stage.connection.control().pause(&crate::stage::queue()).await.expect("paused");
    let mut browser = Browser::watching(&stage, "/live?page=dead&queue=mail").await;
    browser.event().await.expect("the first look");
    assert!(browser.hears_nothing_for(Duration::from_secs(14)).await);
}

#[tokio::test]
async fn however_many_watch_the_same_list_it_is_read_once_a_look_and_not_at_all_when_nobody_does() {
    let stage = Stage::simulated();
    let reads = || stage.timetable_reads.load(std::sync::atomic::Ordering::Relaxed);
    let mut browsers = Vec::new();
    for _ in 0..20 {
        browsers.push(Browser::watching(&stage, "/live?page=schedules").await);
    }
    for browser in &mut browsers {
        browser.event().await.expect("a look");
    }
    stage.time.pass(Duration::from_secs(4)).await;
    assert_eq!(reads(), stage.way.looks());
    let before = reads();
    drop(browsers);
    let mut other = Browser::watching(&stage, "/live?page=overview").await;
    other.event().await.expect("a look");
    stage.time.pass(Duration::from_secs(4)).await;
    assert_eq!(reads(), before, "those who watch something else need none");
}

#[tokio::test]
async fn only_the_first_page_of_a_list_follows_and_others_say_so() {
    let stage = Stage::simulated();
    enqueue_many(&stage, 60).await;
    let first = stage.get("/tasks?queue=mail&state=ready").await.body;
    assert!(first.contains("hx-sse:connect=\"/live?page=tasks&queue=mail&#38;state=ready\""), "{first}");
    let next = first.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("more");
    let second = stage.get(&next.replace("&#38;", "&")).await.body;
    assert!(second.contains("Only the first page follows") && !second.contains("hx-sse:connect"), "{second}");
}

#[tokio::test]
async fn every_live_page_is_told_and_a_wrong_one_ends_nothing() {
    let stage = Stage::simulated();
    stage.fill("plain").await;
    let worker = format!("page=worker&of={}", stage.worker);
    let pages = [
        "page=overview",
        "page=queues",
        "page=queue&of=mail",
        "page=workers",
        &worker,
        "page=health",
        "page=tasks",
        "page=tasks&queue=mail&state=running",
        "page=dead&queue=mail",
        "page=schedules",
        "page=schedule&queue=mail&name=nightly",
        "page=events",
        "page=events&kind=settled&queue=mail&text=send",
    ];
    for page in pages {
        let mut browser = Browser::watching(&stage, &format!("/live?{page}")).await;
        assert!(browser.event().await.expect("an event").starts_with("data: "), "{page}");
    }
    for page in ["page=queue&of=none", "page=nothing", "", "page=task&of=x", "page=tasks&state=x", "page=schedule"] {
        let (status, _) = open(&stage, &format!("/live?{page}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
    }
}

#[tokio::test]
async fn streams_are_bounded_and_end_when_the_dashboard_closes() {
    let stage = Stage::simulated();
    let mut browsers = Vec::new();
    for _ in 0..64 {
        browsers.push(Browser::watching(&stage, "/live?page=overview").await);
    }
    assert_eq!(open(&stage, "/live?page=overview").await.0, StatusCode::SERVICE_UNAVAILABLE);
    browsers.truncate(63);
    let mut last = Browser::watching(&stage, "/live?page=overview").await;
    last.event().await.expect("a look");
    stage.dashboard.close().await;
    while last.event().await.is_some() {}
}

#[tokio::test]
async fn however_many_watch_one_looks_and_when_nobody_watches_nobody_looks() {
    let stage = Stage::simulated();
    let looks = || stage.way.looks();
    let mut browsers = Vec::new();
    for _ in 0..20 {
        browsers.push(Browser::watching(&stage, "/live?page=overview").await);
    }
    for browser in &mut browsers {
        browser.event().await.expect("a look");
    }
    assert_eq!(looks(), 1, "the first look is for all");
    stage.time.pass(Duration::from_secs(4)).await;
    assert_eq!(looks(), 1 + 10, "one each 0.4 seconds");
    drop(browsers);
    stage.time.pass(Duration::from_secs(4)).await;
    let after = looks();
    assert_eq!(after, 11 + 4, "it goes on for two seconds");
    stage.time.pass(Duration::from_secs(3_600)).await;
    assert_eq!(looks(), after, "nobody watches");
    stage.get("/").await;
    assert_eq!(looks(), after + 1, "somebody came");
}

#[tokio::test]
async fn while_the_broker_is_away_browsers_are_told_and_then_the_page_goes_on() {
    let stage = Stage::simulated();
    stage.fill("plain").await;
    let mut browser = Browser::watching(&stage, "/live?page=overview").await;
    browser.event().await.expect("a look");
    stage.way.cut(true);
    browser.hears("event: trouble").await;
    stage.way.cut(false);
    browser.hears("Throughput").await;
}
