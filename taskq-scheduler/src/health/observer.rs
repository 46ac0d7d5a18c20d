//! [`Observer`]: takes one look at a time, each bounded as a whole.

use std::sync::Arc;

use taskq_core::Clock;

use super::{
    check::Check,
    engines::Engines,
    finding::{Cause, Finding, Look, Reason},
    guard::{Guard, Trust},
    http::{Authorities, Sight},
    probe::Probe,
    resolver::{Resolver, System},
    stage::Stage,
};
use crate::length;

/// Looks at targets. One is enough for a program: any number of looks may be under way at once.
///
/// ```
/// # use taskq_core::Clock;
/// # use taskq_scheduler::health::{Check, Finding, Observer, Trust};
/// # use serde_json::json;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let check = Check::read(json!({ "every": "30s", "tcp": listener.local_addr()?.to_string() }))?;
/// let look = Observer::new(Clock::system()).look(&check, &Trust::Config).await;
/// assert_eq!(look.finding, Finding::Well);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Observer {
    clock: Clock,
    resolver: Arc<dyn Resolver>,
    engines: Option<Arc<dyn Engines>>,
    authorities: Arc<Authorities>,
    commands: Commands,
}

/// Whether commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commands {
    Refused,
    Run,
}

impl Observer {
    /// One that asks no databases and runs no commands.
    pub fn new(clock: Clock) -> Self {
        Self {
            authorities: Arc::new(Authorities::new(clock.clone())),
            clock,
            resolver: Arc::new(System),
            engines: None,
            commands: Commands::Refused,
        }
    }

    /// Asks databases by these drivers.
    #[must_use]
    pub fn engines(mut self, engines: Arc<dyn Engines>) -> Self {
        self.engines = Some(engines);
        self
    }

    /// Finds addresses by this instead of the system.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Runs commands, of checks that stand in the configuration. Whoever may write that may then run programs here.
    #[must_use]
    pub fn run_commands(mut self) -> Self {
        self.commands = Commands::Run;
        self
    }

    /// Looks at the target of `check` once. It takes no longer than the check's timeout, and may be dropped at any time.
    ///
    /// A task is not looked at here: it is `Bad`, with [`Cause::Setup`].
    pub async fn look(&self, check: &Check, trust: &Trust) -> Look {
        let stage = Stage::new();
        let begun = self.clock.monotonic();
        // Whatever is dropped here closes its connections, kills its command and interrupts its query.
        let found = self.clock.timeout(check.timeout, self.find(check, trust, &stage)).await;
        let latency = self.clock.monotonic().saturating_sub(begun);
        let finding = match found {
            Ok(Ok(None)) => Finding::Well,
            Ok(Ok(Some(warning))) => Finding::Poor(warning),
            Ok(Err(reason)) => Finding::Bad(reason),
            Err(_) => {
                let words = format!("not done within {}: {}", length::write(check.timeout), stage.words());
                Finding::Bad(Reason::new(Cause::Timeout, words))
            }
        };
        Look { finding, latency }
    }

    /// A warning, or why it is bad.
    async fn find(&self, check: &Check, trust: &Trust, stage: &Stage) -> Result<Option<Reason>, Reason> {
        let guard = Guard::new(trust, &*self.resolver);
        let timeout = check.timeout;
        match &check.probe {
            Probe::Http(probe) => {
                let sight = Sight { clock: &self.clock, guard: &guard, authorities: &self.authorities, stage };
                return probe.look(&sight).await;
            }
            Probe::Tcp(probe) => probe.look(&guard, stage).await,
            Probe::Redis(probe) => probe.look(self.drivers()?, &guard, timeout, stage).await,
            Probe::Sqlite(probe) => probe.look(self.drivers()?, &guard, timeout, stage).await,
            Probe::Command(probe) => {
                guard.only_by_config("a command")?;
                self.check_commands()?;
                probe.look(stage).await
            }
            Probe::Task(_) => Err(Reason::new(Cause::Setup, "a task is run by whoever has a broker, not here")),
        }
        .map(|()| None)
    }

    fn drivers(&self) -> Result<&dyn Engines, Reason> {
        match &self.engines {
            Some(engines) => Ok(&**engines),
            None => Err(Reason::new(Cause::Setup, "this program brought no drivers to its health checks")),
        }
    }

    fn check_commands(&self) -> Result<(), Reason> {
        match self.commands {
            Commands::Run => Ok(()),
            Commands::Refused => Err(Reason::new(Cause::Setup, "this program does not allow commands")),
        }
    }
}
