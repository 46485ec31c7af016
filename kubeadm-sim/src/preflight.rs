//! Preflight checks: what would make the bootstrap fail later, found before anything is written
//! (`cmd/kubeadm/app/preflight/checks.go`), in upstream's order and by its names.
//!
//! Ports, files, directories and units are the host's own. Of its CPUs, memory, swap, kernel settings, programs and
//! proxies a simulated host has what its tree says (`machine`); what the tree does not mention is in order.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use api::profile::{Profile, console};

use crate::{
    config::{InitConfig, JoinConfig},
    etcd_version,
    kubelet::UNIT,
    machine::{self, Machine},
    node_registration::NodeRegistration,
    paths::{
        BOOTSTRAP_KUBELET_CONF, CONTROLLER_MANAGER_PORT, KUBELET_CONF, KUBELET_PORT, MANIFESTS_DIR,
        SCHEDULER_PORT,
    },
    proxy,
    session::{Failure, Result, Session},
    system_verification,
};

/// What a control plane needs at least.
const CPUS: usize = 2;
const MEGABYTES: u64 = 1700;

/// What the checks found, in the order in which they ran.
#[derive(Default)]
pub(crate) struct Report(Vec<Finding>);

struct Finding {
    check: String,
    words: String,
    fatal: bool,
}

impl Report {
    pub(crate) fn error(&mut self, check: impl Into<String>, words: impl Into<String>) {
        self.0.push(Finding { check: check.into(), words: words.into(), fatal: true });
    }

    pub(crate) fn warn(&mut self, check: impl Into<String>, words: impl Into<String>) {
        self.0.push(Finding { check: check.into(), words: words.into(), fatal: false });
    }

    /// Says the warnings, and the errors if one of them is not ignored (`RunChecks`).
    pub(crate) fn conclude(self, s: &Session<'_>, ignore: &[String]) -> Result<()> {
        let ignored = |f: &Finding| ignore.iter().any(|i| i == "all" || *i == f.check.to_lowercase());
        let mut errors = Vec::new();
        for f in self.0 {
            if f.fatal && !ignored(&f) {
                errors.push(format!("\t[ERROR {}]: {}", f.check, f.words));
            } else {
                s.say(format!("\t[WARNING {}]: {}", f.check, f.words));
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        s.say("[preflight] Some fatal errors occurred:");
        errors.iter().for_each(|line| s.say(line));
        s.say(
            "[preflight] If you know what you are doing, you can make a check non-fatal with \
             `--ignore-preflight-errors=...`",
        );
        Err(Failure::new("preflight checks failed"))
    }
}

/// Whether root runs this: asked alone before everything else.
pub(crate) fn root(s: &Session<'_>, ignore: &[String]) -> Result<()> {
    let mut report = Report::default();
    if !machine::is_root(s.host) {
        report.error("IsPrivilegedUser", "user is not running as root");
    }
    report.conclude(s, ignore)
}

/// The checks of `kubeadm init`.
pub(crate) async fn init(s: &Session<'_>, config: &InitConfig) -> Result<()> {
    s.tell(&console::PREFLIGHT, &[]);
    root(s, &config.ignore_preflight)?;
    let mut report = Report::default();
    control_plane(s, config, &mut report).await;
    common(s, Some(config.cluster.profile), &config.node_name, &config.node, &mut report).await;
    forwarding(s, &families(config), &mut report);
    if let Some(external) = &config.cluster.external_etcd {
        for words in etcd_version::complaints(s, external).await {
            report.error("ExternalEtcdVersion", words);
        }
    }
    etcd(s, config, true, &mut report).await;
    report.conclude(s, &config.ignore_preflight)?;
    images(s);
    Ok(())
}

/// The checks of `kubeadm join` that need nothing of the cluster.
pub(crate) async fn join(s: &Session<'_>, config: &JoinConfig) -> Result<()> {
    root(s, &config.ignore_preflight)?;
    let mut report = Report::default();
    for path in [KUBELET_CONF, BOOTSTRAP_KUBELET_CONF] {
        file_absent(s, path, &mut report);
    }
    common(s, None, &config.node_name, &config.node, &mut report).await;
    if config.control_plane.is_none() {
        file_absent(s, &config.ca_cert_path, &mut report);
    }
    if let Some((host, _)) = config.endpoint.rsplit_once(':') {
        http_proxy(s, host, &mut report);
        if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
            forwarding(s, &[ip], &mut report);
        }
    }
    report.conclude(s, &config.ignore_preflight)
}

/// The checks of a further control plane; `downloads` is whether its certificates come from the cluster.
pub(crate) async fn join_control_plane(s: &Session<'_>, own: &InitConfig, downloads: bool) -> Result<()> {
    let mut report = Report::default();
    control_plane(s, own, &mut report).await;
    etcd(s, own, !downloads, &mut report).await;
    report.conclude(s, &own.ignore_preflight)?;
    images(s);
    Ok(())
}

/// A simulated host runs components and not images, so that there is nothing to pull.
fn images(s: &Session<'_>) {
    if s.dry_run().is_some() {
        s.say("[preflight] Would pull the required images (like 'kubeadm config images pull')");
        return;
    }
    s.tell(&console::IMAGES, &[]);
}

/// What no host may have, or must have, that is to become a control plane.
async fn control_plane(s: &Session<'_>, config: &InitConfig, report: &mut Report) {
    let machine = Machine::of(s.host);
    if let Some(cpus) = machine.cpus.filter(|cpus| *cpus < CPUS) {
        report
            .error("NumCPU", format!("the number of available CPUs {cpus} is less than the required {CPUS}"));
    }
    if let Some(megabytes) = machine.megabytes.filter(|megabytes| *megabytes < MEGABYTES) {
        report
            .error("Mem", format!("the system RAM ({megabytes} MB) is less than the minimum {MEGABYTES} MB"));
    }
    let (wanted, own) = (config.cluster.profile, s.profile);
    if wanted.minor() > own.minor() {
        report.warn(
            "KubernetesVersion",
            format!(
                "Kubernetes version is greater than kubeadm version. Please consider to upgrade kubeadm. Kubernetes \
                 version: {}. Kubeadm version: 1.{}.x",
                wanted.git_version().trim_start_matches('v'),
                own.minor()
            ),
        );
    }
    if s.host.services().is_active("firewalld") {
        report.warn(
            "Firewalld",
            format!(
                "firewalld is active, please ensure ports [{} {KUBELET_PORT}] are open or your cluster may not \
                 function correctly",
                config.bind_port
            ),
        );
    }
    for port in [config.bind_port, SCHEDULER_PORT, CONTROLLER_MANAGER_PORT] {
        port_free(s, port, report).await;
    }
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"] {
        file_absent(s, &format!("{MANIFESTS_DIR}/{name}.yaml"), report);
    }
    http_proxy(s, &config.advertise_address.to_string(), report);
    for cidr in [&config.cluster.service_subnet, &config.cluster.pod_subnet] {
        for cidr in cidr.split(',').filter(|cidr| !cidr.is_empty()) {
            if let Some(proxy) = proxy::of_cidr(s.host, cidr) {
                report.warn(
                    "HTTPProxyCIDR",
                    format!(
                        "connection to {cidr:?} uses proxy {proxy:?}. This may lead to malfunctional cluster setup. \
                         Make sure that Pod and Services IP ranges specified correctly as exceptions in proxy \
                         configuration"
                    ),
                );
            }
        }
    }
}

