//! The `etcd` and `control-plane` phases: static pod manifests for the kubelet to run.

mod static_pod;

use api::profile::console;

use crate::{
    config::{ImageSource, InitConfig},
    etcd_members,
    external_etcd::ExternalEtcd,
    patches::patched,
    paths::{
        CONTROLLER_MANAGER_CONF, CONTROLLER_MANAGER_PORT, MANIFESTS_DIR, SCHEDULER_CONF, SCHEDULER_PORT,
    },
    phases::Parts,
    session::{Result, Session, yaml},
};
use static_pod::{Component, Health, Mount, static_pod};

/// Writes etcd.yaml, unless etcd is elsewhere.
pub(crate) fn etcd(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    if config.cluster.external_etcd.is_some() {
        return Ok(());
    }
    s.tell(&console::ETCD_BEGUN, &[MANIFESTS_DIR]);
    write(s, "etcd", &etcd_manifest(s, config, &[])?)?;
    s.tell(&console::ETCD_MADE, &[&path_of("etcd")]);
    Ok(())
}

/// Writes etcd.yaml of a member that joins `members`, itself among them.
pub(crate) fn joining_etcd(s: &Session<'_>, config: &InitConfig, members: &[(String, String)]) -> Result<()> {
    write(s, "etcd", &etcd_manifest(s, config, members)?)
}

/// etcd.yaml for this host: of the first member, or of one that joins `members`.
pub(crate) fn etcd_manifest(
    s: &Session<'_>,
    config: &InitConfig,
    members: &[(String, String)],
) -> Result<String> {
    if !s.profile.etcd_tls() {
        return manifest(s, config, &plain_etcd(config, &config.cluster.etcd_data_dir));
    }
    let (clients, peers) = (etcd_members::client_url(config), etcd_members::peer_url(config));
    let pki = format!("{}/etcd", config.cluster.certificates_dir);
    let data_dir = &config.cluster.etcd_data_dir;
    let initial_cluster = match members {
        [] => format!("{}={peers}", config.node_name),
        members => {
            let named: Vec<String> = members.iter().map(|(name, url)| format!("{name}={url}")).collect();
            named.join(",")
        }
    };
    let mut flags = vec![
        ("advertise-client-urls", clients.clone()),
        ("cert-file", format!("{pki}/server.crt")),
        ("client-cert-auth", "true".into()),
        ("data-dir", data_dir.clone()),
        ("initial-advertise-peer-urls", peers.clone()),
        ("initial-cluster", initial_cluster),
        ("key-file", format!("{pki}/server.key")),
        ("listen-client-urls", format!("https://127.0.0.1:2379,{clients}")),
        ("listen-metrics-urls", "http://127.0.0.1:2381".into()),
        ("listen-peer-urls", peers),
        ("name", config.node_name.clone()),
        ("peer-cert-file", format!("{pki}/peer.crt")),
        ("peer-client-cert-auth", "true".into()),
        ("peer-key-file", format!("{pki}/peer.key")),
        ("peer-trusted-ca-file", format!("{pki}/ca.crt")),
        ("snapshot-count", "10000".into()),
        ("trusted-ca-file", format!("{pki}/ca.crt")),
    ];
    let further = config.cluster.profile.etcd_flags().iter().filter_map(|flag| flag.split_once('='));
    flags.extend(further.map(|(name, value)| (name, value.to_owned())));
    if !members.is_empty() {
        flags.push(("initial-cluster-state", "existing".into()));
    }
    let probes = config.cluster.profile.etcd_probes();
    let component = Component {
        name: "etcd",
        image: etcd_image(config),
        cpu: "100m",
        flags,
        health: Health {
            scheme: "HTTP",
            host: "127.0.0.1".into(),
            port: 2381,
            live: probes.live,
            ready: Some(probes.ready).filter(|path| !path.is_empty()),
            started: probes.started,
        },
        mounts: vec![Mount::directory("etcd-data", data_dir), Mount::directory("etcd-certs", &pki)],
        annotation: Some((etcd_members::CLIENT_URLS, clients)),
    };
    manifest(s, config, &component)
}

/// The etcd of releases whose apiserver spoke to it in the clear, on this host alone.
fn plain_etcd<'a>(config: &InitConfig, data_dir: &'a str) -> Component<'a> {
    let url = "http://127.0.0.1:2379";
    Component {
        name: "etcd",
        image: etcd_image(config),
        cpu: "100m",
        flags: vec![
            ("advertise-client-urls", url.into()),
            ("data-dir", data_dir.into()),
            ("listen-client-urls", url.into()),
        ],
        health: Health {
            scheme: "HTTP",
            host: "127.0.0.1".into(),
            port: 2379,
            live: "/health",
            ready: None,
            started: "/health",
        },
        mounts: vec![Mount::directory("etcd-data", data_dir)],
        annotation: None,
    }
}

