//! From a command line to [`Options`], by the rules of Go's pflag.

use std::{collections::BTreeMap, fmt::Display, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use api::profile::Profile;
use pki::KeyAlgorithm;

use super::{Backend, EndpointReconciler, Options, SniPair, audit, authentication, authorization, flags};
use crate::{pipeline::ExtraHeaders, runtime_config::RuntimeConfig};
use flags::{Shape, Standing};

/// Why a command line was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No such flag.
    #[error("unknown flag: --{0}")]
    Unknown(String),
    /// Not a flag at all.
    #[error("unknown command \"{0}\" for \"kube-apiserver\": flags begin with two dashes")]
    NotAFlag(String),
    /// The flag came last and wants a value.
    #[error("flag needs an argument: --{0}")]
    NeedsValue(String),
    /// The value does not fit.
    #[error("invalid argument {value:?} for \"--{flag}\" flag: {why}")]
    Invalid {
        /// The flag.
        flag: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// Known, and not done here.
    #[error("--{flag} is not supported: {why}")]
    Refused {
        /// The flag.
        flag: String,
        /// Why, or what to do instead.
        why: String,
    },
    /// Each flag is fine, together they are not.
    #[error("{0}")]
    Together(String),
}

type Given = BTreeMap<String, Vec<String>>;

fn read<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Result<Given, UsageError> {
    let mut given = Given::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let arg = arg.as_ref();
        let body = match arg.strip_prefix("--") {
            Some(body) => body,
            // klog's `-v 2` is the one short flag in use.
            None if arg == "-v" || arg.starts_with("-v=") => arg.trim_start_matches('-'),
            None => return Err(UsageError::NotAFlag(arg.to_owned())),
        };
        let (name, inline) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let name = name.replace('_', "-");
        let Some((shape, standing)) = flags::find(&name) else { return Err(UsageError::Unknown(name)) };
        if let Standing::Refused(why) = standing {
            return Err(UsageError::Refused { flag: name, why: why.to_owned() });
        }
        let value = match (inline, shape) {
            (Some(value), _) => value,
            (None, Shape::Switch) => "true".to_owned(),
            (None, _) => match args.next() {
                Some(value) => value.as_ref().to_owned(),
                None => return Err(UsageError::NeedsValue(name)),
            },
        };
        let values = given.entry(name).or_default();
        match shape {
            Shape::Many => values.extend(value.split(',').filter(|v| !v.is_empty()).map(str::to_owned)),
            Shape::One | Shape::Switch => values.push(value),
        }
    }
    Ok(given)
}

pub(super) fn invalid(flag: &str, value: &str, why: impl Display) -> UsageError {
    UsageError::Invalid { flag: flag.to_owned(), value: value.to_owned(), why: why.to_string() }
}

/// The flags that were given, with their values.
pub(super) struct Values(Given);

impl Values {
    pub(super) fn is_given(&self, flag: &str) -> bool {
        self.0.contains_key(flag)
    }

    pub(super) fn last(&self, flag: &str) -> Option<&str> {
        self.0.get(flag)?.last().map(String::as_str).filter(|v| !v.is_empty())
    }

    pub(super) fn text(&self, flag: &str, into: &mut Option<String>) {
        if let Some(value) = self.last(flag) {
            *into = Some(value.to_owned());
        }
    }

    pub(super) fn path(&self, flag: &str, into: &mut Option<PathBuf>) {
        if let Some(value) = self.last(flag) {
            *into = Some(value.into());
        }
    }

    pub(super) fn list(&self, flag: &str, into: &mut Vec<String>) {
        if let Some(values) = self.0.get(flag) {
            into.clone_from(values);
        }
    }

    pub(super) fn all(&self, flag: &str) -> impl Iterator<Item = &str> {
        self.0.get(flag).into_iter().flatten().map(String::as_str)
    }

    pub(super) fn switch(&self, flag: &str, into: &mut bool) -> Result<(), UsageError> {
        let Some(value) = self.last(flag) else { return Ok(()) };
        *into = match value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => {
                return Err(invalid(
                    flag,
                    value,
                    format!("strconv.ParseBool: parsing {value:?}: invalid syntax"),
                ));
            }
        };
        Ok(())
    }

    pub(super) fn duration(&self, flag: &str, into: &mut Duration) -> Result<(), UsageError> {
        if let Some(value) = self.last(flag) {
            *into = api::duration::parse(value).map_err(|e| invalid(flag, value, e))?;
        }
        Ok(())
    }

    pub(super) fn parsed<T: FromStr>(&self, flag: &str, into: &mut T) -> Result<(), UsageError>
    where
        T::Err: Display,
    {
        if let Some(value) = self.last(flag) {
            *into = value.parse().map_err(|e| invalid(flag, value, e))?;
        }
        Ok(())
    }
}

