//! Handing in a certificate signing request, or finding the one that an earlier life handed in
//! (client-go `util/certificate/csr`: RequestCertificate).

use api::object::{ObjectExt as _, unbase64};
use base64::{Engine, engine::general_purpose::STANDARD};
use client::{ClientError, Resource, Rest};
use pki::{
    Certificate, PrivateKey,
    csr::{Csr, CsrError},
};
use serde_json::{Value, json};
use world::{Host, Wall};

use super::template::{Purpose, Template};

pub(super) static V1: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
/// Servers before 1.19 have nothing newer.
pub(super) static V1BETA1: Resource =
    Resource::new("certificates.k8s.io", "v1beta1", "certificatesigningrequests");

/// A request to be handed in.
pub(crate) struct Ask<'a> {
    pub host: &'a Host,
    pub rest: &'a Rest,
    /// With a name the request of an earlier life is taken up again; without one every call makes a
    /// new one.
    pub name: Option<&'a str>,
    pub purpose: Purpose,
    pub template: &'a Template,
    pub usages: &'a [&'static str],
    pub key: &'a PrivateKey,
}

/// A request that the server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub name: String,
    pub uid: String,
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{0}")]
    Make(String),
    #[error("cannot create certificate signing request: {0}")]
    Create(ClientError),
    #[error("cannot retrieve certificate signing request: {0}")]
    Retrieve(ClientError),
    #[error("retrieved csr is not compatible: {0}")]
    Incompatible(String),
}

impl RequestError {
    /// What the server or the way to it had to say.
    pub(super) fn client(&self) -> Option<&ClientError> {
        match self {
            Self::Create(e) | Self::Retrieve(e) => Some(e),
            Self::Make(_) | Self::Incompatible(_) => None,
        }
    }
}

/// Hands in the request, in v1 or, where the server lacks that, in v1beta1.
pub(crate) async fn submit(ask: &Ask<'_>) -> Result<Submitted, RequestError> {
    let request = ask.template.request(ask.key).map_err(RequestError::Make)?;
    let mut created = ask.rest.create(&V1, None, &object(ask, &V1, &request)).await;
    if created.as_ref().is_err_and(ClientError::is_not_found) {
        created = ask.rest.create(&V1BETA1, None, &object(ask, &V1BETA1, &request)).await;
    }
    let there = match (created, ask.name) {
        (Ok(created), _) => {
            tracing::info!(csr = created.name(), "Certificate signing request created");
            created
        }
        (Err(e), Some(name)) if e.is_already_exists() => {
            tracing::info!("csr for this node already exists, reusing");
            let existing = find(ask.rest, name).await.map_err(RequestError::Retrieve)?;
            let now = ask.host.clock().wall();
            compatible(&existing, &request, ask, now).map_err(RequestError::Incompatible)?;
            tracing::info!("csr for this node is still valid");
            existing
        }
        (Err(e), _) => return Err(RequestError::Create(e)),
    };
    let submitted = Submitted { name: there.name().to_owned(), uid: there.uid().to_owned() };
    let fields = vec![
        ("name", submitted.name.clone()),
        ("state", "created".into()),
        ("cn", ask.template.common_name.clone()),
        ("o", ask.template.organizations.join(", ")),
        ("signer", ask.purpose.signer().to_owned()),
        ("usages", ask.usages.join(", ")),
    ];
    ask.host.record("csr", fields);
    Ok(submitted)
}

fn object(ask: &Ask<'_>, api: &Resource, request: &str) -> Value {
    let metadata = match ask.name {
        Some(name) => json!({"name": name}),
        None => json!({"generateName": "csr-"}),
    };
    json!({
        "apiVersion": api.api_version(),
        "kind": "CertificateSigningRequest",
        "metadata": metadata,
        "spec": {
            "request": STANDARD.encode(request),
            "signerName": ask.purpose.signer(),
            "usages": ask.usages,
        },
    })
}

async fn find(rest: &Rest, name: &str) -> Result<Value, ClientError> {
    match rest.get(&V1, None, name).await {
        Err(e) if e.is_not_found() => rest.get(&V1BETA1, None, name).await,
        outcome => outcome,
    }
}

