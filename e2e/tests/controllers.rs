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

const JOBS: Resource = Resource::new("batch", "v1", "jobs");
const CRON_JOBS: Resource = Resource::new("batch", "v1", "cronjobs");

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A job whose pods nobody runs: the cluster has no worker, and the test says how each pod ends.
fn job(name: &str, spec: Value) -> Value {
    let mut job = json!({"metadata": {"name": name}, "spec": spec});
    job["spec"]["template"] =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}});
    job
}

async fn pods_of_job(cluster: &Cluster, job: &str) -> Vec<Value> {
    let params = ListParams { label_selector: Some(format!("job-name={job}")), ..ListParams::default() };
    let pods = cluster.admin().list(&PODS, NS, &params).await.expect("listed");
    pods.items.iter().map(|p| (**p).clone()).collect()
}

async fn pod_ends(cluster: &Cluster, pod: &Value, phase: &str) {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let status = json!({"status": {"phase": phase}});
    cluster.admin().patch(&PODS, NS, name, Patch::Strategic(&status), Some("status")).await.expect("told");
}

fn has_condition(object: &Value, kind: &str) -> bool {
    let all = object["status"]["conditions"].as_array();
    all.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
}

fn reason<'a>(object: &'a Value, kind: &str) -> &'a str {
    let all = object["status"]["conditions"].as_array();
    let found = all.into_iter().flatten().find(|c| c["type"] == kind);
    found.and_then(|c| c["reason"].as_str()).unwrap_or_default()
}

async fn one_pod_waits(cluster: &Cluster, job: &str) -> Value {
    let waiting = |pods: &[Value]| pods.iter().filter(|p| p["status"]["phase"] == "Pending").count() == 1;
    let labels = format!("job-name={job}");
    let pods = until_all(cluster, "a pod of the job waits", &PODS, "default", &labels, waiting).await;
    pods.into_iter().find(|p| p["status"]["phase"] == "Pending").expect("one waits")
}

#[chronoplane::test]
async fn a_job_counts_its_pods_once_and_goes_when_its_time_is_over(cluster: Cluster) {
    create(&cluster, &JOBS, job("sum", json!({"completions": 2, "ttlSecondsAfterFinished": 100}))).await;
    for _ in 0..2 {
        let pod = one_pod_waits(&cluster, "sum").await;
        assert_eq!(pod["metadata"]["finalizers"], json!(["batch.kubernetes.io/job-tracking"]));
        pod_ends(&cluster, &pod, "Succeeded").await;
    }
    let done =
        until(&cluster, "the job is complete", &JOBS, NS, "sum", |j| has_condition(j, "Complete")).await;
    assert_eq!(reason(&done, "Complete"), "CompletionsReached");
    assert!(has_condition(&done, "SuccessCriteriaMet"), "the condition that comes first stays: {done}");
    assert_eq!(done["status"]["succeeded"], 2);
    assert_eq!(done["status"].get("active"), None, "{done}");
    let pods = pods_of_job(&cluster, "sum").await;
    assert_eq!(pods.len(), 2, "nothing was run twice");
    assert!(pods.iter().all(|p| p["metadata"].get("finalizers").is_none()), "both are counted");
    cluster.sim().elapse(seconds(98)).await;
    cluster.admin().get(&JOBS, NS, "sum").await.expect("one second before");
    cluster.sim().elapse(seconds(3)).await;
    wait_for(&cluster.sim().host("workstation"), "job and pods are gone", async || {
        let gone = cluster.admin().get_opt(&JOBS, NS, "sum").await.ok()?.is_none();
        (gone && pods_of_job(&cluster, "sum").await.is_empty()).then_some(())
    })
    .await
    .expect("removed");
}

#[chronoplane::test]
async fn a_failing_job_waits_ten_seconds_and_then_gives_up(cluster: Cluster) {
    create(&cluster, &JOBS, job("bad", json!({"backoffLimit": 1}))).await;
    let first = one_pod_waits(&cluster, "bad").await;
    pod_ends(&cluster, &first, "Failed").await;
    cluster.sim().elapse(seconds(9)).await;
    assert_eq!(pods_of_job(&cluster, "bad").await.len(), 1, "one second before its time");
    cluster.sim().elapse(seconds(2)).await;
    let second = one_pod_waits(&cluster, "bad").await;
    pod_ends(&cluster, &second, "Failed").await;
    let failed =
        until(&cluster, "the job has failed", &JOBS, NS, "bad", |j| has_condition(j, "Failed")).await;
    assert_eq!(reason(&failed, "Failed"), "BackoffLimitExceeded");
    assert_eq!(failed["status"]["failed"], 2);
}

