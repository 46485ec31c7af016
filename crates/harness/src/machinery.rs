//! Who runs a host's kubelet and what the kubelet is told to run.

use std::{sync::Arc, time::Duration};

use api::profile::Profile;
use world::Host;

pub use kubelet_sim::{Behind, Container, Launcher, Running, interpret};
pub use world::{Exit, Unit};

use crate::TaskLauncher;

/// How soon systemd starts a kubelet again (`RestartSec` of its unit).
const RESTART_AFTER: Duration = Duration::from_secs(10);

/// The flags in `10-kubeadm.conf` of packages before 1.11, whose kubeadm wrote none.
const PACKAGE_FLAGS: &[&str] = &[
    "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
    "--kubeconfig=/etc/kubernetes/kubelet.conf",
    "--pod-manifest-path=/etc/kubernetes/manifests",
    "--allow-privileged=true",
    "--network-plugin=cni",
    "--cni-conf-dir=/etc/cni/net.d",
    "--cni-bin-dir=/opt/cni/bin",
    "--cluster-dns=10.96.0.10",
    "--cluster-domain=cluster.local",
    "--authorization-mode=Webhook",
    "--client-ca-file=/etc/kubernetes/pki/ca.crt",
    "--cadvisor-port=0",
    "--rotate-certificates=true",
    "--cert-dir=/var/lib/kubelet/pki",
];

/// Makes the kubelet unit of a host.
#[derive(Clone)]
pub struct Machinery(Arc<dyn Fn(Profile) -> Unit + Send + Sync>);

impl Machinery {
    /// Everything as tasks of this process.
    pub fn tasks(launcher: TaskLauncher) -> Self {
        Self::with_launcher(Arc::new(launcher))
    }

    /// Kubelets as tasks of this process, containers as `launcher` runs them.
    pub fn with_launcher(launcher: Arc<dyn Launcher>) -> Self {
        Self::units(move |profile| {
            let launcher = launcher.clone();
            Unit::new(move |host: Host| {
                let launcher = launcher.clone();
                async move {
                    match kubelet_args(&host, profile) {
                        Ok(args) => kubelet_sim::run(host, args, launcher).await,
                        Err(why) => Exit::Failure(why),
                    }
                }
            })
        })
    }

    /// Kubelets as `unit` runs them.
    pub fn units(unit: impl Fn(Profile) -> Unit + Send + Sync + 'static) -> Self {
        Self(Arc::new(unit))
    }

    /// Installs the kubelet's unit on `host`, as the distribution's package does; starts nothing.
    pub fn install(&self, host: &Host, profile: Profile) {
        host.services().install("kubelet", (self.0)(profile).restart_after(RESTART_AFTER));
    }
}

/// The kubelet's command line: the unit's own flags and those of kubeadm's environment file.
///
/// # Errors
/// kubeadm has not written the file yet.
pub fn kubelet_args(host: &Host, profile: Profile) -> Result<Vec<String>, String> {
    let version = format!("--kubernetes-version={}", profile.git_version());
    if profile.kubelet_unit_flags_only() {
        return Ok(PACKAGE_FLAGS.iter().map(|flag| (*flag).to_owned()).chain([version]).collect());
    }
    let env = host.disk().read_to_string("/var/lib/kubelet/kubeadm-flags.env").map_err(|e| {
        format!("the kubelet is not configured yet: {e}; run kubeadm init or join on this host")
    })?;
    let extra = env.trim().strip_prefix("KUBELET_KUBEADM_ARGS=").unwrap_or_default().trim_matches('"');
    let own = [
        "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        "--config=/var/lib/kubelet/config.yaml",
    ];
    Ok(own
        .into_iter()
        .map(str::to_owned)
        .chain([version])
        .chain(extra.split_whitespace().map(str::to_owned))
        .collect())
}
