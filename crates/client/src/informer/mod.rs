//! A store that follows the server: list, then watch, and resume for ever.

mod reflector;
mod store;

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use world::{Host, Task};

use crate::{Resource, Rest};
use reflector::Reflector;
use store::Store;

pub use store::{Change, key_of, split_key};

/// What an [`Informer`] follows, and how it is called.
#[derive(Clone, Debug, Default)]
pub struct InformerOptions {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only objects with these labels.
    pub label_selector: Option<String>,
    /// Only objects with these fields.
    pub field_selector: Option<String>,
    /// The kind in logs (`*v1.<Kind>`), where the table of kinds does not know the resource.
    pub kind: Option<String>,
    /// Hand every object to the handlers again after this time (upstream's resync). Passed through
    /// `Periods`.
    pub resync: Option<Duration>,
    /// Leave out `metadata.managedFields`, as upstream's apiserver does in what it holds for itself: for who reads, or
    /// writes without them (the server then keeps those that it has).
    pub untracked: bool,
    /// Hold objects as text and read them at each look-up: for who holds little, looks seldom, and is one of
    /// thousands.
    pub packed: bool,
}

/// A local copy of a resource. Clones read the same copy.
///
/// When the server cannot be reached, or the informer is stopped, it goes on serving what it last
/// held: nobody who only reads can tell.
#[derive(Clone)]
pub struct Informer(Arc<Shared>);

struct Shared {
    /// `*v1.Role`.
    type_name: String,
    store: Store,
    state: Mutex<State>,
    /// Something in the store or the state changed.
    changed: Notify,
}

#[derive(Default)]
struct State {
    synced: bool,
    last_error: Option<String>,
    resource_version: String,
    task: Option<Task<()>>,
}

impl Informer {
    /// Begins to follow `resource` in a task of `host`'s process.
    pub fn start(host: &Host, rest: &Rest, resource: Resource, options: InformerOptions) -> Self {
        let type_name = match &options.kind {
            Some(kind) => format!("*{}.{kind}", resource.version),
            None => resource.type_name(),
        };
        let store = if options.packed { Store::packed() } else { Store::default() };
        let informer = Self::new(type_name, store);
        let reflector = Reflector::new(host.clone(), rest.clone(), resource, options, informer.clone());
        let task = host.spawn(reflector.run());
        informer.0.state.lock().task = Some(task);
        informer
    }

    fn new(type_name: String, store: Store) -> Self {
        Self(Arc::new(Shared { type_name, store, state: Mutex::default(), changed: Notify::new() }))
    }

    /// An informer that holds `objects` and follows nobody: of what nobody serves, and for tests of what reads informers.
    pub fn fixed(objects: Vec<Value>) -> Self {
        let informer = Self::new("fixed".to_owned(), Store::default());
        informer.replace(objects.into_iter().map(Arc::new).collect(), "");
        informer
    }

    /// The object of that name; `None` as namespace for cluster-scoped kinds.
    pub fn get<'a>(&self, namespace: impl Into<Option<&'a str>>, name: &str) -> Option<Arc<Value>> {
        self.0.store.get(namespace.into().unwrap_or_default(), name)
    }

    /// Whether there is an object of that name: without reading it.
    pub fn has<'a>(&self, namespace: impl Into<Option<&'a str>>, name: &str) -> bool {
        self.0.store.has(namespace.into().unwrap_or_default(), name)
    }

    /// The object of that key (`namespace/name` or `name`), as [`key_of`] makes it.
    pub fn get_key(&self, key: &str) -> Option<Arc<Value>> {
        let (namespace, name) = split_key(key);
        self.get(namespace, name)
    }

    /// All objects, by namespace and name.
    pub fn list(&self) -> Vec<Arc<Value>> {
        self.0.store.list()
    }

    /// All objects of a namespace, by name.
    pub fn by_namespace(&self, namespace: &str) -> Vec<Arc<Value>> {
        self.0.store.by_namespace(namespace)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.store.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the objects sorted by `keys_of` too, from now on and for those already there.
    pub fn index(&self, keys_of: impl Fn(&Value) -> Vec<String> + Send + Sync + 'static) -> Index {
        Index { informer: self.clone(), number: self.0.store.add_index(Box::new(keys_of)) }
    }

    /// Calls `handler` for every change, in order, outside of any lock; for objects that are there
    /// already with [`Change::Added`], at once. It must not wait: enqueue a key and return.
    pub fn on(&self, handler: impl Fn(&Change) + Send + Sync + 'static) {
        self.0.store.add_listener(Box::new(handler));
    }

    /// Whether the first list has been taken over. Never false again.
    pub fn has_synced(&self) -> bool {
        self.0.state.lock().synced
    }

    /// Waits for [`Informer::has_synced`].
    pub async fn synced(&self) {
        self.until(Self::has_synced).await;
    }

    /// Waits until `condition` holds; it is asked after every change.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    /// Why it cannot follow at present; `None` while it can.
    pub fn last_error(&self) -> Option<String> {
        self.0.state.lock().last_error.clone()
    }

    /// The last revision seen; empty before the first list.
    pub fn resource_version(&self) -> String {
        self.0.state.lock().resource_version.clone()
    }

    /// The type that its logs name, such as `*v1.Role`.
    pub fn type_name(&self) -> &str {
        &self.0.type_name
    }

    /// Follows no longer. What it holds stays.
    pub fn stop(&self) {
        if let Some(task) = self.0.state.lock().task.take() {
            task.abort();
        }
    }

    /// Puts an object into the local copy without asking the server, with all that follows from a
    /// change. For tests with [`Informer::fixed`]; a live informer would forget it at its next list.
    pub fn put(&self, object: Value) {
        self.0.store.put(Arc::new(object));
        self.0.changed.notify_waiters();
    }

    /// Takes an object out of the local copy, as [`Informer::put`] puts one in.
    pub fn remove<'a>(&self, namespace: impl Into<Option<&'a str>>, name: &str) {
        self.0.store.remove(namespace.into().unwrap_or_default(), name, None);
        self.0.changed.notify_waiters();
    }

    fn replace(&self, objects: Vec<Arc<Value>>, resource_version: &str) {
        self.0.store.replace(objects);
        {
            let mut state = self.0.state.lock();
            state.synced = true;
            state.last_error = None;
            state.resource_version = resource_version.to_owned();
        }
        self.0.changed.notify_waiters();
    }
}

impl fmt::Debug for Informer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let synced = if self.has_synced() { "synced" } else { "not synced" };
        write!(f, "Informer({}, {} objects, {synced})", self.0.type_name, self.len())
    }
}

/// The objects of an [`Informer`] by keys of the user's choice. See [`Informer::index`].
#[derive(Clone, Debug)]
pub struct Index {
    informer: Informer,
    number: usize,
}

impl Index {
    /// The objects with this key, by namespace and name.
    pub fn get(&self, key: &str) -> Vec<Arc<Value>> {
        self.informer.0.store.by_index(self.number, key)
    }
}
