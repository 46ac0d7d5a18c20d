//! `events`: what happens, a line each, live or as far as it is kept.

use std::{fmt, io::IsTerminal};

use clap::{Args, builder::PossibleValuesParser};
use serde_json::{Value, json};
use taskq_core::{BoxError, Connection, Cursor, QueueName, Subscriber, Timestamp, Told, What, signals::Stops};

use super::{
    Done, Format,
    output::{note, one_line, try_say},
    time::When,
};
use crate::{
    said::{Said, missed, said},
    words::instant,
};

#[derive(Args, Debug)]
pub struct EventsArgs {
    /// Go on until ctrl-c, as is done in a terminal. Elsewhere what is kept is printed, and that is all
    #[arg(long, conflicts_with = "once")]
    follow: bool,
    /// Print what is kept and end, also in a terminal
    #[arg(long)]
    once: bool,
    /// Begin this long ago, or at this instant: 90s, 15m, 1h, 2026-11-28T02:00:00Z. What is left out: now, or with the oldest
    /// that is kept if it does not go on
    #[arg(long, value_parser = When::read, value_name = "WHEN")]
    since: Option<When>,
    /// Begin behind this place, which --json prints as "cursor"
    #[arg(long, value_name = "CURSOR", conflicts_with = "since")]
    after: Option<Cursor>,
    /// Of this queue alone; repeat it for more
    #[arg(long)]
    queue: Vec<QueueName>,
    /// Of this kind alone; repeat it for more. How much was left out or missed is told in any case
    #[arg(long, value_parser = PossibleValuesParser::new(What::KINDS))]
    kind: Vec<String>,
    /// End after so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    format: Format,
}

pub(super) async fn run(connection: &Connection, args: EventsArgs) -> Result<Done, BoxError> {
    let follows = args.follow || (!args.once && std::io::stdout().is_terminal());
    let mut stops = Stops::listen();
    let subscriber = subscribe(connection, &args, follows).await?;
    if follows && args.since.is_none() && args.after.is_none() && std::io::stderr().is_terminal() {
        note("what happens from now on; ctrl-c ends");
    }
    tokio::select! {
        biased;
        // What was read and not printed is lost with the program, as it should be.
        () = stops.next() => Ok(Done::Well),
        printed = print(connection, subscriber, &args, follows) => printed.map(|()| Done::Well),
    }
}

async fn subscribe(connection: &Connection, args: &EventsArgs, follows: bool) -> Result<Subscriber, BoxError> {
    let mut subscriber = connection.client().events().await?;
    subscriber = match args.after {
        Some(place) => subscriber.after(place),
        None if follows && args.since.is_none() => subscriber,
        None => subscriber.from_oldest(),
    };
    subscriber = args.queue.iter().cloned().fold(subscriber, Subscriber::queue);
    Ok(args.kind.iter().fold(subscriber, Subscriber::kind))
}

async fn print(
    connection: &Connection,
    mut subscriber: Subscriber,
    args: &EventsArgs,
    follows: bool,
) -> Result<(), BoxError> {
    let since = match args.since {
        Some(since) => since.before(connection.broker().now().await?),
        None => Timestamp::from_millis(i64::MIN),
    };
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let told = match follows {
            true => subscriber.next().await?,
            false => match subscriber.next_within(std::time::Duration::ZERO).await? {
                Some(told) => told,
                None => return Ok(()),
            },
        };
        if matches!(&told, Told::Happened(_, event) if event.at < since) {
            continue;
        }
        let is_heard = match args.format.json {
            true => try_say(json_of(&told)),
            false => try_say(line_of(&told)),
        };
        if !is_heard {
            return Ok(());
        }
        left -= 1;
    }
    Ok(())
}

/// An event for programs: its own JSON, and its place.
fn json_of(told: &Told) -> Value {
    match told {
        Told::Missed(count) => json!({"kind": "missed", "count": count}),
        Told::Happened(cursor, event) => {
            let json = event.encode();
            // What somebody else has put into the stream may be anything.
            let mut value = match serde_json::from_str(&json) {
                Ok(Value::Object(fields)) => fields,
                _ => serde_json::Map::from_iter([("kind".into(), "unreadable".into()), ("text".into(), json.into())]),
            };
            value.insert("cursor".to_owned(), cursor.to_string().into());
            value.into()
        }
    }
}

/// An event for people.
fn line_of(told: &Told) -> String {
    let line = match told {
        Told::Missed(count) => format!("-- {} --", missed(*count)),
        Told::Happened(_, event) => {
            format!("{}  {:<14}  {}", instant(event.at), event.what.kind(), Words(&event.what))
        }
    };
    // Errors and names are somebody else's texts.
    one_line(line.trim_end())
}

