//! The mail of a notice: plain text, and the same `Message-ID` whenever it is sent again. What a notice says is on one line
//! wherever it stands, so it can be no header and no second line of one.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use lettre::{
    Message,
    message::header::{ContentType, HeaderName, HeaderValue},
};
use sha2::{Digest, Sha256};
use taskq_core::{Timestamp, limits::MAX_ALERT_SUBJECT};

use super::{
    super::{field::rfc3339, notice::Notice, refusal::Refusal},
    EmailChannel,
};

/// The mail as it is sent.
pub(super) fn write(channel: &EmailChannel, notice: &Notice, now: Timestamp) -> Result<Vec<u8>, Refusal> {
    let subject: String = one_line(&channel.subject.render(notice)).chars().take(MAX_ALERT_SUBJECT).collect();
    let mut builder = Message::builder().from(channel.from.clone());
    for recipient in &channel.to {
        builder = builder.to(recipient.clone());
    }
    let answers_nobody = HeaderName::new_from_ascii_str("Auto-Submitted");
    builder
        .subject(subject)
        .date(date(now))
        .message_id(Some(message_id(notice, channel.from.email.domain())))
        // So that nobody's notice of absence comes back.
        .raw_header(HeaderValue::new(answers_nobody, "auto-generated".to_owned()))
        .header(ContentType::TEXT_PLAIN)
        .body(text(notice))
        .map(|message| message.formatted())
        .map_err(|error| Refusal::last(format_args!("no mail can be written: {error}")))
}

fn text(notice: &Notice) -> String {
    let mut text = format!("{}\r\n\r\n", one_line(&notice.to_string()));
    let mut line = |name: &str, value: &str| {
        let _infallible = write!(text, "{:<8} {}\r\n", format!("{name}:"), one_line(value));
    };
    line("check", &notice.check);
    line("health", &notice.health.to_string());
    line("since", &rfc3339(notice.since));
    line("at", &rfc3339(notice.at));
    if let Some(reason) = &notice.reason {
        line("reason", reason);
    }
    for (name, value) in &notice.labels {
        line("label", &format!("{name}={value}"));
    }
    line("alert", &notice.alert);
    text
}

/// Names are others' words, so they are not in it as they are.
fn message_id(notice: &Notice, domain: &str) -> String {
    let digest = Sha256::digest(notice.key().as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("<taskq.{hex}@{domain}>")
}

fn date(now: Timestamp) -> SystemTime {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    // No later than a mail can say: the year 9999.
    let millis = millis.min(253_402_300_799_000);
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

/// Without control characters, and without those that break lines or turn the way of writing.
fn one_line(text: &str) -> String {
    let breaks = |character: char| {
        character.is_control()
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if breaks(character) { ' ' } else { character }).collect()
}
