//! Pods live by their own spec: what they print, when they end, when they start again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::time::Duration;

use chronoplane::{Cluster, cluster::wait_for};
use client::{ListParams, Resource};
use jiff::SignedDuration;
use serde_json::{Value, json};

const PODS: Resource = Resource::core("pods");

fn pod(name: &str, script: &str, more: Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script]}]},
    });
    merge(&mut pod, more);
    pod
}

/// Maps are merged, lists and all else are replaced; a container's fields come as `container`.
fn merge(into: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    for (key, value) in more {
        if key == "container" {
            merge(&mut into["spec"]["containers"][0], value);
        } else if into[&key].is_object() && value.is_object() {
            let mut inner = into[&key].take();
            for (k, v) in value.as_object().cloned().unwrap_or_default() {
                inner[&k] = v;
            }
            into[&key] = inner;
        } else {
            into[&key] = value;
        }
    }
}

async fn create(cluster: &Cluster, pod: &Value) {
    cluster.admin().create(&PODS, Some("default"), pod).await.expect("accepted");
}

async fn get(cluster: &Cluster, name: &str) -> Value {
    cluster.admin().get(&PODS, Some("default"), name).await.expect("there")
}

/// The pod as soon as `holds` does.
async fn when(cluster: &Cluster, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let workstation = cluster.sim().host("workstation");
    wait_for(&workstation, what, async || Some(get(cluster, name).await).filter(&holds))
        .await
        .expect("in time")
}

