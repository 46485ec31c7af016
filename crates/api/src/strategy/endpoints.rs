//! Endpoints and endpoint slices.
//!
//! Loopback addresses are accepted, which upstream refuses: on the real gear every host has its own
//! address in 127.0.0.0/8, and the `kubernetes` service must be able to name it.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    Strategy,
    check::{Complaints, PROTOCOLS},
    fill::{each, fill, fill_text},
    path::Path,
};
use crate::{names, object::ObjectExt};

const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;
const MAX_ENDPOINTS: usize = 1000;
const NOT_UNSPECIFIED: &str = "may not be unspecified (0.0.0.0 or ::)";

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        default: |endpoints| {
            for subset in each(endpoints, "/subsets") {
                each(subset, "/ports").for_each(|port| fill_text(port, "/protocol", "TCP"));
            }
        },
        validate: validate_endpoints,
        ..Strategy::of("", "Endpoints")
    },
    Strategy {
        default: |slice| {
            for port in each(slice, "/ports") {
                fill(port, "/name", "");
                fill_text(port, "/protocol", "TCP");
            }
            // Both are lists that are always there.
            if !slice.at("/endpoints").is_some_and(Value::is_array) {
                fill(slice, "/endpoints", json!([]));
            }
        },
        validate: validate_slice,
        validate_update: |new, old, _, complaints| {
            complaints.immutable(Path::root("addressType"), new, old, "/addressType");
        },
        ..Strategy::of("discovery.k8s.io", "EndpointSlice")
    },
];

fn validate_endpoints(endpoints: &Value, complaints: &mut Complaints) {
    let subsets = Path::root("subsets");
    for (index, subset) in endpoints.list_at("/subsets").iter().enumerate() {
        let at = subsets.index(index);
        if subset.list_at("/addresses").is_empty() && subset.list_at("/notReadyAddresses").is_empty() {
            complaints.required(at, "must specify `addresses` or `notReadyAddresses`");
        }
        for field in ["addresses", "notReadyAddresses"] {
            let at = at.child(field);
            for (index, address) in subset.list_at(&format!("/{field}")).iter().enumerate() {
                let at = at.index(index);
                ip(address.str_at("/ip"), at.child("ip"), complaints);
                complaints.optional_name(
                    at.child("hostname"),
                    address.str_at("/hostname"),
                    names::dns1123_label,
                );
                complaints.optional_name(
                    at.child("nodeName"),
                    address.str_at("/nodeName"),
                    names::dns1123_subdomain,
                );
            }
        }
        let ports = subset.list_at("/ports");
        let at = at.child("ports");
        for (index, port) in ports.iter().enumerate() {
            let at = at.index(index);
            let name = port.str_at("/name");
            if name.is_empty() && ports.len() > 1 {
                complaints.required(at.child("name"), "");
            }
            complaints.optional_name(at.child("name"), name, names::dns1123_label);
            complaints.port(at.child("port"), port.i64_at("/port").unwrap_or(0));
            complaints.one_of(at.child("protocol"), port.str_at("/protocol"), PROTOCOLS);
        }
    }
}

fn validate_slice(slice: &Value, complaints: &mut Complaints) {
    let kind = slice.str_at("/addressType");
    complaints.one_of(Path::root("addressType"), kind, &["FQDN", "IPv4", "IPv6"]);
    let at = Path::root("endpoints");
    let endpoints = slice.list_at("/endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        return complaints.too_many(at, endpoints.len(), MAX_ENDPOINTS);
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let at = at.index(index);
        let addresses = endpoint.list_at("/addresses");
        let addresses_at = at.child("addresses");
        if addresses.is_empty() {
            complaints.required(addresses_at, "must contain at least 1 address");
        } else if addresses.len() > MAX_ADDRESSES {
            complaints.too_many(addresses_at, addresses.len(), MAX_ADDRESSES);
        }
        for (index, address) in addresses.iter().enumerate() {
            let (address, at) = (address.as_str().unwrap_or_default(), addresses_at.index(index));
            match (kind, address.parse::<IpAddr>()) {
                ("IPv4", Ok(IpAddr::V4(_))) | ("IPv6", Ok(IpAddr::V6(_))) => ip(address, at, complaints),
                ("IPv4", _) => complaints.invalid(at, address, "must be a valid IPv4 address"),
                ("IPv6", _) => complaints.invalid(at, address, "must be a valid IPv6 address"),
                ("FQDN", _) => complaints.each(at, address, names::dns1123_subdomain(address)),
                _ => {}
            }
        }
        complaints.optional_name(at.child("hostname"), endpoint.str_at("/hostname"), names::dns1123_label);
        complaints.optional_name(
            at.child("nodeName"),
            endpoint.str_at("/nodeName"),
            names::dns1123_subdomain,
        );
    }
    validate_slice_ports(slice, complaints);
}

fn validate_slice_ports(slice: &Value, complaints: &mut Complaints) {
    let at = Path::root("ports");
    let ports = slice.list_at("/ports");
    if ports.len() > MAX_PORTS {
        return complaints.too_many(at, ports.len(), MAX_PORTS);
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        let name = port.str_at("/name");
        complaints.optional_name(at.child("name"), name, names::dns1123_label);
        if !seen.insert(name) {
            complaints.duplicate(at.child("name"), name);
        }
        complaints.one_of(at.child("protocol"), port.str_at("/protocol"), PROTOCOLS);
        if let Some(number) = port.i64_at("/port") {
            complaints.port(at.child("port"), number);
        }
        complaints.optional_name(at.child("appProtocol"), port.str_at("/appProtocol"), names::qualified_name);
    }
}

fn ip(address: &str, at: Path<'_>, complaints: &mut Complaints) {
    match address.parse::<IpAddr>() {
        Err(_) => complaints.each(at, address, names::ip_address(address)),
        Ok(ip) if ip.is_unspecified() => complaints.invalid(at, address, NOT_UNSPECIFIED),
        Ok(IpAddr::V4(ip)) if ip.is_link_local() => {
            complaints.invalid(at, address, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
        }
        Ok(IpAddr::V4(ip)) if ip.octets()[..3] == [224, 0, 0] => {
            complaints.invalid(
                at,
                address,
                "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
            );
        }
        Ok(_) => {}
    }
}
