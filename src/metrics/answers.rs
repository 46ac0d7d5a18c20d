//! What the broker says about its queues when somebody scrapes: asked at most once a second, and not for long.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use taskq_core::{Connection, Error, ErrorKind, QueueName, QueueView, Result, Timestamp, limits};
use tokio::sync::Mutex;

/// Queues that are asked for at once: enough to hide round trips.
const AT_ONCE: usize = 8;

/// The broker's last answers, and when they were given.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<Option<(Duration, Answers)>>);

/// What the broker said.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// Whether it answered in time.
    pub(super) is_up: bool,
    /// The broker's time then.
    pub(super) now: Timestamp,
    pub(super) queues: Vec<(QueueName, QueueView)>,
    /// Queues that were not asked for.
    pub(super) left_out: usize,
    /// Health checks by how their targets are, if there are any.
    #[cfg(feature = "health")]
    pub(super) health: std::collections::BTreeMap<String, u64>,
}

impl Asked {
    /// What the broker says now, or said within the last second. Many who ask at once wait for one answer.
    pub(super) async fn answers(&self, connection: &Connection) -> Answers {
        let clock = connection.clock();
        // Held while the broker is asked, so that it is asked once; whoever waits here waits for no longer than that takes.
        let mut last = self.0.lock().await;
        if let Some((at, answers)) = &*last
            && clock.monotonic().saturating_sub(*at) < limits::METRICS_KEPT
        {
            return answers.clone();
        }
        let answers = match clock.timeout(limits::METRICS_BOUND, ask(connection)).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the broker cannot tell how its queues are");
                Answers::default()
            }
            Err(_) => {
                tracing::warn!("the broker does not tell in time how its queues are");
                Answers::default()
            }
        };
        *last = Some((clock.monotonic(), answers.clone()));
        answers
    }
}

async fn ask(connection: &Connection) -> Result<Answers> {
    let now = connection.broker().now().await?;
    let (queues, left_out) = permitted(queues(connection).await)?;
    #[cfg(feature = "health")]
    let health = permitted(health(connection).await)?;
    Ok(Answers {
        is_up: true,
        now,
        queues,
        left_out,
        #[cfg(feature = "health")]
        health,
    })
}

/// What this program may not look at is left out: that is no trouble of the broker's.
fn permitted<T: Default>(answer: Result<T>) -> Result<T> {
    match answer {
        Err(error) if error.kind() == ErrorKind::Refused => {
            tracing::debug!(%error, "left out of the metrics");
            Ok(T::default())
        }
        answer => answer,
    }
}

async fn queues(connection: &Connection) -> Result<(Vec<(QueueName, QueueView)>, usize)> {
    let inspect = connection.inspect();
    let mut queues = inspect.queues().await?;
    queues.sort();
    let left_out = queues.len().saturating_sub(limits::MAX_COUNTED_QUEUES);
    queues.truncate(limits::MAX_COUNTED_QUEUES);
    let views = queues.into_iter().map(async |queue| {
        let view = inspect.queue(&queue).await?;
        Ok::<_, Error>((queue, view))
    });
    Ok((stream::iter(views).buffered(AT_ONCE).try_collect().await?, left_out))
}

#[cfg(feature = "health")]
async fn health(connection: &Connection) -> Result<std::collections::BTreeMap<String, u64>> {
    use taskq_scheduler::health::{Board, Health};
    let rows = Board::of(connection).rows().await?;
    let mut states = std::collections::BTreeMap::new();
    if !rows.is_empty() {
        let all = [Health::Unknown, Health::Healthy, Health::Degraded, Health::Unhealthy];
        states.extend(all.map(|health| (health.to_string(), 0)));
    }
    rows.iter().for_each(|row| *states.entry(row.health.to_string()).or_default() += 1);
    Ok(states)
}
