//! Nodes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Strategy,
    check::Complaints,
    fill::{canonicalize, fill},
    path::Path,
};
use crate::{meta, names, object::ObjectExt};

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    default,
    // A kubelet registers its node together with the first status.
    create: |_, _, _| {},
    validate,
    validate_update,
    ..Strategy::of("", "Node")
}];

fn default(node: &mut Value) {
    if let Some(capacity) = node.at("/status/capacity").cloned() {
        fill(node, "/status/allocatable", capacity);
    }
    canonicalize(node, "/status/capacity");
    canonicalize(node, "/status/allocatable");
}

fn validate(node: &Value, complaints: &mut Complaints) {
    let spec = Path::root("spec");
    let at = spec.child("taints");
    let mut seen = BTreeSet::new();
    for (index, taint) in node.list_at("/spec/taints").iter().enumerate() {
        let at = at.index(index);
        let (key, effect) = (taint.str_at("/key"), taint.str_at("/effect"));
        complaints.each(at.child("key"), key, names::qualified_name(key));
        let value = taint.str_at("/value");
        complaints.each(at.child("value"), value, names::label_value(value));
        complaints.one_of(at.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        if !seen.insert((key, effect)) {
            complaints.duplicate(at, taint.clone());
        }
    }
    let at = spec.child("podCIDRs");
    for (index, cidr) in node.list_at("/spec/podCIDRs").iter().enumerate() {
        let cidr = cidr.as_str().unwrap_or_default();
        if !is_cidr(cidr) {
            complaints.invalid(
                at.index(index),
                cidr,
                "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            );
        }
    }
    let status = Path::root("status");
    complaints.amounts(status.child("capacity"), node.map_at("/status/capacity"));
    complaints.amounts(status.child("allocatable"), node.map_at("/status/allocatable"));
    let at = status.child("addresses");
    let mut seen = BTreeSet::new();
    for (index, address) in node.list_at("/status/addresses").iter().enumerate() {
        if !seen.insert((address.str_at("/type"), address.str_at("/address"))) {
            complaints.duplicate(at.index(index), address.clone());
        }
    }
}

fn validate_update(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    if subresource == "status" {
        return validate(new, complaints);
    }
    let spec = Path::root("spec");
    let changed = |pointer: &str| !meta::semantic_eq(new.at(pointer), old.at(pointer));
    if !old.list_at("/spec/podCIDRs").is_empty() && changed("/spec/podCIDRs") {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        complaints.forbidden(spec.child("podCIDRs"), detail);
    }
    if !old.str_at("/spec/providerID").is_empty() && changed("/spec/providerID") {
        let detail = "node updates may not change providerID except from \"\" to valid";
        complaints.forbidden(spec.child("providerID"), detail);
    }
}

/// Whether a text is an address, a slash and a length that fits.
pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(length)) = (address.parse::<std::net::IpAddr>(), length.parse::<u8>()) else {
        return false;
    };
    length <= if address.is_ipv4() { 32 } else { 128 }
}
