//! What the tests share: a kubelet set up by hand, requests and their approval, restarts.

use std::{sync::Arc, time::Duration};

use api::{object::ObjectExt as _, profile::Profile};
use chronoplane::{Cluster, ClusterOptions, Machinery, Sim, TaskLauncher, cluster::wait_for};
use client::{ListParams, Resource};
use pki::{
    Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey,
    kubeconfig::{Cluster as Server, Kubeconfig, User},
};
use serde_json::{Value, json};
use world::{Exit, Host, Periods};

pub const MINUTE: Duration = Duration::from_secs(60);
/// For hours in which nothing happens but what is waited for: deadlines and backoff keep their time.
pub const PACE: Periods = Periods::times(360);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const PKI: &str = "/var/lib/kubelet/pki";
pub const KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";
pub const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
const CONFIG: &str = "/var/lib/kubelet/config.yaml";
static CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");

pub fn run<F: Future<Output = ()>>(story: impl FnOnce(Sim) -> F) {
    world::sim::run(world::sim::Config::default(), story).expect("a runtime");
}

pub async fn cluster(sim: &Sim, options: ClusterOptions) -> Cluster {
    Cluster::start(sim, options).await.expect("a cluster")
}

pub fn version(text: &str) -> ClusterOptions {
    ClusterOptions { profile: Profile::parse(text).expect("known"), ..ClusterOptions::default() }
}

/// Workers whose certificates live a day.
pub fn short_lived(nodes: usize) -> ClusterOptions {
    ClusterOptions { nodes, signing_duration: Some(24 * HOUR), ..ClusterOptions::default() }
}

/// Writes a kubeconfig with the cluster's bootstrap token.
pub async fn write_bootstrap(cluster: &Cluster, host: &Host) {
    let (resource, all) = (Resource::core("secrets"), ListParams::default());
    let secrets = cluster.admin().list(&resource, Some("kube-system"), &all).await.expect("listed").items;
    let token =
        secrets.iter().rfind(|s| s.str_at("/type") == "bootstrap.kubernetes.io/token").expect("a token");
    let token = pki::token::TokenSecret::from_object(token).expect("readable").token;
    let cp = cluster.sim().host("cp1");
    let ca = cp.disk().read_to_string("/etc/kubernetes/pki/ca.crt").expect("there");
    let server = Server::new(&format!("https://{}:6443", cp.net().address()), &ca);
    let config =
        Kubeconfig::new("kubernetes", server, "tls-bootstrap-token-user", User::with_token(&token.reveal()));
    host.disk().write("/etc/kubernetes/pki/ca.crt", ca, 0o644).expect("written");
    config.save(host.disk(), BOOTSTRAP).expect("written");
}

/// A host of its own with a kubelet that nobody but its unit knows; starts it.
pub async fn kubelet_by_hand(cluster: &Cluster, name: &str, config: Value) -> Host {
    let host = cluster.sim().host(name);
    write_bootstrap(cluster, &host).await;
    let mut whole = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {"x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}},
        "healthzPort": 10248,
        "kind": "KubeletConfiguration",
    });
    for (key, value) in config.as_object().expect("an object") {
        whole[key] = value.clone();
    }
    host.disk().write(CONFIG, whole.to_string(), 0o644).expect("written");
    host.disk()
        .write("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"\"\n", 0o644)
        .expect("written");
    Machinery::tasks(TaskLauncher::default()).install(&host, cluster.options().profile);
    host.services().start(&host, "kubelet");
    host
}

/// Changes the kubelet's configuration and restarts it.
pub async fn reconfigure(host: &Host, change: impl FnOnce(&mut Value)) {
    let text = host.disk().read_to_string(CONFIG).expect("there");
    let mut config: Value = serde_saphyr::from_str(&text).expect("YAML");
    change(&mut config);
    host.disk().write(CONFIG, config.to_string(), 0o644).expect("written");
    host.services().restart(host, "kubelet").await;
}

