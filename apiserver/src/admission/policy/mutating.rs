//! MutatingAdmissionPolicy: what the policies that mean a request make of its object, one after the
//! other, and again if the object has changed since.

use std::{collections::BTreeSet, sync::Arc};

use api::{object::ObjectExt as _, status::Status};
use serde_json::Value as Json;

use super::{
    super::{
        Review, Tools,
        matching::{self, Target},
        refusal::forbidden,
    },
    Policies,
    compile::Compiled,
    configuration, fails, namespace_of, params, patch,
    request::{Asking, Seen, namespace_object, request},
    version::{restored, versioned},
};

/// A policy with a binding and a param, all of which mean the request.
struct Invocation {
    policy: Arc<Json>,
    binding: Arc<Json>,
    compiled: Arc<Compiled>,
    target: Target,
    params: Option<Arc<Json>>,
}

impl Invocation {
    /// By name: policy, binding, namespace and name of the param.
    fn key(&self) -> [String; 4] {
        let param = self.params.as_deref();
        [
            self.policy.name().to_owned(),
            self.binding.name().to_owned(),
            param.map(|param| param.namespace().to_owned()).unwrap_or_default(),
            param.map(|param| param.name().to_owned()).unwrap_or_default(),
        ]
    }
}

/// What the policies of one request remember between its passes.
#[derive(Default)]
pub(in crate::admission) struct Passes {
    /// The object after the last pass.
    last: Option<Json>,
    /// Who ran and wants to run again if something changes after it.
    ran: BTreeSet<[String; 4]>,
    /// Who is to run again.
    again: BTreeSet<[String; 4]>,
    /// Whether another pass is needed.
    pub(in crate::admission) changed: bool,
    /// Whether this is that other pass.
    pub(in crate::admission) is_second: bool,
}

impl Passes {
    fn everybody_again(&mut self) {
        self.again.append(&mut self.ran);
    }
}

/// An error of a policy: who, with which binding, why.
struct PolicyError {
    policy: Arc<Json>,
    binding: Option<String>,
    why: String,
    reason: &'static str,
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (policy, why) = (self.policy.name(), &self.why);
        match &self.binding {
            Some(binding) => write!(f, "policy '{policy}' with binding '{binding}' denied request: {why}"),
            None => write!(f, "policy {policy:?} denied request: {why}"),
        }
    }
}

impl Policies {
    /// Lets all policies change the object.
    ///
    /// # Errors
    /// The first error of a policy that is to fail.
    pub(in crate::admission) async fn mutate(
        &self,
        tools: &Tools,
        review: &mut Review<'_>,
        passes: &mut Passes,
    ) -> Result<(), Status> {
        let informers = &tools.informers;
        let (policies, bindings) = (&informers.mutating_policies, &informers.mutating_bindings);
        let hooks = self.hooks(tools, review, policies, bindings).await?;
        if hooks.is_empty() {
            return Ok(());
        }
        let mut errors = Vec::new();
        let mut invocations = Vec::new();
        for hook in hooks {
            let failed = |why: &str, binding: Option<&Json>| PolicyError {
                policy: hook.policy.clone(),
                binding: binding.map(|binding| binding.name().to_owned()),
                why: configuration(why, binding.is_some()),
                reason: "",
            };
            let constraints = hook.policy.at("/spec/matchConstraints").unwrap_or(&Json::Null);
            let target = match matching::matches(tools, review, constraints).await {
                Ok(Some(target)) => target,
                Ok(None) => continue,
                Err(status) => {
                    errors.push(failed(&status.message, None));
                    continue;
                }
            };
            let kind = match self.params.kind(tools, &hook.policy) {
                Ok(kind) => kind,
                Err(why) => {
                    errors.push(failed(&why, None));
                    continue;
                }
            };
            for binding in &hook.bindings {
                let resources = binding.at("/spec/matchResources").filter(|resources| resources.is_object());
                if let Some(resources) = resources {
                    match matching::matches(tools, review, resources).await {
                        Ok(Some(_)) => {}
                        Ok(None) => continue,
                        Err(status) => {
                            errors.push(failed(&status.message, Some(&**binding)));
                            continue;
                        }
                    }
                }
                match params::collect(tools, kind.as_ref(), binding, review.namespace).await {
                    Ok(params) => invocations.extend(params.into_iter().map(|params| Invocation {
                        policy: hook.policy.clone(),
                        binding: binding.clone(),
                        compiled: hook.compiled.clone(),
                        target: target.clone(),
                        params,
                    })),
                    Err(why) => errors.push(failed(&why, Some(&**binding))),
                }
            }
        }
        if !invocations.is_empty() {
            let namespace = namespace_of(tools, review).await?;
            let namespace = namespace.map(|namespace| namespace_object(&namespace));
            invoke(tools, review, passes, &invocations, namespace.as_ref(), &mut errors).await?;
        }
        errors.retain(|error| fails(&error.policy));
        refusal(review, &errors).map_or(Ok(()), Err)
    }
}

