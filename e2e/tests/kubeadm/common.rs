//! What the tests share: hosts, and kubeadm on them.

use std::{collections::BTreeMap, time::Duration};

use chronoplane::{Cluster, HarnessError, Machinery, TaskLauncher};
use pki::{Certificate, kubeconfig::Kubeconfig};
use world::{FileKind, Host};

pub fn control_plane(cluster: &Cluster) -> Host {
    cluster.sim().host("cp1")
}

/// A host with a kubelet's package and nothing else.
pub fn fresh(cluster: &Cluster, name: &str) -> Host {
    let host = cluster.sim().host(name);
    Machinery::tasks(TaskLauncher::default()).install(&host, cluster.options().profile);
    host
}

pub const DAY: Duration = Duration::from_secs(86_400);

pub fn certificate(host: &Host, path: &str) -> Certificate {
    let pem = host.disk().read(path).expect("there");
    if path.ends_with(".conf") {
        let config = Kubeconfig::load(host.disk(), path).expect("readable");
        let pair = config.client_pair(host.disk()).expect("readable").expect("embedded");
        return pair.leaf().expect("a leaf").clone();
    }
    Certificate::parse_pem(&pem).expect("readable").remove(0)
}

/// kubeadm's words when it refuses.
pub async fn refusal(cluster: &Cluster, host: &Host, args: &[&str]) -> String {
    cluster.kubeadm(host, args).await.expect_err(&format!("{args:?} is refused")).to_string()
}

pub async fn sleep_until_before(cluster: &Cluster, at: world::Wall, margin: Duration) {
    let left = at.duration_since(control_plane(cluster).clock().wall());
    cluster.sim().elapse(Duration::try_from(left).expect("ahead") - margin).await;
}

/// The arguments of a printed join command, without the program's name.
pub fn arguments(printed: &str) -> Vec<&str> {
    printed.split_whitespace().skip(1).collect()
}

/// kubeadm on a host of no cluster yet.
pub async fn kubeadm(host: &Host, args: &[&str]) -> Result<String, HarnessError> {
    chronoplane::cluster::kubeadm(host, args.iter().map(|arg| (*arg).to_owned()).collect()).await
}

/// Every file of a host but backups and dry runs: its mode and contents, or where a link leads.
pub fn tree(host: &Host) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut todo = vec![String::new()];
    while let Some(dir) = todo.pop() {
        for name in host.disk().list(if dir.is_empty() { "/" } else { &dir }).expect("a directory") {
            let path = format!("{dir}/{name}");
            let stat = host.disk().stat(&path).expect("there");
            match stat.kind {
                _ if path == "/etc/kubernetes/tmp" => {}
                FileKind::Dir => todo.push(path),
                FileKind::File => {
                    let contents = host.disk().read(&path).expect("readable");
                    found.insert(path, (stat.mode, contents));
                }
                FileKind::Symlink => {
                    let target = host.disk().read_link(&path).expect("a link");
                    found.insert(path, (stat.mode, target.to_string_lossy().into_owned().into_bytes()));
                }
            }
        }
    }
    found
}

/// Directories of dry runs on a host.
pub fn dry_runs(host: &Host) -> Vec<String> {
    let names = host.disk().list("/etc/kubernetes/tmp").unwrap_or_default();
    names.iter().map(|name| format!("/etc/kubernetes/tmp/{name}")).collect()
}
