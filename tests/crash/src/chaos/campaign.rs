//! One nemesis on one broker, from the first process to the verdict.

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use taskq::Client;
use taskq_crash_tests::{LONG, Seed};

use crate::{
    check::{self, Results},
    clock,
    fleet::{Circumstances, Fleet},
    history::{History, Journal},
    nemesis::Nemesis,
    options::{Kind, Manner, Options},
    outcome::{Outcome, percentile},
    soak::Wear,
    stage::Stage,
    theatre::Theatre,
    worker::step,
};

/// Producer processes.
const PRODUCERS: u64 = 2;

/// Tasks are spread over this part of the time in which faults are made, so that some wait when they end.
const LOADED: f64 = 0.9;

/// What broke is printed, but not more than this of each kind.
const SHOWN: usize = 5;

/// How many files a worker may have open where that is tested.
const FEW_FILES: u32 = 64;

/// By which libfaketime is found.
const FAKETIME: &str = "TASKQ_FAKETIME";

pub(crate) async fn run(nemesis: Nemesis, kind: Kind, options: &Options) -> Result<Outcome, Box<dyn Error>> {
    let begun = Instant::now();
    let mut stage = Stage::start(kind, nemesis.ground(), options.seed)?;
    let folder = stage.folder.path().to_owned();
    let observer = taskq::connect(&stage.direct_url()).await?.client().with_deadline(LONG);
    let circumstances = circumstances(nemesis, options)?;
    let mut fleet = Fleet::start(&stage.workers_url(), &folder, options.workers, circumstances)?;
    let mut theatre = Theatre {
        stage: &mut stage,
        fleet: &mut fleet,
        seed: Seed(options.seed),
        observer: observer.clone(),
        faults: 0,
        next_number: options.tasks,
        journal: Journal::open(&folder.join("conductor.journal"))?,
        backs: Vec::new(),
        misbehaved: Vec::new(),
        wear: None,
        takeovers: Vec::new(),
        primary: None,
        unasked: Vec::new(),
    };
    let url = theatre.stage.url();
    (0..nemesis.schedulers()).for_each(|_| theatre.fleet.start_scheduler(&url));
    if nemesis == Nemesis::Soak {
        theatre.wear = Some(Wear::new(theatre.of_the_server()));
    }
    let seconds = options.minutes * 60.0;
    let until = clock::now() + Duration::from_secs_f64(seconds);
    theatre.start_producers(nemesis.manner(), options, seconds * LOADED);
    nemesis.play(&mut theatre, until, options.kills.unwrap_or(u64::MAX)).await;
    theatre.fleet.end_schedulers();
    theatre.fleet.wait_for_producers(LONG * 3);
    let first = results(&observer, &folder, nemesis).await?;
    theatre.rest().await;
    theatre.note_unasked_failover();
    let Theatre { faults, backs, misbehaved, wear, takeovers, unasked, .. } = theatre;

    let tallies = fleet.end();
    let last = match nemesis.manner() {
        Manner::Forgetful => first.clone(),
        _ => results(&observer, &folder, nemesis).await?,
    };
    let history = History::read(&folder)?;
    let verdict = check::check(&history, &fleet.troubles, &first, &last);
    let worn = wear.as_ref().map(Wear::complaints).unwrap_or_default();
    for (what, broken) in [
        ("lost", &verdict.lost),
        ("ran again without a reason", &verdict.unexplained),
        ("stale result", &verdict.stale),
        ("ran and was never enqueued", &verdict.phantoms),
        ("began too early", &verdict.early),
        ("error", &history.failed),
        ("did not end as it should", &misbehaved),
        ("worn", &worn),
        ("failover that nobody asked for", &unasked),
    ] {
        broken.iter().take(SHOWN).for_each(|one| eprintln!("{what}: {one}"));
    }
    let waits = (nemesis == Nemesis::LostNotices).then_some(history.waited.len());
    let told = history.tried.values().flatten().count();
    let outcome = Outcome {
        nemesis: nemesis.to_string(),
        broker: kind.to_string(),
        seed: options.seed,
        tasks: history.tried.len() as u64,
        kills: faults,
        lost: 0,
        repeated: 0,
        duplicates_unexplained: 0,
        stale_accepted: 0,
        stale_refused: 0,
        phantoms: 0,
        early: 0,
        errors: history.failed.len(),
        attempts_spent: 0,
        leases_lost: 0,
        misbehaved: misbehaved.len(),
        recovery_p99_ms: None,
        recoveries: 0,
        back_ms: backs.iter().max().and_then(|longest| u64::try_from(longest.as_millis()).ok()),
        write_gap_ms: None,
        waits,
        waits_hung: waits.map(|waits| told.saturating_sub(waits)),
        wait_p99_ms: None,
        loss_reported_ms: None,
        ticks_expected: 0,
        ticks: 0,
        doubled: 0,
        takeover_p99_ms: percentile(&takeovers, 0.99),
        failovers_unasked: unasked.len(),
        clock_off_s: 0,
        wear,
        seconds: begun.elapsed().as_secs(),
        ok: false,
    };
    Ok(outcome.judged(nemesis, &verdict, tallies))
}

fn circumstances(nemesis: Nemesis, options: &Options) -> Result<Circumstances, String> {
    let clock = match nemesis {
        Nemesis::Clocks => Some(faketime()?),
        _ => None,
    };
    let open_files = (nemesis == Nemesis::Starvation).then_some(FEW_FILES);
    Ok(Circumstances { lease: Duration::from_millis(options.lease_ms), clock, open_files })
}

/// The library that shows a process another time.
fn faketime() -> Result<PathBuf, String> {
    let named = std::env::var_os(FAKETIME).map(PathBuf::from).filter(|path| path.is_file());
    named.ok_or_else(|| {
        format!("clocks needs libfaketime: install it, and set {FAKETIME}=/path/to/libfaketime.so.1 if it is not found")
    })
}

impl Theatre<'_> {
    fn start_producers(&mut self, manner: Manner, options: &Options, seconds: f64) {
        let (share, url) = (options.tasks / PRODUCERS, self.stage.url());
        for number in 0..PRODUCERS {
            self.fleet.start_producer_at(&url, manner, options.seed + number, number * share, share, seconds);
        }
    }
}

/// The result of every acknowledged task, as soon as it has one.
async fn results(observer: &Client, folder: &Path, nemesis: Nemesis) -> Result<Results, Box<dyn Error>> {
    let history = History::read(folder)?;
    let told = history.tried.into_values().flatten();
    let mut results = Results::new();
    if nemesis.manner() == Manner::Forgetful {
        // Most are forgotten by now: that the body came to its end is what is left of them.
        let newest = |id: &String| {
            history.executions.get(id)?.iter().filter(|one| one.ended.is_some()).map(|one| one.token).max()
        };
        results.extend(told.filter_map(|id| Some((id.clone(), newest(&id)?))));
        return Ok(results);
    }
    for id in told {
        if let Ok(result) = observer.handle::<step>(&id.parse()?).wait(LONG).await {
            results.insert(id, result);
        }
    }
    Ok(results)
}
