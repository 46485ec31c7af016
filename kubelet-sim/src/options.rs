//! The kubelet's flags and its configuration file, as far as a simulated node follows them.

use std::{net::IpAddr, time::Duration};

use api::{duration, profile::Profile};
use clap::{ArgAction, CommandFactory, Parser};
use serde_json::Value;
use world::{Host, Mono};

/// Where the configuration file is unless a flag says so.
const CONFIG: &str = "/var/lib/kubelet/config.yaml";

/// Why the kubelet does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Wrong flags, in the parser's words.
    #[error("{0}")]
    Usage(String),
    /// The configuration file is not there or not readable.
    #[error(
        "failed to load kubelet config file, path: {path}, error: {why}; kubeadm writes it at init and join"
    )]
    Config {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Flags of the kubelet.
#[derive(Parser, Clone, Debug)]
#[command(name = "kubelet", disable_version_flag = true, about = "A simulated kubelet")]
struct Flags {
    /// Kubeconfig with which a first certificate is requested
    #[arg(long)]
    bootstrap_kubeconfig: Option<String>,
    /// Kubeconfig of the running kubelet; written by the bootstrap. Empty: standalone, without any API
    #[arg(long, default_value = "/etc/kubernetes/kubelet.conf")]
    kubeconfig: String,
    /// KubeletConfiguration file; releases before 1.11 have flags in its place
    #[arg(long)]
    config: Option<String>,
    /// Directory of static pods, for a kubelet without a configuration file
    #[arg(long)]
    pod_manifest_path: Option<String>,
    /// Whether client certificates are rotated, for a kubelet without a configuration file
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    rotate_certificates: Option<bool>,
    /// Authority of client certificates, for a kubelet without a configuration file
    #[arg(long)]
    client_ca_file: Option<String>,
    /// Where certificates are kept
    #[arg(long, default_value = "/var/lib/kubelet/pki")]
    cert_dir: String,
    /// Node name, when it is not the host's name
    #[arg(long)]
    hostname_override: Option<String>,
    /// Address of the node
    #[arg(long)]
    node_ip: Option<IpAddr>,
    /// Labels for the registration: a=b,c=d
    #[arg(long, value_delimiter = ',')]
    node_labels: Vec<String>,
    /// Taints for the registration: key=value:effect
    #[arg(long, value_delimiter = ',')]
    register_with_taints: Vec<String>,
    /// Release that this kubelet says to be, 1.8 to 1.36
    #[arg(long)]
    kubernetes_version: Option<String>,
    /// Of the container runtime; a simulated node has none
    #[arg(long)]
    container_runtime_endpoint: Option<String>,
    /// Accepted for kubeadm before 1.27
    #[arg(long)]
    pod_infra_container_image: Option<String>,
    /// Accepted for kubeadm before 1.24
    #[arg(long)]
    network_plugin: Option<String>,
    /// Accepted for the package of kubelets before 1.11
    #[arg(long, hide = true)]
    allow_privileged: Option<bool>,
    /// Accepted for the package of kubelets before 1.11
    #[arg(long, hide = true)]
    authorization_mode: Option<String>,
    /// Accepted for the package of kubelets before 1.11
    #[arg(long, hide = true)]
    cadvisor_port: Option<u16>,
    /// Accepted for the package of kubelets before 1.11
    #[arg(long, hide = true)]
    cluster_dns: Option<String>,
    /// Accepted for the package of kubelets before 1.11
    #[arg(long, hide = true)]
    cluster_domain: Option<String>,
    /// Accepted for the package of kubelets before 1.11
    #[arg(long, hide = true)]
    cni_bin_dir: Option<String>,
    /// Accepted for the package of kubelets before 1.11
    #[arg(long, hide = true)]
    cni_conf_dir: Option<String>,
    /// Requests a second that the kubelet may send, heartbeats not counted; a negative rate is no limit
    #[arg(long, allow_hyphen_values = true)]
    kube_api_qps: Option<f64>,
    /// Requests that may come at once before that rate holds
    #[arg(long)]
    kube_api_burst: Option<u32>,
    /// Log verbosity; accepted
    #[arg(short = 'v', long = "v")]
    verbosity: Option<u8>,
}

/// `kubelet --help`.
pub fn help() -> String {
    Flags::command().render_help().to_string()
}

/// What a kubelet was told.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--bootstrap-kubeconfig`.
    pub bootstrap_kubeconfig: Option<String>,
    /// `--kubeconfig`.
    pub kubeconfig: String,
    /// `--cert-dir`.
    pub cert_dir: String,
    /// The node's name.
    pub node_name: String,
    /// The node's address.
    pub node_ip: IpAddr,
    /// Labels of the registration.
    pub labels: Vec<(String, String)>,
    /// Taints of the registration: key, value, effect.
    pub taints: Vec<(String, String, String)>,
    /// The release.
    pub profile: Profile,
    /// rotateCertificates.
    pub rotate: bool,
    /// tlsCertFile and tlsPrivateKeyFile, when both are given.
    pub serving_files: Option<(String, String)>,
    /// serverTLSBootstrap.
    pub server_tls_bootstrap: bool,
    /// staticPodPath.
    pub static_pods: Option<String>,
    /// x509.clientCAFile.
    pub client_ca: Option<String>,
    /// healthzPort; 0 for none.
    pub healthz_port: u16,
    /// port, default 10250.
    pub port: u16,
    /// nodeStatusUpdateFrequency, default 10 s.
    pub status_update: Duration,
    /// nodeStatusReportFrequency, default 5 min, or nodeStatusUpdateFrequency if only that is given.
    pub status_report: Duration,
    /// nodeLeaseDurationSeconds, default 40.
    pub lease_seconds: u64,
    /// maxPods, default 110.
    pub max_pods: u64,
    /// streamingConnectionIdleTimeout, default 4 h.
    pub streaming_idle: Duration,
    /// kubeAPIQPS and kubeAPIBurst: the limit of all but heartbeats.
    pub api_rate: (f64, u32),
    /// When the process started, on the monotonic clock.
    pub started: Mono,
}

