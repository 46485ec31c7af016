//! The `etcd` and `control-plane` phases: static pod manifests for the kubelet to run.

use serde_json::{Value, json};

use crate::{
    config::InitConfig,
    paths::{ETCD_DIR, MANIFESTS_DIR},
    session::{Failure, Result, Session},
};

/// Writes etcd.yaml.
pub(crate) fn etcd(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    s.say(format!("[etcd] Creating static Pod manifest for local etcd in {MANIFESTS_DIR:?}"));
    let ip = config.advertise_address;
    let pki = format!("{}/etcd", config.cluster.certificates_dir);
    let flags = vec![
        ("advertise-client-urls", format!("https://{ip}:2379")),
        ("cert-file", format!("{pki}/server.crt")),
        ("client-cert-auth", "true".into()),
        ("data-dir", ETCD_DIR.into()),
        ("initial-advertise-peer-urls", format!("https://{ip}:2380")),
        ("initial-cluster", format!("{}=https://{ip}:2380", config.node_name)),
        ("key-file", format!("{pki}/server.key")),
        ("listen-client-urls", format!("https://127.0.0.1:2379,https://{ip}:2379")),
        ("listen-metrics-urls", "http://127.0.0.1:2381".into()),
        ("listen-peer-urls", format!("https://{ip}:2380")),
        ("name", config.node_name.clone()),
        ("peer-cert-file", format!("{pki}/peer.crt")),
        ("peer-client-cert-auth", "true".into()),
        ("peer-key-file", format!("{pki}/peer.key")),
        ("peer-trusted-ca-file", format!("{pki}/ca.crt")),
        ("snapshot-count", "10000".into()),
        ("trusted-ca-file", format!("{pki}/ca.crt")),
    ];
    let image = format!("{}/etcd:3.6.8-0", config.cluster.image_repository);
    let probe = |path: &str| http_probe("127.0.0.1", 2381, "HTTP", path);
    let mounts =
        [("etcd-data", ETCD_DIR, "DirectoryOrCreate"), ("etcd-certs", pki.as_str(), "DirectoryOrCreate")];
    let annotation = ("kubeadm.kubernetes.io/etcd.advertise-client-urls", format!("https://{ip}:2379"));
    let pod = static_pod(
        config,
        "etcd",
        &image,
        flags,
        probe("/livez"),
        Some(probe("/readyz")),
        &mounts,
        Some(annotation),
    );
    write(s, "etcd", &pod)
}

/// Writes the three manifests of the control plane.
pub(crate) fn control_plane(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    s.say(format!("[control-plane] Using manifest folder {MANIFESTS_DIR:?}"));
    for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        s.say(format!("[control-plane] Creating static Pod manifest for {component:?}"));
        let image = format!("{}/{component}:{}", config.cluster.image_repository, s.profile.git_version());
        let pod = match component {
            "kube-apiserver" => apiserver(config, &image),
            "kube-controller-manager" => controller_manager(config, &image),
            _ => scheduler(config, &image),
        };
        write(s, component, &pod?)?;
    }
    Ok(())
}

