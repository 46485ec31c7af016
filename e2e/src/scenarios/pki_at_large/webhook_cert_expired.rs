//! webhook-cert-expired: the certificate of an admission webhook ends, and nobody renewed it.
//!
//! cert-manager and most charts make certificates of 90 days. The apiserver looks at it when it opens a connection, so
//! the end shows at the webhook's next restart or when an idle connection is closed, minutes or days later. From then
//! on failurePolicy decides: with Fail every write of the kinds that the webhook is asked about is refused, with an
//! error that names the webhook and not the certificate's owner; with Ignore they are all let through, unchanged and
//! unjudged, and nobody is told.

use std::{cell::Cell, time::Duration};

use api::object::ObjectExt;
use chronoplane::cluster::CONTROL_PLANE;
use client::Resource;
use serde_json::json;

use super::{DAY, EXPIRED, line, shown};
use crate::{
    catalogue::{Entry, InReal},
    pod_webhook::{LABEL, NAME, PORT, PodWebhook},
    scenarios::{Ground, briefly, config, verdict},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "webhook-cert-expired",
    sentence: "A webhook's certificate ends: every write of its kinds is refused, or let through without a word.",
    reference: "a common one: cert-manager's 90 days, and charts that make their certificate once",
    symptoms: &[
        "Internal error occurred: failed calling webhook \"…\": failed to call webhook: Post \"https://…\": … x509: certificate has expired or is not yet valid",
    ],
    range: (16, 36),
    tell,
    real: InReal::Told(tell),
};

const HOST: &str = "hooks";
const SPACE: &str = "apps";
const PODS: Resource = Resource::core("pods");
const MAPS: Resource = Resource::core("configmaps");

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, "Fail", 90 * DAY)?;
    play(settings, teller, "Ignore", 90 * DAY)?;
    briefly(teller, "Control run, the same looks with a certificate of ten years", || {
        play(settings, teller, "Fail", 3650 * DAY)
    })?;
    teller.say(
        "\nIn a real cluster: renew and restart the webhook; to be able to, exempt its own namespace by",
    );
    teller.say("namespaceSelector. Watch apiserver_admission_webhook_fail_open_count for the silent kind.");
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, policy: &str, lasts: Duration) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), <_>::default(), async |stage| {
        let host = stage.host(HOST)?;
        let at = std::net::SocketAddr::from(([0, 0, 0, 0], PORT));
        let mut webhook = PodWebhook::start(&host, at, lasts).await.map_err(StoryError::new)?;
        webhook.register(stage.admin(), policy).await.map_err(StoryError::new)?;
        space(stage).await?;
        let ends = lasts == 90 * DAY;
        let end = if ends { webhook.not_after().unwrap_or_default() } else { stage.now() + 90 * DAY };
        stage.say(format!(
            "A webhook labels pods, failurePolicy {policy}; its certificate ends {} UTC.",
            shown(end)
        ));
        let count = Cell::new(0);
        let look = async || pod(stage, &count).await;
        let (before, after) = stage.edge(CONTROL_PLANE, end, look).await?;
        let (before, after) = (before?, after?);
        stage.check("a pod one second before", before.0.0 == 200 && before.1, "made, and labelled");
        outcome(stage, policy, ends, &after);
        let map = json!({"metadata": {"name": "other"}});
        let other = verdict(&stage.admin().create(&MAPS, Some(SPACE), &map).await);
        stage.check("a config map: other kinds", other.0 == 200, line(&other));
        webhook.renew(90 * DAY).await.map_err(StoryError::new)?;
        let healed = pod(stage, &count).await?;
        stage.check("a pod after the webhook's renewal", healed.0.0 == 200 && healed.1, "made, and labelled");
        Ok(())
    })
}

fn outcome(stage: &Ground, policy: &str, ends: bool, after: &((u16, String), bool)) {
    let ((code, words), labelled) = after;
    match (ends, policy) {
        (true, "Fail") => {
            let start = "Internal error occurred: failed calling webhook \"";
            let held = *code == 500 && words.starts_with(start) && words.contains(EXPIRED);
            stage.check("one second after", held, "");
            stage.say(format!("      {code} {words}"));
        }
        (true, _) => {
            let seen = "made, not labelled, and nobody is told";
            stage.check("one second after", *code == 200 && !labelled, seen);
        }
        (false, _) => stage.check("one second after", *code == 200 && *labelled, line(&after.0)),
    }
}

/// Makes one more pod: the answer, and whether the webhook has labelled it.
async fn pod(stage: &Ground, count: &Cell<u32>) -> Result<((u16, String), bool), StoryError> {
    // What is open stays open; the certificate is looked at when the next connection is made.
    stage.reset_connections(CONTROL_PLANE, HOST, PORT)?;
    count.set(count.get() + 1);
    let pod = json!({
        "metadata": {"name": format!("p{}", count.get())},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
    });
    let answer = stage.admin().create(&PODS, Some(SPACE), &pod).await;
    let label = format!("/metadata/labels/{LABEL}");
    let labelled = answer.as_ref().is_ok_and(|pod| pod.str_at(&label) == NAME);
    Ok((verdict(&answer), labelled))
}

/// A namespace that the webhook is asked about, once pods may be made there.
async fn space(stage: &Ground) -> Result<(), StoryError> {
    let admin = stage.admin();
    let space = json!({"metadata": {"name": SPACE, "labels": {NAME: "enabled"}}});
    admin.create(&Resource::core("namespaces"), None, &space).await.map_err(StoryError::new)?;
    let accounts = Resource::core("serviceaccounts");
    let account = async || admin.get(&accounts, Some(SPACE), "default").await.ok();
    stage.wait("the namespace has its account", Duration::from_secs(60), account).await?;
    Ok(())
}
