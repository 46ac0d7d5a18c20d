//! The one thread of a connection that writes. It answers a step only after the commit that keeps it.
//!
//! Steps that are queued while a commit is under way go into the next transaction together ("group commit"): one wait for
//! the disk serves them all. Each runs in a savepoint, so an error undoes its own step only. A transaction that fails as
//! a whole is repeated step by step, so that no caller pays for another's step.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use rusqlite::Connection as Database;
use taskq_core::{
    clock::{AtWork, Clock},
    error::{ErrorKind, Result as CoreResult},
    id::Namespace,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    address::{Address, Synchronous},
    boot::Boot,
    bounds::{BACKLOG, CHECKPOINT_PAGES, GROUP},
    busy::Turns,
    checkpoint::Checkpoints,
    failure::Failure,
    file,
    layout::Layout,
    ringer::Ringer,
    step::Step,
    waiting::{Topic, Waiting},
};
use crate::patch::Patch;

/// The way to the writing thread. Dropping it lets the thread finish what is queued, and waits for that.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    clock: Clock,
}

/// What the thread is asked to do.
enum Job {
    Write(Box<dyn Write>, AtWork),
    /// Tell whether somebody else wrote since the last such question.
    Changed(oneshot::Sender<bool>),
}

/// What a step's changes must outlast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlasts {
    /// Whatever the file's `synchronous` promises.
    AsPromised,
    /// The end of any program. Power loss ends all programs that use the file, and with them what they were handed out.
    Programs,
}