/// Whether `existing` asks for what we ask for, with our key, and did not end in a certificate that is
/// over (ensureCompatible).
fn compatible(existing: &Value, request: &str, ask: &Ask<'_>, now: Wall) -> Result<(), String> {
    let ours = Csr::parse(request.as_bytes()).map_err(|e| format!("unable to parse original csr: {e}"))?;
    let foreign_key = || {
        let why = if ask.key.is_rsa() {
            "crypto/rsa: verification error"
        } else {
            "x509: ECDSA verification failure"
        };
        format!("error validating signature new CSR against old key: {why}")
    };
    let theirs = unbase64(existing.str_at("/spec/request")).unwrap_or_default();
    let theirs = Csr::parse(&theirs).map_err(|e| match e {
        CsrError::Signature(_) => foreign_key(),
        e => format!("unable to parse new csr: {e}"),
    })?;
    if theirs.subject_der() != ours.subject_der() {
        return Err(format!("csr subjects differ: new: {}, orig: {}", subject(&theirs), subject(&ours)));
    }
    let (signer, wanted) = (existing.str_at("/spec/signerName"), ask.purpose.signer());
    if !signer.is_empty() && signer != wanted {
        return Err(format!("csr signerNames differ: new {signer:?}, orig: {wanted:?}"));
    }
    if theirs.public_key() != ours.public_key() {
        return Err(foreign_key());
    }
    let certificate = existing.str_at("/status/certificate");
    if certificate.is_empty() {
        return Ok(());
    }
    let chain = Certificate::parse_pem(&unbase64(certificate).unwrap_or_default());
    let chain = chain.map_err(|e| format!("error parsing signed certificate for CSR: {e}"))?;
    match chain.iter().find(|c| now > c.not_after()) {
        Some(over) => {
            let end = crate::bootstrap::go_time(over.not_after());
            Err(format!("one of the certificates for the CSR has expired: {end}"))
        }
        None => Ok(()),
    }
}

/// As Go prints a `pkix.Name`, without the fields that no kubelet fills.
fn subject(csr: &Csr) -> String {
    let organizations: Vec<String> = csr.organizations().iter().map(|o| format!("{o:?}")).collect();
    format!(
        "pkix.Name{{Organization:[]string{{{}}}, CommonName:{:?}}}",
        organizations.join(", "),
        csr.common_name()
    )
}

#[cfg(test)]
mod tests {
    use pki::{Authority, Grant, KeyAlgorithm, KeyUsage};
    use world::sim;

    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn ec() -> PrivateKey {
        PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key")
    }

    /// What a kubelet of node n1 with `key` says to `existing`.
    fn check(existing: &Value, key: &PrivateKey, expect: Result<(), &str>) {
        let outcome = sim::run(sim::Config::default(), async |sim: sim::Sim| {
            let host = sim.host("n1");
            let http = wire::HttpClient::new(&host, "http://10.0.0.1:1", None).expect("a client");
            let (rest, template) = (Rest::new(http, client::Auth::None, "test"), Template::client("n1"));
            let request = template.request(key).expect("made");
            let usages = ["digital signature", "client auth"];
            let ask = Ask {
                host: &host,
                rest: &rest,
                name: Some("x"),
                purpose: Purpose::Client,
                template: &template,
                usages: &usages,
                key,
            };
            compatible(existing, &request, &ask, NOW.parse().expect("a time"))
        });
        assert_eq!(outcome.expect("a runtime"), expect.map_err(str::to_owned));
    }

    fn existing(template: &Template, key: &PrivateKey, signer: &str, certificate: &str) -> Value {
        let request = template.request(key).expect("made");
        let mut csr = json!({"spec": {"request": STANDARD.encode(request), "signerName": signer}});
        if !certificate.is_empty() {
            csr["status"] = json!({"certificate": STANDARD.encode(certificate)});
        }
        csr
    }

    fn issued(key: &PrivateKey, until: &str) -> String {
        let entropy = world::Entropy::seeded(1, "test");
        let time = |text: &str| -> Wall { text.parse().expect("a time") };
        let (from, far) = (time("2025-01-01T00:00:00Z"), time("2035-01-01T00:00:00Z"));
        let ca = Authority::new_root(&entropy, KeyAlgorithm::EcdsaP256, "ca", &[], from, far)
            .expect("an authority");
        let request = Template::client("n1").request(key).expect("made");
        let csr = Csr::parse(request.as_bytes()).expect("readable");
        let grant = Grant {
            key_usage: KeyUsage::DIGITAL_SIGNATURE,
            extended: Vec::new(),
            not_before: from,
            not_after: time(until),
        };
        ca.sign_csr(&entropy, &csr, &grant).expect("signed").to_pem()
    }

