//! What the stories share: kubeadm on hosts, clients behind a balancer, and how they fare.

use std::{net::SocketAddr, time::Duration};

use api::profile::Profile;
use chronoplane::{HarnessError, Sim};
use client::{ClientError, ListParams, Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use world::Host;

pub const PKI: &str = "/etc/kubernetes/pki";
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
const NODES: Resource = Resource::core("nodes");

/// kubeadm of a release on a host.
pub async fn kubeadm(host: &Host, profile: Profile, args: &[&str]) -> Result<String, HarnessError> {
    let version = format!("--kubernetes-version={}", profile.git_version());
    let args = args.iter().map(|arg| (*arg).to_owned()).chain([version]);
    chronoplane::cluster::kubeadm(host, args.collect()).await
}

/// Where the apiservers of `hosts` listen.
pub fn apiservers(hosts: &[Host]) -> Vec<SocketAddr> {
    hosts.iter().map(|host| SocketAddr::new(host.net().address(), 6443)).collect()
}

/// `config`, but for the server at `address`.
pub fn pointed_at(config: &Kubeconfig, address: SocketAddr) -> Kubeconfig {
    let mut config = config.clone();
    for named in &mut config.clusters {
        named.cluster.server = format!("https://{address}");
    }
    config
}

/// kubectl with that kubeconfig, on the workstation.
pub fn kubectl(sim: &Sim, config: &Kubeconfig, profile: Profile) -> Rest {
    Rest::from_kubeconfig(&sim.host("workstation"), config, profile.go(), "kubectl").expect("a client")
}

/// `kubectl get nodes`: how many there are.
pub async fn nodes(rest: &Rest) -> Result<usize, ClientError> {
    rest.list(&NODES, None, &ListParams::default()).await.map(|list| list.items.len())
}

/// Asks for the nodes twenty times, a second apart: through a connection that is there and through a new one each
/// time, as kubectl makes it. Gives what failed.
pub async fn twenty_looks(sim: &Sim, config: &Kubeconfig, profile: Profile) -> Vec<String> {
    let lasting = kubectl(sim, config, profile);
    let mut failed = Vec::new();
    for n in 0..20 {
        for (which, rest) in [("lasting", lasting.clone()), ("new", kubectl(sim, config, profile))] {
            if let Err(e) = nodes(&rest).await {
                failed.push(format!("{which} {n}: {e}"));
            }
        }
        sim.elapse(Duration::from_secs(1)).await;
    }
    failed
}

/// Waits until nobody listens on `port` of `host` any more.
pub async fn port_closed(sim: &Sim, host: &str, port: u16) {
    let workstation = sim.host("workstation");
    chronoplane::cluster::wait_for(&workstation, "the port is closed", async || {
        (workstation.net().reaches(host, port) == Some(false)).then_some(())
    })
    .await
    .expect("closed");
}

/// Waits until the balancer's checks found so many backends well.
pub async fn healthy(sim: &Sim, balancer: &chronoplane::balancer::Balancer, count: usize) {
    chronoplane::cluster::wait_for(&sim.host("workstation"), "the balancer's checks agree", async || {
        (balancer.healthy().len() == count).then_some(())
    })
    .await
    .expect("agreed");
}
