//! kubeadm's configuration: defaults, flags, and the YAML kinds of `kubeadm.k8s.io`.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use api::{duration, profile::Profile};
use pki::KeyAlgorithm;
use serde_json::{Value, json};
use world::Host;

use crate::documents::{ConfigError, documents};
use crate::external_etcd::ExternalEtcd;
use crate::master_fields::MasterFields;
use crate::paths::{APISERVER_PORT, CA_VALIDITY, LEAF_VALIDITY, PKI_DIR, TOKEN_TTL};
use crate::schema;
use crate::v1alpha1;

/// What concerns the whole cluster (kind ClusterConfiguration).
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The release to install; decides words, orders and validities.
    pub profile: Profile,
    /// Default `kubernetes`.
    pub cluster_name: String,
    /// `host:port` of a load balancer, if there is one.
    pub control_plane_endpoint: Option<String>,
    /// Default 10.96.0.0/12.
    pub service_subnet: String,
    /// For the pods; empty leaves it to the network.
    pub pod_subnet: String,
    /// Default cluster.local.
    pub dns_domain: String,
    /// Default /etc/kubernetes/pki.
    pub certificates_dir: String,
    /// Algorithm of every key that kubeadm makes.
    pub algorithm: KeyAlgorithm,
    /// Validity of leaf certificates.
    pub leaf_validity: Duration,
    /// Validity of certificate authorities.
    pub ca_validity: Duration,
    /// Additional names and addresses of the apiserver's certificate.
    pub cert_sans: Vec<String>,
    /// Additional flags, by component (`kube-apiserver`, …).
    pub extra_args: BTreeMap<String, Vec<(String, String)>>,
    /// Default: the release's own.
    pub image_repository: Option<String>,
    /// An etcd that is not on the control plane.
    pub external_etcd: Option<ExternalEtcd>,
}

/// What `kubeadm init` is told (kinds InitConfiguration and ClusterConfiguration).
#[derive(Clone, Debug)]
pub struct InitConfig {
    /// The cluster.
    pub cluster: ClusterConfig,
    /// Default: the lower-cased host name.
    pub node_name: String,
    /// Default: the host's address.
    pub advertise_address: IpAddr,
    /// Default 6443.
    pub bind_port: u16,
    /// The token to create; random when absent.
    pub token: Option<String>,
    /// Zero: never expires.
    pub token_ttl: Duration,
    /// Names of preflight checks, lower case, whose failure is only a warning.
    pub ignore_preflight: Vec<String>,
    /// Phases to leave out.
    pub skip_phases: Vec<String>,
    /// Whether the certificates of the control plane are uploaded.
    pub upload_certs: bool,
    /// Encrypts what is uploaded; random when absent.
    pub certificate_key: Option<String>,
    /// Whether that key stays unsaid.
    pub hide_certificate_key: bool,
    /// What strict decoding found wrong with the file, to be said first.
    pub warnings: Vec<String>,
    /// What only the kinds before 1.12 can say.
    pub master: MasterFields,
}

/// What `kubeadm join --control-plane` is told besides.
#[derive(Clone, Debug)]
pub struct ControlPlaneJoin {
    /// Default: the host's address.
    pub advertise_address: IpAddr,
    /// Default 6443.
    pub bind_port: u16,
    /// Decrypts the uploaded certificates; without it they were copied by hand.
    pub certificate_key: Option<String>,
}

/// What `kubeadm join` is told (kind JoinConfiguration).
#[derive(Clone, Debug)]
pub struct JoinConfig {
    /// The release.
    pub profile: Profile,
    /// Default: the lower-cased host name.
    pub node_name: String,
    /// `host:port` of an apiserver.
    pub endpoint: String,
    /// For discovery and TLS bootstrap.
    pub token: String,
    /// For the TLS bootstrap, where it is another one.
    pub tls_bootstrap_token: Option<String>,
    /// `sha256:…` pins of the cluster's CA.
    pub ca_cert_hashes: Vec<String>,
    /// What strict decoding found wrong with the file, to be said first.
    pub warnings: Vec<String>,
    /// Accept any CA.
    pub unsafe_skip_ca_verification: bool,
    /// Become a control plane.
    pub control_plane: Option<ControlPlaneJoin>,
    /// Names of preflight checks, lower case, whose failure is only a warning.
    pub ignore_preflight: Vec<String>,
    /// How long discovery may take.
    pub discovery_timeout: Duration,
    /// How long the kubelet may take to get its certificate.
    pub tls_bootstrap_timeout: Duration,
}

