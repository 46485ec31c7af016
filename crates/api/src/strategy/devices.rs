//! Devices: classes, claims and what drivers offer.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Strategy,
    check::Complaints,
    fill::{each, fill, fill_text},
    path::Path,
    pods,
};
use crate::{names, object::ObjectExt};

const SPEC: Path<'static> = Path::root("spec");
const GROUP: &str = "resource.k8s.io";
const DRIVER_MAX: usize = 63;
const POOL_MAX: usize = 253;
const REQUESTS_MAX: usize = 32;
const SELECTORS_MAX: usize = 32;
const DEVICES_MAX: usize = 128;
const RESERVED_MAX: usize = 256;
const EXPRESSION_MAX: usize = 10 * 1024;
const ONE_PLACE: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required";

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        validate: |class, complaints| {
            selectors(class.list_at("/spec/selectors"), SPEC.child("selectors"), complaints);
            configs(class.list_at("/spec/config"), SPEC.child("config"), complaints);
        },
        ..Strategy::of(GROUP, "DeviceClass")
    },
    Strategy {
        default: |claim| default_claim(claim, "/spec"),
        validate: |claim, complaints| validate_claim(claim, "/spec", SPEC, complaints),
        validate_update: |new, old, subresource, complaints| {
            if subresource == "status" {
                validate_status(new, old, complaints);
            } else {
                complaints.immutable(SPEC, new, old, "/spec");
            }
        },
        ..Strategy::of(GROUP, "ResourceClaim")
    },
    Strategy {
        default: |template| default_claim(template, "/spec/spec"),
        validate: |template, complaints| {
            let metadata = SPEC.child("metadata");
            complaints.labels(metadata.child("labels"), template.map_at("/spec/metadata/labels"));
            validate_claim(template, "/spec/spec", SPEC.child("spec"), complaints);
        },
        validate_update: |new, old, _, complaints| complaints.immutable(SPEC, new, old, "/spec"),
        ..Strategy::of(GROUP, "ResourceClaimTemplate")
    },
    Strategy {
        validate: validate_slice,
        validate_update: |new, old, _, complaints| {
            let pool = SPEC.child("pool");
            complaints.immutable(pool.child("name"), new, old, "/spec/pool/name");
            complaints.immutable(SPEC.child("driver"), new, old, "/spec/driver");
            complaints.immutable(SPEC.child("nodeName"), new, old, "/spec/nodeName");
        },
        ..Strategy::of(GROUP, "ResourceSlice")
    },
];

fn default_claim(object: &mut Value, spec: &str) {
    for request in each(object, &format!("{spec}/devices/requests")) {
        if let Some(exactly) = request.at_mut("/exactly") {
            default_request(exactly);
        }
        each(request, "/firstAvailable").for_each(default_request);
    }
}

fn default_request(request: &mut Value) {
    if !request.is_object() {
        return;
    }
    fill_text(request, "/allocationMode", "ExactCount");
    if request.str_at("/allocationMode") == "ExactCount" {
        fill(request, "/count", 1);
    }
    each(request, "/tolerations").for_each(|toleration| fill_text(toleration, "/operator", "Equal"));
}

fn driver(name: &str, at: Path<'_>, complaints: &mut Complaints) {
    if name.is_empty() {
        complaints.required(at, "");
    }
    if name.len() > DRIVER_MAX {
        complaints.too_long(at, DRIVER_MAX);
    }
    complaints.each(at, name, names::dns1123_subdomain(&name.to_lowercase()));
}

fn pool(name: &str, at: Path<'_>, complaints: &mut Complaints) {
    if name.is_empty() {
        return complaints.required(at, "");
    }
    if name.len() > POOL_MAX {
        complaints.too_long(at, POOL_MAX);
    }
    for part in name.split('/') {
        complaints.each(at, part, names::dns1123_subdomain(part));
    }
}

fn selectors(list: &[Value], at: Path<'_>, complaints: &mut Complaints) {
    for (index, selector) in list.iter().enumerate() {
        let at = at.index(index);
        let Some(cel) = selector.get("cel").filter(|cel| cel.is_object()) else {
            complaints.required(at.child("cel"), "");
            continue;
        };
        if cel.str_at("/expression").len() > EXPRESSION_MAX {
            complaints.too_long(at.child("cel").child("expression"), EXPRESSION_MAX);
        }
    }
    if list.len() > SELECTORS_MAX {
        complaints.too_many(at, list.len(), SELECTORS_MAX);
    }
}

