//! Flags of kube-controller-manager and kube-scheduler, as kubeadm writes them.

use std::{net::IpAddr, time::Duration};

use api::{duration, profile::Profile};
use clap::{CommandFactory, Parser};
use client::{Bucket, QueueOptions, leader::Election};
use world::Host;

/// Wrong flags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// In the parser's words.
    #[error("{0}")]
    Usage(String),
}

/// Times of the leader election, which must fit together.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct ElectionFlags {
    /// How long others wait after the leader's last renewal
    #[arg(long, default_value = "15s", value_parser = duration::parse, help_heading = "Leader election flags")]
    pub leader_elect_lease_duration: Duration,
    /// How long the leader tries to renew before it gives up
    #[arg(long, default_value = "10s", value_parser = duration::parse, help_heading = "Leader election flags")]
    pub leader_elect_renew_deadline: Duration,
    /// Between two tries
    #[arg(long, default_value = "2s", value_parser = duration::parse, help_heading = "Leader election flags")]
    pub leader_elect_retry_period: Duration,
}

impl ElectionFlags {
    /// The election for the Lease `name` in kube-system, as `profile` holds it.
    pub(crate) fn election(self, host: &Host, name: &str, profile: Profile) -> Election {
        Election {
            lease_duration: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry_period: self.leader_elect_retry_period,
            heeds_record: profile.candidates_heed_the_record(),
            ..Election::new(host, "kube-system", name)
        }
    }
}

