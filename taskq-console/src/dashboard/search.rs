//! Looks for tasks on one shelf, over a bounded part of it.

use std::sync::Arc;

use taskq_core::{PageToken, QueueName, Shelf, TaskView};

use super::{Shared, fields::Fields, limits, page::PageError};

/// What a task has to be like.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    name: String,
    tag: String,
    text: String,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tasks: Vec<TaskView>,
    pub(super) looked: u64,
    pub(super) next: Option<PageToken>,
}

impl Filter {
    pub(super) fn of(query: &Fields) -> Self {
        Self {
            name: query.get("name").to_owned(),
            tag: query.get("tag").to_owned(),
            text: query.get("text").to_owned(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.name.is_empty() && self.tag.is_empty() && self.text.is_empty()
    }

    fn fits(&self, view: &TaskView) -> bool {
        let Some(envelope) = &view.envelope else { return self.is_empty() };
        let has_text = |text: &str| text.contains(&self.text);
        envelope.task.as_str().contains(&self.name)
            && (self.tag.is_empty() || envelope.tags.iter().any(|tag| tag.contains(&self.tag)))
            && (self.text.is_empty()
                || has_text(envelope.payload.as_str())
                || has_text(&view.id.to_string())
                || envelope.history.iter().any(|failed| has_text(&failed.error)))
    }
}

/// A page of what fits.
pub(super) async fn search(
    shared: &Arc<Shared>,
    queue: &QueueName,
    shelf: Shelf,
    filter: &Filter,
    after: Option<&PageToken>,
) -> Result<Found, PageError> {
    let mut found = Found { next: after.cloned(), ..Found::default() };
    loop {
        let room = limits::PAGE_ROWS - found.tasks.len();
        let page = shared.ask(shared.connection.inspect().tasks(queue, shelf, found.next.as_ref(), room)).await?;
        found.looked += page.tasks.len() as u64;
        found.tasks.extend(page.tasks.into_iter().filter(|view| filter.fits(view)));
        found.next = page.next;
        if found.next.is_none() || found.tasks.len() >= limits::PAGE_ROWS || found.looked >= 2_000 {
            return Ok(found);
        }
    }
}
