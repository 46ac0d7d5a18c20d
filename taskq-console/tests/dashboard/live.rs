//! What browsers are told while they watch, and that nobody asks the broker while nobody does.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    extract::ConnectInfo,
    http::{Method, StatusCode},
};
use futures_util::StreamExt;
use tower::ServiceExt;

use crate::stage::{Stage, Time, encoded, enqueue_many, queue, request};

/// A browser that watches.
struct Browser {
    body: BodyDataStream,
    read: String,
    time: Time,
}

impl Browser {
    async fn watching(stage: &Stage, path: &str) -> Self {
        let (status, body) = open(stage, path).await;
        assert_eq!(status, StatusCode::OK);
        Self { body: body.into_data_stream(), read: String::new(), time: stage.time.clone() }
    }

    /// What is told next.
    async fn event(&mut self) -> Option<String> {
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

    /// Waits for words, and says how long that took.
    async fn hears(&mut self, words: &str) -> Duration {
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
async fn every_live_page_is_told_and_a_wrong_one_ends_nothing() {
    let stage = Stage::simulated();
    stage.fill("plain").await;
    let worker = format!("page=worker&of={}", stage.worker);
    for page in ["page=overview", "page=queues", "page=queue&of=mail", "page=workers", &worker, "page=health"] {
        let mut browser = Browser::watching(&stage, &format!("/live?{page}")).await;
        assert!(browser.event().await.expect("an event").starts_with("data: "), "{page}");
    }
    for page in ["page=queue&of=none", "page=nothing", "", "page=task&of=x"] {
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
