//! What a pod's claims ask of its node, and what is done about them before the pod is bound
//! (`plugins/volumebinding`, `plugins/volumerestrictions`, `plugins/volumezone`).

use std::{collections::BTreeSet, sync::Arc};

use api::object::ObjectExt as _;
use serde_json::Value;

use super::around::{Around, Storage};
use crate::{
    affinity,
    volumes::matching::{self, SELECTED_NODE, annotation, class_of},
};

const ZONES: [&str; 4] = [
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// The claims of a pod.
#[derive(Default)]
pub(super) struct Claims {
    bound: Vec<Arc<Value>>,
    /// Of classes that wait for the pod's node.
    waiting: Vec<Arc<Value>>,
}

/// What is to be done before the pod can be bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Volumes by name, each with the claim that it is for.
    pub bind: Vec<(String, Arc<Value>)>,
    /// Claims whose volume is to be made for the node.
    pub provision: Vec<Arc<Value>>,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.bind.is_empty() && self.provision.is_empty()
    }

    /// The keys of all claims that must be bound in the end.
    pub(super) fn claims(&self) -> Vec<String> {
        let bind = self.bind.iter().map(|(_, claim)| claim);
        bind.chain(&self.provision).map(|claim| client::key_of(claim)).collect()
    }
}

/// The names of the claims that a pod uses; whether the pod's own (an ephemeral volume).
fn names(pod: &Value) -> impl Iterator<Item = (String, bool)> {
    pod.list_at("/spec/volumes").iter().filter_map(|volume| {
        let claim = volume.str_at("/persistentVolumeClaim/claimName");
        if !claim.is_empty() {
            return Some((claim.to_owned(), false));
        }
        let name = format!("{}-{}", pod.name(), volume.str_at("/name"));
        volume.get("ephemeral").map(|_| (name, true))
    })
}

/// Whether a pod has to do with claims at all.
pub(super) fn concern(pod: &Value) -> bool {
    names(pod).next().is_some()
}

/// The pod's claims, sorted.
///
/// # Errors
/// Why the pod can run nowhere for now.
pub(super) fn claims(pod: &Value, storage: &Storage) -> Result<Claims, String> {
    let mut claims = Claims::default();
    for (name, own) in names(pod) {
        let key = format!("{}/{name}", pod.namespace());
        let Some(claim) = storage.claims.get(&key) else {
            return Err(if own {
                format!(
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"
                )
            } else {
                format!("persistentvolumeclaim {name:?} not found")
            });
        };
        if claim.str_at("/status/phase") == "Lost" {
            let volume = claim.str_at("/spec/volumeName");
            return Err(format!(
                "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
            ));
        }
        if claim.is_terminating() {
            return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
        }
        let class = storage.classes.get(class_of(claim));
        let waits = class.is_some_and(|c| c.str_at("/volumeBindingMode") == "WaitForFirstConsumer");
        if matching::is_bound(claim) {
            claims.bound.push(claim.clone());
        } else if waits && claim.str_at("/spec/volumeName").is_empty() {
            claims.waiting.push(claim.clone());
        } else {
            return Err("pod has unbound immediate PersistentVolumeClaims".into());
        }
    }
    Ok(claims)
}

/// A claim that only one pod may use, and another one uses it.
pub(super) fn restricted(claims: &Claims, pod: &Value, around: &Around) -> Option<&'static str> {
    let alone = claims
        .bound
        .iter()
        .chain(&claims.waiting)
        .filter(|c| c.list_at("/spec/accessModes").iter().any(|mode| mode == "ReadWriteOncePod"));
    let alone: BTreeSet<&str> = alone.map(|c| c.name()).collect();
    let namespace = pod.namespace();
    let in_use = !alone.is_empty()
        && around.placed.iter().any(|p| {
            p.pod.namespace() == namespace && names(&p.pod).any(|(name, _)| alone.contains(name.as_str()))
        });
    in_use.then_some(
        "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
    )
}

