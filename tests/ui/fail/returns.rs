//! Results go to another process.

#![allow(unused)]

use taskq::{Context, TaskResult, task};

#[task]
fn any_iterator() -> impl Iterator<Item = u8> {
    [1, 2].into_iter()
}

#[task]
fn not_async() -> impl Future<Output = u8> {
    async { 1 }
}

#[task]
fn inside() -> TaskResult<impl Clone> {
    Ok(1)
}

#[task]
fn never() -> ! {
    loop {}
}

#[task]
fn text() -> &'static str {
    "text"
}

#[task]
fn borrowed(ctx: &Context<String>) -> Result<&str, String> {
    Ok(ctx.app())
}

fn main() {}
