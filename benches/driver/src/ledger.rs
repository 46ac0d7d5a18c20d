//! Which tasks ran, and how often.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

/// Counts the executions of tasks that carry their number, 0 to n-1, as an argument. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    runs: Arc<[AtomicU8]>,
    distinct: Arc<AtomicU64>,
}

impl Ledger {
    /// For tasks 0 to `tasks - 1`.
    pub fn new(tasks: u64) -> Self {
        Self { runs: (0..tasks).map(|_| AtomicU8::new(0)).collect(), distinct: Arc::default() }
    }

    /// Task `number` runs.
    ///
    /// # Panics
    ///
    /// If there is no such task: then something ran that nobody enqueued.
    pub fn ran(&self, number: u64) {
        let runs = &self.runs[usize::try_from(number).expect("fits")];
        // Two hundred and fifty-five runs are as wrong as more of them.
        if runs.load(Ordering::Relaxed) < u8::MAX && runs.fetch_add(1, Ordering::Relaxed) == 0 {
            self.distinct.fetch_add(1, Ordering::Release);
        }
    }

    /// How many of them have run at least once.
    pub fn executed(&self) -> u64 {
        self.distinct.load(Ordering::Acquire)
    }

    /// How many executions were one too many.
    pub fn duplicates(&self) -> u64 {
        self.runs.iter().map(|runs| u64::from(runs.load(Ordering::Relaxed).saturating_sub(1))).sum()
    }

    /// Which tasks ran, as one number: the parts of several processes, combined by `^`, are that of the whole if each
    /// task ran in one of them. It has 40 bits: of a longer number JSON may lose the last ones on the way.
    pub fn fingerprint(&self) -> u64 {
        let ran = self.runs.iter().zip(0..).filter(|(runs, _)| runs.load(Ordering::Relaxed) > 0);
        ran.fold(0, |all, (_, number)| all ^ scramble(number) >> 24)
    }

    /// The fingerprint of tasks 0 to `tasks - 1`, each of which ran.
    pub fn whole_fingerprint(tasks: u64) -> u64 {
        (0..tasks).fold(0, |all, number| all ^ scramble(number) >> 24)
    }
}

/// Spreads a number over all bits (splitmix64), so that no few numbers cancel out.
fn scramble(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_run_is_a_duplicate() {
        let ledger = Ledger::new(3);
        for number in [0, 2, 2, 2] {
            ledger.ran(number);
        }
        assert_eq!((ledger.executed(), ledger.duplicates()), (2, 2));
    }

    #[test]
    fn the_parts_of_several_processes_make_the_whole() {
        let (one, other) = (Ledger::new(100), Ledger::new(100));
        (0..100).for_each(|number| if number % 3 == 0 { one.ran(number) } else { other.ran(number) });
        assert_eq!(one.fingerprint() ^ other.fingerprint(), Ledger::whole_fingerprint(100));
        other.ran(0);
        assert_ne!(one.fingerprint() ^ other.fingerprint(), Ledger::whole_fingerprint(100));
        assert!(one.fingerprint() < 1 << 40);
    }
}
