//! The fleet: who reports is listed, who does not is forgotten, and what is asked is heard.

use std::time::Duration;

use crate::{
    conformance::Stage,
    error::ErrorKind,
    fleet::{MemberId, Request},
    id::WorkerId,
    limits,
};

const KEPT: Duration = Duration::from_secs(60);

fn member() -> MemberId {
    WorkerId::generate().into()
}

async fn listed(stage: &Stage) -> Vec<(MemberId, String)> {
    let members = stage.connection.fleet().members(None, limits::MAX_PAGE).await.expect("lists");
    members.into_iter().map(|member| (member.id, member.report)).collect()
}

/// A member is listed with its latest report and the time of it.
pub async fn a_member_is_listed_with_its_latest_report(stage: Stage) {
    let fleet = stage.connection.fleet();
    let (first, second) = (member(), member());
    assert_eq!(fleet.check_in(first, "one", KEPT).await.expect("checks in"), None);
    stage.advance(Duration::from_secs(5)).await;
    fleet.check_in(second, "\u{e9}\u{0} \n{}", KEPT).await.expect("checks in");
    fleet.check_in(first, "two", KEPT).await.expect("checks in");
    let mut expected = [(first, "two".to_owned()), (second, "\u{e9}\u{0} \n{}".to_owned())];
    expected.sort();
    assert_eq!(listed(&stage).await, expected);
    let seen = fleet.members(None, 9).await.expect("lists").into_iter().map(|member| member.seen_at);
    let now = stage.now().await;
    assert!(seen.into_iter().all(|seen_at| now.since(seen_at) < Duration::from_secs(3)));
}

/// Whoever does not report any more is forgotten when its time is over, and at once when it checks out.
pub async fn a_silent_member_is_forgotten(stage: Stage) {
    let fleet = stage.connection.fleet();
    let (silent, talking, leaving) = (member(), member(), member());
    for id in [silent, talking, leaving] {
        fleet.check_in(id, "here", KEPT).await.expect("checks in");
    }
    stage.advance(KEPT / 2).await;
    fleet.check_in(talking, "still here", KEPT).await.expect("checks in");
    fleet.check_out(leaving).await.expect("checks out");
    fleet.check_out(leaving).await.expect("repeating it is harmless");
    assert_eq!(listed(&stage).await.len(), 2);
    stage.advance(KEPT / 2 + Duration::from_secs(1)).await;
    assert_eq!(listed(&stage).await, [(talking, "still here".to_owned())]);
    assert!(!fleet.ask(silent, Request::Drain).await.expect("answers"), "nobody is there to be asked");
    fleet.check_in(silent, "back", KEPT).await.expect("checks in");
    assert_eq!(listed(&stage).await.len(), 2);
}

/// What is asked of a member is heard with its next report, and again with every other until it is gone.
pub async fn what_is_asked_of_a_member_is_heard(stage: Stage) {
    let fleet = stage.connection.fleet();
    let (asked, other) = (member(), member());
    for id in [asked, other] {
        fleet.check_in(id, "here", KEPT).await.expect("checks in");
    }
    assert!(fleet.ask(asked, Request::Drain).await.expect("asks"));
    assert!(fleet.ask(asked, Request::Drain).await.expect("repeating it is harmless"));
    for member in fleet.members(None, 9).await.expect("lists") {
        assert_eq!(member.asked, (member.id == asked).then_some(Request::Drain));
    }
    assert_eq!(fleet.check_in(other, "here", KEPT).await.expect("checks in"), None);
    for _ in 0..2 {
        // The first answer may be lost.
        assert_eq!(fleet.check_in(asked, "here", KEPT).await.expect("checks in"), Some(Request::Drain));
    }
    fleet.check_out(asked).await.expect("checks out");
    assert_eq!(fleet.check_in(asked, "again", KEPT).await.expect("checks in"), None, "what was asked went with it");
    assert!(!fleet.ask(member(), Request::Drain).await.expect("answers"));
}

/// Pages of members follow one another without gap or repetition.
pub async fn members_come_in_pages(stage: Stage) {
    let mut expected: Vec<MemberId> = (0..23).map(|_| member()).collect();
    for id in &expected {
        stage.connection.fleet().check_in(*id, &"x".repeat(5_000), KEPT).await.expect("checks in");
    }
    expected.sort();
    let mut seen: Vec<MemberId> = Vec::new();
    loop {
        let page = stage.connection.fleet().members(seen.last().copied(), 5).await.expect("lists");
        assert!(page.len() <= 5);
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|member| member.id));
    }
    assert_eq!(seen, expected);
}

/// A report that is too long is refused.
pub async fn a_report_that_is_too_long_is_refused(stage: Stage) {
    let fleet = stage.connection.fleet();
    fleet.check_in(member(), &"x".repeat(limits::MAX_REPORT), KEPT).await.expect("fits");
    let error = fleet.check_in(member(), &"x".repeat(limits::MAX_REPORT + 1), KEPT).await.expect_err("is too long");
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert_eq!(listed(&stage).await.len(), 1);
}
