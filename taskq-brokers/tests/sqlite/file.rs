//! Files that cannot be used, or not as they are: each is refused or survived, with the path and the cure in the error.

use std::{fs, os::unix::fs::PermissionsExt};

use taskq_core::{
    CandidateId, ErrorKind, Standing, State,
    broker::Settled,
    conformance::{documents::documents_of_namespaces_do_not_mix, schedules::schedules_of_namespaces_do_not_mix},
    limits::LEASE,
    state::DeadReason,
};

use crate::{Place, claim, connect, enqueue, join, processes::Process, queue, succeed, try_connect, try_enqueue, url};

#[tokio::test]
async fn a_missing_folder_is_named_with_the_cure() {
    let place = Place::new();
    let error = try_connect(&url(&place.folder.path().join("no/such/taskq.db"))).await.expect_err("is missing");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotFound, false));
    assert!(error.to_string().contains("no/such does not exist; create it"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let place = Place::new();
    let text = "dear diary, ".repeat(1_000);
    fs::write(place.file(), &text).expect("writes");
    let error = try_connect(&place.url()).await.expect_err("is a diary");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("not a SQLite database; choose another path"), "{error}");
    assert!(error.to_string().contains("taskq.db"), "{error}");
    assert_eq!(fs::read_to_string(place.file()).expect("reads"), text);
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_alone() {
    let place = Place::new();
    let other = rusqlite::Connection::open(place.file()).expect("opens");
    other.execute_batch("CREATE TABLE users (name TEXT)").expect("creates");
    let error = try_connect(&place.url()).await.expect_err("is somebody else's");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("give taskq a file of its own"), "{error}");
    let mode: String = other.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("reads");
    assert_eq!(mode, "delete");
}

#[tokio::test]
async fn a_newer_layout_is_refused_unless_it_says_that_this_program_may_go_on() {
    let place = Place::new();
    drop(place.connect().await);
    let newer = |oldest: i64| {
        let file = rusqlite::Connection::open(place.file()).expect("opens");
        file.pragma_update(None, "user_version", 99).expect("sets");
        file.execute("UPDATE taskq_meta SET value = ?1 WHERE name = 'oldest'", [oldest]).expect("sets");
    };
    newer(98);
    let error = try_connect(&place.url()).await.expect_err("too new");
    assert_eq!(error.kind(), ErrorKind::Layout);
    assert!(error.to_string().contains("upgrade it"), "{error}");
    newer(1);
    enqueue(&place.connect().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_create_the_file_at_once() {
    let place = Place::new();
    let opened: Vec<_> = (0..12)
        .map(|_| {
            let url = place.url();
            tokio::spawn(async move { enqueue(&connect(&url).await).await })
        })
        .collect();
    for opened in opened {
        opened.await.expect("opens and enqueues");
    }
    let counts = place.connect().await.inspect().counts(&queue()).await.expect("counts");
    assert_eq!(counts.ready, 12);
}

/// Root may write everywhere, so this runs as nobody.
#[test]
fn a_read_only_folder_and_a_read_only_file_are_refused_with_the_cure() {
    let place = Place::new();
    let folder = place.folder.path();
    let forbid = |mode| fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("sets");
    forbid(0o555);
    let told = Process::of("connect", &place.url()).run_as_nobody().lines();
    assert!(told[0].starts_with("Refused"), "{told:?}");
    assert!(told[0].contains("taskq.db") && told[0].contains("writable"), "{told:?}");

    forbid(0o755);
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async { drop(place.connect().await) });
    fs::set_permissions(place.file(), fs::Permissions::from_mode(0o444)).expect("sets");
    let told = Process::of("connect", &place.url()).run_as_nobody().lines();
    assert!(told[0].starts_with("Refused"), "{told:?}");
    assert!(told[0].contains("must be able to write it"), "{told:?}");
    forbid(0o755);
}

#[tokio::test]
async fn a_full_file_is_a_transient_error_and_loses_nothing_that_was_accepted() {
    let place = Place::new();
    let narrow = connect(&format!("{}?max_pages=60", place.url())).await;
    let mut accepted = Vec::new();
    let error = loop {
        match try_enqueue(&narrow).await {
            Ok(id) => accepted.push(id),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Full, true));
    assert!(error.to_string().contains("taskq.db: the disk is full; free some space"), "{error}");
    assert!(accepted.len() > 100);
    for id in &accepted {
        assert_eq!(narrow.broker().find(id).await.expect("reads go on").expect("known").state, State::Ready);
    }
    // There is room again.
    let wide = place.connect().await;
    enqueue(&wide).await;
    let owner = join(&wide).await;
    let mut done = 0;
    loop {
        let claimed = claim(&wide, owner, 200).await;
        if claimed.is_empty() {
            break;
        }
        for task in claimed {
            assert_eq!(succeed(&wide, owner, task).await, Settled::Applied);
            done += 1;
        }
    }
    assert_eq!(done, accepted.len() + 1);
}

/// On a real file system of 4 MiB; only root can mount one, the test above serves everybody else.
#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_accepted_and_resumes_when_there_is_room() {
    let place = Place::new();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(place.folder.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("not run: this user cannot mount a small disk; max_pages stands in for it");
        return;
    }
    let _unmounted = Unmount(place.folder.path().to_owned());
    let ballast = place.folder.path().join("ballast");
    fs::write(&ballast, vec![1; 1024 * 1024]).expect("writes");
    let connection = place.connect().await;
    let mut accepted = Vec::new();
    let error = loop {
        match try_enqueue(&connection).await {
            Ok(id) => accepted.push(id),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Full, true), "{error}");
    assert_eq!(connection.inspect().counts(&queue()).await.expect("counts").ready, accepted.len() as u64);
    fs::remove_file(&ballast).expect("removes");
    accepted.push(enqueue(&connection).await);
    drop(connection);
    let again = place.connect().await;
    for id in &accepted {
        assert_eq!(again.broker().find(id).await.expect("finds").expect("known").state, State::Ready);
    }
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        // Lazily: the connection above may be dropped later than this.
        std::process::Command::new("umount").arg("-l").arg(&self.0).status().expect("unmounts");
    }
}

