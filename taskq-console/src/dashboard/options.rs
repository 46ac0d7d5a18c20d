//! [`Options`]: who may look at the dashboard, who may act, and what it shows beside the broker.

use std::{fmt, net::IpAddr, sync::Arc};

use axum::http::HeaderName;
use taskq_core::{Error, ErrorKind, Result};

use super::{accounts::Accounts, status::StatusBoard, timetable::Timetable};

/// How a dashboard is set up. Without a word more it is read-only, and only for browsers on the same machine.
///
/// ```
/// use taskq_console::dashboard::{Options, ProxyIdentity, Role};
///
/// # fn main() -> taskq_core::Result<()> {
/// let proxy = ProxyIdentity::from_header("x-forwarded-user")?.peer("10.0.0.7".parse().expect("an address")).operator("ada");
/// let options = Options::new().allow_actions().proxy(proxy).host("tasks.example.org").title("Shop");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Options {
    pub(super) actions: bool,
    pub(super) access: Access,
    pub(super) hosts: Vec<String>,
    pub(super) https_only: bool,
    pub(super) base: Option<String>,
    pub(super) title: Option<String>,
    pub(super) trace_link: Option<String>,
    pub(super) timetable: Option<Arc<dyn Timetable>>,
    pub(super) status: Option<Arc<dyn StatusBoard>>,
}

/// Who gets in.
#[derive(Clone, Default)]
pub(super) enum Access {
    /// Whoever sits at this machine.
    #[default]
    Loopback,
    /// Who signs in.
    Accounts(Accounts),
    /// Whom a proxy names.
    Proxy(ProxyIdentity),
    /// Whomever the app around it lets through.
    App(Role),
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look and act, if the dashboard allows actions at all.
    Operator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        })
    }
}

impl std::str::FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            _ => Err(refused("role", format!("\"{}\"", text.escape_debug()), "use viewer or operator")),
        }
    }
}

impl Options {
    /// Read-only, for browsers on the same machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets operators act. Without accounts or a proxy that is everybody on this machine.
    #[must_use]
    pub fn allow_actions(self) -> Self {
        Self { actions: true, ..self }
    }

    /// Asks everybody to sign in with one of these accounts.
    #[must_use]
    pub fn accounts(self, accounts: Accounts) -> Self {
        Self { access: Access::Accounts(accounts), ..self }
    }

    /// Believes a reverse proxy who somebody is.
    #[must_use]
    pub fn proxy(self, proxy: ProxyIdentity) -> Self {
        Self { access: Access::Proxy(proxy), ..self }
    }

    /// Says that the app in which the router is mounted lets only those through who may be in this role.
    #[must_use]
    pub fn guarded_by_the_app(self, role: Role) -> Self {
        Self { access: Access::App(role), ..self }
    }

