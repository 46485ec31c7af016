//! Everything that knows bearer tokens, one after the other, and the memory of ten seconds in front.
//!
//! The memory is why a token that was revoked, or that expired, may work for up to ten seconds more.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::Informer;
use parking_lot::Mutex;
use pki::token::{BootstrapToken, NAMESPACE, TokenSecret};
use world::{Clock, Mono, Wall, mutant};

use super::{
    Opinion, Remarks,
    bearer::INVALID,
    oidc::Issuers,
    service_account::Lookup,
    static_tokens::{StaticTokens, hash},
    token_webhook::TokenWebhook,
};
use crate::{authz::rbac::aggregate, identity::User};

/// How long a success is remembered; failures are not.
const SUCCESS_TTL: Duration = Duration::from_secs(10);
/// Above this the memory is cleaned, and emptied if that does not help.
const MOST_REMEMBERED: usize = 4096;

/// The authenticators of bearer tokens, in order.
pub(super) struct TokenUnion {
    pub(super) static_tokens: Option<StaticTokens>,
    pub(super) service_accounts: Option<Lookup>,
    /// Secrets, for bootstrap tokens.
    pub(super) bootstrap: Option<Informer>,
    pub(super) issuers: Option<Arc<Issuers>>,
    pub(super) webhook: Option<TokenWebhook>,
    /// The server's own audiences.
    pub(super) audiences: Vec<String>,
}

impl TokenUnion {
    /// The first that knows the token; the errors of all if none does.
    pub(super) async fn authenticate(&self, token: &str, audiences: Option<&[String]>, now: Wall) -> Answer {
        let (mut errors, mut remarks) = (Vec::new(), Remarks::default());
        let implicit = self.implicit(audiences);
        if let Some(audiences) = &implicit
            && let Some(user) = self.static_tokens.as_ref().and_then(|table| table.authenticate(token))
        {
            return Answer::user(user, audiences);
        }
        if let Some(accounts) = &self.service_accounts {
            match accounts.authenticate(token, audiences, now, &mut remarks).await {
                Ok(Some((user, audiences))) => {
                    return Answer { opinion: Opinion::User(user), audiences, remarks };
                }
                Ok(None) => {}
                Err(why) => errors.extend(why),
            }
        }
        if let (Some(secrets), Some(audiences)) = (&self.bootstrap, &implicit)
            && let Some(user) = bootstrap_user(secrets, token, now)
        {
            return Answer::user(user, audiences);
        }
        // After the service accounts: an issuer may have to be asked for its keys.
        if let (Some(issuers), Some(audiences)) = (&self.issuers, &implicit) {
            match issuers.authenticate(token, now).await {
                Ok(Some(user)) => return Answer::user(user, audiences),
                Ok(None) => {}
                Err(why) => errors.extend(why),
            }
        }
        if let Some(webhook) = &self.webhook {
            match webhook.authenticate(token, audiences.unwrap_or(&self.audiences)).await {
                Ok(Some((user, audiences))) => {
                    return Answer { opinion: Opinion::User(user), audiences, remarks };
                }
                Ok(None) => {}
                Err(why) => errors.push(why),
            }
        }
        let why = if errors.is_empty() { INVALID.to_owned() } else { aggregate(&errors) };
        Answer { opinion: Opinion::Bad(why), audiences: Vec::new(), remarks }
    }

    /// What a token that names no audiences is good for among those asked about: for this server, and nobody
    /// else. `None`: for none of them, so that it proves nothing here.
    pub(super) fn implicit(&self, asked: Option<&[String]>) -> Option<Vec<String>> {
        let asked = asked.unwrap_or(&self.audiences);
        let good_for: Vec<String> =
            asked.iter().filter(|audience| self.audiences.contains(audience)).cloned().collect();
        // A server without audiences that is asked about none compares nothing.
        (!good_for.is_empty() || asked.is_empty()).then_some(good_for)
    }
}

/// What is known of a token.
pub(super) struct Answer {
    pub(super) opinion: Opinion,
    /// The audiences, of those asked about, that it is good for; empty where nobody asked and the server has none.
    pub(super) audiences: Vec<String>,
    pub(super) remarks: Remarks,
}

impl Answer {
    fn user(user: User, audiences: &[String]) -> Self {
        Self { opinion: Opinion::User(user), audiences: audiences.to_vec(), remarks: Remarks::default() }
    }
}

fn bootstrap_user(secrets: &Informer, token: &str, now: Wall) -> Option<User> {
    let token: BootstrapToken = token.parse().ok()?;
    let secret = secrets.get(NAMESPACE, &token.secret_name())?;
    match TokenSecret::authenticate(&secret, &token, now) {
        Ok(groups) => Some(User { name: token.user_name(), groups, ..User::default() }),
        Err(refusal) => {
            tracing::info!(secret = secret.name(), %refusal, "bootstrap token not accepted");
            None
        }
    }
}

/// The union behind its memory.
pub(super) struct Tokens {
    clock: Clock,
    union: TokenUnion,
    /// By the hash of the token: until when, and who, and what is to be said of it.
    known: Mutex<BTreeMap<[u8; 32], (Mono, User, Remarks)>>,
}

impl Tokens {
    pub(super) fn new(clock: Clock, union: TokenUnion) -> Self {
        Self { clock, union, known: Mutex::default() }
    }

    /// The union itself, for questions that must not be answered from memory.
    pub(super) fn union(&self) -> &TokenUnion {
        &self.union
    }

    pub(super) async fn authenticate(&self, token: &str, now: Wall) -> (Opinion, Remarks) {
        let key = hash(token);
        if let Some((until, user, remarks)) = self.known.lock().get(&key)
            && *until > self.clock.monotonic()
        {
            return (Opinion::User(user.clone()), remarks.clone());
        }
        let Answer { opinion, remarks, .. } = self.union.authenticate(token, None, now).await;
        if let Opinion::User(user) = &opinion {
            let (now, mut known) = (self.clock.monotonic(), self.known.lock());
            if known.len() >= MOST_REMEMBERED {
                known.retain(|_, (until, ..)| *until > now);
            }
            if known.len() >= MOST_REMEMBERED {
                known.clear();
            }
            let hour = Duration::from_secs(3600);
            let ttl = if mutant("cache-tokens-for-an-hour") { hour } else { SUCCESS_TTL };
            known.insert(key, (now + ttl, user.clone(), remarks.clone()));
        }
        (opinion, remarks)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} remembered)", self.known.lock().len())
    }
}
