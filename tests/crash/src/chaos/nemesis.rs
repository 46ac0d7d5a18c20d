//! What is done to processes, links and servers while they work.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use taskq_crash_tests::Seed;

use crate::{
    clock,
    options::{Kind, Manner},
    stage::Ground,
    theatre::Theatre,
};

/// Who is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Nemesis {
    /// Kills a worker every 300 ms and starts another one
    #[value(alias = "N1")]
    WorkerKill,
    /// Stops workers for three leases and continues them
    #[value(alias = "N2")]
    Zombie,
    /// Kills or stops the leader of three schedulers, as soon as there is one again
    #[value(alias = "N3")]
    SchedulerKill,
    /// Blocks every slot for three leases; panics, hangs, ends its process; 64 open files
    #[value(alias = "N15")]
    Starvation,
    /// Shows workers wall clocks that are up to an hour wrong, and jump
    #[value(alias = "N14")]
    Clocks,
    /// Fills the disk under the data
    #[value(alias = "N13")]
    DiskFull,
    /// Kills the server every five seconds and starts it again 200 ms later
    #[value(alias = "N4")]
    ServerKill,
    /// The same, and the end of the append-only file is gone
    #[value(alias = "N5")]
    PowerLoss,
    /// Links are late, cut, lose answers, pass one byte at a time
    #[value(alias = "N9")]
    Links,
    /// Links are silent for 20 s
    #[value(alias = "N10")]
    HalfOpen,
    /// Scripts are flushed, clients killed and paused, connections, writes and rights refused
    #[value(alias = "N11")]
    ServerFaults,
    /// The server has less memory than it uses
    #[value(alias = "N12")]
    MemoryFull,
    /// Kills the connections on which results are told, every 100 ms
    LostNotices,
    /// Kills the primary of a service with sentinels
    #[value(alias = "N6")]
    Failover,
    /// Cuts primary and a producer off for 6 s; each enqueue waits for a replica
    #[value(alias = "N7")]
    Partition,
    /// The same, and no enqueue waits: what is lost is counted
    PartitionPlain,
    /// Restarts workers and kills connections, and looks at memory, files and keys
    Soak,
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
        kind == Kind::Redis
            || matches!(self, Self::WorkerKill | Self::Zombie | Self::SchedulerKill | Self::Starvation | Self::DiskFull)
    }

    pub(crate) fn ground(self) -> Ground {
        match self {
            Self::Failover | Self::Partition | Self::PartitionPlain => Ground::Service,
            Self::DiskFull => Ground::SmallDisk,
            _ => Ground::Usual,
        }
    }

    /// What the producers do besides enqueueing.
    pub(crate) fn manner(self) -> Manner {
        match self {
            Self::LostNotices => Manner::Waiting,
            Self::Partition => Manner::Replicated,
            Self::Soak => Manner::Forgetful,
            _ => Manner::Plain,
        }
    }

    /// What may be lost: with the end of the file, and where nobody waits for a replica.
    pub(crate) fn may_lose(self) -> bool {
        matches!(self, Self::PowerLoss | Self::PartitionPlain)
    }

    /// Whether its bodies fail by themselves.
    pub(crate) fn spends_attempts(self) -> bool {
        self == Self::Starvation
    }

    /// Whether a worker may lose a lease by it. Where none may, one that does is a false expiry.
    pub(crate) fn may_cost_leases(self) -> bool {
        !matches!(self, Self::SchedulerKill | Self::Starvation | Self::Clocks | Self::LostNotices)
    }

    /// How often it acts at most.
    fn most(self) -> u64 {
        match self {
            Self::Partition | Self::PartitionPlain => 1,
            _ => u64::MAX,
        }
    }

    /// How many schedulers there are.
    pub(crate) fn schedulers(self) -> usize {
        if self == Self::SchedulerKill { 3 } else { 0 }
    }

    /// How long between two faults.
    fn pause(self, seed: &mut Seed) -> Duration {
        match self {
            Self::WorkerKill => Duration::from_millis(300),
            Self::Zombie => Duration::from_millis(1_000 + seed.next(1_000)),
            Self::Starvation | Self::Clocks => Duration::from_secs(2),
            Self::SchedulerKill => Duration::from_millis(100 + seed.next(400)),
            Self::ServerKill | Self::PowerLoss | Self::DiskFull => Duration::from_secs(5),
            Self::Links => Duration::from_millis(500 + seed.next(1_500)),
            Self::HalfOpen | Self::Soak => Duration::from_secs(10),
            Self::ServerFaults => Duration::from_millis(50 + seed.next(450)),
            Self::MemoryFull => Duration::from_secs(4),
            Self::LostNotices => Duration::from_millis(100),
            Self::Failover | Self::Partition | Self::PartitionPlain => Duration::from_secs(3),
        }
    }

    /// Makes faults until then, or so many.
    pub(crate) async fn play(self, theatre: &mut Theatre<'_>, until: Duration, most: u64) {
        while theatre.faults < most.min(self.most()) {
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
        matches!(
            self,
            Self::ServerKill | Self::PowerLoss | Self::HalfOpen | Self::Links | Self::MemoryFull | Self::DiskFull
        )
    }

    async fn act(self, theatre: &mut Theatre<'_>) {
        match self {
            Self::WorkerKill => theatre.kill_a_worker(),
            Self::Zombie => theatre.stop_one().await,
            Self::SchedulerKill => theatre.depose_the_leader().await,
            Self::Starvation => theatre.starve().await,
            Self::Clocks => theatre.change_clocks(),
            Self::DiskFull => theatre.fill_the_disk().await,
            Self::ServerKill => theatre.kill_the_server(0).await,
            Self::PowerLoss => {
                let bytes = 1 + theatre.seed.next(20_000);
                theatre.kill_the_server(bytes).await;
            }
            Self::Links => theatre.disturb_links().await,
            Self::HalfOpen => theatre.silence().await,
            Self::ServerFaults => theatre.disturb_server().await,
            Self::MemoryFull => theatre.fill_the_memory().await,
            Self::LostNotices => theatre.kill_subscriptions(),
            Self::Failover => theatre.fail_over().await,
            Self::Partition => theatre.cut_off(Manner::CutOffReplicated).await,
            Self::PartitionPlain => theatre.cut_off(Manner::CutOff).await,
            Self::Soak => theatre.wear_out().await,
        }
    }
}
