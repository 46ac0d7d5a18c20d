//! Which leases live, as far as the history tells.

use std::time::Duration;

use taskq_core::{QueueName, State, TaskId, id::Owner};

use super::{Checker, LOST_BEATS_BORNE, Lease, Moment, Place};
use crate::testing::{
    history::{ProcessNumber, Trouble},
    promise::Promise,
};

impl Checker {
    pub(super) fn is_alive(&self, moment: Moment, owner: Owner, queue: &QueueName) -> bool {
        let lease = self.leases.get(&(queue.clone(), owner));
        lease.is_some_and(|lease| !lease.left && lease.until > moment.now)
    }

    /// A term begins, or its lease is renewed. One that lapsed can only begin again, by a message that comes late, when a
    /// sweep has taken back what it held.
    pub(super) fn join(
        &mut self,
        moment: Moment,
        process: ProcessNumber,
        owner: Owner,
        queue: &QueueName,
        length: Duration,
    ) {
        if !self.is_alive(moment, owner, queue) {
            for (_, task) in self.tasks.iter_mut().filter(|(id, task)| id.queue == *queue && task.is_held_by(owner)) {
                task.place = Place::TakenBack;
            }
        }
        self.renew(moment, process, owner, queue, length);
    }

    fn renew(&mut self, moment: Moment, process: ProcessNumber, owner: Owner, queue: &QueueName, length: Duration) {
        let lease = Lease { process, length, renewed: moment.at, until: moment.now + length, left: false };
        self.leases.insert((queue.clone(), owner), lease);
    }

    pub(super) fn beaten(
        &mut self,
        moment: Moment,
        process: ProcessNumber,
        owner: Owner,
        queue: &QueueName,
        alive: bool,
    ) {
        match (self.is_alive(moment, owner, queue), alive) {
            (true, true) => {
                let length = self.leases[&(queue.clone(), owner)].length;
                self.renew(moment, process, owner, queue, length);
            }
            (false, false) => self.lapsed(moment, owner, queue),
            (true, false) => {
                let text = format!("the lease of {owner} in {queue} was taken while it lived");
                self.violated(moment, Promise::HolderAccepted, text);
            }
            (false, true) => {
                let text = format!("the lapsed lease of {owner} in {queue} was renewed");
                self.violated(moment, Promise::StaleRefused, text);
            }
        }
    }

    /// A lease may lapse if its worker was stopped, cut off or killed, or if several of its beats got lost.
    fn lapsed(&mut self, moment: Moment, owner: Owner, queue: &QueueName) {
        let Some(lease) = self.leases.get(&(queue.clone(), owner)).copied().filter(|lease| !lease.left) else { return };
        self.checked.leases_lapsed += 1;
        let (from, until) = (lease.renewed, lease.renewed + lease.length);
        let troubles = self.troubles.get(&lease.process).map_or(&[][..], Vec::as_slice);
        let meanwhile = troubles.iter().filter(|(begun, ended, _)| *begun <= until && *ended >= from);
        let (messages, others): (Vec<Trouble>, Vec<Trouble>) =
            meanwhile.map(|(_, _, what)| *what).partition(|what| *what == Trouble::Message);
        if others.is_empty() && messages.len() <= LOST_BEATS_BORNE {
            let text = format!("{owner} lost its lease in {queue} at {until:?}, and nothing had happened to it");
            self.violated(moment, Promise::LeaseKept, text);
        }
    }

    pub(super) fn left(&mut self, moment: Moment, owner: Owner, queue: &QueueName) {
        if !self.is_alive(moment, owner, queue) {
            return;
        }
        if let Some(lease) = self.leases.get_mut(&(queue.clone(), owner)) {
            lease.left = true;
        }
        let held = self.tasks.iter().filter(|(id, task)| id.queue == *queue && task.is_held_by(owner));
        let held: Vec<TaskId> = held.map(|(id, _)| id.clone()).collect();
        for id in held {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.deliveries = 0;
                match task.cancel_asked {
                    true => self.end(moment, &id, State::Cancelled, None),
                    false => task.place = Place::Waiting { due: moment.now },
                }
            }
        }
    }
}