impl ClusterConfig {
    /// The defaults of `profile`.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            cluster_name: "kubernetes".into(),
            control_plane_endpoint: None,
            service_subnet: "10.96.0.0/12".into(),
            pod_subnet: String::new(),
            dns_domain: "cluster.local".into(),
            certificates_dir: PKI_DIR.into(),
            algorithm: KeyAlgorithm::Rsa2048,
            leaf_validity: LEAF_VALIDITY,
            ca_validity: CA_VALIDITY,
            cert_sans: Vec::new(),
            extra_args: BTreeMap::new(),
            image_repository: None,
            external_etcd: None,
        }
    }

    /// The `n`th address of the service subnet (1: the apiserver's, 10: cluster DNS).
    ///
    /// # Errors
    /// The subnet is not an IPv4 CIDR with room for it.
    pub fn service_ip(&self, n: u32) -> Result<IpAddr, ConfigError> {
        let bad = || {
            ConfigError::invalid(
                "networking.serviceSubnet",
                format!("couldn't parse subnet {}", self.service_subnet),
            )
        };
        let (base, bits) = self.service_subnet.split_once('/').ok_or_else(bad)?;
        let base: std::net::Ipv4Addr = base.parse().map_err(|_| bad())?;
        let bits: u32 = bits.parse().ok().filter(|b| *b <= 32).ok_or_else(bad)?;
        let size = 1u64 << (32 - bits);
        if u64::from(n) >= size {
            return Err(bad());
        }
        let mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
        Ok(std::net::Ipv4Addr::from((u32::from(base) & mask) + n).into())
    }

    /// Where images come from, without a slash at the end.
    pub fn image_repository(&self) -> &str {
        self.image_repository.as_deref().unwrap_or(self.profile.image_repository())
    }

    /// The document that is uploaded as ConfigMap kubeadm-config.
    pub fn to_value(&self) -> Value {
        let args = |component: &str| -> Value {
            let list = self.extra_args.get(component).map(Vec::as_slice).unwrap_or_default();
            list.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
        };
        let etcd = match &self.external_etcd {
            Some(external) => json!({"external": external.to_value()}),
            None => json!({"local": {"dataDir": crate::paths::ETCD_DIR}}),
        };
        json!({
            "apiServer": {"certSANs": self.cert_sans, "extraArgs": args("kube-apiserver")},
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "caCertificateValidityPeriod": duration::format(self.ca_validity),
            "certificateValidityPeriod": duration::format(self.leaf_validity),
            "certificatesDir": self.certificates_dir,
            "clusterName": self.cluster_name,
            "controlPlaneEndpoint": self.control_plane_endpoint.clone().unwrap_or_default(),
            "controllerManager": {"extraArgs": args("kube-controller-manager")},
            "dns": {},
            "encryptionAlgorithm": algorithm_name(self.algorithm),
            "etcd": etcd,
            "imageRepository": self.image_repository(),
            "kind": "ClusterConfiguration",
            "kubernetesVersion": self.profile.git_version(),
            "networking": {
                "dnsDomain": self.dns_domain,
                "podSubnet": self.pod_subnet,
                "serviceSubnet": self.service_subnet,
            },
            "proxy": {},
            "scheduler": {"extraArgs": args("kube-scheduler")},
        })
    }
}

const ALGORITHMS: &[(&str, KeyAlgorithm)] = &[
    ("RSA-2048", KeyAlgorithm::Rsa2048),
    ("RSA-3072", KeyAlgorithm::Rsa3072),
    ("RSA-4096", KeyAlgorithm::Rsa4096),
    ("ECDSA-P256", KeyAlgorithm::EcdsaP256),
    ("ECDSA-P384", KeyAlgorithm::EcdsaP384),
];

fn algorithm_name(algorithm: KeyAlgorithm) -> &'static str {
    ALGORITHMS.iter().find(|(_, a)| *a == algorithm).map_or("RSA-2048", |(name, _)| name)
}

pub(crate) fn parse_algorithm(name: &str) -> Result<KeyAlgorithm, ConfigError> {
    ALGORITHMS.iter().find(|(n, _)| *n == name).map(|(_, a)| *a).ok_or_else(|| {
        let known: Vec<&str> = ALGORITHMS.iter().map(|(n, _)| *n).collect();
        ConfigError::invalid("encryptionAlgorithm", format!("{name:?} is not one of {}", known.join(", ")))
    })
}

/// The duration in a field or flag.
pub(crate) fn parse_duration(field: &str, text: &str) -> Result<Duration, ConfigError> {
    duration::parse(text).map_err(|e| ConfigError::invalid(field, e.to_string()))
}

/// Refuses what no Node may be called.
pub(crate) fn check_node_name(name: &str) -> Result<(), ConfigError> {
    if api::names::dns1123_subdomain(name).is_empty() {
        return Ok(());
    }
    Err(ConfigError::invalid("nodeRegistration.name", format!("{name:?} is not a DNS-1123 subdomain")))
}

impl InitConfig {
    /// The defaults on `host`.
    pub fn new(host: &Host, profile: Profile) -> Self {
        Self {
            cluster: ClusterConfig::new(profile),
            node_name: host.name().to_lowercase(),
            advertise_address: host.net().address(),
            bind_port: APISERVER_PORT,
            token: None,
            token_ttl: TOKEN_TTL,
            ignore_preflight: Vec::new(),
            skip_phases: Vec::new(),
            upload_certs: false,
            certificate_key: None,
            hide_certificate_key: false,
            warnings: Vec::new(),
            master: MasterFields::default(),
        }
    }

