//! [`ProgramRun`]: a program that has ended, with what it printed.

use std::process::{Command, ExitStatus};

/// How a program ended.
#[derive(Clone, Debug)]
pub struct ProgramRun {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed to standard output.
    pub said: String,
    /// What it printed to standard error.
    pub told: String,
}

impl ProgramRun {
    /// Runs it to its end. What the environment says of logs is not passed on.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn of(command: &mut Command) -> Self {
        let output = command.env_remove("RUST_LOG").output().expect("it was built and starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { status: output.status, said: text(&output.stdout), told: text(&output.stderr) }
    }

    /// Everything that it printed, results first.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.said, self.told)
    }

    /// What it said, since it did well.
    ///
    /// # Panics
    ///
    /// If it did not.
    #[must_use]
    pub fn succeeded(self) -> String {
        assert!(self.status.success(), "{} {}", self.status, self.text());
        self.said
    }

    /// Everything that it printed, since it refused: with exit code 1 or 2, and without a panic.
    ///
    /// # Panics
    ///
    /// If it did anything else.
    #[must_use]
    pub fn refused(self) -> String {
        assert!(matches!(self.status.code(), Some(1 | 2)), "{} {}", self.status, self.text());
        assert!(!self.told.contains("panicked"), "{}", self.told);
        self.text()
    }
}
