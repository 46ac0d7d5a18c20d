//! What entries ask for: missed ticks, overlaps, jitter, changes at run time.

use std::time::Duration;

use taskq_core::{
    Connection, EntryName, Invocation, QueueName, State, TaskId, WorkerId,
    broker::{Claimed, Ending, Settlement},
    codec::Payload,
    id::{ClaimNumber, Owner},
    limits,
};
use taskq_scheduler::{Entries, Entry, Misfire, Overlap, every};

use crate::world::{SECOND, World, task};

fn queue() -> QueueName {
    QueueName::new("q").expect("valid")
}

fn entry(misfire: Misfire) -> Entry {
    Entry::new("e", every(SECOND * 10).expect("valid"), task("e")).misfire(misfire).grace(SECOND * 25)
}

/// What is fired after nobody has led from second 12 to second 95.
async fn fired_after_an_outage(misfire: Misfire) -> Vec<(i64, i64)> {
    let world = World::new(7);
    let before = world.rival(|builder| builder.with(entry(misfire)));
    world.advance(SECOND * 12).await;
    before.drain();
    world.advance(SECOND * 83).await;
    let _after = world.rival(|builder| builder.with(entry(misfire)));
    world.advance(SECOND * 10).await;
    world.fired("e")
}

#[tokio::test]
async fn missed_ticks_are_skipped_coalesced_or_caught_up_with() {
    let skip = fired_after_an_outage(Misfire::Skip).await;
    assert_eq!(skip, [(10, 10), (80, 95), (90, 95), (100, 100)]);
    let once = fired_after_an_outage(Misfire::Once).await;
    assert_eq!(once, [(10, 10), (90, 95), (100, 100)]);
    let all = fired_after_an_outage(Misfire::All(100)).await;
    let expected: Vec<_> =
        [(10, 10)].into_iter().chain((2..=9).map(|ten| (ten * 10, 95))).chain([(100, 100)]).collect();
    assert_eq!(all, expected);
    let two = fired_after_an_outage(Misfire::All(2)).await;
    assert_eq!(two, [(10, 10), (80, 95), (90, 95), (100, 100)]);
}

#[tokio::test]
async fn many_missed_ticks_are_caught_up_with_in_several_steps() {
    let world = World::new(7);
    let entry = || Entry::new("e", every(SECOND).expect("valid"), task("e")).misfire(Misfire::All(1_000));
    let before = world.rival(|builder| builder.with(entry()));
    world.advance(SECOND * 2).await;
    before.drain();
    world.advance(SECOND * 700).await;
    let _after = world.rival(|builder| builder.with(entry()));
    world.advance(SECOND * 3).await;
    world.check(7, &[("e", every(SECOND).expect("valid"))], world.now());
    assert!(world.effects().len() > 700);
}

/// A worker that takes its time.
struct Hand {
    connection: Connection,
    owner: Owner,
    claims: u64,
}

impl Hand {
    async fn new(world: &World) -> Self {
        let owner = Owner { worker: WorkerId::generate(), term: 0 };
        let connection = world.broker.clone();
        connection.broker().join(owner, &queue(), limits::MAX_LEASE).await.expect("joins");
        Self { connection, owner, claims: 0 }
    }

    async fn claim(&mut self) -> Vec<Claimed> {
        self.claims += 1;
        let (broker, queue) = (self.connection.broker(), queue());
        broker.claim(self.owner, &queue, 9, ClaimNumber(self.claims)).await.expect("claims").claimed
    }

    async fn end(&self, claimed: Claimed) {
        let result = Payload::encode("encode", &1, 9).expect("small");
        let Claimed { token, envelope, .. } = claimed;
        let settlement = Settlement { token, envelope, ending: Ending::Succeeded(result) };
        self.connection.broker().settle(self.owner, &queue(), &[settlement]).await.expect("settles");
    }
}

/// What is fired while the first run lasts from second 10 to second 35.
async fn fired_over_a_long_run(overlap: Overlap) -> (World, Vec<(i64, i64)>) {
    let world = World::new(7);
    let entry = Entry::new("e", every(SECOND * 10).expect("valid"), task("e")).overlap(overlap);
    let _rival = world.rival(|builder| builder.with(entry));
    let mut hand = Hand::new(&world).await;
    world.advance(SECOND * 11).await;
    let first = hand.claim().await.remove(0);
    world.advance(SECOND * 24).await;
    hand.end(first).await;
    world.advance(SECOND * 4).await;
    for claimed in hand.claim().await {
        hand.end(claimed).await;
    }
    world.advance(SECOND * 2).await;
    let fired = world.fired("e");
    (world, fired)
}

async fn state(world: &World, second: i64) -> Option<State> {
    let millis = crate::world::START.as_millis() / 1_000 * 1_000 + second * 1_000;
    let id: TaskId = format!("q/e@{millis}").parse().expect("valid");
    world.broker.client().find(&id).await.expect("finds").map(|snapshot| snapshot.state)
}