#[chronoplane::test]
async fn a_deadline_ends_a_job_and_its_pods(cluster: Cluster) {
    create(&cluster, &JOBS, job("late", json!({"activeDeadlineSeconds": 60}))).await;
    one_pod_waits(&cluster, "late").await;
    cluster.sim().elapse(seconds(55)).await;
    let before = cluster.admin().get(&JOBS, NS, "late").await.expect("there");
    assert!(!has_condition(&before, "FailureTarget"), "before its time: {before}");
    cluster.sim().elapse(seconds(6)).await;
    let failed =
        until(&cluster, "the job has failed", &JOBS, NS, "late", |j| has_condition(j, "Failed")).await;
    assert_eq!(reason(&failed, "Failed"), "DeadlineExceeded");
    assert!(pods_of_job(&cluster, "late").await.is_empty());
}

#[chronoplane::test]
async fn an_indexed_job_runs_each_index_and_a_deleted_one_lets_its_pods_go(cluster: Cluster) {
    let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    create(&cluster, &JOBS, job("each", spec)).await;
    let three = |pods: &[Value]| pods.len() == 3;
    let pods = until_all(&cluster, "three pods", &PODS, "default", "job-name=each", three).await;
    let mut indexes: Vec<&str> = pods
        .iter()
        .filter_map(|p| p["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"].as_str())
        .collect();
    indexes.sort_unstable();
    assert_eq!(indexes, ["0", "1", "2"]);
    let second = pods.iter().find(|p| p["spec"]["hostname"] == "each-1").expect("index 1");
    pod_ends(&cluster, second, "Succeeded").await;
    let counted = |j: &Value| j["status"]["completedIndexes"] == "1" && j["status"]["succeeded"] == 1;
    until(&cluster, "index 1 is done", &JOBS, NS, "each", counted).await;
    let background =
        DeleteParams { propagation_policy: Some("Background".into()), ..DeleteParams::default() };
    cluster.admin().delete(&JOBS, NS, "each", &background).await.expect("deleted");
    until_all(&cluster, "its pods are gone", &PODS, "default", "job-name=each", <[Value]>::is_empty).await;
}

async fn jobs_of(cluster: &Cluster, cron: &str) -> Vec<Value> {
    let jobs = cluster.admin().list(&JOBS, NS, &ListParams::default()).await.expect("listed");
    let ours = |j: &Value| j["metadata"]["ownerReferences"][0]["name"] == cron;
    jobs.items.iter().filter(|j| ours(j)).map(|j| (**j).clone()).collect()
}

fn cron_job(name: &str, policy: &str) -> Value {
    let template = job("", json!({}))["spec"].clone();
    json!({
        "metadata": {"name": name},
        "spec": {"schedule": "0 * * * *", "concurrencyPolicy": policy, "jobTemplate": {"spec": template}},
    })
}

#[chronoplane::test(sparse)]
async fn a_schedule_starts_jobs_by_the_wall_clock(cluster: Cluster) {
    for (name, policy) in [("all", "Allow"), ("one", "Forbid"), ("new", "Replace")] {
        create(&cluster, &CRON_JOBS, cron_job(name, policy)).await;
    }
    let host = cluster.sim().host("cp1");
    let to_the_hour = |host: &world::Host| {
        let now = host.clock().wall().as_second();
        seconds(u64::try_from(3600 - now.rem_euclid(3600)).expect("positive"))
    };
    cluster.sim().elapse(to_the_hour(&host) - seconds(2)).await;
    assert!(jobs_of(&cluster, "all").await.is_empty(), "two seconds before the hour");
    cluster.sim().elapse(seconds(5)).await;
    let first = jobs_of(&cluster, "all").await;
    let minute = host.clock().wall().as_second() / 60;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["metadata"]["name"], format!("all-{minute}"), "named after its time");
    cluster.sim().elapse(seconds(3600)).await;
    let count = async |name: &str| jobs_of(&cluster, name).await.len();
    assert_eq!((count("all").await, count("one").await, count("new").await), (2, 1, 1));
    let new = jobs_of(&cluster, "new").await;
    assert_ne!(new[0]["metadata"]["name"], format!("new-{minute}"), "the old one was replaced");

    // The clock jumps over two full hours: at the next look only the latest of them is made up for.
    cluster.sim().step("cp1", jiff::SignedDuration::from_hours(2));
    cluster.sim().elapse(to_the_hour(&host) + seconds(3)).await;
    let names: Vec<Value> =
        jobs_of(&cluster, "all").await.iter().map(|j| j["metadata"]["name"].clone()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[2], format!("all-{}", minute + 4 * 60), "{names:?}");
}

