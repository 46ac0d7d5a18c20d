//! A process for the tests of the SQLite broker to start, count and kill: `sqlite_process ROLE URL`.
//!
//! Each role prints what it has done, a line a step, as soon as it is done; `tests/sqlite` reads that. What goes wrong
//! ends the process with a panic, which fails the test that started it.

use std::{
    error::Error,
    fs,
    time::{Duration, Instant},
};

use serde_json::json;
use taskq_core::{
    Clock, Connection, Invocation, Payload, QueueName, TaskId, WorkerId,
    broker::{Claimed, Ending, Settled, Settlement},
    id::{BatchId, ClaimNumber, Owner},
};

/// Far longer than any wait that is answered.
const BOUND: Duration = Duration::from_secs(20);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let (Some(role), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: sqlite_process ROLE URL".into());
    };
    match role.as_str() {
        "connect" => connect_once(&url).await,
        "work-until-killed" => work_until_killed(&url).await,
        "write-for-a-while" => write_for_a_while(&url).await,
        "open-wait-and-drop" => open_wait_and_drop(&url).await,
        "wait-for-work" => wait_for_work(&url).await,
        unknown => return Err(format!("no role {unknown}").into()),
    }
    Ok(())
}

/// Says how opening went.
async fn connect_once(url: &str) {
    match taskq_brokers::sqlite::connect(url, Clock::system()).await {
        Ok(_) => println!("opened"),
        Err(error) => println!("{:?} {error}", error.kind()),
    }
}

/// Four callers enqueue and one worker works, each naming every task once it was answered, for ever.
async fn work_until_killed(url: &str) {
    let connection = connect(url).await;
    let owner = join(&connection).await;
    for _ in 0..4 {
        let connection = connection.clone();
        tokio::spawn(async move {
            loop {
                println!("enqueued {}", enqueue(&connection).await);
            }
        });
    }
    loop {
        connection.broker().beat(&[(owner, queue())]).await.expect("beats");
        for claimed in connection.broker().claim(owner, &queue(), 5, ClaimNumber(1)).await.expect("claims").claimed {
            let id = claimed.envelope.id.clone();
            println!("claimed {id}");
            assert_eq!(succeed(&connection, owner, claimed).await, Settled::Applied);
            println!("settled {id}");
        }
    }
}

/// Writes for two seconds without a pause, and says how often.
async fn write_for_a_while(url: &str) {
    let connection = connect(url).await;
    println!("ready");
    // All begin when somebody has enqueued the first task.
    while connection.inspect().queues().await.expect("lists").is_empty() {
        tokio::task::yield_now().await;
    }
    // Several callers, so that the next transaction is always at hand: alone this process would never let go.
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move {
                let (start, mut accepted) = (Instant::now(), 0);
                while start.elapsed() < Duration::from_secs(2) {
                    enqueue(&connection).await;
                    accepted += 1;
                }
                accepted
            })
        })
        .collect();
    let mut commits = 0;
    for caller in callers {
        commits += caller.await.expect("ends");
    }
    println!("{commits}");
}

/// Uses two connections in every way, and says which threads they had, and which threads and files they left.
async fn open_wait_and_drop(url: &str) {
    // What the runtime itself opens comes first.
    tokio::spawn(async {}).await.expect("ends");
    let before = open_files();
    for _ in 0..3 {
        let connection = connect(url).await;
        let another = connection.open_another().await.expect("opens");
        let owner = join(&connection).await;
        let id = enqueue(&another).await;
        connection.broker().work_arrived(&[(owner, queue())], Duration::from_secs(5)).await.expect("waits");
        another.broker().wait(&id, Duration::from_millis(1)).await.expect("waits");
        println!("busy {}", threads_once_named(6));
        drop((connection, another));
        println!("left {} {}", own_threads(), open_files() as i64 - before as i64);
    }
}

/// Waits for a task three times, and says when it waits and what it got.
async fn wait_for_work(url: &str) {
    let connection = connect(url).await;
    let owner = join(&connection).await;
    for _ in 0..3 {
        println!("waits");
        let claimed = loop {
            let begun = Instant::now();
            connection.broker().work_arrived(&[(owner, queue())], BOUND).await.expect("waits");
            assert!(begun.elapsed() < BOUND, "nobody was noticed");
            connection.broker().beat(&[(owner, queue())]).await.expect("beats");
            let mut claimed =
                connection.broker().claim(owner, &queue(), 1, ClaimNumber(1)).await.expect("claims").claimed;
            if let Some(claimed) = claimed.pop() {
                break claimed;
            }
        };
        println!("got {}", claimed.envelope.id);
        assert_eq!(succeed(&connection, owner, claimed).await, Settled::Applied);
    }
}

// What all roles do --------------------------------------------------------------------------------------------

async fn connect(url: &str) -> Connection {
    taskq_brokers::sqlite::connect(url, Clock::system()).await.expect("opens")
}

fn queue() -> QueueName {
    QueueName::new("q").expect("a valid name")
}

async fn join(connection: &Connection) -> Owner {
    let owner = Owner { worker: WorkerId::generate(), term: 0 };
    connection.broker().join(owner, &queue(), taskq_core::limits::LEASE).await.expect("joins");
    owner
}

async fn enqueue(connection: &Connection) -> TaskId {
    let invocation = Invocation::named("noop", &json!({ "number": 1 })).queue("q");
    let envelope = invocation.into_envelope().expect("a valid invocation");
    let envelopes = std::slice::from_ref(&envelope);
    connection.broker().enqueue(&queue(), BatchId::generate(), envelopes).await.expect("enqueues");
    envelope.id
}

async fn succeed(connection: &Connection, owner: Owner, claimed: Claimed) -> Settled {
    let result = Payload::encode("encode", &7, 10).expect("a small number");
    let settlement = Settlement { token: claimed.token, envelope: claimed.envelope, ending: Ending::Succeeded(result) };
    connection.broker().settle(owner, &queue(), &[settlement]).await.expect("settles").remove(0)
}

// What Linux tells of this process -----------------------------------------------------------------------------

/// A thread names itself, and so only when it has come to run.
fn threads_once_named(expected: usize) -> usize {
    let begun = Instant::now();
    while own_threads() < expected && begun.elapsed() < BOUND {
        std::thread::yield_now();
    }
    own_threads()
}

fn own_threads() -> usize {
    let named = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
    let threads = fs::read_dir("/proc/self/task").expect("lists").flatten().map(named);
    threads.filter(|name| name.starts_with("taskq-")).count()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").expect("lists").count()
}
