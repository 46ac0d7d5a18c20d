//! What operators do: entries in a file, tasks triggered by hand, a past range filled.

use taskq_core::{EntryOrigin, ErrorKind, State, TaskId, Timestamp};
use taskq_scheduler::{Entries, Entry, EntryId, every};

use crate::world::{SECOND, START, World, task};

fn every_ten(name: &str) -> Entry {
    Entry::new(name, every(SECOND * 10).expect("valid"), task(name))
}

fn id(name: &str) -> EntryId {
    let name = taskq_core::EntryName::new(name).expect("valid");
    EntryId { queue: taskq_core::QueueName::new("q").expect("valid"), name }
}

async fn origins(entries: &Entries) -> Vec<(String, EntryOrigin)> {
    let all = entries.all().await.expect("lists");
    all.iter().map(|entry| (entry.id().name.to_string(), entry.origin())).collect()
}

#[tokio::test]
async fn entries_of_a_file_come_and_go_while_the_scheduler_runs() {
    let world = World::new(7);
    let entries = Entries::of(&world.broker);
    let rival = world.rival(|builder| builder.with(every_ten("code")).file(vec![every_ten("a"), every_ten("b")]));
    world.advance(SECOND * 12).await;
    assert_eq!(
        origins(&entries).await,
        [("a".into(), EntryOrigin::File), ("b".into(), EntryOrigin::File), ("code".into(), EntryOrigin::Code)]
    );
    rival.reload(vec![every_ten("b"), every_ten("c")]).expect("is in order");
    world.advance(SECOND * 20).await;
    rival.reload(Vec::new()).expect("is in order");
    world.advance(SECOND * 10).await;
    assert_eq!(world.fired("a"), [(10, 10)]);
    assert_eq!(world.fired("b"), [(10, 10), (20, 20), (30, 30)]);
    assert_eq!(world.fired("c"), [(20, 20), (30, 30)]);
    assert_eq!(world.fired("code"), [(10, 10), (20, 20), (30, 30), (40, 40)]);
    assert_eq!(origins(&entries).await, [("code".into(), EntryOrigin::Code)]);
}

