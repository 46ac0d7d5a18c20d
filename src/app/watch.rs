//! Reads the configuration again when its file changes, and hands it to whoever can change while running.

use std::{path::PathBuf, time::Duration};

use taskq_core::{Clock, Registration, Result, signals::Reloads};
use taskq_scheduler::Reloader;

use super::{Common, with_url};
use crate::config::Config;

/// How often the file is looked at. A look reads it: names that lead elsewhere one day, as in a mounted volume, are
/// followed, which a watch on the file would not.
const LOOK: Duration = Duration::from_secs(1);

/// How soon after a change of the file, and how often besides, the leader forgets what is known of targets that nobody
/// looks at any more. By then the entries of what was taken out of the file are gone.
#[cfg(feature = "health")]
const TIDY: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(600));

/// What can change while it runs.
#[derive(Default)]
pub(super) struct Followers {
    pub(super) scheduler: Option<Reloader>,
    #[cfg(feature = "health")]
    pub(super) monitor: Option<std::sync::Arc<taskq_scheduler::health::Monitor>>,
    /// How many looks this worker takes at a time, if it takes any.
    #[cfg(feature = "health")]
    pub(super) slots: Option<usize>,
    #[cfg(feature = "health")]
    pub(super) janitor: Option<Janitor>,
}

/// Forgets what is known of targets that nobody looks at any more, while its scheduler leads.
#[cfg(feature = "health")]
pub(super) struct Janitor {
    board: taskq_scheduler::health::Board,
    scheduler: taskq_scheduler::Pulse,
    next: Duration,
}

#[cfg(feature = "health")]
impl Janitor {
    pub(super) fn new(connection: &taskq_core::Connection, scheduler: taskq_scheduler::Pulse) -> Self {
        Self { board: taskq_scheduler::health::Board::of(connection), scheduler, next: TIDY.0 }
    }

    async fn tidy(&mut self, now: Duration) {
        if now < self.next || !self.scheduler.is_leader() {
            return;
        }
        self.next = now + TIDY.1;
        match self.board.tidy().await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "forgot the health of what is watched no more"),
            Err(error) => tracing::warn!(%error, "cannot forget the health of what is watched no more"),
        }
    }
}

/// Looks at the configuration file now and then, and at once when told to.
pub(super) struct Watch {
    common: Common,
    file: PathBuf,
    /// What is in force.
    config: Config,
    /// What was looked at last.
    seen: String,
    /// What was taken or refused last.
    judged: String,
    /// Whether it was told that the file is away.
    is_missed: bool,
    followers: Followers,
}

impl Watch {
    /// Watches until the program ends. Without a file there is nothing to watch.
    pub(super) fn start(common: &Common, config: Config, clock: Clock, followers: Followers) {
        let Some(file) = config.file().map(PathBuf::from) else { return };
        let seen = config.text().unwrap_or_default().to_owned();
        let (judged, common) = (seen.clone(), common.clone());
        let watch = Self { common, file, config, seen, judged, is_missed: false, followers };
        drop(clock.clone().spawn("configuration watch", watch.run(clock)));
    }

    async fn run(mut self, clock: Clock) {
        let mut reloads = Reloads::listen();
        loop {
            let was_told = tokio::select! {
                biased;
                () = reloads.next() => true,
                () = clock.sleep(LOOK) => false,
            };
            #[cfg(feature = "health")]
            if let Some(janitor) = &mut self.followers.janitor {
                janitor.tidy(clock.monotonic()).await;
            }
            let file = self.file.clone();
            match tokio::task::spawn_blocking(move || std::fs::read_to_string(file)).await {
                Ok(Ok(text)) => self.look(text, was_told, &clock),
                Ok(Err(error)) => self.miss(&error),
                // The runtime ends.
                Err(_) => return,
            }
        }
    }

    /// What is new counts when it is the same at a second look, as it may be half written; what somebody says is new, at once.
    fn look(&mut self, text: String, was_told: bool, clock: &Clock) {
        self.is_missed = false;
        let is_settled = text == self.seen;
        self.seen = text;
        if was_told || (is_settled && self.seen != self.judged) {
            self.reload();
            #[cfg(feature = "health")]
            if let Some(janitor) = &mut self.followers.janitor {
                janitor.next = clock.monotonic() + TIDY.0;
            }
            #[cfg(not(feature = "health"))]
            let _unused = clock;
        }
    }

    /// A file that is away is an accident, or is being replaced: what it said goes on. Told once.
    fn miss(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.is_missed, true) {
            let file = self.file.display();
            tracing::error!(%file, %error, "the configuration cannot be read; everything stays as it was");
        }
    }

    fn reload(&mut self) {
        self.judged.clone_from(&self.seen);
        let read = Config::from_parts(Some((self.file.clone(), self.seen.clone())), std::env::vars());
        let read = read.map(|config| with_url(config, &self.common));
        match read.and_then(|config| self.followers.follow(&config).map(|()| config)) {
            Ok(config) => {
                tracing::info!(file = %self.file.display(), "configuration read again");
                let fixed = self.config.fixed_keys_that_differ(&config);
                if !fixed.is_empty() {
                    let keys = fixed.join(", ");
                    tracing::warn!(keys, "these take effect when the process is started again");
                }
                self.config = config;
            }
            Err(error) => tracing::error!(%error, "the configuration is refused; everything stays as it was"),
        }
    }
}

impl Followers {
    /// An error changes nothing.
    fn follow(&self, config: &Config) -> Result<()> {
        if let Some(scheduler) = &self.scheduler {
            scheduler.reload(config.entries(&Registration::linked())?)?;
        }
        #[cfg(feature = "health")]
        if let Some(monitor) = &self.monitor {
            let checks = config.watchlist().checks.len();
            if self.slots.is_some_and(|slots| checks > slots) {
                tracing::warn!(checks, slots = self.slots, "more checks than slots for looks; start this worker again");
            }
            monitor.replace(config.watchlist());
        }
        Ok(())
    }
}
