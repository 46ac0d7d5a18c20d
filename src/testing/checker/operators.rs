//! What people have changed.

use taskq_core::{CancelAnswer, Purge, PurgeAnswer, QueueName, State, TaskId};

use super::{Checker, Moment, Place};
use crate::testing::promise::Promise;

impl Checker {
    pub(super) fn cancelled(&mut self, moment: Moment, id: &TaskId, answer: CancelAnswer) {
        match answer {
            CancelAnswer::Cancelled => {
                if !self.may_be_waiting(moment, id) {
                    let text = format!("{id} was cancelled as waiting, and did not wait");
                    self.violated(moment, Promise::EndsOnce, text);
                }
                self.end(moment, id, State::Cancelled, None);
            }
            CancelAnswer::Requested => {
                if let Some(task) = self.tasks.get_mut(id) {
                    task.cancel_asked = true;
                }
            }
            CancelAnswer::AlreadyEnded | CancelAnswer::NotFound => {}
        }
    }

    pub(super) fn replayed(&mut self, moment: Moment, id: &TaskId) {
        if let Some(task) = self.tasks.get_mut(id) {
            (task.attempts, task.deliveries, task.cancel_asked, task.expires) = (0, 0, false, None);
            task.place = Place::Waiting { due: moment.now };
        }
    }

    pub(super) fn ran_now(&mut self, moment: Moment, id: &TaskId) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.place = Place::Waiting { due: moment.now };
        }
    }

    /// When nothing is left, all that waited has ended. What a lapsed owner held waits only if a sweep has been there.
    pub(super) fn purged(&mut self, moment: Moment, queue: &QueueName, what: Purge, answer: PurgeAnswer) {
        let of_the_queue = |id: &TaskId| id.queue == *queue && answer != PurgeAnswer { purged: 0, more: true };
        let ids: Vec<TaskId> = self.tasks.keys().filter(|id| of_the_queue(id)).cloned().collect();
        for id in ids {
            let is_waiting = self.may_be_waiting(moment, &id);
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let is_expired = task.expires.is_some_and(|expires| expires <= moment.now);
            // One that has expired since an earlier step that may have ended it can be either.
            let is_either = is_expired && task.may_be_purged;
            match (what, &task.place) {
                (Purge::Waiting, Place::Waiting { .. }) if !answer.more && !is_either => {
                    let state = if is_expired { State::Expired } else { State::Cancelled };
                    task.place = Place::Ended { state, at: moment.now, token: None };
                }
                (Purge::Waiting, _) => task.may_be_purged |= is_waiting && answer.purged > 0,
                (Purge::DeadLetters, Place::Ended { state: State::Dead, .. }) if !answer.more => {
                    self.tasks.remove(&id);
                }
                (Purge::DeadLetters, place) => {
                    let is_dead = matches!(place, Place::Ended { state: State::Dead, .. });
                    task.may_be_dropped |= is_dead || is_waiting;
                }
            }
        }
    }
}
