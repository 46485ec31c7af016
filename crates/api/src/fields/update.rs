//! What a write does to the entries: whoever changes a field owns it alone from then on.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value};

use super::{
    Versions,
    capped::cap,
    compare::{Comparison, compare},
    conflict::Conflict,
    element::Element,
    entries::{Entry, Id, Managed, Operation, sort},
    owned::{covers, touches},
    reset::Reset,
    schema::Root,
    set::Set,
};
use crate::object::ObjectExt;

const LIST: &str = "/metadata/managedFields";

/// A write that is no apply.
pub struct Updating<'w> {
    /// The versions of the kind.
    pub versions: &'w dyn Versions,
    /// The version that is written.
    pub api_version: &'w str,
    /// Who writes.
    pub manager: &'w str,
    /// Through which endpoint; empty for the object itself.
    pub subresource: &'w str,
    /// When, in RFC 3339.
    pub now: &'w str,
    /// What the endpoint does not change.
    pub reset: &'w Reset,
}

/// Brings the entries of a new object up to date. `live` absent: it is created.
pub fn update(with: &Updating<'_>, live: Option<&Value>, new: &mut Value) {
    let given = new.remove_at(LIST);
    let held = live.map_or(&[][..], |live| live.list_at(LIST));
    let base = base(with, given, held);
    if live.is_some() && base.is_none() {
        // Tracking was reset, or the object is older than tracking: it begins anew with an apply.
        return;
    }
    let Some(of) = with.versions.schema(with.api_version) else {
        return restore(new, held.to_vec());
    };
    let empty = Value::Object(JsonMap::new());
    let old = live.unwrap_or(&empty);
    let changes = stripped_of(with.reset.filtered(compare(&of, old, new)));
    let mut managed = match base {
        Some(Base::Held(copy)) => {
            if let Some(mine) = quickly(with, held, &changes) {
                let mut list = copy.unwrap_or_else(|| held.to_vec());
                if let Some(entry) = mine.and_then(|place| list.get_mut(place)) {
                    entry.set_at("/time", with.now);
                    sort(&mut list);
                }
                return restore(new, list);
            }
            Managed::decode(held).unwrap_or_default()
        }
        Some(Base::Given(managed)) => managed,
        None => Managed::default(),
    };
    if of.may_change() {
        managed.reconcile(with.versions, old);
    }
    take_over(with, &mut managed, (old, new), changes);
    cap(&mut managed);
    restore(new, managed.encode());
}

/// Which entries a write starts from.
enum Base {
    /// Those of the stored object; with the client's copy of them, if it sent one.
    Held(Option<Vec<Value>>),
    /// Others that the client sent.
    Given(Managed),
}

fn base(with: &Updating<'_>, given: Option<Value>, held: &[Value]) -> Option<Base> {
    let ours = |copy| (!held.is_empty()).then_some(Base::Held(copy));
    let Some(Value::Array(given)) = given else { return ours(None) };
    if given == held && !held.is_empty() {
        return ours(Some(given));
    }
    // Through a subresource nobody changes entries by hand.
    if !with.subresource.is_empty() {
        return ours(None);
    }
    if is_reset(&given) {
        return None;
    }
    match Managed::decode(&given) {
        Ok(managed) if !managed.0.is_empty() => Some(Base::Given(managed)),
        _ => ours(None),
    }
}

/// An empty list, or one with an empty entry, asks to forget all.
fn is_reset(given: &[Value]) -> bool {
    match given {
        [] => true,
        [one] => one.as_object().is_some_and(|map| map.values().all(Value::is_null)),
        _ => false,
    }
}

fn restore(new: &mut Value, list: Vec<Value>) {
    if !list.is_empty() {
        new.set_at(LIST, list);
    }
}

/// Whether a write changes nothing in the entries, or nothing but the time of one: then which.
fn quickly(with: &Updating<'_>, held: &[Value], changes: &Comparison) -> Option<Option<usize>> {
    let known = |entry: &Value| with.versions.schema(entry.str_at("/apiVersion")).is_some();
    let mine = |entry: &Value| {
        entry.str_at("/operation") == Operation::Update.as_str()
            && entry.str_at("/manager") == with.manager
            && entry.str_at("/apiVersion") == with.api_version
            && entry.str_at("/subresource") == with.subresource
    };
    let mut found = None;
    for (place, entry) in held.iter().enumerate() {
        let fields = entry.get("fieldsV1");
        // What is removed nobody may own; what is written in another version has to be compared in it.
        if entry.str_at("/apiVersion") != with.api_version && !(changes.is_empty() && known(entry)) {
            return None;
        }
        if touches(fields, &changes.removed) {
            return None;
        }
        if mine(entry) {
            if !covers(fields, &changes.modified) || !covers(fields, &changes.added) {
                return None;
            }
            found = Some(place);
        } else if touches(fields, &changes.modified) || touches(fields, &changes.added) {
            return None;
        }
    }
    match changes.modified.is_empty() && changes.added.is_empty() {
        true => Some(None),
        false => found.map(Some),
    }
}

