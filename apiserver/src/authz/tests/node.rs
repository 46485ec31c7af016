//! What a kubelet reaches, row by row.

use api::{profile::Profile, selector::FieldSelector};
use client::Informer;
use serde_json::{Value, json};

use super::ask;
use crate::{
    authz::{Attributes, node::NodeAuthorizer},
    identity::User,
    informers::Informers,
};

const NO: &str = "no relationship found between node 'n1' and this object";

fn pod(name: &str, node: &str, annotations: Value) -> Value {
    json!({
        "metadata": {"namespace": "ns", "name": name, "annotations": annotations},
        "spec": {
            "nodeName": node,
            "serviceAccountName": format!("{name}-account"),
            "volumes": [
                {"name": "s", "secret": {"secretName": format!("{name}-secret")}},
                {"name": "c", "configMap": {"name": format!("{name}-config")}},
                {"name": "p", "persistentVolumeClaim": {"claimName": format!("{name}-claim")}},
            ],
            "containers": [{"name": "c"}],
        },
    })
}

fn informers() -> Informers {
    let free = json!({"metadata": {"name": "v"}, "spec": {}});
    Informers {
        pods: Informer::fixed(vec![
            pod("mine", "n1", json!({})),
            pod("theirs", "n2", json!({})),
            pod("pending", "", json!({})),
            pod("mirror", "n1", json!({"kubernetes.io/config.mirror": "x"})),
        ]),
        persistent_volumes: Informer::fixed(vec![volume("mine"), volume("theirs"), free]),
        ..Informers::empty()
    }
}

fn volume(pod: &str) -> Value {
    json!({
        "metadata": {"name": format!("{pod}-volume")},
        "spec": {"claimRef": {"namespace": "ns", "name": format!("{pod}-claim")}},
    })
}

fn kubelet() -> User {
    User::new("system:node:n1", &["system:nodes"])
}

#[track_caller]
fn judge(authorizer: &NodeAuthorizer, request: &Attributes<'_>, wanted: Result<(), &str>) {
    let verdict = authorizer.authorize(request);
    let found = if verdict.is_allowed() { Ok(()) } else { Err(&*verdict.reason) };
    assert_eq!(found, wanted, "{request}");
}

#[test]
fn objects_are_reached_through_pods() {
    let authorizer = NodeAuthorizer::new(Profile::NEWEST, &informers());
    let check =
        |question: &str, wanted: Result<(), &str>| judge(&authorizer, &ask(&kubelet(), question), wanted);
    check("get secrets ns mine-secret", Ok(()));
    check("list secrets ns mine-secret", Ok(()));
    check("watch secrets ns mine-secret", Ok(()));
    check("get secrets ns theirs-secret", Err(NO));
    check("get secrets ns pending-secret", Err(NO));
    check("get secrets other mine-secret", Err(NO));
    check("list secrets ns", Err("No Object name found"));
    check("list secrets - mine-secret", Err("can only read namespaced object of this type"));
    check("update secrets ns mine-secret", Err("can only read resources of this type"));
    check("get secrets/x ns mine-secret", Err("cannot read subresource"));
    check("get configmaps ns mine-config", Ok(()));
    check("get configmaps ns theirs-config", Err(NO));
    // The node writes mirror pods itself: they open nothing.
    check("get secrets ns mirror-secret", Err(NO));
    check("create serviceaccounts/token ns mirror-account", Err(NO));
    check("get pods ns mirror", Ok(()));
    check("get persistentvolumeclaims ns mine-claim", Ok(()));
    check("list persistentvolumeclaims ns", Err("can only get individual resources of this type"));
    check("get persistentvolumeclaims/x ns mine-claim", Err("cannot get subresource"));
    check("patch persistentvolumeclaims/status ns mine-claim", Ok(()));
    check("get persistentvolumeclaims/status ns mine-claim", Err("can only get/update/patch this type"));
    check("get persistentvolumes - v", Err(NO));
    check("get persistentvolumes - mine-volume", Ok(()));
    check("get persistentvolumes - theirs-volume", Err(NO));
    check("list persistentvolumes -", Err("can only get individual resources of this type"));
    check("list volumeattachments.storage.k8s.io -", Err("can only get individual resources of this type"));
    check("create serviceaccounts/token ns mine-account", Ok(()));
    check("create serviceaccounts/token ns theirs-account", Err(NO));
    check(
        "create serviceaccounts ns mine-account",
        Err("can only create token subresource of serviceaccount"),
    );
    check("create serviceaccounts/token ns", Err("can only create tokens for individual service accounts"));
    check("get serviceaccounts ns mine-account", Ok(()));
    check("get serviceaccounts ns theirs-account", Err(NO));
}

