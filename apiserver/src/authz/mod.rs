//! May this user do that? Authorizers are asked in the order of `--authorization-mode`, after the
//! one that comes before all: `system:masters` may do everything.
//!
//! ```text
//!  Attributes ─▶ masters? ─▶ Node ─▶ RBAC ─▶ … ─▶ Verdict
//!                  allow      each: allow, or no opinion and why
//! ```
//!
//! * [`rule`]: one policy rule, [`rbac`]: rules by subject, from four informers.
//! * [`node`]: what a kubelet may reach through the pods that are bound to its node.
//! * [`escalation`]: who may write roles and bindings.
//! * [`review`]: the review kinds answered.

mod attributes;
pub mod escalation;
pub mod modes;
pub mod node;
pub(crate) mod pod_references;
pub mod rbac;
pub mod review;
pub mod rule;

use std::sync::Arc;

use api::status::{GroupResource, Status};

use crate::{identity::MASTERS, informers::Informers};
pub use attributes::Attributes;
pub use modes::{Mode, ModeError};
use node::NodeAuthorizer;
use rbac::Rbac;

/// What an authorizer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes; nobody else is asked.
    Allow,
    /// No; nobody else is asked.
    Deny,
    /// Not for me to say; from the whole chain this means no.
    NoOpinion,
}

/// The answer of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// Why: of the one that decided, else of all that had something to say, one per line.
    pub reason: String,
    /// What failed on the way. With a decision other than allow the request ends in a 500.
    pub errors: Vec<String>,
}

impl Verdict {
    fn new(decision: Decision, reason: impl Into<String>) -> Self {
        Self { decision, reason: reason.into(), errors: Vec::new() }
    }

    fn no_opinion(reason: impl Into<String>) -> Self {
        Self::new(Decision::NoOpinion, reason)
    }

    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }
}

enum Authorizer {
    Node(NodeAuthorizer),
    Rbac(Arc<Rbac>),
    AlwaysAllow,
    AlwaysDeny,
}

/// The chain of authorizers.
pub struct Authz {
    chain: Vec<Authorizer>,
    rbac: Arc<Rbac>,
}

impl Authz {
    /// A chain of `modes` that learns from `informers`.
    pub fn new(modes: &[Mode], informers: &Informers) -> Self {
        let rbac = Rbac::new(informers);
        let chain = modes.iter().map(|mode| match mode {
            Mode::Node => Authorizer::Node(NodeAuthorizer::new(informers)),
            Mode::Rbac => Authorizer::Rbac(rbac.clone()),
            Mode::AlwaysAllow => Authorizer::AlwaysAllow,
            Mode::AlwaysDeny => Authorizer::AlwaysDeny,
        });
        Self { chain: chain.collect(), rbac }
    }

    /// Asks the chain.
    pub fn authorize(&self, request: &Attributes<'_>) -> Verdict {
        if request.user.is_in(MASTERS) {
            return Verdict::new(Decision::Allow, "");
        }
        let mut reasons = Vec::new();
        for authorizer in &self.chain {
            let verdict = match authorizer {
                Authorizer::Node(node) => node.authorize(request),
                Authorizer::Rbac(rbac) => rbac.authorize(request),
                Authorizer::AlwaysAllow => Verdict::new(Decision::Allow, ""),
                Authorizer::AlwaysDeny => Verdict::no_opinion("Everything is forbidden."),
            };
            if verdict.decision != Decision::NoOpinion {
                return verdict;
            }
            if !verdict.reason.is_empty() {
                reasons.push(verdict.reason);
            }
        }
        Verdict::no_opinion(reasons.join("\n"))
    }

    /// The refusal that follows from a verdict other than allow.
    pub fn forbidden(request: &Attributes<'_>, verdict: &Verdict) -> Status {
        let resource = GroupResource { group: request.group, resource: request.resource };
        if verdict.reason.is_empty() {
            Status::forbidden(resource, request.name, request)
        } else {
            Status::forbidden(resource, request.name, format_args!("{request}: {}", verdict.reason))
        }
    }

    /// What `user` may do in `namespace`, as far as it can be listed.
    pub fn rules_for(&self, user: &crate::identity::User, namespace: &str) -> review::RulesReview {
        let mut review = review::RulesReview::default();
        for authorizer in &self.chain {
            match authorizer {
                Authorizer::Node(_) if user.node_name().is_some() => {
                    review.incomplete = true;
                    review.errors.push("node authorizer does not support user rule resolution".to_owned());
                }
                Authorizer::Rbac(rbac) => {
                    let resolved = rbac.rules_for(user, namespace);
                    review.rules.extend(resolved.rules);
                    review.errors.extend(resolved.errors);
                }
                Authorizer::AlwaysAllow => review.rules.extend(rule::Rule::full_authority()),
                Authorizer::Node(_) | Authorizer::AlwaysDeny => {}
            }
        }
        review
    }

    /// The rules by subject, whether or not RBAC is one of the modes: the escalation check reads them.
    pub fn rbac(&self) -> &Rbac {
        &self.rbac
    }
}

impl std::fmt::Debug for Authz {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authz({} authorizers)", self.chain.len())
    }
}

#[cfg(test)]
mod tests;
