//! What programs keep together where a protocol between them is not modelled: those on several hosts of one
//! simulated world, and those of one host. Two worlds share nothing.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;

type Things = BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// One thing of each type, made by the first who asks for it. Clones are the same commons.
#[derive(Clone, Default)]
pub struct Commons(Arc<Mutex<Things>>);

impl Commons {
    /// The one `T` of this world, or of this host.
    pub fn get<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let mut things = self.0.lock();
        if let Some(there) = things.get(&TypeId::of::<T>()).cloned()
            && let Ok(there) = there.downcast::<T>()
        {
            return there;
        }
        let made = Arc::new(T::default());
        things.insert(TypeId::of::<T>(), made.clone());
        made
    }
}

impl fmt::Debug for Commons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commons({})", self.0.lock().len())
    }
}
