//! Requests for groups that an API service gives to another server, passed on in the user's name.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderValue, Request, Response, StatusCode, header};
use wire::{Body, HttpClient, body, upgrade};
use world::Host;

use super::{
    HOP,
    availability::is_available,
    backends::{Backends, Unreachable, answer_of, identify},
};
use crate::{
    pipeline::{Delegate, Forward},
    registry::connect::{forwarded_for, lists, splice},
    respond,
};

/// Knows by the API services which requests are for others.
#[derive(Debug)]
pub struct Delegation {
    host: Host,
    backends: Arc<Backends>,
}

impl Delegation {
    /// By the API services that these backends stand for.
    pub(crate) fn new(host: &Host, backends: Arc<Backends>) -> Self {
        Self { host: host.clone(), backends }
    }
}

/// Upstream's own words on this path are plain text.
fn refused(code: u16, words: &str) -> Response<Body> {
    respond::text(code, format!("{words}\n"))
}

#[async_trait]
impl Delegate for Delegation {
    fn claims(&self, group: &str, version: &str) -> bool {
        self.backends.remote(&format!("{version}.{group}")).is_some()
    }

    async fn forward(&self, group: &str, version: &str, forward: Forward) -> Response<Body> {
        let unavailable = || refused(503, "service unavailable");
        let Some(service) = self.backends.remote(&format!("{version}.{group}")) else { return unavailable() };
        if !is_available(&service) {
            return unavailable();
        }
        let client = match self.backends.of(&service) {
            Ok(client) => client,
            Err(Unreachable::Unresolved) => return unavailable(),
            Err(Unreachable::Settings(why)) => return refused(500, &why),
        };
        match pass_on(&self.host, &client, forward).await {
            Ok(response) => response,
            Err(why) => refused(503, &why),
        }
    }
}

async fn pass_on(host: &Host, client: &HttpClient, forward: Forward) -> Result<Response<Body>, String> {
    let upgrades = lists(&forward.headers, "upgrade");
    let mut headers = forward.headers;
    for own in [header::AUTHORIZATION, header::HOST] {
        headers.remove(own);
    }
    if !upgrades {
        for name in HOP {
            headers.remove(*name);
        }
    }
    identify(&mut headers, &forward.user);
    if let Ok(id) = HeaderValue::try_from(forward.audit_id) {
        headers.insert("audit-id", id);
    }
    forwarded_for(&mut headers, forward.remote);
    let mut request = Request::new(forward.body);
    *request.method_mut() = forward.method;
    *request.uri_mut() = forward.target.parse().map_err(|e| format!("{:?}: {e}", forward.target))?;
    *request.headers_mut() = headers;
    let words = |e: wire::Error| e.cause().map_or_else(|| e.to_string(), ToString::to_string);
    if !upgrades {
        let answer = client.send(request).await.map_err(words)?;
        if answer.status().is_redirection() && answer.headers().contains_key(header::LOCATION) {
            let text = "the backend attempted to redirect this request, which is not permitted";
            let mut response = Response::new(body::full(text));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            return Ok(response);
        }
        return Ok(answer_of(answer));
    }
    let (answer, stream) = client.upgrade(request).await.map_err(words)?;
    let Some(stream) = stream else { return Ok(answer_of(answer)) };
    let mut ours = Request::new(());
    *ours.extensions_mut() = forward.extensions;
    let mut response = Response::new(body::empty());
    splice(host, &mut response, upgrade::of_request(&mut ours), stream);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove(header::DATE);
    Ok(response)
}
