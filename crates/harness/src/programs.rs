//! The programs of a cluster: killed, stopped and started again, each as an operator or a crash would.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use store::{EtcdOptions, Store, StoreError};
use world::Host;

use crate::{
    Cluster, HarnessError, Who,
    cluster::{CONTROL_PLANE, WORKSTATION},
    launcher,
};

/// A program of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// A static pod of the control plane.
    KubeApiserver,
    /// A static pod of the control plane: the store.
    Etcd,
    /// A static pod of the control plane.
    KubeControllerManager,
    /// A static pod of the control plane.
    KubeScheduler,
    /// A unit of every host.
    Kubelet,
}

impl Component {
    /// Those that run as static pods.
    pub const STATIC: [Self; 4] =
        [Self::KubeApiserver, Self::Etcd, Self::KubeControllerManager, Self::KubeScheduler];

    /// The name of its process, manifest or unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::Etcd => "etcd",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
        }
    }

    /// Where the kubelet finds its manifest, and where it lies while the program is stopped.
    fn manifest(self) -> (String, String) {
        let name = self.name();
        (format!("/etc/kubernetes/manifests/{name}.yaml"), format!("/etc/kubernetes/{name}.yaml"))
    }
}

/// How long a kubelet takes to see that a manifest is gone, or there.
pub(crate) const MANIFEST_SEEN: Duration = Duration::from_secs(20);
/// After which systemd starts a kubelet again that has ended (kubeadm's unit: `RestartSec=10`).
const RESTART: Duration = Duration::from_secs(10);
/// How long `etcdctl` waits for an answer.
const ETCDCTL: Duration = Duration::from_secs(20);

impl Cluster {
    /// SIGKILL: the program tells nobody, and its peers see their connections end. Who runs it starts it again: the
    /// kubelet a static pod, after its back-off; systemd a kubelet, after ten seconds, and then this returns (one that was
    /// stopped runs then, too).
    ///
    /// # Errors
    /// A static pod's program does not run there.
    ///
    /// # Panics
    /// There is no host of that name.
    pub async fn crash<'a>(&self, who: impl Into<Who<'a>>, component: Component) -> Result<(), HarnessError> {
        let who = who.into();
        if component == Component::Kubelet {
            self.stop(who, component).await?;
            self.sim().elapse(RESTART).await;
            return self.start_again(who, component);
        }
        for host in self.hosts(who) {
            if !launcher::kill(&host, component.name()).await {
                return Err(HarnessError::new(format!("no {} runs on {}", component.name(), host.name())));
            }
        }
        Ok(())
    }

    /// Stops a program as an operator does, and it stays so until [`Cluster::start_again`]. The manifest of a static pod
    /// leaves the kubelet's directory; this returns when the kubelet must have seen it, 20 s later.
    ///
    /// # Errors
    /// The manifest is not there or cannot be moved.
    ///
    /// # Panics
    /// There is no host of that name.
    pub async fn stop<'a>(&self, who: impl Into<Who<'a>>, component: Component) -> Result<(), HarnessError> {
        let who = who.into();
        if component == Component::Kubelet {
            for host in self.hosts(who) {
                host.services().stop("kubelet").await;
            }
            return Ok(());
        }
        self.withdraw(who, component)?;
        self.sim().elapse(MANIFEST_SEEN).await;
        Ok(())
    }

    /// Takes the manifest of a static pod out of the kubelet's directory, and waits for nothing.
    pub(crate) fn withdraw<'a>(
        &self,
        who: impl Into<Who<'a>>,
        component: Component,
    ) -> Result<(), HarnessError> {
        let (there, away) = component.manifest();
        self.hosts(who.into())
            .iter()
            .try_for_each(|host| host.disk().rename(&there, &away).map_err(HarnessError::new))
    }

    /// Ends [`Cluster::stop`]. Returns at once: wait for what you need of the program.
    ///
    /// # Errors
    /// The manifest is not where `stop` leaves it, or cannot be moved.
    ///
    /// # Panics
    /// There is no host of that name.
    pub fn start_again<'a>(&self, who: impl Into<Who<'a>>, component: Component) -> Result<(), HarnessError> {
        for host in self.hosts(who.into()) {
            if component == Component::Kubelet {
                host.services().start(&host, "kubelet");
            } else {
                let (there, away) = component.manifest();
                host.disk().rename(away, there).map_err(HarnessError::new)?;
            }
        }
        Ok(())
    }

    /// Restarts the kube-apiserver's static pod as an operator does, and waits until it is ready again.
    ///
    /// # Errors
    /// The manifest cannot be moved, or the server does not come back within five minutes.
    pub async fn restart_apiserver(&self) -> Result<(), HarnessError> {
        self.stop(CONTROL_PLANE, Component::KubeApiserver).await?;
        self.start_again(CONTROL_PLANE, Component::KubeApiserver)?;
        self.apiserver_ready().await
    }

    /// Compacts the store at its present revision, as `etcdctl compact` on the control plane does: who watches or lists
    /// from before it is told that it is too late. Returns the revision.
    ///
    /// # Errors
    /// etcd does not answer within 20 s, or refuses.
    pub async fn compact(&self) -> Result<i64, HarnessError> {
        const PKI: &str = "/etc/kubernetes/pki";
        let options = EtcdOptions {
            endpoints: vec!["https://127.0.0.1:2379".to_owned()],
            ca: Some(format!("{PKI}/etcd/ca.crt").into()),
            cert: Some(format!("{PKI}/apiserver-etcd-client.crt").into()),
            key: Some(format!("{PKI}/apiserver-etcd-client.key").into()),
            go: self.options().profile.go(),
        };
        let process = self.known(CONTROL_PLANE).process("etcdctl");
        let etcd: Arc<dyn Store> = store::etcd(process.host(), &options).map_err(HarnessError::new)?;
        let workstation = self.sim().host(WORKSTATION);
        let compacted = workstation.clock().timeout(ETCDCTL, async {
            let now = etcd.revision().await?;
            etcd.compact(now).await?;
            Ok::<_, StoreError>(now)
        });
        let outcome = match compacted.await {
            Ok(outcome) => outcome.map_err(HarnessError::new),
            Err(e) => Err(HarnessError::new(e)),
        };
        process.kill().await;
        outcome
    }

    #[track_caller]
    fn hosts(&self, who: Who<'_>) -> Vec<Host> {
        who.names(self).iter().map(|name| self.known(name)).collect()
    }
}
