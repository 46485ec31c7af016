//! Network policies.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    super::{
        Strategy,
        check::{Complaints, PROTOCOLS},
        fill::{each, fill, fill_text},
        path::Path,
    },
    GROUP, SPEC, cidr,
};
use crate::object::ObjectExt;

const TYPES: &[&str] = &["Ingress", "Egress"];

pub(super) const STRATEGY: Strategy = Strategy { default, validate, ..Strategy::of(GROUP, "NetworkPolicy") };

fn default(policy: &mut Value) {
    for direction in ["/spec/ingress", "/spec/egress"] {
        for rule in each(policy, direction) {
            each(rule, "/ports").for_each(|port| fill_text(port, "/protocol", "TCP"));
        }
    }
    let egress = !policy.list_at("/spec/egress").is_empty();
    let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    fill(policy, "/spec/policyTypes", types);
}

fn validate(policy: &Value, complaints: &mut Complaints) {
    complaints.label_selector(SPEC.child("podSelector"), policy.at("/spec/podSelector"));
    for (field, peers) in [("ingress", "from"), ("egress", "to")] {
        let at = SPEC.child(field);
        for (index, rule) in policy.list_at(&format!("/spec/{field}")).iter().enumerate() {
            let at = at.index(index);
            let ports = at.child("ports");
            for (index, entry) in rule.list_at("/ports").iter().enumerate() {
                port(entry, ports.index(index), complaints);
            }
            let list = at.child(peers);
            for (index, entry) in rule.list_at(&format!("/{peers}")).iter().enumerate() {
                peer(entry, list.index(index), complaints);
            }
        }
    }
    let at = SPEC.child("policyTypes");
    let types = policy.list_at("/spec/policyTypes");
    if types.len() > TYPES.len() {
        return complaints.invalid(at, json!(types), "may not specify more than two policyTypes");
    }
    for (index, kind) in types.iter().enumerate() {
        let kind = kind.as_str().unwrap_or_default();
        if !TYPES.contains(&kind) {
            complaints.not_supported(at.index(index), kind, TYPES);
        }
    }
}

fn port(entry: &Value, at: Path<'_>, complaints: &mut Complaints) {
    complaints.optional_one_of(at.child("protocol"), entry.str_at("/protocol"), PROTOCOLS);
    let end = entry.i64_at("/endPort");
    match (entry.at("/port"), end) {
        (None, Some(end)) => {
            complaints.invalid(at.child("endPort"), end, "may not be specified when `port` is not specified");
        }
        (Some(Value::String(_)), Some(end)) => {
            let detail = "may not be specified when `port` is non-numeric";
            complaints.invalid(at.child("endPort"), end, detail);
            complaints.port_or_name(at.child("port"), entry.at("/port"));
        }
        (port, None) => {
            if port.is_some() {
                complaints.port_or_name(at.child("port"), port);
            }
        }
        (Some(port), Some(end)) => {
            complaints.port_or_name(at.child("port"), Some(port));
            if end < port.as_i64().unwrap_or(0) {
                complaints.invalid(at.child("endPort"), end, "must be greater than or equal to `port`");
            }
            complaints.port(at.child("endPort"), end);
        }
    }
}

fn peer(peer: &Value, at: Path<'_>, complaints: &mut Complaints) {
    complaints.label_selector(at.child("podSelector"), peer.at("/podSelector"));
    complaints.label_selector(at.child("namespaceSelector"), peer.at("/namespaceSelector"));
    let block = peer.at("/ipBlock");
    if let Some(block) = block {
        ip_block(block, at.child("ipBlock"), complaints);
    }
    let others = ["podSelector", "namespaceSelector"].iter().filter(|kind| peer.get(kind).is_some()).count();
    if others == 0 && block.is_none() {
        complaints.required(at, "must specify a peer");
    } else if others > 0 && block.is_some() {
        complaints.forbidden(at, "may not specify both ipBlock and another peer");
    }
}

fn ip_block(block: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let text = block.str_at("/cidr");
    if text.is_empty() {
        return complaints.required(at.child("cidr"), "");
    }
    cidr(text, at.child("cidr"), complaints);
    let Some(outer) = network(text) else { return };
    let list = at.child("except");
    for (index, except) in block.list_at("/except").iter().enumerate() {
        let (at, text) = (list.index(index), except.as_str().unwrap_or_default());
        cidr(text, at, complaints);
        if network(text).is_some_and(|inner| !contains(outer, inner)) {
            complaints.invalid(at, text, "must be a strict subset of `cidr`");
        }
    }
}

/// Address bits, their number in the family, and how many of them name the network.
type Network = (u128, u32, u32);

fn network(text: &str) -> Option<Network> {
    let (address, length) = text.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let (bits, width) = match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    (length <= width).then_some((bits, width, length))
}

fn contains((outer, width, length): Network, (inner, inner_width, inner_length): Network) -> bool {
    let prefix = |bits: u128| bits.checked_shr(width - length).unwrap_or(0);
    width == inner_width && length < inner_length && prefix(outer) == prefix(inner)
}

#[cfg(test)]
mod tests {
    use super::{contains, network};

    #[test]
    fn a_network_contains_smaller_ones() {
        for (outer, inner, expected) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", false),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("0.0.0.0/0", "11.0.0.0/16", true),
            ("::/0", "2001:db8::/32", true),
            ("::/0", "11.0.0.0/16", false),
        ] {
            let found = network(outer).zip(network(inner)).map(|(outer, inner)| contains(outer, inner));
            assert_eq!(found, Some(expected), "{outer} {inner}");
        }
        assert!(["10.0.0.0", "10.0.0.0/33", "x/8", ""].iter().all(|text| network(text).is_none()));
    }
}
