//! [`Done`]: how a command went, for the exit code; and the command `why`.

use serde_json::json;
use taskq_core::{BoxError, Connection, TaskId};

use super::{Format, output::say};
use crate::why::why as ask_why;

/// How a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It did what was asked. Exit code 0.
    Well,
    /// What was asked for is not there, or something is wrong. Exit code 1.
    NotSo,
}

impl Done {
    /// Well, if this is so.
    pub(super) fn if_so(is_so: bool) -> Self {
        if is_so { Self::Well } else { Self::NotSo }
    }
}

/// Prints the answer; 1 if there is no such task.
pub(super) async fn why(connection: &Connection, id: &TaskId, format: Format) -> Result<Done, BoxError> {
    let why = ask_why(connection, id).await?;
    match format.json {
        true => say(json!({"id": id.to_string(), "code": why.code, "why": why.text})),
        false => say(&why.text),
    }
    Ok(Done::if_so(why.code != "unknown"))
}
