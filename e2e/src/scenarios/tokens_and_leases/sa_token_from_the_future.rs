//! sa-token-from-the-future: the control plane's clock is ahead, a pod gets its token, the clock is set right.
//!
//! The token says that it was issued in the future. The apiserver refuses it (with a minute to spare) until its clock
//! is where the token was made, and answers with a plain 401; why is only in its log. The kubelet does not help: it
//! asks for a new token when the old one is near its end or a day old, and this one is neither for days
//! (kubernetes/kubernetes#123415, #124022, #132993; the changes that would ask anew were not merged). Restarting the
//! container does not help either, for it gets the file that is there.

use std::time::Duration;

use api::object::ObjectExt;
use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use client::DeleteParams;
use jiff::SignedDuration;
use serde_json::json;
use world::Wall;

use super::{ACCOUNTS, NS, PODS, bearer, claim, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, briefly, config, instead, raw},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "sa-token-from-the-future",
    sentence: "Pods that got their tokens while the control plane's clock was ahead are refused until time catches up.",
    reference: "kubernetes/kubernetes#124022, #123415, #132993 (no fix)",
    symptoms: &[
        "\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401",
        "service account token is not valid yet",
    ],
    range: (21, 36),
    tell,
    real: InReal::Told(tell),
};

const NODE: &str = "node1";
const POD: &str = "app";
/// What go-jose spares at both ends of a token.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
const AHEAD: SignedDuration = SignedDuration::from_hours(48);
const MINUTE: Duration = Duration::from_secs(60);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    if settings.profile.minor() < ENTRY.range.0 {
        let why = "its pods have tokens from secrets, without dates";
        return tell(&instead(settings, teller, 21, why)?, teller);
    }
    play(settings, teller, true)?;
    briefly(teller, "Control run, the same looks with a clock that was right", || {
        play(settings, teller, false)
    })?;
    teller.say(
        "\nIn a real cluster: after setting a clock back, delete the pods that were made meanwhile; their",
    );
    teller.say(
        "successors get tokens of today. Look for 401 in audit logs, or for \"iat\" of the mounted tokens.",
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, ahead: bool) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    Ground::play(settings, teller, config(settings), options, async |stage| {
        let born = stage.now();
        if ahead {
            stage.step(CONTROL_PLANE, AHEAD);
            stage.say(format!("{} UTC: the control plane's clock is set two days ahead.", shown(born)));
        }
        start(stage).await?;
        let (file, token) = token(stage).await?;
        let issued = claim(&token, "iat")?;
        stage.say(format!("A pod starts on {NODE}; its token is issued at {} UTC.", shown(issued)));
        let seen = ask(stage, &token).await?;
        stage.check("the pod asks the apiserver", seen.0 == 200, seen.0.to_string());
        if ahead {
            stage.step(CONTROL_PLANE, -AHEAD);
            // A token that was good is believed for ten seconds.
            stage.stand(Duration::from_secs(11)).await;
            stage.say(format!("{} UTC: the clock is set right.", shown(stage.now())));
        }
        let (code, body) = ask(stage, &token).await?;
        let wanted = if ahead { 401 } else { 200 };
        stage.check(
            "the pod asks again",
            code == wanted && (!ahead || body.contains(ENTRY.symptoms[0])),
            body,
        );
        let log = stage.log(CONTROL_PLANE, "kube-apiserver", "authentication");
        let words = log.into_iter().rfind(|words| words.contains("token")).unwrap_or_default();
        stage.check("the apiserver's log", words.contains(ENTRY.symptoms[1]) == ahead, words);
        stage.later(60 * MINUTE).await;
        // Without the fault the kubelet has renewed it meanwhile: at four fifths of its hour.
        let renewed = async || read(stage, &file).is_ok_and(|now| now != token).then_some(());
        if stage.is_real() && ahead {
            stage.never(MINUTE, renewed).await;
        } else if stage.is_real() {
            stage.give(MINUTE, renewed).await;
        }
        let kept = read(stage, &file)? == token;
        let seen = if kept { "the kubelet has left it" } else { "the kubelet has renewed it" };
        stage.check("an hour later the token", kept == ahead, seen);
        catches_up(stage, &file, born, issued, ahead).await?;
        replaced(stage, ahead).await
    })
}

