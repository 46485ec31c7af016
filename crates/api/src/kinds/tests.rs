//! The table against itself and against hashes that a real apiserver publishes.

use serde_json::json;

use super::*;

#[test]
fn rows_stand_in_discovery_order_and_once() {
    let order: Vec<_> = group_versions().iter().map(|gv| (gv.group, gv.version)).collect();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for kind in all() {
        if seen.last() != Some(&(kind.group, kind.version)) {
            seen.push((kind.group, kind.version));
        }
    }
    // The core group is served under /api and may stand before the aggregator's own.
    assert_eq!(seen[..2], [("", "v1"), ("apiregistration.k8s.io", "v1")]);
    assert_eq!(seen[2..], order[2..], "each group and version in one piece, in order");
    for pair in group_versions().windows(2) {
        let key = |gv: &GroupVersion| (-gv.group_priority, gv.group, -gv.version_priority);
        assert!(key(&pair[0]) < key(&pair[1]), "{pair:?}");
    }
}

#[test]
fn every_row_is_well_formed() {
    for kind in all() {
        let at = format!("{} {}", kind.api_version(), kind.plural);
        assert_eq!(kind.singular, kind.kind.to_ascii_lowercase(), "{at}");
        assert!(kind.verbs.is_sorted(), "{at}: verbs");
        assert!(kind.subresources.is_sorted_by(|a, b| a.name < b.name), "{at}: subresources");
        assert!(
            std::ptr::eq(find(kind.group, kind.version, kind.plural).unwrap(), kind),
            "{at}: found by path"
        );
        assert!(
            std::ptr::eq(by_kind(kind.group, kind.version, kind.kind).unwrap(), kind),
            "{at}: found by kind"
        );
        assert_eq!(kind.is_stored(), kind.allows("get"), "{at}: what is stored can be read");
        let stored = kind.storage_version();
        assert_eq!((stored.kind, stored.storage), (kind.kind, kind.storage), "{at}: storage version");
        for sub in kind.subresources {
            assert!(sub.verbs.is_sorted() && !sub.verbs.is_empty(), "{at}/{}", sub.name);
            assert_eq!(sub.scale.is_some(), sub.name == "scale", "{at}/{}", sub.name);
            if sub.name == "status" {
                let own = (kind.group, kind.version, kind.kind);
                assert_eq!((sub.group, sub.version, sub.kind), own, "{at}/status takes the kind itself");
            }
        }
    }
}

#[test]
fn no_two_resources_share_keys_unless_they_are_versions_of_one() {
    for a in all().iter().filter(|k| k.is_stored()) {
        for b in all().iter().filter(|k| k.is_stored()) {
            if a.storage == b.storage {
                assert_eq!(a.stored, b.stored, "{} and {}", a.qualified(), b.qualified());
            }
        }
    }
}

#[test]
fn hashes_are_those_of_a_real_server() {
    for (group, version, plural, hash) in [
        ("", "v1", "configmaps", "qFsyl6wFWjQ="),
        ("", "v1", "endpoints", "fWeeMqaN/OA="),
        ("", "v1", "events", "r2yiGXH7wu8="),
        ("", "v1", "nodes", "XwShjMxG9Fs="),
        ("", "v1", "pods", "xPOwRZ+Yhw8="),
        ("", "v1", "services", "0/CO1lhkEBI="),
        ("events.k8s.io", "v1", "events", "r2yiGXH7wu8="),
        ("apps", "v1", "deployments", "8aSe+NMegvE="),
        ("apps", "v1", "replicasets", "P1RzHs8/mWQ="),
        ("batch", "v1", "cronjobs", "sd5LIXh4Fjs="),
        ("batch", "v1", "jobs", "mudhfqk/qZY="),
        ("autoscaling", "v1", "horizontalpodautoscalers", "qwQve8ut294="),
        ("autoscaling", "v2", "horizontalpodautoscalers", "qwQve8ut294="),
        ("certificates.k8s.io", "v1", "certificatesigningrequests", "95fRKMXA+00="),
        ("networking.k8s.io", "v1", "ingresses", "39NQlfNR+bo="),
        ("networking.k8s.io", "v1", "networkpolicies", "YpfwF18m1G8="),
        ("policy", "v1", "poddisruptionbudgets", "EVWiDmWqyJw="),
        ("storage.k8s.io", "v1", "storageclasses", "K+m6uJwbjGY="),
        ("storage.k8s.io", "v1", "csistoragecapacities", "xeVl+2Ly1kE="),
        ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "B0wHjQmsGNk="),
        ("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "mHCkTKpUTrE="),
    ] {
        let kind = find(group, version, plural).unwrap();
        assert_eq!(kind.storage_version_hash(), hash, "{} {plural}", kind.api_version());
    }
}

#[test]
fn paths_and_keys() {
    for (group, plural, namespace, name, path, key) in [
        ("", "pods", "a", "p", "/api/v1/namespaces/a/pods/p", "/registry/pods/a/p"),
        ("", "pods", "", "", "/api/v1/pods", "/registry/pods/"),
        ("", "pods", "a", "", "/api/v1/namespaces/a/pods", "/registry/pods/a/"),
        ("", "nodes", "", "n", "/api/v1/nodes/n", "/registry/minions/n"),
        ("", "namespaces", "a", "a", "/api/v1/namespaces/a", "/registry/namespaces/a"),
        ("", "services", "a", "s", "/api/v1/namespaces/a/services/s", "/registry/services/specs/a/s"),
        ("", "endpoints", "a", "s", "/api/v1/namespaces/a/endpoints/s", "/registry/services/endpoints/a/s"),
        (
            "events.k8s.io",
            "events",
            "a",
            "e",
            "/apis/events.k8s.io/v1/namespaces/a/events/e",
            "/registry/events/a/e",
        ),
        (
            "apps",
            "deployments",
            "a",
            "d",
            "/apis/apps/v1/namespaces/a/deployments/d",
            "/registry/deployments/a/d",
        ),
        (
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            "",
            "c",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/c",
            "/registry/apiextensions.k8s.io/customresourcedefinitions/c",
        ),
    ] {
        let kind = preferred(group, plural).unwrap();
        assert_eq!(kind.path(namespace, name), path);
        assert_eq!(kind.key("/registry", namespace, name), key);
    }
}

