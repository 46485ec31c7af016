//! `--authentication-token-webhook-config-file`: somebody else is asked whose token it is, by a TokenReview.
//!
//! An answer is remembered, yes or no; that nobody answered is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::object::ObjectExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use world::{Clock, Mono};

use crate::{identity::User, webhook_client::WebhookClient};

/// Above this what is remembered is cleaned, and forgotten if that does not help.
const MOST_REMEMBERED: usize = 4096;

/// What the webhook says: the user with the audiences that the token is good for, or that it knows nobody.
type Answer = Option<(User, Vec<String>)>;

/// The webhook behind its memory.
pub struct TokenWebhook {
    client: WebhookClient,
    version: String,
    /// What a token is good for of which the webhook does not say it.
    implicit_audiences: Vec<String>,
    ttl: Duration,
    clock: Clock,
    known: Mutex<BTreeMap<[u8; 32], (Mono, Answer)>>,
}

impl TokenWebhook {
    /// A webhook that is sent reviews of `version` and whose answers hold for `ttl`. `audiences` are the server's.
    pub fn new(
        client: WebhookClient,
        version: &str,
        ttl: Duration,
        audiences: Vec<String>,
        clock: Clock,
    ) -> Self {
        Self {
            client,
            version: version.to_owned(),
            implicit_audiences: audiences,
            ttl,
            clock,
            known: Mutex::default(),
        }
    }

    /// `audiences` are those asked for by a TokenReview, or the server's; without any nothing is compared.
    ///
    /// # Errors
    /// Nobody answered, or the webhook says in words what it does not like.
    pub(super) async fn authenticate(&self, token: &str, audiences: &[String]) -> Result<Answer, String> {
        let key = key(token, audiences);
        if let Some((until, answer)) = self.known.lock().get(&key)
            && *until > self.clock.monotonic()
        {
            return Ok(answer.clone());
        }
        let answer = self.ask(token, audiences).await?;
        self.remember(key, answer.clone());
        Ok(answer)
    }

    fn remember(&self, key: [u8; 32], answer: Answer) {
        let (now, mut known) = (self.clock.monotonic(), self.known.lock());
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, (until, _)| *until > now);
        }
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(key, (now + self.ttl, answer));
    }

    async fn ask(&self, token: &str, audiences: &[String]) -> Result<Answer, String> {
        let mut review = json!({
            "kind": "TokenReview",
            "apiVersion": format!("authentication.k8s.io/{}", self.version),
            "metadata": {"creationTimestamp": null},
            "spec": {"token": token},
            "status": {"user": {}},
        });
        if !audiences.is_empty() {
            review.set_at("/spec/audiences", json!(audiences));
        }
        let answer = self.client.call(&review).await.map_err(|error| {
            tracing::error!(%error, "Failed to make webhook authenticator request");
            error.to_string()
        })?;
        let kind = answer.str_at("/kind");
        if !kind.is_empty() && kind != "TokenReview" {
            return Err(format!(
                "no kind {kind:?} is registered for the answer of a token webhook: send a TokenReview"
            ));
        }
        let mut good_for = Vec::new();
        if !audiences.is_empty() {
            let said: BTreeSet<&str> =
                answer.list_at("/status/audiences").iter().filter_map(Value::as_str).collect();
            let holds = |audience: &&String| match said.is_empty() {
                true => self.implicit_audiences.contains(audience),
                false => said.contains(audience.as_str()),
            };
            good_for = audiences.iter().filter(holds).cloned().collect();
            if good_for.is_empty() {
                return Ok(None);
            }
        }
        if answer.bool_at("/status/authenticated") {
            return Ok(Some((User::from_value(answer.at("/status/user").unwrap_or(&Value::Null)), good_for)));
        }
        match answer.str_at("/status/error") {
            "" => Ok(None),
            why => Err(why.to_owned()),
        }
    }
}

fn key(token: &str, audiences: &[String]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for audience in audiences {
        hash.update((audience.len() as u64).to_be_bytes());
        hash.update(audience);
    }
    hash.update(u64::MAX.to_be_bytes());
    hash.update(token);
    hash.finalize().into()
}

impl std::fmt::Debug for TokenWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenWebhook({:?}, {})", self.client, self.version)
    }
}
