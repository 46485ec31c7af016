//! A webhook that changes and judges pods, as one would write it: a server on a host of any world, known to
//! the cluster as a service with endpoints.
//!
//! ```text
//!   /mutate    the label checked-by, and 50m of CPU for containers that ask for nothing
//!   /validate  no privileged containers; a warning for images without a tag
//! ```
//! It concerns namespaces with the label `pod-webhook: enabled`, so that it can keep nobody from repairing a
//! cluster. Tests move its host's clock and certificate; `chronoplane webhook` serves it to a real cluster.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use api::{
    object::{ObjectExt, base64},
    profile::Profile,
};
use client::{ClientError, Patch, Resource, Rest};
use http::{
    Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use pki::{
    Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey, ServerTls, StaticIdentity,
    kubeconfig::Kubeconfig,
};
use serde_json::{Value, json};
use wire::{Body, Peer, ServeOptions, Server, body};
use world::{Host, Wall};

use crate::{
    cli::Refusal,
    components::{self, Place},
};

/// The service's namespace.
pub const NAMESPACE: &str = "pod-webhook";
/// The service's name, and that of both configurations.
pub const NAME: &str = "pod-webhook";
/// The label that pods get.
pub const LABEL: &str = "checked-by";
/// Where it listens in tests.
pub const PORT: u16 = 9443;
/// Webhooks' names.
const MUTATING: &str = "mutate.pods.chronoplane.dev";
const VALIDATING: &str = "validate.pods.chronoplane.dev";
/// More than any pod.
const QUESTION_LIMIT: usize = 8 << 20;

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum PodWebhookError {
    /// Its certificate could not be made.
    #[error("cannot make the webhook's certificate: {0}")]
    Certificate(String),
    /// Its port is taken.
    #[error("the webhook cannot listen on {}: {error}", error.at)]
    Listen {
        /// The evidence.
        error: world::ListenError,
    },
    /// The cluster did not take its objects.
    #[error("the webhook cannot be registered: {0}")]
    Register(#[from] ClientError),
}

/// See the module.
pub struct PodWebhook {
    host: Host,
    authority: Authority,
    pair: CertifiedKey,
    server: Option<Server>,
    local: SocketAddr,
}

impl PodWebhook {
    /// Serves on `at` with a new authority and a certificate for its service that lasts so long.
    ///
    /// # Errors
    /// No certificate, or no port.
    pub async fn start(host: &Host, at: SocketAddr, lasts: Duration) -> Result<Self, PodWebhookError> {
        let now = host.clock().wall();
        let wrong = |e: &dyn std::fmt::Display| PodWebhookError::Certificate(e.to_string());
        let end = now + 10 * 365 * Duration::from_secs(86_400);
        let authority =
            Authority::new_root(host.entropy(), KeyAlgorithm::EcdsaP256, "pod-webhook-ca", &[], now, end)
                .map_err(|e| wrong(&e))?;
        let pair = issue(host, &authority, lasts)?;
        let mut webhook = Self { host: host.clone(), authority, pair, server: None, local: at };
        webhook.serve().await?;
        Ok(webhook)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// When its certificate ends.
    pub fn not_after(&self) -> Option<Wall> {
        self.pair.leaf().map(|leaf| leaf.not_after())
    }

    /// The process ends and another one begins, with a new certificate from now on.
    ///
    /// # Errors
    /// As [`PodWebhook::start`].
    pub async fn renew(&mut self, lasts: Duration) -> Result<(), PodWebhookError> {
        self.pair = issue(&self.host, &self.authority, lasts)?;
        self.stop().await;
        self.serve().await
    }

    /// Serves no longer; connections end.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown(&self.host, Duration::from_secs(1)).await;
        }
    }

    async fn serve(&mut self) -> Result<(), PodWebhookError> {
        let listener =
            self.host.net().listen(self.local).await.map_err(|error| PodWebhookError::Listen { error })?;
        self.local = listener.local_addr();
        let identity =
            StaticIdentity::new(&self.pair).map_err(|e| PodWebhookError::Certificate(e.to_string()))?;
        let config = ServerTls::new(&self.host).default_cert(Arc::new(identity)).config();
        let handler = |_: Arc<Peer>, request: Request<Body>| answer(request);
        let options = ServeOptions::tls(move || config.clone());
        self.server = Some(Server::spawn(&self.host, listener, options, Arc::new(handler)));
        Ok(())
    }

    /// Makes it known: namespace, service, endpoints, both configurations. What is there is brought up to date.
    ///
    /// # Errors
    /// What the cluster says.
    pub async fn register(&self, rest: &Rest, failure_policy: &str) -> Result<(), PodWebhookError> {
        let ip = match self.local.ip() {
            ip if ip.is_unspecified() => self.host.net().address(),
            ip => ip,
        };
        let endpoints =
            json!([{ "addresses": [{ "ip": ip.to_string() }], "ports": [{ "port": self.local.port() }] }]);
        let ns = Some(NAMESPACE);
        let core = Resource::core;
        put(rest, &core("namespaces"), None, json!({ "metadata": { "name": NAMESPACE } })).await?;
        let service = json!({ "metadata": { "name": NAME }, "spec": { "ports": [{ "port": 443 }] } });
        put(rest, &core("services"), ns, service).await?;
        put(rest, &core("endpoints"), ns, json!({ "metadata": { "name": NAME }, "subsets": endpoints }))
            .await?;
        for (plural, name, path) in [
            ("mutatingwebhookconfigurations", MUTATING, "/mutate"),
            ("validatingwebhookconfigurations", VALIDATING, "/validate"),
        ] {
            let resource = Resource::new("admissionregistration.k8s.io", "v1", plural);
            let webhook = self.webhook(name, path, failure_policy);
            put(rest, &resource, None, json!({ "metadata": { "name": NAME }, "webhooks": [webhook] }))
                .await?;
        }
        Ok(())
    }

    fn webhook(&self, name: &str, path: &str, failure_policy: &str) -> Value {
        json!({
            "name": name,
            "clientConfig": {
                "service": { "namespace": NAMESPACE, "name": NAME, "path": path },
                "caBundle": base64(self.authority.certificate.to_pem().as_bytes()),
            },
            "rules": [{ "operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"] }],
            "namespaceSelector": { "matchLabels": { "pod-webhook": "enabled" } },
            "failurePolicy": failure_policy,
            "sideEffects": "None",
            "timeoutSeconds": 5,
            "admissionReviewVersions": ["v1"],
        })
    }
}

