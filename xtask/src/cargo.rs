//! The cargo that started us, so that all steps use one toolchain, always at the top of the
//! workspace.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A cargo command to be filled with arguments.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(workspace());
    command
}

/// Whether `cargo <name>` is an installed command.
pub(crate) fn has_cargo_command(name: &str) -> bool {
    let asked = cargo().args([name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// A folder of xtask's own below the target folder.
pub(crate) fn own_target_folder() -> PathBuf {
    target_folder().join("xtask")
}

/// Where Cargo puts what it builds.
pub(crate) fn target_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a running program can name its own file");
    // xtask itself lies in <target>/<profile>/.
    let target = program.parent().and_then(Path::parent);
    target.expect("Cargo puts programs two folders deep").to_path_buf()
}

/// The top of the workspace.
pub(crate) fn workspace() -> PathBuf {
    // Cargo sets it for `cargo run`, which is what `cargo xtask` is.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    xtask.and_then(|xtask| xtask.parent().map(Path::to_path_buf)).unwrap_or_else(|| ".".into())
}
