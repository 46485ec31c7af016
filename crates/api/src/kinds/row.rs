//! How a row is written: what most kinds have in common is the default, the rest is named.

use super::{Deprecation, Kind, Propagation, ScalePaths, Subresource};
use crate::names::NameRule;

const STANDARD: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const MODIFY: &[&str] = &["get", "patch", "update"];
const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];

/// A namespaced, stored kind with all verbs.
pub(super) const fn row(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
) -> Kind {
    Kind {
        group,
        version,
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: STANDARD,
        subresources: &[],
        storage: plural,
        stored: (group, version),
        generation: false,
        unconditional_update: true,
        create_on_update: false,
        delete_returns_object: false,
        selectable: &[],
        propagation: Propagation::Background,
        name_rule: NameRule::Subdomain,
        deprecated: None,
    }
}

/// A kind that is only posted, never kept.
pub(super) const fn posted(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
) -> Kind {
    Kind {
        verbs: &["create"],
        storage: "",
        unconditional_update: false,
        ..row(group, version, kind, plural, singular)
    }
}

impl Kind {
    pub(super) const fn cluster(self) -> Kind {
        Kind { namespaced: false, ..self }
    }
    pub(super) const fn short(self, short_names: &'static [&'static str]) -> Kind {
        Kind { short_names, ..self }
    }
    pub(super) const fn categories(self, categories: &'static [&'static str]) -> Kind {
        Kind { categories, ..self }
    }
    pub(super) const fn verbs(self, verbs: &'static [&'static str]) -> Kind {
        Kind { verbs, ..self }
    }
    pub(super) const fn subs(self, subresources: &'static [Subresource]) -> Kind {
        Kind { subresources, ..self }
    }
    pub(super) const fn stored_under(self, storage: &'static str) -> Kind {
        Kind { storage, ..self }
    }
    pub(super) const fn stored_as(self, group: &'static str, version: &'static str) -> Kind {
        Kind { stored: (group, version), ..self }
    }
    pub(super) const fn counts_generation(self) -> Kind {
        Kind { generation: true, ..self }
    }
    pub(super) const fn conditional_update(self) -> Kind {
        Kind { unconditional_update: false, ..self }
    }
    pub(super) const fn creates_on_update(self) -> Kind {
        Kind { create_on_update: true, ..self }
    }
    pub(super) const fn returned_on_delete(self) -> Kind {
        Kind { delete_returns_object: true, ..self }
    }
    pub(super) const fn selectable(self, selectable: &'static [&'static str]) -> Kind {
        Kind { selectable, ..self }
    }
    pub(super) const fn dependents(self, propagation: Propagation) -> Kind {
        Kind { propagation, ..self }
    }
    pub(super) const fn deprecated(self, deprecation: Deprecation) -> Kind {
        Kind { deprecated: Some(deprecation), ..self }
    }
    pub(super) const fn named(self, name_rule: NameRule) -> Kind {
        Kind { name_rule, ..self }
    }
}

const fn sub(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
) -> Subresource {
    Subresource { name, group, version, kind, verbs, scale: None }
}

/// An endpoint that takes the object itself, such as `status`.
pub(super) const fn own(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
) -> Subresource {
    sub(name, group, version, kind, MODIFY)
}

/// An endpoint that takes the object itself, with other verbs than `status`.
pub(super) const fn own_with(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
) -> Subresource {
    sub(name, group, version, kind, verbs)
}

/// An endpoint to which another kind is posted.
pub(super) const fn action(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
) -> Subresource {
    sub(name, group, version, kind, &["create"])
}

/// An endpoint that hands out a stream of bytes.
pub(super) const fn stream(name: &'static str, kind: &'static str) -> Subresource {
    sub(name, "", "v1", kind, &["create", "get"])
}

/// An endpoint that passes any request on.
pub(super) const fn proxy(kind: &'static str) -> Subresource {
    sub("proxy", "", "v1", kind, PROXY)
}

/// `scale`, with its numbers at the usual places.
pub(super) const fn scale(plain_selector: bool) -> Subresource {
    let paths = ScalePaths {
        spec: "/spec/replicas",
        status: "/status/replicas",
        selector: "/spec/selector",
        plain_selector,
    };
    Subresource { scale: Some(paths), ..sub("scale", "autoscaling", "v1", "Scale", MODIFY) }
}

pub(super) const fn count(parts: &[&[Kind]]) -> usize {
    let mut total = 0;
    let mut part = 0;
    while part < parts.len() {
        total += parts[part].len();
        part += 1;
    }
    total
}

pub(super) const fn join<const N: usize>(parts: &[&[Kind]]) -> [Kind; N] {
    let mut out = [parts[0][0]; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            out[at] = parts[part][i];
            at += 1;
            i += 1;
        }
        part += 1;
    }
    out
}
