//! join-token-expired: somebody joins a machine with the command of yesterday, and kubeadm hangs without a word.
//!
//! kubernetes/kubernetes#86936. The token cleaner deletes a token at its end and the signer takes its signature
//! out of cluster-info. A join looks for that signature every five seconds for five minutes; what it misses it
//! tells in a log that is silent without `--v` (since 1.14). Up to 1.17 it did not tell even in the end. Up to
//! 1.15 the signature stayed, and the join failed at once with 401: see token-cleaner-misses.

use api::profile::Profile;
use chronoplane::ClusterOptions;
use world::rfc3339;

use super::{
    Command, MINUTE, State, advice, around, becomes_node, check_refused, clock, expiration, join, machine,
    run, unsigned_words,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "join-token-expired",
    sentence: "kubeadm join hangs for five minutes with an expired token; why, it tells only with --v.",
    reference: "kubernetes/kubernetes#86936, kubernetes/kubeadm#1988",
    symptoms: &[
        "couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info ConfigMap for token ID \"…\"",
        "couldn't validate the identity of the API Server: abort connecting to API servers after timeout of 5m0s",
        "The cluster-info ConfigMap does not yet contain a JWS signature for token ID \"…\", will try again",
        "Failed to connect to API Server \"…\": token id \"…\" is invalid for this cluster or it has expired",
    ],
    range: (16, 36),
    tell,
    real: InReal::Not(
        "needs to elapse: the token cleaner sleeps until the token ends, and the join waits for five minutes",
    ),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    fault(settings, teller)?;
    control(settings, teller)?;
    advice(
        teller,
        &[
            "kubeadm token list            is it there, and for how long?",
            "kubeadm token create --print-join-command",
            "A join that says nothing is asked with --v=1.",
        ],
    );
    Ok(())
}

fn fault(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let command = Command::print(stage, &["--ttl=1h"]).await?;
        let token = command.token()?;
        let end = expiration(stage, &token).await?;
        stage.say(format!(
            "{} A join command is made; its token lives an hour, until {}.",
            clock(stage),
            rfc3339(end)
        ));
        let (before, after) = around(stage, &token, end).await?;
        stage.check("one second before its end", before.is_whole(), before.to_string());
        let gone = settings.profile.token_cleaner_looks_again();
        let held = after.there != gone && after.signed != gone && after.code == 401;
        stage.check("one second after", held, after.to_string());

        stage.cluster.elapse(MINUTE).await;
        stage.say(format!("{} A machine runs the command.", clock(stage)));
        let host = machine(stage, "late")?;
        let attempt = run(stage, &host, &command).await;
        if settings.profile.token_cleaner_looks_again() {
            let silent = attempt.took == 5 * MINUTE && !attempt.said.contains("[discovery]");
            stage.check("for five minutes it says nothing", silent, format!("{:?}", attempt.took));
        }
        check_refused(stage, &host, &attempt, &token).await;
        if settings.profile.token_cleaner_looks_again() {
            let told = join(stage, "later", &command.with(&["--v=1"])).await?;
            let words = logged_words(settings.profile, token.id());
            let line =
                told.said.lines().find(|line| line.starts_with("[discovery]") && line.contains(&words));
            stage.check_words("with --v=1 it tells every 5 s", line.unwrap_or_default(), &[&words]);
        }

        let fresh = Command::print(stage, &[]).await?;
        let again = join(stage, "later2", &fresh).await?;
        let there = becomes_node(stage, "later2").await;
        stage.check("with a new token", again.joined && there, "it joins");
        Ok(())
    })
}

/// What its log says of a token without a signature.
fn logged_words(profile: Profile, id: &str) -> String {
    match profile.minor() {
        18..=29 => format!("does not yet contain a JWS signature for token ID {id:?}, will try again"),
        _ => unsigned_words(profile, id),
    }
}

/// The same hour with a token of a day.
fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let command = Command::print(stage, &[]).await?;
        stage.cluster.elapse(62 * MINUTE).await;
        let state = State::now(stage, &command.token()?).await?;
        let attempt = join(stage, "late", &command).await?;
        let there = becomes_node(stage, "late").await;
        stage.say("\nControl run: the same with a token of a day.");
        stage.check(
            "after that hour",
            state.is_whole() && attempt.joined && there,
            format!("it joins in {:?}", attempt.took),
        );
        Ok(())
    })
}
