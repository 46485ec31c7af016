//! How long kubeadm waits for what (`Timeouts` of `cmd/kubeadm/app/apis/kubeadm`).

use std::time::Duration;

use api::duration;
use serde_json::{Map, Value};

use crate::{
    config::parse_duration,
    documents::ConfigError,
    paths::{API_CALL_TIMEOUT, DISCOVERY_TIMEOUT, HEALTH_TIMEOUT, TLS_BOOTSTRAP_TIMEOUT},
};

/// Limits of a command's waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For each component of the control plane to become healthy; default 4 min.
    pub control_plane: Duration,
    /// For discovery of the cluster; default 5 min.
    pub discovery: Duration,
    /// For one call to etcd; default 2 min.
    pub etcd_call: Duration,
    /// For the kubelet to become healthy; default 4 min.
    pub kubelet: Duration,
    /// For one call to the apiserver; default 1 min.
    pub api_call: Duration,
    /// For the kubelet to get its certificate; default 5 min, 2 min before 1.19.
    pub tls_bootstrap: Duration,
    /// For a static pod to come up in its new version; default 5 min.
    pub upgrade_manifests: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            control_plane: HEALTH_TIMEOUT,
            discovery: DISCOVERY_TIMEOUT,
            etcd_call: Duration::from_secs(2 * 60),
            kubelet: HEALTH_TIMEOUT,
            api_call: API_CALL_TIMEOUT,
            tls_bootstrap: TLS_BOOTSTRAP_TIMEOUT,
            upgrade_manifests: Duration::from_secs(5 * 60),
        }
    }
}

impl Timeouts {
    fn rows(&mut self) -> [(&'static str, &mut Duration); 7] {
        [
            ("controlPlaneComponentHealthCheck", &mut self.control_plane),
            ("discovery", &mut self.discovery),
            ("etcdAPICall", &mut self.etcd_call),
            ("kubeletHealthCheck", &mut self.kubelet),
            ("kubernetesAPICall", &mut self.api_call),
            ("tlsBootstrap", &mut self.tls_bootstrap),
            ("upgradeManifests", &mut self.upgrade_manifests),
        ]
    }

    /// Reads the field `timeouts` of a document.
    pub(crate) fn apply(&mut self, doc: &Value) -> Result<(), ConfigError> {
        for (name, slot) in self.rows() {
            if let Some(text) = doc.pointer(&format!("/timeouts/{name}")).and_then(Value::as_str) {
                *slot = parse_duration(&format!("timeouts.{name}"), text)?;
            }
        }
        Ok(())
    }

    /// The field as v1beta4 writes it.
    pub(crate) fn to_value(&self) -> Value {
        let rows = self.clone().rows().map(|(name, d)| (name.to_owned(), duration::format(*d).into()));
        Value::Object(rows.into_iter().collect::<Map<_, _>>())
    }
}
