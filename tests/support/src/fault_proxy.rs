//! A TCP proxy that does to a connection what networks do: late, cut, silent, half an answer, one byte at a time.
//!
//! The promise: what it passes on, it passes on unchanged and in order; and after [`Fault::None`] is set, new connections
//! work as if there were no proxy. It ends with the value.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bytes that are passed on at once.
const PIECE: usize = 64 * 1024;

/// How often a waiting pump looks whether the proxy has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What is done to the connections, present and new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass as they come.
    #[default]
    None,
    /// Each piece comes this much later, and up to `jitter` more.
    Late {
        /// At least.
        latency: Duration,
        /// At most this much more.
        jitter: Duration,
    },
    /// Nothing passes in either direction, and nobody is told. What was sent meanwhile arrives after the heal, as with
    /// packets that are sent again.
    HalfOpen,
    /// New connections are closed at once. Present ones are left alone; see [`FaultProxy::cut`].
    Refuse,
    /// Of a thousand answers this many are thrown away, and their connection is closed: the server did what was asked,
    /// and the client does not know.
    DropReplies {
        /// So many of a thousand.
        in_thousand: u32,
    },
    /// Bytes pass one by one.
    ByteByByte,
    /// Answers pass at this many bytes a second.
    SlowReader {
        /// In the direction of the client.
        bytes_a_second: u32,
    },
}

/// A proxy on a port of its own.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    fault: Mutex<Fault>,
    changed: Condvar,
    live: Mutex<Vec<TcpStream>>,
    accepted: AtomicU64,
    dropped: AtomicU64,
    seed: AtomicU64,
    ended: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

