//! csr-before-step: after a long sleep a kubelet's request is approved before the clock is set; the certificate
//! is over as soon as the clock is, and the kubelet needs a second one.
//!
//! openshift/release#66762 (OpenShift 4.20, which is 1.33): a test suspends a cluster for half a year. The hosts
//! wake up with their old clocks; the kubelet asks for a client certificate; a script approves it, and it is
//! signed for 30 days from the old now. Then chrony steps the clock. Nobody renews because of a step: the
//! kubelet's timer sleeps on. But it looks every ten seconds whether it has a valid certificate, ends when it had
//! none for five minutes, is started again, and asks anew with its bootstrap kubeconfig, which OpenShift keeps.
//! The script had its one approved request and waited for something else. It now approves fresh requests only.

use std::sync::Arc;

use api::object::ObjectExt as _;
use chronoplane::{
    ClusterOptions, Machinery, TaskLauncher, Who,
    cluster::{CONTROL_PLANE, WORKSTATION},
};
use client::{DeleteParams, Resource};
use jiff::SignedDuration;
use pki::kubeconfig::{Cluster as Server, Kubeconfig, User};
use serde_json::{Value, json};
use std::time::Duration;
use world::{Host, Periods, Wall, rfc3339};

use super::{MINUTE, advice, approve, condition, issued, requests};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, config, raw},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "csr-before-step",
    sentence: "A kubelet's certificate is signed before the clock is set right: over at once, and a second CSR waits.",
    reference: "openshift/release#66762",
    symptoms: &[
        "No valid client certificate is found and the server is responsive, exiting.",
        "It has been 5m0s since a valid client cert was found and the server is responsive, exiting.",
        "part of the existing bootstrap client certificate in … is expired: …",
    ],
    range: (14, 36),
    tell,
    real: InReal::Not(
        "needs to elapse: for five minutes of its running time the kubelet has no certificate before it ends",
    ),
};

const NODE: &str = "node9";
const CLIENT: &str = "/kube-apiserver-client-kubelet";
/// From the approval on: the kubelet looks every 40 s whether it has a certificate, and is missed after three minutes.
const PACE: Periods = Periods::times(4);
const DAY: Duration = Duration::from_secs(86_400);
const LIFE: Duration = Duration::from_secs(30 * 86_400);
/// The end of what a kubelet says that had no certificate for five minutes.
const EXPIRED: &str = " and the server is responsive, exiting.";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    fault(settings, teller)?;
    fresh(settings, teller)?;
    control(settings, teller)?;
    advice(
        teller,
        &[
            "Set the clock first, then approve. Look at a certificate, not at a condition:",
            "  kubectl get csr <name> -o jsonpath={.status.certificate} | base64 -d | openssl x509 -noout -enddate",
            "and approve until the node is Ready, not until one request is.",
        ],
    );
    Ok(())
}

fn options() -> ClusterOptions {
    ClusterOptions { signing_duration: Some(LIFE), ..ClusterOptions::default() }
}

/// A kubelet that keeps its bootstrap kubeconfig, with a token that never ends; nobody approves by himself.
async fn set_up(stage: &Stage) -> Result<Host, StoryError> {
    let bindings = Resource::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings");
    for name in ["kubeadm:node-autoapprove-bootstrap", "kubeadm:node-autoapprove-certificate-rotation"] {
        let gone = stage.cluster.admin().delete(&bindings, None, name, &DeleteParams::default()).await;
        gone.map_err(StoryError::new)?;
    }
    let (cp, host) = (stage.host(CONTROL_PLANE), stage.host(NODE));
    let token = stage.cluster.kubeadm(&cp, &["token", "create", "--ttl=0"]).await?;
    let ca = cp.disk().read_to_string("/etc/kubernetes/pki/ca.crt").map_err(StoryError::new)?;
    let server = Server::new(&format!("https://{}:6443", cp.net().address()), &ca);
    let bootstrap =
        Kubeconfig::new("kubernetes", server, "node-bootstrapper", User::with_token(token.trim()));
    let configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {"x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}},
        "healthzPort": 10_248,
        "kind": "KubeletConfiguration",
        "rotateCertificates": true,
    });
    let files = [
        ("/etc/kubernetes/pki/ca.crt", ca),
        ("/etc/kubernetes/bootstrap-kubelet.conf", bootstrap.to_yaml()),
        ("/var/lib/kubelet/config.yaml", configuration.to_string()),
        ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"\"\n".to_owned()),
    ];
    for (path, text) in files {
        host.disk().write(path, text, 0o600).map_err(StoryError::new)?;
    }
    Machinery::tasks(TaskLauncher::default()).install(&host, stage.settings.profile);
    host.services().start(&host, "kubelet");
    stage.cluster.elapse(MINUTE / 2).await;
    Ok(host)
}

/// The node's requests, oldest first.
async fn ours(stage: &Stage) -> Result<Vec<Arc<Value>>, StoryError> {
    let user = format!("system:node:{NODE}");
    let mut all = requests(stage, CLIENT).await?;
    all.retain(|csr| {
        let request = api::object::unbase64(csr.str_at("/spec/request")).unwrap_or_default();
        pki::csr::Csr::parse(&request).is_ok_and(|request| request.common_name() == user)
    });
    Ok(all)
}

