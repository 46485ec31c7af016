//! endpointslice: the endpoints of a service in slices, one set of slices per address family and ports.

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt as _;
use client::{ClientError, DeleteParams, Informer, Next, Resource, Rest, WorkQueue, recorder::Recorder};
use serde_json::{Map, Value, json};
use world::Host;

use super::{
    HEADLESS, SERVICES, is_headless, is_kept,
    membership::{self, Family},
    packing::{Endpoints, Plan, Slice, plan},
};
use crate::{
    context::Context,
    expectations::Expectations,
    pods::{PODS, is_ready, owner_reference},
    start::start,
};

const SLICES: Resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
const NODES: Resource = Resource::core("nodes");
const WORKERS: usize = 5;
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";

#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    services: Informer,
    pods: Informer,
    nodes: Informer,
    slices: Informer,
    expectations: Arc<Expectations>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("endpointslice-controller");
    let this = Loop {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "endpoint-slice-controller"),
        rest,
        services: c.informer(SERVICES),
        pods: c.informer(PODS),
        nodes: c.informer(NODES),
        slices: c.informer(SLICES),
        expectations: Arc::default(),
    };
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let informers = [&this.services, &this.pods, &this.nodes, &this.slices].map(Clone::clone);
    let following = this.clone();
    let follow = move |queue: &WorkQueue| {
        super::feed(queue, &following.services, &following.pods);
        let feed = queue.clone();
        following.slices.on(move |change| {
            let slice = change.object();
            if is_ours(slice) {
                let (namespace, name) = (slice.namespace(), service_of(slice));
                feed.add(format!("{namespace}/{name}"));
            }
        });
    };
    start(&c.host, informers, queue, WORKERS, follow, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await.map_err(|e| e.to_string()) }
    });
}

fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    object.pointer("/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str).unwrap_or_default()
}

fn service_of(slice: &Value) -> &str {
    label(slice, SERVICE_NAME)
}

fn is_ours(slice: &Value) -> bool {
    label(slice, MANAGED_BY) == MANAGER && !service_of(slice).is_empty()
}

/// What makes two endpoints share a slice.
type Ports = Vec<Value>;

