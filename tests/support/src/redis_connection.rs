//! The smallest Redis client that a test needs, over a plain socket.
//!
//! It shares no code with the driver that taskq uses, so that it can tell what really is in the
//! server. Every call has a bound.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What the server answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// Nothing is there.
    Nil,
    /// A number.
    Integer(i64),
    /// A status or a string; bytes that are no text are replaced.
    Text(String),
    /// A refusal, which begins with its kind: `WRONGTYPE ..`.
    Error(String),
    /// Several answers in one.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text of the answer.
    ///
    /// # Panics
    ///
    /// When the answer is something else.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Reply::Text(text) => text,
            other => panic!("the server's answer should be a text and is {other:?}"),
        }
    }

    /// The number that was answered, also where it came as text.
    ///
    /// # Panics
    ///
    /// When the answer is something else.
    #[must_use]
    pub fn integer(&self) -> i64 {
        let number = match self {
            Reply::Integer(number) => Some(*number),
            Reply::Text(text) => text.parse().ok(),
            Reply::Nil | Reply::Error(_) | Reply::Array(_) => None,
        };
        number.unwrap_or_else(|| panic!("the server's answer should be a number and is {self:?}"))
    }

    /// The answers in the answer.
    ///
    /// # Panics
    ///
    /// When the answer is something else.
    #[must_use]
    pub fn array(&self) -> &[Reply] {
        match self {
            Reply::Array(replies) => replies,
            other => panic!("the server's answer should be an array and is {other:?}"),
        }
    }
}

/// A connection that sends one command at a time.
#[derive(Debug)]
pub struct RedisConnection {
    stream: BufReader<TcpStream>,
}

impl RedisConnection {
    /// Connects. The bound holds for connecting and, later, for each command.
    ///
    /// # Errors
    ///
    /// When nobody listens there, or nobody answers in time.
    pub fn open(address: SocketAddr, bound: Duration) -> Result<RedisConnection> {
        let stream = TcpStream::connect_timeout(&address, bound)?;
        stream.set_read_timeout(Some(bound))?;
        stream.set_write_timeout(Some(bound))?;
        stream.set_nodelay(true)?;
        Ok(RedisConnection { stream: BufReader::new(stream) })
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    ///
    /// When the connection breaks or the bound passes; the connection is of no further use then. A
    /// command that the server refuses is a [`Reply::Error`].
    pub fn command(&mut self, words: &[&str]) -> Result<Reply> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.read_reply()
    }

    /// The next reply without a command, as `MONITOR` and subscriptions send them.
    ///
    /// # Errors
    ///
    /// As [`command`](Self::command).
    pub fn next_reply(&mut self) -> Result<Reply> {
        self.read_reply()
    }

    fn read_reply(&mut self) -> Result<Reply> {
        let line = self.read_line()?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| not_redis(&line))?;
        match kind {
            "+" => Ok(Reply::Text(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Integer(parse(rest)?)),
            "$" => self.read_text(parse(rest)?),
            "*" => self.read_array(parse(rest)?),
            _ => Err(not_redis(&line)),
        }
    }

    fn read_text(&mut self, length: i64) -> Result<Reply> {
        // A negative length says that nothing is there.
        let Ok(length) = usize::try_from(length) else {
            return Ok(Reply::Nil);
        };
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes)?;
        Ok(Reply::Text(String::from_utf8_lossy(&bytes[..length]).into_owned()))
    }

    fn read_array(&mut self, length: i64) -> Result<Reply> {
        if length < 0 {
            return Ok(Reply::Nil);
        }
        let replies: Result<Vec<Reply>> = (0..length).map(|_| self.read_reply()).collect();
        Ok(Reply::Array(replies?))
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line)? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches("\r\n").to_owned())
    }
}

fn parse(number: &str) -> Result<i64> {
    number.parse().map_err(|_| not_redis(number))
}

fn not_redis(line: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("this is no answer of a Redis server: {line:?}"))
}
