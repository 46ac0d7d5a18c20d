//! What is peculiar to SQLite: one file shared by processes that die, disks that fill, files that are not ours.
//!
//! What needs a process of its own, to be killed or counted, runs `examples/sqlite_process.rs`.

#![cfg(feature = "sqlite")]

#[path = "sqlite/beside.rs"]
mod beside;
#[path = "sqlite/file.rs"]
mod file;
#[path = "sqlite/looking.rs"]
mod looking;
#[path = "sqlite/processes.rs"]
mod processes;
#[path = "sqlite/writing.rs"]
mod writing;

use std::path::{Path, PathBuf};

use taskq_core::{
    Clock, Connection, Envelope, Invocation, Payload, QueueName, TaskId, WorkerId,
    broker::{Accepted, Claimed, Ending, Settled, Settlement},
    id::{BatchId, ClaimNumber, Owner},
};
use tempfile::TempDir;

/// A folder for one test.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("taskq.db")
    }

    /// The folder of the sockets.
    fn bells(&self) -> PathBuf {
        self.folder.path().join("taskq.db-bells")
    }

    fn url(&self) -> String {
        url(&self.file())
    }

    async fn connect(&self) -> Connection {
        connect(&self.url()).await
    }
}

fn url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

async fn connect(url: &str) -> Connection {
    try_connect(url).await.expect("opens")
}

async fn try_connect(url: &str) -> taskq_core::Result<Connection> {
    taskq_brokers::sqlite::connect(url, Clock::system()).await
}

fn queue() -> QueueName {
    QueueName::new("q").expect("valid")
}

fn envelope() -> Envelope {
    Invocation::named("noop", &serde_json::json!({ "number": 1 })).queue("q").into_envelope().expect("valid")
}

async fn try_enqueue(connection: &Connection) -> taskq_core::Result<TaskId> {
    let envelope = envelope();
    let accepted = connection.broker().enqueue(&queue(), BatchId::generate(), std::slice::from_ref(&envelope)).await?;
    assert_eq!(accepted, [Accepted::Created]);
    Ok(envelope.id)
}

async fn enqueue(connection: &Connection) -> TaskId {
    try_enqueue(connection).await.expect("enqueues")
}

async fn join(connection: &Connection) -> Owner {
    let owner = Owner { worker: WorkerId::generate(), term: 0 };
    connection.broker().join(owner, &queue(), taskq_core::limits::LEASE).await.expect("joins");
    owner
}

async fn claim(connection: &Connection, owner: Owner, count: usize) -> Vec<Claimed> {
    connection.broker().claim(owner, &queue(), count, ClaimNumber(1)).await.expect("claims").claimed
}

async fn succeed(connection: &Connection, owner: Owner, claimed: Claimed) -> Settled {
    let result = Payload::encode("encode", &7, 10).expect("small");
    let settlement = Settlement { token: claimed.token, envelope: claimed.envelope, ending: Ending::Succeeded(result) };
    connection.broker().settle(owner, &queue(), &[settlement]).await.expect("settles").remove(0)
}
