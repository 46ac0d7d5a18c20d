//! What the processes work on: a file, or a server with a proxy before it.

use taskq_test_support::{Fault, FaultProxy, Persistence, RedisServer, TempFolder};

use crate::options::Kind;

/// A broker of its own for one campaign.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The way to the server, for all processes but the one that checks.
    pub(crate) proxy: Option<FaultProxy>,
    pub(crate) server: Option<RedisServer>,
    pub(crate) folder: TempFolder,
}

impl Stage {
    pub(crate) fn start(kind: Kind, seed: u64) -> Self {
        let folder = TempFolder::new();
        match kind {
            Kind::Sqlite => Self { proxy: None, server: None, folder },
            Kind::Redis => {
                let server = RedisServer::builder().persistence(Persistence::AppendEverySecond).start();
                let proxy = FaultProxy::start(server.port(), seed);
                Self { proxy: Some(proxy), server: Some(server), folder }
            }
        }
    }

    /// Where producers and workers connect to.
    pub(crate) fn url(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!("redis://127.0.0.1:{}", proxy.port()),
            None => self.direct_url(),
        }
    }

    /// The same without the proxy.
    pub(crate) fn direct_url(&self) -> String {
        match &self.server {
            Some(server) => server.url(),
            None => format!("sqlite://{}?synchronous=normal", self.folder.file("chaos.db").display()),
        }
    }

    /// The proxy, where there is a server.
    pub(crate) fn proxy(&self) -> &FaultProxy {
        self.proxy.as_ref().expect("this nemesis is played on a server only")
    }

    /// The server, where there is one.
    pub(crate) fn server(&mut self) -> &mut RedisServer {
        self.server.as_mut().expect("this nemesis is played on a server only")
    }

    /// Ends every fault of network and server.
    pub(crate) fn heal(&mut self) {
        if let Some(proxy) = &self.proxy {
            proxy.set(Fault::None);
        }
        if let Some(server) = &self.server {
            server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        }
    }
}
