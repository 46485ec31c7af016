//! The tables' shape, and the rule that reconciling only adds.

use api::{object::ObjectExt as _, profile::Profile};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    AUTOUPDATE, cluster_role_bindings, cluster_roles, priority_classes,
    reconcile::{self, Action},
    role_bindings, roles,
};
use crate::authz::rule::{Rule, covers};

/// Name and number of rules of every default cluster role, as upstream 1.36 has them with its
/// default gates; aggregated roles with all that they gather.
const CLUSTER_ROLES: &str = "
admin 29
cluster-admin 2
edit 27
system:aggregate-to-admin 2
system:aggregate-to-edit 15
system:aggregate-to-view 12
system:auth-delegator 2
system:basic-user 2
system:certificates.k8s.io:certificatesigningrequests:nodeclient 1
system:certificates.k8s.io:certificatesigningrequests:selfnodeclient 1
system:certificates.k8s.io:kube-apiserver-client-approver 1
system:certificates.k8s.io:kube-apiserver-client-kubelet-approver 1
system:certificates.k8s.io:kubelet-serving-approver 1
system:certificates.k8s.io:legacy-unknown-approver 1
system:controller:attachdetach-controller 8
system:controller:certificate-controller 6
system:controller:clusterrole-aggregation-controller 1
system:controller:cronjob-controller 6
system:controller:daemon-set-controller 8
system:controller:deployment-controller 6
system:controller:device-taint-eviction-controller 7
system:controller:disruption-controller 9
system:controller:endpoint-controller 4
system:controller:endpointslice-controller 4
system:controller:endpointslicemirroring-controller 5
system:controller:ephemeral-volume-controller 4
system:controller:expand-controller 5
system:controller:generic-garbage-collector 2
system:controller:horizontal-pod-autoscaler 8
system:controller:job-controller 5
system:controller:legacy-service-account-token-cleaner 2
system:controller:namespace-controller 3
system:controller:node-controller 5
system:controller:persistent-volume-binder 10
system:controller:pod-garbage-collector 3
system:controller:pv-protection-controller 2
system:controller:pvc-protection-controller 3
system:controller:replicaset-controller 5
system:controller:replication-controller 5
system:controller:resource-claim-controller 6
system:controller:resourcequota-controller 3
system:controller:root-ca-cert-publisher 2
system:controller:route-controller 3
system:controller:selinux-warning-controller 5
system:controller:service-account-controller 2
system:controller:service-cidrs-controller 5
system:controller:service-controller 4
system:controller:statefulset-controller 10
system:controller:ttl-after-finished-controller 2
system:controller:ttl-controller 2
system:controller:validatingadmissionpolicy-status-controller 3
system:controller:volumeattributesclass-protection-controller 4
system:discovery 1
system:heapster 2
system:kube-aggregator 1
system:kube-controller-manager 11
system:kube-dns 1
system:kube-scheduler 25
system:kubelet-api-admin 4
system:monitoring 2
system:node 25
system:node-bootstrapper 1
system:node-problem-detector 3
system:node-proxier 5
system:persistent-volume-provisioner 5
system:public-info-viewer 1
system:service-account-issuer-discovery 1
system:volume-scheduler 3
view 12
";

const NAMESPACED: &str = "
kube-public/system:controller:bootstrap-signer 3
kube-system/extension-apiserver-authentication-reader 1
kube-system/system::leader-locking-kube-controller-manager 2
kube-system/system::leader-locking-kube-scheduler 2
kube-system/system:controller:bootstrap-signer 1
kube-system/system:controller:cloud-provider 1
kube-system/system:controller:token-cleaner 2
";

fn summary(objects: &[Value]) -> String {
    let line = |object: &Value| {
        let namespace = object.namespace();
        let slash = if namespace.is_empty() { "" } else { "/" };
        format!("{namespace}{slash}{} {}\n", object.name(), object.list_at("/rules").len())
    };
    let mut lines: Vec<String> = objects.iter().map(line).collect();
    lines.sort();
    format!("\n{}", lines.concat())
}

#[test]
fn names_and_rule_counts() {
    assert_eq!(summary(cluster_roles(Profile::NEWEST)), CLUSTER_ROLES);
    assert_eq!(summary(roles()), NAMESPACED);
}

#[test]
fn every_object_says_where_it_comes_from() {
    for object in
        [cluster_roles(Profile::NEWEST), cluster_role_bindings(Profile::NEWEST), roles(), role_bindings()]
            .concat()
    {
        assert_eq!(object.label("kubernetes.io/bootstrapping"), Some("rbac-defaults"), "{}", object.name());
        assert_eq!(object.annotation(AUTOUPDATE), Some("true"), "{}", object.name());
    }
}

