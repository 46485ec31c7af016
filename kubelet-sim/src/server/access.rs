//! Who may ask the kubelet what: client certificates and tokens, and the apiserver's own opinion
//! (`pkg/kubelet/server/auth.go`; answers are not cached).

use api::object::ObjectExt as _;
use client::{Resource, Rest};
use http::{HeaderMap, StatusCode};
use pki::{GoVersion, Roots, Usage, verify_chain};
use serde_json::{Value, json};
use wire::Peer;
use world::Host;

/// Why a request is refused.
pub(super) type Refusal = (StatusCode, String);

/// Who asks: `user`, `uid`, `groups`, `extra`, as a SubjectAccessReview wants them.
pub(super) struct User(Value);

/// Whose request it is: by its certificate of the cluster's CA, else by its bearer token.
///
/// # Errors
/// 401 for nobody that is known.
pub(super) async fn authenticate(
    host: &Host,
    peer: &Peer,
    headers: &HeaderMap,
    roots: Option<&Roots>,
    rest: Option<&Rest>,
    go: GoVersion,
) -> Result<User, Refusal> {
    if let (Some(roots), Some(leaf)) = (roots, peer.certificates.first()) {
        match verify_chain(&peer.certificates, roots, host.clock().wall(), Usage::ClientAuth, None) {
            Ok(()) => {
                return Ok(User(json!({"user": leaf.subject_cn(), "groups": groups(leaf.organizations())})));
            }
            Err(why) => {
                let words = "Unable to authenticate the request";
                // Upstream names the keys as well, which no record may hold.
                let why =
                    format!("verifying certificate SN={} failed: {}", leaf.serial_decimal(), why.words(go));
                tracing::error!(err = why, "{words}");
                host.record("authentication", vec![("error", words.to_owned()), ("err", why)]);
            }
        }
    }
    let unauthorized = || (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
    let header = headers.get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let Some(token) = header.strip_prefix("Bearer ").filter(|t| !t.is_empty()) else {
        return Err(unauthorized());
    };
    let Some(rest) = rest else { return Err(unauthorized()) };
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    });
    let reviews = Resource::new("authentication.k8s.io", "v1", "tokenreviews");
    let answer = rest.create(&reviews, None, &review).await.map_err(|e| {
        tracing::error!("Unable to authenticate the request: {e}");
        unauthorized()
    })?;
    if !answer.bool_at("/status/authenticated") {
        return Err(unauthorized());
    }
    let found = answer.at("/status/user").cloned().unwrap_or_default();
    Ok(User(json!({
        "user": found.str_at("/username"),
        "uid": found.str_at("/uid"),
        "groups": found.list_at("/groups"),
        "extra": found.at("/extra").cloned().unwrap_or_else(|| json!({})),
    })))
}

/// A certificate's user is authenticated as well.
fn groups(organizations: &[String]) -> Vec<String> {
    organizations.iter().cloned().chain(["system:authenticated".to_owned()]).collect()
}

/// Whether `user` may do `verb` on one of `nodes/<parts>` of this node.
///
/// # Errors
/// 403 with the kubelet's words, 500 if the apiserver does not answer.
pub(super) async fn authorize(
    rest: Option<&Rest>,
    user: User,
    verb: &str,
    node: &str,
    parts: &[&str],
    fine_grained: bool,
) -> Result<(), Refusal> {
    let name = user.0.str_at("/user").to_owned();
    // Releases that know only one part at a time name it so.
    let (key, all) = match parts {
        [only] if !fine_grained => ("subresource", (*only).to_owned()),
        parts => ("subresource(s)", format!("[{}]", parts.join(" "))),
    };
    let failed = |part: &str, why: &str| {
        let words =
            format!("Authorization error (user={name}, verb={verb}, resource=nodes, subresource={part})");
        tracing::error!("{words}: {why}");
        (StatusCode::INTERNAL_SERVER_ERROR, words)
    };
    let mut spec = user.0;
    for part in parts {
        let Some(rest) = rest else { return Err(failed(part, "the kubelet has no apiserver yet")) };
        spec["resourceAttributes"] = json!({
            "verb": verb,
            "version": "v1",
            "resource": "nodes",
            "subresource": part,
            "name": node,
        });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": spec,
        });
        let reviews = Resource::new("authorization.k8s.io", "v1", "subjectaccessreviews");
        let answer = rest.create(&reviews, None, &review).await.map_err(|e| failed(part, &e.to_string()))?;
        if answer.bool_at("/status/allowed") {
            return Ok(());
        }
    }
    Err((StatusCode::FORBIDDEN, format!("Forbidden (user={name}, verb={verb}, resource=nodes, {key}={all})")))
}
