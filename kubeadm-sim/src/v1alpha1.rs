//! `kubeadm.k8s.io/v1alpha1`, the configuration of 1.8 to 1.10: MasterConfiguration and NodeConfiguration
//! (`cmd/kubeadm/app/apis/kubeadm/v1alpha1/types.go` of those releases), as what the later kinds became.
//!
//! Upstream decoded leniently and dropped what it did not know; a misspelt field is refused here.

use api::{duration, profile::Profile};
use serde_json::{Value, json};

use crate::{
    config::{InitConfig, JoinConfig, parse_duration},
    documents::ConfigError,
    external_etcd::ExternalEtcd,
    features::FeatureGates,
    fields::Fields,
    token_spec::TokenSpec,
};

const VERSION: &str = "kubeadm.k8s.io/v1alpha1";

/// Components, their flags and volumes by the names of their fields.
pub(crate) const COMPONENTS: [(&str, &str, &str); 3] = [
    ("kube-apiserver", "apiServerExtraArgs", "apiServerExtraVolumes"),
    ("kube-controller-manager", "controllerManagerExtraArgs", "controllerManagerExtraVolumes"),
    ("kube-scheduler", "schedulerExtraArgs", "schedulerExtraVolumes"),
];

const MASTER: &[&str] = &[
    "api",
    "apiServerCertSANs",
    "apiServerExtraArgs",
    "apiServerExtraVolumes",
    "apiVersion",
    "auditPolicy",
    "authorizationModes",
    "certificatesDir",
    "cloudProvider",
    "controllerManagerExtraArgs",
    "controllerManagerExtraVolumes",
    "criSocket",
    "etcd",
    "featureGates",
    "imagePullPolicy",
    "imageRepository",
    "kind",
    "kubeProxy",
    "kubeletConfiguration",
    "kubernetesVersion",
    "networking",
    "noTaintMaster",
    "nodeName",
    "privilegedPods",
    "schedulerExtraArgs",
    "schedulerExtraVolumes",
    "token",
    "tokenGroups",
    "tokenTTL",
    "tokenUsages",
    "unifiedControlPlaneImage",
];
const ETCD: &[&str] = &[
    "caFile",
    "certFile",
    "dataDir",
    "endpoints",
    "extraArgs",
    "image",
    "keyFile",
    "peerCertSANs",
    "selfHosted",
    "serverCertSANs",
];
const NODE: &[&str] = &[
    "apiVersion",
    "caCertPath",
    "clusterName",
    "criSocket",
    "discoveryFile",
    "discoveryTimeout",
    "discoveryToken",
    "discoveryTokenAPIServers",
    "discoveryTokenCACertHashes",
    "discoveryTokenUnsafeSkipCAVerification",
    "featureGates",
    "kind",
    "nodeName",
    "tlsBootstrapToken",
    "token",
];

/// Whether a file is of these kinds and the release still reads them.
pub(crate) fn is_read(profile: Profile, text: &str) -> bool {
    let Ok(document) = serde_saphyr::from_str::<Value>(text) else {
        return false;
    };
    let said = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    said("apiVersion") == VERSION
        && matches!(said("kind"), "MasterConfiguration" | "NodeConfiguration")
        && profile.kubeadm_config_read().contains(&"v1alpha1")
}

/// Whether such a file is about a master and not about a node.
pub(crate) fn is_master(text: &str) -> bool {
    serde_saphyr::from_str::<Value>(text)
        .is_ok_and(|document| document.get("kind").and_then(Value::as_str) == Some("MasterConfiguration"))
}

/// The one document of a file, as v1alpha1 and of the kind that is asked for.
fn document(path: &str, text: &str, kind: &'static str) -> Result<Value, ConfigError> {
    let document: Value = serde_saphyr::from_str(text)
        .map_err(|e| ConfigError::Unreadable { path: path.to_owned(), why: e.to_string() })?;
    if document.get("kind").and_then(Value::as_str) != Some(kind) {
        return Err(ConfigError::NoKind(kind));
    }
    Ok(document)
}

