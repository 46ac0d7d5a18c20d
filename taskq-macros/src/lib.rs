//! `#[task]`, the attribute of taskq. Use it through the facade, `taskq-rs`.
//!
//! A function and its options are read (`args`, `function`), refused well (`check`) or written out (`expand`). The promise:
//! what is accepted means the same whatever else is in scope, and what is refused is told in a sentence at the right place.

use proc_macro::TokenStream;
use syn::parse_macro_input;

mod args;
mod function;

mod check;

mod expand;
mod facade;

// The examples are run by the facade, since this crate has no tasks to run.
#[doc = include_str!("task.md")]
#[proc_macro_attribute]
pub fn task(args: TokenStream, item: TokenStream) -> TokenStream {
    let written = item.clone();
    let args = parse_macro_input!(args as args::Args);
    let function = parse_macro_input!(item as function::Function);
    match check::check(args, function) {
        Ok(definition) => expand::expand(&definition).into(),
        Err(refusals) => expand::expand_refused(&refusals, parse_macro_input!(written as function::Function)).into(),
    }
}
