//! Only arguments travel, not the value of a method.

#![allow(unused)]

use taskq::task;

struct Mailer;

impl Mailer {
    #[task]
    fn send(&self, to: String) {}

    #[task]
    async fn close(self) {}
}

trait Sender {
    #[task]
    fn send(to: String);
}

fn main() {}
