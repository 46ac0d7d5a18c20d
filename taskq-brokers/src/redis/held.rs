//! What workers hold: batches, one a claim, and the position of a task in its batch. `scripts/prelude.lua` has the layout.

use std::collections::HashMap;

use redis::{Cmd, Value};
use taskq_core::{Result, id::DeliveryToken};

use super::{element, reply};

/// The token of a task in a batch: both its number and the position, so that it only ever grows.
pub(super) fn token(batch: u64, position: u8) -> DeliveryToken {
    DeliveryToken(batch << 8 | u64::from(position))
}

pub(super) fn batch_of(token: DeliveryToken) -> u64 {
    token.0 >> 8
}

pub(super) fn position_of(token: DeliveryToken) -> u8 {
    token.0.to_be_bytes()[7]
}

/// The batch and position of a token, as scripts take them.
pub(super) fn token_arguments(command: &mut Cmd, token: DeliveryToken) {
    command.arg(batch_of(token)).arg(&[position_of(token)][..]);
}

/// Everything that one owner holds.
#[derive(Debug)]
pub(super) struct Holdings {
    batches: Vec<Batch>,
}

impl Holdings {
    /// Reads the answer of `held.lua`; nothing if the owner has no living lease.
    pub(super) fn read(answer: Value) -> Result<Option<Self>> {
        let mut hashes = reply::array(answer)?.into_iter();
        let (rows, indexes) = match (hashes.next(), hashes.next()) {
            (Some(rows), Some(indexes)) => (rows, indexes),
            (None, _) => return Ok(None),
            (Some(_), None) => return Err(reply::wrong("two hashes")),
        };
        let parts: HashMap<_, _> = fields(rows)?.into_iter().collect();
        let mut batches = Vec::new();
        for (field, index) in fields(indexes)? {
            // Beside the batches stand their keys.
            let Some(number) = std::str::from_utf8(&field).ok().and_then(|text| text.parse().ok()) else { continue };
            let index = Index::read(&index)?;
            let row = index.fields(number).filter_map(|field| parts.get(field.as_bytes())).flatten().copied().collect();
            batches.push(Batch { number, row, index });
        }
        // In the order of the claims.
        batches.sort_by_key(|batch| batch.number);
        Ok(Some(Self { batches }))
    }

    /// What is held, with its tokens.
    pub(super) fn elements(&self) -> Result<Vec<(DeliveryToken, &[u8])>> {
        let mut held = Vec::new();
        for Batch { number, row, index } in &self.batches {
            for (element, position) in element::in_a_row(row)?.into_iter().zip(&index.present) {
                if index.left.contains(position) {
                    held.push((token(*number, *position), element));
                }
            }
        }
        Ok(held)
    }
}

/// What one claim handed out.
#[derive(Debug)]
struct Batch {
    number: u64,
    /// Its elements, all parts together.
    row: Vec<u8>,
    index: Index,
}

/// The entry of a batch in `idx`.
#[derive(Debug, PartialEq, Eq)]
struct Index {
    parts: u8,
    /// Which positions the row has, and which of them are held.
    present: Vec<u8>,
    left: Vec<u8>,
}

impl Index {
    fn read(entry: &[u8]) -> Result<Self> {
        let wrong = || reply::wrong("the positions of a batch");
        let (count, rest) = entry.split_first().ok_or_else(wrong)?;
        let (parts, rest) = rest.split_first().ok_or_else(wrong)?;
        let (parts, all) = (*parts, || (0..*count).collect::<Vec<_>>());
        let Some((present, rest)) = rest.split_first() else { return Ok(Self { parts, present: all(), left: all() }) };
        let (present, left) = rest.split_at_checked(usize::from(*present)).ok_or_else(wrong)?;
        let present = if present.is_empty() { all() } else { present.to_vec() };
        Ok(Self { parts, present, left: left.to_vec() })
    }

    /// The fields of `own` that have the parts of the batch.
    fn fields(&self, batch: u64) -> impl Iterator<Item = String> {
        (1..=self.parts).map(move |part| if part == 1 { batch.to_string() } else { format!("{batch}:{part}") })
    }
}

fn fields(value: Value) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut values = reply::array(value)?.into_iter().map(reply::bytes);
    let mut fields = Vec::new();
    while let (Some(field), Some(value)) = (values.next(), values.next()) {
        fields.push((field?, value?));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_a_batch_tells_what_its_row_has_and_what_is_held() {
        let index = |parts, present: &[u8], left: &[u8]| Index { parts, present: present.into(), left: left.into() };
        let read = |entry: &[u8]| Index::read(entry).expect("reads");
        assert_eq!(read(&[3, 1]), index(1, &[0, 1, 2], &[0, 1, 2]), "nothing has ended");
        assert_eq!(read(&[3, 2, 0, 1]), index(2, &[0, 1, 2], &[1]), "the row is whole");
        assert_eq!(read(&[9, 1, 2, 4, 7, 7]), index(1, &[4, 7], &[7]), "the row is shortened");
        assert!(Index::read(&[]).is_err() && Index::read(&[9]).is_err() && Index::read(&[9, 1, 200, 1]).is_err());
        assert_eq!(index(3, &[], &[]).fields(7).collect::<Vec<_>>(), ["7", "7:2", "7:3"]);
    }

    #[test]
    fn tokens_grow_with_batches_and_positions() {
        assert!(token(1, 255) < token(2, 0) && token(2, 0) < token(2, 1));
        assert_eq!((batch_of(token(7, 9)), position_of(token(7, 9))), (7, 9));
    }
}
