//! no-rtc: a machine without a battery boots in 1970, and its agent starts before NTP has an answer.
//!
//! To a clock of 1970 the apiserver's certificate is not valid yet, so the node's agent refuses the apiserver and says
//! so in words about expiry (rancher/k3os#657). The server never hears of it: its log has a broken handshake at most.
//! The kubelet tries again for ever and comes back by itself once the clock is past the beginning of authority and
//! certificate; its own certificate, which begins later still, it does not check. (k3s ends itself when the year is
//! before 1980, and some init systems give up after a few such starts: then somebody has to restart it.)

use std::time::Duration;

use chronoplane::ClusterOptions;
use jiff::SignedDuration;
use world::{Wall, sim::Config};

use super::{EXPIRED, PKI, certificate, line, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, briefly, raw},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "no-rtc",
    sentence: "A node boots in 1970 and refuses the apiserver until its clock is set.",
    reference: "rancher/k3os#657",
    symptoms: &["x509: certificate has expired or is not yet valid"],
    range: (14, 36),
    tell,
    real: InReal::Told(tell),
};

const NODE: &str = "node1";
const BOOT: Duration = Duration::from_secs(30);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    briefly(teller, "Control run, the same boot with a clock that kept its time", || {
        play(settings, teller, false)
    })?;
    teller.say("\nIn a real cluster: order the agent's unit after time-sync.target (with a service that waits for it),");
    teller.say("or keep the time over a power cut: fake-hwclock, a battery.");
    Ok(())
}

/// Upstream's own periods: how fast the node is missed and comes back is the story.
fn play(settings: &Settings, teller: &Teller, lost: bool) -> Result<(), StoryError> {
    let config = Config { seed: settings.seed, ..Config::default() };
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    Ground::play(settings, teller, config, options, async |stage| {
        stage.later(Duration::from_secs(60)).await;
        let at = shown(stage.now());
        if lost {
            stage.set(NODE, Wall::UNIX_EPOCH)?;
        }
        stage.reboot(NODE, BOOT, || {}).await?;
        stage.say(format!("{at} UTC: {NODE} loses power and boots."));
        let now = stage.host(NODE)?.clock().wall();
        let awry = stage.now().duration_since(now) > SignedDuration::from_hours(24);
        stage.check("its clock says", awry == lost, shown(now));
        let grace = stage.settings.profile.node_grace() + Duration::from_secs(20);
        if lost {
            stage
                .give(grace, async || Some(stage.condition(NODE, "Ready").await.0).filter(|s| s == "Unknown"))
                .await;
        } else {
            stage
                .never(grace, async || {
                    Some(stage.condition(NODE, "Ready").await.0).filter(|s| s == "Unknown")
                })
                .await;
        }
        let (status, reason) = stage.condition(NODE, "Ready").await;
        stage.check(
            "more than a minute later",
            (status == "Unknown") == lost,
            format!("Ready {status}: {reason}"),
        );
        let words = complaint(stage);
        stage.check("its kubelet", words.contains(EXPIRED) == lost, words);
        edge(stage, lost).await?;
        stage.set(NODE, stage.now())?;
        let ready =
            async || Some(stage.condition(NODE, "Ready").await).filter(|(status, _)| status == "True");
        let back = stage.wait("it is Ready", Duration::from_secs(120), ready).await;
        stage.check("NTP answers and sets the clock", back.is_ok(), "Ready, without a restart");
        Ok(())
    })
}

/// A second before and after the later of the two beginnings, by the node's clock.
async fn edge(stage: &Ground, lost: bool) -> Result<(), StoryError> {
    let begins = |file: &str| Ok::<_, StoryError>(certificate(stage, &format!("{PKI}/{file}"))?.not_before());
    let begins = begins("ca.crt")?.max(begins("apiserver.crt")?);
    let look = async || {
        let fresh = stage.client(NODE, "/etc/kubernetes/kubelet.conf", "kubelet")?;
        Ok::<_, StoryError>(raw(&fresh, "/api").await)
    };
    let at = if lost { begins } else { stage.now() + SignedDuration::from_secs(20) };
    if lost {
        stage.set(NODE, begins - SignedDuration::from_secs(10))?;
    }
    let (before, after) = stage.edge(NODE, at, look).await?;
    let (before, after) = (before?, after?);
    let refused = before.0 == 0 && before.1.contains(EXPIRED);
    stage.check("one second before they begin", if lost { refused } else { before.0 == 200 }, line(&before));
    stage.check("one second after", after.0 == 200, line(&after));
    Ok(())
}

/// The last of the kubelet's records that speaks of a certificate.
fn complaint(stage: &Ground) -> String {
    let events = stage.events();
    let said = events.iter().rev().filter(|e| e.host == NODE && e.actor == "kubelet");
    let mut words = said.flat_map(|e| e.fields.iter().map(|(_, text)| text.clone()));
    words.find(|text| text.contains("x509")).unwrap_or_default()
}
