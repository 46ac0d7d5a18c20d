//! Many successes in one script: by batch, and the results by the families of their tasks.

use redis::{Cmd, Value};
use taskq_core::{
    Envelope, Result, TaskKey,
    broker::{Ending, Settled, Settlement},
    id::{DeliveryToken, Owner},
};

use super::{
    element,
    families::{family_of, mask},
    held::{batch_of, position_of},
    reply,
};

/// Settlements in the order in which the script gets them.
#[derive(Debug)]
pub(super) struct Successes<'a> {
    settlements: &'a [Settlement],
    /// Indexes of the settlements by token; one batch after the other.
    order: Vec<usize>,
}

impl<'a> Successes<'a> {
    pub(super) fn new(settlements: &'a [Settlement]) -> Self {
        let mut order: Vec<usize> = (0..settlements.len()).collect();
        // Mostly in order already, which the sort notices.
        order.sort_by_key(|index| settlements[*index].token);
        // The script counts positions, so none may come twice; the second is answered like any repetition.
        order.dedup_by_key(|index| settlements[*index].token);
        Self { settlements, order }
    }

    /// The settlements of each batch.
    fn batches(&self) -> impl Iterator<Item = &[usize]> {
        self.order.chunk_by(|one, next| batch_of(self.token(*one)) == batch_of(self.token(*next)))
    }

    fn token(&self, index: usize) -> DeliveryToken {
        self.settlements[index].token
    }

    fn key(&self, index: usize) -> &TaskKey {
        &self.settlements[index].envelope.id.key
    }

    pub(super) fn arguments(&self, command: &mut Cmd, owner: Owner) {
        command.arg(owner.to_string());
        for batch in self.batches() {
            let mut tracked: Vec<usize> = batch.to_vec();
            tracked.retain(|index| self.settlements[*index].envelope.is_tracked());
            tracked.sort_by(|one, other| self.kin(*one).cmp(&self.kin(*other)));
            let groups = tracked.chunk_by(|one, next| self.are_siblings(*one, *next));
            command.arg(batch_of(self.token(batch[0]))).arg(self.positions(batch)).arg(groups.clone().count());
            groups.for_each(|members| self.group_arguments(command, members));
        }
    }

    /// Which tasks can be kept together: those of one family, class and number of attempts.
    fn kin(&self, index: usize) -> (&[u8], u8, u32) {
        let envelope = &self.settlements[index].envelope;
        let key = self.key(index);
        let family = family_of(key).map_or(key.as_bytes(), |(family, _)| family);
        (family, element::class(envelope.result_ttl), attempts_of(envelope))
    }

    fn are_siblings(&self, one: usize, other: usize) -> bool {
        family_of(self.key(one)).is_some() && self.kin(one) == self.kin(other)
    }

    fn group_arguments(&self, command: &mut Cmd, members: &[usize]) {
        let (family, class, attempts) = self.kin(members[0]);
        let key = self.key(members[0]).as_bytes();
        command.arg(class).arg(element::shard(key)).arg(attempts).arg(self.positions(members));
        match members {
            [alone] => command.arg("").arg(key).arg(self.result(*alone)),
            _ => command.arg(family).arg(mask(self.siblings(members))).arg(self.entries(members)),
        };
    }

    fn siblings<'b>(&'b self, members: &'b [usize]) -> impl Iterator<Item = u8> + 'b {
        members.iter().filter_map(|index| family_of(self.key(*index)).map(|(_, which)| which))
    }

    /// For each sibling one byte which, three bytes of length, and its result.
    fn entries(&self, members: &[usize]) -> Vec<u8> {
        let mut entries = Vec::with_capacity(members.len() * 16);
        for (index, which) in members.iter().zip(self.siblings(members)) {
            let result = self.result(*index).as_bytes();
            let length = u32::try_from(result.len()).expect("results are bounded").to_be_bytes();
            entries.push(which);
            entries.extend_from_slice(&length[1..]);
            entries.extend_from_slice(result);
        }
        entries
    }

    /// What is kept of a success, empty if nothing.
    fn result(&self, index: usize) -> &str {
        let Settlement { envelope, ending, .. } = &self.settlements[index];
        result_of(envelope, ending)
    }

    fn positions(&self, indexes: &[usize]) -> Vec<u8> {
        indexes.iter().map(|index| position_of(self.token(*index))).collect()
    }

    /// The script's answer in the order of the settlements.
    pub(super) fn settled(&self, answer: Value) -> Result<Vec<Settled>> {
        let mut settled = vec![Settled::Fenced; self.settlements.len()];
        let mut answers = reply::array(answer)?.into_iter();
        for batch in self.batches() {
            let flags =
                answers.next().ok_or_else(|| reply::wrong("an answer for each batch")).and_then(reply::bytes)?;
            // One flag alone stands for all of them.
            let flags = flags.iter().cycle().take(batch.len());
            for (index, _) in batch.iter().zip(flags).filter(|(_, flag)| **flag == b'1') {
                settled[*index] = Settled::Applied;
            }
        }
        Ok(settled)
    }
}

fn attempts_of(envelope: &Envelope) -> u32 {
    envelope.attempts.min(255)
}

/// What is kept of a success, empty if nothing.
pub(super) fn result_of<'a>(envelope: &Envelope, ending: &'a Ending) -> &'a str {
    match ending {
        Ending::Succeeded(result) if envelope.stores_result => result.as_str(),
        _ => "",
    }
}
