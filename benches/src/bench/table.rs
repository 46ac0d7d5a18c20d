//! The table for people: what was measured together stands together.

use crate::{figure::Figure, results::Results};

/// Prints all figures, metric by metric.
pub(crate) fn print(results: &Results) {
    println!(
        "{:48} {:16} {:>11} {:>11} {:>11} {:7} {:>4}  {:>30}  ok",
        "metric", "system", "median", "min", "max", "unit", "runs", "ratio"
    );
    let mut metrics: Vec<&str> = Vec::new();
    for figure in &results.figures {
        if !metrics.contains(&figure.metric.as_str()) {
            metrics.push(&figure.metric);
        }
    }
    for metric in metrics {
        for figure in results.figures.iter().filter(|figure| figure.metric == metric) {
            println!("{}", line(figure, results));
        }
    }
}

fn line(figure: &Figure, results: &Results) -> String {
    let Figure { system, metric, unit, runs, ok, .. } = figure;
    let ok = if *ok { "ok" } else { "FAILED" };
    if runs.is_empty() {
        return format!(
            "{metric:48} {system:16} {:>11} {:>11} {:>11} {unit:7} {:>4}  {:>30}  {ok}",
            "-", "-", "-", 0, ""
        );
    }
    let (median, min, max) = (shown(figure.median()), shown(figure.min()), shown(figure.max()));
    let ratio = ratio(figure, results);
    format!("{metric:48} {system:16} {median:>11} {min:>11} {max:>11} {unit:7} {:>4}  {ratio:>30}  {ok}", runs.len())
}

/// Such as `0.62 x floor`, `0.04 x taskq`, `2.1 x wake`.
fn ratio(figure: &Figure, results: &Results) -> String {
    let Some(ratio) = results.ratio(figure) else { return String::new() };
    let against = match &figure.floor {
        None => "taskq",
        Some(floor) if *floor == figure.metric => "floor",
        Some(floor) => floor,
    };
    format!("{ratio:.2} x {against}")
}

/// A number with as many digits as mean something: 451230, 12.3, 0.12.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{figure::figure, results::tests::of_figures};

    #[test]
    fn a_line_names_what_it_is_compared_with() {
        let floor = figure("floor", "wake_p50_us", "us", &[50.0]);
        let start = Figure { floor: Some("wake_p50_us".to_owned()), ..figure("taskq", "start_p50_us", "us", &[110.0]) };
        let peer = figure("peer", "start_p50_us", "us", &[440.0]);
        let results = of_figures(vec![floor, start.clone(), peer.clone()]);
        assert_eq!(ratio(&start, &results), "2.20 x wake_p50_us");
        assert_eq!(ratio(&peer, &results), "4.00 x taskq");
        assert!(line(&peer, &results).ends_with("ok"));
        assert!(line(&Figure { ok: false, ..peer }, &results).ends_with("FAILED"));
    }

    #[test]
    fn numbers_have_as_many_digits_as_mean_something() {
        assert_eq!([451_230.4, 12.34, 0.123].map(shown), ["451230", "12.3", "0.12"]);
    }
}
