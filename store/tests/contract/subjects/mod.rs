//! The points of the contract, one check each. Every check begins with a store that is empty but for its revision.

mod lasting;
mod reading;
mod watching;
mod writing;

use futures::future::LocalBoxFuture;
use store::{Batch, EventKind, Kv, ListOptions, Range, Store};

use crate::engines::Bench;

/// A check of one point.
pub type Subject = for<'a, 'b> fn(&'a mut Bench<'b>) -> LocalBoxFuture<'a, ()>;

macro_rules! subjects {
    ($($module:ident: $($name:ident)*;)*) => {
        /// Each by its name.
        pub const ALL: &[(&str, Subject)] = &[$($((stringify!($name), {
            fn boxed<'a>(bench: &'a mut Bench<'_>) -> LocalBoxFuture<'a, ()> {
                Box::pin($module::$name(bench))
            }
            boxed
        })),*),*];
    };
}

subjects! {
    writing: one_revision_for_each_transaction compare_and_write_is_atomic several_keys_change_together
        what_is_refused_changes_nothing any_bytes_are_keys_and_values;
    reading: an_old_revision_reads_as_it_was a_list_goes_on_as_it_began compaction_is_said_clearly;
    watching: a_watch_from_any_revision_is_complete_and_ordered a_watch_of_a_range_sees_that_range
        who_reads_too_slowly_is_told_where progress_comes_after_what_it_speaks_of;
    lasting: a_restart_keeps_all_of_it what_a_restart_forgets_it_does_not_invent keys_end_with_their_lease;
}

/// All keys, now or as of a revision.
async fn all(store: &dyn Store, at: Option<i64>) -> Vec<Kv> {
    store.list(Range::all(), ListOptions { at, ..ListOptions::default() }).await.unwrap().kvs
}

/// A dozen transactions with everything that there is; gives the state at each revision, from the first on.
async fn a_past(bench: &Bench<'_>) -> Vec<(i64, Vec<Kv>)> {
    use store::{Op, Txn};
    let put = |key: &str, value: &str| Op::put(key.to_owned(), value.to_owned());
    let txns = [
        vec![put("/a", "1")],
        vec![put("/b/1", "1"), put("/b/2", "1"), put("/c", "1")],
        vec![put("/a", "2")],
        vec![Op::delete("/c"), put("/b/1", "2")],
        vec![Op::Delete { range: Range::prefix("/b/") }],
        vec![put("/c", "2")],
        vec![put("/b/3", "1")],
        vec![Op::delete("/a")],
        vec![put("/a", "3"), Op::delete("/c")],
        vec![put("/b/1", "3")],
    ];
    let mut states = vec![(bench.first, all(&*bench.store, None).await)];
    for ops in txns {
        let done = bench.store.txn(Txn::unconditional(ops)).await.unwrap();
        states.push((done.revision, all(&*bench.store, None).await));
    }
    states
}

/// `revision:key=value,-key`.
fn render(batch: &Batch) -> String {
    let events = batch.events.iter().map(|event| {
        let key = String::from_utf8_lossy(&event.kv.key);
        match event.kind {
            EventKind::Put => format!("{key}={}", String::from_utf8_lossy(&event.kv.value)),
            EventKind::Delete => format!("-{key}"),
        }
    });
    format!("{}:{}", batch.revision, events.collect::<Vec<_>>().join(","))
}