async fn put(rest: &Rest, resource: &Resource, ns: Option<&str>, object: Value) -> Result<(), ClientError> {
    match rest.create(resource, ns, &object).await {
        Err(e) if e.is_already_exists() => {
            rest.patch(resource, ns, object.name(), Patch::Merge(&object), None).await.map(drop)
        }
        outcome => outcome.map(drop),
    }
}

fn issue(host: &Host, authority: &Authority, lasts: Duration) -> Result<CertifiedKey, PodWebhookError> {
    let wrong = |why: String| PodWebhookError::Certificate(why);
    let now = host.clock().wall();
    let name = format!("{NAME}.{NAMESPACE}.svc");
    let spec = CertSpec {
        common_name: name.clone(),
        organizations: vec![],
        dns_names: vec![name],
        ips: vec![],
        client_auth: false,
        server_auth: true,
        not_before: now,
        not_after: now + lasts,
    };
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(|e| wrong(e.to_string()))?;
    let leaf = authority.issue(host.entropy(), &spec, &key.public()).map_err(|e| wrong(e.to_string()))?;
    CertifiedKey::new(vec![leaf], key).map_err(|e| wrong(e.to_string()))
}

async fn answer(request: Request<Body>) -> Response<Body> {
    let (head, content) = request.into_parts();
    let judge = match head.uri.path() {
        "/mutate" => mutate,
        "/validate" => validate,
        _ => return text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
    };
    let review = match body::collect(content, QUESTION_LIMIT).await {
        Ok(bytes) => serde_json::from_slice::<Value>(&bytes).map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    let review = match review {
        Ok(review) if review.kind() == "AdmissionReview" => review,
        Ok(_) => return text(StatusCode::BAD_REQUEST, "this is no AdmissionReview\n".to_owned()),
        Err(why) => return text(StatusCode::BAD_REQUEST, format!("{why}\n")),
    };
    let pod = review.at("/request/object").unwrap_or(&Value::Null);
    let mut response = judge(pod);
    response["uid"] = review.at("/request/uid").cloned().unwrap_or_default();
    let document =
        json!({ "kind": "AdmissionReview", "apiVersion": review.api_version(), "response": response });
    let mut answer = Response::new(body::full(document.to_string()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn text(code: StatusCode, words: String) -> Response<Body> {
    let mut answer = Response::new(body::full(words));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

/// The label, and a request for CPU where there is none.
fn mutate(pod: &Value) -> Value {
    let mut patch = Vec::new();
    let mut add =
        |path: String, value: Value| patch.push(json!({ "op": "add", "path": path, "value": value }));
    match pod.map_at("/metadata/labels") {
        None => add("/metadata/labels".to_owned(), json!({ LABEL: NAME })),
        Some(labels) if labels.get(LABEL).and_then(Value::as_str) == Some(NAME) => {}
        Some(_) => add(format!("/metadata/labels/{LABEL}"), NAME.into()),
    }
    for (index, container) in pod.list_at("/spec/containers").iter().enumerate() {
        let at = format!("/spec/containers/{index}/resources");
        match (container.map_at("/resources"), container.map_at("/resources/requests")) {
            (None, _) => add(at, json!({ "requests": { "cpu": "50m" } })),
            (Some(_), None) => add(format!("{at}/requests"), json!({ "cpu": "50m" })),
            (Some(_), Some(requests)) if requests.get("cpu").is_none() => {
                add(format!("{at}/requests/cpu"), "50m".into());
            }
            (Some(_), Some(_)) => {}
        }
    }
    let mut response = json!({ "allowed": true });
    if !patch.is_empty() {
        response["patchType"] = "JSONPatch".into();
        response["patch"] = base64(Value::Array(patch).to_string().as_bytes()).into();
    }
    response
}

/// No privileged containers.
fn validate(pod: &Value) -> Value {
    let containers = || pod.list_at("/spec/containers").iter().chain(pod.list_at("/spec/initContainers"));
    let untagged = |image: &str| !image.rsplit('/').next().unwrap_or_default().contains([':', '@']);
    let warnings: Vec<String> = containers()
        .map(|container| container.str_at("/image"))
        .filter(|image| untagged(image))
        .map(|image| format!("image {image:?} has no tag"))
        .collect();
    let privileged: Vec<String> = containers()
        .filter(|container| container.bool_at("/securityContext/privileged"))
        .map(|container| format!("container {:?} is privileged", container.str_at("/name")))
        .collect();
    let mut response = json!({ "allowed": privileged.is_empty(), "warnings": warnings });
    if !privileged.is_empty() {
        let message = privileged.join(", ");
        response["status"] = json!({ "code": 403, "reason": "Forbidden", "message": message });
        response["auditAnnotations"] = json!({ "refused": message });
    }
    response
}

/// `chronoplane webhook`.
#[derive(clap::Args)]
pub struct WebhookArgs {
    /// The cluster that is to ask it, as its administrator
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Where to listen: an address at which the cluster reaches it, so not 127.0.0.1, which each host takes for itself
    #[arg(long, default_value = "127.253.0.1:9443")]
    listen: SocketAddr,
    /// What becomes of pods when it cannot be asked: Fail or Ignore
    #[arg(long, default_value = "Fail")]
    failure_policy: String,
}

/// Serves it to a cluster until told to end.
///
/// # Errors
/// The kubeconfig, the port, or what the cluster says.
pub fn run(args: &WebhookArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("warn");
    let runtime = components::runtime()?;
    runtime.block_on(async {
        let host = Place::of_this_process()?.host();
        let text = std::fs::read_to_string(&args.kubeconfig)
            .map_err(|e| Refusal(format!("cannot read {}: {e}", args.kubeconfig.display())))?;
        let config = Kubeconfig::parse(&text, Some(&args.kubeconfig))?;
        let rest = Rest::from_kubeconfig(&host, &config, Profile::default().go(), "chronoplane-webhook")?;
        let year = 365 * Duration::from_secs(86_400);
        let mut webhook = PodWebhook::start(&host, args.listen, year).await?;
        webhook.register(&rest, &args.failure_policy).await?;
        outln!("serving {NAME}.{NAMESPACE}.svc at {}", webhook.local_addr());
        components::told_to_end().await;
        webhook.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

#[cfg(test)]
mod tests {
    use api::{object::unbase64, patch::json_patch};

    use super::*;

    fn pod(container: Value) -> Value {
        json!({ "metadata": { "name": "p" }, "spec": { "containers": [container] } })
    }

    #[test]
    fn a_pod_gets_its_label_and_its_share_once() {
        for container in [
            json!({ "name": "c" }),
            json!({ "name": "c", "resources": {} }),
            json!({ "name": "c", "resources": { "requests": { "memory": "1Mi" } } }),
        ] {
            let pod = pod(container);
            let patch = unbase64(mutate(&pod).str_at("/patch")).unwrap();
            let changed = json_patch(&pod, &serde_json::from_slice(&patch).unwrap()).unwrap();
            assert_eq!(changed.str_at("/metadata/labels/checked-by"), NAME);
            assert_eq!(changed.str_at("/spec/containers/0/resources/requests/cpu"), "50m");
            assert_eq!(mutate(&changed), json!({ "allowed": true }), "nothing is left to change");
        }
    }

    #[test]
    fn privileged_containers_are_refused_and_untagged_images_warned_of() {
        let fine = validate(&pod(json!({ "name": "c", "image": "registry:5000/app:1" })));
        assert_eq!(fine, json!({ "allowed": true, "warnings": [] }));
        let refused = validate(&pod(
            json!({ "name": "c", "image": "registry:5000/app", "securityContext": { "privileged": true } }),
        ));
        assert_eq!(refused["allowed"], false);
        assert_eq!(refused["warnings"], json!(["image \"registry:5000/app\" has no tag"]));
        assert_eq!(refused.str_at("/status/message"), "container \"c\" is privileged");
    }
}
