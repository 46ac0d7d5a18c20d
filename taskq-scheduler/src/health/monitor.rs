//! [`Monitor`]: what a worker needs for health checks, and the task by which it looks.
//!
//! ```text
//!  entry --tick--> task taskq.health.look --> Observer --> Look --> Record --> document of the check
//!                                                                     |
//!                                                                  notices --> task taskq.health.notify, once each
//! ```
//!
//! The document changes only by compare-and-set. A notice stands in the document from the change that gave rise to it
//! until its task is enqueued, under an id of its own: so a worker that dies in between loses none, and none is sent
//! twice.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use taskq_core::{
    AnyTask, AsyncTask, Context, DocumentId, DocumentName, Invocation, QueueName, Registration, Retry, Saved, Task,
    TaskError, TaskOptions, TaskResult, Timestamp, Version, WaitError, What, limits,
};

use super::{
    allow::Allow,
    check::Check,
    finding::{Cause, Finding, Look, Reason},
    guard::Trust,
    observer::Observer,
    probe::Probe,
    record::{Health, Record, Seen},
    task::TaskProbe,
};
use crate::alert::{Alert, Channel, Courier, Memory, Notice, TaskChannel};

/// The queue of looks, which has the documents too.
pub const QUEUE: &str = "health";

/// The queue of notices: looks that hang must not hold them up.
pub const NOTICES: &str = "health-notices";

/// What the configuration says of health.
#[derive(Clone, Debug, Default)]
pub struct Watchlist {
    /// Checks by name.
    pub checks: BTreeMap<String, Check>,
    /// Alerts by name.
    pub alerts: BTreeMap<String, Alert>,
    /// Where checks may look that were added at run time.
    pub allow: Allow,
}

/// What a worker needs for health checks: how to look, how to tell, and what its own configuration says.
#[derive(Debug)]
pub struct Monitor {
    observer: Observer,
    courier: Courier,
    watchlist: RwLock<Arc<Watchlist>>,
}

impl Monitor {
    /// Looks and tells by these.
    pub fn new(observer: Observer, courier: Courier, watchlist: Watchlist) -> Self {
        Self { observer, courier, watchlist: RwLock::new(Arc::new(watchlist)) }
    }

    /// Goes by another configuration from now on.
    pub fn replace(&self, watchlist: Watchlist) {
        *self.watchlist.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(watchlist);
    }

    /// The tasks of a worker that has a monitor to lend.
    pub fn tasks() -> [Registration; 2] {
        [Registration::of_async::<LookTask>(file!()), Registration::of_async::<NotifyTask>(file!())]
    }

    fn watchlist(&self) -> Arc<Watchlist> {
        Arc::clone(&self.watchlist.read().unwrap_or_else(PoisonError::into_inner))
    }
}

// The look ------------------------------------------------------------------------------------------------

/// `taskq.health.look`: one look at one target.
#[derive(Debug)]
pub(super) enum LookTask {}

/// Which check.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LookArgs {
    pub(super) check: String,
    /// The check itself, if it was added at run time. One of the configuration stays there, with its secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) added: Option<Box<Check>>,
}

impl Task for LookTask {
    const NAME: &'static str = "taskq.health.look";
    type Args = LookArgs;
    type Output = Health;
    type App = Monitor;

    fn options() -> TaskOptions {
        let mut options = TaskOptions::default();
        options.queue = Some(QUEUE.to_owned());
        options
    }
}

impl AsyncTask for LookTask {
    async fn run(context: Context<Monitor>, args: LookArgs) -> TaskResult<Health> {
        let monitor = context.app();
        let watchlist = monitor.watchlist();
        let (check, trust) = match (watchlist.checks.get(&args.check), args.added) {
            (Some(check), None) => (check.clone(), Trust::Config),
            (_, Some(added)) => (*added, Trust::Listed(watchlist.allow.clone())),
            (None, None) => return Err(unknown("health", &args.check)),
        };
        let begun = context.client().connection().broker().now().await?;
        let look = match &check.probe {
            Probe::Task(probe) => run_task(&context, probe, check.timeout).await,
            _ => monitor.observer.look(&check, &trust).await,
        };
        let file = File { context: &context, name: &args.check, check: &check, watchlist: &watchlist };
        file.note(&look, begun).await
    }
}

/// The worker's own configuration does not have it. Another worker's may.
fn unknown(table: &str, name: &str) -> TaskError {
    format!(
        "the configuration of this worker has no [{table}.{name}]; give all workers of its queue the same taskq.toml"
    )
    .into()
}

