//! Every five minutes one of the servers on a store has it forget what was already old at the turn before.
//!
//! As upstream: turns are counted in a key of the store, outside of all objects. Each server tries to count the next one;
//! who succeeds has that turn, and the others have learned how far the count is.

use store::{Compare, Op, OpResult, Relation, Revision, Store, StoreError, Target, Txn};

use crate::context::Ctx;

/// Its version is the number of turns, its value the revision up to which the last one compacted.
const TURNS: &[u8] = b"compact_rev_key";

pub(super) async fn run(ctx: Ctx) {
    if ctx.options.compaction_interval.is_zero() {
        return;
    }
    let mut seen = Seen::default();
    loop {
        ctx.host.recur(ctx.options.compaction_interval).await;
        match turn(&*ctx.store, seen).await {
            Ok(now) => seen = now,
            Err(error) => tracing::debug!("compaction at {}: {error}", seen.revision),
        }
    }
}

/// What a server has learned at its last turn.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    turns: i64,
    /// The store's revision then; 0 before the first.
    revision: Revision,
}

async fn turn(store: &dyn Store, seen: Seen) -> Result<Seen, StoreError> {
    let counted =
        Compare { key: TURNS.into(), target: Target::Version(seen.turns), relation: Relation::Equal };
    let count = Txn {
        compares: vec![counted],
        success: vec![Op::put(TURNS, seen.revision.to_string())],
        failure: vec![Op::get(TURNS)],
    };
    let done = store.txn(count).await?;
    if !done.succeeded {
        let turns = match done.results.first() {
            Some(OpResult::Get(found)) => found.kvs.first().map_or(0, |kv| kv.version),
            _ => 0,
        };
        return Ok(Seen { turns, revision: done.revision });
    }
    let now = Seen { turns: seen.turns + 1, revision: done.revision };
    if seen.revision != 0
        && let Err(error) = store.compact(seen.revision).await
    {
        // The turn is over all the same; the next one goes further than this one would have.
        tracing::debug!("compaction at {}: {error}", seen.revision);
    }
    Ok(now)
}
