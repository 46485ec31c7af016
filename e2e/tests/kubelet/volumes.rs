//! Claims as directories: what one pod writes another finds, as long as both are on the volume's node.

use api::object::ObjectExt as _;
use chronoplane::{Cluster, ClusterOptions, cluster::wait_for};
use client::{DeleteParams, ListParams, Resource};
use serde_json::{Value, json};

use crate::common::{cluster, run};

const PODS: Resource = Resource::core("pods");
const CLAIMS: Resource = Resource::core("persistentvolumeclaims");
const VOLUMES: Resource = Resource::core("persistentvolumes");

fn pod(name: &str, script: &str, read_only: bool) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "nodeName": "node1",
        "restartPolicy": "Never",
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": read_only}}],
        "containers": [{
            "name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }],
    }})
}

async fn ended(cluster: &Cluster, name: &str) -> Value {
    wait_for(&cluster.sim().host("workstation"), "the pod has ended", async || {
        let pod = cluster.admin().get(&PODS, Some("default"), name).await.ok()?;
        matches!(pod.str_at("/status/phase"), "Succeeded" | "Failed").then_some(pod)
    })
    .await
    .expect("in time")
}

#[test]
fn what_is_written_to_a_claim_is_there_for_the_next_pod() {
    run(async |sim| {
        let cluster = cluster(&sim, ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await;
        let admin = cluster.admin();
        let claim = json!({"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "",
            "resources": {"requests": {"storage": "1Gi"}},
        }});
        admin.create(&CLAIMS, Some("default"), &claim).await.expect("created");
        // Nothing to bind it to yet: the pod waits and says why.
        admin
            .create(&PODS, Some("default"), &pod("writer", "echo kept > /data/file", false))
            .await
            .expect("accepted");
        let workstation = sim.host("workstation");
        wait_for(&workstation, "the kubelet complains", async || {
            let events =
                admin.list(&Resource::core("events"), Some("default"), &ListParams::default()).await.ok()?;
            let about = |e: &Value| {
                e.str_at("/reason") == "FailedMount" && e.str_at("/message").contains("not bound")
            };
            events.items.iter().any(|e| about(e)).then_some(())
        })
        .await
        .expect("in time");
        let volume = json!({"metadata": {"name": "v"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": "",
            "hostPath": {"path": "/srv/v"}, "persistentVolumeReclaimPolicy": "Retain",
        }});
        admin.create(&VOLUMES, None, &volume).await.expect("created");
        assert_eq!(ended(&cluster, "writer").await["status"]["phase"], "Succeeded");
        let on_host = sim.host("node1").disk().read_to_string("/srv/v/file").expect("there");
        assert_eq!(on_host, "kept\n");
        admin.delete(&PODS, Some("default"), "writer", &DeleteParams::default()).await.expect("deleted");
        let reader = pod("reader", "cat /data/file && ! touch /data/other", true);
        admin.create(&PODS, Some("default"), &reader).await.expect("accepted");
        assert_eq!(
            ended(&cluster, "reader").await["status"]["phase"],
            "Succeeded",
            "it reads and cannot write"
        );
    });
}
