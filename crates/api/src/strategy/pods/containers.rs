//! Containers: names, images, ports, environment, mounts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::{
        check::{Complaints, PROTOCOLS},
        path::Path,
    },
    probes,
    resources::resources,
};
use crate::{names, object::ObjectExt};

/// Which list a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `containers`
    Main,
    /// `initContainers`
    Init,
    /// `ephemeralContainers`
    Ephemeral,
}

/// What the containers of one pod share.
pub(super) struct Pod<'a> {
    pub(super) volumes: BTreeSet<&'a str>,
    pub(super) host_network: bool,
    pub(super) names: BTreeSet<&'a str>,
    /// The names of those that are no ephemeral containers.
    pub(super) lasting: BTreeSet<&'a str>,
}

/// One of the three lists of containers.
pub(super) fn list<'a>(
    list: &'a [Value],
    role: Role,
    at: Path<'_>,
    pod: &mut Pod<'a>,
    complaints: &mut Complaints,
) {
    if list.is_empty() && role == Role::Main {
        return complaints.required(at, "");
    }
    for (index, container) in list.iter().enumerate() {
        let at = at.index(index);
        one(container, role, at, pod, complaints);
        let name = container.str_at("/name");
        if !name.is_empty() && !pod.names.insert(name) {
            complaints.duplicate(at.child("name"), name);
        }
        if role != Role::Ephemeral {
            pod.lasting.insert(name);
        }
    }
}

fn one(container: &Value, role: Role, at: Path<'_>, pod: &Pod<'_>, complaints: &mut Complaints) {
    complaints.name(at.child("name"), container.str_at("/name"), names::dns1123_label);
    let image = container.str_at("/image");
    if image.is_empty() {
        complaints.required(at.child("image"), "");
    } else if image.trim() != image {
        complaints.invalid(at.child("image"), image, "must not have leading or trailing whitespace");
    }
    complaints.one_of(
        at.child("terminationMessagePolicy"),
        container.str_at("/terminationMessagePolicy"),
        &["FallbackToLogsOnError", "File"],
    );
    complaints.one_of(
        at.child("imagePullPolicy"),
        container.str_at("/imagePullPolicy"),
        &["Always", "IfNotPresent", "Never"],
    );
    ports(container, at.child("ports"), pod.host_network, complaints);
    environment(container, at, complaints);
    mounts(container, at, pod, complaints);
    if let Some(found) = container.at("/resources") {
        resources(found, at.child("resources"), complaints);
    }
    let restartable = container.str_at("/restartPolicy") == "Always";
    for (field, readiness) in [("livenessProbe", false), ("readinessProbe", true), ("startupProbe", false)] {
        let Some(probe) = container.at(&format!("/{field}")).filter(|probe| probe.is_object()) else {
            continue;
        };
        match role {
            // Refused with the others that it may not have.
            Role::Ephemeral => {}
            Role::Init if !restartable => {
                complaints.forbidden(
                    at.child(field),
                    "may not be set for init containers without restartPolicy=Always",
                );
            }
            Role::Main | Role::Init => probes::probe(probe, at.child(field), readiness, complaints),
        }
    }
    for field in ["postStart", "preStop"] {
        let Some(hook) = container.at(&format!("/lifecycle/{field}")).filter(|hook| hook.is_object()) else {
            continue;
        };
        probes::hook(hook, at.child("lifecycle").child(field), complaints);
    }
    if role == Role::Ephemeral {
        ephemeral(container, at, pod, complaints);
    }
    if role == Role::Init {
        complaints.optional_one_of(
            at.child("restartPolicy"),
            container.str_at("/restartPolicy"),
            &["Always", "OnFailure", "Never"],
        );
    }
}

/// What one for looking into a pod may not do: be a part of it.
fn ephemeral(container: &Value, at: Path<'_>, pod: &Pod<'_>, complaints: &mut Complaints) {
    const REFUSED: &str = "cannot be set for an Ephemeral Container";
    let target = container.str_at("/targetContainerName");
    if !target.is_empty() && !pod.lasting.contains(target) {
        complaints.not_found(at.child("targetContainerName"), target);
    }
    let is_set = |field: &str| match container.get(field) {
        None | Some(Value::Null) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(_) => true,
    };
    for field in ["ports", "resources", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
        if is_set(field) {
            complaints.forbidden(at.child(field), REFUSED);
        }
    }
    let mounts = at.child("volumeMounts");
    for (index, mount) in container.list_at("/volumeMounts").iter().enumerate() {
        for field in ["subPath", "subPathExpr"] {
            if !mount.str_at(&format!("/{field}")).is_empty() {
                complaints.forbidden(mounts.index(index).child(field), REFUSED);
            }
        }
    }
}

