//! What a scheduler brings to the broker when it leads: the entries of its program, and those of its configuration file.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use taskq_core::{Author, Connection, EntryId, EntryOrigin, Error, ErrorKind, FencingToken, Result};
use tokio::sync::watch;

use crate::{Entry, book::Book};

/// Entries as brokers keep them.
pub(crate) type Texts = BTreeMap<EntryId, String>;

/// The entries that a scheduler stands for. Those of the file change while it runs.
pub(crate) struct Declaration {
    code: Arc<Texts>,
    /// `None` if there is no file, which is not the same as a file without entries.
    file: watch::Sender<Option<Arc<Texts>>>,
}

/// What has to be written so that a broker has what is declared.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) removals: Vec<(Author, EntryId)>,
    pub(crate) puts: Vec<(Author, EntryId, String)>,
}

impl Declaration {
    /// Checks the entries: each by itself, and that no two have one name.
    pub(crate) fn new(connection: &Connection, code: Vec<Entry>, file: Option<Vec<Entry>>) -> Result<Self> {
        let code = texts(connection, code)?;
        let file = file.map(|file| texts(connection, file)).transpose()?;
        file.iter().try_for_each(|file| check_apart(&code, file))?;
        Ok(Self { code: Arc::new(code), file: watch::Sender::new(file.map(Arc::new)) })
    }

    /// Takes these entries in place of those of the file. An error changes nothing.
    pub(crate) fn replace_file(&self, connection: &Connection, entries: Vec<Entry>) -> Result<()> {
        let file = texts(connection, entries)?;
        check_apart(&self.code, &file)?;
        self.file.send_replace(Some(Arc::new(file)));
        Ok(())
    }

    /// Hears of changes of the file.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Arc<Texts>>> {
        self.file.subscribe()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.code.len() + self.file.borrow().as_ref().map_or(0, |file| file.len())
    }

    /// What a leader has to write: `book` is what the broker has, and `file` what was heard of last.
    ///
    /// A program without entries knows nothing of code, and leaves those of code as they are.
    pub(crate) fn against(&self, book: &Book, file: Option<&Texts>, token: FencingToken) -> Changes {
        let code = Some(&*self.code).filter(|code| !code.is_empty());
        let sides = [(Author::Code(token), code), (Author::File(token), file)];
        let mut changes = Changes::default();
        for (author, texts) in sides.into_iter().filter_map(|(author, texts)| Some((author, texts?))) {
            let of_author = book.ids().filter(|(_, known)| known.origin == author.origin()).map(|(id, _)| id);
            let gone = of_author.filter(|id| !texts.contains_key(*id)).cloned();
            changes.removals.extend(gone.map(|id| (author, id)));
            let differs = |id: &EntryId, text: &str| !is_kept(book, author.origin(), id, text);
            let changed = texts.iter().filter(|(id, text)| differs(id, text));
            changes.puts.extend(changed.map(|(id, text)| (author, id.clone(), text.clone())));
        }
        changes
    }
}

impl fmt::Debug for Declaration {
    /// Never shows the texts: they have the arguments of tasks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Declaration({} entries)", self.len())
    }
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.removals.is_empty() && self.puts.is_empty()
    }
}

/// Whether the broker has the entry from there, as it is.
fn is_kept(book: &Book, origin: EntryOrigin, id: &EntryId, text: &str) -> bool {
    book.get(id).is_some_and(|known| known.origin == origin && *known.text == *text)
}

fn texts(connection: &Connection, entries: Vec<Entry>) -> Result<Texts> {
    let mut texts = Texts::new();
    for entry in entries {
        let (id, text) = entry.written(connection)?;
        if texts.contains_key(&id) {
            return Err(twice(&id, "two entries have this name in one queue; give each its own"));
        }
        texts.insert(id, text);
    }
    Ok(texts)
}

fn check_apart(code: &Texts, file: &Texts) -> Result<()> {
    let names: HashSet<&EntryId> = code.keys().collect();
    match file.keys().find(|id| names.contains(id)) {
        None => Ok(()),
        Some(id) => Err(twice(id, "the program has an entry of this name already; rename the one of the file")),
    }
}

fn twice(id: &EntryId, cure: &'static str) -> Error {
    Error::new(ErrorKind::Config, "schedule", format!("entry \"{id}\"")).because(cure)
}
