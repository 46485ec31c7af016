//! Services: what the object alone can say. Addresses and node ports are allocated by the server.

mod change;
mod families;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Strategy,
    check::{Complaints, PROTOCOLS},
    fill::{each, fill, fill_text},
    nodes::is_cidr,
    path::Path,
    restore_all_but, restore_field,
};
use crate::{kinds::Kind, names, object::ObjectExt};

/// Sticky sessions last three hours unless the service says otherwise.
const SESSION_SECONDS: i64 = 10_800;
const SPEC: Path<'static> = Path::root("spec");

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    default,
    create,
    update,
    validate,
    validate_update: |new, old, subresource, complaints| {
        if subresource != "status" {
            change::validate(new, old, complaints);
        }
    },
    ..Strategy::of("", "Service")
}];

fn default(service: &mut Value) {
    if service.at("/spec").is_none() {
        service.set_at("/spec", json!({}));
    }
    fill_text(service, "/spec/sessionAffinity", "None");
    if service.str_at("/spec/sessionAffinity") == "ClientIP" {
        fill(service, "/spec/sessionAffinityConfig/clientIP/timeoutSeconds", SESSION_SECONDS);
    } else {
        service.remove_at("/spec/sessionAffinityConfig");
    }
    fill_text(service, "/spec/type", "ClusterIP");
    for port in each(service, "/spec/ports") {
        fill_text(port, "/protocol", "TCP");
        let target = port.at("/targetPort");
        if target.is_none_or(|target| target.as_i64() == Some(0) || target.as_str() == Some(""))
            && let Some(number) = port.i64_at("/port")
        {
            port.set_at("/targetPort", number);
        }
    }
    let kind = service.str_at("/spec/type").to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        fill_text(service, "/spec/externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        fill_text(service, "/spec/internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(service, "/spec/allocateLoadBalancerNodePorts", true);
        for ingress in each(service, "/status/loadBalancer/ingress") {
            if !ingress.str_at("/ip").is_empty() {
                fill_text(ingress, "/ipMode", "VIP");
            }
        }
    }
}

fn create(_kind: &Kind, service: &mut Value, _now: Timestamp) {
    service.set_at("/status", json!({"loadBalancer": {}}));
    agree(service, &Value::Null);
    families::fill(service);
}

fn update(_kind: &Kind, new: &mut Value, old: &Value, subresource: &str, _now: Timestamp) {
    if subresource == "status" {
        return restore_all_but(new, old, &["status"]);
    }
    restore_field(new, old, "status");
    agree(new, old);
    change::keep_allocated(new, old);
    families::fill(new);
}

/// Clients may write `clusterIP` or `clusterIPs`; the server makes them agree.
fn agree(new: &mut Value, old: &Value) {
    let single = new.str_at("/spec/clusterIP").to_owned();
    let list: Vec<Value> = new.list_at("/spec/clusterIPs").to_vec();
    let (old_single, old_list) = (old.str_at("/spec/clusterIP"), old.list_at("/spec/clusterIPs"));
    if single == old_single && list.as_slice() == old_list && !list.is_empty() {
        return;
    }
    if list.is_empty() && !single.is_empty() {
        new.set_at("/spec/clusterIPs", json!([single]));
    } else if single.is_empty() && !list.is_empty() && old_single.is_empty() {
        new.set_at("/spec/clusterIP", list[0].clone());
    } else if single.is_empty() && list.as_slice() == old_list {
        // The old client's way to let go of an address.
        new.remove_at("/spec/clusterIPs");
    } else if single != old_single
        && !old_single.is_empty()
        && list.as_slice() == old_list
        && !single.is_empty()
    {
        // The old client's way to ask for another address.
        new.set_at("/spec/clusterIPs", json!([single]));
    }
}

fn validate(service: &Value, complaints: &mut Complaints) {
    let kind = service.str_at("/spec/type");
    let headless = is_headless(service);
    let ports = service.list_at("/spec/ports");
    let ports_at = SPEC.child("ports");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        complaints.required(ports_at, "");
    }
    match kind {
        "ExternalName" => external_name(service, complaints),
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            let at = SPEC.child("clusterIPs");
            complaints.invalid(at.index(0), "None", detail);
        }
        _ => {}
    }
    validate_ports(ports, ports_at, complaints);
    complaints.labels(SPEC.child("selector"), service.map_at("/spec/selector"));
    complaints.one_of(
        SPEC.child("sessionAffinity"),
        service.str_at("/spec/sessionAffinity"),
        &["ClientIP", "None"],
    );
    if let Some(seconds) = service.i64_at("/spec/sessionAffinityConfig/clientIP/timeoutSeconds")
        && !(1..=86_400).contains(&seconds)
    {
        let at = Path::root("spec.sessionAffinityConfig.clientIP.timeoutSeconds");
        complaints.invalid(at, seconds, "must be greater than 0 and less than 86400");
    }
    families::validate(service, complaints);
    let externals = SPEC.child("externalIPs");
    for (index, ip) in service.list_at("/spec/externalIPs").iter().enumerate() {
        let ip = ip.as_str().unwrap_or_default();
        if ip.parse::<std::net::IpAddr>().is_err() {
            complaints.each(externals.index(index), ip, names::ip_address(ip));
        }
    }
    complaints.one_of(SPEC.child("type"), kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    traffic_policies(service, kind, complaints);
    let ranges = SPEC.child("loadBalancerSourceRanges");
    for (index, range) in service.list_at("/spec/loadBalancerSourceRanges").iter().enumerate() {
        let range = range.as_str().unwrap_or_default();
        if !is_cidr(range.trim()) {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            complaints.invalid(ranges.index(index), range, detail);
        }
    }
    let distribution = service.str_at("/spec/trafficDistribution");
    let known = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    complaints.optional_one_of(SPEC.child("trafficDistribution"), distribution, &known);
}