#[tokio::test]
async fn an_envelope_that_does_not_decode_is_buried_with_its_bytes_and_holds_nobody_up() {
    let place = Place::new();
    let connection = place.connect().await;
    let (bad, good) = (enqueue(&connection).await, enqueue(&connection).await);
    let other = rusqlite::Connection::open(place.file()).expect("opens");
    other.execute("UPDATE taskq_tasks SET body = x'ff00' WHERE key = ?1", [bad.key.to_bytes()]).expect("spoils it");
    let owner = join(&connection).await;
    let claimed = claim(&connection, owner, 9).await;
    assert_eq!(claimed.iter().map(|claimed| &claimed.envelope.id).collect::<Vec<_>>(), [&good]);
    let snapshot = connection.broker().find(&bad).await.expect("finds").expect("kept");
    assert_eq!((snapshot.state, snapshot.reason), (State::Dead, Some(DeadReason::Undecodable)));
    let letters = connection.inspect().dead_letters(&queue(), None, 9).await.expect("lists");
    assert_eq!((letters.len(), &letters[0].id, &letters[0].envelope), (1, &bad, &None));
    let kept: Vec<u8> = other
        .query_row("SELECT body FROM taskq_tasks WHERE key = ?1", [bad.key.to_bytes()], |row| row.get(0))
        .expect("reads");
    assert_eq!(kept, [0xFF, 0]);
    // Replayed, it is buried again, and that is all.
    assert!(connection.control().replay(&bad).await.expect("replays"));
    assert!(claim(&connection, owner, 9).await.is_empty());
    assert!(connection.control().drop_dead(&bad).await.expect("drops"));
}

#[tokio::test]
async fn arguments_over_the_limit_are_buried_unread() {
    let place = Place::new();
    let connection = place.connect().await;
    let mut envelope = crate::envelope();
    let large = format!("\"{}\"", "x".repeat(taskq_core::limits::MAX_STORED_PAYLOAD));
    envelope.payload = taskq_core::Payload::from_raw(serde_json::value::RawValue::from_string(large).expect("json"));
    let batch = taskq_core::id::BatchId::generate();
    connection.broker().enqueue(&queue(), batch, std::slice::from_ref(&envelope)).await.expect("enqueues");
    let owner = join(&connection).await;
    assert!(claim(&connection, owner, 9).await.is_empty());
    let letters = connection.inspect().dead_letters(&queue(), None, 9).await.expect("lists");
    assert_eq!((&letters[0].id, letters[0].reason), (&envelope.id, DeadReason::Undecodable));
}

#[tokio::test]
async fn a_lease_of_another_boot_is_over() {
    let place = Place::new();
    let connection = place.connect().await;
    let id = enqueue(&connection).await;
    let owner = join(&connection).await;
    let claimed = claim(&connection, owner, 1).await.remove(0);
    let other = rusqlite::Connection::open(place.file()).expect("opens");
    other.execute("UPDATE taskq_leases SET boot = 'the one before'", []).expect("reboots");
    assert_eq!(succeed(&connection, owner, claimed).await, Settled::Fenced);
    let beats = [(owner, queue())];
    assert!(!connection.broker().beat(&beats).await.expect("beats")[0].alive);
    assert_eq!(connection.broker().sweep(&queue(), 10).await.expect("sweeps").reclaimed, 1);
    assert_eq!(connection.broker().find(&id).await.expect("finds").expect("known").state, State::Ready);
}

#[tokio::test]
async fn a_leadership_of_another_boot_is_over_and_its_token_is_not() {
    let place = Place::new();
    let connection = place.connect().await;
    let stand = async || {
        let standing = connection.leader().stand(CandidateId::generate(), LEASE).await.expect("stands");
        if let Standing::Elected(elected) = standing { Some(elected.token) } else { None }
    };
    let before = stand().await.expect("nobody leads");
    assert_eq!(stand().await, None);
    let other = rusqlite::Connection::open(place.file()).expect("opens");
    other.execute("UPDATE taskq_leaders SET boot = 'the one before'", []).expect("reboots");
    assert!(stand().await.expect("whoever led is gone") > before);
}

#[tokio::test]
async fn two_namespaces_in_one_file_do_not_see_each_other() {
    let place = Place::new();
    let shop = connect(&format!("{}?namespace=shop", place.url())).await;
    let bank = connect(&format!("{}?namespace=bank", place.url())).await;
    let id = enqueue(&shop).await;
    assert_eq!(bank.broker().find(&id).await.expect("finds"), None);
    assert_eq!(bank.inspect().queues().await.expect("lists"), []);
    let owner = join(&bank).await;
    assert!(claim(&bank, owner, 9).await.is_empty());
    assert_eq!(shop.broker().find(&id).await.expect("finds").expect("known").state, State::Ready);
    schedules_of_namespaces_do_not_mix(&shop, &bank).await;
    documents_of_namespaces_do_not_mix(&shop, &bank).await;
}