    #[test]
    fn an_earlier_request_is_taken_up_only_if_it_is_ours() {
        let (ours, theirs) = (ec(), ec());
        let (n1, n2) = (Template::client("n1"), Template::client("n2"));
        let signer = Purpose::Client.signer();
        check(&existing(&n1, &ours, signer, ""), &ours, Ok(()));
        check(&existing(&n1, &ours, "", ""), &ours, Ok(()));
        check(
            &existing(&n1, &theirs, signer, ""),
            &ours,
            Err("error validating signature new CSR against old key: x509: ECDSA verification failure"),
        );
        check(
            &existing(&n2, &ours, signer, ""),
            &ours,
            Err("csr subjects differ: new: pkix.Name{Organization:[]string{\"system:nodes\"}, \
                 CommonName:\"system:node:n2\"}, orig: pkix.Name{Organization:[]string{\"system:nodes\"}, \
                 CommonName:\"system:node:n1\"}"),
        );
        check(
            &existing(&n1, &ours, "example.com/x", ""),
            &ours,
            Err(
                "csr signerNames differ: new \"example.com/x\", orig: \"kubernetes.io/kube-apiserver-client-kubelet\"",
            ),
        );
        check(
            &json!({"spec": {}}),
            &ours,
            Err("unable to parse new csr: PEM block type must be CERTIFICATE REQUEST"),
        );
        // The last second of a certificate still counts.
        check(&existing(&n1, &ours, signer, &issued(&ours, NOW)), &ours, Ok(()));
        check(
            &existing(&n1, &ours, signer, &issued(&ours, "2025-12-31T23:59:59Z")),
            &ours,
            Err("one of the certificates for the CSR has expired: 2025-12-31 23:59:59 +0000 UTC"),
        );
    }

    /// An apiserver before 1.19: it has no v1, and what is asked for in v1beta1 is signed at once.
    struct Old {
        certificate: String,
    }

    impl wire::Handler for Old {
        fn call(
            &self,
            _: std::sync::Arc<wire::Peer>,
            request: http::Request<wire::Body>,
        ) -> std::pin::Pin<Box<dyn Future<Output = http::Response<wire::Body>> + Send>> {
            const PATH: &str = "/apis/certificates.k8s.io/v1beta1/certificatesigningrequests";
            let meta = json!({"name": "node-csr-x", "resourceVersion": "7", "uid": "u"});
            let (status, body) = match (request.method().as_str(), request.uri().path()) {
                ("POST", PATH) => (201, json!({"metadata": meta})),
                ("GET", PATH) => {
                    let approved = json!([{"type": "Approved", "status": "True"}]);
                    let status =
                        json!({"certificate": STANDARD.encode(&self.certificate), "conditions": approved});
                    let list = json!({
                        "apiVersion": "certificates.k8s.io/v1beta1",
                        "kind": "CertificateSigningRequestList",
                        "metadata": {"resourceVersion": "7"},
                        "items": [{"metadata": meta, "status": status}],
                    });
                    (200, list)
                }
                _ => (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})),
            };
            let mut response = http::Response::new(wire::body::full(body.to_string()));
            *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
            response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
            Box::pin(std::future::ready(response))
        }
    }

    #[test]
    fn a_server_without_v1_is_asked_in_v1beta1() {
        let key = ec();
        let certificate = issued(&key, "2034-01-01T00:00:00Z");
        let expected = certificate.clone();
        let got = sim::run(sim::Config::default(), async move |sim: sim::Sim| {
            let (server, host) = (sim.host("server"), sim.host("n1"));
            let at = std::net::SocketAddr::new(server.net().address(), 8080);
            let listener = server.net().listen(at).await.expect("free");
            let handler = std::sync::Arc::new(Old { certificate });
            wire::Server::spawn(&server, listener, wire::ServeOptions::plain(), handler);
            let http = wire::HttpClient::new(&host, &format!("http://{at}"), None).expect("a client");
            let (rest, template) = (Rest::new(http, client::Auth::None, "test"), Template::client("n1"));
            let usages = ["digital signature", "client auth"];
            let ask = Ask {
                host: &host,
                rest: &rest,
                name: Some("node-csr-x"),
                purpose: Purpose::Client,
                template: &template,
                usages: &usages,
                key: &key,
            };
            let submitted = submit(&ask).await.map_err(|e| e.to_string())?;
            let limit = std::time::Duration::from_secs(60);
            super::super::issued(&host, &rest, &submitted, limit).await.map_err(|e| e.to_string())
        });
        assert_eq!(got.expect("a runtime"), Ok(expected.into_bytes()));
    }
}