const STATEFUL_SETS: Resource = Resource::new("apps", "v1", "statefulsets");

fn names(objects: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = objects.iter().filter_map(|o| o["metadata"]["name"].as_str()).collect();
    names.sort_unstable();
    names
}

#[chronoplane::test(nodes = 1)]
async fn a_stateful_set_goes_up_and_down_in_order(cluster: Cluster) {
    let set = json!({
        "metadata": {"name": "db"},
        "spec": {
            "replicas": 3,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": template(json!({"app": "db"})),
        },
    });
    create(&cluster, &STATEFUL_SETS, set).await;
    let ready = |n: i64| move |s: &Value| s["status"]["readyReplicas"] == n && s["status"]["replicas"] == n;
    until(&cluster, "three are ready", &STATEFUL_SETS, NS, "db", ready(3)).await;
    let settled = |count: usize| move |pods: &[Value]| pods.len() == count && all_running(pods);
    let pods = until_all(&cluster, "three run", &PODS, "default", "app=db", settled(3)).await;
    assert_eq!(names(&pods), ["db-0", "db-1", "db-2"]);
    let bound: Vec<String> = cluster
        .sim()
        .events()
        .iter()
        .filter(|e| e.kind == "bind")
        .flat_map(|e| e.fields.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>())
        .filter(|pod| pod.starts_with("default/db-"))
        .collect();
    assert_eq!(bound, ["default/db-0", "default/db-1", "default/db-2"], "one after the other");

    // A new template, but only from ordinal 1 on.
    let change = json!({"spec": {
        "template": {"metadata": {"annotations": {"turn": "2"}}},
        "updateStrategy": {"rollingUpdate": {"partition": 1}},
    }});
    cluster.admin().patch(&STATEFUL_SETS, NS, "db", Patch::Strategic(&change), None).await.expect("patched");
    let turned = |pods: &[Value]| {
        settled(3)(pods)
            && pods.iter().all(|p| {
                let first = p["metadata"]["name"] == "db-0";
                (p["metadata"]["annotations"]["turn"] == "2") != first
            })
    };
    until_all(&cluster, "all but the first are updated", &PODS, "default", "app=db", turned).await;

    // Below the partition a pod comes back as it was, under its own name.
    let old = cluster.admin().get(&PODS, NS, "db-0").await.expect("there");
    cluster.admin().delete(&PODS, NS, "db-0", &DeleteParams::default()).await.expect("deleted");
    let back = until(&cluster, "db-0 is back", &PODS, NS, "db-0", |p| {
        p["metadata"]["uid"] != old["metadata"]["uid"] && p["status"]["phase"] == "Running"
    })
    .await;
    assert_eq!(back["metadata"]["annotations"].get("turn"), None, "{back}");

    let less = json!({"spec": {"replicas": 1}});
    cluster.admin().patch(&STATEFUL_SETS, NS, "db", Patch::Merge(&less), None).await.expect("patched");
    let left = until_all(&cluster, "one is left", &PODS, "default", "app=db", settled(1)).await;
    assert_eq!(names(&left), ["db-0"]);
}

