//! Component statuses: nobody stores them, every read asks the components themselves.
//!
//! As upstream, the controller manager and the scheduler are looked for on this server's own host,
//! whoever else runs one elsewhere; that is one of the reasons why the kind is deprecated. The store
//! counts as one component, however many members it has.

use std::{sync::Arc, time::Duration};

use api::status::Status;
use http::{Request, Response};
use pki::ClientTls;
use serde_json::{Value, json};
use wire::{Body, HttpClient, body};

use super::{list, wanted};
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{ListOptions, Permitted, Refusal},
    respond::ListMeta,
    watch_cache::Item,
};

/// How long a component may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// What is read of an answer.
const ANSWER_LIMIT: usize = 10 * 1024;

/// The components, by name.
const COMPONENTS: [(&str, Probe); 3] =
    [("controller-manager", Probe::Port(10257)), ("etcd-0", Probe::Store), ("scheduler", Probe::Port(10259))];

#[derive(Clone, Copy)]
enum Probe {
    /// `/healthz` behind TLS on this port of this host.
    Port(u16),
    /// The store answers.
    Store,
}

/// What a component says of itself.
struct Health {
    status: &'static str,
    message: String,
    error: String,
}

pub(super) async fn get(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let name = &permitted.info().name;
    let Some((name, probe)) = COMPONENTS.iter().find(|(known, _)| known == name) else {
        return Err(Status::not_found(&served.qualified(), name).into());
    };
    let object = component(ctx, &served, name, *probe).await;
    Ok(wanted.object(200, &served, &object, permitted.request().received_at))
}

pub(super) async fn list(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = ListOptions::parse(&permitted.request().query, false)?;
    let filter = list::filter(&served, "", &options)?;
    let mut items = Vec::new();
    let reports = COMPONENTS.map(|(name, probe)| component(ctx, &served, name, probe));
    for ((name, _), object) in COMPONENTS.iter().zip(futures::future::join_all(reports).await) {
        let item = Item::parsed((*name).to_owned(), 0, Arc::new(object));
        if filter.matches(&item) {
            items.push(Arc::new(item));
        }
    }
    Ok(wanted.list(&served, &ListMeta::default(), &items, permitted.request().received_at)?)
}

async fn component(ctx: &Ctx, served: &Served, name: &str, probe: Probe) -> Value {
    let Health { status, message, error } = match probe {
        Probe::Port(port) => ask(ctx, port).await,
        Probe::Store => store(ctx).await,
    };
    let mut condition = json!({ "type": "Healthy", "status": status });
    for (field, text) in [("message", message), ("error", error)] {
        if !text.is_empty() {
            condition[field] = text.into();
        }
    }
    json!({
        "kind": served.kind,
        "apiVersion": served.api_version(),
        "metadata": { "name": name },
        "conditions": [condition],
    })
}

async fn ask(ctx: &Ctx, port: u16) -> Health {
    let unhealthy = |message: String| Health { status: "False", message, error: String::new() };
    let tls = ClientTls::new(&ctx.host, ctx.options.profile.go()).insecure();
    let request = Request::get("/healthz").body(body::empty());
    let client = HttpClient::new(&ctx.host, &format!("https://127.0.0.1:{port}"), Some(tls));
    let (client, request) = match (client, request) {
        (Ok(client), Ok(request)) => (client, request),
        (Err(error), _) => return unhealthy(error.to_string()),
        (_, Err(error)) => return unhealthy(error.to_string()),
    };
    let response = match client.send_within(TIMEOUT, request).await {
        Ok(response) => response,
        Err(error) => return unhealthy(error.to_string()),
    };
    let code = response.status();
    let answer = body::collect(response.into_body(), ANSWER_LIMIT).await;
    let text = answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    if code.is_success() {
        Health { status: "True", message: text, error: String::new() }
    } else {
        unhealthy(format!("HTTP probe failed with statuscode: {}", code.as_u16()))
    }
}

async fn store(ctx: &Ctx) -> Health {
    let failed = |error: String| Health { status: "False", message: String::new(), error };
    match ctx.host.clock().timeout(TIMEOUT, ctx.store.revision()).await {
        Ok(Ok(_)) => Health { status: "True", message: "ok".to_owned(), error: String::new() },
        Ok(Err(error)) => failed(error.to_string()),
        Err(_) => failed("context deadline exceeded".to_owned()),
    }
}
