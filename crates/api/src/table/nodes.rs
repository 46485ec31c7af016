//! Nodes and their leases.

use serde_json::Value;

use super::{AGE, Column, NAME, Printer, age, text};
use crate::object::ObjectExt;

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        kind: "Node",
        columns: &[
            NAME,
            Column::text("Status", "Whether the node is ready and takes pods."),
            Column::text("Roles", "What the node is there for, by its labels."),
            AGE,
            Column::text("Version", "Version of the kubelet."),
            Column::text("Internal-IP", "Address within the cluster.").wide(),
            Column::text("External-IP", "Address from outside.").wide(),
            Column::text("OS-Image", "Operating system.").wide(),
            Column::text("Kernel-Version", "Version of the kernel.").wide(),
            Column::text("Container-Runtime", "Container runtime and its version.").wide(),
        ],
        row: |node, now| {
            let info =
                |field: &str| text::or(node.str_at(&format!("/status/nodeInfo/{field}")), "<unknown>").into();
            vec![
                node.name().into(),
                status(node).into(),
                roles(node).into(),
                age(node, now),
                node.str_at("/status/nodeInfo/kubeletVersion").into(),
                address(node, "InternalIP").into(),
                address(node, "ExternalIP").into(),
                info("osImage"),
                info("kernelVersion"),
                info("containerRuntimeVersion"),
            ]
        },
    },
    Printer {
        group: "coordination.k8s.io",
        kind: "Lease",
        columns: &[NAME, Column::text("Holder", "Who holds the lease."), AGE],
        row: |lease, now| {
            vec![lease.name().into(), lease.str_at("/spec/holderIdentity").into(), age(lease, now)]
        },
    },
    Printer {
        group: "node.k8s.io",
        kind: "RuntimeClass",
        columns: &[NAME, Column::text("Handler", "What the container runtime calls it."), AGE],
        row: |class, now| vec![class.name().into(), class.str_at("/handler").into(), age(class, now)],
    },
];

fn status(node: &Value) -> String {
    let mut status = match text::condition(node, "Ready") {
        "" => "Unknown",
        "True" => "Ready",
        _ => "NotReady",
    }
    .to_owned();
    if node.bool_at("/spec/unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(node: &Value) -> String {
    let mut roles: Vec<&str> = node
        .labels()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => Some(value),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { text::NONE.into() } else { roles.join(",") }
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let found = node.list_at("/status/addresses").iter().find(|address| address.str_at("/type") == kind);
    found.map_or(text::NONE, |address| address.str_at("/address"))
}
