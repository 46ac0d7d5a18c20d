//! A small shop whose work can be watched: a worker, a scheduler, a stream of tasks some of which fail, and the dashboard.
//!
//! ```sh
//! cargo run --example demo --features dashboard
//! cargo run --example demo --features dashboard -- --listen 127.0.0.1:9090 --url sqlite://demo.db
//! ```
//!
//! It keeps everything in a temporary file unless it is given one, prints where the dashboard is, and runs until ctrl-c.

mod shop;

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};

use taskq::{
    BoxError, EventsMode, Scheduler, cron,
    dashboard::{self, Options},
    every,
    prelude::*,
    scheduler::{
        SchedulerHandle,
        alert::Courier,
        health::{Check, Monitor, Watchlist},
    },
};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    // Heard from now on, so that it ends in order whenever that is.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let folder = tempfile::tempdir()?;
    let own = format!("sqlite://{}", folder.path().join("demo.db").display());
    let (listen, url) = (option("--listen", "127.0.0.1:8080"), option("--url", &own));
    let connection = taskq::connect(&url).await?.with_events(EventsMode::On);
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    let address = listener.local_addr()?;

    let checks = checks(address)?;
    let scheduler = schedule(&connection, &checks).await?;
    let monitor = Monitor::new(taskq::observer(taskq::Clock::system()), Courier::new(taskq::Clock::system()), checks);
    let monitor = Arc::new(monitor);
    let worker = Worker::builder(connection.clone()).app(shop::Shop::default());
    let worker = Monitor::tasks().into_iter().fold(worker, |worker, task| worker.bring(task, Arc::clone(&monitor)));
    let worker = worker.queue("orders", 8).queue("mail", 4).queue("reports", 3).queue("health", 4).start().await?;
    let customers = tokio::spawn(shop::customers(connection.client()));

    let dashboard = dashboard::new(connection, Options::new().allow_actions().title("Demo shop"));
    println!("dashboard at http://{address}/");
    let service = dashboard.router().into_make_service_with_connect_info::<SocketAddr>();
    let closing = dashboard.clone();
    let ended = async move {
        interrupted.recv().await;
        closing.close().await;
    };
    axum::serve(listener, service).with_graceful_shutdown(ended).await?;

    customers.abort();
    scheduler.drain();
    worker.drain();
    tokio::join!(scheduler.ended(), worker.ended());
    Ok(())
}

/// The entries of the program, and those by which the checks are looked at.
async fn schedule(connection: &Connection, checks: &Watchlist) -> Result<SchedulerHandle, BoxError> {
    let looks = checks.checks.iter().map(|(name, check)| check.entry(name)).collect::<Result<_, _>>()?;
    let scheduler = Scheduler::builder(connection.clone())
        .entry("stock", every(Duration::from_secs(3_600))?, shop::sync_stock::with(7))
        .entry("shelves", every(Duration::from_secs(10))?, shop::sync_stock::with(3))
        .entry("daily-report", cron("30 7 * * Mon-Fri")?, shop::daily_report::with("north".to_owned()))
        .file(looks);
    Ok(scheduler.start().await?)
}

/// The dashboard's own port, and one at which nobody listens.
fn checks(address: SocketAddr) -> Result<Watchlist, BoxError> {
    let check = |port: u16| Check::read(serde_json::json!({"every": "2s", "tcp": format!("127.0.0.1:{port}")}));
    let checks = [("dashboard".to_owned(), check(address.port())?), ("warehouse".to_owned(), check(1)?)];
    Ok(Watchlist { checks: checks.into(), ..Watchlist::default() })
}

/// The value of an option on the command line.
fn option(name: &str, otherwise: &str) -> String {
    let given = std::env::args().skip_while(|argument| argument != name).nth(1);
    given.unwrap_or_else(|| otherwise.to_owned())
}
