//! The figures for programs: one JSON object a line.

use std::{io::Write, path::Path};

use bench_driver::Outcome;
use serde::Serialize;

use crate::{figure::Figure, results::Results};

#[derive(Serialize)]
struct Line<'a> {
    system: &'a str,
    metric: &'a str,
    unit: &'a str,
    median: f64,
    min: f64,
    max: f64,
    runs: usize,
    ok: bool,
}

/// Writes all figures into a file.
pub(crate) fn write(path: &Path, results: &Results) -> Outcome<()> {
    let cannot = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).map_err(cannot)?);
    for figure in &results.figures {
        writeln!(file, "{}", line(figure)?).map_err(cannot)?;
    }
    Ok(file.flush().map_err(cannot)?)
}

fn line(figure: &Figure) -> Outcome<String> {
    let Figure { system, metric, unit, ok, .. } = figure;
    let (median, min, max) = (figure.median(), figure.min(), figure.max());
    Ok(serde_json::to_string(&Line { system, metric, unit, median, min, max, runs: figure.runs.len(), ok: *ok })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::figure;

    #[test]
    fn a_figure_is_one_object_with_these_fields() {
        let figure = figure("taskq", "start_p50_us", "us", &[120.5, 100.0, 130.25]);
        let expected = r#"{"system":"taskq","metric":"start_p50_us","unit":"us","median":120.5,"min":100.0,"max":130.25,"runs":3,"ok":true}"#;
        assert_eq!(line(&figure).unwrap(), expected);
    }
}
