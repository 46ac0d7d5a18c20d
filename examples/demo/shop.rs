//! What the shop does, and how it fails: some cards are declined, the warehouse is slow, and refunds need a second try by hand.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use taskq::{BoxError, Client, prelude::*};

/// What tasks share.
#[derive(Debug, Default)]
pub(crate) struct Shop {
    /// Refunds that the payment provider has been told of.
    announced: Mutex<HashSet<u64>>,
}

/// Charges a card. One in nine is declined at first, one in forty for good.
#[task(queue = "orders", retry = Retry::exponential().base(Duration::from_secs(2)).attempts(4))]
pub(crate) async fn charge_card(
    ctx: &Context<Shop>,
    order: u64,
    amount_cents: u64,
    card_token: String,
) -> TaskResult<String> {
    ctx.log(format!("charging {amount_cents} cents for order {order}"));
    pause(40 + order % 7 * 25).await;
    match (order % 40, order % 9, ctx.attempt()) {
        (39, ..) => Err(TaskError::fatal(format!("card declined: the bank of order {order} says no"))),
        (_, 8, 1) => Err(TaskError::from(format!("payment provider timed out after {amount_cents} cents were sent"))),
        _ => Ok(format!("receipt-{order}-{}", card_token.len())),
    }
}

/// Sends a mail.
#[task(queue = "mail")]
pub(crate) async fn send_receipt(order: u64, to: String) -> String {
    pause(15).await;
    format!("mail {order} to {to}")
}

/// Pays money back. The provider knows nothing of a refund until somebody has looked at it: then a replay succeeds.
#[task(queue = "orders", retry = Retry::fixed(Duration::from_millis(200)).attempts(2))]
pub(crate) async fn refund_order(ctx: &Context<Shop>, order: u64) -> TaskResult<String> {
    ctx.log(format!("asking the payment provider to refund order {order}"));
    pause(20).await;
    let mut announced = ctx.app().announced.lock().unwrap_or_else(PoisonError::into_inner);
    match (announced.contains(&order), ctx.attempt()) {
        (true, _) => Ok(format!("order {order} is paid back")),
        (false, attempt) => {
            if attempt == 2 {
                announced.insert(order);
            }
            Err(TaskError::from(format!("refund of order {order} refused: the payment provider has no open session")))
        }
    }
}

/// Adds up the day, and says how far it is.
#[task(queue = "reports", timeout = Duration::from_secs(120))]
pub(crate) async fn daily_report(ctx: &Context<Shop>, shop: String) -> String {
    for page in 0..12 {
        ctx.progress_text(page, 12, "reading orders");
        pause(500).await;
    }
    format!("report of {shop}")
}

/// Looks after the shelves.
#[task(queue = "reports")]
pub(crate) async fn sync_stock(shelf: u32) -> u32 {
    pause(120).await;
    shelf
}

/// A stream of customers, until it is dropped.
pub(crate) async fn customers(client: Client) {
    for order in 1.. {
        // One who is turned away does not close the shop.
        if let Err(error) = customer(&client, order).await {
            eprintln!("order {order} was not accepted: {error}");
        }
        // Customers come in waves.
        pause(30 + 60 * u64::from(order / 150 % 3 == 2)).await;
    }
}

async fn customer(client: &Client, order: u64) -> Result<(), BoxError> {
    let tenant = format!("tenant:{}", order % 5);
    let charge = charge_card::with(order, 1_999 + order % 50 * 10, format!("tok_{order:06}")).tag(tenant.clone());
    client.enqueue(charge).await?;
    client.enqueue(send_receipt::with(order, format!("customer{}@example.org", order % 300)).tag(tenant)).await?;
    if order % 60 == 7 {
        client.enqueue(refund_order::with(order).tag("refund")).await?;
    }
    if order % 50 == 9 {
        client.enqueue(daily_report::with("north".to_owned())).await?;
    }
    if order % 25 == 4 {
        let later = send_receipt::with(order, "later@example.org".to_owned()).delay(Duration::from_secs(300));
        client.enqueue(later).await?;
    }
    Ok(())
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
