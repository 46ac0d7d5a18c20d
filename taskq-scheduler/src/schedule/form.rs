//! [`Form`]: how a schedule is kept and written in configuration. Everything in it is text that people can read and write.
//!
//! A key that is unknown is refused: a scheduler that is older than the entry must not fire it by half of its rule.

use serde::{Deserialize, Serialize};
use taskq_core::{Error, Result, Timestamp};

use super::{Period, Rule, Schedule, at, calendar, cron, every, interval::Origin, zone::Zone};
use crate::length;

/// The serde form of a [`Schedule`].
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calendar: Option<CalendarForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_start: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarForm {
    every: String,
    from: String,
}

impl TryFrom<Form> for Schedule {
    type Error = Error;

    fn try_from(form: Form) -> Result<Self> {
        let mut schedule = match (form.every, form.cron, form.at, form.calendar) {
            (Some(interval), None, None, None) => every(length::read("interval", &interval)?)?,
            (None, Some(text), None, None) => cron(&text)?,
            (None, None, Some(text), None) => at(read_instant("at", &text)?)?,
            (None, None, None, Some(form)) => calendar(Period::read(&form.every)?, &form.from)?,
            _ => return Err(Error::invalid("schedule", "", "give it one of every, cron, at and calendar")),
        };
        if form.from_start == Some(true) {
            schedule = schedule.from_start()?;
        }
        if let Some(name) = form.timezone {
            schedule = schedule.timezone(&name)?;
        }
        if let Some(start) = form.start {
            schedule = schedule.start(read_instant("start", &start)?)?;
        }
        if let Some(end) = form.end {
            schedule = schedule.end(read_instant("end", &end)?)?;
        }
        match form.jitter {
            Some(jitter) => schedule.jitter(length::read("jitter", &jitter)?),
            None => Ok(schedule),
        }
    }
}

impl From<Schedule> for Form {
    fn from(schedule: Schedule) -> Self {
        let rule = match schedule.rule {
            Rule::Every(interval) => Self {
                every: Some(length::write(interval.length())),
                from_start: (interval.origin == Origin::Start).then_some(true),
                ..Self::default()
            },
            Rule::Cron(cron) => Self { cron: Some(cron.text().to_owned()), ..Self::default() },
            Rule::At(fire_time) => Self { at: Some(instant(fire_time)), ..Self::default() },
            Rule::Calendar(calendar) => {
                let from = calendar.first.to_string().replacen('T', " ", 1);
                let from = from.strip_suffix(":00").map(str::to_owned).unwrap_or(from);
                let form = CalendarForm { every: calendar.period.to_string(), from };
                Self { calendar: Some(form), ..Self::default() }
            }
        };
        Self {
            timezone: (schedule.zone != Zone::UTC).then(|| schedule.zone.name().to_owned()),
            start: schedule.start.map(instant),
            end: schedule.end.map(instant),
            jitter: (!schedule.jitter.is_zero()).then(|| length::write(schedule.jitter)),
            ..rule
        }
    }
}

/// An instant in UTC as text, for example `2026-11-27T10:00:00Z`.
pub(super) fn instant(instant: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(instant.as_millis()) {
        Ok(instant) => instant.to_string(),
        Err(_) => format!("{} ms after 1970", instant.as_millis()),
    }
}

fn read_instant(what: &'static str, text: &str) -> Result<Timestamp> {
    let refuse = |cure| Error::invalid(what, format!("\"{}\"", text.escape_debug()), cure);
    let read: jiff::Timestamp =
        text.parse().map_err(|_| refuse("write a date, a time and Z or an offset: 2026-11-27T10:00:00Z"))?;
    match read.subsec_nanosecond() % 1_000_000 {
        0 => Ok(Timestamp::from_millis(read.as_millisecond())),
        _ => Err(refuse("use whole milliseconds")),
    }
}