pub(super) fn options<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Result<Options, UsageError> {
    let v = Values(read(args)?);
    let mut o = Options::default();
    if let Some(value) = v.last("kubernetes-version") {
        o.profile = Profile::parse(value).map_err(|e| invalid("kubernetes-version", value, e))?;
    }
    serving(&v, &mut o)?;
    endpoints(&v, &mut o)?;
    storage(&v, &mut o)?;
    authentication::read(&v, &mut o)?;
    authorization::read(&v, &mut o)?;
    v.list("enable-admission-plugins", &mut o.enable_admission_plugins);
    v.list("disable-admission-plugins", &mut o.disable_admission_plugins);
    o.admission_control = v.0.get("admission-control").cloned();
    v.path("admission-control-config-file", &mut o.admission_config_file);
    v.parsed("default-not-ready-toleration-seconds", &mut o.default_toleration_seconds.0)?;
    v.parsed("default-unreachable-toleration-seconds", &mut o.default_toleration_seconds.1)?;
    v.path("kubelet-client-certificate", &mut o.kubelet_client_certificate);
    v.path("kubelet-client-key", &mut o.kubelet_client_key);
    v.path("kubelet-certificate-authority", &mut o.kubelet_certificate_authority);
    v.list("kubelet-preferred-address-types", &mut o.kubelet_preferred_address_types);
    v.path("proxy-client-cert-file", &mut o.proxy_client_cert_file);
    v.path("proxy-client-key-file", &mut o.proxy_client_key_file);
    audit::audit(&v, &mut o)?;
    v.duration("request-timeout", &mut o.request_timeout)?;
    let mut seconds = o.min_request_timeout.as_secs();
    v.parsed("min-request-timeout", &mut seconds)?;
    o.min_request_timeout = Duration::from_secs(seconds);
    v.parsed("max-requests-inflight", &mut o.max_requests_inflight)?;
    v.parsed("max-mutating-requests-inflight", &mut o.max_mutating_requests_inflight)?;
    v.switch("enable-priority-and-fairness", &mut o.enable_priority_and_fairness)?;
    v.duration("livez-grace-period", &mut o.livez_grace_period)?;
    v.duration("shutdown-delay-duration", &mut o.shutdown_delay)?;
    v.switch("shutdown-send-retry-after", &mut o.shutdown_send_retry_after)?;
    let grace = &mut o.shutdown_watch_termination_grace_period;
    v.duration("shutdown-watch-termination-grace-period", grace)?;
    v.parsed("v", &mut o.verbosity)?;
    v.switch("profiling", &mut o.profiling)?;
    v.parsed("goaway-chance", &mut o.goaway_chance)?;
    if !(0.0..=0.02).contains(&o.goaway_chance) {
        return Err(UsageError::Together(
            "--goaway-chance can not be less than 0 or greater than 0.02".to_owned(),
        ));
    }
    surface(&v, &mut o)?;
    authorization::check(&v, &o)?;
    if let Some(value) = v.last("key-algorithm") {
        o.key_algorithm = key_algorithm(value).ok_or_else(|| {
            invalid("key-algorithm", value, "use one of RSA-2048, RSA-3072, RSA-4096, ECDSA-P256, ECDSA-P384")
        })?;
    }
    Ok(o)
}

/// The last release that listened without TLS.
const LAST_INSECURE: u16 = 19;

fn surface(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    let (mut origins, mut directives, mut runtime) = (Vec::new(), Vec::new(), Vec::new());
    v.list("cors-allowed-origins", &mut origins);
    v.list("strict-transport-security-directives", &mut directives);
    o.extra_headers = ExtraHeaders::parse(&origins, &directives).map_err(UsageError::Together)?;
    v.list("runtime-config", &mut runtime);
    o.runtime_config = RuntimeConfig::parse(&runtime).map_err(UsageError::Together)?;
    v.switch("enable-logs-handler", &mut o.enable_logs_handler)?;
    v.list("feature-gates", &mut o.feature_gates);
    v.parsed("insecure-port", &mut o.insecure_port)?;
    if o.insecure_port != 0 && o.profile.minor() > LAST_INSECURE {
        return Err(UsageError::Refused {
            flag: "insecure-port".to_owned(),
            why: "the insecure port was removed in Kubernetes 1.24; only port 0 may be given".to_owned(),
        });
    }
    if let Some(ip) = address(v, "insecure-bind-address")? {
        o.insecure_bind_address = ip;
    }
    let pairs = |(flag, values): (&String, &Vec<String>)| (flag.clone(), values.join(","));
    o.given = v.0.iter().map(pairs).collect();
    Ok(())
}

fn key_algorithm(text: &str) -> Option<KeyAlgorithm> {
    Some(match text {
        "RSA-2048" => KeyAlgorithm::Rsa2048,
        "RSA-3072" => KeyAlgorithm::Rsa3072,
        "RSA-4096" => KeyAlgorithm::Rsa4096,
        "ECDSA-P256" => KeyAlgorithm::EcdsaP256,
        "ECDSA-P384" => KeyAlgorithm::EcdsaP384,
        _ => return None,
    })
}