/// A second before and after the token begins, by the apiserver's clock.
async fn catches_up(
    stage: &Ground,
    file: &str,
    born: Wall,
    issued: Wall,
    ahead: bool,
) -> Result<(), StoryError> {
    let begins = if ahead { issued - LEEWAY } else { born + AHEAD };
    let held = async || ask(stage, &read(stage, file)?).await;
    let (before, after) = stage.edge(CONTROL_PLANE, begins, held).await?;
    let (before, after) = (before?, after?);
    stage.say(format!("{} UTC: time catches up.", shown(begins)));
    stage.check("one second before", before.0 == if ahead { 401 } else { 200 }, before.0.to_string());
    stage.check("one second after", after.0 == 200, after.0.to_string());
    Ok(())
}

/// The remedy, in the same cluster with the same fault: a pod made after the correction.
async fn replaced(stage: &Ground, ahead: bool) -> Result<(), StoryError> {
    if ahead {
        stage.step(CONTROL_PLANE, AHEAD);
    }
    delete(stage).await?;
    start(stage).await?;
    let (_, bad) = token(stage).await?;
    if ahead {
        stage.step(CONTROL_PLANE, -AHEAD);
        stage.stand(Duration::from_secs(11)).await;
    }
    let seen = ask(stage, &bad).await?;
    stage.check("the same once more", seen.0 == if ahead { 401 } else { 200 }, seen.0.to_string());
    delete(stage).await?;
    start(stage).await?;
    let (_, good) = token(stage).await?;
    let seen = ask(stage, &good).await?;
    stage.check("the pod is deleted and made again", seen.0 == 200, seen.0.to_string());
    Ok(())
}

async fn start(stage: &Ground) -> Result<(), StoryError> {
    let admin = stage.admin();
    let account = async || admin.get(&ACCOUNTS, NS, "default").await.ok();
    stage.wait("the namespace has its account", MINUTE, account).await?;
    let pod = json!({
        "metadata": {"name": POD},
        "spec": {"nodeName": NODE, "containers": [
            // Something that runs, for the kubelet renews tokens only for those who can read them.
            {"name": "c", "image": "busybox", "command": ["sh", "-c", "sleep 1000000"]},
        ]},
    });
    admin.create(&PODS, NS, &pod).await.map_err(StoryError::new)?;
    Ok(())
}

async fn delete(stage: &Ground) -> Result<(), StoryError> {
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    stage.admin().delete(&PODS, NS, POD, &at_once).await.map_err(StoryError::new)?;
    Ok(())
}

/// Path and content of the token that the kubelet has put into the pod.
async fn token(stage: &Ground) -> Result<(String, String), StoryError> {
    let running = async || {
        let pod = stage.admin().get(&PODS, NS, POD).await.ok()?;
        (pod.str_at("/status/phase") == "Running").then_some(pod)
    };
    let pod = stage.wait("the pod runs", 5 * MINUTE, running).await?;
    let volumes = pod.list_at("/spec/volumes");
    let volume = volumes.iter().map(|v| v.str_at("/name")).find(|name| name.starts_with("kube-api-access-"));
    let volume = volume.ok_or_else(|| StoryError("the pod has no token".into()))?;
    let dir = format!("/var/lib/kubelet/pods/{}/volumes/kubernetes.io~projected/{volume}", pod.uid());
    let file = format!("{dir}/token");
    let token = read(stage, &file)?;
    Ok((file, token))
}

fn read(stage: &Ground, file: &str) -> Result<String, StoryError> {
    stage.host(NODE)?.disk().read_to_string(file).map_err(StoryError::new)
}

async fn ask(stage: &Ground, token: &str) -> Result<(u16, String), StoryError> {
    Ok(raw(&bearer(stage, NODE, token)?, "/api").await)
}
