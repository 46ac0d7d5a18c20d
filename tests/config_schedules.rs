//! The tables `[schedule.NAME]` of taskq.toml: what they become, and what is said of every mistake in one.

use taskq::{Entries, Registration, Result, Scheduler, Timestamp, config::Config};

/// Sends a report.
#[taskq::task(queue = "reports")]
fn send_report(team: String, copies: Option<u32>) {
    let _nothing = (team, copies);
}

/// Cleans up.
#[taskq::task]
fn clean_up() {}

fn entries(file: &str) -> Result<Vec<taskq::Entry>> {
    let config = Config::from_parts(Some(("taskq.toml".into(), file.to_owned())), [])?;
    config.entries(&Registration::linked())
}

fn told(file: &str) -> String {
    entries(file).expect_err(file).to_string()
}

const FILE: &str = r#"
[schedule.weekly-report]
cron = "30 7 * * Mon"
timezone = "Europe/Paris"
jitter = "30s"
start = 2026-11-01T00:00:00Z
task = "send_report"
args = { team = "sales", copies = 2 }
misfire = { all = 10 }
grace = "5m"
overlap = "skip"
expires_in = "1h"
attempts = 3
headers = { origin = "schedule" }

[schedule.clean]
every = "90s"
task = "clean_up"
queue = "low"
priority = 2

[schedule."once.only"]
at = 2026-12-24T18:00:00+01:00
task = "clean_up"

[schedule.payday]
calendar = { every = "1 month", from = "2026-01-31 07:30" }
task = "pay"
elsewhere = true
args = { amount = 1.5, when = 2026-01-31, to = ["ann", "bob"] }
"#;

#[tokio::test]
async fn a_table_becomes_an_entry() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let scheduler =
        Scheduler::builder(connection.clone()).file(entries(FILE).expect("is in order")).start().await.expect("starts");
    let stored = Entries::of(&connection);
    let all = loop {
        let all = stored.all().await.expect("lists");
        if all.len() == 4 {
            break all;
        }
        tokio::task::yield_now().await;
    };
    let shown: Vec<_> = all
        .iter()
        .map(|entry| {
            let (schedule, task) = (entry.schedule().expect("reads"), entry.task().expect("reads"));
            format!("{}: {task}{} {schedule}", entry.id(), entry.payload().expect("reads").as_str())
        })
        .collect();
    assert_eq!(
        shown,
        [
            "default/once.only: clean_up{} once at 2026-12-24T17:00:00Z",
            "default/payday: pay{\"amount\":1.5,\"to\":[\"ann\",\"bob\"],\"when\":\"2026-01-31\"} \
             every month on day 31 at 07:30, from 2026-01-31",
            "low/clean: clean_up{} every 1m 30s",
            "reports/weekly-report: send_report{\"copies\":2,\"team\":\"sales\"} cron \"30 7 * * Mon\" \
             in Europe/Paris, not before 2026-11-01T00:00:00Z, up to 30s late",
        ]
    );
    let report = &all[3];
    assert_eq!(
        format!("{:?} {:?} {:?}", report.misfire(), report.overlap(), report.grace()),
        "Some(All(10)) Some(Skip) Some(300s)"
    );
    assert_eq!(report.origin().to_string(), "file");
    let christmas = Timestamp::from_millis(1_798_131_600_000);
    assert_eq!(all[0].upcoming(10), [christmas]);
    scheduler.drain();
    scheduler.ended().await;
}

#[test]
fn the_environment_reaches_into_a_table() {
    let file = "[schedule.clean]\nevery = \"90s\"\ntask = \"clean_up\"\n";
    let variables = [("TASKQ__SCHEDULE__CLEAN__EVERY".to_owned(), "1h".to_owned())];
    let config = Config::from_parts(Some(("taskq.toml".into(), file.to_owned())), variables).expect("is in order");
    let rows = config.explain();
    let row = rows.iter().find(|(key, ..)| key == "schedule.clean.every").expect("is explained");
    assert_eq!((row.1.as_str(), row.2.to_string().as_str()), ("1h", "TASKQ__SCHEDULE__CLEAN__EVERY"));
    assert!(!rows.iter().any(|(key, ..)| key == "schedule.clean"), "{rows:?}");
}

/// A table with these lines, the first of which is the second of the file.
fn with(lines: &str) -> String {
    told(&format!("[schedule.a]\n{lines}\n"))
}

