//! The tasks that a worker runs, checked at start so that nothing is found out at night.

use std::{any::TypeId, collections::HashMap};

use taskq_core::{Error, ErrorKind, Registration, Result, TaskName, invocation::TaskOptions, task::AppType};

/// The tasks of a worker by name.
pub(crate) type Registry = HashMap<&'static str, Known>;

/// A task that a worker runs.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) registration: Registration,
    /// What it declares, asked for once.
    pub(crate) options: TaskOptions,
}

/// What a worker that lends `lent` would say at its start about these tasks.
///
/// # Errors
/// As the start of a worker: no tasks, two of one name, an app that is not lent.
pub fn check_tasks(tasks: Vec<Registration>, lent: AppType) -> Result<()> {
    check(tasks, lent, &[]).map(drop)
}

/// Checks that there are tasks, that their names are valid and unique, and that the worker lends what they need: its app, or
/// what it lends to a library's tasks.
pub(crate) fn check(tasks: Vec<Registration>, lent: AppType, also: &[TypeId]) -> Result<Registry> {
    if tasks.is_empty() {
        let cure = "no task is linked into this program; annotate a function with #[task], or, if your tasks are in \
                    another crate, name it once: use my_tasks as _;";
        return Err(wrong("no tasks").because(cure));
    }
    let mut registry = Registry::with_capacity(tasks.len());
    for task in tasks {
        TaskName::new(task.name)?;
        if !also.contains(&(task.app)().id) {
            check_app(&task, lent)?;
        }
        let known = Known { registration: task, options: (task.options)() };
        if let Some(Known { registration: other, .. }) = registry.insert(task.name, known)
            && other.location != task.location
        {
            let cure = format!(
                "two tasks have this name, in {} and in {}; give one another name: #[task(name = \"..\")]",
                other.location, task.location
            );
            return Err(wrong(format!("task \"{}\"", task.name)).because(cure));
        }
    }
    Ok(registry)
}

fn check_app(task: &Registration, lent: AppType) -> Result<()> {
    let needed = (task.app)();
    if needed.is_met_by(lent) {
        return Ok(());
    }
    let lends = match lent == AppType::of::<()>() {
        true => "nothing".to_owned(),
        false => lent.name.to_owned(),
    };
    let cure = format!(
        "it is declared with &Context<{}> in {}, but the worker lends {lends}; pass it to the worker: .app(..)",
        needed.name, task.location
    );
    Err(wrong(format!("task \"{}\"", task.name)).because(cure))
}

fn wrong(subject: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Config, "start worker:", subject)
}
