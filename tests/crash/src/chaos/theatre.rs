//! The ways in which a nemesis acts.

use std::time::Duration;

use taskq::{Client, TaskHandle};
use taskq_crash_tests::{LONG, Seed};
use taskq_test_support::{ChildProcess, Fault};

use crate::{
    clock,
    fleet::{Fleet, Trouble},
    history::{Event, Journal},
    options::Manner,
    soak::Wear,
    stage::{Stage, WORKERS},
    worker::step,
};

/// How long a primary is cut off, and how fast the producer beside it tries.
const CUT_OFF: Duration = Duration::from_secs(6);
const TRIES_A_SECOND: u64 = 200;

/// What a producer that is cut off enqueues is numbered from here.
pub(crate) const FIRST_CUT_OFF: u64 = 1_000_000_000;

/// What wall clocks may be wrong by.
const OFFSETS: [&str; 6] = ["+3600", "-3600", "+600", "-600", "+0", "+1"];

/// Rights that workers lose for a while.
const RIGHTS: [&[&str]; 4] = [&["eval", "evalsha"], &["blpop"], &["zadd"], &["hset"]];

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
    /// Bodies that did not end as they should have.
    pub(crate) misbehaved: Vec<String>,
    pub(crate) wear: Option<Wear>,
    /// From the end of each leader until another one led.
    pub(crate) takeovers: Vec<Duration>,
    /// The primary that followed the last one that was killed.
    pub(crate) primary: Option<usize>,
    /// What was told of failovers that nothing of ours was the reason of.
    pub(crate) unasked: Vec<String>,
}

