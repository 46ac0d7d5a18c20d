//! What is done to processes, links and servers while they work.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use taskq::{Client, limits};
use taskq_crash_tests::{LONG, Seed};
use taskq_test_support::Fault;

use crate::{
    clock,
    fleet::{Fleet, Trouble},
    history::{Event, Journal},
    options::Kind,
    stage::Stage,
    worker::step,
};

/// Who is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Nemesis {
    /// Kills a worker every 300 ms and starts another one
    WorkerKill,
    /// Stops workers for three leases and continues them
    Zombie,
    /// Kills the server every five seconds and starts it again 200 ms later
    ServerKill,
    /// Links are late, cut, lose answers, pass one byte at a time
    Links,
    /// Links are silent for 20 s
    HalfOpen,
    /// Scripts are flushed, clients killed and paused, connections refused
    ServerFaults,
    /// The server has less memory than it uses
    MemoryFull,
}

/// What a nemesis acts on.
pub(crate) struct Theatre<'a> {
    pub(crate) stage: &'a mut Stage,
    pub(crate) fleet: &'a mut Fleet,
    pub(crate) seed: Seed,
    /// For asking whether the broker can be written to.
    pub(crate) observer: Client,
    pub(crate) faults: u64,
    /// The number of the next task that is enqueued after a heal.
    pub(crate) next_number: u64,
    pub(crate) journal: Journal,
    /// From each heal until a task that was enqueued then had run.
    pub(crate) backs: Vec<Duration>,
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("none is skipped");
        f.write_str(value.get_name())
    }
}

impl Nemesis {
    /// In a few words.
    pub(crate) fn describe(self) -> String {
        let value = self.to_possible_value().expect("none is skipped");
        value.get_help().map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn can_be_played_on(self, kind: Kind) -> bool {
        kind == Kind::Redis || matches!(self, Self::WorkerKill | Self::Zombie)
    }

    /// How long between two faults.
    fn pause(self, seed: &mut Seed) -> Duration {
        match self {
            Self::WorkerKill => Duration::from_millis(300),
            Self::Zombie => Duration::from_millis(1_000 + seed.next(1_000)),
            Self::ServerKill => Duration::from_secs(5),
            Self::Links => Duration::from_millis(500 + seed.next(1_500)),
            Self::HalfOpen => Duration::from_secs(10),
            Self::ServerFaults => Duration::from_millis(50 + seed.next(450)),
            Self::MemoryFull => Duration::from_secs(4),
        }
    }

    /// Makes faults until then, or so many.
    pub(crate) async fn play(self, theatre: &mut Theatre<'_>, until: Duration, most: u64) {
        while theatre.faults < most {
            tokio::time::sleep(self.pause(&mut theatre.seed)).await;
            if clock::now() >= until {
                break;
            }
            self.act(theatre).await;
            theatre.faults += 1;
            if self.stops_everybody() {
                theatre.see_who_is_back().await;
            }
        }
        theatre.continue_all(Duration::ZERO).await;
        theatre.stage.heal();
    }

    /// Whether nobody can work while it acts, and everybody when it has acted.
    fn stops_everybody(self) -> bool {
        matches!(self, Self::ServerKill | Self::HalfOpen | Self::Links | Self::MemoryFull)
    }

    async fn act(self, theatre: &mut Theatre<'_>) {
        match self {
            Self::WorkerKill => {
                let victim = theatre.some_worker();
                theatre.fleet.kill(victim);
            }
            Self::Zombie => theatre.stop_one().await,
            Self::ServerKill => {
                let from = clock::now();
                theatre.stage.server().kill();
                tokio::time::sleep(Duration::from_millis(200)).await;
                theatre.stage.server().restart();
                theatre.fleet.all_troubled_since(from);
            }
            Self::Links => theatre.disturb_links().await,
            Self::HalfOpen => {
                let from = clock::now();
                theatre.stage.proxy().set(Fault::HalfOpen);
                tokio::time::sleep(Duration::from_secs(20)).await;
                theatre.stage.proxy().set(Fault::None);
                theatre.fleet.all_troubled_since(from);
            }
            Self::ServerFaults => theatre.disturb_server().await,
            Self::MemoryFull => {
                let from = clock::now();
                theatre.stage.server().command(&["CONFIG", "SET", "maxmemory", "1mb"]);
                tokio::time::sleep(Duration::from_secs(2)).await;
                theatre.stage.heal();
                theatre.fleet.all_troubled_since(from);
            }
        }
    }
}

impl Theatre<'_> {
    /// Enqueues a task that comes before all that waits, not by way of the links, and waits until it has run.
    async fn see_who_is_back(&mut self) {
        let (healed, number) = (clock::now(), self.next_number);
        self.next_number += 1;
        self.journal.note(&Event::Tried { number });
        match self.observer.enqueue(step::with(0).priority(9)).await {
            Ok(handle) => {
                self.journal.note(&Event::Told { number, id: handle.id().to_string() });
                // Whether it has a result at all is checked with all others.
                if handle.wait(LONG).await.is_ok() {
                    self.backs.push(clock::now().saturating_sub(healed));
                }
            }
            Err(error) => self.journal.note(&Event::Failed { number, error: error.to_string() }),
        }
    }