    /// `host:port` under which this apiserver is reached.
    pub fn local_endpoint(&self) -> String {
        match self.advertise_address {
            IpAddr::V4(ip) => format!("{ip}:{}", self.bind_port),
            IpAddr::V6(ip) => format!("[{ip}]:{}", self.bind_port),
        }
    }

    /// `host:port` for everybody: the control plane endpoint, else the local one.
    pub fn endpoint(&self) -> String {
        match &self.cluster.control_plane_endpoint {
            Some(endpoint) if endpoint.contains(':') => endpoint.clone(),
            Some(endpoint) => format!("{endpoint}:{}", self.bind_port),
            None => self.local_endpoint(),
        }
    }

    /// Applies the documents of a configuration file.
    ///
    /// # Errors
    /// Not YAML, an API version that this release does not read, a field of the wrong kind.
    pub fn apply_file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        if v1alpha1::is_read(self.cluster.profile, text) {
            return v1alpha1::master(self, path, text);
        }
        let documents = documents(path, text)?;
        let is_ours = |doc: &Value| {
            matches!(
                doc.get("kind").and_then(Value::as_str),
                Some("InitConfiguration" | "ClusterConfiguration")
            )
        };
        if !documents.iter().any(is_ours) {
            return Err(ConfigError::NoKind("InitConfiguration or ClusterConfiguration"));
        }
        for doc in documents {
            self.warnings.extend(schema::complaint(&doc)?);
            match doc.get("kind").and_then(Value::as_str) {
                Some("InitConfiguration") => self.apply_init(&doc)?,
                Some("ClusterConfiguration") => self.cluster.apply(&doc)?,
                // Component configurations travel to their components unread.
                _ => {}
            }
        }
        Ok(())
    }

    fn apply_init(&mut self, doc: &Value) -> Result<(), ConfigError> {
        if let Some(address) = text(doc, "/localAPIEndpoint/advertiseAddress") {
            self.advertise_address = address.parse().map_err(|_| {
                ConfigError::invalid(
                    "localAPIEndpoint.advertiseAddress",
                    format!("{address:?} is not an IP address"),
                )
            })?;
        }
        if let Some(port) = doc.pointer("/localAPIEndpoint/bindPort").and_then(Value::as_u64) {
            self.bind_port = u16::try_from(port).map_err(|_| {
                ConfigError::invalid("localAPIEndpoint.bindPort", format!("{port} is not a port"))
            })?;
        }
        if let Some(name) = text(doc, "/nodeRegistration/name") {
            self.node_name = name.to_lowercase();
        }
        if let Some(key) = text(doc, "/certificateKey") {
            self.certificate_key = Some(key.to_owned());
        }
        if let Some(skipped) = doc.pointer("/skipPhases").and_then(Value::as_array) {
            self.skip_phases.extend(skipped.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        if let Some(token) = text(doc, "/bootstrapTokens/0/token") {
            self.token = Some(token.to_owned());
        }
        if let Some(ttl) = text(doc, "/bootstrapTokens/0/ttl") {
            self.token_ttl = parse_duration("bootstrapTokens[0].ttl", ttl)?;
        }
        Ok(())
    }
}

impl ClusterConfig {
    fn apply(&mut self, doc: &Value) -> Result<(), ConfigError> {
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
        if let Some(sans) = doc.pointer("/apiServer/certSANs").and_then(Value::as_array) {
            self.cert_sans = sans.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        let components = [
            ("apiServer", "kube-apiserver"),
            ("controllerManager", "kube-controller-manager"),
            ("scheduler", "kube-scheduler"),
        ];
        for (field, component) in components {
            let args =
                extra_args(&format!("{field}.extraArgs"), doc.pointer(&format!("/{field}/extraArgs")))?;
            self.extra_args.entry(component.to_owned()).or_default().extend(args);
        }
        if let Some(external) = doc.pointer("/etcd/external") {
            self.external_etcd = Some(ExternalEtcd::read(external)?);
        }
        let etcd = extra_args("etcd.local.extraArgs", doc.pointer("/etcd/local/extraArgs"))?;
        self.extra_args.entry("etcd".to_owned()).or_default().extend(etcd);
        Ok(())
    }
}

/// v1beta4 writes a list of name and value, v1beta3 a map.
fn extra_args(field: &str, value: Option<&Value>) -> Result<Vec<(String, String)>, ConfigError> {
    let bad = || ConfigError::invalid(field, "expected a list of {name, value}, or in v1beta3 a map");
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list
            .iter()
            .map(|arg| {
                let part = |key| arg.get(key).and_then(Value::as_str).map(str::to_owned);
                part("name").zip(part("value")).ok_or_else(bad)
            })
            .collect(),
        Some(Value::Object(map)) => {
            map.iter().map(|(k, v)| Ok((k.clone(), v.as_str().ok_or_else(bad)?.to_owned()))).collect()
        }
        Some(_) => Err(bad()),
    }
}

fn text<'a>(doc: &'a Value, at: &str) -> Option<&'a str> {
    doc.pointer(at).and_then(Value::as_str).filter(|s| !s.is_empty())
}