/// Approves the newest; its certificate's end.
async fn approve_newest(stage: &Stage) -> Result<Wall, StoryError> {
    let newest =
        ours(stage).await?.pop().ok_or_else(|| StoryError("the kubelet has made no request".into()))?;
    approve(stage, newest.name()).await?;
    stage.cluster.elapse(MINUTE / 2).await;
    let all = ours(stage).await?;
    let now = all.iter().find(|csr| csr.name() == newest.name()).and_then(|csr| issued(csr));
    now.map(|c| c.not_after()).ok_or_else(|| StoryError("it was not signed".into()))
}

/// chrony steps everybody's clock.
fn step(stage: &Stage, by: SignedDuration) {
    stage.cluster.step(Who::Members, by);
    stage.cluster.step(NODE, by);
    stage.cluster.step(WORKSTATION, by);
}

/// What the server answers to whom the node's certificate names.
async fn as_kubelet(stage: &Stage) -> u16 {
    match stage.client(NODE, "/etc/kubernetes/kubelet.conf", "kubelet") {
        Ok(rest) => raw(&rest, &format!("/api/v1/nodes/{NODE}")).await.0,
        Err(_) => 0,
    }
}

/// The kubelet's ends since the beginning, with their words.
fn ends(stage: &Stage) -> Vec<String> {
    let log = stage.log(NODE, "kubelet", "service");
    log.into_iter().filter(|line| !line.ends_with(" start")).collect()
}

async fn states(stage: &Stage) -> Result<String, StoryError> {
    Ok(ours(stage).await?.iter().map(|csr| condition(csr)).collect::<Vec<_>>().join(" | "))
}

fn fault(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), options(), async |stage| {
        let host = set_up(stage).await?;
        stage.say(format!(
            "{} by every clock, which are half a year behind: {NODE} asks for a certificate.",
            rfc3339(stage.now())
        ));
        let end = approve_newest(stage).await?;
        let ready = stage.condition(NODE, "Ready").await.0;
        let seen = format!("signed until {}, Ready {ready}", rfc3339(end));
        stage.check("it is approved", ready == "True", seen);
        stage.sim().set_periods(PACE);

        let left = end.duration_since(host.clock().wall());
        step(stage, left - SignedDuration::from_secs(1));
        let before = as_kubelet(stage).await;
        stage.cluster.elapse(Duration::from_secs(2)).await;
        let after = as_kubelet(stage).await;
        stage.check(
            "a step to a second before its end",
            before == 200,
            format!("the node may ask: {before}"),
        );
        stage.check("two seconds later", after == 401, format!("it may not: {after}"));
        step(stage, SignedDuration::try_from(150 * DAY).map_err(StoryError::new)?);
        stage.say(format!("{}: the clocks are right.", rfc3339(stage.now())));
        stage.cluster.elapse(6 * MINUTE).await;
        if settings.profile.expired_certificate_in_use() {
            return goes_on(stage).await;
        }
        stage.check_words("six minutes later", ends(stage).first().cloned().unwrap_or_default(), &[EXPIRED]);
        let log = stage.log(NODE, "kubelet", "bootstrap").pop().unwrap_or_default();
        let words =
            "part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired:";
        stage.check_words("started again, it bootstraps", log, &[words]);
        let seen = states(stage).await?;
        stage.check("kubectl get csr", seen == "Approved,Issued | Pending", seen);
        stage.cluster.elapse(4 * MINUTE).await;
        let ready = stage.condition(NODE, "Ready").await;
        stage.check("the node", ready.0 == "Unknown", format!("Ready {} {}", ready.0, ready.1));
        approve_newest(stage).await?;
        let ready = stage.condition(NODE, "Ready").await.0;
        stage.check("the second one is approved", ready == "True", format!("Ready {ready}"));
        Ok(())
    })
}

/// Up to 1.13 a kubelet went on with a certificate that was over: it made no second request, and somebody had to see.
async fn goes_on(stage: &Stage) -> Result<(), StoryError> {
    let (words, seen) = (ends(stage), states(stage).await?);
    let ready = stage.condition(NODE, "Ready").await.0;
    stage.check("in this release the kubelet goes on", words.is_empty() && seen == "Approved,Issued", seen);
    stage.check("the node", ready == "Unknown", format!("Ready {ready}"));
    Ok(())
}

/// Approved after the step: the remedy.
fn fresh(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), options(), async |stage| {
        set_up(stage).await?;
        step(stage, SignedDuration::try_from(180 * DAY).map_err(StoryError::new)?);
        let end = approve_newest(stage).await?;
        stage.say("\nFixed run: approved after the clocks were set.");
        let (seen, ready) = (states(stage).await?, stage.condition(NODE, "Ready").await.0);
        let held = seen == "Approved,Issued" && ready == "True" && end > stage.now();
        stage.check("one request does", held, format!("until {}, Ready {ready}", rfc3339(end)));
        Ok(())
    })
}

/// No step.
fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), options(), async |stage| {
        set_up(stage).await?;
        approve_newest(stage).await?;
        stage.sim().set_periods(PACE);
        stage.cluster.elapse(3 * MINUTE).await;
        stage.say("\nControl run: the clocks were right all the time.");
        let (seen, ready) = (states(stage).await?, stage.condition(NODE, "Ready").await.0);
        let held = seen == "Approved,Issued" && ready == "True" && ends(stage).is_empty();
        stage.check("one request does", held, format!("{seen}, Ready {ready}"));
        Ok(())
    })
}