/// Identity and what the server alone writes: nobody owns it.
pub(super) fn stripped() -> &'static Set {
    static STRIPPED: std::sync::OnceLock<Set> = std::sync::OnceLock::new();
    STRIPPED.get_or_init(|| {
        Set::of_fields(&[
            "apiVersion",
            "kind",
            "metadata",
            "metadata.name",
            "metadata.namespace",
            "metadata.creationTimestamp",
            "metadata.selfLink",
            "metadata.uid",
            "metadata.clusterName",
            "metadata.generation",
            "metadata.managedFields",
            "metadata.resourceVersion",
        ])
    })
}

/// Whoever writes does not come to own these, and nobody can have them to lose.
fn stripped_of(changes: Comparison) -> Comparison {
    let strip = |set: Set| if set.is_empty() { set } else { set.difference(stripped()) };
    Comparison {
        added: strip(changes.added),
        modified: strip(changes.modified),
        removed: strip(changes.removed),
    }
}

/// Takes what changed from all others and gives it to who writes.
fn take_over(with: &Updating<'_>, managed: &mut Managed, objects: (&Value, &Value), changes: Comparison) {
    // All conflicts are decided for who writes.
    let _ = relinquish(with.versions, with.reset, managed, objects, (with.api_version, &changes), None, true);
    let set = changes.modified.union(&changes.added);
    if set.is_empty() {
        return;
    }
    let id = Id::updater(with.manager, with.api_version, with.subresource);
    let set = match managed.0.remove(&id) {
        Some(previous) => set.union(&previous.set),
        None => set,
    };
    let entry = Entry { api_version: with.api_version.to_owned(), time: Some(with.now.to_owned()), set };
    managed.0.insert(id, entry);
}

/// Takes changed fields from everybody but `me`, each in the version that its entry is written in.
///
/// # Errors
/// What others own, unless forced.
pub(super) fn relinquish(
    versions: &dyn Versions,
    reset: &Reset,
    managed: &mut Managed,
    (old, new): (&Value, &Value),
    (version, changes): (&str, &Comparison),
    me: Option<&Id>,
    force: bool,
) -> Result<(), Vec<Conflict>> {
    let mut compared: BTreeMap<String, Option<Comparison>> = BTreeMap::new();
    let mut conflicts = Vec::new();
    let mut unknown = Vec::new();
    let mut losses = Vec::new();
    for (id, entry) in managed.0.iter().filter(|(id, _)| Some(*id) != me) {
        let changes = if entry.api_version == version {
            changes
        } else {
            let other = compared.entry(entry.api_version.clone()).or_insert_with(|| {
                let of = versions.schema(&entry.api_version)?;
                let old = versions.convert(old, &entry.api_version)?;
                let new = versions.convert(new, &entry.api_version)?;
                Some(reset.filtered(compare(&of, &old, &new)))
            });
            let Some(other) = other else {
                unknown.push(id.clone());
                continue;
            };
            other
        };
        let wanted = entry.set.intersection(&changes.modified.union(&changes.added));
        wanted.each(|path| {
            let path: Vec<Element> = path.iter().map(|element| (*element).clone()).collect();
            conflicts.push(Conflict { owner: id.clone(), path });
        });
        if !wanted.is_empty() || !changes.removed.is_empty() {
            losses.push((id.clone(), entry.set.difference(&wanted).difference(&changes.removed)));
        }
    }
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    for id in unknown {
        managed.0.remove(&id);
    }
    for (id, set) in losses {
        if let Some(entry) = managed.0.get_mut(&id) {
            entry.set = set;
        }
    }
    managed.0.retain(|_, entry| !entry.set.is_empty());
    Ok(())
}

impl Managed {
    /// Follows a schema that changed since the entries were written: what became one value is owned as
    /// one, what came apart is owned part by part.
    pub(super) fn reconcile(&mut self, versions: &dyn Versions, object: &Value) {
        for entry in self.0.values_mut() {
            let Some(Root { schema, root }) = versions.schema(&entry.api_version) else { continue };
            let Some(object) = versions.convert(object, &entry.api_version) else { continue };
            entry.set = entry.set.reconciled(&schema, root, Some(&object));
        }
    }
}
