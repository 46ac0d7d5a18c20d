//! Databases are asked by drivers that the program brings; here they are played.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::{BoxFuture, pending, ready};
use serde_json::json;
use taskq_core::{Error, ErrorKind, Result};
use taskq_scheduler::health::{Allow, Cause, Engines, Finding, Trust};

use crate::world::{World, bad, check};

/// Drivers that nobody may ask.
#[derive(Debug)]
pub(crate) struct Never;

impl Engines for Never {
    fn redis<'a>(&'a self, _: &'a str, _: Option<Vec<SocketAddr>>, _: Duration) -> BoxFuture<'a, Result<()>> {
        panic!("not to be asked")
    }

    fn sqlite<'a>(&'a self, _: &'a Path, _: Duration) -> BoxFuture<'a, Result<()>> {
        panic!("not to be asked")
    }
}

/// Drivers that answer as the target says: `well`, or a kind of failure.
#[derive(Debug, Default)]
struct Played(Mutex<Vec<(String, Option<Vec<SocketAddr>>)>>);

impl Engines for Played {
    fn redis<'a>(&'a self, url: &'a str, only: Option<Vec<SocketAddr>>, _: Duration) -> BoxFuture<'a, Result<()>> {
        self.0.lock().expect("not poisoned").push((url.to_owned(), only));
        answer(url)
    }

    fn sqlite<'a>(&'a self, path: &'a Path, _: Duration) -> BoxFuture<'a, Result<()>> {
        answer(&path.display().to_string())
    }
}

fn answer(target: &str) -> BoxFuture<'static, Result<()>> {
    let fail = |kind, cause: &'static str| ready(Err(Error::new(kind, "connect to", "it").because(cause)));
    match target {
        target if target.contains("refused") => Box::pin(fail(ErrorKind::Refused, "WRONGPASS")),
        target if target.contains("away") => Box::pin(fail(ErrorKind::Unavailable, "connection refused")),
        target if target.contains("unknown") => Box::pin(fail(ErrorKind::Unsupported, "built without the feature")),
        target if target.contains("hangs") => Box::pin(pending()),
        _ => Box::pin(ready(Ok(()))),
    }
}

#[tokio::test]
async fn answers_of_drivers_become_findings() {
    let world = World::new();
    let observer = world.observer.clone().engines(Arc::new(Played::default()));
    let look = async |probe| observer.look(&check(probe), &Trust::Config).await;
    assert_eq!(look(json!({ "redis": "redis://well" })).await.finding, Finding::Well);
    assert_eq!(look(json!({ "sqlite": "well.db" })).await.finding, Finding::Well);
    let told = bad(look(json!({ "redis": "rediss://me:can?ary@refused:1/2?ca=x" })).await);
    assert_eq!(told, (Cause::Answer, "rediss://refused:1/2: WRONGPASS".to_owned()));
    let told = bad(look(json!({ "sqlite": "away.db" })).await);
    assert_eq!(told, (Cause::Connection, "away.db: connection refused".to_owned()));
    let told = bad(look(json!({ "sqlite": "unknown.db" })).await);
    assert_eq!(told, (Cause::Setup, "unknown.db: built without the feature".to_owned()));
}

#[tokio::test]
async fn a_driver_that_hangs_is_given_up_at_the_timeout() {
    let world = World::new();
    let observer = world.observer.clone().engines(Arc::new(Played::default()));
    for (probe, stage) in [
        (json!({ "redis": "redis://hangs" }), "PING was not answered"),
        (json!({ "sqlite": "hangs.db" }), "the file was being read"),
    ] {
        let check = check(probe);
        let (look, ()) =
            tokio::join!(observer.look(&check, &Trust::Config), world.simulation.advance(Duration::from_secs(5)));
        assert_eq!(bad(look), (Cause::Timeout, format!("not done within 5s: {stage}")));
    }
}

#[tokio::test]
async fn without_drivers_that_is_told() {
    let world = World::new();
    for probe in [json!({ "redis": "redis://a" }), json!({ "sqlite": "a" }), json!({ "task": { "name": "a" } })] {
        assert_eq!(world.is_bad(probe).await.0, Cause::Setup);
    }
}

#[tokio::test]
async fn an_added_check_holds_the_driver_to_the_judged_addresses() {
    let world = World::new();
    world.names.put("db.example", &[&["10.0.0.1", "10.0.0.2"], &["169.254.169.254"]]);
    let played = Arc::new(Played::default());
    let observer = world.observer.clone().engines(Arc::<Played>::clone(&played));
    let trust = Trust::Listed(Allow::list(["10.0.0.0/8"]).expect("valid"));
    let look = observer.look(&check(json!({ "redis": "redis://:pw@DB.example/1" })), &trust).await;
    assert_eq!(look.finding, Finding::Well);
    let only = played.0.lock().expect("not poisoned")[0].1.clone().expect("held");
    assert_eq!(only.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1:6379", "10.0.0.2:6379"]);
    for url in [
        "redis://db.example",
        "redis://127.0.0.1",
        "redis://0x7f.1",
        "redis-sentinel://10.0.0.1/main",
        "redis://10.0.0.1,10.0.0.2:1/main",
        "redis://10.0.0.1@127.0.0.1",
        "rediss://10.0.0.1?ca=/etc/passwd",
    ] {
        let (cause, told) = bad(observer.look(&check(json!({ "redis": url })), &trust).await);
        assert!(matches!(cause, Cause::Forbidden | Cause::Name), "{url}: {told}");
    }
    assert_eq!(played.0.lock().expect("not poisoned").len(), 1);
}
