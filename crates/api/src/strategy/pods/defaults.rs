//! Defaults of pods and pod templates.

use serde_json::{Value, json};

use super::super::fill::{canonicalize, each, fill, fill_text};
use crate::object::ObjectExt;

const CONTAINER_LISTS: [&str; 3] = ["/initContainers", "/containers", "/ephemeralContainers"];
/// Mode of projected files: octal 0644.
const FILE_MODE: i64 = 420;

/// Defaults of a pod: those of its spec, and a few that templates do not have.
pub(super) fn pod(pod: &mut Value) {
    if pod.at("/spec").is_none_or(Value::is_null) {
        pod.set_at("/spec", json!({}));
    }
    let Some(inner) = pod.at_mut("/spec") else { return };
    spec(inner);
    fill(inner, "/enableServiceLinks", true);
    let host_network = inner.bool_at("/hostNetwork");
    for list in ["/initContainers", "/containers"] {
        for container in each(inner, list) {
            request_what_is_limited(container);
            if host_network {
                for port in each(container, "/ports") {
                    if let Some(number) = port.i64_at("/containerPort") {
                        fill(port, "/hostPort", number);
                    }
                }
            }
        }
    }
}

/// Defaults that pods and templates share.
pub(super) fn spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    for list in CONTAINER_LISTS {
        each(spec, list).for_each(container);
    }
    each(spec, "/volumes").for_each(volume);
    fill_text(spec, "/restartPolicy", "Always");
    fill_text(spec, "/dnsPolicy", "ClusterFirst");
    fill(spec, "/terminationGracePeriodSeconds", 30);
    fill_text(spec, "/schedulerName", "default-scheduler");
    fill(spec, "/securityContext", json!({}));
    alias(spec, "/serviceAccountName", "/serviceAccount");
    canonicalize(spec, "/overhead");
    canonicalize(spec, "/resources/limits");
    canonicalize(spec, "/resources/requests");
}

/// Keeps the deprecated spelling of the service account's name in step with the current one.
pub(super) fn service_account(pod: &mut Value) {
    alias(pod, "/spec/serviceAccountName", "/spec/serviceAccount");
}

fn alias(object: &mut Value, current: &str, deprecated: &str) {
    if object.str_at(current).is_empty() && !object.str_at(deprecated).is_empty() {
        let name = object.str_at(deprecated).to_owned();
        object.set_at(current, name);
    }
    if !object.str_at(current).is_empty() {
        let name = object.str_at(current).to_owned();
        object.set_at(deprecated, name);
    }
}

fn container(container: &mut Value) {
    if !container.is_object() {
        return;
    }
    if container.str_at("/imagePullPolicy").is_empty() {
        let policy = if is_latest(container.str_at("/image")) { "Always" } else { "IfNotPresent" };
        container.set_at("/imagePullPolicy", policy);
    }
    fill_text(container, "/terminationMessagePath", "/dev/termination-log");
    fill_text(container, "/terminationMessagePolicy", "File");
    fill(container, "/resources", json!({}));
    canonicalize(container, "/resources/limits");
    canonicalize(container, "/resources/requests");
    for port in each(container, "/ports") {
        fill_text(port, "/protocol", "TCP");
    }
    for variable in each(container, "/env") {
        if variable.map_at("/valueFrom/fieldRef").is_some() {
            fill_text(variable, "/valueFrom/fieldRef/apiVersion", "v1");
        }
    }
    for kind in ["/livenessProbe", "/readinessProbe", "/startupProbe"] {
        if let Some(found) = container.at_mut(kind) {
            probe(found);
        }
    }
    for hook in ["/lifecycle/postStart", "/lifecycle/preStop"] {
        if let Some(found) = container.at_mut(hook) {
            http_get(found);
        }
    }
}

/// Whether an image without a pull policy is to be pulled each time: tag `latest`, or neither tag nor
/// digest.
fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !digest,
    }
}

fn probe(probe: &mut Value) {
    if !probe.is_object() {
        return;
    }
    for (field, value) in
        [("/timeoutSeconds", 1), ("/periodSeconds", 10), ("/successThreshold", 1), ("/failureThreshold", 3)]
    {
        if probe.i64_at(field).unwrap_or(0) == 0 {
            probe.set_at(field, value);
        }
    }
    http_get(probe);
    if probe.map_at("/grpc").is_some() {
        fill(probe, "/grpc/service", "");
    }
}

fn http_get(handler: &mut Value) {
    if handler.map_at("/httpGet").is_some() {
        fill_text(handler, "/httpGet/path", "/");
        fill_text(handler, "/httpGet/scheme", "HTTP");
    }
}

/// What is limited and not requested is requested in full.
fn request_what_is_limited(container: &mut Value) {
    let Some(limits) = container.map_at("/resources/limits").cloned() else { return };
    if limits.is_empty() {
        return;
    }
    fill(container, "/resources/requests", json!({}));
    let Some(requests) = container.at_mut("/resources/requests").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, amount) in limits {
        requests.entry(name).or_insert(amount);
    }
}

fn volume(volume: &mut Value) {
    let Some(map) = volume.as_object_mut() else { return };
    if map.keys().all(|key| key == "name") {
        map.insert("emptyDir".into(), json!({}));
    }
    for source in ["/secret", "/configMap", "/downwardAPI", "/projected"] {
        if volume.map_at(source).is_some() {
            fill(volume, &format!("{source}/defaultMode"), FILE_MODE);
        }
    }
    if volume.map_at("/hostPath").is_some() {
        fill(volume, "/hostPath/type", "");
    }
    field_refs(volume, "/downwardAPI/items");
    for source in each(volume, "/projected/sources") {
        if source.map_at("/serviceAccountToken").is_some() {
            fill(source, "/serviceAccountToken/expirationSeconds", 3600);
        }
        field_refs(source, "/downwardAPI/items");
    }
    if volume.map_at("/ephemeral/volumeClaimTemplate/spec").is_some() {
        fill_text(volume, "/ephemeral/volumeClaimTemplate/spec/volumeMode", "Filesystem");
    }
}

fn field_refs(object: &mut Value, pointer: &str) {
    for item in each(object, pointer) {
        if item.map_at("/fieldRef").is_some() {
            fill_text(item, "/fieldRef/apiVersion", "v1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_latest;

    #[test]
    fn the_tag_decides_the_pull_policy() {
        for (image, latest) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("registry:5000/nginx", true),
            ("registry:5000/nginx:1.25", false),
            ("nginx:1.25", false),
            ("nginx@sha256:00", false),
            ("nginx:latest@sha256:00", true),
            ("", true),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }
}