/// Applies a MasterConfiguration.
///
/// # Errors
/// Another kind, an unknown field, a value of the wrong kind.
pub(crate) fn master(config: &mut InitConfig, path: &str, text: &str) -> Result<(), ConfigError> {
    let document = document(path, text, "MasterConfiguration")?;
    let fields = Fields::new("", &document, MASTER)?;
    if let Some(version) = fields.text("kubernetesVersion")? {
        config.cluster.profile = release(config.cluster.profile, &version)?;
    }
    if let Some(api) = fields.object("api", &["advertiseAddress", "bindPort", "controlPlaneEndpoint"])? {
        if let Some(address) = api.text("advertiseAddress")? {
            config.advertise_address = api.parsed("advertiseAddress", &address, "an IP address")?;
        }
        if let Some(port) = api.port("bindPort")? {
            config.bind_port = port;
        }
        config.cluster.control_plane_endpoint =
            api.text("controlPlaneEndpoint")?.or(config.cluster.control_plane_endpoint.take());
    }
    if let Some(etcd) = fields.object("etcd", ETCD)? {
        read_etcd(config, &etcd)?;
    }
    if let Some(networking) = fields.object("networking", &["dnsDomain", "podSubnet", "serviceSubnet"])? {
        networking.set(&mut config.cluster.service_subnet, "serviceSubnet")?;
        networking.set(&mut config.cluster.pod_subnet, "podSubnet")?;
        networking.set(&mut config.cluster.dns_domain, "dnsDomain")?;
    }
    if let Some(name) = fields.text("nodeName")? {
        config.node_name = name.to_lowercase();
    }
    fields.set(&mut config.cluster.certificates_dir, "certificatesDir")?;
    config.cluster.image_repository =
        fields.text("imageRepository")?.or(config.cluster.image_repository.take());
    config.cluster.cert_sans.extend(fields.list("apiServerCertSANs")?);
    read_token(config, &fields)?;
    read_components(config, &fields)?;

    let master = &mut config.master;
    master.unified_image = fields.text("unifiedControlPlaneImage")?;
    if fields.flag("noTaintMaster")?.unwrap_or_default() {
        config.node.taints = Some(Vec::new());
    }
    // Simulated pods may do what privileged ones may.
    fields.flag("privilegedPods")?;
    fields.set(&mut config.node.cri_socket, "criSocket")?;
    for (gate, on) in fields.flags("featureGates")? {
        config.cluster.feature_gates.set(config.cluster.profile, "featureGates", &gate, on)?;
    }
    if let Some(kubelet) = fields.object("kubeletConfiguration", &["baseConfig"])? {
        master.kubelet_base = kubelet.value("baseConfig").cloned();
    }
    Ok(())
}

/// A version, or a label as dl.k8s.io answers it (`stable-1.10`).
fn release(own: Profile, version: &str) -> Result<Profile, ConfigError> {
    let text = match version {
        "stable" | "latest" => return Ok(own),
        label => label.strip_prefix("stable-").or(label.strip_prefix("latest-")).unwrap_or(label),
    };
    Profile::parse(text).map_err(|e| ConfigError::invalid("kubernetesVersion", e.to_string()))
}

fn read_etcd(config: &mut InitConfig, etcd: &Fields<'_>) -> Result<(), ConfigError> {
    if etcd.value("selfHosted").is_some() {
        return Err(ConfigError::invalid("etcd.selfHosted", "no release kept it; leave it out"));
    }
    let endpoints = etcd.list("endpoints")?;
    if !endpoints.is_empty() {
        let file = |key: &str| -> Result<String, ConfigError> {
            let path = etcd.text(key)?.unwrap_or_default();
            if path.is_empty() || path.starts_with('/') {
                return Ok(path);
            }
            Err(ConfigError::invalid(format!("etcd.{key}"), format!("{path:?}: must be an absolute path")))
        };
        let (ca_file, cert_file, key_file) = (file("caFile")?, file("certFile")?, file("keyFile")?);
        if cert_file.is_empty() != key_file.is_empty() {
            return Err(ConfigError::invalid(
                "etcd",
                "certFile and keyFile belong together: give both or none",
            ));
        }
        let plain = |url: &&String| !url.starts_with("https://") && !url.starts_with("http://");
        if let Some(bad) = endpoints.iter().find(plain) {
            return Err(ConfigError::invalid("etcd.endpoints", format!("{bad:?} is not a URL")));
        }
        config.cluster.external_etcd =
            Some(ExternalEtcd { endpoints, http_endpoints: Vec::new(), ca_file, cert_file, key_file });
    }
    etcd.set(&mut config.cluster.etcd_data_dir, "dataDir")?;
    config.master.etcd_image = etcd.text("image")?;
    config.cluster.etcd_server_sans = etcd.list("serverCertSANs")?;
    config.cluster.etcd_peer_sans = etcd.list("peerCertSANs")?;
    config.cluster.extra_args.entry("etcd".into()).or_default().extend(etcd.map("extraArgs")?);
    Ok(())
}

