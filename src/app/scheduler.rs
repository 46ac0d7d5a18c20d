//! `scheduler`: enqueues tasks by schedules, and reads the configuration again when it changes.

use std::{path::PathBuf, time::Duration};

use taskq_core::{Clock, Connection, Registration, Result, signals::Reloads};
use taskq_scheduler::{Reloader, Scheduler, SchedulerHandle};
use tokio::task::JoinHandle;

use super::{Common, ShapeScheduler, load};
use crate::config::Config;

/// How often the file is looked at. A look reads it: names that lead elsewhere one day, as in a mounted volume, are
/// followed, which a watch on the file would not.
const LOOK: Duration = Duration::from_secs(2);

/// A scheduler with a watch on its configuration.
pub(super) struct WatchedScheduler {
    handle: SchedulerHandle,
    watch: Option<JoinHandle<()>>,
}

/// Starts a scheduler with the entries of the program and of the file.
pub(super) async fn start(
    shape: Option<ShapeScheduler>,
    common: &Common,
    config: Config,
    connection: Connection,
) -> Result<WatchedScheduler> {
    let clock = connection.clock().clone();
    let mut builder = Scheduler::builder(connection);
    if let Some(shape) = shape {
        builder = shape(builder)?;
    }
    let entries = config.entries(&Registration::linked())?;
    // Without a file nothing is known of one, and entries that another scheduler's file brought are left alone.
    if config.file().is_some() || !entries.is_empty() {
        builder = builder.file(entries);
    }
    let handle = builder.start().await?;
    let watch = Watch::of(common, config, handle.reloader());
    let watch = watch.map(|watch| clock.clone().spawn("configuration watch", watch.run(clock)));
    Ok(WatchedScheduler { handle, watch })
}

impl WatchedScheduler {
    /// Runs until the process is to end.
    pub(super) async fn run(self) {
        self.handle.run().await;
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// Looks at the configuration file now and then, and at once when told to.
struct Watch {
    common: Common,
    file: PathBuf,
    text: String,
    config: Config,
    scheduler: Reloader,
}

impl Watch {
    fn of(common: &Common, config: Config, scheduler: Reloader) -> Option<Self> {
        let file = config.file()?.to_owned();
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Some(Self { common: common.clone(), file, text, config, scheduler })
    }

    async fn run(mut self, clock: Clock) {
        let mut reloads = Reloads::listen();
        loop {
            let was_told = tokio::select! {
                biased;
                () = reloads.next() => true,
                () = clock.sleep(LOOK) => false,
            };
            let file = self.file.clone();
            let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(file)).await;
            match text {
                Ok(Ok(text)) if was_told || text != self.text => self.reload(text),
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => self.miss(&error),
            }
        }
    }

    /// A file that is away is an accident, or is being replaced: what it said goes on. Told once.
    fn miss(&mut self, error: &std::io::Error) {
        if !self.text.is_empty() {
            tracing::error!(file = %self.file.display(), %error, "the configuration cannot be read; its schedules stay as they are");
            self.text.clear();
        }
    }

    fn reload(&mut self, text: String) {
        self.text = text;
        let loaded = load(&self.common).and_then(|config| {
            let entries = config.entries(&Registration::linked())?;
            let count = entries.len();
            self.scheduler.reload(entries).map(|()| (config, count))
        });
        match loaded {
            Ok((config, entries)) => {
                tracing::info!(file = %self.file.display(), entries, "configuration read again");
                let fixed = self.config.fixed_keys_that_differ(&config);
                if !fixed.is_empty() {
                    let keys = fixed.join(", ");
                    tracing::warn!(
                        keys,
                        "these take effect when the process is started again; only schedules change while it runs"
                    );
                }
                self.config = config;
            }
            Err(error) => tracing::error!(%error, "the configuration is refused; schedules stay as they are"),
        }
    }
}