impl Options {
    /// From flags and the file that they name.
    ///
    /// # Errors
    /// A wrong flag, or no readable configuration.
    pub fn load(host: &Host, args: Vec<String>) -> Result<Self, OptionsError> {
        let argv = std::iter::once("kubelet".to_owned()).chain(args);
        let flags = Flags::try_parse_from(argv).map_err(|e| OptionsError::Usage(e.to_string()))?;
        let profile = match &flags.kubernetes_version {
            None => Profile::default(),
            Some(v) => {
                Profile::parse(v).map_err(|e| OptionsError::Usage(format!("--kubernetes-version: {e}")))?
            }
        };
        let path = match &flags.config {
            None if profile.kubelet_unit_flags_only() => None,
            given => Some(given.as_deref().unwrap_or(CONFIG)),
        };
        let fail = |why: String| OptionsError::Config { path: path.unwrap_or_default().to_owned(), why };
        let file = match path {
            None => Value::Null,
            Some(path) => {
                let text = host.disk().read_to_string(path).map_err(|e| fail(e.to_string()))?;
                let file: Value = serde_saphyr::from_str(&text).map_err(|e| fail(e.to_string()))?;
                if file.get("kind").and_then(Value::as_str) != Some("KubeletConfiguration") {
                    return Err(fail("kind is not KubeletConfiguration".into()));
                }
                file
            }
        };
        let number = |field: &str, default: u64| file.get(field).and_then(Value::as_u64).unwrap_or(default);
        let port =
            |field: &str, default: u16| u16::try_from(number(field, default.into())).unwrap_or(default);
        let text = |pointer: &str| file.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let seconds = |field: &str, default: u64| -> Result<Duration, OptionsError> {
            let given = text(&format!("/{field}")).as_deref().map(duration::parse).transpose();
            let given = given.map_err(|e| fail(format!("{field}: {e}")))?;
            // To upstream's defaulting a zero is the same as nothing.
            Ok(given.filter(|d| !d.is_zero()).unwrap_or(Duration::from_secs(default)))
        };
        let truth = |field: &str| file.get(field).and_then(Value::as_bool).unwrap_or(false);
        let update = seconds("nodeStatusUpdateFrequency", 0)?;
        let report = if update.is_zero() { 300 } else { update.as_secs() };
        Ok(Self {
            node_name: flags.hostname_override.unwrap_or_else(|| host.name().to_owned()).to_lowercase(),
            node_ip: flags.node_ip.unwrap_or_else(|| host.net().address()),
            labels: flags
                .node_labels
                .iter()
                .filter_map(|l| l.split_once('='))
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
            taints: flags.register_with_taints.iter().filter_map(|t| parse_taint(t)).collect(),
            profile,
            // A flag wins over the file.
            rotate: flags.rotate_certificates.unwrap_or_else(|| truth("rotateCertificates")),
            serving_files: text("/tlsCertFile").zip(text("/tlsPrivateKeyFile")),
            server_tls_bootstrap: truth("serverTLSBootstrap"),
            static_pods: flags.pod_manifest_path.or(text("/staticPodPath")),
            client_ca: flags.client_ca_file.or(text("/authentication/x509/clientCAFile")),
            healthz_port: port("healthzPort", 10_248),
            port: port("port", 10_250),
            status_update: if update.is_zero() { Duration::from_secs(10) } else { update },
            status_report: seconds("nodeStatusReportFrequency", report)?,
            lease_seconds: number("nodeLeaseDurationSeconds", 40),
            max_pods: number("maxPods", 110),
            streaming_idle: seconds("streamingConnectionIdleTimeout", 4 * 3600)?,
            api_rate: {
                let (qps, burst) = profile.kubelet_api_rate();
                let given = file.get("kubeAPIQPS").and_then(Value::as_f64);
                let rate = flags.kube_api_qps.or(given).unwrap_or_else(|| qps.into());
                let burst =
                    flags.kube_api_burst.map_or_else(|| number("kubeAPIBurst", burst.into()), u64::from);
                (rate, u32::try_from(burst).unwrap_or(u32::MAX))
            },
            started: host.clock().monotonic(),
            bootstrap_kubeconfig: flags.bootstrap_kubeconfig,
            kubeconfig: flags.kubeconfig,
            cert_dir: flags.cert_dir,
        })
    }
}

