//! [`EmailChannel`]: a notice as a mail. `lettre` writes it; `dialogue.rs` hands it over.

mod dialogue;
mod letter;

use std::{fmt, path::PathBuf, sync::Arc};

use lettre::message::Mailbox;
use rustls::pki_types::ServerName;
use serde_json::Value;
use taskq_core::{
    Result,
    limits::{MAX_ALERT_ADDRESS, MAX_ALERT_RECIPIENTS},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::{Host, Url};

use super::{NOUN, courier::Sending, notice::Notice, refusal::Refusal, source::Source, template::Template};
use crate::{
    health::{Guard, Place, System, Trust, connect, told_of_stream},
    table::Table,
};
use dialogue::Dialogue;

const KEYS: [&str; 9] = ["server", "tls", "user", "password_env", "password_file", "from", "to", "subject", "ca"];

const SUBJECT: &str = "[taskq] {{summary}}";

const SERVER: &str = "write smtps://host or smtp://host, with a port if it is not 465 or 587";

/// A mail.
#[derive(Clone, PartialEq)]
pub struct EmailChannel {
    place: Place,
    tls: Tls,
    login: Option<(String, Source)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    subject: Template,
    ca: Option<PathBuf>,
}

/// When a connection becomes secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    /// Never, as somebody said explicitly.
    None,
    /// By STARTTLS, before anything is told.
    Upgraded,
    /// From its beginning.
    Always,
}

impl EmailChannel {
    pub(super) fn read(form: Value) -> Result<Self> {
        let mut table = Table::open(NOUN, "email", form, &KEYS)?;
        let (place, is_smtps) = take_server(&mut table)?;
        let tls = take_tls(&mut table, is_smtps)?;
        let login = take_login(&mut table)?;
        let from = take_from(&mut table)?;
        let to = take_to(&mut table)?;
        let subject = table.text("subject")?.unwrap_or_else(|| SUBJECT.to_owned());
        let subject = Template::read(&subject).map_err(|cure| table.wrong("subject", cure))?;
        let ca = table.path("ca")?;
        if ca.is_some() && tls == Tls::None {
            return Err(table.wrong("ca", "there is no certificate without TLS; leave out tls = \"none\""));
        }
        Ok(Self { place, tls, login, from, to, subject, ca })
    }

    /// The server, and when it is asked for TLS.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.tls == Tls::Always { "smtps" } else { "smtp" };
        format!("{scheme}://{}:{}", self.place.host, self.place.port)
    }

    pub(super) async fn send(&self, notice: &Notice, sending: &Sending<'_>) -> Result<(), Refusal> {
        self.hand_over(notice, sending).await.map_err(|refusal| refusal.by(&self.shown()))
    }

    async fn hand_over(&self, notice: &Notice, sending: &Sending<'_>) -> Result<(), Refusal> {
        let letter = letter::write(self, notice, sending.clock.now())?;
        let stream = connect(&self.place, &Guard::new(&Trust::Config, &System), sending.stage).await?;
        let hello = dialogue::name_of(&stream);
        sending.stage.enter("the server was silent");
        match self.tls {
            Tls::None => self.talk(Dialogue::begin(stream, hello).await?, &letter).await,
            Tls::Always => {
                let stream = self.secure(stream, sending).await?;
                self.talk(Dialogue::begin(stream, hello).await?, &letter).await
            }
            Tls::Upgraded => {
                let stream = Dialogue::begin(stream, hello.clone()).await?.upgrade().await?;
                let stream = self.secure(stream, sending).await?;
                self.talk(Dialogue::resume(stream, hello).await?, &letter).await
            }
        }
    }

    async fn secure(&self, stream: TcpStream, sending: &Sending<'_>) -> Result<TlsStream<TcpStream>, Refusal> {
        let config = sending.authorities.config(self.ca.as_deref()).await?;
        let name = match &self.place.host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| Refusal::new("no name for TLS"))?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(*address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(*address)),
        };
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| match told_of_stream(&error) {
            Some(reason) => reason.into(),
            None => Refusal::new(format_args!("TLS failed: {}", error.kind())),
        })
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut dialogue: Dialogue<S>,
        letter: &[u8],
    ) -> Result<(), Refusal> {
        if let Some((user, password)) = &self.login {
            dialogue.log_in(user, password.read().await?.reveal()).await?;
        }
        let to: Vec<_> = self.to.iter().map(|mailbox| mailbox.email.to_string()).collect();
        dialogue.send(self.from.email.as_ref(), &to, letter).await
    }
}

