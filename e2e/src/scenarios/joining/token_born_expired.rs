//! token-born-expired: who issues join tokens has a clock an hour behind; they are over before they begin.
//!
//! kubernetes-sigs/cluster-api#6029. The end of a token is computed where it is made and judged where it is used:
//! by the token cleaner and the apiserver of the cluster that is joined. A management cluster that is behind by
//! more than its token's time (15 minutes there) makes tokens that the cleaner deletes at once. The issuer sees
//! no error: its write was accepted.

use std::time::Duration;

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use jiff::SignedDuration;
use pki::token::BootstrapToken;
use world::Wall;

use super::{
    Attempt, Command, MINUTE, advice, becomes_node, clock, is_signed, join, machine, run_in_vain, secret,
    unsigned_words,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "token-born-expired",
    sentence: "The issuer's clock is an hour behind: its tokens of 15 minutes are deleted as soon as they are made.",
    reference: "kubernetes-sigs/cluster-api#6029",
    symptoms: &[
        "could not find a JWS signature in the cluster-info ConfigMap for token ID \"…\"",
        "token id \"…\" is invalid for this cluster or it has expired",
    ],
    range: (10, 36),
    tell,
    real: InReal::Told(tell),
};

const ADMIN: &str = "/etc/kubernetes/admin.conf";
const ISSUER: &str = "manager";
const TTL: &str = "--ttl=15m";
/// For the controllers to act.
const MOMENT: Duration = Duration::from_millis(300);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    fault(settings, teller)?;
    control(settings, teller)?;
    advice(
        teller,
        &[
            "Set the issuer's clock (NTP). Until then give tokens more time than the clocks differ:",
            "  kubeadm token create --ttl 2h; for Cluster API the flag --bootstrap-token-ttl.",
        ],
    );
    Ok(())
}

/// Another host with the administrator's kubeconfig, after two hours of the cluster's life: a clock that is behind must
/// still find its certificates valid.
async fn set_up(stage: &Ground) -> Result<(), StoryError> {
    stage.later(120 * MINUTE).await;
    let text = stage.control_plane().disk().read(ADMIN).map_err(StoryError::new)?;
    stage.host(ISSUER)?.disk().write(ADMIN, text, 0o600).map_err(StoryError::new)
}

/// A token from the issuer, made at a whole second of the cluster's clock: ends are told in seconds.
async fn issue(stage: &Ground, ttl: &str) -> Result<(BootstrapToken, bool, bool), StoryError> {
    let next = Wall::from_second(stage.now().as_second() + 1).map_err(StoryError::new)?;
    stage.at(next).await?;
    let printed = stage.kubeadm(&stage.host(ISSUER)?, &["token", "create", ttl]).await?;
    let token: BootstrapToken = printed.trim().parse().map_err(StoryError::new)?;
    let state = async || (secret(stage, &token).await.is_some(), is_signed(stage, &token).await);
    // Both controllers have acted when it is gone, or there and signed.
    stage.give(MOMENT, async || Some(state().await).filter(|(there, signed)| there == signed)).await;
    let (there, signed) = state().await;
    Ok((token, there, signed))
}

async fn use_it(
    stage: &Ground,
    name: &str,
    token: &BootstrapToken,
    in_vain: bool,
) -> Result<Attempt, StoryError> {
    let mut command = Command::print(stage, &[]).await?;
    let own = command.token()?.reveal();
    command.0.iter_mut().filter(|word| **word == own).for_each(|word| *word = token.reveal());
    let command = command.with(&["--v=1"]);
    if in_vain {
        return Ok(run_in_vain(stage, &machine(stage, name)?, &command).await?.0);
    }
    join(stage, name, &command).await
}

fn fault(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        set_up(stage).await?;
        stage.say(format!(
            "{} The issuer's clock falls behind; its tokens live 15 minutes, by that clock.",
            clock(stage)
        ));
        let quarter = SignedDuration::from_mins(15);
        let second = SignedDuration::from_secs(1);
        let seen = |there: bool| if there { "the token is there" } else { "the token is gone" };
        // On which side of a second a token ends shall not hang on the machine's pace.
        let still = stage.still();
        stage.step(ISSUER, second - quarter);
        let (_, there, signed) = issue(stage, TTL).await?;
        stage.check("behind by 14 min 59 s", there && signed, format!("{}, signed {signed}", seen(there)));
        stage.step(ISSUER, -second - second);
        let (_, there, signed) = issue(stage, TTL).await?;
        stage.check("behind by 15 min 1 s", !there && !signed, format!("{}, signed {signed}", seen(there)));
        stage.step(ISSUER, SignedDuration::from_mins(-45) + second);
        let (token, there, signed) = issue(stage, TTL).await?;
        stage.check("behind by an hour", !there && !signed, format!("{}, signed {signed}", seen(there)));
        drop(still);
        let name = token.secret_name();
        let log = stage.log(CONTROL_PLANE, "kube-controller-manager", "token");
        let line = log.iter().find(|line| line.contains(&name)).cloned().unwrap_or_default();
        stage.check_words("the controller manager's word", line, &["expired"]);
        let attempt = use_it(stage, "node", &token, true).await?;
        let words = unsigned_words(settings.profile, token.id());
        let line = attempt.said.lines().find(|line| line.contains(&words)).unwrap_or_default();
        stage.check("a join with it", !attempt.joined, format!("fails after {:?}", attempt.took));
        stage.check_words("  in these words", line, &[&words]);
        let (token, there, signed) = issue(stage, "--ttl=2h").await?;
        let attempt = use_it(stage, "node2", &token, false).await?;
        let joined = attempt.joined && becomes_node(stage, "node2").await;
        stage.check("with --ttl=2h, an hour is left", there && signed && joined, "it joins");
        Ok(())
    })
}

fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        set_up(stage).await?;
        stage.say("\nControl run: the issuer's clock is right.");
        let (token, there, signed) = issue(stage, TTL).await?;
        let attempt = use_it(stage, "node", &token, false).await?;
        let joined = attempt.joined && becomes_node(stage, "node").await;
        stage.check("a token of 15 minutes", there && signed && joined, "there, signed, and it joins");
        Ok(())
    })
}