impl Options {
    /// What servers log about this kubelet's requests.
    pub(crate) fn user_agent(&self) -> String {
        format!("kubelet/{} (linux/amd64) kubernetes", self.profile.git_version())
    }
}

#[cfg(test)]
impl Options {
    pub(crate) fn for_tests() -> Self {
        Self {
            bootstrap_kubeconfig: None,
            kubeconfig: "/etc/kubernetes/kubelet.conf".into(),
            cert_dir: "/var/lib/kubelet/pki".into(),
            node_name: "n1".into(),
            node_ip: IpAddr::from([10, 0, 0, 9]),
            labels: Vec::new(),
            taints: Vec::new(),
            profile: Profile::default(),
            rotate: true,
            serving_files: None,
            server_tls_bootstrap: false,
            static_pods: None,
            client_ca: None,
            healthz_port: 0,
            port: 10_250,
            status_update: Duration::from_secs(10),
            status_report: Duration::from_secs(300),
            lease_seconds: 40,
            max_pods: 110,
            streaming_idle: Duration::from_secs(4 * 3600),
            api_rate: (50.0, 100),
            started: Mono::default(),
        }
    }
}

fn parse_taint(text: &str) -> Option<(String, String, String)> {
    let (key, effect) = text.rsplit_once(':')?;
    let (key, value) = key.split_once('=').unwrap_or((key, ""));
    Some((key.into(), value.into(), effect.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_follows_the_update_when_only_that_is_given() {
        let check = |more: serde_json::Value, update: u64, report: u64| {
            let mut config = serde_json::json!({"kind": "KubeletConfiguration"});
            for (key, value) in more.as_object().into_iter().flatten() {
                config[key] = value.clone();
            }
            let loaded = world::sim::run(world::sim::Config::default(), async |sim: world::sim::Sim| {
                let host = sim.host("n1");
                host.disk()
                    .write("/var/lib/kubelet/config.yaml", config.to_string(), 0o644)
                    .expect("written");
                Options::load(&host, Vec::new())
            });
            let loaded = loaded.expect("a runtime").expect("readable");
            assert_eq!(
                (loaded.status_update.as_secs(), loaded.status_report.as_secs()),
                (update, report),
                "{config}"
            );
        };
        let (update, report) = ("nodeStatusUpdateFrequency", "nodeStatusReportFrequency");
        check(serde_json::json!({}), 10, 300);
        check(serde_json::json!({update: "20s"}), 20, 20);
        check(serde_json::json!({report: "1m"}), 10, 60);
        check(serde_json::json!({update: "20s", report: "1m"}), 20, 60);
        check(serde_json::json!({update: "0s", report: "0s"}), 10, 300);
    }

    #[test]
    fn taints_have_key_value_and_effect() {
        let taint = |k: &str, v: &str, e: &str| Some((k.to_owned(), v.to_owned(), e.to_owned()));
        assert_eq!(parse_taint("a=b:NoSchedule"), taint("a", "b", "NoSchedule"));
        assert_eq!(parse_taint("a:NoExecute"), taint("a", "", "NoExecute"));
        assert_eq!(parse_taint("a"), None);
    }
}
