//! A web server with a worker and a scheduler in it, whose traces the tests look at: each path does one thing within a span,
//! and answers when that is done.

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use taskq::{BoxError, Scheduler, every, prelude::*};
use tokio::{net::TcpListener, sync::Notify};
use tracing::Instrument;

/// The longest that anything here is awaited.
const BOUND: Duration = Duration::from_secs(60);

static PULSED: Notify = Notify::const_new();

/// Enqueues a child.
#[task]
async fn charge(ctx: &Context) -> TaskResult<()> {
    ctx.log("charging");
    ctx.client().enqueue(mail::with().id("child")).await?;
    Ok(())
}

/// The child, whose body runs on another thread.
#[task(queue = "mail")]
fn mail() {
    tracing::info!("mailing");
}

/// Fails at first.
#[task(retry = Retry::fixed(Duration::from_millis(10)))]
async fn flaky(ctx: &Context) -> TaskResult<()> {
    match ctx.attempt() {
        1 => Err("not yet".into()),
        _ => Ok(()),
    }
}

/// One of many, or later.
#[task]
async fn noop() {}

/// What the scheduler enqueues.
#[task(queue = "pulse")]
async fn pulse() {
    PULSED.notify_one();
}

type Answer = Result<(), (StatusCode, String)>;

async fn answer(work: impl Future<Output = Result<(), BoxError>>) -> Answer {
    work.await.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn orders(State(client): State<Client>) -> Answer {
    answer(async {
        client.enqueue(charge::with()).await?.wait(BOUND).await?;
        Ok(client.handle::<mail>(&"mail/child".parse()?).wait(BOUND).await?)
    })
    .instrument(tracing::info_span!("POST /orders", otel.kind = "server"))
    .await
}

async fn retried(State(client): State<Client>) -> Answer {
    let all = answer(async { Ok(client.enqueue(flaky::with()).await?.wait(BOUND).await?) });
    all.instrument(tracing::info_span!("POST /retried", otel.kind = "server")).await
}

async fn delayed(State(client): State<Client>) -> Answer {
    let all = answer(async {
        let later = noop::with().delay(Duration::from_millis(20));
        Ok(client.enqueue(later).await?.wait(BOUND).await?)
    });
    all.instrument(tracing::info_span!("POST /delayed", otel.kind = "server")).await
}

async fn many(State(client): State<Client>) -> Answer {
    answer(async {
        let handles = client.enqueue_all((0..3).map(|_| noop::with())).await.map_err(|error| error.error)?;
        for handle in handles {
            handle.wait(BOUND).await?;
        }
        Ok(())
    })
    .instrument(tracing::info_span!("POST /many", otel.kind = "server"))
    .await
}

/// Headers that nobody in their right mind writes.
async fn hostile(State(client): State<Client>) -> Answer {
    let hostile: [(&str, String); 5] = [
        ("traceparent", "00-zz-\u{1F319}".to_owned()),
        ("traceparent", "0".repeat(5_000)),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ("tracestate", "=,=,\0=".repeat(900)),
        ("baggage", "a=1;".repeat(2_000)),
    ];
    answer(async {
        for (name, value) in hostile {
            let task = noop::with().header(name, value).header("taskq-trace", "\0");
            client.enqueue(task).await?.wait(BOUND).await?;
        }
        Ok(())
    })
    .await
}

async fn pulsed() -> Answer {
    PULSED.notified().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let traces = taskq::otel::init()?;
    let connection = taskq::connect("memory://").await?;
    let worker = Worker::builder(connection.clone()).or_declared_queues().start().await?;
    let scheduler = Scheduler::builder(connection.clone())
        .entry("pulse", every(Duration::from_secs(1))?, pulse::with())
        .start()
        .await?;
    let end = Arc::new(Notify::new());
    let ended = Arc::clone(&end);
    let routes = Router::new()
        .route("/orders", post(orders))
        .route("/retried", post(retried))
        .route("/delayed", post(delayed))
        .route("/many", post(many))
        .route("/hostile", post(hostile))
        .route("/pulsed", post(pulsed))
        .route("/end", post(async move || ended.notify_one()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}, exporting: {}", listener.local_addr()?, traces.are_exported());
    let serve = axum::serve(listener, routes.with_state(connection.client()));
    serve.with_graceful_shutdown(async move { end.notified().await }).await?;
    scheduler.drain();
    scheduler.ended().await;
    worker.drain();
    let tally = worker.ended().await;
    traces.end().await;
    println!("ended: {} retried, {} dead", tally.retried, tally.dead);
    Ok(())
}
