//! The objects that an informer holds, sorted, and who is told about changes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use api::object::ObjectExt as _;
use parking_lot::Mutex;
use serde_json::Value;

/// A change of an informer's copy.
#[derive(Clone, Debug)]
pub enum Change {
    /// The object came.
    Added(Arc<Value>),
    /// The object changed; both are the same after a resync.
    Updated {
        /// As it was.
        old: Arc<Value>,
        /// As it is.
        new: Arc<Value>,
    },
    /// The object went; this is its last known state.
    Deleted(Arc<Value>),
}

impl Change {
    /// The object, in its latest state.
    pub fn object(&self) -> &Arc<Value> {
        match self {
            Self::Added(object) | Self::Updated { new: object, .. } | Self::Deleted(object) => object,
        }
    }

    /// The key of the object.
    pub fn key(&self) -> String {
        key_of(self.object())
    }
}

/// `namespace/name`, or `name` of a cluster-scoped object.
pub fn key_of(object: &Value) -> String {
    match object.namespace() {
        "" => object.name().to_owned(),
        namespace => format!("{namespace}/{}", object.name()),
    }
}

/// Namespace and name of a key made by [`key_of`].
pub fn split_key(key: &str) -> (Option<&str>, &str) {
    key.split_once('/').map_or((None, key), |(namespace, name)| (Some(namespace), name))
}

type Handler = Box<dyn Fn(&Change) + Send + Sync>;
type KeysOf = Box<dyn Fn(&Value) -> Vec<String> + Send + Sync>;

/// See the module.
#[derive(Default)]
pub(super) struct Store(Mutex<State>);

#[derive(Default)]
struct State {
    /// By namespace, then name: a look-up needs no key to be built.
    objects: BTreeMap<String, BTreeMap<String, Held>>,
    len: usize,
    /// Objects are held as text and read at each look-up.
    packed: bool,
    indices: Vec<Sorted>,
    listeners: Vec<Arc<Listener>>,
}

/// One object, in the form in which it is kept.
enum Held {
    Read(Arc<Value>),
    /// As JSON: a sixth of the room.
    Packed(Box<str>),
}

impl Held {
    fn new(object: &Arc<Value>, packed: bool) -> Self {
        match packed {
            // A value can always be written.
            true => Self::Packed(serde_json::to_string(object).unwrap_or_default().into()),
            false => Self::Read(object.clone()),
        }
    }

    fn object(&self) -> Arc<Value> {
        match self {
            Self::Read(object) => object.clone(),
            // It was written by us, of something that was read.
            Self::Packed(text) => Arc::new(serde_json::from_str(text).unwrap_or_default()),
        }
    }
}

struct Sorted {
    keys_of: KeysOf,
    objects: BTreeMap<String, BTreeSet<(String, String)>>,
}

/// A handler and what it has not been told yet. Filled under the store's lock, so that everybody
/// hears all changes in one order; emptied outside of it, so that a handler may read the store.
struct Listener {
    handler: Handler,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    changes: VecDeque<Change>,
    /// Somebody is emptying it: whoever comes meanwhile leaves it to them.
    busy: bool,
}

impl Listener {
    fn tell(&self) {
        loop {
            let change = {
                let mut pending = self.pending.lock();
                if pending.busy {
                    return;
                }
                let Some(change) = pending.changes.pop_front() else { return };
                pending.busy = true;
                change
            };
            (self.handler)(&change);
            self.pending.lock().busy = false;
        }
    }
}

