//! Several schedulers: one leads, whatever is done to it, and no tick is lost, doubled or early.

use std::{sync::atomic::Ordering, time::Duration};

use taskq_core::limits;
use taskq_scheduler::{Schedule, SchedulerBuilder, every};

use crate::world::{Rival, SECOND, World, task};

/// Takeover in three seconds, and something for messages on their way.
const TAKEOVER: Duration = Duration::from_millis(3_000);
const HANDOVER: Duration = Duration::from_millis(500);

fn schedules() -> [(&'static str, Schedule); 2] {
    [("fast", every(SECOND).expect("valid")), ("slow", every(SECOND * 7).expect("valid"))]
}

fn build(builder: SchedulerBuilder) -> SchedulerBuilder {
    schedules().into_iter().fold(builder, |builder, (name, schedule)| builder.entry(name, schedule, task(name)))
}

fn leader(rivals: &[Rival]) -> Option<usize> {
    let leaders: Vec<_> = (0..rivals.len()).filter(|index| rivals[*index].is_leader()).collect();
    assert!(leaders.len() <= 1, "two believe that they lead");
    leaders.first().copied()
}

#[tokio::test]
async fn one_leads_and_every_tick_is_fired_once_and_on_time() {
    let world = World::new(1);
    let rivals = [world.rival(build), world.rival(build), world.rival(build)];
    world.advance(SECOND * 60).await;
    let leads = leader(&rivals).expect("one leads");
    let late = world.check(1, &schedules(), world.now());
    assert!(late < Duration::from_millis(20), "{late:?}");
    assert_eq!(world.fired("fast").len(), 60);
    for (index, rival) in rivals.iter().enumerate() {
        assert_eq!(rival.tally().elected, u64::from(index == leads));
    }
}

#[tokio::test]
async fn a_clean_stop_hands_over_at_once() {
    for seed in 0..50 {
        let world = World::new(seed);
        let mut rivals = vec![world.rival(build), world.rival(build)];
        world.advance(SECOND * 2).await;
        for _ in 0..5 {
            let leads = leader(&rivals).expect("one leads");
            world.advance(world.net.dice.time(Duration::ZERO, SECOND * 3)).await;
            rivals[leads].drain();
            rivals.push(world.rival(build));
            world.advance(HANDOVER).await;
            let follows = leader(&rivals).expect("another one leads");
            assert_ne!(leads, follows);
        }
        world.advance(SECOND * 2).await;
        let late = world.check(seed, &schedules(), world.now());
        assert!(late <= HANDOVER, "seed {seed}: {late:?}");
    }
}

/// Kills the leader again and again.
#[tokio::test]
async fn a_dead_leader_is_followed_in_three_seconds_and_no_tick_is_lost() {
    for seed in 0..100 {
        let world = World::new(seed);
        let mut rivals = vec![world.rival(build), world.rival(build), world.rival(build)];
        for _ in 0..6 {
            world.advance(world.net.dice.time(SECOND, SECOND * 5)).await;
            if let Some(leads) = leader(&rivals) {
                rivals[leads].process.kill();
                rivals.push(world.rival(build));
            }
        }
        world.advance(TAKEOVER + SECOND).await;
        let late = world.check(seed, &schedules(), world.now());
        assert!(late <= TAKEOVER, "seed {seed}: {late:?}");
    }
}

/// Kills, stops longer than a term, and drains, while messages and answers get lost or come late.
#[tokio::test]
async fn no_tick_is_lost_doubled_or_early_whatever_happens() {
    let (mut fenced, mut ticks) = (0, 0);
    for seed in 0..200 {
        let world = World::new(seed);
        let dice = &world.net.dice;
        let mut rivals = vec![world.rival(build), world.rival(build), world.rival(build)];
        world.advance(SECOND).await;
        world.set_mishaps(dice.below(80));
        for _ in 0..8 {
            world.advance(dice.time(Duration::ZERO, SECOND * 3)).await;
            let Some(leads) = leader(&rivals) else { continue };
            match dice.below(4) {
                0 => rivals[leads].process.kill(),
                1 => rivals[leads].drain(),
                _ => {
                    rivals[leads].process.stop();
                    world.advance(dice.time(Duration::ZERO, limits::TERM * 3)).await;
                    rivals[leads].process.resume();
                    continue;
                }
            }
            rivals.push(world.rival(build));
        }
        world.set_mishaps(0);
        // What was late arrives, and what nobody fired meanwhile is caught up with.
        world.advance(SECOND * 15).await;
        ticks += world.effects().len();
        world.check(seed, &schedules(), world.now());
        fenced += world.net.fenced.load(Ordering::SeqCst);
    }
    assert!(fenced > 0, "no leader was stopped in the act, so that was not tried");
    assert!(ticks > 200 * 15, "{ticks} ticks");
}

/// An hour in milliseconds.
const HOUR: i64 = 3_600_000;

/// The clocks of the schedulers' machines do not count.
#[tokio::test]
async fn a_scheduler_whose_clock_is_an_hour_wrong_fires_on_time() {
    for (seed, skew) in [(1, HOUR), (2, -HOUR)] {
        let world = World::new(seed);
        let rivals = [world.rival(build), world.rival(build)];
        world.advance(SECOND * 5).await;
        for skew in [skew, 0, -skew] {
            rivals.iter().for_each(|rival| rival.process.skew(skew));
            world.advance(SECOND * 7).await;
        }
        let late = world.check(seed, &schedules(), world.now());
        assert!(late < SECOND, "seed {seed}: {late:?}");
    }
}

/// The broker's clock counts. Set forward, it is due what lies between, by the policy of the entry; set back, nothing is due
/// again, and whatever was fired is not fired a second time.
#[tokio::test]
async fn a_broker_whose_clock_is_set_an_hour_forth_and_back_fires_nothing_early_and_nothing_twice() {
    for seed in 0..50 {
        let world = World::new(seed);
        let dice = &world.net.dice;
        let rivals = [world.rival(build), world.rival(build)];
        world.advance(SECOND * 5).await;
        for skew in [HOUR, 0, -HOUR, 0, HOUR] {
            world.server.skew(skew);
            world.advance(dice.time(SECOND, SECOND * 30)).await;
            // Another leader begins with what the broker says now.
            if dice.below(2) == 0
                && let Some(leads) = leader(&rivals)
            {
                rivals[leads].process.stop();
                world.advance(TAKEOVER).await;
                rivals[leads].process.resume();
            }
        }
        let effects = world.effects();
        assert!(effects.iter().any(|effect| effect.fire_time.as_millis() > crate::world::START.as_millis() + HOUR / 2));
        let mut ticks = std::collections::BTreeSet::new();
        for effect in &effects {
            assert!(effect.at >= effect.fire_time, "seed {seed}: early: {effect:?}");
            assert!(ticks.insert((effect.entry.clone(), effect.fire_time)), "seed {seed}: twice: {effect:?}");
        }
    }
}
