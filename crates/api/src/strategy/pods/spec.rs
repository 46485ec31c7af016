//! The rules of a pod spec, in a pod or in a template.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::{check::Complaints, path::Path},
    containers::{self, Role},
    placement, resources, volumes,
};
use crate::{names, object::ObjectExt};

pub(super) fn validate(spec: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let mut pod = containers::Pod {
        volumes: volumes::list(spec.list_at("/volumes"), at.child("volumes"), complaints),
        host_network: spec.bool_at("/hostNetwork"),
        names: BTreeSet::new(),
        lasting: BTreeSet::new(),
    };
    for (field, pointer, role) in [
        ("containers", "/containers", Role::Main),
        ("initContainers", "/initContainers", Role::Init),
        ("ephemeralContainers", "/ephemeralContainers", Role::Ephemeral),
    ] {
        containers::list(spec.list_at(pointer), role, at.child(field), &mut pod, complaints);
    }
    complaints.one_of(
        at.child("restartPolicy"),
        spec.str_at("/restartPolicy"),
        &["Always", "OnFailure", "Never"],
    );
    complaints.one_of(
        at.child("dnsPolicy"),
        spec.str_at("/dnsPolicy"),
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    );
    if spec.str_at("/dnsPolicy") == "None" && spec.list_at("/dnsConfig/nameservers").is_empty() {
        let (at, detail) =
            (at.child("dnsConfig"), "must provide at least one DNS nameserver when `dnsPolicy` is None");
        complaints.required(at.child("nameservers"), detail);
    }
    complaints.labels(at.child("nodeSelector"), spec.map_at("/nodeSelector"));
    for (field, rule) in [
        ("serviceAccountName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::dns1123_subdomain),
        ("hostname", names::dns1123_label),
        ("subdomain", names::dns1123_label),
        ("priorityClassName", names::dns1123_subdomain),
        ("runtimeClassName", names::dns1123_subdomain),
    ] {
        complaints.optional_name(at.child(field), spec.str_at(&format!("/{field}")), rule);
    }
    let secrets = at.child("imagePullSecrets");
    for (index, secret) in spec.list_at("/imagePullSecrets").iter().enumerate() {
        if secret.str_at("/name").is_empty() {
            complaints.required(secrets.index(index).child("name"), "");
        }
    }
    if let Some(affinity) = spec.at("/affinity") {
        placement::affinity(affinity, at.child("affinity"), complaints);
    }
    placement::tolerations(spec.list_at("/tolerations"), at.child("tolerations"), complaints);
    placement::spread(
        spec.list_at("/topologySpreadConstraints"),
        at.child("topologySpreadConstraints"),
        complaints,
    );
    if let Some(deadline) = spec.i64_at("/activeDeadlineSeconds")
        && !(1..=i64::from(i32::MAX)).contains(&deadline)
    {
        complaints.invalid(at.child("activeDeadlineSeconds"), deadline, names::in_range(1, i32::MAX.into()));
    }
    security(spec, at, complaints);
    if let Some(pod_level) = spec.at("/resources") {
        resources::resources(pod_level, at.child("resources"), complaints);
    }
    let gates = at.child("schedulingGates");
    let list = spec.list_at("/schedulingGates");
    complaints.unique(list, "/name", |index| gates.index(index).to_string());
    for (index, gate) in list.iter().enumerate() {
        let name = gate.str_at("/name");
        complaints.each(gates.index(index), name, names::qualified_name(name));
    }
    let aliases = at.child("hostAliases");
    for (index, alias) in spec.list_at("/hostAliases").iter().enumerate() {
        let ip = alias.str_at("/ip");
        if ip.parse::<std::net::IpAddr>().is_err() {
            complaints.each(aliases.index(index).child("ip"), ip, names::ip_address(ip));
        }
    }
}

fn security(spec: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let at = at.child("securityContext");
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        let Some(id) = spec.i64_at(&format!("/securityContext/{field}")) else { continue };
        if !(0..=i64::from(i32::MAX)).contains(&id) {
            complaints.invalid(at.child(field), id, names::in_range(0, i32::MAX.into()));
        }
    }
}
