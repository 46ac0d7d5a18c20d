//! Arguments travel under the names of their parameters.

#![allow(unused)]

use taskq::task;

struct Point {
    x: i32,
    y: i32,
}

#[task]
fn tuple((a, b): (u8, u8)) {}

#[task]
fn nothing(_: u8) {}

#[task]
fn fields(Point { x, y }: Point) {}

#[task]
fn by_reference(ref name: String) {}

fn main() {}
