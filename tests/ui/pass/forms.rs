//! Every form a task can have, under the strictest lints: the expansion gives no warning of its own.

#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, non_local_definitions)]
#![deny(missing_debug_implementations, missing_copy_implementations)]
#![forbid(unsafe_code)]

use std::collections::HashMap;

use taskq::{Context, TaskResult, task};

/// What the worker lends.
#[derive(Debug)]
struct App;

/// Sends a message.
///
/// ```
/// let copies: u8 = Default::default();
/// ```
#[task]
async fn send(ctx: &Context<App>, to: String, #[serde(default)] copies: u8) -> TaskResult<String> {
    let App = ctx.app();
    Ok(format!("{to} x {copies}"))
}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[task]
fn nothing() {}

#[task]
async fn nothing_async() {}

#[task]
async fn only_a_context(_: &Context) {}

#[task]
fn changed_inside(mut text: String) -> String {
    text.push('!');
    text
}

#[task]
fn any_serde_type(table: HashMap<String, Vec<(u8, Option<String>)>>, parts: [u16; 3], _unused: ()) -> usize {
    table.len() + parts.len()
}

#[task]
fn r#match(r#type: String) -> String {
    r#type
}

#[task]
#[allow(clippy::too_many_arguments)]
fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8) -> u8 {
    a + b + c + d + e + f + g + h + i
}

#[task]
fn errors_of_text(fail: bool) -> Result<(), &'static str> {
    if fail { Err("no") } else { Ok(()) }
}

#[task]
fn errors_of_the_standard_library(text: String) -> Result<u8, std::num::ParseIntError> {
    text.parse()
}

#[task]
fn errors_boxed() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Ok(())
}

#[deprecated]
#[task]
fn old() {}

#[task]
#[deprecated]
fn older() {}

#[cfg(any())]
#[task]
fn absent() {}

#[task]
#[cfg(any())]
fn absent_too(_: Missing) {}

mod inner {
    #[taskq::task]
    pub(super) async fn seen_from_outside(_number: u32) {}

    #[taskq::task]
    pub(crate) fn seen_everywhere() {}

    #[taskq::task]
    fn app_in_full(_ctx: &taskq::Context<std::sync::Mutex<Vec<u8>>>, _id: u64) {}
}

fn main() {
    assert_eq!(add(2, 3), 5);
    assert_eq!(r#match("x".to_owned()), "x");
    let _ = add::with(2, 3);
    let _ = send::with("a".to_owned(), 2);
    let _ = inner::seen_from_outside::with(3);
    let _ = inner::seen_everywhere::with();
    let local_tasks_work_too = {
        #[task]
        fn local(text: String) -> usize {
            text.len()
        }
        let _ = local::with(String::new());
        local("abc".to_owned())
    };
    assert_eq!(local_tasks_work_too, 3);
}
