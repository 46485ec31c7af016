//! Server-side apply: a configuration says which fields its manager wants, and how.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use super::{
    Versions,
    compare::{compare, field_set},
    conflict::{Conflict, refusal},
    entries::{Entry, Id, Managed},
    last_applied,
    merge::merge,
    remove::remove,
    reset::Reset,
    schema::Root,
    set::Set,
    update::{Updating, relinquish, stripped, update},
    validate::validate,
};
use crate::{object::ObjectExt, status::Status};

const LIST: &str = "/metadata/managedFields";
/// Who owns what was there before the first apply to an object without entries.
const BEFORE: &str = "before-first-apply";

/// An apply.
pub struct Applying<'w> {
    /// The versions of the kind.
    pub versions: &'w dyn Versions,
    /// The version that is applied.
    pub api_version: &'w str,
    /// Who applies.
    pub manager: &'w str,
    /// Through which endpoint; empty for the object itself.
    pub subresource: &'w str,
    /// When, in RFC 3339.
    pub now: &'w str,
    /// What the endpoint does not change.
    pub reset: &'w Reset,
    /// Whether fields of others are taken from them.
    pub force: bool,
}

/// Why an apply is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApplyError {
    /// Others own what is wanted.
    #[error("{} fields are owned by others", .0.len())]
    Conflicts(Vec<Conflict>),
    /// Anything else; upstream does not classify it.
    #[error("{0}")]
    Other(String),
}

impl From<ApplyError> for Status {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Conflicts(conflicts) => refusal(&conflicts),
            ApplyError::Other(words) => Status::unclassified(words),
        }
    }
}

/// The object, with its entries, after a configuration is applied to it; to nothing: then it is created.
///
/// # Errors
/// What others own, unless forced; a configuration that is not what the schema says.
pub fn apply(with: &Applying<'_>, live: Option<&Value>, config: &Value) -> Result<Value, ApplyError> {
    let of = with
        .versions
        .schema(with.api_version)
        .ok_or_else(|| ApplyError::Other(format!("no type found matching: {}", with.api_version)))?;
    let held = live.map_or(&[][..], |live| live.list_at(LIST));
    let managed = Managed::decode(held)
        .map_err(|why| ApplyError::Other(format!("failed to decode managed fields: {why}")))?;
    let mut base = live.cloned().unwrap_or_else(|| {
        let identity = ["kind", "apiVersion"].map(|field| (field, config.get(field).cloned()));
        let identity = identity.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?)));
        Value::Object(identity.collect())
    });
    base.remove_at(LIST);
    validate(&of, config).map_err(|why| ApplyError::Other(described(config, &why.to_string())))?;
    let managed = if managed.0.is_empty() && live.is_some() { before(with, &base)? } else { managed };
    let step = Step { with, of: &of, live: &base, config };
    let (mut object, managed) = match step.run(managed.clone(), with.force) {
        // Whoever goes over from client-side apply owns already what it applied there.
        Err(ApplyError::Conflicts(conflicts)) if with.manager == last_applied::MANAGER => {
            let left = last_applied::unsettled(&of, with.api_version, &base, conflicts);
            if !left.is_empty() {
                return Err(ApplyError::Conflicts(left));
            }
            step.run(managed, true)?
        }
        outcome => outcome?,
    };
    if with.manager == last_applied::MANAGER {
        last_applied::renew(&mut object, config);
    }
    let list = managed.encode();
    if !list.is_empty() {
        object.set_at(LIST, list);
    }
    Ok(object)
}

fn described(config: &Value, why: &str) -> String {
    let group_version = match config.api_version() {
        version if version.contains('/') => version.to_owned(),
        version => format!("/{version}"),
    };
    format!(
        "failed to create typed patch object ({}/{}; {group_version}, Kind={}): {why}",
        config.namespace(),
        config.name(),
        config.kind()
    )
}

