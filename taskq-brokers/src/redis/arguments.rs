//! What the scripts of producers and settlements take, in their order.

use std::time::Duration;

use redis::Cmd;
use taskq_core::{
    Envelope, OnConflict, UniqueUntil,
    broker::{Ending, Settlement},
    id::{BatchId, Owner},
    invocation::{Expiry, Start, UniqueKey},
};

use super::{
    element,
    families::{family_of, mask},
    held::token_arguments,
    rows::rows,
    successes::result_of,
};

/// Whether the short script can take it.
pub(super) fn is_plain(envelope: &Envelope) -> bool {
    envelope.start == Start::Now && envelope.expiry.is_none() && envelope.unique.is_none() && !envelope.own_id
}

fn batch_arguments(command: &mut Cmd, batch: BatchId) {
    // A repetition carries the same id, and so finds the same bucket.
    command.arg(&batch.as_bytes()[..]).arg(batch.made_at_millis() / 60_000);
}

/// The same for a lone task, whose mark only a repetition leaves: a bucket of its own, which hardly ever exists.
fn lone_batch_arguments(command: &mut Cmd, batch: BatchId) {
    command.arg(&batch.as_bytes()[..]).arg(format!("one:{}", batch.made_at_millis() / 60_000));
}

/// The marker of a task without expiry and unique key, as `marker_of` in `prelude.lua` makes it.
fn plain_marker(envelope: &Envelope) -> [u8; 2] {
    [element::class(envelope.result_ttl), 0]
}

/// With the channel on which its end is to be told, if anybody listens.
pub(super) fn one(command: &mut Cmd, batch: BatchId, envelope: &Envelope, channel: &str) {
    lone_batch_arguments(command, batch);
    command.arg(envelope.id.key.as_bytes()).arg(&plain_marker(envelope)[..]);
    command.arg(envelope.priority).arg(element::encode(envelope, None)).arg(channel);
}

/// One that may have been accepted before: it is looked up, and leaves a mark.
pub(super) fn again(command: &mut Cmd, batch: BatchId, envelope: &Envelope) {
    lone_batch_arguments(command, batch);
    command.arg(element::encode(envelope, None)).arg("n").arg(0).arg("-").arg(0).arg(1);
    unique_arguments(command, None);
}

pub(super) fn plain(command: &mut Cmd, batch: BatchId, envelopes: &[Envelope]) {
    batch_arguments(command, batch);
    family_arguments(command, envelopes);
    let rows = rows(envelopes);
    command.arg(envelopes.len() - rows.len());
    for group in rows.chunk_by(|one, next| one.priority == next.priority) {
        command.arg(group[0].priority).arg(group.len());
        for row in group {
            command.arg(&row.bytes[..]);
        }
    }
}

/// Which tasks share a marker.
fn kin(envelope: &Envelope) -> (Option<&[u8]>, u8) {
    (family_of(&envelope.id.key).map(|(family, _)| family), element::class(envelope.result_ttl))
}

/// The markers of tracked tasks, one for all siblings of a family and class.
fn family_arguments(command: &mut Cmd, envelopes: &[Envelope]) {
    let mut tracked: Vec<&Envelope> = envelopes.iter().filter(|envelope| envelope.is_tracked()).collect();
    tracked.sort_by(|one, other| kin(one).cmp(&kin(other)));
    let families = tracked.chunk_by(|one, next| kin(one) == kin(next));
    command.arg(families.clone().count());
    for members in families {
        let siblings = members.iter().filter_map(|envelope| family_of(&envelope.id.key));
        let family = siblings.clone().next().map_or(&[][..], |(family, _)| family);
        let mut marker = vec![element::class(members[0].result_ttl)];
        marker.extend(mask(siblings.map(|(_, which)| which)));
        command.arg(family).arg(marker);
    }
}

pub(super) fn each(command: &mut Cmd, batch: BatchId, envelopes: &[Envelope]) {
    batch_arguments(command, batch);
    accepted(command, envelopes);
}

/// Nine for each task, as `accept_each` in `prelude.lua` wants them.
pub(super) fn accepted(command: &mut Cmd, envelopes: &[Envelope]) {
    let whole = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    for envelope in envelopes {
        let (start, starts) = match envelope.start {
            Start::Now => ("n", 0),
            Start::After(delay) => ("a", whole(delay)),
            Start::At(time) => ("t", time.as_millis()),
        };
        let (expiry, expires) = match envelope.expiry {
            None => ("-", 0),
            Some(Expiry::After(duration)) => ("a", whole(duration)),
            Some(Expiry::At(time)) => ("t", time.as_millis()),
        };
        command.arg(element::encode(envelope, envelope.expiry.map(|_| 0)));
        command.arg(start).arg(starts).arg(expiry).arg(expires).arg(i32::from(envelope.own_id));
        unique_arguments(command, envelope.unique.as_ref());
    }
}

fn unique_arguments(command: &mut Cmd, unique: Option<&UniqueKey>) {
    let Some(unique) = unique else {
        command.arg("-").arg(0).arg("-");
        return;
    };
    match unique.until {
        UniqueUntil::Start => command.arg("s").arg(0),
        UniqueUntil::End => command.arg("e").arg(0),
        UniqueUntil::After(duration) => command.arg("a").arg(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
    };
    let conflict = match unique.on_conflict {
        OnConflict::Skip => 's',
        OnConflict::Replace => 'r',
    };
    command.arg(format!("{conflict}{}", unique.key));
}

pub(super) fn endings(command: &mut Cmd, owner: Owner, settlements: &[Settlement]) {
    command.arg(owner.to_string());
    for Settlement { token, envelope, ending } in settlements {
        let expires = match envelope.expiry {
            Some(Expiry::At(time)) => Some(time.as_millis()),
            _ => None,
        };
        token_arguments(command, *token);
        command.arg(element::encode(envelope, expires));
        match ending {
            Ending::Succeeded(_) => command.arg("s").arg(result_of(envelope, ending)),
            Ending::Retry(delay) => command.arg("r").arg(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            Ending::Dead(reason) => command.arg("d").arg(reason.as_str()),
            Ending::Cancelled => command.arg("c").arg(""),
            Ending::Released => command.arg("l").arg(""),
        };
    }
}
