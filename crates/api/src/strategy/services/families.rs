//! IP families of a service, and their agreement with its addresses.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::{Value, json};

use super::{
    super::{check::Complaints, path::Path},
    is_headless,
};
use crate::{names, object::ObjectExt};

const SPEC: Path<'static> = Path::root("spec");

/// Fills in families and policy as a single-stack cluster of the family of the given address, IPv4 if
/// none is given. An allocator that knows better comes later.
pub(super) fn fill(service: &mut Value) {
    if service.str_at("/spec/type") == "ExternalName" {
        return;
    }
    let first = service.list_at("/spec/clusterIPs").first().and_then(Value::as_str);
    let default = if first.and_then(|ip| ip.parse::<IpAddr>().ok()).is_some_and(|ip| ip.is_ipv6()) {
        "IPv6"
    } else {
        "IPv4"
    };
    // Whoever fills in the endpoints of such a service may use any family.
    let open =
        is_headless(service) && service.map_at("/spec/selector").is_none_or(|selector| selector.is_empty());
    if service.str_at("/spec/ipFamilyPolicy").is_empty() {
        let dual =
            service.list_at("/spec/ipFamilies").len() > 1 || service.list_at("/spec/clusterIPs").len() > 1;
        service.set_at("/spec/ipFamilyPolicy", if open || dual { "RequireDualStack" } else { "SingleStack" });
    }
    let mut families = service.list_at("/spec/ipFamilies").to_vec();
    if families.is_empty() {
        families.push(default.into());
    }
    if families.len() == 1 && open && service.str_at("/spec/ipFamilyPolicy") != "SingleStack" {
        families.push(if families[0] == "IPv4" { "IPv6" } else { "IPv4" }.into());
    }
    service.set_at("/spec/ipFamilies", json!(families));
}

pub(super) fn validate(service: &Value, complaints: &mut Complaints) {
    if service.str_at("/spec/type") == "ExternalName" {
        return;
    }
    let ips = service.list_at("/spec/clusterIPs");
    let shown = || Value::from(ips.to_vec());
    let at = SPEC.child("clusterIPs");
    let single = service.str_at("/spec/clusterIP");
    match ips.first() {
        None if !single.is_empty() => complaints.required(at, ""),
        Some(_) if single.is_empty() => {
            complaints.invalid(at, shown(), "must be empty when `clusterIP` is not specified");
        }
        Some(first) if first.as_str() != Some(single) => {
            complaints.invalid(at, shown(), "first value must match `clusterIP`");
        }
        _ => {}
    }
    let families = service.list_at("/spec/ipFamilies");
    let families_at = SPEC.child("ipFamilies");
    let mut seen = BTreeSet::new();
    for (index, family) in families.iter().enumerate() {
        let family = family.as_str().unwrap_or_default();
        if !matches!(family, "IPv4" | "IPv6") {
            complaints.not_supported(families_at.index(index), family, &["IPv4", "IPv6"]);
        }
        if !seen.insert(family) {
            complaints.duplicate(families_at.index(index), family);
        }
    }
    complaints.optional_one_of(
        SPEC.child("ipFamilyPolicy"),
        service.str_at("/spec/ipFamilyPolicy"),
        &["PreferDualStack", "RequireDualStack", "SingleStack"],
    );

    let mut parsed = Vec::new();
    for (index, ip) in ips.iter().enumerate() {
        let ip = ip.as_str().unwrap_or_default();
        if index == 0 && ip == "None" {
            if ips.len() > 1 {
                return complaints.invalid(at, shown(), "'None' must be the first and only value");
            }
            return;
        }
        match ip.parse::<IpAddr>() {
            Ok(ip) => parsed.push(ip),
            Err(_) => complaints.each(at.index(index), ip, names::ip_address(ip)),
        }
    }
    if ips.len() > 2 {
        complaints.invalid(at, shown(), "may only hold up to 2 values");
    }
    if parsed.len() != ips.len() {
        return;
    }
    if let [first, second, ..] = parsed.as_slice()
        && first.is_ipv4() == second.is_ipv4()
    {
        complaints.invalid(at, shown(), "may specify no more than one IP for each IP family");
    }
    for (index, (ip, family)) in parsed.iter().zip(families).enumerate() {
        let is = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let wanted = family.as_str().unwrap_or_default();
        if wanted != is && matches!(wanted, "IPv4" | "IPv6") {
            let detail = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
            complaints.invalid(at.index(index), ip.to_string(), detail);
        }
    }
}