async fn invoke(
    tools: &Tools,
    review: &mut Review<'_>,
    passes: &mut Passes,
    invocations: &[Invocation],
    namespace: Option<&Json>,
    errors: &mut Vec<PolicyError>,
) -> Result<(), Status> {
    if passes.is_second && passes.last.as_ref() != review.new_object() {
        passes.everybody_again();
    }
    for invocation in invocations {
        let asking = Asking::new(&tools.authz, review);
        let ran = loop {
            let mut own = Vec::new();
            let ran = run(tools, review, passes, invocation, (namespace, &asking), &mut own);
            if !asking.settle().await {
                errors.append(&mut own);
                break ran?;
            }
        };
        let Some(ran) = ran else { continue };
        if let (Some(object), Some(place)) = (ran.object, review.object.as_deref_mut()) {
            *place = object;
            passes.everybody_again();
            passes.changed = true;
        }
        if invocation.policy.str_at("/spec/reinvocationPolicy") == "IfNeeded" {
            passes.ran.insert(invocation.key());
        }
    }
    passes.last = review.new_object().cloned();
    Ok(())
}

/// An invocation that was not passed over.
struct Ran {
    /// The object, if it is another one now.
    object: Option<Json>,
}

fn run(
    tools: &Tools,
    review: &Review<'_>,
    passes: &Passes,
    invocation: &Invocation,
    (namespace, asking): (Option<&Json>, &Asking<'_>),
    errors: &mut Vec<PolicyError>,
) -> Result<Option<Ran>, Status> {
    let failed = |why: String| PolicyError {
        policy: invocation.policy.clone(),
        binding: Some(invocation.binding.name().to_owned()),
        why,
        reason: "Invalid",
    };
    let target = &invocation.target;
    let unconvertible = |why: String| Status::internal(format!("failed to convert object version: {why}"));
    let before = versioned(tools, review.new_object(), target).map_err(unconvertible)?;
    let old = versioned(tools, review.old, target).map_err(unconvertible)?;
    let own = Target::of(tools, review);
    let request = request(review, target, &own);
    let seen = Seen {
        object: before.as_deref(),
        old: old.as_deref(),
        request: &request,
        namespace,
        params: invocation.params.as_deref(),
        asker: asking,
    };
    match invocation.compiled.applies(seen.variables(true)) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(why) => {
            errors.push(failed(why));
            return Ok(None);
        }
    }
    if passes.is_second && !passes.again.contains(&invocation.key()) {
        return Ok(None);
    }
    let mut made: Option<Json> = None;
    for mutation in invocation.compiled.mutations.iter().filter(|_| before.is_some()) {
        let now = Seen { object: made.as_ref().or(before.as_deref()), ..seen };
        match patch::patched(tools, &invocation.compiled, mutation, target, &now) {
            Ok(next) => made = Some(next),
            Err(patch::PatchError::Status(status)) => return Err(*status),
            Err(patch::PatchError::Policy(why)) => errors.push(failed(why)),
        }
    }
    let Some(object) = made.filter(|object| Some(object) != before.as_deref()) else {
        return Ok(Some(Ran { object: None }));
    };
    let object = restored(tools, object, review, &own);
    let object = object.map_err(|why| Status::internal(format!("failed to convert object: {why}")))?;
    Ok(Some(Ran { object: Some(object) }))
}

/// The first error is the message; its reason is upstream's, its code that of a refusal.
fn refusal(review: &Review<'_>, errors: &[PolicyError]) -> Option<Status> {
    let first = errors.first()?;
    let mut status = forbidden(review, "admission request denied by policy");
    status.message = first.to_string();
    if !first.reason.is_empty() {
        status.reason = first.reason.into();
    }
    errors.iter().for_each(|error| status.push_cause("", &error.to_string(), ""));
    Some(status)
}