fn address(v: &Values, flag: &str) -> Result<Option<IpAddr>, UsageError> {
    v.last(flag)
        .map(|text| text.parse().map_err(|_| invalid(flag, text, format!("failed to parse IP: {text:?}"))))
        .transpose()
}

fn serving(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    if let Some(ip) = address(v, "bind-address")? {
        o.bind_address = ip;
    }
    o.advertise_address = address(v, "advertise-address")?;
    let mut port = i64::from(o.secure_port);
    v.parsed("secure-port", &mut port)?;
    o.secure_port = u16::try_from(port).ok().filter(|p| *p > 0).ok_or_else(|| {
        UsageError::Together(format!(
            "--secure-port {port} must be between 1 and 65535, inclusive. It cannot be turned off with 0"
        ))
    })?;
    v.text("external-hostname", &mut o.external_hostname);
    let mut streams = 0;
    v.parsed("http2-max-streams-per-connection", &mut streams)?;
    if streams > 0 {
        o.http2_max_streams = streams;
    }
    v.path("tls-cert-file", &mut o.tls_cert_file);
    v.path("tls-private-key-file", &mut o.tls_private_key_file);
    if o.tls_cert_file.is_some() != o.tls_private_key_file.is_some() {
        return Err(UsageError::Together(
            "--tls-cert-file and --tls-private-key-file must be given together".to_owned(),
        ));
    }
    if let Some(dir) = v.last("cert-dir") {
        o.cert_dir = dir.into();
    }
    v.switch("disable-http2-serving", &mut o.disable_http2)?;
    for value in v.0.get("tls-sni-cert-key").into_iter().flatten() {
        let (files, names) = value.split_once(':').unwrap_or((value, ""));
        let (certificate, key) = files.split_once(',').ok_or_else(|| {
            invalid("tls-sni-cert-key", value, "expected comma separated certificate and key file paths")
        })?;
        let names = names.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
        o.tls_sni.push(SniPair { certificate: certificate.into(), key: key.into(), names });
    }
    if let Some(version) = v.last("tls-min-version") {
        o.tls_min_version = version.to_owned();
    }
    v.list("tls-cipher-suites", &mut o.tls_cipher_suites);
    v.list("service-cluster-ip-range", &mut o.service_cluster_ip_ranges);
    for range in &o.service_cluster_ip_ranges {
        if crate::allocate::Subnet::parse(range).is_none() {
            return Err(invalid("service-cluster-ip-range", range, "expected a CIDR such as 10.96.0.0/12"));
        }
    }
    if let Some(range) = v.last("service-node-port-range") {
        let bounds = range.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        o.service_node_ports = bounds.filter(|(a, b): &(u16, u16)| a <= b && *a > 0).ok_or_else(|| {
            invalid("service-node-port-range", range, "expected two ports such as 30000-32767")
        })?;
    }
    Ok(())
}

fn endpoints(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    let mut count = 1_i64;
    v.parsed("apiserver-count", &mut count)?;
    o.apiserver_count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or_else(|| {
        UsageError::Together(format!(
            "--apiserver-count should be a positive number, but value '{count}' provided"
        ))
    })?;
    o.endpoint_reconciler = match v.last("endpoint-reconciler-type") {
        Some("master-count") => EndpointReconciler::MasterCount,
        Some("lease") => EndpointReconciler::Lease,
        Some("none") => EndpointReconciler::None,
        None if o.profile.endpoints_by_lease() => EndpointReconciler::Lease,
        None => EndpointReconciler::MasterCount,
        Some(other) => {
            let why = "use one of master-count, lease, none";
            return Err(invalid("endpoint-reconciler-type", other, why));
        }
    };
    Ok(())
}

fn storage(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    let mut endpoints = Vec::new();
    v.list("etcd-servers", &mut endpoints);
    if let Some(prefix) = v.last("etcd-prefix") {
        let path = prefix.trim_matches('/');
        o.etcd_prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
    }
    o.backend = match v.last("storage-backend") {
        Some("memory") => Backend::Memory,
        Some("sled") => match v.last("data-dir") {
            Some(dir) => Backend::Sled(dir.into()),
            None => {
                return Err(UsageError::Together(
                    "--storage-backend=sled needs --data-dir, the directory to keep the objects in"
                        .to_owned(),
                ));
            }
        },
        None | Some("etcd3" | "etcd") => {
            if endpoints.is_empty() {
                return Err(UsageError::Together(
                    "--etcd-servers must be specified, or --storage-backend=memory or sled".to_owned(),
                ));
            }
            let (mut ca, mut certificate, mut key) = (None, None, None);
            v.path("etcd-cafile", &mut ca);
            v.path("etcd-certfile", &mut certificate);
            v.path("etcd-keyfile", &mut key);
            Backend::Etcd { endpoints, ca, certificate, key }
        }
        Some(other) => return Err(invalid("storage-backend", other, "use one of etcd3, sled, memory")),
    };
    v.duration("event-ttl", &mut o.event_ttl)?;
    v.duration("etcd-compaction-interval", &mut o.compaction_interval)
}