/// Requests of a signer (the part of its name after the slash), oldest first.
pub async fn requests(cluster: &Cluster, signer: &str, node: &str) -> Vec<Arc<Value>> {
    let list = cluster.admin().list(&CSRS, None, &ListParams::default()).await.expect("listed");
    let user = format!("system:node:{node}");
    let ours = |csr: &Arc<Value>| {
        let request = api::object::unbase64(csr.str_at("/spec/request")).unwrap_or_default();
        csr.str_at("/spec/signerName").ends_with(signer)
            && pki::csr::Csr::parse(&request).is_ok_and(|r| r.common_name() == user)
    };
    let mut found: Vec<Arc<Value>> = list.items.into_iter().filter(ours).collect();
    found.sort_by_key(|csr| csr.resource_version().parse::<u64>().unwrap_or_default());
    found
}

pub const CLIENT: &str = "/kube-apiserver-client-kubelet";
pub const SERVING: &str = "/kubelet-serving";

/// What `kubectl certificate approve` does.
pub async fn approve(cluster: &Cluster, csr: &Value) {
    let approval =
        json!([{"type": "Approved", "status": "True", "reason": "KubectlApprove", "message": "x"}]);
    let changed = cluster.admin().modify(&CSRS, None, csr.name(), Some("approval"), |csr| {
        csr["status"]["conditions"] = approval.clone();
    });
    changed.await.expect("approved");
}

/// From now on no request is approved by itself.
pub async fn approve_nothing(cluster: &Cluster) {
    let bindings = Resource::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings");
    for name in ["kubeadm:node-autoapprove-bootstrap", "kubeadm:node-autoapprove-certificate-rotation"] {
        let params = client::DeleteParams::default();
        cluster.admin().delete(&bindings, None, name, &params).await.expect("deleted");
    }
}

/// Takes the controller manager away: nobody approves, signs or cleans.
pub fn stop_controllers(cluster: &Cluster) {
    let (from, to) =
        ("/etc/kubernetes/manifests/kube-controller-manager.yaml", "/root/kube-controller-manager.yaml");
    cluster.sim().host("cp1").disk().rename(from, to).expect("moved");
}

pub async fn node(cluster: &Cluster, name: &str) -> Option<Value> {
    cluster.admin().get_opt(&Resource::core("nodes"), None, name).await.expect("answered")
}

pub fn ready(node: &Value) -> &str {
    let found = node.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == "Ready");
    found.map_or("", |c| c.str_at("/status"))
}

/// Waits until the node's Ready condition says `status`.
pub async fn until_ready_is(cluster: &Cluster, name: &str, status: &str) -> Value {
    let workstation = cluster.sim().host("workstation");
    wait_for(&workstation, &format!("{name} has Ready {status}"), async || {
        node(cluster, name).await.filter(|node| ready(node) == status)
    })
    .await
    .expect("in time")
}

/// The kubelet's last words, if it ever ended by itself.
pub fn last_words(host: &Host) -> Option<String> {
    match host.services().last_exit("kubelet") {
        Some(Exit::Failure(words)) => Some(words),
        Some(Exit::Success) => Some(String::new()),
        None => None,
    }
}

pub const CLASSIC: &str = "failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory";

/// A certificate of the cluster's authority for both ends of a connection, made by hand for ten days.
pub fn issue(cluster: &Cluster, host: &Host, name: &str, groups: &[&str]) -> CertifiedKey {
    let cp = cluster.sim().host("cp1");
    let read = |file: &str| cp.disk().read(format!("/etc/kubernetes/pki/{file}")).expect("there");
    let ca = Authority::from_pem(&read("ca.crt"), &read("ca.key")).expect("an authority");
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let now = host.clock().wall();
    let spec = CertSpec {
        common_name: name.into(),
        organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
        dns_names: vec!["node1".into()],
        ips: vec![host.net().address()],
        client_auth: true,
        server_auth: true,
        not_before: now,
        not_after: now + 240 * HOUR,
    };
    let leaf = ca.issue(cp.entropy(), &spec, &key.public()).expect("issued");
    CertifiedKey::new(vec![leaf], key).expect("a pair")
}