fn configs(list: &[Value], at: Path<'_>, complaints: &mut Complaints) {
    for (index, config) in list.iter().enumerate() {
        let at = at.index(index);
        let own = at.child("opaque");
        match config.get("opaque").filter(|opaque| opaque.is_object()) {
            None => complaints.required(own, ""),
            Some(opaque) => {
                driver(opaque.str_at("/driver"), own.child("driver"), complaints);
                if opaque.get("parameters").is_none() {
                    complaints.required(own.child("parameters"), "");
                }
            }
        }
    }
    if list.len() > REQUESTS_MAX {
        complaints.too_many(at, list.len(), REQUESTS_MAX);
    }
}

fn validate_claim(object: &Value, spec: &str, at: Path<'_>, complaints: &mut Complaints) {
    let at = at.child("devices");
    let list = |field: &str| object.list_at(&format!("{spec}/devices/{field}"));
    let (requests, requests_at) = (list("requests"), at.child("requests"));
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (index, request) in requests.iter().enumerate() {
        validate_request(request, requests_at.index(index), complaints);
        let name = request.str_at("/name");
        known.insert(name.to_owned());
        known.extend(
            request.list_at("/firstAvailable").iter().map(|sub| format!("{name}/{}", sub.str_at("/name"))),
        );
    }
    if requests.len() > REQUESTS_MAX {
        complaints.too_many(requests_at, requests.len(), REQUESTS_MAX);
    }
    complaints.unique(requests, "/name", |index| requests_at.index(index).child("name").to_string());
    for field in ["constraints", "config"] {
        let list_at = at.child(field);
        for (index, entry) in list(field).iter().enumerate() {
            let at = list_at.index(index);
            let names = at.child("requests");
            for (index, name) in entry.list_at("/requests").iter().enumerate() {
                let name = name.as_str().unwrap_or_default();
                if !known.contains(name) {
                    let detail = "must be the name of a request in the claim";
                    complaints.invalid(names.index(index), name, detail);
                }
            }
            if field == "constraints"
                && entry.str_at("/matchAttribute").is_empty()
                && entry.str_at("/distinctAttribute").is_empty()
            {
                complaints.required(at.child("matchAttribute"), "");
            }
        }
    }
    configs(list("config"), at.child("config"), complaints);
}

fn validate_request(request: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let name = request.str_at("/name");
    complaints.each(at.child("name"), name, names::dns1123_label(name));
    let exactly = request.get("exactly").filter(|exactly| exactly.is_object());
    let alternatives = request.list_at("/firstAvailable");
    let one = "exactly one of `exactly` or `firstAvailable` is required";
    match (exactly, alternatives.is_empty()) {
        (None, true) => complaints.required(at, one),
        (Some(_), false) => {
            let detail = format!("{one}, but multiple fields are set");
            complaints.invalid(at, "{`exactly`, `firstAvailable`}", detail);
        }
        (Some(exactly), true) => validate_exactly(exactly, at.child("exactly"), complaints),
        (None, false) => {
            let list = at.child("firstAvailable");
            for (index, alternative) in alternatives.iter().enumerate() {
                let at = list.index(index);
                let name = alternative.str_at("/name");
                complaints.each(at.child("name"), name, names::dns1123_label(name));
                validate_exactly(alternative, at, complaints);
            }
            complaints.unique(alternatives, "/name", |index| list.index(index).child("name").to_string());
        }
    }
}

fn validate_exactly(request: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let class = request.str_at("/deviceClassName");
    complaints.name(at.child("deviceClassName"), class, names::dns1123_subdomain);
    selectors(request.list_at("/selectors"), at.child("selectors"), complaints);
    let count = request.i64_at("/count").unwrap_or(0);
    match request.str_at("/allocationMode") {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            complaints.invalid(at.child("count"), count, detail);
        }
        "ExactCount" if count <= 0 => {
            complaints.invalid(at.child("count"), count, "must be greater than zero");
        }
        "All" | "ExactCount" => {}
        other => complaints.not_supported(at.child("allocationMode"), other, &["All", "ExactCount"]),
    }
    pods::validate_tolerations(request.list_at("/tolerations"), at.child("tolerations"), complaints);
}

