//! A worker inside an axum server: one process takes orders over HTTP and works them off.
//!
//! `cargo run -p taskq-example-axum [BROKER_URL] [ADDRESS]`, then
//!
//! ```text
//! curl -d '{"item": "tea", "count": 2}' -H 'content-type: application/json' http://127.0.0.1:3000/orders
//! curl http://127.0.0.1:3000/orders/ID
//! ```
//!
//! Press ctrl-c: the server answers what it was asked, then the worker finishes what runs.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use taskq::prelude::*;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

type Answer = Result<Json<Value>, (StatusCode, String)>;

#[derive(serde::Deserialize)]
struct Order {
    item: String,
    count: u32,
}

/// Prices an order. A real one would call the warehouse, and so takes its time.
#[task(queue = "orders")]
async fn place_order(item: String, count: u32) -> TaskResult<u32> {
    println!("order of {count} {item} begins");
    tokio::time::sleep(Duration::from_millis(300)).await;
    match item.as_str() {
        "tea" => Ok(3 * count),
        "cake" => Ok(5 * count),
        _ => Err(TaskError::fatal(format!("no price for {item}"))),
    }
}

async fn post_order(State(client): State<Client>, Json(order): Json<Order>) -> Answer {
    let handle = client.enqueue(place_order::with(order.item, order.count)).await.map_err(refused)?;
    Ok(Json(json!({ "id": handle.id().key.to_string() })))
}

async fn get_order(State(client): State<Client>, Path(key): Path<String>) -> Answer {
    let id = format!("orders/{key}").parse().map_err(refused)?;
    let Some(order) = client.find(&id).await.map_err(refused)? else {
        return Err((StatusCode::NOT_FOUND, format!("no order {key}")));
    };
    let result = order.result.as_ref().map(|result| result.as_raw());
    Ok(Json(json!({ "state": order.state, "result": result, "error": order.last_error })))
}

fn refused(error: taskq::Error) -> (StatusCode, String) {
    let status = if error.is_transient() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST };
    (status, error.to_string())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "sqlite://orders.db".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    // Before anything runs: from here on a signal drains instead of killing.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let asked_to_end = async move {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
    };

    let connection = taskq::connect(&url).await?;
    let worker = Worker::builder(connection.clone()).queue("orders", 4).start().await?;
    let orders = Router::new().route("/orders", post(post_order)).route("/orders/{id}", get(get_order));
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, orders.with_state(connection.client())).with_graceful_shutdown(asked_to_end).await?;

    // After the server, so that an order accepted with the last request is not left to the next start without need.
    worker.drain();
    let tally = worker.ended().await;
    println!("drained: {} claimed, {} succeeded, {} dead", tally.claimed, tally.succeeded, tally.dead);
    Ok(())
}