fn apiserver(config: &InitConfig, image: &str) -> Result<Value> {
    let pki = &config.cluster.certificates_dir;
    let ip = config.advertise_address.to_string();
    let flags = vec![
        ("advertise-address", ip.clone()),
        ("allow-privileged", "true".into()),
        ("authorization-mode", "Node,RBAC".into()),
        ("client-ca-file", format!("{pki}/ca.crt")),
        ("enable-admission-plugins", "NodeRestriction".into()),
        ("enable-bootstrap-token-auth", "true".into()),
        ("etcd-cafile", format!("{pki}/etcd/ca.crt")),
        ("etcd-certfile", format!("{pki}/apiserver-etcd-client.crt")),
        ("etcd-keyfile", format!("{pki}/apiserver-etcd-client.key")),
        ("etcd-servers", "https://127.0.0.1:2379".into()),
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
    let probe = |path: &str| http_probe(&ip, config.bind_port, "HTTPS", path);
    let annotation =
        ("kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint", config.local_endpoint());
    let mounts = [("k8s-certs", pki.as_str(), "DirectoryOrCreate")];
    Ok(static_pod(
        config,
        "kube-apiserver",
        image,
        flags,
        probe("/livez"),
        Some(probe("/readyz")),
        &mounts,
        Some(annotation),
    ))
}

fn controller_manager(config: &InitConfig, image: &str) -> Result<Value> {
    let pki = &config.cluster.certificates_dir;
    let kubeconfig = "/etc/kubernetes/controller-manager.conf".to_owned();
    let mut flags = vec![
        ("authentication-kubeconfig", kubeconfig.clone()),
        ("authorization-kubeconfig", kubeconfig.clone()),
        ("bind-address", "127.0.0.1".into()),
        ("client-ca-file", format!("{pki}/ca.crt")),
        ("cluster-name", config.cluster.cluster_name.clone()),
        ("cluster-signing-cert-file", format!("{pki}/ca.crt")),
        ("cluster-signing-key-file", format!("{pki}/ca.key")),
        ("controllers", "*,bootstrapsigner,tokencleaner".into()),
        ("kubeconfig", kubeconfig),
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
    let probe = http_probe("127.0.0.1", 10_257, "HTTPS", "/healthz");
    let mounts = [
        ("k8s-certs", pki.as_str(), "DirectoryOrCreate"),
        ("kubeconfig", "/etc/kubernetes/controller-manager.conf", "FileOrCreate"),
    ];
    Ok(static_pod(config, "kube-controller-manager", image, flags, probe, None, &mounts, None))
}

fn scheduler(config: &InitConfig, image: &str) -> Result<Value> {
    let kubeconfig = "/etc/kubernetes/scheduler.conf".to_owned();
    let flags = vec![
        ("authentication-kubeconfig", kubeconfig.clone()),
        ("authorization-kubeconfig", kubeconfig.clone()),
        ("bind-address", "127.0.0.1".into()),
        ("kubeconfig", kubeconfig),
        ("leader-elect", "true".into()),
    ];
    let probe = |path: &str| http_probe("127.0.0.1", 10_259, "HTTPS", path);
    let mounts = [("kubeconfig", "/etc/kubernetes/scheduler.conf", "FileOrCreate")];
    Ok(static_pod(
        config,
        "kube-scheduler",
        image,
        flags,
        probe("/livez"),
        Some(probe("/readyz")),
        &mounts,
        None,
    ))
}

fn http_probe(host: &str, port: u16, scheme: &str, path: &str) -> Value {
    json!({"httpGet": {"host": host, "path": path, "port": port, "scheme": scheme}})
}

fn with(probe: &Value, settings: Value) -> Value {
    let mut probe = probe.clone();
    if let (Some(probe), Value::Object(settings)) = (probe.as_object_mut(), settings) {
        probe.extend(settings);
    }
    probe
}

#[allow(clippy::too_many_arguments, reason = "one call per manifest; a struct would only rename these")]
fn static_pod(
    config: &InitConfig,
    name: &str,
    image: &str,
    flags: Vec<(&str, String)>,
    live: Value,
    ready: Option<Value>,
    mounts: &[(&str, &str, &str)],
    annotation: Option<(&str, String)>,
) -> Value {
    let startup = with(
        &live,
        json!({"failureThreshold": 24, "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 15}),
    );
    let liveness = with(
        &live,
        json!({"failureThreshold": 8, "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 15}),
    );
    let cpu = match name {
        "kube-apiserver" => "250m",
        "kube-controller-manager" => "200m",
        _ => "100m",
    };
    let mut container = json!({
        "command": command(config, name, flags),
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": liveness,
        "name": name,
        "resources": {"requests": {"cpu": cpu}},
        "startupProbe": startup,
        "volumeMounts": mounts.iter().map(|(name, path, _)| json!({"mountPath": path, "name": name})).collect::<Vec<_>>(),
    });
    if let Some(ready) = ready {
        container["readinessProbe"] =
            with(&ready, json!({"failureThreshold": 3, "periodSeconds": 1, "timeoutSeconds": 15}));
    }
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "labels": {"component": name, "tier": "control-plane"},
            "name": name,
            "namespace": "kube-system",
        },
        "spec": {
            "containers": [container],
            "hostNetwork": true,
            "priority": 2_000_001_000,
            "priorityClassName": "system-node-critical",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": mounts.iter().map(|(name, path, kind)| json!({"hostPath": {"path": path, "type": kind}, "name": name})).collect::<Vec<_>>(),
        },
        "status": {},
    });
    if let Some((key, value)) = annotation {
        pod["metadata"]["annotations"] = json!({key: value});
    }
    pod
}

/// The component's name, then its flags sorted by name; extra arguments replace flags of that name.
fn command(config: &InitConfig, component: &str, flags: Vec<(&str, String)>) -> Vec<String> {
    let extra = config.cluster.extra_args.get(component).map(Vec::as_slice).unwrap_or_default();
    let mut all: Vec<(String, String)> = flags
        .into_iter()
        .filter(|(name, _)| !extra.iter().any(|(e, _)| e == name))
        .map(|(name, value)| (name.to_owned(), value))
        .chain(extra.iter().cloned())
        .collect();
    all.sort();
    std::iter::once(component.to_owned())
        .chain(all.into_iter().map(|(name, value)| format!("--{name}={value}")))
        .collect()
}

fn write(s: &Session<'_>, name: &str, pod: &Value) -> Result<()> {
    let yaml = serde_saphyr::to_string(pod)
        .map_err(|e| Failure::new(format!("couldn't marshal the manifest of {name}: {e}")))?;
    s.disk().write(format!("{MANIFESTS_DIR}/{name}.yaml"), yaml, 0o600)?;
    Ok(())
}