impl FaultProxy {
    /// A proxy before a server on this machine.
    ///
    /// # Panics
    /// If no port can be had.
    pub fn start(server_port: u16, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("is bound").port();
        let shared = Arc::new(Shared {
            server: (Ipv4Addr::LOCALHOST, server_port).into(),
            fault: Mutex::default(),
            changed: Condvar::new(),
            live: Mutex::default(),
            accepted: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            seed: AtomicU64::new(seed),
            ended: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &own));
        Self { port, shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this is done.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault() = fault;
        self.shared.changed.notify_all();
    }

    /// Closes every present connection.
    pub fn cut(&self) {
        for stream in self.shared.live().drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Connections that were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Answers that were thrown away so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.set(Fault::None);
        self.cut();
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn fault(&self) -> MutexGuard<'_, Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// A pseudo-random number below `bound`.
    fn throw(&self, bound: u64) -> u64 {
        let state = self.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ mixed >> 27) % bound.max(1)
    }

    /// The present fault, once bytes may pass at all; nothing if the proxy has ended.
    fn fault_that_lets_pass(&self) -> Option<Fault> {
        let mut fault = self.fault();
        while *fault == Fault::HalfOpen && !self.has_ended() {
            fault = self.changed.wait_timeout(fault, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        (!self.has_ended()).then_some(*fault)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for near in listener.incoming().map_while(Result::ok) {
        if shared.has_ended() {
            return;
        }
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        if *shared.fault() == Fault::Refuse {
            continue;
        }
        let shared = Arc::clone(shared);
        // Of its own, since a half-open server answers nobody and must not keep others waiting.
        std::thread::spawn(move || {
            if shared.fault_that_lets_pass().is_some() {
                // A client whose server is gone sees its connection closed.
                let _ = TcpStream::connect(shared.server).and_then(|far| join(near, far, &shared));
            }
        });
    }
}

fn join(near: TcpStream, far: TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    {
        let mut live = shared.live();
        live.retain(|stream| stream.peer_addr().is_ok());
        live.extend([near.try_clone()?, far.try_clone()?]);
    }
    pump(near.try_clone()?, far.try_clone()?, Direction::Request, Arc::clone(shared));
    pump(far, near, Direction::Answer, Arc::clone(shared));
    Ok(())
}

/// One direction, in a thread of its own, until either side closes.
fn pump(mut from: TcpStream, mut to: TcpStream, direction: Direction, shared: Arc<Shared>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if pass(&mut to, &buffer[..count], direction, &shared).is_none() {
                break;
            }
        }
        // Either may be closed already.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Passes bytes on as the present fault has it; nothing if the connection is to be closed.
fn pass(to: &mut TcpStream, bytes: &[u8], direction: Direction, shared: &Shared) -> Option<()> {
    match shared.fault_that_lets_pass()? {
        Fault::None | Fault::Refuse | Fault::HalfOpen => to.write_all(bytes).ok(),
        Fault::Late { latency, jitter } => {
            let extra = shared.throw(u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX) + 1);
            std::thread::sleep(latency + Duration::from_micros(extra));
            to.write_all(bytes).ok()
        }
        Fault::DropReplies { in_thousand } => {
            if direction == Direction::Answer && shared.throw(1_000) < u64::from(in_thousand) {
                shared.dropped.fetch_add(1, Ordering::SeqCst);
                return None;
            }
            to.write_all(bytes).ok()
        }
        Fault::ByteByByte => bytes.iter().try_for_each(|byte| to.write_all(&[*byte])).ok(),
        Fault::SlowReader { bytes_a_second } if direction == Direction::Answer => {
            // Ten pieces a second, so that a change of the fault is soon noticed.
            let piece = usize::try_from(bytes_a_second / 10).unwrap_or(1).max(1);
            bytes.chunks(piece).try_for_each(|chunk| {
                std::thread::sleep(Duration::from_millis(100));
                to.write_all(chunk).ok()
            })
        }
        Fault::SlowReader { .. } => to.write_all(bytes).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A server that answers each piece with itself.
    fn echo() -> u16 {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = server.local_addr().expect("is bound").port();
        std::thread::spawn(move || {
            for mut stream in server.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let mut buffer = [0; 1_024];
                    while let Ok(count @ 1..) = stream.read(&mut buffer) {
                        if stream.write_all(&buffer[..count]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }

    fn connect(proxy: &FaultProxy) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("sets");
        stream
    }

    /// What comes back of a word; nothing if the connection was closed.
    fn ask(stream: &mut TcpStream) -> Option<[u8; 4]> {
        let mut word = [0; 4];
        stream.write_all(b"ping").ok()?;
        stream.read_exact(&mut word).ok()?;
        Some(word)
    }

    #[test]
    fn bytes_pass_unchanged_under_every_fault_that_lets_them_pass() {
        let proxy = FaultProxy::start(echo(), 1);
        let late = Duration::from_millis(20);
        let faults = [
            Fault::None,
            Fault::Late { latency: late, jitter: late },
            Fault::ByteByByte,
            Fault::SlowReader { bytes_a_second: 20 },
        ];
        for fault in faults {
            proxy.set(fault);
            let (begun, mut stream) = (Instant::now(), connect(&proxy));
            assert_eq!(ask(&mut stream).as_ref(), Some(b"ping"), "{fault:?}");
            let least = match fault {
                Fault::Late { latency, .. } => latency * 2,
                Fault::SlowReader { .. } => Duration::from_millis(200),
                _ => Duration::ZERO,
            };
            assert!(begun.elapsed() >= least, "{fault:?}");
        }
        assert_eq!(proxy.accepted(), 4);
    }

    #[test]
    fn a_half_open_connection_is_silent_and_goes_on_after_the_heal() {
        let proxy = FaultProxy::start(echo(), 1);
        let mut stream = connect(&proxy);
        assert!(ask(&mut stream).is_some());
        proxy.set(Fault::HalfOpen);
        stream.write_all(b"late").expect("nobody tells");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("sets");
        let mut word = [0; 4];
        assert!(stream.read(&mut word).is_err(), "nothing comes");
        proxy.set(Fault::None);
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("sets");
        stream.read_exact(&mut word).expect("comes now");
        assert_eq!(&word, b"late");
    }

    #[test]
    fn a_dropped_answer_and_a_cut_close_the_connection() {
        let proxy = FaultProxy::start(echo(), 1);
        proxy.set(Fault::DropReplies { in_thousand: 1_000 });
        assert_eq!(ask(&mut connect(&proxy)), None);
        assert_eq!(proxy.dropped(), 1);
        proxy.set(Fault::None);
        let mut stream = connect(&proxy);
        assert!(ask(&mut stream).is_some());
        proxy.cut();
        assert_eq!(ask(&mut stream), None);
        proxy.set(Fault::Refuse);
        assert_eq!(ask(&mut connect(&proxy)), None);
    }
}