/// What concerns every node.
async fn common(
    s: &Session<'_>,
    wanted: Option<Profile>,
    node_name: &str,
    node: &NodeRegistration,
    report: &mut Report,
) {
    let machine = Machine::of(s.host);
    if s.host.services().is_installed("containerd") && !s.host.services().is_active("containerd") {
        let path = node.cri_socket.trim_start_matches("unix://");
        report.error(
            "CRI",
            format!(
                "could not connect to the container runtime: failed to create new CRI runtime service: validate \
                 service connection: validate CRI v1 runtime API for endpoint {:?}: rpc error: code = Unavailable \
                 desc = connection error: desc = \"transport: Error while dialing: dial unix {path}: connect: no such \
                 file or directory\"",
                node.cri_socket
            ),
        );
    }
    // Before its second release containerd has no method RuntimeConfig.
    if machine::containerd_major(s.host).is_some_and(|major| major < 2)
        && let Some(words) = console::RUNTIME_CONFIG.fill(s.profile, &[])
    {
        report.warn("ContainerRuntimeVersion", words);
    }
    if machine.swaps {
        report.warn(
            "Swap",
            "swap is supported for cgroup v2 only. The kubelet must be properly configured to use swap. Please refer \
             to https://kubernetes.io/docs/concepts/architecture/nodes/#swap-memory, or disable swap on the node",
        );
    }
    let (mandatory, optional) = (s.profile.preflight_programs(), s.profile.preflight_optional_programs());
    for program in mandatory.iter().chain(optional) {
        if !machine::has_program(s.host, program) {
            let (check, words) =
                (format!("FileExisting-{program}"), format!("{program} not found in system path"));
            if mandatory.contains(program) { report.error(check, words) } else { report.warn(check, words) }
        }
    }
    system_verification::check(s.profile, &machine, report);
    if !machine::resolves(s.host, node_name) {
        report.warn("Hostname", format!("hostname {node_name:?} could not be reached"));
        report.warn("Hostname", format!("hostname {node_name:?}: lookup {node_name}: no such host"));
    }
    kubelet_version(s, wanted, report);
    if !s.host.services().is_installed(UNIT) {
        report.warn("Service-Kubelet", "kubelet service does not exist");
    }
    port_free(s, KUBELET_PORT, report).await;
}

