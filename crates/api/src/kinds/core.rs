//! The core group, `/api/v1`.

use super::{
    Deprecation, Kind, Propagation,
    row::{action, own, own_with, posted, proxy, row, scale, stream},
};
use crate::names::NameRule;

const fn v1(kind: &'static str, plural: &'static str, singular: &'static str) -> Kind {
    row("", "v1", kind, plural, singular)
}

pub(super) const CORE: &[Kind] = &[
    posted("", "v1", "Binding", "bindings", "binding"),
    v1("ComponentStatus", "componentstatuses", "componentstatus")
        .short(&["cs"])
        .cluster()
        .verbs(&["get", "list"])
        .stored_under("")
        .deprecated(Deprecation { since: 19, replacement: None }),
    v1("ConfigMap", "configmaps", "configmap").short(&["cm"]),
    v1("Endpoints", "endpoints", "endpoints")
        .short(&["ep"])
        .stored_under("services/endpoints")
        .creates_on_update()
        .deprecated(Deprecation { since: 33, replacement: Some(("discovery.k8s.io/v1", "EndpointSlice")) }),
    v1("Event", "events", "event")
        .short(&["ev"])
        .creates_on_update()
        .dependents(Propagation::Unsupported)
        .selectable(&[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]),
    v1("LimitRange", "limitranges", "limitrange").short(&["limits"]).creates_on_update(),
    v1("Namespace", "namespaces", "namespace")
        .short(&["ns"])
        .cluster()
        .verbs(&["create", "delete", "get", "list", "patch", "update", "watch"])
        .subs(&[
            own_with("finalize", "", "v1", "Namespace", &["update"]),
            own("status", "", "v1", "Namespace"),
        ])
        .returned_on_delete()
        .selectable(&["status.phase"])
        .named(NameRule::Label),
    v1("Node", "nodes", "node")
        .short(&["no"])
        .cluster()
        .subs(&[proxy("NodeProxyOptions"), own("status", "", "v1", "Node")])
        .stored_under("minions")
        .selectable(&["spec.unschedulable"]),
    v1("PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim")
        .short(&["pvc"])
        .subs(&[own("status", "", "v1", "PersistentVolumeClaim")])
        .returned_on_delete(),
    v1("PersistentVolume", "persistentvolumes", "persistentvolume")
        .short(&["pv"])
        .cluster()
        .subs(&[own("status", "", "v1", "PersistentVolume")])
        .returned_on_delete(),
    v1("Pod", "pods", "pod")
        .short(&["po"])
        .categories(&["all"])
        .subs(&[
            stream("attach", "PodAttachOptions"),
            action("binding", "", "v1", "Binding"),
            own("ephemeralcontainers", "", "v1", "Pod"),
            action("eviction", "policy", "v1", "Eviction"),
            stream("exec", "PodExecOptions"),
            own_with("log", "", "v1", "Pod", &["get"]),
            stream("portforward", "PodPortForwardOptions"),
            proxy("PodProxyOptions"),
            own("resize", "", "v1", "Pod"),
            own("status", "", "v1", "Pod"),
        ])
        .counts_generation()
        .returned_on_delete()
        .selectable(&[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ]),
    v1("PodTemplate", "podtemplates", "podtemplate").counts_generation().returned_on_delete(),
    v1("ReplicationController", "replicationcontrollers", "replicationcontroller")
        .short(&["rc"])
        .categories(&["all"])
        .subs(&[scale(true), own("status", "", "v1", "ReplicationController")])
        .stored_under("controllers")
        .counts_generation()
        .dependents(Propagation::Orphan)
        .selectable(&["status.replicas"]),
    v1("ResourceQuota", "resourcequotas", "resourcequota")
        .short(&["quota"])
        .subs(&[own("status", "", "v1", "ResourceQuota")])
        .returned_on_delete(),
    v1("Secret", "secrets", "secret").selectable(&["type"]),
    v1("ServiceAccount", "serviceaccounts", "serviceaccount")
        .short(&["sa"])
        .subs(&[action("token", "authentication.k8s.io", "v1", "TokenRequest")])
        .returned_on_delete(),
    v1("Service", "services", "service")
        .short(&["svc"])
        .categories(&["all"])
        .subs(&[proxy("ServiceProxyOptions"), own("status", "", "v1", "Service")])
        .stored_under("services/specs")
        .creates_on_update()
        .returned_on_delete()
        .selectable(&["spec.clusterIP", "spec.type"])
        .named(NameRule::Label1035),
];