#[chronoplane::test(nodes = 1)]
async fn pods_of_a_node_that_is_gone_are_collected(cluster: Cluster) {
    let mut pod = template(json!({"app": "lost"}));
    pod["metadata"]["name"] = "lost".into();
    pod["spec"]["nodeName"] = "nowhere".into();
    create(&cluster, &PODS, pod).await;
    cluster.sim().elapse(seconds(39)).await;
    cluster.admin().get(&PODS, NS, "lost").await.expect("its node has forty seconds to come back");
    cluster.sim().elapse(seconds(22)).await;
    assert!(cluster.admin().get_opt(&PODS, NS, "lost").await.expect("an answer").is_none(), "collected");
}

#[chronoplane::test]
async fn a_secret_gets_the_token_that_it_asks_for_and_goes_with_its_account(cluster: Cluster) {
    let secrets = Resource::core("secrets");
    create(&cluster, &ACCOUNTS, json!({"metadata": {"name": "robot"}})).await;
    let secret = |name: &str, account: &str| {
        json!({
            "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": account}},
            "type": "kubernetes.io/service-account-token",
        })
    };
    create(&cluster, &secrets, secret("robot-token", "robot")).await;
    let filled = |s: &Value| s["data"].get("token").is_some();
    let there = until(&cluster, "the secret is filled", &secrets, NS, "robot-token", filled).await;
    assert!(there["data"].get("ca.crt").is_some() && there["data"].get("namespace").is_some(), "{there}");
    let token = api::object::unbase64(there["data"]["token"].as_str().unwrap_or_default()).expect("base64");
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": String::from_utf8_lossy(&token)},
    });
    let reviews = Resource::new("authentication.k8s.io", "v1", "tokenreviews");
    let answer = cluster.admin().create(&reviews, None, &review).await.expect("reviewed");
    assert_eq!(answer["status"]["user"]["username"], "system:serviceaccount:default:robot", "{answer}");
    // Nobody's secret does not stay, and neither does one whose account goes.
    create(&cluster, &secrets, secret("stray", "nobody")).await;
    cluster.admin().delete(&ACCOUNTS, NS, "robot", &DeleteParams::default()).await.expect("deleted");
    wait_for(&cluster.sim().host("workstation"), "both secrets are gone", async || {
        let gone =
            async |name: &str| cluster.admin().get_opt(&secrets, NS, name).await.ok().flatten().is_none();
        (gone("robot-token").await && gone("stray").await).then_some(())
    })
    .await
    .expect("gone");
}

#[chronoplane::test(nodes = 2)]
async fn pods_that_avoid_each_other_get_a_node_each(cluster: Cluster) {
    let mut shy = deployment("shy", 3);
    shy["spec"]["template"]["spec"]["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "shy"}}}
    ]}});
    create(&cluster, &DEPLOYMENTS, shy).await;
    let why = |p: &Value| {
        let all = p["status"]["conditions"].as_array();
        let found = all.into_iter().flatten().find(|c| c["type"] == "PodScheduled" && c["status"] == "False");
        found.and_then(|c| c["message"].as_str()).unwrap_or_default().to_owned()
    };
    let one_waits = |pods: &[Value]| {
        pods.len() == 3
            && pods.iter().filter(|p| !why(p).is_empty()).count() == 1
            && pods.iter().filter(|p| p["status"]["phase"] == "Running").count() == 2
    };
    let pods = until_all(&cluster, "two run, one waits", &PODS, "default", "app=shy", one_waits).await;
    let mut nodes: Vec<&str> = pods.iter().map(node_of).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["", "node1", "node2"]);
    let words = pods.iter().map(why).find(|w| !w.is_empty()).unwrap_or_default();
    let expected = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match pod anti-affinity rules.";
    assert!(words.starts_with(expected), "{words}");
    // Room for it, once one of the others is gone for good.
    let running = pods.iter().find(|p| node_of(p) == "node1").expect("on node1");
    let name = running["metadata"]["name"].as_str().unwrap_or_default();
    cluster.admin().delete(&PODS, NS, name, &DeleteParams::default()).await.expect("deleted");
    let moved = |pods: &[Value]| {
        pods.iter().any(|p| {
            node_of(p) == "node1" && p["metadata"]["name"] != name && p["status"]["phase"] == "Running"
        })
    };
    until_all(&cluster, "another one has its place", &PODS, "default", "app=shy", moved).await;
}
