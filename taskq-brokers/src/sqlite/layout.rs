//! Which version of the file this program can work with. A newer one that changed the rules is refused, an older one is
//! migrated step by step in one transaction, and a newer one that only added something is worked with side by side.
//!
//! The file says two numbers: its version (`user_version`) and the oldest program that may still use it
//! (`taskq_meta.oldest`). So an old program asks the file, not itself, whether it is too old.

use rusqlite::{Connection as Database, OptionalExtension};
use taskq_core::error::ErrorKind;

use super::{busy::Turns, failure::Failure};

/// Marks the file as ours: "tskq" in ASCII.
const APPLICATION: i64 = 0x7473_6B71;

/// What the present program knows of layouts. A test may know another history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    steps: &'static [Migration],
}

/// One version of the file, made from the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    /// What it changes, for people.
    pub(crate) change: &'static str,
    /// The statements.
    pub(crate) sql: &'static str,
    /// The oldest version of the program that may use the result.
    pub(crate) oldest: i64,
}

/// Every version of the file, oldest first; the n-th makes version n. Append only.
const HISTORY: &[Migration] = &[
    Migration { change: "the first layout", sql: include_str!("schema.sql"), oldest: 1 },
    Migration {
        change: "a worker's claims can be overtaken",
        // The number of the last claim that the owner has given up.
        sql: "ALTER TABLE taskq_leases ADD COLUMN overtaken INTEGER NOT NULL DEFAULT 0",
        oldest: 1,
    },
    Migration {
        change: "each worker says how long its leases are",
        // In milliseconds; what older programs write has the length that they know.
        sql: "ALTER TABLE taskq_leases ADD COLUMN length INTEGER NOT NULL DEFAULT 4500",
        oldest: 1,
    },
    Migration {
        change: "entries of schedulers, and who leads these",
        // Older programs leave them alone.
        sql: include_str!("schedules.sql"),
        oldest: 1,
    },
    Migration {
        change: "documents of programs",
        // Older programs leave them alone, and move the counter of their versions on.
        sql: include_str!("documents.sql"),
        oldest: 1,
    },
    Migration {
        change: "members of the fleet, paused queues, log lines of tasks, and events",
        // An older program would go on handing out tasks of a queue that somebody has paused. It leaves lines
        // and events alone.
        sql: concat!(include_str!("fleet.sql"), include_str!("logs.sql"), include_str!("events.sql")),
        oldest: 6,
    },
    Migration {
        change: "scheduled and retrying tasks are listed apart",
        // Older programs find the same tasks with it, and take longer.
        sql: "DROP INDEX taskq_tasks_due;
              CREATE INDEX taskq_tasks_due ON taskq_tasks (queue, state, due) WHERE due IS NOT NULL;",
        oldest: 6,
    },
];

impl Layout {
    /// What this program knows.
    pub(crate) const fn present() -> Self {
        Self { steps: HISTORY }
    }

    #[cfg(test)]
    pub(crate) const fn of(steps: &'static [Migration]) -> Self {
        Self { steps }
    }

    /// The version it writes.
    fn version(&self) -> i64 {
        self.steps.len() as i64
    }

    /// Refuses a file that is no broker of ours, before anything in it is touched.
    pub(super) fn recognise(&self, database: &Database) -> Result<(), Failure> {
        let application = pragma(database, "application_id")?;
        let tables: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        match application {
            APPLICATION => self.accept(database),
            0 if tables == 0 => Ok(()),
            _ => Err(Failure::new(
                ErrorKind::Refused,
                "this is the SQLite database of another program; give taskq a file of its own",
            )),
        }
    }

    /// Brings the file to this program's version, unless it is there already or further.
    pub(super) fn establish(&self, database: &Database, turns: &mut Turns) -> Result<(), Failure> {
        if pragma(database, "user_version")? >= self.version() {
            return self.accept(database);
        }
        turns.patiently(|| Ok(database.execute_batch("BEGIN IMMEDIATE")?))?;
        let migrated = self.migrate(database).and_then(|()| turns.patiently(|| Ok(database.execute_batch("COMMIT")?)));
        if migrated.is_err() && !database.is_autocommit() {
            database.execute_batch("ROLLBACK")?;
        }
        migrated
    }

