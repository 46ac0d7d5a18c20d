//! [`Hub`]: one loop that looks at the broker for everybody who watches. While nobody does, there is none.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use taskq_core::{Connection, Result};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use super::{
    limits,
    page::PageError,
    pulse::{Boards, Looker, Pulse},
    subject::Subject,
};

/// Looks, and tells whoever watches.
#[derive(Debug)]
pub(super) struct Hub {
    connection: Connection,
    boards: Boards,
    pulses: watch::Sender<Arc<Pulse>>,
    closing: watch::Sender<bool>,
    /// Looks that were begun so far.
    begun: AtomicU64,
    /// Somebody waits for the next look.
    hurry: Notify,
    crowd: Mutex<Crowd>,
}

/// Who watches.
#[derive(Debug, Default)]
struct Crowd {
    watchers: usize,
    /// When the last one left.
    left_at: Duration,
    /// What is watched beside the figures, with how many watch each, in the order in which they came.
    subjects: Vec<(Subject, usize)>,
    /// What the loop knows, while it does not run.
    looker: Option<Looker>,
    /// The loop, while it runs.
    looking: Option<JoinHandle<()>>,
}

impl Hub {
    pub(super) fn new(connection: Connection, boards: Boards) -> Arc<Self> {
        let crowd = Mutex::new(Crowd { looker: Some(Looker::default()), ..Crowd::default() });
        let (pulses, closing) = (watch::Sender::new(Arc::default()), watch::Sender::new(false));
        Arc::new(Self { connection, boards, pulses, closing, begun: AtomicU64::new(0), hurry: Notify::new(), crowd })
    }

    /// Begins to watch, and one subject too if there is room for it.
    pub(super) fn watch(self: &Arc<Self>, subject: Option<Subject>) -> Watch {
        let mut crowd = self.crowd();
        crowd.watchers += 1;
        let subject = subject.filter(|subject| crowd.take_up(subject));
        // Under the lock: the next look knows of the subject. And before the loop is started, whose first look is fresh for whoever
        // it is started for.
        let begun_before = self.begun.load(Ordering::SeqCst);
        let is_looking = crowd.looking.as_ref().is_some_and(|looking| !looking.is_finished());
        if !is_looking && !*self.closing.borrow() {
            let hub = Arc::clone(self);
            let looker = crowd.looker.take().unwrap_or_default();
            crowd.looking = Some(self.connection.clock().spawn("dashboard", hub.look_on(looker)));
        }
        Watch { hub: Arc::clone(self), pulses: self.pulses.subscribe(), begun_before, subject }
    }

    /// What was seen last, if anybody has watched since not long ago.
    pub(super) fn last(&self) -> Option<Arc<Pulse>> {
        let last = Arc::clone(&self.pulses.borrow());
        let age = self.connection.clock().monotonic().saturating_sub(last.began);
        (last.number > 0 && age < limits::REMEMBERED && last.trouble.is_none()).then_some(last)
    }

    /// Ends the loop and every stream.
    pub(super) async fn close(&self) {
        self.closing.send_replace(true);
        let looking = self.crowd().looking.take();
        if let Some(looking) = looking {
            // It ends by itself; a panic in it was logged where it happened.
            drop(looking.await);
        }
    }

