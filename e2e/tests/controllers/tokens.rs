//! Secrets that ask for a token of a service account.

use chronoplane::{Cluster, cluster::wait_for};
use client::{DeleteParams, Resource};
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
