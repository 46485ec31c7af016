//! Stateful sets.

use serde_json::{Value, json};

use super::{
    super::{
        Strategy,
        check::Complaints,
        fill::{canonicalize, each, fill, fill_text, restore_at},
        path::Path,
        pods,
    },
    TEMPLATE, validate_counts, validate_endless_template, validate_no_deadline,
};
use crate::{meta, object::ObjectExt};

/// What an update of the spec may touch.
const MUTABLE: &[&str] = &[
    "/spec/replicas",
    "/spec/ordinals",
    "/spec/template",
    "/spec/updateStrategy",
    "/spec/revisionHistoryLimit",
    "/spec/persistentVolumeClaimRetentionPolicy",
    "/spec/minReadySeconds",
];

pub(super) const STRATEGY: Strategy = Strategy {
    default,
    create: |_, set, _| set.set_at("/status", json!({"replicas": 0, "availableReplicas": 0})),
    validate,
    validate_update,
    ..Strategy::of("apps", "StatefulSet")
};

fn default(set: &mut Value) {
    pods::default_template(set, TEMPLATE);
    fill_text(set, "/spec/podManagementPolicy", "OrderedReady");
    fill_text(set, "/spec/updateStrategy/type", "RollingUpdate");
    if set.str_at("/spec/updateStrategy/type") == "RollingUpdate" {
        fill(set, "/spec/updateStrategy/rollingUpdate/partition", 0);
    }
    fill_text(set, "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", "Retain");
    fill_text(set, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled", "Retain");
    fill(set, "/spec/replicas", 1);
    fill(set, "/spec/revisionHistoryLimit", 10);
    for claim in each(set, "/spec/volumeClaimTemplates") {
        fill_text(claim, "/kind", "PersistentVolumeClaim");
        fill_text(claim, "/apiVersion", "v1");
        fill_text(claim, "/spec/volumeMode", "Filesystem");
        canonicalize(claim, "/spec/resources/requests");
        fill_text(claim, "/status/phase", "Pending");
    }
}

fn validate(set: &Value, complaints: &mut Complaints) {
    let spec = Path::root("spec");
    complaints.one_of(
        spec.child("podManagementPolicy"),
        set.str_at("/spec/podManagementPolicy"),
        &["OrderedReady", "Parallel"],
    );
    let strategy = spec.child("updateStrategy");
    complaints.one_of(
        strategy.child("type"),
        set.str_at("/spec/updateStrategy/type"),
        &["RollingUpdate", "OnDelete"],
    );
    let rolling = strategy.child("rollingUpdate");
    complaints
        .non_negative(rolling.child("partition"), set.i64_at("/spec/updateStrategy/rollingUpdate/partition"));
    let retention = spec.child("persistentVolumeClaimRetentionPolicy");
    for when in ["whenDeleted", "whenScaled"] {
        let policy = set.str_at(&format!("/spec/persistentVolumeClaimRetentionPolicy/{when}"));
        if !matches!(policy, "Retain" | "Delete") {
            complaints.not_supported(retention.child(when), policy, &["Retain", "Delete"]);
        }
    }
    validate_counts(set, &["replicas", "minReadySeconds"], complaints);
    let ordinals = spec.child("ordinals");
    complaints.non_negative(ordinals.child("start"), set.i64_at("/spec/ordinals/start"));
    complaints.workload_selector(set, "statefulset");
    validate_endless_template(set, complaints);
    validate_no_deadline(set, "StatefulSet", complaints);
}

fn validate_update(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    if subresource == "status" {
        return;
    }
    let mut rest = new.clone();
    for pointer in MUTABLE {
        restore_at(&mut rest, old, pointer);
    }
    if !meta::semantic_eq(rest.at("/spec"), old.at("/spec")) {
        complaints.forbidden(Path::root("spec"), "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
    }
}
