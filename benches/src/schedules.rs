//! What schedulers cost and how fast they are: how long the next fire time takes to find, many entries due at one moment, an
//! idle scheduler with many entries, and how long nobody leads after a kill and after a clean stop.
//!
//! `cargo run --release -p taskq-benches --bin schedules -- sqlite:///tmp/x.db [ENTRIES] [ROUNDS]`, or `redis://..`; the
//! database should be new.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use taskq::{
    Connection, Entries, Entry, Invocation, Result, Schedule, Scheduler, SchedulerHandle, Timestamp, at, calendar,
    connect, cron, every, scheduler::Period,
};

const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let url = arguments.first().cloned().expect("usage: schedules URL [ENTRIES] [ROUNDS]");
    if arguments.get(1).is_some_and(|argument| argument == "rival") {
        return rival(&url).await;
    }
    let number =
        |index: usize, default: usize| arguments.get(index).map_or(default, |text| text.parse().expect("a number"));
    let (entries, rounds) = (number(1, 10_000), number(2, 20));
    next_fire_times()?;
    follow(&url, rounds).await?;
    due_at_once(&url, entries).await
}

/// How long the next fire time takes to find, of schedules that are hard to search: rare dates, odd zones, changed clocks.
fn next_fire_times() -> Result<()> {
    let texts = [
        "* * * * *",
        "30 7 * * Mon",
        "30 2 * * *",
        "0 0 29 2 *",
        "0 0 29 2 Mon",
        "0 0 31 1,3,5 *",
        "59 59 23 31 12 * 2100",
        "0 0 1 1 *",
        "*/7 */5 */3 */2 *",
        "0 0 13 * Fri",
    ];
    let zones =
        ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll"];
    let mut schedules = Vec::new();
    for text in texts {
        for zone in zones {
            schedules.push(cron(text)?.timezone(zone)?);
        }
    }
    schedules.push(calendar(Period::Months(7), "1999-12-31 02:30")?.timezone("Europe/Paris")?);
    schedules.push(calendar(Period::Years(4), "1972-02-29 02:30")?.timezone("America/New_York")?);
    schedules.push(every(Duration::from_secs(7_777))?);
    // Each from many instants, spread over thirty years.
    let instants = (0..500_i64).map(|step| Timestamp::from_millis(1_600_000_000_000 + step * 1_999_999_937));
    let (mut times, mut slowest) = (Vec::new(), (Duration::ZERO, String::new()));
    for instant in instants {
        for schedule in &schedules {
            let begun = Instant::now();
            std::hint::black_box(schedule.next_after(std::hint::black_box(instant)));
            let took = begun.elapsed();
            times.push(took);
            if took > slowest.0 {
                slowest = (took, schedule.to_string());
            }
        }
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (count, most) = (times.len(), slowest.1);
    println!(
        "next fire time: median {:?}, p99.9 {:?}, longest {:?} of {count} ({most})",
        at(0.5),
        at(0.999),
        slowest.0
    );
    Ok(())
}

/// A scheduler that runs until it is killed, or until its standard input is closed.
async fn rival(url: &str) -> Result<()> {
    let mut line = String::new();
    let stopped = tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut line));
    Scheduler::builder(connect(url).await?).run_until(async { drop(stopped.await) }).await
}

/// A scheduler in a process of its own, which ends with this.
struct Rival(Child);

impl Rival {
    fn start(url: &str) -> Self {
        let program = std::env::current_exe().expect("known");
        Self(Command::new(program).args([url, "rival"]).stdin(Stdio::piped()).spawn().expect("starts"))
    }

    fn kill(&mut self) {
        self.0.kill().expect("is killed");
    }

    fn stop(&mut self) {
        drop(self.0.stdin.take());
    }

