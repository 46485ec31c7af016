//! Who is to be asked about a request: each policy with each binding, if both mean the request, and with the params
//! that they name.

use std::sync::Arc;

use api::{object::ObjectExt as _, status::Status};
use client::Informer;
use serde_json::Value;

use super::{
    super::{Form, Review, Tools, matching::Criteria},
    Hook, Policies,
    compile::Compiled,
    configuration, params,
};

/// A policy with a binding, both of which mean the request.
pub(super) struct Invocation {
    pub policy: Arc<Value>,
    pub binding: Arc<Value>,
    pub compiled: Arc<Compiled>,
    /// The request as the policy wants to see it.
    pub target: Form,
    /// One after the other; a policy without params is asked once.
    pub params: Vec<Option<Arc<Value>>>,
}

/// A policy that cannot be asked, by itself or with a binding.
pub(super) struct Misconfigured {
    pub policy: Arc<Value>,
    pub binding: Option<Arc<Value>>,
    pub why: String,
}

impl Policies {
    /// By the names of policies, then of bindings.
    ///
    /// # Errors
    /// 403: what there is is not known yet.
    pub(super) async fn invocations(
        &self,
        tools: &Tools,
        review: &Review<'_>,
        policies: &Informer,
        bindings: &Informer,
    ) -> Result<Vec<Result<Invocation, Misconfigured>>, Status> {
        let mut all = Vec::new();
        for hook in self.hooks(tools, review, policies, bindings).await? {
            self.invoke(tools, review, &hook, &mut all).await;
        }
        Ok(all)
    }

    async fn invoke(
        &self,
        tools: &Tools,
        review: &Review<'_>,
        hook: &Hook,
        all: &mut Vec<Result<Invocation, Misconfigured>>,
    ) {
        let policy = &hook.policy;
        let failed = |why: &str, binding: Option<&Arc<Value>>| {
            let why = configuration(why, binding.is_some());
            Err(Misconfigured { policy: policy.clone(), binding: binding.cloned(), why })
        };
        let target = match hook.compiled.criteria.form_of(tools, review).await {
            Ok(Some(target)) => target,
            Ok(None) => return,
            Err(status) => return all.push(failed(&status.message, None)),
        };
        let kind = match self.params.kind(tools, policy) {
            Ok(kind) => kind,
            Err(why) => return all.push(failed(&why, None)),
        };
        for binding in &hook.bindings {
            if let Some(resources) = binding.at("/spec/matchResources").filter(|r| r.is_object()) {
                match Criteria::of_policy(resources).form_of(tools, review).await {
                    Ok(Some(_)) => {}
                    Ok(None) => continue,
                    Err(status) => {
                        all.push(failed(&status.message, Some(binding)));
                        continue;
                    }
                }
            }
            all.push(match params::collect(tools, kind.as_ref(), binding, review.namespace).await {
                Ok(params) => Ok(Invocation {
                    policy: policy.clone(),
                    binding: binding.clone(),
                    compiled: hook.compiled.clone(),
                    target: target.clone(),
                    params,
                }),
                Err(why) => failed(&why, Some(binding)),
            });
        }
    }
}
