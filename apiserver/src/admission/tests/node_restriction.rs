//! NodeRestriction, every sentence of it.

use client::Informer;
use serde_json::{Value, json};

use super::{Operation, Write, certificates::request, furnished, story};
use crate::{identity::User, informers::Informers};

fn informers() -> Informers {
    let pod = |name: &str, node: &str| {
        json!({"metadata": {"namespace": "ns", "name": name, "uid": format!("{name}-uid")}, "spec": {"nodeName": node, "volumes": [
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"serviceAccountToken": {"path": "v", "audience": "vault"}}]}},
        ]}})
    };
    Informers {
        pods: Informer::fixed(vec![pod("mine", "n1"), pod("theirs", "n2")]),
        nodes: Informer::fixed(vec![json!({"metadata": {"name": "n1", "uid": "n1-uid"}})]),
        ..furnished()
    }
}

/// Rows of a write by the kubelet of `n1`, and the sentence it gets.
fn check(rows: Vec<(Write, Result<(), String>)>) {
    story(informers(), |chain| async move {
        for (write, wanted) in rows {
            let what =
                format!("{:?} {}/{} {}", write.operation, write.resource, write.subresource, write.name);
            let found = chain.admit(write.by_node("n1")).await.map(|_| ()).map_err(|s| s.message);
            assert_eq!(found, wanted, "{what}");
        }
    });
}

fn no(resource: &str, name: &str, why: &str) -> Result<(), String> {
    Err(format!("{resource} {name:?} is forbidden: {why}"))
}