fn validate_ports(ports: &[Value], at: Path<'_>, complaints: &mut Complaints) {
    let mut seen = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        let name = port.str_at("/name");
        if name.is_empty() && ports.len() > 1 {
            complaints.required(at.child("name"), "");
        } else if !name.is_empty() {
            complaints.each(at.child("name"), name, names::dns1123_label(name));
            if !seen.insert(name) {
                complaints.duplicate(at.child("name"), name);
            }
        }
        complaints.port(at.child("port"), port.i64_at("/port").unwrap_or(0));
        complaints.one_of(at.child("protocol"), port.str_at("/protocol"), PROTOCOLS);
        complaints.port_or_name(at.child("targetPort"), port.at("/targetPort"));
        if !taken.insert((port.str_at("/protocol"), port.i64_at("/port"))) {
            complaints.duplicate(at, port.clone());
        }
    }
    let mut node_ports = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let number = port.i64_at("/nodePort").unwrap_or(0);
        if number != 0 && !node_ports.insert((port.str_at("/protocol"), number)) {
            complaints.duplicate(at.index(index).child("nodePort"), number);
        }
    }
}

fn external_name(service: &Value, complaints: &mut Complaints) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let given = service.at(&format!("/spec/{field}"));
        if given.is_some_and(|given| given.as_array().is_none_or(|list| !list.is_empty())) {
            complaints.forbidden(SPEC.child(field), "may not be set for ExternalName services");
        }
    }
    let name = service.str_at("/spec/externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    complaints.name(SPEC.child("externalName"), name, names::dns1123_subdomain);
}

fn traffic_policies(service: &Value, kind: &str, complaints: &mut Complaints) {
    let external = service.str_at("/spec/externalTrafficPolicy");
    let at = SPEC.child("externalTrafficPolicy");
    let facing_out =
        matches!(kind, "NodePort" | "LoadBalancer") || !service.list_at("/spec/externalIPs").is_empty();
    if external.is_empty() && matches!(kind, "NodePort" | "LoadBalancer") {
        complaints.required(at, "");
    } else if !external.is_empty() && !facing_out {
        complaints.invalid(at, external, "may only be set for externally-accessible services");
    } else {
        complaints.optional_one_of(at, external, &["Cluster", "Local"]);
    }
    let internal = service.str_at("/spec/internalTrafficPolicy");
    if kind != "ExternalName" {
        complaints.one_of(SPEC.child("internalTrafficPolicy"), internal, &["Cluster", "Local"]);
    }
    if kind != "LoadBalancer" {
        for field in ["loadBalancerClass", "allocateLoadBalancerNodePorts"] {
            if service.at(&format!("/spec/{field}")).is_some() {
                complaints.forbidden(SPEC.child(field), "may only be used when `type` is 'LoadBalancer'");
            }
        }
        if !service.list_at("/spec/loadBalancerSourceRanges").is_empty() {
            complaints.forbidden(
                SPEC.child("loadBalancerSourceRanges"),
                "may only be used when `type` is 'LoadBalancer'",
            );
        }
    }
    if service.i64_at("/spec/healthCheckNodePort").is_some_and(|port| port != 0)
        && !(kind == "LoadBalancer" && external == "Local")
    {
        let port = service.i64_at("/spec/healthCheckNodePort");
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        complaints.invalid(SPEC.child("healthCheckNodePort"), port, detail);
    }
}

/// Whether a service wants no address.
fn is_headless(service: &Value) -> bool {
    service.str_at("/spec/clusterIP") == "None"
        || service.list_at("/spec/clusterIPs").first().and_then(Value::as_str) == Some("None")
}

/// Whether a service of its type has an address.
fn needs_address(service: &Value) -> bool {
    matches!(service.str_at("/spec/type"), "" | "ClusterIP" | "NodePort" | "LoadBalancer")
        && !is_headless(service)
}
