//! Owners that are known not to be there, so that the thousandth pod of a lost owner asks nobody.

use std::collections::{BTreeSet, VecDeque};

use api::object::OwnerRef;
use parking_lot::Mutex;

/// How many are remembered (`NewReferenceCache(500)`); the oldest is forgotten first.
const KEPT: usize = 500;

/// See the module. A UID never comes back, so that nothing here can become untrue.
#[derive(Default)]
pub(super) struct Absent(Mutex<State>);

#[derive(Default)]
struct State {
    known: BTreeSet<String>,
    oldest: VecDeque<String>,
}

/// The same UID may be claimed for another kind, name or namespace: that is another claim.
fn claim(owner: &OwnerRef<'_>, namespace: Option<&str>) -> String {
    let OwnerRef { api_version, kind, name, uid, .. } = owner;
    format!("{api_version} {kind} {}/{name} {uid}", namespace.unwrap_or_default())
}

impl Absent {
    pub(super) fn has(&self, owner: &OwnerRef<'_>, namespace: Option<&str>) -> bool {
        self.0.lock().known.contains(&claim(owner, namespace))
    }

    pub(super) fn add(&self, owner: &OwnerRef<'_>, namespace: Option<&str>) {
        let claim = claim(owner, namespace);
        let mut state = self.0.lock();
        if !state.known.insert(claim.clone()) {
            return;
        }
        state.oldest.push_back(claim);
        if state.oldest.len() > KEPT
            && let Some(oldest) = state.oldest.pop_front()
        {
            state.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let absent = Absent::default();
        let owner = |n: usize| json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": n.to_string()});
        let known = |n: usize| absent.has(&OwnerRef::read(&owner(n)), Some("a"));
        (0..=KEPT).for_each(|n| absent.add(&OwnerRef::read(&owner(n)), Some("a")));
        assert_eq!((known(0), known(1), known(KEPT)), (false, true, true));
        assert!(!absent.has(&OwnerRef::read(&owner(1)), None), "another namespace is another claim");
    }
}
