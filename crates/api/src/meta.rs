//! Object metadata: what it must look like, and what a write may change in it.
//!
//! A write passes, in this order:
//!
//! ```text
//! check_types        it is JSON of the right shape            400
//! fill_namespace     body and URL name one namespace          400
//! check_name         body and URL name one object (updates)   400
//! prepare_create     the server's own fields on a new object
//! prepare_update     the server's own fields from the stored object
//! validate_*         names, labels, owners, finalizers        422
//! ```
//!
//! [`Rules`] says what differs between kinds; custom resources make their own.

mod delete;
mod types;
mod validate;
mod write;

use crate::{kinds::Kind, names::NameRule};
pub use delete::{gc_finalizer, mark_deleted, only_waits_for_finalizers, set_gc_finalizers};
pub use types::check_types;
pub use validate::{validate_annotations, validate_create, validate_labels, validate_update};
pub use write::{
    check_name, check_uid, check_version, count_generation, fill_namespace, prepare_create, prepare_update,
    refuse_version, semantic_eq,
};

/// Finalizer that keeps an object until its dependents are deleted.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer that keeps an object until its dependents are let go.
pub const ORPHAN: &str = "orphan";
/// Finalizer in the spec of namespaces.
pub const KUBERNETES: &str = "kubernetes";

/// How the metadata of one kind is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Objects live in a namespace.
    pub namespaced: bool,
    /// What a name may be.
    pub names: NameRule,
    /// A finalizer without a domain must be one of the standard ones (not so for custom resources).
    pub standard_finalizers: bool,
    /// The server counts changes.
    pub generation: bool,
    /// An update without `resourceVersion` is accepted.
    pub unconditional_update: bool,
}

impl Rules {
    /// The rules of custom resources.
    pub fn custom(namespaced: bool) -> Rules {
        Rules {
            namespaced,
            names: NameRule::Subdomain,
            standard_finalizers: false,
            generation: true,
            unconditional_update: false,
        }
    }
}

impl From<&Kind> for Rules {
    fn from(kind: &Kind) -> Rules {
        Rules {
            namespaced: kind.namespaced,
            names: kind.name_rule,
            standard_finalizers: !kind.group.starts_with("api"),
            generation: kind.generation,
            unconditional_update: kind.unconditional_update,
        }
    }
}

#[cfg(test)]
mod tests;