fn mirror(change: impl FnOnce(&mut Value)) -> Write {
    let mut pod = json!({
        "metadata": {
            "name": "p",
            "annotations": {"kubernetes.io/config.mirror": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1-uid", "controller": true}],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}]},
    });
    change(&mut pod);
    Write::create("pods", "ns", pod)
}

#[test]
fn mirror_pods_of_its_own() {
    let owner = |key: &'static str, value: Value| {
        move |pod: &mut Value| pod["metadata"]["ownerReferences"][0][key] = value
    };
    let spec = |key: &'static str, value: Value| move |pod: &mut Value| pod["spec"][key] = value;
    let bad = |write: Write, why: &str| (write, no("pods", "p", why));
    // A static pod without an account is not given one: its mirror has no token.
    check(vec![
        (mirror(|_| ()), Ok(())),
        bad(
            mirror(|pod| pod["spec"]["nodeName"] = "n2".into()),
            r#"node "n1" can only create pods with spec.nodeName set to itself"#,
        ),
        bad(
            mirror(|pod| pod["metadata"]["ownerReferences"] = json!([])),
            r#"node "n1" can only create pods with an owner reference set to itself"#,
        ),
        bad(
            mirror(|pod| {
                let owner = pod["metadata"]["ownerReferences"][0].clone();
                pod["metadata"]["ownerReferences"] = json!([owner, owner]);
            }),
            r#"node "n1" can only create pods with a single owner reference set to itself"#,
        ),
        bad(
            mirror(owner("name", "n2".into())),
            r#"node "n1" can only create pods with an owner reference set to itself"#,
        ),
        bad(
            mirror(owner("controller", false.into())),
            r#"node "n1" can only create pods with a controller owner reference set to itself"#,
        ),
        bad(
            mirror(owner("blockOwnerDeletion", true.into())),
            r#"node "n1" must not set blockOwnerDeletion on an owner reference"#,
        ),
        bad(mirror(owner("uid", "x".into())), "node n1 UID mismatch: expected x got n1-uid"),
        bad(
            mirror(spec("volumes", json!([{"configMap": {"name": "c"}}]))),
            r#"node "n1" can not create pods that reference configmaps"#,
        ),
        bad(
            mirror(spec("volumes", json!([{"persistentVolumeClaim": {"claimName": "c"}}]))),
            r#"node "n1" can not create pods that reference persistentvolumeclaims"#,
        ),
        bad(
            mirror(spec("volumes", json!([{"projected": {"sources": [{"clusterTrustBundle": {}}]}}]))),
            r#"node "n1" can not create pods that reference clustertrustbundles"#,
        ),
        bad(
            mirror(spec("resourceClaims", json!([{"name": "c"}]))),
            r#"node "n1" can not create pods that reference resourceclaims"#,
        ),
        // The ServiceAccount plugin speaks first about these.
        bad(
            mirror(spec("serviceAccountName", "x".into())),
            "a mirror pod may not reference service accounts",
        ),
        bad(
            Write::create("pods", "ns", super::pod("p")),
            r#"pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods"#,
        ),
    ]);
}

#[test]
fn pods_on_it() {
    let status = |labels: Value, node: &str| {
        let pod =
            |labels: Value| json!({"metadata": {"name": "p", "labels": labels}, "spec": {"nodeName": node}});
        Write::update("pods/status", "ns", "p", pod(labels), pod(json!({"a": "1"})))
    };
    let update = Write::update("pods", "ns", "mine", json!({}), json!({}));
    check(vec![
        (Write::new(Operation::Delete, "pods", "ns", "mine"), Ok(())),
        (
            Write::new(Operation::Delete, "pods", "ns", "theirs"),
            no("pods", "theirs", r#"node "n1" can only delete pods with spec.nodeName set to itself"#),
        ),
        (Write::new(Operation::Delete, "pods", "ns", "gone"), Err(r#"pod "gone" not found"#.to_owned())),
        (status(json!({"a": "1"}), "n1"), Ok(())),
        (
            status(json!({"a": "1"}), "n2"),
            no(
                "pods",
                "p",
                r#"node "n1" can only update pod status for pods with spec.nodeName set to itself"#,
            ),
        ),
        (
            status(json!({"a": "2"}), "n1"),
            no("pods", "p", r#"node "n1" cannot update labels through pod status"#),
        ),
        (
            update,
            no(
                "pods",
                "mine",
                r#"unexpected operation "UPDATE", node "n1" can only create and delete mirror pods"#,
            ),
        ),
        (Write { name: "mine", ..Write::create("pods/eviction", "ns", json!({})) }, Ok(())),
        (
            Write { name: "theirs", ..Write::create("pods/eviction", "ns", json!({})) },
            no("pods", "theirs", "node n1 can only evict pods with spec.nodeName set to itself"),
        ),
        (
            Write { name: "mine", ..Write::create("pods/binding", "ns", json!({})) },
            no(
                "pods",
                "mine",
                r#"unexpected pod subresource "binding", only 'status' and 'eviction' are allowed"#,
            ),
        ),
    ]);
}

#[test]
fn its_own_node_within_limits() {
    let node = |name: &str, labels: Value, spec: Value| json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
    let role = "node-role.kubernetes.io/control-plane";
    let update = |new: Value| Write::update("nodes", "", "n1", new, node("n1", json!({"a": "1"}), json!({})));
    check(vec![
        (Write::create("nodes", "", node("n1", json!({"kubernetes.io/os": "linux"}), json!({}))), Ok(())),
        // A kubelet registers with taints, but does not change them later.
        (Write::create("nodes", "", node("n1", json!({}), json!({"taints": [{"key": "x"}]}))), Ok(())),
        (
            Write::create("nodes", "", node("n2", json!({}), json!({}))),
            no("nodes", "n2", r#"node "n1" is not allowed to modify node "n2""#),
        ),
        (
            Write::create("nodes", "", node("n1", json!({role: ""}), json!({}))),
            no("nodes", "n1", &format!(r#"node "n1" is not allowed to set the following labels: {role}"#)),
        ),
        (update(node("n1", json!({"a": "2"}), json!({}))), Ok(())),
        (
            update(node("n1", json!({"a": "1"}), json!({"taints": [{"key": "x"}]}))),
            no("nodes", "n1", r#"node "n1" is not allowed to modify taints"#),
        ),
        (
            update(node("n1", json!({"a": "1", role: "", "x.k8s.io/y": ""}), json!({}))),
            no("nodes", "n1", &format!("is not allowed to modify labels: {role}, x.k8s.io/y")),
        ),
        (
            update(
                json!({"metadata": {"name": "n1", "labels": {"a": "1"}, "ownerReferences": [{"name": "x"}]}, "spec": {}}),
            ),
            no("nodes", "n1", r#"node "n1" is not allowed to modify ownerReferences"#),
        ),
        (
            Write::new(Operation::Delete, "nodes", "", "n2"),
            no("nodes", "n2", r#"node "n1" is not allowed to modify node "n2""#),
        ),
    ]);
}

#[test]
fn slices_of_devices_say_whose_they_are() {
    let slices = "resourceslices.resource.k8s.io";
    let of = |node: Value| json!({"metadata": {"name": "s"}, "spec": {"nodeName": node}});
    let delete =
        |node: &str| Write { old: Some(of(json!(node))), ..Write::new(Operation::Delete, slices, "", "s") };
    let only = |verb: &str| {
        no(
            slices,
            "s",
            &format!("can only {verb} ResourceSlice with the same NodeName as the requesting node"),
        )
    };
    check(vec![
        (Write::create(slices, "", of(json!("n1"))), Ok(())),
        (Write::create(slices, "", of(json!("n2"))), only("create")),
        (Write::create(slices, "", of(Value::Null)), only("create")),
        (delete("n1"), Ok(())),
        (delete("n2"), only("delete")),
    ]);
}

#[test]
fn leases_csinodes_and_claims() {
    let named = |name: &str| json!({"metadata": {"name": name}});
    let (lease, csi) = ("leases.coordination.k8s.io", "csinodes.storage.k8s.io");
    let claim = |capacity: &str, phase: &str| json!({"metadata": {"name": "c", "resourceVersion": capacity}, "status": {"phase": phase, "capacity": {"storage": capacity}}});
    check(vec![
        (
            Write::create(lease, "kube-node-lease", named("n1")),
            Err(r#"things "kube-node-lease" not found"#.to_owned()),
        ),
        (
            Write::update(lease, "ns", "n1", named("n1"), named("n1")),
            no(lease, "n1", r#"can only access leases in the "kube-node-lease" system namespace"#),
        ),
        (Write::create(csi, "", named("n1")), Ok(())),
        (
            Write::create(csi, "", named("n2")),
            no(csi, "n2", "can only access CSINode with the same name as the requesting node"),
        ),
        (
            Write::update("persistentvolumeclaims", "ns", "c", named("c"), named("c")),
            no("persistentvolumeclaims", "c", "may only update PVC status"),
        ),
        (
            Write::update(
                "persistentvolumeclaims/status",
                "ns",
                "c",
                claim("2Gi", "Bound"),
                claim("1Gi", "Bound"),
            ),
            Ok(()),
        ),
        (
            Write::update(
                "persistentvolumeclaims/status",
                "ns",
                "c",
                claim("2Gi", "Lost"),
                claim("1Gi", "Bound"),
            ),
            no(
                "persistentvolumeclaims",
                "c",
                r#"node "n1" is not allowed to update fields other than status.quantity and status.conditions"#,
            ),
        ),
    ]);
    let mut kube_node_lease = informers();
    kube_node_lease.namespaces = Informer::fixed(vec![super::namespace("kube-node-lease", "Active")]);
    story(kube_node_lease, |chain| async move {
        let create = |name: &str| Write::create(lease, "kube-node-lease", named(name)).by_node("n1");
        chain.admit(create("n1")).await.unwrap();
        let refusal = chain.admit(create("n2")).await.unwrap_err();
        assert_eq!(
            refusal.message,
            r#"leases.coordination.k8s.io "n2" is forbidden: can only access node lease with the same name as the requesting node"#
        );
    });
}

#[test]
fn tokens_for_pods_on_it() {
    let token = |bound: Value, audiences: Value| {
        let object = json!({"spec": {"boundObjectRef": bound, "audiences": audiences}});
        Write { name: "robot", ..Write::create("serviceaccounts/token", "ns", object) }
    };
    let to = |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
    let bad = |write: Write, why: &str| (write, no("serviceaccounts", "robot", why));
    check(vec![
        (token(to("mine", "mine-uid"), json!([])), Ok(())),
        (token(to("mine", "mine-uid"), json!(["vault"])), Ok(())),
        bad(token(Value::Null, json!([])), "node requested token not bound to a pod"),
        bad(
            token(json!({"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "u"}), json!([])),
            "node requested token not bound to a pod",
        ),
        bad(token(to("mine", ""), json!([])), "node requested token with a pod binding without a uid"),
        bad(
            token(to("mine", "x"), json!([])),
            "the UID in the bound object reference (x) does not match the UID in record. The object might have been \
             deleted and then recreated",
        ),
        bad(
            token(to("theirs", "theirs-uid"), json!([])),
            "node requested token bound to a pod scheduled on a different node",
        ),
        bad(token(to("mine", "mine-uid"), json!(["a", "b"])), "node may only request 0 or 1 audiences"),
        bad(
            token(to("mine", "mine-uid"), json!(["other"])),
            r#"audience "other" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience"#,
        ),
        (token(to("gone", "u"), json!([])), Err(r#"pod "gone" not found"#.to_owned())),
    ]);
}

#[test]
fn certificates_in_its_own_name() {
    let what = "certificatesigningrequests.certificates.k8s.io";
    let kubelet = "kubernetes.io/kube-apiserver-client-kubelet";
    check(vec![
        (Write::create(what, "", request(kubelet, "system:node:n1", &["system:nodes"])), Ok(())),
        (
            Write::create(what, "", request(kubelet, "system:node:n2", &["system:nodes"])),
            no(what, "c", "can only create a node CSR with CN=system:node:n1"),
        ),
        (Write::create(what, "", request("example.com/any", "anything", &[])), Ok(())),
    ]);
}

#[test]
fn everybody_else_passes_and_a_nameless_kubelet_does_not() {
    story(informers(), |chain| async move {
        let node = || Write::create("nodes", "", json!({"metadata": {"name": "n9"}}));
        chain.admit(node().by(User::new("system:node:n1", &[]))).await.unwrap();
        chain.admit(node()).await.unwrap();
        let refusal = chain.admit(node().by_node("")).await.unwrap_err();
        assert_eq!(
            refusal.message,
            r#"nodes "n9" is forbidden: could not determine node from user "system:node:""#
        );
    });
}
