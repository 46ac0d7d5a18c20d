//! The options of `#[task(..)]`: one table of what there is, and what is wrong with what is written.
//!
//! A literal is judged here; any other expression is left to the compiler and to the start of the worker.

use syn::{Expr, ExprLit, ExprUnary, Ident, Lit, Path, UnOp, ext::IdentExt};

use super::Refusals;
use crate::args::{Args, Setting};

/// The options that a task declares.
pub(crate) struct Options {
    pub(crate) name: Option<Expr>,
    pub(crate) facade: Option<Path>,
    /// The others, by the name of the field of `TaskOptions`; `None` for a flag.
    pub(crate) fields: Vec<(Ident, Option<Expr>)>,
}

/// What there is to know about one option.
struct Known {
    option: &'static str,
    meaning: &'static str,
    example: &'static str,
    /// Which literals can be its value; other expressions can always.
    accepts: fn(&Lit) -> bool,
}

/// In the order of the documentation.
const KNOWN: [Known; 11] = [
    known("name", NAME, "name = \"send_email\"", is_name),
    known("queue", NAME, "queue = \"mail\"", is_name),
    known("retry", "a `Retry` policy", "retry = Retry::exponential().attempts(5)", is_nothing),
    known("timeout", "a `Duration`", "timeout = Duration::from_secs(30)", is_nothing),
    known("priority", "a number from 0 to 9, where 9 runs first", "priority = 9", |literal| is_number(literal, 0, 9)),
    known("expires_in", "a `Duration`", "expires_in = Duration::from_secs(3600)", is_nothing),
    known("max_deliveries", "a number from 1 to 255", "max_deliveries = 3", |literal| is_number(literal, 1, 255)),
    known("unique", "a `Unique` rule", "unique = Unique::by_args()", is_nothing),
    known("result_ttl", "a `Duration`", "result_ttl = Duration::from_secs(3600)", is_nothing),
    known("no_result", "a flag without a value", "no_result", is_nothing),
    known("crate", "the path of the `taskq` crate", "crate = ::taskq", is_nothing),
];

const NAME: &str = "1 to 128 letters, digits, `.`, `_` and `-`";

const fn known(option: &'static str, meaning: &'static str, example: &'static str, accepts: fn(&Lit) -> bool) -> Known {
    Known { option, meaning, example, accepts }
}

/// Judges every setting, and sorts them.
pub(super) fn check(args: Args, refusals: &mut Refusals) -> Options {
    let mut options = Options { name: None, facade: None, fields: Vec::new() };
    let mut seen: Vec<Ident> = Vec::new();
    for Setting { option, value } in args.settings {
        if seen.contains(&option) {
            refusals.refuse(&option, format!("`{option}` is given twice"));
            continue;
        }
        check_setting(&option, value.as_ref(), refusals);
        seen.push(option.clone());
        match (option.to_string().as_str(), value) {
            ("name", value) => options.name = value,
            ("crate", Some(Expr::Path(path))) => options.facade = Some(path.path),
            ("crate", _) => {}
            (_, value) => options.fields.push((option, value)),
        }
    }
    check_result_options(&seen, refusals);
    options
}

/// The name of a function becomes the name of its task, and Rust allows letters in it that brokers do not.
pub(super) fn check_default_name(function: &Ident, refusals: &mut Refusals) {
    let name = function.unraw();
    if !is_valid_name(&name.to_string()) {
        let sentence =
            format!("the name of a task is {NAME}; `{name}` is not: give it one with `#[task(name = \"..\")]`");
        refusals.refuse(function, sentence);
    }
}

fn check_setting(option: &Ident, value: Option<&Expr>, refusals: &mut Refusals) {
    let Some(known) = KNOWN.iter().find(|known| option == known.option) else {
        return refusals.refuse(option, unknown(&option.to_string()));
    };
    let sentence = format!("`{option}` is {}: write `{}`", known.meaning, known.example);
    match value {
        None if known.option == "no_result" => {}
        None => refusals.refuse(option, sentence),
        Some(value) if known.option == "no_result" => refusals.refuse(value, sentence),
        Some(Expr::Path(_)) => {}
        Some(value) if known.option == "crate" => refusals.refuse(value, sentence),
        Some(value) if is_acceptable(known, value) => {}
        Some(value) => refusals.refuse(value, sentence),
    }
}

fn check_result_options(seen: &[Ident], refusals: &mut Refusals) {
    let both = seen.iter().filter(|option| *option == "no_result" || *option == "result_ttl");
    if let Some(second) = both.skip(1).last() {
        refusals.refuse(
            second,
            "`no_result` and `result_ttl` exclude each other: without a result there is nothing to keep",
        );
    }
}

fn is_acceptable(known: &Known, value: &Expr) -> bool {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => (known.accepts)(lit),
        // No option is negative.
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => !matches!(**expr, Expr::Lit(_)),
        Expr::Group(group) => is_acceptable(known, &group.expr),
        Expr::Paren(paren) => is_acceptable(known, &paren.expr),
        _ => true,
    }
}

fn is_nothing(_: &Lit) -> bool {
    false
}

fn is_name(literal: &Lit) -> bool {
    matches!(literal, Lit::Str(text) if is_valid_name(&text.value()))
}

fn is_number(literal: &Lit, lowest: u8, highest: u8) -> bool {
    matches!(literal, Lit::Int(number) if number.base10_parse::<u8>().is_ok_and(|number| (lowest..=highest).contains(&number)))
}

/// The rule of `TaskName` and `QueueName` in taskq-core.
fn is_valid_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=128).contains(&name.len()) && name.chars().all(is_allowed)
}

fn unknown(option: &str) -> String {
    let nearest = KNOWN.iter().min_by_key(|known| distance(option, known.option));
    let hint = match nearest {
        Some(known) if distance(option, known.option) <= 1 + option.len() / 4 => {
            format!("; did you mean `{}`?", known.option)
        }
        _ => ".".to_owned(),
    };
    let options: Vec<_> = KNOWN.iter().map(|known| known.option).collect();
    format!("`{option}` is no option of a task{hint} The options are {}", options.join(", "))
}

/// How many letters must be added, removed or changed to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, other_letter) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other_letter);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters_added_removed_and_changed() {
        assert_eq!(distance("queue", "queue"), 0);
        assert_eq!(distance("queu", "queue"), 1);
        assert_eq!(distance("tiemout", "timeout"), 2);
        assert_eq!(distance("", "name"), 4);
        assert_eq!(distance("größe", "grosse"), 3);
    }

    #[test]
    fn an_unknown_option_is_told_the_nearest_only_if_it_is_near() {
        assert!(unknown("max_delivery").contains("did you mean `max_deliveries`?"));
        assert!(!unknown("concurrency").contains("did you mean"));
    }

    #[test]
    fn names_are_those_that_brokers_accept() {
        assert!(is_valid_name("mail.send-2_x"));
        assert!(!is_valid_name(""));
        assert!(!is_valid_name("a:b"));
        assert!(!is_valid_name("größe"));
        assert!(is_valid_name(&"x".repeat(128)));
        assert!(!is_valid_name(&"x".repeat(129)));
    }
}
