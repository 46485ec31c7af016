//! endpoint: one Endpoints object per service, of the same name.

use api::object::ObjectExt as _;
use client::{
    ClientError, DeleteParams, Informer, Next, Resource, Rest, WorkQueue, recorder::Recorder, split_key,
};
use serde_json::{Map, Value, json};

use super::{HEADLESS, SERVICES, is_headless, is_kept, membership, subsets};
use crate::{context::Context, pods::PODS, start::start};

const ENDPOINTS: Resource = Resource::core("endpoints");
const WORKERS: usize = 5;
const MANAGED_BY: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Endpoints that served as a lock, before there were leases: nobody's leftovers.
const LEADER: &str = "/metadata/annotations/control-plane.alpha.kubernetes.io~1leader";

#[derive(Clone)]
struct Loop {
    rest: Rest,
    recorder: Recorder,
    services: Informer,
    pods: Informer,
    endpoints: Informer,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("endpoint-controller");
    let this = Loop {
        recorder: c.recorder(&rest, "endpoint-controller"),
        rest,
        services: c.informer(SERVICES),
        pods: c.informer(PODS),
        endpoints: c.informer(ENDPOINTS),
    };
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let informers = [&this.pods, &this.services, &this.endpoints].map(Clone::clone);
    let following = this.clone();
    let follow = move |queue: &WorkQueue| {
        super::feed(queue, &following.services, &following.pods);
        let feed = queue.clone();
        // What is left of a service that went meanwhile, and what somebody changed or took away.
        following.endpoints.on(move |change| {
            if change.object().str_at(LEADER).is_empty() {
                feed.add(change.key());
            }
        });
    };
    start(&c.host, informers, queue, WORKERS, follow, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await.map_err(|e| e.to_string()) }
    });
}

impl Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        let (namespace, name) = split_key(key);
        let Some(service) = self.services.get_key(key) else {
            if self.endpoints.get_key(key).is_none() {
                return Ok(Next::OnChange);
            }
            return match self.rest.delete(&ENDPOINTS, namespace, name, &DeleteParams::default()).await {
                Err(e) if !e.is_not_found() => Err(e),
                _ => Ok(Next::OnChange),
            };
        };
        if !is_kept(&service) {
            return Ok(Next::OnChange);
        }
        let all = self.pods.by_namespace(service.namespace());
        let members = membership::members(&service, all, membership::tolerates_unready(&service));
        let (subsets, cut) = subsets::of(&service, &members);
        let existing = self.endpoints.get_key(key);
        let wanted = wanted(&service, existing.as_deref(), subsets, cut);
        let outcome = match &existing {
            Some(there) if same(there, &wanted) => return Ok(Next::OnChange),
            Some(_) => self.rest.update(&ENDPOINTS, namespace, name, &wanted).await,
            None => self.rest.create(&ENDPOINTS, namespace, &wanted).await,
        };
        match outcome {
            Ok(_) => Ok(Next::OnChange),
            // The informer will show what the other one wrote.
            Err(e) if e.is_conflict() || e.is_already_exists() || e.is_not_found() => Ok(Next::Retry),
            Err(e) if e.is_namespace_terminating() => Ok(Next::OnChange),
            Err(e) => {
                let (reason, did) = match existing {
                    Some(_) => ("FailedToUpdateEndpoint", "update"),
                    None => ("FailedToCreateEndpoint", "create"),
                };
                let words = format!("Failed to {did} endpoint for service {key}: {e}");
                self.recorder.warning(&service, reason, words);
                Err(e)
            }
        }
    }
}

fn same(there: &Value, wanted: &Value) -> bool {
    let empty = json!({});
    let of = |o: &Value, at: &str| o.pointer(at).filter(|v| !v.is_null()).unwrap_or(&empty).clone();
    let subsets = |o: &Value| o.get("subsets").filter(|s| s.is_array()).cloned().unwrap_or_else(|| json!([]));
    subsets(there) == subsets(wanted)
        && of(there, "/metadata/labels") == of(wanted, "/metadata/labels")
        && of(there, "/metadata/annotations") == of(wanted, "/metadata/annotations")
}

/// The service's labels and ours, the annotations that are there, the new subsets.
fn wanted(service: &Value, existing: Option<&Value>, subsets: Vec<Value>, cut: bool) -> Value {
    let mut endpoints = existing.cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": service.name(), "namespace": service.namespace()},
        })
    });
    let map = |at: &str, of: &Value| of.pointer(at).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut labels: Map<String, Value> = map("/metadata/labels", service);
    labels.shift_remove(HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.into(), "".into());
    }
    labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
    let mut annotations = map("/metadata/annotations", &endpoints);
    annotations.shift_remove(OVER_CAPACITY);
    if cut {
        annotations.insert(OVER_CAPACITY.into(), "truncated".into());
    }
    endpoints["metadata"]["labels"] = labels.into();
    if annotations.is_empty() {
        if let Some(metadata) = endpoints["metadata"].as_object_mut() {
            metadata.shift_remove("annotations");
        }
    } else {
        endpoints["metadata"]["annotations"] = annotations.into();
    }
    endpoints["subsets"] = subsets.into();
    endpoints
}
