//! [`Courier`]: makes one attempt at a time to deliver a notice, each bounded as a whole.

use std::sync::Arc;

use taskq_core::Clock;

use super::{channel::Channel, notice::Notice, refusal::Refusal};
use crate::{
    health::{Authorities, Stage},
    length,
};

/// Delivers notices. One is enough for a program: any number of attempts may be under way at once.
///
/// ```
/// # use std::{io::{Read, Write}, net::TcpListener};
/// # use taskq_core::{Clock, Timestamp};
/// # use taskq_scheduler::{alert::{Alert, Courier, Notice, NoticeKind}, health::Health};
/// # use serde_json::json;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # let notice = Notice {
/// #     alert: "team-web".into(), check: "shop".into(), kind: NoticeKind::Began, health: Health::Unhealthy,
/// #     since: Timestamp::default(), at: Timestamp::default(), reason: None, labels: Default::default(),
/// # };
/// # let server = std::thread::spawn(move || {
/// #     let (mut stream, _) = listener.accept()?;
/// #     stream.read(&mut [0; 10_000])?;
/// #     stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
/// # });
/// let alert = Alert::read(json!({ "webhook": url }))?;
/// let courier = Courier::new(Clock::system());
/// if let Err(refusal) = courier.deliver(&alert.channel, &notice).await {
///     println!("{refusal}, {}", if refusal.is_final { "given up" } else { "and again later" });
///     # unreachable!("{refusal}");
/// }
/// # server.join().expect("no panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Courier {
    clock: Clock,
    authorities: Arc<Authorities>,
}

/// What an attempt needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending<'a> {
    pub(super) clock: &'a Clock,
    pub(super) authorities: &'a Authorities,
    pub(super) stage: &'a Stage,
}

impl Courier {
    /// One that goes by this clock, also when it judges certificates.
    pub fn new(clock: Clock) -> Self {
        Self { authorities: Arc::new(Authorities::new(clock.clone())), clock }
    }

    /// Delivers `notice` once, or says why it was not taken. It takes no longer than the channel's timeout, and may be dropped
    /// at any time; then the notice may have been taken all the same.
    ///
    /// A task is not enqueued here: that is a refusal.
    ///
    /// # Errors
    /// Why the receiver has not taken it, and whether another attempt can help.
    pub async fn deliver(&self, channel: &Channel, notice: &Notice) -> Result<(), Refusal> {
        let stage = Stage::new();
        let sending = Sending { clock: &self.clock, authorities: &self.authorities, stage: &stage };
        let timeout = channel.timeout();
        // Whatever is dropped here closes its connection.
        match self.clock.timeout(timeout, channel.send(notice, &sending)).await {
            Ok(delivered) => delivered,
            Err(_) => Err(Refusal::new(format!("not done within {}: {}", length::write(timeout), stage.words()))),
        }
    }
}
