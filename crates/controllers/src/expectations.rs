//! What a loop has written and its informer has not shown yet: acting again before would do it twice.

use std::{collections::BTreeMap, time::Duration};

use api::object::ObjectExt as _;
use client::{Informer, key_of, split_key};
use parking_lot::Mutex;
use serde_json::Value;
use world::Mono;

/// After so long a write that the informer has not shown is no longer waited for.
const TIMEOUT: Duration = Duration::from_secs(300);

/// See the module. Owners are told apart by key.
#[derive(Default)]
pub(crate) struct Expectations(Mutex<BTreeMap<String, Expected>>);

struct Expected {
    writes: Vec<Write>,
    since: Mono,
}

enum Write {
    /// The object as the server stored it, by key and revision.
    Stored {
        key: String,
        revision: u64,
    },
    Deleted {
        key: String,
        uid: String,
    },
}

impl Expectations {
    /// `object` was created or changed for `owner`: the server's answer.
    pub(crate) fn stored(&self, owner: &str, object: &Value, now: Mono) {
        self.add(owner, Write::Stored { key: key_of(object), revision: revision(object) }, now);
    }

    /// `object`, as the informer shows it, was deleted for `owner`.
    pub(crate) fn deleted(&self, owner: &str, object: &Value, now: Mono) {
        let uid = object.uid().to_owned();
        self.add(owner, Write::Deleted { key: key_of(object), uid }, now);
    }

    fn add(&self, owner: &str, write: Write, now: Mono) {
        let mut all = self.0.lock();
        let expected =
            all.entry(owner.to_owned()).or_insert_with(|| Expected { writes: Vec::new(), since: now });
        expected.writes.push(write);
        expected.since = now;
    }

    /// Whether `informer` shows all that was written for `owner`.
    pub(crate) fn fulfilled(&self, owner: &str, informer: &Informer, now: Mono) -> bool {
        let mut all = self.0.lock();
        let Some(expected) = all.get_mut(owner) else { return true };
        let followed: u64 = informer.resource_version().parse().unwrap_or(0);
        expected.writes.retain(|write| match write {
            Write::Stored { key, revision: written } => {
                let shown = informer.get_key(key).is_some_and(|o| revision(&o) >= *written);
                // What came and went again is not there, but the informer has passed it.
                !shown && followed < *written
            }
            Write::Deleted { key, uid } => {
                let (namespace, name) = split_key(key);
                informer.get(namespace, name).is_some_and(|o| o.uid() == uid && !o.is_terminating())
            }
        });
        let done = expected.writes.is_empty() || now.since(expected.since) > TIMEOUT;
        if done {
            all.remove(owner);
        }
        done
    }

    /// Forgets an owner that is gone.
    pub(crate) fn forget(&self, owner: &str) {
        self.0.lock().remove(owner);
    }
}

fn revision(object: &Value) -> u64 {
    object.resource_version().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, revision: &str) -> Value {
        json!({"metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": revision}})
    }

    #[test]
    fn a_write_is_waited_for_until_the_informer_shows_it_or_gives_up() {
        let (all, informer, start) = (Expectations::default(), Informer::fixed(vec![]), Mono::default());
        all.stored("n/set", &pod("a", "7"), start);
        assert!(!all.fulfilled("n/set", &informer, start));
        assert!(all.fulfilled("n/other", &informer, start), "owners do not wait for each other");
        informer.put(pod("a", "6"));
        assert!(!all.fulfilled("n/set", &informer, start), "an older state");
        informer.put(pod("a", "7"));
        assert!(all.fulfilled("n/set", &informer, start));
        all.deleted("n/set", &pod("a", "7"), start);
        assert!(!all.fulfilled("n/set", &informer, start));
        informer.remove("n", "a");
        assert!(all.fulfilled("n/set", &informer, start));
        all.stored("n/set", &pod("b", "9"), start);
        assert!(!all.fulfilled("n/set", &informer, start + TIMEOUT));
        assert!(all.fulfilled("n/set", &informer, start + TIMEOUT + Duration::from_secs(1)));
    }
}
