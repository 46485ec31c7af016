//! A webhook that must be asked, and a writer of what it judges.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use api::object::{ObjectExt as _, base64};
use client::{DeleteParams, Resource};
use http::{Request, Response, header};
use jiff::SignedDuration;
use parking_lot::Mutex;
use pki::{CertSpec, ServerTls, StaticIdentity};
use serde_json::{Value, json};
use wire::{Body, Peer, ServeOptions, Server, body};
use world::Host;

use super::super::{
    invariants::ADMITTED,
    scene::{CONFIG_MAPS, NAMESPACE, NS, Scene, issue, stranger},
};
use crate::HarnessError;

/// Where it runs.
pub(in super::super) const HOOK: &str = "hook";
const PORT: u16 = 9443;
/// How long the apiserver waits for it, and how long it takes when it is slow, in seconds.
const TIMEOUT: u64 = 5;
const SLOW: Duration = Duration::from_secs(TIMEOUT + 2);
/// How long the apiserver's informer may take to hear of the configuration.
const HEARD: Duration = Duration::from_secs(60);
const CONFIGURATIONS: Resource =
    Resource::new("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
const LABEL: &str = "chaos-hooked";
/// How many of the hooked objects it consents to, of ten.
const CONSENTS: u64 = 7;
/// More than any ConfigMap of the load.
const QUESTION_LIMIT: usize = 1 << 20;

/// The webhook: to what it consented, and whether it is slow.
#[derive(Default)]
pub(in super::super) struct Hook {
    consented: Mutex<BTreeSet<String>>,
    slow: AtomicBool,
}

impl Hook {
    pub(in super::super) fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Relaxed);
    }

    /// Serves on its host, and is made known to the cluster.
    pub(super) async fn start(self: &Arc<Self>, scene: &Scene) -> Result<(), HarnessError> {
        let host = scene.host(HOOK);
        let authority = stranger(&host)?;
        let now = host.clock().wall();
        let spec = CertSpec {
            common_name: HOOK.to_owned(),
            organizations: Vec::new(),
            dns_names: Vec::new(),
            ips: vec![host.net().address()],
            client_auth: false,
            server_auth: true,
            // The control plane's clock may be wrong by a day.
            not_before: now - SignedDuration::from_hours(48),
            not_after: now + SignedDuration::from_hours(24 * 365),
        };
        let pair = issue(&host, &authority, &spec)?;
        let identity = StaticIdentity::new(&pair).map_err(HarnessError::new)?;
        let process = host.process("webhook");
        let listener = process
            .host()
            .net()
            .listen(SocketAddr::new([0, 0, 0, 0].into(), PORT))
            .await
            .map_err(HarnessError::new)?;
        let tls = ServerTls::new(process.host()).default_cert(Arc::new(identity)).config();
        let (this, at) = (self.clone(), process.host().clone());
        let handler = move |_: Arc<Peer>, request: Request<Body>| this.clone().answer(at.clone(), request);
        Server::spawn(process.host(), listener, ServeOptions::tls(move || tls.clone()), Arc::new(handler));
        let webhook = json!({
            "name": "judge.chaos.example",
            "clientConfig": {
                "url": format!("https://{}:{PORT}/judge", host.net().address()),
                "caBundle": base64(authority.certificate.to_pem().as_bytes()),
            },
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
            "objectSelector": {"matchLabels": {LABEL: "yes"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": TIMEOUT,
            "admissionReviewVersions": ["v1"],
        });
        let configuration = json!({"metadata": {"name": HOOK}, "webhooks": [webhook]});
        scene
            .operator
            .create(&CONFIGURATIONS, None, &configuration)
            .await
            .map(drop)
            .map_err(HarnessError::new)
    }

    async fn answer(self: Arc<Self>, host: Host, request: Request<Body>) -> Response<Body> {
        if self.slow.load(Relaxed) {
            host.clock().sleep(SLOW).await;
        }
        let question = body::collect(request.into_body(), QUESTION_LIMIT).await;
        let review: Value =
            question.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let name = review.str_at("/request/object/metadata/name").to_owned();
        let consents = host.entropy().below(10) < CONSENTS;
        if consents {
            self.consented.lock().insert(name);
        }
        let answer = json!({
            "kind": "AdmissionReview",
            "apiVersion": review.api_version(),
            "response": {"uid": review.str_at("/request/uid"), "allowed": consents},
        });
        let mut response = Response::new(body::full(answer.to_string()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }
}

/// Writes what the webhook is to judge.
pub(super) async fn run(scene: Arc<Scene>, hook: Arc<Hook>) {
    let host = scene.workstation();
    let mut tries = 0_u64;
    let mut known = false;
    let began = host.clock().monotonic();
    while scene.tempo.turn(&host).await {
        tries += 1;
        let name = format!("hooked-{tries}");
        let object = json!({"metadata": {"name": name, "labels": {LABEL: "yes"}}, "data": {"by": name}});
        let heard = host.clock().monotonic().since(began) >= HEARD;
        let sent = scene.history.sent();
        let created = scene.operator.create(&CONFIG_MAPS, NS, &object).await;
        let consented = hook.consented.lock().contains(&name);
        // Until the server's informer has heard of the configuration nobody is asked: the first question shows it, and
        // a minute is all that it may take.
        known |= consented || created.is_err() || heard;
        let Ok(stored) = created else { continue };
        scene.history.acknowledged(sent, &stored);
        scene.judge.check(ADMITTED, consented || !known, || {
            format!("{name} was stored, and the webhook has not consented")
        });
        // What is left behind by a fault stays.
        let _ = scene.operator.delete(&CONFIG_MAPS, NS, &name, &DeleteParams::default()).await;
    }
}
