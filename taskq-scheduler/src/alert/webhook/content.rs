//! [`Content`]: the JSON that a webhook gets. A template is read as JSON first and filled in afterwards, text by text: so a
//! notice can say what it likes and is never more than text.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::{
    field::{Field, rfc3339},
    notice::{Notice, NoticeKind},
    template::Template,
};
use crate::health::Health;

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// What [`WebhookChannel`](super::WebhookChannel) documents.
    Usual,
    /// JSON with placeholders.
    Own(Shape),
}

/// JSON with placeholders in its texts.
#[derive(Clone, PartialEq)]
pub(super) enum Shape {
    Text(Template),
    List(Vec<Shape>),
    Table(BTreeMap<String, Shape>),
    Other(Value),
}

impl Content {
    /// Reads a template, or says what is wrong with it.
    pub(super) fn read(form: Value) -> Result<Self, String> {
        let form = match form {
            Value::String(text) => serde_json::from_str(&text).map_err(|error| {
                // Not the words of the parser, which have parts of the text.
                let place = format!("line {}, column {}", error.line(), error.column());
                format!("it is no JSON at {place}; placeholders stand in texts, \"{{{{check}}}}\"")
            })?,
            form @ Value::Object(_) => form,
            _ => return Err("write JSON as text, or a table".to_owned()),
        };
        Shape::read(form).map(Self::Own)
    }

    pub(super) fn render(&self, notice: &Notice) -> String {
        match self {
            Self::Usual => json!(Usual::of(notice)).to_string(),
            Self::Own(shape) => shape.render(notice).to_string(),
        }
    }
}

impl Shape {
    fn read(form: Value) -> Result<Self, String> {
        Ok(match form {
            Value::String(text) => Self::Text(Template::read(&text)?),
            Value::Array(members) => Self::List(members.into_iter().map(Self::read).collect::<Result<_, _>>()?),
            Value::Object(values) => {
                let read = |(name, value): (String, Value)| match name.contains("{{") {
                    true => Err("a placeholder stands in a value, not in a name".to_owned()),
                    false => Ok((name, Self::read(value)?)),
                };
                Self::Table(values.into_iter().map(read).collect::<Result<_, _>>()?)
            }
            other => Self::Other(other),
        })
    }

    fn render(&self, notice: &Notice) -> Value {
        match self {
            Self::Text(template) if template.is_only(&Field::Labels) => json!(notice.labels),
            Self::Text(template) => template.render(notice).into(),
            Self::List(members) => members.iter().map(|member| member.render(notice)).collect(),
            Self::Table(values) => {
                let render = |(name, value): (&String, &Self)| (name.clone(), value.render(notice));
                Value::Object(values.iter().map(render).collect::<Map<_, _>>())
            }
            Self::Other(value) => value.clone(),
        }
    }
}

/// A template may have a token of the receiver in it.
impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Serialize)]
struct Usual<'a> {
    version: u8,
    alert: &'a str,
    check: &'a str,
    event: NoticeKind,
    health: Health,
    since: String,
    at: String,
    reason: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    text: String,
}

impl<'a> Usual<'a> {
    fn of(notice: &'a Notice) -> Self {
        Self {
            version: 1,
            alert: &notice.alert,
            check: &notice.check,
            event: notice.kind,
            health: notice.health,
            since: rfc3339(notice.since),
            at: rfc3339(notice.at),
            reason: notice.reason.as_deref(),
            labels: &notice.labels,
            text: notice.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use taskq_core::Timestamp;

    use super::*;

    fn notice(text: &str) -> Notice {
        Notice {
            alert: text.to_owned(),
            check: text.to_owned(),
            kind: NoticeKind::Began,
            health: Health::Unhealthy,
            since: Timestamp::default(),
            at: Timestamp::default(),
            reason: Some(text.to_owned()),
            labels: [(text.to_owned(), text.to_owned())].into(),
        }
    }

    proptest! {
        #[test]
        fn whatever_a_notice_says_stays_where_its_placeholder_stands(text in any::<String>()) {
            let own = Content::read(json!({
                "a": "<{{reason}}>", "b": ["{{check}}", 1, null, { "c": "{{labels}}" }], "d": "{{labels}}!",
            })).expect("valid");
            let rendered: Value = serde_json::from_str(&own.render(&notice(&text))).expect("JSON");
            let labels = json!({ text.clone(): text });
            let expected = json!({
                "a": format!("<{text}>"), "b": [text, 1, null, { "c": labels }], "d": format!("{text}={text}!"),
            });
            prop_assert_eq!(rendered, expected);
            let usual: Value = serde_json::from_str(&Content::Usual.render(&notice(&text))).expect("JSON");
            prop_assert_eq!(&usual["reason"], &json!(text));
        }
    }
}
