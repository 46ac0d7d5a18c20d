//! What all pages have: where they are, who looks at them, what is written around them, and what is said when there is none.

use std::{fmt, future::Future, sync::Arc};

use askama::Template;
use axum::{
    extract::{FromRequestParts, OriginalUri},
    http::{StatusCode, request::Parts},
    response::{Html, IntoResponse, Response},
};
use taskq_core::Result;

use super::{
    Shared,
    fields::Fields,
    limits,
    notes::Note,
    options::{Options, Role},
    pulse::Pulse,
    random::digest,
    visitor::Visitor,
};
use crate::words::number;

/// Where the dashboard begins for browsers: empty, or a path without a slash at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Base(String);

impl Base {
    /// What a router around this one has taken off, unless the options say it.
    pub(super) fn of(options: &Options, path: &str, original: Option<&OriginalUri>) -> Self {
        if let Some(base) = &options.base {
            return Self(base.clone());
        }
        let original = original.map_or(path, |OriginalUri(uri)| uri.path());
        let base = original.strip_suffix(path).unwrap_or(original);
        Self(base.trim_end_matches('/').to_owned())
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who asks for what, behind the guard.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) base: Base,
    pub(super) visitor: Visitor,
    pub(super) query: Fields,
    /// Path and query, for coming back here.
    pub(super) here: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, StatusCode> {
        let base = parts.extensions.get::<Base>().cloned().unwrap_or_default();
        // The guard has let nobody in without a name.
        let visitor = parts.extensions.get::<Visitor>().cloned().ok_or(StatusCode::FORBIDDEN)?;
        let query = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let query = Fields::new(query.map_err(|_| StatusCode::BAD_REQUEST)?.0);
        let here = parts.uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned();
        Ok(Self { base, visitor, query, here })
    }
}

/// What is written around a page.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) base: Base,
    pub(super) title: String,
    pub(super) section: &'static str,
    pub(super) who: Option<String>,
    pub(super) role: Role,
    /// Whether this visitor may act here.
    pub(super) acts: bool,
    pub(super) token: String,
    pub(super) has_session: bool,
    pub(super) note: Option<Note>,
    pub(super) here: String,
    pub(super) broker: String,
    pub(super) has_schedules: bool,
    pub(super) has_status: bool,
    /// Dead letters, if there are any.
    pub(super) dead: Option<String>,
    pub(super) complaints: Option<usize>,
    pub(super) version: &'static str,
    pub(super) assets: &'static str,
}

impl Frame {
    pub(super) fn new(shared: &Shared, asker: &Asker, section: &'static str, pulse: Option<&Pulse>) -> Self {
        let options = &shared.options;
        // What another page has seen not long ago is good enough for the marks beside the sections.
        let last = shared.hub.last();
        let pulse = pulse.or(last.as_deref());
        Self {
            base: asker.base.clone(),
            title: options.shown_title().to_owned(),
            section,
            who: asker.visitor.name.clone(),
            role: asker.visitor.role,
            acts: shared.may_act(&asker.visitor),
            token: shared.token(&asker.visitor),
            has_session: asker.visitor.has_session,
            note: Some(asker.query.get("note")).filter(|key| !key.is_empty()).and_then(|key| shared.notes.take(key)),
            here: without_note(&asker.here),
            broker: shared.connection.address().to_owned(),
            has_schedules: options.timetable.is_some(),
            has_status: options.status.is_some(),
            dead: pulse.and_then(dead),
            complaints: pulse.and_then(complaints),
            version: env!("CARGO_PKG_VERSION"),
            assets: super::assets::version(),
        }
    }

    /// Whether a section is the present one, for the list of them.
    pub(super) fn is_at(&self, section: &str) -> bool {
        self.section == section
    }
}

/// An address without the note, which is shown once.
fn without_note(here: &str) -> String {
    let Some((path, query)) = here.split_once('?') else { return here.to_owned() };
    let kept: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("note=")).collect();
    match kept.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", kept.join("&")),
    }
}

impl Shared {
    /// Whether somebody may change anything.
    pub(super) fn may_act(&self, visitor: &Visitor) -> bool {
        self.options.actions && visitor.role == Role::Operator
    }

    /// What a form has to bring along: only a page of ours, made for the same person, can know it.
    pub(super) fn token(&self, visitor: &Visitor) -> String {
        digest(&self.secret, &visitor.key)
    }