impl State {
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects.get(namespace)?.get(name).map(Held::object)
    }

    fn iter(&self) -> impl Iterator<Item = Arc<Value>> {
        self.objects.values().flat_map(BTreeMap::values).map(Held::object)
    }

    fn places(&self) -> impl Iterator<Item = (&str, &str)> {
        self.objects.iter().flat_map(|(ns, all)| all.keys().map(move |name| (ns.as_str(), name.as_str())))
    }

    /// Whether anybody wants to know what an object was before.
    fn is_heard(&self) -> bool {
        !(self.listeners.is_empty() && self.indices.is_empty())
    }

    /// Returns what was held before.
    fn hold(&mut self, object: &Arc<Value>, namespace: String, name: String) -> Option<Held> {
        let held = Held::new(object, self.packed);
        let old = self.objects.entry(namespace).or_default().insert(name, held);
        self.len += usize::from(old.is_none());
        old
    }

    fn insert(&mut self, object: Arc<Value>) -> Change {
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        let old = self.hold(&object, namespace.clone(), name.clone()).map(|old| old.object());
        for index in &mut self.indices {
            if let Some(old) = &old {
                index.forget(old, &namespace, &name);
            }
            index.learn(&object, &namespace, &name);
        }
        match old {
            Some(old) => Change::Updated { old, new: object },
            None => Change::Added(object),
        }
    }

    /// With `last`, the state in which the object was deleted is known better than the one held.
    fn remove(&mut self, namespace: &str, name: &str, last: Option<Arc<Value>>) -> Option<Change> {
        let of_namespace = self.objects.get_mut(namespace)?;
        let old = of_namespace.remove(name)?.object();
        if of_namespace.is_empty() {
            self.objects.remove(namespace);
        }
        self.len -= 1;
        for index in &mut self.indices {
            index.forget(&old, namespace, name);
        }
        Some(Change::Deleted(last.unwrap_or(old)))
    }

    fn announce(&self, change: &Change) {
        for listener in &self.listeners {
            listener.pending.lock().changes.push_back(change.clone());
        }
    }
}

impl Sorted {
    fn learn(&mut self, object: &Value, namespace: &str, name: &str) {
        for key in (self.keys_of)(object) {
            self.objects.entry(key).or_default().insert((namespace.to_owned(), name.to_owned()));
        }
    }

    fn forget(&mut self, object: &Value, namespace: &str, name: &str) {
        let place = (namespace.to_owned(), name.to_owned());
        for key in (self.keys_of)(object) {
            let Some(places) = self.objects.get_mut(&key) else { continue };
            places.remove(&place);
            if places.is_empty() {
                self.objects.remove(&key);
            }
        }
    }
}

impl Store {
    pub(super) fn packed() -> Self {
        Self(Mutex::new(State { packed: true, ..State::default() }))
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.0.lock().get(namespace, name)
    }

    pub(super) fn has(&self, namespace: &str, name: &str) -> bool {
        self.0.lock().objects.get(namespace).is_some_and(|all| all.contains_key(name))
    }

    pub(super) fn list(&self) -> Vec<Arc<Value>> {
        self.0.lock().iter().collect()
    }

    pub(super) fn by_namespace(&self, namespace: &str) -> Vec<Arc<Value>> {
        let state = self.0.lock();
        state.objects.get(namespace).into_iter().flat_map(BTreeMap::values).map(Held::object).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len
    }

    pub(super) fn add_index(&self, keys_of: KeysOf) -> usize {
        let mut state = self.0.lock();
        let mut index = Sorted { keys_of, objects: BTreeMap::new() };
        state.iter().for_each(|object| index.learn(&object, object.namespace(), object.name()));
        state.indices.push(index);
        state.indices.len() - 1
    }

    pub(super) fn by_index(&self, number: usize, key: &str) -> Vec<Arc<Value>> {
        let state = self.0.lock();
        let places = state.indices.get(number).and_then(|index| index.objects.get(key));
        places.into_iter().flatten().filter_map(|(ns, name)| state.get(ns, name)).collect()
    }

    pub(super) fn add_listener(&self, handler: Handler) {
        let listener = {
            let mut state = self.0.lock();
            let changes = state.iter().map(Change::Added).collect();
            let pending = Mutex::new(Pending { changes, busy: false });
            let listener = Arc::new(Listener { handler, pending });
            state.listeners.push(listener.clone());
            listener
        };
        listener.tell();
    }

