//! The note that a child process is running, left for `cargo xtask test`: the file
//! `$TASKQ_TEST_DIR/pids/<pid>`, which holds the moment the process began.
//!
//! The promise: the file names a process that this run started. The moment tells it from a
//! stranger's process that was given the same number later; xtask compares it before it kills.

use std::path::PathBuf;

use crate::TEST_DIR_VARIABLE;

/// A pid file, or nothing where no test run asked for pid files.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: Option<PathBuf>,
}

impl PidFile {
    /// Notes a process that was just started.
    pub(crate) fn write(process_id: u32) -> PidFile {
        let Some(run_folder) = std::env::var_os(TEST_DIR_VARIABLE) else {
            return PidFile { path: None };
        };
        let folder = PathBuf::from(run_folder).join("pids");
        let path = folder.join(process_id.to_string());
        let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, beginning_of(process_id)));
        if let Err(err) = written {
            panic!("cannot write the pid file {}: {err}", path.display());
        }
        PidFile { path: Some(path) }
    }

    /// Takes the note back, once the process is gone.
    pub(crate) fn remove(self) {
        if let Some(path) = self.path {
            // The whole folder may have been removed before us, which is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The moment a process began, as the system words it; the counterpart is in xtask's `leftovers`.
fn beginning_of(process_id: u32) -> String {
    match std::fs::read_to_string(format!("/proc/{process_id}/stat")) {
        // The second field is the program's name in brackets and may hold anything; the moment is
        // the 22nd field, so the 20th after it.
        Ok(stat) => stat
            .rsplit(')')
            .next()
            .and_then(|after_name| after_name.split_whitespace().nth(19))
            .unwrap_or_default()
            .to_owned(),
        Err(_) => beginning_told_by_ps(process_id),
    }
}

/// The same where there is no /proc, as on macOS.
fn beginning_told_by_ps(process_id: u32) -> String {
    let told = std::process::Command::new("ps").args(["-o", "lstart=", "-p", &process_id.to_string()]).output();
    told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).unwrap_or_default()
}
