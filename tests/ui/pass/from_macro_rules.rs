//! Tasks written by `macro_rules!`, whose fragments arrive in invisible groups.

use taskq::{Context, task};

macro_rules! task_of {
    ($(#[$attribute:meta])* $visibility:vis $name:ident($context:ty; $($argument:ident: $type:ty),*) -> $returns:ty, $queue:expr, $body:expr) => {
        $(#[$attribute])*
        #[task(queue = $queue, priority = 3)]
        $visibility async fn $name(_ctx: $context, $($argument: $type),*) -> $returns {
            $body
        }
    };
}

task_of!(
    /// Documented.
    pub(crate) one(&Context<String>; _number: Option<u8>, _words: Vec<String>) -> Result<u8, String>, "mail", Ok(1)
);

macro_rules! numbered {
    ($($name:ident)*) => { $(#[task] fn $name(value: u64) -> u64 { value })* };
}

numbered!(first second third);

fn main() {
    let _ = one::with(None, Vec::new());
    let _ = (first::with(1), second::with(2), third::with(3));
    assert_eq!(first(1) + second(2) + third(3), 6);
}
