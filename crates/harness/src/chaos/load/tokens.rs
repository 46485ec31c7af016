//! Tokens of a service account: requested, used until after their end, and one with a signature that is not its own.

use std::{collections::VecDeque, sync::Arc};

use api::object::{ObjectExt as _, unbase64};
use client::{Auth, ClientError, Rest};
use serde_json::{Value, json};
use world::{Host, Wall};

use super::{
    super::scene::{ACCOUNTS, NS, Scene},
    credential::{Credential, Kind},
};

/// Whose tokens.
pub(super) const ACCOUNT: &str = "worker";
/// Tokens that are in use at a time.
const KEPT: usize = 4;
/// The shortest life that can be asked for, in seconds, and how much longer it may be.
const SHORTEST: u64 = 600;
const LONGER: u64 = 7200;

/// See the module.
pub(super) async fn run(scene: Arc<Scene>) {
    let host = scene.workstation();
    let mut tokens: VecDeque<Credential> = VecDeque::new();
    let account = json!({"metadata": {"name": ACCOUNT}});
    if let Err(e) = scene.operator.create(&ACCOUNTS, NS, &account).await {
        return super::cannot(&scene.judge, "a service account cannot be created", e);
    }
    let mut last: Option<String> = None;
    while scene.tempo.turn(&host).await {
        if host.entropy().below(3) == 0 {
            let lasts = SHORTEST + host.entropy().below(LONGER);
            if let Ok(token) = request(&scene.operator, ACCOUNT, lasts, None).await {
                // The parts of one and the signature of another: nobody has signed that.
                let forged = last.replace(token.clone()).and_then(|before| swapped(&token, &before));
                for (kind, text) in [(Kind::AccountToken, Some(token)), (Kind::Forged, forged)] {
                    tokens.extend(text.and_then(|text| credential(&scene, &host, kind, ACCOUNT, &text)));
                }
                while tokens.len() > KEPT {
                    tokens.pop_front();
                }
            }
        }
        let at = host.entropy().below(tokens.len() as u64) as usize;
        if let Some(token) = tokens.get_mut(at) {
            token.show(&scene).await;
        }
    }
}

/// A token of that service account, bound to an object if there is one.
pub(super) async fn request(
    rest: &Rest,
    account: &str,
    seconds: u64,
    bound: Option<Value>,
) -> Result<String, ClientError> {
    let request = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "spec": {"expirationSeconds": seconds, "boundObjectRef": bound},
    });
    let answer = rest.create_sub(&ACCOUNTS, NS, account, "token", &request).await?;
    Ok(answer.str_at("/status/token").to_owned())
}

/// The token as a credential that holds as long as it says itself.
pub(super) fn credential(
    scene: &Scene,
    host: &Host,
    kind: Kind,
    account: &str,
    token: &str,
) -> Option<Credential> {
    let claims = claims(token)?;
    let time = |name: &str| claims[name].as_i64().and_then(|s| Wall::from_second(s).ok());
    Some(Credential {
        kind,
        what: format!(
            "a {} of service account {account}",
            if kind == Kind::Forged { "forged token" } else { "token" }
        ),
        rest: scene.visitor.with_auth(Auth::bearer(token)),
        from: time("nbf")?,
        until: time("exp")?,
        made: host.clock().monotonic(),
        revoked: None,
        good_at: None,
    })
}

fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?.replace('-', "+").replace('_', "/");
    let padded = format!("{payload}{}", "=".repeat((4 - payload.len() % 4) % 4));
    serde_json::from_slice(&unbase64(&padded)?).ok()
}

fn swapped(token: &str, other: &str) -> Option<String> {
    let (content, _) = token.rsplit_once('.')?;
    let (_, signature) = other.rsplit_once('.')?;
    Some(format!("{content}.{signature}"))
}
