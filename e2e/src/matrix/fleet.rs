//! The cluster of a cell: one or three control planes as kubeadm makes them, a worker, and what an administrator does to
//! them.

use std::{net::SocketAddr, time::Duration};

use api::profile::Profile;
use chronoplane::{
    Machinery, TaskLauncher,
    balancer::Balancer,
    cluster::{self, CONTROL_PLANE, WORKSTATION},
};
use client::{DeleteParams, Resource, Rest};
use futures::{future::join_all, join};
use pki::{
    Certificate,
    kubeconfig::{Kubeconfig, User},
    token::BootstrapToken,
};
use world::{Host, Periods, Wall, sim::Sim};

use super::cell::{Stop, Topology};
use crate::story::StoryError;

const CA: &str = "/etc/kubernetes/pki/ca.crt";
const KUBEADM_YAML: &str = "/root/kubeadm.yaml";
const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
const KUBELET_PKI: &str = "/var/lib/kubelet/pki";
const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const PORT: u16 = 6443;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const BINDINGS: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings");
/// By which kubeadm has the requests of bootstrap tokens approved.
const VOUCHING: &str = "kubeadm:node-autoapprove-bootstrap";

/// See the module.
pub(super) struct Fleet {
    sim: Sim,
    profile: Profile,
    pub(super) control_planes: Vec<Host>,
    pub(super) workers: Vec<Host>,
    /// Where clients find the apiservers.
    endpoint: SocketAddr,
    /// Runs as long as it is kept.
    _balancer: Option<Balancer>,
}

impl Fleet {
    /// kubeadm init and joins. Afterwards nobody vouches for who has only a bootstrap token, as kubeadm's manual
    /// advises who wants to see each new node: the last of the remedies is then an approval.
    pub(super) async fn start(sim: &Sim, profile: Profile, topology: Topology) -> Result<Self, StoryError> {
        let names: &[&str] = match topology {
            Topology::Single => &[CONTROL_PLANE],
            Topology::Ha => &[CONTROL_PLANE, "cp2", "cp3"],
        };
        let control_planes: Vec<Host> = names.iter().map(|name| sim.host(name)).collect();
        let workers = vec![sim.host("node1")];
        let machinery = Machinery::tasks(TaskLauncher::default());
        control_planes.iter().chain(&workers).for_each(|host| machinery.install(host, profile));
        let first = control_planes[0].clone();
        let at = |host: &Host| SocketAddr::new(host.net().address(), PORT);
        let balancer = match topology {
            Topology::Single => None,
            Topology::Ha => {
                let backends: Vec<SocketAddr> = control_planes.iter().map(at).collect();
                Some(Balancer::layer4(&sim.host("balancer"), PORT, &backends).await?)
            }
        };
        let endpoint = balancer.as_ref().map_or(at(&first), Balancer::address);
        let fleet =
            Self { sim: sim.clone(), profile, control_planes, workers, endpoint, _balancer: balancer };
        fleet.bootstrap().await?;
        Ok(fleet)
    }

    async fn bootstrap(&self) -> Result<(), StoryError> {
        let first = &self.control_planes[0];
        let token = BootstrapToken::generate(self.sim.host(WORKSTATION).entropy()).reveal();
        let key = self.kubeadm(first, &["certs", "certificate-key"]).await?.trim().to_owned();
        let mut init = vec!["init", "--encryption-algorithm=ECDSA-P256", "--token", &token];
        let endpoint = self.endpoint.to_string();
        if self.control_planes.len() > 1 {
            init.extend(["--control-plane-endpoint", &endpoint, "--upload-certs", "--certificate-key", &key]);
        }
        self.kubeadm(first, &init).await?;
        let ca = Certificate::parse_pem(&first.disk().read(CA).map_err(StoryError::new)?);
        let ca = ca.map_err(StoryError::new)?;
        let pin =
            ca.first().map(|ca| ca.public_key().pin()).ok_or_else(|| StoryError(format!("{CA} is empty")))?;
        let join = ["join", &endpoint, "--token", &token, "--discovery-token-ca-cert-hash", &pin];
        for host in &self.control_planes[1..] {
            self.kubeadm(host, &[&join[..], &["--control-plane", "--certificate-key", &key]].concat())
                .await?;
        }
        for host in &self.workers {
            self.kubeadm(host, &join).await?;
        }
        let rest = self.kubectl()?;
        cluster::nodes_ready(&self.sim.host(WORKSTATION), &rest, self.hosts().count()).await?;
        rest.delete(&BINDINGS, None, VOUCHING, &DeleteParams::default()).await.map_err(StoryError::new)?;
        Ok(())
    }