#[test]
fn its_own_node_lease_csinode_and_pods() {
    let authorizer = NodeAuthorizer::new(Profile::NEWEST, &informers());
    let check =
        |question: &str, wanted: Result<(), &str>| judge(&authorizer, &ask(&kubelet(), question), wanted);
    check("get nodes - n1", Ok(()));
    check("watch nodes - n1", Ok(()));
    check("get nodes - n2", Err("node 'n1' cannot read 'n2', only its own Node object"));
    check("list nodes", Err("node 'n1' cannot read all nodes, only its own Node object"));
    check("create nodes", Ok(()));
    check("patch nodes/status - n2", Ok(()));
    check("delete nodes - n1", Err(""));
    check("get pods ns mine", Ok(()));
    check("get pods ns theirs", Err(NO));
    check("list pods", Err("can only list/watch pods with spec.nodeName field selector"));
    check("create pods ns", Ok(()));
    check("update pods/status ns theirs", Ok(()));
    check("create pods/eviction ns theirs", Ok(()));
    check("update pods ns mine", Err(""));
    check("get leases.coordination.k8s.io kube-node-lease n1", Ok(()));
    check("create leases.coordination.k8s.io kube-node-lease", Ok(()));
    check(
        "update leases.coordination.k8s.io kube-node-lease n2",
        Err("can only access node lease with the same name as the requesting node"),
    );
    check(
        "get leases.coordination.k8s.io kube-system n1",
        Err(r#"can only access leases in the "kube-node-lease" system namespace"#),
    );
    check(
        "list leases.coordination.k8s.io kube-node-lease",
        Err("can only get, create, update, patch, or delete a node lease"),
    );
    check("get csinodes.storage.k8s.io - n1", Ok(()));
    check(
        "get csinodes.storage.k8s.io - n2",
        Err("can only access CSINode with the same name as the requesting node"),
    );
    check("list csinodes.storage.k8s.io", Err("can only get, create, update, patch, or delete a CSINode"));
    // What is not subdivided follows the static rules.
    check("list services", Ok(()));
    check("create certificatesigningrequests.certificates.k8s.io", Ok(()));
    check("create events ns", Ok(()));
    check("delete certificatesigningrequests.certificates.k8s.io - x", Err(""));
    check("list deployments.apps", Err(""));
}

#[test]
fn pods_are_listed_by_the_nodes_own_name() {
    let authorizer = NodeAuthorizer::new(Profile::NEWEST, &informers());
    let check = |selector: &str, wanted: Result<(), &str>| {
        let selector = FieldSelector::parse(selector).unwrap();
        let user = kubelet();
        let request = Attributes { field_selector: Some(&selector), ..ask(&user, "watch pods") };
        judge(&authorizer, &request, wanted);
    };
    check("spec.nodeName=n1", Ok(()));
    check("spec.nodeName=n2", Err("can only list/watch pods with spec.nodeName field selector"));
    check("spec.nodeName!=n1", Err("can only list/watch pods with spec.nodeName field selector"));
}

#[test]
fn only_kubelets_and_only_those_with_a_name() {
    let authorizer = NodeAuthorizer::new(Profile::NEWEST, &informers());
    let check =
        |user: User, wanted: Result<(), &str>| judge(&authorizer, &ask(&user, "get nodes - n1"), wanted);
    check(User::new("system:node:n1", &[]), Err(""));
    check(User::new("n1", &["system:nodes"]), Err(""));
    check(User::new("system:node:", &["system:nodes"]), Err(r#"unknown node for user "system:node:""#));
}

#[test]
fn edges_come_and_go_with_pods() {
    let informers = informers();
    let authorizer = NodeAuthorizer::new(Profile::NEWEST, &informers);
    let check =
        |wanted: Result<(), &str>| judge(&authorizer, &ask(&kubelet(), "get secrets ns shared"), wanted);
    let sharing = |name: &str, node: &str| {
        let mut pod = pod(name, node, json!({}));
        pod["spec"]["volumes"][0]["secret"]["secretName"] = "shared".into();
        pod
    };
    check(Err(NO));
    informers.pods.put(sharing("a", ""));
    check(Err(NO));
    informers.pods.put(sharing("a", "n1"));
    informers.pods.put(sharing("b", "n1"));
    check(Ok(()));
    informers.pods.remove("ns", "a");
    check(Ok(()));
    informers.pods.put(sharing("b", "n2"));
    check(Err(NO));
}
