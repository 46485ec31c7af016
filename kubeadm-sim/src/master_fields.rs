//! What only MasterConfiguration, the kind of kubeadm before 1.12, can say of a control plane.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{documents::ConfigError, features::FeatureGates, fields::Fields, paths::NODE_TOKEN_GROUP};

/// See the module; the defaults are those of every release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterFields {
    /// Default /var/lib/etcd.
    pub etcd_data_dir: Option<String>,
    /// In place of the release's own etcd.
    pub etcd_image: Option<String>,
    /// Further names and addresses in etcd's serving certificate.
    pub etcd_server_sans: Vec<String>,
    /// Further names and addresses in etcd's peer certificate.
    pub etcd_peer_sans: Vec<String>,
    /// One image for all components of the control plane (`hyperkube`).
    pub unified_image: Option<String>,
    /// Further volumes, by component (`kube-apiserver`, …).
    pub extra_volumes: BTreeMap<String, Vec<HostPathMount>>,
    /// What the token is for.
    pub token_usages: Vec<String>,
    /// Groups of who shows the token.
    pub token_groups: Vec<String>,
    /// Pods may run on the control plane.
    pub no_taint: bool,
    /// kubeadm's feature gates.
    pub feature_gates: FeatureGates,
    /// KubeletConfiguration for all kubelets, where it is set dynamically.
    pub kubelet_base: Option<Value>,
}

impl Default for MasterFields {
    fn default() -> Self {
        Self {
            etcd_data_dir: None,
            etcd_image: None,
            etcd_server_sans: Vec::new(),
            etcd_peer_sans: Vec::new(),
            unified_image: None,
            extra_volumes: BTreeMap::new(),
            token_usages: ["signing", "authentication"].map(str::to_owned).to_vec(),
            token_groups: vec![NODE_TOKEN_GROUP.to_owned()],
            no_taint: false,
            feature_gates: FeatureGates::default(),
            kubelet_base: None,
        }
    }
}

/// A path of the host in a component of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPathMount {
    /// Of the volume.
    pub name: String,
    /// On the host.
    pub host_path: String,
    /// In the component.
    pub mount_path: String,
    /// `DirectoryOrCreate`, …; empty for none.
    pub path_type: String,
    /// Whether the component may write there.
    pub writable: bool,
}

impl HostPathMount {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            name: fields.required("name")?,
            host_path: fields.required("hostPath")?,
            mount_path: fields.required("mountPath")?,
            path_type: fields.text("pathType")?.unwrap_or_default(),
            writable: fields.flag("writable")?.unwrap_or_default(),
        })
    }

    pub(crate) fn mount(&self) -> Value {
        json!({"mountPath": self.mount_path, "name": self.name, "readOnly": !self.writable})
    }

    pub(crate) fn volume(&self) -> Value {
        let mut volume = json!({"hostPath": {"path": self.host_path}, "name": self.name});
        if !self.path_type.is_empty() {
            volume["hostPath"]["type"] = self.path_type.as_str().into();
        }
        volume
    }

    pub(crate) fn to_value(&self) -> Value {
        json!({
            "hostPath": self.host_path,
            "mountPath": self.mount_path,
            "name": self.name,
            "pathType": self.path_type,
            "writable": self.writable,
        })
    }
}