/// A task that succeeds in time says that all is well.
async fn run_task(context: &Context<Monitor>, probe: &TaskProbe, timeout: Duration) -> Look {
    let clock = context.client().connection().clock();
    let begun = clock.monotonic();
    let finding = match wait_for(context, probe, timeout).await {
        Ok(()) => Finding::Well,
        Err(reason) => Finding::Bad(reason),
    };
    Look { finding, latency: clock.monotonic().saturating_sub(begun) }
}

async fn wait_for(context: &Context<Monitor>, probe: &TaskProbe, timeout: Duration) -> Result<(), Reason> {
    let mut task = named(probe.name.as_str(), &probe.args).expires_in(timeout).timeout(timeout).retry(Retry::never());
    if let Some(queue) = &probe.queue {
        task = task.queue(queue.as_str());
    }
    let setup = |error: taskq_core::Error| Reason::new(Cause::Setup, error);
    let handle = context.client().enqueue(task).await.map_err(setup)?;
    match handle.wait::<serde_json::Value>(timeout).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let cause = if matches!(error, WaitError::TimedOut { .. }) { Cause::Timeout } else { Cause::Answer };
            // What is of no use any more need not run.
            drop(context.client().cancel(handle.id()).await);
            Err(Reason::new(cause, format_args!("{}: {error}", probe.name)))
        }
    }
}

/// The document of a check, and what is to be noted in it.
struct File<'a> {
    context: &'a Context<Monitor>,
    name: &'a str,
    check: &'a Check,
    watchlist: &'a Watchlist,
}

impl File<'_> {
    /// Notes a look and what follows from it, whoever else writes meanwhile.
    async fn note(&self, look: &Look, begun: Timestamp) -> TaskResult<Health> {
        let id = document_id(self.name)?;
        for _ in 0..limits::DOCUMENT_TRIES {
            let (mut record, version) = self.read(&id, begun).await?;
            let seen = record.observe(self.check, look, begun);
            if seen == Seen::Late {
                return Ok(record.health);
            }
            record.describe(self.check);
            self.decide(&mut record, begun);
            record.fit();
            if let Some(version) = self.save(&id, version, &record).await? {
                self.tell(&seen);
                self.send(&id, version, record.clone()).await?;
                return Ok(record.health);
            }
        }
        Err("others write the health of this check again and again".into())
    }

    async fn read(&self, id: &DocumentId, now: Timestamp) -> TaskResult<(Record, Option<Version>)> {
        match self.context.client().connection().documents().read(id).await? {
            Some(found) => Ok((Record::read(&found.text)?, Some(found.version))),
            None => Ok((Record::new(now), None)),
        }
    }

    /// The new version; nothing if somebody else wrote meanwhile.
    async fn save(&self, id: &DocumentId, expected: Option<Version>, record: &Record) -> TaskResult<Option<Version>> {
        match self.context.client().connection().documents().save(id, expected, &record.text()).await? {
            Saved::Applied(version) => Ok(Some(version)),
            Saved::Changed(_) => Ok(None),
        }
    }

    /// What each alert makes of it.
    fn decide(&self, record: &mut Record, now: Timestamp) {
        let alerts = &self.watchlist.alerts;
        let kept = record.outbox.len();
        for (name, alert) in alerts.iter().filter(|(_, alert)| alert.rule.is_about(self.name, &self.check.labels)) {
            let memory = record.alerts.entry(name.clone()).or_default();
            if let Some(kind) = alert.rule.decide(memory, record.health, now) {
                record.outbox.push(Notice {
                    alert: name.clone(),
                    check: self.name.to_owned(),
                    kind,
                    health: record.health,
                    since: record.since,
                    at: now,
                    reason: record.reason.clone(),
                    // Added when it is sent; the record has them once.
                    labels: BTreeMap::new(),
                });
            }
        }
        // What this worker does not know, another one may: while a new configuration is rolled out, two are in force.
        let is_recent = |memory: &Memory| memory.changed_at().is_some_and(|at| now.since(at) < limits::ALERT_MEMORY);
        record.alerts.retain(|name, memory| !memory.is_blank() && (alerts.contains_key(name) || is_recent(memory)));
        let surplus = record.outbox.len().saturating_sub(limits::MAX_HEALTH_OUTBOX).min(kept);
        for notice in record.outbox.drain(..surplus) {
            tracing::error!(alert = notice.alert, check = notice.check, %notice, "could not be sent for too long; given up");
        }
    }

    fn tell(&self, seen: &Seen) {
        let Seen::Turned(turn) = seen else { return };
        let (check, from, to) = (self.name, turn.from, turn.to);
        if let Some(outlet) = self.context.client().connection().outlet() {
            let (check, reason) = (check.to_owned(), turn.reason.as_deref().map(str::to_owned));
            outlet.tell(What::HealthChanged { check, from: from.to_string(), to: to.to_string(), reason });
        }
        let reason = turn.reason.as_deref().unwrap_or_default();
        match to {
            Health::Healthy => tracing::info!(check, %from, %to, "health changed"),
            _ => tracing::warn!(check, %from, %to, reason, "health changed"),
        }
    }

    /// Enqueues the notices, and strikes them out. If somebody else wrote meanwhile, the next look strikes them out.
    async fn send(&self, id: &DocumentId, version: Version, mut record: Record) -> TaskResult<()> {
        if record.outbox.is_empty() {
            return Ok(());
        }
        for mut notice in record.outbox.drain(..) {
            notice.labels.clone_from(&record.labels);
            self.context.client().enqueue(notification(&notice)?).await?;
        }
        self.save(id, Some(version), &record).await.map(drop)
    }
}

