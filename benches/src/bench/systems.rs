//! The systems that are measured: the floor, taskq, and the peers whose drivers were built.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bench_driver::Outcome;
use serde::Deserialize;

use crate::{
    catalogue::{Engine, Place, Who},
    results::Results,
};

/// One system and the program that drives it.
#[derive(Clone, Debug)]
pub(crate) struct System {
    who: Who,
    about: About,
    program: PathBuf,
}

/// What a driver says of its system.
#[derive(Clone, Debug, Default, Deserialize)]
struct About {
    system: String,
    version: String,
    engine: String,
    settings: String,
    lacks: String,
}

/// All systems.
#[derive(Debug)]
pub(crate) struct Systems {
    floor: System,
    taskq: System,
    peers: Vec<System>,
}

impl Systems {
    /// Floor and taskq lie beside this program, where Cargo puts what it builds together; peers are named.
    pub(crate) fn find(peers: &[PathBuf]) -> Outcome<Self> {
        let here = std::env::current_exe()?;
        let beside = |name| here.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        let peers = peers.iter().map(|program| System::ask(Who::Peers, program.clone()));
        Ok(Self {
            floor: System::ask(Who::Floor, beside("bench_floor"))?,
            taskq: System::ask(Who::Taskq, beside("bench_taskq"))?,
            peers: peers.collect::<Outcome<_>>()?,
        })
    }

    /// Those of a kind that work on a place.
    pub(crate) fn of(&self, who: Who, place: Place) -> Vec<&System> {
        match who {
            Who::Floor => vec![&self.floor],
            Who::Taskq => vec![&self.taskq],
            Who::Peers => self.peers.iter().filter(|peer| peer.stands_at(place)).collect(),
        }
    }

    pub(crate) fn taskq(&self) -> &System {
        &self.taskq
    }

    /// Says which peers took part, how, and what they do not do.
    pub(crate) fn print_peers(&self, results: &Results) {
        if self.peers.is_empty() {
            return;
        }
        println!("\npeers:");
        for System { about, .. } in &self.peers {
            let About { system, version, engine, settings, lacks } = about;
            println!("  {system} {version} ({engine}): {settings}");
            if !lacks.is_empty() {
                println!("    lacks: {lacks}");
            }
            for skip in results.skips_of(system) {
                println!("    {}: {}", skip.metric, skip.why);
            }
        }
    }
}

impl System {
    fn ask(who: Who, program: PathBuf) -> Outcome<Self> {
        let shown = program.display();
        let told = Command::new(&program).arg("about").output();
        let told = told.map_err(|error| format!("cannot run the driver {shown}: {error}; use cargo xtask bench"))?;
        let about: About = serde_json::from_slice(&told.stdout)
            .map_err(|error| format!("the driver {shown} does not say what it measures: {error}"))?;
        Ok(Self { who, about, program })
    }

    pub(crate) fn name(&self) -> &str {
        &self.about.system
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn is_taskq(&self) -> bool {
        self.who == Who::Taskq
    }

    pub(crate) fn is_peer(&self) -> bool {
        self.who == Who::Peers
    }

    /// A peer on SQLite stands beside taskq's `normal` mode. If its settings say that it knows `?synchronous=full`, it
    /// stands beside the other mode too, and is given that.
    fn stands_at(&self, place: Place) -> bool {
        match place {
            Place::SqliteFull => self.about.engine == "sqlite" && self.can_choose_durability(),
            Place::SqliteNormal => self.about.engine == "sqlite",
            _ => self.about.engine == "redis" && place.engine() == Engine::Redis,
        }
    }

    /// Whether the durability of its file can be asked for in the URL.
    pub(crate) fn can_choose_durability(&self) -> bool {
        self.is_taskq() || self.about.settings.contains("?synchronous=full")
    }
}

#[cfg(test)]
impl System {
    pub(crate) fn taskq() -> Self {
        Self::named(Who::Taskq, "taskq")
    }

    pub(crate) fn peer(name: &str) -> Self {
        Self::named(Who::Peers, name)
    }

    fn named(who: Who, name: &str) -> Self {
        let about = About { system: name.to_owned(), ..About::default() };
        Self { who, about, program: PathBuf::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_stands_where_its_engine_and_its_durability_are() {
        let peer = |engine: &str, settings: &str| {
            let about = About { engine: engine.to_owned(), settings: settings.to_owned(), ..About::default() };
            System { who: Who::Peers, about, program: PathBuf::new() }
        };
        assert!(peer("redis", "").stands_at(Place::Redis) && !peer("redis", "").stands_at(Place::SqliteFull));
        let either = peer("sqlite", "WAL, synchronous NORMAL, or FULL with ?synchronous=full");
        assert!(either.stands_at(Place::SqliteFull) && either.stands_at(Place::SqliteNormal));
        let off = peer("sqlite", "WAL, synchronous OFF");
        assert!(!off.stands_at(Place::SqliteFull) && off.stands_at(Place::SqliteNormal));
    }
}
