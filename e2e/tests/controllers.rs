//! What the loops of kube-controller-manager and the scheduler do for somebody who only writes
//! objects, in the simulated gear.

use std::time::Duration;

use chronoplane::{Cluster, cluster::wait_for};
use client::{DeleteParams, ListParams, Patch, Resource};
use serde_json::{Value, json};

const PODS: Resource = Resource::core("pods");
const ACCOUNTS: Resource = Resource::core("serviceaccounts");
const SERVICES: Resource = Resource::core("services");
const ENDPOINTS: Resource = Resource::core("endpoints");
const SLICES: Resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
const NS: Option<&str> = Some("default");

/// Waits until `holds` of the object of that name; returns it.
async fn until(
    cluster: &Cluster,
    what: &str,
    resource: &Resource,
    namespace: Option<&str>,
    name: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let found = wait_for(&cluster.sim().host("workstation"), what, async || {
        last = cluster.admin().get(resource, namespace, name).await.ok()?;
        holds(&last).then(|| last.clone())
    })
    .await;
    found.unwrap_or_else(|e| panic!("{e}; last seen: {last}"))
}

/// Waits until `holds` of all objects with these labels; returns them.
async fn until_all(
    cluster: &Cluster,
    what: &str,
    resource: &Resource,
    namespace: &str,
    labels: &str,
    holds: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let mut last = Vec::new();
    let params = ListParams { label_selector: Some(labels.to_owned()), ..ListParams::default() };
    let found = wait_for(&cluster.sim().host("workstation"), what, async || {
        let list = cluster.admin().list(resource, Some(namespace), &params).await.ok()?;
        last = list.items.iter().map(|o| (**o).clone()).collect();
        holds(&last).then(|| last.clone())
    })
    .await;
    found.unwrap_or_else(|e| panic!("{e}; last seen: {}", Value::from(last)))
}

/// Creates in the namespace `default`, once pods may be created there.
async fn create(cluster: &Cluster, resource: &Resource, object: Value) -> Value {
    until(cluster, "the namespace has its account", &ACCOUNTS, NS, "default", |_| true).await;
    cluster.admin().create(resource, NS, &object).await.unwrap_or_else(|e| panic!("{e}: {object}"))
}

fn template(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [
        {"name": "c", "image": "nginx", "ports": [{"name": "http", "containerPort": 8080}]}
    ]}})
}

fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(json!({"app": name})),
        },
    })
}

fn service(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"team": "a"}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
    })
}

fn len(object: &Value, at: &str) -> usize {
    object.pointer(at).and_then(Value::as_array).map_or(0, Vec::len)
}

