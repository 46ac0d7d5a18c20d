//! What bodies need, built once and lent to them: `&Context<App>`. Child tasks and headers, too.
//!
//! `cargo run --example shared_app [BROKER_URL]`

use std::{collections::HashMap, sync::Mutex};

use taskq::prelude::*;

/// Everything that the bodies of this program share. A real one holds pools and clients.
#[derive(Default)]
struct App {
    prices: HashMap<&'static str, u32>,
    ledger: Mutex<Vec<String>>,
}

/// Prices an order, and books it in a task of its own.
#[task]
async fn place_order(ctx: &Context<App>, item: String, count: u32) -> TaskResult<u32> {
    let Some(price) = ctx.app().prices.get(item.as_str()) else {
        return Err(TaskError::fatal(format!("no price for {item}")));
    };
    let total = price * count;
    let customer = ctx.headers().get("customer").cloned().unwrap_or_default();
    ctx.client().enqueue(book::with(customer, total).id(ctx.id().key.to_string())).await?;
    Ok(total)
}

/// The id of the order makes this harmless to enqueue twice, should `place_order` run again.
#[task(queue = "books")]
fn book(ctx: &Context<App>, customer: String, total: u32) -> usize {
    let mut ledger = ctx.app().ledger.lock().expect("no body panics while holding it");
    ledger.push(format!("{customer}: {total}"));
    ledger.len()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = std::env::args().nth(1).unwrap_or_else(|| format!("sqlite://{}/tasks.db", folder.path().display()));
    let connection = taskq::connect(&url).await?;
    let app = App { prices: HashMap::from([("tea", 3), ("cake", 5)]), ..App::default() };
    let worker = Worker::builder(connection.clone())
        .app(app)
        .queue("default", 10) // each queue has slots of its own: a slow one cannot starve another
        .queue("books", 1)
        .start()
        .await?;

    let client = connection.client();
    let order = client.enqueue(place_order::with("cake".into(), 2).header("customer", "ann")).await?;
    println!("total {}", order.wait(Duration::from_secs(10)).await?);

    let booking = client.handle::<book>(&format!("books/{}", order.id().key).parse()?);
    println!("bookings {}", booking.wait(Duration::from_secs(10)).await?);

    let unknown = client.enqueue(place_order::with("gold".into(), 1)).await?;
    println!("{}", unknown.wait(Duration::from_secs(10)).await.expect_err("has no price"));

    worker.drain();
    worker.ended().await;
    Ok(())
}
