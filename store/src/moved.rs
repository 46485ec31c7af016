//! A store whose keys lie elsewhere in another one: `--etcd-prefix`.
//!
//! An API server names its keys below one prefix; servers that share an etcd keep apart by having it replaced there.
//! Keys outside of the prefix stay where they are: they are not the server's own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Batch, Compare, Event, Kv, Lease, LeaseStatus, ListOptions, Listing, Op, OpResult, ProgressHandle, Range,
    Revision, Status, Store, StoreError, Txn, TxnResult, Watch, WatchOptions, WatchSource,
    range::after_prefix,
};

/// `store`, but what its user sees below `here` lies below `there`. A range that goes beyond `here` is as far beyond
/// `there`.
pub fn moved(store: Arc<dyn Store>, here: impl Into<Bytes>, there: impl Into<Bytes>) -> Arc<dyn Store> {
    Arc::new(Moved { store, way: Arc::new(Way { here: here.into(), there: there.into() }) })
}

struct Moved {
    store: Arc<dyn Store>,
    way: Arc<Way>,
}

/// Between the two prefixes.
#[derive(Debug)]
struct Way {
    here: Bytes,
    there: Bytes,
}

/// `key` with `to` in place of `from` at its beginning, if it has that.
fn replaced(key: &Bytes, from: &[u8], to: &[u8]) -> Bytes {
    match key.strip_prefix(from) {
        Some(rest) => [to, rest].concat().into(),
        None => key.clone(),
    }
}

impl Way {
    fn out(&self, key: &Bytes) -> Bytes {
        replaced(key, &self.here, &self.there)
    }

    fn back(&self, key: &Bytes) -> Bytes {
        replaced(key, &self.there, &self.here)
    }

    fn range(&self, range: &Range) -> Range {
        let (start, end) = range.to_etcd();
        let end = match end.as_ref() {
            // One key.
            b"" => end,
            // Everything: that is everything of ours, if all is.
            b"\0" if self.here.is_empty() => return self.all_from(&start),
            b"\0" => end,
            // The first key after all of ours is not one of ours.
            _ if Some(&end) == after_prefix(&self.here).as_ref() => {
                after_prefix(&self.there).unwrap_or_else(|| Bytes::from_static(b"\0"))
            }
            _ => self.out(&end),
        };
        Range::from_etcd(self.out(&start), end)
    }

    /// All keys of a user who has none but those that are moved.
    fn all_from(&self, start: &Bytes) -> Range {
        let everything = Range::prefix(self.there.clone());
        if start.as_ref() == b"\0" { everything } else { everything.starting_at(self.out(start)) }
    }

    fn compare(&self, compare: Compare) -> Compare {
        Compare { key: self.out(&compare.key), ..compare }
    }

    fn op(&self, op: Op) -> Op {
        match op {
            Op::Put { key, value, lease } => Op::Put { key: self.out(&key), value, lease },
            Op::Delete { range } => Op::Delete { range: self.range(&range) },
            Op::Get { range, options } => Op::Get { range: self.range(&range), options },
        }
    }

    fn kv(&self, kv: Kv) -> Kv {
        Kv { key: self.back(&kv.key), ..kv }
    }

    fn listing(&self, listing: Listing) -> Listing {
        Listing { kvs: listing.kvs.into_iter().map(|kv| self.kv(kv)).collect(), ..listing }
    }

    fn result(&self, result: OpResult) -> OpResult {
        match result {
            OpResult::Put { prev } => OpResult::Put { prev: prev.map(|kv| self.kv(kv)) },
            OpResult::Delete { prev } => {
                OpResult::Delete { prev: prev.into_iter().map(|kv| self.kv(kv)).collect() }
            }
            OpResult::Get(listing) => OpResult::Get(self.listing(listing)),
        }
    }

    fn batch(&self, batch: Batch) -> Batch {
        let event = |event: &Event| Event {
            kind: event.kind,
            kv: self.kv(event.kv.clone()),
            prev: event.prev.clone().map(|kv| self.kv(kv)),
        };
        Batch { events: batch.events.iter().map(event).collect(), ..batch }
    }

    fn error(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::DuplicateKey { key } => StoreError::DuplicateKey { key: self.back(&key) },
            other => other,
        }
    }
}

