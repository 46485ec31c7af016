//! Who may not, what is not there, and connections that end half-way.

use std::time::Duration;

use chronoplane::{Cluster, cluster::wait_for};
use client::Resource;
use serde_json::json;
use wire::websocket::Message;

use crate::clients::{ALL, LIMIT, Speaks, exec_path, open, run, socket, spdy, talk, workstation};

/// A role on `pods/exec` with these verbs, for `user`.
async fn grant(cluster: &Cluster, user: &str, verbs: &[&str]) {
    let (group, version) = ("rbac.authorization.k8s.io", "v1");
    let rules = json!([{"apiGroups": [""], "resources": ["pods/exec"], "verbs": verbs}]);
    let role = json!({"metadata": {"name": user}, "rules": rules});
    let roles = Resource::new(group, version, "roles");
    cluster.admin().create(&roles, Some("default"), &role).await.expect("accepted");
    let binding = json!({
        "metadata": {"name": user},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": user},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    });
    let bindings = Resource::new(group, version, "rolebindings");
    cluster.admin().create(&bindings, Some("default"), &binding).await.expect("accepted");
}

async fn may(cluster: &Cluster, user: &str, speaks: Speaks) -> Result<String, (u16, String)> {
    talk(cluster, speaks, &exec_path("p", &["hostname"], ""), None, Some(user)).await.map(|said| said.out)
}

fn refused(user: &str, verb: &str) -> Result<String, (u16, String)> {
    let words = format!(
        "pods \"p\" is forbidden: User \"{user}\" cannot {verb} resource \"pods/exec\" in API group \"\" in the namespace \"default\""
    );
    Err((403, words))
}

#[chronoplane::test(nodes = 1)]
async fn exec_needs_its_verb_and_from_1_35_on_a_websocket_needs_create_too(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    grant(&cluster, "reader", &["get"]).await;
    grant(&cluster, "maker", &["create"]).await;
    grant(&cluster, "both", &["get", "create"]).await;
    let (host, _) = workstation(&cluster).await;
    wait_for(&host, "the roles are known", async || may(&cluster, "both", Speaks::V5).await.ok())
        .await
        .expect("in time");
    assert_eq!(may(&cluster, "both", Speaks::Spdy).await, Ok("p\n".into()), "the control run");
    assert_eq!(may(&cluster, "maker", Speaks::Spdy).await, Ok("p\n".into()));
    assert_eq!(may(&cluster, "maker", Speaks::V5).await, refused("maker", "get"));
    assert_eq!(may(&cluster, "reader", Speaks::V5).await, refused("reader", "create"));
    assert_eq!(may(&cluster, "reader", Speaks::Spdy).await, refused("reader", "create"));
    assert_eq!(may(&cluster, "nobody", Speaks::V5).await, refused("nobody", "get"));
}

#[chronoplane::test(nodes = 1, version = "1.34")]
async fn before_1_35_get_is_enough_for_a_websocket(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    grant(&cluster, "reader", &["get"]).await;
    let (host, _) = workstation(&cluster).await;
    wait_for(&host, "the role is known", async || may(&cluster, "reader", Speaks::V5).await.ok())
        .await
        .expect("in time");
    assert_eq!(may(&cluster, "reader", Speaks::Spdy).await, refused("reader", "create"));
}

#[chronoplane::test(nodes = 1)]
async fn a_kubelet_that_is_gone_is_named(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    let node = cluster.sim().host("node1");
    node.services().stop("kubelet").await;
    for speaks in ALL {
        let refused =
            talk(&cluster, speaks, &exec_path("p", &["true"], ""), None, None).await.expect_err("refused");
        let to = format!("{}:10250", node.net().address());
        // The node's first address is its name.
        let words = refused.1.replace("node1:10250", &to);
        assert_eq!(
            (refused.0, words),
            (500, format!("error dialing backend: dial tcp {to}: connect: connection refused")),
            "{speaks:?}"
        );
    }
}

#[chronoplane::test(nodes = 1)]
async fn a_command_ends_with_the_connection_of_its_caller(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    let (host, client) = workstation(&cluster).await;
    let beat = "while true; do date +%s > /tmp/beat; echo beat; sleep 1; done";
    let path = format!("{}stdout=true", exec_path("p", &["sh", "-c", beat], ""));
    let last = async || {
        talk(&cluster, Speaks::V5, &exec_path("p", &["cat", "/tmp/beat"], ""), None, None)
            .await
            .expect("granted")
            .out
    };
    for how in ["dropped", "reset"] {
        let session = spdy(&host, &client, &path, "v4.channel.k8s.io", None).await.expect("granted");
        let _error = open(&session, &[("streamtype", "error")]).await;
        let mut out = open(&session, &[("streamtype", "stdout")]).await;
        let first = host.clock().timeout(LIMIT, out.reader.read()).await.expect("in time");
        assert_eq!(first.as_deref(), Some(&b"beat\n"[..]));
        let before = last().await;
        host.clock().sleep(Duration::from_secs(3)).await;
        assert_ne!(last().await, before, "the control run: while its caller is there it goes on");
        if how == "reset" {
            assert!(cluster.sim().reset_connections("workstation", "cp1", 6443) > 0);
            host.clock().timeout(LIMIT, session.ended()).await.expect("hears of it");
        }
        drop((session, out));
        host.clock().sleep(Duration::from_secs(3)).await;
        let stopped =
            wait_for(&host, "the control plane answers", async || Some(last().await)).await.expect("in time");
        host.clock().sleep(Duration::from_secs(10)).await;
        assert_eq!(last().await, stopped, "{how}");
    }
}

#[chronoplane::test(nodes = 1)]
async fn a_message_that_is_too_long_ends_its_connection_and_nothing_else(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    let (host, client) = workstation(&cluster).await;
    let path = format!("{}stdin=true&stdout=true", exec_path("p", &["cat"], ""));
    for protocol in ["v4.channel.k8s.io", "v5.channel.k8s.io"] {
        let (mut sender, mut receiver) =
            socket(&client, &path, protocol, None).await.expect("granted").split();
        sender.send(Message::Binary(b"\0hello".as_slice().into())).await.expect("sent");
        let heard = async {
            loop {
                let Ok(Some(Message::Binary(bytes))) = receiver.next().await else { panic!("no answer") };
                if bytes.as_ref() == b"\x01hello" {
                    return;
                }
            }
        };
        host.clock().timeout(LIMIT, heard).await.expect("the control run: a short one is answered");
        // Whether it can be written to its end depends on when the other end hangs up.
        let _ = sender.send(Message::Binary(vec![0; 5 << 20].into())).await;
        let ended = async { while let Ok(Some(_)) = receiver.next().await {} };
        host.clock().timeout(LIMIT, ended).await.expect("ends");
    }
    let said = talk(&cluster, Speaks::V5, &exec_path("p", &["hostname"], ""), None, None).await;
    assert_eq!(said.expect("granted").out, "p\n");
}

/// streamingConnectionIdleTimeout: four hours without a byte, and not one that came in between.
#[chronoplane::test(nodes = 1)]
async fn a_connection_on_which_nothing_passes_is_closed_after_four_hours(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    let (host, client) = workstation(&cluster).await;
    let hour = Duration::from_secs(3600);
    cluster.sim().set_periods(world::Periods::times(60));
    for speaks_later in [false, true] {
        let path = format!("{}stdin=true&stdout=true", exec_path("p", &["cat"], ""));
        let session = spdy(&host, &client, &path, "v4.channel.k8s.io", None).await.expect("granted");
        let error = open(&session, &[("streamtype", "error")]).await;
        let input = open(&session, &[("streamtype", "stdin")]).await;
        let _out = open(&session, &[("streamtype", "stdout")]).await;
        cluster.sim().elapse(3 * hour).await;
        if speaks_later {
            input.writer.write("still here\n".into()).await.expect("sent");
        }
        let ended = host.clock().timeout(hour + hour / 6, session.ended()).await.is_ok();
        assert_eq!(ended, !speaks_later);
        if speaks_later {
            host.clock().timeout(3 * hour, session.ended()).await.expect("four hours after it spoke");
        }
        drop(error);
    }
}
