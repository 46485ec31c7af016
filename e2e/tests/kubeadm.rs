//! kubeadm's command line on a cluster in the simulated gear: what it changes, and what that means for the
//! cluster one second before and one second after.

use std::time::Duration;

use chronoplane::{Cluster, Machinery, TaskLauncher};
use client::Resource;
use pki::token::TokenSecret;
use world::Host;

fn control_plane(cluster: &Cluster) -> Host {
    cluster.sim().host("cp1")
}

/// A host with a kubelet's package and nothing else.
fn fresh(cluster: &Cluster, name: &str) -> Host {
    let host = cluster.sim().host(name);
    Machinery::tasks(TaskLauncher::default()).install(&host, cluster.options().profile);
    host
}

/// kubeadm's words when it refuses.
async fn refusal(cluster: &Cluster, host: &Host, args: &[&str]) -> String {
    cluster.kubeadm(host, args).await.expect_err(&format!("{args:?} is refused")).to_string()
}

async fn sleep_until_before(cluster: &Cluster, at: world::Wall, margin: Duration) {
    let left = at.duration_since(control_plane(cluster).clock().wall());
    cluster.sim().elapse(Duration::try_from(left).expect("ahead") - margin).await;
}

/// The arguments of a printed join command, without the program's name.
fn arguments(printed: &str) -> Vec<&str> {
    printed.split_whitespace().skip(1).collect()
}

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
