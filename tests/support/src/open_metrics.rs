//! OpenMetrics text, read as strictly as the standard has it.
//!
//! The promise: what is not allowed panics with the line: a family told twice or in pieces, a counter without `_total`, a unit
//! that is not the end of a name, buckets that do not add up, a value told twice, a missing `# EOF`.

use std::collections::{BTreeMap, BTreeSet};

/// A family and its values.
#[derive(Clone, Debug, Default)]
pub struct MetricFamily {
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    /// Its unit, if it has one.
    pub unit: Option<String>,
    /// What it tells.
    pub help: String,
    /// Name, labels and value of each sample, in order.
    pub samples: Vec<Sample>,
}

/// One value.
#[derive(Clone, Debug)]
pub struct Sample {
    /// With the suffix of its kind.
    pub name: String,
    /// Unescaped.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}

/// A whole text.
#[derive(Clone, Debug, Default)]
pub struct OpenMetrics {
    /// By name.
    pub families: BTreeMap<String, MetricFamily>,
}

impl OpenMetrics {
    /// Reads a text.
    ///
    /// # Panics
    ///
    /// When it is not allowed to be so.
    #[must_use]
    pub fn parse(text: &str) -> OpenMetrics {
        let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no # EOF at the end of {text:?}"));
        let mut all = OpenMetrics::default();
        let mut present = String::new();
        for line in body.lines() {
            assert!(!line.is_empty() && line != "# EOF", "a line that is not allowed in {text}");
            match line.strip_prefix("# ") {
                Some(comment) => all.describe(comment, &mut present),
                None => all.add(&present, sample(line)),
            }
        }
        all.families.iter().for_each(|(name, family)| family.check(name));
        all
    }

    fn describe(&mut self, comment: &str, present: &mut String) {
        let mut words = comment.splitn(3, ' ');
        let (Some(what), Some(name), Some(text)) = (words.next(), words.next(), words.next()) else {
            panic!("a comment that is not allowed: {comment}")
        };
        if name != present {
            assert!(!self.families.contains_key(name), "{name} is told twice");
            self.families.insert(name.to_owned(), MetricFamily::default());
            name.clone_into(present);
        }
        let family = self.families.get_mut(name).expect("was put there");
        assert!(family.samples.is_empty(), "{comment} comes after values");
        match what {
            "HELP" => text.clone_into(&mut family.help),
            "TYPE" => text.clone_into(&mut family.kind),
            "UNIT" => family.unit = Some(text.to_owned()),
            other => panic!("# {other} is unknown"),
        }
    }

    fn add(&mut self, present: &str, sample: Sample) {
        let family = self.families.get_mut(present).unwrap_or_else(|| panic!("{sample:?} is of no family"));
        family.samples.push(sample);
    }

    /// The value of a sample with exactly these labels.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut samples = self.families.values().flat_map(|family| &family.samples);
        samples.find(|sample| sample.name == name && sample.labels == labels).map(|sample| sample.value)
    }

    /// Every value that a label has anywhere.
    #[must_use]
    pub fn values_of(&self, label: &str) -> BTreeSet<String> {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.filter_map(|sample| sample.labels.get(label).cloned()).collect()
    }
}

impl MetricFamily {
    fn check(&self, name: &str) {
        assert!(!self.help.is_empty() && !self.kind.is_empty(), "{name} is not described");
        assert!(self.unit.as_ref().is_none_or(|unit| name.ends_with(&format!("_{unit}"))), "{name} has another unit");
        let suffixes: &[&str] = match self.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{name} is of an unknown kind {other}"),
        };
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            let suffix = sample.name.strip_prefix(name);
            assert!(suffix.is_some_and(|suffix| suffixes.contains(&suffix)), "{sample:?} is not of {name}");
            assert!(seen.insert((&sample.name, &sample.labels)), "{sample:?} is told twice");
            assert!(sample.value.is_finite() && sample.value >= 0.0, "{sample:?}");
            assert_eq!(sample.name.ends_with("_bucket"), sample.labels.contains_key("le"), "{sample:?}");
        }
        if self.kind == "histogram" {
            self.check_buckets(name);
        }
    }

    fn check_buckets(&self, name: &str) {
        let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        let mut counts = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            match labels.remove("le") {
                Some(bound) => {
                    let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a number") };
                    series.entry(labels).or_default().push((bound, sample.value));
                }
                None if sample.name.ends_with("_count") => drop(counts.insert(labels, sample.value)),
                None => {}
            }
        }
        assert_eq!(series.len(), counts.len(), "{name}");
        for (labels, buckets) in series {
            assert!(buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{name}: {buckets:?}");
            let last = buckets.last().copied();
            assert_eq!(last, counts.get(&labels).map(|count| (f64::INFINITY, *count)), "{name}");
        }
    }
}

/// `name{label="value",..} number`.
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, rest) = line.split_at(end);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(!name.is_empty() && name.chars().all(is_name), "a wrong name: {line}");
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest, line),
        None => (BTreeMap::new(), rest),
    };
    let value = value.strip_prefix(' ').and_then(|value| value.parse().ok());
    Sample { name: name.to_owned(), labels, value: value.unwrap_or_else(|| panic!("a wrong value: {line}")) }
}

fn labels<'a>(mut rest: &'a str, line: &str) -> (BTreeMap<String, String>, &'a str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("a wrong label: {line}"));
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next() {
                Some((at, '"')) => break at,
                Some((_, '\\')) => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                    other => panic!("a wrong escape {other:?}: {line}"),
                },
                Some((_, character)) => value.push(character),
                None => panic!("an open value: {line}"),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "a label twice: {line}");
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, rest.strip_prefix('}').unwrap_or_else(|| panic!("no end of labels: {line}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_with_its_escapes() {
        let text = "# HELP a_seconds How long.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n\
                    a_seconds{b=\"x\\\"\\\\\\ny}\",c=\"\"} 1.5\n# EOF\n";
        let read = OpenMetrics::parse(text);
        assert_eq!(read.value("a_seconds", &[("b", "x\"\\\ny}"), ("c", "")]), Some(1.5));
    }

    #[test]
    fn what_is_not_allowed_panics() {
        let told = "# HELP a Told.\n# TYPE a counter\n";
        for wrong in [
            String::new(),
            format!("{told}a_total 1\n"),
            format!("{told}a 1\n# EOF\n"),
            format!("{told}a_total 1\na_total 2\n# EOF\n"),
            format!("{told}a_total -1\n# EOF\n"),
            format!("{told}a_total{{b=\"c}} 1\n# EOF\n"),
            format!("{told}a_total 1\n{told}# EOF\n"),
            "# HELP a Told.\n# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n".to_owned(),
            "a 1\n# EOF\n".to_owned(),
        ] {
            assert!(std::panic::catch_unwind(|| OpenMetrics::parse(&wrong)).is_err(), "{wrong}");
        }
    }
}
