//! Volumes, claims and classes.

use serde_json::Value;

use super::{AGE, Column, NAME, Printer, age, text};
use crate::object::ObjectExt;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        kind: "PersistentVolume",
        columns: &[
            NAME,
            Column::text("Capacity", "How much it holds."),
            Column::text("Access Modes", "How it can be mounted."),
            Column::text("Reclaim Policy", "What becomes of it once its claim is gone."),
            Column::text("Status", "Phase of the volume."),
            Column::text("Claim", "The claim it is bound to."),
            Column::text("StorageClass", "Its class."),
            Column::text("VolumeAttributesClass", "Its attributes class."),
            Column::text("Reason", "Why it is in this phase."),
            AGE,
            Column::text("VolumeMode", "File system or block device.").wide(),
        ],
        row: |volume, now| {
            let claim = volume.at("/spec/claimRef").filter(|claim| claim.is_object());
            let claim =
                claim.map(|claim| format!("{}/{}", claim.str_at("/namespace"), claim.str_at("/name")));
            vec![
                volume.name().into(),
                text::scalar(volume.at("/spec/capacity/storage")).unwrap_or_else(|| "0".into()).into(),
                access_modes(volume, "/spec/accessModes").into(),
                volume.str_at("/spec/persistentVolumeReclaimPolicy").into(),
                phase(volume).into(),
                claim.unwrap_or_default().into(),
                class(volume).into(),
                text::or(volume.str_at("/spec/volumeAttributesClassName"), text::UNSET).into(),
                volume.str_at("/status/reason").into(),
                age(volume, now),
                text::or(volume.str_at("/spec/volumeMode"), text::UNSET).into(),
            ]
        },
    },
    Printer {
        group: "",
        kind: "PersistentVolumeClaim",
        columns: &[
            NAME,
            Column::text("Status", "Phase of the claim."),
            Column::text("Volume", "The volume it is bound to."),
            Column::text("Capacity", "How much the volume holds."),
            Column::text("Access Modes", "How the volume can be mounted."),
            Column::text("StorageClass", "Its class."),
            Column::text("VolumeAttributesClass", "Its attributes class."),
            AGE,
            Column::text("VolumeMode", "File system or block device.").wide(),
        ],
        row: |claim, now| {
            let bound = !claim.str_at("/spec/volumeName").is_empty();
            let capacity = text::scalar(claim.at("/status/capacity/storage")).unwrap_or_else(|| "0".into());
            vec![
                claim.name().into(),
                phase(claim).into(),
                claim.str_at("/spec/volumeName").into(),
                if bound { capacity } else { String::new() }.into(),
                if bound { access_modes(claim, "/status/accessModes") } else { String::new() }.into(),
                class(claim).into(),
                text::or(claim.str_at("/spec/volumeAttributesClassName"), text::UNSET).into(),
                age(claim, now),
                text::or(claim.str_at("/spec/volumeMode"), text::UNSET).into(),
            ]
        },
    },
    Printer {
        group: "storage.k8s.io",
        kind: "StorageClass",
        columns: &[
            NAME,
            Column::text("Provisioner", "Who makes the volumes."),
            Column::text("ReclaimPolicy", "What becomes of a volume once its claim is gone."),
            Column::text("VolumeBindingMode", "When a claim gets its volume."),
            Column::text("AllowVolumeExpansion", "Whether claims may grow."),
            AGE,
        ],
        row: |class, now| {
            let default = [
                "storageclass.kubernetes.io/is-default-class",
                "storageclass.beta.kubernetes.io/is-default-class",
            ]
            .iter()
            .any(|key| class.annotation(key) == Some("true"));
            let name = if default { format!("{} (default)", class.name()) } else { class.name().to_owned() };
            vec![
                name.into(),
                class.str_at("/provisioner").into(),
                text::or(class.str_at("/reclaimPolicy"), "Delete").into(),
                text::or(class.str_at("/volumeBindingMode"), "Immediate").into(),
                class.bool_at("/allowVolumeExpansion").into(),
                age(class, now),
            ]
        },
    },
    Printer {
        group: "storage.k8s.io",
        kind: "VolumeAttributesClass",
        columns: &[NAME, Column::text("DriverName", "The driver that knows the attributes."), AGE],
        row: |class, now| {
            let default = class.annotation("storageclass.kubernetes.io/is-default-class") == Some("true");
            let name = if default { format!("{} (default)", class.name()) } else { class.name().to_owned() };
            vec![name.into(), class.str_at("/driverName").into(), age(class, now)]
        },
    },
    Printer {
        group: "storage.k8s.io",
        kind: "CSIStorageCapacity",
        columns: &[
            NAME,
            Column::text("StorageClassName", "The class that the capacity is about."),
            Column::text("Capacity", "How much there is."),
        ],
        row: |capacity, _| {
            vec![
                capacity.name().into(),
                capacity.str_at("/storageClassName").into(),
                text::scalar(capacity.at("/capacity")).unwrap_or_else(|| text::UNSET.into()).into(),
            ]
        },
    },
    Printer {
        group: "storage.k8s.io",
        kind: "VolumeAttachment",
        columns: &[
            NAME,
            Column::id("Attacher", "Who attaches the volume."),
            Column::text("PV", "The volume."),
            Column::text("Node", "Where it is attached."),
            Column::flag("Attached", "Whether it is attached."),
            AGE,
        ],
        row: |attachment, now| {
            vec![
                attachment.name().into(),
                attachment.str_at("/spec/attacher").into(),
                attachment.str_at("/spec/source/persistentVolumeName").into(),
                attachment.str_at("/spec/nodeName").into(),
                attachment.bool_at("/status/attached").into(),
                age(attachment, now),
            ]
        },
    },
    Printer {
        group: "storage.k8s.io",
        kind: "CSINode",
        columns: &[NAME, Column::number("Drivers", "How many drivers are registered on the node."), AGE],
        row: |node, now| vec![node.name().into(), node.list_at("/spec/drivers").len().into(), age(node, now)],
    },
    Printer {
        group: "storage.k8s.io",
        kind: "CSIDriver",
        columns: &[
            NAME,
            Column::flag("AttachRequired", "Whether volumes must be attached before they are mounted."),
            Column::flag("PodInfoOnMount", "Whether the driver is told which pod mounts."),
            Column::flag("StorageCapacity", "Whether the scheduler looks at its capacity."),
            Column::text("TokenRequests", "Audiences of the tokens that it gets."),
            Column::flag("RequiresRepublish", "Whether mounts are renewed."),
            Column::text("Modes", "Which life cycles its volumes have."),
            AGE,
        ],
        row: |driver, now| {
            let attach = driver.at("/spec/attachRequired").and_then(Value::as_bool).unwrap_or(true);
            let modes =
                text::join(driver.list_at("/spec/volumeLifecycleModes").iter().filter_map(Value::as_str));
            let tokens = driver.at("/spec/tokenRequests").map_or_else(
                || text::UNSET.to_owned(),
                |_| {
                    text::join(
                        driver.list_at("/spec/tokenRequests").iter().map(|token| token.str_at("/audience")),
                    )
                },
            );
            vec![
                driver.name().into(),
                attach.into(),
                driver.bool_at("/spec/podInfoOnMount").into(),
                driver.bool_at("/spec/storageCapacity").into(),
                tokens.into(),
                driver.bool_at("/spec/requiresRepublish").into(),
                text::or(&modes, text::NONE).into(),
                age(driver, now),
            ]
        },
    },
];

fn phase(object: &Value) -> &str {
    if object.is_terminating() { "Terminating" } else { object.str_at("/status/phase") }
}

fn class(object: &Value) -> &str {
    object.annotation(CLASS_ANNOTATION).unwrap_or_else(|| object.str_at("/spec/storageClassName"))
}

fn access_modes(object: &Value, pointer: &str) -> String {
    let modes = object.list_at(pointer);
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    text::join(
        known
            .iter()
            .filter(|(mode, _)| modes.iter().any(|m| m.as_str() == Some(mode)))
            .map(|(_, short)| *short),
    )
}