#[tokio::test]
async fn a_tick_during_the_last_run_is_fired_skipped_kept_or_takes_its_place() {
    let (_, allowed) = fired_over_a_long_run(Overlap::Allow).await;
    assert_eq!(allowed, [(10, 10), (20, 20), (30, 30), (40, 40)]);
    let (_, skipped) = fired_over_a_long_run(Overlap::Skip).await;
    assert_eq!(skipped, [(10, 10), (40, 40)]);
    let (_, queued) = fired_over_a_long_run(Overlap::QueueOne).await;
    assert_eq!((queued[0], queued[1].0, queued[2], queued.len()), ((10, 10), 30, (40, 40), 3));
    assert!((35..=36).contains(&queued[1].1), "{queued:?}");
    let (world, cancelled) = fired_over_a_long_run(Overlap::CancelOld).await;
    assert_eq!(cancelled, [(10, 10), (20, 20), (30, 30), (40, 40)]);
    assert_eq!(state(&world, 20).await, Some(State::Cancelled), "it waited when the next one came");
    assert_eq!(state(&world, 30).await, Some(State::Succeeded));
}

#[tokio::test]
async fn entries_can_be_put_paused_resumed_and_removed_while_schedulers_run() {
    let world = World::new(7);
    let _rival = world.rival(|builder| builder);
    let entries = Entries::of(&world.broker);
    world.advance(SECOND * 5).await;
    let id = entries.put(entry(Misfire::All(9))).await.expect("puts");
    world.advance(SECOND * 17).await;
    assert!(entries.pause(&id).await.expect("pauses"));
    world.advance(SECOND * 40).await;
    assert!(entries.resume(&id).await.expect("resumes"));
    world.advance(SECOND * 20).await;
    entries.put(Entry::new("e", every(SECOND * 15).expect("valid"), task("e"))).await.expect("replaces");
    world.advance(SECOND * 20).await;
    entries.remove(&id).await.expect("removes");
    world.advance(SECOND * 60).await;
    assert_eq!(world.fired("e"), [(10, 10), (20, 20), (70, 70), (80, 80), (90, 90)]);
    assert!(!entries.pause(&id).await.expect("answers"));
}

#[tokio::test]
async fn an_entry_that_left_the_code_fires_no_more_and_one_from_elsewhere_stays() {
    let world = World::new(7);
    let entries = Entries::of(&world.broker);
    let named = |name: &str| Entry::new(name, every(SECOND * 10).expect("valid"), task(name));
    entries.put(named("run-time")).await.expect("puts");
    let old = world.rival(|builder| builder.with(named("gone")).with(named("stays")));
    world.advance(SECOND * 12).await;
    old.drain();
    let new = world.rival(|builder| builder.with(named("stays")).with(named("run-time")));
    world.advance(SECOND * 10).await;
    new.drain();
    let _bare = world.rival(|builder| builder);
    world.advance(SECOND * 10).await;
    assert_eq!(world.fired("gone"), [(10, 10)]);
    assert_eq!(world.fired("stays"), [(10, 10), (20, 20), (30, 30)]);
    assert_eq!(world.fired("run-time"), [(10, 10), (20, 20), (30, 30)]);
    let page = entries.page(&queue(), None).await.expect("lists");
    let names: Vec<_> = page.iter().map(|entry| entry.id().name.as_str()).collect();
    assert_eq!(names, ["run-time", "stays"]);
    let error = entries.remove(page[1].id()).await.expect_err("it would come back");
    assert!(error.to_string().contains("comes from code"), "{error}");
}

#[tokio::test]
async fn jitter_delays_the_task_and_not_the_tick() {
    let world = World::new(7);
    let schedule = every(SECOND * 60).expect("valid").jitter(SECOND * 30).expect("valid");
    let name = EntryName::new("e").expect("valid");
    let _rival = world.rival(|builder| builder.entry("e", schedule.clone(), task("e")));
    world.advance(SECOND * 61).await;
    assert_eq!(world.fired("e"), [(60, 60)]);
    let tick = taskq_core::FireTime(schedule.next_after(crate::world::START).expect("goes on"));
    let delay = schedule.jitter_of(&name, tick);
    assert!(delay > SECOND * 2, "another seed of names, please: {delay:?}");
    assert_eq!(state(&world, 60).await, Some(State::Scheduled));
    let mut hand = Hand::new(&world).await;
    world.advance(delay - SECOND * 2).await;
    assert!(hand.claim().await.is_empty());
    world.advance(SECOND * 2).await;
    assert_eq!(hand.claim().await.len(), 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_the_start() {
    let world = World::new(7);
    let every_second = || every(SECOND).expect("valid");
    let refused = async |entry: Entry, second: Option<Entry>| {
        let builder = taskq_scheduler::Scheduler::builder(world.broker.clone()).with(entry);
        let builder = second.into_iter().fold(builder, |builder, entry| builder.with(entry));
        builder.start().await.expect_err("is refused").to_string()
    };
    let named = |name: &str, invocation: Invocation<_>| Entry::new(name, every_second(), invocation);
    assert!(refused(named("a b", task("t")), None).await.contains("entry name \"a b\""));
    assert!(refused(named("e", task("t").id("own")), None).await.contains("an id of its own"));
    assert!(refused(named("e", task("t").delay(SECOND)), None).await.contains("leave the delay away"));
    assert!(refused(named("e", task("t")).grace(limits::MAX_GRACE + SECOND), None).await.contains("a day at most"));
    let twice = refused(named("e", task("t")), Some(named("e", task("u")))).await;
    assert!(twice.contains("entry \"q/e\"") && twice.contains("two entries have this name"), "{twice}");
    let elsewhere = Entry::new("e", every_second(), task("t").queue("other"));
    let both = taskq_scheduler::Scheduler::builder(world.broker.clone()).with(named("e", task("t"))).with(elsewhere);
    let handle = both.start().await.expect("two queues");
    handle.drain();
    world.advance(Duration::from_millis(10)).await;
    assert!(!handle.is_leader());
}
