//! kubelet-certdir-lost: the kubelet's certificates were on a disk that a reboot empties.
//!
//! kubernetes/kubernetes#53288: /var/lib/kubelet (or its pki) on a tmpfs, kubelet.conf on a disk that stays. After a
//! reboot kubelet.conf names files that are gone. 1.8 took a kubeconfig that is there for a working one and could not
//! read the rest of it. From 1.9 on (#53037) the kubelet bootstraps again, if it can: kubeadm's nodes cannot, because
//! their join deletes the bootstrap kubeconfig (by 1.16), or leaves one whose token ended after a day.

use chronoplane::{ClusterOptions, Credential, cluster::CONTROL_PLANE};
use client::{Patch, Resource, Rest};
use jiff::SignedDuration;
use pki::{
    kubeconfig::{Kubeconfig, User},
    token::{BootstrapToken, TokenSecret},
};
use serde_json::json;

use super::{
    BOOTSTRAP, CONF, DAY, MINUTE, NO_BOOTSTRAP, NODE, PKI, SECOND, bootstrap_file, clock, end, exits, mark,
    ready, remove, restart, said, server, upstream,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config, raw},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "kubelet-certdir-lost",
    sentence: "A reboot loses the kubelet's certificates, kubelet.conf stays: the kubelet has nothing to bootstrap with.",
    reference: "kubernetes/kubernetes#53288",
    symptoms: &[
        "invalid configuration: [unable to read client-cert … no such file or directory, unable to read client-key … no such file or directory]",
        "failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory",
    ],
    range: (8, 36),
    tell,
    real: InReal::Not(
        "needs to elapse: a node is missed after its grace, and a new start of its kubelet comes after ten seconds, again and again",
    ),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    teller.say("");
    briefly(teller, "Control run, the same reboot with its files", || play(settings, teller, false))?;
    end(
        settings,
        teller,
        &[
            "In a real cluster: keep /var/lib/kubelet/pki on a disk that stays. Where it is lost: write",
            "/etc/kubernetes/bootstrap-kubelet.conf with a new token (kubeadm token create) and restart the kubelet.",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, lost: bool) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        let tokens = stage.cluster.expirations().await?;
        let token = tokens.into_iter().find(|one| one.credential == Credential::Token);
        let token = token.ok_or_else(|| StoryError("kubeadm made no token".into()))?;
        let host = stage.host(NODE);
        let (minor, left) = (settings.profile.minor(), host.disk().exists(BOOTSTRAP));
        stage.say(format!(
            "{}: {NODE} has joined. Its bootstrap kubeconfig is {}.",
            clock(stage.now()),
            if left { "still there" } else { "deleted" }
        ));
        // Until then another bootstrap would do. An apiserver remembers a good token for ten seconds: who looks again
        // within them has a token of its own that ends in the same second.
        let (first, second) = (holder(stage, &token.name).await?, twin(stage, &token.name).await?);
        let end = token.not_after + SignedDuration::from_secs(1);
        stage.cluster.at(end - SignedDuration::from_secs(1)).await?;
        let (before, _) = raw(&first, "/apis").await;
        stage.check(
            "the join's token, a second before its end",
            before == 200,
            format!("{before} GET /apis"),
        );
        stage.cluster.elapse(SECOND * 2).await;
        let (after, _) = raw(&second, "/apis").await;
        stage.check("another of the same end, a second after", after == 401, format!("{after}"));
        stage.cluster.elapse(DAY).await;
        let since = mark(stage);
        host.halt().await;
        if lost {
            host.disk().remove_all(PKI).map_err(StoryError::new)?;
        }
        host.boot();
        upstream(stage, 2 * MINUTE).await;
        let state = ready(stage, NODE).await;
        let (count, last) = exits(stage, NODE, since);
        if !lost {
            stage.check("it runs", count == 0 && state == "True", state.clone());
            return Ok(());
        }
        stage.say(format!("{}: rebooted, {PKI} is empty.", clock(stage.now())));
        let unread = [
            "invalid configuration: [unable to read client-cert",
            "no such file or directory, unable to read client-key",
        ];
        if minor < 9 {
            stage.check_words("its kubelet", last, &unread);
        } else {
            stage.check_words("its kubelet", said(stage, NODE, "bootstrap", "unable to read"), &unread);
            let words =
                if left { "cannot create certificate signing request: Unauthorized" } else { NO_BOOTSTRAP };
            stage.check_words("and then", last, &[words]);
        }
        stage.check("the node", state.starts_with("Unknown"), format!("{state}, {count} starts in vain"));
        bootstrap_file(stage, NODE, "24h").await?;
        if minor < 9 {
            remove(stage, NODE, CONF)?;
        }
        restart(stage, NODE).await;
        stage.cluster.elapse(MINUTE).await;
        let healed = ready(stage, NODE).await;
        let words = if minor < 9 { "with a new token, without kubelet.conf" } else { "with a new token" };
        stage.check(words, healed == "True", healed.clone());
        Ok(())
    })
}

/// A client with a new token that ends when the one in that secret does.
async fn twin(stage: &Stage, secret: &str) -> Result<Rest, StoryError> {
    let (secrets, ns) = (Resource::core("secrets"), Some("kube-system"));
    let printed = stage.cluster.kubeadm(&stage.host(CONTROL_PLANE), &["token", "create"]).await?;
    let token = printed.lines().rev().find_map(|line| line.parse::<BootstrapToken>().ok());
    let token = token.ok_or_else(|| StoryError(format!("kubeadm token create printed {printed:?}")))?;
    let admin = stage.cluster.admin();
    let first = admin.get(&secrets, ns, secret).await.map_err(StoryError::new)?;
    let ends = json!({"data": {"expiration": first["data"]["expiration"]}});
    admin
        .patch(&secrets, ns, &token.secret_name(), Patch::Merge(&ends), None)
        .await
        .map_err(StoryError::new)?;
    holder(stage, &token.secret_name()).await
}

/// A client with the bootstrap token in that secret.
async fn holder(stage: &Stage, secret: &str) -> Result<Rest, StoryError> {
    let secret = stage.cluster.admin().get(&Resource::core("secrets"), Some("kube-system"), secret).await;
    let secret = TokenSecret::from_object(&secret.map_err(StoryError::new)?).map_err(StoryError::new)?;
    let user = User::with_token(&secret.token.reveal());
    let config = Kubeconfig::new("kubernetes", server(stage), "token", user);
    Rest::from_kubeconfig(&stage.host(NODE), &config, stage.settings.profile.go(), "kubelet")
        .map_err(StoryError::new)
}
