//! Namespaces and what configures the pods in them: config maps, secrets, quotas, priorities.

use serde_json::Value;

use super::{AGE, Column, NAME, Printer, age, text};
use crate::object::ObjectExt;

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        kind: "Namespace",
        columns: &[NAME, Column::text("Status", "Active, or Terminating while it is emptied."), AGE],
        row: |namespace, now| {
            vec![namespace.name().into(), namespace.str_at("/status/phase").into(), age(namespace, now)]
        },
    },
    Printer {
        group: "",
        kind: "ConfigMap",
        columns: &[NAME, Column::text("Data", "How many entries there are."), AGE],
        row: |map, now| {
            let entries = entries(map, "/data") + entries(map, "/binaryData");
            vec![map.name().into(), entries.into(), age(map, now)]
        },
    },
    Printer {
        group: "",
        kind: "Secret",
        columns: &[
            NAME,
            Column::text("Type", "What the entries mean."),
            Column::text("Data", "How many entries there are."),
            AGE,
        ],
        row: |secret, now| {
            vec![
                secret.name().into(),
                secret.str_at("/type").into(),
                entries(secret, "/data").into(),
                age(secret, now),
            ]
        },
    },
    Printer {
        group: "",
        kind: "ResourceQuota",
        columns: &[
            NAME,
            Column::text("Request", "Use and bound of what is requested or counted."),
            Column::text("Limit", "Use and bound of what is limited."),
            AGE,
        ],
        row: |quota, now| {
            let mut hard: Vec<_> = quota.map_at("/status/hard").into_iter().flatten().collect();
            hard.sort_by_key(|(resource, _)| *resource);
            let mut columns = [Vec::new(), Vec::new()];
            for (resource, bound) in hard {
                let used = quota.map_at("/status/used").and_then(|used| text::scalar(used.get(resource)));
                let cell = format!(
                    "{resource}: {}/{}",
                    used.as_deref().unwrap_or("0"),
                    text::scalar(Some(bound)).unwrap_or_default()
                );
                columns[usize::from(resource.starts_with("limits."))].push(cell);
            }
            let [request, limit] = columns.map(|cells| cells.join(", "));
            vec![quota.name().into(), request.into(), limit.into(), age(quota, now)]
        },
    },
    Printer {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        columns: &[
            NAME,
            Column::number("Value", "The priority; higher goes first."),
            Column::flag("Global-Default", "Whether pods without a class get this one."),
            AGE,
            Column::text("PreemptionPolicy", "Whether such pods may push others out."),
        ],
        row: |class, now| {
            vec![
                class.name().into(),
                text::count(class, "/value"),
                class.bool_at("/globalDefault").into(),
                age(class, now),
                class.str_at("/preemptionPolicy").into(),
            ]
        },
    },
    Printer {
        group: "policy",
        kind: "PodDisruptionBudget",
        columns: &[
            NAME,
            Column::text("Min Available", "How many pods must stay."),
            Column::text("Max Unavailable", "How many pods may go."),
            Column::number("Allowed Disruptions", "How many pods may go now."),
            AGE,
        ],
        row: |budget, now| {
            let bound = |pointer| text::scalar(budget.at(pointer)).unwrap_or_else(|| "N/A".into());
            vec![
                budget.name().into(),
                bound("/spec/minAvailable").into(),
                bound("/spec/maxUnavailable").into(),
                text::count(budget, "/status/disruptionsAllowed"),
                age(budget, now),
            ]
        },
    },
];

fn entries(object: &Value, pointer: &str) -> usize {
    object.map_at(pointer).map_or(0, |map| map.len())
}
