//! From documents to configuration: kinds of the newest version, as `formats` delivers them.

use std::net::IpAddr;

use api::profile::Profile;
use serde_json::Value;
use world::Host;

use crate::{
    config::{
        ClusterConfig, ControlPlaneJoin, ImageSource, InitConfig, JoinConfig, parse_algorithm, parse_duration,
    },
    documents::{ConfigError, Documents, arguments, text, texts},
    external_etcd::ExternalEtcd,
    node_registration::NodeRegistration,
    paths::APISERVER_PORT,
    token_spec::TokenSpec,
    v1alpha1,
};

/// Fields of ClusterConfiguration and the components whose they are.
const COMPONENTS: &[(&str, &str)] = &[
    ("apiServer", "kube-apiserver"),
    ("controllerManager", "kube-controller-manager"),
    ("scheduler", "kube-scheduler"),
    ("etcd/local", "etcd"),
];

impl InitConfig {
    /// Applies the documents of a configuration file.
    ///
    /// # Errors
    /// Not YAML, an API version that this release does not read, a field of the wrong kind.
    pub fn apply_file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        if v1alpha1::is_read(self.cluster.profile, text) {
            return v1alpha1::master(self, path, text);
        }
        self.apply(&Documents::read(self.cluster.profile, path, text)?)
    }

    /// Applies what the cluster remembers of itself, written by a kubeadm of whatever release.
    ///
    /// # Errors
    /// As [`InitConfig::apply_file`].
    pub(crate) fn apply_stored(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        if v1alpha1::is_read(self.cluster.profile, text) {
            return v1alpha1::master(self, name, text);
        }
        let documents = Documents::stored(self.cluster.profile, name, text)?;
        match documents.own("ClusterConfiguration") {
            Some(cluster) => self.apply_cluster(cluster),
            None => Err(ConfigError::NoKind("no ClusterConfiguration kind was found in the YAML file")),
        }
    }

    /// Applies the documents of a file.
    ///
    /// # Errors
    /// None is about init, or a field makes no sense.
    pub(crate) fn apply(&mut self, documents: &Documents) -> Result<(), ConfigError> {
        let (init, cluster) = (documents.own("InitConfiguration"), documents.own("ClusterConfiguration"));
        if init.is_none() && cluster.is_none() {
            return Err(ConfigError::NoKind(
                "no InitConfiguration or ClusterConfiguration kind was found in the YAML file",
            ));
        }
        self.warnings.extend(documents.said());
        if let Some(cluster) = cluster {
            self.apply_cluster(cluster)?;
        }
        if let Some(init) = init {
            self.apply_init(init)?;
        }
        self.cluster.kubelet = documents.component("KubeletConfiguration").cloned();
        self.cluster.kube_proxy = documents.component("KubeProxyConfiguration").cloned();
        Ok(())
    }

    fn apply_cluster(&mut self, doc: &Value) -> Result<(), ConfigError> {
        self.cluster.apply(doc)?;
        // Of versions before v1beta4, which had no timeouts of their own.
        if let Some(patience) = text(doc, "/apiServer/timeoutForControlPlane") {
            self.timeouts.control_plane = parse_duration("apiServer.timeoutForControlPlane", patience)?;
        }
        Ok(())
    }

    fn apply_init(&mut self, doc: &Value) -> Result<(), ConfigError> {
        (self.advertise_address, self.bind_port) =
            endpoint(doc, "localAPIEndpoint", self.advertise_address, self.bind_port)?;
        if let Some(name) = text(doc, "/nodeRegistration/name") {
            self.node_name = name.to_lowercase();
        }
        self.node.apply(doc)?;
        self.ignore_preflight.extend(NodeRegistration::ignored(doc));
        if let Some(key) = text(doc, "/certificateKey") {
            self.certificate_key = Some(key.to_owned());
        }
        self.skip_phases.extend(texts(doc.get("skipPhases")));
        if let Some(list) = doc.get("bootstrapTokens").and_then(Value::as_array).filter(|l| !l.is_empty()) {
            let read = list.iter().enumerate().map(|(n, entry)| TokenSpec::read(n, entry));
            self.tokens = read.collect::<Result<_, _>>()?;
        }
        self.timeouts.apply(doc)?;
        self.patches = text(doc, "/patches/directory").map(str::to_owned).or(self.patches.take());
        self.dry_run |= doc.get("dryRun").and_then(Value::as_bool).unwrap_or(false);
        Ok(())
    }
}