impl fmt::Debug for EmailChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailChannel({}, {} recipients)", self.shown(), self.to.len())
    }
}

/// The server, and whether it is spoken to by TLS from the beginning.
fn take_server(table: &mut Table) -> Result<(Place, bool)> {
    let text = table.required("server", "\"smtps://mail.example\"")?;
    let refuse = || table.wrong("server", SERVER);
    let url: Url = text.parse().map_err(|_| refuse())?;
    let (is_smtps, usual) = match url.scheme() {
        "smtps" => (true, 465),
        "smtp" => (false, 587),
        _ => return Err(refuse()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(table.wrong("server", "write the user in user, and where its password is in password_env"));
    }
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let port = url.port().unwrap_or(usual);
    // The same reading as of other URLs, so that odd forms of an address are the address.
    let host = url.host_str().and_then(|host| Host::parse(host).ok()).filter(|_| is_bare && port > 0);
    Ok((Place { host: host.ok_or_else(refuse)?, port }, is_smtps))
}

fn take_tls(table: &mut Table, is_smtps: bool) -> Result<Tls> {
    match table.text("tls")?.as_deref() {
        None | Some("required") if is_smtps => Ok(Tls::Always),
        None | Some("required") => Ok(Tls::Upgraded),
        Some("none") if is_smtps => {
            Err(table.wrong("tls", "smtps:// is TLS; write smtp:// in server, or leave it out"))
        }
        Some("none") => Ok(Tls::None),
        Some(_) => Err(table.wrong("tls", "write \"required\", or \"none\" for a relay on this machine")),
    }
}

fn take_login(table: &mut Table) -> Result<Option<(String, Source)>> {
    let user = table.text("user")?;
    let password = Source::take_outside(table, "password")?;
    match (user, password) {
        (None, None) => Ok(None),
        (Some(user), _) if user.contains(char::is_control) => Err(table.wrong("user", "it has a control character")),
        (Some(user), Some(password)) => Ok(Some((user, password))),
        (Some(_), None) => Err(table.wrong("user", "its password is missing; set password_env or password_file")),
        (None, Some(_)) => Err(table.wrong("user", "it is missing, and there is a password")),
    }
}

fn take_from(table: &mut Table) -> Result<Mailbox> {
    let text = table.required("from", "\"taskq <taskq@shop.example>\"")?;
    mailbox(table, "from", &text)
}

fn take_to(table: &mut Table) -> Result<Vec<Mailbox>> {
    let example = "[\"ops@shop.example\"]";
    let to = table.texts("to", example)?;
    let to = to.ok_or_else(|| table.wrong("to", format!("it is missing; write for example {example}")))?;
    if to.len() > MAX_ALERT_RECIPIENTS {
        return Err(table.wrong("to", format!("list at most {MAX_ALERT_RECIPIENTS}; more are a list at the server")));
    }
    to.iter().map(|text| mailbox(table, "to", text)).collect()
}

/// An address, perhaps with a name before it.
fn mailbox(table: &Table, key: &str, text: &str) -> Result<Mailbox> {
    let refuse = |cure: &str| table.wrong(key, cure);
    if text.contains(char::is_control) {
        return Err(refuse("it has a control character"));
    }
    let read = text.parse::<Mailbox>();
    let mailbox =
        read.map_err(|_| refuse("write an address, for example \"ops@shop.example\" or \"Ops <ops@shop.example>\""))?;
    // What stands between < and > in a dialogue. Old servers know nothing else than this.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>()[]\\\",;:".contains(&byte);
    let address: &str = mailbox.email.as_ref();
    if !address.bytes().all(is_plain) {
        return Err(refuse("use ASCII only in addresses, without quotes; write a domain in its form with xn--"));
    }
    match address.len() <= MAX_ALERT_ADDRESS {
        true => Ok(mailbox),
        false => Err(refuse("the address has more than 254 bytes")),
    }
}