fn read_token(config: &mut InitConfig, fields: &Fields<'_>) -> Result<(), ConfigError> {
    let mut spec = TokenSpec {
        description: "The default bootstrap token generated by 'kubeadm init'.".into(),
        ..TokenSpec::default()
    };
    if let Some(token) = fields.text("token")? {
        spec.token = Some(token.parse().map_err(|e| ConfigError::invalid("token", format!("{e}")))?);
    }
    if let Some(ttl) = fields.text("tokenTTL")? {
        spec.ttl = parse_duration("tokenTTL", &ttl)?;
    }
    let usages = fields.list("tokenUsages")?;
    if let Some(bad) = usages.iter().find(|u| !matches!(u.as_str(), "signing" | "authentication")) {
        return Err(ConfigError::invalid(
            "tokenUsages",
            format!(
                "{bad:?}: invalid bootstrap token usage string, valid usage options: authentication, signing"
            ),
        ));
    }
    if !usages.is_empty() {
        spec.usages = usages;
    }
    let groups = fields.list("tokenGroups")?;
    if let Some(bad) = groups.iter().find(|g| !g.starts_with("system:bootstrappers:")) {
        return Err(ConfigError::invalid(
            "tokenGroups",
            format!("bootstrap token group {bad:?} is invalid: it must begin with system:bootstrappers:"),
        ));
    }
    if !groups.is_empty() {
        spec.groups = groups;
    }
    config.tokens = vec![spec];
    Ok(())
}

fn read_components(config: &mut InitConfig, fields: &Fields<'_>) -> Result<(), ConfigError> {
    for (component, args, volumes) in COMPONENTS {
        let args = fields.map(args)?;
        config.cluster.extra_args.entry(component.to_owned()).or_default().extend(args);
        let known = &["hostPath", "mountPath", "name", "pathType", "writable"];
        let volumes: Vec<Value> =
            fields.objects(volumes, known)?.iter().map(volume).collect::<Result<_, _>>()?;
        config.cluster.extra_volumes.entry(component.to_owned()).or_default().extend(volumes);
    }
    let mut flag = |component: &str, name: &str, value: &str| {
        let flags = config.cluster.extra_args.entry(component.to_owned()).or_default();
        if !flags.iter().any(|(given, _)| given == name) {
            flags.push((name.to_owned(), value.to_owned()));
        }
    };
    let modes = fields.list("authorizationModes")?;
    if !modes.is_empty() && modes != ["Node", "RBAC"] {
        flag("kube-apiserver", "authorization-mode", &modes.join(","));
    }
    if let Some(provider) = fields.text("cloudProvider")? {
        flag("kube-apiserver", "cloud-provider", &provider);
        flag("kube-controller-manager", "cloud-provider", &provider);
    }
    Ok(())
}

/// A path of the host as later kinds have it: they say who may not write, not who may.
fn volume(fields: &Fields<'_>) -> Result<Value, ConfigError> {
    Ok(json!({
        "hostPath": fields.required("hostPath")?,
        "mountPath": fields.required("mountPath")?,
        "name": fields.required("name")?,
        "pathType": fields.text("pathType")?.unwrap_or_default(),
        "readOnly": !fields.flag("writable")?.unwrap_or_default(),
    }))
}

fn volume_back(later: &Value) -> Value {
    let read_only = later.get("readOnly").and_then(Value::as_bool).unwrap_or_default();
    json!({
        "hostPath": later["hostPath"],
        "mountPath": later["mountPath"],
        "name": later["name"],
        "pathType": later["pathType"].as_str().unwrap_or_default(),
        "writable": !read_only,
    })
}

