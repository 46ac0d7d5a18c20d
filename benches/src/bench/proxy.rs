//! A server that is far away: everything that passes, in either direction, arrives a fixed time later.
//!
//! Nothing is slowed down but by that time: what was sent together arrives together. With threads and not on a runtime, whose
//! timers count whole milliseconds.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use bench_driver::Outcome;

/// Bytes that are passed on at once.
const PIECE: usize = 64 * 1024;

/// Listens for as long as this program runs.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
}

/// Bytes and when they arrive.
type Piece = (Instant, Vec<u8>);

impl Proxy {
    /// Begins to pass on what comes to a free port.
    pub(crate) fn start(server: u16, delay: Duration) -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // A client whose server is gone sees its connection closed.
                let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).and_then(|far| join(near, far, delay));
            }
        });
        Ok(Self { port })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn join(near: TcpStream, far: TcpStream, delay: Duration) -> std::io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    pass(near.try_clone()?, far.try_clone()?, delay);
    pass(far, near, delay);
    Ok(())
}

/// One direction: one thread reads without ever waiting for the other, which writes when it is time.
fn pass(from: TcpStream, to: TcpStream, delay: Duration) {
    let (read, write) = channel();
    std::thread::spawn(move || read_pieces(from, &read, delay));
    std::thread::spawn(move || write_pieces(to, &write));
}

fn read_pieces(mut from: TcpStream, read: &Sender<Piece>, delay: Duration) {
    let mut buffer = vec![0; PIECE];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || read.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}

fn write_pieces(mut to: TcpStream, write: &Receiver<Piece>) {
    for (at, bytes) in write {
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
    // The other end has closed its side, so this one is closed too. It may be closed already.
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_after_the_delay_of_both_directions() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap().port(), Duration::from_millis(20)).unwrap();
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut word = [0; 4];
            stream.read_exact(&mut word).unwrap();
            stream.write_all(&word).unwrap();
        });
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        let (begun, mut word) = (Instant::now(), [0; 4]);
        client.write_all(b"ping").unwrap();
        client.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"ping");
        assert!(begun.elapsed() >= Duration::from_millis(40));
        echo.join().unwrap();
    }
}
