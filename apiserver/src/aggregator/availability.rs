//! The condition `Available` of API services.

use std::sync::Arc;

use api::object::ObjectExt;
use client::{Change, ClientError, Informer, QueueOptions, Resource, WorkQueue, run_workers};
use serde_json::{Value, json};

use super::is_remote;
use crate::{context::Ctx, informers::Informers};

/// Upstream's number of workers.
const WORKERS: usize = 5;

/// What is known of a service's availability: status, reason, message.
type Verdict = (bool, &'static str, String);

pub(super) fn start(ctx: &Ctx) {
    let queue = WorkQueue::new(&ctx.host, QueueOptions::default());
    let changed = queue.clone();
    ctx.informers.api_services.on(move |change: &Change| changed.add(change.key()));
    for informer in [&ctx.informers.services, &ctx.informers.endpoints] {
        follow(informer, &ctx.informers.api_services, &queue);
    }
    let worker = ctx.clone();
    run_workers(&ctx.host, WORKERS, &queue, move |name| {
        let ctx = worker.clone();
        async move { sync(&ctx, &name).await }
    });
}

/// Looks again at the API services behind which a service stands that changed.
fn follow(informer: &Informer, api_services: &Informer, queue: &WorkQueue) {
    let (api_services, queue) = (api_services.clone(), queue.clone());
    informer.on(move |change: &Change| {
        let object = change.object();
        for service in api_services.list() {
            if service.str_at("/spec/service/name") == object.name()
                && service.str_at("/spec/service/namespace") == object.namespace()
            {
                queue.add(service.name());
            }
        }
    });
}

fn judge(service: &Value, informers: &Informers) -> Verdict {
    if !is_remote(service) {
        return (true, "Local", "Local APIServices are always available".to_owned());
    }
    let (namespace, name) = (service.str_at("/spec/service/namespace"), service.str_at("/spec/service/name"));
    let port = service.i64_at("/spec/service/port").unwrap_or(443);
    let Some(target) = informers.services.get(namespace, name) else {
        return (false, "ServiceNotFound", format!("service/{name} in \"{namespace}\" is not present"));
    };
    if target.str_at("/spec/type") != "ExternalName" {
        let Some(listed) = target.list_at("/spec/ports").iter().find(|p| p.i64_at("/port") == Some(port))
        else {
            let why = format!("service/{name} in \"{namespace}\" is not listening on port {port}");
            return (false, "ServicePortError", why);
        };
        let Some(endpoints) = informers.endpoints.get(namespace, name) else {
            let why = format!("cannot find endpoints for service/{name} in \"{namespace}\"");
            return (false, "EndpointsNotFound", why);
        };
        let port_name = listed.str_at("/name");
        let reachable = endpoints.list_at("/subsets").iter().any(|subset| {
            !subset.list_at("/addresses").is_empty()
                && subset.list_at("/ports").iter().any(|p| p.str_at("/name") == port_name)
        });
        if !reachable {
            let why = format!(
                "endpoints for service/{name} in \"{namespace}\" have no addresses with port name \"{port_name}\""
            );
            return (false, "MissingEndpoints", why);
        }
    }
    let why = format!(
        "failing or missing response from service/{name} in \"{namespace}\": requests are not passed on"
    );
    (false, "FailedDiscoveryCheck", why)
}

async fn sync(ctx: &Ctx, name: &str) -> Result<(), ClientError> {
    let Some(service) = ctx.informers.api_services.get(None, name) else { return Ok(()) };
    let (available, reason, message) = judge(&service, &ctx.informers);
    let status = if available { "True" } else { "False" };
    let held = service.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == "Available");
    if held.is_some_and(|c| {
        (c.str_at("/status"), c.str_at("/reason"), c.str_at("/message")) == (status, reason, message.as_str())
    }) {
        return Ok(());
    }
    let since = match held {
        Some(held) if held.str_at("/status") == status => held.str_at("/lastTransitionTime").to_owned(),
        _ => world::rfc3339(ctx.host.clock().wall()),
    };
    let condition = json!({
        "type": "Available",
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    });
    let mut next = Value::clone(&Arc::clone(&service));
    let others = service.list_at("/status/conditions").iter().filter(|c| c.str_at("/type") != "Available");
    let conditions: Vec<Value> = others.cloned().chain([condition]).collect();
    next.set_at("/status/conditions", conditions);
    let resource = Resource::new("apiregistration.k8s.io", "v1", "apiservices");
    match ctx.rest.update_sub(&resource, None, name, "status", &next).await {
        // Gone, or changed: the change brings it here again.
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_first_thing_that_is_missing() {
        let remote = json!({"spec": {"service": {"namespace": "n", "name": "s"}}});
        let service = |port: i64| json!({"metadata": {"namespace": "n", "name": "s"}, "spec": {"ports": [{"port": port, "name": "https"}]}});
        let endpoints =
            |subsets: Value| json!({"metadata": {"namespace": "n", "name": "s"}, "subsets": subsets});
        #[track_caller]
        fn check(api: &Value, services: Vec<Value>, endpoints: Vec<Value>, reason: &str) {
            let informers = Informers {
                services: Informer::fixed(services),
                endpoints: Informer::fixed(endpoints),
                ..Informers::empty()
            };
            assert_eq!(judge(api, &informers).1, reason);
        }
        check(&json!({"spec": {"service": null}}), vec![], vec![], "Local");
        check(&remote, vec![], vec![], "ServiceNotFound");
        check(&remote, vec![service(80)], vec![], "ServicePortError");
        check(&remote, vec![service(443)], vec![], "EndpointsNotFound");
        check(&remote, vec![service(443)], vec![endpoints(json!([]))], "MissingEndpoints");
        let there = json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "https"}]}]);
        check(&remote, vec![service(443)], vec![endpoints(there)], "FailedDiscoveryCheck");
    }
}
