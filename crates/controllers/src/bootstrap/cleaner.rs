//! tokencleaner: deletes a bootstrap token when it has expired. Up to 1.15 it looked at a token when that was made or
//! changed, and at all when it started, and never again: what expired meanwhile stayed.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::{DeleteParams, Next, Rest, WorkQueue};
use jiff::SignedDuration;
use pki::token::{NAMESPACE, Refusal, TokenSecret};
use serde_json::Value;
use world::Host;

use super::{SECRETS, is_token};
use crate::{context::Context, start::start};

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let (secrets, rest) = (c.informer(SECRETS), c.rest("token-cleaner"));
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let (host, all) = (c.host.clone(), secrets.clone());
    let looks_again = c.options.kubernetes_version.token_cleaner_looks_again();
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        all.on(move |change| {
            if is_token(change.object()) {
                feed.add(change.key());
            }
        });
    };
    start(&c.host, [secrets.clone()], queue, 1, follow, move |key| {
        let (host, rest, secrets) = (host.clone(), rest.clone(), secrets.clone());
        async move {
            match secrets.get_key(&key) {
                Some(secret) if looks_again => consider(&host, &rest, &secret).await,
                Some(secret) => consider(&host, &rest, &secret).await.map(|_| Next::OnChange),
                None => Ok(Next::OnChange),
            }
        }
    });
}

async fn consider(host: &Host, rest: &Rest, secret: &Value) -> Result<Next, String> {
    let now = host.clock().wall();
    match TokenSecret::from_object(secret) {
        Ok(token) if !token.is_expired(now) => {
            let left = token.expiration.map(|at| remaining(at.duration_since(now)));
            return Ok(left.into());
        }
        // Its time is over, or cannot be read, which counts as over.
        Ok(_) | Err(Refusal::Expired) => {}
        Err(_) => return Ok(Next::OnChange),
    }
    let name = secret.name();
    match rest.delete(&SECRETS, Some(NAMESPACE), name, &DeleteParams::uid(secret.uid())).await {
        Ok(_) => {
            host.record("token", vec![("secret", name.to_owned()), ("state", "expired".into())]);
            Ok(Next::OnChange)
        }
        // Gone already, or another one of that name by now.
        Err(e) if e.is_not_found() || e.is_conflict() => Ok(Next::OnChange),
        Err(e) => Err(e.to_string()),
    }
}

fn remaining(left: SignedDuration) -> Duration {
    left.try_into().unwrap_or_default()
}
