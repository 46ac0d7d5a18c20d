//! What all runs brought: figures, and what failed.

use std::process::ExitCode;

use bench_driver::Value;

use crate::{
    catalogue::{Place, floor_of},
    figure::Figure,
    systems::System,
};

/// The figures of all systems, in the order in which they were first measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) figures: Vec<Figure>,
    failures: Vec<Failure>,
    skips: Vec<Skip>,
}

/// A run that could not be made, or whose audit failed.
#[derive(Debug)]
struct Failure {
    system: String,
    metric: String,
    is_peer: bool,
    why: String,
}

/// Something that a system does not do.
#[derive(Debug, PartialEq)]
pub(crate) struct Skip {
    pub(crate) system: String,
    pub(crate) metric: String,
    pub(crate) why: String,
}

impl Results {
    /// Adds the values of one run; `ok` says whether its audit was good.
    pub(crate) fn add(&mut self, system: &System, place: Place, values: &[Value], ok: bool) {
        for value in values {
            let metric = place.name(&value.metric);
            let figure = self.figure_mut(system.name(), &metric);
            if figure.runs.is_empty() {
                figure.unit.clone_from(&value.unit);
                let floor = system.is_taskq().then(|| floor_of(&value.metric, place.engine())).flatten();
                figure.floor = floor.map(|floor| place.name(floor));
            }
            figure.runs.push(value.value);
            figure.ok &= ok;
        }
    }

    /// Remembers a failed run of a measurement.
    pub(crate) fn fail(&mut self, system: &System, metrics: &[String], why: &str) {
        for metric in metrics {
            // A figure of fewer runs than asked for is not a good one either.
            self.figure_mut(system.name(), metric).ok = false;
        }
        let metric = metrics.first().cloned().unwrap_or_default();
        let (system, is_peer) = (system.name().to_owned(), system.is_peer());
        self.failures.push(Failure { system, metric, is_peer, why: why.to_owned() });
    }

    /// Remembers that a system does not do something.
    pub(crate) fn skip(&mut self, system: &System, metric: String, why: &str) {
        let skip = Skip { system: system.name().to_owned(), metric, why: why.to_owned() };
        if !self.skips.contains(&skip) {
            self.skips.push(skip);
        }
    }

    pub(crate) fn skips_of<'a>(&'a self, system: &'a str) -> impl Iterator<Item = &'a Skip> {
        self.skips.iter().filter(move |skip| skip.system == system)
    }

    /// A figure, if it was measured.
    pub(crate) fn figure(&self, system: &str, metric: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.system == system && figure.metric == metric && !figure.runs.is_empty())
    }

    pub(crate) fn median(&self, system: &str, metric: &str) -> Option<f64> {
        self.figure(system, metric).map(Figure::median)
    }

    /// The median over that of the floor, or of a peer over that of taskq.
    pub(crate) fn ratio(&self, figure: &Figure) -> Option<f64> {
        let other = match (figure.system.as_str(), &figure.floor) {
            ("taskq", Some(floor)) => self.figure("floor", floor)?,
            ("taskq" | "floor", _) => return None,
            (_peer, _) => self.figure("taskq", &figure.metric)?,
        };
        (other.unit == figure.unit).then(|| figure.median() / other.median())
    }

    /// Peers may fail; taskq and the floors may not.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.failures.iter().all(|failure| failure.is_peer) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }

    pub(crate) fn print_failures(&self) {
        if self.failures.is_empty() {
            return println!("\nevery run stood its audit");
        }
        println!("\nfailed runs:");
        for Failure { system, metric, why, .. } in &self.failures {
            println!("  {system} {metric}: {why}");
        }
    }

    fn figure_mut(&mut self, system: &str, metric: &str) -> &mut Figure {
        let place = self.figures.iter().position(|figure| figure.system == system && figure.metric == metric);
        let place = place.unwrap_or_else(|| {
            let (system, metric) = (system.to_owned(), metric.to_owned());
            self.figures.push(Figure { system, metric, unit: String::new(), runs: Vec::new(), ok: true, floor: None });
            self.figures.len() - 1
        });
        &mut self.figures[place]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::figure::figure;

    /// Results with these figures: system, metric, unit, the value of one run.
    pub(crate) fn results(figures: &[(&str, &str, &str, f64)]) -> Results {
        let figures = figures.iter().map(|(system, metric, unit, value)| figure(system, metric, unit, &[*value]));
        of_figures(figures.collect())
    }

    /// Results with these figures.
    pub(crate) fn of_figures(figures: Vec<Figure>) -> Results {
        Results { figures, ..Results::default() }
    }

    fn value(metric: &str, value: f64) -> Value {
        Value { metric: metric.to_owned(), unit: "/s".to_owned(), value }
    }

    #[test]
    fn runs_of_one_metric_come_together_under_the_name_of_its_place() {
        let mut results = Results::default();
        results.add(&System::taskq(), Place::SqliteFull, &[value("drain", 2.0)], true);
        results.add(&System::taskq(), Place::SqliteFull, &[value("drain", 1.0)], false);
        let figure = results.figure("taskq", "sqlite_full_drain").unwrap();
        assert_eq!(figure.runs, [2.0, 1.0]);
        assert!(!figure.ok);
    }

    #[test]
    fn taskq_is_measured_against_the_floor_and_a_peer_against_taskq() {
        let mut results = results(&[("floor", "wake_p50_us", "us", 50.0), ("peer", "start_p50_us", "us", 400.0)]);
        let start = Value { metric: "start_p50_us".to_owned(), unit: "us".to_owned(), value: 100.0 };
        results.add(&System::taskq(), Place::Redis, &[start], true);
        let ratio = |system, metric| results.ratio(results.figure(system, metric).unwrap());
        assert_eq!(ratio("taskq", "start_p50_us"), Some(2.0));
        assert_eq!(ratio("peer", "start_p50_us"), Some(4.0));
        assert_eq!(ratio("floor", "wake_p50_us"), None);
    }

    #[test]
    fn only_failures_of_taskq_and_the_floors_fail_the_whole() {
        let mut results = Results::default();
        results.fail(&System::peer("bullmq-official"), &["drain".to_owned()], "5 duplicates");
        assert_eq!(results.exit_code(), ExitCode::SUCCESS);
        assert!(!results.figures[0].ok);
        results.fail(&System::taskq(), &["drain".to_owned()], "5 duplicates");
        assert_eq!(results.exit_code(), ExitCode::FAILURE);
    }
}
