//! How endpoints are spread over slices, free of requests (`endpointslice/reconciler.go`).
//!
//! Few writes count for more than full slices: what is right stays where it is, slices that are
//! written anyway are filled first, and only then is another one opened.

use std::collections::BTreeMap;

use serde_json::Value;

/// Endpoints of one slice at most (`--max-endpoints-per-slice`).
pub(super) const CAPACITY: usize = 100;

/// One endpoint by what it stands for: the pod's UID.
pub(super) type Endpoints = BTreeMap<String, Value>;

/// A slice that is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slice {
    /// Its name.
    pub name: String,
    /// What it holds; several objects of one key keep only one.
    pub endpoints: Endpoints,
}

/// What is to be done so that slices of one set of ports hold what they should.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub create: Vec<Endpoints>,
    pub update: Vec<Slice>,
    pub delete: Vec<String>,
    /// Slices that are right as they are.
    pub keep: Vec<String>,
}

/// Spreads `wanted` over `existing` and new slices.
pub(super) fn plan(existing: Vec<Slice>, mut wanted: Endpoints) -> Plan {
    let mut plan = Plan::default();
    let mut unchanged = Vec::new();
    for slice in existing {
        let before = slice.endpoints.len();
        let mut changed = false;
        let mut kept = Endpoints::new();
        for (key, old) in slice.endpoints {
            // One that an earlier slice has taken is a duplicate here.
            if let Some(new) = wanted.remove(&key) {
                changed |= new != old;
                kept.insert(key, new);
            }
        }
        changed |= kept.len() != before;
        let slice = Slice { name: slice.name, endpoints: kept };
        match (changed, slice.endpoints.is_empty()) {
            (_, true) => plan.delete.push(slice.name),
            (true, false) => plan.update.push(slice),
            (false, false) => unchanged.push(slice),
        }
    }
    for slice in &mut plan.update {
        fill(&mut slice.endpoints, &mut wanted);
    }
    while wanted.len() >= CAPACITY {
        let mut full = Endpoints::new();
        fill(&mut full, &mut wanted);
        plan.create.push(full);
    }
    if !wanted.is_empty() {
        // The fullest slice that has room for all that is left.
        let room = |s: &Slice| s.endpoints.len() + wanted.len() <= CAPACITY;
        let best = unchanged.iter().enumerate().filter(|(_, s)| room(s));
        match best.max_by_key(|(i, s)| (s.endpoints.len(), std::cmp::Reverse(*i))).map(|(i, _)| i) {
            Some(i) => {
                let mut slice = unchanged.remove(i);
                fill(&mut slice.endpoints, &mut wanted);
                plan.update.push(slice);
            }
            None => plan.create.push(std::mem::take(&mut wanted)),
        }
    }
    plan.keep = unchanged.into_iter().map(|s| s.name).collect();
    plan
}

fn fill(into: &mut Endpoints, from: &mut Endpoints) {
    while into.len() < CAPACITY
        && let Some((key, value)) = from.pop_first()
    {
        into.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoints(range: std::ops::Range<usize>) -> Endpoints {
        range.map(|i| (format!("u{i:04}"), json!(i))).collect()
    }

    fn slice(name: &str, range: std::ops::Range<usize>) -> Slice {
        Slice { name: name.into(), endpoints: endpoints(range) }
    }

    /// Sizes of new slices, names and sizes of changed ones, names of those that go.
    fn check(
        existing: &[Slice],
        wanted: Endpoints,
        create: &[usize],
        update: &[(&str, usize)],
        delete: &[&str],
    ) {
        let plan = plan(existing.to_vec(), wanted);
        assert_eq!(plan.create.iter().map(Endpoints::len).collect::<Vec<_>>(), create, "created");
        let changed: Vec<_> = plan.update.iter().map(|s| (s.name.as_str(), s.endpoints.len())).collect();
        assert_eq!(changed, update, "updated");
        assert_eq!(plan.delete, delete, "deleted");
    }

    #[test]
    fn slices_are_filled_and_few_are_written() {
        check(&[], endpoints(0..3), &[3], &[], &[]);
        check(&[], endpoints(0..100), &[100], &[], &[]);
        check(&[], endpoints(0..250), &[100, 100, 50], &[], &[]);
        check(&[slice("a", 0..3)], endpoints(0..3), &[], &[], &[]);
        check(&[slice("a", 0..3)], endpoints(0..2), &[], &[("a", 2)], &[]);
        check(&[slice("a", 0..3)], endpoints(5..6), &[1], &[], &["a"]);
        // The fuller of two takes a newcomer; a full one takes none.
        check(&[slice("a", 0..10), slice("b", 10..60)], endpoints(0..61), &[], &[("b", 51)], &[]);
        check(&[slice("a", 0..100)], endpoints(0..101), &[1], &[], &[]);
        // One that is written anyway is filled before others are touched.
        check(&[slice("a", 0..50), slice("b", 50..100)], endpoints(1..110), &[], &[("a", 59)], &[]);
        check(&[slice("a", 0..2), slice("b", 0..2)], endpoints(0..2), &[], &[], &["b"]);
    }

    #[test]
    fn an_endpoint_that_changed_is_written_in_its_place() {
        let mut wanted = endpoints(0..2);
        wanted.insert("u0001".into(), json!("not ready"));
        check(&[slice("a", 0..2)], wanted, &[], &[("a", 2)], &[]);
    }
}
