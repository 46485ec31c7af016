//! Containers are their host's: what a kubelet finds when it comes back, and what a reboot leaves.

use std::time::Duration;

use api::object::ObjectExt as _;
use chronoplane::{Cluster, ClusterOptions, cluster::wait_for};
use client::{DeleteParams, ListParams, Resource, Rest};
use serde_json::{Value, json};
use world::{Host, Wall};

use crate::common::{MINUTE, cluster, node, run, until_ready_is, version};

const PODS: Resource = Resource::core("pods");
const COUNT: &str = "i=0; while true; do i=$((i+1)); echo $i; sleep 1; done";

fn one_worker() -> ClusterOptions {
    ClusterOptions { nodes: 1, ..ClusterOptions::default() }
}

/// A pod that no taint evicts, with `spec` on top.
fn pod(name: &str, script: &str, spec: &Value) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {
        "containers": [{"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script]}],
        "terminationGracePeriodSeconds": 10,
        "tolerations": [{"operator": "Exists"}],
        "nodeName": "node1",
    }});
    for (key, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    pod
}

async fn get(rest: &Rest, namespace: &str, name: &str) -> Option<Value> {
    rest.get_opt(&PODS, Some(namespace), name).await.expect("answered")
}

async fn when(cluster: &Cluster, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let workstation = cluster.sim().host("workstation");
    wait_for(&workstation, what, async || get(cluster.admin(), "default", name).await.filter(&holds))
        .await
        .expect("in time")
}

fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

async fn running(cluster: &Cluster, pod: &Value) -> Value {
    cluster.admin().create(&PODS, Some("default"), pod).await.expect("accepted");
    when(cluster, pod.name(), "it runs", |p| container(p)["state"]["running"].is_object()).await
}

async fn log(cluster: &Cluster, name: &str, query: &str) -> String {
    let path = format!("/api/v1/namespaces/default/pods/{name}/log?{query}");
    let (status, body) = cluster.admin().raw(http::Method::GET, &path, None).await.expect("answered");
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(status.is_success(), "{text}");
    text
}

/// Reasons of the events about an object, each as often as it happened.
async fn reasons(cluster: &Cluster, name: &str) -> Vec<String> {
    let all = cluster.admin().list(&Resource::core("events"), None, &ListParams::default()).await;
    let items = all.expect("listed").items;
    let about = items.iter().filter(|e| e["involvedObject"]["name"] == name);
    about
        .flat_map(|e| {
            let count = e["count"].as_u64().unwrap_or(1);
            (0..count).map(|_| e.str_at("/reason").to_owned())
        })
        .collect()
}

fn count(reasons: &[String], reason: &str) -> usize {
    reasons.iter().filter(|r| *r == reason).count()
}

/// The slices of pods on a host.
fn slices(host: &Host) -> Vec<String> {
    let names = host.services().names();
    names.into_iter().filter(|name| name.starts_with("kubepods")).collect()
}

async fn away(cluster: &Cluster, name: &str, time: Duration) {
    let host = cluster.sim().host(name);
    host.services().stop("kubelet").await;
    cluster.sim().elapse(time).await;
    host.services().start(&host, "kubelet");
    until_ready_is(cluster, name, "True").await;
}

#[test]
fn a_container_goes_on_while_its_kubelet_is_away() {
    run(async |sim| {
        let cluster = cluster(&sim, one_worker()).await;
        let before = running(&cluster, &pod("p", COUNT, &json!({}))).await;
        away(&cluster, "node1", 10 * MINUTE).await;
        sim.elapse(MINUTE).await;
        let after = when(&cluster, "p", "it is there", |_| true).await;
        let lines: Vec<u64> =
            log(&cluster, "p", "").await.lines().map(|l| l.parse().expect("a number")).collect();
        assert!(*lines.last().expect("a line") >= 660, "{lines:?}");
        assert!(lines.windows(2).all(|w| w[0] + 1 == w[1]), "one loop, from the first line on");
        for same in ["containerID", "restartCount", "state", "lastState"] {
            assert_eq!(container(&after)[same], container(&before)[same], "{same}");
        }
        for same in ["startTime", "podIP"] {
            assert_eq!(after["status"][same], before["status"][same], "{same}");
        }
        let told = reasons(&cluster, "p").await;
        for once in ["Created", "Started", "Pulled"] {
            assert_eq!(count(&told, once), 1, "{told:?}");
        }
        assert!(!told.iter().any(|r| r == "Killing" || r == "SandboxChanged"), "{told:?}");
    });
}

