//! How people are told: what a receiver gets, what it may answer, and what is told of that.

mod forms;
mod hostile;
mod mails;
mod post_office;
mod secrets;
mod slack;
mod webhooks;

use std::time::Duration;

use serde_json::Value;
use taskq_core::{Clock, Timestamp, clock::Simulation};
use taskq_scheduler::{
    alert::{Alert, Courier, Notice, NoticeKind, Refusal},
    health::Health,
};

use crate::world::NOW;

/// A courier and its clock.
struct Desk {
    simulation: Simulation,
    courier: Courier,
}

impl Desk {
    fn new() -> Self {
        let (clock, simulation) = Clock::simulated(Timestamp::from_millis(NOW));
        Self { simulation, courier: Courier::new(clock) }
    }

    async fn deliver(&self, channel: Value, notice: &Notice) -> Result<(), Refusal> {
        self.courier.deliver(&alert(channel).channel, notice).await
    }

    /// Why the usual notice was not taken: words, whether that is final, and how long to wait.
    async fn refused(&self, channel: Value) -> (String, bool, Option<Duration>) {
        let refusal = self.deliver(channel, &notice()).await.expect_err("refused");
        (refusal.words, refusal.is_final, refusal.retry_after)
    }
}

fn alert(channel: Value) -> Alert {
    Alert::read(channel).expect("valid")
}

fn notice() -> Notice {
    Notice {
        alert: "team-web".to_owned(),
        check: "shop".to_owned(),
        kind: NoticeKind::Began,
        health: Health::Unhealthy,
        since: Timestamp::from_millis(NOW - 60_000),
        at: Timestamp::from_millis(NOW),
        reason: Some("connection refused".to_owned()),
        labels: [("team".to_owned(), "web".to_owned())].into(),
    }
}

/// A notice whose every text is this.
fn notice_of(text: &str) -> Notice {
    Notice {
        alert: text.to_owned(),
        check: text.to_owned(),
        reason: Some(text.to_owned()),
        labels: [(text.to_owned(), text.to_owned())].into(),
        ..notice()
    }
}

/// What breaks out of anything that is not careful.
const NASTY: &str = "\"},{\"x\":\"\\\r\n.\r\nBcc: <eve@evil.example>\r\n\r\n{{check}} {{ \u{0}\u{7f}\u{2028}\u{202e} <!channel> & 'ü\u{1f600}'";