#[test]
fn every_binding_leads_to_a_role_of_the_tables() {
    let (cluster, local) = (cluster_roles(Profile::NEWEST), roles());
    for binding in [cluster_role_bindings(Profile::NEWEST), role_bindings()].concat() {
        let (kind, name) = (binding.str_at("/roleRef/kind"), binding.str_at("/roleRef/name"));
        let found = match kind {
            "ClusterRole" => cluster.iter().any(|r| r.name() == name),
            _ => local.iter().any(|r| r.name() == name && r.namespace() == binding.namespace()),
        };
        assert!(found, "{} leads to {kind} {name}", binding.name());
    }
}

#[test]
fn each_controller_acts_as_its_own_account() {
    let bindings = cluster_role_bindings(Profile::NEWEST);
    let binding = bindings.iter().find(|b| b.name() == "system:controller:certificate-controller").unwrap();
    let subject =
        json!([{"kind": "ServiceAccount", "name": "certificate-controller", "namespace": "kube-system"}]);
    assert_eq!(binding["subjects"], subject);
    // Kept without anybody in it.
    let node = bindings.iter().find(|b| b.name() == "system:node").unwrap();
    assert_eq!(node.get("subjects"), None);
}

#[test]
fn admin_can_do_what_edit_and_view_can() {
    let all = cluster_roles(Profile::NEWEST);
    let rules = |name: &str| -> Vec<Rule> {
        let role = all.iter().find(|r| r.name() == name).unwrap();
        role.list_at("/rules").iter().map(Rule::from_value).collect()
    };
    assert!(covers(&rules("admin"), &rules("edit")).is_empty());
    assert!(covers(&rules("edit"), &rules("view")).is_empty());
    assert!(!covers(&rules("edit"), &rules("admin")).is_empty(), "edit grants roles");
    assert!(!covers(&rules("view"), &rules("edit")).is_empty(), "view writes");
}

#[test]
fn a_rule_is_written_as_upstream_writes_it() {
    let all = cluster_roles(Profile::NEWEST);
    let discovery = all.iter().find(|r| r.name() == "system:discovery").unwrap();
    assert_eq!(
        discovery["rules"],
        json!([{"verbs": ["get"], "nonResourceURLs": [
            "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
            "/version", "/version/",
        ]}])
    );
    let edit = all.iter().find(|r| r.name() == "edit").unwrap();
    assert_eq!(edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
    assert_eq!(
        edit["aggregationRule"],
        json!({"clusterRoleSelectors": [{"matchLabels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}}]})
    );
}

#[test]
fn the_systems_priority_classes() {
    let found: Vec<(String, i64)> =
        priority_classes().iter().map(|c| (c.name().to_owned(), c.i64_at("/value").unwrap())).collect();
    let wanted = [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
    assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value)));
}

fn a_role(rules: Value) -> Value {
    json!({
        "metadata": {
            "name": "system:some-role",
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {AUTOUPDATE: "true"},
        },
        "rules": rules,
    })
}

#[test]
fn a_role_gets_what_it_lacks_and_keeps_what_it_has() {
    let expected = a_role(json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]));
    assert_eq!(reconcile::role(None, &expected), Action::Create(expected.clone()));
    assert_eq!(reconcile::role(Some(&expected), &expected), Action::Nothing);

    let mut held = a_role(json!([
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["*"], "apiGroups": ["example.com"], "resources": ["*"]},
    ]));
    held["metadata"]["resourceVersion"] = "7".into();
    let Action::Update(updated) = reconcile::role(Some(&held), &expected) else { panic!("no update") };
    assert_eq!(updated.resource_version(), "7", "written against what was read");
    assert_eq!(
        updated["rules"],
        json!([
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["*"], "apiGroups": ["example.com"], "resources": ["*"]},
            {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]},
        ])
    );

    held["metadata"]["annotations"][AUTOUPDATE] = "false".into();
    assert_eq!(reconcile::role(Some(&held), &expected), Action::Nothing, "an administrator said so");
}

#[test]
fn labels_that_are_there_win() {
    let expected = a_role(json!([]));
    let held =
        json!({"metadata": {"name": "x", "labels": {"kubernetes.io/bootstrapping": "mine"}}, "rules": []});
    let Action::Update(updated) = reconcile::role(Some(&held), &expected) else { panic!("no update") };
    assert_eq!(updated.label("kubernetes.io/bootstrapping"), Some("mine"));
    assert_eq!(updated.annotation(AUTOUPDATE), Some("true"));
}

