//! What an update of a service keeps although the client left it out, and what it may not change.

use serde_json::Value;

use super::{
    super::{
        check::Complaints,
        fill::{each, restore_at},
        path::Path,
    },
    is_headless, needs_address,
};
use crate::object::ObjectExt;

const SPEC: Path<'static> = Path::root("spec");

/// An update that leaves out addresses and ports that were allocated does not give them back.
pub(super) fn keep_allocated(new: &mut Value, old: &Value) {
    if needs_address(old) && needs_address(new) {
        if new.str_at("/spec/clusterIP").is_empty() {
            restore_at(new, old, "/spec/clusterIP");
        }
        let same_primary = old.list_at("/spec/clusterIPs").first().and_then(Value::as_str)
            == Some(new.str_at("/spec/clusterIP"));
        if new.list_at("/spec/clusterIPs").is_empty() && same_primary {
            restore_at(new, old, "/spec/clusterIPs");
        }
    }
    if is_headless(old) && is_headless(new) || needs_address(old) && needs_address(new) {
        for pointer in ["/spec/ipFamilies", "/spec/ipFamilyPolicy"] {
            if new.at(pointer).is_none_or(|value| value.as_array().is_some_and(Vec::is_empty)) {
                restore_at(new, old, pointer);
            }
        }
    }
    let has_node_ports =
        |service: &Value| matches!(service.str_at("/spec/type"), "NodePort" | "LoadBalancer");
    if has_node_ports(old) && has_node_ports(new) {
        let before = old.list_at("/spec/ports");
        for port in each(new, "/spec/ports") {
            if port.i64_at("/nodePort").unwrap_or(0) != 0 {
                continue;
            }
            let same = |other: &&Value| {
                other.str_at("/protocol") == port.str_at("/protocol")
                    && other.i64_at("/port") == port.i64_at("/port")
            };
            if let Some(number) = before.iter().find(same).and_then(|other| other.i64_at("/nodePort")) {
                port.set_at("/nodePort", number);
            }
        }
    }
    let has_health_port = |service: &Value| {
        service.str_at("/spec/type") == "LoadBalancer"
            && service.str_at("/spec/externalTrafficPolicy") == "Local"
    };
    if has_health_port(old)
        && has_health_port(new)
        && new.i64_at("/spec/healthCheckNodePort").unwrap_or(0) == 0
    {
        restore_at(new, old, "/spec/healthCheckNodePort");
    }
    release(new, old);
}

/// What a service of another type does not need goes, if the client only carried it along.
fn release(new: &mut Value, old: &Value) {
    if needs_address(old) && new.str_at("/spec/type") == "ExternalName" {
        for pointer in [
            "/spec/clusterIP",
            "/spec/clusterIPs",
            "/spec/ipFamilies",
            "/spec/ipFamilyPolicy",
            "/spec/internalTrafficPolicy",
        ] {
            if new.at(pointer) == old.at(pointer) {
                new.remove_at(pointer);
            }
        }
    }
    if !matches!(new.str_at("/spec/type"), "NodePort" | "LoadBalancer") {
        let before = old.list_at("/spec/ports").to_vec();
        for (port, old) in each(new, "/spec/ports").zip(&before) {
            if port.at("/nodePort") == old.at("/nodePort") {
                port.remove_at("/nodePort");
            }
        }
        if new.list_at("/spec/externalIPs").is_empty()
            && new.at("/spec/externalTrafficPolicy") == old.at("/spec/externalTrafficPolicy")
        {
            new.remove_at("/spec/externalTrafficPolicy");
        }
    }
    if new.str_at("/spec/type") != "LoadBalancer" {
        for pointer in
            ["/spec/allocateLoadBalancerNodePorts", "/spec/loadBalancerClass", "/spec/healthCheckNodePort"]
        {
            if new.at(pointer) == old.at(pointer) {
                new.remove_at(pointer);
            }
        }
    }
}

/// The primary address stays as long as the service has one.
pub(super) fn validate(new: &Value, old: &Value, complaints: &mut Complaints) {
    let external = |service: &Value| service.str_at("/spec/type") == "ExternalName";
    if external(new) || external(old) {
        return;
    }
    if !(is_headless(new) && is_headless(old)) {
        primary(new, old, "clusterIPs", "primary clusterIP can not be unset", complaints);
    }
    if !is_headless(new) && !is_headless(old) {
        primary(new, old, "ipFamilies", "primary ipFamily can not be unset", complaints);
    }
    let balancer = |service: &Value| service.str_at("/spec/type") == "LoadBalancer";
    let class = "/spec/loadBalancerClass";
    if balancer(new) && balancer(old) && new.at(class) != old.at(class) {
        let value = new.at(class).cloned().unwrap_or_default();
        complaints.invalid(SPEC.child("loadBalancerClass"), value, "may not change once set");
    }
}

fn primary(new: &Value, old: &Value, field: &str, unset: &str, complaints: &mut Complaints) {
    let pointer = format!("/spec/{field}");
    let (now, before) = (new.list_at(&pointer), old.list_at(&pointer));
    let at = SPEC.child(field);
    let Some(first) = before.first() else { return };
    match now.first() {
        None => complaints.invalid(at.index(0), Vec::<Value>::new(), unset),
        Some(other) if other != first => {
            complaints.invalid(at.index(0), now.to_vec(), "may not change once set")
        }
        Some(_) => {}
    }
    if let (Some(now), Some(before)) = (now.get(1), before.get(1))
        && now != before
    {
        complaints.invalid(at.index(1), new.list_at(&pointer).to_vec(), "may not change once set");
    }
    if before.len() > 1 && now.len() == 1 && new.str_at("/spec/ipFamilyPolicy") != "SingleStack" {
        let what = if field == "clusterIPs" { "clusterIP" } else { "ipFamily" };
        let policy = new.str_at("/spec/ipFamilyPolicy");
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        complaints.invalid(SPEC.child("ipFamilyPolicy"), policy, detail);
    }
}
