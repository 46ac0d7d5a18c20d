//! What a simulation does to its worker processes and their messages, and when: only the seed decides.

use std::{sync::Arc, time::Duration};

use super::{cluster::World, dice::Dice, history::Trouble};

/// Between two faults.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long a stopped process stays stopped: from a hiccup to three leases.
const STOP: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(14));

/// How long a process stays cut off.
const CUT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How long messages get lost in numbers.
const STORM: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(6));

/// How long the place of a process that ended stays empty.
const VACANCY: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(3));

/// In a storm so many of a thousand messages meet each kind of mishap, and otherwise so many.
const MISHAPS: (usize, usize) = (100, 8);

/// A wall clock may be wrong by this many milliseconds.
const SKEW_MILLIS: usize = 600_000;

/// How long the lease of a process that drains may lapse, if its farewell does not arrive.
const FAREWELL: Duration = Duration::from_secs(60);

/// Which faults a simulation makes. The default is all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Processes are killed, as with SIGKILL, and replaced a little later.
    pub kills: bool,
    /// Processes are stopped for up to three leases, as with SIGSTOP, and continued.
    pub stops: bool,
    /// Processes are cut off from the broker for a while.
    pub cuts: bool,
    /// Requests and answers get lost or come late.
    pub mishaps: bool,
    /// Wall clocks of processes are wrong by up to ten minutes.
    pub clocks: bool,
    /// Processes are asked to end, as in a deployment, and replaced.
    pub deployments: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self { kills: true, stops: true, cuts: true, mishaps: true, clocks: true, deployments: true }
    }
}

impl Faults {
    /// No faults; for choosing single ones: `Faults { kills: true, ..Faults::none() }`.
    pub const fn none() -> Self {
        Self { kills: false, stops: false, cuts: false, mishaps: false, clocks: false, deployments: false }
    }

    fn kinds(self) -> Vec<Kind> {
        let kinds = [
            (self.kills, Kind::Kill),
            (self.stops, Kind::Stop),
            (self.cuts, Kind::Cut),
            (self.mishaps, Kind::Storm),
            (self.clocks, Kind::Skew),
            (self.deployments, Kind::Deploy),
        ];
        kinds.into_iter().filter_map(|(wanted, kind)| wanted.then_some(kind)).collect()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Kill,
    Stop,
    Cut,
    Storm,
    Skew,
    Deploy,
}

/// Makes faults until the world is healed.
pub(super) async fn make(world: Arc<World>, faults: Faults, mut dice: Dice) {
    let kinds = faults.kinds();
    if faults.mishaps {
        world.network.set_mishaps(MISHAPS.1);
    }
    while !kinds.is_empty() {
        world.sleep(dice.between(PAUSE.0, PAUSE.1)).await;
        if world.is_healed() {
            return;
        }
        let kind = kinds[dice.below(kinds.len())];
        make_one(&world, kind, &mut dice);
        world.count_fault();
    }
}

fn make_one(world: &Arc<World>, kind: Kind, dice: &mut Dice) {
    let Some(victim) = world.some_worker(dice) else { return };
    match kind {
        Kind::Kill => {
            world.trouble(victim.number, Trouble::Killed, Duration::MAX);
            victim.process.kill();
            world.later("replace", dice.between(VACANCY.0, VACANCY.1), World::replace_ended);
        }
        Kind::Stop => {
            let lasting = dice.between(STOP.0, STOP.1);
            world.trouble(victim.number, Trouble::Stopped, lasting);
            victim.process.stop();
            world.later("resume", lasting, move |_| victim.process.resume());
        }
        Kind::Cut => {
            let lasting = dice.between(CUT.0, CUT.1);
            world.trouble(victim.number, Trouble::Cut, lasting);
            world.network.cut(victim.number, dice.in_thousand(500));
            world.later("mend", lasting, move |world| world.network.mend(victim.number));
        }
        Kind::Storm => {
            world.network.set_mishaps(MISHAPS.0);
            world.later("calm", dice.between(STORM.0, STORM.1), |world| world.network.set_mishaps(MISHAPS.1));
        }
        Kind::Skew => {
            let millis = i64::try_from(dice.below(2 * SKEW_MILLIS)).unwrap_or(0) - SKEW_MILLIS as i64;
            victim.process.skew(millis);
        }
        Kind::Deploy => {
            world.trouble(victim.number, Trouble::Drained, FAREWELL);
            victim.drain();
            world.later("replace", dice.between(VACANCY.0, VACANCY.1), World::replace_ended);
        }
    }
}
