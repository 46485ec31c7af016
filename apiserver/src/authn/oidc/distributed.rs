//! Groups that an ID token does not hold itself: it names an endpoint that gives them, in a token of their own (OpenID
//! Connect Core 1.0, 5.6.2; `claimResolver` in `plugin/pkg/authenticator/token/oidc`).
//!
//! Only the claim of groups is looked up, and only where a claim, no expression, is configured for it. Claims that came
//! along with the token (aggregated ones) are none.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use pki::jwt::UnverifiedToken;
use serde::Deserialize;
use serde_json::{Map, Value};
use world::Wall;

use super::{
    JwtConfig,
    config::ClaimOrExpression,
    provider::{Provider, RemoteKeys},
    verify,
};

const NAMES: &str = "_claim_names";
const SOURCES: &str = "_claim_sources";

/// Those who signed such tokens, by name: their keys are looked for when they are first met.
#[derive(Debug, Default)]
pub(super) struct Distributed(Mutex<BTreeMap<String, Arc<Provider>>>);

#[derive(Default, Deserialize)]
struct Source {
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    access_token: String,
}

impl Distributed {
    /// The claims with the one of groups, if that is somewhere else.
    ///
    /// # Errors
    /// It is said to be, and cannot be had.
    pub(super) async fn expand(
        &self,
        config: &JwtConfig,
        own: &Provider,
        mut claims: Map<String, Value>,
        now: Wall,
    ) -> Result<Map<String, Value>, String> {
        let ClaimOrExpression::Claim { claim, .. } = &config.groups else { return Ok(claims) };
        let Some(source) = source(claim, &claims)?.filter(|source| !source.endpoint.is_empty()) else {
            return Ok(claims);
        };
        let value = self.resolve(config, own, claim, &source, now).await?;
        claims.insert(claim.clone(), value);
        Ok(claims)
    }

    async fn resolve(
        &self,
        config: &JwtConfig,
        own: &Provider,
        claim: &str,
        source: &Source,
        now: Wall,
    ) -> Result<Value, String> {
        let url = &source.endpoint;
        let getting = |why: String| format!("while getting distributed claim {claim:?}: {why}");
        let answer = own.outbound().get_with(url, &source.access_token).await.map_err(getting)?;
        if !(200..=226).contains(&answer.status.as_u16()) {
            let why = format!("error while getting distributed claim JWT: {}", answer.status_line());
            return Err(getting(why));
        }
        let text = String::from_utf8_lossy(&answer.body);
        let Some(token) = UnverifiedToken::parse(&text) else {
            return Err(format!(
                "getting untrusted issuer from endpoint {url} failed for claim {claim:?}: malformed token"
            ));
        };
        let issuer = token.issuer();
        let Some(keys) = self.keys(own, issuer) else {
            return Err(format!(
                "verifying untrusted issuer {issuer} failed: verifier not initialized for issuer: {issuer:?}"
            ));
        };
        verify::verify(config, &token, &keys, now)
            .await
            .map_err(|why| format!("verify distributed claim token: {why}"))?;
        token.claims.get(claim).cloned().ok_or_else(|| {
            format!("jwt returned by distributed claim endpoint {url:?} did not contain claim: {claim}")
        })
    }

    /// The issuer's keys, unless it has not been found yet.
    fn keys(&self, own: &Provider, issuer: &str) -> Option<Arc<RemoteKeys>> {
        let mut known = self.0.lock();
        let provider = known.entry(issuer.to_owned()).or_insert_with(|| {
            let provider = own.another(issuer);
            provider.start();
            Arc::new(provider)
        });
        provider.keys()
    }

    /// Nobody asks for their keys any more.
    pub(super) fn stop(&self) {
        self.0.lock().values().for_each(|provider| provider.stop());
    }
}

/// Where the claim is, if somewhere else.
fn source(claim: &str, claims: &Map<String, Value>) -> Result<Option<Source>, String> {
    if claims.contains_key(claim) {
        return Ok(None);
    }
    let Some(names) = claims.get(NAMES) else { return Ok(None) };
    let names: BTreeMap<String, String> = BTreeMap::deserialize(names)
        .map_err(|why| format!("oidc: error parsing distributed claim names: {why}"))?;
    let sources = claims.get(SOURCES).ok_or("oidc: no claim sources")?;
    let mut sources: BTreeMap<String, Source> = BTreeMap::deserialize(sources)
        .map_err(|why| format!("oidc: could not parse claim sources: {why}"))?;
    let Some(name) = names.get(claim) else { return Ok(None) };
    let missing = || format!("id token _claim_names contained a source {name} missing in _claims_sources");
    sources.remove(name).map(Some).ok_or_else(missing)
}
