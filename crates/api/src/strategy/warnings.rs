//! What is allowed and yet worth a word: fields on their way out, and values that do not do what their
//! author means. Clients show these sentences and carry on.

use std::collections::BTreeSet;

use serde_json::Value;

use super::path::Path;
use crate::{kinds::Kind, meta, object::ObjectExt, quantity::Quantity, status::quoted};

/// Where the pod templates of workloads stand, and how complaints spell it.
const TEMPLATES: &[(&str, &str, &str, &str)] = &[
    ("", "PodTemplate", "/template/spec", "template.spec"),
    ("", "ReplicationController", "/spec/template/spec", "spec.template.spec"),
    ("apps", "DaemonSet", "/spec/template/spec", "spec.template.spec"),
    ("apps", "Deployment", "/spec/template/spec", "spec.template.spec"),
    ("apps", "ReplicaSet", "/spec/template/spec", "spec.template.spec"),
    ("apps", "StatefulSet", "/spec/template/spec", "spec.template.spec"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template/spec", "spec.jobTemplate.spec.template.spec"),
    ("batch", "Job", "/spec/template/spec", "spec.template.spec"),
];

const NODE_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
];

const VOLUMES: &[(&str, &str)] = &[
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
];

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const OPTIONS_ANNOTATION: &str = "volume.beta.kubernetes.io/mount-options";
const INGRESS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// What a client should hear of an object that is about to be stored. `old`: what an update changes.
pub fn warnings(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut words = Vec::new();
    finalizers(new, old, &mut words);
    if old.is_some_and(|old| meta::semantic_eq(new.get("spec"), old.get("spec"))) {
        return words;
    }
    let of = |(group, name, ..): &&(&str, &str, &str, &str)| (*group, *name) == (kind.group, kind.kind);
    if let Some((.., pointer, path)) = TEMPLATES.iter().find(of) {
        pod(new.at(pointer).unwrap_or(&Value::Null), Path::root(path), &mut words);
    }
    match (kind.group, kind.kind) {
        // Who changes a pod is hardly ever a person.
        ("", "Pod") if old.is_none() => {
            pod(new.at("/spec").unwrap_or(&Value::Null), Path::root("spec"), &mut words)
        }
        ("", "Service") => service(new, &mut words),
        ("", "PersistentVolume") => {
            annotation(new, CLASS_ANNOTATION, "v1.8", "storageClassName", &mut words);
            annotation(new, OPTIONS_ANNOTATION, "v1.31", "mountOptions", &mut words);
            if new.str_at("/spec/persistentVolumeReclaimPolicy") == "Recycle" {
                words.push("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".into());
            }
        }
        ("", "PersistentVolumeClaim") => {
            annotation(new, CLASS_ANNOTATION, "v1.8", "storageClassName", &mut words);
            let requests = Path::root("spec.resources.requests");
            fraction(new.at("/spec/resources/requests/storage"), requests.key("storage"), &mut words);
        }
        ("networking.k8s.io", "Ingress") if new.annotation(INGRESS_ANNOTATION).is_some() => {
            let words_of_it = "is deprecated, please use 'spec.ingressClassName' instead";
            words.push(format!("annotation {} {words_of_it}", quoted(INGRESS_ANNOTATION)));
        }
        ("storage.k8s.io", "StorageClass") => topologies(new, &mut words),
        _ => {}
    }
    words
}

/// A finalizer is everybody's; one without a domain may be meant by two.
fn finalizers(new: &Value, old: Option<&Value>, words: &mut Vec<String>) {
    let known = |name: &&str| {
        name.contains('/')
            || [meta::KUBERNETES, meta::ORPHAN, meta::FOREGROUND].contains(name)
            || old.is_some_and(|old| old.has_finalizer(name))
    };
    for name in new.finalizers().filter(|name| !known(name)) {
        words.push(format!(
            "metadata.finalizers: {}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers",
            quoted(name)
        ));
    }
}

fn annotation(object: &Value, key: &str, since: &str, instead: &str, words: &mut Vec<String>) {
    if object.annotation(key).is_some() {
        let at = Path::root("metadata.annotations");
        words.push(format!(
            "{}: deprecated since {since}; use {} attribute instead",
            at.key(key),
            quoted(instead)
        ));
    }
}

fn label(key: &str, at: Path<'_>, words: &mut Vec<String>) {
    if let Some((_, why)) = NODE_LABELS.iter().find(|(label, _)| *label == key) {
        words.push(format!("{at}: {why}"));
    }
}

fn fraction(amount: Option<&Value>, at: Path<'_>, words: &mut Vec<String>) {
    let Some(Ok(amount)) = amount.map(Quantity::from_value) else { return };
    if amount.nanos() % 1_000_000_000 != 0 {
        let shown = quoted(&amount.to_string());
        words.push(format!("{at}: fractional byte value {shown} is invalid, must be an integer"));
    }
}

fn pod(spec: &Value, at: Path<'_>, words: &mut Vec<String>) {
    for key in spec.map_at("/nodeSelector").into_iter().flatten().map(|(key, _)| key) {
        label(key, at.child("nodeSelector").key(key), words);
    }
    if spec.i64_at("/terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let at = at.child("terminationGracePeriodSeconds");
        words.push(format!("{at}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    let volumes = at.child("volumes");
    for (index, volume) in spec.list_at("/volumes").iter().enumerate() {
        for (kind, why) in VOLUMES.iter().filter(|(kind, _)| volume.get(kind).is_some()) {
            words.push(format!("{}: {why}", volumes.index(index).child(kind)));
        }
    }
    for field in ["initContainers", "containers"] {
        let list = at.child(field);
        for (index, container) in spec.list_at(&format!("/{field}")).iter().enumerate() {
            let at = list.index(index);
            let env = at.child("env");
            let mut names = BTreeSet::new();
            for (index, variable) in container.list_at("/env").iter().enumerate() {
                let name = variable.str_at("/name");
                if !names.insert(name) {
                    let shown = quoted(name);
                    let why = format!(
                        "hides previous definition of {shown}, which may be dropped when using apply"
                    );
                    words.push(format!("{}: {why}", env.index(index)));
                }
            }
            let resources = at.child("resources");
            for side in ["requests", "limits"] {
                for resource in ["memory", "ephemeral-storage"] {
                    let amount = container.at(&format!("/resources/{side}/{resource}"));
                    fraction(amount, resources.child(side).key(resource), words);
                }
            }
        }
    }
}

fn service(service: &Value, words: &mut Vec<String>) {
    if service.str_at("/spec/clusterIP") == "None" && service.str_at("/spec/sessionAffinity") == "ClientIP" {
        words.push("spec.SessionAffinity is ignored for headless services".into());
    }
}

fn topologies(class: &Value, words: &mut Vec<String>) {
    let list = Path::root("allowedTopologies");
    for (index, term) in class.list_at("/allowedTopologies").iter().enumerate() {
        let at = list.index(index);
        let expressions = at.child("matchLabelExpressions");
        for (index, expression) in term.list_at("/matchLabelExpressions").iter().enumerate() {
            label(expression.str_at("/key"), expressions.index(index).child("key"), words);
        }
    }
}
