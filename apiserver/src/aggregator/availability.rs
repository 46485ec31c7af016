//! The condition `Available` of API services.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt;
use client::{Change, ClientError, Informer, Next, QueueOptions, Resource, WorkQueue, run_workers};
use serde_json::{Value, json};

use super::{
    backends::{Backends, Unreachable},
    is_remote,
};
use crate::{context::Ctx, informers::Informers};

/// Upstream's number of workers.
const WORKERS: usize = 5;
/// A server that answered is asked again after this long.
const PERIOD: Duration = Duration::from_secs(30);
/// A server that did not is asked again after this long, doubling …
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// … up to this.
const LAST_RETRY: Duration = Duration::from_secs(30);
/// Upstream asks so many times at once, and one answer is enough.
const ATTEMPTS: usize = 5;
/// … within this time; ours are one after the other.
const PATIENCE: Duration = Duration::from_secs(6);

/// What is known of a service's availability: status, reason, message.
type Verdict = (bool, &'static str, String);

pub(super) fn start(ctx: &Ctx, backends: &Arc<Backends>) {
    let options = QueueOptions { base: FIRST_RETRY, max: LAST_RETRY, bucket: None };
    let queue = WorkQueue::new(&ctx.host, options);
    let changed = queue.clone();
    ctx.informers.api_services.on(move |change: &Change| changed.add(change.key()));
    for informer in [&ctx.informers.services, &ctx.informers.endpoints] {
        follow(informer, &ctx.informers.api_services, &queue);
    }
    let (worker, backends) = (ctx.clone(), backends.clone());
    run_workers(&ctx.host, WORKERS, &queue, move |name| {
        let (ctx, backends) = (worker.clone(), backends.clone());
        async move { sync(&ctx, &backends, &name).await }
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

/// Whether the controller last found the API service available.
pub(super) fn is_available(service: &Value) -> bool {
    let conditions = service.list_at("/status/conditions");
    conditions.iter().any(|c| c.str_at("/type") == "Available" && c.str_at("/status") == "True")
}

/// What can be said without asking the server; `None` when it has to be asked.
fn judge(service: &Value, informers: &Informers) -> Option<Verdict> {
    if !is_remote(service) {
        return Some((true, "Local", "Local APIServices are always available".to_owned()));
    }
    let (namespace, name) = (service.str_at("/spec/service/namespace"), service.str_at("/spec/service/name"));
    let port = service.i64_at("/spec/service/port").unwrap_or(443);
    let Some(target) = informers.services.get(namespace, name) else {
        let why = format!("service/{name} in \"{namespace}\" is not present");
        return Some((false, "ServiceNotFound", why));
    };
    if target.str_at("/spec/type") != "ExternalName" {
        let Some(listed) = target.list_at("/spec/ports").iter().find(|p| p.i64_at("/port") == Some(port))
        else {
            let why = format!("service/{name} in \"{namespace}\" is not listening on port {port}");
            return Some((false, "ServicePortError", why));
        };
        let Some(endpoints) = informers.endpoints.get(namespace, name) else {
            let why = format!("cannot find endpoints for service/{name} in \"{namespace}\"");
            return Some((false, "EndpointsNotFound", why));
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
            return Some((false, "MissingEndpoints", why));
        }
    }
    None
}

/// Asks for the document that every such server has.
async fn ask(ctx: &Ctx, service: &Value, backends: &Backends) -> Verdict {
    let clock = ctx.host.clock();
    let began = clock.monotonic();
    let path = format!("/apis/{}/{}", service.str_at("/spec/group"), service.str_at("/spec/version"));
    let mut last = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 && clock.monotonic().since(began) > PATIENCE {
            break;
        }
        let client = match backends.of(service) {
            Ok(client) => client,
            Err(Unreachable::Settings(why)) => return (false, "FailedDiscoveryCheck", why),
            Err(Unreachable::Unresolved) => {
                let why = format!("no address of service/{} is known", service.str_at("/spec/service/name"));
                return (false, "ServiceAccessError", why);
            }
        };
        let url = format!("{}{path}", client.url());
        let why = match backends.ask(&client, &path, "", "").await {
            Ok(answer) if (200..300).contains(&answer.code) => {
                return (true, "Passed", "all checks passed".to_owned());
            }
            Ok(answer) => format!("bad status from {url}: {}", answer.code),
            Err(why) => why,
        };
        last = format!("failing or missing response from {url}: {why}");
    }
    (false, "FailedDiscoveryCheck", last)
}

async fn sync(ctx: &Ctx, backends: &Backends, name: &str) -> Result<Next, ClientError> {
    let Some(service) = ctx.informers.api_services.get(None, name) else { return Ok(Next::OnChange) };
    let known = judge(&service, &ctx.informers);
    // An answer can go stale without any object changing; the rest cannot.
    let (verdict, next) = match known {
        Some(verdict) => (verdict, Next::OnChange),
        None => match ask(ctx, &service, backends).await {
            verdict if verdict.0 => (verdict, Next::After(ctx.host.periods().of(PERIOD))),
            verdict => (verdict, Next::Retry),
        },
    };
    write(ctx, &service, name, &verdict).await?;
    Ok(next)
}

async fn write(ctx: &Ctx, service: &Arc<Value>, name: &str, verdict: &Verdict) -> Result<(), ClientError> {
    let (available, reason, message) = verdict;
    let status = if *available { "True" } else { "False" };
    let held = service.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == "Available");
    if held.is_some_and(|c| {
        (c.str_at("/status"), c.str_at("/reason"), c.str_at("/message"))
            == (status, *reason, message.as_str())
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
    let mut next = Value::clone(service);
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
        fn check(api: &Value, services: Vec<Value>, endpoints: Vec<Value>, reason: Option<&str>) {
            let informers = Informers {
                services: Informer::fixed(services),
                endpoints: Informer::fixed(endpoints),
                ..Informers::empty()
            };
            assert_eq!(judge(api, &informers).map(|verdict| verdict.1), reason);
        }
        check(&json!({"spec": {"service": null}}), vec![], vec![], Some("Local"));
        check(&remote, vec![], vec![], Some("ServiceNotFound"));
        check(&remote, vec![service(80)], vec![], Some("ServicePortError"));
        check(&remote, vec![service(443)], vec![], Some("EndpointsNotFound"));
        check(&remote, vec![service(443)], vec![endpoints(json!([]))], Some("MissingEndpoints"));
        let there = json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "https"}]}]);
        check(&remote, vec![service(443)], vec![endpoints(there)], None);
    }
}
