//! One figure over all runs.

/// What one system reached in one metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) system: String,
    pub(crate) metric: String,
    pub(crate) unit: String,
    /// The value of each run.
    pub(crate) runs: Vec<f64>,
    /// Whether every run was made and stood its audit.
    pub(crate) ok: bool,
    /// The full name of the floor that it is measured against.
    pub(crate) floor: Option<String>,
}

impl Figure {
    /// The median of the runs.
    pub(crate) fn median(&self) -> f64 {
        median(self.runs.clone())
    }

    pub(crate) fn min(&self) -> f64 {
        self.runs.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Whether more is better, by the unit: of what is counted a second one wants more, of everything else less.
    pub(crate) fn more_is_better(&self) -> bool {
        self.unit == "/s"
    }
}

/// The value in the middle; of an even number of values the mean of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[upper],
        _ => f64::midpoint(values[upper - 1], values[upper]),
    }
}

#[cfg(test)]
pub(crate) fn figure(system: &str, metric: &str, unit: &str, runs: &[f64]) -> Figure {
    let (system, metric, unit) = (system.to_owned(), metric.to_owned(), unit.to_owned());
    Figure { system, metric, unit, runs: runs.to_vec(), ok: true, floor: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        let odd = figure("taskq", "drain", "/s", &[3.0, 1.0, 2.0]);
        assert_eq!((odd.median(), odd.min(), odd.max()), (2.0, 1.0, 3.0));
        assert_eq!(figure("taskq", "drain", "/s", &[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert!(figure("taskq", "drain", "/s", &[]).median().is_nan());
    }
}
