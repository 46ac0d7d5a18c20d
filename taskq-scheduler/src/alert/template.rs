//! [`Template`]: text with placeholders.

use super::{field::Field, notice::Notice};

/// Text with placeholders, for example `{{check}} is {{health}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

impl Template {
    /// Reads it, or says what is wrong.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or("a {{ has no }} after it")?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Field(Field::read(name.trim())?));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// The text for a notice. What is put in is not looked at for placeholders again.
    pub(super) fn render(&self, notice: &Notice) -> String {
        let told = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(field) => field.tell(notice),
        };
        self.0.iter().map(told).collect()
    }

    /// Whether it is this field and nothing else.
    pub(super) fn is_only(&self, field: &Field) -> bool {
        matches!(&self.0[..], [Part::Field(only)] if only == field)
    }
}

#[cfg(test)]
mod tests {
    use taskq_core::Timestamp;

    use super::*;
    use crate::{alert::NoticeKind, health::Health};

    #[test]
    fn every_placeholder_is_filled_in_and_none_that_a_notice_brings() {
        let labels = [("team".to_owned(), "web".to_owned()), ("tier".to_owned(), "{{id}}".to_owned())].into();
        let notice = Notice {
            alert: "night".to_owned(),
            check: "shop".to_owned(),
            kind: NoticeKind::Lasts,
            health: Health::Unhealthy,
            since: Timestamp::from_millis(1_893_456_000_000),
            at: Timestamp::from_millis(1_893_456_060_500),
            reason: Some("{{check}}".to_owned()),
            labels,
        };
        for (template, expected) in [
            ("{{alert}} {{check}} {{event}} {{health}}", "night shop lasts unhealthy"),
            ("{{since}}, {{ at }}", "2030-01-01T00:00:00Z, 2030-01-01T00:01:00.5Z"),
            ("{{summary}}", "shop is still unhealthy"),
            ("{{text}} = {{reason}}", "shop is still unhealthy: {{check}} = {{check}}"),
            ("{{labels}}|{{labels.team}}|{{labels.none}}|", "team=web, tier={{id}}|web||"),
            ("{{id}}", "shop+night@1893456060500"),
            ("{ } }} no", "{ } }} no"),
            ("", ""),
        ] {
            assert_eq!(Template::read(template).expect("valid").render(&notice), expected);
        }
        for template in ["{{", "{{check}", "{{chec}}", "{{}}", "{{labels.}}", "{{{check}}}"] {
            let told = Template::read(template).expect_err(template);
            assert!(!told.contains("chec}"), "{told}");
        }
    }
}