#[test]
fn every_mistake_is_told_with_its_place_and_its_cure() {
    for (lines, place, cure) in [
        // Unknown keys.
        (
            "every = \"1m\"\ntask = \"clean_up\"\nqueu = \"low\"",
            "taskq.toml:4:1",
            "the nearest known one is \"schedule.a.queue\"",
        ),
        ("every = \"1m\"\ntask = { name = \"clean_up\" }", "taskq.toml:3:1", "schedule.a.task is text, in quotes"),
        // No schedule, or too much of one.
        ("task = \"clean_up\"", "taskq.toml:1:11", "give it one of every, cron, at and calendar"),
        ("every = \"1m\"\ncron = \"* * * * *\"\ntask = \"clean_up\"", "taskq.toml:3:1", "one too many"),
        // Schedules that make no sense.
        ("cron = \"61 * * * *\"\ntask = \"clean_up\"", "taskq.toml:2:1", "minute 61 in \"61 * * * *\""),
        ("cron = \"0 0 31 2 *\"\ntask = \"clean_up\"", "taskq.toml:2:1", "0 0 31 2 *"),
        ("cron = \"0 0 L * *\"\ntask = \"clean_up\"", "taskq.toml:2:1", "L"),
        ("cron = 5\ntask = \"clean_up\"", "taskq.toml:2:1", "schedule.a.cron"),
        ("every = \"0s\"\ntask = \"clean_up\"", "taskq.toml:2:1", "use at least 1s"),
        ("every = \"soon\"\ntask = \"clean_up\"", "taskq.toml:2:1", "soon"),
        ("at = 2026-12-24\ntask = \"clean_up\"", "taskq.toml:2:1", "2026-11-27T10:00:00Z"),
        (
            "calendar = { every = \"2 moons\", from = \"2026-01-05 07:30\" }\ntask = \"clean_up\"",
            "taskq.toml:2:1",
            "2 moons",
        ),
        ("calendar = { every = \"2 weeks\" }\ntask = \"clean_up\"", "taskq.toml:2:1", "missing field `from`"),
        ("cron = \"@daily\"\ntimezone = \"Europe/Pariss\"\ntask = \"clean_up\"", "taskq.toml:3:1", "Europe/Paris"),
        ("every = \"1m\"\njitter = \"2m\"\ntask = \"clean_up\"", "taskq.toml:3:1", "use at most 1m"),
        ("cron = \"@daily\"\nfrom_start = true\ntask = \"clean_up\"", "taskq.toml:3:1", "use it with every"),
        (
            "every = \"1m\"\nstart = 2027-01-01T00:00:00Z\nend = 2026-01-01T00:00:00Z\ntask = \"clean_up\"",
            "taskq.toml:4:1",
            "use a later end",
        ),
        // Tasks and arguments.
        ("every = \"1m\"", "taskq.toml:1:11", "add task = \"name\""),
        ("every = \"1m\"\ntask = \"clean_upp\"", "taskq.toml:3:1", "the nearest one is \"clean_up\""),
        ("every = \"1m\"\ntask = \"a b\"", "taskq.toml:3:1", "is no task name"),
        ("every = \"1m\"\ntask = \"send_report\"", "taskq.toml:1:11", "missing field `team`"),
        ("every = \"1m\"\ntask = \"send_report\"\nargs = { team = 5 }", "taskq.toml:4:1", "team: invalid type"),
        (
            "every = \"1m\"\ntask = \"send_report\"\nargs = { team = \"x\", coppies = 2 }",
            "taskq.toml:4:1",
            "there is no parameter \"coppies\"; its parameters: \"copies\", \"team\"",
        ),
        ("every = \"1m\"\ntask = \"clean_up\"\nargs = { a = 1 }", "taskq.toml:4:1", "its parameters: none"),
        ("every = \"1m\"\ntask = \"clean_up\"\nargs = [1]", "taskq.toml:4:1", "is a table"),
        ("every = \"1m\"\ntask = \"clean_up\"\nargs = { a = nan }", "taskq.toml:4:1", "JSON"),
        // Options.
        ("every = \"1m\"\ntask = \"clean_up\"\nqueue = \"a:b\"", "taskq.toml:4:1", "is no queue name"),
        ("every = \"1m\"\ntask = \"clean_up\"\npriority = 10", "taskq.toml:4:1", "from 0 to 9"),
        ("every = \"1m\"\ntask = \"clean_up\"\nattempts = 0", "taskq.toml:4:1", "above zero"),
        ("every = \"1m\"\ntask = \"clean_up\"\ntimeout = \"long\"", "taskq.toml:4:1", "\"90s\""),
        ("every = \"1m\"\ntask = \"clean_up\"\nheaders = { a = 1 }", "taskq.toml:4:1", "a table of texts"),
        ("every = \"1m\"\ntask = \"clean_up\"\nmisfire = \"never\"", "taskq.toml:4:1", "\"skip\", \"once\" or { all"),
        ("every = \"1m\"\ntask = \"clean_up\"\nmisfire = { all = 0 }", "taskq.toml:4:1", "1 to 1000"),
        ("every = \"1m\"\ntask = \"clean_up\"\ngrace = \"25h\"", "taskq.toml:4:1", "at most a day"),
        ("every = \"1m\"\ntask = \"clean_up\"\noverlap = \"some\"", "taskq.toml:4:1", "\"queue_one\""),
        ("every = \"1m\"\ntask = \"clean_up\"\nelsewhere = 1", "taskq.toml:4:1", "true or false"),
    ] {
        let told = with(lines);
        assert!(told.contains(place) && told.contains(cure), "wanted {place} and {cure}:\n{lines}\n{told}");
    }
}

#[test]
fn names_are_checked_and_unique() {
    let twice = told("[schedule.a]\nevery = \"1m\"\ntask = \"clean_up\"\n[schedule.a]\nevery = \"2m\"\n");
    assert!(twice.contains("taskq.toml:4:") && twice.contains("duplicate key"), "{twice}");
    let blank = told("[schedule.\"a b\"]\nevery = \"1m\"\ntask = \"clean_up\"\n");
    assert!(blank.contains("taskq.toml:1:11") && blank.contains("schedule.\"a b\" has no name"), "{blank}");
    assert!(told("schedule = 5\n").contains("unknown key \"schedule\""));
    assert!(told("[schedule]\na = 5\n").contains("unknown key \"schedule.a\""));
    let nested = told("[schedule.a.b]\nevery = \"1m\"\n");
    assert!(nested.contains("unknown key \"schedule.a.b\""), "{nested}");
    let empty = told("[schedule.a]\n");
    assert!(empty.contains("taskq.toml:1:11") && empty.contains("does not say when"), "{empty}");
}

#[test]
fn a_program_without_tasks_takes_any() {
    let file = "[schedule.a]\nevery = \"1m\"\ntask = \"unheard_of\"\n";
    let config = Config::from_parts(Some(("taskq.toml".into(), file.to_owned())), []).expect("is in order");
    assert_eq!(config.entries(&[]).expect("nobody knows").len(), 1);
    assert!(config.entries(&Registration::linked()).is_err());
}
