//! ID tokens of OpenID Connect issuers: `--oidc-*` for one, `--authentication-config` for up to 64.
//!
//! ```text
//!  config ── flags or file ─▶ Issuer ─┬─ provider: discovery, then keys over HTTPS
//!                                     ├─ verify: audience, times, algorithm, signature
//!                                     └─ claims: user from what the token says, by claim or by CEL
//! ```
//!
//! An issuer that cannot be reached at start is asked again every ten seconds; until then its tokens are refused.

mod claims;
mod config;
mod expressions;
mod file;
mod provider;
mod validate;
mod verify;

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use pki::{GoVersion, jwt::UnverifiedToken};
use world::{Disk, Host, Task, Wall};

use crate::identity::User;
pub use config::{ConfigError, JwtConfig};
pub use file::{AnonymousCondition, AnonymousConfig, AuthenticationConfig};
use provider::Provider;

/// How often the file is looked at.
const RELOAD_PERIOD: Duration = Duration::from_secs(60);

/// One issuer with its keys.
#[derive(Debug)]
pub(crate) struct Issuer {
    config: JwtConfig,
    provider: Provider,
}

impl Issuer {
    fn start(host: &Host, config: JwtConfig, go: GoVersion) -> Arc<Self> {
        let provider = Provider::new(host, &config, go);
        let this = Arc::new(Self { config, provider });
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
        claims::user(&self.config, &token.claims).map(Some)
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
        let this = Self { host: host.clone(), go, current: RwLock::default() };
        this.replace(configs);
        Arc::new(this)
    }

    fn replace(&self, configs: Vec<JwtConfig>) {
        let issuers = configs.into_iter().map(|config| Issuer::start(&self.host, config, self.go)).collect();
        let gone = std::mem::replace(&mut *self.current.write(), issuers);
        for issuer in gone {
            issuer.provider.stop();
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

    /// Reads the file again every minute; what cannot be used is reported, and the issuers in use stay.
    pub fn keep_fresh(self: &Arc<Self>, disk: &Disk, path: PathBuf, content: Vec<u8>) -> Task<()> {
        let (this, disk, host) = (self.clone(), disk.clone(), self.host.clone());
        self.host.spawn(async move {
            let mut in_use = content;
            loop {
                host.recur(RELOAD_PERIOD).await;
                let read = disk.read(&path).map_err(|e| e.to_string());
                let fresh = match read {
                    Ok(content) if content == in_use => continue,
                    Ok(content) => AuthenticationConfig::parse(&content)
                        .map(|config| (config, content))
                        .map_err(|e| e.to_string()),
                    Err(why) => Err(why),
                };
                match fresh {
                    Ok((config, content)) => {
                        tracing::info!("reloaded authentication config");
                        this.replace(config.jwt);
                        in_use = content;
                    }
                    Err(error) => tracing::error!(%error, "failed to load authentication config"),
                }
            }
        })
    }
}
