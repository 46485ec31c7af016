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
const KEYS: &str = "/openid/v1/jwks";

/// The two pages, made once.
pub(super) struct Issuer {
    configuration: Option<String>,
    keys: String,
}

impl Issuer {
    /// `server` is where others reach us: `https://10.0.0.1:6443`. Without an issuer or a key there is
    /// nothing to say.
    pub(super) fn new(issuers: &[String], server: &str, keys: &[PublicKey]) -> Self {
        let set = jwt::jwks(keys);
        let mut algorithms: Vec<_> =
            set["keys"].as_array().into_iter().flatten().filter_map(|k| k["alg"].as_str()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let configuration = issuers.first().filter(|_| !keys.is_empty()).map(|issuer| {
            let page = json!({
                "issuer": issuer,
                "jwks_uri": format!("{server}{KEYS}"),
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
