//! Who somebody is, what they may do, and the certificates that say so.

use super::{
    Kind,
    row::{own, posted, row},
};
use crate::names::NameRule;

const AUTHN: &str = "authentication.k8s.io";
const AUTHZ: &str = "authorization.k8s.io";
const CERTS: &str = "certificates.k8s.io";

pub(super) const AUTHENTICATION: &[Kind] = &[
    posted(AUTHN, "v1", "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview").cluster(),
    posted(AUTHN, "v1", "TokenReview", "tokenreviews", "tokenreview").cluster(),
];

pub(super) const AUTHORIZATION: &[Kind] = &[
    posted(AUTHZ, "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", "localsubjectaccessreview"),
    posted(AUTHZ, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview")
        .cluster(),
    posted(AUTHZ, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview")
        .cluster(),
    posted(AUTHZ, "v1", "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview").cluster(),
];

pub(super) const CERTIFICATES: &[Kind] = &[row(
    CERTS,
    "v1",
    "CertificateSigningRequest",
    "certificatesigningrequests",
    "certificatesigningrequest",
)
.short(&["csr"])
.cluster()
.subs(&[
    own("approval", CERTS, "v1", "CertificateSigningRequest"),
    own("status", CERTS, "v1", "CertificateSigningRequest"),
])
.selectable(&["spec.signerName"])
.named(NameRule::PathSegment)];

const fn rbac(kind: &'static str, plural: &'static str, singular: &'static str) -> Kind {
    row("rbac.authorization.k8s.io", "v1", kind, plural, singular)
        .creates_on_update()
        .named(NameRule::PathSegment)
}

pub(super) const RBAC: &[Kind] = &[
    rbac("ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding").cluster(),
    rbac("ClusterRole", "clusterroles", "clusterrole").cluster(),
    rbac("RoleBinding", "rolebindings", "rolebinding"),
    rbac("Role", "roles", "role"),
];