fn validate_status(new: &Value, old: &Value, complaints: &mut Complaints) {
    let status = Path::root("status");
    let at = status.child("reservedFor");
    let consumers = new.list_at("/status/reservedFor");
    for (index, consumer) in consumers.iter().enumerate() {
        let at = at.index(index);
        for field in ["resource", "name", "uid"] {
            if consumer.str_at(&format!("/{field}")).is_empty() {
                complaints.required(at.child(field), "");
            }
        }
    }
    if consumers.len() > RESERVED_MAX {
        complaints.too_many(at, consumers.len(), RESERVED_MAX);
    }
    complaints.unique(consumers, "/uid", |index| at.index(index).child("uid").to_string());
    let (now, before) = (new.map_at("/status/allocation"), old.map_at("/status/allocation"));
    if !consumers.is_empty() && now.is_none() {
        complaints.forbidden(at, "may not be specified when `allocated` is not set");
    }
    let was = old.list_at("/status/reservedFor");
    if new.is_terminating() && consumers.iter().any(|consumer| !was.contains(consumer)) {
        let detail =
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        complaints.forbidden(at, detail);
    }
    if now.is_some() && before.is_some() {
        complaints.immutable(status.child("allocation"), new, old, "/status/allocation");
    }
}

fn validate_slice(slice: &Value, complaints: &mut Complaints) {
    driver(slice.str_at("/spec/driver"), SPEC.child("driver"), complaints);
    let at = SPEC.child("pool");
    pool(slice.str_at("/spec/pool/name"), at.child("name"), complaints);
    let number = |field: &str| slice.i64_at(&format!("/spec/pool/{field}")).unwrap_or(0);
    if number("resourceSliceCount") <= 0 {
        let count = number("resourceSliceCount");
        complaints.invalid(at.child("resourceSliceCount"), count, "must be greater than zero");
    }
    if number("generation") < 0 {
        let generation = number("generation");
        complaints.invalid(at.child("generation"), generation, "must be greater than or equal to zero");
    }
    place(slice, complaints);
    let list = SPEC.child("devices");
    let devices = slice.list_at("/spec/devices");
    for (index, device) in devices.iter().enumerate() {
        let at = list.index(index);
        let name = device.str_at("/name");
        complaints.each(at.child("name"), name, names::dns1123_label(name));
        attributes(device.map_at("/attributes"), at.child("attributes"), complaints);
        for (name, capacity) in device.map_at("/capacity").into_iter().flatten() {
            let at = at.child("capacity");
            if let Some(value) = capacity.get("value") {
                complaints.amount(at.key(name).child("value"), value);
            }
        }
    }
    if devices.len() > DEVICES_MAX {
        complaints.too_many(list, devices.len(), DEVICES_MAX);
    }
    complaints.unique(devices, "/name", |index| list.index(index).child("name").to_string());
}

/// A slice's devices are on one node, on some, or on all.
fn place(slice: &Value, complaints: &mut Complaints) {
    // Devices may say so themselves.
    if slice.bool_at("/spec/perDeviceNodeSelection") {
        return;
    }
    let mut given = Vec::new();
    let node = slice.str_at("/spec/nodeName");
    if !node.is_empty() {
        given.push("`nodeName`");
        complaints.each(SPEC.child("nodeName"), node, names::dns1123_subdomain(node));
    }
    if let Some(selector) = slice.at("/spec/nodeSelector").filter(|selector| selector.is_object()) {
        given.push("`nodeSelector`");
        let at = SPEC.child("nodeSelector");
        pods::validate_node_selector(selector, at, complaints);
        let terms = selector.list_at("/nodeSelectorTerms");
        if terms.len() != 1 {
            let detail = "must have exactly one node selector term";
            complaints.invalid(at.child("nodeSelectorTerms"), terms.to_vec(), detail);
        }
    }
    if slice.bool_at("/spec/allNodes") {
        given.push("`allNodes`");
    }
    match given.len() {
        0 => complaints.required(SPEC, ONE_PLACE),
        1 => {}
        _ => {
            let detail = format!("{ONE_PLACE}, but multiple fields are set");
            complaints.invalid(SPEC, format!("{{{}}}", given.join(", ")), detail);
        }
    }
}

fn attributes(attributes: Option<&Map<String, Value>>, at: Path<'_>, complaints: &mut Complaints) {
    for (name, attribute) in attributes.into_iter().flatten() {
        let detail = "exactly one value must be specified";
        match attribute.as_object().map_or(0, |values| values.len()) {
            0 => complaints.required(at.key(name), detail),
            1 => {}
            _ => complaints.invalid(at.key(name), attribute.clone(), detail),
        }
    }
}
