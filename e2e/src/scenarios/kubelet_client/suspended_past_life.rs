//! suspended-past-life: a cluster is suspended for longer than its certificates live, and wakes to pending requests.
//!
//! okd-project/okd#285: virtual machines are suspended over the weekend, kubelets have certificates of a day, and
//! their bootstrap kubeconfig holds the token of a service account, node-bootstrapper. After the resume nodes stay
//! NotReady and `oc get csr` lists requests of that account as Pending. A human approves them and the nodes come
//! back.
//!
//! While suspended, the timer that would have rotated stands still with everything else; the certificate does not.
//! The kubelet sees that its certificate is over, exits after five minutes, starts with its bootstrap credentials,
//! and asks as who it now is: not as the node, for which requests are approved by themselves, but as the
//! bootstrapper, whom nobody vouches for after the installation. With kubeadm's binding for bootstrappers such a
//! request is approved at once.

use api::object::ObjectExt as _;
use chronoplane::{ClusterOptions, Who};
use client::{DeleteParams, Resource};
use jiff::SignedDuration;
use pki::kubeconfig::{Kubeconfig, User};
use serde_json::{Value, json};

use super::{
    BOOTSTRAP, CSRS, DAY, HOUR, MINUTE, NODE, clock, current, end, exits, known, mark, ready, requests,
    server, until_rotated, upstream,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "suspended-past-life",
    sentence: "A cluster is suspended for longer than its kubelets' certificates live: their new requests stay pending, as node-bootstrapper.",
    reference: "okd-project/okd#285",
    symptoms: &["system:serviceaccount:openshift-machine-config-operator:node-bootstrapper … Pending"],
    range: (14, 36),
    tell,
    real: InReal::Not("needs hosts that are suspended"),
};

const NAMESPACE: &str = "openshift-machine-config-operator";
const ACCOUNT: &str = "node-bootstrapper";
const CORE_NAMESPACES: Resource = Resource::core("namespaces");
const ACCOUNTS: Resource = Resource::core("serviceaccounts");
const BINDINGS: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings");

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    teller.say("");
    briefly(teller, "Control run, suspended for an hour", || play(settings, teller, false))?;
    end(
        settings,
        teller,
        &[
            "In a real cluster: kubectl certificate approve (oc adm certificate approve) for each pending request whose node",
            "you know. Before a long suspension: none helps but longer certificates (--cluster-signing-duration).",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, long: bool) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, signing_duration: Some(DAY), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        installed(stage).await?;
        // As a kubelet is that has run for days.
        until_rotated(stage, NODE, DAY).await?;
        stage.cluster.elapse(HOUR).await;
        let since = mark(stage);
        let ends = current(stage, NODE)?.not_after();
        let sleep = ends.duration_since(stage.now()) - SignedDuration::from_secs(1);
        let sleep = if long { sleep } else { SignedDuration::from_hours(1) };
        stage.say(format!(
            "{}: all hosts are suspended; {NODE} has a certificate until {}.",
            clock(stage.now()),
            clock(ends)
        ));
        stage.cluster.suspend(Who::Members, sleep.unsigned_abs()).await;
        if !long {
            upstream(stage, 6 * MINUTE).await;
            stage.check("awake", ready(stage, NODE).await == "True" && exits(stage, NODE, since).0 == 0, "");
            stage.check("known", known(stage, NODE).await.0 == 200, "");
            return Ok(());
        }
        let before = known(stage, NODE).await;
        stage.check(
            "awake for a moment, a second before",
            before.0 == 200,
            format!("{} GET node {NODE}", before.0),
        );
        stage.cluster.suspend(Who::Members, super::SECOND * 2).await;
        let after = known(stage, NODE).await;
        stage.check("awake again, a second after", after.0 == 401, format!("{} {}", after.0, after.1));
        stage.cluster.suspend(Who::Members, 2 * DAY).await;
        stage.say(format!("{}: resumed after two more days.", clock(stage.now())));
        upstream(stage, 8 * MINUTE).await;
        awake(stage, since).await
    })
}

