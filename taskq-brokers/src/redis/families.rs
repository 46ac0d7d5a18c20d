//! Siblings: keys that were made together and differ in their last byte alone. What is kept of many of them is kept once
//! for all; `scripts/prelude.lua` has the layout.

use taskq_core::TaskKey;

/// Which family a key belongs to, and which of the siblings it is; `None` if it was chosen by a caller.
pub(super) fn family_of(key: &TaskKey) -> Option<(&[u8], u8)> {
    match key.as_bytes() {
        [family @ .., which] if !key.is_own() => Some((family, *which)),
        _ => None,
    }
}

/// A bit for each of these siblings, without zero bytes at the end.
pub(super) fn mask(siblings: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut mask = Vec::with_capacity(32);
    for which in siblings {
        let octet = usize::from(which / 8);
        if mask.len() <= octet {
            mask.resize(octet + 1, 0);
        }
        mask[octet] |= 1 << (which % 8);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_a_bit_for_each_sibling() {
        assert_eq!(mask([0, 9, 7]), [0b1000_0001, 0b10]);
        assert_eq!(mask([255]).len(), 32);
        assert!(mask([]).is_empty());
    }

    #[test]
    fn only_uuids_have_siblings() {
        let key = TaskKey::generate();
        let (family, which) = family_of(&key).expect("a UUID");
        assert_eq!([family, &[which]].concat(), key.as_bytes());
        assert_eq!(family_of(&TaskKey::own("sixteen-letters!").expect("valid")), None);
    }
}
