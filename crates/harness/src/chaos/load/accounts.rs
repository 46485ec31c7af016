//! Credentials that are made, used, revoked and used again: a service account that is deleted, a bootstrap token whose
//! Secret is deleted, a token that is bound to a Secret which is deleted.

use std::sync::Arc;

use api::object::ObjectExt as _;
use client::{Auth, ClientError, DeleteParams};
use jiff::SignedDuration;
use pki::token::{BootstrapToken, NAMESPACE, TokenSecret};
use serde_json::json;
use world::Host;

use super::{
    super::scene::{ACCOUNTS, NS, SECRETS, Scene},
    credential::{Credential, Kind},
    tokens,
};

/// A token's life in this part, in seconds: longer than any plan.
const LONG: u64 = 400 * 86_400;
/// How often it is shown before it is revoked.
const SHOWN: u32 = 4;
/// How often it is shown after that.
const SHOWN_AFTER: u32 = 3;

/// See the module.
pub(super) async fn run(scene: Arc<Scene>) {
    let host = scene.workstation();
    let mut made = 0_u64;
    while scene.tempo.turn(&host).await {
        made += 1;
        let made = match made % 3 {
            0 => Guest::account(&scene, &host, &format!("guest{made}")).await,
            1 => Guest::bootstrap(&scene, &host).await,
            _ => Guest::bound(&scene, &host, &format!("holder{made}")).await,
        };
        // What could not be made for a fault is not made.
        if let Ok(mut guest) = made
            && guest.live(&scene, &host).await.is_none()
        {
            return;
        }
    }
}

fn credential(scene: &Scene, host: &Host, name: &str, token: &str) -> Result<Credential, ClientError> {
    let unreadable = || ClientError::Credentials("the token has no dates".to_owned());
    tokens::credential(scene, host, Kind::AccountToken, name, token).ok_or_else(unreadable)
}

/// Somebody whose credential is an object's.
struct Guest {
    credential: Credential,
    /// Another that has its name and nothing else of it.
    forged: Option<Credential>,
    /// Resource, namespace and name of the object without which it is nothing.
    object: (client::Resource, Option<&'static str>, String),
}

impl Guest {
    async fn account(scene: &Scene, host: &Host, name: &str) -> Result<Self, ClientError> {
        scene.operator.create(&ACCOUNTS, NS, &json!({"metadata": {"name": name}})).await?;
        let token = tokens::request(&scene.operator, name, LONG, None).await?;
        Ok(Self {
            credential: credential(scene, host, name, &token)?,
            forged: None,
            object: (ACCOUNTS, NS, name.to_owned()),
        })
    }

    /// A token of an account that lives on, bound to a Secret of that name.
    async fn bound(scene: &Scene, host: &Host, name: &str) -> Result<Self, ClientError> {
        let secret = scene.operator.create(&SECRETS, NS, &json!({"metadata": {"name": name}})).await?;
        let bound = json!({"kind": "Secret", "apiVersion": "v1", "name": name, "uid": secret.uid()});
        let token = tokens::request(&scene.operator, tokens::ACCOUNT, LONG, Some(bound)).await?;
        Ok(Self {
            credential: credential(scene, host, name, &token)?,
            forged: None,
            object: (SECRETS, NS, name.to_owned()),
        })
    }

    async fn bootstrap(scene: &Scene, host: &Host) -> Result<Self, ClientError> {
        let token = BootstrapToken::generate(host.entropy());
        let now = scene.server_time();
        // Half of them end by themselves before they are revoked, as far as plans of some hours go.
        let lasts = if host.entropy().below(2) == 0 { LONG } else { 60 + host.entropy().below(7200) };
        let until = now + SignedDuration::from_secs(lasts as i64);
        let until = world::Wall::from_second(until.as_second()).unwrap_or(until);
        let secret = TokenSecret {
            token: token.clone(),
            description: "chaos".to_owned(),
            expiration: Some(until),
            signing: false,
            authentication: true,
            groups: Vec::new(),
        };
        scene.operator.create(&SECRETS, Some(NAMESPACE), &secret.to_object()).await?;
        let credential = Credential {
            kind: Kind::BootstrapToken,
            what: format!("the bootstrap token {}", token.id()),
            rest: scene.visitor.with_auth(Auth::bearer(token.reveal())),
            // It holds whatever the clock says, until its end.
            from: world::Wall::UNIX_EPOCH,
            until,
            made: host.clock().monotonic(),
            revoked: None,
            good_at: None,
        };
        // The public half of one and the secret half of another.
        let stranger = BootstrapToken::generate(host.entropy());
        let forged = BootstrapToken::new(token.id(), stranger.secret()).ok().map(|forged| Credential {
            kind: Kind::Forged,
            what: format!("a forged bootstrap token {}", token.id()),
            rest: scene.visitor.with_auth(Auth::bearer(forged.reveal())),
            from: credential.from,
            until,
            made: credential.made,
            revoked: None,
            good_at: None,
        });
        Ok(Self { credential, forged, object: (SECRETS, Some(NAMESPACE), token.secret_name()) })
    }

    /// From its first use to after its revocation; `None` when the load ends.
    async fn live(&mut self, scene: &Scene, host: &Host) -> Option<()> {
        for _ in 0..SHOWN {
            self.credential.show(scene).await;
            if let Some(mut forged) = self.forged.take() {
                forged.show(scene).await;
            }
            scene.tempo.turn(host).await.then_some(())?;
        }
        let (resource, ns, name) = &self.object;
        match scene.operator.delete(resource, *ns, name, &DeleteParams::default()).await {
            // The token cleaner deletes those that have ended.
            Err(e) if !e.is_not_found() => return Some(()),
            _ => self.credential.revoked = Some(host.clock().monotonic()),
        }
        for _ in 0..SHOWN_AFTER {
            scene.tempo.turn(host).await.then_some(())?;
            self.credential.show(scene).await;
        }
        Some(())
    }
}
