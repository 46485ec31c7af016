//! From a component to the static pod that runs it.

use serde_json::{Value, json};

use crate::{config::InitConfig, paths::KUBE_SYSTEM};

/// Name of the port at which a component answers probes.
const PROBE_PORT: &str = "probe-port";

/// One static pod of the control plane.
pub(super) struct Component<'a> {
    pub name: &'static str,
    pub image: String,
    pub cpu: &'static str,
    pub flags: Vec<(&'static str, String)>,
    pub health: Health,
    pub mounts: Vec<Mount<'a>>,
    pub annotation: Option<(&'static str, String)>,
}

/// Where a component answers probes.
pub(super) struct Health {
    pub scheme: &'static str,
    pub host: String,
    pub port: u16,
    pub live: &'static str,
    pub ready: Option<&'static str>,
    pub started: &'static str,
}

/// A path of the host that a component finds at the same place.
pub(super) struct Mount<'a> {
    pub name: &'static str,
    pub path: &'a str,
    pub kind: &'static str,
}

impl<'a> Mount<'a> {
    pub(super) fn directory(name: &'static str, path: &'a str) -> Self {
        Self { name, path, kind: "DirectoryOrCreate" }
    }

    pub(super) fn file(name: &'static str, path: &'a str) -> Self {
        Self { name, path, kind: "FileOrCreate" }
    }
}

/// A probe of `path`, with its periods and limits.
fn probe(health: &Health, path: &str, named: bool, mut settings: Value) -> Value {
    let Health { scheme, host, port, .. } = health;
    let port = if named { json!(PROBE_PORT) } else { json!(port) };
    settings["httpGet"] = json!({"host": host, "path": path, "port": port, "scheme": scheme});
    settings
}

pub(super) fn static_pod(config: &InitConfig, component: &Component<'_>) -> Value {
    let Component { name, health, mounts, .. } = component;
    let named = config.cluster.profile.static_pods_name_ports();
    // A component may take as long to start as kubeadm waits for it.
    let starting = u32::try_from(config.timeouts.control_plane.as_secs() / 10).unwrap_or(u32::MAX).max(1);
    let patient = |failures: u32| json!({"failureThreshold": failures, "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 15});
    let mut container = json!({
        "command": command(config, component),
        "image": component.image,
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": probe(health, health.live, named, patient(8)),
        "name": name,
        "resources": {"requests": {"cpu": component.cpu}},
        "startupProbe": probe(health, health.started, named, patient(starting)),
        "volumeMounts": mounts.iter().map(|m| json!({"mountPath": m.path, "name": m.name})).collect::<Vec<_>>(),
    });
    if let Some(ready) = health.ready {
        let eager = json!({"failureThreshold": 3, "periodSeconds": 1, "timeoutSeconds": 15});
        container["readinessProbe"] = probe(health, ready, named, eager);
    }
    if named {
        container["ports"] = json!([{"containerPort": health.port, "name": PROBE_PORT, "protocol": "TCP"}]);
    }
    let volume = |m: &Mount<'_>| json!({"hostPath": {"path": m.path, "type": m.kind}, "name": m.name});
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "labels": {"component": name, "tier": "control-plane"},
            "name": name,
            "namespace": KUBE_SYSTEM,
        },
        "spec": {
            "containers": [container],
            "hostNetwork": true,
            "priority": 2_000_001_000,
            "priorityClassName": "system-node-critical",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": mounts.iter().map(volume).collect::<Vec<_>>(),
        },
        "status": {},
    });
    if let Some((key, value)) = &component.annotation {
        pod["metadata"]["annotations"] = json!({*key: value});
    }
    add_extras(config, name, &mut pod);
    pod
}

/// The environment and the paths of the host that the configuration adds to a component.
fn add_extras(config: &InitConfig, component: &str, pod: &mut Value) {
    if let Some(envs) = config.cluster.extra_envs.get(component).filter(|envs| !envs.is_empty()) {
        pod["spec"]["containers"][0]["env"] = json!(envs);
    }
    for volume in config.cluster.extra_volumes.get(component).into_iter().flatten() {
        let text = |key: &str| volume.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut mount = json!({"mountPath": text("mountPath"), "name": text("name")});
        if volume.get("readOnly").and_then(Value::as_bool) == Some(true) {
            mount["readOnly"] = true.into();
        }
        let source = json!({"path": text("hostPath"), "type": text("pathType")});
        push(pod.pointer_mut("/spec/containers/0/volumeMounts"), mount);
        push(pod.pointer_mut("/spec/volumes"), json!({"hostPath": source, "name": text("name")}));
    }
}

fn push(list: Option<&mut Value>, item: Value) {
    if let Some(list) = list.and_then(Value::as_array_mut) {
        list.push(item);
    }
}

/// The component's name, then its flags sorted by name; extra arguments replace flags of that name.
fn command(config: &InitConfig, component: &Component<'_>) -> Vec<String> {
    let extra = config.cluster.extra_args.get(component.name).map(Vec::as_slice).unwrap_or_default();
    let mut all: Vec<(&str, &str)> = component
        .flags
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .filter(|(name, _)| !extra.iter().any(|(e, _)| e == name))
        .chain(extra.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .collect();
    all.sort_unstable();
    std::iter::once(component.name.to_owned())
        .chain(all.into_iter().map(|(name, value)| format!("--{name}={value}")))
        .collect()
}
