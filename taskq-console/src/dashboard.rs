//! The dashboard: pages for a browser that show what a broker holds, live, and let operators act on it.
//!
//! ```text
//!  browser -> guard (host, origin, who) -> page -> Inspect, Fleet, Leader        reads, each call bounded
//!                                       -> act  -> Control, Broker::cancel       POST with a token only
//!                                       -> live <- Hub: one loop that looks for all who watch
//! ```
//!
//! The promise: a page is written from bounded reads, whatever the broker holds; every value is escaped; nothing changes but by
//! a form of ours, sent by somebody who may. While nobody watches, nobody asks the broker anything.

mod options;

mod guard;
mod page;
mod visitor;

mod dead;
mod events;
mod health;
mod login;
mod overview;
mod queues;
mod schedules;
mod task;
mod tasks;
mod workers;

mod act;
mod bulk;
mod live;

mod hub;
mod journal;
mod pulse;
mod subject;

mod chart;
mod facts;
mod member;
mod rates;
mod row;
mod search;

mod accounts;
mod assets;
mod fields;
mod limits;
mod mask;
mod notes;
mod random;
mod sessions;
mod status;
mod throttle;
mod timetable;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    middleware,
    response::Response,
    routing::{get, post},
};
use taskq_core::{Clock, Connection};
use tokio::sync::Semaphore;

pub use accounts::{Accounts, hash_password};
pub use options::{Options, ProxyIdentity, Role};
pub use status::{Health, StatusBoard, StatusChange, StatusRow};
pub use timetable::{Timetable, TimetableRow};

use hub::Hub;
use notes::Notes;
use page::{Asker, PageError};
use pulse::Boards;
use sessions::Sessions;
use throttle::Throttle;

/// A dashboard: a router, and the loop behind it.
///
/// ```
/// # async fn example(connection: taskq_core::Connection) {
/// use taskq_console::dashboard::{Dashboard, Options};
///
/// let dashboard = Dashboard::new(connection, Options::new());
/// let app = axum::Router::new().nest("/tasks", dashboard.router());
/// // Serve it with into_make_service_with_connect_info::<SocketAddr>(), and at the end:
/// dashboard.close().await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Dashboard(Arc<Shared>);

/// What all routes share.
#[derive(Debug)]
struct Shared {
    connection: Connection,
    options: Options,
    hub: Arc<Hub>,
    sessions: Sessions,
    throttle: Throttle,
    notes: Notes,
    /// What the tokens of forms follow from. It ends with this process.
    secret: String,
    streams: Arc<Semaphore>,
    logins: Semaphore,
}

impl Shared {
    fn clock(&self) -> &Clock {
        self.connection.clock()
    }
}

impl Dashboard {
    /// A dashboard of the broker of this connection.
    pub fn new(connection: Connection, options: Options) -> Self {
        let hub = Hub::new(
            connection.clone(),
            Boards { status: options.status.clone(), timetable: options.timetable.clone() },
        );
        Self(Arc::new(Shared {
            connection,
            options,
            hub,
            sessions: Sessions::default(),
            throttle: Throttle::default(),
            notes: Notes::default(),
            secret: random::secret(),
            streams: Arc::new(Semaphore::new(limits::STREAMS)),
            logins: Semaphore::new(limits::LOGINS_AT_ONCE),
        }))
    }

    /// Its routes, to serve as they are or nested in an app's own.
    ///
    /// Whoever serves them tells from where requests come, by
    /// `into_make_service_with_connect_info::<std::net::SocketAddr>()`: without that a dashboard that asks nobody who they are
    /// lets nobody in.
    pub fn router(&self) -> Router {
        let shared = &self.0;
        Router::new()
            .route("/", get(overview::overview))
            .route("/queues", get(queues::queues))
            .route("/queue", get(queues::queue))
            .route("/tasks", get(tasks::tasks))
            .route("/task", get(task::task))
            .route("/find", get(task::find))
            .route("/dead", get(dead::dead))
            .route("/workers", get(workers::workers))
            .route("/worker", get(workers::worker))
            .route("/schedules", get(schedules::schedules))
            .route("/schedule", get(schedules::schedule))
            .route("/events", get(events::events))
            .route("/health", get(health::health))
            .route("/act", post(act::act))
            .route("/login", get(login::login).post(login::sign_in))
            .route("/logout", post(login::sign_out))
            .route("/assets/{version}/{name}", get(assets::asset))
            .layer(middleware::from_fn_with_state(Arc::clone(shared), within_bound))
            // A stream lasts longer than a request may.
            .route("/live", get(live::live))
            .fallback(missing)
            .layer(DefaultBodyLimit::max(limits::MAX_FORM))
            .layer(middleware::from_fn_with_state(Arc::clone(shared), guard::guard))
            .with_state(Arc::clone(shared))
    }

    /// Ends its loop and every stream, so that a server that waits for open connections can end.
    pub async fn close(&self) {
        self.0.hub.close().await;
    }
}

/// Routes of a dashboard that lives as long as they are served. See [`Dashboard`].
pub fn router(connection: Connection, options: Options) -> Router {
    Dashboard::new(connection, options).router()
}

/// No request takes longer than its bound, whatever its steps are.
async fn within_bound(
    State(shared): State<Arc<Shared>>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let base = request.extensions().get::<page::Base>().cloned().unwrap_or_default();
    match shared.clock().timeout(limits::REQUEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
            page::trouble(
                &shared,
                &base,
                status,
                "This took too long and was given up. What it had done by then stays.",
            )
        }
    }
}

async fn missing(State(shared): State<Arc<Shared>>, asker: Asker) -> Response {
    let none = async { Err(PageError::Missing("There is no page here.".to_owned())) };
    page::shown(&shared, &asker, "", none).await
}
