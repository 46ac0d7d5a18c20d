//! [`Chart`]: the last minutes as lines. Drawn here as SVG, so that a browser needs no script to show them.

use std::{collections::VecDeque, fmt::Write, time::Duration};

use taskq_core::Timestamp;

use super::limits;
use crate::words::{length, short_number};

/// Width and height of a drawing; pages stretch it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;

/// Steps between two points after which a line breaks: nobody looked in between.
const GAP: i64 = 4;

/// What was seen at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    pub(super) ready: f64,
    pub(super) waiting: f64,
    pub(super) running: f64,
    pub(super) succeeded: f64,
    pub(super) failed: f64,
    pub(super) run_median: Option<f64>,
    pub(super) run_slow: Option<f64>,
    pub(super) wait_slow: Option<f64>,
}

/// The last minutes, a point a step.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<(i64, Point)>);

/// Lines over the last minutes.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) lines: Vec<Line>,
    /// What the upper edge stands for.
    pub(super) top: String,
    /// The same in a sentence, for those who do not see it.
    pub(super) summary: String,
}

/// One line of a chart.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) label: &'static str,
    /// Colour and dashes, by a class of the style sheet.
    pub(super) class: &'static str,
    /// Where it goes, for SVG.
    pub(super) path: String,
    /// The same down to the lower edge.
    pub(super) area: String,
    /// Its newest value.
    pub(super) now: String,
}

type Series = (&'static str, &'static str, fn(&Point) -> Option<f64>);

impl History {
    /// Takes a point. Several in one step are one: the newest.
    pub(super) fn note(&mut self, at: Timestamp, point: Point) {
        let step = at.as_millis().div_euclid(limits::CHART_STEP.as_millis() as i64);
        match self.0.back_mut() {
            Some((last, old)) if *last == step => *old = point,
            // The broker's clock was set back: what is later than now never was.
            Some((last, _)) if *last > step => *self = Self([(step, point)].into()),
            _ => self.0.push_back((step, point)),
        }
        let oldest = step - limits::CHART_POINTS as i64 + 1;
        while self.0.front().is_some_and(|(step, _)| *step < oldest) {
            self.0.pop_front();
        }
    }

    /// What ended.
    pub(super) fn throughput(&self) -> Chart {
        let per_second = |value: f64| format!("{}/s", short_number(value));
        self.chart(
            "Throughput",
            per_second,
            &[
                ("succeeded", "line-good", |point| Some(point.succeeded)),
                ("failed", "line-bad", |point| Some(point.failed)),
            ],
        )
    }

    /// How long attempts took.
    pub(super) fn latency(&self) -> Chart {
        self.chart(
            "Run time",
            duration,
            &[("median", "line-main", |point| point.run_median), ("95 %", "line-second", |point| point.run_slow)],
        )
    }

    /// How long tasks were in their queue.
    pub(super) fn waiting(&self) -> Chart {
        self.chart("Time in queue", duration, &[("95 %", "line-second", |point| point.wait_slow)])
    }

    /// What is there.
    pub(super) fn depth(&self) -> Chart {
        self.chart(
            "Depth",
            short_number,
            &[
                ("ready", "line-main", |point| Some(point.ready)),
                ("scheduled and retrying", "line-second", |point| Some(point.waiting)),
                ("running", "line-good", |point| Some(point.running)),
            ],
        )
    }

    fn chart(&self, title: &'static str, shown: fn(f64) -> String, series: &[Series]) -> Chart {
        let values =
            |of: &fn(&Point) -> Option<f64>| self.0.iter().filter_map(|(_, point)| of(point)).fold(0.0, f64::max);
        let top = round_up(series.iter().map(|(_, _, of)| values(of)).fold(0.0, f64::max));
        let line = |(label, class, of): &Series| {
            let (path, area) = self.draw(*of, top);
            let now = self.0.back().and_then(|(_, point)| of(point)).map_or_else(|| "–".to_owned(), shown);
            Line { label, class, path, area, now }
        };
        let lines: Vec<_> = series.iter().map(line).collect();
        let now = lines.iter().map(|line| format!("{} {}", line.label, line.now)).collect::<Vec<_>>().join(", ");
        let summary = format!("{title} over the last five minutes. Now: {now}. The upper edge is {}.", shown(top));
        Chart { title, lines, top: shown(top), summary }
    }

    fn draw(&self, of: fn(&Point) -> Option<f64>, top: f64) -> (String, String) {
        let (mut path, mut area) = (String::new(), String::new());
        let Some((newest, _)) = self.0.back() else { return (path, area) };
        let x = |step: i64| {
            let age = (newest - step) as f64;
            WIDTH - age * WIDTH / (limits::CHART_POINTS - 1) as f64
        };
        let points = self.0.iter().filter_map(|(step, point)| Some((*step, of(point)?)));
        let mut last: Option<(i64, f64)> = None;
        for (step, value) in points {
            let (x, y) = (x(step), HEIGHT - value / top * HEIGHT);
            let goes_on = last.is_some_and(|(before, _)| step - before <= GAP);
            if let (false, Some((_, x))) = (goes_on, last) {
                close(&mut area, x);
            }
            // A line to where it is makes a dot of what stands alone.
            let (move_to, draw_to) = if goes_on { ("L", "") } else { ("M", "l0 0") };
            write!(path, "{move_to}{x:.0} {y:.1}{draw_to}").expect("a text takes everything");
            match goes_on {
                true => write!(area, "L{x:.0} {y:.1}"),
                false => write!(area, "M{x:.0} {HEIGHT}L{x:.0} {y:.1}"),
            }
            .expect("a text takes everything");
            last = Some((step, x));
        }
        if let Some((_, x)) = last {
            close(&mut area, x);
        }
        (path, area)
    }
}

fn close(area: &mut String, x: f64) {
    write!(area, "L{x:.0} {HEIGHT}Z").expect("a text takes everything");
}

fn duration(seconds: f64) -> String {
    length(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// The least of 1, 2, 5, 10 .. that is not below; so an axis does not move with every point.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|edge| *edge >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(points: &[(i64, f64)]) -> History {
        let mut history = History::default();
        for (second, ready) in points {
            history.note(Timestamp::from_millis(second * 1_000), Point { ready: *ready, ..Point::default() });
        }
        history
    }

    #[test]
    fn a_line_breaks_where_nobody_looked_and_ends_at_the_right_edge() {
        let chart = history(&[(1_000, 5.0), (1_002, 10.0), (1_060, 0.0), (1_062, 0.0)]).depth();
        let path = &chart.lines[0].path;
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert!(path.ends_with("L600 100.0"), "{path}");
        assert_eq!(chart.top, "10");
        assert!(chart.summary.contains("ready 0"), "{}", chart.summary);
    }

    #[test]
    fn a_chart_is_bounded_and_survives_a_clock_that_is_set_back() {
        let points: Vec<_> = (0..10_000).map(|second| (second, second as f64)).collect();
        let mut long = history(&points);
        assert_eq!(long.0.len(), limits::CHART_POINTS);
        assert!(long.depth().lines[0].path.len() < 4_000);
        long.note(Timestamp::from_millis(5_000), Point::default());
        assert_eq!(long.0.len(), 1);
        assert_eq!(History::default().latency().lines[0].now, "–");
    }

    #[test]
    fn the_upper_edge_is_a_round_number_not_below_what_is_drawn() {
        for value in [0.0, 0.03, 1.0, 1.1, 4.9, 10.0, 10.5, 73_000.0] {
            assert!(round_up(value) >= value && round_up(value) <= (value * 2.6).max(1.0), "{value}");
        }
    }
}
