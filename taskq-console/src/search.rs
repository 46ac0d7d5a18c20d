//! Looks for tasks on one shelf, over a bounded part of it, and says how far it looked.

use taskq_core::{Inspect, PageToken, QueueName, Result, Shelf, TaskView, Timestamp, limits};

/// Bytes of arguments and errors that count as a task of their own: what weighs much takes as long as many that do not.
const LIGHT: usize = 1_024;

/// What a task has to be like. What is left empty is not asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Part of the task's name.
    pub(crate) name: String,
    /// Part of one of its tags.
    pub(crate) tag: String,
    /// Part of its id, its arguments or one of its errors.
    pub(crate) text: String,
    /// Not accepted before this.
    pub(crate) since: Option<Timestamp>,
    /// Accepted before this.
    pub(crate) until: Option<Timestamp>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) tasks: Vec<TaskView>,
    /// How many tasks were looked at.
    pub(crate) looked: u64,
    /// Where it goes on, unless the shelf is at its end.
    pub(crate) next: Option<PageToken>,
}

impl Filter {
    /// Whether everything fits.
    pub(crate) fn is_empty(&self) -> bool {
        let has_no_time = self.since.is_none() && self.until.is_none();
        self.name.is_empty() && self.tag.is_empty() && self.text.is_empty() && has_no_time
    }

    /// Whether a task fits. One whose bytes do not decode fits only if everything does.
    pub(crate) fn fits(&self, view: &TaskView) -> bool {
        let Some(envelope) = &view.envelope else { return self.is_empty() };
        let has_text = |text: &str| text.contains(&self.text);
        let accepted_at = envelope.enqueued_at.or_else(|| view.id.key.made_at());
        envelope.task.as_str().contains(&self.name)
            && (self.tag.is_empty() || envelope.tags.iter().any(|tag| tag.contains(&self.tag)))
            && self.since.is_none_or(|since| accepted_at.is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| accepted_at.is_some_and(|at| at < until))
            && (self.text.is_empty()
                || has_text(envelope.payload.as_str())
                || has_text(&view.id.to_string())
                || envelope.history.iter().any(|failed| has_text(&failed.error)))
    }
}

/// At most `wanted` tasks that fit, among at most about `look` that are looked at; fewer if they are heavy.
pub(crate) async fn search(
    inspect: &dyn Inspect,
    queue: &QueueName,
    shelf: Shelf,
    filter: &Filter,
    after: Option<&PageToken>,
    (wanted, look): (usize, u64),
) -> Result<Found> {
    let mut found = Found { next: after.cloned(), ..Found::default() };
    let mut weight = 0;
    loop {
        let room = wanted - found.tasks.len();
        let (page, page_weight) = fitting(inspect, queue, shelf, filter, found.next.as_ref(), room).await?;
        weight += page_weight.max(1);
        // What was left out of a page was looked at too: an empty page is no free one.
        found.looked += page.looked.max(1);
        found.tasks.extend(page.tasks);
        found.next = page.next;
        if found.next.is_none() || found.tasks.len() >= wanted || weight >= look {
            return Ok(found);
        }
    }
}

/// What fits on one page, at most `room`, and how much the page weighs.
async fn fitting(
    inspect: &dyn Inspect,
    queue: &QueueName,
    shelf: Shelf,
    filter: &Filter,
    after: Option<&PageToken>,
    room: usize,
) -> Result<(Found, u64)> {
    // A filter lets few through, so long pages save round trips.
    let count = if filter.is_empty() { room.min(limits::MAX_PAGE) } else { limits::MAX_PAGE };
    let mut page = inspect.tasks(queue, shelf, after, count).await?;
    let surplus = page.tasks.iter().enumerate().filter(|(_, view)| filter.fits(view)).nth(room);
    if let Some((first_too_many, _)) = surplus {
        // Asked again for less: only so the next page begins behind the last one that there is room for.
        page = inspect.tasks(queue, shelf, after, first_too_many).await?;
    }
    let (looked, weight) = (page.tasks.len() as u64, page.tasks.iter().map(weight_of).sum());
    let tasks = page.tasks.into_iter().filter(|view| filter.fits(view)).take(room).collect();
    Ok((Found { tasks, looked, next: page.next }, weight))
}

fn weight_of(view: &TaskView) -> u64 {
    let bytes = view.envelope.as_ref().map_or(0, |envelope| {
        envelope.payload.as_str().len() + envelope.history.iter().map(|failed| failed.error.len()).sum::<usize>()
    });
    1 + (bytes / LIGHT) as u64
}

#[cfg(test)]
mod tests {
    use taskq_core::{Clock, Invocation, broker::memory};

    use super::*;

    #[tokio::test]
    async fn of_heavy_tasks_few_are_looked_at_and_the_search_goes_on_behind_them() {
        let connection = memory::connect(Clock::system());
        let text = "x".repeat(100 * LIGHT);
        let tasks = (0..60).map(|number| {
            let arguments = serde_json::json!({ "number": number, "text": text });
            Invocation::named("send", &arguments).queue("mail").id(format!("{number:03}"))
        });
        connection.client().enqueue_all(tasks).await.map_err(|_| ()).expect("enqueued");
        let queue = "mail".parse().expect("valid");
        let filter = Filter { text: "nothing has this".to_owned(), ..Filter::default() };
        let (mut looked, mut steps, mut next) = (0, 0, None);
        loop {
            let bounds = (50, 1_000);
            let found = search(&**connection.inspect(), &queue, Shelf::Ready, &filter, next.as_ref(), bounds)
                .await
                .expect("looks");
            assert!((1..=20).contains(&found.looked), "{} in one step", found.looked);
            (looked, steps, next) = (looked + found.looked, steps + 1, found.next);
            if next.is_none() {
                break;
            }
        }
        assert_eq!(looked, 60, "in {steps} steps");
    }
}