/// The entry for all that was there before anybody was tracked.
fn before(with: &Applying<'_>, live: &Value) -> Result<Managed, ApplyError> {
    let mut object = live.clone();
    let writing = Updating {
        versions: with.versions,
        api_version: with.api_version,
        manager: BEFORE,
        subresource: with.subresource,
        now: with.now,
        reset: with.reset,
    };
    update(&writing, None, &mut object);
    Managed::decode(object.list_at(LIST)).map_err(ApplyError::Other)
}

struct Step<'a> {
    with: &'a Applying<'a>,
    of: &'a Root,
    live: &'a Value,
    config: &'a Value,
}

impl Step<'_> {
    fn run(&self, mut managed: Managed, force: bool) -> Result<(Value, Managed), ApplyError> {
        let Self { with, of, live, config } = self;
        if of.may_change() {
            managed.reconcile(with.versions, live);
        }
        let me = Id::applier(with.manager, with.subresource);
        let last = managed.0.remove(&me);
        let entry = Entry {
            api_version: with.api_version.to_owned(),
            time: last.as_ref().and_then(|last| last.time.clone()),
            set: with.reset.filter(field_set(of, config)),
        };
        managed.0.insert(me.clone(), entry);
        let object = self.prune(merge(of, live, config), &managed, last.as_ref());
        let changes = with.reset.filtered(compare(of, live, &object));
        relinquish(
            with.versions,
            with.reset,
            &mut managed,
            (live, &object),
            (with.api_version, &changes),
            Some(&me),
            force,
        )
        .map_err(ApplyError::Conflicts)?;
        if let Some(entry) = managed.0.get_mut(&me) {
            entry.set = entry.set.difference(stripped());
            if object != **live {
                entry.time = Some(with.now.to_owned());
            }
        }
        managed.0.retain(|_, entry| !entry.set.is_empty());
        Ok((object, managed))
    }

    /// Takes out what this manager applied before and does not any more, unless it belongs to somebody
    /// else as well.
    fn prune(&self, merged: Value, managed: &Managed, last: Option<&Entry>) -> Value {
        let Some(last) = last.filter(|last| !last.set.is_empty()) else { return merged };
        let versions = self.with.versions;
        let (Some(of), Some(whole)) =
            (versions.schema(&last.api_version), versions.convert(&merged, &last.api_version))
        else {
            return merged;
        };
        let named = |set: &Set, of: &Root| set.with_named_fields(&of.schema, Some(of.root));
        let pruned = remove(&of, &whole, &named(&last.set, &of));
        let pruned = self.add_back_owned(&whole, pruned, &last.api_version, managed);
        let Some(pruned) = versions.convert(&pruned, &last.api_version) else { return merged };
        // Only what was owned goes.
        let (pruned, before) = (field_set(&of, &pruned), field_set(&of, &whole));
        let gone = named(&before, &of).difference(&named(&pruned, &of)).intersection(&named(&last.set, &of));
        let left = remove(&of, &whole, &gone);
        versions.convert(&left, self.with.api_version).map_or(left.clone(), Cow::into_owned)
    }

    fn add_back_owned(&self, merged: &Value, pruned: Value, version: &str, managed: &Managed) -> Value {
        let versions = self.with.versions;
        let mut owned: BTreeMap<&str, Set> = BTreeMap::new();
        for entry in managed.0.values() {
            let set = owned.entry(&entry.api_version).or_default();
            *set = set.union(&entry.set);
        }
        let mut pruned = pruned;
        let mut one = |version: &str, set: &Set| {
            let Some(of) = versions.schema(version) else { return };
            let (Some(merged), Some(here)) =
                (versions.convert(merged, version), versions.convert(&pruned, version))
            else {
                return;
            };
            let named = |set: &Set| set.with_named_fields(&of.schema, Some(of.root));
            let kept = named(&field_set(&of, &here)).union(&named(set));
            pruned = remove(&of, &merged, &named(&field_set(&of, &merged)).difference(&kept));
        };
        // First in the version that was pruned: another may not be reachable without what went.
        if let Some(set) = owned.remove(version) {
            one(version, &set);
        }
        for (version, set) in &owned {
            one(version, set);
        }
        pruned
    }
}
