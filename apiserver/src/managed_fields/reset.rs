//! What an endpoint does not change, and so nobody comes to own through it.

use std::sync::OnceLock;

use api::fields::{Reset, Set};

use crate::catalog::Served;

struct Table {
    nothing: Reset,
    status: Reset,
    spec: Reset,
    spec_and_metadata: Reset,
    deployment_status: Reset,
    pod_status: Reset,
    approval: Reset,
    ephemeral: Reset,
    resize: Reset,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let all = |paths: &[&str]| Reset::All(Set::of_fields(paths));
        let resources =
            |list: &'static str| ["resources", "resizePolicy"].map(|field| vec!["spec", list, "*", field]);
        let mut resized = vec![vec!["spec", "resources"]];
        resized.extend(resources("containers"));
        resized.extend(resources("initContainers"));
        Table {
            nothing: Reset::Nothing,
            status: all(&["status"]),
            spec: all(&["spec"]),
            spec_and_metadata: all(&["spec", "metadata"]),
            deployment_status: all(&["spec", "metadata.labels"]),
            pod_status: all(&["spec", "metadata.deletionTimestamp", "metadata.ownerReferences"]),
            approval: all(&["spec", "status.certificate"]),
            ephemeral: Reset::AllBut(vec![vec!["spec", "ephemeralContainers"]]),
            resize: Reset::AllBut(resized),
        }
    })
}

/// Of the kind's main endpoint (`""`) or one below it.
pub(super) fn of(served: &Served, subresource: &str) -> &'static Reset {
    let table = table();
    let kind = (served.group.as_ref(), served.plural.as_ref());
    match subresource {
        "" if served.subresource("status").is_some() => &table.status,
        "status" if served.is_custom() => &table.spec_and_metadata,
        "status" => match kind {
            ("apps", "deployments") => &table.deployment_status,
            ("", "pods") => &table.pod_status,
            ("flowcontrol.apiserver.k8s.io", _)
            | ("storage.k8s.io", "volumeattachments")
            | ("apiextensions.k8s.io", _)
            | ("apiregistration.k8s.io", _) => &table.spec_and_metadata,
            _ => &table.spec,
        },
        "approval" => &table.approval,
        "finalize" => &table.status,
        "ephemeralcontainers" => &table.ephemeral,
        "resize" => &table.resize,
        _ => &table.nothing,
    }
}
