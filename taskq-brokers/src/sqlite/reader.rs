//! The one thread of a connection that only reads. It never holds up the writer, nor waits for it.

use std::thread::JoinHandle;

use rusqlite::Connection as Database;
use taskq_core::{
    clock::{AtWork, Clock},
    error::{ErrorKind, Result as CoreResult},
    id::Namespace,
};
use tokio::sync::{mpsc, oneshot};

use super::{address::Address, boot::Boot, bounds::BACKLOG, failure::Failure, file, layout::Layout, step::Step};
use crate::patch::Patch;

/// The way to the reading thread. Dropping it waits until the thread has ended.
#[derive(Debug)]
pub(super) struct Reader {
    looks: Option<mpsc::Sender<Look>>,
    thread: Option<JoinHandle<()>>,
    clock: Clock,
}

/// A look on its way, which answers its caller by itself.
struct Look {
    run: Box<dyn FnOnce(&Viewer) + Send>,
    _at_work: AtWork,
}

/// What the thread works with.
struct Viewer {
    database: Database,
    namespace: Namespace,
    clock: Clock,
    boot: Boot,
    layout: Layout,
    patch: Patch,
}

impl Reader {
    /// Opens the file, which the writer has prepared, and starts the thread.
    pub(super) async fn start(address: &Address, clock: &Clock, layout: Layout) -> CoreResult<Self> {
        let (looks, queued) = mpsc::channel::<Look>(BACKLOG);
        let (say, opened) = oneshot::channel();
        let (own_address, own_clock, guard) = (address.clone(), clock.clone(), clock.at_work());
        let run = move || {
            let database = match file::open_to_read(&own_address) {
                Ok(database) => database,
                Err(failure) => return drop(say.send(Err(failure))),
            };
            say.send(Ok(())).ok();
            drop(guard);
            let boot = Boot::present(&own_clock);
            let (namespace, patch) = (own_address.namespace, own_address.patch);
            Viewer { database, namespace, clock: own_clock, boot, layout, patch }.work(queued);
        };
        let failed = |failure: Failure| failure.at_start().told("connect to", address.shown(), &address.path);
        let thread = std::thread::Builder::new()
            .name("taskq-reader".to_owned())
            .spawn(run)
            .map_err(|error| failed(Failure::new(ErrorKind::Unavailable, format!("no thread: {error}"))))?;
        let reader = Self { looks: Some(looks), thread: Some(thread), clock: clock.clone() };
        match opened.await {
            Ok(Ok(())) => Ok(reader),
            Ok(Err(failure)) => Err(failed(failure)),
            Err(_) => Err(failed(gone())),
        }
    }

    /// Looks at one committed moment of the file.
    pub(super) async fn look<V, F>(&self, run: F) -> Result<V, Failure>
    where
        V: Send + 'static,
        F: FnOnce(&Step<'_>) -> Result<V, Failure> + Send + 'static,
    {
        let (say, answer) = oneshot::channel();
        // A caller that has gone needs no answer.
        let run = Box::new(move |viewer: &Viewer| drop(say.send(viewer.view(run))));
        let looks = self.looks.as_ref().ok_or_else(gone)?;
        looks.send(Look { run, _at_work: self.clock.at_work() }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.looks.take();
        if let Some(thread) = self.thread.take() {
            // A panic in it was told to every caller as its answer.
            thread.join().ok();
        }
    }
}

impl Viewer {
    fn work(self, mut queued: mpsc::Receiver<Look>) {
        while let Some(look) = queued.blocking_recv() {
            (look.run)(&self);
        }
    }

    /// Several statements of one look see one moment.
    fn view<V>(&self, run: impl FnOnce(&Step<'_>) -> Result<V, Failure>) -> Result<V, Failure> {
        self.database.prepare_cached("BEGIN")?.execute([])?;
        let seen = run(&Step::new(&self.database, &self.namespace, &self.clock, &self.boot, self.patch));
        if !self.database.is_autocommit() {
            self.database.prepare_cached("COMMIT")?.execute([])?;
        }
        match seen {
            // A statement that no longer fits: perhaps a newer program has changed the file since it was opened.
            Err(failure) if failure.kind() == ErrorKind::Internal => {
                self.layout.accept(&self.database).and(Err(failure))
            }
            seen => seen,
        }
    }
}

fn gone() -> Failure {
    Failure::new(ErrorKind::Internal, "the reader thread ended unexpectedly")
}
