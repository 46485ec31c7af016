//! ValidatingAdmissionPolicy and MutatingAdmissionPolicy: what expressions in the cluster say of a
//! write, or make of it.
//!
//! ```text
//! policy ─┐
//! binding ┴▶ matching: meant? ─▶ params ─▶ match conditions ─▶ validations ─▶ Deny, Warn, Audit
//!                                                          └─▶ mutations   ─▶ object, again if it changed
//! ```
//! Policies, bindings and params are what the server's informers hold: a policy takes effect when they
//! have seen it. An expression is compiled when its policy is first met, and kept while that is as it was.
//!
//! Upstream's plugins do nothing where their API is switched off. Here `--runtime-config` does not switch it off
//! ([`crate::runtime_config`] says so): what is stored would let everything pass. Who wants none of them has
//! `--disable-admission-plugins`.

mod compile;
mod invocation;
mod mutating;
mod params;
mod patch;
mod request;
pub(crate) mod types;
mod validating;
mod version;
mod write;

pub(super) use mutating::Passes;
pub(crate) use write::violations;

use std::{collections::BTreeMap, sync::Arc};

use api::{object::ObjectExt as _, status::Status};
use client::Informer;
use parking_lot::Mutex;
use serde_json::Value;

use super::{Review, Tools};
use compile::Compiled;
use params::Params;

/// What is never judged by a policy: policies themselves, which could lock everybody out, and
/// questions about who somebody is and what he may do.
const EXEMPT: [(&str, &str); 10] = [
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
];

fn is_exempt(review: &Review<'_>) -> bool {
    EXEMPT.contains(&(review.group, review.resource))
}

/// A policy as it was when it was compiled.
struct Known {
    policy: Arc<Value>,
    compiled: Arc<Compiled>,
}

/// What the two plugins keep between requests.
#[derive(Default)]
pub(super) struct Policies {
    known: Mutex<BTreeMap<(String, String), Known>>,
    pub(super) params: Params,
}

/// A policy with what binds it.
struct Hook {
    policy: Arc<Value>,
    bindings: Vec<Arc<Value>>,
    compiled: Arc<Compiled>,
}

impl Policies {
    /// The policies that something binds, by name, each with its bindings; none for what no policy judges.
    ///
    /// # Errors
    /// 403: what there is is not known yet.
    async fn hooks(
        &self,
        tools: &Tools,
        review: &Review<'_>,
        policies: &Informer,
        bindings: &Informer,
    ) -> Result<Vec<Hook>, Status> {
        if is_exempt(review) {
            return Ok(Vec::new());
        }
        tools.ready(review, &[policies, bindings, &tools.informers.namespaces]).await?;
        self.params.keep(|api_version, kind| {
            let informers = [&tools.informers.validating_policies, &tools.informers.mutating_policies];
            informers.into_iter().flat_map(Informer::list).any(|policy| {
                policy.str_at("/spec/paramKind/apiVersion") == api_version
                    && policy.str_at("/spec/paramKind/kind") == kind
            })
        });
        if bindings.is_empty() {
            return Ok(Vec::new());
        }
        let mut bound: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
        for binding in bindings.list() {
            bound.entry(binding.str_at("/spec/policyName").to_owned()).or_default().push(binding);
        }
        let hook = |(name, bindings): (String, Vec<Arc<Value>>)| {
            let policy = policies.get(None, &name)?;
            let compiled = self.compiled(&policy, policies);
            Some(Hook { policy, bindings, compiled })
        };
        Ok(bound.into_iter().filter_map(hook).collect())
    }

    fn compiled(&self, policy: &Arc<Value>, policies: &Informer) -> Arc<Compiled> {
        let family = policies.type_name();
        let key = (family.to_owned(), policy.name().to_owned());
        let mut known = self.known.lock();
        if let Some(held) = known.get(&key).filter(|held| Arc::ptr_eq(&held.policy, policy)) {
            return held.compiled.clone();
        }
        // What is gone need not be kept.
        known.retain(|(of, name), _| of != family || policies.get(None, name).is_some());
        let compiled = Arc::new(Compiled::new(policy));
        known.insert(key, Known { policy: policy.clone(), compiled: compiled.clone() });
        compiled
    }
}

/// The kind of what is no error.
const NO_ERROR: &str = "no_error";

/// The kind of an error, as it is counted (`validating/errors.go`).
fn counted(why: &str) -> &'static str {
    if why.starts_with("compilation error: ") {
        "compile_error"
    } else if why.starts_with("validation failed due to running out of cost budget") {
        "out_of_budget"
    } else {
        "invalid_error"
    }
}

/// What an error about a policy or its binding says.
fn configuration(why: &str, of_binding: bool) -> String {
    format!("failed to configure {}: {why}", if of_binding { "binding" } else { "policy" })
}

/// Whether errors of a policy are the request's.
fn fails(policy: &Value) -> bool {
    policy.str_at("/spec/failurePolicy") != "Ignore"
}

/// The namespace that expressions see: none for what is in none, namespaces included.
async fn namespace_of(tools: &Tools, review: &Review<'_>) -> Result<Option<Arc<Value>>, Status> {
    if review.namespace.is_empty() || (review.group, review.kind) == ("", "Namespace") {
        return Ok(None);
    }
    super::matching::namespace(tools, review.namespace).await.map(Some)
}