impl ClusterConfig {
    /// Applies the document ClusterConfiguration.
    pub(crate) fn apply(&mut self, doc: &Value) -> Result<(), ConfigError> {
        let set = |slot: &mut String, at: &str| {
            if let Some(value) = text(doc, at) {
                *slot = value.to_owned();
            }
        };
        set(&mut self.cluster_name, "/clusterName");
        set(&mut self.service_subnet, "/networking/serviceSubnet");
        set(&mut self.pod_subnet, "/networking/podSubnet");
        set(&mut self.dns_domain, "/networking/dnsDomain");
        set(&mut self.certificates_dir, "/certificatesDir");
        set(&mut self.etcd_data_dir, "/etcd/local/dataDir");
        if let Some(endpoint) = text(doc, "/controlPlaneEndpoint") {
            self.control_plane_endpoint = Some(endpoint.to_owned());
        }
        if let Some(repository) = text(doc, "/imageRepository") {
            self.image_repository = Some(repository.to_owned());
        }
        if let Some(version) = text(doc, "/kubernetesVersion") {
            self.profile = Profile::parse(version)
                .map_err(|e| ConfigError::invalid("kubernetesVersion", e.to_string()))?;
        }
        if let Some(name) = text(doc, "/encryptionAlgorithm") {
            self.algorithm = parse_algorithm(name)?;
        }
        if let Some(period) = text(doc, "/certificateValidityPeriod") {
            self.leaf_validity = parse_duration("certificateValidityPeriod", period)?;
        }
        if let Some(period) = text(doc, "/caCertificateValidityPeriod") {
            self.ca_validity = parse_duration("caCertificateValidityPeriod", period)?;
        }
        self.cert_sans.extend(texts(doc.pointer("/apiServer/certSANs")));
        self.etcd_server_sans.extend(texts(doc.pointer("/etcd/local/serverCertSANs")));
        self.etcd_peer_sans.extend(texts(doc.pointer("/etcd/local/peerCertSANs")));
        for (field, component) in COMPONENTS {
            let shown = field.replace('/', ".");
            let args = arguments(&format!("{shown}.extraArgs"), doc.pointer(&format!("/{field}/extraArgs")))?;
            self.extra_args.entry((*component).to_owned()).or_default().extend(args);
            let list = |what: &str, required: &[&str]| {
                objects(&format!("{shown}.{what}"), doc.pointer(&format!("/{field}/{what}")), required)
            };
            let envs = list("extraEnvs", &["name"])?;
            self.extra_envs.entry((*component).to_owned()).or_default().extend(envs);
            let volumes = list("extraVolumes", &["name", "hostPath", "mountPath"])?;
            self.extra_volumes.entry((*component).to_owned()).or_default().extend(volumes);
        }
        if let Some(external) = doc.pointer("/etcd/external") {
            self.external_etcd = Some(ExternalEtcd::read(external)?);
        }
        self.etcd_image = image(doc, "/etcd/local");
        self.dns_image = image(doc, "/dns");
        let flag = |at: &str| doc.pointer(at).and_then(Value::as_bool).unwrap_or(false);
        self.dns_disabled |= flag("/dns/disabled");
        self.proxy_disabled |= flag("/proxy/disabled");
        for (gate, on) in doc.get("featureGates").and_then(Value::as_object).into_iter().flatten() {
            let on = on.as_bool().ok_or_else(|| {
                ConfigError::invalid(format!("featureGates.{gate}"), "expected true or false")
            })?;
            self.feature_gates.set(self.profile, "featureGates", gate, on)?;
        }
        Ok(())
    }
}

impl JoinConfig {
    /// Applies a configuration file.
    ///
    /// # Errors
    /// As [`InitConfig::apply_file`].
    pub(crate) fn apply_file(&mut self, host: &Host, path: &str, text: &str) -> Result<(), ConfigError> {
        if v1alpha1::is_read(self.profile, text) {
            return v1alpha1::node(self, path, text);
        }
        self.apply(host, &Documents::read(self.profile, path, text)?)
    }

