//! The tasks that a worker runs, checked at start so that nothing is found out at night.

use std::{
    any::TypeId,
    collections::{BTreeMap, HashMap},
};

use taskq_core::{Error, ErrorKind, Registration, Result, TaskName, invocation::TaskOptions, limits, task::AppType};

/// The tasks of a worker, by name and by number.
#[derive(Debug)]
pub(crate) struct Registry {
    numbers: HashMap<&'static str, TaskNumber>,
    tasks: Vec<Known>,
}

/// Which task of a [`Registry`]: looked up once for each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskNumber(pub(crate) usize);

/// A task that a worker runs.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) registration: Registration,
    /// What it declares, asked for once.
    pub(crate) options: TaskOptions,
}

impl Known {
    /// The queue that it goes to unless the caller says otherwise.
    pub(crate) fn queue(&self) -> &str {
        self.options.queue.as_deref().unwrap_or(limits::DEFAULT_QUEUE)
    }
}

impl Registry {
    /// The task of this name, if the worker knows it.
    pub(crate) fn number_of(&self, name: &str) -> Option<TaskNumber> {
        self.numbers.get(name).copied()
    }

    /// The task of this number.
    pub(crate) fn get(&self, number: TaskNumber) -> &Known {
        &self.tasks[number.0]
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// All, in the order of their numbers.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &Known> {
        self.tasks.iter()
    }
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
    let mut known = BTreeMap::new();
    for task in tasks {
        TaskName::new(task.name)?;
        if !also.contains(&(task.app)().id) {
            check_app(&task, lent)?;
        }
        if let Some(Known { registration: other, .. }) =
            known.insert(task.name, Known { registration: task, options: (task.options)() })
            && other.location != task.location
        {
            let cure = format!(
                "two tasks have this name, in {} and in {}; give one another name: #[task(name = \"..\")]",
                other.location, task.location
            );
            return Err(wrong(format!("task \"{}\"", task.name)).because(cure));
        }
    }
    let numbers = known.keys().enumerate().map(|(number, name)| (*name, TaskNumber(number))).collect();
    Ok(Registry { numbers, tasks: known.into_values().collect() })
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