    /// Hears when the dashboard closes.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    async fn look_on(self: Arc<Self>, mut looker: Looker) {
        let clock = self.connection.clock().clone();
        let mut closing = self.closing.subscribe();
        loop {
            // This look is for all who are in a hurry by now. Taken back before the look counts as begun: whoever comes in
            // between asks for another one in vain, and nobody waits in vain.
            let _ = self.hurry.notified().now_or_never();
            let began = clock.monotonic();
            let (number, watched) = self.begin();
            let look = looker.look(&self.connection, &self.boards, &watched);
            let seen = self.within_bound(look).await.unwrap_or_else(|why| self.in_trouble(why));
            let is_in_trouble = seen.trouble.is_some();
            self.pulses.send_replace(Arc::new(Pulse { number, began, ..seen }));
            if !is_in_trouble {
                // Only now, so that a list with a filter keeps nobody waiting who has come for something else.
                match self.within_bound(looker.read(&self.connection, &self.boards)).await {
                    Ok(None) => {}
                    Ok(Some(readings)) => self.pulses.send_modify(|pulse| Arc::make_mut(pulse).readings = readings),
                    Err(why) => drop(self.pulses.send_replace(Arc::new(self.in_trouble(why)))),
                }
            }
            let took = clock.monotonic().saturating_sub(began);
            let pause = (took * limits::LOOK_SHARE).clamp(limits::LOOK_PAUSE, limits::LOOK_PAUSE_MOST);
            let wait = async {
                // However many wait for a page, the broker has time between two looks.
                let breath = took.min(limits::LOOK_BREATH);
                clock.sleep(breath).await;
                // Whether the time was over or somebody came is the same now.
                let _ = clock.timeout(pause.saturating_sub(breath), self.hurry.notified()).await;
            };
            tokio::select! {
                biased;
                // The sender is in this hub, so it is never gone. Whatever else is dropped is a pause.
                _ = closing.wait_for(|closing| *closing) => return,
                () = wait => {}
            }
            let mut crowd = self.crowd();
            if crowd.watchers == 0 && clock.monotonic().saturating_sub(crowd.left_at) >= limits::LINGER {
                // Under the lock: whoever comes now finds what the next loop begins with.
                crowd.looker = Some(looker);
                crowd.looking = None;
                return;
            }
        }
    }

    /// What a look answers, or why there is none.
    async fn within_bound<T>(&self, look: impl Future<Output = Result<T>>) -> std::result::Result<T, String> {
        match self.connection.clock().timeout(limits::CALL, look).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("it has not answered within {} seconds", limits::CALL.as_secs())),
        }
    }

    /// Begins a look: its number, and what it is to read.
    fn begin(&self) -> (u64, Vec<Subject>) {
        let crowd = self.crowd();
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        (number, crowd.subjects.iter().map(|(subject, _)| subject.clone()).collect())
    }

    /// What was seen last, with what is wrong now.
    fn in_trouble(&self, why: String) -> Pulse {
        tracing::warn!(broker = self.connection.address(), %why, "the dashboard cannot look at the broker");
        let last = Pulse::clone(&self.pulses.borrow());
        Pulse { trouble: Some(why), ..last }
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crowd {
    /// One more watches this; false if there is no room for it.
    fn take_up(&mut self, subject: &Subject) -> bool {
        let has_room = self.subjects.len() < limits::WATCHED;
        match self.subjects.iter_mut().find(|(known, _)| known == subject) {
            Some((_, watchers)) => *watchers += 1,
            None if has_room => self.subjects.push((subject.clone(), 1)),
            None => return false,
        }
        true
    }

    /// One less watches this.
    fn let_go(&mut self, subject: &Subject) {
        if let Some((_, watchers)) = self.subjects.iter_mut().find(|(known, _)| known == subject) {
            *watchers -= 1;
        }
        self.subjects.retain(|(_, watchers)| *watchers > 0);
    }
}

/// Somebody who watches, until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    hub: Arc<Hub>,
    pulses: watch::Receiver<Arc<Pulse>>,
    /// Looks that were begun before it.
    begun_before: u64,
    subject: Option<Subject>,
}

impl Watch {
    /// What a look sees that begins after this watch: whatever the same person has just done is in it.
    pub(super) async fn fresh(mut self) -> Result<Arc<Pulse>, PageError> {
        let clock = self.hub.connection.clock().clone();
        self.hub.hurry.notify_one();
        let seen =
            clock.timeout(limits::CALL * 2, self.pulses.wait_for(|pulse| pulse.number > self.begun_before)).await;
        let pulse = match seen {
            Ok(Ok(pulse)) if !*self.hub.closing.borrow() => Arc::clone(&pulse),
            _ => return Err(PageError::Closing),
        };
        match &pulse.trouble {
            Some(why) => Err(PageError::Broker(why.clone())),
            None => Ok(pulse),
        }
    }

    /// What is seen next.
    pub(super) async fn next(&mut self) -> Option<Arc<Pulse>> {
        self.pulses.changed().await.ok()?;
        Some(Arc::clone(&self.pulses.borrow_and_update()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let now = self.hub.connection.clock().monotonic();
        let mut crowd = self.hub.crowd();
        crowd.watchers -= 1;
        crowd.left_at = now;
        if let Some(subject) = &self.subject {
            crowd.let_go(subject);
        }
    }
}
