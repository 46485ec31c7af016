//! Every namespace's own: the service account `default` and the ConfigMap `kube-root-ca.crt`.

use api::object::ObjectExt as _;
use client::{Informer, Resource, Rest, WorkQueue};
use serde_json::{Value, json};

use crate::{context::Context, start::start};

const NAMESPACES: Resource = Resource::core("namespaces");
const ACCOUNTS: Resource = Resource::core("serviceaccounts");
const CONFIG_MAPS: Resource = Resource::core("configmaps");
const ROOT_CA: &str = "kube-root-ca.crt";

fn is_active(namespace: &Value) -> bool {
    !namespace.is_terminating() && namespace.str_at("/status/phase") != "Terminating"
}

/// Tells `queue` of all namespaces as they come, and of those where the watched object `name` changes.
fn follow(queue: &WorkQueue, namespaces: &Informer, watched: &Informer, name: &'static str) {
    let feed = queue.clone();
    namespaces.on(move |change| feed.add(change.key()));
    let feed = queue.clone();
    watched.on(move |change| {
        let object = change.object();
        if object.name() == name {
            feed.add(object.namespace());
        }
    });
}

/// Starts the serviceaccount loop.
pub(crate) fn service_accounts(c: &Context) {
    let (namespaces, accounts) = (c.informer(NAMESPACES), c.informer(ACCOUNTS));
    let (rest, queue) = (c.rest("service-account-controller"), WorkQueue::new(&c.host, c.queue_options()));
    let informers = [namespaces.clone(), accounts.clone()];
    let [all, watched] = informers.clone();
    let follow = move |queue: &WorkQueue| follow(queue, &all, &watched, "default");
    start(&c.host, informers, queue, 1, follow, move |namespace| {
        let (rest, namespaces, accounts) = (rest.clone(), namespaces.clone(), accounts.clone());
        async move {
            let there = accounts.get(namespace.as_str(), "default").is_some();
            if there || !namespaces.get(None, &namespace).is_some_and(|n| is_active(&n)) {
                return Ok(());
            }
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}});
            match rest.create(&ACCOUNTS, Some(&namespace), &account).await {
                Ok(_) => Ok(()),
                Err(e) if e.is_already_exists() || is_ending(&e) => Ok(()),
                Err(e) => Err(e.to_string()),
            }
        }
    });
}

/// The namespace is on its way out: nothing to be made there any more.
fn is_ending(e: &client::ClientError) -> bool {
    e.is_not_found() || e.is_namespace_terminating()
}

/// Starts the root-ca-cert-publisher loop; off without --root-ca-file, and in releases whose feature gate is off.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn publish_root_ca(c: &Context) -> Result<(), String> {
    let Some(path) = c.options.root_ca_file.clone().filter(|p| !p.is_empty()) else { return Ok(()) };
    if !c.options.kubernetes_version.root_ca_published() {
        return Ok(());
    }
    let ca = c
        .host
        .disk()
        .read_to_string(&path)
        .map_err(|e| format!("error reading root-ca-file at {path}: {e}"))?;
    let (namespaces, maps) = (c.informer(NAMESPACES), c.informer(CONFIG_MAPS));
    let described = c.options.kubernetes_version.root_ca_described();
    let (rest, queue) = (c.rest("root-ca-cert-publisher"), WorkQueue::new(&c.host, c.queue_options()));
    let informers = [namespaces.clone(), maps.clone()];
    let [all, watched] = informers.clone();
    let follow = move |queue: &WorkQueue| follow(queue, &all, &watched, ROOT_CA);
    start(&c.host, informers, queue, 1, follow, move |namespace| {
        let (rest, namespaces, maps, ca) = (rest.clone(), namespaces.clone(), maps.clone(), ca.clone());
        async move {
            if !namespaces.get(None, &namespace).is_some_and(|n| is_active(&n)) {
                return Ok(());
            }
            publish(&rest, maps.get(namespace.as_str(), ROOT_CA).as_deref(), &namespace, &ca, described).await
        }
    });
    Ok(())
}

/// What the bundle is good for: since 1.22 the map says so itself.
const DESCRIPTION: &str = "kubernetes.io/description";
const WORDS: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
                     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of \
                     Kubernetes clusters.";

async fn publish(
    rest: &Rest,
    existing: Option<&Value>,
    namespace: &str,
    ca: &str,
    described: bool,
) -> Result<(), String> {
    let data = json!({"ca.crt": ca});
    let says =
        |map: &Value| map.pointer("/metadata/annotations").is_some_and(|a| a.get(DESCRIPTION).is_some());
    let outcome = match existing {
        // Any description will do: another release's may read otherwise.
        Some(map) if map.get("data") == Some(&data) && (says(map) || !described) => return Ok(()),
        Some(map) => {
            let mut map = map.clone();
            map["data"] = data;
            if described {
                map["metadata"]["annotations"][DESCRIPTION] = WORDS.into();
            }
            rest.update(&CONFIG_MAPS, Some(namespace), ROOT_CA, &map).await
        }
        None => {
            let mut map = json!({
                "apiVersion": "v1",
                "data": data,
                "kind": "ConfigMap",
                "metadata": {"name": ROOT_CA, "namespace": namespace},
            });
            if described {
                map["metadata"]["annotations"] = json!({DESCRIPTION: WORDS});
            }
            rest.create(&CONFIG_MAPS, Some(namespace), &map).await
        }
    };
    match outcome {
        Ok(_) => Ok(()),
        Err(e) if e.is_already_exists() || is_ending(&e) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}
