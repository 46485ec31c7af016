//! serviceaccount-token: fills the Secrets in which somebody asks for a token of a service account,
//! and removes them with the account (`pkg/controller/serviceaccount/tokens_controller.go`).
//!
//! These tokens have no end. Up to 1.23 each account has such a Secret without being asked: [`accounts`].

mod accounts;

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt as _;
use client::{
    Change, ClientError, DeleteParams, Informer, QueueOptions, Resource, Rest, WorkQueue, split_key,
};
use pki::{
    PrivateKey,
    jwt::{Claims, LEGACY_ISSUER, ServiceAccountSigner},
};
use serde_json::{Value, json};
use world::Host;

use crate::{context::Context, objects::base64, start::start};

const SECRETS: Resource = Resource::core("secrets");
const ACCOUNTS: Resource = Resource::core("serviceaccounts");
const WORKERS: usize = 5;
const KIND: &str = "kubernetes.io/service-account-token";
const NAME: &str = "/metadata/annotations/kubernetes.io~1service-account.name";
const UID: &str = "/metadata/annotations/kubernetes.io~1service-account.uid";
const CLAIM: &str = "kubernetes.io/serviceaccount/";

#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    accounts: Informer,
    secrets: Informer,
    signer: Arc<ServiceAccountSigner>,
    root_ca: String,
}

/// Starts the loop; off without --service-account-private-key-file.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn run(c: &Context) -> Result<(), String> {
    let Some(path) = c.options.service_account_private_key_file.as_deref().filter(|p| !p.is_empty()) else {
        tracing::info!("skipping the token controller because no private key was specified");
        return Ok(());
    };
    let pem = c
        .host
        .disk()
        .read(path)
        .map_err(|e| format!("error reading key for service account token controller: {e}"))?;
    let key = PrivateKey::from_pem(&pem)
        .map_err(|e| format!("error reading key for service account token controller: {path}: {e}"))?;
    let root_ca = match c.options.root_ca_file.as_deref().filter(|p| !p.is_empty()) {
        Some(path) => c
            .host
            .disk()
            .read_to_string(path)
            .map_err(|e| format!("error reading root-ca-file at {path}: {e}"))?,
        None => String::new(),
    };
    let this = Loop {
        host: c.host.clone(),
        rest: c.root(),
        accounts: c.informer(ACCOUNTS),
        secrets: c.informer(SECRETS),
        signer: Arc::new(ServiceAccountSigner::new(LEGACY_ISSUER, &key)),
        root_ca,
    };
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let leaving = WorkQueue::new(&c.host, QueueOptions::default());
    let informers = [this.accounts.clone(), this.secrets.clone()];
    let (following, gone) = (this.clone(), leaving.clone());
    let follow = move |queue: &WorkQueue| following.follow(queue, &gone);
    let unreferring = this.clone();
    start(
        &c.host,
        informers.clone(),
        leaving,
        1,
        |_| (),
        move |key| {
            let this = unreferring.clone();
            async move { this.forget(&key).await.map_err(|e| e.to_string()) }
        },
    );
    if c.options.kubernetes_version.token_secrets() {
        accounts::run(c, &this);
    }
    start(&c.host, informers, queue, WORKERS, follow, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
    Ok(())
}

/// Whether a secret holds tokens, or is to hold them.
fn holds_tokens(secret: &Value) -> bool {
    secret.str_at("/type") == KIND
}

/// Whether a secret is an account's (`IsServiceAccountToken`).
fn belongs(secret: &Value, account: &Value) -> bool {
    let uid = secret.str_at(UID);
    holds_tokens(secret)
        && secret.str_at(NAME) == account.str_at("/metadata/name")
        && (uid.is_empty() || uid == account.str_at("/metadata/uid"))
}

impl Loop {
    /// Tells `queue` of secrets to be filled, and `leaving` of accounts whose secret is gone.
    fn follow(&self, queue: &WorkQueue, leaving: &WorkQueue) {
        let (feed, gone) = (queue.clone(), leaving.clone());
        self.secrets.on(move |change| {
            let secret = change.object();
            if !holds_tokens(secret) {
                return;
            }
            match change {
                Change::Deleted(_) => {
                    let (namespace, account) = (secret.str_at("/metadata/namespace"), secret.str_at(NAME));
                    gone.add(format!("{namespace}/{account}/{}", secret.str_at("/metadata/name")));
                }
                _ => feed.add(change.key()),
            }
        });
        let (feed, secrets) = (queue.clone(), self.secrets.clone());
        self.accounts.on(move |change| {
            let (namespace, name) =
                (change.object().str_at("/metadata/namespace"), change.object().str_at("/metadata/name"));
            for secret in secrets.by_namespace(namespace) {
                if holds_tokens(&secret) && secret.str_at(NAME) == name {
                    feed.add(client::key_of(&secret));
                }
            }
        });
    }

