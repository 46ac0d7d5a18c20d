//! Arguments come from another process, so that there is nobody to borrow them from.

#![allow(unused)]

use std::{borrow::Cow, path::Path};

use taskq::{Context, task};

#[task]
fn text(to: &str) {}

#[task]
fn forever(to: &'static str) {}

#[task]
fn many(paths: &[std::path::PathBuf], path: &Path, table: &mut std::collections::HashMap<String, u8>) {}

#[task]
fn inside(ctx: &Context, names: Vec<&str>, name: Option<Cow<'_, str>>, parts: (&u8, Cow<'static, str>)) {}

fn main() {}
