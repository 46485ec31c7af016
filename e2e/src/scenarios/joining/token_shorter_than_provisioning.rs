//! token-shorter-than-provisioning: the token lives 15 minutes, the machine takes 20 to boot.
//!
//! kubernetes-sigs/cluster-api#2770 and #1433, where the token is put into the machine's user data before the
//! machine exists. The reported `Unauthorized` is that of releases up to 1.15, whose cleaner left an expired
//! token's signature in cluster-info: discovery went well, and the next request was refused. From 1.16 on the
//! machine waits five minutes for a signature instead. Cluster API answered with tokens that are prolonged until
//! the machine is there.

use chronoplane::ClusterOptions;
use jiff::SignedDuration;
use pki::token::{BootstrapToken, TokenSecret};
use world::rfc3339;

use super::{
    Command, MINUTE, SECRETS, advice, around, becomes_node, check_refused, clock, expiration, machine, run,
    secret,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "token-shorter-than-provisioning",
    sentence: "A join token of 15 minutes is over before its machine has booted: Unauthorized.",
    reference: "kubernetes-sigs/cluster-api#2770, #1433",
    symptoms: &["unable to fetch the kubeadm-config ConfigMap: failed to get config map: Unauthorized"],
    range: (13, 15),
    tell,
    real: InReal::Not("needs to elapse: a machine boots for twenty minutes"),
};

/// What happens while the machine boots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boot {
    /// It takes 20 minutes.
    Long,
    /// It takes ten.
    Short,
    /// It takes 20, and its token is prolonged meanwhile.
    Prolonged,
}

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, Boot::Long)?;
    play(settings, teller, Boot::Short)?;
    play(settings, teller, Boot::Prolonged)?;
    advice(
        teller,
        &[
            "Give tokens more time than the slowest machine needs, or prolong them until it is there: the key",
            "`expiration` of its Secret in kube-system. Cluster API does that, and has --bootstrap-token-ttl.",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, boot: Boot) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let command = Command::print(stage, &["--ttl=15m"]).await?;
        let token = command.token()?;
        let end = expiration(stage, &token).await?;
        match boot {
            Boot::Long => {
                let told = rfc3339(end);
                stage.say(format!("{} A machine is ordered; its token serves until {told}.", clock(stage)));
                let (before, after) = around(stage, &token, end).await?;
                stage.check("one second before its end", before.is_whole(), before.to_string());
                stage.check("one second after", after.code == 401, after.to_string());
                stage.cluster.elapse(5 * MINUTE).await;
                stage.say(format!("{} It has booted and joins.", clock(stage)));
            }
            Boot::Short => {
                stage.say("\nControl run: it boots in ten minutes.");
                stage.cluster.elapse(10 * MINUTE).await;
            }
            Boot::Prolonged => {
                stage.say("\nFixed run: twenty minutes, and after ten its token is prolonged by fifteen.");
                stage.cluster.elapse(10 * MINUTE).await;
                prolong(stage, &token).await?;
                stage.cluster.elapse(10 * MINUTE).await;
            }
        }
        let host = machine(stage, "node")?;
        let attempt = run(stage, &host, &command).await;
        match boot {
            Boot::Long => {
                check_refused(stage, &host, &attempt, &token).await;
                stage.check("its node", !becomes_node(stage, "node").await, "never appears");
            }
            _ => {
                stage.check("it joins", attempt.joined && becomes_node(stage, "node").await, attempt.error())
            }
        }
        Ok(())
    })
}

/// What Cluster API does with a token while its machine is not there.
async fn prolong(stage: &Stage, token: &BootstrapToken) -> Result<(), StoryError> {
    let found = secret(stage, token).await.ok_or_else(|| StoryError("the token is gone".into()))?;
    let mut read = TokenSecret::from_object(&found).map_err(StoryError::new)?;
    read.expiration = Some(stage.now() + SignedDuration::from_mins(15));
    let data = read.to_object()["data"].clone();
    let change = |secret: &mut serde_json::Value| secret["data"] = data.clone();
    let changed =
        stage.cluster.admin().modify(&SECRETS, Some("kube-system"), &token.secret_name(), None, change).await;
    changed.map(drop).map_err(StoryError::new)
}
