//! The layout of the guide: `tasks/mail.rs` holds `send_email`, and `tasks` hands it on.
//!
//! A link to a task says which of the two it means: [`fn@send_email`], the function.

#![deny(warnings, rustdoc::all)]

mod tasks {
    //! `tasks/mod.rs`: `mod mail;` and a re-export, of the function and of its type at once.
    mod mail {
        //! `tasks/mail.rs`: never `tasks/send_email.rs`, since a module and a type of one name collide.
        use taskq::{Context, TaskResult, task};

        use crate::App;

        /// Sends one message. It may be followed by [`fn@count`].
        #[task(queue = "mail")]
        pub async fn send_email(ctx: &Context<App>, to: String) -> TaskResult<usize> {
            Ok(ctx.app().sender.len() + to.len())
        }

        /// Counts messages.
        #[task]
        pub fn count(messages: Vec<String>) -> usize {
            messages.len()
        }
    }

    pub use self::mail::{count, send_email};
}

use tasks::send_email;

pub struct App {
    sender: String,
}

fn main() {
    let _ = App { sender: String::new() };
    let _ = send_email::with("you@example.org".to_owned());
    let _ = tasks::count::with(Vec::new());
    assert_eq!(tasks::count(vec![String::new()]), 1);
}
