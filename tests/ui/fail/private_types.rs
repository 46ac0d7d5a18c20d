//! The types in the signature of a public task are public too.

#![allow(unused, private_interfaces)]

use taskq::{Context, task};

struct App;

#[derive(serde::Serialize, serde::Deserialize)]
struct Receipt;

#[task]
pub fn send(_ctx: &Context<App>) -> Receipt {
    Receipt
}

fn main() {}
