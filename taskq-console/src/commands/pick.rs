//! Which tasks a command is about: by their ids, or by what they are like.

use clap::Args;
use taskq_core::{BoxError, Connection, PageToken, QueueName, Shelf, TaskId, TaskView};

use super::{
    Format,
    output::{note, say},
    queues::confirmed,
    time::When,
};
use crate::{
    search::{Filter, search},
    words::{counted, number},
};

/// Tasks that one search looks at, unless somebody says otherwise: as many as take a tenth of a second.
const LOOK: u64 = 5_000;

/// What tasks are like.
#[derive(Args, Clone, Debug)]
pub(super) struct FilterArgs {
    /// Of this queue alone
    #[arg(long)]
    pub(super) queue: Option<QueueName>,
    /// Part of the task's name
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Part of a tag: tenant:7
    #[arg(long, default_value = "", hide_default_value = true)]
    tag: String,
    /// Part of the id, the arguments or an error
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    /// Accepted since then: 2h, 3d, or 2026-11-28T02:00:00Z
    #[arg(long, value_name = "TIME", value_parser = When::read)]
    since: Option<When>,
    /// Accepted before then
    #[arg(long, value_name = "TIME", value_parser = When::read)]
    until: Option<When>,
    /// Look at this many tasks at most
    #[arg(long, value_name = "TASKS", default_value_t = LOOK)]
    look: u64,
}

/// Which tasks a list has, and how it is told.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// List this many at most
    #[arg(long, default_value_t = 50)]
    pub(super) limit: usize,
    /// Go on behind the page before, which printed this
    #[arg(long, value_name = "PLACE")]
    pub(super) after: Option<String>,
    #[command(flatten)]
    pub(super) format: Format,
}

/// What was found, over all queues and states that were asked for.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) tasks: Vec<TaskView>,
    pub(super) looked: u64,
    /// Where it goes on: a text for `--after`.
    pub(super) next: Option<String>,
}

impl FilterArgs {
    async fn filter(&self, connection: &Connection) -> Result<Filter, BoxError> {
        let now = connection.broker().now().await?;
        Ok(Filter {
            name: self.name.clone(),
            tag: self.tag.clone(),
            text: self.text.clone(),
            since: self.since.map(|when| when.before(now)),
            until: self.until.map(|when| when.before(now)),
        })
    }

    fn asks_for_nothing(&self) -> bool {
        let has_no_time = self.since.is_none() && self.until.is_none();
        self.queue.is_none() && has_no_time && [&self.name, &self.tag, &self.text].iter().all(|text| text.is_empty())
    }

    /// At most `wanted` tasks that fit, shelf by shelf and queue by queue, from `after` on.
    pub(super) async fn walk(
        &self,
        connection: &Connection,
        shelves: &[Shelf],
        wanted: usize,
        after: Option<&str>,
    ) -> Result<Walked, BoxError> {
        let filter = self.filter(connection).await?;
        let mut queues = match &self.queue {
            Some(queue) => vec![queue.clone()],
            None => connection.inspect().queues().await?,
        };
        queues.sort();
        let places = queues.iter().flat_map(|queue| shelves.iter().map(move |shelf| (queue, *shelf)));
        let mut places: Vec<(&QueueName, Shelf)> = places.collect();
        let mut token = None;
        if let Some(after) = after {
            let (place, rest) = resumed(&places, after)?;
            places.drain(..place);
            token = Some(rest);
        }
        let mut walked = Walked::default();
        for (queue, shelf) in places {
            let bounds = (wanted - walked.tasks.len(), self.look.saturating_sub(walked.looked));
            if bounds.0 == 0 || bounds.1 == 0 {
                walked.next = Some(format!("{queue}/{shelf}/"));
                break;
            }
            let from = token.take().filter(|token: &PageToken| !token.0.is_empty());
            let found = search(&**connection.inspect(), queue, shelf, &filter, from.as_ref(), bounds).await?;
            walked.looked += found.looked;
            walked.tasks.extend(found.tasks);
            if let Some(next) = found.next {
                walked.next = Some(format!("{queue}/{shelf}/{next}"));
                break;
            }
        }
        Ok(walked)
    }
}

/// Where a text of `--after` goes on.
fn resumed(places: &[(&QueueName, Shelf)], after: &str) -> Result<(usize, PageToken), BoxError> {
    let mut parts = after.splitn(3, '/');
    let named = (parts.next(), parts.next(), parts.next());
    let at = |queue: &str, shelf: &str| {
        places.iter().position(|(name, on)| name.as_str() == queue && on.state().as_str() == shelf)
    };
    let found = match named {
        (Some(queue), Some(shelf), Some(token)) => at(queue, shelf).map(|place| (place, PageToken(token.to_owned()))),
        _ => None,
    };
    found.ok_or_else(|| "--after takes what the page before printed, with the same filters".into())
}

impl Walked {
    /// Tells how far it looked, if there is more.
    pub(super) fn note_how_far(&self) {
        match &self.next {
            Some(next) => {
                note(format_args!("{} looked at, more are behind: --after {next}", counted(self.looked, "task")))
            }
            None if self.tasks.is_empty() => note(format_args!("none; {} looked at", counted(self.looked, "task"))),
            None => {}
        }
    }
}

/// Tasks to do something to: named by id, or found by filters.
#[derive(Args, Clone, Debug)]
pub struct Pick {
    /// Ids of tasks: QUEUE/KEY
    ids: Vec<TaskId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Do it to this many at most
    #[arg(long, value_name = "TASKS", default_value_t = 10_000)]
    most: usize,
    /// Print the ids, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before something is done to tasks that filters found
    #[arg(long)]
    yes: bool,
}

impl Pick {
    /// The ids; nothing if it is a dry run or somebody said no.
    ///
    /// # Errors
    /// If neither ids nor filters are given, or nobody can be asked.
    pub(super) async fn ids(
        &self,
        connection: &Connection,
        shelves: &[Shelf],
        deed: &str,
    ) -> Result<Option<Vec<TaskId>>, BoxError> {
        if !self.ids.is_empty() {
            return Ok(match self.dry_run {
                true => dry(&self.ids),
                false => Some(self.ids.clone()),
            });
        }
        if self.filter.asks_for_nothing() {
            return Err("name tasks by their ids, or say which: --queue, --name, --tag, --text, --since".into());
        }
        // All are found before the first is changed, so that no page moves under the next.
        let walked = self.filter.walk(connection, shelves, self.most, None).await?;
        let ids: Vec<TaskId> = walked.tasks.into_iter().map(|view| view.id).collect();
        if walked.next.is_some() {
            note(format_args!("{} looked at; more are behind, do it again to go on", counted(walked.looked, "task")));
        }
        if self.dry_run {
            return Ok(dry(&ids));
        }
        let count = ids.len() as u64;
        match self.yes || count == 0 || confirmed(&format!("{deed} {}.", counted(count, "task")), &count.to_string())? {
            true => Ok(Some(ids)),
            false => {
                note("nothing was done");
                Ok(None)
            }
        }
    }
}

fn dry(ids: &[TaskId]) -> Option<Vec<TaskId>> {
    ids.iter().for_each(say);
    note(format_args!("{} found, nothing was done", number(ids.len() as u64)));
    None
}
