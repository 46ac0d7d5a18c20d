//! `completions` and `man`: what shells and readers of manuals want, made from the commands themselves.

use std::{fs, io::Write, path::Path, process::ExitCode};

use clap::CommandFactory;
use taskq_core::BoxError;

use super::{Cli, Command, output::say};

/// Prints what was asked for; nothing if the command is another one. Needs neither configuration nor broker.
pub(super) fn print(command: &Command) -> Result<Option<ExitCode>, BoxError> {
    let whole = || {
        let command = Cli::command();
        let name = program(command.get_name());
        command.name(name.clone()).bin_name(name)
    };
    match command {
        Command::Completions { shell } => {
            let mut command = whole();
            let name = command.get_name().to_owned();
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, name, &mut script);
            say(String::from_utf8(script)?.trim_end());
        }
        Command::Man { folder: None } => {
            let mut page = Vec::new();
            clap_mangen::Man::new(whole()).render(&mut page)?;
            say(String::from_utf8(page)?.trim_end());
        }
        Command::Man { folder: Some(folder) } => write_all(whole(), folder)?,
        _ => return Ok(None),
    }
    Ok(Some(ExitCode::SUCCESS))
}

/// The name under which the program was called.
fn program(otherwise: &str) -> String {
    let called = std::env::args_os().next();
    let name = called.as_deref().and_then(|path| Path::new(path).file_stem()).map(|name| name.to_string_lossy());
    name.map_or_else(|| otherwise.to_owned(), |name| name.into_owned())
}

/// A page of each command, `taskq-queues-pause.1`.
fn write_all(mut command: clap::Command, folder: &Path) -> Result<(), BoxError> {
    command.build();
    let name = command.get_name().to_owned();
    let cannot = |error: std::io::Error| format!("cannot write into {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(cannot)?;
    write_page(&command, &name, folder).map_err(cannot)?;
    say(format_args!("{} and more in {}", name + ".1", folder.display()));
    Ok(())
}

fn write_page(command: &clap::Command, name: &str, folder: &Path) -> std::io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().name(name.to_owned())).render(&mut page)?;
    fs::File::create(folder.join(format!("{name}.1")))?.write_all(&page)?;
    let is_own = |command: &&clap::Command| command.get_name() != "help" && !command.is_hide_set();
    for below in command.get_subcommands().filter(is_own) {
        write_page(below, &format!("{name}-{}", below.get_name()), folder)?;
    }
    Ok(())
}