fn path_of(component: &str) -> String {
    format!("{MANIFESTS_DIR}/{component}.yaml")
}

/// Writes the manifests of the control plane.
pub(crate) fn control_plane(s: &mut Session<'_>, config: &InitConfig, parts: &Parts) -> Result<()> {
    s.tell(&console::MANIFESTS_FOLDER, &[MANIFESTS_DIR]);
    for (name, text) in control_plane_manifests(s, config)? {
        if parts.has(name.trim_start_matches("kube-")) {
            s.tell(&console::MANIFEST_BEGUN, &[name]);
            write(s, name, &text)?;
            s.tell(&console::MANIFEST_MADE, &[name, &path_of(name)]);
        }
    }
    Ok(())
}

/// The manifests of the control plane for this host: component and text, in the order in which they are
/// started.
pub(crate) fn control_plane_manifests(
    s: &Session<'_>,
    config: &InitConfig,
) -> Result<Vec<(&'static str, String)>> {
    // Whoever keeps the authority's key elsewhere signs elsewhere too.
    let signs = s.disk().exists(format!("{}/ca.key", config.cluster.certificates_dir));
    let components = [apiserver(config), controller_manager(config, signs), scheduler(config)];
    components.iter().map(|component| Ok((component.name, manifest(s, config, component)?))).collect()
}

/// etcd's image.
pub(crate) fn etcd_image(config: &InitConfig) -> String {
    if let Some(image) = &config.master.etcd_image {
        return image.clone();
    }
    let profile = config.cluster.profile;
    let name = format!("etcd{}", profile.image_suffix());
    image(config, &config.cluster.etcd_image, &name, profile.etcd_version())
}

/// An image that may come from a place of its own.
pub(crate) fn image(config: &InitConfig, source: &ImageSource, name: &str, tag: &str) -> String {
    let repository = source.repository.as_deref().unwrap_or(config.cluster.image_repository());
    format!("{repository}/{name}:{}", source.tag.as_deref().unwrap_or(tag))
}

/// The image of a component that is released with Kubernetes.
pub(crate) fn released_image(config: &InitConfig, name: &str) -> String {
    if let Some(image) = &config.master.unified_image {
        return image.clone();
    }
    let (repository, profile) = (config.cluster.image_repository(), config.cluster.profile);
    format!("{repository}/{name}{}:{}", profile.image_suffix(), profile.git_version())
}

fn apiserver(config: &InitConfig) -> Component<'_> {
    let pki = &config.cluster.certificates_dir;
    let ip = config.advertise_address.to_string();
    let etcd = config.cluster.external_etcd.clone().unwrap_or_else(|| ExternalEtcd {
        endpoints: vec!["https://127.0.0.1:2379".into()],
        http_endpoints: Vec::new(),
        ca_file: format!("{pki}/etcd/ca.crt"),
        cert_file: format!("{pki}/apiserver-etcd-client.crt"),
        key_file: format!("{pki}/apiserver-etcd-client.key"),
    });
    let mut mounts = vec![Mount::directory("k8s-certs", pki)];
    let local_etcd = config.cluster.external_etcd.is_none();
    if let Some(external) = &config.cluster.external_etcd
        && let Some((dir, _)) = external.ca_file.rsplit_once('/')
        && !dir.starts_with(pki.as_str())
    {
        mounts.push(Mount::directory("etcd-certs-0", dir));
    }
    let mut flags = vec![
        ("advertise-address", ip.clone()),
        ("allow-privileged", "true".into()),
        ("authorization-mode", "Node,RBAC".into()),
        ("client-ca-file", format!("{pki}/ca.crt")),
        ("enable-admission-plugins", "NodeRestriction".into()),
        ("enable-bootstrap-token-auth", "true".into()),
        ("kubelet-client-certificate", format!("{pki}/apiserver-kubelet-client.crt")),
        ("kubelet-client-key", format!("{pki}/apiserver-kubelet-client.key")),
        ("kubelet-preferred-address-types", "InternalIP,ExternalIP,Hostname".into()),
        ("proxy-client-cert-file", format!("{pki}/front-proxy-client.crt")),
        ("proxy-client-key-file", format!("{pki}/front-proxy-client.key")),
        ("requestheader-allowed-names", "front-proxy-client".into()),
        ("requestheader-client-ca-file", format!("{pki}/front-proxy-ca.crt")),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-".into()),
        ("requestheader-group-headers", "X-Remote-Group".into()),
        ("requestheader-username-headers", "X-Remote-User".into()),
        ("secure-port", config.bind_port.to_string()),
        ("service-account-issuer", format!("https://kubernetes.default.svc.{}", config.cluster.dns_domain)),
        ("service-account-key-file", format!("{pki}/sa.pub")),
        ("service-account-signing-key-file", format!("{pki}/sa.key")),
        ("service-cluster-ip-range", config.cluster.service_subnet.clone()),
        ("tls-cert-file", format!("{pki}/apiserver.crt")),
        ("tls-private-key-file", format!("{pki}/apiserver.key")),
    ];
    if local_etcd && !config.cluster.profile.etcd_tls() {
        flags.push(("etcd-servers", "http://127.0.0.1:2379".into()));
    } else {
        flags.push(("etcd-servers", etcd.endpoints.join(",")));
        let files = [
            ("etcd-cafile", etcd.ca_file),
            ("etcd-certfile", etcd.cert_file),
            ("etcd-keyfile", etcd.key_file),
        ];
        flags.extend(files.into_iter().filter(|(_, path)| !path.is_empty()));
    }
    let name = "kube-apiserver";
    let live = if config.cluster.profile.probes_readiness() { "/livez" } else { "/healthz" };
    Component {
        name,
        image: released_image(config, name),
        cpu: "250m",
        flags,
        health: Health {
            scheme: "HTTPS",
            host: ip,
            port: config.bind_port,
            live,
            ready: (live == "/livez").then_some("/readyz"),
            started: live,
        },
        mounts,
        annotation: Some((
            "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint",
            config.local_endpoint(),
        )),
    }
}

