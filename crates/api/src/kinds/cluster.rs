//! The rest of a cluster's furniture: network, storage, nodes, time, fairness, devices.

use super::{
    Kind, Propagation,
    row::{own, row},
};
use crate::names::NameRule;

// One Event is stored, whichever of the two groups wrote it.
pub(super) const EVENTS: &[Kind] = &[row("events.k8s.io", "v1", "Event", "events", "event")
    .short(&["ev"])
    .stored_as("", "v1")
    .creates_on_update()
    .dependents(Propagation::Unsupported)
    .selectable(&[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ])];

const NET: &str = "networking.k8s.io";

pub(super) const NETWORKING: &[Kind] = &[
    row(NET, "v1", "IngressClass", "ingressclasses", "ingressclass").cluster().counts_generation(),
    row(NET, "v1", "Ingress", "ingresses", "ingress")
        .short(&["ing"])
        .subs(&[own("status", NET, "v1", "Ingress")])
        .stored_under("ingress")
        .counts_generation(),
    row(NET, "v1", "IPAddress", "ipaddresses", "ipaddress")
        .short(&["ip"])
        .cluster()
        .named(NameRule::IpAddress),
    row(NET, "v1", "NetworkPolicy", "networkpolicies", "networkpolicy")
        .short(&["netpol"])
        .counts_generation(),
    row(NET, "v1", "ServiceCIDR", "servicecidrs", "servicecidr").cluster().subs(&[own(
        "status",
        NET,
        "v1",
        "ServiceCIDR",
    )]),
];

const DISK: &str = "storage.k8s.io";

const fn storage(kind: &'static str, plural: &'static str, singular: &'static str) -> Kind {
    row(DISK, "v1", kind, plural, singular).cluster()
}

pub(super) const STORAGE: &[Kind] = &[
    storage("CSIDriver", "csidrivers", "csidriver").conditional_update().returned_on_delete(),
    storage("CSINode", "csinodes", "csinode").conditional_update().returned_on_delete(),
    row(DISK, "v1", "CSIStorageCapacity", "csistoragecapacities", "csistoragecapacity").conditional_update(),
    storage("StorageClass", "storageclasses", "storageclass").short(&["sc"]).returned_on_delete(),
    storage("VolumeAttachment", "volumeattachments", "volumeattachment")
        .subs(&[own("status", DISK, "v1", "VolumeAttachment")])
        .conditional_update()
        .returned_on_delete(),
    storage("VolumeAttributesClass", "volumeattributesclasses", "volumeattributesclass")
        .short(&["vac"])
        .returned_on_delete(),
];

pub(super) const SCHEDULING: &[Kind] =
    &[row("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "priorityclass")
        .short(&["pc"])
        .cluster()
        .counts_generation()];

pub(super) const COORDINATION: &[Kind] =
    &[row("coordination.k8s.io", "v1", "Lease", "leases", "lease").conditional_update().creates_on_update()];

pub(super) const NODE: &[Kind] =
    &[row("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", "runtimeclass")
        .cluster()
        .conditional_update()
        .creates_on_update()];

pub(super) const DISCOVERY: &[Kind] =
    &[row("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice").counts_generation()];

const FAIR: &str = "flowcontrol.apiserver.k8s.io";

pub(super) const FLOWCONTROL: &[Kind] = &[
    row(FAIR, "v1", "FlowSchema", "flowschemas", "flowschema")
        .cluster()
        .subs(&[own("status", FAIR, "v1", "FlowSchema")])
        .counts_generation(),
    row(
        FAIR,
        "v1",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        "prioritylevelconfiguration",
    )
    .cluster()
    .subs(&[own("status", FAIR, "v1", "PriorityLevelConfiguration")])
    .counts_generation(),
];

const DEVICES: &str = "resource.k8s.io";

pub(super) const RESOURCE: &[Kind] = &[
    row(DEVICES, "v1", "DeviceClass", "deviceclasses", "deviceclass")
        .cluster()
        .counts_generation()
        .returned_on_delete(),
    row(DEVICES, "v1", "ResourceClaim", "resourceclaims", "resourceclaim")
        .subs(&[own("status", DEVICES, "v1", "ResourceClaim")])
        .returned_on_delete(),
    row(DEVICES, "v1", "ResourceClaimTemplate", "resourceclaimtemplates", "resourceclaimtemplate")
        .returned_on_delete(),
    row(DEVICES, "v1", "ResourceSlice", "resourceslices", "resourceslice")
        .cluster()
        .counts_generation()
        .returned_on_delete()
        .selectable(&["spec.nodeName", "spec.driver"]),
];
