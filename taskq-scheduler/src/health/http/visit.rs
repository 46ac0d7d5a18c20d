//! One look by HTTP: hop after hop to the answer, which is then judged.

use reqwest::Response;
use taskq_core::Clock;

use super::{
    super::{
        finding::{Cause, Reason},
        guard::Guard,
        stage::Stage,
    },
    HttpProbe,
    answer::Body,
    authorities::Authorities,
    certificate,
    hop::Hop,
};
use crate::length;

/// What a look needs.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Sight<'a> {
    pub(in super::super) clock: &'a Clock,
    pub(in super::super) guard: &'a Guard<'a>,
    pub(in super::super) authorities: &'a Authorities,
    pub(in super::super) stage: &'a Stage,
}

/// A warning, or why it is bad.
pub(super) async fn look(probe: &HttpProbe, sight: &Sight<'_>) -> Result<Option<Reason>, Reason> {
    let begun = sight.clock.monotonic();
    let (mut response, expiry) = answer(probe, sight).await?;
    probe.expected.judge_status(response.status())?;
    if probe.expected.asks_for_a_body() {
        sight.stage.enter("the answer had begun and did not end");
        probe.expected.judge_body(Body::read(&mut response).await?).await?;
    }
    let took = sight.clock.monotonic().saturating_sub(begun);
    let slow = probe.latency.filter(|most| took > *most).map(|most| {
        let (took, most) = (took.as_millis(), length::write(most));
        Reason::new(Cause::Slow, format_args!("it took {took}ms, more than {most}"))
    });
    Ok(match (expiry, slow) {
        (Some(expiry), Some(slow)) => Some(expiry.and(slow)),
        (expiry, slow) => expiry.or(slow),
    })
}

/// The answer at the end of all redirects, and a warning of a certificate on the way.
async fn answer(probe: &HttpProbe, sight: &Sight<'_>) -> Result<(Response, Option<Reason>), Reason> {
    if probe.ca.is_some() {
        sight.guard.only_by_config("the file ca")?;
    }
    let tls = sight.authorities.config(probe.ca.as_deref()).await?;
    let mut hop = Hop::first(&probe.request);
    sight.stage.enter("the name was being resolved");
    let mut addresses = sight.guard.target(&hop.place()?).await?;
    let mut warning = None;
    for left in (0..=probe.redirects).rev() {
        sight.stage.enter("there was no answer");
        let response = hop.send(&probe.request, &tls, &addresses).await?;
        let expiry = |days| certificate::near_its_end(&response, days, sight.clock);
        warning = warning.or_else(|| probe.certificate_days.and_then(expiry));
        let next = if probe.redirects == 0 { None } else { hop.next(&response)? };
        match next {
            None => return Ok((response, warning)),
            Some(_) if left == 0 => break,
            Some(next) => hop = next,
        }
        if !hop.is_home {
            sight.stage.enter("the name of a redirect was being resolved");
            addresses = sight.guard.redirect(&hop.place()?, &probe.redirect_to).await?;
        }
    }
    Err(Reason::new(Cause::Answer, format_args!("it redirects more than {} times", probe.redirects)))
}
