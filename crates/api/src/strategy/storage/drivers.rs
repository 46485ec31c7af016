//! Storage drivers, and which of them a node has.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::{
        Strategy,
        check::Complaints,
        fill::{fill, fill_text},
    },
    GROUP, SPEC, driver_name,
};
use crate::{meta, names, object::ObjectExt};

const NODE_ID_MAX: usize = 192;
const POLICIES: &[&str] = &["File", "None", "ReadWriteOnceWithFSType"];
const MODES: &[&str] = &["Persistent", "Ephemeral"];
/// Tokens shorter than this would be renewed all the time.
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const UPDATE_SECONDS_MIN: i64 = 10;

pub(super) const DRIVER: Strategy = Strategy {
    default: |driver| {
        fill(driver, "/spec/attachRequired", true);
        fill(driver, "/spec/podInfoOnMount", false);
        fill(driver, "/spec/storageCapacity", false);
        fill_text(driver, "/spec/fsGroupPolicy", "ReadWriteOnceWithFSType");
        if driver.list_at("/spec/volumeLifecycleModes").is_empty() {
            driver.set_at("/spec/volumeLifecycleModes", json!(["Persistent"]));
        }
        fill(driver, "/spec/requiresRepublish", false);
        fill(driver, "/spec/seLinuxMount", false);
    },
    validate: validate_driver,
    validate_update: |new, old, _, complaints| {
        // Upstream spells it so.
        complaints.immutable(SPEC.child("attachedRequired"), new, old, "/spec/attachRequired");
        complaints.immutable(SPEC.child("volumeLifecycleModes"), new, old, "/spec/volumeLifecycleModes");
    },
    ..Strategy::of(GROUP, "CSIDriver")
};

pub(super) const NODE: Strategy = Strategy {
    validate: validate_node,
    validate_update: |new, old, _, complaints| {
        let without_count = |driver: &Value| {
            let mut driver = driver.clone();
            driver.remove_at("/allocatable");
            driver
        };
        for before in old.list_at("/spec/drivers") {
            let same = |now: &&Value| now.str_at("/name") == before.str_at("/name");
            for now in new.list_at("/spec/drivers").iter().filter(same) {
                let (now, before) = (without_count(now), without_count(before));
                if !meta::semantic_eq(Some(&now), Some(&before)) {
                    complaints.invalid(SPEC.child("drivers"), now, "field is immutable");
                }
            }
        }
    },
    ..Strategy::of(GROUP, "CSINode")
};

fn validate_driver(driver: &Value, complaints: &mut Complaints) {
    let policy = driver.str_at("/spec/fsGroupPolicy");
    complaints.optional_one_of(SPEC.child("fsGroupPolicy"), policy, POLICIES);
    let list = SPEC.child("tokenRequests");
    let mut audiences = BTreeSet::new();
    for (index, request) in driver.list_at("/spec/tokenRequests").iter().enumerate() {
        let at = list.index(index);
        let audience = request.str_at("/audience");
        if !audiences.insert(audience) {
            complaints.duplicate(at.child("audience"), audience);
            continue;
        }
        let Some(seconds) = request.i64_at("/expirationSeconds") else { continue };
        let at = at.child("expirationSeconds");
        if seconds < TOKEN_SECONDS_MIN {
            complaints.invalid(at, seconds, "may not specify a duration less than 10 minutes");
        }
        if seconds > TOKEN_SECONDS_MAX {
            complaints.invalid(at, seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
    let at = SPEC.child("volumeLifecycleModes");
    for mode in driver.list_at("/spec/volumeLifecycleModes") {
        let mode = mode.as_str().unwrap_or_default();
        if !MODES.contains(&mode) {
            complaints.not_supported(at, mode, MODES);
        }
    }
    let period = driver.i64_at("/spec/nodeAllocatableUpdatePeriodSeconds");
    if let Some(period) = period.filter(|period| *period < UPDATE_SECONDS_MIN) {
        let at = SPEC.child("nodeAllocatableUpdatePeriodSeconds");
        complaints.invalid(at, period, "must be greater than or equal to 10 seconds");
    }
}

fn validate_node(node: &Value, complaints: &mut Complaints) {
    let list = SPEC.child("drivers");
    let mut seen = BTreeSet::new();
    for (index, driver) in node.list_at("/spec/drivers").iter().enumerate() {
        let at = list.index(index);
        let (name, id) = (driver.str_at("/name"), driver.str_at("/nodeID"));
        driver_name(name, at.child("name"), complaints);
        if id.is_empty() {
            complaints.required(at.child("nodeID"), "");
        }
        if id.len() > NODE_ID_MAX {
            complaints.invalid(at.child("nodeID"), id, format!("must be {NODE_ID_MAX} characters or less"));
        }
        complaints.non_negative(at.child("allocatable").child("count"), driver.i64_at("/allocatable/count"));
        if !seen.insert(name) {
            complaints.duplicate(at.child("name"), name);
        }
        let mut keys = BTreeSet::new();
        for key in driver.list_at("/topologyKeys") {
            let key = key.as_str().unwrap_or_default();
            if key.is_empty() {
                complaints.required(at, "");
            }
            if !keys.insert(key) {
                complaints.duplicate(at, key);
            }
            complaints.each(at, key, names::qualified_name(key));
        }
    }
}
