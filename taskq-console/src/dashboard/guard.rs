//! The guard in front of every route: what a request has to be before any page is asked for.
//!
//! In this order: its length, its host, who sends it, and, if it changes anything, that a page of ours sent it on behalf of
//! somebody who may. Every answer leaves with the headers that keep a browser from being turned against it.

use std::sync::Arc;

use axum::{
    extract::{OriginalUri, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    Shared, limits,
    options::Access,
    page::{Base, trouble},
    visitor::{self, Refusal},
};

/// Headers of every answer. Nothing is loaded from elsewhere, nothing inline is run or applied, nobody frames a page. The
/// referrer stays within the site; without any a browser would send no origin along with a form.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

/// Paths that are there for those who are not signed in.
const OPEN: [&str; 2] = ["/login", "/assets/"];

/// Lets a request through, with who sends it and where the dashboard is, or refuses it.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let base = Base::of(&shared.options, request.uri().path(), request.extensions().get::<OriginalUri>());
    request.extensions_mut().insert(base.clone());
    let path = request.uri().path().to_owned();
    let mut response = match check(&shared, &mut request) {
        Ok(()) => next.run(request).await,
        Err(Stop::SignIn) if path == "/live" => StatusCode::UNAUTHORIZED.into_response(),
        Err(Stop::SignIn) => Redirect::to(&format!("{base}/login")).into_response(),
        Err(Stop::Refused(status, why)) => trouble(&shared, &base, status, why),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // Files have a name that changes with them and say so themselves; nothing else is kept anywhere.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

enum Stop {
    SignIn,
    Refused(StatusCode, &'static str),
}

fn check(shared: &Shared, request: &mut Request) -> Result<(), Stop> {
    let refused = |status, why| Err(Stop::Refused(status, why));
    if request.uri().query().is_some_and(|query| query.len() > limits::MAX_QUERY) {
        return refused(StatusCode::URI_TOO_LONG, "The address is too long.");
    }
    let names = host_names(request.headers(), request.uri().host());
    if !is_our_host(shared, names.as_deref()) {
        return refused(
            StatusCode::MISDIRECTED_REQUEST,
            "This dashboard does not go by the name in the address. Use 127.0.0.1, or name the host with --host.",
        );
    }
    let peer = visitor::peer(request);
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    if is_change {
        if *request.method() != Method::POST {
            return refused(StatusCode::METHOD_NOT_ALLOWED, "Only GET and POST are answered.");
        }
        if !is_from_our_pages(shared, request.headers(), names.as_deref()) {
            return refused(
                StatusCode::FORBIDDEN,
                "Another site has sent this request, or the browser does not tell which did.",
            );
        }
    }
    let path = request.uri().path();
    let is_open = OPEN.iter().any(|open| path == *open || (open.ends_with('/') && path.starts_with(open)));
    let now = shared.clock().monotonic();
    match visitor::identify(&shared.options, &shared.sessions, request.headers(), peer, now) {
        Ok(visitor) => drop(request.extensions_mut().insert(visitor)),
        Err(_) if is_open && matches!(shared.options.access, Access::Accounts(_)) => {}
        Err(Refusal::SignIn) => return Err(Stop::SignIn),
        Err(Refusal::Forbidden(why)) => return refused(StatusCode::FORBIDDEN, why),
    }
    Ok(())
}

/// Name and port by which the browser means to reach us.
fn host_names(headers: &HeaderMap, in_address: Option<&str>) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok().map(str::to_ascii_lowercase),
        (None, None) => in_address.map(str::to_ascii_lowercase),
        _ => None,
    }
}

/// The name without the port. The brackets of an IPv6 address stay.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A page from elsewhere can point its own name at this machine. So on loopback only loopback's names count.
fn is_our_host(shared: &Shared, host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let name = without_port(host);
    let is_named = shared.options.hosts.iter().any(|known| known == name || known == host);
    match shared.options.access {
        Access::Loopback => is_named || matches!(name, "localhost" | "127.0.0.1" | "[::1]"),
        _ => is_named || shared.options.hosts.is_empty(),
    }
}

/// A browser says where a form comes from, by one header or both, and lets no page change that.
fn is_from_our_pages(shared: &Shared, headers: &HeaderMap, host: Option<&str>) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let origin = text(header::ORIGIN);
    let is_ours = |origin: &str| {
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let Some(from) = from.map(str::to_ascii_lowercase) else { return false };
        // A proxy may have put its own name for us in the place of the one that the browser knows.
        let is_named = shared.options.hosts.iter().any(|known| *known == from || known == without_port(&from));
        is_named || host.is_some_and(|host| host == from)
    };
    match (site, origin) {
        (None, None) => false,
        (site, origin) => site.is_none_or(|site| site == "same-origin") && origin.is_none_or(is_ours),
    }
}
