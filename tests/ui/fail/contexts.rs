//! The context is borrowed, and the first parameter.

#![allow(unused)]

use taskq::{Context, task};

struct App;

#[task]
fn second(to: String, ctx: &Context<App>) {}

#[task]
fn by_value(ctx: Context<App>) {}

#[task]
fn to_be_changed(ctx: &mut Context<App>) {}

#[task]
fn forever(ctx: &'static Context<App>) {}

#[task]
fn of_any(ctx: &Context<impl Clone>) {}

#[task]
fn with_a_default(#[serde(default)] ctx: &Context<App>) {}

fn main() {}