    async fn sync(&self, key: &str) -> Result<(), String> {
        let Some(secret) = self.secrets.get_key(key).filter(|s| !s.is_terminating()) else { return Ok(()) };
        let (namespace, name) = (secret.str_at("/metadata/namespace"), secret.str_at("/metadata/name"));
        let (account, uid) = (secret.str_at(NAME), secret.str_at(UID));
        let fits = |a: &Value| uid.is_empty() || a.str_at("/metadata/uid") == uid;
        let found = match self.accounts.get(namespace, account).filter(|a| fits(a)) {
            Some(found) => Some((*found).clone()),
            // The informer may be behind.
            None => self
                .rest
                .get_opt(&ACCOUNTS, Some(namespace), account)
                .await
                .map_err(|e| e.to_string())?
                .filter(|a| fits(a)),
        };
        let Some(found) = found else {
            let params = DeleteParams::uid(secret.str_at("/metadata/uid"));
            return match self.rest.delete(&SECRETS, Some(namespace), name, &params).await {
                Err(e) if !e.is_not_found() && !e.is_conflict() => Err(e.to_string()),
                _ => Ok(()),
            };
        };
        let Some(filled) = self.filled(&secret, &found)? else { return Ok(()) };
        match self.rest.update(&SECRETS, Some(namespace), name, &filled).await {
            Err(e) if e.is_not_found() => Ok(()),
            Err(e) => Err(e.to_string()),
            Ok(_) => Ok(()),
        }
    }

    /// The secret with what is missing in it; `None` if nothing is.
    fn filled(&self, secret: &Value, account: &Value) -> Result<Option<Value>, String> {
        let next = self.with_token(secret, account)?;
        Ok((next != *secret).then_some(next))
    }

    fn with_token(&self, secret: &Value, account: &Value) -> Result<Value, String> {
        let mut next = secret.clone();
        if !next["data"].is_object() {
            next["data"] = json!({});
        }
        next["metadata"]["annotations"]["kubernetes.io/service-account.uid"] =
            account.str_at("/metadata/uid").into();
        if !self.root_ca.is_empty() {
            next["data"]["ca.crt"] = base64(self.root_ca.as_bytes()).into();
        }
        next["data"]["namespace"] = base64(secret.str_at("/metadata/namespace").as_bytes()).into();
        if secret.str_at("/data/token").is_empty() {
            let token = self.signer.sign(&claims(secret, account)).map_err(|e| e.to_string())?;
            next["data"]["token"] = base64(token.as_bytes()).into();
        }
        Ok(next)
    }

    /// Takes a secret that is gone off its account's list.
    async fn forget(&self, key: &str) -> Result<(), ClientError> {
        let (at, secret) = key.rsplit_once('/').unwrap_or(("", key));
        let (namespace, name) = split_key(at);
        let refers =
            |account: &Value| account.list_at("/secrets").iter().any(|s| s.str_at("/name") == secret);
        if !self.accounts.get_key(at).is_some_and(|a| refers(&a)) {
            return Ok(());
        }
        let unlist = |account: &mut Value| {
            let left: Vec<Value> =
                account.list_at("/secrets").iter().filter(|s| s.str_at("/name") != secret).cloned().collect();
            account["secrets"] = left.into();
        };
        match self.rest.modify(&ACCOUNTS, namespace, name, None, unlist).await {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(()),
        }
    }
}

/// What a token in a Secret says (`pkg/serviceaccount/legacy.go`).
fn claims(secret: &Value, account: &Value) -> Claims {
    let (namespace, name) = (account.str_at("/metadata/namespace"), account.str_at("/metadata/name"));
    let other = [
        ("namespace", namespace),
        ("secret.name", secret.str_at("/metadata/name")),
        ("service-account.name", name),
        ("service-account.uid", account.str_at("/metadata/uid")),
    ];
    Claims {
        subject: format!("system:serviceaccount:{namespace}:{name}"),
        other: other.into_iter().map(|(k, v)| (format!("{CLAIM}{k}"), v.into())).collect::<BTreeMap<_, _>>(),
        ..Claims::default()
    }
}