#[test]
fn a_binding_gets_its_subjects_back() {
    let expected = cluster_role_bindings(Profile::NEWEST)
        .iter()
        .find(|b| b.name() == "system:public-info-viewer")
        .unwrap();
    assert_eq!(reconcile::binding(Some(expected), expected), Action::Nothing);

    let jane = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"});
    let mut held = expected.clone();
    held["subjects"] = json!([jane, expected["subjects"][0]]);
    let Action::Update(updated) = reconcile::binding(Some(&held), expected) else { panic!("no update") };
    assert_eq!(updated["subjects"], json!([jane, expected["subjects"][0], expected["subjects"][1]]));

    // A role reference cannot be changed, so the binding is made anew, with everybody in it.
    held["roleRef"]["name"] = "another".into();
    let Action::Recreate(fresh) = reconcile::binding(Some(&held), expected) else { panic!("no recreate") };
    assert_eq!(fresh["roleRef"], expected["roleRef"]);
    assert_eq!(fresh["subjects"].as_array().unwrap().len(), 3);

    // The binding without subjects is content with any.
    let empty = cluster_role_bindings(Profile::NEWEST).iter().find(|b| b.name() == "system:node").unwrap();
    let mut held = empty.clone();
    held["subjects"] = json!([jane]);
    assert_eq!(reconcile::binding(Some(&held), empty), Action::Nothing);
}

fn any_rules() -> impl Strategy<Value = Value> {
    let words = |all: &'static [&'static str]| proptest::sample::subsequence(all.to_vec(), 1..all.len());
    let rule = (
        words(&["get", "list", "watch", "*"]),
        words(&["", "apps", "*"]),
        words(&["pods", "pods/log", "*/scale", "*"]),
    )
        .prop_map(
            |(verbs, groups, resources)| json!({"verbs": verbs, "apiGroups": groups, "resources": resources}),
        );
    proptest::collection::vec(rule, 0..4).prop_map(Value::from)
}

proptest! {
    /// After one pass everything expected is covered, nothing was lost, and a second pass is idle.
    #[test]
    fn one_pass_is_enough(held in any_rules(), expected in any_rules()) {
        let (held, expected) = (a_role(held), a_role(expected));
        let after = match reconcile::role(Some(&held), &expected) {
            Action::Nothing => held.clone(),
            Action::Update(updated) => updated,
            other => panic!("{other:?}"),
        };
        let rules = |role: &Value| -> Vec<Rule> { role.list_at("/rules").iter().map(Rule::from_value).collect() };
        prop_assert!(covers(&rules(&after), &rules(&expected)).is_empty());
        prop_assert!(rules(&after).starts_with(&rules(&held)));
        prop_assert_eq!(reconcile::role(Some(&after), &expected), Action::Nothing);
    }
}

#[test]
fn earlier_releases_are_born_with_less() {
    let at = |minor: u16| Profile::of_minor(minor).unwrap();
    let role = |minor: u16, name: &str| cluster_roles(at(minor)).iter().find(|r| r.name() == name).cloned();
    let bound = |minor: u16, name: &str| -> Vec<String> {
        let all = cluster_role_bindings(at(minor));
        let found = all.iter().find(|b| b.name() == name);
        let subjects = found.map(|b| b.list_at("/subjects")).unwrap_or_default();
        subjects.iter().map(|s| s.str_at("/name").to_owned()).collect()
    };
    let check = |name: &str, since: u16| {
        assert!(role(since - 1, name).is_none(), "{name} before 1.{since}");
        assert!(role(since, name).is_some(), "{name} in 1.{since}");
    };
    check("system:aggregate-to-view", 9);
    check("system:public-info-viewer", 14);
    check("system:certificates.k8s.io:legacy-unknown-approver", 18);
    check("system:service-account-issuer-discovery", 20);
    // Who is anonymous lost discovery in 1.14.
    assert_eq!(bound(13, "system:discovery"), ["system:authenticated", "system:unauthenticated"]);
    assert_eq!(bound(14, "system:discovery"), ["system:authenticated"]);
    assert_eq!(bound(13, "system:public-info-viewer"), [""; 0]);
    assert_eq!(bound(14, "system:public-info-viewer"), ["system:authenticated", "system:unauthenticated"]);
    // Before there was aggregation, the three had their rules themselves.
    let view = role(8, "view").unwrap();
    assert!(view.get("aggregationRule").is_none() && !view.list_at("/rules").is_empty());
    assert!(role(9, "view").unwrap().get("aggregationRule").is_some());
    let urls =
        |minor: u16| role(minor, "system:discovery").unwrap()["rules"][0]["nonResourceURLs"].to_string();
    assert!(!urls(15).contains("livez") && urls(16).contains("livez"));
    assert!(urls(13).contains("/swaggerapi/*") && !urls(14).contains("swagger"));
    let who = |minor: u16| {
        role(minor, "system:basic-user").unwrap()["rules"].to_string().contains("selfsubjectreviews")
    };
    assert!(!who(27) && who(28));
    // The newest release has all there is.
    for minor in [8, 20, 36] {
        let names: Vec<String> = cluster_roles(at(minor)).iter().map(|r| r.name().to_owned()).collect();
        for binding in cluster_role_bindings(at(minor)) {
            let to = binding.str_at("/roleRef/name").to_owned();
            assert!(
                names.contains(&to),
                "1.{minor}: {} is bound to {to}, which is not there",
                binding.name()
            );
        }
    }
}