    /// Refuses a file whose rules are newer than this program. Asked again whenever somebody else wrote.
    pub(super) fn accept(&self, database: &Database) -> Result<(), Failure> {
        let version = pragma(database, "user_version")?;
        if version <= self.version() {
            return Ok(());
        }
        let oldest: Option<i64> = database
            .prepare_cached("SELECT value FROM taskq_meta WHERE name = 'oldest'")?
            .query_row([], |row| row.get(0))
            .optional()?;
        match oldest {
            Some(oldest) if oldest <= self.version() => Ok(()),
            _ => Err(Failure::new(
                ErrorKind::Layout,
                format!(
                    "a newer taskq wrote this file (layout {version}); this program knows up to {}: upgrade it",
                    self.version()
                ),
            )),
        }
    }

    /// Inside the transaction, since another process may have migrated meanwhile.
    fn migrate(&self, database: &Database) -> Result<(), Failure> {
        let found = pragma(database, "user_version")?;
        let done = usize::try_from(found).unwrap_or(0);
        for (migration, version) in self.steps.iter().zip(1i64..).skip(done) {
            tracing::info!(version, change = migration.change, "migrating the layout");
            database.execute_batch(migration.sql)?;
            database
                .execute("INSERT OR REPLACE INTO taskq_meta (name, value) VALUES ('oldest', ?1)", [migration.oldest])?;
            database.pragma_update(None, "user_version", version)?;
        }
        database.pragma_update(None, "application_id", APPLICATION)?;
        Ok(())
    }
}