    fn some_worker(&mut self) -> usize {
        let count = self.fleet.workers.len() as u64;
        usize::try_from(self.seed.next(count)).unwrap_or(0)
    }

    fn is_stopped(&self, process: u32) -> bool {
        let open = |trouble: &Trouble| trouble.process == Some(process) && trouble.until == Duration::MAX;
        self.fleet.troubles.iter().any(|trouble| !trouble.is_kill && open(trouble))
    }

    /// Stops another worker, if one is left to work meanwhile, and continues those whose time is over.
    async fn stop_one(&mut self) {
        self.continue_all(limits::LEASE * 3).await;
        let running: Vec<usize> =
            (0..self.fleet.workers.len()).filter(|index| !self.is_stopped(self.fleet.workers[*index].id())).collect();
        if running.len() < 2 {
            // Nobody is stopped: what was not done does not count.
            self.faults -= u64::from(self.faults > 0);
            return;
        }
        let chosen = running[usize::try_from(self.seed.next(running.len() as u64)).unwrap_or(0)];
        self.stop_outside_a_write(chosen).await;
        let process = Some(self.fleet.workers[chosen].id());
        self.fleet.troubles.push(Trouble { process, from: clock::now(), until: Duration::MAX, is_kill: false });
    }

    /// A process that is stopped in the middle of a SQLite transaction holds the file's lock, and everybody waits.
    async fn stop_outside_a_write(&self, index: usize) {
        let probe = self.observer.clone().with_deadline(Duration::from_millis(300));
        let nobody = "chaos/nobody".parse().expect("valid");
        loop {
            self.fleet.workers[index].stop();
            if probe.cancel(&nobody).await.is_ok() {
                return;
            }
            self.fleet.workers[index].resume();
        }
    }

    /// Continues every process that was stopped at least so long ago.
    async fn continue_all(&mut self, least: Duration) {
        let now = clock::now();
        for trouble in &mut self.fleet.troubles {
            if trouble.is_kill || trouble.until != Duration::MAX || now.saturating_sub(trouble.from) < least {
                continue;
            }
            if let Some(worker) = self.fleet.workers.iter().find(|worker| Some(worker.id()) == trouble.process) {
                worker.resume();
            }
            trouble.until = now;
        }
    }

    async fn disturb_links(&mut self) {
        let from = clock::now();
        let jitter = Duration::from_millis(50);
        let fault = match self.seed.next(6) {
            0 => Fault::Late { latency: jitter, jitter },
            1 => Fault::DropReplies { in_thousand: 100 },
            2 => Fault::ByteByByte,
            3 => Fault::SlowReader { bytes_a_second: 50_000 },
            4 => Fault::HalfOpen,
            _ => Fault::Refuse,
        };
        self.stage.proxy().set(fault);
        if fault == Fault::Refuse {
            self.stage.proxy().cut();
        }
        tokio::time::sleep(Duration::from_millis(1_000 + self.seed.next(2_000))).await;
        self.stage.proxy().set(Fault::None);
        self.fleet.all_troubled_since(from);
    }

    async fn disturb_server(&mut self) {
        let from = clock::now();
        let choice = self.seed.next(5);
        let server = self.stage.server();
        match choice {
            0 => drop(server.command(&["SCRIPT", "FLUSH"])),
            1 => drop(server.command(&["CLIENT", "KILL", "TYPE", "normal"])),
            2 => drop(server.command(&["CLIENT", "KILL", "TYPE", "pubsub"])),
            3 => drop(server.command(&["CLIENT", "PAUSE", "400", "ALL"])),
            _ => {
                // By one connection: when others have taken the last places, no new one can take it back.
                let mut own = server.connect().expect("the server has places left");
                let mut command = |words: &[&str]| drop(own.command(words).expect("the connection is kept"));
                command(&["CONFIG", "SET", "maxclients", "3"]);
                command(&["CLIENT", "KILL", "TYPE", "normal"]);
                tokio::time::sleep(Duration::from_millis(500)).await;
                command(&["CONFIG", "SET", "maxclients", "10000"]);
            }
        }
        self.fleet.all_troubled_since(from);
    }
}
