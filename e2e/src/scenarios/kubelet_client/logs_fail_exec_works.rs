//! logs-fail-exec-works: the apiserver's certificate for kubelets was replaced on disk; `kubectl logs` fails, exec
//! works.
//!
//! kubernetes/kubernetes#114588: short certificates of one's own, replaced in time. `kubectl logs` says that one must
//! be logged in, again and again, `kubectl exec` never does. Both go through the apiserver to the kubelet, which
//! verifies the client's certificate at each request. The apiserver reads the files again for each handshake: exec,
//! attach and port-forward dial anew every time; logs, metrics and the node's proxy share a connection that is never
//! closed while it is used, and shows the old certificate until its end and beyond.
//!
//! From 1.27 on (#115315, in later patches of 1.24 to 1.26 too) the server looks at the files every five minutes and
//! closes its connections when they have changed.

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use client::Resource;
use http::Request;
use pki::{Authority, CertSpec, Certificate, KeyAlgorithm, PrivateKey};
use serde_json::json;

use super::{DAY, HOUR, MINUTE, NODE, SECOND, clock, end, sparse, upstream};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "logs-fail-exec-works",
    sentence: "The apiserver's certificate for kubelets is replaced on disk: kubectl logs fails with 401, kubectl exec works.",
    reference: "kubernetes/kubernetes#114588",
    symptoms: &[
        "the server has asked for the client to provide credentials",
        "Unable to authenticate the request … failed: x509: certificate has expired or is not yet valid",
    ],
    range: (8, 26),
    tell,
    real: InReal::Not(
        "needs to elapse: an hour of logs over one connection, which is not closed because it is used",
    ),
};

const FIXED: u16 = 27;
const PODS: Resource = Resource::core("pods");
const FILE: &str = "/etc/kubernetes/pki/apiserver-kubelet-client";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    teller.say("");
    briefly(teller, "Control run, a certificate of a day that nobody replaces", || {
        play(settings, teller, false)
    })?;
    if settings.profile.minor() < FIXED {
        let profile = api::profile::Profile::of_minor(FIXED).unwrap_or_default();
        let fixed = Settings { profile, ..settings.clone() };
        briefly(teller, "The replacement with 1.27", || play(&fixed, teller, true))?;
    }
    end(
        settings,
        teller,
        &[
            "In a real cluster: restart kube-apiserver after each replacement of apiserver-kubelet-client.crt (kubeadm says",
            "so at its end), or use 1.27 or later (later patches of 1.24 to 1.26 have it too).",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, replaced: bool) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        let old = issue(stage, if replaced { HOUR } else { DAY })?;
        run_pod(stage).await?;
        // The server keeps its connection to the kubelet: somebody looks at logs all the time.
        sparse(stage);
        let (logs, _) = stage.get(LOG).await;
        stage.say(format!(
            "{}: {}.crt is until {}; kubectl logs: {logs}.",
            clock(stage.now()),
            FILE.rsplit('/').next().unwrap_or_default(),
            clock(old.not_after())
        ));
        stage.cluster.elapse(HOUR / 2).await;
        if replaced {
            let new = issue(stage, DAY)?;
            stage.say(format!("{}: replaced by one until {}.", clock(stage.now()), clock(new.not_after())));
        }
        let follows = settings.profile.minor() >= FIXED;
        if follows {
            upstream(stage, 6 * MINUTE).await;
            sparse(stage);
        }
        let look = async || (stage.get(LOG).await, exec(stage).await);
        let ends = if replaced { old.not_after() } else { stage.now() + HOUR };
        let (before, after) = stage.edge(CONTROL_PLANE, ends, look).await?;
        let shown = |seen: &((u16, String), u16)| format!("logs {}, exec {}", seen.0.0, seen.1);
        stage.check(
            "a second before the old one's end",
            before.0.0 == 200 && before.1 == 101,
            shown(&before),
        );
        if follows || !replaced {
            stage.check("a second after", after.0.0 == 200 && after.1 == 101, shown(&after));
            return Ok(());
        }
        stage.check("a second after", after.0.0 == 401 && after.1 == 101, shown(&after));
        let words = "the server has asked for the client to provide credentials";
        stage.check_words("in the server's words", after.0.1, &[words]);
        let log = stage.log(NODE, "kubelet", "authentication");
        let words = [
            "Unable to authenticate the request",
            "failed: x509: certificate has expired or is not yet valid",
        ];
        stage.check_words("in the kubelet's log", log.last().cloned().unwrap_or_default(), &words);
        stage.cluster.elapse(HOUR).await;
        let (code, _) = stage.get(LOG).await;
        stage.check("an hour later", code == 401, format!("logs {code}"));
        stage.cluster.restart_apiserver().await?;
        let (code, _) = stage.get(LOG).await;
        stage.check("the apiserver restarted", code == 200, format!("logs {code}"));
        Ok(())
    })
}

const LOG: &str = "/api/v1/namespaces/default/pods/p/log";

/// A certificate of the cluster's authority for the apiserver's calls of kubelets, in the place of kubeadm's.
fn issue(stage: &Stage, life: std::time::Duration) -> Result<Certificate, StoryError> {
    let host = stage.host(CONTROL_PLANE);
    let read = |file: &str| host.disk().read(format!("/etc/kubernetes/pki/{file}")).map_err(StoryError::new);
    let ca = Authority::from_pem(&read("ca.crt")?, &read("ca.key")?).map_err(StoryError::new)?;
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(StoryError::new)?;
    let group = stage.settings.profile.kubelet_client_group();
    let now = host.clock().wall();
    let spec = CertSpec {
        common_name: "kube-apiserver-kubelet-client".to_owned(),
        organizations: (!group.is_empty()).then(|| group.to_owned()).into_iter().collect(),
        dns_names: Vec::new(),
        ips: Vec::new(),
        client_auth: true,
        server_auth: false,
        not_before: now,
        not_after: now + life,
    };
    let leaf = ca.issue(host.entropy(), &spec, &key.public()).map_err(StoryError::new)?;
    host.disk().write(format!("{FILE}.key"), key.to_pem(), 0o600).map_err(StoryError::new)?;
    host.disk().write(format!("{FILE}.crt"), leaf.to_pem(), 0o644).map_err(StoryError::new)?;
    Ok(leaf)
}

async fn run_pod(stage: &Stage) -> Result<(), StoryError> {
    let rest = stage.cluster.admin();
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": NODE, "containers": [
        {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", "echo hello; sleep 1000000"]},
    ]}});
    upstream(stage, SECOND).await;
    rest.create(&PODS, Some("default"), &pod).await.map_err(StoryError::new)?;
    let running = async || {
        let pod = rest.get(&PODS, Some("default"), "p").await.ok()?;
        (pod["status"]["phase"] == "Running").then_some(())
    };
    Ok(stage.cluster.elapse_until("the pod runs", MINUTE, running).await?)
}

/// What `kubectl exec p -- true` is answered: 101 when it is let through to the container.
async fn exec(stage: &Stage) -> u16 {
    let path = "/api/v1/namespaces/default/pods/p/exec?command=true&stdout=true";
    let Ok(asked) = Request::get(path).body(wire::body::empty()) else { return 0 };
    let answer = wire::websocket::connect(stage.cluster.admin().http(), asked, &["v4.channel.k8s.io"]).await;
    answer.map_or(0, |(response, _)| response.status().as_u16())
}