/// Flags of kube-controller-manager.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "kube-controller-manager",
    disable_version_flag = true,
    about = "Controller loops of a simulated control plane"
)]
pub struct ManagerOptions {
    /// Kubeconfig of the manager
    #[arg(long, default_value = "/etc/kubernetes/controller-manager.conf", help_heading = "Misc flags")]
    pub kubeconfig: String,
    /// For delegated authentication; accepted
    #[arg(long, help_heading = "Authentication flags")]
    pub authentication_kubeconfig: Option<String>,
    /// For delegated authorization; accepted
    #[arg(long, help_heading = "Authorization flags")]
    pub authorization_kubeconfig: Option<String>,
    /// Address of the health port
    #[arg(long, default_value = "0.0.0.0", help_heading = "Secure serving flags")]
    pub bind_address: IpAddr,
    /// Health port
    #[arg(long, default_value_t = 10_257, help_heading = "Secure serving flags")]
    pub secure_port: u16,
    /// For clients of the health port; accepted
    #[arg(long, help_heading = "Authentication flags")]
    pub client_ca_file: Option<String>,
    /// Name of the cluster
    #[arg(long, default_value = "kubernetes", help_heading = "Generic flags")]
    pub cluster_name: String,
    /// Certificate of the authority that signs requests
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_cert_file: Option<String>,
    /// Its key
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_key_file: Option<String>,
    /// Certificate of the authority of kubernetes.io/kubelet-serving alone
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_kubelet_serving_cert_file: Option<String>,
    /// Its key
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_kubelet_serving_key_file: Option<String>,
    /// Certificate of the authority of kubernetes.io/kube-apiserver-client-kubelet alone
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_kubelet_client_cert_file: Option<String>,
    /// Its key
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_kubelet_client_key_file: Option<String>,
    /// Certificate of the authority of kubernetes.io/kube-apiserver-client alone
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_kube_apiserver_client_cert_file: Option<String>,
    /// Its key
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_kube_apiserver_client_key_file: Option<String>,
    /// Certificate of the authority of kubernetes.io/legacy-unknown alone
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_legacy_unknown_cert_file: Option<String>,
    /// Its key
    #[arg(long, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_legacy_unknown_key_file: Option<String>,
    /// Longest validity of a signed certificate
    #[arg(long, alias = "experimental-cluster-signing-duration", default_value = "8760h0m0s", value_parser = duration::parse, help_heading = "Csrsigning controller flags")]
    pub cluster_signing_duration: Duration,
    /// Loops to run: `*`, `name`, `-name`
    #[arg(
        long,
        default_value = "*",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Generic flags"
    )]
    pub controllers: Vec<String>,
    /// Run only while leading
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Leader election flags")]
    pub leader_elect: bool,
    /// Its times
    #[command(flatten)]
    pub election: ElectionFlags,
    /// For aggregated servers; accepted
    #[arg(long, help_heading = "Authentication flags")]
    pub requestheader_client_ca_file: Option<String>,
    /// CA that is published to every namespace
    #[arg(long, help_heading = "Misc flags")]
    pub root_ca_file: Option<String>,
    /// Signs service-account tokens that are kept in Secrets
    #[arg(long, help_heading = "Serviceaccount controller flags")]
    pub service_account_private_key_file: Option<String>,
    /// After so long an old service-account token that nobody uses is marked, then removed
    #[arg(long, default_value = "8760h0m0s", value_parser = duration::parse, help_heading = "Legacy service account token cleaner flags")]
    pub legacy_service_account_token_clean_up_period: Duration,
    /// Each loop is a service account of its own
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Generic flags")]
    pub use_service_account_credentials: bool,
    /// Each node gets addresses for its pods
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Generic flags")]
    pub allocate_node_cidrs: bool,
    /// Addresses of all pods; one range per family
    #[arg(long, help_heading = "Generic flags")]
    pub cluster_cidr: Option<String>,
    /// Bits of a node's part; 24, for IPv6 64
    #[arg(long, help_heading = "Nodeipam controller flags")]
    pub node_cidr_mask_size: Option<u8>,
    /// The same, of the IPv4 range of two
    #[arg(long, help_heading = "Nodeipam controller flags")]
    pub node_cidr_mask_size_ipv4: Option<u8>,
    /// The same, of the IPv6 range of two
    #[arg(long, help_heading = "Nodeipam controller flags")]
    pub node_cidr_mask_size_ipv6: Option<u8>,
    /// Addresses of services, which no pod gets
    #[arg(long, help_heading = "Nodeipam controller flags")]
    pub service_cluster_ip_range: Option<String>,
    /// How often node health is looked at
    #[arg(long, default_value = "5s", value_parser = duration::parse, help_heading = "Generic flags")]
    pub node_monitor_period: Duration,
    /// How long a node may be silent; 50s, before 1.32 40s
    #[arg(long, value_parser = duration::parse, help_heading = "Nodelifecycle controller flags")]
    pub node_monitor_grace_period: Option<Duration>,
    /// How long a new node may be silent
    #[arg(long, default_value = "1m", value_parser = duration::parse, help_heading = "Nodelifecycle controller flags")]
    pub node_startup_grace_period: Duration,
    /// Requests a second that each client of the manager may send; a negative rate is no limit
    #[arg(long, default_value_t = 20.0, allow_hyphen_values = true, help_heading = "Generic flags")]
    pub kube_api_qps: f64,
    /// Requests that may come at once before that rate holds
    #[arg(long, default_value_t = 30, help_heading = "Generic flags")]
    pub kube_api_burst: u32,
    /// Not upstream's, where it is fixed: retries a second of each work queue; a negative rate is no limit
    #[arg(long, default_value_t = 10.0, allow_hyphen_values = true, help_heading = "Chronoplane flags")]
    pub chronoplane_queue_qps: f64,
    /// Not upstream's, where it is fixed: retries that may come at once before that rate holds
    #[arg(long, default_value_t = 100, help_heading = "Chronoplane flags")]
    pub chronoplane_queue_burst: u32,
    /// Not upstream's, where it is fixed: signing requests that each CSR loop works on at once
    #[arg(long, default_value_t = 5, help_heading = "Chronoplane flags")]
    pub chronoplane_concurrent_csr_syncs: usize,
    /// Release, 1.8 to 1.36
    #[arg(long, value_parser = profile, default_value = "1.36", help_heading = "Chronoplane flags")]
    pub kubernetes_version: Profile,
    /// Log verbosity; accepted
    #[arg(short = 'v', long = "v", help_heading = "Logs flags")]
    pub verbosity: Option<u8>,
}