#[tokio::test]
async fn a_change_of_the_file_counts_within_a_moment() {
    let world = World::new(7);
    let rival = world.rival(|builder| builder.file(Vec::new()));
    world.advance(SECOND * 3).await;
    let often = Entry::new("often", every(SECOND).expect("valid"), task("often"));
    rival.reload(vec![often]).expect("is in order");
    world.advance(SECOND).await;
    assert_eq!(world.fired("often"), [(4, 4)]);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_a_moved_entry_is_not_lost() {
    let world = World::new(7);
    let entries = Entries::of(&world.broker);
    let rival = world.rival(|builder| builder.with(every_ten("code")).file(vec![every_ten("a")]));
    world.advance(SECOND * 12).await;
    let twice = rival.reload(vec![every_ten("b"), every_ten("b")]).expect_err("two of one name").to_string();
    assert!(twice.contains("entry \"q/b\"") && twice.contains("give each its own"), "{twice}");
    let clash = rival.reload(vec![every_ten("code")]).expect_err("one of the code").to_string();
    assert!(clash.contains("entry \"q/code\"") && clash.contains("rename the one of the file"), "{clash}");
    world.advance(SECOND * 10).await;
    assert_eq!(world.fired("a"), [(10, 10), (20, 20)]);
    rival.drain();
    world.advance(SECOND).await;
    let _next = world.rival(|builder| builder.with(every_ten("a")).file(vec![every_ten("code")]));
    world.advance(SECOND * 9).await;
    assert_eq!(origins(&entries).await, [("a".into(), EntryOrigin::Code), ("code".into(), EntryOrigin::File)]);
    assert_eq!(world.fired("a"), [(10, 10), (20, 20), (30, 30)]);
    assert_eq!(world.fired("code"), [(10, 10), (20, 20), (30, 30)]);
}

#[tokio::test]
async fn only_who_has_a_file_takes_away_what_came_from_one() {
    let world = World::new(7);
    let first = world.rival(|builder| builder.file(vec![every_ten("a")]));
    world.advance(SECOND * 12).await;
    first.drain();
    let bare = world.rival(|builder| builder.with(every_ten("code")));
    world.advance(SECOND * 10).await;
    bare.drain();
    let _empty = world.rival(|builder| builder.file(Vec::new()));
    world.advance(SECOND * 10).await;
    assert_eq!(world.fired("a"), [(10, 10), (20, 20)]);
}

#[tokio::test]
async fn an_entry_tells_what_it_is_and_when_it_is_due() {
    let world = World::new(7);
    let entries = Entries::of(&world.broker);
    let _rival = world.rival(|builder| builder.with(every_ten("a")));
    world.advance(SECOND * 12).await;
    let view = entries.find(&id("a")).await.expect("looks").expect("is there");
    assert!(entries.find(&id("0")).await.expect("looks").is_none());
    assert!(entries.find(&id("b")).await.expect("looks").is_none());
    let second = |time: Timestamp| time.as_millis().div_euclid(1_000) - START.as_millis() / 1_000;
    assert_eq!(view.upcoming(3).into_iter().map(second).collect::<Vec<_>>(), [20, 30, 40]);
    assert_eq!(view.last_fired().map(|tick| second(tick.0)), Some(10));
    assert_eq!(view.schedule().map(ToString::to_string).as_deref(), Some("every 10s"));
    assert_eq!((view.task().map(ToString::to_string).as_deref(), view.is_paused()), (Some("a"), false));
    entries.pause(&id("a")).await.expect("pauses");
    let view = entries.find(&id("a")).await.expect("looks").expect("is there");
    assert!(view.is_paused() && view.upcoming(3).is_empty());
}

#[tokio::test]
async fn a_triggered_entry_runs_once_more_and_its_ticks_stay() {
    let world = World::new(7);
    let entries = Entries::of(&world.broker);
    let _rival = world.rival(|builder| builder.with(every_ten("a")));
    world.advance(SECOND * 12).await;
    let first = entries.trigger(&id("a")).await.expect("triggers");
    let second = entries.trigger(&id("a")).await.expect("triggers");
    assert_ne!(first.id(), second.id());
    assert!(first.id().to_string().starts_with("q/a+"), "{}", first.id());
    for handle in [&first, &second] {
        let found = world.broker.client().find(handle.id()).await.expect("looks").expect("is there");
        assert_eq!(found.state, State::Ready);
    }
    world.advance(SECOND * 10).await;
    assert_eq!(world.fired("a"), [(10, 10), (20, 20)]);
    entries.pause(&id("a")).await.expect("pauses");
    assert!(entries.trigger(&id("a")).await.expect("a paused one too").was_created());
    let unknown = entries.trigger(&id("b")).await.expect_err("unknown").to_string();
    assert!(unknown.contains("\"q/b\"") || unknown.contains("q/b"), "{unknown}");
    assert!(unknown.contains("no such entry"), "{unknown}");
}

#[tokio::test]
async fn a_past_range_is_filled_once() {
    let world = World::new(7);
    let entries = Entries::of(&world.broker);
    let _rival = world.rival(|builder| builder.with(every_ten("a")));
    world.advance(SECOND * 12).await;
    let at = |second: i64| Timestamp::from_millis(START.as_millis() / 1_000 * 1_000 + second * 1_000);
    // The tick of second 10 has been fired; those of the hour before have not.
    let filled = entries.backfill(&id("a"), at(-30), at(10)).await.expect("fills");
    let ids: Vec<_> = filled.iter().map(|handle| (handle.id().clone(), handle.was_created())).collect();
    let tick = |second: i64| -> TaskId { format!("q/a@{}", at(second).as_millis()).parse().expect("valid") };
    assert_eq!(ids, [(tick(-20), true), (tick(-10), true), (tick(0), true), (tick(10), false)]);
    let again = entries.backfill(&id("a"), at(-30), at(10)).await.expect("answers");
    assert!(again.iter().all(|handle| !handle.was_created()));
    let future = entries.backfill(&id("a"), at(0), at(60)).await.expect_err("not past");
    assert_eq!(future.kind(), ErrorKind::InvalidInput);
    let many = entries.backfill(&id("a"), at(-20_000), at(0)).await.expect_err("too many").to_string();
    assert!(many.contains("over 1000 fire times") && many.contains("end the range before 2026-11-27T"), "{many}");
    assert!(entries.backfill(&id("a"), at(0), at(-10)).await.is_err());
}
