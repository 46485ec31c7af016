//! join-token-unsigned: a token is valid, and joins fail in the words of an expired one.
//!
//! kubernetes/kubeadm#2329, #2331; luxas/kubeadm-workshop#1. A join trusts cluster-info by a signature made with
//! the token. The controller manager's bootstrap signer makes it, which is off unless `--controllers` names it,
//! and of which there is none while the controller manager is down. Without it a valid token and an expired one
//! look the same to a join, and up to 1.17 it said that the token was invalid or expired, which it could not
//! know.

use chronoplane::ClusterOptions;
use world::{Periods, sim::Config};

use super::{
    Command, MINUTE, advice, asked_with, becomes_node, clock, is_signed, join, machine, run_in_vain,
    unsigned_words,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "join-token-unsigned",
    sentence: "A valid token that nobody signs cluster-info with fails in the words of an expired one.",
    reference: "kubernetes/kubeadm#2329, #2331",
    symptoms: &[
        "could not find a JWS signature in the cluster-info ConfigMap for token ID \"…\"",
        "token id \"…\" is invalid for this cluster or it has expired",
    ],
    range: (10, 36),
    tell,
    real: InReal::Told(tell),
};

const MANIFEST: &str = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
const SIGNER: &str = ",bootstrapsigner";
/// For the kubelet to restart the controller manager, and for that to lead again.
const RESTART: std::time::Duration = MINUTE.saturating_mul(2);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    play(settings, teller, false)?;
    advice(
        teller,
        &[
            "kubectl -n kube-public get configmap cluster-info -o yaml   has it a jws-kubeconfig-<token id>?",
            "If not, and `kubeadm token list` shows the token, look at the controller manager: does it run,",
            "and does its --controllers name bootstrapsigner (and tokencleaner)?",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, fault: bool) -> Result<(), StoryError> {
    // Nearly at upstream's pace: a controller manager that was killed leaves a lease, and its successor waits for the
    // end, here a minute.
    let config = Config { periods: Periods::times(4), ..config(settings) };
    Ground::play(settings, teller, config, ClusterOptions::default(), async |stage| {
        let (cp, id) = (stage.control_plane(), settings.profile);
        let manifest = cp.disk().read_to_string(MANIFEST).map_err(StoryError::new)?;
        let write = |text: &str| cp.disk().write(MANIFEST, text, 0o600).map_err(StoryError::new);
        let before = stage.leaders();
        if fault {
            stage.say(format!(
                "{} Somebody sets --controllers of the controller manager and forgets bootstrapsigner.",
                clock(stage)
            ));
            write(&manifest.replacen(SIGNER, "", 1))?;
        } else {
            stage.say("\nControl run: the controller manager as kubeadm wrote it.");
        }
        stage.give(RESTART, async || (!fault || stage.leaders() > before).then_some(())).await;
        let command = Command::print(stage, &[]).await?;
        let token = command.token()?;
        if fault {
            // For a signature that does not come.
            stage.never(MINUTE, async || is_signed(stage, &token).await.then_some(())).await;
        } else {
            stage.give(MINUTE, async || is_signed(stage, &token).await.then_some(())).await;
        }
        let listed = stage.kubeadm(&cp, &["token", "list"]).await?;
        let row = listed.lines().find(|line| line.contains(token.id())).unwrap_or_default();
        let ttl = row.split_whitespace().nth(1).unwrap_or_default();
        let code = asked_with(stage, &token).await?.0;
        stage.check(
            "a new token is valid",
            ttl == "23h" && code == 200,
            format!("kubeadm token list: {ttl}; authentication {code}"),
        );
        let signed = is_signed(stage, &token).await;
        stage.check("its signature in cluster-info", signed != fault, if signed { "there" } else { "none" });
        if !fault {
            let attempt = join(stage, "node", &command).await?;
            let there = becomes_node(stage, "node").await;
            stage.check("a join with it", attempt.joined && there, format!("succeeds in {:?}", attempt.took));
            return Ok(());
        }
        let host = machine(stage, "node")?;
        let (attempt, patience) = run_in_vain(stage, &host, &command.with(&["--v=1"])).await?;
        let took = if stage.is_real() { attempt.took >= patience } else { attempt.took == patience };
        stage.check("a join with it", !attempt.joined && took, format!("fails after {:?}", attempt.took));
        let words = unsigned_words(id, token.id());
        let line = attempt.said.lines().find(|line| line.contains(&words)).unwrap_or_default();
        stage.check_words("in the words of an expired one", line, &[&words]);

        write(&manifest)?;
        stage.give(RESTART, async || is_signed(stage, &token).await.then_some(())).await;
        stage.say(format!("{} The signer is named again.", clock(stage)));
        stage.check("the signature is there", is_signed(stage, &token).await, "");
        let again = join(stage, "node2", &command).await?;
        let there = becomes_node(stage, "node2").await;
        stage.check("the same command", again.joined && there, format!("succeeds in {:?}", again.took));
        Ok(())
    })
}
