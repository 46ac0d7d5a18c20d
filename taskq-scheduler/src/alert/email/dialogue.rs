//! [`Dialogue`]: a few words of SMTP with a server, enough to hand over one mail.
//!
//! The client of `lettre` is not used for this. It makes TLS of its own, with other authorities and another clock than ours;
//! it goes on after STARTTLS with what a stranger may have sent before; and one refused recipient keeps the mail from all.
//!
//! Nothing that a server says is told but its codes: its texts may repeat what it got.

use base64ct::{Base64, Encoding};
use taskq_core::limits::{ALERT_SMTP_LINE, ALERT_SMTP_LINES};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::super::refusal::Refusal;

/// A connection to a server that is ready for a command.
pub(super) struct Dialogue<S> {
    stream: BufReader<S>,
    /// What we call ourselves.
    hello: String,
    /// What the server can do, in upper case.
    abilities: Vec<String>,
}

/// What a server answered.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// What a client is called that has no name: its address.
pub(super) fn name_of(stream: &TcpStream) -> String {
    match stream.local_addr().map(|address| address.ip().to_canonical()) {
        Ok(std::net::IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Ok(address) => format!("[{address}]"),
        Err(_) => "localhost".to_owned(),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    /// Waits for the greeting, and says hello.
    pub(super) async fn begin(stream: S, hello: String) -> Result<Self, Refusal> {
        let mut dialogue = Self { stream: BufReader::new(stream), hello, abilities: Vec::new() };
        dialogue.answer("the connection", 2).await?;
        dialogue.say_hello().await?;
        Ok(dialogue)
    }

    /// Goes on after [`Dialogue::upgrade`]. What the server said before counts no more.
    pub(super) async fn resume(stream: S, hello: String) -> Result<Self, Refusal> {
        let mut dialogue = Self { stream: BufReader::new(stream), hello, abilities: Vec::new() };
        dialogue.say_hello().await?;
        Ok(dialogue)
    }

    async fn say_hello(&mut self) -> Result<(), Refusal> {
        let command = format!("EHLO {}", self.hello);
        let reply = self.ask("EHLO", &command, 2).await?;
        self.abilities = reply.lines.iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    /// The words after the name of an ability, if the server has it.
    fn ability(&self, name: &str) -> Option<Vec<&str>> {
        self.abilities.iter().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next() == Some(name)).then(|| words.collect())
        })
    }

    /// Agrees on TLS; what comes next on the stream is that.
    pub(super) async fn upgrade(mut self) -> Result<S, Refusal> {
        if self.ability("STARTTLS").is_none() {
            let cure = "write smtps://, or tls = \"none\" if it is a relay on this machine";
            return Err(Refusal::new(format_args!("it offers no STARTTLS, and nothing is told in clear; {cure}")));
        }
        self.ask("STARTTLS", "STARTTLS", 2).await?;
        match self.stream.buffer().is_empty() {
            true => Ok(self.stream.into_inner()),
            // Somebody on the way would have it taken for what comes by TLS.
            false => Err(Refusal::new("it said more before TLS than it may")),
        }
    }

    pub(super) async fn log_in(&mut self, user: &str, password: &str) -> Result<(), Refusal> {
        if password.contains('\0') {
            return Err(Refusal::new("the password has a character that no password may have"));
        }
        let ways = self.ability("AUTH").unwrap_or_default();
        let encode = |text: &str| Base64::encode_string(text.as_bytes());
        if ways.contains(&"PLAIN") {
            let command = format!("AUTH PLAIN {}", encode(&format!("\0{user}\0{password}")));
            self.ask("the user or password", &command, 2).await?;
            return Ok(());
        }
        if ways.contains(&"LOGIN") {
            self.ask("AUTH", "AUTH LOGIN", 3).await?;
            self.ask("the user", &encode(user), 3).await?;
            self.ask("the user or password", &encode(password), 2).await?;
            return Ok(());
        }
        Err(Refusal::new("it offers neither AUTH PLAIN nor AUTH LOGIN"))
    }

    /// Hands over a mail. Who is not refused gets it, also if others are.
    pub(super) async fn send(&mut self, from: &str, to: &[String], letter: &[u8]) -> Result<(), Refusal> {
        self.ask("the sender", &format!("MAIL FROM:<{from}>"), 2).await?;
        let mut refused = Vec::new();
        for recipient in to {
            let reply = self.exchange(&format!("RCPT TO:<{recipient}>")).await?;
            if reply.code / 100 != 2 {
                refused.push(reply.code);
            }
        }
        if refused.len() < to.len() {
            self.ask("DATA", "DATA", 3).await?;
            self.write(&stuffed(letter)).await?;
            self.answer("the mail", 2).await?;
        }
        // The mail has gone its way: whatever happens to this changes nothing.
        let _unheard = self.write(b"QUIT\r\n").await;
        judge(&refused, to.len())
    }

    /// A command, whose reply has to be of this class.
    async fn ask(&mut self, what: &str, command: &str, class: u16) -> Result<Reply, Refusal> {
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.answer(what, class).await
    }

    async fn exchange(&mut self, command: &str) -> Result<Reply, Refusal> {
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// A reply of this class, or that it refused `what`.
    async fn answer(&mut self, what: &str, class: u16) -> Result<Reply, Refusal> {
        let reply = self.reply().await?;
        match reply.code / 100 {
            found if found == class => Ok(reply),
            5 => Err(Refusal::last(format_args!("it refused {what} with {}", reply.code))),
            _ => Err(Refusal::new(format_args!("it refused {what} with {}", reply.code))),
        }
    }

    async fn reply(&mut self) -> Result<Reply, Refusal> {
        let mut lines = Vec::new();
        while lines.len() < ALERT_SMTP_LINES {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|code| code.parse().ok()).filter(|code| (200..600).contains(code));
            let code = code.ok_or_else(|| Refusal::new("it answers with what is no SMTP"))?;
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if is_last {
                return Ok(Reply { code, lines });
            }
        }
        Err(Refusal::new("its answer does not end"))
    }

    async fn line(&mut self) -> Result<String, Refusal> {
        let mut line = Vec::new();
        let limit = ALERT_SMTP_LINE as u64;
        let read = (&mut self.stream).take(limit).read_until(b'\n', &mut line).await;
        read.map_err(|error| broke(&error))?;
        match line.last() {
            Some(b'\n') => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            _ if line.len() < ALERT_SMTP_LINE => Err(Refusal::new("it closed the connection")),
            _ => Err(Refusal::new("its answer has a line that is too long")),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.stream.write_all(bytes).await.map_err(|error| broke(&error))?;
        self.stream.flush().await.map_err(|error| broke(&error))
    }
}

fn broke(error: &std::io::Error) -> Refusal {
    Refusal::new(format_args!("the connection broke: {}", error.kind()))
}

/// Whether the recipients were taken, of whom these were refused with these codes.
fn judge(refused: &[u16], recipients: usize) -> Result<(), Refusal> {
    let Some(code) = refused.first() else { return Ok(()) };
    let words = match (refused.len(), recipients) {
        (1, 1) => format!("it refused the recipient with {code}"),
        (some, all) if some == all => format!("it refused all {all} recipients, the first with {code}"),
        (some, all) => {
            format!("it refused {some} of {all} recipients, the first with {code}; the others have the mail")
        }
    };
    // With one who may be taken later, another attempt can help.
    match refused.iter().all(|code| code / 100 == 5) {
        true => Err(Refusal::last(words)),
        false => Err(Refusal::new(words)),
    }
}

/// A mail as it travels: a dot before each line that begins with one, and a line with a dot at the end.
fn stuffed(letter: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(letter.len() + 64);
    let mut begins = true;
    for byte in letter {
        if begins && *byte == b'.' {
            sent.push(b'.');
        }
        sent.push(*byte);
        begins = *byte == b'\n';
    }
    if !begins {
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b".\r\n");
    sent
}
