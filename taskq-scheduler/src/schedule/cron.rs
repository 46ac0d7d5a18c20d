//! [`Cron`]: a cron text, read and checked here, so that every refusal names the field, the value and the cure. What is
//! left is a set of values for each field, and those are all that the matcher gets.

mod field;
mod matcher;

use taskq_core::{Error, Result, limits};

use super::wall::{Hours, Pattern, Wall};
use field::{DAY_OF_MONTH, DAY_OF_WEEK, Field, HOUR, MINUTE, MONTH, SECOND, YEAR};
use matcher::Matcher;

/// A cron text and the wall times that it means.
#[derive(Debug)]
pub(super) struct Cron {
    text: String,
    hours: Hours,
    matcher: Matcher,
}

/// The values of each field.
struct Fields {
    second: Field,
    minute: Field,
    hour: Field,
    day_of_month: Field,
    month: Field,
    day_of_week: Field,
    year: Field,
}

impl Cron {
    /// Reads a cron text.
    pub(super) fn new(text: &str) -> Result<Self> {
        if text.len() > limits::MAX_CRON_TEXT {
            let cure = format!("use at most {} bytes", limits::MAX_CRON_TEXT);
            return Err(Error::invalid("cron", format!("text of {} bytes", text.len()), cure));
        }
        let text = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let fields = Fields::read(&text, spelled_out(&text)?)?;
        fields.check_dates(&text)?;
        let hours = if fields.hour.is_full() { Hours::Every } else { Hours::Named };
        let matcher = Matcher::new(&fields);
        if matcher.first_from(Wall(0)).is_none() {
            let cure = "no year of these has such a date, so it would never fire: use other years or days";
            return Err(Error::invalid("cron", quoted(&text), cure));
        }
        Ok(Self { text, hours, matcher })
    }

    /// The text, with single spaces.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern for Cron {
    fn first_from(&self, wall: Wall) -> Option<Wall> {
        self.matcher.first_from(wall)
    }

    fn last_until(&self, wall: Wall) -> Option<Wall> {
        self.matcher.last_until(wall)
    }

    fn hours(&self) -> Hours {
        self.hours
    }
}

/// The fields of a text, those of a name such as `@daily` included.
fn spelled_out(text: &str) -> Result<&str> {
    let refuse = |cure: &str| Err(Error::invalid("cron", quoted(text), cure));
    if let Some(name) = text.strip_prefix('@') {
        let word = name.split(' ').next().unwrap_or_default();
        return match name.to_ascii_lowercase().as_str() {
            "yearly" | "annually" => Ok("0 0 1 1 *"),
            "monthly" => Ok("0 0 1 * *"),
            "weekly" => Ok("0 0 * * 0"),
            "daily" | "midnight" => Ok("0 0 * * *"),
            "hourly" => Ok("0 * * * *"),
            _ if word.eq_ignore_ascii_case("every") => refuse("use every, with a length of time"),
            _ if word.eq_ignore_ascii_case("reboot") => {
                refuse("nothing boots here: enqueue it when your program starts")
            }
            _ => refuse("use @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually"),
        };
    }
    if text.contains('=') {
        return refuse("leave out the zone here, and use timezone");
    }
    Ok(text)
}

impl Fields {
    fn read(text: &str, spelled_out: &str) -> Result<Self> {
        let parts: Vec<&str> = spelled_out.split(' ').filter(|part| !part.is_empty()).collect();
        let (second, rest, year) = match parts.as_slice() {
            rest @ [_, _, _, _, _] => ("0", rest, "*"),
            [second, rest @ .., _] if parts.len() == 7 => (*second, rest, parts[6]),
            [second, rest @ ..] if parts.len() == 6 => (*second, rest, "*"),
            _ => {
                let cure = "use 5 fields (minute, hour, day of month, month, day of week), 6 with the second first, or 7 \
                            with the year last";
                let told = format!("with {} fields in {}", parts.len(), quoted(text));
                return Err(Error::invalid("cron", told, cure));
            }
        };
        Ok(Self {
            second: SECOND.read(second, text)?,
            minute: MINUTE.read(rest[0], text)?,
            hour: HOUR.read(rest[1], text)?,
            day_of_month: DAY_OF_MONTH.read(rest[2], text)?,
            month: MONTH.read(rest[3], text)?,
            day_of_week: DAY_OF_WEEK.read(rest[4], text)?,
            year: YEAR.read(year, text)?,
        })
    }

    /// Refuses days that no month of these has.
    fn check_dates(&self, text: &str) -> Result<()> {
        let longest = self.month.values().map(longest_day).max().unwrap_or(31);
        match self.day_of_month.values().min() {
            Some(day) if day > longest => {
                let cure = format!("no month of these has this day: use 1 to {longest}");
                Err(Error::invalid(DAY_OF_MONTH.name, format!("{day} in {}", quoted(text)), cure))
            }
            _ => Ok(()),
        }
    }
}

/// The last day that a month can have.
fn longest_day(month: u16) -> u16 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}
