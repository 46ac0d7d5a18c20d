//! The page of events: what it shows, how it follows, and that it stands still when it is told to.

use std::time::Duration;

use axum::http::StatusCode;

use crate::{
    live::Browser,
    stage::{Stage, encoded},
};

/// The elements of the rows, in their order.
fn rows(page: &str) -> Vec<&str> {
    page.split("<tr id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Where the first link with these words in it leads.
fn link(page: &str, words: &str) -> Option<String> {
    let (before, _) = page.split_once(words)?;
    let (_, anchor) = before.rsplit_once("<a ")?;
    let (_, address) = anchor.split_once("href=\"")?;
    Some(address.split('"').next()?.replace("&#38;", "&"))
}

#[tokio::test]
async fn where_nobody_tells_events_the_page_says_how_to_switch_them_on() {
    let stage = Stage::operator();
    let page = stage.get("/events").await;
    assert_eq!(page.status, StatusCode::OK);
    for words in ["Events are off until", "TASKQ__EVENTS=on", "events = &#34;on&#34;"] {
        assert!(
            page.body.replace("events = \"on\"", "events = &#34;on&#34;").contains(words),
            "{words}: {}",
            page.body
        );
    }
}

#[tokio::test]
async fn what_is_newest_comes_first_and_leads_to_what_it_is_about() {
    let stage = Stage::operator();
    let tasks = stage.fill("card declined").await;
    let page = stage.get("/events").await.body;
    let task = format!("href=\"/task?id={}\"", tasks[0].to_string().replace('/', "%2F"));
    let worker = format!("href=\"/worker?id={}\"", stage.worker);
    for link in [&task, &worker, "href=\"/schedule?queue=mail&#38;name=nightly\"", "href=\"/health\""] {
        assert!(page.contains(link), "{link} in {page}");
    }
    let places: Vec<_> =
        ["unreadable", "left_out</", "ticked</", "settled</", "is-ready"].map(|kind| page.rfind(kind)).into();
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
    assert!(page.contains("attempt 1 dead after 12 ms: card declined"));
    assert!(page.contains("7 left out or missed"), "how much is not there is told");
}

#[tokio::test]
async fn filters_keep_to_kinds_a_queue_and_a_text_and_what_was_left_out_is_told_in_any_case() {
    let stage = Stage::operator();
    let tasks = stage.fill("card declined").await;
    let told = async |filter: &str| rows(&stage.get(&format!("/events?{filter}")).await.body).len();
    assert_eq!(told("").await, 8);
    assert_eq!(told("kind=ticked").await, 1 + 1);
    assert_eq!(told("kind=ticked&kind=worker_up").await, 2 + 1);
    assert_eq!(told("queue=mail").await, 3 + 1);
    assert_eq!(told("queue=other").await, 1);
    assert_eq!(told("text=nightly").await, 1 + 1);
    assert_eq!(told(&format!("kind=settled&text={}", encoded(&stage.worker.to_string()))).await, 1 + 1);
    let page = stage.get(&format!("/task?id={}", encoded(&tasks[0].to_string()))).await.body;
    let events = stage.get(&link(&page, ">Events of this task").expect("a link")).await.body;
    assert_eq!(rows(&events).len(), 2 + 1, "that it was enqueued and how it ended");
    assert_eq!(stage.get("/events?kind=nothing").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_page_has_a_bounded_number_of_rows_and_the_pages_together_have_every_event_once() {
    let stage = Stage::operator();
    stage.tell_of_tasks(0..2_350).await;
    let (mut path, mut seen, mut pages) = ("/events".to_owned(), Vec::new(), 0);
    loop {
        let page = stage.get(&path).await.body;
        let rows = rows(&page);
        assert!(rows.len() <= 100, "{path} has {} rows", rows.len());
        seen.extend(
            rows.into_iter().map(|row| row.rsplit_once('-').expect("a place").1.parse::<u64>().expect("a number")),
        );
        pages += 1;
        assert!(pages < 60, "it ends");
        match link(&page, ">Older") {
            Some(older) => path = older,
            None => break,
        }
    }
    assert_eq!(seen, (1..=2_350).rev().collect::<Vec<_>>());
    let page = stage.get("/events?text=nothing-has-this").await.body;
    assert!(page.contains("0 shown of 1,999 events looked at") && page.contains(">Older"), "{page}");
}

#[tokio::test]
async fn events_follow_within_a_second_and_nothing_is_sent_for_those_that_are_not_wanted() {
    let stage = Stage::simulated();
    stage.tell_of_tasks(0..3).await;
    let mut all = Browser::watching(&stage, "/live?page=events").await;
    all.hears("mail/n2").await;
    let mut some = Browser::watching(&stage, "/live?page=events&kind=started").await;
    some.hears("Nothing here fits the filters").await;
    stage.tell_of_tasks(3..4).await;
    assert!(all.hears("mail/n3").await < Duration::from_secs(1));
    assert!(all.hears_nothing_for(Duration::from_secs(14)).await, "nothing changes");
}

#[tokio::test]
async fn who_pauses_sees_the_same_rows_until_they_follow_again() {
    let stage = Stage::operator();
    stage.tell_of_tasks(0..150).await;
    let page = stage.get("/events?kind=enqueued").await.body;
    assert!(page.contains("hx-sse:connect=\"/live?page=events&kind=enqueued\""), "{page}");
    let pause = link(&page, ">Pause").expect("a link");
    stage.tell_of_tasks(150..170).await;
    let still = stage.get(&pause).await.body;
    assert_eq!(rows(&still), rows(&page));
    assert!(!still.contains("hx-sse:connect") && still.contains("This page stands still"), "{still}");
    let again = stage.get(&link(&still, ">Follow").expect("a link")).await.body;
    assert!(again.contains("mail/n169") && again.contains("hx-sse:connect"));
}

#[tokio::test]
async fn what_a_look_is_too_slow_for_is_told_where_it_is_missing() {
    let stage = Stage::simulated();
    stage.tell_of_tasks(0..10).await;
    let mut browser = Browser::watching(&stage, "/live?page=events").await;
    browser.hears("mail/n9").await;
    stage.tell_of_tasks(10..3_010).await;
    browser.hears("mail/n3009").await;
    let page = stage.get("/events").await.body;
    assert!(page.contains("1,001 left out or missed"), "{page}");
}

#[tokio::test]
async fn events_are_read_once_for_all_who_watch_and_only_while_somebody_does() {
    let stage = Stage::simulated();
    stage.tell_of_tasks(0..10).await;
    let mut browsers = Vec::new();
    for filter in ["", "&kind=enqueued", "&text=n3", "&queue=mail"] {
        browsers.push(Browser::watching(&stage, &format!("/live?page=events{filter}")).await);
    }
    for browser in &mut browsers {
        browser.event().await.expect("a look");
    }
    stage.time.pass(Duration::from_secs(4)).await;
    assert_eq!(stage.way.looks(), 11, "however many filters there are");
    drop(browsers);
    stage.time.pass(Duration::from_secs(10)).await;
    let after = stage.way.looks();
    // Nobody has watched: what has come meanwhile was nobody's to miss.
    stage.tell_of_tasks(10..3_010).await;
    let page = stage.get("/events").await.body;
    assert!(page.contains("mail/n3009") && !page.contains("missed"), "{page}");
    assert_eq!(stage.way.looks(), after + 1);
}
