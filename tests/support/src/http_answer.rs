//! [`HttpAnswer`]: what a server said to one request, on a connection of its own.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// The longest that an answer is awaited, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(60);

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Its first line and headers.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl HttpAnswer {
    /// What a `GET` of this path says.
    ///
    /// # Panics
    ///
    /// If nobody listens there, or the answer is none.
    #[must_use]
    pub fn get(address: &str, path: &str) -> Self {
        Self::get_as(address, "here", path)
    }

    /// The same for a request that calls the server by this name.
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[must_use]
    pub fn get_as(address: &str, host: &str, path: &str) -> Self {
        Self::to(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut named = headers.filter(|(header, _)| header.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    /// What these bytes are answered with, which have to ask for the connection's end.
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[must_use]
    pub fn to(address: &str, request: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(LONG)).expect("a bound");
        stream.write_all(request.as_bytes()).expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("is answered");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        Self { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
    }
}
