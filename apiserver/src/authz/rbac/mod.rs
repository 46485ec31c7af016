//! Rules by subject: who holds which roles, everywhere or in one namespace.
//!
//! Four informers feed the `index`; a change touches what it is about and nothing else. Reading is a look-up by
//! user name and one per group, without allocation. When the informers stand still, so does what everybody may do.

mod defaults;
mod index;

use std::{fmt, sync::Arc};

use api::object::ObjectExt as _;
use client::{Change, Informer};
use parking_lot::RwLock;
use serde_json::Value;

use super::{Attributes, Decision, Verdict, rule::Rule};
use crate::{identity::User, informers::Informers};
use index::{Grant, Index};

/// The RBAC authorizer.
#[derive(Default)]
pub struct Rbac {
    index: RwLock<Index>,
}

/// The rules that somebody holds, and what could not be resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The rules, in the order in which they were found.
    pub rules: Vec<Rule>,
    /// Bindings to roles that do not exist.
    pub errors: Vec<String>,
}

impl Rbac {
    /// An authorizer that follows the four kinds' informers.
    pub fn new(informers: &Informers) -> Arc<Self> {
        let this = Arc::new(Self::default());
        for informer in [&informers.roles, &informers.cluster_roles] {
            this.follow(informer, |index, namespace, name, object| {
                index.set_role(namespace, name, object.map(defaults::rules));
            });
        }
        for informer in [&informers.role_bindings, &informers.cluster_role_bindings] {
            this.follow(informer, Index::set_binding);
        }
        this
    }

    fn follow(
        self: &Arc<Self>,
        informer: &Informer,
        apply: impl Fn(&mut Index, &str, &str, Option<&Value>) + Send + Sync + 'static,
    ) {
        // The informer outlives its reader otherwise, and the reader the informer.
        let this = Arc::downgrade(self);
        informer.on(move |change| {
            let Some(this) = this.upgrade() else { return };
            let (object, present) = match change {
                Change::Added(object) | Change::Updated { new: object, .. } => (object, true),
                Change::Deleted(object) => (object, false),
            };
            let present = present.then_some(&**object);
            apply(&mut this.index.write(), object.namespace(), object.name(), present);
        });
    }

    /// Allows what a rule of a role that the user holds allows.
    pub fn authorize(&self, request: &Attributes<'_>) -> Verdict {
        let index = self.index.read();
        let mut errors: Vec<&str> = Vec::new();
        let mut found: Option<&Grant> = None;
        index.visit(request.user, request.namespace, |grant, rules| {
            match rules {
                Ok(rules) if rules.iter().any(|rule| rule.allows(request)) => found = Some(grant),
                Ok(_) => {}
                Err(error) if errors.contains(&error) => {}
                Err(error) => errors.push(error),
            }
            found.is_some()
        });
        match found {
            Some(grant) => Verdict::new(Decision::Allow, grant.reason.clone()),
            None if errors.is_empty() => Verdict::no_opinion(""),
            None => Verdict::no_opinion(format!("RBAC: {}", aggregate(&errors))),
        }
    }

    /// All rules that `user` holds in `namespace` (empty: everywhere).
    pub fn rules_for(&self, user: &User, namespace: &str) -> Resolved {
        let mut resolved = Resolved::default();
        self.index.read().visit(user, namespace, |_, rules| {
            match rules {
                Ok(rules) => resolved.rules.extend(rules.iter().cloned()),
                Err(error) if resolved.errors.iter().any(|e| e == error) => {}
                Err(error) => resolved.errors.push(error.to_owned()),
            }
            false
        });
        resolved
    }
}

impl fmt::Debug for Rbac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rbac({:?})", self.index.read())
    }
}

/// One error as it is, several as `[a, b]`.
pub(crate) fn aggregate<S: AsRef<str>>(errors: &[S]) -> String {
    match errors {
        [one] => one.as_ref().to_owned(),
        several => {
            let texts: Vec<&str> = several.iter().map(AsRef::as_ref).collect();
            format!("[{}]", texts.join(", "))
        }
    }
}