    pub(super) fn put(&self, object: Arc<Value>) {
        self.change(|state| match state.is_heard() {
            true => {
                let change = state.insert(object);
                state.announce(&change);
            }
            // Packed ones need not be read then.
            false => drop(state.hold(&object, object.namespace().to_owned(), object.name().to_owned())),
        });
    }

    pub(super) fn remove(&self, namespace: &str, name: &str, last: Option<Arc<Value>>) {
        self.change(|state| {
            if let Some(change) = state.remove(namespace, name, last) {
                state.announce(&change);
            }
        });
    }

    /// Takes over a list: what is not in it is gone. Objects of an unchanged revision are not news.
    pub(super) fn replace(&self, objects: Vec<Arc<Value>>) {
        self.change(|state| {
            let listed: BTreeSet<(&str, &str)> = objects.iter().map(|o| (o.namespace(), o.name())).collect();
            let gone: Vec<(String, String)> = state
                .places()
                .filter(|place| !listed.contains(place))
                .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
                .collect();
            for object in &objects {
                let change = state.insert(object.clone());
                let news = match &change {
                    Change::Updated { old, new } => {
                        new.resource_version().is_empty() || old.resource_version() != new.resource_version()
                    }
                    _ => true,
                };
                if news {
                    state.announce(&change);
                }
            }
            for (namespace, name) in gone {
                if let Some(change) = state.remove(&namespace, &name, None) {
                    state.announce(&change);
                }
            }
        });
    }

    /// Tells every handler of every object again.
    pub(super) fn resync(&self) {
        self.change(|state| {
            for object in state.iter() {
                state.announce(&Change::Updated { old: object.clone(), new: object.clone() });
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let listeners = {
            let mut state = self.0.lock();
            change(&mut state);
            state.listeners.clone()
        };
        listeners.iter().for_each(|listener| listener.tell());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, version: &str) -> Arc<Value> {
        let metadata = json!({"namespace": "a", "name": name, "resourceVersion": version});
        Arc::new(
            json!({"metadata": metadata, "spec": {"numbers": [1, -1, 1.5], "text": "\u{e9}\n\"", "none": null}}),
        )
    }

    #[test]
    fn to_whom_reads_it_a_packed_store_is_like_any_other() {
        for store in [Store::default(), Store::packed()] {
            let heard = Arc::<Mutex<Vec<String>>>::default();
            let told = heard.clone();
            let versions = |change: &Change| match change {
                Change::Added(new) => format!("+{}", new.resource_version()),
                Change::Updated { old, new } => {
                    format!("{}>{}", old.resource_version(), new.resource_version())
                }
                Change::Deleted(last) => format!("-{}", last.resource_version()),
            };
            store.add_listener(Box::new(move |change| told.lock().push(versions(change))));
            let index = store.add_index(Box::new(|o| vec![o.resource_version().to_owned()]));
            store.put(object("x", "1"));
            store.put(object("x", "2"));
            assert_eq!(store.get("a", "x"), Some(object("x", "2")));
            assert_eq!(
                [("a", "x"), ("a", "y"), ("b", "x")].map(|(ns, name)| store.has(ns, name)),
                [true, false, false]
            );
            assert_eq!(store.by_index(index, "2"), [object("x", "2")]);
            assert_eq!(store.by_index(index, "1"), [] as [Arc<Value>; 0]);
            store.replace(vec![object("x", "2"), object("y", "3")]);
            assert_eq!(store.list(), [object("x", "2"), object("y", "3")]);
            store.replace(vec![object("y", "3")]);
            assert_eq!((store.by_namespace("a"), store.len()), (vec![object("y", "3")], 1));
            store.remove("a", "y", None);
            assert_eq!(*heard.lock(), ["+1", "1>2", "+3", "-2", "-3"]);
        }
    }
}
