//! Rows: elements of siblings that are enqueued together and move together, until a claim takes them apart.
//!
//! Lua hashes every byte of every string that it makes, and makes one of each entry of a list. So a task in a row costs the
//! server little more than its bytes.

use taskq_core::Envelope;

use super::{element, families::family_of};

/// The most elements of a row. A worker with fewer free slots puts the rest back, which costs it the bytes once more.
const LONGEST: usize = 10;

/// A row that is longer gets no more elements.
const LONG_BYTES: usize = 4096;

/// An entry of a ready list.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) priority: u8,
    pub(super) bytes: Vec<u8>,
}

/// The rows of plain envelopes by priority; those of one priority stay in the order in which they came.
pub(super) fn rows(envelopes: &[Envelope]) -> Vec<Row> {
    let mut sorted: Vec<&Envelope> = envelopes.iter().collect();
    sorted.sort_by_key(|envelope| envelope.priority);
    let alike = sorted.chunk_by(|one, next| one.priority == next.priority && are_siblings(one, next));
    alike.flat_map(|alike| alike.chunks(LONGEST)).flat_map(bounded).collect()
}

fn are_siblings(one: &Envelope, other: &Envelope) -> bool {
    match (family_of(&one.id.key), family_of(&other.id.key)) {
        (Some((one, _)), Some((other, _))) => one == other,
        _ => false,
    }
}

/// One row, or more where it becomes long.
fn bounded(siblings: &[&Envelope]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(1);
    for envelope in siblings {
        let element = element::encode(envelope, None);
        match rows.last_mut() {
            Some(row) if row.bytes.len() + element.len() <= LONG_BYTES => row.bytes.extend_from_slice(&element),
            _ => rows.push(Row { priority: envelope.priority, bytes: element }),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use taskq_core::{Invocation, TaskId, id::Siblings};

    use super::*;

    fn envelope(siblings: &mut Siblings, priority: u8, payload: &str) -> Envelope {
        let invocation =
            Invocation::named("noop", &serde_json::json!({ "text": payload })).queue("q").priority(priority);
        let mut envelope = invocation.into_envelope().expect("valid");
        envelope.id = TaskId::new(envelope.id.queue.clone(), siblings.next_key());
        envelope
    }

    fn lengths(envelopes: &[Envelope]) -> Vec<(u8, usize)> {
        let count = |row: &Row| element::in_a_row(&row.bytes).expect("reads").len();
        rows(envelopes).iter().map(|row| (row.priority, count(row))).collect()
    }

    #[test]
    fn siblings_of_one_priority_stand_in_rows_of_ten() {
        let mut siblings = Siblings::new(true);
        let many: Vec<_> = (0..24).map(|n| envelope(&mut siblings, if n < 3 { 7 } else { 5 }, "small")).collect();
        assert_eq!(lengths(&many), [(5, 10), (5, 10), (5, 1), (7, 3)]);
        let order: Vec<u8> = rows(&many)
            .iter()
            .flat_map(|row| element::in_a_row(&row.bytes).expect("reads").iter().map(|e| e[26]).collect::<Vec<_>>())
            .collect();
        assert_eq!(order, (3..24).chain(0..3).map(|n| many[n].id.key.as_bytes()[15]).collect::<Vec<_>>());
    }

    #[test]
    fn strangers_and_large_ones_stand_alone() {
        let strangers: Vec<_> = (0..3).map(|_| envelope(&mut Siblings::new(true), 5, "small")).collect();
        assert_eq!(lengths(&strangers), [(5, 1); 3]);
        let mut siblings = Siblings::new(false);
        let large: Vec<_> = (0..3).map(|_| envelope(&mut siblings, 5, &"x".repeat(3_000))).collect();
        assert_eq!(lengths(&large), [(5, 1); 3]);
    }
}
