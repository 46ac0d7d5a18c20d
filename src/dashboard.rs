//! Pages for a browser that show what a broker holds, live, and let operators act on it.
//!
//! As the subcommand `dashboard` of [`taskq::app()`](crate::app()), or mounted in an app of your own:
//!
//! ```no_run
//! use std::net::SocketAddr;
//! use taskq::dashboard::{Options, Role};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = taskq::connect("sqlite://taskq.db").await?;
//! // Whoever gets through the app's own doors to this path may look.
//! let options = Options::new().guarded_by_the_app(Role::Viewer);
//! let app = axum::Router::new().nest("/admin/tasks", taskq::dashboard::router(connection, options));
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `docs/dashboard.md` says who gets in, and what it shows.

#[cfg(feature = "scheduler")]
mod entries;
#[cfg(feature = "health")]
mod status;

#[cfg(any(feature = "scheduler", feature = "health"))]
use std::sync::Arc;

use axum::Router;
use taskq_core::Connection;

pub use taskq_console::dashboard::{Accounts, Dashboard, Options, ProxyIdentity, Role, hash_password};

/// Routes of a dashboard of this connection's broker, to serve as they are or nested in an app's own.
pub fn router(connection: Connection, options: Options) -> Router {
    new(connection, options).router()
}

/// The same, to be closed before a server waits for the last of its connections.
pub fn new(connection: Connection, options: Options) -> Dashboard {
    #[cfg(feature = "scheduler")]
    let options = options.timetable(Arc::new(entries::TimetableOfEntries::of(&connection)));
    #[cfg(feature = "health")]
    let options = options.status(Arc::new(status::StatusOfBoard::of(&connection)));
    Dashboard::new(connection, options)
}