/// A step on its way: run, perhaps again, then answered.
trait Write: Send {
    fn outlasts(&self) -> Outlasts;
    /// Whether its changes shall stay.
    fn run(&mut self, step: &Step<'_>) -> Result<(), Failure>;
    /// Tells the caller, once it is known whether the transaction was kept.
    fn answer(self: Box<Self>, kept: Result<(), Failure>);
}

struct Asked<V, F> {
    outlasts: Outlasts,
    run: F,
    outcome: Option<Result<V, Failure>>,
    caller: oneshot::Sender<Result<V, Failure>>,
}

impl<V, F> Write for Asked<V, F>
where
    V: Send,
    F: FnMut(&Step<'_>) -> Result<V, Failure> + Send,
{
    fn outlasts(&self) -> Outlasts {
        self.outlasts
    }

    fn run(&mut self, step: &Step<'_>) -> Result<(), Failure> {
        let outcome = (self.run)(step);
        let kept = outcome.as_ref().map(|_| ()).map_err(Failure::clone);
        self.outcome = Some(outcome);
        kept
    }

    fn answer(self: Box<Self>, kept: Result<(), Failure>) {
        let answer = match (kept, self.outcome) {
            (_, Some(Err(own))) => Err(own),
            (Err(common), _) => Err(common),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(Failure::new(ErrorKind::Internal, "the step was not run")),
        };
        // A caller whose deadline passed has gone; the step counts all the same, as every call may be repeated.
        self.caller.send(answer).ok();
    }
}

impl Writer {
    /// Opens the file and starts the thread; returns when the file is ready.
    pub(super) async fn start(
        address: &Address,
        clock: &Clock,
        layout: Layout,
        waiting: Arc<Waiting>,
        ringer: Ringer,
    ) -> CoreResult<Self> {
        let (jobs, queued) = mpsc::channel(BACKLOG);
        let (say, opened) = oneshot::channel();
        let (own_address, own_clock, guard) = (address.clone(), clock.clone(), clock.at_work());
        let run = move || {
            let mut turns = Turns::new(u64::from(std::process::id()) ^ own_clock.now().as_millis().unsigned_abs());
            let opened = file::open_to_write(&own_address, layout, &mut turns).and_then(|mut database| {
                let checkpoints = Checkpoints::of(&mut database, &own_address, CHECKPOINT_PAGES)?;
                Ok((database, checkpoints))
            });
            let (database, checkpoints) = match opened {
                Ok(opened) => opened,
                Err(failure) => return drop(say.send(Err(failure))),
            };
            say.send(Ok(())).ok();
            drop(guard);
            let boot = Boot::present(&own_clock);
            let (namespace, patch) = (own_address.namespace, own_address.patch);
            let (last_commit, seen) = (Duration::ZERO, [0; 2]);
            let (clock, promised) = (own_clock, own_address.synchronous);
            let scribe = Scribe {
                checkpoints,
                database,
                promised,
                present: promised,
                namespace,
                clock,
                boot,
                layout,
                patch,
                turns,
                waiting,
                ringer,
                last_commit,
                seen,
            };
            scribe.work(queued);
        };
        let failed = |failure: Failure| failure.at_start().told("connect to", address.shown(), &address.path);
        let thread = std::thread::Builder::new()
            .name("taskq-writer".to_owned())
            .spawn(run)
            .map_err(|error| failed(Failure::new(ErrorKind::Unavailable, format!("no thread: {error}"))))?;
        let writer = Self { jobs: Some(jobs), thread: Some(thread), clock: clock.clone() };
        match opened.await {
            Ok(Ok(())) => Ok(writer),
            Ok(Err(failure)) => Err(failed(failure)),
            Err(_) => Err(failed(gone())),
        }
    }

    /// Runs a step and commits it. It may be run twice, if the transaction that it was part of failed.
    pub(super) async fn write<V, F>(&self, outlasts: Outlasts, run: F) -> Result<V, Failure>
    where
        V: Send + 'static,
        F: FnMut(&Step<'_>) -> Result<V, Failure> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let asked = Box::new(Asked { outlasts, run, outcome: None, caller });
        self.send(Job::Write(asked, self.clock.at_work())).await?;
        answer.await.map_err(|_| gone())?
    }

    /// A way to ask, from another thread, whether somebody else wrote.
    pub(super) fn changes(&self) -> Changes {
        Changes(self.jobs.as_ref().map(mpsc::Sender::downgrade))
    }

    async fn send(&self, job: Job) -> Result<(), Failure> {
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).await.map_err(|_| gone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take() {
            // It ends when the queue is empty; a panic in it was told to every caller as its answer.
            thread.join().ok();
        }
    }
}

fn gone() -> Failure {
    Failure::new(ErrorKind::Internal, "the writer thread ended unexpectedly")
}

/// Asks the writer whether anybody else changed the file. It does not keep the writer alive.
#[derive(Clone, Debug)]
pub(super) struct Changes(Option<mpsc::WeakSender<Job>>);

impl Changes {
    /// Whether somebody else wrote since the last call; false too if the writer is gone or has too much to do.
    pub(super) fn since_last_asked(&self) -> bool {
        let Some(jobs) = self.0.as_ref().and_then(mpsc::WeakSender::upgrade) else { return false };
        let (say, told) = oneshot::channel();
        match jobs.try_send(Job::Changed(say)) {
            Ok(()) => {
                // The writer must be able to end while this waits.
                drop(jobs);
                told.blocking_recv().unwrap_or(false)
            }
            Err(_) => false,
        }
    }
}

/// What the thread works with.
struct Scribe {
    // Dropped first, so that it is the writer who closes the file last.
    checkpoints: Checkpoints,
    database: Database,
    promised: Synchronous,
    /// How the database is set at the moment.
    present: Synchronous,
    namespace: Namespace,
    clock: Clock,
    boot: Boot,
    layout: Layout,
    patch: Patch,
    turns: Turns,
    waiting: Arc<Waiting>,
    ringer: Ringer,
    /// When the last transaction ended.
    last_commit: Duration,
    /// The file's version as others changed it: when a transaction began, and when `Changes` last asked.
    seen: [i64; 2],
}

/// Which of the two memories of the file's version is asked.
#[derive(Clone, Copy)]
enum Asker {
    Transaction = 0,
    Changes = 1,
}

impl Scribe {
    fn work(mut self, mut queued: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(GROUP);
        while queued.blocking_recv_many(&mut jobs, GROUP) > 0 {
            let (mut writes, mut guards) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
            for job in jobs.drain(..) {
                match job {
                    Job::Write(write, guard) => {
                        writes.push(write);
                        guards.push(guard);
                    }
                    // Not knowing means looking, which is never wrong.
                    Job::Changed(asker) => drop(asker.send(self.others_wrote(Asker::Changes).unwrap_or(true))),
                }
            }
            if !writes.is_empty() {
                self.commit_and_answer(writes);
            }
            // Simulated time stands still until everybody concerned has been woken.
            drop(guards);
            self.checkpoints.keep_short(&self.database);
        }
    }

    fn commit_and_answer(&mut self, mut writes: Vec<Box<dyn Write>>) {
        match self.commit(&mut writes) {
            Err(failure) if writes.len() > 1 && !failure.is_hopeless() => {
                for write in writes {
                    self.commit_and_answer(vec![write]);
                }
            }
            Err(failure) => writes.into_iter().for_each(|write| write.answer(Err(failure.clone()))),
            Ok(topics) => {
                // Other processes have the longest way, and ringing waits for nobody.
                self.ringer.ring(&topics, &self.clock);
                writes.into_iter().for_each(|write| write.answer(Ok(())));
                self.waiting.wake(&topics);
            }
        }
    }

    /// One transaction for all. An error means that nothing of it was kept.
    fn commit(&mut self, writes: &mut [Box<dyn Write>]) -> Result<Vec<Topic>, Failure> {
        self.turns.leave_a_turn(self.clock.monotonic().saturating_sub(self.last_commit));
        self.synchronise(writes)?;
        let database = &self.database;
        self.turns.patiently(|| execute(database, "BEGIN IMMEDIATE"))?;
        let committed = self.heed_others().and_then(|()| self.run_all(writes)).and_then(|topics| {
            let database = &self.database;
            self.turns.patiently(|| execute(database, "COMMIT"))?;
            Ok(topics)
        });
        if committed.is_err() && !self.database.is_autocommit() {
            execute(&self.database, "ROLLBACK")?;
        }
        self.last_commit = self.clock.monotonic();
        committed
    }

    /// A commit waits for the disk only if something in it needs to be there. The next one that waits takes along what
    /// went before it.
    fn synchronise(&mut self, writes: &[Box<dyn Write>]) -> Result<(), Failure> {
        let is_light = writes.iter().all(|write| write.outlasts() == Outlasts::Programs);
        let wanted = if is_light { Synchronous::Normal } else { self.promised };
        if wanted != self.present {
            self.database.pragma_update(None, "synchronous", wanted.as_pragma())?;
            self.present = wanted;
        }
        Ok(())
    }

    /// If others wrote, they may have migrated the file, and they want turns.
    fn heed_others(&mut self) -> Result<(), Failure> {
        if self.others_wrote(Asker::Transaction)? {
            self.turns.notice_another();
            self.layout.accept(&self.database)?;
        }
        Ok(())
    }

    fn others_wrote(&mut self, asker: Asker) -> Result<bool, Failure> {
        let version = self.database.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        let seen = &mut self.seen[asker as usize];
        let changed = *seen != version;
        *seen = version;
        Ok(changed)
    }

    fn run_all(&self, writes: &mut [Box<dyn Write>]) -> Result<Vec<Topic>, Failure> {
        let mut topics = Vec::new();
        let alone = writes.len() == 1;
        for write in writes {
            let step = Step::new(&self.database, &self.namespace, &self.clock, &self.boot, self.patch);
            match alone {
                // The transaction itself is its savepoint.
                true => write.run(&step)?,
                false if !self.run_in_savepoint(write.as_mut(), &step)? => continue,
                false => {}
            }
            topics.append(&mut step.into_topics());
        }
        topics.sort_unstable();
        topics.dedup();
        Ok(topics)
    }

    /// False if the step failed and left nothing behind; an error if the whole transaction is lost.
    fn run_in_savepoint(&self, write: &mut dyn Write, step: &Step<'_>) -> Result<bool, Failure> {
        execute(&self.database, "SAVEPOINT step")?;
        let kept = write.run(step);
        match kept {
            // Some errors, a full disk among them, may end the transaction on the spot.
            Err(failure) if self.database.is_autocommit() => Err(failure),
            Err(_) => {
                execute(&self.database, "ROLLBACK TO step")?;
                execute(&self.database, "RELEASE step")?;
                Ok(false)
            }
            Ok(()) => execute(&self.database, "RELEASE step").map(|()| true),
        }
    }
}

fn execute(database: &Database, statement: &'static str) -> Result<(), Failure> {
    database.prepare_cached(statement)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use taskq_test_support::TempFolder;

    use super::*;
    use crate::sqlite::bell::BellFolder;

    /// How the database is set within a step: 1 is NORMAL, 2 is FULL.
    async fn set_within(writer: &Writer, outlasts: Outlasts) -> i64 {
        let ask = |step: &Step<'_>| Ok(step.sql("PRAGMA synchronous")?.query_row([], |row| row.get(0))?);
        writer.write(outlasts, ask).await.expect("answers")
    }

    #[tokio::test]
    async fn only_what_need_not_outlast_power_loss_does_not_wait_for_the_disk() {
        for (option, promised) in [("full", 2), ("normal", 1)] {
            let folder = TempFolder::new();
            let url = format!("sqlite://{}?synchronous={option}", folder.file("taskq.db").display());
            let address = Address::parse(&url).expect("valid");
            let (clock, ringer) = (Clock::system(), Ringer::new(BellFolder::of(&address.path)));
            let writer =
                Writer::start(&address, &clock, Layout::present(), Arc::default(), ringer).await.expect("starts");
            for (outlasts, expected) in [
                (Outlasts::AsPromised, promised),
                (Outlasts::Programs, 1),
                (Outlasts::Programs, 1),
                (Outlasts::AsPromised, promised),
            ] {
                assert_eq!(set_within(&writer, outlasts).await, expected, "{option} {outlasts:?}");
            }
        }
    }
}
