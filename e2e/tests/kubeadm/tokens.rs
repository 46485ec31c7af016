//! Tokens: whom they let in, and until when.

use std::time::Duration;

use chronoplane::Cluster;
use client::Resource;
use pki::token::TokenSecret;

use crate::common::*;

#[chronoplane::test(sparse)]
async fn a_token_of_an_hour_lets_nodes_in_for_an_hour(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed =
        cluster.kubeadm(&cp, &["token", "create", "--ttl=1h", "--print-join-command"]).await.expect("made");
    assert!(printed.starts_with("kubeadm join ") && printed.lines().count() == 1, "{printed:?}");
    let join = arguments(&printed);
    let token: pki::token::BootstrapToken = join[3].parse().expect("a token");
    let secret = cluster
        .admin()
        .get(&Resource::core("secrets"), Some("kube-system"), &token.secret_name())
        .await
        .expect("there");
    let end = TokenSecret::from_object(&secret).expect("readable").expiration.expect("after an hour");

    sleep_until_before(&cluster, end, Duration::from_secs(1)).await;
    let early = fresh(&cluster, "early");
    let joined = cluster.kubeadm(&early, &join).await.expect("one second before its end");
    assert!(joined.contains("This node has joined the cluster:"), "{joined}");

    let now = cp.clock().wall();
    if now <= end {
        cluster
            .sim()
            .elapse(Duration::try_from(end.duration_since(now)).expect("ahead") + Duration::from_secs(1))
            .await;
    }
    let late = fresh(&cluster, "late");
    let words = refusal(&cluster, &late, &join).await;
    let expected = format!(
        "couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info \
         ConfigMap for token ID {:?}",
        token.id()
    );
    assert!(words.contains(&expected), "{words}");
}

#[chronoplane::test]
async fn tokens_are_made_listed_and_deleted(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let generated = cluster.kubeadm(&cp, &["token", "generate"]).await.expect("printed");
    let token = generated.trim();
    let args =
        ["token", "create", token, "--ttl=0", "--usages=signing", "--groups=", "--description=for ever"];
    let made = cluster.kubeadm(&cp, &args).await.expect("made");
    assert_eq!(made.trim(), token);
    let listed = cluster.kubeadm(&cp, &["token", "list"]).await.expect("listed");
    let row = listed.lines().find(|line| line.starts_with(token)).unwrap_or_else(|| panic!("{listed}"));
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[1..], ["<forever>", "<never>", "signing", "for", "ever", "<none>"], "{listed}");
    assert_eq!(listed.lines().count(), 3, "the header, init's token and this one: {listed}");

    let id = &token[..6];
    let words = refusal(&cluster, &cp, &["token", "create", token]).await;
    assert!(words.contains(&format!("a token with id {id:?} already exists")), "{words}");
    let deleted = cluster.kubeadm(&cp, &["token", "delete", id]).await.expect("deleted");
    assert_eq!(deleted, format!("bootstrap token {id:?} deleted\n"));
    for (args, expected) in [
        (
            vec!["token", "delete", id],
            format!("failed to delete bootstrap token {id:?}: secrets \"bootstrap-token-{id}\" not found"),
        ),
        (vec!["token", "delete"], "missing argument".into()),
        (
            vec!["token", "create", "ABCDEF.0123456789abcdef"],
            "the bootstrap token was not of the form".into(),
        ),
        (vec!["token", "create", "--ttl=1day"], "time: unknown unit \"day\" in duration \"1day\"".into()),
        (vec!["token", "list", "--kubeconfig=/none"], "failed to load admin kubeconfig".into()),
    ] {
        let words = refusal(&cluster, &cp, &args).await;
        assert!(words.contains(&expected), "{args:?}: {words}");
    }
}

#[chronoplane::test(sparse)]
async fn a_wrong_token_or_pin_opens_nothing(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let good = arguments(&printed);
    let node = fresh(&cluster, "node1");
    let with = |at: usize, text: &'static str| {
        let mut args = good.clone();
        args[at] = text;
        args
    };
    const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    for (args, words) in [
        (with(3, "nonsense"), "the bootstrap token was not of the form"),
        (
            with(3, "zzzzzz.0123456789abcdef"),
            "could not find a JWS signature in the cluster-info ConfigMap for token ID \"zzzzzz\"",
        ),
        (
            with(5, OTHER),
            "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:",
        ),
        (with(5, "md5:00"), "unknown hash format \"md5\""),
        (good[..4].to_vec(), "using token-based discovery without caCertHashes can be unsafe."),
    ] {
        let said = refusal(&cluster, &node, &args).await;
        assert!(said.contains(words), "{args:?}: {said}");
        assert!(!node.disk().exists("/etc/kubernetes/bootstrap-kubelet.conf"), "{args:?}");
    }
    cluster.kubeadm(&node, &good).await.expect("the right ones do");
}
