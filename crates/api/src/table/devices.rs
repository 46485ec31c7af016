//! Devices and who claims them.

use serde_json::Value;

use super::{AGE, Column, NAME, Printer, age};
use crate::object::ObjectExt;

const GROUP: &str = "resource.k8s.io";

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: GROUP,
        kind: "DeviceClass",
        columns: &[NAME, AGE],
        row: |class, now| vec![class.name().into(), age(class, now)],
    },
    Printer {
        group: GROUP,
        kind: "ResourceClaim",
        columns: &[NAME, Column::text("State", "How far the claim has come."), AGE],
        row: |claim, now| vec![claim.name().into(), state(claim).into(), age(claim, now)],
    },
    Printer {
        group: GROUP,
        kind: "ResourceClaimTemplate",
        columns: &[NAME, AGE],
        row: |template, now| vec![template.name().into(), age(template, now)],
    },
    Printer {
        group: GROUP,
        kind: "ResourceSlice",
        columns: &[
            NAME,
            Column::text("Node", "The node that has the devices."),
            Column::text("Driver", "The driver that manages them."),
            Column::text("Pool", "The pool that they belong to."),
            AGE,
        ],
        row: |slice, now| {
            vec![
                slice.name().into(),
                slice.str_at("/spec/nodeName").into(),
                slice.str_at("/spec/driver").into(),
                slice.str_at("/spec/pool/name").into(),
                age(slice, now),
            ]
        },
    },
];

fn state(claim: &Value) -> String {
    let deleted = claim.is_terminating();
    let allocated = claim.map_at("/status/allocation").is_some();
    let reserved = !claim.list_at("/status/reservedFor").is_empty();
    let states = [
        (deleted, "deleted"),
        (!allocated && !deleted, "pending"),
        (allocated, "allocated"),
        (allocated && reserved, "reserved"),
    ];
    states.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
}
