//! A result has to be `Serialize` and `Deserialize`.

#![allow(unused)]

use taskq::{TaskResult, task};

struct Receipt;

#[task]
fn plain() -> Receipt {
    Receipt
}

#[task]
async fn fallible() -> TaskResult<Vec<Receipt>> {
    Ok(vec![])
}

fn main() {}
