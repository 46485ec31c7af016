//! What claims can ask for by name: storage classes, attributes classes; and what is left of a class.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::{
        Strategy,
        check::Complaints,
        fill::{canonicalize, fill_text},
        path::Path,
    },
    GROUP, fixed, parameters, provisioner,
};
use crate::{names, object::ObjectExt};

pub(super) const STORAGE_CLASS: Strategy = Strategy {
    default: |class| {
        fill_text(class, "/reclaimPolicy", "Delete");
        fill_text(class, "/volumeBindingMode", "Immediate");
    },
    validate: |class, complaints| {
        provisioner(class.str_at("/provisioner"), Path::root("provisioner"), complaints);
        parameters(class.map_at("/parameters"), false, Path::root("parameters"), complaints);
        let policy = class.str_at("/reclaimPolicy");
        complaints.optional_one_of(Path::root("reclaimPolicy"), policy, &["Delete", "Retain"]);
        complaints.one_of(
            Path::root("volumeBindingMode"),
            class.str_at("/volumeBindingMode"),
            &["Immediate", "WaitForFirstConsumer"],
        );
        topologies(class.list_at("/allowedTopologies"), complaints);
    },
    validate_update: |new, old, _, complaints| {
        fixed(new, old, &["parameters", "provisioner", "reclaimPolicy"], complaints);
        complaints.immutable(Path::root("volumeBindingMode"), new, old, "/volumeBindingMode");
    },
    ..Strategy::of(GROUP, "StorageClass")
};

pub(super) const ATTRIBUTES_CLASS: Strategy = Strategy {
    validate: |class, complaints| {
        provisioner(class.str_at("/driverName"), Path::root("driverName"), complaints);
        parameters(class.map_at("/parameters"), true, Path::root("parameters"), complaints);
    },
    validate_update: |new, old, _, complaints| fixed(new, old, &["driverName", "parameters"], complaints),
    ..Strategy::of(GROUP, "VolumeAttributesClass")
};

pub(super) const CAPACITY: Strategy = Strategy {
    default: |capacity| {
        // Amounts stand in maps elsewhere; these two stand alone.
        for field in ["capacity", "maximumVolumeSize"] {
            if let Some(amount) = capacity.get(field).cloned() {
                let mut alone = serde_json::json!({ "amounts": { field: amount } });
                canonicalize(&mut alone, "/amounts");
                if let Some(amount) = alone.remove_at(&format!("/amounts/{field}")) {
                    capacity.set_at(&format!("/{field}"), amount);
                }
            }
        }
    },
    validate: |capacity, complaints| {
        complaints.label_selector(Path::root("nodeTopology"), capacity.at("/nodeTopology"));
        let class = capacity.str_at("/storageClassName");
        complaints.each(Path::root("storageClassName"), class, names::dns1123_subdomain(class));
        if let Some(amount) = capacity.get("capacity") {
            complaints.amount(Path::root("capacity"), amount);
        }
    },
    validate_update: |new, old, _, complaints| {
        complaints.immutable(Path::root("nodeTopology"), new, old, "/nodeTopology");
        complaints.immutable(Path::root("storageClassName"), new, old, "/storageClassName");
    },
    ..Strategy::of(GROUP, "CSIStorageCapacity")
};

fn topologies(terms: &[Value], complaints: &mut Complaints) {
    let list = Path::root("allowedTopologies");
    for (index, term) in terms.iter().enumerate() {
        let at = list.index(index);
        let expressions = at.child("matchLabelExpressions");
        let mut keys = BTreeSet::new();
        for (index, expression) in term.list_at("/matchLabelExpressions").iter().enumerate() {
            let at = expressions.index(index);
            let values = expression.list_at("/values");
            if values.is_empty() {
                complaints.required(at.child("values"), "");
            }
            let mut seen = BTreeSet::new();
            let path = at.child("values");
            for (index, value) in values.iter().enumerate() {
                let value = value.as_str().unwrap_or_default();
                if !seen.insert(value) {
                    complaints.duplicate(path.index(index), value);
                }
            }
            let key = expression.str_at("/key");
            complaints.each(at.child("key"), key, names::qualified_name(key));
            if !keys.insert(key) {
                complaints.duplicate(at.child("key"), key);
            }
        }
        if terms.iter().take(index).any(|before| before == term) {
            complaints.duplicate(expressions, "");
        }
    }
}
