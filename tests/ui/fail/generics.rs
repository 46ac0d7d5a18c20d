//! A task is one function under one name.

#![allow(unused)]

use taskq::task;

#[task]
fn of_any_type<T: Send>(value: T) {}

#[task]
fn of_any_length<const LENGTH: usize>(values: [u8; LENGTH]) {}

#[task]
fn with_a_lifetime<'a>(text: std::borrow::Cow<'a, str>) {}

#[task]
fn with_a_condition()
where
    String: Clone,
{
}

#[task]
fn hidden(value: impl Into<String>, more: Vec<impl Clone>) {}

fn main() {}