#[chronoplane::test(nodes = 2)]
async fn a_deployment_and_a_service_end_with_endpoints(cluster: Cluster) {
    create(&cluster, &SERVICES, service("web")).await;
    let empty = until(&cluster, "the service has Endpoints", &ENDPOINTS, NS, "web", |_| true).await;
    assert_eq!(len(&empty, "/subsets"), 0, "no pod yet: {empty}");
    create(&cluster, &DEPLOYMENTS, deployment("web", 3)).await;
    let ready =
        |e: &Value| len(e, "/subsets/0/addresses") == 3 && len(e, "/subsets/0/notReadyAddresses") == 0;
    let endpoints = until(&cluster, "three addresses are ready", &ENDPOINTS, NS, "web", ready).await;
    assert_eq!(endpoints["subsets"][0]["ports"], json!([{"name": "web", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(endpoints["metadata"]["labels"]["team"], "a", "the service's labels: {endpoints}");
    let slices = until_all(
        &cluster,
        "three endpoints are ready",
        &SLICES,
        "default",
        "kubernetes.io/service-name=web",
        |slices| {
            slices.len() == 1
                && len(&slices[0], "/endpoints") == 3
                && slices[0]["endpoints"]
                    .as_array()
                    .is_some_and(|all| all.iter().all(|e| e["conditions"]["ready"] == true))
        },
    )
    .await;
    let slice = &slices[0];
    assert_eq!(
        slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"],
        "endpointslice-controller.k8s.io"
    );
    assert!(
        slice["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("web-") && n.len() == 9),
        "{slice}"
    );
    assert_eq!(slice["ports"][0]["port"], 8080);
    assert_eq!(slice["metadata"]["ownerReferences"][0]["kind"], "Service");
    let revision = slice["metadata"]["resourceVersion"].clone();
    cluster.sim().elapse(Duration::from_secs(600)).await;
    let name = slice["metadata"]["name"].as_str().unwrap_or_default();
    let later = cluster.admin().get(&SLICES, NS, name).await.expect("still there");
    assert_eq!(later["metadata"]["resourceVersion"], revision, "nobody writes what is right already");
    cluster.admin().delete(&SERVICES, NS, "web", &DeleteParams::default()).await.expect("deleted");
    wait_for(&cluster.sim().host("workstation"), "both are gone with the service", async || {
        let endpoints = cluster.admin().get_opt(&ENDPOINTS, NS, "web").await.ok()?;
        let slice = cluster.admin().get_opt(&SLICES, NS, name).await.ok()?;
        (endpoints.is_none() && slice.is_none()).then_some(())
    })
    .await
    .expect("gone");
}

#[chronoplane::test]
async fn a_pod_that_is_not_ready_is_named_but_not_offered(cluster: Cluster) {
    // Without a node the test plays the kubelet: it alone says what the pod's status is.
    let headless = json!({"metadata": {"name": "db"}, "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]}});
    create(&cluster, &SERVICES, headless).await;
    let mut pod = template(json!({"app": "db"}));
    pod["metadata"]["name"] = "db-0".into();
    pod["spec"]["hostname"] = "db-0".into();
    pod["spec"]["subdomain"] = "db".into();
    create(&cluster, &PODS, pod).await;
    let tell = async |ready: &str| {
        let status = json!({"status": {"phase": "Running", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}], "conditions": [{"type": "Ready", "status": ready}]}});
        cluster
            .admin()
            .patch(&PODS, NS, "db-0", Patch::Strategic(&status), Some("status"))
            .await
            .expect("told");
    };
    tell("False").await;
    let not_ready =
        |e: &Value| len(e, "/subsets/0/notReadyAddresses") == 1 && len(e, "/subsets/0/addresses") == 0;
    let endpoints = until(&cluster, "the address is not ready", &ENDPOINTS, NS, "db", not_ready).await;
    assert_eq!(endpoints["subsets"][0]["notReadyAddresses"][0]["hostname"], "db-0");
    assert_eq!(endpoints["metadata"]["labels"]["service.kubernetes.io/headless"], "");
    tell("True").await;
    let ready =
        |e: &Value| len(e, "/subsets/0/addresses") == 1 && len(e, "/subsets/0/notReadyAddresses") == 0;
    until(&cluster, "the address is ready", &ENDPOINTS, NS, "db", ready).await;
}

const DAEMON_SETS: Resource = Resource::new("apps", "v1", "daemonsets");
const NODES: Resource = Resource::core("nodes");

fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

fn all_running(pods: &[Value]) -> bool {
    pods.iter().all(|p| p["status"]["phase"] == "Running" && p["metadata"].get("deletionTimestamp").is_none())
}

#[chronoplane::test(nodes = 2)]
async fn kube_proxy_runs_on_every_node(cluster: Cluster) {
    let everywhere = |pods: &[Value]| pods.len() == 3 && all_running(pods);
    let pods =
        until_all(&cluster, "kube-proxy runs", &PODS, "kube-system", "k8s-app=kube-proxy", everywhere).await;
    let mut nodes: Vec<&str> = pods.iter().map(node_of).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["cp1", "node1", "node2"]);
    let done = |set: &Value| {
        [
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "numberAvailable",
            "updatedNumberScheduled",
        ]
        .iter()
        .all(|field| set["status"][*field] == 3)
    };
    until(&cluster, "the status counts them", &DAEMON_SETS, Some("kube-system"), "kube-proxy", done).await;
}

#[chronoplane::test(nodes = 2)]
async fn a_daemon_follows_its_nodes_and_its_template(cluster: Cluster) {
    let set = json!({
        "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template(json!({"app": "agent"}))},
    });
    create(&cluster, &DAEMON_SETS, set).await;
    let settled = |count: usize| move |pods: &[Value]| pods.len() == count && all_running(pods);
    let first =
        until_all(&cluster, "it runs on the workers", &PODS, "default", "app=agent", settled(2)).await;
    assert!(first.iter().all(|p| node_of(p).starts_with("node")), "the control plane is tainted");
    let affinity =
        &first[0]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"][0], first[0]["spec"]["nodeName"]);

    // A new template replaces one pod after the other.
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"turn": "2"}}}}});
    cluster.admin().patch(&DAEMON_SETS, NS, "agent", Patch::Strategic(&change), None).await.expect("patched");
    let turned =
        |pods: &[Value]| settled(2)(pods) && pods.iter().all(|p| p["metadata"]["annotations"]["turn"] == "2");
    until_all(&cluster, "all pods are of the new template", &PODS, "default", "app=agent", turned).await;
    let revisions = Resource::new("apps", "v1", "controllerrevisions");
    let two = |all: &[Value]| all.len() == 2;
    until_all(&cluster, "both templates are kept", &revisions, "default", "app=agent", two).await;

    // A taint that it does not tolerate ends the pod; a cordon does not.
    let cordon = json!({"spec": {"unschedulable": true}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&cordon), None).await.expect("cordoned");
    cluster.sim().elapse(Duration::from_secs(30)).await;
    until_all(&cluster, "a cordoned node keeps it", &PODS, "default", "app=agent", settled(2)).await;
    let taint = json!({"spec": {"unschedulable": null, "taints": [{"key": "k", "effect": "NoExecute"}]}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&taint), None).await.expect("tainted");
    let only = |pods: &[Value]| settled(1)(pods) && node_of(&pods[0]) == "node2";
    until_all(&cluster, "it has left the tainted node", &PODS, "default", "app=agent", only).await;
    let clean = json!({"spec": {"taints": null}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&clean), None).await.expect("untainted");
    until_all(&cluster, "it is back", &PODS, "default", "app=agent", settled(2)).await;
}
