//! kube-apiserver's own flags, as kubeadm writes them into its manifest and as envtest passes them.

mod audit;
mod authentication;
mod authorization;
mod flags;
mod help;
mod parse;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use api::profile::Profile;
use pki::KeyAlgorithm;

use crate::{
    audit::{Batching, Rotation},
    pipeline::ExtraHeaders,
    runtime_config::RuntimeConfig,
};
pub use authentication::{Keystone, Oidc, RequestHeader, TokenWebhook};
pub use authorization::AuthorizationOptions;
pub use help::{help, help_of};
pub use parse::UsageError;

/// Below this the server's own code knows all objects, wherever `--etcd-prefix` puts them.
pub(crate) const REGISTRY: &str = "/registry";

/// Where the objects are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// An etcd or `store::server`.
    Etcd {
        /// `http://` or `https://` URLs.
        endpoints: Vec<String>,
        /// What to trust.
        ca: Option<PathBuf>,
        /// What to present.
        certificate: Option<PathBuf>,
        /// Its key.
        key: Option<PathBuf>,
    },
    /// An embedded sled tree in this directory.
    Sled(PathBuf),
    /// Nothing outlives the process.
    Memory,
}

/// `--endpoint-reconciler-type`: how the endpoints of the service `kubernetes` are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointReconciler {
    /// Each server adds itself; when there are more than so many, somebody goes.
    MasterCount,
    /// Whoever has a lease in the store is one of them.
    Lease,
    /// Somebody else does it.
    None,
}

/// `--tls-sni-cert-key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SniPair {
    /// The certificate chain's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
    /// The names given on the flag; empty: the certificate's own.
    pub names: Vec<String>,
}

/// How an apiserver is set up.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "named as the flags")]
pub struct Options {
    pub bind_address: IpAddr,
    pub secure_port: u16,
    pub advertise_address: Option<IpAddr>,
    pub external_hostname: Option<String>,
    pub http2_max_streams: u32,

    pub tls_cert_file: Option<PathBuf>,
    pub tls_private_key_file: Option<PathBuf>,
    pub tls_sni: Vec<SniPair>,
    pub tls_min_version: String,
    pub tls_cipher_suites: Vec<String>,
    pub cert_dir: PathBuf,
    pub disable_http2: bool,

    pub backend: Backend,
    pub etcd_prefix: String,
    pub event_ttl: Duration,
    pub compaction_interval: Duration,

    pub service_cluster_ip_ranges: Vec<String>,
    pub service_node_ports: (u16, u16),
    pub endpoint_reconciler: EndpointReconciler,
    pub apiserver_count: usize,

    pub client_ca_file: Option<PathBuf>,
    pub token_auth_file: Option<PathBuf>,
    pub basic_auth_file: Option<PathBuf>,
    pub keystone: Option<Keystone>,
    pub anonymous_auth: bool,
    pub enable_bootstrap_token_auth: bool,
    pub request_header: RequestHeader,
    pub oidc: Option<Oidc>,
    pub authentication_config: Option<PathBuf>,
    pub token_webhook: TokenWebhook,

    pub service_account_issuers: Vec<String>,
    pub service_account_key_files: Vec<PathBuf>,
    pub service_account_signing_key_file: Option<PathBuf>,
    pub service_account_lookup: bool,
    pub service_account_extend_expiration: bool,
    pub service_account_max_expiration: Option<Duration>,
    pub service_account_jwks_uri: Option<String>,
    pub api_audiences: Vec<String>,

    pub authorization_modes: Vec<String>,
    pub authorization: AuthorizationOptions,

    pub enable_admission_plugins: Vec<String>,
    pub disable_admission_plugins: Vec<String>,
    /// `--admission-control`: all plugins that run, instead of the two flags before.
    pub admission_control: Option<Vec<String>>,
    pub admission_config_file: Option<PathBuf>,
    /// For how long pods stay on a node that is not ready, and on one that cannot be reached.
    pub default_toleration_seconds: (i64, i64),

    pub kubelet_client_certificate: Option<PathBuf>,
    pub kubelet_client_key: Option<PathBuf>,
    pub kubelet_certificate_authority: Option<PathBuf>,
    pub kubelet_preferred_address_types: Vec<String>,
    pub proxy_client_cert_file: Option<PathBuf>,
    pub proxy_client_key_file: Option<PathBuf>,

    pub audit_policy_file: Option<PathBuf>,
    pub audit_log_path: Option<PathBuf>,
    pub audit_rotation: Rotation,
    pub audit_webhook_config_file: Option<PathBuf>,
    pub audit_batching: Batching,

    pub request_timeout: Duration,
    pub min_request_timeout: Duration,
    pub max_requests_inflight: usize,
    pub max_mutating_requests_inflight: usize,
    pub enable_priority_and_fairness: bool,
    pub livez_grace_period: Duration,
    pub shutdown_delay: Duration,
    pub shutdown_send_retry_after: bool,
    pub shutdown_watch_termination_grace_period: Duration,
    pub goaway_chance: f64,
    /// CORS and HSTS.
    pub extra_headers: ExtraHeaders,
    pub runtime_config: RuntimeConfig,
    pub enable_logs_handler: bool,
    /// `--insecure-port`, of releases up to 1.19: requests there are nobody's and may do everything.
    pub insecure_port: u16,
    pub insecure_bind_address: IpAddr,
    pub feature_gates: Vec<String>,
    /// `-v`, until `/debug/flags/v` sets another.
    pub verbosity: u32,
    pub profiling: bool,
    /// The command line: flags and their values, in order.
    pub given: Vec<(String, String)>,
    pub max_body_bytes: usize,

