//! Hears of ended tasks: one subscription a connection, opened when the first caller waits.
//!
//! What it hears is a hint. Whoever waits looks for itself now and then, so a lost message costs a second, not a hang.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use redis::Client;
use taskq_core::Clock;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

/// Pause after a subscription has broken.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest that a first waiter waits for the subscription; after it, looking now and then must do.
const SUBSCRIBE: Duration = Duration::from_secs(1);

/// The subscription of one connection.
#[derive(Debug)]
pub(super) struct Listener {
    channel: String,
    waiting: Arc<Waiting>,
    running: Mutex<Option<JoinHandle<()>>>,
}

/// By key: how many callers wait for it, and what they hear.
type Interests = HashMap<Vec<u8>, (usize, Arc<Heard>)>;

/// What was told of one task.
#[derive(Debug, Default)]
struct Heard {
    notify: Notify,
    /// The final record, if it came with the message.
    record: OnceLock<Vec<u8>>,
}

#[derive(Debug)]
struct Waiting {
    keys: Mutex<Interests>,
    subscribed: watch::Sender<bool>,
}

impl Waiting {
    fn keys(&self) -> MutexGuard<'_, Interests> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message: the length of the key, the key, and the final record if there is one.
    fn told(&self, message: &[u8]) {
        let Some((length, rest)) = message.split_first() else { return };
        let Some((key, record)) = rest.split_at_checked(usize::from(*length)) else { return };
        if let Some((_, heard)) = self.keys().get(key) {
            if !record.is_empty() {
                // The first one stays: a final record does not change.
                drop(heard.record.set(record.to_vec()));
            }
            heard.notify.notify_waiters();
        }
    }

    fn told_all(&self) {
        self.keys().values().for_each(|(_, heard)| heard.notify.notify_waiters());
    }
}

/// A caller's interest in one key; ends when dropped.
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
        let waiting = Waiting { keys: Mutex::default(), subscribed: watch::Sender::new(false) };
        Self { channel, waiting: Arc::new(waiting), running: Mutex::new(None) }
    }

    /// The channel that scripts publish to.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Begins to listen for a key; returns when the subscription stands, or after a second without one.
    pub(super) async fn interest(&self, client: &Client, clock: &Clock, key: Vec<u8>) -> Interest {
        self.start(client, clock);
        let heard = {
            let mut keys = self.waiting.keys();
            let (count, heard) = keys.entry(key.clone()).or_default();
            *count += 1;
            Arc::clone(heard)
        };
        let interest = Interest { key, waiting: Arc::clone(&self.waiting), heard };
        let mut subscribed = self.waiting.subscribed.subscribe();
        // Without a subscription the caller still looks for itself.
        drop(clock.timeout(SUBSCRIBE, subscribed.wait_for(|subscribed| *subscribed)).await);
        interest
    }

    fn start(&self, client: &Client, clock: &Clock) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_none_or(JoinHandle::is_finished) {
            let listening = listen(client.clone(), clock.clone(), self.channel.clone(), Arc::clone(&self.waiting));
            *running = Some(clock.spawn("redis listener", listening));
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

/// Subscribes, passes on what it hears, and subscribes again when that breaks.
async fn listen(client: Client, clock: Clock, channel: String, waiting: Arc<Waiting>) {
    loop {
        if let Ok(mut subscription) = client.get_async_pubsub().await
            && subscription.subscribe(&channel).await.is_ok()
        {
            waiting.subscribed.send_replace(true);
            // What ended while nobody listened was told to nobody.
            waiting.told_all();
            let mut messages = subscription.on_message();
            while let Some(message) = messages.next().await {
                waiting.told(message.get_payload_bytes());
            }
        }
        waiting.subscribed.send_replace(false);
        clock.sleep(PAUSE).await;
    }
}
