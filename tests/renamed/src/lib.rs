//! A program whose `Cargo.toml` calls taskq `queue`: `#[task]` finds out, or is told.
//!
//! The link form of the guide is used here too: [`fn@add`] is the function, [`struct@add`] its type.

/// Adds, somewhere else. The name of the dependency is found in `Cargo.toml`.
#[queue::task]
pub fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Greets from a context of the renamed crate.
#[queue::task]
pub async fn greet(ctx: &queue::Context<String>, name: Option<String>) -> queue::TaskResult<String> {
    Ok(format!("{} {}", ctx.app(), name.unwrap_or_default()))
}

/// The name of the dependency is told.
#[queue::task(crate = ::queue, name = "told")]
pub fn add_by_path(#[serde(default)] a: i64) -> i64 {
    a
}

/// A third name, by which a crate might hand taskq on to others.
pub mod company {
    pub use queue as tasks;
}

/// The path may be any that leads to taskq.
#[company::tasks::task(crate = crate::company::tasks, queue = "mail")]
pub async fn add_by_another_path(a: i64) -> i64 {
    a
}

#[cfg(test)]
mod tests {
    use queue::__private::Registration;

    use super::*;

    #[test]
    fn tasks_of_a_renamed_dependency_are_described_and_found() {
        assert_eq!(add::with(2, 3).payload().expect("encodes").as_str(), r#"{"a":2,"b":3}"#);
        assert_eq!(greet::with(None).payload().expect("encodes").as_str(), r#"{"name":null}"#);
        assert_eq!(add_by_path::with(4).payload().expect("encodes").as_str(), r#"{"a":4}"#);
        assert_eq!(add_by_another_path::with(5).payload().expect("encodes").as_str(), r#"{"a":5}"#);

        let mut names: Vec<_> = Registration::linked().iter().map(|task| task.name).collect();
        names.sort_unstable();
        assert_eq!(names, ["add", "add_by_another_path", "greet", "told"]);
    }

    #[test]
    fn they_are_still_functions() {
        assert_eq!(add(2, 3) + add_by_path(1), 6);
    }
}
