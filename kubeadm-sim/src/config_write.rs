//! From configuration to documents of the newest version, for the cluster to remember and for people to read.

use api::duration;
use serde_json::{Map, Value, json};

use crate::{
    config::{ClusterConfig, ImageSource, InitConfig, JoinConfig, algorithm_name},
    formats,
};

fn api_version() -> String {
    format!("{}/{}", formats::GROUP, formats::NEWEST)
}

/// Sets a field of an object unless its value says nothing.
fn set(object: &mut Value, field: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if !empty {
        object[field] = value;
    }
}

impl ClusterConfig {
    /// The document ClusterConfiguration.
    pub(crate) fn to_value(&self) -> Value {
        let mut doc = json!({
            "apiServer": self.component("kube-apiserver"),
            "apiVersion": api_version(),
            "caCertificateValidityPeriod": duration::format(self.ca_validity),
            "certificateValidityPeriod": duration::format(self.leaf_validity),
            "certificatesDir": self.certificates_dir,
            "clusterName": self.cluster_name,
            "controllerManager": self.component("kube-controller-manager"),
            "dns": image(&self.dns_image),
            "encryptionAlgorithm": algorithm_name(self.algorithm),
            "etcd": self.etcd(),
            "imageRepository": self.image_repository(),
            "kind": "ClusterConfiguration",
            "kubernetesVersion": self.profile.git_version(),
            "networking": {"dnsDomain": self.dns_domain, "serviceSubnet": self.service_subnet},
            "proxy": {},
            "scheduler": self.component("kube-scheduler"),
        });
        set(&mut doc["apiServer"], "certSANs", json!(self.cert_sans));
        if self.dns_disabled {
            doc["dns"]["disabled"] = true.into();
        }
        if self.proxy_disabled {
            doc["proxy"]["disabled"] = true.into();
        }
        set(&mut doc["networking"], "podSubnet", json!(self.pod_subnet));
        set(&mut doc, "controlPlaneEndpoint", json!(self.control_plane_endpoint));
        set(&mut doc, "featureGates", self.feature_gates.to_value());
        doc
    }

    fn component(&self, name: &str) -> Value {
        let mut field = json!({});
        let args = self.extra_args.get(name).map(Vec::as_slice).unwrap_or_default();
        let args = args.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        set(&mut field, "extraArgs", args);
        set(&mut field, "extraEnvs", json!(self.extra_envs.get(name)));
        set(&mut field, "extraVolumes", json!(self.extra_volumes.get(name)));
        field
    }

    fn etcd(&self) -> Value {
        if let Some(external) = &self.external_etcd {
            return json!({"external": external.to_value()});
        }
        let mut local = self.component("etcd");
        local["dataDir"] = self.etcd_data_dir.clone().into();
        if let (Some(fields), Value::Object(image)) = (local.as_object_mut(), image(&self.etcd_image)) {
            fields.extend(image);
        }
        set(&mut local, "serverCertSANs", json!(self.etcd_server_sans));
        set(&mut local, "peerCertSANs", json!(self.etcd_peer_sans));
        json!({"local": local})
    }
}

fn image(source: &ImageSource) -> Value {
    let mut field = Value::Object(Map::new());
    set(&mut field, "imageRepository", json!(source.repository));
    set(&mut field, "imageTag", json!(source.tag));
    field
}

impl InitConfig {
    /// The document InitConfiguration.
    pub(crate) fn to_value(&self) -> Value {
        let mut doc = json!({
            "apiVersion": api_version(),
            "bootstrapTokens": self.tokens.iter().map(crate::token_spec::TokenSpec::to_value).collect::<Vec<_>>(),
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": self.advertise_address.to_string(), "bindPort": self.bind_port},
            "nodeRegistration": self.node.to_value(&self.node_name, &self.ignore_preflight),
            "timeouts": self.timeouts.to_value(),
        });
        set(&mut doc, "certificateKey", json!(self.certificate_key));
        set(&mut doc, "skipPhases", json!(self.skip_phases));
        shared(&mut doc, self.patches.as_deref(), self.dry_run);
        doc
    }
}