    /// The answer of one broker call, within its bound.
    pub(super) async fn ask<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T, PageError> {
        match self.clock().timeout(limits::CALL, call).await {
            Ok(answer) => answer.map_err(PageError::from),
            Err(_) => Err(PageError::Broker(format!("it has not answered within {} seconds", limits::CALL.as_secs()))),
        }
    }
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum PageError {
    /// The broker does not answer, or says no.
    Broker(String),
    /// There is no such thing.
    Missing(String),
    /// What was asked for cannot be read.
    Unreadable(String),
    /// The dashboard is about to end.
    Closing,
}

impl From<taskq_core::Error> for PageError {
    fn from(error: taskq_core::Error) -> Self {
        match error.kind() {
            taskq_core::ErrorKind::InvalidInput => Self::Unreadable(error.to_string()),
            _ => Self::Broker(error.to_string()),
        }
    }
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Broker(_) | Self::Closing => StatusCode::SERVICE_UNAVAILABLE,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn headline(&self) -> &'static str {
        match self {
            Self::Broker(_) => "The broker cannot be asked",
            Self::Missing(_) => "Not found",
            Self::Unreadable(_) => "That cannot be read",
            Self::Closing => "The dashboard is not ready",
        }
    }

    pub(super) fn why(&self) -> &str {
        match self {
            Self::Broker(why) | Self::Missing(why) | Self::Unreadable(why) => why,
            Self::Closing => "It is about to end, or the broker has not answered yet.",
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    headline: &'a str,
    why: &'a str,
    is_broker: bool,
}

/// The marks beside the sections, for a page that is open already.
#[derive(Template)]
#[template(path = "counts_live.html")]
struct CountsPart {
    dead: Option<String>,
    complaints: Option<usize>,
    has_status: bool,
}

pub(super) fn counts_part(pulse: &Pulse, has_status: bool) -> askama::Result<String> {
    CountsPart { dead: dead(pulse), complaints: complaints(pulse), has_status }.render()
}

fn dead(pulse: &Pulse) -> Option<String> {
    Some(pulse.total.dead).filter(|dead| *dead > 0).map(number)
}

fn complaints(pulse: &Pulse) -> Option<usize> {
    Some(pulse.complaints()).filter(|complaints| *complaints > 0)
}

/// A page that has nothing around it, since nobody knows who would look at it.
#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'a> {
    base: &'a Base,
    assets: &'static str,
    title: &'a str,
    why: &'a str,
}

/// A page, or why there is none, with the same around it.
pub(super) async fn shown(
    shared: &Arc<Shared>,
    asker: &Asker,
    section: &'static str,
    page: impl Future<Output = Result<Response, PageError>>,
) -> Response {
    match page.await {
        Ok(response) => response,
        Err(error) => {
            let is_broker = matches!(error, PageError::Broker(_));
            let frame = Frame::new(shared, asker, section, None);
            let page = ErrorPage { frame, headline: error.headline(), why: error.why(), is_broker };
            (error.status(), html(&page)).into_response()
        }
    }
}

/// A refusal, for whomever.
pub(super) fn trouble(shared: &Shared, base: &Base, status: StatusCode, why: &str) -> Response {
    let page = TroublePage { base, assets: super::assets::version(), title: shared.options.shown_title(), why };
    (status, html(&page)).into_response()
}

/// A rendered page.
pub(super) fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the dashboard cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_what_a_router_has_taken_off() {
        let original = |path: &str| OriginalUri(path.parse().expect("valid"));
        let of = |path, whole: &str| Base::of(&Options::new(), path, Some(&original(whole))).to_string();
        assert_eq!(of("/queues", "/queues"), "");
        assert_eq!(of("/", "/"), "");
        assert_eq!(of("/queues", "/admin/tasks/queues"), "/admin/tasks");
        assert_eq!(of("/", "/admin/tasks"), "/admin/tasks");
        assert_eq!(of("/", "/admin/tasks/"), "/admin/tasks");
        assert_eq!(Base::of(&Options::new().base("/x/"), "/", None).to_string(), "/x");
    }

    #[test]
    fn a_note_does_not_stay_in_the_address() {
        assert_eq!(without_note("/dead?queue=a&note=1&x=2"), "/dead?queue=a&x=2");
        assert_eq!(without_note("/dead?note=1"), "/dead");
        assert_eq!(without_note("/dead"), "/dead");
    }
}
