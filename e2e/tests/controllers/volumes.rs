//! Claims and volumes: bound at once, bound when somebody needs them, made to order, kept and reclaimed.

use chronoplane::{Cluster, cluster::wait_for};
use client::{DeleteParams, Resource};
use serde_json::{Value, json};

use crate::common::*;

const CLAIMS: Resource = Resource::core("persistentvolumeclaims");
const VOLUMES: Resource = Resource::core("persistentvolumes");
const CLASSES: Resource = Resource::new("storage.k8s.io", "v1", "storageclasses");

fn volume(name: &str, size: &str, class: &str, policy: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": size},
            "hostPath": {"path": format!("/tmp/{name}")},
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": class,
        },
    })
}

fn claim(name: &str, size: &str, class: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            "storageClassName": class,
        },
    })
}

fn pod_with(claim: &str) -> Value {
    let mut pod = template(json!({"app": "user"}));
    pod["metadata"]["name"] = "user".into();
    pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    pod
}

fn is(phase: &str) -> impl Fn(&Value) -> bool {
    move |o: &Value| o["status"]["phase"] == phase
}

async fn class(cluster: &Cluster, name: &str, provisioner: &str, mode: &str) {
    let class = json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode});
    cluster.admin().create(&CLASSES, None, &class).await.expect("created");
}

async fn gone(cluster: &Cluster, resource: &Resource, namespace: Option<&str>, name: &str) {
    wait_for(&cluster.sim().host("workstation"), &format!("{name} is gone"), async || {
        cluster.admin().get_opt(resource, namespace, name).await.ok()?.is_none().then_some(())
    })
    .await
    .expect("gone");
}

