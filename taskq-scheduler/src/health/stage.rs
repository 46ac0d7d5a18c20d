//! [`Stage`]: how far a look has come, to be told if its time is over.

use std::sync::{Mutex, PoisonError};

/// What a look is doing now, in words.
#[derive(Debug)]
pub(crate) struct Stage(Mutex<&'static str>);

impl Stage {
    pub(crate) fn new() -> Self {
        Self(Mutex::new("it had not begun"))
    }

    pub(crate) fn enter(&self, words: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    pub(crate) fn words(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
