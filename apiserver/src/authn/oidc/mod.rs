//! ID tokens of OpenID Connect issuers: `--oidc-*` for one, `--authentication-config` for up to 64.
//!
//! ```text
//!  config ── flags or file ─▶ Issuer ─┬─ provider: discovery, then keys over HTTPS
//!                                     ├─ verify: audience, times, algorithm, signature
//!                                     ├─ distributed: groups that are somewhere else
//!                                     └─ claims: user from what the token says, by claim or by CEL
//! ```
//!
//! An issuer that cannot be reached at start is asked again every ten seconds; until then its tokens are refused.
//! A new file counts from when all its issuers have been reached: until then the old ones are believed.

mod claims;
mod config;
mod distributed;
mod expressions;
mod file;
mod provider;
mod validate;
mod verify;

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use pki::{GoVersion, jwt::UnverifiedToken};
use world::{Disk, Host, Looks, Task, Wall};

use crate::{authz::rbac::aggregate, identity::User};
pub use config::{ConfigError, JwtConfig};
use distributed::Distributed;
pub use file::{AnonymousCondition, AnonymousConfig, AuthenticationConfig};
use provider::{Provider, RETRY};

/// How often the file is looked at.
const RELOAD_PERIOD: Duration = Duration::from_secs(60);
/// How long the issuers of a new file may be looked for, until the file is given up.
const FOUND_WAIT: Duration = Duration::from_secs(60);

/// One issuer with its keys.
#[derive(Debug)]
pub(crate) struct Issuer {
    config: JwtConfig,
    provider: Provider,
    distributed: Distributed,
}

impl Issuer {
    fn start(host: &Host, config: JwtConfig, go: GoVersion) -> Arc<Self> {
        let provider = Provider::new(host, &config, go);
        let this = Arc::new(Self { config, provider, distributed: Distributed::default() });
        this.provider.start();
        this
    }

    /// `Ok(None)` for a token of somebody else's.
    async fn authenticate(&self, token: &UnverifiedToken<'_>, now: Wall) -> Result<Option<User>, String> {
        if token.issuer() != self.config.issuer.url {
            return Ok(None);
        }
        let Some(keys) = self.provider.keys() else {
            return Err("oidc: authenticator not initialized".to_owned());
        };
        verify::verify(&self.config, token, &keys, now)
            .await
            .map_err(|why| format!("oidc: verify token: {why}"))?;
        let claims = self.distributed.expand(&self.config, &self.provider, token.claims.clone(), now).await;
        let claims = claims.map_err(|why| format!("oidc: could not expand distributed claims: {why}"))?;
        claims::user(&self.config, &claims).map(Some)
    }

    fn stop(&self) {
        self.provider.stop();
        self.distributed.stop();
    }
}

/// All issuers that are believed now.
#[derive(Debug)]
pub struct Issuers {
    host: Host,
    go: GoVersion,
    current: RwLock<Vec<Arc<Issuer>>>,
}

impl Issuers {
    /// Believes these, and begins to look for their keys.
    pub fn new(host: &Host, configs: Vec<JwtConfig>, go: GoVersion) -> Arc<Self> {
        let issuers = configs.into_iter().map(|config| Issuer::start(host, config, go)).collect();
        Arc::new(Self { host: host.clone(), go, current: RwLock::new(issuers) })
    }

    /// Believes these instead, once all of them have been found; those that are believed already need not be. Until
    /// then, and if it takes too long, everything stays as it is.
    ///
    /// # Errors
    /// Who was not found, and why.
    async fn replace(&self, configs: Vec<JwtConfig>) -> Result<(), String> {
        let old = self.current.read().clone();
        let known = |config: &JwtConfig| old.iter().find(|issuer| issuer.config == *config).cloned();
        let start = |config| known(&config).unwrap_or_else(|| Issuer::start(&self.host, config, self.go));
        let new: Vec<_> = configs.into_iter().map(start).collect();
        let outcome = self.found(&new).await;
        let gone = match &outcome {
            Ok(()) => {
                *self.current.write() = new.clone();
                without(&old, &new)
            }
            Err(_) => without(&new, &old),
        };
        gone.for_each(|issuer| issuer.stop());
        outcome
    }

    /// Waits for all of them.
    async fn found(&self, issuers: &[Arc<Issuer>]) -> Result<(), String> {
        let clock = self.host.clock();
        let missing =
            || -> Vec<String> { issuers.iter().filter_map(|i| i.provider.health().err()).collect() };
        let all = async {
            while !missing().is_empty() {
                clock.sleep(RETRY).await;
            }
        };
        match clock.timeout(FOUND_WAIT, all).await {
            Ok(()) => Ok(()),
            Err(_) => Err(aggregate(&missing())),
        }
    }

    /// The first issuer that knows the token; the errors of all that should and do not.
    pub(super) async fn authenticate(&self, token: &str, now: Wall) -> Result<Option<User>, Vec<String>> {
        let Some(token) = UnverifiedToken::parse(token) else { return Ok(None) };
        let issuers = self.current.read().clone();
        let mut errors = Vec::new();
        for issuer in issuers {
            match issuer.authenticate(&token, now).await {
                Ok(Some(user)) => return Ok(Some(user)),
                Ok(None) => {}
                Err(why) => errors.push(why),
            }
        }
        if errors.is_empty() { Ok(None) } else { Err(errors) }
    }

    /// Reads the file again every minute; what cannot be used is reported, and the issuers in use stay. Who may be
    /// anonymous is settled at start. `disallowed` as for [`AuthenticationConfig::parse`].
    pub fn keep_fresh(
        self: &Arc<Self>,
        disk: &Disk,
        path: PathBuf,
        content: Vec<u8>,
        disallowed: Vec<String>,
    ) -> Task<()> {
        let (this, disk, mut looks) = (self.clone(), disk.clone(), Looks::new(&self.host, RELOAD_PERIOD));
        let anonymous = AuthenticationConfig::parse(&content, &disallowed).ok().and_then(|c| c.anonymous);
        self.host.spawn(async move {
            let mut seen = content;
            loop {
                looks.next().await;
                let content = match disk.read(&path) {
                    Ok(content) if content == seen => continue,
                    Ok(content) => content,
                    Err(error) => {
                        tracing::error!(%error, "failed to read authentication config");
                        continue;
                    }
                };
                let fresh = AuthenticationConfig::parse(&content, &disallowed);
                match fresh.and_then(|config| config.with_anonymous(anonymous.as_ref())) {
                    Ok(config) => match this.replace(config.jwt).await {
                        Ok(()) => tracing::info!("reloaded authentication config"),
                        Err(error) => {
                            // Not seen: the issuers may be there in a minute.
                            tracing::error!(error, "failed to update authentication config");
                            continue;
                        }
                    },
                    Err(error) => tracing::error!(%error, "failed to load authentication config"),
                }
                seen = content;
            }
        })
    }
}

/// Those of `issuers` that are not among `others`.
fn without<'a>(
    issuers: &'a [Arc<Issuer>],
    others: &'a [Arc<Issuer>],
) -> impl Iterator<Item = &'a Arc<Issuer>> {
    issuers.iter().filter(|issuer| !others.iter().any(|other| Arc::ptr_eq(issuer, other)))
}
