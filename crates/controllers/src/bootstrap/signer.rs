//! bootstrapsigner: a signature in cluster-info for every token that may sign.

use std::collections::BTreeMap;

use api::object::ObjectExt as _;
use client::{Informer, Resource, Rest, WorkQueue};
use pki::token::{NAMESPACE, TokenSecret, jws};
use serde_json::{Value, json};
use world::{Host, Wall};

use super::{SECRETS, is_token};
use crate::{context::Context, start::start};

const CONFIG_MAPS: Resource = Resource::core("configmaps");
const PREFIX: &str = "jws-kubeconfig-";

/// Starts the loop. Any change of the ConfigMap or of a token computes all signatures anew; the
/// mere passage of time does nothing.
pub(crate) fn run(c: &Context) {
    let (maps, secrets) = (c.informer(CONFIG_MAPS), c.informer(SECRETS));
    let (rest, queue) = (c.rest("bootstrap-signer"), WorkQueue::new(&c.host, c.queue_options()));
    let (host, informers) = (c.host.clone(), [maps.clone(), secrets.clone()]);
    let [all_maps, all_secrets] = informers.clone();
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        all_maps.on(move |change| {
            if change.key() == "kube-public/cluster-info" {
                feed.add("cluster-info");
            }
        });
        let feed = queue.clone();
        all_secrets.on(move |change| {
            if is_token(change.object()) {
                feed.add("cluster-info");
            }
        });
    };
    start(&c.host, informers, queue, 1, follow, move |_| {
        let (host, rest, maps, secrets) = (host.clone(), rest.clone(), maps.clone(), secrets.clone());
        async move { sign(&host, &rest, &maps, &secrets).await }
    });
}

async fn sign(host: &Host, rest: &Rest, maps: &Informer, secrets: &Informer) -> Result<(), String> {
    let Some(map) = maps.get("kube-public", "cluster-info") else { return Ok(()) };
    let kubeconfig = map.str_at("/data/kubeconfig");
    if kubeconfig.is_empty() {
        return Ok(());
    }
    let wanted = signatures(kubeconfig, &secrets.by_namespace(NAMESPACE), host.clock().wall());
    let data = map.pointer("/data").and_then(Value::as_object);
    let present: BTreeMap<String, String> = data
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(PREFIX))
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    if wanted == present {
        return Ok(());
    }
    let mut updated = (*map).clone();
    if let Some(data) = updated.get_mut("data").and_then(Value::as_object_mut) {
        data.retain(|key, _| !key.starts_with(PREFIX));
        data.extend(wanted.into_iter().map(|(key, value)| (key, json!(value))));
    }
    match rest.update(&CONFIG_MAPS, Some("kube-public"), "cluster-info", &updated).await {
        Ok(_) => Ok(()),
        // Somebody else changed it: that change is the next event.
        Err(e) if e.is_conflict() => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

fn signatures(kubeconfig: &str, secrets: &[std::sync::Arc<Value>], now: Wall) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for token in secrets.iter().filter_map(|secret| TokenSecret::signer(secret, now).ok()) {
        found.entry(jws::data_key(token.id())).or_insert_with(|| jws::sign(kubeconfig, &token));
    }
    found
}
