//! The drivers of the brokers, lent to health checks: the one list of databases that those can ask.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use taskq_core::{Clock, Result};
use taskq_scheduler::health;

/// Takes looks at the targets of health checks, databases among them: each one that this program has a feature for.
///
/// ```
/// use taskq::scheduler::health::{Check, Finding, Trust};
///
/// # let _ = async {
/// let check: Check = serde_json::from_str(r#"{ "every": "30s", "http": "https://shop.example/health" }"#)?;
/// let look = taskq::observer(taskq::Clock::system()).look(&check, &Trust::Config).await;
/// match look.finding {
///     Finding::Well => println!("well after {:?}", look.latency),
///     Finding::Poor(reason) | Finding::Bad(reason) => println!("{}: {reason}", check.probe.target()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # };
/// ```
pub fn observer(clock: Clock) -> health::Observer {
    health::Observer::new(clock.clone()).engines(Arc::new(Engines(clock)))
}

#[derive(Debug)]
struct Engines(
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "only Redis has waits of its own"))] Clock,
);

impl health::Engines for Engines {
    #[cfg(feature = "redis")]
    fn redis<'a>(
        &'a self,
        url: &'a str,
        only: Option<Vec<SocketAddr>>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(taskq_brokers::redis::probe(url, only, timeout, self.0.clone()))
    }

    #[cfg(not(feature = "redis"))]
    fn redis<'a>(
        &'a self,
        _url: &'a str,
        _only: Option<Vec<SocketAddr>>,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<()>> {
        without_feature("redis")
    }

    #[cfg(feature = "sqlite")]
    fn sqlite<'a>(&'a self, path: &'a Path, timeout: Duration) -> BoxFuture<'a, Result<()>> {
        Box::pin(taskq_brokers::sqlite::probe(path, timeout))
    }

    #[cfg(not(feature = "sqlite"))]
    fn sqlite<'a>(&'a self, _path: &'a Path, _timeout: Duration) -> BoxFuture<'a, Result<()>> {
        without_feature("sqlite")
    }
}

#[cfg(any(not(feature = "sqlite"), not(feature = "redis")))]
fn without_feature(feature: &'static str) -> BoxFuture<'static, Result<()>> {
    let cure = format!("this program was built without the feature \"{feature}\" of taskq-rs; enable it in Cargo.toml");
    let error = taskq_core::Error::new(taskq_core::ErrorKind::Unsupported, "look at", feature).because(cure);
    Box::pin(std::future::ready(Err(error)))
}
