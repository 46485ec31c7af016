//! What others need in order to verify our service account tokens: the issuer's description and keys.

use async_trait::async_trait;
use http::{HeaderValue, Response, header};
use pki::{PublicKey, jwt};
use serde_json::json;
use wire::Body;

use crate::{
    pipeline::{Page, Pages},
    respond,
};

const CONFIGURATION: &str = "/.well-known/openid-configuration";
/// Where the keys are.
pub(super) const KEYS: &str = "/openid/v1/jwks";

/// The two pages, made once.
pub(super) struct Issuer {
    configuration: Option<String>,
    keys: String,
}

impl Issuer {
    /// `jwks` is where others find the keys: `https://10.0.0.1:6443/openid/v1/jwks`. Without a key, or with an
    /// issuer that nobody could ask by HTTPS, there is nothing to say.
    pub(super) fn new(issuers: &[String], jwks: &str, keys: &[PublicKey]) -> Self {
        let set = jwt::jwks(keys);
        let mut algorithms: Vec<_> =
            set["keys"].as_array().into_iter().flatten().filter_map(|k| k["alg"].as_str()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let issuer = issuers.first().filter(|_| !keys.is_empty()).filter(|issuer| {
            let is_https = issuer.starts_with("https://") && !issuer.contains(['?', '#']);
            if !is_https {
                tracing::error!(
                    "Could not construct pre-rendered responses for ServiceAccountIssuerDiscovery endpoints. \
                     Endpoints will not be enabled. Error: issuer URL must use https scheme, got: {issuer}"
                );
            }
            is_https
        });
        let configuration = issuer.map(|issuer| {
            let page = json!({
                "issuer": issuer,
                "jwks_uri": jwks,
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": algorithms,
            });
            page.to_string()
        });
        Self { configuration, keys: set.to_string() }
    }
}

#[async_trait]
impl Pages for Issuer {
    fn paths(&self) -> Vec<String> {
        match self.configuration {
            Some(_) => vec![CONFIGURATION.to_owned(), KEYS.to_owned()],
            None => Vec::new(),
        }
    }

    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>> {
        let configuration = self.configuration.as_ref()?;
        let (text, media) = match page.path {
            CONFIGURATION => (configuration, "application/json"),
            KEYS => (&self.keys, "application/jwk-set+json"),
            _ => return None,
        };
        let mut response = respond::json_page(200, text.clone());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        Some(response)
    }
}