/// Flags of kube-scheduler.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "kube-scheduler",
    disable_version_flag = true,
    about = "Scheduler of a simulated control plane"
)]
pub struct SchedulerOptions {
    /// Kubeconfig of the scheduler
    #[arg(long, default_value = "/etc/kubernetes/scheduler.conf", help_heading = "Deprecated flags")]
    pub kubeconfig: String,
    /// For delegated authentication; accepted
    #[arg(long, help_heading = "Authentication flags")]
    pub authentication_kubeconfig: Option<String>,
    /// For delegated authorization; accepted
    #[arg(long, help_heading = "Authorization flags")]
    pub authorization_kubeconfig: Option<String>,
    /// Address of the health port
    #[arg(long, default_value = "0.0.0.0", help_heading = "Secure serving flags")]
    pub bind_address: IpAddr,
    /// Health port
    #[arg(long, default_value_t = 10_259, help_heading = "Secure serving flags")]
    pub secure_port: u16,
    /// Run only while leading
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Leader election flags")]
    pub leader_elect: bool,
    /// Its times
    #[command(flatten)]
    pub election: ElectionFlags,
    /// Requests a second that the scheduler may send; a negative rate is no limit
    #[arg(long, default_value_t = 50.0, allow_hyphen_values = true, help_heading = "Deprecated flags")]
    pub kube_api_qps: f64,
    /// Requests that may come at once before that rate holds
    #[arg(long, default_value_t = 100, help_heading = "Deprecated flags")]
    pub kube_api_burst: u32,
    /// Release, 1.8 to 1.36
    #[arg(long, value_parser = profile, default_value = "1.36", help_heading = "Chronoplane flags")]
    pub kubernetes_version: Profile,
    /// Log verbosity; accepted
    #[arg(short = 'v', long = "v", help_heading = "Logs flags")]
    pub verbosity: Option<u8>,
}

impl ManagerOptions {
    /// `kube-controller-manager --help`.
    pub fn help() -> String {
        Self::command().render_help().to_string()
    }

    /// From flags, without the program's name.
    ///
    /// # Errors
    /// An unknown flag or a bad value.
    pub fn parse_args(args: Vec<String>) -> Result<Self, OptionsError> {
        let argv = std::iter::once("kube-controller-manager".to_owned()).chain(args);
        Self::try_parse_from(argv).map_err(|e| OptionsError::Usage(e.to_string()))
    }

    /// The limits of a work queue whose keys wait from `base` to `max` after failures.
    pub fn queue(&self, base: Duration, max: Duration) -> QueueOptions {
        let bucket = (self.chronoplane_queue_qps > 0.0)
            .then(|| Bucket::new(self.chronoplane_queue_qps, self.chronoplane_queue_burst));
        QueueOptions { base, max, bucket }
    }

    /// Whether the loop with this long name (and its old short one) runs: an explicit `name` or
    /// `-name` decides, then `*` for those that are on by default.
    pub fn runs(&self, long: &str, short: &str, by_default: bool) -> bool {
        let named = |c: &str| c == long || c == short;
        let off = self.controllers.iter().any(|c| c.strip_prefix('-').is_some_and(named));
        let on = self.controllers.iter().any(|c| named(c));
        let all = self.controllers.iter().any(|c| c == "*");
        on || (!off && all && by_default)
    }
}

impl SchedulerOptions {
    /// `kube-scheduler --help`.
    pub fn help() -> String {
        Self::command().render_help().to_string()
    }

    /// From flags, without the program's name.
    ///
    /// # Errors
    /// An unknown flag or a bad value.
    pub fn parse_args(args: Vec<String>) -> Result<Self, OptionsError> {
        let argv = std::iter::once("kube-scheduler".to_owned()).chain(args);
        Self::try_parse_from(argv).map_err(|e| OptionsError::Usage(e.to_string()))
    }
}

fn profile(text: &str) -> Result<Profile, String> {
    Profile::parse(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> ManagerOptions {
        ManagerOptions::parse_args(args.iter().map(|a| (*a).to_owned()).collect()).expect("valid")
    }

    #[test]
    fn which_loops_run() {
        let signer =
            |list: &str| options(&[list]).runs("bootstrap-signer-controller", "bootstrapsigner", false);
        let cleaner = |list: &str| {
            options(&[list]).runs("certificatesigningrequest-cleaner-controller", "csrcleaner", true)
        };
        assert!(!signer("--controllers=*"), "off by default");
        assert!(signer("--controllers=*,bootstrapsigner"));
        assert!(signer("--controllers=bootstrap-signer-controller"));
        assert!(cleaner("--controllers=*"));
        assert!(!cleaner("--controllers=*,-csrcleaner"));
        assert!(!cleaner("--controllers=bootstrapsigner"));
    }

    #[test]
    fn an_unknown_flag_is_named() {
        let error = ManagerOptions::parse_args(vec!["--no-such-flag=1".into()]).expect_err("unknown");
        assert!(error.to_string().contains("--no-such-flag"), "{error}");
    }
}
