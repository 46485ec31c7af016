//! kubeadm's configuration as its commands use it: what init, join and the cluster are told, with upstream's
//! defaults. `config_read` fills it from files, `config_write` makes files of it.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use api::{duration, profile::Profile};
use pki::{KeyAlgorithm, token::BootstrapToken};
use serde_json::Value;
use world::{Entropy, Host};

use crate::{
    documents::ConfigError,
    external_etcd::ExternalEtcd,
    features::FeatureGates,
    master_fields::MasterFields,
    node_registration::NodeRegistration,
    paths::{APISERVER_PORT, CA_VALIDITY, ETCD_DIR, LEAF_VALIDITY, PKI_DIR},
    timeouts::Timeouts,
    token_spec::TokenSpec,
};

/// Where an image comes from, as far as it differs from the release's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSource {
    /// Instead of the cluster's repository.
    pub repository: Option<String>,
    /// Instead of the release's tag.
    pub tag: Option<String>,
}

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
    /// Additional flags, by component (`kube-apiserver`, …, `etcd`).
    pub extra_args: BTreeMap<String, Vec<(String, String)>>,
    /// Additional environment, by component: entries as containers have them.
    pub extra_envs: BTreeMap<String, Vec<Value>>,
    /// Additional paths of the host, by component: name, hostPath, mountPath, readOnly, pathType.
    pub extra_volumes: BTreeMap<String, Vec<Value>>,
    /// Default: the release's own.
    pub image_repository: Option<String>,
    /// An etcd that is not on the control plane.
    pub external_etcd: Option<ExternalEtcd>,
    /// Where the etcd on the control plane keeps its data; default /var/lib/etcd.
    pub etcd_data_dir: String,
    /// Additional names and addresses of etcd's certificate for clients.
    pub etcd_server_sans: Vec<String>,
    /// Additional names and addresses of etcd's certificate for its peers.
    pub etcd_peer_sans: Vec<String>,
    /// etcd's image.
    pub etcd_image: ImageSource,
    /// CoreDNS's image.
    pub dns_image: ImageSource,
    /// No DNS addon.
    pub dns_disabled: bool,
    /// No kube-proxy.
    pub proxy_disabled: bool,
    /// kubeadm's own feature gates.
    pub feature_gates: FeatureGates,
    /// A KubeletConfiguration to fill up with kubeadm's own fields.
    pub kubelet: Option<Value>,
    /// A KubeProxyConfiguration to fill up with kubeadm's own fields.
    pub kube_proxy: Option<Value>,
}

/// What `kubeadm init` is told (kinds InitConfiguration and ClusterConfiguration).
#[derive(Clone, Debug)]
pub struct InitConfig {
    /// The cluster.
    pub cluster: ClusterConfig,
    /// Default: the lower-cased host name.
    pub node_name: String,
    /// What else the node's kubelet is told.
    pub node: NodeRegistration,
    /// Default: the host's address.
    pub advertise_address: IpAddr,
    /// Default 6443.
    pub bind_port: u16,
    /// The tokens to create, at least one.
    pub tokens: Vec<TokenSpec>,
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
    /// Whether the tokens stay unsaid.
    pub hide_tokens: bool,
    /// Limits of waits.
    pub timeouts: Timeouts,
    /// Directory with patches of what is written.
    pub patches: Option<String>,
    /// Whether it is only told what would be done.
    pub dry_run: bool,
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
    /// What else the node's kubelet is told.
    pub node: NodeRegistration,
    /// `host:port` of an apiserver, for discovery by token.
    pub endpoint: String,
    /// For discovery; empty for discovery by file.
    pub token: String,
    /// For the TLS bootstrap; default: the token of discovery.
    pub tls_bootstrap_token: Option<String>,
    /// A kubeconfig file or an https URL of one, for discovery by file.
    pub discovery_file: Option<String>,
    /// `sha256:…` pins of the cluster's CA.
    pub ca_cert_hashes: Vec<String>,
    /// Where the cluster's CA is written.
    pub ca_cert_path: String,
    /// What strict decoding found wrong with the file, to be said first.
    pub warnings: Vec<String>,
    /// Accept any CA.
    pub unsafe_skip_ca_verification: bool,
    /// Become a control plane.
    pub control_plane: Option<ControlPlaneJoin>,
    /// Names of preflight checks, lower case, whose failure is only a warning.
    pub ignore_preflight: Vec<String>,
    /// Phases to leave out.
    pub skip_phases: Vec<String>,
    /// Limits of waits.
    pub timeouts: Timeouts,
    /// Directory with patches of what is written.
    pub patches: Option<String>,
    /// Whether it is only told what would be done.
    pub dry_run: bool,
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
            extra_envs: BTreeMap::new(),
            extra_volumes: BTreeMap::new(),
            image_repository: None,
            external_etcd: None,
            etcd_data_dir: ETCD_DIR.into(),
            etcd_server_sans: Vec::new(),
            etcd_peer_sans: Vec::new(),
            etcd_image: ImageSource::default(),
            dns_image: ImageSource::default(),
            dns_disabled: false,
            proxy_disabled: false,
            feature_gates: FeatureGates::default(),
            kubelet: None,
            kube_proxy: None,
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
}

const ALGORITHMS: &[(&str, KeyAlgorithm)] = &[
    ("RSA-2048", KeyAlgorithm::Rsa2048),
    ("RSA-3072", KeyAlgorithm::Rsa3072),
    ("RSA-4096", KeyAlgorithm::Rsa4096),
    ("ECDSA-P256", KeyAlgorithm::EcdsaP256),
    ("ECDSA-P384", KeyAlgorithm::EcdsaP384),
];

pub(crate) fn algorithm_name(algorithm: KeyAlgorithm) -> &'static str {
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
            node: NodeRegistration::of(profile),
            advertise_address: host.net().address(),
            bind_port: APISERVER_PORT,
            tokens: vec![TokenSpec::default()],
            ignore_preflight: Vec::new(),
            skip_phases: Vec::new(),
            upload_certs: false,
            certificate_key: None,
            hide_certificate_key: false,
            hide_tokens: false,
            timeouts: Timeouts::default(),
            patches: None,
            dry_run: false,
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

    /// The tokens, each with what chance makes of it where the configuration names none.
    pub(crate) fn decided_tokens(&self, entropy: &Entropy) -> Vec<TokenSpec> {
        let decided = |spec: &TokenSpec| TokenSpec {
            token: Some(spec.token.clone().unwrap_or_else(|| BootstrapToken::generate(entropy))),
            ..spec.clone()
        };
        self.tokens.iter().map(decided).collect()
    }
}

impl JoinConfig {
    /// The defaults on `host`, without what names the cluster.
    pub fn new(host: &Host, profile: Profile) -> Self {
        Self {
            profile,
            node_name: host.name().to_lowercase(),
            node: NodeRegistration::of(profile),
            endpoint: String::new(),
            token: String::new(),
            tls_bootstrap_token: None,
            discovery_file: None,
            ca_cert_hashes: Vec::new(),
            ca_cert_path: format!("{PKI_DIR}/ca.crt"),
            warnings: Vec::new(),
            unsafe_skip_ca_verification: false,
            control_plane: None,
            ignore_preflight: Vec::new(),
            skip_phases: Vec::new(),
            timeouts: Timeouts { tls_bootstrap: profile.tls_bootstrap_patience(), ..Timeouts::default() },
            patches: None,
            dry_run: false,
        }
    }
}
