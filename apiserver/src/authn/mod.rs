//! Who is asking? Every authenticator is tried in upstream's order; the first that is sure wins.
//!
//! ```text
//!  loopback token ─▶ front proxy ─▶ password ─▶ client certificate ─▶ bearer token ─▶ WebSocket token ─▶ anonymous
//!                                   (old releases)                       └─ token union, remembered 10 s:
//!                                                                           static file ─ legacy service account
//!                                                                           ─ bound service account ─ bootstrap
//!                                                                           ─ OIDC issuers ─ webhook
//! ```
//!
//! One that fails does not stop the others, but a failure is remembered: whoever shows a bad
//! credential and no good one is refused, never taken for anonymous. The refusal is the one word
//! `Unauthorized`; why is in the log.

mod bearer;
mod ca_bundle;
mod issue;
mod keystone;
mod oidc;
mod outbound;
mod passwords;
mod remarks;
mod request_header;
mod review;
mod service_account;
mod static_tokens;
mod token_webhook;
mod tokens;
mod x509;

use std::sync::Arc;

use api::status::Status;
use client::Rest;
use http::{HeaderMap, header::AUTHORIZATION};
use pki::GoVersion;
use wire::Peer;
use world::{Host, Wall};

use crate::{
    authz::rbac::aggregate,
    identity::{MASTERS, User},
    informers::Informers,
    metrics::TokenCounts,
};
pub use ca_bundle::{CaBundle, CaBundleError};
pub use issue::TokenIssuer;
pub use keystone::Keystone;
pub use oidc::{AnonymousCondition, AnonymousConfig, AuthenticationConfig, ConfigError, Issuers, JwtConfig};
use passwords::Passwords;
pub use passwords::{PasswordFile, PasswordFileError};
pub use remarks::Remarks;
pub use request_header::RequestHeaders;
pub use service_account::ServiceAccounts;
pub use static_tokens::{StaticTokens, StaticTokensError};
pub use token_webhook::TokenWebhook;
use tokens::{TokenUnion, Tokens};

/// What to believe.
#[derive(Debug, Default)]
pub struct Config {
    /// The server's own token; of each process another.
    pub loopback: Option<Loopback>,
    /// `--requestheader-client-ca-file` and its companions.
    pub request_headers: Option<RequestHeaders>,
    /// `--client-ca-file`.
    pub client_ca: Option<Arc<CaBundle>>,
    /// `--token-auth-file`.
    pub static_tokens: Option<StaticTokens>,
    /// `--service-account-key-file` and its companions.
    pub service_accounts: Option<ServiceAccounts>,
    /// `--enable-bootstrap-token-auth`.
    pub bootstrap_tokens: bool,
    /// `--basic-auth-file`, of old releases.
    pub passwords: Option<PasswordFile>,
    /// `--experimental-keystone-url`, of older ones.
    pub keystone: Option<Keystone>,
    /// `--oidc-*` or `--authentication-config`.
    pub issuers: Option<Arc<Issuers>>,
    /// `--authentication-token-webhook-config-file`.
    pub webhook: Option<TokenWebhook>,
    /// `--api-audiences`.
    pub audiences: Vec<String>,
    /// `--anonymous-auth`, or what the file of `--authentication-config` says of it.
    pub anonymous: AnonymousConfig,
    /// How tokens are issued; `None` without a signing key.
    pub issuer: Option<TokenIssuer>,
    /// In whose words certificates are refused in the log.
    pub go: GoVersion,
    /// Whether the subject of a client certificate may name a UID.
    pub certificates_name_uids: bool,
}

/// The identity of the server's client of itself.
pub struct Loopback {
    token: String,
    user: User,
}

impl Loopback {
    /// The identity `system:apiserver` behind `token`; `uid` is another for each process.
    pub fn new(token: impl Into<String>, uid: impl Into<String>) -> Self {
        let mut user = User::new("system:apiserver", &[crate::identity::AUTHENTICATED, MASTERS]);
        user.uid = uid.into();
        Self { token: token.into(), user }
    }
}

impl std::fmt::Debug for Loopback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loopback")
    }
}

/// The authenticators of one server.
pub struct Authn {
    host: Host,
    loopback: Option<Loopback>,
    request_headers: Option<RequestHeaders>,
    client_ca: Option<Arc<CaBundle>>,
    passwords: Passwords,
    tokens: Tokens,
    anonymous: AnonymousConfig,
    issuer: Option<TokenIssuer>,
    go: GoVersion,
    certificates_name_uids: bool,
}

/// What one authenticator says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Opinion {
    /// This is who it is.
    User(User),
    /// Nothing here that I know of.
    None,
    /// Something that I should know, and it is bad; in words for the log.
    Bad(String),
}