/// How the claims can be served on `node`.
///
/// # Errors
/// Why they cannot.
pub(super) fn plan(claims: &Claims, node: &Value, storage: &Storage) -> Result<Plan, Vec<String>> {
    let mut conflicts = BTreeSet::new();
    for claim in &claims.bound {
        let name = claim.str_at("/spec/volumeName");
        match storage.volumes.iter().find(|v| v.name() == name) {
            None => {
                conflicts.insert("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)");
            }
            Some(volume) if !affinity::reaches(volume, node) => {
                conflicts.insert("node(s) had volume node affinity conflict");
            }
            Some(volume) if !same_zone(volume, node) => {
                conflicts.insert("node(s) had no available volume zone");
            }
            Some(_) => {}
        }
    }
    let mut plan = Plan::default();
    let mut taken = BTreeSet::new();
    for claim in &claims.waiting {
        let selected = annotation(claim, SELECTED_NODE);
        if selected.is_some_and(|n| n != node.name()) {
            conflicts.insert("node(s) didn't find available persistent volumes to bind");
            continue;
        }
        let found = match selected {
            Some(_) => None,
            None => matching::find(claim, &storage.volumes, Some(node), &taken, true),
        };
        if let Some(volume) = found {
            taken.insert(volume.name().to_owned());
            plan.bind.push((volume.name().to_owned(), claim.clone()));
        } else if storage.classes.get(class_of(claim)).is_some_and(|class| provisions(class, node)) {
            plan.provision.push(claim.clone());
        } else {
            conflicts.insert("node(s) didn't find available persistent volumes to bind");
        }
    }
    if conflicts.is_empty() { Ok(plan) } else { Err(conflicts.into_iter().map(str::to_owned).collect()) }
}

/// Whether volumes of the class can be made for the node.
fn provisions(class: &Value, node: &Value) -> bool {
    let labels = node.pointer("/metadata/labels");
    let allowed = |term: &Value| {
        term.list_at("/matchLabelExpressions").iter().all(|e| {
            let value = labels.and_then(|l| l.get(e.str_at("/key")));
            e.list_at("/values").iter().any(|v| value == Some(v))
        })
    };
    let mut terms = class.list_at("/allowedTopologies").iter().peekable();
    let everywhere = terms.peek().is_none();
    class.str_at("/provisioner") != "kubernetes.io/no-provisioner" && (everywhere || terms.any(allowed))
}

/// A volume that names zones or regions is usable in these only. A node that names none is let through.
fn same_zone(volume: &Value, node: &Value) -> bool {
    let label = |object: &Value, key: &str| {
        object.pointer("/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str).map(str::to_owned)
    };
    if ZONES.iter().all(|key| label(node, key).is_none()) {
        return true;
    }
    ZONES.iter().all(|key| {
        label(volume, key)
            .is_none_or(|zones| label(node, key).is_some_and(|zone| zones.split("__").any(|z| z == zone)))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn storage(claim: Value) -> Storage {
        let mut storage = Storage::default();
        storage.claims.insert("n/c".into(), Arc::new(claim));
        for (name, provisioner) in [("local", "kubernetes.io/no-provisioner"), ("made", "example.com/disk")] {
            let class = json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"});
            storage.classes.insert(name.into(), Arc::new(class));
        }
        let terms = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]);
        storage.volumes.push(Arc::new(json!({
            "metadata": {"name": "v"},
            "spec": {"capacity": {"storage": "1Gi"}, "storageClassName": "local",
                     "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}},
            "status": {"phase": "Available"},
        })));
        storage
    }

    fn claim(class: &str, extra: Value) -> Value {
        let mut claim = json!({
            "metadata": {"namespace": "n", "name": "c", "uid": "1", "annotations": {}},
            "spec": {"storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}},
        });
        for (at, value) in extra.as_object().into_iter().flatten() {
            if let Some(slot) = claim.pointer_mut(at) {
                *slot = value.clone();
            } else {
                claim["spec"]["volumeName"] = value.clone();
            }
        }
        claim
    }

    /// What is said of nodes n1 and n2; empty where the pod can run.
    fn check(claim: Value, expect: [&str; 2]) {
        let storage = storage(claim.clone());
        let pod = json!({"metadata": {"namespace": "n", "name": "p"}, "spec": {"volumes": [
            {"name": "d", "persistentVolumeClaim": {"claimName": "c"}}
        ]}});
        let of = |name: &str| match claims(&pod, &storage) {
            Err(why) => why,
            Ok(claims) => {
                let node = json!({"metadata": {"name": name}});
                plan(&claims, &node, &storage).err().map(|why| why.join(", ")).unwrap_or_default()
            }
        };
        assert_eq!([of("n1"), of("n2")], expect, "{claim}");
    }

    #[test]
    fn what_claims_ask_of_nodes() {
        let nothing = "node(s) didn't find available persistent volumes to bind";
        check(claim("local", json!({})), ["", nothing]);
        check(claim("made", json!({})), ["", ""]);
        let chosen = json!({"/metadata/annotations": {SELECTED_NODE: "n2"}});
        check(claim("made", chosen), [nothing, ""]);
        let unbound = "pod has unbound immediate PersistentVolumeClaims";
        check(claim("", json!({})), [unbound, unbound]);
        let bound = |volume: &str| json!({"/metadata/annotations": {matching::BIND_COMPLETED: "yes"}, "/spec/volumeName": volume});
        check(claim("local", bound("v")), ["", "node(s) had volume node affinity conflict"]);
        let missing = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
        check(claim("local", bound("w")), [missing, missing]);
    }
}
