//! A kubelet that was taken over: what it may not read or change of others.

use serde_json::{Value, json};

use crate::gear::{Gear, attack};

/// Two nodes; on each a pod that mounts a secret named as the node.
async fn two_nodes(gear: &Gear) {
    gear.account("default").await;
    for node in ["n1", "n2"] {
        gear.make("/api/v1/nodes", json!({"metadata": {"name": node}})).await;
        let secret = json!({"metadata": {"name": node}, "stringData": {"password": "x"}});
        gear.make("/api/v1/namespaces/default/secrets", secret).await;
        let pod = json!({
            "metadata": {"name": node},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "c", "image": "i"}],
                "volumes": [{"name": "s", "secret": {"secretName": node}}],
            },
        });
        gear.make("/api/v1/namespaces/default/pods", pod).await;
    }
    gear.settle().await;
}

#[test]
fn attack_by_a_node_on_anothers_secret() {
    attack(|gear| async move {
        two_nodes(&gear).await;
        let n1 = gear.kubelet("n1");
        let secret = |name: &str| format!("/api/v1/namespaces/default/secrets/{name}");
        assert_eq!(gear.get(&n1, &secret("n1")).await.code, 200);
        let answer = gear.get(&n1, &secret("n2")).await;
        assert_eq!(answer.code, 403, "{}", answer.body);
        assert!(
            answer.message().ends_with("no relationship found between node 'n1' and this object"),
            "{}",
            answer.body
        );
        // Neither all of them nor a watch on the other.
        for path in [
            "/api/v1/namespaces/default/secrets",
            "/api/v1/secrets",
            "/api/v1/namespaces/default/secrets?watch=1&fieldSelector=metadata.name%3Dn2",
            "/api/v1/namespaces/default/secrets?fieldSelector=metadata.name!%3Dn1",
        ] {
            assert_eq!(gear.get(&n1, path).await.code, 403, "{path}");
        }
        let own = "/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Dn1";
        assert_eq!(gear.get(&n1, own).await.code, 200);
        // Without the group the name is only a name.
        let fake = crate::gear::Caller::certificate(gear.issue(&gear.clients, "system:node:n1", &[]));
        assert_eq!(gear.get(&fake, &secret("n1")).await.code, 403);
    });
}

#[test]
fn attack_by_a_node_on_anothers_labels() {
    attack(|gear| async move {
        two_nodes(&gear).await;
        let n1 = gear.kubelet("n1");
        let label = async |node: &str, key: &str| {
            let patch = json!({"metadata": {"labels": {key: "x"}}});
            gear.send(&n1, "PATCH", &format!("/api/v1/nodes/{node}"), &patch).await
        };
        assert_eq!(label("n1", "topology.kubernetes.io/zone").await.code, 200);
        let answer = label("n2", "topology.kubernetes.io/zone").await;
        assert_eq!(answer.code, 403, "{}", answer.body);
        assert!(
            answer.message().contains("node \"n1\" is not allowed to modify node \"n2\""),
            "{}",
            answer.body
        );
        // Labels that steer workloads are not its own to give.
        for key in ["node-restriction.kubernetes.io/safe", "node-role.kubernetes.io/control-plane"] {
            let answer = label("n1", key).await;
            assert_eq!(answer.code, 403, "{}", answer.body);
            assert!(answer.message().contains("is not allowed to modify labels: "), "{}", answer.body);
        }
        let status = json!({"status": {"conditions": []}});
        assert_eq!(gear.send(&n1, "PATCH", "/api/v1/nodes/n1/status", &status).await.code, 200);
        assert_eq!(gear.send(&n1, "PATCH", "/api/v1/nodes/n2/status", &status).await.code, 403);
        let taints = json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}});
        assert_eq!(gear.send(&n1, "PATCH", "/api/v1/nodes/n1", &taints).await.code, 403);
        assert_eq!(gear.send(&n1, "DELETE", "/api/v1/nodes/n2", &Value::Null).await.code, 403);
    });
}

#[test]
fn attack_by_a_node_on_tokens_of_others() {
    attack(|gear| async move {
        two_nodes(&gear).await;
        let n1 = gear.kubelet("n1");
        let pod = async |name: &str| {
            gear.get(&gear.admin(), &format!("/api/v1/namespaces/default/pods/{name}")).await.json()
        };
        let ask = async |bound: Value| {
            let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
            let request = json!({"spec": {"audiences": [], "boundObjectRef": bound}});
            gear.send(&n1, "POST", path, &request).await
        };
        let bound = |pod: &Value| {
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"],
            })
        };
        let own = ask(bound(&pod("n1").await)).await;
        assert_eq!(own.code, 201, "{}", own.body);
        let others = ask(bound(&pod("n2").await)).await;
        assert_eq!(others.code, 403, "{}", others.body);
        assert!(others.message().contains("bound to a pod scheduled on a different node"), "{}", others.body);
        let unbound = ask(Value::Null).await;
        assert_eq!(unbound.code, 403, "{}", unbound.body);
        assert!(unbound.message().contains("node requested token not bound to a pod"), "{}", unbound.body);
    });
}
