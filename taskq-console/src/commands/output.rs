//! Standard output, for results. In a terminal tables fit its width and states have colours; in a pipe nothing is cut and
//! nothing is coloured. Whoever reads it may have heard enough, which is no failure.

use std::{
    fmt,
    io::{IsTerminal, Write},
};

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};
use taskq_core::State;

/// Prints a line.
pub(super) fn say(line: impl fmt::Display) {
    // What cannot be written has no reader.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// The same for what has no end of its own; whether there is a reader still.
pub(super) fn try_say(line: impl fmt::Display) -> bool {
    writeln!(std::io::stdout().lock(), "{line}").is_ok()
}

/// Tells people what is not the result, such as how far a search came.
pub(super) fn note(line: impl fmt::Display) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Whether standard output is read by a person who wants colours.
fn is_coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The width of the terminal, if there is one.
fn width() -> Option<u16> {
    let (columns, _) = ratatui::crossterm::terminal::size().ok()?;
    (std::io::stdout().is_terminal() && columns > 20).then_some(columns)
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub(super) enum Field {
    /// A text.
    Text(String),
    /// A number, which stands at the right.
    Number(String),
    /// Something that is well, noteworthy or bad.
    Marked(String, Mark),
}

/// How a text is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Good,
    Notable,
    Bad,
}

impl Field {
    pub(super) fn text(text: impl fmt::Display) -> Self {
        Self::Text(text.to_string())
    }

    pub(super) fn number(number: u64) -> Self {
        Self::Number(crate::words::number(number))
    }

    pub(super) fn state(state: State) -> Self {
        let mark = match state {
            State::Running | State::Succeeded => Mark::Good,
            State::Retrying | State::Expired | State::Cancelled => Mark::Notable,
            State::Dead => Mark::Bad,
            State::Scheduled | State::Ready | State::Untracked => return Self::text(state),
        };
        Self::Marked(state.to_string(), mark)
    }

    fn cell(&self, is_coloured: bool) -> Cell {
        match self {
            Self::Text(text) => Cell::new(one_line(text)),
            Self::Number(number) => Cell::new(number).set_alignment(comfy_table::CellAlignment::Right),
            Self::Marked(text, mark) => {
                let cell = Cell::new(one_line(text));
                match mark {
                    _ if !is_coloured => cell,
                    Mark::Good => cell.fg(Color::Green),
                    Mark::Notable => cell.fg(Color::Yellow),
                    Mark::Bad => cell.fg(Color::Red).add_attribute(Attribute::Bold),
                }
            }
        }
    }
}

/// Prints a table. Rows that are too wide for the terminal are broken in their last column.
pub(super) fn say_table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [Field; N]>) {
    say_text(&table(header, rows, width(), is_coloured()));
}

fn say_text(text: &str) {
    text.lines().for_each(|line| say(line.trim_end()));
}

fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [Field; N]>,
    width: Option<u16>,
    is_coloured: bool,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if is_coloured {
        table.enforce_styling();
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        if let Some(last) = table.column_mut(N - 1) {
            last.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(16)));
        }
    }
    table.set_header(header.map(|name| match is_coloured {
        true => Cell::new(name).add_attribute(Attribute::Dim),
        false => Cell::new(name),
    }));
    for row in rows {
        table.add_row(row.iter().map(|field| field.cell(is_coloured)).collect::<Vec<_>>());
    }
    // The style puts a blank before each cell; no first one begins with one.
    table.to_string().lines().fold(String::new(), |text, line| text + line.strip_prefix(' ').unwrap_or(line) + "\n")
}

/// Prints what is known of one thing, a line a fact, names in a column.
pub(super) fn say_facts(facts: &[(&str, String)]) {
    let longest = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in facts {
        let mut lines = value.lines();
        say(format_args!("{name:longest$}  {}", clean(lines.next().unwrap_or_default())));
        lines.for_each(|line| say(format_args!("{:longest$}  {}", "", clean(line))));
    }
}

/// A text from a task in one line of a table: what moves a cursor or changes a colour is not printed.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The same where a tab is welcome.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [[Field; 3]; 2] {
        [
            [
                Field::text("mail"),
                Field::number(12_345),
                Field::Marked("paused\u{1b}[31m\nnow".to_owned(), Mark::Notable),
            ],
            [Field::text("a-longer-name"), Field::number(7), Field::text("")],
        ]
    }

    #[test]
    fn a_table_in_a_pipe_is_plain_and_whole() {
        let text = table(["queue", "ready", "notes"], rows(), None, false);
        let expected =
            "queue          ready   notes\nmail           12,345  paused [31m now\na-longer-name       7  \n";
        let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert_eq!(trimmed(&text), trimmed(expected), "{text:?}");
        assert!(!text.contains('\u{1b}'), "what a task brings changes no colour of a terminal");
    }

    #[test]
    fn a_table_in_a_terminal_fits_its_width_and_is_coloured() {
        let wide = [[Field::text("x".repeat(30)), Field::text("words ".repeat(40))]];
        let text = table(["name", "text"], wide, Some(80), true);
        assert!(text.lines().count() > 3, "{text}");
        assert!(table(["queue", "ready", "notes"], rows(), Some(80), true).contains("\u{1b}["), "states have colours");
    }
}