    /// All hosts that stop: the balancer is a thing of the room.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.control_planes.iter().chain(&self.workers)
    }

    /// What the clock on the wall reads.
    pub(super) fn now(&self) -> Wall {
        self.sim.host(WORKSTATION).clock().wall()
    }

    /// All hosts stop for `d` and wake. They stop as they are in life: who renews every two seconds has its connection
    /// open then, which nobody has who renews once a day. While they are away what else there is recurs rarely, and they
    /// wake to upstream's pace, for how fast things heal is to be told in minutes.
    pub(super) async fn stop(&self, stop: Stop, d: Duration) {
        self.sim.set_periods(Periods::upstream());
        self.sim.elapse(2 * MINUTE).await;
        self.sim.set_periods(Periods::sparse());
        let away = join_all(self.hosts().map(|host| async move {
            match stop {
                Stop::Suspend => self.sim.suspend(host.name(), d).await,
                Stop::Shutdown => self.sim.reboot(host.name(), d).await,
            }
        }));
        let pace = async {
            self.sim.elapse(d.saturating_sub(SECOND)).await;
            self.sim.set_periods(Periods::upstream());
        };
        join!(away, pace);
    }

    /// kubectl as somebody starts it now, with admin.conf as it is now.
    pub(super) fn kubectl(&self) -> Result<Rest, StoryError> {
        self.client(&cluster::admin_config(&self.control_planes[0])?)
    }

    /// kubectl with `--insecure-skip-tls-verify`: what the server says to who does not ask who it is.
    pub(super) fn careless_kubectl(&self) -> Result<Rest, StoryError> {
        let mut config = cluster::admin_config(&self.control_planes[0])?;
        for named in &mut config.clusters {
            named.cluster.certificate_authority_data = None;
            named.cluster.insecure_skip_tls_verify = true;
        }
        self.client(&config)
    }

    fn client(&self, config: &Kubeconfig) -> Result<Rest, StoryError> {
        Rest::from_kubeconfig(&self.sim.host(WORKSTATION), config, self.profile.go(), "kubectl")
            .map_err(StoryError::new)
    }

    /// What the administrator keeps of kubeadm's configuration on each control plane: keys of the kind that the cluster
    /// has. Releases before 1.31 have no such word in theirs, and make RSA keys.
    fn configuration(&self, host: &Host) -> Result<Vec<&'static str>, StoryError> {
        if self.profile.kubeadm_config().version != "v1beta4" {
            return Ok(Vec::new());
        }
        let text = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nencryptionAlgorithm: ECDSA-P256\n";
        host.disk().write(KUBEADM_YAML, text, 0o600).map_err(StoryError::new)?;
        Ok(vec!["--config", KUBEADM_YAML])
    }

    /// `kubeadm certs renew all` on a control plane; how many certificates it renewed.
    pub(super) async fn renew(&self, host: &Host) -> Result<usize, StoryError> {
        let printed = self
            .kubeadm(host, &[&["certs", "renew", "all"][..], &self.configuration(host)?].concat())
            .await?;
        Ok(printed.lines().filter(|line| line.ends_with(" renewed")).count())
    }

    /// kubeadm of the cluster's release on one of its hosts; what it printed.
    pub(super) async fn kubeadm(&self, host: &Host, args: &[&str]) -> Result<String, StoryError> {
        let version = format!("--kubernetes-version={}", self.profile.git_version());
        let args = args.iter().map(|arg| (*arg).to_owned()).chain([version]);
        Ok(cluster::kubeadm(host, args.collect()).await?)
    }

    /// A kubelet.conf with a new certificate for a control plane's kubelet, signed with the authority's key that lies
    /// there, and a start with it: kubeadm's manual, "Kubelet client certificate rotation fails".
    pub(super) async fn new_kubelet_conf(&self, host: &Host) -> Result<(), StoryError> {
        let user = format!("system:node:{}", host.name());
        let printed = self
            .kubeadm(host, &["kubeconfig", "user", "--org", "system:nodes", "--client-name", &user])
            .await?;
        let disk = host.disk();
        for old in disk.list(KUBELET_PKI).map_err(StoryError::new)? {
            if old.starts_with("kubelet-client") {
                disk.remove(format!("{KUBELET_PKI}/{old}")).map_err(StoryError::new)?;
            }
        }
        disk.write(KUBELET_CONF, printed, 0o600).map_err(StoryError::new)?;
        host.services().restart(host, "kubelet").await;
        Ok(())
    }

    /// The manual's last step, once the kubelet has rotated: its kubeconfig names the file that rotation keeps fresh.
    pub(super) async fn follow_rotation(&self, host: &Host) -> Result<(), StoryError> {
        let mut config = Kubeconfig::load(host.disk(), KUBELET_CONF).map_err(StoryError::new)?;
        for named in &mut config.users {
            named.user = User::with_files(CURRENT, CURRENT);
        }
        config.save(host.disk(), KUBELET_CONF).map_err(StoryError::new)?;
        host.services().restart(host, "kubelet").await;
        Ok(())
    }

    /// Static pods start anew: their manifests leave the directory until the kubelets have seen it.
    pub(super) async fn restart_static_pods(&self) -> Result<(), StoryError> {
        let (there, away) = ("/etc/kubernetes/manifests", "/etc/kubernetes/away");
        let carry = |host: &Host, from: &str, to: &str| -> Result<(), StoryError> {
            let disk = host.disk();
            disk.create_dir_all(to).map_err(StoryError::new)?;
            let names = disk.list(from).map_err(StoryError::new)?;
            names
                .iter()
                .try_for_each(|name| disk.rename(format!("{from}/{name}"), format!("{to}/{name}")))
                .map_err(StoryError::new)
        };
        self.control_planes.iter().try_for_each(|host| carry(host, there, away))?;
        self.sim.elapse(MINUTE).await;
        self.control_planes.iter().try_for_each(|host| carry(host, away, there))
    }

    /// A bootstrap kubeconfig with a new token for a worker whose kubelet has nothing left, and a start with it.
    pub(super) async fn new_bootstrap(&self, host: &Host) -> Result<(), StoryError> {
        let first = &self.control_planes[0];
        let printed = self.kubeadm(first, &["token", "create"]).await?;
        let token = printed.lines().rev().find(|line| line.parse::<BootstrapToken>().is_ok());
        let token =
            token.ok_or_else(|| StoryError(format!("kubeadm token create printed no token: {printed}")))?;
        let mut config = cluster::admin_config(first)?;
        for named in &mut config.users {
            named.user = User::with_token(token);
        }
        config.save(host.disk(), BOOTSTRAP).map_err(StoryError::new)?;
        host.services().restart(host, "kubelet").await;
        Ok(())
    }
}
