//! [`Notes`]: what an action says on the page that follows it. Kept here, not in the address: nobody can make up one.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use super::{limits, random::secret};

/// Notes that wait for their page.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<VecDeque<(String, Note)>>);

/// What an action says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// Whether it went as wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
}

impl Note {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { tone: Tone::Good, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { tone: Tone::Bad, text: text.into() }
    }

    pub(super) fn is_bad(&self) -> bool {
        self.tone == Tone::Bad
    }
}

impl Notes {
    /// Keeps a note, and answers where it is. The oldest gives way.
    pub(super) fn put(&self, note: Note) -> String {
        let key = secret()[..24].to_owned();
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= limits::NOTES {
            notes.pop_front();
        }
        notes.push_back((key.clone(), note));
        key
    }

    /// Takes a note: it is shown once.
    pub(super) fn take(&self, key: &str) -> Option<Note> {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = notes.iter().position(|(other, _)| other == key)?;
        notes.remove(place).map(|(_, note)| note)
    }
}
