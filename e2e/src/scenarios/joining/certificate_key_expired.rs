//! certificate-key-expired: a control plane is joined with the command of this morning, and its certificate key
//! opens nothing any more.
//!
//! kubernetes/kubeadm#1886. `--upload-certs` encrypts the authorities with the key, puts them into the Secret
//! kubeadm-certs and makes a token of two hours, without any use, its owner: the token cleaner deletes the token,
//! and the garbage collector the Secret. The join token beside it lives a day, so that workers still join. In
//! 1.14 and 1.15 the cleaner did not come back at the token's end (token-cleaner-misses), and the Secret stayed.

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use pki::token::TokenSecret;
use world::{Host, Wall, rfc3339};

use super::{Attempt, Command, MINUTE, SECRETS, advice, clock, machine, run};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "certificate-key-expired",
    sentence: "Uploaded certificates are gone after two hours: control planes cannot join, workers can.",
    reference: "kubernetes/kubeadm#1886",
    symptoms: &[
        "error downloading certs: error downloading the secret: Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired",
        "error decoding secret data with provided key: cipher: message authentication failed",
    ],
    range: (16, 36),
    tell,
    real: InReal::Not("needs to elapse: the token cleaner sleeps for two hours until the token ends"),
};

const CERTS: &str = "kubeadm-certs";
const LOST: &str =
    "Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    if !settings.profile.init_phases().contains(&"upload-certs") {
        return before_uploads(settings, teller);
    }
    fault(settings, teller)?;
    control(settings, teller)?;
    advice(
        teller,
        &[
            "On a control plane, for the next two hours:",
            "  kubeadm init phase upload-certs --upload-certs",
            "  kubeadm token create --print-join-command --certificate-key <the key that it prints>",
        ],
    );
    Ok(())
}

/// `kubeadm init phase upload-certs --upload-certs` on the control plane: the key.
async fn upload(stage: &Stage) -> Result<String, StoryError> {
    let cp = stage.host(CONTROL_PLANE);
    let said = stage.cluster.kubeadm(&cp, &["init", "phase", "upload-certs", "--upload-certs"]).await?;
    let key = said.split("Using certificate key:").nth(1).and_then(|rest| rest.split_whitespace().next());
    key.map(str::to_owned).ok_or_else(|| StoryError(format!("kubeadm printed no certificate key: {said}")))
}

/// The command for a further control plane, as far as it fetches the certificates.
async fn command(stage: &Stage, key: &str) -> Result<Command, StoryError> {
    let whole = Command::print(stage, &["--certificate-key", key]).await?;
    let mut words = whole.0;
    words.splice(1..1, ["phase", "control-plane-prepare", "download-certs"].map(str::to_owned));
    Ok(Command(words))
}

/// A cluster that takes control planes, its uploaded certificates and their end.
async fn set_up(stage: &Stage) -> Result<(String, Wall), StoryError> {
    let cp = stage.host(CONTROL_PLANE);
    let endpoint = format!("--control-plane-endpoint={}", cp.net().address());
    stage.cluster.kubeadm(&cp, &["init", "phase", "upload-config", "kubeadm", &endpoint]).await?;
    let key = upload(stage).await?;
    let secret =
        stage.cluster.admin().get(&SECRETS, Some("kube-system"), CERTS).await.map_err(StoryError::new)?;
    let owner = secret.pointer("/metadata/ownerReferences/0/name").and_then(|name| name.as_str());
    let owner = owner.ok_or_else(|| StoryError("the Secret has no owner".into()))?;
    let token =
        stage.cluster.admin().get(&SECRETS, Some("kube-system"), owner).await.map_err(StoryError::new)?;
    let end = TokenSecret::from_object(&token).map_err(StoryError::new)?.expiration;
    Ok((key, end.ok_or_else(|| StoryError("the owner has no end".into()))?))
}

async fn there(stage: &Stage) -> bool {
    stage
        .cluster
        .admin()
        .get_opt(&SECRETS, Some("kube-system"), CERTS)
        .await
        .is_ok_and(|found| found.is_some())
}

fn has_keys(host: &Host) -> bool {
    host.disk().exists("/etc/kubernetes/pki/ca.key")
}

async fn fetch(stage: &Stage, name: &str, key: &str) -> Result<(Host, Attempt), StoryError> {
    let host = machine(stage, name)?;
    let attempt = run(stage, &host, &command(stage, key).await?).await;
    Ok((host, attempt))
}

fn fault(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let (key, end) = set_up(stage).await?;
        stage.say(format!(
            "{} kubeadm init --upload-certs: certificates for two hours, until {}.",
            clock(stage),
            rfc3339(end)
        ));
        let (before, mut after) = stage.edge(CONTROL_PLANE, end, async || there(stage).await).await?;
        // Not the cleaner but the garbage collector takes the Secret, a moment later.
        stage.cluster.elapse(MINUTE / 20).await;
        after &= there(stage).await;
        let cleaned = settings.profile.token_cleaner_looks_again();
        let seen = |there| if there { "kubeadm-certs is there" } else { "kubeadm-certs is gone" };
        stage.check("one second before their end", before, seen(before));
        stage.check("after it", after != cleaned, seen(after));
        stage.say(format!("{} A second control plane joins with that key.", clock(stage)));
        let (host, attempt) = fetch(stage, "cp2", &key).await?;
        if !cleaned {
            stage.check(
                "in this release it still can",
                attempt.joined && has_keys(&host),
                "the cleaner did not come back",
            );
            return Ok(());
        }
        stage.check_words("it cannot", attempt.error(), &[LOST]);
        stage.check("nothing was written", !has_keys(&host), "no ca.key");

        let new = upload(stage).await?;
        stage.say(format!("{} The certificates are uploaded again: another key.", clock(stage)));
        let (host, attempt) = fetch(stage, "cp3", &key).await?;
        let refused = !attempt.joined && !has_keys(&host);
        let words = "error decoding secret data with provided key: cipher: message authentication failed";
        stage.check_words("with the old key", attempt.error(), &[words]);
        let (host, attempt) = fetch(stage, "cp4", &new).await?;
        stage.check("with the new one", refused && attempt.joined && has_keys(&host), "ca.key is there");
        Ok(())
    })
}

fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let (key, end) = set_up(stage).await?;
        stage.cluster.at(end - jiff::SignedDuration::from_mins(1)).await?;
        stage.say("\nControl run: it joins a minute before the two hours are over.");
        let (host, attempt) = fetch(stage, "cp2", &key).await?;
        stage.check("it can", attempt.joined && has_keys(&host), "ca.key is there");
        Ok(())
    })
}

/// Up to 1.13 the files were copied by hand.
fn before_uploads(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let refused = upload(stage).await.err().map(|e| e.0).unwrap_or_default();
        stage.say("This release uploads no certificates: people copy them to further control planes, and nothing ends.");
        stage.check_words(
            "upload-certs is no phase of it",
            refused.lines().next().unwrap_or_default(),
            &["upload-certs"],
        );
        Ok(())
    })
}
