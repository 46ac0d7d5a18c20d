//! What processes write about themselves, a line for each event, outside the broker: whole even if they are killed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    path::Path,
    str::FromStr,
    sync::Mutex,
    time::Duration,
};

use crate::clock;

/// A file that is only appended to.
#[derive(Debug)]
pub(crate) struct Journal(Mutex<File>);

impl Journal {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Mutex::new(File::options().create(true).append(true).open(path)?)))
    }

    /// One line in one write.
    pub(crate) fn note(&self, event: &Event) {
        let line = event.line(clock::now());
        let mut file = self.0.lock().expect("nothing panics while holding it");
        file.write_all(line.as_bytes()).expect("the journal can be written");
    }
}

/// What can happen to a task, as processes see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A producer begins to enqueue it, to be started after so many milliseconds.
    Tried { number: u64, delay: u64 },
    /// The broker has acknowledged it under this id.
    Told { number: u64, id: String },
    /// The broker has not, and the producer has given up.
    Failed { number: u64, error: String },
    /// The same, by a producer that does not mind.
    GaveUp { number: u64 },
    /// A producer that waits for it has its result.
    Waited { id: String },
    /// A tick of an entry has run, so long after its time.
    Ticked { id: String, late_millis: i64 },
    /// The process has logged an error.
    Complained { text: String },
    /// A worker's body begins, under this token.
    Started { id: String, token: u64, process: u32 },
    /// The body is at its end.
    Ended { id: String, token: u64 },
}

impl Event {
    fn line(&self, at: Duration) -> String {
        let at = at.as_nanos();
        match self {
            Self::Tried { number, delay } => format!("{at} tried {number} {delay}\n"),
            Self::Told { number, id } => format!("{at} told {number} {id}\n"),
            Self::GaveUp { number } => format!("{at} gave-up {number}\n"),
            Self::Waited { id } => format!("{at} waited {id}\n"),
            Self::Ticked { id, late_millis } => format!("{at} ticked {id} {late_millis}\n"),
            Self::Complained { text } => format!("{at} complained {}\n", text.replace('\n', " ")),
            Self::Failed { number, error } => format!("{at} failed {number} {}\n", error.replace('\n', " ")),
            Self::Started { id, token, process } => format!("{at} started {id} {token} {process}\n"),
            Self::Ended { id, token } => format!("{at} ended {id} {token}\n"),
        }
    }

    fn parse(line: &str) -> Option<(Duration, Self)> {
        let mut words = line.splitn(5, ' ');
        let at = Duration::from_nanos(words.next()?.parse().ok()?);
        let event = match words.next()? {
            "tried" => Self::Tried { number: number(words.next()), delay: number(words.next()) },
            "gave-up" => Self::GaveUp { number: number(words.next()) },
            "waited" => Self::Waited { id: words.next()?.to_owned() },
            "ticked" => Self::Ticked { id: words.next()?.to_owned(), late_millis: number(words.next()) },
            "complained" => Self::Complained { text: words.collect::<Vec<_>>().join(" ") },
            "told" => Self::Told { number: number(words.next()), id: words.next()?.to_owned() },
            "failed" => Self::Failed { number: number(words.next()), error: words.collect::<Vec<_>>().join(" ") },
            "started" => {
                let id = words.next()?.to_owned();
                Self::Started { id, token: number(words.next()), process: number(words.next()) }
            }
            "ended" => Self::Ended { id: words.next()?.to_owned(), token: number(words.next()) },
            _ => return None,
        };
        Some((at, event))
    }
}

fn number<N: FromStr + Default>(word: Option<&str>) -> N {
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// One execution of a task.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) at: Duration,
    pub(crate) token: u64,
    pub(crate) process: u32,
    pub(crate) ended: Option<Duration>,
}

/// All that the processes have written.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Tried numbers, with the id under which each was acknowledged.
    pub(crate) tried: BTreeMap<u64, Option<String>>,
    pub(crate) failed: Vec<String>,
    /// When each number was tried, and how long after it may start.
    pub(crate) due: BTreeMap<u64, (Duration, Duration)>,
    /// When something was acknowledged.
    pub(crate) told_at: Vec<Duration>,
    /// When a producer had the result of a task.
    pub(crate) waited: BTreeMap<String, Duration>,
    /// Ticks that ran, and how many milliseconds late.
    pub(crate) ticks: Vec<(String, i64)>,
    pub(crate) complaints: Vec<(Duration, String)>,
    /// By id, in the order of their beginnings.
    pub(crate) executions: BTreeMap<String, Vec<Execution>>,
}

impl History {
    /// Reads the journals of a folder.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let mut history = Self::default();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "journal") {
                let text = std::fs::read_to_string(path)?;
                text.lines().filter_map(Event::parse).for_each(|(at, event)| history.add(at, event));
            }
        }
        history.told_at.sort_unstable();
        history.executions.values_mut().for_each(|executions| executions.sort_by_key(|execution| execution.at));
        Ok(history)
    }

    fn add(&mut self, at: Duration, event: Event) {
        match event {
            Event::Tried { number, delay } => {
                self.due.insert(number, (at, Duration::from_millis(delay)));
                self.tried.entry(number).or_default();
            }
            Event::Told { number, id } => {
                self.told_at.push(at);
                self.tried.insert(number, Some(id));
            }
            Event::GaveUp { number } => drop(self.tried.entry(number).or_default()),
            Event::Waited { id } => drop(self.waited.insert(id, at)),
            Event::Ticked { id, late_millis } => self.ticks.push((id, late_millis)),
            Event::Complained { text } => self.complaints.push((at, text)),
            Event::Failed { number, error } => self.failed.push(format!("task {number}: {error}")),
            Event::Started { id, token, process } => {
                self.executions.entry(id).or_default().push(Execution { at, token, process, ended: None });
            }
            Event::Ended { id, token } => {
                let executions = self.executions.entry(id).or_default();
                executions.iter_mut().filter(|execution| execution.token == token).for_each(|one| one.ended = Some(at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_half_a_line_is_left_out() {
        let events = [
            Event::Tried { number: 7, delay: 250 },
            Event::GaveUp { number: 7 },
            Event::Waited { id: "chaos/a".to_owned() },
            Event::Ticked { id: "chaos/entry-7@1795814753584".to_owned(), late_millis: -3 },
            Event::Complained { text: "the server has lost its last moments".to_owned() },
            Event::Told { number: 7, id: "chaos/a".to_owned() },
            Event::Failed { number: 7, error: "no answer within 5 s".to_owned() },
            Event::Started { id: "chaos/a".to_owned(), token: 3, process: 99 },
            Event::Ended { id: "chaos/a".to_owned(), token: 3 },
        ];
        for event in events {
            let line = event.line(Duration::from_nanos(5));
            assert_eq!(Event::parse(line.trim_end()), Some((Duration::from_nanos(5), event)));
        }
        assert_eq!(Event::parse("123 star"), None);
        assert_eq!(Event::parse(""), None);
    }
}
