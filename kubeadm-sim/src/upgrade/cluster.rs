//! The cluster as it is: what it remembers of its making, what of it is this host's, and what runs in which version.

use std::{collections::BTreeMap, time::Duration};

use api::profile::Profile;
use client::{ListParams, Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;

use super::version::Version;
use crate::{
    config::InitConfig,
    paths::{API_CALL_TIMEOUT, HEALTH_POLL, KUBE_SYSTEM, KUBELET_CONF},
    session::{Failure, Result, Session, poll},
    stored,
};

/// Upstream's client gives a request ten seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Where the apiserver's pod says under which address it is announced.
const ENDPOINT: &str =
    "/metadata/annotations/kubeadm.kubernetes.io~1kube-apiserver.advertise-address.endpoint";

/// A client for the cluster.
pub(super) fn client(s: &Session<'_>, kubeconfig: &str) -> Result<Rest> {
    let rest = s
        .client(kubeconfig)
        .map_err(|e| e.within(&format!("couldn't create a Kubernetes client from file {kubeconfig:?}")))?;
    Ok(rest.with_timeout(REQUEST_TIMEOUT))
}

/// The release that is stored with the cluster's configuration.
pub(super) async fn stored_release(s: &Session<'_>, rest: &Rest) -> Result<Profile> {
    let mut config = InitConfig::new(s.host, s.profile);
    stored::fetch(rest, &mut config).await?;
    Ok(config.cluster.profile)
}

/// The cluster's configuration, with what in it is this host's; `who` stands in the brackets before its lines. The
/// release is the session's, whatever is stored.
///
/// # Errors
/// No configuration is stored, or this host is no node.
pub(super) async fn configuration(
    s: &mut Session<'_>,
    rest: &Rest,
    who: &str,
    control_plane: bool,
) -> Result<InitConfig> {
    s.say(format!("[{who}] {}", s.profile.reading_cluster_config()));
    s.say(format!("[{who}] {}", s.profile.cluster_config_hint()));
    read(s, rest, control_plane).await
}

/// The same in silence.
pub(super) async fn read(s: &mut Session<'_>, rest: &Rest, control_plane: bool) -> Result<InitConfig> {
    let mut config = InitConfig::new(s.host, s.profile);
    let found = rest.get_opt(&Resource::core("configmaps"), Some(KUBE_SYSTEM), "kubeadm-config").await;
    if found.as_ref().is_ok_and(Option::is_none) {
        s.say(format!(
            "[upgrade] In order to upgrade, a ConfigMap called \"kubeadm-config\" in the {KUBE_SYSTEM:?} namespace must \
             exist."
        ));
        s.say("[upgrade] Use 'kubeadm init phase upload-config --config your-config.yaml' to re-upload it.");
        return Err(Failure::new(format!(
            "the ConfigMap \"kubeadm-config\" in the {KUBE_SYSTEM:?} namespace was not found"
        )));
    }
    stored::fetch(rest, &mut config).await?;
    config.cluster.profile = s.profile;
    config.node_name = node_name(s)?;
    if control_plane {
        // The kubelet shows its static pods a moment after they run.
        let endpoint =
            poll(s.host, HEALTH_POLL, API_CALL_TIMEOUT, async || endpoint(rest, &config.node_name).await)
                .await?;
        (config.advertise_address, config.bind_port) = (endpoint.ip(), endpoint.port());
    }
    Ok(config)
}

/// The node's name as its kubelet's certificate has it.
fn node_name(s: &Session<'_>) -> Result<String> {
    let pair = Kubeconfig::load(s.disk(), KUBELET_CONF)
        .and_then(|config| config.client_pair(s.disk()))
        .map_err(|e| Failure::from(e).within("failed to get node name"))?;
    let name = pair.and_then(|pair| {
        pair.leaf().and_then(|leaf| leaf.subject_cn().strip_prefix("system:node:").map(str::to_owned))
    });
    name.ok_or_else(|| {
        Failure::new(format!(
            "failed to get node name: {KUBELET_CONF} has no certificate of a node; join this host first"
        ))
    })
}

/// The address that this host's apiserver announces.
async fn endpoint(rest: &Rest, node: &str) -> Result<std::net::SocketAddr> {
    let pods = pods(rest, "component=kube-apiserver").await?;
    let here = pods.iter().find(|pod| pod.pointer("/spec/nodeName").and_then(Value::as_str) == Some(node));
    let text = here.and_then(|pod| pod.pointer(ENDPOINT)).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        Failure::new(format!(
            "failed to get APIEndpoint: could not retrieve API endpoints for node {node:?} using pod annotations"
        ))
    })
}

/// The pods of kube-system with a label.
pub(super) async fn pods(rest: &Rest, label: &str) -> Result<Vec<Value>> {
    let select = ListParams { label_selector: Some(label.to_owned()), ..ListParams::default() };
    let found = rest.list(&Resource::core("pods"), Some(KUBE_SYSTEM), &select).await?;
    Ok(found.items.iter().map(|pod| (**pod).clone()).collect())
}

/// The nodes with a label; all for an empty one.
pub(super) async fn nodes(rest: &Rest, label: &str) -> Result<Vec<Value>> {
    let label = (!label.is_empty()).then(|| label.to_owned());
    let select = ListParams { label_selector: label, ..ListParams::default() };
    let found = rest.list(&Resource::core("nodes"), None, &select).await?;
    Ok(found.items.iter().map(|node| (**node).clone()).collect())
}

/// The version that the apiserver answers with.
pub(super) async fn version(rest: &Rest) -> Result<Version> {
    let unknown = |why: String| {
        Failure::new(format!(
            "Unable to fetch cluster version: Couldn't fetch cluster version from the API Server: {why}"
        ))
    };
    let (_, body) =
        rest.raw(http::Method::GET, "/version", None).await.map_err(|e| unknown(e.to_string()))?;
    let body: Value = serde_json::from_slice(&body).map_err(|e| unknown(e.to_string()))?;
    let text = body.get("gitVersion").and_then(Value::as_str).unwrap_or_default();
    Version::parse(text).map_err(|e| unknown(e.0))
}

/// The kubelets' versions, and which nodes have each.
pub(super) async fn kubelets(rest: &Rest) -> Result<BTreeMap<Version, Vec<String>>> {
    let mut found: BTreeMap<Version, Vec<String>> = BTreeMap::new();
    for node in nodes(rest, "").await? {
        let text = |at: &str| node.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let version = Version::parse(text("/status/nodeInfo/kubeletVersion"))
            .map_err(|e| e.within("couldn't parse kubelet version"))?;
        found.entry(version).or_default().push(text("/metadata/name").to_owned());
    }
    Ok(found)
}

/// The tag of an image reference.
pub(super) fn tag(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').map_or("", |(_, tag)| tag)
}

/// The tags of a static component's image, and which nodes run each.
pub(super) async fn component(rest: &Rest, name: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in pods(rest, &format!("component={name}")).await? {
        let text = |at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default();
        found
            .entry(tag(text("/spec/containers/0/image")).to_owned())
            .or_default()
            .push(text("/spec/nodeName").to_owned());
    }
    Ok(found)
}
