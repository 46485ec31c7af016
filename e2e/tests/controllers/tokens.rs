//! Secrets with tokens of service accounts: asked for, and made for every account by releases that did.

use chronoplane::{Cluster, cluster::wait_for};
use client::{DeleteParams, ListParams, Resource};
use serde_json::{Value, json};

use crate::common::*;

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
    let answer = reviewed(&cluster, &String::from_utf8_lossy(&token)).await;
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

#[chronoplane::test(version = "1.20", nodes = 1)]
async fn up_to_120_the_kubelet_gives_a_pod_the_token_of_its_accounts_secret(cluster: Cluster) {
    create(&cluster, &ACCOUNTS, json!({"metadata": {"name": "robot"}})).await;
    let listed = |a: &Value| len(a, "/secrets") == 1;
    let account = until(&cluster, "the account has a secret", &ACCOUNTS, NS, "robot", listed).await;
    let secret = text(&account, "/secrets/0/name").to_owned();
    assert!(secret.starts_with("robot-token-"), "{account}");
    let script = "cd /var/run/secrets/kubernetes.io/serviceaccount && cat namespace && sleep 1000000";
    let pod = json!({
        "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "robot", "containers": [
            {"name": "c", "image": "busybox", "command": ["sh", "-c", script]},
        ]},
    });
    let pod = until_accepted(&cluster, &pod).await;
    let volumes = json!([{"name": secret, "secret": {"secretName": secret, "defaultMode": 420}}]);
    assert_eq!(pod["spec"]["volumes"], volumes);
    let running = |p: &Value| p["status"]["phase"] == "Running";
    let pod = until(&cluster, "the pod runs", &PODS, NS, "p", running).await;
    let (node, uid) = (cluster.sim().host("node1"), text(&pod, "/metadata/uid"));
    let dir = format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~secret/{secret}");
    let read = |file: &str| node.disk().read_to_string(format!("{dir}/{file}")).expect("mounted");
    let ca = cluster.sim().host("cp1").disk().read_to_string("/etc/kubernetes/pki/ca.crt").expect("there");
    assert_eq!((read("namespace"), read("ca.crt")), ("default".to_owned(), ca));
    let claims = reviewed(&cluster, &read("token")).await;
    assert_eq!(claims["status"]["user"]["username"], "system:serviceaccount:default:robot", "{claims}");
    // The secret goes: the token is worth nothing, and the account gets another one.
    let secrets = Resource::core("secrets");
    cluster.admin().delete(&secrets, NS, &secret, &DeleteParams::default()).await.expect("deleted");
    let another = |a: &Value| len(a, "/secrets") == 1 && text(a, "/secrets/0/name") != secret;
    until(&cluster, "the account has another secret", &ACCOUNTS, NS, "robot", another).await;
    let claims = reviewed(&cluster, &read("token")).await;
    assert!(!claims["status"]["authenticated"].as_bool().unwrap_or_default(), "{claims}");
}

#[chronoplane::test(version = "1.23", nodes = 1)]
async fn between_bound_tokens_and_the_end_of_secrets_there_are_both(cluster: Cluster) {
    let listed = |a: &Value| len(a, "/secrets") == 1;
    until(&cluster, "the account has a secret", &ACCOUNTS, NS, "default", listed).await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let pod = until_accepted(&cluster, &pod).await;
    assert!(text(&pod, "/spec/volumes/0/name").starts_with("kube-api-access-"), "{pod}");
}

#[chronoplane::test(version = "1.24")]
async fn from_124_on_nobody_makes_a_secret_unasked(cluster: Cluster) {
    create(&cluster, &ACCOUNTS, json!({"metadata": {"name": "robot"}})).await;
    cluster.elapse(seconds(60)).await;
    let all =
        cluster.admin().list(&Resource::core("secrets"), NS, &ListParams::default()).await.expect("listed");
    assert!(all.items.is_empty(), "{:?}", all.items);
}

#[chronoplane::test(version = "1.19")]
async fn before_120_nobody_publishes_the_root_authority(cluster: Cluster) {
    cluster.elapse(seconds(60)).await;
    assert_eq!(root_authority(&cluster).await, None);
}

#[chronoplane::test(version = "1.20")]
async fn from_120_on_every_namespace_has_the_root_authority(cluster: Cluster) {
    cluster.elapse(seconds(60)).await;
    assert!(
        root_authority(&cluster)
            .await
            .is_some_and(|map| text(&map, "/data/ca.crt").starts_with("-----BEGIN"))
    );
}

async fn root_authority(cluster: &Cluster) -> Option<Value> {
    cluster.admin().get_opt(&Resource::core("configmaps"), NS, "kube-root-ca.crt").await.expect("an answer")
}

/// The pod as it was accepted: its account has its secret a moment after it is there.
async fn until_accepted(cluster: &Cluster, pod: &Value) -> Value {
    wait_for(&cluster.sim().host("workstation"), "the pod is accepted", async || {
        cluster.admin().create(&PODS, NS, pod).await.ok()
    })
    .await
    .expect("accepted")
}

async fn reviewed(cluster: &Cluster, token: &str) -> Value {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    });
    let reviews = Resource::new("authentication.k8s.io", "v1", "tokenreviews");
    cluster.admin().create(&reviews, None, &review).await.expect("reviewed")
}
