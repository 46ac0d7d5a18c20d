//! [`World`]: an observer, its clock, and the names that it knows.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use taskq_core::{Clock, Timestamp, clock::Simulation};
use taskq_scheduler::health::{Cause, Check, Finding, Look, Observer, Reason, Resolver, Trust};

/// 2030-01-01T00:00:00Z, within the life of the certificates of these tests.
pub(crate) const NOW: i64 = 1_893_456_000_000;

pub(crate) struct World {
    pub(crate) simulation: Simulation,
    pub(crate) names: Arc<Names>,
    pub(crate) observer: Observer,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::at(NOW)
    }

    pub(crate) fn at(millis: i64) -> Self {
        let (clock, simulation) = Clock::simulated(Timestamp::from_millis(millis));
        let names = Arc::new(Names::default());
        let observer = Observer::new(clock).resolver(Arc::<Names>::clone(&names));
        Self { simulation, names, observer }
    }

    /// Looks once, by a check that stands in the configuration.
    pub(crate) async fn look(&self, probe: Value) -> Look {
        self.observer.look(&check(probe), &Trust::Config).await
    }

    /// The same, where it is well.
    pub(crate) async fn is_well(&self, probe: Value) {
        assert_eq!(self.look(probe).await.finding, Finding::Well);
    }

    /// The same, where it is bad, and why.
    pub(crate) async fn is_bad(&self, probe: Value) -> (Cause, String) {
        bad(self.look(probe).await)
    }
}

/// A check with `probe` and else the usual.
pub(crate) fn check(mut probe: Value) -> Check {
    probe["every"] = json!("30s");
    Check::read(probe).expect("valid")
}

pub(crate) fn bad(look: Look) -> (Cause, String) {
    match look.finding {
        Finding::Bad(reason) => told(&reason),
        other => panic!("bad was expected, not {other:?}"),
    }
}

pub(crate) fn poor(look: Look) -> (Cause, String) {
    match look.finding {
        Finding::Poor(reason) => told(&reason),
        other => panic!("poor was expected, not {other:?}"),
    }
}

fn told(reason: &Reason) -> (Cause, String) {
    (reason.cause(), reason.to_string())
}

/// Names with their answers, one after the other; the last one stays. Unknown names have none.
#[derive(Debug, Default)]
pub(crate) struct Names {
    answers: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn put(&self, name: &str, answers: &[&[&str]]) {
        let read = |answer: &&[&str]| answer.iter().map(|address| address.parse().expect("an address")).collect();
        let answers = answers.iter().map(read).collect();
        self.answers.lock().expect("not poisoned").insert(name.to_owned(), answers);
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().expect("not poisoned").push(host.to_owned());
        let mut names = self.answers.lock().expect("not poisoned");
        let answer = match names.get_mut(host) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "unknown name")),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Longer than any timeout.
pub(crate) const LONG: Duration = Duration::from_secs(600);