fn pragma(database: &Database, name: &str) -> Result<i64, Failure> {
    Ok(database.pragma_query_value(None, name, |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use taskq_core::{
        Clock, Connection, Invocation, QueueName, State, WorkerId,
        broker::{Ending, Settlement},
        codec::Payload,
        id::{BatchId, ClaimNumber, Owner, TaskId},
    };

    use super::*;
    use crate::sqlite::{address::Address, connect_with};

    /// The versions up to the first that the present program can work with, and those behind.
    macro_rules! history {
        ($($more:ident),*) => {{
            const STEPS: &[Migration] =
                &[HISTORY[0], HISTORY[1], HISTORY[2], HISTORY[3], HISTORY[4], HISTORY[5], HISTORY[6], $($more),*];
            Layout::of(STEPS)
        }};
    }

    /// Adds a column with a default and an index: whoever does not know them can go on.
    const ADDS: Migration = Migration {
        change: "notes on tasks",
        sql: "ALTER TABLE taskq_tasks ADD COLUMN note TEXT NOT NULL DEFAULT 'none';
              CREATE INDEX taskq_tasks_note ON taskq_tasks (note) WHERE note <> 'none';",
        oldest: 1,
    };
    /// Renames a column: no older program can work with it.
    const BREAKS: Migration =
        Migration { change: "another name", sql: "ALTER TABLE taskq_tasks RENAME COLUMN reason TO cause;", oldest: 9 };

    const OLD: Layout = history![];
    const NEW: Layout = history![ADDS];
    const INCOMPATIBLE: Layout = history![ADDS, BREAKS];

    async fn open(file: &Path, layout: Layout) -> taskq_core::Result<Connection> {
        let address = Address::parse(&format!("sqlite://{}", file.display())).expect("valid");
        connect_with(address, Clock::system(), layout).await
    }

    async fn enqueue(connection: &Connection) -> taskq_core::Result<TaskId> {
        let envelope = Invocation::named("noop", &serde_json::json!({})).queue("q").into_envelope().expect("valid");
        connection.broker().enqueue(&envelope.id.queue, BatchId::generate(), std::slice::from_ref(&envelope)).await?;
        Ok(envelope.id)
    }

    /// Claims and settles one task.
    async fn run_one(connection: &Connection) -> TaskId {
        let (broker, queue) = (connection.broker(), QueueName::new("q").expect("valid"));
        let owner = Owner { worker: WorkerId::generate(), term: 0 };
        broker.join(owner, &queue, taskq_core::limits::LEASE).await.expect("joins");
        let claimed = broker.claim(owner, &queue, 1, ClaimNumber(1)).await.expect("claims").claimed.remove(0);
        let id = claimed.envelope.id.clone();
        let result = Payload::encode("encode", &1, 10).expect("small");
        let settlement =
            Settlement { token: claimed.token, envelope: claimed.envelope, ending: Ending::Succeeded(result) };
        broker.settle(owner, &queue, &[settlement]).await.expect("settles");
        id
    }

    #[tokio::test]
    async fn old_and_new_work_side_by_side_on_a_file_that_only_gained_something() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.db");
        let old = open(&file, OLD).await.expect("creates it");
        let before = enqueue(&old).await.expect("enqueues");
        let new = open(&file, NEW).await.expect("migrates while the old one runs");
        for (from, to) in [(&old, &new), (&new, &old), (&old, &old)] {
            enqueue(from).await.expect("enqueues");
            let ran = run_one(to).await;
            let seen = from.broker().find(&ran).await.expect("finds").expect("known");
            assert_eq!(seen.state, State::Succeeded);
        }
        run_one(&old).await;
        let seen = new.broker().find(&before).await.expect("finds").expect("known");
        assert_eq!(seen.state, State::Succeeded, "what the old one accepted is done");
        open(&file, OLD).await.expect("an old program may even start anew");
    }

    #[tokio::test]
    async fn a_program_that_knows_no_pauses_does_not_work_on_beside_one_that_does() {
        const BEFORE: Layout = Layout { steps: HISTORY.split_at(5).0 };
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.db");
        let old = open(&file, BEFORE).await.expect("creates version 5");
        let new = open(&file, Layout::present()).await.expect("migrates while the old one runs");
        new.control().pause(&"q".parse().expect("valid")).await.expect("pauses");
        assert_eq!(enqueue(&old).await.expect_err("may not go on").kind(), ErrorKind::Layout);
        assert_eq!(open(&file, BEFORE).await.expect_err("may not start").kind(), ErrorKind::Layout);
        enqueue(&new).await.expect("enqueues");
    }

    #[tokio::test]
    async fn tasks_that_wait_for_their_time_are_found_under_the_index_before_and_the_present_one() {
        const BEFORE: Layout = Layout { steps: HISTORY.split_at(6).0 };
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.db");
        let old = open(&file, BEFORE).await.expect("creates version 6");
        let moment = std::time::Duration::from_millis(30);
        let delayed = async |connection: &Connection| {
            let soon = Invocation::named("noop", &serde_json::json!({})).queue("q").delay(moment);
            let envelope = soon.into_envelope().expect("valid");
            let envelopes = std::slice::from_ref(&envelope);
            connection.broker().enqueue(&envelope.id.queue, BatchId::generate(), envelopes).await.expect("enqueues");
        };
        delayed(&old).await;
        let new = open(&file, Layout::present()).await.expect("migrates while the old one runs");
        delayed(&new).await;
        let idle = [(Owner { worker: WorkerId::generate(), term: 0 }, QueueName::new("q").expect("valid"))];
        for connection in [&old, &new, &new, &old] {
            connection.broker().work_arrived(&idle, std::time::Duration::from_secs(20)).await.expect("is due");
            run_one(connection).await;
            delayed(connection).await;
        }
    }

    #[tokio::test]
    async fn an_old_program_stops_when_the_file_changes_its_rules_and_is_refused_afterwards() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.db");
        let old = open(&file, OLD).await.expect("creates it");
        let id = enqueue(&old).await.expect("enqueues");
        let newest = open(&file, INCOMPATIBLE).await.expect("migrates over two versions in one go");
        let error = enqueue(&old).await.expect_err("would not understand the file");
        assert_eq!(error.kind(), ErrorKind::Layout);
        let error = old.broker().find(&id).await.expect_err("looks for a column that has another name");
        assert_eq!(error.kind(), ErrorKind::Layout);
        let error = open(&file, NEW).await.expect_err("too old");
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Layout, false));
        let text = error.to_string();
        assert!(text.contains("(layout 9); this program knows up to 8: upgrade it"), "{text}");
        assert!(text.contains("x.db"), "{text}");
        run_one(&newest).await;
    }

    #[tokio::test]
    async fn a_migration_that_fails_changes_nothing() {
        const NONSENSE: Migration = Migration { change: "nonsense", sql: "ALTER TABLE nowhere ADD x", oldest: 9 };
        const FAILS: Layout = history![ADDS, NONSENSE];
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.db");
        drop(open(&file, OLD).await.expect("creates it"));
        open(&file, FAILS).await.expect_err("the ninth version cannot be made");
        let old = open(&file, OLD).await.expect("still as it was");
        enqueue(&old).await.expect("enqueues");
        run_one(&old).await;
        let database = Database::open(&file).expect("opens");
        assert_eq!(pragma(&database, "user_version"), Ok(7));
    }
}
