//! A webhook of the author's inside the world: admission or conversion, asked by the API server over real TLS.
//!
//! A server on the system's sockets is out of reach for a simulated API server. What a webhook decides is a function from
//! JSON to JSON; here it is served on a host of the world, with a certificate of its own.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use api::object::base64;
use http::{Method, Request, Response, StatusCode, header};
use jiff::SignedDuration;
use pki::{Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey, ServerTls, StaticIdentity};
use serde_json::{Value, json};
use wire::{Body, Peer, ServeOptions, Server, body};
use world::{Host, Process};

use crate::HarnessError;

const PORT: u16 = 9443;
/// More than an API server sends.
const QUESTION_LIMIT: usize = 8 << 20;
/// Until its certificate ends, unless it is told otherwise.
const LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A webhook that is served.
#[derive(Debug)]
pub struct Webhook {
    url: String,
    authority: String,
    process: Process,
}

impl Webhook {
    /// Serves `answer` on `host`: it is given the review that the API server posts, and returns the review with its
    /// response.
    ///
    /// # Errors
    /// The host serves another one, or a certificate cannot be made.
    pub async fn serve<F, Fut>(host: &Host, answer: F) -> Result<Self, HarnessError>
    where
        F: Fn(Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Value> + Send + 'static,
    {
        Self::serve_for(host, LIFE, answer).await
    }

    /// As [`Webhook::serve`], with a certificate that ends after that time.
    ///
    /// # Errors
    /// As there.
    pub async fn serve_for<F, Fut>(host: &Host, life: Duration, answer: F) -> Result<Self, HarnessError>
    where
        F: Fn(Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Value> + Send + 'static,
    {
        let (pair, authority) = certificate(host, life)?;
        let identity = StaticIdentity::new(&pair).map_err(HarnessError::new)?;
        let process = host.process("webhook");
        let at = SocketAddr::new([0, 0, 0, 0].into(), PORT);
        let listener = process.host().net().listen(at).await.map_err(HarnessError::new)?;
        let tls = ServerTls::new(process.host()).default_cert(Arc::new(identity)).config();
        let answer = Arc::new(answer);
        let handler = move |_: Arc<Peer>, request: Request<Body>| {
            let answer = answer.clone();
            async move {
                match question(request).await {
                    Ok(review) => reply(StatusCode::OK, answer(review).await.to_string()),
                    Err((code, why)) => reply(code, json!({"error": why}).to_string()),
                }
            }
        };
        Server::spawn(process.host(), listener, ServeOptions::tls(move || tls.clone()), Arc::new(handler));
        let url = format!("https://{}:{PORT}", host.net().address());
        Ok(Self { url, authority, process })
    }

    /// Where it is, and whom to trust there: the `clientConfig` of a webhook configuration or of a definition's conversion.
    pub fn client_config(&self, path: &str) -> Value {
        json!({
            "url": format!("{}/{}", self.url, path.trim_start_matches('/')),
            "caBundle": base64(self.authority.as_bytes()),
        })
    }

    /// It ends, as its process would by SIGKILL.
    pub async fn kill(&self) {
        self.process.kill().await;
    }
}

/// A pair for `host`, and the certificate of the authority that has signed it.
fn certificate(host: &Host, life: Duration) -> Result<(CertifiedKey, String), HarnessError> {
    let now = host.clock().wall();
    let (algorithm, names) = (KeyAlgorithm::EcdsaP256, ["webhook".to_owned()]);
    let not_before = now - SignedDuration::from_mins(5);
    let not_after = now.saturating_add(life).map_err(HarnessError::new)?;
    let authority =
        Authority::new_root(host.entropy(), algorithm, "webhook-ca", &names, not_before, not_after)
            .map_err(HarnessError::new)?;
    let spec = CertSpec {
        common_name: "webhook".to_owned(),
        organizations: Vec::new(),
        dns_names: names.to_vec(),
        ips: vec![host.net().address()],
        client_auth: false,
        server_auth: true,
        not_before,
        not_after,
    };
    let key = PrivateKey::generate(algorithm).map_err(HarnessError::new)?;
    let leaf = authority.issue(host.entropy(), &spec, &key.public()).map_err(HarnessError::new)?;
    let pair = CertifiedKey::new(vec![leaf], key).map_err(HarnessError::new)?;
    Ok((pair, authority.certificate.to_pem()))
}

async fn question(request: Request<Body>) -> Result<Value, (StatusCode, String)> {
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "reviews are posted".to_owned()));
    }
    let bytes = body::collect(request.into_body(), QUESTION_LIMIT).await;
    let bytes = bytes.map_err(|e| (StatusCode::BAD_REQUEST, e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| (StatusCode::BAD_REQUEST, e.to_string()))
}

fn reply(code: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = code;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