#[chronoplane::test(nodes = 1)]
async fn a_claim_gets_the_smallest_volume_and_keeps_it_while_it_is_used(cluster: Cluster) {
    for (name, size) in [("large", "10Gi"), ("small", "2Gi")] {
        cluster.admin().create(&VOLUMES, None, &volume(name, size, "", "Retain")).await.expect("created");
        until(&cluster, "it is available", &VOLUMES, None, name, is("Available")).await;
    }
    create(&cluster, &CLAIMS, claim("data", "1Gi", "")).await;
    let bound = until(&cluster, "the claim is bound", &CLAIMS, NS, "data", is("Bound")).await;
    assert_eq!(bound["spec"]["volumeName"], "small");
    assert_eq!(bound["status"]["capacity"]["storage"], "2Gi");
    create(&cluster, &PODS, pod_with("data")).await;
    until(&cluster, "the pod runs", &PODS, NS, "user", is("Running")).await;
    // Deleted, but in use: both stay.
    cluster.admin().delete(&CLAIMS, NS, "data", &DeleteParams::default()).await.expect("deleted");
    cluster.admin().delete(&VOLUMES, None, "small", &DeleteParams::default()).await.expect("deleted");
    cluster.sim().elapse(seconds(60)).await;
    let held = cluster.admin().get(&CLAIMS, NS, "data").await.expect("its pod still runs");
    assert_eq!(held["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.admin().delete(&PODS, NS, "user", &now).await.expect("deleted");
    gone(&cluster, &CLAIMS, NS, "data").await;
    gone(&cluster, &VOLUMES, None, "small").await;
    // Two that suit nobody: people are told why.
    create(&cluster, &CLAIMS, claim("huge", "11Gi", "")).await;
    let words = "no persistent volumes available for this claim and no storage class is set";
    until_event(&cluster, "huge", "FailedBinding", words).await;
    let refused = until(&cluster, "it waits", &CLAIMS, NS, "huge", is("Pending")).await;
    assert_eq!(refused["spec"].get("volumeName"), None);
}

#[chronoplane::test(nodes = 1)]
async fn what_becomes_of_a_volume_whose_claim_goes_is_its_policy(cluster: Cluster) {
    for (name, policy) in [("kept", "Retain"), ("dropped", "Delete")] {
        cluster.admin().create(&VOLUMES, None, &volume(name, "1Gi", "", policy)).await.expect("created");
        until(&cluster, "it is available", &VOLUMES, None, name, is("Available")).await;
        create(&cluster, &CLAIMS, claim(name, "1Gi", "")).await;
        let bound = until(&cluster, "bound", &CLAIMS, NS, name, is("Bound")).await;
        assert_eq!(bound["spec"]["volumeName"], name);
    }
    for name in ["kept", "dropped"] {
        cluster.admin().delete(&CLAIMS, NS, name, &DeleteParams::default()).await.expect("deleted");
    }
    gone(&cluster, &VOLUMES, None, "dropped").await;
    let kept = until(&cluster, "it is nobody's", &VOLUMES, None, "kept", is("Released")).await;
    assert_eq!(kept["spec"]["claimRef"]["name"], "kept", "and remembers whose it was");
    create(&cluster, &CLAIMS, claim("other", "1Gi", "")).await;
    cluster.sim().elapse(seconds(60)).await;
    let other = cluster.admin().get(&CLAIMS, NS, "other").await.expect("there");
    assert_eq!(other["status"]["phase"], "Pending", "what was somebody's is not given away");
}

#[chronoplane::test(nodes = 2)]
async fn a_volume_is_made_where_its_first_consumer_runs(cluster: Cluster) {
    class(&cluster, "local", "chronoplane.dev/host-path", "WaitForFirstConsumer").await;
    create(&cluster, &CLAIMS, claim("data", "1Gi", "local")).await;
    let words = "waiting for first consumer to be created before binding";
    until_event(&cluster, "data", "WaitForFirstConsumer", words).await;
    assert_eq!(cluster.admin().get(&CLAIMS, NS, "data").await.expect("there")["status"]["phase"], "Pending");
    create(&cluster, &PODS, pod_with("data")).await;
    let pod = until(&cluster, "the pod runs", &PODS, NS, "user", is("Running")).await;
    let bound = until(&cluster, "bound", &CLAIMS, NS, "data", is("Bound")).await;
    let name = text(&bound, "/spec/volumeName").to_owned();
    assert_eq!(name, format!("pvc-{}", text(&bound, "/metadata/uid")));
    let made = cluster.admin().get(&VOLUMES, None, &name).await.expect("there");
    let term = &made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    assert_eq!(term["values"][0], pod["spec"]["nodeName"]);
    // The pod's successor has to go where its data is.
    let first = pod["spec"]["nodeName"].clone();
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.admin().delete(&PODS, NS, "user", &now).await.expect("deleted");
    gone(&cluster, &PODS, NS, "user").await;
    let mut filler = template(json!({"app": "filler"}));
    filler["metadata"]["name"] = "filler".into();
    filler["spec"]["nodeName"] = first.clone();
    filler["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "4"}});
    create(&cluster, &PODS, filler).await;
    create(&cluster, &PODS, pod_with("data")).await;
    let again = until(&cluster, "it runs again", &PODS, NS, "user", is("Running")).await;
    assert_eq!(again["spec"]["nodeName"], first, "though the other node is emptier");
    cluster.admin().delete(&PODS, NS, "user", &now).await.expect("deleted");
    cluster.admin().delete(&CLAIMS, NS, "data", &DeleteParams::default()).await.expect("deleted");
    gone(&cluster, &VOLUMES, None, &name).await;
}

#[chronoplane::test(nodes = 1)]
async fn other_provisioners_are_asked_and_waited_for(cluster: Cluster) {
    class(&cluster, "theirs", "example.com/disk", "Immediate").await;
    create(&cluster, &CLAIMS, claim("data", "1Gi", "theirs")).await;
    let asked = |c: &Value| {
        text(c, "/metadata/annotations/volume.kubernetes.io~1storage-provisioner") == "example.com/disk"
    };
    until(&cluster, "the provisioner is asked", &CLAIMS, NS, "data", asked).await;
    create(&cluster, &PODS, pod_with("data")).await;
    let told = |p: &Value| reason(p, "PodScheduled") == "Unschedulable";
    let pod = until(&cluster, "the pod waits", &PODS, NS, "user", told).await;
    let conditions = pod["status"]["conditions"].as_array().expect("conditions");
    let words = conditions.iter().find(|c| c["type"] == "PodScheduled").map(|c| text(c, "/message"));
    assert_eq!(
        words,
        Some(
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/2 nodes are \
             available: 2 Preemption is not helpful for scheduling."
        )
    );
    // The provisioner comes, as any program with a client would.
    let claim = cluster.admin().get(&CLAIMS, NS, "data").await.expect("there");
    let mut made = volume("made", "1Gi", "theirs", "Delete");
    made["spec"]["claimRef"] = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "data", "namespace": "default",
        "uid": claim["metadata"]["uid"],
    });
    cluster.admin().create(&VOLUMES, None, &made).await.expect("created");
    until(&cluster, "the pod runs", &PODS, NS, "user", is("Running")).await;
}
