//! What a hardened pod must say, and may not do on top of the baseline.

use api::object::ObjectExt as _;
use serde_json::Value;

use super::{
    Finding, baseline,
    subject::{Subject, Values, containers, list, plural, set, setters},
};

/// The first release that takes volumes from images; it judges pods of all policy versions.
const IMAGE_VOLUMES_SINCE: u64 = 33;
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// The kinds of volume that have a name in messages, in the order in which they are looked for.
const NAMED_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

pub(super) fn escalation(pod: &Subject<'_>) -> Option<Finding> {
    let names = pod.bad(|container| {
        container.at("/securityContext/allowPrivilegeEscalation") != Some(&Value::Bool(false))
    });
    (!names.is_empty()).then(|| {
        let who = containers(&names);
        let detail = format!("{who} must set securityContext.allowPrivilegeEscalation=false");
        Finding::new("allowPrivilegeEscalation != false", detail)
    })
}

pub(super) fn escalation_1_25(pod: &Subject<'_>) -> Option<Finding> {
    if pod.is_windows() { None } else { escalation(pod) }
}

pub(super) fn capabilities(pod: &Subject<'_>) -> Option<Finding> {
    let held = |container: &'_ Value, list: &str| -> Vec<String> {
        let list = container.list_at(&format!("/securityContext/capabilities/{list}"));
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let keeping = pod.bad(|container| !held(container, "drop").iter().any(|c| c == "ALL"));
    let mut added = std::collections::BTreeSet::new();
    let adding = pod.bad(|container| {
        let own: Vec<String> =
            held(container, "add").into_iter().filter(|c| c != "NET_BIND_SERVICE").collect();
        let bad = !own.is_empty();
        added.extend(own);
        bad
    });
    let mut details = Vec::new();
    if !keeping.is_empty() {
        let who = containers(&keeping);
        details.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    if !adding.is_empty() {
        let (who, what) = (containers(&adding), list(added.iter().map(String::as_str)));
        details.push(format!("{who} must not include {what} in securityContext.capabilities.add"));
    }
    (!details.is_empty()).then(|| Finding::new("unrestricted capabilities", details.join("; ")))
}

pub(super) fn capabilities_1_25(pod: &Subject<'_>) -> Option<Finding> {
    if pod.is_windows() { None } else { capabilities(pod) }
}

pub(super) fn volumes(pod: &Subject<'_>) -> Option<Finding> {
    let (mut names, mut kinds) = (Vec::new(), Values::new());
    for volume in pod.spec.list_at("/volumes") {
        let has = |kind: &&str| volume.get(*kind).is_some_and(|v| !v.is_null());
        // What names no source at all is an empty directory by default.
        let is_bare = volume.as_object().is_some_and(|v| v.len() == 1 && v.contains_key("name"));
        let has_image = pod.release >= IMAGE_VOLUMES_SINCE && has(&"image");
        if is_bare || has_image || VOLUMES.iter().any(has) {
            continue;
        }
        names.push(volume.str_at("/name"));
        kinds.insert(NAMED_VOLUMES.into_iter().find(|kind| has(kind)).unwrap_or("unknown"));
    }
    (!names.is_empty()).then(|| {
        let detail = format!(
            "{} {} {} {} {}",
            plural(names.len(), "volume", "volumes"),
            list(names.iter().copied()),
            plural(names.len(), "uses", "use"),
            plural(kinds.len(), "restricted volume type", "restricted volume types"),
            list(kinds)
        );
        Finding::new("restricted volume types", detail)
    })
}

pub(super) fn non_root(pod: &Subject<'_>) -> Option<Finding> {
    const FIELD: &str = "/securityContext/runAsNonRoot";
    const REASON: &str = "runAsNonRoot != true";
    let said = |object: &Value| object.at(FIELD).and_then(Value::as_bool);
    let by_pod = said(pod.spec);
    let bad = pod.bad(|container| said(container) == Some(false));
    if let Some(who) = setters(by_pod == Some(false), &bad) {
        return Some(Finding::new(REASON, format!("{who} must not set securityContext.runAsNonRoot=false")));
    }
    let silent = pod.bad(|container| by_pod != Some(true) && said(container).is_none());
    (!silent.is_empty()).then(|| {
        let who = containers(&silent);
        Finding::new(REASON, format!("pod or {who} must set securityContext.runAsNonRoot=true"))
    })
}

pub(super) fn non_root_1_35(pod: &Subject<'_>) -> Option<Finding> {
    if pod.has_user_namespace() { None } else { non_root(pod) }
}

pub(super) fn user(pod: &Subject<'_>) -> Option<Finding> {
    let is_root = |object: &Value| object.i64_at("/securityContext/runAsUser") == Some(0);
    let who = setters(is_root(pod.spec), &pod.bad(is_root))?;
    Some(Finding::new("runAsUser=0", format!("{who} must not set runAsUser=0")))
}

pub(super) fn user_1_35(pod: &Subject<'_>) -> Option<Finding> {
    if pod.has_user_namespace() { None } else { user(pod) }
}

pub(super) fn seccomp(pod: &Subject<'_>) -> Option<Finding> {
    if let Some(finding) = baseline::seccomp(pod) {
        return Some(finding);
    }
    // Whatever is set is right; somebody must set it.
    const FIELD: &str = "/securityContext/seccompProfile";
    if set(pod.spec, FIELD).is_some() {
        return None;
    }
    let silent = pod.bad(|container| set(container, FIELD).is_none());
    (!silent.is_empty()).then(|| {
        let detail = format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            containers(&silent)
        );
        Finding::new("seccompProfile", detail)
    })
}

pub(super) fn seccomp_1_25(pod: &Subject<'_>) -> Option<Finding> {
    if pod.is_windows() { None } else { seccomp(pod) }
}