async fn awake(stage: &Stage, since: usize) -> Result<(), StoryError> {
    let lost = ready(stage, NODE).await;
    stage.check("eight minutes later", lost.starts_with("Unknown"), format!("Ready is {lost}"));
    let (count, last) = exits(stage, NODE, since);
    if stage.settings.profile.without_certificate().0.is_empty() {
        stage.check("the kubelet", count == 0, "goes on with what is over, and asks for nothing");
        return Ok(());
    }
    stage.check("the kubelet has started anew", count > 0, last);
    let mut pending = requests(stage, NODE).await;
    pending.retain(|csr| csr.list_at("/status/conditions").is_empty());
    stage.check("its requests", !pending.is_empty(), format!("{}", pending.len()));
    let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let table = table(stage).await;
    let row = table.iter().rfind(|row| row.contains(&user)).cloned().unwrap_or_default();
    stage.check_words("kubectl get csr", row, &[&user, "Pending"]);
    for csr in &pending {
        let approval = json!([{"type": "Approved", "status": "True", "reason": "KubectlApprove",
            "message": "This CSR was approved by kubectl certificate approve."}]);
        let approve = |csr: &mut Value| csr["status"]["conditions"] = approval.clone();
        let done = stage.cluster.admin().modify(&CSRS, None, csr.name(), Some("approval"), approve).await;
        done.map_err(StoryError::new)?;
    }
    stage.cluster.elapse(MINUTE).await;
    let healed = ready(stage, NODE).await;
    stage.check("approved by a human", healed == "True", healed.clone());
    Ok(())
}

/// The rows that `kubectl get csr` prints.
async fn table(stage: &Stage) -> Vec<String> {
    let asked = http::Request::get("/apis/certificates.k8s.io/v1/certificatesigningrequests")
        .header(http::header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(wire::body::empty());
    let Ok(asked) = asked else { return Vec::new() };
    let Ok(answer) = stage.cluster.admin().http().send(asked).await else { return Vec::new() };
    let Ok(bytes) = wire::body::collect(answer.into_body(), 1 << 20).await else { return Vec::new() };
    let table: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let row = |row: &Value| {
        let cells = row["cells"].as_array().into_iter().flatten();
        cells.map(|cell| cell.as_str().map_or(cell.to_string(), str::to_owned)).collect::<Vec<_>>().join("  ")
    };
    table["rows"].as_array().into_iter().flatten().map(row).collect()
}

/// As OKD's installer leaves a cluster: the bootstrap kubeconfig stays, with the token of a service account whose
/// requests are approved by hand.
async fn installed(stage: &Stage) -> Result<(), StoryError> {
    let rest = stage.cluster.admin();
    let made = |e: client::ClientError| StoryError::new(e);
    rest.create(&CORE_NAMESPACES, None, &json!({"metadata": {"name": NAMESPACE}})).await.map_err(made)?;
    rest.create(&ACCOUNTS, Some(NAMESPACE), &json!({"metadata": {"name": ACCOUNT}})).await.map_err(made)?;
    let binding = json!({
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-bootstrapper"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    });
    rest.create(&BINDINGS, None, &binding).await.map_err(made)?;
    let bootstrap = "kubeadm:node-autoapprove-bootstrap";
    rest.delete(&BINDINGS, None, bootstrap, &DeleteParams::default()).await.map_err(made)?;
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 30 * 86_400}});
    let token = rest.create_sub(&ACCOUNTS, Some(NAMESPACE), ACCOUNT, "token", &asked).await.map_err(made)?;
    let token = token["status"]["token"].as_str().unwrap_or_default();
    let config = Kubeconfig::new("kubernetes", server(stage), ACCOUNT, User::with_token(token));
    config.save(stage.host(NODE).disk(), BOOTSTRAP).map_err(StoryError::new)
}
