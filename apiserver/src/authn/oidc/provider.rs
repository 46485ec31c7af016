//! Where an issuer's keys are, and the keys: discovery once, then the key set whenever a token is signed with a key
//! that is not known, unless the issuer said that its keys are good for longer.

use std::{sync::Arc, time::Duration};

use http::header::CACHE_CONTROL;
use parking_lot::Mutex;
use pki::{
    GoVersion, Roots,
    jwt::{KeySet, UnverifiedToken},
};
use serde::Deserialize;
use world::{Host, Wall};

use super::{super::outbound::Outbound, JwtConfig};

const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// How long to wait before an issuer is asked again that was not there.
pub(super) const RETRY: Duration = Duration::from_secs(10);
/// The longest time that keys count as fresh, whatever the issuer says: beyond any, and within what a clock can tell.
const LONGEST_AGE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How much the issuer's idea of when its keys end may differ from ours.
const EXPIRY_DELTA: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Provider {
    issuer: String,
    discovery: String,
    outbound: Arc<Outbound>,
    found: Arc<Mutex<Found>>,
}

#[derive(Default)]
struct Found {
    keys: Option<Arc<RemoteKeys>>,
    /// Why there are none yet.
    error: Option<String>,
    is_over: bool,
}

#[derive(Deserialize)]
struct Discovery {
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    jwks_uri: String,
}

impl Provider {
    pub(super) fn new(host: &Host, config: &JwtConfig, go: GoVersion) -> Self {
        let issuer = config.issuer.url.clone();
        let own = || format!("{}{WELL_KNOWN}", issuer.trim_end_matches('/'));
        let discovery = config.issuer.discovery_url.clone().unwrap_or_else(own);
        let roots = config.issuer.certificate_authority.as_deref();
        let roots = roots.and_then(|pem| Roots::from_pem(pem.as_bytes()).ok());
        if roots.is_none() {
            tracing::info!("OIDC: No x509 certificates provided, will use host's root CA set");
        }
        let outbound = Arc::new(Outbound::new(host, roots, go));
        Self { issuer, discovery, outbound, found: Arc::default() }
    }

    /// Another issuer, asked as this one is.
    pub(super) fn another(&self, issuer: &str) -> Self {
        let discovery = format!("{}{WELL_KNOWN}", issuer.trim_end_matches('/'));
        Self { issuer: issuer.to_owned(), discovery, outbound: self.outbound.clone(), found: Arc::default() }
    }

    /// The way to the issuer, and to whom it refers.
    pub(super) fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Looks for the keys' address until it is found, in a task of the host's process.
    pub(super) fn start(&self) {
        let (issuer, discovery) = (self.issuer.clone(), self.discovery.clone());
        let (outbound, found) = (self.outbound.clone(), self.found.clone());
        let host = outbound.host().clone();
        let ticking = host.clone();
        host.spawn(async move {
            loop {
                match discover(&outbound, &discovery, &issuer).await {
                    Ok(url) => {
                        let keys = RemoteKeys {
                            url,
                            outbound,
                            held: Mutex::default(),
                            fetching: tokio::sync::Mutex::default(),
                        };
                        found.lock().keys = Some(Arc::new(keys));
                        return;
                    }
                    Err(why) => {
                        tracing::error!("oidc authenticator: initializing plugin: {why}");
                        found.lock().error = Some(why);
                    }
                }
                ticking.clock().sleep(RETRY).await;
                if found.lock().is_over {
                    return;
                }
            }
        });
    }

    /// Nobody asks for this issuer's keys any more.
    pub(super) fn stop(&self) {
        self.found.lock().is_over = true;
    }

    /// Whether discovery succeeded.
    ///
    /// # Errors
    /// Why it has not so far.
    pub(super) fn health(&self) -> Result<(), String> {
        let found = self.found.lock();
        if found.keys.is_some() {
            return Ok(());
        }
        let unasked = || format!("oidc: authenticator for issuer {:?} is not initialized", self.issuer);
        Err(found.error.clone().unwrap_or_else(unasked))
    }

    /// `None` until discovery succeeded.
    pub(super) fn keys(&self) -> Option<Arc<RemoteKeys>> {
        self.found.lock().keys.clone()
    }
}

async fn discover(outbound: &Outbound, url: &str, issuer: &str) -> Result<String, String> {
    let answer = outbound.get(url).await?;
    if answer.status != http::StatusCode::OK {
        return Err(format!("{}: {}", answer.status_line(), String::from_utf8_lossy(&answer.body)));
    }
    let page: Discovery = serde_json::from_slice(&answer.body)
        .map_err(|e| format!("oidc: failed to decode provider discovery object: {e}"))?;
    if page.issuer != issuer {
        return Err(format!(
            "oidc: issuer did not match the issuer returned by provider, expected {issuer:?} got {:?}",
            page.issuer
        ));
    }
    Ok(page.jwks_uri)
}

/// An issuer's keys as they were last seen.
pub(super) struct RemoteKeys {
    url: String,
    outbound: Arc<Outbound>,
    held: Mutex<Held>,
    /// Held by whoever fetches: the others wait for what comes.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Arc<KeySet>,
    /// Counts the fetches.
    version: u64,
    expiry: Option<Wall>,
}

impl RemoteKeys {
    /// Whether the token is signed with one of the issuer's keys; these are fetched again if it seems not so.
    pub(super) async fn verify(&self, token: &UnverifiedToken<'_>) -> Result<(), String> {
        const FAILED: &str = "failed to verify id token signature";
        let held = self.held.lock().clone();
        if held.keys.signed(token) {
            return Ok(());
        }
        let now = self.outbound.host().clock().wall();
        if held.expiry.is_some_and(|expiry| now + EXPIRY_DELTA <= expiry) {
            return Err(FAILED.to_owned());
        }
        let keys = self.fetch(held.version).await.map_err(|why| format!("fetching keys {why}"))?;
        if keys.signed(token) { Ok(()) } else { Err(FAILED.to_owned()) }
    }

    /// Keys newer than `seen`.
    async fn fetch(&self, seen: u64) -> Result<Arc<KeySet>, String> {
        let _one_at_a_time = self.fetching.lock().await;
        {
            let held = self.held.lock();
            if held.version > seen {
                return Ok(held.keys.clone());
            }
        }
        let answer =
            self.outbound.get(&self.url).await.map_err(|why| format!("oidc: get keys failed {why}"))?;
        let shown = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status != http::StatusCode::OK {
            return Err(format!("oidc: get keys failed: {} {shown}", answer.status_line()));
        }
        let keys = KeySet::parse(&answer.body);
        let keys = Arc::new(keys.map_err(|why| format!("oidc: failed to decode keys: {why} {shown}"))?);
        let now = self.outbound.host().clock().wall();
        let control = answer.headers.get(CACHE_CONTROL).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let mut held = self.held.lock();
        *held = Held {
            keys: keys.clone(),
            version: held.version + 1,
            expiry: max_age(control).map(|age| now + age),
        };
        Ok(keys)
    }
}

/// How long an answer may be kept.
fn max_age(cache_control: &str) -> Option<Duration> {
    let directives = || cache_control.split(',').map(|d| d.trim().to_ascii_lowercase());
    if directives().any(|d| matches!(d.as_str(), "no-store" | "no-cache")) {
        return None;
    }
    let seconds: u64 = directives().find_map(|d| d.strip_prefix("max-age=")?.parse().ok())?;
    Some(Duration::from_secs(seconds).min(LONGEST_AGE))
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Provider({}, found {})", self.discovery, self.found.lock().keys.is_some())
    }
}
