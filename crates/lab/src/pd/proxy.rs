//! A member's HTTP server: answers itself what is local, and as leader; forwards the rest to the
//! leader and returns its answer, as PD does. Without a leader it answers 503.

use crate::{
    pd::{Pd, api},
    timing::REDIRECT_WAIT,
};
use axum::{
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// Set on what has been forwarded once, so that it is not forwarded again.
const FORWARDED: &str = "pd-redirector";
const MAX_BODY: usize = 64 * 1024;

pub(super) async fn serve(listener: tokio::net::TcpListener, pd: Arc<Pd>) {
    let router = axum::Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(pd);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "HTTP server ended");
    }
}

async fn handle(
    State(pd): State<Arc<Pd>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if uri.path() == "/metrics" {
        let kind = [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )];
        return (kind, pd.metrics.text(&pd)).into_response();
    }
    let Some(path) = uri.path().strip_prefix("/pd/api/v1/") else {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    };
    let query = uri.query().unwrap_or("");
    let call = api::Call {
        method: &method,
        path: path.trim_end_matches('/'),
        query,
        body: &body,
    };
    if let Some(answer) = api::local(&pd, &call).await {
        return answer;
    }
    let leader = pd.group.wait_for_leader(REDIRECT_WAIT).await;
    if leader == Some(pd.node.id) {
        pd.take_office();
        return api::leader(&pd, &call).await;
    }
    let Some(leader) = leader.and_then(|id| pd.members.iter().find(|m| m.id == id)) else {
        let text = "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    if headers.contains_key(FORWARDED) {
        let text = "[PD:apiutil:ErrRedirectToNotLeader]redirect to not leader";
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    }
    forward(&pd, &leader.address(), &method, &uri, body)
        .await
        .unwrap_or_else(|error| {
            tracing::warn!(error = %error.without_url(), "cannot forward to the leader");
            let text = "[PD:apiutil:ErrRedirect]redirect failed";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        })
}

async fn forward(
    pd: &Pd,
    leader: &str,
    method: &Method,
    uri: &Uri,
    body: Bytes,
) -> reqwest::Result<Response> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let answer = pd
        .http
        .request(method.clone(), format!("http://{leader}{path}"))
        .header(FORWARDED, pd.node.name.as_str())
        .body(body)
        .send()
        .await?;
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get(header::CONTENT_TYPE) {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    let body = answer.bytes().await?;
    Ok(response
        .body(Body::from(body))
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
}
