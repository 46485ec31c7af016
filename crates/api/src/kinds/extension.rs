//! What extends the API: admission by webhook and policy, custom resources, aggregated servers.

use super::{
    Kind,
    row::{own, row},
};
use crate::names::NameRule;

const ADM: &str = "admissionregistration.k8s.io";
const EXTENSIONS: &[&str] = &["api-extensions"];

const fn admission(kind: &'static str, plural: &'static str, singular: &'static str) -> Kind {
    row(ADM, "v1", kind, plural, singular)
        .cluster()
        .categories(EXTENSIONS)
        .counts_generation()
        .conditional_update()
}

pub(super) const ADMISSION: &[Kind] = &[
    admission("MutatingAdmissionPolicy", "mutatingadmissionpolicies", "mutatingadmissionpolicy"),
    admission(
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        "mutatingadmissionpolicybinding",
    ),
    admission(
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
    ),
    admission("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "validatingadmissionpolicy")
        .subs(&[own("status", ADM, "v1", "ValidatingAdmissionPolicy")]),
    admission(
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
    ),
    admission(
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
    ),
];

const CRD: &str = "apiextensions.k8s.io";

pub(super) const APIEXTENSIONS: &[Kind] =
    &[row(CRD, "v1", "CustomResourceDefinition", "customresourcedefinitions", "customresourcedefinition")
        .short(&["crd", "crds"])
        .categories(EXTENSIONS)
        .cluster()
        .subs(&[own("status", CRD, "v1", "CustomResourceDefinition")])
        .stored_under("apiextensions.k8s.io/customresourcedefinitions")
        .counts_generation()
        .conditional_update()];

const AGGREGATION: &str = "apiregistration.k8s.io";

pub(super) const APIREGISTRATION: &[Kind] =
    &[row(AGGREGATION, "v1", "APIService", "apiservices", "apiservice")
        .categories(EXTENSIONS)
        .cluster()
        .subs(&[own("status", AGGREGATION, "v1", "APIService")])
        .stored_under("apiregistration.k8s.io/apiservices")
        // `v1.` is the core group's.
        .named(NameRule::PathSegment)
        .conditional_update()];
