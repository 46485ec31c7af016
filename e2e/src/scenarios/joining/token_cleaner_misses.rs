//! token-cleaner-misses: expired join tokens stay for ever.
//!
//! kubernetes/kubernetes#77505, fixed in 1.16 by #77713. The cleaner looked at a token when it was made or
//! changed and did not come back at its end; only an edit or a new start of the controller manager took it away.
//! The token served nobody, for the apiserver judges the end itself; but its signature stayed in cluster-info, so
//! that a join with it got through discovery and then met 401. Secrets of `--upload-certs`, which end with a
//! token, stayed too.

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use pki::token::BootstrapToken;

use super::{
    Command, MINUTE, SECRETS, State, advice, around, check_refused, clock, expiration, machine, run,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "token-cleaner-misses",
    sentence: "The token cleaner does not come back when a token expires: it stays, useless and listed as <invalid>.",
    reference: "kubernetes/kubernetes#77505",
    symptoms: &["<invalid> … authentication,signing"],
    range: (8, 15),
    tell,
    real: InReal::Not("needs to elapse: a cleaner that sleeps until the token ends is seen not to wake"),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    fault(settings, teller, settings.profile.token_cleaner_looks_again())?;
    control(settings, teller)?;
    if !settings.profile.token_cleaner_looks_again() {
        let fixed = api::profile::Profile::of_minor(16).map_err(StoryError::new)?;
        teller.say(format!("\nFixed run: the same with {}.", fixed.git_version()));
        fault(&Settings { profile: fixed, ..settings.clone() }, teller, true)?;
    }
    advice(
        teller,
        &[
            "Before 1.16: restart kube-controller-manager now and then, or",
            "  kubeadm token list | grep invalid, and kubeadm token delete <id>.",
        ],
    );
    Ok(())
}

/// How `kubeadm token list` shows it; empty when it does not. The secret half stays unshown.
async fn row(stage: &Stage, token: &BootstrapToken) -> Result<String, StoryError> {
    let listed = stage.cluster.kubeadm(&stage.host(CONTROL_PLANE), &["token", "list"]).await?;
    let row = listed.lines().find(|line| line.contains(token.id())).unwrap_or_default();
    let shown = row.replace(&token.reveal(), token.id());
    Ok(shown.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn fault(settings: &Settings, teller: &Teller, cleaned: bool) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let command = Command::print(stage, &["--ttl=5m"]).await?;
        let token = command.token()?;
        let end = expiration(stage, &token).await?;
        stage.say(format!("{} A token of five minutes is made.", clock(stage)));
        let (before, after) = around(stage, &token, end).await?;
        stage.check("one second before its end", before.is_whole(), before.to_string());
        let held = after.there != cleaned && after.signed != cleaned && after.code == 401;
        stage.check("one second after", held, after.to_string());
        if cleaned {
            let seen = row(stage, &token).await?;
            stage.check("kubeadm token list", seen.is_empty(), "does not show it");
            return Ok(());
        }
        stage.cluster.elapse(24 * 60 * MINUTE).await;
        let state = State::now(stage, &token).await?;
        stage.check("a day later", state.there && state.signed && state.code == 401, state.to_string());
        let words = ["<invalid>", "authentication,signing"];
        stage.check_words("kubeadm token list", row(stage, &token).await?, &words);
        let host = machine(stage, "node")?;
        let attempt = run(stage, &host, &command).await;
        stage.say(format!("{} A machine runs the join command of yesterday.", clock(stage)));
        check_refused(stage, &host, &attempt, &token).await;
        let label = |secret: &mut serde_json::Value| secret["metadata"]["labels"]["seen"] = "yes".into();
        let name = token.secret_name();
        let edited = stage.cluster.admin().modify(&SECRETS, Some("kube-system"), &name, None, label).await;
        edited.map_err(StoryError::new)?;
        stage.cluster.elapse(MINUTE / 60).await;
        let state = State::now(stage, &token).await?;
        stage.check("somebody labels it: it is gone", !state.there && !state.signed, state.to_string());
        Ok(())
    })
}

/// A token that is not over is there at that instant, whatever the release.
fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let command = Command::print(stage, &[]).await?;
        let token = command.token()?;
        stage.cluster.elapse(6 * MINUTE).await;
        let state = State::now(stage, &token).await?;
        let row = row(stage, &token).await?;
        stage.say("\nControl run: a token of a day, after those five minutes.");
        let ttl = row.split_whitespace().nth(1).unwrap_or_default();
        let seen = format!("{state}; kubeadm token list: {ttl}");
        stage.check("it is there, and serves", state.is_whole() && ttl == "23h", seen);
        Ok(())
    })
}
