//! The plugins about certificates: who may approve and sign requests, whose certificate nobody may ask for,
//! and who may speak for a signer in a bundle of its authorities.

use api::object::ObjectExt as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use api::status::Status;

use super::{Operation, Review, Tools, refusal::forbidden};
use crate::{
    authz::{Attributes, Authz},
    identity::{MASTERS, User},
};

const GROUP: &str = "certificates.k8s.io";
const RESOURCE: &str = "certificatesigningrequests";
/// The gate, which no release opens by itself yet.
const TRUST_BUNDLES: (&str, u16) = ("ClusterTrustBundle", u16::MAX);
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// CertificateApproval: a change at `/approval` needs the verb `approve` on the signer.
pub(super) async fn approval(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    if !is_update_of(review, "approval") {
        return Ok(());
    }
    needs(tools, review, "approve").await
}

/// CertificateSigning: a new certificate or condition at `/status` needs the verb `sign`.
pub(super) async fn signing(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    if !is_update_of(review, "status") {
        return Ok(());
    }
    let part = |object: Option<&Value>, field: &str| object.and_then(|o| o.at(field)).cloned();
    let unchanged = ["/status/certificate", "/status/conditions"]
        .iter()
        .all(|field| part(review.new_object(), field) == part(review.old, field));
    if unchanged { Ok(()) } else { needs(tools, review, "sign").await }
}

/// CertificateSubjectRestriction: no certificate for `system:masters` from the client signer.
pub(super) fn subject(review: &Review<'_>) -> Result<(), Status> {
    let applies =
        review.operation == Operation::Create && review.is(GROUP, RESOURCE) && review.subresource.is_empty();
    let Some(object) = review.new_object().filter(|_| applies) else { return Ok(()) };
    if object.str_at("/spec/signerName") != CLIENT_SIGNER {
        return Ok(());
    }
    let csr = parse(object).map_err(|why| forbidden(review, format_args!("failed to parse CSR: {why}")))?;
    if csr.organizations().iter().any(|o| o == MASTERS) {
        let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
        return Err(forbidden(review, why));
    }
    Ok(())
}

/// ClusterTrustBundleAttest: a bundle in the name of a signer needs the verb `attest` on it.
pub(super) async fn attestation(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    let applies = matches!(review.operation, Operation::Create | Operation::Update)
        && review.is(GROUP, "clustertrustbundles")
        && tools.has_gate(TRUST_BUNDLES);
    let Some(bundle) = review.new_object().filter(|_| applies) else { return Ok(()) };
    let signer = bundle.str_at("/spec/signerName");
    let is_kept = review.operation == Operation::Update
        && review.old.is_some_and(|old| without_collector(old) == without_collector(bundle));
    if signer.is_empty() || is_kept || is_authorized(&tools.authz, review.user, "attest", signer).await {
        return Ok(());
    }
    Err(forbidden(review, format_args!("user not permitted to attest for signerName {signer:?}")))
}

/// The object without what the garbage collector may change in it.
fn without_collector(object: &Value) -> Value {
    let mut object = object.clone();
    for field in ["ownerReferences", "finalizers", "managedFields"] {
        object.remove_at(&format!("/metadata/{field}"));
    }
    object
}

/// The request inside a CertificateSigningRequest.
pub(super) fn parse(object: &Value) -> Result<pki::csr::Csr, String> {
    let pem = STANDARD.decode(object.str_at("/spec/request")).map_err(|e| e.to_string())?;
    pki::csr::Csr::parse(&pem).map_err(|e| e.to_string())
}

fn is_update_of(review: &Review<'_>, subresource: &str) -> bool {
    review.operation == Operation::Update && review.is(GROUP, RESOURCE) && review.subresource == subresource
}

async fn needs(tools: &Tools, review: &Review<'_>, verb: &str) -> Result<(), Status> {
    // The stored signer counts: the one in the request is dropped anyway.
    let signer = review.old.map(|old| old.str_at("/spec/signerName")).unwrap_or_default();
    if is_authorized(&tools.authz, review.user, verb, signer).await {
        return Ok(());
    }
    Err(forbidden(review, format_args!("user not permitted to {verb} requests with signerName {signer:?}")))
}

/// The verb on the signer by name, or on all signers of its domain.
async fn is_authorized(authz: &Authz, user: &User, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    for name in [signer, &format!("{domain}/*")] {
        let request = Attributes {
            verb,
            group: GROUP,
            version: "*",
            resource: "signers",
            name,
            resource_request: true,
            ..Attributes::of(user)
        };
        if authz.authorize(&request).await.is_allowed() {
            return true;
        }
    }
    false
}