/// The control run: with its host a container ends.
#[test]
fn a_reboot_ends_containers_and_the_kubelet_starts_them_again() {
    run(async |sim| {
        let cluster = cluster(&sim, one_worker()).await;
        let init = json!({"initContainers": [
            {"name": "i", "image": "busybox:1.36", "command": ["sh", "-c", "echo once >> /data/n"],
             "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        ], "volumes": [{"name": "data", "emptyDir": {}}]});
        let before = running(&cluster, &pod("p", COUNT, &init)).await;
        running(&cluster, &pod("never", COUNT, &json!({"restartPolicy": "Never"}))).await;
        let boot = |node: &Value| node.str_at("/status/nodeInfo/bootID").to_owned();
        let first = boot(&node(&cluster, "node1").await.expect("there"));
        sim.elapse(MINUTE).await;
        sim.reboot("node1", 10 * MINUTE).await;
        sim.elapse(MINUTE / 2).await;
        let after = when(&cluster, "p", "it runs again", |p| container(p)["restartCount"] == 1).await;
        let ended = &container(&after)["lastState"]["terminated"];
        assert_eq!((&ended["exitCode"], &ended["reason"]), (&json!(255), &json!("Unknown")), "{after}");
        assert_eq!(ended["containerID"], container(&before)["containerID"]);
        let number = |text: &str| text.lines().last().and_then(|l| l.parse::<u64>().ok()).expect("a number");
        assert!(number(&log(&cluster, "p", "").await) <= 60, "it counts from one");
        let cut = number(&log(&cluster, "p", "previous=true").await);
        assert!((59..=61).contains(&cut), "{cut}: nothing was counted while the host was off");
        assert_eq!(after["status"]["initContainerStatuses"][0]["restartCount"], 1, "{after}");
        assert_ne!(after["status"]["podIP"], before["status"]["podIP"], "a new sandbox");
        assert_eq!(after["status"]["startTime"], before["status"]["startTime"]);
        let never = when(&cluster, "never", "it has ended", |p| p["status"]["phase"] == "Failed").await;
        assert_eq!(container(&never)["state"]["terminated"]["exitCode"], 255);
        assert_ne!(boot(&until_ready_is(&cluster, "node1", "True").await), first);
        assert_eq!(count(&reasons(&cluster, "node1").await, "Rebooted"), 1);
        assert_eq!(count(&reasons(&cluster, "p").await, "SandboxChanged"), 1);
    });
}

#[test]
fn what_happened_meanwhile_is_known_when_the_kubelet_is_back() {
    run(async |sim| {
        let cluster = cluster(&sim, one_worker()).await;
        let once = running(&cluster, &pod("once", "sleep 100", &json!({"restartPolicy": "Never"}))).await;
        running(&cluster, &pod("again", "sleep 100; exit 3", &json!({"restartPolicy": "OnFailure"}))).await;
        let done = pod("done", "echo hello", &json!({"restartPolicy": "Never"}));
        cluster.admin().create(&PODS, Some("default"), &done).await.expect("accepted");
        when(&cluster, "done", "ended", |p| p["status"]["phase"] == "Succeeded").await;
        let mut doomed = pod("doomed", COUNT, &json!({"restartPolicy": "Never"}));
        doomed["metadata"]["annotations"] = json!({"chronoplane.dev/oom-after": "2m"});
        running(&cluster, &doomed).await;
        away(&cluster, "node1", 10 * MINUTE).await;
        sim.elapse(MINUTE / 6).await;
        let once_after = when(&cluster, "once", "ended", |p| p["status"]["phase"] == "Succeeded").await;
        let at = |text: &Value| text.as_str().and_then(|t| t.parse::<Wall>().ok()).expect("a time");
        let began = at(&container(&once)["state"]["running"]["startedAt"]);
        let ended = at(&container(&once_after)["state"]["terminated"]["finishedAt"]);
        assert_eq!(ended.duration_since(began).as_secs(), 100, "when it ended, not when it was seen");
        let again = get(cluster.admin(), "default", "again").await.expect("there");
        assert_eq!(container(&again)["restartCount"], 1, "{again}");
        assert_eq!(container(&again)["lastState"]["terminated"]["exitCode"], 3);
        assert_eq!(log(&cluster, "done", "").await, "hello\n", "a log outlives both");
        let doomed = get(cluster.admin(), "default", "doomed").await.expect("there");
        assert_eq!(container(&doomed)["state"]["terminated"]["reason"], "OOMKilled", "{doomed}");
    });
}

#[test]
fn pods_that_went_while_the_kubelet_was_away_end_when_it_is_back() {
    run(async |sim| {
        let cluster = cluster(&sim, one_worker()).await;
        let host = sim.host("node1");
        let all = slices(&host).len();
        let stubborn = "trap 'echo no' TERM; while true; do sleep 1; done";
        for name in ["deleted", "forced", "evicted"] {
            let more = if name == "evicted" { json!({"tolerations": []}) } else { json!({}) };
            running(&cluster, &pod(name, stubborn, &more)).await;
        }
        assert_eq!(slices(&host).len(), all + 3);
        host.services().stop("kubelet").await;
        let rest = cluster.admin();
        rest.delete(&PODS, Some("default"), "deleted", &DeleteParams::default()).await.expect("deleted");
        let force = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        rest.delete(&PODS, Some("default"), "forced", &force).await.expect("deleted");
        sim.elapse(10 * MINUTE).await;
        assert!(get(rest, "default", "forced").await.is_none());
        for name in ["deleted", "evicted"] {
            let pod = get(rest, "default", name).await.expect("nobody has ended it");
            assert!(pod.is_terminating(), "{name}");
        }
        assert_eq!(slices(&host).len(), all + 3, "all three go on");
        host.services().start(&host, "kubelet");
        sim.elapse(MINUTE / 12).await;
        assert_eq!(slices(&host).len(), all + 3, "each is given its grace");
        sim.elapse(MINUTE / 3).await;
        assert_eq!(slices(&host).len(), all);
        for name in ["deleted", "evicted"] {
            assert!(get(rest, "default", name).await.is_none(), "{name}");
        }
    });
}

#[test]
fn a_container_gets_the_image_that_it_was_given_meanwhile() {
    run(async |sim| {
        let cluster = cluster(&sim, one_worker()).await;
        for (name, while_away) in [("near", false), ("far", true)] {
            running(&cluster, &pod(name, COUNT, &json!({}))).await;
            let host = sim.host("node1");
            if while_away {
                host.services().stop("kubelet").await;
            }
            let newer = |pod: &mut Value| pod["spec"]["containers"][0]["image"] = "busybox:1.37".into();
            let changed = cluster.admin().modify(&PODS, Some("default"), name, None, newer).await;
            changed.expect("accepted");
            sim.elapse(MINUTE / 2).await;
            host.services().start(&host, "kubelet");
            let after = when(&cluster, name, "it runs again", |p| {
                container(p)["restartCount"] == 1 && container(p)["state"]["running"].is_object()
            })
            .await;
            assert_eq!(container(&after)["image"], "busybox:1.37");
            assert_eq!(count(&reasons(&cluster, name).await, "Killing"), 1, "{name}");
        }
    });
}

#[test]
fn a_static_apiserver_serves_on_without_its_kubelet() {
    run(async |sim| {
        let cluster = cluster(&sim, ClusterOptions::default()).await;
        sim.elapse(MINUTE).await;
        let statics = ["etcd-cp1", "kube-apiserver-cp1", "kube-controller-manager-cp1", "kube-scheduler-cp1"];
        let mut before = Vec::new();
        for name in statics {
            before.push(get(cluster.admin(), "kube-system", name).await.expect("a mirror"));
        }
        let host = sim.host("cp1");
        host.services().stop("kubelet").await;
        for _ in 0..10 {
            sim.elapse(MINUTE).await;
            cluster.admin().list(&PODS, None, &ListParams::default()).await.expect("it serves");
        }
        host.services().start(&host, "kubelet");
        until_ready_is(&cluster, "cp1", "True").await;
        sim.elapse(MINUTE).await;
        for (name, before) in statics.into_iter().zip(&before) {
            let after = get(cluster.admin(), "kube-system", name).await.expect("a mirror");
            assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "{name}: the same mirror");
            assert_eq!(after["status"]["startTime"], before["status"]["startTime"], "{name}");
            for same in ["containerID", "restartCount", "state"] {
                assert_eq!(container(&after)[same], container(before)[same], "{name}: {same}");
            }
        }
        // One whose manifest goes while nobody looks ends when somebody does.
        host.services().stop("kubelet").await;
        let (there, away) = ("/etc/kubernetes/manifests/kube-scheduler.yaml", "/root/kube-scheduler.yaml");
        host.disk().rename(there, away).expect("moved");
        let all = slices(&host).len();
        host.services().start(&host, "kubelet");
        sim.elapse(MINUTE).await;
        assert_eq!(slices(&host).len(), all - 1);
        assert!(get(cluster.admin(), "kube-system", "kube-scheduler-cp1").await.is_none());
    });
}

/// KEP-4781: before 1.35 whoever restarted kubelets took their pods out of service for a moment.
#[test]
fn readiness_survives_a_restart_of_the_kubelet_since_1_35() {
    let check = |release: &str, survives: bool| {
        run(async |sim| {
            let cluster = cluster(&sim, ClusterOptions { nodes: 1, ..version(release) }).await;
            let mut pod = pod("p", COUNT, &json!({}));
            pod["spec"]["containers"][0]["readinessProbe"] =
                json!({"exec": {"command": ["true"]}, "periodSeconds": 10});
            running(&cluster, &pod).await;
            let since = |pod: &Value| {
                let all = pod.list_at("/status/conditions");
                let ready = all.iter().find(|c| c.str_at("/type") == "Ready").expect("a condition");
                (ready.str_at("/status").to_owned(), ready.str_at("/lastTransitionTime").to_owned())
            };
            let before = since(&when(&cluster, "p", "ready", |p| since(p).0 == "True").await);
            sim.elapse(MINUTE / 2).await;
            away(&cluster, "node1", MINUTE / 6).await;
            sim.elapse(MINUTE).await;
            let after = since(&get(cluster.admin(), "default", "p").await.expect("there"));
            assert_eq!((after.0 == "True", after == before), (true, survives), "{release}: {after:?}");
        });
    };
    check("1.34", false);
    check("1.35", true);
}
