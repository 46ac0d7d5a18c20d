//! [`PostOffice`]: a mail server for one test, which answers as it is told and remembers what it heard.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<W: AsyncRead + AsyncWrite + Unpin + Send> Wire for W {}

/// How a server behaves.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    /// TLS from the beginning.
    pub(crate) smtps: Option<TlsAcceptor>,
    /// TLS on demand.
    pub(crate) starttls: Option<TlsAcceptor>,
    /// How one can log in, for example `PLAIN LOGIN`.
    pub(crate) auth: &'static str,
    /// Other answers than the usual, by the beginning of what was said; the mail is `.`, the greeting is empty.
    pub(crate) answers: Vec<(&'static str, &'static str)>,
}

pub(crate) struct PostOffice {
    pub(crate) port: u16,
    heard: Arc<Mutex<Heard>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    letters: Vec<String>,
}

impl PostOffice {
    pub(crate) async fn open(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let ears = Arc::clone(&heard);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manners, ears) = (manners.clone(), Arc::clone(&ears));
                // Whoever is not satisfied closes the connection: that is no failure of the server.
                tokio::spawn(async move { serve(Box::new(stream), manners, &ears).await.ok() });
            }
        });
        Self { port, heard, serving }
    }

    /// What was said to it, without the mails and farewells: nobody waits until those are heard.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard.lock().expect("not poisoned").lines.clone()
    }

    pub(crate) fn letters(&self) -> Vec<String> {
        self.heard.lock().expect("not poisoned").letters.clone()
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: Box<dyn Wire>, manners: Manners, ears: &Mutex<Heard>) -> io::Result<()> {
    if let Some(acceptor) = &manners.smtps {
        stream = Box::new(acceptor.accept(stream).await?);
    }
    let mut is_secret = manners.smtps.is_some();
    let other = |said: &str| {
        manners.answers.iter().find(|(begin, _)| match said {
            "" => begin.is_empty(),
            said => !begin.is_empty() && said.starts_with(begin),
        })
    };
    say(&mut stream, other("").map_or("220 post ESMTP", |(_, answer)| answer)).await?;
    loop {
        let line = read_until(&mut stream, "\r\n").await?;
        if line == "QUIT" {
            return say(&mut stream, "221 bye").await;
        }
        ears.lock().expect("not poisoned").lines.push(line.clone());
        if let Some((_, answer)) = other(&line) {
            say(&mut stream, answer).await?;
            continue;
        }
        match line.split(' ').next().unwrap_or_default() {
            "EHLO" => {
                let mut abilities = "250-post\r\n250-8BITMIME\r\n".to_owned();
                if manners.starttls.is_some() && !is_secret {
                    abilities.push_str("250-STARTTLS\r\n");
                }
                if !manners.auth.is_empty() {
                    abilities.push_str(&format!("250-AUTH {}\r\n", manners.auth));
                }
                say(&mut stream, &(abilities + "250 SIZE 1000000")).await?;
            }
            "STARTTLS" => {
                say(&mut stream, "220 go ahead").await?;
                stream = Box::new(manners.starttls.as_ref().expect("offered").accept(stream).await?);
                is_secret = true;
            }
            "AUTH" if line == "AUTH LOGIN" => {
                for _ in 0..2 {
                    say(&mut stream, "334 more").await?;
                    let line = read_until(&mut stream, "\r\n").await?;
                    ears.lock().expect("not poisoned").lines.push(line);
                }
                say(&mut stream, "235 welcome").await?;
            }
            "AUTH" => say(&mut stream, "235 welcome").await?,
            "DATA" => {
                say(&mut stream, "354 go ahead").await?;
                let letter = read_until(&mut stream, "\r\n.\r\n").await?;
                ears.lock().expect("not poisoned").letters.push(undotted(&letter));
                say(&mut stream, other(".").map_or("250 queued", |(_, answer)| answer)).await?;
            }
            _ => say(&mut stream, "250 ok").await?,
        }
    }
}

async fn say(stream: &mut Box<dyn Wire>, words: &str) -> io::Result<()> {
    stream.write_all(format!("{words}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// What comes before `end`.
async fn read_until(stream: &mut Box<dyn Wire>, end: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(stream.read_u8().await?);
    }
    bytes.truncate(bytes.len() - end.len());
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A mail as it was before it travelled: whatever line begins with a dot had one more put before it.
fn undotted(letter: &str) -> String {
    let lines: Vec<_> = letter.split("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
    lines.join("\r\n")
}