/// What happened, in words.
struct Words<'a>(&'a What);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Said { about, joint, words, worker } = said(self.0);
        write!(f, "{about}{joint}{words}")?;
        // The end of an attempt has enough to say, and `--json` has them all.
        match (self.0, worker) {
            (What::Started { .. }, Some(worker)) => write!(f, " on {worker}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use taskq_core::Event;

    use super::*;

    fn told(json: &str) -> Told {
        Told::Happened("1795832074000-7".parse().expect("valid"), Event::decode(json))
    }

    #[test]
    fn each_kind_is_told_in_a_line() {
        let head = r#"{"v":1,"at":1795832074000,"kind":"#;
        let worker = r#""worker":"01995b1f8c1a7d3e9f00112233445566""#;
        let lines = [
            (r#""enqueued","id":"mail/x","task":"send"}"#.to_owned(), "enqueued        mail/x  send"),
            (
                format!(r#""started","id":"mail/x","task":"send",{worker},"attempt":2}}"#),
                "started         mail/x  send, attempt 2 on 01995b1f8c1a7d3e9f00112233445566",
            ),
            (
                format!(
                    r#""settled","id":"mail/x","task":"send",{worker},"attempt":2,"outcome":"retried","took_us":1500000,"error":"no\n\u001b[31mroute"}}"#
                ),
                "settled         mail/x  send, attempt 2 retried after 1.5 s: no  [31mroute",
            ),
            (r#""cancelled","id":"mail/x","running":true}"#.to_owned(), "cancelled       mail/x  is asked to stop"),
            (
                r#""cancelled","id":"mail/x","running":false}"#.to_owned(),
                "cancelled       mail/x  has waited and is cancelled",
            ),
            (r#""replayed","id":"mail/x"}"#.to_owned(), "replayed        mail/x  is ready again"),
            (r#""dropped","id":"mail/x"}"#.to_owned(), "dropped         mail/x  is deleted"),
            (r#""run_now","id":"mail/x"}"#.to_owned(), "run_now         mail/x  is ready before it was due"),
            (r#""paused","queue":"mail"}"#.to_owned(), "paused          mail  hands out nothing"),
            (r#""resumed","queue":"mail"}"#.to_owned(), "resumed         mail  hands out tasks again"),
            (
                r#""purged","queue":"mail","dead":true,"count":1200}"#.to_owned(),
                "purged          mail  1,200 dead letters deleted",
            ),
            (
                r#""purged","queue":"mail","dead":false,"count":1}"#.to_owned(),
                "purged          mail  1 waiting task cancelled",
            ),
            (
                format!(r#""worker_up",{worker},"program":"shop","host":"h1","pid":7,"queues":["a","b"]}}"#),
                "worker_up       01995b1f8c1a7d3e9f00112233445566  shop on h1, process 7, serves a, b",
            ),
            (format!(r#""worker_down",{worker}}}"#), "worker_down     01995b1f8c1a7d3e9f00112233445566"),
            (
                r#""leader_changed","scheduler":"01995b1f8c1a7d3e9f00112233445566","token":9,"leads":true}"#.to_owned(),
                "leader_changed  01995b1f8c1a7d3e9f00112233445566 leads, token 9",
            ),
            (
                r#""ticked","queue":"q","entry":"nightly","fire_time":1795832074000,"enqueued":1}"#.to_owned(),
                "ticked          q/nightly, 1 task for 2026-11-28 02:14:34",
            ),
            (
                r#""health_changed","check":"shop","from":"healthy","to":"unhealthy","reason":"refused"}"#.to_owned(),
                "health_changed  shop, from healthy to unhealthy: refused",
            ),
            (
                r#""left_out","count":399000}"#.to_owned(),
                "left_out        399,000 events not told, for a process had more than it may tell",
            ),
        ];
        for (rest, line) in lines {
            assert_eq!(line_of(&told(&format!("{head}{rest}"))), format!("2026-11-28 02:14:34  {line}"));
        }
        assert_eq!(line_of(&Told::Missed(1)), "-- 1 event gone before they were read --");
    }

    #[test]
    fn programs_get_the_json_as_it_stands_with_its_place() {
        let json = json_of(&told(r#"{"v":3,"at":5,"kind":"later","x":[1]}"#));
        assert_eq!(json, json!({"v": 3, "at": 5, "kind": "later", "x": [1], "cursor": "1795832074000-7"}));
        let json = json_of(&told("\u{1b}[31m no json"));
        assert_eq!(json, json!({"kind": "unreadable", "text": "\u{1b}[31m no json", "cursor": "1795832074000-7"}));
        assert_eq!(json_of(&Told::Missed(4)), json!({"kind": "missed", "count": 4}));
    }

    #[test]
    fn hostile_texts_move_no_cursor() {
        for text in ["\u{1b}]0;title\u{7}", "{\"kind\":\"\u{9b}31m\"}", "a\r\nb", "{\"kind\":\"\\u001b[2J\"}"] {
            assert!(!line_of(&told(text)).chars().any(char::is_control), "{text:?}");
        }
    }
}