    pub profile: Profile,
    /// Kind of key of what the server makes for itself: loopback and self-signed certificates.
    pub key_algorithm: KeyAlgorithm,
    /// Test switch: whether the loopback client looks at the dates of certificates.
    pub check_certificate_dates: bool,
}

impl Default for Options {
    fn default() -> Self {
        let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        Self {
            bind_address: Ipv4Addr::UNSPECIFIED.into(),
            secure_port: 6443,
            advertise_address: None,
            external_hostname: None,
            http2_max_streams: 100,
            tls_cert_file: None,
            tls_private_key_file: None,
            tls_sni: Vec::new(),
            tls_min_version: String::new(),
            tls_cipher_suites: Vec::new(),
            cert_dir: "/var/run/kubernetes".into(),
            disable_http2: false,
            backend: Backend::Memory,
            etcd_prefix: REGISTRY.to_owned(),
            event_ttl: Duration::from_secs(3600),
            compaction_interval: Duration::from_secs(300),
            service_cluster_ip_ranges: texts(&["10.0.0.0/24"]),
            service_node_ports: (30_000, 32_767),
            endpoint_reconciler: EndpointReconciler::Lease,
            apiserver_count: 1,
            client_ca_file: None,
            token_auth_file: None,
            basic_auth_file: None,
            keystone: None,
            anonymous_auth: true,
            enable_bootstrap_token_auth: false,
            request_header: RequestHeader {
                client_ca_file: None,
                allowed_names: Vec::new(),
                username_headers: texts(&["x-remote-user"]),
                uid_headers: texts(&["x-remote-uid"]),
                group_headers: texts(&["x-remote-group"]),
                extra_prefixes: texts(&["x-remote-extra-"]),
            },
            oidc: None,
            authentication_config: None,
            token_webhook: TokenWebhook::default(),
            service_account_issuers: Vec::new(),
            service_account_key_files: Vec::new(),
            service_account_signing_key_file: None,
            service_account_lookup: true,
            service_account_extend_expiration: true,
            service_account_max_expiration: None,
            service_account_jwks_uri: None,
            api_audiences: Vec::new(),
            authorization_modes: texts(&["AlwaysAllow"]),
            authorization: AuthorizationOptions::default(),
            enable_admission_plugins: Vec::new(),
            disable_admission_plugins: Vec::new(),
            admission_control: None,
            admission_config_file: None,
            default_toleration_seconds: (300, 300),
            kubelet_client_certificate: None,
            kubelet_client_key: None,
            kubelet_certificate_authority: None,
            kubelet_preferred_address_types: texts(&[
                "Hostname",
                "InternalDNS",
                "InternalIP",
                "ExternalDNS",
                "ExternalIP",
            ]),
            proxy_client_cert_file: None,
            proxy_client_key_file: None,
            audit_policy_file: None,
            audit_log_path: None,
            audit_rotation: Rotation::default(),
            audit_webhook_config_file: None,
            audit_batching: Batching::default(),
            request_timeout: Duration::from_secs(60),
            min_request_timeout: Duration::from_secs(1800),
            max_requests_inflight: 400,
            max_mutating_requests_inflight: 200,
            enable_priority_and_fairness: true,
            livez_grace_period: Duration::ZERO,
            shutdown_delay: Duration::ZERO,
            shutdown_send_retry_after: false,
            shutdown_watch_termination_grace_period: Duration::ZERO,
            goaway_chance: 0.0,
            extra_headers: ExtraHeaders::default(),
            runtime_config: RuntimeConfig::default(),
            enable_logs_handler: true,
            insecure_port: 0,
            insecure_bind_address: Ipv4Addr::LOCALHOST.into(),
            feature_gates: Vec::new(),
            verbosity: 0,
            profiling: true,
            given: Vec::new(),
            max_body_bytes: 3 * 1024 * 1024,
            profile: Profile::NEWEST,
            key_algorithm: KeyAlgorithm::EcdsaP256,
            check_certificate_dates: true,
        }
    }
}

impl Options {
    /// Reads a command line without the program's name.
    ///
    /// # Errors
    /// One sentence that says which flag and what is wrong with it.
    pub fn parse<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Result<Self, UsageError> {
        parse::options(args)
    }

    /// Whether a feature gate that is off by default was opened.
    pub fn has_gate(&self, name: &str) -> bool {
        self.gate(name) == Some(true)
    }

    /// What the flags say of a feature gate; the last word counts.
    pub fn gate(&self, name: &str) -> Option<bool> {
        let gates = self.feature_gates.iter().rev().filter_map(|gate| gate.split_once('='));
        gates.filter(|(gate, _)| *gate == name).find_map(|(_, open)| open.trim().parse().ok())
    }

    /// As whom the server's own clients introduce themselves.
    pub fn user_agent(&self) -> String {
        format!("kube-apiserver/{} (linux/amd64) kubernetes/chronoplane", self.profile.git_version())
    }

    /// The address that other hosts use, given this host's own.
    pub fn advertised(&self, own: IpAddr) -> IpAddr {
        self.advertise_address.unwrap_or(if self.bind_address.is_unspecified() {
            own
        } else {
            self.bind_address
        })
    }
}