    /// A name under which browsers reach the dashboard. Once there is one, others are refused.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into().to_ascii_lowercase());
        self
    }

    /// Says that browsers come over HTTPS, which a proxy ends: the cookie of a session is sent no other way.
    #[must_use]
    pub fn https_only(self) -> Self {
        Self { https_only: true, ..self }
    }

    /// Where the dashboard is for browsers, such as `/tasks`, if a proxy takes that off. A router that is nested knows it.
    /// [`check_address`](Self::check_address) refuses what is no such path.
    #[must_use]
    pub fn base(self, path: impl Into<String>) -> Self {
        Self { base: Some(path.into().trim_end_matches('/').to_owned()), ..self }
    }

    /// What it is called.
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..self }
    }

    /// What it is called, also if nobody has said so.
    pub(super) fn shown_title(&self) -> &str {
        self.title.as_deref().unwrap_or("taskq")
    }

    /// Where a trace is shown: a URL with `{trace_id}` in it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for what is no http or https URL with that place.
    pub fn trace_link(self, url: impl Into<String>) -> Result<Self> {
        let url = url.into();
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        match is_web && url.contains("{trace_id}") && !url.contains(char::is_whitespace) {
            true => Ok(Self { trace_link: Some(url), ..self }),
            false => {
                let cure = "use http:// or https:// and {trace_id} where the id belongs";
                Err(refused("trace link", format!("\"{}\"", url.escape_debug()), cure))
            }
        }
    }

    /// Shows these schedules.
    #[must_use]
    pub fn timetable(self, timetable: Arc<dyn Timetable>) -> Self {
        Self { timetable: Some(timetable), ..self }
    }

    /// Shows this health.
    #[must_use]
    pub fn status(self, status: Arc<dyn StatusBoard>) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Whether everybody has to prove who they are before they see anything.
    pub fn authenticates(&self) -> bool {
        !matches!(self.access, Access::Loopback)
    }

    /// Refuses to listen where others could reach a dashboard that asks nobody who they are, and to be where no browser finds
    /// it: links, redirects and the cookie's path all begin with the [`base`](Self::base).
    ///
    /// ```
    /// use taskq_console::dashboard::Options;
    ///
    /// assert!(Options::new().check_address(&"127.0.0.1:8080".parse().expect("valid")).is_ok());
    /// let error = Options::new().check_address(&"0.0.0.0:8080".parse().expect("valid")).expect_err("open");
    /// assert!(error.to_string().contains("127.0.0.1"), "{error}");
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the cure.
    pub fn check_address(&self, address: &std::net::SocketAddr) -> Result<()> {
        if let Some(base) = self.base.as_deref().filter(|base| !is_base(base)) {
            let cure = "use the path by which browsers reach it, with a slash at its beginning, as /tasks";
            return Err(refused("base", format!("\"{}\"", base.escape_debug()), cure));
        }
        match address.ip().to_canonical().is_loopback() || self.authenticates() {
            true => Ok(()),
            false => {
                let cure = "others could reach it, and it asks nobody who they are: listen at 127.0.0.1, or give it accounts or a proxy";
                Err(Error::new(ErrorKind::Config, "show the dashboard at", address).because(cure))
            }
        }
    }
}

/// Whether a page can be behind it: a path, and neither another host's address nor the end of a cookie's path.
fn is_base(base: &str) -> bool {
    let is_path = base.starts_with('/') && !base.starts_with("//");
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#;<>?\\".contains(&byte);
    base.is_empty() || is_path && base.bytes().all(is_plain)
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match &self.access {
            Access::Loopback => "loopback",
            Access::Accounts(_) => "accounts",
            Access::Proxy(_) => "proxy",
            Access::App(_) => "app",
        };
        f.debug_struct("Options").field("actions", &self.actions).field("access", &access).finish_non_exhaustive()
    }
}

/// A reverse proxy that knows who somebody is and says so in a header.
///
/// The header counts only if it comes from one of the named peers: anybody else could write it too. The proxy has to take
/// away what browsers themselves write into it.
#[derive(Clone, Debug)]
pub struct ProxyIdentity {
    pub(super) header: HeaderName,
    pub(super) peers: Vec<IpAddr>,
    pub(super) operators: Vec<String>,
}

impl ProxyIdentity {
    /// A proxy that names people in this header.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for what cannot be a header's name.
    pub fn from_header(name: &str) -> Result<Self> {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            refused("proxy header", format!("\"{}\"", name.escape_debug()), "use the name of an HTTP header")
        })?;
        Ok(Self { header, peers: Vec::new(), operators: Vec::new() })
    }

    /// An address from which the proxy comes.
    #[must_use]
    pub fn peer(mut self, address: IpAddr) -> Self {
        self.peers.push(address.to_canonical());
        self
    }

    /// Somebody who may act; others look.
    #[must_use]
    pub fn operator(mut self, name: impl Into<String>) -> Self {
        self.operators.push(name.into());
        self
    }
}

pub(super) fn refused(what: &'static str, value: impl fmt::Display, cure: &str) -> Error {
    Error::new(ErrorKind::Config, "set up the dashboard's", format!("{what} {value}")).because(cure.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_that_is_no_path_is_refused_with_the_cure() {
        let check = |base: &str| {
            Options::new().base(base).check_address(&([127, 0, 0, 1], 8080).into()).map_err(|error| error.to_string())
        };
        for good in ["", "/", "/tasks", "/tasks/", "/a/b%20c"] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for wrong in [
            "tasks",
            "tasks/",
            "//elsewhere.example",
            "https://a.example/tasks",
            "/a b",
            "/a;b",
            "/a?b",
            "/\r\nx",
            "/é",
        ] {
            let error = check(wrong).expect_err(wrong);
            assert!(error.contains("/tasks") && error.contains("base"), "{error}");
        }
    }
}
