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
        assert!(kind.is_stored() || !kind.allows("watch"), "{at}: what is not stored has no history");
        assert_eq!(kind.is_stored(), kind.allows("delete"), "{at}: what is stored can be removed");
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

/// What upstream's discovery documents say: the resource, its short names, `@` and its category, `=`
/// and verbs that are not the usual ones, `/` and its subresources.
const DISCOVERY: &str = "
v1 bindings =create
v1 componentstatuses cs =get,list
v1 configmaps cm
v1 endpoints ep
v1 events ev
v1 limitranges limits
v1 namespaces ns =create,delete,get,list,patch,update,watch /finalize:update /status:get,patch,update
v1 nodes no /proxy:create,delete,get,patch,update /status:get,patch,update
v1 persistentvolumeclaims pvc /status:get,patch,update
v1 persistentvolumes pv /status:get,patch,update
v1 pods po @all /attach:create,get /binding:create /ephemeralcontainers:get,patch,update /eviction:create /exec:create,get /log:get /portforward:create,get /proxy:create,delete,get,patch,update /resize:get,patch,update /status:get,patch,update
v1 podtemplates
v1 replicationcontrollers rc @all /scale:get,patch,update /status:get,patch,update
v1 resourcequotas quota /status:get,patch,update
v1 secrets
v1 serviceaccounts sa /token:create
v1 services svc @all /proxy:create,delete,get,patch,update /status:get,patch,update
admissionregistration.k8s.io/v1 mutatingadmissionpolicies @api-extensions
admissionregistration.k8s.io/v1 mutatingadmissionpolicybindings @api-extensions
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations @api-extensions
admissionregistration.k8s.io/v1 validatingadmissionpolicies @api-extensions /status:get,patch,update
admissionregistration.k8s.io/v1 validatingadmissionpolicybindings @api-extensions
admissionregistration.k8s.io/v1 validatingwebhookconfigurations @api-extensions
apiextensions.k8s.io/v1 customresourcedefinitions crd crds @api-extensions /status:get,patch,update
apiregistration.k8s.io/v1 apiservices @api-extensions /status:get,patch,update
apps/v1 controllerrevisions
apps/v1 daemonsets ds @all /status:get,patch,update
apps/v1 deployments deploy @all /scale:get,patch,update /status:get,patch,update
apps/v1 replicasets rs @all /scale:get,patch,update /status:get,patch,update
apps/v1 statefulsets sts @all /scale:get,patch,update /status:get,patch,update
authentication.k8s.io/v1 selfsubjectreviews =create
authentication.k8s.io/v1 tokenreviews =create
authorization.k8s.io/v1 localsubjectaccessreviews =create
authorization.k8s.io/v1 selfsubjectaccessreviews =create
authorization.k8s.io/v1 selfsubjectrulesreviews =create
authorization.k8s.io/v1 subjectaccessreviews =create
autoscaling/v1 horizontalpodautoscalers hpa @all /status:get,patch,update
autoscaling/v2 horizontalpodautoscalers hpa @all /status:get,patch,update
batch/v1 cronjobs cj @all /status:get,patch,update
batch/v1 jobs @all /status:get,patch,update
certificates.k8s.io/v1 certificatesigningrequests csr /approval:get,patch,update /status:get,patch,update
coordination.k8s.io/v1 leases
discovery.k8s.io/v1 endpointslices
events.k8s.io/v1 events ev
flowcontrol.apiserver.k8s.io/v1 flowschemas /status:get,patch,update
flowcontrol.apiserver.k8s.io/v1 prioritylevelconfigurations /status:get,patch,update
networking.k8s.io/v1 ingressclasses
networking.k8s.io/v1 ingresses ing /status:get,patch,update
networking.k8s.io/v1 ipaddresses ip
networking.k8s.io/v1 networkpolicies netpol
networking.k8s.io/v1 servicecidrs /status:get,patch,update
node.k8s.io/v1 runtimeclasses
policy/v1 poddisruptionbudgets pdb /status:get,patch,update
rbac.authorization.k8s.io/v1 clusterrolebindings
rbac.authorization.k8s.io/v1 clusterroles
rbac.authorization.k8s.io/v1 rolebindings
rbac.authorization.k8s.io/v1 roles
resource.k8s.io/v1 deviceclasses
resource.k8s.io/v1 resourceclaims /status:get,patch,update
resource.k8s.io/v1 resourceclaimtemplates
resource.k8s.io/v1 resourceslices
scheduling.k8s.io/v1 priorityclasses pc
storage.k8s.io/v1 csidrivers
storage.k8s.io/v1 csinodes
storage.k8s.io/v1 csistoragecapacities
storage.k8s.io/v1 storageclasses sc
storage.k8s.io/v1 volumeattachments /status:get,patch,update
storage.k8s.io/v1 volumeattributesclasses vac
";

#[test]
fn rows_are_what_discovery_says() {
    let usual = "create,delete,deletecollection,get,list,patch,update,watch";
    let shown = |kind: &Kind| {
        let mut words = vec![kind.api_version(), kind.plural.to_owned()];
        words.extend(kind.short_names.iter().map(|name| (*name).to_owned()));
        words.extend(kind.categories.iter().map(|name| format!("@{name}")));
        let verbs = kind.verbs.join(",");
        words.extend((verbs != usual).then(|| format!("={verbs}")));
        words.extend(kind.subresources.iter().map(|sub| format!("/{}:{}", sub.name, sub.verbs.join(","))));
        words.join(" ")
    };
    let mut found: Vec<String> = all().iter().map(shown).collect();
    found.sort();
    let mut expected: Vec<&str> = DISCOVERY.lines().filter(|line| !line.is_empty()).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn deprecated_kinds_say_so_once_they_are() {
    let check = |plural: &str, minor: u16, expected: Option<&str>| {
        let kind = find("", "v1", plural).unwrap();
        assert_eq!(kind.deprecation(minor).as_deref(), expected, "{plural} {minor}");
    };
    check("pods", 36, None);
    check("componentstatuses", 18, None);
    check("componentstatuses", 19, Some("v1 ComponentStatus is deprecated in v1.19+"));
    check("endpoints", 32, None);
    check(
        "endpoints",
        36,
        Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    );
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
         componentstatuses csidrivers.storage.k8s.io csinodes.storage.k8s.io customresourcedefinitions.apiextensions.k8s.io \
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
