//! kubelet-jump-year: the clocks jump a year ahead, and a kubelet says of a healthy server that it is not responsive.
//!
//! kubernetes/kubernetes#92676 and #96256: somebody tests rotation with `date -s`, a year ahead. The kubelet's
//! certificate is over, it neither renews nor exits, and its log says every ten seconds that the server is not
//! responsive.
//!
//! The server is well, and the words do not come from looking at it. A kubelet remembers how its last attempt at a
//! rotation went; a kubelet that was restarted while its certificate was valid has made none, and that memory begins
//! as "not healthy". No attempt follows either: the wait for the rotation runs on the monotonic clock, which a step
//! does not move. A kubelet that got its certificate in this very life (from 1.14 on a fresh node has) remembers a
//! healthy server and exits five minutes later, to die at its missing bootstrap kubeconfig. 1.8 knew neither word.

use chronoplane::ClusterOptions;
use jiff::SignedDuration;

use super::{
    BOOTSTRAP, CONF, DAY, MINUTE, NO_BOOTSTRAP, NODE, asked, bootstrap_file, clock, current, deadline, end,
    exits, jump, known, mark, ready, remove, restart, said, upstream,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "kubelet-jump-year",
    sentence: "The clocks jump past the end of a kubelet's certificate: it calls the server unresponsive, and neither exits nor renews.",
    reference: "kubernetes/kubernetes#92676, #96256",
    symptoms: &[
        "The currently active client certificate has expired, but the server is not responsive. A restart may be necessary to retrieve new initial credentials.",
        "It has been 5m0s since a valid client cert was found, but the server is not responsive. A restart may be necessary to retrieve new initial credentials.",
        "No valid client certificate is found but the server is not responsive. A restart may be necessary to retrieve new initial credentials.",
    ],
    range: (9, 36),
    tell,
    real: InReal::Not(
        "needs to elapse: for five minutes of its running time the kubelet has no certificate before it acts",
    ),
};

/// What both of a kubelet's lines end with.
const NOT_RESPONSIVE: &str =
    "but the server is not responsive. A restart may be necessary to retrieve new initial credentials.";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, jumped)?;
    teller.say("");
    briefly(teller, "Control run, a jump of 30 days", || play(settings, teller, within))?;
    if settings.profile.minor() >= 14 {
        teller.say("\nThe same jump, and the kubelet was not restarted since it joined:");
        play(settings, teller, unrestarted)?;
    }
    end(
        settings,
        teller,
        &[
            "In a real cluster: believe the certificate, not the words about the server. Set the clock right and restart",
            "the kubelet; if the time was right, give the node a bootstrap kubeconfig (kubeadm token create) and restart.",
            "Test rotation with short certificates instead of a jump. No release changes this.",
        ],
    );
    Ok(())
}

fn play(
    settings: &Settings,
    teller: &Teller,
    act: impl AsyncFnOnce(&Stage) -> Result<(), StoryError>,
) -> Result<(), StoryError> {
    // Else the server's own certificate would end with the same jump.
    let options =
        ClusterOptions { nodes: 1, leaf_validity: Some(4 * 366 * DAY), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, act)
}

async fn jumped(stage: &Stage) -> Result<(), StoryError> {
    stage.cluster.elapse(DAY).await;
    restart(stage, NODE).await;
    let (end, sleeps) = (current(stage, NODE)?.not_after(), deadline(stage, NODE));
    stage.say(format!(
        "{}: the kubelet of {NODE} is restarted; its certificate lives until {}, its timer until {}.",
        clock(stage.now()),
        clock(end),
        sleeps.map(clock).unwrap_or_default()
    ));
    jump(stage, end - SignedDuration::from_secs(1));
    let before = known(stage, NODE).await;
    stage.cluster.elapse(super::SECOND * 2).await;
    let after = known(stage, NODE).await;
    stage.check(
        "stepped to a second before the end",
        before.0 == 200,
        format!("{} GET node {NODE}", before.0),
    );
    stage.check("one second after", after.0 == 401, format!("{} {}", after.0, after.1));
    jump(stage, end + SignedDuration::from_hours(24));
    let since = mark(stage);
    upstream(stage, 6 * MINUTE).await;
    stage.say(format!("{}: six minutes on a stepped clock.", clock(stage.now())));
    let (server, _) = stage.get("/healthz").await;
    stage.check("the server, to anybody else", server == 200, format!("/healthz {server}"));
    let (_, waiting) = stage.settings.profile.without_certificate();
    let lines = stage.log(NODE, "kubelet", "client").iter().filter(|line| line.as_str() == waiting).count();
    if waiting.is_empty() {
        stage.check("the kubelet says nothing", said(stage, NODE, "client", "responsive").is_empty(), "");
    } else {
        stage.check_words("the kubelet", said(stage, NODE, "client", "responsive"), &[NOT_RESPONSIVE]);
        stage.check("every ten seconds", lines >= 5, format!("{lines} such lines"));
    }
    stage.check("it does not exit", exits(stage, NODE, since).0 == 0, "");
    stage.check("it does not renew", asked(stage, NODE, since) == 0, "no request");
    let lost = ready(stage, NODE).await;
    stage.check("the node", lost.starts_with("Unknown"), lost.clone());
    restart(stage, NODE).await;
    stage.cluster.elapse(MINUTE / 6).await;
    if !stage.host(NODE).disk().exists(BOOTSTRAP) {
        stage.check_words("after a restart", exits(stage, NODE, since).1, &[NO_BOOTSTRAP]);
    }
    bootstrap_file(stage, NODE, "24h").await?;
    if stage.settings.profile.kubeconfig_taken_unseen() {
        // It only bootstraps without one.
        remove(stage, NODE, CONF)?;
    }
    restart(stage, NODE).await;
    stage.cluster.elapse(MINUTE).await;
    let healed = ready(stage, NODE).await;
    stage.check("with a bootstrap kubeconfig", healed == "True", healed.clone());
    Ok(())
}

async fn within(stage: &Stage) -> Result<(), StoryError> {
    stage.cluster.elapse(DAY).await;
    restart(stage, NODE).await;
    let since = mark(stage);
    jump(stage, stage.now() + SignedDuration::from_hours(30 * 24));
    upstream(stage, 6 * MINUTE).await;
    stage.check("known", known(stage, NODE).await.0 == 200, "");
    stage.check("no words", said(stage, NODE, "client", "responsive").is_empty(), "");
    stage.check("no exit", exits(stage, NODE, since).0 == 0, "");
    stage.check("ready", ready(stage, NODE).await == "True", "");
    Ok(())
}

async fn unrestarted(stage: &Stage) -> Result<(), StoryError> {
    stage.cluster.elapse(DAY).await;
    let (end, since) = (current(stage, NODE)?.not_after(), mark(stage));
    jump(stage, end + SignedDuration::from_hours(24));
    upstream(stage, 6 * MINUTE).await;
    let (ending, _) = stage.settings.profile.without_certificate();
    let events = stage.sim().events();
    let ended = events.iter().any(|e| e.host == NODE && e.fields.iter().any(|(_, v)| v == ending));
    stage.check("it exits", ended, ending);
    stage.check_words("and starts in vain", exits(stage, NODE, since).1, &[NO_BOOTSTRAP]);
    Ok(())
}
