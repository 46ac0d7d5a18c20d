//! [`TaskChannel`]: a task that tells people. Here it is only defined; whoever has a broker enqueues it.

use serde_json::{Map, Value, json};
use taskq_core::{QueueName, Result, TaskName};

use super::{NOUN, notice::Notice};
use crate::{health::TaskProbe, table::wrong};

/// The argument that is the notice.
const NOTICE: &str = "notice";

/// A task that tells people.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskChannel(TaskProbe);

impl TaskChannel {
    pub(super) fn read(form: Value) -> Result<Self> {
        let task = TaskProbe::read(NOUN, form)?;
        match task.args.contains_key(NOTICE) {
            true => Err(wrong(NOUN, "task.args", "notice is the notice itself; give the argument another name")),
            false => Ok(Self(task)),
        }
    }

    /// Which task.
    pub fn name(&self) -> &TaskName {
        &self.0.name
    }

    /// Its queue, if it is not the default one.
    pub fn queue(&self) -> Option<&QueueName> {
        self.0.queue.as_ref()
    }

    /// Its arguments by name: those of the configuration, and `notice` in its serde form.
    pub fn args(&self, notice: &Notice) -> Map<String, Value> {
        let mut args = self.0.args.clone();
        args.insert(NOTICE.to_owned(), json!(notice));
        args
    }
}
