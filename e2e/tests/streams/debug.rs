//! `kubectl debug`: a container that comes later, and who attaches to it.

use chronoplane::{Cluster, cluster::wait_for};
use client::Patch;
use serde_json::{Value, json};

use crate::clients::{LIMIT, PODS, Speaks, exec_path, run, talk};

async fn debug(cluster: &Cluster, pod: &str, container: Value) -> Result<Value, client::ClientError> {
    let patch = json!({"spec": {"ephemeralContainers": [container]}});
    cluster
        .admin()
        .patch(&PODS, Some("default"), pod, Patch::Strategic(&patch), Some("ephemeralcontainers"))
        .await
}

async fn status(cluster: &Cluster, pod: &str, at: usize, state: &str) -> Value {
    let workstation = cluster.sim().host("workstation");
    wait_for(&workstation, &format!("the container is {state}"), async || {
        let pod = cluster.admin().get(&PODS, Some("default"), pod).await.ok()?;
        let status = pod["status"]["ephemeralContainerStatuses"].get(at)?.clone();
        status["state"][state].is_object().then_some(status)
    })
    .await
    .expect("in time")
}

#[chronoplane::test(nodes = 1)]
async fn a_debugger_is_added_to_a_running_pod_and_attached_to(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    let debugger = json!({
        "name": "debugger", "image": "busybox", "stdin": true, "tty": true, "targetContainerName": "c",
        "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
    });
    debug(&cluster, "p", debugger).await.expect("accepted");
    status(&cluster, "p", 0, "running").await;
    let path = "/api/v1/namespaces/default/pods/p/attach?container=debugger&tty=true&stdin=true&stdout=true";
    let (host, client) = crate::clients::workstation(&cluster).await;
    let socket = crate::clients::socket(&client, path, "v5.channel.k8s.io", None).await.expect("granted");
    let (mut sender, mut receiver) = socket.split();
    let typed = [&[0][..], b"hostname\nexit 7\n"].concat();
    sender.send(wire::websocket::Message::Binary(typed.into())).await.expect("sent");
    let mut shown = String::new();
    let all = async {
        while let Ok(Some(wire::websocket::Message::Binary(bytes))) = receiver.next().await {
            shown.push_str(&String::from_utf8_lossy(bytes.get(1..).unwrap_or_default()));
        }
    };
    host.clock().timeout(LIMIT, all).await.expect("ends with the shell");
    assert!(shown.contains("p\r\n"), "{shown:?}");
    let ended = status(&cluster, "p", 0, "terminated").await;
    assert_eq!((&ended["state"]["terminated"]["exitCode"], &ended["restartCount"]), (&json!(7), &json!(0)));
    cluster.sim().elapse(LIMIT).await;
    assert_eq!(status(&cluster, "p", 0, "terminated").await, ended, "it does not come back");

    // The pod is none the worse for it, and takes another one.
    let pod = cluster.admin().get(&PODS, Some("default"), "p").await.expect("there");
    assert_eq!(
        (&pod["status"]["phase"], &pod["status"]["containerStatuses"][0]["ready"]),
        (&json!("Running"), &json!(true))
    );
    let second = json!({"name": "second", "image": "busybox", "command": ["sleep", "1d"]});
    debug(&cluster, "p", second).await.expect("accepted");
    status(&cluster, "p", 1, "running").await;
    let said =
        talk(&cluster, Speaks::V5, &exec_path("p", &["hostname"], "container=second&"), None, None).await;
    assert_eq!(said.expect("granted").out, "p\n");

    let refused =
        debug(&cluster, "p", json!({"name": "x", "image": "busybox", "targetContainerName": "y"})).await;
    let words = refused.expect_err("no such container").to_string();
    // A patch that gives no order puts what it adds first.
    assert!(words.contains("spec.ephemeralContainers[0].targetContainerName: Not found: \"y\""), "{words}");
}