fn ports(container: &Value, at: Path<'_>, host_network: bool, complaints: &mut Complaints) {
    let list = container.list_at("/ports");
    complaints.unique(list, "/name", |index| at.index(index).child("name").to_string());
    for (index, port) in list.iter().enumerate() {
        let at = at.index(index);
        complaints.optional_name(at.child("name"), port.str_at("/name"), names::port_name);
        match port.i64_at("/containerPort").unwrap_or(0) {
            0 => complaints.required(at.child("containerPort"), ""),
            number => complaints.port(at.child("containerPort"), number),
        }
        let host_port = port.i64_at("/hostPort").unwrap_or(0);
        if host_port != 0 {
            complaints.port(at.child("hostPort"), host_port);
        }
        if host_network && Some(host_port) != port.i64_at("/containerPort") {
            let number = port.i64_at("/containerPort").unwrap_or(0);
            complaints.invalid(
                at.child("containerPort"),
                number,
                "must match `hostPort` when `hostNetwork` is true",
            );
        }
        complaints.one_of(at.child("protocol"), port.str_at("/protocol"), PROTOCOLS);
    }
}

fn environment(container: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let env = at.child("env");
    for (index, variable) in container.list_at("/env").iter().enumerate() {
        let at = env.index(index);
        complaints.name(at.child("name"), variable.str_at("/name"), variable_name);
        let Some(source) = variable.map_at("/valueFrom") else { continue };
        let at = at.child("valueFrom");
        let known = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
        let given: Vec<_> = known.iter().filter(|kind| source.contains_key(**kind)).collect();
        if !variable.str_at("/value").is_empty() && !given.is_empty() {
            complaints.invalid(at, "", "may not be specified when `value` is not empty");
        } else if given.len() > 1 {
            complaints.invalid(at, "", "may not have more than one field specified at a time");
        } else if given.is_empty() {
            let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
            complaints.invalid(at, "", detail);
        }
        for kind in ["configMapKeyRef", "secretKeyRef"] {
            let Some(reference) = source.get(kind) else { continue };
            let at = at.child(kind);
            complaints.name(at.child("name"), reference.str_at("/name"), names::dns1123_subdomain);
            complaints.name(at.child("key"), reference.str_at("/key"), names::config_key);
        }
        if let Some(reference) = source.get("fieldRef") {
            complaints.name(at.child("fieldRef").child("fieldPath"), reference.str_at("/fieldPath"), |_| {
                Vec::new()
            });
        }
    }
    let env_from = at.child("envFrom");
    for (index, source) in container.list_at("/envFrom").iter().enumerate() {
        let at = env_from.index(index);
        let given: Vec<_> =
            ["configMapRef", "secretRef"].into_iter().filter(|kind| source.get(*kind).is_some()).collect();
        match given.as_slice() {
            [] => complaints.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"),
            [kind] => {
                let name = source.str_at(&format!("/{kind}/name"));
                complaints.name(at.child(kind).child("name"), name, names::dns1123_subdomain);
            }
            _ => complaints.invalid(at, "", "may not have more than one field specified at a time"),
        }
    }
}

fn variable_name(name: &str) -> Vec<String> {
    if name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=') {
        return Vec::new();
    }
    let words =
        "a valid environment variable name must consist only of printable ASCII characters other than '='";
    vec![words.into()]
}

fn mounts(container: &Value, at: Path<'_>, pod: &Pod<'_>, complaints: &mut Complaints) {
    let mounts = at.child("volumeMounts");
    let mut paths = BTreeSet::new();
    for (index, mount) in container.list_at("/volumeMounts").iter().enumerate() {
        let at = mounts.index(index);
        let name = mount.str_at("/name");
        if name.is_empty() {
            complaints.required(at.child("name"), "");
        }
        if !pod.volumes.contains(name) {
            complaints.not_found(at.child("name"), name);
        }
        let path = mount.str_at("/mountPath");
        if path.is_empty() {
            complaints.required(at.child("mountPath"), "");
        } else if !paths.insert(path) {
            complaints.invalid(at.child("mountPath"), path, "must be unique");
        }
        let sub_path = mount.str_at("/subPath");
        if sub_path.starts_with('/') {
            complaints.invalid(at.child("subPath"), sub_path, "must be a relative path");
        }
        if sub_path.split('/').any(|part| part == "..") {
            complaints.invalid(at.child("subPath"), sub_path, "must not contain '..'");
        }
    }
    let devices = at.child("volumeDevices");
    for (index, device) in container.list_at("/volumeDevices").iter().enumerate() {
        let at = devices.index(index);
        let name = device.str_at("/name");
        if name.is_empty() {
            complaints.required(at.child("name"), "");
        } else if !pod.volumes.contains(name) {
            complaints.not_found(at.child("name"), name);
        }
        complaints.name(at.child("devicePath"), device.str_at("/devicePath"), |_| Vec::new());
    }
}