impl Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        // Slices of a service that is gone are the garbage collector's.
        let Some(service) = self.services.get_key(key) else {
            self.expectations.forget(key);
            return Ok(Next::OnChange);
        };
        if !is_kept(&service)
            || !self.expectations.fulfilled(key, &self.slices, self.host.clock().monotonic())
        {
            return Ok(Next::OnChange);
        }
        let outcome = self.reconcile(key, &service).await;
        match outcome {
            Err(e) if e.is_conflict() || e.is_not_found() => Ok(Next::Retry),
            Err(e) if e.is_namespace_terminating() => Ok(Next::OnChange),
            Err(e) => {
                let words = format!("Error updating Endpoint Slices for Service {key}: {e}");
                self.recorder.warning(&service, "FailedToUpdateEndpointSlices", words);
                Err(e)
            }
            Ok(()) => Ok(Next::OnChange),
        }
    }

    async fn reconcile(&self, key: &str, service: &Value) -> Result<(), ClientError> {
        let (namespace, name) = (service.namespace(), service.name());
        let members = membership::members(service, self.pods.by_namespace(namespace), true);
        let existing: Vec<Arc<Value>> = self
            .slices
            .by_namespace(namespace)
            .into_iter()
            .filter(|s| is_ours(s) && service_of(s) == name && !s.is_terminating())
            .collect();
        let families = membership::families(service);
        for family in &families {
            let of_family: Vec<&Arc<Value>> =
                existing.iter().filter(|s| s.str_at("/addressType") == family.name()).collect();
            let mut wanted: BTreeMap<String, (Ports, Endpoints)> = BTreeMap::new();
            for pod in &members {
                let Some(ip) = membership::address(pod, *family) else { continue };
                let ports = membership::ports(service, pod);
                let endpoint = self.endpoint(service, pod, &ip);
                let group = wanted.entry(ports_key(&ports)).or_insert_with(|| (ports, Endpoints::new()));
                group.1.insert(pod.uid().to_owned(), endpoint);
            }
            self.write(key, service, *family, &of_family, wanted).await?;
        }
        // A family that the service has given up.
        for slice in &existing {
            if !families.iter().any(|f| f.name() == slice.str_at("/addressType")) {
                self.delete(key, slice).await?;
            }
        }
        Ok(())
    }

    fn endpoint(&self, service: &Value, pod: &Value, ip: &str) -> Value {
        let (serving, terminating) = (is_ready(pod), pod.is_terminating());
        let ready = membership::tolerates_unready(service) || (serving && !terminating);
        let mut endpoint = json!({
            "addresses": [ip],
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
            "targetRef": membership::target(pod),
        });
        if let Some(name) = membership::hostname(service, pod) {
            endpoint["hostname"] = name.into();
        }
        let node = pod.str_at("/spec/nodeName");
        if !node.is_empty() {
            endpoint["nodeName"] = node.into();
            let zone =
                self.nodes.get(None, node).map(|n| label(&n, "topology.kubernetes.io/zone").to_owned());
            if let Some(zone) = zone.filter(|z| !z.is_empty()) {
                endpoint["zone"] = zone.into();
            }
        }
        endpoint
    }

    async fn write(
        &self,
        key: &str,
        service: &Value,
        family: Family,
        existing: &[&Arc<Value>],
        mut wanted: BTreeMap<String, (Ports, Endpoints)>,
    ) -> Result<(), ClientError> {
        let mut by_ports: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
        for slice in existing {
            let ports: Ports = slice.list_at("/ports").to_vec();
            let endpoints = slice
                .list_at("/endpoints")
                .iter()
                .map(|e| (e.str_at("/targetRef/uid").to_owned(), e.clone()))
                .collect();
            let name = slice.name().to_owned();
            by_ports.entry(ports_key(&ports)).or_default().push(Slice { name, endpoints });
        }
        // Ports that no pod has any more: their slices go.
        for ports in by_ports.keys() {
            wanted.entry(ports.clone()).or_default();
        }
        let mut plans: Vec<(Ports, Plan)> = wanted
            .into_iter()
            .map(|(id, (ports, endpoints))| {
                (ports, plan(by_ports.remove(&id).unwrap_or_default(), endpoints))
            })
            .collect();
        if plans.iter().all(|(_, p)| p.create.is_empty() && p.update.is_empty() && p.keep.is_empty()) {
            // A service without endpoints has one slice that says so.
            let mut placeholder = Plan { create: vec![Endpoints::new()], ..Plan::default() };
            if let Some(there) = existing.iter().find(|s| is_empty(s)) {
                let name = there.name().to_owned();
                plans.iter_mut().for_each(|(_, p)| p.delete.retain(|n| *n != name));
                placeholder.create.clear();
                placeholder.keep.push(name);
            }
            plans.push((Vec::new(), placeholder));
        }
        let find = |name: &str| existing.iter().find(|s| s.name() == name).copied();
        let mut spare: Vec<&Arc<Value>> =
            plans.iter().flat_map(|(_, p)| &p.delete).filter_map(|name| find(name)).collect();
        for (ports, plan) in plans {
            for endpoints in plan.create {
                // A slice that would go is written over instead.
                let slice = slice(service, family, &ports, &endpoints, spare.pop().map(|s| &**s));
                self.store(key, &slice).await?;
            }
            for changed in plan.update {
                let old = find(&changed.name).map(|s| &**s);
                self.store(key, &slice(service, family, &ports, &changed.endpoints, old)).await?;
            }
            for name in plan.keep {
                // Right in its endpoints, but the service's labels may have changed.
                let Some(old) = find(&name) else { continue };
                let mut wanted = (**old).clone();
                wanted["metadata"]["labels"] = labels(service).into();
                if wanted != **old {
                    self.store(key, &wanted).await?;
                }
            }
        }
        for slice in spare {
            self.delete(key, slice).await?;
        }
        Ok(())
    }

    async fn store(&self, key: &str, slice: &Value) -> Result<(), ClientError> {
        let (namespace, name) = (slice.namespace(), slice.name());
        let stored = if name.is_empty() {
            self.rest.create(&SLICES, Some(namespace), slice).await?
        } else {
            self.rest.update(&SLICES, Some(namespace), name, slice).await?
        };
        self.expectations.stored(key, &stored, self.host.clock().monotonic());
        Ok(())
    }

    async fn delete(&self, key: &str, slice: &Value) -> Result<(), ClientError> {
        let (namespace, name) = (slice.namespace(), slice.name());
        let params = DeleteParams::uid(slice.uid());
        match self.rest.delete(&SLICES, Some(namespace), name, &params).await {
            Ok(_) => {
                self.expectations.deleted(key, slice, self.host.clock().monotonic());
                Ok(())
            }
            Err(e) if e.is_not_found() => Ok(()),
            Err(e) => Err(e),
        }
    }
}

fn is_empty(slice: &Value) -> bool {
    slice.list_at("/endpoints").is_empty() && slice.list_at("/ports").is_empty()
}

/// The same for the same ports, in whatever order their fields are.
fn ports_key(ports: &[Value]) -> String {
    let mut all: Vec<String> = ports
        .iter()
        .map(|p| {
            let fields = ["/name", "/protocol", "/appProtocol"].map(|at| p.str_at(at));
            format!("{}/{}/{}/{}", fields[0], fields[1], fields[2], p["port"])
        })
        .collect();
    all.sort();
    all.join(",")
}

/// The service's labels and ours.
fn labels(service: &Value) -> Map<String, Value> {
    let own = service.pointer("/metadata/labels").and_then(Value::as_object).cloned();
    let mut labels = own.unwrap_or_default();
    for reserved in [HEADLESS, SERVICE_NAME, MANAGED_BY] {
        labels.shift_remove(reserved);
    }
    if is_headless(service) {
        labels.insert(HEADLESS.into(), "".into());
    }
    labels.insert(SERVICE_NAME.into(), service.name().into());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    labels
}

/// A slice with these endpoints: a new one, or `old` written over.
fn slice(
    service: &Value,
    family: Family,
    ports: &[Value],
    endpoints: &Endpoints,
    old: Option<&Value>,
) -> Value {
    let mut slice = old.cloned().unwrap_or_else(|| {
        json!({
            "addressType": family.name(),
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": format!("{}-", service.name()),
                "namespace": service.namespace(),
                "ownerReferences": [owner_reference(service)],
            },
        })
    });
    slice["metadata"]["labels"] = labels(service).into();
    slice["endpoints"] = endpoints.values().cloned().collect();
    slice["ports"] = ports.into();
    slice
}