    fn ended(&mut self) {
        self.0.wait().expect("ends");
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

/// How late the latest tick of an entry of every second is, when the leader is killed and when it stops.
async fn follow(url: &str, rounds: usize) -> Result<()> {
    let connection = connect(&format!("{url}{}namespace=follow", if url.contains('?') { '&' } else { '?' })).await?;
    let url = format!("{url}{}namespace=follow", if url.contains('?') { '&' } else { '?' });
    let entry = Entry::new("beat", every(SECOND)?, Invocation::named("beat", &serde_json::json!({})));
    Entries::of(&connection).put(entry).await?;
    let (mut killed, mut stopped) = (Vec::new(), Vec::new());
    let mut leads = Rival::start(&url);
    tick_after(&connection, now(&connection).await?).await?;
    for round in 0..rounds * 2 {
        let mut follows = Rival::start(&url);
        let since = now(&connection).await?;
        for _ in 0..2 {
            tick_after(&connection, since).await?;
        }
        connection.clock().sleep(Duration::from_millis(round as u64 * 37 % 1_000)).await;
        let gone_at = now(&connection).await?;
        let is_kill = round % 2 == 0;
        if is_kill {
            leads.kill()
        } else {
            leads.stop()
        }
        let late = tick_after(&connection, gone_at).await?;
        leads.ended();
        if is_kill {
            killed.push(late)
        } else {
            stopped.push(late)
        }
        std::mem::swap(&mut leads, &mut follows);
    }
    for (what, mut times) in [("killed", killed), ("stopped", stopped)] {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!("{what}: how late the next tick is: median {:?}, greatest {:?} of {}", at(0.5), at(1.0), times.len());
    }
    Ok(())
}

/// Waits for the first tick that is due after an instant; says how late it was.
async fn tick_after(connection: &Connection, since: Timestamp) -> Result<Duration> {
    let due = every(SECOND)?.next_after(since).expect("goes on for ever");
    let id = format!("default/beat@{}", due.as_millis()).parse()?;
    while connection.client().find(&id).await?.is_none() {
        connection.clock().sleep(Duration::from_millis(2)).await;
    }
    Ok(now(connection).await?.since(due))
}

async fn now(connection: &Connection) -> Result<Timestamp> {
    connection.broker().now().await
}

async fn due_at_once(url: &str, entries: usize) -> Result<()> {
    let connection = connect(url).await?;
    let due = now(&connection).await? + SECOND * 3_600;
    let scheduler = start(&connection, &at(due)?, entries).await?;
    let begun = processor_time();
    connection.clock().sleep(IDLE).await;
    let share = (processor_time() - begun).as_secs_f64() / IDLE.as_secs_f64();
    println!("idle with {entries} entries: {:.3} % of a core", share * 100.0);

    let due = now(&connection).await? + SECOND * 20;
    scheduler.drain();
    scheduler.ended().await;
    let scheduler = start(&connection, &at(due)?, entries).await?;
    let left = due.since(now(&connection).await?);
    assert!(!left.is_zero(), "it took too long to start");
    connection.clock().sleep(left).await;
    let begun = Instant::now();
    while scheduler.tally().enqueued < entries as u64 {
        connection.clock().sleep(Duration::from_millis(1)).await;
    }
    println!("{entries} entries due at one moment: enqueued within {:?}", begun.elapsed());
    scheduler.drain();
    scheduler.ended().await;
    Ok(())
}

/// Starts a scheduler; returns when all its entries are with the broker and read.
async fn start(connection: &Connection, schedule: &Schedule, entries: usize) -> Result<SchedulerHandle> {
    let begun = Instant::now();
    let entry = |number: usize| {
        let task = Invocation::named("noop", &serde_json::json!({ "number": number }));
        Entry::new(format!("entry-{number:05}"), schedule.clone(), task)
    };
    let builder =
        (0..entries).map(entry).fold(Scheduler::builder(connection.clone()), |builder, entry| builder.with(entry));
    let scheduler = builder.start().await?;
    let schedules = connection.schedules();
    let mut mark = None;
    loop {
        let marks = schedules.marks().await?;
        if !marks.is_empty() && mark == Some(marks.clone()) && scheduler.is_leader() {
            println!("{entries} entries put and read within {:?}", begun.elapsed());
            return Ok(scheduler);
        }
        mark = Some(marks);
        connection.clock().sleep(SECOND * 2).await;
    }
}

/// What this process has used of processors so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("on Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|field| fields[*field].parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}
