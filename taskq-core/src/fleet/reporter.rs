//! Tells the fleet now and then what a member does, and the member what is asked of it.

use std::future::Future;

use futures_util::future::BoxFuture;

use crate::{
    connection::Connection,
    fleet::{MemberId, Report, Request},
    limits,
};

/// A member that can tell what it does.
pub trait Reporting: Send + Sync {
    /// What it does now.
    fn report(&self) -> Report;

    /// Whether what it does changes from moment to moment.
    fn is_busy(&self) -> bool;

    /// Returns when it begins to do something, or ends it.
    fn changed(&self) -> BoxFuture<'_, ()>;

    /// Somebody asks this of it. It hears it again with each of its reports until it is gone.
    fn asked(&self, request: Request);
}

/// Reports until `ended` returns, and checks out then. A report that fails is replaced by the next one.
pub async fn report(connection: &Connection, id: MemberId, member: &impl Reporting, ended: impl Future<Output = ()>) {
    tokio::pin!(ended);
    tokio::select! {
        biased;
        () = &mut ended => {}
        () = keep_reporting(connection, id, member) => {}
    }
    let out = connection.fleet().check_out(id);
    match connection.clock().timeout(limits::CHECK_OUT, out).await {
        Ok(Ok(())) => {}
        // It is forgotten a minute later all the same.
        Ok(Err(error)) => tracing::debug!(%error, "could not check out"),
        Err(_) => tracing::debug!("could not check out: the broker does not answer"),
    }
}

async fn keep_reporting(connection: &Connection, id: MemberId, member: &impl Reporting) {
    let clock = connection.clock();
    // A simulated week shall pass in seconds, and nobody watches it from outside.
    let slowness = if clock.is_simulated() { 30 } else { 1 };
    let (kept, idle) = (limits::REPORT_KEPT * slowness, limits::REPORT_IDLE * slowness);
    loop {
        let changed = member.changed();
        let was_busy = member.is_busy();
        let report = member.report().encode();
        let sent = connection.fleet().check_in(id, &report, kept);
        match clock.timeout(limits::CALL_DEADLINE, sent).await {
            Ok(Ok(Some(request))) => member.asked(request),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a report is lost"),
            Err(_) => tracing::debug!("a report is lost: the broker does not answer"),
        }
        clock.sleep(limits::REPORT_BUSY).await;
        if !was_busy && !member.is_busy() {
            // What has begun since the report was made ends this wait at once.
            let _begun: Result<(), _> = clock.timeout(idle.saturating_sub(limits::REPORT_BUSY), changed).await;
        }
    }
}
