//! Tokens of service accounts: genuine by their signature, and good only while what they name exists.
//!
//! Accounts, pods, secrets and nodes are looked up in the informers, and what these do not have is
//! asked for through the loopback client.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use api::object::ObjectExt as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{ClientError, Informer, Patch, Resource, Rest};
use pki::{
    PublicKey,
    jwt::{Claims, LEEWAY, LEGACY_ISSUER, ServiceAccountVerifier},
};
use serde_json::{Value, json};
use world::{Wall, mutant};

use super::Remarks;
use crate::{
    identity::{CREDENTIAL_ID, SERVICE_ACCOUNT_PREFIX, User},
    informers::Informers,
    metrics::TokenCounts,
};

const LEGACY_CLAIM: &str = "kubernetes.io/serviceaccount/";
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
const EXTRA: &str = "authentication.kubernetes.io/";
const AUTO_GENERATED: &str = "Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated secret-based tokens.";
const INVALIDATED: &str = "service account token has been invalidated";

/// Whose service account tokens are believed.
#[derive(Debug)]
pub struct ServiceAccounts {
    legacy: ServiceAccountVerifier,
    bound: ServiceAccountVerifier,
    lookup: bool,
    tracking: bool,
}

impl ServiceAccounts {
    /// Tokens of `issuers` (`--service-account-issuer`) for `audiences` (`--api-audiences`, by default
    /// the issuers), signed by one of `keys` (`--service-account-key-file`). `lookup` is
    /// `--service-account-lookup`: whether legacy tokens must still exist as secrets.
    pub fn new(issuers: Vec<String>, audiences: Vec<String>, keys: &[PublicKey], lookup: bool) -> Self {
        Self {
            legacy: ServiceAccountVerifier::new(vec![LEGACY_ISSUER.to_owned()], audiences.clone(), keys),
            bound: ServiceAccountVerifier::new(issuers, audiences, keys),
            lookup,
            tracking: true,
        }
    }

    /// Whether uses of legacy tokens are written on their secrets, and whoever uses one is warned.
    #[must_use]
    pub fn tracking(self, tracking: bool) -> Self {
        Self { tracking, ..self }
    }

    pub(super) fn with_lookup(self, informers: &Informers, rest: &Rest) -> Lookup {
        Lookup {
            tokens: self,
            accounts: informers.service_accounts.clone(),
            secrets: informers.secrets.clone(),
            pods: informers.pods.clone(),
            nodes: informers.nodes.clone(),
            rest: rest.clone(),
            counts: TokenCounts::default(),
        }
    }
}

/// What a legacy token says that it belongs to.
struct Legacy<'a> {
    namespace: &'a str,
    secret: &'a str,
    name: &'a str,
    uid: &'a str,
}

/// A token whose life was extended, and whose user should have read it again by now; and one that is in its time.
fn remark_stale(claims: &Claims, now: Wall, remarks: &mut Remarks, counts: &TokenCounts) {
    let warn_after = claims.kubernetes.as_ref().and_then(|bound| bound.warnafter);
    match warn_after.map(|at| now.as_second() - at) {
        Some(late) if late > 0 => {
            let words = format!("subject: {}, seconds after warning threshold: {late}", claims.subject);
            remarks.annotate("authentication.k8s.io/stale-token", words);
            counts.stale.fetch_add(1, Relaxed);
        }
        Some(_) => {
            counts.valid.fetch_add(1, Relaxed);
        }
        None => {}
    }
}

/// [`ServiceAccounts`] with eyes.
pub(super) struct Lookup {
    tokens: ServiceAccounts,
    accounts: Informer,
    secrets: Informer,
    pods: Informer,
    nodes: Informer,
    rest: Rest,
    pub(super) counts: TokenCounts,
}

/// The user, and the audiences that the token is good for.
type Known = (User, Vec<String>);

