//! A broker URL taken apart and checked: which file, which namespace, how durable. A typing error is named with its cure.

use std::path::{Path, PathBuf};

use taskq_core::{
    error::{Error, Result},
    id::Namespace,
    limits,
};

use crate::patch::Patch;

const OPERATION: &str = "broker url";

/// The options a URL may carry, for the sentence about an unknown one.
const OPTIONS: [&str; 2] = ["namespace", "synchronous"];

/// A SQLite file and how to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The file.
    pub(crate) path: PathBuf,
    /// Whose tasks.
    pub(crate) namespace: Namespace,
    /// When a commit counts as done.
    pub(crate) synchronous: Synchronous,
    /// For tests: the file may have only this many pages, so that the disk seems full.
    pub(crate) max_pages: Option<u32>,
    /// For tests: a mistake in the statements.
    pub(crate) patch: Patch,
}

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synchronous {
    /// On disk.
    Full,
    /// With the operating system: a crash of the program loses nothing, power loss may.
    Normal,
}

impl Synchronous {
    /// As SQLite calls it.
    pub(crate) fn as_pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

impl Address {
    /// Takes `sqlite://path?options` apart.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sqlite") => rest,
            _ if url.contains(":memory:") => return Err(in_memory(url)),
            _ => {
                return Err(Error::invalid(
                    OPERATION,
                    url,
                    "write sqlite://relative/path.db or sqlite:///absolute/path.db",
                ));
            }
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        check_path(url, path)?;
        let mut address = Self {
            path: PathBuf::from(path),
            namespace: Namespace::new(limits::DEFAULT_NAMESPACE)?,
            synchronous: Synchronous::Full,
            max_pages: None,
            patch: Patch::default(),
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            address.set(name, value)?;
        }
        Ok(address)
    }

    /// How errors and logs show it.
    pub(crate) fn shown(&self) -> String {
        format!("sqlite://{}", self.path.display())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match (name, value) {
            ("namespace", name) => self.namespace = Namespace::new(name)?,
            ("synchronous", "full") => self.synchronous = Synchronous::Full,
            ("synchronous", "normal") => self.synchronous = Synchronous::Normal,
            ("synchronous", other) => {
                return Err(Error::invalid(OPERATION, format!("synchronous={other}"), "use full or normal"));
            }
            // Not listed in the cure: it exists so that a test can fill the disk.
            ("max_pages", pages) => match pages.parse() {
                Ok(pages) => self.max_pages = Some(pages),
                Err(error) => return Err(Error::invalid(OPERATION, format!("max_pages={pages}"), error)),
            },
            (unknown, _) => return Err(Error::invalid(OPERATION, format!("option \"{unknown}\""), nearest(unknown))),
        }
        Ok(())
    }
}

fn check_path(url: &str, path: &str) -> Result<()> {
    match path {
        "" => Err(Error::invalid(OPERATION, url, "it names no file; write sqlite://path/to/taskq.db")),
        _ if path.contains(":memory:") => Err(in_memory(url)),
        _ if path.starts_with("~/") => {
            Err(Error::invalid(OPERATION, url, "~ is not expanded in a URL; write the whole path, sqlite:///home/..."))
        }
        _ if path.contains('\0') => Err(Error::invalid(OPERATION, "path", "it contains a zero byte")),
        _ if path.ends_with('/') || Path::new(path).is_dir() => {
            Err(Error::invalid(OPERATION, url, "this is a folder; name a file in it, e.g. taskq.db"))
        }
        _ => Ok(()),
    }
}

fn in_memory(url: &str) -> Error {
    Error::invalid(
        OPERATION,
        url,
        "a SQLite database in memory cannot be shared between threads or processes; use memory://",
    )
}

/// The cure for an unknown option: the known one that differs least.
fn nearest(unknown: &str) -> String {
    let nearest = OPTIONS.into_iter().min_by_key(|known| distance(unknown, known)).unwrap_or_default();
    match distance(unknown, nearest) {
        0..=3 => format!("unknown; did you mean \"{nearest}\"?"),
        _ => format!("unknown; the options are {}", OPTIONS.join(", ")),
    }
}

/// How many letters must be inserted, removed or changed to make one word of the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (removed, letter) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = removed + 1;
        for (place, other) in to.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Address::parse(url).expect_err("refused").to_string()
    }

    #[test]
    fn a_url_names_a_file_and_options() {
        let relative = Address::parse("sqlite://data/taskq.db").expect("valid");
        assert_eq!((relative.path.as_path(), relative.synchronous), (Path::new("data/taskq.db"), Synchronous::Full));
        assert_eq!(relative.namespace.as_str(), limits::DEFAULT_NAMESPACE);
        let absolute = Address::parse("sqlite:///var/x.db?namespace=shop&synchronous=normal").expect("valid");
        assert_eq!((absolute.path.as_path(), absolute.synchronous), (Path::new("/var/x.db"), Synchronous::Normal));
        assert_eq!((absolute.namespace.as_str(), absolute.shown().as_str()), ("shop", "sqlite:///var/x.db"));
    }

    #[test]
    fn a_bad_url_is_refused_with_the_cure() {
        assert!(refused("sqlite::memory:").contains("use memory://"));
        assert!(refused("sqlite://:memory:").contains("use memory://"));
        assert!(refused("sqlite:x.db").contains("write sqlite://relative/path.db"));
        assert!(refused("sqlite://").contains("names no file"));
        assert!(refused("sqlite://~/x.db").contains("not expanded"));
        assert!(refused("sqlite:///tmp").contains("a folder"));
        assert!(refused("sqlite://x.db?namespce=a").contains("did you mean \"namespace\"?"));
        assert!(refused("sqlite://x.db?colour=red").contains("the options are namespace, synchronous"));
        assert!(refused("sqlite://x.db?synchronous=off").contains("use full or normal"));
        assert!(refused("sqlite://x.db?namespace=a:b").contains("':' is not allowed"));
    }
}
