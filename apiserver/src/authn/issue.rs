//! TokenRequest: a token for a service account, bound to what the request names.

use std::time::Duration;

use api::{
    object::{ObjectExt as _, group_of},
    status::{FieldError, GroupKind, GroupResource, Status},
};
use client::Informer;
use pki::jwt::{BoundObject, Claims, KubernetesClaims, ServiceAccountSigner};
use serde_json::{Value, json};
use world::{Host, Wall, rfc3339};

use super::Authn;

const KIND: GroupKind<'static> = GroupKind { group: "authentication.k8s.io", kind: "TokenRequest" };
const DEFAULT_SECONDS: i64 = 3600;
const LEAST_SECONDS: i64 = 600;
const MOST_SECONDS: i64 = 1 << 32;
/// What a mounted token asks for; by this number the server knows one whose user may be too old to
/// read it again before its end.
const WARN_ONLY_SECONDS: i64 = 3607;
/// What such a token gets instead.
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

/// How tokens are issued.
#[derive(Debug)]
pub struct TokenIssuer {
    signer: ServiceAccountSigner,
    audiences: Vec<String>,
    longest: Option<Duration>,
    extend: bool,
    nodes: Option<Informer>,
}

impl TokenIssuer {
    /// An issuer that signs with `signer` for `audiences` unless others are asked for. `longest` is
    /// `--service-account-max-token-expiration`, `extend` is `--service-account-extend-token-expiration`.
    pub fn new(
        signer: ServiceAccountSigner,
        audiences: Vec<String>,
        longest: Option<Duration>,
        extend: bool,
    ) -> Self {
        Self { signer, audiences, longest, extend, nodes: None }
    }

    pub(super) fn with_nodes(mut self, nodes: Informer) -> Self {
        self.nodes = Some(nodes);
        self
    }
}

impl Authn {
    /// Fills in a TokenRequest for `account`: defaults, `status.token` and its end. `bound` is the
    /// object that the request names, as the registry has it. What the client should be warned of is
    /// returned.
    ///
    /// # Errors
    /// 422 for a duration out of bounds or names that differ; 400 for something that tokens cannot be
    /// bound to; 409 for another UID; 404 where no signing key is configured.
    pub fn issue_token(
        &self,
        host: &Host,
        request: &mut Value,
        account: &Value,
        bound: Option<&Value>,
        now: Wall,
    ) -> Result<Vec<String>, Status> {
        let issuer = self.issuer.as_ref().ok_or_else(Status::no_such_resource)?;
        complete(issuer, request, account, now)?;
        let mut kubernetes = KubernetesClaims {
            namespace: account.namespace().to_owned(),
            serviceaccount: reference(account),
            ..KubernetesClaims::default()
        };
        bind(issuer, request, account, bound, &mut kubernetes)?;

        let mut warnings = Vec::new();
        let mut seconds = request.i64_at("/spec/expirationSeconds").unwrap_or(DEFAULT_SECONDS);
        let longest = issuer.longest.map(|d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
        if let Some(longest) = longest.filter(|longest| *longest > 0 && seconds > *longest) {
            warnings
                .push(format!("requested expiration of {seconds} seconds shortened to {longest} seconds"));
            request.set_at("/spec/expirationSeconds", longest);
            seconds = longest;
        }
        let audiences: Vec<String> =
            request.list_at("/spec/audiences").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let is_for_us = audiences.iter().all(|a| issuer.audiences.contains(a));
        let mut lifetime = seconds;
        if issuer.extend && kubernetes.pod.is_some() && seconds == WARN_ONLY_SECONDS && is_for_us {
            kubernetes.warnafter = Some(now.as_second() + seconds);
            lifetime = EXTENDED_SECONDS;
        }
        let id = host.entropy().uuid();
        let claims = Claims::bound(id, audiences, kubernetes, now, duration(lifetime));
        let token = issuer.signer.sign(&claims);
        let token = token.map_err(|e| Status::unclassified(format!("failed to generate token: {e}")))?;
        request.set_at(
            "/status",
            json!({ "token": token, "expirationTimestamp": rfc3339(now.saturating_add(duration(seconds)).unwrap_or(now)) }),
        );
        Ok(warnings)
    }
}

fn duration(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

/// Defaults, and what the request must say about itself.
fn complete(issuer: &TokenIssuer, request: &mut Value, account: &Value, now: Wall) -> Result<(), Status> {
    for (field, wanted, what) in
        [("name", account.name(), "name"), ("namespace", account.namespace(), "namespace")]
    {
        let at = format!("/metadata/{field}");
        let given = request.str_at(&at);
        if !given.is_empty() && given != wanted {
            let why = format!("must match the service account {what} if specified");
            let error = FieldError::invalid(format!("metadata.{field}"), given, why);
            return Err(Status::invalid(KIND, account.name(), vec![error]));
        }
        request.set_at(&at, wanted);
    }
    request.set_at("/metadata/creationTimestamp", rfc3339(now));
    if request.list_at("/spec/audiences").is_empty() {
        request.set_at("/spec/audiences", json!(issuer.audiences));
    }
    let seconds = request.i64_at("/spec/expirationSeconds").unwrap_or(DEFAULT_SECONDS);
    request.set_at("/spec/expirationSeconds", seconds);
    let why = if seconds < LEAST_SECONDS {
        "may not specify a duration less than 10 minutes"
    } else if seconds > MOST_SECONDS {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    Err(Status::invalid(KIND, "", vec![FieldError::invalid("spec.expirationSeconds", seconds, why)]))
}

fn reference(object: &Value) -> BoundObject {
    BoundObject { name: object.name().to_owned(), uid: object.uid().to_owned() }
}

/// Writes into the claims what the token is bound to.
fn bind(
    issuer: &TokenIssuer,
    request: &Value,
    account: &Value,
    bound: Option<&Value>,
    claims: &mut KubernetesClaims,
) -> Result<(), Status> {
    let Some(wanted) = request.at("/spec/boundObjectRef").filter(|r| r.is_object()) else { return Ok(()) };
    let (api_version, kind, name) =
        (wanted.str_at("/apiVersion"), wanted.str_at("/kind"), wanted.str_at("/name"));
    let object = bound.filter(|_| group_of(api_version).is_empty());
    match (kind, object) {
        ("Pod", Some(pod)) => {
            if pod.str_at("/spec/serviceAccountName") != account.name() {
                let why = format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    account.name()
                );
                return Err(Status::bad_request(why));
            }
            claims.pod = Some(reference(pod));
            let node = pod.str_at("/spec/nodeName");
            if !node.is_empty() {
                // A node that is gone is still named: the token tells where the pod was.
                let known = issuer.nodes.as_ref().and_then(|nodes| nodes.get(None, node));
                let uid = known.map(|n| n.uid().to_owned()).unwrap_or_default();
                claims.node = Some(BoundObject { name: node.to_owned(), uid });
            }
        }
        ("Secret", Some(secret)) => claims.secret = Some(reference(secret)),
        ("Node", Some(node)) => claims.node = Some(reference(node)),
        _ => {
            let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
            let why = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(Status::bad_request(why));
        }
    }
    let uid = wanted.str_at("/uid");
    if !uid.is_empty() && object.is_some_and(|o| o.uid() != uid) {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        );
        return Err(Status::conflict(GroupResource { group: "", resource: kind }, name, why));
    }
    Ok(())
}