impl Lookup {
    /// `Ok(None)` for what is no service account token of ours.
    pub(super) async fn authenticate(
        &self,
        token: &str,
        audiences: Option<&[String]>,
        now: Wall,
        remarks: &mut Remarks,
    ) -> Result<Option<Known>, Vec<String>> {
        let mut errors = Vec::new();
        match self.tokens.legacy.verify(token, audiences, now) {
            Ok(Some(verified)) => match self.legacy(token, &verified.claims, now, remarks).await {
                Ok(user) => {
                    self.counts.legacy.fetch_add(1, Relaxed);
                    return Ok(Some((user, verified.audiences)));
                }
                Err(why) => errors.push(why),
            },
            Ok(None) => {}
            Err(why) => errors.push(why.to_string()),
        }
        match self.tokens.bound.verify(token, audiences, now) {
            Ok(Some(verified)) => match self.bound(&verified.claims, now).await {
                Ok(user) => {
                    remark_stale(&verified.claims, now, remarks, &self.counts);
                    return Ok(Some((user, verified.audiences)));
                }
                Err(why) => errors.push(why),
            },
            Ok(None) => {}
            Err(why) => errors.push(why.to_string()),
        }
        if errors.is_empty() { Ok(None) } else { Err(errors) }
    }

    async fn find(
        &self,
        informer: &Informer,
        plural: &'static str,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Value>, ClientError> {
        let namespace = (!namespace.is_empty()).then_some(namespace);
        if let Some(object) = informer.get(namespace, name) {
            return Ok(object);
        }
        self.rest.get(&Resource::core(plural), namespace, name).await.map(Arc::new)
    }

    async fn bound(&self, claims: &Claims, now: Wall) -> Result<User, String> {
        let bound = claims.kubernetes.as_ref().ok_or("kubernetes.io claim is missing")?;
        let (namespace, account) = (bound.namespace.as_str(), &bound.serviceaccount);
        let gone = |object: &Value| object.deletion_timestamp().is_some_and(|at| at < now - LEEWAY);

        let found = self.find(&self.accounts, "serviceaccounts", namespace, &account.name).await;
        let found = found.map_err(|e| e.to_string())?;
        if found.uid() != account.uid {
            return Err(format!(
                "service account UID ({}) does not match claim ({})",
                found.uid(),
                account.uid
            ));
        }
        if gone(&found) {
            return Err(INVALIDATED.to_owned());
        }
        let still = async |informer, plural, namespace, held: &pki::jwt::BoundObject, words: &str| {
            let found = self.find(informer, plural, namespace, &held.name).await;
            let found = found.map_err(|_| INVALIDATED.to_owned())?;
            if gone(&found) {
                return Err(INVALIDATED.to_owned());
            }
            if found.uid() != held.uid {
                let (kind, claim) = words.split_once('|').unwrap_or((words, words));
                return Err(format!(
                    "{kind} UID ({}) does not match {claim} ref claim ({})",
                    found.uid(),
                    held.uid
                ));
            }
            Ok(())
        };
        if let Some(secret) = bound.secret.as_ref().filter(|_| !mutant("accept-token-of-deleted-secret")) {
            still(&self.secrets, "secrets", namespace, secret, "secret|service account secret").await?;
        }
        if let Some(pod) = &bound.pod {
            still(&self.pods, "pods", namespace, pod, "pod|service account pod").await?;
        }
        // With a pod the node is only told along.
        if let (Some(node), None) = (&bound.node, &bound.pod) {
            still(&self.nodes, "nodes", "", node, "node|service account node").await?;
        }

        let mut user = User::service_account(namespace, &account.name, &account.uid);
        let mut extra = |key: &str, value: String| {
            user.extra.insert(key.to_owned(), vec![value]);
        };
        if let Some(pod) = &bound.pod {
            extra(&format!("{EXTRA}pod-name"), pod.name.clone());
            extra(&format!("{EXTRA}pod-uid"), pod.uid.clone());
        }
        if let Some(node) = &bound.node {
            extra(&format!("{EXTRA}node-name"), node.name.clone());
            if !node.uid.is_empty() {
                extra(&format!("{EXTRA}node-uid"), node.uid.clone());
            }
        }
        if let Some(id) = claims.id.as_ref().filter(|id| !id.is_empty()) {
            extra(CREDENTIAL_ID, format!("JTI={id}"));
        }
        Ok(user)
    }

