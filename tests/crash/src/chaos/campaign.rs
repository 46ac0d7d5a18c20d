//! One nemesis on one broker, from the first process to the verdict.

use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use taskq::Client;
use taskq_crash_tests::{LONG, Seed};

use crate::{
    check::{self, Results},
    clock,
    fleet::Fleet,
    history::{History, Journal},
    nemesis::{Nemesis, Theatre},
    options::{Kind, Options},
    outcome::Outcome,
    stage::Stage,
    worker::step,
};

/// Producer processes.
const PRODUCERS: u64 = 2;

/// Tasks are spread over this part of the time in which faults are made, so that some wait when they end.
const LOADED: f64 = 0.9;

/// What broke is printed, but not more than this of each kind.
const SHOWN: usize = 5;

pub(crate) async fn run(nemesis: Nemesis, kind: Kind, options: &Options) -> Result<Outcome, Box<dyn Error>> {
    let begun = Instant::now();
    let mut stage = Stage::start(kind, options.seed);
    let folder = stage.folder.path().to_owned();
    let observer = taskq::connect(&stage.direct_url()).await?.client().with_deadline(LONG);
    let mut fleet = Fleet::start(&stage.url(), &folder, options.workers)?;
    let seconds = options.minutes * 60.0;
    let share = options.tasks / PRODUCERS;
    for number in 0..PRODUCERS {
        fleet.start_producer(options.seed + number, number * share, share, seconds * LOADED);
    }
    let until = clock::now() + Duration::from_secs_f64(seconds);
    let seed = Seed(options.seed);
    let mut theatre = Theatre {
        stage: &mut stage,
        fleet: &mut fleet,
        seed,
        observer: observer.clone(),
        faults: 0,
        next_number: options.tasks,
        journal: Journal::open(&folder.join("conductor.journal"))?,
        backs: Vec::new(),
    };
    nemesis.play(&mut theatre, until, options.kills.unwrap_or(u64::MAX)).await;
    let (kills, backs) = (theatre.faults, theatre.backs);

    fleet.wait_for_producers(LONG * 3);
    let first = results(&observer, &folder).await?;
    let tallies = fleet.end();
    let last = results(&observer, &folder).await?;
    let history = History::read(&folder)?;
    let verdict = check::check(&history, &fleet.troubles, &first, &last);
    for (what, broken) in [
        ("lost", &verdict.lost),
        ("ran again without a reason", &verdict.unexplained),
        ("stale result", &verdict.stale),
        ("ran and was never enqueued", &verdict.phantoms),
        ("error", &history.failed),
    ] {
        broken.iter().take(SHOWN).for_each(|one| eprintln!("{what}: {one}"));
    }
    let outcome = Outcome {
        nemesis: nemesis.to_string(),
        broker: kind.to_string(),
        seed: options.seed,
        tasks: history.tried.len() as u64,
        kills,
        lost: 0,
        repeated: 0,
        duplicates_unexplained: 0,
        stale_accepted: 0,
        stale_refused: 0,
        phantoms: 0,
        errors: history.failed.len(),
        attempts_spent: 0,
        recovery_p99_ms: None,
        recoveries: 0,
        back_ms: backs.iter().max().and_then(|longest| u64::try_from(longest.as_millis()).ok()),
        seconds: begun.elapsed().as_secs(),
        ok: false,
    };
    Ok(outcome.judged(&verdict, tallies))
}

/// The result of every acknowledged task, as soon as it has one.
async fn results(observer: &Client, folder: &Path) -> Result<Results, Box<dyn Error>> {
    let history = History::read(folder)?;
    let mut results = Results::new();
    for id in history.tried.into_values().flatten() {
        if let Ok(result) = observer.handle::<step>(&id.parse()?).wait(LONG).await {
            results.insert(id, result);
        }
    }
    Ok(results)
}
