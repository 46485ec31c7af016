//! serving-csr-unapproved: kubelets shall have serving certificates of the cluster's, and nobody approves them.
//!
//! kubernetes/kubernetes#73356, kubernetes/kubeadm#591. With `serverTLSBootstrap: true` a kubelet makes no
//! certificate of its own and requests one. The controller manager approves client certificates only, by design:
//! it cannot know which names a node may have. Until somebody approves, every handshake with the kubelet fails,
//! so that `logs`, `exec` and metrics do; a request is given up after 15 minutes and the next one made, and they
//! pile up. Up to 1.10 the kubelets of kubeadm's packages took no configuration file: there the story only shows
//! what should be.

use chronoplane::ClusterOptions;
use client::Resource;
use jiff::SignedDuration;
use serde_json::{Value, json};

use api::object::ObjectExt as _;

use super::{MINUTE, advice, approve, condition, requests};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "serving-csr-unapproved",
    sentence: "serverTLSBootstrap without an approver: logs and exec fail, and a new CSR appears every quarter of an hour.",
    reference: "kubernetes/kubernetes#73356, kubernetes/kubeadm#591; by design",
    symptoms: &[
        "Get \"https://…:10250/containerLogs/…\": remote error: tls: internal error",
        "remote error: tls: internal error",
        "no serving certificate available for the kubelet",
    ],
    range: (11, 36),
    tell,
    real: InReal::Not("needs to elapse: requests pile up, one every quarter of an hour"),
};

const NODE: &str = "node1";
const CONFIG: &str = "/var/lib/kubelet/config.yaml";
const SERVING: &str = "/kubelet-serving";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    if !settings.profile.kubelet_unit_flags_only() {
        play(settings, teller, true)?;
    }
    play(settings, teller, false)?;
    advice(
        teller,
        &[
            "kubectl get csr                            Pending ones of kubernetes.io/kubelet-serving?",
            "kubectl certificate approve <the newest of each node>, and then an approver that checks names,",
            "or serverTLSBootstrap: false where nobody verifies kubelets.",
        ],
    );
    Ok(())
}

/// `kubectl logs talker`.
async fn logs(stage: &Stage) -> (u16, String) {
    let (code, said) = stage.get("/api/v1/namespaces/default/pods/talker/log").await;
    let status: Value = serde_json::from_str(&said).unwrap_or_default();
    (code, status.get("message").and_then(Value::as_str).unwrap_or(said.trim()).to_owned())
}

async fn pending(stage: &Stage) -> Result<usize, StoryError> {
    Ok(requests(stage, SERVING).await?.iter().filter(|csr| condition(csr) == "Pending").count())
}

fn play(settings: &Settings, teller: &Teller, fault: bool) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        let host = stage.host(NODE);
        let pod = json!({"metadata": {"name": "talker"}, "spec": {"containers": [
            {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", "echo hello; sleep 7d"]}]}});
        let pods = Resource::core("pods");
        stage.cluster.admin().create(&pods, Some("default"), &pod).await.map_err(StoryError::new)?;
        stage.cluster.elapse(MINUTE).await;
        if !settings.profile.kubelet_unit_flags_only() {
            let text = host.disk().read_to_string(CONFIG).map_err(StoryError::new)?;
            let text = format!("{}\nserverTLSBootstrap: {fault}\n", text.trim_end());
            host.disk().write(CONFIG, text, 0o644).map_err(StoryError::new)?;
        }
        host.services().restart(&host, "kubelet").await;
        stage.cluster.elapse(MINUTE / 2).await;
        if !fault {
            stage.say("\nControl run: serverTLSBootstrap: false, the kubelet signs for itself.");
            let (code, said) = logs(stage).await;
            stage.check("kubectl logs talker", code == 200 && said == "hello", format!("{code} {said}"));
            let none = requests(stage, SERVING).await?.is_empty();
            stage.check("kubectl get csr", none, "none of kubelet-serving");
            return Ok(());
        }
        stage.say("serverTLSBootstrap: true on node1; its kubelet is restarted.");
        let (code, said) = logs(stage).await;
        let words =
            ["Get \"https://", ":10250/containerLogs/default/talker/c\": remote error: tls: internal error"];
        stage.check("kubectl logs talker", code == 500, code.to_string());
        stage.check_words("  in these words", said, &words);
        let why = "no serving certificate available for the kubelet";
        let log = stage.sim().events();
        let said =
            log.iter().filter(|e| e.host == NODE).flat_map(|e| &e.fields).find(|(_, v)| v.contains(why));
        stage.check_words("the kubelet's log", said.map(|(_, v)| v.clone()).unwrap_or_default(), &[why]);

        let all = requests(stage, SERVING).await?;
        let first = all.first().ok_or_else(|| StoryError("no request was made".into()))?;
        let made: world::Wall =
            first.str_at("/metadata/creationTimestamp").parse().map_err(StoryError::new)?;
        stage
            .cluster
            .until_clock(NODE, made + SignedDuration::from_mins(15) - SignedDuration::from_secs(1))
            .await?;
        let before = pending(stage).await?;
        // Given up, and two seconds of backoff.
        stage.cluster.elapse(MINUTE / 12).await;
        let after = pending(stage).await?;
        stage.check("one second before its 15 minutes", before == 1, format!("{before} Pending"));
        stage.check("after them", after == 2, format!("{after} Pending"));
        stage.cluster.elapse(46 * MINUTE).await;
        let hour = pending(stage).await?;
        stage.check("after an hour", hour == 5, format!("{hour} Pending"));

        let newest =
            requests(stage, SERVING).await?.pop().ok_or_else(|| StoryError("all are gone".into()))?;
        approve(stage, newest.name()).await?;
        stage.cluster.elapse(MINUTE / 6).await;
        let (code, said) = logs(stage).await;
        stage.say("The newest one is approved by hand.");
        stage.check("kubectl logs talker", code == 200 && said == "hello", format!("{code} {said}"));
        Ok(())
    })
}