/// The document of a check.
pub(super) fn document_id(check: &str) -> taskq_core::Result<DocumentId> {
    Ok(DocumentId { queue: QueueName::new(QUEUE)?, name: DocumentName::new(check)? })
}

// The notice ----------------------------------------------------------------------------------------------

/// `taskq.health.notify`: tells somebody.
#[derive(Debug)]
pub(super) enum NotifyTask {}

/// What to tell.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NotifyArgs {
    notice: Notice,
}

impl Task for NotifyTask {
    const NAME: &'static str = "taskq.health.notify";
    type Args = NotifyArgs;
    type Output = ();
    type App = Monitor;

    fn options() -> TaskOptions {
        let mut options = TaskOptions::default();
        options.queue = Some(NOTICES.to_owned());
        options
    }
}

/// The task that delivers a notice. The same notice makes the same task, which is accepted once.
fn notification(notice: &Notice) -> TaskResult<Invocation<NotifyTask>> {
    let retry = Retry::exponential().base(Duration::from_secs(2)).cap(Duration::from_secs(300)).attempts(20);
    let args = NotifyArgs { notice: notice.clone() };
    Ok(Invocation::new(&args).id(notice.key()).retry(retry).timeout(limits::NOTIFY_TIMEOUT))
}

impl AsyncTask for NotifyTask {
    async fn run(context: Context<Monitor>, NotifyArgs { notice }: NotifyArgs) -> TaskResult<()> {
        let watchlist = context.app().watchlist();
        let Some(alert) = watchlist.alerts.get(&notice.alert) else { return Err(unknown("alert", &notice.alert)) };
        if is_superseded(&context, &notice).await? {
            tracing::info!(alert = notice.alert, check = notice.check, "notice left out: something newer was told");
            return Ok(());
        }
        if let Channel::Task(task) = &alert.channel {
            let handle = context.client().enqueue(task_of(task, &notice)).await?;
            tracing::info!(alert = notice.alert, check = notice.check, task = %handle.id(), "notice handed to a task");
            return Ok(());
        }
        match context.app().courier.deliver(&alert.channel, &notice).await {
            Ok(()) => {
                tracing::info!(alert = notice.alert, check = notice.check, "notice sent");
                Ok(())
            }
            Err(refusal) if refusal.is_final => Err(TaskError::fatal(refusal.words)),
            Err(refusal) => Err(match refusal.retry_after {
                Some(delay) => TaskError::retry_in(delay, refusal.words),
                None => refusal.words.into(),
            }),
        }
    }
}

/// Whether a newer notice of the same alert about the same check is on its way. One that had to wait would come after it, and
/// its receiver would believe in the end what is over.
async fn is_superseded(context: &Context<Monitor>, notice: &Notice) -> TaskResult<bool> {
    let found = context.client().connection().documents().read(&document_id(&notice.check)?).await?;
    let Some(record) = found.map(|found| Record::read(&found.text)).transpose()? else { return Ok(false) };
    Ok(record.alerts.get(&notice.alert).is_some_and(|memory| memory.supersedes(notice.at)))
}

/// A task by name, with what it declares if this program has it.
fn named(name: &str, args: &impl Serialize) -> Invocation<AnyTask> {
    let invocation = Invocation::named(name, args);
    match Registration::linked().into_iter().find(|task| task.name == name) {
        Some(task) => invocation.declared((task.options)()),
        None => invocation,
    }
}

/// A task of the user's that is told of a notice.
fn task_of(task: &TaskChannel, notice: &Notice) -> Invocation<AnyTask> {
    // Not the id of the notice's own task: both may be in one queue.
    let invocation = named(task.name().as_str(), &task.args(notice)).id(format!("{}+task", notice.key()));
    match task.queue() {
        Some(queue) => invocation.queue(queue.as_str()),
        None => invocation,
    }
}
