//! `health`: how everything is that is watched, and checks that are added at run time.

use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;
use taskq_core::{BoxError, Error, ErrorKind, Result, Timestamp};
use taskq_scheduler::{
    EntryName, EntryOrigin,
    health::{Board, BoardRow, Check, Health},
};

use super::{
    output::{say, say_table},
    schedule::shown,
};
use crate::{config::Config, nearest::nearest};

#[derive(Args, Debug)]
pub(super) struct HealthArgs {
    #[command(subcommand)]
    command: Option<HealthCommand>,
    /// Print JSON, one check a line
    #[arg(long)]
    json: bool,
    /// Fail too if anything is degraded or unknown
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Subcommand)]
enum HealthCommand {
    /// Adds a check at run time, or replaces one that was added so. Workers look only where security.check_targets in their
    /// own taskq.toml allows it
    Add(AddArgs),
    /// Removes a check that was added at run time, and what is known of its target
    Remove {
        /// The check's name
        name: String,
    },
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["http", "tcp", "redis", "task", "json_check"]))]
struct AddArgs {
    /// The check's name
    name: String,
    /// Look every so long
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    every: String,
    /// How long one look may take
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Bad looks in a row until it is unhealthy
    #[arg(long, value_name = "NUMBER")]
    failures: Option<u32>,
    /// A URL that answers with a status from 200 to 299
    #[arg(long, value_name = "URL")]
    http: Option<String>,
    /// A port that takes connections
    #[arg(long, value_name = "HOST:PORT")]
    tcp: Option<String>,
    /// A Redis that answers PING
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// A task that succeeds
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Anything else that a table [health.NAME] can say, as JSON: '{"http": {"url": "..", "contains": "ok"}}'
    #[arg(long = "check", id = "json_check", value_name = "JSON")]
    json_check: Option<String>,
}

/// Prints the table; 1 if anything is unhealthy.
pub(super) async fn run(config: &Config, args: HealthArgs) -> Result<ExitCode, BoxError> {
    let board = Board::of(&super::connect(config).await?);
    match args.command {
        Some(HealthCommand::Add(args)) => {
            let name = args.name.clone();
            board.put(&name, &check(args)?).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(HealthCommand::Remove { name }) => {
            remove(&board, &name).await?;
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let rows = with_missing(board.rows().await?, config)?;
    match args.json {
        true => rows.iter().for_each(|row| say(as_json(row))),
        false => print(&rows, board.now().await?),
    }
    let is_wrong = |row: &BoardRow| match row.health {
        Health::Unhealthy => true,
        Health::Degraded | Health::Unknown => args.strict && !row.is_paused,
        Health::Healthy => false,
    };
    Ok(if rows.iter().any(is_wrong) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// And the checks of the configuration that no scheduler has brought to the broker: nobody looks at those.
fn with_missing(mut rows: Vec<BoardRow>, config: &Config) -> Result<Vec<BoardRow>> {
    for name in config.watchlist().checks.into_keys() {
        if !rows.iter().any(|row| row.name.as_str() == name) {
            rows.push(BoardRow {
                name: EntryName::new(name)?,
                origin: EntryOrigin::File,
                is_paused: false,
                every: None,
                health: Health::Unknown,
                record: None,
            });
        }
    }
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(rows)
}

async fn remove(board: &Board, name: &str) -> Result<()> {
    let rows = board.rows().await?;
    if rows.iter().any(|row| row.name.as_str() == name) {
        return board.remove(name).await;
    }
    let nearest = nearest(name, rows.iter().map(|row| row.name.as_str()));
    let subject = format!("\"{}\"", name.escape_debug());
    Err(Error::new(ErrorKind::InvalidInput, "remove check", subject)
        .because(format!("there is none of this name{nearest}")))
}

/// The table of taskq.toml that the options say.
fn check(args: AddArgs) -> Result<Check> {
    let wrong = |why: String| Error::new(ErrorKind::InvalidInput, "read", "--check").because(why);
    let mut form = match &args.json_check {
        Some(json) => serde_json::from_str::<serde_json::Map<_, _>>(json)
            .map_err(|error| wrong(format!("it is no JSON object: {error}")))?,
        None => serde_json::Map::new(),
    };
    form.entry("every").or_insert_with(|| args.every.into());
    let keys = [
        ("timeout", args.timeout.map(Into::into)),
        ("failures", args.failures.map(Into::into)),
        ("http", args.http.map(Into::into)),
        ("tcp", args.tcp.map(Into::into)),
        ("redis", args.redis.map(Into::into)),
        ("task", args.task.map(|name| json!({ "name": name }))),
    ];
    form.extend(keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Check::read(serde_json::Value::Object(form))
}

fn print(rows: &[BoardRow], now: Timestamp) {
    if rows.is_empty() {
        say("nothing is watched; add a table [health.NAME] to taskq.toml");
        return;
    }
    let cells = |row: &BoardRow| {
        let record = row.record.as_ref();
        let latency = record.and_then(|record| record.median_latency());
        [
            row.name.to_string(),
            if row.is_paused { "paused".to_owned() } else { row.health.to_string() },
            record.map_or_else(String::new, |record| ago(now, record.since)),
            latency.map_or_else(String::new, |latency| format!("{} ms", latency.as_millis())),
            record.map_or_else(String::new, |record| format!("{} {}", record.kind, record.target)),
            reason(row),
        ]
    };
    say_table(["CHECK", "HEALTH", "SINCE", "LATENCY", "TARGET", "REASON"], rows.iter().map(cells));
}

fn reason(row: &BoardRow) -> String {
    match (&row.record, row.health) {
        (None, _) if row.every.is_none() => "no scheduler has brought it to the broker yet".to_owned(),
        (None, _) => "nobody has looked yet".to_owned(),
        (Some(record), Health::Unknown) => format!("nobody has looked since {}", shown(record.looked_at)),
        (Some(record), _) => record.reason.clone().unwrap_or_default(),
    }
}

/// How long ago, in the two largest units.
fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.since(then).as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

fn as_json(row: &BoardRow) -> serde_json::Value {
    let record = row.record.as_ref();
    json!({
        "name": row.name.as_str(),
        "health": row.health,
        "from": row.origin.to_string(),
        "paused": row.is_paused,
        "schedule": row.every,
        "kind": record.map(|record| &record.kind),
        "target": record.map(|record| &record.target),
        "labels": record.map(|record| &record.labels),
        "since": record.map(|record| shown(record.since)),
        "looked_at": record.map(|record| shown(record.looked_at)),
        "reason": record.and_then(|record| record.reason.as_ref()),
        "failures": record.map(|record| record.failures),
        "successes": record.map(|record| record.successes),
        "latencies_ms": record.map(|record| &record.latencies_ms),
        "last_error": record.and_then(|record| record.last_error.as_ref()).map(|error| {
            json!({ "at": shown(error.at), "reason": error.reason })
        }),
        "transitions": record.map(|record| {
            record.transitions.iter().map(|turn| {
                json!({ "at": shown(turn.at), "from": turn.from, "to": turn.to, "reason": turn.reason })
            }).collect::<Vec<_>>()
        }),
    })
}
