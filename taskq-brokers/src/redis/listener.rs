//! Hears of ended tasks: one subscription a connection, opened when the first caller waits.
//!
//! What it hears is a hint. Whoever waits looks for itself now and then, so a lost message costs a second, not a hang.
//!
//! A program that waits for what it enqueues asks to be told in the same step as it enqueues: then the result is on its
//! way before anybody calls `wait`, which saves a round trip.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use super::{link::Link, origin::Origin};

/// Longest pause after a subscription has broken: at random, so that not all that broke together come back together.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest that a first waiter waits for the subscription; after it, looking now and then must do.
const SUBSCRIBE: Duration = Duration::from_secs(1);

/// After a wait, so many tasks are expected to be waited for too.
const HABIT: u64 = 16;

/// So many tasks that were expected are remembered until somebody waits for them.
const EXPECTED: usize = 64;

/// A larger record is not kept for somebody who may never wait.
const SMALL_RECORD: usize = 16 * 1024;

/// The subscription of one connection.
#[derive(Debug)]
pub(super) struct Listener {
    channel: String,
    waiting: Arc<Waiting>,
    running: Mutex<Option<JoinHandle<()>>>,
    /// How many of the next tasks are expected to be waited for.
    habit: AtomicU64,
    expected: Mutex<VecDeque<Interest>>,
}

/// By key: how many callers wait for it, and what they hear.
type Interests = HashMap<Vec<u8>, (usize, Arc<Heard>)>;

/// What was told of one task.
#[derive(Debug, Default)]
struct Heard {
    notify: Notify,
    /// The final record, if it came with the message.
    record: OnceLock<Vec<u8>>,
    /// On which subscription the server was asked to tell; zero if it was not, or has told since.
    asked: AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    keys: Mutex<Interests>,
    /// The number of the present subscription; zero while there is none.
    subscribed: watch::Sender<u64>,
}

impl Waiting {
    fn keys(&self) -> MutexGuard<'_, Interests> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message: the length of the key, the key, and the final record if there is one.
    fn told(&self, message: &[u8]) {
        let Some((length, rest)) = message.split_first() else { return };
        let Some((key, record)) = rest.split_at_checked(usize::from(*length)) else { return };
        if let Some((interested, heard)) = self.keys().get(key) {
            heard.asked.store(0, Relaxed);
            if !record.is_empty() && (*interested > 1 || record.len() <= SMALL_RECORD) {
                // The first one stays: a final record does not change.
                drop(heard.record.set(record.to_vec()));
            }
            heard.notify.notify_waiters();
        }
    }

    fn told_all(&self) {
        self.keys().values().for_each(|(_, heard)| heard.notify.notify_waiters());
    }

    fn interest(self: &Arc<Self>, key: Vec<u8>) -> Interest {
        let heard = {
            let mut keys = self.keys();
            let (count, heard) = keys.entry(key.clone()).or_default();
            *count += 1;
            Arc::clone(heard)
        };
        Interest { key, waiting: Arc::clone(self), heard }
    }
}

/// A caller's interest in one key; ends when dropped.
#[derive(Debug)]
pub(super) struct Interest {
    key: Vec<u8>,
    waiting: Arc<Waiting>,
    heard: Arc<Heard>,
}

impl Interest {
    /// Returns when the task may have ended, after this call.
    pub(super) fn told(&self) -> tokio::sync::futures::Notified<'_> {
        self.heard.notify.notified()
    }

    /// Whether the server was asked to tell of the end, will be heard, and has not told yet.
    pub(super) fn will_be_told(&self) -> bool {
        let asked = self.heard.asked.load(Relaxed);
        asked != 0 && asked == *self.waiting.subscribed.borrow()
    }

    /// The message may have been lost.
    pub(super) fn looks_for_itself(&self) {
        self.heard.asked.store(0, Relaxed);
    }

    /// The final record of the task, if it was told.
    pub(super) fn record(&self) -> Option<Vec<u8>> {
        self.heard.record.get().cloned()
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut keys = self.waiting.keys();
        if let Some((count, _)) = keys.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

impl Listener {
    pub(super) fn new(channel: String) -> Self {
        let waiting = Waiting { keys: Mutex::default(), subscribed: watch::Sender::new(0) };
        Self {
            channel,
            waiting: Arc::new(waiting),
            running: Mutex::default(),
            habit: AtomicU64::new(0),
            expected: Mutex::default(),
        }
    }

    /// The channel that scripts publish to.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Begins to listen for a key; returns when the subscription stands, or after a second without one.
    pub(super) async fn interest(&self, link: &Link, key: Vec<u8>) -> Interest {
        self.start(link);
        self.habit.store(HABIT, Relaxed);
        let interest = self.waiting.interest(key);
        self.expected().retain(|expected| expected.key != interest.key);
        let mut subscribed = self.waiting.subscribed.subscribe();
        // Without a subscription the caller still looks for itself.
        drop(link.clock().timeout(SUBSCRIBE, subscribed.wait_for(|subscribed| *subscribed != 0)).await);
        interest
    }

    /// For a task that is about to be enqueued: if it is likely that somebody will wait for it, the interest that the
    /// server is to be asked for with it.
    pub(super) fn expect(&self, key: &[u8]) -> Option<Interest> {
        let subscribed = *self.waiting.subscribed.borrow();
        let is_habit = self.habit.fetch_update(Relaxed, Relaxed, |habit| habit.checked_sub(1)).is_ok();
        if subscribed == 0 || !is_habit {
            return None;
        }
        let interest = self.waiting.interest(key.to_vec());
        interest.heard.asked.store(subscribed, Relaxed);
        Some(interest)
    }

    /// The task was enqueued: the interest is kept until somebody waits for it, or many others were enqueued since.
    pub(super) fn keep(&self, interest: Interest) {
        let mut expected = self.expected();
        expected.push_back(interest);
        let oldest = if expected.len() > EXPECTED { expected.pop_front() } else { None };
        drop(expected);
        drop(oldest);
    }

    fn expected(&self) -> MutexGuard<'_, VecDeque<Interest>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, link: &Link) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_none_or(JoinHandle::is_finished) {
            let (origin, generations) = (Arc::clone(link.origin()), link.generations());
            let listening = listen(origin, generations, self.channel.clone(), Arc::clone(&self.waiting));
            *running = Some(link.clock().spawn("redis listener", listening));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            running.abort();
        }
    }
}

/// Subscribes, passes on what it hears, and subscribes again when that breaks, or when the link has been rebuilt: the
/// server may be another one.
async fn listen(origin: Arc<Origin>, mut generations: watch::Receiver<u64>, channel: String, waiting: Arc<Waiting>) {
    for number in 1.. {
        generations.mark_unchanged();
        if let Ok(mut subscription) = origin.subscription().await
            && subscription.subscribe(&channel).await.is_ok()
        {
            waiting.subscribed.send_replace(number);
            // What ended while nobody listened was told to nobody.
            waiting.told_all();
            let mut messages = subscription.on_message();
            let is_broken = loop {
                tokio::select! {
                    message = messages.next() => match message {
                        Some(message) => waiting.told(message.get_payload_bytes()),
                        None => break true,
                    },
                    changed = generations.changed() => break changed.is_err(),
                }
            };
            if is_broken {
                origin.gate().doubt();
            }
        }
        waiting.subscribed.send_replace(0);
        origin.clock().sleep(origin.gate().jitter(PAUSE)).await;
    }
}
