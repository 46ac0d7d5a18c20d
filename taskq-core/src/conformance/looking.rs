//! Lists and single tasks as people look at them.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    broker::{Ending, Settled},
    conformance::Stage,
    id::TaskId,
    inspect::{PageToken, Shelf, TaskView},
    invocation::{Invocation, Unique},
    limits,
    state::{DeadReason, State},
    task_error::TaskError,
};

/// All tasks of a shelf, page after page.
async fn all(stage: &Stage, shelf: Shelf, page_size: usize) -> Vec<TaskView> {
    let (mut seen, mut after): (_, Option<PageToken>) = (Vec::new(), None);
    loop {
        let page =
            stage.connection.inspect().tasks(&stage.queue, shelf, after.as_ref(), page_size).await.expect("lists");
        assert!(page.tasks.len() <= page_size, "{} of {page_size}", page.tasks.len());
        seen.extend(page.tasks);
        match page.next {
            Some(next) => after = Some(next),
            None => return seen,
        }
    }
}

async fn ids(stage: &Stage, shelf: Shelf, page_size: usize) -> Vec<TaskId> {
    all(stage, shelf, page_size).await.into_iter().map(|view| view.id).collect()
}

async fn task(stage: &Stage, id: &TaskId) -> TaskView {
    stage.connection.inspect().task(id).await.expect("looks").expect("is known")
}

/// Ready tasks stand in the order in which they start: by priority, then first in first out; pages leave none out.
pub async fn ready_tasks_are_listed_in_the_order_in_which_they_start(stage: Stage) {
    let mut expected = Vec::new();
    for priority in [9, 5, 0] {
        let envelopes: Vec<_> =
            (0..15).map(|number| stage.envelope(stage.invocation(number).priority(priority))).collect();
        expected.extend(envelopes.iter().map(|envelope| envelope.id.clone()));
        stage.enqueue_all(&envelopes).await;
        for number in 0..3 {
            expected.push(stage.enqueue(stage.invocation(number).priority(priority)).await.0);
        }
    }
    for page_size in [1, 4, 100] {
        assert_eq!(ids(&stage, Shelf::Ready, page_size).await, expected, "pages of {page_size}");
    }
    let first = &all(&stage, Shelf::Ready, 1).await[0];
    assert_eq!(first.snapshot.state, State::Ready);
    let envelope = first.envelope.as_ref().expect("decodes");
    assert_eq!((envelope.task.as_str(), envelope.payload.as_str()), ("noop", r#"{"number":0}"#));
}

/// What was cancelled while it was ready is not listed, though a broker may keep it in line until a claim drops it.
pub async fn a_cancelled_task_is_not_listed(stage: Stage) {
    let mut kept = Vec::new();
    for number in 0..9 {
        let (id, _) = stage.enqueue(stage.invocation(number)).await;
        match number % 3 {
            0 => drop(stage.connection.broker().cancel(&id).await.expect("cancels")),
            _ => kept.push(id),
        }
    }
    let untracked = stage.untracked(9);
    stage.enqueue_all(std::slice::from_ref(&untracked)).await;
    stage.connection.broker().cancel(&untracked.id).await.expect("cancels");
    assert_eq!(ids(&stage, Shelf::Ready, 2).await, kept);
}

/// Scheduled and retrying tasks stand in the order in which they are due, with that time.
pub async fn waiting_tasks_are_listed_by_their_due_time(stage: Stage) {
    let mut expected = Vec::new();
    for seconds in (1..=150u64).rev() {
        let delayed = stage.invocation(0).delay(Duration::from_secs(seconds * 60));
        expected.push(stage.enqueue(delayed).await.0);
    }
    expected.reverse();
    assert_eq!(ids(&stage, Shelf::Scheduled, 40).await, expected);
    let first = &all(&stage, Shelf::Scheduled, 1).await[0];
    let in_seconds = first.snapshot.due.expect("has one").since(stage.now().await).as_secs();
    assert!((50..=60).contains(&in_seconds), "{in_seconds}");
    assert_eq!(first.snapshot.state, State::Scheduled);

    let mut failed = Vec::new();
    for seconds in [90u64, 30, 60] {
        let id = stage.enqueue_one().await;
        let owner = stage.worker().await;
        let mut claimed = stage.claim_one(owner).await;
        Arc::make_mut(&mut claimed.envelope).record_failure(stage.now().await, &TaskError::from("no luck"));
        stage.settle(owner, &claimed, Ending::Retry(Duration::from_secs(seconds))).await;
        failed.push((seconds, id));
    }
    failed.sort();
    let expected: Vec<_> = failed.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids(&stage, Shelf::Retrying, 2).await, expected);
    let first = &all(&stage, Shelf::Retrying, 9).await[0];
    assert_eq!((first.snapshot.state, first.snapshot.attempts), (State::Retrying, 1));
    assert_eq!(first.snapshot.last_error.as_deref(), Some("no luck"));
}

/// Running tasks are listed with who holds them, over all workers.
pub async fn running_tasks_are_listed_with_their_workers(stage: Stage) {
    let mut expected = Vec::new();
    for _ in 0..3 {
        for number in 0..5 {
            stage.enqueue(stage.invocation(number)).await;
        }
        let owner = stage.worker().await;
        let mut claimed = stage.claim(owner, 5).await;
        // One of them has ended, and is listed no more.
        assert_eq!(stage.succeed(owner, &claimed.remove(2), 1).await, Settled::Applied);
        expected.extend(claimed.into_iter().map(|claimed| (claimed.envelope.id.clone(), owner)));
    }
    expected.sort();
    for page_size in [1, 5, 100] {
        let mut seen: Vec<_> = all(&stage, Shelf::Running, page_size)
            .await
            .into_iter()
            .map(|view| {
                assert_eq!((view.snapshot.state, view.deliveries), (State::Running, 1));
                (view.id, view.snapshot.owner.expect("somebody holds it"))
            })
            .collect();
        seen.sort();
        assert_eq!(seen, expected, "pages of {page_size}");
    }
}

/// Dead letters are a shelf like the others, oldest first.
pub async fn dead_letters_are_listed_with_their_reason(stage: Stage) {
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(stage.enqueue_one().await);
        let owner = stage.worker().await;
        let mut claimed = stage.claim_one(owner).await;
        Arc::make_mut(&mut claimed.envelope).record_failure(stage.now().await, &TaskError::from("beyond help"));
        stage.settle(owner, &claimed, Ending::Dead(DeadReason::Fatal)).await;
        stage.advance(Duration::from_millis(5)).await;
    }
    assert_eq!(ids(&stage, Shelf::Dead, 2).await, expected);
    let last = all(&stage, Shelf::Dead, 9).await.pop().expect("five");
    assert_eq!((last.snapshot.state, last.snapshot.reason), (State::Dead, Some(DeadReason::Fatal)));
    assert_eq!(last.snapshot.last_error.as_deref(), Some("beyond help"));
}

