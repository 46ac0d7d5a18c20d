//! One look at a file for a health check. It never creates one, and never changes one.

use std::{fs, path::Path, time::Duration};

use taskq_brokers::sqlite::probe;
use taskq_core::{Error, ErrorKind};

use crate::Place;

const SHORT: Duration = Duration::from_millis(50);

async fn fails(path: &Path) -> Error {
    probe(path, SHORT).await.expect_err("not well")
}

#[tokio::test]
async fn a_database_is_well_while_others_write_it() {
    let place = Place::new();
    let connection = place.connect().await;
    probe(&place.file(), SHORT).await.expect("it can be read");
    drop(connection);
    probe(&place.file(), SHORT).await.expect("it can be read");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_and_not_created() {
    let place = Place::new();
    let error = fails(&place.file()).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("the file does not exist"), "{error}");
    assert_eq!(fs::read_dir(place.folder.path()).expect("readable").count(), 0);
    let error = fails(place.folder.path()).await;
    assert!(error.to_string().contains("it is a folder"), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_told() {
    let place = Place::new();
    fs::write(place.file(), "").expect("writes");
    assert!(fails(&place.file()).await.to_string().contains("the file is empty"));
    fs::write(place.file(), "canary ".repeat(1_000)).expect("writes");
    let error = fails(&place.file()).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("not a SQLite database") && !error.to_string().contains("canary"), "{error}");
}

#[tokio::test]
async fn a_file_that_stays_locked_is_told() {
    let place = Place::new();
    let locker = rusqlite::Connection::open(place.file()).expect("opens");
    locker.execute_batch("CREATE TABLE t (n); BEGIN EXCLUSIVE").expect("locks");
    let error = fails(&place.file()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("another process holds the write lock"), "{error}");
    locker.execute_batch("ROLLBACK").expect("unlocks");
    probe(&place.file(), SHORT).await.expect("it can be read");
}
