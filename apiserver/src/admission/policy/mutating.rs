//! MutatingAdmissionPolicy: what the policies that mean a request make of its object, one after the
//! other, and again if the object has changed since.

use std::{collections::BTreeSet, sync::Arc};

use api::{object::ObjectExt as _, status::Status};
use serde_json::Value as Json;

use super::{
    super::{Form, Review, Tools, asking::Asking, refusal::forbidden},
    NO_ERROR, Policies, counted, fails,
    invocation::{Invocation, Misconfigured},
    namespace_of, patch,
    request::{Seen, namespace_object, request},
    version::{restored, versioned},
};

/// By name: policy, binding, namespace and name of the param.
type Key = [String; 4];

fn key_of(invocation: &Invocation, param: Option<&Json>) -> Key {
    [
        invocation.policy.name().to_owned(),
        invocation.binding.name().to_owned(),
        param.map(|param| param.namespace().to_owned()).unwrap_or_default(),
        param.map(|param| param.name().to_owned()).unwrap_or_default(),
    ]
}

/// What the policies of one request remember between its passes.
#[derive(Default)]
pub(in crate::admission) struct Passes {
    /// The object after the last pass.
    last: Option<Json>,
    /// Who ran and wants to run again if something changes after it.
    ran: BTreeSet<Key>,
    /// Who is to run again.
    again: BTreeSet<Key>,
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
        let (mut errors, mut invocations) = (Vec::new(), Vec::new());
        for invocation in self.invocations(tools, review, policies, bindings).await? {
            match invocation {
                Ok(invocation) => invocations.push(invocation),
                Err(Misconfigured { policy, binding, why }) => errors.push(PolicyError {
                    policy,
                    binding: binding.map(|binding| binding.name().to_owned()),
                    why,
                    reason: "",
                }),
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
    let each = invocations.iter().flat_map(|one| one.params.iter().map(move |param| (one, param.as_deref())));
    for (invocation, param) in each.collect::<Vec<_>>() {
        let asking = Asking::new(&tools.authz, review);
        let began = tools.host.clock().monotonic();
        let ran = loop {
            let mut own = Vec::new();
            let ran = run(tools, review, passes, (invocation, param), (namespace, &asking), &mut own);
            if !asking.settle().await {
                let elapsed = tools.host.clock().monotonic().since(began);
                let names = (invocation.policy.name(), invocation.binding.name());
                let kind = own.first().map(|error| counted(&error.why));
                if matches!(ran, Ok(Some(_))) || kind.is_some() {
                    tools.counts.mutated(names, kind.unwrap_or(NO_ERROR), elapsed);
                }
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
            passes.ran.insert(key_of(invocation, param));
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
    (invocation, param): (&Invocation, Option<&Json>),
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
    let own = Form::of(tools, review);
    let request = request(review, target, &own);
    let seen = Seen {
        object: before.as_deref(),
        old: old.as_deref(),
        request: &request,
        namespace,
        params: param,
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
    if passes.is_second && !passes.again.contains(&key_of(invocation, param)) {
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