struct Source {
    watch: Watch,
    way: Arc<Way>,
}

#[async_trait]
impl WatchSource for Source {
    async fn next(&mut self) -> Option<Result<Batch, StoreError>> {
        Some(self.watch.next().await?.map(|batch| self.way.batch(batch)))
    }

    fn progress_handle(&self) -> ProgressHandle {
        self.watch.progress_handle()
    }
}

#[async_trait]
impl Store for Moved {
    async fn get(&self, key: &[u8], at: Option<Revision>) -> Result<(Option<Kv>, Revision), StoreError> {
        let key = self.way.out(&Bytes::copy_from_slice(key));
        let (found, revision) = self.store.get(&key, at).await?;
        Ok((found.map(|kv| self.way.kv(kv)), revision))
    }

    async fn list(&self, range: Range, options: ListOptions) -> Result<Listing, StoreError> {
        self.store.list(self.way.range(&range), options).await.map(|found| self.way.listing(found))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        // What has no key is refused as such, not as the prefix alone.
        let unnamed = |op: &Op| matches!(op, Op::Put { key, .. } if key.is_empty());
        let ops = txn.success.iter().chain(&txn.failure);
        if txn.compares.iter().any(|compare| compare.key.is_empty()) || ops.into_iter().any(unnamed) {
            return Err(StoreError::EmptyKey);
        }
        let ops = |ops: Vec<Op>| ops.into_iter().map(|op| self.way.op(op)).collect();
        let txn = Txn {
            compares: txn.compares.into_iter().map(|compare| self.way.compare(compare)).collect(),
            success: ops(txn.success),
            failure: ops(txn.failure),
        };
        let done = self.store.txn(txn).await.map_err(|error| self.way.error(error))?;
        Ok(TxnResult { results: done.results.into_iter().map(|r| self.way.result(r)).collect(), ..done })
    }

    async fn watch(&self, range: Range, from: Revision, options: WatchOptions) -> Result<Watch, StoreError> {
        let watch = self.store.watch(self.way.range(&range), from, options).await?;
        Ok(Watch::new(Source { watch, way: self.way.clone() }))
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.store.compact(at).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.store.revision().await
    }

    async fn lease_grant(&self, id: i64, ttl: Duration) -> Result<Lease, StoreError> {
        self.store.lease_grant(id, ttl).await
    }

    async fn lease_revoke(&self, id: i64) -> Result<Revision, StoreError> {
        self.store.lease_revoke(id).await
    }

    async fn lease_keepalive(&self, id: i64) -> Result<Duration, StoreError> {
        self.store.lease_keepalive(id).await
    }

    async fn lease_status(&self, id: i64) -> Result<LeaseStatus, StoreError> {
        let status = self.store.lease_status(id).await?;
        Ok(LeaseStatus { keys: status.keys.iter().map(|key| self.way.back(key)).collect(), ..status })
    }

    async fn status(&self) -> Result<Status, StoreError> {
        self.store.status().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ranges_go_there_and_come_back() {
        let way = Way { here: "/registry".into(), there: "/b/clusters".into() };
        for (here, there) in
            [("/registry/pods/a", "/b/clusters/pods/a"), ("compact_rev_key", "compact_rev_key")]
        {
            assert_eq!((way.out(&here.into()), way.back(&there.into())), (there.into(), here.into()));
        }
        for (here, there) in [
            (Range::key("/registry/pods/a"), Range::key("/b/clusters/pods/a")),
            (Range::prefix("/registry/pods/"), Range::prefix("/b/clusters/pods/")),
            (Range::prefix("/registry"), Range::prefix("/b/clusters")),
            (Range::prefix("/registry/"), Range::prefix("/b/clusters/")),
            (
                Range::prefix("/registry/pods/").starting_at("/registry/pods/m"),
                Range::prefix("/b/clusters/pods/").starting_at("/b/clusters/pods/m"),
            ),
        ] {
            assert_eq!(way.range(&here), there);
        }
        let all = Way { here: "".into(), there: "/x".into() };
        assert_eq!(all.range(&Range::all()), Range::prefix("/x"));
        assert_eq!(all.range(&Range::from("k")), Range::prefix("/x").starting_at("/xk"));
    }
}
