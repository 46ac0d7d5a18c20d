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
    /// By batch: the elements in a row, and the entry that tells which of them are still held.
    batches: Vec<(u64, Vec<u8>, Vec<u8>)>,
}

impl Holdings {
    /// Reads the answer of `held.lua`.
    pub(super) fn read(answer: Value) -> Result<Self> {
        let mut hashes = reply::array(answer)?.into_iter();
        let (Some(rows), Some(indexes)) = (hashes.next(), hashes.next()) else {
            return Err(reply::wrong("two hashes"));
        };
        let mut indexes: HashMap<_, _> = fields(indexes)?.into_iter().collect();
        let mut batches = Vec::new();
        for (field, row) in fields(rows)? {
            let batch = std::str::from_utf8(&field).ok().and_then(|text| text.parse().ok());
            let batch = batch.ok_or_else(|| reply::wrong("the number of a batch"))?;
            if let Some(index) = indexes.remove(&field) {
                batches.push((batch, row, index));
            }
        }
        // In the order of the claims.
        batches.sort_by_key(|(batch, ..)| *batch);
        Ok(Self { batches })
    }

    /// What is held, with its tokens.
    pub(super) fn elements(&self) -> Result<Vec<(DeliveryToken, &[u8])>> {
        let mut held = Vec::new();
        for (batch, row, index) in &self.batches {
            let (present, left) = positions(index)?;
            for (element, position) in element::in_a_row(row)?.into_iter().zip(present) {
                if left.contains(&position) {
                    held.push((token(*batch, position), element));
                }
            }
        }
        Ok(held)
    }
}

/// Which positions the row has, and which of them are held.
fn positions(index: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let wrong = || reply::wrong("the positions of a batch");
    let (count, rest) = index.split_first().ok_or_else(wrong)?;
    let all = || (0..*count).collect::<Vec<_>>();
    let Some((present, rest)) = rest.split_first() else { return Ok((all(), all())) };
    let (present, left) = rest.split_at_checked(usize::from(*present)).ok_or_else(wrong)?;
    Ok((if present.is_empty() { all() } else { present.to_vec() }, left.to_vec()))
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
        assert_eq!(positions(&[3]).expect("reads"), (vec![0, 1, 2], vec![0, 1, 2]), "nothing has ended");
        assert_eq!(positions(&[3, 0, 1]).expect("reads"), (vec![0, 1, 2], vec![1]), "the row is whole");
        assert_eq!(positions(&[9, 2, 4, 7, 7]).expect("reads"), (vec![4, 7], vec![7]), "the row is shortened");
        assert!(positions(&[]).is_err() && positions(&[9, 200, 1]).is_err());
    }

    #[test]
    fn tokens_grow_with_batches_and_positions() {
        assert!(token(1, 255) < token(2, 0) && token(2, 0) < token(2, 1));
        assert_eq!((batch_of(token(7, 9)), position_of(token(7, 9))), (7, 9));
    }
}
