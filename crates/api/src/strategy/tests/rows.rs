//! Which kinds have rules.

use super::*;

/// What is stored without rules of its own; upstream looks at no more than its metadata either.
const WITHOUT: [&str; 1] = ["ServiceAccount"];

#[test]
fn no_kind_is_stored_unlooked_at() {
    let mut without: Vec<&str> = kinds::all()
        .iter()
        .filter(|kind| kind.is_stored() && stored_row(kind).is_none())
        .filter(|kind| std::ptr::eq(strategy(kind), &raw const GENERIC))
        .map(|kind| kind.kind)
        .collect();
    without.dedup();
    assert_eq!(without, WITHOUT);
}