    async fn legacy(
        &self,
        token: &str,
        claims: &Claims,
        now: Wall,
        remarks: &mut Remarks,
    ) -> Result<User, String> {
        if claims.subject.is_empty() {
            return Err("sub claim is missing".to_owned());
        }
        let claim = |name: &str, words: &str| {
            let value = claims.other.get(&format!("{LEGACY_CLAIM}{name}")).and_then(Value::as_str);
            value.filter(|v| !v.is_empty()).ok_or_else(|| format!("{words} claim is missing"))
        };
        let namespace = claim("namespace", "namespace")?;
        let secret_name = claim("secret.name", "secretName")?;
        let name = claim("service-account.name", "serviceAccountName")?;
        let uid = claim("service-account.uid", "serviceAccountUID")?;
        if claims.subject != format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}") {
            return Err("sub claim is invalid".to_owned());
        }
        if self.tokens.lookup {
            let named = Legacy { namespace, secret: secret_name, name, uid };
            self.check_legacy(token, &named, now, remarks).await?;
        }
        Ok(User::service_account(namespace, name, uid))
    }

    async fn check_legacy(
        &self,
        token: &str,
        named: &Legacy<'_>,
        now: Wall,
        remarks: &mut Remarks,
    ) -> Result<(), String> {
        let Legacy { namespace, secret: secret_name, name, uid } = named;
        let invalidated = || "Token has been invalidated".to_owned();
        let secret =
            self.find(&self.secrets, "secrets", namespace, secret_name).await.map_err(|_| invalidated())?;
        if secret.is_terminating() {
            return Err(invalidated());
        }
        let held = STANDARD.decode(secret.str_at("/data/token")).unwrap_or_default();
        if !bool::from(subtle::ConstantTimeEq::ct_eq(held.as_slice(), token.as_bytes())) {
            return Err("Token does not match server's copy".to_owned());
        }
        let account = self.find(&self.accounts, "serviceaccounts", namespace, name).await;
        let account = account.map_err(|e| e.to_string())?;
        if account.is_terminating() {
            return Err(format!("ServiceAccount {namespace}/{name} has been deleted"));
        }
        if account.uid() != *uid {
            return Err(format!("ServiceAccount UID ({}) does not match claim ({uid})", account.uid()));
        }
        if !self.tokens.tracking {
            return Ok(());
        }
        if secret.label(INVALID_SINCE).is_some_and(|since| !since.is_empty()) {
            remarks.annotate(
                "authentication.k8s.io/legacy-token-invalidated",
                format!("{secret_name}/{namespace}"),
            );
            self.note_use(&secret, now).await;
            return Err(format!(
                "the token in secret {namespace}/{secret_name} for service account {namespace}/{name} has been \
                 marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or \
                 remove the '{INVALID_SINCE}' label from the secret to temporarily allow use of this token"
            ));
        }
        if account.list_at("/secrets").iter().any(|reference| reference.str_at("/name") == *secret_name) {
            self.counts.automatic.fetch_add(1, Relaxed);
            remarks.warn(AUTO_GENERATED);
            remarks.annotate("authentication.k8s.io/legacy-token-autogenerated-secret", *secret_name);
        } else {
            self.counts.manual.fetch_add(1, Relaxed);
            remarks.annotate("authentication.k8s.io/legacy-token-manual-secret", *secret_name);
        }
        self.note_use(&secret, now).await;
        Ok(())
    }

    /// Writes on the secret that it was used today; only the first use of a day is written. Tomorrow counts too: it
    /// is another server's today, whose clock is ahead.
    async fn note_use(&self, secret: &Value, now: Wall) {
        let date = |at: Wall| at.strftime("%Y-%m-%d").to_string();
        let (today, tomorrow) = (date(now), date(now + Duration::from_secs(24 * 3600)));
        if secret.label(LAST_USED).is_some_and(|date| *date == *today || *date == *tomorrow) {
            return;
        }
        let patch = json!({ "metadata": { "labels": { LAST_USED: today } } });
        let (namespace, name) = (secret.namespace(), secret.name());
        let written = self
            .rest
            .patch(&Resource::core("secrets"), Some(namespace), name, Patch::Merge(&patch), None)
            .await;
        if let Err(error) = written {
            tracing::error!(secret = format!("{namespace}/{name}"), %error, "Failed to label legacy service account token secret with last-used");
        }
    }
}