    /// Applies the documents of a file; flags come later and win where both speak.
    ///
    /// # Errors
    /// None is about join, or a field makes no sense.
    pub(crate) fn apply(&mut self, host: &Host, documents: &Documents) -> Result<(), ConfigError> {
        let Some(doc) = documents.own("JoinConfiguration") else {
            return Err(ConfigError::NoKind("no JoinConfiguration found in the supplied config"));
        };
        self.warnings.extend(documents.said());
        let set = |slot: &mut String, at: &str| {
            if let Some(value) = text(doc, at) {
                *slot = value.to_owned();
            }
        };
        set(&mut self.endpoint, "/discovery/bootstrapToken/apiServerEndpoint");
        set(&mut self.token, "/discovery/bootstrapToken/token");
        set(&mut self.ca_cert_path, "/caCertPath");
        let owned = |at: &str| text(doc, at).map(str::to_owned);
        self.tls_bootstrap_token = owned("/discovery/tlsBootstrapToken");
        self.discovery_file = owned("/discovery/file/kubeConfigPath");
        if self.discovery_file.is_some() && doc.pointer("/discovery/bootstrapToken").is_some() {
            return Err(ConfigError::invalid(
                "discovery",
                "bootstrapToken and file are mutually exclusive; leave one of them out",
            ));
        }
        if let Some(name) = owned("/nodeRegistration/name") {
            self.node_name = name.to_lowercase();
        }
        self.node.apply(doc)?;
        self.ignore_preflight.extend(NodeRegistration::ignored(doc));
        self.ca_cert_hashes.extend(texts(doc.pointer("/discovery/bootstrapToken/caCertHashes")));
        let flag = |at: &str| doc.pointer(at).and_then(Value::as_bool).unwrap_or(false);
        self.unsafe_skip_ca_verification |= flag("/discovery/bootstrapToken/unsafeSkipCAVerification");
        self.dry_run |= flag("/dryRun");
        if let Some(control_plane) = doc.get("controlPlane").filter(|value| !value.is_null()) {
            let (advertise_address, bind_port) =
                endpoint(control_plane, "localAPIEndpoint", host.net().address(), APISERVER_PORT)?;
            let certificate_key = text(control_plane, "/certificateKey").map(str::to_owned);
            self.control_plane = Some(ControlPlaneJoin { advertise_address, bind_port, certificate_key });
        }
        self.skip_phases.extend(texts(doc.get("skipPhases")));
        self.patches = owned("/patches/directory").or(self.patches.take());
        self.timeouts.apply(doc)
    }
}

/// Address and port of an apiserver.
fn endpoint(doc: &Value, field: &str, ip: IpAddr, port: u16) -> Result<(IpAddr, u16), ConfigError> {
    let ip = match text(doc, &format!("/{field}/advertiseAddress")) {
        None => ip,
        Some(address) => address.parse().map_err(|_| {
            ConfigError::invalid(
                format!("{field}.advertiseAddress"),
                format!("{address:?} is not an IP address"),
            )
        })?,
    };
    let port = match doc.pointer(&format!("/{field}/bindPort")).and_then(Value::as_u64) {
        None => port,
        Some(given) => u16::try_from(given).ok().filter(|port| *port != 0).ok_or_else(|| {
            ConfigError::invalid(format!("{field}.bindPort"), format!("{given} is not a port"))
        })?,
    };
    Ok((ip, port))
}

fn image(doc: &Value, at: &str) -> ImageSource {
    let owned = |field: &str| text(doc, &format!("{at}/{field}")).map(str::to_owned);
    ImageSource { repository: owned("imageRepository"), tag: owned("imageTag") }
}

/// A list of objects with fields that must be there.
fn objects(field: &str, value: Option<&Value>, required: &[&str]) -> Result<Vec<Value>, ConfigError> {
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(ConfigError::invalid(field, "expected a list")),
    };
    for (n, entry) in list.iter().enumerate() {
        if let Some(missing) = required.iter().find(|key| text(entry, &format!("/{key}")).is_none()) {
            return Err(ConfigError::invalid(format!("{field}[{n}].{missing}"), "required"));
        }
    }
    Ok(list.clone())
}
