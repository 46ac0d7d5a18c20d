//! Mistakes that tests plant into scripts and statements, to show that they would be noticed.
//!
//! They exist only with the feature `seeded-bugs`, which nothing that is shipped turns on.

use std::borrow::Cow;

/// One text in place of another, in every script or statement that has it; or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patch(#[cfg(feature = "seeded-bugs")] Option<(&'static str, &'static str)>);

impl Patch {
    /// `wrong` in place of `right`.
    #[cfg(feature = "seeded-bugs")]
    pub const fn of(right: &'static str, wrong: &'static str) -> Self {
        Self(Some((right, wrong)))
    }

    /// The text with the mistake in it.
    #[cfg(feature = "seeded-bugs")]
    pub(crate) fn applied_to(self, text: &str) -> Cow<'_, str> {
        match self.0 {
            Some((right, wrong)) if text.contains(right) => Cow::Owned(text.replace(right, wrong)),
            _ => Cow::Borrowed(text),
        }
    }

    /// The text as it is.
    #[cfg(not(feature = "seeded-bugs"))]
    pub(crate) const fn applied_to(self, text: &str) -> Cow<'_, str> {
        Cow::Borrowed(text)
    }
}
