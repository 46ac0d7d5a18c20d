//! `#[task]`, the attribute of taskq. Use it through the facade, `taskq-rs`.
//!
//! A function and its options are read (`args`, `function`), refused well (`check`) or written out (`expand`). The promise:
//! what is accepted means the same whatever else is in scope, and what is refused is told in a sentence at the right place.

use proc_macro::TokenStream;

mod args;
mod function;

mod check;

mod expand;
mod facade;

// The examples are run by the facade, since this crate has no tasks to run.
#[doc = include_str!("task.md")]
#[proc_macro_attribute]
pub fn task(args: TokenStream, item: TokenStream) -> TokenStream {
    match define(args, item.clone()) {
        Ok(definition) => expand::expand(&definition).into(),
        Err(refusals) => expand::expand_refused(&refusals, item.into()).into(),
    }
}

fn define(args: TokenStream, item: TokenStream) -> syn::Result<check::Definition> {
    let function = syn::parse(item)?;
    check::check(syn::parse(args)?, function)
}
