//! wrong-pin: the join command names another authority than the cluster has.
//!
//! By design, and met by everybody who installs a cluster anew and keeps the join command, or who hashes the
//! wrong file: here front-proxy-ca.crt. The token may be right, and so may the server: without the pinned key
//! nothing is believed, and nothing is written. Up to 1.17 a join tried for five minutes all the same.

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};

use super::{Command, MINUTE, advice, becomes_node, machine, run, stays_away};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "wrong-pin",
    sentence: "The pin of a join command is another authority's: the join believes nothing.",
    reference: "by design: --discovery-token-ca-cert-hash",
    symptoms: &[
        "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:…\" are pinned",
    ],
    range: (8, 36),
    tell,
    real: InReal::Told(tell),
};

const FLAG: &str = "--discovery-token-ca-cert-hash";
const WORDS: &str =
    "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    play(settings, teller, false)?;
    advice(
        teller,
        &[
            "kubeadm token create --print-join-command prints the right one. By hand:",
            "  openssl x509 -pubkey -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, fault: bool) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let mut command = Command::print(stage, &[]).await?.with(&["--v=1"]);
        let right = command.at(FLAG)?.to_owned();
        if fault {
            let other = stage.certificate(CONTROL_PLANE, "/etc/kubernetes/pki/front-proxy-ca.crt")?;
            let other = other.public_key().pin();
            command.0.iter_mut().filter(|word| **word == right).for_each(|word| word.clone_from(&other));
            stage.say("A machine joins with the pin of front-proxy-ca.crt instead of ca.crt's.");
        } else {
            stage.say("\nControl run: the pin of ca.crt.");
        }
        let host = machine(stage, "node")?;
        let attempt = run(stage, &host, &command).await;
        if !fault {
            stage.check("it joins", attempt.joined && becomes_node(stage, "node").await, "");
            return Ok(());
        }
        let patient = settings.profile.discovery_begins_anew();
        let took = if patient { attempt.took == 5 * MINUTE } else { attempt.took < MINUTE };
        stage.check("it is refused", !attempt.joined && took, format!("after {:?}", attempt.took));
        // The pins themselves are shown as they are: they are no secret.
        let line = attempt
            .said
            .lines()
            .rev()
            .find(|line| line.contains("none of the public keys"))
            .unwrap_or_default();
        stage.check_words("in these words", line, &[WORDS, "are pinned"]);
        let written = host.disk().exists("/etc/kubernetes/bootstrap-kubelet.conf");
        stage.check("nothing is written", !written, "no bootstrap-kubelet.conf");
        stage.check("its node", stays_away(stage, "node").await, "never appears");
        Ok(())
    })
}
