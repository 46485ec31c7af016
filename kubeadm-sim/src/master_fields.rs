//! What only MasterConfiguration, the kind of kubeadm before 1.12, can say of a control plane.

use serde_json::Value;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MasterFields {
    /// In place of the release's own etcd.
    pub etcd_image: Option<String>,
    /// One image for all components of the control plane (`hyperkube`).
    pub unified_image: Option<String>,
    /// KubeletConfiguration for all kubelets, where it is set dynamically.
    pub kubelet_base: Option<Value>,
}
