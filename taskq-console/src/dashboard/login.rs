//! Signing in and out.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension, Form,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    Shared,
    fields::Fields,
    limits,
    options::Access,
    page::{Base, html},
    random::same,
    visitor::{COOKIE, Visitor, cookie, peer},
};
use crate::words::length;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    base: Base,
    assets: &'static str,
    title: String,
    name: String,
    error: Option<String>,
}

impl LoginPage {
    fn new(shared: &Shared, base: Base) -> Self {
        let title = shared.options.shown_title().to_owned();
        Self { base, assets: super::assets::version(), title, name: String::new(), error: None }
    }
}

/// The form; who is known already goes on.
pub(super) async fn login(
    State(shared): State<Arc<Shared>>,
    Extension(base): Extension<Base>,
    visitor: Option<Extension<Visitor>>,
) -> Response {
    match visitor {
        Some(_) => Redirect::to(&format!("{base}/")).into_response(),
        None => html(&LoginPage::new(&shared, base)),
    }
}

/// Begins a session, if the password is right.
pub(super) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    Extension(base): Extension<Base>,
    request: Request,
) -> Response {
    let Access::Accounts(accounts) = &shared.options.access else { return StatusCode::NOT_FOUND.into_response() };
    let peer = peer(&request);
    let before = cookie(request.headers()).map(str::to_owned);
    let fields = match read(request).await {
        Ok(fields) => fields,
        Err(status) => return status.into_response(),
    };
    let (name, password) = (fields.get("name").to_owned(), fields.exact("password").to_owned());
    let refused = |status: StatusCode, why: String| {
        let page = LoginPage { name: name.clone(), error: Some(why), ..LoginPage::new(&shared, base.clone()) };
        (status, html(&page)).into_response()
    };
    if let Err(wait) = shared.throttle.begin(peer, shared.clock().monotonic()) {
        let why = format!("Too many wrong passwords. Try again in {}.", length(wait));
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, why);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        return response;
    }
    let Ok(_turn) = shared.logins.acquire().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let (accounts, who) = (accounts.clone(), name.clone());
    // A check takes tens of milliseconds, in which the loop and all streams would stand still.
    let checked = tokio::task::spawn_blocking(move || accounts.check(&who, &password)).await;
    let Ok(Some(role)) = checked else {
        tracing::warn!(name = %name.escape_debug(), ?peer, "somebody could not sign in to the dashboard");
        return refused(StatusCode::UNAUTHORIZED, "The name or the password is wrong.".to_owned());
    };
    shared.throttle.succeeded(peer);
    // Whoever signs in anew leaves nothing behind that another knows.
    before.inspect(|secret| shared.sessions.end(secret));
    let secret = shared.sessions.begin(&name, role, shared.clock().monotonic());
    tracing::info!(name = %name.escape_debug(), %role, ?peer, "somebody has signed in to the dashboard");
    to_first_page(&base, &set_cookie(&shared, &base, &secret, limits::SESSION_AGE.as_secs()))
}

/// Ends the session.
pub(super) async fn sign_out(
    State(shared): State<Arc<Shared>>,
    Extension(base): Extension<Base>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Response {
    let before = cookie(request.headers()).map(str::to_owned);
    let fields = match read(request).await {
        Ok(fields) => fields,
        Err(status) => return status.into_response(),
    };
    if !same(fields.exact("token"), &shared.token(&visitor)) {
        return StatusCode::FORBIDDEN.into_response();
    }
    before.inspect(|secret| shared.sessions.end(secret));
    to_first_page(&base, &set_cookie(&shared, &base, "", 0))
}

/// A form, as far as it is no longer than it may be.
pub(super) async fn read(request: Request) -> Result<Fields, StatusCode> {
    use axum::extract::FromRequest;
    let form = Form::<Vec<(String, String)>>::from_request(request, &()).await;
    form.map(|Form(pairs)| Fields::new(pairs)).map_err(|refusal| refusal.into_response().status())
}

fn set_cookie(shared: &Shared, base: &Base, secret: &str, seconds: u64) -> String {
    let path = match base.to_string() {
        path if path.is_empty() => "/".to_owned(),
        path => path,
    };
    let secure = if shared.options.https_only { "; Secure" } else { "" };
    format!("{COOKIE}={secret}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn to_first_page(base: &Base, cookie: &str) -> Response {
    let mut headers = HeaderMap::new();
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    (headers, Redirect::to(&format!("{base}/"))).into_response()
}
