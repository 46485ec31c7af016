//! The configurations of kubelet and kube-proxy: what people put into kubeadm's file, filled up with what the
//! cluster asks for (`cmd/kubeadm/app/componentconfigs`). People's values stay; a warning names those that differ
//! from what kubeadm would have chosen.

use serde_json::{Map, Value, json};

use crate::{
    config::ClusterConfig,
    paths::{KUBELET_HEALTH_PORT, MANIFESTS_DIR},
    session::Result,
};

/// KubeletConfiguration for the nodes of a cluster.
pub(crate) fn kubelet(cluster: &ClusterConfig) -> Result<Value> {
    let (mut config, _) = kubelet_with_warnings(cluster)?;
    // Not a default: a kubelet that does not renew its certificate would fall out of the cluster.
    config["rotateCertificates"] = true.into();
    Ok(config)
}

/// What kubeadm would have chosen otherwise than the KubeletConfiguration of its file.
pub(crate) fn warnings(cluster: &ClusterConfig) -> Result<Vec<String>> {
    Ok(kubelet_with_warnings(cluster)?.1)
}

fn kubelet_with_warnings(cluster: &ClusterConfig) -> Result<(Value, Vec<String>)> {
    let mut config = cluster.kubelet.clone().unwrap_or_else(|| Value::Object(Map::new()));
    let recommended = [
        ("apiVersion", json!("kubelet.config.k8s.io/v1beta1")),
        ("kind", json!("KubeletConfiguration")),
        ("authentication.anonymous.enabled", json!(false)),
        ("authentication.webhook.cacheTTL", json!("0s")),
        ("authentication.webhook.enabled", json!(true)),
        ("authentication.x509.clientCAFile", json!(format!("{}/ca.crt", cluster.certificates_dir))),
        ("authorization.mode", json!("Webhook")),
        ("cgroupDriver", json!("systemd")),
        ("clusterDNS", json!([cluster.service_ip(10)?.to_string()])),
        ("clusterDomain", json!(cluster.dns_domain)),
        ("healthzBindAddress", json!("127.0.0.1")),
        ("healthzPort", json!(KUBELET_HEALTH_PORT)),
        ("rotateCertificates", json!(true)),
        ("staticPodPath", json!(MANIFESTS_DIR)),
    ];
    let mut warnings = Vec::new();
    for (path, value) in recommended {
        fill(&mut config, "KubeletConfiguration", path, value, &mut warnings);
    }
    Ok((config, warnings))
}

/// KubeProxyConfiguration for the nodes of a cluster.
pub(crate) fn kube_proxy(cluster: &ClusterConfig) -> Value {
    let mut config = cluster.kube_proxy.clone().unwrap_or_else(|| Value::Object(Map::new()));
    for (path, value) in [
        ("apiVersion", json!("kubeproxy.config.k8s.io/v1alpha1")),
        ("kind", json!("KubeProxyConfiguration")),
        ("bindAddress", json!("0.0.0.0")),
        ("clientConnection.kubeconfig", json!("/var/lib/kube-proxy/kubeconfig.conf")),
        ("clusterCIDR", json!(cluster.pod_subnet)),
    ] {
        fill(&mut config, "KubeProxyConfiguration", path, value, &mut Vec::new());
    }
    config
}

/// Sets a field that is not there; warns about one that is there and differs (`warnDefaultComponentConfigValue`).
fn fill(config: &mut Value, kind: &str, path: &str, value: Value, warnings: &mut Vec<String>) {
    let mut slot = config;
    for name in path.split('.') {
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        slot = &mut slot[name];
    }
    if slot.is_null() || slot.as_str() == Some("") {
        *slot = value;
    } else if *slot != value {
        let bare = |value: &Value| value.to_string().replace(['"', ','], "");
        warnings.push(format!(
            "WARNING: the recommended value for {path:?} in {kind:?} is: {}; the provided value is: {}",
            bare(&value),
            bare(slot)
        ));
    }
}

#[cfg(test)]
mod tests {
    use api::profile::Profile;

    use super::*;

    #[test]
    fn peoples_values_stay_and_the_rest_is_filled_up() {
        let mut cluster = ClusterConfig::new(Profile::default());
        assert_eq!(warnings(&cluster).expect("fine"), Vec::<String>::new());
        cluster.kubelet = Some(json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "clusterDomain": "corp.local", "maxPods": 50, "rotateCertificates": false,
            "authentication": {"anonymous": {"enabled": true}},
        }));
        let config = kubelet(&cluster).expect("fine");
        for (at, value) in [
            ("/clusterDomain", json!("corp.local")),
            ("/maxPods", json!(50)),
            ("/rotateCertificates", json!(true)),
            ("/authentication/anonymous/enabled", json!(true)),
            ("/authentication/webhook/enabled", json!(true)),
            ("/clusterDNS", json!(["10.96.0.10"])),
        ] {
            assert_eq!(config.pointer(at), Some(&value), "{at}");
        }
        let said = warnings(&cluster).expect("fine");
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(
            said[1],
            "WARNING: the recommended value for \"clusterDomain\" in \"KubeletConfiguration\" is: cluster.local; \
             the provided value is: corp.local"
        );
    }
}
