//! Volumes, claims, classes; and the two kinds that watch over pods, budgets and autoscalers.

use serde_json::{Value, json};

use super::{
    Strategy,
    check::Complaints,
    fill::{canonicalize, fill, fill_text},
    path::Path,
};
use crate::object::ObjectExt;

const SPEC: Path<'static> = Path::root("spec");
const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        default: |volume| {
            fill_text(volume, "/spec/persistentVolumeReclaimPolicy", "Retain");
            fill_text(volume, "/spec/volumeMode", "Filesystem");
            canonicalize(volume, "/spec/capacity");
            if volume.map_at("/spec/hostPath").is_some() {
                fill(volume, "/spec/hostPath/type", "");
            }
        },
        create: |_, volume, _| volume.set_at("/status", json!({"phase": "Pending"})),
        validate: |volume, complaints| {
            access_modes(volume, complaints);
            if volume.map_at("/spec/capacity").is_none_or(|capacity| capacity.is_empty()) {
                complaints.required(SPEC.child("capacity"), "");
            }
            complaints.amounts(SPEC.child("capacity"), volume.map_at("/spec/capacity"));
            let policy = volume.str_at("/spec/persistentVolumeReclaimPolicy");
            complaints.optional_one_of(
                SPEC.child("persistentVolumeReclaimPolicy"),
                policy,
                &["Delete", "Recycle", "Retain"],
            );
        },
        validate_update: |new, old, subresource, complaints| {
            if subresource.is_empty() {
                complaints.immutable(SPEC.child("volumeMode"), new, old, "/spec/volumeMode");
            }
        },
        ..Strategy::of("", "PersistentVolume")
    },
    Strategy {
        default: |claim| {
            fill_text(claim, "/spec/volumeMode", "Filesystem");
            canonicalize(claim, "/spec/resources/requests");
            canonicalize(claim, "/spec/resources/limits");
        },
        create: |_, claim, _| claim.set_at("/status", json!({"phase": "Pending"})),
        validate: |claim, complaints| {
            access_modes(claim, complaints);
            let at = Path::root("spec.resources");
            match claim.at("/spec/resources/requests/storage") {
                None => complaints.required(at.key("storage"), ""),
                Some(amount) => complaints.amount(at.key("storage"), amount),
            }
            complaints.label_selector(SPEC.child("selector"), claim.at("/spec/selector"));
        },
        validate_update: validate_claim_update,
        ..Strategy::of("", "PersistentVolumeClaim")
    },
    Strategy {
        default: |class| {
            fill_text(class, "/reclaimPolicy", "Delete");
            fill_text(class, "/volumeBindingMode", "Immediate");
        },
        validate: |class, complaints| {
            if class.str_at("/provisioner").is_empty() {
                complaints.required(Path::root("provisioner"), "");
            }
        },
        validate_update: |new, old, _, complaints| {
            for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
                if new.get(field) != old.get(field) {
                    complaints.forbidden(Path::root(field), format!("updates to {field} are forbidden."));
                }
            }
        },
        ..Strategy::of("storage.k8s.io", "StorageClass")
    },
    Strategy {
        default: |driver| {
            fill(driver, "/spec/attachRequired", true);
            fill(driver, "/spec/podInfoOnMount", false);
            fill(driver, "/spec/storageCapacity", false);
            fill_text(driver, "/spec/fsGroupPolicy", "ReadWriteOnceWithFSType");
            fill(driver, "/spec/volumeLifecycleModes", json!(["Persistent"]));
            fill(driver, "/spec/requiresRepublish", false);
            fill(driver, "/spec/seLinuxMount", false);
        },
        ..Strategy::of("storage.k8s.io", "CSIDriver")
    },
    Strategy {
        validate: |budget, complaints| {
            let (min, max) = (budget.at("/spec/minAvailable"), budget.at("/spec/maxUnavailable"));
            if min.is_some() && max.is_some() {
                let value = budget.at("/spec").cloned().unwrap_or_default();
                complaints.invalid(SPEC, value, "minAvailable and maxUnavailable cannot be both set");
            }
            complaints.count_or_percent(SPEC.child("minAvailable"), min);
            complaints.count_or_percent(SPEC.child("maxUnavailable"), max);
            complaints.label_selector(SPEC.child("selector"), budget.at("/spec/selector"));
        },
        create: |_, budget, _| {
            let none =
                json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0});
            budget.set_at("/status", none);
        },
        ..Strategy::of("policy", "PodDisruptionBudget")
    },
    Strategy {
        default: |scaler| fill(scaler, "/spec/minReplicas", 1),
        validate: |scaler, complaints| {
            let max = scaler.i64_at("/spec/maxReplicas").unwrap_or(0);
            let min = scaler.i64_at("/spec/minReplicas").unwrap_or(1);
            if min < 1 {
                complaints.invalid(SPEC.child("minReplicas"), min, "must be greater than or equal to 1");
            }
            if max < 1 {
                complaints.invalid(SPEC.child("maxReplicas"), max, "must be greater than 0");
            }
            if max < min {
                complaints.invalid(
                    SPEC.child("maxReplicas"),
                    max,
                    "must be greater than or equal to `minReplicas`",
                );
            }
            let at = SPEC.child("scaleTargetRef");
            for field in ["kind", "name"] {
                if scaler.str_at(&format!("/spec/scaleTargetRef/{field}")).is_empty() {
                    complaints.required(at.child(field), "");
                }
            }
        },
        ..Strategy::of("autoscaling", "HorizontalPodAutoscaler")
    },
];

fn access_modes(object: &Value, complaints: &mut Complaints) {
    let at = SPEC.child("accessModes");
    let modes = object.list_at("/spec/accessModes");
    if modes.is_empty() {
        complaints.required(at, "at least 1 access mode is required");
    }
    for mode in modes {
        complaints.optional_one_of(at, mode.as_str().unwrap_or_default(), ACCESS_MODES);
    }
}

fn validate_claim_update(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    if subresource == "status" {
        return;
    }
    let mut rest = new.clone();
    super::fill::restore_at(&mut rest, old, "/spec/resources/requests");
    super::fill::restore_at(&mut rest, old, "/spec/volumeAttributesClassName");
    for pointer in ["/spec/volumeName", "/spec/storageClassName"] {
        if old.str_at(pointer).is_empty() {
            super::fill::restore_at(&mut rest, old, pointer);
        }
    }
    if !crate::meta::semantic_eq(rest.at("/spec"), old.at("/spec")) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        complaints.forbidden(SPEC, detail);
    }
}
