//! kubelet-off-overnight: a node that is switched off for the night does not come back.
//!
//! kubernetes/kubernetes#65991, seen with 1.10: certificates of a day, nodes that are deallocated overnight. In the
//! morning the kubelet sees that its kubeconfig's certificate is over, bootstraps again with a token that never ends,
//! and then shows the apiserver the certificate of yesterday.
//!
//! The source of 1.9 and 1.10 says why. The bootstrap keeps its certificate in kubelet-client.crt, rotation keeps its
//! own behind kubelet-client-current.pem, and the certificate manager prefers the latter without a look at its dates.
//! So it takes a rotation before that night: who never rotated has no link and comes back. Each start is the same
//! again, because the kubeconfig's certificate is now good. From 1.11 on (#62152) a bootstrap writes behind the link.
//! Before 1.9 nobody looked at the kubeconfig at all: the kubelet would not even bootstrap, and not end either.

use chronoplane::ClusterOptions;

use super::{
    CONF, CURRENT, DAY, HOUR, MINUTE, NODE, PKI, bootstrap_file, clock, current, end, exits, known, mark,
    ready, remove, restart, said, until_rotated, upstream,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "kubelet-off-overnight",
    sentence: "A node is off past the end of its certificate: the kubelet bootstraps again, but keeps the expired one.",
    reference: "kubernetes/kubernetes#65991",
    symptoms: &[
        "part of the existing bootstrap client certificate … is expired:",
        "The currently active client certificate has expired and the server is responsive, exiting.",
    ],
    range: (9, 10),
    tell,
    real: InReal::Not(
        "needs to elapse: the kubelet rotates by a timer that a step does not move, and only then is the node switched off",
    ),
};

/// The release that keeps both certificates in one place.
const FIXED: u16 = 11;

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    night(settings, teller, true)?;
    teller.say("");
    briefly(teller, "Control run, off for an hour", || night(settings, teller, false))?;
    if settings.profile.minor() < FIXED {
        let profile = api::profile::Profile::of_minor(FIXED).unwrap_or_default();
        let fixed = Settings { profile, ..settings.clone() };
        briefly(teller, "The same night with 1.11", || night(&fixed, teller, true))?;
    }
    end(
        settings,
        teller,
        &[
            "In a real cluster: remove /var/lib/kubelet/pki/kubelet-client-current.pem and restart the kubelet, or",
            "upgrade to 1.11. The bootstrap needs a token that still lives: kubeadm's end after a day.",
        ],
    );
    Ok(())
}

fn night(settings: &Settings, teller: &Teller, long: bool) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, signing_duration: Some(DAY), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        bootstrap_file(stage, NODE, "0").await?;
        until_rotated(stage, NODE, DAY).await?;
        let yesterday = current(stage, NODE)?;
        stage.say(format!(
            "{}: {NODE} has rotated to a certificate until {} and is switched off.",
            clock(stage.now()),
            clock(yesterday.not_after())
        ));
        let host = stage.host(NODE);
        host.halt().await;
        if long {
            let look = async || known(stage, NODE).await;
            let (before, after) = stage.edge("cp1", yesterday.not_after(), look).await?;
            stage.check(
                "one second before its end",
                before.0 == 200,
                format!("{} GET node {NODE}", before.0),
            );
            stage.check("one second after", after.0 == 401, format!("{} {}", after.0, after.1));
            stage.cluster.elapse(10 * HOUR).await;
        } else {
            stage.cluster.elapse(HOUR).await;
        }
        stage.say(format!("{}: {NODE} is switched on.", clock(stage.now())));
        let since = mark(stage);
        host.boot();
        upstream(stage, MINUTE + MINUTE / 2).await;
        morning(stage, long, since).await
    })
}

async fn morning(stage: &Stage, long: bool, since: usize) -> Result<(), StoryError> {
    let minor = stage.settings.profile.minor();
    let (count, last) = exits(stage, NODE, since);
    if !long || minor >= FIXED {
        stage.check("the node", ready(stage, NODE).await == "True", "Ready");
        stage.check("its kubelet runs on", count == 0 && known(stage, NODE).await.0 == 200, last);
        return Ok(());
    }
    let sees = "part of the existing bootstrap client certificate";
    if minor >= 9 {
        stage.check_words(
            "its kubelet, at its start",
            said(stage, NODE, "bootstrap", sees),
            &[sees, "is expired:"],
        );
        let fresh = stage.cluster.certificate(NODE, &format!("{PKI}/kubelet-client.crt"))?;
        let until = fresh.not_after();
        stage.check(
            "it bootstraps",
            until > stage.now(),
            format!("kubelet-client.crt until {}", clock(until)),
        );
        let words =
            "The currently active client certificate has expired and the server is responsive, exiting.";
        stage.check_words("and ends", last, &[words]);
        stage.check("again and again", count >= 4, format!("{count} times in 90 seconds"));
    } else {
        stage.check("it does not bootstrap", said(stage, NODE, "bootstrap", sees).is_empty(), "");
        stage.check("and does not end", count == 0, "every request of it gets 401 Unauthorized");
    }
    let (code, words) = known(stage, NODE).await;
    stage.check(
        "what it shows the apiserver",
        code == 401,
        format!("kubelet-client-current.pem: {code} {words}"),
    );
    stage.check("the node", ready(stage, NODE).await.starts_with("Unknown"), ready(stage, NODE).await);
    remove(stage, NODE, CURRENT)?;
    if minor < 9 {
        // Only without a kubeconfig it asks for a certificate.
        remove(stage, NODE, CONF)?;
    }
    restart(stage, NODE).await;
    stage.cluster.elapse(MINUTE).await;
    let healed = ready(stage, NODE).await;
    stage.check("without the link, after a restart", healed == "True", healed.clone());
    Ok(())
}
