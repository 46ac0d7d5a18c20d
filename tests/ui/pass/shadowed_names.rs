//! Nothing in the user's scope changes what the expansion means, and no parameter name is taken.

#![allow(dead_code, non_camel_case_types, clippy::all)]

struct Result;
struct Option;
struct String;
struct Vec;
struct Box;
struct Args;
struct Task;
struct Invocation;
struct Registration;
struct Serialize;
struct Deserialize;
struct bool;
trait Into {}
trait Default {}
trait Send {}

#[allow(non_snake_case)]
fn Ok() {}
#[allow(non_snake_case)]
fn Some() {}
#[allow(non_snake_case)]
fn None() {}

const QUEUE: &str = "mail";

mod core {}
mod std_ {}
mod serde {}
mod inventory {}

use ::std::result::Result as R;

#[taskq::task(queue = QUEUE)]
fn names(args: u8, context: u8, self_: u8, returned: u8, options: u8, __taskq: u8, task: u8) -> R<u8, ::std::string::String> {
    R::Ok(args + context + self_ + returned + options + __taskq + task)
}

#[taskq::task]
async fn asynchronous(context: &taskq::Context, args: ::std::option::Option<u8>) -> ::std::option::Option<u8> {
    let _ = context;
    args
}

macro_rules! concat {
    () => {};
}

#[taskq::task]
fn under_other_macros() {}

fn main() {
    let _ = names::with(1, 2, 3, 4, 5, 6, 7);
    assert_eq!(names(1, 2, 3, 4, 5, 6, 7), R::Ok(28));
    let _ = asynchronous::with(::std::option::Option::None);
    concat!();
}