async fn ended(cluster: &Cluster, name: &str) -> Value {
    when(cluster, name, "the pod has ended", |p| {
        matches!(p["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    })
    .await
}

fn terminated(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]["terminated"]
}

/// Reasons and messages of a pod's events, as they came.
async fn events(cluster: &Cluster, name: &str) -> Vec<(String, String)> {
    let all = cluster.admin().list(&Resource::core("events"), Some("default"), &ListParams::default()).await;
    let text = |e: &Value, field: &str| e[field].as_str().unwrap_or_default().to_owned();
    let items = all.expect("listed").items;
    let about = items.iter().filter(|e| e["involvedObject"]["name"] == name);
    about.map(|e| (text(e, "reason"), text(e, "message"))).collect()
}

#[chronoplane::test(nodes = 1)]
async fn a_pod_ends_as_its_script_does(cluster: Cluster) {
    let never = || json!({"spec": {"restartPolicy": "Never"}});
    let mut good = never();
    good["container"] = json!({"image": "busybox:latest"});
    create(&cluster, &pod("good", "sleep 30; echo done", good)).await;
    let mut bad = never();
    bad["container"] = json!({"terminationMessagePolicy": "FallbackToLogsOnError"});
    create(&cluster, &pod("bad", "echo it broke; exit 3", bad)).await;
    create(&cluster, &pod("stranger", "nginx-debug", never())).await;
    let running = when(&cluster, "good", "it runs", |p| p["status"]["phase"] == "Running").await;
    assert_eq!(running["status"]["containerStatuses"][0]["ready"], true);
    let good = ended(&cluster, "good").await;
    assert_eq!(good["status"]["phase"], "Succeeded");
    assert_eq!(
        (&terminated(&good)["exitCode"], &terminated(&good)["reason"]),
        (&json!(0), &json!("Completed"))
    );
    let time = |field: &str| -> world::Wall {
        terminated(&good)[field].as_str().unwrap_or_default().parse().expect("a time")
    };
    assert_eq!(time("finishedAt").duration_since(time("startedAt")).as_secs(), 30);
    let bad = ended(&cluster, "bad").await;
    assert_eq!((&bad["status"]["phase"], &terminated(&bad)["exitCode"]), (&json!("Failed"), &json!(3)));
    assert_eq!(terminated(&bad)["message"], "it broke\n");
    let stranger = ended(&cluster, "stranger").await;
    assert_eq!(terminated(&stranger)["exitCode"], 127, "{stranger}");
    let reasons: Vec<String> = events(&cluster, "good").await.into_iter().map(|(reason, _)| reason).collect();
    for reason in ["Scheduled", "Pulling", "Pulled", "Created", "Started"] {
        assert!(reasons.iter().any(|r| r == reason), "{reason} in {reasons:?}");
    }
}

#[chronoplane::test(nodes = 1)]
async fn a_crash_loop_waits_ten_seconds_and_twice_as_long_each_time(cluster: Cluster) {
    create(&cluster, &pod("crash", "date +%s; sleep 1; exit 1", json!({}))).await;
    let workstation = cluster.sim().host("workstation");
    let (mut starts, mut reasons) = (Vec::<i64>::new(), Vec::new());
    let deadline = workstation.clock().monotonic() + Duration::from_secs(1300);
    while workstation.clock().monotonic() < deadline {
        let status = get(&cluster, "crash").await["status"]["containerStatuses"][0].clone();
        if let Some(at) = status["state"]["running"]["startedAt"].as_str() {
            let at = at.parse::<world::Wall>().expect("a time").as_second();
            if starts.last() != Some(&at) {
                starts.push(at);
            }
        }
        if let Some(message) = status["state"]["waiting"]["message"].as_str() {
            let words = message.split(" pod=").next().unwrap_or_default().to_owned();
            if reasons.last() != Some(&words) {
                reasons.push(words);
            }
        }
        workstation.clock().sleep(Duration::from_millis(300)).await;
    }
    // Each run takes one second; the first restart comes at once.
    let gaps: Vec<i64> = starts.windows(2).map(|w| w[1] - w[0] - 1).collect();
    let expected = [0, 10, 20, 40, 80, 160, 300, 300];
    assert!(gaps.len() >= expected.len(), "{gaps:?}");
    for (gap, expected) in gaps.iter().zip(expected) {
        assert!((gap - expected).abs() <= 1, "{gaps:?} instead of {expected:?}");
    }
    assert_eq!(reasons[0], "back-off 10s restarting failed container=c");
    assert_eq!(reasons[5], "back-off 5m0s restarting failed container=c");
    let crash = get(&cluster, "crash").await;
    assert_eq!(crash["status"]["phase"], "Running", "as upstream: it was started and will be again");
    assert_eq!(crash["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 1);
    let told = events(&cluster, "crash").await;
    assert!(
        told.iter().any(|(r, m)| r == "BackOff"
            && m.starts_with("Back-off restarting failed container c in pod crash_default(")),
        "{told:?}"
    );
}

#[chronoplane::test(nodes = 1)]
async fn a_pod_prints_the_hour_by_a_clock_that_is_stepped(cluster: Cluster) {
    let script = "while true; do date '+%F %T' >> /data/hours; sleep 1h; done";
    let volume = json!({
        "spec": {"volumes": [{"name": "data", "emptyDir": {}}]},
        "container": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
    });
    create(&cluster, &pod("clock", script, volume)).await;
    let running = when(&cluster, "clock", "it runs", |p| p["status"]["phase"] == "Running").await;
    // Hours are cheap when only the pod keeps its pace.
    cluster.sim().set_periods(world::Periods::sparse());
    let node = cluster.sim().host("node1");
    let uid = running["metadata"]["uid"].as_str().expect("a UID");
    let file = format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/data/hours");
    let hours = || -> Vec<world::Wall> {
        let text = node.disk().read_to_string(&file).unwrap_or_default();
        text.lines().map(|l| format!("{}Z", l.replace(' ', "T")).parse().expect("a time")).collect()
    };
    cluster.sim().elapse(Duration::from_secs(2 * 3600 + 600)).await;
    cluster.sim().step("node1", SignedDuration::from_hours(24));
    cluster.sim().elapse(Duration::from_secs(2 * 3600)).await;
    cluster.sim().step("node1", SignedDuration::from_hours(-24));
    cluster.sim().elapse(Duration::from_secs(3600)).await;
    let gaps: Vec<i64> = hours().windows(2).map(|w| w[1].duration_since(w[0]).as_secs()).collect();
    // A sleep is an hour whatever the wall clock does; the labels jump with it.
    assert_eq!(gaps, [3600, 3600, 3600 + 86_400, 3600, 3600 - 86_400]);
}

#[chronoplane::test(nodes = 1)]
async fn a_token_is_renewed_before_its_end(cluster: Cluster) {
    let show = "tail -f /dev/null";
    create(&cluster, &pod("tokened", show, json!({}))).await;
    let running = when(&cluster, "tokened", "it runs", |p| p["status"]["phase"] == "Running").await;
    let volumes = running["spec"]["volumes"].as_array().expect("volumes");
    let volume = volumes[0]["name"].as_str().expect("a name");
    let uid = running["metadata"]["uid"].as_str().expect("a UID");
    let dir = format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/{volume}");
    let node = cluster.sim().host("node1");
    let read = |name: &str| node.disk().read_to_string(format!("{dir}/{name}")).expect("there");
    assert_eq!(read("namespace"), "default");
    assert!(read("ca.crt").starts_with("-----BEGIN CERTIFICATE-----"));
    let first = read("token");
    // 3607 s: 80 % of that are 2886 s, less up to ten seconds of jitter.
    cluster.sim().elapse(Duration::from_secs(2860)).await;
    assert_eq!(read("token"), first, "before four fifths of its life");
    cluster.sim().elapse(Duration::from_secs(40)).await;
    let second = read("token");
    assert_ne!(second, first, "after four fifths");
    // A wall clock that is ahead makes the token old: the next look at it tells.
    cluster.sim().step("node1", SignedDuration::from_secs(3000));
    cluster.sim().elapse(Duration::from_secs(61)).await;
    assert_ne!(read("token"), second, "after the step");
}

#[chronoplane::test(nodes = 1)]
async fn deletion_gives_grace_and_then_no_more(cluster: Cluster) {
    let check = async |name: &str, script: &str, grace: u64, took: std::ops::RangeInclusive<u64>| {
        create(&cluster, &pod(name, script, json!({"spec": {"terminationGracePeriodSeconds": grace}}))).await;
        when(&cluster, name, "it runs", |p| p["status"]["phase"] == "Running").await;
        let workstation = cluster.sim().host("workstation");
        let began = workstation.clock().monotonic();
        let params = client::DeleteParams::default();
        cluster.admin().delete(&PODS, Some("default"), name, &params).await.expect("accepted");
        wait_for(&workstation, "the pod is gone", async || {
            let found = cluster.admin().get_opt(&PODS, Some("default"), name).await.ok()?;
            found.is_none().then_some(())
        })
        .await
        .expect("in time");
        let seconds = workstation.clock().monotonic().since(began).as_secs();
        assert!(took.contains(&seconds), "{name}: {seconds} s");
    };
    check("polite", "sleep 1d", 30, 0..=1).await;
    check("slow", "trap 'sleep 5; exit 0' TERM; sleep 1d", 30, 5..=6).await;
    check("deaf", "trap '' TERM; while true; do sleep 1; done", 12, 12..=13).await;
    let told = events(&cluster, "polite").await;
    assert!(told.contains(&("Killing".into(), "Stopping container c".into())), "{told:?}");
}

#[chronoplane::test(nodes = 1)]
async fn init_containers_come_first_and_sidecars_stay(cluster: Cluster) {
    let shared = json!([{"name": "w", "mountPath": "/w"}]);
    let container = |name: &str, script: &str| json!({"name": name, "image": "busybox:1.36", "command": ["sh", "-c", script], "volumeMounts": shared});
    let mut side = container("side", "echo side >> /w/order; tail -f /dev/null");
    side["restartPolicy"] = "Always".into();
    side["startupProbe"] = json!({"exec": {"command": ["cat", "/w/order"]}, "periodSeconds": 1});
    let object = json!({
        "metadata": {"name": "ordered"},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "w", "emptyDir": {}}],
            "initContainers": [container("one", "sleep 5; echo one >> /w/order"), side, container("two", "echo two >> /w/order")],
            "containers": [container("main", "sleep 10; [ \"$(cat /w/order | tail -n 1)\" = two ]")],
        },
    });
    create(&cluster, &object).await;
    let pending = when(&cluster, "ordered", "the first one runs", |p| {
        p["status"]["initContainerStatuses"][0]["state"]["running"].is_object()
    })
    .await;
    assert_eq!(pending["status"]["phase"], "Pending");
    assert_eq!(pending["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
    when(&cluster, "ordered", "it runs", |p| p["status"]["phase"] == "Running").await;
    let done = ended(&cluster, "ordered").await;
    assert_eq!(done["status"]["phase"], "Succeeded", "{done}");
    let side = &done["status"]["initContainerStatuses"][1];
    assert_eq!(side["restartCount"], 0);
    assert_eq!(side["state"]["terminated"]["exitCode"], 143, "ended after the others");
}

#[chronoplane::test(nodes = 1)]
async fn probes_run_commands_beside_the_container(cluster: Cluster) {
    let script = "touch /tmp/ready; sleep 20; rm /tmp/ready; sleep 1d";
    let probe = |threshold: u64| json!({"exec": {"command": ["cat", "/tmp/ready"]}, "periodSeconds": 5, "failureThreshold": threshold});
    let probed = json!({"container": {"readinessProbe": probe(1), "livenessProbe": probe(3)}});
    create(&cluster, &pod("probed", script, probed)).await;
    let ready = |p: &Value| p["status"]["containerStatuses"][0]["ready"] == true;
    when(&cluster, "probed", "it is ready", ready).await;
    when(&cluster, "probed", "it is not ready any more", |p| !ready(p)).await;
    let again = when(&cluster, "probed", "it is restarted and ready", |p| {
        p["status"]["containerStatuses"][0]["restartCount"] == 1 && ready(p)
    })
    .await;
    assert_eq!(again["status"]["phase"], "Running");
    let told = events(&cluster, "probed").await;
    for event in [
        ("Unhealthy", "Liveness probe failed: cat: can't open '/tmp/ready': No such file or directory"),
        ("Killing", "Container c failed liveness probe, will be restarted"),
    ] {
        assert!(told.contains(&(event.0.into(), event.1.into())), "{event:?} in {told:?}");
    }
}

#[chronoplane::test(nodes = 1)]
async fn environment_and_volumes_say_what_they_refer_to(cluster: Cluster) {
    let rest = cluster.admin();
    let script = "[ \"$A-$B-$POD-$CPU-$X_k\" = \"v-v2-told-2-v\" ] && [ \"$(cat /cfg/k)\" = v ] && [ -n \"$KUBERNETES_SERVICE_HOST\" ] && [ \"$(cat /info/labels)\" = 'app=\"a\"' ]";
    let more = json!({
        "metadata": {"labels": {"app": "a"}, "name": "told"},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [
                {"name": "cfg", "configMap": {"name": "m"}},
                {"name": "info", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            ],
        },
        "container": {
            "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "B", "value": "$(A)2"},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            ],
            "envFrom": [{"prefix": "X_", "configMapRef": {"name": "m"}}],
            "resources": {"limits": {"cpu": "1500m"}},
            "volumeMounts": [{"name": "cfg", "mountPath": "/cfg"}, {"name": "info", "mountPath": "/info"}],
        },
    });
    let map = json!({"metadata": {"name": "m"}, "data": {"k": "v"}});
    rest.create(&Resource::core("configmaps"), Some("default"), &map).await.expect("created");
    create(&cluster, &pod("told", script, more)).await;
    let waiting = when(&cluster, "told", "the secret is missed", |p| {
        p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    })
    .await;
    let message = &waiting["status"]["containerStatuses"][0]["state"]["waiting"]["message"];
    assert_eq!(message, "secret \"s\" not found");
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}});
    rest.create(&Resource::core("secrets"), Some("default"), &secret).await.expect("created");
    let done = ended(&cluster, "told").await;
    assert_eq!(done["status"]["phase"], "Succeeded", "{done}");
}

#[chronoplane::test(nodes = 1)]
async fn faults_are_annotations(cluster: Cluster) {
    let annotated = |fault: &str, value: &str| json!({"metadata": {"annotations": {format!("chronoplane.dev/{fault}"): value}}});
    create(&cluster, &pod("oom", "sleep 1d", annotated("oom-after", "45s"))).await;
    create(&cluster, &pod("unready", "sleep 1d", annotated("never-ready", "true"))).await;
    create(&cluster, &pod("unpulled", "sleep 1d", annotated("image-pull-error", "not found"))).await;
    create(&cluster, &pod("fine", "sleep 1d", json!({}))).await;
    let waits_for = |reason: &'static str| {
        move |p: &Value| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
    };
    when(&cluster, "unpulled", "the pull fails", waits_for("ErrImagePull")).await;
    when(&cluster, "unpulled", "the pull is put off", waits_for("ImagePullBackOff")).await;
    let killed =
        when(&cluster, "oom", "it is killed", |p| p["status"]["containerStatuses"][0]["restartCount"] == 1)
            .await;
    let last = &killed["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(137), &json!("OOMKilled")));
    let ready = |p: &Value| p["status"]["containerStatuses"][0]["ready"].clone();
    let unready = get(&cluster, "unready").await;
    assert_eq!((&unready["status"]["phase"], ready(&unready)), (&json!("Running"), json!(false)));
    assert_eq!(ready(&get(&cluster, "fine").await), json!(true), "the control run");
    // The fault is over when the annotation is gone.
    let gone = json!({"metadata": {"annotations": {"chronoplane.dev/image-pull-error": null}}});
    let patch = client::Patch::Merge(&gone);
    cluster.admin().patch(&PODS, Some("default"), "unpulled", patch, None).await.expect("patched");
    when(&cluster, "unpulled", "it runs at last", |p| p["status"]["phase"] == "Running").await;
}

#[chronoplane::test(nodes = 1)]
async fn logs_are_read_at_the_kubelet_by_whom_the_apiserver_allows(cluster: Cluster) {
    let script = "echo one; echo two >&2; sleep 60; echo three; exit 1";
    create(&cluster, &pod("talker", script, json!({}))).await;
    when(&cluster, "talker", "it runs", |p| p["status"]["phase"] == "Running").await;
    let (cp, node) = (cluster.sim().host("cp1"), cluster.sim().host("node1"));
    let tls = || pki::ClientTls::new(&cp, cluster.options().profile.go()).insecure();
    let pair = "/etc/kubernetes/pki/apiserver-kubelet-client";
    let identity = pki::FileIdentity::new(cp.disk(), format!("{pair}.crt"), format!("{pair}.key"));
    identity.refresh().expect("kubeadm made it");
    let url = format!("https://{}:10250", node.net().address());
    let apiserver = wire::HttpClient::new(&cp, &url, Some(tls().identity(std::sync::Arc::new(identity))))
        .expect("a client");
    let stranger = wire::HttpClient::new(&cp, &url, Some(tls())).expect("a client");
    let get = async |client: &wire::HttpClient, query: &str, token: &str| {
        let path = format!("/containerLogs/default/talker/c?{query}");
        let mut request = http::Request::get(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer =
            client.send(request.body(wire::body::empty()).expect("a request")).await.expect("answered");
        let status = answer.status().as_u16();
        let body = wire::body::collect(answer.into_body(), 1 << 20).await.expect("whole");
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(get(&apiserver, "", "").await, (200, "one\ntwo\n".into()));
    assert_eq!(get(&apiserver, "tailLines=1", "").await, (200, "two\n".into()));
    assert_eq!(get(&apiserver, "previous=true", "").await.0, 400);
    cluster.sim().elapse(Duration::from_secs(30)).await;
    assert_eq!(get(&apiserver, "sinceSeconds=10", "").await, (200, String::new()));
    let began = cp.clock().monotonic();
    assert_eq!(get(&apiserver, "follow=true&tailLines=1", "").await, (200, "two\nthree\n".into()));
    assert!(cp.clock().monotonic().since(began) > Duration::from_secs(20), "it was followed to its end");
    when(&cluster, "talker", "it runs again", |p| p["status"]["containerStatuses"][0]["restartCount"] == 1)
        .await;
    assert_eq!(get(&apiserver, "previous=true&timestamps=true", "").await.1.lines().count(), 3);
    assert_eq!(get(&stranger, "", "").await, (401, "Unauthorized".into()));
    let account = Resource::core("serviceaccounts");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = cluster
        .admin()
        .create_sub(&account, Some("default"), "default", "token", &request)
        .await
        .expect("issued");
    let token = token["status"]["token"].as_str().expect("a token");
    let (status, words) = get(&stranger, "", token).await;
    let expected = "Forbidden (user=system:serviceaccount:default:default, verb=get, resource=nodes, subresource(s)=[proxy])";
    assert_eq!((status, words.as_str()), (403, expected));
}

#[chronoplane::test(nodes = 2, sparse)]
async fn in_a_sparse_world_pods_run_as_soon_as_ever(cluster: Cluster) {
    let began = cluster.sim().host("workstation").clock().monotonic();
    create(&cluster, &pod("soon", "sleep 5", json!({}))).await;
    when(&cluster, "soon", "it runs", |p| p["status"]["phase"] == "Running").await;
    let took = cluster.sim().host("workstation").clock().monotonic().since(began);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[chronoplane::test(nodes = 1)]
async fn logs_are_read_through_the_apiserver(cluster: Cluster) {
    create(&cluster, &pod("talker", "echo one; echo two; sleep 60; echo three", json!({}))).await;
    when(&cluster, "talker", "it runs", |p| p["status"]["phase"] == "Running").await;
    let read = async |query: &str| {
        let path = format!("/api/v1/namespaces/default/pods/talker/log?{query}");
        let (status, body) =
            cluster.admin().raw(http::Method::GET, &path, None).await.expect("the server answers");
        (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(read("").await, (200, "one\ntwo\n".into()));
    assert_eq!(read("container=c&tailLines=1").await, (200, "two\n".into()));
    let (status, words) = read("container=d").await;
    assert!(status == 400 && words.contains("container d is not valid for pod talker"), "{status} {words}");
    let (status, words) = read("previous=true").await;
    let expected = "previous terminated container \\\"c\\\" in pod \\\"talker\\\" not found";
    assert!(status == 400 && words.contains(expected), "{status} {words}");
    assert_eq!(read("follow=true").await, (200, "one\ntwo\nthree\n".into()), "to its end");
}

#[chronoplane::test(nodes = 1)]
async fn last_words_are_read_from_their_file(cluster: Cluster) {
    let never = |more: Value| {
        let mut whole = json!({"spec": {"restartPolicy": "Never"}});
        merge(&mut whole, more);
        whole
    };
    create(&cluster, &pod("told", "echo all is well > /dev/termination-log", never(json!({})))).await;
    let mut elsewhere = never(json!({}));
    elsewhere["container"] = json!({"terminationMessagePath": "/tmp/why"});
    create(&cluster, &pod("elsewhere", "echo no disk > /tmp/why; exit 2", elsewhere)).await;
    create(&cluster, &pod("silent", "echo nothing to say; exit 2", never(json!({})))).await;
    let message = async |name: &str| terminated(&ended(&cluster, name).await)["message"].clone();
    assert_eq!(message("told").await, "all is well\n");
    assert_eq!(message("elsewhere").await, "no disk\n");
    assert_eq!(message("silent").await, Value::Null, "the control run: the log is not asked");
}

#[chronoplane::test(nodes = 1)]
async fn a_crash_loop_is_an_annotation(cluster: Cluster) {
    let annotated =
        |value: &str| json!({"metadata": {"annotations": {"chronoplane.dev/crash-after": value}}});
    create(&cluster, &pod("crash", "sleep 1d", annotated("5s,7"))).await;
    create(&cluster, &pod("fine", "sleep 1d", json!({}))).await;
    let looping = when(&cluster, "crash", "it is put off", |p| {
        p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    })
    .await;
    let last = &looping["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(7), &json!("Error")));
    let fine = get(&cluster, "fine").await;
    assert_eq!(fine["status"]["containerStatuses"][0]["restartCount"], 0, "the control run");
}

#[chronoplane::test(nodes = 1)]
async fn a_hook_that_fails_ends_its_container(cluster: Cluster) {
    let hook = |hook: Value| json!({"container": {"lifecycle": {"postStart": hook}}});
    let http = json!({"httpGet": {"path": "/", "port": 8080}});
    create(&cluster, &pod("asks", "sleep 1d", hook(http))).await;
    let exec = |script: &str| json!({"exec": {"command": ["sh", "-c", script]}});
    create(&cluster, &pod("does", "sleep 1d", hook(exec("echo ready > /tmp/ready")))).await;
    // A script listens nowhere.
    when(&cluster, "asks", "it is restarted", |p| {
        p["status"]["containerStatuses"][0]["restartCount"].as_u64() > Some(0)
    })
    .await;
    let told = events(&cluster, "asks").await;
    let words = "dial tcp";
    assert!(told.iter().any(|(r, m)| r == "FailedPostStartHook" && m.contains(words)), "{told:?}");
    let does = when(&cluster, "does", "it runs", |p| p["status"]["phase"] == "Running").await;
    assert_eq!(does["status"]["containerStatuses"][0]["restartCount"], 0, "the control run");
}