/// Facts that the server's behaviour hangs on, each over the whole table.
#[test]
fn flags() {
    let rows = |flag: fn(&Kind) -> bool| {
        let mut rows: Vec<String> = all().iter().filter(|k| flag(k)).map(Kind::qualified).collect();
        rows.sort();
        rows.dedup();
        rows.join(" ")
    };
    assert_eq!(
        rows(|k| !k.namespaced),
        "apiservices.apiregistration.k8s.io certificatesigningrequests.certificates.k8s.io \
         clusterrolebindings.rbac.authorization.k8s.io clusterroles.rbac.authorization.k8s.io \
         csidrivers.storage.k8s.io csinodes.storage.k8s.io customresourcedefinitions.apiextensions.k8s.io \
         deviceclasses.resource.k8s.io flowschemas.flowcontrol.apiserver.k8s.io \
         ingressclasses.networking.k8s.io ipaddresses.networking.k8s.io \
         mutatingadmissionpolicies.admissionregistration.k8s.io \
         mutatingadmissionpolicybindings.admissionregistration.k8s.io \
         mutatingwebhookconfigurations.admissionregistration.k8s.io namespaces nodes persistentvolumes \
         priorityclasses.scheduling.k8s.io prioritylevelconfigurations.flowcontrol.apiserver.k8s.io \
         resourceslices.resource.k8s.io runtimeclasses.node.k8s.io \
         selfsubjectaccessreviews.authorization.k8s.io selfsubjectreviews.authentication.k8s.io \
         selfsubjectrulesreviews.authorization.k8s.io servicecidrs.networking.k8s.io \
         storageclasses.storage.k8s.io subjectaccessreviews.authorization.k8s.io \
         tokenreviews.authentication.k8s.io validatingadmissionpolicies.admissionregistration.k8s.io \
         validatingadmissionpolicybindings.admissionregistration.k8s.io \
         validatingwebhookconfigurations.admissionregistration.k8s.io volumeattachments.storage.k8s.io \
         volumeattributesclasses.storage.k8s.io"
    );
    assert_eq!(
        rows(|k| k.create_on_update),
        "clusterrolebindings.rbac.authorization.k8s.io clusterroles.rbac.authorization.k8s.io endpoints events \
         events.events.k8s.io leases.coordination.k8s.io limitranges rolebindings.rbac.authorization.k8s.io \
         roles.rbac.authorization.k8s.io runtimeclasses.node.k8s.io services"
    );
    assert_eq!(rows(|k| k.propagation == Propagation::Orphan), "jobs.batch replicationcontrollers");
    assert_eq!(
        rows(|k| k.is_stored() && !k.unconditional_update),
        "apiservices.apiregistration.k8s.io csidrivers.storage.k8s.io csinodes.storage.k8s.io \
         csistoragecapacities.storage.k8s.io customresourcedefinitions.apiextensions.k8s.io \
         leases.coordination.k8s.io mutatingadmissionpolicies.admissionregistration.k8s.io \
         mutatingadmissionpolicybindings.admissionregistration.k8s.io \
         mutatingwebhookconfigurations.admissionregistration.k8s.io poddisruptionbudgets.policy \
         runtimeclasses.node.k8s.io validatingadmissionpolicies.admissionregistration.k8s.io \
         validatingadmissionpolicybindings.admissionregistration.k8s.io \
         validatingwebhookconfigurations.admissionregistration.k8s.io volumeattachments.storage.k8s.io"
    );
    assert_eq!(
        rows(|k| k.delete_returns_object && k.group.is_empty()),
        "namespaces persistentvolumeclaims persistentvolumes pods podtemplates resourcequotas serviceaccounts services"
    );
}

#[test]
fn events_convert_field_by_field_and_back() {
    let core = find("", "v1", "events").unwrap();
    let new = find("events.k8s.io", "v1", "events").unwrap();
    let before = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod"},
        "reason": "R", "message": "m", "source": {"component": "c"}, "count": 2, "type": "Normal",
        "reportingComponent": "c",
    });
    let mut event = before.clone();
    convert(core, new, &mut event);
    assert_eq!(
        event,
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
            "regarding": {"kind": "Pod"}, "reason": "R", "note": "m", "deprecatedSource": {"component": "c"},
            "deprecatedCount": 2, "type": "Normal", "reportingController": "c",
        })
    );
    convert(new, core, &mut event);
    assert_eq!(event, before);
}

#[test]
fn autoscalers_convert_and_lose_nothing() {
    let v1 = find("autoscaling", "v1", "horizontalpodautoscalers").unwrap();
    let v2 = find("autoscaling", "v2", "horizontalpodautoscalers").unwrap();
    let before = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {},
        "spec": {"maxReplicas": 3, "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80, "type": "Utilization"}}},
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
        ], "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}},
    });
    let mut scaler = before.clone();
    convert(v2, v1, &mut scaler);
    assert_eq!(scaler["apiVersion"], "autoscaling/v1");
    assert_eq!(scaler["spec"], json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 80}));
    convert(v1, v2, &mut scaler);
    scaler["metadata"] = json!({});
    assert_eq!(scaler, before);
}
