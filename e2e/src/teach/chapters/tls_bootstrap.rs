//! tls-bootstrap: from a token of 23 characters to a certificate for a year.

use api::object::ObjectExt as _;
use chronoplane::{ClusterOptions, Machinery, TaskLauncher, cluster::CONTROL_PLANE};
use client::Resource;
use pki::kubeconfig::Kubeconfig;
use serde_json::json;
use world::{Event, Periods};

use super::{SECOND, machine, new_token, on_stage};
use crate::{
    scenarios::Stage,
    story::StoryError,
    teach::{
        Lesson,
        decode::{self, field},
        facts::Facts,
    },
};

const NODE: &str = "node1";
const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
const CONF: &str = "/etc/kubernetes/kubelet.conf";
const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
const CSR_PATH: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    on_stage(lesson, Periods::upstream(), ClusterOptions::default(), async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    let token = new_token(stage).await?;
    let (secrets, name) = (Resource::core("secrets"), token.secret_name());
    let secret = stage.cluster.admin().get(&secrets, Some("kube-system"), &name).await;
    let secret = secret.map_err(StoryError::new)?;
    let data = secret.map_at("/data").into_iter().flatten().map(|(key, value)| {
        let value = api::object::unbase64(value.as_str().unwrap_or_default()).unwrap_or_default();
        (key.as_str(), String::from_utf8_lossy(&value).into_owned())
    });
    lesson.tell("token", Facts::new().word("id", token.id()).show("secret", decode::rows(data)))?;

    let mark = stage.news().len();
    lesson.holds("the record begins before the join", mark > 0, mark)?;
    let bootstrap = join(stage, &token).await?;
    lesson.tell("bootstrap", Facts::new().show("kubeconfig", decode::kubeconfig(&bootstrap)))?;

    let events = stage.news();
    let name = csr_name(&events)?;
    let csr = stage.cluster.admin().get(&CSRS, None, &name).await.map_err(StoryError::new)?;
    lesson.ask("request", Facts::new().word("id", token.id()))?;
    let posted = events.iter().find(|e| {
        e.kind == "request" && field(e, "verb") == "create" && field(e, "path").starts_with(CSR_PATH)
    });
    let posted = posted.ok_or_else(|| StoryError("nobody has asked for a certificate".into()))?;
    let decoded = decode::signing_request(&csr).map_err(StoryError::new)?;
    lesson.tell("request", Facts::new().answer(field(posted, "user")).show("csr", decoded))?;

    lesson.ask("approval", Facts::new())?;
    let approved = actor(&events, "approved")?;
    let condition = csr.list_at("/status/conditions").first().cloned().unwrap_or_default();
    let review = events.iter().filter(|e| field(e, "path").contains("subjectaccessreviews"));
    let own =
        review.filter(|e| e.host == CONTROL_PLANE && field(e, "user").contains("certificate-controller"));
    let facts = Facts::new()
        .show(
            "condition",
            decode::yaml(&json!({"conditions": [{
                "type": condition["type"], "reason": condition["reason"], "message": condition["message"],
            }]})),
        )
        .show("review", decode::requests(own));
    lesson.tell("approval", facts.answer(approved))?;

    let certificate = stage.cluster.certificate(NODE, CURRENT)?;
    lesson.ask("certificate", Facts::new())?;
    let life = certificate.not_after().duration_since(certificate.not_before());
    lesson.holds(
        "the approver also signs",
        actor(&events, "approved")? == signer(&events)?,
        signer(&events)?,
    )?;
    let facts = Facts::new().show("certificate", decode::certificate(&certificate));
    lesson.tell("certificate", facts.answer(decode::span(life.as_secs())))?;

    lesson.ask("files", Facts::new())?;
    let disk = stage.host(NODE).disk().clone();
    let left = if disk.exists(BOOTSTRAP) { "kept" } else { "deleted" };
    let conf = Kubeconfig::load(&disk, CONF).map_err(StoryError::new)?;
    let facts = Facts::new()
        .show("kubeconfig", decode::kubeconfig(&conf))
        .show("files", decode::files(&stage.host(NODE), "/var/lib/kubelet/pki"));
    lesson.tell("files", facts.answer(left))?;

    let user = format!("system:node:{NODE}");
    let first: Vec<&Event> =
        events.iter().filter(|e| e.kind == "request" && field(e, "user") == user).take(8).collect();
    let groups = decode::requests(first);
    lesson.holds("the node speaks for itself now", !groups.is_empty(), "no request")?;
    lesson.tell("node", Facts::new().show("requests", groups))
}

/// The machine joins; meanwhile somebody looks at the kubeconfig that is there for moments only.
async fn join(stage: &Stage, token: &pki::token::BootstrapToken) -> Result<Kubeconfig, StoryError> {
    let (first, node) = (stage.host(CONTROL_PLANE), machine(stage, NODE));
    let machinery = Machinery::tasks(TaskLauncher::default());
    let options = stage.cluster.options();
    let look = async {
        let there = async || Kubeconfig::load(node.disk(), BOOTSTRAP).ok();
        stage.cluster.elapse_until("bootstrap-kubelet.conf is there", 200 * SECOND, there).await
    };
    let joining = chronoplane::cluster::join(&first, &node, &machinery, options, token);
    let (joined, bootstrap) = futures::join!(joining, look);
    joined?;
    Ok(bootstrap?)
}

fn states<'e>(events: &'e [Event], state: &'e str) -> impl Iterator<Item = &'e Event> {
    events.iter().filter(move |e| e.kind == "csr" && field(e, "state") == state)
}

fn csr_name(events: &[Event]) -> Result<String, StoryError> {
    let created = states(events, "created").find(|e| e.host == NODE);
    let created = created.ok_or_else(|| StoryError("the kubelet has asked for no certificate".into()))?;
    Ok(field(created, "name").to_owned())
}

fn actor(events: &[Event], state: &str) -> Result<String, StoryError> {
    let found = states(events, state).next().map(|e| e.actor.clone());
    found.ok_or_else(|| StoryError(format!("no request was {state}")))
}

/// Who has made the certificate.
fn signer(events: &[Event]) -> Result<String, StoryError> {
    let made = events.iter().find(|e| e.kind == "certificate" && !field(e, "csr").is_empty());
    made.map(|e| e.actor.clone()).ok_or_else(|| StoryError("no certificate was signed".into()))
}
