//! [`Fields`]: what a query string or a form says.

/// Names and values, in their order. How many there can be is bounded by the length of what they are read from.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The first value of this name, without blanks around it; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.exact(name).trim()
    }

    /// The same, as it was sent.
    pub(super) fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// Every value of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is such a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// A query string of these names, and of one more, for a link to another page of the same list.
    pub(super) fn query_with(&self, kept: &[&str], more: (&str, &str)) -> String {
        let kept = kept.iter().map(|name| (*name, self.get(name))).filter(|(_, value)| !value.is_empty());
        let pairs = kept.chain([more].into_iter().filter(|(_, value)| !value.is_empty()));
        pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
    }
}

/// A text as it stands in a query string.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            true => encoded.push(byte as char),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_the_filters_and_nothing_of_a_value_breaks_out() {
        let fields =
            Fields::new(vec![("queue".into(), "a&b=\"<".into()), ("x".into(), "1".into()), ("tag".into(), " ".into())]);
        assert_eq!(fields.query_with(&["queue", "tag"], ("after", "t/1")), "queue=a%26b%3D%22%3C&after=t%2F1");
    }
}