/// A task is shown with its arguments in every state in which a broker keeps it whole, and with its end afterwards.
pub async fn a_task_is_shown_in_every_state(stage: Stage) {
    let tagged = stage.invocation(7).tag("tenant:7").header("colour", "red").delay(Duration::from_secs(60));
    let (id, _) = stage.enqueue(tagged).await;
    let view = task(&stage, &id).await;
    assert_eq!(view.snapshot.state, State::Scheduled);
    let envelope = view.envelope.expect("is kept whole");
    assert_eq!((envelope.payload.as_str(), &envelope.tags[..]), (r#"{"number":7}"#, &["tenant:7".to_owned()][..]));
    assert_eq!(envelope.headers.get("colour").map(String::as_str), Some("red"));
    stage.advance(Duration::from_secs(61)).await;
    stage.sweep().await;
    let view = task(&stage, &id).await;
    assert_eq!((view.snapshot.state, view.envelope.is_some(), view.ahead), (State::Ready, true, Some(0)));

    let owner = stage.worker().await;
    let claimed = stage.claim_one(owner).await;
    let view = task(&stage, &id).await;
    assert_eq!((view.snapshot.state, view.deliveries), (State::Running, 1));
    assert_eq!((view.snapshot.owner, view.envelope.is_some()), (Some(owner), true));

    let ending = Ending::Dead(DeadReason::Fatal);
    assert_eq!(stage.settle(owner, &claimed, ending).await, Settled::Applied);
    let view = task(&stage, &id).await;
    assert_eq!((view.snapshot.state, view.envelope.is_some()), (State::Dead, true));

    assert!(stage.connection.control().replay(&id).await.expect("replays"));
    let view = task(&stage, &id).await;
    assert_eq!(view.snapshot.state, State::Ready);
    let envelope = view.envelope.expect("is kept whole");
    assert!(envelope.replayed_at.is_some() && envelope.due_since() == envelope.replayed_at, "it waits anew");
    assert_eq!(envelope.tags, ["tenant:7"]);

    let claimed = stage.claim_one(owner).await;
    assert_eq!(stage.succeed(owner, &claimed, 3).await, Settled::Applied);
    let view = task(&stage, &id).await;
    assert_eq!((view.snapshot.state, view.envelope), (State::Succeeded, None));
    assert_eq!(view.snapshot.result.map(|result| result.as_str().to_owned()).as_deref(), Some("3"));

    let unknown = TaskId::new(stage.queue.clone(), crate::id::TaskKey::generate());
    assert_eq!(stage.connection.inspect().task(&unknown).await.expect("looks"), None);
}

/// A ready task is found where it stands, also far behind, and it is told how many start before it.
pub async fn a_ready_task_is_found_far_behind(stage: Stage) {
    let mut known = Vec::new();
    for batch in 0..40 {
        let envelopes: Vec<_> = (0..100).map(|number| stage.envelope(stage.invocation(number))).collect();
        known.push((batch * 100 + 37, envelopes[37].id.clone()));
        stage.enqueue_all(&envelopes).await;
    }
    for (ahead, id) in known {
        let view = task(&stage, &id).await;
        assert_eq!(view.snapshot.state, State::Ready);
        let told = view.ahead.expect("is told");
        assert!(told.abs_diff(ahead) <= 10 + ahead / 10, "{told} for {ahead}");
        assert_eq!(view.envelope.expect("is found").id, id);
    }
}

/// A queue tells how many tasks it has, how long the oldest waits, when the next is due, and who works on it.
pub async fn a_queue_tells_how_it_is(stage: Stage) {
    let inspect = stage.connection.inspect();
    let view = inspect.queue(&stage.queue).await.expect("looks");
    assert_eq!((view.oldest_ready, view.next_due, view.paused_at, view.workers), (None, None, None, 0));
    let begun = stage.now().await;
    stage.enqueue_one().await;
    stage.enqueue(stage.invocation(1).delay(Duration::from_secs(3_600))).await;
    stage.advance(Duration::from_secs(90)).await;
    stage.enqueue(stage.invocation(2).priority(9)).await;
    let owner = stage.worker().await;
    let view = inspect.queue(&stage.queue).await.expect("looks");
    assert_eq!((view.counts.ready, view.counts.scheduled, view.workers), (2, 1, 1));
    let since = view.oldest_ready.expect("two are ready").since(begun);
    assert!(since < Duration::from_secs(30), "{since:?}: the one of lower priority has waited longer");
    let due_in = view.next_due.expect("one is scheduled").since(begun);
    assert!((Duration::from_secs(3_590)..Duration::from_secs(3_640)).contains(&due_in), "{due_in:?}");
    stage.connection.broker().leave(owner, &stage.queue).await.expect("leaves");
    assert_eq!(inspect.queue(&stage.queue).await.expect("looks").workers, 0);
}

/// Who holds a unique key is told, until it is free.
pub async fn the_holder_of_a_unique_key_is_told(stage: Stage) {
    let inspect = stage.connection.inspect();
    for unique in [Unique::key("once"), Unique::key("a while").for_duration(Duration::from_secs(60))] {
        let key = unique.clone();
        let (id, _) = stage.enqueue(stage.invocation(0).unique(key)).await;
        let name = if unique == Unique::key("once") { "once" } else { "a while" };
        let holder = inspect.unique_holder(&stage.queue, name).await.expect("looks");
        assert_eq!(holder.as_ref(), Some(&id.key), "{name}");
    }
    let owner = stage.worker().await;
    for claimed in stage.claim(owner, 2).await {
        stage.succeed(owner, &claimed, 1).await;
    }
    assert_eq!(inspect.unique_holder(&stage.queue, "once").await.expect("looks"), None);
    assert!(inspect.unique_holder(&stage.queue, "a while").await.expect("looks").is_some(), "it outlives its task");
    stage.advance(Duration::from_secs(61)).await;
    assert_eq!(inspect.unique_holder(&stage.queue, "a while").await.expect("looks"), None);
    assert_eq!(inspect.unique_holder(&stage.queue, "nobody's").await.expect("looks"), None);
}

/// A page never has more than may be asked for.
pub async fn a_page_is_bounded(stage: Stage) {
    let envelopes: Vec<_> = (0..limits::ENQUEUE_CHUNK as u32).map(|n| stage.envelope(stage.invocation(n))).collect();
    stage.enqueue_all(&envelopes).await;
    stage.enqueue_all(&envelopes.iter().map(|_| stage.envelope(stage.invocation(0))).collect::<Vec<_>>()).await;
    let page = stage.connection.inspect().tasks(&stage.queue, Shelf::Ready, None, usize::MAX).await.expect("lists");
    assert!(!page.tasks.is_empty() && page.tasks.len() <= limits::MAX_PAGE && page.next.is_some());
    let nothing = stage.with_queue("never-used");
    for shelf in Shelf::ALL {
        let page = nothing.connection.inspect().tasks(&nothing.queue, shelf, None, 9).await.expect("lists");
        assert!(page.tasks.is_empty() && page.next.is_none(), "{shelf}");
        let strange = PageToken("strange \u{0} token".to_owned());
        let page = nothing.connection.inspect().tasks(&nothing.queue, shelf, Some(&strange), 9).await;
        assert!(page.is_err() || page.is_ok_and(|page| page.tasks.is_empty()), "{shelf}");
    }
}

/// A page has no more bytes than may be asked for, however many tasks it may have; and pages leave none out.
pub async fn a_page_of_large_tasks_is_short(stage: Stage) {
    const TASKS: usize = 7;
    let large = |number: usize| {
        let arguments = json!({"number": number, "text": "x".repeat(limits::MAX_PAYLOAD * 3 / 4)});
        Invocation::named("noop", &arguments).queue(stage.queue.as_str())
    };
    let mut expected = Vec::new();
    for number in 0..TASKS {
        expected.push(stage.enqueue(large(number)).await.0);
        let later = Duration::from_secs(60 * (number as u64 + 1));
        stage.enqueue(large(number).delay(later)).await;
    }
    assert_eq!(in_short_pages(&stage, Shelf::Ready).await, expected);
    assert_eq!(in_short_pages(&stage, Shelf::Scheduled).await.len(), TASKS);

    let owner = stage.worker().await;
    let mut claimed = Vec::new();
    while claimed.len() < TASKS {
        claimed.extend(stage.claim(owner, TASKS - claimed.len()).await);
    }
    let mut running = in_short_pages(&stage, Shelf::Running).await;
    running.sort();
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(running, sorted);
    for (number, claimed) in claimed.iter().enumerate() {
        stage.settle(owner, claimed, Ending::Retry(Duration::from_secs(number as u64 + 1))).await;
    }
    assert_eq!(in_short_pages(&stage, Shelf::Retrying).await.len(), TASKS);

    stage.advance(Duration::from_secs(TASKS as u64 + 1)).await;
    let owner = stage.worker().await;
    let mut died = Vec::new();
    while died.len() < TASKS {
        for claimed in stage.claim(owner, TASKS).await {
            stage.settle(owner, &claimed, Ending::Dead(DeadReason::Failed)).await;
            stage.advance(Duration::from_millis(2)).await;
            died.push(claimed.envelope.id.clone());
        }
    }
    assert_eq!(in_short_pages(&stage, Shelf::Dead).await, died);
}

/// All tasks of a shelf, from pages that are asked for as much as they may have.
async fn in_short_pages(stage: &Stage, shelf: Shelf) -> Vec<TaskId> {
    let (mut seen, mut after): (Vec<TaskId>, Option<PageToken>) = (Vec::new(), None);
    loop {
        let page =
            stage.connection.inspect().tasks(&stage.queue, shelf, after.as_ref(), usize::MAX).await.expect("lists");
        let payloads =
            page.tasks.iter().filter_map(|view| view.envelope.as_ref()).map(|task| task.payload.as_str().len());
        let bytes: usize = payloads.sum();
        assert!(bytes < limits::PAGE_BYTES + limits::MAX_PAYLOAD, "{shelf}: {bytes} bytes in one page");
        seen.extend(page.tasks.into_iter().map(|view| view.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return seen,
        }
    }
}