impl JoinConfig {
    /// The document JoinConfiguration.
    pub(crate) fn to_value(&self) -> Value {
        let mut discovery = match &self.discovery_file {
            Some(path) => json!({"file": {"kubeConfigPath": path}}),
            None => {
                let mut token = json!({"apiServerEndpoint": self.endpoint, "token": self.token});
                set(&mut token, "caCertHashes", json!(self.ca_cert_hashes));
                if self.unsafe_skip_ca_verification {
                    token["unsafeSkipCAVerification"] = true.into();
                }
                json!({"bootstrapToken": token})
            }
        };
        let tls = self.tls_bootstrap_token.clone().unwrap_or_else(|| self.token.clone());
        set(&mut discovery, "tlsBootstrapToken", json!(tls));
        let mut doc = json!({
            "apiVersion": api_version(),
            "caCertPath": self.ca_cert_path,
            "discovery": discovery,
            "kind": "JoinConfiguration",
            "nodeRegistration": self.node.to_value(&self.node_name, &self.ignore_preflight),
            "timeouts": self.timeouts.to_value(),
        });
        if let Some(join) = &self.control_plane {
            doc["controlPlane"] = json!({"localAPIEndpoint": {
                "advertiseAddress": join.advertise_address.to_string(),
                "bindPort": join.bind_port,
            }});
            set(&mut doc["controlPlane"], "certificateKey", json!(join.certificate_key));
        }
        set(&mut doc, "skipPhases", json!(self.skip_phases));
        shared(&mut doc, self.patches.as_deref(), self.dry_run);
        doc
    }
}

fn shared(doc: &mut Value, patches: Option<&str>, dry_run: bool) {
    if let Some(directory) = patches {
        doc["patches"] = json!({"directory": directory});
    }
    if dry_run {
        doc["dryRun"] = true.into();
    }
}

#[cfg(test)]
mod tests {
    use api::profile::Profile;

    use super::*;
    use crate::documents::Documents;

    #[test]
    fn what_is_written_is_read_again() {
        let text = json!({
            "apiVersion": api_version(), "kind": "ClusterConfiguration",
            "apiServer": {
                "certSANs": ["api"], "extraArgs": [{"name": "v", "value": "2"}, {"name": "v", "value": "3"}],
                "extraEnvs": [{"name": "A", "value": "1"}],
                "extraVolumes": [{"name": "n", "hostPath": "/a", "mountPath": "/b", "readOnly": true}],
            },
            "dns": {"disabled": true, "imageTag": "x"}, "proxy": {"disabled": true},
            "etcd": {"local": {"dataDir": "/data", "imageTag": "y", "peerCertSANs": ["p"], "serverCertSANs": ["s"],
                "extraArgs": [{"name": "quota-backend-bytes", "value": "1"}]}},
            "featureGates": {"ControlPlaneKubeletLocalMode": true},
            "networking": {"podSubnet": "10.1.0.0/16"},
        });
        let profile = Profile::default();
        let read = |text: &str| {
            let documents = Documents::read(profile, "x", text).expect("readable");
            documents.strict().expect("known fields");
            let mut sim = ClusterConfig::new(profile);
            sim.apply(documents.own("ClusterConfiguration").expect("there")).expect("fine");
            sim
        };
        let once = read(&text.to_string()).to_value();
        for (at, expected) in [
            ("/apiServer/extraArgs", &text["apiServer"]["extraArgs"]),
            ("/apiServer/extraEnvs", &text["apiServer"]["extraEnvs"]),
            ("/apiServer/extraVolumes", &text["apiServer"]["extraVolumes"]),
            ("/dns", &text["dns"]),
            ("/proxy", &text["proxy"]),
            ("/etcd", &text["etcd"]),
            ("/featureGates", &text["featureGates"]),
        ] {
            assert_eq!(once.pointer(at), Some(expected), "{at}");
        }
        assert_eq!(read(&once.to_string()).to_value(), once);
    }
}