fn controller_manager(config: &InitConfig, signs: bool) -> Component<'_> {
    let signing = |path: String| if signs { path } else { String::new() };
    let pki = &config.cluster.certificates_dir;
    let mut flags = vec![
        ("authentication-kubeconfig", CONTROLLER_MANAGER_CONF.into()),
        ("authorization-kubeconfig", CONTROLLER_MANAGER_CONF.into()),
        ("bind-address", "127.0.0.1".into()),
        ("client-ca-file", format!("{pki}/ca.crt")),
        ("cluster-name", config.cluster.cluster_name.clone()),
        ("cluster-signing-cert-file", signing(format!("{pki}/ca.crt"))),
        ("cluster-signing-key-file", signing(format!("{pki}/ca.key"))),
        ("controllers", "*,bootstrapsigner,tokencleaner".into()),
        ("kubeconfig", CONTROLLER_MANAGER_CONF.into()),
        ("leader-elect", "true".into()),
        ("requestheader-client-ca-file", format!("{pki}/front-proxy-ca.crt")),
        ("root-ca-file", format!("{pki}/ca.crt")),
        ("service-account-private-key-file", format!("{pki}/sa.key")),
        ("use-service-account-credentials", "true".into()),
    ];
    if !config.cluster.pod_subnet.is_empty() {
        flags.extend([
            ("allocate-node-cidrs", "true".into()),
            ("cluster-cidr", config.cluster.pod_subnet.clone()),
            ("service-cluster-ip-range", config.cluster.service_subnet.clone()),
        ]);
    }
    let name = "kube-controller-manager";
    Component {
        name,
        image: released_image(config, name),
        cpu: "200m",
        flags,
        health: Health {
            scheme: "HTTPS",
            host: "127.0.0.1".into(),
            port: CONTROLLER_MANAGER_PORT,
            live: "/healthz",
            ready: None,
            started: "/healthz",
        },
        mounts: vec![Mount::directory("k8s-certs", pki), Mount::file("kubeconfig", CONTROLLER_MANAGER_CONF)],
        annotation: None,
    }
}

fn scheduler(config: &InitConfig) -> Component<'_> {
    let flags = vec![
        ("authentication-kubeconfig", SCHEDULER_CONF.into()),
        ("authorization-kubeconfig", SCHEDULER_CONF.into()),
        ("bind-address", "127.0.0.1".into()),
        ("kubeconfig", SCHEDULER_CONF.into()),
        ("leader-elect", "true".into()),
    ];
    let name = "kube-scheduler";
    Component {
        name,
        image: released_image(config, name),
        cpu: "100m",
        flags,
        health: Health {
            scheme: "HTTPS",
            host: "127.0.0.1".into(),
            port: SCHEDULER_PORT,
            live: "/livez",
            ready: Some("/readyz"),
            started: "/livez",
        },
        mounts: vec![Mount::file("kubeconfig", SCHEDULER_CONF)],
        annotation: None,
    }
}

fn manifest(s: &Session<'_>, config: &InitConfig, component: &Component<'_>) -> Result<String> {
    let pod = patched(s, component.name, static_pod(config, component))?;
    yaml(&format!("the manifest of {}", component.name), &pod)
}

fn write(s: &Session<'_>, name: &str, text: &str) -> Result<()> {
    s.disk().write(path_of(name), text, 0o600)?;
    Ok(())
}
