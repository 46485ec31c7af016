//! What the tests share: a client of a node, what a node's conditions say, what a host's trace says.

use api::object::ObjectExt as _;
use chronoplane::Cluster;
use client::{Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;

pub const CONFIG_MAPS: Resource = Resource::core("configmaps");
pub const NODES: Resource = Resource::core("nodes");

/// A client with a node's own credentials, on that node.
pub fn as_node(cluster: &Cluster, name: &str) -> Rest {
    let host = cluster.sim().host(name);
    let config = Kubeconfig::load(host.disk(), "/etc/kubernetes/kubelet.conf").expect("there");
    Rest::from_kubeconfig(&host, &config, cluster.options().profile.go(), "test").expect("a client")
}

/// Status of a node's condition Ready.
pub async fn ready(cluster: &Cluster, node: &str) -> String {
    let node = cluster.admin().get(&NODES, None, node).await.expect("answered");
    let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|c| c.str_at("/type") == "Ready");
    ready.map(|c| c.str_at("/status").to_owned()).unwrap_or_default()
}

/// How many events of that kind a host's programs have recorded, with all of these words in them.
pub fn count(cluster: &Cluster, host: &str, kind: &str, words: &[&str]) -> usize {
    let events = cluster.sim().events();
    let of_kind = events.iter().filter(|e| e.host == host && e.kind == kind).map(ToString::to_string);
    of_kind.filter(|line| words.iter().all(|word| line.contains(word))).count()
}

pub fn config_map(name: &str, value: &str) -> Value {
    serde_json::json!({"metadata": {"name": name}, "data": {"k": value}})
}