/// The kubelet's release against the control plane's: not newer, and not much older than this kubeadm.
fn kubelet_version(s: &Session<'_>, wanted: Option<Profile>, report: &mut Report) {
    const CHECK: &str = "KubeletVersion";
    if !s.host.services().is_installed(UNIT) {
        return report.error(
            CHECK,
            "couldn't get kubelet version: cannot execute 'kubelet --version': exec: \"kubelet\": executable file not \
             found in $PATH",
        );
    }
    let kubelet = match machine::kubelet_version(s.host) {
        None => s.profile,
        Some(text) => match Profile::parse(&text) {
            Ok(version) => version,
            Err(e) => return report.error(CHECK, format!("couldn't get kubelet version: {e}")),
        },
    };
    let shown = |profile: Profile| profile.git_version().trim_start_matches('v').to_owned();
    if kubelet.minor() + s.profile.kubelet_skew() < s.profile.minor() {
        return report.error(
            CHECK,
            format!(
                "Kubelet version {:?} is lower than kubeadm can support. Please upgrade kubelet",
                shown(kubelet)
            ),
        );
    }
    if let Some(wanted) = wanted.filter(|wanted| kubelet.minor() > wanted.minor()) {
        report.error(
            CHECK,
            format!(
                "the kubelet version is higher than the control plane version. This is not a supported version skew \
                 and may lead to a malfunctional cluster. Kubelet version: {:?} Control plane version: {:?}",
                shown(kubelet),
                shown(wanted)
            ),
        );
    }
}

/// An address of each family that the cluster uses.
fn families(config: &InitConfig) -> Vec<IpAddr> {
    let nets = [&config.cluster.service_subnet, &config.cluster.pod_subnet];
    let nets = nets.into_iter().flat_map(|net| net.split(',')).filter_map(|cidr| cidr.split_once('/'));
    let mut found: Vec<IpAddr> = nets.filter_map(|(ip, _)| ip.parse().ok()).collect();
    found.push(config.advertise_address);
    found
}

fn forwarding(s: &Session<'_>, addresses: &[IpAddr], report: &mut Report) {
    let has = |wanted: fn(&IpAddr) -> bool| addresses.iter().any(wanted);
    for (wanted, path) in [
        (has(IpAddr::is_ipv4), "/proc/sys/net/ipv4/ip_forward"),
        (has(IpAddr::is_ipv6), "/proc/sys/net/ipv6/conf/default/forwarding"),
    ] {
        if wanted && s.host.disk().read(path).is_ok_and(|contents| !contents.starts_with(b"1")) {
            let check = format!("FileContent-{}", path.replace('/', "-"));
            report.error(check, format!("{path} contents are not set to 1"));
        }
    }
}

/// What an etcd on this host needs, or the files for one elsewhere.
async fn etcd(s: &Session<'_>, config: &InitConfig, files: bool, report: &mut Report) {
    let Some(external) = &config.cluster.external_etcd else {
        for port in [2379, 2380] {
            port_free(s, port, report).await;
        }
        let dir = &config.cluster.etcd_data_dir;
        if s.disk().list(dir).is_ok_and(|names| !names.is_empty())
            || s.host.disk().list(dir).is_ok_and(|names| !names.is_empty())
        {
            report.error(format!("DirAvailable-{}", dir.replace('/', "-")), format!("{dir} is not empty"));
        }
        return;
    };
    for (_, path) in external.files().into_iter().filter(|(_, path)| files && !path.is_empty()) {
        if !s.host.disk().exists(path) {
            report.error("ExternalEtcdClientCertificates", format!("{path} doesn't exist"));
        }
    }
}

/// Whether somebody on this host serves on a port.
pub(crate) async fn in_use(s: &Session<'_>, port: u16) -> bool {
    s.host.net().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await.is_err_and(|e| e.in_use)
}

async fn port_free(s: &Session<'_>, port: u16, report: &mut Report) {
    if in_use(s, port).await {
        report.error(format!("Port-{port}"), format!("Port {port} is in use"));
    }
}

fn file_absent(s: &Session<'_>, path: &str, report: &mut Report) {
    if s.disk().exists(path) {
        let check = format!("FileAvailable-{}", path.replace('/', "-"));
        report.error(check, format!("{path} already exists"));
    }
}

fn http_proxy(s: &Session<'_>, host: &str, report: &mut Report) {
    if let Some(proxy) = proxy::of_host(s.host, host) {
        report.warn(
            "HTTPProxy",
            format!(
                "Connection to \"https://{host}\" uses proxy {proxy:?}. If that is not intended, adjust your proxy \
                 settings"
            ),
        );
    }
}
