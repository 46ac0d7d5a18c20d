//! What pages show.

use axum::http::StatusCode;
use taskq_console::dashboard::Options;
use taskq_core::{Invocation, Shelf};

use crate::stage::{Stage, encoded, enqueue_many, pages, queue};

#[tokio::test]
async fn every_page_of_a_full_broker_and_of_an_empty_one_is_shown() {
    let stage = Stage::operator();
    for path in
        ["/", "/queues", "/tasks", "/tasks?state=running", "/dead", "/workers", "/schedules", "/health", "/events"]
    {
        assert_eq!(stage.get(path).await.status, StatusCode::OK, "{path} of an empty broker");
    }
    let tasks = stage.fill("hello").await;
    for path in pages(&stage, &tasks) {
        let page = stage.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert_eq!(page.body.matches("<h1").count(), 1, "{path} has one headline");
    }
}

#[tokio::test]
async fn at_rest_every_figure_agrees_with_the_brokers_own_counts() {
    let stage = Stage::operator();
    stage.fill("x").await;
    enqueue_many(&stage, 1_234).await;
    for number in 0..3 {
        stage.enqueue(stage.task("later").delay(std::time::Duration::from_secs(60 + number))).await;
    }
    let counts = stage.connection.inspect().counts(&queue()).await.expect("counts");
    let shown = |number: u64| match number {
        number if number >= 1_000 => format!("{},{:03}", number / 1_000, number % 1_000),
        number => number.to_string(),
    };
    let overview = stage.get("/").await.body;
    for (label, count) in [
        ("Ready", counts.ready),
        ("Running", counts.running),
        ("Scheduled", counts.scheduled),
        ("Retrying", counts.retrying),
        ("Dead", counts.dead),
    ] {
        let figure = format!("<span class=\"label\">{label}</span><span class=\"value\">{}</span>", shown(count));
        assert!(overview.contains(&figure), "{label} is {count}");
    }
    let queues = stage.get("/queues").await.body;
    let page = stage.get("/queue?name=mail").await.body;
    for shelf in Shelf::ALL {
        let count = shown(counts.on(shelf));
        assert!(page.contains(&format!("<b>{count}</b>")), "{shelf} is {count} on the page of the queue");
        assert!(queues.contains(&format!(">{count}</a>")), "{shelf} is {count} in the list");
    }
}

#[tokio::test]
async fn a_list_has_pages_and_together_they_have_every_task_once() {
    let stage = Stage::operator();
    enqueue_many(&stage, 120).await;
    let (mut path, mut seen) = ("/tasks?queue=mail&state=ready".to_owned(), std::collections::BTreeSet::new());
    for number in 0.. {
        assert!(number < 5, "the list ends");
        let page = stage.get(&path).await.body;
        let ids = page.split("<code class=\"id\" title=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for id in ids {
            assert!(seen.insert(id.to_owned()), "{id} is seen twice");
        }
        let next = page.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
        let Some(next) = next else { break };
        path = next.replace("&#38;", "&").replace("&amp;", "&");
    }
    assert_eq!(seen.len(), 120);
}

#[tokio::test]
async fn filters_find_by_name_tag_and_text_and_say_how_far_they_looked() {
    let stage = Stage::operator();
    enqueue_many(&stage, 300).await;
    stage
        .enqueue(Invocation::named("charge", &serde_json::json!({"card": "visa-4711"})).queue("mail").tag("tenant:7"))
        .await;
    for filter in ["name=charge", "tag=tenant:7", "text=visa-4711"] {
        let page = stage.get(&format!("/tasks?queue=mail&state=ready&{filter}")).await.body;
        assert!(page.contains(">charge</a>") && !page.contains(">send</a>"), "{filter}");
        assert!(page.contains("looked at"), "{filter}");
    }
    let recent = stage.get("/tasks?queue=mail&state=ready&enqueued=1h&name=charge").await.body;
    assert!(recent.contains(">charge</a>") && recent.contains("<option value=\"1h\" selected>"));
    let page = stage.get("/tasks?queue=mail&state=ready&text=nothing-like-it").await.body;
    assert!(page.contains("Nothing here fits the filters"), "{page}");
}

#[tokio::test]
async fn a_task_is_found_by_its_id_and_by_its_key() {
    let stage = Stage::operator();
    let id = stage.enqueue(stage.task("x")).await;
    for asked in [id.to_string(), id.key.to_string()] {
        let answer = stage.get(&format!("/find?q={}", encoded(&asked))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let page = stage.get(answer.header("location")).await;
        assert!(page.body.contains(&id.to_string()));
    }
    assert_eq!(stage.get("/find?q=mail/none").await.status, StatusCode::SEE_OTHER);
    assert_eq!(stage.get("/task?id=mail/none").await.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.get("/find?q=none").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn secrets_in_arguments_and_headers_are_hidden() {
    let stage = Stage::operator();
    let args = serde_json::json!({"user": "ada", "password": "hunter2-canary"});
    let task = Invocation::named("sign_up", &args).queue("mail").header("authorization", "bearer-canary");
    let id = stage.enqueue(task).await;
    for path in ["/tasks?queue=mail".to_owned(), format!("/task?id={}", encoded(&id.to_string()))] {
        let page = stage.get(&path).await.body;
        assert!(page.contains("ada") && !page.contains("canary"), "{path}");
    }
}

#[tokio::test]
async fn a_task_page_tells_arguments_attempts_errors_and_its_trace() {
    let options = Options::new().trace_link("https://traces.example/t/{trace_id}").expect("valid");
    let stage = Stage::new(options);
    let traced = stage.task("pay 7").header("traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01");
    stage.enqueue(traced).await;
    let id = stage
        .end(|| taskq_core::broker::Ending::Dead(taskq_core::DeadReason::Failed), Some("card declined"))
        .await
        .remove(0);
    let page = stage.get(&format!("/task?id={}", encoded(&id.to_string()))).await.body;
    for words in [
        "pay 7",
        "card declined",
        "Attempt 1",
        "Timeline",
        "https://traces.example/t/0123456789abcdef0123456789abcdef",
        "dead",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[tokio::test]
async fn while_the_broker_is_away_a_page_says_so_and_how_to_go_on() {
    let stage = Stage::new(Options::new());
    stage.fill("plain").await;
    assert_eq!(stage.get("/").await.status, StatusCode::OK);
    stage.way.cut(true);
    for path in ["/", "/queues", "/tasks", "/dead", "/workers", "/schedules", "/health", "/events"] {
        let page = stage.get(path).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(page.body.contains("The broker cannot be asked") && page.body.contains("connection refused"), "{path}");
        assert!(page.body.contains("Try again"), "{path}");
    }
    stage.way.cut(false);
    assert_eq!(stage.get("/").await.status, StatusCode::OK);
}