/// Applies a NodeConfiguration.
///
/// # Errors
/// Another kind, an unknown field, a value of the wrong kind.
pub(crate) fn node(config: &mut JoinConfig, path: &str, text: &str) -> Result<(), ConfigError> {
    let document = document(path, text, "NodeConfiguration")?;
    let fields = Fields::new("", &document, NODE)?;
    config.discovery_file = fields.text("discoveryFile")?;
    if let Some(server) = fields.list("discoveryTokenAPIServers")?.into_iter().next() {
        config.endpoint = server;
    }
    let shared = fields.text("token")?;
    let discovery = fields.text("discoveryToken")?.or(shared.clone());
    let bootstrap = fields.text("tlsBootstrapToken")?.or(shared);
    if let Some(token) = discovery.clone().or(bootstrap.clone()) {
        config.token = token;
    }
    if discovery.is_some() {
        config.tls_bootstrap_token = bootstrap.filter(|token| *token != config.token);
    }
    if let Some(name) = fields.text("nodeName")? {
        config.node_name = name.to_lowercase();
    }
    config.ca_cert_hashes.extend(fields.list("discoveryTokenCACertHashes")?);
    config.unsafe_skip_ca_verification |=
        fields.flag("discoveryTokenUnsafeSkipCAVerification")?.unwrap_or_default();
    if let Some(timeout) = fields.text("discoveryTimeout")? {
        config.timeouts.discovery = parse_duration("discoveryTimeout", &timeout)?;
    }
    fields.set(&mut config.ca_cert_path, "caCertPath")?;
    fields.set(&mut config.node.cri_socket, "criSocket")?;
    // The cluster's name is nobody's business but the kubeconfig's.
    fields.text("clusterName")?;
    let mut gates = FeatureGates::default();
    for (gate, on) in fields.flags("featureGates")? {
        gates.set(config.profile, "featureGates", &gate, on)?;
    }
    if gates.enabled("DynamicKubeletConfig") {
        return Err(ConfigError::invalid(
            "featureGates.DynamicKubeletConfig",
            "the apiserver is a later one, whose NodeRestriction lets no node set its own configSource; leave the \
             gate out and set it as an administrator",
        ));
    }
    Ok(())
}

/// Whether pods may run on the control plane.
pub(crate) fn is_untainted(config: &InitConfig) -> bool {
    config.node.taints.as_ref().is_some_and(Vec::is_empty)
}

/// The document that these releases store in the ConfigMap kubeadm-config; the token is left out of it.
pub(crate) fn to_value(config: &InitConfig) -> Value {
    let (cluster, master) = (&config.cluster, &config.master);
    let etcd = cluster.external_etcd.clone();
    let pairs = |component: &str| -> Value {
        let flags = cluster.extra_args.get(component).map(Vec::as_slice).unwrap_or_default();
        flags
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let token = config.tokens.first().cloned().unwrap_or_default();
    let mut document = json!({
        "api": {
            "advertiseAddress": config.advertise_address.to_string(),
            "bindPort": config.bind_port,
            "controlPlaneEndpoint": cluster.control_plane_endpoint.clone().unwrap_or_default(),
        },
        "apiServerCertSANs": cluster.cert_sans,
        "apiVersion": VERSION,
        "authorizationModes": ["Node", "RBAC"],
        "certificatesDir": cluster.certificates_dir,
        "cloudProvider": "",
        "criSocket": config.node.cri_socket,
        "etcd": {
            "caFile": etcd.as_ref().map(|e| e.ca_file.clone()).unwrap_or_default(),
            "certFile": etcd.as_ref().map(|e| e.cert_file.clone()).unwrap_or_default(),
            "dataDir": cluster.etcd_data_dir,
            "endpoints": etcd.as_ref().map(|e| e.endpoints.clone()),
            "extraArgs": pairs("etcd"),
            "image": master.etcd_image.clone().unwrap_or_default(),
            "keyFile": etcd.as_ref().map(|e| e.key_file.clone()).unwrap_or_default(),
            "peerCertSANs": cluster.etcd_peer_sans,
            "serverCertSANs": cluster.etcd_server_sans,
        },
        "featureGates": cluster.feature_gates.to_value(),
        "imageRepository": cluster.image_repository(),
        "kind": "MasterConfiguration",
        "kubernetesVersion": cluster.profile.git_version(),
        "networking": {
            "dnsDomain": cluster.dns_domain,
            "podSubnet": cluster.pod_subnet,
            "serviceSubnet": cluster.service_subnet,
        },
        "noTaintMaster": is_untainted(config),
        "nodeName": config.node_name,
        "privilegedPods": false,
        "token": "",
        "tokenGroups": token.groups,
        "tokenTTL": duration::format(token.ttl),
        "tokenUsages": token.usages,
        "unifiedControlPlaneImage": master.unified_image.clone().unwrap_or_default(),
    });
    for (component, args, volumes) in COMPONENTS {
        document[args] = pairs(component);
        let mounts = cluster.extra_volumes.get(component).map(Vec::as_slice).unwrap_or_default();
        document[volumes] = mounts.iter().map(volume_back).collect();
    }
    document
}

#[cfg(test)]
mod tests;
