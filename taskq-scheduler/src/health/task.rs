//! [`TaskProbe`]: a task that tells by its end how something is. Here it is only defined; it runs elsewhere.

use std::fmt;

use serde_json::{Map, Value, json};
use taskq_core::{QueueName, Result, TaskName};

use crate::table::Table;

/// Well if the task succeeds.
#[derive(Clone, PartialEq)]
pub struct TaskProbe {
    /// Which task.
    pub name: TaskName,
    /// Its arguments by name; never shown.
    pub args: Map<String, Value>,
    /// Its queue, if it is not the default one.
    pub queue: Option<QueueName>,
}

impl TaskProbe {
    pub(crate) fn read(noun: &'static str, form: Value) -> Result<Self> {
        let mut table = Table::open(noun, "task", form, &["name", "args", "queue"])?;
        let name = table.required("name", "\"check_stock\"")?;
        let name = TaskName::new(name).map_err(|error| table.wrong("name", cause(&error)))?;
        let queue = match table.text("queue")? {
            Some(queue) => Some(QueueName::new(queue).map_err(|error| table.wrong("queue", cause(&error)))?),
            None => None,
        };
        let args = match table.value("args") {
            None => Map::new(),
            Some(Value::Object(args)) => args,
            Some(_) => return Err(table.wrong("args", "write a table with the arguments by name")),
        };
        Ok(Self { name, args, queue })
    }

    pub(crate) fn form(&self) -> Value {
        let mut form = Map::new();
        form.insert("name".to_owned(), self.name.as_str().into());
        if !self.args.is_empty() {
            form.insert("args".to_owned(), json!(self.args));
        }
        if let Some(queue) = &self.queue {
            form.insert("queue".to_owned(), queue.as_str().into());
        }
        Value::Object(form)
    }
}

impl fmt::Debug for TaskProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskProbe").field("name", &self.name).field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What is wrong with a name, without what was tried.
fn cause(error: &taskq_core::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
