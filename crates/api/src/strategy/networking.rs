//! The networking group: where service addresses come from, ingresses, network policies.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    Strategy,
    check::{Complaints, PROTOCOLS},
    fill::{each, fill, fill_text},
    nodes::is_cidr,
    path::Path,
};
use crate::{names, object::ObjectExt};

const SPEC: Path<'static> = Path::root("spec");
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        validate: |address, complaints| {
            let at = SPEC.child("parentRef");
            let Some(parent) = address.at("/spec/parentRef").filter(|parent| parent.is_object()) else {
                return complaints.required(at, "");
            };
            complaints.optional_name(at.child("group"), parent.str_at("/group"), names::dns1123_subdomain);
            complaints.name(at.child("resource"), parent.str_at("/resource"), |name| {
                names::path_segment(name, false)
            });
            complaints
                .name(at.child("name"), parent.str_at("/name"), |name| names::path_segment(name, false));
            complaints.optional_name(at.child("namespace"), parent.str_at("/namespace"), |name| {
                names::path_segment(name, false)
            });
        },
        validate_update: |new, old, _, complaints| {
            complaints.immutable(SPEC.child("parentRef"), new, old, "/spec/parentRef");
        },
        ..Strategy::of("networking.k8s.io", "IPAddress")
    },
    Strategy {
        validate: validate_ranges,
        validate_update: |new, old, subresource, complaints| {
            if subresource != "status" {
                complaints.immutable(SPEC.child("cidrs"), new, old, "/spec/cidrs");
            }
        },
        ..Strategy::of("networking.k8s.io", "ServiceCIDR")
    },
    Strategy {
        default: default_policy,
        validate: validate_policy,
        ..Strategy::of("networking.k8s.io", "NetworkPolicy")
    },
    Strategy {
        create: |_, ingress, _| ingress.set_at("/status", json!({"loadBalancer": {}})),
        validate: validate_ingress,
        ..Strategy::of("networking.k8s.io", "Ingress")
    },
    Strategy {
        default: |class| {
            if class.map_at("/spec/parameters").is_some() {
                fill_text(class, "/spec/parameters/scope", "Cluster");
            }
        },
        validate_update: |new, old, _, complaints| {
            complaints.immutable(SPEC.child("controller"), new, old, "/spec/controller");
        },
        ..Strategy::of("networking.k8s.io", "IngressClass")
    },
];

fn validate_ranges(range: &Value, complaints: &mut Complaints) {
    let cidrs = range.list_at("/spec/cidrs");
    let at = SPEC.child("cidrs");
    if cidrs.is_empty() {
        return complaints.required(at, "at least one CIDR required");
    }
    let shown = || Value::from(cidrs.to_vec());
    if cidrs.len() > 2 {
        return complaints.invalid(at, shown(), "may only hold up to 2 values");
    }
    let family =
        |cidr: &Value| cidr.as_str()?.split('/').next()?.parse::<IpAddr>().ok().map(|ip| ip.is_ipv4());
    if let [first, second] = cidrs
        && family(first) == family(second)
    {
        complaints.invalid(
            at,
            shown(),
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96",
        );
    }
    for (index, cidr) in cidrs.iter().enumerate() {
        let cidr = cidr.as_str().unwrap_or_default();
        if !is_cidr(cidr) {
            complaints.invalid(at.index(index), cidr, CIDR);
        }
    }
}

fn default_policy(policy: &mut Value) {
    for direction in ["/spec/ingress", "/spec/egress"] {
        for rule in each(policy, direction) {
            each(rule, "/ports").for_each(|port| fill_text(port, "/protocol", "TCP"));
        }
    }
    let egress = !policy.list_at("/spec/egress").is_empty();
    let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    fill(policy, "/spec/policyTypes", types);
}

fn validate_policy(policy: &Value, complaints: &mut Complaints) {
    complaints.label_selector(SPEC.child("podSelector"), policy.at("/spec/podSelector"));
    for (field, peers) in [("ingress", "from"), ("egress", "to")] {
        let at = SPEC.child(field);
        for (index, rule) in policy.list_at(&format!("/spec/{field}")).iter().enumerate() {
            let at = at.index(index);
            let ports = at.child("ports");
            for (index, port) in rule.list_at("/ports").iter().enumerate() {
                let at = ports.index(index);
                complaints.optional_one_of(at.child("protocol"), port.str_at("/protocol"), PROTOCOLS);
                if port.at("/port").is_some() {
                    complaints.port_or_name(at.child("port"), port.at("/port"));
                }
            }
            let list = at.child(peers);
            for (index, peer) in rule.list_at(&format!("/{peers}")).iter().enumerate() {
                let at = list.index(index);
                let known = ["podSelector", "namespaceSelector", "ipBlock"];
                if !known.iter().any(|kind| peer.get(kind).is_some()) {
                    complaints.required(at, "must specify a peer");
                }
                complaints.label_selector(at.child("podSelector"), peer.at("/podSelector"));
                complaints.label_selector(at.child("namespaceSelector"), peer.at("/namespaceSelector"));
                if let Some(block) = peer.at("/ipBlock") {
                    let cidr = block.str_at("/cidr");
                    let at = at.child("ipBlock");
                    if cidr.is_empty() {
                        complaints.required(at.child("cidr"), "");
                    } else if !is_cidr(cidr) {
                        complaints.invalid(at.child("cidr"), cidr, CIDR);
                    }
                }
            }
        }
    }
    let types = SPEC.child("policyTypes");
    for (index, kind) in policy.list_at("/spec/policyTypes").iter().enumerate() {
        complaints.one_of(types.index(index), kind.as_str().unwrap_or_default(), &["Egress", "Ingress"]);
    }
}

fn validate_ingress(ingress: &Value, complaints: &mut Complaints) {
    let rules = ingress.list_at("/spec/rules");
    if rules.is_empty() && ingress.at("/spec/defaultBackend").is_none() {
        complaints.invalid(SPEC, rules.to_vec(), "either `defaultBackend` or `rules` must be specified");
    }
    let at = SPEC.child("rules");
    for (index, rule) in rules.iter().enumerate() {
        let at = at.index(index);
        let host = rule.str_at("/host");
        let plain = host.strip_prefix("*.").unwrap_or(host);
        complaints.optional_name(at.child("host"), plain, names::dns1123_subdomain);
        let http = at.child("http");
        let paths = http.child("paths");
        if rule.map_at("/http").is_some() && rule.list_at("/http/paths").is_empty() {
            complaints.required(paths, "");
        }
        for (index, path) in rule.list_at("/http/paths").iter().enumerate() {
            let at = paths.index(index);
            let kind = path.str_at("/pathType");
            if kind.is_empty() {
                complaints.required(at.child("pathType"), "pathType must be specified");
            }
            complaints.optional_one_of(
                at.child("pathType"),
                kind,
                &["Exact", "ImplementationSpecific", "Prefix"],
            );
            let text = path.str_at("/path");
            if matches!(kind, "Exact" | "Prefix") && !text.starts_with('/') {
                complaints.invalid(at.child("path"), text, "must be an absolute path");
            }
        }
    }
}
