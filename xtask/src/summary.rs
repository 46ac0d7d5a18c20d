//! How many tests passed, failed and were skipped, read from what the runners print.
//!
//! The promise: only a runner's own summary counts, never a line that looks like one in the output
//! of a test: nextest indents that output, and the two formats are not mixed.

use std::fmt;
use std::ops::Add;
use std::process::ExitCode;

/// The counts of a test run. It is shown as `N passed, N failed, N skipped`, which CI reads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Summary {
    passed: u64,
    failed: u64,
    /// Ignored, or left out by the filter.
    skipped: u64,
}

impl Summary {
    /// What a runner counts for that failed before or after its tests.
    pub(crate) fn one_failed() -> Summary {
        Summary { failed: 1, ..Summary::default() }
    }

    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    pub(crate) fn counts_no_test(&self) -> bool {
        self.passed + self.failed == 0
    }

    /// Whether the run as a whole is good. One in which no test ran is not.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.has_failed() || self.counts_no_test() {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        }
    }
}

impl Add for Summary {
    type Output = Summary;

    fn add(self, other: Summary) -> Summary {
        Summary {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { passed, failed, skipped } = self;
        write!(formatter, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Whose summary lines are to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SummaryFormat {
    /// One line at the end: `Summary [   2.209s] 5 tests run: 3 passed (1 leaky), 1 failed, ..`.
    Nextest,
    /// One line for each test program: `test result: ok. 2 passed; 0 failed; 1 ignored; ..`.
    Libtest,
    /// One line at the end: `Gungraun result: Ok. 6 without regressions; 1 regressed; 0 filtered; ..`.
    Gungraun,
    /// A line for each count, at the end: `# pass 12`, `# fail 1`.
    Node,
}

impl SummaryFormat {
    /// The counts in a line, if it is a summary.
    pub(crate) fn read(self, line: &str) -> Option<Summary> {
        let line = without_colours(line);
        match self {
            SummaryFormat::Nextest => {
                let (_, counts) = line.strip_prefix("     Summary [")?.split_once(" run: ")?;
                Some(count(without_brackets(counts).split(',')))
            }
            SummaryFormat::Libtest => {
                let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
                Some(count(counts.split(';')))
            }
            SummaryFormat::Gungraun => {
                let (_, counts) = line.strip_prefix("Gungraun result: ")?.split_once(". ")?;
                Some(count(counts.split(';')))
            }
            SummaryFormat::Node => {
                let (what, number) = line.strip_prefix("# ")?.trim_end().split_once(' ')?;
                let number = number.parse().ok()?;
                match what {
                    "pass" => Some(Summary { passed: number, ..Summary::default() }),
                    "fail" | "cancelled" => Some(Summary { failed: number, ..Summary::default() }),
                    "skipped" | "todo" => Some(Summary { skipped: number, ..Summary::default() }),
                    _ => None,
                }
            }
        }
    }
}

/// Adds up parts such as `12 passed`.
fn count<'a>(parts: impl Iterator<Item = &'a str>) -> Summary {
    let mut summary = Summary::default();
    for part in parts {
        let Some((number, what)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match what.trim() {
            "passed" | "without regressions" => summary.passed += number,
            "failed" | "timed out" | "exec failed" | "regressed" => summary.failed += number,
            "skipped" | "ignored" | "filtered out" | "filtered" => summary.skipped += number,
            _ => {}
        }
    }
    summary
}

/// Takes out the details: `3 passed (1 slow, 1 leaky)`.
fn without_brackets(text: &str) -> String {
    let pieces = text.split('(').enumerate().map(|(index, piece)| match index {
        0 => piece,
        _ => piece.split_once(')').map_or("", |(_, behind)| behind),
    });
    pieces.collect()
}

/// Takes out the terminal's colour codes: an escape, digits, an `m`.
pub(crate) fn without_colours(text: &str) -> String {
    let pieces = text.split('\u{1b}').enumerate().map(|(index, piece)| match index {
        0 => piece,
        _ => piece.split_once('m').map_or("", |(_, behind)| behind),
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(passed: u64, failed: u64, skipped: u64) -> Option<Summary> {
        Some(Summary { passed, failed, skipped })
    }

    #[test]
    fn nextests_summary_is_read_with_all_kinds_of_failure() {
        let read = |line| SummaryFormat::Nextest.read(line);
        assert_eq!(read("     Summary [   0.007s] 1 test run: 1 passed, 5 skipped\n"), summary(1, 0, 5));
        assert_eq!(
            read(
                "     Summary [   2.209s] 5 tests run: 3 passed (1 leaky), 1 failed, 1 timed out, \
                 1 skipped\n"
            ),
            summary(3, 2, 1)
        );
        assert_eq!(
            read(
                "     Summary [  12.000s] 20/30 tests run: 15 passed (2 slow, 1 flaky), \
                 3 failed (1 due to being leaky), 1 timed out, 1 exec failed, 0 skipped\n"
            ),
            summary(15, 5, 0)
        );
    }

    #[test]
    fn libtests_summary_is_read_and_what_is_filtered_out_counts_as_skipped() {
        let read = |line| SummaryFormat::Libtest.read(line);
        assert_eq!(
            read(
                "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; \
                 finished in 0.00s\n"
            ),
            summary(2, 0, 5)
        );
        assert_eq!(
            read(
                "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; \
                 finished in 2.00s\n"
            ),
            summary(1, 3, 0)
        );
    }

    #[test]
    fn gungrauns_summary_is_read_and_what_regressed_counts_as_failed() {
        let read = |line| SummaryFormat::Gungraun.read(line);
        assert_eq!(
            read(
                "Gungraun result: Ok. 7 without regressions; 0 regressed; 0 filtered; 7 benchmarks \
                 finished in 3.02074s\n"
            ),
            summary(7, 0, 0)
        );
        assert_eq!(
            read(
                "Gungraun result: Regressed. 5 without regressions; 2 regressed; 1 filtered; \
                 8 benchmarks finished in 3.02074s\n"
            ),
            summary(5, 2, 1)
        );
    }

    #[test]
    fn nodes_counts_are_read_line_by_line_and_lines_of_tests_do_not_count() {
        let read = |line| SummaryFormat::Node.read(line);
        assert_eq!(read("# pass 12\n"), summary(12, 0, 0));
        assert_eq!(read("# fail 1\n"), summary(0, 1, 0));
        assert_eq!(read("# cancelled 2\n"), summary(0, 2, 0));
        assert_eq!(read("# skipped 3\n"), summary(0, 0, 3));
        for other in
            ["# tests 12\n", "    # pass 12\n", "ok 1 - pass 12\n", "# Subtest: pass 12\n", "# duration_ms 9.5\n"]
        {
            assert_eq!(read(other), None);
        }
    }

    #[test]
    fn colours_do_not_hide_a_summary() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.007s] \u{1b}[1m2\u{1b}[0m tests run: \
            \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m4\u{1b}[0m \
            \u{1b}[33;1mskipped\u{1b}[0m\n";
        assert_eq!(SummaryFormat::Nextest.read(line), summary(2, 0, 4));
        let line = "test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 1 passed; 0 failed; 0 ignored; \
            0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(SummaryFormat::Libtest.read(line), summary(1, 0, 0));
    }

    #[test]
    fn a_summary_in_the_output_of_a_test_does_not_count() {
        let inner = "    test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(SummaryFormat::Libtest.read(inner), None);
        let inner = "         Summary [   0.007s] 1 test run: 1 passed, 5 skipped";
        assert_eq!(SummaryFormat::Nextest.read(inner), None);
        assert_eq!(SummaryFormat::Nextest.read("test result: ok. 2 passed; 0 failed"), None);
    }

    #[test]
    fn the_sum_is_shown_as_ci_reads_it() {
        let first = Summary { passed: 3, failed: 0, skipped: 1 };
        let sum = first + Summary::one_failed();
        assert_eq!(sum.to_string(), "3 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_run_is_good_if_tests_ran_and_none_failed() {
        let passed = Summary { passed: 3, failed: 0, skipped: 1 };
        assert_eq!(passed.exit_code(), ExitCode::SUCCESS);
        assert_eq!((passed + Summary::one_failed()).exit_code(), ExitCode::FAILURE);
        assert_eq!(Summary::default().exit_code(), ExitCode::FAILURE);
    }
}
