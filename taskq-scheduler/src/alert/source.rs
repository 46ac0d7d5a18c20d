//! [`Source`]: where a secret comes from. It is read at each delivery, so that it can be replaced without a restart.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use taskq_core::{Result, limits::MAX_ALERT_SECRET};

use super::refusal::Refusal;
use crate::{health::beside, secret::Secret, table::Table};

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// It stands in the configuration itself.
    Here(Secret),
    /// A variable of the environment.
    Variable(String),
    /// A file.
    File(PathBuf),
}

impl Source {
    /// Takes `{key}_env` or `{key}_file` out of a table.
    pub(super) fn take_outside(table: &mut Table, key: &str) -> Result<Option<Self>> {
        let (env, file) = (format!("{key}_env"), format!("{key}_file"));
        match (table.text(&env)?, table.path(&file)?) {
            (Some(_), Some(_)) => Err(table.wrong(&file, format!("there is {env} too; give it one of them"))),
            (Some(name), None) => Self::variable(table, &env, name).map(Some),
            (None, Some(path)) => Ok(Some(Self::File(path))),
            (None, None) => Ok(None),
        }
    }

    /// The variable `name`, as it stands in a table at `key`.
    pub(super) fn variable(table: &Table, key: &str, name: String) -> Result<Self> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match name.bytes().all(is_part) && !name.is_empty() {
            true => Ok(Self::Variable(name)),
            // Not the text: somebody may have written the secret itself.
            false => Err(table.wrong(key, "write the name of a variable: letters, digits and _")),
        }
    }

    /// The secret itself.
    pub(super) async fn read(&self) -> Result<Secret, Refusal> {
        let text = match self {
            Self::Here(secret) => return Ok(secret.clone()),
            Self::Variable(name) => std::env::var(name)
                .map_err(|_| Refusal::new(format_args!("the variable {name} is not set, or no text")))?,
            Self::File(path) => {
                let path = path.clone();
                beside(move || Ok(of_file(&path))).await??
            }
        };
        // Editors end a file with an end of the line.
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(Refusal::new(format_args!("{self:?} is empty"))),
            text => Ok(Secret::new(text.to_owned())),
        }
    }
}

/// Where it comes from, without the secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(secret) => secret.fmt(f),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

fn of_file(path: &Path) -> Result<String, Refusal> {
    let mut text = String::new();
    let limit = MAX_ALERT_SECRET as u64;
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_string(&mut text));
    let refuse = |words: &dyn fmt::Display| Refusal::new(format_args!("the file {}: {words}", path.display()));
    match read {
        Ok(_) if text.len() > MAX_ALERT_SECRET => Err(refuse(&format_args!("it has more than {limit} bytes"))),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(refuse(&"it is no text")),
        Err(error) => Err(refuse(&error.kind())),
    }
}