impl Theatre<'_> {
    pub(crate) fn kill_a_worker(&mut self) {
        let victim = self.some_worker();
        self.fleet.kill(victim);
    }

    fn some_worker(&mut self) -> usize {
        let count = self.fleet.workers.len() as u64;
        usize::try_from(self.seed.next(count)).unwrap_or(0)
    }

    /// Enqueues a task that comes before all that waits, not by way of the links, and waits until it has run.
    pub(crate) async fn see_who_is_back(&mut self) {
        let healed = clock::now();
        // Whether it has a result at all is checked with all others.
        if let Some(handle) = self.enqueue_one().await
            && handle.wait(LONG).await.is_ok()
        {
            self.backs.push(clock::now().saturating_sub(healed));
        }
    }

    async fn enqueue_one(&mut self) -> Option<TaskHandle<step>> {
        let number = self.next_number;
        self.next_number += 1;
        self.journal.note(&Event::Tried { number, delay: 0 });
        match self.observer.enqueue(step::with(0).priority(9).max_deliveries(u8::MAX)).await {
            Ok(handle) => {
                self.journal.note(&Event::Told { number, id: handle.id().to_string() });
                Some(handle)
            }
            Err(error) => {
                self.journal.note(&Event::Failed { number, error: error.to_string() });
                None
            }
        }
    }

    // Processes --------------------------------------------------------------------------------------------

    fn is_stopped(&self, process: u32) -> bool {
        let open = |trouble: &Trouble| trouble.process == Some(process) && trouble.until == Duration::MAX;
        self.fleet.troubles.iter().any(|trouble| !trouble.is_kill && open(trouble))
    }

    /// Stops another worker, if one is left to work meanwhile, and continues those whose time is over.
    pub(crate) async fn stop_one(&mut self) {
        self.continue_all(self.fleet.lease() * 3).await;
        let running: Vec<usize> =
            (0..self.fleet.workers.len()).filter(|index| !self.is_stopped(self.fleet.workers[*index].id())).collect();
        if running.len() < 2 {
            // Nobody is stopped: what was not done does not count.
            self.faults -= u64::from(self.faults > 0);
            return;
        }
        let chosen = running[usize::try_from(self.seed.next(running.len() as u64)).unwrap_or(0)];
        self.stop_outside_a_write(&self.fleet.workers[chosen]).await;
        let process = Some(self.fleet.workers[chosen].id());
        self.fleet.troubles.push(Trouble { process, from: clock::now(), until: Duration::MAX, is_kill: false });
    }

    /// A process that is stopped in the middle of a SQLite transaction holds the file's lock, and everybody waits.
    async fn stop_outside_a_write(&self, process: &ChildProcess) {
        let probe = self.observer.clone().with_deadline(Duration::from_millis(300));
        let nobody = "chaos/nobody".parse().expect("valid");
        loop {
            process.stop();
            if probe.cancel(&nobody).await.is_ok() {
                return;
            }
            process.resume();
        }
    }

    /// Continues every process that was stopped at least so long ago.
    pub(crate) async fn continue_all(&mut self, least: Duration) {
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

    /// Kills the leader and starts another scheduler, or stops it until another one leads and continues it then.
    pub(crate) async fn depose_the_leader(&mut self) {
        let Some(leader) = self.await_a_leader_other_than(None).await else { return };
        let process = self.fleet.schedulers[leader].id();
        let is_killed = self.seed.next(2) == 0;
        match is_killed {
            true => self.fleet.schedulers[leader].kill(),
            false => self.stop_outside_a_write(&self.fleet.schedulers[leader]).await,
        }
        let from = clock::now();
        if self.await_a_leader_other_than(Some(process)).await.is_some() {
            self.takeovers.push(clock::now() - from);
        }
        match is_killed {
            true => {
                self.fleet.schedulers.swap_remove(leader);
                self.fleet.start_scheduler(&self.stage.url());
            }
            false => self.fleet.schedulers[leader].resume(),
        }
    }

    async fn await_a_leader_other_than(&mut self, process: Option<u32>) -> Option<usize> {
        let begun = clock::now();
        while clock::now() - begun < LONG {
            let others = self.fleet.leaders().find(|index| Some(self.fleet.schedulers[*index].id()) != process);
            if others.is_some() {
                return others;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.misbehaved.push(format!("nobody leads after {LONG:?}"));
        None
    }

    /// Shows about half of the workers another time, now in the past and now in the future.
    pub(crate) fn change_clocks(&mut self) {
        let offset = OFFSETS[usize::try_from(self.seed.next(OFFSETS.len() as u64)).unwrap_or(0)];
        let seed = &mut self.seed;
        self.fleet.set_clocks(offset, || seed.next(2) == 0);
    }

    // The server and the links -----------------------------------------------------------------------------

    /// Kills the server, cuts so much from the end of its file, and starts it again.
    pub(crate) async fn kill_the_server(&mut self, lost_bytes: u64) {
        let from = clock::now();
        self.stage.server().kill();
        if lost_bytes > 0 {
            self.stage.cut_file(lost_bytes);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.stage.server().restart();
        if lost_bytes > 0 {
            // As docs/brokers.md says: or the half of a step that stands at its end counts at the restart after the next.
            self.stage.rewrite_file();
        }
        self.fleet.all_troubled_since(from);
    }

    pub(crate) async fn silence(&mut self) {
        let from = clock::now();
        self.stage.proxy().set(Fault::HalfOpen);
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.stage.proxy().set(Fault::None);
        self.fleet.all_troubled_since(from);
    }

    pub(crate) async fn fill_the_memory(&mut self) {
        let from = clock::now();
        self.stage.server().command(&["CONFIG", "SET", "maxmemory", "1mb"]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.stage.heal();
        self.fleet.all_troubled_since(from);
    }

    pub(crate) async fn fill_the_disk(&mut self) {
        let from = clock::now();
        self.stage.fill_disk();
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.stage.heal();
        self.fleet.all_troubled_since(from);
    }

    pub(crate) fn kill_subscriptions(&mut self) {
        self.stage.server().command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    }

    pub(crate) async fn disturb_links(&mut self) {
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

    pub(crate) async fn disturb_server(&mut self) {
        let from = clock::now();
        let (choice, half_a_second) = (self.seed.next(7), Duration::from_millis(500));
        let right = usize::try_from(self.seed.next(RIGHTS.len() as u64)).unwrap_or(0);
        let server = self.stage.server();
        // By one connection: when others have taken the last places, no new one can take it back.
        let mut own = server.connect().expect("the server has places left");
        let mut command = |words: &[&str]| drop(own.command(words).expect("the connection is kept"));
        match choice {
            0 => command(&["SCRIPT", "FLUSH"]),
            1 => command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]),
            2 => command(&["CLIENT", "KILL", "TYPE", "pubsub"]),
            3 => command(&["CLIENT", "PAUSE", "400", "ALL"]),
            4 => {
                // It refuses writes as a replica does, of a primary that nobody can reach.
                command(&["REPLICAOF", "127.0.0.1", "1"]);
                tokio::time::sleep(half_a_second).await;
                command(&["REPLICAOF", "NO", "ONE"]);
            }
            5 => {
                let rights = RIGHTS[right];
                let change = |sign: char| rights.iter().map(move |right| format!("{sign}{right}")).collect::<Vec<_>>();
                for sign in ['-', '+'] {
                    let rules = change(sign);
                    let rules = rules.iter().map(String::as_str);
                    command(&["ACL", "SETUSER", WORKERS].into_iter().chain(rules).collect::<Vec<_>>());
                    tokio::time::sleep(half_a_second).await;
                }
            }
            _ => {
                command(&["CONFIG", "SET", "maxclients", "3"]);
                command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
                tokio::time::sleep(half_a_second).await;
                command(&["CONFIG", "SET", "maxclients", "10000"]);
            }
        }
        self.fleet.all_troubled_since(from);
    }

    // The service ------------------------------------------------------------------------------------------

    /// Kills the primary, waits until another is chosen, and brings the old one back as a replica.
    pub(crate) async fn fail_over(&mut self) {
        let from = clock::now();
        self.note_unasked_failover();
        let service = self.stage.service();
        let primary = service.primary();
        service.kill(primary);
        self.primary = Some(service.wait_for_failover_from(primary));
        service.restart(primary);
        service.wait_for_replica(primary);
        self.fleet.all_troubled_since(from);
    }

    /// Sentinels replace a primary that is well if it, or they, stood still for a second. What it acknowledged until its
    /// clients heard of that is lost, as in a partition.
    pub(crate) fn note_unasked_failover(&mut self) {
        let Some(expected) = self.primary else { return };
        let service = self.stage.service();
        let present = service.primary();
        if present != expected {
            let story = service.story();
            self.unasked.push(format!("server {present} in place of server {expected}:\n{story}"));
            self.primary = Some(present);
        }
    }

    /// Cuts the primary off from all but one producer, which knows it directly.
    pub(crate) async fn cut_off(&mut self, manner: Manner) {
        let seconds = CUT_OFF.as_secs() + 2;
        let url = self.stage.service().servers()[0].url();
        let (seed, count) = (self.seed.next(u64::MAX / 2), seconds * TRIES_A_SECOND);
        self.fleet.start_producer_at(&url, manner, seed, FIRST_CUT_OFF, count, seconds as f64);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let from = clock::now();
        let service = self.stage.service();
        service.isolate();
        tokio::time::sleep(CUT_OFF).await;
        // On a machine that stands still the sentinels take longer.
        service.wait_for_failover_from(0);
        service.heal();
        service.wait_for_replica(0);
        self.fleet.all_troubled_since(from);
    }
}
