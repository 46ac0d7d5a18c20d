//! Mistakes that tests plant on purpose, to show that they would be noticed.
//!
//! They exist only with the feature `seeded-bugs`, which nothing that is shipped turns on: without it no bug can be
//! planted, and asking for one costs nothing.

/// A mistake that somebody might make, or has made elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A settlement is applied whoever sends it, if only the token is right.
    OwnerNotChecked,
    /// A settlement is applied under any token, if only the owner is right.
    TokenNotChecked,
    /// The result is stored before it is known whether the settlement counts.
    ResultBeforeCheck,
    /// A hand-out does not count as a delivery.
    ClaimNotCounted,
    /// A claimed task stays ready until its claim is looked at again: sometimes two workers get it.
    ClaimNotAtomic,
    /// A task that a worker gives back at its end has one attempt less.
    ReleaseSpendsAttempt,
    /// A due task is taken from the scheduled ones and then, sometimes, forgotten.
    DueTaskLost,
    /// A task whose worker died runs again although it was cancelled.
    CancelForgotten,
    /// The unique key of a task that was buried after crashes is never freed.
    UniqueKeyKept,
    /// Enqueueing wakes nobody.
    DoorbellLost,
    /// A sweep takes leases for lapsed that have a while to go.
    SweepTakesLiving,
    /// A heartbeat goes by the wall clock.
    BeatByWallClock,
    /// A settlement whose answer was lost is taken for applied.
    SettlementNotRepeated,
    /// A claim whose answer was lost is forgotten.
    UnheardClaimForgotten,
    /// A claim that arrives after its worker has looked for what it holds is answered to nobody.
    LateClaimAccepted,
    /// The heartbeat ends at the first error.
    HeartbeatGivesUp,
    /// A batch whose answer was lost is sent again as a new one.
    BatchIdNotKept,
    /// Tasks of a paused queue are handed out to a worker that asks.
    PauseForgotten,
}

/// Which bug is planted: none, or one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted(#[cfg(feature = "seeded-bugs")] Option<Bug>);

impl Planted {
    /// Just this one.
    #[cfg(feature = "seeded-bugs")]
    pub const fn only(bug: Bug) -> Self {
        Self(Some(bug))
    }

    /// Whether it is this one.
    #[cfg(feature = "seeded-bugs")]
    pub fn is(self, bug: Bug) -> bool {
        self.0 == Some(bug)
    }

    /// Whether it is this one: never.
    #[cfg(not(feature = "seeded-bugs"))]
    pub const fn is(self, _: Bug) -> bool {
        false
    }
}