impl Authn {
    /// Authenticators that look things up in `informers`, and through `rest` what these do not have.
    pub fn new(host: &Host, config: Config, informers: &Informers, rest: &Rest) -> Self {
        let union = TokenUnion {
            static_tokens: config.static_tokens,
            service_accounts: config.service_accounts.map(|s| s.with_lookup(informers, rest)),
            bootstrap: config.bootstrap_tokens.then(|| informers.secrets.clone()),
            issuers: config.issuers,
            webhook: config.webhook,
            audiences: config.audiences,
        };
        Self {
            host: host.clone(),
            loopback: config.loopback,
            request_headers: config.request_headers,
            client_ca: config.client_ca,
            passwords: Passwords { file: config.passwords, keystone: config.keystone },
            tokens: Tokens::new(host.clock().clone(), union),
            anonymous: config.anonymous,
            issuer: config.issuer.map(|issuer| issuer.with_nodes(informers.nodes.clone())),
            go: config.go,
            certificates_name_uids: config.certificates_name_uids,
        }
    }

    /// The user behind a request for `path`. What proved the identity is taken out of `headers`, and so is
    /// everything that only a front proxy may say. What the authenticators want known goes into `remarks`.
    ///
    /// # Errors
    /// 401, without a reason.
    pub async fn authenticate(
        &self,
        headers: &mut HeaderMap,
        peer: &Peer,
        path: &str,
        now: Wall,
        remarks: &mut Remarks,
    ) -> Result<User, Status> {
        let mut errors = Vec::new();
        let found = self.identify(headers, peer, now, &mut errors, remarks).await;
        let mut user = match found {
            Some(user) => user,
            None if errors.is_empty() && self.anonymous.allows(path) => User::anonymous(),
            None => {
                remarks.failed = !errors.is_empty();
                if remarks.failed {
                    let words = aggregate(&errors);
                    tracing::error!(err = words, "Unable to authenticate the request");
                    self.host.record("authentication", vec![("error", without_key_ids(&words))]);
                }
                return Err(Status::unauthorized());
            }
        };
        headers.remove(AUTHORIZATION);
        RequestHeaders::strip(self.request_headers.as_ref(), headers);
        user.mark_authenticated();
        Ok(user)
    }

    /// Which tokens of service accounts are in use; none where these are not known.
    pub(crate) fn token_counts(&self) -> Option<&TokenCounts> {
        self.tokens.union().service_accounts.as_ref().map(|lookup| &lookup.counts)
    }

    async fn identify(
        &self,
        headers: &mut HeaderMap,
        peer: &Peer,
        now: Wall,
        errors: &mut Vec<String>,
        remarks: &mut Remarks,
    ) -> Option<User> {
        let mut take = |opinion: Opinion| match opinion {
            Opinion::User(user) => Some(user),
            Opinion::None => None,
            Opinion::Bad(why) => {
                if !errors.contains(&why) {
                    errors.push(why);
                }
                None
            }
        };
        let token = bearer::token(headers);
        if let (Some(loopback), Some(token)) = (&self.loopback, &token) {
            if pki::token::same_secret(&loopback.token, token) {
                return Some(loopback.user.clone());
            }
            take(Opinion::Bad(bearer::INVALID.to_owned()));
        }
        if let Some(proxy) = &self.request_headers
            && let Some(user) = take(proxy.authenticate(headers, &peer.certificates, now, self.go))
        {
            return Some(user);
        }
        for opinion in self.passwords.authenticate(headers).await {
            if let Some(user) = take(opinion) {
                return Some(user);
            }
        }
        if let Some(ca) = &self.client_ca
            && let Some(user) =
                take(x509::authenticate(ca, &peer.certificates, now, self.go, self.certificates_name_uids))
        {
            return Some(user);
        }
        if let Some(token) = &token {
            let (opinion, said) = self.tokens.authenticate(token, now).await;
            remarks.extend(said);
            if let Some(user) = take(opinion) {
                return Some(user);
            }
        }
        match bearer::websocket_token(headers) {
            Ok(None) => None,
            Ok(Some((token, rest))) => {
                let (opinion, said) = self.tokens.authenticate(&token, now).await;
                remarks.extend(said);
                let user = take(opinion)?;
                headers.insert(http::header::SEC_WEBSOCKET_PROTOCOL, rest);
                Some(user)
            }
            Err(why) => take(Opinion::Bad(why.to_owned())),
        }
    }
}

/// Words about certificates without the identifiers of their keys: no seed decides them, so that they cannot be traced.
fn without_key_ids(words: &str) -> String {
    let (mut kept, mut rest) = (String::new(), words);
    while let Some((before, after)) = rest.split_once(", SKID=") {
        kept.push_str(before);
        rest = after.find(" failed").map_or("", |end| &after[end..]);
    }
    kept + rest
}

impl std::fmt::Debug for Authn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authn({:?}, anonymous {})", self.tokens, self.anonymous.enabled)
    }
}

#[cfg(test)]
mod tests;
