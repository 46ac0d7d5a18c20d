//! A link that has died without a word, as behind a NAT that forgot it, is replaced though every caller gives up sooner
//! than the link itself would.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use taskq_core::limits;
use taskq_test_support::RedisServer;
use tokio::net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf};

use crate::{invocation, join, queue, try_connect};

/// Passes on what it gets, until it is told to forget the connections that it has: those stay open, and nothing comes
/// through them any more.
struct Nat {
    port: u16,
    forgotten: Arc<Mutex<Arc<AtomicBool>>>,
}

impl Nat {
    async fn before(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (port, to) = (listener.local_addr().expect("bound").port(), server.port());
        let forgotten: Arc<Mutex<Arc<AtomicBool>>> = Arc::default();
        let present = Arc::clone(&forgotten);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let is_forgotten = Arc::clone(&present.lock().expect("not poisoned"));
                let Ok(to) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let ((read, write), (read_back, write_back)) = (from.into_split(), to.into_split());
                tokio::spawn(pass_on(read, write_back, Arc::clone(&is_forgotten)));
                tokio::spawn(pass_on(read_back, write, is_forgotten));
            }
        });
        Self { port, forgotten }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn forget(&self) {
        std::mem::take(&mut *self.forgotten.lock().expect("not poisoned")).store(true, Ordering::SeqCst);
    }
}

async fn pass_on(from: OwnedReadHalf, to: OwnedWriteHalf, is_forgotten: Arc<AtomicBool>) {
    let mut buffer = vec![0; 64 * 1024];
    while from.readable().await.is_ok() {
        let mut left = match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(_) if is_forgotten.load(Ordering::SeqCst) => continue,
            Ok(number) => &buffer[..number],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        while !left.is_empty() && to.writable().await.is_ok() {
            match to.try_write(left) {
                Ok(number) => left = &left[number..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

#[tokio::test]
async fn a_heartbeat_is_heard_again_before_its_lease_lapses() {
    let server = RedisServer::start();
    let nat = Nat::before(&server).await;
    let connection = try_connect(&nat.url()).await.expect("opens");
    let beats = [(join(&connection).await, queue())];
    nat.forget();
    let begun = Instant::now();
    // As a worker does it: given up after a third of the lease, and repeated.
    let answers = loop {
        if let Ok(Ok(answers)) = tokio::time::timeout(limits::LEASE / 3, connection.broker().beat(&beats)).await {
            break answers;
        }
        assert!(begun.elapsed() < limits::LEASE, "no beat for {:?}", begun.elapsed());
    };
    assert!(answers[0].alive);
}

#[tokio::test]
async fn a_client_with_a_short_deadline_fails_a_few_times_and_not_for_ever() {
    let server = RedisServer::start();
    let nat = Nat::before(&server).await;
    let connection = try_connect(&nat.url()).await.expect("opens");
    let client = connection.client().with_deadline(Duration::from_millis(500));
    client.enqueue(invocation()).await.expect("enqueues");
    nat.forget();
    let begun = Instant::now();
    while client.enqueue(invocation()).await.is_err() {
        assert!(begun.elapsed() < crate::BOUND, "still failing after {:?}", begun.elapsed());
    }
}
