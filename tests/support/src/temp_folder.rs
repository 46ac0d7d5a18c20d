//! A folder of its own for one test. It is removed, with all that is in it, when it is dropped.

use std::path::{Path, PathBuf};

use crate::TEST_DIR_VARIABLE;

/// A temporary folder that lives as long as this value.
#[derive(Debug)]
pub struct TempFolder {
    folder: tempfile::TempDir,
}

impl TempFolder {
    /// Makes an empty folder, below the folder of the test run if there is one.
    ///
    /// # Panics
    ///
    /// When the folder cannot be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "making a folder is no default value")]
    pub fn new() -> TempFolder {
        let parent = match std::env::var_os(TEST_DIR_VARIABLE) {
            Some(run_folder) => PathBuf::from(run_folder),
            None => std::env::temp_dir(),
        };
        // A short name: unix sockets beside a database must fit into about a hundred characters.
        match tempfile::Builder::new().prefix("taskq-").tempdir_in(&parent) {
            Ok(folder) => TempFolder { folder },
            Err(err) => panic!("cannot make a temporary folder in {}: {err}", parent.display()),
        }
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file of this name in the folder; the file need not exist.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_gone_with_its_files_when_it_is_dropped() {
        let folder = TempFolder::new();
        let path = folder.path().to_path_buf();
        std::fs::write(folder.file("a"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
