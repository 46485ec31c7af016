//! Where kubeadm keeps what, and the numbers it is compiled with (`cmd/kubeadm/app/constants`).

use std::time::Duration;

pub(crate) const KUBERNETES_DIR: &str = "/etc/kubernetes";
pub(crate) const TMP_DIR: &str = "/etc/kubernetes/tmp";
pub(crate) const MANIFESTS_DIR: &str = "/etc/kubernetes/manifests";
pub(crate) const PKI_DIR: &str = "/etc/kubernetes/pki";
pub(crate) const ETCD_DIR: &str = "/var/lib/etcd";
pub(crate) const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";
pub(crate) const SUPER_ADMIN_CONF: &str = "/etc/kubernetes/super-admin.conf";
pub(crate) const BOOTSTRAP_KUBELET_CONF: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
pub(crate) const CONTROLLER_MANAGER_CONF: &str = "/etc/kubernetes/controller-manager.conf";
pub(crate) const SCHEDULER_CONF: &str = "/etc/kubernetes/scheduler.conf";
pub(crate) const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
pub(crate) const KUBELET_DIR: &str = "/var/lib/kubelet";
pub(crate) const KUBELET_CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
pub(crate) const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
pub(crate) const KUBELET_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
pub(crate) const KUBELET_INSTANCE_CONFIG: &str = "/var/lib/kubelet/instance-config.yaml";

/// How far the NotBefore of a leaf lies before the start of the program, where it does not follow
/// the CA's.
pub(crate) const BACKDATE: Duration = Duration::from_secs(5 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const LEAF_VALIDITY: Duration = Duration::from_secs(365 * 86_400);
pub(crate) const CA_VALIDITY: Duration = Duration::from_secs(3650 * 86_400);
pub(crate) const TOKEN_TTL: Duration = DAY;

pub(crate) const HEALTH_TIMEOUT: Duration = Duration::from_secs(4 * 60);
pub(crate) const HEALTH_POLL: Duration = Duration::from_millis(500);
pub(crate) const API_CALL_TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(5 * 60);
pub(crate) const DISCOVERY_POLL: Duration = Duration::from_secs(5);
pub(crate) const TLS_BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(5 * 60);
pub(crate) const TLS_BOOTSTRAP_POLL: Duration = Duration::from_secs(1);

pub(crate) const APISERVER_PORT: u16 = 6443;
pub(crate) const KUBELET_HEALTH_PORT: u16 = 10_248;
pub(crate) const KUBELET_PORT: u16 = 10_250;
pub(crate) const CONTROLLER_MANAGER_PORT: u16 = 10_257;
pub(crate) const SCHEDULER_PORT: u16 = 10_259;
pub(crate) const KUBE_SYSTEM: &str = "kube-system";
pub(crate) const NODE_TOKEN_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";
